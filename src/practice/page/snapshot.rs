//! The workspace as one person sees it. Takes a person; gives channels, messages, their private messages
//! and their open modal as JSON.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Page, Persona, fault};
use crate::model::command::VERBS;
use crate::practice::slack::{Channel, Message, Private};

/// How many objections are shown.
const OBJECTIONS: usize = 20;

#[derive(Deserialize)]
pub(super) struct Who {
    #[serde(rename = "as")]
    actor: String,
}

/// `GET /page/state?as=U01ALICE`.
pub(super) async fn state(
    State(page): State<Arc<Page>>,
    Query(who): Query<Who>,
) -> Result<Json<Value>, (StatusCode, String)> {
    let me = page.persona(&who.actor)?;
    Ok(Json(page.seen_by(me)))
}

impl Page {
    /// The person with this account.
    pub(super) fn persona(&self, user: &str) -> Result<&Persona, (StatusCode, String)> {
        let found = self.people.iter().find(|p| p.user.user == user);
        found.ok_or_else(|| (StatusCode::BAD_REQUEST, format!("there is nobody {user:?} here")))
    }

    fn seen_by(&self, me: &Persona) -> Value {
        let version = *self.slack.changes().borrow();
        let privates = self.slack.all_privates();
        let own: Vec<&Private> = privates.iter().filter(|p| p.user == me.user.user).collect();
        let channels: Vec<Value> = self.slack.channels().iter().map(|(id, c)| self.channel(id, c, &own)).collect();
        let people: Vec<Value> = self.people.iter().map(|p| person(p, &privates)).collect();
        let view = self.slack.views().into_iter().rfind(|v| v.open && v.user == me.user.user).map(|v| v.view);
        let commands: Vec<Value> =
            VERBS.iter().map(|v| json!({"name": v.name, "usage": v.usage(), "summary": v.summary})).collect();
        let troubles = self.slack.troubles();
        let objections: Vec<&String> = troubles.violations.iter().rev().take(OBJECTIONS).collect();
        json!({
            "version": version, "me": me.user.user, "people": people, "channels": channels, "view": view,
            "commands": commands, "bot": self.bot, "panel": self.panel.is_some(),
            "faults": fault::shown(&troubles), "objections": objections,
        })
    }

    fn channel(&self, id: &str, channel: &Channel, own: &[&Private]) -> Value {
        let messages: Vec<Value> = channel.messages.iter().filter(|m| !m.deleted).map(|m| self.message(m)).collect();
        let privates: Vec<Value> = own
            .iter()
            .filter(|p| p.channel == id)
            .map(|p| json!({"ts": p.ts, "thread": p.thread, "text": p.text, "blocks": p.blocks}))
            .collect();
        json!({"id": id, "name": channel.name, "messages": messages, "privates": privates})
    }

    fn message(&self, message: &Message) -> Value {
        let person = self.people.iter().find(|p| p.user.user == message.user);
        let name = if message.bot.is_some() { "drbot" } else { person.map_or(message.user.as_str(), |p| &p.name) };
        let bot = self.slack.bot_user();
        let text = message.text.replace(&format!("<@{bot}>"), &format!("<@{bot}|@drbot>"));
        json!({
            "ts": message.ts, "thread": message.thread_ts, "name": name, "app": message.bot.is_some(),
            "text": text, "blocks": message.blocks, "edits": message.edits.len(), "user": message.user,
        })
    }
}

fn person(persona: &Persona, privates: &[Private]) -> Value {
    let theirs: Vec<Value> = privates
        .iter()
        .filter(|p| p.user == persona.user.user)
        .map(|p| json!({"channel": p.channel, "ts": p.ts, "thread": p.thread}))
        .collect();
    json!({"user": persona.user.user, "name": persona.name, "roles": persona.roles, "privates": theirs})
}
