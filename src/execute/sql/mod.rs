//! Postgres targets. Takes questions, jobs and probes; gives verdicts, rows and ends. One connection
//! per call, named `drbot/<id>`, with every limit set on the server as well as here.

mod change;
mod connect;
mod decode;
mod fence;
mod grants;
mod observe;
mod probe;
mod role;
mod stop;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::{Instant, sleep, timeout};

use self::connect::{Door, Fault, Purpose};
use self::observe::Ask;
use crate::model::approval::TargetIdentity;
use crate::model::ask::Deed;
use crate::model::effect::{Job, Probe, Question};
use crate::model::expect::Rows;
use crate::model::outcome::{Checked, Ended, Outcome, Verdict};
use crate::model::runbook::EffectClass;
use crate::model::statement::Statement;
use crate::model::time::Span;

pub use self::grants::grants;

/// Between two looks at something that is to come true.
const PAUSE: Duration = Duration::from_millis(300);
/// What connecting and setting up may add to a statement's own limit.
const SETUP: Duration = Duration::from_secs(5);
/// Rows kept from a job; more are counted.
const JOB_CAP: u64 = 1_000;

/// The addresses of one target. They hold passwords, so `Debug` shows none of them.
#[derive(Clone)]
pub struct SqlTarget {
    /// URL of the role that may only read.
    pub observer: String,
    /// URL of the role that acts after an approval.
    pub operator: Option<String>,
}

impl fmt::Debug for SqlTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operator = if self.operator.is_some() { "with operator" } else { "observer only" };
        write!(f, "SqlTarget({operator})")
    }
}

/// All Postgres targets of an installation.
#[derive(Debug)]
pub struct Sql {
    targets: BTreeMap<String, SqlTarget>,
    /// Targets whose observer was found unable to write.
    fenced: Mutex<BTreeSet<String>>,
}

impl Sql {
    /// Knows the targets by name; connects to nothing yet.
    #[must_use]
    pub fn new(targets: BTreeMap<String, SqlTarget>) -> Sql {
        Sql { targets, fenced: Mutex::new(BTreeSet::new()) }
    }

    /// Asks a question until its expectation holds or `within` has passed.
    pub async fn check(&self, q: &Question) -> Checked {
        let until = Instant::now() + q.within.std();
        loop {
            let checked = self.check_once(q).await;
            if checked.verdict == Verdict::Pass || Instant::now() + PAUSE > until {
                return checked;
            }
            sleep(PAUSE).await;
        }
    }

    /// Lists what an action would touch, and on which server.
    pub async fn preview(&self, q: &Question) -> Outcome {
        match self.observe(q, true).await {
            Ok((rows, Some(identity))) => Outcome::Previewed { rows, identity },
            Ok((_, None)) => Outcome::NoPreview { why: format!("{} did not say which server it is", q.target) },
            Err(fault) => Outcome::NoPreview { why: fault.text() },
        }
    }

    /// Carries out a job and says how it ended and how certain that is.
    pub async fn run(&self, job: &Job) -> Ended {
        match job.effect {
            EffectClass::Observe => self.read(job).await,
            EffectClass::Once | EffectClass::Idempotent => change::once(self, job).await,
            EffectClass::Atomic => change::atomic(self, job).await,
        }
    }

    /// Finds out whether an interrupted job happened.
    pub async fn probe(&self, p: &Probe) -> Outcome {
        let (happened, figure) = probe::settle(self, p).await.unwrap_or_else(|why| (None, why));
        Outcome::Probed { happened, figure }
    }

    /// Why the observer of a target could write; empty if it cannot.
    ///
    /// # Errors
    /// Says why it could not be asked.
    pub async fn observer_faults(&self, target: &str) -> Result<Vec<String>, String> {
        let asked = async {
            let mut conn = self.door(target, Purpose::Observe)?.open("fence", Span::seconds(5)).await?;
            role::faults(&mut conn).await
        };
        limited(SETUP + SETUP, asked).await.map_err(|f| f.text())
    }

