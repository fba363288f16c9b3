//! The explorations there are.

use std::sync::Arc;

use sana_engine::base::limits;
use sana_engine::base::name::{AttributeName, NamespaceName};
use sana_engine::base::value::{IdType, Raw};
use sana_engine::namespace::request::{
    AttributeRequest, ByFilter, Consistency, Create, Idempotency, Include, Operator, Predicate,
    QueryRequest, Rank, RawDocument, Want, WriteRequest,
};

use crate::arena::{Arena, Mishaps, Setup};
use crate::deed::Deed;
use crate::marks::Mark;
use crate::model::values;
use crate::store::{Store, Tags};

/// The names of all explorations.
pub const NAMES: [&str; 12] = [
    "flush",
    "merge",
    "collect",
    "retry",
    "keys",
    "group",
    "condition",
    "drop",
    "commit",
    "delete",
    "rebirth",
    "spill",
];

/// The exploration of this name. `small` ones are for tests: they take seconds.
pub fn named(name: &str, small: bool) -> Option<Setup> {
    let setup = match name {
        "commit" => commit(small),
        "retry" => retry(small),
        "flush" => flush(small),
        "delete" => delete(small),
        "merge" => merge(small),
        "collect" => collect(small),
        "keys" => keys(small),
        "group" => group(small),
        "condition" => condition(small),
        "drop" => drop(small),
        "rebirth" => rebirth(small),
        "spill" => spill(small),
        _ => return None,
    };
    Some(setup)
}

impl Setup {
    /// The world it begins with.
    pub fn begin(self) -> Arena {
        Arena::new(self, Store::new(Tags::Digested))
    }
}

/// Two writers of two commits each that meet at one document, a flusher, a reader.
fn commit(small: bool) -> Setup {
    let mishaps = if small {
        Mishaps { losses: 1, throttles: 0, crashes: 0 }
    } else {
        Mishaps { losses: 1, throttles: 0, crashes: 1 }
    };
    let second =
        if small { vec![put(1, 20, None)] } else { vec![put(1, 20, None), put(2, 21, None)] };
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
        ..base("commit", mishaps)
    }
}

/// Clients that ask again under their keys when they do not know, while others write and flush.
fn retry(small: bool) -> Setup {
    let mishaps = Mishaps { losses: u8::from(!small), throttles: 0, crashes: 1 };
    let flushes = if small { 1 } else { 2 };
    Setup {
        scripts: vec![
            vec![put(1, 10, Some("a")), put(1, 11, Some("b"))],
            vec![put(1, 20, None)],
            vec![Deed::Flush; flushes],
        ],
        sometimes: vec![Mark::DecidedAgain, Mark::LandedAfterCrash, Mark::Indexed],
        ..base("retry", mishaps)
    }
}

/// Keys that come again after a flush and a merge, with the same request and with another.
fn keys(small: bool) -> Setup {
    let mishaps = Mishaps { losses: u8::from(!small), throttles: 0, crashes: u8::from(!small) };
    Setup {
        scripts: vec![
            vec![put(1, 10, Some("a")), put(1, 11, None), put(1, 10, Some("a"))],
            vec![patch(1, 12, Some("a"))],
            vec![Deed::Flush, Deed::Flush, Deed::Merge],
        ],
        sometimes: vec![Mark::DecidedAgain, Mark::Indexed, Mark::Merged, Mark::Rebased],
        ..base("keys", mishaps)
    }
}

/// Commits of several requests, which build on one another and of which one is refused.
fn group(small: bool) -> Setup {
    let mishaps = Mishaps { losses: 1, throttles: 1, crashes: u8::from(!small) };
    let requests = [put(1, 10, Some("a")), patch(1, 11, None), patch(2, 12, Some("a"))];
    Setup {
        scripts: vec![
            vec![together(&requests)],
            vec![together(&[put(1, 20, None), remove(1), put(2, 21, None)])],
            vec![Deed::Flush],
            vec![look()],
        ],
        sometimes: vec![Mark::DecidedAgain, Mark::FoundItself, Mark::OverlaySeen, Mark::Indexed],
        ..base("group", mishaps)
    }
}

/// Writers who each change a document only if it is as another leaves it, and all that are.
fn condition(small: bool) -> Setup {
    let mishaps = Mishaps { losses: 1, throttles: 0, crashes: u8::from(!small) };
    Setup {
        scripts: vec![
            vec![put(1, 10, None), put_over(1, 20, 10)],
            vec![put_over(1, 30, 10), remove_over(1, 20)],
            vec![patch_all_over(40, 10)],
            vec![Deed::Flush],
        ],
        sometimes: vec![Mark::DecidedAgain, Mark::FoundItself, Mark::Rebased, Mark::IndexedAndLog],
        ..base("condition", mishaps)
    }
}

