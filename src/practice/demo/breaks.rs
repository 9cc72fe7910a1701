//! What can be broken. Takes the cluster and what to break or heal; keeps who is in trouble, and says how
//! each trouble stands by what the database sees.

use anyhow::{Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::Row;

use super::look::Seen;
use crate::practice::scratch::{BOOKING, Scratch, Stop};
use crate::practice::trouble::{self, Jam, Session};

/// How many connections a full pool leaves, besides those kept for superusers.
const LEFT: i64 = 3;

const ORPHANS: &str = "SET session_replication_role = replica;
INSERT INTO booking_payments (id, booking_id, amount_cents, status, provider_intent)
SELECT 900000 + n, 700000 + n, 4900, 'succeeded', format('pi_orphan_%s', n) FROM generate_series(1, 7) AS n
ON CONFLICT DO NOTHING";
const NO_ORPHANS: &str = "DELETE FROM booking_payments WHERE id > 900000 AND booking_id > 700000";
const FAILED: &str = "INSERT INTO webhook_events
SELECT format('evt_broken_%s', n), 'payment_intent.succeeded', jsonb_build_object('booking', n), now(), NULL,
       'signature did not match' FROM generate_series(1, 12) AS n ON CONFLICT DO NOTHING";
const NONE_FAILED: &str = "DELETE FROM webhook_events WHERE id LIKE 'evt_broken_%'";

/// The troubles, in the order of the panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum What {
    LongQueries,
    LockJam,
    PoolFull,
    DatabaseDown,
    Orphans,
    FailedWebhooks,
}

/// Who is in trouble now.
#[derive(Default)]
pub(super) struct Breaks {
    long: Vec<Session>,
    jam: Option<Jam>,
    pool: Vec<Session>,
    down: bool,
}

impl Breaks {
    /// Breaks one thing, or heals it.
    ///
    /// # Errors
    /// The server's own, or that it is not up.
    pub(super) async fn set(&mut self, what: What, on: bool, database: &Scratch) -> Result<()> {
        ensure!(what == What::DatabaseDown || !self.down, "the database is stopped: start it first");
        match (what, on) {
            (What::LongQueries, on) => {
                end(database, &mut self.long).await?;
                if on {
                    self.long = trouble::long_statements(database, 2).await?;
                }
            }
            (What::LockJam, on) => {
                if let Some(jam) = self.jam.take() {
                    let mut all: Vec<Session> = jam.waiting.into_iter().chain([jam.holder]).collect();
                    end(database, &mut all).await?;
                }
                if on {
                    self.jam = Some(trouble::lock_jam(database, 3).await?);
                }
            }
            (What::PoolFull, on) => {
                end(database, &mut self.pool).await?;
                if on {
                    self.pool = fill(database).await?;
                }
            }
            (What::DatabaseDown, true) => {
                database.stop(Stop::Fast).await?;
                *self = Breaks { down: true, ..Breaks::default() };
            }
            (What::DatabaseDown, false) => {
                database.restart().await?;
                *self = Breaks::default();
            }
            (What::Orphans, on) => database.admin(BOOKING, if on { ORPHANS } else { NO_ORPHANS }).await?,
            (What::FailedWebhooks, on) => database.admin(BOOKING, if on { FAILED } else { NONE_FAILED }).await?,
        }
        Ok(())
    }

    /// Whether monitoring would find the database slow.
    pub(super) fn slow(&self) -> bool {
        !self.long.is_empty() || self.jam.is_some()
    }

    /// How every trouble stands. Sessions that ended otherwise, by drbot for instance, are let go.
    pub(super) fn shown(&mut self, seen: &Seen) -> Value {
        if seen.up() {
            self.long.retain(|s| seen.active.contains(&s.pid));
            self.pool.retain(|s| seen.pids.contains(&s.pid));
            self.jam.take_if(|jam| !seen.pids.contains(&jam.holder.pid));
        }
        let waits = self.jam.as_ref().map_or(0, |j| j.waiting.iter().filter(|s| seen.active.contains(&s.pid)).count());
        let one = |id: &str, on: bool, says: String| json!({"id": id, "on": on, "says": says});
        json!([
            one("long-queries", !self.long.is_empty(), format!("{} statements run and run", self.long.len())),
            one("lock-jam", self.jam.is_some(), format!("1 session idle in a transaction, {waits} wait for its lock")),
            one("pool-full", !self.pool.is_empty(), format!("{} idle sessions of the application", self.pool.len())),
            one("database-down", self.down, "PostgreSQL is stopped".into()),
            one("orphans", seen.orphans > 0, format!("{} payments without a booking", seen.orphans)),
            one("failed-webhooks", seen.failed > 0, format!("{} events were not processed", seen.failed)),
        ])
    }
}

/// Ends sessions on the server's side too: it would not notice by itself while they run.
async fn end(database: &Scratch, sessions: &mut Vec<Session>) -> Result<()> {
    let pids: Vec<i32> = sessions.iter().map(|s| s.pid).collect();
    if pids.is_empty() {
        return Ok(());
    }
    let mut conn = database.connect(&database.superuser_url()).await?;
    sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = ANY($1)")
        .bind(&pids)
        .execute(&mut conn)
        .await?;
    sessions.clear();
    Ok(())
}

/// Opens idle sessions until hardly any connection is left for others.
async fn fill(database: &Scratch) -> Result<Vec<Session>> {
    let mut conn = database.connect(&database.superuser_url()).await?;
    let sql = "SELECT current_setting('max_connections')::bigint
                    - current_setting('superuser_reserved_connections')::bigint
                    - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')";
    let free: i64 = sqlx::query(sql).fetch_one(&mut conn).await?.try_get(0)?;
    trouble::idle_sessions(database, usize::try_from(free - LEFT).unwrap_or_default()).await
}
