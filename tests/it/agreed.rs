//! An undo that was agreed to together with its step, in the scenario it is for: Stripe lets an account charge
//! again, or the time is over, and the old settings come back without a click. The judges are the database's rows
//! and its ledger.

use sqlx::{Connection, Executor};

use crate::saas::SAAS;
use crate::stripe_story::Stage;
use crate::world::LIMIT;

const PAST_DUE: &str = "requirements.past_due";
const OPEN: &str = "select count(*)::text from drbot.payment_before where back_at is null";
/// How often the database itself committed the undo.
const BACK: &str = "select count(*)::text from drbot.ledger where execution_id like '%.back'";
const BLOCKED: &str =
    "select count(*)::text from pg_stat_activity where usename = 'drbot_operator' and wait_event_type = 'Lock'";

/// Payments were made optional for account 2; gives the stage, the settings before, and the approval's id.
async fn optional(edits: &[(&str, &str)]) -> (Stage, String, String) {
    let page = "https://booking.example/settings/payments";
    let values = [("return_url", page), ("refresh_url", page)];
    let mut all = vec![("            every: 5m\n", "            every: 1s\n")];
    all.extend(edits);
    let stage = Stage::edited("stripe-account-suspended", &values, &all).await;
    // One that never required payment must not come to require it.
    let never = "update payment_settings set payment_required_for_booking = false where calendar_id = id('calendar-3')";
    stage.saas.sql(never).await;
    let before = stage.saas.fingerprint("payment_settings").await;
    for n in [2, 3] {
        stage.stripe_says(n, Some(PAST_DUE));
    }
    stage.declare().await;
    stage.to_relief("").await;
    stage.saas.world.say("alice", "next 1").await;
    let card = stage.saas.approve("step: Make payments optional for", &["bob"]).await;
    for part in [
        "by itself when Stripe lets all of these accounts charge again",
        "Agreed with it, taken back by itself: Give every calendar its old setting back",
        "after the step, without asking again. Exactly this runs then:",
        "update drbot.payment_before b set back_at = now()",
    ] {
        assert!(card.contains(part), "{part}: {card}");
    }
    let id = card.split("/dr approve ").nth(1).and_then(|t| t.split_whitespace().next()).expect("an id").to_owned();
    (stage, before, id)
}

