//! Ways through a runbook: waiting, looking, choosing, skipping, aborting, taking back; judged by the cards
//! and by the database's own rows.

use drbot::practice::scratch::{BOOKING, Scratch};
use drbot::practice::slack::{buttons, plain_text};

use crate::support::Folder;
use crate::world::{CHANNEL, World, approval_id, runbooks, user};

const HEAD: &str = "
tier: 2
objectives: { rto: 4h, rpo: 24h, mttr: 2h }
estimate: 10m
detect:
  every: 24h
  failures: 1
  checks:
    - { id: pending, target: main-db, sql: select count(*) as n from bookings where status = 'lost', expect: { value: { column: n, at_most: 0 } }, figure: \"{n} lost bookings\" }
verify:
  - { id: users, target: main-db, sql: select count(*) as n from users, expect: { value: { column: n, at_least: 1 } }, figure: \"{n} users\" }
";

const WAYS: &str = r#"
steps:
  - id: around
    title: Look around
    do:
      parallel:
        checks:
          - { id: users, target: main-db, sql: select count(*) as n from users, expect: { value: { column: n, at_most: 0 } }, figure: "{n} users" }
          - { id: odd, target: main-db, sql: select n from nowhere, expect: { rows: { at_most: 0 } }, figure: "none" }
  - id: gone
    title: Wait for user 9001
    do: { wait: { until: [{ id: there, target: main-db, sql: select count(*) as n from users where id = 9001, expect: { value: { column: n, at_least: 1 } }, figure: "user 9001 is there" }], every: 1s, at_most: 30s } }
  - id: never
    title: Wait for what does not come
    on_fail: continue
    do: { wait: { until: [{ id: there, target: main-db, sql: select count(*) as n from users where id = 9999, expect: { value: { column: n, at_least: 1 } }, figure: "{n} such users" }], every: 1s, at_most: 1s } }
  - id: breath
    title: Take a breath
    do: { wait: { for: 1s } }
  - id: tell
    title: Tell the responders
    do: { notify: { roles: [responder], text: "The look is over, <!channel>: come and choose." } }
  - id: nobody
    title: Tell whom there is none of
    on_fail: continue
    do: { notify: { roles: [gardener], text: Come. } }
  - id: way
    title: Which way
    do: { choose: { ask: "What now?", options: [{ label: Call somebody, go: call }, { label: Straight to the end, go: end }, { label: The other runbook, runbook: rename }] } }
  - id: call
    title: Call
    do: { manual: { ask: Call., evidence: who answered } }
  - id: end
    title: See the end
    do: { sql: { target: main-db, effect: observe, risk: safe, sql: select 1 as n } }
"#;

/// Renames one user; the way back is a step of its own.
const RENAME: &str = r#"
steps:
  - id: rename
    title: Rename user 7
    do:
      sql:
        target: main-db
        effect: atomic
        risk: disruptive
        preview: { identity: [id], tolerance: { rows: none }, sql: "select id from users where id = 7 and full_name <> 'Renamed'" }
        sql: "update users u set full_name = 'Renamed' from jsonb_to_recordset(:approved::jsonb) as ok(id bigint) where u.id = ok.id"
        expect: { rows: { exactly: 1 } }
        verify: [{ id: renamed, target: main-db, sql: "select count(*) as n from users where full_name = 'Renamed'", expect: { value: { column: n, at_least: 1 } }, figure: "{n} renamed" }]
        undo:
          title: Give user 7 the old name
          do:
            sql:
              target: main-db
              effect: atomic
              risk: disruptive
              preview: { identity: [id], tolerance: { rows: none }, sql: "select id from users where id = 7 and full_name = 'Renamed'" }
              sql: "update users u set full_name = 'Practice User 7' from jsonb_to_recordset(:approved::jsonb) as ok(id bigint) where u.id = ok.id"
              expect: { rows: { exactly: 1 } }
              verify: [{ id: back, target: main-db, sql: "select count(*) as n from users where full_name = 'Renamed'", expect: { value: { column: n, at_most: 0 } }, figure: "{n} renamed" }]
              undo: "none: run the runbook again"
  - id: call
    title: Tell the user
    do: { manual: { ask: Tell them., evidence: when } }
"#;

/// Has the other one inside.
const OUTER: &str = r#"
steps:
  - { id: before, title: See first, do: { sql: { target: main-db, effect: observe, risk: safe, sql: select 1 as n } } }
  - { id: inner, title: Rename, do: { runbook: rename } }
  - { id: after, title: See after, do: { sql: { target: main-db, effect: observe, risk: safe, sql: select 2 as n } } }
"#;

async fn world() -> (World, Folder) {
    let file = |name: &str, steps: &str| format!("runbook: {name}\ntitle: The runbook {name}{HEAD}{steps}");
    let files = runbooks(&[
        ("ways", &file("ways", WAYS)),
        ("rename", &file("rename", RENAME)),
        ("outer", &file("outer", OUTER)),
    ]);
    let world = World::with(true, |w| {
        w.runbooks = files.0.clone();
        w.parameters.clear();
    })
    .await;
    database(&world).admin(BOOKING, "GRANT UPDATE ON users TO drbot_operator").await.expect("granted");
    (world, files)
}

fn database(world: &World) -> &Scratch {
    world.database.as_ref().expect("a database")
}

async fn name_of_7(world: &World) -> String {
    let mut conn = database(world).connect(&database(world).superuser_url_of(BOOKING)).await.expect("a connection");
    sqlx::query_scalar("select full_name from users where id = 7").fetch_one(&mut conn).await.expect("a name")
}

#[tokio::test]
async fn it_waits_looks_and_goes_the_way_that_somebody_chose() {
    let (world, _files) = world().await;
    world.say("alice", "declare ways").await;
    world.say("alice", "run ways").await;
    let card = world.see(|t| t.contains("Wait for user 9001 (waiting)")).await;
    let text = plain_text(&card);
    assert!(text.contains("Look around (done") && text.contains("120 users; 42P01"), "{text}");
    let add = "INSERT INTO users VALUES (9001, 'late@booking.example', 'Late', now())";
    database(&world).admin(BOOKING, add).await.expect("added");
    let card = world.see(|t| t.contains("What now?") && t.contains("/dr next 2")).await;
    let text = plain_text(&card);
    assert!(text.contains("user 9001 is there"), "{text}");
    assert!(text.contains("(failed, the run went on): 0 such users"), "{text}");
    assert!(world.say("alice", "next 4").await.contains("There is no choice 4: there are 3"));
    assert!(world.say("alice", "next x").await.contains("not the number of a choice"));
    assert_eq!(buttons(&card).len(), 3);
    assert!(text.contains("nobody in the roster has the role gardener"), "{text}");
    let bell = world.see(|t| t.contains("come and choose")).await;
    assert_eq!(bell.thread_ts.as_ref(), Some(&card.ts), "it stands in the incident's thread");
    let blocks = serde_json::to_string(&bell.blocks).expect("JSON");
    for person in ["alice", "bob", "carol"] {
        let mention = format!(r#"{{"type":"user","user_id":"{}"}}"#, user(person).user);
        assert!(blocks.contains(&mention), "{mention}: {blocks}");
    }
    assert!(!bell.text.contains("<!channel>") && bell.text.contains("Bob"), "{}", bell.text);
    world.slack.click(&user("bob"), CHANNEL, &card.ts, "Straight to the end").await.expect("a click");
    let card = world.see(|t| t.contains("Recovered and verified")).await;
    let text = plain_text(&card);
    assert!(text.contains("Call (skipped): not on the chosen way") && text.contains("Which way (done"), "{text}");
    world.finish();
}

#[tokio::test]
async fn a_choice_leads_into_another_runbook_and_a_step_is_taken_back() {
    let (world, _files) = world().await;
    world.say("alice", "declare ways").await;
    world.say("alice", "run ways").await;
    world.see(|t| t.contains("Wait for user 9001 (waiting)")).await;
    assert!(world.say("bob", "skip never not now").await.contains("Only the current step"));
    assert!(world.say("bob", "skip gone nobody comes").await.contains("Skipped: `gone`"));
    world.see(|t| t.contains("/dr next 3 (The other runbook)")).await;
    assert!(world.say("alice", "next 3").await.contains("You chose: The other runbook"));
    let card = world.see(|t| t.contains("Or type: /dr approve") && t.contains("Rename user 7")).await;
    assert!(plain_text(&card).contains("Undo: /dr undo: Give user 7 the old name"), "{}", plain_text(&card));
    assert!(world.say("bob", &format!("withdraw {}", approval_id(&card))).await.contains("Only Alice asked for it"));
    assert!(world.say("alice", &format!("withdraw {}", approval_id(&card))).await.contains("Nothing ran"));
    assert_eq!(name_of_7(&world).await, "Practice User 7");
    world.say("alice", "next").await;
    let again = world.see(|t| t.contains("Or type: /dr approve") && !t.contains(&approval_id(&card))).await;
    world.say("bob", &format!("approve {}", approval_id(&again))).await;
    world.see(|t| t.contains("A person must do this: Tell the user")).await;
    assert_eq!(name_of_7(&world).await, "Renamed");
    assert!(world.say("alice", "undo").await.contains("pause it by denying or abort it"));
    let aborted = world.say("bob", "abort the user called").await;
    assert!(aborted.contains("`/dr undo` can take back: rename"), "{aborted}");
    assert!(world.say("alice", "undo call").await.contains("cannot be taken back"));
    assert!(world.say("alice", "undo").await.contains("Taking back `rename`"));
    let back = world.see(|t| t.contains("Or type: /dr approve") && t.contains("Give user 7 the old name")).await;
    world.say("bob", &format!("approve {}", approval_id(&back))).await;
    let card = world.see(|t| t.contains("`rename` was taken back") || t.contains("rename was taken back")).await;
    assert!(plain_text(&card).contains(", taken back)"), "{}", plain_text(&card));
    assert_eq!(name_of_7(&world).await, "Practice User 7");
    assert!(world.say("alice", "undo").await.contains("No step that ran"));
    world.finish();
}

#[tokio::test]
async fn a_runbook_contains_another_with_its_approvals_and_its_way_back() {
    let (world, _files) = world().await;
    world.say("alice", "declare outer").await;
    world.say("alice", "run outer").await;
    let card = world.see(|t| t.contains("Or type: /dr approve")).await;
    let text = plain_text(&card);
    let order = ["See first (done", "Rename user 7 (waits for approval", "Tell the user (to do", "See after (to do"];
    let places: Vec<usize> = order.iter().map(|p| text.find(p).unwrap_or_else(|| panic!("{p}: {text}"))).collect();
    assert!(places.is_sorted(), "{text}");
    world.say("bob", &format!("approve {}", approval_id(&card))).await;
    world.see(|t| t.contains("A person must do inner-call")).await;
    assert_eq!(name_of_7(&world).await, "Renamed");
    world.say("alice", "abort the user does not want it").await;
    world.see(|t| t.contains("The run was aborted: the user does not want it")).await;
    world.say("alice", "undo inner-rename").await;
    let back = world.see(|t| t.contains("Give user 7 the old name") && t.contains("Or type: /dr approve")).await;
    world.say("bob", &format!("approve {}", approval_id(&back))).await;
    world.see(|t| t.contains("Rename user 7 (done") && t.contains("taken back")).await;
    assert_eq!(name_of_7(&world).await, "Practice User 7");
    world.finish();
}
