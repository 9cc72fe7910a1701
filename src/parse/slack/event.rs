//! Slack's Events API: the set-up challenge and mentions of the bot. Takes a verified body; gives a
//! challenge to echo, or what was said with the key it is deduplicated by, or why there is nothing to do.

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::model::inbound::{Delivery, Input, Place};
use crate::model::person::Speaker;
use crate::parse::slash;
use crate::verify::Verified;

/// What an event asks for.
#[derive(Debug)]
pub enum Event {
    /// The address is being set up: answer with exactly this.
    Challenge(String),
    /// A person spoke to the bot; the key names the gesture, not the request that brought it.
    Said(Box<Delivery>),
    /// Nothing to do, and why.
    Ignored(String),
}

/// The longest id of Slack's that is taken; real ones have 36 characters at most.
const LONGEST_ID: usize = 64;

/// Reads a body of the Events API.
///
/// # Errors
/// Names what is missing or not as Slack documents it.
pub fn event(verified: &Verified) -> Result<Event, String> {
    let outer: Outer =
        serde_json::from_slice(verified.body()).map_err(|e| format!("the body is not a Slack event: {e}"))?;
    match outer.kind.as_str() {
        "url_verification" => outer.challenge.map(Event::Challenge).ok_or_else(|| "`challenge` is missing".into()),
        "event_callback" => outer.callback(),
        other => Ok(Event::Ignored(format!("a delivery of type `{other}`"))),
    }
}

#[derive(Deserialize)]
struct Outer {
    #[serde(rename = "type")]
    kind: String,
    challenge: Option<String>,
    team_id: Option<String>,
    event_id: Option<String>,
    #[serde(default)]
    is_ext_shared_channel: bool,
    #[serde(default)]
    authorizations: Vec<Authorization>,
    /// Read only once its type is known: other events have other fields.
    #[serde(default)]
    event: serde_json::Value,
}

#[derive(Deserialize)]
struct Authorization {
    user_id: Option<String>,
    #[serde(default)]
    is_bot: bool,
}

#[derive(Deserialize)]
struct Mention {
    user: Option<String>,
    #[serde(default)]
    text: String,
    channel: String,
    thread_ts: Option<String>,
    client_msg_id: Option<String>,
    bot_id: Option<String>,
    team: Option<String>,
    user_team: Option<String>,
    source_team: Option<String>,
}

impl Outer {
    fn callback(self) -> Result<Event, String> {
        if self.event["type"] != "app_mention" {
            return Ok(Event::Ignored(format!("an event of type {}", self.event["type"])));
        }
        let mention: Mention = serde_json::from_value(self.event.clone())
            .map_err(|e| format!("`event` is not a mention as Slack documents it: {e}"))?;
        let own = self.authorizations.iter().find(|a| a.is_bot).and_then(|a| a.user_id.as_deref());
        let user = match mention.user.as_deref() {
            Some(user) if mention.bot_id.is_none() && own != Some(user) => user.to_owned(),
            // Bots talking to each other never stop.
            _ => return Ok(Event::Ignored("a mention by a bot".into())),
        };
        let by = Speaker { team: self.team_of(&mention)?, user };
        let key = self.key(&mention, &by)?;
        let thread = mention.thread_ts.clone().filter(|ts| is_ts(ts));
        let place = Place { channel: mention.channel.clone(), thread, mention: true, ..Place::default() };
        let said = match command(&mention.text, own) {
            Some(text) => slash::parse(&text),
            None => Err("Begin the message with `@drbot` and write the command after it, for example \
                 `@drbot status`. Nothing was done."
                .into()),
        };
        Ok(Event::Said(Box::new(Delivery { key, input: Input::Said { by, place, said } })))
    }

    /// The team of the person. In a shared channel the delivery's own team says nothing about who spoke,
    /// so only what names the person's team counts; where that is missing or contradicts itself the team
    /// is unknown, and an account of an unknown team is nobody.
    fn team_of(&self, mention: &Mention) -> Result<String, String> {
        let outer = self.team_id.as_ref().ok_or("`team_id` is missing")?;
        let known = match (&mention.user_team, &mention.source_team) {
            (Some(a), Some(b)) => (a == b).then_some(a),
            (Some(one), None) | (None, Some(one)) => Some(one),
            (None, None) if self.is_ext_shared_channel => None,
            (None, None) => mention.team.as_ref().is_none_or(|t| t == outer).then_some(outer),
        };
        Ok(known.cloned().unwrap_or_default())
    }

