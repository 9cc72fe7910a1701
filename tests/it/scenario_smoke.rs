//! The smoke test through the running bot: a synthetic user signs in, looks, books, and everything of it is
//! removed again, also where a part fails. The judges are the database and the vendor's record of requests.

use std::fs;
use std::path::Path;

use drbot::practice::scratch::PASSWORD;
use drbot::practice::slack::plain_text;

use crate::saas::{SAAS, Saas, rights};
use crate::support::Folder;
use crate::vendors::supabase::ANON;
use crate::world::CHANNEL;

/// `id('user-4')` of the schema, who owns the first calendar.
const USER: &str = "24b299d7-67a9-79b1-ef4b-2e634067c8ad";
const RUNBOOK: &str = "smoke-test";
pub const SECRET: &str = "a-password-that-nobody-may-see";
/// What a test could leave something in.
const TABLES: [&str; 7] =
    ["users", "calendars", "bookings", "booking_payments", "whatsapp_messages", "audit_trail", "auth.sessions"];

pub struct Stage {
    pub saas: Saas,
    home: Folder,
}

/// The synthetic user is the one who owns the first calendar.
pub async fn stage(password: &str) -> Stage {
    let home = Folder::new();
    let at = home.0.display().to_string();
    let values = synthetic(&home.0, password);
    let saas = Saas::start(RUNBOOK, &rights(RUNBOOK), |w, vendors| {
        let programs = ["curl", "find", "jq", "psql", "rm", "tee"].map(|p| format!("{p}: /usr/bin/{p}")).join(", ");
        w.more_targets.push(format!(
            "restore-tools: {{ programs: {{ {programs} }}, env: {{ PGSERVICEFILE: \"{at}/service\" }} }}"
        ));
        let more =
            [("smoke_url", vendors.base("project")), ("smoke_service", "live".to_owned()), ("folder", at.clone())];
        w.parameters.extend(values.into_iter().chain(more).map(|(name, value)| (RUNBOOK.into(), name.into(), value)));
    })
    .await;
    let port = saas.database.port();
    let service =
        format!("[live]\nhost=127.0.0.1\nport={port}\nuser=drbot_observer\npassword={PASSWORD}\ndbname={SAAS}\n");
    fs::write(home.0.join("service"), service).expect("written");
    saas.sql("delete from auth.sessions where user_id = id('user-4')").await;
    behind(&saas, SAAS);
    Stage { saas, home }
}

