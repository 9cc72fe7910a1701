//! One event of every kind, and some kinds in each of their outcomes.

use std::collections::BTreeMap;

use drbot::model::agreed::News;
use drbot::model::alert::{Alert, Origin, Round};
use drbot::model::approval::{Action, Approval, ApprovalId, Policy, Standing, TargetIdentity};
use drbot::model::ask::Deed;
use drbot::model::deadline::{Deadline, DeadlineRule, From};
use drbot::model::effect::CardKind;
use drbot::model::event::{Declared, Event, StepEnd};
use drbot::model::expect::Rows;
use drbot::model::form::Picking;
use drbot::model::id::{ButtonId, CaseId};
use drbot::model::inbound::FormPurpose;
use drbot::model::outcome::{Checked, Verdict};
use drbot::model::person::{PersonId, Speaker};
use drbot::model::plan::Look;
use drbot::model::run::Ways;
use drbot::model::runbook::{EffectClass, Objectives, Risk};
use drbot::model::statement::Statement;
use drbot::model::time::{Millis, Span};

use crate::properties::setting::catalog;

/// How many kinds there are.
pub const KINDS: usize = 57;

/// The place of a kind in the list: a new kind does not compile until it has one, and a sample.
pub fn place(event: &Event) -> usize {
    match event {
        Event::Declared(_) => 0,
        Event::StatusAsked { .. } => 1,
        Event::WatchOpened { .. } => 2,
        Event::ScheduleOpened { .. } => 54,
        Event::ScheduleDue => 55,
        Event::ControlOpened => 3,
        Event::Refused { .. } => 4,
        Event::Noted { .. } => 5,
        Event::CardPosted { .. } => 6,
        Event::CardFailed { .. } => 7,
        Event::FormOpened { .. } => 8,
        Event::Detected { .. } => 9,
        Event::RunStarted { .. } => 10,
        Event::RunPaused { .. } => 11,
        Event::RunResumed { .. } => 12,
        Event::RunVerifying => 13,
        Event::RunVerified { .. } => 14,
        Event::PreviewAsked { .. } => 15,
        Event::PreviewFailed { .. } => 16,
        Event::ApprovalAsked { .. } => 17,
        Event::VoteRefused { .. } => 18,
        Event::Voted { .. } => 19,
        Event::Granted { .. } => 20,
        Event::Denied { .. } => 21,
        Event::Expired { .. } => 22,
        Event::Voided { .. } => 23,
        Event::StepStarted { .. } => 24,
        Event::StepEnded { .. } => 25,
        Event::StepVerified { .. } => 26,
        Event::StepSkipped { .. } => 27,
        Event::StepSettled { .. } => 28,
        Event::SettleClaimed { .. } => 29,
        Event::PersonAsked { .. } => 30,
        Event::PersonDid { .. } => 31,
        Event::AlarmOpened { .. } => 32,
        Event::Alerted { .. } => 33,
        Event::AlarmAcked { .. } => 34,
        Event::AlarmOpening { .. } => 35,
        Event::AlarmLinked { .. } => 36,
        Event::AlertJoined { .. } => 37,
        Event::WaitBegan { .. } => 38,
        Event::WaitOver { .. } => 39,
        Event::ChoiceAsked { .. } => 40,
        Event::Chosen { .. } => 41,
        Event::RunAborted { .. } => 42,
        Event::RunHandedOver { .. } => 43,
        Event::UndoAsked { .. } => 44,
        Event::PlanAsked { .. } => 45,
        Event::Planned { .. } => 46,
        Event::Notified { .. } => 47,
        Event::PickAsked { .. } => 48,
        Event::Picked { .. } => 49,
        Event::FailureAsked { .. } => 50,
        Event::DeadlineBegan { .. } => 51,
        Event::DeadlineNear { .. } => 52,
        Event::DeadlineMet { .. } => 53,
        Event::AgreedUndo { .. } => 56,
    }
}

fn id() -> ApprovalId {
    ApprovalId("1f2e3d4c5b6a".into())
}

fn by(name: &str) -> PersonId {
    PersonId(name.into())
}

fn button() -> ButtonId {
    ButtonId("0".repeat(32))
}

pub fn rows(n: usize) -> Rows {
    Rows { columns: vec!["pid".into()], rows: vec![vec![Some("101".into())]; n], beyond: 0 }
}

fn approval(n: usize) -> Approval {
    let action = Action {
        execution: "inc-1.r1.cancel.1".into(),
        runbook: "cancel".into(),
        closure: "c".into(),
        step: "cancel".into(),
        attempt: 1,
        title: "Cancel sessions".into(),
        risk: Risk::Disruptive,
        effect: EffectClass::Once,
        target: "main-db".into(),
        identity: TargetIdentity::default(),
        deed: Deed::Sql(Statement { sql: "select 1".into(), binds: vec![] }),
        values: BTreeMap::new(),
        preview: rows(n),
        undo: None,
        agreed: None,
        requester: by("alice"),
        policy: "v1".into(),
        decide_by: Millis(0),
    };
    let (policy, digest) = (Policy { all_of: vec![] }, action.digest());
    let (approve, deny, standing) = (button(), button(), Standing::Open);
    Approval { id: id(), digest, action, policy, asked: Millis(0), approve, deny, votes: vec![], standing }
}

