//! Planning: every step of a runbook looked at and none of them done. Takes the wish and what came back;
//! gives one read-only look after the other.

use std::collections::BTreeMap;

use super::draft::Draft;
use super::{Cx, answers, interlock, private, render};
use crate::model::case::Body;
use crate::model::effect::{Act, Lane};
use crate::model::event::Event;
use crate::model::id::EffectKey;
use crate::model::inbound::Place;
use crate::model::message::Reply;
use crate::model::outcome::Outcome;
use crate::model::person::Person;
use crate::model::plan::{Look, Plan};
use crate::model::runbook::{Step, Task, Work};

/// Somebody wants to know what a runbook would do with these values.
pub(crate) fn asked(
    draft: &mut Draft,
    cx: &Cx<'_>,
    from: (&Person, &Place),
    what: (&str, &BTreeMap<String, String>),
) -> Reply {
    let ((person, place), (name, given)) = (from, what);
    let Some(loaded) = cx.catalog.find(name) else { return private(answers::no_runbook(cx, name)) };
    let name = loaded.runbook.runbook.clone();
    if let Some(why) = &loaded.unusable {
        return private(format!("`{name}` cannot run here: {why}."));
    }
    let values = match loaded.values(given, &cx.world.kept(&loaded.runbook.runbook)) {
        Ok(values) => values,
        Err(why) => return private(format!("{why}.")),
    };
    let hindered = interlock::hindrance(loaded, &values, cx.world).map(|why| format!(" It does not run now: {why}."));
    draft.happen(Event::PlanAsked {
        by: person.id.clone(),
        channel: place.channel.clone(),
        thread: place.thread.clone(),
        loaded: Box::new(loaded.clone()),
        values,
    });
    go_on(draft, cx);
    let hindered = hindered.unwrap_or_default();
    private(format!("Planning `{name}`. Nothing is changed; the plan appears in this channel.{hindered}"))
}

/// What a look brought.
pub(crate) fn came(draft: &mut Draft, cx: &Cx<'_>, effect: &EffectKey, outcome: &Outcome) {
    let Some(step) = plan(draft).and_then(Plan::next) else { return };
    if *effect != key(draft, step) {
        return;
    }
    let look = match outcome {
        Outcome::Previewed { rows, identity } => Look::Shown { rows: rows.clone(), identity: identity.clone() },
        Outcome::NoPreview { why } => Look::Dark { why: why.clone() },
        Outcome::Checked(checked) => Look::Answered(checked.clone()),
        _ => return,
    };
    let step = step.id.clone();
    draft.happen(Event::Planned { step, look });
    go_on(draft, cx);
}

/// Asks for the next look that needs the outside, past those that need nothing.
fn go_on(draft: &mut Draft, cx: &Cx<'_>) {
    while let Some(plan) = plan(draft)
        && let Some(step) = plan.next()
    {
        match look(plan, step) {
            Ok(Some(act)) => {
                let key = key(draft, step);
                return draft.effect(key, Lane::Check, cx.now, act);
            }
            Ok(None) => {
                let step = step.id.clone();
                draft.happen(Event::Planned { step, look: Look::Free });
            }
            Err(why) => {
                let step = step.id.clone();
                draft.happen(Event::Planned { step, look: Look::Dark { why } });
            }
        }
        if draft.is_broken() {
            return;
        }
    }
}

/// The read-only question that shows what a step would meet.
fn look(plan: &Plan, step: &Step) -> Result<Option<Act>, String> {
    match &step.work {
        Work::Parallel(parallel) => Ok(Some(Act::Check(render::questions(&parallel.checks, &plan.values)?))),
        Work::Sql(task) | Work::Http(task) | Work::Process(task) => look_at(plan, step, task).map(Some),
        Work::Manual(_) | Work::Wait(_) | Work::Choose(_) | Work::Notify(_) | Work::Runbook(_) => Ok(None),
    }
}

fn look_at(plan: &Plan, step: &Step, task: &Task) -> Result<Act, String> {
    // A program that only reads may still take an hour: that it is there is enough for a plan.
    let question = match (&task.preview, &step.work) {
        (Some(preview), _) => Some(render::preview(step, task, preview, &plan.values)?),
        (None, Work::Process(_)) => None,
        (None, _) if task.reads() => Some(render::observation(step, task, &plan.values)?),
        (None, _) => None,
    };
    Ok(Act::Look { question: question.map(Box::new), acts_on: task.target.clone(), changes: !task.reads() })
}

fn plan(draft: &Draft) -> Option<&Plan> {
    match &draft.case.body {
        Body::Plan(plan) => Some(plan),
        _ => None,
    }
}

fn key(draft: &Draft, step: &Step) -> EffectKey {
    EffectKey::of(&["plan", &draft.case.id.0, &step.id])
}
