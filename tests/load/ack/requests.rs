//! Signed requests, made before the clock runs. Takes a connection's number; gives the bytes of its
//! requests, each with a text of its own.

use anyhow::Result;
use drbot::clock;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use url::form_urlencoded::Serializer;

/// Connections, and incidents: one each.
pub const CONNECTIONS: usize = 64;
pub const SECRET: &str = "practice-signing-secret-0123456789";
pub const TEAM: &str = "T01TEST";
pub const USER: &str = "U01ALICE";

/// The text of a note: no two of a measurement are equal.
pub fn note(series: &str, connection: usize, number: usize) -> String {
    format!("{series} {connection}/{number}: replication lag on the standby is growing, asked the provider")
}

/// The channel of an incident: each has its own, as incidents do.
pub fn channel(connection: usize) -> String {
    format!("C{connection:04}INC")
}

/// The requests of one connection, in order.
pub fn notes(series: &str, connection: usize, count: usize) -> Result<Vec<Vec<u8>>> {
    (0..count)
        .map(|number| {
            let text = format!("note INC-{} {}", connection + 1, note(series, connection, number));
            slash(&channel(connection), &text, &format!("{series}{connection}x{number}"))
        })
        .collect()
}

/// One slash command as Slack sends it.
pub fn slash(channel: &str, text: &str, unique: &str) -> Result<Vec<u8>> {
    let body = Serializer::new(String::new())
        .append_pair("token", "not-used-any-more")
        .append_pair("team_id", TEAM)
        .append_pair("team_domain", "dr-team")
        .append_pair("channel_id", channel)
        .append_pair("channel_name", "incident")
        .append_pair("user_id", USER)
        .append_pair("user_name", "alice")
        .append_pair("command", "/dr")
        .append_pair("text", text)
        .append_pair("api_app_id", "A01APP")
        .append_pair("is_enterprise_install", "false")
        .append_pair("response_url", &format!("http://127.0.0.1/commands/{TEAM}/{unique}"))
        .append_pair("trigger_id", &format!("1.2.{unique}"))
        .finish();
    let stamp = (clock::now().0 / 1_000).to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes())?;
    mac.update(format!("v0:{stamp}:{body}").as_bytes());
    let signature = hex::encode(mac.finalize().into_bytes());
    let length = body.len();
    Ok(format!(
        "POST /slack/commands HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: Slackbot 1.0 (+https://api.slack.com/robots)\r\naccept: application/json,*/*\r\ncontent-type: application/x-www-form-urlencoded\r\nx-slack-request-timestamp: {stamp}\r\nx-slack-signature: v0={signature}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes())
}
