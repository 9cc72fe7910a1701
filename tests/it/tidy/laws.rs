//! The laws. Each takes files and gives what breaks it, one line each; an empty list is obedience.

use std::collections::{BTreeMap, BTreeSet};

use super::rust::{Source, has, paths};

/// The stages of the data path. Each knows `model` and itself.
const STAGES: [&str; 7] = ["verify", "parse", "decide", "redact", "persist", "execute", "post"];
/// What may know stages. `config`, `clock`, `telemetry` and `practice` belong to it as well.
const SHELL: [&str; 12] =
    ["main", "lib", "cli", "app", "engine", "worker", "webhook", "practice", "telemetry", "config", "clock", "web"];
/// Where nothing waits, asks or looks at a clock.
const PURE: [&str; 5] = ["model", "verify", "parse", "decide", "redact"];
/// The only way from one stage into another.
pub const SIDEWAYS: &str = "parse -> verify::Verified";

/// Groups of top-level modules that need each other, directly or by way of others.
pub fn cycles(files: &[Source]) -> Vec<String> {
    let mut to: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files {
        let from = file.top();
        let named = file.crate_paths().into_iter().filter_map(|p| p.into_iter().next());
        to.entry(from.clone()).or_default().extend(named.filter(|t| *t != from));
    }
    let reach = |from: &str| {
        let (mut seen, mut left) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(at) = left.pop() {
            for next in to.get(&at).into_iter().flatten() {
                if seen.insert(next.clone()) {
                    left.push(next.clone());
                }
            }
        }
        seen
    };
    let all: BTreeMap<&String, BTreeSet<String>> = to.keys().map(|m| (m, reach(m))).collect();
    let knots = all.iter().filter(|(m, r)| r.contains(**m)).map(|(m, r)| {
        let with: Vec<_> = r.iter().filter(|o| all.get(o).is_some_and(|back| back.contains(*m))).cloned().collect();
        with.join(" <-> ")
    });
    knots.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Every import of a stage or of `model` that leads out of it, and modules that are neither.
pub fn sideways(files: &[Source]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in files {
        let from = file.top();
        if SHELL.contains(&from.as_str()) {
            continue;
        }
        if from != "model" && !STAGES.contains(&from.as_str()) {
            found.insert(format!("{from} is neither model, stage nor shell"));
        }
        let away = |p: &Vec<String>| p[0] != from && (p[0] != "model" || from == "model");
        found.extend(file.crate_paths().iter().filter(|p| away(p)).map(|p| format!("{from} -> {}", p.join("::"))));
    }
    found
}

/// Waiting, the outside and the clock, named in a pure stage.
pub fn impure(files: &[Source]) -> Vec<String> {
    const WORDS: [&str; 10] =
        ["async", "await", "sqlx", "reqwest", "axum", "tokio", "SystemTime", "Instant", "getrandom", "tracing"];
    const OUTSIDE: [&str; 6] = ["fs", "net", "process", "env", "thread", "io"];
    let mut found = Vec::new();
    for file in files.iter().filter(|f| PURE.contains(&f.top().as_str())) {
        let code = file.product();
        found.extend(WORDS.iter().filter(|w| has(&code, w)).map(|w| format!("{}: `{w}`", file.path)));
        let std = paths(&code, "std");
        let outside = std.iter().filter(|p| OUTSIDE.contains(&p[0].as_str()));
        found.extend(outside.map(|p| format!("{}: `std::{}`", file.path, p.join("::"))));
    }
    found
}

/// The traits defined, as `file: name`.
pub fn traits(files: &[Source]) -> Vec<String> {
    let words = |f: &Source| f.code.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let named = files.iter().flat_map(|f| {
        let words = words(f);
        let found: Vec<_> = words.windows(2).filter(|w| w[0] == "trait").map(|w| w[1].clone()).collect();
        found.into_iter().map(|name| format!("{}: {name}", f.path))
    });
    named.collect()
}

/// Functions and files that are too long, and functions that take too much.
pub fn sizes(files: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        let lines = file.text.lines().count();
        if lines > 500 {
            found.push(format!("{}: {lines} lines, at most 500", file.path));
        }
        for f in file.functions() {
            let most = if file.path == "src/decide/mod.rs" && f.name == "decide" { 7 } else { 5 };
            if f.lines > 70 {
                found.push(format!("{}: `{}` has {} lines, at most 70", file.path, f.name, f.lines));
            }
            if f.parameters > most {
                found.push(format!("{}: `{}` takes {} parameters, at most {most}", file.path, f.name, f.parameters));
            }
        }
    }
    found
}

