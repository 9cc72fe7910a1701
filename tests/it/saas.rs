//! A scenario's stage: the booking SaaS's schema in a scratch PostgreSQL, the vendors as strict fakes, a
//! practice Slack and the running bot with the shipped runbooks. Everything ends with the test.

use std::path::PathBuf;

use drbot::execute::sql::grants;
use drbot::practice::bot::Wiring;
use drbot::practice::scratch::{PASSWORD, Scratch};
use drbot::practice::slack::{Private, plain_text, private_text};

use sqlx::{AssertSqlSafe, Connection, Executor};

use crate::support::Folder;
use crate::vendors::Vendors;
use crate::world::{CHANNEL, LIMIT, World, approval_id, user};

/// The database with the SaaS's schema.
pub const SAAS: &str = "saas";
const SCHEMA: &str = include_str!("saas.sql");

pub struct Saas {
    pub world: World,
    pub vendors: Vendors,
    pub database: Scratch,
    pub files: Folder,
}

impl Saas {
    /// Starts everything with one shipped runbook. `rights` are the grants that its steps need; `change`
    /// adds targets and parameters.
    pub async fn start(runbook: &str, rights: &str, change: impl FnOnce(&mut Wiring, &Vendors)) -> Saas {
        let files = Folder::new();
        std::fs::create_dir(files.0.join("pg")).expect("a folder for PostgreSQL");
        let database = Scratch::start(&files.0.join("pg")).await.expect("a scratch PostgreSQL");
        prepare(&database, rights).await;
        let commands = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("commands");
        let folder = files.0.join("commands");
        std::fs::create_dir(&folder).expect("a folder for runbooks");
        std::fs::copy(commands.join("_shared.yaml"), folder.join("_shared.yaml")).expect("the shared file");
        for name in with_parts(runbook) {
            let file = format!("{name}.yaml");
            std::fs::copy(commands.join(&file), folder.join(&file)).expect("the runbook is there");
        }
        let vendors = Vendors::start().await;
        vendors.with(|b| b.supabase.database = Some(database.port()));
        let world = World::with(false, |w| {
            w.runbooks = folder;
            w.parameters.clear();
            let url = |role: &str| database.url(role, PASSWORD, SAAS);
            w.targets.push(("main-db".into(), url("drbot_observer"), url("drbot_operator")));
            change(w, &vendors);
        })
        .await;
        Saas { world, vendors, database, files }
    }

    /// Runs statements as superuser, outside the bot.
    pub async fn sql(&self, sql: &str) {
        self.database.admin(SAAS, sql).await.expect(sql);
    }

