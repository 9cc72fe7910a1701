//! The first fence: the observer's role. Takes an open session; gives every reason its role could
//! change something.

use sqlx::PgConnection;

use super::connect::Fault;

/// Attributes and memberships, also of every role the session could switch to.
const POWERS: &str = "
SELECT CASE WHEN r.rolname = session_user THEN format('%I is ', r.rolname)
            ELSE format('%I may become %I, which is ', session_user, r.rolname) END || power
FROM pg_roles r
CROSS JOIN LATERAL (VALUES
    (r.rolsuper, 'a superuser'), (r.rolcreatedb, 'allowed to create databases'),
    (r.rolcreaterole, 'allowed to create roles'), (r.rolreplication, 'allowed to replicate'),
    (r.rolname IN ('pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files',
                   'pg_signal_backend', 'pg_write_all_data'), 'able to act on the server')
) AS p(has, power)
WHERE p.has AND pg_has_role(session_user, r.oid, 'MEMBER')
ORDER BY r.rolsuper DESC, r.rolname <> session_user, r.rolname LIMIT 20";

/// Tables and sequences outside the system's schemas that could be changed.
const TABLES: &str = "
SELECT format('%I may write %I.%I', r.rolname, n.nspname, c.relname)
FROM pg_roles r
JOIN pg_class c ON c.relkind IN ('r', 'p', 'v', 'f')
JOIN pg_namespace n ON n.oid = c.relnamespace
 AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%'
WHERE pg_has_role(session_user, r.oid, 'MEMBER')
  AND (has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
       OR has_any_column_privilege(r.oid, c.oid, 'INSERT, UPDATE'))
ORDER BY n.nspname, c.relname";

/// Places where something new could be made.
const PLACES: &str = "
SELECT format('%I may create in schema %I', r.rolname, n.nspname)
FROM pg_roles r JOIN pg_namespace n ON n.nspname <> 'pg_catalog' AND n.nspname NOT LIKE 'pg\\_%'
WHERE pg_has_role(session_user, r.oid, 'MEMBER') AND has_schema_privilege(r.oid, n.oid, 'CREATE')
UNION ALL
SELECT format('%I may create schemas in database %I', r.rolname, current_database())
FROM pg_roles r
WHERE pg_has_role(session_user, r.oid, 'MEMBER')
  AND has_database_privilege(r.oid, current_database(), 'CREATE')";

/// What the session's role could change: empty if nothing.
pub(super) async fn faults(conn: &mut PgConnection) -> Result<Vec<String>, Fault> {
    let mut faults = names(conn, POWERS).await?;
    // A superuser has every other power as well; one line says it.
    if faults.first().is_some_and(|f| f.ends_with("a superuser")) {
        faults.truncate(1);
        return Ok(faults);
    }
    for sql in [TABLES, PLACES] {
        let found = names(conn, sql).await?;
        let more = if found.len() > 3 { format!(" and {} more like it", found.len() - 3) } else { String::new() };
        faults.extend(found.into_iter().take(3));
        if let Some(last) = faults.last_mut() {
            last.push_str(&more);
        }
    }
    Ok(faults)
}

async fn names(conn: &mut PgConnection, sql: &'static str) -> Result<Vec<String>, Fault> {
    Ok(sqlx::query_scalar(sql).persistent(false).fetch_all(conn).await?)
}