    async fn check_once(&self, q: &Question) -> Checked {
        let (verdict, figure) = match self.observe(q, false).await {
            Err(fault) if q.expect.reachable && fault.down() => (Verdict::Fail, fault.text()),
            Err(fault) => (Verdict::CouldNot, fault.text()),
            Ok((rows, _)) => match q.expect.holds(&rows) {
                Err(why) => (Verdict::CouldNot, why),
                Ok(holds) => (if holds { Verdict::Pass } else { Verdict::Fail }, figure(q, &rows)),
            },
        };
        Checked { id: q.id.clone(), verdict, figure, evidence: q.evidence }
    }

    /// One question on a session of its own.
    async fn observe(&self, q: &Question, identify: bool) -> Result<(Rows, Option<TargetIdentity>), Fault> {
        let asked = async {
            let mut conn = self.observer(&q.target, &q.id, q.timeout).await?;
            let ask = Ask { statement: said(&q.deed)?, timeout: q.timeout, cap: q.cap };
            let rows = ask.alone(&mut conn).await?;
            let identity = if identify { Some(observe::identity(&mut conn).await?.0) } else { None };
            Ok((rows, identity))
        };
        limited(SETUP + q.timeout.std(), asked).await
    }

    async fn read(&self, job: &Job) -> Ended {
        let asked = async {
            let mut conn = self.observer(&job.target, &job.execution, job.timeout).await?;
            Ask { statement: said(&job.deed)?, timeout: job.timeout, cap: JOB_CAP }.alone(&mut conn).await
        };
        match limited(job.timeout.std(), asked).await {
            Ok(rows) => match observe::unmet(&job.expect, &rows) {
                None => Ended::Done { rows },
                Some(why) => Ended::Failed { why },
            },
            Err(Fault::Unreachable { text: why, .. } | Fault::Unfit(why)) => Ended::NotStarted { why },
            // It could only read, so nothing remained, whatever became of it.
            Err(Fault::Refused { text: why, .. } | Fault::Lost(why)) => Ended::Failed { why },
        }
    }

    /// A session of the observer's role, refused if that role could write.
    async fn observer(&self, target: &str, id: &str, limit: Span) -> Result<PgConnection, Fault> {
        let mut conn = self.door(target, Purpose::Observe)?.open(id, limit).await?;
        if self.fenced.lock().unwrap_or_else(PoisonError::into_inner).contains(target) {
            return Ok(conn);
        }
        let faults = role::faults(&mut conn).await?;
        if !faults.is_empty() {
            let why = format!("the observer of {target} could write: {}", faults.join("; "));
            return Err(Fault::Unfit(connect::short(&why)));
        }
        self.fenced.lock().unwrap_or_else(PoisonError::into_inner).insert(target.to_owned());
        Ok(conn)
    }

    fn door<'a>(&'a self, target: &'a str, purpose: Purpose) -> Result<Door<'a>, Fault> {
        let found = self.targets.get(target);
        let found = found.ok_or_else(|| Fault::Unfit(format!("target {target} is not configured")))?;
        let url = match purpose {
            Purpose::Observe => &found.observer,
            Purpose::Change => found.operator.as_ref().ok_or_else(|| {
                Fault::Unfit(format!("target {target} has no operator: configure one to let drbot act there"))
            })?,
        };
        Ok(Door { target, url, purpose })
    }
}

/// The statement of a deed; anything else was sent to the wrong executor.
fn said(deed: &Deed) -> Result<&Statement, Fault> {
    deed.statement().ok_or_else(|| Fault::Unfit("only a statement can be asked of a database".to_owned()))
}

/// A check's figure; columns that may hold customers' data stay out of it.
pub(super) fn figure(q: &Question, rows: &Rows) -> String {
    let mut values = q.values.clone();
    values.extend(rows.first());
    // An empty list has names and no values: people read `none`, not a placeholder.
    for name in &rows.columns {
        values.entry(name.clone()).or_insert_with(|| "none".to_owned());
    }
    for name in &q.sensitive {
        values.entry(name.clone()).and_modify(|v| "(hidden)".clone_into(v));
    }
    crate::model::statement::fill(&q.figure, &values)
}

/// Waits for an answer that changes nothing, but not longer than `limit`.
async fn limited<T>(limit: Duration, asked: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let late = || Fault::Lost(format!("no answer within {} s", limit.as_secs_f32().ceil()));
    timeout(limit, asked).await.unwrap_or_else(|_| Err(late()))
}
