//! What an alert starts: its scenario's detection on a real PostgreSQL, and, when somebody presses the
//! button, one incident.

use std::time::Duration;

use drbot::practice::scratch::Stop;
use drbot::practice::slack::{Message, buttons, plain_text, private_text};
use drbot::practice::trouble;
use serde_json::{Value, json};

use super::{card, cards, deliver, delivery, listening, number, quiet};
use crate::world::{CHANNEL, LIMIT, World, user};

/// An alert that names the shipped scenario, in a group of its own.
fn slow(group: &str, firing: bool, minute: u32) -> Value {
    let mut body = delivery("PostgresSlow", &[(group, firing, minute)]);
    body["groupKey"] = json!(format!("{{}}:{{instance=\"{group}\"}}"));
    body
}

fn labels(card: &Message) -> Vec<String> {
    buttons(card).into_iter().map(|b| b.label).collect()
}

/// Confirmed, not confirmed and could not check, each with what the database itself said.
#[tokio::test]
async fn the_detection_confirms_or_does_not_or_cannot_tell() {
    let world = World::with(true, listening).await;
    let database = world.database.as_ref().expect("a database");
    deliver(&world, &slow("calm", true, 1)).await;
    let calm = card(&world, &["PostgresSlow on calm", "not confirmed", "0 statements running longer than 2s"]).await;
    let first = calm.edits.first().map(|(text, _)| text.clone()).unwrap_or_default();
    assert!(first.contains("checking"), "before it is known: {first}");

    let sessions = trouble::long_statements(database, 1).await.expect("a long statement");
    crate::world::until_old(database).await;
    deliver(&world, &slow("busy", true, 2)).await;
    let busy = card(&world, &["PostgresSlow on busy", "confirmed at", "1 statements running longer than 2s"]).await;
    assert!(!plain_text(&busy).contains("not confirmed"), "{}", plain_text(&busy));
    drop(sessions);

    database.stop(Stop::Fast).await.expect("stopped");
    deliver(&world, &slow("gone", true, 3)).await;
    let gone = card(&world, &["PostgresSlow on gone", "could not check", "could not connect to main-db"]).await;
    assert!(!plain_text(&gone).contains("confirmed"), "{}", plain_text(&gone));
    world.finish();
}

/// Two people press at once and one of them again: one incident, which began with the alert; both cards
/// name each other.
#[tokio::test]
async fn opening_an_incident_opens_one() {
    let world = World::with(true, listening).await;
    deliver(&world, &slow("a", true, 4)).await;
    let shown = card(&world, &["PostgresSlow", "not confirmed"]).await;
    assert_eq!(labels(&shown), ["Open incident", "Acknowledge"]);
    let all = buttons(&shown);
    let (open, ack) = (&all[0], &all[1]);
    let (alice, bob, mallory) = (user("alice"), user("bob"), user("mallory"));
    for button in [open, ack] {
        world.slack.click_raw(&mallory, CHANNEL, &shown.ts, button).await;
    }
    let told = |who, part: &'static str, times: usize| {
        let world = &world;
        async move {
            let seen = || world.slack.privates(CHANNEL, who).iter().filter(|p| private_text(p).contains(part)).count();
            let found = world.slack.wait(LIMIT, || (seen() >= times).then_some(())).await;
            assert!(found.is_some(), "`{part}` was told {} times, not {times}", seen());
        }
    };
    told(&mallory, "does not know you", 2).await;
    world.slack.click_raw(&bob, CHANNEL, "1700000000.000100", open).await;
    told(&bob, "not the alert's own", 1).await;

    let (a, b) = tokio::join!(
        world.slack.click_raw(&alice, CHANNEL, &shown.ts, open),
        world.slack.click_raw(&bob, CHANNEL, &shown.ts, open)
    );
    assert_eq!((a.status, b.status), (200, 200));
    let linked = card(&world, &["PostgresSlow", "INC-1 is the incident of this alert"]).await;
    assert_eq!(labels(&linked), ["Acknowledge"]);
    world.slack.click_raw(&bob, CHANNEL, &shown.ts, open).await;
    told(&bob, "already open", 1).await;
    let incident = card(&world, &["INC-1 Database performance degradation", "Alert: PostgresSlow"]).await;
    assert!(plain_text(&incident).contains("08:04:00 UTC"), "it began with the alert: {}", plain_text(&incident));
    let history = world.see(|t| t.contains("declared INC-1") && t.contains("for the alert PostgresSlow")).await;
    assert_eq!(history.thread_ts.as_deref(), Some(incident.ts.as_str()));

    world.slack.click(&bob, CHANNEL, &shown.ts, "Acknowledge").await.expect("the button");
    let acked = card(&world, &["PostgresSlow", "Bob acknowledged it at"]).await;
    assert!(labels(&acked).is_empty());
    world.slack.click_raw(&alice, CHANNEL, &shown.ts, ack).await;
    told(&alice, "Bob acknowledged PostgresSlow at", 1).await;

    // Another alert of the same scenario finds that incident instead of opening a second one.
    deliver(&world, &slow("b", true, 5)).await;
    let other = card(&world, &["PostgresSlow on b", "not confirmed"]).await;
    world.slack.click(&alice, CHANNEL, &other.ts, "Open incident").await.expect("the button");
    card(&world, &["PostgresSlow on b", "INC-1 is the incident of this alert"]).await;
    world.see(|t| t.contains("Alice found the alert PostgresSlow to belong to this incident")).await;
    quiet(&world).await;
    assert_eq!(number(&world, "SELECT COUNT(*) FROM incidents").await, 1);
    assert_eq!(number(&world, "SELECT COUNT(*) FROM events WHERE kind = 'refused'").await, 2, "strangers are recorded");

    deliver(&world, &slow("b", false, 5)).await;
    let over = card(&world, &["✅ PostgresSlow: resolved", "PostgresSlow on b"]).await;
    assert!(labels(&over).is_empty());
    world.finish();
}

