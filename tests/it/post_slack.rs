//! The Slack client against the practice Slack: every class of answer, every fault.

use std::time::Duration;

use drbot::model::time::Millis;
use drbot::post::slack::client::{Identity, Sent, SlackClient};
use drbot::practice::slack::{Fault, Practice, Setup, User};
use serde_json::{Value, json};
use url::Url;

const CHANNEL: &str = "C01INC";
const START: Millis = Millis(1_795_376_600_000);
const OLD: &str = "1795376000.000000";

async fn practice() -> (Practice, SlackClient) {
    let practice = Practice::start(Setup::small(START)).await.unwrap();
    let client = client(&practice);
    (practice, client)
}

fn client(practice: &Practice) -> SlackClient {
    let token = Setup::small(START).token;
    SlackClient::new(practice.api_base().unwrap(), token, vec!["127.0.0.1".into(), ".slack-gov.com".into()]).unwrap()
}

fn alice() -> User {
    User::new("T01TEST", "U01ALICE", "alice")
}

fn payload(text: &str) -> Value {
    json!({"text": text, "blocks": [{"type": "section", "text": {"type": "plain_text", "text": text}}]})
}

async fn post(client: &SlackClient, marker: &str) -> Sent<String> {
    client.post(CHANNEL, None, marker, &payload("hello")).await
}

fn refused(error: &str) -> Sent<String> {
    Sent::Refused { error: error.into(), detail: String::new() }
}

fn later<T>(seconds: u64) -> Sent<T> {
    Sent::Later { after: Duration::from_secs(seconds) }
}

#[tokio::test]
async fn a_post_carries_its_marker_and_nothing_is_unfurled() {
    let (practice, client) = practice().await;
    let mut said = payload("hello");
    said["channel"] = "C-somewhere-else".into();
    let Sent::Ok(root) = client.post(CHANNEL, None, "m-1", &said).await else { panic!("not posted") };
    let Sent::Ok(reply) = client.post(CHANNEL, Some(&root), "m-2", &payload("reply")).await else { panic!() };
    let params = &practice.calls("chat.postMessage")[0].params;
    assert_eq!(params["metadata"], json!({"event_type": "dr_delivery", "event_payload": {"key": "m-1"}}));
    for flag in ["unfurl_links", "unfurl_media", "link_names"] {
        assert_eq!(params[flag], false, "{flag}");
    }
    let shown = practice.messages(CHANNEL);
    assert_eq!((&shown[0].ts, &shown[1].ts), (&root, &reply));
    assert_eq!(shown[1].thread_ts.as_deref(), Some(root.as_str()));
    assert_eq!(practice.violations(), [""; 0]);
}

#[tokio::test]
async fn update_ephemeral_respond_and_who_do_what_they_say() {
    let (practice, client) = practice().await;
    let Sent::Ok(ts) = post(&client, "m").await else { panic!("not posted") };
    assert_eq!(client.update(CHANNEL, &ts, &payload("changed")).await, Sent::Ok(()));
    let message = practice.message(CHANNEL, &ts).unwrap();
    assert_eq!((message.text.as_str(), message.edits[0].0.as_str()), ("changed", "hello"));
    assert!(message.metadata.is_some(), "an update leaves the marker");
    assert_eq!(client.ephemeral((CHANNEL, None), "U01ALICE", &payload("psst")).await, Sent::Ok(()));
    let hook = hook(&practice);
    assert_eq!(client.respond(&hook, &payload("answer")).await, Sent::Ok(()));
    let seen: Vec<String> = practice.privates(CHANNEL, &alice()).into_iter().map(|p| p.text).collect();
    assert_eq!(seen, ["psst", "answer"]);
    let me = Identity { team: "T01TEST".into(), user: "U0BOT".into(), bot: "B0BOT".into() };
    assert_eq!(client.who().await, Sent::Ok(me));
    assert_eq!(practice.violations(), [""; 0]);
}

