//! Giving up on a statement in time. Takes what is running and until when; gives its answer, or what
//! the server said about stopping it.

use std::pin::pin;
use std::time::Duration;

use sqlx::{PgConnection, Row};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::PAUSE;
use super::connect::{Door, Fault, session_name};
use crate::model::time::Span;

/// How long a cancelled statement may take to end.
const ENDING: Duration = Duration::from_secs(5);
/// How long the second session may take to ask for the cancel.
const ASKING: Duration = Duration::from_secs(5);

/// The running session, as another session finds it.
pub(super) struct Running<'a> {
    pub door: Door<'a>,
    pub execution: &'a str,
    pub pid: i32,
}

/// What became of something that was sent.
pub(super) enum Reply<T, E> {
    Answered(Result<T, E>),
    /// The time was up; the text says whether the server stopped.
    Late(String),
}

impl Running<'_> {
    /// Waits until the deadline, then has the server cancel. An answer that arrives all the same is
    /// the answer: it says what really happened.
    pub(super) async fn until<T, E>(
        &self,
        deadline: Instant,
        work: impl Future<Output = Result<T, E>>,
        is_cancel: impl Fn(&E) -> bool,
    ) -> Reply<T, E> {
        let mut work = pin!(work);
        if let Ok(answer) = timeout_at(deadline, &mut work).await {
            return Reply::Answered(answer);
        }
        let asked = self.cancel().await;
        match (timeout(ENDING, &mut work).await, asked) {
            (Ok(Err(e)), _) if is_cancel(&e) => Reply::Late("the server confirmed that it stopped it".to_owned()),
            (Ok(answer), _) => Reply::Answered(answer),
            (Err(_), Ok(())) => {
                Reply::Late("the server took the cancel but has not stopped: it may still be working on it".to_owned())
            }
            (Err(_), Err(why)) => {
                Reply::Late(format!("it may still be working on it, and could not be told to stop: {why}"))
            }
        }
    }

    /// After the session broke: has the server cancel and says whether the session is gone.
    pub(super) async fn after_loss(&self) -> String {
        if let Err(why) = self.cancel().await {
            return format!("the target may still be working on it, and could not be told to stop: {why}");
        }
        match timeout(ENDING, self.gone()).await {
            Ok(Ok(())) => "the server confirmed that nothing is running any more".to_owned(),
            Ok(Err(fault)) => format!("whether it still runs could not be asked: {}", fault.text()),
            Err(_) => "the target is still working on it".to_owned(),
        }
    }

    async fn cancel(&self) -> Result<(), String> {
        let asked = async {
            let mut conn = self.door.open("stop", Span::seconds(3)).await?;
            sqlx::query("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND application_name = $2")
                .persistent(false)
                .bind(self.pid)
                .bind(session_name(self.execution))
                .execute(&mut conn)
                .await?;
            Ok::<_, Fault>(())
        };
        match timeout(ASKING, asked).await {
            Ok(done) => done.map_err(|f| f.text()),
            Err(_) => Err("no answer".to_owned()),
        }
    }

    async fn gone(&self) -> Result<(), Fault> {
        let mut conn = self.door.open("stop", Span::seconds(3)).await?;
        while living(&mut conn, self.execution, false).await? > 0 {
            sleep(PAUSE).await;
        }
        Ok(())
    }
}

/// How many sessions of an execution there are; `cancel` also asks each to stop.
pub(super) async fn living(conn: &mut PgConnection, execution: &str, cancel: bool) -> Result<i64, Fault> {
    let sql = if cancel {
        "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE application_name = $1 AND pid <> pg_backend_pid()"
    } else {
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND pid <> pg_backend_pid()"
    };
    let row = sqlx::query(sql).persistent(false).bind(session_name(execution)).fetch_one(conn).await?;
    Ok(row.try_get(0)?)
}
