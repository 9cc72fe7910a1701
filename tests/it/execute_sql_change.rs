//! Jobs and probes against a real server: what is certain is certain by the server's own record, and
//! what is not is said to be unknown.

use drbot::execute::sql::{Sql, SqlTarget, grants};
use drbot::model::approval::TargetIdentity;
use drbot::model::effect::{Guard, Probe, Question};
use drbot::model::expect::{Expect, RowsExpect, ValueExpect};
use drbot::model::outcome::{Ended, Outcome, Verdict};
use drbot::model::runbook::{EffectClass, RowTolerance};
use drbot::model::time::Span;
use drbot::practice::scratch::{BOOKING, PASSWORD, Stop};

use crate::support::{Lab, TARGET, deed, job, question, refused};

fn guard(sql: &str, approved: &[&str], tolerance: RowTolerance) -> Option<Guard> {
    let one = |id: &&str| [("id".to_owned(), Some((*id).to_owned()))].into();
    let approved = approved.iter().map(one).collect();
    Some(Guard {
        target: TARGET.into(),
        deed: deed(sql, &[]),
        identity: vec!["id".into()],
        approved,
        tolerance,
        cap: 100,
    })
}

const TOUCH: &str = "update bookings set status = 'cancelled' where id in (3, 6) returning id";

#[tokio::test]
async fn guards_and_the_servers_identity_are_checked_before_anything_runs() {
    let lab = Lab::new().await;
    lab.admin("GRANT UPDATE ON bookings TO drbot_operator; GRANT DELETE ON webhook_events TO drbot_operator").await;
    let identity = match lab.sql.preview(&question("select 1 as n", &[])).await {
        Outcome::Previewed { identity, .. } => identity,
        other => panic!("{other:?}"),
    };
    assert_eq!(identity.database, BOOKING);
    assert_eq!(identity.server, format!("127.0.0.1:{}", lab.scratch.port()));
    assert_eq!(identity.system, lab.value("select system_identifier from pg_control_system()").await);
    let listed = "select id from bookings where id in (3, 6) and status <> 'cancelled' order by id";
    let before = lab.value("select md5(string_agg(b::text, '' order by id)) from bookings b").await;
    for effect in [EffectClass::Once, EffectClass::Atomic] {
        let mut bad = job(&format!("INC-1/{effect:?}"), effect, TOUCH);
        bad.identity = Some(TargetIdentity { system: "1".into(), ..identity.clone() });
        let ended = lab.sql.run(&bad).await;
        assert!(matches!(&ended, Ended::Failed { why } if why.contains("another server")), "{ended:?}");
        bad.identity = Some(identity.clone());
        for (approved, tolerance) in
            [(&["3"][..], RowTolerance::None), (&["3", "6", "9"], RowTolerance::None), (&["9"], RowTolerance::Fewer)]
        {
            bad.guard = guard(listed, approved, tolerance);
            let ended = lab.sql.run(&bad).await;
            assert!(matches!(&ended, Ended::NotStarted { why } if why.contains("refused")), "{ended:?}");
        }
        // A guard that writes: the operator's role would let it.
        let writes = "with x as (delete from webhook_events returning id) select id from x";
        bad.guard = guard(writes, &["evt_practice_1"], RowTolerance::Fewer);
        let ended = lab.sql.run(&bad).await;
        let (Ended::NotStarted { why } | Ended::Failed { why }) = &ended else { panic!("{ended:?}") };
        assert!(why.contains("25006"), "{why}");
    }
    assert_eq!(lab.value("select md5(string_agg(b::text, '' order by id)) from bookings b").await, before);
    assert_eq!(lab.value("select count(*) from webhook_events").await, "200");
    assert_eq!(lab.value("select count(*) from drbot.ledger").await, "0");

    let mut good = job("INC-1/good", EffectClass::Atomic, TOUCH);
    good.identity = Some(identity);
    good.guard = guard(listed, &["3", "6"], RowTolerance::None);
    assert!(matches!(lab.sql.run(&good).await, Ended::Done { .. }));
    assert_eq!(lab.value("select count(*) from bookings where id in (3, 6) and status = 'cancelled'").await, "2");
}

