//! What the files claim. Takes the files and their catalog; gives every claim with its place, how the line
//! is answered, and by what.

use std::collections::BTreeMap;

use super::{Claim, How};
use crate::model::catalog::Catalog;
use crate::model::runbook::{Check, Risk, Runbook, Shared, Step, Work};
use crate::parse::catalog::{SHARED, place};

/// Every claim of all files.
pub(super) fn all(files: &BTreeMap<String, String>, catalog: &Catalog) -> Vec<Claim> {
    let mut book = Book { text: files.get(SHARED).map_or("", String::as_str), file: SHARED, claims: Vec::new() };
    book.shared(&catalog.shared, catalog);
    let mut claims = book.claims;
    for loaded in catalog.runbooks.values() {
        let file = format!("{}.yaml", loaded.runbook.runbook);
        let text = files.get(&file).map_or("", String::as_str);
        let mut book = Book { text, file: &file, claims: Vec::new() };
        book.runbook(&loaded.runbook);
        claims.extend(book.claims);
    }
    claims
}

/// One file while its claims are collected.
struct Book<'a> {
    text: &'a str,
    file: &'a str,
    claims: Vec<Claim>,
}

impl Book<'_> {
    /// `needles` lead to the claim in the file, one behind the other.
    fn claim(&mut self, ids: &[String], needles: &[&str], how: &How, by: &str) {
        for id in ids {
            let at = place(self.file, self.text, &[needles, &[id]].concat());
            self.claims.push(Claim { at, id: id.clone(), how: how.clone(), by: by.to_owned(), lacks: None });
        }
    }

    fn shared(&mut self, shared: &Shared, catalog: &Catalog) {
        self.claim(&shared.covers, &["covers:"], &How::Kept, "_shared.yaml");
        for one in &shared.replaces {
            self.claim(&one.ids, &["replaces:"], &How::Replaced(one.why.clone()), "_shared.yaml");
        }
        for s in &shared.services {
            let there = |p: &String| catalog.runbooks.contains_key(p.split('/').next().unwrap_or_default());
            let (how, by) = match &s.gap {
                Some(gap) => (How::Kept, format!("services, not looked at: {gap}")),
                None if s.probes.iter().any(there) => (How::Automated, format!("services: {}", s.probes.join(", "))),
                None => (How::Kept, format!("services, not looked at yet: no file for {}", s.probes.join(", "))),
            };
            self.claim(&s.covers, &["services:"], &how, &by);
        }
        for l in &shared.escalation {
            self.claim(&l.covers, &["escalation:"], &How::Kept, &format!("escalation level {}", l.level));
        }
        for d in &shared.checklist {
            let when = format!("within {} of the recovery, {}", d.due.exact(), d.owner);
            self.claim(&d.covers, &["checklist:"], &How::Scheduled(when), "checklist");
        }
        for s in &shared.schedules {
            let who = s.owner.as_ref().map_or(String::new(), |o| format!(", {o}"));
            let by = s.probe.as_ref().map_or("schedules".to_owned(), |p| format!("schedules: {p}"));
            self.claim(&s.covers, &["schedules:"], &How::Scheduled(format!("{}{who}", s.rhythm())), &by);
        }
    }

    fn runbook(&mut self, book: &Runbook) {
        let name = &book.runbook;
        self.claim(&book.covers, &["covers:"], &How::Kept, &format!("{name}: head"));
        for claim in &mut self.claims {
            let part = claim.id.split('/').next().and_then(|id| id.split_once('.')).map_or("", |(_, part)| part);
            claim.lacks = [("symptoms", &book.symptoms), ("causes", &book.causes), ("after", &book.after)]
                .into_iter()
                .find_map(|(list, texts)| (list == part && texts.is_empty()).then_some(list));
        }
        for one in &book.replaces {
            self.claim(&one.ids, &["replaces:"], &How::Replaced(one.why.clone()), name);
        }
        for check in &book.detect.checks {
            self.check(check, &["detect:"], &format!("{name}: detect {}", check.id));
        }
        for step in &book.steps {
            self.step(step, name);
        }
        for check in &book.verify {
            self.check(check, &["\nverify:"], &format!("{name}: verify {}", check.id));
        }
    }

    fn check(&mut self, check: &Check, from: &[&str], by: &str) {
        let id = format!("id: {}", check.id);
        self.claim(&check.covers, &[from, &[&id, "covers:"]].concat(), &How::Automated, by);
    }

    fn step(&mut self, step: &Step, name: &str) {
        let id = format!("id: {}", step.id);
        let by = format!("{name}: {}", step.id);
        let how = match &step.work {
            Work::Manual(manual) => How::Manual(manual.by_hand),
            Work::Choose(_) => How::Chosen,
            work if work.risk() > Risk::Safe => How::Gated,
            _ => How::Automated,
        };
        self.claim(&step.covers, &["steps:", &id, "covers:"], &how, &by);
        let looks: &[Check] = match &step.work {
            Work::Wait(wait) => &wait.until,
            Work::Parallel(parallel) => &parallel.checks,
            work => work.task().map_or(&[], |t| t.verify.as_slice()),
        };
        for check in looks {
            self.check(check, &["steps:", &id], &format!("{by}, {}", check.id));
        }
    }
}
