//! An alert group's card, and what is said when it fires again. Takes the group and what is known; gives a
//! short message with live state: decisions about recovery live on the incident's card.

use super::{Drawn, Scene, counted};
use crate::decide::alerts::short;
use crate::decide::verdict;
use crate::model::alert::{Alarm, Alert};
use crate::model::event::{Entry, Event};
use crate::model::message::{Button, Message, Part, Run, Style, runs};

/// Most alerts listed by name; the rest is counted.
const LISTED: usize = 5;

/// Draws the card.
#[must_use]
pub fn card(alarm: &Alarm, scene: &Scene<'_>) -> Message {
    let title = title(alarm);
    let found = diagnosis(alarm, scene);
    let mut parts = vec![Part::Title(title.clone()), Part::Text(list(alarm)), Part::Text(found.runs())];
    if let Some(number) = alarm.incident {
        parts.push(incident(number, scene));
    } else if let Some((by, _)) = &alarm.opening {
        parts.push(Part::Text(runs(&format!("{} opens an incident.", scene.roster.name(by)))));
    }
    if let Some((by, at)) = &alarm.acked {
        parts.push(Part::Text(runs(&format!("👤 {} acknowledged it at {}.", scene.roster.name(by), at.clock()))));
    }
    let buttons = buttons(alarm);
    if !buttons.is_empty() {
        parts.push(Part::Buttons(buttons));
    }
    parts.push(Part::Small(small(alarm, scene)));
    Message { notify: format!("{title}, {}", found.text()), parts }
}

fn title(alarm: &Alarm) -> String {
    let (name, firing) = (&alarm.title, alarm.firing() as u64);
    match (firing, alarm.truncated) {
        (0, 0) => format!("✅ {name}: resolved"),
        (0, left) => {
            format!("🟡 {name}: what was sent is resolved; nothing is known of {} left out", counted(left, "alert"))
        }
        (n, _) => format!("🔴 {name}: {} firing", counted(n, "alert")),
    }
}

fn list(alarm: &Alarm) -> Vec<Run> {
    let mut alerts: Vec<&Alert> = alarm.alerts.values().map(|k| &k.alert).collect();
    alerts.sort_by_key(|a| (!a.firing, std::cmp::Reverse(a.starts), a.fingerprint.clone()));
    let mut runs = Vec::new();
    for alert in alerts.iter().take(LISTED) {
        let when = match (alert.firing, alert.ends) {
            (true, _) => format!("firing since {}", alert.starts.clock()),
            (false, Some(end)) => format!("fired from {} to {}", alert.starts.clock(), end.clock()),
            (false, None) => format!("fired from {}, resolved", alert.starts.clock()),
        };
        runs.push(Run::Plain(format!("{}  ({when})\n", alert.summary)));
    }
    let more = alerts.len().saturating_sub(LISTED) as u64;
    if more > 0 {
        runs.push(Run::Plain(format!("and {} not listed here\n", counted(more, "more alert"))));
    }
    if alarm.truncated > 0 {
        let left = counted(alarm.truncated, "alert");
        runs.push(Run::Plain(format!(
            "{} left out {left} of this group (its max_alerts); they are not counted here\n",
            alarm.source
        )));
    }
    runs
}

/// The word that decides, and what it rests on.
struct Found {
    sign: &'static str,
    word: String,
    why: String,
}

impl Found {
    fn runs(&self) -> Vec<Run> {
        let mut all = vec![Run::Plain(format!("{} ", self.sign)), Run::Bold(self.word.clone())];
        all.extend(runs(&self.why));
        all
    }

    fn text(&self) -> String {
        format!("{}{}", self.word, self.why)
    }
}

/// Confirmed, not confirmed or could not check, with the figures that decided it.
fn diagnosis(alarm: &Alarm, scene: &Scene<'_>) -> Found {
    let found = |sign, word: &str, why: String| Found { sign, word: word.to_owned(), why };
    let Some(name) = alarm.scenario() else {
        let why = ". `/dr detect RUNBOOK` runs one scenario's checks; `/dr runbooks` lists them.";
        return found("⚪", "no scenario names this alert", why.into());
    };
    let Some(loaded) = scene.catalog.runbooks.get(name) else {
        return found("⚫", "could not check", format!(": runbook `{name}` is not loaded any more"));
    };
    let title = &loaded.runbook.title;
    if let Some(why) = &loaded.unusable {
        return found("⚫", "could not check", format!(" {title} (`{name}`): {why}"));
    }
    let Some(seen) = &alarm.detection else { return found("⏳", "checking", format!(" {title} (`{name}`)")) };
    let figures = verdict::figures(&seen.checked).join("; ");
    // The alert itself is one failure: what the detection sees once more confirms it.
    let (light, word) = match verdict::failing(&seen.checked) {
        Some(true) => ("🔴", "confirmed"),
        Some(false) => ("🟢", "not confirmed"),
        None => ("⚫", "could not check"),
    };
    let sign = if alarm.firing() > 0 { light } else { "⚪" };
    found(sign, word, format!(" at {}: {title} (`{name}`): {figures}", seen.at.clock()))
}

fn incident(number: u64, scene: &Scene<'_>) -> Part {
    let open = scene.world.open.values().find(|o| o.number == number);
    let state = match open.map(|o| o.recovered) {
        Some(Some(at)) => format!(" is the incident of this alert; it recovered at {}.", at.clock()),
        _ => " is the incident of this alert.".to_owned(),
    };
    Part::Text(vec![Run::Bold(format!("INC-{number}")), Run::Plain(state)])
}

pub(super) fn buttons(alarm: &Alarm) -> Vec<Button> {
    let Some(round) = alarm.round.as_ref().filter(|_| alarm.firing() > 0) else { return Vec::new() };
    if alarm.reminds() {
        let done = Button { id: round.ack.clone(), label: "Done".into(), style: Style::Primary };
        return if alarm.acked.is_none() { vec![done] } else { Vec::new() };
    }
    let mut buttons = Vec::new();
    if alarm.incident.is_none() && alarm.opening.is_none() {
        buttons.push(Button { id: round.open.clone(), label: "Open incident".into(), style: Style::Primary });
    }
    if alarm.acked.is_none() {
        buttons.push(Button { id: round.ack.clone(), label: "Acknowledge".into(), style: Style::Plain });
    }
    buttons
}

fn small(alarm: &Alarm, scene: &Scene<'_>) -> String {
    let times = if alarm.rounds > 1 { format!(", fired {} times", alarm.rounds) } else { String::new() };
    let typed = if alarm.acked.is_none() && alarm.firing() > 0 {
        format!("  Or type: /dr ack {}", short(&scene.case.id))
    } else {
        String::new()
    };
    format!("From {}{times}.{typed}", alarm.source)
}

/// What is said aloud under the card when a group that was resolved fires again: an edit rings no bell.
#[must_use]
pub fn again(alarm: &Alarm, entries: &[Entry]) -> Option<Drawn> {
    let begins = |e: &&Entry| matches!(&e.event, Event::Alerted { round: Some(_), .. });
    let newest = entries.iter().rev().find(begins)?;
    let text = format!("{} fires again since {}; the card above is up to date.", alarm.title, newest.at.clock());
    Some(Drawn {
        message: Message { notify: text.clone(), parts: vec![Part::Text(vec![Run::Plain(text)])] },
        upto: entries.last().map_or(newest.seq, |e| e.seq),
        more: false,
        loud: true,
    })
}
