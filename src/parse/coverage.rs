//! Which line of the team's page is answered by what. Takes the page, the runbook files and their catalog;
//! gives every line with how and where, every claim that is wrong, and the lines that nobody claims.

mod claims;
mod table;

use std::collections::BTreeMap;

use super::page::{Line, Section, sections};
use crate::model::runbook::{ByHand, Catalog};
pub use table::table;

/// How a line of the page is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// A system does it and nobody has to agree.
    Automated,
    /// A system does it once people agreed.
    Gated,
    /// A person says which way to go; the rest is done by a system.
    Chosen,
    /// A person does it and gives evidence.
    Manual(Option<ByHand>),
    /// Done again and again, or after the recovery: by when and by whom.
    Scheduled(String),
    /// Kept as text or figure for people.
    Kept,
    /// Not followed to the letter, for this reason.
    Replaced(String),
}

/// One claim: a section, or lines of it, and what answers for it.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The file and its line, such as `x.yaml: line 3 column 9`.
    pub at: String,
    /// As it is written.
    pub id: String,
    pub how: How,
    /// Runbook and step, or what is in the shared file.
    pub by: String,
}

/// One line of the page with everything that answers for it.
#[derive(Debug, Clone)]
pub struct Answered<'a> {
    pub section: &'a str,
    /// Within the section, from 1.
    pub number: usize,
    pub line: &'a Line,
    /// How and by what; empty if nobody claims it.
    pub by: Vec<(How, String)>,
}

/// Everything that is known about the page.
#[derive(Debug)]
pub struct Coverage {
    sections: Vec<Section>,
    claims: Vec<Claim>,
}

/// Reads the page and collects what the files claim.
#[must_use]
pub fn coverage(page: &str, files: &BTreeMap<String, String>, catalog: &Catalog) -> Coverage {
    Coverage { sections: sections(page), claims: claims::all(files, catalog) }
}

/// The lines that an id names: its section and the first and last number, or the whole section.
type Named<'a> = (&'a Section, Option<(usize, usize)>);

