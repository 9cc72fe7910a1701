//! A tiny engine in memory: routes, decides, applies. Keeps what the real one keeps, and for each case
//! a second one that is folded from stored text only.

use std::collections::BTreeMap;

use drbot::decide::decide;
use drbot::decide::route::{Route, route, wants_history};
use drbot::model::case::Case;
use drbot::model::catalog::Catalog;
use drbot::model::effect::{Act, Effect, Job};
use drbot::model::event::{Entry, Event};
use drbot::model::id::{ButtonId, CaseId, EffectKey, Ids};
use drbot::model::inbound::Input;
use drbot::model::person::Roster;
use drbot::model::time::Millis;
use drbot::model::world::{Decision, Guard, Held as Lock, Open, World};

use super::judge::Judge;
use super::setting;

/// An effect as the store keeps it.
#[derive(Debug, Clone)]
pub struct Held {
    pub case: CaseId,
    pub act: Act,
    pub due: Millis,
    pub generation: i64,
}

/// A case, the one folded from text, and the text.
pub struct Stream {
    pub case: Case,
    pub shadow: Case,
    pub stored: Vec<(Millis, String)>,
}

pub struct Engine {
    pub now: Millis,
    pub world: World,
    pub catalogs: [Catalog; 2],
    pub edition: usize,
    pub roster: Roster,
    pub cases: BTreeMap<CaseId, Stream>,
    pub handles: BTreeMap<String, CaseId>,
    pub effects: BTreeMap<EffectKey, Held>,
    /// Effects that are over, for outcomes that come late.
    pub over: Vec<(EffectKey, Held)>,
    pub tokens: Vec<(ButtonId, usize)>,
    pub count: u64,
    /// How often each kind of event happened.
    pub counts: BTreeMap<String, u64>,
    pub judge: Judge,
}

impl Engine {
    pub fn new(catalogs: &[Catalog; 2]) -> Engine {
        Engine {
            now: Millis(1_790_000_000_000),
            world: World { rules: setting::rules(0), ..World::default() },
            catalogs: catalogs.clone(),
            edition: 0,
            roster: setting::roster(0),
            cases: BTreeMap::new(),
            handles: BTreeMap::new(),
            effects: BTreeMap::new(),
            over: Vec::new(),
            tokens: Vec::new(),
            count: 0,
            counts: BTreeMap::new(),
            judge: Judge::default(),
        }
    }

    pub fn catalog(&self) -> &Catalog {
        &self.catalogs[self.edition]
    }

    /// Changes the installation: people, policies or runbook files.
    pub fn change(&mut self, to: usize) {
        self.roster = setting::roster(to % 4);
        self.world.rules = setting::rules(to % 4);
        self.edition = to / 4 % 2;
    }

