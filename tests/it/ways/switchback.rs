//! The entries of the way back to the original project, and their stage. Gives the book to `real`.

use jiff::{Timestamp, ToSpan};

use super::entry::{Act, Again, Back, Book, End, PLAY, Play, Record, Trouble, WAY, Way};
use super::site::Site;
use super::troubles::{GITHUB_403, GITHUB_500, refuses};
use super::walk::walked;
use crate::switch_back;
use crate::vendors::github::{DEPLOY, TOKEN};
use crate::vendors::supabase::SPARE;

pub const SWITCH_BACK: Book = Book {
    runbook: "switch-back",
    plays: &[Play {
        given: "confirm_project={spare} since={since} sha=old1234",
        ways: &[FREEZE, POINT, DEPLOYED],
        ..PLAY
    }],
};

/// The database's own setting.
const FREEZE: Way = Way {
    step: "freeze",
    record: Record::Sql("select string_agg(setconfig::text, ' ') from pg_db_role_setting where setrole = 0"),
    troubles: &[
        refuses(
            "insert into drbot_recovery.project values ('another-project')",
            "delete from drbot_recovery.project where ref = 'another-project'",
            "this is not the database that was approved",
        ),
        refuses("alter role restorer nologin", "alter role restorer login", "not permitted to log in"),
    ],
    again: Again::Same,
    undo: Back::Step("Let the recovery database of zyxwvutsrqponmlkjihg be written again"),
    ..WAY
};

const POINT: Way = Way {
    step: "point",
    record: Record::Vendors(|b| format!("{:?}", b.github.variables)),
    troubles: &[GITHUB_403, Trouble { end: End::Failed, ..GITHUB_500 }],
    undo: Back::Step("Point the repository variable SUPABASE_PROJECT to zyxwvutsrqponmlkjihg again"),
    ..WAY
};

const DEPLOYED: Way = Way {
    step: "deploy",
    record: Record::Vendors(|b| format!("{:?}", b.github.deployed.last())),
    troubles: &[GITHUB_403, GITHUB_500],
    again: Again::Asks,
    undo: Back::ByHand(
        "total-data-loss, steps point and cut-over",
        Act::Call(
            "POST",
            DEPLOY,
            ("authorization", "Bearer {github}"),
            r#"{"ref": "main", "inputs": {"project": "{spare}", "sha": "new5678"}}"#,
        ),
    ),
    ..WAY
};

/// Plays it. The application runs on the recovery project.
pub async fn switch_back() {
    let stage = switch_back::stage().await;
    stage.saas.vendors.with(|b| b.github.deployed.push((SPARE.into(), "new5678".into())));
    let now = Timestamp::from_millisecond(drbot::clock::now().0).expect("a time");
    let since = (now - 1.hour()).to_string();
    let values = [("spare", SPARE.to_owned()), ("since", since), ("github", TOKEN.to_owned())];
    walked(&Site::new(&stage.saas, &values, Vec::new()), &SWITCH_BACK).await;
    stage.saas.finish();
}
