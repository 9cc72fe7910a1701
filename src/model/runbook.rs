//! The runbook: what a file in `commands/` says. Takes nothing; the loader in `parse` fills it and
//! refuses what could not run safely.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::agreed::ByItself;
use super::alert::AlertMatch;
use super::ask::{Ask, HttpAsk, ProcessAsk};
use super::chain::Also;
use super::deadline::DeadlineRule;
use super::expect::Expect;
pub use super::flow::{ByHand, ManualWork};
use super::flow::{Choose, Interlock, Notify, OnFail, Parallel, Retry, Wait};
pub use super::param::{Param, ParamType, Pick};
use super::schedule::Hours;
pub use super::shared::{Replaced, Scenario, Shared};
use super::time::Span;

/// One scenario as a file: how it is noticed, what is done, how success is proved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Runbook {
    /// File name and command name.
    pub runbook: String,
    #[serde(default)]
    pub aliases: Vec<String>,
    pub title: String,
    pub tier: u8,
    pub objectives: Objectives,
    pub estimate: Span,
    /// It is to be worked in a private channel of its own, which the configuration names.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub private: bool,
    /// Ids of the source page's lines that this file answers for.
    #[serde(default)]
    pub covers: Vec<String>,
    /// Lines of the source page that are answered in another way than written, with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<Replaced>,
    #[serde(default)]
    pub symptoms: Vec<String>,
    #[serde(default)]
    pub causes: Vec<String>,
    /// Alerts from monitoring that this scenario answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<AlertMatch>,
    #[serde(default)]
    pub params: BTreeMap<String, Param>,
    /// What must not be while this runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interlocks: Vec<Interlock>,
    /// Times by which people must have done something, such as a notice to an authority.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deadlines: Vec<DeadlineRule>,
    pub detect: Detect,
    pub steps: Vec<Step>,
    #[serde(default)]
    pub verify: Vec<Check>,
    #[serde(default)]
    pub after: Vec<String>,
}

/// The recovery objectives of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Objectives {
    pub rto: Span,
    pub rpo: Span,
    pub mttr: Span,
}

/// How a scenario is noticed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Detect {
    /// How often the checks run by themselves.
    pub every: Span,
    /// Outside these hours they do not run by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<Hours>,
    /// Consecutive failures after which the scenario is suspected (red); fewer is amber.
    pub failures: u32,
    /// How many different checks must fail at once for a failure to count; one by default.
    #[serde(default = "one")]
    pub probes: u32,
    pub checks: Vec<Check>,
}

/// A read-only question with an expectation and the figure that decided it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    pub id: String,
    /// Ids of the source page's lines that this question answers for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub covers: Vec<String>,
    pub target: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<HttpAsk>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<ProcessAsk>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Also>,
    pub expect: Expect,
    /// Shown with the others and never decides: a vendor's status page lags behind.
    #[serde(default)]
    pub evidence: bool,
    /// Text with `{column}` and `{parameter}` placeholders filled from the first row.
    pub figure: String,
    #[serde(default = "five_seconds")]
    pub timeout: Span,
    /// How long the expectation may take to come true; it is asked again until then.
    #[serde(default)]
    pub within: Span,
}

fn one() -> u32 {
    1
}

fn five_seconds() -> Span {
    Span::seconds(5)
}

/// One unit of work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub id: String,
    pub title: String,
    #[serde(default)]
    pub covers: Vec<String>,
    /// Of the steps with the same word here only one finds work, so only the longest counts in `estimate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub either: Option<String>,
    /// Expected time; reported.
    #[serde(default = "five_minutes")]
    pub budget: Span,
    /// Hard limit.
    #[serde(default = "two_minutes")]
    pub timeout: Span,
    #[serde(default)]
    pub on_fail: OnFail,
    /// Only for work that reads or may be done again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    #[serde(rename = "do")]
    pub work: Work,
}

fn five_minutes() -> Span {
    Span::minutes(5)
}

fn two_minutes() -> Span {
    Span::minutes(2)
}

/// How a step is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Work {
    /// One statement on a Postgres target.
    Sql(Box<Task>),
    /// Calls to an HTTP target.
    Http(Box<Task>),
    /// Programs of a target on this machine.
    Process(Box<Task>),
    /// A person does it and attaches evidence.
    Manual(ManualWork),
    /// Time passes, or something comes true.
    Wait(Box<Wait>),
    /// A person says which way to go on.
    Choose(Choose),
    /// Questions asked together; their answers are shown and decide nothing.
    Parallel(Parallel),
    /// People of some roles are told in the incident's channel.
    Notify(Notify),
    /// The steps of this other runbook take the place of this one when the files are loaded.
    Runbook(String),
}

