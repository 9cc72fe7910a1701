//! Changing. Takes a job that somebody approved; gives its end, told apart by what is certain: nothing
//! was sent, nothing remained, it is done, or nobody can tell from here.

use sqlx::PgConnection;
use tokio::time::{Instant, timeout, timeout_at};

use super::connect::{Door, Fault, Purpose};
use super::observe::{self, Ask, Ready};
use super::stop::{Reply, Running};
use super::{JOB_CAP, PAUSE, Sql, fence, said};
use crate::model::effect::{Guard, Job};
use crate::model::expect::Rows;
use crate::model::outcome::Ended;

/// SQLSTATE of a cancelled statement, of a missing table and of a missing right.
const CANCELLED: &str = "57014";
const NO_TABLE: &str = "42P01";
const NO_RIGHT: &str = "42501";
const DUPLICATE: &str = "23505";

/// Why the way to COMMIT ended early.
enum Halt {
    Ended(Ended),
    Fault(Fault),
}

impl From<Fault> for Halt {
    fn from(fault: Fault) -> Halt {
        Halt::Fault(fault)
    }
}

fn not_started(why: impl Into<String>) -> Ended {
    Ended::NotStarted { why: why.into() }
}

fn failed(why: impl Into<String>) -> Ended {
    Ended::Failed { why: why.into() }
}

fn unknown(why: impl Into<String>) -> Ended {
    Ended::Unknown { why: why.into() }
}

fn late(job: &Job) -> String {
    format!("not done within {}", job.timeout.human())
}

/// An open session to the server that was approved.
struct Start<'a> {
    conn: PgConnection,
    running: Running<'a>,
    deadline: Instant,
}

/// Opens the operator's session and makes sure of the server.
async fn start<'a>(sql: &'a Sql, job: &'a Job) -> Result<Start<'a>, Ended> {
    let deadline = Instant::now() + job.timeout.std();
    let opened = async {
        fence::change(&said(&job.deed)?.sql)?;
        let door: Door<'a> = sql.door(&job.target, Purpose::Change)?;
        let mut conn = door.open(&job.execution, job.timeout).await?;
        let (identity, pid) = observe::identity(&mut conn).await?;
        Ok::<_, Fault>((conn, identity, Running { door, execution: &job.execution, pid }))
    };
    let (conn, identity, running) = match timeout_at(deadline, opened).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(fault)) => return Err(not_started(fault.text())),
        Err(_) => return Err(not_started(format!("the time was up before anything was sent: {}", late(job)))),
    };
    if job.identity.as_ref().is_some_and(|approved| *approved != identity) {
        return Err(failed(format!("{} is another server now than the one approved; nothing was sent", job.target)));
    }
    Ok(Start { conn, running, deadline })
}

/// The guard's statement as it must be asked.
fn guard_ask(job: &Job) -> Result<Option<Ask<'_>>, Fault> {
    let Some(guard) = &job.guard else { return Ok(None) };
    if guard.target != job.target {
        return Err(Fault::Unfit("the preview of a statement must be asked of the same target".to_owned()));
    }
    Ok(Some(Ask { statement: said(&guard.deed)?, timeout: job.timeout, cap: guard.cap }))
}

fn judge_guard(job: &Job, rows: &Rows) -> Option<Ended> {
    let why = job.guard.as_ref().and_then(|g| g.broken_by(rows))?;
    Some(not_started(format!("{}{why}", Guard::REFUSED)))
}

/// One statement by itself. It starts at most once, and an end that is not plainly a success is
/// unknown: rows before the one that failed may have had their effect.
pub(super) async fn once(sql: &Sql, job: &Job) -> Ended {
    let Start { mut conn, running, deadline } = match start(sql, job).await {
        Ok(start) => start,
        Err(ended) => return ended,
    };
    let prepared = async {
        if let Some(ask) = guard_ask(job)? {
            let rows = ask.alone(&mut conn).await?;
            if let Some(refused) = judge_guard(job, &rows) {
                return Ok(Err(refused));
            }
        }
        Ok::<_, Fault>(Ok(Ready::parse(&mut conn, said(&job.deed)?).await?))
    };
    let ready = match timeout_at(deadline, prepared).await {
        Ok(Ok(Ok(ready))) => ready,
        Ok(Ok(Err(refused))) => return refused,
        Ok(Err(fault)) => return not_started(format!("nothing was sent: {}", fault.text())),
        Err(_) => return not_started(format!("the time was up before anything was sent: {}", late(job))),
    };
    let sent = ready.rows(&mut conn, JOB_CAP);
    let answer = match running.until(deadline, sent, |f| f.code() == Some(CANCELLED)).await {
        Reply::Answered(answer) => answer,
        Reply::Late(stopped) => return unknown(format!("{}; {stopped}", late(job))),
    };
    match answer {
        Ok(rows) => match observe::unmet(&job.expect, &rows) {
            None => Ended::Done { rows },
            Some(why) => unknown(format!("it ran, but {why}")),
        },
        Err(Fault::Lost(why)) => unknown(format!("{why} while it ran; {}", running.after_loss().await)),
        Err(fault) => unknown(format!("the server stopped in the middle: {}", fault.text())),
    }
}

