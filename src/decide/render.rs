//! From a runbook's words to exact actions. Takes a pinned run and its values; gives questions, actions
//! and jobs. Rendering twice gives the same bytes, which is what the digest check relies on.

use std::collections::BTreeMap;

use crate::model::approval::{Action, TargetIdentity};
use crate::model::effect::{Guard, Job, Probe, Question};
use crate::model::expect::Rows;
use crate::model::id::CaseId;
use crate::model::run::{Run, StepRun};
use crate::model::runbook::{Check, EffectClass, Preview, SqlWork, Step};
use crate::model::statement::{bind, fill};
use crate::model::time::Millis;

/// Most rows of an observation that are kept; the rest is counted.
const KEPT: u64 = 200;

type Values = BTreeMap<String, String>;

/// A check as a question.
///
/// # Errors
/// Names the placeholder without a value.
pub(crate) fn question(check: &Check, values: &Values) -> Result<Question, String> {
    Ok(Question {
        id: check.id.clone(),
        target: check.target.clone(),
        statement: bind(&check.sql, values)?,
        expect: check.expect.clone(),
        figure: check.figure.clone(),
        values: values.clone(),
        timeout: check.timeout,
        within: check.within,
        cap: KEPT,
        sensitive: Vec::new(),
    })
}

/// All checks of a list; a check that cannot be rendered is an error for the whole list.
pub(crate) fn questions(checks: &[Check], values: &Values) -> Result<Vec<Question>, String> {
    checks.iter().map(|c| question(c, values)).collect()
}

/// The preview of a step as a question.
pub(crate) fn preview(step: &Step, work: &SqlWork, preview: &Preview, values: &Values) -> Result<Question, String> {
    Ok(Question {
        id: step.id.clone(),
        target: work.target.clone(),
        statement: bind(&preview.sql, values)?,
        expect: crate::model::expect::Expect::default(),
        figure: String::new(),
        values: values.clone(),
        timeout: step.timeout,
        within: crate::model::time::Span::default(),
        cap: preview.cap,
        sensitive: preview.sensitive.clone(),
    })
}

/// The values of a step once the approved rows are known: the run's parameters and `approved`.
pub(crate) fn with_approved(work: &SqlWork, values: &Values, rows: &Rows) -> Values {
    let mut all = values.clone();
    if let Some(p) = &work.preview {
        let list = serde_json::to_string(&rows.identities(&p.identity)).unwrap_or_default();
        all.insert("approved".into(), list);
    }
    all
}

/// What an approval is about, from the preview that was just made.
pub(crate) struct Asking<'a> {
    pub(crate) case: &'a CaseId,
    pub(crate) rows: &'a Rows,
    pub(crate) identity: &'a TargetIdentity,
    pub(crate) policy: &'a str,
    pub(crate) decide_by: Millis,
}

/// The exact action of the run's current step.
pub(crate) fn action(run: &Run, step: &Step, work: &SqlWork, asking: &Asking<'_>) -> Result<Action, String> {
    let state = run.current().map(|(_, s)| s).ok_or("the run has no current step")?;
    let values = with_approved(work, &run.values, asking.rows);
    Ok(Action {
        execution: place(asking.case, run, state),
        runbook: run.loaded.runbook.runbook.clone(),
        closure: run.loaded.closure.clone(),
        step: step.id.clone(),
        attempt: state.attempt,
        title: fill(&step.title, &run.values),
        risk: work.risk,
        effect: work.effect,
        target: work.target.clone(),
        identity: asking.identity.clone(),
        statement: bind(&work.sql, &values)?,
        values: run.values.clone(),
        preview: asking.rows.clone(),
        undo: work.undo.clone(),
        requester: run.by.clone(),
        policy: asking.policy.to_owned(),
        decide_by: asking.decide_by,
    })
}

/// Where one execution belongs: incident, run, step, attempt.
fn place(case: &CaseId, run: &Run, state: &StepRun) -> String {
    format!("{}.{}.{}.{}", case.0, run.id, state.id, state.attempt)
}

/// The name of one execution in the target's ledger and activity view. It ends with the approval, since
/// another installation, or a store that was made anew, counts its cases from one too.
pub(crate) fn execution(case: &CaseId, run: &Run, state: &StepRun) -> String {
    let place = place(case, run, state);
    state.approval.as_ref().map_or(place.clone(), |a| format!("{place}.{}", a.id.0))
}

/// What the worker is to run for the current step. A changing step takes everything from its approved
/// action; a safe one is rendered here.
pub(crate) fn job(case: &CaseId, run: &Run, step: &Step, work: &SqlWork) -> Result<Job, String> {
    let state = run.current().map(|(_, s)| s).ok_or("the run has no current step")?;
    let approval = state.approval.as_ref();
    let statement = match approval {
        Some(a) => a.action.statement.clone(),
        None => bind(&work.sql, &run.values)?,
    };
    let guard = match (&work.preview, approval) {
        (Some(p), Some(a)) => Some(Guard {
            statement: bind(&p.sql, &run.values)?,
            identity: p.identity.clone(),
            approved: a.action.preview.identities(&p.identity),
            tolerance: p.tolerance.rows,
            cap: p.cap,
        }),
        _ => None,
    };
    Ok(Job {
        execution: execution(case, run, state),
        digest: approval.map(|a| a.digest.clone()).unwrap_or_default(),
        target: work.target.clone(),
        effect: work.effect,
        statement,
        expect: work.expect.clone(),
        timeout: step.timeout,
        identity: approval.map(|a| a.action.identity.clone()),
        guard,
        sensitive: work.sensitive.clone(),
    })
}

/// How to find out whether the current step's interrupted job happened, if there is a way.
pub(crate) fn probe(case: &CaseId, run: &Run, work: &SqlWork) -> Option<Probe> {
    let state = run.current().map(|(_, s)| s)?;
    let rows = state.approval.as_ref().map(|a| a.action.preview.clone()).unwrap_or_default();
    let values = with_approved(work, &run.values, &rows);
    let ledger = work.effect == EffectClass::Atomic;
    let question = work.probe.as_ref().and_then(|c| question(c, &values).ok());
    (ledger || question.is_some()).then(|| Probe {
        execution: execution(case, run, state),
        target: work.target.clone(),
        ledger,
        question,
    })
}
