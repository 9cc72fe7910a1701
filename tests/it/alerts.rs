//! Alerts through the running bot: real deliveries of Alertmanager, posted as they were captured, judged
//! by the practice chat's own record.

mod diagnosis;

use std::time::Duration;

use drbot::practice::bot::Wiring;
use drbot::practice::slack::{Message, buttons, plain_text};
use serde_json::{Value, json};
use sqlx::Connection;

use crate::world::{CHANNEL, LIMIT, World, user};

const CAPTURED: &str = include_str!("../fixtures/captured/alertmanager_webhook.json");
pub const TOKEN: &str = "am-secret-token";

/// A bot that takes alerts into the tests' channel.
pub fn listening(wiring: &mut Wiring) {
    wiring.more.push_str(&format!(
        "alerts:\n  channel: {CHANNEL}\n  alertmanager: {{ bearer: [a-token-on-its-way-out, {TOKEN}], basic_user: am, basic_password: a-basic-password }}\n"
    ));
}

/// The captured deliveries: the Authorization header and the body, in order.
pub fn captured() -> Vec<(String, Value)> {
    let file: Value = serde_json::from_str(CAPTURED).expect("the fixture");
    let list = file["deliveries"].as_array().expect("deliveries");
    let one = |d: &Value| (d["headers"]["Authorization"].as_str().expect("a header").to_owned(), d["body"].clone());
    list.iter().map(one).collect()
}

/// A client that goes straight there.
pub fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

/// Posts a delivery as Alertmanager does; gives the status.
pub async fn post(world: &World, authorization: Option<&str>, body: &str) -> u16 {
    let (commands, _) = world.bot.doors().expect("addresses");
    let url = commands.join("/alerts/alertmanager").expect("an address");
    let request = http().post(url).header("content-type", "application/json").body(body.to_owned());
    let request = authorization.map_or(request.try_clone().expect("a copy"), |a| request.header("authorization", a));
    request.send().await.expect("an answer").status().as_u16()
}

async fn deliver(world: &World, body: &Value) {
    // Compact JSON and one newline, as it comes.
    assert_eq!(post(world, Some(&format!("Bearer {TOKEN}")), &format!("{body}\n")).await, 200);
}

/// A delivery of one group with these alerts: fingerprint, whether it fires, minutes past eight.
pub fn delivery(name: &str, alerts: &[(&str, bool, u32)]) -> Value {
    let one = |(fingerprint, firing, minute): &(&str, bool, u32)| {
        json!({
            "status": if *firing { "firing" } else { "resolved" },
            "labels": {"alertname": name, "instance": fingerprint},
            "annotations": {"summary": format!("{name} on {fingerprint}")},
            "startsAt": format!("2026-11-22T08:{minute:02}:00.5Z"),
            "endsAt": if *firing { "0001-01-01T00:00:00Z".to_owned() } else { format!("2026-11-22T08:{minute:02}:40Z") },
            "generatorURL": "", "fingerprint": fingerprint, "somethingNew": [1],
        })
    };
    let firing = alerts.iter().any(|a| a.1);
    json!({
        "receiver": "drbot", "status": if firing { "firing" } else { "resolved" }, "version": "4",
        "alerts": alerts.iter().map(one).collect::<Vec<_>>(),
        "groupLabels": {"alertname": name}, "commonLabels": {"alertname": name}, "commonAnnotations": {},
        "externalURL": "http://localhost:9093", "groupKey": format!("{{}}:{{alertname=\"{name}\"}}"),
        "truncatedAlerts": 0, "notification_reason": "first notification",
    })
}

/// The cards of the channel: what stands there and is no answer in a thread.
pub fn cards(world: &World) -> Vec<Message> {
    world.slack.messages(CHANNEL).into_iter().filter(|m| m.thread_ts.is_none()).collect()
}

/// Waits until a card of the channel shows all of these.
pub async fn card(world: &World, parts: &[&str]) -> Message {
    let shows = |m: &&Message| parts.iter().all(|p| plain_text(m).contains(p));
    let found = world.slack.wait(LIMIT, || cards(world).iter().find(shows).cloned()).await;
    found.unwrap_or_else(|| {
        let all: Vec<String> = cards(world).iter().map(plain_text).collect();
        panic!("no card shows {parts:?}; there are:\n{}\nthe bot logged:\n{}", all.join("\n---\n"), world.bot.log())
    })
}

