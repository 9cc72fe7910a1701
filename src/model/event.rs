//! What happened: facts that are stored and never changed. Taken from `decide`; given to
//! `Case::apply`, live and on replay.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::agreed::News;
use super::alert::{Alert, Origin, Round};
use super::approval::{Approval, ApprovalId};
use super::catalog::Loaded;
use super::deadline::Deadline;
use super::effect::CardKind;
use super::expect::Rows;
use super::form::Picking;
use super::id::ButtonId;
use super::inbound::FormPurpose;
use super::outcome::Checked;
use super::person::PersonId;
use super::plan::Look;
use super::run::Ways;
use super::runbook::Objectives;
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
        /// The thread it was asked in, where the answer belongs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        thread: Option<String>,
        /// One scenario was asked for, with `detect`.
        #[serde(default)]
        single: bool,
    },
    /// Somebody wants to see what a runbook would do with these values.
    PlanAsked {
        by: PersonId,
        channel: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        thread: Option<String>,
        loaded: Box<Loaded>,
        values: BTreeMap<String, String>,
    },
    /// The next step of a plan was looked at.
    Planned {
        step: String,
        look: Look,
    },
    WatchOpened {
        runbook: String,
    },
    ScheduleOpened {
        schedule: String,
    },
    /// The schedule's time came; its role is reminded.
    ScheduleDue,
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

    /// A person has to choose a run's parameters from lists that are being fetched.
    PickAsked {
        picking: Box<Picking>,
    },
    /// A list came back, or `why` there is none and nothing can be chosen.
    Picked {
        token: ButtonId,
        param: String,
        options: Vec<(String, String)>,
        why: Option<String>,
    },

    /// A scenario's detection came back: `streak` counts failures in a row, `since` is the first.
    Detected {
        runbook: String,
        checked: Vec<Checked>,
        streak: u32,
        since: Option<Millis>,
    },

    AlarmOpened {
        source: String,
        title: String,
        channel: String,
    },
    /// Alerts of a group changed; `round` is there when it began to fire.
    Alerted {
        alerts: Vec<Alert>,
        truncated: u64,
        round: Option<Round>,
    },
    AlarmAcked {
        by: PersonId,
    },
    /// Somebody asked for an incident; it is opened next.
    AlarmOpening {
        by: PersonId,
    },
    AlarmLinked {
        number: u64,
    },
    /// An alert was found to belong to this incident, which was there before.
    AlertJoined {
        origin: Origin,
        by: PersonId,
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
        /// It was tried and failed, and its file lets the run go on.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        failed: bool,
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
    /// Time passes until then at the latest.
    WaitBegan {
        step: String,
        until: Millis,
    },
    WaitOver {
        step: String,
        ok: bool,
        figures: Vec<String>,
    },
    ChoiceAsked {
        step: String,
        buttons: Vec<ButtonId>,
    },
    Chosen {
        step: String,
        by: PersonId,
        label: String,
    },
    /// These people were told this; the incident's thread carries it and rings their bell.
    Notified {
        step: String,
        text: String,
        people: Vec<PersonId>,
    },
    /// The step failed and people must say how to go on; a button for each way.
    FailureAsked {
        step: String,
        ways: Ways,
    },
    /// A clock that people must meet began with the incident.
    DeadlineBegan {
        deadline: Box<Deadline>,
    },
    /// These people were reminded; the incident's thread carries it and rings their bell.
    DeadlineNear {
        step: String,
        text: String,
        people: Vec<PersonId>,
    },
    /// It was reported as done, which ends the clock.
    DeadlineMet {
        step: String,
        by: PersonId,
        evidence: String,
    },
    /// Something happened to an undo that was agreed to together with its step.
    AgreedUndo {
        approval: ApprovalId,
        news: News,
    },
    RunAborted {
        by: PersonId,
        why: String,
    },
    /// The run ended because another runbook goes on in its place.
    RunHandedOver {
        to: String,
    },
    UndoAsked {
        step: String,
        by: PersonId,
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
    /// The alert it was opened for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
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
    /// The stored name of the kind: the same word that its JSON carries.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Event::Declared(_) => "declared",
            Event::StatusAsked { .. } => "status_asked",
            Event::PlanAsked { .. } => "plan_asked",
            Event::Planned { .. } => "planned",
            Event::WatchOpened { .. } => "watch_opened",
            Event::ScheduleOpened { .. } => "schedule_opened",
            Event::ScheduleDue => "schedule_due",
            Event::ControlOpened => "control_opened",
            Event::Refused { .. } => "refused",
            Event::Noted { .. } => "noted",
            Event::CardPosted { .. } => "card_posted",
            Event::CardFailed { .. } => "card_failed",
            Event::FormOpened { .. } => "form_opened",
            Event::PickAsked { .. } => "pick_asked",
            Event::Picked { .. } => "picked",
            Event::Detected { .. } => "detected",
            Event::AlarmOpened { .. } => "alarm_opened",
            Event::Alerted { .. } => "alerted",
            Event::AlarmAcked { .. } => "alarm_acked",
            Event::AlarmOpening { .. } => "alarm_opening",
            Event::AlarmLinked { .. } => "alarm_linked",
            Event::AlertJoined { .. } => "alert_joined",
            Event::RunStarted { .. } => "run_started",
            Event::RunPaused { .. } => "run_paused",
            Event::RunResumed { .. } => "run_resumed",
            Event::RunVerifying => "run_verifying",
            Event::RunVerified { .. } => "run_verified",
            Event::PreviewAsked { .. } => "preview_asked",
            Event::PreviewFailed { .. } => "preview_failed",
            Event::ApprovalAsked { .. } => "approval_asked",
            Event::VoteRefused { .. } => "vote_refused",
            Event::Voted { .. } => "voted",
            Event::Granted { .. } => "granted",
            Event::Denied { .. } => "denied",
            Event::Expired { .. } => "expired",
            Event::Voided { .. } => "voided",
            Event::StepStarted { .. } => "step_started",
            Event::StepEnded { .. } => "step_ended",
            Event::StepVerified { .. } => "step_verified",
            Event::StepSkipped { .. } => "step_skipped",
            Event::StepSettled { .. } => "step_settled",
            Event::SettleClaimed { .. } => "settle_claimed",
            Event::PersonAsked { .. } => "person_asked",
            Event::PersonDid { .. } => "person_did",
            Event::WaitBegan { .. } => "wait_began",
            Event::WaitOver { .. } => "wait_over",
            Event::ChoiceAsked { .. } => "choice_asked",
            Event::Chosen { .. } => "chosen",
            Event::Notified { .. } => "notified",
            Event::FailureAsked { .. } => "failure_asked",
            Event::DeadlineBegan { .. } => "deadline_began",
            Event::DeadlineNear { .. } => "deadline_near",
            Event::DeadlineMet { .. } => "deadline_met",
            Event::AgreedUndo { .. } => "agreed_undo",
            Event::RunAborted { .. } => "run_aborted",
            Event::RunHandedOver { .. } => "run_handed_over",
            Event::UndoAsked { .. } => "undo_asked",
        }
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
