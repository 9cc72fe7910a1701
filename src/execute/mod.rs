//! Carrying out: takes a question, a job or a probe; gives what the target said. Knows nothing of
//! chat, approvals or the store, and never decides whether something should be done.

pub mod call;
mod chain;
pub mod http;
pub mod process;
pub mod programs;
pub mod sql;

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::model::approval::TargetIdentity;
use crate::model::ask::Deed;
use crate::model::effect::{Guard, Job, Probe, Question};
use crate::model::expect::Rows;
use crate::model::outcome::{Checked, Ended, Outcome, Verdict};
use crate::model::runbook::EffectClass;
use http::Http;
use programs::Programs;
use sql::Sql;

/// Between two looks at something that is to come true: gentle to a vendor's rate limit.
const PAUSE: Duration = Duration::from_secs(1);
/// The same for what may take longer than a minute: a vendor that allows one call a second counts others too.
const LONG_PAUSE: Duration = Duration::from_secs(10);

/// Rows that a look at several targets may list.
const LOOK_CAP: u64 = 200;

/// Every way to reach the targets of an installation.
#[derive(Debug)]
pub struct Executors {
    pub sql: Sql,
    pub http: Http,
    pub programs: Programs,
}

/// What a question brought, before it is judged.
enum Seen {
    /// Whether the expectation holds, or why that cannot be told; and the figure.
    Judged(Result<bool, String>, String),
    /// The target could not be asked.
    Dark(String),
}

impl Executors {
    /// Asks a question until its expectation holds or `within` has passed.
    pub async fn check(&self, q: &Question) -> Checked {
        if matches!(q.deed, Deed::Sql(_)) {
            return self.sql.check(q).await;
        }
        let until = Instant::now() + q.within.std();
        let pause = if q.within.std() > Duration::from_secs(60) { LONG_PAUSE } else { PAUSE };
        loop {
            let seen = match &q.deed {
                Deed::Http(calls) if !call::paged(calls) => call::check(&self.http, q, calls).await,
                Deed::Process(pipeline) => self.programs.check(q, pipeline).await,
                Deed::Chain(_) | Deed::Http(_) => match self.rows(q).await {
                    Ok(rows) => Seen::Judged(q.expect.holds(&rows), sql::figure(q, &rows)),
                    Err(why) => Seen::Dark(why),
                },
                Deed::Sql(_) => Seen::Dark("a statement is asked of a database".to_owned()),
            };
            let checked = judged(q, seen);
            if checked.verdict == Verdict::Pass || Instant::now() + pause > until {
                return checked;
            }
            sleep(pause).await;
        }
    }

    /// Lists what an action on `acts_on` would touch, and which system that is.
    pub async fn preview(&self, q: &Question, acts_on: &str) -> Outcome {
        if matches!(q.deed, Deed::Sql(_)) && q.target == acts_on {
            return self.sql.preview(q).await;
        }
        let rows = match self.rows(q).await {
            Ok(rows) => rows,
            Err(why) => return Outcome::NoPreview { why },
        };
        match self.identity(acts_on).await {
            Ok(identity) => Outcome::Previewed { rows, identity },
            Err(why) => Outcome::NoPreview { why },
        }
    }

    /// Shows what a step acting on `acts_on` would meet. A step that would change something must also find
    /// that drbot may act there.
    pub async fn look(&self, question: Option<&Question>, acts_on: &str, changes: bool) -> Outcome {
        if changes
            && self.sql.knows(acts_on)
            && let Err(why) = self.sql.may_act(acts_on).await
        {
            return Outcome::NoPreview { why: format!("drbot cannot act there: {why}") };
        }
        if let Some(q) = question {
            return self.preview(q, acts_on).await;
        }
        match self.identity(acts_on).await {
            Ok(identity) => Outcome::Previewed { rows: Rows::default(), identity },
            Err(why) => Outcome::NoPreview { why },
        }
    }

    /// Carries out a job and says how it ended and how certain that is. What may be done again is tried
    /// again as often as the step says.
    pub async fn run(&self, job: &Job) -> Ended {
        let mut ended = self.once(job).await;
        let Some(retry) = job.retry else { return ended };
        for _ in 0..retry.times {
            let failed = matches!(ended, Ended::NotStarted { .. } | Ended::Failed { .. });
            if !failed || !matches!(job.effect, EffectClass::Observe | EffectClass::Idempotent) {
                return ended;
            }
            sleep(retry.pause.std()).await;
            ended = self.once(job).await;
        }
        ended
    }

