//! The engine on a runtime of one's own: no tokio, no HTTP, no file.
//!
//! ```text
//! cargo run -p sana-engine --example embed
//! ```
//!
//! Whoever embeds Sana brings three things: a place that keeps objects ([`ObjectStore`]), a clock
//! ([`Clock`]), and something that polls futures. Here they are a map, the system's clock, and twenty
//! lines of executor. Everything else is the engine's: what to ask of the store, in which order, and
//! what to make of the answers.

#![expect(
    clippy::disallowed_methods,
    reason = "an embedder is where clocks and threads are at home"
)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sana_engine::base::blob::Blob;
use sana_engine::base::name::{AttributeName, Key, NamespaceName};
use sana_engine::base::time::{Timestamp, WallTime};
use sana_engine::base::value::Raw;
use sana_engine::format::schema::Metric;
use sana_engine::machine::drive::{Clock, ObjectStore, drive};
use sana_engine::machine::request::{Listed, Reply, Request, Tag, When};
use sana_engine::namespace::request::{
    Consistency, Include, QueryRequest, Rank, RawDocument, Want, WriteRequest,
};
use sana_engine::service::namespace::{NamespaceService, Ticket, Word};
use sana_engine::service::settings::Settings;

/// A store: objects by their keys, each with the number of its version.
#[derive(Default)]
struct Map(Mutex<BTreeMap<Key, (u64, Blob)>>);

impl ObjectStore for Map {
    async fn perform(&self, request: Request) -> Reply {
        let mut objects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tag = |version: u64| Tag::new(version.to_string());
        match request {
            Request::Get { key, range, unless } => match objects.get(&key) {
                None => Reply::Missing,
                Some((version, _)) if unless == Some(tag(*version)) => Reply::NotModified,
                Some((version, body)) => {
                    let whole = body.len();
                    let (start, end) = range.map_or((0, whole), |part| {
                        let end = usize::try_from(part.end).unwrap_or(whole).min(whole);
                        (usize::try_from(part.start).unwrap_or(whole).min(end), end)
                    });
                    let body = body.slice(start, end).expect("the part lies within the object");
                    Reply::Found { tag: tag(*version), body }
                }
            },
            Request::Put { key, body, when } => {
                let found = objects.get(&key).map(|(version, _)| *version);
                let holds = match when {
                    When::Absent | When::Fresh => found.is_none(),
                    When::Matches(wanted) => found.map(tag) == Some(wanted),
                };
                if !holds {
                    return Reply::Refused;
                }
                let version = found.unwrap_or(0) + 1;
                objects.insert(key, (version, body));
                Reply::Stored { tag: tag(version) }
            }
            Request::Delete { key } => {
                objects.remove(&key);
                Reply::Deleted
            }
            Request::List { prefix, after, limit } => {
                let named = objects.iter().filter(|(key, _)| {
                    key.as_str().starts_with(prefix.as_str()) && after.as_ref() < Some(*key)
                });
                let listed = |(key, (_, body)): (&Key, &(u64, Blob))| Listed {
                    key: key.clone(),
                    bytes: body.len() as u64,
                };
                let objects: Vec<_> = named.map(listed).take(limit as usize).collect();
                let more = objects.len() == limit as usize;
                Reply::Listed { objects, more }
            }
        }
    }
}

/// A clock that sleeps by blocking the one thread there is.
struct Watch(Instant);

impl Clock for Watch {
    fn now(&self) -> Timestamp {
        Timestamp(u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    async fn sleep(&self, until: Timestamp) {
        // This store answers at once, so whoever sleeps has nothing else to wait for.
        thread::sleep(Duration::from_millis(until.0.saturating_sub(self.now().0).min(50)));
    }
}

/// Polls a future until it is ready.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park_timeout(Duration::from_millis(1)),
        }
    }
}

/// A node: a store, a clock, and the service of one namespace.
struct Node {
    store: Map,
    clock: Watch,
    service: RefCell<NamespaceService>,
}

impl Node {
    /// Runs every operation that is due, one after the other, and shows what clients are told.
    fn settle(&self) {
        loop {
            let now = self.clock.now();
            let starts = self.service.borrow_mut().due(now, wall(), seed());
            if starts.is_empty() {
                return;
            }
            for (id, start) in starts {
                let first = start.begin(self.clock.now());
                let output = block_on(drive(&self.store, &self.clock, first));
                let told = self.service.borrow_mut().finished(self.clock.now(), id, output);
                for (Ticket(number), word) in told {
                    show(number, &word);
                }
            }
        }
    }
}

fn show(number: u64, word: &Word) {
    match word {
        Word::Answered(Ok(answer)) => println!("request {number}: {:#?}", answer.found),
        word => println!("request {number}: {word:?}"),
    }
}

fn wall() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A number nobody drew before. A real embedder asks the system's entropy; a demonstration that lives
/// for a moment in one process may count nanoseconds.
fn seed() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() << 32
}

fn document(id: i128, vector: [i128; 2]) -> Result<RawDocument, Box<dyn std::error::Error>> {
    let vector = Raw::List(vector.into_iter().map(Raw::Integer).collect());
    let attributes = vec![(AttributeName::parse("vector")?, vector)];
    Ok(RawDocument { id: Raw::Integer(id), attributes })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clock = Watch(Instant::now());
    let name = NamespaceName::parse("embedded")?;
    let service = NamespaceService::new(clock.now(), name, Settings::default());
    let node = Node { store: Map::default(), clock, service: RefCell::new(service) };

    let write = WriteRequest {
        upserts: Some(vec![document(1, [1, 0])?, document(2, [0, 1])?, document(3, [1, 1])?]),
        metric: Some(Metric::Cosine),
        ..WriteRequest::default()
    };
    node.service.borrow_mut().write(node.clock.now(), Ticket(1), write, 200);
    node.settle();

    let to = Raw::List(vec![Raw::Integer(2), Raw::Integer(1)]);
    let rank = Rank::nearest(AttributeName::parse("vector")?, to);
    let query = QueryRequest {
        filter: None,
        want: Want::rows(rank, 2, Include::All),
        consistency: Consistency::Strong,
    };
    node.service.borrow_mut().query(node.clock.now(), Ticket(2), query);
    node.settle();
    Ok(())
}
