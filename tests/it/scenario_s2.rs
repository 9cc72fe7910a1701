//! Scenario S2, edge functions that time out, through the running bot: what the page's own commands do, and
//! that the runbook does not. The judges are the vendors' records, a git repository and the database.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use drbot::clock;
use drbot::practice::slack::plain_text;
use jiff::{Timestamp, ToSpan};

use crate::saas::{SAAS, Saas};
use crate::vendors::functions::Mood;
use crate::vendors::github::TOKEN as GITHUB;
use crate::vendors::supabase::{ANON, TOKEN};
use crate::world::CHANNEL;

pub const RUNBOOK: &str = "edge-function-timeout";
const FILE: &str = include_str!("../../commands/edge-function-timeout.yaml");
const ID: &str = "6f1c2a2e-0000-4000-8000-000000000001";
pub const GOOD: &str = "4be1d9c07f6b3f0a9d1e8a5b6c7d8e9f00112233";
pub const BEFORE: &str = "0000000000000000000000000000000000000000";

/// What the file asks for, after what Supabase has anyway.
fn rights() -> String {
    let lines = FILE.lines().filter_map(|l| l.strip_prefix("# -- "));
    let there = "CREATE SCHEMA extensions; CREATE EXTENSION pg_stat_statements SCHEMA extensions;";
    format!("{there}{}", lines.collect::<Vec<_>>().join("\n"))
}

pub async fn stage() -> Saas {
    Saas::start(RUNBOOK, &rights(), |w, vendors| {
        w.more_targets.push(vendors.target("edge", "edge/functions/v1", ("apikey", ANON)));
        w.more_targets.push(vendors.target("supabase", "management", ("Authorization", &format!("Bearer {TOKEN}"))));
        w.more_targets.push(vendors.target("github", "github", ("Authorization", &format!("Bearer {GITHUB}"))));
        let values = [
            ("project", "practiceproject"),
            ("function", "booking-api"),
            ("function_id", ID),
            ("owner", "booking"),
            ("repository", "saas"),
        ];
        w.parameters.extend(values.map(|(k, v)| (RUNBOOK.to_owned(), k.to_owned(), v.to_owned())));
        vendors.with(|b| {
            b.supabase.projects.insert("practiceproject".into(), "ACTIVE_HEALTHY".into());
            b.supabase.functions.add("health-check", "6f1c2a2e-0000-4000-8000-000000000009", Mood::Well);
            b.supabase.functions.add("booking-api", ID, Mood::WantsLogin);
        });
    })
    .await
}

impl Saas {
    fn mood(&self, slug: &str, mood: Mood) {
        self.vendors.with(|b| b.supabase.functions.get(slug).mood = mood);
    }

    /// Asks for the lights and gives the answer's text; the card goes away, so that the next is not it.
    async fn light(&self) -> String {
        self.world.say("alice", "status").await;
        let card = self.world.see(|t| t.contains("S2 ") && !t.contains("hecking")).await;
        self.world.slack.delete(CHANNEL, &card.ts);
        plain_text(&card)
    }

    /// Starts a run for the last hour at this commit.
    async fn deploy(&self, sha: &str) {
        let now = Timestamp::from_millisecond(clock::now().0).unwrap();
        let times = format!("since={} until={now}", now - 1.hour());
        let said = self.world.say("alice", &format!("run S2 sha={sha} {times}")).await;
        assert!(!said.contains("parameter"), "{said}");
    }

    fn deployed(&self) -> (String, u32) {
        self.vendors.with(|b| {
            (b.supabase.functions.get("booking-api").sha.clone(), b.supabase.functions.get("booking-api").version)
        })
    }
}

