//! The Slack Web API, the few methods the bot needs. Takes ready payloads and gives [`Sent`]: done,
//! refused for good, later, or doubtful. Nothing here repeats a request: Slack has no idempotency key,
//! so only the caller, who can look for the marker, may send again.

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;
use url::{Host, Url};

use super::answer;
pub use super::answer::Sent;

/// The `event_type` of the metadata that carries a marker.
pub const EVENT_TYPE: &str = "dr_delivery";
/// How long one request may take, from the first byte sent to the last byte read.
const DEADLINE: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(3);
/// Shorter than any balancer's idle limit: a kept connection closed under a post would be a doubt.
const KEEP_IDLE: Duration = Duration::from_secs(15);
const PAGE: &str = "200";
const MAX_PAGES: usize = 10;
const JSON: &str = "application/json; charset=utf-8";
const FORM: &str = "application/x-www-form-urlencoded";

/// Who the token speaks as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub team: String,
    pub user: String,
    pub bot: String,
}

/// A client with one bot token. Its `Debug` does not show the token.
pub struct SlackClient {
    http: reqwest::Client,
    base: Url,
    token: String,
    bearer: HeaderValue,
    hosts: Vec<String>,
    deadline: Duration,
    me: OnceCell<Identity>,
}

impl std::fmt::Debug for SlackClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SlackClient").field("base", &self.base.as_str()).field("hosts", &self.hosts).finish()
    }
}

/// Installs the process-wide TLS provider; a second call changes nothing.
pub fn install_crypto() {
    // The only failure is that a provider is there already, which is what is wanted.
    drop(rustls::crypto::ring::default_provider().install_default());
}

impl SlackClient {
    /// A client for the API at `api_base` (such as `https://slack.com/api/`).
    ///
    /// `response_hosts` are the hosts a `response_url` may point to: exact names, or suffixes written
    /// with a leading dot.
    ///
    /// # Errors
    /// When the base would carry the token in clear text off this machine, or a value cannot be used.
    pub fn new(api_base: Url, token: String, response_hosts: Vec<String>) -> anyhow::Result<SlackClient> {
        install_crypto();
        let base = usable_base(api_base)?;
        if token.is_empty() {
            bail!("the bot token is empty");
        }
        let Ok(mut bearer) = HeaderValue::from_str(&format!("Bearer {token}")) else {
            bail!("the bot token holds characters that no header may carry");
        };
        bearer.set_sensitive(true);
        let hosts: Vec<String> = response_hosts.into_iter().map(|h| h.trim().to_ascii_lowercase()).collect();
        if hosts.iter().any(|h| h.trim_matches('.').is_empty()) {
            bail!("an empty response host would match anything");
        }
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(CONNECT)
            .pool_idle_timeout(KEEP_IDLE);
        if loopback(&base) {
            builder = builder.no_proxy();
        }
        let http = builder.build().context("cannot build the HTTP client")?;
        Ok(SlackClient { http, base, token, bearer, hosts, deadline: DEADLINE, me: OnceCell::new() })
    }

    /// The same client with another deadline per request (10 s otherwise).
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> SlackClient {
        self.deadline = deadline;
        self
    }

    /// Posts `payload` (`text` and `blocks`, and `reply_broadcast` to show an answer in the channel too) with the marker in its metadata; gives the message's `ts`.
    pub async fn post(&self, channel: &str, thread: Option<&str>, marker: &str, payload: &Value) -> Sent<String> {
        let mut body = spoken(payload);
        body.insert("channel".into(), channel.into());
        if let Some(thread) = thread {
            body.insert("thread_ts".into(), thread.into());
            if payload["reply_broadcast"] == true {
                body.insert("reply_broadcast".into(), true.into());
            }
        }
        body.insert("metadata".into(), json!({"event_type": EVENT_TYPE, "event_payload": {"key": marker}}));
        body.insert("unfurl_links".into(), false.into());
        body.insert("unfurl_media".into(), false.into());
        match self.call("chat.postMessage", body).await {
            Sent::Ok(reply) => match reply["ts"].as_str() {
                Some(ts) => Sent::Ok(ts.to_owned()),
                None => Sent::doubt("the post was answered without a ts"),
            },
            other => other.to(),
        }
    }

