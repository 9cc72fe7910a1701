//! The entries of the drill: the restore's own, and the step that empties the recovery project again. Gives the book
//! to `real`.

use super::entry::{Act, Back, Book, PLAY, Play, WAY, Way};
use super::restore::{CLOSED, INTO, LOADED, alone, backed_up, fetch, load};
use super::troubles::within;
use crate::scenario_s9::{NEW, RECOVERY};

pub const DRILL: Book = Book { runbook: "drill", plays: &[OLD, LOADED_ONLY, EMPTIED] };

const OLD: Play =
    Play { given: INTO, until: Some("restore-download-old"), ways: &[fetch("restore-download-old")], ..PLAY };
const LOADED_ONLY: Play = Play {
    given: INTO,
    passes: &["restore-target"],
    until: Some("restore-load"),
    ways: &[fetch("restore-download"), load("restore-load")],
    ..PLAY
};

/// The second time nothing is loaded, so what looks at it stops; there is nothing to empty then.
const EMPTIED: Play =
    Play { given: INTO, passes: &["restore-validate", "restore-counts", "look"], ways: &[EMPTY], ..PLAY };

const EMPTY: Way = Way {
    step: "empty",
    record: LOADED,
    troubles: &[
        CLOSED,
        // At the very end: all that was dropped before is there again.
        within(
            RECOVERY,
            "revoke delete on auth.users from restorer",
            "grant delete on auth.users to restorer",
            "permission denied for table users",
        ),
        within(
            RECOVERY,
            "insert into drbot_recovery.project values ('another-project')",
            "delete from drbot_recovery.project where ref = 'another-project'",
            "this is not the database that was approved",
        ),
    ],
    undo: Back::ByHand("run the drill again to restore it once more", Act::Elsewhere),
    ..WAY
};

/// Plays it.
pub async fn drill() {
    let loss = alone("drill").await;
    backed_up(&loss, &[("new", NEW.to_owned())], &DRILL).await;
}
