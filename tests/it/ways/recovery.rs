//! The entries of the empty recovery project. Gives the book to `real`.

use super::entry::{Act, Again, Back, Book, End, PLAY, Play, Record, Trouble, WAY, Way};
use super::site::Site;
use super::troubles::{SUPABASE_403, SUPABASE_500};
use super::walk::walked;
use crate::scenario_recovery::{self, RECOVERY, TAGGED};
use crate::vendors::supabase::SPARE;

pub const RECOVERY_PROJECT: Book =
    Book { runbook: "recovery-project", plays: &[Play { ways: &[CREATE, TAG], ..PLAY }] };

/// A project that has the name: there is never a second one.
const TAKEN: Again = Again::Stops("name-free");

const CREATE: Way = Way {
    step: "create",
    record: Record::Vendors(|b| format!("{:?} {:?}", b.supabase.projects.keys(), b.supabase.names)),
    // That no such project is listed does not tell that none is being made: two people look.
    troubles: &[
        Trouble { told: "returned error: 403", end: End::Unknown, ..SUPABASE_403 },
        Trouble { told: "returned error: 500", end: End::Unknown, ..SUPABASE_500 },
        Trouble {
            on: Act::Vendors(|b| b.lost = Some(("POST /management/v1/projects", 504))),
            off: Act::Vendors(|b| b.lost = None),
            told: "returned error: 504",
            end: End::Happened,
        },
    ],
    again: TAKEN,
    undo: Back::ByHand(
        "delete the new project in the dashboard",
        Act::Vendors(|b| {
            b.supabase.projects.remove(SPARE);
            b.supabase.names.remove(SPARE);
        }),
    ),
    ..WAY
};

const TAG: Way = Way {
    step: "tag",
    record: Record::In(RECOVERY, TAGGED),
    troubles: &[
        Trouble {
            on: Act::In(RECOVERY, "create table here (id int)"),
            off: Act::In(RECOVERY, "drop table here"),
            told: "the database is not empty",
            end: End::Probed,
        },
        // The probe finds the same door closed: nobody knows.
        Trouble {
            on: Act::Sql("alter role restorer nologin"),
            off: Act::Sql("alter role restorer login"),
            told: "not permitted to log in",
            end: End::Unknown,
        },
    ],
    again: TAKEN,
    undo: Back::ByHand("drop schema drbot_recovery cascade", Act::In(RECOVERY, "drop schema drbot_recovery cascade")),
    ..WAY
};

/// Plays it.
pub async fn recovery_project() {
    let stage = scenario_recovery::stage().await;
    walked(&Site::new(&stage.saas, &[], Vec::new()), &RECOVERY_PROJECT).await;
    stage.saas.finish();
}
