//! Every message people read, as text: a change of wording shows up here. Written by
//! `INSTA_UPDATE=always`, compared everywhere else.

mod lines;

use std::collections::BTreeMap;

use drbot::decide::narrate::{self, Scene};
use drbot::model::alert::{Alert, AlertGroup, Arrived};
use drbot::model::approval::TargetIdentity;
use drbot::model::command::{Asked, Command};
use drbot::model::effect::{Act, CardKind};
use drbot::model::expect::Rows;
use drbot::model::id::{CaseId, EffectKey};
use drbot::model::inbound::{Click, Input, Place, Standing};
use drbot::model::message::{Message, Part, Reply, Run};
use drbot::model::outcome::{Checked, Ended, Outcome, Verdict};
use drbot::model::time::{Millis, Span};
use drbot::model::world::Streak;

use crate::properties::engine::Engine;
use crate::properties::setting::{catalog, speaker};

const ALICE: usize = 0;
const BOB: usize = 1;
const CAROL: usize = 2;

/// A message as plain text, for snapshots.
pub fn text(message: &Message) -> String {
    let run = |r: &Run| match r {
        Run::Plain(t) => t.clone(),
        Run::Bold(t) => format!("*{t}*"),
        Run::Code(t) => format!("`{t}`"),
        Run::Person { name, account } => format!("@{name}({account})"),
    };
    let part = |p: &Part| match p {
        Part::Title(t) => format!("# {t}"),
        Part::Text(runs) => runs.iter().map(run).collect(),
        Part::Facts(facts) => facts.iter().map(|(k, v)| format!("{k}: {v}")).collect::<Vec<_>>().join("\n"),
        Part::Code(t) => format!("---\n{t}\n---"),
        Part::Small(t) => format!("({t})"),
        Part::Buttons(list) => list.iter().map(|b| format!("[{}]", b.label)).collect::<Vec<_>>().join(" "),
        Part::Rule => "========".into(),
    };
    let all = message.parts.iter().map(part).collect::<Vec<_>>().join("\n");
    let whole = format!("notify: {}\n\n{}", message.notify, all.replace("\n\n", "\n"));
    for odd in ['\u{fe0f}', '\u{200d}', '\u{a0}'] {
        assert!(!whole.contains(odd), "shown as an escape: {odd:?} in {whole}");
    }
    assert!(!whole.contains("(s)"), "{whole}");
    whole
}

struct Story(Engine);

impl Story {
    fn new() -> Story {
        Story(Engine::new(&[catalog("first edition"), catalog("second edition")]))
    }

    fn go(&mut self, input: &Input) -> Option<Reply> {
        self.0.now = self.0.now.plus(Span::seconds(70));
        self.0.step(input).unwrap_or_else(|e| panic!("{e}")).reply
    }

    fn say(&mut self, by: usize, command: Command) -> String {
        let place = Place { channel: "C1".into(), ..Place::default() };
        let input = Input::Said { by: speaker(by), place, said: Ok(Asked { incident: None, command }) };
        match self.go(&input) {
            Some(Reply::Private(message)) => text(&message),
            other => panic!("no answer: {other:?}"),
        }
    }

    fn run(&mut self, runbook: &str) {
        self.say(ALICE, Command::Declare { title: runbook.into() });
        self.say(ALICE, Command::Run { runbook: runbook.into(), given: BTreeMap::new() });
    }

    /// The effect of this kind comes back.
    fn came(&mut self, kind: &str, outcome: Outcome) {
        let found = self.0.effects.iter().find(|(k, _)| k.0.starts_with(kind));
        let (key, held) = found.unwrap_or_else(|| panic!("no effect {kind}"));
        let (case, effect, generation) = (held.case.clone(), key.clone(), held.generation);
        self.go(&Input::Came { case, effect, generation, outcome });
    }

    fn starting(&mut self) {
        let found = self.0.effects.iter().find_map(|(k, h)| match &h.act {
            Act::Start(job) => Some((k.clone(), h.clone(), job.hash())),
            _ => None,
        });
        let (effect, held, digest) = found.expect("a start");
        self.go(&Input::Starting { case: held.case, effect, generation: held.generation, attempt: 1, digest });
    }

    fn pass(&mut self, kind: &str) {
        let one = Checked { id: "n".into(), verdict: Verdict::Pass, figure: "0 left".into(), evidence: false };
        self.came(kind, Outcome::Checked(vec![one]));
    }

    fn approval(&self) -> String {
        let mut ids = self.0.handles.keys().filter(|h| h.len() == 12);
        ids.next().expect("an approval").clone()
    }

    fn scene(&self, id: &str) -> Scene<'_> {
        Scene {
            case: &self.0.cases[&CaseId(id.into())].case,
            world: &self.0.world,
            catalog: self.0.catalog(),
            roster: &self.0.roster,
            now: self.0.now,
        }
    }

    fn card(&self, id: &str) -> String {
        text(&narrate::card(&self.scene(id), CardKind::Main, &[]).expect("a card").message)
    }
}

