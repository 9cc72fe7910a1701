//! The case: one stream of events and what they add up to. `Case::apply` is the only transition
//! function; it serves live writes and replay alike.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::alert::Alarm;
use super::effect::CardKind;
use super::event::{Event, Illegal};
use super::id::CaseId;
use super::incident::Incident;
use super::outcome::Checked;
use super::person::PersonId;
use super::plan::Plan;
use super::schedule::Rhythm;
use super::time::Millis;

/// One stream of events, folded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    pub id: CaseId,
    /// How many events were applied.
    pub seq: u64,
    pub body: Body,
    /// Where each card of the case stands in chat.
    pub cards: BTreeMap<CardKind, Card>,
}

/// A message of ours in a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    pub channel: String,
    pub ts: String,
    /// The last event whose line it carries (history only).
    pub upto: u64,
    /// Why chat refused it for good, if it did.
    pub failed: Option<String>,
}

/// What kind of case, and its state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    Empty,
    Incident(Box<Incident>),
    Check(Status),
    Plan(Box<Plan>),
    Watch(Watch),
    Schedule(Rhythm),
    Alarm(Box<Alarm>),
    Control { refused: u64 },
}

/// An ad hoc `/dr status` or `/dr detect`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub by: PersonId,
    pub channel: String,
    /// The thread it was asked in, if it was.
    #[serde(default)]
    pub thread: Option<String>,
    pub asked: Millis,
    /// Runbook to its detection, once back.
    pub found: BTreeMap<String, Option<Detection>>,
    /// One scenario was asked for.
    #[serde(default)]
    pub single: bool,
}

/// A detection that came back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    pub at: Millis,
    pub checked: Vec<Checked>,
    pub streak: u32,
    pub since: Option<Millis>,
}

/// A scenario's standing detection: the last transition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    pub runbook: String,
    pub last: Option<Detection>,
}

impl Case {
    /// A case before its first event.
    #[must_use]
    pub fn new(id: CaseId) -> Case {
        Case { id, seq: 0, body: Body::Empty, cards: BTreeMap::new() }
    }

    /// The incident, if this is one.
    #[must_use]
    pub fn incident(&self) -> Option<&Incident> {
        match &self.body {
            Body::Incident(incident) => Some(incident),
            _ => None,
        }
    }

    /// The alert group, if this is one.
    #[must_use]
    pub fn alarm(&self) -> Option<&Alarm> {
        match &self.body {
            Body::Alarm(alarm) => Some(alarm),
            _ => None,
        }
    }

    /// Moves the case by one event at time `at`.
    ///
    /// # Errors
    /// The event does not fit where the case stands; the case is then unchanged only if the caller
    /// worked on a copy, which every caller does.
    pub fn apply(&mut self, event: &Event, at: Millis) -> Result<(), Illegal> {
        match (&mut self.body, event) {
            (Body::Empty, Event::Declared(declared)) => {
                self.body = Body::Incident(Box::new(Incident::new(declared.clone(), at)))
            }
            (Body::Empty, Event::StatusAsked { by, channel, scenarios, single, thread }) => {
                let found = scenarios.iter().map(|s| (s.clone(), None)).collect();
                let (by, channel, single, thread) = (by.clone(), channel.clone(), *single, thread.clone());
                self.body = Body::Check(Status { by, channel, thread, asked: at, found, single });
            }
            (Body::Empty, Event::PlanAsked { by, channel, thread, loaded, values }) => {
                let (by, channel, thread) = (by.clone(), channel.clone(), thread.clone());
                let (loaded, values) = (loaded.as_ref().clone(), values.clone());
                let looks = Vec::new();
                self.body = Body::Plan(Box::new(Plan { by, channel, thread, asked: at, loaded, values, looks }));
            }
            (Body::Empty, Event::WatchOpened { runbook }) => {
                self.body = Body::Watch(Watch { runbook: runbook.clone(), last: None })
            }
            (Body::Empty, Event::ScheduleOpened { schedule }) => {
                self.body = Body::Schedule(Rhythm { schedule: schedule.clone(), since: at, last: None });
            }
            (Body::Empty, Event::AlarmOpened { source, title, channel }) => {
                self.body = Body::Alarm(Box::new(Alarm::new(source, title, channel)));
            }
            (Body::Empty, Event::ControlOpened) => self.body = Body::Control { refused: 0 },
            (Body::Empty, _) => return Err(Illegal::new("case that was not opened", event)),
            (_, Event::CardPosted { card, channel, ts, upto }) => {
                let at = Card { channel: channel.clone(), ts: ts.clone(), upto: *upto, failed: None };
                self.cards.insert(*card, at);
            }
            (_, Event::CardFailed { card, why }) => self.card_failed(*card, why),
            (Body::Control { refused }, Event::Refused { .. }) => *refused += 1,
            (Body::Check(status), Event::Detected { runbook, checked, streak, since }) => {
                let found = Detection { at, checked: checked.clone(), streak: *streak, since: *since };
                let slot = status
                    .found
                    .get_mut(runbook)
                    .ok_or_else(|| Illegal::new("status that did not ask for it", event))?;
                *slot = Some(found);
            }
            (Body::Watch(watch), Event::Detected { runbook, checked, streak, since }) if *runbook == watch.runbook => {
                watch.last = Some(Detection { at, checked: checked.clone(), streak: *streak, since: *since });
            }
            (Body::Schedule(rhythm), Event::ScheduleDue) => rhythm.last = Some(at),
            (Body::Alarm(alarm), event) => alarm.apply(event, at)?,
            (Body::Incident(incident), event) => incident.apply(event, at)?,
            (Body::Plan(plan), Event::Planned { step, look }) if plan.next().is_some_and(|s| s.id == *step) => {
                plan.looks.push(look.clone());
            }
            (Body::Plan(_), event) => return Err(Illegal::new("plan", event)),
            (Body::Check(_), event) => return Err(Illegal::new("status check", event)),
            (Body::Watch(_), event) => return Err(Illegal::new("watch", event)),
            (Body::Schedule(_), event) => return Err(Illegal::new("schedule", event)),
            (Body::Control { .. }, event) => return Err(Illegal::new("control case", event)),
        }
        self.seq += 1;
        Ok(())
    }

    fn card_failed(&mut self, card: CardKind, why: &str) {
        let blank = Card { channel: String::new(), ts: String::new(), upto: 0, failed: None };
        self.cards.entry(card).or_insert(blank).failed = Some(why.to_owned());
    }
}
