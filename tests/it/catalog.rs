//! Runbook files that must not load: each mistake is named with its file, its place and what to do.
//! And the shipped ones, which must.

use std::collections::BTreeMap;
use std::process::Command;

use drbot::parse::catalog::{SHARED, Site, load};

use crate::support::{Folder, commands};

/// A runbook without a fault; every case changes one place in it.
const GOOD: &str = r#"runbook: sample
aliases: [SX]
title: A sample
tier: 1
objectives: { rto: 4h, rpo: 24h, mttr: 2h }
estimate: 45m
params:
  longer_than: { type: duration, default: 5m, min: 1s, max: 24h }
detect:
  every: 1m
  failures: 1
  checks:
    - id: seen
      target: main-db
      sql: select count(*) as n from t where age > :longer_than::interval
      expect: { value: { column: n, at_most: 0 } }
      figure: "{n} too old"
steps:
  - id: look
    title: Look
    do:
      manual: { ask: Look at the graph, evidence: a link }
  - id: act
    title: Act
    timeout: 30s
    do:
      sql:
        target: main-db
        effect: once
        risk: disruptive
        preview:
          sql: select pid from t
          identity: [pid]
          tolerance: { rows: fewer }
        sql: select stop(pid) from jsonb_to_recordset(:approved::jsonb) as x(pid int)
        verify:
          - id: gone
            target: main-db
            sql: select count(*) as n from u
            expect: { rows: { at_most: 1, every: { ok: "true" } } }
            figure: "{n} left"
        undo: they connect again by themselves
verify:
  - id: calm
    target: main-db
    sql: select count(*) as n from v
    expect: { value: { column: n, at_most: 0 } }
    figure: "{n} waiting"
"#;

const SHARED_GOOD: &str = "objectives: { rto: 4h, rpo: 24h, mttr: 2h }\nscenarios: []\n";

/// What is replaced by what, and what the fault must say besides `sample.yaml`.
type Case = (&'static str, &'static str, &'static [&'static str]);

/// Keys that do not exist, at every level.
const KEYS: &[Case] = &[
    ("title: A sample", "titel: A sample", &["line 3", "column 1", "`titel`", "did you mean `title`"]),
    ("rto: 4h,", "rot: 4h,", &["line 5", "`rot`", "did you mean `rto`"]),
    ("{ type: duration", "{ kind: x, type: duration", &["line 8", "`kind`", "`default`"]),
    ("min: 1s", "minimum: 1s", &["line 8", "`minimum`", "`min`"]),
    ("  failures: 1", "  failure: 1", &["line 11", "column 3", "did you mean `failures`"]),
    ("      figure: \"{n} too old\"", "      figures: x", &["line 17", "did you mean `figure`"]),
    (
        "{ column: n, at_most: 0 } }\n      figure",
        "{ colum: n, at_most: 0 } }\n      figure",
        &["line 16", "did you mean `column`"],
    ),
    ("    timeout: 30s", "    timeuot: 30s", &["line 25", "did you mean `timeout`"]),
    ("      manual: { ask", "      manuel: { ask", &["line 22", "`manuel`", "did you mean `manual`"]),
    ("        effect: once", "        efect: once", &["line 29", "did you mean `effect`"]),
    ("          identity: [pid]", "          identities: [pid]", &["line 33", "did you mean `identity`"]),
    ("{ rows: fewer }", "{ row: fewer }", &["line 34", "did you mean `rows`"]),
    ("evidence: a link", "evidance: a link", &["line 22", "did you mean `evidence`"]),
    ("at_most: 1, every", "at_mots: 1, every", &["line 40", "did you mean `at_most`"]),
];

/// Values of the wrong kind.
const VALUES: &[Case] = &[
    ("tier: 1", "tier: high", &["line 4", "column 7", "whole number"]),
    ("tier: 1", "tier: yes", &["line 4", "column 7", "whole number"]),
    ("tier: 1", "tier: 1.5", &["line 4", "column 7", "whole number"]),
    ("tier: 1", "tier: 9", &["line 4", "tier 9 does not exist", "1 is restored first"]),
    ("tier: 1", "tier: 300", &["line 4", "column 7"]),
    ("estimate: 45m", "estimate: 45 minutes", &["line 6", "not a duration", "such as"]),
    ("estimate: 45m", "estimate: 45", &["line 6", "not a duration", "such as"]),
    ("aliases: [SX]", "aliases: SX", &["line 2", "column 10", "list"]),
    ("title: A sample", "title: [A, sample]", &["line 3", "column 8", "text"]),
    ("ok: \"true\"", "ok: [true]", &["line 40", "text"]),
    ("at_most: 1, every", "at_most: yes, every", &["line 40", "whole number"]),
    ("failures: 1", "failures: -1", &["line 11", "column 13"]),
    ("failures: 1", "failures: 0", &["line 9", "`failures` of at least 1"]),
    ("type: duration", "type: interval", &["line 8", "`interval`", "`duration`"]),
    ("effect: once", "effect: twice", &["line 29", "`twice`", "`once`"]),
    ("risk: disruptive", "risk: disruptiv", &["line 30", "did you mean `disruptive`"]),
    ("{ rows: fewer }", "{ rows: more }", &["line 34", "`more`", "`fewer`"]),
    ("default: 5m", "default: 2d", &["line 8", "`longer_than`", "from 1s to 24h"]),
    ("default: 5m", "default: soon", &["line 8", "`longer_than`", "not a duration"]),
    (
        "    do:\n      manual: { ask: Look at the graph, evidence: a link }",
        "    do: manual",
        &["line 22", "just before", "manual"],
    ),
];

