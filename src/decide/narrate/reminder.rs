//! The card that reminds a role of what is due. Takes the reminder and its schedule; gives a short message
//! with one button, until somebody says that it is done.

use super::alert::buttons;
use super::history::people;
use super::{Drawn, Scene};
use crate::decide::alerts::short;
use crate::model::alert::Alarm;
use crate::model::message::{Message, Part, Run, runs};
use crate::model::person::PersonId;
use crate::model::schedule::Schedule;
use crate::model::time::Millis;

/// Draws the card.
#[must_use]
pub fn card(alarm: &Alarm, scene: &Scene<'_>) -> Message {
    let schedule = schedule(alarm, scene);
    let rhythm = schedule.map(|s| format!("Due {}. ", s.rhythm())).unwrap_or_default();
    if let Some((by, at)) = &alarm.acked {
        let title = format!("✅ {}", alarm.title);
        let text = format!("{} did it at {}.", scene.roster.name(by), at.date_clock());
        let next = schedule.and_then(|s| s.next(due(alarm))).map(|at| format!("Next on {}.", at.date_clock()));
        let mut parts = vec![Part::Title(title.clone()), Part::Text(runs(&text))];
        parts.extend(next.map(Part::Small));
        return Message { notify: format!("{title}: {text}"), parts };
    }
    let title = format!("🗓 {}", alarm.title);
    let mut text = runs(&format!("Due since {}", due(alarm).date_clock()));
    text.extend(asked(schedule, scene));
    let mut parts = vec![Part::Title(title.clone()), Part::Text(text)];
    parts.push(Part::Buttons(buttons(alarm)));
    parts.push(Part::Small(format!("{rhythm}Or type: /dr ack {}", short(&scene.case.id))));
    Message { notify: format!("{title} is due"), parts }
}

/// What is said aloud when it is due once more: an edit of the card rings no bell.
#[must_use]
pub fn again(alarm: &Alarm, scene: &Scene<'_>, upto: u64) -> Drawn {
    let mut text = runs(&format!("{} is due again since {}", alarm.title, due(alarm).date_clock()));
    text.extend(asked(schedule(alarm, scene), scene));
    let notify = format!("{} is due again", alarm.title);
    Drawn { message: Message { notify, parts: vec![Part::Text(text)] }, upto, more: false, loud: true }
}

fn schedule<'a>(alarm: &Alarm, scene: &Scene<'a>) -> Option<&'a Schedule> {
    scene.catalog.shared.schedules.iter().find(|s| alarm.alerts.contains_key(&s.id))
}

fn due(alarm: &Alarm) -> Millis {
    alarm.began().unwrap_or_default()
}

/// `, for engineering: @Alice @Bob`; the address where nobody of the roster has the role.
fn asked(schedule: Option<&Schedule>, scene: &Scene<'_>) -> Vec<Run> {
    let Some(role) = schedule.and_then(|s| s.owner.as_ref()) else { return Vec::new() };
    let with = scene.roster.people.iter().filter(|p| p.roles.contains(role));
    let who: Vec<PersonId> = with.map(|p| p.id.clone()).collect();
    let mut text = runs(&format!(", for {role}"));
    if who.is_empty() {
        let contact = scene.catalog.shared.contacts.iter().find(|c| c.role == *role);
        text.extend(contact.map(|c| Run::Plain(format!(" ({})", c.reach))));
    } else {
        text.push(Run::Plain(":".into()));
        text.extend(people(&who, scene.roster));
    }
    text
}
