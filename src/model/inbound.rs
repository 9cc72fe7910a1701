//! What arrives: chat, outcomes, timers, all in our own words. Foreign payload types end in `parse`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::alert::{AlertGroup, Opening};
use super::approval::ApprovalId;
use super::command::Asked;
use super::id::{ButtonId, CaseId, EffectKey};
use super::outcome::Outcome;
use super::person::Speaker;

/// One delivery: the same key is the same delivery and gets the stored answer.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub key: String,
    pub input: Input,
}

/// Everything that can move a case.
#[derive(Debug, Clone)]
pub enum Input {
    /// A command typed by a person, or what was wrong with it.
    Said { by: Speaker, place: Place, said: Result<Asked, String> },
    /// A button pressed.
    Clicked(Click),
    /// A form sent.
    Filled(Form),
    /// Monitoring says how a group of alerts stands.
    Alerted(AlertGroup),
    /// An alert's incident is to be opened, or found.
    Opening(Opening),
    /// What came back from an effect; `generation` is the one that was leased.
    Came { case: CaseId, effect: EffectKey, generation: i64, outcome: Outcome },
    /// The worker asks to start an approved or safe action: `attempt` counts the leases.
    Starting { case: CaseId, effect: EffectKey, generation: i64, attempt: u32, digest: String },
    /// A timer's time has come.
    Due { case: CaseId, effect: EffectKey, generation: i64 },
    /// The process is up: what goes on by itself is set going.
    Up(Standing),
}

/// What goes on by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The detection of this runbook.
    Watch(String),
    /// The schedule of this id.
    Schedule(String),
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Standing::Watch(runbook) => write!(f, "watch/{runbook}"),
            Standing::Schedule(id) => write!(f, "schedule/{id}"),
        }
    }
}

/// Where something was said, and with it where the answer goes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Place {
    pub channel: String,
    /// A handle to a short-lived answer address kept in memory.
    #[serde(default)]
    pub reply: Option<String>,
    /// The message whose thread it was said in, if it was.
    #[serde(default)]
    pub thread: Option<String>,
    /// Said in a message to the bot: the request has no answer body, so the answer must be posted.
    #[serde(default)]
    pub mention: bool,
    /// What opens a form for this person, for 3 s; a mention brings none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
}

/// A pressed button: the id decides, the rest must match the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Click {
    pub by: Speaker,
    pub place: Place,
    pub button: ButtonId,
    pub message: String,
    pub trigger: String,
}

/// A sent form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    pub by: Speaker,
    pub token: ButtonId,
    /// What stands in the only field of a form that asks for one text.
    pub text: String,
    /// What stands in each field, by its id; empty where nothing was filled in.
    pub values: BTreeMap<String, String>,
}

/// What a form is for, as kept in the case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FormPurpose {
    Deny(ApprovalId),
    Done(String),
    Cannot(String),
    /// The parameters of a run of this runbook.
    Run(String),
    /// Why the failed step behind this button is left out.
    Skip(ButtonId),
    /// Why the run with the failed step behind this button ends.
    Abort(ButtonId),
}