/// The process dies as soon as the click was answered: there is one incident all the same, and both know.
#[tokio::test]
async fn a_crash_neither_loses_nor_doubles_the_incident() {
    let mut world = World::with(false, listening).await;
    for round in 1..=4_u32 {
        let group = format!("g{round}");
        let mut body = delivery("Odd", &[(group.as_str(), true, round)]);
        body["groupKey"] = json!(group);
        deliver(&world, &body).await;
        let shown = card(&world, &[&format!("Odd on {group}"), "Open incident"]).await;
        world.slack.click(&user("alice"), CHANNEL, &shown.ts, "Open incident").await.expect("the button");
        // Somewhere between asking, opening and linking.
        tokio::time::sleep(Duration::from_millis(u64::from(round - 1) * 8)).await;
        world.bot.kill();
        world.bot.again().await.expect("the bot again");
        card(&world, &[&format!("Odd on {group}"), &format!("INC-{round} is the incident of this alert")]).await;
        assert_eq!(number(&world, "SELECT COUNT(*) FROM incidents").await, i64::from(round));
    }
    quiet(&world).await;
    let incidents =
        cards(&world).into_iter().filter(|m| plain_text(m).contains("INC-") && plain_text(m).contains("Down for"));
    assert_eq!(incidents.count(), 4);
    assert_eq!(number(&world, "SELECT COUNT(*) FROM events WHERE kind = 'declared'").await, 4);
    assert_eq!(number(&world, "SELECT COUNT(*) FROM events WHERE kind = 'alarm_linked'").await, 4);
    world.finish();
}

/// `/dr detect` runs one scenario and posts its figures; without a name, or with a wrong one, it says
/// which there are.
#[tokio::test]
async fn one_detection_can_be_asked_for() {
    let world = World::start(true).await;
    assert!(world.say("alice", "detect slow").await.contains("Running the detection of `database-performance`"));
    let shown = card(&world, &["Database performance degradation: green", "0 statements running longer than 2s"]).await;
    assert!(plain_text(&shown).contains("asked by Alice"), "{}", plain_text(&shown));
    for text in ["detect", "detect nothing"] {
        let told = world.say("alice", text).await;
        assert!(told.contains("Runbooks: ") && told.contains("database-performance"), "{text}: {told}");
    }
    assert!(world.say("mallory", "detect slow").await.contains("does not know you"));
    let bare = World::start(false).await;
    assert!(bare.say("alice", "detect slow").await.contains("not in the configuration"));
    world.finish();
}
