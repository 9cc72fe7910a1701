//! What happens next: a number becomes an input that suits the state, or one that does not. The same
//! number in the same state is the same input.

use std::collections::BTreeMap;

use drbot::model::agreed::Stand;
use drbot::model::alert::{Alarm, Alert, AlertGroup, Arrived, Opening};
use drbot::model::approval::TargetIdentity;
use drbot::model::command::{Asked, Command};
use drbot::model::effect::{Act, CardKind};
use drbot::model::expect::Rows;
use drbot::model::id::{ButtonId, CaseId, EffectKey};
use drbot::model::inbound::{Click, Form, Input, Place, Standing};
use drbot::model::incident::Incident;
use drbot::model::outcome::{Checked, Ended, Outcome, Verdict};
use drbot::model::run::{Phase, RunState};
use drbot::model::time::{Millis, Span};

use super::engine::{Engine, Held};
use super::setting::{foreign, speaker};

const NAMES: [&str; 7] = ["ways", "quick", "cancel", "repair", "hands", "S2", "unheard of"];
const STEPS: [&str; 6] = ["look", "cancel", "repair", "call", "blind", "nonsense"];

/// The digits of one number: what kind of move, and three choices inside it.
#[derive(Clone, Copy)]
pub struct Roll {
    pub kind: u32,
    pub a: usize,
    pub b: usize,
    pub c: usize,
}

impl Roll {
    pub fn of(number: u32) -> Roll {
        let part = |by: u32| (number >> by & 0x7f) as usize;
        Roll { kind: number % 128 * 100 / 128, a: part(7), b: part(14), c: part(21) }
    }

    /// How far the clock goes on before this input: not at all, a little, past a deadline, for days.
    pub fn later(self) -> Span {
        match (self.a ^ self.c) % 24 {
            0..=12 => Span(0),
            13..=21 => Span::seconds(self.b as i64 % 20),
            22 => Span::minutes(5 + self.b as i64 % 12),
            _ => Span(self.b as i64 % 4 * 86_400_000),
        }
    }
}

/// The input that a number means in this state.
pub fn input(engine: &Engine, roll: Roll) -> Input {
    match roll.kind {
        0..=44 => work(engine, roll).unwrap_or_else(|| people(engine, roll)),
        45..=74 => people(engine, roll),
        75..=79 => alarms(engine, roll),
        80..=88 => chatter(engine, roll),
        89..=92 => press(engine, roll),
        _ => odd(engine, roll),
    }
}

fn pick<T>(list: &[T], at: usize) -> Option<&T> {
    (!list.is_empty()).then(|| &list[at % list.len()])
}

/// One effect gets its outcome, those of runs before others.
fn work(engine: &Engine, roll: Roll) -> Option<Input> {
    let steps = [
        "start/",
        "preview/",
        "verify/",
        "probe/",
        "proof/",
        "wait/",
        "open/",
        "pick/",
        "deadline/",
        "agreed/",
        "back/",
        "backprobe/",
        "backproof/",
        "latest/",
    ];
    let of_run = |k: &EffectKey| steps.iter().any(|p| k.0.starts_with(p));
    let (runs, others): (Vec<_>, Vec<_>) = engine.effects.iter().partition(|(k, _)| of_run(k));
    let list = if runs.is_empty() || roll.a.is_multiple_of(5) && !others.is_empty() { others } else { runs };
    pick(&list, roll.b).map(|(key, held)| outcome(engine, key, held, roll.c))
}

