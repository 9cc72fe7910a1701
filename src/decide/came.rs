//! What came back from outside. Takes outcomes of checks, previews, steps, probes and posts; moves the
//! case by them.

use super::advance::{self, advance};
use super::draft::Draft;
use super::{Cx, agreed, alerts, failed, flow, narrate, pick, plan, policy, render, standing, verdict};
use crate::model::approval::{Action, Approval, ApprovalId, Standing, TargetIdentity};
use crate::model::case::{Body, Card, Detection};
use crate::model::effect::{Act, CardKind, Effect, Lane};
use crate::model::event::{Event, StepEnd};
use crate::model::expect::Rows;
use crate::model::id::EffectKey;
use crate::model::outcome::{Checked, Ended, Outcome, Verdict};
use crate::model::person::PersonId;
use crate::model::run::{Phase, Run, RunState};
use crate::model::runbook::{Step, Task, Work};
use crate::model::world::Sample;

/// Most characters of statement and rows that one card shows whole.
const SHOWN: usize = 8_000;

/// Moves the case by an outcome of one of its effects. An outcome that no longer fits (the step moved
/// on) changes nothing.
pub(crate) fn came(draft: &mut Draft, cx: &mut Cx<'_>, effect: &EffectKey, outcome: &Outcome) {
    if draft.case.body == Body::Empty {
        return;
    }
    match outcome {
        Outcome::Posted { card, channel, ts, upto, more } => posted(draft, cx, *card, (channel, ts, *upto, *more)),
        Outcome::PostFailed { card, why } => draft.happen(Event::CardFailed { card: *card, why: why.clone() }),
        Outcome::Told => {}
        Outcome::Opened { number } => alerts::opened(draft, effect, *number),
        Outcome::Checked(checked) if effect.0.starts_with("detect/") => detected(draft, cx, effect, checked),
        _ if effect.0.starts_with("keep/") => standing::kept(draft, cx, effect, outcome),
        _ if agreed::owns(effect) => agreed::came(draft, cx, effect, outcome),
        _ if effect.0.starts_with("pick/") => pick::came(draft, cx, effect, outcome),
        _ if matches!(draft.case.body, Body::Plan(_)) => plan::came(draft, cx, effect, outcome),
        _ => in_run(draft, cx, effect, outcome),
    }
}

fn posted(draft: &mut Draft, cx: &Cx<'_>, card: CardKind, at: (&str, &str, u64, bool)) {
    let (channel, ts, upto, more) = at;
    let now = Card { channel: channel.to_owned(), ts: ts.to_owned(), upto, failed: None };
    if draft.case.cards.get(&card) != Some(&now) {
        draft.happen(Event::CardPosted { card, channel: now.channel, ts: now.ts, upto });
    }
    if more {
        draft.out.effects.push(Effect::render(&draft.case.id, card, cx.now));
    }
}

/// The key of a detection says which runbook it asked for: `detect/CASE/RUNBOOK`.
fn detected(draft: &mut Draft, cx: &Cx<'_>, effect: &EffectKey, checked: &[Checked]) {
    let Some(runbook) = effect.0.rsplit('/').next() else { return };
    let asked = match &draft.case.body {
        Body::Check(status) => status.found.contains_key(runbook),
        Body::Watch(watch) => watch.runbook == runbook,
        Body::Alarm(alarm) => alarm.scenario().is_some_and(|s| s == runbook),
        _ => false,
    };
    if !asked || *effect != EffectKey::of(&["detect", &draft.case.id.0, runbook]) {
        return;
    }
    let before = cx.world.streaks.get(runbook).copied().unwrap_or_default();
    let failing = verdict::failing(checked);
    let streak = verdict::streak(before, failing, cx.now);
    draft.out.samples.push(Sample { runbook: runbook.to_owned(), failing, streak });
    let (checked, since, streak) = (checked.to_vec(), streak.since, streak.failures);
    if matches!(draft.case.body, Body::Watch(_)) {
        return standing::watched(draft, cx, runbook, Detection { at: cx.now, checked, streak, since });
    }
    draft.happen(Event::Detected { runbook: runbook.to_owned(), checked, streak, since });
}

