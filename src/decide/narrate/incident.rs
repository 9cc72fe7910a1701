//! The incident's card. Takes the case; gives one message that says how long it lasts, what is known,
//! what runs, who must do what, and carries the buttons of the next action.

use super::{against, counted};
use crate::decide::policy;
use crate::model::agreed::{AgreedUndo, Pending, Stand};
use crate::model::approval::{Approval, Standing};
use crate::model::ask::Deed;
use crate::model::case::Case;
use crate::model::deadline::hours;
use crate::model::expect::Rows;
use crate::model::flow::Way;
use crate::model::id::ButtonId;
use crate::model::incident::Incident;
use crate::model::message::{Button, Message, Part, Run as Text, Style, runs};
use crate::model::person::Roster;
use crate::model::run::{Phase, Run, RunState, StepRun};
use crate::model::runbook::{Step, Work};
use crate::model::time::{Millis, Span};

/// Draws the card, buttons included.
#[must_use]
pub fn card(case: &Case, roster: &Roster, now: Millis) -> Message {
    draw(case, roster, now, true)
}

/// The same without buttons: decisions live on the card only.
#[must_use]
pub fn shown(case: &Case, roster: &Roster, now: Millis) -> Message {
    draw(case, roster, now, false)
}

fn draw(case: &Case, roster: &Roster, now: Millis, buttons: bool) -> Message {
    let Some(incident) = case.incident() else { return Message::text("There is no incident here.") };
    let d = &incident.declared;
    let title = format!("{} INC-{} {}", sign(incident), d.number, d.title);
    let state = next_text(case, roster);
    let mut parts = vec![Part::Title(title.clone()), Part::Facts(clock(incident, roster, now))];
    if let Some(run) = &incident.run {
        parts.push(Part::Text(steps(run)));
        parts.extend(asking(run, roster, (now, buttons)));
        parts.extend(person(incident, run, buttons));
        parts.extend(choice(run, buttons));
        parts.extend(failed(run, buttons));
    }
    parts.extend(agreed(incident));
    parts.push(Part::Text([vec![Text::Bold("Next: ".into())], runs(&state)].concat()));
    Message { notify: format!("{title}. {state}"), parts }
}

fn sign(incident: &Incident) -> &'static str {
    // An unknown step is the loudest thing there is: it does not look like a quiet pause.
    let unknown = |r: &Run| r.current().is_some_and(|(_, s)| s.phase == Phase::Unknown);
    let paused = |r: &Run| matches!(r.state, RunState::Paused(_)) && !unknown(r);
    match (&incident.recovered, &incident.run) {
        (Some(_), _) => "✅",
        (None, Some(run)) if paused(run) => "🟡",
        _ => "🔴",
    }
}

fn clock(incident: &Incident, roster: &Roster, now: Millis) -> Vec<(String, String)> {
    let d = &incident.declared;
    let elapsed = incident.elapsed(now);
    let word = if incident.recovered.is_some() { "Recovered after" } else { "Down for" };
    let mut facts = vec![
        (word.to_owned(), against(elapsed, d.objectives.rto, "RTO")),
        ("Tier".to_owned(), d.tier.to_string()),
        ("Began".to_owned(), d.began.clock()),
        ("Declared".to_owned(), format!("{} by {}", incident.declared_at.clock(), roster.name(&d.by))),
    ];
    if !incident.origins.is_empty() {
        let titles: std::collections::BTreeSet<&str> = incident.origins.iter().map(|o| o.title.as_str()).collect();
        let (shown, more) = (titles.iter().take(5).copied().collect::<Vec<_>>(), titles.len().saturating_sub(5));
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        facts.push(("Alert".to_owned(), format!("{}{more}", shown.join(", "))));
    }
    for d in &incident.deadlines {
        let state = match &d.met {
            Some((by, at)) if *at <= d.due => format!("done by {} at {}", roster.name(by), at.date_clock()),
            Some((by, at)) => format!("done by {} at {}, TOO LATE", roster.name(by), at.date_clock()),
            None => d.left(now),
        };
        facts.push((format!("{} ({})", d.title, hours(d.within)), state));
    }
    if let Some(at) = incident.recovered {
        // The first failing check, which `began` is here, is also when it was detected.
        let repair = at.since(d.began);
        facts.push(("Recovered".to_owned(), at.clock()));
        facts.push(("Time to repair".to_owned(), against(repair, d.objectives.mttr, "MTTR")));
    }
    facts
}

