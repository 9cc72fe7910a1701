//! The thread: one line per thing that happened. Takes events; gives lines, in chunks that fit a
//! message.

use std::collections::BTreeSet;

use super::{Drawn, counted};
use crate::decide::policy;
use crate::model::agreed::News;
use crate::model::approval::{Approval, ApprovalId};
use crate::model::event::{Declared, Entry, Event, StepEnd};
use crate::model::message::{Message, Part, Run};
use crate::model::person::{PersonId, Roster};

/// Most characters of lines in one message.
const CHUNK: usize = 2_800;

/// Whether an event has a line in the timeline.
#[must_use]
pub fn tells(event: &Event) -> bool {
    line(event, &Roster::default()).is_some()
}

/// The line of an event, if it has one.
#[must_use]
pub fn line(event: &Event, roster: &Roster) -> Option<String> {
    let name = |p| roster.name(p);
    Some(match event {
        Event::Declared(d) => declared(d, roster),
        Event::Noted { by, text } => format!("{} noted: {text}", name(by)),
        Event::Refused { who, what, why } => format!("refused {who}: {what} ({why})"),
        Event::Detected { runbook, checked, .. } => format!(
            "detection of {runbook}: {}",
            checked.iter().map(|c| c.figure.as_str()).collect::<Vec<_>>().join("; ")
        ),
        Event::Alerted { alerts, round, .. } => {
            let firing = alerts.iter().filter(|a| a.firing).count() as u64;
            let resolved = counted(alerts.len() as u64 - firing, "alert");
            let begins = if round.is_some() { "the group fires: " } else { "" };
            format!("{begins}{} firing, {resolved} resolved", counted(firing, "alert"))
        }
        Event::AlarmAcked { by } => format!("{} acknowledged the alert", name(by)),
        Event::AlarmOpening { by } => format!("{} opens an incident", name(by)),
        Event::AlarmLinked { number } => format!("INC-{number} is open for the alert"),
        Event::AlertJoined { origin, by } => {
            format!("{} found the alert {} to belong to this incident", name(by), origin.title)
        }
        Event::RunStarted { loaded, by, .. } => format!("{} started runbook {}", name(by), loaded.runbook.runbook),
        Event::RunPaused { why } => format!("paused: {why}"),
        Event::RunResumed { by } => format!("{} resumed the run", name(by)),
        Event::RunVerified { ok: true, figures } => format!("verified, recovered: {}", figures.join("; ")),
        Event::RunVerified { ok: false, figures } => format!("verification did not pass: {}", figures.join("; ")),
        Event::PreviewFailed { step, why } => format!("{step}: could not list what it would touch: {why}"),
        Event::ApprovalAsked { approval } => format!(
            "{}: approval {} asked, {} on {}",
            approval.action.step,
            approval.id.0,
            counted(approval.action.preview.count(), "row"),
            approval.action.target
        ),
        Event::VoteRefused { approval, who, why } => format!("{who} was refused for {}: \"{why}\"", approval.0),
        Event::Voted { approval, by } => format!("{} agreed to {}", name(by), approval.0),
        Event::Granted { approval, .. } => format!("{} is approved", approval.0),
        Event::Denied { approval, by, reason } => format!("{} denied {}: {reason}", name(by), approval.0),
        Event::Expired { approval } => format!("{} expired undecided; nothing ran", approval.0),
        Event::Voided { approval, why } => format!("{} is void: {why}; nothing ran", approval.0),
        _ => return step_line(event, roster),
    })
}

/// The line of an event of one step, if it has one.
fn step_line(event: &Event, roster: &Roster) -> Option<String> {
    let name = |p| roster.name(p);
    Some(match event {
        Event::StepStarted { step, .. } => format!("{step}: started"),
        Event::StepEnded { step, end, rows } => {
            ended(step, end, rows.as_ref().map_or(0, crate::model::expect::Rows::count))
        }
        Event::StepVerified { step, ok, figures } => {
            format!("{step}: {}: {}", if *ok { "verified" } else { "verification failed" }, figures.join("; "))
        }
        Event::StepSkipped { step, why, failed: false } => format!("{step}: skipped, {why}"),
        Event::StepSkipped { step, why, failed: true } => format!("{step}: failed and the run goes on: {why}"),
        Event::StepSettled { step, happened, how } => {
            format!("{step}: settled, it {} ({how})", if *happened { "happened" } else { "did not happen" })
        }
        Event::SettleClaimed { step, by, happened } => {
            format!("{step}: {} says it {}", name(by), if *happened { "happened" } else { "did not happen" })
        }
        Event::PersonAsked { step, .. } => format!("{step}: waits for a person"),
        Event::PersonDid { step, by, evidence, done } => {
            format!("{step}: {} {}: {evidence}", name(by), if *done { "did it" } else { "cannot do it" })
        }
        Event::WaitBegan { step, until } => format!("{step}: waits until {} at the latest", until.clock()),
        Event::WaitOver { step, ok, figures } => {
            let figures = if figures.is_empty() { String::new() } else { format!(": {}", figures.join("; ")) };
            format!("{step}: {}{figures}", if *ok { "done" } else { "did not come true in time" })
        }
        Event::ChoiceAsked { step, .. } => format!("{step}: a person must choose"),
        Event::Chosen { step, by, label } => format!("{step}: {} chose: {label}", name(by)),
        Event::Notified { step, text, people } => {
            let names: Vec<String> = people.iter().map(name).collect();
            format!("{step}: told {}: {text}", names.join(", "))
        }
        Event::FailureAsked { step, .. } => format!("{step}: a person must decide: retry, skip or abort"),
        Event::DeadlineBegan { deadline } => {
            format!("the clock runs: {} until {}", deadline.title, deadline.due.date_clock())
        }
        Event::DeadlineNear { text, people, .. } => {
            let names: Vec<String> = people.iter().map(name).collect();
            format!("reminded {}: {text}", names.join(", "))
        }
        Event::DeadlineMet { step, by, evidence } => format!("{step}: {} ended its clock: {evidence}", name(by)),
        Event::AgreedUndo { approval, news } => agreed(approval, news, roster),
        Event::RunAborted { by, why } => format!("{} aborted the run: {why}", name(by)),
        Event::RunHandedOver { to } => format!("the run goes over to runbook {to}"),
        Event::UndoAsked { step, by } => format!("{} asked to take back {step}", name(by)),
        _ => return None,
    })
}

