//! Recorded cases, played offline. Takes a runbook's catalog and a case; gives nothing if all came as recorded,
//! else the first difference. Only `decide` moves it, so it takes milliseconds.

mod back;
mod judge;
pub mod record;
pub mod stage;

use std::collections::{BTreeMap, BTreeSet};

use crate::decide::verdict;
use crate::model::case::Body;
use crate::model::catalog::Catalog;
use crate::model::command::Command;
use crate::model::effect::{Act, Job};
use crate::model::id::CaseId;
use crate::model::inbound::Input;
use crate::model::message::Reply;
use crate::model::outcome::Outcome;
use crate::model::run::{Phase, Run, RunState};
use crate::model::runbook::Work;
use record::{Answers, Met, Recorded, Round};
use stage::{PEOPLE, Stage, Waiting};

/// Most moves of one case: more means that it goes in circles.
const MOVES: usize = 500;

/// Most lines of a card that are shown with a difference.
const CARD: usize = 24;

/// Plays one case of a runbook.
///
/// # Errors
/// The first difference, or what is not recorded.
pub fn play(catalog: &Catalog, runbook: &str, case: &Recorded) -> Result<(), String> {
    let mut stage = Stage::new(catalog);
    stage.kept_before(runbook, &case.kept)?;
    for (at, round) in case.detect.iter().enumerate() {
        detect(&mut stage, catalog, runbook, round).map_err(|why| format!("detection {}: {why}", at + 1))?;
    }
    let Some(run) = &case.run else { return Ok(()) };
    let mut player = Player::begin(stage, runbook, (run, &case.given))?;
    player.through()?;
    let steps = catalog.runbooks.values().flat_map(|l| &l.runbook.steps);
    let known: BTreeSet<&String> = steps.map(|s| &s.id).collect();
    if let Some(odd) = run.steps.keys().find(|id| !known.contains(id)) {
        return Err(format!("something is recorded for `{odd}`, which is no step"));
    }
    player.compare()
}

/// One round of `/dr detect`.
fn detect(stage: &mut Stage<'_>, catalog: &Catalog, runbook: &str, round: &Round) -> Result<(), String> {
    let [asks, ..] = PEOPLE;
    let loaded = catalog.runbooks.get(runbook).ok_or("there is no such runbook")?;
    stage.now = stage.now.plus(loaded.runbook.detect.every);
    let said = stage.say(asks, Command::Detect { runbook: Some(runbook.to_owned()) })?;
    let asked = stage.waiting.iter().find(|w| w.key.0.starts_with("detect/")).cloned();
    let Some(asked) = asked else { return Err(format!("nothing is asked: {said}")) };
    let Act::Check(list) = &asked.act else { return Err("nothing is asked".to_owned()) };
    let outcome = judge::checked(list, &round.answers)?;
    stage.came(&asked, outcome)?;
    let Some(Body::Check(status)) = stage.cases.get(&asked.case).map(|c| &c.body) else {
        return Err("no detection came back".to_owned());
    };
    let found = status.found.get(runbook).and_then(Option::as_ref);
    let light = verdict::light(found, &loaded.runbook.detect).word();
    if light != round.light {
        let figures = found.map(|f| verdict::figures(&f.checked).join("; ")).unwrap_or_default();
        return Err(format!("the light is to be `{}` and is `{light}` ({figures})", round.light));
    }
    shows(&stage.card(&asked.case), &round.card)
}

fn shows(card: &str, texts: &[String]) -> Result<(), String> {
    match texts.iter().find(|t| !card.contains(t.as_str())) {
        None => Ok(()),
        Some(text) => {
            let head: Vec<&str> = card.lines().take(CARD).collect();
            Err(format!("the card does not say `{text}`; it says:\n{}", head.join("\n")))
        }
    }
}

fn current<'a>(stage: &'a Stage<'_>, id: &CaseId) -> Option<&'a Run> {
    stage.cases.get(id)?.incident()?.run.as_ref()
}

/// A run that is played. A copy goes its own way from where it stands.
#[derive(Clone)]
pub struct Player<'a> {
    /// What is known and waited for.
    pub stage: Stage<'a>,
    id: CaseId,
    run: &'a record::Run,
    /// How often each step's questions were asked.
    turns: BTreeMap<String, usize>,
    /// What people did once and do not do again: step and what.
    moved: BTreeSet<(String, &'static str)>,
}

impl<'a> Player<'a> {
    /// Opens an incident on this stage and starts the runbook with what is recorded and given.
    ///
    /// # Errors
    /// It does not start, and why.
    pub fn begin(
        mut stage: Stage<'a>,
        runbook: &str,
        recorded: (&'a record::Run, &BTreeMap<String, String>),
    ) -> Result<Player<'a>, String> {
        let ([asks, ..], (run, given)) = (PEOPLE, recorded);
        stage.say(asks, Command::Declare { title: runbook.to_owned() })?;
        let said = stage.say(asks, Command::Run { runbook: runbook.to_owned(), given: given.clone() })?;
        let id = CaseId::incident(1);
        if current(&stage, &id).is_none() {
            return Err(format!("the run does not start: {said}"));
        }
        Ok(Player { stage, id, run, turns: BTreeMap::new(), moved: BTreeSet::new() })
    }

