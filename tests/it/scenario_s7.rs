//! A security breach through the running bot: evidence first, containment that contains, exactly the grants
//! of the account taken back; and what the page would have done, in transactions that are rolled back.

use std::path::{Path, PathBuf};
use std::process::Command;

use drbot::practice::bot::Wiring;
use drbot::practice::scratch::PASSWORD;
use drbot::practice::slack::plain_text;
use sha2::{Digest, Sha256};
use url::Url;

use crate::saas::{SAAS, Saas, rights};
use crate::support::Folder;
use crate::vendors::supabase::SECRET;
use crate::world::{CHANNEL, LIMIT};

const RUNBOOK: &str = "security-breach";
const KEY: &str = "evidence@booking.example";
const ADDRESS: &str = "203.0.113.7";

/// User 9 guesses its way in from nowhere, makes itself and user 40 admin and gives every admin a role;
/// user 2, an admin, grants one role rightly; user 30 travels where it has been before.
const BREACH: &str = "
insert into login_history (user_id, ip_address, location_country, success, login_time)
select id('user-9'), '203.0.113.7', 'NL', false, now() - interval '3 hours' - n * interval '5 minutes' from generate_series(1, 6) n;
insert into login_history (user_id, ip_address, location_country, user_agent, login_time) values
  (id('user-9'), '203.0.113.7', null, 'curl', now() - interval '3 hours'),
  (id('user-30'), '192.0.2.99', 'FR', 'browser', now() - interval '20 days'),
  (id('user-30'), '192.0.2.99', 'FR', 'browser', now() - interval '1 hour');
insert into user_roles values
  (id('user-9'), 'admin', now() - interval '2 hours'), (id('user-40'), 'admin', now() - interval '100 minutes'),
  (id('user-1'), 'owner', now() - interval '99 minutes'), (id('user-2'), 'owner', now() - interval '98 minutes'),
  (id('user-3'), 'owner', now() - interval '97 minutes'), (id('user-50'), 'owner', now() - interval '1 hour');
insert into security_events_log (user_id, event_type, severity, event_data, created_at)
select id('user-' || a.actor), 'role_assigned', 'high',
       jsonb_build_object('target_user_id', id('user-' || a.target), 'role', a.role), now() - a.ago * interval '1 minute'
from (values (9, 9, 'admin', 120), (9, 40, 'admin', 100), (9, 1, 'owner', 99), (9, 2, 'owner', 98), (9, 3, 'owner', 97),
             (2, 50, 'owner', 60)) as a(actor, target, role, ago);
insert into audit_trail (table_name, operation, performed_by, performed_at) values ('bookings', 'UPDATE', id('user-9'), now() - interval '90 minutes');";

/// An event with an id that is none.
const BAD_ID: &str = "insert into security_events_log (user_id, event_type, event_data, created_at) values (id('user-9'), 'role_assigned', '{\"target_user_id\": \"not-an-id\", \"role\": \"admin\"}', now() - interval '80 minutes')";

/// The page's role-back, to the letter but for its placeholders.
const LITERAL_ROLES: &str = "DELETE FROM user_roles WHERE user_id IN (
  SELECT DISTINCT jsonb_extract_path_text(event_data, 'target_user_id')::uuid FROM security_events_log
  WHERE user_id = id('user-9') AND event_type = 'role_assigned' AND created_at > now() - interval '4 hours')";
const LITERAL_LOGINS: &str = "SELECT count(*)::text FROM login_history
  WHERE (risk_score > 70 OR location_country NOT IN ('NL', 'BE', 'DE') OR flagged_as_suspicious = true)
  AND login_time > NOW() - INTERVAL '7 days' AND user_id = id('user-9')";
const LITERAL_CONTAIN: &str = "
  UPDATE user_sessions SET is_active = false, updated_at = NOW() WHERE user_id = id('user-9') AND is_active = true;
  UPDATE user_security_settings SET force_password_change = true, password_changed_at = NOW() WHERE user_id = id('user-9')";

/// The bot with the scenario's targets, and the key that evidence is encrypted to.
pub struct Breach {
    pub saas: Saas,
    key: Folder,
    evidence: PathBuf,
}

impl Drop for Breach {
    fn drop(&mut self) {
        // The agent that gpg started for this folder.
        drop(Command::new("gpgconf").arg("--homedir").arg(&self.key.0).args(["--kill", "all"]).status());
    }
}

pub async fn stage() -> Breach {
    staged(|_| ()).await
}

