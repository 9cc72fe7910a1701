//! The core: given a case, the world, an input and the time, what follows. Takes values, gives a
//! `Decision`; pure, total and deterministic. A refusal is a reply with its reason, never an error.

mod advance;
mod agreed;
pub mod alerts;
mod answers;
mod approve;
mod came;
mod deadline;
mod draft;
mod failed;
mod flow;
mod interlock;
pub mod narrate;
mod own_channel;
mod params;
mod pick;
mod plan;
pub mod policy;
mod render;
pub mod route;
mod said;
mod standing;
mod start;
pub mod verdict;

use crate::model::case::{Body, Case};
use crate::model::catalog::Catalog;
use crate::model::effect::{Act, Effect, Lane};
use crate::model::id::{EffectKey, Ids};
use crate::model::inbound::{Input, Standing};
use crate::model::message::{Message, Reply};
use crate::model::person::Roster;
use crate::model::time::Millis;
use crate::model::world::{Decision, World};
use draft::Draft;

/// What every part of a decision may look at.
pub(crate) struct Cx<'a> {
    pub(crate) world: &'a World,
    pub(crate) now: Millis,
    pub(crate) ids: &'a mut Ids,
    pub(crate) catalog: &'a Catalog,
    pub(crate) roster: &'a Roster,
}

/// Decides one input. `case` is the case that `route` named, blank if it is new, `None` if the input
/// belongs to none. Gives events, effects, guards and the reply, to be committed together.
#[must_use]
pub fn decide(
    case: Option<&Case>,
    world: &World,
    input: &Input,
    now: Millis,
    ids: &mut Ids,
    catalog: &Catalog,
    roster: &Roster,
) -> Decision {
    let mut cx = Cx { world, now, ids, catalog, roster };
    let decision = match case {
        Some(case) => with_case(&mut cx, case, input),
        None => without_case(&mut cx, input),
    };
    posted(&mut cx, input, decision)
}

/// A request that brought a mention has no body to answer in: the answer becomes an effect of the same
/// commit. What a slash command answers privately is private here too.
fn posted(cx: &mut Cx<'_>, input: &Input, mut decision: Decision) -> Decision {
    let Input::Said { by, place, .. } = input else { return decision };
    if !place.mention {
        return decision;
    }
    if let Some(Reply::Private(message)) = decision.reply.take() {
        let (to, channel, thread) = (by.clone(), place.channel.clone(), place.thread.clone());
        let act = Act::Tell { to, channel, reply: None, thread, message };
        let key = EffectKey::of(&["tell", &cx.ids.hex()]);
        decision.effects.push(Effect { key, lane: Lane::Approval, due: cx.now, act });
    }
    decision.reply = Some(Reply::Nothing);
    decision
}

fn with_case(cx: &mut Cx<'_>, case: &Case, input: &Input) -> Decision {
    let now = cx.now;
    let mut draft = Draft::new(case, now);
    let reply = match (&case.body, input) {
        (_, Input::Said { by, place, said }) => said::said(&mut draft, cx, (by, place), said),
        (Body::Incident(_), Input::Clicked(click)) => approve::clicked(&mut draft, cx, click),
        (Body::Incident(_), Input::Filled(form)) => approve::filled(&mut draft, cx, form),
        (Body::Alarm(_), Input::Clicked(click)) => alerts::clicked(&mut draft, cx, click),
        (_, Input::Clicked(click)) => approve::stale(&mut draft, cx, click),
        (_, Input::Filled(_)) => Reply::FormError("This form belongs to nothing that is open any more.".into()),
        (Body::Incident(_), Input::Starting { effect, generation, attempt, digest, .. }) => {
            start::starting(&mut draft, cx, (effect, *generation), (*attempt, digest))
        }
        (_, Input::Starting { effect, generation, .. }) => {
            draft.finish_effect(effect, *generation);
            Reply::NoGo("there is nothing to start".into())
        }
        (_, Input::Came { effect, generation, outcome, .. }) => {
            draft.finish_effect(effect, *generation);
            came::came(&mut draft, cx, effect, outcome);
            Reply::Nothing
        }
        (_, Input::Due { effect, generation, .. }) => {
            draft.finish_effect(effect, *generation);
            standing::due(&mut draft, cx, effect);
            approve::due(&mut draft, cx, effect);
            Reply::Nothing
        }
        (Body::Empty | Body::Alarm(_), Input::Alerted(group)) => alerts::alerted(&mut draft, cx, group),
        (Body::Empty | Body::Incident(_), Input::Opening(what)) => alerts::opening(&mut draft, cx, what),
        (_, Input::Alerted(_) | Input::Opening(_)) => Reply::Nothing,
        (_, Input::Up(Standing::Watch(runbook))) => {
            standing::watch_up(&mut draft, cx, runbook);
            Reply::Nothing
        }
        (_, Input::Up(Standing::Schedule(id))) => {
            standing::schedule_up(&mut draft, cx, id);
            Reply::Nothing
        }
    };
    draft.into_decision(reply)
}

fn without_case(cx: &mut Cx<'_>, input: &Input) -> Decision {
    match input {
        Input::Said { by, place, said } => Decision::reply(answers::without_case(cx, by, place, said)),
        Input::Clicked(click) => approve::nowhere(cx, click),
        Input::Filled(_) => {
            Decision::reply(Reply::FormError("This form belongs to nothing that is open any more.".into()))
        }
        Input::Came { effect, generation, .. }
        | Input::Starting { effect, generation, .. }
        | Input::Due { effect, generation, .. } => Decision {
            finished: vec![(effect.clone(), *generation)],
            reply: Some(Reply::NoGo("the case is gone".into())),
            ..Decision::default()
        },
        Input::Up(_) | Input::Alerted(_) | Input::Opening(_) => Decision::default(),
    }
}

/// A reply only the speaker sees.
pub(crate) fn private(text: impl Into<String>) -> Reply {
    Reply::Private(Message::text(text))
}
