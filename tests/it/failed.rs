//! A failed step that people are asked about, through signed clicks: each button does what its verb does, for
//! whom the verb works, once, and only from the incident's own card.

use drbot::practice::scratch::BOOKING;
use drbot::practice::slack::{Button, Message, User, buttons, plain_text, private_text};

use crate::support::Folder;
use crate::world::{CHANNEL, LIMIT, World, approval_id, runbooks, user};

const ASKING: &str = r#"
runbook: asking
title: The asking runbook
tier: 2
objectives: { rto: 4h, rpo: 24h, mttr: 2h }
estimate: 20m
detect:
  every: 24h
  failures: 1
  checks:
    - { id: users, target: main-db, sql: select count(*) as n from users, expect: { value: { column: n, at_least: 1 } }, figure: "{n} users" }
steps:
  - id: first
    title: See user 9001
    on_fail: ask
    do: { sql: { target: main-db, effect: observe, risk: safe, sql: select id from users where id = 9001, expect: { rows: { exactly: 1 } } } }
  - id: second
    title: See user 9002
    on_fail: ask
    do: { sql: { target: main-db, effect: observe, risk: safe, sql: select id from users where id = 9002, expect: { rows: { exactly: 1 } } } }
  - id: rename
    title: Rename user 7 to a name that is not allowed
    on_fail: ask
    do:
      sql:
        target: main-db
        effect: atomic
        risk: disruptive
        preview: { identity: [id], tolerance: { rows: none }, sql: select id from users where id = 7 }
        sql: "update users u set full_name = 'Renamed' from jsonb_to_recordset(:approved::jsonb) as ok(id bigint) where u.id = ok.id"
        expect: { rows: { exactly: 2 } }
        verify: [{ id: renamed, target: main-db, sql: "select count(*) as n from users where full_name = 'Renamed'", expect: { value: { column: n, at_least: 1 } }, figure: "{n} renamed" }]
        undo: "none: nothing stays of it"
verify:
  - { id: users, target: main-db, sql: select count(*) as n from users, expect: { value: { column: n, at_least: 1 } }, figure: "{n} users" }
"#;

async fn world() -> (World, Folder) {
    let files = runbooks(&[("asking", ASKING)]);
    let world = World::with(true, |w| {
        w.runbooks = files.0.clone();
        w.parameters.clear();
    })
    .await;
    let database = world.database.as_ref().expect("a database");
    database.admin(BOOKING, "GRANT UPDATE ON users TO drbot_operator").await.expect("granted");
    world.say("alice", "declare asking").await;
    world.say("alice", "run asking").await;
    (world, files)
}

async fn asked(world: &World, title: &str) -> Message {
    let card = world.see(|t| t.contains(&format!("This did not go through: {title}"))).await;
    let labels: Vec<String> = buttons(&card).into_iter().map(|b| b.label).collect();
    assert_eq!(labels, ["Retry", "Skip", "Abort"], "{}", plain_text(&card));
    card
}

fn button(card: &Message, label: &str) -> Button {
    buttons(card).into_iter().find(|b| b.label == label).expect("the button")
}

async fn told(world: &World, who: &User, part: &str) {
    let found = world.slack.wait_private((CHANNEL, who), |p| private_text(p).contains(part), LIMIT).await;
    assert!(found.is_ok(), "{} was not told `{part}`: {}", who.name, world.bot.log());
}

#[tokio::test]
async fn each_button_does_what_its_verb_does() {
    let (world, _files) = world().await;
    let database = world.database.as_ref().expect("a database");
    let (bob, carol, mallory) = (user("bob"), user("carol"), user("mallory"));
    let card = asked(&world, "See user 9001").await;
    assert!(plain_text(&card).contains("/dr retry first   /dr skip first REASON   /dr abort REASON"));
    let retry = button(&card, "Retry");
    // A stranger, a copy of the card and another team decide nothing.
    world.slack.click_raw(&mallory, CHANNEL, &card.ts, &retry).await;
    told(&world, &mallory, "does not know you").await;
    world.slack.click_raw(&bob, CHANNEL, "1700000000.000100", &retry).await;
    told(&world, &bob, "not the incident's own").await;
    world.slack.click_raw(&User::new("T0OTHER", "U-bob", "bob"), CHANNEL, &card.ts, &retry).await;
    asked(&world, "See user 9001").await;
    let add = "INSERT INTO users VALUES (9001, 'late@booking.example', 'Late', now())";
    database.admin(BOOKING, add).await.expect("added");
    world.slack.click(&bob, CHANNEL, &card.ts, "Retry").await.expect("a click");
    told(&world, &bob, "Going on").await;

    let card = asked(&world, "See user 9002").await;
    assert!(plain_text(&card).contains("See user 9001 (done"), "{}", plain_text(&card));
    world.slack.click_raw(&carol, CHANNEL, &card.ts, &retry).await;
    told(&world, &carol, "from an earlier state").await;
    // Skipping asks for the reason, as the verb does; the same reason sent twice skips once.
    world.slack.click(&carol, CHANNEL, &card.ts, "Skip").await.expect("a click");
    let form = world.slack.wait_view(&carol, LIMIT).await.expect("a form");
    let empty = world.slack.submit(&carol, &form.id, &[("text", " ")]).await.expect("sent");
    assert!(empty.body.contains("cannot be empty"), "{}", empty.body);
    world.slack.submit(&carol, &form.id, &[("text", "9002 left us")]).await.expect("sent");
    world.see(|t| t.contains("See user 9002 (skipped): Carol: 9002 left us")).await;
    world.finish();
}

#[tokio::test]
async fn aborting_takes_a_form_and_what_was_denied_is_not_asked_about() {
    let (world, _files) = world().await;
    let (bob, carol) = (user("bob"), user("carol"));
    asked(&world, "See user 9001").await;
    assert!(world.say("alice", "skip first not there").await.contains("Skipped"));
    asked(&world, "See user 9002").await;
    assert!(world.say("alice", "skip second not there").await.contains("Skipped"));
    let card = world.see(|t| t.contains("Or type: /dr approve")).await;
    let id = approval_id(&card);
    assert!(world.say("bob", &format!("deny {id} not now")).await.contains("You stopped"));
    let denied = world.see(|t| t.contains("INC-1") && t.contains("Paused")).await;
    assert!(buttons(&denied).is_empty(), "what people denied stops: {}", plain_text(&denied));

    world.say("alice", "next").await;
    let again = world.see(|t| t.contains("Or type: /dr approve") && !t.contains(&id)).await;
    world.say("bob", &format!("approve {}", approval_id(&again))).await;
    let card = asked(&world, "Rename user 7").await;
    // Two open the form for aborting; one sends it, the other comes too late.
    world.slack.click(&bob, CHANNEL, &card.ts, "Abort").await.expect("a click");
    let form = world.slack.wait_view(&bob, LIMIT).await.expect("a form");
    world.slack.click(&carol, CHANNEL, &card.ts, "Abort").await.expect("a click");
    let late = world.slack.wait_view(&carol, LIMIT).await.expect("a form");
    asked(&world, "Rename user 7").await;
    world.slack.submit(&bob, &form.id, &[("text", "the name is not allowed")]).await.expect("sent");
    let over = world.see(|t| t.contains("The run was aborted: the name is not allowed")).await;
    assert!(buttons(&over).is_empty(), "{}", plain_text(&over));
    world.slack.submit(&carol, &late.id, &[("text", "so do I")]).await.expect("sent");
    told(&world, &carol, "from an earlier state").await;
    world.finish();
}