fn phase_sign(phase: Phase) -> &'static str {
    match phase {
        Phase::Todo => "⚪",
        Phase::Previewing | Phase::Started | Phase::Verifying => "⏳",
        Phase::Waiting | Phase::Granted => "✋",
        Phase::Person | Phase::Choosing => "👤",
        Phase::Watching => "⏳",
        Phase::Unknown => "❓",
        Phase::Done => "✅",
        Phase::Skipped => "⏩",
        Phase::Failed => "❌",
    }
}

fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Todo => "to do",
        Phase::Previewing => "listing what it would touch",
        Phase::Waiting => "waits for approval",
        Phase::Granted => "approved, starting",
        Phase::Started => "running",
        Phase::Verifying => "checking the result",
        Phase::Unknown => "UNKNOWN whether it happened",
        Phase::Person => "waits for a person",
        Phase::Watching => "waiting",
        Phase::Choosing => "waits for a choice",
        Phase::Done => "done",
        Phase::Skipped => "skipped",
        Phase::Failed => "not done",
    }
}

fn steps(run: &Run) -> Vec<Text> {
    let mut runs = vec![Text::Bold(format!("{}\n", run.loaded.runbook.runbook))];
    for (step, state) in run.loaded.runbook.steps.iter().zip(&run.steps) {
        let title = crate::model::statement::fill(&step.title, &run.values);
        let took = match (state.started, state.ended) {
            (Some(a), Some(b)) if state.phase == Phase::Done => took(b.since(a), step.budget),
            _ => String::new(),
        };
        let took = if state.undone { format!("{took}, taken back") } else { took };
        let gave_up = state.failed && state.phase == Phase::Skipped;
        let remark = state.remark.as_ref().map(|r| format!(": {r}")).unwrap_or_default();
        runs.push(Text::Plain(format!(
            "{} {title} ({}{took}){remark}\n",
            if gave_up { "❌" } else { phase_sign(state.phase) },
            if gave_up { "failed, the run went on" } else { phase_word(state.phase) },
        )));
    }
    if matches!(run.state, RunState::Succeeded { .. }) {
        runs.push(Text::Plain(format!("✅ Verified: {}\n", run.proof.join("; "))));
    }
    runs
}

/// How long a step took, and whether that was longer than its budget.
fn took(span: Span, budget: Span) -> String {
    let over = if span > budget { format!(", over its budget of {}", budget.human()) } else { String::new() };
    format!(" in {}{over}", span.human())
}

/// The choice that a person must make: a button for each way.
fn choice(run: &Run, buttons: bool) -> Vec<Part> {
    let Some((step, state)) = run.current().filter(|(_, s)| s.phase == Phase::Choosing) else { return Vec::new() };
    let Work::Choose(choose) = &step.work else { return Vec::new() };
    let ask = crate::model::statement::fill(&choose.ask, &run.values);
    let mut parts = vec![Part::Rule, Part::Text(vec![Text::Bold(format!("{}\n", step.title)), Text::Plain(ask)])];
    if buttons {
        let button =
            |(id, way): (&ButtonId, &Way)| Button { id: id.clone(), label: way.label.clone(), style: Style::Plain };
        parts.push(Part::Buttons(state.buttons.iter().zip(&choose.options).map(button).collect()));
    }
    let list: Vec<String> =
        (1..).zip(&choose.options).map(|(n, way)| format!("/dr next {n} ({})", way.label)).collect();
    parts.push(Part::Small(format!("Or type: {}", list.join("   "))));
    parts
}

