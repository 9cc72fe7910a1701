//! What is well formed in a runbook file and still not safe or not sensible. Takes the file's text and the
//! runbook; gives every fault with its place.

mod by_itself;
mod deadlines;
mod pick;
mod sql;

use std::collections::{BTreeMap, BTreeSet};

use super::catalog::{self, fault_at};
use super::include::included;
use super::look;
use super::near::nearest;
use crate::model::alert::SOURCES;
use crate::model::ask::Ask;
use crate::model::chain::Chain;
use crate::model::flow::OnFail;
use crate::model::runbook::{Check, EffectClass, Param, Preview, Risk, RowTolerance, Runbook, Step, Task, Undo, Work};
use crate::model::time::Span;

/// What loads and deserves a second look: statements that cannot be judged, and a plan that does not add up.
pub(super) fn warnings(file: &str, text: &str, runbook: &Runbook) -> Vec<String> {
    let mut found: Vec<String> =
        sql::unread(text, runbook).into_iter().map(|(at, what)| fault_at(file, text, at, &what)).collect();
    let mut longest = BTreeMap::new();
    for step in &runbook.steps {
        let one: &mut Span = longest.entry(step.either.as_ref().unwrap_or(&step.id)).or_default();
        *one = (*one).max(step.budget);
    }
    let sum = Span(longest.values().map(|s| s.0).sum());
    if sum > runbook.estimate {
        let what = format!(
            "the steps' budgets add up to {}, more than the estimate of {}: correct one, or mark steps of which only \
             one finds work with the same `either`",
            sum.exact(),
            runbook.estimate.exact()
        );
        found.push(catalog::fault(file, text, &["estimate:"], &what));
    }
    found
}

/// Everything about one file that is well formed but not safe or not sensible.
pub(super) fn lint(file: &str, text: &str, runbook: &Runbook) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |needle: &str, what: String| faults.push(catalog::fault(file, text, &[needle], &what));
    if file != format!("{}.yaml", runbook.runbook) {
        fault("runbook:", format!("`runbook: {}` must be the file's name without .yaml", runbook.runbook));
    }
    if !(1..=3).contains(&runbook.tier) {
        fault("tier:", format!("tier {} does not exist: 1 is restored first, 3 last", runbook.tier));
    }
    if runbook.detect.failures == 0 || runbook.detect.checks.is_empty() {
        fault("detect:", "detection needs at least one check and `failures` of at least 1".into());
    }
    if runbook.steps.is_empty() || runbook.verify.is_empty() {
        fault("runbook:", "a runbook needs at least one step, and `verify` checks that prove the recovery".into());
    }
    for rule in &runbook.alerts {
        if !SOURCES.contains(&rule.source.as_str()) {
            let what = format!("there is no alert source `{}`: known are {}", rule.source, SOURCES.join(", "));
            fault("alerts:", what);
        }
        if rule.labels.is_empty() {
            fault("alerts:", "an alert rule without labels would answer every alert: name at least `alertname`".into());
        }
    }
    for what in deadlines::faults(runbook) {
        fault("deadlines:", what);
    }
    for (step, what) in by_itself::faults(runbook) {
        faults.push(catalog::fault(file, text, &["steps:", &format!("id: {step}"), "by_itself:"], &what));
    }
    let mut fault = |needle: &str, what: String| faults.push(catalog::fault(file, text, &[needle], &what));
    for what in interlocks(runbook) {
        fault("interlocks:", what);
    }
    for (name, param) in &runbook.params {
        if let Err(e) = sound(name, param) {
            faults.push(catalog::fault(file, text, &["params:", &format!("{name}:")], &e));
        }
    }
    for (name, what) in pick::faults(runbook) {
        faults.push(catalog::fault(file, text, &["params:", &format!("{name}:"), "pick:"], &what));
    }
    for (name, what) in pick::kept(runbook) {
        faults.push(catalog::fault(file, text, &["params:", &format!("{name}:")], &what));
    }
    let mut ids = BTreeSet::new();
    for step in &runbook.steps {
        if !ids.insert(&step.id) {
            let id = format!("id: {}", step.id);
            let what = format!("step `{}` exists twice: give each its own id", step.id);
            faults.push(catalog::fault(file, text, &["steps:", &id, &id], &what));
        }
    }
    let names: BTreeSet<&str> = runbook.params.keys().map(String::as_str).collect();
    let mut used = pick::used(runbook);
    let found = statements(runbook, &names, &mut used).into_iter().chain(steps(&runbook.steps));
    for (where_, what) in found.chain(look::faults(runbook)) {
        let needles: Vec<&str> = where_.iter().map(String::as_str).collect();
        faults.push(catalog::fault(file, text, &needles, &what));
    }
    // What a contained runbook uses is not known here.
    let alone = included(runbook).next().is_none();
    for name in names.iter().filter(|n| alone && !used.contains(**n)) {
        let what = format!("parameter `{name}` is used by no statement: remove it");
        faults.push(catalog::fault(file, text, &["params:", &format!("{name}:")], &what));
    }
    faults.extend(sql::faults(text, runbook).into_iter().map(|(at, what)| fault_at(file, text, at, &what)));
    faults
}

