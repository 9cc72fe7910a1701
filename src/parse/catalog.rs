//! Runbook files. Takes their texts; gives a catalog, or every fault with file, line, column and a
//! hint. A runbook that could not run safely does not load.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::near::nearest;
use super::yaml::read_shown;
use crate::model::alert::SOURCES;
use crate::model::runbook::{Catalog, Check, EffectClass, Loaded, Param, Risk, Runbook, Shared, SqlWork, Step, Work};
use crate::model::statement::placeholders;

/// Version of the file format; part of what a run pins.
const SCHEMA: &str = "1";

/// The shared file's name; every other `.yaml` is a runbook.
pub const SHARED: &str = "_shared.yaml";

/// What this installation adds to the files.
#[derive(Debug, Default, Clone)]
pub struct Site {
    /// Target name to whether it has an operator role.
    pub targets: BTreeMap<String, bool>,
    /// Runbook to parameter values that replace defaults.
    pub parameters: BTreeMap<String, BTreeMap<String, String>>,
    /// False lints files only: unknown targets are then no fault.
    pub configured: bool,
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
    faults.extend(rivals(&runbooks, files));
    for name in site.parameters.keys().filter(|n| !runbooks.contains_key(*n)) {
        faults.push(format!("configuration: runbooks.parameters names `{name}`, which is no runbook in the folder"));
    }
    match shared {
        Some(shared) if faults.is_empty() => Ok(Catalog { shared, runbooks }),
        _ => Err(faults),
    }
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
    let used = targets(&runbook);
    let missing: Vec<_> =
        used.iter().filter(|(t, _)| !site.targets.contains_key(*t)).map(|(t, _)| format!("`{t}`")).collect();
    let unarmed: Vec<_> = used
        .iter()
        .filter(|(t, operator)| **operator && site.targets.get(*t) == Some(&false))
        .map(|(t, _)| format!("`{t}`"))
        .collect();
    let unusable = match (site.configured, missing.is_empty(), unarmed.is_empty()) {
        (true, false, _) => Some(format!("target {} is not in the configuration", missing.join(", "))),
        (true, true, false) => Some(format!("target {} has no operator role in the configuration", unarmed.join(", "))),
        _ => None,
    };
    let loaded = Loaded { closure, runbook, defaults, unusable };
    // As if they were given in chat, so that a name which is no parameter is noticed.
    let fault = loaded.values(&loaded.defaults).err().filter(|_| !loaded.defaults.is_empty());
    (loaded, fault.map(|e| format!("configured parameters: {e}")))
}