/// A response URL as a slash command carries it.
fn hook(practice: &Practice) -> String {
    let body = practice.slash_body(&alice(), CHANNEL, "status");
    let mut pairs = url::form_urlencoded::parse(body.as_bytes());
    pairs.find(|(key, _)| key == "response_url").unwrap().1.into_owned()
}

fn trigger(practice: &Practice) -> String {
    let body = practice.slash_body(&alice(), CHANNEL, "status");
    let mut pairs = url::form_urlencoded::parse(body.as_bytes());
    pairs.find(|(key, _)| key == "trigger_id").unwrap().1.into_owned()
}

#[tokio::test]
async fn a_trigger_opens_one_view_and_grows_old() {
    let (practice, client) = practice().await;
    let view = json!({
        "type": "modal", "callback_id": "c", "title": {"type": "plain_text", "text": "Confirm"},
        "submit": {"type": "plain_text", "text": "Go"},
        "blocks": [{"type": "input", "block_id": "b", "label": {"type": "plain_text", "text": "why"},
            "element": {"type": "plain_text_input", "action_id": "a"}}],
    });
    let once = trigger(&practice);
    assert_eq!(client.open_view(&once, &view).await, Sent::Ok(()));
    assert_eq!(client.open_view(&once, &view).await, refused("exchanged_trigger_id").unit());
    let old = trigger(&practice);
    practice.advance(Duration::from_secs(4));
    assert_eq!(client.open_view(&old, &view).await, refused("expired_trigger_id").unit());
    assert_eq!(client.open_view("1.2.3", &view).await, refused("invalid_trigger_id").unit());
    let shown = practice.wait_view(&alice(), Duration::from_secs(5)).await.unwrap();
    assert_eq!(shown.view["callback_id"], "c");
    assert_eq!(practice.violations(), [""; 0]);
}

#[tokio::test]
async fn errors_fall_into_their_classes() {
    let (practice, client) = practice().await;
    let permanent = [
        "invalid_auth",
        "token_revoked",
        "account_inactive",
        "missing_scope",
        "channel_not_found",
        "not_in_channel",
        "is_archived",
        "invalid_blocks",
        "msg_too_long",
        "msg_blocks_too_long",
        "restricted_action_read_only_channel",
        "an_error_nobody_knows",
    ];
    for error in permanent {
        practice.fault_once("chat.postMessage", Fault::Refuse(error.into()));
        assert_eq!(post(&client, "m").await, refused(error));
    }
    for error in ["ratelimited", "rate_limited"] {
        practice.fault_once("chat.postMessage", Fault::Refuse(error.into()));
        assert_eq!(post(&client, "m").await, later(30));
    }
    for error in ["fatal_error", "internal_error", "request_timeout", "service_unavailable"] {
        practice.fault_once("chat.postMessage", Fault::Refuse(error.into()));
        assert_eq!(post(&client, "m").await, Sent::Doubtful { why: error.into() });
    }
    assert!(practice.messages(CHANNEL).is_empty());
    assert_eq!(practice.violations(), [""; 0]);
}

#[tokio::test]
async fn a_429_says_how_long_within_reason() {
    let (practice, client) = practice().await;
    let cases = [(Some("7"), 7), (None, 30), (Some("soon"), 30), (Some("99999"), 600), (Some("0"), 1)];
    for (after, expected) in cases {
        practice.fault_once("chat.postMessage", Fault::Limited(after.map(str::to_owned)));
        assert_eq!(post(&client, "m").await, later(expected), "{after:?}");
        practice.fault_once("response_url", Fault::Limited(after.map(str::to_owned)));
        assert_eq!(client.respond(&hook(&practice), &payload("x")).await, later(expected), "{after:?}");
    }
    practice.limit(Some(Duration::from_secs(60)));
    assert!(matches!(post(&client, "m").await, Sent::Ok(_)));
    assert_eq!(post(&client, "m").await, later(60));
    practice.advance(Duration::from_secs(61));
    assert!(matches!(post(&client, "m").await, Sent::Ok(_)));
    assert_eq!(practice.violations(), [""; 0]);
}

