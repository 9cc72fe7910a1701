//! The named differences between SQLite and PostgreSQL; all other SQL is one text. Takes a store URL;
//! gives the few words that differ.

/// Which database a store lives in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// Chosen by the URL's scheme.
    ///
    /// # Errors
    /// Names the schemes that are known.
    pub fn of(url: &str) -> Result<Dialect, String> {
        match url.split(':').next() {
            Some("sqlite") => Ok(Dialect::Sqlite),
            Some("postgres" | "postgresql") => Ok(Dialect::Postgres),
            _ => Err("the store's url must start with sqlite: or postgres:".into()),
        }
    }

    /// Difference 1: A JSON array of arrays bound to `$1`, as rows with one column `value`.
    #[must_use]
    pub fn rows(self) -> &'static str {
        match self {
            Dialect::Sqlite => "json_each($1)",
            Dialect::Postgres => "jsonb_array_elements($1::jsonb) AS input(value)",
        }
    }

    /// Difference 2: How a writing transaction begins: SQLite takes the write lock at once, because a reader that
    /// turns writer fails without waiting.
    #[must_use]
    pub fn begin(self) -> &'static str {
        match self {
            Dialect::Sqlite => "BEGIN IMMEDIATE",
            Dialect::Postgres => "BEGIN",
        }
    }

    /// Difference 3: What every connection is told first. FULL: an acked commit survives a power cut. What a statement
    /// of many rows needs to undo itself stays in memory, which a power cut may take: the transaction is then void anyway.
    #[must_use]
    pub fn session(self) -> &'static str {
        match self {
            Dialect::Sqlite => {
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 2000; PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 8000"
            }
            Dialect::Postgres => "SET synchronous_commit = on; SET lock_timeout = '2s'; SET statement_timeout = '10s'",
        }
    }

    /// Difference 4: Keeps two writers from leasing the same rows without waiting for each other.
    #[must_use]
    pub fn skip_locked(self) -> &'static str {
        match self {
            Dialect::Sqlite => "",
            Dialect::Postgres => "FOR UPDATE SKIP LOCKED",
        }
    }

    /// Difference 5: Lets one of several processes that start at once upgrade; the others wait until its
    /// transaction is over. SQLite's `begin` does that already.
    #[must_use]
    pub fn upgrade_alone(self) -> &'static str {
        match self {
            Dialect::Sqlite => "",
            Dialect::Postgres => "SELECT pg_advisory_xact_lock(7235419)",
        }
    }

    /// Difference 6: Whether a whole transaction may go down as one text with values. PostgreSQL prepares one statement
    /// at a time.
    #[must_use]
    pub fn one_trip(self) -> bool {
        self == Dialect::Sqlite
    }
}