/// One call as a script on somebody's machine would make it; gives the status, or None after `wait`.
async fn literal(saas: &Saas, post: bool, slug: &str, key: &str, wait: Duration) -> Option<u16> {
    let path = format!("/edge/functions/v1/{slug}");
    let (method, body) = if post { ("POST", r#"{"test": true}"#) } else { ("GET", "") };
    tokio::time::timeout(wait, saas.vendors.by_hand(method, &path, ("apikey", key), body)).await.ok()
}

/// The page's question has no limit and no key: a login gate alarms it, and a hanging function holds it for
/// as long as the platform likes. Ours takes a gate for alive, and speaks after ten seconds.
#[tokio::test]
async fn s2_1_no_time_limit_and_no_key() {
    let saas = stage().await;
    assert!(saas.light().await.contains("green"), "a function that wants a login is alive");
    let asked = literal(&saas, false, "booking-api", "", Duration::from_secs(5)).await;
    assert_eq!(asked, Some(401), "the page takes this for an outage");

    // A cold start is slow once; asked again within the same check it is not.
    saas.mood("health-check", Mood::Cold(3_500));
    assert!(saas.light().await.contains("green"));

    saas.mood("health-check", Mood::Hangs);
    let page = literal(&saas, false, "health-check", ANON, Duration::from_secs(14));
    let (page, text) = tokio::join!(page, saas.light());
    assert_eq!(page, None, "the page still waits");
    assert!(text.contains("amber") && text.contains("no whole answer within 10 s"), "{text}");

    // A wrong path or key says nothing about the function.
    saas.vendors.with(|b| b.supabase.functions.all.remove("health-check"));
    let text = saas.light().await;
    assert!(text.contains("could not check") && text.contains("answered 404"), "{text}");
    saas.finish();
}

/// Nothing writes the two settings that do not exist, and nothing but the deployment is changed anywhere;
/// the figures stand beside the limits instead.
#[tokio::test]
async fn s2_2_nothing_is_raised_that_cannot_be() {
    let runs = FILE.lines().filter(|l| !l.trim_start().starts_with('#'));
    assert!(runs.clone().count() > 100 && !runs.into_iter().any(|l| l.contains("timeout_ms")));
    let saas = stage().await;
    saas.mood("booking-api", Mood::TimedOut);
    saas.world.say("alice", "declare S2").await;
    saas.deploy(GOOD).await;
    saas.see(|t| t.contains("Or type: /dr approve") && t.contains("150 s to answer, 2 s of processor, 256 MB")).await;
    let text = saas.world.show("stats").await;
    for part in ["server_errors", "31", "150000", "61.5"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(saas.vendors.changes().is_empty(), "looking changes nothing");
    saas.finish();
}

fn git(folder: &Path, words: &[&str]) -> String {
    let mut git = Command::new("git");
    git.current_dir(folder).args(["-c", "user.name=x", "-c", "user.email=x@example.com"]).args(words);
    let output = git.output().expect("git runs");
    assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The page's commit takes along whatever somebody left lying there; the workflow deploys one named commit.
#[tokio::test]
async fn s2_3_a_redeploy_brings_no_other_work() {
    let saas = stage().await;
    let folder = saas.files.0.join("checkout");
    std::fs::create_dir(&folder).unwrap();
    git(&folder, &["init", "-q"]);
    for file in ["index.ts", "billing.ts"] {
        std::fs::write(folder.join(file), "one\n").unwrap();
    }
    git(&folder, &["add", "."]);
    git(&folder, &["commit", "-q", "-m", "released"]);
    std::fs::write(folder.join("billing.ts"), "half finished\n").unwrap();
    std::fs::write(folder.join("index.ts"), "one\n// again\n").unwrap();
    git(&folder, &["commit", "-q", "-am", "Redeploy booking-api to fix timeout"]);
    assert!(git(&folder, &["show", "--stat", "HEAD"]).contains("billing.ts"), "the harm");

    saas.mood("booking-api", Mood::TimedOut);
    saas.world.say("alice", "declare S2").await;
    saas.deploy(GOOD).await;
    saas.approve("dispatches", &["bob"]).await;
    saas.see(|t| t.contains("Verified:")).await;
    let made = saas.vendors.changes();
    assert_eq!(made.len(), 1);
    let body: serde_json::Value = serde_json::from_str(&made[0].body).unwrap();
    assert_eq!(body, serde_json::json!({"ref": "main", "inputs": {"function": "booking-api", "sha": GOOD}}));
    assert_eq!(saas.deployed(), (GOOD.to_owned(), 8));
    saas.finish();
}

/// The page's test call runs the function for real people; the runbook never posts to one.
#[tokio::test]
async fn s2_4_no_test_call_runs_production_code() {
    let saas = stage().await;
    saas.mood("booking-api", Mood::Well);
    assert_eq!(literal(&saas, true, "booking-api", ANON, Duration::from_secs(5)).await, Some(200));
    assert_eq!(saas.vendors.with(|b| b.supabase.functions.get("booking-api").ran), 1, "the harm");
    // A function that refuses what is not signed is alive.
    saas.mood("booking-api", Mood::WantsSignature);
    assert!(saas.light().await.contains("green"));
    saas.mood("booking-api", Mood::Well);
    saas.world.say("alice", "declare S2").await;
    saas.deploy(GOOD).await;
    saas.approve("dispatches", &["bob"]).await;
    saas.see(|t| t.contains("Verified:")).await;
    assert_eq!(saas.vendors.with(|b| b.supabase.functions.get("booking-api").ran), 1, "never again");
    saas.finish();
}

/// One slow statement of long ago stands on the page's list for ever, and a reader without the right sees no
/// text. Ours colours no light by it, and says since when is counted.
#[tokio::test]
async fn s2_5_a_mean_since_the_reset_is_no_news() {
    let saas = stage().await;
    saas.sql("SELECT extensions.pg_stat_statements_reset()").await;
    saas.sql("SELECT pg_sleep(1.2)").await;
    saas.sql("CREATE ROLE nosy LOGIN; GRANT USAGE ON SCHEMA extensions TO nosy").await;
    let page = "SELECT count(*)::text FROM extensions.pg_stat_statements WHERE mean_exec_time > 1000 AND calls = 1";
    assert_ne!(saas.ask(page).await, "0", "nothing is slow now, and the page says so all the same");
    let nosy = "SET ROLE nosy; DO $$ BEGIN IF NOT EXISTS (SELECT FROM extensions.pg_stat_statements WHERE query LIKE '%insufficient%') THEN RAISE 'all texts were shown'; END IF; END $$";
    saas.database.admin(SAAS, nosy).await.expect("without pg_read_all_stats there are no texts");
    assert!(saas.light().await.contains("green"));

    saas.world.say("alice", "declare S2").await;
    saas.deploy(GOOD).await;
    saas.world.see(|t| t.contains("Or type: /dr approve")).await;
    let first = saas.world.show("statements").await;
    for part in ["counting_since", "total_ms", "pg_sleep($1)", "queryid"] {
        assert!(first.contains(part), "{part}: {first}");
    }
    saas.approve("dispatches", &["bob"]).await;
    saas.see(|t| t.contains("Verified:")).await;
    let second = saas.world.show("statements-again").await;
    assert!(second.contains("pg_sleep($1)") && second.contains("counting_since"), "{second}");
    saas.finish();
}

/// From red to verified.
#[tokio::test]
async fn the_whole_scenario() {
    let saas = stage().await;
    let tables = ["bookings", "users", "supabase_migrations.schema_migrations"];
    let mut before = Vec::new();
    for table in tables {
        before.push(saas.fingerprint(table).await);
    }
    saas.vendors.with(|b| {
        b.supabase.functions.limit_lines = 57;
        let function = b.supabase.functions.get("booking-api");
        (function.mood, function.status) = (Mood::TimedOut, "THROTTLED");
    });
    for _ in 0..2 {
        saas.light().await;
    }
    let text = saas.light().await;
    for part in
        ["RED", "booking-api answered 504", "throttled by the platform: booking-api", "20251014213639 applied: 1"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    saas.world.say("alice", "declare S2").await;
    let short = saas.world.say("alice", &format!("run S2 sha={GOOD}")).await;
    assert!(short.contains("needs a value for `since`"), "{short}");
    saas.deploy(GOOD).await;
    let card = saas.approve("dispatches", &["bob"]).await;
    for part in [GOOD, "booking-api", "THROTTLED", "commit that was deployed before"] {
        assert!(card.contains(part), "{part}: {card}");
    }
    assert!(!card.contains(GITHUB), "{card}");
    let end = saas.see(|t| t.contains("Verified:")).await;
    assert!(end.contains("booking-api answered 200") && end.contains("throttled by the platform: none"), "{end}");
    let logs = saas.world.show("logs").await;
    assert!(logs.contains("57") && logs.contains("function_edge_logs"), "{logs}");
    for (table, was) in tables.iter().zip(before) {
        assert_eq!(saas.fingerprint(table).await, was, "{table}");
    }
    assert_eq!(saas.deployed().0, GOOD);
    saas.finish();
}

/// Somebody else deploys between the approval's list and its start: nothing is sent.
#[tokio::test]
async fn a_deployment_of_somebody_else_voids_the_approval() {
    let saas = stage().await;
    saas.mood("booking-api", Mood::TimedOut);
    saas.world.say("alice", "declare S2").await;
    saas.deploy(GOOD).await;
    let card = saas.world.see(|t| t.contains("Or type: /dr approve") && t.contains("version")).await;
    saas.vendors.with(|b| b.supabase.functions.get("booking-api").version = 8);
    saas.world.say("bob", &format!("approve {}", crate::world::approval_id(&card))).await;
    saas.see(|t| t.contains("refused: ") && t.contains("Paused")).await;
    assert_eq!(saas.vendors.changes().len(), 0);

    saas.world.say("alice", "next").await;
    saas.approve("dispatches", &["bob"]).await;
    saas.see(|t| t.contains("Verified:")).await;
    assert_eq!((saas.deployed(), saas.vendors.changes().len()), ((GOOD.to_owned(), 9), 1));
    saas.finish();
}
