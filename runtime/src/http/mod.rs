//! The HTTP interface: turbopuffer's API, as its official clients speak it.
//!
//! | module       | what it answers                                                      |
//! |--------------|----------------------------------------------------------------------|
//! | `path`       | What is a request about?                                             |
//! | `routes`     | Who answers it?                                                      |
//! | `body`       | How do bodies come in and go out without taking all memory?          |
//! | `json`       | How are bodies parsed and values printed?                            |
//! | `errors`     | What is a client told that does not get what it asked for?           |
//! | `write`      | What is to be written? with `documents` and `schema`                 |
//! | `query`      | What is looked for, and what was found? with `filter` and `rank`     |
//! | `metadata`   | What is a namespace?                                                 |
//! | `namespaces` | Which namespaces are there?                                          |
//!
//! Deviations from turbopuffer are on one page, `docs/api.md`.

mod body;
mod documents;
mod errors;
mod filter;
pub(crate) mod json;
mod metadata;
mod namespaces;
mod path;
mod query;
mod rank;
mod recall;
mod routes;
mod schema;
mod write;

use core::fmt;
use core::future::Future;
use core::time::Duration;
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::node::Node;
use crate::telemetry::Metrics;
use body::Budget;

/// What answers requests.
pub struct Server {
    node: Node,
    metrics: Arc<Metrics>,
    api_key: Option<String>,
    budget: Budget,
}

/// How a server is set up.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerOptions {
    /// What clients have to send as a bearer token; `None` lets everybody in.
    pub api_key: Option<String>,
    /// The size of one request's body, in bytes.
    pub body_bytes_max: usize,
    /// The size of all bodies in memory together, in bytes.
    pub bodies_bytes_max: usize,
}

impl fmt::Debug for ServerOptions {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerOptions")
            .field("has_api_key", &self.api_key.is_some())
            .field("body_bytes_max", &self.body_bytes_max)
            .field("bodies_bytes_max", &self.bodies_bytes_max)
            .finish()
    }
}

impl fmt::Debug for Server {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("node", &self.node).finish_non_exhaustive()
    }
}

/// Connections at once. Further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 4_096;
/// How long a client may take to say what it wants.
const HEADER_TIME_MAX: Duration = Duration::from_secs(30);
/// How long requests may go on when the server was told to stop.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(25);
/// The pause after a connection could not be accepted: files have run out, for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl Server {
    /// A server of this node.
    pub fn new(node: Node, metrics: Arc<Metrics>, options: ServerOptions) -> Self {
        let budget = Budget::new(options.bodies_bytes_max, options.body_bytes_max);
        Self { node, metrics, api_key: options.api_key, budget }
    }

    /// Answers requests until `stop` ends, then finishes those that are under way, for a while.
    pub async fn run(self: Arc<Self>, listener: TcpListener, stop: impl Future<Output = ()>) {
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIME_MAX);
        builder.http2().timer(TokioTimer::new()).max_concurrent_streams(256);
        let (drain, places) = (GracefulShutdown::new(), Arc::new(Semaphore::new(CONNECTIONS_MAX)));
        let mut stop = core::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = accept(&listener, &places) => accepted,
            };
            let (stream, place) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!("a connection was not accepted: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // Answers are small: waiting to fill a packet would only delay them. A socket that
            // refuses is closed already, and reading from it will say so.
            let _ = stream.set_nodelay(true);
            let server = Arc::clone(&self);
            let service = service_fn(move |request| Arc::clone(&server).answer(request));
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            let connection = drain.watch(connection.into_owned());
            tokio::spawn(async move {
                // A client that hangs up in the middle concerns nobody else.
                if let Err(error) = connection.await {
                    tracing::debug!("a connection ended: {error}");
                }
                drop(place);
            });
        }
        drop(listener);
        if tokio::time::timeout(DRAIN_TIME_MAX, drain.shutdown()).await.is_err() {
            tracing::warn!("some requests did not end in time and were given up");
        }
    }
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(tokio::net::TcpStream, Option<tokio::sync::OwnedSemaphorePermit>)> {
    // The semaphore is never closed.
    let place = Arc::clone(places).acquire_owned().await.ok();
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

#[cfg(test)]
mod tests;
