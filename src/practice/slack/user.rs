//! The users' side. Takes a gesture of a person; gives the request that Slack would send, signed, and
//! what the bot answered.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value, json};
use sha2::Sha256;
use tokio::time::Instant;
use url::form_urlencoded::Serializer;

use super::method::{draft, wire};
use super::state::{Gesture, Message, Private};
use super::{Practice, User};
use crate::model::time::Millis;

/// Slack shows an error after 3 s; the practice Slack waits longer to see what would have come.
const PATIENCE: Duration = Duration::from_secs(15);
const FORM: &str = "application/x-www-form-urlencoded";

/// Which of the bot's addresses a request goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    Commands,
    Interactions,
    Events,
}

/// A signed request; change a field to forge one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    pub door: Door,
    pub timestamp: String,
    pub signature: String,
    pub body: String,
    /// Which repetition of an event this is, from 1; 0 is the first delivery.
    pub retry: u32,
}

/// What the bot answered; status 0 means no answer at all.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: String,
    pub latency: Duration,
    /// What was sent, to deliver it again.
    pub signed: Signed,
}

/// A button as it is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Button {
    pub label: String,
    pub value: String,
    pub action_id: String,
    pub block_id: String,
    /// The button as JSON, for what is not named here.
    pub element: Value,
}

/// The buttons that a message shows.
#[must_use]
pub fn buttons(message: &Message) -> Vec<Button> {
    drawn(&message.blocks)
}

/// The buttons that a message for one person shows.
#[must_use]
pub fn private_buttons(message: &Private) -> Vec<Button> {
    drawn(&message.blocks)
}

/// The buttons that earlier versions of a message showed, oldest first.
#[must_use]
pub fn past_buttons(message: &Message) -> Vec<Button> {
    message.edits.iter().flat_map(|(_, blocks)| drawn(blocks)).collect()
}

fn drawn(blocks: &[Value]) -> Vec<Button> {
    let mut found = Vec::new();
    for block in blocks {
        let elements = block["elements"].as_array().map(Vec::as_slice).unwrap_or_default();
        for element in elements.iter().chain(block.get("accessory")).filter(|e| e["type"] == "button") {
            let of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            found.push(Button {
                label: of(&element["text"]["text"]),
                value: of(&element["value"]),
                action_id: of(&element["action_id"]),
                block_id: of(&block["block_id"]),
                element: element.clone(),
            });
        }
    }
    found
}

impl Practice {
    /// Types the slash command with `text`. A text or JSON in the answer is shown to the user, as
    /// Slack does.
    pub async fn slash(&self, user: &User, channel: &str, text: &str) -> Answer {
        let signed = self.sign(Door::Commands, self.slash_body(user, channel, text));
        let answer = self.redeliver(&signed).await;
        if let Err(why) = self.show(user, channel, &answer) {
            self.inner.state().violations.push(format!("answer to a slash command: {why}"));
            self.inner.changed();
        }
        answer
    }

    /// Presses a button that the message shows now: by its label or its value.
    ///
    /// # Errors
    /// When the message does not exist or does not show the button, or shows several like it.
    pub async fn click(&self, user: &User, channel: &str, ts: &str, button: &str) -> Result<Answer> {
        let message = self.message(channel, ts).filter(|m| !m.deleted).context("no such message")?;
        let shown = buttons(&message);
        let mut fitting = shown.iter().filter(|b| b.label == button || b.value == button);
        let Some(found) = fitting.next() else {
            let labels: Vec<&str> = shown.iter().map(|b| b.label.as_str()).collect();
            bail!("the message shows no button {button:?}, only {labels:?}");
        };
        if fitting.next().is_some() {
            bail!("the message shows several buttons {button:?}");
        }
        Ok(self.click_raw(user, channel, ts, found).await)
    }

    /// Presses a button of a message that only this person sees.
    ///
    /// # Errors
    /// When it does not show the button.
    pub async fn click_private(&self, user: &User, message: &Private, button: &str) -> Result<Answer> {
        let shown = drawn(&message.blocks);
        let found = shown.iter().find(|b| b.label == button || b.value == button);
        let found = found.with_context(|| format!("the message shows no button {button:?}"))?;
        Ok(self.click_raw(user, &message.channel, &message.ts, found).await)
    }