fn outcome(engine: &Engine, key: &EffectKey, held: &Held, luck: usize) -> Input {
    let (case, effect, generation) = (held.case.clone(), key.clone(), held.generation);
    let outcome = match &held.act {
        Act::Check(list) => {
            let verdict = match luck % 10 {
                7 | 8 => Verdict::Fail,
                9 => Verdict::CouldNot,
                _ if key.0.starts_with("detect/") && luck > 60 => Verdict::Fail,
                _ => Verdict::Pass,
            };
            Outcome::Checked(
                list.iter()
                    .map(|q| Checked { id: q.id.clone(), verdict, figure: format!("{luck} left"), evidence: false })
                    .collect(),
            )
        }
        Act::Preview(..) | Act::Look { .. } => previewed(luck),
        Act::Start(job) => {
            let hash = if luck % 8 == 7 { "0".repeat(64) } else { job.hash() };
            let on_its_way =
                if key.0.starts_with("back/") { undoing(engine, &held.case) } else { started(engine, &held.case) };
            if !on_its_way || luck % 10 == 9 {
                return Input::Starting { case, effect, generation, attempt: 1 + luck as u32 % 3, digest: hash };
            }
            Outcome::Ended(ended(luck))
        }
        Act::Probe(_) => Outcome::Probed { happened: [Some(true), Some(false), None][luck % 3], figure: "seen".into() },
        Act::Render(card) if luck.is_multiple_of(16) => {
            Outcome::PostFailed { card: *card, why: "not_in_channel".into() }
        }
        Act::Render(card) => Outcome::Posted {
            card: *card,
            channel: "C1".into(),
            ts: format!("{case}/{card:?}"),
            upto: engine.cases.get(&case).map_or(0, |s| s.case.seq),
            more: luck % 16 == 1,
        },
        Act::Tell { .. } | Act::Ask { .. } => Outcome::Told,
        Act::Open(opening) => match opened(engine, opening) {
            Some(number) if luck % 4 != 3 => Outcome::Opened { number },
            _ => return Input::Opening((**opening).clone()),
        },
        Act::Raise(group) => return Input::Alerted((**group).clone()),
        Act::Timer => return Input::Due { case, effect, generation },
    };
    Input::Came { case, effect, generation, outcome }
}

/// The number of the incident that knows this opening.
fn opened(engine: &Engine, opening: &Opening) -> Option<u64> {
    engine.world.open.values().find(|o| o.origins.contains(&opening.origin)).map(|o| o.number)
}

/// Monitoring speaks, or somebody answers it.
fn alarms(engine: &Engine, roll: Roll) -> Input {
    let Roll { b, c, .. } = roll;
    let known: Vec<(&CaseId, &Alarm)> =
        engine.cases.iter().filter_map(|(id, s)| s.case.alarm().map(|alarm| (id, alarm))).collect();
    let live = |b: &(&CaseId, &Alarm)| b.1.firing() > 0 && b.1.round.is_some();
    let live: Vec<_> = known.into_iter().filter(live).collect();
    match (pick(&live, b), c % 8) {
        (Some((id, alarm)), 0..=3) => {
            let round = alarm.round.as_ref().expect("a round");
            click(engine, id, if c % 4 < 3 { &round.open } else { &round.ack }, roll)
        }
        (_, 4) => said(b % 5, roll, None, Command::Ack { alert: None }),
        _ => Input::Alerted(group(engine, roll)),
    }
}

/// A delivery about one of three groups: what is true now, or what was true a while ago.
fn group(engine: &Engine, roll: Roll) -> AlertGroup {
    let Roll { a, b, c, .. } = roll;
    let name = ["cancel", "quick", "cancel", "Odd"][a % 4];
    let alert = |n: usize| {
        let firing = (b + n) % 4 < 2;
        let minutes = 2 * (c % 3 + n) as i64;
        let starts = Millis(engine.now.0 / 600_000 * 600_000 - minutes * 60_000);
        let fingerprint = format!("{name}{n}");
        let ends = (!firing).then(|| starts.plus(Span::seconds(30)));
        let summary = "<!channel> *bold* `code` ".repeat(1 + c % 9);
        let labels = [("alertname".to_owned(), name.to_owned())].into();
        Arrived { alert: Alert { fingerprint, firing, summary, starts, ends }, labels }
    };
    AlertGroup {
        source: "alertmanager".into(),
        key: name.into(),
        title: name.into(),
        alerts: (0..=b % 3).map(alert).collect(),
        truncated: if c % 16 == 9 { 3 } else { 0 },
    }
}

fn undoing(engine: &Engine, case: &CaseId) -> bool {
    let incident = engine.cases.get(case).and_then(|s| s.case.incident());
    incident.is_some_and(|i| i.agreed.iter().any(|p| p.stand == Stand::Started))
}

fn started(engine: &Engine, case: &CaseId) -> bool {
    let run = engine.cases.get(case).and_then(|s| s.case.incident()).and_then(|i| i.run.as_ref());
    run.and_then(|r| r.current()).is_some_and(|(_, s)| s.phase == Phase::Started)
}

fn rows(count: usize, beyond: u64) -> Rows {
    let row = |i: usize| vec![Some((100 + i).to_string()), Some(format!("select {i} -- <!channel> *x*")), None];
    Rows { columns: vec!["pid".into(), "query".into(), "note".into()], rows: (0..count).map(row).collect(), beyond }
}

