//! Points in time and spans of time. Takes milliseconds; gives arithmetic and the short texts people
//! read at 3 a.m. The clock itself lives in `engine`.

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// The point `span` later.
    #[must_use]
    pub fn plus(self, span: Span) -> Millis {
        Millis(self.0.saturating_add(span.0))
    }

    /// How long after `earlier` this is; never negative.
    #[must_use]
    pub fn since(self, earlier: Millis) -> Span {
        Span(self.0.saturating_sub(earlier.0).max(0))
    }

    /// `22:14:05 UTC`, or the year-month-day form for times that cannot be shown.
    #[must_use]
    pub fn clock(self) -> String {
        jiff::Timestamp::from_millisecond(self.0)
            .map_or_else(|_| format!("{} ms", self.0), |t| t.strftime("%H:%M:%S UTC").to_string())
    }

    /// `2026-11-22T22:14:05Z`, for machines.
    #[must_use]
    pub fn rfc3339(self) -> String {
        jiff::Timestamp::from_millisecond(self.0).map_or_else(|_| format!("{} ms", self.0), |t| t.to_string())
    }

    /// `2026-11-22 22:14:05 UTC`.
    #[must_use]
    pub fn date_clock(self) -> String {
        jiff::Timestamp::from_millisecond(self.0)
            .map_or_else(|_| format!("{} ms", self.0), |t| t.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
    }
}

/// A length of time in milliseconds, written `250ms`, `90s`, `5m`, `4h` or `1d` in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub i64);

/// The units of a duration in files, smallest first, in milliseconds.
pub(crate) const UNITS: [(&str, i64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl Span {
    /// A span of whole seconds.
    #[must_use]
    pub const fn seconds(n: i64) -> Span {
        Span(n * 1_000)
    }

    /// A span of whole minutes.
    #[must_use]
    pub const fn minutes(n: i64) -> Span {
        Span(n * 60_000)
    }

    /// Reads `5m` and the like.
    ///
    /// # Errors
    /// Says what was found and what was expected.
    pub fn parse(text: &str) -> Result<Span, String> {
        let wrong =
            || format!("`{text}` is not a duration: write a whole number and a unit, such as 500ms, 90s, 5m, 4h or 1d");
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let number: i64 = number.parse().map_err(|_| wrong())?;
        let (_, factor) = UNITS.iter().find(|(u, _)| *u == unit).ok_or_else(wrong)?;
        number.checked_mul(*factor).map(Span).ok_or_else(wrong)
    }

    /// The form used in files and statements: the largest unit that divides it.
    #[must_use]
    pub fn exact(self) -> String {
        UNITS
            .iter()
            .rev()
            .find(|(_, f)| self.0 != 0 && self.0 % f == 0)
            .map_or_else(|| "0s".to_owned(), |(u, f)| format!("{}{u}", self.0 / f))
    }

    /// The form people read: `42 s`, `12 min 30 s`, `3 h 05 min`, `2 d 4 h`.
    #[must_use]
    pub fn human(self) -> String {
        let s = self.0 / 1_000;
        let (m, h, d) = (s / 60, s / 3_600, s / 86_400);
        match () {
            () if self.0 < 1_000 => format!("{} ms", self.0),
            () if s < 60 => format!("{s} s"),
            () if m < 60 && s % 60 == 0 => format!("{m} min"),
            () if m < 60 => format!("{m} min {:02} s", s % 60),
            () if h < 48 && m % 60 == 0 => format!("{h} h"),
            () if h < 48 => format!("{h} h {:02} min", m % 60),
            () if h % 24 == 0 => format!("{d} d"),
            () => format!("{d} d {} h", h % 24),
        }
    }

    /// As a `std` duration; a negative span is zero.
    #[must_use]
    pub fn std(self) -> std::time::Duration {
        std::time::Duration::from_millis(u64::try_from(self.0).unwrap_or(0))
    }
}

impl TryFrom<String> for Span {
    type Error = String;
    fn try_from(text: String) -> Result<Span, String> {
        Span::parse(&text)
    }
}

impl From<Span> for String {
    fn from(span: Span) -> String {
        span.exact()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_round_trip_and_refuse_nonsense() {
        for text in ["500ms", "90s", "5m", "4h", "1d"] {
            assert_eq!(Span::parse(text).unwrap().exact(), text);
        }
        assert_eq!(Span::parse("120s").unwrap().exact(), "2m");
        for text in ["", "5", "m", "5 m", "-5m", "5min", "1.5h", "99999999999999999999d", "9223372036854775807d"] {
            assert!(Span::parse(text).unwrap_err().contains("duration"), "{text}");
        }
    }

    #[test]
    fn people_read_spans() {
        let texts: Vec<_> = [0, 42_000, 60_000, 750_000, 11_100_000, 187_200_000].map(|n| Span(n).human()).into();
        assert_eq!(texts, ["0 ms", "42 s", "1 min", "12 min 30 s", "3 h 05 min", "2 d 4 h"]);
    }
}
