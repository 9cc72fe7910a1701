//! The answer to `/dr checklist`: what is left after a recovery, and who is asked next until then. Takes the
//! incident and what all runbooks share; gives one message.

use crate::model::catalog::Catalog;
use crate::model::incident::Incident;
use crate::model::message::{Message, Part, Run};
use crate::model::time::Millis;

/// Lists the duties with their times, and the levels of escalation with whether they are due.
#[must_use]
pub fn list(incident: &Incident, catalog: &Catalog, now: Millis) -> Message {
    let title = format!("Checklist of INC-{}", incident.declared.number);
    let mut parts = vec![Part::Title(title.clone())];
    let duties = duties(incident, catalog);
    if !duties.is_empty() {
        parts.push(Part::Text(vec![Run::Bold("After the recovery\n".into()), Run::Plain(duties.join("\n"))]));
    }
    let levels = levels(incident, catalog, now);
    if incident.recovered.is_none() && !levels.is_empty() {
        parts.push(Part::Text(vec![Run::Bold("Who is asked\n".into()), Run::Plain(levels.join("\n"))]));
    }
    if parts.len() == 1 {
        parts.push(Part::Text(vec![Run::Plain(
            "There is none: `after` in the runbook or `checklist` in _shared.yaml.".into(),
        )]));
    }
    parts.push(Part::Small("Write what was done with /dr note TEXT; it stands in the timeline.".into()));
    Message { notify: title, parts }
}

/// What the runbook leaves to people, then what every recovery leaves, each with its time.
fn duties(incident: &Incident, catalog: &Catalog) -> Vec<String> {
    let own = incident.run.iter().flat_map(|r| &r.loaded.runbook.after).map(|task| format!("☐ {task}"));
    let shared = catalog.shared.checklist.iter().map(|duty| {
        let due = match incident.recovered {
            Some(at) => format!("by {}", at.plus(duty.due).date_clock()),
            None => format!("within {} of the recovery", duty.due.human()),
        };
        format!("☐ {} ({}, {due})", duty.task, duty.owner)
    });
    own.chain(shared).collect()
}

/// Each level with its time since the beginning, and how its role is reached.
fn levels(incident: &Incident, catalog: &Catalog, now: Millis) -> Vec<String> {
    let elapsed = incident.elapsed(now);
    let reach = |role: &String| {
        let contact = catalog.shared.contacts.iter().find(|c| c.role == *role);
        contact.map_or_else(|| role.clone(), |c| format!("{role}: {}", c.reach))
    };
    let line = |level: &crate::model::shared::Level| {
        let due = match level.after {
            None => "at once where it applies".to_owned(),
            Some(after) if after <= elapsed => "due".to_owned(),
            Some(after) => format!("from {}", incident.declared.began.plus(after).clock()),
        };
        let who = level.role.as_ref().map(|r| format!(", {}", reach(r))).unwrap_or_default();
        format!("Level {}, {due}: {}{who}", level.level, level.title)
    };
    catalog.shared.escalation.iter().map(line).collect()
}
