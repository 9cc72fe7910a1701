//! Eight writers at once, each with its own handle.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use drbot::model::effect::Lane;
use drbot::model::event::Event;
use drbot::model::id::CaseId;
use drbot::model::time::Millis;
use drbot::persist::dialect::Dialect;
use drbot::persist::{Batch, CommitError, Store};
use tokio::task::JoinSet;

use super::{Home, append, count, declared, effect, noted, put};
use crate::support::figures;

const WRITERS: usize = 8;
const CASES: u64 = 4;
const EACH: usize = 15;
/// A writer that lost this often in a row would be stuck.
const PATIENCE: usize = 200;

async fn handles(url: &str) -> Vec<Store> {
    let mut stores = Vec::new();
    for _ in 0..WRITERS {
        stores.push(Store::open(url).await.unwrap());
    }
    stores
}

/// Load, decide, commit; again if somebody else was first. Gives how often it lost.
async fn note(store: &Store, case: &CaseId, text: &str) -> usize {
    for lost in 0..PATIENCE {
        let mut stored = store.case(case).await.unwrap();
        let mut batch = Batch::default();
        batch.delivery(text, Millis(1), "null");
        put(&mut stored, &mut batch, &noted(text), Millis(2));
        match store.commit(&batch).await {
            Ok(()) => return lost,
            Err(CommitError::Conflict(_)) => {}
            Err(e) => panic!("{text}: {e}"),
        }
    }
    panic!("{text}: never came through");
}

async fn eight_write(kind: Dialect) {
    let home = Home::new(kind).await;
    let url = home.url().await;
    let stores = handles(&url).await;
    for number in 1..=CASES {
        append(&stores[0], &CaseId::incident(number), &[declared(number)]).await.unwrap();
    }
    let mut tasks = JoinSet::new();
    for (writer, store) in stores.iter().cloned().enumerate() {
        tasks.spawn(async move {
            let mut lost = 0;
            for i in 0..EACH {
                let case = CaseId::incident((writer + i) as u64 % CASES + 1);
                lost += note(&store, &case, &format!("w{writer}-{i}")).await;
            }
            lost
        });
    }
    let lost: usize = tasks.join_all().await.into_iter().sum();
    let mut texts = HashSet::new();
    for number in 1..=CASES {
        let id = CaseId::incident(number);
        let history = stores[1].history(&id, 0, 1_000).await.unwrap();
        assert_eq!(stores[2].check_chain(&id).await.unwrap(), history.len() as u64, "the chain is whole");
        for entry in history {
            if let Event::Noted { text, .. } = entry.event {
                assert!(texts.insert(text.clone()), "{text} twice");
            }
        }
    }
    assert_eq!(texts.len(), WRITERS * EACH, "none lost");
    figures(&format!("{kind:?}: {} commits by {WRITERS} writers, {lost} lost races", WRITERS * EACH));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_writers_on_sqlite() {
    eight_write(Dialect::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_writers_on_postgres() {
    eight_write(Dialect::Postgres).await;
}

/// Leases until nothing is left; every third effect is put off once before it is done.
async fn work(store: Store, owner: String, hands: Arc<Mutex<HashSet<String>>>) -> Vec<String> {
    let mut done = Vec::new();
    let mut now = 10;
    while !store.due().await.unwrap().is_empty() {
        now += 1;
        let leased = store.lease(&owner, Lane::Step, 3, (Millis(now), Millis(1_000_000))).await.unwrap();
        for effect in leased {
            assert!(hands.lock().unwrap().insert(effect.key.0.clone()), "{} is in two hands", effect.key.0);
            tokio::task::yield_now().await;
            let later = effect.attempt == 1 && effect.key.0.ends_with('3');
            hands.lock().unwrap().remove(&effect.key.0);
            if later {
                assert!(store.put_off(&owner, &effect.key, Millis(now), true).await.unwrap());
                continue;
            }
            let mut batch = Batch::default();
            batch.finished(&effect.key, effect.generation);
            store.commit(&batch).await.unwrap();
            done.push(effect.key.0);
        }
    }
    done
}

async fn eight_lease(kind: Dialect) {
    let home = Home::new(kind).await;
    let url = home.url().await;
    let stores = handles(&url).await;
    let mut batch = Batch::default();
    for i in 0..120 {
        batch.effect(&CaseId("c".into()), &effect(&format!("e{i}"), Lane::Step, 1));
    }
    stores[0].commit(&batch).await.unwrap();
    let hands = Arc::new(Mutex::new(HashSet::new()));
    let mut tasks = JoinSet::new();
    for (i, store) in stores.iter().cloned().enumerate() {
        tasks.spawn(work(store, format!("owner{i}"), Arc::clone(&hands)));
    }
    let done: Vec<String> = tasks.join_all().await.into_iter().flatten().collect();
    let distinct: HashSet<&String> = done.iter().collect();
    assert_eq!((done.len(), distinct.len()), (120, 120), "each done, each once");
    assert_eq!(count(&url, "SELECT count(*) FROM effects").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_leasers_on_sqlite() {
    eight_lease(Dialect::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_leasers_on_postgres() {
    eight_lease(Dialect::Postgres).await;
}
