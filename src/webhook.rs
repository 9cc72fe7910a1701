//! The way in. Takes HTTP requests: caps them, lets `verify` prove the sender and `parse` read them,
//! submits, and answers only what is committed.

pub mod listen;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;
use tracing::{debug, info, warn};

use crate::clock;
use crate::engine::Engine;
use crate::model::inbound::{Delivery, Input};
use crate::model::message::{Message, Reply};
use crate::parse::alert::alertmanager;
use crate::parse::slack::event::{self, Event};
use crate::parse::slack::{self, Request as Parsed};
use crate::post::slack::blocks;
use crate::verify::bearer::{Shared, bearer};
use crate::verify::slack::{SlackSecrets, is_ssl_check};
use crate::verify::{self, Verified};
use crate::worker::replies::Replies;

/// The largest body read, in bytes.
const BODY: usize = 1024 * 1024;
/// For how long an alert delivery that says the same as an earlier one is that one, in milliseconds.
const SAME: i64 = 5 * 60 * 1_000;
/// How long a body may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(10);

/// What the routes need.
pub struct Doors {
    pub engine: Engine,
    pub secrets: SlackSecrets,
    /// What Alertmanager must show; without it there is no such route.
    pub alertmanager: Option<Shared>,
    pub replies: Arc<Replies>,
    /// False until the store is open and the worker runs, and again while stopping.
    pub ready: AtomicBool,
}

/// All routes.
pub fn router(doors: Arc<Doors>) -> Router {
    Router::new()
        .route("/slack/commands", post(command))
        .route("/slack/interactions", post(interaction))
        .route("/slack/events", post(event))
        .route("/alerts/alertmanager", post(alert))
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .with_state(doors)
}

async fn ready(State(doors): State<Arc<Doors>>) -> Response {
    if doors.ready.load(Ordering::Relaxed) {
        "ready".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready").into_response()
    }
}

async fn command(State(doors): State<Arc<Doors>>, request: Request) -> Response {
    let verified = match admit(&doors, request, is_ssl_check).await {
        Ok(verified) => verified,
        Err(answer) => return answer,
    };
    match slack::command(&verified) {
        Ok(parsed) => take(&doors, &verified, parsed).await,
        Err(why) => unreadable(&why),
    }
}

async fn interaction(State(doors): State<Arc<Doors>>, request: Request) -> Response {
    let verified = match admit(&doors, request, is_ssl_check).await {
        Ok(verified) => verified,
        Err(answer) => return answer,
    };
    match slack::interaction(&verified) {
        Ok(Some(parsed)) => take(&doors, &verified, parsed).await,
        Ok(None) => StatusCode::OK.into_response(),
        Err(why) => unreadable(&why),
    }
}

