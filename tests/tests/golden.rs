//! The bytes of every format, held: each example here is encoded and compared with the file that is
//! kept. The files are also what the fuzzer starts from.
//!
//! A change of bytes is a change of the format: it needs a new version once there has been a release.
//! To write the files anew: `BLESS=1 cargo test -p sana-tests --test golden`.

use std::fs;

use sana_engine::base::blob::Blob;
use sana_engine::base::id::{
    AttributeId, CommitId, Cursor, Generation, Incarnation, Nonce, Row, Stamp,
};
use sana_engine::base::name::{AttributeName, Key, NamespaceName};
use sana_engine::base::time::WallTime;
use sana_engine::base::value::{
    Document, Element, Float, Half, Id, IdType, Scalar, ScalarType, Sparse, Type, Value, Vector,
    VectorType,
};
use sana_engine::format::head::{Head, Live, State, Trash};
use sana_engine::format::layout::{self, Family, ObjectName, Place};
use sana_engine::format::log::{
    Affected, Batch, IdempotencyRecord, Log, LogEntry, Operation, Payload, WriteOutcome,
};
use sana_engine::format::manifest::{Extent, Manifest, Part, SegmentRef};
use sana_engine::format::schema::{Attribute, Metric, Schema};
use sana_tests::source::root;

/// Compares `bytes` with the file that is kept, or keeps them.
#[track_caller]
fn held(target: &str, name: &str, bytes: &[u8]) {
    let path = root().join("fuzz/corpus").join(target).join(name);
    if option_env!("BLESS").is_some() {
        fs::create_dir_all(path.parent().expect("it has a folder")).expect("it can be made");
        fs::write(&path, bytes).expect("it can be written");
    }
    let kept = fs::read(&path).unwrap_or_default();
    assert_eq!(kept, bytes, "{target}/{name}: these are not the bytes that are kept; see the top");
}

fn name(stamp: u64, nonce: u128) -> ObjectName {
    ObjectName { stamp: Stamp(stamp), nonce: Nonce(nonce) }
}

fn document(id: Id) -> Document {
    let scalars = [
        Scalar::Bool(true),
        Scalar::Int(-1949),
        Scalar::Uint(u64::MAX),
        Scalar::Float(Float::new(1.5).expect("finite")),
        Scalar::String("Wien".into()),
        Scalar::Uuid(0x769c_134d_07b8_4225_954a_b6cc_5ffc_320c),
        Scalar::DateTime(1_700_000_000_000),
    ];
    let arrays = scalars.clone().map(|scalar| Value::Array([scalar.clone(), scalar].into()));
    let mut values: Vec<Value> = scalars.into_iter().map(Value::Scalar).chain(arrays).collect();
    values.push(Value::Array([].into()));
    values.push(Value::Vector(Vector::new(vec![0.25, -1.0]).expect("finite")));
    let half = Half::nearest(-0.5).expect("in range");
    values.push(Value::Sparse(Sparse::new(vec![(7, half), (u32::MAX, half)]).expect("ascending")));
    values.push(Value::Bytes([0, 255, 7].into()));
    let numbered = values.into_iter().enumerate();
    let attributes = numbered.map(|(at, value)| (AttributeId(at as u32), value)).collect();
    Document { id, attributes }
}

fn batch() -> Batch {
    let record = IdempotencyRecord {
        key: "order-7".into(),
        fingerprint: 0xfeed,
        at: WallTime(1_700_000_000_001),
        outcome: WriteOutcome {
            upserted: Some(3),
            patched: None,
            deleted: Some(1),
            logical_bytes: 300,
            remaining: Some(true),
            affected: Some(Affected { upserted: vec![Id::Uint(7)], ..Affected::default() }),
        },
    };
    let ids = [Id::Uint(7), Id::Uuid(1 << 100), Id::String("seven".into())];
    let mut operations: Vec<_> = ids.into_iter().map(|id| Operation::Put(document(id))).collect();
    operations.push(Operation::Delete(Id::Uint(8)));
    Batch { operations, records: vec![record] }
}

