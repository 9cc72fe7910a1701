//! From a runbook's words to exact actions. Takes a pinned run and its values; gives questions, actions
//! and jobs. Rendering twice gives the same bytes, which is what the digest check relies on.

use std::collections::BTreeMap;

use crate::model::agreed::AgreedUndo;
use crate::model::approval::{Action, TargetIdentity};
use crate::model::ask::{Ask, Deed};
use crate::model::effect::{Guard, Job, Probe, Question};
use crate::model::expect::Rows;
use crate::model::id::CaseId;
use crate::model::param::Keep;
use crate::model::run::{Run, StepRun};
use crate::model::runbook::{Check, EffectClass, Pick, Preview, Step, Task, Undo};
use crate::model::statement::fill;
use crate::model::time::{Millis, Span};

/// Most rows of an observation that are kept; the rest is counted.
const KEPT: u64 = 200;

type Values = BTreeMap<String, String>;
type Identities = [BTreeMap<String, Option<String>>];

/// A check as a question.
///
/// # Errors
/// Names the placeholder without a value.
fn question(check: &Check, values: &Values, rows: &Identities) -> Result<Question, String> {
    Ok(Question {
        id: check.id.clone(),
        target: check.target.clone(),
        deed: check.ask()?.deed(values, rows, check.timeout)?,
        expect: check.expect.clone(),
        figure: check.figure.clone(),
        values: values.clone(),
        timeout: check.timeout,
        within: check.within,
        cap: KEPT,
        sensitive: Vec::new(),
        evidence: check.evidence,
    })
}

/// All checks of a list; a check that cannot be rendered is an error for the whole list.
pub(crate) fn questions(checks: &[Check], values: &Values) -> Result<Vec<Question>, String> {
    checks.iter().map(|c| question(c, values, &[])).collect()
}

/// The checks that prove a step, which may ask about the approved rows.
pub(crate) fn proofs(work: &Task, values: &Values, rows: &Rows) -> Result<Vec<Question>, String> {
    let (all, identities) = approved(work, values, rows);
    work.verify.iter().map(|c| question(c, &all, single(&identities))).collect()
}

/// A question can name the columns of one approved row; of several it can only take the list.
fn single(identities: &Identities) -> &Identities {
    if identities.len() == 1 { identities } else { &[] }
}

/// The preview of a step as a question.
pub(crate) fn preview(step: &Step, work: &Task, preview: &Preview, values: &Values) -> Result<Question, String> {
    Ok(Question {
        id: step.id.clone(),
        target: preview.target.as_ref().unwrap_or(&work.target).clone(),
        deed: preview.ask()?.deed(values, &[], step.timeout)?,
        expect: crate::model::expect::Expect::default(),
        figure: String::new(),
        values: values.clone(),
        timeout: step.timeout,
        within: crate::model::time::Span::default(),
        cap: preview.cap,
        sensitive: preview.sensitive.clone(),
        evidence: false,
    })
}

/// What a parameter can be chosen from, as a question.
pub(crate) fn pick(name: &str, pick: &Pick, values: &Values) -> Result<Question, String> {
    list(name, (&pick.target, pick.ask()?), values, crate::model::form::OPTIONS)
}

/// What is kept for a parameter.
pub(crate) fn keep(name: &str, keep: &Keep) -> Result<Question, String> {
    list(name, (&keep.target, Ask::Sql(&keep.sql)), &Values::new(), crate::model::param::KEPT)
}

