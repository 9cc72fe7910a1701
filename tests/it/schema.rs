//! The JSON Schemas that `drbot schema` prints, judged by a validator that is not ours: they take the files
//! that are shipped, and in every place of them they refuse what the loader refuses.

use std::fs;

use boon::{Compiler, Schemas};
use drbot::config::Config;
use drbot::model::runbook::{Runbook, Shared};
use drbot::parse::catalog::{SHARED, Site, load};
use drbot::parse::yaml;
use drbot::practice::trial::record::Record;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::commands;

/// A schema as printed, ready to judge.
struct Judge {
    schemas: Schemas,
    at: boon::SchemaIndex,
}

impl Judge {
    async fn of(kind: &str) -> Judge {
        let drbot = Command::new(env!("CARGO_BIN_EXE_drbot")).args(["schema", kind]).output().await.unwrap();
        assert!(drbot.status.success(), "{drbot:?}");
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("schema.json", serde_json::from_slice(&drbot.stdout).unwrap()).unwrap();
        let at = compiler.compile("schema.json", &mut schemas).unwrap();
        Judge { schemas, at }
    }

    fn takes(&self, value: &Value) -> Result<(), String> {
        self.schemas.validate(value, self.at).map_err(|e| format!("{e:#}"))
    }
}

fn value(text: &str) -> Value {
    yaml::read("a file", text).unwrap()
}

/// Every place in a value, the whole first.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(map) => {
            let pointer = |k: &str| k.replace('~', "~0").replace('/', "~1");
            map.iter().for_each(|(k, v)| places(v, &format!("{at}/{}", pointer(k)), found));
        }
        Value::Array(list) => list.iter().enumerate().for_each(|(i, v)| places(v, &format!("{at}/{i}"), found)),
        _ => {}
    }
}

/// The value with one thing wrong: each place replaced by something of another kind, each block of keys with
/// one more and with one less. With the place and what was done there.
fn mistakes(good: &Value) -> Vec<(String, Value)> {
    let (mut at, mut made) = (Vec::new(), Vec::new());
    places(good, "", &mut at);
    for place in at {
        let mut change = |what: &str, apply: &dyn Fn(&mut Value)| {
            let mut bad = good.clone();
            apply(bad.pointer_mut(&place).unwrap());
            made.push((format!("{place}: {what}"), bad));
        };
        for other in [json!({}), json!([]), json!([[]]), json!("no such word"), json!(-7)] {
            change(&format!("becomes {other}"), &|v| *v = other.clone());
        }
        if let Some(Value::Object(map)) = good.pointer(&place) {
            change("surprise: 1", &|v| v["surprise"] = json!(1));
            for key in map.keys() {
                change(&format!("without {key}"), &|v| drop(v.as_object_mut().unwrap().remove(key)));
            }
        }
    }
    made
}

/// Blocks whose keys an author chooses; everywhere else a key that is not known is a mistake.
const FREE: [&str; 14] = [
    "steps",
    "answers",
    "verify",
    "every",
    "env",
    "env_files",
    "headers",
    "header_files",
    "programs",
    "form",
    "columns",
    "only",
    "labels",
    "channels",
];

/// Schema and loader say the same about every mistake. A number where a text belongs is the one difference:
/// the loader reads it as its digits, and the schema asks for quotes, except where it stands for a value.
fn agree<T: DeserializeOwned>(judge: &Judge, name: &str, text: &str) -> usize {
    let good = value(text);
    judge.takes(&good).unwrap_or_else(|e| panic!("{name}: {e}"));
    let all = mistakes(&good);
    let mut refused = 0;
    for (what, bad) in &all {
        let (schema, loader) = (judge.takes(bad), yaml::read::<T>(name, &bad.to_string()).err());
        let free = what.contains("/call/json")
            || what.contains("/seen/json")
            || what.contains("/given")
            || what.contains("/rows/0")
            || what.contains("/runbooks/parameters/")
            || FREE.iter().any(|f| what.contains(&format!("/{f}: ")));
        let number = what.ends_with("becomes -7") || free && what.ends_with("surprise: 1");
        let quotes = number && schema.is_err() && loader.is_none();
        assert!(
            quotes || schema.is_err() == loader.is_some(),
            "{name} {what}\nthe schema: {schema:?}\nthe loader: {loader:?}"
        );
        assert!(free || !what.ends_with("surprise: 1") || schema.is_err(), "{name} {what}: an unknown key is taken");
        refused += usize::from(schema.is_err());
    }
    assert!(refused > all.len() / 3, "{name}: only {refused} of {} mistakes are refused", all.len());
    all.len()
}

