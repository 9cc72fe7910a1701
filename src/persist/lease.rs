//! Leases. Takes an owner and a time; gives effects that are due and that nobody else holds. Claims are
//! conditional updates with a row count, never read-then-write.

use std::collections::BTreeMap;

use sqlx::Row;

use super::{Store, StoreError};
use crate::model::effect::{Act, Lane};
use crate::model::id::{CaseId, EffectKey};
use crate::model::time::Millis;

/// An effect in one worker's hands until its lease ends.
#[derive(Debug, Clone)]
pub struct Leased {
    pub key: EffectKey,
    pub case: CaseId,
    pub generation: i64,
    /// How often it was leased, this time included.
    pub attempt: u32,
    pub act: Act,
}

impl Store {
    /// Leases up to `most` due effects of a lane for `owner` until `until`.
    ///
    /// # Errors
    /// The store cannot be asked, or holds an effect this binary does not know.
    pub async fn lease(
        &self,
        owner: &str,
        lane: Lane,
        most: u32,
        times: (Millis, Millis),
    ) -> Result<Vec<Leased>, StoreError> {
        let (now, until) = times;
        let sql = self.text(
            "UPDATE effects SET owner = $1, lease_until = $2, attempt = attempt + 1 WHERE lease_until <= $3 AND key IN (SELECT key FROM effects WHERE lane = $4 AND due <= $3 AND lease_until <= $3 ORDER BY due LIMIT $5 {skip}) RETURNING key, case_id, generation, attempt, act",
        );
        let mut writer = self.write().await;
        let connection = writer.get().await?;
        let rows = sqlx::query(sql)
            .bind(owner)
            .bind(until.0)
            .bind(now.0)
            .bind(lane.number())
            .bind(i64::from(most))
            .fetch_all(connection)
            .await;
        let rows = match rows {
            Ok(rows) => rows,
            Err(e) => {
                writer.broken();
                return Err(e.into());
            }
        };
        rows.iter().map(leased).collect()
    }

    /// Keeps a lease; false if it was lost.
    ///
    /// # Errors
    /// The store cannot be asked.
    pub async fn renew(&self, owner: &str, key: &EffectKey, until: Millis) -> Result<bool, StoreError> {
        self.change("UPDATE effects SET lease_until = $1 WHERE key = $2 AND owner = $3", (until.0, &key.0, owner)).await
    }

    /// Gives a lease back, to be tried again at `due`. Without `doubt` the try counts for nothing, because
    /// certainly nothing went out.
    ///
    /// # Errors
    /// The store cannot be asked.
    pub async fn put_off(&self, owner: &str, key: &EffectKey, due: Millis, doubt: bool) -> Result<bool, StoreError> {
        let sql = if doubt {
            "UPDATE effects SET lease_until = 0, due = $1 WHERE key = $2 AND owner = $3"
        } else {
            "UPDATE effects SET lease_until = 0, attempt = 0, due = $1 WHERE key = $2 AND owner = $3"
        };
        self.change(sql, (due.0, &key.0, owner)).await
    }

    /// Ends every lease: at the start of the only process that uses this store, and at its clean stop.
    ///
    /// # Errors
    /// The store cannot be asked.
    pub async fn end_leases(&self, owner: Option<&str>) -> Result<(), StoreError> {
        let sql = if owner.is_some() {
            "UPDATE effects SET lease_until = $1 WHERE owner = $3 AND $2 = ''"
        } else {
            "UPDATE effects SET lease_until = $1 WHERE $2 = '' AND $3 = ''"
        };
        self.change(sql, (0, "", owner.unwrap_or_default())).await.map(|_| ())
    }

    /// For each lane that holds effects, the next time at which one of them is due and free.
    ///
    /// # Errors
    /// The store cannot be asked.
    pub async fn due(&self) -> Result<BTreeMap<Lane, Millis>, StoreError> {
        let sql =
            "SELECT lane, MIN(CASE WHEN lease_until > due THEN lease_until ELSE due END) FROM effects GROUP BY lane";
        let rows = sqlx::query(sql).fetch_all(self.readers()).await?;
        let mut all = BTreeMap::new();
        for row in &rows {
            let (number, due): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            all.extend(Lane::ALL.into_iter().find(|l| l.number() == number).map(|lane| (lane, Millis(due))));
        }
        Ok(all)
    }

    async fn change(&self, sql: &'static str, binds: (i64, &str, &str)) -> Result<bool, StoreError> {
        let mut writer = self.write().await;
        let connection = writer.get().await?;
        let done = sqlx::query(sql).bind(binds.0).bind(binds.1).bind(binds.2).execute(connection).await;
        if done.is_err() {
            writer.broken();
        }
        Ok(done?.rows_affected() > 0)
    }
}

fn leased(row: &sqlx::any::AnyRow) -> Result<Leased, StoreError> {
    let key: String = row.try_get("key")?;
    let act: String = row.try_get("act")?;
    let act = serde_json::from_str(&act).map_err(|e| StoreError::Inconsistent {
        table: "effects",
        column: "act",
        row: key.clone(),
        what: e.to_string(),
    })?;
    let attempt: i64 = row.try_get("attempt")?;
    Ok(Leased {
        key: EffectKey(key),
        case: CaseId(row.try_get("case_id")?),
        generation: row.try_get("generation")?,
        attempt: u32::try_from(attempt).unwrap_or(u32::MAX),
        act,
    })
}