/// All of them.
pub fn samples() -> Vec<Event> {
    let mut all = of_cases();
    all.extend(of_alerts());
    all.extend(of_runs());
    all.extend(of_approvals());
    all.extend(of_steps());
    all.extend(of_agreed());
    all
}

fn of_cases() -> Vec<Event> {
    let declared = Declared {
        number: 1,
        title: "Database performance degradation".into(),
        tier: 1,
        scenario: None,
        objectives: Objectives { rto: Span::minutes(240), rpo: Span::minutes(60), mttr: Span::minutes(120) },
        by: by("alice"),
        channel: "C1".into(),
        began: Millis(1_790_000_000_000),
        origin: None,
    };
    let checked = vec![Checked {
        id: "n".into(),
        verdict: Verdict::Fail,
        figure: "3 statements running".into(),
        evidence: false,
    }];
    vec![
        Event::Declared(declared.clone()),
        Event::Declared(Declared { origin: Some(origin()), ..declared }),
        Event::StatusAsked { by: by("alice"), channel: "C1".into(), scenarios: vec![], single: false, thread: None },
        Event::PlanAsked {
            by: by("alice"),
            channel: "C1".into(),
            thread: None,
            loaded: Box::new(catalog("c").runbooks["cancel"].clone()),
            values: BTreeMap::new(),
        },
        Event::Planned { step: "cancel".into(), look: Look::Free },
        Event::Notified { step: "tell".into(), text: "the clock runs".into(), people: vec![by("bob")] },
        Event::WatchOpened { runbook: "cancel".into() },
        Event::ScheduleOpened { schedule: "review".into() },
        Event::ScheduleDue,
        Event::ControlOpened,
        Event::Refused { who: "T1/U9".into(), what: "Status".into(), why: "not in the roster".into() },
        Event::Noted { by: by("bob"), text: "customers informed".into() },
        Event::CardPosted { card: CardKind::Main, channel: "C1".into(), ts: "1.1".into(), upto: 0 },
        Event::CardFailed { card: CardKind::Main, why: "archived".into() },
        Event::PickAsked { picking: Box::new(picking()) },
        Event::Picked { token: button(), param: "port".into(), options: vec![("7".into(), "seven".into())], why: None },
        Event::FormOpened { token: button(), purpose: FormPurpose::Deny(id()), person: by("bob") },
        Event::Detected { runbook: "cancel".into(), checked, streak: 1, since: None },
    ]
}

fn picking() -> Picking {
    Picking {
        token: button(),
        runbook: "quick".into(),
        given: [].into(),
        by: Speaker { team: "T1".into(), user: "U-bob".into() },
        person: by("bob"),
        channel: "C1".into(),
        thread: None,
        lists: [("port".to_owned(), None)].into(),
    }
}

fn deadline() -> Deadline {
    let rule = DeadlineRule {
        title: "Notice to the authority".into(),
        within: Span::minutes(72 * 60),
        from: From::Detected,
        remind: vec![],
        role: "legal".into(),
        until: "sent".into(),
    };
    Deadline::new(&rule, Millis(1_790_000_000_000))
}

fn origin() -> Origin {
    Origin { case: CaseId("alert-1f2e3d4c5b6a7980".into()), round: 1, title: "PostgresSlow".into() }
}

fn of_alerts() -> Vec<Event> {
    let alert = |firing| Alert {
        fingerprint: "f1".into(),
        firing,
        summary: "slow".into(),
        starts: Millis(1_790_000_000_000),
        ends: None,
    };
    let round = Round { scenario: None, ack: button(), open: button(), incident: None };
    vec![
        Event::AlarmOpened { source: "alertmanager".into(), title: "PostgresSlow".into(), channel: "C1".into() },
        Event::Alerted { alerts: vec![alert(true), alert(false)], truncated: 0, round: Some(round) },
        Event::Alerted { alerts: vec![alert(false), alert(false)], truncated: 3, round: None },
        Event::AlarmAcked { by: by("alice") },
        Event::AlarmOpening { by: by("alice") },
        Event::AlarmLinked { number: 7 },
        Event::AlertJoined { origin: origin(), by: by("alice") },
    ]
}

fn of_runs() -> Vec<Event> {
    let loaded = catalog("first edition").runbooks["cancel"].clone();
    vec![
        Event::RunStarted { id: "r1".into(), loaded: Box::new(loaded), values: BTreeMap::new(), by: by("alice") },
        Event::RunPaused { why: "`cancel` did not go through: denied".into() },
        Event::RunResumed { by: by("alice") },
        Event::RunVerifying,
        Event::RunVerified { ok: true, figures: vec!["0 left".into()] },
        Event::RunVerified { ok: false, figures: vec!["3 left".into()] },
    ]
}