fn sound(name: &str, param: &Param) -> Result<(), String> {
    for bound in [&param.default, &param.min, &param.max].into_iter().flatten() {
        param.read(name, bound)?;
    }
    match &param.ask {
        Some(ask) if ask.trim().is_empty() || ask.chars().count() > 200 || ask.chars().any(char::is_control) => {
            Err(format!("parameter `{name}`: `ask` is one line of 1 to 200 characters"))
        }
        _ => Ok(()),
    }
}

/// What to look for, one behind the other, to find the place of a fault; and the fault.
type Fault = (Vec<String>, String);

/// Every question and every work of a runbook: its target, what is asked, whether it changes something.
pub(super) fn asks(runbook: &Runbook) -> Vec<(&str, Ask<'_>, bool)> {
    let mut all = Vec::new();
    let mut add = |target, ask: Result<_, String>, changes| {
        all.extend(ask.ok().into_iter().flat_map(|ask| each(target, ask, changes)));
    };
    let looks = runbook.steps.iter().flat_map(|s| looks(&s.work));
    for check in runbook.detect.checks.iter().chain(&runbook.verify).chain(looks) {
        add(check.target.as_str(), check.ask(), false);
    }
    for pick in runbook.params.values().filter_map(|p| p.pick.as_ref()) {
        add(&pick.target, pick.ask(), false);
    }
    for keep in runbook.params.values().filter_map(|p| p.keep.as_ref()) {
        add(&keep.target, Ok(Ask::Sql(&keep.sql)), false);
    }
    for task in runbook.steps.iter().flat_map(|s| tasks(&s.work)) {
        add(&task.target, task.ask(), !task.reads());
        for check in proofs(task) {
            add(&check.target, check.ask(), false);
        }
        if let Some(p) = &task.preview {
            add(p.target.as_ref().unwrap_or(&task.target), p.ask(), false);
        }
    }
    all
}

/// The questions of a chain one by one; anything else as it is.
fn each<'a>(target: &'a str, ask: Ask<'a>, changes: bool) -> Vec<(&'a str, Ask<'a>, bool)> {
    let Ask::Chain(chain) = ask else { return vec![(target, ask, changes)] };
    let first = chain.first().ok().map(|ask| (target, ask, false));
    let also = chain.also.iter().filter_map(|a| Some((a.target.as_str(), a.ask().ok()?, false)));
    first.into_iter().chain(also).collect()
}

/// What a system does in a step, and what it does to take it back.
pub(super) fn tasks(work: &Work) -> Vec<&Task> {
    let mut all: Vec<&Task> = work.task().into_iter().collect();
    if let Some(Undo::Step(undo)) = work.task().and_then(|t| t.undo.as_ref()) {
        all.extend(undo.work.task());
    }
    all
}

/// The questions that prove a work, find out about it, or say when it is taken back.
pub(super) fn proofs(task: &Task) -> impl Iterator<Item = &Check> {
    let by_itself = match &task.undo {
        Some(Undo::Step(undo)) => undo.by_itself.as_ref(),
        _ => None,
    };
    task.verify.iter().chain(&task.probe).chain(by_itself.into_iter().flat_map(|by| &by.checks))
}

