//! An undo that was agreed to together with its step: what the file says, what the approval covers, and where it
//! stands until it ran. Takes events; gives states. It belongs to the incident and outlives its run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::approval::{Approval, ApprovalId};
use super::ask::Deed;
use super::effect::{Guard, Job, Question};
use super::event::StepEnd;
use super::expect::Expect;
use super::person::PersonId;
use super::runbook::{Check, EffectClass};
use super::time::{Millis, Span};

/// When a step is taken back without asking again, because its approval said so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ByItself {
    /// The condition in words, as people read it before they agree.
    pub when: String,
    /// All of these must hold; `:approved` is there as in `verify`.
    pub checks: Vec<Check>,
    /// Between two looks.
    #[serde(default = "five_minutes")]
    pub every: Span,
    /// So long after the step it is taken back in any case: a duration, or `{parameter}`.
    pub latest: String,
}

fn five_minutes() -> Span {
    Span::minutes(5)
}

/// The undo inside an approved action: the exact bytes, and everything that must hold when they are sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgreedUndo {
    pub title: String,
    pub when: String,
    pub checks: Vec<Question>,
    pub every: Span,
    pub latest: Span,
    pub effect: EffectClass,
    pub deed: Deed,
    pub expect: Expect,
    pub timeout: Span,
    pub guard: Guard,
    pub verify: Vec<Question>,
    pub sensitive: Vec<String>,
}

/// An agreed undo of a step that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    pub run: String,
    pub step: String,
    pub approval: Approval,
    /// Then it happens in any case.
    pub until: Millis,
    pub stand: Stand,
    /// How often it was tried, this time included.
    pub tries: u32,
    /// Why it cannot be at once, if that was said.
    pub held: bool,
    /// What people should know about how it went.
    pub remark: String,
    /// When it was last heard of.
    pub at: Millis,
}

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stand {
    /// The condition is looked at.
    Watching,
    /// It is to start.
    Due,
    Started,
    /// Nobody heard the end; the target is asked.
    Unknown,
    Proving,
    Done,
    /// It was tried and nothing happened: people must look.
    Failed,
    /// Somebody stopped it, or took the step back by hand.
    Stopped,
}

/// What happens to an agreed undo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum News {
    /// The step was done, so the condition is looked at until then.
    Armed {
        step: String,
        until: Millis,
    },
    /// The condition holds, or the time is over.
    Due {
        why: String,
    },
    /// It has to wait for something else on the target.
    Held {
        why: String,
    },
    Started {
        execution: String,
    },
    Ended {
        end: StepEnd,
        rows: u64,
    },
    Proved {
        ok: bool,
        figures: Vec<String>,
    },
    Stopped {
        by: PersonId,
        reason: String,
    },
    /// It did not go as promised; whoever asked and agreed is told, in a message that rings their bell.
    Told {
        text: String,
        people: Vec<PersonId>,
    },
}

/// Most tries that certainly changed nothing.
const TRIES: u32 = 5;

impl AgreedUndo {
    /// What the worker is to run under this approval.
    #[must_use]
    pub fn job(&self, approval: &Approval) -> Job {
        Job {
            execution: execution(approval),
            digest: approval.digest.clone(),
            target: approval.action.target.clone(),
            effect: self.effect,
            deed: self.deed.clone(),
            expect: self.expect.clone(),
            timeout: self.timeout,
            identity: Some(approval.action.identity.clone()),
            guard: Some(self.guard.clone()),
            sensitive: self.sensitive.clone(),
            retry: None,
        }
    }
}

/// Its name in the target's ledger: the same for every try, so that the ledger knows it once.
#[must_use]
pub fn execution(approval: &Approval) -> String {
    format!("{}.{}.back", approval.action.execution, approval.id.0)
}

impl Pending {
    /// An undo whose step was just done.
    #[must_use]
    pub fn new(run: &str, step: &str, approval: Approval, until: Millis, at: Millis) -> Pending {
        let (run, step, remark) = (run.to_owned(), step.to_owned(), String::new());
        Pending { run, step, approval, until, stand: Stand::Watching, tries: 1, held: false, remark, at }
    }

    /// What was agreed.
    #[must_use]
    pub fn undo(&self) -> Option<&AgreedUndo> {
        self.approval.action.agreed.as_deref()
    }

    /// Whether it waits for its condition or its turn.
    #[must_use]
    pub fn waits(&self) -> bool {
        matches!(self.stand, Stand::Watching | Stand::Due)
    }

    /// Whether it is or may be in flight.
    #[must_use]
    pub fn busy(&self) -> bool {
        matches!(self.stand, Stand::Started | Stand::Unknown | Stand::Proving)
    }

    /// Moves it; false if the news does not fit where it stands.
    #[must_use]
    pub fn apply(&mut self, news: &News, at: Millis) -> bool {
        let fits = match (news, self.stand) {
            (News::Due { .. }, Stand::Watching)
            | (News::Held { .. } | News::Started { .. }, Stand::Due)
            | (News::Ended { .. }, Stand::Started | Stand::Unknown)
            | (News::Proved { .. }, Stand::Proving)
            | (News::Told { .. }, Stand::Failed | Stand::Done) => true,
            (News::Stopped { .. }, _) => self.waits(),
            _ => false,
        };
        if !fits {
            return false;
        }
        self.at = at;
        match news {
            News::Armed { .. } | News::Told { .. } => {}
            News::Due { why } => (self.stand, self.remark) = (Stand::Due, why.clone()),
            News::Held { why } => (self.held, self.remark) = (true, why.clone()),
            News::Started { .. } => (self.stand, self.held) = (Stand::Started, false),
            News::Ended { end, rows } => self.end(end, *rows),
            News::Proved { ok, figures } => {
                let figures = figures.join("; ");
                self.remark = if *ok { figures } else { format!("the verification FAILED: {figures}") };
                self.stand = Stand::Done;
            }
            News::Stopped { reason, .. } => (self.stand, self.remark) = (Stand::Stopped, reason.clone()),
        }
        true
    }

    fn end(&mut self, end: &StepEnd, rows: u64) {
        match end {
            StepEnd::Done { verify: true } => self.stand = Stand::Proving,
            StepEnd::Done { verify: false } => {
                (self.stand, self.remark) = (Stand::Done, format!("{rows} rows"));
            }
            StepEnd::Unknown { why } => (self.stand, self.remark) = (Stand::Unknown, why.clone()),
            StepEnd::NotStarted { why } | StepEnd::Failed { why } => {
                // What was approved is not there any more: another try would meet the same.
                let last = self.tries >= TRIES || why.starts_with(Guard::REFUSED);
                let gone = why.starts_with(Guard::REFUSED) && why.ends_with(Guard::GONE);
                self.stand = match (gone, last) {
                    (true, _) => Stand::Stopped,
                    (false, true) => Stand::Failed,
                    (false, false) => Stand::Due,
                };
                self.tries += u32::from(!last);
                self.remark.clone_from(why);
            }
        }
    }
}

/// The one with this approval.
#[must_use]
pub fn find<'a>(list: &'a [Pending], id: &ApprovalId) -> Option<&'a Pending> {
    list.iter().find(|p| p.approval.id == *id)
}
