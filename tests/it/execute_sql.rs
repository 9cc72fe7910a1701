//! The SQL executor against a real server: what it reads is exact, what it may only read it cannot
//! change, and what it says about an end is what the server's own record says.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use drbot::execute::sql::{Sql, SqlTarget};
use drbot::model::effect::Question;
use drbot::model::expect::ValueExpect;
use drbot::model::outcome::{Ended, Outcome, Verdict};
use drbot::model::runbook::EffectClass;
use drbot::model::time::Span;
use drbot::practice::scratch::{BOOKING, PASSWORD, Scratch, Stop};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{Folder, Lab, TARGET, deed, job, previewed, question, refused, targets};

/// Type and value; each is decoded, compared with the server's own text, bound back and compared.
const VALUES: &[(&str, &str)] = &[
    ("bool", "true"),
    ("bool", "false"),
    ("int2", "-32768"),
    ("int4", "2147483647"),
    ("int8", "-9223372036854775808"),
    ("oid", "4294967295"),
    ("xid", "4294967295"),
    ("xid8", "18446744073709551615"),
    ("float4", "0.1"),
    ("float8", "-1234.5678"),
    ("float8", "NaN"),
    ("float8", "-Infinity"),
    ("numeric", "0"),
    ("numeric", "0.00"),
    ("numeric", "-12345678901234567890.000000001200"),
    ("numeric", "100000000"),
    ("numeric", "0.00001"),
    ("numeric", "NaN"),
    ("numeric", "Infinity"),
    ("text", "grüße 😀 {a,\"b\"}"),
    ("text", ""),
    ("varchar", "x"),
    ("char(4)", "ab"),
    ("name", "pg_class"),
    ("\"char\"", "r"),
    ("timestamptz", "2026-11-22 22:14:05.123456+00"),
    ("timestamptz", "2026-11-22 22:14:05.1+00"),
    ("timestamptz", "1969-12-31 23:59:59.999999+00"),
    ("timestamptz", "0001-01-01 00:00:00+00"),
    ("timestamptz", "infinity"),
    ("timestamp", "1999-12-31 23:59:59.000001"),
    ("timestamp", "-infinity"),
    ("date", "2024-02-29"),
    ("date", "9999-12-31"),
    ("time", "23:59:59.5"),
    ("interval", "1 year 2 mons 3 days 04:05:06.789"),
    ("interval", "-1 days +02:03:00"),
    ("interval", "-00:00:00.000001"),
    ("interval", "00:00:00"),
    ("interval", "30:00:00"),
    ("uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("json", "{\"a\": [1, null]}"),
    ("jsonb", "{\"a\": [1, null]}"),
    ("inet", "127.0.0.1"),
    ("inet", "10.1.2.3/8"),
    ("inet", "2001:db8::1"),
    ("cidr", "10.0.0.0/8"),
    ("pg_lsn", "16/B374D848"),
    ("text[]", "{a,\"b c\",\"\",\"NULL\",NULL,\"q\\\"\\\\\"}"),
    ("text[]", "{}"),
    ("int4[]", "{1,NULL,-3}"),
];

#[tokio::test]
async fn values_decode_exactly_and_bind_back() {
    let lab = Lab::new().await;
    for (kind, value) in VALUES {
        let read = question(&format!("select $1::{kind} as v, ($1::{kind})::text as t"), &[value]);
        let outcome = lab.sql.preview(&read).await;
        assert!(matches!(outcome, Outcome::Previewed { .. }), "{kind} {value}: {outcome:?}");
        let rows = previewed(outcome);
        let (ours, theirs) = (rows.rows[0][0].clone(), rows.rows[0][1].clone());
        // As text a blank-padded value loses its padding and a host's address gets a mask.
        let theirs = theirs.map(|t| t.trim_end_matches("/32").trim_end_matches("/128").to_owned());
        assert_eq!(ours.as_deref().map(str::trim_end), theirs.as_deref(), "{kind} {value}");
        let back = question(
            &format!("select ($1::{kind})::text = ($2::{kind})::text as same"),
            &[value, ours.as_deref().unwrap()],
        );
        assert_eq!(previewed(lab.sql.preview(&back).await).rows[0][0].as_deref(), Some("true"), "{kind} {value}");
    }
    let now = previewed(
        lab.sql
            .preview(&question("select backend_start from pg_stat_activity where pid = pg_backend_pid()", &[]))
            .await,
    );
    let pinned = now.rows[0][0].clone().unwrap();
    let same = question("select count(*) as n from (select $1::timestamptz as t) x where t::text = $1", &[&pinned]);
    assert_eq!(previewed(lab.sql.preview(&same).await).rows[0][0].as_deref(), Some("1"), "{pinned}");
}

#[tokio::test]
async fn what_cannot_be_shown_is_said_and_nothing_is_cut_silently() {
    let lab = Lab::new().await;
    let why = refused(lab.sql.preview(&question("select 'pg_class'::regclass as table_name", &[])).await);
    assert!(why.contains("table_name::text"), "{why}");
    let why = refused(lab.sql.preview(&question("select timestamptz '4713-01-01 BC' as old", &[])).await);
    assert!(why.contains("old::text"), "{why}");
    let why = refused(lab.sql.preview(&question("select 1; select 2", &[])).await);
    assert!(why.contains("42601"), "{why}");

    let mut many = question("select n from generate_series(1, 250) as n", &[]);
    many.cap = 10;
    let rows = previewed(lab.sql.preview(&many).await);
    assert_eq!((rows.rows.len(), rows.beyond, rows.count()), (10, 240, 250));
    let none = previewed(lab.sql.preview(&question("select 1 as n where false", &[])).await);
    assert_eq!((none.columns, none.rows.len()), (vec!["n".to_owned()], 0));
    let big =
        previewed(lab.sql.preview(&question("select repeat('x', 100000) from generate_series(1, 90)", &[])).await);
    assert!(big.rows.len() < 20 && big.count() == 90, "{}", big.rows.len());
    let null = previewed(lab.sql.preview(&question("select null::int as n", &[])).await);
    assert_eq!(null.rows, [[None]]);
}

#[tokio::test]
async fn verdicts_name_their_figure_or_their_reason() {
    let lab = Lab::new().await;
    let mut q = question("select count(*) as n, 'x@booking.example' as email from bookings", &[]);
    q.expect.value = Some(ValueExpect { column: "n".into(), at_most: Some(400), at_least: Some(400) });
    q.figure = "{n} bookings of {email}, limit {limit}".into();
    q.values.insert("limit".into(), "5m".into());
    q.sensitive = vec!["email".into()];
    let checked = lab.sql.check(&q).await;
    assert_eq!((checked.verdict, checked.figure.as_str()), (Verdict::Pass, "400 bookings of (hidden), limit 5m"));
    q.deed = deed("select 1 as n", &[]);
    assert_eq!(lab.sql.check(&q).await.verdict, Verdict::Fail);
    // Rows that a policy hides must not look like no rows.
    lab.admin("ALTER TABLE calendars ENABLE ROW LEVEL SECURITY").await;
    for (sql, reason) in [
        ("select count(*) as n from calendars", "42501"),
        ("select null::int as n", "NULL"),
        ("select 1 as other", "`n`"),
        ("select n from gone", "42P01"),
        ("select count(*) as n from pg_sleep(30)", "57014"),
    ] {
        q.deed = deed(sql, &[]);
        q.timeout = Span(300);
        let checked = lab.sql.check(&q).await;
        assert_eq!(checked.verdict, Verdict::CouldNot, "{sql}");
        assert!(checked.figure.contains(reason) && !checked.figure.contains("line"), "{}", checked.figure);
    }
}

/// A server that cannot be reached or turns everybody away fails a check that expects it reachable, with
/// its own error as the figure. A mistake of ours stays a question that could not be asked.
#[tokio::test]
async fn an_unreachable_server_is_a_failure_and_a_wrong_setting_is_not() {
    let lab = Lab::new().await;
    let mut q = question("select 1 as ok", &[]);
    q.expect.reachable = true;
    q.figure = "answers {ok}".into();
    let checked = lab.sql.check(&q).await;
    assert_eq!((checked.verdict, checked.figure.as_str()), (Verdict::Pass, "answers 1"));
    let asked = async |url: String, q: &Question| {
        let target = SqlTarget { observer: url, operator: None };
        Sql::new([(TARGET.to_owned(), target)].into()).check(q).await
    };
    let ours = [
        (lab.scratch.url("drbot_observer", "wrong-password", BOOKING), "28P01"),
        (lab.scratch.url("drbot_observer", PASSWORD, "nowhere"), "3D000"),
        ("postgres://drbot_observer:x@no-such-host.invalid/booking".to_owned(), "lookup"),
        ("postgres://[nonsense".to_owned(), "not a valid"),
    ];
    for (url, reason) in ours {
        let checked = asked(url, &q).await;
        assert_eq!(checked.verdict, Verdict::CouldNot, "{}", checked.figure);
        assert!(checked.figure.contains(reason), "{reason}: {}", checked.figure);
    }
    let slow = Question { timeout: Span(300), ..q.clone() };
    let slow = Question { deed: deed("select 1 as ok from pg_sleep(30)", &[]), ..slow };
    assert_eq!(lab.sql.check(&slow).await.verdict, Verdict::CouldNot, "a slow statement is no outage");

    let url = || lab.scratch.url("drbot_observer", PASSWORD, BOOKING);
    lab.admin("ALTER ROLE drbot_observer CONNECTION LIMIT 0").await;
    let full = asked(url(), &q).await;
    assert_eq!(full.verdict, Verdict::Fail, "{}", full.figure);
    assert!(full.figure.contains("53300"), "{}", full.figure);
    let starting = refusing("57P03", "the database system is starting up").await;
    let told = asked(format!("postgres://drbot_observer:x@{starting}/booking?sslmode=disable"), &q).await;
    assert_eq!(told.verdict, Verdict::Fail);
    assert!(told.figure.contains("57P03 the database system is starting up"), "{}", told.figure);
    lab.scratch.stop(Stop::Fast).await.unwrap();
    let gone = asked(url(), &q).await;
    assert_eq!(gone.verdict, Verdict::Fail);
    assert!(gone.figure.contains("connection refused"), "{}", gone.figure);
    q.expect.reachable = false;
    assert_eq!(asked(url(), &q).await.verdict, Verdict::CouldNot, "only where it is asked for");
}

/// A server of ours that answers the first message with an error, as PostgreSQL does while it starts.
async fn refusing(code: &str, text: &str) -> std::net::SocketAddr {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let fields = format!("SFATAL\0VFATAL\0C{code}\0M{text}\0\0");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 1024]).await;
            let length = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
            let _ = stream.write_all(&[b"E", length.as_slice(), fields.as_bytes()].concat()).await;
        }
    });
    address
}

