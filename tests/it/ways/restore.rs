//! The entries of a restore, under whatever name a runbook takes its steps: each of them may fail, be asked for twice
//! and be undone. Gives the ways to the books of those runbooks, and the book of `restore-backup` itself to `real`.

use super::entry::{Act, Again, Back, Book, End, PLAY, Play, Record, Trouble, WAY, Way};
use super::site::Site;
use super::troubles::within;
use super::walk::walked;
use crate::scenario_s9::{Loss, NEW, PASSPHRASE, RECOVERY, staged};
use crate::vendors::supabase::REF;

/// The store lost the file that its own list names.
const GONE: Trouble = Trouble {
    on: Act::Move("store", "b.gpg", "b.gpg.away"),
    off: Act::Move("store", "b.gpg.away", "b.gpg"),
    told: "program 1 ended with code 37",
    end: End::Failed,
};

/// Downloads an old backup or a new one.
pub const fn fetch(step: &'static str) -> Way {
    Way {
        step,
        record: Record::File("work", "backup.sql.gz.gpg"),
        troubles: &[GONE],
        again: Again::Same,
        undo: Back::None("the encrypted file stays in"),
        ..WAY
    }
}

/// All that a dump brings: what is in schema public, accounts and other schemas.
pub const LOADED: Record = Record::In(
    RECOVERY,
    "select concat_ws(' ',
       (select md5(string_agg(c.oid || ' ' || c.relname || ' ' || c.relkind::text, '|' order by c.oid))
        from pg_class c where c.relnamespace = 'public'::regnamespace),
       (select count(*) from auth.users),
       (select string_agg(nspname, ',' order by nspname) from pg_namespace where nspname !~ '^pg_'))",
);

/// The loader cannot come in.
pub const CLOSED: Trouble = Trouble {
    on: Act::In("postgres", "alter role restorer nologin"),
    off: Act::In("postgres", "alter role restorer login"),
    told: "not permitted to log in",
    end: End::Failed,
};

/// Somebody signed up in between: the approved rows are the same, and the loading transaction itself says no.
const ACCOUNTS: Trouble = within(
    RECOVERY,
    "insert into auth.users (id) values ('5d0c0de5-0000-4000-8000-000000000009')",
    "delete from auth.users",
    "auth.users is not empty",
);

/// Loads it. A second run stops at the proof that the database is empty; who leaves that out finds nothing to do.
pub const fn load(step: &'static str) -> Way {
    Way {
        step,
        record: LOADED,
        troubles: &[Trouble { end: End::Leads, ..CLOSED }],
        // Another empty project is this one without anything that came.
        undo: Back::ByHand(
            "drop the recovery project and start with another empty one",
            Act::In(
                RECOVERY,
                "drop schema public cascade; create schema public authorization restorer;
                 grant usage on schema public to public; drop schema supabase_migrations cascade; delete from auth.users",
            ),
        ),
        ..WAY
    }
}

/// With a backup that is too old, then with one that is not: the stage makes it with `backed_up`.
pub const RESTORE_BACKUP: Book = Book { runbook: "restore-backup", plays: &[OLD, FRESH] };

pub const INTO: &str = "confirm_project={new}";
const OLD: Play = Play { given: INTO, until: Some("download-old"), ways: &[fetch("download-old")], ..PLAY };
const FRESH: Play = Play {
    given: INTO,
    passes: &["target"],
    ways: &[
        fetch("download"),
        Way {
            troubles: &[Trouble { end: End::Leads, ..CLOSED }, Trouble { end: End::Leads, ..ACCOUNTS }],
            ..load("load")
        },
    ],
    ..PLAY
};

/// Plays a book whose first play takes a backup that is too old, and all others a fresh one.
pub async fn backed_up(loss: &Loss, values: &[(&str, String)], book: &'static Book) {
    let folders = vec![("store", loss.store.0.clone()), ("work", loss.work.0.clone())];
    let site = Site::new(&loss.saas, values, folders);
    let (old, fresh) = book.plays.split_at(1);
    for (hours, plays) in [(50, old), (2, fresh)] {
        loss.back_up(hours, PASSPHRASE, |_| {}).await;
        walked(&site, &Book { runbook: book.runbook, plays }).await;
    }
    loss.saas.finish();
}

/// A stage of a runbook that restores and stands alone.
pub async fn alone(runbook: &str) -> Loss {
    staged(runbook, None, |w, _| {
        let named = [runbook, "restore-backup"].into_iter().collect::<std::collections::BTreeSet<_>>();
        w.parameters.extend(named.into_iter().map(|r| (r.to_owned(), "project".to_owned(), REF.to_owned())));
    })
    .await
}

/// Plays it.
pub async fn restore_backup() {
    let loss = alone("restore-backup").await;
    backed_up(&loss, &[("new", NEW.to_owned())], &RESTORE_BACKUP).await;
}
