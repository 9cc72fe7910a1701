//! The database-performance runbook against real trouble: exactly the approved sessions end.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use drbot::model::approval::TargetIdentity;
use drbot::model::effect::{Guard, Job, Probe, Question};
use drbot::model::expect::Rows;
use drbot::model::outcome::{Ended, Outcome, Verdict};
use drbot::model::runbook::{Check, Runbook, Shared, Task};
use drbot::model::time::Span;
use drbot::practice::trouble::{self, Session};
use tokio::time::{Instant, sleep};

use crate::support::{Lab, commands, previewed};

const SOON: Duration = Duration::from_secs(10);
const NOW: Duration = Duration::from_millis(200);

type Values = BTreeMap<String, String>;

fn runbook() -> Runbook {
    serde_saphyr::from_str(&fs::read_to_string(commands().join("database-performance.yaml")).unwrap()).unwrap()
}

fn sql_step(runbook: &Runbook, id: &str) -> (Task, Span) {
    let step = runbook.steps.iter().find(|s| s.id == id).unwrap();
    (step.work.task().unwrap_or_else(|| panic!("{id} is manual")).clone(), step.timeout)
}

fn asked(check: &Check, values: &Values) -> Question {
    Question {
        id: check.id.clone(),
        target: check.target.clone(),
        deed: check.ask().unwrap().deed(values, &[], check.timeout).unwrap(),
        expect: check.expect.clone(),
        figure: check.figure.clone(),
        values: values.clone(),
        timeout: check.timeout,
        within: check.within,
        cap: 100,
        sensitive: Vec::new(),
        evidence: check.evidence,
    }
}

/// One step as the engine would carry it out: preview, approval of some rows, job.
struct Played {
    work: Task,
    timeout: Span,
    values: Values,
}

impl Played {
    fn new(id: &str) -> Played {
        let (work, timeout) = sql_step(&runbook(), id);
        Played { work, timeout, values: [("longer_than".to_owned(), "1s".to_owned())].into() }
    }

    async fn preview(&self, lab: &Lab) -> (Rows, TargetIdentity) {
        let preview = self.work.preview.as_ref().unwrap();
        let check = Check {
            id: "preview".into(),
            covers: Vec::new(),
            target: self.work.target.clone(),
            sql: preview.sql.clone(),
            call: None,
            run: None,
            also: Vec::new(),
            evidence: false,
            expect: Default::default(),
            figure: String::new(),
            timeout: Span::seconds(5),
            within: Span::default(),
        };
        match lab.sql.preview(&asked(&check, &self.values)).await {
            Outcome::Previewed { rows, identity } => (rows, identity),
            other => panic!("{other:?}"),
        }
    }

    /// Previews until it lists exactly these sessions.
    async fn preview_of(&self, lab: &Lab, pids: &[i32]) -> (Rows, TargetIdentity) {
        let limit = Instant::now() + SOON;
        let mut wanted: Vec<String> = pids.iter().map(i32::to_string).collect();
        wanted.sort();
        loop {
            let (rows, identity) = self.preview(lab).await;
            let mut listed: Vec<String> = rows.rows.iter().map(|r| r[0].clone().unwrap()).collect();
            listed.sort();
            if listed == wanted {
                return (rows, identity);
            }
            assert!(Instant::now() < limit, "the preview lists {listed:?}, not {wanted:?}");
            sleep(NOW).await;
        }
    }

    fn job(&mut self, approved: &Rows, identity: TargetIdentity) -> Job {
        let preview = self.work.preview.as_ref().unwrap();
        let rows = approved.identities(&preview.identity);
        self.values.insert("approved".into(), serde_json::to_string(&rows).unwrap());
        Job {
            execution: format!("INC-1/{}/1", self.work.risk.word()),
            digest: "d".repeat(64),
            target: self.work.target.clone(),
            effect: self.work.effect,
            deed: self.work.ask().unwrap().deed(&self.values, &[], Span::seconds(30)).unwrap(),
            expect: self.work.expect.clone(),
            timeout: self.timeout,
            identity: Some(identity),
            guard: Some(Guard {
                target: self.work.target.clone(),
                deed: preview.ask().unwrap().deed(&self.values, &[], Span::seconds(30)).unwrap(),
                identity: preview.identity.clone(),
                approved: rows,
                tolerance: preview.tolerance.rows,
                cap: preview.cap,
            }),
            sensitive: self.work.sensitive.clone(),
            retry: None,
        }
    }

    async fn verify(&self, lab: &Lab) {
        for check in &self.work.verify {
            let checked = lab.sql.check(&asked(check, &self.values)).await;
            assert_eq!(checked.verdict, Verdict::Pass, "{}", checked.figure);
        }
    }

    async fn probe(&self, lab: &Lab, execution: &str) -> Option<bool> {
        let question = self.work.probe.as_ref().map(|p| asked(p, &self.values));
        let probe = Probe { execution: execution.into(), target: self.work.target.clone(), ledger: false, question };
        match lab.sql.probe(&probe).await {
            Outcome::Probed { happened, .. } => happened,
            other => panic!("{other:?}"),
        }
    }
}

async fn detect(lab: &Lab) -> Vec<(Verdict, String)> {
    let values = [("longer_than".to_owned(), "1s".to_owned())].into();
    let mut all = Vec::new();
    for check in runbook().detect.checks.iter().filter(|c| !c.evidence) {
        let checked = lab.sql.check(&asked(check, &values)).await;
        all.push((checked.verdict, checked.figure));
    }
    all
}

