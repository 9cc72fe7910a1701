//! A practice Slack. Takes the bot's Web API calls on a local port and the gestures of people; gives
//! a workspace that can be looked at. It keeps state, it is strict, it can be made to fail, and it
//! plays the users' side with signed requests.

mod check;
mod fault;
mod look;
mod mention;
mod method;
mod state;
mod text;
mod user;
mod web;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use url::Url;

pub use fault::Fault;
pub use look::Troubles;
pub use mention::{Mention, escaped};
pub use state::{Call, Channel, Gesture, Message, Private, View};
pub use user::{Answer, Button, Door, Signed, buttons, past_buttons, private_buttons};

use super::port;
use crate::model::time::{Millis, Span};
use state::State;

/// An account in the workspace, or a guest from another team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub team: String,
    pub user: String,
    pub name: String,
}

impl User {
    /// A user from plain texts.
    #[must_use]
    pub fn new(team: &str, user: &str, name: &str) -> User {
        User { team: team.into(), user: user.into(), name: name.into() }
    }
}

/// The workspace to start with.
#[derive(Debug, Clone)]
pub struct Setup {
    pub token: String,
    pub signing_secret: String,
    pub team: String,
    pub team_domain: String,
    pub app: String,
    pub bot_user: String,
    pub bot: String,
    /// The slash command, with the slash.
    pub command: String,
    /// Ids and names.
    pub channels: Vec<(String, String)>,
    /// Members of every channel.
    pub users: Vec<User>,
    /// Wall time at the start; from there the practice Slack counts by itself.
    pub start: Millis,
}

impl Setup {
    /// Team `T01TEST`, channel `C01INC` named `incidents`, Alice and Bob.
    #[must_use]
    pub fn small(start: Millis) -> Setup {
        Setup {
            token: "xoxb-practice-token".into(),
            signing_secret: "practice-signing-secret-0123456789".into(),
            team: "T01TEST".into(),
            team_domain: "dr-team".into(),
            app: "A01APP".into(),
            bot_user: "U0BOT".into(),
            bot: "B0BOT".into(),
            command: "/dr".into(),
            channels: vec![("C01INC".into(), "incidents".into())],
            users: vec![User::new("T01TEST", "U01ALICE", "alice"), User::new("T01TEST", "U02BOB", "bob")],
            start,
        }
    }
}

/// What the server and the users' side share.
struct Inner {
    token: String,
    begun: Instant,
    start: Millis,
    address: SocketAddr,
    state: Mutex<State>,
    skipped: Mutex<Duration>,
    version: watch::Sender<u64>,
}

impl Inner {
    fn now(&self) -> Millis {
        let skipped = *self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = i64::try_from((self.begun.elapsed() + skipped).as_millis()).unwrap_or(i64::MAX);
        self.start.plus(Span(passed))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere in a test must not hide behind a poisoned lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.version.send_modify(|version| *version += 1);
    }
}

/// A running practice Slack; it stops when dropped.
pub struct Practice {
    inner: Arc<Inner>,
    server: Mutex<Option<Server>>,
    http: reqwest::Client,
    doors: Mutex<Option<(Url, Url)>>,
    /// Kept for as long as this is.
    port: Option<port::Port>,
}

struct Server {
    task: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl Drop for Practice {
    fn drop(&mut self) {
        if let Some(server) = self.server().take() {
            server.task.abort();
        }
    }
}

impl Practice {
    /// Starts on a free local port.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(setup: Setup) -> Result<Practice> {
        let port = port::free()?;
        let mut practice = Practice::start_on(setup, port.number()).await?;
        practice.port = Some(port);
        Ok(practice)
    }

