//! A decision being made. Takes events one by one and applies each to a copy of the case, so that later
//! parts of the same decision see what earlier ones did; gives the whole decision, or none of it.

use std::collections::BTreeSet;

use super::interlock;
use crate::model::case::{Body, Case};
use crate::model::effect::{Act, CardKind, Effect, Lane};
use crate::model::event::{Event, Illegal};
use crate::model::id::EffectKey;
use crate::model::incident::Incident;
use crate::model::message::{Message, Reply};
use crate::model::person::Speaker;
use crate::model::run::Run;
use crate::model::time::Millis;
use crate::model::world::{Decision, Guard};

pub(crate) struct Draft {
    pub(crate) case: Case,
    pub(crate) out: Decision,
    now: Millis,
    broken: Option<Illegal>,
    /// The locks on targets that the case held before.
    held: BTreeSet<String>,
}

impl Draft {
    pub(crate) fn new(case: &Case, now: Millis) -> Draft {
        Draft { case: case.clone(), out: Decision::default(), now, broken: None, held: interlock::held(case) }
    }

    /// Records that something happened.
    pub(crate) fn happen(&mut self, event: Event) {
        match self.case.apply(&event, self.now) {
            Ok(()) => self.out.events.push(event),
            Err(illegal) => self.broken = self.broken.take().or(Some(illegal)),
        }
    }

    /// Whether an event was refused, so that nothing of this decision counts.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    pub(crate) fn effect(&mut self, key: EffectKey, lane: Lane, due: Millis, act: Act) {
        self.out.effects.push(Effect { key, lane, due, act });
    }

    pub(crate) fn finish_effect(&mut self, key: &EffectKey, generation: i64) {
        self.out.finished.push((key.clone(), generation));
    }

    pub(crate) fn guard(&mut self, guard: Guard) {
        self.out.guards.push(guard);
    }

    /// A short text to one person, outside the answer to their request.
    pub(crate) fn tell(&mut self, key: &str, to: &Speaker, place: (&str, Option<&str>), text: String) {
        let (channel, reply) = place;
        let act = Act::Tell {
            to: to.clone(),
            channel: channel.to_owned(),
            reply: reply.map(str::to_owned),
            thread: None,
            message: Message::text(text),
        };
        self.effect(EffectKey::of(&["tell", key]), Lane::Approval, self.now, act);
    }

    pub(crate) fn incident(&self) -> Option<&Incident> {
        self.case.incident()
    }

    pub(crate) fn run(&self) -> Option<&Run> {
        self.incident().and_then(|i| i.run.as_ref())
    }

    /// The decision, with the renders its events call for. A draft in which an event was illegal is
    /// dropped whole: nothing is stored but the end of the effect that brought it.
    pub(crate) fn into_decision(mut self, reply: Reply) -> Decision {
        if let Some(illegal) = self.broken {
            let text =
                format!("drbot met a state it does not know ({illegal}); nothing was changed. Please report this.");
            return Decision {
                finished: self.out.finished,
                reply: Some(Reply::Private(Message::text(text))),
                ..Decision::default()
            };
        }
        let holds = interlock::held(&self.case);
        self.out.guards.extend(self.held.difference(&holds).cloned().map(Guard::Release));
        self.out.guards.extend(holds.difference(&self.held).cloned().map(Guard::Take));
        let shows = matches!(self.case.body, Body::Incident(_) | Body::Check(_) | Body::Plan(_) | Body::Alarm(_));
        let card = self.out.events.iter().any(changes_card);
        let line = match &self.case.body {
            Body::Incident(_) => self.out.events.iter().any(super::narrate::history::tells),
            // A group's first firing is its card; a later one only edits that, which nobody would notice.
            Body::Plan(plan) => self.out.events.iter().any(|e| super::narrate::plan::tells(plan, e)),
            Body::Alarm(alarm) => alarm.rounds > 1 && self.out.events.iter().any(begins),
            _ => false,
        };
        if shows && card {
            self.out.effects.push(Effect::render(&self.case.id, CardKind::Main, self.now));
        }
        if line {
            self.out.effects.push(Effect::render(&self.case.id, CardKind::History, self.now));
        }
        self.out.reply = Some(reply);
        self.out
    }
}

/// Whether an alert group began to fire.
fn begins(event: &Event) -> bool {
    matches!(event, Event::Alerted { round: Some(_), .. })
}

/// Whether the main card says something else after this event.
fn changes_card(event: &Event) -> bool {
    !matches!(
        event,
        Event::Noted { .. }
            | Event::CardPosted { .. }
            | Event::CardFailed { .. }
            | Event::FormOpened { .. }
            | Event::PickAsked { .. }
            | Event::Picked { .. }
            | Event::VoteRefused { .. }
            | Event::Refused { .. }
    )
}
