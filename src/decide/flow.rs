//! Steps that no system carries out: waiting, choosing, looking; and what people may do with a run besides
//! approving: skip, abort, take back. Takes a draft; gives events and the effects that go with them.

use super::advance::{self, advance};
use super::draft::Draft;
use super::{Cx, private, render, verdict};
use crate::model::agreed::Pending;
use crate::model::approval::Standing;
use crate::model::effect::{Act, Lane};
use crate::model::event::Event;
use crate::model::flow::{Choose, Notify, OnFail, Parallel, Wait, Way};
use crate::model::id::{ButtonId, EffectKey};
use crate::model::incident::Incident;
use crate::model::message::Reply;
use crate::model::outcome::{Checked, Verdict};
use crate::model::person::{Person, PersonId};
use crate::model::run::{Phase, Run, RunState, StepRun};
use crate::model::runbook::{Step, Work};
use crate::model::statement::fill;
use crate::model::time::Millis;

/// Begins to wait.
pub(super) fn wait(draft: &mut Draft, cx: &mut Cx<'_>, at: (&Run, &Step), wait: &Wait) {
    let (run, step) = at;
    let until = cx.now.plus(wait.span.unwrap_or(wait.at_most));
    draft.happen(Event::WaitBegan { step: step.id.clone(), until });
    let due = if wait.until.is_empty() { until } else { cx.now };
    watch(draft, cx, (run, step), (wait, due));
}

/// The next look of a wait, or the end of its time.
fn watch(draft: &mut Draft, cx: &mut Cx<'_>, at: (&Run, &Step), when: (&Wait, Millis)) {
    let ((run, step), (wait, due)) = (at, when);
    let key = advance::key(draft, "wait", run);
    if wait.until.is_empty() {
        return draft.effect(key, Lane::Timer, due, Act::Timer);
    }
    match render::questions(&wait.until, &run.values) {
        Ok(list) => draft.effect(key, Lane::Check, due, Act::Check(list)),
        Err(why) => {
            draft.happen(Event::WaitOver { step: step.id.clone(), ok: false, figures: vec![why] });
            advance(draft, cx);
        }
    }
}

/// A look of a wait came back.
pub(super) fn watched(draft: &mut Draft, cx: &mut Cx<'_>, at: (&Run, &Step), checked: &[Checked]) {
    let (run, step) = at;
    let Work::Wait(wait) = &step.work else { return };
    let ok = checked.iter().all(|c| c.verdict == Verdict::Pass || c.evidence);
    let until = run.current().and_then(|(_, s)| s.until).unwrap_or(cx.now);
    let next = cx.now.plus(wait.every);
    if ok || next > until {
        let figures = if ok { figures(checked) } else { verdict::figures(checked) };
        draft.happen(Event::WaitOver { step: step.id.clone(), ok, figures });
        return advance(draft, cx);
    }
    watch(draft, cx, at, (wait, next));
}

/// A wait's time is over.
pub(super) fn over(draft: &mut Draft, cx: &mut Cx<'_>, effect: &EffectKey) {
    let Some(run) = draft.run().cloned() else { return };
    let waits = run.current().filter(|(_, s)| s.phase == Phase::Watching && s.until.is_none_or(|u| u <= cx.now));
    let Some((step, _)) = waits.filter(|_| *effect == advance::key(draft, "wait", &run)) else { return };
    draft.happen(Event::WaitOver { step: step.id.clone(), ok: true, figures: vec![] });
    advance(draft, cx);
}

fn figures(checked: &[Checked]) -> Vec<String> {
    checked.iter().map(|c| c.figure.clone()).collect()
}

/// Asks the people of the incident.
pub(super) fn ask(draft: &mut Draft, cx: &mut Cx<'_>, step: &Step, choose: &Choose) {
    let buttons: Vec<ButtonId> = choose.options.iter().map(|_| cx.ids.button()).collect();
    for button in &buttons {
        draft.out.handle(button);
    }
    draft.happen(Event::ChoiceAsked { step: step.id.clone(), buttons });
}

