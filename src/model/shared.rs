//! What all runbooks share: what the source page says outside its scenarios, and why some of its lines are
//! answered in another way than written. Takes nothing; the loader in `parse` fills it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::runbook::Objectives;
use super::schedule::Schedule;
use super::time::Span;

/// The shared file: the list of scenarios, so that one without a file is told apart from one that is
/// healthy, and what holds for all of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shared {
    pub objectives: Objectives,
    pub scenarios: Vec<Scenario>,
    /// Ids of the source page's lines that this file answers for as data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub covers: Vec<String>,
    /// Lines that are answered in another way, or not at all, with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<Replaced>,
    /// What has to work again, by tier.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
    /// Who is asked next, from the first level up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub escalation: Vec<Level>,
    /// How a role is reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<Contact>,
    /// What is left to do after every recovery.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checklist: Vec<Duty>,
    /// What is done again and again so that it does not come to this.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<Schedule>,
}

/// One scenario of the source page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    pub id: String,
    pub title: String,
    pub tier: u8,
    pub runbook: String,
}

/// Lines of the source page that are not followed to the letter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replaced {
    pub ids: Vec<String>,
    /// Why not, and what is there instead.
    pub why: String,
}

/// A service with its place in the order of recovery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    pub name: String,
    pub tier: u8,
    /// What looks at it: a runbook, or one check of it as `RUNBOOK/CHECK`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<String>,
    /// Why nothing looks at it, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub covers: Vec<String>,
}

/// One level of escalation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Level {
    pub level: u8,
    pub title: String,
    /// Time since the beginning after which it is due; at once for what cannot wait if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Span>,
    /// The role that is asked, one of `contacts`; nobody yet at the first level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub covers: Vec<String>,
}

/// How a role is reached; persons are in the configuration's roster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    pub role: String,
    /// An address, or where to ask.
    pub reach: String,
}

/// One line of the checklist after a recovery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Duty {
    pub task: String,
    /// The role that answers for it, one of `contacts`.
    pub owner: String,
    /// Time after the recovery by which it is done.
    pub due: Span,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub covers: Vec<String>,
}
