//! What is wrong with undos that are agreed to together with their step. Takes the runbook; gives each fault with
//! the step it belongs to.

use crate::model::runbook::{EffectClass, Preview, Runbook, Task, Undo, UndoStep};
use crate::model::time::Span;

/// Undos that could not be rendered beforehand, or whose end nobody could tell without people.
pub(super) fn faults(runbook: &Runbook) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for step in &runbook.steps {
        let Some(task) = step.work.task() else { continue };
        let Some(Undo::Step(undo)) = &task.undo else { continue };
        if let Some(what) = odd(runbook, task, undo) {
            found.push((step.id.clone(), format!("the undo `by_itself` of `{}` {what}", step.id)));
        }
    }
    found
}

fn odd(runbook: &Runbook, task: &Task, undo: &UndoStep) -> Option<String> {
    let by = undo.by_itself.as_ref()?;
    let back = undo.work.task()?;
    let identity = |p: &Option<Preview>| p.as_ref().map(|p| p.identity.clone()).unwrap_or_default();
    let known = identity(&task.preview);
    if let Some(column) = identity(&back.preview).iter().find(|c| !known.contains(c)) {
        return Some(format!(
            "needs `{column}` of each row, which is no identity column of the step: it must be known when people agree"
        ));
    }
    let latest = by.latest.strip_prefix('{').and_then(|p| p.strip_suffix('}'));
    match latest {
        Some(name) if !runbook.params.contains_key(name) => {
            return Some(format!("ends `latest` after `{name}`, which is no parameter"));
        }
        None if Span::parse(&by.latest).is_err() => {
            return Some("needs `latest`: a duration such as 72h, or a parameter as \"{name}\"".to_owned());
        }
        _ => {}
    }
    match back.effect {
        _ if back.target != task.target => Some("must act on the target of its step".to_owned()),
        _ if back.risk > task.risk => Some("has a higher `risk` than its step, whose approval covers it".to_owned()),
        EffectClass::Once | EffectClass::Observe => {
            Some("must be `atomic` or `idempotent`: nobody is there to settle an unknown end".to_owned())
        }
        _ if by.checks.is_empty() => Some("needs `checks` that say when".to_owned()),
        _ if by.every.0 < 1_000 => Some("looks too often: `every` at least 1s".to_owned()),
        _ if by.when.trim().is_empty() => Some("needs `when`: the condition in words".to_owned()),
        _ => None,
    }
}
