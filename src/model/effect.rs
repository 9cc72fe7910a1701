//! What must be done outside: stored with the events that caused it, leased by the worker.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::alert::{AlertGroup, Opening};
use super::approval::TargetIdentity;
use super::ask::Deed;
use super::expect::{Expect, Rows};
use super::flow::Retry;
use super::form::Field;
use super::id::{ButtonId, CaseId, EffectKey};
use super::message::Message;
use super::person::Speaker;
use super::runbook::{EffectClass, RowTolerance};
use super::time::{Millis, Span};

/// Which bulkhead an effect runs in; smaller is served first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Answers to people, forms, starts of approved steps.
    Approval,
    Card,
    Step,
    Check,
    History,
    Timer,
}

impl Lane {
    /// All lanes, most urgent first.
    pub const ALL: [Lane; 6] = [Lane::Approval, Lane::Card, Lane::Step, Lane::Check, Lane::History, Lane::Timer];

    /// The number stored.
    #[must_use]
    pub fn number(self) -> i64 {
        self as i64
    }
}

/// One thing to do outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    pub key: EffectKey,
    pub lane: Lane,
    pub due: Millis,
    pub act: Act,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Ask these questions; read only.
    Check(Vec<Question>),
    /// List what an action on this target would touch; read only.
    Preview(Box<Question>, String),
    /// Show what a step acting on this target would meet, and whether drbot may act there; read only.
    Look {
        question: Option<Box<Question>>,
        acts_on: String,
        /// Whether the step would change something.
        changes: bool,
    },
    /// Ask to start, and if allowed run exactly this.
    Start(Box<Job>),
    /// Find out whether an interrupted action happened.
    Probe(Box<Probe>),
    /// Bring a card up to date.
    Render(CardKind),
    /// A short message to one person in a channel.
    Tell {
        to: Speaker,
        channel: String,
        reply: Option<String>,
        /// The message in whose thread it is shown.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        thread: Option<String>,
        message: Message,
    },
    /// A form for one person; worthless after `by`. If it cannot be opened, the person is told in `channel`.
    Ask { to: Speaker, channel: String, trigger: String, by: Millis, form: AskForm },
    /// Open an alert's incident, or find the one that is there, and say which it is.
    Open(Box<Opening>),
    /// Say as an alert of our own how something stands.
    Raise(Box<AlertGroup>),
    /// Submit `Due` at the due time.
    Timer,
}

/// Which message of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CardKind {
    Main,
    History,
}

/// A read-only question to a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    pub id: String,
    pub target: String,
    pub deed: Deed,
    pub expect: Expect,
    pub figure: String,
    pub values: BTreeMap<String, String>,
    pub timeout: Span,
    pub within: Span,
    pub cap: u64,
    pub sensitive: Vec<String>,
    pub evidence: bool,
}

/// Something to do with everything that must still hold when it starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The name in the target's ledger and in `application_name`.
    pub execution: String,
    /// Digest of the approved action; empty for a safe step, which needs none.
    pub digest: String,
    pub target: String,
    pub effect: EffectClass,
    pub deed: Deed,
    pub expect: Expect,
    pub timeout: Span,
    pub identity: Option<TargetIdentity>,
    pub guard: Option<Guard>,
    pub sensitive: Vec<String>,
    /// Only for work that reads or may be done again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
}

impl Job {
    /// A hash over everything the executor will do, to notice a job that was changed in the store.
    #[must_use]
    pub fn hash(&self) -> String {
        hex::encode(Sha256::digest(serde_json::to_vec(self).unwrap_or_default()))
    }
}

/// The preview asked again just before the start, and what it must still say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    pub target: String,
    pub deed: Deed,
    pub identity: Vec<String>,
    pub approved: Vec<BTreeMap<String, Option<String>>>,
    pub tolerance: RowTolerance,
    pub cap: u64,
}

impl Guard {
    /// What a refusal begins with: what was approved is not as it was, so another try meets the same.
    pub const REFUSED: &str = "refused: ";
    /// Nothing is left to do.
    pub const GONE: &str = "none of the approved rows is there any more";

    /// Why what is there now is not what was approved, if so. `fewer`: rows that are gone are fine,
    /// and rows that are new are not touched because the statement joins the approved identities.
    #[must_use]
    pub fn broken_by(&self, now: &Rows) -> Option<String> {
        let found = now.identities(&self.identity);
        let gone = self.approved.iter().filter(|a| !found.contains(a)).count();
        let new = found.iter().filter(|f| !self.approved.contains(f)).count();
        match self.tolerance {
            RowTolerance::Fewer => (gone == self.approved.len()).then(|| Guard::GONE.to_owned()),
            RowTolerance::None if gone + new + usize::from(now.beyond > 0) == 0 => None,
            RowTolerance::None => Some(format!("the rows changed since the approval: {gone} gone, {new} new")),
        }
    }
}

/// How to find out whether an interrupted job happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    pub execution: String,
    pub target: String,
    /// True for an atomic step: the ledger in the target decides.
    pub ledger: bool,
    pub question: Option<Question>,
}

/// The form shown to a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AskForm {
    pub token: ButtonId,
    pub title: String,
    pub explain: String,
    /// What the only text field asks for, unless there are `fields`.
    pub label: String,
    pub submit: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
    /// What the person is told to do if the form cannot be opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<String>,
}

impl Effect {
    /// The one pending render of a card.
    #[must_use]
    pub fn render(case: &CaseId, card: CardKind, now: Millis) -> Effect {
        let (name, lane) = match card {
            CardKind::Main => ("main", Lane::Card),
            CardKind::History => ("history", Lane::History),
        };
        Effect { key: EffectKey::of(&["card", &case.0, name]), lane, due: now, act: Act::Render(card) }
    }
}