#[tokio::test]
async fn after_every_doubt_the_marker_tells_whether_it_was_posted() {
    let (practice, client) = practice().await;
    let hasty = self::client(&practice).with_deadline(Duration::from_millis(400));
    let accepted = [
        Fault::StatusAfter(500),
        Fault::StatusAfter(503),
        Fault::RefuseAfter("fatal_error".into()),
        Fault::Hang,
        Fault::Half,
        Fault::BadJson,
        Fault::Trickle,
        Fault::Huge(2 << 20),
    ];
    for (n, fault) in accepted.into_iter().enumerate() {
        let marker = format!("m-{n}");
        practice.fault_once("chat.postMessage", fault.clone());
        let sent = hasty.post(CHANNEL, None, &marker, &payload("hello")).await;
        assert!(matches!(sent, Sent::Doubtful { .. }), "{fault:?}: {sent:?}");
        let Sent::Ok(Some(ts)) = client.find(CHANNEL, None, &marker, OLD).await else { panic!("{fault:?}: lost") };
        assert_eq!(practice.message(CHANNEL, &ts).unwrap().metadata.unwrap()["event_payload"]["key"], marker);
    }
    for fault in [Fault::Status(500), Fault::Status(502), Fault::Redirect("/api/elsewhere".into())] {
        practice.fault_once("chat.postMessage", fault.clone());
        let sent = post(&client, "never").await;
        assert!(matches!(sent, Sent::Doubtful { .. }), "{fault:?}: {sent:?}");
    }
    assert_eq!(client.find(CHANNEL, None, "never", OLD).await, Sent::Ok(None));
    assert_eq!(practice.messages(CHANNEL).len(), 8, "no request was repeated");
    assert_eq!(practice.violations(), [""; 0]);
}

#[tokio::test]
async fn what_was_never_sent_comes_later_and_is_not_doubted() {
    let (practice, client) = practice().await;
    practice.down().await;
    assert_eq!(post(&client, "m").await, later(1));
    practice.up().await.unwrap();
    assert!(matches!(post(&client, "m").await, Sent::Ok(_)));
    assert_eq!(practice.messages(CHANNEL).len(), 1);
}

#[tokio::test]
async fn bad_blocks_are_refused_with_the_place() {
    let (_practice, client) = practice().await;
    let bad = json!({"text": "x", "blocks": [{"type": "header", "text": {"type": "plain_text", "text": ""}}]});
    let Sent::Refused { error, detail } = client.post(CHANNEL, None, "m", &bad).await else { panic!("accepted") };
    assert_eq!(error, "invalid_blocks");
    assert!(detail.contains("/blocks/0/text"), "{detail}");
}

#[tokio::test]
async fn find_reads_page_after_page_in_channels_and_threads() {
    let (practice, client) = practice().await;
    practice.page(15);
    let Sent::Ok(root) = post(&client, "root").await else { panic!("not posted") };
    let Sent::Ok(reply) = client.post(CHANNEL, Some(&root), "reply", &payload("r")).await else { panic!() };
    for n in 0..40 {
        practice.say(&alice(), CHANNEL, &format!("chatter {n}")).unwrap();
    }
    assert_eq!(client.find(CHANNEL, None, "root", OLD).await, Sent::Ok(Some(root.clone())));
    assert_eq!(practice.calls("conversations.history").len(), 3);
    assert_eq!(client.find(CHANNEL, Some(&root), "reply", OLD).await, Sent::Ok(Some(reply)));
    assert_eq!(client.find(CHANNEL, None, "reply", OLD).await, Sent::Ok(None), "a reply is not in the channel");
    assert_eq!(client.find(CHANNEL, None, "root", &after(&root)).await, Sent::Ok(None), "older than asked for");
    assert_eq!(practice.violations(), [""; 0]);
}

