//! Undos that were agreed to together with their step. Takes a step that was done, what came back and the time;
//! gives the looks at the condition, the one start, and what people are told. Nobody is asked again.

use super::draft::Draft;
use super::{Cx, interlock, policy, verdict};
use crate::model::agreed::{self, News, Pending, Stand};
use crate::model::approval::{Approval, ApprovalId, Standing};
use crate::model::effect::{Act, Lane, Probe};
use crate::model::event::{Event, StepEnd};
use crate::model::id::EffectKey;
use crate::model::message::Reply;
use crate::model::outcome::{Checked, Ended, Outcome, Verdict};
use crate::model::person::Person;
use crate::model::run::Phase;
use crate::model::runbook::EffectClass;
use crate::model::time::{Millis, Span};

/// The longest pause before something that was in the way is looked at again.
const PATIENCE: Span = Span::minutes(1);

/// The step was done: from now on its condition is looked at, if its approval covers its undo.
pub(super) fn arm(draft: &mut Draft, cx: &Cx<'_>, step: &str) {
    let state = draft.run().and_then(|r| r.steps.iter().find(|s| s.id == step));
    let Some(approval) = state.and_then(|s| s.approval.clone()).filter(|a| a.standing == Standing::Used) else {
        return;
    };
    let Some(undo) = approval.action.agreed.as_deref() else { return };
    let until = cx.now.plus(undo.latest);
    say(draft, &approval.id, News::Armed { step: step.to_owned(), until });
    let Some(pending) = find(draft, &approval.id) else { return };
    look(draft, &pending, cx.now.plus(undo.every));
    let key = key(draft, "latest", &pending);
    draft.effect(key, Lane::Timer, until, Act::Timer);
}

fn find(draft: &Draft, id: &ApprovalId) -> Option<Pending> {
    agreed::find(&draft.incident()?.agreed, id).cloned()
}

fn say(draft: &mut Draft, id: &ApprovalId, news: News) {
    draft.happen(Event::AgreedUndo { approval: id.clone(), news });
}

/// The key of one of its effects: like those of a step, with the number of the try.
fn key(draft: &Draft, kind: &str, pending: &Pending) -> EffectKey {
    let attempt = format!("{}-{}", pending.approval.action.attempt, pending.tries);
    EffectKey::of(&[kind, &draft.case.id.0, &pending.run, &pending.step, &attempt])
}

/// The one whose effect this is, as it stands.
fn of(draft: &Draft, kind: &str, effect: &EffectKey) -> Option<Pending> {
    draft.incident()?.agreed.iter().find(|p| *effect == key(draft, kind, p)).cloned()
}

fn look(draft: &mut Draft, pending: &Pending, due: Millis) {
    let Some(undo) = pending.undo() else { return };
    let key = key(draft, "agreed", pending);
    draft.effect(key, Lane::Check, due, Act::Check(undo.checks.clone()));
}

/// Whether an effect belongs to an agreed undo.
pub(super) fn owns(effect: &EffectKey) -> bool {
    ["agreed/", "latest/", "back/", "backprobe/", "backproof/"].iter().any(|kind| effect.0.starts_with(kind))
}

/// The latest time has come.
pub(super) fn due(draft: &mut Draft, cx: &Cx<'_>, effect: &EffectKey) {
    let Some(pending) = of(draft, "latest", effect).filter(|p| p.stand == Stand::Watching) else { return };
    match cx.now >= pending.until {
        true => begin(draft, cx, &pending.approval.id, "the agreed time is over".to_owned()),
        false => draft.effect(effect.clone(), Lane::Timer, pending.until, Act::Timer),
    }
}

fn begin(draft: &mut Draft, cx: &Cx<'_>, id: &ApprovalId, why: String) {
    say(draft, id, News::Due { why });
    start(draft, id, cx.now);
}

fn start(draft: &mut Draft, id: &ApprovalId, due: Millis) {
    let Some(pending) = find(draft, id) else { return };
    let Some(undo) = pending.undo() else { return };
    let key = key(draft, "back", &pending);
    draft.effect(key, Lane::Approval, due, Act::Start(Box::new(undo.job(&pending.approval))));
}

