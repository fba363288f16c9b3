//! The bytes of segments, held: a flush's, whose rows leave no gap, and a merge's, whose rows do. As in
//! `golden.rs`, a change of bytes is a change of the format, and `BLESS=1 cargo test -p sana-tests --test
//! golden_segment` writes the files anew.

use std::fs;

use sana_engine::base::blob::Blob;
use sana_engine::base::id::{AttributeId, Incarnation, Nonce, Row, Stamp};
use sana_engine::base::name::NamespaceName;
use sana_engine::base::time::WallTime;
use sana_engine::base::value::{
    Element, Float, Half, Id, Scalar, ScalarType, Sparse, Type, Value, Vector, VectorType,
};
use sana_engine::format::columns::ColumnPage;
use sana_engine::format::idempotency::RecordBlock;
use sana_engine::format::ids::IdBlock;
use sana_engine::format::layout::{ObjectName, Place};
use sana_engine::format::log::{IdempotencyRecord, WriteOutcome};
use sana_engine::format::manifest::{Extent, SegmentRef};
use sana_engine::format::rows::RowSet;
use sana_engine::format::segment::writer::Bounds;
use sana_engine::format::segment::{Directory, SegmentWriter};
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

fn place() -> Place {
    let namespace = NamespaceName::parse("films").expect("a good name");
    Place { namespace, incarnation: Incarnation(Nonce(1)) }
}

/// Every type, each as one column.
fn columns() -> Vec<Type> {
    let scalars = ScalarType::ALL.map(Type::Scalar).into_iter();
    let vectors = Element::ALL.map(|element| Type::Vector(VectorType { dimensions: 2, element }));
    let all = scalars.chain(ScalarType::ALL.map(Type::Array)).chain(vectors);
    all.chain([Type::Sparse, Type::Bytes]).collect()
}

/// A value of a type that follows from `n`; null now and then.
fn value(value_type: Type, n: u64) -> Option<Value> {
    let scalar = |t, n: u64| match t {
        ScalarType::Bool => Scalar::Bool(n % 2 == 1),
        ScalarType::Int => Scalar::Int(n.cast_signed() * 1000 - 2000),
        ScalarType::Uint => Scalar::Uint(n << 40),
        ScalarType::Float => Scalar::Float(Float::new(n as f64 / 4.0).expect("finite")),
        ScalarType::String => Scalar::String(["noir", "zither", "noir"][n as usize % 3].into()),
        ScalarType::Uuid => Scalar::Uuid(u128::from(n) << 100 | 7),
        ScalarType::DateTime => Scalar::DateTime(1_700_000_000_000 + n.cast_signed()),
    };
    let value = match value_type {
        Type::Scalar(t) => Value::Scalar(scalar(t, n)),
        Type::Array(t) => Value::Array((0..n % 3).map(|n| scalar(t, n)).collect()),
        Type::Vector(VectorType { element, .. }) => {
            let held = [n as f32, 0.5].map(|x| element.hold(x).unwrap_or(3.0));
            Value::Vector(Vector::new(held.to_vec()).expect("finite"))
        }
        Type::Sparse => {
            let weight = |x| Half::nearest(x).expect("in range");
            let weights = vec![(n as u32, weight(0.5)), (1 << 30, weight(n as f32))];
            Value::Sparse(Sparse::new(weights).expect("ascending"))
        }
        Type::Bytes => Value::Bytes(vec![n as u8; n as usize].into()),
    };
    (n % 4 != 3).then_some(value)
}

fn record() -> IdempotencyRecord {
    let (key, fingerprint, at) = ("order-7".to_owned(), 0xfeed, WallTime(1_700_000_000_001));
    IdempotencyRecord { key, fingerprint, at, outcome: WriteOutcome::default() }
}

/// A type, and the value that each row has of it.
type Values = (Type, Vec<Option<Value>>);

/// Every type, with a value now and then.
fn ordinary(rows: &[u64]) -> Vec<Values> {
    let values = |value_type| rows.iter().map(|row| value(value_type, *row)).collect();
    columns().into_iter().map(|value_type| (value_type, values(value_type))).collect()
}

/// What is laid out in another way: values without a gap, none at all, numbers that need all bits of
/// a word, and text that is compressed.
fn extreme() -> Vec<Values> {
    let scalars = |all: [Scalar; 3]| all.map(|scalar| Some(Value::Scalar(scalar))).to_vec();
    let text = |word: &str| Scalar::String(word.repeat(300).into());
    let float = |x| Scalar::Float(Float::new(x).expect("finite"));
    let arrays = [0, 5, 300].map(|count| {
        let all = (0..count).map(|n: i64| Scalar::Int(if n % 2 == 0 { i64::MIN } else { n }));
        Some(Value::Array(all.collect()))
    });
    let scalar = Type::Scalar;
    vec![
        (scalar(ScalarType::Bool), vec![None; 3]),
        (scalar(ScalarType::Int), scalars([i64::MIN, 0, i64::MAX].map(Scalar::Int))),
        (scalar(ScalarType::Uint), scalars([0, 1 << 57, u64::MAX].map(Scalar::Uint))),
        (
            scalar(ScalarType::Float),
            scalars([f64::MIN, f64::MIN_POSITIVE / 2.0, f64::MAX].map(float)),
        ),
        (scalar(ScalarType::String), scalars(["noir ", "zither ", "é"].map(text))),
        (Type::Array(ScalarType::Int), arrays.to_vec()),
    ]
}