/// The store, as somebody else reads it.
async fn number(world: &World, sql: &'static str) -> i64 {
    let mut store = sqlx::sqlite::SqliteConnection::connect(&world.store).await.expect("the store");
    sqlx::query_scalar(sql).fetch_one(&mut store).await.expect("a number")
}

/// Waits until no effect is left to do.
async fn quiet(world: &World) {
    let until = tokio::time::Instant::now() + LIMIT;
    while number(world, "SELECT COUNT(*) FROM effects WHERE lane < 5 AND act NOT LIKE '{\"check%'").await > 0 {
        assert!(tokio::time::Instant::now() < until, "work is left:\n{}", world.bot.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Everything the chat holds, edits included.
fn record(world: &World) -> Vec<(String, String, usize)> {
    let of = |m: &Message| (m.ts.clone(), plain_text(m), m.edits.len());
    world.slack.messages(CHANNEL).iter().map(of).collect()
}

/// The seven captured deliveries in order, each twice: one card per group, edited, resolved; then all of
/// them once more, in the wrong order: nothing is added.
#[tokio::test]
async fn captured_deliveries_make_one_card_per_group() {
    let world = World::with(false, listening).await;
    let all = captured();
    assert_eq!(all.len(), 7);
    for (authorization, body) in &all {
        for _ in 0..2 {
            assert_eq!(post(&world, Some(authorization), &format!("{body}\n")).await, 200);
        }
    }
    let stripe = card(&world, &["StripeWebhookFailed: resolved", "19:15:24 UTC to 19:16:24 UTC"]).await;
    let edge =
        card(&world, &["EdgeFunctionTimeout: 1 alert firing", "no scenario names this alert", "/dr runbooks"]).await;
    let database = card(&world, &["DatabaseDown: resolved", "REST health check failing", "fired 2 times"]).await;
    quiet(&world).await;
    assert_eq!(cards(&world).len(), 3, "{:#?}", record(&world));
    let again: Vec<Message> = world.slack.messages(CHANNEL).into_iter().filter(|m| m.thread_ts.is_some()).collect();
    assert_eq!(again.len(), 1, "the group that fired again is told aloud, once: {:#?}", record(&world));
    assert_eq!(again[0].thread_ts.as_deref(), Some(database.ts.as_str()));
    let broadcast = |p: &Value| p["reply_broadcast"] == true;
    assert_eq!(world.slack.calls("chat.postMessage").iter().filter(|c| broadcast(&c.params)).count(), 1);
    assert!(plain_text(&again[0]).contains("DatabaseDown fires again"), "{}", plain_text(&again[0]));
    assert!(!stripe.edits.is_empty() && !database.edits.is_empty(), "cards are edited in place");
    assert_eq!(buttons(&edge).len(), 2);
    assert!(buttons(&stripe).is_empty() && buttons(&database).is_empty(), "nothing to press on what is over");

    let (before, events) = (record(&world), number(&world, "SELECT COUNT(*) FROM events").await);
    for (authorization, body) in all.iter().rev() {
        assert_eq!(post(&world, Some(authorization), &body.to_string()).await, 200);
        // A part of it, which no earlier delivery was.
        let mut part = body.clone();
        part["alerts"].as_array_mut().expect("alerts").truncate(1);
        assert_eq!(post(&world, Some(authorization), &part.to_string()).await, 200);
    }
    quiet(&world).await;
    assert_eq!(record(&world), before, "old news added something");
    assert_eq!(number(&world, "SELECT COUNT(*) FROM events").await, events);
    world.finish();
}

/// Whoever shows no secret of ours learns nothing and changes nothing; every active secret works.
#[tokio::test]
async fn only_the_sender_with_a_secret_is_heard() {
    let world = World::with(false, listening).await;
    let (good, body) = captured()[0].clone();
    let body = body.to_string();
    for bad in [None, Some("Bearer wrong-secret-token"), Some("Bearer"), Some("Basic YW06YW0="), Some(TOKEN)] {
        assert_eq!(post(&world, bad, &body).await, 401, "{bad:?}");
    }
    assert_eq!(number(&world, "SELECT COUNT(*) FROM events WHERE case_id LIKE 'alert-%'").await, 0);
    for accepted in [good.as_str(), "Bearer a-token-on-its-way-out", "Basic YW06YS1iYXNpYy1wYXNzd29yZA=="] {
        assert_eq!(post(&world, Some(accepted), &body).await, 200, "{accepted}");
    }
    for (shape, why) in [
        ("{}", "nothing"),
        ("not json", "no JSON"),
        (&body.replace("\"version\":\"4\"", "\"version\":\"5\""), "another version"),
        (&body.replace("2026-11-22T19:15:24.811740241Z", "yesterday"), "no time"),
        (&body.replace("\"status\":\"firing\"", "\"status\":\"burning\""), "no status"),
        (&json!({"text": "a payload template of somebody's"}).to_string(), "a template"),
    ] {
        assert_eq!(post(&world, Some(&good), shape).await, 400, "{why}");
    }
    let big = format!("{{\"x\":\"{}\"}}", "x".repeat(2 * 1024 * 1024));
    assert_eq!(post(&world, Some(&good), &big).await, 413);
    let deaf = World::start(false).await;
    assert_eq!(post(&deaf, Some(&good), &body).await, 404, "nothing is configured");
    let log = world.bot.log();
    assert!(!log.contains(TOKEN) && !log.contains("wrong-secret"), "{log}");
    world.finish();
}

/// While nothing can be stored the answer is 503, on which Alertmanager comes again; then it is told once.
#[tokio::test]
async fn what_cannot_be_stored_is_asked_for_again() {
    let world = World::with(false, listening).await;
    let (good, body) = captured()[1].clone();
    let mut other = sqlx::sqlite::SqliteConnection::connect(&world.store).await.expect("the store");
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.expect("the write lock");
    assert_eq!(post(&world, Some(&good), &body.to_string()).await, 503);
    assert!(cards(&world).is_empty());
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.expect("released");
    assert_eq!(post(&world, Some(&good), &body.to_string()).await, 200);
    card(&world, &["DatabaseDown: 2 alerts firing"]).await;
    quiet(&world).await;
    assert_eq!(cards(&world).len(), 1);
    world.finish();
}

/// Names and texts that come from outside are shown, not obeyed, and 500 alerts fit on one card.
#[tokio::test]
async fn hostile_and_huge_alerts_stay_inside_the_card() {
    let world = World::with(false, listening).await;
    let nasty = "<!channel> *bold* `tick` ``` <https://x.test|click> &amp; @here ";
    let mut hostile = delivery("Hostile", &[("a", true, 1), ("b", true, 2)]);
    hostile["groupLabels"]["alertname"] = json!(nasty);
    hostile["alerts"][0]["annotations"]["summary"] = json!(nasty.repeat(60)); // 3,900 characters
    hostile["alerts"][1]["annotations"] = json!({"description": "line\nbreak \u{202e}txt.exe"});
    deliver(&world, &hostile).await;
    let shown = card(&world, &["2 alerts firing", "<!channel>", "*bold*", "(cut)"]).await;
    assert!(!shown.text.contains(['<', '>']), "the notification is parsed by Slack: {}", shown.text);
    assert!(!shown.blocks.iter().any(|b| b.to_string().contains("mrkdwn")), "no block is parsed");

    let names: Vec<String> = (0..500).map(|n| format!("host-{n:03}")).collect();
    let many: Vec<(&str, bool, u32)> = names.iter().map(|n| (n.as_str(), true, 7)).collect();
    let mut many = delivery("Many", &many);
    many["truncatedAlerts"] = json!(12);
    deliver(&world, &many).await;
    let shown = card(&world, &["Many: 500 alerts firing", "495 more alerts", "left out 12 alerts"]).await;
    assert!(plain_text(&shown).contains("Many on host-000"), "{}", plain_text(&shown));
    // The practice Slack refuses what Slack refuses, and `finish` would tell.
    world.finish();
}

/// An alert that is resolved while others fire changes the card; the group is resolved with its last one.
#[tokio::test]
async fn a_group_is_resolved_with_its_last_alert() {
    let world = World::with(false, listening).await;
    deliver(&world, &delivery("Slow", &[("a", true, 1), ("b", true, 2)])).await;
    let first = card(&world, &["Slow: 2 alerts firing"]).await;
    deliver(&world, &delivery("Slow", &[("a", false, 1), ("b", true, 2)])).await;
    assert_eq!(card(&world, &["Slow: 1 alert firing", "Slow on a  (fired from"]).await.ts, first.ts);
    // What was sent before and arrives late is not believed, in whatever company it comes.
    deliver(&world, &delivery("Slow", &[("a", true, 1), ("b", true, 2)])).await;
    deliver(&world, &delivery("Slow", &[("a", true, 1)])).await;
    deliver(&world, &delivery("Slow", &[("b", false, 2)])).await;
    let resolved = card(&world, &["✅ Slow: resolved"]).await;
    assert_eq!(resolved.ts, first.ts);
    deliver(&world, &delivery("Slow", &[("a", true, 9)])).await;
    let again = card(&world, &["Slow: 1 alert firing", "firing since 08:09:00"]).await;
    assert_eq!(again.ts, first.ts, "the same card");
    let told = |m: &Message| m.thread_ts.as_ref() == Some(&first.ts) && plain_text(m).contains("Slow fires again");
    let aloud = world.slack.wait(LIMIT, || world.slack.messages(CHANNEL).iter().any(told).then_some(())).await;
    assert!(aloud.is_some(), "{:#?}", record(&world));
    // Its end was never sent, as when somebody silenced it: a later start is a new firing all the same.
    deliver(&world, &delivery("Slow", &[("a", true, 20)])).await;
    card(&world, &["Slow: 1 alert firing", "firing since 08:20:00", "fired 3 times"]).await;
    quiet(&world).await;
    let aloud = world.slack.messages(CHANNEL).iter().filter(|m| told(m)).count();
    assert_eq!((cards(&world).len(), aloud), (1, 2), "{:#?}", record(&world));
    world.finish();
}

/// Acknowledging by text: the only new one of the channel, or by name; strangers are refused privately.
#[tokio::test]
async fn an_alert_is_acknowledged_by_text() {
    let world = World::with(false, listening).await;
    assert!(world.say("alice", "ack").await.contains("No alert in this channel"));
    deliver(&world, &delivery("Slow", &[("a", true, 1)])).await;
    card(&world, &["Slow: 1 alert firing", "/dr ack "]).await;
    assert!(world.say("mallory", "ack").await.contains("does not know you"));
    assert!(world.say("alice", "ack").await.contains("You acknowledged Slow"));
    let acked = card(&world, &["Slow", "Alice acknowledged it at"]).await;
    assert_eq!(buttons(&acked).iter().map(|b| b.label.as_str()).collect::<Vec<_>>(), ["Open incident"]);
    deliver(&world, &delivery("Full", &[("a", true, 1)])).await;
    deliver(&world, &delivery("Gone", &[("a", true, 1)])).await;
    let which = world.say("bob", "ack").await;
    assert!(which.contains("2 alerts fire") && which.contains("(Full)") && which.contains("(Gone)"), "{which}");
    assert!(world.say("bob", "ack gone").await.contains("You acknowledged Gone"));
    assert!(world.say("bob", "ack gone").await.contains("Bob acknowledged Gone at"));
    assert!(world.say("bob", "ack nothing").await.contains("No alert `nothing` fires"));
    deliver(&world, &delivery("Full", &[("a", false, 1)])).await;
    assert!(world.say("bob", "ack").await.contains("No alert in this channel"));
    let list = world.slack.slash(&user("bob"), CHANNEL, "runbooks").await.body;
    for part in ["database-performance.yaml", "S8", "target main-db", "cannot run here", "not in the configuration"] {
        assert!(list.contains(part), "{part}: {list}");
    }
    world.finish();
}
