//! Mentions of the bot. Takes what a person writes; gives the `app_mention` event that Slack would send,
//! signed, and sends it again while the bot does not take it, as Slack does.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::user::{Answer, Door, Signed};
use super::{Practice, User};

/// How long Slack waits before each repetition: almost not at all, a minute, five minutes.
const RETRIES: [Duration; 3] = [Duration::ZERO, Duration::from_secs(60), Duration::from_secs(300)];

/// A message that mentions the bot, and the event that tells of it; change a field of the event to forge one.
#[derive(Debug, Clone, PartialEq)]
pub struct Mention {
    /// The message's own time stamp.
    pub ts: String,
    pub event: Value,
}

impl Practice {
    /// A person writes `@drbot TEXT` into a channel or a thread, and the bot is told once. `text` is
    /// escaped as Slack escapes what people type.
    ///
    /// # Errors
    /// When there is no such channel or thread.
    pub async fn mention(&self, user: &User, place: (&str, Option<&str>), text: &str) -> Result<Answer> {
        let mention = self.mentioned(user, place, &escaped(text))?;
        Ok(self.redeliver(&self.sign(Door::Events, mention.event.to_string())).await)
    }

    /// Brings an event to the bot, and again as Slack does while that does not answer with success; gives
    /// the last answer.
    pub async fn bring(&self, event: &Value) -> Answer {
        let mut answer = self.redeliver(&self.sign(Door::Events, event.to_string())).await;
        for (pause, number) in RETRIES.into_iter().zip(1..) {
            if (200..300).contains(&answer.status) {
                break;
            }
            tokio::time::sleep(pause).await;
            answer = self.redeliver(&self.repeated(event, number)).await;
        }
        answer
    }

    /// The bot's account, which messages mention.
    #[must_use]
    pub fn bot_user(&self) -> String {
        self.inner.state().setup.bot_user.clone()
    }

    /// An event once more, as its repetition of this number: the same `event_id`, signed anew.
    #[must_use]
    pub fn repeated(&self, event: &Value, number: u32) -> Signed {
        Signed { retry: number, ..self.sign(Door::Events, event.to_string()) }
    }

    /// The message stands in the channel; gives it with its event, without sending that. `text` is
    /// Slack's markup and comes after the mention.
    ///
    /// # Errors
    /// When there is no such channel or thread.
    pub fn mentioned(&self, user: &User, place: (&str, Option<&str>), text: &str) -> Result<Mention> {
        let (bot_user, team, app) = {
            let mut state = self.inner.state();
            state.join(place.0, user);
            (state.setup.bot_user.clone(), state.setup.team.clone(), state.setup.app.clone())
        };
        let text = format!("<@{bot_user}> {text}");
        let ts = self.say_in(user, place, &text)?;
        let mut state = self.inner.state();
        let (event_id, message_id) = (state.id("Ev"), state.id("m-").to_lowercase());
        drop(state);
        let seconds = self.now().0.div_euclid(1_000);
        let mut event = json!({
            "type": "app_mention", "user": user.user, "text": text, "channel": place.0, "ts": ts, "event_ts": ts,
            "client_msg_id": message_id, "team": user.team,
        });
        if let Some(thread) = place.1 {
            event["thread_ts"] = thread.into();
        }
        let foreign = user.team != team;
        if foreign {
            event["user_team"] = user.team.clone().into();
            event["source_team"] = user.team.clone().into();
        }
        let body = json!({
            "token": "verification-token", "team_id": team, "context_team_id": team, "api_app_id": app,
            "type": "event_callback", "event_id": event_id, "event_time": seconds, "event": event,
            "is_ext_shared_channel": foreign, "event_context": format!("4-{event_id}"),
            "authorizations": [{"team_id": team, "user_id": bot_user, "is_bot": true, "enterprise_id": null,
                "is_enterprise_install": false}],
        });
        Ok(Mention { ts, event: body })
    }
}

/// Slack escapes what people type.
#[must_use]
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
