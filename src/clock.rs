//! The only home of the clock and of randomness. Takes nothing; gives times and seeds, which everything
//! else receives as arguments.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::id::Ids;
use crate::model::time::Millis;

/// The wall clock, in milliseconds since 1970. It may jump; `engine` keeps it from going back.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock's home")]
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A fresh source of identifiers from the system's random generator.
///
/// # Errors
/// The system has no randomness to give.
#[expect(clippy::disallowed_methods, reason = "this is the home of randomness")]
pub fn ids() -> Result<Ids, getrandom::Error> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(Ids::new(seed))
}
