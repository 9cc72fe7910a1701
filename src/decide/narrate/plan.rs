//! The plan's card and its thread. Takes a plan; gives one message with a line for each step, and one
//! with the exact statement for each step that has one.

use std::collections::BTreeMap;

use super::{Drawn, Scene, counted, incident};
use crate::decide::{policy, render};
use crate::model::event::{Entry, Event};
use crate::model::message::{Message, Part, Run};
use crate::model::outcome::Verdict;
use crate::model::param::KEPT_AT;
use crate::model::plan::{Look, Plan};
use crate::model::runbook::{Step, Task, Work};
use crate::model::statement::fill;

/// `16 rows of 2026-11-22T22:00:00Z`: what drbot kept is shown by its size and age.
fn kept_text(json: &str) -> String {
    let rows: Vec<BTreeMap<String, Option<String>>> = serde_json::from_str(json).unwrap_or_default();
    match rows.first().and_then(|r| r.get(KEPT_AT).cloned().flatten()) {
        Some(at) => format!("{} of {at}", counted(rows.len() as u64, "row")),
        None => "nothing was kept yet".to_owned(),
    }
}

/// Draws the card: every step with what it would touch, who would have to agree and how it is undone.
#[must_use]
pub fn card(plan: &Plan, scene: &Scene<'_>) -> Message {
    let book = &plan.loaded.runbook;
    let title = format!("📋 Plan: {}", book.title);
    let kept = |name: &String| plan.loaded.runbook.params.get(name).is_some_and(|p| p.keep.is_some());
    let values: Vec<String> = plan
        .values
        .iter()
        .map(|(k, v)| if kept(k) { format!("{k}={}", kept_text(v)) } else { format!("{k}={v}") })
        .collect();
    let values = if values.is_empty() { "none".to_owned() } else { values.join(", ") };
    let facts = vec![
        ("Asked by".to_owned(), format!("{} at {}", scene.roster.name(&plan.by), plan.asked.clock())),
        ("Estimate".to_owned(), format!("{}, RTO {}", book.estimate.human(), book.objectives.rto.human())),
        ("Values".to_owned(), values),
        ("Targets".to_owned(), systems(plan)),
    ];
    let dark = plan.looks.iter().filter(|l| is_dark(l)).count() as u64;
    let state = match (plan.next(), dark) {
        (Some(step), _) => format!("Looking at `{}`.", step.id),
        (None, 0) => "Every target answered. Nothing was changed.".to_owned(),
        (None, n) => format!("{} could not be looked at. Nothing was changed.", counted(n, "step")),
    };
    let mut parts = vec![Part::Title(title.clone()), Part::Facts(facts)];
    parts.extend((0..).zip(&book.steps).map(|(i, step)| Part::Text(line(plan, scene, (i, step)))));
    if plan.next().is_none() {
        parts.push(Part::Text(vec![Run::Bold("Then verified by: ".into()), Run::Plain(proofs(plan))]));
    }
    parts.push(Part::Text([vec![Run::Bold("So far: ".into())], crate::model::message::runs(&state)].concat()));
    let version = plan.loaded.closure.chars().take(12).collect::<String>();
    parts.push(Part::Small(format!(
        "Exact statements in the thread. To do it: /dr run {} in an incident. Version {version}.",
        book.runbook
    )));
    Message { notify: format!("{title}. {state}"), parts }
}

fn is_dark(look: &Look) -> bool {
    match look {
        Look::Dark { .. } => true,
        Look::Answered(checked) => checked.iter().any(|c| c.verdict == Verdict::CouldNot),
        Look::Free | Look::Shown { .. } => false,
    }
}

fn proofs(plan: &Plan) -> String {
    let ids: Vec<&str> = plan.loaded.runbook.verify.iter().map(|c| c.id.as_str()).collect();
    if ids.is_empty() { "nothing".to_owned() } else { ids.join(", ") }
}

/// One step: its number, its name, what it would meet, who agrees, how it is undone.
fn line(plan: &Plan, scene: &Scene<'_>, at: (usize, &Step)) -> Vec<Run> {
    let (i, step) = at;
    let found = plan.looks.get(i);
    let sign = match (found, step.work.task()) {
        (None, _) => "⏳",
        (Some(look), _) if is_dark(look) => "❌",
        (_, Some(task)) if !task.reads() => {
            if nothing(found) {
                "⚪"
            } else {
                "✋"
            }
        }
        (Some(Look::Free), _) if matches!(step.work, Work::Notify(_)) => "🔔",
        (Some(Look::Free), _) => "👤",
        _ => "🔎",
    };
    let title = fill(&step.title, &plan.values);
    let mut said = match &step.work {
        Work::Manual(work) => format!("a person does it; evidence: {}", work.evidence),
        Work::Wait(wait) => format!("waits for {} at most", wait.span.unwrap_or(wait.at_most).human()),
        Work::Choose(choose) => {
            let ways: Vec<&str> = choose.options.iter().map(|w| w.label.as_str()).collect();
            format!("a person chooses: {}", ways.join(", "))
        }
        Work::Notify(notify) => format!("tells everybody with the role {}", notify.roles.join(" or ")),
        Work::Runbook(name) => format!("the steps of {name}"),
        Work::Parallel(_) | Work::Sql(_) | Work::Http(_) | Work::Process(_) => met(step, found),
    };
    if let Some(task) = step.work.task().filter(|t| !t.reads() && !nothing(found)) {
        said.push_str(&agreed(plan, scene, task));
    }
    vec![
        Run::Plain(format!("{sign} {}. ", i + 1)),
        Run::Bold(title),
        Run::Plain(format!(" ({}): {said}", step.budget.human())),
    ]
}

