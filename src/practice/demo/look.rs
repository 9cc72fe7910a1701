//! What the database sees of itself. Takes the cluster; gives sessions, locks and connections as figures.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sqlx::{PgConnection, Row};
use tokio::time::timeout;

use crate::practice::scratch::{BOOKING, Scratch};

const LIMIT: Duration = Duration::from_secs(3);

const SESSIONS: &str = "
SELECT usename::text AS role, application_name AS application,
       CASE WHEN wait_event_type = 'Lock' THEN 'waiting for a lock' ELSE coalesce(state, '-') END AS state,
       count(*) AS sessions,
       coalesce(extract(epoch FROM max(now() - CASE WHEN state = 'active' THEN query_start ELSE state_change END)), 0)
           ::bigint AS seconds
FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND usename <> 'postgres'
GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3 LIMIT 12";

const FIGURES: &str = "
SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS used,
       current_setting('max_connections')::bigint AS most,
       (SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted) AS waiting,
       (SELECT count(*) FROM booking_payments p WHERE NOT EXISTS (SELECT FROM bookings b WHERE b.id = p.booking_id))
           AS orphans,
       (SELECT count(*) FROM webhook_events WHERE processed_at IS NULL AND error IS NOT NULL) AS failed";

/// One look.
#[derive(Debug, Default)]
pub(super) struct Seen {
    up: bool,
    why: String,
    sessions: Vec<Value>,
    figures: Value,
    /// The sessions in trouble or not: every client's process id, with whether it is in a statement.
    pub pids: BTreeSet<i32>,
    pub active: BTreeSet<i32>,
    pub orphans: i64,
    pub failed: i64,
}

impl Seen {
    /// Whether the database answered.
    pub(super) fn up(&self) -> bool {
        self.up
    }

    /// For the page.
    pub(super) fn shown(&self) -> Value {
        json!({"up": self.up, "why": self.why, "sessions": self.sessions, "figures": self.figures})
    }
}

/// Looks, over a connection that is kept as long as it works.
pub(super) async fn database(scratch: &Scratch, conn: &mut Option<PgConnection>) -> Seen {
    let looked = timeout(LIMIT, look(scratch, conn)).await.context("no answer in time").and_then(|seen| seen);
    looked.unwrap_or_else(|e| {
        *conn = None;
        let why = e.root_cause().to_string();
        Seen { why, ..Seen::default() }
    })
}

async fn look(scratch: &Scratch, conn: &mut Option<PgConnection>) -> Result<Seen> {
    let conn = match conn {
        Some(conn) => conn,
        None => conn.insert(scratch.connect(&scratch.superuser_url_of(BOOKING)).await?),
    };
    let mut seen = Seen { up: true, ..Seen::default() };
    for row in sqlx::query(SESSIONS).fetch_all(&mut *conn).await? {
        let text = |name: &str| row.try_get::<String, _>(name);
        seen.sessions.push(json!({
            "role": text("role")?, "application": text("application")?, "state": text("state")?,
            "sessions": row.try_get::<i64, _>("sessions")?, "seconds": row.try_get::<i64, _>("seconds")?,
        }));
    }
    let row = sqlx::query(FIGURES).fetch_one(&mut *conn).await?;
    let of = |name: &str| row.try_get::<i64, _>(name);
    (seen.orphans, seen.failed) = (of("orphans")?, of("failed")?);
    seen.figures = json!({
        "used": of("used")?, "most": of("most")?, "waiting": of("waiting")?,
        "orphans": seen.orphans, "failed": seen.failed,
    });
    let sql = "SELECT pid, state = 'active' AS active FROM pg_stat_activity WHERE backend_type = 'client backend'";
    for row in sqlx::query(sql).fetch_all(&mut *conn).await? {
        let pid = row.try_get("pid")?;
        seen.pids.insert(pid);
        if row.try_get::<Option<bool>, _>("active")? == Some(true) {
            seen.active.insert(pid);
        }
    }
    Ok(seen)
}
