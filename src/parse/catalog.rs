//! Runbook files. Takes their texts; gives a catalog, or every fault with file, line, column and a
//! hint. A runbook that could not run safely does not load.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::include::whole;
use super::lint::{asks, leads_to, lint, warnings as warnings_of};
use super::yaml::{excerpt, read_shown};
use crate::model::ask::Ask;
use crate::model::catalog::{Catalog, Loaded};
use crate::model::runbook::{Runbook, Shared, Work};

/// Version of the file format; part of what a run pins.
const SCHEMA: &str = "1";

/// The shared file's name; every other `.yaml` is a runbook.
pub const SHARED: &str = "_shared.yaml";

/// The parameter that is the id of a runbook's own channel, where it has one.
const CHANNEL: &str = "channel";

/// What this installation adds to the files.
#[derive(Debug, Default, Clone)]
pub struct Site {
    /// The configured targets.
    pub targets: BTreeMap<String, TargetKind>,
    /// Runbook to parameter values that replace defaults.
    pub parameters: BTreeMap<String, BTreeMap<String, String>>,
    /// Runbooks that have a private channel of their own, and its id.
    pub channels: BTreeMap<String, String>,
    /// The roles that somebody in the roster has.
    pub roles: BTreeSet<String>,
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
    Http {
        /// Whether it is an object store, which is only read and can be listed.
        store: bool,
    },
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
    let (mut parts, mut texts) = (BTreeMap::new(), BTreeMap::new());
    for (file, text) in files.iter().filter(|(f, _)| *f != SHARED) {
        match read_shown::<Runbook>(file, text) {
            Err(e) => faults.push(told(e, "a runbook begins with `runbook: NAME`")),
            Ok(runbook) => {
                faults.extend(lint(file, text, &runbook));
                texts.insert(runbook.runbook.clone(), (file, text.as_str()));
                parts.insert(runbook.runbook.clone(), runbook);
            }
        }
    }
    let mut runbooks = BTreeMap::new();
    for (name, (file, text)) in &texts {
        match whole(name, &parts) {
            Err(why) => faults.push(format!("{file}: {why}")),
            Ok((runbook, names)) => {
                let inner = names.iter().filter_map(|n| texts.get(n)).map(|(_, text)| *text);
                let closure = closure([*text, shared_text].into_iter().chain(inner));
                let (loaded, fault) = settle(runbook, closure, (site, &names));
                faults.extend(fault.map(|e| format!("{file}: {e}")));
                runbooks.insert(name.clone(), loaded);
            }
        }
    }
    faults.extend(clashes(&runbooks, files));
    for loaded in runbooks.values() {
        let known = |name: &&String| !runbooks.contains_key(*name) && !scenario(shared.as_ref(), name);
        faults.extend(leads_to(&loaded.runbook).filter(known).map(|name| {
            format!("{}.yaml: a choice leads to runbook `{name}`, which does not exist", loaded.runbook.runbook)
        }));
        let waits = loaded.runbook.interlocks.iter().filter_map(|lock| lock.not_while.as_ref());
        faults.extend(waits.filter(known).map(|name| {
            format!("{}.yaml: an interlock names runbook `{name}`, which does not exist", loaded.runbook.runbook)
        }));
    }
    faults.extend(rivals(&runbooks, files));
    faults.extend(shared.iter().flat_map(|s| super::shared::faults(shared_text, s, &runbooks)));
    for name in site.parameters.keys().filter(|n| !runbooks.contains_key(*n)) {
        faults.push(format!("configuration: runbooks.parameters names `{name}`, which is no runbook in the folder"));
    }
    for name in site.channels.keys().filter(|n| !runbooks.contains_key(*n)) {
        faults.push(format!("configuration: runbooks.channels names `{name}`, which is no runbook in the folder"));
    }
    match shared {
        Some(shared) if faults.is_empty() => Ok(Catalog { shared, runbooks, stale: None }),
        _ => Err(faults),
    }
}