async fn detects(lab: &Lab, wanted: [Verdict; 3]) -> Vec<String> {
    let limit = Instant::now() + SOON;
    loop {
        let (verdicts, figures): (Vec<_>, Vec<_>) = detect(lab).await.into_iter().unzip();
        if verdicts == wanted {
            return figures;
        }
        assert!(Instant::now() < limit, "{figures:?}");
        sleep(NOW).await;
    }
}

fn pids(sessions: &[Session]) -> Vec<i32> {
    sessions.iter().map(|s| s.pid).collect()
}

async fn running(session: &mut Session) -> bool {
    session.ended(NOW).await.is_none()
}

#[test]
fn the_files_fit_the_structs() {
    let shared: Shared = serde_saphyr::from_str(&fs::read_to_string(commands().join("_shared.yaml")).unwrap()).unwrap();
    assert_eq!(shared.scenarios.iter().filter(|s| s.id.starts_with('S')).count(), 9, "the page's");
    let runbook = runbook();
    assert!(shared.scenarios.iter().any(|s| s.runbook == runbook.runbook && s.tier == runbook.tier));
    assert_eq!(runbook.objectives, shared.objectives);
    for check in runbook.detect.checks.iter().chain(&runbook.verify) {
        assert!(!check.expect.is_empty(), "{}", check.id);
    }
}

#[tokio::test]
async fn only_the_approved_statements_are_cancelled() {
    let lab = Lab::new().await;
    assert!(detect(&lab).await.iter().all(|(v, _)| *v == Verdict::Pass));
    let mut approved = trouble::long_statements(&lab.scratch, 3).await.unwrap();
    let mut jam = trouble::lock_jam(&lab.scratch, 2).await.unwrap();
    let figures = detects(&lab, [Verdict::Fail; 3]).await;
    assert!(figures[0].starts_with("3 statements running longer than 1s, oldest 00:00:0"), "{}", figures[0]);

    let mut step = Played::new("cancel-long-queries");
    let (rows, identity) = step.preview_of(&lab, &pids(&approved)).await;
    let mut later = trouble::long_statements(&lab.scratch, 1).await.unwrap();
    // The same condition now holds for the later one as well: only the approval keeps it out.
    let mut both = pids(&approved);
    both.extend(pids(&later));
    step.preview_of(&lab, &both).await;
    let job = step.job(&rows, identity);
    assert_eq!(step.probe(&lab, &job.execution).await, Some(false));
    let Ended::Done { rows } = lab.sql.run(&job).await else { panic!("not done") };
    assert_eq!(rows.count(), 3);
    for session in &mut approved {
        assert_eq!(session.ended(SOON).await.as_deref(), Some("57014"));
    }
    step.verify(&lab).await;
    assert_eq!(step.probe(&lab, &job.execution).await, Some(true));
    assert!(running(&mut later[0]).await && running(&mut jam.holder).await);
    assert!(running(&mut jam.waiting[0]).await && running(&mut jam.waiting[1]).await);

    // The approved rows are gone, so the same job may not start again.
    let again = lab.sql.run(&job).await;
    assert!(matches!(&again, Ended::NotStarted { why } if why.contains("none of the approved")), "{again:?}");
    assert!(running(&mut later[0]).await);
}

#[tokio::test]
async fn the_blocker_is_terminated_and_the_waiting_go_on() {
    let lab = Lab::new().await;
    let mut jam = trouble::lock_jam(&lab.scratch, 2).await.unwrap();
    let mut survivor = trouble::long_statements(&lab.scratch, 1).await.unwrap();
    let (look, _) = sql_step(&runbook(), "look");
    let seen = previewed(lab.sql.preview(&crate::support::question(look.sql.as_ref().unwrap(), &[])).await);
    let blockers: Vec<_> = seen.rows.iter().map(|r| r[seen.column("blocker_pid").unwrap()].clone()).collect();
    assert!(blockers.contains(&Some(jam.holder.pid.to_string())), "{blockers:?}");

    let mut step = Played::new("terminate-blockers");
    let (mut rows, identity) = step.preview_of(&lab, &[jam.holder.pid, survivor[0].pid]).await;
    rows.rows.retain(|r| r[0].as_deref() == Some(jam.holder.pid.to_string().as_str()));
    let job = step.job(&rows, identity);
    let ended = lab.sql.run(&job).await;
    assert!(matches!(&ended, Ended::Done { rows } if rows.count() == 1), "{ended:?}");
    step.verify(&lab).await;
    assert_eq!(step.probe(&lab, &job.execution).await, Some(true));
    for session in &mut jam.waiting {
        assert_eq!(session.ended(SOON).await.as_deref(), Some("00000"));
    }
    assert_eq!(jam.holder.ended(SOON).await.as_deref(), Some("57P01"));
    assert!(running(&mut survivor[0]).await);
}

#[tokio::test]
async fn a_session_that_moved_on_is_spared() {
    let lab = Lab::new().await;
    let mut sessions = trouble::long_statements(&lab.scratch, 1).await.unwrap();
    let mut step = Played::new("cancel-long-queries");
    let (mut rows, identity) = step.preview_of(&lab, &pids(&sessions)).await;
    // As if the pid were another session's by now: same number, other start.
    let at = rows.column("backend_start").unwrap();
    rows.rows[0][at] = Some("2026-01-01 00:00:00.000001+00".into());
    let mut job = step.job(&rows, identity);
    job.guard = None;
    let ended = lab.sql.run(&job).await;
    assert!(matches!(&ended, Ended::Done { rows } if rows.count() == 0), "{ended:?}");
    assert!(running(&mut sessions[0]).await);
}
