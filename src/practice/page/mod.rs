//! The practice chat: a page over the practice Slack. Takes a workspace and its people; gives routes that
//! show it in a browser on this machine and let each person act in it. What people do reaches drbot only
//! as signed requests, as it would from Slack.

mod api;
mod fault;
mod guard;
mod snapshot;

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::{get, post};
use futures_util::Stream;
use futures_util::stream::unfold;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use url::{Host, Url};

use super::slack::{Practice, User};

const ICON: &str =
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'><circle cx='4' cy='4' r='4' fill='#17684a'/></svg>";

/// Somebody one can act as.
#[derive(Debug, Clone)]
pub struct Persona {
    pub user: User,
    /// The name as people write it.
    pub name: String,
    /// What drbot's configuration lets them be; shown only.
    pub roles: Vec<String>,
}

/// What the page shows.
pub struct Page {
    pub slack: Arc<Practice>,
    pub people: Vec<Persona>,
    /// Where drbot is, in words.
    pub bot: String,
    /// What the demonstration's panel shows; without it there is no panel.
    pub panel: Option<watch::Receiver<Value>>,
}

/// Alice, Bob and Carol, of whom one has no say.
pub const PEOPLE: [(&str, &[&str]); 3] =
    [("Alice", &["responder"]), ("Bob", &["responder", "dba"]), ("Carol", &["support"])];

/// People of a team, from names and roles.
#[must_use]
pub fn people(team: &str, names: &[(&str, &[&str])]) -> Vec<Persona> {
    let one = |(name, roles): &(&str, &[&str])| Persona {
        user: User::new(team, &format!("U01{}", name.to_uppercase()), &name.to_lowercase()),
        name: (*name).to_owned(),
        roles: roles.iter().map(|r| (*r).to_owned()).collect(),
    };
    names.iter().map(one).collect()
}

/// Listens for the page.
///
/// # Errors
/// The address is not 127.0.0.1, or the port is taken.
pub async fn listen(address: SocketAddr) -> Result<TcpListener> {
    if address.ip() != IpAddr::V4(Ipv4Addr::LOCALHOST) {
        bail!("the practice chat listens on 127.0.0.1 only, not on {}: everybody who reaches it can be Bob", address);
    }
    TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))
}

/// The bot's two doors under its base URL.
///
/// # Errors
/// The URL is not plain HTTP to this machine.
pub fn doors(bot: &str) -> Result<(Url, Url)> {
    let mut base = Url::parse(bot).with_context(|| format!("{bot:?} is no URL"))?;
    let here = match base.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if !here || base.scheme() != "http" || !base.username().is_empty() || base.password().is_some() {
        bail!(
            "the practice chat talks only to a drbot on this machine, such as http://127.0.0.1:8080, not to {bot}: \
             its gestures are made up, and a drbot elsewhere would act on them"
        );
    }
    if base.domain().is_some() {
        // The name could be made to mean another machine.
        base.set_host(Some("127.0.0.1"))?;
    }
    base.set_path("/");
    base.set_query(None);
    base.set_fragment(None);
    Ok((base.join("slack/commands")?, base.join("slack/interactions")?))
}

/// All routes; `more` are those of the demonstration.
pub fn router(page: Page, port: u16, more: Router) -> Router {
    let page = Arc::new(page);
    let file = |kind: &'static str, text: &'static str| get(move || async move { ([(CONTENT_TYPE, kind)], text) });
    Router::new()
        .route("/", file("text/html; charset=utf-8", include_str!("index.html")))
        .route("/app.js", file("text/javascript; charset=utf-8", include_str!("app.js")))
        .route("/blocks.js", file("text/javascript; charset=utf-8", include_str!("blocks.js")))
        .route("/side.js", file("text/javascript; charset=utf-8", include_str!("side.js")))
        .route("/style.css", file("text/css; charset=utf-8", include_str!("style.css")))
        .route("/icon.svg", file("image/svg+xml", ICON))
        .route("/page/state", get(snapshot::state))
        .route("/page/events", get(events))
        .route("/page/slash", post(api::slash))
        .route("/page/say", post(api::say))
        .route("/page/click", post(api::click))
        .route("/page/submit", post(api::submit))
        .route("/page/close", post(api::close))
        .route("/page/fault", post(fault::set))
        .with_state(page)
        .merge(more)
        .layer(axum::middleware::from_fn_with_state(port, guard::guard))
}

/// Serves the routes until dropped.
///
/// # Errors
/// The listener's own.
pub async fn serve(listener: TcpListener, page: Page, more: Router) -> Result<()> {
    let port = listener.local_addr()?.port();
    Ok(axum::serve(listener, router(page, port, more)).await?)
}

/// Tells of every change: `change` with a number, and `panel` with what the panel shows.
async fn events(State(page): State<Arc<Page>>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let mut changes = page.slack.changes();
    changes.mark_changed();
    let mut panel = page.panel.clone();
    if let Some(panel) = &mut panel {
        panel.mark_changed();
    }
    let stream = unfold((changes, panel), |(mut changes, mut panel)| async move {
        let event = tokio::select! {
            change = changes.changed() => {
                change.ok()?;
                let number = *changes.borrow_and_update();
                Event::default().event("change").data(number.to_string())
            }
            Some(text) = look(&mut panel) => Event::default().event("panel").data(text),
        };
        Some((Ok(event), (changes, panel)))
    });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(10)))
}

async fn look(panel: &mut Option<watch::Receiver<Value>>) -> Option<String> {
    let panel = panel.as_mut()?;
    panel.changed().await.ok()?;
    Some(panel.borrow_and_update().to_string())
}
