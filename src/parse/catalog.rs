//! Runbook files. Takes their texts; gives a catalog, or every fault with file, line, column and a
//! hint. A runbook that could not run safely does not load.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::lint::{asks, leads_to, lint};
use super::yaml::read_shown;
use crate::model::ask::Ask;
use crate::model::runbook::{Catalog, Loaded, Runbook, Shared};

/// Version of the file format; part of what a run pins.
const SCHEMA: &str = "1";

/// The shared file's name; every other `.yaml` is a runbook.
pub const SHARED: &str = "_shared.yaml";

/// What this installation adds to the files.
#[derive(Debug, Default, Clone)]
pub struct Site {
    /// The configured targets.
    pub targets: BTreeMap<String, TargetKind>,
    /// Runbook to parameter values that replace defaults.
    pub parameters: BTreeMap<String, BTreeMap<String, String>>,
    /// False lints files only: unknown targets are then no fault.
    pub configured: bool,
}

/// What a configured target is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetKind {
    Sql {
        /// Whether it has a role that may change something.
        operator: bool,
    },
    Http,
    /// These programs, by the names that runbooks use.
    Programs(BTreeSet<String>),
}

/// Loads a catalog from file names and texts.
///
/// # Errors
/// Every fault found, one text each.
pub fn load(files: &BTreeMap<String, String>, site: &Site) -> Result<Catalog, Vec<String>> {
    let mut faults = Vec::new();
    let shared_text = files.get(SHARED).map(String::as_str).unwrap_or_default();
    let shared: Option<Shared> = read_shown(SHARED, shared_text)
        .map_err(|e| faults.push(told(e, "it holds `objectives:` and `scenarios:`")))
        .ok();
    let mut runbooks = BTreeMap::new();
    for (file, text) in files.iter().filter(|(f, _)| *f != SHARED) {
        match read_shown::<Runbook>(file, text) {
            Err(e) => faults.push(told(e, "a runbook begins with `runbook: NAME`")),
            Ok(runbook) => {
                faults.extend(lint(file, text, &runbook));
                let closure = closure(text, shared_text);
                let (loaded, fault) = settle(runbook, closure, site);
                faults.extend(fault.map(|e| format!("{file}: {e}")));
                runbooks.insert(loaded.runbook.runbook.clone(), loaded);
            }
        }
    }
    faults.extend(clashes(&runbooks, files));
    for loaded in runbooks.values() {
        let known = |name: &&String| !runbooks.contains_key(*name) && !scenario(shared.as_ref(), name);
        faults.extend(leads_to(&loaded.runbook).filter(known).map(|name| {
            format!("{}.yaml: a choice leads to runbook `{name}`, which does not exist", loaded.runbook.runbook)
        }));
    }
    faults.extend(rivals(&runbooks, files));
    for name in site.parameters.keys().filter(|n| !runbooks.contains_key(*n)) {
        faults.push(format!("configuration: runbooks.parameters names `{name}`, which is no runbook in the folder"));
    }
    match shared {
        Some(shared) if faults.is_empty() => Ok(Catalog { shared, runbooks }),
        _ => Err(faults),
    }
}

/// Whether a scenario without a file of its own is meant: it is shown as not configured.
fn scenario(shared: Option<&Shared>, name: &str) -> bool {
    shared.is_some_and(|s| s.scenarios.iter().any(|s| s.runbook == name))
}

/// An empty file's fault needs to say what belongs into it.
fn told(fault: String, holds: &str) -> String {
    if fault.ends_with("missing or empty") { format!("{fault}: {holds}") } else { fault }
}