/// Somebody chose, by button or by text. Gives the text for them.
pub(super) fn chosen(draft: &mut Draft, cx: &mut Cx<'_>, person: &Person, which: usize) -> String {
    let Some(run) = draft.run().cloned() else { return "No runbook is running here.".into() };
    let Some((step, _)) = run.current().filter(|(_, s)| s.phase == Phase::Choosing) else {
        return "Nothing is to be chosen now.".into();
    };
    let Work::Choose(choose) = &step.work else { return "Nothing is to be chosen now.".into() };
    let Some(way) = choose.options.get(which) else {
        return format!("There is no choice {}: there are {}.", which + 1, choose.options.len());
    };
    let label = way.label.clone();
    draft.happen(Event::Chosen { step: step.id.clone(), by: person.id.clone(), label: label.clone() });
    lead(draft, cx, person, way);
    format!("You chose: {label}.")
}

fn lead(draft: &mut Draft, cx: &mut Cx<'_>, person: &Person, way: &Way) {
    if let Some(step) = &way.go {
        skip_to(draft, step, "not on the chosen way");
    }
    match &way.runbook {
        Some(name) => hand_over(draft, cx, person, name),
        None => advance(draft, cx),
    }
}

/// Skips what stands before a later step.
fn skip_to(draft: &mut Draft, target: &str, why: &str) {
    while let Some(id) = draft.run().and_then(|r| r.current()).map(|(s, _)| s.id.clone()).filter(|id| id != target) {
        let before = draft.case.seq;
        draft.happen(Event::StepSkipped { step: id, why: why.to_owned(), failed: false });
        if draft.case.seq == before {
            return;
        }
    }
}

/// Ends this run and starts another runbook with what is known without asking.
fn hand_over(draft: &mut Draft, cx: &mut Cx<'_>, person: &Person, name: &str) {
    let started = super::said::startable(draft, cx, name, &std::collections::BTreeMap::new());
    match started {
        Ok((loaded, values)) => {
            draft.happen(Event::RunHandedOver { to: name.to_owned() });
            advance::ended(draft);
            super::said::begin(draft, cx, person, (&loaded, values));
        }
        Err(why) => {
            advance::pause(draft, &format!("`{name}` could not be started: {why}"));
            advance::ended(draft);
        }
    }
}

/// Tells the people of some roles. Where nobody has them the step fails: a bell that rings for nobody is
/// no notice.
pub(super) fn notify(draft: &mut Draft, cx: &mut Cx<'_>, at: (&Run, &Step), notify: &Notify) {
    let (run, step) = at;
    let meant = |p: &&Person| p.roles.iter().any(|r| notify.roles.contains(r));
    let people: Vec<PersonId> = cx.roster.people.iter().filter(meant).map(|p| p.id.clone()).collect();
    if people.is_empty() {
        let why = format!("nobody in the roster has the role {}", notify.roles.join(" or "));
        draft.happen(Event::WaitBegan { step: step.id.clone(), until: cx.now });
        draft.happen(Event::WaitOver { step: step.id.clone(), ok: false, figures: vec![why] });
    } else {
        let text = fill(&notify.text, &run.values);
        draft.happen(Event::Notified { step: step.id.clone(), text, people });
    }
    advance(draft, cx);
}

/// Asks all questions at once; the answers are shown and decide nothing.
pub(super) fn look(draft: &mut Draft, cx: &mut Cx<'_>, at: (&Run, &Step), parallel: &Parallel) {
    let (run, step) = at;
    draft.happen(Event::WaitBegan { step: step.id.clone(), until: cx.now.plus(step.timeout) });
    match render::questions(&parallel.checks, &run.values) {
        Ok(list) => {
            let key = advance::key(draft, "wait", run);
            draft.effect(key, Lane::Step, cx.now, Act::Check(list));
        }
        Err(why) => {
            draft.happen(Event::WaitOver { step: step.id.clone(), ok: false, figures: vec![why] });
            advance(draft, cx);
        }
    }
}

/// The answers of a look.
pub(super) fn looked(draft: &mut Draft, cx: &mut Cx<'_>, step: &Step, checked: &[Checked]) {
    draft.happen(Event::WaitOver { step: step.id.clone(), ok: true, figures: figures(checked) });
    advance(draft, cx);
}

