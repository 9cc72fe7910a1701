//! Total data loss: what a dump, its store and its loader may do. A dump that holds commands for psql is
//! refused before it is loaded; the loader is nobody special; the store's key is never seen.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use drbot::practice::scratch::PASSWORD;
use drbot::practice::slack::plain_text;
use sqlx::Connection;

use crate::moto::Moto;
use crate::scenario_s9::{COUNTED, Loss, NEW, PASSPHRASE, RECOVERY, recovery, stage, staged};
use crate::world::{CHANNEL, approval_id};

type Edit = fn(&str) -> String;

/// Ways to have psql run a command, each a change of a sound dump. `TOKEN` is the dump's own; `RUN` creates
/// the canary.
const DISGUISES: [(&str, Edit); 10] = [
    ("before \\restrict", |d| format!("RUN\n{d}")),
    ("after the data of a COPY", |d| free(d).replacen("\n\\.\n", "\n\\.\nRUN\n", 1)),
    ("after a \\restrict that is a comment", |d| format!("/*\n\\restrict A\n*/\nRUN\n{}", free(d))),
    ("after a \\restrict in a quoted text", |d| format!("SELECT '\n\\restrict A\n';\nRUN\n{}", free(d))),
    ("after a \\restrict in a text that a carriage return hides", |d| {
        format!("-- x\rSELECT '\n\\restrict A\n';\nRUN\n{}", free(d))
    }),
    ("with the line ends of another system", |d| free(d).replacen("\n\\.\n", "\n\\.\nRUN\n", 1).replace('\n', "\r\n")),
    ("after a second \\unrestrict", |d| d.replacen("\n\\.\n", "\n\\.\n  \\unrestrict TOKEN\nRUN\n", 1)),
    ("between two dumps", |d| between(d, "RUN\n")),
    ("after a second \\restrict that is a comment", |d| between(d, "/*\n\\restrict A\n*/\nRUN\n")),
    ("behind a comment after \\unrestrict", |d| format!("{d}-- x\rRUN\n")),
];

/// The dump without \restrict and \unrestrict, as older programs write it.
fn free(dump: &str) -> String {
    let kept = dump.lines().filter(|l| !l.starts_with("\\restrict ") && !l.starts_with("\\unrestrict "));
    kept.map(|l| format!("{l}\n")).collect()
}

/// With this after the first of its two dumps.
fn between(dump: &str, text: &str) -> String {
    let (first, second) = dump.split_once("\n\\unrestrict ").expect("the first dump's end");
    let (token, second) = second.split_once('\n').expect("a line");
    format!("{first}\n\\unrestrict {token}\n{text}{second}")
}

fn disguised(dump: &str, how: Edit, canary: &Path) -> String {
    let token = dump.lines().find_map(|l| l.strip_prefix("\\restrict ")).expect("pg_dump writes \\restrict");
    how(dump).replace("TOKEN", token).replace("RUN", &format!("\\! touch {} #", canary.display()))
}

impl Loss {
    /// The card of incident `number` that says this.
    async fn card(&self, number: usize, part: &str) -> String {
        let name = format!("INC-{number} ");
        self.saas.see(|t| t.contains(&name) && t.contains(part)).await
    }

    /// Runs until the download was approved, in an incident of its own.
    pub async fn to_the_download(&self, number: usize) {
        let say = async |who: &str, text: String| self.saas.world.say(who, &text).await;
        say("alice", format!("declare try {number}")).await;
        let said = say("alice", format!("run INC-{number} S9 confirm_project={NEW} sha=0123abc")).await;
        assert!(said.starts_with("Started"), "{said}");
        self.card(number, "Or type: /dr done team").await;
        say("bob", format!("done INC-{number} team alice leads")).await;
        let name = format!("INC-{number} ");
        let wanted = |t: &str| t.contains(&name) && t.contains("/dr approve") && t.contains("Download the newest");
        let card = self.saas.world.see(wanted).await;
        say("bob", format!("approve {}", approval_id(&card))).await;
    }
}