fn previewed(luck: usize) -> Outcome {
    let identity = TargetIdentity { system: "7".into(), database: "booking".into(), server: "db-1".into() };
    match luck % 12 {
        9 => Outcome::Previewed { rows: rows(0, 0), identity },
        10 => Outcome::Previewed { rows: rows(3, 2), identity },
        11 => Outcome::NoPreview { why: "the connection was refused".into() },
        n => Outcome::Previewed { rows: rows(1 + n % 3, 0), identity },
    }
}

fn ended(luck: usize) -> Ended {
    let why = "the connection broke".to_owned();
    match luck % 8 {
        4 => Ended::NotStarted { why },
        5 => Ended::Failed { why },
        6 | 7 => Ended::Unknown { why },
        n => Ended::Done { rows: rows(n, 0) },
    }
}

/// Some things are said by mention, most of those in the thread of a card that may stand by then.
fn place(roll: Roll) -> Place {
    let mention = roll.a.is_multiple_of(3);
    let thread = (mention && !roll.b.is_multiple_of(4)).then(|| format!("inc-{}/Main", 1 + roll.b % 3));
    let trigger = (!mention && !roll.b.is_multiple_of(8)).then(|| format!("trigger-{}-{}", roll.a, roll.b));
    Place { channel: if roll.c % 12 == 11 { "C2" } else { "C1" }.into(), reply: None, thread, mention, trigger }
}

fn said(by: usize, roll: Roll, incident: Option<u64>, command: Command) -> Input {
    Input::Said { by: speaker(by), place: place(roll), said: Ok(Asked { incident, command }) }
}

fn named(at: usize) -> String {
    NAMES[at % NAMES.len()].to_owned()
}

/// Somebody does what an incident waits for.
fn people(engine: &Engine, roll: Roll) -> Input {
    let Roll { a, b, c, .. } = roll;
    let open: Vec<_> = engine.world.open.values().collect();
    let Some(open) = pick(&open, a) else { return said(b % 4, roll, None, Command::Declare { title: named(c) }) };
    let number = Some(open.number);
    let given =
        if a.is_multiple_of(4) { BTreeMap::from([("port".to_owned(), "7".to_owned())]) } else { BTreeMap::new() };
    let given = if named(c % 5) == "quick" { given } else { BTreeMap::new() };
    let start = || said(b % 2, roll, number, Command::Run { runbook: named(c % 5), given: given.clone() });
    let incident = engine.cases.get(&open.case).and_then(|s| s.case.incident());
    let Some((incident, run)) = incident.and_then(|i| Some((i, i.run.as_ref()?))) else {
        return match incident {
            Some(incident) if c % 4 == 3 => wish(engine, incident, &open.case, roll),
            _ => start(),
        };
    };
    if let Some(pending) = incident.agreed.iter().find(|p| p.waits()).filter(|_| c % 16 == 6) {
        let id = pending.approval.id.0.clone();
        let deny = Command::Deny { id: id.clone(), reason: "leave it".into() };
        return said(b, roll, None, if a.is_multiple_of(3) { Command::Withdraw { id } } else { deny });
    }
    let paused = matches!(run.state, RunState::Paused(_));
    match run.current() {
        Some((step, state)) if state.phase == Phase::Unknown => {
            let settle = Command::Settle { step: step.id.clone(), happened: !c.is_multiple_of(3) };
            said(b % 5, roll, number, settle)
        }
        Some((_, state)) if state.phase == Phase::Waiting => match &state.approval {
            Some(a) if c.is_multiple_of(8) => said(b % 4, roll, None, Command::Approve { id: a.id.0.clone() }),
            Some(a) if c % 8 == 1 => {
                said(b, roll, None, Command::Deny { id: a.id.0.clone(), reason: "not now".into() })
            }
            Some(a) if c % 16 == 3 => said(b % 4, roll, None, Command::Withdraw { id: a.id.0.clone() }),
            Some(a) => click(engine, &open.case, if c % 8 == 2 { &a.deny } else { &a.approve }, roll),
            None => start(),
        },
        Some((step, state)) if state.phase == Phase::Person => match &incident.person {
            Some((_, done, cannot)) if c.is_multiple_of(2) => {
                click(engine, &open.case, if c.is_multiple_of(8) { cannot } else { done }, roll)
            }
            _ if c % 4 == 1 => fill(engine, roll),
            _ => said(b % 4, roll, number, Command::Done { step: step.id.clone(), evidence: "ticket 7".into() }),
        },
        Some((step, state)) if state.phase == Phase::Choosing => match pick(&state.buttons, a) {
            Some(button) if c.is_multiple_of(2) => click(engine, &open.case, button, roll),
            _ if c % 8 == 3 => said(b % 4, roll, number, Command::Skip { step: step.id.clone(), reason: "no".into() }),
            _ => said(b % 4, roll, number, Command::Next { choice: Some(1 + a % 3) }),
        },
        Some((_, state)) if paused && c % 4 == 3 && state.asked.is_some() => match &state.asked {
            Some(w) => click(engine, &open.case, [&w.retry, &w.skip, &w.abort][a % 3], roll),
            None => start(),
        },
        _ if paused && c % 16 == 1 => said(b % 4, roll, number, Command::Abort { reason: "enough".into() }),
        _ if (paused || run.over()) && c % 8 == 2 => said(b % 4, roll, number, Command::Undo { step: None }),
        Some((step, _)) if paused && c % 16 == 5 => {
            said(b % 4, roll, number, Command::Skip { step: step.id.clone(), reason: "not needed".into() })
        }
        _ if paused && !c.is_multiple_of(4) => said(b % 4, roll, number, Command::Next { choice: None }),
        _ if run.idle() && c % 4 == 3 => wish(engine, incident, &open.case, roll),
        _ if run.idle() => start(),
        _ => fill(engine, roll),
    }
}

