//! How a runbook goes on: waiting, choosing, looking, what people do, and what a failure means. Takes
//! nothing; the loader fills it and `decide` follows it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::runbook::Check;
use super::time::Span;

/// Waits for a time, or until all checks hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// Just so long.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub span: Option<Span>,
    /// Until all of these hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub until: Vec<Check>,
    /// Between two looks.
    #[serde(default = "half_a_minute")]
    pub every: Span,
    /// Then it failed.
    #[serde(default = "half_an_hour")]
    pub at_most: Span,
}

fn half_a_minute() -> Span {
    Span::seconds(30)
}

fn half_an_hour() -> Span {
    Span::minutes(30)
}

/// A question to the people of the incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Choose {
    pub ask: String,
    pub options: Vec<Way>,
}

/// One answer, and where it leads: on to the next step, to a later one, or into another runbook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Way {
    pub label: String,
    /// A later step; those between are skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub go: Option<String>,
    /// This run ends and that runbook starts in the same incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runbook: Option<String>,
}

/// Questions asked together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parallel {
    pub checks: Vec<Check>,
}

/// What a failed step means for the run. A step that people denied always stops it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFail {
    /// Pause; people decide.
    #[default]
    Stop,
    /// Go on with the next step.
    Continue,
    /// Pause, and ask on the card: again, without it, or not at all.
    Ask,
    /// Go on with a later one.
    Go(String),
}

/// How often work that may be done again is tried again by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    pub times: u32,
    #[serde(default = "two_seconds")]
    pub pause: Span,
}

fn two_seconds() -> Span {
    Span::seconds(2)
}

/// Something that keeps a runbook from running; exactly one of `not_while` and `differ`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Interlock {
    /// The runbook of a scenario; no incident of it may be open and not recovered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_while: Option<String>,
    /// Parameters whose values must all be different.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differ: Vec<String>,
    /// Said to whoever is refused.
    pub why: String,
}

/// Something that people are told so that they notice: chat rings their bell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Notify {
    /// Everybody of the roster with one of these roles.
    pub roles: Vec<String>,
    /// With `{parameter}` placeholders.
    pub text: String,
}

/// What a person is asked to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ManualWork {
    pub ask: String,
    /// What evidence is expected, such as a link or a figure.
    pub evidence: String,
    /// Why no system can do it. Needed where it answers for lines of the source page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<ByHand>,
}

/// What is left to people; everything else is done by a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ByHand {
    /// A phone must see a code.
    QrScan,
    /// Mail or documents to somebody else's support.
    OutsideSupport,
    /// What has legal consequences when it is said.
    LegalNotice,
    /// A dashboard that has no API for it.
    NoApi,
}

impl ByHand {
    /// For people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            ByHand::QrScan => "QR scan",
            ByHand::OutsideSupport => "outside support",
            ByHand::LegalNotice => "legal notice",
            ByHand::NoApi => "dashboard without an API",
        }
    }
}
