//! Scenario S8's indexes, plans and dead rows through the running bot, and what the page's own statements do.
//! The judge is the database: its catalog, its rows and what other sessions can do meanwhile.

use std::fs;

use drbot::practice::scratch::{BOOKING, PASSWORD};
use sqlx::{Connection, Executor};

use crate::saas::{SAAS, Saas, rights};
use crate::support::Folder;
use crate::world::{World, until_old, user};

const RUNBOOK: &str = "database-indexes";
/// What Supabase has anyway, and the role that owns the tables.
const THERE: &str = "CREATE SCHEMA extensions; CREATE EXTENSION pg_stat_statements SCHEMA extensions;";
const OWNER: &str = "
  do $$ declare t text; begin
    for t in select tablename from pg_tables where schemaname = 'public' loop execute format('alter table %I owner to maintenance', t); end loop;
  end $$; grant create on schema public to maintenance;";
const INVALID: &str = "select count(*)::text from pg_index where not indisvalid";
const SHAPE: &str =
    "select md5(string_agg(indexdef, '|' order by indexname)) from pg_indexes where schemaname = 'public'";

/// The bot with a maintenance login, whose service file goes away with the test.
pub struct Upkeep {
    pub saas: Saas,
    _home: Folder,
}

pub async fn stage() -> Upkeep {
    let home = Folder::new();
    let role = format!("CREATE ROLE maintenance LOGIN PASSWORD '{PASSWORD}';");
    let saas = Saas::start(RUNBOOK, &format!("{THERE}{role}{}{OWNER}", rights(RUNBOOK)), |w, _| {
        let at = home.0.display();
        w.more_targets.push(format!(
            "db-tools: {{ programs: {{ psql: /usr/bin/psql }}, env: {{ PGSERVICEFILE: \"{at}/service\" }} }}"
        ));
        let values = [("wasted_mb", "0"), ("dead_rows", "40")];
        w.parameters.extend(values.map(|(k, v)| (RUNBOOK.to_owned(), k.to_owned(), v.to_owned())));
    })
    .await;
    let port = saas.database.port();
    let login = format!("host=127.0.0.1\nport={port}\nuser=maintenance\npassword={PASSWORD}\ndbname={SAAS}");
    fs::write(home.0.join("service"), format!("[maintenance]\n{login}\n")).expect("written");
    Upkeep { saas, _home: home }
}

impl Upkeep {
    async fn begin(&self, given: &str) {
        self.saas.world.say("alice", &format!("declare {RUNBOOK}")).await;
        let said = self.saas.world.say("alice", &format!("run {RUNBOOK} {given}")).await;
        assert!(said.starts_with("Started"), "{said}");
    }

    pub async fn session(&self) -> sqlx::PgConnection {
        self.saas.database.connect(&self.saas.database.superuser_url_of(SAAS)).await.expect("a session")
    }
}

/// A dump that has been going on for a while, as the application's role.
async fn dump(world: &World) -> (i32, tokio::task::JoinHandle<bool>) {
    let database = world.database.as_ref().expect("a database");
    let mut session = database.connect(&database.url("app", PASSWORD, BOOKING)).await.expect("a session");
    session.execute("set application_name = 'pg_dump'").await.expect("set");
    let pid = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut session).await.expect("a number");
    let work = tokio::spawn(async move { session.execute("select pg_sleep(60)").await.is_ok() });
    until_old(database).await;
    (pid, work)
}

/// The page: ends everything active for a while, dumps and replication too. Here they are not even listed.
#[tokio::test]
async fn s8_1_maintenance_is_left_alone() {
    let world = World::start(true).await;
    let database = world.database.as_ref().expect("a database");
    let (_, ended) = dump(&world).await;
    const LITERAL: &str = "select pg_terminate_backend(pid) from pg_stat_activity where state = 'active' and query_start < now() - interval '2 seconds' and query not like '%pg_stat_activity%'";
    database.admin(BOOKING, LITERAL).await.expect("the page's statement");
    assert!(!ended.await.expect("over"), "the dump is broken off");

    let (pid, going_on) = dump(&world).await;
    world.say("alice", "declare S8").await;
    world.say("alice", "run S8").await;
    world.see(|t| t.contains("(skipped): nothing to do") && t.contains("Recovered after")).await;
    let mut admin = database.connect(&database.superuser_url_of(BOOKING)).await.expect("a session");
    let there = "select exists (select from pg_stat_activity where pid = $1 and state = 'active')";
    let there: bool = sqlx::query_scalar(there).bind(pid).fetch_one(&mut admin).await.expect("an answer");
    assert!(there && !going_on.is_finished(), "it goes on");
    going_on.abort();
    world.finish();
}