/// What loads and deserves a second look, for files that loaded: statements that nobody could judge, budgets
/// that do not add up, and what this installation lacks, each where it is named.
#[must_use]
pub fn warnings(files: &BTreeMap<String, String>, catalog: &Catalog, site: &Site) -> Vec<String> {
    let mut found = Vec::new();
    for loaded in catalog.runbooks.values() {
        let file = format!("{}.yaml", loaded.runbook.runbook);
        let text = files.get(&file).map_or("", String::as_str);
        found.extend(warnings_of(&file, text, &loaded.runbook));
        let lacks = if site.configured { lacks(&loaded.runbook, site) } else { BTreeMap::new() };
        for (target, what) in lacks {
            found.push(fault(&file, text, &[&format!("target: {target}")], &format!("cannot run here: {what}")));
        }
        if site.configured {
            found.extend(unmet(&loaded.runbook, site).map(|(needle, what)| fault(&file, text, &[&needle], &what)));
        }
    }
    if site.configured {
        let text = files.get(SHARED).map_or("", String::as_str);
        let owners = catalog.shared.schedules.iter().filter_map(|s| s.owner.as_ref());
        let nobody = owners.filter(|role| !site.roles.contains(*role)).collect::<BTreeSet<_>>();
        found.extend(
            nobody.into_iter().map(|role| fault(SHARED, text, &["schedules:", role], &unheld(role, "is reminded"))),
        );
    }
    found
}

/// What a runbook wants besides its targets and this installation does not have: where it is named, and what.
fn unmet<'a>(runbook: &'a Runbook, site: &'a Site) -> impl Iterator<Item = (String, String)> + 'a {
    let told = runbook.steps.iter().filter_map(|s| if let Work::Notify(n) = &s.work { Some(&n.roles) } else { None });
    let told = told.flatten().map(|role| (role, format!("roles: [{role}"), "is told"));
    let reminded = runbook.deadlines.iter().map(|d| (&d.role, format!("role: {}", d.role), "is reminded"));
    let roles = told.chain(reminded).filter(|(role, ..)| !site.roles.contains(*role));
    let open = runbook.private && !site.channels.contains_key(&runbook.runbook);
    let open = open.then(|| {
        let name = &runbook.runbook;
        let what =
            format!("it is worked in the open: name its private channel as `runbooks.channels: {{ {name}: C... }}`");
        ("private:".to_owned(), what)
    });
    roles.map(|(role, needle, does)| (needle, unheld(role, does))).chain(open)
}

fn unheld(role: &str, does: &str) -> String {
    format!("nobody {does}: no person of the configuration has the role `{role}`")
}

/// Whether a scenario without a file of its own is meant: it is shown as not configured.
fn scenario(shared: Option<&Shared>, name: &str) -> bool {
    shared.is_some_and(|s| s.scenarios.iter().any(|s| s.runbook == name))
}

/// An empty file's fault needs to say what belongs into it.
fn told(fault: String, holds: &str) -> String {
    if fault.ends_with("missing or empty") { format!("{fault}: {holds}") } else { fault }
}

fn closure<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in std::iter::once(SCHEMA).chain(texts) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

/// A runbook under this installation's values: its own, then those of the runbooks that it contains.
fn settle(runbook: Runbook, closure: String, under: (&Site, &[String])) -> (Loaded, Option<String>) {
    let (site, contained) = under;
    let mut defaults = site.parameters.get(&runbook.runbook).cloned().unwrap_or_default();
    for (key, value) in contained.iter().filter_map(|name| site.parameters.get(name)).flatten() {
        defaults.entry(key.clone()).or_insert_with(|| value.clone());
    }
    // Which channel it is said once.
    if let (Some(own), true) = (site.channels.get(&runbook.runbook), runbook.params.contains_key(CHANNEL)) {
        defaults.insert(CHANNEL.to_owned(), own.clone());
    }
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
    let why: BTreeSet<String> = lacks(runbook, site).into_values().collect();
    (!why.is_empty()).then(|| why.into_iter().collect::<Vec<_>>().join("; "))
}

