//! Object stores against a real one that checks signatures and rights. Judged by its own log and by what it
//! was given.

use drbot::clock;
use drbot::execute::http::{Http, HttpFault, HttpTarget, Keys, ObjectStore};
use drbot::model::ask::{Ask, Deed, HttpAsk};
use drbot::model::http::{HttpAnswer, Method};
use drbot::model::time::Span;
use serde_json::{Value, json};
use url::Url;

use crate::moto::{BUCKET, Moto};

fn http(moto: &Moto, secret: &str) -> Http {
    let keys = Keys { region: "us-east-1".into(), access_key: moto.access.clone(), secret_key: secret.to_owned() };
    let store = Some(ObjectStore { bucket: BUCKET.into(), prefix: "drbot/".into(), keys });
    let base = Url::parse(&format!("http://127.0.0.1:{}", moto.port.number())).expect("an address");
    Http::new(
        [("store".to_owned(), HttpTarget { base, headers: vec![], allow_private: true, store })].into(),
        clock::now,
    )
}

async fn call(http: &Http, ask: Value) -> Result<HttpAnswer, HttpFault> {
    let ask: HttpAsk = serde_json::from_value(ask).expect("a call");
    let deed = Ask::Http(&ask).deed(&[].into(), &[], Span::seconds(20)).expect("rendered");
    let Deed::Http(calls) = deed else { panic!("{deed:?}") };
    http.call("store", &calls[0]).await
}

fn keys(answer: &HttpAnswer) -> Vec<&str> {
    let list = answer.json.as_ref().and_then(Value::as_array).unwrap_or_else(|| panic!("{answer:?}"));
    list.iter().filter_map(|o| o["key"].as_str()).collect()
}

/// More objects than one page holds, and others outside the prefix; told when there are more than allowed.
#[tokio::test]
async fn a_store_is_listed_to_its_last_page_or_not_judged() {
    let moto = Moto::start().await;
    let names: Vec<String> = (0..1_205).map(|n| format!("drbot/db-{n:04}.gz")).collect();
    let objects: Vec<(&str, &[u8])> = names.iter().map(|n| (n.as_str(), b"x".as_slice())).collect();
    moto.put(&objects).await;
    moto.put(&[("other/db.gz", b"x"), ("drbot/a%20b%2Bc%26d/%C3%BC.gz", b"12345")]).await;
    let http = http(&moto, &moto.secret);
    let all = call(&http, json!({"path": "/", "list": {}})).await.expect("a list");
    let found = keys(&all);
    assert_eq!((found.len(), found[0], found[1_205]), (1_206, "a b+c&d/ü.gz", "db-1204.gz"));
    assert_eq!(all.json.as_ref().map(|j| j[0]["bytes"].clone()), Some(json!(5)));
    assert_eq!(moto.log().matches("list-type=2").count(), 2, "{}", moto.log());
    let few = call(&http, json!({"path": "/db-12", "list": {}})).await.expect("a list");
    assert_eq!(keys(&few), ["00.gz", "01.gz", "02.gz", "03.gz", "04.gz"]);
    let fault = call(&http, json!({"path": "/", "list": {"at_most": 1_205}})).await.expect_err("too many");
    assert!(fault.text().contains("more than 1205 objects"));
    let object = call(&http, json!({"path": "/a%20b%2Bc%26d/%C3%BC.gz"})).await.expect("an object");
    assert_eq!((object.status, object.body.as_str()), (200, "12345"));
}

/// The store itself refuses a wrong key, and drbot itself everything but reading.
#[tokio::test]
async fn only_a_right_signature_reads_and_nothing_writes() {
    let moto = Moto::start().await;
    moto.put(&[("drbot/manifest.json", b"[]")]).await;
    let wrong = call(&http(&moto, "not-the-secret"), json!({"path": "/", "list": {}})).await.expect("an answer");
    assert_eq!(wrong.status, 403, "{wrong:?}");
    assert_eq!(wrong.json.expect("told")["code"], "SignatureDoesNotMatch");
    let http = http(&moto, &moto.secret);
    let gone = call(&http, json!({"path": "/none.json"})).await.expect("an answer");
    assert_eq!((gone.status, &gone.json.expect("told")["code"]), (404, &json!("NoSuchKey")));
    let before = moto.log().lines().count();
    for method in [Method::Post, Method::Put, Method::Patch, Method::Delete] {
        let refused = call(&http, json!({"path": "/manifest.json", "method": method})).await;
        assert!(matches!(&refused, Err(HttpFault::Refused { why }) if why.contains("only reads")), "{refused:?}");
    }
    for odd in ["/../x", "/a//b", "/manifest.json?acl", "/%2e%2e/x"] {
        let refused = call(&http, json!({"path": odd})).await;
        assert!(matches!(refused, Err(HttpFault::Refused { .. })), "{odd}: {refused:?}");
    }
    assert_eq!(moto.log().lines().count(), before, "nothing was sent");
}

/// What the manifest says and what is there are held against each other.
#[tokio::test]
async fn the_manifest_gives_the_time_and_the_store_the_rest() {
    let moto = Moto::start().await;
    let sum = "0".repeat(64);
    let entry =
        |key: &str, bytes: u64| json!({"key": key, "sha256": sum, "bytes": bytes, "taken_at": "2026-11-22T03:00:00Z"});
    let mut unproved = entry("unproved.gpg", 3);
    unproved["sha256"] = "none".into();
    let manifest = json!([entry("good.gpg", 3), entry("gone.gpg", 3), entry("cut.gpg", 3), unproved]).to_string();
    moto.put(&[("drbot/manifest.json", manifest.as_bytes()), ("drbot/good.gpg", b"123"), ("drbot/cut.gpg", b"12")])
        .await;
    moto.put(&[("drbot/unproved.gpg", b"123"), ("drbot/2026-11-22.gpg", b"123")]).await;
    let answer = call(&http(&moto, &moto.secret), json!({"path": "/", "list": {"manifest": "manifest.json"}})).await;
    let list = answer.expect("a list").json.expect("a list");
    let said: Vec<(&str, &str, &str)> = list
        .as_array()
        .expect("a list")
        .iter()
        .map(|o| ["key", "taken_at", "why"].map(|c| o[c].as_str().unwrap_or("-")))
        .map(|[key, at, why]| (key, at, why))
        .collect();
    let at = "2026-11-22T03:00:00Z";
    let wanted = [
        ("good.gpg", at, "-"),
        ("gone.gpg", at, "it is in the manifest and not in the store"),
        ("cut.gpg", at, "its size is not the one in the manifest"),
        ("unproved.gpg", at, "the manifest has no SHA-256 of it"),
        ("2026-11-22.gpg", "-", "-"),
    ];
    assert_eq!(said, wanted);
}
