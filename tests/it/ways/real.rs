//! Every changing step of the shipped runbooks four ways for real: PostgreSQL, stateful vendors, signed requests to
//! the running bot. One function a runbook brings its stage; `books` says what is done there. And the law: a changing
//! step that is not in the table fails here, by name.

use std::collections::BTreeSet;
use std::time::Duration;

use drbot::practice::scratch::PASSWORD;
use jiff::{Timestamp, ToSpan};
use sqlx::PgConnection;
use tokio::task::JoinHandle;

use super::backups::{BACKUPS, backups};
use super::books::{
    COMMITS, DATABASE_PERFORMANCE, DATABASE_UNAVAILABLE, EDGE_FUNCTION_TIMEOUT, SECURITY_BREACH,
    STRIPE_ACCOUNT_SUSPENDED, STRIPE_WEBHOOK_FAILURES, WHATSAPP_DOWN,
};
use super::corruption::DATA_CORRUPTION;
use super::drill::{DRILL, drill};
use super::entry::{Back, Book};
use super::indexes::{DATABASE_INDEXES, database_indexes};
use super::loss::{TOTAL_DATA_LOSS, total_data_loss};
use super::offline::shipped;
use super::recovery::{RECOVERY_PROJECT, recovery_project};
use super::restore::{RESTORE_BACKUP, restore_backup};
use super::site::Site;
use super::smoke::{SMOKE_TEST, smoke_test};
use super::switchback::{SWITCH_BACK, switch_back};
use super::walk::walked;
use crate::saas::{SAAS, Saas};
use crate::support::commands;
use crate::vendors::github::TOKEN as GITHUB;
use crate::vendors::supabase::{ANON, REF, TOKEN};
use crate::{scenario_s2, scenario_s3, scenario_s4, scenario_s5, scenario_s6, scenario_s7};

/// All of them. A book that no test walks fails below.
const BOOKS: [&Book; 16] = [
    &DATABASE_UNAVAILABLE,
    &DATABASE_PERFORMANCE,
    &EDGE_FUNCTION_TIMEOUT,
    &STRIPE_WEBHOOK_FAILURES,
    &STRIPE_ACCOUNT_SUSPENDED,
    &SECURITY_BREACH,
    &DATA_CORRUPTION,
    &WHATSAPP_DOWN,
    &TOTAL_DATA_LOSS,
    &DATABASE_INDEXES,
    &SWITCH_BACK,
    &RECOVERY_PROJECT,
    &SMOKE_TEST,
    &RESTORE_BACKUP,
    &DRILL,
    &BACKUPS,
];

/// What is wrong with the table, measured against the files.
fn lacking(books: &[&Book], tests: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let catalog = shipped();
    let mut known = BTreeSet::new();
    for book in books {
        let name = book.runbook.replace('-', "_");
        let joined = |l: &str| l.contains("tokio::join!(") && l.contains(&format!("{name}()"));
        if !tests.lines().any(joined) {
            faults.push(format!(
                "{}: no test of tests/it/ways/real.rs joins `{name}()`, which walks its book",
                book.runbook
            ));
        }
        for way in book.plays.iter().flat_map(|p| p.ways) {
            known.insert((book.runbook, way.step));
            if way.troubles.is_empty() {
                faults.push(format!("{}: step `{}` has no `troubles`: failing is not shown", book.runbook, way.step));
            }
            if matches!(way.undo, Back::None("")) {
                faults.push(format!("{}: step `{}` has no `undo`: undone is not shown", book.runbook, way.step));
            }
        }
    }
    for (book, loaded) in &catalog.runbooks {
        for step in loaded.runbook.steps.iter().filter(|s| s.work.task().is_some_and(|t| !t.reads())) {
            if !known.remove(&(book.as_str(), step.id.as_str())) {
                faults.push(format!(
                    "{book}: step `{0}` is not taken four ways (once, twice, failing, undone). Add to tests/it/ways/books.rs (or a file beside it), in the \
                     book of {book}: Way {{ step: \"{0}\", record: where its target keeps the effect, troubles: how it refuses, again: \
                     what a second run finds, undo: what `/dr undo` says or does, ..WAY }}; a new runbook also needs its Book in BOOKS \
                     and a function with its stage, joined by a test of tests/it/ways/real.rs",
                    step.id
                ));
            }
        }
    }
    faults
        .extend(known.iter().map(|(book, step)| format!("{book}: `{step}` is no changing step of a shipped runbook")));
    faults
}

#[test]
fn every_changing_step_is_in_the_table() {
    let tests = include_str!("real.rs");
    let faults = lacking(&BOOKS, tests);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    // And it would be told.
    let few = lacking(&BOOKS[1..], tests);
    assert!(
        few.iter().any(|f| f.starts_with("database-unavailable: step `restart` is not taken four ways")),
        "{few:?}"
    );
    let bare = lacking(&BOOKS, "");
    assert!(bare.iter().any(|f| f.contains("joins `whatsapp_down()`")), "{bare:?}");
}

// Most of a walk is waiting, since a card is edited once a second at most: so several go on at once.

#[tokio::test]
async fn data_and_databases_four_ways() {
    tokio::join!(data_corruption(), security_breach(), database_performance(), database_unavailable());
}

#[tokio::test]
async fn vendors_four_ways() {
    tokio::join!(stripe_account_suspended(), stripe_webhook_failures());
    tokio::join!(whatsapp_down(), edge_function_timeout());
}

#[tokio::test]
async fn upkeep_and_the_way_back_four_ways() {
    tokio::join!(database_indexes(), switch_back(), recovery_project(), smoke_test());
}

