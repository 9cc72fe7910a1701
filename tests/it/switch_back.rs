//! The way back from the recovery project: writes are frozen, what was written meanwhile is kept, and the old
//! project gets its name and its commit again. The judges are the database itself and the vendors' records.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use drbot::practice::scratch::PASSWORD;

use crate::saas::{SAAS, Saas};
use crate::support::Folder;
use crate::vendors::supabase::{REF, SPARE, TOKEN};

const RUNBOOK: &str = "switch-back";
const TAG: &str = "create schema drbot_recovery; create table drbot_recovery.project (ref text primary key);
  insert into drbot_recovery.project values ('zyxwvutsrqponmlkjihg');
  grant usage on schema drbot_recovery to drbot_observer; grant select on drbot_recovery.project to drbot_observer";
const WRITE: &str = "update bookings set status = 'moved' where id = id('booking-1')";

pub struct Stage {
    pub saas: Saas,
    home: Folder,
}

/// The database with the SaaS's rows is the recovery one here; the application runs on it.
pub async fn stage() -> Stage {
    let home = Folder::new();
    let at = home.0.display().to_string();
    // As the runbook wants it: gpg warns about a folder that others may read.
    fs::set_permissions(&home.0, fs::Permissions::from_mode(0o700)).expect("closed");
    fs::write(home.0.join("pass"), "a-passphrase").expect("written");
    let saas = Saas::start(RUNBOOK, TAG, |w, vendors| {
        let main = w.targets[0].clone();
        w.targets.push(("recovery-db".into(), main.1, main.2));
        let programs = ["awk", "gpg", "install", "psql", "sha256sum"].map(|p| format!("{p}: /usr/bin/{p}")).join(", ");
        w.more_targets.push(format!(
            "restore-tools: {{ programs: {{ {programs} }}, env: {{ GNUPGHOME: \"{at}\", PGSERVICEFILE: \"{at}/service\" }} }}"
        ));
        w.more_targets.push(vendors.target("supabase", "management", ("Authorization", &format!("Bearer {TOKEN}"))));
        let github = format!("Bearer {}", crate::vendors::github::TOKEN);
        w.more_targets.push(vendors.target("github", "github", ("Authorization", &github)));
        let values = [
            ("project", REF.to_owned()),
            ("owner", "booking".to_owned()),
            ("repository", "saas".to_owned()),
            ("passphrase_file", format!("{at}/pass")),
            ("folder", at.clone()),
        ];
        w.parameters.extend(values.map(|(name, value)| (RUNBOOK.into(), name.into(), value)));
    })
    .await;
    saas.sql(&format!("CREATE ROLE restorer LOGIN SUPERUSER PASSWORD '{PASSWORD}'")).await;
    let port = saas.database.port();
    let login = format!("host=127.0.0.1\nport={port}\nuser=restorer\npassword={PASSWORD}\ndbname={SAAS}");
    fs::write(home.0.join("service"), format!("[recovery]\n{login}\n")).expect("written");
    saas.vendors.with(|b| {
        b.supabase.projects.insert(REF.into(), "ACTIVE_HEALTHY".into());
        b.github.variables.insert("SUPABASE_PROJECT".into(), SPARE.into());
    });
    Stage { saas, home }
}

impl Stage {
    /// Whether the application, as a session of its own, could write now. What it writes is rolled back.
    async fn writable(&self) -> Result<(), String> {
        let url = self.saas.database.url("restorer", PASSWORD, SAAS);
        let mut conn = self.saas.database.connect(&url).await.expect("a session");
        let done = sqlx::raw_sql(sqlx::AssertSqlSafe(format!("BEGIN; {WRITE}; ROLLBACK"))).execute(&mut conn).await;
        done.map(|_| ()).map_err(|e| e.to_string())
    }