#[tokio::test]
async fn a_check_waits_for_its_expectation_and_no_longer() {
    let lab = Lab::new().await;
    let mut q = question("select count(*) as n from users where id = 9999", &[]);
    q.expect.value = Some(ValueExpect { column: "n".into(), at_least: Some(1), at_most: None });
    q.within = Span::seconds(1);
    assert_eq!(lab.sql.check(&q).await.verdict, Verdict::Fail);
    q.within = Span::seconds(20);
    let asked = |log: &str| log.matches("id = 9999").count();
    let before = asked(&lab.scratch.log_text());
    let appears = async {
        // Not before it was asked, and found wanting, at least once.
        while asked(&lab.scratch.log_text()) <= before {
            sleep(Duration::from_millis(20)).await;
        }
        lab.admin("INSERT INTO users VALUES (9999, 'late@booking.example', 'Late', now())").await;
    };
    let (checked, ()) = tokio::join!(lab.sql.check(&q), appears);
    assert_eq!(checked.verdict, Verdict::Pass);
}

/// What an author or an intruder might put into a question. `$APP` is an application's process id.
const HOSTILE: &[&str] = &[
    "update bookings set status = 'cancelled'",
    "delete from webhook_events",
    "insert into users values (1000, 'a', 'b', now())",
    "truncate booking_payments",
    "create table loot as select * from users",
    "drop table webhook_events",
    "alter table users drop column email",
    "set transaction read write",
    "set session characteristics as transaction read write",
    "set default_transaction_read_only = off",
    "commit",
    "commit; update bookings set status = 'cancelled'",
    "select 1; commit; update bookings set status = 'cancelled'",
    "select 1; commit; set default_transaction_read_only = off; begin; select definer_update(); commit",
    "rollback; begin read write; delete from webhook_events; commit",
    "with gone as (delete from webhook_events returning id) select * from gone",
    "with up as (update bookings set status = 'cancelled' returning id) select count(*) from up",
    "with new as (insert into users values (1000, 'a', 'b', now()) returning id) table new",
    "select set_config('transaction_read_only', 'off', false), definer_update()",
    "select definer_update()",
    "with x as (select definer_update()) select * from x",
    "values (definer_update())",
    "table definer_view",
    "select * from definer_view",
    "explain analyze select definer_update()",
    "explain analyze delete from webhook_events",
    "select * from bookings for update",
    "select nextval('hostile_seq')",
    "select setval('hostile_seq', 99)",
    "select pg_catalog . nextval('hostile_seq')",
    "select definer_nextval()",
    "select lo_create(4711)",
    "select lo_from_bytea(4712, 'x')",
    "select definer_large_object()",
    "select pg_terminate_backend($APP)",
    "select pg_cancel_backend($APP)",
    "select pg_terminate_backend($OBSERVER)",
    "select \"pg_terminate_backend\"(pid) from pg_stat_activity",
    "select pg_terminate_backend(pid) from pg_stat_activity where usename = current_user and pid <> pg_backend_pid()",
    "select query_to_xml('select pg_term' || 'inate_backend($APP)', true, true, '')",
    "select U&\"\\0070g_terminate_backend\"($APP)",
    "select terminate_by_other_name($APP)",
    "select pg_notify('hostile', 'x')",
    "notify hostile",
    "select pg_advisory_lock(1)",
    "lock table bookings in access exclusive mode",
    "copy users to program 'id'",
    "copy (select * from users) to '/tmp/drbot-loot'",
    "copy users from program 'echo 1'",
    "do $$ begin update bookings set status = 'cancelled'; end $$",
    "call definer_procedure()",
    "prepare p as update bookings set status = 'cancelled'",
    "create function f() returns int language sql as 'select 1'",
    "create role intruder superuser",
    "alter role drbot_observer superuser",
    "grant drbot_operator to drbot_observer",
    "set role drbot_operator",
    "select pg_read_file('postgresql.conf')",
    "select pg_reload_conf()",
    "select * from dblink('host=127.0.0.1', 'update bookings set status = ''cancelled''') as t(a int)",
    "vacuum bookings",
    "refresh materialized view gone",
    "checkpoint",
];

