//! Total data loss through the running bot: a real dump, encrypted by gpg, is fetched from a store, judged at
//! every stage and loaded into an empty and tagged database; what is not sound leaves that database as it was.

use std::fs;
use std::path::Path;

use drbot::execute::sql::grants;
use drbot::practice::bot::Wiring;
use drbot::practice::scratch::PASSWORD;
use sqlx::Connection;

use crate::moto::{Moto, curl};
use crate::saas::{SAAS, Saas, rights};
use crate::scenario_smoke::{SECRET, behind, synthetic};
use crate::support::Folder;
use crate::vendors::Vendors;
use crate::vendors::stripe::KEY;
use crate::vendors::supabase::{REF, TOKEN};
use crate::world::LIMIT;

const RUNBOOK: &str = "total-data-loss";
/// What restores, on the day and in a drill.
const PART: &str = "restore-backup";
pub const RECOVERY: &str = "recovery";
/// The recovery project's ref, as its tag says.
pub const NEW: &str = "zyxwvutsrqponmlkjihg";
pub const PASSPHRASE: &str = "a-passphrase-for-backups";
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
pub const CATALOG: &str =
    "select coalesce(md5(string_agg(c.oid || ' ' || c.relname || ' ' || c.relkind::text, '|' order by c.oid)), 'empty')
  from pg_class c where c.relnamespace = 'public'::regnamespace";
