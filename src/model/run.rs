//! One execution of a runbook inside an incident. Takes events through `Run::apply`; illegal pairs
//! are errors, so a corrupt stream is noticed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::approval::{Approval, ApprovalId, Standing};
use super::catalog::Loaded;
use super::event::{Event, Illegal, StepEnd};
use super::expect::Rows;
use super::id::ButtonId;
use super::person::PersonId;
use super::runbook::Step;
use super::time::Millis;

/// A run and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub id: String,
    /// The pinned runbook: edits of the file never touch a running one.
    pub loaded: Loaded,
    pub values: BTreeMap<String, String>,
    pub by: PersonId,
    pub started: Millis,
    pub steps: Vec<StepRun>,
    /// The step that is current; equal to the number of steps once all are through.
    pub at: usize,
    pub state: RunState,
    /// How often the final verification was asked for.
    pub proofs: u32,
    /// The figures of the final verification, once made.
    pub proof: Vec<String>,
}

/// Where a run stands as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    Going,
    /// Somebody must decide how to go on; the text says why.
    Paused(String),
    Verifying,
    Succeeded {
        at: Millis,
    },
    /// Ended by a person.
    Aborted {
        at: Millis,
        why: String,
    },
    /// Another runbook goes on in its place.
    HandedOver {
        to: String,
    },
}

/// One step of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRun {
    pub id: String,
    pub phase: Phase,
    /// Counts previews and starts of this step, from 1.
    pub attempt: u32,
    pub started: Option<Millis>,
    pub ended: Option<Millis>,
    pub approval: Option<Approval>,
    pub rows: Option<Rows>,
    /// What people should know about how it went.
    pub remark: Option<String>,
    pub claim: Option<(PersonId, bool)>,
    /// When a wait is over at the latest.
    #[serde(default)]
    pub until: Option<Millis>,
    /// The buttons of a choice, in the order of its options.
    #[serde(default)]
    pub buttons: Vec<ButtonId>,
    /// It failed and people must say how to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Ways>,
    /// The step that this one takes back.
    #[serde(default)]
    pub undoes: Option<String>,
    /// It was taken back.
    #[serde(default)]
    pub undone: bool,
    /// It was skipped because it failed and its file lets the run go on.
    #[serde(default)]
    pub failed: bool,
}

/// The buttons under a failed step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ways {
    pub retry: ButtonId,
    pub skip: ButtonId,
    pub abort: ButtonId,
}

/// Where one step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Todo,
    Previewing,
    Waiting,
    Granted,
    Started,
    Verifying,
    Unknown,
    Person,
    /// Time passes.
    Watching,
    /// A person must say which way to go.
    Choosing,
    Done,
    Skipped,
    Failed,
}

impl Run {
    /// A new run of a pinned runbook.
    #[must_use]
    pub fn new(id: String, loaded: Loaded, values: BTreeMap<String, String>, by: PersonId, started: Millis) -> Run {
        let steps = loaded.runbook.steps.iter().map(|s| StepRun::new(&s.id)).collect();
        Run { id, loaded, values, by, started, steps, at: 0, state: RunState::Going, proofs: 0, proof: Vec::new() }
    }

    /// The current step: its definition and where it stands.
    #[must_use]
    pub fn current(&self) -> Option<(&Step, &StepRun)> {
        Some((self.loaded.runbook.steps.get(self.at)?, self.steps.get(self.at)?))
    }

    /// The approval with this id, wherever in the run it is.
    #[must_use]
    pub fn approval(&self, id: &ApprovalId) -> Option<&Approval> {
        self.steps.iter().filter_map(|s| s.approval.as_ref()).find(|a| a.id == *id)
    }

    /// The failed step that people are asked about, with its buttons.
    #[must_use]
    pub fn asked(&self) -> Option<(&Step, &Ways)> {
        let (step, state) = self.current().filter(|_| matches!(self.state, RunState::Paused(_)))?;
        Some((step, state.asked.as_ref()?))
    }

    /// Whether nothing of the run is or may be in flight, so that another may take its place.
    #[must_use]
    pub fn idle(&self) -> bool {
        let busy = |s: &StepRun| matches!(s.phase, Phase::Unknown | Phase::Started | Phase::Granted | Phase::Verifying);
        self.over() || matches!(self.state, RunState::Paused(_)) && !self.steps.iter().any(busy)
    }