/// Files that are broken as files.
const FILES: &[Case] = &[
    ("tier: 1\n", "tier: 1\ntier: 2\n", &["line 5", "duplicate", "`tier`", "keep one"]),
    ("rto: 4h,", "rto: 4h, rto: 5h,", &["line 5", "duplicate", "`rto`", "keep one"]),
    ("title: A sample", "title: &t A sample", &["line 3", "anchors", "write it out"]),
    ("title: A sample", "title: *t", &["line 3", "alias", "write it out"]),
    (
        "title: A sample",
        "title: [[[[[[[[[[[[[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
        &["line 3", "must be one text"],
    ),
    ("title: A sample", "title: \"A sample", &["line", "column"]),
    ("tier: 1", "\ttier: 1", &["line 3", "tab"]),
    ("\nverify:\n", "\n---\nverify:\n", &["one document"]),
    (GOOD, "", &["empty", "runbook:"]),
    (GOOD, "# nothing yet\n", &["empty", "runbook:"]),
    (GOOD, "- a\n- b\n", &["line 1", "`runbook: NAME`"]),
    ("title: A sample\n", "", &["`title` is missing"]),
    ("estimate: 45m\n", "", &["`estimate` is missing"]),
    ("        risk: disruptive\n", "", &["line 41", "`risk` is missing"]),
];

/// Runbooks that are well written and not safe.
const SAFETY: &[Case] = &[
    ("runbook: sample", "runbook: other", &["line 1 column 1", "file's name without .yaml"]),
    ("  - id: act\n", "  - id: look\n", &["line 23", "`look` exists twice", "its own id"]),
    ("risk: disruptive", "risk: safe", &["line 23", "`act`", "risk: disruptive"]),
    ("effect: once", "effect: observe", &["line 23", "`act`", "must be `safe`"]),
    (
        "        preview:\n          sql: select pid from t\n          identity: [pid]\n          tolerance: { rows: fewer }\n",
        "",
        &["line 23", "`preview`"],
    ),
    ("identity: [pid]", "identity: []", &["line 23", "`identity`"]),
    ("identity: [pid]", "identity: [pid]\n          sensitive: [pid]", &["line 23", "not mask `pid`"]),
    ("undo: they connect again by themselves", "sensitive: []", &["line 23", "undone"]),
    (":approved::jsonb", "'[]'::jsonb", &["line 23", "join `:approved`"]),
    ("sql: select pid from t\n", "sql: select pid from t where a > :older\n", &["line 32", "`:older`", "`params`"]),
    (
        "age > :longer_than::interval",
        "age > :longer::interval",
        &["line 15", "`:longer`", "did you mean `longer_than`"],
    ),
    ("select count(*) as n from u", "select :nothing", &["line 39", "`:nothing`", "`params`"]),
    ("age > :longer_than::interval", "age > '5m'", &["line 8", "`longer_than` is used by no statement", "remove it"]),
    ("expect: { rows: { at_most: 1, every: { ok: \"true\" } } }", "expect: {}", &["line 37", "`gone`", "add `expect`"]),
    ("expect: { rows: { at_most: 1, every: { ok: \"true\" } } }", "expect: { rows: {} }", &["line 37", "add `expect`"]),
    ("aliases: [SX]", "aliases: [taken]", &["line 2", "`taken`", "choose another"]),
    (
        "params:",
        "alerts: [{ source: pagerduty, labels: { alertname: X } }]\nparams:",
        &["line 7", "no alert source `pagerduty`", "known are alertmanager"],
    ),
    (
        "params:",
        "alerts: [{ source: alertmanager, labels: {} }]\nparams:",
        &["line 7", "would answer every alert", "`alertname`"],
    ),
    ("params:", "alerts: [{ source: alertmanager }]\nparams:", &["line 7", "`labels` is missing"]),
    ("params:", "alerts: [{ source: alertmanager, label: { a: b } }]\nparams:", &["line 7", "did you mean `labels`"]),
    (
        "undo: they connect again by themselves",
        "undo: they connect again\n        probe: { id: blind, target: main-db, sql: select 1, expect: { reachable: true }, figure: x }",
        &["line 43 column 18", "probe `blind`", "proves no effect"],
    ),
    ("aliases: [SX]", "aliases: [TAKEN]", &["line 2 column 11", "`TAKEN`", "choose another"]),
];