pub const COUNTED: [&str; 16] = [
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
pub struct Loss {
    pub saas: Saas,
    pub store: Folder,
    pub work: Folder,
    _gpg: Folder,
}

pub async fn stage() -> Loss {
    staged(RUNBOOK, None, |_, _| {}).await
}

/// The same with another runbook, which leads to this one, and with the backups in a real object store; `change`
/// adds what that runbook needs.
pub async fn staged(runbook: &str, remote: Option<&Moto>, change: impl FnOnce(&mut Wiring, &Vendors)) -> Loss {
    let (store, work, home) = (Folder::new(), Folder::new(), Folder::new());
    fs::write(home.0.join("pass"), PASSPHRASE).expect("written");
    let config = remote.map_or_else(String::new, |m| curl(&m.access, &m.secret));
    fs::write(home.0.join("curl"), config).expect("written");
    let user = synthetic(&home.0, SECRET);
    let saas = Saas::start(runbook, &rights("stripe-webhook-failures"), |w, vendors| {
        let url = |url: &str| url.replace(&format!("/{SAAS}?"), &format!("/{RECOVERY}?"));
        let main = w.targets[0].clone();
        w.targets.push(("recovery-db".into(), url(&main.1), url(&main.2)));
        w.more_targets.push(vendors.target("supabase", "management", ("Authorization", &format!("Bearer {TOKEN}"))));
        w.more_targets.push(vendors.target("github", "github", ("Authorization", &format!("Bearer {}", crate::vendors::github::TOKEN))));
        w.more_targets.push(stripe_target(vendors));
        let folder = || vendors.target("backup-store", "store", ("Authorization", "Bearer store"));
        w.more_targets.push(remote.map_or_else(folder, |m| m.target("drbot/")));
        let programs = PROGRAMS.map(|p| format!("{p}: /usr/bin/{p}")).join(", ");
        let at = home.0.display();
        w.more_targets.push(format!(
            "restore-tools: {{ programs: {{ {programs} }}, env: {{ GNUPGHOME: \"{at}\", PGSERVICEFILE: \"{at}/service\" }} }}"
        ));
        let values = [
            ("project", REF.to_owned()),
            ("store", remote.map_or_else(|| format!("file://{}", store.0.display()), |m| m.address("drbot"))),
            ("store_config", format!("{at}/curl")),
            ("passphrase_file", format!("{at}/pass")),
            ("folder", work.0.display().to_string()),
            ("owner", "booking".to_owned()),
            ("repository", "saas".to_owned()),
            ("smoke_url", vendors.base("project")),
            ("smoke_service", "recovery".to_owned()),
            ("payments_back", "10d".to_owned()),
        ];
        let mut given: Vec<(String, String)> = values.into_iter().chain(user).map(|(n, v)| (n.to_owned(), v)).collect();
        // What restores takes its values wherever it is contained.
        given.retain(|(name, value)| {
            let own = ["store", "store_config", "passphrase_file", "folder"].contains(&name.as_str());
            w.parameters.extend(own.then(|| (PART.to_owned(), name.clone(), value.clone())));
            !own || name == "folder"
        });
        // A drill and a restore stand alone.
        given.retain(|_| !["drill", PART].contains(&runbook));
        w.parameters.extend(given.into_iter().map(|(name, value)| (RUNBOOK.to_owned(), name, value)));
        change(w, vendors);
    })
    .await;
    let port = saas.database.port();
    let login = format!("host=127.0.0.1\nport={port}\nuser=restorer\npassword={PASSWORD}\ndbname={RECOVERY}");
    fs::write(home.0.join("service"), format!("[recovery]\n{login}\n")).expect("written");
    let live = format!("host=127.0.0.1\nport={port}\nuser=backup\npassword={PASSWORD}\ndbname={SAAS}");
    fs::write(home.0.join("live"), format!("[live]\n{live}\n")).expect("written");
    saas.sql(&format!("CREATE ROLE backup LOGIN BYPASSRLS PASSWORD '{PASSWORD}'; GRANT pg_read_all_data TO backup"))
        .await;
    saas.sql("ALTER TABLE user_security_settings ADD FOREIGN KEY (user_id) REFERENCES auth.users").await;
    saas.sql(&format!("CREATE ROLE restorer LOGIN PASSWORD '{PASSWORD}'")).await;
    recovery(&saas, RECOVERY).await;
    behind(&saas, RECOVERY);
    paid(&saas).await;
    saas.vendors.with(|b| b.github.variables.insert("SUPABASE_PROJECT".into(), REF.into()));
    Loss { saas, store, work, _gpg: home }
}

/// An empty recovery project: the vendor's tables are there, it is tagged, and a role that is no superuser loads it.
pub async fn recovery(saas: &Saas, name: &str) {
    saas.sql(&format!("CREATE DATABASE {name}")).await;
    let managed: Vec<&str> =
        include_str!("saas.sql").lines().filter(|l| l.starts_with("CREATE") && l.contains(" auth")).collect();
    let owner = format!(
        "ALTER SCHEMA public OWNER TO restorer; GRANT CREATE ON DATABASE {name} TO restorer;
         GRANT USAGE ON SCHEMA auth TO restorer; GRANT ALL ON ALL TABLES IN SCHEMA auth TO restorer"
    );
    let tag = rights(RUNBOOK).replace("REF OF THE RECOVERY PROJECT", NEW);
    for sql in [managed.join("\n"), owner, grants("recovery-db", name), tag] {
        saas.database.admin(name, &sql).await.expect("the recovery database");
    }
}

fn stripe_target(vendors: &Vendors) -> String {
    vendors.target("stripe", "stripe", ("Authorization", &format!("Bearer {KEY}")))
}

/// Stripe knows every payment that stands in the database.
async fn paid(saas: &Saas) {
    let rows = "select json_agg(json_build_object('id', stripe_payment_intent_id, 'object', 'payment_intent',
          'status', 'succeeded', 'amount', amount_cents, 'amount_received', amount_cents, 'currency', currency,
          'created', extract(epoch from created_at)::bigint, 'transfer_data', json_build_object('destination', stripe_account_id),
          'latest_charge', json_build_object('id', 'ch_' || id, 'object', 'charge', 'refunded', false,
          'created', extract(epoch from paid_at)::bigint)))::text from booking_payments";
    let all: Vec<serde_json::Value> = serde_json::from_str(&saas.ask(rows).await).expect("JSON");
    let named = all.into_iter().map(|i| (i["id"].as_str().expect("an id").to_owned(), i));
    saas.vendors.with(|b| b.stripe.intents.extend(named));
}

