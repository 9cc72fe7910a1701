//! What must not happen at the same time: two incidents that change one target, a runbook while another
//! scenario is open, two parameters that must differ. Judged by the cards and by the database's own rows.

use drbot::practice::scratch::BOOKING;
use drbot::practice::slack::plain_text;

use crate::support::Folder;
use crate::world::{World, approval_id, runbooks};

const HEAD: &str = r#"
tier: 2
objectives: { rto: 4h, rpo: 24h, mttr: 2h }
estimate: 10m
detect:
  every: 24h
  failures: 1
  checks:
    - { id: users, target: main-db, sql: select count(*) as n from users, expect: { value: { column: n, at_least: 1 } }, figure: "{n} users" }
verify:
  - { id: users, target: main-db, sql: select count(*) as n from users, expect: { value: { column: n, at_least: 1 } }, figure: "{n} users" }
"#;

/// Renames one user; its preview wants the user to have the old name still.
const RENAME: &str = r#"
steps:
  - id: rename
    title: Rename user N
    do:
      sql:
        target: main-db
        effect: atomic
        risk: disruptive
        preview: { identity: [id], tolerance: { rows: none }, sql: "select id from users where id = N and full_name = 'Practice User N'" }
        sql: "update users u set full_name = 'Renamed' from jsonb_to_recordset(:approved::jsonb) as ok(id bigint) where u.id = ok.id"
        expect: { rows: { exactly: 1 } }
        verify: [{ id: renamed, target: main-db, sql: "select count(*) as n from users where full_name = 'Renamed'", expect: { value: { column: n, at_least: 1 } }, figure: "{n} renamed" }]
        undo: "none: a test"
"#;

const GUARDED: &str = r#"
params:
  from: { type: name, default: old }
  into: { type: name, default: new }
interlocks:
  - { not_while: seven, why: "user 7 is being looked into" }
  - { differ: [from, into], why: "never onto the live project" }
"#;

async fn world() -> (World, Folder) {
    let file = |name: &str, more: &str, n: &str| {
        format!("runbook: {name}\ntitle: The runbook {name}{HEAD}{more}{}", RENAME.replace('N', n))
    };
    let used = GUARDED.to_owned();
    let guarded = file("guarded", &used, "9").replace(
        "select count(*) as n from users where full_name = 'Renamed'",
        "select count(*) as n from users where full_name = 'Renamed' and :from <> :into",
    );
    let files =
        runbooks(&[("seven", &file("seven", "", "7")), ("eight", &file("eight", "", "8")), ("guarded", &guarded)]);
    let world = World::with(true, |w| {
        w.runbooks = files.0.clone();
        w.parameters.clear();
    })
    .await;
    let database = world.database.as_ref().expect("a database");
    database.admin(BOOKING, "GRANT UPDATE ON users TO drbot_operator").await.expect("granted");
    (world, files)
}

async fn renamed(world: &World) -> i64 {
    let database = world.database.as_ref().expect("a database");
    let mut conn = database.connect(&database.superuser_url_of(BOOKING)).await.expect("a connection");
    let sql = "select count(*) from users where full_name = 'Renamed'";
    sqlx::query_scalar(sql).fetch_one(&mut conn).await.expect("a count")
}

/// One change at a time per target; the other one says who is at it and since when, and goes on after it.
#[tokio::test]
async fn two_incidents_do_not_change_one_target_at_once() {
    let (world, _files) = world().await;
    world.say("alice", "declare seven").await;
    world.say("alice", "run seven").await;
    let first = world.see(|t| t.contains("INC-1") && t.contains("Or type: /dr approve")).await;
    world.say("alice", "declare eight").await;
    world.say("alice", "run INC-2 eight").await;
    let held = "main-db is being changed in INC-1 (The runbook seven) since ";
    let second = world.see(|t| t.contains("INC-2") && t.contains(held)).await;
    assert!(!plain_text(&second).contains("/dr approve"), "nothing is asked for");
    world.say("alice", "next INC-2").await;
    world.see(|t| t.contains("INC-2") && t.contains(held)).await;
    assert_eq!(renamed(&world).await, 0);

    world.say("bob", &format!("approve {}", approval_id(&first))).await;
    world.see(|t| t.contains("INC-1") && t.contains("Recovered after")).await;
    world.say("alice", "next INC-2").await;
    let second = world.see(|t| t.contains("INC-2") && t.contains("Or type: /dr approve")).await;
    world.say("bob", &format!("approve {}", approval_id(&second))).await;
    world.see(|t| t.contains("INC-2") && t.contains("Recovered after")).await;
    assert_eq!(renamed(&world).await, 2, "each once");
    world.finish();
}

/// The interlocks of a file hold at the beginning, in the plan, and once more at the start of what was
/// approved already.
#[tokio::test]
async fn a_runbook_waits_for_what_its_file_says() {
    let (world, _files) = world().await;
    world.say("alice", "declare guarded").await;
    let said = world.say("alice", "run guarded from=live into=live").await;
    assert!(said.contains("does not run now: from and into are both live: never onto the live project"), "{said}");
    world.say("alice", "run guarded").await;
    let asked = world.see(|t| t.contains("INC-1") && t.contains("Or type: /dr approve")).await;
    world.say("alice", "declare seven").await;
    world.say("bob", &format!("approve {}", approval_id(&asked))).await;
    let why = "INC-2 (The runbook seven) is open: user 7 is being looked into";
    world.see(|t| t.contains("INC-1") && t.contains(why)).await;
    assert_eq!(renamed(&world).await, 0, "the approval is void");

    let said = world.say("alice", "plan guarded").await;
    assert!(said.contains(&format!("It does not run now: {why}")), "{said}");
    world.say("alice", "run INC-2 seven").await;
    let seven = world.see(|t| t.contains("INC-2") && t.contains("Or type: /dr approve")).await;
    world.say("bob", &format!("approve {}", approval_id(&seven))).await;
    world.see(|t| t.contains("INC-2") && t.contains("Recovered after")).await;
    world.say("alice", "next INC-1").await;
    let again = world.see(|t| t.contains("INC-1") && t.contains("Or type: /dr approve")).await;
    world.say("bob", &format!("approve {}", approval_id(&again))).await;
    world.see(|t| t.contains("INC-1") && t.contains("Recovered after")).await;
    assert_eq!(renamed(&world).await, 2);
    world.finish();
}