    /// The name of the gesture. Slack may bring one message as two events, each with its own `event_id`,
    /// so the id that the person's own program gave the message counts before it. That id is the person's
    /// to choose: it only ever stands beside their account, so that nobody can use up another's.
    fn key(&self, mention: &Mention, by: &Speaker) -> Result<String, String> {
        if let Some(id) = mention.client_msg_id.as_deref().filter(|id| is_id(id)) {
            let name = Sha256::digest(serde_json::json!([by.team, by.user, id]).to_string());
            return Ok(format!("slack/said/{}", hex::encode(name)));
        }
        let id = self.event_id.as_deref().filter(|id| is_id(id)).ok_or("`event_id` is missing or not an id")?;
        Ok(format!("slack/event/{id}"))
    }
}

fn is_id(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    (1..=LONGEST_ID).contains(&text.len()) && plain
}

fn is_ts(text: &str) -> bool {
    (1..=LONGEST_ID).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

/// What stands after the mention that begins the text; `None` if the text does not begin with one of the
/// bot: then it talks about the bot, not to it. Cards write commands as `/dr …`, so that is taken too.
fn command(text: &str, own: Option<&str>) -> Option<String> {
    let (inside, rest) = text.trim_start().strip_prefix("<@")?.split_once('>')?;
    let id = inside.split('|').next().unwrap_or_default();
    if own.is_some_and(|own| own != id) {
        return None;
    }
    let plain = plain(rest);
    let plain = plain.trim_start_matches([':', ',']).trim();
    let bare = plain.strip_prefix("/dr").filter(|r| r.is_empty() || r.starts_with(char::is_whitespace));
    Some(bare.unwrap_or(plain).trim().to_owned())
}

/// Slack's markup as the text a person would have typed.
fn plain(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find('<') {
        out.push_str(&entities(&rest[..at]));
        match rest[at + 1..].split_once('>') {
            Some((inside, after)) => {
                out.push_str(&reference(inside));
                rest = after;
            }
            None => {
                out.push_str(&entities(&rest[at..]));
                return out;
            }
        }
    }
    out.push_str(&entities(rest));
    out
}

fn reference(inside: &str) -> String {
    let (target, label) = inside.split_once('|').unwrap_or((inside, ""));
    let (target, label) = (entities(target), entities(label));
    // A person's label is a display name, which anybody can change: the id stays.
    if target.starts_with('@') {
        return target;
    }
    if let Some(channel) = target.strip_prefix('#') {
        return format!("#{}", if label.is_empty() { channel } else { &label });
    }
    if let Some(special) = target.strip_prefix('!') {
        return if label.is_empty() { format!("@{special}") } else { label };
    }
    // Slack makes links of what looks like one; then the label is what was typed.
    let typed = label.is_empty() || target.ends_with(&label) || target.trim_end_matches('/').ends_with(&label);
    match (typed, label.is_empty()) {
        (true, true) => target,
        (true, false) => label,
        (false, _) => format!("{label} ({target})"),
    }
}

/// The three characters that Slack escapes, in one pass: `&amp;lt;` is `&lt;`, not `<`.
fn entities(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let found = [("&lt;", '<'), ("&gt;", '>'), ("&amp;", '&')].into_iter().find(|(e, _)| rest.starts_with(e));
        let (escape, sign) = found.unwrap_or(("&", '&'));
        out.push(sign);
        rest = &rest[escape.len()..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_what_was_typed() {
        let table = [
            ("plain words", "plain words"),
            ("a &lt;b&gt; &amp; c", "a <b> & c"),
            ("&amp;lt; &amp;amp; &copy; &", "&lt; &amp; &copy; &"),
            ("<https://a.example/x?y=1&amp;z=2>", "https://a.example/x?y=1&z=2"),
            ("<http://a.example|a.example>", "a.example"),
            ("<https://a.example/t/7|the ticket>", "the ticket (https://a.example/t/7)"),
            ("<mailto:x@a.example|x@a.example>", "x@a.example"),
            ("ask <@U01BOB> or <@U02|carol>", "ask @U01BOB or @U02"),
            ("in <#C01|incidents> and <#C02|> and <#C03>", "in #incidents and #C02 and #C03"),
            ("<!here> <!subteam^S1|@dba> <!date^1^{date}|today>", "@here @dba today"),
            ("an open < stays, &lt;", "an open < stays, <"),
            ("<>", ""),
        ];
        for (text, wanted) in table {
            assert_eq!(plain(text), wanted, "{text}");
        }
    }

    #[test]
    fn only_a_leading_mention_of_the_bot_is_a_command() {
        let own = Some("U0BOT");
        let table = [
            ("<@U0BOT> status", own, Some("status")),
            ("  <@U0BOT|drbot>\u{a0}status  ", own, Some("status")),
            ("<@U0BOT>: /dr next", own, Some("next")),
            ("<@U0BOT> /dr", own, Some("")),
            ("<@U0BOT> /drop", own, Some("/drop")),
            ("<@U0BOT>", own, Some("")),
            ("<@U0BOT> note <@U0BOT> said &lt;ok&gt;", own, Some("note @U0BOT said <ok>")),
            ("<@U01BOB> please ask <@U0BOT> status", own, None),
            ("I asked <@U0BOT> status", own, None),
            ("<@U9ANY> status", None, Some("status")),
            ("status", own, None),
            ("<@U0BOT", own, None),
        ];
        for (text, own, wanted) in table {
            assert_eq!(command(text, own).as_deref(), wanted, "{text}");
        }
    }

    fn outer(change: impl FnOnce(&mut serde_json::Value)) -> Outer {
        let mut body = serde_json::json!({
            "type": "event_callback", "team_id": "T1", "event_id": "Ev1", "event": {
                "type": "app_mention", "user": "U1", "text": "<@U0BOT> help", "channel": "C1", "team": "T1",
            },
        });
        change(&mut body);
        serde_json::from_value(body).unwrap()
    }

    fn team(change: impl FnOnce(&mut serde_json::Value)) -> String {
        match outer(change).callback() {
            Ok(Event::Said(delivery)) => match delivery.input {
                Input::Said { by, .. } => by.team,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_team_that_is_not_certain_is_nobodys() {
        assert_eq!(team(|_| ()), "T1");
        assert_eq!(team(|b| b["event"]["team"] = serde_json::Value::Null), "T1");
        assert_eq!(team(|b| b["event"]["team"] = "T2".into()), "");
        assert_eq!(team(|b| b["event"]["user_team"] = "T2".into()), "T2");
        assert_eq!(team(|b| b["event"]["source_team"] = "T2".into()), "T2");
        assert_eq!(team(|b| b["is_ext_shared_channel"] = true.into()), "");
        let both = |a: &'static str, b: &'static str| {
            team(move |body| {
                body["is_ext_shared_channel"] = true.into();
                body["event"]["user_team"] = a.into();
                body["event"]["source_team"] = b.into();
            })
        };
        assert_eq!(both("T1", "T1"), "T1");
        assert_eq!(both("T2", "T2"), "T2");
        assert_eq!(both("T1", "T2"), "");
    }

    fn key(user: &str, message: Option<&str>, event: &str) -> Result<String, String> {
        let made = outer(|b| {
            b["event_id"] = event.into();
            b["event"]["user"] = user.into();
            b["event"]["client_msg_id"] = message.into();
        });
        match made.callback()? {
            Event::Said(delivery) => Ok(delivery.key),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_key_names_the_gesture() {
        assert_eq!(key("U1", None, "Ev1").unwrap(), "slack/event/Ev1");
        let one = key("U1", Some("m-1"), "Ev1").unwrap();
        assert!(one.starts_with("slack/said/"), "{one}");
        assert_eq!(one, key("U1", Some("m-1"), "Ev2").unwrap(), "one message, two events");
        assert_ne!(one, key("U1", Some("m-2"), "Ev1").unwrap());
        assert_ne!(one, key("U2", Some("m-1"), "Ev1").unwrap(), "nobody uses up another's id");
        assert_eq!(key("U1", Some("odd id\n"), "Ev1").unwrap(), "slack/event/Ev1");
        assert!(key("U1", None, &"x".repeat(LONGEST_ID + 1)).unwrap_err().contains("event_id"));
    }
}