/// The same with a changed wiring.
pub async fn staged(change: impl FnOnce(&mut Wiring)) -> Breach {
    let key = Folder::new();
    let mut evidence = PathBuf::new();
    gpg(&key.0, &["--passphrase", "", "--pinentry-mode", "loopback", "--quick-gen-key", KEY, "default", "default"]);
    let saas = Saas::start(RUNBOOK, &rights(RUNBOOK), |w, vendors| {
        evidence = PathBuf::from(format!("{}.output", w.store.trim_start_matches("sqlite://")));
        let port = Url::parse(&w.targets[0].1).expect("a URL").port().expect("a port");
        w.more_targets.push(vendors.target("supabase-auth", "auth", ("apikey", SECRET)));
        let service = key.0.join("pg_service.conf");
        let login = format!("host=127.0.0.1\nport={port}\nuser=drbot_observer\npassword={PASSWORD}\ndbname={SAAS}");
        std::fs::write(&service, format!("[drbot-evidence]\n{login}\n")).expect("written");
        w.more_targets.push(format!(
            "evidence-tools: {{ programs: {{ psql: /usr/bin/psql, gpg: /usr/bin/gpg, find: /usr/bin/find }}, env: {{ PGSERVICEFILE: \"{}\", GNUPGHOME: \"{}\" }} }}",
            service.display(),
            key.0.display()
        ));
        for (name, value) in [("evidence_key", KEY.to_owned()), ("evidence_folder", evidence.display().to_string())] {
            w.parameters.push((RUNBOOK.into(), name.into(), value));
        }
        change(w);
    })
    .await;
    saas.sql(BREACH).await;
    Breach { saas, key, evidence }
}

