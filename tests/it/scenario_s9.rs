//! Total data loss through the running bot: a real dump, encrypted by gpg, is fetched from a store, judged at
//! every stage and loaded into an empty and tagged database; what is not sound leaves that database as it was.

use std::fs;
use std::path::Path;
use std::process::Command;

use drbot::execute::sql::grants;
use drbot::practice::scratch::PASSWORD;
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::Connection;

use crate::saas::{SAAS, Saas, rights};
use crate::support::Folder;
use crate::vendors::supabase::{REF, TOKEN};

const RUNBOOK: &str = "total-data-loss";
const RECOVERY: &str = "recovery";
/// The recovery project's ref, as its tag says.
const NEW: &str = "zyxwvutsrqponmlkjihg";
const PASSPHRASE: &str = "a-passphrase-for-backups";
const PROGRAMS: [&str; 16] = [
    "awk",
    "curl",
    "cut",
    "diff",
    "find",
    "gpg",
    "grep",
    "gzip",
    "jq",
    "paste",
    "psql",
    "rm",
    "sha256sum",
    "sort",
    "tee",
    "wc",
];
const CATALOG: &str =
    "select coalesce(md5(string_agg(c.oid || ' ' || c.relname || ' ' || c.relkind::text, '|' order by c.oid)), 'empty')
  from pg_class c where c.relnamespace = 'public'::regnamespace";
const COUNTED: [&str; 16] = [
    "users",
    "user_roles",
    "user_sessions",
    "user_security_settings",
    "calendars",
    "calendar_settings",
    "bookings",
    "booking_payments",
    "payment_settings",
    "business_stripe_accounts",
    "webhook_events",
    "whatsapp_conversations",
    "whatsapp_messages",
    "login_history",
    "security_events_log",
    "audit_trail",
];

/// The bot, the recovery database, and the store's and the restore's folders.
struct Loss {
    saas: Saas,
    store: Folder,
    work: Folder,
    _gpg: Folder,
}

async fn stage() -> Loss {
    let (store, work, home) = (Folder::new(), Folder::new(), Folder::new());
    fs::write(home.0.join("pass"), PASSPHRASE).expect("written");
    fs::write(home.0.join("curl"), "").expect("written");
    let saas = Saas::start(RUNBOOK, "", |w, vendors| {
        let url = |url: &str| url.replace(&format!("/{SAAS}?"), &format!("/{RECOVERY}?"));
        let main = w.targets[0].clone();
        w.targets.push(("recovery-db".into(), url(&main.1), url(&main.2)));
        w.more_targets.push(vendors.target("supabase", "management", ("Authorization", &format!("Bearer {TOKEN}"))));
        w.more_targets.push(vendors.target("github", "github", ("Authorization", "Bearer unused-here")));
        w.more_targets.push(vendors.target("backup-store", "store", ("Authorization", "Bearer store")));
        let programs = PROGRAMS.map(|p| format!("{p}: /usr/bin/{p}")).join(", ");
        let at = home.0.display();
        w.more_targets.push(format!(
            "restore-tools: {{ programs: {{ {programs} }}, env: {{ GNUPGHOME: \"{at}\", PGSERVICEFILE: \"{at}/service\" }} }}"
        ));
        let values = [
            ("project", REF.to_owned()),
            ("store", format!("file://{}", store.0.display())),
            ("store_config", format!("{at}/curl")),
            ("passphrase_file", format!("{at}/pass")),
            ("folder", work.0.display().to_string()),
            ("owner", "booking".to_owned()),
            ("repository", "saas".to_owned()),
        ];
        w.parameters.extend(values.map(|(name, value)| (RUNBOOK.into(), name.into(), value)));
    })
    .await;
    let port = saas.database.port();
    let login = format!("host=127.0.0.1\nport={port}\nuser=restorer\npassword={PASSWORD}\ndbname={RECOVERY}");
    fs::write(home.0.join("service"), format!("[recovery]\n{login}\n")).expect("written");
    saas.sql(&format!("CREATE DATABASE {RECOVERY}")).await;
    saas.sql(&format!("CREATE ROLE restorer LOGIN SUPERUSER PASSWORD '{PASSWORD}'")).await;
    let tag = rights(RUNBOOK).replace("REF OF THE RECOVERY PROJECT", NEW);
    for sql in [grants("recovery-db", RECOVERY), tag] {
        saas.database.admin(RECOVERY, &sql).await.expect("the recovery database");
    }
    Loss { saas, store, work, _gpg: home }
}

