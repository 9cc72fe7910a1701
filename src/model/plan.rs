//! The plan: what a runbook would do now, looked at step by step and never done. Takes events; gives
//! what its card shows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::approval::TargetIdentity;
use super::expect::Rows;
use super::outcome::Checked;
use super::person::PersonId;
use super::runbook::{Loaded, Step};
use super::time::Millis;

/// A runbook as it would run now, with the values it would have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub by: PersonId,
    pub channel: String,
    /// The thread it was asked in, if it was.
    pub thread: Option<String>,
    pub asked: Millis,
    pub loaded: Loaded,
    pub values: BTreeMap<String, String>,
    /// What was found for each of the first steps, in their order.
    pub looks: Vec<Look>,
}

/// What looking at one step without doing it brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    /// There is nothing to look at beforehand: a person does it, or time does.
    Free,
    /// What it would touch or show, and which system that is.
    Shown { rows: Rows, identity: TargetIdentity },
    /// The answers of its questions.
    Answered(Vec<Checked>),
    /// The target, or what drbot may do there, could not be reached.
    Dark { why: String },
}

impl Plan {
    /// The step to look at next, unless all are through.
    #[must_use]
    pub fn next(&self) -> Option<&Step> {
        self.loaded.runbook.steps.get(self.looks.len())
    }
}
