//! Runbooks for the crash rounds, written to a folder of the test's.

use std::path::Path;

use super::round::Kind;
use crate::support::commands;

const FRAME: &str = r#"runbook: NAME
title: Crash practice NAME
tier: 2
objectives: { rto: 4h, rpo: 24h, mttr: 2h }
estimate: 1m
params:
  round: { type: integer, default: "1", min: "1", max: "99" }
detect:
  every: 1h
  failures: 1
  checks:
    - { id: there, target: main-db, sql: "select 0 as bad", expect: { value: { column: bad, at_most: 0 } }, figure: "{bad} bad" }
steps:
  - id: change
    title: Change what was approved
    timeout: 100s
    do:
      sql:
        target: main-db
        effect: EFFECT
        risk: disruptive
        preview:
          identity: [round, id]
          tolerance: { rows: none }
          cap: 10
          sql: "select round, id from crash_rows where round = :round::int order by id"
        sql: SQL
        verify: [VERIFY]
PROBE
        undo: "none: this is practice"
verify: [VERIFY]
"#;

const TOUCH: &str = r#""update crash_rows r set touched = touched + 1 from jsonb_to_recordset(:approved::jsonb) as ok(round int, id int) where r.round = ok.round and r.id = ok.id""#;
const WORK: &str = r#""call crash_work(:approved::jsonb)""#;
const TOUCHED: &str = r#"{ id: once, target: main-db, sql: "select count(*) as wrong from crash_rows where round = :round::int and touched <> 1", expect: { value: { column: wrong, at_most: 0 } }, figure: "{wrong} rows not touched once" }"#;
const WORKED: &str = r#"{ id: once, target: main-db, sql: "select count(*) as effects from crash_effects where round = :round::int", expect: { value: { column: effects, at_least: 1, at_most: 1 } }, figure: "{effects} effects" }"#;
const PROBE: &str = r#"        probe: { id: happened, target: main-db, sql: "select count(*) as effects, case when count(*) = 0 then 'false' else 'true' end as happened from crash_effects where round = :round::int", expect: { value: { column: effects, at_least: 1 } }, figure: "{effects} effects" }"#;

/// Writes the three runbooks and the shared file.
pub(super) fn write(folder: &Path) {
    std::fs::copy(commands().join("_shared.yaml"), folder.join("_shared.yaml")).expect("the shared file");
    for kind in [Kind::Atomic, Kind::Probed, Kind::Blind] {
        let (effect, sql, verify) = match kind {
            Kind::Atomic => ("atomic", TOUCH, TOUCHED),
            _ => ("once", WORK, WORKED),
        };
        let probe = if kind == Kind::Probed { PROBE } else { "" };
        let text = FRAME
            .replace("NAME", kind.runbook())
            .replace("EFFECT", effect)
            .replace("SQL", sql)
            .replace("VERIFY", verify)
            .replace("PROBE\n", &format!("{probe}\n"));
        std::fs::write(folder.join(format!("{}.yaml", kind.runbook())), text).expect("a runbook file");
    }
}