    /// Whether the run is over.
    #[must_use]
    pub fn over(&self) -> bool {
        matches!(self.state, RunState::Succeeded { .. } | RunState::Aborted { .. } | RunState::HandedOver { .. })
    }

    /// Moves the run by one event at time `at`.
    ///
    /// # Errors
    /// The event does not fit where the run stands.
    pub fn apply(&mut self, event: &Event, at: Millis) -> Result<(), Illegal> {
        match event {
            Event::RunPaused { why } => self.set_state(RunState::Paused(why.clone())),
            Event::RunResumed { .. } if matches!(self.state, RunState::Paused(_)) => self.resume(),
            Event::RunAborted { why, .. } if !self.over() => self.abort(why, at),
            Event::RunHandedOver { to } if !self.over() => self.set_state(RunState::HandedOver { to: to.clone() }),
            Event::UndoAsked { step, .. } => self.undo(step),
            Event::RunVerifying => {
                self.proofs += 1;
                self.set_state(RunState::Verifying)
            }
            Event::RunVerified { ok, figures } if self.state == RunState::Verifying => {
                self.proof.clone_from(figures);
                self.state = if *ok {
                    RunState::Succeeded { at }
                } else {
                    RunState::Paused(format!("verification did not pass: {}", figures.join("; ")))
                };
                Ok(())
            }
            Event::ApprovalAsked { approval } => self.step(&approval.action.step, &[Phase::Previewing])?.ask(approval),
            Event::Voted { approval, by } => self.approval_mut(approval, &[Phase::Waiting])?.vote(by, at),
            Event::Granted { approval, start_by } => self.grant(approval, at, *start_by),
            Event::Denied { approval, by, reason } => {
                let standing = Standing::Denied { by: by.clone(), reason: reason.clone(), at };
                self.close(approval, standing, "denied", at)
            }
            Event::Expired { approval } => self.close(approval, Standing::Expired { at }, "the approval expired", at),
            Event::Voided { approval, why } => self.close(approval, Standing::Void { why: why.clone(), at }, why, at),
            _ => self.apply_step(event, at),
        }
    }

    fn apply_step(&mut self, event: &Event, at: Millis) -> Result<(), Illegal> {
        match event {
            Event::PreviewFailed { step, why } => {
                let s = self.step(step, &[Phase::Previewing])?;
                s.finish(Phase::Failed, at);
                s.remark = Some(why.clone());
                Ok(())
            }
            Event::PreviewAsked { step } => self.phase(step, &[Phase::Todo], Phase::Previewing),
            Event::StepStarted { step, .. } => {
                let s = self.step(step, &[Phase::Todo, Phase::Granted])?;
                s.phase = Phase::Started;
                s.started = Some(at);
                if let Some(a) = &mut s.approval {
                    a.standing = Standing::Used;
                }
                Ok(())
            }
            Event::StepEnded { step, end, rows } => self.end(step, end, rows.as_ref(), at),
            Event::StepVerified { step, ok, figures } => {
                let s = self.step(step, &[Phase::Verifying])?;
                s.finish(if *ok { Phase::Done } else { Phase::Failed }, at);
                s.remark = Some(figures.join("; "));
                self.advance_if_done();
                Ok(())
            }
            Event::StepSkipped { step, why, failed } => {
                let open =
                    [Phase::Todo, Phase::Previewing, Phase::Person, Phase::Watching, Phase::Choosing, Phase::Failed];
                let s = self.step(step, &open)?;
                s.finish(Phase::Skipped, at);
                s.failed = *failed;
                s.remark = Some(why.clone());
                self.advance_if_done();
                Ok(())
            }
            Event::PersonAsked { step, .. } => self.phase(step, &[Phase::Todo], Phase::Person),
            Event::PersonDid { step, by: _, evidence, done } => {
                let s = self.step(step, &[Phase::Person])?;
                s.finish(if *done { Phase::Done } else { Phase::Failed }, at);
                s.remark = Some(evidence.clone());
                self.advance_if_done();
                Ok(())
            }
            Event::SettleClaimed { step, by, happened } => {
                self.step(step, &[Phase::Unknown])?.claim = Some((by.clone(), *happened));
                Ok(())
            }
            Event::StepSettled { step, happened, how } => {
                let s = self.step(step, &[Phase::Unknown])?;
                s.finish(if *happened { Phase::Done } else { Phase::Failed }, at);
                s.remark = Some(how.clone());
                self.advance_if_done();
                Ok(())
            }
            _ => self.apply_way(event, at),
        }
    }

