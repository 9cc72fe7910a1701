//! Commands typed by people. Takes a parsed command and its case; gives the answer and what follows.

use std::collections::BTreeMap;

use super::advance::{self, advance};
use super::draft::Draft;
use super::{
    Cx, alerts, answers, approve, came, deadline, flow, interlock, narrate, own_channel, params, plan, private, render,
};
use crate::model::approval::ApprovalId;
use crate::model::case::Body;
use crate::model::catalog::Loaded;
use crate::model::command::{Asked, Command};
use crate::model::effect::{Act, Lane};
use crate::model::event::{Declared, Event};
use crate::model::id::EffectKey;
use crate::model::inbound::Place;
use crate::model::message::Reply;
use crate::model::outcome::{Checked, Verdict};
use crate::model::person::{Person, Speaker};
use crate::model::run::{Phase, RunState};
use crate::model::world::Guard;

/// A command that `route` gave a case.
pub(crate) fn said(
    draft: &mut Draft,
    cx: &mut Cx<'_>,
    from: (&Speaker, &Place),
    said: &Result<Asked, String>,
) -> Reply {
    let (by, place) = from;
    let asked = match said {
        Ok(asked) => asked,
        Err(text) => return private(text.clone()),
    };
    let Some(person) = cx.roster.person(by).cloned() else { return refuse_stranger(draft, by, asked) };
    if let Some(why) = own_channel::refused(cx, asked, draft.incident(), place) {
        return private(why);
    }
    match (&asked.command, &draft.case.body) {
        (Command::Status, _) => status(draft, cx, &person, place),
        (Command::Detect { runbook: Some(name) }, _) => detect_one(draft, cx, (&person, place), name),
        (Command::Plan { runbook, given }, Body::Empty) => plan::asked(draft, cx, (&person, place), (runbook, given)),
        (Command::Ack { .. }, Body::Alarm(_)) => alerts::ack(draft, cx, &person),
        (Command::Declare { title }, _) => declare(draft, cx, (&person, place), title),
        (_, Body::Incident(_)) => on_incident(draft, cx, (by, &person, place), &asked.command),
        _ => answers::without_case(cx, by, place, said),
    }
}

fn refuse_stranger(draft: &mut Draft, by: &Speaker, asked: &Asked) -> Reply {
    if draft.case.body == Body::Empty {
        draft.happen(Event::ControlOpened);
    }
    let what = format!("{:?}", asked.command).chars().take(80).collect();
    draft.happen(Event::Refused { who: format!("{}/{}", by.team, by.user), what, why: "not in the roster".into() });
    private(approve::stranger())
}

fn status(draft: &mut Draft, cx: &mut Cx<'_>, person: &Person, place: &Place) -> Reply {
    let here = |l: &&Loaded| cx.world.rules.elsewhere(&l.runbook.runbook, &place.channel).is_none();
    let usable: Vec<_> = cx.catalog.runbooks.values().filter(|l| l.unusable.is_none()).filter(here).collect();
    let scenarios: Vec<String> = usable.iter().map(|l| l.runbook.runbook.clone()).collect();
    let count = scenarios.len();
    let (channel, thread) = (place.channel.clone(), place.thread.clone());
    draft.happen(Event::StatusAsked { by: person.id.clone(), channel, scenarios, single: false, thread });
    for loaded in usable {
        detect(draft, cx, loaded);
    }
    private(format!(
        "Running the detection of {count} configured scenario{}; the answer appears in this {}.",
        if count == 1 { "" } else { "s" },
        if place.thread.is_some() { "thread" } else { "channel" }
    ))
}

/// Has a scenario's detection run once, with its default parameters, for the case at hand.
pub(crate) fn detect(draft: &mut Draft, cx: &Cx<'_>, loaded: &Loaded) {
    let name = &loaded.runbook.runbook;
    let list = render::questions(&loaded.runbook.detect.checks, &loaded.known());
    let key = EffectKey::of(&["detect", &draft.case.id.0, name]);
    match list {
        Ok(list) => draft.effect(key, Lane::Check, cx.now, Act::Check(list)),
        Err(why) => {
            let checked =
                vec![Checked { id: "detect".into(), verdict: Verdict::CouldNot, figure: why, evidence: false }];
            draft.happen(Event::Detected { runbook: name.clone(), checked, streak: 0, since: None });
        }
    }
}