fn click(engine: &Engine, case: &CaseId, button: &ButtonId, roll: Roll) -> Input {
    let card = engine.cases.get(case).and_then(|s| s.case.cards.get(&CardKind::Main));
    let (channel, message) =
        card.map_or_else(|| ("C1".to_owned(), String::new()), |c| (c.channel.clone(), c.ts.clone()));
    Input::Clicked(Click {
        by: speaker(if roll.b % 8 == 7 { roll.a } else { roll.b % 4 }),
        place: Place { channel: if roll.c % 16 == 15 { "C2".into() } else { channel }, ..Place::default() },
        button: button.clone(),
        message: if roll.c % 16 == 14 { "another".into() } else { message },
        trigger: format!("trigger-{}", engine.count),
    })
}

/// Somebody goes on with the parameters of a run: opens the form with the lists, or sends one.
fn wish(engine: &Engine, incident: &Incident, case: &CaseId, roll: Roll) -> Input {
    match incident.picks.last() {
        Some(picking) if roll.a.is_multiple_of(2) => {
            let mut input = click(engine, case, &picking.token, roll);
            if let (Input::Clicked(click), true) = (&mut input, roll.c % 8 < 7) {
                click.by = picking.by.clone();
            }
            input
        }
        _ => fill(engine, roll),
    }
}

fn fill(engine: &Engine, roll: Roll) -> Input {
    let newest = engine.tokens.len().saturating_sub(1 + roll.b % 3);
    let (token, voice) =
        engine.tokens.get(newest).cloned().unwrap_or_else(|| (ButtonId(format!("{:032x}", roll.a)), 0));
    let by = speaker(if roll.c % 8 == 7 { roll.a } else { voice });
    let port = [" 7 ", "7000", "", "8", "9"][roll.c % 5];
    let values = [("param-port", port), ("param-side", ["right", "up", ""][roll.c % 3])];
    let values = values.map(|(id, text)| (id.to_owned(), text.to_owned())).into();
    let text = if roll.c % 9 == 8 { " " } else { "the import must finish" }.into();
    Input::Filled(Form { by, token, text, values })
}

/// Any button of any time, pressed by anybody.
fn press(engine: &Engine, roll: Roll) -> Input {
    if roll.c.is_multiple_of(3) {
        return fill(engine, roll);
    }
    let all: Vec<_> = engine.handles.iter().collect();
    match pick(&all, roll.a * 128 + roll.b) {
        Some((handle, case)) if !roll.c.is_multiple_of(7) => click(engine, case, &ButtonId((*handle).clone()), roll),
        _ => click(engine, &foreign(), &ButtonId(format!("{:032x}", roll.a)), roll),
    }
}

