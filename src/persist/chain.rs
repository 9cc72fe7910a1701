//! The chain: every event's hash covers the one before it. Takes hashes and texts; gives the next hash.
//! It shows edits, gaps and reorder; what was never written, or cut off the end, it cannot show.

use sha2::{Digest, Sha256};

/// The hash before a case's first event.
#[must_use]
pub fn start(case: &str) -> String {
    hex::encode(Sha256::digest(case))
}

/// The hash of a payload, which stays when the payload is erased.
#[must_use]
pub fn payload(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

/// The hash of an event: over the one before it, its place, time, kind and payload hash.
#[must_use]
pub fn next(before: &str, seq: u64, at: i64, kind: &str, payload_hash: &str) -> String {
    let mut hash = Sha256::new();
    for part in [before, kind, payload_hash] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update(seq.to_be_bytes());
    hash.update(at.to_be_bytes());
    hex::encode(hash.finalize())
}
