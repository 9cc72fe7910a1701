//! Approvals from the outside: who may decide, once, in time, with a reason; every click is answered.

use std::path::Path;
use std::time::Duration;

use drbot::practice::slack::{Message, User, buttons, plain_text, private_text};
use drbot::practice::trouble::{self, Session};

use crate::world::{CHANNEL, LIMIT, World, user};

/// A world in which the card of the cancelling step waits for a decision.
async fn waiting(world: &World) -> (Vec<Session>, Message) {
    let database = world.database.as_ref().expect("a database");
    let sessions = trouble::long_statements(database, 1).await.expect("a long statement");
    crate::world::until_old(database).await;
    world.say("alice", "declare database-performance").await;
    world.say("alice", "run database-performance").await;
    let card = world.see(|t| t.contains("Exactly this runs")).await;
    (sessions, card)
}

async fn told(world: &World, who: &User, part: &str) -> String {
    let found = world.slack.wait_private((CHANNEL, who), |p| private_text(p).contains(part), LIMIT).await;
    found
        .map(|p| private_text(&p))
        .unwrap_or_else(|e| panic!("{} was not told `{part}`: {e}\n{}", who.name, world.bot.log()))
}

fn ran(world: &World) -> usize {
    let log = world.database.as_ref().expect("a database").log_text();
    log.lines()
        .filter(|l| l.contains("user=drbot_operator") && l.contains("execute") && l.contains("pg_cancel_backend"))
        .count()
}

/// R2, R3: two people press at the same moment: one decision, both answered, one effect.
#[tokio::test]
async fn two_clicks_at_once_decide_once() {
    let world = World::start(true).await;
    let (mut sessions, card) = waiting(&world).await;
    let (bob, carol) = (user("bob"), user("carol"));
    let (a, b) = tokio::join!(
        world.slack.click(&bob, CHANNEL, &card.ts, "Approve"),
        world.slack.click(&carol, CHANNEL, &card.ts, "Approve")
    );
    assert_eq!((a.expect("Bob's click").status, b.expect("Carol's click").status), (200, 200));
    let both = |world: &World| {
        let texts: Vec<String> = [&bob, &carol]
            .into_iter()
            .flat_map(|u| world.slack.privates(CHANNEL, u))
            .map(|p| private_text(&p))
            .collect();
        let approved = texts.iter().filter(|t| t.contains("You approved")).count();
        let late = texts.iter().filter(|t| t.contains("Already decided")).count();
        (approved, late)
    };
    let seen = world.slack.wait(LIMIT, || (both(&world) == (1, 1)).then_some(())).await;
    assert!(seen.is_some(), "one approves and the other is told so: {:?}", both(&world));
    assert_eq!(sessions[0].ended(Duration::from_secs(20)).await.as_deref(), Some("57014"));
    world.see(|t| t.contains("Recovered after")).await;
    assert_eq!(ran(&world), 1);
    world.finish();
}

/// Deny asks for a reason in a form; an empty one is refused; the requester may withdraw; nothing runs.
#[tokio::test]
async fn denying_takes_a_reason() {
    let world = World::start(true).await;
    let (_sessions, card) = waiting(&world).await;
    let bob = user("bob");
    world.slack.click(&bob, CHANNEL, &card.ts, "Deny").await.expect("the button");
    let form = world.slack.wait_view(&bob, LIMIT).await.expect("a form");
    let empty = world.slack.submit(&bob, &form.id, &[("text", "  ")]).await.expect("sent");
    assert!(empty.body.contains("cannot be empty"), "{}", empty.body);
    let sent =
        world.slack.submit(&bob, &form.id, &[("text", "the import must finish first")]).await.expect("sent again");
    assert_eq!((sent.status, sent.body.as_str()), (200, ""));
    let denied = world.see(|t| t.contains("INC-1") && t.contains("Paused")).await;
    assert_eq!(denied.ts, card.ts);
    assert!(buttons(&denied).is_empty());
    let history = world.see(|t| t.contains("Bob denied")).await;
    assert!(plain_text(&history).contains("the import must finish first"));
    assert_eq!(history.thread_ts.as_deref(), Some(card.ts.as_str()), "history stands in the card's thread");

    // It is asked again, and this time the requester withdraws by text.
    let other = world.say("alice", "retry list-blockers").await;
    assert!(other.contains("Only the current step can be tried again; that is `cancel-long-queries`"), "{other}");
    assert!(world.say("alice", "retry cancel-long-queries").await.contains("Going on"));
    let again = world.see(|t| t.contains("INC-1") && t.contains("Exactly this runs")).await;
    let id = crate::world::approval_id(&again);
    let going = world.say("alice", "resume").await;
    assert!(going.contains("not paused") && going.contains("waits for approval"), "{going}");
    assert!(world.say("alice", &format!("deny {id} not needed any more")).await.contains("You stopped"));
    assert!(world.say("bob", &format!("approve {id}")).await.contains("Already decided"));
    assert!(world.say("bob", &format!("verify {id}")).await.contains("denied"));
    assert_eq!(ran(&world), 0);
    world.finish();
}

