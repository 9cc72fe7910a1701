//! Failing: the target says no, nobody hears, the proof does not hold, a person cannot. Takes where a step stood
//! before its move; gives whether something could fail there, or what was not as its file says.

use drbot::model::case::Body;
use drbot::model::command::Command;
use drbot::model::effect::{Act, CardKind, Job};
use drbot::model::id::CaseId;
use drbot::model::inbound::Input;
use drbot::model::inbound::{Click, Form, Place};
use drbot::model::message::Reply;
use drbot::model::outcome::{Checked, Ended, Outcome, Verdict};
use drbot::model::person::Speaker;
use drbot::model::run::{Phase, RunState};
use drbot::model::runbook::{EffectClass, Step, Work};
use drbot::practice::trial::Player;
use drbot::practice::trial::stage::Waiting;

use super::offline::{asked, followed, same, step, title};
use super::twice::start;

const WHY: &str = "the target says no";

/// Lets this step fail in every way that it can from here.
pub fn fork(before: &Player<'_>, next: Option<&Waiting>, step: &Step) -> Result<bool, String> {
    let Some(w) = next else { return by_people(before, step) };
    match (&w.act, &step.work) {
        (Act::Start(job), _) => started(before, w, (step, job)).map(|()| true),
        (Act::Preview(..), _) => {
            let mut twin = before.clone();
            twin.stage.came(w, Outcome::NoPreview { why: WHY.into() })?;
            // Not the whole way: a step that nothing can be listed for may never have been started.
            if asked(&twin.stage, "start", &step.id) {
                return Err("it starts without a preview".into());
            }
            followed(&twin, &step.id).map(|()| false)
        }
        (Act::Check(_), Work::Wait(_)) => never(before, w, step).map(|()| true),
        (Act::Check(_), Work::Parallel(_)) => dark(before, w, step).map(|()| true),
        (Act::Check(_), _) => {
            let mut twin = before.clone();
            twin.stage.came(w, all(w, Verdict::Fail))?;
            followed(&twin, &step.id).map_err(|why| format!("its proof failed: {why}"))?;
            let mut twin = before.clone();
            twin.stage.came(w, all(w, Verdict::CouldNot))?;
            followed(&twin, &step.id).map_err(|why| format!("its proof could not be asked: {why}")).map(|()| false)
        }
        // Time always passes.
        (Act::Timer, _) => Ok(matches!(step.work, Work::Wait(_))),
        _ => Ok(false),
    }
}

fn all(w: &Waiting, verdict: Verdict) -> Outcome {
    let Act::Check(list) = &w.act else { return Outcome::Told };
    Outcome::Checked(
        list.iter().map(|q| Checked { id: q.id.clone(), verdict, figure: WHY.into(), evidence: false }).collect(),
    )
}

/// The run just after leave to start was given.
fn going<'a>(before: &Player<'a>, w: &Waiting, job: &Job) -> Result<Player<'a>, String> {
    let mut twin = before.clone();
    match twin.stage.step(&start(w, &job.hash(), 1))? {
        Some(Reply::Go) => Ok(twin),
        other => Err(format!("no leave to start: {other:?}")),
    }
}

fn started(before: &Player<'_>, w: &Waiting, at: (&Step, &Job)) -> Result<(), String> {
    let (step, job) = at;
    let reads = step.work.task().is_some_and(|t| t.reads());
    for ended in [Ended::Failed { why: WHY.into() }, Ended::NotStarted { why: WHY.into() }] {
        let mut twin = going(before, w, job)?;
        twin.stage.came(w, Outcome::Ended(ended))?;
        followed(&twin, &step.id)?;
    }
    let mut deaf = going(before, w, job)?;
    deaf.stage.came(w, Outcome::Ended(Ended::Unknown { why: "the connection broke".into() }))?;
    if reads {
        followed(&deaf, &step.id)?
    } else {
        unknown(&deaf, w, (step, job))?
    }
    // drbot died meanwhile, and the worker asks again.
    let died = going(before, w, job)?;
    let mut twin = died.clone();
    let reply = twin.stage.step(&start(w, &job.hash(), 2))?;
    match job.effect {
        EffectClass::Observe | EffectClass::Idempotent => {
            let again = matches!(reply, Some(Reply::Go)) && same(&twin.stage, &died.stage);
            if again { Ok(()) } else { Err(format!("after a crash it is not simply done again: {reply:?}")) }
        }
        EffectClass::Atomic | EffectClass::Once if matches!(reply, Some(Reply::Go)) => {
            Err("after a crash it is started a second time".into())
        }
        EffectClass::Atomic | EffectClass::Once => unknown(&twin, w, (step, job)),
    }
}