fn detect_one(draft: &mut Draft, cx: &mut Cx<'_>, from: (&Person, &Place), name: &str) -> Reply {
    let (person, place) = from;
    let Some(loaded) = cx.catalog.find(name) else { return private(answers::no_runbook(cx, name)) };
    let name = loaded.runbook.runbook.clone();
    if let Some(why) = &loaded.unusable {
        return private(format!("`{name}` cannot be checked here: {why}."));
    }
    let (by, channel, thread) = (person.id.clone(), place.channel.clone(), place.thread.clone());
    draft.happen(Event::StatusAsked { by, channel, scenarios: vec![name.clone()], single: true, thread });
    detect(draft, cx, loaded);
    private(format!(
        "Running the detection of `{name}`; the answer appears in this {}.",
        if place.thread.is_some() { "thread" } else { "channel" }
    ))
}

fn declare(draft: &mut Draft, cx: &mut Cx<'_>, from: (&Person, &Place), title: &str) -> Reply {
    let (person, place) = from;
    let loaded = cx.catalog.find(title);
    let scenario = loaded.map(|l| l.runbook.runbook.clone());
    let open = cx.world.open.values().find(|o| o.recovered.is_none() && o.scenario.is_some() && o.scenario == scenario);
    if let Some(open) = open {
        return private(format!(
            "INC-{} is already open for this scenario since {}. Nothing was opened twice.",
            open.number,
            open.began.clock()
        ));
    }
    let streak = scenario.as_ref().and_then(|s| cx.world.streaks.get(s)).copied().unwrap_or_default();
    let number = cx.world.last_number + 1;
    let declared = Declared {
        number,
        title: loaded.map_or_else(|| title.chars().take(140).collect(), |l| l.runbook.title.clone()),
        tier: loaded.map_or(1, |l| l.runbook.tier),
        scenario: scenario.clone(),
        objectives: loaded.map_or(cx.catalog.shared.objectives, |l| l.runbook.objectives),
        by: person.id.clone(),
        channel: place.channel.clone(),
        began: streak.since.unwrap_or(cx.now),
        origin: None,
    };
    let began = declared.began;
    draft.happen(Event::Declared(declared));
    if let Some(loaded) = loaded {
        deadline::begin(draft, cx, loaded);
    }
    let next = scenario
        .map_or("`/dr run RUNBOOK` starts a runbook.".to_owned(), |s| format!("`/dr run {s}` starts its runbook."));
    private(format!("INC-{number} is open; its clock runs since {}. {next}", began.clock()))
}

fn on_incident(draft: &mut Draft, cx: &mut Cx<'_>, from: (&Speaker, &Person, &Place), command: &Command) -> Reply {
    let (by, person, _) = from;
    match command {
        Command::Note { text } => {
            draft.happen(Event::Noted { by: person.id.clone(), text: text.clone() });
            private(format!("Noted in {}.", number(draft)))
        }
        Command::Run { runbook, given } => run(draft, cx, from, (runbook, given)),
        Command::Next { choice } => match choice {
            Some(n) => private(flow::chosen(draft, cx, person, n.saturating_sub(1))),
            None => next(draft, cx, person),
        },
        Command::Retry { step } => again(draft, cx, person, step.as_deref()),
        Command::Resume => again(draft, cx, person, None),
        Command::Skip { step, reason } => flow::skip(draft, cx, person, (step, reason)),
        Command::Abort { reason } => flow::abort(draft, person, reason),
        Command::Undo { step } => flow::undo(draft, cx, person, step.as_deref()),
        Command::Withdraw { id } => private(approve::withdraw(draft, cx, &ApprovalId(id.clone()), by)),
        Command::Approve { id } => private(approve::vote(draft, cx, &ApprovalId(id.clone()), by)),
        Command::Deny { id, reason } => private(approve::deny(draft, cx, &ApprovalId(id.clone()), (by, reason))),
        Command::Done { step, evidence } => private(approve::manual(draft, cx, (person, step), (evidence, true))),
        Command::Settle { step, happened } => settle(draft, cx, person, (step, *happened)),
        Command::Verify { id } => answers::verify(draft, cx, id),
        Command::Show { step: Some(step) } => answers::show_step(draft, cx, step),
        Command::Show { step: None } => draft.incident().map_or_else(
            || private("There is nothing to show."),
            |_| Reply::Private(narrate::incident::shown(&draft.case, cx.roster, cx.now)),
        ),
        Command::Timeline => answers::timeline(draft, cx),
        Command::Checklist => match draft.incident() {
            Some(incident) => Reply::Private(narrate::checklist::list(incident, cx.catalog, cx.now)),
            None => private("There is no incident here."),
        },
        other => answers::plain(cx, by, other),
    }
}

