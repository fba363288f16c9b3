//! `sana serve`: one process that does everything.

use core::time::Duration;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;
use sana_engine::base::limits;
use sana_engine::service::settings::Settings;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::output::{log, tell};
use super::sizes;
use crate::compute;
use crate::http::{Patience, Server, ServerOptions};
use crate::node::Node;
use crate::store::place::{self, BadPlace, Opened};
use crate::telemetry::Metrics;

/// What `sana serve` is told.
#[derive(Args)]
pub(super) struct ServeArguments {
    /// Where everything is kept: a folder, `file://` and a folder, `s3://` and a bucket with a prefix,
    /// or `memory:` to try things out.
    ///
    /// Several processes may use one folder or one bucket at once. A bucket needs `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, and `AWS_REGION` or, for stores other than AWS, `AWS_ENDPOINT_URL`.
    #[arg(long, env = "SANA_STORE", default_value = "./sana-data")]
    store: String,

    /// Where to listen.
    ///
    /// An address that other machines can reach needs an API key.
    #[arg(long, env = "SANA_LISTEN", default_value = "127.0.0.1:3001")]
    listen: SocketAddr,

    /// What clients have to send as `Authorization: Bearer <key>`. Without one everybody is let in.
    #[arg(long, env = "SANA_API_KEY", hide_env_values = true)]
    api_key: Option<String>,

    /// What is logged: error, warn, info, debug, trace, or a filter such as `info,hyper=debug`.
    #[arg(long, env = "SANA_LOG", default_value = "info")]
    log: String,

    /// Memory for what was read from the store. The default is a quarter of the machine's memory, at
    /// most 1 GiB.
    #[arg(long, value_parser = sizes::bytes)]
    cache_bytes: Option<u64>,

    /// Unindexed bytes of a namespace above which writes are turned away with status 429.
    #[arg(long, value_parser = sizes::bytes, default_value = "2GiB")]
    unindexed_bytes_max: u64,

    /// How long an object that nothing names any more is kept. Longer than any query takes.
    #[arg(long, value_parser = sizes::time, default_value = "10m")]
    trash_retention: Duration,

    /// How long idempotency keys are remembered.
    #[arg(long, value_parser = sizes::time, default_value = "30d")]
    idempotency_retention: Duration,

    /// The least time between two commits or publications of segments to one namespace, up to 10 seconds.
    /// For stores that turn away whoever changes an object more than once in a second, such as GCS and
    /// R2: there `1s` costs less than to be turned away.
    #[arg(long, value_parser = sizes::time, default_value = "0s")]
    commit_interval: Duration,

    /// The size of one request's body.
    #[arg(long, value_parser = sizes::bytes, default_value = "512MB")]
    body_bytes_max: u64,

    /// How long a client may send nothing more of a body, or take nothing more of an answer, before it
    /// is given up.
    #[arg(long, value_parser = sizes::time, default_value = "30s")]
    client_silence: Duration,

    /// Answer queries and take writes only; leave indexing to another process on the same store.
    #[arg(long)]
    no_indexing: bool,

    /// How often all namespaces are gone through, to index what other processes wrote and did not
    /// index. Each time the head of each namespace is read once.
    #[arg(long, value_parser = sizes::time, default_value = "30s", conflicts_with = "no_indexing")]
    watch_interval: Duration,

    /// How often everything in the store is listed, beside at the start, to find what killed processes
    /// left behind. Takes one request for 1,000 objects, and one for the head of each namespace.
    #[arg(long, value_parser = sizes::time, default_value = "1d", conflicts_with = "no_indexing")]
    survey_interval: Duration,
}