    /// Presses any button on any message, shown or not: an old card, a forged value.
    pub async fn click_raw(&self, user: &User, channel: &str, ts: &str, button: &Button) -> Answer {
        let payload = self.click_payload(user, channel, ts, button);
        let signed = self.sign(Door::Interactions, form(&[("payload", &payload.to_string())]));
        self.redeliver(&signed).await
    }

    /// Fills an open modal in (`block_id` and text) and sends it. It closes unless the bot answers
    /// with errors.
    ///
    /// # Errors
    /// When Slack would not let the user send it: not open, not theirs, no such field, a field missing.
    pub async fn submit(&self, user: &User, view_id: &str, values: &[(&str, &str)]) -> Result<Answer> {
        let view = self.views().into_iter().find(|v| v.id == view_id && v.open && v.user == user.user);
        let mut view = view.ok_or_else(|| anyhow!("{} has no open modal {view_id}", user.name))?.view;
        view["state"] = json!({"values": filled(&view, values)?});
        let payload = self.submit_payload(user, view.clone());
        let signed = self.sign(Door::Interactions, form(&[("payload", &payload.to_string())]));
        let answer = self.redeliver(&signed).await;
        let reply: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        if answer.status == 200 && reply["response_action"] != "errors" {
            let mut state = self.inner.state();
            if let Some(view) = state.views.iter_mut().find(|v| v.id == view_id) {
                view.open = false;
            }
        }
        if let Some(why) = unfit(&view, &reply) {
            self.inner.state().violations.push(format!("answer to a form: {why}"));
        }
        self.inner.changed();
        Ok(answer)
    }

    /// A body signed for now.
    #[must_use]
    pub fn sign(&self, door: Door, body: String) -> Signed {
        self.sign_at(door, body, self.now())
    }

    /// A body signed for another time.
    #[must_use]
    pub fn sign_at(&self, door: Door, body: String, at: Millis) -> Signed {
        let secret = self.inner.state().setup.signing_secret.clone();
        let timestamp = at.0.div_euclid(1000).to_string();
        let signature = signature(&secret, &timestamp, &body);
        Signed { door, timestamp, signature, body, retry: 0 }
    }

    /// Sends a request as it is; again and again if wanted.
    pub async fn redeliver(&self, signed: &Signed) -> Answer {
        let begun = Instant::now();
        let (status, body) = match self.deliver(signed).await {
            Ok(answer) => answer,
            Err(error) => (0, format!("{error:#}")),
        };
        let latency = begun.elapsed();
        let kind = match signed.door {
            Door::Commands => "slash",
            Door::Events => "event",
            Door::Interactions if signed.body.contains("%22type%22%3A%22view_submission%22") => "submit",
            Door::Interactions => "click",
        };
        self.inner.state().gestures.push(Gesture { kind: kind.into(), status, latency });
        self.inner.changed();
        Answer { status, body, latency, signed: signed.clone() }
    }

