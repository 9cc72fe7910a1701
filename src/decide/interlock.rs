//! What must not happen at the same time. Takes runs, values and the world; gives the reason why not, and
//! the locks that a case holds on the targets it is about to change.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::case::Case;
use crate::model::catalog::Loaded;
use crate::model::run::{Phase, Run};
use crate::model::runbook::Task;
use crate::model::world::World;

/// Why a runbook's own interlocks keep it from running with these values now, if they do.
pub(crate) fn hindrance(loaded: &Loaded, values: &BTreeMap<String, String>, world: &World) -> Option<String> {
    loaded.runbook.interlocks.iter().find_map(|lock| {
        let open = lock.not_while.as_ref().and_then(|scenario| {
            world.open.values().find(|o| o.recovered.is_none() && o.scenario.as_ref() == Some(scenario))
        });
        // That a breach is being worked is not told to whoever tries this.
        if open.is_some_and(|o| world.rules.secret(&o.channel)) {
            return Some("an incident in a private channel is open, and this would harm it".into());
        }
        if let Some(open) = open {
            return Some(format!("INC-{} ({}) is open: {}", open.number, open.title, lock.why));
        }
        let given: Vec<(&String, &String)> = lock.differ.iter().filter_map(|p| Some((p, values.get(p)?))).collect();
        let twice = given.iter().enumerate().find_map(|(i, (name, value))| {
            let (other, _) = given[..i].iter().find(|(_, v)| v == value)?;
            Some((other, name, value))
        });
        twice.map(|(one, two, value)| format!("{one} and {two} are both {value}: {}", lock.why))
    })
}

/// Name of the lock that keeps two incidents from changing one target at once.
pub(crate) fn on_target(target: &str) -> String {
    format!("target/{target}")
}

/// The locks that a case holds as it stands: on the target of the changing step that it is in, from the
/// preview on, so that nobody else of drbot changes what was looked at; and where a step is being taken back.
pub(crate) fn held(case: &Case) -> BTreeSet<String> {
    let Some(incident) = case.incident() else { return BTreeSet::new() };
    let back = incident.agreed.iter().filter(|p| p.busy()).map(|p| on_target(&p.approval.action.target));
    back.chain(incident.run.as_ref().and_then(by_run)).collect()
}

/// The lock of a run's current step.
fn by_run(run: &Run) -> Option<String> {
    let run = Some(run).filter(|r| !r.over())?;
    let (step, state) = run.current()?;
    let task: &Task = step.work.task().filter(|t| !t.reads())?;
    let at_it = matches!(
        state.phase,
        Phase::Previewing | Phase::Waiting | Phase::Granted | Phase::Started | Phase::Verifying | Phase::Unknown
    );
    at_it.then(|| on_target(&task.target))
}