#[tokio::test]
async fn schema_and_loader_agree_about_runbooks() {
    let (runbook, shared) = (Judge::of("runbook").await, Judge::of("shared").await);
    let mut tried = 0;
    for file in fs::read_dir(commands()).unwrap().map(|f| f.unwrap().path()) {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.ends_with(".yaml") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        // Each mistake costs a look by both; two files and the one below have every kind of block.
        tried += match name.as_str() {
            "_shared.yaml" => shared.takes(&value(&text)).map(|()| 1).unwrap_or_else(|e| panic!("{name}: {e}")),
            "database-performance.yaml" | "database-unavailable.yaml" => agree::<Runbook>(&runbook, &name, &text),
            _ => runbook.takes(&value(&text)).map(|()| 1).unwrap_or_else(|e| panic!("{name}: {e}")),
        };
    }
    tried += agree::<Shared>(&shared, "_shared.yaml", EVERYTHING_SHARED);
    assert!(tried > 1_000, "only {tried} mistakes were tried");
}

#[tokio::test]
async fn schema_and_loader_agree_about_recorded_cases() {
    let judge = Judge::of("cases").await;
    for file in fs::read_dir(commands().join("tests")).unwrap().map(|f| f.unwrap().path()) {
        let text = fs::read_to_string(&file).unwrap();
        judge.takes(&value(&text)).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    }
    // One file with every key, and everything that can be wrong in it.
    let all = r#"
runbook: sample
cases:
  - name: all of it
    given: { a: "1" }
    detect: [{ answers: { seen: { status: 200, latency: 1s, json: { n: 1 } } }, light: green, card: [x] }]
    run:
      steps:
        look: { preview: { rows: [{ a: "1" }] }, answer: { dark: why }, checks: [{ seen: { unknown: why } }], probe: true }
        call: { settle: not, deny: why, choose: A, done: it, skip: why, card: [x] }
      verify: { seen: { status: 200 } }
      path: [look done]
      ends: recovered
      card: [x]
"#;
    agree::<Record>(&judge, "cases.yaml", all);
}

/// One of each thing that the shared file may hold; trying every mistake in the shipped one takes long.
const EVERYTHING_SHARED: &str = "
objectives: { rto: 4h, rpo: 24h, mttr: 2h }
scenarios: [{ id: S1, title: Down, tier: 1, runbook: down }]
covers: [page]
replaces: [{ ids: [S1.1/2], why: it does harm }]
services: [{ name: Mail, tier: 2, probes: [down/seen], gap: none looks, covers: [tiers.1/2] }]
escalation: [{ level: 1, title: Alone, after: 15m, role: us, covers: [escalation/2] }]
contacts: [{ role: us, reach: here }]
checklist: [{ task: Think, owner: us, due: 1d, covers: [checklist/2] }]
schedules: [{ id: sweep, what: Sweep, every: 1d, probe: down, owner: us, covers: [S1.prevent/2] }]
";

/// Keys that no shipped runbook uses.
const RARE: &str = r#"
runbook: rare
title: Rare keys
replaces: [{ ids: [S3.1/2], why: it does harm }]
tier: 3
objectives: { rto: 4h, rpo: 24h, mttr: 2h }
estimate: 5m
params:
  endpoint: { type: choice, values: [we_1, we_2], default: we_1 }
detect:
  every: 1h
  failures: 1
  probes: 2
  checks:
    - id: undelivered
      covers: [S3.detect]
      target: stripe
      call:
        method: get
        path: "/v1/events?limit=100"
        headers: { accept: application/json }
        rows: { at: /data, columns: { id: /id }, only: { /type: charge } }
      expect:
        rows: { at_most: 0, at_least: 0, exactly: 0 }
        answer:
          status: [200]
          no_verdict: [401]
          latency_at_most: 2s
          json: [{ pointer: /ok, is: true, any_of: [true], at_most: 1, at_least: 0 }]
      evidence: true
      figure: "{id}"
      timeout: 5s
      within: 5s
