//! HTTP targets. Takes a call and the name of a declared target; gives the answer, or how certain it
//! is that nothing was sent. One connection per call, to an address that was checked and is the one
//! dialled; no redirects, no proxy, no second attempt.

mod address;
mod join;
mod sign;
mod store;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Request, Response, redirect, retry};
use tokio::time::{Instant, timeout_at};
use url::Url;

use self::address::Door;
use self::store::Reading;
use crate::model::approval::TargetIdentity;
use crate::model::http::{HttpAnswer, HttpCall, Method};
use crate::model::time::{Millis, Span};

pub use self::address::{Lookup, forbidden};
pub use self::sign::Keys;
pub use self::store::ObjectStore;

/// Longest wait for a connection, TLS included.
const CONNECT: Duration = Duration::from_secs(3);
/// Most bytes of a body that are kept, whatever the call says.
const BODY_CAP: u64 = 8 << 20;
/// Headers that say how the message is framed or where it goes: ours to set.
const OURS: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// One declared target. `Debug` shows neither its secrets nor its path, which may be one.
#[derive(Clone)]
pub struct HttpTarget {
    /// `http` or `https`; every call's path is put below this one's.
    pub base: Url,
    /// Sent with every call; the values are secrets.
    pub headers: Vec<(String, String)>,
    /// It may stand in a private network or on this machine.
    pub allow_private: bool,
    /// It is an object store: every call is signed and only reads.
    pub store: Option<ObjectStore>,
}

impl fmt::Debug for HttpTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("HttpTarget")
            .field("host", &self.base.host_str())
            .field("headers", &names)
            .field("allow_private", &self.allow_private)
            .field("store", &self.store.is_some())
            .finish()
    }
}

/// Why there is no answer. No text holds an address's path, a header's value or a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpFault {
    /// Certain: the target could not be reached, so it got nothing.
    NotSent { why: String },
    /// It may have got the call, and may have acted on it.
    Doubtful { why: String },
    /// Certain: we did not even try, because the call or the target is not allowed.
    Refused { why: String },
}

impl HttpFault {
    /// The reason, for people.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            HttpFault::NotSent { why } | HttpFault::Doubtful { why } | HttpFault::Refused { why } => why,
        }
    }
}

/// All HTTP targets of an installation.
pub struct Http {
    targets: BTreeMap<String, HttpTarget>,
    door: Door,
    now: fn() -> Millis,
}

/// What came back, before it is an answer.
struct Raw {
    status: u16,
    bytes: Vec<u8>,
    truncated: bool,
    json: Option<serde_json::Value>,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("targets", &self.targets).finish()
    }
}

impl Http {
    /// Knows the targets by name and finds hosts as this machine does; connects to nothing yet. `now` dates
    /// signatures and answers.
    #[must_use]
    pub fn new(targets: BTreeMap<String, HttpTarget>, now: fn() -> Millis) -> Http {
        Http::with_lookup(targets, now, address::system())
    }

    /// As `new`, with another way to find the addresses of a host.
    #[must_use]
    pub fn with_lookup(targets: BTreeMap<String, HttpTarget>, now: fn() -> Millis, lookup: Lookup) -> Http {
        // The only failure is that a provider is there already, which is what is wanted.
        drop(rustls::crypto::ring::default_provider().install_default());
        Http { targets, door: Door::new(lookup), now }
    }

    /// Which system a target is, if it is one of ours: its address without its path.
    #[must_use]
    pub fn identity(&self, target: &str) -> Option<TargetIdentity> {
        let found = self.targets.get(target)?;
        let server = found.base.host_str().unwrap_or_default().to_owned();
        let port = found.base.port().map(|p| format!(":{p}")).unwrap_or_default();
        let system = format!("{}://{server}{port}", found.base.scheme());
        Some(TargetIdentity { system, database: String::new(), server: String::new() })
    }

    /// Makes one call, once.
    ///
    /// # Errors
    /// Says whether the target may have got it.
    pub async fn call(&self, target: &str, call: &HttpCall) -> Result<HttpAnswer, HttpFault> {
        let begun = Instant::now();
        let until = begun + call.timeout.std();
        let found = self.targets.get(target);
        let found = found.ok_or_else(|| refused(format!("target {target} is not configured")))?;
        let of = Reading { name: target, target: found, until };
        let raw = match &call.list {
            Some(list) => self.listing(&of, call, list).await?,
            None => {
                let request = request(found, call, (self.now)());
                let raw = self.exchange(&of, request.map_err(|why| refused(format!("target {target}: {why}")))?, call);
                let raw = raw.await?;
                if found.store.is_some() && !(200..300).contains(&raw.status) { raw.told() } else { raw }
            }
        };
        let latency = Span(i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX));
        let Raw { status, bytes, truncated, json } = raw;
        let body = String::from_utf8_lossy(&bytes).into_owned();
        Ok(HttpAnswer { status, latency, body, truncated, json, at: (self.now)() })
    }

    /// Sends one request on a connection of its own.
    async fn exchange(&self, of: &Reading<'_>, request: Request, call: &HttpCall) -> Result<Raw, HttpFault> {
        let Reading { name, target, until } = of;
        let addresses = self.door.addresses(&target.base, target.allow_private, *until).await;
        let addresses = addresses.map_err(|fault| fault.of(name))?;
        let left = until.saturating_duration_since(Instant::now());
        // A little less than what is left: a connection that never came is then told from a doubt.
        let client = client(&target.base, &addresses, CONNECT.min(left * 9 / 10));
        let client = client.map_err(|why| not_sent(format!("target {name}: {why}")))?;
        let exchange = async {
            let response = client.execute(request).await.map_err(|e| sent(name, e))?;
            let status = response.status().as_u16();
            let (bytes, truncated) = body(response, call.cap_bytes.min(BODY_CAP)).await.map_err(|e| sent(name, e))?;
            Ok((status, bytes, truncated))
        };
        let (status, bytes, truncated) = timeout_at(*until, exchange).await.unwrap_or_else(|_| {
            Err(doubtful(format!("target {name}: no whole answer within {}", call.timeout.human())))
        })?;
        let json = if truncated { None } else { serde_json::from_slice(&bytes).ok() };
        Ok(Raw { status, bytes, truncated, json })
    }
}

