//! HTTP targets against local servers. The judge is what the server saw, and what certainty the fault
//! claims about it.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use drbot::clock;
use drbot::execute::http::{Http, HttpFault, HttpTarget, Lookup, forbidden};
use drbot::model::http::{HttpCall, HttpExpect, JsonExpect, Method};
use drbot::model::time::Span;
use futures_util::stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;
use url::Url;

const CANARY: &str = "canary-5ecret-value";

type Seen = Arc<Mutex<Vec<(String, String, HeaderMap, Bytes)>>>;

/// A server that writes down every request and answers by path.
async fn server() -> (Url, Seen) {
    let seen = Seen::default();
    let app = Router::new().fallback(answer).with_state(seen.clone());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let base = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (base, seen)
}

async fn answer(State(seen): State<Seen>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    seen.lock().unwrap().push((head.method.to_string(), head.uri.to_string(), head.headers.clone(), body));
    route(&head.uri)
}

fn route(uri: &Uri) -> Response {
    match uri.path() {
        "/status" => r#"{"status":{"indicator":"none"},"size":3,"gone":null}"#.into_response(),
        "/down" => (StatusCode::SERVICE_UNAVAILABLE, "<html>down").into_response(),
        "/move" => (StatusCode::FOUND, [("location", "/status")], "").into_response(),
        "/endless" => {
            let parts = stream::repeat_with(|| io::Result::Ok(Bytes::from_static(&[b'x'; 4096])));
            Body::from_stream(parts).into_response()
        }
        "/slow" => {
            let parts = stream::once(async { io::Result::Ok(Bytes::from_static(b"begin")) });
            let never = stream::once(std::future::pending::<io::Result<Bytes>>());
            Body::from_stream(futures_util::StreamExt::chain(parts, never)).into_response()
        }
        _ => StatusCode::OK.into_response(),
    }
}

fn target(base: &Url) -> HttpTarget {
    let headers = vec![("Authorization".to_owned(), format!("Bearer {CANARY}"))];
    HttpTarget { base: base.clone(), headers, allow_private: true, store: None }
}

fn http(target: HttpTarget) -> Http {
    Http::new([("api".to_owned(), target)].into(), clock::now)
}

