//! The letter of the team's page, run by hand where it can run at all, and what the safe form does in its place.
//! And the law: each numbered point of what is wrong with the page has a test with its number, in the test's name
//! (`s4_3_4_...`) or in the words above it (S4.3).

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use drbot::model::runbook::Work;
use drbot::practice::scratch::{BOOKING, PASSWORD, Scratch};
use drbot::practice::slack::plain_text;
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::time::{Instant, sleep};

use crate::scenario_s1::stage;
use crate::scenario_s9::{self, Loss, PASSPHRASE, recovery};
use crate::support::Folder;
use crate::vendors::supabase::ANON;
use crate::ways::offline::shipped;
use crate::world::{LIMIT, approval_id};

async fn number(scratch: &Scratch, database: &str, sql: &str) -> i64 {
    let mut conn = scratch.connect(&scratch.superuser_url_of(database)).await.expect("a session");
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut conn).await.expect(sql)
}

async fn alive(session: &mut PgConnection) -> bool {
    sqlx::query("select 1").execute(session).await.is_ok()
}

/// The page ends what a pool consists of, and leaves what holds the locks. Here it is the other way round.
#[tokio::test]
async fn s1_3_a_pool_keeps_its_sessions() {
    const LITERAL: &str = "select pg_terminate_backend(pid) from pg_stat_activity where state = 'idle' and state_change < now() - interval '1 second'";
    let (world, vendors) = stage(ANON).await;
    let database = world.database.as_ref().expect("a database");
    let app = async || database.connect(&database.url("app", PASSWORD, BOOKING)).await.expect("a session");
    let (mut pooled, mut stuck) = (app().await, app().await);
    assert!(alive(&mut pooled).await);
    sqlx::raw_sql("begin; select 1").execute(&mut stuck).await.expect("a transaction");
    let old =
        "select count(*) from pg_stat_activity where usename = 'app' and state_change < now() - interval '1100 ms'";
    let until = Instant::now() + LIMIT;
    while number(database, BOOKING, old).await < 2 {
        assert!(Instant::now() < until, "the sessions do not grow old");
        sleep(std::time::Duration::from_millis(50)).await;
    }
    database.admin(BOOKING, LITERAL).await.expect("the page's statement");
    assert!(!alive(&mut pooled).await && alive(&mut stuck).await, "the page ends the wrong one");

    let mut pooled = app().await;
    assert!(alive(&mut pooled).await);
    world.say("alice", "declare S1").await;
    world.say("alice", "run S1 idle_for=1s").await;
    world.see(|t| t.contains("/dr next 1 (Stuck connections or a restart)")).await;
    world.say("alice", "next 1").await;
    let card = world.see(|t| t.contains("Or type: /dr approve") && t.contains("idle_for")).await;
    assert!(plain_text(&card).contains("It touches 1 row"), "{}", plain_text(&card));
    world.say("bob", &format!("approve {}", approval_id(&card))).await;
    world.see(|t| t.contains("Is a restart still needed?")).await;
    assert!(alive(&mut pooled).await && !alive(&mut stuck).await, "only the one with the transaction is over");
    vendors.finish();
    world.finish();
}

/// DISCARD ALL fails in the page's block and reaches only its own session; VACUUM fails there too, and alone gives
/// nothing back to the disk. Neither is a step; how full the disk is stands in the assessment.
#[tokio::test]
async fn s1_4_5_discard_and_vacuum_help_nobody() {
    let folder = Folder::new();
    let scratch = Scratch::start(&folder.0).await.expect("a scratch PostgreSQL");
    for literal in ["select 1; discard all;", "select 1; vacuum analyze;"] {
        let refused = scratch.admin("postgres", literal).await.expect_err(literal);
        assert!(format!("{refused:#}").contains("cannot run inside a transaction block"), "{literal}: {refused:#}");
    }
    let mut other = scratch.connect(&scratch.superuser_url_of("postgres")).await.expect("a session");
    sqlx::raw_sql("set work_mem = '123kB'").execute(&mut other).await.expect("a setting");
    scratch.admin("postgres", "discard all").await.expect("alone it runs");
    let kept: String = sqlx::query_scalar("show work_mem").fetch_one(&mut other).await.expect("a setting");
    assert_eq!(kept, "123kB", "nobody else is reset");

    let fill = "create table full_disk as select n, repeat('x', 200) as t from generate_series(1, 20000) n";
    scratch.admin("postgres", fill).await.expect("rows");
    scratch.admin("postgres", "delete from full_disk where n % 2 = 0").await.expect("half of them go");
    let size = async || number(&scratch, "postgres", "select pg_relation_size('full_disk')").await;
    let before = size().await;
    scratch.admin("postgres", "vacuum analyze full_disk").await.expect("alone it runs");
    assert_eq!(size().await, before, "the disk is as full as before");

    let catalog = shipped();
    let steps = &catalog.runbooks["database-unavailable"].runbook.steps;
    let sql: Vec<String> = steps.iter().filter_map(|s| s.work.task()?.sql.clone()).map(|s| s.to_lowercase()).collect();
    assert!(!sql.is_empty() && sql.iter().all(|s| !s.contains("discard") && !s.contains("vacuum")), "{sql:?}");
    let looks = |work: &Work| matches!(work, Work::Parallel(all) if all.checks.iter().any(|c| c.id == "disk"));
    assert!(steps.iter().any(|s| looks(&s.work)), "the assessment shows the disk");
}