/// An attribute is dropped and its name given to another, between writers who look at it. One of them
/// locks the namespace and unlocks it.
fn drop(small: bool) -> Setup {
    let mishaps = Mishaps { losses: 1, throttles: 0, crashes: 0 };
    let mut scripts = vec![
        vec![put(1, 10, None), drop_and_declare_n()],
        vec![patch_all_over(40, 10)],
        vec![Deed::Flush],
    ];
    if !small {
        scripts.push(vec![lock(true), lock(false)]);
    }
    Setup {
        scripts,
        sometimes: vec![Mark::DecidedAgain, Mark::FoundItself, Mark::Rebased, Mark::IndexedAndLog],
        ..base("drop", mishaps)
    }
}

/// Two flushers, a merger and a writer of deletions: publications that contradict each other.
fn flush(small: bool) -> Setup {
    let mishaps = Mishaps { losses: u8::from(!small), throttles: 0, crashes: u8::from(!small) };
    let mut scripts = vec![
        vec![put(1, 10, None), remove(1)],
        vec![Deed::Flush, Deed::Flush],
        vec![Deed::Flush, Deed::Merge],
    ];
    if !small {
        scripts.push(vec![look()]);
    }
    Setup {
        scripts,
        sometimes: vec![Mark::Superseded, Mark::Rebased, Mark::Merged, Mark::Trash],
        ..base("flush", mishaps)
    }
}

/// A namespace is deleted and created again while writes to its first life are adrift.
fn delete(small: bool) -> Setup {
    let mishaps = Mishaps { losses: 1, throttles: 0, crashes: u8::from(!small) };
    Setup {
        scripts: vec![
            vec![put(1, 10, Some("a")), put(1, 11, None)],
            vec![Deed::Remove, put(2, 20, None)],
            vec![Deed::Remove],
            vec![look()],
        ],
        sometimes: vec![Mark::Tombstone, Mark::Reborn, Mark::LandedLate, Mark::Unknown],
        ..base("delete", mishaps)
    }
}

/// Flushers and a sweeper of one life of a namespace are still at work in the next.
fn rebirth(small: bool) -> Setup {
    let mishaps = Mishaps { losses: u8::from(!small), throttles: 0, crashes: 0 };
    Setup {
        scripts: vec![
            vec![put(1, 10, None), patch(1, 11, None)],
            vec![Deed::Remove, put(2, 20, None)],
            vec![Deed::Flush; if small { 2 } else { 1 }],
            vec![Deed::Flush, Deed::Sweep],
        ],
        sometimes: vec![
            Mark::Reborn,
            Mark::Indexed,
            Mark::Superseded,
            Mark::FloorRaised,
            Mark::Swept,
        ],
        ..base("rebirth", mishaps)
    }
}

/// Merges of the newest segments, which kill rows in older ones, by two mergers.
fn merge(small: bool) -> Setup {
    let mishaps = Mishaps { losses: u8::from(!small), throttles: 0, crashes: 0 };
    Setup {
        scripts: vec![
            vec![put(1, 10, None), put(1, 11, None), put(2, 12, None)],
            vec![Deed::Flush, Deed::Flush, Deed::Flush, Deed::Merge],
            vec![Deed::Merge],
            vec![look()],
        ],
        sometimes: vec![Mark::Merged, Mark::Superseded, Mark::Rebased],
        ..base("merge", mishaps)
    }
}

/// Collectors and sweepers beside writers, flushers and mergers.
fn collect(small: bool) -> Setup {
    let mishaps = Mishaps { losses: u8::from(!small), throttles: 0, crashes: u8::from(!small) };
    let mut scripts = vec![
        vec![put(1, 10, None), put(1, 11, None)],
        vec![Deed::Flush, Deed::Flush, Deed::Merge],
        vec![Deed::Collect, Deed::Sweep],
    ];
    if !small {
        scripts.push(vec![look()]);
    }
    Setup {
        scripts,
        sometimes: vec![Mark::Trash, Mark::FloorRaised, Mark::Collected],
        ..base("collect", mishaps)
    }
}

/// Batches so large that they are spilled to objects, beside a sweeper.
fn spill(small: bool) -> Setup {
    let mishaps = Mishaps { losses: 1, throttles: 0, crashes: u8::from(!small) };
    let large = limits::SPILL_BYTES_MIN + 1_000;
    // With a crash there are so many worlds of so large objects that the first commit is left out.
    let first = if small { vec![put(1, 10, None)] } else { Vec::new() };
    Setup {
        scripts: vec![
            [first, vec![put_large(1, 11, large), put_large(1, 12, large)]].concat(),
            vec![put(1, 20, None)],
            vec![Deed::Sweep],
        ],
        sometimes: vec![Mark::Spilled, Mark::DecidedAgain, Mark::Swept],
        ..base("spill", mishaps)
    }
}

fn base(name: &'static str, mishaps: Mishaps) -> Setup {
    let namespace = NamespaceName::parse("ns").expect("letters");
    Setup { name, namespace, scripts: Vec::new(), mishaps, sometimes: Vec::new() }
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