fn call(method: Method, path: &str) -> HttpCall {
    let mut call: HttpCall =
        serde_json::from_str(r#"{"method": "get", "path": "/", "timeout": "10s", "cap_bytes": 65536}"#).unwrap();
    (call.method, call.path) = (method, path.to_owned());
    call
}

fn get(path: &str) -> HttpCall {
    call(Method::Get, path)
}

fn refused(fault: &HttpFault) -> &str {
    let HttpFault::Refused { why } = fault else { panic!("{fault:?}") };
    why
}

#[tokio::test]
async fn an_answer_is_judged_by_status_time_and_content() {
    let (base, seen) = server().await;
    let http = http(target(&base));
    let got = http.call("api", &get("/status?x=1")).await.unwrap();
    let part = |pointer: &str| JsonExpect { pointer: pointer.to_owned(), ..JsonExpect::default() };
    let wanted = HttpExpect {
        silence_fails: false,
        no_verdict: vec![401],
        status: Some(vec![200]),
        latency_at_most: Some(Span::seconds(10)),
        json: vec![
            JsonExpect { any_of: vec!["minor".into(), "none".into()], ..part("/status/indicator") },
            JsonExpect { at_most: Some(3), ..part("/size") },
        ],
    };
    assert_eq!(wanted.holds(&got), Ok(true));
    let null = HttpExpect { json: vec![JsonExpect { is: Some("null".into()), ..part("/gone") }], ..wanted.clone() };
    assert!(null.holds(&got).is_err());
    let down = http.call("api", &get("/down")).await.unwrap();
    assert_eq!((down.status, down.body.as_str(), down.json.is_none()), (503, "<html>down", true));
    assert_eq!(wanted.holds(&down), Ok(false));
    let seen = seen.lock().unwrap();
    let (method, uri, headers, _) = &seen[0];
    assert_eq!((method.as_str(), uri.as_str()), ("GET", "/status?x=1"));
    assert_eq!(headers["authorization"], format!("Bearer {CANARY}"));
}

#[tokio::test]
async fn every_method_sends_exactly_what_was_said_once() {
    let (mut base, seen) = server().await;
    base.set_path("/v1/");
    let http = http(target(&base));
    for method in [Method::Get, Method::Head, Method::Post, Method::Put, Method::Patch, Method::Delete] {
        let body = (!method.reads()).then(|| "{\"a\" : 1}".to_owned());
        let headers = vec![("Idempotency-Key".to_owned(), "k1".to_owned())];
        let call = HttpCall { body: body.clone(), headers, ..call(method, "/things/a%20b") };
        assert_eq!(http.call("api", &call).await.unwrap().status, 200);
        let mut all = seen.lock().unwrap();
        let (word, uri, headers, got) = all.pop().unwrap();
        assert!(all.is_empty(), "once");
        assert_eq!((word.as_str(), uri.as_str()), (method.word(), "/v1/things/a%20b"));
        assert_eq!(got, body.unwrap_or_default());
        assert_eq!(headers["idempotency-key"], "k1");
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let (base, seen) = server().await;
    let got = http(target(&base)).call("api", &get("/move")).await.unwrap();
    assert_eq!((got.status, seen.lock().unwrap().len()), (302, 1));
}

#[tokio::test]
async fn bodies_have_a_cap_and_a_deadline() {
    let (base, _) = server().await;
    let http = http(target(&base));
    let got = http.call("api", &HttpCall { cap_bytes: 10_000, ..get("/endless") }).await.unwrap();
    assert_eq!((got.body.len(), got.truncated, got.json), (10_000, true, None));
    let most = http.call("api", &HttpCall { cap_bytes: u64::MAX, ..get("/endless") }).await.unwrap();
    assert_eq!((most.body.len(), most.truncated), (8 << 20, true));
    let begun = Instant::now();
    let slow = HttpCall { timeout: Span(600), ..get("/slow") };
    let fault = http.call("api", &slow).await.unwrap_err();
    assert!(matches!(&fault, HttpFault::Doubtful { why } if why.contains("600 ms")), "{fault:?}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn it_is_said_whether_the_target_may_have_got_it() {
    let closed = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let base = Url::parse(&format!("http://{}/", closed.local_addr().unwrap())).unwrap();
    let http = http(target(&base));
    // Takes the request, then goes away without, or in the middle of, an answer.
    for part in ["", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf", "nonsense\r\n\r\n"] {
        let hang = async {
            let (mut socket, _) = closed.accept().await.unwrap();
            let mut buffer = [0; 4096];
            let n = socket.read(&mut buffer).await.unwrap();
            assert!(buffer[..n].starts_with(b"POST /pay"));
            socket.write_all(part.as_bytes()).await.unwrap();
        };
        let pay = call(Method::Post, "/pay");
        let (fault, ()) = tokio::join!(http.call("api", &pay), hang);
        assert!(matches!(fault, Err(HttpFault::Doubtful { .. })), "{fault:?}");
    }
    // And did not come again.
    let again = tokio::time::timeout(Duration::from_millis(300), closed.accept()).await;
    assert!(again.is_err(), "a second attempt");
    drop(closed);
    let fault = http.call("api", &call(Method::Post, "/pay")).await.unwrap_err();
    assert!(matches!(fault, HttpFault::NotSent { .. }), "{fault:?}");
    assert!(refused(&http.call("gone", &get("/")).await.unwrap_err()).contains("gone"));
}

/// Paths that lead elsewhere, or would somewhere.
const TRICKS: &[&str] = &[
    "",
    "x",
    "//evil",
    "///evil",
    "/a//b",
    "\\\\evil",
    "/\\evil",
    "/a\\b",
    "/..",
    "/../x",
    "/a/../b",
    "/a/..",
    "/.",
    "/./a",
    "/%2e%2e/x",
    "/%2E%2e",
    "/.%2e/x",
    "/%2e",
    "/a/%2e%2e%2fb",
    "/%2f%2fevil",
    "/a%2fb",
    "/a%5cb",
    "/%5C",
    "/%252e%252e/x",
    "/%25252e%25252e/x",
    "/%252fx",
    "/..;/x",
    "/..;a=b/x",
    "/%2e%2e;/x",
    "/a%00b",
    "/a%0d%0ab",
    "/a%250ab",
    "/a\r\nHost: evil",
    "/a\nb",
    "/a\tb",
    "/a b",
    "/a\0b",
    "/a#b",
    "/a?b#c",
    "/é",
    "/a?é",
    "/\u{ff0e}\u{ff0e}/x",
    "/\u{2215}evil",
    "/\u{202e}x",
    "http://evil/",
    "https://evil/a",
    "HTTP://evil",
    "//user@evil/",
    "@evil",
    ":80/",
    "user:pw@evil",
    "javascript:x",
    "file:///etc/passwd",
    "/%",
    "/%2",
    "/%zz",
    "/a?%",
    "/a?x=%g1",
    "/<x>",
    "/a\"b",
    "/{id}",
    "/a|b",
    "/a^b",
    "/a`b",
    "/a?b c",
    "/a?b\r\nc",
    "?x=1",
    "#x",
    "/\u{7f}",
    ".",
    "..",
    "/a/./b",
    "/a/%2e/b",
];

#[tokio::test]
async fn a_path_cannot_lead_elsewhere() {
    let (mut base, seen) = server().await;
    base.set_path("/v1");
    let http = http(target(&base));
    assert!(TRICKS.len() >= 40);

    for path in TRICKS {
        let fault = http.call("api", &get(path)).await.unwrap_err();
        assert!(!refused(&fault).contains("evil"), "{path:?}: {fault:?}");
    }
    let long = format!("/{}", "a".repeat(9_000));
    refused(&http.call("api", &get(&long)).await.unwrap_err());
    assert!(seen.lock().unwrap().is_empty(), "nothing was sent");
    // And what is right arrives as it was written.
    for path in [
        "/",
        "/a",
        "/a/",
        "/a-b_c~d.e",
        "/..a",
        "/a..",
        "/...",
        "/a@b:c",
        "/a%20b",
        "/a%25",
        "/%E2%82%AC",
        "/a;b=c",
        "/a?",
        "/a?q=%0A&r=//x/../y",
        "/a?b?c",
        "/a'(b)*,$!&+=",
    ] {
        http.call("api", &get(path)).await.unwrap_or_else(|e| panic!("{path}: {e:?}"));
        assert_eq!(seen.lock().unwrap().pop().unwrap().1, format!("/v1{path}"));
    }
}

#[tokio::test]
async fn a_base_address_has_only_what_it_needs() {
    let (base, seen) = server().await;
    let port = base.port().unwrap();
    for text in [
        format!("ftp://127.0.0.1:{port}/"),
        format!("http://user@127.0.0.1:{port}/"),
        format!("http://user:{CANARY}@127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{port}/?a=b"),
        format!("http://127.0.0.1:{port}/#a"),
        "data:text/plain,hi".to_owned(),
    ] {
        let fault = http(target(&Url::parse(&text).unwrap())).call("api", &get("/")).await.unwrap_err();
        assert!(!refused(&fault).contains(CANARY), "{fault:?}");
    }
    // Credentials do not leave in the clear.
    let clear = HttpTarget { allow_private: false, ..target(&Url::parse("http://192.0.2.1/").unwrap()) };
    assert!(refused(&http(clear).call("api", &get("/")).await.unwrap_err()).contains("https"));
    assert!(seen.lock().unwrap().is_empty());
}

/// Addresses of private networks and of this machine, as somebody might hide them.
const INSIDE: [&str; 47] = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "0.0.0.0",
    "0",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "169.254.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "224.0.0.1",
    "255.255.255.255",
    "240.0.0.1",
    "198.18.0.1",
    "192.0.0.192",
    "[::]",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:8.8.8.8]",
    "[::127.0.0.1]",
    "[fe80::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:7f00:1::]",
    "[2001:0:1::1]",
    "[2001:db8::1]",
    "[fec0::1]",
    "[100::1]",
    "\u{2460}\u{2461}\u{2466}.0.0.1",
    "127\u{3002}0\u{3002}0\u{3002}1",
];

#[tokio::test]
async fn private_addresses_in_any_clothes_are_refused() {
    let (base, seen) = server().await;
    let port = base.port().unwrap();
    for host in INSIDE {
        let Ok(base) = Url::parse(&format!("http://{host}:{port}/")) else { continue };
        let http = http(HttpTarget { base, headers: vec![], allow_private: false, store: None });
        let fault = http.call("api", &get("/status")).await.unwrap_err();
        // A name may also be unknown here.
        let unknown = matches!(fault, HttpFault::NotSent { .. }) && host == "localhost.";
        assert!(unknown || matches!(fault, HttpFault::Refused { .. }), "{host}: {fault:?}");
    }
    assert!(seen.lock().unwrap().is_empty());
    for never in ["169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254", "0.0.0.0", "224.0.0.1", "ff02::1", "::"]
    {
        assert!(forbidden(never.parse().unwrap(), true).is_some(), "{never}");
    }
    for fine in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1", "64:ff9b::808:808"] {
        assert_eq!(forbidden(fine.parse::<IpAddr>().unwrap(), false), None, "{fine}");
    }
    for inside in ["127.0.0.1", "10.1.2.3", "::1", "fd12::1", "::ffff:10.0.0.1"] {
        assert_eq!(forbidden(inside.parse::<IpAddr>().unwrap(), true), None, "{inside}");
    }
}