    /// What the export holds, decrypted by hand.
    fn delta(&self) -> String {
        let file = self.home.0.join(format!("switch-back.{SPARE}.delta.gpg"));
        let mut gpg = Command::new("gpg");
        gpg.args(["--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "a-passphrase", "--homedir"]);
        let out = gpg.arg(&self.home.0).arg("--decrypt").arg(file).output().expect("gpg");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    fn variable(&self) -> String {
        self.saas.vendors.with(|b| b.github.variables["SUPABASE_PROJECT"].clone())
    }
}

#[tokio::test]
async fn s1_12_what_was_written_meanwhile_is_kept_and_the_old_project_is_back() {
    let stage = stage().await;
    let saas = &stage.saas;
    let since = saas
        .ask("select to_char(now() at time zone 'utc' + interval '1 second', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")
        .await;
    saas.ask("select pg_sleep(2)::text").await;
    // Written after the cut-over: a git revert would have forgotten both.
    saas.sql("insert into bookings (id, calendar_id, customer_name, starts_at) values (id('meanwhile'), id('calendar-1'), 'Meanwhile', now()); update bookings set status = 'canceled', updated_at = now() where id = id('booking-7')").await;
    let before = saas.fingerprint("bookings").await;
    let mut app = saas.database.connect(&saas.database.url("restorer", PASSWORD, SAAS)).await.expect("a session");
    saas.world.say("alice", "declare back").await;
    let said = saas.world.say("alice", &format!("run back confirm_project={SPARE} since={since} sha=old1234")).await;
    assert!(said.starts_with("Started"), "{said}");
    let card = saas.approve("step: Freeze writes", &["bob"]).await;
    assert!(card.contains("needs 2 more") && stage.writable().await.is_ok(), "{card}");
    saas.approve("step: Freeze writes", &["carol"]).await;
    let card = saas.approve("step: Point the repository variable", &["bob", "carol"]).await;
    assert!(card.contains("2 rows of 10 tables lie in") && card.contains("SHA-256"), "{card}");
    assert!(stage.writable().await.expect_err("frozen").contains("read-only"), "it can still be written");
    assert!(sqlx::query("select 1").execute(&mut app).await.is_err(), "an open session would write on");
    let ids = ["select id('meanwhile')::text", "select id('booking-7')::text", "select id('booking-8')::text"];
    let delta = stage.delta();
    assert!(delta.contains(&saas.ask(ids[0]).await) && delta.contains(&saas.ask(ids[1]).await), "{delta}");
    assert!(!delta.contains(&saas.ask(ids[2]).await), "what was there before the cut-over is no delta");
    saas.approve("step: Deploy commit old1234", &["bob", "carol"]).await;
    saas.see(|t| t.contains("Recovered and verified") && t.contains("lies encrypted there")).await;
    assert_eq!(stage.variable(), REF);
    assert_eq!(saas.vendors.with(|b| b.github.deployed.clone()), [(REF.to_owned(), "old1234".to_owned())]);
    saas.world.say("alice", "undo freeze").await;
    saas.approve("step: Let the recovery database", &["bob"]).await;
    saas.see(|t| t.contains("0 databases are frozen")).await;
    assert_eq!(stage.writable().await, Ok(()));
    assert_eq!(saas.fingerprint("bookings").await, before);
    saas.finish();
}

/// A ref that is not the recovery database's freezes nothing, and an old project that is down is no way back.
#[tokio::test]
async fn nothing_is_frozen_where_it_is_not_meant() {
    let stage = stage().await;
    let saas = &stage.saas;
    let given = "since=2026-11-22T10:00:00Z sha=old1234";
    saas.world.say("alice", "declare back").await;
    let said = saas.world.say("alice", &format!("run back confirm_project={REF} {given}")).await;
    assert!(said.contains("nothing to switch between"), "{said}");
    saas.vendors.with(|b| b.supabase.projects.insert(REF.into(), "INACTIVE".into()));
    saas.world.say("alice", &format!("run back confirm_project=tsrqponmlkjihgfedcba {given}")).await;
    saas.see(|t| t.contains("old-lives did not go through")).await;
    saas.vendors.with(|b| b.supabase.projects.insert(REF.into(), "ACTIVE_HEALTHY".into()));
    saas.world.say("alice", "next").await;
    saas.see(|t| t.contains("right-one did not go through")).await;
    assert_eq!(stage.writable().await, Ok(()));
    assert_eq!(stage.variable(), SPARE);
    saas.finish();
}