fn closure(text: &str, shared: &str) -> String {
    let mut hash = Sha256::new();
    for part in [SCHEMA, text, shared] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

fn settle(runbook: Runbook, closure: String, site: &Site) -> (Loaded, Option<String>) {
    let name = runbook.runbook.clone();
    let defaults = site.parameters.get(&name).cloned().unwrap_or_default();
    let mut loaded = Loaded { closure, runbook, defaults, unusable: None };
    if site.configured {
        loaded.unusable = unusable(&loaded.runbook, site).or_else(|| blind(&loaded));
    }
    let wrong = |(param, value): (&String, &String)| loaded.runbook.params.get(param)?.read(param, value).err();
    let fault = loaded.only_known(&loaded.defaults).err().or_else(|| loaded.defaults.iter().find_map(wrong));
    (loaded, fault.map(|e| format!("configured parameters: {e}")))
}

/// Why the detection could never run by itself: it needs a value that nobody has given.
fn blind(loaded: &Loaded) -> Option<String> {
    let known = loaded.known();
    let checks = loaded.runbook.detect.checks.iter().filter_map(|c| c.ask().ok());
    let missing = checks.flat_map(|a| a.placeholders()).find(|p| !known.contains_key(p))?;
    Some(format!("its detection needs a value for `{missing}` under runbooks.parameters in the configuration"))
}

/// Why this installation cannot run the runbook: targets that are missing or of another kind.
fn unusable(runbook: &Runbook, site: &Site) -> Option<String> {
    let mut why = BTreeSet::new();
    for (target, ask, changes) in asks(runbook) {
        let fault = match (site.targets.get(target), ask) {
            (None, _) => Some(format!("target `{target}` is not in the configuration")),
            (Some(TargetKind::Sql { operator: false }), Ask::Sql(_)) if changes => {
                Some(format!("target `{target}` has no operator role in the configuration"))
            }
            // Each of its questions stands in this list as well.
            (Some(_), Ask::Chain(_)) => None,
            (Some(TargetKind::Sql { .. }), Ask::Sql(_)) | (Some(TargetKind::Http), Ask::Http(_)) => None,
            (Some(TargetKind::Programs(known)), Ask::Process(run)) => {
                let unknown = run.pipe.iter().filter_map(|p| p.first()).find(|p| !known.contains(*p));
                unknown.map(|p| format!("target `{target}` does not declare the program `{p}`"))
            }
            (Some(_), Ask::Sql(_)) => Some(format!("target `{target}` is no database")),
            (Some(_), Ask::Http(_)) => Some(format!("target `{target}` has no `base` address for calls")),
            (Some(_), Ask::Process(_)) => Some(format!("target `{target}` declares no programs")),
        };
        why.extend(fault);
    }
    (!why.is_empty()).then(|| why.into_iter().collect::<Vec<_>>().join("; "))
}

/// Names and aliases that two runbooks claim. A runbook's own name comes before anybody's alias.
fn clashes(runbooks: &BTreeMap<String, Loaded>, files: &BTreeMap<String, String>) -> Vec<String> {
    let names = runbooks.values().map(|l| (&l.runbook.runbook, &l.runbook));
    let aliases = runbooks.values().flat_map(|l| l.runbook.aliases.iter().map(|a| (a, &l.runbook)));
    let mut seen = BTreeMap::new();
    let mut faults = Vec::new();
    for (name, r) in names.chain(aliases) {
        if let Some(other) = seen.insert(name.to_lowercase(), &r.runbook) {
            let file = format!("{}.yaml", r.runbook);
            let text = files.get(&file).map_or("", String::as_str);
            faults.push(format!(
                "{}: the name `{name}` is already taken by `{other}`: choose another",
                place(&file, text, &["aliases:", name])
            ));
        }
    }
    faults
}

/// Alert rules that two runbooks share, or that stand twice: nobody could say which one is meant.
fn rivals(runbooks: &BTreeMap<String, Loaded>, files: &BTreeMap<String, String>) -> Vec<String> {
    let mut seen = BTreeMap::new();
    let mut faults = Vec::new();
    for (name, rule) in runbooks.iter().flat_map(|(n, l)| l.runbook.alerts.iter().map(move |rule| (n, rule))) {
        if let Some(other) = seen.insert(rule, name) {
            let file = format!("{name}.yaml");
            let text = files.get(&file).map_or("", String::as_str);
            faults.push(format!(
                "{}: the same alert rule stands in `{other}`: an alert names one scenario, so add a label or remove it",
                place(&file, text, &["alerts:"])
            ));
        }
    }
    faults
}

/// Where the last of the needles stands, each looked for behind the one before, as `file: line N column M`.
pub(super) fn place(file: &str, text: &str, needles: &[&str]) -> String {
    let mut found = None;
    for needle in needles {
        let from = found.map_or(0, |at| at + 1);
        found = seek(text, from, needle).or(found);
    }
    let Some(at) = found else { return file.to_owned() };
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
    format!("{file}: line {line} column {column}")
}

/// Finds a needle that is neither part of a longer word nor in a comment.
fn seek(text: &str, from: usize, needle: &str) -> Option<usize> {
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let ends = |a: Option<char>, b: Option<char>| !(a.is_some_and(word) && b.is_some_and(word));
    let rest = text.get(from..)?;
    rest.match_indices(needle).map(|(at, _)| from + at).find(|at| {
        let (before, after) = (&text[..*at], &text[at + needle.len()..]);
        let comment = before.rsplit('\n').next().is_some_and(|l| l.trim_start().starts_with('#'));
        !comment
            && ends(before.chars().next_back(), needle.chars().next())
            && ends(needle.chars().next_back(), after.chars().next())
    })
}