fn after(ts: &str) -> String {
    let (seconds, _) = ts.split_once('.').unwrap();
    format!("{}.000000", seconds.parse::<u64>().unwrap() + 1)
}

#[tokio::test]
async fn a_search_cut_short_is_no_absence() {
    let (practice, client) = practice().await;
    practice.page(5);
    for n in 0..60 {
        practice.say(&alice(), CHANNEL, &format!("chatter {n}")).unwrap();
    }
    assert!(matches!(client.find(CHANNEL, None, "m", OLD).await, Sent::Doubtful { .. }), "60 messages, 10 pages of 5");
    practice.fault_once("conversations.history", Fault::Limited(Some("9".into())));
    assert_eq!(client.find(CHANNEL, None, "m", OLD).await, later(9));
    practice.fault_once("conversations.history", Fault::Refuse("missing_scope".into()));
    assert!(matches!(client.find(CHANNEL, None, "m", OLD).await, Sent::Refused { .. }));
    practice.fault_once("conversations.history", Fault::RefuseAfter("fatal_error".into()));
    assert!(matches!(client.find(CHANNEL, None, "m", OLD).await, Sent::Doubtful { .. }));
}

#[tokio::test]
async fn a_marker_posted_by_somebody_else_is_not_ours() {
    let other = Setup { bot: "B0OTHER".into(), bot_user: "U0OTHER".into(), ..Setup::small(START) };
    let practice = Practice::start(other).await.unwrap();
    let stranger = client(&practice);
    let Sent::Ok(ts) = post(&stranger, "m").await else { panic!("not posted") };
    assert_eq!(stranger.find(CHANNEL, None, "m", OLD).await, Sent::Ok(Some(ts)));
    let me = json!({"ok": true, "team_id": "T01TEST", "user_id": "U0BOT", "bot_id": "B0BOT"});
    practice.fault_once("auth.test", Fault::Answer(me));
    assert_eq!(client(&practice).find(CHANNEL, None, "m", OLD).await, Sent::Ok(None));
}

#[tokio::test]
async fn response_urls_are_pinned() {
    let (practice, _) = practice().await;
    let hosts = ["hooks.slack.com", ".slack-gov.com", "127.0.0.1"].map(str::to_owned).to_vec();
    let client = SlackClient::new(practice.api_base().unwrap(), "xoxb-t".into(), hosts).unwrap();
    let port = practice.address().port();
    let secret = "9f8e7d6c5b4a";
    let bad = [
        format!("https://evil.example/{secret}"),
        format!("https://hooks.slack.com@evil.example/{secret}"),
        format!("https://hooks.slack.com:x@evil.example/{secret}"),
        format!("https://user@hooks.slack.com/{secret}"),
        format!("https://hooks.slack.com.evil.example/{secret}"),
        format!("https://evil-hooks.slack.com/{secret}"),
        format!("https://x.hooks.slack.com/{secret}"),
        format!("https://hooks.slack.com./{secret}"),
        format!("http://hooks.slack.com/{secret}"),
        format!("https://hooks.slack.com:8443/{secret}"),
        format!("https://evilslack-gov.com/{secret}"),
        format!("https://slack-gov.com/{secret}"),
        format!("http://hooks.slack-gov.com/{secret}"),
        format!("ftp://127.0.0.1/{secret}"),
        format!("http://localhost:{port}/_hooks/response/{secret}"),
        format!("http://127.0.0.2:{port}/_hooks/response/{secret}"),
        format!("http://[::1]:{port}/_hooks/response/{secret}"),
        format!("http://x@127.0.0.1:{port}/_hooks/response/{secret}"),
        format!("/_hooks/response/{secret}"),
        "https:///".into(),
        String::new(),
    ];
    for url in &bad {
        let sent = client.respond(url, &payload("x")).await;
        let Sent::Refused { error, detail } = &sent else { panic!("{url}: {sent:?}") };
        assert_eq!(error, "response_url_refused", "{url}");
        assert!(!detail.contains(secret), "the URL is a credential: {detail}");
    }
    assert!(practice.calls("response_url").is_empty());
    assert_eq!(practice.violations(), [""; 0], "nothing was sent");
}

