//! The incident: its clocks, its card, its run. Takes events; gives the figures people ask for.

use serde::{Deserialize, Serialize};

use super::agreed::{self, News, Pending, Stand};
use super::alert::Origin;
use super::approval::{ApprovalId, Standing};
use super::deadline::{Clock, Deadline};
use super::event::{Declared, Event, Illegal};
use super::form::Picking;
use super::id::ButtonId;
use super::inbound::FormPurpose;
use super::person::PersonId;
use super::run::Run;
use super::time::{Millis, Span};

/// An incident as its events left it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    pub declared: Declared,
    pub declared_at: Millis,
    pub recovered: Option<Millis>,
    pub run: Option<Run>,
    /// The alerts it was opened for or that were found to belong to it.
    #[serde(default)]
    pub origins: Vec<Origin>,
    /// How many runs there were, this one included.
    pub runs: u32,
    pub notes: u64,
    pub last_note: Option<String>,
    /// Open forms, oldest first; at most `FORMS`, the oldest is forgotten.
    pub forms: Vec<OpenForm>,
    /// Lists that persons choose parameters from, oldest first; at most `PICKINGS`, the oldest is forgotten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub picks: Vec<Picking>,
    /// The clocks that people must meet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deadlines: Vec<Deadline>,
    /// The undos that were agreed to together with steps that were done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agreed: Vec<Pending>,
    /// Buttons of the current manual step: done, cannot.
    pub person: Option<(String, ButtonId, ButtonId)>,
}

/// A form that a person may still send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenForm {
    pub token: ButtonId,
    pub purpose: FormPurpose,
    pub person: PersonId,
}

const FORMS: usize = 32;
const PICKINGS: usize = 8;

impl Incident {
    /// A fresh incident.
    #[must_use]
    pub fn new(declared: Declared, at: Millis) -> Incident {
        Incident {
            origins: declared.origin.iter().cloned().collect(),
            declared,
            declared_at: at,
            recovered: None,
            run: None,
            runs: 0,
            notes: 0,
            last_note: None,
            forms: Vec::new(),
            picks: Vec::new(),
            deadlines: Vec::new(),
            agreed: Vec::new(),
            person: None,
        }
    }

    /// Time from the beginning of the trouble to recovery, or to `now`: what RTO is held against.
    #[must_use]
    pub fn elapsed(&self, now: Millis) -> Span {
        self.recovered.unwrap_or(now).since(self.declared.began)
    }

    /// The clocks that still run.
    #[must_use]
    pub fn clocks(&self) -> Vec<Clock> {
        let open = self.deadlines.iter().filter(|d| d.met.is_none());
        open.map(|d| Clock { title: d.title.clone(), due: d.due }).collect()
    }

    /// Moves the incident by one event at time `at`.
    ///
    /// # Errors
    /// The event does not fit where the incident stands.
    pub fn apply(&mut self, event: &Event, at: Millis) -> Result<(), Illegal> {
        match event {
            Event::Noted { by: _, text } => {
                self.notes += 1;
                self.last_note = Some(text.clone());
                Ok(())
            }
            Event::AlertJoined { origin, by: _ } => {
                self.origins.push(origin.clone());
                Ok(())
            }
            Event::VoteRefused { .. } | Event::Refused { .. } => Ok(()),
            Event::FormOpened { token, purpose, person } => {
                if self.forms.len() >= FORMS {
                    self.forms.remove(0);
                }
                self.forms.push(OpenForm { token: token.clone(), purpose: purpose.clone(), person: person.clone() });
                Ok(())
            }
            Event::PickAsked { picking } => {
                if self.picks.len() >= PICKINGS {
                    self.picks.remove(0);
                }
                self.picks.push((**picking).clone());
                Ok(())
            }
            Event::Picked { token, param, options, why } => self.picked(event, (token, param), (options, why)),
            Event::RunStarted { id, loaded, values, by } if self.run.as_ref().is_none_or(Run::idle) => {
                // What this person was asked for this run is answered; sent again it must not start another.
                let asked = FormPurpose::Run(loaded.runbook.runbook.clone());
                self.forms.retain(|f| f.purpose != asked || f.person != *by);
                self.picks.retain(|p| p.runbook != loaded.runbook.runbook || p.person != *by);
                self.run = Some(Run::new(id.clone(), (**loaded).clone(), values.clone(), by.clone(), at));
                self.runs += 1;
                Ok(())
            }
            Event::DeadlineBegan { deadline } if self.deadlines.iter().all(|d| d.step != deadline.step) => {
                self.deadlines.push((**deadline).clone());
                Ok(())
            }
            Event::DeadlineNear { step, .. } => {
                self.deadline(event, step)?.remind(at);
                Ok(())
            }
            Event::DeadlineMet { step, by, .. } => {
                self.deadline(event, step)?.met = Some((by.clone(), at));
                Ok(())
            }
            Event::AgreedUndo { approval, news } => self.agreed(event, (approval, news), at),
            _ => self.apply_to_run(event, at),
        }
    }

