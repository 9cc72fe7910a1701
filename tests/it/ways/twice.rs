//! Twice: the same outcome delivered again, the same start asked again, the same said again. Takes where a step
//! got to; gives whether something could be repeated, or what a repetition changed.

use drbot::model::command::Command;
use drbot::model::effect::Act;
use drbot::model::expect::Rows;
use drbot::model::inbound::Input;
use drbot::model::message::Reply;
use drbot::model::outcome::{Checked, Ended, Outcome, Verdict};
use drbot::model::run::Phase;
use drbot::model::runbook::{Step, Work};
use drbot::practice::trial::Player;
use drbot::practice::trial::stage::Waiting;

use super::offline::{asked, same};

/// Repeats what just happened to this step.
pub fn fork(next: Option<&Waiting>, now: &Player<'_>, step: &Step) -> Result<bool, String> {
    match next {
        // The next look of a wait has the same name.
        Some(w) if now.stage.waiting.iter().any(|other| other.key == w.key) => Ok(false),
        Some(w) => again(w, now, step),
        None => said(now, step),
    }
}

fn again(w: &Waiting, now: &Player<'_>, step: &Step) -> Result<bool, String> {
    for outcome in outcomes(&w.act) {
        let mut twin = now.clone();
        twin.stage.came(w, outcome.clone())?;
        if !same(&twin.stage, &now.stage) {
            return Err(format!("delivered again as {outcome:?}, {} moved the case", w.key.0));
        }
    }
    if matches!(w.act, Act::Timer) {
        let mut twin = now.clone();
        let (case, effect) = (w.case.clone(), w.key.clone());
        twin.stage.step(&Input::Due { case, effect, generation: 1 })?;
        return if same(&twin.stage, &now.stage) { Ok(true) } else { Err("its time came twice".into()) };
    }
    let Act::Start(job) = &w.act else { return Ok(matches!(step.work, Work::Wait(_) | Work::Parallel(_))) };
    let mut twin = now.clone();
    let ask = start(w, &job.hash(), 2);
    if matches!(twin.stage.step(&ask)?, Some(Reply::Go)) {
        return Err("it may start a second time".into());
    }
    if !same(&twin.stage, &now.stage) || asked(&twin.stage, "start", &step.id) {
        return Err("asking for its start again moved the case".into());
    }
    Ok(true)
}

/// The worker's request to start.
pub fn start(w: &Waiting, digest: &str, attempt: u32) -> Input {
    let (case, effect) = (w.case.clone(), w.key.clone());
    Input::Starting { case, effect, generation: 1, attempt, digest: digest.to_owned() }
}

/// Every outcome that an effect of this kind could come back with, whatever it was the first time.
fn outcomes(act: &Act) -> Vec<Outcome> {
    let why = || "again".to_owned();
    match act {
        Act::Start(_) => [
            Ended::Done { rows: Rows::default() },
            Ended::Failed { why: why() },
            Ended::NotStarted { why: why() },
            Ended::Unknown { why: why() },
        ]
        .map(Outcome::Ended)
        .to_vec(),
        Act::Check(list) => [Verdict::Pass, Verdict::Fail, Verdict::CouldNot]
            .map(|verdict| {
                let one = |id: &String| Checked { id: id.clone(), verdict, figure: why(), evidence: false };
                Outcome::Checked(list.iter().map(|q| one(&q.id)).collect())
            })
            .to_vec(),
        Act::Preview(..) => vec![Outcome::NoPreview { why: why() }],
        // A probe may be asked again, and then says what is so by then.
        _ => Vec::new(),
    }
}

/// A person says the same again.
fn said(now: &Player<'_>, step: &Step) -> Result<bool, String> {
    let still = now.run().and_then(|r| r.current()).is_some_and(|(_, s)| matches!(s.phase, Phase::Choosing));
    let (command, told) = match &step.work {
        Work::Manual(_) => {
            (Command::Done { step: step.id.clone(), evidence: "again".into() }, "is not waiting for a person")
        }
        Work::Choose(_) if !still => (Command::Next { choice: Some(1) }, "Nothing is to be chosen now"),
        _ => return Ok(false),
    };
    let mut twin = now.clone();
    let answer = twin.stage.say("bob", command)?;
    // Skipped before, so that its clock goes on: saying that it is done ends that, and starts nothing.
    if answer.starts_with("The clock of ") {
        return Ok(false);
    }
    match same(&twin.stage, &now.stage) && answer.contains(told) {
        true => Ok(true),
        false => Err(format!("said again, it is answered `{answer}`")),
    }
}

/// A notice that is behind is not given again by asking what is next.
pub fn told(now: &Player<'_>, id: &str) -> Result<bool, String> {
    let mut twin = now.clone();
    twin.stage.say("bob", Command::Retry { step: Some(id.to_owned()) })?;
    if same(&twin.stage, &now.stage) { Ok(true) } else { Err("it was told again".into()) }
}
