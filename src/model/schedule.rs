//! When something is done again and again: after a span or at set times, and only while people work. Takes
//! the files' words and a point in time; gives the next one. Time zones and clock changes are `jiff`'s.

use std::str::FromStr;

use croner::Cron;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::time::{Millis, Span};

/// Something done again and again, by a runbook's detection or by a role that drbot reminds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Its short name, such as `review`; part of the reminder's case, so keep it.
    pub id: String,
    pub what: String,
    /// Time from one to the next; or say `at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// Set times; or say `every`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Times>,
    /// Nobody is reminded outside these hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<Hours>,
    /// The detection that does it by itself: a runbook, or one check of it as `RUNBOOK/CHECK`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
    /// The role that does it, one of `contacts`, and is reminded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub covers: Vec<String>,
}

/// Set times in a time zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Times {
    /// Minute, hour, day of the month, month, day of the week: `0 9 * * MON`.
    pub cron: String,
    /// A name such as `Europe/Amsterdam`.
    pub zone: String,
}

/// The hours in which people work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    #[serde(default = "working_days")]
    pub days: Vec<Day>,
    /// `09:00`.
    pub from: String,
    /// `18:00`; the minute itself is outside.
    pub to: String,
    /// A name such as `Europe/Amsterdam`.
    pub zone: String,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

fn working_days() -> Vec<Day> {
    vec![Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri]
}

/// A schedule as a case: since when it is known and when it was last due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rhythm {
    pub schedule: String,
    pub since: Millis,
    pub last: Option<Millis>,
}

impl Schedule {
    /// When it is due next, after it was at `last`; `None` if its words make no time, which the loader refuses.
    #[must_use]
    pub fn next(&self, last: Millis) -> Option<Millis> {
        let due = match (&self.at, self.every) {
            (Some(times), _) => times.next(last).ok()?,
            (None, Some(every)) => last.plus(every),
            (None, None) => return None,
        };
        match &self.hours {
            Some(hours) => hours.open(due).ok(),
            None => Some(due),
        }
    }

    /// How often, for people.
    #[must_use]
    pub fn rhythm(&self) -> String {
        match (&self.at, self.every) {
            (Some(times), _) => format!("at {} ({})", times.cron, times.zone),
            (None, every) => format!("every {}", every.unwrap_or_default().exact()),
        }
    }

    /// What is wrong with its times, if something is.
    ///
    /// # Errors
    /// Names the key, what it says and what it takes.
    pub fn judge(&self) -> Result<(), String> {
        if self.every.is_some() == self.at.is_some() {
            return Err(format!("`{}` needs either `every` or `at`", self.what));
        }
        // A detection may look every few seconds; a person may not be asked so often.
        if self.probe.is_none() && self.every.is_some_and(|e| e < Span::seconds(1)) {
            return Err(format!("`{}` would be due all the time: `every` is at least 1s", self.what));
        }
        if let Some(times) = &self.at {
            times.next(Millis::default())?;
        }
        self.hours.as_ref().map_or(Ok(()), |h| h.open(Millis::default()).map(|_| ()))
    }
}

impl Times {
    /// The first of these times after `from`.
    ///
    /// # Errors
    /// The words say no time.
    pub fn next(&self, from: Millis) -> Result<Millis, String> {
        let cron = Cron::from_str(&self.cron)
            .map_err(|e| format!("`{}` is no cron expression, such as `0 9 * * MON`: {e}", self.cron))?;
        let next = cron.find_next_occurrence(&local(from, &self.zone)?, false);
        next.map(|z| Millis(z.timestamp().as_millisecond())).map_err(|e| format!("`{}`: {e}", self.cron))
    }
}

impl Hours {
    /// `at`, if it is inside these hours, else the next beginning.
    ///
    /// # Errors
    /// The words say no hours.
    pub fn open(&self, at: Millis) -> Result<Millis, String> {
        let (from, to) = (time(&self.from)?, time(&self.to)?);
        if from >= to || self.days.is_empty() {
            return Err(format!(
                "hours from {} to {} are never: name days, and begin before the end",
                self.from, self.to
            ));
        }
        let now = local(at, &self.zone)?;
        let works = |z: &Zoned| self.days.iter().any(|d| d.weekday() == z.weekday());
        if works(&now) && (from..to).contains(&now.time()) {
            return Ok(at);
        }
        let mut day = now.date();
        // A week from now the same day comes again, so eight days hold a beginning.
        for _ in 0..8 {
            let begins = day.to_datetime(from).to_zoned(now.time_zone().clone()).map_err(|e| e.to_string())?;
            if works(&begins) && begins > now {
                return Ok(Millis(begins.timestamp().as_millisecond()));
            }
            day = day.tomorrow().map_err(|e| e.to_string())?;
        }
        Err("no day of the next week has these hours".to_owned())
    }
}

