//! Which case an input belongs to. Takes the input and the world; gives a case, a handle to look up,
//! or nothing.

use super::alerts;
use crate::model::command::{Asked, Command, verb};
use crate::model::id::{CaseId, Ids};
use crate::model::inbound::{Input, Place, Standing};
use crate::model::person::Roster;
use crate::model::world::{Open, World};

/// Where an input goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    Case(CaseId),
    /// A button, form or approval id whose case the store knows.
    Handle(String),
    Nowhere,
}

/// The standing case for everything outside incidents: refusals, configuration.
pub const CONTROL: &str = "control";

/// Names the case of an input.
#[must_use]
pub fn route(input: &Input, world: &World, ids: &mut Ids, roster: &Roster) -> Route {
    match input {
        Input::Came { case, .. } | Input::Starting { case, .. } | Input::Due { case, .. } => Route::Case(case.clone()),
        Input::Alerted(group) => Route::Case(group.case()),
        Input::Opening(opening) => Route::Case(
            alerts::answered(opening, world)
                .map_or_else(|| CaseId::incident(world.last_number + 1), |open| open.case.clone()),
        ),
        Input::Up(Standing::Watch(runbook)) => Route::Case(CaseId::watch(runbook)),
        Input::Up(Standing::Schedule(id)) => Route::Case(CaseId::schedule(id)),
        Input::Clicked(click) => Route::Handle(click.button.0.clone()),
        Input::Filled(form) => Route::Handle(form.token.0.clone()),
        Input::Said { said: Err(_), .. } => Route::Nowhere,
        Input::Said { by, .. } if roster.person(by).is_none() => Route::Case(CaseId(CONTROL.into())),
        Input::Said { place, said: Ok(asked), .. } => match &asked.command {
            Command::Approve { id } | Command::Deny { id, .. } | Command::Verify { id } | Command::Withdraw { id } => {
                Route::Handle(id.clone())
            }
            Command::Status | Command::Detect { runbook: Some(_) } => {
                Route::Case(CaseId(format!("check-{}", ids.hex())))
            }
            Command::Plan { .. } => Route::Case(CaseId(format!("plan-{}", ids.hex()))),
            Command::Declare { .. } => Route::Case(CaseId::incident(world.last_number + 1)),
            Command::Ack { alert } => {
                alerts::meant(alert.as_deref(), &place.channel, world).map_or(Route::Nowhere, Route::Case)
            }
            _ => meant(asked, place, world).map_or(Route::Nowhere, |open| Route::Case(open.case.clone())),
        },
    }
}

/// The incident a command is about: the one named, else the one in whose thread it was said, else the
/// only one of the channel that is not recovered, else the newest of the channel.
#[must_use]
pub fn meant<'a>(asked: &Asked, place: &Place, world: &'a World) -> Option<&'a Open> {
    if let Some(number) = asked.incident {
        return world.open.get(&CaseId::incident(number));
    }
    let here: Vec<&Open> = world.open.values().filter(|o| o.channel == place.channel).collect();
    if let Some(open) = here.iter().find(|o| place.thread.is_some() && o.card == place.thread) {
        return Some(open);
    }
    let live: Vec<&&Open> = here.iter().filter(|o| o.recovered.is_none()).collect();
    match live.as_slice() {
        [one] => Some(one),
        [] => here.into_iter().max_by_key(|o| o.number),
        _ => None,
    }
}

/// Whether deciding this input needs the case's whole history.
#[must_use]
pub fn wants_history(input: &Input) -> bool {
    matches!(input, Input::Said { said: Ok(Asked { command: Command::Timeline, .. }), .. })
}

/// Whether deciding this input may begin a run, or the plan of one, which needs what was kept for it.
#[must_use]
pub fn may_begin(input: &Input) -> bool {
    match input {
        Input::Clicked(_) | Input::Filled(_) => true,
        Input::Said { said: Ok(asked), .. } => {
            matches!(asked.command, Command::Run { .. } | Command::Next { .. } | Command::Plan { .. })
        }
        _ => false,
    }
}

/// Whether a verb acts on an incident.
#[must_use]
pub fn on_incident(command: &Command) -> bool {
    let name = match command {
        Command::Run { .. } => "run",
        Command::Show { .. } => "show",
        Command::Next { .. } => "next",
        Command::Retry { .. } => "retry",
        Command::Resume => "resume",
        Command::Skip { .. } => "skip",
        Command::Abort { .. } => "abort",
        Command::Undo { .. } => "undo",
        Command::Done { .. } => "done",
        Command::Settle { .. } => "settle",
        Command::Note { .. } => "note",
        Command::Timeline => "timeline",
        Command::Checklist => "checklist",
        _ => return false,
    };
    verb(name).is_some_and(|v| v.on_incident)
}
