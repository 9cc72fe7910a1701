//! The bare handler: axum with the signature's proof and nothing else. Takes a port; serves, or is
//! measured in its own process.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use drbot::clock;
use drbot::practice::port;
use drbot::verify::{self, SlackSecrets};

use crate::bot::{peak, processor};
use crate::client::{self, Line, Shot};
use crate::requests::{CONNECTIONS, SECRET, notes};

/// Most requests of one connection.
const MOST: usize = 7_000;

/// Serves until killed.
///
/// # Errors
/// The port is taken.
pub async fn serve(port: u16) -> Result<()> {
    let secrets = SlackSecrets::new(vec![SECRET.to_owned()]).map_err(anyhow::Error::msg)?;
    let router = Router::new().route("/slack/commands", post(handle)).with_state(Arc::new(secrets));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    axum::serve(listener, router).await.context("serving")
}

async fn handle(State(secrets): State<Arc<SlackSecrets>>, headers: HeaderMap, body: Bytes) -> Response {
    let pairs: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
    match verify::slack::slack(&secrets, &pairs, body.to_vec(), clock::now()) {
        Ok(_) => "taken".into_response(),
        Err(_) => StatusCode::UNAUTHORIZED.into_response(),
    }
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the handler and loads it.
///
/// # Errors
/// It does not start, or an answer is wrong.
pub async fn measure(counted: Duration) -> Result<Shot> {
    let claim = port::free()?;
    let port = claim.number();
    let program = std::env::current_exe()?;
    let child = Command::new(program).args(["bare", &port.to_string()]).stdin(Stdio::null()).spawn()?;
    let server = Server(child);
    let lines = (0..CONNECTIONS).map(|c| Ok(Line { requests: notes("bare", c, MOST)?, expected: "taken".into() }));
    let lines = lines.collect::<Result<Vec<_>>>()?;
    let before = processor(server.0.id())?;
    let mut shot = client::load(port, lines, counted, false).await?;
    shot.used(processor(server.0.id())? - before);
    shot.peak = peak(server.0.id(), "VmHWM:")?;
    Ok(shot)
}