fn rows_exactly(n: u64) -> Expect {
    Expect { rows: Some(RowsExpect { exactly: Some(n), ..RowsExpect::default() }), ..Expect::default() }
}

#[tokio::test]
async fn an_atomic_step_commits_with_its_ledger_row_or_not_at_all() {
    let lab = Lab::new().await;
    lab.admin("GRANT UPDATE ON bookings TO drbot_operator; GRANT INSERT, UPDATE ON users TO drbot_operator").await;
    let touched = "select count(*) from bookings where id in (3, 6) and status = 'cancelled'";
    lab.admin("update bookings set status = 'pending' where id in (3, 6)").await;

    let mut step = job("INC-1/atomic/1", EffectClass::Atomic, TOUCH);
    step.expect = rows_exactly(3);
    let ended = lab.sql.run(&step).await;
    assert!(matches!(&ended, Ended::Failed { why } if why.contains("rolled back")), "{ended:?}");
    assert_eq!(
        (lab.value(touched).await, lab.value("select count(*) from drbot.ledger").await),
        ("0".into(), "0".into())
    );

    step.expect = rows_exactly(2);
    step.deed = deed("update bookings set status = 'cancelled' where id in (3, 6)", &[]);
    assert!(matches!(lab.sql.run(&step).await, Ended::Done { rows } if rows.count() == 2));
    assert_eq!(
        lab.value("select digest from drbot.ledger where execution_id = 'INC-1/atomic/1'").await,
        "d".repeat(64)
    );
    assert_eq!(lab.value("select pg_xact_status(xid) from drbot.ledger").await, "committed");
    lab.admin("update bookings set status = 'pending' where id in (3, 6)").await;
    let again = lab.sql.run(&step).await;
    assert!(matches!(&again, Ended::Unknown { why } if why.contains("already has this execution")), "{again:?}");
    assert_eq!(lab.value(touched).await, "0");

    for (sql, word) in [
        ("update bookings set status = 'nonsense' where id = 3", "23514"),
        ("commit", "commit"),
        ("update gone set a = 1", "42P01"),
    ] {
        let ended = lab.sql.run(&job("INC-1/atomic/2", EffectClass::Atomic, sql)).await;
        let why = match &ended {
            Ended::Failed { why } | Ended::NotStarted { why } => why,
            other => panic!("{sql}: {other:?}"),
        };
        assert!(why.contains(word), "{why}");
    }
    lab.admin(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not on my watch'; END $$; \
               CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON bookings DEFERRABLE INITIALLY DEFERRED \
               FOR EACH ROW EXECUTE FUNCTION no()",
    )
    .await;
    let ended = lab.sql.run(&job("INC-1/atomic/3", EffectClass::Atomic, TOUCH)).await;
    assert!(
        matches!(&ended, Ended::Failed { why } if why.contains("at COMMIT") && why.contains("not on my watch")),
        "{ended:?}"
    );
    assert_eq!(lab.value("select count(*) from drbot.ledger").await, "1");

    lab.admin("DROP TABLE drbot.ledger").await;
    let ended = lab.sql.run(&job("INC-1/atomic/4", EffectClass::Atomic, TOUCH)).await;
    assert!(matches!(&ended, Ended::NotStarted { why } if why.contains("drbot target sql main-db")), "{ended:?}");
    assert_eq!(lab.value(touched).await, "0");
}