/// Slack repeats an event until it is answered with success: one that could not be stored is asked for
/// again, and one that was is known by its key, whatever its retry headers say.
async fn event(State(doors): State<Arc<Doors>>, request: Request) -> Response {
    let verified = match admit(&doors, request, |_| false).await {
        Ok(verified) => verified,
        Err(answer) => return answer,
    };
    let delivery = match event::event(&verified) {
        Ok(Event::Said(delivery)) => *delivery,
        Ok(Event::Challenge(text)) => return ([(header::CONTENT_TYPE, "text/plain")], text).into_response(),
        Ok(Event::Ignored(why)) => {
            debug!(why, "event ignored");
            return StatusCode::OK.into_response();
        }
        Err(why) => return unreadable(&why),
    };
    match doors.engine.submit(delivery).await {
        Ok(reply) => answer(&reply),
        Err(busy) => {
            info!(%busy, "event not taken");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

/// An Alertmanager delivery. It is repeated after 5xx only, so what cannot be stored is a 503, never a 429.
async fn alert(State(doors): State<Arc<Doors>>, request: Request) -> Response {
    let Some(shared) = &doors.alertmanager else { return StatusCode::NOT_FOUND.into_response() };
    let (parts, body) = request.into_parts();
    let body = match read(body).await {
        Ok(body) => body,
        Err(answer) if answer.status() == StatusCode::REQUEST_TIMEOUT => {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        Err(answer) => return answer,
    };
    let now = clock::now();
    let verified = match bearer(shared, &header_pairs(&parts.headers), body.to_vec(), now) {
        Ok(verified) => verified,
        Err(refused) => {
            warn!(reason = %refused, "alert delivery refused");
            return StatusCode::UNAUTHORIZED.into_response();
        }
    };
    let (key, group) = match alertmanager::read(&verified) {
        Ok(read) => read,
        Err(why) => return unreadable(&why),
    };
    // A source that fell silent for a while says the same again when it is back, and must be heard.
    let key = format!("alertmanager/{key}/{}", now.0 / SAME);
    match doors.engine.submit(Delivery { key, input: Input::Alerted(group) }).await {
        Ok(_) => StatusCode::OK.into_response(),
        Err(busy) => {
            warn!(%busy, "alert delivery not taken; the sender comes again");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

/// Reads and proves a request. Everything that is not proved gets the same empty answer. `probe` tells
/// Slack's unsigned question about our certificate, which only comes to addresses that take forms.
async fn admit(doors: &Doors, request: Request, probe: impl Fn(&[u8]) -> bool) -> Result<Verified, Response> {
    let (parts, body) = request.into_parts();
    let body = read(body).await?;
    if probe(&body) {
        return Err(StatusCode::OK.into_response());
    }
    let pairs: Vec<(&str, &[u8])> = header_pairs(&parts.headers);
    verify::slack::slack(&doors.secrets, &pairs, body.to_vec(), clock::now()).map_err(|refused| {
        warn!(reason = %refused, "request refused");
        StatusCode::UNAUTHORIZED.into_response()
    })
}

fn header_pairs(headers: &HeaderMap) -> Vec<(&str, &[u8])> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect()
}

async fn read(body: Body) -> Result<Bytes, Response> {
    match tokio::time::timeout(ARRIVAL, to_bytes(body, BODY)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(StatusCode::PAYLOAD_TOO_LARGE.into_response()),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT.into_response()),
    }
}

/// A signed request that is not what Slack documents: a mistake in the app's set-up, said to its admin.
fn unreadable(why: &str) -> Response {
    warn!(why, "signed request could not be read");
    (StatusCode::BAD_REQUEST, format!("drbot could not read this request: {why}\n")).into_response()
}

async fn take(doors: &Doors, verified: &Verified, mut parsed: Parsed) -> Response {
    let key = verified.delivery_key().to_owned();
    if let Some(url) = parsed.response_url.take() {
        let handle = doors.replies.keep(&key, url);
        match &mut parsed.input {
            Input::Said { place, .. } => place.reply = Some(handle),
            Input::Clicked(click) => click.place.reply = Some(handle),
            _ => {}
        }
    }
    let form = matches!(parsed.input, Input::Filled(_));
    match doors.engine.submit(Delivery { key: format!("slack/{key}"), input: parsed.input }).await {
        Ok(reply) => answer(&reply),
        Err(busy) => {
            info!(%busy, "delivery not taken");
            not_taken(form)
        }
    }
}

/// Slack shows a bare status as a cryptic failure and never repeats a command, so the person is told in
/// words; a form stays open. The body says that nothing was stored, as the status would.
fn not_taken(form: bool) -> Response {
    let text = "drbot could not store this just now, so nothing was done. Please try again.";
    let body = if form {
        json!({"response_action": "errors", "errors": {"text": text}})
    } else {
        json!({"response_type": "ephemeral", "text": text})
    };
    (StatusCode::SERVICE_UNAVAILABLE, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn answer(reply: &Reply) -> Response {
    let body = match reply {
        Reply::Nothing | Reply::Opened(_) | Reply::Go | Reply::NoGo(_) => return StatusCode::OK.into_response(),
        Reply::Private(message) => private(message),
        Reply::FormError(text) => json!({"response_action": "errors", "errors": {"text": text}}),
    };
    ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn private(message: &Message) -> serde_json::Value {
    let mut body = blocks::message(message).payload;
    body["response_type"] = json!("ephemeral");
    body
}