impl Coverage {
    fn named(&self, id: &str) -> Result<Named<'_>, String> {
        let (name, lines) = id.split_once('/').map_or((id, None), |(s, l)| (s, Some(l)));
        let is = |s: &&Section| s.id == name || s.alias.as_deref() == Some(name);
        let section = self.sections.iter().find(is).ok_or_else(|| {
            // Compared within their chapter: everything of one scenario begins alike.
            let chapter = name.split_once('.').map_or("", |(c, _)| c);
            let rest = |id: &'_ str| id.strip_prefix(chapter).map(|r| r.trim_start_matches('.').to_owned());
            let parts: Vec<String> = self.sections.iter().filter_map(|s| rest(&s.id)).collect();
            let part = rest(name).unwrap_or_default();
            let near = super::near::nearest(&part, parts.iter().map(String::as_str).filter(|p| p.len() > 1));
            let dot = if chapter.is_empty() { "" } else { "." };
            let near = near.map_or(String::new(), |n| format!("did you mean `{chapter}{dot}{n}`? "));
            format!("the page has no section `{name}`: {near}`drbot coverage` writes every id")
        })?;
        let Some(lines) = lines else { return Ok((section, None)) };
        let (first, last) = lines.split_once('-').unwrap_or((lines, lines));
        match (first.parse(), last.parse()) {
            (Ok(a), Ok(b)) if a >= 1 && a <= b && b <= section.lines.len() => Ok((section, Some((a, b)))),
            _ => {
                Err(format!("section `{name}` has lines 1 to {}, and `{lines}` is not among them", section.lines.len()))
            }
        }
    }

    /// Every line that says something, in the page's order. What claims a line or a range goes before what
    /// claims the whole section; a heading goes with its section.
    #[must_use]
    pub fn answered(&self) -> Vec<Answered<'_>> {
        let mut all = Vec::new();
        for section in &self.sections {
            let mine: Vec<(&Claim, Option<(usize, usize)>)> = self
                .claims
                .iter()
                .filter_map(|c| Some((c, self.named(&c.id).ok().filter(|(s, _)| s.id == section.id)?.1)))
                .collect();
            let by = |fits: &dyn Fn(Option<(usize, usize)>) -> bool| {
                let mut by: Vec<(How, String)> =
                    mine.iter().filter(|(_, r)| fits(*r)).map(|(c, _)| (c.how.clone(), c.by.clone())).collect();
                by.dedup();
                by
            };
            let whole = by(&|r| r.is_none());
            for (i, line) in section.lines.iter().enumerate().filter(|(_, l)| !l.markup()) {
                let number = i + 1;
                let single = by(&|r| r.is_some_and(|(a, b)| a <= number && number <= b));
                let by = if single.is_empty() { whole.clone() } else { single };
                all.push(Answered { section: &section.id, number, line, by });
            }
            let begins = all.len() - section.lines.iter().filter(|l| !l.markup()).count();
            let rest = all.get(begins + 1..).unwrap_or_default();
            if all.get(begins).is_some_and(|h| h.by.is_empty())
                && !rest.is_empty()
                && rest.iter().all(|l| !l.by.is_empty())
            {
                all[begins].by = rest[0].by.clone();
            }
        }
        all
    }

    /// What is claimed wrongly, with file, line and what to do. `page` is the page's file name.
    #[must_use]
    pub fn faults(&self, page: &str) -> Vec<String> {
        let mut faults = Vec::new();
        for claim in &self.claims {
            match self.named(&claim.id) {
                Err(why) => faults.push(format!("{}: `{}`: {why}", claim.at, claim.id)),
                Ok((section, _)) => faults.extend(dishonest(claim, section)),
            }
        }
        for line in self.answered() {
            let by = |of: fn(&How) -> bool| line.by.iter().find(|(how, _)| of(how)).map(|(_, by)| by);
            let system = by(|h| matches!(h, How::Automated | How::Gated));
            if let (Some(person), Some(system)) = (by(|h| matches!(h, How::Manual(_))), system) {
                faults.push(format!(
                    "{page}: line {}: `{}/{}` would count as automated by {system} and is done by hand in {person}: \
                     claim single lines in each",
                    line.line.at, line.section, line.number
                ));
            }
        }
        faults
    }

    /// The lines that nobody claims and that are not in the sections allowed to be missing.
    #[must_use]
    pub fn missing(&self, allowed: &[String]) -> Vec<Answered<'_>> {
        let below = |section: &str, a: &String| {
            section.strip_prefix(a.as_str()).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let mut all = self.answered();
        all.retain(|l| l.by.is_empty() && !allowed.iter().any(|a| below(l.section, a)));
        all
    }

    /// Allowances that nothing needs any more: each is to be taken away.
    #[must_use]
    pub fn idle(&self, allowed: &[String]) -> Vec<String> {
        let without = |one: &String| {
            let rest: Vec<String> = allowed.iter().filter(|a| *a != one).cloned().collect();
            self.missing(&rest).len() == self.missing(allowed).len()
        };
        allowed.iter().filter(|a| without(a)).cloned().collect()
    }
}

/// Why a claim says more than is true.
fn dishonest(claim: &Claim, section: &Section) -> Option<String> {
    let at = format!("{}: `{}`", claim.at, claim.id);
    if claim.how == How::Manual(None) {
        return Some(format!(
            "{at} is done by hand, which would count as automated: make it a step of a system, or say why no system \
             can do it with `by_hand: qr_scan`, `outside_support`, `legal_notice` or `no_api`"
        ));
    }
    let part = section.id.split_once('.').map_or("", |(_, p)| p);
    let work = part.starts_with(|c: char| c.is_ascii_digit()) && section.id.starts_with('S');
    if claim.how == How::Kept && (work || matches!(part, "detect" | "prevent" | "rollback")) {
        return Some(format!(
            "{at} is work, and the head of the file does none: claim it at the step or check that does it, under \
             `schedules`, or under `replaces` with the reason"
        ));
    }
    None
}
