//! A small world for one test: a practice Slack, a scratch PostgreSQL where wanted, and the real bot as
//! its own process. Everything ends with the test.

use std::path::PathBuf;
use std::time::Duration;

use sqlx::Connection;

use drbot::clock;
use drbot::execute::sql::grants;
use drbot::practice::bot::{Bot, Wiring};
use drbot::practice::scratch::{BOOKING, PASSWORD, Scratch};
use drbot::practice::slack::{Message, Practice, Setup, User, plain_text};

use crate::support::Folder;

/// How long a test waits for something that must happen.
pub const LIMIT: Duration = Duration::from_secs(30);
pub const CHANNEL: &str = "C01INC";
/// A channel besides, for what is not for everybody.
pub const PRIVATE: &str = "C02BREACH";

pub struct World {
    pub bot: Bot,
    pub slack: Practice,
    pub database: Option<Scratch>,
    /// The URL of the bot's store.
    pub store: String,
    folder: Folder,
}

pub fn user(name: &str) -> User {
    User::new("T01TEST", &format!("U-{name}"), name)
}

pub fn setup() -> Setup {
    let users = ["alice", "bob", "carol", "mallory"].map(user).to_vec();
    let channels = [(CHANNEL, "incidents"), (PRIVATE, "breach")].map(|(id, name)| (id.to_owned(), name.to_owned()));
    Setup { users, channels: channels.to_vec(), ..Setup::small(clock::now()) }
}

pub fn wiring(slack: &Practice, folder: &Folder, database: Option<&Scratch>) -> Wiring {
    let setup = Setup::small(clock::now());
    let person = |id: &str, roles: &[&str]| {
        (
            id.to_lowercase(),
            id.to_owned(),
            roles.iter().map(|r| (*r).to_owned()).collect(),
            format!("U-{}", id.to_lowercase()),
        )
    };
    Wiring {
        store: format!("sqlite://{}/drbot.db", folder.0.display()),
        slack_api: slack.api_base().expect("an address"),
        response_host: "127.0.0.1".into(),
        team: setup.team,
        signing_secret: setup.signing_secret,
        bot_token: setup.token,
        people: vec![
            person("Alice", &["responder"]),
            person("Bob", &["responder", "dba"]),
            person("Carol", &["responder"]),
        ],
        targets: database
            .map(|d| {
                (
                    "main-db".to_owned(),
                    d.url("drbot_observer", PASSWORD, BOOKING),
                    d.url("drbot_operator", PASSWORD, BOOKING),
                )
            })
            .into_iter()
            .collect(),
        runbooks: PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("commands"),
        parameters: vec![("database-performance".into(), "longer_than".into(), "2s".into())],
        more_targets: Vec::new(),
        more: String::new(),
    }
}

impl World {
    /// Slack and the bot; with `database`, a PostgreSQL target too.
    pub async fn start(database: bool) -> World {
        World::with(database, |_| ()).await
    }

    /// The same with a changed wiring.
    pub async fn with(database: bool, change: impl FnOnce(&mut Wiring)) -> World {
        let folder = Folder::new();
        let slack = Practice::start(setup()).await.expect("the practice Slack");
        let database = match database {
            true => {
                std::fs::create_dir(folder.0.join("pg")).expect("a folder for PostgreSQL");
                let scratch = Scratch::start(&folder.0.join("pg")).await.expect("a scratch PostgreSQL");
                scratch.prepare_booking(&grants("main-db", BOOKING)).await.expect("the booking schema");
                Some(scratch)
            }
            false => None,
        };
        let mut wiring = wiring(&slack, &folder, database.as_ref());
        change(&mut wiring);
        let bot =
            Bot::start(std::path::Path::new(env!("CARGO_BIN_EXE_drbot")), &folder.0, &wiring).await.expect("the bot");
        let (commands, interactions) = bot.doors().expect("addresses");
        slack.bot_at(commands, interactions);
        World { bot, slack, database, store: wiring.store, folder }
    }

    /// Where the bot's configuration, log and store are.
    pub fn folder(&self) -> &std::path::Path {
        &self.folder.0
    }

    /// Types `/dr TEXT`; gives what only this person sees.
    pub async fn say(&self, name: &str, text: &str) -> String {
        let answer = self.slack.slash(&user(name), CHANNEL, text).await;
        assert_eq!(answer.status, 200, "{text}: {}", answer.body);
        private(&answer.body)
    }

    /// The whole private answer to `/dr show STEP`, as it was sent.
    pub async fn show(&self, step: &str) -> String {
        self.slack.slash(&user("alice"), CHANNEL, &format!("show {step}")).await.body
    }

    /// The first message in the channel whose text satisfies `wanted`.
    pub async fn see(&self, wanted: impl Fn(&str) -> bool) -> Message {
        let found = self.slack.wait_message(CHANNEL, |m| wanted(&plain_text(m)), LIMIT).await;
        found.unwrap_or_else(|e| {
            let all: Vec<String> = self.slack.messages(CHANNEL).iter().map(plain_text).collect();
            panic!(
                "no such message ({e}); the channel holds:\n{}\nthe bot logged:\n{}",
                all.join("\n---\n"),
                self.bot.log()
            )
        })
    }

    /// What must hold at the end of every story.
    pub fn finish(&self) {
        assert_eq!(self.slack.violations(), Vec::<String>::new(), "the fake Slack objected");
        let log = self.bot.log();
        assert!(!log.contains("panicked"), "{log}");
    }
}

/// The text of an ephemeral answer.
pub fn private(body: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    value["text"].as_str().unwrap_or_default().to_owned()
}

/// The approval id on a card.
pub fn approval_id(card: &Message) -> String {
    let text = plain_text(card);
    let at = text.find("/dr approve ").expect("the id stands on the card") + "/dr approve ".len();
    text[at..].chars().take(12).collect()
}

/// A folder with these runbooks, each a scenario of its own.
pub fn runbooks(files: &[(&str, &str)]) -> Folder {
    let folder = Folder::new();
    let mut shared = "objectives: { rto: 4h, rpo: 24h, mttr: 2h }\nscenarios:\n".to_owned();
    for (i, (name, text)) in files.iter().enumerate() {
        std::fs::write(folder.0.join(format!("{name}.yaml")), text).expect("written");
        shared += &format!("  - {{ id: S{}, title: Scenario {name}, tier: 2, runbook: {name} }}\n", i + 1);
    }
    std::fs::write(folder.0.join("_shared.yaml"), shared).expect("written");
    folder
}

/// Waits until the database itself says that a statement is older than the threshold of this world.
pub async fn until_old(database: &Scratch) {
    let mut admin = database.connect(&database.superuser_url_of("booking")).await.expect("a connection");
    let old = "select pg_sleep(0.1)::text, exists (select from pg_stat_activity where state = 'active' and usename = 'app' and query_start < now() - interval '2.2 s')";
    for _ in 0..300 {
        let row: (String, bool) = sqlx::query_as(old).fetch_one(&mut admin).await.expect("an answer");
        if row.1 {
            admin.close().await.expect("closed");
            return;
        }
    }
    panic!("no statement grew old");
}