    /// Rewrites a message of our own; metadata stays because it is left out.
    pub async fn update(&self, channel: &str, ts: &str, payload: &Value) -> Sent<()> {
        let mut body = spoken(payload);
        body.insert("channel".into(), channel.into());
        body.insert("ts".into(), ts.into());
        self.call("chat.update", body).await.unit()
    }

    /// Shows `payload` to one user in a channel, or in a thread of it; Slack does not promise that it is
    /// seen, and in a thread without replies it is not.
    pub async fn ephemeral(&self, place: (&str, Option<&str>), user: &str, payload: &Value) -> Sent<()> {
        let (channel, thread) = place;
        let mut body = spoken(payload);
        body.insert("channel".into(), channel.into());
        if let Some(thread) = thread {
            body.insert("thread_ts".into(), thread.into());
        }
        body.insert("user".into(), user.into());
        self.call("chat.postEphemeral", body).await.unit()
    }

    /// Answers through a `response_url`, privately. A URL outside the allowed hosts is refused and
    /// nothing is sent: a forged payload must not make the bot call somewhere else.
    pub async fn respond(&self, url: &str, payload: &Value) -> Sent<()> {
        let url = match self.pinned(url) {
            Ok(url) => url,
            Err(why) => return Sent::refused("response_url_refused", why),
        };
        let mut body = spoken(payload);
        body.remove("link_names");
        body.insert("response_type".into(), "ephemeral".into());
        body.insert("replace_original".into(), false.into());
        let request = self.http.post(url).header(CONTENT_TYPE, JSON).body(Value::Object(body).to_string());
        answer::from_hook(self.send(request).await, &self.token)
    }

    /// Opens a modal. The trigger lives 3 s and works once.
    pub async fn open_view(&self, trigger: &str, view: &Value) -> Sent<()> {
        let mut body = Map::new();
        body.insert("trigger_id".into(), trigger.into());
        body.insert("view".into(), view.clone());
        self.call("views.open", body).await.unit()
    }

    /// Asks Slack who the token is.
    pub async fn who(&self) -> Sent<Identity> {
        match self.read("auth.test", &[]).await {
            Sent::Ok(reply) => {
                let of = |key: &str| reply[key].as_str().map(str::to_owned);
                match (of("team_id"), of("user_id"), of("bot_id")) {
                    (Some(team), Some(user), Some(bot)) => Sent::Ok(Identity { team, user, bot }),
                    _ => Sent::refused("not_a_bot_token", "auth.test named no team, user and bot".into()),
                }
            }
            other => other.to(),
        }
    }

    /// Looks for a message of our own that carries `marker`, from `oldest_ts` on. `Ok(None)` means that
    /// everything was read and nothing was found; a search cut short is never an absence.
    pub async fn find(
        &self,
        channel: &str,
        thread: Option<&str>,
        marker: &str,
        oldest_ts: &str,
    ) -> Sent<Option<String>> {
        let search = Search { channel, thread, marker, oldest: oldest_ts };
        match tokio::time::timeout(self.deadline * 3, self.search(&search)).await {
            Ok(found) => found,
            Err(_) => Sent::doubt("the search for the marker took too long"),
        }
    }

    async fn search(&self, search: &Search<'_>) -> Sent<Option<String>> {
        // Metadata is public: another app could post our marker to make us believe that we spoke.
        let me = match self.me.get_or_try_init(|| async { self.who().await.done() }).await {
            Ok(me) => me,
            Err(other) => return other.to(),
        };
        let mut cursor = String::new();
        for _ in 0..MAX_PAGES {
            let reply = match self.page(search, &cursor).await {
                Sent::Ok(reply) => reply,
                other => return other.to(),
            };
            let Some(messages) = reply["messages"].as_array() else {
                return Sent::doubt("a page of messages came without messages");
            };
            if let Some(ts) = messages.iter().find_map(|m| marked(m, search.marker, me)) {
                return Sent::Ok(Some(ts));
            }
            reply["response_metadata"]["next_cursor"].as_str().unwrap_or_default().clone_into(&mut cursor);
            match (reply["has_more"].as_bool().unwrap_or(false), cursor.is_empty()) {
                (_, false) => {}
                (false, true) => return Sent::Ok(None),
                (true, true) => return Sent::doubt("more messages exist but no cursor was given"),
            }
        }
        Sent::doubt("more messages than one search reads")
    }