/// The failed step that people are asked about: a button for each way on.
fn failed(run: &Run, buttons: bool) -> Vec<Part> {
    let Some((step, ways)) = run.asked() else { return Vec::new() };
    let id = &step.id;
    let title = crate::model::statement::fill(&step.title, &run.values);
    let mut parts = vec![
        Part::Rule,
        Part::Text(vec![
            Text::Bold(format!("This did not go through: {title}\n")),
            Text::Plain("Try it again, go on without it, or end the run?".to_owned()),
        ]),
    ];
    if buttons {
        let button = |id: &ButtonId, label: &str, style| Button { id: id.clone(), label: label.into(), style };
        parts.push(Part::Buttons(vec![
            button(&ways.retry, "Retry", Style::Primary),
            button(&ways.skip, "Skip", Style::Plain),
            button(&ways.abort, "Abort", Style::Danger),
        ]));
    }
    parts.push(Part::Small(format!("Or type: /dr retry {id}   /dr skip {id} REASON   /dr abort REASON")));
    parts
}

/// What is agreed to besides the step itself.
fn agreed_to(undo: &AgreedUndo) -> Vec<Text> {
    let (when, every, latest) = (&undo.when, undo.every.human(), hours(undo.latest));
    let text = format!(
        "\nwhen {when} (looked at every {every}), at the latest {latest} after the step, without asking again. Exactly this runs then:"
    );
    vec![Text::Bold(format!("Agreed with it, taken back by itself: {}", undo.title)), Text::Plain(text)]
}

/// The undos that were agreed to with their steps, each with what becomes of it and how it is stopped.
fn agreed(incident: &Incident) -> Option<Part> {
    let line = |p: &Pending| {
        let (step, id, at) = (&p.step, &p.approval.id.0, p.at.date_clock());
        let when = p.undo().map(|u| u.when.as_str()).unwrap_or_default();
        match p.stand {
            Stand::Watching => format!(
                "⏳ {step} is taken back by itself when {when}, at the latest {}. To stop that: /dr deny {id} REASON\n",
                p.until.date_clock()
            ),
            Stand::Due => format!("⏳ {step} is about to be taken back: {}\n", p.remark),
            Stand::Started | Stand::Proving => format!("⏳ {step} is being taken back\n"),
            Stand::Unknown => {
                format!("❓ nobody heard whether {step} was taken back; the target is asked: {}\n", p.remark)
            }
            Stand::Done => format!("↩ {step} was taken back by itself at {at}: {}\n", p.remark),
            Stand::Failed => {
                format!("❌ {step} was NOT taken back: {}. Look at the target; /dr undo {step}\n", p.remark)
            }
            Stand::Stopped => format!("⏩ {step} is not taken back by itself: {}\n", p.remark),
        }
    };
    let lines: Vec<Text> = incident.agreed.iter().rev().take(LISTED).map(|p| Text::Plain(line(p))).collect();
    (!lines.is_empty()).then_some(Part::Text(lines))
}

/// Most agreed undos that one card lists, the newest first.
const LISTED: usize = 5;

/// The approval block: exactly what runs, on what, touching which rows, how it is undone, who may agree,
/// until when, and how to decide by text.
fn asking(run: &Run, roster: &Roster, shown: (Millis, bool)) -> Vec<Part> {
    let (now, buttons) = shown;
    let waiting = run.current().filter(|(_, s)| matches!(s.phase, Phase::Waiting | Phase::Granted | Phase::Started));
    let Some(a) = waiting.and_then(|(_, s)| s.approval.as_ref()) else { return Vec::new() };
    let action = &a.action;
    let mut parts = vec![
        Part::Rule,
        Part::Text(vec![Text::Bold(format!("{} step: {}", action.risk.word(), action.title))]),
        Part::Facts(approval_facts(a, roster)),
        Part::Text(vec![Text::Bold("Exactly this runs:".into())]),
        Part::Code(deed_text(&action.deed)),
        Part::Text(vec![Text::Bold(format!("It touches {}:", counted(action.preview.count(), "row")))]),
        Part::Code(table(&action.preview)),
    ];
    if let Some(undo) = &action.agreed {
        parts.push(Part::Text(agreed_to(undo)));
        parts.push(Part::Code(deed_text(&undo.deed)));
    }
    if a.standing == Standing::Open && now <= action.decide_by {
        if buttons {
            parts.push(Part::Buttons(vec![
                Button { id: a.approve.clone(), label: "Approve".into(), style: Style::Primary },
                Button { id: a.deny.clone(), label: "Deny".into(), style: Style::Danger },
            ]));
        }
        parts.push(Part::Small(format!(
            "Or type: /dr approve {id}   /dr deny {id} REASON   /dr verify {id}",
            id = a.id.0
        )));
    }
    parts
}

