//! What goes on by itself: detections that are asked again and again, and schedules that are due. Takes
//! their answers and times; gives the next look, and alerts of our own that nobody has to ask for.

use std::collections::BTreeMap;

use super::draft::Draft;
use super::verdict::{self, Light};
use super::{Cx, render};
use crate::model::alert::{Alert, AlertGroup, Arrived, OWN, RUNBOOK, SCHEDULE};
use crate::model::case::{Body, Detection};
use crate::model::catalog::Loaded;
use crate::model::effect::{Act, Lane};
use crate::model::event::Event;
use crate::model::id::EffectKey;
use crate::model::outcome::Outcome;
use crate::model::param::{KEPT_AT, Keep};
use crate::model::schedule::Schedule;
use crate::model::time::Millis;
use crate::model::world::Kept;

/// The process is up: opens the watch if it is new and makes its next detection due now.
pub(super) fn watch_up(draft: &mut Draft, cx: &Cx<'_>, runbook: &str) {
    if draft.case.body == Body::Empty {
        draft.happen(Event::WatchOpened { runbook: runbook.to_owned() });
    }
    look(draft, cx, runbook, cx.now);
    let params = cx.catalog.runbooks.get(runbook).map(|l| l.runbook.params.clone()).unwrap_or_default();
    for (name, keep) in params.iter().filter_map(|(n, p)| Some((n, p.keep.as_ref()?))) {
        ask_again(draft, (runbook, name), keep, cx.now);
    }
}

/// Has the rows asked that are kept for a parameter.
fn ask_again(draft: &mut Draft, of: (&str, &str), keep: &Keep, due: Millis) {
    if let Ok(question) = render::keep(of.1, keep) {
        let act = Act::Look { question: Some(Box::new(question)), acts_on: keep.target.clone(), changes: false };
        draft.effect(keep_key(of), Lane::Check, due, act);
    }
}

fn keep_key(of: (&str, &str)) -> EffectKey {
    EffectKey::of(&["keep", of.0, of.1])
}

/// Rows to keep came back, or why not: the detection tells that the target is not there.
pub(super) fn kept(draft: &mut Draft, cx: &Cx<'_>, effect: &EffectKey, outcome: &Outcome) {
    let Body::Watch(watch) = &draft.case.body else { return };
    let runbook = watch.runbook.clone();
    let Some(loaded) = cx.catalog.runbooks.get(&runbook) else { return };
    let mut params = loaded.runbook.params.iter().filter_map(|(n, p)| Some((n, p.keep.as_ref()?)));
    let Some((param, keep)) = params.find(|(name, _)| *effect == keep_key((&runbook, name))) else { return };
    if let Outcome::Previewed { rows, .. } = outcome {
        let at = Some(cx.now.rfc3339());
        let mut all = rows.identities(&rows.columns);
        all.iter_mut().for_each(|row| drop(row.insert(KEPT_AT.to_owned(), at.clone())));
        let rows = serde_json::to_string(&all).unwrap_or_default();
        draft.out.kept.push(Kept { runbook: runbook.clone(), param: param.clone(), rows });
    }
    ask_again(draft, (&runbook, param), keep, cx.now.plus(keep.every));
}

/// Has the detection asked at `due`, or when its hours begin.
fn look(draft: &mut Draft, cx: &Cx<'_>, runbook: &str, due: Millis) {
    let Some(loaded) = cx.catalog.runbooks.get(runbook) else { return };
    let detect = &loaded.runbook.detect;
    let due = detect.hours.as_ref().and_then(|h| h.open(due).ok()).unwrap_or(due);
    if let Ok(list) = render::questions(&detect.checks, &loaded.known()) {
        let key = EffectKey::of(&["detect", &draft.case.id.0, runbook]);
        draft.effect(key, Lane::Check, due, Act::Check(list));
    }
}

/// A look of the watch came back: a change of its light is an event, red is told in the channel.
pub(super) fn watched(draft: &mut Draft, cx: &Cx<'_>, runbook: &str, found: Detection) {
    let (Body::Watch(watch), Some(loaded)) = (&draft.case.body, cx.catalog.runbooks.get(runbook)) else { return };
    let detect = &loaded.runbook.detect;
    let (was, now) = (verdict::light(watch.last.as_ref(), detect), verdict::light(Some(&found), detect));
    if let Some(group) = alarm(cx, loaded, (now, &found)) {
        raise(draft, cx, group);
    }
    if now != was {
        let Detection { checked, streak, since, .. } = found;
        draft.happen(Event::Detected { runbook: runbook.to_owned(), checked, streak, since });
    }
    look(draft, cx, runbook, cx.now.plus(detect.every));
}

