//! The page `docs/coverage.md`. Takes what is known about the lines; gives Markdown.

use super::{Answered, Coverage, How};

const HEAD: &str = "# What answers for each line of the page

Written by `drbot coverage` from `docs/runbook-page.md` and `commands/`; `drbot coverage --check` fails when it is stale, when a line is claimed by nobody or an id does not exist. Do not edit it by hand.

A line is its section and its number among the lines there that are not blank: `S4.3/7`. Rules and the edges of code blocks say nothing and are left out; a heading goes with its section. What claims single lines goes before what claims their section.

- **automated**: a system does it and nobody has to agree
- **gated**: a system does it once people agreed to exactly that
- **chosen**: a person chooses the way, with the figures in front of them
- **manual**: a person does it and gives evidence, for the reason named
- **schedule**: done by that time by that role, which drbot reminds of what `_shared.yaml` schedules; drbot does it itself where a detection is named
- **kept**: a text or figure for people
- **replaced**: not followed to the letter, for the reason given
";

/// The whole page.
#[must_use]
pub fn table(coverage: &Coverage) -> String {
    let all = coverage.answered();
    let mut out = HEAD.to_owned();
    let missing = all.iter().filter(|l| l.by.is_empty()).count();
    out += &format!("\n{} lines, {} of them claimed.\n", all.len(), all.len() - missing);
    let mut chapter = "";
    for row in rows(&all, |l| !l.by.is_empty()) {
        let here = name(row[0].section);
        if here != chapter {
            out += &format!("\n## {here}\n\n| lines | says | how | where |\n|---|---|---|---|\n");
        }
        chapter = here;
        let (how, by) = told(row);
        out += &format!("| {} | {} | {how} | {by} |\n", range(row), cell(&says(row)));
    }
    if missing > 0 {
        out += "\n## Not yet\n\nNobody claims these lines; `--check` fails for them unless it is told which to allow.\n\n| lines | says |\n|---|---|\n";
        for row in rows(&all, |l| l.by.is_empty()) {
            out += &format!("| {} | {} |\n", range(row), cell(&says(row)));
        }
    }
    out
}

/// The chapter of the table that a section belongs to.
fn name(section: &str) -> &str {
    let chapter = section.split('.').next().unwrap_or_default();
    if chapter.starts_with('S') { chapter } else { "Outside the scenarios" }
}

/// Neighbours of one section that are answered alike.
fn rows<'a, 'b>(all: &'a [Answered<'b>], keep: fn(&Answered<'_>) -> bool) -> Vec<&'a [Answered<'b>]> {
    all.chunk_by(|a, b| a.section == b.section && a.by == b.by).filter(|r| keep(&r[0])).collect()
}

fn range(row: &[Answered<'_>]) -> String {
    let (first, last) = (&row[0], &row[row.len() - 1]);
    match first.number == last.number {
        true => format!("{}/{}", first.section, first.number),
        false => format!("{}/{}-{}", first.section, first.number, last.number),
    }
}

/// What people read first: the heading, or the first line that is no comment sign only.
fn says(row: &[Answered<'_>]) -> String {
    let text = row[0].line.text.trim().trim_start_matches("- ").replace("**", "");
    let more = if row.len() > 1 { " …" } else { "" };
    match text.chars().count() > 60 {
        true => format!("{}…", text.chars().take(59).collect::<String>().trim_end()),
        false => format!("{text}{more}"),
    }
}

/// A text that ends no cell and is no markup.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('`', "'")
}

fn told(row: &[Answered<'_>]) -> (String, String) {
    let mut hows: Vec<String> = Vec::new();
    let mut bys: Vec<String> = Vec::new();
    for (how, by) in &row[0].by {
        let how = match how {
            How::Automated => "automated".to_owned(),
            How::Gated => "gated".to_owned(),
            How::Chosen => "chosen".to_owned(),
            How::Manual(why) => format!("manual: {}", why.map_or("no reason", crate::model::runbook::ByHand::word)),
            How::Scheduled(when) => format!("schedule: {when}"),
            How::Kept => "kept".to_owned(),
            How::Replaced(why) => format!("replaced: {why}"),
        };
        if !hows.contains(&how) {
            hows.push(how);
        }
        if !bys.contains(by) {
            bys.push(by.clone());
        }
    }
    (cell(&hows.join("; ")), cell(&bys.join("; ")))
}
