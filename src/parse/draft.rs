//! Drafts of runbook files from a page that people wrote. Takes the page's text; gives one file for each of
//! its scenarios and the shared one. In a draft people do every step, with the page's own words before them,
//! and the detection has no target yet: it loads, and is shown as not configured, never as green.

use std::collections::BTreeSet;

use super::page::{Line, Section, sections};

/// Drafts as file name and text, the shared file last.
///
/// # Errors
/// The page has no scenario; says what its headings must look like.
pub fn drafts(page: &str) -> Result<Vec<(String, String)>, String> {
    let all = sections(page);
    let objectives = objectives(&all);
    let mut files: Vec<(String, String)> = Vec::new();
    let mut scenarios = String::new();
    for head in all.iter().filter(|s| scenario(&s.id)) {
        let title = head.lines.first().and_then(|l| l.text.split_once(": ")).map_or(head.id.as_str(), |(_, t)| t);
        let title = title.split(" (").next().unwrap_or(title).trim();
        let name = slug(title);
        let parts: Vec<&Section> = all.iter().filter(|s| s.id.starts_with(&format!("{}.", head.id))).collect();
        scenarios.push_str(&format!("  - {{ id: {}, title: {}, tier: 2, runbook: {name} }}\n", head.id, quoted(title)));
        files.push((format!("{name}.yaml"), runbook((&name, title), &objectives, &parts)));
    }
    if files.is_empty() {
        return Err("the page has no scenario: begin each with a heading `## Disaster Scenario #1: Title`, its steps \
                    with `**STEP 1: Title (5 minutes)**`"
            .to_owned());
    }
    let shared = format!("# A draft: set the tiers.\nobjectives: {objectives}\nscenarios:\n{scenarios}");
    files.push((super::catalog::SHARED.to_owned(), shared));
    Ok(files)
}

/// Whether a section's id is that of a scenario's heading: `S4`.
fn scenario(id: &str) -> bool {
    id.strip_prefix('S').is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()))
}

fn runbook(named: (&str, &str), objectives: &str, parts: &[&Section]) -> String {
    let (name, title) = named;
    let part = |word: &str| parts.iter().find(|s| s.id.ends_with(&format!(".{word}")));
    let estimate = part("estimate").and_then(|s| s.lines.iter().find_map(|l| span(&l.text)));
    let mut text = format!(
        "# A draft. People do every step until somebody writes what a system does instead; the detection cannot be\n\
         # asked before it has a target. `drbot check` says what is missing.\n\
         runbook: {name}\ntitle: {}\ntier: 2\nobjectives: {objectives}\nestimate: {}\n",
        quoted(title),
        estimate.unwrap_or_else(|| "1h".to_owned())
    );
    text.push_str(&list("symptoms", part("symptoms")));
    text.push_str(&list("causes", part("causes")));
    text.push_str("detect:\n  every: 5m\n  failures: 3\n  checks:\n");
    text.push_str(&comment(part("detect"), "    "));
    text.push_str(&check("detection", "    "));
    text.push_str("steps:\n");
    for (id, section, inner) in steps(parts) {
        text.push_str(&step(&id, section, &inner));
    }
    text.push_str("verify:\n");
    text.push_str(&comment(part("validate"), "  "));
    text.push_str(&check("healthy", "  "));
    text.push_str(&list("after", part("after")));
    text
}

/// The sections of the steps, each with an id and with what stands under it.
fn steps<'a>(parts: &[&'a Section]) -> Vec<(String, &'a Section, Vec<&'a Section>)> {
    let number = |s: &Section| s.id.split_once('.').map(|(_, n)| n.to_owned()).unwrap_or_default();
    let whole = |n: &str| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit());
    let mut ids = BTreeSet::new();
    let mut found = Vec::new();
    for section in parts.iter().filter(|s| whole(&number(s))) {
        let n = number(section);
        let under = |s: &&&Section| number(s).strip_prefix(&n).is_some_and(|r| r.len() == 1 && !whole(r));
        let mut id = slug(&heading(section));
        if !ids.insert(id.clone()) {
            id = format!("{id}-{n}");
            ids.insert(id.clone());
        }
        found.push((id, *section, parts.iter().filter(under).copied().collect()));
    }
    found
}

