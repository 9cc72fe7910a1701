//! The methods of the practice Slack. Takes parameters; gives Slack's answer, after complaining about
//! every parameter that the method does not know, lacks, or has in another type.

use std::time::Duration;

use serde_json::{Value, json};

use super::state::{Channel, Draft, Message, Slip, State};
use crate::model::time::Millis;

/// What a parameter must be.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Flag,
    List,
    Object,
}

/// A method: how its body is written and what it takes; `true` marks what it needs.
pub struct Method {
    pub json: bool,
    /// It may be asked with GET as well, its parameters in the address.
    pub reads: bool,
    params: &'static [(&'static str, Kind, bool)],
}

const POST: Method = Method {
    json: true,
    reads: false,
    params: &[
        ("channel", Kind::Text, true),
        ("text", Kind::Text, true),
        ("blocks", Kind::List, false),
        ("thread_ts", Kind::Text, false),
        ("reply_broadcast", Kind::Flag, false),
        ("metadata", Kind::Object, false),
        ("unfurl_links", Kind::Flag, false),
        ("unfurl_media", Kind::Flag, false),
        ("link_names", Kind::Flag, false),
    ],
};
const UPDATE: Method = Method {
    json: true,
    reads: false,
    params: &[
        ("channel", Kind::Text, true),
        ("ts", Kind::Text, true),
        ("text", Kind::Text, true),
        ("blocks", Kind::List, false),
        ("link_names", Kind::Flag, false),
    ],
};
const EPHEMERAL: Method = Method {
    json: true,
    reads: false,
    params: &[
        ("channel", Kind::Text, true),
        ("user", Kind::Text, true),
        ("thread_ts", Kind::Text, false),
        ("text", Kind::Text, true),
        ("blocks", Kind::List, false),
        ("link_names", Kind::Flag, false),
    ],
};
const OPEN: Method =
    Method { json: true, reads: false, params: &[("trigger_id", Kind::Text, true), ("view", Kind::Object, true)] };
const AUTH: Method = Method { json: false, reads: false, params: &[] };
const HISTORY: Method = Method {
    json: false,
    reads: false,
    params: &[
        ("channel", Kind::Text, true),
        ("oldest", Kind::Text, false),
        ("inclusive", Kind::Text, false),
        ("include_all_metadata", Kind::Text, false),
        ("limit", Kind::Text, false),
        ("cursor", Kind::Text, false),
    ],
};
const REPLIES: Method = Method {
    json: false,
    reads: false,
    params: &[
        ("channel", Kind::Text, true),
        ("ts", Kind::Text, true),
        ("oldest", Kind::Text, false),
        ("inclusive", Kind::Text, false),
        ("include_all_metadata", Kind::Text, false),
        ("limit", Kind::Text, false),
        ("cursor", Kind::Text, false),
    ],
};
const INFO: Method = Method { json: false, reads: true, params: &[("channel", Kind::Text, true)] };
const MEMBERS: Method = Method {
    json: false,
    reads: true,
    params: &[("channel", Kind::Text, true), ("limit", Kind::Text, false), ("cursor", Kind::Text, false)],
};
const HOOK: Method = Method {
    json: true,
    reads: false,
    params: &[
        ("text", Kind::Text, true),
        ("blocks", Kind::List, false),
        ("response_type", Kind::Text, true),
        ("replace_original", Kind::Flag, true),
    ],
};

/// The method of this name; `response_url` is one too.
#[must_use]
pub fn known(name: &str) -> Option<&'static Method> {
    match name {
        "chat.postMessage" => Some(&POST),
        "chat.update" => Some(&UPDATE),
        "chat.postEphemeral" => Some(&EPHEMERAL),
        "views.open" => Some(&OPEN),
        "auth.test" => Some(&AUTH),
        "conversations.history" => Some(&HISTORY),
        "conversations.replies" => Some(&REPLIES),
        "conversations.info" => Some(&INFO),
        "conversations.members" => Some(&MEMBERS),
        "response_url" => Some(&HOOK),
        _ => None,
    }
}