fn run(program: &str, args: &[&str]) {
    let out = Command::new(program).args(args).output().expect(program);
    assert!(out.status.success(), "{program}: {}", String::from_utf8_lossy(&out.stderr));
}

impl Loss {
    /// Backs the SaaS up as the backup job does, `hours` ago; `spoil` changes the encrypted file.
    async fn back_up(&self, hours: i64, passphrase: &str, spoil: impl FnOnce(&mut [u8])) {
        let at = |name: &str| self.store.0.join(name).display().to_string();
        let from = self.saas.database.url("restorer", PASSWORD, SAAS);
        run("pg_dump", &["--exclude-schema=drbot", "--exclude-schema=drbot_recovery", "--file", &at("plain"), &from]);
        run("gzip", &["--force", &at("plain")]);
        let home = self._gpg.0.display().to_string();
        let key = ["--pinentry-mode", "loopback", "--passphrase", passphrase, "--symmetric", "--yes"];
        let files = ["--output".to_owned(), at("b.gpg"), at("plain.gz")];
        let all: Vec<&str> =
            ["--homedir", &home, "--batch"].into_iter().chain(key).chain(files.iter().map(String::as_str)).collect();
        run("gpg", &all);
        fs::remove_file(at("plain.gz")).expect("removed");
        let mut bytes = fs::read(at("b.gpg")).expect("encrypted");
        spoil(&mut bytes);
        fs::write(at("b.gpg"), &bytes).expect("written");
        let mut counts = serde_json::Map::new();
        let mut conn = self.saas.database.connect(&self.saas.database.superuser_url_of(SAAS)).await.expect("a session");
        for table in COUNTED {
            let sql = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
            let n: i64 = sqlx::query_scalar(sql).fetch_one(&mut conn).await.expect(table);
            counts.insert(table.to_owned(), n.into());
        }
        conn.close().await.expect("closed");
        counts.insert("granted_anon".into(), 0.into());
        counts.insert("granted_authenticated".into(), 0.into());
        let taken = jiff::Timestamp::from_second(drbot::clock::now().0 / 1000 - hours * 3600).expect("a time");
        let sha: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        let list = json!([{"key": "b.gpg", "sha256": sha, "bytes": bytes.len(), "taken_at": taken.to_string(), "counts": counts}]);
        fs::write(at("manifest.json"), list.to_string()).expect("written");
        self.saas.vendors.with(|b| b.manifest = list);
    }

    async fn catalog(&self) -> String {
        let url = self.saas.database.superuser_url_of(RECOVERY);
        let mut conn = self.saas.database.connect(&url).await.expect("a session");
        sqlx::query_scalar(CATALOG).fetch_one(&mut conn).await.expect("the catalog")
    }

    async fn begin(&self) {
        self.saas.world.say("alice", "declare S9").await;
        let said = self.saas.world.say("alice", &format!("run S9 confirm_project={NEW} sha=0123abc")).await;
        assert!(said.starts_with("Started"), "{said}");
        self.saas.see(|t| t.contains("Or type: /dr done team")).await;
        let said = self.saas.world.say("bob", "done team alice leads").await;
        assert!(said.contains("is done"), "{said}");
    }

    /// No plaintext of the restore is left.
    fn clean(&self) -> bool {
        let plain = |name: &str| self.work.0.join(name).exists();
        !plain("backup.sql") && !plain("backup.sql.gz")
    }
}

fn flip(bytes: &mut [u8]) {
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
}

/// A changed file whose checksum in the manifest is that of the changed file: gpg's own line stops it.
#[tokio::test]
async fn s9_3_a_tampered_backup_leaves_the_target_as_it_was() {
    let loss = stage().await;
    loss.saas.vendors.with(|b| b.supabase.projects.insert(REF.into(), "INACTIVE".into()));
    loss.back_up(2, PASSPHRASE, flip).await;
    let before = loss.catalog().await;
    loss.begin().await;
    loss.saas.approve("b.gpg", &["bob"]).await;
    let card = loss.saas.see(|t| t.contains("gpg says:")).await;
    assert!(card.contains("BADMDC"), "{card}");
    loss.saas.see(|t| t.contains("plaintext files in")).await;
    assert_eq!(loss.catalog().await, before);
    assert!(loss.clean() && Path::new(&loss.work.0).exists());
    loss.saas.finish();
}
