//! What people see in a state: every card can be posted, and its buttons are those that work.

use drbot::decide::narrate::{self, Scene};
use drbot::model::effect::CardKind;
use drbot::model::event::Event;
use drbot::model::id::{ButtonId, CaseId};
use drbot::model::inbound::{Click, Input, Place};
use drbot::model::message::{Message, Part};
use drbot::post::slack::{blocks, limits};

use super::engine::Engine;
use super::setting::{VOICES, speaker};

/// Draws both cards of a case and presses everything that was ever a button of it.
pub fn look(engine: &mut Engine, id: &CaseId) -> Result<(), String> {
    let entries = engine.history(id);
    let Some(stream) = engine.cases.get(id) else { return Ok(()) };
    let scene = Scene {
        case: &stream.case,
        world: &engine.world,
        catalog: engine.catalog(),
        roster: &engine.roster,
        now: engine.now,
    };
    let mut shown = Vec::new();
    for kind in [CardKind::Main, CardKind::History] {
        let Some(drawn) = narrate::card(&scene, kind, &entries) else { continue };
        let faults = limits::faults(&blocks::message(&drawn.message).payload);
        if !faults.is_empty() {
            return Err(format!("{kind:?} of {id} cannot be posted: {}", faults.join("; ")));
        }
        shown.extend(buttons(&drawn.message));
    }
    if stream.case.incident().is_some() || stream.case.alarm().is_some() { press(engine, id, &shown) } else { Ok(()) }
}

pub fn buttons(message: &Message) -> Vec<ButtonId> {
    let of = |part: &Part| match part {
        Part::Buttons(list) => list.iter().map(|b| b.id.clone()).collect(),
        _ => Vec::new(),
    };
    message.parts.iter().flat_map(of).collect()
}

fn press(engine: &mut Engine, id: &CaseId, shown: &[ButtonId]) -> Result<(), String> {
    let Some(stream) = engine.cases.get(id) else { return Ok(()) };
    let (channel, message) = stream
        .case
        .cards
        .get(&CardKind::Main)
        .map_or_else(|| ("C1".to_owned(), "0".to_owned()), |c| (c.channel.clone(), c.ts.clone()));
    let run = stream.case.incident().and_then(|i| i.run.as_ref());
    // Nothing can be tried again while another incident runs the same.
    let run_lock = run.filter(|r| r.asked().is_some()).map(|r| format!("run/{}", r.loaded.runbook.runbook));
    let open = run.and_then(|r| r.current()).and_then(|(_, s)| s.approval.clone());
    let ours: Vec<String> =
        engine.handles.iter().filter(|(h, c)| h.len() == 32 && *c == id).map(|(h, _)| h.clone()).collect();
    for handle in ours {
        let button = ButtonId(handle);
        let mut voices = Vec::new();
        for voice in 0..VOICES.len() / 2 {
            let place = Place { channel: channel.clone(), ..Place::default() };
            let click = Click {
                by: speaker(voice),
                place,
                button: button.clone(),
                message: message.clone(),
                trigger: "t".into(),
            };
            let (decision, _) = engine.decided(&Input::Clicked(click))?;
            let works = decision.events.iter().any(|e| {
                matches!(
                    e,
                    Event::Voted { .. }
                        | Event::FormOpened { .. }
                        | Event::Chosen { .. }
                        | Event::RunResumed { .. }
                        | Event::AlarmAcked { .. }
                        | Event::AlarmOpening { .. }
                )
            });
            if works {
                voices.push(voice);
            }
        }
        // This one stands on a message of its person's own.
        let stream = engine.cases.get(id).and_then(|s| s.case.incident());
        if let Some(picking) = stream.and_then(|i| i.picks.iter().find(|p| p.token == button)) {
            let person = |v: &usize| engine.roster.person(&speaker(*v)).is_some_and(|p| p.id == picking.person);
            if !voices.iter().all(person) {
                return Err(format!("somebody else can choose from the list of {}", picking.person.0));
            }
            continue;
        }
        let works = !voices.is_empty();
        let on_card = shown.contains(&button);
        // Other rules void what is open at the first click, and when all who may have agreed nobody is left.
        let busy = run_lock.as_ref().is_some_and(|lock| engine.world.locks.get(lock).is_some_and(|h| h.case != *id));
        let excused = busy && on_card
            || open.as_ref().is_some_and(|a| {
                a.action.policy != engine.world.rules.version || (a.approve == button && !a.votes.is_empty())
            });
        if works != on_card && !(on_card && excused) {
            return Err(format!("button {} of {id}: on the card {on_card}, works {works}", button.0));
        }
    }
    Ok(())
}
