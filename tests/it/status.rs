//! `/dr status`, signed, through the running bot: answered at once, stored, and shown as a card.

use drbot::practice::slack::plain_text;

use crate::world::{CHANNEL, World};

/// R1, R2: answered, durable, and a repeat of the same request makes no second card.
#[tokio::test]
async fn status_is_answered_and_its_card_posted() {
    let mut world = World::start(false).await;
    let answer = world.slack.slash(&crate::world::user("alice"), CHANNEL, "status").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(crate::world::private(&answer.body).contains("appears in this channel"), "{}", answer.body);
    let card = world.see(|t| t.contains("S8")).await;
    let text = plain_text(&card);
    assert_eq!(text.matches("not configured").count(), 10, "{text}");

    world.bot.kill();
    world.bot.again().await.expect("the bot again");
    let again = world.slack.redeliver(&answer.signed).await;
    assert_eq!((again.status, &again.body), (200, &answer.body), "a replay gets the stored answer");
    assert!(world.say("alice", "whoami").await.contains("You are Alice"));
    let cards = world.slack.messages(CHANNEL).iter().filter(|m| plain_text(m).contains("S8")).count();
    assert_eq!(cards, 1, "the replay made no second card");
    world.bot.stop().await.expect("a clean stop");
    world.finish();
}

/// S9 and strangers: an account that is not in the roster gets an answer and nothing else.
#[tokio::test]
async fn strangers_are_told_and_nothing_happens() {
    let world = World::start(false).await;
    assert!(world.say("mallory", "status").await.contains("does not know you"));
    assert!(world.say("alice", "stauts").await.contains("Did you mean `/dr status`?"));
    assert_eq!(world.slack.messages(CHANNEL).len(), 0);
    world.finish();
}

/// Chat refuses how a card is drawn: it is said in plain text rather than not at all.
#[tokio::test]
async fn a_card_that_cannot_be_drawn_is_said_plainly() {
    let world = World::start(false).await;
    world.slack.fault_once("chat.postMessage", drbot::practice::slack::Fault::Refuse("invalid_blocks".into()));
    world.say("alice", "declare Something is wrong").await;
    let plain = world.see(|t| t.contains("Chat refused the drawn card")).await;
    assert!(plain.text.contains("INC-1 Something is wrong"), "{}", plain.text);
    world.finish();
}
