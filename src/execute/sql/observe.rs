//! Reading. Takes an open session and a statement; gives its rows as text, from inside a read-only
//! transaction that is always rolled back.

use futures_util::TryStreamExt;
use sqlx::postgres::{PgArguments, PgStatement};
use sqlx::{
    Arguments, AssertSqlSafe, Column, Either, Executor, PgConnection, Row, SqlSafeStr, Statement as _, Type, ValueRef,
};

use super::connect::Fault;
use super::decode::{self, Form};
use super::fence;
use crate::model::approval::TargetIdentity;
use crate::model::expect::{Expect, Rows};
use crate::model::statement::Statement;
use crate::model::time::Span;

/// Text of rows kept in memory per statement; rows beyond are counted.
const KEPT_BYTES: usize = 1 << 20;

/// A statement the server has parsed, with the forms of its columns.
pub(super) struct Ready<'a> {
    parsed: PgStatement,
    forms: Vec<Form>,
    statement: &'a Statement,
}

/// One statement to read with.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub statement: &'a Statement,
    pub timeout: Span,
    pub cap: u64,
}

impl Ask<'_> {
    /// Asks in a transaction of its own.
    pub(super) async fn alone(&self, conn: &mut PgConnection) -> Result<Rows, Fault> {
        fence::question(&self.statement.sql)?;
        plain(conn, "BEGIN READ ONLY").await?;
        let rows = self.pinned(conn).await;
        // What the statement may have left behind (a large object, a notification) goes with it.
        let _ = plain(conn, "ROLLBACK").await;
        rows
    }

    /// Asks inside the transaction already open, read-only all the same: a savepoint's access mode
    /// ends with it.
    pub(super) async fn within(&self, conn: &mut PgConnection) -> Result<Rows, Fault> {
        fence::question(&self.statement.sql)?;
        plain(conn, "SAVEPOINT drbot").await?;
        plain(conn, "SET TRANSACTION READ ONLY").await?;
        let ready = Ready::parse(conn, self.statement).await?;
        let rows = ready.rows(conn, self.cap).await?;
        plain(conn, "ROLLBACK TO SAVEPOINT drbot").await?;
        plain(conn, "RELEASE SAVEPOINT drbot").await?;
        Ok(rows)
    }

    async fn pinned(&self, conn: &mut PgConnection) -> Result<Rows, Fault> {
        // Before its first query a transaction may still be switched to read-write.
        sqlx::query("SELECT set_config('statement_timeout', $1, true)")
            .persistent(false)
            .bind(self.timeout.0.max(1).to_string())
            .execute(&mut *conn)
            .await?;
        let ready = Ready::parse(conn, self.statement).await?;
        ready.rows(conn, self.cap).await
    }
}

impl<'a> Ready<'a> {
    /// Has the server parse exactly one statement and checks that its answer can be shown, all before
    /// anything runs.
    pub(super) async fn parse(conn: &mut PgConnection, statement: &'a Statement) -> Result<Ready<'a>, Fault> {
        let text = <String as Type<sqlx::Postgres>>::type_info();
        let types = vec![text; statement.binds.len()];
        let sql = AssertSqlSafe(statement.sql.as_str()).into_sql_str();
        let parsed = conn.prepare_with(sql, &types).await?;
        let taken = parsed.parameters().map_or(0, |p| p.map_either(<[_]>::len, |n| n).into_inner());
        if taken != statement.binds.len() {
            let given = statement.binds.len();
            return Err(Fault::Unfit(format!("the statement takes {taken} values and {given} are bound")));
        }
        let mut forms = Vec::new();
        for column in parsed.columns() {
            let Some(form) = decode::form(column.type_info()) else {
                let (name, kind) = (column.name(), column.type_info());
                return Err(Fault::Unfit(format!("column {name} has type {kind}: write {name}::text")));
            };
            forms.push(form);
        }
        Ok(Ready { parsed, forms, statement })
    }

    /// Runs it. A statement that returns no columns gives the number of rows it changed.
    pub(super) async fn rows(&self, conn: &mut PgConnection, cap: u64) -> Result<Rows, Fault> {
        let mut values = PgArguments::default();
        for bind in &self.statement.binds {
            values.add(bind.value.as_str()).map_err(|_| Fault::Unfit("a value could not be bound".to_owned()))?;
        }
        let columns = self.parsed.columns().iter().map(|c| c.name().to_owned()).collect();
        let mut rows = Rows { columns, rows: Vec::new(), beyond: 0 };
        let mut kept = 0;
        let mut stream = conn.fetch_many(self.parsed.query_with(values));
        while let Some(part) = stream.try_next().await? {
            match part {
                Either::Left(done) if self.forms.is_empty() => rows.beyond += done.rows_affected(),
                Either::Left(_) => {}
                Either::Right(_) if rows.rows.len() as u64 >= cap || kept > KEPT_BYTES => rows.beyond += 1,
                Either::Right(row) => {
                    let cells = self.cells(&row)?;
                    kept += cells.iter().flatten().map(String::len).sum::<usize>();
                    rows.rows.push(cells);
                }
            }
        }
        Ok(rows)
    }

    fn cells(&self, row: &sqlx::postgres::PgRow) -> Result<Vec<Option<String>>, Fault> {
        let one = |(i, form): (usize, &Form)| {
            let unshown = || {
                let name = row.column(i).name();
                Fault::Unfit(format!("a value in column {name} cannot be shown: write {name}::text"))
            };
            let value = row.try_get_raw(i).map_err(|_| unshown())?;
            if value.is_null() {
                return Ok(None);
            }
            let bytes = value.as_bytes().map_err(|_| unshown())?;
            decode::text(*form, bytes).map(Some).ok_or_else(unshown)
        };
        self.forms.iter().enumerate().map(one).collect()
    }
}

/// Runs a statement of ours that takes no values.
pub(super) async fn plain(conn: &mut PgConnection, sql: &'static str) -> Result<(), Fault> {
    sqlx::raw_sql(sql).execute(conn).await?;
    Ok(())
}

/// Which server this is, as it says itself, and the session's process id.
pub(super) async fn identity(conn: &mut PgConnection) -> Result<(TargetIdentity, i32), Fault> {
    let row = sqlx::query(
        "SELECT system_identifier::text, current_database()::text, \
         coalesce(host(inet_server_addr()) || ':' || inet_server_port(), 'local'), pg_backend_pid() \
         FROM pg_control_system()",
    )
    .persistent(false)
    .fetch_one(conn)
    .await?;
    let identity = TargetIdentity { system: row.try_get(0)?, database: row.try_get(1)?, server: row.try_get(2)? };
    Ok((identity, row.try_get(3)?))
}

/// Why the rows are not as expected; `None` if they are.
pub(super) fn unmet(expect: &Expect, rows: &Rows) -> Option<String> {
    match expect.holds(rows) {
        Ok(true) => None,
        Ok(false) => Some(format!("the answer is not as expected: {}", expect.difference(rows))),
        Err(why) => Some(format!("the answer could not be judged: {why}")),
    }
}
