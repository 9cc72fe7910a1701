//! What several modules need: a laboratory with a throw-away cluster and drbot's view of it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use drbot::execute::sql::{Sql, SqlTarget, grants};
use drbot::model::ask::Deed;
use drbot::model::effect::{Job, Question};
use drbot::model::expect::{Expect, Rows};
use drbot::model::outcome::Outcome;
use drbot::model::runbook::EffectClass;
use drbot::model::statement::{Bind, Statement};
use drbot::model::time::Span;
use drbot::practice::scratch::{BOOKING, PASSWORD, Scratch};
use sqlx::{AssertSqlSafe, Row};
use tokio::time::{Instant, sleep};

pub const TARGET: &str = "main-db";

/// A temporary folder that goes away with its owner.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("drbot-it-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A cluster with the booking data, and drbot's executor for it. Fields drop in order: the server
/// before its folder.
pub struct Lab {
    pub scratch: Scratch,
    pub sql: Sql,
    _folder: Folder,
}

impl Lab {
    pub async fn new() -> Lab {
        let folder = Folder::new();
        let scratch = Scratch::start(&folder.0).await.unwrap();
        scratch.prepare_booking(&grants(TARGET, BOOKING)).await.unwrap();
        let sql = Sql::new(targets(&scratch));
        Lab { scratch, sql, _folder: folder }
    }

    /// One value, as the superuser sees it.
    pub async fn value(&self, sql: &str) -> String {
        let mut conn = self.scratch.connect(&self.scratch.superuser_url_of(BOOKING)).await.unwrap();
        let sql = format!("SELECT coalesce(({sql})::text, 'none')");
        sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut conn).await.unwrap().get(0)
    }

    pub async fn admin(&self, sql: &str) {
        self.scratch.admin(BOOKING, sql).await.unwrap();
    }

    /// Waits until the superuser sees `wanted`.
    pub async fn until(&self, sql: &str, wanted: &str) {
        let limit = Instant::now() + Duration::from_secs(15);
        loop {
            let got = self.value(sql).await;
            if got == wanted {
                return;
            }
            assert!(Instant::now() < limit, "{sql} stayed {got}, never {wanted}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// A checksum over everything an observer must not change.
    pub async fn checksum(&self) -> String {
        let tables = ["users", "calendars", "bookings", "booking_payments", "webhook_events"];
        let each = tables.map(|t| format!("(SELECT md5(string_agg({t}::text, '|' ORDER BY id)) FROM {t})"));
        let rest = "(SELECT count(*) FROM pg_class)::text || '/' || (SELECT count(*) FROM pg_largeobject_metadata) \
                    || '/' || (SELECT count(*) FROM pg_roles) || '/' || (SELECT count(*) FROM pg_proc) \
                    || '/' || (SELECT last_value FROM hostile_seq) || (SELECT is_called FROM hostile_seq)";
        self.value(&format!("concat_ws(' ', {}, {rest})", each.join(", "))).await
    }
}

pub fn targets(scratch: &Scratch) -> BTreeMap<String, SqlTarget> {
    let observer = scratch.url("drbot_observer", PASSWORD, BOOKING);
    let operator = Some(scratch.url("drbot_operator", PASSWORD, BOOKING));
    [(TARGET.to_owned(), SqlTarget { observer, operator })].into()
}

pub fn deed(sql: &str, values: &[&str]) -> Deed {
    let bind = |(i, v): (usize, &&str)| Bind { name: format!("v{i}"), value: (*v).to_owned() };
    Deed::Sql(Statement { sql: sql.to_owned(), binds: values.iter().enumerate().map(bind).collect() })
}

pub fn question(sql: &str, values: &[&str]) -> Question {
    Question {
        id: "question".into(),
        target: TARGET.into(),
        deed: deed(sql, values),
        expect: Expect::default(),
        figure: String::new(),
        values: BTreeMap::new(),
        timeout: Span::seconds(5),
        within: Span::default(),
        cap: 100,
        sensitive: Vec::new(),
        evidence: false,
    }
}

pub fn job(execution: &str, effect: EffectClass, sql: &str) -> Job {
    Job {
        execution: execution.into(),
        digest: "d".repeat(64),
        target: TARGET.into(),
        effect,
        deed: deed(sql, &[]),
        expect: Expect::default(),
        timeout: Span::seconds(10),
        identity: None,
        guard: None,
        sensitive: Vec::new(),
        retry: None,
    }
}

/// The rows of a preview that worked.
pub fn previewed(outcome: Outcome) -> Rows {
    match outcome {
        Outcome::Previewed { rows, .. } => rows,
        other => panic!("no preview: {other:?}"),
    }
}

/// The reason of a preview that did not.
pub fn refused(outcome: Outcome) -> String {
    match outcome {
        Outcome::NoPreview { why } => why,
        other => panic!("a preview after all: {other:?}"),
    }
}

/// A line of a test's figures, for whoever reads the run.
pub fn figures(line: &str) {
    // Straight to the terminal: a passing test's `println!` would be swallowed.
    let _ = writeln!(std::io::stdout(), "{line}");
}

pub fn commands() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("commands")
}