/// Words and attributes that no file may hold.
pub fn banned(files: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        let words = ["unsafe", "todo", "unimplemented", "dbg"].into_iter();
        let calls =
            words.filter(|w| if *w == "unsafe" { has(&file.code, w) } else { file.code.contains(&format!("{w}!(")) });
        found.extend(calls.map(|w| format!("{}: `{w}`", file.path)));
        for (code, text) in file.attributes() {
            if code.contains("allow(") && has(code, "allow") {
                found.push(format!("{}: {text}: use #[expect] with a reason", file.path));
            }
            let reasoned = text.split("reason = \"").nth(1).is_some_and(|r| !r.starts_with('"'));
            if code.contains("expect(") && has(code, "expect") && !reasoned {
                found.push(format!("{}: {text}: give the reason", file.path));
            }
        }
    }
    found
}

/// Product code that asks whether it is being tested.
pub fn test_forks(files: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        for (at, word) in file.code.match_indices("cfg") {
            let rest = &file.code[at + word.len()..];
            let rest = rest.strip_prefix("_attr").unwrap_or(rest);
            let rest = rest.strip_prefix('!').unwrap_or(rest);
            let condition = rest.strip_prefix('(').and_then(|r| r.split(']').next()).unwrap_or_default();
            let module = rest.strip_prefix("(test)]").is_some_and(|r| r.trim_start().starts_with("mod tests"));
            if has(condition.split('\n').next().unwrap_or_default(), "test") && !module {
                let line = file.code[..at].matches('\n').count() + 1;
                found.push(format!("{}:{line}: only `#[cfg(test)] mod tests` may ask for tests", file.path));
            }
        }
    }
    found
}

/// Files that do not say at once what they are.
pub fn silent(files: &[Source]) -> Vec<String> {
    let says = |f: &&Source| f.text.lines().next().is_some_and(|l| l.starts_with("//! ") && l.len() > 12);
    files
        .iter()
        .filter(|f| !says(f))
        .map(|f| format!("{}: begin with `//!`: what it takes and gives", f.path))
        .collect()
}

/// Names that say nothing.
pub fn empty_names(paths: &[String]) -> Vec<String> {
    const NAMES: [&str; 8] = ["utils", "util", "common", "helpers", "helper", "services", "types", "misc"];
    let bad = |p: &&String| p.split('/').any(|part| NAMES.contains(&part.split('.').next().unwrap_or_default()));
    paths.iter().filter(bad).cloned().collect()
}

/// Files that no other file declares with `mod`, and that are therefore never compiled.
pub fn orphans(files: &[Source]) -> Vec<String> {
    let declared = |file: &Source| {
        let stem = file.path.trim_end_matches(".rs").trim_end_matches("/mod");
        let Some((folder, name)) = stem.rsplit_once('/') else { return true };
        if matches!(name, "lib" | "main") {
            return true;
        }
        let parents = ["/lib.rs", "/main.rs", "/mod.rs", ".rs"].map(|end| format!("{folder}{end}"));
        let line = format!("mod {name};");
        files.iter().filter(|f| parents.contains(&f.path)).any(|f| f.code.contains(&line))
    };
    files.iter().filter(|f| !declared(f)).map(|f| f.path.clone()).collect()
}

