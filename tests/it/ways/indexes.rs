//! The entries of indexes, plans and dead rows, and their stage: an index build that failed, an index whose rows are
//! gone, a table of dead rows. Each step is refused by a right that is gone, or by somebody who holds the table
//! longer than it waits. Gives the book to `real`.

use sqlx::Executor;

use super::entry::{Act, Back, Book, End, PLAY, Play, Record, Trouble, WAY, Way};
use super::site::Site;
use super::troubles::refuses;
use super::walk::walked;
use crate::scenario_s8;

/// Somebody's transaction is at work in this table for longer than the step waits.
const fn held(sql: &'static str, end: End) -> Trouble {
    Trouble { on: Act::Hold(sql), off: Act::Release, told: "lock timeout", end }
}

pub const DATABASE_INDEXES: Book = Book {
    runbook: "database-indexes",
    plays: &[Play { given: "table=bookings columns=status,starts_at", ways: &[DROP, REBUILD, CREATE, VACUUM], ..PLAY }],
};

const DROP: Way = Way {
    step: "drop-invalid",
    record: Record::Sql("select string_agg(indexrelid::regclass::text, ' ') from pg_index where not indisvalid"),
    troubles: &[refuses(
        "alter table bookings owner to current_user",
        "alter table bookings owner to maintenance",
        "must be owner of index half_made",
    )],
    undo: Back::None("it answered no query"),
    ..WAY
};

/// A concurrent rebuild takes the name over to another index.
const REBUILD: Way = Way {
    step: "reindex",
    record: Record::Sql("select 'audit_trail_pkey'::regclass::oid"),
    troubles: &[held("begin; lock table audit_trail in row exclusive mode", End::Failed)],
    undo: Back::None("the same index with the same rows, only smaller"),
    ..WAY
};

/// Only indexes that answer count: a build that broke off leaves one that is not valid, and the next try clears it.
const CREATE: Way = Way {
    step: "create-index",
    record: Record::Sql(
        "select md5(string_agg(pg_get_indexdef(indexrelid), '|' order by indexrelid::regclass::text))
         from pg_index where indrelid = 'bookings'::regclass and indisvalid",
    ),
    troubles: &[held("begin; lock table bookings in row exclusive mode", End::Probed)],
    undo: Back::Step("Drop the index that was created on bookings"),
    ..WAY
};

const VACUUM: Way = Way {
    step: "vacuum",
    record: Record::Sql("select vacuum_count from pg_stat_user_tables where relname = 'whatsapp_messages'"),
    troubles: &[
        // A warning only: the program ends well, and the server's own record says that nothing was done.
        refuses(
            "alter table whatsapp_messages owner to current_user",
            "alter table whatsapp_messages owner to maintenance",
            "0 of 1 vacuumed",
        ),
        held("begin; lock table whatsapp_messages in share update exclusive mode", End::Failed),
    ],
    undo: Back::None("no row that anybody can see was changed"),
    ..WAY
};

/// Plays it.
pub async fn database_indexes() {
    let upkeep = scenario_s8::stage().await;
    let mut other = upkeep.session().await;
    let half = other.execute("create unique index concurrently half_made on bookings (status)").await;
    half.expect_err("duplicates: the build breaks off");
    // Told at once: what is vacuumed here has no dead rows later, and what is not is left to the step.
    for sql in [
        "alter table whatsapp_messages set (autovacuum_enabled = off)",
        "update whatsapp_messages set body = 'x'",
        "insert into audit_trail (table_name, operation) select 'bookings', 'UPDATE' from generate_series(1, 40000)",
        "delete from audit_trail where operation = 'UPDATE'",
        "select pg_stat_force_next_flush()",
        "vacuum analyze audit_trail",
        "select pg_stat_force_next_flush()",
    ] {
        other.execute(sql).await.expect(sql);
    }
    walked(&Site::new(&upkeep.saas, &[], Vec::new()), &DATABASE_INDEXES).await;
    upkeep.saas.finish();
}