/// `Assess Impact` of `**STEP 1: Assess Impact (5 minutes)**`.
fn heading(section: &Section) -> String {
    let line = section.lines.first().map(|l| l.text.trim_matches('*')).unwrap_or_default();
    let title = line.split_once(": ").map_or(line, |(_, t)| t);
    title.split(" (").next().unwrap_or(title).trim().to_owned()
}

fn step(id: &str, section: &Section, inner: &[&Section]) -> String {
    let budget = section.lines.first().and_then(|l| span(&l.text)).map(|b| format!("    budget: {b}\n"));
    let mut ask = String::new();
    let own = section.lines.iter().skip(1);
    for line in own.chain(inner.iter().flat_map(|s| &s.lines)).filter(|l| !l.markup()) {
        ask.push_str(&format!("          {}\n", line.text.trim_end()));
    }
    let ask = if ask.is_empty() { format!("          {}\n", heading(section)) } else { ask };
    // The indicator keeps the spaces in front of the first line.
    format!(
        "  - id: {id}\n    title: {}\n    # covers: [{}]\n{}    do:\n      manual:\n        ask: |2-\n{ask}        evidence: what was done, and what it showed\n",
        quoted(&heading(section)),
        section.id,
        budget.unwrap_or_default()
    )
}

/// A check that nobody can ask yet.
fn check(id: &str, indent: &str) -> String {
    format!(
        "{indent}- {{ id: {id}, target: not-written, call: {{ path: / }}, expect: {{}}, figure: nobody has written this check }}\n"
    )
}

fn comment(section: Option<&&Section>, indent: &str) -> String {
    let lines = section.map(|s| s.lines.as_slice()).unwrap_or_default();
    let shown = lines.iter().skip(1).filter(|l| !l.markup());
    shown.map(|l: &Line| format!("{indent}# {}\n", l.text.trim_end())).collect()
}

/// The points of a list.
fn list(key: &str, section: Option<&&Section>) -> String {
    let point = |l: &Line| {
        let text = l.text.trim_start();
        let bare = text.strip_prefix("- [ ] ").or_else(|| text.strip_prefix("- "));
        let bare = bare.or_else(|| text.split_once(". ").filter(|(n, _)| n.parse::<u32>().is_ok()).map(|(_, t)| t));
        bare.map(|t| format!("  - {}\n", quoted(t.trim())))
    };
    let points: String = section.map(|s| s.lines.iter().filter_map(point).collect()).unwrap_or_default();
    if points.is_empty() { String::new() } else { format!("{key}:\n{points}") }
}

/// The objectives of the page, or the usual ones where it names none.
fn objectives(all: &[Section]) -> String {
    let lines = || all.iter().filter(|s| s.id == "objectives").flat_map(|s| &s.lines);
    let of = |word: &str, usual: &str| {
        let named = |l: &&Line| l.text.contains(&format!("({word})"));
        let value = lines().find(named).and_then(|l| l.text.split_once("**:").and_then(|(_, t)| span(t)));
        value.unwrap_or_else(|| usual.to_owned())
    };
    format!("{{ rto: {}, rpo: {}, mttr: {} }}", of("RTO", "4h"), of("RPO", "24h"), of("MTTR", "2h"))
}

/// The first duration of a text, of a range the longer end: `30-60 minutes` is `60m`.
fn span(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
    words.windows(2).find_map(|pair| {
        let n: u32 = pair[0].parse().ok().filter(|n| *n > 0)?;
        let unit = match pair[1].to_lowercase().trim_end_matches('s') {
            "second" => "s",
            "minute" | "min" => "m",
            "hour" => "h",
            "day" => "d",
            _ => return None,
        };
        Some(format!("{n}{unit}"))
    })
}

/// A name for files and steps: `Database Unavailable` is `database-unavailable`.
fn slug(title: &str) -> String {
    let plain: String = title.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { ' ' }).collect();
    let words: Vec<&str> = plain.split_whitespace().take(6).collect();
    if words.is_empty() { "untitled".to_owned() } else { words.join("-") }
}

/// A text as YAML takes it whatever is in it: JSON's strings are YAML's.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}