/// Statements of the store that are put together, use `?`, or leave a number out.
pub fn statements(files: &[Source]) -> Vec<String> {
    const VERBS: [&str; 4] = ["SELECT ", "INSERT ", "UPDATE ", "DELETE "];
    let mut found = Vec::new();
    for file in files.iter().filter(|f| f.top() == "persist") {
        for sql in file.strings.iter().filter(|s| VERBS.iter().any(|v| s.starts_with(v))) {
            let bare = sql.replace("{rows}", "$1").replace("{skip}", "");
            let numbers: BTreeSet<u32> = bare.split('$').skip(1).filter_map(number).collect();
            let gap = numbers.iter().zip(1..).any(|(have, want)| *have != want);
            let fault = match () {
                () if bare.contains('?') => "uses `?`: number it, `$1`",
                () if bare.contains('{') => "has a hole that is neither {rows} nor {skip}",
                () if gap => "leaves out a number",
                () => continue,
            };
            found.push(format!("{}: `{sql}` {fault}", file.path));
        }
    }
    found
}

fn number(text: &str) -> Option<u32> {
    text[..text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len()].parse().ok()
}

/// Differences between the two stores: more than six, or one that has no name.
pub fn differences(dialect: &Source) -> Vec<String> {
    let named = dialect.text.matches("/// Difference ").count();
    let made = dialect.functions().iter().filter(|f| f.name != "of").count();
    let mut found = Vec::new();
    if named > 6 {
        found.push(format!("{named} differences, at most 6"));
    }
    if named != made {
        found.push(format!("{made} functions that differ and {named} named differences"));
    }
    found
}

/// The direct dependencies that a manifest names, for the program and for tests.
pub fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut inside = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            inside = section.ends_with("dependencies");
            found.extend(section.split_once("dependencies.").map(|(_, name)| name.to_owned()));
        } else if let Some((name, _)) = line.split_once('=').filter(|_| inside && !line.starts_with('#')) {
            found.insert(name.trim().trim_matches('"').to_owned());
        }
    }
    found
}

/// Dependencies without their line, and lines without their dependency. A line is "| `name` | … |".
pub fn unexplained(manifest: &str, page: &str) -> Vec<String> {
    let have = dependencies(manifest);
    let rows = page.lines().filter_map(|l| l.strip_prefix("| `"));
    let said: BTreeMap<&str, usize> =
        rows.filter_map(|l| l.split_once("` |")).map(|(n, why)| (n, why.split_whitespace().count())).collect();
    let mut found: Vec<String> = Vec::new();
    if have.len() > 36 {
        found.push(format!("{} direct dependencies, at most 36", have.len()));
    }
    let missing = have.iter().filter(|n| said.get(n.as_str()).is_none_or(|words| *words < 4));
    found.extend(missing.map(|n| format!("`{n}` has no line that says why")));
    found.extend(said.keys().filter(|n| !have.contains(**n)).map(|n| format!("`{n}` is no dependency any more")));
    found
}

/// Texts that say where this was built instead of what it is.
pub fn leaks(files: &[(String, String)]) -> Vec<String> {
    // In two parts each, so that this file does not break its own law.
    let words: Vec<String> = [
        ("/wo", "rk/"),
        ("/ro", "ot/"),
        ("/tmp/", "bash_jobs"),
        ("/tmp/", "wd"),
        ("crates", ".io"),
        ("npmjs", ".org"),
        ("npmjs", ".com"),
        ("pypi", ".org"),
        ("pythonhosted", ".org"),
        ("golang", ".org"),
        ("rubygems", ".org"),
    ]
    .map(|(a, b)| format!("{a}{b}"))
    .into();
    let mut found = Vec::new();
    for (path, text) in files {
        for (n, line) in text.lines().enumerate() {
            let hit = words.iter().find(|w| line.contains(w.as_str()));
            found.extend(hit.map(|w| format!("{path}:{}: `{w}`", n + 1)));
        }
    }
    found
}
