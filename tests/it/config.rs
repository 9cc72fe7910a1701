//! The configuration: the commented example loads and leaves nothing out, and every mistake is told with
//! its name and what to do.

use std::collections::BTreeSet;
use std::fs;

use drbot::config::{Config, load};
use drbot::parse::catalog::{load as load_files, warnings};
use drbot::{app, model::runbook::Risk};

use crate::support::{Folder, commands};

const EXAMPLE: &str = include_str!("../../deploy/drbot.example.yaml");
const MANIFEST: &str = include_str!("../../deploy/slack-manifest.yaml");

/// The least that loads.
const LEAST: &str = r#"store: { url: "sqlite:///x/drbot.db" }
slack:
  team: T1
  signing_secrets: [0123456789abcdef0123456789abcdef]
  bot_token: xoxb-0123456789
people:
  - { id: alice, name: Alice, roles: [responder], slack: [U1] }
  - { id: bob, name: Bob, roles: [responder], slack: [U2] }
targets:
  main-db: { observer: "postgres://a@h/d", operator: "postgres://b@h/d" }
runbooks: { folder: commands }
"#;

fn read(text: &str) -> Result<Config, Vec<String>> {
    let folder = Folder::new();
    fs::create_dir(folder.0.join("secrets")).unwrap();
    let secrets = [
        ("slack-signing-secrets", "0123456789abcdef0123456789abcdef\n"),
        ("slack-bot-token", "xoxb-0123456789\n"),
        ("alertmanager-tokens", "a-token-that-is-new\na-token-that-is-old\n"),
        ("main-db-observer", "postgres://drbot_observer:a@db.example/app\n"),
        ("main-db-operator", "postgres://drbot_operator:b@db.example/app\n"),
        ("data-api-key", "sb_publishable_0123456789\n"),
        ("stripe-authorization", "Bearer rk_live_0123456789\n"),
        ("app-secret-key", "sb_secret_0123456789\n"),
        ("supabase-token", "Bearer sbp_0123456789\n"),
        ("recovery-db-observer", "postgres://drbot_observer:a@recovery.example/postgres\n"),
        ("recovery-db-operator", "postgres://drbot_operator:b@recovery.example/postgres\n"),
        ("backup-job-token", "Bearer ghs_9876543210\n"),
        ("backup-store-access-key", "AKIA0123456789\n"),
        ("backup-store-secret-key", "store_0123456789\n"),
        ("supabase-secret-key", "sb_secret_0123456789\n"),
        ("github-token", "Bearer ghs_0123456789\n"),
        ("n8n-key", "n8n_0123456789\n"),
    ];
    for (name, text) in secrets {
        fs::write(folder.0.join("secrets").join(name), text).unwrap();
    }
    let path = folder.0.join("drbot.yaml");
    fs::write(&path, text).unwrap();
    load(&path)
}

#[test]
fn the_example_loads_and_shows_the_defaults() {
    let (example, least) = (read(EXAMPLE).unwrap(), read(LEAST).unwrap());
    assert_eq!(example.slack.bot_token.as_deref(), Some("xoxb-0123456789"), "the line end of the file is not in it");
    let shown = |c: &Config| {
        let approvals = (c.approvals.decide_within, c.approvals.start_within);
        (c.listen.clone(), c.slack.api.clone(), c.slack.response_hosts.clone(), approvals, c.log.filter.clone())
    };
    assert_eq!(shown(&example), shown(&least));
    assert_eq!(example.policies(), least.policies());
    let needed = |tier, risk| example.policies()[&(tier, risk)].all_of[0].count;
    assert_eq!([1, 2, 3].map(|tier| needed(tier, Risk::Destructive)), [2, 1, 1]);
    assert_eq!([1, 2, 3].map(|tier| needed(tier, Risk::Disruptive)), [1, 1, 1]);
    assert!(least.alerts.alertmanager().is_none(), "no alerts unless they are asked for");
    assert!(matches!(example.alerts.alertmanager(), Some(Ok(_))));
    for secret in ["a-token-that-is-old", "AKIA0123456789", "store_0123456789"] {
        assert!(example.secrets().contains(&secret.to_owned()), "{secret}: for the redactor");
    }
    let (files, site) = (app::read_runbooks(&commands()).unwrap(), app::site(&example));
    let catalog = load_files(&files, &site).unwrap();
    assert!(catalog.runbooks.values().all(|l| l.unusable.is_none()), "the shipped runbooks can run with it");
    assert_eq!(warnings(&files, &catalog, &site), Vec::<String>::new(), "and lack nothing");
}

