//! The demonstration to play with: a throw-away PostgreSQL with some life in it, a drbot process and the
//! practice chat in front of it, with a panel that breaks things. Takes the program and its runbooks;
//! serves one page until dropped, and leaves nothing behind.

mod breaks;
mod life;
mod look;
mod monitor;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

use super::page::{self, Page};
use super::story::stage::Stage;
use super::story::{Cast, Order, log};
use breaks::Breaks;
use monitor::Monitor;

/// The people and channels of the demonstration. Nobody wants to wait five minutes.
pub const CAST: Cast = Cast {
    people: page::PEOPLE,
    more_channels: &[("C02GEN", "general"), monitor::CHANNEL],
    longer_than: "3s",
    config: monitor::config,
};
const EVERY: Duration = Duration::from_secs(1);
/// The role that changes things for drbot.
const OPERATOR: &str = "drbot_operator";

/// The demonstration; its processes end with it. Fields drop in order.
struct Demo {
    breaks: Mutex<Breaks>,
    stage: Stage,
    monitor: Mutex<Monitor>,
    panel: watch::Sender<Value>,
}

/// Sets everything up, says where the page is, and serves it until dropped.
///
/// # Errors
/// Says what is missing or did not start.
pub async fn play(order: &Order, port: u16, say: fn(&str)) -> Result<()> {
    let listener = page::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    say("Starting a throw-away PostgreSQL and drbot ...");
    let stage = Stage::start(order).await?;
    let panel = watch::Sender::new(json!({}));
    let shown = Page {
        slack: Arc::clone(&stage.slack),
        people: page::people("T01TEST", &order.cast.people),
        bot: "the drbot of this demonstration".into(),
        panel: Some(panel.subscribe()),
    };
    if order.keep {
        say(&format!("Everything is kept in {}", stage.folder.path.display()));
    }
    let monitor = Mutex::new(Monitor::new(stage.bot.alerts()?)?);
    let demo = Arc::new(Demo { breaks: Mutex::default(), stage, monitor, panel });
    // Ends with this function, before the demonstration does.
    let mut background = JoinSet::new();
    background.spawn(watch(Arc::clone(&demo)));
    for number in 0..life::SESSIONS {
        let url = life::url(&demo.stage.database);
        background.spawn(life::live(url, number));
    }
    let routes = Router::new()
        .route("/demo/break", post(change))
        .route("/demo/state", get(state))
        .route("/demo/ran", get(ran))
        .with_state(demo);
    say(&format!(
        "\nOpen  http://{}/\n\nCtrl-C ends the demonstration and removes everything.",
        listener.local_addr()?
    ));
    page::serve(listener, shown, routes).await
}

/// Looks into the database again and again and tells the page.
async fn watch(demo: Arc<Demo>) {
    let mut conn = None;
    loop {
        demo.see(&mut conn).await;
        tokio::time::sleep(EVERY).await;
    }
}

impl Demo {
    async fn see(&self, conn: &mut Option<sqlx::PgConnection>) {
        // Nothing may begin between the look and what is concluded from it.
        let mut breaks = self.breaks.lock().await;
        let seen = look::database(&self.stage.database, conn).await;
        let fires = seen.up().then(|| breaks.slow());
        let breaks = breaks.shown(&seen);
        let value = json!({
            "breaks": breaks, "database": seen.shown(), "longerThan": CAST.longer_than, "runbookSays": "5m",
        });
        if let Some(fires) = fires
            && let Err(e) = self.monitor.lock().await.tell(fires).await
        {
            tracing::warn!(error = %e, "the alert was not delivered");
        }
        self.panel.send_if_modified(|old| {
            let new = *old != value;
            if new {
                *old = value;
            }
            new
        });
    }
}

/// Something to break or to heal.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    what: breaks::What,
    on: bool,
}

async fn change(State(demo): State<Arc<Demo>>, Json(change): Json<Change>) -> (StatusCode, Json<Value>) {
    let result = demo.breaks.lock().await.set(change.what, change.on, &demo.stage.database).await;
    demo.see(&mut None).await;
    match result {
        Ok(()) => (StatusCode::OK, Json(json!({"ok": true}))),
        Err(e) => (StatusCode::OK, Json(json!({"ok": false, "why": format!("{e:#}")}))),
    }
}

async fn state(State(demo): State<Arc<Demo>>) -> Json<Value> {
    Json(demo.panel.borrow().clone())
}

/// What drbot's operator ran, by the database's own log, oldest first.
async fn ran(State(demo): State<Arc<Demo>>) -> Json<Value> {
    let ran = log::ran(&demo.stage.database.log_text(), OPERATOR);
    Json(ran.iter().map(|r| json!({"sql": r.sql, "values": r.values})).collect())
}
