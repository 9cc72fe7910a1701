//! SQL with named placeholders. Takes a runbook's text and typed values; gives the exact bytes that
//! will run, numbered, and what is bound to each number. Nothing is ever pasted into a statement.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A statement ready to run: `$1…` text and the value of each, in order. Every value is bound as
/// text; the statement says its type with a cast (`$1::interval`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    pub sql: String,
    pub binds: Vec<Bind>,
}

/// One bound value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    pub name: String,
    pub value: String,
}

/// Where the scanner stands inside a statement.
#[derive(Clone, Copy, PartialEq)]
enum Within {
    Code,
    Quote(char),
    Line,
    Block(u32),
}

/// The names of the placeholders in a statement, in order of first use. `:name` counts only outside
/// quotes, dollar quotes and comments, and never in a `::cast`.
#[must_use]
pub fn placeholders(sql: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    scan(sql, |name| {
        if !names.iter().any(|n| n == name) {
            names.push(name.to_owned());
        }
        String::new()
    });
    names
}

/// Numbers the placeholders and binds the values.
///
/// # Errors
/// Names the placeholder that has no value.
pub fn bind(sql: &str, values: &BTreeMap<String, String>) -> Result<Statement, String> {
    let names = placeholders(sql);
    let binds = names
        .iter()
        .map(|name| match values.get(name) {
            Some(value) => Ok(Bind { name: name.clone(), value: value.clone() }),
            None => Err(format!("`:{name}` in the statement has no value: declare a parameter `{name}`")),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let sql = scan(sql, |name| {
        let at = names.iter().position(|n| n == name).unwrap_or(0);
        format!("${}", at + 1)
    });
    Ok(Statement { sql: sql.trim().to_owned(), binds })
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn scan(sql: &str, mut replace: impl FnMut(&str) -> String) -> String {
    let chars: Vec<char> = sql.chars().collect();
    let mut out = String::with_capacity(sql.len());
    let (mut i, mut within) = (0, Within::Code);
    while i < chars.len() {
        let (c, next) = (chars[i], chars.get(i + 1).copied());
        let mut take = 1;
        match within {
            Within::Quote(q) if c == q => within = Within::Code,
            Within::Line if c == '\n' => within = Within::Code,
            Within::Block(depth) if c == '*' && next == Some('/') => {
                take = 2;
                within = if depth == 1 { Within::Code } else { Within::Block(depth - 1) };
            }
            Within::Block(depth) if c == '/' && next == Some('*') => {
                take = 2;
                within = Within::Block(depth + 1);
            }
            Within::Code => match (c, next) {
                ('\'' | '"', _) => within = Within::Quote(c),
                ('-', Some('-')) => within = Within::Line,
                ('/', Some('*')) => {
                    take = 2;
                    within = Within::Block(1);
                }
                ('$', _) => take = dollar_quoted(&chars[i..]),
                (':', Some(':')) => take = 2,
                (':', Some(n)) if n.is_ascii_lowercase() => {
                    let name: String = chars[i + 1..].iter().take_while(|c| is_name(**c)).collect();
                    out.push_str(&replace(&name));
                    i += 1 + name.len();
                    continue;
                }
                _ => {}
            },
            _ => {}
        }
        out.extend(&chars[i..i + take]);
        i += take;
    }
    out
}

/// How many characters a `$tag$ … $tag$` literal at the start of `rest` takes; 1 if it is none.
fn dollar_quoted(rest: &[char]) -> usize {
    let Some(end) = rest[1..].iter().position(|c| !is_name(*c)) else { return 1 };
    if rest[end + 1] != '$' || rest.get(1).is_some_and(char::is_ascii_digit) {
        return 1;
    }
    let tag = &rest[..end + 2];
    let body = &rest[tag.len()..];
    body.windows(tag.len()).position(|w| w == tag).map_or(rest.len(), |at| at + 2 * tag.len())
}

/// The names in `{name}` of a piece of plain text, in order; braces around anything but a name are text.
#[must_use]
pub fn names(text: &str) -> Vec<String> {
    let pieces = text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
    pieces
        .filter(|n| n.starts_with(|c: char| c.is_ascii_lowercase()) && n.chars().all(is_name))
        .map(str::to_owned)
        .collect()
}

/// Fills `{name}` in a piece of plain text, once: what a value contains stays as it is.
#[must_use]
pub fn fill(text: &str, values: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        out.push_str(&rest[..open]);
        let after = &rest[open + 1..];
        match after.find('}').map(|close| (close, values.get(&after[..close]))) {
            Some((close, Some(value))) => {
                out.push_str(value);
                rest = &after[close + 1..];
            }
            _ => {
                out.push('{');
                rest = after;
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn binds_by_number_and_leaves_casts_quotes_and_comments_alone() {
        let sql = "select ':no', \":no\", $$ :no $$, $t$ :no $$ $t$ -- :no\n/* :no /* :no */ :no */, now()::date, :age::interval, :age, :n::int";
        let got = bind(sql, &values(&[("age", "5m"), ("n", "1"), ("unused", "x")])).unwrap();
        assert_eq!(
            got.sql,
            "select ':no', \":no\", $$ :no $$, $t$ :no $$ $t$ -- :no\n/* :no /* :no */ :no */, now()::date, $1::interval, $1, $2::int"
        );
        assert_eq!(got.binds.len(), 2);
    }

    #[test]
    fn a_missing_value_is_named() {
        assert!(bind("select :gone", &values(&[])).unwrap_err().contains(":gone"));
    }

    #[test]
    fn filling_is_single_pass() {
        let v = values(&[("a", "{b}"), ("b", "boom")]);
        assert_eq!(fill("x {a} {unknown} {", &v), "x {b} {unknown} {");
    }
}
