//! Connections. Takes a listener and the routes; serves HTTP/1.1 with a limit on connections and on the
//! time that headers may take, until told to stop, and then lets requests in hand finish.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tracing::{debug, warn};

/// How long a client may take for its headers, also between requests on one connection.
const HEADERS: Duration = Duration::from_secs(5);
/// Connections at once; more wait in the system's queue.
const CONNECTIONS: usize = 1_024;
/// How long requests in hand may take once the process stops.
const FINISH: Duration = Duration::from_secs(10);

/// Serves until `stop` is over.
pub async fn serve(listener: TcpListener, routes: Router, stop: impl Future<Output = ()>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let open = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        let place = Arc::clone(&room).acquire_owned();
        let (stream, place) = tokio::select! {
            () = &mut stop => break,
            taken = async { (listener.accept().await, place.await) } => match taken {
                (Ok((stream, _)), Ok(place)) => (stream, place),
                (Err(e), _) => {
                    // Out of descriptors, most likely: the connections that are open go on meanwhile.
                    warn!(error = %e, "a connection could not be taken");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
                (Ok(_), Err(_)) => break,
            },
        };
        let service = TowerToHyperService::new(routes.clone());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS)
            .serve_connection(TokioIo::new(stream), service);
        let watched = open.watch(connection);
        tokio::spawn(async move {
            if let Err(e) = watched.await {
                debug!(error = %e, "a connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(FINISH, open.shutdown()).await.is_err() {
        warn!("some requests did not finish in time");
    }
}