const TRAPS: &str = "
CREATE SEQUENCE hostile_seq; GRANT USAGE, SELECT ON hostile_seq TO PUBLIC;
CREATE FUNCTION definer_update() RETURNS int LANGUAGE sql SECURITY DEFINER
    AS $$ UPDATE bookings SET status = 'cancelled' RETURNING 1 $$;
CREATE FUNCTION definer_nextval() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$ SELECT nextval('hostile_seq') $$;
CREATE FUNCTION definer_large_object() RETURNS oid LANGUAGE sql SECURITY DEFINER AS $$ SELECT lo_create(4713) $$;
CREATE FUNCTION terminate_by_other_name(int) RETURNS bool LANGUAGE sql AS $$ SELECT pg_terminate_backend($1) $$;
CREATE PROCEDURE definer_procedure() LANGUAGE sql SECURITY DEFINER AS $$ UPDATE bookings SET status = 'cancelled' $$;
CREATE VIEW definer_view AS SELECT definer_update() AS n; GRANT SELECT ON definer_view TO drbot_observer;
";

#[tokio::test]
async fn sixty_hostile_questions_change_nothing() {
    assert!(HOSTILE.len() >= 60);
    let lab = Lab::new().await;
    lab.admin(TRAPS).await;
    let mut jam = drbot::practice::trouble::lock_jam(&lab.scratch, 1).await.unwrap();
    let url = lab.scratch.url("drbot_observer", PASSWORD, BOOKING);
    let mut other = lab.scratch.connect(&url).await.unwrap();
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut other).await.unwrap();
    let before = lab.checksum().await;
    for hostile in HOSTILE {
        let sql = hostile.replace("$APP", &jam.holder.pid.to_string()).replace("$OBSERVER", &pid.to_string());
        let mut q = question(&sql, &[]);
        q.timeout = Span::seconds(2);
        lab.sql.check(&q).await;
        let mut observe = job("INC-1/hostile", EffectClass::Observe, &sql);
        observe.timeout = Span::seconds(2);
        lab.sql.run(&observe).await;
        assert_eq!(lab.checksum().await, before, "{hostile}");
        assert!(jam.holder.ended(Duration::ZERO).await.is_none(), "{hostile}");
        assert!(sqlx::query("select 1").execute(&mut other).await.is_ok(), "{hostile}");
    }
    assert!(jam.waiting[0].ended(Duration::from_millis(100)).await.is_none());
    assert_eq!(lab.value("select count(*) from pg_roles where rolname = 'intruder'").await, "0");
    assert!(!Path::new("/tmp/drbot-loot").exists());
}