/// The page: rebuilds everything under locks. Here one index, while others write.
#[tokio::test]
async fn s8_2_one_bloated_index_is_rebuilt_while_others_write() {
    let upkeep = stage().await;
    let saas = &upkeep.saas;
    let mut other = upkeep.session().await;
    let refused = other.execute("begin; reindex database saas").await.expect_err("in a transaction");
    assert!(refused.to_string().contains("cannot run inside a transaction"), "{refused}");
    other.execute("rollback").await.expect("rolled back");
    let refused = other.execute("reindex database postgres").await.expect_err("another database");
    assert!(refused.to_string().contains("currently open database"), "{refused}");
    // What it does to each table it comes to: writers wait until it is through.
    let mut tx = other.begin().await.expect("a transaction");
    tx.execute("reindex table audit_trail").await.expect("rebuilt");
    let mut writer = upkeep.session().await;
    writer.execute("set lock_timeout = '200ms'").await.expect("set");
    const WRITE: &str = "insert into audit_trail (table_name, operation) values ('bookings', 'UPDATE')";
    let waited = writer.execute(WRITE).await.expect_err("a writer that waits");
    assert!(waited.to_string().contains("lock timeout"), "{waited}");
    tx.rollback().await.expect("rolled back");

    // An index whose rows are gone, and vacuumed: empty pages.
    saas.sql("insert into audit_trail (table_name, operation) select 'bookings', 'UPDATE' from generate_series(1, 40000); delete from audit_trail where operation = 'UPDATE'").await;
    saas.sql("vacuum analyze audit_trail").await;
    let size = "select pg_relation_size('audit_trail_pkey')::text";
    let before: i64 = saas.ask(size).await.parse().expect("a number");
    upkeep.begin("").await;
    let card = saas.approve("step: Rebuild the index that wastes most", &["bob"]).await;
    assert!(card.contains("audit_trail_pkey") && card.contains("reindex index concurrently"), "{card}");
    writer.execute(WRITE).await.expect("writers go on");
    saas.see(|t| t.contains("Rebuild the index that wastes most, concurrently (done") && t.contains("1 of 1 rebuilt"))
        .await;
    let after: i64 = saas.ask(size).await.parse().expect("a number");
    assert!(after * 4 < before, "from {before} to {after} bytes");
    assert_eq!(saas.ask(INVALID).await, "0");
    saas.finish();
}

/// A build that fails leaves an invalid index, and IF NOT EXISTS then says that all is well. Here it is red,
/// dropped, and the right one is made, proved valid, made only once, and taken back.
#[tokio::test]
async fn s8_3_an_index_counts_when_it_is_valid() {
    let upkeep = stage().await;
    let saas = &upkeep.saas;
    let mut other = upkeep.session().await;
    let refused = other.execute("begin; create index concurrently on bookings (status)").await.expect_err("refused");
    assert!(refused.to_string().contains("cannot run inside a transaction"), "{refused}");
    other.execute("rollback").await.expect("rolled back");
    other.execute("create unique index concurrently half_made on bookings (status)").await.expect_err("duplicates");
    other
        .execute("create unique index concurrently if not exists half_made on bookings (status)")
        .await
        .expect("a lie");
    assert_eq!(saas.ask(INVALID).await, "1", "success was reported and it is not valid");

    saas.world.say("alice", &format!("detect {RUNBOOK}")).await;
    saas.see(|t| t.contains("RED") && t.contains("1 invalid indexes, such as half_made")).await;
    upkeep.begin("table=bookings columns=status,starts_at").await;
    saas.approve("half_made", &["bob"]).await;
    let card = saas.approve("step: Create the index on bookings (status,starts_at)", &["bob"]).await;
    assert!(card.contains("drbot_bookings_status_starts_at"), "{card}");
    saas.see(|t| t.contains("1 of 1 is valid")).await;
    assert_eq!(saas.ask(INVALID).await, "0");
    let made = "select count(*)::text from pg_indexes where indexdef like '%(status, starts_at)'";
    assert_eq!(saas.ask(made).await, "1");
    saas.see(|t| t.contains("Recovered after")).await;

    // Twice: what is there already is not made again.
    let said = saas.world.say("alice", &format!("run {RUNBOOK} table=bookings columns=status,starts_at")).await;
    assert!(said.starts_with("Started"), "{said}");
    saas.see(|t| t.contains("Create the index on bookings (status,starts_at), concurrently (skipped)")).await;
    assert_eq!(saas.ask(made).await, "1");
    saas.finish();
}

