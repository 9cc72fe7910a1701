//! HTTP calls as data. Takes a call with its path already rendered, and what came back; says whether
//! the answer is what the runbook expects, and why not. Sending is done elsewhere.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::backups::Backups;
use super::expect::Rows;
use super::schema::Scalar;
use super::statement::fill;
use super::time::{Millis, Span};

/// What is asked of the resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }

    /// Whether it only reads, so that it has no body and may be asked again.
    #[must_use]
    pub fn reads(self) -> bool {
        matches!(self, Method::Get | Method::Head)
    }
}

/// One call to a declared target: the exact bytes, without the target's secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpCall {
    pub method: Method,
    /// Path and query below the target's base, beginning with `/`, already percent-encoded.
    pub path: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The text of a JSON value or, with `form`, of a form; sent as it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The body is `application/x-www-form-urlencoded`.
    #[serde(default)]
    pub form: bool,
    /// From the look-up of the name to the last byte read.
    pub timeout: Span,
    /// Bytes of the answer's body that are kept; what is beyond is not read.
    pub cap_bytes: u64,
    /// How the answer becomes rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<RowsAt>,
    /// List an object store below the path, page after page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<Listing>,
    /// The answer is a list of backups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backups: Option<Backups>,
}

impl HttpCall {
    /// Whether its answer becomes rows of its own.
    #[must_use]
    pub fn lists(&self) -> bool {
        self.rows.is_some() || self.backups.is_some()
    }
}

/// How an object store is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    /// The object, below `path`, that says of each backup its `key`, `bytes` and `taken_at`. Without it the
    /// time is the one that the key carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// Most objects that are listed. If there are more, nothing is judged.
    #[serde(default = "ten_thousand")]
    pub at_most: u64,
}

fn ten_thousand() -> u64 {
    10_000
}

/// A list inside an answer, and what of each element makes a row.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowsAt {
    /// RFC 6901 pointer to the list, or to one object; empty for the whole answer.
    #[serde(default)]
    pub at: String,
    /// Column to a pointer inside the element.
    pub columns: BTreeMap<String, String>,
    /// Only elements that carry these texts at these pointers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Scalar>")]
    pub only: BTreeMap<String, String>,
    /// No elements that carry one of these texts, separated by commas, at these pointers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Scalar>")]
    pub without: BTreeMap<String, String>,
    /// The list comes in pages, and all of them are wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages: Option<Pages>,
}

/// How the next page of a list is asked for: the same call, with the last element's name in its query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pages {
    /// Pointer to the boolean in the answer that says whether there is more.
    pub more: String,
    /// Pointer inside the last element to what names it.
    pub cursor: String,
    /// The key of the query that takes that name.
    pub query: String,
}

/// What came back, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpAnswer {
    pub status: u16,
    /// From the look-up of the name to the last byte read.
    pub latency: Span,
    /// At most the call's cap; bytes that are not UTF-8 are replaced.
    pub body: String,
    /// The body went on beyond the cap.
    pub truncated: bool,
    /// The whole body, if it was all there and is JSON; of a store, the same as JSON.
    pub json: Option<Value>,
    /// When it came.
    #[serde(default)]
    pub at: Millis,
}

/// What an answer must be. All given parts must hold; without `status` any 2xx is right.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpExpect {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Vec<u16>>,
    /// Statuses that say nothing about the system's health, such as 401 for a wrong key: could not check.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub no_verdict: Vec<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_at_most: Option<Span>,
    /// A call that arrived and got no whole answer in time is a failure, not something that could not be
    /// checked: for a system whose slowness is the very question.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub silence_fails: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub json: Vec<JsonExpect>,
}

/// What one value inside the answer must be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonExpect {
    /// RFC 6901, such as `/status/indicator`.
    pub pointer: String,
    /// The text, number or boolean that must stand there, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Scalar>")]
    pub is: Option<String>,
    /// One of these must stand there, as text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<Scalar>")]
    pub any_of: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<i64>,
}

