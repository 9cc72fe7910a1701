//! The read-only view across cases that one decision may use, and what a decision gives back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::alert::Origin;
use super::approval::Policy;
use super::case::{Body, Case};
use super::deadline::Clock;
use super::effect::{CardKind, Effect};
use super::event::{Entry, Event};
use super::id::{ButtonId, CaseId, EffectKey};
use super::message::Reply;
use super::runbook::Risk;
use super::time::{Millis, Span};

/// An open incident in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    pub case: CaseId,
    pub number: u64,
    pub title: String,
    pub tier: u8,
    pub scenario: Option<String>,
    pub channel: String,
    pub began: Millis,
    pub rto: Span,
    pub recovered: Option<Millis>,
    /// The message of its main card, once that stands: what is said in its thread is about it.
    #[serde(default)]
    pub card: Option<String>,
    /// The alerts it belongs to.
    #[serde(default)]
    pub origins: Vec<Origin>,
    /// Its clocks that people must still meet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clocks: Vec<Clock>,
}

impl Open {
    /// An incident's case in short; `None` for any other case.
    #[must_use]
    pub fn of(case: &Case) -> Option<Open> {
        let Body::Incident(incident) = &case.body else { return None };
        let d = &incident.declared;
        Some(Open {
            case: case.id.clone(),
            number: d.number,
            title: d.title.clone(),
            tier: d.tier,
            scenario: d.scenario.clone(),
            channel: d.channel.clone(),
            began: d.began,
            rto: d.objectives.rto,
            recovered: incident.recovered,
            card: case.cards.get(&CardKind::Main).filter(|c| !c.ts.is_empty()).map(|c| c.ts.clone()),
            origins: incident.origins.clone(),
            clocks: incident.clocks(),
        })
    }
}

/// An alert group that fires, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ringing {
    pub title: String,
    pub channel: String,
    pub acked: bool,
    #[serde(default)]
    pub scenario: Option<String>,
}

/// Failures in a row of one scenario's detection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Streak {
    pub failures: u32,
    pub since: Option<Millis>,
}

/// A lock that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub case: CaseId,
    pub since: Millis,
}

/// What one decision may know beyond its own case.
#[derive(Debug, Clone, Default)]
pub struct World {
    pub open: BTreeMap<CaseId, Open>,
    /// The alert groups that fire.
    pub ringing: BTreeMap<CaseId, Ringing>,
    /// Who holds each lock.
    pub locks: BTreeMap<String, Held>,
    pub streaks: BTreeMap<String, Streak>,
    pub last_number: u64,
    pub rules: Rules,
    /// What was kept before the incident began, by runbook and parameter; only where a run may start.
    pub kept: BTreeMap<String, BTreeMap<String, String>>,
    /// The events of the case, only for the verbs that show them.
    pub history: Vec<Entry>,
}

/// The installation's rules for approvals, and where alerts and their incidents are shown.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// A hash of the policies and roster, so that a change of either voids what is open.
    pub version: String,
    /// Who must agree, by the runbook's tier and the step's risk.
    pub policies: BTreeMap<(u8, Risk), Policy>,
    pub decide_within: Span,
    pub start_within: Span,
    pub alert_channel: String,
    /// Where incidents of alerts are opened, if not in the alerts' channel.
    pub incident_channel: Option<String>,
    /// Whether what drbot's own detections find red is told there too.
    pub tells_own: bool,
    /// Runbooks with a private channel of their own: their incidents and alerts are there and nowhere else.
    pub own_channels: BTreeMap<String, String>,
}

impl World {
    /// What was kept for the parameters of a runbook.
    #[must_use]
    pub fn kept(&self, runbook: &str) -> BTreeMap<String, String> {
        self.kept.get(runbook).cloned().unwrap_or_default()
    }

    /// Whoever else holds a lock.
    #[must_use]
    pub fn other(&self, lock: &str, me: &CaseId) -> Option<&Held> {
        self.locks.get(lock).filter(|held| held.case != *me)
    }

