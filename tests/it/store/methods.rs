//! Effects, leases, folding and trimming.

use drbot::model::effect::Lane;
use drbot::model::id::{CaseId, EffectKey};
use drbot::model::time::Millis;
use drbot::persist::{Batch, Leased, Store, Stored};

use super::{Home, append, count, declared, effect, noted, put, raw};

async fn ask(store: &Store, key: &str, lane: Lane, due: i64) {
    let mut batch = Batch::default();
    batch.effect(&CaseId("c".into()), &effect(key, lane, due));
    store.commit(&batch).await.unwrap();
}

async fn finish(store: &Store, leased: &Leased) {
    let mut batch = Batch::default();
    batch.finished(&leased.key, leased.generation);
    store.commit(&batch).await.unwrap();
}

async fn lease(store: &Store, owner: &str, now: i64) -> Vec<Leased> {
    store.lease(owner, Lane::Step, 10, (Millis(now), Millis(now + 100))).await.unwrap()
}

fn names(leased: &[Leased]) -> Vec<&str> {
    leased.iter().map(|l| l.key.0.as_str()).collect()
}

/// Asking again is one effect; asking while it is being done is once more.
pub(super) async fn effects(home: &Home) {
    let url = home.url().await;
    let store = Store::open(&url).await.unwrap();
    ask(&store, "e", Lane::Step, 50).await;
    ask(&store, "e", Lane::Step, 70).await;
    assert_eq!(count(&url, "SELECT due FROM effects").await, 50, "a later wish does not delay");
    ask(&store, "e", Lane::Step, 30).await;
    assert_eq!(count(&url, "SELECT due FROM effects").await, 30, "an earlier wish counts");
    let first = lease(&store, "a", 30).await;
    assert_eq!((first.len(), first[0].generation, first[0].attempt), (1, 52, 1));
    ask(&store, "e", Lane::Step, 40).await;
    assert_eq!(lease(&store, "b", 60).await.len(), 0, "still in somebody's hands");
    finish(&store, &first[0]).await;
    let second = lease(&store, "b", 60).await;
    assert_eq!((second.len(), second[0].generation, second[0].attempt), (1, 53, 1), "done once more, at once");
    finish(&store, &first[0]).await;
    assert_eq!(count(&url, "SELECT count(*) FROM effects").await, 1, "an old end does not end a newer wish");
    finish(&store, &second[0]).await;
    assert_eq!(count(&url, "SELECT count(*) FROM effects").await, 0);

    ask(&store, "f", Lane::Step, 1).await;
    let leased = lease(&store, "a", 200).await;
    let mut batch = Batch::default();
    batch.effect(&CaseId("c".into()), &effect("f", Lane::Step, 500));
    batch.finished(&leased[0].key, leased[0].generation);
    store.commit(&batch).await.unwrap();
    assert_eq!(count(&url, "SELECT due FROM effects").await, 500, "ended and asked for again in one batch");
    assert_eq!(lease(&store, "b", 500).await.len(), 1, "the new one is free");
    let mut batch = Batch::default();
    batch.effect(&CaseId("c".into()), &effect("g", Lane::Step, 9));
    batch.effect(&CaseId("c".into()), &effect("g", Lane::Step, 8));
    store.commit(&batch).await.expect("one key twice in a batch is one effect");
    assert_eq!(count(&url, "SELECT count(*) FROM effects WHERE key = 'g'").await, 1);
}

pub(super) async fn leases(home: &Home) {
    let url = home.url().await;
    let store = Store::open(&url).await.unwrap();
    ask(&store, "e", Lane::Step, 10).await;
    assert_eq!(lease(&store, "a", 9).await.len(), 0, "not due yet");
    assert_eq!(lease(&store, "a", 10).await.len(), 1);
    assert_eq!(lease(&store, "b", 109).await.len(), 0, "the lease holds");
    let key = EffectKey("e".into());
    assert!(store.renew("a", &key, Millis(300)).await.unwrap());
    assert!(!store.renew("b", &key, Millis(900)).await.unwrap(), "only its owner renews");
    assert_eq!(lease(&store, "b", 299).await.len(), 0, "renewed");
    let taken = lease(&store, "b", 300).await;
    assert_eq!((taken.len(), taken[0].attempt), (1, 2), "an ended lease is free, and it is counted");
    assert!(!store.renew("a", &key, Millis(900)).await.unwrap(), "lost to another owner");
    assert!(!store.put_off("a", &key, Millis(900), true).await.unwrap());
    assert!(store.put_off("b", &key, Millis(500), true).await.unwrap());
    assert_eq!(lease(&store, "c", 499).await.len(), 0, "put off");
    assert_eq!(lease(&store, "c", 500).await[0].attempt, 3);
    store.end_leases(Some("nobody")).await.unwrap();
    assert_eq!(lease(&store, "d", 500).await.len(), 0, "another owner's leases stay");
    store.end_leases(Some("c")).await.unwrap();
    assert_eq!(lease(&store, "d", 500).await.len(), 1);
    ask(&store, "f", Lane::Step, 1).await;
    assert_eq!(lease(&store, "x", 500).await.len(), 1);
    store.end_leases(None).await.unwrap();
    assert_eq!(lease(&store, "y", 500).await.len(), 2, "all leases ended");
    raw(&url, "UPDATE effects SET act = '{\"dance\":1}', lease_until = 0 WHERE key = 'f'").await;
    let odd = store.lease("z", Lane::Step, 10, (Millis(500), Millis(501))).await.unwrap_err().to_string();
    assert!(odd.contains("effects") && odd.contains("row f"), "{odd}");
}

