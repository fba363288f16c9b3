//! The explorations there are.

use std::sync::Arc;

use sana_engine::base::limits;
use sana_engine::base::name::{AttributeName, NamespaceName};
use sana_engine::base::value::{IdType, Raw};
use sana_engine::namespace::request::{
    AttributeRequest, ByFilter, Consistency, Create, Idempotency, Include, Operator, Predicate,
    QueryRequest, Rank, RawDocument, Want, WriteRequest,
};

use crate::arena::{Arena, LeavesOut, Mishaps, Setup};
use crate::deed::Deed;
use crate::marks::Mark;
use crate::model::values;
use crate::store::{Store, Tags};

/// The names of all explorations.
pub const NAMES: [&str; 15] = [
    "flush",
    "merge",
    "collect",
    "retry",
    "keys",
    "group",
    "condition",
    "drop",
    "lock",
    "commit",
    "delete",
    "rebirth",
    "spill",
    "race",
    "three",
];

/// How far an exploration goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reach {
    /// A few seconds at most.
    Small,
    /// All of them together take minutes, so that they can be run before each change.
    Full,
    /// As far as a night goes.
    Nightly,
}

impl Reach {
    /// What stands behind the name of an exploration of this reach.
    pub const fn flag(self) -> &'static str {
        match self {
            Self::Small => " --small",
            Self::Full => "",
            Self::Nightly => " --nightly",
        }
    }

    /// What goes wrong at most in an exploration of this reach: losses, refusals to serve and crashes,
    /// small, full and by night.
    fn of(self, [small, full, nightly]: [[u8; 3]; 3]) -> Mishaps {
        let [losses, throttles, crashes] = match self {
            Self::Small => small,
            Self::Full => full,
            Self::Nightly => nightly,
        };
        Mishaps { losses, throttles, crashes }
    }
}

/// The exploration of this name and reach.
pub fn named(name: &str, reach: Reach) -> Option<Setup> {
    let setup = match name {
        "commit" => commit(reach),
        "retry" => retry(reach),
        "flush" => flush(reach),
        "delete" => delete(reach),
        "merge" => merge(reach),
        "collect" => collect(reach),
        "keys" => keys(reach),
        "group" => group(reach),
        "condition" => condition(reach),
        "drop" => drop(reach),
        "lock" => lock_out(reach),
        "rebirth" => rebirth(reach),
        "spill" => spill(reach),
        "race" => race(reach),
        "three" => three(reach),
        _ => return None,
    };
    Some(setup)
}

impl Setup {
    /// The world it begins with.
    pub fn begin(self) -> Arena {
        Arena::new(self, &Store::new(Tags::Digested))
    }
}

/// Two writers of two commits each that meet at one document, a flusher, a reader.
fn commit(reach: Reach) -> Setup {
    let mut second = vec![put(1, 20, None)];
    if reach > Reach::Small {
        second.push(put(2, 21, None));
    }
    Setup {
        scripts: vec![
            vec![put(1, 10, None), patch(1, 11, None)],
            second,
            vec![Deed::Flush],
            vec![look()],
        ],
        sometimes: vec![
            Mark::FoundItself,
            Mark::DecidedAgain,
            Mark::Rebased,
            Mark::LandedLate,
            Mark::Indexed,
            Mark::IndexedAndLog,
            Mark::OverlaySeen,
            Mark::SurvivedLoss,
        ],
        ..base("commit", reach.of([[1, 0, 0], [1, 0, 1], [2, 0, 2]]))
    }
}

/// Two writers who are alike and meet at one document, a flusher or two who are alike, a reader.
fn race(reach: Reach) -> Setup {
    let writer = |n| vec![put(1, n, None), patch(1, n + 1, None)];
    let mut scripts = vec![writer(10), writer(20), vec![Deed::Flush]];
    let mut alike = vec![vec![0, 1]];
    if reach == Reach::Nightly {
        scripts.push(vec![Deed::Flush]);
        alike.push(vec![2, 3]);
    }
    scripts.push(vec![look()]);
    Setup {
        scripts,
        alike,
        sometimes: vec![Mark::FoundItself, Mark::DecidedAgain, Mark::Rebased, Mark::IndexedAndLog],
        ..base("race", reach.of([[1, 0, 0], [1, 0, 1], [1, 0, 1]]))
    }
}

