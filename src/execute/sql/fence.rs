//! The third fence around reading, after the role and the read-only transaction. Takes the text of a
//! statement; gives the reason it may not be sent. It narrows what a runbook can try; what a reader
//! cannot do at all is the other two fences' matter.

use super::connect::Fault;

/// How a question may begin.
const ASKING: [&str; 6] = ["select", "with", "values", "table", "show", "explain"];

/// Words with which a statement would take over the transaction around it.
const CONTROL: [&str; 10] =
    ["begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release", "prepare", "set"];

/// Functions that act even in a read-only transaction or run text as SQL. Sought everywhere, also in
/// quotes, because several of them take statements as strings.
const ACTING: [&str; 24] = [
    "pg_terminate_backend",
    "pg_cancel_backend",
    "pg_notify",
    "set_config",
    "nextval",
    "setval",
    "pg_reload_conf",
    "pg_rotate_logfile",
    "pg_switch_wal",
    "pg_promote",
    "pg_advisory_",
    "pg_try_advisory_",
    "lo_",
    "dblink",
    "pg_read_",
    "pg_logical_",
    "pg_create_",
    "pg_drop_",
    "pg_stat_reset",
    "pg_log_backend_memory_contexts",
    "query_to_xml",
    "cursor_to_xml",
    "table_to_xml",
    "u&",
];

/// Refuses what is not plainly a question.
pub(super) fn question(sql: &str) -> Result<(), Fault> {
    let word = first_word(sql);
    if !ASKING.contains(&word.as_str()) {
        return Err(Fault::Unfit(format!("a question starts with {}, not with `{word}`", ASKING.join(", "))));
    }
    let lower = sql.to_lowercase();
    match ACTING.iter().find(|name| contains_word(&lower, name)) {
        Some(name) => Err(Fault::Unfit(format!("`{name}` acts on the server: a question may not contain it"))),
        None => Ok(()),
    }
}

/// Refuses a change that would end or alter the transaction it runs in.
pub(super) fn change(sql: &str) -> Result<(), Fault> {
    let word = first_word(sql);
    if CONTROL.contains(&word.as_str()) {
        return Err(Fault::Unfit(format!("a step may not be `{word}`: transactions are drbot's own matter")));
    }
    Ok(())
}

/// The name at a place where no longer word ends with it; a name ending in `_` or `&` is a beginning.
fn contains_word(text: &str, name: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let open_end = name.ends_with(['_', '&']);
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back().is_some_and(part);
        let after = text[at + name.len()..].chars().next().is_some_and(part);
        !before && (open_end || !after)
    })
}

/// The first word in lower case, behind blanks, comments and opening parentheses.
fn first_word(sql: &str) -> String {
    let mut rest = sql.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
    loop {
        rest = match () {
            () if rest.starts_with("--") => rest.split_once('\n').map_or("", |(_, after)| after),
            () if rest.starts_with("/*") => after_comment(rest),
            () => break,
        };
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
    }
    rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>().to_lowercase()
}

/// What follows a block comment; they nest.
fn after_comment(text: &str) -> &str {
    let (mut depth, mut at) = (0u32, 0);
    while at < text.len() {
        let rest = &text[at..];
        let step = match () {
            () if rest.starts_with("/*") => {
                depth += 1;
                2
            }
            () if rest.starts_with("*/") => {
                depth -= 1;
                2
            }
            () => rest.chars().next().map_or(1, char::len_utf8),
        };
        at += step;
        if depth == 0 {
            return &text[at..];
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_pass_and_disguised_actions_do_not() {
        for sql in [
            "select 1",
            " -- why\n/* a /* b */ c */ ( SELECT 1)",
            "with x as (select 1) table x",
            "select following_lo from t",
        ] {
            assert!(question(sql).is_ok(), "{sql}");
        }
        for sql in [
            "",
            "commit",
            "/* select */ update t set a = 1",
            "set transaction read write",
            "select pg_terminate_backend(1)",
            "select \"pg_terminate_backend\"(1)",
            "select pg_catalog.SET_CONFIG('a', 'b', false)",
            "select lo_create(0)",
            "select query_to_xml('select 1', true, true, '')",
            "select U&\"\\0070g_notify\"('a', 'b')",
            "/* select 1",
        ] {
            assert!(question(sql).is_err(), "{sql}");
        }
    }

    #[test]
    fn a_step_may_not_end_its_transaction() {
        assert!(change("/* x */ Commit").is_err() && change("end").is_err());
        assert!(change("update t set a = 1").is_ok() && change("vacuum t").is_ok());
    }
}
