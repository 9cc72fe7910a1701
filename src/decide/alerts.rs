//! Alerts: one case and one card per group. Takes deliveries, clicks and `/dr ack`; a firing alert starts
//! its scenario's detection, which only reads, and never anything else.

use super::draft::Draft;
use super::{Cx, approve, deadline, narrate, private, said};
use crate::model::alert::{Alarm, AlertGroup, Opening, Origin, Round};
use crate::model::case::Body;
use crate::model::effect::{Act, Lane};
use crate::model::event::{Declared, Event};
use crate::model::id::{CaseId, EffectKey};
use crate::model::inbound::{Click, Place};
use crate::model::message::Reply;
use crate::model::person::{Person, Speaker};
use crate::model::world::{Open, World};

/// How much of an alert group's case id people type.
const SHORT: usize = 8;

/// A delivery of this case's group. What says nothing new changes nothing.
pub(crate) fn alerted(draft: &mut Draft, cx: &mut Cx<'_>, group: &AlertGroup) -> Reply {
    let known = draft.case.alarm().cloned().unwrap_or_else(|| {
        let scenario = cx.catalog.answering(group).map(|l| l.runbook.runbook.as_str());
        Alarm::new(&group.source, &group.title, cx.world.rules.home(scenario))
    });
    let news = known.news(group, cx.now);
    if news.is_empty() && (known.truncated == group.truncated || !known.current(group)) {
        return Reply::Nothing;
    }
    if draft.case.body == Body::Empty {
        let (source, title) = (group.source.clone(), group.title.clone());
        draft.happen(Event::AlarmOpened { source, title, channel: known.channel.clone() });
    }
    let over = known.firing() == 0 || known.current(group) && !known.continues(group);
    let begins = over && news.iter().any(|a| a.firing);
    let round = begins.then(|| begin(draft, cx, (&known, group)));
    draft.happen(Event::Alerted { alerts: news, truncated: group.truncated, round });
    if begins {
        diagnose(draft, cx);
    }
    Reply::Nothing
}

fn begin(draft: &mut Draft, cx: &mut Cx<'_>, what: (&Alarm, &AlertGroup)) -> Round {
    let (known, group) = what;
    let (ack, open) = (cx.ids.button(), cx.ids.button());
    draft.out.handle(&ack);
    draft.out.handle(&open);
    let goes_on =
        |number: &u64| cx.world.open.get(&CaseId::incident(*number)).is_some_and(|open| open.recovered.is_none());
    Round {
        scenario: cx.catalog.answering(group).map(|l| l.runbook.runbook.clone()),
        ack,
        open,
        incident: known.incident.filter(goes_on),
    }
}

/// Runs the matching scenario's detection, with its default parameters. One that cannot run here is said on
/// the card.
fn diagnose(draft: &mut Draft, cx: &Cx<'_>) {
    let name = draft.case.alarm().and_then(Alarm::scenario);
    if let Some(loaded) = name.and_then(|n| cx.catalog.runbooks.get(n)).filter(|l| l.unusable.is_none()) {
        said::detect(draft, cx, loaded);
    }
}

/// A button on an alert's card.
pub(crate) fn clicked(draft: &mut Draft, cx: &mut Cx<'_>, click: &Click) -> Reply {
    let key = cx.ids.hex();
    let text = approve::elsewhere(draft, click).unwrap_or_else(|| press(draft, cx, click));
    draft.tell(&key, &click.by, (&click.place.channel, click.place.reply.as_deref()), text);
    Reply::Nothing
}

fn press(draft: &mut Draft, cx: &mut Cx<'_>, click: &Click) -> String {
    let Some(alarm) = draft.case.alarm().cloned() else { return approve::STALE.into() };
    let what = match &alarm.round {
        Some(round) if round.ack == click.button => "Acknowledge",
        Some(round) if round.open == click.button && !alarm.reminds() => "Open incident",
        _ => return "This button is from an earlier firing of the alert; the card shows what is possible now.".into(),
    };
    let Some(person) = cx.roster.person(&click.by).cloned() else {
        let who = format!("{}/{}", click.by.team, click.by.user);
        draft.happen(Event::Refused { who, what: what.into(), why: "not in the roster".into() });
        return approve::stranger();
    };
    if what == "Acknowledge" { acknowledge(draft, cx, &person) } else { open(draft, cx, &person) }
}

/// Says that a person is looking at the alert. Gives the text for them.
fn acknowledge(draft: &mut Draft, cx: &Cx<'_>, person: &Person) -> String {
    let Some(alarm) = draft.case.alarm() else { return approve::STALE.into() };
    let (title, did) = (&alarm.title, if alarm.reminds() { "finished" } else { "acknowledged" });
    if let Some((by, at)) = &alarm.acked {
        return format!("{} {did} {title} at {}.", cx.roster.name(by), at.clock());
    }
    if alarm.firing() == 0 {
        return format!("{} does not fire any more; there is nothing to acknowledge.", alarm.title);
    }
    let text = format!("You {did} {title}; its card says so.");
    draft.happen(Event::AlarmAcked { by: person.id.clone() });
    text
}

