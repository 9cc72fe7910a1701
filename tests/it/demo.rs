//! The demonstration, as a person would start it: the plain story holds, and every sabotage ends in its
//! own way. Takes the program; believes its exit code and what it printed.

use std::process::Output;

use tokio::process::Command;

use crate::support::Folder;

/// Plays in a folder of its own for temporary files, which must be empty afterwards.
async fn demo(arguments: &[&str]) -> (Option<i32>, String) {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    std::fs::set_permissions(&folder.0, std::fs::Permissions::from_mode(0o711)).unwrap();
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_drbot"))
        .args(["demo", "--script", "--runbooks"])
        .arg(crate::support::commands())
        .args(arguments)
        .env("TMPDIR", &folder.0)
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let left: Vec<_> = std::fs::read_dir(&folder.0).unwrap().flatten().map(|e| e.path()).collect();
    assert_eq!(left, Vec::<std::path::PathBuf>::new(), "the demo left something behind");
    let text = String::from_utf8(stdout).unwrap();
    (status.code(), format!("{text}{}", String::from_utf8_lossy(&stderr)))
}

fn holds(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.contains(line), "missing: {line}\n{text}");
    }
}

#[tokio::test]
async fn the_story_holds() {
    let (code, text) = demo(&[]).await;
    assert_eq!(code, Some(0), "{text}");
    holds(
        &text,
        &[
            "in\nproduction the runbook says 5m",
            "ok    a repeat gets the stored answer",
            "ok    exactly one incident is open",
            "ok    by the database's log the refused click ran nothing",
            "ok    by the database's log drbot_operator ran pg_cancel_backend exactly once",
            "ok    by the database's log drbot_operator ran pg_terminate_backend exactly once",
            "ok    what ran is, byte for byte, what the card showed",
            "ok    the rows bound to it are exactly the rows the card showed",
            "ok    no buttons are left",
            " passed, 0 failed, in ",
        ],
    );
    assert!(!text.contains("FAIL"), "{text}");
}

#[tokio::test]
async fn a_lost_stored_answer_fails_a_claim() {
    let (code, text) = demo(&["--sabotage", "dedupe"]).await;
    assert_eq!(code, Some(1), "{text}");
    holds(
        &text,
        &[
            "Sabotage: dedupe.",
            "FAIL  a repeat gets the stored answer",
            "INC-1 is already open for this scenario",
            "ok    the sabotage is noticed",
            " passed, 1 failed, in ",
        ],
    );
}

#[tokio::test]
async fn a_changed_statement_is_refused() {
    let (code, text) = demo(&["--sabotage", "statement"]).await;
    assert_eq!(code, Some(0), "{text}");
    holds(
        &text,
        &[
            "Sabotage: statement.",
            "ok    the sabotage is done: the stored statement was changed",
            "ok    by the database's log nothing ran",
            "refused as demanded: what would run is not what was approved; nothing ran.",
            " passed, 0 failed, in ",
        ],
    );
}

#[tokio::test]
async fn a_stopped_database_leaves_nothing_unknown() {
    let (code, text) = demo(&["--sabotage", "database"]).await;
    assert_eq!(code, Some(0), "{text}");
    holds(
        &text,
        &[
            "Sabotage: database.",
            "could not connect to main-db",
            "ok    nothing is unknown",
            "ok    the status says that it could not check",
            "refused as demanded: the step was not done",
            " passed, 0 failed, in ",
        ],
    );
}
