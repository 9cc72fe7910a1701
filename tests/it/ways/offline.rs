//! Every step of every shipped runbook four ways on the decisions alone: once as recorded in `commands/tests`,
//! twice, failing and undone. Nothing is listed by hand: steps come from the files, and what no case reaches fails.

use std::collections::{BTreeMap, BTreeSet};

use drbot::app;
use drbot::model::approval::Standing;
use drbot::model::catalog::Catalog;
use drbot::model::flow::OnFail;
use drbot::model::run::{Phase, Run, RunState, StepRun};
use drbot::model::runbook::{Step, Work};
use drbot::parse::catalog::{Site, load};
use drbot::parse::yaml;
use drbot::practice::trial::Player;
use drbot::practice::trial::record::{Record, Recorded};
use drbot::practice::trial::stage::{Stage, Waiting};

use super::{back, failing, twice};
use crate::support::commands;

/// The four ways of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    Once,
    Twice,
    Failing,
    Undone,
}

pub const WAYS: [Way; 4] = [Way::Once, Way::Twice, Way::Failing, Way::Undone];

impl Way {
    pub fn word(self) -> &'static str {
        match self {
            Way::Once => "once",
            Way::Twice => "twice",
            Way::Failing => "failing",
            Way::Undone => "undone",
        }
    }
}

/// Runbook and step to the ways that were gone.
type Seen = BTreeMap<(String, String), BTreeSet<Way>>;

/// The shipped runbooks.
pub fn shipped() -> Catalog {
    load(&app::read_runbooks(&commands()).expect("the files"), &Site::default()).expect("they load")
}

fn records() -> Vec<Record> {
    let files = app::read_runbooks(&commands().join("tests")).expect("the cases");
    files.iter().map(|(name, text)| yaml::read_shown(name, text).expect("a record")).collect()
}

/// The catalog of an installation whose parameters are those of the case.
fn known(catalog: &Catalog, runbook: &str, case: &Recorded) -> Catalog {
    let mut catalog = catalog.clone();
    catalog.runbooks.get_mut(runbook).expect(runbook).defaults.clone_from(&case.given);
    catalog
}

/// The step with this id, and where it stands.
pub fn step<'a>(run: &'a Run, id: &str) -> (&'a Step, &'a StepRun) {
    let steps = run.loaded.runbook.steps.iter().zip(&run.steps);
    steps.rev().find(|(s, _)| s.id == id).unwrap_or_else(|| panic!("no step {id}"))
}

/// Whether two moments are one: no event, nothing more asked of the outside and nothing less.
pub fn same(a: &Stage<'_>, b: &Stage<'_>) -> bool {
    a.cases == b.cases && a.waiting == b.waiting
}

/// What the current step is called on the card.
pub fn title(run: &Run, id: &str) -> String {
    drbot::model::statement::fill(&step(run, id).0.title, &run.values)
}

/// Whether anything of this step is asked of a target.
pub fn asked(stage: &Stage<'_>, kind: &str, step: &str) -> bool {
    stage.waiting.iter().any(|w| w.key.0.starts_with(&format!("{kind}/")) && w.key.0.split('/').nth(3) == Some(step))
}

/// After a step did not go through: what its file says about it is what follows, and no card calls it done.
pub fn followed(player: &Player<'_>, id: &str) -> Result<(), String> {
    let run = player.run().ok_or("the run is gone")?;
    let (at, state) = step(run, id);
    let card = player.stage.card(&drbot::model::id::CaseId::incident(1));
    if card.contains(&format!("{} (done", title(run, id))) {
        return Err(format!("the card calls it done:\n{card}"));
    }
    let now = run.current().map(|(s, _)| s.id.as_str());
    let good = match &at.on_fail {
        OnFail::Go(to) => state.phase == Phase::Skipped && now.is_none_or(|n| n == to || after(run, to, n)),
        OnFail::Continue => state.phase == Phase::Skipped && now != Some(id),
        _ => {
            let paused = matches!(run.state, RunState::Paused(_)) && now == Some(id) && state.phase == Phase::Failed;
            let quiet = !["start", "preview", "verify"].iter().any(|kind| asked(&player.stage, kind, id));
            paused && quiet && card.contains(&format!("{} (not done", title(run, id)))
        }
    };
    let told = || format!("on_fail {:?} is not followed: {:?}, at {now:?}, {:?}", at.on_fail, state.phase, run.state);
    if good { Ok(()) } else { Err(told()) }
}

fn after(run: &Run, first: &str, second: &str) -> bool {
    let place = |id: &str| run.steps.iter().position(|s| s.id == id);
    place(first) < place(second)
}

/// One case with every fork, from where each step stood to where it got to.
struct Walk<'a> {
    seen: &'a mut Seen,
    faults: &'a mut Vec<String>,
    case: &'a str,
}