fn schema() -> Schema {
    let mut schema = Schema {
        id_type: Some(IdType::Uint),
        metric: Some(Metric::EuclideanSquared),
        ..Schema::default()
    };
    let vectors = Element::ALL.map(|element| Type::Vector(VectorType { dimensions: 2, element }));
    let types = ScalarType::ALL.map(Type::Scalar).into_iter();
    let types = types.chain(ScalarType::ALL.map(Type::Array)).chain(vectors);
    for (at, value_type) in types.chain([Type::Sparse, Type::Bytes]).enumerate() {
        let name = AttributeName::parse(&format!("a{at}")).expect("a good name");
        let metric = Metric::ALL[at % Metric::ALL.len()];
        let metric = matches!(value_type, Type::Vector(_)).then_some(metric);
        let (glob, regex) = (at % 2 == 1, at % 3 == 1);
        let of_type = Attribute::of(AttributeId(at as u32), value_type);
        let attribute = Attribute { glob, regex, metric, ..of_type };
        schema.attributes.insert(name, attribute);
        schema.next_id = AttributeId(at as u32 + 1);
    }
    schema
}

fn live() -> Live {
    let bytes = batch().encode();
    let entry = |cursor: u64, payload| LogEntry {
        cursor: Cursor(cursor),
        commit: CommitId(Nonce(u128::from(cursor))),
        operations: 4,
        bytes: bytes.len() as u32,
        payload,
    };
    let segment = SegmentRef {
        parts: vec![Part { name: name(5, 50), bytes: 4096 }, Part { name: name(5, 51), bytes: 99 }],
        directory: Extent { part: 1, start: 9, bytes: 90, crc: 0xdead_beef },
        base: Row(0),
        end: Row(20),
        rows: 18,
        kills: 3,
        logical_bytes: 1800,
    };
    let manifest = Manifest {
        generation: Generation(2),
        next_row: Row(20),
        segments: vec![segment],
        live_rows: 17,
        logical_bytes: 1800,
    };
    let log = Log {
        committed: Cursor(4),
        indexed: Cursor(2),
        bytes_committed: 1000 + 2 * bytes.len() as u64,
        bytes_indexed: 1000,
        entries: vec![
            entry(3, Payload::Object { name: name(6, 60), start: 0 }),
            entry(4, Payload::Inline(Blob::from(bytes.clone()))),
        ],
    };
    let trash = Trash {
        retired: Stamp(6),
        at: WallTime(1_700_000_000_002),
        names: vec![(Family::Log, name(3, 30)), (Family::Segment, name(2, 31))],
    };
    Live {
        created: Stamp(1),
        created_at: WallTime(1_600_000_000_000),
        written_at: WallTime(1_700_000_000_003),
        schema: schema(),
        read_only: true,
        manifest,
        log,
        recent: (1..=4).map(|n| (Cursor(n), CommitId(Nonce(u128::from(n))))).collect(),
        trash: vec![trash],
    }
}

fn head(state: State) -> Head {
    Head {
        nonce: Nonce(u128::MAX),
        step: Stamp(8),
        floor: Stamp(3),
        incarnation: Incarnation(Nonce(0x5a5a)),
        state,
    }
}

#[test]
fn a_batch_has_the_bytes_that_are_kept() {
    let key = Key::new("k");
    for (name, batch) in [("full", batch()), ("empty", Batch::default())] {
        let bytes = batch.encode();
        held("batch", name, &bytes);
        assert_eq!(Batch::decode(&key, &Blob::from(bytes)), Ok(batch));
    }
}

#[test]
fn a_head_has_the_bytes_that_are_kept() {
    let key = Key::new("k");
    let empty = Live::new(Stamp(1), WallTime(0));
    let heads = [
        ("live", head(State::Live(Box::new(live())))),
        ("empty", head(State::Live(Box::new(empty)))),
        ("tombstone", head(State::Tombstone)),
    ];
    for (name, head) in heads {
        let bytes = head.encode();
        held("head", name, &bytes);
        held("frame", name, &bytes);
        assert_eq!(Head::decode(&key, &Blob::from(bytes)), Ok(head));
    }
}

#[test]
fn keys_are_spelled_as_they_are_kept() {
    for (file, namespace) in [("dots", ".."), ("plain", "films")] {
        let namespace = NamespaceName::parse(namespace).expect("a good name");
        let head = layout::head(&namespace);
        held("key", &format!("{file}-head"), head.as_str().as_bytes());
        let place = Place { namespace, incarnation: Incarnation(Nonce(0xabc)) };
        let log = place.object(Family::Log, name(1, 2));
        let segment = place.object(Family::Segment, name(3, 4));
        held("key", &format!("{file}-log"), log.as_str().as_bytes());
        held("key", &format!("{file}-segment"), segment.as_str().as_bytes());
    }
}