    /// An agreed undo begins, or moves.
    fn agreed(&mut self, event: &Event, of: (&ApprovalId, &News), at: Millis) -> Result<(), Illegal> {
        let (id, news) = of;
        let odd = || Illegal::new("incident whose agreed undo is not there", event);
        if let News::Armed { step, until } = news {
            let run = self.run.as_ref().ok_or_else(odd)?;
            let approval = run.approval(id).filter(|a| a.standing == Standing::Used && a.action.agreed.is_some());
            let approval = approval.filter(|_| agreed::find(&self.agreed, id).is_none()).ok_or_else(odd)?;
            self.agreed.push(Pending::new(&run.id, step, approval.clone(), *until, at));
            return Ok(());
        }
        let pending = self.agreed.iter_mut().find(|p| p.approval.id == *id).ok_or_else(odd)?;
        if !pending.apply(news, at) {
            return Err(odd());
        }
        let run = self.run.as_mut().filter(|r| r.id == pending.run);
        if let (News::Proved { ok: true, .. }, Some(run)) = (news, run) {
            run.taken_back(&pending.step);
        }
        Ok(())
    }

    /// What was taken back by hand is not taken back again.
    fn by_hand(&mut self, at: Millis) {
        let Some(run) = &self.run else { return };
        let undone = |p: &Pending| run.id == p.run && run.steps.iter().any(|s| s.id == p.step && s.undone);
        for pending in self.agreed.iter_mut().filter(|p| p.waits() && undone(p)) {
            (pending.stand, pending.at) = (Stand::Stopped, at);
            pending.remark = "it was taken back by hand".to_owned();
        }
    }

    /// The clock of this step, which must still run.
    fn deadline(&mut self, event: &Event, step: &str) -> Result<&mut Deadline, Illegal> {
        let running = self.deadlines.iter_mut().find(|d| d.step == step && d.met.is_none());
        running.ok_or_else(|| Illegal::new("incident without this clock", event))
    }

    /// One list is there. Without it nothing can be chosen, so the whole wish ends.
    fn picked(
        &mut self,
        event: &Event,
        at: (&ButtonId, &str),
        got: (&[(String, String)], &Option<String>),
    ) -> Result<(), Illegal> {
        let picking = self.picks.iter_mut().find(|p| p.token == *at.0);
        let list = picking.and_then(|p| p.lists.get_mut(at.1)).filter(|l| l.is_none());
        let list = list.ok_or_else(|| Illegal::new("incident that did not ask for this list", event))?;
        *list = Some(got.0.to_vec());
        if got.1.is_some() {
            self.picks.retain(|p| p.token != *at.0);
        }
        Ok(())
    }

    fn apply_to_run(&mut self, event: &Event, at: Millis) -> Result<(), Illegal> {
        let run = self.run.as_mut().ok_or_else(|| Illegal::new("incident without a run", event))?;
        run.apply(event, at)?;
        self.by_hand(at);
        match event {
            Event::PersonAsked { step, done, cannot } => {
                // A form of an earlier attempt must not report this one.
                self.forms.retain(|f| matches!(f.purpose, FormPurpose::Deny(_) | FormPurpose::Run(_)));
                self.person = Some((step.clone(), done.clone(), cannot.clone()));
            }
            Event::PersonDid { .. }
            | Event::RunResumed { .. }
            | Event::StepSkipped { .. }
            | Event::RunAborted { .. } => {
                self.person = None;
            }
            Event::RunVerified { ok: true, .. } => self.recovered = Some(at),
            _ => {}
        }
        Ok(())
    }
}
