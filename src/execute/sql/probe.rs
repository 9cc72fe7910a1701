//! Finding out afterwards. Takes a probe; gives whether the execution happened, but only once no
//! session of it is left that could still change the answer.

use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::{Instant, sleep, timeout};

use super::connect::{Door, Fault, Purpose};
use super::stop::living;
use super::{PAUSE, Sql, figure};
use crate::model::effect::{Probe, Question};
use crate::model::time::Span;

/// How long a session left over may take to end.
const ENDING: Duration = Duration::from_secs(10);
/// All of it together.
const LIMIT: Duration = Duration::from_secs(30);

/// What is known: whether it happened, and the figure that says so.
pub(super) type Known = (Option<bool>, String);

/// The answer, or why there is none.
pub(super) async fn settle(sql: &Sql, p: &Probe) -> Result<Known, String> {
    let asked = async {
        // The operator may also cancel what is left; without one we can only wait.
        let door = sql.door(&p.target, Purpose::Change).or_else(|_| sql.door(&p.target, Purpose::Observe));
        let door = door.map_err(|f| f.text())?;
        match (p.ledger, &p.question) {
            (true, _) => ledger(&door, p).await.map_err(|f| f.text()),
            (false, Some(question)) => ask(sql, &door, p, question).await,
            (false, None) => Ok((None, "this step has no probe: two people have to settle it".to_owned())),
        }
    };
    timeout(LIMIT, asked).await.unwrap_or_else(|_| Err(format!("{} did not answer in time", p.target)))
}

async fn ledger(door: &Door<'_>, p: &Probe) -> Result<Known, Fault> {
    let mut conn = door.open("probe", Span::seconds(5)).await?;
    if recorded(&mut conn, p).await? {
        return Ok((Some(true), format!("the ledger of {} has this execution", p.target)));
    }
    if !ended(&mut conn, door, p).await? {
        return Ok((None, still_working(p)));
    }
    // Asked again: the session may have committed on its way out.
    Ok(match recorded(&mut conn, p).await? {
        true => (Some(true), format!("the ledger of {} has this execution", p.target)),
        false => (Some(false), format!("the ledger of {} does not have it and no session of it is left", p.target)),
    })
}

async fn ask(sql: &Sql, door: &Door<'_>, p: &Probe, q: &Question) -> Result<Known, String> {
    let left = async {
        let mut conn = door.open("probe", Span::seconds(5)).await?;
        ended(&mut conn, door, p).await
    };
    if !left.await.map_err(|f: Fault| f.text())? {
        return Ok((None, still_working(p)));
    }
    if q.expect.ignores_rows() {
        return Ok((None, "the probe expects nothing, so it can tell nothing".to_owned()));
    }
    let (rows, _) = sql.observe(q, false).await.map_err(|f| f.text())?;
    // That the effect is not visible does not yet mean that nothing was done.
    let happened = match q.expect.holds(&rows)? {
        true => Some(true),
        false if rows.denies() => Some(false),
        false => None,
    };
    Ok((happened, figure(q, &rows)))
}

fn still_working(p: &Probe) -> String {
    format!("{} is still working on it: ask again in a minute", p.target)
}

async fn recorded(conn: &mut PgConnection, p: &Probe) -> Result<bool, Fault> {
    let sql = "SELECT EXISTS (SELECT FROM drbot.ledger WHERE execution_id = $1)";
    Ok(sqlx::query_scalar(sql).persistent(false).bind(&p.execution).fetch_one(conn).await?)
}

/// Waits until no session of the execution is left, cancelling where we may.
async fn ended(conn: &mut PgConnection, door: &Door<'_>, p: &Probe) -> Result<bool, Fault> {
    let until = Instant::now() + ENDING;
    let mut cancel = door.purpose == Purpose::Change;
    while living(conn, &p.execution, cancel).await? > 0 {
        if Instant::now() > until {
            return Ok(false);
        }
        cancel = false;
        sleep(PAUSE).await;
    }
    Ok(true)
}
