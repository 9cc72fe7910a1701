//! A light load, as a booking application makes it. Takes the database; short statements, one after the
//! other, in a few sessions that come back when they are ended.

use std::time::Duration;

use anyhow::Result;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};
use tokio::time::sleep;

use crate::practice::scratch::{APP, BOOKING, PASSWORD, Scratch};

/// How many sessions the application keeps.
pub(super) const SESSIONS: u64 = 3;
const AGAIN_AFTER: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(400);

/// What the application does in turn; `$1` is a booking that is nobody's trouble.
const STATEMENTS: [&str; 4] = [
    "SELECT count(*) FROM bookings WHERE calendar_id = $1 % 20 + 1",
    "UPDATE bookings SET status = 'confirmed' WHERE id = $1",
    "SELECT b.id FROM bookings b JOIN users u ON u.id = b.customer_id WHERE b.id = $1",
    "SELECT sum(amount_cents) FROM booking_payments WHERE booking_id = $1",
];

/// Where the application connects to.
pub(super) fn url(scratch: &Scratch) -> String {
    scratch.url(APP, PASSWORD, BOOKING) + "&application_name=booking-api"
}

/// Works until dropped.
pub(super) async fn live(url: String, number: u64) {
    loop {
        // Whatever ended the session, the application tries again.
        drop(session(&url, number).await);
        sleep(AGAIN_AFTER).await;
    }
}

async fn session(url: &str, number: u64) -> Result<()> {
    let options: PgConnectOptions = url.parse()?;
    let mut conn: PgConnection = options.disable_statement_logging().connect().await?;
    for turn in 0u64.. {
        let sql = STATEMENTS[usize::try_from((turn + number) % 4)?];
        let booking = i64::try_from(2 + (turn * 7 + number * 131) % 390)?;
        sqlx::query(sql).bind(booking).execute(&mut conn).await?;
        sleep(PAUSE + Duration::from_millis(number * 60)).await;
    }
    Ok(())
}
