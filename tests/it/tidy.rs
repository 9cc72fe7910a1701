//! The structural law, read from the tree as text. Takes the working copy; fails with every place that
//! breaks a law. `proofs` shows for each law that it can fail.

mod laws;
mod proofs;
mod rust;

use std::fs;
use std::path::{Path, PathBuf};

use rust::Source;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the tree that is not made by a tool, by its path from the root.
fn tree() -> Vec<String> {
    let (root, mut found, mut left) = (root(), Vec::new(), vec![root()]);
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").map(|e| e.expect("an entry")) {
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.path().is_dir() {
                if !matches!(name.as_str(), "target" | ".git" | "results" | "node_modules") {
                    left.push(entry.path());
                }
            } else if !matches!(name.as_str(), "Cargo.lock" | ".git") {
                found.push(entry.path().strip_prefix(&root).expect("below").to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The Rust files below one of the folders.
fn sources(folders: &[&str]) -> Vec<Source> {
    let of = |p: &&String| p.ends_with(".rs") && folders.iter().any(|f| p.starts_with(f));
    let found: Vec<Source> = tree().iter().filter(of).map(|p| Source::new(p, &read(p))).collect();
    assert!(!found.is_empty(), "nothing to look at in {folders:?}");
    found
}

fn obeyed(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn no_module_needs_itself_by_way_of_another() {
    obeyed(&laws::cycles(&sources(&["src/"])));
}

#[test]
fn a_stage_knows_the_model_and_itself() {
    let found: Vec<String> = laws::sideways(&sources(&["src/"])).into_iter().collect();
    assert_eq!(found, [laws::SIDEWAYS], "the star rule has exactly one exception");
}

#[test]
fn pure_stages_neither_wait_nor_look_outside() {
    obeyed(&laws::impure(&sources(&["src/"])));
}

#[test]
fn at_most_two_traits() {
    let found = laws::traits(&sources(&["src/"]));
    assert!(found.len() <= 2, "{found:?}: a trait only where implementations really differ");
}

#[test]
fn functions_files_and_parameters_stay_small() {
    obeyed(&laws::sizes(&sources(&["src/", "tests/"])));
}

#[test]
fn nothing_is_unsafe_unfinished_or_silenced() {
    obeyed(&laws::banned(&sources(&["src/", "tests/"])));
}

#[test]
fn product_code_does_not_know_that_it_is_tested() {
    obeyed(&laws::test_forks(&sources(&["src/"])));
}

#[test]
fn every_module_says_what_it_takes_and_gives() {
    obeyed(&laws::silent(&sources(&["src/", "tests/"])));
}

#[test]
fn names_say_something() {
    obeyed(&laws::empty_names(&tree()));
}

#[test]
fn every_source_file_is_compiled() {
    obeyed(&laws::orphans(&sources(&["src/", "tests/it/"])));
}

#[test]
fn the_store_numbers_its_values_and_names_its_differences() {
    let files = sources(&["src/persist/"]);
    obeyed(&laws::statements(&files));
    let dialect = files.iter().find(|f| f.path.ends_with("/dialect.rs")).expect("the dialect");
    obeyed(&laws::differences(dialect));
}

#[test]
fn every_dependency_has_its_reason() {
    obeyed(&laws::unexplained(&read("Cargo.toml"), &read("docs/dependencies.md")));
}

#[test]
fn texts_do_not_say_where_they_were_made() {
    let text =
        |p: &String| fs::read(root().join(p)).ok().and_then(|b| String::from_utf8(b).ok()).map(|t| (p.clone(), t));
    obeyed(&laws::leaks(&tree().iter().filter_map(text).collect::<Vec<_>>()));
}

/// The two commands that the README promises first.
#[test]
fn the_readme_s_commands_are_there() {
    use std::os::unix::fs::PermissionsExt;
    let readme = read("README.md");
    for command in ["script/demo", "script/test"] {
        let at = readme.find(command).unwrap_or_else(|| panic!("the README does not name {command}"));
        assert!(readme[..at].lines().count() < 25, "{command} comes late in the README");
        let mode = fs::metadata(root().join(Path::new(command))).map(|m| m.permissions().mode());
        assert!(mode.is_ok_and(|m| m & 0o111 != 0), "{command} cannot be executed");
    }
}

#[test]
fn planted_faults_still_fit_the_tree() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let patches: Vec<_> =
        std::fs::read_dir(root.join("tests/planted")).expect("the folder").flatten().map(|f| f.path()).collect();
    assert!(patches.len() >= 5, "{patches:?}");
    for patch in patches {
        let fits = std::process::Command::new("git").args(["apply", "--check"]).arg(&patch).current_dir(root).output();
        let fits = fits.expect("git is needed: apt-get install git");
        assert!(fits.status.success(), "{}: {}", patch.display(), String::from_utf8_lossy(&fits.stderr));
    }
}