fn gpg(home: &Path, args: &[&str]) -> Vec<u8> {
    let out = Command::new("gpg").arg("--homedir").arg(home).args(["--batch", "--quiet"]).args(args).output();
    let out = out.expect("gpg");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

impl Breach {
    /// Starts the runbook for user 9, four hours back.
    async fn run(&self, more: &str) {
        let since = jiff::Timestamp::from_millisecond(drbot::clock::now().0 - 4 * 3_600_000).expect("a time");
        let user = self.saas.ask("select id('user-9')::text").await;
        let said = self.saas.world.say("alice", &format!("run {RUNBOOK} user={user} since={since} {more}")).await;
        assert!(said.starts_with("Started"), "{said}");
    }

    async fn card(&self, part: &str) -> String {
        self.saas.see(|t| t.contains("INC-1 Security") && t.contains(part)).await
    }

    /// What the vendor does with a ban: it stands in its own table.
    pub async fn banned(&self) {
        let bans = || self.saas.vendors.with(|b| (!b.supabase.bans.is_empty()).then_some(()));
        assert!(self.saas.world.slack.wait(LIMIT, bans).await.is_some(), "no ban was set");
        self.saas
            .sql("update auth.users set banned_until = now() + interval '168 hours' where id = id('user-9')")
            .await;
    }

    async fn next(&self) {
        self.saas.world.say("alice", "next").await;
    }
}

/// Points 1, 2, 3, 4 and 6: the harm of the page's letter, none of which stays.
#[tokio::test]
async fn s7_1_2_3_4_6_the_letter_of_the_page_does_harm() {
    let Breach { saas, .. } = &stage().await;
    assert_eq!(saas.ask(LITERAL_LOGINS).await, "0", "s7_1: a login from nowhere vanishes");
    saas.world.say("alice", "status").await;
    let status = saas.see(|t| t.contains("S7") && !t.contains("hecking")).await;
    for part in [
        "RED",
        "1 suspicious logins of 1 accounts (1 from no known country)",
        "1 accounts with 5 failed",
        "5 roles granted by nobody who may (2 of them admin)",
    ] {
        assert!(status.contains(part), "{part}: {status}");
    }
    let sessions = "select count(*)::text from auth.sessions where user_id = id('user-9')";
    assert_eq!(saas.harm(LITERAL_CONTAIN, sessions).await, "1", "s7_2: Auth goes on");
    let changed =
        "select (password_changed_at is not null)::text from user_security_settings where user_id = id('user-9')";
    assert_eq!(saas.harm(LITERAL_CONTAIN, changed).await, "true", "s7_3: a change that nobody made is recorded");
    let admins = "select count(*)::text from user_roles where role = 'admin'";
    assert_eq!(saas.harm("select 1", admins).await, "5");
    assert_eq!(saas.harm(LITERAL_ROLES, admins).await, "0", "s7_4: everybody is locked out");
    saas.sql(BAD_ID).await;
    let aborted = saas.database.admin(SAAS, LITERAL_ROLES).await.expect_err("one bad id");
    assert!(aborted.to_string().contains("invalid input syntax for type uuid"), "s7_4: {aborted}");
    for literal in [
        "INSERT INTO webhook_events (event_type, event_data) VALUES ('x', jsonb_build_object('affected_users', ARRAY[...]))",
        "\\copy (SELECT * FROM security_events_log) TO 'breach_evidence.csv' CSV HEADER;",
    ] {
        let refused = saas.database.admin(SAAS, literal).await.expect_err(literal);
        assert!(refused.to_string().contains("syntax error"), "s7_5, s7_6: {refused}");
    }
    saas.finish();
}

/// Points 2 to 7: the whole way from red to contained, each step refused once where it can be, and again.
#[tokio::test]
async fn s7_2_3_4_5_6_7_contained_with_evidence_first() {
    let breach = stage().await;
    let saas = &breach.saas;
    saas.sql(BAD_ID).await;
    let before = [saas.fingerprint("user_roles").await, saas.fingerprint("user_security_settings").await];
    let mail = saas.fingerprint("webhook_events").await;
    saas.world.say("alice", &format!("declare {RUNBOOK}")).await;
    let bare = saas.world.say("alice", &format!("run {RUNBOOK}")).await;
    assert!(bare.contains("needs a value") && bare.contains("Listing `user`"), "nobody is a default: {bare}");
    let user = saas.ask("select id('user-9')::text").await;
    let shown = saas.choose("user", &[]).await;
    assert!(
        shown[0].starts_with(&format!("{}: 7 odd logins, newest from an unknown country", &user[..8])),
        "{shown:?}"
    );
    assert!(shown.iter().all(|label| !label.contains('@')), "accounts are told by their ids: {shown:?}");

    breach.run("evidence_key=nobody@booking.example").await;
    breach.card("program 2 ended with code 2").await;
    breach.run("").await;
    breach.card("step: Ban the account").await;
    evidence_is_kept(&breach).await;
    assert_eq!(saas.vendors.changes().len(), 0, "s7_5: evidence comes before containment");

    contain(&breach).await;
    let card = saas.approve("step: Take back the roles", &["bob"]).await;
    for part in ["destructive", "5 rows", "admins_left", "needs 2 more", "must not be listed"] {
        assert!(card.contains(part), "{part}: {card}");
    }
    assert_eq!(saas.fingerprint("user_roles").await, before[0], "one person is not enough");
    saas.approve("step: Take back the roles", &["carol"]).await;
    let card = saas.approve("step: Require a second factor", &["bob"]).await;
    assert!(card.contains("3 rows"), "the admins that are left: {card}");
    let asked = breach.card("clock of 72 hours").await;
    assert!(asked.contains("private channel") && asked.contains("Nothing is sent by drbot"), "s7_6, s7_7: {asked}");
    assert_eq!(saas.fingerprint("webhook_events").await, mail, "s7_6: no mail by inserting a row");
    let done = saas.world.say("alice", "done notice Legal approved text 3 at 10:00").await;
    assert!(done.contains("is done"), "{done}");
    // Recovered is one thing, the notice another: its clock goes on until somebody reports it.
    breach.card("Send the notice to the data protection authority").await;
    assert!(saas.world.say("alice", "skip notice-sent the facts are missing").await.contains("Skipped"));
    let card = breach.card("Recovered after").await;
    assert!(card.contains("0 roles left that the account granted") && card.contains("3 other admins"), "{card}");

    assert!(card.contains("Notice to the data protection authority (72 h)") && card.contains("71 h 5"), "{card}");
    let sent = saas.world.say("bob", "done notice-sent number 4711").await;
    assert!(sent.contains("The clock of Notice") && sent.contains("71 h 5"), "{sent}");
    breach.card("done by Bob at").await;

    let left =
        "select string_agg(role, ',' order by role) from user_roles where user_id in (id('user-1'), id('user-50'))";
    assert_eq!(saas.ask(left).await, "admin,owner,staff", "s7_4: roles held before and granted rightly stay");
    let flag = "select (force_password_change and password_changed_at is null)::text from user_security_settings where user_id = id('user-9')";
    assert_eq!(saas.ask(flag).await, "true", "s7_3: only the flag");
    let told: String = saas.world.slack.messages(CHANNEL).iter().map(plain_text).collect();
    assert!(!told.contains(ADDRESS) && !told.contains("user9@"), "s7_7: no personal data in chat");
    assert!(!saas.shown("logins").await.contains(ADDRESS), "s7_7: masked");

    saas.world.say("alice", "status").await;
    saas.see(|t| t.contains("S7") && t.contains("green")).await;
    again_and_undone(&breach, &before).await;
}

/// Bans, ends sessions and sets the flag; each is refused once, and then nothing is half done.
async fn contain(breach: &Breach) {
    let saas = &breach.saas;
    saas.vendors.with(|b| b.supabase.change_fault = Some(403));
    saas.approve("step: Ban the account", &["bob"]).await;
    breach.card("answered 403").await;
    saas.vendors.with(|b| b.supabase.change_fault = None);
    breach.next().await;
    saas.approve("step: Ban the account", &["bob"]).await;
    breach.banned().await;
    let bans = saas.vendors.with(|b| b.supabase.bans.clone().into_iter().collect::<Vec<_>>());
    assert_eq!(bans, [(saas.ask("select id('user-9')::text").await, "168h".to_owned())]);

    saas.sql("revoke delete on auth.sessions from drbot_operator").await;
    let sessions = saas.fingerprint("user_sessions").await;
    saas.approve("step: End every session", &["bob"]).await;
    breach.card("permission denied").await;
    assert_eq!(saas.fingerprint("user_sessions").await, sessions, "nothing half done");
    saas.sql("grant delete on auth.sessions to drbot_operator").await;
    breach.next().await;
    saas.approve("step: End every session", &["bob"]).await;
    saas.approve("choose a new password\n", &["bob"]).await;
    breach.card("1 account must change its password").await;
    let open = "select (select count(*) from auth.sessions where user_id = id('user-9')) || ' ' || (select count(*) from auth.sessions)
        || ' ' || (select count(*) from user_sessions where not is_active)";
    assert_eq!(saas.ask(open).await, "0 39 1", "s7_2: this account's sessions, in Auth too, and no other's");
}

/// Point 5: each attempt has a file of its own, nobody can read it without the key, and its hash is recorded.
async fn evidence_is_kept(breach: &Breach) {
    let file = breach.evidence.join("inc-1.r2.evidence.1.txt");
    let sealed = std::fs::read(&file).expect("the evidence of the second run");
    assert!(!String::from_utf8_lossy(&sealed).contains(ADDRESS), "s7_5: encrypted");
    let hash = hex::encode(Sha256::digest(&sealed));
    let shown = breach.saas.shown("evidence-hash").await;
    assert!(shown.contains(&hash[..40]), "s7_5: {hash} in {shown}");
    let open = gpg(&breach.key.0, &["--decrypt", &file.display().to_string()]);
    let open = String::from_utf8(open).expect("text");
    for part in ["source,at,content", ADDRESS, "role_assigned", "not-an-id", "audit_trail", "auth.sessions"] {
        assert!(open.contains(part), "{part} is in the evidence");
    }
}

/// A second run finds nothing to do; and what the cards say about undoing brings the tables back.
async fn again_and_undone(breach: &Breach, before: &[String; 2]) {
    let saas = &breach.saas;
    let changes = saas.vendors.changes().len();
    saas.world.say("alice", &format!("declare {RUNBOOK}")).await;
    breach.run("").await;
    saas.see(|t| t.contains("INC-2") && t.matches("nothing to do").count() == 5).await;
    saas.see(|t| t.contains("INC-2") && t.contains("clock of 72 hours")).await;
    assert_eq!(saas.vendors.changes().len(), changes);
    saas.sql(
        "insert into user_roles select id('user-' || a.target), a.role, e.created_at
         from (values (9, 'admin'), (40, 'admin'), (1, 'owner'), (2, 'owner'), (3, 'owner')) as a(target, role)
         join security_events_log e on e.event_data->>'target_user_id' = id('user-' || a.target)::text and e.event_data->>'role' = a.role;
         update user_security_settings set force_password_change = false where user_id = id('user-9');
         update user_security_settings set two_factor_required = false where user_id in (id('user-1'), id('user-2'), id('user-3'))",
    )
    .await;
    let now = [saas.fingerprint("user_roles").await, saas.fingerprint("user_security_settings").await];
    assert_eq!(now, *before);
    saas.finish();
}

/// Point 4: where only the account itself would be left as admin, the step refuses in words.
#[tokio::test]
async fn s7_4_refused_where_no_admin_would_remain() {
    let breach = stage().await;
    let saas = &breach.saas;
    saas.sql(
        "delete from user_roles where role = 'admin' and user_id in (id('user-1'), id('user-2'), id('user-3'));
         update auth.users set banned_until = now() + interval '7 days' where id = id('user-9');
         delete from auth.sessions where user_id = id('user-9');
         update user_sessions set is_active = false where user_id = id('user-9');
         update user_security_settings set force_password_change = true where user_id = id('user-9')",
    )
    .await;
    let roles = saas.fingerprint("user_roles").await;
    saas.world.say("alice", &format!("declare {RUNBOOK}")).await;
    breach.run("").await;
    let card = breach.card("no admin would remain").await;
    assert!(!card.contains("Exactly this runs"), "{card}");
    assert_eq!((saas.fingerprint("user_roles").await, saas.vendors.changes().len()), (roles, 0));
    saas.finish();
}