    fn ids(&self) -> Ids {
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&self.count.to_be_bytes());
        Ids::new(seed)
    }

    fn place(&self, input: &Input, ids: &mut Ids) -> Option<CaseId> {
        match route(input, &self.world, ids, &self.roster) {
            Route::Case(id) => Some(id),
            Route::Handle(handle) => self.handles.get(&handle).cloned(),
            Route::Nowhere => None,
        }
    }

    /// One input, judged.
    pub fn step(&mut self, input: &Input) -> Result<Decision, String> {
        self.count += 1;
        let (decision, id) = self.decided(input)?;
        self.store(id.as_ref(), &decision, input)?;
        let mut judge = std::mem::take(&mut self.judge);
        let result = judge.after(self, input, &decision);
        self.judge = judge;
        result.map(|()| decision)
    }

    /// The decision without its consequences, made twice.
    pub fn decided(&mut self, input: &Input) -> Result<(Decision, Option<CaseId>), String> {
        let mut ids = self.ids();
        let id = self.place(input, &mut ids);
        if let (Some(id), true) = (&id, wants_history(input)) {
            self.world.history = self.history(id);
        }
        let blank = id.as_ref().map(|id| Case::new(id.clone()));
        let case = id.as_ref().and_then(|id| self.cases.get(id).map(|s| &s.case)).or(blank.as_ref());
        let make = |mut ids: Ids| decide(case, &self.world, input, self.now, &mut ids, self.catalog(), &self.roster);
        let (one, two) = (make(ids.clone()), make(ids));
        self.world.history.clear();
        if one == two { Ok((one, id)) } else { Err("the same seed gave another decision".into()) }
    }

    pub fn history(&self, id: &CaseId) -> Vec<Entry> {
        let stored = self.cases.get(id).map(|s| s.stored.as_slice()).unwrap_or_default();
        let entry = |(i, (at, text)): (usize, &(Millis, String))| {
            Some(Entry { seq: i as u64 + 1, at: *at, event: serde_json::from_str(text).ok()? })
        };
        stored.iter().enumerate().filter_map(entry).collect()
    }

    fn store(&mut self, id: Option<&CaseId>, decision: &Decision, input: &Input) -> Result<(), String> {
        self.guards(id, decision)?;
        let mut judge = std::mem::take(&mut self.judge);
        let mut result = Ok(());
        for event in &decision.events {
            let Some(id) = id else { return Err("an event without a case".into()) };
            result = judge.event(self, id, event, input).and_then(|()| self.push(id, event));
            if result.is_err() {
                break;
            }
        }
        self.judge = judge;
        result?;
        let fallback = CaseId("control".into());
        self.outside(id.unwrap_or(&fallback), decision, input)?;
        for sample in &decision.samples {
            self.world.streaks.insert(sample.runbook.clone(), sample.streak);
        }
        Ok(())
    }

    fn guards(&mut self, id: Option<&CaseId>, decision: &Decision) -> Result<(), String> {
        for guard in &decision.guards {
            let Some(id) = id else { return Err("a guard without a case".into()) };
            match guard {
                Guard::Take(name) => {
                    let held = Lock { case: id.clone(), since: self.now };
                    if let Some(other) = self.world.locks.insert(name.clone(), held).map(|h| h.case).filter(|o| o != id)
                    {
                        return Err(format!("{id} takes {name}, which {other} holds"));
                    }
                }
                Guard::Release(name) => {
                    if let Some(other) = self.world.locks.remove(name).map(|h| h.case).filter(|o| o != id) {
                        return Err(format!("{id} gives back {name}, which {other} holds"));
                    }
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, id: &CaseId, event: &Event) -> Result<(), String> {
        let now = self.now;
        let blank = || Stream { case: Case::new(id.clone()), shadow: Case::new(id.clone()), stored: Vec::new() };
        let stream = self.cases.entry(id.clone()).or_insert_with(blank);
        stream.case.apply(event, now).map_err(|e| e.0)?;
        let text = serde_json::to_string(event).map_err(|e| e.to_string())?;
        let parsed: Event = serde_json::from_str(&text).map_err(|e| format!("{e}: {text}"))?;
        stream.shadow.apply(&parsed, now).map_err(|e| e.0)?;
        if stream.case != stream.shadow {
            return Err(format!("{id} folded from text differs after {text}"));
        }
        let kind = text.split('"').nth(3).unwrap_or_default().to_owned();
        *self.counts.entry(kind).or_default() += 1;
        stream.stored.push((now, text));
        self.summarise(id);
        Ok(())
    }

    fn summarise(&mut self, id: &CaseId) {
        if let Some(alarm) = self.cases.get(id).and_then(|s| s.case.alarm()) {
            match alarm.ringing() {
                None => self.world.ringing.remove(id),
                Some(rings) => self.world.ringing.insert(id.clone(), rings),
            };
        }
        let Some(open) = self.cases.get(id).and_then(|s| Open::of(&s.case)) else { return };
        self.world.last_number = self.world.last_number.max(open.number);
        self.world.open.insert(id.clone(), open);
    }

    fn outside(&mut self, id: &CaseId, decision: &Decision, input: &Input) -> Result<(), String> {
        for (key, generation) in &decision.finished {
            if self.effects.get(key).is_some_and(|h| h.generation == *generation)
                && let Some(held) = self.effects.remove(key)
            {
                self.over.push((key.clone(), held));
            }
        }
        for handle in &decision.handles {
            if let Some(other) = self.handles.insert(handle.clone(), id.clone()) {
                return Err(format!("the handle {handle} was already given to {other}"));
            }
        }
        for Effect { key, due, act, .. } in &decision.effects {
            if let (Act::Ask { form, to, .. }, Input::Clicked(_) | Input::Said { .. }) = (act, input) {
                let voice = setting::VOICES.iter().position(|(_, u)| *u == to.user).unwrap_or(0);
                self.tokens.push((form.token.clone(), voice));
            }
            let generation = self.effects.get(key).map_or(1, |h| h.generation + 1);
            let due = self.effects.get(key).map_or(*due, |h| h.due.min(*due));
            self.effects.insert(key.clone(), Held { case: id.clone(), act: act.clone(), due, generation });
        }
        Ok(())
    }

    /// The job stored under this key.
    pub fn job(&self, key: &EffectKey) -> Option<&Job> {
        match &self.effects.get(key)?.act {
            Act::Start(job) => Some(job),
            _ => None,
        }
    }
}