fn approval_facts(a: &Approval, roster: &Roster) -> Vec<(String, String)> {
    let action = &a.action;
    let votes: Vec<String> = a.votes.iter().map(|(p, at)| format!("{} at {}", roster.name(p), at.clock())).collect();
    let mut facts = vec![
        ("On".to_owned(), format!("{} ({})", action.target, action.identity.text())),
        ("Undo".to_owned(), action.undo.clone().unwrap_or_else(|| "none".into())),
        ("Asked by".to_owned(), roster.name(&action.requester)),
        ("Approval".to_owned(), a.id.0.clone()),
    ];
    if a.standing == Standing::Open {
        facts.push(("Who".to_owned(), policy::of(a, roster).text(roster)));
        facts.push(("Decide by".to_owned(), action.decide_by.clock()));
    }
    if !votes.is_empty() {
        facts.push(("Agreed".to_owned(), votes.join(", ")));
    }
    facts
}

fn person(incident: &Incident, run: &Run, buttons: bool) -> Vec<Part> {
    let (Some((id, done, cannot)), Some((step, _))) = (&incident.person, run.current()) else { return Vec::new() };
    let Work::Manual(work) = &step.work else { return Vec::new() };
    let mut parts = vec![
        Part::Rule,
        Part::Text(vec![Text::Bold(format!("A person must do this: {}\n", step.title)), Text::Plain(work.ask.clone())]),
        Part::Facts(vec![("Evidence".to_owned(), work.evidence.clone())]),
    ];
    if buttons {
        parts.push(Part::Buttons(vec![
            Button { id: done.clone(), label: "Done".into(), style: Style::Primary },
            Button { id: cannot.clone(), label: "Cannot".into(), style: Style::Plain },
        ]));
    }
    parts.push(Part::Small(format!("Or type: /dr done {id} EVIDENCE")));
    parts
}

/// One sentence: what happens now, or who must do what.
#[must_use]
pub fn next_text(case: &Case, roster: &Roster) -> String {
    let Some(incident) = case.incident() else { return "Nothing is open here.".into() };
    let Some(run) = &incident.run else {
        let name = incident.declared.scenario.clone().unwrap_or_else(|| "RUNBOOK".into());
        return format!("No runbook was started: /dr run {name}");
    };
    match &run.state {
        RunState::Succeeded { .. } => return "Recovered and verified.".into(),
        RunState::Aborted { why, .. } => {
            return format!("The run was aborted: {why}. `/dr run RUNBOOK` starts another.{}", back(run));
        }
        RunState::HandedOver { to } => return format!("Runbook `{to}` goes on in its place."),
        _ => {}
    }
    let Some((step, state)) = run.current() else {
        return match &run.state {
            RunState::Paused(why) => format!("Paused: {why}. /dr next tries again."),
            _ => "Checking that everything is healthy again.".into(),
        };
    };
    match (state.phase, &run.state) {
        (Phase::Unknown, _) => unknown_text(step, state, roster),
        (_, RunState::Paused(why)) if run.asked().is_some() => {
            format!("Paused: {why}. Somebody must decide: retry, skip or abort.")
        }
        (_, RunState::Paused(why)) => format!("Paused: {why}. /dr next tries again."),
        (Phase::Waiting, _) => state.approval.as_ref().map_or_else(String::new, |a| {
            format!("`{}` waits for approval: {}.", step.id, policy::of(a, roster).text(roster))
        }),
        (Phase::Person, _) => format!("A person must do `{}` and report it.", step.id),
        (Phase::Choosing, _) => format!("Somebody must choose in `{}`.", step.id),
        (Phase::Watching, _) => {
            let until = state.until.map(|u| format!(" until {} at the latest", u.clock())).unwrap_or_default();
            format!("`{}` waits{until}.", step.id)
        }
        (phase, _) => format!("`{}`: {}.", step.id, phase_word(phase)),
    }
}