/// The last word before the undo. The window to start in is over by design, and people who agreed may have
/// changed their roles since: they agreed to this until then. Bytes, target and interlocks count as ever.
pub(super) fn starting(draft: &mut Draft, cx: &Cx<'_>, effect: (&EffectKey, i64), hash: &str) -> Reply {
    let no = |draft: &mut Draft, why: &str| {
        draft.finish_effect(effect.0, effect.1);
        Reply::NoGo(why.to_owned())
    };
    let Some(pending) = of(draft, "back", effect.0) else { return no(draft, "this undo is not waiting to start") };
    let (id, approval) = (pending.approval.id.clone(), &pending.approval);
    let Some(undo) = pending.undo() else { return no(draft, "no undo was agreed to") };
    match pending.stand {
        Stand::Started if undo.effect == EffectClass::Idempotent => Reply::Go,
        Stand::Started => {
            let why = "drbot stopped while it ran".to_owned();
            say(draft, &id, News::Ended { end: StepEnd::Unknown { why: why.clone() }, rows: 0 });
            probe(draft, &id, cx.now);
            no(draft, &why)
        }
        Stand::Due => {
            if approval.action.digest() != approval.digest || undo.job(approval).hash() != hash {
                let why = format!("{}what would run is not what was approved", crate::model::effect::Guard::REFUSED);
                say(draft, &id, News::Started { execution: agreed::execution(approval) });
                say(draft, &id, News::Ended { end: StepEnd::NotStarted { why: why.clone() }, rows: 0 });
                ring(draft, &id);
                return no(draft, &why);
            }
            if let Some(why) = in_the_way(draft, cx, &pending) {
                let reply = no(draft, &why);
                if !pending.held {
                    say(draft, &id, News::Held { why });
                }
                start(draft, &id, cx.now.plus(undo.every.min(PATIENCE)));
                return reply;
            }
            say(draft, &id, News::Started { execution: agreed::execution(approval) });
            Reply::Go
        }
        _ => no(draft, "this undo is not waiting to start"),
    }
}

/// Why it cannot be now: another incident changes the target, this one's own step does, or an interlock.
fn in_the_way(draft: &Draft, cx: &Cx<'_>, pending: &Pending) -> Option<String> {
    let action = &pending.approval.action;
    if let Some(held) = cx.world.other(&interlock::on_target(&action.target), &draft.case.id) {
        return Some(format!("{} is being changed in {}", action.target, cx.world.holder(held)));
    }
    let flies = |phase| matches!(phase, Phase::Granted | Phase::Started | Phase::Verifying);
    let own = draft.run().and_then(|r| r.current()).filter(|(_, s)| flies(s.phase));
    if let Some((step, _)) = own.filter(|(s, _)| s.work.task().is_some_and(|t| t.target == action.target)) {
        return Some(format!("`{}` is being done on {}", step.id, action.target));
    }
    let loaded = cx.catalog.runbooks.get(&action.runbook)?;
    interlock::hindrance(loaded, &action.values, cx.world)
}

/// What came back for one of its effects.
pub(super) fn came(draft: &mut Draft, cx: &Cx<'_>, effect: &EffectKey, outcome: &Outcome) {
    let kind = effect.0.split('/').next().unwrap_or_default();
    let Some(pending) = of(draft, kind, effect) else { return };
    match (kind, outcome, pending.stand) {
        ("agreed", Outcome::Checked(checked), Stand::Watching) => looked(draft, cx, &pending, checked),
        ("back", Outcome::Ended(end), Stand::Started) => ended(draft, cx, &pending, end),
        ("backprobe", Outcome::Probed { happened, figure }, Stand::Unknown) => match happened {
            Some(true) => done(draft, cx, &pending, 0),
            Some(false) => again(draft, cx, &pending, StepEnd::Failed { why: format!("it did not happen: {figure}") }),
            None => probe(draft, &pending.approval.id, cx.now.plus(PATIENCE)),
        },
        ("backproof", Outcome::Checked(checked), Stand::Proving) => {
            let ok = holds(checked);
            let figures = checked.iter().map(|c| c.figure.clone()).collect();
            say(draft, &pending.approval.id, News::Proved { ok, figures });
            if !ok {
                ring(draft, &pending.approval.id);
            }
        }
        _ => {}
    }
}

fn holds(checked: &[Checked]) -> bool {
    checked.iter().all(|c| c.verdict == Verdict::Pass || c.evidence)
}

fn looked(draft: &mut Draft, cx: &Cx<'_>, pending: &Pending, checked: &[Checked]) {
    let Some(undo) = pending.undo() else { return };
    if holds(checked) {
        let why = format!("{} ({})", undo.when, verdict::figures(checked).join("; "));
        return begin(draft, cx, &pending.approval.id, why);
    }
    let next = cx.now.plus(undo.every);
    // What is left until the latest time is its timer's.
    if next < pending.until {
        look(draft, pending, next);
    }
}