/// psql by hand, as the page would have it: whether the canary was made.
fn by_hand(loss: &Loss, dump: &Path, canary: &Path) -> bool {
    let _ = fs::remove_file(canary);
    let url = loss.saas.database.superuser_url_of("by_hand");
    let flags = ["-X", "-q", "-o", "/dev/null", "-d", &url, "-f"];
    let run = Command::new("psql").args(flags).arg(dump).output().expect("psql");
    drop(run);
    let made = canary.exists();
    let _ = fs::remove_file(canary);
    made
}

/// Each disguise works on psql by hand, and in the runbook step `scan` refuses it and nothing was run or loaded.
#[tokio::test]
async fn a_dump_with_commands_for_psql_is_refused() {
    let loss = stage().await;
    recovery(&loss.saas, "by_hand").await;
    let (canary, plain) = (loss.store.0.join("canary"), loss.store.0.join("disguised"));
    let before = loss.catalog().await;
    for (i, (name, how)) in DISGUISES.into_iter().enumerate() {
        let number = i + 1;
        let edit = |dump: String| {
            let dump = disguised(&dump, how, &canary);
            fs::write(&plain, &dump).expect("written");
            dump
        };
        loss.back_up_edited(2, PASSPHRASE, edit, |_| {}).await;
        assert!(by_hand(&loss, &plain, &canary), "{name}: this is no command to psql, so nothing is proved");
        loss.to_the_download(number).await;
        let card = loss.card(number, "did not go through").await;
        assert!(card.contains("holds a backslash command"), "{name}: {card}");
        assert!(!canary.exists(), "{name}: the command ran");
        assert_eq!(loss.catalog().await, before, "{name}: something was loaded");
        assert!(loss.clean(), "{name}: plaintext is left");
        loss.saas.world.say("alice", &format!("abort INC-{number} tried")).await;
    }
    loss.saas.finish();
}

/// psql joins what a NUL cuts: such a dump is not what the scan reads, so it is refused as well.
#[tokio::test]
async fn a_dump_with_a_nul_is_refused() {
    let loss = stage().await;
    recovery(&loss.saas, "by_hand").await;
    let (canary, plain) = (loss.store.0.join("canary"), loss.store.0.join("disguised"));
    let before = loss.catalog().await;
    let how: Edit = |d| d.replacen("\n\\.\n", "\n\\.\n\\unre\0 nothing\nstrict TOKEN\nRUN\n", 1);
    let edit = |dump: String| {
        let dump = disguised(&dump, how, &canary);
        fs::write(&plain, &dump).expect("written");
        dump
    };
    loss.back_up_edited(2, PASSPHRASE, edit, |_| {}).await;
    assert!(by_hand(&loss, &plain, &canary), "psql does not join these lines, so nothing is proved");
    loss.to_the_download(1).await;
    let card = loss.card(1, "did not go through").await;
    assert!(card.contains("1 lines with a NUL"), "{card}");
    assert!(!canary.exists() && loss.catalog().await == before && loss.clean());
    loss.saas.finish();
}

/// Command lines, looked at again and again.
struct Watch {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<BTreeSet<String>>,
}

impl Watch {
    /// Of the processes that were given `home`, which is what the target's programs are.
    fn begin(home: String) -> Watch {
        let stop = Arc::new(AtomicBool::new(false));
        let heard = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut seen = BTreeSet::new();
            while !heard.load(Ordering::Relaxed) {
                for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
                    let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
                    if String::from_utf8_lossy(&read("environ")).contains(&home) {
                        seen.insert(String::from_utf8_lossy(&read("cmdline")).replace('\0', " "));
                    }
                }
            }
            seen
        });
        Watch { stop, thread }
    }

    fn end(self) -> BTreeSet<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the watch")
    }
}

