//! Runbooks inside runbooks: puts the steps of the named one in the place of the step that names it. Takes
//! runbooks as they were read; gives them whole, so that a run pins everything it consists of.

use std::collections::BTreeMap;

use crate::model::deadline::DeadlineRule;
use crate::model::flow::OnFail;
use crate::model::runbook::{Runbook, Step, Work};

/// The runbooks that a runbook contains.
pub(super) fn included(runbook: &Runbook) -> impl Iterator<Item = &str> {
    runbook.steps.iter().filter_map(|s| match &s.work {
        Work::Runbook(name) => Some(name.as_str()),
        _ => None,
    })
}

/// A runbook with the steps of those it contains, and the names of these, in order.
///
/// # Errors
/// Names the runbook that does not exist or contains itself, or the step that would exist twice.
pub(super) fn whole(name: &str, all: &BTreeMap<String, Runbook>) -> Result<(Runbook, Vec<String>), String> {
    let mut names = Vec::new();
    let runbook = expand(name, all, &mut vec![name.to_owned()], &mut names)?;
    let mut ids: Vec<&String> = runbook.steps.iter().map(|s| &s.id).collect();
    ids.sort();
    match ids.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) if !names.is_empty() => Err(format!("step `{}` exists twice: give each its own id", pair[0])),
        _ => Ok((runbook, names)),
    }
}

fn expand(
    name: &str,
    all: &BTreeMap<String, Runbook>,
    within: &mut Vec<String>,
    names: &mut Vec<String>,
) -> Result<Runbook, String> {
    let mut runbook = all.get(name).cloned().ok_or_else(|| format!("runbook `{name}` does not exist"))?;
    let mut steps = Vec::new();
    for step in std::mem::take(&mut runbook.steps) {
        let Work::Runbook(inner) = &step.work else {
            steps.push(step);
            continue;
        };
        if within.contains(inner) {
            return Err(format!("runbook `{inner}` contains itself"));
        }
        within.push(inner.clone());
        let part = expand(inner, all, within, names)?;
        within.pop();
        names.push(inner.clone());
        steps.extend(part.steps.into_iter().map(|s| renamed(s, &step.id)));
        for (key, param) in part.params {
            runbook.params.entry(key).or_insert(param);
        }
        runbook.interlocks.extend(part.interlocks);
        let under = |rule: DeadlineRule| DeadlineRule { until: format!("{}-{}", step.id, rule.until), ..rule };
        runbook.deadlines.extend(part.deadlines.into_iter().map(under));
    }
    runbook.steps = steps;
    Ok(runbook)
}

/// A step under the name of the one whose place it takes, with what it leads to.
fn renamed(mut step: Step, under: &str) -> Step {
    let name = |id: &str| format!("{under}-{id}");
    step.id = name(&step.id);
    if let OnFail::Go(to) = &mut step.on_fail {
        *to = name(to);
    }
    if let Work::Choose(choose) = &mut step.work {
        for way in &mut choose.options {
            way.go = way.go.as_deref().map(name);
        }
    }
    step
}