#[tokio::test]
async fn a_redirect_of_a_response_url_is_not_followed() {
    let (practice, client) = practice().await;
    practice.fault_once("response_url", Fault::Redirect("/api/stolen".into()));
    let sent = client.respond(&hook(&practice), &payload("x")).await;
    assert!(matches!(&sent, Sent::Refused { error, .. } if error == "redirected"), "{sent:?}");
    assert_eq!(practice.violations(), [""; 0], "the second address was never asked for");
}

#[tokio::test]
async fn a_response_url_wears_out_and_its_faults_are_classed() {
    let (practice, client) = practice().await;
    let url = hook(&practice);
    for _ in 0..5 {
        assert_eq!(client.respond(&url, &payload("x")).await, Sent::Ok(()));
    }
    assert_eq!(client.respond(&url, &payload("x")).await, refused("used_url").unit());
    let old = hook(&practice);
    practice.advance(Duration::from_secs(31 * 60));
    assert_eq!(client.respond(&old, &payload("x")).await, refused("expired_url").unit());
    for fault in [Fault::Status(500), Fault::Half, Fault::StatusAfter(502)] {
        practice.fault_once("response_url", fault.clone());
        let sent = client.respond(&hook(&practice), &payload("x")).await;
        assert!(matches!(sent, Sent::Doubtful { .. }), "{fault:?}: {sent:?}");
    }
    assert_eq!(practice.violations(), [""; 0]);
}

#[tokio::test]
async fn the_token_shows_nowhere() {
    let (practice, client) = practice().await;
    let token = Setup::small(START).token;
    assert!(!format!("{client:?} {client:#?}").contains(&token));
    let echo = json!({"ok": false, "error": token, "needed": token, "response_metadata": {"messages": [token]}});
    practice.fault_once("chat.postMessage", Fault::Answer(echo));
    let sent = post(&client, "m").await;
    assert!(matches!(sent, Sent::Refused { .. }));
    assert!(!format!("{sent:?}").contains(&token), "{sent:?}");
    let bad = SlackClient::new(practice.api_base().unwrap(), format!("{token}\n"), Vec::new()).unwrap_err();
    assert!(!format!("{bad:#}").contains(&token), "{bad:#}");
    assert_eq!(practice.violations(), [""; 0]);
}

#[tokio::test]
async fn a_wrong_token_is_refused_and_noted() {
    let (practice, _) = practice().await;
    let client = SlackClient::new(practice.api_base().unwrap(), "xoxb-wrong".into(), Vec::new()).unwrap();
    assert_eq!(client.who().await, Sent::Refused { error: "invalid_auth".into(), detail: String::new() });
    assert_eq!(practice.violations(), ["auth.test: bad token"]);
}

#[test]
fn a_base_that_would_leak_the_token_is_not_taken() {
    for base in ["http://slack.com/api/", "https://u:p@slack.com/api/", "https://slack.com/api/?x=1", "file:///api/"] {
        assert!(SlackClient::new(Url::parse(base).unwrap(), "t".into(), Vec::new()).is_err(), "{base}");
    }
    for base in ["https://slack.com/api", "http://localhost:1/api/"] {
        assert!(SlackClient::new(Url::parse(base).unwrap(), "t".into(), Vec::new()).is_ok(), "{base}");
    }
    let hosts =
        |host: &str| SlackClient::new(Url::parse("https://slack.com/api/").unwrap(), "t".into(), vec![host.into()]);
    assert!(hosts("").is_err() && hosts(".").is_err() && hosts("hooks.slack.com").is_ok());
}
