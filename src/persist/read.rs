//! Reading. Takes keys and ids; gives replies, cases folded from snapshot and tail, and the world.

use std::collections::{BTreeMap, HashMap};

use serde_json::json;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Store, StoreError, chain};
use crate::model::case::Case;
use crate::model::event::Entry;
use crate::model::id::CaseId;
use crate::model::time::{Millis, Span};
use crate::model::world::{Held, Open, Streak, World};

/// How much longer than deliveries rows are kept for parameters: a disaster may be noticed late.
const KEPT_FOR: Span = Span::minutes(13 * 24 * 60);

/// A case as the store has it.
#[derive(Debug, Clone)]
pub struct Stored {
    pub case: Case,
    /// The hash of its last event.
    pub hash: String,
    /// Up to which event its snapshot reaches.
    pub snapshot: u64,
}

impl Stored {
    /// A case that has no events yet.
    #[must_use]
    pub fn blank(id: CaseId) -> Stored {
        Stored { hash: chain::start(&id.0), case: Case::new(id), snapshot: 0 }
    }
}

impl Store {
    /// The stored replies of those keys that are known.
    ///
    /// # Errors
    /// The store cannot be asked.
    pub async fn replies(&self, keys: &[&str]) -> Result<HashMap<String, String>, StoreError> {
        let list = json!(keys.iter().map(|k| [k]).collect::<Vec<_>>()).to_string();
        let sql = self.text("SELECT key, reply FROM deliveries WHERE key IN (SELECT value->>0 FROM {rows})");
        let rows = sqlx::query(sql).bind(list).fetch_all(self.readers()).await?;
        rows.iter().map(|r| Ok((r.try_get(0)?, r.try_get(1)?))).collect()
    }

    /// The case a handle leads to.
    ///
    /// # Errors
    /// The store cannot be asked.
    pub async fn case_of(&self, handle: &str) -> Result<Option<CaseId>, StoreError> {
        let row = sqlx::query("SELECT case_id FROM handles WHERE id = $1")
            .bind(handle)
            .fetch_optional(self.readers())
            .await?;
        Ok(row.map(|r| r.try_get(0)).transpose()?.map(CaseId))
    }

    /// A case, folded from its snapshot and the events after it; blank if it has none.
    ///
    /// # Errors
    /// The store cannot be asked, or the stream does not fold (table, row and reason are named).
    pub async fn case(&self, id: &CaseId) -> Result<Stored, StoreError> {
        let row = sqlx::query("SELECT seq, hash, state FROM snapshots WHERE case_id = $1")
            .bind(&id.0)
            .fetch_optional(self.readers())
            .await?;
        let mut stored = Stored::blank(id.clone());
        if let Some(row) = row {
            let state: String = row.try_get("state")?;
            stored.case = serde_json::from_str(&state).map_err(|e| StoreError::Inconsistent {
                table: "snapshots",
                column: "state",
                row: id.0.clone(),
                what: e.to_string(),
            })?;
            stored.hash = row.try_get("hash")?;
            stored.snapshot = stored.case.seq;
        }
        let sql = "SELECT seq, at, payload, hash FROM events WHERE case_id = $1 AND seq > $2 ORDER BY seq";
        let after = i64::try_from(stored.case.seq).unwrap_or(i64::MAX);
        for row in sqlx::query(sql).bind(&id.0).bind(after).fetch_all(self.readers()).await? {
            let entry = entry(id, &row)?;
            let bad = |what: String| StoreError::Inconsistent {
                table: "events",
                column: "payload",
                row: format!("{id}/{}", entry.seq),
                what,
            };
            if entry.seq != stored.case.seq + 1 {
                return Err(bad(format!("expected event {}", stored.case.seq + 1)));
            }
            stored.case.apply(&entry.event, entry.at).map_err(|e| bad(e.0))?;
            stored.hash = row.try_get("hash")?;
        }
        Ok(stored)
    }

    /// The events of a case after `seq`, at most `most`.
    ///
    /// # Errors
    /// The store cannot be asked or holds an event this binary does not know.
    pub async fn history(&self, id: &CaseId, seq: u64, most: u32) -> Result<Vec<Entry>, StoreError> {
        let sql = "SELECT seq, at, payload FROM events WHERE case_id = $1 AND seq > $2 ORDER BY seq LIMIT $3";
        let after = i64::try_from(seq).unwrap_or(i64::MAX);
        let rows = sqlx::query(sql).bind(&id.0).bind(after).bind(i64::from(most)).fetch_all(self.readers()).await?;
        rows.iter().map(|r| entry(id, r)).collect()
    }