fn nothing(found: Option<&Look>) -> bool {
    matches!(found, Some(Look::Shown { rows, .. }) if rows.count() == 0)
}

fn met(step: &Step, found: Option<&Look>) -> String {
    let target = step.work.task().map(|t| t.target.as_str()).unwrap_or_default();
    let reads = step.work.task().is_none_or(Task::reads);
    match found {
        None => "not looked at yet".to_owned(),
        Some(Look::Dark { why }) => format!("could not look: {why}"),
        Some(Look::Free) => String::new(),
        Some(Look::Answered(checked)) => checked.iter().map(|c| c.figure.as_str()).collect::<Vec<_>>().join("; "),
        Some(Look::Shown { rows, .. }) => {
            let count = rows.count();
            match (reads, count) {
                (true, _) if matches!(step.work, Work::Process(_)) => format!("programs of {target} that read"),
                (true, _) => format!("reads {} from {target}", counted(count, "row")),
                (false, 0) => format!("nothing to do on {target} now"),
                (false, _) if rows.beyond > 0 => format!(
                    "would be refused: {count} rows on {target} are more than the {} of one approval",
                    rows.rows.len()
                ),
                (false, _) => format!("would touch {} on {target}", counted(count, "row")),
            }
        }
    }
}

/// Who would have to agree and how the step would be taken back.
fn agreed(plan: &Plan, scene: &Scene<'_>, task: &Task) -> String {
    let undo = task.undo.as_ref().map_or_else(|| "none".to_owned(), |u| fill(&u.text(), &plan.values));
    let who = match scene.world.rules.policy(plan.loaded.runbook.tier, task.risk) {
        Some(policy) => policy::explain(policy, &plan.by, &[], scene.roster).text(scene.roster),
        None => "no approval policy is configured".to_owned(),
    };
    format!(". {} ({}), {}. Undo: {undo}", capital(task.risk.word()), task.effect.word(), who.replace(" more: ", " "))
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

/// The systems that answered, each once.
fn systems(plan: &Plan) -> String {
    let steps = plan.loaded.runbook.steps.iter().zip(&plan.looks);
    let found = steps.filter_map(|(step, look)| match (step.work.task(), look) {
        (Some(task), Look::Shown { identity, .. }) => Some(format!("{} ({})", task.target, identity.text())),
        _ => None,
    });
    let found: std::collections::BTreeSet<String> = found.collect();
    if found.is_empty() { "none so far".to_owned() } else { found.into_iter().collect::<Vec<_>>().join(", ") }
}

/// The exact text of the next step that has one, for the thread.
#[must_use]
pub fn detail(plan: &Plan, entries: &[Entry]) -> Option<Drawn> {
    let told: Vec<(&Entry, Message)> = entries.iter().filter_map(|e| Some((e, exact(plan, &e.event)?))).collect();
    let (entry, message) = told.first()?;
    Some(Drawn { message: message.clone(), upto: entry.seq, more: told.len() > 1, loud: false })
}

fn exact(plan: &Plan, event: &Event) -> Option<Message> {
    let Event::Planned { step, look } = event else { return None };
    let (i, step) = (1..).zip(&plan.loaded.runbook.steps).find(|(_, s)| s.id == *step)?;
    let task = step.work.task()?;
    let mut parts = vec![Part::Text(vec![Run::Bold(format!("{i}. {}", fill(&step.title, &plan.values)))])];
    let rows = match look {
        Look::Shown { rows, .. } => Some(rows),
        _ => None,
    };
    match render::planned(step, task, &plan.values, rows) {
        Ok(deed) => parts.push(Part::Code(incident::deed_text(&deed))),
        Err(why) => parts.push(Part::Text(vec![Run::Plain(format!("Not known before it runs: {why}."))])),
    }
    if let Some(rows) = rows {
        let what = if task.reads() { "It reads" } else { "It would touch" };
        parts.push(Part::Text(vec![Run::Bold(format!("{what} {}:", counted(rows.count(), "row")))]));
        if rows.count() > 0 {
            parts.push(Part::Code(incident::table(rows)));
        }
    }
    if let Look::Dark { why } = look {
        parts.push(Part::Text(vec![Run::Plain(format!("Could not look: {why}."))]));
    }
    Some(Message { notify: format!("{i}. {}", step.title), parts })
}

/// Whether an event has a message of its own in the thread.
#[must_use]
pub fn tells(plan: &Plan, event: &Event) -> bool {
    exact(plan, event).is_some()
}