    async fn once(&self, job: &Job) -> Ended {
        let inside = |g: &Guard| g.target == job.target && matches!(g.deed, Deed::Sql(_));
        if matches!(job.deed, Deed::Sql(_)) && job.guard.as_ref().is_none_or(inside) {
            return self.sql.run(job).await;
        }
        if let Err(why) = self.still_so(job).await {
            return Ended::NotStarted { why };
        }
        match &job.deed {
            Deed::Http(calls) if !call::paged(calls) => call::run(&self.http, job, calls).await,
            Deed::Http(_) => self.observe(job).await,
            Deed::Process(pipeline) => self.programs.run(job, pipeline).await,
            // Asked just now, elsewhere too; the database still makes sure that it is the one approved.
            Deed::Sql(_) => self.sql.run(&Job { guard: None, ..job.clone() }).await,
            Deed::Chain(_) => self.observe(job).await,
        }
    }

    /// Finds out whether an interrupted job happened.
    pub async fn probe(&self, p: &Probe) -> Outcome {
        let question = match &p.question {
            Some(q) if !p.ledger && !matches!(q.deed, Deed::Sql(_)) => q,
            // The effect of programs may show in a database.
            Some(q) if !p.ledger => return self.sql.probe(&Probe { target: q.target.clone(), ..p.clone() }).await,
            _ => return self.sql.probe(p).await,
        };
        let checked = self.check(question).await;
        // That the effect is not visible does not yet mean that nothing was done: the answer must say so itself.
        let happened = match checked.verdict {
            Verdict::Pass => Some(true),
            Verdict::Fail => self.rows(question).await.is_ok_and(|rows| rows.denies()).then_some(false),
            Verdict::CouldNot => None,
        };
        Outcome::Probed { happened, figure: checked.figure }
    }

    async fn rows(&self, q: &Question) -> Result<Rows, String> {
        match &q.deed {
            Deed::Chain(chain) => chain::rows(self, q, chain).await,
            _ => self.plain(q).await,
        }
    }

    /// A step that only looks, at several targets.
    async fn observe(&self, job: &Job) -> Ended {
        match self.rows(&asking(job, (&job.target, &job.deed, LOOK_CAP))).await {
            Ok(rows) if job.effect == EffectClass::Observe => match job.expect.holds(&rows) {
                Ok(true) => Ended::Done { rows },
                Ok(false) => {
                    Ended::Failed { why: format!("the answer is not as expected: {}", job.expect.difference(&rows)) }
                }
                Err(why) => Ended::Failed { why },
            },
            Ok(_) => Ended::NotStarted { why: "questions in a row and pages are asked, never done".to_owned() },
            Err(why) => Ended::Failed { why },
        }
    }

    async fn plain(&self, q: &Question) -> Result<Rows, String> {
        match &q.deed {
            Deed::Chain(_) => Err("a question in a row is one question".to_owned()),
            Deed::Sql(_) => match self.sql.preview(q).await {
                Outcome::Previewed { rows, .. } => Ok(rows),
                Outcome::NoPreview { why } => Err(why),
                _ => Err("the database gave no rows".to_owned()),
            },
            Deed::Http(calls) => call::rows(&self.http, q, calls).await,
            Deed::Process(pipeline) => self.programs.rows(q, pipeline).await,
        }
    }

    async fn identity(&self, target: &str) -> Result<TargetIdentity, String> {
        match self.http.identity(target).or_else(|| self.programs.identity(target)) {
            Some(known) => Ok(known),
            None => self.sql.identity(target).await,
        }
    }

    /// Asks the preview again: what was approved must still be what is there, on the same system.
    async fn still_so(&self, job: &Job) -> Result<(), String> {
        let now = self.identity(&job.target).await?;
        if job.identity.as_ref().is_some_and(|approved| *approved != now) {
            return Err(format!("{} is another system now than the one approved; nothing was sent", job.target));
        }
        let Some(guard) = &job.guard else { return Ok(()) };
        let rows = self
            .rows(&asking(job, (&guard.target, &guard.deed, guard.cap)))
            .await
            .map_err(|why| format!("nothing was sent: {why}"))?;
        guard.broken_by(&rows).map_or(Ok(()), |why| Err(format!("{}{why}", Guard::REFUSED)))
    }
}

/// What a job asks: its guard, or what it only looks at.
fn asking(job: &Job, what: (&str, &Deed, u64)) -> Question {
    let (target, deed, cap) = what;
    Question {
        id: job.execution.clone(),
        target: target.to_owned(),
        deed: deed.clone(),
        expect: crate::model::expect::Expect::default(),
        figure: String::new(),
        values: std::collections::BTreeMap::new(),
        timeout: job.timeout,
        within: crate::model::time::Span::default(),
        cap,
        sensitive: Vec::new(),
        evidence: false,
    }
}

fn judged(q: &Question, seen: Seen) -> Checked {
    let (verdict, figure) = match seen {
        Seen::Judged(Ok(true), figure) => (Verdict::Pass, figure),
        Seen::Judged(Ok(false), figure) => (Verdict::Fail, figure),
        Seen::Judged(Err(why), _) | Seen::Dark(why) => (Verdict::CouldNot, why),
    };
    Checked { id: q.id.clone(), verdict, figure, evidence: q.evidence }
}