/// A segment of these rows, in one part.
fn segment(rows: &[u64], id: fn(u64) -> Id, columns: &[Values]) -> (SegmentRef, Blob) {
    let (base, end) = (Row(rows[0]), Row(rows[rows.len() - 1] + 1));
    let bounds = Bounds { base, end, rows_max: rows.len() as u64, records_max: 1 };
    let mut writer = SegmentWriter::begin(bounds, id(0).id_type());
    for (at, (value_type, values)) in columns.iter().enumerate() {
        writer.column(AttributeId(at as u32), *value_type);
        values.iter().for_each(|value| writer.value(value.as_ref()));
    }
    for row in rows {
        writer.document(Row(*row), &id(*row));
    }
    let mut ids: Vec<_> = rows.iter().map(|row| id(*row)).zip(0..).collect();
    ids.sort();
    for (id, position) in ids {
        writer.id(&id, position);
    }
    writer.record(&record());
    let mut kills = RowSet::default();
    kills.insert(Row(2));
    kills.insert(Row(1 << 33));
    let (parts, draft) = writer.finish(&kills);
    let name = ObjectName { stamp: Stamp(3), nonce: Nonce(4) };
    let (segment, _) = draft.named(&place(), &[name]);
    (segment, parts[0].clone())
}

/// A page behind the byte that tells the fuzzer of what type it is.
fn chosen(value_type: Type, page: &Blob) -> Vec<u8> {
    let place = |t| ScalarType::ALL.iter().position(|scalar| *scalar == t).expect("it is one");
    let choice = match value_type {
        Type::Scalar(t) => 4 * place(t),
        Type::Array(t) => 4 * place(t) + 1,
        Type::Vector(VectorType { dimensions, element }) => {
            let kind = Element::ALL.iter().position(|other| *other == element);
            // The fuzzer tells both from one number: how many dozens, and what is left over.
            12 * dimensions as usize + 4 * kind.expect("it is one") + 2
        }
        Type::Sparse => 3,
        Type::Bytes => 7,
    };
    [&[choice as u8], page.as_slice()].concat()
}

/// Makes a segment, holds each stretch of it and reads everything back.
fn check(name: &str, rows: &[u64], id: fn(u64) -> Id, columns: &[Values]) {
    let (segment, part) = &segment(rows, id, columns);
    let read = |extent: &Extent| {
        let bytes = part.slice(extent.start as usize, extent.end() as usize);
        (segment.key(&place(), extent), bytes.expect("it lies in the part"))
    };
    let (key, bytes) = read(&segment.directory);
    let directory = Directory::decode(segment, &key, &bytes).expect("it is whole");
    held("directory", name, bytes.as_slice());
    assert!(directory.row_numbers().eq(rows.iter().map(|row| Row(*row))));
    assert_eq!(directory.kills().iter().collect::<Vec<_>>(), [Row(2), Row(1 << 33)]);
    for (attribute, column) in directory.columns() {
        let page = &column.pages()[0];
        let (key, bytes) = read(&page.extent);
        let opened = ColumnPage::open(column.value_type(), page, &key, &bytes).expect("whole");
        let (value_type, values) = &columns[attribute.0 as usize];
        // The pages of attributes do not depend on ids: those beside one kind are enough.
        if name.ends_with("numbers") {
            held("page", &format!("{name}-{}", attribute.0), &chosen(*value_type, &bytes));
        }
        for (at, value) in values.iter().enumerate() {
            assert_eq!(opened.value(at), *value, "{attribute:?} of row {}", rows[at]);
        }
    }
    let page = &directory.ids().pages()[0];
    let (key, bytes) = read(&page.extent);
    let opened = ColumnPage::open(directory.ids().value_type(), page, &key, &bytes);
    held("page", &format!("{name}-id"), &chosen(directory.ids().value_type(), &bytes));
    assert_eq!(opened.expect("whole").rows(), rows.len());
    let block = &directory.id_blocks()[0];
    let (key, bytes) = read(&block.extent);
    held("block", &format!("{name}-ids"), bytes.as_slice());
    let ids = IdBlock::open(block, &key, &bytes).expect("it is whole");
    for (row, position) in rows.iter().zip(0..) {
        assert!(directory.may_contain(&id(*row)));
        assert_eq!(ids.find(&id(*row)), Some(position));
    }
    let block = directory.record_block("order-7").expect("it is here");
    let (key, bytes) = read(&block.extent);
    held("block", &format!("{name}-records"), bytes.as_slice());
    let records = RecordBlock::open(block, &key, &bytes).expect("it is whole");
    assert_eq!(records.find("order-7"), Some(record()));
}

#[test]
fn segments_have_the_bytes_that_are_kept() {
    let text: fn(u64) -> Id = |n| Id::String(format!("film {}", n * 7 % 11).into());
    let number: fn(u64) -> Id = |n| Id::Uint(n * 7 % 11);
    let uuid: fn(u64) -> Id = |n| Id::Uuid(u128::from(n * 7 % 11) << 90);
    let kinds = [("numbers", number), ("uuids", uuid), ("texts", text)];
    for (rows_name, rows) in [("dense", vec![10, 11, 12, 13, 14]), ("gaps", vec![10, 13, 19])] {
        for (name, id) in kinds {
            check(&format!("{rows_name}-{name}"), &rows, id, &ordinary(&rows));
        }
    }
    check("extreme-numbers", &[1, 2, 3], |n| Id::Uint(n << 60), &extreme());
}