fn in_run(draft: &mut Draft, cx: &mut Cx<'_>, effect: &EffectKey, outcome: &Outcome) {
    let Some(run) = draft.run().cloned() else { return };
    if let (Outcome::Checked(checked), RunState::Verifying) = (outcome, &run.state) {
        if *effect == advance::proof_key(&draft.case.id, &run) {
            proved(draft, checked);
        }
        return;
    }
    let Some((step, state)) = run.current() else { return };
    let expected =
        |kind: &str| *effect == EffectKey::of(&[kind, &draft.case.id.0, &run.id, &step.id, &state.attempt.to_string()]);
    match (outcome, state.phase) {
        (Outcome::Previewed { rows, identity }, Phase::Previewing) if expected("preview") => {
            if let Err(why) = previewed(draft, cx, (&run, step), (rows, identity)) {
                advance::fail_preview(draft, cx, &step.id, why);
            }
        }
        (Outcome::NoPreview { why }, Phase::Previewing) if expected("preview") => {
            advance::fail_preview(draft, cx, &step.id, why.clone())
        }
        (Outcome::Ended(ended), Phase::Started) if expected("start") => step_ended(draft, cx, step, ended),
        (Outcome::Checked(checked), Phase::Verifying) if expected("verify") => {
            let ok = checked.iter().all(|c| c.verdict == Verdict::Pass || c.evidence);
            draft.happen(Event::StepVerified { step: step.id.clone(), ok, figures: verdict::figures(checked) });
            advance(draft, cx);
        }
        (Outcome::Checked(checked), Phase::Watching) if expected("wait") => match step.work {
            Work::Parallel(_) => flow::looked(draft, cx, step, checked),
            _ => flow::watched(draft, cx, (&run, step), checked),
        },
        (Outcome::Probed { happened, figure }, Phase::Unknown) if expected("probe") => {
            probed(draft, cx, &step.id, (*happened, figure))
        }
        _ => {}
    }
}

fn proved(draft: &mut Draft, checked: &[Checked]) {
    let ok = checked.iter().all(|c| c.verdict == Verdict::Pass || c.evidence);
    let figures = if ok { checked.iter().map(|c| c.figure.clone()).collect() } else { verdict::figures(checked) };
    draft.happen(Event::RunVerified { ok, figures });
    advance::ended(draft);
}

fn previewed(
    draft: &mut Draft,
    cx: &mut Cx<'_>,
    at: (&Run, &Step),
    got: (&Rows, &TargetIdentity),
) -> Result<(), String> {
    let ((run, step), (rows, identity)) = (at, got);
    let Some(work) = step.work.task() else { return Err("a person does this step".into()) };
    if rows.count() == 0 {
        draft.happen(Event::StepSkipped {
            step: step.id.clone(),
            why: "nothing to do: it would touch no rows".into(),
            failed: false,
        });
        advance(draft, cx);
        return Ok(());
    }
    if rows.beyond > 0 {
        return Err(format!(
            "it would touch {} rows, more than the {} that one approval may cover",
            rows.count(),
            rows.rows.len()
        ));
    }
    let asking = render::Asking {
        case: &draft.case.id,
        rows,
        identity,
        policy: &cx.world.rules.version,
        decide_by: cx.now.plus(cx.world.rules.decide_within),
    };
    let action = render::action(run, step, work, &asking)?;
    let also = action.agreed.as_ref().map_or(0, |a| narrate::incident::deed_text(&a.deed).chars().count());
    let shown = also
        + narrate::incident::deed_text(&action.deed).chars().count()
        + narrate::incident::table(rows).chars().count();
    if shown > SHOWN {
        return Err(format!(
            "it lists {} rows, more than one card can show whole, and nobody should approve what they cannot see: narrow it by its parameters",
            rows.count()
        ));
    }
    ask(draft, cx, (work, run.loaded.runbook.tier), action)
}

