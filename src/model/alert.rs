//! Alerts from monitoring, in our own words: what arrives, and the group as a case. Takes nothing;
//! `parse::alert` fills it from each source.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::case::Detection;
use super::event::{Event, Illegal};
use super::id::{ButtonId, CaseId};
use super::person::PersonId;
use super::time::{Millis, Span};
use super::world::Ringing;

/// Where alerts may come from; a runbook's alert rule names one of these.
pub const SOURCES: &[&str] = &["alertmanager"];

/// The source of what drbot's own detections find.
pub const OWN: &str = "drbot";
/// The source of reminders that a schedule is due.
pub const SCHEDULE: &str = "drbot schedule";
/// The label that names the scenario of what drbot found itself.
pub const RUNBOOK: &str = "runbook";

/// Most alerts remembered in one group; beyond it those resolved longest ago are forgotten.
const REMEMBERED: usize = 1_000;
/// A firing that was resolved before is old news while deliveries may still overtake each other. Later it
/// is taken for what it says: better told twice than swallowed.
const OVERTAKING: Span = Span::minutes(5);

/// One delivery of one alert group: the state of every alert in it, as the source sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertGroup {
    pub source: String,
    /// The source's own name of the group; the same name is the same group.
    pub key: String,
    pub title: String,
    pub alerts: Vec<Arrived>,
    /// Alerts that the source left out of this delivery.
    pub truncated: u64,
}

/// One alert of a delivery, with the labels that rules look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrived {
    pub alert: Alert,
    pub labels: BTreeMap<String, String>,
}

/// One alert, as it is stored and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// The source's own name of the alert; the same name is the same alert.
    pub fingerprint: String,
    pub firing: bool,
    pub summary: String,
    pub starts: Millis,
    /// When it ended; `None` while it fires.
    pub ends: Option<Millis>,
}

/// Which alerts a runbook answers: the source, and labels that must all be equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertMatch {
    pub source: String,
    #[schemars(with = "BTreeMap<String, super::schema::Scalar>")]
    pub labels: BTreeMap<String, String>,
}

/// Where an incident comes from: the alert's case, which firing of it, and its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub case: CaseId,
    pub round: u32,
    pub title: String,
}

/// An incident to open for an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    pub origin: Origin,
    pub scenario: Option<String>,
    pub by: PersonId,
    pub channel: String,
    pub began: Millis,
}

/// The beginning of a firing: from nothing firing to something firing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// The runbook whose alert rule fits best.
    pub scenario: Option<String>,
    pub ack: ButtonId,
    pub open: ButtonId,
    /// The incident of an earlier firing, if that one still goes on.
    pub incident: Option<u64>,
}

/// An alert group as a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    pub source: String,
    pub title: String,
    pub channel: String,
    /// By fingerprint; an alert that fires anew replaces its earlier self.
    pub alerts: BTreeMap<String, Known>,
    pub truncated: u64,
    /// How often it began to fire.
    pub rounds: u32,
    /// The newest firing; `None` if it was only ever heard of as resolved.
    pub round: Option<Round>,
    pub detection: Option<Detection>,
    pub acked: Option<(PersonId, Millis)>,
    /// Who asked in which round for an incident that is not there yet.
    pub opening: Option<(PersonId, u32)>,
    pub incident: Option<u64>,
}

/// An alert and when its state was stored here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    pub alert: Alert,
    pub since: Millis,
}

impl AlertGroup {
    /// The case of this group.
    #[must_use]
    pub fn case(&self) -> CaseId {
        let name = format!("{}\n{}", self.source, self.key);
        CaseId(format!("alert-{}", &hex::encode(Sha256::digest(name))[..16]))
    }
}

impl AlertMatch {
    /// Whether a firing alert of the group carries all the labels.
    #[must_use]
    pub fn fits(&self, group: &AlertGroup) -> bool {
        let carries = |a: &Arrived| self.labels.iter().all(|(k, v)| a.labels.get(k) == Some(v));
        self.source == group.source && group.alerts.iter().any(|a| a.alert.firing && carries(a))
    }
}