/// The questions of steps that only look.
pub(super) fn looks(work: &Work) -> &[Check] {
    match work {
        Work::Wait(wait) => &wait.until,
        Work::Parallel(parallel) => &parallel.checks,
        _ => &[],
    }
}

/// Where something is asked, and which names it may use besides the parameters.
struct Asked<'a> {
    id: &'a str,
    ask: Result<Ask<'a>, String>,
    extra: Vec<&'a str>,
}

fn asked(runbook: &Runbook) -> Vec<Asked<'_>> {
    let mut all: Vec<Asked<'_>> = Vec::new();
    let looks = runbook.steps.iter().flat_map(|s| looks(&s.work));
    for c in runbook.detect.checks.iter().chain(&runbook.verify).chain(looks) {
        all.push(Asked { id: &c.id, ask: c.ask(), extra: Vec::new() });
    }
    for step in &runbook.steps {
        for task in tasks(&step.work) {
            let identity: Vec<&str> = task.preview.iter().flat_map(|p| &p.identity).map(String::as_str).collect();
            let extra: Vec<&str> = task.preview.iter().map(|_| "approved").chain(identity).collect();
            all.push(Asked { id: &step.id, ask: task.ask(), extra: extra.clone() });
            if let Some(p) = &task.preview {
                all.push(Asked { id: &step.id, ask: p.ask(), extra: Vec::new() });
            }
            for c in proofs(task) {
                all.push(Asked { id: &c.id, ask: c.ask(), extra: extra.clone() });
            }
        }
    }
    all
}

/// Every placeholder must be a parameter (or come from the approved rows), every check needs an
/// expectation that it can be held against, and calls that only read use methods that only read.
fn statements(runbook: &Runbook, names: &BTreeSet<&str>, used: &mut BTreeSet<String>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for Asked { id, ask, extra } in asked(runbook) {
        let at = format!("id: {id}");
        let ask = match ask {
            Ok(ask) => ask,
            Err(why) => {
                faults.push((vec![at], format!("`{id}`: {why}")));
                continue;
            }
        };
        for p in ask.placeholders() {
            let sql = matches!(ask, Ask::Sql(_) | Ask::Chain(Chain { sql: Some(_), .. }));
            let known = names.contains(p.as_str()) || extra.contains(&p.as_str()) && (!sql || p == "approved");
            if !known {
                let near =
                    nearest(&p, names.iter().copied()).map_or(String::new(), |n| format!("did you mean `{n}`? Or "));
                let shown = if sql { format!(":{p}") } else { format!("{{{p}}}") };
                let what = format!("`{shown}` in `{id}` is no parameter: {near}declare it under `params`");
                faults.push((vec![at.clone(), shown], what));
            }
            if !sql && runbook.params.get(&p).is_some_and(|p| p.keep.is_some()) {
                let what = format!("`{{{p}}}` in `{id}` is rows that were kept, which only a statement takes");
                faults.push((vec![at.clone()], what));
            }
            used.insert(p);
        }
    }
    let steps = runbook.steps.iter().flat_map(|s| tasks(&s.work)).flat_map(proofs);
    for probe in runbook.steps.iter().flat_map(|s| tasks(&s.work)).filter_map(|t| t.probe.as_ref()) {
        if probe.expect.reachable && probe.expect.ignores_rows() {
            let what = format!("probe `{}` must look at an answer: being reachable proves no effect", probe.id);
            faults.push((vec![format!("id: {}", probe.id)], what));
        }
    }
    let looks = runbook.steps.iter().flat_map(|s| looks(&s.work));
    for check in runbook.detect.checks.iter().chain(&runbook.verify).chain(steps).chain(looks) {
        faults.extend(
            unfit(check).map(|what| (vec![format!("id: {}", check.id)], format!("check `{}` {what}", check.id))),
        );
    }
    faults
}

