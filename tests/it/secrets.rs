//! R20: known secrets and customers' data in statements reach neither the store, nor chat, nor the log.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drbot::practice::slack::plain_text;
use sqlx::Connection;

use crate::world::{CHANNEL, World};

const CANARY: &str = "s3cr3t-canary-0123456789";
const CUSTOMER: &str = "anna.petrova@example.org";

/// Everything that was written or said: the store's files, the log, the whole chat.
fn everything(world: &World) -> String {
    let mut all = world.bot.log();
    for file in std::fs::read_dir(world.folder())
        .expect("the folder")
        .flatten()
        .filter(|f| f.file_name().to_string_lossy().starts_with("drbot.db"))
    {
        all.push_str(&String::from_utf8_lossy(&std::fs::read(file.path()).expect("readable")));
    }
    for message in world.slack.messages(CHANNEL) {
        all.push_str(&message.text);
        all.push_str(&serde_json::to_string(&message.blocks).expect("JSON"));
    }
    all
}

#[tokio::test]
async fn neither_secrets_nor_customers_data_leak() {
    let world = World::with(true, |w| w.more = format!("secrets: [{CANARY}]\n")).await;
    let database = world.database.as_ref().expect("a database");
    let mut app =
        database.connect(&database.url("app", drbot::practice::scratch::PASSWORD, "booking")).await.expect("a session");
    let query = "select pg_sleep(600), 'anna.petrova@example.org' as email, 4111111111111111 as card";
    let session = tokio::spawn(async move {
        let _ = sqlx::raw_sql(query).execute(&mut app).await;
        let _ = app.close().await;
    });
    world.say("alice", &format!("declare password is {CANARY}")).await;
    let forms =
        [CANARY.to_owned(), STANDARD.encode(CANARY), STANDARD.encode(format!("x{CANARY}")), hex::encode(CANARY)];
    for form in &forms {
        world.say("alice", &format!("note INC-1 found {form} in a log")).await;
    }
    crate::world::until_old(database).await;
    world.say("alice", "run INC-1 database-performance").await;
    let card = world.see(|t| t.contains("INC-1") && t.contains("Exactly this runs")).await;
    let text = plain_text(&card);
    assert!(text.contains("select pg_sleep(?)"), "the statement's shape is shown: {text}");
    world.see(|t| t.contains("[secret] in a log")).await;
    let all = everything(&world);
    for hidden in forms.iter().map(String::as_str).chain([
        CUSTOMER,
        "4111111111111111",
        drbot::practice::slack::Setup::small(drbot::clock::now()).token.as_str(),
    ]) {
        assert!(!all.contains(hidden), "{hidden} leaked");
    }
    assert!(all.contains("[secret]"), "the control: something was there to hide");
    session.abort();
    world.finish();
}

/// An observer that could write is refused at the start, with the grants to fix it.
#[tokio::test]
async fn an_observer_that_can_write_keeps_the_bot_down() {
    let mut world = World::start(true).await;
    world.bot.stop().await.expect("stopped");
    world
        .database
        .as_ref()
        .expect("a database")
        .admin("booking", "grant update on bookings to drbot_observer")
        .await
        .expect("granted");
    let refused = world.bot.again().await.expect_err("it must not start").to_string();
    assert!(
        refused.contains("the observer role could write") && refused.contains("drbot target sql main-db"),
        "{refused}"
    );
}