impl Day {
    fn weekday(self) -> Weekday {
        match self {
            Day::Mon => Weekday::Monday,
            Day::Tue => Weekday::Tuesday,
            Day::Wed => Weekday::Wednesday,
            Day::Thu => Weekday::Thursday,
            Day::Fri => Weekday::Friday,
            Day::Sat => Weekday::Saturday,
            Day::Sun => Weekday::Sunday,
        }
    }
}

fn local(at: Millis, zone: &str) -> Result<Zoned, String> {
    let zone = TimeZone::get(zone).map_err(|_| format!("`{zone}` is no time zone, such as Europe/Amsterdam or UTC"))?;
    Timestamp::from_millisecond(at.0).map(|t| t.to_zoned(zone)).map_err(|e| e.to_string())
}

fn time(text: &str) -> Result<Time, String> {
    let wrong = || format!("`{text}` is no time of the day: write it as 09:00");
    let (hour, minute) = text.split_once(':').filter(|(h, m)| h.len() == 2 && m.len() == 2).ok_or_else(wrong)?;
    let part = |t: &str| t.parse::<i8>().map_err(|_| wrong());
    Time::new(part(hour)?, part(minute)?, 0, 0).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Millis {
        Millis(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    fn office() -> Hours {
        Hours { days: working_days(), from: "09:00".into(), to: "18:00".into(), zone: "Europe/Amsterdam".into() }
    }

    #[test]
    fn set_times_follow_the_clock_of_their_zone() {
        let monday = Times { cron: "0 9 * * MON".into(), zone: "Europe/Amsterdam".into() };
        // Summer time ends on 25 October 2026: nine o'clock is 07:00 UTC before it and 08:00 UTC after it.
        assert_eq!(monday.next(at("2026-10-16T00:00:00Z")), Ok(at("2026-10-19T07:00:00Z")));
        assert_eq!(monday.next(at("2026-10-19T07:00:00Z")), Ok(at("2026-10-26T08:00:00Z")));
        let quarter = Times { cron: "0 9 1 */3 *".into(), zone: "UTC".into() };
        assert_eq!(quarter.next(at("2026-11-23T00:00:00Z")), Ok(at("2027-01-01T09:00:00Z")));
    }

    #[test]
    fn outside_the_hours_it_waits_for_their_beginning() {
        let open = |text: &str| office().open(at(text)).unwrap();
        assert_eq!(open("2026-11-23T10:00:00Z"), at("2026-11-23T10:00:00Z"), "a Monday at eleven");
        assert_eq!(open("2026-11-23T05:00:00Z"), at("2026-11-23T08:00:00Z"), "before nine");
        assert_eq!(open("2026-11-23T17:00:00Z"), at("2026-11-24T08:00:00Z"), "the end is outside");
        assert_eq!(open("2026-11-27T20:00:00Z"), at("2026-11-30T08:00:00Z"), "Friday night until Monday");
    }

    #[test]
    fn words_that_say_no_time_are_told() {
        let schedule = |every, at, hours| Schedule {
            id: "x".into(),
            what: "x".into(),
            every,
            at,
            hours,
            probe: None,
            owner: None,
            covers: vec![],
        };
        let times = |cron: &str, zone: &str| Some(Times { cron: cron.into(), zone: zone.into() });
        let wrong = [
            (schedule(None, None, None), "either `every` or `at`"),
            (schedule(Some(Span(5)), None, None), "at least 1s"),
            (schedule(None, times("nine", "UTC"), None), "is no cron expression"),
            (schedule(None, times("0 9 * * *", "Amsterdam"), None), "is no time zone"),
            (
                schedule(Some(Span::minutes(1)), None, Some(Hours { from: "9".into(), ..office() })),
                "no time of the day",
            ),
            (schedule(Some(Span::minutes(1)), None, Some(Hours { from: "19:00".into(), ..office() })), "are never"),
        ];
        for (schedule, says) in wrong {
            let why = schedule.judge().unwrap_err();
            assert!(why.contains(says), "{why} does not say {says}");
        }
        assert_eq!(schedule(Some(Span::minutes(1)), None, Some(office())).judge(), Ok(()));
    }
}
