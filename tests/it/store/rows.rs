//! Opening and committing: what goes in comes out, whole or not at all.

use drbot::model::effect::Lane;
use drbot::model::id::{CaseId, EffectKey};
use drbot::model::time::{Millis, Span};
use drbot::model::world::{Kept, Open, Ringing, Sample, Streak};
use drbot::persist::{Batch, Store, Stored};
use futures_util::future::join_all;

use super::{Home, append, conflict, count, declared, effect, noted, put, raw};

/// Opened, opened again, opened by eight at once, refused when newer.
pub(super) async fn opened(home: &Home) {
    let url = home.url().await;
    let store = Store::open(&url).await.unwrap();
    append(&store, &CaseId::incident(1), &[declared(1)]).await.unwrap();
    store.close().await;
    let again = Store::open(&url).await.unwrap();
    assert_eq!(again.case(&CaseId::incident(1)).await.unwrap().case.seq, 1, "opening keeps what is there");
    raw(&url, "UPDATE meta SET value = '999' WHERE name = 'schema'").await;
    let refused = Store::open(&url).await.err().expect("a newer schema is refused").to_string();
    assert!(refused.contains("version 999") && refused.contains("newer drbot"), "{refused}");
    assert_eq!(count(&url, "SELECT count(*) FROM events").await, 1, "refused without touching it");

    let fresh = home.url().await;
    let opened = join_all((0..8).map(|_| Store::open(&fresh))).await;
    let failed: Vec<String> = opened.into_iter().filter_map(|r| r.err().map(|e| e.to_string())).collect();
    assert_eq!(failed, Vec::<String>::new(), "eight may start at once on an empty store");
    assert!(Store::open("mysql://x").await.is_err());
}

fn open(number: u64) -> Open {
    Open {
        case: CaseId::incident(number),
        number,
        title: "slow".into(),
        tier: 1,
        scenario: Some("database-performance".into()),
        channel: "C01INC".into(),
        began: Millis(5),
        rto: Span::minutes(240),
        recovered: None,
        card: None,
        origins: Vec::new(),
        clocks: Vec::new(),
    }
}

fn sample(failures: u32, since: Option<i64>) -> Sample {
    let failing = if failures == 0 { None } else { Some(true) };
    Sample { runbook: "slow".into(), failing, streak: Streak { failures, since: since.map(Millis) } }
}

