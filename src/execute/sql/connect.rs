//! Connections. Takes a target's address and a name for the session; gives an open session with its
//! limits set, or a reason people can act on that never contains the address.

use std::time::Duration;

use sha2::{Digest, Sha256};
use sqlx::postgres::{PgConnectOptions, PgDatabaseError, PgSeverity};
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::time::timeout;

use crate::model::time::Span;

/// How long the way to an answering server may take.
const CONNECT: Duration = Duration::from_secs(3);
/// How much later than the executor the server gives up on a changing statement by itself.
const BACKSTOP: Span = Span::seconds(10);
/// PostgreSQL cuts `application_name` here.
const NAME_BYTES: usize = 63;

/// What a session is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Observe,
    Change,
}

/// One way into one target.
#[derive(Clone, Copy)]
pub(super) struct Door<'a> {
    pub target: &'a str,
    pub url: &'a str,
    pub purpose: Purpose,
}

/// Why something did not work, by what is certain about it.
#[derive(Debug)]
pub(super) enum Fault {
    /// No session was opened; `down` if the server is missing or refuses everybody, and not only us.
    Unreachable { down: bool, text: String },
    /// The server answered with an error; `fatal` if it ended the session with it.
    Refused { code: String, fatal: bool, text: String },
    /// The session broke; what the server did with the last bytes is not known.
    Lost(String),
    /// We refuse it ourselves; nothing was sent.
    Unfit(String),
}

impl Fault {
    /// The reason, for people.
    pub(super) fn text(&self) -> String {
        match self {
            Fault::Unreachable { text, .. } | Fault::Refused { text, .. } | Fault::Lost(text) | Fault::Unfit(text) => {
                text.clone()
            }
        }
    }

    /// Whether the server is to blame: not there, broke off, or turned the request away for want of means
    /// or while starting or stopping. A wrong password, name or setting of ours is not.
    pub(super) fn down(&self) -> bool {
        match self {
            Fault::Unreachable { down, .. } => *down,
            // 57014: a statement was cancelled, by its time limit for one; the server is up.
            Fault::Refused { code, .. } => {
                code != "57014" && ["08", "53", "57", "58", "XX"].iter().any(|class| code.starts_with(class))
            }
            Fault::Lost(_) => true,
            Fault::Unfit(_) => false,
        }
    }

    /// The SQLSTATE, if the server gave one.
    pub(super) fn code(&self) -> Option<&str> {
        match self {
            Fault::Refused { code, .. } => Some(code),
            _ => None,
        }
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Fault {
        match &error {
            sqlx::Error::Database(e) => match e.try_downcast_ref::<PgDatabaseError>() {
                Some(e) => refused(e),
                None => Fault::Lost(e.message().to_owned()),
            },
            // Everything else ends a session whose last request may have arrived.
            _ => Fault::Lost(plain(&error)),
        }
    }
}

/// Code, message and hint: the driver's own text counts lines of the server's source and the detail
/// may quote customers' rows.
fn refused(e: &PgDatabaseError) -> Fault {
    let hint = e.hint().map(|h| format!(" ({h})")).unwrap_or_default();
    Fault::Refused {
        code: e.code().to_owned(),
        fatal: matches!(e.severity(), PgSeverity::Fatal | PgSeverity::Panic),
        text: short(&format!("{} {}{hint}", e.code(), e.message())),
    }
}

fn plain(error: &sqlx::Error) -> String {
    use std::io::ErrorKind;
    match error {
        sqlx::Error::Io(e) => match e.kind() {
            ErrorKind::ConnectionRefused => "connection refused".to_owned(),
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => {
                "the connection broke".to_owned()
            }
            ErrorKind::NotFound => "there is no such socket".to_owned(),
            _ => short(&e.to_string()),
        },
        sqlx::Error::Tls(_) => "no secure connection could be agreed on: check sslmode and the certificates".to_owned(),
        sqlx::Error::Configuration(_) => "its address is not a valid Postgres address".to_owned(),
        sqlx::Error::Protocol(_) => "the answer was not PostgreSQL's protocol".to_owned(),
        _ => "the driver gave up".to_owned(),
    }
}

/// Whether nobody serves the address. A name that does not resolve is a mistake in our configuration.
fn absent(error: &sqlx::Error) -> bool {
    use std::io::ErrorKind;
    let sqlx::Error::Io(e) = error else { return false };
    matches!(
        e.kind(),
        ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof
            | ErrorKind::TimedOut
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            // The socket of a server that stopped.
            | ErrorKind::NotFound
    )
}

/// One line, not longer than a message takes well.
pub(super) fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(400) {
        Some((at, _)) => format!("{}… (cut)", &line[..at]),
        None => line,
    }
}