impl HttpExpect {
    /// Whether nothing is said beyond "any 2xx".
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == HttpExpect::default()
    }

    /// `Ok(true)` if the answer is as expected, `Ok(false)` if it is not, and an error if that cannot
    /// be told: no JSON, a body that was cut, a missing or null value, a value of another type.
    ///
    /// # Errors
    /// A text for people that names the pointer.
    pub fn holds(&self, got: &HttpAnswer) -> Result<bool, String> {
        if self.no_verdict.contains(&got.status) {
            return Err(format!("answered {}, which says nothing about its health: check key and path", got.status));
        }
        let wanted = match &self.status {
            None => (200..300).contains(&got.status),
            Some(list) if list.is_empty() => return Err("`status` names no status".to_owned()),
            Some(list) => list.contains(&got.status),
        };
        // An outage page is seldom JSON: the status has said enough.
        if !wanted || self.latency_at_most.is_some_and(|most| got.latency > most) {
            return Ok(false);
        }
        let mut all = true;
        for part in &self.json {
            all &= part.holds(got)?;
        }
        Ok(all)
    }
}

impl JsonExpect {
    fn holds(&self, got: &HttpAnswer) -> Result<bool, String> {
        let at = &self.pointer;
        well_formed(at)?;
        if self.is.is_none() && self.any_of.is_empty() && self.at_most.is_none() && self.at_least.is_none() {
            return Err(format!("nothing is expected at `{at}`: give is, any_of, at_most or at_least"));
        }
        let json = got.json.as_ref().ok_or_else(|| match got.truncated {
            true => "the answer is longer than its cap, so its JSON cannot be judged".to_owned(),
            false => "the answer is not JSON".to_owned(),
        })?;
        let value = json.pointer(at).ok_or_else(|| format!("the answer has nothing at `{at}`"))?;
        let mut holds = true;
        if self.is.is_some() || !self.any_of.is_empty() {
            let text = text_of(at, value)?;
            holds &= self.is.as_ref().is_none_or(|is| *is == text);
            holds &= self.any_of.is_empty() || self.any_of.contains(&text);
        }
        if self.at_most.is_some() || self.at_least.is_some() {
            let number = value.as_i64().ok_or_else(|| format!("`{at}` is {}, not a whole number", kind(value)))?;
            holds &= self.at_most.is_none_or(|m| number <= m) && self.at_least.is_none_or(|m| number >= m);
        }
        Ok(holds)
    }
}

impl RowsAt {
    /// The same with `{name}` in the wanted texts filled in.
    #[must_use]
    pub fn with(&self, values: &BTreeMap<String, String>) -> RowsAt {
        let filled = |texts: &BTreeMap<String, String>| {
            texts.iter().map(|(pointer, text)| (pointer.clone(), fill(text, values))).collect()
        };
        RowsAt { only: filled(&self.only), without: filled(&self.without), ..self.clone() }
    }
}

impl HttpAnswer {
    /// The answer to a call as rows.
    ///
    /// # Errors
    /// It has not what the call names; a text for people.
    pub fn rows_of(&self, call: &HttpCall, cap: u64) -> Result<Rows, String> {
        match &call.backups {
            Some(backups) => backups.judged(self.json.as_ref(), self.at),
            None => self.rows(call.rows.as_ref(), cap),
        }
    }

    /// The answer as rows: what `at` names, or one row that says only `status` and `latency`.
    /// An element that lacks a column has NULL there.
    ///
    /// # Errors
    /// There is no such list, or it is not JSON; a text for people.
    pub fn rows(&self, at: Option<&RowsAt>, cap: u64) -> Result<Rows, String> {
        let Some(at) = at else {
            let cells = vec![Some(self.status.to_string()), Some(self.latency.human())];
            return Ok(Rows { columns: vec!["status".into(), "latency".into()], rows: vec![cells], beyond: 0 });
        };
        well_formed(&at.at)?;
        let json = self.json.as_ref().ok_or("the answer is not JSON, or longer than its cap")?;
        let found = json.pointer(&at.at).ok_or_else(|| format!("the answer has nothing at `{}`", at.at))?;
        let list: Vec<&Value> = match found {
            Value::Array(list) => list.iter().collect(),
            Value::Object(_) => vec![found],
            other => return Err(format!("`{}` is {}, neither a list nor an object", at.at, kind(other))),
        };
        let cell = |element: &Value, pointer: &String| element.pointer(pointer).and_then(shown);
        let among = |list: &String, found: String| list.split(',').any(|one| one.trim() == found);
        let wanted = |e: &&&Value| {
            at.only.iter().all(|(p, is)| cell(e, p).as_ref() == Some(is))
                && !at.without.iter().any(|(p, list)| cell(e, p).is_some_and(|found| among(list, found)))
        };
        let all: Vec<Vec<Option<String>>> =
            list.iter().filter(wanted).map(|e| at.columns.values().map(|p| cell(e, p)).collect()).collect();
        let keep = usize::try_from(cap).unwrap_or(usize::MAX).min(all.len());
        let beyond = (all.len() - keep) as u64;
        Ok(Rows { columns: at.columns.keys().cloned().collect(), rows: all.into_iter().take(keep).collect(), beyond })
    }
}

