//! The answers to `/dr status` and `/dr detect`. Takes the detections that are back; gives the card: open incidents by
//! tier with their clocks, then every scenario with the figure that decided its light.

use super::{Scene, against};
use crate::decide::verdict::{self, Light};
use crate::model::case::{Detection, Status};
use crate::model::deadline::{Clock, left};
use crate::model::message::{Message, Part, Run};
use crate::model::outcome::Verdict;
use crate::model::runbook::{Detect, Scenario};
use crate::model::world::Open;

/// Draws the status card.
#[must_use]
pub fn card(status: &Status, scene: &Scene<'_>) -> Message {
    if status.single {
        return single(status, scene);
    }
    let rows: Vec<(Light, Scenario, Vec<String>)> =
        scene.catalog.shared.scenarios.iter().map(|s| row(s, status, scene)).collect();
    let of =
        |light: Light| rows.iter().filter(|(l, ..)| *l == light).map(|(_, s, _)| s.title.clone()).collect::<Vec<_>>();
    let hides = rows.iter().any(|(light, ..)| *light == Light::Elsewhere);
    let title =
        headline(&of(Light::Red), &of(Light::Amber), &of(Light::CouldNotCheck), (of(Light::Checking).len(), hides));
    let mut parts = vec![Part::Title(title.clone())];
    if let Some(incidents) = incidents(scene, &status.channel) {
        parts.push(incidents);
        parts.push(Part::Rule);
    }
    parts.push(Part::Text(scenarios(&rows)));
    parts.extend(super::runbooks::stale(scene.catalog).map(|text| Part::Text(vec![Run::Bold(text)])));
    parts.push(Part::Small(format!("Asked by {} at {}.", scene.roster.name(&status.by), status.asked.clock())));
    let figures: Vec<String> = rows
        .iter()
        .filter(|(l, ..)| matches!(l, Light::Red | Light::Amber | Light::CouldNotCheck))
        .map(|(l, s, f)| format!("{} {}: {}", s.id, l.word(), f.join("; ")))
        .collect();
    let notify = if figures.is_empty() { title } else { format!("{title}. {}", figures.join(". ")) };
    Message { notify, parts }
}

/// Draws the answer to `/dr detect`: one scenario, each check with its figure.
fn single(status: &Status, scene: &Scene<'_>) -> Message {
    let Some((name, found)) = status.found.first_key_value() else { return Message::text("Nothing was asked.") };
    let loaded = scene.catalog.runbooks.get(name);
    let light = loaded.map_or(Light::CouldNotCheck, |l| verdict::light(found.as_ref(), &l.runbook.detect));
    let scenario = loaded.map_or(name.as_str(), |l| l.runbook.title.as_str());
    let title = format!("{} {scenario}: {}", light.sign(), light.word());
    let mut parts = vec![Part::Title(title.clone())];
    let checked = found.as_ref().map(|f| f.checked.as_slice()).unwrap_or_default();
    let sign = |v: Verdict| match v {
        Verdict::Pass => "🟢",
        Verdict::Fail => "🔴",
        Verdict::CouldNot => "⚫ could not check:",
    };
    let lines: Vec<Run> = checked.iter().map(|c| Run::Plain(format!("{} {}\n", sign(c.verdict), c.figure))).collect();
    if !lines.is_empty() {
        parts.push(Part::Text(lines));
    }
    parts.push(Part::Small(format!(
        "Detection of {name}, asked by {} at {}.",
        scene.roster.name(&status.by),
        status.asked.clock()
    )));
    let figures = verdict::figures(checked).join("; ");
    Message { notify: if figures.is_empty() { title } else { format!("{title}. {figures}") }, parts }
}

fn row(scenario: &Scenario, status: &Status, scene: &Scene<'_>) -> (Light, Scenario, Vec<String>) {
    let loaded = scene.catalog.runbooks.get(&scenario.runbook);
    // Not even its light: whoever broke in may read along, and green would be a lie.
    if scene.world.rules.elsewhere(&scenario.runbook, &status.channel).is_some() {
        return (Light::Elsewhere, scenario.clone(), Vec::new());
    }
    let (light, figures) = match (loaded, status.found.get(&scenario.runbook)) {
        (None, _) => (Light::NotConfigured, vec!["no runbook file".to_owned()]),
        (Some(l), None) => (Light::NotConfigured, vec![l.unusable.clone().unwrap_or_else(|| "was not asked".into())]),
        (Some(l), Some(found)) => {
            let light = verdict::light(found.as_ref(), &l.runbook.detect);
            let mut figures = found.as_ref().map(|f| verdict::figures(&f.checked)).unwrap_or_default();
            if let (Light::Amber, Some(f)) = (light, found) {
                figures.push(amber(f, &l.runbook.detect));
            }
            (light, figures)
        }
    };
    (light, scenario.clone(), figures)
}

/// Why it is not red yet.
fn amber(found: &Detection, detect: &Detect) -> String {
    if verdict::enough(&found.checked, detect) {
        format!("failed {} of {} times in a row", found.streak, detect.failures)
    } else {
        format!("{} different checks must fail before it counts as red", detect.probes)
    }
}

fn headline(red: &[String], amber: &[String], dark: &[String], besides: (usize, bool)) -> String {
    let (checking, hides) = besides;
    let list = |what: &str, of: &[String]| format!("{what}: {}", of.join(", "));
    match () {
        () if !red.is_empty() => list("🔴 Red", red),
        () if checking > 0 => format!("⏳ Checking {checking} scenario{}", if checking == 1 { "" } else { "s" }),
        () if !dark.is_empty() => list("⚫ Could not check", dark),
        () if !amber.is_empty() => list("🟠 Amber", amber),
        () if hides => "🟢 Everything shown here is healthy".to_owned(),
        () => "🟢 Everything configured is healthy".to_owned(),
    }
}

fn incidents(scene: &Scene<'_>, here: &str) -> Option<Part> {
    let shown = |o: &&Open| !scene.world.rules.hides(&o.channel, here);
    let mut open: Vec<_> =
        scene.world.open.values().filter(|o| o.recovered.is_none() || !o.clocks.is_empty()).filter(shown).collect();
    open.sort_by_key(|o| (o.tier, o.number));
    let hidden = open.len().saturating_sub(20);
    let mut runs = Vec::new();
    for o in open.iter().take(20) {
        let state = match o.recovered {
            Some(at) => format!("recovered at {}", at.date_clock()),
            None => format!("down for {}", against(scene.now.since(o.began), o.rto, "RTO")),
        };
        runs.push(Run::Bold(format!("INC-{}", o.number)));
        runs.push(Run::Plain(format!(" tier {}  {}: {state}\n", o.tier, o.title)));
        let clock = |c: &Clock| Run::Plain(format!("⏰ {}: {}\n", c.title, left(c.due, scene.now)));
        runs.extend(o.clocks.iter().map(clock));
    }
    if hidden > 0 {
        runs.push(Run::Plain(format!("and {hidden} more open incidents\n")));
    }
    (!runs.is_empty()).then_some(Part::Text(runs))
}

fn scenarios(rows: &[(Light, Scenario, Vec<String>)]) -> Vec<Run> {
    let mut runs = Vec::new();
    for (light, s, figures) in rows {
        runs.push(Run::Plain(format!("{} ", light.sign())));
        runs.push(Run::Bold(format!("{} {}", s.id, s.title)));
        let figures = if figures.is_empty() { String::new() } else { format!(": {}", figures.join("; ")) };
        runs.push(Run::Plain(format!(" {}{figures}\n", light.word())));
    }
    runs
}
