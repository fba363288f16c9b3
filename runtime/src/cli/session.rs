//! A store, opened by one command: a node in this process, asked in the words of the HTTP interface.
//!
//! Requests go through the server's routes without a socket. So a command can say whatever a client
//! can, and is told the same.

use core::time::Duration;
use std::sync::Arc;

use bytes::Bytes;
use clap::Args;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use sana_engine::base::name::NamespaceName;
use sana_engine::service::settings::Settings;
use serde_json::Value;

use super::failure::Failed;
use crate::compute;
use crate::http::{Outcome, Patience, Server, ServerOptions};
use crate::node::Node;
use crate::store::Store;
use crate::store::place;
use crate::telemetry::Metrics;

/// What every command that works on a store is told.
#[derive(Args)]
pub(super) struct StoreArguments {
    /// The store: what `sana serve --store` was told.
    #[arg(long, env = "SANA_STORE", default_value = "./sana-data", global = true)]
    pub(super) store: String,

    /// Print JSON, for scripts.
    #[arg(long, global = true)]
    pub(super) json: bool,
}

/// What a command is going to do to the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// Look at what is there.
    Look,
    /// Write, into a new store if there is none. What is written is indexed by the next server.
    Write,
    /// Write so much that it has to be indexed meanwhile.
    Load,
    /// Index at once what is not.
    Flush,
    /// Index, and merge all that can be merged.
    Compact,
}

/// A store that is open.
pub(super) struct Session {
    /// What works on it.
    pub(super) node: Node,
    /// The store itself.
    pub(super) store: Store,
    server: Arc<Server>,
}

/// An answer.
pub(super) struct Answered {
    status: StatusCode,
    /// Whether clients are told not to repeat the request, whatever its status says.
    is_final: bool,
    outcome: Outcome,
    body: Bytes,
}

/// Memory for what was read from the store, in bytes.
const CACHE_BYTES: usize = 128 << 20;
/// The size of one request's body, in bytes.
const BODY_BYTES_MAX: usize = 512_000_000;

/// Names of a page of the listing.
const PAGE: usize = 1_000;

impl Session {
    /// A page of the namespaces with a prefix that come after a name, and after which name the next page
    /// begins, if there is one.
    ///
    /// # Errors
    ///
    /// [`Failed::Trouble`] if they cannot be listed.
    pub(super) async fn names(
        &self,
        prefix: &str,
        after: Option<&NamespaceName>,
    ) -> Result<(Vec<NamespaceName>, Option<NamespaceName>), Failed> {
        let page = self.node.list(prefix, after, PAGE).await;
        let page = page.map_err(|error| Failed::Trouble(error.to_string()))?;
        let next = page.names.last().cloned().filter(|_| page.more);
        Ok((page.names, next))
    }

    /// Opens a store. Only who writes may find none.
    pub(super) async fn open(arguments: &StoreArguments, purpose: Purpose) -> Result<Self, Failed> {
        let place = arguments.store.as_str();
        let writes = matches!(purpose, Purpose::Write | Purpose::Load);
        let missing = place::folder(place).filter(|path| !writes && !path.is_dir());
        if let Some(path) = missing {
            let path = path.display();
            return Err(Failed::NotFound(format!(
                "there is no store in '{path}': name one with --store or SANA_STORE, or make one \
                 with `sana serve` or `sana upsert`"
            )));
        }
        let store = place::open(place).await?.store;
        let metrics = Arc::new(Metrics::new());
        let flush_after = match purpose {
            Purpose::Flush | Purpose::Compact => Duration::ZERO,
            Purpose::Look | Purpose::Write | Purpose::Load => Settings::default().flush_after,
        };
        let settings = Settings {
            indexes: !matches!(purpose, Purpose::Look | Purpose::Write),
            compacts: purpose == Purpose::Compact,
            flush_after,
            host: compute::host(),
            ..Settings::default()
        };
        let (cache, threads) = (CACHE_BYTES, compute::threads());
        let node = Node::start(store.clone(), cache, threads, settings, Arc::clone(&metrics));
        let options = ServerOptions {
            api_key: None,
            body_bytes_max: BODY_BYTES_MAX,
            bodies_bytes_max: 4 * BODY_BYTES_MAX,
            patience: Patience::default(),
        };
        let server = Arc::new(Server::new(node.clone(), metrics, options));
        Ok(Self { node, store, server })
    }