/// Nobody knows whether it happened: that is what is said, and nothing starts it again but a new approval after
/// it is known not to have happened.
fn unknown(at: &Player<'_>, w: &Waiting, of: (&Step, &Job)) -> Result<(), String> {
    let (id, job) = (&of.0.id, of.1);
    still_unknown(at, id)?;
    let mut twin = at.clone();
    if matches!(twin.stage.step(&start(w, &job.hash(), 3))?, Some(Reply::Go)) {
        return Err("unknown, and started again".into());
    }
    // An answer that comes late is no news: it may be about another attempt.
    twin.stage.came(w, Outcome::Ended(Ended::Done { rows: drbot::model::expect::Rows::default() }))?;
    still_unknown(&twin, id)?;
    let reason = || "in a hurry".to_owned();
    for command in [
        Command::Next { choice: None },
        Command::Retry { step: Some(id.clone()) },
        Command::Resume,
        Command::Skip { step: id.clone(), reason: reason() },
        Command::Abort { reason: reason() },
        Command::Undo { step: Some(id.clone()) },
        Command::Settle { step: id.clone(), happened: false },
    ] {
        let mut twin = at.clone();
        twin.stage.say("bob", command.clone())?;
        still_unknown(&twin, id).map_err(|why| format!("after {command:?}: {why}"))?;
    }
    settled(at, id)
}

fn still_unknown(at: &Player<'_>, id: &str) -> Result<(), String> {
    let run = at.run().ok_or("the run is gone")?;
    let card = at.stage.card(&CaseId::incident(1));
    let told = card.contains(&format!("{} (UNKNOWN whether it happened", title(run, id)));
    let phase = step(run, id).1.phase;
    if phase != Phase::Unknown || !matches!(run.state, RunState::Paused(_)) {
        return Err(format!("it is {phase:?} and not unknown, the run {:?}", run.state));
    }
    match (told, asked(&at.stage, "start", id)) {
        (true, false) => Ok(()),
        (false, _) => Err(format!("the card does not say that it is unknown:\n{card}")),
        (_, true) => Err("a second start waits".into()),
    }
}

/// Two people or the probe settle it, either way.
fn settled(at: &Player<'_>, id: &str) -> Result<(), String> {
    for happened in [true, false] {
        let mut twin = at.clone();
        for person in ["bob", "carol"] {
            twin.stage.say(person, Command::Settle { step: id.to_owned(), happened })?;
        }
        known(&twin, id, happened).map_err(|why| format!("settled as happened={happened}: {why}"))?;
    }
    let probe = at.stage.waiting.iter().find(|w| matches!(w.act, Act::Probe(_))).cloned();
    let must = at.run().map(|r| step(r, id).0.clone()).and_then(|s| s.work.task().cloned());
    let must = must.is_some_and(|t| t.probe.is_some() || t.effect == EffectClass::Atomic);
    let Some(probe) = probe else {
        return if must { Err("its probe is not asked".into()) } else { Ok(()) };
    };
    for happened in [Some(true), Some(false), None] {
        let mut twin = at.clone();
        twin.stage.came(&probe, Outcome::Probed { happened, figure: "as it is".into() })?;
        match happened {
            Some(happened) => known(&twin, id, happened).map_err(|why| format!("the probe said {happened}: {why}"))?,
            None => still_unknown(&twin, id)?,
        }
    }
    Ok(())
}

