//! Questions that must not change anything. Takes a runbook; gives every question whose method could.

use super::lint;
use crate::model::ask::{Ask, HttpAsk};
use crate::model::chain::Also;
use crate::model::expect::Expect;
use crate::model::http::Method;
use crate::model::runbook::{Preview, Runbook};

/// Whether the method only reads.
pub(super) fn reads(call: &HttpAsk) -> bool {
    call.method.reads() && !call.reads
}

/// Whether it is a POST that changes nothing because it must be refused: `reads: true`, and every status it
/// expects is a refusal. One that is accepted shows as a failed check.
pub(super) fn refused(call: &HttpAsk, expect: &Expect) -> bool {
    let statuses = expect.answer.as_ref().and_then(|a| a.status.as_deref()).unwrap_or_default();
    let refusals = !statuses.is_empty() && statuses.iter().all(|s| (400..500).contains(s));
    call.reads && call.method == Method::Post && !call.each && refusals
}

/// Previews and further questions that use a method which could change something.
pub(super) fn faults(runbook: &Runbook) -> Vec<(Vec<String>, String)> {
    let at = |id: &str| vec![format!("id: {id}")];
    let mut all: Vec<_> = lint::asks(runbook).iter().filter_map(|(target, ask, _)| listing(target, ask)).collect();
    let tasks = || runbook.steps.iter().flat_map(|s| lint::tasks(&s.work).into_iter().map(|t| (s.id.as_str(), t)));
    for (id, task) in tasks() {
        if let Some(what) = task.preview.as_ref().and_then(preview) {
            all.push((at(id), format!("the preview of `{id}` {what}")));
        }
        if let Some(what) = task.also.iter().find_map(also) {
            all.push((at(id), format!("what `{id}` also asks {what}")));
        }
        if task.call.as_ref().is_some_and(|c| c.reads) {
            all.push((at(id), format!("`{id}` says `reads`, which is for a check that must be refused")));
        }
    }
    let steps = tasks().flat_map(|(_, t)| lint::proofs(t));
    let looks = runbook.steps.iter().flat_map(|s| lint::looks(&s.work));
    for check in runbook.detect.checks.iter().chain(&runbook.verify).chain(steps).chain(looks) {
        if let Some(what) = check.also.iter().find_map(also) {
            all.push((at(&check.id), format!("what check `{}` also asks {what}", check.id)));
        }
        // The first question of several is judged by its rows, so it has no refusal to expect.
        if !check.also.is_empty() && check.call.as_ref().is_some_and(|c| !reads(c) || c.each) {
            all.push((at(&check.id), format!("check `{}` begins with a call that must use get or head", check.id)));
        }
    }
    all
}

/// A call that lists, and does not say one way to read the list.
fn listing(target: &str, ask: &Ask<'_>) -> Option<(Vec<String>, String)> {
    let Ask::Http(call) = ask else { return None };
    let what = match (&call.list, &call.backups, &call.rows) {
        (_, Some(_), Some(_)) => "a list of backups is one row already: leave out `rows`",
        (Some(_), _, _) if call.method != Method::Get => "`list` uses get",
        (Some(_), None, None) => "say what becomes of the list: `rows` or `backups`",
        _ => return None,
    };
    Some((vec![format!("target: {target}")], format!("a call to `{target}`: {what}")))
}

fn preview(preview: &Preview) -> Option<String> {
    let own = preview.call.as_ref().filter(|c| !reads(c) || c.each).map(changes);
    own.or_else(|| preview.also.iter().find_map(also))
}

fn also(also: &Also) -> Option<String> {
    match also.ask() {
        Ok(Ask::Http(call)) if !reads(call) => Some(changes(call)),
        _ => None,
    }
}

fn changes(call: &HttpAsk) -> String {
    match call.each && reads(call) {
        true => "lists once: `each` is for steps and for `also`".to_owned(),
        false => format!("uses {}, and what comes before an approval only reads: use get or head", call.method.word()),
    }
}
