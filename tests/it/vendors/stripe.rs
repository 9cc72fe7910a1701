//! Stripe: events and their delivery to one endpoint, payment intents, connected accounts. Facts from the
//! vendor's client: form-encoded bodies, a pinned version, an idempotency key on every POST that answers the
//! same again, 25 calls a second.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Answer, Got};

pub const KEY: &str = "rk_test_practice_restricted_key";
pub const ENDPOINT: &str = "we_practice";
pub const DESTINATION: &str = "ed_practice";
const VERSION: &str = "2026-10-28.endive";

/// What Stripe knows.
#[derive(Default)]
pub struct Stripe {
    /// Event id to whether its delivery succeeded.
    pub events: BTreeMap<String, bool>,
    /// Event id to its type, unix time and object, where they matter.
    pub details: BTreeMap<String, (String, i64, Value)>,
    /// Endpoint id to status and address.
    pub endpoints: BTreeMap<String, (String, String)>,
    /// Payment intents as objects, with their charge expanded.
    pub intents: BTreeMap<String, Value>,
    /// Connected accounts as objects.
    pub accounts: BTreeMap<String, Value>,
    /// A status that every POST answers instead of its own.
    pub change_fault: Option<u16>,
    /// Events whose retry named no endpoint: only somebody who listens on their own machine got them.
    pub unheard: Vec<String>,
    /// The path of each POST that had an effect; a repetition under the same key has none.
    pub made: Vec<String>,
    /// Calls that were too many in a second.
    pub throttled: u32,
    keys: BTreeMap<String, (String, Value)>,
    recent: Vec<Instant>,
}

impl Stripe {
    pub fn answer(&mut self, got: &Got) -> Answer {
        let path: Vec<&str> = got.path.trim_matches('/').split('/').collect();
        if got.headers.get("authorization").map(String::as_str) != Some(&format!("Bearer {KEY}")) {
            return Some((401, refusal("invalid_request_error", "Invalid API Key provided")));
        }
        if got.headers.get("stripe-version").is_some_and(|v| v != VERSION) {
            return None;
        }
        if self.too_many() {
            return Some((429, refusal("invalid_request_error", "Too many requests")));
        }
        match (got.method.as_str(), &path[1..]) {
            ("GET", ["v1", "events"]) => self.list(got),
            // What a reader of these makes of the fields depends on the version.
            ("GET", ["v1", ..]) if !got.headers.contains_key("stripe-version") => None,
            ("GET", ["v1", "webhook_endpoints", id]) if got.query.is_empty() => {
                let found = self.endpoints.get(*id).map(|(status, url)| json!({"id": id, "object": "webhook_endpoint", "status": status, "url": url, "enabled_events": ["*"], "api_version": VERSION}));
                Some(found.map_or_else(missing, |object| (200, object)))
            }
            ("GET", ["v1", "payment_intents"]) => self.intent_list(got),
            ("GET", ["v1", "payment_intents", id]) if got.query.keys().all(|k| k == "expand[]") => self.intent(got, id),
            ("GET", ["v1", "accounts", id]) if got.query.is_empty() => {
                Some(self.accounts.get(*id).cloned().map_or_else(missing, |object| (200, object)))
            }
            ("POST", ["v1", "events", id, "retry"]) => self.post(got, id),
            ("POST", ["v1", "account_links"]) => self.link(got),
            ("POST", ["v1", "payment_intents"]) => self.pay(got),
            ("POST", ["v2", "core", "event_destinations", id, "ping"]) => self.ping(got, id),
            _ => None,
        }
    }

    /// A connected account as the documents describe it; `disabled` is a reason, or nothing.
    pub fn account(&mut self, id: &str, disabled: Option<&str>, due: &[&str]) {
        let on = disabled.is_none();
        let object = json!({"id": id, "object": "account", "charges_enabled": on, "payouts_enabled": on, "details_submitted": true,
            "requirements": {"currently_due": due, "past_due": [], "eventually_due": due, "pending_verification": [], "current_deadline": null, "disabled_reason": disabled, "errors": []}});
        self.accounts.insert(id.to_owned(), object);
    }

    fn too_many(&mut self) -> bool {
        let now = Instant::now();
        self.recent.retain(|at| now.duration_since(*at) < Duration::from_secs(1));
        self.recent.push(now);
        let many = self.recent.len() > 25;
        self.throttled += u32::from(many);
        many
    }

    fn list(&self, got: &Got) -> Answer {
        let known = ["type", "delivery_success", "limit", "created[gte]", "starting_after"];
        if !got.query.keys().all(|k| known.contains(&k.as_str())) {
            return None;
        }
        let limit: usize = got.query.get("limit").map_or(Some(10), |l| l.parse().ok()).filter(|l| *l <= 100)?;
        let wanted = got.query.get("delivery_success").map(|d| d == "true");
        let hour_ago = drbot::clock::now().0 / 1000 - 3600;
        let plain = ("payment_intent.succeeded".to_owned(), hour_ago, json!({}));
        let of_type =
            |id: &String| got.query.get("type").is_none_or(|t| *t == self.details.get(id).unwrap_or(&plain).0);
        let fits = |(id, ok): &(&String, &bool)| wanted.is_none_or(|w| **ok == w) && of_type(id);
        let has_more = self.events.iter().filter(fits).count() > limit;
        let data: Vec<Value> = self
            .events
            .iter()
            .filter(fits)
            .take(limit)
            .map(|(id, ok)| {
                let (kind, created, object) = self.details.get(id).unwrap_or(&plain);
                json!({"id": id, "type": kind, "created": created, "pending_webhooks": u8::from(!ok), "data": {"object": object}})
            })
            .collect();
        Some((200, json!({"object": "list", "has_more": has_more, "data": data})))
    }