impl RowsAt {
    /// The name that the next page is asked for with; nothing if this was the last.
    ///
    /// # Errors
    /// The answer does not say whether there is more, or does not name its last element; a text for people.
    pub fn next(&self, pages: &Pages, got: &HttpAnswer) -> Result<Option<String>, String> {
        let json = got.json.as_ref().ok_or("the answer is not JSON, or longer than its cap")?;
        match json.pointer(&pages.more) {
            Some(Value::Bool(false)) => return Ok(None),
            Some(Value::Bool(true)) => {}
            _ => return Err(format!("the answer does not say at `{}` whether there is more", pages.more)),
        }
        let last = json.pointer(&self.at).and_then(Value::as_array).and_then(|list| list.last());
        let name = last.and_then(|e| e.pointer(&pages.cursor)).and_then(shown);
        name.map(Some).ok_or_else(|| format!("there is more, and the last element has no name at `{}`", pages.cursor))
    }
}

/// A value as a cell; null is NULL, a list or object its JSON.
fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// A pointer is empty or begins with `/`; `~` stands only in `~0` and `~1`.
fn well_formed(pointer: &str) -> Result<(), String> {
    let slashed = pointer.is_empty() || pointer.starts_with('/');
    let escaped = pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    (slashed && escaped).then_some(()).ok_or_else(|| format!("`{pointer}` is not a JSON pointer: write /name/0"))
}

fn text_of(at: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(format!("`{at}` is {}, not a text", kind(value))),
    }
}

