//! The main job, from the outside: a step that two people agree on, judged by the database's own log.

use std::time::Duration;

use drbot::practice::slack::plain_text;
use drbot::practice::trouble;

use crate::world::{CHANNEL, LIMIT, World, user};

/// Alice asks, is refused by herself, Bob agrees: exactly the listed sessions end, once.
#[tokio::test]
async fn two_people_end_the_long_statements() {
    let world = World::start(true).await;
    let database = world.database.as_ref().expect("a database");
    let mut sessions = trouble::long_statements(database, 2).await.expect("long statements");
    // The threshold in this world is 2 s: the status is asked until the database says it is passed.
    let status = loop {
        world.say("alice", "status").await;
        let card = world.see(|t| t.contains("S8") && !t.contains("Checking")).await;
        if plain_text(&card).contains("RED") {
            break card;
        }
        world.slack.delete(CHANNEL, &card.ts);
    };
    assert!(plain_text(&status).contains("2 statements running longer than 2s"), "{}", plain_text(&status));

    assert!(world.say("alice", "declare database-performance").await.starts_with("INC-1 is open"));
    assert!(world.say("alice", "run database-performance").await.starts_with("Started in INC-1"));
    let card = world.see(|t| t.contains("INC-1") && t.contains("Exactly this runs")).await;
    let text = plain_text(&card);
    assert!(text.contains("pg_cancel_backend") && text.contains("2 rows") && text.contains("Bob or Carol"), "{text}");

    let answer = world.slack.click(&user("alice"), CHANNEL, &card.ts, "Approve").await.expect("the button is there");
    assert_eq!(answer.status, 200);
    let told = world
        .slack
        .wait_private(
            (CHANNEL, &user("alice")),
            |p| drbot::practice::slack::private_text(p).contains("somebody else must agree"),
            LIMIT,
        )
        .await;
    assert!(told.is_ok(), "the refused click is answered");
    assert_eq!(cancels(database), 0, "the refused click ran nothing");

    world.slack.click(&user("bob"), CHANNEL, &card.ts, "Approve").await.expect("the button is still there");
    for session in &mut sessions {
        assert_eq!(session.ended(Duration::from_secs(20)).await.as_deref(), Some("57014"), "cancelled by request");
    }
    let done = world.see(|t| t.contains("INC-1") && t.contains("Recovered after")).await;
    assert_eq!(done.ts, card.ts, "the same card says so");
    assert!(drbot::practice::slack::buttons(&done).is_empty(), "no buttons are left");
    assert_eq!(cancels(database), 1, "the approved statement ran once\n{}", database.log_text());
    world.finish();
}

/// How often the database's own log shows the cancelling statement, run by the operator role.
fn cancels(database: &drbot::practice::scratch::Scratch) -> usize {
    database
        .log_text()
        .lines()
        .filter(|l| l.contains("user=drbot_operator") && l.contains("execute") && l.contains("pg_cancel_backend"))
        .count()
}
