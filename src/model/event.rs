//! What happened: facts that are stored and never changed. Taken from `decide`; given to
//! `Case::apply`, live and on replay.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::approval::{Approval, ApprovalId};
use super::effect::CardKind;
use super::expect::Rows;
use super::id::ButtonId;
use super::inbound::FormPurpose;
use super::outcome::Checked;
use super::person::PersonId;
use super::runbook::{Loaded, Objectives};
use super::time::Millis;

/// A stored event: its place in the case's stream, its time, who caused it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub seq: u64,
    pub at: Millis,
    pub event: Event,
}

/// Everything that can happen to a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    Declared(Declared),
    StatusAsked {
        by: PersonId,
        channel: String,
        scenarios: Vec<String>,
    },
    WatchOpened {
        runbook: String,
    },
    ControlOpened,
    /// Somebody was told no, outside a vote.
    Refused {
        who: String,
        what: String,
        why: String,
    },

    Noted {
        by: PersonId,
        text: String,
    },
    CardPosted {
        card: CardKind,
        channel: String,
        ts: String,
        upto: u64,
    },
    CardFailed {
        card: CardKind,
        why: String,
    },
    FormOpened {
        token: ButtonId,
        purpose: FormPurpose,
        person: PersonId,
    },

    /// A scenario's detection came back: `streak` counts failures in a row, `since` is the first.
    Detected {
        runbook: String,
        checked: Vec<Checked>,
        streak: u32,
        since: Option<Millis>,
    },

    RunStarted {
        id: String,
        loaded: Box<Loaded>,
        values: BTreeMap<String, String>,
        by: PersonId,
    },
    RunPaused {
        why: String,
    },
    RunResumed {
        by: PersonId,
    },
    RunVerifying,
    RunVerified {
        ok: bool,
        figures: Vec<String>,
    },

    PreviewAsked {
        step: String,
    },
    PreviewFailed {
        step: String,
        why: String,
    },
    ApprovalAsked {
        approval: Box<Approval>,
    },
    VoteRefused {
        approval: ApprovalId,
        who: String,
        why: String,
    },
    Voted {
        approval: ApprovalId,
        by: PersonId,
    },
    Granted {
        approval: ApprovalId,
        start_by: Millis,
    },
    Denied {
        approval: ApprovalId,
        by: PersonId,
        reason: String,
    },
    Expired {
        approval: ApprovalId,
    },
    Voided {
        approval: ApprovalId,
        why: String,
    },

    StepStarted {
        step: String,
        execution: String,
        digest: String,
    },
    StepEnded {
        step: String,
        end: StepEnd,
        rows: Option<Rows>,
    },
    StepVerified {
        step: String,
        ok: bool,
        figures: Vec<String>,
    },
    StepSkipped {
        step: String,
        why: String,
    },
    StepSettled {
        step: String,
        happened: bool,
        how: String,
    },
    SettleClaimed {
        step: String,
        by: PersonId,
        happened: bool,
    },
    PersonAsked {
        step: String,
        done: ButtonId,
        cannot: ButtonId,
    },
    PersonDid {
        step: String,
        by: PersonId,
        evidence: String,
        done: bool,
    },
}

/// The opening of an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Declared {
    pub number: u64,
    pub title: String,
    pub tier: u8,
    pub scenario: Option<String>,
    pub objectives: Objectives,
    pub by: PersonId,
    pub channel: String,
    /// The earliest failing check, or the declaration itself when none is known.
    pub began: Millis,
}

/// How a step's work ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepEnd {
    Done { verify: bool },
    NotStarted { why: String },
    Failed { why: String },
    Unknown { why: String },
}

impl Event {
    /// The stored name of the kind.
    #[must_use]
    pub fn kind(&self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|v| v.get("kind").and_then(|k| k.as_str().map(str::to_owned)))
            .unwrap_or_default()
    }
}

/// An event that does not fit the state it met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Illegal(pub String);

impl Illegal {
    /// Says which kind met which state.
    #[must_use]
    pub fn new(state: &str, event: &Event) -> Illegal {
        Illegal(format!("event `{}` cannot happen to a {state}", event.kind()))
    }
}

impl std::fmt::Display for Illegal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