steps:
  - id: resend
    title: Send again
    covers: [S3]
    do:
      http:
        target: stripe
        effect: idempotent
        risk: disruptive
        preview:
          target: stripe
          call: { path: /v1/events }
          identity: [id]
          tolerance: { rows: none }
        call: { method: post, path: "/v1/events/{id}/retry", form: { webhook_endpoint: "{endpoint}" }, json: { a: [1] }, each: true }
        undo: none
  - id: pack
    title: Pack
    either: way
    do:
      process:
        target: tools
        effect: once
        risk: destructive
        preview: { run: { pipe: [[ls, -l]], stdin: x }, identity: [line], tolerance: { rows: none } }
        run: { pipe: [[cat, x], [gzip, -c]] }
        affects: all
        expect: { exit: [0, 1] }
  - id: call
    title: Call
    do: { manual: { ask: Call., evidence: who, by_hand: no_api } }
after: [Think]
"#;

#[tokio::test]
async fn schema_and_loader_agree_about_rare_keys() {
    agree::<Runbook>(&Judge::of("runbook").await, "rare.yaml", RARE);
}

#[tokio::test]
async fn schema_and_loader_agree_about_the_configuration() {
    let judge = Judge::of("config").await;
    agree::<Config>(&judge, "drbot.example.yaml", include_str!("../../deploy/drbot.example.yaml"));
}

/// What cannot be derived: durations, and texts that stand for numbers.
#[tokio::test]
async fn hand_written_parts_agree_too() {
    let judge = Judge::of("runbook").await;
    let file = fs::read_to_string(commands().join("database-performance.yaml")).unwrap();
    let good = value(&file);
    let try_with = |at: &str, new: Value, right: bool| {
        let mut one = good.clone();
        *one.pointer_mut(at).unwrap() = new.clone();
        assert_eq!(judge.takes(&one).is_ok(), right, "the schema about {at} = {new}");
        assert_eq!(yaml::read::<Runbook>("x", &one.to_string()).is_ok(), right, "the loader about {at} = {new}");
    };
    for (text, right) in [
        ("0s", true),
        ("500ms", true),
        ("007d", true),
        ("5", false),
        ("5 m", false),
        ("-5m", false),
        ("5min", false),
        ("1.5h", false),
        ("", false),
        ("5m\n", false),
    ] {
        try_with("/estimate", json!(text), right);
    }
    for new in [json!(5), json!(true), json!("5m"), json!(1.5)] {
        try_with("/params/longer_than/default", new, true);
    }
    try_with("/params/longer_than/default", json!([]), false);
}

/// The fenced blocks of YAML in the guide.
fn examples() -> Vec<String> {
    let guide = include_str!("../../docs/authoring.md");
    guide.split("```").skip(1).step_by(2).filter_map(|b| b.strip_prefix("yaml\n")).map(str::to_owned).collect()
}

/// The guide for authors: its whole runbooks load, and its pieces stand in the runbook that it walks through.
#[tokio::test]
async fn the_examples_of_the_guide_are_right() {
    let shipped =
        ["database-performance.yaml", "backups.yaml"].map(|n| fs::read_to_string(commands().join(n)).unwrap());
    let shared = fs::read_to_string(commands().join("_shared.yaml")).unwrap();
    let judge = Judge::of("runbook").await;
    let (mut whole, mut pieces) = (0, 0);
    for text in examples() {
        if shipped.iter().any(|s| s.contains(&text)) {
            pieces += 1;
            continue;
        }
        assert!(text.starts_with("runbook:"), "this piece is not in the runbook:\n{text}");
        whole += 1;
        judge.takes(&value(&text)).unwrap();
        let name = text.lines().next().unwrap().trim_start_matches("runbook:").trim().to_owned();
        let files = [(format!("{name}.yaml"), text), (SHARED.to_owned(), shared.clone())].into();
        load(&files, &Site::default()).unwrap_or_else(|faults| panic!("{}", faults.join("\n")));
    }
    assert!(whole > 0 && pieces > 5, "{whole} whole ones, {pieces} pieces");
}
