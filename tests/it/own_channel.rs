//! A breach in its private channel, judged by everything that the practice Slack recorded: nothing of it is in
//! any other channel, and there it is worked as anywhere.

use std::fs;

use drbot::app;
use drbot::parse::catalog::{Site, load, warnings};
use drbot::practice::bot::Wiring;
use drbot::practice::slack::{buttons, plain_text, private_text};

use crate::scenario_s7::{Breach, staged};
use crate::support::commands;
use crate::world::{CHANNEL, LIMIT, PRIVATE, approval_id, private, user};

const RUNBOOK: &str = "security-breach";
const AWAY: &str = "is worked in its private channel only";

/// Another runbook, which must not run while a breach is open.
const OTHER: &str = r#"runbook: rewind
title: Rewind
tier: 2
objectives: { rto: 4h, rpo: 24h, mttr: 2h }
estimate: 1m
interlocks:
  - { not_while: security-breach, why: a rewind would destroy evidence }
detect:
  every: 1h
  failures: 1
  checks: [{ id: there, target: main-db, sql: "select 1 as n", expect: { value: { column: n, at_least: 1 } }, figure: "{n}" }]
steps:
  - id: look
    title: Look
    do: { sql: { target: main-db, effect: observe, risk: safe, sql: "select 1 as n", expect: { rows: { exactly: 1 } } } }
verify: [{ id: there, target: main-db, sql: "select 1 as n", expect: { value: { column: n, at_least: 1 } }, figure: "{n}" }]
"#;

/// A runbook of the open channel that leads to the private one.
const LEADS: &str = r#"  - id: way
    title: Choose the way on
    do: { choose: { ask: What is it?, options: [{ label: A breach, runbook: security-breach }, { label: Nothing, go: look }] } }
"#;

/// The breach's runbook with a private channel, looked for every second; the alert channel is the open one.
fn apart(w: &mut Wiring) {
    let file = w.runbooks.join(format!("{RUNBOOK}.yaml"));
    let text = fs::read_to_string(&file).expect("the runbook");
    fs::write(&file, text.replacen("  every: 5m", "  every: 1s", 1)).expect("written");
    fs::write(w.runbooks.join("rewind.yaml"), OTHER).expect("written");
    let leads = OTHER.replace("rewind", "lead").replacen("steps:\n", &format!("steps:\n{LEADS}"), 1);
    fs::write(w.runbooks.join("lead.yaml"), leads.replace("not_while: security-breach", "not_while: total-data-loss"))
        .expect("written");
    // Mallory is in the channel too.
    w.parameters.push((RUNBOOK.into(), "invited".into(), "U0BOT, U-alice,U-bob,U-carol".into()));
    w.more = format!("  channels: {{ {RUNBOOK}: {PRIVATE} }}\nalerts: {{ channel: {CHANNEL} }}\n");
}

/// Types `/dr TEXT` in the private channel; gives what only this person sees.
async fn say(breach: &Breach, name: &str, text: &str) -> String {
    let answer = breach.saas.world.slack.slash(&user(name), PRIVATE, text).await;
    assert_eq!(answer.status, 200, "{text}: {}", answer.body);
    private(&answer.body)
}

/// The first message of the private channel that has all these parts.
async fn see(breach: &Breach, parts: &[&str]) -> drbot::practice::slack::Message {
    let slack = &breach.saas.world.slack;
    let wanted = |m: &drbot::practice::slack::Message| parts.iter().all(|p| plain_text(m).contains(p));
    slack.wait_message(PRIVATE, wanted, LIMIT).await.unwrap_or_else(|e| {
        let all: Vec<String> = slack.messages(PRIVATE).iter().map(plain_text).collect();
        panic!("no {parts:?} in the private channel ({e}):\n{}", all.join("\n---\n"))
    })
}

#[tokio::test]
async fn s7_7_a_breach_is_told_and_worked_in_its_private_channel_only() {
    let breach = staged(apart).await;
    let world = &breach.saas.world;
    let account = breach.saas.ask("select id('user-9')::text").await;

    world.slack.seclude(PRIVATE, true);

    let alert = see(&breach, &["drbot's own detection", "suspicious logins"]).await;
    assert!(buttons(&alert).iter().any(|b| b.label == "Open incident"), "{}", plain_text(&alert));

    for text in [
        format!("declare {RUNBOOK}"),
        "declare S7".into(),
        format!("plan {RUNBOOK} user={account}"),
        "detect breach".into(),
    ] {
        let said = world.say("alice", &text).await;
        assert!(said.contains(AWAY) && !said.contains(PRIVATE), "{text}: {said}");
    }
    let text = plain_text(&alert);
    let id = text.split("/dr ack ").nth(1).and_then(|t| t.split_whitespace().next()).expect("its id");
    let said = world.say("alice", &format!("ack {id}")).await;
    assert!(said.contains("No alert") && said.contains("fires"), "it is not even told that it rings: {said}");
    assert_eq!(world.slack.messages(CHANNEL).len(), 0, "nothing was posted");
    world.say("alice", "status").await;
    let card = world.see(|t| t.contains("🔒") && !t.contains('⏳')).await;
    let card = plain_text(&card);
    assert!(
        card.contains("told in its private channel only") && card.contains("🟢 Everything shown here is healthy"),
        "{card}"
    );
    assert!(!card.contains("logins"), "{card}");
    say(&breach, "alice", "status").await;
    see(&breach, &["🔴 Red: Security breach", "suspicious logins"]).await;

    let answer = world.slack.click(&user("alice"), PRIVATE, &alert.ts, "Open incident").await.expect("the button");
    assert_eq!(answer.status, 200, "{}", answer.body);
    see(&breach, &["INC-1 ", "Security breach"]).await;
    worked(&breach, &account).await;
    kept(&breach, &account);
    breach.saas.finish();
}