fn agreed(approval: &ApprovalId, news: &News, roster: &Roster) -> String {
    let id = &approval.0;
    let undo = |what: &str| format!("agreed undo of {id}: {what}");
    match news {
        News::Armed { step, until } => {
            format!("{step}: taken back by itself as agreed in {id}, at the latest {}", until.date_clock())
        }
        News::Due { why } => undo(&format!("its time has come: {why}")),
        News::Held { why } => undo(&format!("has to wait: {why}")),
        News::Started { .. } => undo("started"),
        News::Ended { end, rows } => ended(&format!("agreed undo of {id}"), end, *rows),
        News::Proved { ok: true, figures } => undo(&format!("taken back and verified: {}", figures.join("; "))),
        News::Proved { ok: false, figures } => {
            undo(&format!("taken back, and the verification FAILED: {}", figures.join("; ")))
        }
        News::Stopped { by, reason } => undo(&format!("{} stopped it: {reason}", roster.name(by))),
        News::Told { text, people } => {
            let names: Vec<String> = people.iter().map(|p| roster.name(p)).collect();
            undo(&format!("told {}: {text}", names.join(", ")))
        }
    }
}

fn declared(d: &Declared, roster: &Roster) -> String {
    let alert = d.origin.as_ref().map(|o| format!(", for the alert {}", o.title)).unwrap_or_default();
    format!(
        "{} declared INC-{}: {} (tier {}, began {}){alert}",
        roster.name(&d.by),
        d.number,
        d.title,
        d.tier,
        d.began.clock()
    )
}

fn ended(step: &str, end: &StepEnd, rows: u64) -> String {
    match end {
        StepEnd::Done { .. } => format!("{step}: done, {}", counted(rows, "row")),
        StepEnd::NotStarted { why } => format!("{step}: not started: {why}"),
        StepEnd::Failed { why } => format!("{step}: failed: {why}"),
        StepEnd::Unknown { why } => format!("{step}: UNKNOWN whether it happened: {why}"),
    }
}

/// The next lines of the thread, as many as fit one message. What people are told is a message of its own.
#[must_use]
pub fn chunk(entries: &[Entry], roster: &Roster) -> Option<Drawn> {
    let (mut text, mut runs, mut upto, mut more) = (String::new(), Vec::new(), 0, false);
    for (i, entry) in entries.iter().enumerate() {
        if let Event::Notified { text: said, people, .. }
        | Event::DeadlineNear { text: said, people, .. }
        | Event::AgreedUndo { news: News::Told { text: said, people }, .. } = &entry.event
        {
            more = !text.is_empty() || i + 1 < entries.len();
            if text.is_empty() {
                return Some(notice((said, people), entry.seq, more, roster));
            }
            break;
        }
        let Some(line) = line(&entry.event, roster) else {
            upto = entry.seq;
            continue;
        };
        if !text.is_empty() && text.len() + line.len() > CHUNK {
            more = true;
            break;
        }
        let line = format!("{}{}  {line}", if text.is_empty() { "" } else { "\n" }, entry.at.clock());
        text.push_str(&line);
        runs.push(Run::Plain(line));
        if let Event::ApprovalAsked { approval } = &entry.event {
            runs.extend(people(&could(approval, roster), roster));
        }
        upto = entry.seq;
    }
    (!text.is_empty()).then(|| Drawn {
        message: Message { notify: text, parts: vec![Part::Text(runs)] },
        upto,
        more,
        loud: false,
    })
}

/// Who could agree to an approval: they should hear of it.
fn could(approval: &Approval, roster: &Roster) -> Vec<PersonId> {
    let explained = policy::of(approval, roster);
    let all: BTreeSet<PersonId> = explained.requirements.into_iter().flat_map(|r| r.could).collect();
    all.into_iter().collect()
}

/// These people with a space before each, those with an account so that their bell rings.
pub(super) fn people(ids: &[PersonId], roster: &Roster) -> Vec<Run> {
    let person = |id: &PersonId| {
        let name = roster.name(id);
        match roster.by_id(id).and_then(|p| p.slack.first()) {
            Some(account) => Run::Person { name, account: account.clone() },
            None => Run::Plain(name),
        }
    };
    ids.iter().flat_map(|id| [Run::Plain(" ".into()), person(id)]).collect()
}

fn notice(what: (&str, &[PersonId]), upto: u64, more: bool, roster: &Roster) -> Drawn {
    let (text, who) = what;
    let names: Vec<String> = who.iter().map(|p| roster.name(p)).collect();
    let mut runs = vec![Run::Plain("🔔".into())];
    runs.extend(people(who, roster));
    runs.push(Run::Plain(format!(": {text}")));
    let to = if names.is_empty() { String::new() } else { format!(" {}", names.join(", ")) };
    let notify = format!("🔔{to}: {text}");
    Drawn { message: Message { notify, parts: vec![Part::Text(runs)] }, upto, more, loud: true }
}
