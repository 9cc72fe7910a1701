//! Stripe: events and their delivery to one endpoint. Facts from the vendor's client: form-encoded bodies,
//! a pinned version, an idempotency key on every POST that answers the same again.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Answer, Got};

pub const KEY: &str = "rk_test_practice_restricted_key";
pub const ENDPOINT: &str = "we_practice";

/// What Stripe knows.
#[derive(Default)]
pub struct Stripe {
    /// Event id to whether its delivery succeeded.
    pub events: BTreeMap<String, bool>,
    /// A status that every POST answers instead of its own.
    pub change_fault: Option<u16>,
    keys: BTreeMap<String, (String, Value)>,
}

impl Stripe {
    pub fn answer(&mut self, got: &Got) -> Answer {
        let path: Vec<&str> = got.path.trim_matches('/').split('/').collect();
        if got.headers.get("authorization").map(String::as_str) != Some(&format!("Bearer {KEY}")) {
            return Some((401, refusal("invalid_request_error", "Invalid API Key provided")));
        }
        match (got.method.as_str(), path.as_slice()) {
            ("GET", ["stripe", "v1", "events"]) => self.list(got),
            ("POST", ["stripe", "v1", "events", id, "retry"]) => self.post(got, id),
            _ => None,
        }
    }

    fn list(&self, got: &Got) -> Answer {
        let known = ["type", "delivery_success", "limit", "created[gte]", "starting_after"];
        if !got.query.keys().all(|k| known.contains(&k.as_str())) {
            return None;
        }
        let wanted = got.query.get("delivery_success").map(|d| d == "true");
        let data: Vec<Value> = self
            .events
            .iter()
            .filter(|(_, ok)| wanted.is_none_or(|w| **ok == w))
            .map(|(id, ok)| json!({"id": id, "type": "payment_intent.succeeded", "pending_webhooks": u8::from(!ok)}))
            .collect();
        Some((200, json!({"object": "list", "has_more": false, "data": data})))
    }

    fn post(&mut self, got: &Got, id: &str) -> Answer {
        let form: BTreeMap<String, String> = url::form_urlencoded::parse(got.body.as_bytes()).into_owned().collect();
        let encoded = got.headers.get("content-type").map(String::as_str) == Some("application/x-www-form-urlencoded");
        let key = got.headers.get("idempotency-key")?;
        if !encoded || form.get("webhook_endpoint").map(String::as_str) != Some(ENDPOINT) || form.len() != 1 {
            return None;
        }
        if let Some(status) = self.change_fault {
            return Some((status, refusal("api_error", "It went wrong on our side")));
        }
        let same = format!("{} {}", got.path, got.body);
        if let Some((before, answer)) = self.keys.get(key) {
            let reused = refusal("idempotency_error", "Keys can only be used with the same parameters");
            return Some(if *before == same { (200, answer.clone()) } else { (400, reused) });
        }
        let Some(event) = self.events.get_mut(id) else {
            return Some((404, refusal("invalid_request_error", "No such event")));
        };
        *event = true;
        let answer = json!({"id": id, "object": "event"});
        self.keys.insert(key.clone(), (same, answer.clone()));
        Some((200, answer))
    }
}

fn refusal(kind: &str, message: &str) -> Value {
    json!({"error": {"type": kind, "message": message}})
}