/// What a value is, for people. Its content stays out: it may be a customer's.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(n) if n.is_f64() => "a number with a fraction",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> HttpAnswer {
        let json = serde_json::from_str(body).ok();
        HttpAnswer { status, latency: Span(40), body: body.to_owned(), truncated: false, json, at: Millis(0) }
    }

    fn at(pointer: &str) -> JsonExpect {
        JsonExpect { pointer: pointer.to_owned(), ..JsonExpect::default() }
    }

    fn json(part: JsonExpect) -> HttpExpect {
        HttpExpect { json: vec![part], ..HttpExpect::default() }
    }

    #[test]
    fn a_status_is_any_2xx_unless_named() {
        let default = HttpExpect::default();
        assert!(default.is_empty());
        assert_eq!(default.holds(&answer(204, "")), Ok(true));
        assert_eq!(default.holds(&answer(302, "")), Ok(false));
        let named = HttpExpect { status: Some(vec![401]), ..HttpExpect::default() };
        assert_eq!(named.holds(&answer(401, "")), Ok(true));
        assert_eq!(named.holds(&answer(200, "")), Ok(false));
        assert!(HttpExpect { status: Some(vec![]), ..HttpExpect::default() }.holds(&answer(200, "")).is_err());
    }

    #[test]
    fn a_slow_answer_is_not_as_expected() {
        let within = |ms| HttpExpect { latency_at_most: Some(Span(ms)), ..HttpExpect::default() };
        assert_eq!(within(40).holds(&answer(200, "")), Ok(true));
        assert_eq!(within(39).holds(&answer(200, "")), Ok(false));
    }

    #[test]
    fn values_are_compared_as_text_or_as_whole_numbers() {
        let got = answer(200, r#"{"a":{"b~/c":["none",true,7]}}"#);
        let is = |p: &str, v: &str| json(JsonExpect { is: Some(v.to_owned()), ..at(p) }).holds(&got);
        assert_eq!(is("/a/b~0~1c/0", "none"), Ok(true));
        assert_eq!(is("/a/b~0~1c/0", "minor"), Ok(false));
        assert_eq!(is("/a/b~0~1c/1", "true"), Ok(true));
        assert_eq!(is("/a/b~0~1c/2", "7"), Ok(true));
        let any = JsonExpect { any_of: vec!["minor".into(), "none".into()], ..at("/a/b~0~1c/0") };
        assert_eq!(json(any).holds(&got), Ok(true));
        let bounds = |low, high| json(JsonExpect { at_least: Some(low), at_most: Some(high), ..at("/a/b~0~1c/2") });
        assert_eq!(bounds(7, 7).holds(&got), Ok(true));
        assert_eq!(bounds(8, 9).holds(&got), Ok(false));
        assert_eq!(bounds(1, 6).holds(&got), Ok(false));
    }

    #[test]
    fn what_cannot_be_told_is_never_a_pass() {
        let body =
            r#"{"null":null,"list":[],"object":{},"text":"5","float":1.5,"huge":18446744073709551615,"true":true}"#;
        let got = answer(200, body);
        let cases = [("/null", "null"), ("/gone", "nothing"), ("/list", "list"), ("/object", "object")];
        for (pointer, word) in cases {
            let why = json(JsonExpect { is: Some("null".into()), ..at(pointer) }).holds(&got).unwrap_err();
            assert!(why.contains(word) && why.contains(pointer), "{why}");
        }
        for pointer in ["/null", "/gone", "/list", "/object", "/text", "/float", "/huge", "/true"] {
            assert!(json(JsonExpect { at_least: Some(0), ..at(pointer) }).holds(&got).is_err(), "{pointer}");
        }
        for pointer in ["text", "/a~", "/a~2", "$.text"] {
            assert!(json(JsonExpect { is: Some("5".into()), ..at(pointer) }).holds(&got).is_err(), "{pointer}");
        }
        assert!(json(at("/text")).holds(&got).unwrap_err().contains("nothing is expected"));
        let wanted = json(JsonExpect { is: Some("5".into()), ..at("/text") });
        assert!(wanted.holds(&answer(200, "<html>")).unwrap_err().contains("not JSON"));
        let cut = HttpAnswer { truncated: true, json: None, ..got };
        assert!(wanted.holds(&cut).unwrap_err().contains("cap"));
    }

    #[test]
    fn a_list_inside_an_answer_becomes_rows() {
        let got = answer(200, r#"{"data":[{"id":"a","n":1,"t":"x"},{"id":"b","n":null,"t":"x"},{"id":"c","t":"y"}]}"#);
        let columns = BTreeMap::from([("id".to_owned(), "/id".to_owned()), ("n".to_owned(), "/n".to_owned())]);
        let only = BTreeMap::from([("/t".to_owned(), "x".to_owned())]);
        let at = RowsAt { at: "/data".into(), columns, only, ..RowsAt::default() };
        let rows = got.rows(Some(&at), 1).unwrap();
        assert_eq!(rows.columns, ["id", "n"]);
        assert_eq!((rows.rows, rows.beyond), (vec![vec![Some("a".to_owned()), Some("1".to_owned())]], 1));
        let gone = RowsAt { at: "/rows".into(), ..at };
        assert!(got.rows(Some(&gone), 9).unwrap_err().contains("/rows"));
        assert!(answer(200, "<html>").rows(Some(&gone), 9).is_err());
        assert_eq!(answer(503, "").rows(None, 9).unwrap().first()["status"], "503");
    }

    #[test]
    fn the_next_page_is_named_by_the_last_element_or_the_answer_is_no_list() {
        let pages = Pages { more: "/more".into(), cursor: "/id".into(), query: "after".into() };
        let at = RowsAt { at: "/data".into(), ..RowsAt::default() };
        let next = |body: &str| at.next(&pages, &answer(200, body));
        assert_eq!(next(r#"{"more":true,"data":[{"id":"a"},{"id":"b"}]}"#), Ok(Some("b".to_owned())));
        assert_eq!(next(r#"{"more":false,"data":[]}"#), Ok(None));
        assert!(next(r#"{"data":[{"id":"a"}]}"#).unwrap_err().contains("/more"));
        assert!(next(r#"{"more":true,"data":[]}"#).unwrap_err().contains("no name at `/id`"));
    }

    #[test]
    fn a_file_with_an_unknown_word_is_refused() {
        assert!(serde_json::from_str::<HttpExpect>(r#"{"stauts":[200]}"#).is_err());
        assert!(serde_json::from_str::<JsonExpect>(r#"{"pointer":"/a","equals":"b"}"#).is_err());
        let call = r#"{"method":"get","path":"/","timeout":"5s","cap_bytes":1,"follow":true}"#;
        assert!(serde_json::from_str::<HttpCall>(call).is_err());
    }
}