/// Three writers who are alike and meet at one document, and a flusher.
fn three(reach: Reach) -> Setup {
    let mut scripts: Vec<_> = [10, 20, 30].into_iter().map(|n| vec![put(1, n, None)]).collect();
    scripts.push(vec![Deed::Flush]);
    if reach == Reach::Nightly {
        scripts.push(vec![look()]);
    }
    Setup {
        scripts,
        alike: vec![vec![0, 1, 2]],
        sometimes: vec![Mark::FoundItself, Mark::DecidedAgain, Mark::Rebased, Mark::IndexedAndLog],
        ..base("three", reach.of([[1, 0, 0], [2, 0, 1], [2, 0, 2]]))
    }
}

/// Clients that ask again under their keys when they do not know, while others write and flush.
fn retry(reach: Reach) -> Setup {
    let flushes = if reach == Reach::Small { 1 } else { 2 };
    Setup {
        scripts: vec![
            vec![put(1, 10, Some("a")), put(1, 11, Some("b"))],
            vec![put(1, 20, None)],
            vec![Deed::Flush; flushes],
        ],
        sometimes: vec![Mark::DecidedAgain, Mark::LandedAfterCrash, Mark::Indexed],
        ..base("retry", reach.of([[0, 0, 1], [2, 0, 1], [2, 0, 2]]))
    }
}

/// Keys that come again after a flush and a merge, with the same request and with another.
fn keys(reach: Reach) -> Setup {
    Setup {
        scripts: vec![
            vec![put(1, 10, Some("a")), put(1, 11, None), put(1, 10, Some("a"))],
            vec![patch(1, 12, Some("a"))],
            vec![Deed::Flush, Deed::Flush, Deed::Merge],
        ],
        sometimes: vec![Mark::DecidedAgain, Mark::Indexed, Mark::Merged, Mark::Rebased],
        ..base("keys", reach.of([[0, 0, 0], [2, 0, 1], [3, 0, 2]]))
    }
}

/// Commits of several requests, which build on one another and of which one is refused.
fn group(reach: Reach) -> Setup {
    let requests = [put(1, 10, Some("a")), patch(1, 11, None), patch(2, 12, Some("a"))];
    Setup {
        scripts: vec![
            vec![together(&requests)],
            vec![together(&[put(1, 20, None), remove(1), put(2, 21, None)])],
            vec![Deed::Flush],
            vec![look()],
        ],
        sometimes: vec![Mark::DecidedAgain, Mark::FoundItself, Mark::OverlaySeen, Mark::Indexed],
        ..base("group", reach.of([[1, 1, 0], [2, 1, 1], [2, 2, 2]]))
    }
}

/// Writers who each change a document only if it is as another leaves it, and all that are.
fn condition(reach: Reach) -> Setup {
    Setup {
        scripts: vec![
            vec![put(1, 10, None), put_over(1, 20, 10)],
            vec![put_over(1, 30, 10), remove_over(1, 20)],
            vec![patch_all_over(40, 10)],
            vec![Deed::Flush],
        ],
        sometimes: vec![Mark::DecidedAgain, Mark::FoundItself, Mark::Rebased, Mark::IndexedAndLog],
        ..base("condition", reach.of([[1, 0, 0], [2, 0, 1], [2, 0, 2]]))
    }
}

/// An attribute is dropped and its name given to another, between writers who look at it. One of them
/// locks the namespace and unlocks it.
fn drop(reach: Reach) -> Setup {
    let mut scripts = vec![
        vec![put(1, 10, None), drop_and_declare_n()],
        vec![patch_all_over(40, 10)],
        vec![Deed::Flush],
    ];
    if reach > Reach::Small {
        scripts.push(vec![lock(true), lock(false)]);
    }
    Setup {
        scripts,
        sometimes: vec![Mark::DecidedAgain, Mark::FoundItself, Mark::Rebased, Mark::IndexedAndLog],
        ..base("drop", reach.of([[1, 0, 0], [1, 0, 1], [2, 0, 1]]))
    }
}

/// A client asks again under its key while another locks the namespace and unlocks it.
fn lock_out(reach: Reach) -> Setup {
    let mut scripts = vec![
        vec![put(1, 10, Some("a")), put(1, 10, Some("a"))],
        vec![lock(true), lock(false)],
        vec![Deed::Flush],
    ];
    if reach > Reach::Small {
        scripts.push(vec![look()]);
    }
    Setup {
        scripts,
        sometimes: vec![Mark::DecidedAgain, Mark::FoundItself, Mark::Rebased, Mark::Indexed],
        ..base("lock", reach.of([[1, 0, 0], [1, 0, 1], [2, 0, 1]]))
    }
}