    fn apply_way(&mut self, event: &Event, at: Millis) -> Result<(), Illegal> {
        match event {
            Event::WaitBegan { step, until } => {
                let s = self.step(step, &[Phase::Todo])?;
                (s.phase, s.until, s.started) = (Phase::Watching, Some(*until), Some(at));
                Ok(())
            }
            Event::WaitOver { step, ok, figures } => {
                let s = self.step(step, &[Phase::Watching])?;
                s.finish(if *ok { Phase::Done } else { Phase::Failed }, at);
                s.remark = (!figures.is_empty()).then(|| figures.join("; "));
                self.advance_if_done();
                Ok(())
            }
            Event::Notified { step, people, .. } => {
                let s = self.step(step, &[Phase::Todo])?;
                s.started = Some(at);
                s.finish(Phase::Done, at);
                s.remark = Some(format!("{} told", people.len()));
                self.advance_if_done();
                Ok(())
            }
            Event::FailureAsked { step, ways } if matches!(self.state, RunState::Paused(_)) => {
                self.step(step, &[Phase::Failed])?.asked = Some(ways.clone());
                Ok(())
            }
            Event::ChoiceAsked { step, buttons } => {
                let s = self.step(step, &[Phase::Todo])?;
                s.phase = Phase::Choosing;
                s.buttons.clone_from(buttons);
                Ok(())
            }
            Event::Chosen { step, label, .. } => {
                let s = self.step(step, &[Phase::Choosing])?;
                s.finish(Phase::Done, at);
                s.remark = Some(label.clone());
                self.advance_if_done();
                Ok(())
            }
            _ => Err(Illegal::new("run", event)),
        }
    }

    fn end(&mut self, step: &str, end: &StepEnd, rows: Option<&Rows>, at: Millis) -> Result<(), Illegal> {
        let s = self.step(step, &[Phase::Started])?;
        s.rows = rows.cloned();
        match end {
            StepEnd::Done { verify: true } => s.phase = Phase::Verifying,
            StepEnd::Done { verify: false } => s.finish(Phase::Done, at),
            StepEnd::NotStarted { why } | StepEnd::Failed { why } => {
                s.finish(Phase::Failed, at);
                s.remark = Some(why.clone());
            }
            StepEnd::Unknown { why } => {
                s.finish(Phase::Unknown, at);
                s.remark = Some(why.clone());
            }
        }
        self.advance_if_done();
        Ok(())
    }

    fn resume(&mut self) -> Result<(), Illegal> {
        self.state = RunState::Going;
        if let Some(s) = self.steps.get_mut(self.at).filter(|s| s.phase != Phase::Todo) {
            s.phase = Phase::Todo;
            s.attempt += 1;
            s.approval = None;
            s.remark = None;
            s.claim = None;
            s.asked = None;
        }
        Ok(())
    }

    /// Ends the run; nothing may be in flight.
    fn abort(&mut self, why: &str, at: Millis) -> Result<(), Illegal> {
        let current = self.steps.get_mut(self.at);
        if let Some(s) = current {
            if matches!(s.phase, Phase::Started | Phase::Unknown | Phase::Granted) {
                return Err(Illegal(format!("a run cannot be aborted while `{}` may be in flight", s.id)));
            }
            if let Some(a) = s.approval.as_mut().filter(|a| a.standing == Standing::Open) {
                a.standing = Standing::Void { why: "the run was aborted".to_owned(), at };
            }
            s.asked = None;
            if !matches!(s.phase, Phase::Todo | Phase::Failed) {
                s.finish(Phase::Failed, at);
            }
        }
        self.set_state(RunState::Aborted { at, why: why.to_owned() })
    }

    /// Puts the step that takes `step` back in front of what is next.
    fn undo(&mut self, step: &str) -> Result<(), Illegal> {
        let paused = matches!(self.state, RunState::Paused(_) | RunState::Aborted { .. } | RunState::Succeeded { .. });
        let busy = self.steps.get(self.at).is_some_and(|s| s.phase == Phase::Unknown);
        let found = self.steps.iter().position(|s| s.id == step && s.phase == Phase::Done && !s.undone);
        let work = found.and_then(|i| self.loaded.runbook.steps.get(i)).and_then(Step::taken_back);
        let (Some(work), true, false) = (work, paused, busy) else {
            return Err(Illegal(format!("`{step}` cannot be taken back now")));
        };
        let mut state = StepRun::new(&work.id);
        state.undoes = Some(step.to_owned());
        // Each asking has a hundred attempts of its own, so that no execution is ever named twice.
        state.attempt = 1 + 100 * self.steps.iter().filter(|s| s.id == work.id).count() as u32;
        // A step that is not over stays where it is, behind the one that is put in.
        self.loaded.runbook.steps.insert(self.at, work);
        self.steps.insert(self.at, state);
        self.set_state(RunState::Going)
    }