/// Whether people stopped the step, or let its time pass: no file overrules that.
pub(super) fn denied(state: &StepRun) -> bool {
    state.approval.as_ref().is_some_and(|a| a.standing != Standing::Used)
}

/// What a failed step means for the run: true if it goes on by itself. What people denied always stops.
pub(super) fn goes_on(draft: &mut Draft, run: &Run) -> bool {
    let Some((step, state)) = run.current() else { return false };
    if denied(state) || matches!(step.work, Work::Manual(_)) || state.undoes.is_some() {
        return false;
    }
    let why = state.remark.clone().unwrap_or_else(|| "no reason given".into());
    let given_up = Event::StepSkipped { step: step.id.clone(), why, failed: true };
    match &step.on_fail {
        OnFail::Stop | OnFail::Ask => return false,
        OnFail::Continue => draft.happen(given_up),
        OnFail::Go(target) => {
            draft.happen(given_up);
            skip_to(draft, target, "the step before it failed");
        }
    }
    true
}

/// Skips the current step, with a reason.
pub(super) fn skip(draft: &mut Draft, cx: &mut Cx<'_>, person: &Person, what: (&str, &str)) -> Reply {
    let (name, reason) = what;
    let Some(run) = draft.run().cloned() else { return private("No runbook is running here.") };
    let Some((step, state)) = run.current().filter(|(s, _)| s.id == name) else {
        let now = run.current().map_or("none".to_owned(), |(s, _)| format!("`{}`", s.id));
        return private(format!("Only the current step can be skipped; that is {now}."));
    };
    if matches!(state.phase, Phase::Started | Phase::Unknown | Phase::Granted | Phase::Verifying) {
        return private(format!("`{name}` may be in flight and cannot be skipped. `/dr next` says what it waits for."));
    }
    if let Some(why) = taken(draft, cx, &run) {
        return private(why);
    }
    if let Some(a) = state.approval.as_ref().filter(|a| a.standing == Standing::Open) {
        draft.happen(Event::Voided { approval: a.id.clone(), why: format!("{} skipped the step", person.name) });
    }
    draft.happen(Event::StepSkipped {
        step: step.id.clone(),
        why: format!("{}: {reason}", person.name),
        failed: false,
    });
    if matches!(run.state, RunState::Paused(_)) {
        draft.guard(crate::model::world::Guard::Take(advance::lock(&run.loaded.runbook.runbook)));
        draft.happen(Event::RunResumed { by: person.id.clone() });
    }
    advance(draft, cx);
    private(format!("Skipped: `{name}`."))
}

/// Why the run cannot go on now: another incident has its lock.
fn taken(draft: &Draft, cx: &Cx<'_>, run: &Run) -> Option<String> {
    let held = cx.world.other(&advance::lock(&run.loaded.runbook.runbook), &draft.case.id)?;
    Some(format!("The same runbook is going in {} now; wait for it.", cx.world.holder(held)))
}

/// Ends the run, with a reason.
pub(super) fn abort(draft: &mut Draft, person: &Person, reason: &str) -> Reply {
    let Some(run) = draft.run().cloned().filter(|r| !r.over()) else {
        return private("No runbook is running here.");
    };
    if let Some((step, _)) = run
        .current()
        .filter(|(_, s)| matches!(s.phase, Phase::Started | Phase::Unknown | Phase::Granted | Phase::Verifying))
    {
        return private(format!("`{}` may be in flight. `/dr next` says what it waits for; then abort.", step.id));
    }
    draft.happen(Event::RunAborted { by: person.id.clone(), why: reason.to_owned() });
    // A run that is paused gave its lock back already; somebody else may hold it.
    if !matches!(run.state, RunState::Paused(_)) {
        advance::ended(draft);
    }
    let left = undoable(&run);
    let undo = if left.is_empty() { String::new() } else { format!(" `/dr undo` can take back: {}.", left.join(", ")) };
    let agreed = draft.incident().map(still_agreed).unwrap_or_default();
    private(format!("Aborted; no further step runs.{undo}{agreed}"))
}