/// The alert of our own that follows from a light: firing when red, unless people know already; resolved
/// when it is green again.
fn alarm(cx: &Cx<'_>, loaded: &Loaded, seen: (Light, &Detection)) -> Option<AlertGroup> {
    let ((light, found), name) = (seen, &loaded.runbook.runbook);
    if !cx.world.rules.tells_own || cx.world.rules.home(Some(name)).is_empty() {
        return None;
    }
    let firing = light == Light::Red;
    let figures = verdict::figures(&found.checked).join("; ");
    let alert = Alert {
        fingerprint: name.clone(),
        firing,
        summary: format!("drbot's own detection: {figures}"),
        starts: found.since.unwrap_or(cx.now),
        ends: (!firing).then_some(cx.now),
    };
    let labels = BTreeMap::from([(RUNBOOK.to_owned(), name.clone())]);
    let group = AlertGroup {
        source: OWN.into(),
        key: format!("watch/{name}"),
        title: loaded.runbook.title.clone(),
        alerts: vec![Arrived { alert, labels }],
        truncated: 0,
    };
    let told = cx.world.ringing.contains_key(&group.case());
    match light {
        Light::Red => (!told && !known(cx, name)).then_some(group),
        Light::Green => told.then_some(group),
        _ => None,
    }
}

/// Whether people know of the scenario: its incident is open, or monitoring says so too.
fn known(cx: &Cx<'_>, name: &String) -> bool {
    let open = cx.world.open.values().any(|o| o.recovered.is_none() && o.scenario.as_ref() == Some(name));
    open || cx.world.ringing.values().any(|r| r.scenario.as_ref() == Some(name))
}

fn raise(draft: &mut Draft, cx: &Cx<'_>, group: AlertGroup) {
    let key = EffectKey::of(&["raise", &draft.case.id.0]);
    draft.effect(key, Lane::Card, cx.now, Act::Raise(Box::new(group)));
}

/// The process is up, or the schedule new: its next time is set. One that a detection follows needs nobody.
pub(super) fn schedule_up(draft: &mut Draft, cx: &Cx<'_>, id: &str) {
    let Some(schedule) = reminder(cx, id) else { return };
    if draft.case.body == Body::Empty {
        draft.happen(Event::ScheduleOpened { schedule: id.to_owned() });
    }
    if let Some(due) = next(draft, schedule) {
        draft.effect(key(id), Lane::Timer, due, Act::Timer);
    }
}

/// A schedule's timer: reminds its role if it is due, and sets the next time.
pub(super) fn due(draft: &mut Draft, cx: &Cx<'_>, effect: &EffectKey) {
    let Body::Schedule(rhythm) = &draft.case.body else { return };
    let id = rhythm.schedule.clone();
    let Some(schedule) = reminder(cx, &id).filter(|_| *effect == key(&id)) else { return };
    // The file may have been changed since the timer was set.
    if next(draft, schedule).is_some_and(|due| due <= cx.now) {
        draft.happen(Event::ScheduleDue);
        raise(draft, cx, remind(cx, schedule));
    }
    if let Some(due) = next(draft, schedule) {
        draft.effect(key(&id), Lane::Timer, due, Act::Timer);
    }
}

fn next(draft: &Draft, schedule: &Schedule) -> Option<Millis> {
    let Body::Schedule(rhythm) = &draft.case.body else { return None };
    schedule.next(rhythm.last.unwrap_or(rhythm.since))
}

fn key(id: &str) -> EffectKey {
    EffectKey::of(&["schedule", id])
}

/// The schedule, if drbot reminds somebody of it: no detection does it, and there is a channel.
fn reminder<'a>(cx: &'a Cx<'_>, id: &str) -> Option<&'a Schedule> {
    let found = cx.catalog.shared.schedules.iter().find(|s| s.id == id)?;
    (found.probe.is_none() && !cx.world.rules.alert_channel.is_empty()).then_some(found)
}

fn remind(cx: &Cx<'_>, schedule: &Schedule) -> AlertGroup {
    let alert = Alert {
        fingerprint: schedule.id.clone(),
        firing: true,
        summary: schedule.what.clone(),
        starts: cx.now,
        ends: None,
    };
    AlertGroup {
        source: SCHEDULE.into(),
        key: schedule.id.clone(),
        title: schedule.what.clone(),
        alerts: vec![Arrived { alert, labels: BTreeMap::new() }],
        truncated: 0,
    }
}
