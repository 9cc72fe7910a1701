//! Committing. Takes a batch of rows from any number of decisions; stores all of them in one transaction
//! with one statement per table, or nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sqlx::{AnyConnection, AssertSqlSafe, Executor};

use super::{Store, StoreError};
use crate::model::effect::Effect;
use crate::model::id::{CaseId, EffectKey};
use crate::model::time::Millis;
use crate::model::world::{Kept, Open, Ringing, Sample};

/// Rows of one table on their way to the store: a JSON array of arrays, written as they come.
#[derive(Debug, Default)]
struct Rows {
    text: Vec<u8>,
    count: u64,
    fault: Option<serde_json::Error>,
}

impl Rows {
    fn push(&mut self, row: impl Serialize) {
        self.text.push(if self.text.is_empty() { b'[' } else { b',' });
        if let Err(e) = serde_json::to_writer(&mut self.text, &row) {
            self.fault = Some(e);
        }
        self.count += 1;
    }

    fn of<R: Serialize>(rows: impl IntoIterator<Item = R>) -> Rows {
        let mut all = Rows::default();
        rows.into_iter().for_each(|row| all.push(row));
        all
    }

    fn list(&self) -> Result<String, StoreError> {
        let mut text = String::with_capacity(self.text.len() + 1);
        match &self.fault {
            Some(e) => return Err(StoreError::Refused(e.to_string())),
            None => text.push_str(std::str::from_utf8(&self.text).map_err(|e| StoreError::Refused(e.to_string()))?),
        }
        text.push(']');
        Ok(text)
    }
}

/// Rows to store together. Each list is one statement; an empty list costs nothing.
#[derive(Debug, Default)]
pub struct Batch {
    deliveries: Rows,
    events: Rows,
    /// One row per case: one statement must not touch a row twice. The last one counts.
    snapshots: BTreeMap<CaseId, (u64, String, String)>,
    incidents: BTreeMap<CaseId, (u64, String)>,
    /// Alert groups that fire, in short; `None` for one that does no more.
    ringing: BTreeMap<CaseId, Option<String>>,
    /// By key; the last one wins.
    effects: BTreeMap<String, (CaseId, i64, Millis, String)>,
    finished: Rows,
    handles: Rows,
    /// Locks held after the batch, by whom and since when; those given back in it come off first.
    takes: BTreeMap<String, (CaseId, Millis)>,
    releases: BTreeSet<(String, CaseId)>,
    samples: Rows,
    kept: Rows,
}

/// Why a batch was not stored. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Somebody else was first: the same delivery, the next event of a case, a lock.
    #[error("another writer was first: {0}")]
    Conflict(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Batch {
    /// Whether there is anything to store.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let rows = [&self.deliveries, &self.events, &self.finished, &self.samples, &self.kept, &self.handles];
        self.effects.is_empty() && rows.iter().all(|r| r.count == 0)
    }

    /// The answer that a repeat of this delivery gets.
    pub fn delivery(&mut self, key: &str, at: Millis, reply: &str) {
        self.deliveries.push((key, at, reply));
    }

    /// An event with its place in the chain: `[payload, payload hash, hash]`.
    pub fn event(&mut self, case: &CaseId, seq: u64, at: Millis, kind: &str, chained: [&str; 3]) {
        let [payload, payload_hash, hash] = chained;
        self.events.push((case, seq, at, kind, payload, payload_hash, hash));
    }

    /// A case folded up to an event.
    pub fn snapshot(&mut self, case: &CaseId, seq: u64, hash: &str, state: &str) {
        self.snapshots.insert(case.clone(), (seq, hash.to_owned(), state.to_owned()));
    }

    /// An incident in short.
    pub fn incident(&mut self, open: &Open) {
        let summary = serde_json::to_string(open).unwrap_or_default();
        self.incidents.insert(open.case.clone(), (open.number, summary));
    }

    /// An alert group in short, or that it fires no more.
    pub fn ringing(&mut self, case: &CaseId, ringing: Option<&Ringing>) {
        let summary = ringing.map(|r| serde_json::to_string(r).unwrap_or_default());
        self.ringing.insert(case.clone(), summary);
    }

    /// Something to do outside; the last of equal keys wins.
    pub fn effect(&mut self, case: &CaseId, effect: &Effect) {
        let act = serde_json::to_string(&effect.act).unwrap_or_default();
        self.effects.insert(effect.key.0.clone(), (case.clone(), effect.lane.number(), effect.due, act));
    }

    /// An effect that is over, unless it was asked for again since it was leased.
    pub fn finished(&mut self, key: &EffectKey, generation: i64) {
        self.finished.push((key, generation));
    }

    /// A handle that leads to a case.
    pub fn handle(&mut self, id: &str, case: &CaseId, at: Millis) {
        self.handles.push((id, case, at));
    }

    /// A lock to take; the batch fails if another case holds it.
    pub fn take(&mut self, name: &str, case: &CaseId, at: Millis) {
        self.takes.insert(name.to_owned(), (case.clone(), at));
    }

    /// A lock to give back.
    pub fn release(&mut self, name: &str, case: &CaseId) {
        if self.takes.get(name).is_some_and(|(holder, _)| holder == case) {
            self.takes.remove(name);
        }
        self.releases.insert((name.to_owned(), case.clone()));
    }

    /// Rows that are kept for a parameter.
    pub fn kept(&mut self, id: &str, at: Millis, kept: &Kept) {
        self.kept.push((id, &kept.runbook, &kept.param, at, &kept.rows));
    }

    /// An observation of a scenario.
    pub fn sample(&mut self, id: &str, at: Millis, sample: &Sample) {
        self.samples.push((
            id,
            &sample.runbook,
            at,
            sample.failing.map(i64::from),
            sample.streak.failures,
            sample.streak.since,
        ));
    }
}

