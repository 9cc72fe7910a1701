//! The entries of total data loss, and its stage: a store, a folder and an empty recovery database. Gives the book
//! to `real`.

use super::entry::{Act, Again, Back, Book, End, PLAY, Play, Record, Trouble, WAY, Way};
use super::restore::{backed_up, fetch, load};
use super::smoke::{NOT_BOOKED, NOT_REMOVED};
use super::troubles::{GITHUB_403, GITHUB_500, within};
use crate::scenario_s9::{self, NEW, RECOVERY};
use crate::scenario_s9_payments::BEFORE_BACKUP;
use crate::vendors::github::{DEPLOY, TOKEN};
use crate::vendors::supabase::REF;

/// An old backup first, then a new one: the stage makes it with `backed_up`.
pub const TOTAL_DATA_LOSS: Book = Book { runbook: "total-data-loss", plays: &[OLD, FRESH, BOOKED, REMOVED] };

const GIVEN: &str = "confirm_project={new} sha=0123abc";

const OLD: Play =
    Play { given: GIVEN, until: Some("restore-download-old"), ways: &[fetch("restore-download-old")], ..PLAY };

/// From the download to the deployment. The second time the database is not empty any more.
const FRESH: Play = Play {
    given: GIVEN,
    passes: &["restore-target", "restore-counts"],
    until: Some("cut-over"),
    ways: &[fetch("restore-download"), load("restore-load"), TAKE_OVER, POINT, CUT_OVER],
    ..PLAY
};

const TAKE_OVER: Way = Way {
    step: "take-over",
    record: Record::In(RECOVERY, "select md5(string_agg(t::text, '|' order by t::text)) from booking_payments t"),
    kept: Some(Record::In(RECOVERY, "select md5(string_agg(t::text, '|' order by t::text)) from audit_trail t")),
    troubles: &[within(
        RECOVERY,
        "revoke insert on audit_trail from drbot_operator",
        "grant insert on audit_trail to drbot_operator",
        "permission denied",
    )],
    undo: Back::Words(RECOVERY, "by the owner: "),
    ..WAY
};

const POINT: Way = Way {
    step: "point",
    record: Record::Vendors(|b| format!("{:?}", b.github.variables)),
    troubles: &[GITHUB_403, Trouble { end: End::Failed, ..GITHUB_500 }],
    undo: Back::Step("Point the repository variable SUPABASE_PROJECT back to"),
    ..WAY
};

const CUT_OVER: Way = Way {
    step: "cut-over",
    record: Record::Vendors(|b| format!("{:?}", b.github.deployed.last())),
    troubles: &[GITHUB_403, GITHUB_500],
    again: Again::Asks,
    undo: Back::ByHand(
        "switch-back freezes writes, exports what was written meanwhile, and deploys the old project",
        Act::Call(
            "POST",
            DEPLOY,
            ("authorization", "Bearer {github}"),
            r#"{"ref": "main", "inputs": {"project": "{live}", "sha": "fedcba9"}}"#,
        ),
    ),
    ..WAY
};

/// What a user could see of it; a session that looks leaves its traces in other columns.
const BOOKINGS: Record = Record::In(
    RECOVERY,
    "select md5(string_agg(t::text, '|' order by t::text)) from (select id, status, starts_at from bookings) t",
);

/// The smoke test of the restored project is broken off with its booking made; the next one finds it.
const BOOKED: Play = Play {
    given: GIVEN,
    passes: &["restore-target", "restore-counts"],
    until: Some("smoke-book"),
    ways: &[Way {
        step: "smoke-book",
        record: BOOKINGS,
        troubles: &NOT_BOOKED,
        again: Again::Stops("nothing-left"),
        undo: Back::ByHand(
            "after an abort run smoke-test",
            Act::In(RECOVERY, "delete from bookings where id = '5d0c0de5-0000-4000-8000-000000000001'"),
        ),
        ..WAY
    }],
    ..PLAY
};

/// An earlier test left its booking behind.
const REMOVED: Play = Play {
    given: GIVEN,
    before: &[Act::In(
        RECOVERY,
        "insert into bookings (id, calendar_id, customer_name, starts_at)
         select '5d0c0de5-0000-4000-8000-000000000001', id, 'drbot smoke test', '2099-01-01T03:00:00Z'
         from calendars where user_id = '24b299d7-67a9-79b1-ef4b-2e634067c8ad'",
    )],
    passes: &["restore-target", "restore-counts"],
    until: Some("smoke-remove"),
    ways: &[Way {
        step: "smoke-remove",
        record: BOOKINGS,
        troubles: &NOT_REMOVED,
        undo: Back::None("it was a test"),
        ..WAY
    }],
    ..PLAY
};

/// Plays it: with a backup that is too old, then with one that is not.
pub async fn total_data_loss() {
    let loss = scenario_s9::stage().await;
    loss.saas.vendors.with(|b| {
        b.supabase.projects.insert(NEW.into(), "ACTIVE_HEALTHY".into());
        b.github.deployed.push((REF.into(), "fedcba9".into()));
    });
    loss.saas.sql(BEFORE_BACKUP).await;
    let values = [("new", NEW.to_owned()), ("live", REF.to_owned()), ("github", TOKEN.to_owned())];
    backed_up(&loss, &values, &TOTAL_DATA_LOSS).await;
}
