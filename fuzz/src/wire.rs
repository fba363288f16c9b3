//! Hostile bodies, and what the engine makes of those that are understood.
//!
//! Each meets a namespace with documents, some of them indexed, and a store without any namespace.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use sana_engine::base::blob::Blob;
use sana_engine::base::name::{Key, NamespaceName};
use sana_engine::base::time::{Timestamp, WallTime};
use sana_engine::machine::drive::{Clock, ObjectStore, drive};
use sana_engine::machine::request::{Reply, Request, When};
use sana_engine::namespace::request::{
    Answer, Found, QueryError, QueryRequest, WriteError, WriteOutcome, WriteRequest,
};
use sana_engine::service::namespace::{NamespaceService, Ticket, Word};
use sana_engine::service::settings::Settings;
use sana_runtime::http::wire;
use sana_runtime::store::memory::MemoryStore;

type Objects = Vec<(Key, Blob)>;

/// Attributes of every type, and documents that have some of each.
const FIRST: &str = include_str!("documents.json");
/// What is written behind the index: one document is replaced, one is gone, one is new.
const SECOND: &str =
    r#"{"upsert_rows":[{"id":2,"i":7,"s":"again","v":[0,1]},{"id":9,"i":-1}],"deletes":[3]}"#;
const ALL: &str = r#"{"rank_by":["id","asc"],"limit":10000,"include_attributes":true}"#;

/// The objects of a namespace that holds the documents.
static FILLED: LazyLock<Objects> = LazyLock::new(|| {
    let mut node = Node::on(&Vec::new(), 0);
    let written = |body: &str| wire::write(body.as_bytes(), None).expect("it is well-formed");
    node.write(written(FIRST)).expect("it is good");
    node.index();
    node.write(written(SECOND)).expect("it is good");
    node.objects()
});

/// Any bytes as the body of a write. What is refused changes nothing; what is written can be read, and
/// is the same when it is indexed.
pub fn write(body: &[u8]) {
    let request = match wire::write(body, None) {
        Ok(request) => request,
        Err(refused) => return assert!([400, 422].contains(&refused.status), "{refused:?}"),
    };
    for objects in [&*FILLED, &Objects::new()] {
        let mut node = Node::on(objects, 1 << 64);
        match node.write(request.clone()) {
            Ok(outcome) => {
                is_json(&wire::written(&outcome, false));
                let found = node.ask(&all());
                node.index();
                assert_eq!(node.ask(&all()), found, "indexing changes nothing");
            }
            Err(error) => {
                let is_the_clients = match &error {
                    WriteError::Rejected { .. } | WriteError::Invalid(_) => true,
                    WriteError::Filter(_) | WriteError::NoNamespace => true,
                    _ => false,
                };
                assert!(is_the_clients, "{error:?}");
                assert_eq!(node.objects(), *objects, "what was refused changed something: {error}");
            }
        }
    }
}

/// Any bytes as the body of a query. What is found does not depend on what is indexed.
pub fn query(body: &[u8]) {
    let query = match wire::query(body) {
        Ok(query) => query,
        Err(refused) => return assert!([400, 422].contains(&refused.status), "{refused:?}"),
    };
    let mut node = Node::on(&FILLED, 1 << 64);
    let told = node.query(query.request().clone());
    match &told {
        Ok(answer) => is_json(&query.answered(answer)),
        Err(QueryError::Invalid(_) | QueryError::TooLarge { .. }) => {}
        Err(error) => panic!("{error:?}"),
    }
    node.index();
    let again = node.query(query.request().clone());
    assert_eq!(again.map(|answer| answer.found), told.map(|answer| answer.found));
}

fn all() -> QueryRequest {
    wire::query(ALL.as_bytes()).expect("it is well-formed").request().clone()
}

fn is_json(body: &[u8]) {
    let parsed = serde_json::from_slice::<serde_json::Value>(body);
    assert!(parsed.is_ok(), "{parsed:?} of {}", String::from_utf8_lossy(body));
}

/// A node with one namespace, on a store in memory. Time passes when it sleeps.
struct Node {
    store: MemoryStore,
    clock: Hand,
    service: NamespaceService,
    asked: u64,
    /// The last seed that was used.
    seed: u128,
}

