//! Faults of the practice Slack. Takes what the answer would have been; gives a broken one.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

/// What goes wrong, and whether the call was carried out before.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// Not carried out: this status and an empty page.
    Status(u16),
    /// Not carried out: HTTP 429, with `Retry-After` if given.
    Limited(Option<String>),
    /// Not carried out: HTTP 200 with `ok: false` and this error.
    Refuse(String),
    /// Not carried out: HTTP 200 with this body.
    Answer(serde_json::Value),
    /// Not carried out: HTTP 302 to this address.
    Redirect(String),
    /// Carried out, then HTTP 500.
    StatusAfter(u16),
    /// Carried out, then HTTP 200 with `ok: false` and this error.
    RefuseAfter(String),
    /// Carried out, then no answer as long as the caller waits.
    Hang,
    /// Carried out, then half the answer and a closed connection.
    Half,
    /// Carried out, then an answer that is not JSON.
    BadJson,
    /// Carried out, then one byte of the answer per second.
    Trickle,
    /// Carried out, then the right answer followed by this many spaces.
    Huge(usize),
}

impl Fault {
    /// The answer, when the call is not to be carried out.
    #[must_use]
    pub fn before(&self) -> Option<Response> {
        match self {
            Fault::Status(status) => Some(code(*status).into_response()),
            Fault::Limited(after) => Some(limited(after.as_deref())),
            Fault::Refuse(error) => Some(json(StatusCode::OK, &refusal(error))),
            Fault::Answer(body) => Some(json(StatusCode::OK, &body.to_string())),
            Fault::Redirect(to) => {
                let mut headers = HeaderMap::new();
                if let Ok(to) = HeaderValue::from_str(to) {
                    headers.insert(header::LOCATION, to);
                }
                Some((StatusCode::FOUND, headers).into_response())
            }
            _ => None,
        }
    }

    /// The answer, when the call was carried out and would have been answered with `body`.
    pub async fn after(self, body: String) -> Response {
        match self {
            Fault::StatusAfter(status) => code(status).into_response(),
            Fault::RefuseAfter(error) => json(StatusCode::OK, &refusal(&error)),
            Fault::Hang => std::future::pending().await,
            Fault::Half => half(&body),
            Fault::BadJson => json(StatusCode::OK, "{\"ok\":true,"),
            Fault::Trickle => trickle(body),
            Fault::Huge(size) => json(StatusCode::OK, &format!("{body}{}", " ".repeat(size))),
            _ => json(StatusCode::OK, &body),
        }
    }
}

/// HTTP 429 as Slack sends it.
#[must_use]
pub fn limited(after: Option<&str>) -> Response {
    let mut response = json(StatusCode::TOO_MANY_REQUESTS, &refusal("ratelimited"));
    if let Some(after) = after.and_then(|a| HeaderValue::from_str(a).ok()) {
        response.headers_mut().insert(header::RETRY_AFTER, after);
    }
    response
}

/// A JSON answer.
#[must_use]
pub fn json(status: StatusCode, body: &str) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json; charset=utf-8")], body.to_owned()).into_response()
}

fn refusal(error: &str) -> String {
    serde_json::json!({"ok": false, "error": error}).to_string()
}

fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn half(body: &str) -> Response {
    let first = Bytes::copy_from_slice(&body.as_bytes()[..body.len() / 2]);
    let parts = vec![Ok(first), Err(std::io::Error::other("cut"))];
    let mut response = Body::from_stream(stream::iter(parts)).into_response();
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    response
}

fn trickle(body: String) -> Response {
    let bytes = stream::unfold(body.into_bytes().into_iter(), |mut rest| async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        rest.next().map(|byte| (Ok::<_, Infallible>(Bytes::from(vec![byte])), rest))
    });
    Body::from_stream(bytes).into_response()
}