/// The name of a session: `drbot/<id>`, or with a digest of the id where that would be cut or
/// rewritten by the server, because a probe later looks for exactly this name.
pub(super) fn session_name(id: &str) -> String {
    let name = format!("drbot/{id}");
    if name.len() <= NAME_BYTES && name.bytes().all(|b| b.is_ascii_graphic()) {
        return name;
    }
    format!("drbot/{}", &hex::encode(Sha256::digest(id))[..40])
}

impl Door<'_> {
    /// Opens a session in which no statement may take longer than `limit`.
    pub(super) async fn open(&self, id: &str, limit: Span) -> Result<PgConnection, Fault> {
        let unreachable = |down: bool, why: &str| Fault::Unreachable {
            down,
            text: format!("could not connect to {}: {why}", self.target),
        };
        let options: PgConnectOptions = self.url.parse().map_err(|e| unreachable(false, &plain(&e)))?;
        let options = options.application_name(&session_name(id)).disable_statement_logging();
        let options = options.options(self.limits(limit));
        match timeout(CONNECT, PgConnection::connect_with(&options)).await {
            Ok(Ok(conn)) => Ok(conn),
            Ok(Err(e)) => {
                let absent = absent(&e);
                let fault = Fault::from(e);
                Err(unreachable(absent || matches!(fault, Fault::Refused { .. }) && fault.down(), &fault.text()))
            }
            Err(_) => Err(unreachable(true, &format!("no answer within {} s", CONNECT.as_secs()))),
        }
    }

    fn limits(&self, limit: Span) -> Vec<(&'static str, String)> {
        let (read_only, lock, grace) = match self.purpose {
            Purpose::Observe => ("on", "1s", 0),
            // The executor cancels first and says so; the server's own limit is for when it cannot.
            Purpose::Change => ("off", "5s", BACKSTOP.0),
        };
        vec![
            ("statement_timeout", (limit.0.max(1) + grace).to_string()),
            ("lock_timeout", lock.to_owned()),
            // A session that lost us ends by itself, so that a probe soon gets a sure answer.
            ("idle_in_transaction_session_timeout", "5s".to_owned()),
            // Without it the server finishes, and commits, what a dead client had asked for.
            ("client_connection_check_interval", "500ms".to_owned()),
            ("default_transaction_read_only", read_only.to_owned()),
            // Rows hidden by a policy would look like "nothing found": rather an error.
            ("row_security", "off".to_owned()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_names_fit_and_stay_distinct() {
        assert_eq!(session_name("INC-7/cancel/1"), "drbot/INC-7/cancel/1");
        let long = |end: &str| session_name(&format!("{}{end}", "x".repeat(80)));
        assert!(long("a").len() <= NAME_BYTES && long("a") != long("b"));
        assert!(session_name("ключ").is_ascii());
    }

    #[test]
    fn a_bad_address_is_not_repeated() {
        let url = "postgres://bot:s3cret@[nonsense/db";
        let error = url.parse::<PgConnectOptions>().unwrap_err();
        assert!(!plain(&error).contains("s3cret"));
    }
}