#[tokio::test]
async fn a_once_step_that_does_not_plainly_succeed_is_unknown() {
    let lab = Lab::new().await;
    let mut step = job("INC-1/once/1", EffectClass::Once, "select 1 as n");
    step.expect = rows_exactly(2);
    let ended = lab.sql.run(&step).await;
    assert!(matches!(&ended, Ended::Unknown { why } if why.contains("it ran, but")), "{ended:?}");
    let ended =
        lab.sql.run(&job("INC-1/once/2", EffectClass::Once, "select 1 / (n - 3) from generate_series(1, 5) n")).await;
    assert!(matches!(&ended, Ended::Unknown { why } if why.contains("22012")), "{ended:?}");
    for sql in ["select gone", "select 'pg_class'::regclass", "select 1; select 2", "rollback"] {
        let ended = lab.sql.run(&job("INC-1/once/3", EffectClass::Once, sql)).await;
        assert!(matches!(ended, Ended::NotStarted { .. }), "{sql}: {ended:?}");
    }
    // What refuses to run inside a transaction runs here.
    lab.admin("CREATE TABLE own (id int); ALTER TABLE own OWNER TO drbot_operator").await;
    let ended = lab.sql.run(&job("INC-1/once/4", EffectClass::Once, "vacuum (analyze) own")).await;
    assert!(matches!(ended, Ended::Done { .. }), "{ended:?}");

    let killed = job("INC-1/once/5", EffectClass::Once, "select count(*) from pg_sleep(60)");
    let kill = async {
        lab.until("select count(*) from pg_stat_activity where application_name = 'drbot/INC-1/once/5' and state = 'active' and wait_event = 'PgSleep'", "1").await;
        lab.admin(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'drbot/INC-1/once/5'",
        )
        .await;
    };
    let (ended, ()) = tokio::join!(lab.sql.run(&killed), kill);
    assert!(matches!(&ended, Ended::Unknown { why } if why.contains("57P01")), "{ended:?}");
}

const LIVING: &str = "select count(*) from pg_stat_activity where application_name like 'drbot/INC-%'";

#[tokio::test]
async fn a_time_out_ends_the_statement_on_the_server_as_well() {
    let lab = Lab::new().await;
    lab.admin("GRANT UPDATE ON bookings TO drbot_operator").await;
    let mut once = job("INC-1/slow/1", EffectClass::Once, "select count(*) from pg_sleep(60)");
    once.timeout = Span(800);
    let ended = lab.sql.run(&once).await;
    assert!(matches!(&ended, Ended::Unknown { why } if why.contains("confirmed that it stopped")), "{ended:?}");
    lab.until(LIVING, "0").await;
    let log = lab.scratch.log_text();
    let line = log.lines().find(|l| l.contains("due to user request") && l.contains("app=drbot/INC-1/slow/1"));
    assert!(line.is_some(), "the server never saw a cancel");

    let mut atomic =
        job("INC-1/slow/2", EffectClass::Atomic, "update bookings set status = 'cancelled' from pg_sleep(60)");
    atomic.timeout = Span(800);
    let ended = lab.sql.run(&atomic).await;
    assert!(matches!(&ended, Ended::Failed { why } if why.contains("never committed")), "{ended:?}");
    lab.until(LIVING, "0").await;
    assert_eq!(lab.value("select count(*) from drbot.ledger").await, "0");

    // A bot that vanishes: the server notices by itself.
    let vanishing = job("INC-1/slow/3", EffectClass::Once, "select count(*) from pg_sleep(60)");
    let seen = lab.until("select count(*) from pg_stat_activity where application_name = 'drbot/INC-1/slow/3' and wait_event = 'PgSleep'", "1");
    tokio::select! {
        ended = lab.sql.run(&vanishing) => panic!("{ended:?}"),
        () = seen => {}
    }
    lab.until(LIVING, "0").await;
}