impl Walk<'_> {
    fn note(&mut self, run: &Run, id: &str, way: Way, came: Result<bool, String>) {
        let book = &run.loaded.runbook.runbook;
        match came {
            Ok(true) => {
                self.seen.entry((book.clone(), id.to_owned())).or_default().insert(way);
            }
            Ok(false) => {}
            Err(why) => {
                let fault = format!("{book}: step `{id}` {} (case `{}`): {why}", way.word(), self.case);
                self.faults.extend((!self.faults.contains(&fault)).then_some(fault));
            }
        }
    }

    /// Everything that can be tried around one move.
    fn around(&mut self, before: &Player<'_>, next: Option<&Waiting>, now: &Player<'_>) {
        let Some(run) = before.run().filter(|r| !r.over()) else { return };
        // An undo that was agreed to goes its own way beside the steps; its own tests follow it.
        let aside = next.is_some_and(|w| {
            ["agreed/", "latest/", "back/", "backproof/", "backprobe/"].iter().any(|kind| w.key.0.starts_with(kind))
        });
        if let Some((current, _)) = run.current().filter(|_| !aside) {
            self.note(run, &current.id, Way::Failing, failing::fork(before, next, current));
            self.note(run, &current.id, Way::Twice, twice::fork(next, now, current));
        }
        self.done(now);
    }

    /// The steps that are done by now.
    fn done(&mut self, now: &Player<'_>) {
        let Some(run) = now.run() else { return };
        for state in run.steps.iter().filter(|s| s.phase == Phase::Done) {
            self.note(run, &state.id, Way::Once, once(run, state));
            self.note(run, &state.id, Way::Undone, back::fork(now, &state.id));
        }
    }
}

/// It is done; what a system does was started exactly once for that, and what needs people had them.
fn once(run: &Run, state: &StepRun) -> Result<bool, String> {
    let (step, _) = step(run, &state.id);
    let agreed = state.approval.as_ref().is_some_and(|a| a.standing == Standing::Used);
    match step.work.task() {
        Some(task) if state.started.is_none() => Err(format!("done without a start of its {}", task.effect.word())),
        Some(task) if !task.reads() && !agreed => Err("done without an approval that was used for it".into()),
        _ => Ok(true),
    }
}

fn play(walk: &mut Walk<'_>, catalog: &Catalog, runbook: &str, case: &Recorded) {
    let Some(run) = &case.run else { return };
    let mut player = match Player::begin(Stage::new(catalog), runbook, (run, &case.given)) {
        Ok(player) => player,
        Err(why) => return walk.faults.push(format!("{runbook}: {}: {why}", case.name)),
    };
    walk.done(&player);
    loop {
        let before = player.clone();
        let next = before.next().cloned();
        match player.go() {
            Ok(true) => walk.around(&before, next.as_ref(), &player),
            Ok(false) => return,
            Err(why) => return walk.faults.push(format!("{runbook}: {}: {why}", case.name)),
        }
    }
}

/// A bell that rings for nobody: the case again, with a role that nobody has.
fn unheard(walk: &mut Walk<'_>, catalog: &Catalog, runbook: &str, case: &Recorded) {
    let Some(run) = &case.run else { return };
    let steps = &catalog.runbooks[runbook].runbook.steps;
    for id in steps.iter().filter(|s| matches!(s.work, Work::Notify(_))).map(|s| &s.id) {
        let mut deaf = catalog.clone();
        for step in &mut deaf.runbooks.get_mut(runbook).expect("it is there").runbook.steps {
            if let (true, Work::Notify(notify)) = (step.id == *id, &mut step.work) {
                notify.roles = vec!["a-role-of-nobody".to_owned()];
            }
        }
        let Ok(mut player) = Player::begin(Stage::new(&deaf), runbook, (run, &case.given)) else { return };
        let past = |p: &Player<'_>| p.run().is_some_and(|r| step(r, id).1.remark.is_some());
        while !past(&player) && player.go().is_ok_and(|more| more) {}
        let Some(run) = player.run().filter(|_| past(&player)).cloned() else { continue };
        walk.note(&run, id, Way::Failing, followed(&player, id).map(|()| true));
        walk.note(&run, id, Way::Twice, twice::told(&player, id));
    }
}

#[test]
fn every_step_of_every_runbook_runs_four_ways() {
    let (catalog, mut seen, mut faults) = (shipped(), Seen::new(), Vec::new());
    for record in records() {
        for case in &record.cases {
            let catalog = known(&catalog, &record.runbook, case);
            let mut walk = Walk { seen: &mut seen, faults: &mut faults, case: &case.name };
            play(&mut walk, &catalog, &record.runbook, case);
            unheard(&mut walk, &catalog, &record.runbook, case);
        }
    }
    let mut steps = 0;
    for (book, loaded) in &catalog.runbooks {
        for step in &loaded.runbook.steps {
            steps += 1;
            let gone = seen.get(&(book.clone(), step.id.clone())).cloned().unwrap_or_default();
            let left: Vec<&str> = WAYS.iter().filter(|w| !gone.contains(w)).map(|w| w.word()).collect();
            if !left.is_empty() {
                faults.push(format!(
                    "{book}: step `{}` was never seen {}: add a case to commands/tests/{book}.yaml whose path says `{} done`",
                    step.id,
                    left.join(", "),
                    step.id
                ));
            }
        }
    }
    assert!(steps > 80, "{steps} steps");
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