#[tokio::test]
async fn an_observer_that_could_write_is_refused() {
    let lab = Lab::new().await;
    assert_eq!(lab.sql.observer_faults(TARGET).await, Ok(Vec::new()));
    let rights = [
        (
            "GRANT UPDATE ON bookings TO drbot_observer",
            "REVOKE UPDATE ON bookings FROM drbot_observer",
            "public.bookings",
        ),
        ("GRANT UPDATE (email) ON users TO PUBLIC", "REVOKE UPDATE (email) ON users FROM PUBLIC", "public.users"),
        ("GRANT CREATE ON SCHEMA public TO PUBLIC", "REVOKE CREATE ON SCHEMA public FROM PUBLIC", "schema public"),
        (
            "GRANT CREATE ON DATABASE booking TO drbot_observer",
            "REVOKE CREATE ON DATABASE booking FROM drbot_observer",
            "database booking",
        ),
        (
            "GRANT pg_signal_backend TO drbot_observer",
            "REVOKE pg_signal_backend FROM drbot_observer",
            "pg_signal_backend",
        ),
        ("GRANT drbot_operator TO drbot_observer", "REVOKE drbot_operator FROM drbot_observer", "drbot_operator"),
        ("ALTER ROLE drbot_observer CREATEROLE", "ALTER ROLE drbot_observer NOCREATEROLE", "create roles"),
        ("ALTER ROLE drbot_observer SUPERUSER", "ALTER ROLE drbot_observer NOSUPERUSER", "superuser"),
    ];
    for (give, take, word) in rights {
        lab.admin(give).await;
        let faults = lab.sql.observer_faults(TARGET).await.unwrap();
        assert!(faults.iter().any(|f| f.contains(word)), "{give}: {faults:?}");
        // A fresh process has not seen the good answer and refuses to ask at all.
        let fresh = Sql::new(targets(&lab.scratch));
        let checked = fresh.check(&question("select 1 as n", &[])).await;
        assert!(checked.verdict == Verdict::CouldNot && checked.figure.contains(word), "{}", checked.figure);
        assert!(refused(fresh.preview(&question("select 1 as n", &[])).await).contains("could write"));
        let read = fresh.run(&job("INC-1/x", EffectClass::Observe, "select 1")).await;
        assert!(matches!(read, Ended::NotStarted { .. }), "{read:?}");
        lab.admin(take).await;
        assert_eq!(lab.sql.observer_faults(TARGET).await, Ok(Vec::new()), "{take}");
    }
}

