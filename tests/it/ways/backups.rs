//! The entry of the off-site backups: a real object store whose newest backup is too old, and a job that makes a newer
//! one. Gives the book to `real`.

use super::entry::{Act, Again, Back, Book, PLAY, Play, Record, WAY, Way};
use super::site::Site;
use super::troubles::{GITHUB_403, GITHUB_500};
use super::walk::walked;
use crate::moto::Moto;
use crate::runbook_backups;

pub const BACKUPS: Book = Book {
    runbook: "backups",
    plays: &[Play { before: &[Act::Backups(&[("b.gpg", 50, 1_000)])], ways: &[START], ..PLAY }],
};

/// It may be wanted twice, and is never started twice without people: the second time they see the fresh one.
const START: Way = Way {
    step: "start",
    record: Record::Vendors(|b| b.github.backed_up.to_string()),
    troubles: &[GITHUB_403, GITHUB_500],
    after: Some(Act::Backups(&[("b.gpg", 50, 1_000), ("c.gpg", 0, 1_050)])),
    again: Again::Asks,
    undo: Back::None("it adds one more backup"),
    ..WAY
};

/// Plays it.
pub async fn backups() {
    let moto = Moto::start().await;
    let saas = runbook_backups::stage(&moto).await;
    let mut site = Site::new(&saas, &[], Vec::new());
    site.store = Some(moto);
    walked(&site, &BACKUPS).await;
    saas.finish();
}