    /// The view across cases; rules and history are left to the engine.
    ///
    /// # Errors
    /// The store cannot be asked.
    pub async fn world(&self) -> Result<World, StoreError> {
        let mut world = World::default();
        for row in sqlx::query("SELECT case_id, number, summary FROM incidents").fetch_all(self.readers()).await? {
            let text: String = row.try_get("summary")?;
            let case: String = row.try_get("case_id")?;
            let open: Open = serde_json::from_str(&text).map_err(|e| StoreError::Inconsistent {
                table: "incidents",
                column: "summary",
                row: case,
                what: e.to_string(),
            })?;
            world.last_number = world.last_number.max(open.number);
            world.open.insert(open.case.clone(), open);
        }
        // Both in one trip: with several processes this is read before every batch.
        let sql =
            "SELECT 'lock', case_id, name, at FROM locks UNION ALL SELECT 'ring', case_id, summary, 0 FROM ringing";
        for row in sqlx::query(sql).fetch_all(self.readers()).await? {
            let (what, case, text): (String, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            if what == "lock" {
                world.locks.insert(text, Held { case: CaseId(case), since: Millis(row.try_get(3)?) });
                continue;
            }
            let ringing = serde_json::from_str(&text).map_err(|e| StoreError::Inconsistent {
                table: "ringing",
                column: "summary",
                row: case.clone(),
                what: e.to_string(),
            })?;
            world.ringing.insert(CaseId(case), ringing);
        }
        world.streaks = self.streaks().await?;
        Ok(world)
    }

    async fn streaks(&self) -> Result<BTreeMap<String, Streak>, StoreError> {
        let sql = "SELECT runbook, failures, since FROM samples s WHERE at = (SELECT MAX(at) FROM samples n WHERE n.runbook = s.runbook)";
        let mut all = BTreeMap::new();
        for row in sqlx::query(sql).fetch_all(self.readers()).await? {
            let failures: i64 = row.try_get(1)?;
            let since: Option<i64> = row.try_get(2)?;
            all.insert(
                row.try_get(0)?,
                Streak { failures: u32::try_from(failures).unwrap_or(u32::MAX), since: since.map(Millis) },
            );
        }
        Ok(all)
    }

    /// The newest time in the store: the clock never goes behind it.
    ///
    /// # Errors
    /// The store cannot be asked.
    pub async fn newest(&self) -> Result<Millis, StoreError> {
        let row = sqlx::query("SELECT MAX(at) FROM deliveries").fetch_one(self.readers()).await?;
        Ok(Millis(row.try_get::<Option<i64>, _>(0)?.unwrap_or(0)))
    }

    /// Walks a case's chain from its first event. Gives how many events hold.
    ///
    /// # Errors
    /// Names the first event whose hash, place or payload does not fit.
    pub async fn check_chain(&self, id: &CaseId) -> Result<u64, StoreError> {
        let sql = "SELECT seq, at, kind, payload, payload_hash, hash FROM events WHERE case_id = $1 ORDER BY seq";
        let (mut before, mut count) = (chain::start(&id.0), 0);
        for row in sqlx::query(sql).bind(&id.0).fetch_all(self.readers()).await? {
            count += 1;
            let (seq, at): (i64, i64) = (row.try_get("seq")?, row.try_get("at")?);
            let (kind, payload_hash, hash): (String, String, String) =
                (row.try_get("kind")?, row.try_get("payload_hash")?, row.try_get("hash")?);
            let payload: Option<String> = row.try_get("payload")?;
            let bad = |column, what: &str| StoreError::Inconsistent {
                table: "events",
                column,
                row: format!("{id}/{seq}"),
                what: what.to_owned(),
            };
            if u64::try_from(seq) != Ok(count) {
                return Err(bad("seq", "an event is missing before it"));
            }
            if payload.is_some_and(|p| chain::payload(&p) != payload_hash) {
                return Err(bad("payload", "it is not what was stored"));
            }
            if chain::next(&before, count, at, &kind, &payload_hash) != hash {
                return Err(bad("hash", "the chain is broken here"));
            }
            before = hash;
        }
        Ok(count)
    }

    /// The newest rows that were kept for each parameter until `until`, else the oldest there are, by runbook and
    /// parameter.
    ///
    /// # Errors
    /// The store cannot be asked.
    pub async fn kept(&self, until: Millis) -> Result<BTreeMap<String, BTreeMap<String, String>>, StoreError> {
        let sql = "SELECT k.runbook, k.param, k.content FROM kept k WHERE k.at = COALESCE((SELECT MAX(n.at) FROM kept n WHERE n.runbook = k.runbook AND n.param = k.param AND n.at <= $1), (SELECT MIN(n.at) FROM kept n WHERE n.runbook = k.runbook AND n.param = k.param))";
        let mut kept = BTreeMap::<String, BTreeMap<String, String>>::new();
        for row in sqlx::query(sql).bind(until.0).fetch_all(self.readers()).await? {
            let runbook: String = row.try_get("runbook")?;
            kept.entry(runbook).or_default().insert(row.try_get("param")?, row.try_get("content")?);
        }
        Ok(kept)
    }

    /// Forgets deliveries and samples older than `before`, and what was kept for parameters a good while longer.
    ///
    /// # Errors
    /// The store cannot be asked.
    pub async fn trim(&self, before: Millis) -> Result<(), StoreError> {
        let mut writer = self.write().await;
        let old = [
            ("DELETE FROM deliveries WHERE at < $1", before),
            (
                "DELETE FROM samples WHERE at < $1 AND at < (SELECT MAX(n.at) FROM samples n WHERE n.runbook = samples.runbook)",
                before,
            ),
            (
                "DELETE FROM kept WHERE at < $1 AND at < (SELECT MAX(n.at) FROM kept n WHERE n.runbook = kept.runbook AND n.param = kept.param)",
                Millis(before.0.saturating_sub(KEPT_FOR.0)),
            ),
        ];
        for (sql, before) in old {
            sqlx::query(sql).bind(before.0).execute(writer.get().await?).await?;
        }
        Ok(())
    }
}

fn entry(id: &CaseId, row: &AnyRow) -> Result<Entry, StoreError> {
    let (seq, at): (i64, i64) = (row.try_get("seq")?, row.try_get("at")?);
    let payload: String = row.try_get("payload")?;
    let event = serde_json::from_str(&payload).map_err(|e| StoreError::Inconsistent {
        table: "events",
        column: "payload",
        row: format!("{id}/{seq}"),
        what: e.to_string(),
    })?;
    Ok(Entry { seq: u64::try_from(seq).unwrap_or(0), at: Millis(at), event })
}
