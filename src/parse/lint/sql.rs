//! What statements do, read as PostgreSQL reads them. Takes a file's text and its runbook; gives questions that
//! write, writes that are not bound to the approved rows, and statements that cannot be read, each with its
//! line and column in the file.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Query, SetExpr, Spanned, Statement, visit_expressions, visit_relations};
use sqlparser::ast::{Visit, Visitor};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Location;

use crate::model::chain::Also;
use crate::model::runbook::{Affects, Runbook};
use crate::parse::catalog::{line_and_column, seek};

/// Functions that change something though they stand in a select.
const ACTING: [&str; 21] = [
    "pg_terminate_backend",
    "pg_cancel_backend",
    "pg_reload_conf",
    "pg_rotate_logfile",
    "pg_promote",
    "pg_switch_wal",
    "pg_create_restore_point",
    "pg_stat_reset",
    "pg_stat_statements_reset",
    "pg_advisory_lock",
    "pg_advisory_xact_lock",
    "pg_try_advisory_lock",
    "pg_notify",
    "pg_drop_replication_slot",
    "nextval",
    "setval",
    "set_config",
    "lo_import",
    "lo_export",
    "lo_unlink",
    "dblink_exec",
];

/// A statement in a file: who asks it, its text, whether it may write, and whether it says that it means all.
struct Asked<'a> {
    id: &'a str,
    sql: &'a str,
    writes: bool,
    all: bool,
}

/// A place in a file, from 1, and what is wrong there.
type Fault = ((u64, u64), String);

/// Questions that write, and writes that are not bound to approved rows.
pub(super) fn faults(text: &str, runbook: &Runbook) -> Vec<Fault> {
    let mut faults = Vec::new();
    for asked in statements(runbook) {
        let Ok(list) = read(asked.sql) else { continue };
        let found = if asked.writes { unbound(&list, asked.all) } else { acting(&list) };
        faults.extend(found.into_iter().map(|(at, what)| (place(text, &asked, at), format!("`{}` {what}", asked.id))));
    }
    faults
}

/// Statements that this program cannot read, and that are therefore judged by nobody but PostgreSQL.
pub(super) fn unread(text: &str, runbook: &Runbook) -> Vec<Fault> {
    let mut found = Vec::new();
    for asked in statements(runbook) {
        if let Err(why) = read(asked.sql) {
            let at = location(&why);
            let short = why.split(" at Line:").next().unwrap_or_default();
            let what = format!(
                "the statement of `{}` could not be read here, so nobody checked what it writes ({short}): read it \
                 twice; PostgreSQL's roles still hold",
                asked.id
            );
            found.push((place(text, &asked, at), what));
        }
    }
    found
}

fn statements(runbook: &Runbook) -> Vec<Asked<'_>> {
    let mut all = Vec::new();
    let steps = || runbook.steps.iter();
    let looks = steps().flat_map(|s| super::looks(&s.work));
    let tasks: Vec<_> = steps().flat_map(|s| super::tasks(&s.work).into_iter().map(move |t| (&s.id, t))).collect();
    let proofs = tasks.iter().flat_map(|(_, t)| super::proofs(t));
    for check in runbook.detect.checks.iter().chain(&runbook.verify).chain(looks).chain(proofs) {
        all.extend(check.sql.as_deref().map(|sql| Asked { id: &check.id, sql, writes: false, all: false }));
        all.extend(further(&check.id, &check.also));
    }
    for (id, param) in &runbook.params {
        let lists = param.pick.as_ref().and_then(|p| p.sql.as_deref());
        let kept = param.keep.as_ref().map(|k| k.sql.as_str());
        all.extend(lists.into_iter().chain(kept).map(|sql| Asked { id, sql, writes: false, all: false }));
    }
    for (id, task) in &tasks {
        let seen = task.preview.as_ref().and_then(|p| p.sql.as_deref());
        all.extend(seen.map(|sql| Asked { id, sql, writes: false, all: false }));
        let also = task.preview.iter().flat_map(|p| &p.also).chain(&task.also);
        all.extend(further(id, also));
        let all_rows = task.affects == Some(Affects::All);
        all.extend(task.sql.as_deref().map(|sql| Asked { id, sql, writes: !task.reads(), all: all_rows }));
    }
    all
}

/// What is asked about the rows of a question.
fn further<'a>(id: &'a str, also: impl IntoIterator<Item = &'a Also>) -> Vec<Asked<'a>> {
    also.into_iter().filter_map(|a| Some(Asked { id, sql: a.sql.as_deref()?, writes: false, all: false })).collect()
}

fn read(sql: &str) -> Result<Vec<Statement>, String> {
    Parser::parse_sql(&PostgreSqlDialect {}, sql).map_err(|e| e.to_string())
}

/// `… at Line: 2, Column: 14` at the end of what the parser says.
fn location(why: &str) -> Location {
    let number = |after: &str| {
        let rest = why.rsplit(after).next().unwrap_or_default();
        rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(1)
    };
    if why.contains("Line: ") { Location { line: number("Line: "), column: number("Column: ") } } else { START }
}

