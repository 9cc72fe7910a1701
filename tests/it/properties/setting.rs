//! The installation the sequences run in: runbooks of every kind, people, policies, and the variants
//! they may change to.

use std::collections::BTreeMap;

use drbot::model::approval::{Policy, Quorum};
use drbot::model::catalog::Catalog;
use drbot::model::id::CaseId;
use drbot::model::person::{Person, PersonId, Roster, Speaker};
use drbot::model::runbook::Risk;
use drbot::model::time::Span;
use drbot::model::world::Rules;
use drbot::parse::catalog::{SHARED, Site, TargetKind, load};

pub const TEAM: &str = "T1";
/// Accounts that speak: persons (alice with two accounts), a stranger, and bob's id in a foreign team.
pub const VOICES: [(&str, &str); 8] = [
    (TEAM, "U-alice"),
    (TEAM, "U-bob"),
    (TEAM, "U-carol"),
    (TEAM, "U-dave"),
    (TEAM, "U-alice2"),
    (TEAM, "U-erin"),
    (TEAM, "U-mallory"),
    ("T9", "U-bob"),
];

const SHARED_YAML: &str = "
objectives: { rto: 4h, rpo: 24h, mttr: 2h }
scenarios:
  - { id: S1, title: Quick look, tier: 1, runbook: quick }
  - { id: S2, title: Cancel sessions, tier: 2, runbook: cancel }
  - { id: S3, title: Repair rows, tier: 1, runbook: repair }
  - { id: S4, title: By hand, tier: 3, runbook: hands }
  - { id: S6, title: Ways, tier: 2, runbook: ways }
  - { id: S5, title: Nothing here, tier: 3, runbook: nothing }
contacts: [{ role: engineers, reach: the channel of engineering }]
escalation:
  - { level: 1, title: Self-service, after: 0s }
  - { level: 2, title: Engineers, after: 15m, role: engineers }
  - { level: 3, title: Everybody, after: 9h, role: engineers }
schedules: [{ id: chore, what: Do the chore, every: 30m, owner: engineers }]
checklist: [{ task: Write down what happened, owner: engineers, due: 1d }]
";

const HEAD: &str = "
title: The trouble called NAME
tier: 1
objectives: { rto: 1h, rpo: 24h, mttr: 30m }
estimate: 10m
alerts: [{ source: alertmanager, labels: { alertname: NAME } }]
detect:
  every: 1m
  failures: 2
  checks:
    - { id: seen, target: db, sql: select 1 as n, expect: { value: { column: n, at_most: 0 } }, figure: '{n} seen' }
verify:
  - { id: healthy, target: db, sql: select 0 as n, expect: { value: { column: n, at_most: 0 } }, figure: '{n} left' }
steps:
";

/// What a run has to be told.
const ASKS: &str = "
params:
  port: { type: integer, min: 1, max: 999, ask: Which port?, pick: { target: db, sql: select 7 as pid, value: pid, label: query } }
  side: { type: choice, values: [left, right], default: left }
steps:
  - id: look
    title: Look at port {port} on the {side}
    do: { sql: { target: db, effect: observe, risk: safe, sql: 'select :port, :side' } }
";

const LOOK: &str = "
  - id: look
    title: Look at it
    on_fail: ask
    do: { sql: { target: db, effect: observe, risk: safe, sql: select 1 } }
";

const MANUAL: &str = "
  - id: call
    title: Call the provider
    do: { manual: { ask: Call and report., evidence: ticket number } }
";

/// A changing step: its id, effect class, risk, and how an unknown end is looked into.
fn change(id: &str, effect: &str, risk: &str, probe: bool) -> String {
    let probe = if probe {
        "probe: { id: happened, target: db, sql: 'select :approved as a, 0 as n', expect: { value: { column: n, at_most: 0 } }, figure: '{n} left' }"
    } else {
        "sensitive: []"
    };
    let undo = if id == "repair" {
        "undo: { title: Put it back, do: { sql: { target: db, effect: once, risk: disruptive, preview: { identity: [pid], tolerance: { rows: fewer }, cap: 3, sql: select pid from work }, sql: 'select :approved as a', verify: [{ id: back, target: db, sql: 'select :approved as a, 0 as n', expect: { value: { column: n, at_most: 0 } }, figure: '{n} left' }], undo: none } } }"
    } else if id == "cancel" {
        "undo: { title: Let it go on, by_itself: { when: nothing is left, every: 10s, latest: 2m, checks: [{ id: calm, target: db, sql: 'select :approved as a, 0 as n', expect: { value: { column: n, at_most: 0 } }, figure: '{n} left' }] }, do: { sql: { target: db, effect: atomic, risk: disruptive, preview: { identity: [pid], tolerance: { rows: fewer }, cap: 3, sql: select pid from work }, sql: 'select :approved as b', verify: [{ id: goes, target: db, sql: 'select :approved as a, 0 as n', expect: { value: { column: n, at_most: 0 } }, figure: '{n} left' }], undo: none } } }"
    } else {
        "undo: none, it is over"
    };
    format!(
        "
  - id: {id}
    title: Change it
    on_fail: ask
    do:
      sql:
        target: db
        effect: {effect}
        risk: {risk}
        preview: {{ identity: [pid], tolerance: {{ rows: fewer }}, cap: 3, sql: select pid from work }}
        sql: select pg_cancel_backend(pid) from jsonb_to_recordset(:approved::jsonb) as ok(pid int)
        verify:
          - {{ id: gone, target: db, sql: 'select :approved as a, 0 as n', expect: {{ value: {{ column: n, at_most: 0 }} }}, figure: '{{n}} left' }}
        {undo}
        {probe}
"
    )
}