fn ask(draft: &mut Draft, cx: &mut Cx<'_>, by: (&Task, u8), action: Action) -> Result<(), String> {
    let (work, tier) = by;
    let policy = cx
        .world
        .rules
        .policy(tier, work.risk)
        .cloned()
        .ok_or_else(|| format!("no approval policy for {} steps is configured", work.risk.word()))?;
    let digest = action.digest();
    let id = ApprovalId::of(&digest);
    let decide_by = action.decide_by;
    let (approve, deny) = (cx.ids.button(), cx.ids.button());
    let approval = Approval {
        id: id.clone(),
        digest,
        action,
        policy,
        asked: cx.now,
        approve,
        deny,
        votes: vec![],
        standing: Standing::Open,
    };
    let chance = policy::of(&approval, cx.roster);
    if !chance.possible() {
        return Err(format!("nobody could approve it: it {}", chance.text(cx.roster)));
    }
    draft.out.handle(&approval.approve);
    draft.out.handle(&approval.deny);
    draft.out.handles.push(id.0.clone());
    draft.happen(Event::ApprovalAsked { approval: Box::new(approval) });
    let key = EffectKey::of(&["expire", &draft.case.id.0, &id.0]);
    draft.effect(key, Lane::Timer, decide_by, Act::Timer);
    Ok(())
}

fn step_ended(draft: &mut Draft, cx: &mut Cx<'_>, step: &Step, ended: &Ended) {
    let task = step.work.task();
    let verify = task.is_some_and(|t| !t.verify.is_empty());
    let (end, rows) = match ended {
        Ended::Done { rows } => (StepEnd::Done { verify }, Some(rows.clone())),
        Ended::NotStarted { why } => (StepEnd::NotStarted { why: why.clone() }, None),
        Ended::Failed { why } => (StepEnd::Failed { why: why.clone() }, None),
        // A step that only reads may simply be asked again.
        Ended::Unknown { why } if task.is_some_and(Task::reads) => (StepEnd::Failed { why: why.clone() }, None),
        Ended::Unknown { why } => (StepEnd::Unknown { why: why.clone() }, None),
    };
    let done = matches!(end, StepEnd::Done { .. });
    draft.happen(Event::StepEnded { step: step.id.clone(), end, rows });
    if done {
        agreed::arm(draft, cx, &step.id);
    }
    advance(draft, cx);
}

fn probed(draft: &mut Draft, cx: &mut Cx<'_>, step: &str, answer: (Option<bool>, &str)) {
    let (happened, figure) = answer;
    let Some(happened) = happened else {
        let why = format!("nobody can tell from here whether `{step}` happened; the probe says: {figure}");
        return draft.happen(Event::RunPaused { why });
    };
    let how = if happened {
        format!("the probe says it happened: {figure}")
    } else {
        // Who tries again must know what stood in the way.
        let heard = draft.run().and_then(|r| r.current()).and_then(|(_, s)| s.remark.clone());
        let heard = heard.map_or_else(String::new, |why| format!("; before that: {why}"));
        format!("the probe says it did not happen: {figure}{heard}")
    };
    draft.happen(Event::StepSettled { step: step.to_owned(), happened, how });
    settled(draft, cx, (step, happened));
}

/// Goes on after an unknown step was settled: forward if it happened, else paused until somebody asks
/// for it again.
pub(crate) fn settled(draft: &mut Draft, cx: &mut Cx<'_>, what: (&str, bool)) {
    let (step, happened) = what;
    if happened {
        agreed::arm(draft, cx, step);
        draft.happen(Event::RunResumed { by: PersonId("drbot".into()) });
    } else if draft.run().cloned().is_some_and(|run| flow::goes_on(draft, &run)) {
        // Known not to have happened is a failure like another: what the file says about it is done.
        draft.happen(Event::RunResumed { by: PersonId("drbot".into()) });
    } else {
        draft.happen(Event::RunPaused { why: "the step did not happen".into() });
        advance::ended(draft);
        failed::ask(draft, cx);
    }
    advance(draft, cx);
}
