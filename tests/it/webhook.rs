//! The way in, at its edges: what is not proved, too big, too slow, not readable or not storable.

use std::time::Duration;

use drbot::practice::slack::Door;
use sqlx::{AssertSqlSafe, Connection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{CHANNEL, World, user};

/// Sends raw bytes to the bot; gives what came back.
async fn raw(world: &World, bytes: &[u8]) -> String {
    let (commands, _) = world.bot.doors().expect("addresses");
    let mut stream = TcpStream::connect(("127.0.0.1", commands.port().expect("a port"))).await.expect("connected");
    // A server that has made up its mind may close before everything is sent.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn request(path: &str, headers: &[(&str, &str)], body: &str) -> String {
    let extra: String = headers.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n{extra}\r\n{body}",
        body.len()
    )
}

/// S1, S2: what is not proved gets one and the same empty 401, and the proved control passes.
#[tokio::test]
async fn unproved_requests_learn_nothing() {
    let world = World::start(false).await;
    let good = world.slack.sign(Door::Commands, world.slack.slash_body(&user("alice"), CHANNEL, "whoami"));
    let (time, sign) = ("X-Slack-Request-Timestamp", "X-Slack-Signature");
    let other = format!("v0={}", "0".repeat(64));
    let bad: &[&[(&str, &str)]] = &[
        &[],
        &[(time, &good.timestamp)],
        &[(sign, &good.signature)],
        &[(time, &good.timestamp), (sign, &other)],
        &[(time, &good.timestamp), (sign, &good.signature), (sign, &good.signature)],
        &[(time, &good.timestamp), (time, &good.timestamp), (sign, &good.signature)],
        &[(time, "1"), (sign, &good.signature)],
    ];
    for headers in bad {
        let answer = raw(&world, request("/slack/commands", headers, &good.body).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 401") && answer.ends_with("\r\n\r\n"), "{headers:?}: {answer}");
    }
    let control = raw(
        &world,
        request("/slack/commands", &[(time, &good.timestamp), (sign, &good.signature)], &good.body).as_bytes(),
    )
    .await;
    assert!(control.starts_with("HTTP/1.1 200") && control.contains("You are Alice"), "{control}");
    let probe = raw(&world, request("/slack/commands", &[], "ssl_check=1&token=x").as_bytes()).await;
    assert!(probe.starts_with("HTTP/1.1 200") && probe.ends_with("\r\n\r\n"), "{probe}");
    world.finish();
}

/// S40: bodies over 1 MiB are refused, and bodies that do not arrive do not keep a connection.
#[tokio::test]
async fn too_big_and_too_slow() {
    let world = World::start(false).await;
    let big = raw(&world, request("/slack/commands", &[], &"x".repeat(2 * 1024 * 1024)).as_bytes()).await;
    assert!(big.starts_with("HTTP/1.1 413"), "{}", &big[..big.len().min(200)]);
    let stalled =
        "POST /slack/commands HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 100\r\n\r\nabc";
    let slow = tokio::time::timeout(Duration::from_secs(20), raw(&world, stalled.as_bytes()))
        .await
        .expect("an answer in time");
    assert!(slow.starts_with("HTTP/1.1 408"), "{slow}");
    let headless =
        tokio::time::timeout(Duration::from_secs(20), raw(&world, b"POST /slack/commands HTTP/1.1\r\nhost: loc"))
            .await
            .expect("closed in time");
    assert!(headless.is_empty() || headless.starts_with("HTTP/1.1 4"), "{headless}");
    world.finish();
}

/// Signed requests that are not what Slack documents are refused with the field that is wrong.
#[tokio::test]
async fn unreadable_requests_name_the_field() {
    let world = World::start(false).await;
    let table = [
        (Door::Commands, "team_id=T01TEST&user_id=U-alice&text=help", "`channel_id` is missing"),
        (
            Door::Commands,
            "team_id=T01TEST&user_id=U-alice&user_id=U-bob&channel_id=C01INC&text=help",
            "`user_id` is repeated",
        ),
        (Door::Interactions, "payload=%7B%7D&payload=%7B%7D", "`payload` is repeated"),
        (Door::Interactions, "payload=nonsense", "not a Slack interaction"),
        (
            Door::Interactions,
            "payload=%7B%22type%22%3A%22dance%22%2C%22user%22%3A%7B%22id%22%3A%22U%22%7D%7D",
            "`dance`",
        ),
    ];
    for (door, body, part) in table {
        let answer = world.slack.redeliver(&world.slack.sign(door, body.to_owned())).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.body);
        assert!(answer.body.contains(part), "{body}: {}", answer.body);
    }
    world.finish();
}

/// R1, F9: while the store cannot be written the person is told that nothing was done, with a status that
/// is no success; afterwards it works, and what was not acked was done at most once.
#[tokio::test]
async fn what_cannot_be_stored_is_not_acked() {
    let world = World::start(false).await;
    assert!(world.say("alice", "declare Something is wrong").await.starts_with("INC-1 is open"));
    let mut other = sqlx::sqlite::SqliteConnection::connect(&world.store).await.expect("the store");
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.expect("the write lock");
    let answer = world.slack.slash(&user("alice"), CHANNEL, "note while the store is locked").await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.body.contains("nothing was done"), "{}", answer.body);
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.expect("released");
    let again = world.slack.redeliver(&answer.signed).await;
    assert_eq!(again.status, 200, "{}", again.body);
    let notes: i64 = sqlx::query_scalar(AssertSqlSafe("SELECT COUNT(*) FROM events WHERE kind = 'noted'".to_owned()))
        .fetch_one(&mut other)
        .await
        .expect("counted");
    assert_eq!(notes, 1);
}
