//! Requests whose answer nobody reads, and a look into the bot's store from outside.

use std::path::{Path, PathBuf};
use std::time::Duration;

use drbot::practice::bot::Bot;
use drbot::practice::slack::{Button, Door, Practice, Signed, User};
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use url::form_urlencoded::Serializer;

use crate::world::{CHANNEL, LIMIT};

const LOOK: Duration = Duration::from_millis(2);

/// The signed request of a click, to be sent by hand.
pub(super) fn click(slack: &Practice, user: &User, ts: &str, button: &Button) -> Signed {
    let payload = slack.click_payload(user, CHANNEL, ts, button).to_string();
    slack.sign(Door::Interactions, Serializer::new(String::new()).append_pair("payload", &payload).finish())
}

/// Sends a request and does not read the answer. Returns once the bot has taken it off the wire.
pub(super) async fn send(bot: &Bot, signed: &Signed) -> TcpStream {
    let (commands, interactions) = bot.doors().expect("addresses");
    let url = if signed.door == Door::Commands { commands } else { interactions };
    let port = url.port().expect("a port");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the bot listens");
    let request = format!(
        "POST {} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         x-slack-request-timestamp: {}\r\nx-slack-signature: {}\r\ncontent-length: {}\r\n\r\n{}",
        url.path(),
        signed.timestamp,
        signed.signature,
        signed.body.len(),
        signed.body
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let ours = stream.local_addr().expect("an address").port();
    let limit = Instant::now() + LIMIT;
    while !taken(port, ours) {
        assert!(Instant::now() < limit, "the bot never read the request");
        sleep(LOOK).await;
    }
    stream
}

/// Whether the bot's end of this connection exists and has nothing left to be read.
fn taken(bot: u16, ours: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table");
    table.lines().skip(1).any(|line| {
        let field: Vec<&str> = line.split_whitespace().collect();
        field[1].ends_with(&format!(":{bot:04X}"))
            && field[2].ends_with(&format!(":{ours:04X}"))
            && field[3] == "01"
            && field[4].ends_with(":00000000")
    })
}

/// The bot's SQLite store, read by somebody else.
pub(super) struct Record {
    path: PathBuf,
}

impl Record {
    pub(super) fn of(folder: &Path) -> Record {
        Record { path: folder.join("drbot.db") }
    }

    async fn open(&self, read_only: bool) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(&self.path).read_only(read_only);
        options.disable_statement_logging().connect().await.expect("the store can be opened")
    }

    /// The events of a kind, oldest first.
    pub(super) async fn events(&self, kind: &str) -> Vec<Value> {
        let mut connection = self.open(true).await;
        Self::read(&mut connection, kind).await
    }

    async fn read(connection: &mut SqliteConnection, kind: &str) -> Vec<Value> {
        let sql = "SELECT payload FROM events WHERE case_id = 'inc-1' AND kind = $1 ORDER BY seq";
        let texts: Vec<String> = sqlx::query_scalar(sql).bind(kind).fetch_all(connection).await.expect("events");
        texts.iter().map(|t| serde_json::from_str(t).expect("an event")).collect()
    }

    /// Every event of the incident, cut short.
    pub(super) async fn kinds(&self) -> Vec<String> {
        let sql = "SELECT seq || ' ' || substr(payload, 1, 300) FROM events WHERE case_id = 'inc-1' ORDER BY seq";
        sqlx::query_scalar(sql).fetch_all(&mut self.open(true).await).await.expect("events")
    }

    /// Waits until there is an event of a kind that says `what`.
    pub(super) async fn until(&self, kind: &str, what: &str) -> Value {
        let mut connection = self.open(true).await;
        let limit = Instant::now() + LIMIT;
        loop {
            let found = Self::read(&mut connection, kind).await;
            if let Some(event) = found.into_iter().find(|e| e.to_string().contains(what)) {
                return event;
            }
            assert!(Instant::now() < limit, "the store never held {kind} of {what}");
            sleep(LOOK).await;
        }
    }

    pub(super) async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&mut self.open(true).await).await.expect(sql)
    }

    /// Keeps everybody else from committing until it is dropped.
    pub(super) async fn seize(&self) -> SqliteConnection {
        let mut connection = self.open(false).await;
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut connection).await.expect("the write lock");
        connection
    }
}

pub(super) async fn let_go(connection: SqliteConnection) {
    connection.close().await.expect("closed");
}
