//! What nobody asks for: a detection that turns red and a schedule that is due tell it in the channel by
//! themselves. Judged by the practice chat's own record, the cause by a real PostgreSQL.

use drbot::practice::bot::Wiring;
use drbot::practice::slack::{Message, buttons, plain_text};
use sqlx::Connection;

use crate::support::Folder;
use crate::world::{CHANNEL, LIMIT, World, runbooks, user};

const JOBS: &str = r#"
runbook: jobs
title: Jobs are stuck
tier: 2
objectives: { rto: 4h, rpo: 24h, mttr: 2h }
estimate: 10m
detect:
  every: 1s
  failures: 2
  checks:
    - { id: tables, target: main-db, sql: select count(*) as n from pg_tables where tablename = 'stuck_jobs', expect: { value: { column: n, at_most: 0 } }, figure: "{n} stuck jobs" }
steps:
  - { id: look, title: Look, do: { sql: { target: main-db, effect: observe, risk: safe, sql: select 1 as n } } }
verify:
  - { id: tables, target: main-db, sql: select count(*) as n from pg_tables where tablename = 'stuck_jobs', expect: { value: { column: n, at_most: 0 } }, figure: "{n} stuck jobs" }
"#;

fn told(files: &Folder) -> impl FnOnce(&mut Wiring) + use<> {
    let folder = files.0.clone();
    move |w| {
        w.runbooks = folder;
        w.parameters.clear();
        w.more = format!("alerts: {{ channel: {CHANNEL} }}\n");
    }
}

/// The messages of the channel itself that hold all of these.
fn cards(world: &World, parts: &[&str]) -> Vec<Message> {
    let holds = |m: &Message| m.thread_ts.is_none() && parts.iter().all(|p| plain_text(m).contains(p));
    world.slack.messages(CHANNEL).into_iter().filter(holds).collect()
}

async fn card(world: &World, parts: &[&str]) -> Message {
    world.slack.wait(LIMIT, || cards(world, parts).pop()).await.unwrap_or_else(|| {
        let all: Vec<String> = world.slack.messages(CHANNEL).iter().map(plain_text).collect();
        panic!("no card with {parts:?}; the channel holds:\n{}\n{}", all.join("\n---\n"), world.bot.log())
    })
}

/// Makes the trouble, or ends it.
async fn trouble(world: &World, there: bool) {
    let database = world.database.as_ref().expect("a database");
    let mut admin = database.connect(&database.superuser_url_of("booking")).await.expect("a connection");
    let sql = if there { "create table stuck_jobs (id int)" } else { "drop table stuck_jobs" };
    sqlx::query(sql).execute(&mut admin).await.expect("done");
    admin.close().await.expect("closed");
}

/// Nobody typed anything: the card is there, diagnosed; it is one card, resolved when the trouble is over,
/// and none while an incident of the scenario is open.
#[tokio::test]
async fn a_detection_that_turns_red_is_told_by_itself() {
    let files = runbooks(&[("jobs", JOBS)]);
    let world = World::with(true, told(&files)).await;
    trouble(&world, true).await;
    let first = card(&world, &["Jobs are stuck: 1 alert firing", "confirmed at", "1 stuck jobs"]).await;
    assert!(plain_text(&first).contains("From drbot"), "{}", plain_text(&first));
    world.slack.click(&user("bob"), CHANNEL, &first.ts, "Acknowledge").await.expect("the button");
    card(&world, &["Jobs are stuck", "Bob acknowledged it at"]).await;
    trouble(&world, false).await;
    card(&world, &["Jobs are stuck: resolved"]).await;

    // A second time: the same card, and a word in the channel, since an edit rings no bell.
    trouble(&world, true).await;
    let again = card(&world, &["Jobs are stuck: 1 alert firing", "fired 2 times"]).await;
    assert_eq!(again.ts, first.ts);
    world.see(|t| t.contains("Jobs are stuck fires again")).await;
    world.slack.click(&user("bob"), CHANNEL, &again.ts, "Open incident").await.expect("the button");
    card(&world, &["INC-1 Jobs are stuck"]).await;
    assert_eq!(cards(&world, &["Jobs are stuck", "From drbot"]).len(), 1);
    world.finish();
}

/// People who already work on it are not told by a card of its own. The other runbook asks the same question
/// just as often, and nobody works on that: its card proves that this one had its chances.
#[tokio::test]
async fn an_open_incident_needs_no_alert() {
    let other = JOBS.replace("runbook: jobs", "runbook: twin").replace("Jobs are stuck", "The twin");
    let files = runbooks(&[("jobs", JOBS), ("twin", &other)]);
    let world = World::with(true, told(&files)).await;
    world.say("alice", "declare jobs").await;
    for _ in 0..2 {
        trouble(&world, true).await;
        card(&world, &["The twin: 1 alert firing", "From drbot"]).await;
        trouble(&world, false).await;
        card(&world, &["The twin: resolved"]).await;
    }
    assert_eq!(cards(&world, &["Jobs are stuck", "From drbot"]).len(), 0);
    world.finish();
}