fn ended(draft: &mut Draft, cx: &Cx<'_>, pending: &Pending, end: &Ended) {
    match end {
        Ended::Done { rows } => done(draft, cx, pending, rows.count()),
        Ended::NotStarted { why } => again(draft, cx, pending, StepEnd::NotStarted { why: why.clone() }),
        Ended::Failed { why } => again(draft, cx, pending, StepEnd::Failed { why: why.clone() }),
        Ended::Unknown { why } => {
            say(draft, &pending.approval.id, News::Ended { end: StepEnd::Unknown { why: why.clone() }, rows: 0 });
            probe(draft, &pending.approval.id, cx.now);
        }
    }
}

fn done(draft: &mut Draft, cx: &Cx<'_>, pending: &Pending, rows: u64) {
    let questions = pending.undo().map(|u| u.verify.clone()).unwrap_or_default();
    let verify = !questions.is_empty();
    say(draft, &pending.approval.id, News::Ended { end: StepEnd::Done { verify }, rows });
    if verify {
        let key = key(draft, "backproof", pending);
        draft.effect(key, Lane::Step, cx.now, Act::Check(questions));
    }
}

/// Nothing happened, for certain: it is tried again unless that cannot help.
fn again(draft: &mut Draft, cx: &Cx<'_>, pending: &Pending, end: StepEnd) {
    let every = pending.undo().map_or(PATIENCE, |u| u.every.min(PATIENCE));
    say(draft, &pending.approval.id, News::Ended { end, rows: 0 });
    if find(draft, &pending.approval.id).is_some_and(|p| p.stand == Stand::Due) {
        start(draft, &pending.approval.id, cx.now.plus(every));
    }
    ring(draft, &pending.approval.id);
}

/// Nobody may be looking by now: those who relied on it hear that it did not come to what was promised. Silent
/// where there is nothing left to take back, or another try is to come.
fn ring(draft: &mut Draft, id: &ApprovalId) {
    let Some(pending) = find(draft, id) else { return };
    let (step, remark) = (&pending.step, &pending.remark);
    let text = match pending.stand {
        Stand::Done => format!("{step} was taken back by itself, but {remark}. Look at the target."),
        Stand::Failed => format!("{step} was NOT taken back by itself: {remark}. Look at the target; /dr undo {step}"),
        _ => return,
    };
    let mut people = vec![pending.approval.action.requester.clone()];
    people.extend(pending.approval.votes.iter().map(|(p, _)| p.clone()));
    say(draft, id, News::Told { text, people });
}

/// Asks the target's ledger whether it happened. An idempotent one never gets here: it is done again.
fn probe(draft: &mut Draft, id: &ApprovalId, due: Millis) {
    let Some(pending) = find(draft, id) else { return };
    let probe = Probe {
        execution: agreed::execution(&pending.approval),
        target: pending.approval.action.target.clone(),
        ledger: true,
        question: None,
    };
    let key = key(draft, "backprobe", &pending);
    draft.effect(key, Lane::Step, due, Act::Probe(Box::new(probe)));
}

/// Somebody stops an undo that waits: whoever could have stopped its approval. `None` if there is none.
pub(super) fn stop(draft: &mut Draft, cx: &Cx<'_>, id: &ApprovalId, said: (&Person, &str)) -> Option<String> {
    let pending = find(draft, id)?;
    let (person, reason) = said;
    if pending.busy() {
        return Some(format!("Too late: `{}` is being taken back right now.", pending.step));
    }
    if !pending.waits() {
        return None;
    }
    if let Some(why) = refusal(&pending.approval, person, cx) {
        let (approval, who) = (id.clone(), person.name.clone());
        draft.happen(Event::VoteRefused { approval, who, why: why.clone() });
        return Some(why);
    }
    say(draft, id, News::Stopped { by: person.id.clone(), reason: reason.to_owned() });
    Some(format!(
        "Stopped: `{step}` is not taken back by itself any more. `/dr undo {step}` takes it back with an approval of its own.",
        step = pending.step
    ))
}

fn refusal(approval: &Approval, person: &Person, cx: &Cx<'_>) -> Option<String> {
    policy::refusal(approval, person, cx.roster).filter(|_| person.id != approval.action.requester)
}
