//! What an answer of Slack means. Takes a response or a transport error; gives a [`Sent`].

use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Response, StatusCode};
use serde_json::Value;

/// No answer of ours is near this size.
const MAX_BODY: usize = 1 << 20;
const PAUSE_DEFAULT: u64 = 30;
const PAUSE_MAX: u64 = 600;
/// Nothing was sent, so trying again soon costs nothing.
const PAUSE_UNREACHED: Duration = Duration::from_secs(1);
const DETAIL_MAX: usize = 1000;

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent<T> {
    /// It happened.
    Ok(T),
    /// It did not happen, and the same request will not happen later either.
    Refused { error: String, detail: String },
    /// It did not happen; the same request may after this time.
    Later { after: Duration },
    /// It may have happened: look before sending again.
    Doubtful { why: String },
}

impl<T> Sent<T> {
    /// The value, or everything else as it was.
    ///
    /// # Errors
    /// Whatever is not `Ok`.
    pub fn done(self) -> Result<T, Sent<()>> {
        match self {
            Sent::Ok(value) => Ok(value),
            other => Err(other.to()),
        }
    }

    /// The same, without a value.
    #[must_use]
    pub fn unit(self) -> Sent<()> {
        match self {
            Sent::Ok(_) => Sent::Ok(()),
            other => other.to(),
        }
    }

    pub(super) fn doubt(why: &str) -> Sent<T> {
        Sent::Doubtful { why: why.to_owned() }
    }

    pub(super) fn refused(error: &str, detail: String) -> Sent<T> {
        Sent::Refused { error: error.to_owned(), detail }
    }

    /// Everything but `Ok` under another type; an `Ok` that lost its value is a doubt.
    pub(super) fn to<U>(self) -> Sent<U> {
        match self {
            Sent::Ok(_) => Sent::doubt("the answer held no value"),
            Sent::Refused { error, detail } => Sent::Refused { error, detail },
            Sent::Later { after } => Sent::Later { after },
            Sent::Doubtful { why } => Sent::Doubtful { why },
        }
    }
}

/// A complete answer, not yet understood.
#[derive(Debug)]
pub(super) struct Raw {
    status: StatusCode,
    pause: Option<u64>,
    body: Vec<u8>,
}

impl Raw {
    fn later<T>(&self) -> Sent<T> {
        Sent::Later { after: Duration::from_secs(self.pause.unwrap_or(PAUSE_DEFAULT).clamp(1, PAUSE_MAX)) }
    }
}

/// Reads a response to its end, up to the cap.
pub(super) async fn read(mut response: Response) -> Sent<Raw> {
    let status = response.status();
    let pause = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.trim().parse().ok());
    let mut body = Vec::new();
    // A refusal by status needs no body, and must not turn into a doubt because the body broke off.
    if status != StatusCode::TOO_MANY_REQUESTS {
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > MAX_BODY => {
                    return Sent::doubt("the answer is too large");
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => return Sent::Doubtful { why: words(&error.without_url()) },
            }
        }
    }
    Sent::Ok(Raw { status, pause, body })
}

/// A request that got no answer: not connected means that nothing was sent.
pub(super) fn from_transport<T>(error: reqwest::Error) -> Sent<T> {
    if error.is_connect() {
        return Sent::Later { after: PAUSE_UNREACHED };
    }
    if error.is_builder() {
        return Sent::refused("bad_request", words(&error.without_url()));
    }
    Sent::Doubtful { why: words(&error.without_url()) }
}

/// An answer of a Web API method: the status hardly matters, `ok` does.
pub(super) fn from_api(raw: Sent<Raw>, token: &str) -> Sent<Value> {
    let raw = match raw {
        Sent::Ok(raw) => raw,
        other => return other.to(),
    };
    if raw.status == StatusCode::TOO_MANY_REQUESTS {
        return raw.later();
    }
    // A redirect or a foreign error page may be a portal in between: it says nothing about Slack.
    if raw.status.is_server_error() || raw.status.is_redirection() {
        return Sent::Doubtful { why: format!("HTTP {}", raw.status.as_u16()) };
    }
    let Ok(reply) = serde_json::from_slice::<Value>(&raw.body) else {
        return Sent::Doubtful { why: format!("HTTP {} with an answer that is not JSON", raw.status.as_u16()) };
    };
    match (reply["ok"].as_bool(), reply["error"].as_str()) {
        (Some(true), _) if raw.status.is_success() => Sent::Ok(reply),
        (Some(false), Some(error)) => from_error(error, &raw, &reply, token),
        _ => Sent::Doubtful { why: format!("HTTP {} with an answer that makes no sense", raw.status.as_u16()) },
    }
}

/// An answer of a `response_url`: a plain `ok`, or an error as status or as JSON.
pub(super) fn from_hook(raw: Sent<Raw>, token: &str) -> Sent<()> {
    let raw = match raw {
        Sent::Ok(raw) => raw,
        other => return other.to(),
    };
    if raw.status == StatusCode::TOO_MANY_REQUESTS {
        return raw.later();
    }
    if raw.status.is_server_error() {
        return Sent::Doubtful { why: format!("HTTP {}", raw.status.as_u16()) };
    }
    if raw.status.is_redirection() {
        return Sent::refused("redirected", "redirects are not followed".into());
    }
    let reply: Value = serde_json::from_slice(&raw.body).unwrap_or_default();
    match (reply["ok"].as_bool(), reply["error"].as_str()) {
        (Some(false), error) => from_error(error.unwrap_or("unknown"), &raw, &reply, token).unit(),
        _ if raw.status.is_success() => Sent::Ok(()),
        _ => Sent::refused(&format!("http_{}", raw.status.as_u16()), String::new()),
    }
}

fn from_error(error: &str, raw: &Raw, reply: &Value, token: &str) -> Sent<Value> {
    match error {
        "ratelimited" | "rate_limited" => raw.later(),
        // Slack says of these that part of the work may have been done.
        "fatal_error" | "internal_error" | "request_timeout" | "service_unavailable" => {
            Sent::Doubtful { why: error.to_owned() }
        }
        _ => Sent::Refused { error: clean(error, token), detail: clean(&detail(reply), token) },
    }
}

/// What Slack says about the cause: the bad block, the missing scope.
fn detail(reply: &Value) -> String {
    let messages = reply["response_metadata"]["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut parts: Vec<String> = messages.iter().filter_map(|m| m.as_str().map(str::to_owned)).collect();
    for key in ["needed", "provided"] {
        if let Some(scope) = reply[key].as_str() {
            parts.push(format!("{key}: {scope}"));
        }
    }
    parts.join("; ")
}

/// Bounded, and without the token should the other side ever echo it.
fn clean(text: &str, token: &str) -> String {
    text.replace(token, "[token]").chars().take(DETAIL_MAX).collect()
}

/// The innermost cause is the only part of a transport error that tells anything.
fn words(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no complete answer in time".into();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    format!("the connection failed: {cause}")
}