    /// The run as it stands.
    #[must_use]
    pub fn run(&self) -> Option<&Run> {
        current(&self.stage, &self.id)
    }

    /// Goes on until nothing is left to answer or to do.
    fn through(&mut self) -> Result<(), String> {
        for _ in 0..MOVES {
            if !self.go()? {
                return Ok(());
            }
        }
        Err(format!("it goes in circles: more than {MOVES} moves"))
    }

    /// One move: the next effect gets its outcome, or else a person does what is waited for; false if there is
    /// neither.
    ///
    /// # Errors
    /// What is not recorded, or does not fit.
    pub fn go(&mut self) -> Result<bool, String> {
        Ok(self.answer()? || self.people()?)
    }

    /// The effect that gets its outcome next.
    #[must_use]
    pub fn next(&self) -> Option<&Waiting> {
        let over = current(&self.stage, &self.id).is_none_or(Run::over);
        let work = |w: &&Waiting| match &w.act {
            _ if back::owns(w) => w.case == self.id && back::met(self.run, w).is_some_and(|b| back::plays(b, w)),
            Act::Check(_) | Act::Preview(..) | Act::Start(_) | Act::Probe(_) => w.case == self.id,
            Act::Timer => w.key.0.starts_with("wait/") && !over,
            _ => false,
        };
        self.stage.waiting.iter().filter(work).min_by_key(|w| w.due)
    }

    /// Gives the next effect its outcome; false if none waits.
    fn answer(&mut self) -> Result<bool, String> {
        let Some(next) = self.next().cloned() else { return Ok(false) };
        self.stage.waiting.retain(|w| w.key != next.key);
        self.stage.now = self.stage.now.max(next.due);
        if back::owns(&next) {
            return self.take_back(&next).map(|()| true);
        }
        let parts: Vec<&str> = next.key.0.split('/').collect();
        let step = parts.get(3).copied().unwrap_or_default();
        let outcome = match &next.act {
            Act::Timer => {
                let (case, effect) = (next.case.clone(), next.key.clone());
                return self.stage.step(&Input::Due { case, effect, generation: 1 }).map(|_| true);
            }
            Act::Check(list) if parts.first() == Some(&"proof") => {
                judge::checked(list, &self.run.verify).map_err(|why| format!("the runbook's `verify`: {why}"))
            }
            Act::Check(list) => {
                let answers = self.turn(step);
                judge::checked(list, answers).map_err(|why| format!("step `{step}`: {why}"))
            }
            Act::Preview(question, _) => match self.met(step).and_then(|m| m.preview.as_ref()) {
                Some(answer) => Ok(judge::previewed(question, answer)),
                None => Err(format!("step `{step}`: no `preview` is recorded")),
            },
            Act::Start(job) => return self.start(&next, step, job).map(|()| true),
            Act::Probe(_) => {
                let happened = self.met(step).and_then(|m| m.probe);
                Ok(Outcome::Probed { happened, figure: "as recorded".to_owned() })
            }
            _ => return Ok(false),
        };
        self.stage.came(&next, outcome?).map(|()| true)
    }

    /// An agreed undo goes on by one effect.
    fn take_back(&mut self, next: &Waiting) -> Result<(), String> {
        let turn = self.turns.entry(format!("back/{}", next.key.0.split('/').nth(3).unwrap_or_default())).or_default();
        let met = back::met(self.run, next).ok_or("no `back` is recorded")?;
        match back::outcome(met, next, turn)? {
            back::Next::Came(outcome) => self.stage.came(next, outcome),
            back::Next::Say(input) => match self.stage.step(&input)? {
                Some(Reply::Go) => self.stage.came(next, back::ended(met, next)),
                _ => Ok(()),
            },
        }
    }

    fn met(&self, step: &str) -> Option<&Met> {
        self.run.steps.get(step)
    }

    /// What a step's questions are told this time.
    fn turn(&mut self, step: &str) -> &Answers {
        static NONE: Answers = Answers::new();
        let turn = self.turns.entry(step.to_owned()).or_default();
        let at = *turn;
        *turn += 1;
        let all = self.run.steps.get(step).map(|m| m.checks.as_slice()).unwrap_or_default();
        all.get(at).or(all.last()).unwrap_or(&NONE)
    }

    fn start(&mut self, next: &Waiting, step: &str, job: &Job) -> Result<(), String> {
        let (case, effect) = (next.case.clone(), next.key.clone());
        let ask = Input::Starting { case, effect, generation: 1, attempt: 1, digest: job.hash() };
        match self.stage.step(&ask)? {
            Some(Reply::Go) => {}
            _ => return Ok(()),
        }
        let answer = self.met(step).and_then(|m| m.answer.as_ref());
        let answer = answer.ok_or_else(|| format!("step `{step}`: no `answer` is recorded"))?;
        let ended = judge::ended(job, answer);
        self.stage.came(next, Outcome::Ended(ended))
    }