/// Rows as bad as they come: long, many columns, markup, nothing, several lines.
fn worst() -> Outcome {
    let cell = |t: &str| Some(t.to_owned());
    let rows = vec![
        vec![cell("101"), cell(&"select pg_sleep(1), ".repeat(12)), cell("<!channel> *bold* `code`"), None],
        vec![cell("102"), cell("delete from bookings\nwhere true;\t-- oops"), cell(""), cell("Zoë 東京")],
    ];
    let columns = ["pid", "query", "application_name", "usename"].map(str::to_owned).to_vec();
    Outcome::Previewed {
        rows: Rows { columns, rows, beyond: 0 },
        identity: TargetIdentity { system: "7300".into(), database: "booking".into(), server: "db-1:5432".into() },
    }
}

#[test]
fn the_card_of_a_changing_step() {
    let mut s = Story::new();
    s.say(ALICE, Command::Declare { title: "cancel".into() });
    insta::assert_snapshot!("card_declared", s.card("inc-1"));
    s.say(ALICE, Command::Run { runbook: "cancel".into(), given: BTreeMap::new() });
    insta::assert_snapshot!("card_previewing", s.card("inc-1"));
    s.came("preview/", worst());
    insta::assert_snapshot!("card_waiting", s.card("inc-1"));
    let id = s.approval();
    insta::assert_snapshot!("answer_self", s.say(ALICE, Command::Approve { id: id.clone() }));
    s.say(BOB, Command::Approve { id: id.clone() });
    insta::assert_snapshot!("card_granted", s.card("inc-1"));
    insta::assert_snapshot!("answer_verify", s.say(CAROL, Command::Verify { id }));
    s.starting();
    insta::assert_snapshot!("card_started", s.card("inc-1"));
    s.came("start/", Outcome::Ended(Ended::Unknown { why: "the connection broke".into() }));
    s.say(BOB, Command::Settle { step: "cancel".into(), happened: false });
    insta::assert_snapshot!("card_unknown", s.card("inc-1"));
    insta::assert_snapshot!("answer_settled", s.say(CAROL, Command::Settle { step: "cancel".into(), happened: false }));
    insta::assert_snapshot!("card_paused", s.card("inc-1"));
    insta::assert_snapshot!("answer_step", s.say(CAROL, Command::Show { step: Some("cancel".into()) }));
    insta::assert_snapshot!("answer_timeline", s.say(CAROL, Command::Timeline));
}

#[test]
fn the_card_of_manual_work_and_of_recovery() {
    let mut s = Story::new();
    s.run("hands");
    insta::assert_snapshot!("card_manual", s.card("inc-1"));
    s.say(BOB, Command::Declare { title: "quick".into() });
    let run = Command::Run { runbook: "quick".into(), given: [("port".into(), "7".into())].into() };
    let place = Place { channel: "C1".into(), ..Place::default() };
    s.go(&Input::Said { by: speaker(BOB), place, said: Ok(Asked { incident: Some(2), command: run }) });
    s.starting();
    s.came("start/", Outcome::Ended(Ended::Done { rows: Rows::default() }));
    s.pass("proof/");
    insta::assert_snapshot!("card_recovered", s.card("inc-2"));
    let list = |s: &mut Story, incident| {
        let asked = Asked { incident: Some(incident), command: Command::Checklist };
        let place = Place { channel: "C1".into(), ..Place::default() };
        match s.go(&Input::Said { by: speaker(BOB), place, said: Ok(asked) }) {
            Some(Reply::Private(message)) => text(&message),
            other => panic!("no answer: {other:?}"),
        }
    };
    insta::assert_snapshot!("answer_checklist_recovered", list(&mut s, 2));
    s.say(ALICE, Command::Declare { title: "cancel".into() });
    s.0.now = s.0.now.plus(Span::minutes(20));
    insta::assert_snapshot!("answer_checklist", list(&mut s, 3));
    insta::assert_snapshot!("answer_whoami", s.say(BOB, Command::Whoami));
    insta::assert_snapshot!("answer_help", s.say(BOB, Command::Help { verb: None }));
    insta::assert_snapshot!("answer_help_verb", s.say(BOB, Command::Help { verb: Some("settle".into()) }));
}

#[test]
fn the_answer_about_missing_parameters() {
    let mut s = Story::new();
    s.say(ALICE, Command::Declare { title: "quick".into() });
    let given = [("side".to_owned(), "right".to_owned())].into();
    insta::assert_snapshot!("answer_parameters", s.say(BOB, Command::Run { runbook: "quick".into(), given }));
}

