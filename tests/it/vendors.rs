//! Vendors as strict fakes behind HTTP, made from what their documents say. Each keeps a record of every
//! request and objects to any route, key or parameter it does not know; the test fails on an objection.

pub mod app;
pub mod functions;
pub mod github;
pub mod n8n;
pub mod project;
pub mod stripe;
pub mod supabase;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use app::App;
use github::GitHub;
use n8n::N8n;
use project::Project;
use stripe::Stripe;
use supabase::Supabase;

/// A request as a vendor got it.
#[derive(Debug, Clone)]
pub struct Got {
    pub method: String,
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Got {
    /// `GET /v1/x?a=1`, for looking through a record.
    pub fn line(&self) -> String {
        let query: Vec<String> = self.query.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{} {}{mark}{}", self.method, self.path, query.join("&"))
    }
}

/// What all vendors of one test know.
#[derive(Default)]
pub struct Books {
    pub requests: Vec<Got>,
    pub objections: Vec<String>,
    pub app: App,
    pub github: GitHub,
    pub n8n: N8n,
    pub project: Project,
    pub stripe: Stripe,
    pub supabase: Supabase,
    /// The manifest of the off-site backup store.
    pub manifest: Value,
    /// `METHOD /path` that is carried out, and then this status is answered instead of its own.
    pub lost: Option<(&'static str, u16)>,
    /// How long the answer being made is held back.
    pub delay: Duration,
}

/// The vendors of one test, on one port: `/app`, `/data`, `/edge`, `/github`, `/management`, `/n8n`, `/project`,
/// `/status`, `/store`, `/stripe`.
#[derive(Clone)]
pub struct Vendors {
    port: u16,
    books: Arc<Mutex<Books>>,
}

/// What one vendor answers; `None` is a route that nobody documented.
type Answer = Option<(u16, Value)>;

impl Vendors {
    pub async fn start() -> Vendors {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let vendors = Vendors { port, books: Arc::default() };
        let app = Router::new().fallback(answer).with_state(vendors.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        vendors
    }

    /// A target for the bot's configuration, with this key header.
    pub fn target(&self, name: &str, part: &str, header: (&str, &str)) -> String {
        format!(
            "{name}: {{ base: \"http://127.0.0.1:{}/{part}/\", allow_private: true, headers: {{ {}: \"{}\" }} }}",
            self.port, header.0, header.1
        )
    }

    /// Where a part is, for programs that call it.
    pub fn base(&self, part: &str) -> String {
        format!("http://127.0.0.1:{}/{part}", self.port)
    }

    /// A call as somebody makes it by hand: no limit in time, and only the status is looked at.
    pub async fn by_hand(&self, method: &str, path: &str, header: (&str, &str), body: &str) -> u16 {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let method = method.parse().expect("a method");
        let call = client.request(method, format!("http://127.0.0.1:{}{path}", self.port)).header(header.0, header.1);
        let call = call.header("content-type", "application/json").body(body.to_owned());
        call.send().await.expect("an answer").status().as_u16()
    }

    /// Looks at or changes what the vendors know.
    pub fn with<T>(&self, f: impl FnOnce(&mut Books) -> T) -> T {
        f(&mut self.books.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Every request that is not a read, in order.
    pub fn changes(&self) -> Vec<Got> {
        self.with(|b| b.requests.iter().filter(|r| r.method != "GET").cloned().collect())
    }

    /// What must hold at the end of every story.
    pub fn finish(&self) {
        assert_eq!(self.with(|b| b.objections.clone()), Vec::<String>::new(), "a vendor objected");
    }
}

async fn answer(State(vendors): State<Vendors>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap_or_default();
    let query = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let header = |(k, v): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
        (k.as_str().to_owned(), v.to_str().unwrap_or_default().to_owned())
    };
    let got = Got {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: query.into_owned().collect(),
        headers: parts.headers.iter().map(header).collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let (answered, delay) = vendors.with(|books| {
        books.requests.push(got.clone());
        let answered = match got.path.split('/').nth(1) {
            Some("app") => books.app.answer(&got),
            Some("edge") => books.supabase.functions.call(&got, &mut books.delay),
            Some("github") => books.github.answer(&got, &mut books.supabase.functions),
            Some("n8n") => books.n8n.answer(&got),
            Some("project") => books.project.answer(&got),
            Some("store") if got.line() == "GET /store/manifest.json" => Some((200, books.manifest.clone())),
            Some("stripe") => books.stripe.answer(&got),
            _ => books.supabase.answer(&got),
        };
        if answered.is_none() {
            books.objections.push(format!("not documented: {}", got.line()));
        }
        let lost = books.lost.filter(|(at, _)| *at == format!("{} {}", got.method, got.path));
        let answered = lost.map(|(_, status)| (status, json!({"message": "upstream went away"}))).or(answered);
        (answered, std::mem::take(&mut books.delay))
    });
    tokio::time::sleep(delay).await;
    let (status, body) = answered.unwrap_or((404, json!({"message": "no such route"})));
    let status = StatusCode::from_u16(status).expect("a status");
    if body.is_null() { status.into_response() } else { (status, axum::Json(body)).into_response() }
}