impl Method {
    /// Everything that is wrong with the parameters.
    #[must_use]
    pub fn complaints(&self, params: &Value) -> Vec<String> {
        let Some(map) = params.as_object() else {
            return vec!["the body is not an object".into()];
        };
        let mut found = Vec::new();
        for (key, value) in map {
            match self.params.iter().find(|(name, ..)| name == key) {
                None => found.push(format!("unknown parameter {key}")),
                Some((_, Kind::Text, _)) if !value.is_string() => found.push(format!("{key} is not a string")),
                Some((_, Kind::Flag, _)) if !value.is_boolean() => found.push(format!("{key} is not a boolean")),
                Some((_, Kind::List, _)) if !value.is_array() => found.push(format!("{key} is not a list")),
                Some((_, Kind::Object, _)) if !value.is_object() => found.push(format!("{key} is not an object")),
                Some(_) => {}
            }
        }
        let missing = self.params.iter().filter(|(name, _, needed)| *needed && !map.contains_key(*name));
        found.extend(missing.map(|(name, ..)| format!("missing parameter {name}")));
        found
    }
}

/// How long to wait before the next post into this channel, when the limit is on.
#[must_use]
pub fn too_soon(state: &State, method: &str, params: &Value, now: Millis) -> Option<Duration> {
    if method != "chat.postMessage" {
        return None;
    }
    let last = state.channels.get(params["channel"].as_str()?)?.last_post?;
    let passed = Duration::from_millis(u64::try_from(now.0 - last.0).unwrap_or_default());
    state.spacing?.checked_sub(passed).filter(|left| !left.is_zero())
}

/// Carries a call out.
///
/// # Errors
/// What Slack would say.
pub fn run(state: &mut State, method: &str, params: &Value, now: Millis) -> Result<Value, Slip> {
    let of = |key: &str| params[key].as_str().unwrap_or_default();
    match method {
        "auth.test" => Ok(json!({
            "ok": true, "url": "https://practice.slack.example/", "team": state.setup.team_domain,
            "user": "drbot", "team_id": state.setup.team, "user_id": state.setup.bot_user,
            "bot_id": state.setup.bot, "is_enterprise_install": false,
        })),
        "chat.postMessage" => {
            metadata(&params["metadata"])?;
            let ts = state.post(of("channel"), draft(params), now)?;
            let shown = state.channels.get(of("channel")).and_then(|c| c.messages.last()).map(|m| wire(m, true));
            Ok(json!({"ok": true, "channel": of("channel"), "ts": ts, "message": shown}))
        }
        "chat.update" => {
            state.update(of("channel"), of("ts"), draft(params))?;
            Ok(json!({"ok": true, "channel": of("channel"), "ts": of("ts"), "text": of("text")}))
        }
        "chat.postEphemeral" => {
            let ts = state.whisper((of("channel"), of("user")), draft(params), method, now)?;
            Ok(json!({"ok": true, "message_ts": ts}))
        }
        "views.open" => {
            let view = state.open(of("trigger_id"), params["view"].clone(), now)?;
            Ok(json!({"ok": true, "view": view}))
        }
        "conversations.history" | "conversations.replies" => pages(state, method, params),
        "conversations.info" => {
            let channel = found(state, params)?;
            Ok(json!({"ok": true, "channel": {
                "id": of("channel"), "name": channel.name, "is_channel": true, "is_private": channel.private,
                "is_archived": false, "is_ext_shared": false, "is_member": channel.members.contains(&state.setup.bot_user),
            }}))
        }
        "conversations.members" => {
            // One page, as for any channel of fewer than 1000 members.
            let members = &found(state, params)?.members;
            Ok(json!({"ok": true, "members": members, "response_metadata": {"next_cursor": ""}}))
        }
        _ => Err(Slip::new("unknown_method")),
    }
}

