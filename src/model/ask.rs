//! What a runbook asks or does, as it is written there, and the exact deed that becomes of it once the
//! values are known. Takes texts with placeholders and typed values; gives bytes. Nothing is pasted into
//! a statement or a command line, and what is put into an address or a body is encoded for its place.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::backups::Backups;
use super::chain::{Also, Chain, Chained};
use super::expect::Rows;
use super::http::{HttpCall, Listing, Method, RowsAt};
use super::process::{Pipeline, Program};
use super::schema::Scalar;
use super::statement::{Statement, bind, fill, names};
use super::time::Span;

/// Bytes of an answer's body that are read.
const ANSWER_BYTES: u64 = 1 << 20;

type Values = BTreeMap<String, String>;

/// One call to an HTTP target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpAsk {
    #[serde(default = "get")]
    pub method: Method,
    /// Path and query below the target's base; `{name}` is filled in, percent-encoded.
    pub path: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Scalar>")]
    pub headers: BTreeMap<String, String>,
    /// A JSON body; `{name}` inside its texts is filled in, and a text that is only `{name:number}` becomes
    /// that number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    /// A form body; `{name}` is filled in.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Scalar>")]
    pub form: BTreeMap<String, String>,
    /// How the answer becomes rows; without it there is one row with `status` and `latency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<RowsAt>,
    /// List an object store below `path` instead; the answer is a JSON list of objects with `key`, `bytes`,
    /// `modified` and, where it is known, `taken_at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<Listing>,
    /// The answer is a list of backups, and becomes one row that says how they stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backups: Option<Backups>,
    /// One call for every approved row, with the row's identity columns as values.
    #[serde(default)]
    pub each: bool,
    /// This POST changes nothing: it must be refused, and a check holds its answer against that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reads: bool,
}

fn get() -> Method {
    Method::Get
}

/// Programs of a target, each reading what the one before it writes. The first word of each names a
/// program that the target declares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessAsk {
    #[schemars(with = "Vec<Vec<Scalar>>")]
    pub pipe: Vec<Vec<String>>,
    /// What the first program reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// Names for the parts of each line of its output, which tabs separate; without it there is one, `line`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
}

