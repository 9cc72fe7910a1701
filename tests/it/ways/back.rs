//! Undone: `/dr undo` of a step that was done. Takes the moment after it; gives whether it could be asked now, or
//! how the answer was not what the file says.

use drbot::model::approval::TargetIdentity;
use drbot::model::command::Command;
use drbot::model::effect::Act;
use drbot::model::expect::Rows;
use drbot::model::id::CaseId;
use drbot::model::message::Reply;
use drbot::model::outcome::{Checked, Ended, Outcome, Verdict};
use drbot::model::run::Run;
use drbot::model::runbook::{Step, Undo};
use drbot::model::statement::fill;
use drbot::practice::trial::Player;
use drbot::practice::trial::stage::Waiting;

use super::offline::{asked, same, step};
use super::twice::start;

/// Asks to take back this step, which is done.
pub fn fork(now: &Player<'_>, id: &str) -> Result<bool, String> {
    let run = now.run().ok_or("the run is gone")?;
    let task = step(run, id).0.work.task().cloned();
    match task.as_ref().and_then(|t| t.undo.as_ref()) {
        // It was taken back by itself, as agreed.
        Some(Undo::Step(_)) if step(run, id).1.undone => refused(now, id, "it was taken back before"),
        Some(Undo::Step(undo)) => {
            let Some(quiet) = quiet(now)?.filter(|quiet| !by_itself(quiet, id)) else { return Ok(false) };
            deny(&quiet, id)?;
            take_back(&quiet, id, &fill(&undo.title, &run.values)).map(|()| true)
        }
        Some(Undo::Told(text)) if task.as_ref().is_some_and(|t| !t.reads()) => {
            let text = fill(text, &run.values);
            let why = text.strip_prefix("none").map_or(text.as_str(), |t| t.trim_start_matches([':', ',', ' ']));
            refused(now, id, why)
        }
        _ if task.is_some() => refused(now, id, "it only reads"),
        _ => refused(now, id, "drbot did nothing in it"),
    }
}

/// Whether it is being taken back by itself at this moment, which was agreed to with the step.
fn by_itself(quiet: &Player<'_>, id: &str) -> bool {
    let mut twin = quiet.clone();
    let answer = twin.stage.say("alice", Command::Undo { step: Some(id.to_owned()) });
    answer.is_ok_and(|a| a.contains("is being taken back by itself right now")) && same(&twin.stage, &quiet.stage)
}

/// The refusal names the reason, and asking changed nothing.
fn refused(now: &Player<'_>, id: &str, why: &str) -> Result<bool, String> {
    let mut twin = now.clone();
    let answer = twin.stage.say("bob", Command::Undo { step: Some(id.to_owned()) })?;
    let good = answer.contains(&format!("{id} cannot be taken back")) && answer.contains(why);
    match good && same(&twin.stage, &now.stage) {
        true => Ok(true),
        false => Err(format!("`/dr undo` must say `{why}` and change nothing; it says `{answer}`")),
    }
}

/// The run at rest, by ending it if it still goes; nothing if something may be in flight.
fn quiet<'a>(now: &Player<'a>) -> Result<Option<Player<'a>>, String> {
    let mut twin = now.clone();
    if !twin.run().is_some_and(Run::over) {
        twin.stage.say("alice", Command::Abort { reason: "to take it back".into() })?;
    }
    Ok(twin.run().is_some_and(Run::over).then_some(twin))
}

/// The next effect of the step that takes back.
fn wanted(at: &Player<'_>, kind: &str, id: &str) -> Result<Waiting, String> {
    let prefix = format!("{kind}/");
    let found = at.stage.waiting.iter().find(|w| w.key.0.starts_with(&prefix) && w.key.0.split('/').nth(3) == Some(id));
    found.cloned().ok_or_else(|| format!("no {kind} of `{id}` is asked"))
}

/// Asked to take back, and previewed with made-up rows that fit.
fn previewed<'a>(quiet: &Player<'a>, id: &str) -> Result<(Player<'a>, Step, String), String> {
    let mut twin = quiet.clone();
    let back = format!("undo-{id}");
    let answer = twin.stage.say("alice", Command::Undo { step: Some(id.to_owned()) })?;
    let preview = wanted(&twin, "preview", &back).map_err(|why| format!("{why}: {answer}"))?;
    let (undo, _) = step(twin.run().ok_or("the run is gone")?, &back);
    let undo = undo.clone();
    let columns = undo.work.task().and_then(|t| t.preview.as_ref()).map(|p| p.identity.clone()).unwrap_or_default();
    let rows = Rows { rows: vec![columns.iter().map(|_| Some("1".to_owned())).collect()], columns, beyond: 0 };
    let identity = TargetIdentity { system: "7".into(), database: "practice".into(), server: "made up".into() };
    twin.stage.came(&preview, Outcome::Previewed { rows, identity })?;
    let approval = twin.run().and_then(|r| step(r, &back).1.approval.clone()).ok_or("no approval is asked for it")?;
    Ok((twin, undo, approval.id.0))
}

fn deny(quiet: &Player<'_>, id: &str) -> Result<(), String> {
    let (mut twin, undo, approval) = previewed(quiet, id)?;
    twin.stage.say("bob", Command::Deny { id: approval, reason: "not now".into() })?;
    let gone = twin.run().is_some_and(|r| step(r, id).1.undone) || asked(&twin.stage, "start", &undo.id);
    if gone { Err("denied, and taken back all the same".into()) } else { Ok(()) }
}

fn take_back(quiet: &Player<'_>, id: &str, title: &str) -> Result<(), String> {
    let (mut twin, undo, approval) = previewed(quiet, id)?;
    if asked(&twin.stage, "start", &undo.id) {
        return Err("it is taken back before anybody agreed".into());
    }
    for person in ["bob", "carol"] {
        twin.stage.say(person, Command::Approve { id: approval.clone() })?;
    }
    let go = wanted(&twin, "start", &undo.id)?;
    let Act::Start(job) = &go.act else { return Err("no job".into()) };
    if !matches!(twin.stage.step(&start(&go, &job.hash(), 1))?, Some(Reply::Go)) {
        return Err("no leave to take it back".into());
    }
    twin.stage.came(&go, Outcome::Ended(Ended::Done { rows: Rows::default() }))?;
    if let Ok(verify) = wanted(&twin, "verify", &undo.id) {
        let Act::Check(list) = &verify.act else { return Err("no checks".into()) };
        let pass =
            |id: &String| Checked { id: id.clone(), verdict: Verdict::Pass, figure: "it is".into(), evidence: false };
        let list = list.iter().map(|q| pass(&q.id)).collect();
        twin.stage.came(&verify, Outcome::Checked(list))?;
    }
    let card = twin.stage.card(&CaseId::incident(1));
    if !twin.run().is_some_and(|r| step(r, id).1.undone) || !card.contains(", taken back)") || !card.contains(title) {
        return Err(format!("it is not shown as taken back:\n{card}"));
    }
    refused(&twin, id, "it was taken back before").map(|_| ())
}
