//! What an agreed undo is told in a recorded case. Takes what is recorded and the effect that waits; gives its
//! outcome.

use super::judge;
use super::record::{Answers, Back, Run};
use super::stage::Waiting;
use crate::model::effect::Act;
use crate::model::inbound::Input;
use crate::model::outcome::Outcome;

/// What follows from an effect.
pub(super) enum Next {
    Came(Outcome),
    Say(Input),
}

/// Whether an effect belongs to an agreed undo.
pub(super) fn owns(w: &Waiting) -> bool {
    ["agreed/", "latest/", "back/", "backprobe/", "backproof/"].iter().any(|kind| w.key.0.starts_with(kind))
}

/// What is recorded for the undo of its step.
pub(super) fn met<'a>(run: &'a Run, w: &Waiting) -> Option<&'a Back> {
    run.steps.get(w.key.0.split('/').nth(3)?)?.back.as_ref()
}

/// Whether it is played: where no condition is recorded, only the time passes.
pub(super) fn plays(back: &Back, w: &Waiting) -> bool {
    !(w.key.0.starts_with("agreed/") && back.checks.is_empty())
}

/// The outcome of one effect; `turn` counts the looks at the condition.
pub(super) fn outcome(back: &Back, w: &Waiting, turn: &mut usize) -> Result<Next, String> {
    let (case, effect) = (w.case.clone(), w.key.clone());
    Ok(match &w.act {
        Act::Timer => Next::Say(Input::Due { case, effect, generation: 1 }),
        Act::Start(job) => Next::Say(Input::Starting { case, effect, generation: 1, attempt: 1, digest: job.hash() }),
        Act::Probe(_) => Next::Came(Outcome::Probed { happened: Some(true), figure: "as recorded".to_owned() }),
        Act::Check(list) if w.key.0.starts_with("agreed/") => {
            let none = Answers::new();
            let answers = back.checks.get(*turn).or(back.checks.last()).unwrap_or(&none);
            *turn += 1;
            Next::Came(judge::checked(list, answers).map_err(|why| format!("the condition of `{}`: {why}", w.key.0))?)
        }
        Act::Check(list) => {
            Next::Came(judge::checked(list, &back.proof).map_err(|why| format!("the proof of `{}`: {why}", w.key.0))?)
        }
        _ => return Err(format!("nothing is recorded for {}", w.key.0)),
    })
}

/// How its work ended.
pub(super) fn ended(back: &Back, w: &Waiting) -> Outcome {
    match &w.act {
        Act::Start(job) => Outcome::Ended(judge::ended(job, &back.answer)),
        _ => Outcome::Told,
    }
}