/// From a store that wants signatures, by a role that owns one schema; no secret in a card, a log, a file of
/// output or a command line.
#[tokio::test]
async fn the_store_is_asked_with_a_key_that_nobody_sees_and_loaded_by_nobody_special() {
    let moto = Moto::start().await;
    let loss = staged("total-data-loss", Some(&moto), |_, _| {}).await;
    let saas = &loss.saas;
    saas.vendors.with(|b| b.supabase.projects.insert(NEW.into(), "ACTIVE_HEALTHY".into()));
    moto.put(&[("drbot/manifest.json", b"[]".as_slice())]).await;
    let adds = format!("{}/adds", loss.home());
    fs::write(&adds, &moto.adds).expect("written");
    let out = loss.job(&moto.address("drbot"), &[("STORE_CONFIG", &adds)]).await;
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "the job: {}", String::from_utf8_lossy(&out.stderr));
    let key = said.split(' ').nth(1).expect("the backup's name");
    let watch = Watch::begin(loss.home());
    loss.begin().await;
    saas.approve("step: Download the newest backup", &["bob"]).await;
    saas.approve("step: Load the backup", &["bob", "carol"]).await;
    let card = saas.see(|t| t.contains("Or type: /dr done surroundings")).await;
    let lines = watch.end();
    assert!(card.contains("the off-site store answers 200"), "{card}");
    let called = |part: &str| lines.iter().any(|l| l.contains(part));
    assert!(called("curl --config") && called("gpg --batch"), "the watch saw nothing: {lines:?}");
    for table in COUNTED {
        assert_eq!(loss.fingerprint(table).await, saas.fingerprint(table).await, "{table}");
    }
    assert_eq!(
        rights(&loss).await,
        "false supabase_migrations restorer",
        "superuser, where it may create besides public, whose the tables are"
    );
    let fetched = moto.log().matches(&format!("/backups/drbot/{key} HTTP")).count();
    assert_eq!(fetched, 2, "put once, fetched once: {}", moto.log());
    let chat: Vec<String> = saas.world.slack.messages(CHANNEL).iter().map(plain_text).collect();
    let mut everything = vec![("log", saas.world.bot.log()), ("chat", chat.concat())];
    everything.push(("command lines", lines.into_iter().collect::<Vec<_>>().join("\n")));
    for entry in fs::read_dir(saas.world.folder().join("drbot.db.output")).expect("the output").flatten() {
        everything.push(("output", fs::read_to_string(entry.path()).unwrap_or_default()));
    }
    let stored: Vec<u8> = ["drbot.db", "drbot.db-wal"]
        .iter()
        .flat_map(|n| fs::read(saas.world.folder().join(n)).unwrap_or_default())
        .collect();
    everything.push(("store", String::from_utf8_lossy(&stored).into_owned()));
    for secret in [moto.secret.as_str(), &moto.access, PASSPHRASE, PASSWORD] {
        let shown = everything.iter().find(|(_, text)| text.contains(secret));
        assert!(shown.is_none(), "a secret is in the {}", shown.map_or("", |(name, _)| *name));
    }
    saas.finish();
}

/// Who loaded: superuser or not, schemas besides public that it may create in, and who owns what came.
async fn rights(loss: &Loss) -> String {
    let url = loss.saas.database.superuser_url_of(RECOVERY);
    let mut conn = loss.saas.database.connect(&url).await.expect("a session");
    let sql = "select concat_ws(' ', (select rolsuper::text from pg_roles where rolname = 'restorer'),
        (select string_agg(nspname, ',' order by nspname) from pg_namespace where nspname <> 'public' and has_schema_privilege('restorer', oid, 'create')),
        (select string_agg(distinct tableowner, ',') from pg_tables where schemaname = 'public'))";
    let said = sqlx::query_scalar(sql).fetch_one(&mut conn).await.expect("an answer");
    conn.close().await.expect("closed");
    said
}
