//! How a run goes on. Takes a draft whose run may have moved; gives the next effect, or the pause that
//! says who must do what.

use super::Cx;
use super::draft::Draft;
use super::failed;
use super::flow;
use super::interlock;
use super::render;
use crate::model::effect::{Act, Lane};
use crate::model::event::Event;
use crate::model::id::{CaseId, EffectKey};
use crate::model::run::{Phase, Run, RunState};
use crate::model::runbook::{Step, Task, Work};
use crate::model::world::Guard;

/// Moves the run as far as it goes without anybody's help.
pub(crate) fn advance(draft: &mut Draft, cx: &mut Cx<'_>) {
    let Some(run) = draft.run().cloned() else { return };
    if run.state != RunState::Going {
        // A step that was taken back pauses the run by itself.
        let back = run.at.checked_sub(1).and_then(|at| run.steps.get(at)).is_some_and(|s| s.undoes.is_some());
        if back && matches!(run.state, RunState::Paused(_)) {
            release(draft, &run);
        }
        return;
    }
    let Some((step, state)) = run.current() else { return verify_all(draft, cx, &run) };
    match (state.phase, &step.work) {
        (Phase::Todo, Work::Manual(_)) => ask_person(draft, cx, &step.id),
        (Phase::Todo, Work::Wait(wait)) => flow::wait(draft, cx, (&run, step), wait),
        (Phase::Todo, Work::Choose(choose)) => flow::ask(draft, cx, step, choose),
        (Phase::Todo, Work::Parallel(parallel)) => flow::look(draft, cx, (&run, step), parallel),
        (Phase::Todo, Work::Notify(notify)) => flow::notify(draft, cx, (&run, step), notify),
        (phase, Work::Sql(task) | Work::Http(task) | Work::Process(task)) if phase != Phase::Failed => {
            advance_task(draft, cx, (&run, step), (task, phase));
        }
        (Phase::Failed, _) if flow::goes_on(draft, &run) => advance(draft, cx),
        (Phase::Failed, _) => {
            let why = state.remark.clone().unwrap_or_else(|| "it failed".into());
            pause(draft, &format!("`{}` did not go through: {why}", step.id));
            release(draft, &run);
            failed::ask(draft, cx);
        }
        _ => {}
    }
}

fn advance_task(draft: &mut Draft, cx: &mut Cx<'_>, at: (&Run, &Step), on: (&Task, Phase)) {
    let ((run, step), (task, phase)) = (at, on);
    match phase {
        Phase::Todo if task.reads() => start(draft, cx, run, (step, task)),
        Phase::Todo => preview(draft, cx, at, task),
        Phase::Granted => start(draft, cx, run, (step, task)),
        Phase::Verifying => verify_step(draft, cx, at, task),
        Phase::Unknown => {
            probe(draft, cx, run, task);
            pause(draft, &format!("nobody can tell from here whether `{}` happened", step.id));
        }
        _ => {}
    }
}

/// Name of the lock that keeps one runbook from running twice at once.
pub(crate) fn lock(runbook: &str) -> String {
    format!("run/{runbook}")
}

fn release(draft: &mut Draft, run: &Run) {
    draft.guard(Guard::Release(lock(&run.loaded.runbook.runbook)));
}

pub(super) fn pause(draft: &mut Draft, why: &str) {
    draft.happen(Event::RunPaused { why: why.to_owned() });
}

pub(super) fn key(draft: &Draft, kind: &str, run: &Run) -> EffectKey {
    let (step, attempt) = run.current().map_or(("all", 0), |(s, state)| (s.id.as_str(), state.attempt));
    EffectKey::of(&[kind, &draft.case.id.0, &run.id, step, &attempt.to_string()])
}

fn ask_person(draft: &mut Draft, cx: &mut Cx<'_>, step: &str) {
    let (done, cannot) = (cx.ids.button(), cx.ids.button());
    draft.out.handle(&done);
    draft.out.handle(&cannot);
    draft.happen(Event::PersonAsked { step: step.to_owned(), done, cannot });
}

