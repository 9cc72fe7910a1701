//! The approval: a decision by persons about one exact rendered action. Takes the action; gives its
//! digest, which every later stage compares.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::agreed::AgreedUndo;
use super::ask::Deed;
use super::expect::Rows;
use super::id::ButtonId;
use super::person::PersonId;
use super::runbook::{EffectClass, Risk};
use super::time::Millis;

/// Which system a target really is: a database as the server itself says, an HTTP target by its address, a
/// set of programs by their files on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TargetIdentity {
    /// PostgreSQL's system identifier; the address of an HTTP target; the programs' files.
    pub system: String,
    pub database: String,
    pub server: String,
}

impl TargetIdentity {
    /// For people: the database and its server, or what stands for them.
    #[must_use]
    pub fn text(&self) -> String {
        match (self.database.is_empty(), self.server.is_empty()) {
            (false, _) => format!("database {}, server {}", self.database, self.server),
            (true, false) => format!("{} on {}", self.system, self.server),
            (true, true) => self.system.clone(),
        }
    }
}

/// Everything an approval is about. Its canonical JSON is what the digest covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// The one execution this may start: incident, run, step, attempt.
    pub execution: String,
    pub runbook: String,
    pub closure: String,
    pub step: String,
    pub attempt: u32,
    pub title: String,
    pub risk: Risk,
    pub effect: EffectClass,
    pub target: String,
    pub identity: TargetIdentity,
    pub deed: Deed,
    pub values: BTreeMap<String, String>,
    /// What would be touched, as shown.
    pub preview: Rows,
    pub undo: Option<String>,
    /// What this agreement covers besides: how the step is taken back by itself, byte by byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreed: Option<Box<AgreedUndo>>,
    pub requester: PersonId,
    pub policy: String,
    pub decide_by: Millis,
}

impl Action {
    /// SHA-256 over the canonical JSON, 64 hex digits.
    #[must_use]
    pub fn digest(&self) -> String {
        // Field order is fixed by the struct and maps are sorted, so equal actions give equal bytes.
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        hex::encode(Sha256::digest(bytes))
    }
}

/// The first 12 hex digits of a digest: how people name an approval.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ApprovalId(pub String);

impl ApprovalId {
    /// How many digits name an approval.
    pub const LENGTH: usize = 12;

    /// The id that belongs to a digest.
    #[must_use]
    pub fn of(digest: &str) -> ApprovalId {
        ApprovalId(digest.chars().take(ApprovalId::LENGTH).collect())
    }
}

/// One requirement: this many persons with this role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quorum {
    pub role: String,
    pub count: u32,
}

/// Who must agree: all of these, each by others than the requester.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    pub all_of: Vec<Quorum>,
}

/// Where an approval stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    Open,
    /// Agreed; must start before `start_by`.
    Granted {
        at: Millis,
        start_by: Millis,
    },
    Used,
    Denied {
        by: PersonId,
        reason: String,
        at: Millis,
    },
    Expired {
        at: Millis,
    },
    Void {
        why: String,
        at: Millis,
    },
}

impl Standing {
    /// One word for texts.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Standing::Open => "waiting for a decision",
            Standing::Granted { .. } => "approved, about to start",
            Standing::Used => "approved and used",
            Standing::Denied { .. } => "denied",
            Standing::Expired { .. } => "expired",
            Standing::Void { .. } => "void",
        }
    }
}

/// An approval asked for, with the votes so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    pub id: ApprovalId,
    pub digest: String,
    pub action: Action,
    pub policy: Policy,
    pub asked: Millis,
    pub approve: ButtonId,
    pub deny: ButtonId,
    pub votes: Vec<(PersonId, Millis)>,
    pub standing: Standing,
}