fn faults(text: &str) -> Vec<String> {
    let taken = GOOD.replace("runbook: sample", "runbook: taken").replace("[SX]", "[]");
    let files = [("sample.yaml", text), ("taken.yaml", taken.as_str()), (SHARED, SHARED_GOOD)];
    load(&files.map(|(n, t)| (n.to_owned(), t.to_owned())).into(), &Site::default()).err().unwrap_or_default()
}

/// What is wrong with how the mistakes of a table are told.
fn untold(table: &[Case]) -> Vec<String> {
    let mut found = Vec::new();
    for (from, to, parts) in table {
        assert!(GOOD.contains(from), "the good runbook has no {from}");
        let all = faults(&GOOD.replacen(from, to, 1));
        let told = |text: &&String| {
            text.starts_with("sample.yaml") && parts.iter().all(|p| text.to_lowercase().contains(&p.to_lowercase()))
        };
        if !all.iter().any(|t| told(&t)) {
            found.push(format!("{from:?} -> {to:?} must say {parts:?}, and says:\n{}\n", all.join("\n")));
        }
    }
    found
}

#[test]
fn every_mistake_is_named_with_place_and_hint() {
    assert_eq!(faults(GOOD), Vec::<String>::new());
    let tables = [KEYS, VALUES, FILES, SAFETY];
    assert!(tables.iter().map(|t| t.len()).sum::<usize>() >= 40);
    let found: Vec<String> = tables.iter().flat_map(|t| untold(t)).collect();
    assert!(found.is_empty(), "{} mistakes are not told:\n{}", found.len(), found.join("\n"));
}

/// One mistake more must not hide the others.
#[test]
fn all_faults_come_at_once() {
    let two = GOOD.replace("tier: 1", "tier: 9").replace("identity: [pid]", "identity: []");
    assert_eq!(faults(&two).len(), 2, "{:?}", faults(&two));
}

/// One alert names one scenario; and a question may expect nothing but an answer.
#[test]
fn alert_rules_are_unique_and_reachable_is_an_expectation() {
    let rule = |labels: &str| format!("alerts: [{{ source: alertmanager, labels: {{ {labels} }} }}]\nparams:");
    let with = |one: &str, other: &str| {
        let sample = GOOD.replacen("params:", &rule(one), 1);
        let taken = GOOD.replace("runbook: sample", "runbook: taken").replace("[SX]", "[]");
        let taken = taken.replacen("params:", &rule(other), 1);
        let files = [("sample.yaml", sample), ("taken.yaml", taken), (SHARED, SHARED_GOOD.to_owned())];
        load(&files.map(|(n, t)| (n.to_owned(), t)).into(), &Site::default()).err().unwrap_or_default()
    };
    assert_eq!(with("alertname: Slow", "alertname: Slow, project: prod"), Vec::<String>::new());
    let same = with("alertname: Slow, project: prod", "project: prod, alertname: Slow");
    assert_eq!(same.len(), 1, "{same:?}");
    assert!(same[0].starts_with("taken.yaml: line 7 column 1") && same[0].contains("`sample`"), "{same:?}");
    let reachable = GOOD.replace("expect: { value: { column: n, at_most: 0 } }", "expect: { reachable: true }");
    assert_eq!(faults(&reachable), Vec::<String>::new());
    assert!(
        !faults(&GOOD.replace("expect: { value: { column: n, at_most: 0 } }", "expect: { reachable: false }"))
            .is_empty()
    );
}

/// An alias bomb is refused before it grows.
#[test]
fn a_bomb_is_refused_at_once() {
    let ten = |what: &str| [what; 9].join(",");
    let mut bomb = format!("a: &a [{}]\n", ten("x"));
    for (this, last) in ('b'..='i').zip('a'..='h') {
        bomb += &format!("{this}: &{this} [{}]\n", ten(&format!("*{last}")));
    }
    let all = faults(&bomb);
    assert!(all[0].starts_with("sample.yaml: line 1 column 1") && all[0].len() < 1_000, "{all:?}");
    let all = faults(&GOOD.replace("aliases: [SX]", "aliases: &a [x]\ncovers: *a"));
    assert!(all[0].starts_with("sample.yaml: line 2") && all[0].contains("write it out"), "{all:?}");
    let wide = GOOD.replace("aliases: [SX]", &format!("aliases: [{}]", "x,".repeat(30_000)));
    let all = faults(&wide);
    assert!(all[0].starts_with("sample.yaml") && all[0].contains("too large"), "{}", &all[0][..200]);
}

