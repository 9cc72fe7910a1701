//! The store's conformance: every method on SQLite and on PostgreSQL, one writer and eight at once.
//! Takes a kind of database; gives fresh stores in it that go away with the test.

mod engines;
mod methods;
mod rows;
mod tampering;
mod writers;

use std::sync::atomic::{AtomicU32, Ordering};

use drbot::model::effect::{Act, Effect, Lane};
use drbot::model::event::{Declared, Event};
use drbot::model::id::{CaseId, EffectKey};
use drbot::model::person::PersonId;
use drbot::model::runbook::Objectives;
use drbot::model::time::{Millis, Span};
use drbot::persist::dialect::Dialect;
use drbot::persist::{Batch, CommitError, Store, Stored, chain};
use drbot::practice::scratch::Scratch;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor};

use crate::support::Folder;

/// A place for stores of one kind. Fields drop in order: the server before its folder.
struct Home {
    scratch: Option<Scratch>,
    folder: Folder,
    next: AtomicU32,
}

impl Home {
    async fn new(kind: Dialect) -> Home {
        sqlx::any::install_default_drivers();
        let folder = Folder::new();
        let scratch = match kind {
            Dialect::Sqlite => None,
            Dialect::Postgres => {
                std::fs::create_dir(folder.0.join("pg")).unwrap();
                Some(Scratch::start(&folder.0.join("pg")).await.unwrap())
            }
        };
        Home { scratch, folder, next: AtomicU32::new(0) }
    }

    /// The address of a store that does not exist yet.
    async fn url(&self) -> String {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        match &self.scratch {
            None => format!("sqlite://{}/store{n}.db", self.folder.0.display()),
            Some(scratch) => {
                scratch.admin("postgres", &format!("CREATE DATABASE store{n}")).await.unwrap();
                scratch.superuser_url_of(&format!("store{n}"))
            }
        }
    }

    async fn store(&self) -> Store {
        Store::open(&self.url().await).await.unwrap()
    }
}

/// Somebody else's hand in the store.
async fn raw(url: &str, sql: &str) {
    let mut connection = AnyConnection::connect(url).await.unwrap();
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
    connection.close().await.unwrap();
}

/// One number, as somebody else reads it.
async fn count(url: &str, sql: &str) -> i64 {
    let mut connection = AnyConnection::connect(url).await.unwrap();
    let found = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    found
}

fn declared(number: u64) -> Event {
    Event::Declared(Declared {
        number,
        title: format!("incident \"{number}\" with ' and \\ and é"),
        tier: 2,
        scenario: None,
        objectives: Objectives { rto: Span::minutes(240), rpo: Span::minutes(1440), mttr: Span::minutes(120) },
        by: PersonId("alice".into()),
        channel: "C01INC".into(),
        began: Millis(5),
        origin: None,
    })
}

fn noted(text: &str) -> Event {
    Event::Noted { by: PersonId("bob".into()), text: text.into() }
}

/// Adds an event to a batch and to the case in hand, as the engine does.
fn put(stored: &mut Stored, batch: &mut Batch, event: &Event, at: Millis) {
    stored.case.apply(event, at).unwrap();
    let payload = serde_json::to_string(event).unwrap();
    let (kind, payload_hash) = (event.kind(), chain::payload(&payload));
    let hash = chain::next(&stored.hash, stored.case.seq, at.0, kind, &payload_hash);
    batch.event(&stored.case.id, stored.case.seq, at, kind, [&payload, &payload_hash, &hash]);
    stored.hash = hash;
}

/// Loads a case and commits more events to it.
async fn append(store: &Store, id: &CaseId, events: &[Event]) -> Result<(), CommitError> {
    let mut stored = store.case(id).await.unwrap();
    let mut batch = Batch::default();
    for event in events {
        let at = Millis(1_000 + i64::try_from(stored.case.seq).unwrap());
        put(&mut stored, &mut batch, event, at);
    }
    store.commit(&batch).await
}

fn effect(key: &str, lane: Lane, due: i64) -> Effect {
    Effect { key: EffectKey(key.into()), lane, due: Millis(due), act: Act::Timer }
}

fn conflict(result: &Result<(), CommitError>) -> bool {
    matches!(result, Err(CommitError::Conflict(_)))
}

async fn conforms(kind: Dialect) {
    let home = Home::new(kind).await;
    rows::opened(&home).await;
    rows::every_kind_is_read_back(&home).await;
    rows::kept(&home).await;
    rows::conflicts_store_nothing(&home).await;
    rows::locks(&home).await;
    rows::twice_in_one_batch(&home).await;
    methods::effects(&home).await;
    methods::leases(&home).await;
    methods::lanes_and_due(&home).await;
    methods::folding(&home).await;
    methods::trimming(&home).await;
    tampering::found(&home).await;
}

#[tokio::test]
async fn sqlite_conforms() {
    conforms(Dialect::Sqlite).await;
}

#[tokio::test]
async fn postgres_conforms() {
    conforms(Dialect::Postgres).await;
}