/// A role is reminded when its time comes, says that it is done, and is reminded when it comes again: by a
/// message, since an edited card rings no bell.
#[tokio::test]
async fn a_schedule_reminds_its_role_until_somebody_did_it() {
    let files = runbooks(&[("jobs", JOBS)]);
    let shared = files.0.join("_shared.yaml");
    let text = std::fs::read_to_string(&shared).expect("read");
    let more = "contacts: [{ role: dba, reach: the database team }]\nschedules:\n  - { id: review, what: Review the runbooks, every: 5s, owner: dba }\n  - { id: seen, what: Looked at by itself, every: 1s, probe: jobs }\n";
    std::fs::write(&shared, text + more).expect("written");
    let world = World::with(true, told(&files)).await;
    let due = card(&world, &["Review the runbooks", "Due since", "for dba: @U-bob"]).await;
    assert_eq!(buttons(&due).into_iter().map(|b| b.label).collect::<Vec<_>>(), ["Done"]);
    assert!(serde_json::to_string(&due.blocks).expect("JSON").contains("U-bob"), "the bell rings: {:?}", due.blocks);
    world.slack.click(&user("bob"), CHANNEL, &due.ts, "Done").await.expect("the button");
    card(&world, &["✅ Review the runbooks", "Bob did it at"]).await;
    let again = world.see(|t| t.contains("Review the runbooks is due again since")).await;
    assert_eq!(again.thread_ts.as_deref(), Some(due.ts.as_str()));
    let once_more = card(&world, &["🗓 Review the runbooks", "Due since"]).await;
    assert_eq!(once_more.ts, due.ts);
    assert_eq!(cards(&world, &["Looked at by itself"]).len(), 0, "what a detection does needs nobody");

    // The text twin of the button.
    let id = plain_text(&once_more).rsplit("/dr ack ").next().unwrap_or_default().trim().to_owned();
    let said = world.say("bob", &format!("ack {id}")).await;
    assert!(said.contains("You finished Review the runbooks"), "{said}");
    world.finish();
}

/// Waits until a plan shows that something was kept after this time.
async fn kept_after(world: &World, time: &str) {
    let count = || world.slack.messages(CHANNEL).iter().filter(|m| plain_text(m).contains("Plan: Jobs")).count();
    for _ in 0..20 {
        let before = count();
        world.say("alice", "plan jobs").await;
        assert!(world.slack.wait(LIMIT, || (count() > before).then_some(())).await.is_some(), "a plan");
        let plans = world.slack.messages(CHANNEL);
        let texts = plans.iter().rev().map(plain_text);
        let kept = texts.filter_map(|t| Some(t.split("before=1 row of ").nth(1)?.get(..23)?.to_owned())).max();
        if kept.is_some_and(|kept| kept.as_str() > time) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    panic!("nothing was kept after {time}");
}

/// What stood there before: asked again and again, kept outside, and there when it is gone. It is what was kept
/// before the incident began, not what a later look found.
#[tokio::test]
async fn rows_are_kept_from_before_the_disaster() {
    let keep = "params:\n  before: { type: rows, keep: { every: 1s, target: main-db, sql: select count(*) as n from users } }\ndetect:";
    let look = "select b.n as before, (select count(*) from users) as now from jsonb_to_recordset(:before::jsonb) as b(n bigint, kept_at timestamptz)";
    let file = JOBS.replace("detect:", keep).replace("sql: select 1 as n }", &format!("sql: '{look}' }}"));
    let files = runbooks(&[("jobs", &file)]);
    let world = World::with(true, told(&files)).await;
    let database = world.database.as_ref().expect("a database");
    let mut admin = database.connect(&database.superuser_url_of("booking")).await.expect("a connection");
    let users: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&mut admin).await.expect("a count");
    assert!(users > 0);
    kept_after(&world, "").await;
    // The disaster begins with the red light; what is asked afterwards is not what is compared with.
    trouble(&world, true).await;
    card(&world, &["Jobs are stuck: 1 alert firing"]).await;
    sqlx::query("truncate users cascade").execute(&mut admin).await.expect("gone");
    let gone: String = sqlx::query_scalar("select to_char(now() at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS')")
        .fetch_one(&mut admin)
        .await
        .expect("a time");
    admin.close().await.expect("closed");
    kept_after(&world, &gone).await;
    let shown = card(&world, &["Jobs are stuck: 1 alert firing"]).await;
    world.slack.click(&user("bob"), CHANNEL, &shown.ts, "Open incident").await.expect("the button");
    card(&world, &["INC-1 Jobs are stuck"]).await;
    let refused = world.say("alice", "run jobs before=1").await;
    assert!(refused.contains("no parameter `before`"), "{refused}");
    world.say("alice", "run jobs").await;
    let until = tokio::time::Instant::now() + LIMIT;
    let mut shown = world.show("look").await;
    while !shown.contains("Step look: done") {
        assert!(tokio::time::Instant::now() < until, "{shown}");
        shown = world.show("look").await;
    }
    assert!(shown.contains(&format!("before  now\\n{users:<8}0")), "{shown}");
    world.finish();
}