    /// `INC-2 (Database unavailable) since 05:12:33 UTC`.
    #[must_use]
    pub fn holder(&self, held: &Held) -> String {
        // Others must know that the lock is held, and no more than that.
        let open = self.open.get(&held.case).filter(|o| !self.rules.secret(&o.channel));
        let title = open.map(|o| format!(" ({})", o.title)).unwrap_or_default();
        format!("{}{title} since {}", held.case.0.to_uppercase(), held.since.clock())
    }
}

impl Rules {
    /// The channel for alerts of a scenario; empty if there is none.
    #[must_use]
    pub fn home(&self, runbook: Option<&str>) -> &str {
        runbook.and_then(|r| self.own_channels.get(r)).unwrap_or(&self.alert_channel)
    }

    /// The private channel of a runbook, if this is another one.
    #[must_use]
    pub fn elsewhere(&self, runbook: &str, here: &str) -> Option<&str> {
        self.own_channels.get(runbook).map(String::as_str).filter(|own| *own != here)
    }

    /// Whether what belongs to a channel is not to be shown here: it is private, and this is another.
    #[must_use]
    pub fn hides(&self, channel: &str, here: &str) -> bool {
        channel != here && self.secret(channel)
    }

    /// Whether it is the private channel of a runbook.
    #[must_use]
    pub fn secret(&self, channel: &str) -> bool {
        self.own_channels.values().any(|own| own == channel)
    }

    /// Who must agree to a step of this risk in a runbook of this tier; `None` if nobody was named.
    #[must_use]
    pub fn policy(&self, tier: u8, risk: Risk) -> Option<&Policy> {
        self.policies.get(&(tier, risk))
    }
}

/// One observation of a scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sample {
    pub runbook: String,
    pub failing: Option<bool>,
    pub streak: Streak,
}

/// Rows to keep for a parameter, as a JSON array.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    pub runbook: String,
    pub param: String,
    pub rows: String,
}

/// What must still be true at the commit; otherwise the decision is made again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Guard {
    /// The lock is free, and is taken by this commit.
    Take(String),
    /// The lock is given back by this commit.
    Release(String),
}

/// What a decision consists of: all of it is committed together or not at all.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Decision {
    pub events: Vec<Event>,
    pub effects: Vec<Effect>,
    /// Effects that are over, with the generation that was leased.
    pub finished: Vec<(EffectKey, i64)>,
    /// Handles (buttons, forms, approval ids) that lead back to this case.
    pub handles: Vec<String>,
    pub samples: Vec<Sample>,
    pub kept: Vec<Kept>,
    pub guards: Vec<Guard>,
    pub reply: Option<Reply>,
}

impl Decision {
    /// A decision that only answers.
    #[must_use]
    pub fn reply(reply: Reply) -> Decision {
        Decision { reply: Some(reply), ..Decision::default() }
    }

    /// Registers a button so that a click finds its case.
    pub fn handle(&mut self, id: &ButtonId) {
        self.handles.push(id.0.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever meets a lock of a private incident learns that it is held, and not what for.
    #[test]
    fn a_private_holder_has_no_title() {
        let case = CaseId::incident(1);
        let open = Open {
            case: case.clone(),
            number: 1,
            title: "Security breach".into(),
            tier: 1,
            scenario: None,
            channel: "C1".into(),
            began: Millis(0),
            rto: Span(0),
            recovered: None,
            card: None,
            origins: Vec::new(),
            clocks: Vec::new(),
        };
        let mut world = World { open: [(case.clone(), open)].into(), ..World::default() };
        let held = Held { case, since: Millis(0) };
        assert!(world.holder(&held).starts_with("INC-1 (Security breach) since "), "{}", world.holder(&held));
        world.rules.own_channels.insert("security-breach".into(), "C1".into());
        assert!(world.holder(&held).starts_with("INC-1 since "), "{}", world.holder(&held));
    }
}
