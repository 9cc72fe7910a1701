//! What a file in `commands/tests/` says: recorded answers of one runbook's targets and people, and what is to
//! come of them. Takes nothing; `trial` plays it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::model::schema::Scalar;
use crate::model::time::Span;

/// A file: the recorded cases of one runbook.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub runbook: String,
    pub cases: Vec<Recorded>,
}

/// One case: what was answered, and what must come of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    pub name: String,
    /// Parameters, of the installation and of the run alike.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Scalar>")]
    pub given: BTreeMap<String, String>,
    /// What was kept for parameters before the incident began: parameter to rows.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Vec<BTreeMap<String, Option<Scalar>>>>")]
    pub kept: BTreeMap<String, KeptRows>,
    /// Detections one after the other.
    #[serde(default)]
    pub detect: Vec<Round>,
    /// The run, if one is started.
    #[serde(default)]
    pub run: Option<Run>,
}

/// Rows that were kept: column to text.
pub type KeptRows = Vec<BTreeMap<String, Option<String>>>;

/// One detection: what each check was told, and the light it leads to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Round {
    pub answers: Answers,
    /// `green`, `amber`, `RED` or `could not check`.
    pub light: String,
    /// Texts that the card of `/dr detect` holds.
    #[serde(default)]
    pub card: Vec<String>,
}

/// Check to what it was told.
pub type Answers = BTreeMap<String, Answer>;

/// A run: what each step met, and how it all ends.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Run {
    #[serde(default)]
    pub steps: BTreeMap<String, Met>,
    /// What the runbook's last checks were told.
    #[serde(default)]
    pub verify: Answers,
    /// Each step that was reached with how it ended: `look done`, `cancel skipped`. Of the last run, where one
    /// handed over to another.
    pub path: Vec<String>,
    /// `recovered`, `paused`, `aborted`, or `handed over to RUNBOOK`.
    pub ends: String,
    /// Texts that the incident's card holds at the end.
    #[serde(default)]
    pub card: Vec<String>,
}

/// What one step met: its target's answers, or what people did.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Met {
    pub preview: Option<Answer>,
    /// What came back from the work itself.
    pub answer: Option<Answer>,
    /// Its own checks, or the questions of a wait or a look; one entry a time, the last one holds on.
    pub checks: Vec<Answers>,
    /// What the probe says after an unknown end; `null` if it cannot tell.
    pub probe: Option<bool>,
    /// Two people say it after an unknown end: `happened` or `not`.
    pub settle: Option<String>,
    /// Somebody denies, with this reason; otherwise everybody agrees.
    pub deny: Option<String>,
    /// The option that a person chooses, by its label.
    pub choose: Option<String>,
    /// What a person reports as evidence.
    pub done: Option<String>,
    /// The current step is left out, with this reason.
    pub skip: Option<String>,
    /// What an undo that was agreed to with the step meets; without it, it is left waiting.
    pub back: Option<Back>,
    /// Texts that the card holds while people are asked.
    pub card: Vec<String>,
}

/// What an agreed undo met.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Back {
    /// Its condition; one entry a time, the last one holds on. Without any, the latest time comes.
    pub checks: Vec<Answers>,
    /// What came back from the work itself.
    pub answer: Answer,
    /// Its own proof.
    pub proof: Answers,
}

/// What a target said, or why it said nothing.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Answer {
    /// Rows of a statement or of programs' output: column to text, null for NULL.
    #[schemars(with = "Option<Vec<BTreeMap<String, Option<Scalar>>>>")]
    pub rows: Option<Vec<BTreeMap<String, Option<String>>>>,
    /// The status of a call's answer.
    pub status: Option<u16>,
    pub latency: Option<Span>,
    /// The body of a call's answer.
    pub json: Option<Value>,
    /// It could not be asked at all: nothing was sent.
    pub dark: Option<String>,
    /// It was asked and nobody heard the end.
    pub unknown: Option<String>,
}