/// What signs the synthetic user in, as files; gives the parameters that name them.
pub fn synthetic(folder: &Path, password: &str) -> [(&'static str, String); 3] {
    let at = folder.display();
    fs::write(folder.join("key"), format!("header = \"apikey: {ANON}\"\n")).expect("written");
    let body = format!("{{\\\"email\\\": \\\"smoke@booking.example\\\", \\\"password\\\": \\\"{password}\\\"}}");
    let login = format!("header = \"Content-Type: application/json\"\ndata = \"{body}\"\n");
    fs::write(folder.join("login"), login).expect("written");
    let files = ("smoke_config", format!("{at}/key"));
    [files, ("smoke_login", format!("{at}/login")), ("smoke_user", USER.to_owned())]
}

/// Puts this database behind the project's interface, with the synthetic user's account.
pub fn behind(saas: &Saas, database: &str) {
    saas.vendors.with(|b| {
        b.project.url = saas.database.superuser_url_of(database);
        b.project.users.insert("smoke@booking.example".into(), (SECRET.into(), USER.to_owned()));
    });
}

impl Stage {
    async fn fingerprints(&self) -> Vec<String> {
        let mut all = Vec::new();
        for table in TABLES {
            all.push(format!("{table} {}", self.saas.fingerprint(table).await));
        }
        all
    }

    /// What drbot said and kept: the channel, and every file of its own.
    fn seen(&self) -> String {
        let said = self.saas.world.slack.messages(CHANNEL).iter().map(plain_text).collect::<Vec<_>>().join("\n");
        said + &read_all(self.saas.world.folder())
    }

    /// The record of what was asked of the project, without what only reads.
    fn changes(&self) -> Vec<String> {
        let all = self.saas.vendors.changes();
        all.iter().map(|g| format!("{} {}", g.method, g.path)).filter(|l| !l.ends_with("/token")).collect()
    }

    /// A test of which a part fails: it stops at the verdict, and nothing is left.
    async fn not_passed(&self, before: &[String]) -> String {
        let card = self.saas.see(|t| t.contains("verdict did not go through")).await;
        assert_eq!(self.fingerprints().await, before);
        assert!(!card.contains("Note that everything so far went through (done"), "{card}");
        card
    }

    pub fn finish(&self) {
        let seen = self.seen();
        assert!(!seen.contains(SECRET) && !seen.contains("practice.access.token"), "a secret was shown or kept");
        assert!(!read_all(&self.home.0).contains("practice.access.token"), "a token is in a file");
        assert!(!self.home.0.join("smoke.passed").exists());
        self.saas.finish();
    }
}

/// Everything below a folder, as text.
pub fn read_all(folder: &Path) -> String {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    let one = |e: fs::DirEntry| match e.path().is_dir() {
        true => read_all(&e.path()),
        false => fs::read(e.path()).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default(),
    };
    entries.map(one).collect()
}

#[tokio::test]
async fn a_synthetic_user_tries_everything_and_leaves_nothing() {
    let stage = stage(SECRET).await;
    let saas = &stage.saas;
    let before = stage.fingerprints().await;
    saas.world.say("alice", "declare smoke").await;
    saas.world.say("alice", "run smoke").await;
    let card = saas.approve("step: Make the test booking", &["bob"]).await;
    assert!(card.contains("Read the history of payments as that user (done"), "{card}");
    let card = saas.approve("step: Remove the test booking", &["bob"]).await;
    assert!(card.contains("1 of 1 test booking is in the database") && card.contains("drbot smoke test"), "{card}");
    assert_eq!(saas.ask("select count(*)::text from bookings where customer_name = 'drbot smoke test'").await, "1");
    saas.see(|t| t.contains("Or type: /dr done whatsapp")).await;
    assert_eq!(stage.fingerprints().await, before);
    saas.world.say("bob", "done whatsapp the bot answered").await;
    let card = saas.see(|t| t.contains("Recovered and verified")).await;
    assert!(card.contains("0 test bookings, 0 payments of them and 0 sessions"), "{card}");
    let wanted = ["POST /project/rest/v1/bookings", "DELETE /project/rest/v1/bookings", "POST /project/auth/v1/logout"];
    assert_eq!(stage.changes(), wanted);
    stage.finish();
}

/// The tables are there and the grants are not: what a restore without them looks like to users.
#[tokio::test]
async fn a_part_that_fails_is_never_a_pass_and_leaves_nothing() {
    let stage = stage(SECRET).await;
    let saas = &stage.saas;
    let before = stage.fingerprints().await;
    saas.vendors.with(|b| b.project.fault = Some(("GET /project/rest/v1/booking_payments", 403)));
    saas.world.say("alice", "declare smoke").await;
    saas.world.say("alice", "run smoke").await;
    let card = stage.not_passed(&before).await;
    assert!(card.contains("Read the history of payments as that user (failed, the run went on)"), "{card}");
    assert_eq!(stage.changes(), ["POST /project/auth/v1/logout"], "nothing was booked");
    // The booking is there, and then it cannot be seen.
    saas.world.say("alice", "abort INC-1 next").await;
    saas.vendors.with(|b| b.project.fault = None);
    saas.world.say("alice", "declare again").await;
    saas.world.say("alice", "run INC-2 smoke").await;
    saas.vendors.with(|b| b.project.blind = true);
    saas.approve("step: Make the test booking", &["bob"]).await;
    let card = saas.approve("step: Remove the test booking", &["bob"]).await;
    assert!(card.contains("See the test booking as that user (failed, the run went on)"), "{card}");
    saas.see(|t| t.contains("INC-2") && t.contains("verdict did not go through")).await;
    assert_eq!(stage.fingerprints().await, before);
    stage.finish();
}

#[tokio::test]
async fn a_user_who_cannot_sign_in_is_told() {
    let stage = stage("not-the-password").await;
    let before = stage.fingerprints().await;
    stage.saas.world.say("alice", "declare smoke").await;
    stage.saas.world.say("alice", "run smoke").await;
    let card = stage.not_passed(&before).await;
    assert!(card.contains("Sign in as the synthetic user") && card.contains("400"), "{card}");
    assert_eq!(stage.changes(), Vec::<String>::new());
    stage.finish();
}
