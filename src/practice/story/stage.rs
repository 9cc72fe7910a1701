//! The stage of the story. Takes the program and its runbooks; gives a practice Slack, a throw-away
//! PostgreSQL and the program serving between them, all inside one folder that goes away with them.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Row, SqliteConnection};
use tokio::time::{Instant, sleep};

use super::Order;
use crate::clock;
use crate::execute::sql::grants;
use crate::practice::bot::{Bot, Wiring};
use crate::practice::scratch::{BOOKING, PASSWORD, Scratch};
use crate::practice::slack::{Message, Practice, Setup, User, plain_text};

/// How long anything on the stage may take; a loaded machine is slow, not wrong.
pub const LIMIT: Duration = Duration::from_secs(60);
/// The channel of the story.
pub const CHANNEL: &str = "C01INC";
/// The target's name in the bot's configuration and the runbook.
const TARGET: &str = "main-db";
/// How old a statement must be to count as long on this stage; the runbook's own default is 5m.
pub const LONGER_THAN: &str = "2s";

/// Who is on the stage, and where.
#[derive(Debug, Clone)]
pub struct Cast {
    /// Names and roles.
    pub people: [(&'static str, &'static [&'static str]); 3],
    /// Ids and names, besides the channel of the story.
    pub more_channels: &'static [(&'static str, &'static str)],
    /// How old a statement must be to count as long.
    pub longer_than: &'static str,
    /// More lines of the bot's configuration.
    pub config: fn() -> String,
}

/// The cast of the story.
pub const STORY: Cast = Cast {
    people: [("Alice", &["responder"]), ("Bob", &["responder", "dba"]), ("Carol", &["responder"])],
    more_channels: &[],
    longer_than: LONGER_THAN,
    config: String::new,
};

/// A folder that is removed with its owner, unless it is to be kept.
pub struct Folder {
    pub path: PathBuf,
    keep: bool,
}

impl Folder {
    fn make(keep: bool) -> Result<Folder> {
        let name = format!("drbot-demo-{}", clock::ids().map_err(|e| anyhow!("no randomness: {e}"))?.hex());
        let path = std::env::temp_dir().join(&name[..20]);
        std::fs::create_dir(&path).with_context(|| format!("no folder {}", path.display()))?;
        // The database's account must get through it to its own folder, whatever the umask is.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o711))?;
        Ok(Folder { path, keep })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            // What cannot be removed is left to the system's own cleaning.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Everything on the stage. Fields drop in order: the folder after everything inside it.
pub struct Stage {
    pub bot: Bot,
    pub slack: Arc<Practice>,
    pub database: Scratch,
    pub folder: Folder,
}

/// Alice, Bob or Carol.
#[must_use]
pub fn user(name: &str) -> User {
    User::new("T01TEST", &format!("U01{}", name.to_uppercase()), &name.to_lowercase())
}

fn wiring(slack: &Practice, setup: Setup, database: &Scratch, order: &Order, folder: &Folder) -> Result<Wiring> {
    let person = |(name, roles): &(&str, &[&str])| {
        let roles = roles.iter().map(|r| (*r).to_owned()).collect();
        (name.to_lowercase(), (*name).to_owned(), roles, user(name).user)
    };
    Ok(Wiring {
        store: format!("sqlite://{}", folder.path.join("drbot.db").display()),
        slack_api: slack.api_base()?,
        response_host: "127.0.0.1".into(),
        team: setup.team,
        signing_secret: setup.signing_secret,
        bot_token: setup.token,
        people: order.cast.people.iter().map(person).collect(),
        targets: vec![(
            TARGET.into(),
            database.url("drbot_observer", PASSWORD, BOOKING),
            database.url("drbot_operator", PASSWORD, BOOKING),
        )],
        runbooks: order.runbooks.canonicalize().with_context(|| format!("no folder {}", order.runbooks.display()))?,
        parameters: vec![("database-performance".into(), "longer_than".into(), order.cast.longer_than.into())],
        more_targets: Vec::new(),
        more: (order.cast.config)(),
    })
}

impl Stage {
    /// Sets everything up and waits until the program is ready.
    ///
    /// # Errors
    /// Says what is missing or did not start.
    pub async fn start(order: &Order) -> Result<Stage> {
        let folder = Folder::make(order.keep)?;
        let users = order.cast.people.iter().map(|(name, _)| user(name)).collect();
        let mut setup = Setup { users, ..Setup::small(clock::now()) };
        setup.channels.extend(order.cast.more_channels.iter().map(|(id, name)| ((*id).into(), (*name).into())));
        let slack = Arc::new(Practice::start(setup.clone()).await?);
        let cluster = folder.path.join("pg");
        std::fs::create_dir(&cluster)?;
        let database = Scratch::start(&cluster).await?;
        database.prepare_booking(&grants(TARGET, BOOKING)).await?;
        let wiring = wiring(&slack, setup, &database, order, &folder)?;
        let bot = Bot::start(&order.program, &folder.path, &wiring).await?;
        let (commands, interactions) = bot.doors()?;
        slack.bot_at(commands, interactions);
        Ok(Stage { bot, slack, database, folder })
    }

    /// Waits until the channel shows a message that fits.
    ///
    /// # Errors
    /// After the limit, with what the channel showed instead.
    pub async fn see(&self, fits: impl Fn(&str, &Message) -> bool) -> Result<Message> {
        self.slack.wait_message(CHANNEL, |m| fits(&plain_text(m), m), LIMIT).await
    }

    /// The messages of the channel itself, without its threads, that name the incident in their title.
    #[must_use]
    pub fn cards(&self) -> Vec<Message> {
        let titled = |m: &Message| {
            m.thread_ts.is_none() && plain_text(m).lines().next().is_some_and(|title| title.contains("INC-"))
        };
        self.slack.messages(CHANNEL).into_iter().filter(titled).collect()
    }

    /// One value of the database, as its superuser sees it.
    ///
    /// # Errors
    /// The server's own.
    pub async fn count(&self, sql: &'static str, pids: &[i32]) -> Result<i64> {
        let mut conn = self.database.connect(&self.database.superuser_url()).await?;
        Ok(sqlx::query(sql).bind(pids).fetch_one(&mut conn).await?.try_get(0)?)
    }

    /// How many of these sessions are in the middle of a statement.
    ///
    /// # Errors
    /// The server's own.
    pub async fn busy(&self, pids: &[i32]) -> Result<i64> {
        self.count("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY($1) AND state = 'active'", pids).await
    }

    /// Asks the database until it says that all of these are in trouble for longer than the threshold.
    /// Gives how many are, which is fewer only after the limit.
    ///
    /// # Errors
    /// The server's own.
    pub async fn long_in_trouble(&self, pids: &[i32]) -> Result<i64> {
        let wanted = i64::try_from(pids.len())?;
        let deadline = Instant::now() + LIMIT;
        let sql = "SELECT count(*) FROM pg_stat_activity a WHERE pid = ANY($1) \
                   AND CASE WHEN state = 'active' THEN query_start ELSE state_change END < now() - interval '2 s' \
                   AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND NOT l.granted \
                                   AND (l.waitstart < now() - interval '2 s') IS NOT TRUE)";
        loop {
            let stuck = self.count(sql, pids).await?;
            if stuck >= wanted || Instant::now() > deadline {
                return Ok(stuck);
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// A second connection into the bot's own store: what the saboteur uses, and what counts incidents.
    ///
    /// # Errors
    /// The store cannot be opened.
    pub async fn store(&self) -> Result<SqliteConnection> {
        let file = self.folder.path.join("drbot.db");
        let options = SqliteConnectOptions::new().filename(file).busy_timeout(LIMIT).disable_statement_logging();
        options.connect().await.context("the bot's store")
    }

    /// Runs a statement in the bot's store; gives how many rows it changed.
    ///
    /// # Errors
    /// The store's own.
    pub async fn tamper(&self, sql: &str) -> Result<u64> {
        let mut store = self.store().await?;
        Ok(sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut store).await?.rows_affected())
    }

    /// One text out of the bot's store.
    ///
    /// # Errors
    /// The store's own.
    pub async fn stored(&self, sql: &'static str) -> Result<String> {
        let mut store = self.store().await?;
        Ok(sqlx::query_scalar(sql).fetch_one(&mut store).await?)
    }
}
