//! Values. Takes a column's type and its binary bytes; gives the text PostgreSQL itself would print in
//! UTC and ISO style, so that a value bound back as text and cast is the same value again.

use sqlx::postgres::{PgTypeInfo, PgTypeKind};

/// PostgreSQL counts from here.
const EPOCH: jiff::civil::Date = jiff::civil::Date::constant(2000, 1, 1);
const DAY_MICROS: i64 = 86_400_000_000;

/// How a type's bytes become text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    Bool,
    Int,
    Unsigned,
    Float4,
    Float8,
    Numeric,
    Text,
    Jsonb,
    Time,
    Timestamp,
    TimestampTz,
    Date,
    Interval,
    Uuid,
    Inet,
    Lsn,
    Void,
    TextArray,
    IntArray,
}

/// The form of a column's type; `None` if it has to be cast to text in the statement.
pub(super) fn form(kind: &PgTypeInfo) -> Option<Form> {
    if matches!(kind.kind(), PgTypeKind::Enum(_)) {
        return Some(Form::Text);
    }
    // Object ids of built-in types never change.
    Some(match kind.oid()?.0 {
        16 => Form::Bool,
        20 | 21 | 23 => Form::Int,
        26 | 28 | 5069 => Form::Unsigned,
        700 => Form::Float4,
        701 => Form::Float8,
        1700 => Form::Numeric,
        18 | 19 | 25 | 114 | 705 | 1042 | 1043 => Form::Text,
        3802 => Form::Jsonb,
        1083 => Form::Time,
        1114 => Form::Timestamp,
        1184 => Form::TimestampTz,
        1082 => Form::Date,
        1186 => Form::Interval,
        2950 => Form::Uuid,
        650 | 869 => Form::Inet,
        3220 => Form::Lsn,
        2278 => Form::Void,
        1003 | 1009 | 1015 => Form::TextArray,
        1005 | 1007 | 1016 => Form::IntArray,
        _ => return None,
    })
}

/// The text of a value; `None` if the bytes are not what the form says or no text can be exact.
pub(super) fn text(form: Form, bytes: &[u8]) -> Option<String> {
    Some(match form {
        Form::Bool => (*bytes.first()? != 0).to_string(),
        Form::Int => signed(bytes)?.to_string(),
        Form::Unsigned => bytes.iter().fold(0u64, |n, b| n << 8 | u64::from(*b)).to_string(),
        Form::Float4 => float(&f32::from_be_bytes(bytes.try_into().ok()?).to_string()),
        Form::Float8 => float(&f64::from_be_bytes(bytes.try_into().ok()?).to_string()),
        Form::Numeric => numeric(bytes)?,
        // Only the one-byte `"char"` can hold a zero byte, and PostgreSQL prints nothing for it.
        Form::Text => std::str::from_utf8(bytes).ok()?.trim_end_matches('\0').to_owned(),
        Form::Jsonb => std::str::from_utf8(bytes.strip_prefix(&[1])?).ok()?.to_owned(),
        Form::Time => clock(signed(bytes)?),
        Form::Timestamp => timestamp(signed(bytes)?)?,
        Form::TimestampTz => match timestamp(signed(bytes)?)? {
            infinite if infinite.ends_with('y') => infinite,
            finite => finite + "+00",
        },
        Form::Date => date(i32::from_be_bytes(bytes.try_into().ok()?))?,
        Form::Interval => interval(bytes)?,
        Form::Uuid => uuid(bytes)?,
        Form::Inet => inet(bytes)?,
        Form::Lsn => format!("{:X}/{:X}", be32(bytes, 0)?, be32(bytes, 4)?),
        Form::Void => String::new(),
        Form::TextArray => array(bytes, Form::Text)?,
        Form::IntArray => array(bytes, Form::Int)?,
    })
}

