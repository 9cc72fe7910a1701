//! Drafts from a page: they load, hold what the page says, and are never shown as healthy.

use std::fs;
use std::process::Command;

use drbot::app::load_catalog;
use drbot::model::runbook::Work;
use drbot::parse::catalog::Site;

use crate::support::Folder;

fn import(page: &str, into: &std::path::Path) -> (bool, String) {
    let out =
        Command::new(env!("CARGO_BIN_EXE_drbot")).args(["import", page, "--into"]).arg(into).output().expect("run");
    let said = [out.stdout, out.stderr].map(|b| String::from_utf8_lossy(&b).into_owned()).concat();
    (out.status.success(), said)
}

#[test]
fn nine_drafts_load_and_hold_the_page() {
    let folder = Folder::new();
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/runbook-page.md");
    let into = folder.0.join("drafts");
    let (ok, said) = import(page, &into);
    assert!(ok && said.contains("9 drafts"), "{said}");
    let drafts = load_catalog(&into, &Site::default()).unwrap_or_else(|f| panic!("{}", f.join("\n")));
    assert_eq!((drafts.runbooks.len(), drafts.shared.scenarios.len()), (9, 9));
    assert_eq!(drafts.shared.objectives.rto.human(), "4 h");

    let text = fs::read_to_string(page).expect("the page");
    let steps = text.lines().filter(|l| l.starts_with("**STEP ")).count();
    assert!(steps > 30, "{steps}");
    assert_eq!(drafts.runbooks.values().map(|l| l.runbook.steps.len()).sum::<usize>(), steps);
    let down = &drafts.runbooks["database-unavailable"].runbook;
    assert_eq!((down.title.as_str(), down.estimate.human().as_str()), ("Database Unavailable", "2 h"));
    assert_eq!((down.symptoms.len(), down.causes.len(), down.after.len()), (3, 4, 4));
    let ids: Vec<&str> = down.steps.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(ids[..3], ["assess-impact", "attempt-quick-fix", "restore-from-backup"]);
    let Work::Manual(restore) = &down.steps[2].work else { panic!("people do it") };
    assert!(restore.ask.contains("3a. Create New Supabase Project") && restore.ask.contains("gpg"), "{}", restore.ask);
    assert_eq!(down.steps[2].budget.human(), "1 h 30 min");

    // An installation has no target of that name: the scenario is said to be not configured.
    let site = Site { configured: true, ..Site::default() };
    let here = load_catalog(&into, &site).expect("it loads with a configuration too");
    assert!(here.runbooks.values().all(|l| l.unusable.as_ref().is_some_and(|w| w.contains("not-written"))));

    let before = fs::read_to_string(into.join("database-unavailable.yaml")).expect("a draft");
    let (ok, said) = import(page, &into);
    assert!(!ok && said.contains("is there already and nothing was written"), "{said}");
    assert_eq!(fs::read_to_string(into.join("database-unavailable.yaml")).expect("a draft"), before);
}

#[test]
fn a_page_is_taken_as_it_is_or_refused_with_what_it_needs() {
    let folder = Folder::new();
    let page = folder.0.join("page.md");
    fs::write(&page, "# Notes\n\nCall Bob.\n").expect("written");
    let (ok, said) = import(&page.display().to_string(), &folder.0.join("none"));
    assert!(!ok && said.contains("## Disaster Scenario #1: Title") && !folder.0.join("none").exists(), "{said}");

    // Whatever stands in it stays text.
    let odd = "## Disaster Scenario #1: A \"quoted\": {title} #1\n**Symptoms:**\n- 'a': [b] \\ {c}\n**STEP 1: Do *it*: now (1 day)**\n```\n  indented: &x\n- *x\n```\n**STEP 2: Do it**\n**STEP 3: Do it**\n";
    fs::write(&page, odd).expect("written");
    let (ok, said) = import(&page.display().to_string(), &folder.0.join("odd"));
    assert!(ok, "{said}");
    let drafts = load_catalog(&folder.0.join("odd"), &Site::default()).unwrap_or_else(|f| panic!("{}", f.join("\n")));
    let (_, loaded) = drafts.runbooks.first_key_value().expect("one");
    assert_eq!(loaded.runbook.symptoms, ["'a': [b] \\ {c}"]);
    let Work::Manual(first) = &loaded.runbook.steps[0].work else { panic!("people do it") };
    assert_eq!(first.ask, "  indented: &x\n- *x");
    assert_eq!(loaded.runbook.steps[0].budget.human(), "24 h");
    assert_ne!(loaded.runbook.steps[1].id, loaded.runbook.steps[2].id);
}
