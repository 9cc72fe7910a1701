//! A list of backups, judged as one: how old the data in the newest sound one is, how large it is against
//! the one before it, how many there are. Takes a list as JSON and a time; gives one row for expectations and
//! figures. A backup's age is that of the data inside, never that of a copy; names do not sort by time.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::expect::Rows;
use super::schema::Scalar;
use super::statement::fill;
use super::time::{Millis, Span};

/// A time this far ahead may be two clocks that differ; beyond it nobody knows what it is.
const AHEAD: Span = Span::minutes(5);

/// What stands where there is no backup.
const NONE: &str = "none";

/// The columns of the only row.
pub const COLUMNS: [&str; 9] = ["key", "taken_at", "age", "fresh", "sound", "kept", "size", "change", "note"];

/// Where an answer lists backups. The answer of a `list` has what the defaults name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backups {
    /// RFC 6901 pointer to the list; empty for the whole answer.
    #[serde(default)]
    pub at: String,
    /// Pointers inside each element: its name, the time of the data inside (RFC 3339, or seconds since
    /// 1970), and its size.
    #[serde(default = "key")]
    pub key: String,
    #[serde(default = "taken_at")]
    pub taken_at: String,
    #[serde(default = "bytes")]
    pub bytes: String,
    /// Only elements that carry these texts at these pointers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Scalar>")]
    pub only: BTreeMap<String, String>,
    /// Pointer to the time up to which a continuous backup reaches, beside the list; it may be absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<String>,
    /// Only data newer than this time is young enough, such as `{taken_at}` of an approved row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Data that is older than so many hours is too old; usually `{rpo_hours}`.
    #[schemars(with = "Scalar")]
    pub within_hours: String,
}

fn key() -> String {
    "/key".into()
}

fn taken_at() -> String {
    "/taken_at".into()
}

fn bytes() -> String {
    "/bytes".into()
}

/// One backup with a known time.
struct One {
    key: String,
    at: Millis,
    bytes: Option<u64>,
    /// What is wrong with it; empty if nothing is.
    why: String,
}

impl Backups {
    /// The same with `{name}` filled in.
    #[must_use]
    pub fn with(&self, values: &BTreeMap<String, String>) -> Backups {
        let after = self.after.as_ref().map(|t| fill(t, values));
        Backups { within_hours: fill(&self.within_hours, values), after, ..self.clone() }
    }

    /// The row that says how things stand, with `COLUMNS`. It is there even if there is no backup: `fresh` is
    /// `true` if the newest sound one is young enough, `sound` if nothing is wrong with the newest of all.
    ///
    /// # Errors
    /// The answer has no such list, or the limit is no number; a text for people.
    pub fn judged(&self, json: Option<&Value>, now: Millis) -> Result<Rows, String> {
        let json = json.ok_or("the answer is not JSON, or longer than its cap")?;
        let found = json.pointer(&self.at).ok_or_else(|| format!("the answer has nothing at `{}`", self.at))?;
        let list = found.as_array().ok_or_else(|| format!("`{}` is no list of backups", self.at))?;
        let within: i64 = self.within_hours.parse().map_err(|_| {
            format!("`within_hours` is `{}`: write a whole number of hours", self.within_hours.escape_debug())
        })?;
        let after = self.after.as_deref().filter(|t| *t != NONE).map(|t| {
            let time = t.parse::<jiff::Timestamp>().map(|t| Millis(t.as_millisecond()));
            time.map_err(|_| format!("`after` is `{}`, which is no time", t.escape_debug()))
        });
        let after = after.transpose()?;
        let (mut all, undated) = self.known(list, json);
        all.sort_by(|a, b| (a.at, &a.key).cmp(&(b.at, &b.key)));
        weigh(&mut all, now);
        Ok(row(&all, undated, Moment { now, within: Span(within.saturating_mul(3_600_000)), after }))
    }

    /// The backups whose time is known, and how many others there are.
    fn known(&self, list: &[Value], json: &Value) -> (Vec<One>, usize) {
        let wanted = |e: &&Value| self.only.iter().all(|(p, is)| e.pointer(p).and_then(text).as_ref() == Some(is));
        let one = |e: &Value| {
            Some(One {
                at: moment(e.pointer(&self.taken_at)?)?,
                key: e.pointer(&self.key).and_then(text).unwrap_or_default(),
                bytes: e.pointer(&self.bytes).and_then(Value::as_u64),
                why: e.pointer("/why").and_then(text).unwrap_or_default(),
            })
        };
        let listed: Vec<Option<One>> = list.iter().filter(wanted).map(one).collect();
        let undated = listed.iter().filter(|o| o.is_none()).count();
        let latest = self.latest.as_ref().and_then(|p| moment(json.pointer(p)?));
        let latest = latest.map(|at| One { key: "continuous".into(), at, bytes: None, why: String::new() });
        (listed.into_iter().flatten().chain(latest).collect(), undated)
    }
}

