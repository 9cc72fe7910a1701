//! Clocks that people must meet. Takes what happens to an incident; gives the clock's beginning, its reminders
//! and its end. The times are timers like any other, so a restart changes nothing.

use super::Cx;
use super::draft::Draft;
use crate::model::catalog::Loaded;
use crate::model::deadline::{Deadline, From};
use crate::model::effect::{Act, Lane};
use crate::model::event::Event;
use crate::model::id::EffectKey;
use crate::model::person::{Person, PersonId};

/// Begins the clocks of a runbook that the incident does not have yet.
pub(super) fn begin(draft: &mut Draft, cx: &Cx<'_>, loaded: &Loaded) {
    let Some(incident) = draft.incident().cloned() else { return };
    for rule in &loaded.runbook.deadlines {
        if incident.deadlines.iter().any(|d| d.step == rule.until) {
            continue;
        }
        let began = match rule.from {
            From::Detected => incident.declared.began,
            From::Declared => incident.declared_at,
        };
        let deadline = Deadline::new(rule, began);
        draft.happen(Event::DeadlineBegan { deadline: Box::new(deadline.clone()) });
        wait(draft, cx, &deadline);
    }
}

fn wait(draft: &mut Draft, cx: &Cx<'_>, deadline: &Deadline) {
    let Some(next) = deadline.next() else { return };
    let key = EffectKey::of(&["deadline", &draft.case.id.0, &deadline.step]);
    draft.effect(key, Lane::Timer, next.max(cx.now), Act::Timer);
}

fn named(draft: &Draft, step: &str) -> Option<Deadline> {
    draft.incident()?.deadlines.iter().find(|d| d.step == step && d.met.is_none()).cloned()
}

/// A clock's timer is due: its people are reminded, and the next time is waited for.
pub(super) fn due(draft: &mut Draft, cx: &Cx<'_>, effect: &EffectKey) {
    let Some(deadline) = effect.0.rsplit('/').next().and_then(|step| named(draft, step)) else { return };
    let Some(next) = deadline.next() else { return };
    if next <= cx.now {
        let has = |p: &&Person| p.roles.contains(&deadline.role);
        let people: Vec<PersonId> = cx.roster.people.iter().filter(has).map(|p| p.id.clone()).collect();
        let text = text(&deadline, cx, people.is_empty());
        draft.happen(Event::DeadlineNear { step: deadline.step.clone(), text, people });
    }
    if let Some(deadline) = named(draft, &deadline.step) {
        wait(draft, cx, &deadline);
    }
}

fn text(deadline: &Deadline, cx: &Cx<'_>, nobody: bool) -> String {
    let nobody = if nobody { format!(" Nobody in the roster has the role {}.", deadline.role) } else { String::new() };
    let (title, left, step) = (&deadline.title, deadline.left(cx.now), &deadline.step);
    format!("{title}: {left}. Once it is done: /dr done {step} EVIDENCE.{nobody}")
}

/// Somebody reported the step that ends a clock. Gives the text about the clock, if there is one.
pub(super) fn done(draft: &mut Draft, cx: &Cx<'_>, person: &Person, what: (&str, &str)) -> Option<String> {
    let (step, evidence) = what;
    let deadline = named(draft, step)?;
    let left = deadline.left(cx.now);
    let (step, by, evidence) = (step.to_owned(), person.id.clone(), evidence.to_owned());
    draft.happen(Event::DeadlineMet { step, by, evidence });
    Some(format!("The clock of {} ends: {left}.", deadline.title))
}
