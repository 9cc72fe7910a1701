//! The practice chat from outside: its page, its API and its addresses. Believes what a stub of drbot
//! received, and what the page's routes answered.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::HeaderMap;
use drbot::model::time::Millis;
use drbot::practice::page::{self, Page};
use drbot::practice::slack::{Practice, Setup};
use drbot::verify::slack::{SlackSecrets, slack};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;

/// Headers and body of each request that reached the stub.
type Seen = Arc<Mutex<Vec<(HeaderMap, String)>>>;

struct Chat {
    slack: Arc<Practice>,
    address: SocketAddr,
    http: reqwest::Client,
}

impl Chat {
    async fn new() -> Chat {
        let small = Setup::small(drbot::clock::now());
        let people = page::people(&small.team, &page::PEOPLE);
        let setup = Setup { users: people.iter().map(|p| p.user.clone()).collect(), ..small };
        let slack = Arc::new(Practice::start(setup).await.unwrap());
        let listener = page::listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shown = Page { slack: Arc::clone(&slack), people, bot: "a stub".into(), panel: None };
        tokio::spawn(page::serve(listener, shown, Router::new()));
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Chat { slack, address, http }
    }

    /// A stub of drbot that answers 200 to everything, after `delay`.
    async fn with_stub(delay: Duration) -> (Chat, Seen) {
        let (chat, seen) = (Chat::new().await, Seen::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (commands, interactions) = page::doors(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        chat.slack.bot_at(commands, interactions);
        let keep = Arc::clone(&seen);
        let stub = Router::new().fallback(move |headers: HeaderMap, body: String| async move {
            keep.lock().unwrap().push((headers, body));
            tokio::time::sleep(delay).await;
        });
        tokio::spawn(async move { axum::serve(listener, stub).await });
        (chat, seen)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn get(&self, path: &str) -> Response {
        self.http.get(self.url(path)).send().await.unwrap()
    }

    async fn post(&self, path: &str, body: &Value) -> Response {
        self.http.post(self.url(path)).json(body).send().await.unwrap()
    }

    async fn said(&self, path: &str, body: &Value) -> Value {
        let answer = self.post(path, body).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path} {body}");
        answer.json().await.unwrap()
    }
}

fn line(person: &str, text: &str) -> Value {
    json!({"as": person, "channel": "C01INC", "text": text})
}

#[tokio::test]
async fn the_page_comes_with_a_strict_policy() {
    let chat = Chat::new().await;
    for path in ["/", "/app.js", "/blocks.js", "/side.js", "/style.css", "/page/state?as=U01ALICE", "/nothing"] {
        let answer = chat.get(path).await;
        assert_eq!(answer.status() == StatusCode::OK, path != "/nothing", "{path}");
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        for part in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    }
    let (html, scripts) = (
        include_str!("../../src/practice/page/index.html"),
        [
            include_str!("../../src/practice/page/app.js"),
            include_str!("../../src/practice/page/blocks.js"),
            include_str!("../../src/practice/page/side.js"),
        ],
    );
    assert_eq!(chat.get("/").await.text().await.unwrap(), html);
    assert!(!html.contains(" onclick") && !html.contains("style="), "inline parts are forbidden");
    for script in scripts {
        for unsafe_part in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!script.contains(unsafe_part), "{unsafe_part}");
        }
    }
}

#[tokio::test]
async fn only_this_machine_is_served_and_spoken_to() {
    for url in [
        "http://192.0.2.7:8080",
        "http://drbot.example:8080",
        "http://127.0.0.1.example",
        "http://[2001:db8::1]:8080",
        "https://127.0.0.1:8080",
        "http://alice@127.0.0.1:8080",
        "ftp://127.0.0.1",
        "127.0.0.1:8080",
    ] {
        assert!(page::doors(url).is_err(), "{url} was taken");
    }
    let (commands, interactions) = page::doors("http://localhost:8080/else?x#y").unwrap();
    assert_eq!(commands.as_str(), "http://127.0.0.1:8080/slack/commands");
    assert_eq!(interactions.as_str(), "http://127.0.0.1:8080/slack/interactions");
    assert!(page::doors("http://[::1]:8080").is_ok());
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.7:0"] {
        assert!(page::listen(address.parse().unwrap()).await.is_err(), "{address} was taken");
    }
    assert!(Chat::new().await.address.ip().is_loopback());
}

#[tokio::test]
async fn the_program_refuses_the_same() {
    for (flag, value, says) in [
        ("--bot", "http://192.0.2.7:8080", "talks only to a drbot on this machine"),
        ("--listen", "0.0.0.0:0", "listens on 127.0.0.1 only"),
    ] {
        let program =
            Command::new(env!("CARGO_BIN_EXE_drbot")).args(["practice", flag, value]).kill_on_drop(true).output();
        let output = tokio::time::timeout(Duration::from_secs(20), program).await.unwrap().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(says), "{text}");
    }
}