    /// A step was taken back without the run's doing.
    pub fn taken_back(&mut self, step: &str) {
        for taken in self.steps.iter_mut().filter(|s| s.id == step && s.phase == Phase::Done) {
            taken.undone = true;
        }
    }

    fn set_state(&mut self, state: RunState) -> Result<(), Illegal> {
        self.state = state;
        Ok(())
    }

    fn advance_if_done(&mut self) {
        let Some(s) = self.steps.get(self.at).filter(|s| matches!(s.phase, Phase::Done | Phase::Skipped)) else {
            return;
        };
        let back = s.undoes.clone().filter(|_| s.phase == Phase::Done);
        for taken in self.steps.iter_mut().filter(|s| back.as_ref() == Some(&s.id)) {
            taken.undone = true;
        }
        if let Some(step) = back {
            self.state = RunState::Paused(format!(
                "`{step}` was taken back; /dr next goes on with the runbook, /dr abort REASON ends it"
            ));
        }
        self.at += 1;
    }

    fn step(&mut self, id: &str, from: &[Phase]) -> Result<&mut StepRun, Illegal> {
        let at = self.at;
        self.steps
            .get_mut(at)
            .filter(|s| s.id == id && from.contains(&s.phase))
            .ok_or_else(|| Illegal(format!("step `{id}` is not where this event needs it")))
    }

    fn phase(&mut self, id: &str, from: &[Phase], to: Phase) -> Result<(), Illegal> {
        self.step(id, from)?.phase = to;
        Ok(())
    }

    fn approval_mut(&mut self, id: &ApprovalId, from: &[Phase]) -> Result<&mut Approval, Illegal> {
        let at = self.at;
        self.steps
            .get_mut(at)
            .filter(|s| from.contains(&s.phase))
            .and_then(|s| s.approval.as_mut())
            .filter(|a| a.id == *id)
            .ok_or_else(|| Illegal(format!("approval `{}` is not open", id.0)))
    }

    fn grant(&mut self, id: &ApprovalId, at: Millis, start_by: Millis) -> Result<(), Illegal> {
        self.approval_mut(id, &[Phase::Waiting])?.standing = Standing::Granted { at, start_by };
        if let Some(s) = self.steps.get_mut(self.at) {
            s.phase = Phase::Granted;
        }
        Ok(())
    }

    fn close(&mut self, id: &ApprovalId, standing: Standing, why: &str, at: Millis) -> Result<(), Illegal> {
        self.approval_mut(id, &[Phase::Waiting, Phase::Granted])?.standing = standing;
        if let Some(s) = self.steps.get_mut(self.at) {
            s.finish(Phase::Failed, at);
            s.remark = Some(why.to_owned());
        }
        Ok(())
    }
}

impl StepRun {
    fn new(id: &str) -> StepRun {
        StepRun {
            id: id.to_owned(),
            phase: Phase::Todo,
            attempt: 1,
            started: None,
            ended: None,
            approval: None,
            rows: None,
            remark: None,
            claim: None,
            until: None,
            buttons: Vec::new(),
            asked: None,
            undoes: None,
            undone: false,
            failed: false,
        }
    }

    fn ask(&mut self, approval: &Approval) -> Result<(), Illegal> {
        self.phase = Phase::Waiting;
        self.approval = Some(approval.clone());
        Ok(())
    }

    fn finish(&mut self, phase: Phase, at: Millis) {
        self.phase = phase;
        self.asked = None;
        self.ended = Some(at);
    }
}

impl Approval {
    fn vote(&mut self, by: &PersonId, at: Millis) -> Result<(), Illegal> {
        if self.votes.iter().any(|(p, _)| p == by) {
            return Err(Illegal(format!("{} voted twice", by.0)));
        }
        self.votes.push((by.clone(), at));
        Ok(())
    }
}