/// What is asked, whichever way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ask<'a> {
    Sql(&'a str),
    Http(&'a HttpAsk),
    Process(&'a ProcessAsk),
    /// Several, each about the rows of the one before.
    Chain(Chain<'a>),
}

/// The exact thing to do: what a card shows, a digest covers and an executor carries out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    Sql(Statement),
    /// One after the other.
    Http(Vec<HttpCall>),
    Process(Pipeline),
    /// Only ever asked, never done.
    Chain(Box<Chained>),
}

impl<'a> Ask<'a> {
    /// The one way that is given.
    ///
    /// # Errors
    /// None or several are given.
    pub fn one(
        sql: Option<&'a String>,
        call: Option<&'a HttpAsk>,
        run: Option<&'a ProcessAsk>,
    ) -> Result<Ask<'a>, String> {
        match (sql, call, run) {
            (Some(sql), None, None) => Ok(Ask::Sql(sql)),
            (None, Some(call), None) => Ok(Ask::Http(call)),
            (None, None, Some(run)) => Ok(Ask::Process(run)),
            _ => Err("give exactly one of `sql`, `call` and `run`".to_owned()),
        }
    }

    /// The one way that is given, and what is asked about its rows.
    ///
    /// # Errors
    /// None or several are given, in one of them.
    pub fn chain(
        sql: Option<&'a String>,
        call: Option<&'a HttpAsk>,
        run: Option<&'a ProcessAsk>,
        also: &'a [Also],
    ) -> Result<Ask<'a>, String> {
        let first = Ask::one(sql, call, run)?;
        for next in also {
            next.ask()?;
        }
        Ok(if also.is_empty() { first } else { Ask::Chain(Chain { sql, call, run, also }) })
    }

    /// The names of the values it takes, in order of first use.
    #[must_use]
    pub fn placeholders(&self) -> Vec<String> {
        let mut texts: Vec<&str> = Vec::new();
        match self {
            Ask::Sql(sql) => return super::statement::placeholders(sql),
            Ask::Chain(chain) => return chain.placeholders(),
            Ask::Http(call) => {
                texts.push(&call.path);
                texts.extend(call.headers.values().chain(call.form.values()).map(String::as_str));
                call.json.iter().for_each(|json| texts_of(json, &mut texts));
                texts.extend(
                    call.rows.iter().flat_map(|at| at.only.values().chain(at.without.values())).map(String::as_str),
                );
                let limits = |b: &'a Backups| [Some(b.within_hours.as_str()), b.after.as_deref()];
                texts.extend(call.backups.iter().flat_map(limits).flatten());
            }
            Ask::Process(run) => texts.extend(run.pipe.iter().flatten().chain(&run.stdin).map(String::as_str)),
        }
        let mut all = Vec::new();
        for name in texts.into_iter().flat_map(|t| number(t).map_or_else(|| names(t), |n| vec![n.to_owned()])) {
            if !all.contains(&name) {
                all.push(name);
            }
        }
        all
    }

    /// The exact deed. `rows` are the approved ones, each a set of identity columns; empty where there is
    /// no approval.
    ///
    /// # Errors
    /// Names the placeholder without a value.
    pub fn deed(
        &self,
        values: &Values,
        rows: &[BTreeMap<String, Option<String>>],
        timeout: Span,
    ) -> Result<Deed, String> {
        if let Ask::Sql(sql) = self {
            return Ok(Deed::Sql(bind(sql, values)?));
        }
        if let Ask::Chain(chain) = self {
            let first = chain.first()?.deed(values, rows, timeout)?;
            let also = chain.also.to_vec();
            return Ok(Deed::Chain(Box::new(Chained { first, also, values: values.clone(), timeout })));
        }
        let sets = self.value_sets(values, rows)?;
        for name in self.placeholders() {
            if sets.iter().any(|set| !set.contains_key(&name)) {
                return Err(format!("`{{{name}}}` has no value: declare a parameter or an identity column `{name}`"));
            }
        }
        match self {
            Ask::Http(call) => Ok(Deed::Http(sets.iter().map(|set| call.with(set, timeout)).collect())),
            Ask::Process(run) => Ok(Deed::Process(run.with(&sets[0], timeout))),
            Ask::Sql(_) | Ask::Chain(_) => Err("a statement is bound, not filled".to_owned()),
        }
    }

    /// One set of values for each call. A single call may use the columns of a single approved row.
    fn value_sets(&self, values: &Values, rows: &[BTreeMap<String, Option<String>>]) -> Result<Vec<Values>, String> {
        let with = |row: &BTreeMap<String, Option<String>>| {
            let mut all = values.clone();
            all.extend(row.iter().filter_map(|(k, v)| Some((k.clone(), v.clone()?))));
            all
        };
        match self {
            Ask::Http(call) if call.each => Ok(rows.iter().map(with).collect()),
            _ if rows.len() > 1 => Err(format!("it would touch {} rows, and this step acts on one", rows.len())),
            _ => Ok(vec![rows.first().map_or_else(|| values.clone(), with)]),
        }
    }
}

fn texts_of<'v>(json: &'v Value, texts: &mut Vec<&'v str>) {
    match json {
        Value::String(text) => texts.push(text),
        Value::Array(list) => list.iter().for_each(|v| texts_of(v, texts)),
        Value::Object(map) => map.values().for_each(|v| texts_of(v, texts)),
        _ => {}
    }
}

impl HttpAsk {
    fn with(&self, values: &Values, timeout: Span) -> HttpCall {
        let encoded: Values = values.iter().map(|(k, v)| (k.clone(), percent(v))).collect();
        let form: Vec<String> =
            self.form.iter().map(|(k, v)| format!("{}={}", percent(k), percent(&fill(v, values)))).collect();
        let json = self.json.as_ref().map(|json| filled(json, values).to_string());
        HttpCall {
            method: self.method,
            path: fill(&self.path, &encoded),
            headers: self.headers.iter().map(|(k, v)| (k.clone(), fill(v, values))).collect(),
            form: json.is_none() && !form.is_empty(),
            body: json.or_else(|| (!form.is_empty()).then(|| form.join("&"))),
            timeout,
            cap_bytes: ANSWER_BYTES,
            rows: self.rows.as_ref().map(|at| at.with(values)),
            list: self.list.clone(),
            backups: self.backups.as_ref().map(|b| b.with(values)),
        }
    }
}