/// Says of each what is wrong with it, given the one before. Where no size is known none is judged.
fn weigh(all: &mut [One], now: Millis) {
    let sized = all.iter().any(|o| o.bytes.is_some());
    let mut before: Option<u64> = None;
    for one in all {
        let small = match (one.bytes, before) {
            (Some(0), _) => "it is empty".to_owned(),
            (None, _) if sized && one.key != "continuous" => "its size is not known".to_owned(),
            (Some(n), Some(last)) if n.saturating_mul(2) < last => {
                format!("it has {} % of the bytes of the one before", share(n, last))
            }
            _ => String::new(),
        };
        before = one.bytes.filter(|n| *n > 0).or(before);
        if one.why.is_empty() {
            one.why = if one.at > now.plus(AHEAD) { "its time is in the future".to_owned() } else { small };
        }
    }
}

/// When it is judged, and by what.
struct Moment {
    now: Millis,
    within: Span,
    after: Option<Millis>,
}

fn row(all: &[One], undated: usize, moment: Moment) -> Rows {
    let sound: Vec<&One> = all.iter().filter(|o| o.why.is_empty()).collect();
    let newest = sound.last();
    let age = newest.map(|o| moment.now.since(o.at));
    let mut note = String::new();
    let later = all.iter().rev().take_while(|o| !o.why.is_empty()).collect::<Vec<_>>();
    if let Some(bad) = later.first() {
        let _ = write!(note, "; {} is newer and no backup: {}", bad.key, bad.why);
    }
    if undated > 0 {
        let _ = write!(note, "; {undated} without a known time");
    }
    let fresh = |o: &&&One| moment.now.since(o.at) <= moment.within && moment.after.is_none_or(|a| o.at > a);
    let none = || NONE.to_owned();
    let cells = [
        newest.map_or_else(none, |o| o.key.clone()),
        newest.map_or_else(none, |o| rfc3339(o.at)),
        age.map_or_else(none, whole),
        newest.as_ref().is_some_and(fresh).to_string(),
        (newest.is_some() && later.is_empty()).to_string(),
        sound.len().to_string(),
        newest.and_then(|o| o.bytes).map_or_else(|| "size not told".to_owned(), size),
        change(&sound),
        note,
    ];
    Rows { columns: COLUMNS.map(str::to_owned).to_vec(), rows: vec![cells.map(Some).to_vec()], beyond: 0 }
}

/// An age in whole hours or days: minutes are no news here, but a young backup has them.
fn whole(age: Span) -> String {
    let hour = 3_600_000;
    if age.0 < hour { Span(age.0 / 60_000 * 60_000).human() } else { Span(age.0 / hour * hour).human() }
}

/// How the newest compares with the one before it.
fn change(sound: &[&One]) -> String {
    let [.., before, newest] = sound else { return "no other to compare with".to_owned() };
    match (before.bytes, newest.bytes) {
        (Some(b), Some(n)) if b > 0 => match share(n, b) {
            100 => "as large as the one before".to_owned(),
            more @ 101.. => format!("{} % larger than the one before", more - 100),
            less => format!("{} % smaller than the one before", 100 - less),
        },
        _ => "no size to compare".to_owned(),
    }
}

/// What `n` is of `whole`, in percent, rounded.
fn share(n: u64, whole: u64) -> u64 {
    u64::try_from((u128::from(n) * 200 + u128::from(whole)) / (u128::from(whole.max(1)) * 2)).unwrap_or(u64::MAX)
}

