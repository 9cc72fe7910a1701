//! The practice Slack itself: it is strict, it forgets nothing, and its users behave like users.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use drbot::model::time::Millis;
use drbot::post::slack::client::{Sent, SlackClient};
use drbot::practice::slack::{Practice, Setup, User, buttons, past_buttons, plain_text};
use serde_json::{Value, json};
use url::Url;

const CHANNEL: &str = "C01INC";
const START: Millis = Millis(1_795_376_600_000);
const LIMIT: Duration = Duration::from_secs(5);

fn alice() -> User {
    User::new("T01TEST", "U01ALICE", "alice")
}

async fn practice() -> (Practice, SlackClient) {
    let practice = Practice::start(Setup::small(START)).await.unwrap();
    let token = Setup::small(START).token;
    let client = SlackClient::new(practice.api_base().unwrap(), token, vec!["127.0.0.1".into()]).unwrap();
    (practice, client)
}

/// Requests that a stand-in for the bot got: path, timestamp, signature, body.
type Got = Arc<Mutex<Vec<(String, String, String, String)>>>;

async fn bot(practice: &Practice, answer: &'static str) -> Got {
    let got = Got::default();
    let app = Router::new().fallback(take).with_state((Arc::clone(&got), answer));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let url = |path: &str| Url::parse(&format!("{base}{path}")).unwrap();
    practice.bot_at(url("/slack/commands"), url("/slack/interactions"));
    got
}