/// What ending a run does not end: it was promised to who agreed.
fn still_agreed(incident: &Incident) -> String {
    let line = |p: &Pending| {
        let (step, id) = (&p.step, &p.approval.id.0);
        format!(" `{step}` is still taken back by itself as agreed; /dr deny {id} REASON stops that.")
    };
    incident.agreed.iter().filter(|p| p.waits()).map(line).collect()
}

/// The steps that can be taken back, the newest first.
pub(crate) fn undoable(run: &Run) -> Vec<String> {
    let steps = run.loaded.runbook.steps.iter().zip(&run.steps).rev();
    let can = steps.filter(|(s, state)| state.phase == Phase::Done && !state.undone && s.taken_back().is_some());
    can.map(|(s, _)| s.id.clone()).collect()
}

/// Takes back a step: the named one, else the newest.
pub(super) fn undo(draft: &mut Draft, cx: &mut Cx<'_>, person: &Person, named: Option<&str>) -> Reply {
    let Some(run) = draft.run().cloned() else { return private("No runbook was started here.") };
    let going = |step: &&String| {
        draft.incident().is_some_and(|i| i.agreed.iter().any(|p| p.run == run.id && p.step == **step && p.busy()))
    };
    let all = undoable(&run);
    if let Some(step) = all.iter().find(going).filter(|s| named.is_none_or(|n| n == s.as_str())) {
        return private(format!(
            "`{step}` is being taken back by itself right now; its line on the card says how it goes."
        ));
    }
    let can = all;
    let step = match (named, can.first()) {
        (Some(name), _) if can.iter().any(|c| c == name) => name.to_owned(),
        (Some(name), _) => return private(format!("{} {}", not_back(&run, name), undo_list(&can))),
        (None, Some(newest)) => newest.clone(),
        (None, None) => return private(undo_list(&can)),
    };
    let still = matches!(run.state, RunState::Going | RunState::Verifying);
    let unknown = run.current().is_some_and(|(_, s)| s.phase == Phase::Unknown);
    if still || unknown || matches!(run.state, RunState::HandedOver { .. }) {
        return private("The run is going on or has handed over: pause it by denying or abort it, then undo.");
    }
    if let Some(why) = taken(draft, cx, &run) {
        return private(why);
    }
    draft.guard(crate::model::world::Guard::Take(advance::lock(&run.loaded.runbook.runbook)));
    draft.happen(Event::UndoAsked { step: step.clone(), by: person.id.clone() });
    advance(draft, cx);
    let later: Vec<String> = can.into_iter().filter(|c| *c != step).collect();
    let rest = if later.is_empty() { String::new() } else { format!(" {}", undo_list(&later)) };
    private(format!("Taking back `{step}`; the card asks for the approval.{rest}"))
}

/// Why drbot does not take this step back: it did nothing, nobody knows, or the file's own words.
fn not_back(run: &Run, name: &str) -> String {
    let found = run.loaded.runbook.steps.iter().zip(&run.steps).rev().find(|(s, _)| s.id == name);
    let Some((step, state)) = found else { return format!("`{name}` is no step of this run.") };
    let undo = step.work.task().and_then(|t| t.undo.as_ref());
    let text = undo.map(|u| fill(&u.text(), &run.values)).unwrap_or_default();
    let why = match (state.phase, step.work.task()) {
        (_, Some(task)) if task.reads() => "it only reads".to_owned(),
        (Phase::Unknown | Phase::Started | Phase::Verifying, _) => "nobody knows yet how it ended".to_owned(),
        (Phase::Done, _) if state.undone => "it was taken back before".to_owned(),
        (Phase::Done, None) => "drbot did nothing in it".to_owned(),
        (Phase::Done, Some(_)) => match text.strip_prefix("none").map(|t| t.trim_start_matches([':', ',', ' '])) {
            Some("") => "the runbook says that there is no way".to_owned(),
            Some(why) => why.to_owned(),
            None => return format!("`{name}` cannot be taken back by drbot. By hand: {text}."),
        },
        _ => "it was not done".to_owned(),
    };
    format!("`{name}` cannot be taken back: {why}.")
}

fn undo_list(can: &[String]) -> String {
    match can {
        [] => "No step that ran says how it could be taken back.".into(),
        list => format!("What can be taken back, newest first: {}.", list.join(", ")),
    }
}