/// The least pause between two rounds through all namespaces or all objects.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// The most time between two commits. Writes that wait for their turn for longer than a write may take
/// are turned away.
const COMMIT_INTERVAL_MAX: Duration = Duration::from_secs(10);

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServeError {
    #[error(
        "{0} can be reached from other machines: set --api-key or SANA_API_KEY, or listen on 127.0.0.1"
    )]
    OpenToAll(SocketAddr),
    #[error("an API key must not be empty")]
    EmptyKey,
    #[error("--commit-interval is at most 10s: writes would wait for longer than they may take")]
    CommitInterval,
    #[error(transparent)]
    Store(#[from] BadPlace),
    #[error("the log filter '{filter}' is not one: {error}")]
    Log { filter: String, error: tracing_subscriber::filter::ParseError },
    #[error("{address} cannot be listened on: {error}")]
    Listen { address: SocketAddr, error: io::Error },
    #[error("the system gives no threads or signals: {0}")]
    System(#[from] io::Error),
}

/// Serves until it is told to stop.
///
/// # Errors
///
/// [`ServeError`] if it cannot start.
pub(super) fn run(arguments: &ServeArguments) -> Result<(), ServeError> {
    let filter = tracing_subscriber::EnvFilter::try_new(&arguments.log);
    let filter =
        filter.map_err(|error| ServeError::Log { filter: arguments.log.clone(), error })?;
    log(filter);
    if arguments.api_key.as_deref() == Some("") {
        return Err(ServeError::EmptyKey);
    }
    if arguments.api_key.is_none() && !arguments.listen.ip().is_loopback() {
        return Err(ServeError::OpenToAll(arguments.listen));
    }
    if arguments.commit_interval > COMMIT_INTERVAL_MAX {
        return Err(ServeError::CommitInterval);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(serve(arguments));
    // What still runs in the background is safe to leave where it is.
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

async fn serve(arguments: &ServeArguments) -> Result<(), ServeError> {
    let address = arguments.listen;
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|error| ServeError::Listen { address, error })?;
    let address = listener.local_addr()?;
    let Opened { store, place } = place::open(&arguments.store).await?;
    let metrics = Arc::new(Metrics::new());
    let settings = Settings {
        commit_interval_min: arguments.commit_interval,
        unindexed_bytes_max: arguments.unindexed_bytes_max,
        trash_retention: arguments.trash_retention,
        idempotency_retention: arguments.idempotency_retention,
        indexes: !arguments.no_indexing,
        host: compute::host(),
        ..Settings::default()
    };
    let cache = arguments.cache_bytes.unwrap_or_else(cache_bytes_default);
    let node = Node::start(store, size(cache), compute::threads(), settings, Arc::clone(&metrics));
    if !arguments.no_indexing {
        let (watcher, surveyor) = (node.clone(), node.clone());
        let every = arguments.watch_interval.max(INTERVAL_MIN);
        tokio::spawn(async move { watcher.watch(every).await });
        let every = arguments.survey_interval.max(INTERVAL_MIN);
        tokio::spawn(async move { surveyor.survey(every).await });
    }
    let body_bytes_max = size(arguments.body_bytes_max);
    let options = ServerOptions {
        api_key: arguments.api_key.clone(),
        body_bytes_max,
        bodies_bytes_max: body_bytes_max.saturating_mul(2).max(1 << 30),
        patience: Patience { silence: arguments.client_silence, ..Patience::default() },
    };
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tell("sana: finishing the requests under way");
    };
    let key = arguments.api_key.as_ref().map_or("none", |_| "<your API key>");
    // It serves as well if nobody reads this.
    let _ = writeln!(io::stdout(), "{}", greeting(address, &place, key));
    Arc::new(Server::new(node, metrics, options)).run(listener, stop).await;
    tell("sana: stopped; all that was acknowledged is in the store");
    Ok(())
}

fn greeting(address: SocketAddr, place: &str, key: &str) -> String {
    let header =
        if key == "none" { String::new() } else { format!(" -H 'Authorization: Bearer {key}'") };
    format!(
        "sana {version} listens on http://{address} and keeps everything in {place}.

Try it:
  curl http://{address}/v2/namespaces/demo{header} -d '{{\"upsert_rows\": [{{\"id\": 1, \"vector\": [0.1, 0.2]}}], \"distance_metric\": \"cosine_distance\"}}'
Or in Python, after `pip install turbopuffer`:
  import turbopuffer
  ns = turbopuffer.Turbopuffer(base_url=\"http://{address}\", api_key=\"{key}\").namespace(\"demo\")
  print(ns.query(rank_by=(\"vector\", \"ANN\", [0.1, 0.2]), top_k=10, include_attributes=True).rows)
",
        version = env!("CARGO_PKG_VERSION"),
    )
}

/// A quarter of the machine's memory, at most 1 GiB.
fn cache_bytes_default() -> u64 {
    const MOST: u64 = 1 << 30;
    let total = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    });
    total.map_or(MOST / 4, |kibibytes| (kibibytes << 8).min(MOST))
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

const _: () = assert!(limits::UNINDEXED_BYTES_MAX == 2 << 30, "the default says so");