fn number(draft: &Draft) -> String {
    draft.incident().map(|i| format!("INC-{}", i.declared.number)).unwrap_or_default()
}

fn run(
    draft: &mut Draft,
    cx: &mut Cx<'_>,
    from: (&Speaker, &Person, &Place),
    what: (&str, &BTreeMap<String, String>),
) -> Reply {
    if let Some(why) = busy(draft) {
        return private(why);
    }
    if let Some(reply) = params::ask(draft, cx, from, what) {
        return reply;
    }
    private(start(draft, cx, from.1, what).unwrap_or_else(|why| why))
}

/// Why nothing can be started here now: a run is still going.
fn busy(draft: &Draft) -> Option<String> {
    let run = draft.run().filter(|r| !r.idle())?;
    Some(format!(
        "`{}` is still going in {}. `/dr next` says what it waits for.",
        run.loaded.runbook.runbook,
        number(draft)
    ))
}

/// Starts a runbook with these values, wherever they came from. Gives the text for the person, or why not.
pub(super) fn start(
    draft: &mut Draft,
    cx: &mut Cx<'_>,
    person: &Person,
    what: (&str, &BTreeMap<String, String>),
) -> Result<String, String> {
    if let Some(why) = busy(draft) {
        return Err(why);
    }
    let (loaded, values) = startable(draft, cx, what.0, what.1)?;
    let (title, steps) = (loaded.runbook.title.clone(), loaded.runbook.steps.len());
    begin(draft, cx, person, (&loaded, values));
    Ok(format!(
        "Started in {}: {title}, {}. The incident's card shows each one.",
        number(draft),
        narrate::counted(steps as u64, "step")
    ))
}

/// A runbook that may start now, with its values; or why not.
pub(super) fn startable(
    draft: &Draft,
    cx: &Cx<'_>,
    name: &str,
    given: &BTreeMap<String, String>,
) -> Result<(Loaded, BTreeMap<String, String>), String> {
    let loaded = cx.catalog.find(name).ok_or_else(|| answers::no_runbook(cx, name))?;
    if let Some(why) = &loaded.unusable {
        return Err(format!("`{}` cannot run here: {why}.", loaded.runbook.runbook));
    }
    // A run that another one leads to does not take its incident along into the open.
    let here = draft.incident().map(|i| i.declared.channel.clone()).unwrap_or_default();
    if let Some(why) = own_channel::sent_away(cx, loaded, &here) {
        return Err(why);
    }
    let values = loaded.values(given, &cx.world.kept(&loaded.runbook.runbook)).map_err(|why| format!("{why}."))?;
    if let Some(why) = interlock::hindrance(loaded, &values, cx.world) {
        return Err(format!("`{}` does not run now: {why}.", loaded.runbook.runbook));
    }
    already(draft, cx, loaded).map_or_else(|| Ok((loaded.clone(), values)), Err)
}

