//! Manual steps and the lights of `/dr status`, with small runbooks of the test's own.

use drbot::practice::slack::{buttons, plain_text};

use crate::support::Folder;
use crate::world::{CHANNEL, LIMIT, World, user};

const SHARED: &str = "
objectives: { rto: 4h, rpo: 24h, mttr: 2h }
scenarios:
  - { id: S1, title: Telephone, tier: 1, runbook: telephone }
  - { id: S2, title: Nothing yet, tier: 2, runbook: nothing-yet }
";

const TELEPHONE: &str = "
runbook: telephone
title: Telephone
tier: 1
objectives: { rto: 4h, rpo: 24h, mttr: 2h }
estimate: 10m
detect:
  every: 24h
  failures: 3
  checks:
    - { id: waiting, target: main-db, sql: select (count(*) + 2) as lines from pg_class where false, expect: { value: { column: lines, at_most: 1 } }, figure: \"{lines} lines dead\" }
steps:
  - id: call
    title: Call the provider
    do: { manual: { ask: Ask for the state of the line., evidence: the ticket number } }
  - id: again
    title: Call again
    do: { manual: { ask: Ask whether it is repaired., evidence: what they said } }
verify:
  - { id: fine, target: main-db, sql: select 0 as lines, expect: { value: { column: lines, at_most: 1 } }, figure: \"{lines} lines dead\" }
";

async fn world(files: &Folder) -> World {
    std::fs::write(files.0.join("_shared.yaml"), SHARED).expect("written");
    std::fs::write(files.0.join("telephone.yaml"), TELEPHONE).expect("written");
    let folder = files.0.clone();
    World::with(true, move |w| {
        w.runbooks = folder;
        w.parameters.clear();
    })
    .await
}

/// Amber while it fails fewer times than `failures`, red after; without a file: not configured; with the
/// database gone: could not check, never green.
#[tokio::test]
async fn the_lights_of_status() {
    let files = Folder::new();
    let world = world(&files).await;
    let mut lights = Vec::new();
    for _ in 0..3 {
        world.say("alice", "status").await;
        let card = world.see(|t| t.contains("S1") && !t.contains("hecking")).await;
        lights.push(plain_text(&card));
        world.slack.delete(CHANNEL, &card.ts);
    }
    assert!(lights[0].contains("amber") && lights[0].contains("of 3 times in a row"), "{}", lights[0]);
    assert!(lights[2].contains("RED: 2 lines dead"), "{}", lights[2]);
    assert!(lights[2].contains("S2 Nothing yet not configured"), "{}", lights[2]);
    world
        .database
        .as_ref()
        .expect("a database")
        .stop(drbot::practice::scratch::Stop::Immediate)
        .await
        .expect("stopped");
    world.say("alice", "status").await;
    let dark = world.see(|t| t.contains("S1") && t.contains("could not check")).await;
    assert!(!plain_text(&dark).contains("green"), "{}", plain_text(&dark));
    world.finish();
}

/// Done asks for evidence and refuses an empty one; Cannot pauses; text works as well.
#[tokio::test]
async fn a_person_reports_with_evidence() {
    let files = Folder::new();
    let world = world(&files).await;
    let bob = user("bob");
    world.say("alice", "declare telephone").await;
    world.say("alice", "run telephone").await;
    let card = world.see(|t| t.contains("Ask for the state of the line")).await;
    world.slack.click(&bob, CHANNEL, &card.ts, "Done").await.expect("the button");
    let form = world.slack.wait_view(&bob, LIMIT).await.expect("a form");
    let empty = world.slack.submit(&bob, &form.id, &[("text", " ")]).await.expect("sent");
    assert!(empty.body.contains("cannot be empty"), "{}", empty.body);
    world.slack.submit(&bob, &form.id, &[("text", "ticket 4711")]).await.expect("sent again");

    let card = world.see(|t| t.contains("Ask whether it is repaired")).await;
    world.slack.click(&bob, CHANNEL, &card.ts, "Cannot").await.expect("the button");
    let form = world.slack.wait_view(&bob, LIMIT).await.expect("a form");
    world.slack.submit(&bob, &form.id, &[("text", "nobody answers")]).await.expect("sent");
    let paused = world.see(|t| t.contains("INC-1") && t.contains("Paused")).await;
    assert!(buttons(&paused).is_empty() && plain_text(&paused).contains("nobody answers"), "{}", plain_text(&paused));

    world.say("alice", "next").await;
    world.see(|t| t.contains("INC-1") && t.contains("Ask whether it is repaired")).await;
    assert!(world.say("alice", "done again they say it works").await.contains("is done"));
    let done = world.see(|t| t.contains("Recovered after")).await;
    assert!(plain_text(&done).contains("ticket 4711"), "{}", plain_text(&done));
    world.finish();
}
