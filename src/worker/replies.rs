//! Short-lived answer addresses. Takes a `response_url`; gives a handle to it. The address is a
//! credential: it is kept in memory only, for as long as Slack honours it, and never stored or logged.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long Slack honours an address.
const LIFE: Duration = Duration::from_secs(30 * 60);
/// Most addresses kept; the oldest is forgotten first.
const KEPT: usize = 10_000;

/// The addresses in memory.
#[derive(Default)]
pub struct Replies {
    kept: Mutex<HashMap<String, (String, Instant)>>,
}

impl Replies {
    /// Keeps an address under a handle.
    pub fn keep(&self, handle: &str, url: String) -> String {
        let now = Instant::now();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.retain(|_, (_, since)| now.duration_since(*since) < LIFE);
            let oldest = kept.iter().min_by_key(|(_, (_, since))| *since).map(|(h, _)| h.clone());
            if let Some(oldest) = oldest.filter(|_| kept.len() >= KEPT) {
                kept.remove(&oldest);
            }
        }
        kept.insert(handle.to_owned(), (url, now));
        handle.to_owned()
    }

    /// The address behind a handle, if Slack may still honour it.
    pub fn find(&self, handle: &str) -> Option<String> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(handle).filter(|(_, since)| since.elapsed() < LIFE).map(|(url, _)| url.clone())
    }
}