fn named(base: &Url, private: bool, lookup: Lookup) -> Http {
    let mut base = base.clone();
    base.set_host(Some("api.example.com")).unwrap();
    let target = HttpTarget { base, headers: vec![], allow_private: private, store: None };
    Http::with_lookup([("api".to_owned(), target)].into(), clock::now, lookup)
}

#[tokio::test]
async fn the_address_checked_is_the_address_dialled() {
    let (base, seen) = server().await;
    let here: SocketAddr = ([127, 0, 0, 1], base.port().unwrap()).into();
    // A name that changes its mind: whoever asks twice meets another address.
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let lookup: Lookup = Arc::new(move |_, _| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Ok(vec![here]),
        _ => Ok(vec![([169, 254, 169, 254], 80).into()]),
    });
    let http = named(&base, true, lookup);
    assert_eq!(http.call("api", &get("/status")).await.unwrap().status, 200);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert!(seen.lock().unwrap()[0].2["host"].to_str().unwrap().starts_with("api.example.com"));
    refused(&http.call("api", &get("/status")).await.unwrap_err());
    // One bad address among good ones closes the door.
    let both: Lookup = Arc::new(move |_, _| Ok(vec![([8, 8, 8, 8], 80).into(), here]));
    let fault = named(&base, false, both).call("api", &get("/status")).await.unwrap_err();
    assert!(refused(&fault).contains("127.0.0.1"));
    assert_eq!(seen.lock().unwrap().len(), 1);
    for lookup in
        [Arc::new(|_: &str, _| Ok(vec![])) as Lookup, Arc::new(|_: &str, _| Err(io::Error::other("no such name")))]
    {
        let fault = named(&base, true, lookup).call("api", &get("/status")).await.unwrap_err();
        assert!(matches!(fault, HttpFault::NotSent { .. }), "{fault:?}");
    }
}

