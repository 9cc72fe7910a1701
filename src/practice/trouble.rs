//! Trouble on purpose, in a throw-away cluster: statements that do not end, a session that sits on a
//! lock, sessions that wait for it. Takes a cluster with the practice data; gives sessions that can be
//! asked how they ended.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use sqlx::{PgConnection, Row};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::scratch::{APP, BOOKING, PASSWORD, Scratch};

/// A statement that would take ten minutes.
const LONG: &str = "SELECT count(*) FROM bookings b, pg_sleep(600)";
/// A change of one row, for locking it and for waiting on it.
const TOUCH: &str = "UPDATE bookings SET status = status WHERE id = 1";
/// A statement that nobody would call long.
const SHORT: &str = "SELECT pg_sleep(0.5)";
/// How long a session may take to get into trouble.
const SETTLE: Duration = Duration::from_secs(10);

/// What an application's session came to: `00000`, an SQLSTATE, or `lost`.
pub type SqlState = String;

/// One session of the practice application.
#[derive(Debug)]
pub struct Session {
    pub pid: i32,
    doing: Doing,
}

#[derive(Debug)]
enum Doing {
    Running(JoinHandle<SqlState>),
    Idle(Box<PgConnection>),
    Ended(SqlState),
}

/// A session idle in its transaction and those blocked behind it.
#[derive(Debug)]
pub struct Jam {
    pub holder: Session,
    pub waiting: Vec<Session>,
}

impl Session {
    /// How the session ended, if it does within `limit`; `None` if it is still at it.
    pub async fn ended(&mut self, limit: Duration) -> Option<SqlState> {
        let state = match &mut self.doing {
            Doing::Running(task) => timeout(limit, task).await.ok()?.unwrap_or_else(|_| "lost".to_owned()),
            // An idle session notices its end only by asking.
            Doing::Idle(conn) => {
                match state(sqlx::query("SELECT 1").persistent(false).execute(&mut **conn).await.err()) {
                    fine if fine == "00000" => return None,
                    ended => ended,
                }
            }
            Doing::Ended(state) => return Some(state.clone()),
        };
        self.doing = Doing::Ended(state.clone());
        Some(state)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Doing::Running(task) = &self.doing {
            task.abort();
        }
    }
}

/// Starts `n` statements that would take ten minutes each, and waits until they run.
///
/// # Errors
/// Says what did not start.
pub async fn long_statements(scratch: &Scratch, n: usize) -> Result<Vec<Session>> {
    let mut sessions = Vec::new();
    for _ in 0..n {
        sessions.push(running(scratch, LONG).await?);
    }
    settled(scratch, &sessions, "a.wait_event = 'PgSleep'").await?;
    Ok(sessions)
}

/// Leaves one session idle in its transaction with a row locked, and `n` sessions waiting for that row.
///
/// # Errors
/// Says what did not start.
pub async fn lock_jam(scratch: &Scratch, n: usize) -> Result<Jam> {
    let (pid, mut conn) = open(scratch).await?;
    sqlx::raw_sql("BEGIN").execute(&mut conn).await?;
    sqlx::query(TOUCH).execute(&mut conn).await?;
    let holder = Session { pid, doing: Doing::Idle(Box::new(conn)) };
    let mut waiting = Vec::new();
    for _ in 0..n {
        waiting.push(running(scratch, TOUCH).await?);
    }
    settled(scratch, &waiting, "a.wait_event_type = 'Lock'").await?;
    Ok(Jam { holder, waiting })
}

/// A session in no trouble at all: short statements, one after the other, until it is dropped. Should one
/// of them not succeed, it ends with that.
///
/// # Errors
/// The server's own.
pub async fn busy_session(scratch: &Scratch) -> Result<Session> {
    let (pid, mut conn) = open(scratch).await?;
    let task = tokio::spawn(async move {
        loop {
            if let Err(e) = sqlx::query(SHORT).persistent(false).execute(&mut conn).await {
                return state(Some(e));
            }
        }
    });
    Ok(Session { pid, doing: Doing::Running(task) })
}

/// Sessions that hold a connection each and do nothing.
///
/// # Errors
/// The server's own, as soon as it has no room for one more.
pub async fn idle_sessions(scratch: &Scratch, n: usize) -> Result<Vec<Session>> {
    let mut sessions = Vec::new();
    for _ in 0..n {
        let (pid, conn) = open(scratch).await?;
        sessions.push(Session { pid, doing: Doing::Idle(Box::new(conn)) });
    }
    Ok(sessions)
}

async fn open(scratch: &Scratch) -> Result<(i32, PgConnection)> {
    let url = scratch.url(APP, PASSWORD, BOOKING) + "&application_name=booking-api";
    let mut conn = scratch.connect(&url).await?;
    let pid = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut conn).await?;
    Ok((pid, conn))
}

async fn running(scratch: &Scratch, sql: &'static str) -> Result<Session> {
    let (pid, mut conn) = open(scratch).await?;
    let task = tokio::spawn(async move { state(sqlx::query(sql).execute(&mut conn).await.err()) });
    Ok(Session { pid, doing: Doing::Running(task) })
}

fn state(error: Option<sqlx::Error>) -> SqlState {
    match error {
        None => "00000".to_owned(),
        Some(sqlx::Error::Database(e)) => e.code().map_or_else(|| "lost".to_owned(), |c| c.into_owned()),
        Some(_) => "lost".to_owned(),
    }
}

/// Waits until the server itself says that every session is in the trouble meant.
async fn settled(scratch: &Scratch, sessions: &[Session], trouble: &'static str) -> Result<()> {
    let pids: Vec<i32> = sessions.iter().map(|s| s.pid).collect();
    let mut conn = scratch.connect(&scratch.superuser_url()).await?;
    let sql = format!("SELECT count(*) FROM pg_stat_activity a WHERE pid = ANY($1) AND {trouble}");
    let look = async {
        loop {
            let row = sqlx::query(sqlx::AssertSqlSafe(sql.as_str())).bind(&pids).fetch_one(&mut conn).await?;
            if usize::try_from(row.try_get::<i64, _>(0)?).is_ok_and(|n| n == pids.len()) {
                return anyhow::Ok(());
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    match timeout(SETTLE, look).await {
        Ok(done) => done,
        Err(_) => bail!("not all of the sessions {pids:?} got into trouble"),
    }
    .context("practice trouble")
}
