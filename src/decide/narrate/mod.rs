//! What people see. Takes a case and what is known; gives messages as values. One function per message,
//! each with its snapshot.

pub mod alert;
pub mod checklist;
pub mod history;
pub mod incident;
pub mod plan;
pub mod reminder;
pub mod runbooks;
pub mod status;

use crate::model::case::{Body, Case};
use crate::model::catalog::Catalog;
use crate::model::effect::CardKind;
use crate::model::event::Entry;
use crate::model::message::Message;
use crate::model::person::Roster;
use crate::model::time::{Millis, Span};
use crate::model::world::World;

/// `1 row`, `2 rows`.
#[must_use]
pub fn counted(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// How long it lasts against its objective: `12 min of 4 h RTO`, `5 h, OVER the RTO of 4 h`.
#[must_use]
pub fn against(elapsed: Span, objective: Span, name: &str) -> String {
    let took = if elapsed < Span::seconds(1) { "0 s".to_owned() } else { elapsed.human() };
    let limit = objective.human();
    if elapsed > objective {
        format!("{took}, OVER the {name} of {limit}")
    } else {
        format!("{took} of {limit} {name}")
    }
}

/// Everything a card may be drawn from.
pub struct Scene<'a> {
    pub case: &'a Case,
    pub world: &'a World,
    pub catalog: &'a Catalog,
    pub roster: &'a Roster,
    pub now: Millis,
}

/// A drawn card: the message, the last event it covers, and whether lines are left for another one.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    pub message: Message,
    pub upto: u64,
    pub more: bool,
    /// It is there to be noticed: an answer in a thread alone is not.
    pub loud: bool,
}

/// Draws a card from the state as it is now; `None` if the case has no such card or nothing new to say.
/// `entries` are the events after the last history line.
#[must_use]
pub fn card(scene: &Scene<'_>, kind: CardKind, entries: &[Entry]) -> Option<Drawn> {
    let whole = |message| Some(Drawn { message, upto: 0, more: false, loud: false });
    match (&scene.case.body, kind) {
        (Body::Incident(_), CardKind::Main) => whole(incident::card(scene.case, scene.roster, scene.now)),
        (Body::Incident(_), CardKind::History) => history::chunk(entries, scene.roster),
        (Body::Check(status), CardKind::Main) => whole(status::card(status, scene)),
        (Body::Plan(plan), CardKind::Main) => whole(plan::card(plan, scene)),
        (Body::Plan(plan), CardKind::History) => plan::detail(plan, entries),
        (Body::Alarm(alarm), CardKind::Main) if alarm.reminds() => whole(reminder::card(alarm, scene)),
        (Body::Alarm(alarm), CardKind::History) if alarm.reminds() => {
            entries.last().map(|e| reminder::again(alarm, scene, e.seq))
        }
        (Body::Alarm(alarm), CardKind::Main) => whole(alert::card(alarm, scene)),
        (Body::Alarm(alarm), CardKind::History) => alert::again(alarm, entries),
        _ => None,
    }
}