/// The fields of the public structs in a source file.
fn fields(source: &str, only: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for part in source.split("pub struct ").skip(1) {
        let name = part.split([' ', '(', ';']).next().unwrap_or_default();
        if only.is_empty() || only.contains(&name) {
            let body = part.split("\n}").next().unwrap_or_default();
            let keys = body.lines().filter_map(|l| l.strip_prefix("    pub ")).filter_map(|l| l.split_once(": "));
            found.extend(keys.map(|(key, _)| key.to_owned()));
        }
    }
    found
}

#[test]
fn the_example_mentions_every_key() {
    let mut keys = fields(include_str!("../../src/config.rs"), &[]);
    keys.extend(fields(include_str!("../../src/model/person.rs"), &["Person"]));
    keys.extend(fields(include_str!("../../src/model/approval.rs"), &["Policy", "Quorum"]));
    assert!(keys.len() > 30, "{keys:?}");
    let words: BTreeSet<&str> = EXAMPLE.split(|c: char| c.is_whitespace() || "{}[],".contains(c)).collect();
    let missing: Vec<_> = keys.iter().filter(|k| !words.contains(format!("{k}:").as_str())).collect();
    assert!(missing.is_empty(), "deploy/drbot.example.yaml does not mention {missing:?}");
}

#[test]
fn an_object_store_has_a_key_and_nothing_beside_it() {
    let with = |line: &str| read(&LEAST.replace("runbooks:", &format!("  s: {{ {line} }}\nrunbooks:")));
    let good = "base: \"https://h\", s3: { region: r, access_key: AKIA0123, secret_key: b }";
    assert!(with(good).is_ok());
    let cases = [
        (
            "s3: { region: r, prefix: /a, access_key: AKIA0123 }, base: \"https://h\"",
            "targets.s.s3.secret_key is missing",
        ),
        (&*good.replace("region: r", "region: r, prefix: /a"), "targets.s.s3.prefix is `/a`: it ends with /"),
        (&*format!("headers: {{ A: b }}, {good}"), "targets.s: s3 needs `base`"),
    ];
    for (line, said) in cases {
        let faults = with(line).unwrap_err();
        assert!(faults.iter().any(|f| f.contains(said)), "{line}: {faults:?}");
    }
}

const APPROVALS: &str =
    "approvals:\n  disruptive: { all_of: [{ role: responder, count: 1 }] }\n  decide_within: 15m\n  start_within: 5m\n";