    async fn deliver(&self, signed: &Signed) -> Result<(u16, String)> {
        let doors = self.doors.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let (commands, interactions) = doors.context("the practice Slack does not know where the bot is")?;
        let (url, kind) = match signed.door {
            Door::Commands => (commands, FORM),
            Door::Interactions => (interactions, FORM),
            Door::Events => (commands.join("events")?, "application/json"),
        };
        let mut request = self
            .http
            .post(url)
            .timeout(PATIENCE)
            .header("content-type", kind)
            .header("user-agent", "Slackbot 1.0 (+https://api.slack.com/robots)")
            .header("x-slack-request-timestamp", &signed.timestamp)
            .header("x-slack-signature", &signed.signature)
            .body(signed.body.clone());
        if signed.retry > 0 {
            request = request.header("x-slack-retry-num", signed.retry).header("x-slack-retry-reason", "http_error");
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        Ok((status, response.text().await?))
    }

    /// The form of a slash command, with a fresh trigger and response URL.
    #[must_use]
    pub fn slash_body(&self, user: &User, channel: &str, text: &str) -> String {
        let now = self.now();
        let mut state = self.inner.state();
        state.join(channel, user);
        let name = state.channels.get(channel).map(|c| c.name.clone()).unwrap_or_default();
        let trigger = state.trigger(&user.user, now);
        let hook = state.hook(channel, &user.user, now);
        let setup = &state.setup;
        form(&[
            ("token", "verification-token"),
            ("team_id", &user.team),
            ("team_domain", &setup.team_domain),
            ("channel_id", channel),
            ("channel_name", &name),
            ("user_id", &user.user),
            ("user_name", &user.name),
            ("command", &setup.command),
            ("text", text),
            ("api_app_id", &setup.app),
            ("is_enterprise_install", "false"),
            ("response_url", &self.hook_url(&hook)),
            ("trigger_id", &trigger),
        ])
    }

    /// The payload of a click, with a fresh trigger and response URL. The message inside is the newest
    /// version that shows the button: what the user saw.
    #[must_use]
    pub fn click_payload(&self, user: &User, channel: &str, ts: &str, button: &Button) -> Value {
        let now = self.now();
        let message = self.message(channel, ts).map(|m| seen(m, button));
        let mut state = self.inner.state();
        state.join(channel, user);
        let name = state.channels.get(channel).map(|c| c.name.clone()).unwrap_or_default();
        let trigger = state.trigger(&user.user, now);
        let hook = state.hook(channel, &user.user, now);
        let action_ts = state.ts(now);
        let mut action = json!({
            "type": "button", "action_id": button.action_id, "block_id": button.block_id,
            "value": button.value, "text": button.element["text"], "action_ts": action_ts,
        });
        if let Some(style) = button.element.get("style") {
            action["style"] = style.clone();
        }
        let alone = state.privates.iter().any(|p| p.ts == ts && p.channel == channel);
        let mut container = json!({"type": "message", "message_ts": ts, "channel_id": channel, "is_ephemeral": alone});
        let mut shown = message.as_ref().map_or(Value::Null, |m| wire(m, true));
        if let Some(thread) = message.and_then(|m| m.thread_ts) {
            container["thread_ts"] = thread.into();
        }
        shown["app_id"] = state.setup.app.clone().into();
        let mut payload = self.envelope(&state.setup, "block_actions", user);
        payload["container"] = container;
        payload["trigger_id"] = trigger.into();
        payload["channel"] = json!({"id": channel, "name": name});
        if !alone {
            // Slack does not send the text of a message that only one person sees.
            payload["message"] = shown;
        }
        payload["state"] = json!({"values": {}});
        payload["response_url"] = self.hook_url(&hook).into();
        payload["actions"] = json!([action]);
        payload
    }

    fn submit_payload(&self, user: &User, view: Value) -> Value {
        let now = self.now();
        let mut state = self.inner.state();
        let trigger = state.trigger(&user.user, now);
        let mut payload = self.envelope(&state.setup, "view_submission", user);
        payload["trigger_id"] = trigger.into();
        payload["view"] = view;
        payload["response_urls"] = json!([]);
        payload
    }

    fn envelope(&self, setup: &super::Setup, kind: &str, user: &User) -> Value {
        json!({
            "type": kind, "api_app_id": setup.app, "token": "verification-token",
            "team": {"id": user.team, "domain": setup.team_domain}, "enterprise": null,
            "is_enterprise_install": false,
            "user": {"id": user.user, "username": user.name, "name": user.name, "team_id": user.team},
        })
    }

    fn hook_url(&self, hook: &str) -> String {
        format!("http://{}/_hooks/response/{hook}", self.inner.address)
    }

    /// What Slack does with the answer to a slash command.
    fn show(&self, user: &User, channel: &str, answer: &Answer) -> Result<()> {
        if answer.status != 200 || answer.body.trim().is_empty() {
            return Ok(());
        }
        let said: Value = serde_json::from_str(&answer.body).unwrap_or_else(|_| json!({"text": answer.body}));
        if said.get("text").is_none() && said.get("blocks").is_none() {
            return Ok(());
        }
        let now = self.now();
        let mut state = self.inner.state();
        let shown = if said["response_type"] == "in_channel" {
            state.post(channel, draft(&said), now)
        } else {
            state.whisper((channel, &user.user), draft(&said), "answer", now)
        };
        drop(state);
        self.inner.changed();
        shown.map(|_| ()).map_err(|slip| anyhow!("{} {}", slip.error, slip.messages.join("; ")))
    }
}

/// The newest version of the message that shows the button, or the message as it is.
fn seen(mut message: Message, button: &Button) -> Message {
    if buttons(&message).contains(button) {
        return message;
    }
    if let Some((text, blocks)) = message.edits.iter().rfind(|(_, blocks)| drawn(blocks).contains(button)).cloned() {
        message.text = text;
        message.blocks = blocks;
    }
    message
}

/// The state of a modal's fields: what was filled in, else what stood there already. An empty value empties
/// its field.
fn filled(view: &Value, values: &[(&str, &str)]) -> Result<Map<String, Value>> {
    let mut state = Map::new();
    let blocks = view["blocks"].as_array().map(Vec::as_slice).unwrap_or_default();
    for block in blocks.iter().filter(|b| b["type"] == "input") {
        let id = block["block_id"].as_str().unwrap_or_default();
        let element = &block["element"];
        let given = values.iter().find(|(block, _)| *block == id).map(|(_, value)| (*value).to_owned());
        let value = given.or_else(|| set(element)).filter(|v| !v.is_empty());
        let value = value.as_deref();
        if value.is_none() && block["optional"] != true {
            bail!("the field {id:?} must be filled in");
        }
        let length = value.map_or(0, |v| v.chars().count() as u64);
        if element["max_length"].as_u64().is_some_and(|most| length > most) {
            bail!("the field {id:?} takes no {length} characters");
        }
        let action = element["action_id"].as_str().unwrap_or_default();
        let kind = &element["type"];
        let stands = match kind.as_str() {
            Some("multi_static_select") => {
                let each = value.into_iter().flat_map(|v| v.split(','));
                let all: Result<Vec<Value>> = each.map(|v| chosen(element, id, Some(v))).collect();
                json!({"type": kind, "selected_options": all?})
            }
            Some("static_select") => json!({"type": kind, "selected_option": chosen(element, id, value)?}),
            _ => json!({"type": kind, "value": value}),
        };
        state.insert(id.to_owned(), json!({action: stands}));
    }
    if let Some((unknown, _)) = values.iter().find(|(block, _)| !state.contains_key(*block)) {
        bail!("the modal has no field {unknown:?}");
    }
    Ok(state)
}

/// What stands in a field before anybody touches it; several options joined by commas.
fn set(element: &Value) -> Option<String> {
    let several = element["initial_options"]
        .as_array()
        .map(|all| all.iter().filter_map(|o| o["value"].as_str()).collect::<Vec<_>>().join(","));
    let one = element["initial_value"].as_str().or(element["initial_option"]["value"].as_str());
    one.map(str::to_owned).or(several)
}

/// The option of a list that has this value.
fn chosen(element: &Value, id: &str, value: Option<&str>) -> Result<Value> {
    let Some(value) = value else { return Ok(Value::Null) };
    let options = element["options"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = options.iter().find(|o| o["value"] == value);
    found.cloned().ok_or_else(|| anyhow!("the field {id:?} has no option {value:?}"))
}

/// Why Slack would show its own error for this answer to a form, instead of what the bot says.
fn unfit(view: &Value, reply: &Value) -> Option<String> {
    let action = reply.get("response_action")?.as_str().unwrap_or_default();
    let errors = reply["errors"].as_object().filter(|_| action == "errors");
    let Some(errors) = errors.filter(|e| !e.is_empty()) else {
        return Some(format!("response_action {action:?} without errors"));
    };
    let blocks = view["blocks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let known = |id: &str| blocks.iter().any(|b| b["type"] == "input" && b["block_id"] == id);
    let odd = errors.iter().find(|(id, text)| !known(id) || text.as_str().is_none_or(str::is_empty));
    odd.map(|(id, text)| format!("an error {text} under {id:?}, which is no input of the modal or says nothing"))
}

fn form(pairs: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Slack's signature v0, written here once more: the bot's own check must not vouch for itself.
fn signature(secret: &str, timestamp: &str, body: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(format!("v0:{timestamp}:{body}").as_bytes());
    format!("v0={}", hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::signature;

    #[test]
    fn the_signature_is_slacks() {
        let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
        let expected = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
        assert_eq!(signature("8f742231b10e8888abcd99yyyzzz85a5", "1531420618", body), expected);
    }
}
