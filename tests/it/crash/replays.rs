//! What a sender repeats, and what a captor replays, over crashes and restarts: one job.

use drbot::practice::slack::{Door, Signed, buttons};

use super::round::{Kind, Rig};
use super::target::Target;
use super::wire;
use crate::world::{CHANNEL, user};

/// Killed after the commit and before the answer: the repeat gets the answer, and nothing is done twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_without_its_answer_is_folded() {
    let target = Target::start(false).await;
    let mut rig = Rig::start(&target, Kind::Atomic, 1).await;
    let body = rig.slack.slash_body(&user("alice"), CHANNEL, "declare crash-atomic");
    let signed = rig.slack.sign(Door::Commands, body);
    let unread = wire::send(&rig.bot, &signed).await;
    rig.record.until("declared", "").await;
    rig.bot.kill();
    drop(unread);
    rig.bot.again().await.expect("the bot starts again");
    for _ in 0..2 {
        let answer = rig.slack.redeliver(&signed).await;
        assert_eq!(answer.status, 200);
        assert!(answer.body.contains("INC-1 is open"), "the stored answer: {}", answer.body);
    }
    assert_eq!(rig.record.number("SELECT count(*) FROM incidents").await, 1);
    assert!(rig.say("alice", "declare something else").await.starts_with("INC-2 is open"));
}

/// Captured requests, replayed a hundred times before and after each of three crashes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replayed_requests_make_no_second_job() {
    let target = Target::start(false).await;
    target.prepare(1, super::target::Slow::No).await;
    let mut rig = Rig::start(&target, Kind::Atomic, 1).await;
    let mut captured: Vec<Signed> = Vec::new();
    for text in ["declare crash-atomic", "run crash-atomic round=1", "note INC-1 once only."] {
        let answer = rig.slack.slash(&user("alice"), CHANNEL, text).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        captured.push(answer.signed);
    }
    let card = rig.card("approval", |m, _| !buttons(m).is_empty()).await;
    let click = rig.slack.click(&user("bob"), CHANNEL, &card.ts, "Approve").await.expect("the button");
    captured.push(click.signed);
    rig.card("recovery", |_, t| t.contains("Recovered after")).await;
    let events = "SELECT count(*) FROM events WHERE case_id = 'inc-1' AND kind NOT LIKE 'card_%'";
    let deliveries = "SELECT count(*) FROM deliveries WHERE key LIKE 'slack/%'";
    let before = (rig.record.number(events).await, rig.record.number(deliveries).await);
    for _ in 0..3 {
        rig.bot.kill();
        rig.bot.again().await.expect("the bot starts again");
        for i in 0..100 {
            let answer = rig.slack.redeliver(&captured[i % captured.len()]).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
    }
    assert_eq!((rig.record.number(events).await, rig.record.number(deliveries).await), before, "nothing was added");
    assert_eq!(rig.record.number("SELECT count(*) FROM incidents").await, 1);
    assert_eq!(target.number("SELECT max(touched) FROM crash_rows WHERE round = 1").await, 1);
    assert_eq!(target.number("SELECT count(*) FROM drbot.ledger").await, 1);
    assert_eq!(rig.slack.violations(), Vec::<String>::new());
}
