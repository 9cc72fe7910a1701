//! The team's own page, from which the runbooks come. Takes its text; gives its sections, each with an id
//! derived from the headings, and their lines.

/// A section: the lines below one heading, the heading first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Such as `S4`, `S4.detect`, `S4.1`, `S4.4a`, `tiers.1` or `checklist`.
    pub id: String,
    /// Another name of the same section: a step that is called validation is also `S4.validate`.
    pub alias: Option<String>,
    pub lines: Vec<Line>,
}

/// A line that is not blank. Its number within the section is its place in the list, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// In the page, from 1.
    pub at: usize,
    pub text: String,
}

impl Line {
    /// Whether it is a rule or the edge of a block of code, which say nothing.
    #[must_use]
    pub fn markup(&self) -> bool {
        self.text.trim() == "---" || self.text.trim_start().starts_with("```")
    }
}

/// Bold lines that begin a section of a scenario, and its name.
const PARTS: [(&str, &str); 8] = [
    ("Symptoms", "symptoms"),
    ("Detection", "detect"),
    ("Root Causes", "causes"),
    ("Recovery Procedure", "procedure"),
    ("Rollback Plan", "rollback"),
    ("Estimated Recovery Time", "estimate"),
    ("Post-", "after"),
    ("Prevention", "prevent"),
];

/// Headings outside the scenarios, and their names; others are named by their first word.
const CHAPTERS: [(&str, &str); 4] = [
    ("Recovery Objectives", "objectives"),
    ("Critical Services", "tiers"),
    ("Emergency Contact", "escalation"),
    ("Post-Disaster Checklist", "checklist"),
];

/// Where the reader stands.
#[derive(Default)]
struct At {
    /// `S4` inside a scenario, else the chapter.
    chapter: String,
    scenario: bool,
    step: String,
    code: bool,
}

/// Reads the page.
#[must_use]
pub fn sections(page: &str) -> Vec<Section> {
    let mut found: Vec<Section> = Vec::new();
    let mut at = At::default();
    for (number, text) in page.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let heading = if at.code { None } else { heading(text, &mut at) };
        if text.trim_start().starts_with("```") {
            at.code = !at.code;
        }
        let line = Line { at: number + 1, text: text.trim_end().to_owned() };
        match (heading, found.last_mut()) {
            (Some((id, _)), Some(last)) if last.id == id => last.lines.push(line),
            (None, Some(last)) => last.lines.push(line),
            (heading, _) => {
                let (id, alias) = heading.unwrap_or_else(|| ("page".to_owned(), None));
                found.push(Section { id, alias, lines: vec![line] });
            }
        }
    }
    found
}

/// The id, and the other name, of the section that a line begins, if it begins one.
fn heading(text: &str, at: &mut At) -> Option<(String, Option<String>)> {
    if let Some(title) = text.strip_prefix("### ") {
        let name = digits(title).map_or_else(|| word(title), str::to_owned);
        return Some((format!("{}.{name}", at.chapter), None));
    }
    if let Some(title) = text.strip_prefix("## ") {
        let number = title.strip_prefix("Disaster Scenario #").and_then(digits);
        at.scenario = number.is_some();
        at.chapter = number.map_or_else(|| named(title, &CHAPTERS).unwrap_or_else(|| word(title)), |n| format!("S{n}"));
        return Some((at.chapter.clone(), None));
    }
    if text.starts_with("# ") {
        return Some(("page".to_owned(), None));
    }
    let bold = text.strip_prefix("**")?;
    if bold.starts_with("Last Updated") || bold.starts_with("Next Review") {
        return Some(("review".to_owned(), None));
    }
    if !at.scenario {
        return None;
    }
    let id = |part: &str| format!("{}.{part}", at.chapter);
    if let Some(step) = bold.strip_prefix("STEP ").and_then(digits) {
        let title = bold.split_once(": ").map_or("", |(_, t)| t);
        let found = (id(step), title.starts_with("Validation").then(|| id("validate")));
        step.clone_into(&mut at.step);
        return Some(found);
    }
    if let Some(option) = bold.strip_prefix("Option ").and_then(|o| o.chars().next()) {
        return Some((id(&format!("{}{}", at.step, option.to_ascii_lowercase())), None));
    }
    if let Some((part, _)) = bold.split_once(". ")
        && part.strip_prefix(at.step.as_str()).is_some_and(|l| l.len() == 1 && l.starts_with(char::is_alphabetic))
    {
        return Some((id(part), None));
    }
    named(bold, &PARTS).map(|part| (id(&part), None))
}

fn named(text: &str, names: &[(&str, &str)]) -> Option<String> {
    names.iter().find(|(begins, _)| text.starts_with(begins)).map(|(_, name)| (*name).to_owned())
}

/// The number in front of a text, or behind its first word.
fn digits(text: &str) -> Option<&str> {
    let from = text.trim_start_matches(|c: char| c.is_alphabetic() || c == ' ');
    let end = from.find(|c: char| !c.is_ascii_digit()).unwrap_or(from.len());
    (end > 0).then(|| &from[..end])
}

fn word(title: &str) -> String {
    let plain = title.split_whitespace().find(|w| w.starts_with(char::is_alphabetic)).unwrap_or("other");
    plain.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Page\n\n## Critical Services Hierarchy\n### Tier 1: now\n- Database\n\n## Disaster Scenario #4: Lost\n\n**Symptoms:**\n- bad\n**STEP 4: Repair (5 minutes)**\n```sh\n**Option X: no heading in code**\n# not one either\n```\n**Option A: delete**\n- x\n**4b. Other**\n**If all fails:**\n**STEP 5: Validation**\n---\n**Last Updated:** now\n**Next Review:** later\n";

    #[test]
    fn ids_follow_the_headings_and_code_has_none() {
        let all = sections(PAGE);
        let ids: Vec<(&str, usize)> = all.iter().map(|s| (s.id.as_str(), s.lines.len())).collect();
        let wanted = [
            ("page", 1),
            ("tiers", 1),
            ("tiers.1", 2),
            ("S4", 1),
            ("S4.symptoms", 2),
            ("S4.4", 5),
            ("S4.4a", 2),
            ("S4.4b", 2),
            ("S4.5", 2),
            ("review", 2),
        ];
        assert_eq!(ids, wanted);
        assert_eq!(all[8].alias.as_deref(), Some("S4.validate"));
        assert_eq!((all[5].lines[3].at, all[5].lines[4].markup()), (14, true));
    }
}