fn known(at: &Player<'_>, id: &str, happened: bool) -> Result<(), String> {
    let run = at.run().ok_or("the run is gone")?;
    if !happened {
        return followed(at, id);
    }
    let done = step(run, id).1.phase == Phase::Done && !asked(&at.stage, "start", id);
    if done { Ok(()) } else { Err(format!("it is {:?}", step(run, id).1.phase)) }
}

/// What is waited for never comes true.
fn never(before: &Player<'_>, w: &Waiting, at: &Step) -> Result<(), String> {
    let mut twin = before.clone();
    let mut next = Some(w.clone());
    for _ in 0..10_000 {
        let Some(look) = next else { break };
        twin.stage.now = twin.stage.now.max(look.due);
        twin.stage.waiting.retain(|other| other.key != look.key);
        twin.stage.came(&look, all(&look, Verdict::Fail))?;
        next = twin.stage.waiting.iter().find(|other| other.key == w.key).cloned();
    }
    followed(&twin, &at.id)
}

/// Nothing can be looked at: the look is over, and says why.
fn dark(before: &Player<'_>, w: &Waiting, at: &Step) -> Result<(), String> {
    let mut twin = before.clone();
    twin.stage.came(w, all(w, Verdict::CouldNot))?;
    let remark = twin.run().and_then(|r| step(r, &at.id).1.remark.clone()).unwrap_or_default();
    if remark.contains(WHY) { Ok(()) } else { Err(format!("it hides that nothing could be asked: `{remark}`")) }
}

fn by_people(before: &Player<'_>, step: &Step) -> Result<bool, String> {
    let phase = before.run().and_then(|r| r.current()).map(|(_, s)| s.phase);
    match (&step.work, phase) {
        (Work::Manual(_), Some(Phase::Person)) => cannot(before, step).map(|()| true),
        (Work::Choose(_), Some(Phase::Choosing)) => {
            let mut twin = before.clone();
            let answer = twin.stage.say("bob", Command::Next { choice: Some(99) })?;
            let good = same(&twin.stage, &before.stage) && answer.contains("There is no choice 99");
            if good { Ok(true) } else { Err(format!("a choice that there is not: {answer}")) }
        }
        _ => Ok(false),
    }
}

/// A person presses `Cannot` and says why.
fn cannot(before: &Player<'_>, step: &Step) -> Result<(), String> {
    let mut twin = before.clone();
    let id = CaseId::incident(1);
    let card = twin.stage.waiting.iter().find(|w| w.act == Act::Render(CardKind::Main) && w.case == id).cloned();
    let card = card.ok_or("no card is to be drawn")?;
    let at = |ts: &str| ("C1".to_owned(), ts.to_owned());
    let (channel, ts) = at("1.1");
    twin.stage.came(&card, Outcome::Posted { card: CardKind::Main, channel, ts, upto: 0, more: false })?;
    let Some(Body::Incident(incident)) = twin.stage.cases.get(&id).map(|c| &c.body) else {
        return Err("there is no incident".into());
    };
    let (_, _, button) = incident.person.clone().ok_or("nobody is asked")?;
    let by = Speaker { team: "T1".into(), user: "bob".into() };
    let place = Place { channel: "C1".into(), ..Place::default() };
    let click = Click { by: by.clone(), place, button, message: "1.1".into(), trigger: "t".into() };
    twin.stage.step(&Input::Clicked(click))?;
    let token = twin.stage.waiting.iter().find_map(|w| match &w.act {
        Act::Ask { form, .. } => Some(form.token.clone()),
        _ => None,
    });
    let token = token.ok_or("no form is opened")?;
    let form = Form { by, token, text: "the phone is lost".into(), values: Default::default() };
    twin.stage.step(&Input::Filled(form))?;
    followed(&twin, &step.id)
}