    async fn page(&self, search: &Search<'_>, cursor: &str) -> Sent<Value> {
        let mut fields = vec![
            ("channel", search.channel),
            ("oldest", search.oldest),
            ("inclusive", "true"),
            ("include_all_metadata", "true"),
            ("limit", PAGE),
        ];
        if !cursor.is_empty() {
            fields.push(("cursor", cursor));
        }
        let method = match search.thread {
            Some(thread) => {
                fields.push(("ts", thread));
                "conversations.replies"
            }
            None => "conversations.history",
        };
        self.read(method, &fields).await
    }

    /// A write method: JSON.
    async fn call(&self, method: &str, body: Map<String, Value>) -> Sent<Value> {
        self.api(method, JSON, Value::Object(body).to_string()).await
    }

    /// A read method: a form, the only encoding that every read method takes.
    async fn read(&self, method: &str, fields: &[(&str, &str)]) -> Sent<Value> {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.api(method, FORM, body).await
    }

    async fn api(&self, method: &str, kind: &str, body: String) -> Sent<Value> {
        let Ok(url) = self.base.join(method) else {
            return Sent::refused("bad_method", method.to_owned());
        };
        let request =
            self.http.post(url).header(AUTHORIZATION, self.bearer.clone()).header(CONTENT_TYPE, kind).body(body);
        answer::from_api(self.send(request).await, &self.token)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Sent<answer::Raw> {
        match request.timeout(self.deadline).send().await {
            Ok(response) => answer::read(response).await,
            Err(error) => answer::from_transport(error),
        }
    }

    /// The URL, if it is one we may call. The reason never repeats the URL, which is a credential.
    fn pinned(&self, url: &str) -> Result<Url, String> {
        let url = Url::parse(url).map_err(|_| "not a URL".to_owned())?;
        let host = url.host_str().unwrap_or_default().to_owned();
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a response URL carries no user".into());
        }
        let exact = self.hosts.contains(&host);
        if loopback(&url) && exact && matches!(url.scheme(), "http" | "https") {
            return Ok(url);
        }
        let suffix = self.hosts.iter().any(|h| h.starts_with('.') && host.ends_with(h.as_str()) && host != *h);
        match (url.scheme(), exact || suffix, url.port()) {
            (_, false, _) => Err(format!("host {host} is not allowed")),
            ("https", true, None) => Ok(url),
            ("https", true, Some(port)) => Err(format!("port {port} is not allowed")),
            (scheme, true, _) => Err(format!("scheme {scheme} is not allowed")),
        }
    }
}

struct Search<'a> {
    channel: &'a str,
    thread: Option<&'a str>,
    marker: &'a str,
    oldest: &'a str,
}

/// The `ts` of a message of our own that carries the marker.
fn marked(message: &Value, marker: &str, me: &Identity) -> Option<String> {
    let ours = message["bot_id"] == me.bot.as_str() || message["user"] == me.user.as_str();
    let metadata = &message["metadata"];
    let hit = metadata["event_type"] == EVENT_TYPE && metadata["event_payload"]["key"] == marker;
    (ours && hit).then(|| message["ts"].as_str().map(str::to_owned)).flatten()
}

/// What a payload may say: its text and blocks, and nothing that could redirect it.
fn spoken(payload: &Value) -> Map<String, Value> {
    let mut body = Map::new();
    for key in ["text", "blocks"] {
        if let Some(value) = payload.get(key) {
            body.insert(key.into(), value.clone());
        }
    }
    body.insert("link_names".into(), false.into());
    body
}

fn usable_base(mut base: Url) -> anyhow::Result<Url> {
    let safe = base.scheme() == "https" || (base.scheme() == "http" && loopback(&base));
    if !safe || !base.has_host() {
        bail!("the API base must be https, or http on this machine");
    }
    if !base.username().is_empty() || base.password().is_some() || base.query().is_some() || base.fragment().is_some() {
        bail!("the API base is a scheme, a host and a path, nothing more");
    }
    if !base.path().ends_with('/') {
        let path = format!("{}/", base.path());
        base.set_path(&path);
    }
    Ok(base)
}

fn loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