impl Loss {
    /// Waits until the live database's rows were counted and kept.
    async fn counted(&self) {
        sqlx::any::install_default_drivers();
        let mut store = sqlx::AnyConnection::connect(&self.saas.world.store).await.expect("the bot's store");
        for _ in 0..300 {
            let kept: i64 =
                sqlx::query_scalar("SELECT count(*) FROM kept").fetch_one(&mut store).await.expect("a count");
            if kept > 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("nothing was kept: {}", self.saas.world.bot.log());
    }

    pub async fn catalog(&self) -> String {
        let url = self.saas.database.superuser_url_of(RECOVERY);
        let mut conn = self.saas.database.connect(&url).await.expect("a session");
        sqlx::query_scalar(CATALOG).fetch_one(&mut conn).await.expect("the catalog")
    }

    pub async fn fingerprint(&self, table: &str) -> String {
        let sql = format!("select coalesce(md5(string_agg(t::text, '|' order by t::text)), 'empty') from {table} t");
        let url = self.saas.database.superuser_url_of(RECOVERY);
        let mut conn = self.saas.database.connect(&url).await.expect("a session");
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut conn).await.expect(table)
    }

    /// Waits until the server itself answers so.
    async fn until(&self, sql: &'static str, wanted: &str) {
        let until = tokio::time::Instant::now() + LIMIT;
        while self.saas.ask(sql).await != wanted {
            assert!(tokio::time::Instant::now() < until, "`{sql}` never gave {wanted}: {}", self.saas.world.bot.log());
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    pub async fn begin(&self) {
        self.saas.world.say("alice", "declare S9").await;
        let said = self.saas.world.say("alice", &format!("run S9 confirm_project={NEW} sha=0123abc")).await;
        assert!(said.starts_with("Started"), "{said}");
        self.saas.see(|t| t.contains("Or type: /dr done team")).await;
        let said = self.saas.world.say("bob", "done team alice leads").await;
        assert!(said.contains("is done"), "{said}");
    }

    /// gpg's own folder, which holds the files with secrets too.
    pub fn home(&self) -> String {
        self._gpg.0.display().to_string()
    }

    /// No plaintext of the restore is left.
    pub fn clean(&self) -> bool {
        let plain = |name: &str| self.work.0.join(name).exists();
        !plain("backup.sql") && !plain("backup.sql.gz")
    }
}

fn flip(bytes: &mut [u8]) {
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
}

/// The whole way: from the alarm to an application that runs on the recovery project, with the same rows. The
/// vendor's backups went with the project (S9.1); what no dump holds is asked of people (S1.9); the application
/// is pointed elsewhere by a variable and a workflow at one commit, not by editing a file (S1.10); and the time it
/// took is held against the objectives, step by step (S9.4).
#[tokio::test]
async fn the_newest_backup_is_restored_and_proved() {
    let loss = stage().await;
    let saas = &loss.saas;
    saas.vendors.with(|b| b.supabase.projects.insert(NEW.into(), "ACTIVE_HEALTHY".into()));
    loss.counted().await;
    // One payment was counted and is in no backup.
    saas.sql("delete from booking_payments where id = (select min(id::text)::uuid from booking_payments)").await;
    loss.back_up(2, PASSPHRASE, |_| {}).await;
    loss.begin().await;
    saas.approve("step: Download the newest backup", &["bob"]).await;
    let card = saas.approve("step: Load the backup", &["bob"]).await;
    assert!(card.contains("destructive") && card.contains("needs 2 more") && card.contains(NEW), "{card}");
    assert_eq!(loss.catalog().await, "empty", "one person is not enough");
    saas.approve("step: Load the backup", &["carol"]).await;
    saas.see(|t| t.contains("Or type: /dr done surroundings")).await;
    assert!(loss.clean(), "the plaintext is gone before anybody goes on");
    for table in COUNTED {
        assert_eq!(loss.fingerprint(table).await, saas.fingerprint(table).await, "{table}");
    }
    for table in ["auth.users", "auth.identities", "auth.mfa_factors"] {
        assert_eq!(loss.fingerprint(table).await, saas.fingerprint(table).await, "{table}: nobody could log in");
    }
    let lost = saas.world.show("lost").await;
    assert!(lost.contains("booking_payments          1 "), "the missing payment comes first: {lost}");
    saas.world.say("bob", "done surroundings all eleven are there").await;
    let card = saas.approve("step: Point the repository variable", &["bob", "carol"]).await;
    assert!(card.contains("old_value") && card.contains(REF) && card.contains(NEW), "{card}");
    saas.approve("step: Deploy the application", &["bob", "carol"]).await;
    assert_eq!(saas.vendors.with(|b| b.github.variables["SUPABASE_PROJECT"].clone()), NEW);
    let card = saas.approve("step: Make the test booking", &["bob"]).await;
    assert!(
        card.contains("Set the open payments to succeeded that Stripe says are paid (skipped): nothing to do"),
        "{card}"
    );
    assert_eq!(saas.vendors.with(|b| b.github.deployed.clone()), [(NEW.to_owned(), "0123abc".to_owned())]);
    saas.approve("step: Remove the test booking", &["bob"]).await;
    saas.see(|t| t.contains("Or type: /dr done smoke-whatsapp")).await;
    assert_eq!(loss.fingerprint("bookings").await, saas.fingerprint("bookings").await, "the test booking is gone");
    saas.world.say("bob", "done smoke-whatsapp it answered").await;
    let card = saas.see(|t| t.contains("Recovered after") && t.contains("16 of 16 critical tables")).await;
    assert!(
        card.contains(" of 4 h RTO") && card.contains(" of 2 h MTTR") && card.matches("(done in ").count() > 15,
        "{card}"
    );
    assert!(
        card.contains("121 payments of Stripe looked at: 121 equal, 0 differ, 0 missing here (none open)"),
        "{card}"
    );
    // Taken back, the variable is exactly what it was.
    saas.world.say("alice", "undo point").await;
    saas.approve("step: Point the repository variable SUPABASE_PROJECT back", &["bob", "carol"]).await;
    saas.see(|t| t.contains(&format!("SUPABASE_PROJECT is {REF}"))).await;
    assert_eq!(saas.vendors.with(|b| b.github.variables["SUPABASE_PROJECT"].clone()), REF);
    saas.finish();
}

/// What is not sound: how the backup is spoiled, what the card must say, and the step at which it stops.
async fn refused(hours: i64, passphrase: &str, spoil: impl FnOnce(&mut Vec<u8>), said: &str) {
    let loss = stage().await;
    loss.back_up(hours, passphrase, spoil).await;
    let before = loss.catalog().await;
    loss.begin().await;
    loss.saas.approve("b.gpg", &["bob", "carol"]).await;
    let card = loss.saas.see(|t| t.contains(said) && t.contains("did not go through")).await;
    assert!(!card.contains("Load the backup into the empty recovery project zyxwvutsrqponmlkjihg (done"), "{card}");
    assert_eq!(loss.catalog().await, before, "the target is as it was");
    assert!(loss.clean() && Path::new(&loss.work.0).exists());
    loss.saas.finish();
}

/// A changed file whose checksum in the manifest is that of the changed file: gpg's own line stops it.
#[tokio::test]
async fn s9_3_a_tampered_backup_leaves_the_target_as_it_was() {
    refused(2, PASSPHRASE, |bytes| flip(bytes), "BADMDC").await;
}

#[tokio::test]
async fn s9_3_a_truncated_backup_leaves_the_target_as_it_was() {
    refused(2, PASSPHRASE, |bytes| bytes.truncate(bytes.len() * 2 / 3), "gpg says: ").await;
}

#[tokio::test]
async fn s9_3_a_backup_for_another_key_leaves_the_target_as_it_was() {
    refused(2, "not-the-passphrase", |_| {}, "DECRYPTION_FAILED").await;
}

const LOADING: &str =
    "select count(*)::text from pg_stat_activity where application_name = 'drbot-restore' and query ilike 'refresh%'";
const SESSIONS: &str = "select count(*)::text from pg_stat_activity where application_name = 'drbot-restore'";

/// The bot dies in the middle of the load, whose last statement takes a while.
async fn crashed() -> Loss {
    let mut loss = stage().await;
    loss.saas.sql("create materialized view slow as select pg_sleep(5)::text as slept").await;
    loss.back_up(2, PASSPHRASE, |_| {}).await;
    loss.begin().await;
    loss.saas.approve("step: Download the newest backup", &["bob"]).await;
    loss.saas.approve("step: Load the backup", &["bob", "carol"]).await;
    loss.until(LOADING, "1").await;
    loss.saas.world.bot.kill();
    assert!(!loss.clean() && loss.catalog().await == "empty", "it died with the plaintext there and nothing loaded");
    loss
}

/// The load died with it: its one transaction leaves nothing, and after the restart the plaintext is removed
/// without anybody's help.
#[tokio::test]
async fn a_crash_that_ends_the_load_leaves_nothing() {
    let mut loss = crashed().await;
    loss.saas
        .sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'drbot-restore'")
        .await;
    loss.until(SESSIONS, "0").await;
    loss.saas.world.bot.again().await.expect("started again");
    let card = loss.saas.see(|t| t.contains("Remove the plaintext (done")).await;
    assert!(card.contains("0 plaintext files in") && card.contains("Load the backup into"), "{card}");
    assert!(loss.clean());
    assert_eq!(loss.catalog().await, "empty");
    loss.saas.finish();
}

/// The load outlived the bot: the probe says so, nothing is loaded twice, and the plaintext goes as well.
#[tokio::test]
async fn a_load_that_outlives_the_bot_is_known_and_cleaned_up() {
    let mut loss = crashed().await;
    loss.until(SESSIONS, "0").await;
    loss.saas.world.bot.again().await.expect("started again");
    loss.saas.see(|t| t.contains("Or type: /dr done surroundings")).await;
    assert!(loss.clean());
    for table in COUNTED {
        assert_eq!(loss.fingerprint(table).await, loss.saas.fingerprint(table).await, "{table}");
    }
    loss.saas.finish();
}

/// Older than the RPO: another step, which says so in its title and needs two people.
#[tokio::test]
async fn s9_2_an_old_backup_needs_the_loss_accepted() {
    let loss = stage().await;
    loss.back_up(50, PASSPHRASE, |_| {}).await;
    loss.begin().await;
    let card = loss.saas.approve("Accept the loss of everything after taken_at", &["bob"]).await;
    for part in ["destructive", "needs 2 more", "hours_lost", "50"] {
        assert!(card.contains(part), "{part}: {card}");
    }
    assert!(card.contains("Download the newest backup (skipped): nothing to do"), "{card}");
    assert!(!loss.work.0.join("backup.sql.gz.gpg").exists(), "nothing is fetched before the second person");
    loss.saas.approve("Accept the loss of everything after taken_at", &["carol"]).await;
    loss.saas.see(|t| t.contains("step: Load the backup")).await;
    loss.saas.finish();
}

/// Nothing is loaded into a database that holds something, that says nothing about itself, or that is live.
#[tokio::test]
async fn s9_3_only_an_empty_database_that_says_it_is_the_recovery() {
    let loss = stage().await;
    let (saas, admin) = (&loss.saas, |sql: &'static str| loss.saas.database.admin(RECOVERY, sql));
    loss.back_up(2, PASSPHRASE, |_| {}).await;
    let before = loss.catalog().await;
    let start = async |given: &str, incident: u32| {
        saas.world.say("alice", &format!("declare try {incident}")).await;
        let said = saas.world.say("alice", &format!("run INC-{incident} S9 {given} sha=0123abc")).await;
        if !said.starts_with("Started") {
            return said;
        }
        saas.see(|t| t.contains(&format!("INC-{incident} ")) && t.contains("Or type: /dr done team")).await;
        saas.world.say("bob", &format!("done INC-{incident} team alice leads")).await;
        saas.see(|t| t.contains(&format!("INC-{incident} ")) && t.contains("target did not go through")).await;
        saas.world.say("alice", &format!("abort INC-{incident} tried")).await
    };
    let live = start(&format!("confirm_project={REF}"), 1).await;
    assert!(live.contains("never onto the live project"), "{live}");
    start("confirm_project=tsrqponmlkjihgfedcba", 2).await;
    admin("create table here (id int)").await.expect("made");
    start(&format!("confirm_project={NEW}"), 3).await;
    admin("drop table here; delete from drbot_recovery.project").await.expect("untagged");
    start(&format!("confirm_project={NEW}"), 4).await;
    assert_eq!(loss.catalog().await, before);
    saas.finish();
}