fn signed(bytes: &[u8]) -> Option<i64> {
    Some(match bytes.len() {
        2 => i64::from(i16::from_be_bytes(bytes.try_into().ok()?)),
        4 => i64::from(i32::from_be_bytes(bytes.try_into().ok()?)),
        8 => i64::from_be_bytes(bytes.try_into().ok()?),
        _ => return None,
    })
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn be16(bytes: &[u8], at: usize) -> Option<i16> {
    Some(i16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn float(rust: &str) -> String {
    match rust {
        "inf" => "Infinity".to_owned(),
        "-inf" => "-Infinity".to_owned(),
        other => other.to_owned(),
    }
}

/// Digits in base 10,000: `count weight sign scale digit…`.
fn numeric(bytes: &[u8]) -> Option<String> {
    let (count, weight) = (usize::try_from(be16(bytes, 0)?).ok()?, i32::from(be16(bytes, 2)?));
    let sign = match be16(bytes, 4)?.cast_unsigned() {
        0x0000 => "",
        0x4000 => "-",
        0xC000 => return Some("NaN".to_owned()),
        0xD000 => return Some("Infinity".to_owned()),
        0xF000 => return Some("-Infinity".to_owned()),
        _ => return None,
    };
    let scale = usize::try_from(be16(bytes, 6)?).ok()?;
    let digits = (0..count).map(|i| be16(bytes, 8 + 2 * i)).collect::<Option<Vec<_>>>()?;
    // The digit worth 10,000^place.
    let digit =
        |place: i32| usize::try_from(weight - place).ok().and_then(|i| digits.get(i)).copied().unwrap_or_default();
    let whole: String = (0..=weight.max(0)).rev().map(|p| format!("{:04}", digit(p))).collect();
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let groups = i32::try_from(scale.div_ceil(4)).ok()?;
    let fraction: String = (1..=groups).map(|p| format!("{:04}", digit(-p))).collect();
    let dot = if scale > 0 { "." } else { "" };
    Some(format!("{sign}{whole}{dot}{}", fraction.get(..scale)?))
}

fn timestamp(micros: i64) -> Option<String> {
    match micros {
        i64::MAX => return Some("infinity".to_owned()),
        i64::MIN => return Some("-infinity".to_owned()),
        _ => {}
    }
    let days = i32::try_from(micros.div_euclid(DAY_MICROS)).ok()?;
    Some(format!("{} {}", date(days)?, clock(micros.rem_euclid(DAY_MICROS))))
}

fn date(days: i32) -> Option<String> {
    match days {
        i32::MAX => return Some("infinity".to_owned()),
        i32::MIN => return Some("-infinity".to_owned()),
        _ => {}
    }
    let since = jiff::Span::new().try_days(days).ok()?;
    let day = EPOCH.checked_add(since).ok()?;
    (day.year() > 0).then(|| format!("{:04}-{:02}-{:02}", day.year(), day.month(), day.day()))
}

/// `04:05:06.789`; hours may exceed a day, as in intervals.
fn clock(micros: i64) -> String {
    let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
    let fraction = if rest == 0 { String::new() } else { format!(".{rest:06}").trim_end_matches('0').to_owned() };
    format!("{:02}:{:02}:{:02}{fraction}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// PostgreSQL's own style: a part after a negative one carries its sign.
fn interval(bytes: &[u8]) -> Option<String> {
    let micros = signed(bytes.get(..8)?)?;
    let (days, months) = (signed(bytes.get(8..12)?)?, signed(bytes.get(12..16)?)?);
    let mut parts: Vec<String> = Vec::new();
    let mut before_negative = false;
    for (n, one, many) in [(months / 12, "year", "years"), (months % 12, "mon", "mons"), (days, "day", "days")] {
        if n != 0 {
            let plus = if before_negative && n > 0 { "+" } else { "" };
            parts.push(format!("{plus}{n} {}", if n == 1 { one } else { many }));
            before_negative = n < 0;
        }
    }
    if micros != 0 || parts.is_empty() {
        let sign = match () {
            () if micros < 0 => "-",
            () if before_negative => "+",
            () => "",
        };
        parts.push(format!("{sign}{}", clock(micros.checked_abs()?)));
    }
    Some(parts.join(" "))
}

fn uuid(bytes: &[u8]) -> Option<String> {
    let hex = hex::encode(bytes);
    let part = |from, to| hex.get(from..to);
    Some([part(0, 8)?, part(8, 12)?, part(12, 16)?, part(16, 20)?, part(20, 32)?].join("-"))
}

/// `family bits is_cidr length address`; the mask is shown unless it is a whole host's.
fn inet(bytes: &[u8]) -> Option<String> {
    let (bits, cidr, address) = (*bytes.get(1)?, *bytes.get(2)? != 0, bytes.get(4..)?);
    let (text, all) = match address.len() {
        4 => (std::net::Ipv4Addr::from(<[u8; 4]>::try_from(address).ok()?).to_string(), 32),
        16 => (std::net::Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?).to_string(), 128),
        _ => return None,
    };
    Some(if cidr || bits != all { format!("{text}/{bits}") } else { text })
}

/// One-dimensional arrays: `dimensions nulls type length bound (size value)…`.
fn array(bytes: &[u8], element: Form) -> Option<String> {
    match be32(bytes, 0)? {
        0 => return Some("{}".to_owned()),
        1 => {}
        _ => return None,
    }
    let mut at = 20;
    let mut items = Vec::new();
    for _ in 0..be32(bytes, 12)? {
        let size = be32(bytes, at)?;
        at += 4;
        if size == u32::MAX {
            items.push("NULL".to_owned());
            continue;
        }
        let size = usize::try_from(size).ok()?;
        items.push(quoted(&text(element, bytes.get(at..at + size)?)?));
        at += size;
    }
    Some(format!("{{{}}}", items.join(",")))
}

fn quoted(item: &str) -> String {
    let plain = !item.is_empty()
        && !item.eq_ignore_ascii_case("null")
        && !item.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\\' | '{' | '}' | ','));
    if plain {
        return item.to_owned();
    }
    format!("\"{}\"", item.replace('\\', "\\\\").replace('"', "\\\""))
}