async fn take(State((got, answer)): State<(Got, &'static str)>, request: Request) -> &'static str {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let of = |name: &str| parts.headers[name].to_str().unwrap().to_owned();
    let (time, mark) = (of("x-slack-request-timestamp"), of("x-slack-signature"));
    got.lock().unwrap().push((parts.uri.path().to_owned(), time, mark, String::from_utf8(body.to_vec()).unwrap()));
    answer
}

fn payload(got: &Got, at: usize) -> Value {
    let body = got.lock().unwrap()[at].3.clone();
    let (_, json) = url::form_urlencoded::parse(body.as_bytes()).next().unwrap();
    serde_json::from_str(&json).unwrap()
}

fn card(label: &str, value: &str) -> Value {
    json!({"text": "card", "blocks": [
        {"type": "section", "text": {"type": "mrkdwn", "text": "*Restart?*"}},
        {"type": "actions", "block_id": "dr", "elements": [{"type": "button", "action_id": "go", "style": "primary",
            "text": {"type": "plain_text", "text": label}, "value": value}]}]})
}

async fn raw(practice: &Practice, method: reqwest::Method, path: &str, headers: &[(&str, &str)], body: &str) -> u16 {
    let mut request = reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .request(method, format!("http://{}{path}", practice.address()))
        .body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn everything_unusual_is_answered_4xx_and_noted() {
    let (practice, _) = practice().await;
    let token = format!("Bearer {}", Setup::small(START).token);
    let json = ("content-type", "application/json; charset=utf-8");
    let auth = ("authorization", token.as_str());
    let good = r#"{"channel":"C01INC","text":"x"}"#;
    let post = reqwest::Method::POST;
    let path = "/api/chat.postMessage";
    let cases = [
        (reqwest::Method::GET, path, vec![json, auth], good),
        (post.clone(), "/api/chat.delete", vec![json, auth], good),
        (post.clone(), "/other", vec![json, auth], good),
        (post.clone(), "/api/response_url", vec![json, auth], good),
        (post.clone(), "/api/chat.postMessage?token=x", vec![json, auth], good),
        (post.clone(), path, vec![json], good),
        (post.clone(), path, vec![json, ("authorization", "Bearer xoxb-other")], good),
        (post.clone(), path, vec![("content-type", "application/json"), auth], good),
        (post.clone(), path, vec![json, auth, ("x-extra", "1")], good),
        (post.clone(), path, vec![json, auth], "{"),
        (post.clone(), path, vec![json, auth], r#"{"channel":"C01INC"}"#),
        (post.clone(), path, vec![json, auth], r#"{"channel":"C01INC","text":"x","as_user":true}"#),
        (post.clone(), path, vec![json, auth], r#"{"channel":"C01INC","text":"x","blocks":"[]"}"#),
        (
            post.clone(),
            "/_hooks/response/x",
            vec![json, auth],
            r#"{"text":"x","response_type":"ephemeral","replace_original":false}"#,
        ),
    ];
    for (n, (method, path, headers, body)) in cases.into_iter().enumerate() {
        let status = raw(&practice, method, path, &headers, body).await;
        assert!((400..500).contains(&status), "case {n}: {status}");
        assert_eq!(practice.violations().len(), n + 1, "case {n}: {:?}", practice.violations());
    }
    assert!(practice.messages(CHANNEL).is_empty() && practice.calls("chat.postMessage").is_empty());
    assert_eq!(raw(&practice, post, path, &[json, auth], good).await, 200, "the good one is good");
}

#[tokio::test]
async fn messages_are_checked_like_slack_does() {
    let (practice, client) = practice().await;
    let divider = json!({"type": "divider"});
    let section = |n: usize| json!({"type": "section", "text": {"type": "plain_text", "text": "x".repeat(n)}});
    let button = |n: usize| {
        json!({"type": "actions", "elements": [{"type": "button", "action_id": "a",
        "text": {"type": "plain_text", "text": "x".repeat(n)}}]})
    };
    let cases = [
        (vec![divider.clone(); 51], "invalid_blocks"),
        (vec![section(3001)], "invalid_blocks"),
        (vec![button(76)], "invalid_blocks"),
        (vec![json!({"type": "alert", "text": {"type": "plain_text", "text": "x"}})], "invalid_blocks"),
        (vec![json!({"type": "divider", "text": "x"})], "invalid_blocks"),
        (vec![section(2700); 5], "msg_blocks_too_long"),
    ];
    for (blocks, expected) in cases {
        let sent = client.post(CHANNEL, None, "m", &json!({"text": "x", "blocks": blocks})).await;
        assert!(matches!(&sent, Sent::Refused { error, .. } if error == expected), "{expected}: {sent:?}");
    }
    let full = vec![section(260); 50];
    let Sent::Ok(ts) = client.post(CHANNEL, None, "m", &json!({"text": "x", "blocks": full})).await else { panic!() };
    let error = |sent: Sent<()>| match sent {
        Sent::Refused { error, .. } => error,
        other => format!("{other:?}"),
    };
    assert_eq!(error(client.update(CHANNEL, &ts, &json!({"text": "x".repeat(4001)})).await), "msg_too_long");
    assert_eq!(error(client.update(CHANNEL, "1.000001", &json!({"text": "x"})).await), "message_not_found");
    assert_eq!(error(client.update("C0NONE", &ts, &json!({"text": "x"})).await), "channel_not_found");
    assert_eq!(
        error(client.ephemeral((CHANNEL, None), "U0NOBODY", &json!({"text": "x"})).await),
        "user_not_in_channel"
    );
    let said = practice.say(&alice(), CHANNEL, "mine").unwrap();
    assert_eq!(error(client.update(CHANNEL, &said, &json!({"text": "x"})).await), "cant_update_message");
    assert_eq!(practice.violations(), [""; 0]);
}

#[tokio::test]
async fn a_slash_command_has_all_fields_and_its_answer_is_shown() {
    let (practice, _) = practice().await;
    let got = bot(&practice, r#"{"text":"all well"}"#).await;
    let answer = practice.slash(&alice(), CHANNEL, "status db").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"text":"all well"}"#));
    let (path, time, mark, body) = got.lock().unwrap()[0].clone();
    assert_eq!((path.as_str(), time.len(), mark.len()), ("/slack/commands", 10, 67));
    let keys: Vec<String> = url::form_urlencoded::parse(body.as_bytes()).map(|(k, _)| k.into_owned()).collect();
    let expected = "token team_id team_domain channel_id channel_name user_id user_name command text api_app_id \
                    is_enterprise_install response_url trigger_id";
    assert_eq!(keys.join(" "), expected);
    assert_eq!(practice.privates(CHANNEL, &alice())[0].text, "all well");
    assert_eq!(practice.redeliver(&answer.signed).await.status, 200);
    let got = got.lock().unwrap().clone();
    assert_eq!(got[0], got[1], "byte for byte the same");
    assert_eq!(practice.gestures().len(), 2);
    assert_eq!(practice.violations(), [""; 0]);
}

#[tokio::test]
async fn only_shown_buttons_are_clicked_unless_asked_raw() {
    let (practice, client) = practice().await;
    let got = bot(&practice, "").await;
    let Sent::Ok(ts) = client.post(CHANNEL, None, "m", &card("Approve", "v1")).await else { panic!("not posted") };
    let answer = practice.click(&alice(), CHANNEL, &ts, "Approve").await.unwrap();
    assert_eq!(answer.status, 200);
    let clicked = payload(&got, 0);
    assert_eq!(clicked["actions"][0]["value"], "v1");
    assert_eq!(clicked["container"]["message_ts"], ts.as_str());
    assert_eq!(clicked["user"]["team_id"], "T01TEST");
    assert_eq!(client.update(CHANNEL, &ts, &card("Too late", "v2")).await, Sent::Ok(()));
    let refused = practice.click(&alice(), CHANNEL, &ts, "Approve").await.unwrap_err();
    assert!(refused.to_string().contains("Too late"), "{refused}");
    let message = practice.message(CHANNEL, &ts).unwrap();
    let stale = past_buttons(&message)[0].clone();
    practice.click_raw(&alice(), CHANNEL, &ts, &stale).await;
    let late = payload(&got, 1);
    assert_eq!(
        (&late["actions"][0]["value"], &late["message"]["blocks"][1]["elements"][0]["value"]),
        (&json!("v1"), &json!("v1"))
    );
    assert_eq!(buttons(&message)[0].value, "v2");
    assert_eq!(plain_text(&message), "Restart?\n[Too late]");
    assert_eq!(practice.violations(), [""; 0]);
}

#[tokio::test]
async fn a_form_is_filled_in_and_stays_open_on_errors() {
    let (practice, client) = practice().await;
    let got = bot(&practice, r#"{"response_action":"errors","errors":{"b":"no"}}"#).await;
    let answer = practice.slash(&alice(), CHANNEL, "deny").await;
    let body = answer.signed.body;
    let trigger = url::form_urlencoded::parse(body.as_bytes()).find(|(k, _)| k == "trigger_id").unwrap().1;
    let view = json!({
        "type": "modal", "callback_id": "c", "private_metadata": "p",
        "title": {"type": "plain_text", "text": "Confirm"}, "submit": {"type": "plain_text", "text": "Go"},
        "blocks": [{"type": "input", "block_id": "b", "label": {"type": "plain_text", "text": "type prod"},
            "element": {"type": "plain_text_input", "action_id": "a"}}],
    });
    assert_eq!(client.open_view(&trigger, &view).await, Sent::Ok(()));
    let open = practice.wait_view(&alice(), LIMIT).await.unwrap();
    let bob = User::new("T01TEST", "U02BOB", "bob");
    assert!(practice.submit(&bob, &open.id, &[("b", "prod")]).await.is_err(), "not his");
    assert!(practice.submit(&alice(), &open.id, &[]).await.is_err(), "empty");
    assert!(practice.submit(&alice(), &open.id, &[("b", "x"), ("z", "y")]).await.is_err(), "no such field");
    practice.submit(&alice(), &open.id, &[("b", "prod")]).await.unwrap();
    let sent = payload(&got, 1);
    assert_eq!(sent["view"]["state"]["values"], json!({"b": {"a": {"type": "plain_text_input", "value": "prod"}}}));
    assert_eq!((&sent["type"], &sent["view"]["private_metadata"]), (&json!("view_submission"), &json!("p")));
    assert!(practice.views()[0].open, "errors keep it open");
    bot(&practice, "").await;
    practice.submit(&alice(), &open.id, &[("b", "prod")]).await.unwrap();
    assert!(!practice.views()[0].open);
    assert_eq!(practice.violations(), [""; 0]);
}

/// A trigger of alice's.
async fn trigger(practice: &Practice) -> String {
    let body = practice.slash(&alice(), CHANNEL, "run").await.signed.body;
    url::form_urlencoded::parse(body.as_bytes()).find(|(k, _)| k == "trigger_id").expect("a trigger").1.into_owned()
}

#[tokio::test]
async fn lists_in_forms_follow_slacks_rules() {
    let (practice, client) = practice().await;
    bot(&practice, "").await;
    let plain = |text: &str| json!({"type": "plain_text", "text": text});
    let option = |text: &str, value: &str| json!({"text": plain(text), "value": value});
    let element = json!({"type": "static_select", "action_id": "a", "initial_option": option("South", "s"),
        "options": [option("North", "n"), option("South", "s")]});
    let block =
        json!({"type": "input", "block_id": "b", "label": plain("Which"), "optional": true, "element": element});
    let view = json!({"type": "modal", "title": plain("Run"), "submit": plain("Go"), "blocks": [block]});
    for (path, value, at) in [
        ("options", json!([]), "/element/options]"),
        ("options", json!([option("North", "n"), option("South", "n")]), "/element/options/1]"),
        ("options", json!([option(&"x".repeat(76), "n"), option("South", "s")]), "/options/0/text/text]"),
        ("options", json!([option("North", &"x".repeat(76)), option("South", "s")]), "/options/0/value]"),
        ("options", json!([{"text": plain("South"), "value": "s", "colour": "red"}]), "/options/0]"),
        ("initial_option", option("South", "n"), "/element/initial_option]"),
        ("multiple", json!(true), "/element]"),
    ] {
        let mut bad = view.clone();
        bad["blocks"][0]["element"][path] = value;
        let Sent::Refused { error, detail } = client.open_view(&trigger(&practice).await, &bad).await else {
            panic!("{path} {at} was taken")
        };
        assert_eq!(error, "invalid_arguments");
        assert!(detail.contains(at), "{path}: {detail}");
    }
    let mut several = view.clone();
    several["blocks"][0]["element"] = json!({"type": "multi_static_select", "action_id": "a",
        "initial_options": [option("East", "e")], "options": [option("North", "n"), option("South", "s")]});
    let Sent::Refused { detail, .. } = client.open_view(&trigger(&practice).await, &several).await else {
        panic!("an initial option that is none was taken")
    };
    assert!(detail.contains("/element/initial_options/0]"), "{detail}");
    assert!(practice.views().is_empty());
    several["blocks"][0]["element"]["initial_options"] = json!([option("South", "s")]);
    assert_eq!(client.open_view(&trigger(&practice).await, &several).await, Sent::Ok(()));
    let open = practice.wait_view(&alice(), LIMIT).await.unwrap();
    let got = bot(&practice, "").await;
    practice.submit(&alice(), &open.id, &[("b", "s,n")]).await.unwrap();
    let state = &payload(&got, 0)["view"]["state"]["values"]["b"]["a"];
    assert_eq!(state["selected_options"], json!([option("South", "s"), option("North", "n")]));
    bot(&practice, "").await;
    assert_eq!(client.open_view(&trigger(&practice).await, &view).await, Sent::Ok(()));
    let open = practice.wait_view(&alice(), LIMIT).await.unwrap();
    assert!(practice.submit(&alice(), &open.id, &[("b", "x")]).await.is_err(), "no such option");
    let got = bot(&practice, r#"{"response_action":"errors","errors":{"text":"no such block"}}"#).await;
    practice.submit(&alice(), &open.id, &[]).await.unwrap();
    let values = |got: &Got| payload(got, 0)["view"]["state"]["values"]["b"]["a"].clone();
    assert_eq!(values(&got), json!({"type": "static_select", "selected_option": option("South", "s")}), "what was set");
    let told = practice.violations().join("\n");
    assert!(told.contains(r#"under "text", which is no input of the modal"#), "{told}");
    let got = bot(&practice, "").await;
    practice.submit(&alice(), &open.id, &[("b", "")]).await.unwrap();
    assert_eq!(values(&got), json!({"type": "static_select", "selected_option": null}), "emptied");
}

#[tokio::test]
async fn waiting_ends_with_the_change_or_with_what_was_seen_instead() {
    let (practice, client) = practice().await;
    let Sent::Ok(ts) = client.post(CHANNEL, None, "m", &card("Approve", "v1")).await else { panic!("not posted") };
    let changed = card("Done", "v2");
    let (seen, updated) = tokio::join!(
        practice.wait_message(CHANNEL, |m| plain_text(m).contains("[Done]"), LIMIT),
        client.update(CHANNEL, &ts, &changed),
    );
    assert_eq!((seen.unwrap().ts, updated), (ts, Sent::Ok(())));
    let missing = practice.wait_message(CHANNEL, |_| false, Duration::from_millis(20)).await.unwrap_err();
    assert!(missing.to_string().contains("[Done]"), "{missing}");
}
