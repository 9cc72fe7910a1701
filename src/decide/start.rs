//! The last word before an effect. Takes the worker's request to start; gives leave only if what would
//! run is still exactly what was agreed to, and stores the intent with it.

use super::advance::advance;
use super::draft::Draft;
use super::{Cx, agreed, interlock, policy, render};
use crate::model::approval::{Approval, Standing};
use crate::model::event::{Event, StepEnd};
use crate::model::id::EffectKey;
use crate::model::message::Reply;
use crate::model::run::{Phase, Run};
use crate::model::runbook::{EffectClass, Step, Task};

/// Decides a request to start. `asked` holds the number of leases and the hash of the job in the store.
pub(crate) fn starting(draft: &mut Draft, cx: &mut Cx<'_>, effect: (&EffectKey, i64), asked: (u32, &str)) -> Reply {
    let no = |draft: &mut Draft, why: &str| {
        draft.finish_effect(effect.0, effect.1);
        Reply::NoGo(why.to_owned())
    };
    if agreed::owns(effect.0) {
        return agreed::starting(draft, cx, effect, asked.1);
    }
    let Some(run) = draft.run().cloned() else { return no(draft, "there is no run") };
    let Some((step, state)) = run.current() else { return no(draft, "the run is through") };
    if !belongs(effect.0, draft, &run) {
        return no(draft, "this start belongs to an earlier attempt");
    }
    let (attempt, hash) = asked;
    let safe = step.work.task().is_some_and(Task::reads) && state.approval.is_none();
    let again = safe || step.work.task().is_some_and(|t| t.effect == EffectClass::Idempotent);
    match state.phase {
        Phase::Todo if safe => go(draft, &run, step, ""),
        Phase::Started if again => Reply::Go,
        Phase::Granted => match still_agreed(draft, cx, (&run, step), hash) {
            Ok(digest) => go(draft, &run, step, &digest),
            Err(why) => {
                if let Some(a) = &state.approval {
                    draft.happen(Event::Voided { approval: a.id.clone(), why: why.clone() });
                }
                advance(draft, cx);
                no(draft, &why)
            }
        },
        Phase::Started => {
            // The process that started it is gone: nobody may start it again.
            let why = format!("drbot stopped while it ran (lease {attempt}); it is not started again");
            draft.happen(Event::StepEnded {
                step: step.id.clone(),
                end: StepEnd::Unknown { why: why.clone() },
                rows: None,
            });
            advance(draft, cx);
            no(draft, &why)
        }
        _ => no(draft, "the step is not waiting to start"),
    }
}

fn belongs(effect: &EffectKey, draft: &Draft, run: &Run) -> bool {
    run.current().is_some_and(|(s, state)| {
        *effect == EffectKey::of(&["start", &draft.case.id.0, &run.id, &s.id, &state.attempt.to_string()])
    })
}

fn go(draft: &mut Draft, run: &Run, step: &Step, digest: &str) -> Reply {
    let execution = run.current().map(|(_, s)| render::execution(&draft.case.id, run, s)).unwrap_or_default();
    draft.happen(Event::StepStarted { step: step.id.clone(), execution, digest: digest.to_owned() });
    Reply::Go
}

/// Re-renders the action and compares it with what was approved; checks times, policy and people again.
fn still_agreed(draft: &Draft, cx: &Cx<'_>, at: (&Run, &Step), hash: &str) -> Result<String, String> {
    let (run, step) = at;
    let approval = run.current().and_then(|(_, s)| s.approval.as_ref()).ok_or("there is no approval")?;
    let Standing::Granted { start_by, .. } = approval.standing else {
        return Err("the approval is not granted".into());
    };
    if cx.now > start_by {
        return Err(format!("it was not started within {} of the approval", cx.world.rules.start_within.human()));
    }
    unchanged_rules(approval, cx)?;
    if let Some(why) = interlock::hindrance(&run.loaded, &run.values, cx.world) {
        return Err(why);
    }
    let Some(work) = step.work.task() else { return Err("a person does this step".into()) };
    let pinned = cx.catalog.runbooks.get(&run.loaded.runbook.runbook).map(|l| l.closure.as_str());
    if pinned != Some(run.loaded.closure.as_str()) {
        return Err("the runbook file was changed after this run started".into());
    }
    let asking = render::Asking {
        case: &draft.case.id,
        rows: &approval.action.preview,
        identity: &approval.action.identity,
        policy: &approval.action.policy,
        decide_by: approval.action.decide_by,
    };
    let again = render::action(run, step, work, &asking)?;
    let job = render::job(&draft.case.id, run, step, work)?;
    let same = again.digest() == approval.digest && approval.action.digest() == approval.digest && job.hash() == hash;
    if same { Ok(approval.digest.clone()) } else { Err("what would run is not what was approved".into()) }
}

/// Policy and people as they were when it was asked: otherwise the agreement means something else.
pub(crate) fn unchanged_rules(approval: &Approval, cx: &Cx<'_>) -> Result<(), String> {
    if approval.action.policy != cx.world.rules.version {
        return Err("the roster or the approval policy was changed meanwhile".into());
    }
    let granted = matches!(approval.standing, Standing::Granted { .. });
    if granted && !policy::of(approval, cx.roster).met() {
        return Err("somebody who agreed may not agree any more".into());
    }
    Ok(())
}