fn open(draft: &mut Draft, cx: &Cx<'_>, person: &Person) -> String {
    let Some(alarm) = draft.case.alarm().cloned() else { return approve::STALE.into() };
    match (alarm.incident, &alarm.opening) {
        (Some(number), _) => return format!("INC-{number} is already open for this alert."),
        (None, Some((by, _))) => {
            return format!("{} just opened an incident; its card is on its way.", cx.roster.name(by));
        }
        (None, None) if alarm.firing() == 0 => {
            return format!("{} does not fire any more. `/dr declare` opens an incident all the same.", alarm.title);
        }
        (None, None) => {}
    }
    let rules = &cx.world.rules;
    let private = alarm.scenario().and_then(|s| rules.own_channels.get(s));
    let channel = match private {
        Some(own) => own.clone(),
        None if rules.secret(&alarm.channel) => alarm.channel.clone(),
        None => rules.incident_channel.clone().unwrap_or_else(|| alarm.channel.clone()),
    };
    let origin = Origin { case: draft.case.id.clone(), round: alarm.rounds, title: alarm.title.clone() };
    let key = open_key(&origin.case, origin.round);
    let opening = Opening {
        origin,
        scenario: alarm.scenario().cloned(),
        by: person.id.clone(),
        channel,
        // A source whose clock is ahead must not give a trouble that has not begun.
        began: alarm.began().unwrap_or(cx.now).min(cx.now),
    };
    draft.happen(Event::AlarmOpening { by: person.id.clone() });
    draft.effect(key, Lane::Approval, cx.now, Act::Open(Box::new(opening)));
    "Opening an incident; this alert's card names it.".into()
}

/// The incident that answers an opening already: opened for the same firing of the same alert, or open for
/// the same scenario.
pub(crate) fn answered<'a>(opening: &Opening, world: &'a World) -> Option<&'a Open> {
    let same = world.open.values().find(|o| o.origins.contains(&opening.origin));
    let scenario = |o: &&Open| o.recovered.is_none() && o.scenario.is_some() && o.scenario == opening.scenario;
    same.or_else(|| world.open.values().find(scenario))
}

/// An alert's incident: opened, or found and told of the alert. Asking twice is the same as once.
pub(crate) fn opening(draft: &mut Draft, cx: &Cx<'_>, opening: &Opening) -> Reply {
    if let Some(incident) = draft.incident() {
        let number = incident.declared.number;
        if !incident.origins.contains(&opening.origin) {
            draft.happen(Event::AlertJoined { origin: opening.origin.clone(), by: opening.by.clone() });
        }
        return Reply::Opened(number);
    }
    let number = cx.world.last_number + 1;
    let loaded = opening.scenario.as_ref().and_then(|s| cx.catalog.runbooks.get(s));
    draft.happen(Event::Declared(Declared {
        number,
        title: loaded.map_or_else(|| opening.origin.title.chars().take(140).collect(), |l| l.runbook.title.clone()),
        tier: loaded.map_or(1, |l| l.runbook.tier),
        scenario: loaded.map(|l| l.runbook.runbook.clone()),
        objectives: loaded.map_or(cx.catalog.shared.objectives, |l| l.runbook.objectives),
        by: opening.by.clone(),
        channel: opening.channel.clone(),
        began: opening.began,
        origin: Some(opening.origin.clone()),
    }));
    if let Some(loaded) = loaded {
        deadline::begin(draft, cx, loaded);
    }
    Reply::Opened(number)
}

fn open_key(case: &CaseId, round: u32) -> EffectKey {
    EffectKey::of(&["open", &case.0, &round.to_string()])
}

/// The incident that this effect asked for is there.
pub(crate) fn opened(draft: &mut Draft, effect: &EffectKey, number: u64) {
    let asked = draft.case.alarm().and_then(|a| a.opening.as_ref()).map(|(_, round)| *round);
    if asked.is_some_and(|round| *effect == open_key(&draft.case.id, round)) {
        draft.happen(Event::AlarmLinked { number });
    }
}

/// What people type to name an alert group.
#[must_use]
pub fn short(case: &CaseId) -> &str {
    let id = case.0.strip_prefix("alert-").unwrap_or(&case.0);
    id.get(..SHORT).unwrap_or(id)
}

/// The firing group that `/dr ack` means: the one named, by id or title, else the only one of the channel
/// that nobody acknowledged.
///
/// # Errors
/// A text that says why there is none, or which there are.
pub(crate) fn meant(alert: Option<&str>, channel: &str, world: &World) -> Result<CaseId, String> {
    let named = |case: &CaseId, title: &str, name: &str| short(case) == name || title.eq_ignore_ascii_case(name);
    let found: Vec<(&CaseId, &str)> = world
        .ringing
        .iter()
        .filter(|(_, r)| !world.rules.hides(&r.channel, channel))
        .filter(|(case, r)| match alert {
            Some(name) => named(case, &r.title, name),
            None => r.channel == channel && !r.acked,
        })
        .map(|(case, r)| (case, r.title.as_str()))
        .collect();
    let list = || found.iter().take(10).map(|(c, t)| format!("`{}` ({t})", short(c))).collect::<Vec<_>>().join(", ");
    match (found.as_slice(), alert) {
        ([(case, _)], _) => Ok((*case).clone()),
        ([], Some(name)) => Err(format!("No alert `{name}` fires. The id stands at the bottom of the alert's card.")),
        ([], None) => Err("No alert in this channel waits for somebody to acknowledge it.".into()),
        (many, _) => Err(format!("{} fire. Name one: {}.", narrate::counted(many.len() as u64, "alert"), list())),
    }
}

/// `/dr ack` in the group's own case.
pub(crate) fn ack(draft: &mut Draft, cx: &Cx<'_>, person: &Person) -> Reply {
    private(acknowledge(draft, cx, person))
}

/// `/dr ack` that means no group.
pub(crate) fn no_ack(cx: &Cx<'_>, by: &Speaker, place: &Place, alert: Option<&str>) -> Reply {
    if cx.roster.person(by).is_none() {
        return private(approve::stranger());
    }
    private(meant(alert, &place.channel, cx.world).err().unwrap_or_else(|| approve::STALE.into()))
}
