//! Mentions of the bot: signed events in, what the practice Slack recorded out. They do what the slash
//! command does, once, and answer the person where they spoke.

use std::time::Duration;

use drbot::practice::slack::{Door, User, buttons, plain_text, private_text};
use drbot::practice::trouble;
use serde_json::{Value, json};
use sqlx::Connection;

use crate::world::{CHANNEL, LIMIT, World, user};

const IN_CHANNEL: (&str, Option<&str>) = (CHANNEL, None);

/// Writes `@drbot TEXT`; the request itself is answered with nothing.
async fn mention(world: &World, who: &str, place: (&str, Option<&str>), text: &str) {
    let answer = world.slack.mention(&user(who), place, text).await.expect("a place to write");
    assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{text}");
}

/// What this person alone was shown, once a text with `part` is there, with the thread it is in.
async fn told(world: &World, who: &User, part: &str) -> (String, Option<String>) {
    let found = world.slack.wait_private((CHANNEL, who), |p| private_text(p).contains(part), LIMIT).await;
    let found = found.unwrap_or_else(|e| panic!("{} was not told `{part}`: {e}\n{}", who.name, world.bot.log()));
    assert_eq!(found.via, "chat.postEphemeral");
    (private_text(&found), found.thread)
}

/// How often something happened, by the bot's own store.
async fn happened(world: &World, kind: &str) -> i64 {
    let mut store = sqlx::sqlite::SqliteConnection::connect(&world.store).await.expect("the store");
    let count = sqlx::query_scalar("SELECT COUNT(*) FROM events WHERE kind = $1").bind(kind);
    count.fetch_one(&mut store).await.expect("a count")
}

/// Everything that was sent to a person alone and holds this text.
fn shown(world: &World, who: &str, part: &str) -> usize {
    world.slack.privates(CHANNEL, &user(who)).iter().filter(|p| private_text(p).contains(part)).count()
}

/// The card of an incident that a person declares.
async fn declared(world: &World, title: &str, number: u64) -> String {
    assert!(world.say("alice", &format!("declare {title}")).await.starts_with(&format!("INC-{number} is open")));
    world.see(|t| t.contains(&format!("INC-{number} {title}"))).await.ts
}

#[tokio::test]
async fn status_by_mention_gives_the_card() {
    let world = World::start(false).await;
    mention(&world, "alice", IN_CHANNEL, "status").await;
    let (_, thread) = told(&world, &user("alice"), "appears in this channel").await;
    assert_eq!(thread, None, "a thread without replies would hide it");
    let card = world.see(|t| t.contains("S8") && t.contains("not configured")).await;
    assert_eq!(card.thread_ts, None);

    // In a thread the answer and the card stay there.
    let root = world.slack.say(&user("bob"), CHANNEL, "the site is slow").expect("said");
    mention(&world, "alice", (CHANNEL, Some(&root)), "/dr status").await;
    let (_, thread) = told(&world, &user("alice"), "appears in this thread").await;
    assert_eq!(thread.as_deref(), Some(root.as_str()));
    let below = |m: &drbot::practice::slack::Message| m.bot.is_some() && m.thread_ts.as_ref() == Some(&root);
    let card = world.slack.wait_message(CHANNEL, below, LIMIT).await.expect("a card in the thread");
    assert!(plain_text(&card).contains("not configured"));

    let cards = world.slack.messages(CHANNEL).iter().filter(|m| m.bot.is_some()).count();
    assert_eq!(cards, 2, "one card for each question");
    world.finish();
}

#[tokio::test]
async fn the_address_is_proved_before_it_is_used() {
    let world = World::start(false).await;
    let hello = json!({"type": "url_verification", "token": "x", "challenge": "3eZbrw1aBm2rZgRN"}).to_string();
    let signed = world.slack.sign(Door::Events, hello);
    let answer = world.slack.redeliver(&signed).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "3eZbrw1aBm2rZgRN"));

    let mention = world.slack.mentioned(&user("alice"), IN_CHANNEL, "declare A forged one").expect("a mention");
    let good = world.slack.sign(Door::Events, mention.event.to_string());
    let forged = |change: &dyn Fn(&mut drbot::practice::slack::Signed)| {
        let mut one = good.clone();
        change(&mut one);
        one
    };
    let bad = [
        forged(&|s| s.signature = format!("v0={}", "0".repeat(64))),
        forged(&|s| s.body = s.body.replace("A forged one", "Another one")),
        forged(&|s| s.timestamp = "1".into()),
        forged(&|s| s.body = "ssl_check=1&token=x".into()),
        forged(&|s| s.body = signed.body.clone()),
    ];
    for one in bad {
        let answer = world.slack.redeliver(&one).await;
        assert_eq!((answer.status, answer.body.as_str()), (401, ""), "{one:?}");
    }
    assert_eq!(happened(&world, "declared").await, 0);
    assert_eq!(world.slack.redeliver(&good).await.status, 200, "the proved one passes");
    assert_eq!(happened(&world, "declared").await, 1);
    world.finish();
}