const OWNER: &str = "DRBOT_IT_SCRATCH_OWNER";

/// Not a test by itself: the process that the next one kills.
#[tokio::test]
async fn owner_of_a_cluster() {
    let Ok(folder) = std::env::var(OWNER) else { return };
    let folder = Path::new(&folder);
    let scratch = Scratch::start(&folder.join("cluster")).await.unwrap();
    fs::write(folder.join("port"), scratch.port().to_string()).unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_cluster_ends_with_an_owner_that_is_killed() {
    let folder = Folder::new();
    fs::create_dir(folder.0.join("cluster")).unwrap();
    let mut owner = Command::new(std::env::current_exe().unwrap());
    owner.args(["--exact", "execute_sql::owner_of_a_cluster"]).env(OWNER, &folder.0);
    let mut owner = owner.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let port = until(|| fs::read_to_string(folder.0.join("port")).ok().and_then(|p| p.parse::<u16>().ok())).await;
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    owner.kill().unwrap();
    owner.wait().unwrap();
    until(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_err().then_some(())).await;
    until(|| (!folder.0.join("cluster/data/postmaster.pid").exists()).then_some(())).await;
}

async fn until<T>(look: impl Fn() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    let begun = Instant::now();
    timeout(Duration::from_secs(30), found).await.unwrap_or_else(|_| panic!("not within {:?}", begun.elapsed()))
}