/// `1.2 GB`.
fn size(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut at = 0;
    let mut unit = 1_u64;
    while at + 1 < units.len() && bytes >= unit * 1_000 {
        unit *= 1_000;
        at += 1;
    }
    let tenths = bytes / (unit / 10).max(1) % 10;
    if at == 0 || bytes / unit >= 100 {
        format!("{} {}", bytes / unit, units[at])
    } else {
        format!("{}.{tenths} {}", bytes / unit, units[at])
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn rfc3339(at: Millis) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(|_| NONE.to_owned(), |t| t.to_string())
}

/// A time as RFC 3339 or in seconds since 1970.
fn moment(value: &Value) -> Option<Millis> {
    match value {
        Value::Number(n) => n.as_i64()?.checked_mul(1_000).map(Millis),
        Value::String(t) => t.parse::<jiff::Timestamp>().ok().map(|t| Millis(t.as_millisecond())),
        _ => None,
    }
}

/// The time that a name carries: `2026-11-22`, `20261122T030000Z`, `2026/11/22/03-00.gz` and the like, in UTC.
/// A day alone is its first moment. Of several days the earliest counts: a copy may carry a later one.
#[must_use]
pub fn time_in(key: &str) -> Option<Millis> {
    let bytes = key.as_bytes();
    let starts = (0..bytes.len()).filter(|i| *i == 0 || !bytes[i - 1].is_ascii_digit());
    let found: Vec<(i64, i64)> = starts.filter_map(|i| day_and_time(&bytes[i..])).collect();
    let day = found.iter().map(|(day, _)| *day).min()?;
    let within = found.iter().filter(|(d, _)| *d == day).map(|(_, time)| *time).max()?;
    Some(Millis(day + within))
}

/// Milliseconds of the day and within the day at the beginning of a text.
fn day_and_time(text: &[u8]) -> Option<(i64, i64)> {
    let (year, rest) = digits(text, 4)?;
    let (month, rest) = digits(gap(rest, b"-_/."), 2)?;
    let (day, rest) = digits(gap(rest, b"-_/."), 2)?;
    let date = jiff::civil::Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?);
    let start = date.ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond();
    if !(2_000..2_200).contains(&year) {
        return None;
    }
    let clock = |rest| {
        let (hour, rest) = digits(gap(rest, b"T-_/ "), 2)?;
        let (minute, rest) = digits(gap(rest, b"-:."), 2)?;
        let (second, rest) = digits(gap(rest, b"-:."), 2).unwrap_or((0, rest));
        let whole = !rest.first().is_some_and(u8::is_ascii_digit) && hour < 24 && minute < 60 && second < 60;
        whole.then_some((hour * 3_600 + minute * 60 + second) * 1_000)
    };
    match clock(rest) {
        Some(time) => Some((start, time)),
        // Eight digits that go on are no day.
        None => (!rest.first().is_some_and(u8::is_ascii_digit)).then_some((start, 0)),
    }
}

fn gap<'t>(text: &'t [u8], signs: &[u8]) -> &'t [u8] {
    if text.first().is_some_and(|b| signs.contains(b)) { &text[1..] } else { text }
}