fn list(name: &str, of: (&str, Ask<'_>), values: &Values, cap: usize) -> Result<Question, String> {
    let timeout = crate::model::time::Span::seconds(10);
    Ok(Question {
        id: name.to_owned(),
        target: of.0.to_owned(),
        deed: of.1.deed(values, &[], timeout)?,
        expect: crate::model::expect::Expect::default(),
        figure: String::new(),
        values: values.clone(),
        timeout,
        within: crate::model::time::Span::default(),
        cap: cap as u64,
        sensitive: Vec::new(),
        evidence: false,
    })
}

/// A step that only reads, as a question.
pub(crate) fn observation(step: &Step, work: &Task, values: &Values) -> Result<Question, String> {
    Ok(Question {
        id: step.id.clone(),
        target: work.target.clone(),
        deed: work.ask()?.deed(values, &[], step.timeout)?,
        expect: work.expect.clone(),
        figure: String::new(),
        values: values.clone(),
        timeout: step.timeout,
        within: crate::model::time::Span::default(),
        cap: KEPT,
        sensitive: work.sensitive.clone(),
        evidence: false,
    })
}

/// What a step would do if exactly these rows were approved.
pub(crate) fn planned(step: &Step, work: &Task, values: &Values, rows: Option<&Rows>) -> Result<Deed, String> {
    let (all, identities) = match rows {
        Some(rows) if !work.reads() => approved(work, values, rows),
        _ => (values.clone(), Vec::new()),
    };
    work.ask()?.deed(&all, &identities, step.timeout)
}

/// The values of a step once the approved rows are known: the run's parameters and `approved`; and the
/// rows' identities.
fn approved(work: &Task, values: &Values, rows: &Rows) -> (Values, Vec<BTreeMap<String, Option<String>>>) {
    let mut all = values.clone();
    let Some(p) = &work.preview else { return (all, Vec::new()) };
    let identities = rows.identities(&p.identity);
    all.insert("approved".into(), serde_json::to_string(&identities).unwrap_or_default());
    (all, identities)
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
pub(crate) fn action(run: &Run, step: &Step, work: &Task, asking: &Asking<'_>) -> Result<Action, String> {
    let state = run.current().map(|(_, s)| s).ok_or("the run has no current step")?;
    let (values, identities) = approved(work, &run.values, asking.rows);
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
        deed: work.ask()?.deed(&values, &identities, step.timeout)?,
        values: run.values.clone(),
        preview: asking.rows.clone(),
        undo: work.undo.as_ref().map(|u| fill(&u.text(), &run.values)),
        agreed: agreed(run, step, work, asking.rows)?.map(Box::new),
        requester: run.by.clone(),
        policy: asking.policy.to_owned(),
        decide_by: asking.decide_by,
    })
}

/// How the step is taken back by itself, if the file says so: rendered with the rows that are approved now.
fn agreed(run: &Run, step: &Step, work: &Task, rows: &Rows) -> Result<Option<AgreedUndo>, String> {
    let Some(Undo::Step(undo)) = &work.undo else { return Ok(None) };
    let (Some(by), Some(task)) = (&undo.by_itself, undo.work.task()) else { return Ok(None) };
    let p = task.preview.as_ref().ok_or("the undo has no preview")?;
    let (values, identities) = approved(task, &run.values, rows);
    let check = |c: &Check| question(c, &values, single(&identities));
    Ok(Some(AgreedUndo {
        title: fill(&undo.title, &run.values),
        when: fill(&by.when, &run.values),
        checks: by.checks.iter().map(check).collect::<Result<_, String>>()?,
        every: by.every,
        latest: Span::parse(&fill(&by.latest, &run.values))?,
        effect: task.effect,
        deed: task.ask()?.deed(&values, &identities, step.timeout)?,
        expect: task.expect.clone(),
        timeout: step.timeout,
        guard: Guard {
            target: p.target.as_ref().unwrap_or(&task.target).clone(),
            deed: p.ask()?.deed(&run.values, &[], step.timeout)?,
            identity: p.identity.clone(),
            approved: identities.clone(),
            tolerance: p.tolerance.rows,
            cap: p.cap,
        },
        verify: task.verify.iter().map(check).collect::<Result<_, String>>()?,
        sensitive: task.sensitive.clone(),
    }))
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
pub(crate) fn job(case: &CaseId, run: &Run, step: &Step, work: &Task) -> Result<Job, String> {
    let state = run.current().map(|(_, s)| s).ok_or("the run has no current step")?;
    let approval = state.approval.as_ref();
    let deed = match approval {
        Some(a) => a.action.deed.clone(),
        None => work.ask()?.deed(&run.values, &[], step.timeout)?,
    };
    let guard = match (&work.preview, approval) {
        (Some(p), Some(a)) => Some(Guard {
            target: p.target.as_ref().unwrap_or(&work.target).clone(),
            deed: p.ask()?.deed(&run.values, &[], step.timeout)?,
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
        deed,
        expect: work.expect.clone(),
        timeout: step.timeout,
        identity: approval.map(|a| a.action.identity.clone()),
        guard,
        sensitive: work.sensitive.clone(),
        retry: step.retry,
    })
}

/// How to find out whether the current step's interrupted job happened, if there is a way.
pub(crate) fn probe(case: &CaseId, run: &Run, work: &Task) -> Option<Probe> {
    let state = run.current().map(|(_, s)| s)?;
    let rows = state.approval.as_ref().map(|a| a.action.preview.clone()).unwrap_or_default();
    let (values, identities) = approved(work, &run.values, &rows);
    let ledger = work.effect == EffectClass::Atomic;
    let question = work.probe.as_ref().and_then(|c| question(c, &values, single(&identities)).ok());
    (ledger || question.is_some()).then(|| Probe {
        execution: execution(case, run, state),
        target: work.target.clone(),
        ledger,
        question,
    })
}