/// The shared file and the folder are checked as well.
#[test]
fn the_shared_file_is_needed_and_checked() {
    let with = |shared: Option<&str>| {
        let mut files = BTreeMap::from([("sample.yaml".to_owned(), GOOD.to_owned())]);
        files.extend(shared.map(|s| (SHARED.to_owned(), s.to_owned())));
        load(&files, &Site::default()).err().unwrap_or_default().join("\n")
    };
    let missing = with(None);
    assert!(missing.starts_with(SHARED) && missing.contains("missing"), "{missing}");
    let typo = with(Some("objectives: { rto: 4h, rpo: 24h, mttr: 2h }\nscenario: []\n"));
    assert!(typo.starts_with("_shared.yaml: line 2 column 1") && typo.contains("did you mean `scenarios`"), "{typo}");
}

/// A value of this installation is held to the same bounds, and an unknown name is said.
#[test]
fn this_installations_values_are_checked() {
    let with = |runbook: &str, name: &str, value: &str| {
        let files = [("sample.yaml", GOOD), (SHARED, SHARED_GOOD)].map(|(n, t)| (n.to_owned(), t.to_owned())).into();
        let parameters = [(runbook.to_owned(), [(name.to_owned(), value.to_owned())].into())].into();
        load(&files, &Site { parameters, ..Site::default() }).err().unwrap_or_default().join("\n")
    };
    assert_eq!(with("sample", "longer_than", "2s"), "");
    assert!(with("sample", "longer_than", "2d").contains("from 1s to 24h"));
    assert!(with("sample", "longer", "2s").contains("it takes longer_than"));
    assert!(with("simple", "longer_than", "2s").contains("`simple`, which is no runbook"));
}

fn check(folder: &std::path::Path) -> (bool, String) {
    let run = Command::new(env!("CARGO_BIN_EXE_drbot")).args(["check", "--runbooks"]).arg(folder).output().unwrap();
    (run.status.success(), String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned())
}

#[test]
fn the_shipped_runbooks_load_and_a_broken_folder_does_not() {
    let (good, said) = check(&commands());
    assert!(good && said.contains("database-performance: ok"), "{said}");
    let folder = Folder::new();
    std::fs::write(folder.0.join(SHARED), SHARED_GOOD).unwrap();
    std::fs::write(folder.0.join("sample.yaml"), GOOD.replace("tier: 1", "teir: 1")).unwrap();
    let (good, said) = check(&folder.0);
    assert!(!good && said.contains("sample.yaml: line 4 column 1") && said.contains("did you mean `tier`"), "{said}");
}

/// A runbook inside another: its steps under the name of the place, pinned with it; never within itself.
#[test]
fn a_contained_runbook_is_part_of_what_is_pinned() {
    let outer = |steps: &str| {
        let renamed = GOOD.replace("runbook: sample", "runbook: outer").replace("[SX]", "[OX]");
        let (head, rest) = renamed.split_once("steps:\n").expect("steps");
        let tail = &rest[rest.find("\nverify:").expect("verify")..];
        format!("{head}steps:\n{steps}{tail}")
    };
    let inside = "  - { id: in, title: The sample, do: { runbook: sample } }";
    let shared = "objectives: { rto: 4h, rpo: 24h, mttr: 2h }\nscenarios:\n  - { id: S1, title: A, tier: 1, runbook: sample }\n  - { id: S2, title: B, tier: 1, runbook: outer }\n";
    let files = |sample: &str, outer: &str| -> BTreeMap<String, String> {
        [(SHARED, shared), ("sample.yaml", sample), ("outer.yaml", outer)]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into()
    };
    let load = |sample: &str, outer: &str| load(&files(sample, outer), &Site::default());
    let whole = load(GOOD, &outer(inside)).unwrap_or_else(|f| panic!("{}", f.join("\n")));
    let ids: Vec<&str> = whole.runbooks["outer"].runbook.steps.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(ids, ["in-look", "in-act"]);
    let other = load(&GOOD.replace("Look at the graph", "Look twice"), &outer(inside)).expect("loads");
    assert_ne!(other.runbooks["outer"].closure, whole.runbooks["outer"].closure, "it pins what it contains");
    let told = |steps: &str| load(GOOD, &outer(steps)).expect_err("refused").join("\n");
    assert!(told("  - { id: in, title: T, do: { runbook: outer } }").contains("`outer` contains itself"));
    assert!(told("  - { id: in, title: T, do: { runbook: nothing } }").contains("`nothing` does not exist"));
    let twice =
        format!("{inside}\n  - {{ id: in-look, title: T, do: {{ manual: {{ ask: Look, evidence: a link }} }} }}");
    assert!(told(&twice).contains("step `in-look` exists twice"));
}