/// Waits, looks and a choice that leads on, forward, or into another runbook.
const WAYS: &str = "
  - id: calm
    title: Wait a little
    on_fail: continue
    do: { wait: { until: [{ id: still, target: db, sql: select 0 as n, expect: { value: { column: n, at_most: 0 } }, figure: '{n} left' }], every: 10s, at_most: 20s } }
  - id: pause
    title: Let it settle
    do: { wait: { for: 5s } }
  - id: around
    title: Look around
    do: { parallel: { checks: [{ id: one, target: db, sql: select 0 as n, expect: { value: { column: n, at_most: 0 } }, figure: '{n} left' }] } }
  - id: tell
    title: Tell the owners
    do: { notify: { roles: [owner], text: Somebody should look. } }
  - id: way
    title: Which way
    do: { choose: { ask: What now?, options: [{ label: Go on }, { label: Straight to the end, go: look }, { label: Repair it, runbook: repair }] } }
";

fn file(name: &str, steps: &str, note: &str) -> (String, String) {
    (format!("{name}.yaml"), format!("# {note}\nrunbook: {name}{}{steps}", HEAD.replace("NAME", name)))
}

/// A runbook with parameters.
fn asking(name: &str, note: &str) -> (String, String) {
    let (file, text) = file(name, "", note);
    (file, text.replace("steps:\n", ASKS))
}

/// A runbook with a clock that people must meet.
fn clocked(name: &str, steps: &str, note: &str) -> (String, String) {
    let (file, text) = file(name, steps, note);
    let clock = "deadlines: [{ title: Notice, within: 30m, remind: [20m, 5m], role: owner, until: call }]\nsteps:\n";
    (file, text.replace("steps:\n", clock))
}

/// The catalog; another `edition` has the same runbooks with other bytes.
pub fn catalog(edition: &str) -> Catalog {
    let once = change("cancel", "once", "disruptive", true);
    let atomic = change("repair", "atomic", "destructive", false);
    let blind = change("blind", "once", "disruptive", false);
    let files: BTreeMap<String, String> = [
        (SHARED.to_owned(), SHARED_YAML.to_owned()),
        asking("quick", edition),
        file("cancel", &format!("{once}{LOOK}"), edition),
        file("repair", &atomic, edition),
        file("ways", &format!("{WAYS}{MANUAL}{LOOK}"), edition),
        clocked("hands", &format!("{MANUAL}{blind}"), edition),
    ]
    .into();
    let site = Site {
        targets: [("db".to_owned(), TargetKind::Sql { operator: true })].into(),
        configured: true,
        ..Site::default()
    };
    load(&files, &site).unwrap_or_else(|faults| panic!("{}", faults.join("\n")))
}

fn person(id: &str, roles: &[&str], slack: &[&str]) -> Person {
    Person {
        id: PersonId(id.into()),
        name: id[..1].to_uppercase() + &id[1..],
        roles: roles.iter().map(|r| (*r).to_owned()).collect(),
        slack: slack.iter().map(|s| (*s).to_owned()).collect(),
    }
}

/// Everybody, or with somebody's role gone, or with somebody gone.
pub fn roster(variant: usize) -> Roster {
    let bob: &[&str] = if variant == 1 { &[] } else { &["dba", "owner"] };
    let mut people = vec![
        person("alice", &["dba"], &["U-alice", "U-alice2"]),
        person("bob", bob, &["U-bob"]),
        person("carol", &["owner"], &["U-carol"]),
        person("dave", &["dba"], &["U-dave"]),
        person("erin", &[], &["U-erin"]),
    ];
    if variant == 2 {
        people.retain(|p| p.id.0 != "dave");
    }
    Roster { home_team: TEAM.into(), people }
}

/// The policies of a variant; 3 asks for more.
pub fn rules(variant: usize) -> Rules {
    let quorum = |role: &str, count| Quorum { role: role.into(), count };
    let disruptive = if variant == 3 { vec![quorum("dba", 2)] } else { vec![quorum("dba", 1)] };
    let destructive = vec![quorum("dba", 1), quorum("owner", 1)];
    Rules {
        version: format!("v{variant}"),
        policies: (1..=3)
            .flat_map(|tier| {
                [
                    ((tier, Risk::Disruptive), Policy { all_of: disruptive.clone() }),
                    ((tier, Risk::Destructive), Policy { all_of: destructive.clone() }),
                ]
            })
            .collect(),
        decide_within: Span::minutes(15),
        start_within: Span::minutes(5),
        alert_channel: "C1".into(),
        incident_channel: None,
        tells_own: true,
        own_channels: BTreeMap::new(),
    }
}

pub fn speaker(at: usize) -> Speaker {
    let (team, user) = VOICES[at % VOICES.len()];
    Speaker { team: team.into(), user: user.into() }
}

/// A case that nobody opened.
pub fn foreign() -> CaseId {
    CaseId("inc-999".into())
}

/// Whether these voters satisfy a policy, by trying every assignment of persons to requirements.
pub fn satisfied(policy: &Policy, requester: &PersonId, votes: &[PersonId], roster: &Roster) -> bool {
    let mut seats: Vec<&str> = Vec::new();
    for q in &policy.all_of {
        seats.extend((0..q.count).map(|_| q.role.as_str()));
    }
    let mut voters: Vec<&Person> =
        roster.people.iter().filter(|p| p.id != *requester && votes.contains(&p.id)).collect();
    !seats.is_empty() && seat(&seats, &mut voters)
}

fn seat(seats: &[&str], voters: &mut Vec<&Person>) -> bool {
    let Some((role, rest)) = seats.split_first() else { return true };
    (0..voters.len()).any(|i| {
        if !voters[i].roles.iter().any(|r| r == role) {
            return false;
        }
        let one = voters.remove(i);
        let fits = seat(rest, voters);
        voters.insert(i, one);
        fits
    })
}