/// Something a system does: what exactly, what it may touch, how it is proved and undone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Task {
    pub target: String,
    pub effect: EffectClass,
    pub risk: Risk,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<HttpAsk>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<ProcessAsk>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Also>,
    #[serde(default)]
    pub expect: Expect,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
    #[serde(default)]
    pub verify: Vec<Check>,
    /// A question whose expectation holds if the effect happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Check>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Undo>,
    /// Columns whose values may hold customers' data.
    #[serde(default)]
    pub sensitive: Vec<String>,
    /// Said aloud where a statement means every row there is, and so joins no approved ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affects: Option<Affects>,
}

/// What a statement without a condition touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Affects {
    All,
}

/// How a step is taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Undo {
    /// `none` with the reason, or what people do.
    Told(String),
    /// A step of its own, previewed and approved like any other.
    Step(Box<UndoStep>),
}

/// The step that takes another one back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UndoStep {
    pub title: String,
    /// The approval of the step covers this undo too, and it is done without asking again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_itself: Option<ByItself>,
    #[serde(rename = "do")]
    pub work: Work,
}

impl Undo {
    /// For the card of the approval.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Undo::Told(text) => text.clone(),
            Undo::Step(step) => match &step.by_itself {
                Some(by) => format!("by itself when {}: {}; or earlier by /dr undo", by.when, step.title),
                None => format!("/dr undo: {}", step.title),
            },
        }
    }
}

/// The list of what would be touched, shown before approval and pinned by it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Preview {
    /// Where to ask; the step's own target if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<HttpAsk>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<ProcessAsk>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Also>,
    /// Columns that must still be the same at the start; the rest may drift.
    pub identity: Vec<String>,
    pub tolerance: Tolerance,
    /// Columns whose values may hold customers' data: quoted texts and numbers in them are masked.
    #[serde(default)]
    pub sensitive: Vec<String>,
    /// Most rows one approval may touch.
    #[serde(default = "hundred")]
    pub cap: u64,
}

fn hundred() -> u64 {
    100
}

/// What may have changed between approval and start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tolerance {
    pub rows: RowTolerance,
}

/// `fewer`: rows that ended meanwhile are fine, new ones are not touched. `none`: exactly the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RowTolerance {
    Fewer,
    None,
}

/// What a failure in the middle means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EffectClass {
    /// Reads; may be repeated freely.
    Observe,
    /// Carries a key or sets a state, so that doing it again changes nothing more.
    Idempotent,
    /// One transaction with a ledger row in the target.
    Atomic,
    /// Anything else: starts at most once per approval; an ambiguous end is `unknown`.
    Once,
}

/// Who must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    Safe,
    Disruptive,
    Destructive,
}

impl EffectClass {
    /// The word used in files and on cards.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            EffectClass::Observe => "observe",
            EffectClass::Idempotent => "idempotent",
            EffectClass::Atomic => "atomic",
            EffectClass::Once => "once",
        }
    }
}

impl Risk {
    /// The word used in files and on cards.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Risk::Safe => "safe",
            Risk::Disruptive => "disruptive",
            Risk::Destructive => "destructive",
        }
    }
}

impl Step {
    /// The step that takes this one back, if it says how.
    #[must_use]
    pub fn taken_back(&self) -> Option<Step> {
        let Some(Undo::Step(undo)) = self.work.task()?.undo.as_ref() else { return None };
        Some(Step {
            id: format!("undo-{}", self.id),
            title: undo.title.clone(),
            covers: Vec::new(),
            either: None,
            budget: self.budget,
            timeout: self.timeout,
            on_fail: OnFail::Stop,
            retry: None,
            work: undo.work.clone(),
        })
    }
}

impl Work {
    /// Who must agree before this work starts.
    #[must_use]
    pub fn risk(&self) -> Risk {
        self.task().map_or(Risk::Safe, |t| t.risk)
    }

    /// What a system does in this step, unless a person does it.
    #[must_use]
    pub fn task(&self) -> Option<&Task> {
        match self {
            Work::Sql(task) | Work::Http(task) | Work::Process(task) => Some(task),
            Work::Manual(_)
            | Work::Wait(_)
            | Work::Choose(_)
            | Work::Parallel(_)
            | Work::Notify(_)
            | Work::Runbook(_) => None,
        }
    }
}

impl Check {
    /// What it asks.
    ///
    /// # Errors
    /// Not exactly one way is given.
    pub fn ask(&self) -> Result<Ask<'_>, String> {
        Ask::chain(self.sql.as_ref(), self.call.as_ref(), self.run.as_ref(), &self.also)
    }
}

impl Task {
    /// What it does.
    ///
    /// # Errors
    /// Not exactly one way is given.
    pub fn ask(&self) -> Result<Ask<'_>, String> {
        Ask::chain(self.sql.as_ref(), self.call.as_ref(), self.run.as_ref(), &self.also)
    }

    /// Whether it only reads.
    #[must_use]
    pub fn reads(&self) -> bool {
        self.effect == EffectClass::Observe
    }
}