#[test]
fn the_status_card() {
    let mut s = Story::new();
    s.say(ALICE, Command::Declare { title: "cancel".into() });
    s.0.now = s.0.now.plus(Span::minutes(95));
    s.say(BOB, Command::Declare { title: "The site is slow".into() });
    s.0.world.streaks.insert("repair".into(), Streak { failures: 4, since: Some(s.0.now) });
    s.say(CAROL, Command::Status);
    let id = s.0.cases.keys().find(|c| c.0.starts_with("check-")).expect("a check").0.clone();
    insta::assert_snapshot!("status_checking", s.card(&id));
    let verdicts = [
        ("quick", Verdict::Pass, "0 seen"),
        ("cancel", Verdict::Fail, "3 seen"),
        ("repair", Verdict::Fail, "12 seen"),
        ("hands", Verdict::CouldNot, "could not connect to db within 5 s"),
    ];
    for (runbook, verdict, figure) in verdicts {
        let one = Checked { id: "seen".into(), verdict, figure: figure.into(), evidence: false };
        s.came(&format!("detect/{id}/{runbook}"), Outcome::Checked(vec![one]));
    }
    insta::assert_snapshot!("status_five_lights", s.card(&id));
}

#[test]
fn the_plan() {
    let mut s = Story::new();
    let identity = TargetIdentity { system: "7".into(), database: "saas".into(), server: "127.0.0.1:5432".into() };
    let rows = Outcome::Previewed { rows: lines::rows(3), identity };
    let dark = Outcome::NoPreview { why: "could not connect to db: no answer within 3 s".into() };
    for (runbook, found) in [("repair", rows), ("ways", dark)] {
        s.say(CAROL, Command::Plan { runbook: runbook.into(), given: BTreeMap::new() });
        let held = s.0.effects.iter().find(|(k, _)| k.0.starts_with("plan/"));
        let id = held.expect("a look").1.case.0.clone();
        insta::assert_snapshot!(format!("plan_of_{runbook}_begins"), s.card(&id));
        while s.0.effects.keys().any(|k| k.0.starts_with("plan/")) {
            s.came("plan/", found.clone());
        }
        insta::assert_snapshot!(format!("plan_of_{runbook}"), s.card(&id));
        let entries = s.0.history(&CaseId(id.clone()));
        let detail = narrate::card(&s.scene(&id), CardKind::History, &entries).expect("a statement");
        insta::assert_snapshot!(format!("plan_of_{runbook}_statement"), text(&detail.message));
    }
}

fn alert(name: &str, n: usize, firing: bool) -> Arrived {
    let starts = Millis(1_790_000_000_000);
    let ends = (!firing).then(|| starts.plus(Span::minutes(4)));
    let summary = format!("worker {n} <!channel> *bold* `code`");
    let labels = [("alertname".to_owned(), name.to_owned())].into();
    Arrived { alert: Alert { fingerprint: format!("f{n:02}"), firing, summary, starts, ends }, labels }
}

fn group(name: &str, alerts: Vec<Arrived>, truncated: u64) -> Input {
    let (key, title) = (name.to_owned(), name.to_owned());
    Input::Alerted(AlertGroup { source: "alertmanager".into(), key, title, alerts, truncated })
}

