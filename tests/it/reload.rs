//! The runbook folder changes while the bot runs: what loads is used whole, what does not is said and not
//! used. Judged by what the chat shows.

use drbot::practice::slack::plain_text;

use crate::support::Folder;
use crate::world::{CHANNEL, LIMIT, World, runbooks, user};

const ONE: &str = r#"
runbook: one
title: The first runbook
tier: 2
objectives: { rto: 4h, rpo: 24h, mttr: 2h }
estimate: 10m
detect:
  every: 1s
  failures: 1
  checks:
    - { id: users, target: main-db, sql: select count(*) as n from users, expect: { value: { column: n, at_least: 1 } }, figure: "{n} users" }
steps:
  - { id: look, title: Look, do: { sql: { target: main-db, effect: observe, risk: safe, sql: select 1 as n } } }
verify:
  - { id: users, target: main-db, sql: select count(*) as n from users, expect: { value: { column: n, at_least: 1 } }, figure: "{n} users" }
"#;

async fn world() -> (World, Folder) {
    let files = runbooks(&[("one", ONE)]);
    let world = World::with(true, |w| {
        w.runbooks = files.0.clone();
        w.parameters.clear();
    })
    .await;
    (world, files)
}

/// Asks until the answer fits: the folder is looked at now and then.
async fn answers(world: &World, text: &str, part: &str) -> String {
    let until = tokio::time::Instant::now() + LIMIT;
    loop {
        let said = world.slack.slash(&user("alice"), CHANNEL, text).await.body;
        if said.contains(part) {
            return said;
        }
        assert!(tokio::time::Instant::now() < until, "`{text}` does not answer `{part}` but: {said}");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_changed_folder_is_used_whole_or_not_at_all() {
    let (world, files) = world().await;
    let write = |name: &str, text: &str| std::fs::write(files.0.join(name), text).expect("written");
    answers(&world, "runbooks", "The first runbook").await;

    // A better title and a broken neighbour: neither is used, and the fault is named with its place.
    write("one.yaml", &ONE.replace("The first runbook", "The better runbook"));
    write("two.yaml", &ONE.replace("runbook: one", "runbook: two").replace("estimate: 10m", "estimate: soon"));
    let said = answers(&world, "runbooks", "The runbook files do not load since").await;
    assert!(said.contains("two.yaml") && said.contains("the runbooks from before are used"), "{said}");
    assert!(said.contains("The first runbook") && !said.contains("The better"), "all or nothing: {said}");
    world.say("alice", "status").await;
    let status = world.see(|t| t.contains("do not load since") && t.contains("Scenario one green")).await;
    assert!(plain_text(&status).contains("users"), "the old one still detects");

    // Mended: both are used, and the new one is detected by itself.
    write("two.yaml", &ONE.replace("runbook: one", "runbook: two").replace("The first", "The second"));
    let said = answers(&world, "runbooks", "The second runbook").await;
    assert!(said.contains("The better runbook") && !said.contains("do not load"), "{said}");
    world.say("alice", "declare two").await;
    world.say("alice", "run two").await;
    world.see(|t| t.contains("INC-1 The second runbook") && t.contains("Recovered after")).await;

    // Gone: what is not in the folder cannot be started.
    std::fs::remove_file(files.0.join("two.yaml")).expect("removed");
    answers(&world, "plan two", "no runbook").await;
    assert!(!world.slack.messages(CHANNEL).is_empty());
    world.finish();
}
