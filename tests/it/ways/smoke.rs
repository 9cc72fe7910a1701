//! The entries of the smoke test: a test booking that is left behind, and one that an earlier test left. Gives the
//! book to `real`.

use super::entry::{Act, Again, Back, Book, End, PLAY, Play, Record, Trouble, WAY, Way};
use super::site::Site;
use super::walk::walked;
use crate::scenario_smoke::{self, SECRET};

const BOOKINGS: Record = Record::Tables(&["bookings", "booking_payments"]);

pub const SMOKE_TEST: Book = Book {
    runbook: "smoke-test",
    plays: &[
        // The test is broken off with its booking made; the next one finds it and makes no second.
        Play { until: Some("book"), ways: &[BOOK], ..PLAY },
        Play {
            before: &[Act::Sql(
                "insert into bookings (id, calendar_id, customer_name, starts_at)
                 values ('5d0c0de5-0000-4000-8000-000000000001', id('calendar-1'), 'drbot smoke test', '2099-01-01T03:00:00Z')",
            )],
            until: Some("remove"),
            ways: &[REMOVE],
            ..PLAY
        },
    ],
};

/// The application refuses the booking; or it is made and the answer gets lost.
pub const NOT_BOOKED: [Trouble; 2] = [
    Trouble {
        on: Act::Vendors(|b| b.project.fault = Some(("POST /project/rest/v1/bookings", 403))),
        off: Act::Vendors(|b| b.project.fault = None),
        told: "verdict",
        end: End::Leads,
    },
    Trouble {
        on: Act::Vendors(|b| b.lost = Some(("POST /project/rest/v1/bookings", 504))),
        off: Act::Vendors(|b| b.lost = None),
        told: "returned error: 504",
        end: End::Happened,
    },
];

/// The application refuses to remove it.
pub const NOT_REMOVED: [Trouble; 1] = [Trouble {
    on: Act::Vendors(|b| b.project.fault = Some(("DELETE /project/rest/v1/bookings", 403))),
    off: Act::Vendors(|b| b.project.fault = None),
    told: "nothing-left",
    end: End::Leads,
}];

const BOOK: Way = Way {
    step: "book",
    record: BOOKINGS,
    troubles: &NOT_BOOKED,
    again: Again::Stops("nothing-left"),
    undo: Back::ByHand(
        "step remove takes it away again",
        Act::Sql("delete from bookings where id = '5d0c0de5-0000-4000-8000-000000000001'"),
    ),
    ..WAY
};

const REMOVE: Way =
    Way { step: "remove", record: BOOKINGS, troubles: &NOT_REMOVED, undo: Back::None("it was a test"), ..WAY };

/// Plays it.
pub async fn smoke_test() {
    let stage = scenario_smoke::stage(SECRET).await;
    walked(&Site::new(&stage.saas, &[], Vec::new()), &SMOKE_TEST).await;
    stage.finish();
}