/// Any command by anybody, mistakes included.
fn chatter(engine: &Engine, roll: Roll) -> Input {
    let Roll { a, b, c, .. } = roll;
    let handles: Vec<_> = engine.handles.keys().filter(|h| h.len() == 12).collect();
    let id = pick(&handles, c).map_or_else(|| "0123456789ab".to_owned(), |h| (*h).clone());
    let step = STEPS[c % STEPS.len()].to_owned();
    let given = if c % 5 == 4 { [("odd".to_owned(), "1".to_owned())].into() } else { BTreeMap::new() };
    let command = match a % 20 {
        0 => Command::Help { verb: None },
        1 => Command::Help { verb: Some(["run", "nonsense"][c % 2].into()) },
        2 | 15 => Command::Status,
        3 => Command::Declare { title: named(c) },
        4 => Command::Show { step: None },
        5 => Command::Show { step: Some(step) },
        6 => Command::Run { runbook: named(c), given },
        7 => Command::Next { choice: (c % 4 == 1).then_some(c % 5) },
        8 => Command::Approve { id },
        9 => Command::Deny { id, reason: "no".into() },
        10 => Command::Done { step, evidence: "seen".into() },
        11 => Command::Settle { step, happened: c.is_multiple_of(2) },
        16 => Command::Detect { runbook: (c % 7 < 6).then(|| named(c)) },
        17 => Command::Runbooks,
        19 => Command::Plan { runbook: named(c), given },
        18 => Command::Ack { alert: [None, Some("quick"), Some("nonsense")][c % 3].map(str::to_owned) },
        13 if c % 3 == 1 => Command::Retry { step: (b % 2 == 1).then_some(step) },
        13 if c % 3 == 2 => Command::Resume,
        13 if c % 2 == 0 => Command::Checklist,
        13 => Command::Timeline,
        12 => Command::Note { text: "customers informed".into() },
        14 if c % 5 == 0 => Command::Skip { step, reason: "why not".into() },
        14 if c % 5 == 1 => Command::Abort { reason: "enough".into() },
        14 if c % 5 == 2 => Command::Undo { step: (b % 2 == 1).then_some(step) },
        14 if c % 5 == 3 => Command::Withdraw { id },
        _ if c.is_multiple_of(3) => Command::Whoami,
        _ if c % 3 == 1 => Command::Verify { id },
        _ => return Input::Said { by: speaker(b), place: place(roll), said: Err("Did you mean `/dr status`?".into()) },
    };
    let incident = [None, Some(1), Some(2), Some(77)][(b / 8) % 4];
    said(b, roll, incident, command)
}

/// What should not come: outcomes of another kind, of old effects, for nothing; early timers; starts.
fn odd(engine: &Engine, roll: Roll) -> Input {
    let Roll { a, b, c, .. } = roll;
    let old = (a.is_multiple_of(2)).then(|| pick(&engine.over, b)).flatten().map(|(k, h)| (k.clone(), h.clone()));
    let all: Vec<_> = engine.effects.iter().collect();
    let any = pick(&all, b).map(|(k, h)| ((*k).clone(), (*h).clone()));
    let (key, held) = old.or(any).unwrap_or_else(|| {
        let held = Held { case: foreign(), act: Act::Timer, due: engine.now, generation: 1 };
        (EffectKey::of(&["start", "inc-999", "r1", "look", "1"]), held)
    });
    let (case, generation) = (if c % 9 == 8 { foreign() } else { held.case.clone() }, held.generation - (c % 2) as i64);
    match a % 9 {
        0 | 1 => outcome(engine, &key, &held, c),
        2 | 3 => Input::Came { case, effect: key, generation: 0, outcome: stray(c) },
        4 => Input::Starting { case, effect: key, generation: 0, attempt: 1, digest: "0".repeat(64) },
        5 => {
            let digest = match &held.act {
                Act::Start(job) => job.hash(),
                _ => String::new(),
            };
            Input::Starting { case, effect: key, generation, attempt: 1 + c as u32 % 3, digest }
        }
        6 => Input::Due { case, effect: key, generation: 0 },
        _ if c % 3 == 0 => Input::Up(Standing::Schedule("chore".into())),
        _ => Input::Up(Standing::Watch(named(c))),
    }
}

fn stray(c: usize) -> Outcome {
    let card = if c.is_multiple_of(2) { CardKind::Main } else { CardKind::History };
    match c % 8 {
        0 => Outcome::Checked(vec![Checked {
            id: "seen".into(),
            verdict: Verdict::Fail,
            figure: "9 seen".into(),
            evidence: false,
        }]),
        1 => previewed(c / 8),
        2 => Outcome::NoPreview { why: "no".into() },
        3 => Outcome::Ended(ended(c / 8)),
        4 => Outcome::Probed { happened: Some(c % 16 == 4), figure: "seen".into() },
        5 => Outcome::Posted { card, channel: "C1".into(), ts: "5.5".into(), upto: 1, more: false },
        6 => Outcome::PostFailed { card, why: "archived".into() },
        _ => Outcome::Told,
    }
}