/// Slack repeats what it saw no success for, and may tell of one message twice: both are one gesture.
#[tokio::test]
async fn one_message_runs_once() {
    let mut world = World::start(false).await;
    let alice = user("alice");
    declared(&world, "Something is wrong", 1).await;
    let first = world.slack.mentioned(&alice, IN_CHANNEL, "note customers informed").expect("a mention").event;
    let mut twin = first.clone();
    twin["event_id"] = "Ev0TWIN".into();
    twin["event"]["ts"] = "1790000000.000200".into();
    let deliver = async |world: &World, signed| assert_eq!(world.slack.redeliver(&signed).await.status, 200);
    deliver(&world, world.slack.sign(Door::Events, first.to_string())).await;
    told(&world, &alice, "Noted in INC-1").await;
    deliver(&world, world.slack.repeated(&first, 1)).await;
    deliver(&world, world.slack.sign(Door::Events, twin.to_string())).await;
    world.bot.kill();
    world.bot.again().await.expect("the bot again");
    deliver(&world, world.slack.repeated(&first, 2)).await;

    // Without an id of the message the event's own counts.
    let mut bare = first.clone();
    bare["event_id"] = "Ev0BARE".into();
    bare["event"].as_object_mut().expect("an event").remove("client_msg_id");
    deliver(&world, world.slack.sign(Door::Events, bare.to_string())).await;
    deliver(&world, world.slack.repeated(&bare, 1)).await;
    // Another person's message with the same id is another message.
    let mut bobs = first.clone();
    bobs["event_id"] = "Ev0BOB".into();
    bobs["event"]["user"] = "U-bob".into();
    deliver(&world, world.slack.sign(Door::Events, bobs.to_string())).await;
    told(&world, &user("bob"), "Noted in INC-1").await;
    assert_eq!(happened(&world, "noted").await, 3);
    let twice = world.slack.wait(LIMIT, || (shown(&world, "alice", "Noted in INC-1") >= 2).then_some(())).await;
    assert!(twice.is_some(), "both of Alice's messages are answered");
    assert_eq!((shown(&world, "alice", "Noted"), shown(&world, "bob", "Noted")), (2, 1));
    world.finish();
}

/// A delivery that could not be stored is not lost: Slack's repetition brings it.
#[tokio::test]
async fn what_was_not_stored_comes_again() {
    let world = World::start(false).await;
    declared(&world, "Something is wrong", 1).await;
    let event = world.slack.mentioned(&user("alice"), IN_CHANNEL, "note once").expect("a mention").event;
    let mut other = sqlx::sqlite::SqliteConnection::connect(&world.store).await.expect("the store");
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.expect("the write lock");
    assert_eq!(world.slack.redeliver(&world.slack.sign(Door::Events, event.to_string())).await.status, 503);
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.expect("released");
    assert_eq!(world.slack.bring(&event).await.status, 200);
    told(&world, &user("alice"), "Noted in INC-1").await;
    assert_eq!(happened(&world, "noted").await, 1);
}

