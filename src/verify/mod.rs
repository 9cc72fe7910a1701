//! Proof of who sent a request. Takes raw headers, the raw body, the secrets and the time; gives a
//! `Verified` body, or why it was refused. Pure: no clock, no I/O.

pub mod bearer;
pub mod slack;

use sha2::{Digest, Sha256};

use crate::model::time::Millis;

pub use slack::{Refused, SlackSecrets, is_ssl_check, slack};

/// A body whose sender is proven. Only this module can make one, so whoever holds one need not ask.
///
/// ```compile_fail,E0451
/// let forged = drbot::verify::Verified { body: Vec::new(), seconds: 0, key: String::new() };
/// ```
pub struct Verified {
    body: Vec<u8>,
    seconds: i64,
    key: String,
}

impl Verified {
    /// Seals what a scheme has proven; `stamp` and `signature` are the header values as received, or, where
    /// nothing is signed, nothing and the body's hash.
    fn seal(body: Vec<u8>, seconds: i64, stamp: &str, signature: &str) -> Verified {
        let key = hex::encode(Sha256::digest(format!("{stamp}:{signature}")));
        Verified { body, seconds, key }
    }

    /// The bytes exactly as they arrived.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// When the sender signed it.
    #[must_use]
    pub fn timestamp(&self) -> Millis {
        Millis(self.seconds.saturating_mul(1_000))
    }

    /// The name of this delivery: the same request sent again has the same key.
    #[must_use]
    pub fn delivery_key(&self) -> &str {
        &self.key
    }
}

// The body may hold a response address, which is a credential: it must not reach a log by `{:?}`.
impl std::fmt::Debug for Verified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verified").field("seconds", &self.seconds).field("bytes", &self.body.len()).finish()
    }
}
