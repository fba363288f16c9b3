//! The HTTP interface: turbopuffer's API, as its official clients speak it.
//!
//! | module       | what it answers                                                      |
//! |--------------|----------------------------------------------------------------------|
//! | `path`       | What is a request about?                                             |
//! | `routes`     | Who answers it?                                                      |
//! | `body`       | How do bodies come in and go out without taking all memory?          |
//! | `delivery`   | What of clients that do not take their answers?                       |
//! | `json`       | How are bodies parsed and values printed?                            |
//! | `tree`       | How is JSON kept whose shape is looked at later?                     |
//! | `errors`     | What is a client told that does not get what it asked for?           |
//! | `write`      | What is to be written? with `documents` and `schema`                 |
//! | `query`      | What is looked for, and what was found? with `filter` and `rank`     |
//! | `explain`    | How would it be looked for?                                          |
//! | `metadata`   | What is a namespace?                                                 |
//! | `namespaces` | Which namespaces are there?                                          |
//! | `slots`      | How many queries of one namespace run at once?                       |
//! | [`wire`]     | What does a body mean, without a server?                             |
//!
//! Deviations from turbopuffer are on one page, `docs/api.md`.

mod body;
mod delivery;
mod documents;
mod errors;
mod explain;
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
mod slots;
mod tree;
pub mod wire;
mod write;

use core::convert::Infallible;
use core::fmt;
use core::future::Future;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::node::Node;
use crate::telemetry::Metrics;
use body::Budget;
use delivery::{Deliveries, Impatient};
pub(crate) use errors::Outcome;
use slots::Slots;

/// What answers requests.
pub struct Server {
    node: Node,
    metrics: Arc<Metrics>,
    api_key: Option<String>,
    budget: Budget,
    slots: Slots,
    patience: Patience,
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
    /// How long clients may keep the server waiting.
    pub patience: Patience,
}

/// How long clients may keep the server waiting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// For the head of a request, and between two requests on one connection. Official clients drop
    /// a connection that was idle for a minute: who waits longer never hangs up on them.
    pub head: Duration,
    /// For more of a body, and until they take more of an answer.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { head: Duration::from_secs(75), silence: Duration::from_secs(30) }
    }
}

impl fmt::Debug for ServerOptions {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerOptions")
            .field("has_api_key", &self.api_key.is_some())
            .field("body_bytes_max", &self.body_bytes_max)
            .field("bodies_bytes_max", &self.bodies_bytes_max)
            .field("patience", &self.patience)
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
/// How long requests may go on when the server was told to stop.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(25);
/// The pause after a connection could not be accepted: files have run out, for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl Server {
    /// A server of this node.
    pub fn new(node: Node, metrics: Arc<Metrics>, options: ServerOptions) -> Self {
        let ServerOptions { api_key, body_bytes_max, bodies_bytes_max, patience } = options;
        let budget = Budget::new(bodies_bytes_max, body_bytes_max, patience.silence);
        Self { node, metrics, api_key, budget, slots: Slots::default(), patience }
    }

    /// Answers requests until `stop` ends, then finishes those that are under way, for a while.
    pub async fn run(self: Arc<Self>, listener: TcpListener, stop: impl Future<Output = ()>) {
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(self.patience.head);
        let mut http2 = builder.http2();
        http2.timer(TokioTimer::new()).max_concurrent_streams(256);
        // A client that is gone without a word is noticed.
        http2.keep_alive_interval(self.patience.head).keep_alive_timeout(self.patience.silence);
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
            let conversation = Arc::clone(&self).converse(stream, &builder, &drain);
            tokio::spawn(async move {
                conversation.await;
                drop(place);
            });
        }
        drop(listener);
        if tokio::time::timeout(DRAIN_TIME_MAX, drain.shutdown()).await.is_err() {
            tracing::warn!("some requests did not end in time and were given up");
        }
    }

    /// Answers what comes over one connection, until it ends.
    fn converse(
        self: Arc<Self>,
        stream: TcpStream,
        builder: &Builder<TokioExecutor>,
        drain: &GracefulShutdown,
    ) -> impl Future<Output = ()> + Send + use<> {
        let Patience { head, silence } = self.patience;
        let (deliveries, has_asked) = (Deliveries::new(silence), Arc::new(AtomicBool::new(false)));
        let (parcels, asked) = (deliveries.clone(), Arc::clone(&has_asked));
        let service = service_fn(move |request| {
            asked.store(true, Ordering::Relaxed);
            let (server, parcels) = (Arc::clone(&self), parcels.clone());
            async move {
                let Ok(response) = server.answer(request).await;
                Ok::<_, Infallible>(response.map(|body| parcels.parcel(body)))
            }
        });
        let stream = TokioIo::new(Impatient::new(stream, silence));
        let connection = drain.watch(builder.serve_connection(stream, service).into_owned());
        async move {
            let mut connection = core::pin::pin!(connection);
            // Which version it speaks is told by its first bytes, and nothing else limits how long
            // they may take.
            let asks_nothing = async {
                tokio::time::sleep(head).await;
                if has_asked.load(Ordering::Relaxed) {
                    core::future::pending::<()>().await;
                }
            };
            tokio::select! {
                // A client that hangs up in the middle concerns nobody else.
                ended = &mut connection => if let Err(error) = ended {
                    tracing::debug!("a connection ended: {error}");
                },
                () = asks_nothing => tracing::debug!("a client connected and asked for nothing"),
                () = deliveries.stalled() => {
                    tracing::debug!("a client did not take its answers in time");
                }
            }
        }
    }
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, Option<tokio::sync::OwnedSemaphorePermit>)> {
    // The semaphore is never closed.
    let place = Arc::clone(places).acquire_owned().await.ok();
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

#[cfg(test)]
mod tests;