/// Why this runbook cannot start here now: another incident runs it.
pub(super) fn already(draft: &Draft, cx: &Cx<'_>, loaded: &Loaded) -> Option<String> {
    let held = cx.world.other(&advance::lock(&loaded.runbook.runbook), &draft.case.id)?;
    Some(format!(
        "`{}` is already going in {}; one run of it at a time.",
        loaded.runbook.runbook,
        cx.world.holder(held)
    ))
}

/// Starts a runbook that may start.
pub(super) fn begin(draft: &mut Draft, cx: &mut Cx<'_>, person: &Person, what: (&Loaded, BTreeMap<String, String>)) {
    let (loaded, values) = what;
    let id = format!("r{}", draft.incident().map_or(0, |i| i.runs) + 1);
    draft.guard(Guard::Take(advance::lock(&loaded.runbook.runbook)));
    draft.happen(Event::RunStarted { id, loaded: Box::new(loaded.clone()), values, by: person.id.clone() });
    deadline::begin(draft, cx, loaded);
    advance(draft, cx);
}

fn next(draft: &mut Draft, cx: &mut Cx<'_>, person: &Person) -> Reply {
    let Some(run) = draft.run().cloned() else {
        return private(
            "No runbook is running here. `/dr run RUNBOOK` starts one; `/dr status` says which scenario fails.",
        );
    };
    let RunState::Paused(_) = &run.state else { return private(narrate::incident::next_text(&draft.case, cx.roster)) };
    if run.current().is_some_and(|(_, s)| s.phase == Phase::Unknown) {
        let asked = advance::probe_again(draft, cx, &run);
        let text = narrate::incident::next_text(&draft.case, cx.roster);
        return private(if asked { format!("Asking the target again. {text}") } else { text });
    }
    let lock = advance::lock(&run.loaded.runbook.runbook);
    if let Some(held) = cx.world.other(&lock, &draft.case.id) {
        return private(format!("The same runbook is going in {} now; wait for it.", cx.world.holder(held)));
    }
    draft.guard(Guard::Take(lock));
    draft.happen(Event::RunResumed { by: person.id.clone() });
    advance(draft, cx);
    private("Going on; the card shows the next step.")
}

/// Goes on after a pause, which tries the step again at which it paused. Nothing that may have happened is
/// ever started again.
pub(super) fn again(draft: &mut Draft, cx: &mut Cx<'_>, person: &Person, step: Option<&str>) -> Reply {
    let Some(run) = draft.run() else { return next(draft, cx, person) };
    let now = run.current().map(|(s, _)| s.id.clone());
    let odd = step.filter(|step| now.as_deref() != Some(step));
    match (&run.state, odd) {
        (RunState::Paused(_), None) => next(draft, cx, person),
        (_, Some(odd)) => {
            let now = now.map_or("none".to_owned(), |id| format!("`{id}`"));
            private(format!("Only the current step can be tried again; that is {now}, not `{odd}`."))
        }
        (_, None) => {
            private(format!("The run is not paused. {}", narrate::incident::next_text(&draft.case, cx.roster)))
        }
    }
}

fn settle(draft: &mut Draft, cx: &mut Cx<'_>, person: &Person, what: (&str, bool)) -> Reply {
    let (step, happened) = what;
    let unknown =
        draft.run().and_then(|r| r.current()).filter(|(s, state)| s.id == step && state.phase == Phase::Unknown);
    let Some((_, state)) = unknown else {
        return private(format!("Step `{step}` is not unknown, so there is nothing to settle."));
    };
    let word = if happened { "happened" } else { "did not happen" };
    match &state.claim {
        Some((other, claim)) if *other != person.id && *claim == happened => {
            let how = format!("{} and {} say it {word}", cx.roster.name(other), person.name);
            draft.happen(Event::StepSettled { step: step.to_owned(), happened, how });
            came::settled(draft, cx, (step, happened));
            private(format!("Settled: `{step}` {word}."))
        }
        _ => {
            draft.happen(Event::SettleClaimed { step: step.to_owned(), by: person.id.clone(), happened });
            private(format!(
                "You say `{step}` {word}. A second person must say the same: `/dr settle {step} {}`.",
                if happened { "happened" } else { "not" }
            ))
        }
    }
}
