//! `drbot coverage`: every line of the team's page is answered, and each way of claiming too much is told with
//! its place.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Folder, commands};

fn run(args: &[&str]) -> (bool, String) {
    let run = Command::new(env!("CARGO_BIN_EXE_drbot"))
        .arg("coverage")
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    (run.status.success(), String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned())
}

#[test]
fn every_line_of_the_page_is_answered() {
    let (good, said) = run(&["--check"]);
    assert!(good, "{said}");
    // A needless allowance is told as well.
    let (good, said) = run(&["--check", "--allow-missing", "S4.1"]);
    assert!(!good && said.contains("--allow-missing S4.1: nothing of it is missing"), "{said}");
}

/// A page, a runbook, the shared file and the table that belongs to them.
struct Desk(Folder);

const PAGE: &str = "## Disaster Scenario #1: Stuck\n\n**Detection:**\n```\nlook\n```\n\n**STEP 1: End it**\n- scan the code\n- restart\n\n## Post-Disaster Checklist\n- [ ] Think\n";
const SHARED: &str = "objectives: { rto: 4h, rpo: 24h, mttr: 2h }\nscenarios: []\ncontacts: [{ role: us, reach: here }]\nchecklist:\n  - { task: Think, owner: us, due: 1d, covers: [checklist] }\n";
const RUNBOOK: &str = r#"runbook: stuck
title: Stuck
tier: 1
objectives: { rto: 4h, rpo: 24h, mttr: 2h }
estimate: 1h
covers: [S1]
detect:
  every: 1m
  failures: 1
  checks:
    - { id: seen, covers: [S1.detect], target: db, sql: select 1 as n, expect: { value: { column: n, at_most: 1 } }, figure: "{n}" }
steps:
  - id: scan
    title: Scan
    covers: [S1.1/2]
    do:
      manual: { ask: Scan., evidence: when, by_hand: qr_scan }
  - id: wait
    title: Wait
    covers: [S1.1/3]
    do: { wait: { for: 5s } }
verify:
  - { id: calm, target: db, sql: select 1 as n, expect: { value: { column: n, at_most: 1 } }, figure: "{n}" }
"#;

impl Desk {
    fn new() -> Desk {
        let desk = Desk(Folder::new());
        desk.put("page.md", PAGE);
        desk.put("_shared.yaml", SHARED);
        desk.put("stuck.yaml", RUNBOOK);
        let (good, said) = desk.run(&[]);
        assert!(good, "{said}");
        desk
    }

    fn path(&self, name: &str) -> String {
        self.0.0.join(name).display().to_string()
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(Path::new(&self.path(name)), text).unwrap();
    }

    fn run(&self, more: &[&str]) -> (bool, String) {
        let (page, table) = (self.path("page.md"), self.path("table.md"));
        let folder = self.0.0.display().to_string();
        run(&[&["--runbooks", &folder, "--page", &page, "--table", &table], more].concat())
    }
}

/// One claim changed, the table written anew where that is possible, and what the check says.
#[test]
fn each_way_of_claiming_too_much_is_told() {
    let cases: [(&str, &str, &[&str]); 8] = [
        ("covers: [S1.1/3]", "covers: [S1.1/4]", &["stuck.yaml: line 20 column 14: `S1.1/4`", "lines 1 to 3"]),
        ("covers: [S1.detect]", "covers: [S1.detekt]", &["line 11 column 28", "did you mean `S1.detect`"]),
        ("covers: [S1.1/3]", "covers: []", &["page.md: line 10: nobody claims `S1.1/3` (- restart)"]),
        ("covers: [S1.1/3]", "covers: [S1.1/2-3]", &["line 9: `S1.1/2` would count as automated by stuck: wait"]),
        (", by_hand: qr_scan", "", &["stuck.yaml: line 15 column 14: `S1.1/2` is done by hand", "`by_hand: qr_scan`"]),
        ("covers: [S1]", "covers: [S1, S1.1]", &["stuck.yaml: line 6 column 14: `S1.1` is work"]),
        ("covers: [S1]", "covers: []", &["page.md: line 1: nobody claims `S1/1`"]),
        ("title: Scan", "title: Look", &[]),
    ];
    let desk = Desk::new();
    assert!(desk.run(&["--check"]).0, "{}", desk.run(&["--check"]).1);
    for (from, to, parts) in cases {
        assert!(RUNBOOK.contains(from), "{from}");
        desk.put("stuck.yaml", &RUNBOOK.replacen(from, to, 1));
        let (good, said) = desk.run(&["--check"]);
        assert_eq!(good, parts.is_empty(), "{from} -> {to}: {said}");
        assert!(parts.iter().all(|p| said.contains(p)), "{from} -> {to} must say {parts:?}:\n{said}");
    }
}

/// The table is held against the files, and the shared file against its own names.
#[test]
fn a_stale_table_and_names_that_lead_nowhere_are_told() {
    let desk = Desk::new();
    let table = fs::read_to_string(desk.path("table.md")).unwrap();
    assert!(table.contains("| S1.1/1-2 | STEP 1: End it … | manual: QR scan | stuck: scan |"), "{table}");
    assert!(table.contains("| S1.detect/1-3 | Detection: … | automated | stuck: detect seen |"), "{table}");
    desk.put("table.md", &table.replace("stuck: scan", "stuck: skan"));
    let (good, said) = desk.run(&["--check"]);
    assert!(!good && said.contains("stale: run `drbot coverage`") && said.contains("table.md: line "), "{said}");
    let cases = [
        (
            "owner: us",
            "owner: uss",
            "_shared.yaml: line 5 column 27: nobody under `contacts` has the role `uss`: did you mean `us`?",
        ),
        (
            "scenarios: []",
            "scenarios: []\nservices: [{ name: Mail, tier: 2 }]",
            "line 3 column 20: `Mail` needs either `probes`",
        ),
        (
            "scenarios: []",
            "scenarios: []\nservices: [{ name: Mail, tier: 2, probes: [stuck/sean] }]",
            "has no check `sean`: it has seen",
        ),
        (
            "scenarios: []",
            "scenarios: []\nservices: [{ name: Mail, tier: 2, probes: [stuk] }]",
            "column 44: there is no runbook `stuk`",
        ),
        (
            "scenarios: []",
            "scenarios: []\nschedules: [{ id: sweep, what: Sweep, every: 1d }]",
            "`Sweep` is done by nobody",
        ),
        (
            "scenarios: []",
            "scenarios: []\nescalation: [{ level: 1, title: a }, { level: 3, title: b }]",
            "level 3 must follow level 1",
        ),
    ];
    for (from, to, told) in cases {
        desk.put("_shared.yaml", &SHARED.replacen(from, to, 1));
        let (good, said) = desk.run(&["--check"]);
        assert!(!good && said.contains(told), "{to} must say {told}:\n{said}");
    }
}

/// The copy in the repository is the page, unchanged: its lines are what the ids count.
#[test]
fn the_shipped_files_are_where_the_check_looks() {
    assert!(commands().join("_shared.yaml").is_file());
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/runbook-page.md")).unwrap();
    assert_eq!(page.matches("\n## Disaster Scenario #").count(), 9);
    assert_eq!(page.lines().count(), 1027);
}