#[tokio::test]
async fn changes_are_delivered_as_events() {
    let chat = Chat::new().await;
    let mut events = chat.get("/page/events").await;
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    let mut heard = String::new();
    for round in 1..=3 {
        while heard.matches("event: change").count() < round {
            let chunk = tokio::time::timeout(Duration::from_secs(10), events.chunk()).await.unwrap().unwrap().unwrap();
            heard.push_str(&String::from_utf8_lossy(&chunk));
        }
        assert_eq!(chat.said("/page/say", &line("U01BOB", &format!("round {round}"))).await["ok"], true);
    }
    let state: Value = chat.get("/page/state?as=U01ALICE").await.json().await.unwrap();
    let messages = state["channels"][0]["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 3);
    assert_eq!((&messages[2]["text"], &messages[2]["name"]), (&json!("round 3"), &json!("Bob")));
}

#[tokio::test]
async fn the_api_acts_as_the_given_person_with_a_signed_request() {
    let (chat, seen) = Chat::with_stub(Duration::ZERO).await;
    for person in ["U01ALICE", "U01BOB", "U01CAROL"] {
        assert_eq!(chat.said("/page/slash", &line(person, "status now")).await, json!({"ok": true}));
        let (headers, body) = seen.lock().unwrap().pop().unwrap();
        assert!(body.contains(&format!("user_id={person}&")) && body.contains("&text=status+now&"), "{body}");
        let secrets = SlackSecrets::new(vec!["practice-signing-secret-0123456789".into()]).unwrap();
        let pairs: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
        assert!(slack(&secrets, &pairs, body.into_bytes(), Millis(drbot::clock::now().0)).is_ok());
    }
}

#[tokio::test]
async fn unknown_actions_are_rejected() {
    let (chat, seen) = Chat::with_stub(Duration::ZERO).await;
    let press = json!({"as": "U01BOB", "channel": "C01INC", "ts": "1.0", "action": "b0", "value": "x"});
    let ts = chat.slack.say(&page::people("T01TEST", &page::PEOPLE)[0].user, "C01INC", "hello").unwrap();
    let on_words = json!({"as": "U01BOB", "channel": "C01INC", "ts": ts, "action": "b0", "value": "x"});
    for (path, body, status) in [
        ("/page/dance", line("U01BOB", "x"), 404),
        ("/demo/break", json!({"what": "orphans", "on": true}), 404),
        ("/page/slash", line("U01EVE", "status"), 400),
        ("/page/slash", json!({"as": "U01BOB", "channel": "C0NONE", "text": "status"}), 400),
        ("/page/slash", json!({"as": "U01BOB", "channel": "C01INC", "text": "status", "sudo": true}), 422),
        ("/page/click", press, 400),
        ("/page/click", on_words, 409),
        ("/page/submit", json!({"as": "U01BOB", "view": "V1", "values": {}}), 400),
        ("/page/close", json!({"as": "U01BOB", "view": "V1"}), 400),
        ("/page/fault", json!({"do": "explode"}), 422),
        ("/page/fault", json!({"do": "set", "method": "chat.delete", "kind": "hang", "always": true}), 400),
        ("/page/fault", json!({"do": "set", "method": "chat.update", "kind": "boredom", "always": true}), 400),
    ] {
        assert_eq!(chat.post(path, &body).await.status().as_u16(), status, "{path} {body}");
    }
    assert_eq!(chat.get("/page/state?as=U01EVE").await.status().as_u16(), 400);
    let other = |name: &str, value: &str| {
        chat.http.post(chat.url("/page/slash")).json(&line("U01BOB", "status")).header(name, value).send()
    };
    assert_eq!(other("host", "drbot.example").await.unwrap().status().as_u16(), 403);
    assert_eq!(other("origin", "http://other.example").await.unwrap().status().as_u16(), 403);
    let plain = chat.http.post(chat.url("/page/slash")).body(line("U01BOB", "status").to_string()).send();
    assert_eq!(plain.await.unwrap().status().as_u16(), 415);
    assert!(seen.lock().unwrap().is_empty(), "a rejected action reached drbot");
}

#[tokio::test]
async fn faults_are_set_shown_and_healed() {
    let chat = Chat::new().await;
    let set = json!({"do": "set", "method": "chat.update", "kind": "invalid-blocks", "always": true});
    let faults = async || chat.get("/page/state?as=U01BOB").await.json::<Value>().await.unwrap()["faults"].clone();
    chat.said("/page/fault", &set).await;
    chat.said("/page/fault", &json!({"do": "down", "on": true})).await;
    let shown = faults().await;
    assert_eq!(shown["set"], json!([{"method": "chat.update", "says": "refused: invalid_blocks", "always": true}]));
    assert_eq!(shown["down"], true);
    chat.said("/page/fault", &json!({"do": "heal"})).await;
    let shown = faults().await;
    assert_eq!((&shown["set"], &shown["down"]), (&json!([]), &json!(false)));
}

#[tokio::test]
async fn silence_and_absence_are_told_in_slacks_words() {
    let (slow, _) = Chat::with_stub(Duration::from_secs(30)).await;
    let told = slow.said("/page/slash", &line("U01BOB", "status")).await;
    assert_eq!(told["error"], "operation_timeout");
    assert_eq!(told["says"], "/dr failed with the error \"operation_timeout\"");
    let absent = Chat::new().await;
    let (commands, interactions) = page::doors("http://127.0.0.1:1").unwrap();
    absent.slack.bot_at(commands, interactions);
    let told = absent.said("/page/slash", &line("U01BOB", "status")).await;
    assert_eq!(told["error"], "dispatch_failed");
    assert!(told["why"].as_str().unwrap().starts_with("drbot could not be reached."), "{told}");
}

/// A line that begins with @drbot is an ordinary message, and an event that tells of it; a thread stays one.
#[tokio::test]
async fn what_is_said_to_the_bot_arrives_as_an_event() {
    let (chat, seen) = Chat::with_stub(Duration::ZERO).await;
    let root = chat.slack.say(&page::people("T01TEST", &page::PEOPLE)[0].user, "C01INC", "slow").unwrap();
    let thread = json!({"as": "U01BOB", "channel": "C01INC", "thread": root, "text": "@drbot note a < b"});
    assert_eq!(chat.said("/page/say", &thread).await["ok"], true);
    assert_eq!(chat.said("/page/say", &line("U01BOB", "ask @drbot status")).await["ok"], true);
    assert_eq!(chat.said("/page/say", &line("U01BOB", "@drbots are many")).await["ok"], true);
    let arrived = chat.slack.wait(Duration::from_secs(10), || (!seen.lock().unwrap().is_empty()).then_some(())).await;
    assert!(arrived.is_some(), "no event");
    let (headers, body) = seen.lock().unwrap()[0].clone();
    assert_eq!(headers["content-type"], "application/json");
    assert!(!headers.contains_key("x-slack-retry-num"));
    let pairs: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
    let secrets = SlackSecrets::new(vec![Setup::small(Millis(0)).signing_secret]).unwrap();
    assert!(slack(&secrets, &pairs, body.clone().into_bytes(), drbot::clock::now()).is_ok());
    let outer: Value = serde_json::from_str(&body).unwrap();
    let event = &outer["event"];
    assert_eq!((&outer["type"], &event["type"]), (&json!("event_callback"), &json!("app_mention")));
    assert!(outer["event_id"].as_str().unwrap().starts_with("Ev") && event["client_msg_id"].is_string());
    assert_eq!((&event["user"], &event["thread_ts"]), (&json!("U01BOB"), &json!(root)));
    assert_eq!(event["text"], "<@U0BOT> note a &lt; b");
    let state: Value = chat.get("/page/state?as=U01ALICE").await.json().await.unwrap();
    let shown = state["channels"][0]["messages"].as_array().unwrap();
    assert_eq!(shown.len(), 4);
    assert_eq!((&shown[1]["thread"], &shown[1]["text"]), (&json!(root), &json!("<@U0BOT|@drbot> note a &lt; b")));
    assert_eq!(seen.lock().unwrap().len(), 1, "the other lines were not said to the bot");
    let nowhere = json!({"as": "U01BOB", "channel": "C01INC", "thread": "1.1", "text": "@drbot status"});
    assert_eq!(chat.post("/page/say", &nowhere).await.status(), StatusCode::BAD_REQUEST);
}

/// Slack brings an event again until it is answered with success: the same event, signed anew.
#[tokio::test]
async fn an_event_is_repeated_until_it_is_taken() {
    let chat = Chat::new().await;
    let seen = Seen::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (commands, interactions) = page::doors(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    chat.slack.bot_at(commands, interactions);
    let keep = Arc::clone(&seen);
    let stub = Router::new().fallback(move |headers: HeaderMap, body: String| async move {
        let mut seen = keep.lock().unwrap();
        seen.push((headers, body));
        if seen.len() == 1 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
    });
    tokio::spawn(async move { axum::serve(listener, stub).await });
    assert_eq!(chat.said("/page/say", &line("U01BOB", "@drbot status")).await["ok"], true);
    let twice = chat.slack.wait(Duration::from_secs(10), || (seen.lock().unwrap().len() == 2).then_some(())).await;
    assert!(twice.is_some(), "it was not repeated");
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0].1, seen[1].1);
    assert_eq!(
        (&seen[1].0["x-slack-retry-num"], &seen[1].0["x-slack-retry-reason"]),
        (&"1".parse().unwrap(), &"http_error".parse().unwrap())
    );
}