    /// Waits for the list that Alice asked for, opens its form and sends it with these values, or leaves it if
    /// there are none. Gives the labels she may choose from.
    pub async fn choose(&self, param: &str, values: &[(&str, &str)]) -> Vec<String> {
        let (alice, slack) = (user("alice"), &self.world.slack);
        let here = |p: &Private| private_text(p).contains("the list is here");
        let message = slack.wait_private((CHANNEL, &alice), here, LIMIT).await.expect("the list");
        slack.click_private(&alice, &message, "Choose").await.expect("pressed");
        let view = slack.wait_view(&alice, LIMIT).await.expect("a form");
        let blocks = view.view["blocks"].as_array().expect("blocks");
        let field = blocks.iter().find(|b| b["block_id"] == format!("param-{param}")).expect("the field");
        let options = field["element"]["options"].as_array().expect("options");
        if !values.is_empty() {
            let fields: Vec<(String, &str)> = values.iter().map(|(n, v)| (format!("param-{n}"), *v)).collect();
            let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (n.as_str(), *v)).collect();
            let answer = slack.submit(&alice, &view.id, &fields).await.expect("sent");
            assert_eq!((answer.status, answer.body.as_str()), (200, ""), "the form is taken");
        }
        options.iter().map(|o| o["text"]["text"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// One value as text, asked by the superuser: the database's own word.
    pub async fn ask(&self, sql: &'static str) -> String {
        let mut conn = self.database.connect(&self.database.superuser_url_of(SAAS)).await.expect("a connection");
        sqlx::query_scalar(sql).fetch_one(&mut conn).await.expect(sql)
    }

    /// A fingerprint of a table's rows, to prove that they are what they were.
    pub async fn fingerprint(&self, table: &str) -> String {
        let sql = format!("select coalesce(md5(string_agg(t::text, '|' order by t::text)), 'empty') from {table} t");
        let mut conn = self.database.connect(&self.database.superuser_url_of(SAAS)).await.expect("a connection");
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut conn).await.expect("a fingerprint")
    }

    /// Waits until a card satisfies `wanted`; gives its text.
    pub async fn see(&self, wanted: impl Fn(&str) -> bool) -> String {
        plain_text(&self.world.see(wanted).await)
    }

    /// Waits for the approval whose card shows this part, and these people agree one after the other.
    pub async fn approve(&self, part: &str, people: &[&str]) -> String {
        let card = self.world.see(|t| t.contains("Or type: /dr approve") && t.contains(part)).await;
        for person in people {
            self.world.say(person, &format!("approve {}", approval_id(&card))).await;
        }
        plain_text(&card)
    }

    /// What the page's statement would leave, asked inside its transaction, which is then rolled back.
    pub async fn harm(&self, change: &str, ask: &'static str) -> String {
        let mut conn = self.database.connect(&self.database.superuser_url_of(SAAS)).await.expect("a connection");
        let mut tx = conn.begin().await.expect("a transaction");
        tx.execute(sqlx::raw_sql(AssertSqlSafe(change.to_owned()))).await.expect(change);
        let left = sqlx::query_scalar(ask).fetch_one(&mut *tx).await.expect(ask);
        tx.rollback().await.expect("rolled back");
        left
    }

    /// What `/dr show STEP` answers, blocks and all.
    pub async fn shown(&self, step: &str) -> String {
        self.world.slack.slash(&user("alice"), CHANNEL, &format!("show {step}")).await.body
    }

    /// What must hold at the end of every scenario.
    pub fn finish(&self) {
        self.vendors.finish();
        self.world.finish();
    }
}

/// The set-up and the rights that a shipped runbook asks for at its top: exactly what its readers would run.
pub fn rights(runbook: &str) -> String {
    let file = crate::support::commands().join(format!("{runbook}.yaml"));
    let text = std::fs::read_to_string(file).expect("the runbook");
    text.lines().filter_map(|l| l.strip_prefix("# -- ")).collect::<Vec<_>>().join("\n")
}

/// A runbook and those that it contains or leads to.
fn with_parts(runbook: &str) -> Vec<String> {
    let mut all = vec![runbook.to_owned()];
    if runbook == "total-data-loss" {
        all.push("drill".to_owned());
    }
    let mut at = 0;
    while let Some(name) = all.get(at) {
        let text =
            std::fs::read_to_string(crate::support::commands().join(format!("{name}.yaml"))).expect("the runbook");
        let named =
            text.split("runbook: ").skip(1).filter_map(|rest| rest.split_once(" }")).map(|(name, _)| name.to_owned());
        for name in named.filter(|n| !n.contains(char::is_whitespace)) {
            if !all.contains(&name) {
                all.push(name);
            }
        }
        at += 1;
    }
    all
}

async fn prepare(database: &Scratch, rights: &str) {
    database.admin("postgres", &format!("CREATE DATABASE {SAAS}")).await.expect("the database");
    database.admin(SAAS, SCHEMA).await.expect("the schema");
    database.admin(SAAS, &grants("main-db", SAAS)).await.expect("drbot's roles");
    let roles = ["drbot_observer", "drbot_operator"];
    let passwords = roles.map(|role| format!("ALTER ROLE {role} PASSWORD '{PASSWORD}';"));
    database.admin(SAAS, &passwords.concat()).await.expect("passwords");
    database.admin(SAAS, rights).await.expect("the rights that the steps need");
}
