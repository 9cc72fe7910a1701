//! `drbot test`: the recorded cases of the shipped runbooks hold, and a runbook, a record or an answer that was
//! changed is told with the first difference.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Folder, commands};

fn test(folder: &Path, more: &[&str]) -> (bool, String) {
    let run =
        Command::new(env!("CARGO_BIN_EXE_drbot")).args(["test", "--runbooks"]).arg(folder).args(more).output().unwrap();
    (run.status.success(), String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned())
}

#[test]
fn every_shipped_runbook_has_cases_that_hold() {
    let (good, said) = test(&commands(), &[]);
    assert!(good && said.contains("cases, 0 failed"), "{said}");
    // Runbooks that are still being written come with their own cases.
    let bare = said.lines().find(|l| l.starts_with("without a case: "));
    assert_eq!(bare, None, "{said}");
    let herrings = said.lines().filter(|l| l.contains("red herring: ") && l.ends_with(": ok")).count();
    assert!(herrings >= 5, "{said}");
    let (good, said) = test(&commands(), &["--only", "whatsapp-down"]);
    assert!(good && said.ends_with("3 cases, 0 failed\n") && !said.contains("data-corruption"), "{said}");
}

/// The shipped files with one change, and what is said about it.
fn changed(file: &str, from: &str, to: &str) -> (bool, String) {
    let folder = Folder::new();
    fs::create_dir(folder.0.join("tests")).unwrap();
    for part in ["", "tests"] {
        for entry in fs::read_dir(commands().join(part)).unwrap().flatten().filter(|e| e.path().is_file()) {
            fs::copy(entry.path(), folder.0.join(part).join(entry.file_name())).unwrap();
        }
    }
    let text = fs::read_to_string(folder.0.join(file)).unwrap();
    assert!(text.contains(from), "{file} has no {from}");
    fs::write(folder.0.join(file), text.replacen(from, to, 1)).unwrap();
    test(&folder.0, &[])
}

const RUNBOOK: &str = "database-performance.yaml";
const CASES: &str = "tests/database-performance.yaml";

#[test]
fn the_first_difference_is_told() {
    let cases: [(&str, &str, &str, &str); 12] = [
        // The runbook changed.
        (
            RUNBOOK,
            "column: statements, at_most: 0",
            "column: statements, at_most: 9",
            "the light is to be `RED` and is `green`",
        ),
        (RUNBOOK, "title: See who waits for whom", "title: See who waits for whom\n    on_fail: continue", ""),
        (RUNBOOK, "id: terminate-blockers", "id: end-blockers", "step `end-blockers`: no `preview` is recorded"),
        (RUNBOOK, "        risk: disruptive", "        risk: destructive", "the card does not say `needs 1 more`"),
        // The record changed.
        (CASES, "light: green", "light: amber", "the light is to be `amber` and is `green`"),
        (
            CASES,
            "light: could not check",
            "light: green",
            "is `could not check` (target main-db refused the connection; 12 of 100 connections in use, 3 active, 0 waiting for locks)",
        ),
        (
            CASES,
            "cancel-long-queries done, t",
            "cancel-long-queries failed, t",
            "path, place 2: `cancel-long-queries failed` is recorded, and it was `cancel-long-queries done`",
        ),
        (CASES, "ends: recovered", "ends: paused", "the end: `paused` is recorded, and it was `recovered`"),
        (
            CASES,
            "still: 0, approved: 1",
            "still: 1, approved: 1",
            "it was `cancel-long-queries failed` (1 of 1 approved statements still running)",
        ),
        (
            CASES,
            "\"needs 1 more\"",
            "\"needs 7 more\"",
            "step `cancel-long-queries`: the card does not say `needs 7 more`",
        ),
        (
            CASES,
            "light: green",
            "ligth: green",
            "database-performance.yaml: line 11 column 9: there is no key `ligth` here: did you mean `light`?",
        ),
        (CASES, "        look: {", "        lock: {", "step `look`: no `answer` is recorded"),
    ];
    for (file, from, to, told) in cases {
        let (good, said) = changed(file, from, to);
        assert_eq!(good, told.is_empty(), "{from} -> {to}: {said}");
        let lead = if to.starts_with("ligth") { "" } else { ": FAILED\n    " };
        assert!(
            told.is_empty() || said.contains(told) && said.contains(lead),
            "{from} -> {to} must say {told}:\n{said}"
        );
    }
}