/// Two flushers, a merger and a writer of deletions: publications that contradict each other.
fn flush(reach: Reach) -> Setup {
    let mut scripts = vec![
        vec![put(1, 10, None), remove(1)],
        vec![Deed::Flush, Deed::Flush],
        vec![Deed::Flush, Deed::Merge],
    ];
    if reach > Reach::Small {
        scripts.push(vec![look()]);
    }
    Setup {
        scripts,
        sometimes: vec![Mark::Superseded, Mark::Rebased, Mark::Merged, Mark::Trash],
        ..base("flush", reach.of([[0, 0, 0], [2, 0, 1], [3, 0, 2]]))
    }
}

/// A namespace is deleted and created again while writes to its first life are adrift.
fn delete(reach: Reach) -> Setup {
    Setup {
        scripts: vec![
            vec![put(1, 10, Some("a")), put(1, 11, None)],
            vec![Deed::Remove, put(2, 20, None)],
            vec![Deed::Remove],
            vec![look()],
        ],
        sometimes: vec![Mark::Tombstone, Mark::Reborn, Mark::LandedLate, Mark::Unknown],
        ..base("delete", reach.of([[1, 0, 0], [2, 0, 1], [3, 0, 2]]))
    }
}

/// Flushers and a sweeper of one life of a namespace are still at work in the next.
fn rebirth(reach: Reach) -> Setup {
    Setup {
        scripts: vec![
            vec![put(1, 10, None), patch(1, 11, None)],
            vec![Deed::Remove, put(2, 20, None)],
            vec![Deed::Flush; if reach == Reach::Small { 2 } else { 1 }],
            vec![Deed::Flush, Deed::Sweep],
        ],
        sometimes: vec![
            Mark::Reborn,
            Mark::Indexed,
            Mark::Superseded,
            Mark::FloorRaised,
            Mark::Swept,
        ],
        ..base("rebirth", reach.of([[0, 0, 0], [1, 0, 0], [1, 0, 1]]))
    }
}

/// Merges of the newest segments, which kill rows in older ones, by two mergers.
fn merge(reach: Reach) -> Setup {
    Setup {
        scripts: vec![
            vec![put(1, 10, None), put(1, 11, None), put(2, 12, None)],
            vec![Deed::Flush, Deed::Flush, Deed::Flush, Deed::Merge],
            vec![Deed::Merge],
            vec![look()],
        ],
        sometimes: vec![Mark::Merged, Mark::Superseded, Mark::Rebased],
        ..base("merge", reach.of([[0, 0, 0], [1, 0, 1], [2, 0, 1]]))
    }
}

/// Collectors and sweepers beside writers, flushers and mergers.
fn collect(reach: Reach) -> Setup {
    let mut scripts = vec![
        vec![put(1, 10, None), put(1, 11, None)],
        vec![Deed::Flush, Deed::Flush, Deed::Merge],
        vec![Deed::Collect, Deed::Sweep],
    ];
    if reach > Reach::Small {
        scripts.push(vec![look()]);
    }
    Setup {
        scripts,
        sometimes: vec![Mark::Trash, Mark::FloorRaised, Mark::Collected],
        ..base("collect", reach.of([[0, 0, 0], [1, 0, 1], [2, 0, 1]]))
    }
}

/// Batches so large that they are spilled to objects, beside a sweeper.
fn spill(reach: Reach) -> Setup {
    let large = limits::SPILL_BYTES_MIN + 1_000;
    Setup {
        scripts: vec![
            vec![put(1, 10, None), put_large(1, 11, large), put_large(1, 12, large)],
            vec![put(1, 20, None)],
            vec![Deed::Sweep],
        ],
        sometimes: vec![Mark::Spilled, Mark::DecidedAgain, Mark::Swept],
        ..base("spill", reach.of([[1, 0, 0], [1, 0, 1], [2, 0, 1]]))
    }
}

fn base(name: &'static str, mishaps: Mishaps) -> Setup {
    let namespace = NamespaceName::parse("ns").expect("letters");
    let (scripts, alike, sometimes) = (Vec::new(), Vec::new(), Vec::new());
    let leaves_out = LeavesOut::ALL;
    Setup { name, namespace, scripts, alike, leaves_out, mishaps, sometimes }
}