pub(super) async fn lanes_and_due(home: &Home) {
    let store = home.store().await;
    assert_eq!(store.due().await.unwrap().into_values().min(), None);
    for (i, lane) in Lane::ALL.into_iter().enumerate() {
        ask(&store, &format!("{lane:?}"), lane, 40 - i64::try_from(i).unwrap()).await;
    }
    assert_eq!(store.due().await.unwrap().into_values().min(), Some(Millis(35)));
    for lane in Lane::ALL {
        let leased = store.lease("a", lane, 10, (Millis(50), Millis(60))).await.unwrap();
        assert_eq!(names(&leased), [format!("{lane:?}")], "its own lane only");
    }
    assert_eq!(
        store.due().await.unwrap().into_values().min(),
        Some(Millis(60)),
        "leased ones count when their lease ends"
    );
    for due in [5, 3, 4] {
        ask(&store, &format!("s{due}"), Lane::Step, due).await;
    }
    assert_eq!(store.due().await.unwrap().into_values().min(), Some(Millis(3)));
    let two = store.lease("a", Lane::Step, 2, (Millis(9), Millis(99))).await.unwrap();
    let mut two = names(&two);
    two.sort_unstable();
    assert_eq!(two, ["s3", "s4"], "the oldest first, at most so many");
    assert_eq!(store.due().await.unwrap().into_values().min(), Some(Millis(5)));
}

/// From a snapshot and its tail comes the same case as from all events.
pub(super) async fn folding(home: &Home) {
    let url = home.url().await;
    let store = Store::open(&url).await.unwrap();
    let id = CaseId::incident(1);
    append(&store, &id, &[declared(1), noted("1"), noted("2")]).await.unwrap();
    let middle = store.case(&id).await.unwrap();
    append(&store, &id, &[noted("3"), noted("4")]).await.unwrap();
    let full = store.case(&id).await.unwrap();
    assert_eq!((full.case.seq, full.snapshot), (5, 0));
    let mut batch = Batch::default();
    batch.snapshot(&id, middle.case.seq, &middle.hash, &serde_json::to_string(&middle.case).unwrap());
    batch.delivery("any", Millis(1), "null");
    store.commit(&batch).await.unwrap();
    let folded = store.case(&id).await.unwrap();
    assert_eq!((folded.case, folded.hash, folded.snapshot), (full.case, full.hash, 3));
    raw(&url, "DELETE FROM events WHERE seq <= 3").await;
    assert_eq!(store.case(&id).await.unwrap().case.seq, 5, "a snapshot stands for what it covers");
    raw(&url, "DELETE FROM events WHERE seq = 4").await;
    assert!(store.case(&id).await.unwrap_err().to_string().contains("expected event 4"));
    raw(&url, "UPDATE snapshots SET state = '{}'").await;
    assert!(store.case(&id).await.unwrap_err().to_string().contains("snapshots"));
    let blank = store.case(&CaseId("new".into())).await.unwrap();
    assert_eq!((blank.case.seq, blank.hash), (0, Stored::blank(CaseId("new".into())).hash));
    let other = CaseId::incident(2);
    let mut batch = Batch::default();
    put(&mut Stored::blank(other.clone()), &mut batch, &declared(2), Millis(1));
    store.commit(&batch).await.unwrap();
    raw(&url, "UPDATE events SET payload = '{\"kind\":\"from_tomorrow\"}' WHERE case_id = 'inc-2'").await;
    assert!(store.case(&other).await.unwrap_err().to_string().contains("inc-2/1"), "the row is named");
    assert!(store.history(&other, 0, 5).await.is_err());
}

pub(super) async fn trimming(home: &Home) {
    let store = home.store().await;
    assert_eq!(store.newest().await.unwrap(), Millis(0));
    let mut batch = Batch::default();
    for at in [10, 20, 30] {
        batch.delivery(&format!("d{at}"), Millis(at), "null");
    }
    put(&mut Stored::blank(CaseId::incident(1)), &mut batch, &declared(1), Millis(1));
    batch.handle("h", &CaseId::incident(1), Millis(1));
    store.commit(&batch).await.unwrap();
    store.trim(Millis(20)).await.unwrap();
    let mut left: Vec<String> = store.replies(&["d10", "d20", "d30"]).await.unwrap().into_keys().collect();
    left.sort();
    assert_eq!(left, ["d20", "d30"]);
    assert_eq!(store.newest().await.unwrap(), Millis(30));
    assert_eq!(store.case(&CaseId::incident(1)).await.unwrap().case.seq, 1, "what happened is never trimmed");
    assert!(store.case_of("h").await.unwrap().is_some());
}