fn digits(text: &[u8], count: usize) -> Option<(i64, &[u8])> {
    let number = text.get(..count).filter(|d| d.iter().all(u8::is_ascii_digit))?;
    Some((std::str::from_utf8(number).ok()?.parse().ok()?, &text[count..]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn backups(more: &Value) -> Backups {
        let mut all = json!({"within_hours": "24"});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    fn now() -> Millis {
        moment(&json!("2026-11-22T12:00:00Z")).unwrap()
    }

    fn of(list: Value) -> BTreeMap<String, String> {
        backups(&json!({})).judged(Some(&list), now()).unwrap().first()
    }

    fn element(key: &str, taken_at: &str, bytes: u64) -> Value {
        json!({"key": key, "taken_at": taken_at, "bytes": bytes})
    }

    #[test]
    fn the_newest_is_by_the_time_of_its_data_and_not_by_name() {
        let got = of(json!([
            element("z-old", "2026-11-20T09:00:00Z", 900),
            element("a-new", "2026-11-22T09:00:00Z", 1_030_000),
            element("m-middle", "2026-11-21T09:00:00Z", 1_000_000),
        ]));
        let told = ["key", "age", "fresh", "sound", "kept", "size", "change", "note"].map(|c| got[c].as_str());
        assert_eq!(told, ["a-new", "3 h", "true", "true", "3", "1.0 MB", "3 % larger than the one before", ""]);
    }

    #[test]
    fn what_is_empty_too_small_or_from_the_future_is_no_backup() {
        let good = || element("good", "2026-11-22T09:00:00Z", 1_000);
        let cases = [
            (element("bad", "2026-11-22T10:00:00Z", 0), "bad is newer and no backup: it is empty"),
            (element("bad", "2026-11-22T10:00:00Z", 499), "it has 50 % of the bytes of the one before"),
            (element("bad", "2026-11-22T12:06:00Z", 1_000), "its time is in the future"),
            (json!({"key": "bad", "taken_at": "2026-11-22T10:00:00Z"}), "its size is not known"),
        ];
        for (bad, said) in cases {
            let got = of(json!([bad, good()]));
            assert_eq!((&*got["key"], &*got["sound"], &*got["fresh"]), ("good", "false", "true"), "{said}: {got:?}");
            assert!(got["note"].contains(said), "{said}: {got:?}");
        }
        let half = of(json!([element("half", "2026-11-22T10:00:00Z", 500), good()]));
        assert_eq!((&*half["key"], &*half["sound"]), ("half", "true"));
        assert_eq!(half["change"], "50 % smaller than the one before");
    }

    #[test]
    fn an_old_one_and_none_at_all_are_not_fresh() {
        let at = |t: &str| of(json!([element("a", t, 5)]))["fresh"].clone();
        assert_eq!([at("2026-11-21T12:00:00Z"), at("2026-11-21T11:59:59Z")], ["true", "false"]);
        let none = of(json!([{"key": "readme.txt", "bytes": 5}]));
        assert_eq!((&*none["age"], &*none["fresh"], &*none["sound"], &*none["kept"]), ("none", "false", "false", "0"));
        assert_eq!(none["note"], "; 1 without a known time");
    }

    #[test]
    fn a_newer_one_is_newer_than_the_one_before() {
        let list = json!([element("a", "2026-11-22T09:00:00Z", 5)]);
        let fresh = |after: &str| {
            backups(&json!({"after": after})).judged(Some(&list), now()).map(|r| r.first()["fresh"].clone())
        };
        let asked = ["2026-11-22T08:59:59Z", "2026-11-22T09:00:00Z", "none"].map(|t| fresh(t).unwrap());
        assert_eq!(asked, ["true", "false", "true"]);
        assert!(fresh("yesterday").is_err());
        assert_eq!(of(list)["taken_at"], "2026-11-22T09:00:00Z");
    }

    #[test]
    fn a_vendors_answer_has_daily_ones_or_a_continuous_one() {
        let at = backups(&json!({"at": "/backups", "key": "/id", "taken_at": "/inserted_at",
            "only": {"/status": "COMPLETED"}, "latest": "/physical/latest"}));
        let daily = json!({"physical": {}, "backups": [
            {"id": 7, "status": "COMPLETED", "inserted_at": "2026-11-22T02:00:00Z"},
            {"id": 8, "status": "FAILED", "inserted_at": "2026-11-22T11:00:00Z"}]});
        let got = at.judged(Some(&daily), now()).unwrap().first();
        assert_eq!((&*got["key"], &*got["age"], &*got["sound"]), ("7", "10 h", "true"));
        let continuous = json!({"physical": {"latest": now().0 / 1_000 - 120}, "backups": []});
        let got = at.judged(Some(&continuous), now()).unwrap().first();
        assert_eq!((&*got["key"], &*got["age"], &*got["fresh"]), ("continuous", "2 min", "true"));
        assert!(at.judged(Some(&json!({"message": "gone"})), now()).unwrap_err().contains("/backups"));
        assert!(at.judged(None, now()).is_err());
    }

    #[test]
    fn a_name_carries_a_time_or_none() {
        let at = |t: &str| moment(&json!(t));
        let cases = [
            ("backups/daily/2025-01-14/full-database.sql.gz.pgp", at("2025-01-14T00:00:00Z")),
            ("saas-20261122T030405Z.sql.gz.gpg", at("2026-11-22T03:04:05Z")),
            ("2026/11/22/03-00.gz", at("2026-11-22T03:00:00Z")),
            ("2026/11/22/db-2026-11-22_03.15.sql", at("2026-11-22T03:15:00Z")),
            ("db-2026-11-20-copied-2026-11-22.gz", at("2026-11-20T00:00:00Z")),
            ("20261122.gz", at("2026-11-22T00:00:00Z")),
            ("202611220300.gz", at("2026-11-22T03:00:00Z")),
            ("backups/monthly/2025-01/full.sql", None),
            ("20261322.gz", None),
            ("120261122.gz", None),
            ("2026112233.gz", None),
            ("readme", None),
        ];
        for (key, wanted) in cases {
            assert_eq!(time_in(key), wanted, "{key}");
        }
    }

    #[test]
    fn sizes_are_short() {
        let shown = [0, 999, 1_000, 1_250_000, 99_950_000, 123_456_789, 1_200_000_000].map(size);
        assert_eq!(shown, ["0 B", "999 B", "1.0 kB", "1.2 MB", "99.9 MB", "123 MB", "1.2 GB"]);
    }
}
