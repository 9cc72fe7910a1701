//! Planning through the running bot: what a runbook would do, shown without doing it, and the same bytes
//! in the plan, on the approval's card and in the database's own log.

use drbot::practice::slack::{Message, plain_text};
use serde_json::Value;

use crate::saas::Saas;
use crate::scenario_s4::{DAMAGE, RUNBOOK, stage};
use crate::world::{CHANNEL, LIMIT};

/// The texts in fixed width of a message, top to bottom.
fn codes(message: &Message) -> Vec<String> {
    let mut found = Vec::new();
    collect(&serde_json::to_value(&message.blocks).expect("JSON"), &mut found);
    found
}

/// The message in the plan's thread that starts with this step's title.
async fn detail(saas: &Saas, root: &str, title: &str) -> Message {
    let fits = |m: &Message| m.thread_ts.as_deref() == Some(root) && plain_text(m).contains(title);
    let found = saas.world.slack.wait(LIMIT, || saas.world.slack.messages(CHANNEL).into_iter().find(fits)).await;
    found.unwrap_or_else(|| panic!("nothing about `{title}` in the thread"))
}

/// The whole plan: counted, with undo and approvers, nothing changed; then the run shows and sends the
/// very same statement.
#[tokio::test]
async fn a_plan_changes_nothing_and_says_exactly_what_would_run() {
    let saas = stage().await;
    saas.sql(DAMAGE).await;
    let before = saas.fingerprints().await;
    let said = saas.world.say("alice", &format!("plan {RUNBOOK} repair=quarantine")).await;
    assert!(said.starts_with("Planning `data-corruption`. Nothing is changed"), "{said}");
    let card = saas.world.see(|t| t.contains("Plan: Data corruption") && t.contains("Every target answered")).await;
    let text = plain_text(&card);
    for part in [
        "Move orphans",
        "would touch 4 rows on main-db",
        "Destructive (atomic), needs 2 responder (Bob or Carol)",
        "Undo:",
        "nothing to do on main-db now",
        "Then verified by: ",
        "repair=quarantine",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let planned = codes(&detail(&saas, &card.ts, "Move orphans").await);
    assert!(planned[0].contains("quarantine.rows"), "{planned:?}");
    assert!(planned[1].contains("booking_payments"), "the rows: {planned:?}");
    assert_eq!(saas.fingerprints().await, before);
    assert_eq!(saas.vendors.changes().len(), 0, "every call only read");
    let wrote =
        |log: String| log.lines().filter(|l| l.contains("user=drbot_operator") && l.contains("execute")).count();
    assert_eq!(wrote(saas.database.log_text()), 0, "the role that acts ran nothing");

    // The same words reach the approval and the server.
    saas.world.say("alice", &format!("declare {RUNBOOK}")).await;
    saas.world.say("alice", &format!("run {RUNBOOK} repair=quarantine")).await;
    saas.approve("step: Set the restore point", &["bob"]).await;
    saas.approve("step: Move orphans", &["bob", "carol"]).await;
    let asked = saas.world.see(|t| t.contains("INC-1") && t.contains("Recovered after")).await;
    assert!(plain_text(&asked).contains("Move orphans"));
    let shown = saas.shown("quarantine").await;
    let statement = planned[0].split("\n-- $").next().expect("a statement");
    let sent = saas.database.log_text().replace("\n\t", "\n");
    assert!(sent.contains(statement), "the server ran something else than\n{statement}");
    let card: Value = serde_json::from_str(&shown).expect("JSON");
    let mut seen = Vec::new();
    collect(&card, &mut seen);
    assert!(seen.iter().any(|c| c == &planned[0]), "the approval showed something else:\n{seen:?}\n{}", planned[0]);
    saas.finish();
}

fn collect(value: &Value, found: &mut Vec<String>) {
    if value["type"] == "rich_text_preformatted" {
        let texts = value["elements"].as_array().into_iter().flatten();
        found.push(texts.filter_map(|e| e["text"].as_str()).collect());
    }
    match value {
        Value::Array(list) => list.iter().for_each(|v| collect(v, found)),
        Value::Object(map) => map.values().for_each(|v| collect(v, found)),
        _ => {}
    }
}