/// S8, S9, S12, S13: strangers, other teams, old buttons and foreign copies of the card decide nothing.
#[tokio::test]
async fn clicks_that_must_not_count() {
    let world = World::start(true).await;
    let (_sessions, card) = waiting(&world).await;
    let approve = buttons(&card).into_iter().find(|b| b.label == "Approve").expect("the button");
    let mallory = user("mallory");
    world.slack.click_raw(&mallory, CHANNEL, &card.ts, &approve).await;
    told(&world, &mallory, "does not know you").await;
    let foreign = User::new("T0OTHER", "U-bob", "bob");
    assert_eq!(world.slack.click_raw(&foreign, CHANNEL, &card.ts, &approve).await.status, 200);
    let bob = user("bob");
    world.slack.click_raw(&bob, CHANNEL, "1700000000.000100", &approve).await;
    told(&world, &bob, "not the incident's own").await;
    let made_up =
        drbot::practice::slack::Button { value: "00112233445566778899aabbccddeeff".into(), ..approve.clone() };
    world.slack.click_raw(&bob, CHANNEL, &card.ts, &made_up).await;
    told(&world, &bob, "does nothing any more").await;
    let still = world.slack.message(CHANNEL, &card.ts).expect("the card");
    assert_eq!(buttons(&still).len(), 2, "nothing was decided");
    assert_eq!(ran(&world), 0);
    world.finish();
}

/// R13: nobody decides in time: the card says so without anybody's help, and a late click is told.
#[tokio::test]
async fn an_undecided_approval_expires() {
    let world = World::with(true, |w| w.more = "approvals: { decide_within: 4s }\n".into()).await;
    let (_sessions, card) = waiting(&world).await;
    let old = buttons(&card).into_iter().find(|b| b.label == "Approve").expect("the button");
    let expired = world.see(|t| t.contains("INC-1") && t.contains("expired")).await;
    assert_eq!(expired.ts, card.ts);
    assert!(buttons(&expired).is_empty(), "{}", plain_text(&expired));
    world.slack.click_raw(&user("bob"), CHANNEL, &card.ts, &old).await;
    told(&world, &user("bob"), "Already decided").await;
    assert_eq!(ran(&world), 0);
    world.finish();
}

/// R11: the runbook file changes while an approval is open: the run keeps its pinned copy, and the
/// approval is void at the start.
#[tokio::test]
async fn a_changed_runbook_voids_what_is_open() {
    let copy = crate::support::Folder::new();
    for file in ["_shared.yaml", "database-performance.yaml"] {
        std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("commands").join(file), copy.0.join(file))
            .expect("a copy");
    }
    let folder = copy.0.clone();
    let mut world = World::with(true, move |w| w.runbooks = folder).await;
    let (_sessions, card) = waiting(&world).await;
    world.bot.stop().await.expect("a clean stop");
    let file = copy.0.join("database-performance.yaml");
    let text = std::fs::read_to_string(&file).expect("the runbook");
    std::fs::write(
        &file,
        text.replace("pg_cancel_backend(a.pid) as cancelled", "pg_terminate_backend(a.pid) as cancelled"),
    )
    .expect("written");
    world.bot.again().await.expect("the bot again");
    world.slack.click(&user("bob"), CHANNEL, &card.ts, "Approve").await.expect("the button");
    let void = world.see(|t| t.contains("INC-1") && t.contains("runbook file was changed")).await;
    assert!(buttons(&void).is_empty());
    assert_eq!(ran(&world), 0);
    world.finish();
}
