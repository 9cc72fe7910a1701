//! The shipped backup job, run as its readers would: what it takes from a live database is what the restore is
//! tried with. A test may change a backup after the job made it, as time, a disk or an attacker would.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use drbot::practice::scratch::PASSWORD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::saas::SAAS;
use crate::scenario_s9::{COUNTED, Loss, PASSPHRASE, stage};
use crate::support::Folder;

fn piped(program: &str, args: &[&str]) {
    let out = Command::new(program).args(args).output().expect(program);
    assert!(out.status.success(), "{program}: {}", String::from_utf8_lossy(&out.stderr));
}

/// The list of backups in a folder.
fn manifest(store: &Path) -> Value {
    serde_json::from_slice(&fs::read(store.join("manifest.json")).expect("a list")).expect("JSON")
}

impl Loss {
    /// Runs deploy/backup.sh into this store. `more` changes its environment.
    pub async fn job(&self, store: &str, more: &[(&str, &str)]) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/backup.sh");
        let (home, folder) = (self.home(), Folder::new());
        let owner = self.saas.ask("select current_user::text").await;
        let mut job = Command::new(script);
        job.env_clear()
            .envs([("PATH", "/usr/bin:/bin"), ("LANG", "C.UTF-8"), ("GNUPGHOME", &home), ("MANAGED_ROLES", &owner)])
            .envs([("STORE", store), ("FOLDER", &folder.0.display().to_string())])
            .envs(
                [("PGSERVICEFILE", "live"), ("STORE_CONFIG", "curl"), ("PASSPHRASE_FILE", "pass")]
                    .map(|(k, v)| (k, format!("{home}/{v}"))),
            )
            .envs(more.iter().copied());
        let out = job.output().expect("the job");
        let left: Vec<_> = fs::read_dir(&folder.0).expect("a folder").flatten().map(|e| e.path()).collect();
        let readable = left.iter().any(|f| fs::read_to_string(f).is_ok_and(|text| text.contains("COPY ")));
        assert!(!readable, "plaintext on the disk: {left:?}");
        out
    }

    /// Backs the SaaS up, `hours` ago; `spoil` changes the encrypted file.
    pub async fn back_up(&self, hours: i64, passphrase: &str, spoil: impl FnOnce(&mut Vec<u8>)) {
        self.back_up_edited(hours, passphrase, |plain| plain, spoil).await;
    }

    /// The same; `edit` changes the dump before it is packed.
    pub async fn back_up_edited(
        &self,
        hours: i64,
        passphrase: &str,
        edit: impl FnOnce(String) -> String,
        spoil: impl FnOnce(&mut Vec<u8>),
    ) {
        let at = |name: &str| self.store.0.join(name).display().to_string();
        let (pass, home) = (format!("{}/pass.of.job", self.home()), self.home());
        fs::write(&pass, passphrase).expect("written");
        fs::write(at("manifest.json"), "[]").expect("written");
        let out = self.job(&format!("file://{}", self.store.0.display()), &[("PASSPHRASE_FILE", &pass)]).await;
        assert!(out.status.success(), "the job: {}", String::from_utf8_lossy(&out.stderr));
        let mut entry = manifest(&self.store.0)[0].clone();
        fs::rename(at(entry["key"].as_str().expect("a key")), at("b.gpg")).expect("renamed");
        let gpg = ["--homedir", &home, "--batch", "--yes", "--pinentry-mode", "loopback", "--passphrase-file", &pass];
        piped("gpg", &[&gpg[..], &["--output", &at("plain.gz"), "--decrypt", &at("b.gpg")]].concat());
        piped("gzip", &["--decompress", "--force", &at("plain.gz")]);
        let plain = fs::read_to_string(at("plain")).expect("a dump");
        let edited = edit(plain.clone());
        if edited != plain {
            fs::write(at("plain"), edited).expect("written");
            piped("gzip", &["--force", &at("plain")]);
            piped("gpg", &[&gpg[..], &["--output", &at("b.gpg"), "--symmetric", &at("plain.gz")]].concat());
        }
        for name in ["plain", "plain.gz"] {
            let _ = fs::remove_file(at(name));
        }
        let mut bytes = fs::read(at("b.gpg")).expect("encrypted");
        spoil(&mut bytes);
        fs::write(at("b.gpg"), &bytes).expect("written");
        let taken = jiff::Timestamp::from_second(drbot::clock::now().0 / 1000 - hours * 3600).expect("a time");
        let sha: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        let changed = json!({"key": "b.gpg", "sha256": sha, "bytes": bytes.len(), "taken_at": taken.to_string()});
        entry.as_object_mut().expect("an entry").extend(changed.as_object().expect("an object").clone());
        let list = json!([entry]);
        fs::write(at("manifest.json"), list.to_string()).expect("written");
        self.saas.vendors.with(|b| b.manifest = list);
    }
}

