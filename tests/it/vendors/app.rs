//! The SaaS's own functions: Stripe's webhook, which checks signatures as the vendor's library does, and the
//! inner ones that need the secret key. What they would write into the database is the test's to do.

use std::collections::{BTreeMap, BTreeSet};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Answer, Got};

pub const SECRET: &str = "sb_secret_practice_key";

/// What the application knows.
#[derive(Default)]
pub struct App {
    /// The signing secrets that the webhook accepts.
    pub signing: Vec<String>,
    /// Somebody turned the check off.
    pub trusting: bool,
    /// A status that the webhook answers instead of its own.
    pub webhook_fault: Option<u16>,
    /// A status that the inner functions answer instead of their own.
    pub change_fault: Option<u16>,
    /// Types of the events that the webhook took.
    pub taken: Vec<String>,
    /// Events it was asked to fetch and process.
    pub processed: BTreeSet<String>,
    /// Bookings whose confirmation went out, one entry a mail.
    pub mails: Vec<String>,
    keys: BTreeMap<String, String>,
}

impl App {
    pub fn answer(&mut self, got: &Got) -> Answer {
        let path: Vec<&str> = got.path.trim_matches('/').split('/').collect();
        match (got.method.as_str(), path.as_slice()) {
            ("POST", ["app", "functions", "v1", "stripe-webhook"]) => Some(self.webhook(got)),
            ("POST", ["app", "functions", "v1", name]) => self.inner(got, name),
            _ => None,
        }
    }

    fn webhook(&mut self, got: &Got) -> (u16, Value) {
        if let Some(status) = self.webhook_fault {
            return (status, json!({"message": "went wrong"}));
        }
        let header = got.headers.get("stripe-signature").map(String::as_str).unwrap_or_default();
        if !self.trusting && !self.signing.iter().any(|secret| signed(header, &got.body, secret)) {
            return (400, json!({"error": "No signatures found matching the expected signature for payload"}));
        }
        let event: Value = serde_json::from_str(&got.body).unwrap_or_default();
        self.taken.push(event["type"].as_str().unwrap_or_default().to_owned());
        (200, json!({"received": true}))
    }

    fn inner(&mut self, got: &Got, name: &str) -> Answer {
        if got.headers.get("apikey").map(String::as_str) != Some(SECRET) {
            return Some((401, json!({"message": "Invalid API key"})));
        }
        if let Some(status) = self.change_fault {
            return Some((status, json!({"message": "It went wrong on our side"})));
        }
        let body: Value = serde_json::from_str(&got.body).ok()?;
        let key = got.headers.get("idempotency-key")?.clone();
        let again = self.keys.insert(key, got.body.clone()).is_some_and(|before| before == got.body);
        match name {
            "send-booking-confirmation" => {
                let booking = body["booking_id"].as_str()?.to_owned();
                if !again {
                    self.mails.push(booking);
                }
            }
            "process-stripe-event" => {
                self.processed.insert(body["event_id"].as_str()?.to_owned());
            }
            _ => return Some((404, json!({"code": "NOT_FOUND", "message": "Requested function was not found"}))),
        }
        Some((200, json!({"ok": true})))
    }
}

/// As the vendor's library: any `v1` may fit, and only a time that is long past is refused.
fn signed(header: &str, body: &str, secret: &str) -> bool {
    let part = |name: &'static str| header.split(',').filter_map(move |p| p.strip_prefix(name)?.strip_prefix('='));
    let Some(at) = part("t").next() else { return false };
    let old = at.parse::<i64>().is_ok_and(|t| t < drbot::clock::now().0 / 1000 - 300);
    !old && part("v1").any(|given| hex::decode(given).is_ok_and(|given| fits(&given, at, body, secret)))
}

fn fits(given: &[u8], at: &str, body: &str, secret: &str) -> bool {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    mac.update(format!("{at}.{body}").as_bytes());
    mac.verify_slice(given).is_ok()
}