#[tokio::test]
async fn a_look_up_that_hangs_costs_its_call_and_a_thread_but_not_all_threads() {
    let (base, _) = server().await;
    let inside = Arc::new(AtomicUsize::new(0));
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let (count, gate) = (inside.clone(), Mutex::new(gate));
    let lookup: Lookup = Arc::new(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        // Ends when the test does.
        let _ = gate.lock().unwrap().recv();
        Err(io::Error::other("late"))
    });
    let http = named(&base, true, lookup);
    let begun = Instant::now();
    let request = get("/status");
    let calls = futures_util::future::join_all((0..40).map(|_| http.call("api", &request))).await;
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    assert!(calls.iter().all(|c| matches!(c, Err(HttpFault::NotSent { .. }))));
    assert_eq!(inside.load(Ordering::SeqCst), 8);
    drop(open);
}

#[tokio::test]
async fn secrets_of_a_target_show_nowhere() {
    let (base, seen) = server().await;
    let mut base = base;
    base.set_path(&format!("/hooks/{CANARY}"));
    let fine = target(&base);
    let broken = HttpTarget { headers: vec![("X-Key".to_owned(), format!("{CANARY}\n"))], ..fine.clone() };
    let twice = HttpTarget { headers: [fine.headers.clone(), fine.headers.clone()].concat(), ..fine.clone() };
    let gone = HttpTarget { base: Url::parse(&format!("http://127.0.0.1:1/{CANARY}")).unwrap(), ..fine.clone() };
    let targets: BTreeMap<_, _> = [("fine", fine), ("broken", broken), ("twice", twice), ("gone", gone)]
        .map(|(name, target)| (name.to_owned(), target))
        .into();
    let mut shown = format!("{targets:?}");
    let http = Http::new(targets, clock::now);
    shown += &format!("{http:?}");
    let with = |name: &str, value: &str| HttpCall { headers: vec![(name.to_owned(), value.to_owned())], ..get("/x") };
    let calls = [
        ("broken", get("/x")),
        ("twice", get("/x")),
        ("gone", get("/x")),
        ("fine", get("//x")),
        ("fine", with("authorization", "mine")),
        ("fine", with("Host", "evil")),
        ("fine", with("Transfer-Encoding", "chunked")),
        ("fine", with("Proxy-Authorization", "x")),
        ("fine", with("X-A", "b\r\nX-C: d")),
        ("fine", with("X A", "b")),
        ("fine", HttpCall { body: Some("{}".into()), ..get("/x") }),
        ("fine", HttpCall { body: Some("{".into()), ..call(Method::Post, "/x") }),
    ];
    for (name, call) in calls {
        let fault = http.call(name, &call).await.unwrap_err();
        let right = matches!(fault, HttpFault::Refused { .. }) || name == "gone";
        assert!(right, "{name}: {fault:?}");
        shown += &format!("{fault:?}");
    }
    assert!(!shown.contains(CANARY), "{shown}");
    assert!(seen.lock().unwrap().is_empty());
}