fn preview(draft: &mut Draft, cx: &mut Cx<'_>, at: (&Run, &Step), work: &Task) {
    let (run, step) = at;
    if let Some(held) = cx.world.other(&interlock::on_target(&work.target), &draft.case.id) {
        pause(draft, &format!("{} is being changed in {}; one change at a time", work.target, cx.world.holder(held)));
        return release(draft, run);
    }
    draft.happen(Event::PreviewAsked { step: step.id.clone() });
    let asked = work.preview.as_ref().ok_or_else(|| "the step has no preview".to_owned());
    match asked.and_then(|p| render::preview(step, work, p, &run.values)) {
        Ok(question) => {
            let key = key(draft, "preview", run);
            draft.effect(key, Lane::Step, cx.now, Act::Preview(Box::new(question), work.target.clone()));
        }
        Err(why) => fail_preview(draft, cx, &step.id, why),
    }
}

pub(crate) fn fail_preview(draft: &mut Draft, cx: &mut Cx<'_>, step: &str, why: String) {
    draft.happen(Event::PreviewFailed { step: step.to_owned(), why });
    advance(draft, cx);
}

fn start(draft: &mut Draft, cx: &mut Cx<'_>, run: &Run, at: (&Step, &Task)) {
    let (step, work) = at;
    match render::job(&draft.case.id, run, step, work) {
        Ok(job) => {
            let key = key(draft, "start", run);
            let lane = if job.digest.is_empty() { Lane::Step } else { Lane::Approval };
            draft.effect(key, lane, cx.now, Act::Start(Box::new(job)));
        }
        Err(why) => {
            pause(draft, &format!("`{}` could not be rendered: {why}", step.id));
            release(draft, run);
        }
    }
}

fn verify_step(draft: &mut Draft, cx: &mut Cx<'_>, at: (&Run, &Step), work: &Task) {
    let (run, step) = at;
    let rows =
        run.current().and_then(|(_, s)| s.approval.as_ref()).map(|a| a.action.preview.clone()).unwrap_or_default();
    match render::proofs(work, &run.values, &rows) {
        Ok(list) => {
            let key = key(draft, "verify", run);
            draft.effect(key, Lane::Step, cx.now, Act::Check(list));
        }
        Err(why) => {
            draft.happen(Event::StepVerified { step: step.id.clone(), ok: false, figures: vec![why] });
            advance(draft, cx);
        }
    }
}

fn verify_all(draft: &mut Draft, cx: &mut Cx<'_>, run: &Run) {
    draft.happen(Event::RunVerifying);
    match render::questions(&run.loaded.runbook.verify, &run.values) {
        Ok(list) => {
            let key = draft.run().map(|r| proof_key(&draft.case.id, r)).unwrap_or_else(|| key(draft, "proof", run));
            draft.effect(key, Lane::Step, cx.now, Act::Check(list));
        }
        Err(why) => {
            draft.happen(Event::RunVerified { ok: false, figures: vec![why] });
            release(draft, run);
        }
    }
}

/// The key of the verification that is under way: an answer to an earlier one is not taken for it.
pub(crate) fn proof_key(case: &CaseId, run: &Run) -> EffectKey {
    EffectKey::of(&["proof", &case.0, &run.id, &run.proofs.to_string()])
}

fn probe(draft: &mut Draft, cx: &mut Cx<'_>, run: &Run, work: &Task) -> bool {
    let Some(probe) = render::probe(&draft.case.id, run, work) else { return false };
    let key = key(draft, "probe", run);
    draft.effect(key, Lane::Step, cx.now, Act::Probe(Box::new(probe)));
    true
}

/// Asks once more whether the unknown step happened; false if there is no way to ask.
pub(crate) fn probe_again(draft: &mut Draft, cx: &mut Cx<'_>, run: &Run) -> bool {
    run.current().and_then(|(step, _)| step.work.task()).is_some_and(|task| probe(draft, cx, run, task))
}

/// After the final verification: give the lock back.
pub(crate) fn ended(draft: &mut Draft) {
    if let Some(run) = draft.run().cloned() {
        release(draft, &run);
    }
}