impl ProcessAsk {
    fn with(&self, values: &Values, timeout: Span) -> Pipeline {
        let program = |words: &Vec<String>| {
            let mut words = words.iter().map(|w| fill(w, values));
            Program { path: words.next().unwrap_or_default(), args: words.collect() }
        };
        Pipeline {
            programs: self.pipe.iter().map(program).collect(),
            timeout,
            env: Vec::new(),
            stdin: self.stdin.as_ref().map(|s| fill(s, values)),
            columns: self.columns.clone(),
        }
    }
}

/// The name in `{name:number}`.
fn number(text: &str) -> Option<&str> {
    text.strip_prefix('{')?.strip_suffix(":number}")
}

/// JSON with the placeholders inside its texts filled in: a value can never become structure.
fn filled(json: &Value, values: &Values) -> Value {
    match json {
        Value::String(text) => match number(text).and_then(|name| values.get(name)) {
            Some(value) => value.parse::<i64>().map_or_else(|_| Value::String(value.clone()), Value::from),
            None => Value::String(fill(text, values)),
        },
        Value::Array(list) => Value::Array(list.iter().map(|v| filled(v, values)).collect()),
        Value::Object(map) => Value::Object(map.iter().map(|(k, v)| (k.clone(), filled(v, values))).collect()),
        other => other.clone(),
    }
}

/// RFC 3986: everything but the unreserved characters is escaped, so that a value stays one segment.
fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    // A dot segment would climb out of its place even when it is a value.
    if out == "." || out == ".." { out.replace('.', "%2E") } else { out }
}

impl Deed {
    /// The statement, if it is one.
    #[must_use]
    pub fn statement(&self) -> Option<&Statement> {
        match self {
            Deed::Sql(statement) => Some(statement),
            _ => None,
        }
    }

    /// The whole deed as people read it, before they approve it. A bound list longer than `long`
    /// characters is named only: its rows stand beside it.
    #[must_use]
    pub fn text(&self, long: usize) -> String {
        match self {
            Deed::Sql(statement) => statement_text(statement, long),
            Deed::Http(calls) => calls.iter().map(call_text).collect::<Vec<_>>().join("\n"),
            Deed::Process(pipeline) => {
                let programs: Vec<String> = pipeline.programs.iter().map(program_text).collect();
                let stdin = pipeline.stdin.as_ref().map(|s| format!("\n-- reads: {s}")).unwrap_or_default();
                format!("{}{stdin}", programs.join("\n  | "))
            }
            Deed::Chain(chain) => {
                let then = chain.also.iter().map(|a| format!("\n-- and what {} says of each", a.target));
                format!("{}{}", chain.first.text(long), then.collect::<String>())
            }
        }
    }
}

fn statement_text(statement: &Statement, long: usize) -> String {
    let mut text = statement.sql.clone();
    for (i, bind) in statement.binds.iter().enumerate() {
        let listed = bind.name == "approved" && bind.value.len() > long;
        let value = if listed { "the identity columns of the rows listed here" } else { &bind.value };
        text.push_str(&format!("\n-- ${} ({}) = {value}", i + 1, bind.name));
    }
    text
}

fn call_text(call: &HttpCall) -> String {
    let headers: String = call.headers.iter().map(|(k, v)| format!("\n  {k}: {v}")).collect();
    let body = call.body.as_ref().map(|b| format!("\n  {b}")).unwrap_or_default();
    format!("{} {}{headers}{body}", call.method.word(), call.path)
}

