//! The HTTP side of the practice Slack. Takes requests of the bot; gives answers, and a violation for
//! every request that the real service would not take or that nobody should send.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, Method as Verb, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::Inner;
use super::fault::{json as reply, limited};
use super::method::{self, Method};
use super::state::{Call, Slip};

const MAX_BODY: usize = 1 << 20;
/// What an ordinary client sends; anything else was put there on purpose.
const HEADERS: [&str; 8] = [
    "host",
    "accept",
    "content-type",
    "content-length",
    "authorization",
    "user-agent",
    "connection",
    "accept-encoding",
];

/// The only handler: routing is part of being strict.
pub async fn handle(Shared(inner): Shared<Arc<Inner>>, request: Request<Body>) -> Response {
    let path = request.uri().path().to_owned();
    let hook = path.strip_prefix("/_hooks/response/").map(str::to_owned);
    let name = if hook.is_some() { Some("response_url") } else { path.strip_prefix("/api/") };
    let Some((name, known)) = name.and_then(|n| Some((n.to_owned(), method::known(n)?))) else {
        return refuse(&inner, StatusCode::NOT_FOUND, "unknown_method", &format!("unknown route {path}"));
    };
    if hook.is_none() && name == "response_url" {
        return refuse(&inner, StatusCode::NOT_FOUND, "unknown_method", "response_url is not a method");
    }
    if let Err((status, error, why)) = outside(&inner, &request, known, hook.is_some()) {
        return refuse(&inner, status, error, &format!("{name}: {why}"));
    }
    let asked = request.uri().query().unwrap_or_default().to_owned();
    let Ok(body) = to_bytes(request.into_body(), MAX_BODY).await else {
        return refuse(&inner, StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", &format!("{name}: unreadable body"));
    };
    let Some(params) = parameters(known, if asked.is_empty() { &body } else { asked.as_bytes() }) else {
        return refuse(&inner, StatusCode::BAD_REQUEST, "invalid_json", &format!("{name}: unreadable body"));
    };
    let complaints = known.complaints(&params);
    if !complaints.is_empty() {
        let why = format!("{name}: {}", complaints.join(", "));
        return refuse(&inner, StatusCode::BAD_REQUEST, "invalid_arguments", &why);
    }
    carry_out(&inner, &name, hook.as_deref(), params).await
}

/// Everything that can be wrong before the body is read.
fn outside(
    inner: &Inner,
    request: &Request<Body>,
    known: &Method,
    hook: bool,
) -> Result<(), (StatusCode, &'static str, String)> {
    let bad = |error, why: &str| Err((StatusCode::BAD_REQUEST, error, why.to_owned()));
    let reads = known.reads && request.method() == Verb::GET;
    if request.method() != Verb::POST && !reads {
        return Err((
            StatusCode::METHOD_NOT_ALLOWED,
            "invalid_http_method",
            format!("{} is not POST", request.method()),
        ));
    }
    if request.uri().query().is_some() && !reads {
        return bad("invalid_arguments", "parameters in the address");
    }
    let headers = request.headers();
    if let Some(name) = headers.keys().find(|name| !HEADERS.contains(&name.as_str())) {
        return bad("invalid_headers", &format!("unknown header {name}"));
    }
    if headers.keys().any(|name| headers.get_all(name).iter().count() > 1) {
        return bad("invalid_headers", "a header was sent twice");
    }
    let expected = if known.json { "application/json; charset=utf-8" } else { "application/x-www-form-urlencoded" };
    if !reads && text(headers, header::CONTENT_TYPE) != Some(expected) {
        return bad("invalid_post_type", &format!("content type is not {expected}"));
    }
    let token = text(headers, header::AUTHORIZATION);
    if hook {
        return if token.is_none() { Ok(()) } else { bad("invalid_auth", "a token was sent to a response_url") };
    }
    if token == Some(format!("Bearer {}", inner.token).as_str()) {
        return Ok(());
    }
    let error = if token.is_none() { "not_authed" } else { "invalid_auth" };
    Err((StatusCode::UNAUTHORIZED, error, "bad token".into()))
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn parameters(known: &Method, body: &[u8]) -> Option<Value> {
    if known.json {
        return serde_json::from_slice(body).ok();
    }
    std::str::from_utf8(body).ok()?;
    let mut map = Map::new();
    for (key, value) in url::form_urlencoded::parse(body) {
        map.insert(key.into_owned(), value.into_owned().into());
    }
    Some(Value::Object(map))
}

async fn carry_out(inner: &Inner, name: &str, hook: Option<&str>, params: Value) -> Response {
    let now = inner.now();
    let (fault, result) = {
        let mut state = inner.state();
        state.calls.push(Call { method: name.to_owned(), at: now, params: params.clone() });
        let fault = state.fault(name);
        if let Some(response) = fault.as_ref().and_then(|f| f.before()) {
            drop(state);
            inner.changed();
            return response;
        }
        if let Some(left) = method::too_soon(&state, name, &params, now) {
            drop(state);
            inner.changed();
            return limited(Some(&left.as_secs_f64().ceil().to_string()));
        }
        let result = match hook {
            Some(hook) => {
                let in_channel = params["response_type"] == "in_channel";
                if params["replace_original"] != false {
                    state.violations.push("response_url: replace_original would overwrite a card".into());
                }
                state.use_hook(hook, method::draft(&params), in_channel, now).map(|()| Value::from("ok"))
            }
            None => method::run(&mut state, name, &params, now),
        };
        (fault, result)
    };
    inner.changed();
    let body = match (&result, hook) {
        (Ok(_), Some(_)) => "ok".to_owned(),
        (Ok(value), None) => value.to_string(),
        (Err(slip), _) => refusal(slip),
    };
    match (fault, result.is_err() && hook.is_some()) {
        (Some(fault), _) => fault.after(body).await,
        (None, true) => reply(StatusCode::NOT_FOUND, &body),
        (None, false) => reply(StatusCode::OK, &body),
    }
}

fn refusal(slip: &Slip) -> String {
    let mut body = json!({"ok": false, "error": slip.error});
    if !slip.messages.is_empty() {
        body["response_metadata"] = json!({"messages": slip.messages});
    }
    body.to_string()
}

fn refuse(inner: &Inner, status: StatusCode, error: &str, why: &str) -> Response {
    inner.state().violations.push(why.to_owned());
    inner.changed();
    reply(status, &refusal(&Slip::new(error))).into_response()
}