fn document(id: i128, n: i128) -> RawDocument {
    RawDocument { id: Raw::Integer(id), attributes: vec![(name("n"), Raw::Integer(n))] }
}

fn write(request: WriteRequest) -> Deed {
    Deed::Write(Arc::from(vec![WriteRequest { id_type: Some(IdType::Uint), ..request }]))
}

/// Puts a document, if there is none or its `n` is `before`.
fn put_over(id: i128, n: i128, before: i128) -> Deed {
    let upserts = Some(vec![document(id, n)]);
    write(WriteRequest { upserts, upsert_condition: Some(n_is(before)), ..WriteRequest::default() })
}

/// Removes a document, if its `n` is `before`.
fn remove_over(id: i128, before: i128) -> Deed {
    let deletes = Some(vec![Raw::Integer(id)]);
    let delete_condition = Some(n_is(before));
    write(WriteRequest { deletes, delete_condition, ..WriteRequest::default() })
}

/// Changes every document whose `n` is `before`.
fn patch_all_over(n: i128, before: i128) -> Deed {
    let by_filter = ByFilter { filter: n_is(before), allows_partial: false };
    let patch_by_filter = Some((by_filter, vec![(name("n"), Raw::Integer(n))]));
    write(WriteRequest { patch_by_filter, create: Create::Never, ..WriteRequest::default() })
}

/// Drops `n`, and declares another of its name.
fn drop_and_declare_n() -> Deed {
    let schema = schema().into_iter().filter(|(name, _)| name.as_str() == "n").collect();
    write(WriteRequest { drops: vec![name("n")], schema, ..WriteRequest::default() })
}

fn lock(read_only: bool) -> Deed {
    let request = WriteRequest { read_only: Some(read_only), ..WriteRequest::default() };
    Deed::Write(Arc::from(vec![request]))
}

fn n_is(n: i128) -> Predicate {
    let (attribute, operand) = ("n".to_owned(), Raw::Integer(n));
    Predicate::Compare { attribute, operator: Operator::Eq, operand }
}

/// One commit of what these deeds would write.
fn together(deeds: &[Deed]) -> Deed {
    let requests = deeds.iter().flat_map(|deed| match deed {
        Deed::Write(requests) => requests.to_vec(),
        other => unreachable!("{other:?} writes nothing"),
    });
    Deed::Write(requests.collect())
}

fn put(id: i128, n: i128, key: Option<&str>) -> Deed {
    let idempotency = key.map(|key| Idempotency { key: key.into(), fingerprint: 1 });
    let upserts = Some(vec![document(id, n)]);
    write(WriteRequest { upserts, idempotency, ..WriteRequest::default() })
}

fn patch(id: i128, n: i128, key: Option<&str>) -> Deed {
    let idempotency = key.map(|key| Idempotency { key: key.into(), fingerprint: 2 });
    let patches = Some(vec![document(id, n)]);
    write(WriteRequest { patches, idempotency, create: Create::Never, ..WriteRequest::default() })
}

fn remove(id: i128) -> Deed {
    write(WriteRequest { deletes: Some(vec![Raw::Integer(id)]), ..WriteRequest::default() })
}

fn put_large(id: i128, n: i128, bytes: usize) -> Deed {
    let mut document = document(id, n);
    document.attributes.push((name("body"), Raw::Text("x".repeat(bytes).into())));
    let schema = schema().into_iter().filter(|(name, _)| name.as_str() == "body").collect();
    write(WriteRequest { upserts: Some(vec![document]), schema, ..WriteRequest::default() })
}

fn look() -> Deed {
    let want = Want::rows(Rank::By(Vec::new()), 10, Include::All);
    let consistency = Consistency::Strong;
    Deed::Query(Arc::new(QueryRequest { filter: None, want, consistency }))
}

/// Every attribute of the scripts, said with every write: so each life of a namespace has them all.
fn schema() -> Vec<(AttributeName, AttributeRequest)> {
    let attribute = |n| {
        // A long text may not be filtered by.
        let filterable = (n == "body").then_some(false);
        let value_type = values::type_of(n).expect("it is known");
        (name(n), AttributeRequest { filterable, ..AttributeRequest::of(value_type) })
    };
    ["body", "n", "tags", "text", "v"].into_iter().map(attribute).collect()
}

fn name(name: &str) -> AttributeName {
    AttributeName::parse(name).expect("the names of the scripts are good")
}