const DELIVERIES: &str =
    "INSERT INTO deliveries (key, at, reply) SELECT value->>0, CAST(value->>1 AS BIGINT), value->>2 FROM {rows}";
const EVENTS: &str = "INSERT INTO events (case_id, seq, at, kind, payload, payload_hash, hash) SELECT value->>0, CAST(value->>1 AS BIGINT), CAST(value->>2 AS BIGINT), value->>3, value->>4, value->>5, value->>6 FROM {rows}";
const SNAPSHOTS: &str = "INSERT INTO snapshots (case_id, seq, hash, state) SELECT value->>0, CAST(value->>1 AS BIGINT), value->>2, value->>3 FROM {rows} WHERE true ON CONFLICT (case_id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, state = excluded.state";
const INCIDENTS: &str = "INSERT INTO incidents (case_id, number, summary) SELECT value->>0, CAST(value->>1 AS BIGINT), value->>2 FROM {rows} WHERE true ON CONFLICT (case_id) DO UPDATE SET summary = excluded.summary";
const RINGING: &str = "INSERT INTO ringing (case_id, summary) SELECT value->>0, value->>1 FROM {rows} WHERE true ON CONFLICT (case_id) DO UPDATE SET summary = excluded.summary";
const SILENT: &str = "DELETE FROM ringing WHERE case_id IN (SELECT value->>0 FROM {rows})";
// A new row starts at a generation that no earlier row of its key had, so that the end of an old lease
// never ends a new request. Asking again for an effect that waits is one effect; for one that is being done, it is done once more.
const EFFECTS: &str = "INSERT INTO effects (key, case_id, lane, due, generation, attempt, owner, lease_until, act) SELECT value->>0, value->>1, CAST(value->>2 AS BIGINT), CAST(value->>3 AS BIGINT), CAST(value->>3 AS BIGINT), 0, '', 0, value->>4 FROM {rows} WHERE true ON CONFLICT (key) DO UPDATE SET generation = effects.generation + 1, act = excluded.act, due = CASE WHEN excluded.due < effects.due THEN excluded.due ELSE effects.due END";
const FINISHED: &str =
    "DELETE FROM effects WHERE (key, generation) IN (SELECT value->>0, CAST(value->>1 AS BIGINT) FROM {rows})";
const AGAIN: &str =
    "UPDATE effects SET lease_until = 0, owner = '', attempt = 0 WHERE key IN (SELECT value->>0 FROM {rows})";
const HANDLES: &str =
    "INSERT INTO handles (id, case_id, at) SELECT value->>0, value->>1, CAST(value->>2 AS BIGINT) FROM {rows}";
const TAKES: &str = "INSERT INTO locks (name, case_id, at) SELECT value->>0, value->>1, CAST(value->>2 AS BIGINT) FROM {rows} WHERE true ON CONFLICT (name) DO UPDATE SET case_id = excluded.case_id WHERE locks.case_id = excluded.case_id";
const RELEASES: &str = "DELETE FROM locks WHERE (name, case_id) IN (SELECT value->>0, value->>1 FROM {rows})";
const KEPT: &str = "INSERT INTO kept (id, runbook, param, at, content) SELECT value->>0, value->>1, value->>2, CAST(value->>3 AS BIGINT), value->>4 FROM {rows}";
const SAMPLES: &str = "INSERT INTO samples (id, runbook, at, failing, failures, since) SELECT value->>0, value->>1, CAST(value->>2 AS BIGINT), CAST(value->>3 AS BIGINT), CAST(value->>4 AS BIGINT), CAST(value->>5 AS BIGINT) FROM {rows}";

