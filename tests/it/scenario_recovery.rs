//! The empty recovery project: made by API once and never twice, its password seen by nobody, and tagged.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use drbot::execute::sql::grants;
use drbot::practice::scratch::PASSWORD;
use drbot::practice::slack::plain_text;

use crate::saas::Saas;
use crate::scenario_smoke::read_all;
use crate::support::Folder;
use crate::vendors::supabase::{REF, SPARE, TOKEN};
use crate::world::CHANNEL;

const RUNBOOK: &str = "recovery-project";
pub const RECOVERY: &str = "recovery";
const NAME: &str = "bookingsassistant-recovery";
pub const TAGGED: &str =
    "select coalesce((select string_agg(nspname, ',') from pg_namespace where nspname = 'drbot_recovery'), 'none')";

pub struct Stage {
    pub saas: Saas,
    home: Folder,
}

pub async fn stage() -> Stage {
    let home = Folder::new();
    let at = home.0.display().to_string();
    let keys = format!("header = \"Authorization: Bearer {TOKEN}\"\nheader = \"Content-Type: application/json\"\n");
    fs::write(home.0.join("management"), keys).expect("written");
    let saas = Saas::start(RUNBOOK, "", |w, vendors| {
        let programs =
            ["curl", "install", "jq", "openssl", "psql", "stat", "tee"].map(|p| format!("{p}: /usr/bin/{p}"));
        let programs = programs.join(", ");
        w.more_targets.push(format!(
            "restore-tools: {{ programs: {{ {programs} }}, env: {{ PGSERVICEFILE: \"{at}/service\" }} }}"
        ));
        w.more_targets.push(vendors.target("supabase", "management", ("Authorization", &format!("Bearer {TOKEN}"))));
        let values = [
            ("project", REF.to_owned()),
            ("organization", "booking".to_owned()),
            ("region", "eu-central-1".to_owned()),
            ("management", vendors.base("management")),
            ("management_config", format!("{at}/management")),
            ("folder", at.clone()),
        ];
        w.parameters.extend(values.map(|(name, value)| (RUNBOOK.into(), name.into(), value)));
    })
    .await;
    saas.sql(&format!("CREATE DATABASE {RECOVERY}")).await;
    saas.sql(&format!("CREATE ROLE restorer LOGIN SUPERUSER PASSWORD '{PASSWORD}'")).await;
    saas.database.admin(RECOVERY, &grants("recovery-db", RECOVERY)).await.expect("drbot's roles");
    let port = saas.database.port();
    let login = format!("host=127.0.0.1\nport={port}\nuser=restorer\npassword={PASSWORD}\ndbname={RECOVERY}");
    fs::write(home.0.join("service"), format!("[recovery]\n{login}\n")).expect("written");
    saas.vendors.with(|b| b.supabase.projects.insert(REF.into(), "ACTIVE_HEALTHY".into()));
    Stage { saas, home }
}

impl Stage {
    fn made(&self) -> usize {
        self.saas.vendors.changes().iter().filter(|g| g.method == "POST" && g.path == "/management/v1/projects").count()
    }

    async fn state(&self, sql: &'static str) -> String {
        let url = self.saas.database.superuser_url_of(RECOVERY);
        let mut conn = self.saas.database.connect(&url).await.expect("a session");
        sqlx::query_scalar(sql).fetch_one(&mut conn).await.expect(sql)
    }
}

#[tokio::test]
async fn s1_8_one_recovery_project_is_made_and_tagged() {
    let stage = stage().await;
    let saas = &stage.saas;
    saas.world.say("alice", "declare spare").await;
    saas.world.say("alice", "run spare").await;
    let card = saas.approve("step: Create project bookingsassistant-recovery", &["bob"]).await;
    assert!(card.contains("projects_now") && !card.contains("restorer"), "{card}");
    saas.see(|t| t.contains("Or type: /dr done access")).await;
    let password = saas.vendors.with(|b| b.supabase.passwords.clone()).concat();
    assert_eq!(password.len(), 48);
    let file = stage.home.0.join(format!("{NAME}.password"));
    assert_eq!(fs::read_to_string(&file).expect("the password").trim(), password);
    assert_eq!(fs::metadata(&file).expect("its mode").permissions().mode() & 0o777, 0o600);
    saas.world.say("bob", "done access it answered 1").await;
    let card = saas.approve("step: Tag the database of service recovery", &["bob"]).await;
    assert!(card.contains(SPARE), "{card}");
    let card = saas.see(|t| t.contains("Recovered and verified")).await;
    assert!(card.contains(&format!("type confirm_project={SPARE}")), "{card}");
    assert_eq!(stage.state("select string_agg(ref, ',') from drbot_recovery.project").await, SPARE);
    // The same again: the name is taken, and that is the end.
    saas.world.say("alice", "declare again").await;
    saas.world.say("alice", "run INC-2 spare").await;
    saas.see(|t| t.contains("INC-2 ") && t.contains("name-free did not go through")).await;
    // Skipping the look makes no second one either, and loses no password.
    saas.world.say("alice", "skip INC-2 name-free in a hurry").await;
    saas.see(|t| {
        t.contains("INC-2 ")
            && t.contains("Create project bookingsassistant-recovery in eu-central-1 (skipped): nothing to do")
    })
    .await;
    assert_eq!(stage.made(), 1);
    assert!(read_all(&stage.home.0).contains(&password), "the password is still there");
    let said = saas.world.slack.messages(CHANNEL).iter().map(plain_text).collect::<String>();
    assert!(
        !said.contains(&password) && !read_all(saas.world.folder()).contains(&password),
        "the password was shown or kept"
    );
    saas.finish();
}

/// What holds something is not tagged, whatever service `recovery` points to; and the live project's ref is no name.
#[tokio::test]
async fn a_database_that_holds_something_is_never_tagged() {
    let stage = stage().await;
    let saas = &stage.saas;
    let said = saas.world.say("alice", "declare spare").await;
    assert!(said.contains("INC-1"), "{said}");
    let said = saas.world.say("alice", &format!("run spare recovery_name={REF}")).await;
    assert!(said.contains("never the live project"), "{said}");
    saas.world.say("alice", "run spare").await;
    saas.approve("step: Create project bookingsassistant-recovery", &["bob"]).await;
    saas.see(|t| t.contains("Or type: /dr done access")).await;
    saas.database.admin(RECOVERY, "create table here (id int)").await.expect("made");
    saas.world.say("bob", "done access yes").await;
    saas.approve("step: Tag the database of service recovery", &["bob"]).await;
    saas.see(|t| t.contains("tag did not go through") || t.contains("the database is not empty")).await;
    assert_eq!(stage.state(TAGGED).await, "none");
    saas.finish();
}