/// Words with anything but plain characters stand in quotes, so that where one ends can be seen.
fn program_text(program: &Program) -> String {
    let plain = |w: &str| !w.is_empty() && w.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c));
    let word = |w: &String| if plain(w) { w.clone() } else { format!("{w:?}") };
    std::iter::once(&program.path).chain(&program.args).map(word).collect::<Vec<_>>().join(" ")
}

/// Rows that say only how often something was done.
#[must_use]
pub fn counted(column: &str, n: u64) -> Rows {
    Rows { columns: vec![column.to_owned()], rows: vec![vec![Some(n.to_string())]], beyond: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> Values {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn call(path: &str) -> HttpAsk {
        serde_json::from_value(serde_json::json!({"path": path})).unwrap()
    }

    #[test]
    fn a_value_stays_in_its_place() {
        let mut ask = call("/users/{id}?since={t}");
        ask.json = Some(serde_json::json!({"name": "{id}", "deep": [{"x": "{t}"}]}));
        let hostile = values(&[("id", "../admin?x=1&\"},{"), ("t", "{id}")]);
        let Deed::Http(calls) = Ask::Http(&ask).deed(&hostile, &[], Span::seconds(1)).unwrap() else { panic!() };
        assert_eq!(calls[0].path, "/users/..%2Fadmin%3Fx%3D1%26%22%7D%2C%7B?since=%7Bid%7D");
        let body: Value = serde_json::from_str(calls[0].body.as_ref().unwrap()).unwrap();
        assert_eq!(body, serde_json::json!({"name": "../admin?x=1&\"},{", "deep": [{"x": "{id}"}]}));
        assert_eq!(percent(".."), "%2E%2E");
    }

    #[test]
    fn a_number_in_a_json_body_is_a_number_or_stays_a_text() {
        let mut ask = call("/restore");
        ask.json = Some(serde_json::json!({"at": "{at:number}", "odd": "{odd:number}", "in": "x {at:number}"}));
        assert_eq!(Ask::Http(&ask).placeholders(), ["at", "odd"]);
        let given = values(&[("at", "1763805600"), ("odd", "1}, \"x\": {")]);
        let Deed::Http(calls) = Ask::Http(&ask).deed(&given, &[], Span::seconds(1)).unwrap() else { panic!() };
        let body: Value = serde_json::from_str(calls[0].body.as_ref().unwrap()).unwrap();
        assert_eq!(body, serde_json::json!({"at": 1_763_805_600, "odd": "1}, \"x\": {", "in": "x {at:number}"}));
    }

    #[test]
    fn one_call_for_every_approved_row() {
        let mut ask = call("/events/{id}/retry");
        ask.each = true;
        let row = |id: &str| BTreeMap::from([("id".to_owned(), Some(id.to_owned()))]);
        let Deed::Http(calls) = Ask::Http(&ask).deed(&values(&[]), &[row("a"), row("b")], Span::seconds(1)).unwrap()
        else {
            panic!()
        };
        assert_eq!(calls.iter().map(|c| c.path.as_str()).collect::<Vec<_>>(), ["/events/a/retry", "/events/b/retry"]);
        ask.each = false;
        let refused = Ask::Http(&ask).deed(&values(&[]), &[row("a"), row("b")], Span::seconds(1));
        assert!(refused.unwrap_err().contains("acts on one"));
        assert!(Ask::Http(&ask).deed(&values(&[]), &[], Span::seconds(1)).unwrap_err().contains("{id}"));
    }

    #[test]
    fn words_are_words_whatever_they_hold() {
        let run =
            ProcessAsk { pipe: vec![vec!["gpg".into(), "-o".into(), "{file}".into()]], stdin: None, columns: vec![] };
        let deed = Ask::Process(&run).deed(&values(&[("file", "a b; rm -rf /")]), &[], Span::seconds(1)).unwrap();
        assert_eq!(deed.text(100), "gpg -o \"a b; rm -rf /\"");
        let Deed::Process(pipeline) = deed else { panic!() };
        assert_eq!(pipeline.programs[0].args, ["-o", "a b; rm -rf /"]);
    }
}