#[tokio::test]
async fn s8_3_the_index_is_taken_back_and_odd_columns_make_none() {
    let upkeep = stage().await;
    let saas = &upkeep.saas;
    let shape = saas.ask(SHAPE).await;
    // Columns that are no columns, and one that would be a command if it were pasted.
    upkeep.begin("table=bookings columns=status);drop/**/table/**/users;--").await;
    saas.see(|t| t.contains("concurrently (skipped)") && t.contains("Recovered after")).await;
    assert_eq!(saas.ask(SHAPE).await, shape);
    saas.world.say("alice", &format!("run {RUNBOOK} table=bookings columns=status")).await;
    saas.approve("step: Create the index on bookings (status)", &["bob"]).await;
    saas.see(|t| t.contains("1 of 1 is valid") && t.contains("Recovered after")).await;
    assert_ne!(saas.ask(SHAPE).await, shape);
    let said = saas.world.say("alice", "undo create-index").await;
    assert!(!said.contains("cannot"), "{said}");
    saas.approve("Drop the index that was created on bookings", &["bob"]).await;
    saas.see(|t| t.contains("0 of the approved index still there")).await;
    assert_eq!(saas.ask(SHAPE).await, shape);
    saas.finish();
}

/// EXPLAIN ANALYZE of a DELETE deletes. Here the server's own record of it is planned and nothing runs.
#[tokio::test]
async fn s8_4_a_plan_runs_nothing() {
    let upkeep = stage().await;
    let saas = &upkeep.saas;
    let rows = "select count(*)::text from booking_payments";
    assert_ne!(saas.ask(rows).await, "0");
    assert_eq!(saas.harm("explain analyze delete from booking_payments", rows).await, "0", "the rows are gone");
    // The application's statement, with a parameter: recorded, and rolled back here.
    let mut app = upkeep.session().await;
    let mut tx = app.begin().await.expect("a transaction");
    sqlx::query("delete from booking_payments where status = $1").bind("pending").execute(&mut *tx).await.expect("ran");
    tx.rollback().await.expect("rolled back");
    let id = "select queryid::text from extensions.pg_stat_statements where query like 'delete from booking_payments where status%' limit 1";
    let (id, before) = (saas.ask(id).await, saas.fingerprint("booking_payments").await);
    upkeep.begin(&format!("queryid={id}")).await;
    saas.see(|t| t.contains("Recovered after")).await;
    let shown = saas.world.slack.slash(&user("alice"), crate::world::CHANNEL, "show plan").await.body;
    assert!(shown.contains("Delete on booking_payments") && shown.contains("Seq Scan"), "{shown}");
    assert!(saas.shown("slowest").await.contains("mean_ms"));
    assert_eq!(saas.fingerprint("booking_payments").await, before);
    saas.finish();
}

/// VACUUM of everything reads everything. Here the one table with the dead rows.
#[tokio::test]
async fn s8_5_one_table_is_vacuumed() {
    let upkeep = stage().await;
    let saas = &upkeep.saas;
    let touched = "select coalesce(string_agg(relname, ',' order by relname), 'none') from pg_stat_user_tables where last_vacuum is not null";
    let mut other = upkeep.session().await;
    let refused = other.execute("begin; vacuum analyze").await.expect_err("in a transaction");
    assert!(refused.to_string().contains("cannot run inside a transaction"), "{refused}");
    other.execute("rollback").await.expect("rolled back");
    other.execute("update whatsapp_messages set body = 'x'").await.expect("dead rows");
    other.execute("select pg_stat_force_next_flush()").await.expect("told");
    other.close().await.expect("closed");
    let all = saas.fingerprint("whatsapp_messages").await;
    upkeep.begin("").await;
    let card = saas.approve("step: Vacuum and analyze the table", &["bob"]).await;
    assert!(card.contains("whatsapp_messages"), "{card}");
    saas.see(|t| t.contains("vacuumed,") && t.contains("Recovered after")).await;
    assert_eq!(saas.ask(touched).await, "whatsapp_messages");
    assert_eq!(saas.fingerprint("whatsapp_messages").await, all);
    saas.finish();
}
