//! The store: one struct over SQLite or PostgreSQL. Takes batches that are committed whole or not at
//! all, leases effects, gives back cases, replies and the world.

pub mod chain;
mod commit;
pub mod dialect;
mod lease;
mod read;

pub use commit::{Batch, CommitError};
pub use lease::Leased;
pub use read::Stored;

use std::sync::Arc;
use std::time::Duration;

use sqlx::AnyConnection;
use sqlx::any::AnyPoolOptions;
use sqlx::{AnyPool, AssertSqlSafe, Connection, Executor, Row};
use tokio::sync::Mutex;

use dialect::Dialect;

/// The schema this binary knows; a store with a higher number is refused.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/001_begin.sql"),
    include_str!("migrations/002_alerts.sql"),
    include_str!("migrations/003_kept.sql"),
];

/// What went wrong with the store, for the operator's log.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("store: {0}")]
    Database(#[from] sqlx::Error),
    #[error("store: table {table}, column {column}, row {row}: {what}")]
    Inconsistent { table: &'static str, column: &'static str, row: String, what: String },
    #[error("store: {0}")]
    Refused(String),
}

/// A handle to the store; clones share it.
#[derive(Clone)]
pub struct Store {
    pub(crate) dialect: Dialect,
    writer: Arc<Mutex<Writer>>,
    readers: AnyPool,
}

/// The only connection that writes, and how to make it anew after it broke.
pub(crate) struct Writer {
    url: String,
    dialect: Dialect,
    connection: Option<AnyConnection>,
}

impl Store {
    /// Opens the store, creating or upgrading its tables.
    ///
    /// # Errors
    /// The store cannot be reached, or was written by a newer drbot.
    pub async fn open(url: &str) -> Result<Store, StoreError> {
        sqlx::any::install_default_drivers();
        let dialect = Dialect::of(url).map_err(StoreError::Refused)?;
        let url =
            if dialect == Dialect::Sqlite && !url.contains('?') { format!("{url}?mode=rwc") } else { url.to_owned() };
        let mut writer = Writer { url: url.clone(), dialect, connection: None };
        migrate(writer.get().await?, dialect).await?;
        let readers = AnyPoolOptions::new()
            .max_connections(4)
            .acquire_timeout(Duration::from_secs(2))
            .test_before_acquire(dialect == Dialect::Postgres)
            .after_connect(move |c, _| {
                Box::pin(async move { c.execute(sqlx::raw_sql(dialect.session())).await.map(|_| ()) })
            })
            .connect(&url)
            .await?;
        Ok(Store { dialect, writer: Arc::new(Mutex::new(writer)), readers })
    }

    /// Closes every connection; SQLite folds its log into the file.
    pub async fn close(&self) {
        self.readers.close().await;
        if let Some(connection) = self.writer.lock().await.connection.take() {
            let _ = connection.close().await;
        }
    }

    /// Whether other processes may write too, so that what is in memory may be behind.
    #[must_use]
    pub fn shared(&self) -> bool {
        self.dialect == Dialect::Postgres
    }

    pub(crate) fn readers(&self) -> &AnyPool {
        &self.readers
    }

    pub(crate) async fn write(&self) -> tokio::sync::MutexGuard<'_, Writer> {
        self.writer.lock().await
    }

    /// A text of ours with the dialect's words in it: `{rows}` and `{skip}` are the only ones.
    pub(crate) fn text(&self, sql: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(sql.replace("{rows}", self.dialect.rows()).replace("{skip}", self.dialect.skip_locked()))
    }
}

impl Writer {
    /// The connection, made anew if the last one broke.
    pub(crate) async fn get(&mut self) -> Result<&mut AnyConnection, sqlx::Error> {
        if self.connection.is_none() {
            let mut connection = AnyConnection::connect(&self.url).await?;
            connection.execute(sqlx::raw_sql(self.dialect.session())).await?;
            self.connection = Some(connection);
        }
        self.connection.as_mut().ok_or(sqlx::Error::PoolClosed)
    }

    /// Forgets the connection: the state of a transaction on it is not known.
    pub(crate) fn broken(&mut self) {
        self.connection = None;
    }
}

async fn migrate(connection: &mut AnyConnection, dialect: Dialect) -> Result<(), StoreError> {
    connection.execute(sqlx::raw_sql(dialect.begin())).await?;
    connection.execute(sqlx::raw_sql(dialect.upgrade_alone())).await?;
    connection
        .execute(sqlx::raw_sql("CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)"))
        .await?;
    let row = sqlx::query("SELECT value FROM meta WHERE name = 'schema'").fetch_optional(&mut *connection).await?;
    let have: usize = row.map(|r| r.try_get::<String, _>(0)).transpose()?.and_then(|v| v.parse().ok()).unwrap_or(0);
    if have > MIGRATIONS.len() {
        connection.execute(sqlx::raw_sql("ROLLBACK")).await?;
        return Err(StoreError::Refused(format!(
            "its schema is version {have} and this drbot knows {}: start the newer drbot that wrote it",
            MIGRATIONS.len()
        )));
    }
    for (i, sql) in MIGRATIONS.iter().enumerate().skip(have) {
        connection.execute(sqlx::raw_sql(*sql)).await?;
        sqlx::query("INSERT INTO meta (name, value) VALUES ('schema', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value").bind((i + 1).to_string()).execute(&mut *connection).await?;
    }
    connection.execute(sqlx::raw_sql("COMMIT")).await?;
    Ok(())
}