    /// Starts on this local port.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub async fn start_on(setup: Setup, port: u16) -> Result<Practice> {
        crate::post::slack::client::install_crypto();
        let taken = || format!("port {port} of 127.0.0.1 cannot be had");
        let listener = TcpListener::bind(("127.0.0.1", port)).await.with_context(taken)?;
        let inner = Arc::new(Inner {
            token: setup.token.clone(),
            begun: Instant::now(),
            start: setup.start,
            address: listener.local_addr()?,
            state: Mutex::new(State::new(setup)),
            skipped: Mutex::new(Duration::ZERO),
            version: watch::Sender::new(0),
        });
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            // The bot ends connections that are idle for 5 s; one that is just being ended is no fault of it.
            .pool_idle_timeout(Duration::from_secs(2))
            .no_proxy()
            .build()?;
        let server = Mutex::new(Some(serve(listener, Arc::clone(&inner))));
        Ok(Practice { inner, server, http, doors: Mutex::new(None), port: None })
    }

    /// Tells where the bot takes slash commands and where it takes clicks and forms. Events go to `events`
    /// beside the commands.
    pub fn bot_at(&self, commands: Url, interactions: Url) {
        *self.doors.lock().unwrap_or_else(PoisonError::into_inner) = Some((commands, interactions));
    }

    /// The base of the Web API.
    ///
    /// # Errors
    /// Never for a local port; addresses are texts.
    pub fn api_base(&self) -> Result<Url> {
        Ok(Url::parse(&format!("http://{}/api/", self.inner.address))?)
    }

    /// The address under which everything is served.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.inner.address
    }

    /// The time in the workspace.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.inner.now()
    }

    /// Lets time pass at once: triggers and response URLs grow old.
    pub fn advance(&self, by: Duration) {
        *self.inner.skipped.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }

    /// Stops listening, and cuts every connection that is idle; others end within a second.
    pub async fn down(&self) {
        let Some(Server { mut task, stop }) = self.server().take() else { return };
        let told = stop.send(()).is_ok();
        if !told || tokio::time::timeout(Duration::from_secs(1), &mut task).await.is_err() {
            task.abort();
        }
    }

    /// Makes a channel private, or open again.
    pub fn seclude(&self, channel: &str, private: bool) {
        if let Some(found) = self.inner.state().channels.get_mut(channel) {
            found.private = private;
        }
    }

    /// Listens again, on the same port and with everything remembered.
    ///
    /// # Errors
    /// When the port was taken meanwhile.
    pub async fn up(&self) -> Result<()> {
        let listener = TcpListener::bind(self.inner.address).await.context("the port is taken")?;
        *self.server() = Some(serve(listener, Arc::clone(&self.inner)));
        Ok(())
    }

    fn server(&self) -> MutexGuard<'_, Option<Server>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the next call of `method` fail; repeat for more calls. `response_url` is a method too.
    pub fn fault_once(&self, method: &str, fault: Fault) {
        self.inner.state().next_faults.entry(method.to_owned()).or_default().push_back(fault);
    }

    /// Makes every call of `method` fail until [`Practice::heal`].
    pub fn fault(&self, method: &str, fault: Fault) {
        self.inner.state().faults.insert(method.to_owned(), fault);
    }

    /// Ends all faults.
    pub fn heal(&self) {
        let mut state = self.inner.state();
        state.faults.clear();
        state.next_faults.clear();
    }

    /// Lets one post per `spacing` into each channel and answers HTTP 429 to the rest.
    pub fn limit(&self, spacing: Option<Duration>) {
        self.inner.state().spacing = spacing;
    }

    /// Gives at most this many messages per page, whatever is asked for.
    pub fn page(&self, most: usize) {
        self.inner.state().page = most;
    }

    /// A person writes into a channel.
    ///
    /// # Errors
    /// When there is no such channel.
    pub fn say(&self, user: &User, channel: &str, text: &str) -> Result<String> {
        self.say_in(user, (channel, None), text)
    }

    /// A person writes into a channel or into a thread of it; gives the message's `ts`.
    ///
    /// # Errors
    /// When there is no such channel or thread.
    pub fn say_in(&self, user: &User, place: (&str, Option<&str>), text: &str) -> Result<String> {
        let now = self.now();
        let said = self.inner.state().say(&user.user, place, text, now);
        self.inner.changed();
        said.map_err(|slip| anyhow!(slip.error))
    }

    /// A person or an administrator deletes a message.
    pub fn delete(&self, channel: &str, ts: &str) {
        let mut state = self.inner.state();
        let messages = state.channels.get_mut(channel).map(|c| &mut c.messages);
        if let Some(message) = messages.and_then(|m| m.iter_mut().find(|m| m.ts == ts)) {
            message.deleted = true;
        }
        drop(state);
        self.inner.changed();
    }

    /// What was done that should not be; a test ends by finding this empty.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.inner.state().violations.clone()
    }

    /// All messages of a channel and its threads, oldest first, without the deleted.
    #[must_use]
    pub fn messages(&self, channel: &str) -> Vec<Message> {
        let state = self.inner.state();
        let messages = state.channels.get(channel).map(|c| c.messages.as_slice()).unwrap_or_default();
        messages.iter().filter(|m| !m.deleted).cloned().collect()
    }

    /// One message, deleted or not.
    #[must_use]
    pub fn message(&self, channel: &str, ts: &str) -> Option<Message> {
        self.inner.state().channels.get(channel)?.messages.iter().find(|m| m.ts == ts).cloned()
    }

    /// What only this user saw in this channel, oldest first.
    #[must_use]
    pub fn privates(&self, channel: &str, user: &User) -> Vec<Private> {
        let state = self.inner.state();
        state.privates.iter().filter(|p| p.channel == channel && p.user == user.user).cloned().collect()
    }

    /// All modals ever opened, oldest first.
    #[must_use]
    pub fn views(&self) -> Vec<View> {
        self.inner.state().views.clone()
    }

    /// The calls of one method that were well-formed, oldest first.
    #[must_use]
    pub fn calls(&self, method: &str) -> Vec<Call> {
        self.inner.state().calls.iter().filter(|c| c.method == method).cloned().collect()
    }

    /// How fast the bot answered each gesture, oldest first.
    #[must_use]
    pub fn gestures(&self) -> Vec<Gesture> {
        self.inner.state().gestures.clone()
    }

    /// Waits for a message of `channel` that fits, as it is or as it becomes by an edit.
    ///
    /// # Errors
    /// After `limit`, with everything that the channel showed instead.
    pub async fn wait_message(
        &self,
        channel: &str,
        fits: impl Fn(&Message) -> bool,
        limit: Duration,
    ) -> Result<Message> {
        let found = self.wait(limit, || self.messages(channel).into_iter().find(|m| fits(m))).await;
        found.ok_or_else(|| {
            let shown: Vec<String> = self.messages(channel).iter().map(plain_text).collect();
            anyhow!("no such message within {limit:?}; the channel shows:\n{}", shown.join("\n---\n"))
        })
    }

    /// Waits for a message that only `user` sees.
    ///
    /// # Errors
    /// After `limit`, with everything that the user saw instead.
    pub async fn wait_private(
        &self,
        (channel, user): (&str, &User),
        fits: impl Fn(&Private) -> bool,
        limit: Duration,
    ) -> Result<Private> {
        let found = self.wait(limit, || self.privates(channel, user).into_iter().find(|p| fits(p))).await;
        found.ok_or_else(|| {
            let shown: Vec<String> = self.privates(channel, user).iter().map(private_text).collect();
            anyhow!("no such private message within {limit:?}; {} saw:\n{}", user.name, shown.join("\n---\n"))
        })
    }

    /// Waits until `user` has an open modal.
    ///
    /// # Errors
    /// After `limit`.
    pub async fn wait_view(&self, user: &User, limit: Duration) -> Result<View> {
        let found = self.wait(limit, || self.views().into_iter().rfind(|v| v.open && v.user == user.user)).await;
        found.ok_or_else(|| anyhow!("no modal for {} within {limit:?}", user.name))
    }

    /// Looks after every change until `look` finds something, at most `limit`.
    pub async fn wait<T>(&self, limit: Duration, look: impl Fn() -> Option<T>) -> Option<T> {
        let mut version = self.inner.version.subscribe();
        let search = async {
            loop {
                version.borrow_and_update();
                if let Some(found) = look() {
                    return Some(found);
                }
                version.changed().await.ok()?;
            }
        };
        tokio::time::timeout(limit, search).await.ok().flatten()
    }
}

/// A message as a person reads it.
#[must_use]
pub fn plain_text(message: &Message) -> String {
    text::render(&message.text, &message.blocks)
}

/// A private message as a person reads it.
#[must_use]
pub fn private_text(message: &Private) -> String {
    text::render(&message.text, &message.blocks)
}

fn serve(listener: TcpListener, inner: Arc<Inner>) -> Server {
    let (stop, stopped) = oneshot::channel::<()>();
    let app = Router::new().fallback(web::handle).with_state(inner);
    let task = tokio::spawn(async move {
        let until = async {
            // A dropped sender is no order to stop.
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        // Serving a local listener ends only by the order to stop.
        drop(axum::serve(listener, app).with_graceful_shutdown(until).await);
    });
    Server { task, stop }
}