async fn until(stage: &Stage, ask: &'static str, wanted: &str) {
    let end = tokio::time::Instant::now() + LIMIT;
    while stage.saas.ask(ask).await != wanted {
        assert!(tokio::time::Instant::now() < end, "never {wanted}: {ask}; {}", stage.saas.world.bot.log());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn the_account_comes_back_and_so_do_the_settings_though_the_run_was_ended() {
    let (mut stage, before, id) = optional(&[]).await;
    let waits = stage.card("INC-1", "optional is taken back by itself when Stripe lets").await;
    assert!(waits.contains(&format!("To stop that: /dr deny {id} REASON")), "{waits}");
    stage.done("tell-owners").await;
    let aborted = stage.saas.world.say("bob", "abort we wait for Stripe").await;
    assert!(aborted.contains("`optional` is still taken back by itself as agreed"), "{aborted}");
    assert_ne!(stage.saas.fingerprint("payment_settings").await, before);
    assert_eq!((stage.saas.ask(OPEN).await, stage.saas.ask(BACK).await), ("1".into(), "0".into()));
    // Nobody is there when it happens.
    stage.saas.world.bot.kill();
    for n in [2, 3] {
        stage.stripe_says(n, None);
    }
    stage.saas.world.bot.again().await.expect("the bot again");
    let card = stage.card("INC-1", "optional was taken back by itself at").await;
    assert!(card.contains("0 of 1 calendars do not have their old setting"), "{card}");
    assert_eq!(stage.saas.fingerprint("payment_settings").await, before);
    assert_eq!((stage.saas.ask(OPEN).await, stage.saas.ask(BACK).await), ("0".into(), "1".into()));
    // One message of the thread or two, as it comes.
    stage.saas.see(|t| t.contains("taken back and verified: 0 of 1 calendars")).await;
    stage.saas.see(|t| t.contains("its time has come: Stripe lets all of these accounts charge again")).await;
    assert!(stage.saas.world.say("alice", "undo optional").await.contains("cannot be taken back"));
    assert!(stage.saas.world.say("bob", &format!("deny {id} too late")).await.contains("Already decided"));
    stage.finish();
}

#[tokio::test]
async fn the_time_is_over_and_the_settings_come_back_though_stripe_is_not_done() {
    let (stage, before, _) = optional(&[("latest: \"{relief_for}\"", "latest: 6s")]).await;
    stage.saas.see(|t| t.contains("its time has come: the agreed time is over")).await;
    stage.card("INC-1", "optional was taken back by itself at").await;
    assert_eq!(stage.saas.fingerprint("payment_settings").await, before);
    assert_eq!((stage.saas.ask(OPEN).await, stage.saas.ask(BACK).await), ("0".into(), "1".into()));
    stage.finish();
}

#[tokio::test]
async fn killed_in_the_middle_of_taking_back_it_happens_once() {
    let (mut stage, before, _) = optional(&[]).await;
    stage.card("INC-1", "optional is taken back by itself when Stripe lets").await;
    let database = &stage.saas.database;
    let mut holder = database.connect(&database.superuser_url_of(SAAS)).await.expect("a connection");
    let mut held = holder.begin().await.expect("a transaction");
    held.execute("lock table payment_settings in share mode").await.expect("held");
    stage.stripe_says(2, None);
    until(&stage, BLOCKED, "1").await;
    stage.saas.world.bot.kill();
    held.rollback().await.expect("let go");
    stage.saas.world.bot.again().await.expect("the bot again");
    let card = stage.card("INC-1", "optional was taken back by itself at").await;
    assert!(card.contains("0 of 1 calendars do not have their old setting"), "{card}");
    assert_eq!(stage.saas.fingerprint("payment_settings").await, before);
    assert_eq!((stage.saas.ask(OPEN).await, stage.saas.ask(BACK).await), ("0".into(), "1".into()));
    stage.saas.see(|t| t.contains("agreed undo of") && t.contains("UNKNOWN whether it happened")).await;
    stage.finish();
}

#[tokio::test]
async fn one_that_fails_for_good_rings_those_who_relied_on_it() {
    let (stage, before, _) = optional(&[]).await;
    stage.card("INC-1", "optional is taken back by itself when Stripe lets").await;
    stage.saas.sql("revoke update on payment_settings from drbot_operator").await;
    for n in [2, 3] {
        stage.stripe_says(n, None);
    }
    let bell = stage.saas.see(|t| t.contains("🔔") && t.contains("NOT taken back by itself")).await;
    for part in ["U-alice", "U-bob", "permission denied for table payment_settings", "/dr undo optional"] {
        assert!(bell.contains(part), "{part}: {bell}");
    }
    stage.card("INC-1", "optional was NOT taken back").await;
    stage.saas.sql("grant update on payment_settings to drbot_operator").await;
    assert!(stage.saas.world.say("alice", "undo optional").await.contains("abort it, then undo"));
    stage.saas.world.say("bob", "abort by hand then").await;
    stage.saas.world.say("alice", "undo optional").await;
    stage.saas.approve("Give every calendar its old setting back", &["bob"]).await;
    stage.card("INC-1", ", taken back)").await;
    assert_eq!(stage.saas.fingerprint("payment_settings").await, before);
    stage.finish();
}

#[tokio::test]
async fn it_is_stopped_by_those_who_could_stop_the_approval_and_then_undone_by_hand() {
    let (stage, before, id) = optional(&[]).await;
    stage.card("INC-1", "optional is taken back by itself when Stripe lets").await;
    assert!(stage.saas.world.say("mallory", &format!("deny {id} ha")).await.contains("does not know you"));
    let stopped = stage.saas.world.say("alice", &format!("withdraw {id}")).await;
    assert!(stopped.contains("Stopped: `optional` is not taken back by itself any more"), "{stopped}");
    stage.card("INC-1", "optional is not taken back by itself: withdrawn").await;
    for n in [2, 3] {
        stage.stripe_says(n, None);
    }
    let red = stage.status("S6", "lets it charge: true").await;
    assert!(red.contains("RED"), "{red}");
    assert_eq!((stage.saas.ask(OPEN).await, stage.saas.ask(BACK).await), ("1".into(), "0".into()));
    stage.saas.world.say("bob", "abort by hand then").await;
    stage.saas.world.say("alice", "undo optional").await;
    stage.saas.approve("Give every calendar its old setting back", &["bob"]).await;
    stage.card("INC-1", ", taken back)").await;
    assert_eq!(stage.saas.fingerprint("payment_settings").await, before);
    stage.finish();
}
