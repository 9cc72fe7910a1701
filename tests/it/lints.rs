//! What `drbot check` says about statements and plans: each on a small bad file with its exact line and column,
//! and nothing about the files that are shipped.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use drbot::parse::catalog::{SHARED, Site, TargetKind, load, warnings};

use crate::support::{Folder, commands};

/// A runbook without a fault or a warning; every case changes one place in it.
const GOOD: &str = r#"runbook: small
title: Small
tier: 1
objectives: { rto: 4h, rpo: 24h, mttr: 2h }
estimate: 10m
detect:
  every: 1m
  failures: 1
  checks:
    - id: seen
      target: db
      sql: |
        select count(*) as n
        from work
      expect: { value: { column: n, at_most: 0 } }
      figure: "{n} seen"
steps:
  - id: act
    title: Act
    budget: 6m
    do:
      sql:
        target: db
        effect: atomic
        risk: destructive
        preview:
          sql: select id from work
          identity: [id]
          tolerance: { rows: none }
        sql: |
          with ok as (
            select * from jsonb_to_recordset(:approved::jsonb) as x(id bigint)),
          gone as (
            delete from work w using ok where ok.id = w.id returning w.id)
          select count(*) as n from gone
        verify:
          - { id: less, target: db, sql: select 0 as n, expect: { value: { column: n, at_most: 0 } }, figure: "{n}" }
        undo: none, they are gone
  - id: look
    title: Look
    budget: 4m
    do: { sql: { target: db, effect: observe, risk: safe, sql: select 1 as n } }
verify:
  - { id: calm, target: db, sql: select 0 as n, expect: { value: { column: n, at_most: 0 } }, figure: "{n}" }
"#;

const SHARED_GOOD: &str = "objectives: { rto: 4h, rpo: 24h, mttr: 2h }\nscenarios: []\n";

fn files(text: &str) -> BTreeMap<String, String> {
    [("small.yaml", text), (SHARED, SHARED_GOOD)].map(|(n, t)| (n.to_owned(), t.to_owned())).into()
}

/// Everything that is said about a text: faults, or the warnings of a file that loads.
fn said(text: &str, site: &Site) -> Vec<String> {
    match load(&files(text), site) {
        Err(faults) => faults,
        Ok(catalog) => warnings(&files(text), &catalog, site).into_iter().map(|w| format!("warning: {w}")).collect(),
    }
}

/// What is replaced by what; and how the only thing that is said begins, and what else it says.
const CASES: [(&str, &str, &str, &str); 17] = [
    (
        "select count(*) as n\n        from work\n",
        "delete from work\n",
        "small.yaml: line 13 column 9: ",
        "`seen` only reads, and its statement says delete",
    ),
    (
        "        from work\n",
        "        from (select 1) a, work\n        for update\n",
        "small.yaml: line 13 column 9: ",
        "says for update, which locks rows",
    ),
    (
        "select count(*) as n\n",
        "with x as (update work set a = 1\n          where b returning 1) select count(*) as n\n",
        "small.yaml: line 13 column 20: ",
        "says update",
    ),
    (
        "select count(*) as n\n",
        "select 1 as n, pg_terminate_backend(3)\n",
        "small.yaml: line 13 column 24: ",
        "`pg_terminate_backend`, which acts",
    ),
    (
        "select 1 as n }",
        "truncate work }",
        "small.yaml: line 42 column 64: ",
        "`look` only reads, and its statement says truncate",
    ),
    (
        "select 1 as n }",
        "explain analyze select 1 }",
        "small.yaml: line 42 column 64: ",
        "explain analyze, which runs it",
    ),
    (
        "sql: select id from work",
        "sql: insert into work values (1) returning id",
        "small.yaml: line 27 column 16: ",
        "says insert",
    ),
    (" where ok.id = w.id", "", "small.yaml: line 34 column 13: ", "has `delete` without `where`"),
    (
        " using ok where ok.id = w.id",
        " where w.id > 4",
        "small.yaml: line 34 column 13: ",
        "`delete` that is not joined to `:approved`",
    ),
    (
        "          select count(*) as n from gone\n",
        "          , more as (update work set a = 1 returning 1)\n          select count(*) as n from gone\n",
        "small.yaml: line 35 column 22: ",
        "has `update` without `where`: name the rows, or say `affects: all`",
    ),
    (
        "        from work\n",
        "        from work where )\n",
        "warning: small.yaml: line 14 column 25: ",
        "statement of `seen` could not be read here, so nobody checked what it writes",
    ),
    (
        "budget: 6m",
        "budget: 7m",
        "warning: small.yaml: line 5 column 1: ",
        "add up to 11m, more than the estimate of 10m",
    ),
    (
        "        risk: destructive\n",
        "        risk: destructive\n        affects: everything\n",
        "small.yaml: line 26 column 18: ",
        "no word `everything`",
    ),
    ("rows: none }", "rows: fewer }", "", ""),
    ("risk: destructive", "risk: safe", "small.yaml: line 18 column 5: ", "must say `risk: disruptive`"),
    ("        undo: none, they are gone\n", "", "small.yaml: line 18 column 5: ", "say how it is undone"),
    (
        "as n from gone",
        "as n from gone where a > :older",
        "small.yaml: line 35 column 52: ",
        "`:older` in `act` is no parameter",
    ),
];