/// One transaction with its row in the ledger: before COMMIT is sent nothing can remain.
pub(super) async fn atomic(sql: &Sql, job: &Job) -> Ended {
    let Start { mut conn, running, deadline } = match start(sql, job).await {
        Ok(start) => start,
        Err(ended) => return ended,
    };
    let worked = running.until(deadline, transact(&mut conn, job), cancelled).await;
    let rows = match worked {
        Reply::Answered(Ok(rows)) if Instant::now() < deadline => rows,
        Reply::Answered(Err(Halt::Fault(Fault::Lost(why)))) => {
            return failed(format!("never committed: {why}; {}", running.after_loss().await));
        }
        other => {
            // The server rolls back on its own as well, once this session is closed.
            let _ = timeout(PAUSE, observe::plain(&mut conn, "ROLLBACK")).await;
            return uncommitted(job, other);
        }
    };
    match timeout_at(deadline, observe::plain(&mut conn, "COMMIT")).await {
        Ok(Ok(())) => Ended::Done { rows },
        Ok(Err(Fault::Refused { fatal: false, text, .. })) => failed(format!("rolled back at COMMIT: {text}")),
        Ok(Err(fault)) => unknown(format!("{} after COMMIT was sent; the ledger can tell", fault.text())),
        Err(_) => unknown("no answer to COMMIT in time; the ledger can tell"),
    }
}

fn cancelled(halt: &Halt) -> bool {
    matches!(halt, Halt::Fault(f) if f.code() == Some(CANCELLED))
}

fn uncommitted(job: &Job, reply: Reply<Rows, Halt>) -> Ended {
    match reply {
        Reply::Answered(Ok(_)) => failed(format!("rolled back: {}", late(job))),
        Reply::Answered(Err(Halt::Ended(ended))) => ended,
        Reply::Answered(Err(Halt::Fault(fault))) => failed(format!("rolled back: {}", fault.text())),
        Reply::Late(stopped) => failed(format!("{} and never committed; {stopped}", late(job))),
    }
}

/// Everything between BEGIN and COMMIT.
async fn transact(conn: &mut PgConnection, job: &Job) -> Result<Rows, Halt> {
    // One snapshot for guard and statement: what was judged is what is changed, or the server refuses.
    observe::plain(conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE").await?;
    enter(conn, job).await?;
    if let Some(ask) = guard_ask(job)? {
        let rows = ask.within(conn).await?;
        if let Some(refused) = judge_guard(job, &rows) {
            return Err(Halt::Ended(refused));
        }
    }
    let ready = Ready::parse(conn, said(&job.deed)?).await?;
    let rows = ready.rows(conn, JOB_CAP).await?;
    match observe::unmet(&job.expect, &rows) {
        None => Ok(rows),
        Some(why) => Err(Halt::Ended(failed(format!("rolled back: {why}")))),
    }
}

/// The ledger row: first, so that a second run of the same execution stops here.
async fn enter(conn: &mut PgConnection, job: &Job) -> Result<(), Halt> {
    let inserted = sqlx::query("INSERT INTO drbot.ledger (execution_id, digest, at) VALUES ($1, $2, now())")
        .persistent(false)
        .bind(&job.execution)
        .bind(&job.digest)
        .execute(conn)
        .await;
    let Err(error) = inserted else { return Ok(()) };
    let fault = Fault::from(error);
    Err(match fault.code() {
        Some(DUPLICATE) => Halt::Ended(unknown(format!(
            "the ledger of {} already has this execution: it was committed before",
            job.target
        ))),
        Some(NO_TABLE | NO_RIGHT) => Halt::Ended(not_started(format!(
            "{0} has no ledger that drbot may write ({1}): run what `drbot target sql {0}` prints",
            job.target,
            fault.text()
        ))),
        _ => Halt::Ended(not_started(format!("the ledger could not be written: {}", fault.text()))),
    })
}