#[test]
fn the_alert_card() {
    let mut s = Story::new();
    let firing = |n: usize| (0..n).map(|i| alert("cancel", i, true)).collect::<Vec<_>>();
    s.go(&group("cancel", firing(8), 3));
    let id = s.0.cases.keys().find(|c| c.0.starts_with("alert-")).expect("a case").0.clone();
    insta::assert_snapshot!("alert_checking", s.card(&id));
    for (verdict, figure, name) in [
        (Verdict::CouldNot, "could not connect to db: no answer within 3 s", "alert_could_not"),
        (Verdict::Pass, "0 seen", "alert_not_confirmed"),
        (Verdict::Fail, "3 seen", "alert_confirmed"),
    ] {
        let key = EffectKey::of(&["detect", &id, "cancel"]);
        let outcome =
            Outcome::Checked(vec![Checked { id: "seen".into(), verdict, figure: figure.into(), evidence: false }]);
        s.go(&Input::Came { case: CaseId(id.clone()), effect: key, generation: 1, outcome });
        insta::assert_snapshot!(name, s.card(&id));
    }
    insta::assert_snapshot!("answer_ack", s.say(BOB, Command::Ack { alert: None }));
    insta::assert_snapshot!("answer_ack_again", s.say(BOB, Command::Ack { alert: Some("Cancel".into()) }));
    insta::assert_snapshot!("answer_ack_nothing", s.say(BOB, Command::Ack { alert: None }));
    s.0.world.rules.incident_channel = Some("C9".into());
    let round = s.0.cases[&CaseId(id.clone())].case.alarm().and_then(|a| a.round.clone()).expect("a round");
    let place = Place { channel: "C1".into(), ..Place::default() };
    let (button, message) = (round.open, String::new());
    s.go(&Input::Clicked(Click { by: speaker(CAROL), place, button, message, trigger: "t".into() }));
    insta::assert_snapshot!("alert_opening", s.card(&id));
    let opening = s.0.effects.values().find_map(|h| match &h.act {
        Act::Open(opening) => Some((**opening).clone()),
        _ => None,
    });
    s.go(&Input::Opening(opening.expect("an opening")));
    s.came("open/", Outcome::Opened { number: 1 });
    insta::assert_snapshot!("alert_opened", s.card(&id));
    assert_eq!(s.0.world.open[&CaseId::incident(1)].channel, "C9");
    insta::assert_snapshot!("card_from_alert", s.card("inc-1"));
    s.go(&group("cancel", (0..8).map(|i| alert("cancel", i, false)).collect(), 0));
    insta::assert_snapshot!("alert_resolved", s.card(&id));
    s.go(&group("Odd", vec![alert("Odd", 1, true)], 0));
    let odd = s.0.cases.keys().find(|c| c.0.starts_with("alert-") && c.0 != id).expect("a case").0.clone();
    insta::assert_snapshot!("alert_unnamed", s.card(&odd));
    s.go(&group("Odd", vec![alert("Odd", 1, false)], 2));
    insta::assert_snapshot!("alert_truncated", s.card(&odd));
    let mut later = alert("Odd", 1, true);
    later.alert.starts = later.alert.starts.plus(Span::minutes(30));
    s.go(&group("Odd", vec![later], 0));
    let again = narrate::card(&s.scene(&odd), CardKind::History, &s.0.history(&CaseId(odd.clone())));
    insta::assert_snapshot!("alert_again", text(&again.expect("a line").message));
}

#[test]
fn the_reminder_card() {
    let mut s = Story::new();
    s.go(&Input::Up(Standing::Schedule("chore".into())));
    s.0.now = s.0.now.plus(Span::minutes(30));
    let timer = EffectKey::of(&["schedule", "chore"]);
    let due = |s: &mut Story| {
        let case = CaseId::schedule("chore");
        s.go(&Input::Due { case, effect: timer.clone(), generation: 1 });
        let raised = s.0.effects.values().find_map(|h| match &h.act {
            Act::Raise(group) => Some((**group).clone()),
            _ => None,
        });
        s.go(&Input::Alerted(raised.expect("a reminder")));
    };
    due(&mut s);
    let id = s.0.cases.keys().find(|c| c.0.starts_with("alert-")).expect("a case").0.clone();
    insta::assert_snapshot!("reminder_due", s.card(&id));
    insta::assert_snapshot!("reminder_answer", s.say(BOB, Command::Ack { alert: None }));
    insta::assert_snapshot!("reminder_done", s.card(&id));
    s.0.now = s.0.now.plus(Span::minutes(31));
    due(&mut s);
    let again = narrate::card(&s.scene(&id), CardKind::History, &s.0.history(&CaseId(id.clone())));
    insta::assert_snapshot!("reminder_again", text(&again.expect("a line").message));
}

#[test]
fn the_answers_about_scenarios() {
    let mut s = Story::new();
    insta::assert_snapshot!("answer_runbooks", s.say(ALICE, Command::Runbooks));
    insta::assert_snapshot!("answer_detect_which", s.say(ALICE, Command::Detect { runbook: None }));
    s.say(ALICE, Command::Detect { runbook: Some("repair".into()) });
    let id = s.0.cases.keys().find(|c| c.0.starts_with("check-")).expect("a check").0.clone();
    insta::assert_snapshot!("detect_checking", s.card(&id));
    let one = Checked { id: "seen".into(), verdict: Verdict::Fail, figure: "12 seen".into(), evidence: false };
    s.came(&format!("detect/{id}/repair"), Outcome::Checked(vec![one]));
    insta::assert_snapshot!("detect_amber", s.card(&id));
}

#[test]
fn every_event_has_its_line() {
    let mut told = String::new();
    let samples = lines::samples();
    let places: std::collections::BTreeSet<usize> = samples.iter().map(lines::place).collect();
    assert_eq!(places, (0..lines::KINDS).collect(), "every kind has its sample");
    for event in samples {
        let kind = event.kind();
        assert_eq!(
            serde_json::to_value(&event).expect("JSON")["kind"],
            kind,
            "the stored name is the word in the JSON"
        );
        let line = narrate::history::line(&event, &crate::properties::setting::roster(0));
        assert_eq!(line.is_some(), narrate::history::tells(&event), "{kind}");
        told.push_str(&format!("{kind}: {}\n", line.unwrap_or_else(|| "-".into())));
    }
    insta::assert_snapshot!("history_lines", told);
}