/// The incident is followed in its channel; elsewhere only an approval's id is, and what is open there stands
/// in the way without its name.
async fn worked(breach: &Breach, account: &str) {
    let world = &breach.saas.world;
    let since = jiff::Timestamp::from_millisecond(drbot::clock::now().0 - 4 * 3_600_000).expect("a time");
    let run = format!("{RUNBOOK} user={account} since={since}");
    for text in [&*format!("run INC-1 {run}"), "timeline INC-1", "abort INC-1 enough"] {
        let said = world.say("alice", text).await;
        assert!(said.contains("private channel") && !said.contains(account), "{text}: {said}");
    }
    let said = say(breach, "alice", &format!("run {run}")).await;
    assert!(said.starts_with("Started in INC-1"), "{said}");
    let card = plain_text(&see(breach, &["step: Ban the account", "the run went on"]).await);
    assert!(card.contains("See that this channel is private (done"), "{card}");
    assert!(card.contains("See that nobody is in it who was not invited (failed, the run went on)"), "{card}");
    assert!(card.contains("not invited: U-mallory"), "{card}");
    see(breach, &["readers: failed and the run goes on: not invited: U-mallory"]).await;
    let found = world.slack.slash(&user("alice"), PRIVATE, "show readers").await.body;
    assert!(found.contains("U-mallory") && !found.contains("U-bob") && !found.contains("U0BOT"), "{found}");
    let ban = see(breach, &["step: Ban the account", "Or type: /dr approve"]).await;
    let agreed = world.say("bob", &format!("approve {}", approval_id(&ban))).await;
    assert!(!agreed.contains("private channel"), "agreed from elsewhere: {agreed}");
    breach.banned().await;
    see(breach, &["step: End every session"]).await;

    assert!(world.say("carol", "declare rewind").await.starts_with("INC-2 is open"));
    let said = world.say("carol", "run rewind").await;
    assert!(said.contains("an incident in a private channel is open") && !said.contains("evidence"), "{said}");
    assert!(world.say("carol", "declare lead").await.starts_with("INC-3 is open"));
    assert!(world.say("carol", "run INC-3 lead").await.starts_with("Started"));
    world.see(|t| t.contains("INC-3 ") && t.contains("/dr next 1 (A breach)")).await;
    world.say("carol", "next INC-3 1").await;
    world.see(|t| t.contains("INC-3 ") && t.contains("Paused: ") && t.contains(AWAY)).await;
    world.say("carol", "status").await;
    world.see(|t| t.contains("🔒") && t.contains("INC-2") && !t.contains("INC-1")).await;
}

/// Whatever anybody could read outside the private channel.
fn kept(breach: &Breach, account: &str) {
    let slack = &breach.saas.world.slack;
    let mut open: Vec<String> = slack.messages(CHANNEL).iter().map(|m| format!("{m:?}")).collect();
    open.extend(slack.all_privates().iter().filter(|p| p.channel != PRIVATE).map(private_text));
    assert!(open.len() > 3, "there is something to look at");
    for part in [&account[..8], "INC-1 ", "suspicious logins", "Ban the account", PRIVATE] {
        let found: Vec<&String> = open.iter().filter(|t| t.contains(part)).collect();
        assert!(found.is_empty(), "`{part}` is told outside: {found:#?}");
    }
}

/// With a configuration it is said where nobody would hear, and where a breach would be worked in the open.
#[test]
fn what_a_private_runbook_lacks_is_named() {
    let files = app::read_runbooks(&commands()).expect("the shipped files");
    let told = |channels: &[&str], roles: &[&str]| {
        let channels = channels.iter().map(|c| ((*c).to_owned(), PRIVATE.to_owned())).collect();
        let roles = roles.iter().map(|r| (*r).to_owned()).collect();
        let site = Site { channels, roles, configured: true, ..Site::default() };
        let all = load(&files, &site).map(|catalog| warnings(&files, &catalog, &site))?;
        Ok::<_, Vec<String>>(all.into_iter().filter(|w| !w.contains("cannot run here")).collect::<Vec<_>>().join("\n"))
    };
    let none = told(&[], &[]).expect("it loads");
    for part in [
        "security-breach.yaml: line 41",
        "it is worked in the open: name its private channel as `runbooks.channels: { security-breach: C... }`",
        "nobody is reminded: no person of the configuration has the role `security`",
        "nobody is told: no person of the configuration has the role `responder`",
        "_shared.yaml: line",
        "has the role `engineering`",
    ] {
        assert!(none.contains(part), "{part}: {none}");
    }
    assert_eq!(told(&[RUNBOOK], &["responder", "security", "engineering"]).expect("it loads"), "");
    let wrong = told(&["security-braech"], &[]).expect_err("there is no such runbook");
    assert!(wrong[0].contains("runbooks.channels names `security-braech`"), "{wrong:?}");
}