const START: Location = Location { line: 1, column: 1 };

/// Where a place of a statement stands in the file. A block keeps its lines and loses their indentation.
fn place(text: &str, asked: &Asked<'_>, at: Location) -> (u64, u64) {
    let from = seek(text, 0, &format!("id: {}", asked.id)).unwrap_or(0);
    let first = asked.sql.lines().find(|l| !l.trim().is_empty()).unwrap_or_default();
    let skipped = asked.sql.lines().take_while(|l| l.trim().is_empty()).count() as u64;
    let Some(begins) = text[from..].find(first.trim()) else { return line_and_column(text, from) };
    let (line, column) = line_and_column(text, from + begins);
    let indent = column.saturating_sub((first.len() - first.trim_start().len()) as u64 + 1);
    (line + at.line.saturating_sub(1 + skipped), indent + at.column.max(1))
}

/// Everything in a question that writes, locks or acts.
fn acting(list: &[Statement]) -> Vec<(Location, String)> {
    let mut seen = Writes::default();
    for statement in list {
        let _ = statement.visit(&mut seen);
    }
    let mut found: Vec<_> = seen
        .found
        .into_iter()
        .map(|(at, word)| (at, format!("only reads, and its statement says {word}: make it a step of its own")))
        .collect();
    let _ = visit_expressions(&list.to_vec(), |e| {
        if let Expr::Function(f) = e {
            let name = f.name.to_string().to_lowercase();
            let bare = name.rsplit('.').next().unwrap_or_default();
            if ACTING.contains(&bare) {
                found
                    .push((f.name.span().start, format!("only reads, and calls `{bare}`, which acts: make it a step")));
            }
        }
        ControlFlow::<()>::Continue(())
    });
    found
}

/// What a statement holds that changes or locks something.
#[derive(Default)]
struct Writes {
    found: Vec<(Location, &'static str)>,
}

impl Visitor for Writes {
    type Break = ();

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        let word = match statement {
            Statement::Query(_) | Statement::ShowVariable { .. } => return ControlFlow::Continue(()),
            Statement::Explain { analyze: false, .. } => return ControlFlow::Continue(()),
            Statement::Insert(_) => "insert",
            Statement::Update(_) => "update",
            Statement::Delete(_) => "delete",
            Statement::Merge(_) => "merge",
            Statement::Truncate(_) => "truncate",
            Statement::Explain { .. } => "explain analyze, which runs it",
            _ => "something that is no select",
        };
        // Only these four stand within another statement; the others begin where the text does.
        let inner = matches!(word, "insert" | "update" | "delete" | "merge");
        let at = statement.span().start;
        self.found.push((if inner && at.line > 0 { at } else { START }, word));
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let at = query.span().start;
        if !query.locks.is_empty() {
            self.found.push((at, "for update, which locks rows"));
        }
        if let SetExpr::Select(select) = query.body.as_ref()
            && select.into.is_some()
        {
            self.found.push((at, "select into, which makes a table"));
        }
        ControlFlow::Continue(())
    }
}

/// Updates and deletes without a condition, or whose rows have nothing to do with the approved ones.
fn unbound(list: &[Statement], all: bool) -> Vec<(Location, String)> {
    if all {
        return Vec::new();
    }
    let mut changes = Changes::default();
    for statement in list {
        let _ = statement.visit(&mut changes);
    }
    let mut faults = Vec::new();
    for (at, word, condition, text, relations) in changes.found {
        if !condition {
            faults.push((at, format!("has `{word}` without `where`: name the rows, or say `affects: all`")));
        } else if !text.contains(":approved") && relations.is_disjoint(&changes.tied) {
            let what = format!("has `{word}` that is not joined to `:approved`: join it, or say `affects: all`");
            faults.push((at, what));
        }
    }
    faults
}

/// Where a change stands, its word, whether it has a condition, its text, and the relations that it names.
type Change = (Location, &'static str, bool, String, BTreeSet<String>);

/// The changes of a statement, and the names of its common tables that hold approved rows.
#[derive(Default)]
struct Changes {
    found: Vec<Change>,
    tied: BTreeSet<String>,
}

impl Visitor for Changes {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for table in query.with.iter().flat_map(|w| &w.cte_tables) {
            let inner = &table.query;
            if inner.to_string().contains(":approved") || !relations(inner.as_ref()).is_disjoint(&self.tied) {
                self.tied.insert(table.alias.name.value.to_lowercase());
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        let (word, condition) = match statement {
            Statement::Update(update) => ("update", update.selection.is_some()),
            Statement::Delete(delete) => ("delete", delete.selection.is_some()),
            Statement::Truncate(_) => ("truncate", false),
            _ => return ControlFlow::Continue(()),
        };
        let at = statement.span().start;
        let at = if at.line == 0 { START } else { at };
        self.found.push((at, word, condition, statement.to_string(), relations(statement)));
        ControlFlow::Continue(())
    }
}

fn relations(part: &impl Visit) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let _ = visit_relations(part, |name| {
        names.insert(name.to_string().to_lowercase());
        ControlFlow::<()>::Continue(())
    });
    names
}
