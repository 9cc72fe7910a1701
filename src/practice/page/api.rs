//! What people do on the page. Takes who does it and what; sends drbot the signed request that Slack would
//! send, and gives what Slack would say when that goes wrong. Slack waits three seconds, and so does this.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Page;
use crate::practice::slack::{Answer, buttons, escaped, private_buttons};

/// How long Slack waits for an app.
const SLACK_WAITS: Duration = Duration::from_secs(3);

type Said = Result<Json<Value>, (StatusCode, String)>;

/// A line typed into a channel.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    #[serde(rename = "as")]
    actor: String,
    channel: String,
    /// The message under which it was typed, if it was.
    #[serde(default)]
    thread: Option<String>,
    text: String,
}

/// A button pressed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Press {
    #[serde(rename = "as")]
    actor: String,
    channel: String,
    ts: String,
    action: String,
    value: String,
}

/// A modal sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sent {
    #[serde(rename = "as")]
    actor: String,
    view: String,
    values: BTreeMap<String, String>,
}

/// A modal closed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Closed {
    #[serde(rename = "as")]
    actor: String,
    view: String,
}

fn refuse(why: &str) -> (StatusCode, String) {
    (StatusCode::BAD_REQUEST, why.to_owned())
}

fn fine() -> Said {
    Ok(Json(json!({"ok": true})))
}

/// Slack's sentence, and what lies behind it.
fn failed(error: &str, says: &str, why: &str) -> Said {
    Ok(Json(json!({"ok": false, "error": error, "says": says, "why": why})))
}

async fn in_time<T>(answer: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(SLACK_WAITS, answer).await.ok()
}

/// What is wrong with an answer, as an error's name and the reason.
fn wrong(answer: Option<&Answer>) -> Option<(&'static str, String)> {
    match answer {
        None => {
            Some(("operation_timeout", "drbot did not answer within 3 seconds. What it began may still go on.".into()))
        }
        Some(Answer { status: 200, .. }) => None,
        Some(Answer { status: 0, body, .. }) => {
            Some(("dispatch_failed", format!("drbot could not be reached. {body}")))
        }
        Some(Answer { status, body, .. }) => {
            let body: String = body.chars().take(300).collect();
            Some(("dispatch_failed", format!("drbot answered with HTTP {status}. {body}")))
        }
    }
}

/// `POST /page/slash`.
pub(super) async fn slash(State(page): State<Arc<Page>>, Json(line): Json<Line>) -> Said {
    let me = page.persona(&line.actor)?;
    page.known(&line.channel)?;
    let answer = in_time(page.slack.slash(&me.user, &line.channel, &line.text)).await;
    match wrong(answer.as_ref()) {
        None => fine(),
        Some((error, why)) => failed(error, &format!("/dr failed with the error \"{error}\""), &why),
    }
}

/// `POST /page/say`: words without a command, or to drbot when they begin with its name.
pub(super) async fn say(State(page): State<Arc<Page>>, Json(line): Json<Line>) -> Said {
    let me = page.persona(&line.actor)?;
    page.known(&line.channel)?;
    if line.text.trim().is_empty() {
        return Err(refuse("an empty line says nothing"));
    }
    let place = (line.channel.as_str(), line.thread.as_deref());
    let Some(text) = to_bot(&line.text) else {
        page.slack.say_in(&me.user, place, &escaped(&line.text)).map_err(|e| refuse(&e.to_string()))?;
        return fine();
    };
    let mention = page.slack.mentioned(&me.user, place, &escaped(text.trim())).map_err(|e| refuse(&e.to_string()))?;
    // The message stands whatever becomes of its event, so nobody waits for that.
    let slack = Arc::clone(&page.slack);
    tokio::spawn(async move { slack.bring(&mention.event).await });
    fine()
}

/// `POST /page/click`: only a button that the message shows now.
pub(super) async fn click(State(page): State<Arc<Page>>, Json(press): Json<Press>) -> Said {
    let me = page.persona(&press.actor)?;
    let message = page.slack.message(&press.channel, &press.ts).filter(|m| !m.deleted);
    let alone = page.slack.privates(&press.channel, &me.user).into_iter().find(|p| p.ts == press.ts);
    let shown = message.as_ref().map(buttons).or_else(|| alone.as_ref().map(private_buttons));
    let shown = shown.ok_or_else(|| refuse("there is no such message"))?;
    let button = shown.iter().find(|b| b.action_id == press.action && b.value == press.value);
    let Some(button) = button else {
        return Err((StatusCode::CONFLICT, "the message does not show this button any more".into()));
    };
    let answer = in_time(page.slack.click_raw(&me.user, &press.channel, &press.ts, button)).await;
    let says = match &answer {
        Some(Answer { status: 1.., .. }) => {
            format!("This app responded with Status Code {}.", answer.as_ref().map_or(0, |a| a.status))
        }
        None => "This app did not respond in time (operation_timeout).".into(),
        Some(_) => "This app could not be reached (dispatch_failed).".into(),
    };
    match wrong(answer.as_ref()) {
        None => fine(),
        Some((error, why)) => failed(error, &says, &why),
    }
}

/// `POST /page/submit`. Slack itself refuses an empty field; drbot's own complaints come back the same way.
pub(super) async fn submit(State(page): State<Arc<Page>>, Json(sent): Json<Sent>) -> Said {
    let me = page.persona(&sent.actor)?;
    let open = page.slack.views().into_iter().find(|v| v.id == sent.view && v.open && v.user == me.user.user);
    let view = open.ok_or_else(|| refuse("no such modal is open"))?.view;
    let blocks = view["blocks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let needed = blocks.iter().filter(|b| b["type"] == "input" && b["optional"] != true);
    let ids = needed.filter_map(|b| b["block_id"].as_str());
    let empty = ids.filter(|id| sent.values.get(*id).is_none_or(String::is_empty));
    let missing: BTreeMap<&str, &str> = empty.map(|id| (id, "Please complete this required field.")).collect();
    if !missing.is_empty() {
        return Ok(Json(json!({"ok": false, "error": "incomplete", "errors": missing})));
    }
    let values: Vec<(&str, &str)> = sent.values.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let answer = in_time(page.slack.submit(&me.user, &sent.view, &values)).await;
    let answer = answer.transpose().map_err(|e| refuse(&e.to_string()))?;
    if let Some((error, why)) = wrong(answer.as_ref()) {
        return failed(error, "We had some trouble connecting. Try again?", &why);
    }
    let body: Value = serde_json::from_str(&answer.map(|a| a.body).unwrap_or_default()).unwrap_or_default();
    if body["response_action"] == "errors" {
        return Ok(Json(json!({"ok": false, "error": "errors", "errors": body["errors"]})));
    }
    fine()
}

/// `POST /page/close`.
pub(super) async fn close(State(page): State<Arc<Page>>, Json(closed): Json<Closed>) -> Said {
    let me = page.persona(&closed.actor)?;
    if page.slack.close(&me.user.user, &closed.view) { fine() } else { Err(refuse("no such modal is open")) }
}

/// What is said to drbot, if the line begins with its name.
fn to_bot(text: &str) -> Option<&str> {
    let rest = text.trim_start().strip_prefix("@drbot")?;
    (rest.is_empty() || rest.starts_with(|c: char| c.is_whitespace() || matches!(c, ':' | ','))).then_some(rest)
}

impl Page {
    fn known(&self, channel: &str) -> Result<(), (StatusCode, String)> {
        let found = self.slack.channels().iter().any(|(id, _)| id == channel);
        if found { Ok(()) } else { Err(refuse("there is no such channel")) }
    }
}
