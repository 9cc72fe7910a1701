//! A case moved by `decide` alone. Takes inputs; keeps in memory what the store would keep. No chat, no target,
//! no clock: nothing here waits.

use std::collections::BTreeMap;

use crate::decide::decide;
use crate::decide::narrate::{self, Scene};
use crate::decide::route::{Route, route};
use crate::model::approval::{Policy, Quorum};
use crate::model::case::Case;
use crate::model::catalog::Catalog;
use crate::model::command::{Asked, Command};
use crate::model::effect::{Act, CardKind};
use crate::model::id::{CaseId, EffectKey, Ids};
use crate::model::inbound::{Input, Place};
use crate::model::message::{Message, Part, Reply, Run as Text};
use crate::model::outcome::Outcome;
use crate::model::person::{Person, PersonId, Roster, Speaker};
use crate::model::runbook::Risk;
use crate::model::time::{Millis, Span};
use crate::model::world::{Decision, Guard, Held, Open, Rules, World};

use super::record::KeptRows;

/// When every recorded case begins, 2026-09-21T14:13:20Z: ages are counted from here.
pub(super) const BEGINS: Millis = Millis(1_790_000_000_000);

/// Who speaks: the first asks, the others agree.
pub const PEOPLE: [&str; 3] = ["alice", "bob", "carol"];

/// An effect that waits for its outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    pub case: CaseId,
    pub key: EffectKey,
    pub due: Millis,
    pub act: Act,
}

/// Cases and what they wait for. A copy goes its own way.
#[derive(Clone)]
pub struct Stage<'a> {
    /// The time at which the next input is decided.
    pub now: Millis,
    catalog: &'a Catalog,
    /// Who may speak.
    pub roster: Roster,
    world: World,
    /// Every case as its events left it.
    pub cases: BTreeMap<CaseId, Case>,
    handles: BTreeMap<String, CaseId>,
    /// What nobody answered yet.
    pub waiting: Vec<Waiting>,
    count: u64,
}

impl<'a> Stage<'a> {
    /// Three people of one role, and nothing known.
    #[must_use]
    pub fn new(catalog: &'a Catalog) -> Stage<'a> {
        let person = |id: &str| Person {
            id: PersonId(id.into()),
            name: id[..1].to_uppercase() + &id[1..],
            roles: vec!["responder".into()],
            slack: vec![id.into()],
        };
        let policy = |count| Policy { all_of: vec![Quorum { role: "responder".into(), count }] };
        let rules = Rules {
            version: "recorded".into(),
            policies: (1..=3)
                .flat_map(|tier| {
                    let two = if tier == 1 { 2 } else { 1 };
                    [((tier, Risk::Disruptive), policy(1)), ((tier, Risk::Destructive), policy(two))]
                })
                .collect(),
            decide_within: Span::minutes(15),
            start_within: Span::minutes(5),
            alert_channel: "C1".into(),
            incident_channel: None,
            tells_own: false,
            own_channels: BTreeMap::new(),
        };
        Stage {
            now: BEGINS,
            catalog,
            roster: Roster { home_team: "T1".into(), people: PEOPLE.map(person).into() },
            world: World { rules, ..World::default() },
            cases: BTreeMap::new(),
            handles: BTreeMap::new(),
            waiting: Vec::new(),
            count: 0,
        }
    }

    /// What was kept for a runbook's parameters before anything happened.
    pub(super) fn kept_before(&mut self, runbook: &str, kept: &BTreeMap<String, KeptRows>) -> Result<(), String> {
        for (param, rows) in kept {
            let rows = serde_json::to_string(rows).map_err(|e| e.to_string())?;
            self.world.kept.entry(runbook.to_owned()).or_default().insert(param.clone(), rows);
        }
        Ok(())
    }

    /// A person says something in the channel; gives the answer's text.
    ///
    /// # Errors
    /// An event of the decision does not fit its case.
    pub fn say(&mut self, who: &str, command: Command) -> Result<String, String> {
        let by = Speaker { team: "T1".into(), user: who.into() };
        let place = Place { channel: "C1".into(), ..Place::default() };
        let reply = self.step(&Input::Said { by, place, said: Ok(Asked { incident: None, command }) })?;
        Ok(match reply {
            Some(Reply::Private(message)) => plain(&message),
            _ => String::new(),
        })
    }

    /// An effect's outcome.
    ///
    /// # Errors
    /// An event of the decision does not fit its case.
    pub fn came(&mut self, of: &Waiting, outcome: Outcome) -> Result<(), String> {
        let (case, effect) = (of.case.clone(), of.key.clone());
        self.step(&Input::Came { case, effect, generation: 1, outcome }).map(|_| ())
    }

    /// One input, decided and kept.
    ///
    /// # Errors
    /// An event of the decision does not fit its case.
    pub fn step(&mut self, input: &Input) -> Result<Option<Reply>, String> {
        self.count += 1;
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&self.count.to_be_bytes());
        let mut ids = Ids::new(seed);
        let id = match route(input, &self.world, &mut ids, &self.roster) {
            Route::Case(id) => Some(id),
            Route::Handle(handle) => self.handles.get(&handle).cloned(),
            Route::Nowhere => None,
        };
        let blank = id.as_ref().map(|id| Case::new(id.clone()));
        let case = id.as_ref().and_then(|id| self.cases.get(id)).or(blank.as_ref());
        let decision = decide(case, &self.world, input, self.now, &mut ids, self.catalog, &self.roster);
        if let Some(id) = id {
            self.keep(&id, &decision)?;
        }
        Ok(decision.reply)
    }

