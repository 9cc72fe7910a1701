//! Clocks that people must meet, through the running bot: seen from the start, reminded in the thread although
//! the bot was killed, over when somebody reports the step, whatever became of the run.

use drbot::practice::slack::{Message, plain_text};

use crate::support::Folder;
use crate::world::{CHANNEL, World, runbooks, user};

fn leak(within: &str, remind: &str) -> String {
    format!(
        r#"
runbook: leak
title: A leak
tier: 1
objectives: {{ rto: 4h, rpo: 24h, mttr: 2h }}
estimate: 10m
deadlines:
  - {{ title: Notice to the authority, within: {within}, remind: {remind}, role: dba, until: sent }}
  - {{ title: Letter to the owner, within: 10h, from: declared, role: lawyer, until: letter }}
detect:
  every: 24h
  failures: 1
  checks:
    - {{ id: users, target: main-db, sql: select count(*) as n from users, expect: {{ value: {{ column: n, at_least: 1 }} }}, figure: "{{n}} users" }}
steps:
  - {{ id: sent, title: Send the notice, do: {{ manual: {{ ask: Send it., evidence: its number }} }} }}
  - {{ id: letter, title: Write to the owner, do: {{ manual: {{ ask: Write., evidence: when }} }} }}
verify:
  - {{ id: users, target: main-db, sql: select count(*) as n from users, expect: {{ value: {{ column: n, at_least: 1 }} }}, figure: "{{n}} users" }}
"#
    )
}

async fn world(within: &str, remind: &str) -> (World, Folder) {
    let files = runbooks(&[("leak", &leak(within, remind))]);
    let world = World::with(true, |w| {
        w.runbooks = files.0.clone();
        w.parameters.clear();
    })
    .await;
    (world, files)
}

fn bells(world: &World) -> Vec<Message> {
    let all = world.slack.messages(CHANNEL);
    all.into_iter().filter(|m| m.text.starts_with("🔔") && m.text.contains("Notice to the authority")).collect()
}

#[tokio::test]
async fn people_are_reminded_although_the_bot_was_killed_and_told_when_it_is_over() {
    let (mut world, _files) = world("20s", "[12s]").await;
    world.say("alice", "declare leak").await;
    let card = world.see(|t| t.contains("Notice to the authority (20 s)") && t.contains(" s left, until ")).await;
    assert!(plain_text(&card).contains("Letter to the owner (10 h)"), "{}", plain_text(&card));
    world.bot.kill();
    world.bot.again().await.expect("the bot again");

    let bell =
        world.see(|t| t.starts_with("🔔") && t.contains("Notice to the authority: ") && t.contains(" s left")).await;
    assert_eq!(bell.thread_ts.as_ref(), Some(&card.ts), "it stands in the incident's thread");
    let blocks = serde_json::to_string(&bell.blocks).expect("JSON");
    assert!(blocks.contains(&format!(r#"{{"type":"user","user_id":"{}"}}"#, user("bob").user)), "{blocks}");
    assert!(!blocks.contains(&user("alice").user), "only who has the role: {blocks}");
    assert!(plain_text(&bell).contains("/dr done sent EVIDENCE"), "{}", plain_text(&bell));

    world.see(|t| t.starts_with("🔔") && t.contains("Notice to the authority: OVER since ")).await;
    world.see(|t| t.contains("INC-1 A leak") && t.contains("OVER since ")).await;
    assert_eq!(bells(&world).len(), 2, "each time once: {:?}", bells(&world));
    let late = world.say("bob", "done sent number 4711").await;
    assert!(late.contains("The clock of Notice to the authority ends: OVER since"), "{late}");
    world.see(|t| t.contains("INC-1 A leak") && t.contains("done by Bob at ") && t.contains("TOO LATE")).await;
    world.finish();
}

#[tokio::test]
async fn a_clock_outlives_its_run_and_stands_in_the_status_until_it_is_met() {
    let (world, _files) = world("72h", "[24h, 4h]").await;
    world.say("alice", "declare leak").await;
    world.say("alice", "run leak").await;
    let card = world.see(|t| t.contains("A person must do this: Send the notice")).await;
    assert!(plain_text(&card).contains("Notice to the authority (72 h)"), "{}", plain_text(&card));
    assert!(plain_text(&card).contains("71 h 59 min left, until "), "{}", plain_text(&card));
    assert!(world.say("alice", "skip sent the facts are missing").await.contains("Skipped"));
    let done = world.say("alice", "done letter at 10:00").await;
    assert!(done.contains("`letter` is done. The clock of Letter to the owner ends: 9 h 59 min"), "{done}");
    world.see(|t| t.contains("Recovered and verified")).await;

    world.say("alice", "status").await;
    let status = world.see(|t| t.contains("Asked by Alice") && !t.contains("hecking")).await;
    let text = plain_text(&status);
    assert!(
        text.contains("INC-1 tier 1  A leak: recovered at") && text.contains("⏰ Notice to the authority: 71 h 59 min"),
        "{text}"
    );
    assert!(!text.contains("Letter to the owner"), "{text}");
    world.slack.delete(CHANNEL, &status.ts);

    assert!(world.say("bob", "done sent number 4711").await.contains("The clock of Notice to the authority ends"));
    assert!(world.say("bob", "done sent again").await.contains("is not waiting"));
    world.see(|t| t.contains("INC-1 A leak") && t.contains("done by Bob at ")).await;
    world.say("alice", "status").await;
    let status = world.see(|t| t.contains("Asked by Alice") && !t.contains("hecking")).await;
    assert!(!plain_text(&status).contains("INC-1"), "{}", plain_text(&status));
    world.finish();
}