async fn probed(lab: &Lab, execution: &str, question: Option<Question>) -> (Option<bool>, String) {
    let probe = Probe { execution: execution.into(), target: TARGET.into(), ledger: question.is_none(), question };
    match lab.sql.probe(&probe).await {
        Outcome::Probed { happened, figure } => (happened, figure),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_probe_knows_or_says_that_it_does_not() {
    let lab = Lab::new().await;
    lab.admin("INSERT INTO drbot.ledger VALUES ('INC-1/p/1', 'd', now())").await;
    assert_eq!(probed(&lab, "INC-1/p/1", None).await.0, Some(true));
    assert_eq!(probed(&lab, "INC-1/p/2", None).await.0, Some(false));

    // A session of the execution is still at it: cancelled first, and only then answered.
    let url = lab.scratch.url("drbot_operator", PASSWORD, BOOKING) + "&application_name=drbot/INC-1/p/3";
    let mut left = lab.scratch.connect(&url).await.unwrap();
    let working = tokio::spawn(async move {
        let ended = sqlx::raw_sql("select pg_sleep(60)").execute(&mut left).await;
        ended.unwrap_err().as_database_error().and_then(|e| e.code().map(|c| c.into_owned()))
    });
    lab.until(
        "select count(*) from pg_stat_activity where application_name = 'drbot/INC-1/p/3' and state = 'active'",
        "1",
    )
    .await;
    assert_eq!(probed(&lab, "INC-1/p/3", None).await.0, Some(false));
    assert_eq!(working.await.unwrap().as_deref(), Some("57014"));

    // One that does not go away keeps the answer open.
    let stays = lab.scratch.connect(&url.replace("p/3", "p/4")).await.unwrap();
    let (happened, figure) = probed(&lab, "INC-1/p/4", None).await;
    assert!(happened.is_none() && figure.contains("still working"), "{figure}");
    drop(stays);

    let ask = |sql: &str| {
        let mut q = question(sql, &[]);
        q.expect.value = Some(ValueExpect { column: "left_over".into(), at_most: Some(0), at_least: None });
        q.figure = "{left_over} left".into();
        Some(q)
    };
    for (sql, known) in [
        ("select 0 as left_over", Some(true)),
        ("select 2 as left_over", None),
        ("select 2 as left_over, 'false' as happened", Some(false)),
        ("select 2 as left_over, 'true' as happened", None),
        ("select null::int as left_over", None),
    ] {
        assert_eq!(probed(&lab, "INC-1/p/5", ask(sql)).await.0, known, "{sql}");
    }
    let nothing = question("select 1 as n", &[]);
    assert_eq!(probed(&lab, "INC-1/p/5", Some(nothing)).await.0, None);
    let none = Probe { execution: "x".into(), target: TARGET.into(), ledger: false, question: None };
    assert!(matches!(lab.sql.probe(&none).await, Outcome::Probed { happened: None, .. }));
}

#[tokio::test]
async fn a_target_that_cannot_be_reached_is_told_apart() {
    let lab = Lab::new().await;
    let wrong = SqlTarget { observer: lab.scratch.url("drbot_observer", "s3cret-word", BOOKING), operator: None };
    assert!(!format!("{wrong:?}").contains("s3cret"));
    let bad = Sql::new([(TARGET.to_owned(), wrong)].into());
    let why = refused(bad.preview(&question("select 1 as n", &[])).await);
    assert!(why.contains("28P01") && !why.contains("s3cret"), "{why}");
    let ended = bad.run(&job("INC-1/x", EffectClass::Once, "select 1")).await;
    assert!(matches!(&ended, Ended::NotStarted { why } if why.contains("no operator")), "{ended:?}");
    assert!(refused(Sql::new([].into()).preview(&question("select 1", &[])).await).contains("not configured"));

    lab.scratch.stop(Stop::Fast).await.unwrap();
    let checked = lab.sql.check(&question("select 1 as n", &[])).await;
    assert_eq!(checked.verdict, Verdict::CouldNot);
    assert_eq!(checked.figure, "could not connect to main-db: connection refused");
    for effect in [EffectClass::Observe, EffectClass::Once, EffectClass::Atomic] {
        let ended = lab.sql.run(&job("INC-1/x", effect, "select 1")).await;
        assert!(matches!(&ended, Ended::NotStarted { why } if why.contains("connection refused")), "{ended:?}");
    }
    let probe = Probe { execution: "x".into(), target: TARGET.into(), ledger: true, question: None };
    assert!(matches!(lab.sql.probe(&probe).await, Outcome::Probed { happened: None, .. }));
    lab.scratch.restart().await.unwrap();
    assert_eq!(lab.sql.observer_faults(TARGET).await, Ok(Vec::new()));
}

#[tokio::test]
async fn the_grants_run_twice_and_give_no_more_than_they_say() {
    let lab = Lab::new().await;
    lab.admin(&grants(TARGET, BOOKING)).await;
    for (statement, code) in [
        ("delete from drbot.ledger", "42501"),
        ("update drbot.ledger set digest = ''", "42501"),
        ("update bookings set status = 'cancelled'", "42501"),
        ("create table drbot.loot (a int)", "42501"),
    ] {
        let ended = lab.sql.run(&job("INC-1/grants", EffectClass::Atomic, statement)).await;
        assert!(matches!(&ended, Ended::Failed { why } if why.contains(code)), "{statement}: {ended:?}");
    }
}