impl Alarm {
    /// A group that nothing is known of yet.
    #[must_use]
    pub fn new(source: &str, title: &str, channel: &str) -> Alarm {
        Alarm {
            source: source.to_owned(),
            title: title.to_owned(),
            channel: channel.to_owned(),
            alerts: BTreeMap::new(),
            truncated: 0,
            rounds: 0,
            round: None,
            detection: None,
            acked: None,
            opening: None,
            incident: None,
        }
    }

    /// How many of its alerts fire.
    #[must_use]
    pub fn firing(&self) -> usize {
        self.alerts.values().filter(|k| k.alert.firing).count()
    }

    /// When the earliest alert that fires began; when none fires, the earliest of all.
    #[must_use]
    pub fn began(&self) -> Option<Millis> {
        let earliest = |all: bool| self.alerts.values().filter(|k| all || k.alert.firing).map(|k| k.alert.starts).min();
        earliest(false).or_else(|| earliest(true))
    }

    /// The alerts of a delivery that say something else than what is known, at time `now`.
    #[must_use]
    pub fn news(&self, group: &AlertGroup, now: Millis) -> Vec<Alert> {
        group.alerts.iter().map(|a| &a.alert).filter(|a| self.is_news(a, now)).cloned().collect()
    }

    fn is_news(&self, alert: &Alert, now: Millis) -> bool {
        let Some(known) = self.alerts.get(&alert.fingerprint) else { return true };
        if known.alert.starts != alert.starts {
            return known.alert.starts < alert.starts;
        }
        match (known.alert.firing, alert.firing) {
            (true, false) => true,
            (false, true) => now.since(known.since) > OVERTAKING,
            _ => false,
        }
    }

    /// Whether a delivery speaks of a firing that is known. If it does not, the end of what is known was
    /// never sent: Alertmanager is silent about the end of an alert that somebody silenced.
    #[must_use]
    pub fn continues(&self, group: &AlertGroup) -> bool {
        let same =
            |a: &Alert| self.alerts.get(&a.fingerprint).is_some_and(|k| k.alert.firing && k.alert.starts == a.starts);
        group.alerts.iter().any(|a| same(&a.alert))
    }

    /// Whether no alert of a delivery is older than what is known of it.
    #[must_use]
    pub fn current(&self, group: &AlertGroup) -> bool {
        let old = |a: &Alert| self.alerts.get(&a.fingerprint).is_some_and(|k| k.alert.starts > a.starts);
        !group.alerts.iter().any(|a| old(&a.alert))
    }

    /// Moves the group by one event at time `at`.
    ///
    /// # Errors
    /// The event does not fit where the group stands.
    pub fn apply(&mut self, event: &Event, at: Millis) -> Result<(), Illegal> {
        match event {
            Event::Alerted { alerts, truncated, round } => {
                if round.is_some() {
                    self.alerts.retain(|_, known| !known.alert.firing);
                }
                self.take(alerts, at);
                self.truncated = *truncated;
                if let Some(round) = round {
                    self.rounds += 1;
                    self.incident = round.incident;
                    self.round = Some(round.clone());
                    (self.detection, self.acked) = (None, None);
                }
            }
            Event::Detected { runbook, checked, streak, since } if self.scenario() == Some(runbook) => {
                self.detection = Some(Detection { at, checked: checked.clone(), streak: *streak, since: *since });
            }
            Event::AlarmAcked { by } if self.acked.is_none() => self.acked = Some((by.clone(), at)),
            Event::AlarmOpening { by } if self.incident.is_none() && self.opening.is_none() => {
                self.opening = Some((by.clone(), self.rounds));
            }
            Event::AlarmLinked { number } if self.opening.is_some() => {
                self.opening = None;
                self.incident = Some(*number);
            }
            Event::Refused { .. } => {}
            _ => return Err(Illegal::new("alert group", event)),
        }
        Ok(())
    }

    /// Whether it reminds of work that is due, rather than tells of trouble.
    #[must_use]
    pub fn reminds(&self) -> bool {
        self.source == SCHEDULE
    }

