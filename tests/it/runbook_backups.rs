//! The backups' own light through the running bot: a real object store that checks signatures, the vendor's
//! backups API, and a job that makes a newer one.

use serde_json::{Value, json};

use crate::moto::Moto;
use crate::saas::Saas;
use crate::vendors::supabase::{REF, TOKEN};
use crate::vendors::{Vendors, github};
use drbot::practice::bot::Wiring;

const RUNBOOK: &str = "backups";

pub async fn stage(moto: &Moto) -> Saas {
    let saas = Saas::start(RUNBOOK, "", |w: &mut Wiring, vendors: &Vendors| {
        w.more_targets.push(moto.target("drbot/"));
        w.more_targets.push(vendors.target("supabase", "management", ("Authorization", &format!("Bearer {TOKEN}"))));
        let github = format!("Bearer {}", github::TOKEN);
        w.more_targets.push(vendors.target("backup-job", "github", ("Authorization", &github)));
        let values = [("project", REF), ("owner", "booking"), ("repository", "saas")];
        w.parameters.extend(values.map(|(n, v)| (RUNBOOK.to_owned(), n.to_owned(), v.to_owned())));
    })
    .await;
    saas.vendors.with(|b| b.supabase.projects.insert(REF.into(), "ACTIVE_HEALTHY".into()));
    vendor(&saas, 1);
    saas
}

/// The vendor's continuous backup reaches to `hours` ago.
fn vendor(saas: &Saas, hours: i64) {
    let unix = drbot::clock::now().0 / 1_000 - hours * 3_600;
    let list = json!({"region": "eu-central-1", "walg_enabled": true, "pitr_enabled": true, "backups": [],
        "physical_backup_data": {"earliest_physical_backup_date_unix": unix - 604_800, "latest_physical_backup_date_unix": unix}});
    saas.vendors.with(|b| b.supabase.backups = Some(list));
}

fn entry(key: &str, hours: i64, bytes: usize) -> Value {
    let taken = jiff::Timestamp::from_second(drbot::clock::now().0 / 1_000 - hours * 3_600).expect("a time");
    json!({"key": key, "sha256": "0".repeat(64), "bytes": bytes, "taken_at": taken.to_string(), "counts": {}})
}

/// Puts backups there: key, age of the data in hours, bytes.
pub async fn hold(moto: &Moto, backups: &[(&str, i64, usize)]) {
    let list: Value = backups.iter().map(|(key, hours, bytes)| entry(key, *hours, *bytes)).collect();
    for (key, _, bytes) in backups {
        moto.put(&[(&format!("drbot/{key}"), &vec![b'x'; *bytes])]).await;
    }
    moto.put(&[("drbot/manifest.json", list.to_string().as_bytes())]).await;
}

/// What `/dr detect` shows, once it shows all of these.
async fn light(saas: &Saas, wanted: &[&str]) {
    saas.world.say("alice", "detect backups").await;
    saas.see(|t| wanted.iter().all(|w| t.contains(w))).await;
}

/// On the day nothing can be dumped any more, so what is there is watched before (S1.6).
/// Names lie and copies are new: what counts is the time of the data, held against what is really there.
#[tokio::test]
async fn the_light_says_how_old_the_newest_sound_backup_is() {
    let mut moto = Moto::start().await;
    hold(&moto, &[("z-older.gpg", 27, 100_000), ("a-newer.gpg", 3, 103_000)]).await;
    let saas = stage(&moto).await;
    let off_site = "newest off-site backup is 3 h old (RPO 24 h), 2 kept, 103 kB, 3 % larger than the one before";
    saas.world.say("alice", "status").await;
    saas.see(|t| t.contains("Backups that could be restored") && t.contains(off_site)).await;
    light(&saas, &["green", off_site, "newest backup of the vendor is 1 h old (RPO 24 h)"]).await;
    vendor(&saas, 25);
    light(&saas, &["RED", "newest backup of the vendor is 25 h old"]).await;
    vendor(&saas, 1);
    hold(&moto, &[("z-older.gpg", 51, 100_000), ("a-newer.gpg", 27, 103_000)]).await;
    light(&saas, &["RED", "newest off-site backup is 27 h old (RPO 24 h), 2 kept"]).await;
    hold(&moto, &[("z-older.gpg", 27, 100_000), ("a-newer.gpg", 3, 49_000)]).await;
    light(&saas, &["RED", "a-newer.gpg is newer and no backup: it has 49 % of the bytes of the one before"]).await;
    moto.remove("drbot/a-newer.gpg").await;
    light(&saas, &["RED", "a-newer.gpg is newer and no backup: it is in the manifest and not in the store"]).await;
    moto.remove("drbot/manifest.json").await;
    light(&saas, &["RED", "answered 404: NoSuchKey"]).await;
    moto.stop();
    light(&saas, &["could not check", "target backup-store"]).await;
    let everything = format!("{}{:?}", saas.world.bot.log(), saas.world.slack.messages(crate::world::CHANNEL));
    assert!(!everything.contains(&moto.secret) && !everything.contains(&moto.access), "a key was shown");
    saas.finish();
}

/// A stale backup leads to a newer one, and only a sound and newer one is the proof.
#[tokio::test]
async fn a_newer_backup_is_made_and_proved() {
    let moto = Moto::start().await;
    hold(&moto, &[("b.gpg", 50, 1_000)]).await;
    let saas = stage(&moto).await;
    saas.world.say("alice", "declare B1").await;
    let said = saas.world.say("alice", "run B1").await;
    assert!(said.starts_with("Started"), "{said}");
    let card = saas.approve("Start the backup job", &["bob"]).await;
    assert!(card.contains("b.gpg") && card.contains("disruptive"), "{card}");
    saas.see(|t| t.contains("Start the backup job") && t.contains("checking")).await;
    assert_eq!(saas.vendors.with(|b| b.github.backed_up), 1, "the job was started once");
    hold(&moto, &[("b.gpg", 50, 1_000), ("c.gpg", 0, 1_050)]).await;
    let card = saas.see(|t| t.contains("Recovered after")).await;
    assert!(card.contains("2 kept, 1.0 kB, 5 % larger than the one before"), "{card}");
    saas.finish();
}