/// Two incidents in one channel: what is said in the thread of one is about that one.
#[tokio::test]
async fn a_thread_means_its_incident() {
    let world = World::start(false).await;
    let one = declared(&world, "The first trouble", 1).await;
    let two = declared(&world, "The second trouble", 2).await;
    let markup = "note <https://a.example|a.example> says &lt;slow&gt; &amp; <@U-carol> agrees";
    let event = world.slack.mentioned(&user("bob"), (CHANNEL, Some(&one)), markup).expect("a mention").event;
    assert_eq!(world.slack.bring(&event).await.status, 200);
    let (_, thread) = told(&world, &user("bob"), "Noted in INC-1").await;
    assert_eq!(thread.as_deref(), Some(one.as_str()));
    let line = world.see(|t| t.contains("a.example says")).await;
    assert_eq!(line.thread_ts.as_deref(), Some(one.as_str()), "it stands in that incident's history");
    let mut store = sqlx::sqlite::SqliteConnection::connect(&world.store).await.expect("the store");
    let stored: String = sqlx::query_scalar("SELECT payload FROM events WHERE kind = 'noted'")
        .fetch_one(&mut store)
        .await
        .expect("the note");
    assert!(stored.contains(r#""a.example says <slow> & @U-carol agrees""#), "{stored}");
    mention(&world, "bob", (CHANNEL, Some(&two)), "note the other").await;
    told(&world, &user("bob"), "Noted in INC-2").await;
    mention(&world, "bob", (CHANNEL, Some(&two)), "note INC-1 named").await;
    let named = world.slack.wait(LIMIT, || (shown(&world, "bob", "Noted in INC-1") == 2).then_some(())).await;
    assert!(named.is_some(), "a named incident goes before the thread");
    mention(&world, "bob", IN_CHANNEL, "note which one").await;
    told(&world, &user("bob"), "Several incidents are open in this channel").await;
    assert_eq!(happened(&world, "noted").await, 3);
    world.finish();
}

/// An approval by mention, in the thread, is the person's vote, with all that makes one count.
#[tokio::test]
async fn approving_in_the_thread_is_a_vote() {
    let world = World::start(true).await;
    let database = world.database.as_ref().expect("a database");
    let mut sessions = trouble::long_statements(database, 1).await.expect("a long statement");
    crate::world::until_old(database).await;
    world.say("alice", "declare database-performance").await;
    world.say("alice", "run database-performance").await;
    let card = world.see(|t| t.contains("Exactly this runs")).await;
    let text = plain_text(&card);
    let at = text.find("/dr approve ").expect("the id stands on the card");
    let command: String = text[at..].chars().take("/dr approve ".len() + 12).collect();
    let thread = (CHANNEL, Some(card.ts.as_str()));

    mention(&world, "alice", thread, &command).await;
    told(&world, &user("alice"), "somebody else must agree").await;
    let foreign = User::new("T0OTHER", "U-bob", "bob");
    assert_eq!(world.slack.mention(&foreign, thread, &command).await.expect("said").status, 200);
    told(&world, &foreign, "does not know you").await;
    assert_eq!(happened(&world, "voted").await, 0);
    assert_eq!(buttons(&world.slack.message(CHANNEL, &card.ts).expect("the card")).len(), 2);

    mention(&world, "bob", thread, &command).await;
    let (_, place) = told(&world, &user("bob"), "You approved").await;
    assert_eq!(place.as_deref(), Some(card.ts.as_str()));
    assert_eq!(sessions[0].ended(Duration::from_secs(20)).await.as_deref(), Some("57014"));
    world.see(|t| t.contains("Recovered after")).await;
    assert_eq!((happened(&world, "voted").await, happened(&world, "granted").await), (1, 1));
    world.finish();
}

/// Strangers and mistakes are answered with a reason, to that person alone, and nothing happens.
#[tokio::test]
async fn refusals_are_private() {
    let world = World::start(false).await;
    mention(&world, "mallory", IN_CHANNEL, "declare Mischief").await;
    told(&world, &user("mallory"), "does not know you").await;
    mention(&world, "alice", IN_CHANNEL, "stauts").await;
    told(&world, &user("alice"), "Did you mean /dr status?").await;
    mention(&world, "alice", IN_CHANNEL, "").await;
    told(&world, &user("alice"), "In a thread, write @drbot").await;
    mention(&world, "alice", IN_CHANNEL, "approve 0123456789ab").await;
    told(&world, &user("alice"), "There is no approval").await;
    mention(&world, "alice", IN_CHANNEL, "whoami").await;
    told(&world, &user("alice"), "You are Alice").await;

    // In a channel shared with another company the person's own team decides, and must be certain.
    let mut shared = world.slack.mentioned(&user("alice"), IN_CHANNEL, "declare Uncertain").expect("a mention").event;
    shared["is_ext_shared_channel"] = true.into();
    assert_eq!(world.slack.redeliver(&world.slack.sign(Door::Events, shared.to_string())).await.status, 200);
    told(&world, &user("alice"), "does not know you").await;

    assert_eq!(happened(&world, "declared").await, 0);
    assert_eq!(happened(&world, "refused").await, 2);
    assert!(world.slack.messages(CHANNEL).iter().all(|m| m.bot.is_none()), "nothing was said to everybody");
    world.finish();
}

/// Bots, our own words and other events get a success and no consequence.
#[tokio::test]
async fn what_nobody_said_is_ignored() {
    let world = World::start(false).await;
    let event = |change: &dyn Fn(&mut Value)| {
        let text = "declare By a machine";
        let mut made = world.slack.mentioned(&user("alice"), IN_CHANNEL, text).expect("a mention").event;
        change(&mut made);
        made
    };
    let ignored = [
        event(&|e| e["event"]["bot_id"] = "B0OTHER".into()),
        event(&|e| e["event"]["user"] = "U0BOT".into()),
        event(&|e| e["event"]["user"] = Value::Null),
        event(&|e| e["event"]["type"] = "message".into()),
        event(&|e| e["event"] = json!({"type": "reaction_added", "reaction": "fire"})),
        json!({"type": "app_rate_limited", "team_id": "T01TEST", "minute_rate_limited": 1_518_467_820}),
    ];
    for one in ignored {
        let answer = world.slack.redeliver(&world.slack.sign(Door::Events, one.to_string())).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{one}");
    }
    for bad in ["nonsense", "{}", r#"{"type":"event_callback","event":{"type":"app_mention","user":"U1"}}"#] {
        let answer = world.slack.redeliver(&world.slack.sign(Door::Events, bad.into())).await;
        assert_eq!(answer.status, 400, "{bad}: {}", answer.body);
    }
    // Talk about the bot is not talk to it: said so, and nothing else.
    let mut about = event(&|_| ());
    about["event"]["text"] = "I asked <@U0BOT> declare By the way".into();
    assert_eq!(world.slack.redeliver(&world.slack.sign(Door::Events, about.to_string())).await.status, 200);
    told(&world, &user("alice"), "Begin the message with @drbot").await;
    assert_eq!(happened(&world, "declared").await, 0);
    world.finish();
}