/// Why a check could never fail, or asks in a way that could change something.
fn unfit(check: &Check) -> Option<String> {
    let http = matches!(check.ask(), Ok(Ask::Http(_)));
    match check.ask() {
        Ok(Ask::Http(call)) if !look::reads(call) && !look::refused(call, &check.expect) => {
            Some(format!("uses {}, and a check only reads: use get or head", call.method.word()))
        }
        Ok(Ask::Http(call)) if call.each => Some("asks once: `each` is for steps".to_owned()),
        Ok(Ask::Sql(_) | Ask::Chain(_)) if check.expect.is_empty() => {
            Some("expects nothing, so it could never fail: add `expect`".to_owned())
        }
        _ if !http && check.expect.answer.is_some() => {
            Some("has no answer of a call: `expect.answer` is for `call`".to_owned())
        }
        _ => None,
    }
}

fn steps(list: &[Step]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for step in list {
        let at = vec!["steps:".to_owned(), format!("id: {}", step.id)];
        let lacks = step.work.task().and_then(|task| lacking(&step.work, task)).or_else(|| aimless(step, list));
        faults.extend(lacks.map(|l| (at.clone(), format!("step `{}` {l}", step.id))));
        if let Some(Undo::Step(undo)) = step.work.task().and_then(|t| t.undo.as_ref()) {
            let lacks = match undo.work.task() {
                Some(task) => lacking(&undo.work, task),
                None => Some("is no work of a system: say in words what people do".to_owned()),
            };
            faults.extend(lacks.map(|l| (at, format!("the undo of step `{}` {l}", step.id))));
        }
    }
    faults
}

fn lacking(work: &Work, task: &Task) -> Option<String> {
    mismatched(work, task).or_else(|| match task.effect {
        EffectClass::Observe => observing(task),
        EffectClass::Atomic | EffectClass::Once | EffectClass::Idempotent => missing_in_change(task),
    })
}

/// Why a step leads nowhere: a way back or to no step, a wait without an end, a look without a question.
fn aimless(step: &Step, list: &[Step]) -> Option<String> {
    let here = list.iter().position(|s| s.id == step.id)?;
    let later = |id: &String| list.iter().skip(here + 1).any(|s| s.id == *id);
    if let OnFail::Go(id) = &step.on_fail
        && !later(id)
    {
        return Some(format!("goes on at `{id}` when it fails, and that is no later step"));
    }
    let again = |t: &Task| matches!(t.effect, EffectClass::Observe | EffectClass::Idempotent);
    if step.retry.is_some() && !step.work.task().is_some_and(again) {
        return Some("may not be tried again by itself: `retry` is for `observe` and `idempotent`".to_owned());
    }
    match &step.work {
        Work::Wait(w) if w.span.is_some() != w.until.is_empty() => {
            Some("waits either `for` a time or `until` checks hold".to_owned())
        }
        Work::Wait(w) if w.every.0 < 1_000 && !w.until.is_empty() => {
            Some("looks too often: `every` at least 1s".to_owned())
        }
        Work::Notify(n) if n.roles.is_empty() => Some("tells nobody: name at least one role".to_owned()),
        Work::Notify(n) if n.text.trim().is_empty() => Some("says nothing".to_owned()),
        Work::Parallel(p) if p.checks.is_empty() => Some("asks nothing".to_owned()),
        Work::Choose(c) if c.options.len() < 2 || c.options.len() > 5 => {
            Some("offers a choice of two to five `options`".to_owned())
        }
        Work::Choose(c) => c.options.iter().find_map(|way| match (&way.go, &way.runbook) {
            (Some(_), Some(_)) => Some(format!("leads `{}` to a step and a runbook: keep one", way.label)),
            (Some(id), None) if !later(id) => Some(format!("leads `{}` to `{id}`, which is no later step", way.label)),
            _ if way.label.chars().count() > 75 => {
                Some("has a label longer than the 75 characters of a button".to_owned())
            }
            _ => None,
        }),
        _ => None,
    }
}