#[test]
fn every_mistake_is_named_with_what_to_do() {
    assert!(read(LEAST).is_ok());
    let table: &[(&str, &str, &[&str])] = &[
        ("  team: T1", "  taem: T1", &["drbot.yaml: line 3 column 3", "`taem`", "did you mean `team`", "`bot_token`"]),
        ("store:", "stores: x\nstore:", &["line 1 column 1", "`stores`", "did you mean `store`"]),
        ("count: 1", "counts: 1", &["did you mean `count`"]),
        ("runbooks:", "listen: [x]\nrunbooks:", &["line 11 column 9", "one text"]),
        ("people:", "people: x\npeople:", &["line 6"]),
        ("  team: T1\n", "", &["`team` is missing", "add it"]),
        (
            "  bot_token:",
            "  bot_token_file: secrets/slack-bot-token\n  bot_token:",
            &["slack.bot_token_file", "keep one"],
        ),
        ("bot_token: xoxb-0123456789", "bot_token_file: secrets/none", &["slack.bot_token_file", "secrets/none"]),
        ("  bot_token: xoxb-0123456789\n", "", &["slack.bot_token is missing", "xoxb-"]),
        ("store: { url: \"sqlite:///x/drbot.db\" }", "store: {}", &["store.url is missing", "sqlite:///"]),
        ("observer: \"postgres://a@h/d\", ", "", &["targets.main-db.observer is missing", "drbot target sql main-db"]),
        ("postgres://b@h/d", "postgres://a@h/d", &["targets.main-db", "are the same", "a role of its own"]),
        ("slack: [U2]", "slack: [U1]", &["Slack account U1", "`alice`", "`bob`", "one entry"]),
        ("id: bob", "id: alice", &["id alice", "one entry"]),
        ("all_of: [{ role: responder, count: 1 }]", "all_of: []", &["approvals.disruptive", "at least one role"]),
        ("count: 1", "count: 0", &["approvals.disruptive", "at least 1"]),
        (
            "  decide_within",
            "  destructive: { all_of: [{ role: responder, count: 1 }] }\n  decide_within",
            &["destructive steps of tier 1 need at least 2 people", "approvals.tier_1.destructive"],
        ),
        (
            "  decide_within",
            "  tier_2: { disruptive: { all_of: [] } }\n  decide_within",
            &["approvals.disruptive", "at least one role"],
        ),
        ("decide_within: 15m", "decide_within: 20m", &["approvals.decide_within is 20m", "between 1ms and 15m"]),
        ("start_within: 5m", "start_within: 6m", &["approvals.start_within is 6m", "between 1ms and 5m"]),
        ("decide_within: 15m", "decide_within: soon", &["line", "not a duration", "such as"]),
        ("[0123456789abcdef0123456789abcdef]", "[short]", &["slack.signing_secrets", "number 1", "copy the whole"]),
        ("[0123456789abcdef0123456789abcdef]", "[]", &["slack.signing_secrets", "at least one"]),
        (
            "runbooks:",
            "alerts: { alertmanager: { bearer: [0123456789abcdef] } }\nrunbooks:",
            &["alerts.channel is missing"],
        ),
        ("runbooks:", "alerts: { channel: C1, alertmanager: {} }\nrunbooks:", &["alerts.alertmanager", "openssl rand"]),
        ("runbooks:", "alerts: { channel: C1, alertmanager: { bearer: [short] } }\nrunbooks:", &["shorter than 12"]),
        (
            "runbooks:",
            "alerts: { channel: C1, alertmanager: { basic_user: am } }\nrunbooks:",
            &["basic_user and basic_password belong together"],
        ),
        ("runbooks:", "alerts: { chanel: C1 }\nrunbooks:", &["`chanel`", "did you mean `channel`"]),
    ];
    let good = format!("{LEAST}{APPROVALS}");
    for (from, to, parts) in table {
        assert!(good.contains(from), "{from}");
        let told = read(&good.replacen(from, to, 1)).expect_err(to).join("\n");
        let missing: Vec<_> = parts.iter().filter(|p| !told.contains(**p)).collect();
        assert!(missing.is_empty(), "{to:?} must say {missing:?}, and says:\n{told}");
        assert!(!told.contains("0123456789"), "a secret is in an error:\n{told}");
    }
    assert!(read(&LEAST.replace("people:\n", "people: []\nx:\n")).is_err());
}

/// A private channel is named by its id, and nothing else is said there.
#[test]
fn a_private_channel_is_one_that_slack_knows() {
    let with = |id: &str| {
        let channels = format!("folder: commands, channels: {{ security-breach: \"{id}\" }}");
        read(&LEAST.replace("folder: commands", &channels).replace("runbooks:", "alerts: { channel: C01 }\nrunbooks:"))
    };
    assert!(with("C02").is_ok());
    let said = with("#breach").expect_err("a name").join(" ");
    assert!(
        said.contains("runbooks.channels.security-breach: `#breach` is no id of a channel, such as C0ABCDEFGHI"),
        "{said}"
    );
    let said = with("C01").expect_err("that of alerts").join(" ");
    assert!(said.contains("runbooks.channels.security-breach: `C01` is also a channel of `alerts`"), "{said}");
}

/// Several mistakes come in one answer.
#[test]
fn all_mistakes_come_at_once() {
    let text = LEAST.replace("slack: [U2]", "slack: [U1]").replace("postgres://b@", "postgres://a@");
    assert_eq!(read(&text).expect_err("two mistakes").len(), 2);
}

/// The app asks for no right that drbot does not use, and its addresses are routes of ours.
#[test]
fn the_slack_app_asks_for_little() {
    let scopes: Vec<&str> =
        MANIFEST.split("bot:\n").nth(1).unwrap().lines().map_while(|l| l.trim().strip_prefix("- ")).collect();
    assert_eq!(
        scopes,
        [
            "commands",
            "app_mentions:read",
            "chat:write",
            "channels:history",
            "groups:history",
            "groups:read",
            "metadata.message:read"
        ]
    );
    let routes = include_str!("../../src/webhook.rs");
    for url in MANIFEST.lines().filter_map(|l| l.split_once("example.com/")).map(|(_, path)| path) {
        assert!(routes.contains(&format!("\"/{url}\"")), "{url} is no route");
    }
}
