//! The target of the crash rounds: a table to change, effects to count, and a way to be slow at a chosen
//! point. Its own record is the judge.

use std::time::Duration;

use drbot::execute::sql::grants;
use drbot::practice::scratch::{BOOKING, Scratch};
use sqlx::{AssertSqlSafe, Row};
use tokio::time::{Instant, sleep};

use crate::support::Folder;
use crate::world::LIMIT;

/// Where the server is slow, and what the kill waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slow {
    No,
    /// In the statement, before its effect.
    Before,
    /// Waiting for a row that somebody else has locked.
    Locked,
    /// After the effect, while the statement still runs.
    After,
    /// In COMMIT itself: durable already, seen by nobody yet.
    Commit,
}

const TABLES: &str = "
CREATE TABLE crash_rows (round int, id int, touched int NOT NULL DEFAULT 0, PRIMARY KEY (round, id));
CREATE TABLE crash_effects (round int, at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE crash_slow (round int PRIMARY KEY, at text NOT NULL);
GRANT SELECT ON crash_rows, crash_effects, crash_slow TO drbot_observer, drbot_operator;
GRANT UPDATE ON crash_rows TO drbot_operator;
GRANT INSERT ON crash_effects TO drbot_operator;
CREATE FUNCTION crash_wait(r int, here text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_sleep(60) FROM crash_slow s WHERE s.round = r AND s.at = here;
END $$;
CREATE FUNCTION crash_touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM crash_wait(NEW.round, 'Before');
    IF EXISTS (SELECT FROM crash_slow s WHERE s.round = NEW.round AND s.at = 'Commit') THEN
        -- There is no standby, so this transaction's COMMIT waits until it is cancelled.
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER crash_touch BEFORE UPDATE ON crash_rows FOR EACH ROW EXECUTE FUNCTION crash_touch();
CREATE PROCEDURE crash_work(approved jsonb) LANGUAGE plpgsql AS $$
DECLARE r int := (approved->0->>'round')::int;
BEGIN
    PERFORM crash_wait(r, 'Before');
    INSERT INTO crash_effects (round) VALUES (r);
    COMMIT;
    PERFORM crash_wait(r, 'After');
END $$;
";

/// `pg_cancel_backend` for the operator: the real one, made slow and countable in the server's log.
const CANCEL: &str = "
CREATE SCHEMA crash;
GRANT USAGE ON SCHEMA crash TO drbot_operator;
CREATE FUNCTION crash.pg_cancel_backend(p int) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE done boolean;
        own boolean := current_setting('application_name') NOT IN ('drbot/probe', 'drbot/stop');
BEGIN
    IF own THEN PERFORM public.crash_wait(1, 'Before'); END IF;
    done := pg_catalog.pg_cancel_backend(p);
    IF own THEN
        RAISE LOG 'crash: cancelled %', p;
        PERFORM public.crash_wait(1, 'After');
    END IF;
    RETURN done;
END $$;
ALTER ROLE drbot_operator SET search_path = crash, pg_catalog, public;
";

pub(super) struct Target {
    pub(super) scratch: Scratch,
    _folder: Folder,
}

impl Target {
    pub(super) async fn start(slow_cancel: bool) -> Target {
        let folder = Folder::new();
        let scratch = Scratch::start(&folder.0).await.expect("a scratch PostgreSQL");
        scratch.prepare_booking(&grants("main-db", BOOKING)).await.expect("the booking schema");
        scratch.admin(BOOKING, TABLES).await.expect("the crash tables");
        if slow_cancel {
            scratch.admin(BOOKING, CANCEL).await.expect("the slow cancel");
        }
        scratch.admin("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'").await.expect("a setting");
        scratch.admin("postgres", "SELECT pg_reload_conf()").await.expect("a reload");
        Target { scratch, _folder: folder }
    }

    pub(super) async fn admin(&self, sql: &str) {
        self.scratch.admin(BOOKING, sql).await.unwrap_or_else(|e| panic!("{sql}: {e:#}"));
    }

    pub(super) async fn prepare(&self, round: u32, slow: Slow) {
        self.admin(&format!(
            "INSERT INTO crash_rows SELECT {round}, i FROM generate_series(1, 3) i ON CONFLICT DO NOTHING"
        ))
        .await;
        self.slow(round, slow).await;
    }

    pub(super) async fn slow(&self, round: u32, slow: Slow) {
        let sql = format!(
            "INSERT INTO crash_slow VALUES ({round}, '{slow:?}') ON CONFLICT (round) DO UPDATE SET at = excluded.at"
        );
        self.admin(&sql).await;
    }

    /// One number, as the superuser sees it.
    pub(super) async fn number(&self, sql: &str) -> i64 {
        let mut conn = self.scratch.connect(&self.scratch.superuser_url_of(BOOKING)).await.expect("a session");
        sqlx::query(AssertSqlSafe(format!("SELECT ({sql})::bigint"))).fetch_one(&mut conn).await.expect(sql).get(0)
    }

    /// Waits until the server itself shows it.
    pub(super) async fn until(&self, what: &str, sql: &str) {
        let limit = Instant::now() + LIMIT;
        let mut conn = self.scratch.connect(&self.scratch.superuser_url_of(BOOKING)).await.expect("a session");
        let sql = format!("SELECT coalesce(({sql})::bigint, 0)");
        loop {
            let row = sqlx::query(AssertSqlSafe(sql.as_str())).fetch_one(&mut conn).await.expect("an answer");
            if row.get::<i64, _>(0) > 0 {
                return;
            }
            assert!(Instant::now() < limit, "the server never showed: {what}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until the operator's session of `execution` is stuck where it shall be killed.
    pub(super) async fn stuck(&self, execution: &str, slow: Slow) {
        let event = match slow {
            Slow::No => return,
            Slow::Before | Slow::After => "wait_event = 'PgSleep'",
            Slow::Locked => "wait_event_type = 'Lock'",
            Slow::Commit => "wait_event = 'SyncRep'",
        };
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'drbot_operator' AND {event} AND \
             (application_name = 'drbot/{execution}' OR application_name = \
              'drbot/' || left(encode(sha256('{execution}'), 'hex'), 40))"
        );
        self.until(&format!("{execution} {slow:?}"), &sql).await;
    }
}
