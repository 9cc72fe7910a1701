//! The settings drawer: what the practice Slack gets wrong on purpose. Takes the name of a fault and of a
//! method; sets it, and says what is set.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Page;
use crate::practice::slack::{Fault, Troubles};

/// The calls that can be made to fail.
const METHODS: [&str; 6] =
    ["chat.postMessage", "chat.update", "chat.postEphemeral", "views.open", "response_url", "conversations.replies"];

/// Name and meaning of every fault.
const KINDS: [(&str, &str); 11] = [
    ("limited", "429 rate limited, try again in 3 s"),
    ("status-500", "500, not carried out"),
    ("status-500-after", "carried out, then 500"),
    ("hang", "carried out, then no answer"),
    ("trickle", "carried out, then one byte a second"),
    ("half", "carried out, then half the answer"),
    ("bad-json", "carried out, then a broken answer"),
    ("invalid-blocks", "refused: invalid_blocks"),
    ("channel-not-found", "refused: channel_not_found"),
    ("invalid-auth", "refused: invalid_auth"),
    ("fatal-error-after", "carried out, then fatal_error"),
];

fn fault(kind: &str) -> Option<Fault> {
    Some(match kind {
        "limited" => Fault::Limited(Some("3".into())),
        "status-500" => Fault::Status(500),
        "status-500-after" => Fault::StatusAfter(500),
        "hang" => Fault::Hang,
        "trickle" => Fault::Trickle,
        "half" => Fault::Half,
        "bad-json" => Fault::BadJson,
        "invalid-blocks" => Fault::Refuse("invalid_blocks".into()),
        "channel-not-found" => Fault::Refuse("channel_not_found".into()),
        "invalid-auth" => Fault::Refuse("invalid_auth".into()),
        "fatal-error-after" => Fault::RefuseAfter("fatal_error".into()),
        _ => return None,
    })
}

/// What to change.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, tag = "do", rename_all = "kebab-case")]
pub(super) enum Order {
    /// Make a method fail, once or until healed.
    Set { method: String, kind: String, always: bool },
    /// One post a second and channel.
    Limit { on: bool },
    /// Nobody listens.
    Down { on: bool },
    /// Everything works again.
    Heal,
}

/// `POST /page/fault`.
pub(super) async fn set(
    State(page): State<Arc<Page>>,
    Json(order): Json<Order>,
) -> Result<Json<Value>, (StatusCode, String)> {
    let slack = &page.slack;
    let unknown = |what: &str| (StatusCode::BAD_REQUEST, format!("there is no {what:?} here"));
    match order {
        Order::Set { method, kind, always } => {
            let fault = fault(&kind).ok_or_else(|| unknown(&kind))?;
            if !METHODS.contains(&method.as_str()) {
                return Err(unknown(&method));
            }
            if always { slack.fault(&method, fault) } else { slack.fault_once(&method, fault) }
        }
        Order::Limit { on } => slack.limit(on.then_some(Duration::from_secs(1))),
        Order::Down { on: true } => slack.down().await,
        Order::Down { on: false } => up(&page).await?,
        Order::Heal => {
            slack.heal();
            slack.limit(None);
            up(&page).await?;
        }
    }
    slack.touch();
    Ok(Json(json!({"ok": true})))
}

async fn up(page: &Page) -> Result<(), (StatusCode, String)> {
    if !page.slack.troubles().down {
        return Ok(());
    }
    page.slack.up().await.map_err(|e| (StatusCode::CONFLICT, format!("{e:#}")))
}

/// What can be set, and what is.
pub(super) fn shown(troubles: &Troubles) -> Value {
    let kinds: Vec<Value> = KINDS.iter().map(|(name, says)| json!({"name": name, "says": says})).collect();
    let set: Vec<Value> = troubles
        .faults
        .iter()
        .map(|(method, set, always)| {
            let says = KINDS.iter().find(|(name, _)| fault(name).as_ref() == Some(set)).map_or("a fault", |k| k.1);
            json!({"method": method, "says": says, "always": always})
        })
        .collect();
    json!({"methods": METHODS, "kinds": kinds, "set": set, "limited": troubles.limited, "down": troubles.down})
}