impl HttpTarget {
    /// A signed read of an address of this object store.
    fn signed(&self, url: Url, method: Method, at: Millis) -> Result<Request, String> {
        let store = self.store.as_ref().ok_or("it is no object store")?;
        if url.scheme() == "http" && !self.allow_private {
            return Err("its signature would travel in the clear: use https".to_owned());
        }
        let signed = sign::headers(&store.keys, method.word(), &url, at)?;
        let mut request = Request::new(self::method(method), url);
        for (name, value) in signed {
            put(request.headers_mut(), name, &value, true)?;
        }
        Ok(request)
    }
}

/// A client that can reach these addresses under the base's name, and nothing else.
fn client(base: &Url, addresses: &[std::net::SocketAddr], connect: Duration) -> Result<Client, String> {
    let host = base.host_str().unwrap_or_default();
    let built = Client::builder()
        .resolve_to_addrs(host, addresses)
        .connect_timeout(connect)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .no_proxy()
        .referer(false)
        .pool_max_idle_per_host(0)
        .user_agent(concat!("drbot/", env!("CARGO_PKG_VERSION")))
        .build();
    built.map_err(|e| format!("no client could be made: {}", chain(e)))
}

/// The call as it will be sent, or why it will not be.
fn request(target: &HttpTarget, call: &HttpCall, at: Millis) -> Result<Request, String> {
    if let Some(store) = &target.store {
        if !call.headers.is_empty() || call.body.is_some() {
            return Err("it is an object store: a call has no headers and no body".to_owned());
        }
        return target.signed(join::below(&target.base, &store.path(call)?)?, call.method, at);
    }
    let url = join::below(&target.base, &call.path)?;
    if url.scheme() == "http" && !target.headers.is_empty() && !target.allow_private {
        return Err("its credentials would travel in the clear: use https".to_owned());
    }
    let mut request = Request::new(method(call.method), url);
    let headers = request.headers_mut();
    for (name, value) in &target.headers {
        put(headers, name, value, true)?;
    }
    for (name, value) in &call.headers {
        if target.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)) {
            return Err(format!("header `{}` belongs to the target", name.escape_debug()));
        }
        put(headers, name, value, false)?;
    }
    if let Some(text) = &call.body {
        if call.method.reads() {
            return Err(format!("{} takes no body", call.method.word()));
        }
        let kind = if call.form { "application/x-www-form-urlencoded" } else { "application/json" };
        if !call.form {
            serde_json::from_str::<serde_json::Value>(text)
                .map_err(|e| format!("the body is not JSON (line {})", e.line()))?;
        }
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(kind));
        *request.body_mut() = Some(text.clone().into());
    }
    Ok(request)
}

/// Adds a header that is not there yet. Nothing said here holds its value.
fn put(headers: &mut HeaderMap, name: &str, value: &str, secret: bool) -> Result<(), String> {
    let shown = name.escape_debug();
    let known = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{shown}` is not a header's name"))?;
    if OURS.contains(&known.as_str()) || known.as_str().starts_with("proxy-") {
        return Err(format!("header `{shown}` may not be set"));
    }
    let mut value =
        HeaderValue::from_str(value).map_err(|_| format!("header `{shown}` has a value that cannot be sent"))?;
    value.set_sensitive(secret);
    match headers.insert(known, value) {
        None => Ok(()),
        Some(_) => Err(format!("header `{shown}` is given twice")),
    }
}

fn method(method: Method) -> reqwest::Method {
    match method {
        Method::Get => reqwest::Method::GET,
        Method::Head => reqwest::Method::HEAD,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        Method::Patch => reqwest::Method::PATCH,
        Method::Delete => reqwest::Method::DELETE,
    }
}

/// The first `cap` bytes, and whether there were more. The rest is not read: the connection ends.
async fn body(mut response: Response, cap: u64) -> Result<(Vec<u8>, bool), reqwest::Error> {
    let cap = usize::try_from(cap).unwrap_or(usize::MAX);
    let mut kept = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = cap - kept.len();
        kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            return Ok((kept, true));
        }
    }
    Ok((kept, false))
}

/// A connection that was never made carried nothing; anything later may have carried all of it.
fn sent(target: &str, error: reqwest::Error) -> HttpFault {
    let (connect, refusal) = (error.is_connect(), error.is_builder());
    let why = format!("target {target}: {}", chain(error));
    match (connect, refusal) {
        (true, _) => not_sent(why),
        (_, true) => refused(why),
        _ => doubtful(why),
    }
}

/// An error with its causes, without the address asked for.
fn chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

fn not_sent(why: String) -> HttpFault {
    HttpFault::NotSent { why }
}

fn doubtful(why: String) -> HttpFault {
    HttpFault::Doubtful { why }
}

fn refused(why: String) -> HttpFault {
    HttpFault::Refused { why }
}
