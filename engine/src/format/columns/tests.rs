//! What was written as a page reads back, and hostile pages are errors.

use proptest::prelude::*;
use std::sync::Arc;

use super::build::PageBuilder;
use super::*;
use crate::base::blob::Blob;
use crate::base::name::Key;
use crate::base::value::{Element, Float, Half, ScalarType, Sparse, Value, Vector, VectorType};

fn scalar(t: ScalarType) -> BoxedStrategy<Scalar> {
    match t {
        ScalarType::Bool => any::<bool>().prop_map(Scalar::Bool).boxed(),
        ScalarType::Int => prop_oneof![any::<i64>(), -3..9_i64].prop_map(Scalar::Int).boxed(),
        ScalarType::Uint => prop_oneof![any::<u64>(), 0..9_u64].prop_map(Scalar::Uint).boxed(),
        ScalarType::Float => {
            (-1e9..1e9_f64).prop_map(|x| Scalar::Float(Float::new(x).unwrap())).boxed()
        }
        ScalarType::String => prop_oneof!["[a-c]{0,2}", ".{0,60}", "(lorem ipsum ){9,20}"]
            .prop_map(|text| Scalar::String(text.into()))
            .boxed(),
        ScalarType::Uuid => any::<u128>().prop_map(Scalar::Uuid).boxed(),
        ScalarType::DateTime => any::<i64>().prop_map(Scalar::DateTime).boxed(),
    }
}

fn value(t: Type) -> BoxedStrategy<Value> {
    match t {
        Type::Scalar(t) => scalar(t).prop_map(Value::Scalar).boxed(),
        Type::Array(t) => prop::collection::vec(scalar(t), 0..5)
            .prop_map(|all| Value::Array(Arc::from(all)))
            .boxed(),
        Type::Vector(t) => prop::collection::vec(-127.0..127.0_f32, t.dimensions as usize)
            .prop_map(move |all| {
                let whole = t.element == Element::I8;
                let held = all.iter().map(|x| t.element.hold(if whole { x.round() } else { *x }));
                Value::Vector(Vector::new(held.map(Option::unwrap).collect::<Vec<_>>()).unwrap())
            })
            .boxed(),
        Type::Sparse => prop::collection::btree_map(0..1_000_u32, -9.0..9.0_f32, 0..6)
            .prop_map(|all| {
                let weights = all.into_iter().map(|(at, x)| (at, Half::nearest(x).unwrap()));
                Value::Sparse(Sparse::new(weights.collect::<Vec<_>>()).unwrap())
            })
            .boxed(),
        Type::Bytes => prop::collection::vec(any::<u8>(), 0..40)
            .prop_map(|bytes| Value::Bytes(bytes.into()))
            .boxed(),
    }
}

fn column() -> impl Strategy<Value = (Type, Vec<Option<Value>>)> {
    let scalars = prop::sample::select(ScalarType::ALL.to_vec());
    let types = prop_oneof![
        scalars.clone().prop_map(Type::Scalar),
        scalars.prop_map(Type::Array),
        (1..9_u32, prop::sample::select(Element::ALL.to_vec()))
            .prop_map(|(dimensions, element)| Type::Vector(VectorType { dimensions, element })),
        prop_oneof![Just(Type::Sparse), Just(Type::Bytes)],
    ];
    types.prop_flat_map(|t| {
        let values = prop_oneof![
            prop::collection::vec(prop::option::of(value(t)), 0..150),
            prop::collection::vec(value(t).prop_map(Some), 0..150),
        ];
        (Just(t), values)
    })
}

fn build(t: Type, values: &[Option<Value>]) -> (Page, Blob) {
    let mut builder = PageBuilder::new(t);
    for value in values {
        builder.push(value.as_ref());
    }
    let built = builder.finish();
    let bytes = Blob::from(built.bytes);
    let extent = Extent { part: 0, start: 0, bytes: bytes.len() as u32, crc: bytes.crc32() };
    let (rows, nulls, zone) = (built.rows, built.nulls, built.zone);
    (Page { first: 0, rows, nulls, zone, extent }, bytes)
}

proptest! {
    #[test]
    fn a_page_holds_what_was_put_in((t, values) in column()) {
        let (page, bytes) = build(t, &values);
        let opened = ColumnPage::open(t, &page, &Key::new("k"), &bytes).unwrap();
        prop_assert_eq!(opened.rows(), values.len());
        for (row, value) in values.iter().enumerate() {
            prop_assert_eq!(&opened.value(row), value);
            if let Some(Value::Scalar(scalar)) = value {
                let zone = page.zone.as_ref().unwrap();
                prop_assert!(zone.may_hold(scalar), "C2: {scalar:?} lies outside {zone:?}");
                prop_assert_eq!(&opened.scalar(row), &Some(scalar.clone()));
            }
        }
        prop_assert_eq!(opened.value(values.len()), None);
    }

    #[test]
    fn hostile_pages_are_errors_or_pages_and_never_panics(
        (t, values) in column(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let (_, bytes) = build(t, &values);
        let mut bad = bytes.as_slice().to_vec();
        let at = at.index(bad.len());
        bad[at] = byte;
        // The checksum is not looked at here: what stands behind it must hold alone.
        if let Ok(page) = ColumnPage::read(t, &bad.into()) {
            let _ = (0..page.rows().min(300)).map(|row| page.value(row)).collect::<Vec<_>>();
        }
    }
}

#[test]
fn every_flipped_bit_and_every_cut_of_a_page_is_noticed() {
    let values = ["a", "b", "a", "a"].map(|s| Some(Value::Scalar(Scalar::String(s.into()))));
    let t = Type::Scalar(ScalarType::String);
    let (page, bytes) = build(t, &values);
    let key = Key::new("data/part");
    let refused = |bytes: Vec<u8>| {
        let bad = ColumnPage::open(t, &page, &key, &bytes.into()).unwrap_err();
        assert_eq!(bad.key, key);
    };
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.as_slice().to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        refused(bad);
    }
    (0..bytes.len()).for_each(|cut| refused(bytes.as_slice()[..cut].to_vec()));
}

#[test]
fn few_distinct_texts_make_a_dictionary_in_order() {
    let t = Type::Scalar(ScalarType::String);
    let text = |n: usize| Value::Scalar(Scalar::String(["x", "y", "a"][n % 3].into()));
    let values: Vec<_> = (0..90).map(|n| (n % 5 != 0).then(|| text(n))).collect();
    let (page, bytes) = build(t, &values);
    let opened = ColumnPage::open(t, &page, &Key::new("k"), &bytes).unwrap();
    let Values::Strings(strings) = opened.values() else { panic!("not texts") };
    let (texts, codes) = strings.dictionary().unwrap();
    assert_eq!(texts.iter().collect::<Vec<_>>(), ["a", "x", "y"]);
    assert_eq!((codes[1], codes[2], codes.len()), (2, 0, 90));
}

#[test]
fn a_long_text_is_cut_in_its_zone_and_still_lies_inside() {
    let long = format!("{}é{}", "z".repeat(31), "z".repeat(50));
    let zone = Zone::of_texts("b", &long);
    assert_eq!(zone.max, Scalar::String("z".repeat(31).into()));
    let text = |text: &str| Scalar::String(text.into());
    assert!(zone.may_hold(&text(&long)));
    assert!(zone.may_reach(&text(&format!("{}{}", "z".repeat(31), char::MAX))));
    assert!(!zone.may_reach(&text("zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzé")));
    assert!(!zone.may_begin_by(&text("a")));
    assert!(!Zone::of_texts("b", "c").may_reach(&text("ca")));
}