/// The channel of these parameters.
fn found<'a>(state: &'a State, params: &Value) -> Result<&'a Channel, Slip> {
    state.channels.get(params["channel"].as_str().unwrap_or_default()).ok_or_else(|| Slip::new("channel_not_found"))
}

/// What a call wants to say.
#[must_use]
pub fn draft(params: &Value) -> Draft {
    Draft {
        thread: params["thread_ts"].as_str().map(str::to_owned),
        text: params["text"].as_str().unwrap_or_default().to_owned(),
        blocks: params["blocks"].as_array().cloned().unwrap_or_default(),
        metadata: params.get("metadata").cloned(),
    }
}

fn metadata(metadata: &Value) -> Result<(), Slip> {
    let right = metadata.is_null() || (metadata["event_type"].is_string() && metadata["event_payload"].is_object());
    if right { Ok(()) } else { Err(Slip::new("invalid_metadata_format")) }
}

/// One page of a channel, newest first, or of a thread, oldest first.
fn pages(state: &State, method: &str, params: &Value) -> Result<Value, Slip> {
    let of = |key: &str| params[key].as_str().unwrap_or_default();
    let channel = found(state, params)?;
    let alive = channel.messages.iter().filter(|m| !m.deleted);
    let oldest = micros(of("oldest"));
    let recent = |m: &Message| micros(&m.ts) > oldest || (of("inclusive") == "true" && micros(&m.ts) == oldest);
    let listed: Vec<&Message> = if method == "conversations.replies" {
        if !alive.clone().any(|m| m.ts == of("ts")) {
            return Err(Slip::new("thread_not_found"));
        }
        alive.filter(|m| m.ts == of("ts") || (m.thread_ts.as_deref() == Some(of("ts")) && recent(m))).collect()
    } else {
        alive.rev().filter(|m| m.thread_ts.is_none() && recent(m)).collect()
    };
    let from = match of("cursor").strip_prefix("after:") {
        Some(ts) => {
            listed.iter().position(|m| m.ts == ts).map(|at| at + 1).ok_or_else(|| Slip::new("invalid_cursor"))?
        }
        None if of("cursor").is_empty() => 0,
        None => return Err(Slip::new("invalid_cursor")),
    };
    let asked = of("limit").parse().unwrap_or(100).min(state.page);
    let page: Vec<&&Message> = listed.iter().skip(from).take(asked).collect();
    let more = from + page.len() < listed.len();
    let cursor = page.last().filter(|_| more).map(|m| format!("after:{}", m.ts)).unwrap_or_default();
    let all = of("include_all_metadata") == "true";
    let messages: Vec<Value> = page.iter().map(|m| wire(m, all)).collect();
    Ok(json!({"ok": true, "messages": messages, "has_more": more, "response_metadata": {"next_cursor": cursor}}))
}

fn micros(ts: &str) -> i128 {
    let (seconds, rest) = ts.split_once('.').unwrap_or((ts, "0"));
    let rest = format!("{rest:0<6}");
    seconds.parse::<i128>().unwrap_or_default() * 1_000_000 + rest[..6].parse::<i128>().unwrap_or_default()
}

/// A message as Slack sends it. Without `include_all_metadata` only the type of the metadata shows.
#[must_use]
pub fn wire(message: &Message, all_metadata: bool) -> Value {
    let mut out = json!({
        "type": "message", "ts": message.ts, "channel": message.channel, "user": message.user,
        "text": message.text, "blocks": message.blocks,
    });
    if let Some(bot) = &message.bot {
        out["bot_id"] = bot.clone().into();
    }
    if let Some(thread) = &message.thread_ts {
        out["thread_ts"] = thread.clone().into();
    }
    if let Some(metadata) = &message.metadata {
        out["metadata"] = if all_metadata { metadata.clone() } else { json!({"event_type": metadata["event_type"]}) };
    }
    if !message.edits.is_empty() {
        out["edited"] = json!({"user": message.user, "ts": message.ts});
    }
    out
}