/// Target name to whether the operator role is needed there.
fn targets(runbook: &Runbook) -> BTreeMap<String, bool> {
    let checks = runbook.detect.checks.iter().chain(&runbook.verify).map(|c| (c.target.clone(), false));
    let steps = runbook.steps.iter().filter_map(|s| match &s.work {
        Work::Sql(w) => Some((w.target.clone(), w.effect != EffectClass::Observe)),
        Work::Manual(_) => None,
    });
    let mut all = BTreeMap::new();
    for (target, operator) in checks.chain(steps) {
        *all.entry(target).or_insert(false) |= operator;
    }
    all
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
fn place(file: &str, text: &str, needles: &[&str]) -> String {
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

/// Everything about one file that is well formed but not safe or not sensible.
fn lint(file: &str, text: &str, runbook: &Runbook) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |needle: &str, what: String| faults.push(format!("{}: {what}", place(file, text, &[needle])));
    if file != format!("{}.yaml", runbook.runbook) {
        fault("runbook:", format!("`runbook: {}` must be the file's name without .yaml", runbook.runbook));
    }
    if !(1..=3).contains(&runbook.tier) {
        fault("tier:", format!("tier {} does not exist: 1 is restored first, 3 last", runbook.tier));
    }
    if runbook.detect.failures == 0 || runbook.detect.checks.is_empty() {
        fault("detect:", "detection needs at least one check and `failures` of at least 1".into());
    }
    if runbook.steps.is_empty() || runbook.verify.is_empty() {
        fault("runbook:", "a runbook needs at least one step, and `verify` checks that prove the recovery".into());
    }
    for rule in &runbook.alerts {
        if !SOURCES.contains(&rule.source.as_str()) {
            let what = format!("there is no alert source `{}`: known are {}", rule.source, SOURCES.join(", "));
            fault("alerts:", what);
        }
        if rule.labels.is_empty() {
            fault("alerts:", "an alert rule without labels would answer every alert: name at least `alertname`".into());
        }
    }
    for (name, param) in &runbook.params {
        if let Err(e) = sound(name, param) {
            faults.push(format!("{}: {e}", place(file, text, &["params:", &format!("{name}:")])));
        }
    }
    let mut ids = BTreeSet::new();
    for step in &runbook.steps {
        if !ids.insert(&step.id) {
            let id = format!("id: {}", step.id);
            faults.push(format!(
                "{}: step `{}` exists twice: give each its own id",
                place(file, text, &["steps:", &id, &id]),
                step.id
            ));
        }
    }
    let names: BTreeSet<&str> = runbook.params.keys().map(String::as_str).collect();
    let mut used = BTreeSet::new();
    for (where_, what) in statements(runbook, &names, &mut used).into_iter().chain(steps(&runbook.steps)) {
        let needles: Vec<&str> = where_.iter().map(String::as_str).collect();
        faults.push(format!("{}: {what}", place(file, text, &needles)));
    }
    for name in names.iter().filter(|n| !used.contains(**n)) {
        faults.push(format!(
            "{}: parameter `{name}` is used by no statement: remove it",
            place(file, text, &["params:", &format!("{name}:")])
        ));
    }
    faults
}

fn sound(name: &str, param: &Param) -> Result<(), String> {
    for bound in [&param.default, &param.min, &param.max].into_iter().flatten() {
        param.read(name, bound)?;
    }
    Ok(())
}

/// What to look for, one behind the other, to find the place of a fault; and the fault.
type Fault = (Vec<String>, String);

/// Every `:placeholder` must be a parameter (or `approved`, behind a preview) and every check needs an
/// expectation.
fn statements(runbook: &Runbook, names: &BTreeSet<&str>, used: &mut BTreeSet<String>) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut unbound = |at: &str, sql: &str, approved: bool| {
        for p in placeholders(sql) {
            if !(names.contains(p.as_str()) || approved && p == "approved") {
                let near =
                    nearest(&p, names.iter().copied()).map_or(String::new(), |n| format!("did you mean `{n}`? Or "));
                let what = format!("`:{p}` in `{at}` is no parameter: {near}declare it under `params`");
                faults.push((vec![at.to_owned(), format!(":{p}")], what));
            }
            used.insert(p);
        }
    };
    let mut all: Vec<(&Check, bool)> =
        runbook.detect.checks.iter().chain(&runbook.verify).map(|c| (c, false)).collect();
    for step in &runbook.steps {
        if let Work::Sql(w) = &step.work {
            let preview = w.preview.is_some();
            unbound(&format!("id: {}", step.id), &w.sql, preview);
            if let Some(p) = &w.preview {
                unbound(&format!("id: {}", step.id), &p.sql, false);
            }
            all.extend(w.verify.iter().chain(&w.probe).map(|c| (c, preview)));
        }
    }
    for (check, approved) in &all {
        unbound(&format!("id: {}", check.id), &check.sql, *approved);
    }
    for probe in runbook.steps.iter().filter_map(|s| match &s.work {
        Work::Sql(w) => w.probe.as_ref(),
        Work::Manual(_) => None,
    }) {
        if probe.expect.reachable && probe.expect.ignores_rows() {
            let what = format!("probe `{}` must look at an answer: being reachable proves no effect", probe.id);
            faults.push((vec![format!("id: {}", probe.id)], what));
        }
    }
    for (check, _) in all.iter().filter(|(c, _)| c.expect.is_empty()) {
        faults.push((
            vec![format!("id: {}", check.id)],
            format!("check `{}` expects nothing, so it could never fail: add `expect`", check.id),
        ));
    }
    faults
}

fn steps(list: &[Step]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for step in list {
        let Work::Sql(w) = &step.work else { continue };
        let at = vec!["steps:".to_owned(), format!("id: {}", step.id)];
        let lacks = match w.effect {
            EffectClass::Observe if w.risk != Risk::Safe => Some("reads only, so its risk must be `safe`".to_owned()),
            EffectClass::Observe => None,
            EffectClass::Atomic | EffectClass::Once => missing_in_change(w),
        };
        faults.extend(lacks.map(|l| (at, format!("step `{}` {l}", step.id))));
    }
    faults
}

fn missing_in_change(w: &SqlWork) -> Option<String> {
    let lack = |what: &str| Some(format!("changes something and must {what}"));
    match w {
        w if w.risk == Risk::Safe => lack("say `risk: disruptive` or `risk: destructive`"),
        w if w.preview.is_none() => lack("have a `preview` that lists what it would touch"),
        w if w.preview.as_ref().is_some_and(|p| p.identity.is_empty()) => lack("name the preview's `identity` columns"),
        w if w.verify.is_empty() => lack("have `verify` checks"),
        w if w.undo.is_none() => lack("say how it is undone, or `undo: none` with the reason"),
        w if !placeholders(&w.sql).iter().any(|p| p == "approved") => {
            lack("join `:approved`, so that it touches the approved rows and no others")
        }
        w => w
            .preview
            .as_ref()
            .and_then(|p| p.identity.iter().find(|i| p.sensitive.contains(i)))
            .and_then(|i| lack(&format!("not mask `{i}`, which is an identity column"))),
    }
}
