//! Short-lived answer addresses. Takes a `response_url`; gives a handle to it. The address is a
//! credential: it is kept in memory only, for as long as Slack honours it, and never stored or logged.

use std::collections::{HashMap, VecDeque};
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
    kept: Mutex<Kept>,
}

/// Addresses by handle, and the handles in the order they came.
#[derive(Default)]
struct Kept {
    addresses: HashMap<String, (String, Instant)>,
    order: VecDeque<(String, Instant)>,
}

impl Replies {
    /// Keeps an address under a handle. Costs the same however many are kept.
    pub fn keep(&self, handle: &str, url: String) -> String {
        let now = Instant::now();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((oldest, since)) = kept.order.front()
            && (kept.order.len() >= KEPT || now.duration_since(*since) >= LIFE)
        {
            let oldest = oldest.clone();
            kept.addresses.remove(&oldest);
            kept.order.pop_front();
        }
        if kept.addresses.insert(handle.to_owned(), (url, now)).is_none() {
            kept.order.push_back((handle.to_owned(), now));
        }
        handle.to_owned()
    }

    /// The address behind a handle, if Slack may still honour it.
    pub fn find(&self, handle: &str) -> Option<String> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.addresses.get(handle).filter(|(_, since)| since.elapsed() < LIFE).map(|(url, _)| url.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first_and_a_repeat_counts_once() {
        let replies = Replies::default();
        for n in 0..KEPT {
            replies.keep(&n.to_string(), format!("url-{n}"));
        }
        replies.keep("1", "again".into());
        assert_eq!(replies.find("0"), None, "the oldest made room");
        assert_eq!(replies.find("1").as_deref(), Some("again"));
        for n in KEPT..2 * KEPT {
            replies.keep(&n.to_string(), String::new());
        }
        let kept = replies.kept.lock().unwrap();
        assert!(kept.addresses.len() <= KEPT && kept.order.len() == kept.addresses.len());
    }
}