impl Store {
    /// Stores a batch: all of it, durably, or nothing.
    ///
    /// # Errors
    /// `Conflict` if another writer was first (load again and decide again), `Store` otherwise.
    pub async fn commit(&self, batch: &Batch) -> Result<(), CommitError> {
        let mut writer = self.write().await;
        let connection = writer.get().await.map_err(StoreError::from)?;
        let result = self.transaction(connection, batch).await;
        if result.is_err() && connection.execute(sqlx::raw_sql("ROLLBACK")).await.is_err() {
            writer.broken();
        }
        result
    }

    async fn transaction(&self, connection: &mut AnyConnection, batch: &Batch) -> Result<(), CommitError> {
        let plan = batch.plan()?;
        let takes = plan.iter().any(|(sql, ..)| *sql == TAKES);
        if self.dialect.one_trip() && !takes {
            return self.at_once(connection, plan).await;
        }
        connection.execute(sqlx::raw_sql(self.dialect.begin())).await.map_err(classify)?;
        for (sql, list, count) in plan {
            let done = sqlx::query(self.text(sql)).bind(list).execute(&mut *connection).await.map_err(classify)?;
            if sql == TAKES && done.rows_affected() != count {
                return Err(CommitError::Conflict("a lock is held".into()));
            }
        }
        connection.execute(sqlx::raw_sql("COMMIT")).await.map_err(classify)?;
        Ok(())
    }

    /// The same in one trip to the database: a trip costs more than most statements.
    async fn at_once(&self, connection: &mut AnyConnection, plan: Plan) -> Result<(), CommitError> {
        let mut sql = format!("{};\n", self.dialect.begin());
        for (number, (part, ..)) in plan.iter().enumerate() {
            let rows = self.dialect.rows().replace("$1", &format!("${}", number + 1));
            sql.push_str(&part.replace("{rows}", &rows));
            sql.push_str(";\n");
        }
        sql.push_str("COMMIT");
        let query = plan.into_iter().fold(sqlx::query(AssertSqlSafe(sql)), |q, (_, list, _)| q.bind(list));
        query.execute(connection).await.map_err(classify)?;
        Ok(())
    }
}

/// Statements in order, each with its rows and how many they are.
type Plan = Vec<(&'static str, String, u64)>;

impl Batch {
    fn plan(&self) -> Result<Plan, StoreError> {
        let effects = Rows::of(self.effects.iter().map(|(key, (case, lane, due, act))| (key, case, lane, due, act)));
        let snapshots = Rows::of(self.snapshots.iter().map(|(case, (seq, hash, state))| (case, seq, hash, state)));
        let incidents = Rows::of(self.incidents.iter().map(|(case, (number, summary))| (case, number, summary)));
        let ringing = Rows::of(self.ringing.iter().filter_map(|(case, s)| s.as_ref().map(|s| (case, s))));
        let silent = Rows::of(self.ringing.iter().filter(|(_, s)| s.is_none()).map(|(case, _)| [case]));
        let takes = Rows::of(self.takes.iter().map(|(name, (case, at))| (name, case, at)));
        let releases = Rows::of(&self.releases);
        // What is over goes first: the same key may be asked for again in the same batch.
        let all = [
            (DELIVERIES, &self.deliveries),
            (EVENTS, &self.events),
            (FINISHED, &self.finished),
            (AGAIN, &self.finished),
            (EFFECTS, &effects),
            (SNAPSHOTS, &snapshots),
            (INCIDENTS, &incidents),
            (RINGING, &ringing),
            (SILENT, &silent),
            (HANDLES, &self.handles),
            (RELEASES, &releases),
            (TAKES, &takes),
            (SAMPLES, &self.samples),
            (KEPT, &self.kept),
        ];
        all.into_iter()
            .filter(|(_, rows)| rows.count > 0)
            .map(|(sql, rows)| Ok((sql, rows.list()?, rows.count)))
            .collect()
    }
}

/// A broken uniqueness or a serialization failure is a race that somebody else won.
fn classify(error: sqlx::Error) -> CommitError {
    let conflict = error
        .as_database_error()
        .is_some_and(|e| e.is_unique_violation() || matches!(e.code().as_deref(), Some("40001" | "40P01" | "55P03")));
    if conflict { CommitError::Conflict(error.to_string()) } else { CommitError::Store(error.into()) }
}
