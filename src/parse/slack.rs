//! Slack's slash commands, interactions and (in `event`) mentions. Takes a verified body; gives an input of our own and the
//! short-lived addresses that came with it. Only immutable ids are read.

pub mod event;

use std::collections::BTreeMap;

use serde::Deserialize;
use url::form_urlencoded;

use super::slash;
use crate::model::id::ButtonId;
use crate::model::inbound::{Click, Form, Input, Place};
use crate::model::person::Speaker;
use crate::verify::Verified;

/// A parsed request: the input and the address to answer to, which is a credential and stays in memory.
#[derive(Debug)]
pub struct Request {
    pub input: Input,
    pub response_url: Option<String>,
    /// The topmost field of a sent form, under which a complaint about the whole form is shown.
    pub top: Option<String>,
}

/// Reads a slash command.
///
/// # Errors
/// Names the field that is missing, repeated or not text.
pub fn command(verified: &Verified) -> Result<Request, String> {
    let form = Fields::read(verified.body())?;
    let by = Speaker { team: form.one("team_id")?, user: form.one("user_id")? };
    let trigger = form.one("trigger_id").ok().filter(|t| !t.is_empty());
    let place = Place { channel: form.one("channel_id")?, trigger, ..Place::default() };
    let said = slash::parse(&form.one("text").unwrap_or_default());
    Ok(Request { input: Input::Said { by, place, said }, response_url: form.one("response_url").ok(), top: None })
}

/// Reads a button click or a sent form; `None` for kinds that need no work (a closed form).
///
/// # Errors
/// Names what is missing or not as Slack documents it.
pub fn interaction(verified: &Verified) -> Result<Option<Request>, String> {
    let form = Fields::read(verified.body())?;
    let payload: Payload = serde_json::from_str(&form.one("payload")?)
        .map_err(|e| format!("`payload` is not a Slack interaction: {e}"))?;
    match payload.kind.as_str() {
        "block_actions" => payload.click().map(Some),
        "view_submission" => payload.form().map(Some),
        "view_closed" => Ok(None),
        other => Err(format!("interaction kind `{other}` is not one drbot asks for")),
    }
}

struct Fields(Vec<(String, String)>);

impl Fields {
    fn read(body: &[u8]) -> Result<Fields, String> {
        let fields: Vec<(String, String)> =
            form_urlencoded::parse(body).map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
        if fields.len() > 64 {
            return Err(format!("{} form fields; a Slack request has at most 20", fields.len()));
        }
        Ok(Fields(fields))
    }

    /// The only value of a field: repeated fields are refused, since two readers could pick differently.
    fn one(&self, name: &str) -> Result<String, String> {
        let mut found = self.0.iter().filter(|(k, _)| k == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Ok(value.clone()),
            (None, _) => Err(format!("form field `{name}` is missing")),
            _ => Err(format!("form field `{name}` is repeated")),
        }
    }
}

#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "type")]
    kind: String,
    team: Option<Named>,
    user: User,
    #[serde(default)]
    trigger_id: String,
    channel: Option<Named>,
    container: Option<Container>,
    #[serde(default)]
    actions: Vec<Action>,
    view: Option<View>,
    response_url: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

#[derive(Deserialize)]
struct User {
    id: String,
    /// The user's own team, which differs from the workspace's in shared channels.
    team_id: Option<String>,
}

#[derive(Deserialize)]
struct Container {
    #[serde(default)]
    message_ts: String,
}

#[derive(Deserialize)]
struct Action {
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
struct View {
    #[serde(default)]
    private_metadata: String,
    state: State,
    #[serde(default)]
    blocks: Vec<Block>,
}

#[derive(Deserialize)]
struct Block {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    block_id: String,
}

#[derive(Deserialize)]
struct State {
    values: BTreeMap<String, BTreeMap<String, Value>>,
}

/// What stands in one field: typed, or chosen from a list.
#[derive(Default, Deserialize)]
struct Value {
    value: Option<String>,
    selected_option: Option<Chosen>,
    selected_options: Option<Vec<Chosen>>,
}

#[derive(Deserialize)]
struct Chosen {
    value: String,
}

impl Value {
    fn text(self) -> String {
        let several = |all: Vec<Chosen>| all.into_iter().map(|o| o.value).collect::<Vec<_>>().join(",");
        self.value.or(self.selected_option.map(|o| o.value)).or(self.selected_options.map(several)).unwrap_or_default()
    }
}

impl Payload {
    fn speaker(&self) -> Result<Speaker, String> {
        // In a shared channel the payload's team is ours while the person's is not: both must be known
        // and the person's own decides.
        let team = self.user.team_id.clone().or_else(|| self.team.as_ref().map(|t| t.id.clone()));
        Ok(Speaker { team: team.ok_or("`team.id` is missing")?, user: self.user.id.clone() })
    }

    fn click(self) -> Result<Request, String> {
        let by = self.speaker()?;
        let [action] = self.actions.as_slice() else {
            return Err(format!("expected one action, got {}", self.actions.len()));
        };
        let channel = self.channel.as_ref().map(|c| c.id.clone()).ok_or("`channel.id` is missing")?;
        let click = Click {
            by,
            place: Place { channel, ..Place::default() },
            button: ButtonId(action.value.clone()),
            message: self.container.map(|c| c.message_ts).unwrap_or_default(),
            trigger: self.trigger_id,
        };
        Ok(Request { input: Input::Clicked(click), response_url: self.response_url, top: None })
    }

    fn form(self) -> Result<Request, String> {
        let by = self.speaker()?;
        let view = self.view.ok_or("`view` is missing")?;
        let top = view.blocks.iter().find(|b| b.kind == "input").map(|b| b.block_id.clone());
        let fields = view.state.values.into_iter();
        let values: BTreeMap<String, String> =
            fields.map(|(block, inside)| (block, inside.into_values().next().unwrap_or_default().text())).collect();
        let text = values.get("text").cloned().unwrap_or_default();
        let form = Form { by, token: ButtonId(view.private_metadata), text, values };
        Ok(Request { input: Input::Filled(form), response_url: None, top })
    }
}