/// What the list says is what the database held and the file is; a second run adds to it, and only what is the
/// application's and the rows of its accounts go along.
#[tokio::test]
async fn the_backup_job_says_what_it_took() {
    let loss = stage().await;
    let folder = &loss.store.0;
    fs::write(folder.join("manifest.json"), "[]").expect("written");
    let store = format!("file://{}", folder.display());
    for number in [1, 2] {
        let out = loss.job(&store, &[]).await;
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        assert_eq!(manifest(folder).as_array().expect("a list").len(), number);
        // The key is the second of the snapshot.
        tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    }
    let entry = manifest(folder)[1].clone();
    let file = folder.join(entry["key"].as_str().expect("a key"));
    let bytes = fs::read(&file).expect("the backup");
    let sha: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!((entry["sha256"].as_str(), entry["bytes"].as_u64()), (Some(sha.as_str()), Some(bytes.len() as u64)));
    for table in COUNTED {
        let sql = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
        let url = loss.saas.database.superuser_url_of(SAAS);
        let mut conn = loss.saas.database.connect(&url).await.expect("a session");
        let n: i64 = sqlx::query_scalar(sql).fetch_one(&mut conn).await.expect(table);
        assert_eq!(entry["counts"][table].as_i64(), Some(n), "{table}");
    }
    let home = loss.home();
    let gpg = ["--homedir", &home, "--batch", "--yes", "--pinentry-mode", "loopback", "--passphrase", PASSPHRASE];
    let out = folder.join("out.gz").display().to_string();
    piped("gpg", &[&gpg[..], &["--output", &out, "--decrypt", &file.display().to_string()]].concat());
    piped("gzip", &["--decompress", &out]);
    let dump = fs::read_to_string(folder.join("out")).expect("a dump");
    assert!(dump.contains("COPY auth.users (") && dump.contains("COPY public.bookings ("));
    for foreign in [
        "CREATE TABLE auth.",
        "COPY auth.sessions",
        "CREATE SCHEMA public;",
        "CREATE SCHEMA drbot",
        "OWNER TO",
        "FOR ROLE",
    ] {
        assert!(!dump.contains(foreign), "the dump holds `{foreign}`");
    }
    loss.saas.finish();
}

/// A dump that fails in its middle, or a store that takes nothing, is never in the list.
#[tokio::test]
async fn a_backup_that_failed_is_no_backup() {
    let loss = stage().await;
    let folder = &loss.store.0;
    let store = format!("file://{}", folder.display());
    let out = loss.job(&store, &[]).await;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success() && said.contains("before the first run put a file there that holds []"), "{said}");
    fs::write(folder.join("manifest.json"), "[]").expect("written");
    let tries = [
        (("ACCOUNTS", "auth.users auth.nothing"), "auth.nothing"),
        (("SCHEMAS", "public nothing"), "nothing"),
        (("PASSPHRASE_FILE", "/nowhere"), "/nowhere"),
        (("SERVICE", "nobody"), "nobody"),
        (("FOLDER", ""), "FOLDER is not set"),
    ];
    for (wrong, part) in tries {
        let out = loss.job(&store, &[wrong]).await;
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!out.status.success() && said.contains(part), "{wrong:?}: {} {said}", out.status);
    }
    // One that may not read everything.
    loss.saas.sql(&format!("CREATE ROLE poor LOGIN PASSWORD '{PASSWORD}'; GRANT USAGE ON SCHEMA auth TO poor; GRANT SELECT ON ALL TABLES IN SCHEMA auth TO poor; GRANT SELECT ON ALL TABLES IN SCHEMA public TO poor; REVOKE SELECT ON audit_trail FROM poor, PUBLIC")).await;
    let path = format!("{}/poor", loss.home());
    let service =
        fs::read_to_string(format!("{}/live", loss.home())).expect("a service").replace("user=backup", "user=poor");
    fs::write(&path, service).expect("written");
    let out = loss.job(&store, &[("PGSERVICEFILE", &path)]).await;
    assert!(!out.status.success(), "{out:?}");
    assert_eq!(manifest(folder), json!([]), "nothing was listed");
    assert_eq!(fs::read_dir(folder).expect("the store").count(), 1, "nothing was stored");
    loss.saas.finish();
}