fn of_approvals() -> Vec<Event> {
    let why = || "the roster or the approval policy was changed meanwhile".to_owned();
    vec![
        Event::PreviewAsked { step: "cancel".into() },
        Event::PreviewFailed { step: "cancel".into(), why: "the connection was refused".into() },
        Event::ApprovalAsked { approval: Box::new(approval(1)) },
        Event::ApprovalAsked { approval: Box::new(approval(2)) },
        Event::VoteRefused {
            approval: id(),
            who: "Erin".into(),
            why: "This needs the role dba; you have none.".into(),
        },
        Event::Voted { approval: id(), by: by("bob") },
        Event::Granted { approval: id(), start_by: Millis(0) },
        Event::Denied { approval: id(), by: by("bob"), reason: "the import must finish first".into() },
        Event::Expired { approval: id() },
        Event::Voided { approval: id(), why: why() },
    ]
}

fn of_agreed() -> Vec<Event> {
    let why = || "none of the approved rows is there any more".to_owned();
    let all = [
        News::Armed { step: "cancel".into(), until: Millis(1_790_000_000_000) },
        News::Due { why: "it is calm again (0 left)".into() },
        News::Held { why: "main-db is being changed in INC-2".into() },
        News::Started { execution: "inc-1.r1.cancel.1.1f2e3d4c5b6a.back".into() },
        News::Ended { end: StepEnd::Done { verify: true }, rows: 2 },
        News::Ended { end: StepEnd::NotStarted { why: why() }, rows: 0 },
        News::Ended { end: StepEnd::Unknown { why: why() }, rows: 0 },
        News::Proved { ok: true, figures: vec!["0 of 2 differ".into()] },
        News::Proved { ok: false, figures: vec!["1 of 2 differ".into()] },
        News::Stopped { by: by("bob"), reason: "the owner wants it so".into() },
        News::Told { text: "cancel was NOT taken back by itself: no".into(), people: vec![by("bob")] },
    ];
    all.into_iter().map(|news| Event::AgreedUndo { approval: id(), news }).collect()
}

fn of_steps() -> Vec<Event> {
    let step = || "cancel".to_owned();
    let why = || "the connection broke".to_owned();
    let ended = |end, rows| Event::StepEnded { step: step(), end, rows };
    vec![
        Event::StepStarted { step: step(), execution: "inc-1.r1.cancel.1".into(), digest: String::new() },
        ended(StepEnd::Done { verify: true }, Some(rows(1))),
        ended(StepEnd::Done { verify: false }, Some(rows(2))),
        ended(StepEnd::NotStarted { why: why() }, None),
        ended(StepEnd::Failed { why: why() }, None),
        ended(StepEnd::Unknown { why: why() }, None),
        Event::StepVerified { step: step(), ok: true, figures: vec!["0 of 2 left".into()] },
        Event::StepVerified { step: step(), ok: false, figures: vec!["1 of 2 left".into()] },
        Event::StepSkipped { step: step(), why: "nothing to do: it would touch no rows".into(), failed: false },
        Event::StepSettled { step: step(), happened: true, how: "the probe says it happened: 0 left".into() },
        Event::StepSettled { step: step(), happened: false, how: "Bob and Carol say it did not happen".into() },
        Event::SettleClaimed { step: step(), by: by("bob"), happened: true },
        Event::PersonAsked { step: "call".into(), done: button(), cannot: button() },
        Event::PersonDid { step: "call".into(), by: by("bob"), evidence: "ticket 4711".into(), done: true },
        Event::PersonDid { step: "call".into(), by: by("bob"), evidence: "nobody answers".into(), done: false },
        Event::WaitBegan { step: "calm".into(), until: Millis(1_790_000_000_000) },
        Event::WaitOver { step: "calm".into(), ok: true, figures: vec!["0 left".into()] },
        Event::WaitOver { step: "calm".into(), ok: false, figures: vec!["3 left".into()] },
        Event::ChoiceAsked { step: "way".into(), buttons: vec![button()] },
        Event::Chosen { step: "way".into(), by: by("bob"), label: "Restore from the backup".into() },
        Event::FailureAsked { step: step(), ways: Ways { retry: button(), skip: button(), abort: button() } },
        Event::DeadlineBegan { deadline: Box::new(deadline()) },
        Event::DeadlineNear { step: "sent".into(), text: "4 h left".into(), people: vec![by("bob")] },
        Event::DeadlineMet { step: "sent".into(), by: by("bob"), evidence: "number 4711".into() },
        Event::RunAborted { by: by("bob"), why: "another way was found".into() },
        Event::RunHandedOver { to: "repair".into() },
        Event::UndoAsked { step: step(), by: by("bob") },
    ]
}