/// psql by hand, as the page has it; gives its exit code and how many tables are there afterwards.
async fn by_hand(loss: &Loss, run: &mut Command) -> (Option<i32>, i64) {
    let out = run.output().expect("a program");
    let tables = "select count(*) from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'";
    (out.status.code(), number(&loss.saas.database, "by_hand", tables).await)
}

/// The page's `psql < backup.sql` goes on after an error and ends with 0. Here the load fails as a whole.
#[tokio::test]
async fn s1_7_a_dump_that_fails_half_way_leaves_nothing() {
    let loss = scenario_s9::stage().await;
    let saas = &loss.saas;
    recovery(saas, "by_hand").await;
    let file = loss.store.0.join("broken");
    let edit = |dump: String| {
        let mark = "\nALTER TABLE ONLY public.";
        let broken = dump.replacen(mark, &format!("\nINSERT INTO public.nowhere VALUES (1);{mark}"), 1);
        assert_ne!(broken, dump);
        fs::write(&file, &broken).expect("written");
        broken
    };
    loss.back_up_edited(2, PASSPHRASE, edit, |_| {}).await;
    let url = saas.database.superuser_url_of("by_hand");
    let mut psql = Command::new("psql");
    psql.args(["--quiet", "--output=/dev/null", &url]).stdin(File::open(&file).expect("the dump"));
    let (code, tables) = by_hand(&loss, &mut psql).await;
    assert!(code == Some(0) && tables >= 16, "the page's form says nothing: {code:?}, {tables} tables");
    fs::remove_file(&file).expect("removed");

    let before = loss.catalog().await;
    loss.begin().await;
    saas.approve("step: Download the newest backup", &["bob"]).await;
    saas.approve("step: Load the backup", &["bob", "carol"]).await;
    let card = saas.see(|t| t.contains("validate did not go through")).await;
    assert!(card.contains("42P01"), "the cause is said: {card}");
    assert!(loss.catalog().await == before && loss.clean(), "nothing of it stays");
    saas.finish();
}

/// `gpg | gunzip | psql` over a file that was cut off: half of it is loaded, and the exit code is 0. What the safe
/// form does with the same file is told by `s9_3_a_truncated_backup_leaves_the_target_as_it_was`.
#[tokio::test]
async fn s9_3_the_pipe_of_the_page_loads_half_and_says_nothing() {
    let loss = scenario_s9::stage().await;
    recovery(&loss.saas, "by_hand").await;
    loss.back_up(2, PASSPHRASE, |bytes| bytes.truncate(bytes.len() * 2 / 3)).await;
    let (pass, backup) = (loss.store.0.join("pass"), loss.store.0.join("b.gpg"));
    fs::write(&pass, PASSPHRASE).expect("written");
    let gpg = format!("gpg --homedir {} --batch --pinentry-mode loopback --passphrase-file", loss.home());
    let url = loss.saas.database.superuser_url_of("by_hand");
    let pipe = format!("{gpg} {} --decrypt {} | gunzip | psql --quiet '{url}'", pass.display(), backup.display());
    let (code, tables) = by_hand(&loss, Command::new("sh").args(["-c", &pipe])).await;
    assert!(code == Some(0) && tables > 0, "{code:?}, {tables} tables");
    loss.saas.finish();
}

/// The points by scenario: how many each has.
const POINTS: [(u32, u32); 9] = [(1, 12), (2, 5), (3, 6), (4, 8), (5, 3), (6, 5), (7, 7), (8, 5), (9, 4)];

/// The points that these sources test, as `S4.3`.
fn points(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let numbers = |text: &str| {
        let scenario = text.chars().next().filter(char::is_ascii_digit)?;
        let rest = text[1..].strip_prefix(['_', '.'])?;
        let points: Vec<u32> = rest.split(['_', ' ', ',', ':', '(', ')']).map_while(|n| n.parse().ok()).collect();
        Some(points.into_iter().map(move |n| format!("S{scenario}.{n}")).collect::<Vec<_>>())
    };
    for line in source.lines().map(str::trim_start) {
        match (line.split_once("fn s"), line.starts_with("/// ")) {
            (Some((_, name)), false) => found.extend(numbers(name).into_iter().flatten()),
            (_, true) => found.extend(line.split('S').skip(1).filter_map(numbers).flatten()),
            _ => {}
        }
    }
    found
}

#[test]
fn every_point_has_a_test() {
    assert_eq!(points("async fn s4_3_4_orphans() {\n/// Told (S1.9, S1.10).\nlet S7.1 = 2;").len(), 4);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let files = fs::read_dir(folder).expect("the tests").map(|f| f.expect("a file").path());
    let files = files.filter(|p| p.is_file() && !p.ends_with("letter.rs"));
    let mut all: BTreeSet<String> = files.flat_map(|p| points(&fs::read_to_string(p).expect("a text"))).collect();
    let own = include_str!("letter.rs");
    all.extend(points(&own[..own.find("/// The points by scenario").expect("the law")]));
    let wanted = POINTS.iter().flat_map(|(s, n)| (1..=*n).map(move |n| format!("S{s}.{n}")));
    let missing: Vec<String> = wanted.filter(|p| !all.contains(p)).collect();
    assert!(missing.is_empty(), "no test is named after {missing:?}");
}