#[test]
fn each_lint_names_the_very_place() {
    assert_eq!(said(GOOD, &Site::default()), Vec::<String>::new());
    let mut wrong = Vec::new();
    for (from, to, begins, tells) in CASES {
        assert!(GOOD.contains(from), "the good file has no {from}");
        let all = said(&GOOD.replacen(from, to, 1), &Site::default());
        let good = match all.as_slice() {
            [] => begins.is_empty(),
            [one] => one.starts_with(begins) && !begins.is_empty() && one.contains(tells) && marked(one),
            _ => false,
        };
        if !good {
            wrong.push(format!("{from:?} -> {to:?} must say {begins}… {tells}\n{}\n", all.join("\n")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The line is shown with a mark below the column that is named.
fn marked(told: &str) -> bool {
    let column: usize = told.split(" column ").nth(1).and_then(|c| c.split(':').next()?.parse().ok()).unwrap_or(0);
    let mark = told.lines().last().and_then(|l| l.find('^'));
    mark == Some(4 + column - 1)
}

/// Steps of which only one finds work count once; a statement that means every row says so, and then exactly the
/// rows that were seen must still be there.
#[test]
fn what_is_meant_can_be_said() {
    let two =
        GOOD.replace("budget: 6m", "either: way\n    budget: 8m").replace("budget: 4m", "either: way\n    budget: 9m");
    assert_eq!(said(&two, &Site::default()), Vec::<String>::new());
    let all = GOOD.replace(" using ok where ok.id = w.id", "");
    let meant = all.replace("risk: destructive\n", "risk: destructive\n        affects: all\n");
    assert_eq!(said(&all, &Site::default()).len(), 1);
    assert_eq!(said(&meant, &Site::default()), Vec::<String>::new());
    let loose = said(&meant.replace("rows: none", "rows: fewer"), &Site::default());
    assert!(loose.len() == 1 && loose[0].contains("have `tolerance: { rows: none }`"), "{loose:?}");
}

/// With a configuration, what this installation lacks is told where the file names it.
#[test]
fn what_the_installation_lacks_is_told_where_it_is_named() {
    let site = |targets: &[(&str, TargetKind)]| Site {
        targets: targets.iter().map(|(n, k)| ((*n).to_owned(), k.clone())).collect(),
        configured: true,
        ..Site::default()
    };
    assert_eq!(said(GOOD, &site(&[("db", TargetKind::Sql { operator: true })])), Vec::<String>::new());
    let none = said(GOOD, &site(&[]));
    assert!(
        none[0].starts_with("warning: small.yaml: line 11 column 7: cannot run here: target `db` is not"),
        "{none:?}"
    );
    let reader = said(GOOD, &site(&[("db", TargetKind::Sql { operator: false })]));
    assert!(reader[0].contains("no operator role") && marked(&reader[0]), "{reader:?}");
}

/// A list needs a store, one way to read it, and a target that says so.
#[test]
fn a_listing_is_asked_of_an_object_store_and_read_one_way() {
    let with = |call: &str, site: &Site| {
        let check = format!(
            "    - id: listed\n      target: files\n      call: {call}\n      expect: {{ rows: {{ at_least: 1 }} }}\n      figure: x\nsteps:"
        );
        said(&GOOD.replacen("steps:", &check, 1), site)
    };
    let listed = "{ path: /, list: {}, backups: { within_hours: 24 } }";
    assert_eq!(with(listed, &Site::default()), Vec::<String>::new());
    let wrong = [
        ("{ path: /, list: {} }", "say what becomes of the list"),
        ("{ path: /, method: head, list: {}, backups: { within_hours: 24 } }", "`list` uses get"),
        ("{ path: /, backups: { within_hours: 24 }, rows: { columns: { a: /a } } }", "leave out `rows`"),
    ];
    for (call, what) in wrong {
        let said = with(call, &Site::default());
        assert!(said.len() == 1 && said[0].contains(what) && marked(&said[0]), "{call}: {said:?}");
    }
    let site = |store| Site {
        targets: [("db".into(), TargetKind::Sql { operator: true }), ("files".into(), TargetKind::Http { store })]
            .into(),
        configured: true,
        ..Site::default()
    };
    assert_eq!(with(listed, &site(true)), Vec::<String>::new());
    assert!(with(listed, &site(false))[0].contains("target `files` is no object store"));
}

#[test]
fn the_shipped_runbooks_are_silent_and_warnings_are_printed() {
    let check = |folder: &std::path::Path| {
        let run = Command::new(env!("CARGO_BIN_EXE_drbot")).args(["check", "--runbooks"]).arg(folder).output().unwrap();
        (run.status.success(), String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned())
    };
    let (good, said) = check(&commands());
    assert!(good && !said.contains("warning") && said.contains("data-corruption: ok"), "{said}");
    let folder = Folder::new();
    fs::write(folder.0.join(SHARED), SHARED_GOOD).unwrap();
    fs::write(folder.0.join("small.yaml"), GOOD.replace("estimate: 10m", "estimate: 9m")).unwrap();
    let (good, said) = check(&folder.0);
    assert!(good && said.starts_with("warning: small.yaml: line 5 column 1: "), "{said}");
}

const BACK: &str = "        undo:
          title: Back
          by_itself:
            when: it is calm
            every: 1m
            latest: 2h
            checks: [{ id: calm-again, target: db, sql: 'select :approved as a, 0 as n', expect: { value: { column: n, at_most: 0 } }, figure: '{n}' }]
          do:
            sql:
              target: db
              effect: atomic
              risk: disruptive
              preview: { sql: select id from gone, identity: [id], tolerance: { rows: fewer } }
              sql: insert into work (id) select id from jsonb_to_recordset(:approved::jsonb) as x(id bigint)
              verify: [{ id: more, target: db, sql: select 0 as n, expect: { value: { column: n, at_most: 0 } }, figure: '{n}' }]
              undo: none
";

/// Undos that are agreed to with their step, and clocks, that could not be kept.
#[test]
fn what_is_promised_must_be_possible() {
    let good = GOOD
        .replace("        undo: none, they are gone\n", BACK)
        .replace(
            "  - id: look\n",
            "  - { id: tell, title: Tell, budget: 0s, do: { manual: { ask: Tell., evidence: when } } }\n  - id: look\n",
        )
        .replace(
            "detect:\n",
            "deadlines: [{ title: Notice, within: 72h, remind: [4h], role: legal, until: tell }]\ndetect:\n",
        );
    assert_eq!(said(&good, &Site::default()), Vec::<String>::new());
    let cases = [
        (
            "identity: [id], tolerance: { rows: fewer }",
            "identity: [id, at], tolerance: { rows: fewer }",
            "needs `at` of each row",
        ),
        ("latest: 2h", "latest: \"{long}\"", "`long`, which is no parameter"),
        ("latest: 2h", "latest: soon", "needs `latest`: a duration"),
        (
            "effect: atomic\n              risk: disruptive",
            "effect: once\n              risk: disruptive",
            "must be `atomic` or `idempotent`",
        ),
        ("risk: destructive", "risk: disruptive", ""),
        ("              risk: disruptive", "              risk: destructive", ""),
        ("        risk: destructive\n        preview", "        risk: disruptive\n        preview", ""),
        ("every: 1m\n            latest", "every: 5ms\n            latest", "looks too often"),
        ("when: it is calm", "when: ' '", "needs `when`"),
        ("select :approved as a, 0 as n", "select :aproved as a, 0 as n", "`:aproved` in `calm-again` is no parameter"),
        ("until: tell", "until: look", "must name a manual step"),
        ("remind: [4h]", "remind: [80h]", "shorter than its `within`"),
    ];
    for (from, to, tells) in cases {
        assert!(good.contains(from), "the good file has no {from}");
        let all = said(&good.replacen(from, to, 1), &Site::default());
        let fits =
            if tells.is_empty() { all.is_empty() } else { all.len() == 1 && all[0].contains(tells) && marked(&all[0]) };
        assert!(fits, "{from} -> {to} must say {tells}: {}", all.join("\n"));
    }
    let milder =
        good.replace("        risk: destructive\n        preview", "        risk: disruptive\n        preview");
    let higher = milder.replace("              risk: disruptive", "              risk: destructive");
    let all = said(&higher, &Site::default()).join("\n");
    assert!(all.contains("has a higher `risk` than its step"), "{all}");
}