#[tokio::test]
async fn backups_and_restores_four_ways() {
    tokio::join!(total_data_loss(), restore_backup(), drill(), backups());
}

async fn database_performance_stage() -> Saas {
    let saas = Saas::start("database-performance", "", |_, _| ()).await;
    saas.sql(&format!("create role app login password '{PASSWORD}'; grant all on all tables in schema public to app"))
        .await;
    saas
}

/// A session of the application, idle in its transaction with a row locked.
async fn stuck(saas: &Saas) -> PgConnection {
    let mut conn = saas.database.connect(&saas.database.url("app", PASSWORD, SAAS)).await.expect("a session");
    let held = "begin; update calendars set name = name where id = id('calendar-1')";
    sqlx::raw_sql(held).execute(&mut conn).await.expect("a transaction");
    conn
}

/// A session of the application that runs this until somebody ends it.
async fn busy(saas: &Saas, sql: &'static str) -> JoinHandle<()> {
    let mut conn = saas.database.connect(&saas.database.url("app", PASSWORD, SAAS)).await.expect("a session");
    tokio::spawn(async move { drop(sqlx::raw_sql(sql).execute(&mut conn).await) })
}

/// Waits until the server itself says so.
async fn until(saas: &Saas, sql: &'static str) {
    let limit = tokio::time::Instant::now() + crate::world::LIMIT;
    while saas.ask(sql).await != "true" {
        assert!(tokio::time::Instant::now() < limit, "never: {sql}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn database_performance() {
    let saas = database_performance_stage().await;
    let _holder = stuck(&saas).await;
    let long = busy(&saas, "select pg_sleep(600)").await;
    let waits = busy(&saas, "update calendars set name = name where id = id('calendar-1')").await;
    until(&saas, "select (count(*) = 3)::text from pg_stat_activity where usename = 'app' and query_start < now() - interval '2 s'").await;
    walked(&Site::new(&saas, &[], Vec::new()), &DATABASE_PERFORMANCE).await;
    for session in [long, waits] {
        session.abort();
    }
    saas.finish();
}

async fn database_unavailable() {
    let saas = Saas::start("database-unavailable", "", |w, vendors| {
        // It hands over to other runbooks, which must be there.
        w.runbooks = commands();
        let main = w.targets[0].clone();
        w.targets.push(("pooler".into(), main.1, main.2));
        w.more_targets.extend([
            vendors.target("data-api", "data", ("apikey", ANON)),
            vendors.target("supabase", "management", ("Authorization", &format!("Bearer {TOKEN}"))),
            vendors.target("status-page", "status", ("X-Nothing", "nothing-to-see")),
        ]);
        w.parameters.push(("database-unavailable".into(), "project".into(), REF.into()));
        vendors.with(|b| {
            b.supabase.projects.insert(REF.into(), "ACTIVE_HEALTHY".into());
            b.supabase.components.insert("Database".into(), "operational".into());
        });
    })
    .await;
    saas.sql(&format!("create role app login password '{PASSWORD}'; grant all on all tables in schema public to app"))
        .await;
    let _holder = stuck(&saas).await;
    until(&saas, "select (count(*) = 1)::text from pg_stat_activity where usename = 'app' and state_change < now() - interval '2 s'").await;
    walked(&Site::new(&saas, &[], Vec::new()), &DATABASE_UNAVAILABLE).await;
    saas.finish();
}

async fn edge_function_timeout() {
    let saas = scenario_s2::stage().await;
    let now = Timestamp::from_millisecond(drbot::clock::now().0).expect("a time");
    let values = [
        ("good", COMMITS.0.to_owned()),
        ("sha_before", COMMITS.1.to_owned()),
        ("github", GITHUB.to_owned()),
        ("now", now.to_string()),
        ("since", (now - 1.hour()).to_string()),
    ];
    walked(&Site::new(&saas, &values, Vec::new()), &EDGE_FUNCTION_TIMEOUT).await;
    saas.finish();
}

async fn stripe_webhook_failures() {
    let stage = scenario_s3::damaged().await;
    stage.payment(|_| ()).await;
    walked(&Site::new(&stage.saas, &[], Vec::new()), &STRIPE_WEBHOOK_FAILURES).await;
    stage.finish();
}

async fn stripe_account_suspended() {
    let stage = scenario_s6::stage().await;
    walked(&Site::new(&stage.saas, &[], Vec::new()), &STRIPE_ACCOUNT_SUSPENDED).await;
    stage.finish();
}

async fn security_breach() {
    let breach = scenario_s7::stage().await;
    let now = Timestamp::from_millisecond(drbot::clock::now().0).expect("a time");
    let user = breach.saas.ask("select id('user-9')::text").await;
    let values = [("user", user), ("since", (now - 4.hours()).to_string())];
    walked(&Site::new(&breach.saas, &values, Vec::new()), &SECURITY_BREACH).await;
    breach.saas.finish();
}

async fn data_corruption() {
    let saas = scenario_s4::stage().await;
    let to = Timestamp::from_second(drbot::clock::now().0 / 1000 - 120).expect("a time");
    let project = scenario_s4::PROJECT.to_owned();
    let values = [("to", to.to_string()), ("project", project), ("token", TOKEN.to_owned())];
    walked(&Site::new(&saas, &values, Vec::new()), &DATA_CORRUPTION).await;
    saas.finish();
}

async fn whatsapp_down() {
    let saas = scenario_s5::stage().await;
    let calendar = saas.ask("select id('calendar-1')::text").await;
    walked(&Site::new(&saas, &[("calendar", calendar)], Vec::new()), &WHATSAPP_DOWN).await;
    saas.finish();
}
