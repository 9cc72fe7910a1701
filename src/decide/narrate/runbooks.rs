//! The answer to `/dr runbooks`. Takes the catalog; gives each runbook with its file, its other names, what
//! it needs and why it cannot run here, and the scenarios that have none.

use std::collections::BTreeSet;

use crate::model::message::{Message, Part, Run};
use crate::model::runbook::{Catalog, Loaded, Runbook};

/// Lists all runbooks.
#[must_use]
pub fn list(catalog: &Catalog) -> Message {
    let mut runs = Vec::new();
    for loaded in catalog.runbooks.values() {
        entry(loaded, &mut runs);
    }
    let bare: Vec<String> = catalog
        .shared
        .scenarios
        .iter()
        .filter(|s| !catalog.runbooks.contains_key(&s.runbook))
        .map(|s| format!("{} {}", s.id, s.title))
        .collect();
    if !bare.is_empty() {
        runs.push(Run::Plain(format!("No runbook file yet: {}.\n", bare.join(", "))));
    }
    if let Some(text) = stale(catalog) {
        runs.insert(0, Run::Bold(format!("{text}\n")));
    }
    let title = format!("Runbooks: {}", catalog.runbooks.len());
    let small = "/dr detect RUNBOOK checks one, /dr run RUNBOOK starts it in an incident.";
    Message { notify: title.clone(), parts: vec![Part::Title(title), Part::Text(runs), Part::Small(small.into())] }
}

/// That the files do not load as they are now, and the first reason.
#[must_use]
pub fn stale(catalog: &Catalog) -> Option<String> {
    let stale = catalog.stale.as_ref()?;
    let first = stale.faults.first().map(String::as_str).unwrap_or_default().lines().next().unwrap_or_default();
    let more = match stale.faults.len().saturating_sub(1) {
        0 => String::new(),
        n => format!(" (and {})", super::counted(n as u64, "more fault")),
    };
    Some(format!(
        "The runbook files do not load since {}; the runbooks from before are used. {first}{more}",
        stale.since.clock()
    ))
}

fn entry(loaded: &Loaded, runs: &mut Vec<Run>) {
    let book = &loaded.runbook;
    let aliases = if book.aliases.is_empty() { String::new() } else { format!(", or {}", book.aliases.join(", ")) };
    runs.push(Run::Bold(book.title.clone()));
    runs.push(Run::Plain(format!(" (tier {}): ", book.tier)));
    runs.push(Run::Code(book.runbook.clone()));
    runs.push(Run::Plain(format!("{aliases}\nfile {}.yaml, needs {}", book.runbook, needs(loaded))));
    let alerts: Vec<String> = book
        .alerts
        .iter()
        .map(|a| a.labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" "))
        .collect();
    if !alerts.is_empty() {
        runs.push(Run::Plain(format!(", answers alerts {}", alerts.join(" / "))));
    }
    if let Some(why) = &loaded.unusable {
        runs.push(Run::Plain("\n".into()));
        runs.push(Run::Bold(format!("cannot run here: {why}")));
    }
    runs.push(Run::Plain("\n".into()));
}

fn needs(loaded: &Loaded) -> String {
    let targets: Vec<String> = targets(&loaded.runbook).into_iter().map(|t| format!("target {t}")).collect();
    let missing = loaded
        .runbook
        .params
        .iter()
        .filter(|(name, p)| p.default.is_none() && !loaded.defaults.contains_key(*name))
        .map(|(name, _)| format!("{name}=VALUE"));
    let all: Vec<String> = targets.into_iter().chain(missing).collect();
    if all.is_empty() { "nothing".into() } else { all.join(", ") }
}

fn targets(book: &Runbook) -> BTreeSet<&str> {
    let checks = book.detect.checks.iter().chain(&book.verify).map(|c| c.target.as_str());
    let steps = book.steps.iter().filter_map(|s| s.work.task()).map(|t| t.target.as_str());
    checks.chain(steps).collect()
}