    fn keep(&mut self, id: &CaseId, decision: &Decision) -> Result<(), String> {
        for guard in &decision.guards {
            match guard {
                Guard::Take(name) => {
                    let held = Held { case: id.clone(), since: self.now };
                    self.world.locks.insert(name.clone(), held);
                }
                Guard::Release(name) => {
                    self.world.locks.remove(name);
                }
            }
        }
        let case = self.cases.entry(id.clone()).or_insert_with(|| Case::new(id.clone()));
        for event in &decision.events {
            case.apply(event, self.now).map_err(|e| e.0)?;
        }
        let finished = |w: &Waiting| decision.finished.iter().any(|(key, _)| *key == w.key);
        self.waiting.retain(|w| !finished(w));
        self.handles.extend(decision.handles.iter().map(|h| (h.clone(), id.clone())));
        for effect in &decision.effects {
            self.waiting.retain(|w| w.key != effect.key);
            let (key, act) = (effect.key.clone(), effect.act.clone());
            self.waiting.push(Waiting { case: id.clone(), key, due: effect.due, act });
        }
        for sample in &decision.samples {
            self.world.streaks.insert(sample.runbook.clone(), sample.streak);
        }
        self.open(id);
        Ok(())
    }

    fn open(&mut self, id: &CaseId) {
        let Some(open) = self.cases.get(id).and_then(Open::of) else { return };
        self.world.last_number = self.world.last_number.max(open.number);
        self.world.open.insert(id.clone(), open);
    }

    /// The main card of a case, as text.
    #[must_use]
    pub fn card(&self, id: &CaseId) -> String {
        let Some(case) = self.cases.get(id) else { return String::new() };
        let scene = Scene { case, world: &self.world, catalog: self.catalog, roster: &self.roster, now: self.now };
        narrate::card(&scene, CardKind::Main, &[]).map_or_else(String::new, |drawn| plain(&drawn.message))
    }
}

/// A message as people read it, without its style.
fn plain(message: &Message) -> String {
    let run = |r: &Text| match r {
        Text::Plain(t) | Text::Bold(t) | Text::Code(t) | Text::Person { name: t, .. } => t.clone(),
    };
    let part = |p: &Part| match p {
        Part::Title(t) | Part::Code(t) | Part::Small(t) => t.clone(),
        Part::Text(runs) => runs.iter().map(run).collect(),
        Part::Facts(facts) => facts.iter().map(|(k, v)| format!("{k}: {v}")).collect::<Vec<_>>().join("\n"),
        Part::Buttons(list) => list.iter().map(|b| format!("[{}]", b.label)).collect::<Vec<_>>().join(" "),
        Part::Rule => String::new(),
    };
    message.parts.iter().map(part).collect::<Vec<_>>().join("\n")
}