/// What each target is missing, by its name.
fn lacks<'a>(runbook: &'a Runbook, site: &Site) -> BTreeMap<&'a str, String> {
    let mut why = BTreeMap::new();
    for (target, ask, changes) in asks(runbook) {
        let fault = match (site.targets.get(target), ask) {
            (None, _) => Some(format!("target `{target}` is not in the configuration")),
            (Some(TargetKind::Sql { operator: false }), Ask::Sql(_)) if changes => {
                Some(format!("target `{target}` has no operator role in the configuration"))
            }
            // Each of its questions stands in this list as well.
            (Some(_), Ask::Chain(_)) => None,
            (Some(TargetKind::Http { store: false }), Ask::Http(call)) if call.list.is_some() => {
                Some(format!("target `{target}` is no object store: it has no `s3` in the configuration"))
            }
            (Some(TargetKind::Http { store: true }), Ask::Http(call)) if !call.method.reads() => {
                Some(format!("target `{target}` is an object store, which is only read"))
            }
            (Some(TargetKind::Sql { .. }), Ask::Sql(_)) | (Some(TargetKind::Http { .. }), Ask::Http(_)) => None,
            (Some(TargetKind::Programs(known)), Ask::Process(run)) => {
                let unknown = run.pipe.iter().filter_map(|p| p.first()).find(|p| !known.contains(*p));
                unknown.map(|p| format!("target `{target}` does not declare the program `{p}`"))
            }
            (Some(_), Ask::Sql(_)) => Some(format!("target `{target}` is no database")),
            (Some(_), Ask::Http(_)) => Some(format!("target `{target}` has no `base` address for calls")),
            (Some(_), Ask::Process(_)) => Some(format!("target `{target}` declares no programs")),
        };
        if let Some(fault) = fault {
            why.insert(target, fault);
        }
    }
    why
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
            let what = format!("the name `{name}` is already taken by `{other}`: choose another");
            faults.push(fault(&file, text, &["aliases:", name], &what));
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
            let what = format!(
                "the same alert rule stands in `{other}`: an alert names one scenario, so add a label or remove it"
            );
            faults.push(fault(&file, text, &["alerts:"], &what));
        }
    }
    faults
}

/// Where the last of the needles stands, each looked for behind the one before, as `file: line N column M`.
pub(super) fn place(file: &str, text: &str, needles: &[&str]) -> String {
    let Some((line, column)) = spot(text, needles) else { return file.to_owned() };
    format!("{file}: line {line} column {column}")
}

/// A fault at that place, with the line and a mark below the column, as for a key that does not exist.
pub(super) fn fault(file: &str, text: &str, needles: &[&str], what: &str) -> String {
    match spot(text, needles) {
        Some(at) => fault_at(file, text, at, what),
        None => format!("{file}: {what}"),
    }
}

/// The same for a line and column, from 1.
pub(super) fn fault_at(file: &str, text: &str, (line, column): (u64, u64), what: &str) -> String {
    format!("{file}: line {line} column {column}: {what}{}", excerpt(text, line, column))
}

/// Line and column of the last of the needles.
pub(super) fn spot(text: &str, needles: &[&str]) -> Option<(u64, u64)> {
    let mut found = None;
    for needle in needles {
        let from = found.map_or(0, |at| at + 1);
        found = seek(text, from, needle).or(found);
    }
    found.map(|at| line_and_column(text, at))
}

/// Line and column of a byte, from 1.
pub(super) fn line_and_column(text: &str, at: usize) -> (u64, u64) {
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
    (line as u64, column as u64)
}

/// Finds a needle that is neither part of a longer word nor in a comment.
pub(super) fn seek(text: &str, from: usize, needle: &str) -> Option<usize> {
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
