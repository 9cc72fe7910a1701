//! A time by which people must have done something that no system can do for them, such as a notice to an
//! authority. Takes what a file says and when the clock began; gives the points at which people are reminded.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::person::PersonId;
use super::time::{Millis, Span};

/// A clock that begins with the incident, as the file says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadlineRule {
    pub title: String,
    pub within: Span,
    #[serde(default)]
    pub from: From,
    /// How long before the end people are reminded, each time; at the end they are in any case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remind: Vec<Span>,
    /// Who is reminded: everybody of the roster with this role.
    pub role: String,
    /// The manual step whose report ends the clock.
    pub until: String,
}

/// When a clock begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum From {
    /// When the trouble was first seen: the first failing check, or the alert.
    #[default]
    Detected,
    /// When a person declared the incident.
    Declared,
}

/// A clock of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    /// The step whose report ends it, which also names it.
    pub step: String,
    pub title: String,
    pub role: String,
    pub within: Span,
    pub due: Millis,
    /// When people are reminded, in order; the last time is the end itself.
    pub points: Vec<Millis>,
    /// How many of these times are behind.
    pub said: usize,
    /// Who reported it as done, and when.
    pub met: Option<(PersonId, Millis)>,
}

/// A clock that runs, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    pub title: String,
    pub due: Millis,
}

impl Deadline {
    /// The clock of a rule that began at `began`.
    #[must_use]
    pub fn new(rule: &DeadlineRule, began: Millis) -> Deadline {
        let due = began.plus(rule.within);
        let mut points: Vec<Millis> = rule.remind.iter().map(|before| due.plus(Span(-before.0))).collect();
        points.push(due);
        points.sort_unstable();
        let (step, title, role) = (rule.until.clone(), rule.title.clone(), rule.role.clone());
        Deadline { step, title, role, within: rule.within, due, points, said: 0, met: None }
    }

    /// When people are to be reminded next, if they still are.
    #[must_use]
    pub fn next(&self) -> Option<Millis> {
        self.points.get(self.said).copied().filter(|_| self.met.is_none())
    }

    /// People were reminded at `at`: of several times that are behind by then, once.
    pub fn remind(&mut self, at: Millis) {
        self.said = self.points.iter().filter(|p| **p <= at).count();
    }

    /// `71 h 40 min left, until 2026-11-25 08:16:25 UTC`, or how long it is over.
    #[must_use]
    pub fn left(&self, now: Millis) -> String {
        left(self.due, now)
    }
}

/// How much of the time until `due` is left.
#[must_use]
pub fn left(due: Millis, now: Millis) -> String {
    if now >= due {
        return format!("OVER since {}", due.date_clock());
    }
    format!("{} left, until {}", hours(due.since(now)), due.date_clock())
}

/// A span in hours and minutes, since people count such a time in hours.
#[must_use]
pub fn hours(span: Span) -> String {
    let minutes = span.0 / 60_000;
    match minutes / 60 {
        h @ 48.. if minutes % 60 == 0 => format!("{h} h"),
        h @ 48.. => format!("{h} h {:02} min", minutes % 60),
        _ => span.human(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_reminded_before_the_end_and_at_the_end_each_time_once() {
        let rule = DeadlineRule {
            title: "Notice".into(),
            within: Span::minutes(72 * 60),
            from: From::Detected,
            remind: vec![Span::minutes(4 * 60), Span::minutes(24 * 60)],
            role: "legal".into(),
            until: "sent".into(),
        };
        let hour = |h: i64| Millis(h * 3_600_000);
        let mut one = Deadline::new(&rule, Millis(0));
        assert_eq!(one.left(Millis(20 * 60_000)), "71 h 40 min left, until 1970-01-04 00:00:00 UTC");
        assert_eq!(one.next(), Some(hour(48)));
        one.remind(hour(48));
        assert_eq!(one.next(), Some(hour(68)));
        one.remind(hour(72));
        assert_eq!(one.next(), None, "the last reminder is the end");
        assert_eq!(one.left(hour(72)), "OVER since 1970-01-04 00:00:00 UTC");
    }
}