/// A clock that is moved on by whoever sleeps.
struct Hand(AtomicU64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }

    async fn sleep(&self, until: Timestamp) {
        self.0.fetch_max(until.0, Ordering::Relaxed);
    }
}

impl Node {
    /// A node that has just started, on a store with these objects. Seeds after `seed` were never used.
    fn on(objects: &Objects, seed: u128) -> Self {
        let (store, clock) = (MemoryStore::new(), Hand(AtomicU64::new(1)));
        for (key, body) in objects {
            let put = Request::Put { key: key.clone(), body: body.clone(), when: When::Absent };
            assert!(matches!(done(store.perform(put)), Reply::Stored { .. }));
        }
        // Nothing is indexed unless it is asked for.
        let service = service(clock.now(), false);
        Self { store, clock, service, asked: 0, seed }
    }

    fn write(&mut self, request: WriteRequest) -> Result<WriteOutcome, WriteError> {
        let ticket = self.ticket();
        self.service.write(self.clock.now(), ticket, request, 1_000);
        match self.settle().pop() {
            Some((_, Word::Written(outcome))) => outcome,
            other => panic!("a write is told {other:?}"),
        }
    }

    fn query(&mut self, request: QueryRequest) -> Result<Answer, QueryError> {
        let ticket = self.ticket();
        self.service.query(self.clock.now(), ticket, request);
        match self.settle().pop() {
            Some((_, Word::Answered(answer))) => answer,
            other => panic!("a query is told {other:?}"),
        }
    }

    /// What a query finds, if there is a namespace.
    fn ask(&mut self, request: &QueryRequest) -> Option<Found> {
        match self.query(request.clone()) {
            Ok(answer) => Some(answer.found),
            Err(QueryError::NoNamespace) => None,
            Err(error) => panic!("{error:?}"),
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.asked += 1;
        Ticket(self.asked)
    }

    /// Starts again, and indexes until nothing is left to index.
    fn index(&mut self) {
        self.service = service(self.clock.now(), true);
        self.service.look();
        for _ in 0..TURNS_MAX {
            assert!(self.settle().is_empty(), "nobody waits");
            if self.service.is_settled() {
                return;
            }
            let now = self.clock.now();
            let wake = self.service.wake_at(now, wall(now)).expect("something is left to be done");
            done(self.clock.sleep(wake));
        }
        panic!("indexing does not end");
    }

    /// Runs what is due, until nothing is. Returns who is told what.
    fn settle(&mut self) -> Vec<(Ticket, Word)> {
        let mut told = Vec::new();
        loop {
            self.seed += 1;
            let now = self.clock.now();
            let starts = self.service.due(now, wall(now), self.seed);
            if starts.is_empty() {
                return told;
            }
            for (id, start) in starts {
                let output = done(drive(&self.store, &self.clock, start.begin(self.clock.now())));
                told.extend(self.service.finished(self.clock.now(), id, output));
            }
        }
    }

    /// Everything that is in the store.
    fn objects(&self) -> Objects {
        let list = Request::List { prefix: Key::new(""), after: None, limit: u32::MAX };
        let Reply::Listed { objects, .. } = done(self.store.perform(list)) else {
            panic!("a list")
        };
        let read = |key: Key| match done(self.store.perform(Request::get(key.clone()))) {
            Reply::Found { body, .. } => (key, body),
            other => panic!("{key} is listed and {other:?}"),
        };
        objects.into_iter().map(|listed| read(listed.key)).collect()
    }
}

fn service(now: Timestamp, indexes: bool) -> NamespaceService {
    let name = NamespaceName::parse("fuzzed").expect("a good name");
    NamespaceService::new(now, name, Settings { indexes, ..Settings::default() })
}

/// Some day, and what has passed since.
fn wall(now: Timestamp) -> WallTime {
    WallTime(1_700_000_000_000 + now.0)
}

/// The output of a future that never waits for anybody.
fn done<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the store is in memory, and the clock moves on by itself"),
    }
}

/// Sleeps after which indexing a few documents is over.
const TURNS_MAX: usize = 1_000;
