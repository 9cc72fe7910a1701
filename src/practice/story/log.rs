//! The database's own word. Takes the text of its log (`log_statement = all`, prefix with `user=`);
//! gives what a role really ran, with the values bound.

/// One statement that was run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    pub sql: String,
    /// The values of `$1…`, in order; NULL is `None`.
    pub values: Vec<Option<String>>,
}

/// Everything `role` ran, oldest first.
#[must_use]
pub fn ran(log: &str, role: &str) -> Vec<Ran> {
    let by = format!(" user={role} ");
    let mut all: Vec<Ran> = Vec::new();
    for record in records(log).iter().filter(|r| r.contains(&by)) {
        if let Some((_, said)) = record.split_once(" LOG:  ") {
            let run = match said.split_once(": ") {
                Some(("statement", sql)) => Some(sql),
                Some((how, sql)) if how.starts_with("execute ") => Some(sql),
                _ => None,
            };
            all.extend(run.map(|sql| Ran { sql: sql.to_owned(), values: Vec::new() }));
        } else if let Some((_, said)) = record.split_once(" DETAIL:  ") {
            // The server writes a detail right behind its record; its first letter differs by version.
            let given = said.strip_prefix("parameters: ").or_else(|| said.strip_prefix("Parameters: "));
            if let (Some(given), Some(last)) = (given, all.last_mut()) {
                last.values = values(given);
            }
        }
    }
    all
}

/// The log's records with their own line breaks: the server begins every further line with a tab.
fn records(log: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for line in log.lines() {
        match (line.strip_prefix('\t'), all.last_mut()) {
            (Some(more), Some(last)) => {
                last.push('\n');
                last.push_str(more);
            }
            _ => all.push(line.to_owned()),
        }
    }
    all
}

/// `$1 = 'it''s', $2 = NULL`.
fn values(given: &str) -> Vec<Option<String>> {
    let mut all = Vec::new();
    let mut rest = given;
    while let Some((_, after)) = rest.split_once(" = ") {
        let Some(mut inside) = after.strip_prefix('\'') else {
            all.push(None);
            rest = after;
            continue;
        };
        let mut value = String::new();
        while let Some((part, more)) = inside.split_once('\'') {
            value.push_str(part);
            inside = more;
            match more.strip_prefix('\'') {
                Some(more) => {
                    value.push('\'');
                    inside = more;
                }
                None => break,
            }
        }
        all.push(Some(value));
        rest = inside;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_of_one_role_with_their_values() {
        let log = "2026-01-01 UTC [1] user=op db=b app=a LOG:  execute sqlx_s_1: select $1,\n\
                   \t  '\"x = ''1'''\n\
                   2026-01-01 UTC [1] user=op db=b app=a DETAIL:  Parameters: $1 = '[{\"a\": ''1''}]', $2 = NULL, $3 = ''\n\
                   2026-01-01 UTC [2] user=app db=b app=a LOG:  statement: BEGIN\n\
                   2026-01-01 UTC [1] user=op db=b app=a LOG:  statement: ROLLBACK\n\
                   2026-01-01 UTC [1] user=op db=b app=a ERROR:  no\n";
        let found = ran(log, "op");
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].sql, "select $1,\n  '\"x = ''1'''");
        assert_eq!(found[0].values, [Some("[{\"a\": '1'}]".to_owned()), None, Some(String::new())]);
        assert_eq!(found[1], Ran { sql: "ROLLBACK".into(), values: vec![] });
    }
}