/// What could be taken back.
fn back(run: &Run) -> String {
    let can = crate::decide::flow::undoable(run);
    if can.is_empty() { String::new() } else { format!(" `/dr undo` can take back: {}.", can.join(", ")) }
}

fn unknown_text(step: &Step, state: &StepRun, roster: &Roster) -> String {
    let said = state
        .claim
        .as_ref()
        .map(|(p, h)| format!(" {} says it {}.", roster.name(p), if *h { "happened" } else { "did not happen" }))
        .unwrap_or_default();
    format!(
        "Nobody can tell whether `{id}` happened; it will not be repeated. Look at the target; then two people type /dr settle {id} happened (or: not).{said}",
        id = step.id
    )
}

/// What runs, exactly. A long list of approved rows is named only: the same rows stand in the table beside
/// it, and the digest covers the list itself.
#[must_use]
pub fn deed_text(deed: &Deed) -> String {
    const LONG: usize = 1_500;
    deed.text(LONG)
}

/// Rows as aligned text; long cells are cut with a sign.
#[must_use]
pub fn table(rows: &Rows) -> String {
    const WIDEST: usize = 60;
    let cell = |v: &Option<String>| {
        let text: String = v.clone().unwrap_or_else(|| "NULL".into()).replace(['\n', '\t'], " ");
        if text.chars().count() > WIDEST { text.chars().take(WIDEST - 1).chain(['…']).collect() } else { text }
    };
    let mut lines: Vec<Vec<String>> = vec![rows.columns.clone()];
    lines.extend(rows.rows.iter().map(|r| r.iter().map(cell).collect()));
    let widths: Vec<usize> = (0..rows.columns.len())
        .map(|i| lines.iter().filter_map(|l| l.get(i)).map(|c| c.chars().count()).max().unwrap_or(0))
        .collect();
    let line = |l: &Vec<String>| {
        l.iter().zip(&widths).map(|(c, w)| format!("{c:<w$}")).collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut text = lines.iter().map(line).collect::<Vec<_>>().join("\n");
    if rows.beyond > 0 {
        text.push_str(&format!("\n({} more rows were counted and not kept)", rows.beyond));
    }
    text
}

/// What a step did, in full.
#[must_use]
pub fn step_shown(step: &Step, state: &StepRun, roster: &Roster) -> Message {
    let mut facts = vec![
        ("State".to_owned(), phase_word(state.phase).to_owned()),
        ("Attempt".to_owned(), state.attempt.to_string()),
    ];
    facts.extend(state.started.map(|t| ("Started".to_owned(), t.clock())));
    facts.extend(state.ended.map(|t| ("Ended".to_owned(), t.clock())));
    facts.extend(state.remark.clone().map(|r| ("Remark".to_owned(), r)));
    let mut parts = vec![Part::Title(format!("Step {}", step.id)), Part::Facts(facts)];
    if let Some(a) = &state.approval {
        parts.push(Part::Facts(approval_facts(a, roster)));
        parts.push(Part::Code(deed_text(&a.action.deed)));
    }
    if let Some(rows) = &state.rows {
        parts.push(Part::Code(table(rows)));
    }
    Message { notify: format!("Step {}: {}", step.id, phase_word(state.phase)), parts }
}
