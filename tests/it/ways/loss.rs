//! The entries of total data loss, and its stage: a store, a folder and an empty recovery database. Gives the book
//! to `real`.

use super::entry::{Act, Again, Back, Book, End, PLAY, Play, Record, Trouble, WAY, Way};
use super::site::Site;
use super::walk::walked;
use crate::scenario_s9::{self, CATALOG, NEW, PASSPHRASE, RECOVERY};
use crate::vendors::github::{DEPLOY, TOKEN};
use crate::vendors::supabase::REF;

/// The store lost the file that its own list names.
const GONE: Trouble = Trouble {
    on: Act::Move("store", "b.gpg", "b.gpg.away"),
    off: Act::Move("store", "b.gpg.away", "b.gpg"),
    told: "program 1 ended with code 37",
    end: End::Failed,
};

const FETCHED: Record = Record::File("work", "backup.sql.gz.gpg");

/// An old backup first, then a new one: the stage makes it with `begin`.
pub const TOTAL_DATA_LOSS: Book = Book { runbook: "total-data-loss", plays: &[OLD, NEWEST, LOAD] };

const OLD: Play = Play {
    given: GIVEN,
    until: Some("restore-download-old"),
    ways: &[Way {
        step: "restore-download-old",
        record: FETCHED,
        troubles: &[GONE],
        again: Again::Same,
        undo: Back::None("the encrypted file stays in"),
        ..WAY
    }],
    ..PLAY
};

const NEWEST: Play = Play {
    given: GIVEN,
    until: Some("restore-download"),
    ways: &[Way {
        step: "restore-download",
        record: FETCHED,
        troubles: &[GONE],
        again: Again::Same,
        undo: Back::None("the encrypted file stays in"),
        ..WAY
    }],
    ..PLAY
};

const GIVEN: &str = "confirm_project={new} sha=0123abc";

const LOAD: Play = Play {
    given: GIVEN,
    ways: &[
        Way {
            step: "restore-load",
            record: Record::In(RECOVERY, CATALOG),
            troubles: &[Trouble {
                on: Act::In("postgres", "alter role restorer nologin"),
                off: Act::In("postgres", "alter role restorer login"),
                told: "0 tables in schema public",
                end: End::Leads,
            }],
            again: Again::Stops("restore-target"),
            undo: Back::ByHand(
                "drop the recovery project and start with another empty one",
                Act::In(
                    RECOVERY,
                    "drop schema public cascade; create schema public; grant usage on schema public to public",
                ),
            ),
            ..WAY
        },
        Way {
            step: "cut-over",
            record: Record::Vendors(|b| format!("{:?}", b.github.deployed.last())),
            troubles: &[
                Trouble {
                    on: Act::Vendors(|b| b.github.fault = Some(403)),
                    off: Act::Vendors(|b| b.github.fault = None),
                    told: "answered 403",
                    end: End::Failed,
                },
                Trouble {
                    on: Act::Vendors(|b| b.github.fault = Some(500)),
                    off: Act::Vendors(|b| b.github.fault = None),
                    told: "answered 500",
                    end: End::Unknown,
                },
            ],
            again: Again::Stops("restore-target"),
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
        },
    ],
    ..PLAY
};

/// Plays it: with a backup that is too old, then with one that is not.
pub async fn walk() {
    let loss = scenario_s9::stage().await;
    loss.saas.vendors.with(|b| {
        b.supabase.projects.insert(NEW.into(), "ACTIVE_HEALTHY".into());
        b.github.deployed.push((REF.into(), "fedcba9".into()));
    });
    let values = [("new", NEW.to_owned()), ("live", REF.to_owned()), ("github", TOKEN.to_owned())];
    let folders = vec![("store", loss.store.0.clone()), ("work", loss.work.0.clone())];
    let site = Site::new(&loss.saas, &values, folders);
    loss.back_up(50, PASSPHRASE, |_| {}).await;
    walked(&site, &Book { runbook: TOTAL_DATA_LOSS.runbook, plays: &[OLD] }).await;
    loss.back_up(2, PASSPHRASE, |_| {}).await;
    walked(&site, &Book { runbook: TOTAL_DATA_LOSS.runbook, plays: &[NEWEST, LOAD] }).await;
    loss.saas.finish();
}