/// What is wrong with the interlocks of a runbook.
fn interlocks(runbook: &Runbook) -> impl Iterator<Item = String> {
    runbook.interlocks.iter().filter_map(|lock| {
        let odd = lock.differ.iter().find(|p| !runbook.params.contains_key(*p));
        match (&lock.not_while, lock.differ.len(), odd) {
            (Some(_), 0, _) | (None, 2.., None) => None,
            (None, 2.., Some(odd)) => Some(format!("`differ` names `{odd}`, which is no parameter")),
            _ => Some("an interlock has either `not_while: RUNBOOK` or `differ: [PARAMETER, PARAMETER]`".to_owned()),
        }
    })
}

/// The runbooks that a choice leads to.
pub(super) fn leads_to(runbook: &Runbook) -> impl Iterator<Item = &String> {
    let choices = runbook.steps.iter().filter_map(|s| match &s.work {
        Work::Choose(choose) => Some(&choose.options),
        _ => None,
    });
    choices.flatten().filter_map(|way| way.runbook.as_ref())
}

fn mismatched(work: &Work, task: &Task) -> Option<String> {
    let fits = match (work, task.ask()) {
        (_, Err(_)) => true,
        (_, Ok(Ask::Chain(_))) => true,
        (Work::Sql(_), Ok(ask)) => matches!(ask, Ask::Sql(_)),
        (Work::Http(_), Ok(ask)) => matches!(ask, Ask::Http(_)),
        (Work::Process(_), Ok(ask)) => matches!(ask, Ask::Process(_)),
        _ => true,
    };
    (!fits).then(|| {
        "says one kind and does another: `sql` takes `sql`, `http` takes `call`, `process` takes `run`".to_owned()
    })
}

fn observing(task: &Task) -> Option<String> {
    match task.ask() {
        _ if task.risk != Risk::Safe => Some("reads only, so its risk must be `safe`".to_owned()),
        Ok(Ask::Http(call)) if !call.method.reads() => {
            Some(format!("is `observe` and uses {}: use get or head, or say what it changes", call.method.word()))
        }
        _ => None,
    }
}

fn missing_in_change(task: &Task) -> Option<String> {
    let lack = |what: &str| Some(format!("changes something and must {what}"));
    let Some(preview) = &task.preview else { return lack("have a `preview` that lists what it would touch") };
    let ask = task.ask().ok()?;
    match ask {
        _ if task.risk == Risk::Safe => lack("say `risk: disruptive` or `risk: destructive`"),
        _ if preview.identity.is_empty() => lack("name the preview's `identity` columns"),
        _ if task.verify.is_empty() => lack("have `verify` checks"),
        _ if task.undo.is_none() => lack("say how it is undone, or `undo: none` with the reason"),
        Ask::Sql(_) if task.affects.is_some() && preview.tolerance.rows != RowTolerance::None => {
            lack("have `tolerance: { rows: none }` where it `affects: all`")
        }
        Ask::Http(_) | Ask::Process(_) if task.affects.is_some() => lack("be a statement to say `affects`"),
        Ask::Sql(_) if task.affects.is_none() && !ask.placeholders().iter().any(|p| p == "approved") => {
            lack("join `:approved`, so that it touches the approved rows and no others")
        }
        Ask::Sql(_) if preview.target.as_ref().is_some_and(|t| *t != task.target) => {
            lack("preview on the database that it changes")
        }
        // Between the last look elsewhere and the change there is a moment: a fault then must leave nothing.
        Ask::Sql(_) if !preview.also.is_empty() && task.effect != EffectClass::Atomic => {
            lack("be `atomic`, because its preview also asks elsewhere")
        }
        Ask::Chain(_) => lack("do one thing: `also` is for what only reads"),
        Ask::Http(call) if call.each && !names_a_row(&ask, preview) => {
            lack("name an identity column of the row in each call")
        }
        Ask::Http(_) | Ask::Process(_) if task.effect == EffectClass::Atomic => {
            lack("be `once` or `idempotent`: only a database can be `atomic`")
        }
        _ => {
            let masked = preview.identity.iter().find(|i| preview.sensitive.contains(i));
            masked.and_then(|i| lack(&format!("not mask `{i}`, which is an identity column")))
        }
    }
}

fn names_a_row(ask: &Ask<'_>, preview: &Preview) -> bool {
    ask.placeholders().iter().any(|p| preview.identity.contains(p))
}