pub(super) async fn every_kind_is_read_back(home: &Home) {
    let url = home.url().await;
    let store = Store::open(&url).await.unwrap();
    let id = CaseId::incident(7);
    let mut batch = Batch::default();
    assert!(batch.is_empty());
    store.commit(&batch).await.expect("nothing is easily stored");
    batch.delivery("d1", Millis(10), r#"{"a":"é \" ' \\ \u0007"}"#);
    assert!(!batch.is_empty());
    let mut stored = Stored::blank(id.clone());
    put(&mut stored, &mut batch, &declared(7), Millis(11));
    put(&mut stored, &mut batch, &noted("line\nbreak\u{0}nul 😀"), Millis(12));
    batch.snapshot(&id, stored.case.seq, &stored.hash, &serde_json::to_string(&stored.case).unwrap());
    batch.incident(&open(7));
    batch.effect(&id, &effect("e1", Lane::Card, 20));
    batch.handle("h1", &id, Millis(10));
    batch.take("run/slow", &id, Millis(10));
    batch.sample("s1", Millis(10), &sample(1, Some(9)));
    batch.sample("s2", Millis(11), &sample(2, Some(9)));
    batch.sample("s3", Millis(9), &sample(0, None));
    store.commit(&batch).await.unwrap();

    let replies = store.replies(&["d1", "d2"]).await.unwrap();
    assert_eq!(replies.len(), 1);
    assert_eq!(replies["d1"], r#"{"a":"é \" ' \\ \u0007"}"#, "the reply is byte for byte the same");
    let found = store.case(&id).await.unwrap();
    assert_eq!((found.case, found.hash.as_str(), found.snapshot), (stored.case, stored.hash.as_str(), 2));
    let history = store.history(&id, 0, 10).await.unwrap();
    assert_eq!(history.iter().map(|e| (e.seq, e.at.0)).collect::<Vec<_>>(), [(1, 11), (2, 12)]);
    assert_eq!(history[1].event, noted("line\nbreak\u{0}nul 😀"));
    assert_eq!(store.history(&id, 1, 10).await.unwrap().len(), 1, "after a sequence number");
    assert_eq!(store.history(&id, 0, 1).await.unwrap().len(), 1, "at most so many");
    assert_eq!(store.case_of("h1").await.unwrap(), Some(id.clone()));
    assert_eq!(store.case_of("h2").await.unwrap(), None);
    let world = store.world().await.unwrap();
    assert_eq!(world.open[&id], open(7));
    assert_eq!((world.last_number, &world.locks["run/slow"].case), (7, &id));
    assert_eq!(world.streaks["slow"], Streak { failures: 2, since: Some(Millis(9)) }, "the newest sample counts");
    let leased = store.lease("w", Lane::Card, 9, (Millis(20), Millis(30))).await.unwrap();
    assert_eq!(leased.len(), 1);
    assert_eq!((&leased[0].key, &leased[0].case), (&EffectKey("e1".into()), &id));
    assert_eq!((leased[0].generation, leased[0].attempt), (20, 1));
    assert_eq!(leased[0].act, effect("e1", Lane::Card, 20).act);
    assert_eq!(store.newest().await.unwrap(), Millis(10));
    assert_eq!(store.check_chain(&id).await.unwrap(), 2);
    assert_eq!(store.check_chain(&CaseId("none".into())).await.unwrap(), 0);
    let recovered = Open { recovered: Some(Millis(99)), ..open(7) };
    let mut batch = Batch::default();
    batch.incident(&recovered);
    let (alert, silent) = (CaseId("alert-1".into()), CaseId("alert-2".into()));
    let acked =
        Ringing { title: "Slow \"x\"".into(), channel: "C01INC".into(), acked: true, scenario: Some("s".into()) };
    let fresh = Ringing { acked: false, ..acked.clone() };
    batch.ringing(&alert, Some(&fresh));
    batch.ringing(&silent, Some(&fresh));
    store.commit(&batch).await.unwrap();
    assert_eq!(store.world().await.unwrap().ringing.len(), 2);
    let mut batch = Batch::default();
    batch.ringing(&alert, Some(&acked));
    batch.ringing(&silent, None);
    batch.delivery("d9", Millis(12), "null");
    store.commit(&batch).await.unwrap();
    let world = store.world().await.unwrap();
    assert_eq!(world.open[&id], recovered, "a summary is replaced");
    assert_eq!(world.ringing, [(alert, acked)].into(), "one is replaced, one is silent");
}

/// Rows kept for parameters: the newest of each until a time; old ones go, the newest stays however old.
pub(super) async fn kept(home: &Home) {
    let store = Store::open(&home.url().await).await.unwrap();
    let keep = async |at: i64, param: &str, rows: &str| {
        let mut batch = Batch::default();
        let kept = Kept { runbook: "loss".into(), param: param.into(), rows: rows.into() };
        batch.kept(&format!("{param}{at}"), Millis(at), &kept);
        store.commit(&batch).await.expect("kept");
    };
    let day = 86_400_000;
    for (at, param, rows) in [(10, "before", "[1]"), (20, "before", "[2]"), (15, "other", "[9]")] {
        keep(at, param, rows).await;
    }
    let until = async |at: i64| store.kept(Millis(at)).await.expect("read").remove("loss").unwrap_or_default();
    assert_eq!(until(9).await["before"], "[1]", "nothing was kept by then: the oldest is the best there is");
    assert_eq!(until(19).await, [("before".into(), "[1]".into()), ("other".into(), "[9]".into())].into());
    assert_eq!(until(20).await["before"], "[2]");
    store.trim(Millis(12 * day)).await.unwrap();
    assert_eq!(until(10).await["before"], "[1]", "kept for a fortnight");
    store.trim(Millis(30 * day)).await.unwrap();
    assert_eq!(until(10).await["before"], "[2]", "the old one is gone");
    assert_eq!(until(99 * day).await.len(), 2, "the newest of each stays");
}

async fn everything(url: &str) -> i64 {
    let tables =
        ["deliveries", "events", "snapshots", "incidents", "ringing", "effects", "handles", "locks", "samples", "kept"];
    let counts = tables.map(|t| format!("(SELECT count(*) FROM {t})"));
    count(url, &format!("SELECT CAST({} AS BIGINT)", counts.join(" + "))).await
}

/// One row of a kind that cannot clash, so that "nothing of the batch" can be seen.
fn bystander(batch: &mut Batch) {
    batch.effect(&CaseId("other".into()), &effect("bystander", Lane::Step, 1));
    batch.sample("bystander", Millis(1), &sample(1, None));
}

pub(super) async fn conflicts_store_nothing(home: &Home) {
    let url = home.url().await;
    let store = Store::open(&url).await.unwrap();
    let id = CaseId::incident(1);
    append(&store, &id, &[declared(1)]).await.unwrap();
    let mut first = Batch::default();
    first.delivery("same", Millis(1), "1");
    first.handle("same", &id, Millis(1));
    first.take("lock", &id, Millis(1));
    store.commit(&first).await.unwrap();
    let before = everything(&url).await;

    let mut repeat = Batch::default();
    repeat.delivery("new", Millis(1), "2");
    repeat.delivery("same", Millis(1), "2");
    bystander(&mut repeat);
    assert!(conflict(&store.commit(&repeat).await), "the same delivery");

    let mut late = Batch::default();
    put(&mut Stored::blank(id.clone()), &mut late, &declared(1), Millis(2));
    bystander(&mut late);
    assert!(conflict(&store.commit(&late).await), "the same place in a case");

    let mut handle = Batch::default();
    handle.handle("same", &CaseId("other".into()), Millis(2));
    bystander(&mut handle);
    assert!(conflict(&store.commit(&handle).await), "the same handle");

    let mut lock = Batch::default();
    lock.take("free", &CaseId("other".into()), Millis(2));
    lock.take("lock", &CaseId("other".into()), Millis(2));
    bystander(&mut lock);
    assert!(conflict(&store.commit(&lock).await), "a lock somebody holds");

    assert_eq!(everything(&url).await, before, "nothing of any of them was stored");
    assert_eq!(store.replies(&["same"]).await.unwrap()["same"], "1");
    let mut after = Batch::default();
    bystander(&mut after);
    store.commit(&after).await.expect("the connection is usable after a conflict");
}

async fn holder(store: &Store) -> Option<String> {
    store.world().await.unwrap().locks.get("lock").map(|held| held.case.0.clone())
}

pub(super) async fn locks(home: &Home) {
    let store = home.store().await;
    let (a, b) = (CaseId("a".into()), CaseId("b".into()));
    // Every batch holds a delivery, as every decision's does.
    let batch = |key: &str| {
        let mut batch = Batch::default();
        batch.delivery(key, Millis(1), "null");
        batch
    };
    let mut one = batch("1");
    one.take("lock", &a, Millis(1));
    store.commit(&one).await.unwrap();
    let mut again = batch("2");
    again.take("lock", &a, Millis(2));
    store.commit(&again).await.expect("its holder may take it again");
    let mut other = batch("3");
    other.release("lock", &b);
    store.commit(&other).await.unwrap();
    assert_eq!(holder(&store).await.as_deref(), Some("a"), "only its holder gives it back");
    let mut both = batch("4");
    both.take("lock", &a, Millis(3));
    both.release("lock", &a);
    store.commit(&both).await.unwrap();
    assert_eq!(holder(&store).await, None, "taken and given back in one batch");
    let mut taken = batch("5");
    taken.take("lock", &a, Millis(4));
    store.commit(&taken).await.unwrap();
    let mut renewed = batch("6");
    renewed.release("lock", &a);
    renewed.take("lock", &a, Millis(5));
    store.commit(&renewed).await.unwrap();
    assert_eq!(holder(&store).await.as_deref(), Some("a"), "given back and taken in one batch");
    let mut handed = batch("7");
    handed.release("lock", &a);
    handed.take("lock", &b, Millis(6));
    store.commit(&handed).await.unwrap();
    assert_eq!(holder(&store).await.as_deref(), Some("b"), "handed over in one batch");
    let mut brief = batch("8");
    brief.release("lock", &b);
    brief.take("lock", &a, Millis(7));
    brief.release("lock", &a);
    store.commit(&brief).await.unwrap();
    assert_eq!(holder(&store).await, None, "handed over and given back in one batch");
}

/// A burst may fold one case past several snapshots; the last one counts.
pub(super) async fn twice_in_one_batch(home: &Home) {
    let store = home.store().await;
    let id = CaseId::incident(1);
    let mut batch = Batch::default();
    let mut stored = Stored::blank(id.clone());
    for event in [declared(1), noted("one"), noted("two")] {
        put(&mut stored, &mut batch, &event, Millis(1));
        batch.snapshot(&id, stored.case.seq, &stored.hash, &serde_json::to_string(&stored.case).unwrap());
        batch.incident(&Open { title: format!("after {}", stored.case.seq), ..open(1) });
    }
    store.commit(&batch).await.expect("several snapshots and summaries of one case");
    assert_eq!(store.case(&id).await.unwrap().snapshot, 3);
    assert_eq!(store.world().await.unwrap().open[&id].title, "after 3");
}