    /// Newest first, a page at a time.
    fn intent_list(&self, got: &Got) -> Answer {
        let known = ["created[gte]", "expand[]", "limit", "starting_after"];
        if !got.query.keys().all(|k| known.contains(&k.as_str())) {
            return None;
        }
        let limit: usize =
            got.query.get("limit").map_or(Some(10), |l| l.parse().ok()).filter(|l| (1..=100).contains(l))?;
        let since: i64 = got.query.get("created[gte]").map_or(Ok(0), |s| s.parse()).ok()?;
        let mut all: Vec<Value> =
            self.intents.values().filter(|i| i["created"].as_i64() >= Some(since)).cloned().collect();
        all.sort_by_key(|i| std::cmp::Reverse(i["created"].as_i64()));
        let at = match got.query.get("starting_after") {
            None => 0,
            Some(id) => all.iter().position(|i| i["id"] == **id)? + 1,
        };
        let mut data: Vec<Value> = all[at..].iter().take(limit).cloned().collect();
        if got.query.get("expand[]").map(String::as_str) != Some("data.latest_charge") {
            data.iter_mut().for_each(|i| i["latest_charge"] = i["latest_charge"]["id"].clone());
        }
        Some((
            200,
            json!({"object": "list", "url": "/v1/payment_intents", "has_more": at + limit < all.len(), "data": data}),
        ))
    }

    fn intent(&self, got: &Got, id: &str) -> Answer {
        let mut object = match self.intents.get(id) {
            Some(found) => found.clone(),
            None => return Some(missing()),
        };
        if got.query.get("expand[]").map(String::as_str) != Some("latest_charge") {
            object["latest_charge"] = object["latest_charge"]["id"].clone();
        }
        Some((200, object))
    }

    fn post(&mut self, got: &Got, id: &str) -> Answer {
        let form = form(got)?;
        if form.is_empty() {
            self.unheard.push(id.to_owned());
            return self.keyed(got, json!({"id": id, "object": "event"}));
        }
        if form.get("webhook_endpoint").map(String::as_str) != Some(ENDPOINT) || form.len() != 1 {
            return None;
        }
        if !self.events.contains_key(id) {
            return Some(missing());
        }
        let answered = self.keyed(got, json!({"id": id, "object": "event"}));
        if matches!(answered, Some((200, _))) {
            self.events.insert(id.to_owned(), true);
        }
        answered
    }

    fn link(&mut self, got: &Got) -> Answer {
        let form = form(got)?;
        let known = ["account", "type", "refresh_url", "return_url"];
        let account = form.get("account")?;
        if form.len() != known.len() || !known.iter().all(|k| form.contains_key(*k)) {
            return None;
        }
        if form["type"] != "account_onboarding" || !self.accounts.contains_key(account) {
            return Some((400, refusal("invalid_request_error", "No such account")));
        }
        let url = format!("https://connect.stripe.example/setup/{account}");
        self.keyed(got, json!({"object": "account_link", "url": url, "expires_at": 1_763_000_000}))
    }

    /// A payment made by hand. With a live key a right one would charge somebody, so none is ever taken here.
    fn pay(&mut self, got: &Got) -> Answer {
        let form = form(got)?;
        if form.contains_key("destination") {
            return Some((400, refusal("invalid_request_error", "Received unknown parameter: destination")));
        }
        if form.get("confirm").is_some_and(|c| c == "true") && !form.contains_key("payment_method") {
            return Some((400, refusal("invalid_request_error", "You cannot confirm without a payment method")));
        }
        None
    }

    fn ping(&mut self, got: &Got, id: &str) -> Answer {
        let json_type = got.headers.get("content-type").map(String::as_str) == Some("application/json");
        got.headers.get("stripe-version")?;
        if !json_type || got.body != "{}" || id != DESTINATION {
            return None;
        }
        self.keyed(got, json!({"object": "v2.core.event", "type": "v2.core.event_destination.ping"}))
    }

    /// The answer to a POST that carries its name: the same again for the same, never something else.
    fn keyed(&mut self, got: &Got, answer: Value) -> Answer {
        let key = got.headers.get("idempotency-key").filter(|k| k.len() <= 255)?;
        if let Some(status) = self.change_fault {
            return Some((status, refusal("api_error", "It went wrong on our side")));
        }
        let same = format!("{} {}", got.path, got.body);
        if !self.keys.contains_key(key) {
            self.made.push(got.path.clone());
        }
        let (before, first) = self.keys.entry(key.clone()).or_insert_with(|| (same.clone(), answer));
        let reused = refusal("idempotency_error", "Keys can only be used with the same parameters");
        Some(if *before == same { (200, first.clone()) } else { (400, reused) })
    }
}

fn form(got: &Got) -> Option<BTreeMap<String, String>> {
    let encoded = got.headers.get("content-type").map(String::as_str) == Some("application/x-www-form-urlencoded");
    encoded.then(|| url::form_urlencoded::parse(got.body.as_bytes()).into_owned().collect())
}

fn missing() -> (u16, Value) {
    (404, refusal("invalid_request_error", "No such object"))
}

fn refusal(kind: &str, message: &str) -> Value {
    json!({"error": {"type": kind, "message": message}})
}