    /// It in short while it fires; a reminder is over once somebody says that it is done.
    #[must_use]
    pub fn ringing(&self) -> Option<Ringing> {
        let over = self.firing() == 0 || self.reminds() && self.acked.is_some();
        (!over).then(|| Ringing {
            title: self.title.clone(),
            channel: self.channel.clone(),
            acked: self.acked.is_some(),
            scenario: self.scenario().cloned(),
        })
    }

    /// The runbook whose alert rule fitted the newest firing.
    #[must_use]
    pub fn scenario(&self) -> Option<&String> {
        self.round.as_ref().and_then(|r| r.scenario.as_ref())
    }

    fn take(&mut self, alerts: &[Alert], at: Millis) {
        for alert in alerts {
            self.alerts.insert(alert.fingerprint.clone(), Known { alert: alert.clone(), since: at });
        }
        let beyond = self.alerts.len().saturating_sub(REMEMBERED);
        if beyond > 0 {
            let mut resolved: Vec<(Millis, &String)> =
                self.alerts.iter().filter(|(_, k)| !k.alert.firing).map(|(f, k)| (k.since, f)).collect();
            resolved.sort_unstable();
            let gone: BTreeSet<String> = resolved.into_iter().take(beyond).map(|(_, f)| f.clone()).collect();
            self.alerts.retain(|fingerprint, _| !gone.contains(fingerprint));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(firing: bool, starts: i64) -> Alert {
        Alert { fingerprint: "f".into(), firing, summary: String::new(), starts: Millis(starts), ends: None }
    }

    fn group(alert: Alert) -> AlertGroup {
        let alerts = vec![Arrived { alert, labels: BTreeMap::new() }];
        AlertGroup { source: "alertmanager".into(), key: "k".into(), title: "t".into(), alerts, truncated: 0 }
    }

    fn after(list: &[Alert]) -> Alarm {
        let mut alarm = Alarm::new("alertmanager", "t", "C1");
        alarm.take(list, Millis(1_000));
        alarm
    }

    #[test]
    fn what_is_old_or_known_is_no_news() {
        let now = Millis(2_000);
        let table = [
            (alert(true, 5), alert(true, 5), false),
            (alert(true, 5), alert(false, 5), true),
            (alert(true, 5), alert(true, 4), false),
            (alert(false, 5), alert(true, 5), false),
            (alert(false, 5), alert(false, 4), false),
            (alert(false, 5), alert(true, 6), true),
        ];
        for (known, arrived, news) in table {
            let told = after(std::slice::from_ref(&known)).news(&group(arrived.clone()), now);
            assert_eq!(!told.is_empty(), news, "{arrived:?} after {known:?}");
        }
        assert_eq!(after(&[]).news(&group(alert(false, 5)), now).len(), 1);
    }

    /// A source that lost its way to us for a while says again that the same alert fires, with its old start.
    #[test]
    fn a_firing_long_after_its_end_is_believed() {
        let resolved = after(&[alert(false, 5)]);
        let late = Millis(1_001).plus(OVERTAKING);
        assert_eq!(resolved.news(&group(alert(true, 5)), late).len(), 1);
    }

    #[test]
    fn a_firing_whose_end_was_never_sent_is_over_when_another_begins() {
        let known = after(&[alert(true, 5)]);
        assert!(known.continues(&group(alert(true, 5))) && known.continues(&group(alert(false, 5))));
        assert!(!known.continues(&group(alert(true, 6))), "it fires anew");
        let other = Alert { fingerprint: "other".into(), ..alert(true, 5) };
        assert!(!known.continues(&group(other)));
        assert!(!after(&[alert(false, 5)]).continues(&group(alert(false, 5))));
    }

    #[test]
    fn firing_alerts_are_never_forgotten() {
        let many = |firing: bool, from: usize| {
            (from..from + REMEMBERED).map(move |n| Alert { fingerprint: n.to_string(), ..alert(firing, 5) })
        };
        let mut alarm = after(&many(false, 0).collect::<Vec<_>>());
        alarm.take(&many(true, REMEMBERED).collect::<Vec<_>>(), Millis(1_001));
        assert_eq!((alarm.alerts.len(), alarm.firing()), (REMEMBERED, REMEMBERED));
    }
}
