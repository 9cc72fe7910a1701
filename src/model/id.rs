//! Names of things. Takes a seed; gives identifiers that nobody can guess and that replay the same.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A case: `inc-12`, `check-…`, `watch-RUNBOOK`, `schedule-ID`, `control`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CaseId(pub String);

impl CaseId {
    /// The incident with this number.
    #[must_use]
    pub fn incident(number: u64) -> CaseId {
        CaseId(format!("inc-{number}"))
    }

    /// The standing case of a runbook's scheduled detection.
    #[must_use]
    pub fn watch(runbook: &str) -> CaseId {
        CaseId(format!("watch-{runbook}"))
    }

    /// The standing case of a schedule.
    #[must_use]
    pub fn schedule(id: &str) -> CaseId {
        CaseId(format!("schedule-{id}"))
    }
}

impl std::fmt::Display for CaseId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The stable name of an effect: the same key is the same effect.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EffectKey(pub String);

impl EffectKey {
    /// Joins the parts with `/`.
    #[must_use]
    pub fn of(parts: &[&str]) -> EffectKey {
        EffectKey(parts.join("/"))
    }
}

/// What a button or form carries: 128 random bits as 32 lower-case hex digits, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ButtonId(pub String);

/// A source of identifiers: SHA-256 over a secret seed and a counter, so that one decision replayed
/// with the same seed gives the same identifiers.
#[derive(Debug, Clone)]
pub struct Ids {
    seed: [u8; 32],
    next: u64,
}

impl Ids {
    /// A source that starts from `seed`, which must come from the system's random generator.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Ids {
        Ids { seed, next: 0 }
    }

    /// The next 128 bits as 32 hex digits.
    pub fn hex(&mut self) -> String {
        self.next += 1;
        let mut hash = Sha256::new();
        hash.update(self.seed);
        hash.update(self.next.to_be_bytes());
        hex::encode(&hash.finalize()[..16])
    }

    /// The next button.
    pub fn button(&mut self) -> ButtonId {
        ButtonId(self.hex())
    }
}