    /// Asks, and gives the answer whatever its status. `key` is an idempotency key.
    pub(super) async fn ask(
        &self,
        (method, path): (&str, &str),
        body: Bytes,
        key: Option<&str>,
    ) -> Result<Answered, Failed> {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let request = request.body(Full::new(body));
        let request = request.map_err(|error| Failed::Usage(error.to_string()))?;
        let Ok(response) = Arc::clone(&self.server).answer(request).await;
        let (parts, body) = response.into_parts();
        let is_final = parts.headers.get("x-should-retry").is_some_and(|told| told == "false");
        let outcome = parts.extensions.get().copied().unwrap_or(Outcome::AsStatus);
        Ok(Answered { status: parts.status, is_final, outcome, body })
    }

    /// Asks for something of a namespace, and expects to get it. `verb` is what follows its name in
    /// the path.
    pub(super) async fn of(
        &self,
        method: &str,
        name: &NamespaceName,
        verb: &str,
        body: &Value,
    ) -> Result<Value, Failed> {
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        self.ask((method, &path(name, verb)), body, None).await?.value()
    }
}

/// The path of something of a namespace.
pub(super) fn path(name: &NamespaceName, verb: &str) -> String {
    // Recall and schemas have kept their version.
    let version = if matches!(verb, "/schema" | "/_debug/recall") { "v1" } else { "v2" };
    format!("/{version}/namespaces/{name}{verb}")
}

impl Answered {
    /// What was asked for, or why there is none.
    pub(super) fn value(&self) -> Result<Value, Failed> {
        let value: Option<Value> = serde_json::from_slice(&self.body).ok();
        if self.status.is_success() {
            return value.ok_or_else(|| Failed::Trouble("the answer is no JSON".to_owned()));
        }
        let said = value.as_ref().and_then(|value| value["error"].as_str());
        let message = said.map_or_else(|| self.text(), str::to_owned);
        Err(match (self.outcome, self.status) {
            (Outcome::Unknown, _) => Failed::Unknown(message),
            (Outcome::Damaged, _) => Failed::Damaged(message),
            (Outcome::GivenUp, _) => Failed::Trouble(message),
            (Outcome::AsStatus, StatusCode::NOT_FOUND) => Failed::NotFound(message),
            (Outcome::AsStatus, StatusCode::TOO_MANY_REQUESTS) => Failed::Trouble(message),
            (Outcome::AsStatus, status) if status.is_server_error() && !self.is_final => {
                Failed::Trouble(message)
            }
            (Outcome::AsStatus, _) => Failed::Refused(message),
        })
    }

    /// Whether nobody knows whether the write that was asked for happened.
    pub(super) fn is_unknown(&self) -> bool {
        self.outcome == Outcome::Unknown
    }

    /// Whether asking the same again may be answered better.
    pub(super) fn may_pass(&self) -> bool {
        let busy = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
        busy.contains(&self.status) && !self.is_final
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A namespace's name as an argument.
///
/// # Errors
///
/// A sentence that says what a name is made of.
pub(super) fn namespace(text: &str) -> Result<NamespaceName, String> {
    NamespaceName::parse(text).map_err(|problem| problem.to_string())
}

/// JSON as an argument.
///
/// # Errors
///
/// A sentence that says where it is none.
pub(super) fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("this is not JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a command makes of a failure with this status.
    fn failed(status: u16, is_final: bool, outcome: Outcome) -> Failed {
        let status = StatusCode::from_u16(status).unwrap();
        Answered { status, is_final, outcome, body: Bytes::from_static(b"why") }
            .value()
            .unwrap_err()
    }

    #[test]
    fn every_failure_has_the_exit_code_that_says_whose_turn_it_is() {
        let why = || "why".to_owned();
        let plain = |status, is_final| failed(status, is_final, Outcome::AsStatus);
        assert_eq!(plain(400, false), Failed::Refused(why()));
        assert_eq!(plain(404, false), Failed::NotFound(why()));
        assert_eq!(plain(429, false), Failed::Trouble(why()));
        assert_eq!(plain(503, false), Failed::Trouble(why()));
        assert_eq!(plain(504, true), Failed::Refused(why()), "too much in one request");
        assert_eq!(failed(500, true, Outcome::Damaged), Failed::Damaged(why()));
        assert_eq!(failed(500, true, Outcome::GivenUp), Failed::Trouble(why()));
        assert_eq!(failed(500, true, Outcome::Unknown), Failed::Unknown(why()));
        assert_eq!(failed(503, true, Outcome::Unknown), Failed::Unknown(why()));
        let under_a_key = failed(503, false, Outcome::Unknown);
        assert_eq!(under_a_key, Failed::Unknown(why()));
        assert_eq!(Failed::Trouble(why()).unknown(), Failed::Unknown(why()));
    }
}