    /// People do what the current step waits for; false if it waits for nobody.
    fn people(&mut self) -> Result<bool, String> {
        let Some(run) = current(&self.stage, &self.id).filter(|r| !r.over()) else { return Ok(false) };
        let Some((step, state)) = run.current() else { return Ok(false) };
        let (id, phase, paused) = (step.id.clone(), state.phase, matches!(run.state, RunState::Paused(_)));
        let approval = state.approval.as_ref().map(|a| a.id.0.clone()).unwrap_or_default();
        let labels: Vec<String> = match &step.work {
            Work::Choose(choose) => choose.options.iter().map(|o| o.label.clone()).collect(),
            _ => Vec::new(),
        };
        let blank = Met::default();
        let met = self.run.steps.get(&id).unwrap_or(&blank);
        let first = !self.moved.iter().any(|(step, _)| *step == id);
        if first && matches!(phase, Phase::Waiting | Phase::Person | Phase::Choosing) {
            shows(&self.stage.card(&self.id), &met.card).map_err(|why| format!("step `{id}`: {why}"))?;
        }
        let skip = met.skip.clone().filter(|_| !matches!(phase, Phase::Waiting | Phase::Unknown));
        let [asks, second, third] = PEOPLE;
        let (who, what, command) = match (phase, skip) {
            (_, Some(reason)) => (asks, "skip", Command::Skip { step: id.clone(), reason }),
            (Phase::Waiting, _) => match &met.deny {
                Some(reason) => (second, "deny", Command::Deny { id: approval, reason: reason.clone() }),
                None if self.moved.contains(&(id.clone(), "agree")) => {
                    (third, "agree again", Command::Approve { id: approval })
                }
                None => (second, "agree", Command::Approve { id: approval }),
            },
            (Phase::Choosing, _) => {
                let label = met.choose.as_ref().ok_or_else(|| format!("step `{id}`: no `choose` is recorded"))?;
                let at = labels.iter().position(|l| l == label);
                let at = at.ok_or_else(|| format!("step `{id}` offers {}, not `{label}`", labels.join(", ")))?;
                (asks, "choose", Command::Next { choice: Some(at + 1) })
            }
            (Phase::Person, _) => {
                let done = met.done.as_ref().ok_or_else(|| format!("step `{id}`: no `done` is recorded"))?;
                (asks, "done", Command::Done { step: id.clone(), evidence: done.clone() })
            }
            (Phase::Unknown, _) if paused && met.settle.is_some() => {
                let happened = met.settle.as_deref() == Some("happened");
                let command = Command::Settle { step: id.clone(), happened };
                match self.moved.contains(&(id.clone(), "settle")) {
                    false => (second, "settle", command),
                    true => (third, "settle again", command),
                }
            }
            _ => return Ok(false),
        };
        if !self.moved.insert((id.clone(), what)) {
            return Err(format!("step `{id}`: `{what}` changed nothing: {}", self.stage.say(who, command)?));
        }
        self.stage.say(who, command).map(|_| true)
    }

    /// The first difference between what was recorded and what came.
    fn compare(&self) -> Result<(), String> {
        let Some(run) = current(&self.stage, &self.id) else { return Err("the run is gone".to_owned()) };
        let told = |phase: Phase| match phase {
            Phase::Todo => None,
            Phase::Done => Some("done"),
            Phase::Skipped => Some("skipped"),
            Phase::Failed => Some("failed"),
            Phase::Unknown => Some("unknown"),
            _ => Some("not over"),
        };
        let reached = run.steps.iter().filter_map(|s| Some((format!("{} {}", s.id, told(s.phase)?), s.remark.clone())));
        let reached: Vec<_> = reached.collect();
        for at in 0..reached.len().max(self.run.path.len()) {
            let wanted = self.run.path.get(at).map_or("nothing more", String::as_str);
            let (came, why) = reached.get(at).map_or(("nothing more", None), |(s, why)| (s.as_str(), why.as_ref()));
            if wanted != came {
                let why = why.map_or(String::new(), |w| format!(" ({w})"));
                return Err(format!("path, place {}: `{wanted}` is recorded, and it was `{came}`{why}", at + 1));
            }
        }
        let (ends, why) = match &run.state {
            RunState::Succeeded { .. } => ("recovered".to_owned(), String::new()),
            RunState::Paused(why) => ("paused".to_owned(), format!(" ({why})")),
            RunState::Aborted { why, .. } => ("aborted".to_owned(), format!(" ({why})")),
            RunState::HandedOver { to } => (format!("handed over to {to}"), String::new()),
            RunState::Going | RunState::Verifying => ("not over".to_owned(), String::new()),
        };
        if ends != self.run.ends {
            return Err(format!("the end: `{}` is recorded, and it was `{ends}`{why}", self.run.ends));
        }
        shows(&self.stage.card(&self.id), &self.run.card)
    }
}
