//! What filters mean to a single document, and what they know before reading.

use super::page::Foresight;
use super::*;
use crate::base::name::AttributeName;
use crate::base::value::{Float, IdType, Raw, ScalarType, Type};
use crate::format::columns::{Page, Zone};
use crate::format::manifest::Extent;
use crate::format::schema::{Attribute, Schema};
use crate::index::predicate::{Operator, Predicate};

fn schema() -> Schema {
    let types = [Type::Scalar(ScalarType::Int), Type::Array(ScalarType::String)];
    let attributes = ["n", "tags"].into_iter().zip(types).zip(0..).map(|((name, t), id)| {
        let attribute = Attribute::of(AttributeId(id), t);
        (AttributeName::parse(name).unwrap(), attribute)
    });
    Schema {
        id_type: Some(IdType::Uint),
        metric: None,
        attributes: attributes.collect(),
        ..Schema::default()
    }
}

fn compare(attribute: &str, operator: Operator, operand: Raw) -> Predicate {
    Predicate::Compare { attribute: attribute.into(), operator, operand }
}

fn holds(operator: Operator, operand: Raw, n: Option<i64>) -> bool {
    let filter = Filter::resolve(&compare("n", operator, operand), &schema()).unwrap();
    let n = n.map(|n| (AttributeId(0), Value::Scalar(Scalar::Int(n))));
    filter.matches(&Document { id: Id::Uint(1), attributes: n.into_iter().collect() })
}

#[test]
fn what_is_missing_is_less_than_every_value_and_never_greater() {
    for operator in [Operator::Lt, Operator::Lte, Operator::NotEq, Operator::NotIn] {
        assert!(holds(operator, Raw::Integer(1), None), "{operator:?}");
    }
    for operator in [Operator::Gt, Operator::Gte, Operator::Eq, Operator::In] {
        assert!(!holds(operator, Raw::Integer(1), None), "{operator:?}");
    }
}

#[test]
fn null_as_an_operand_asks_whether_there_is_a_value() {
    let (missing, there) = (None, Some(1));
    for (operator, of_missing, of_there) in [
        (Operator::Eq, true, false),
        (Operator::NotEq, false, true),
        (Operator::Lt, false, false),
        (Operator::Lte, true, false),
        (Operator::Gt, false, true),
        (Operator::Gte, false, true),
    ] {
        assert_eq!(holds(operator, Raw::Null, missing), of_missing, "{operator:?}");
        assert_eq!(holds(operator, Raw::Null, there), of_there, "{operator:?}");
    }
}

#[test]
fn integers_are_compared_with_floats_without_rounding() {
    let types = [Type::Scalar(ScalarType::Float), Type::Array(ScalarType::Float)];
    let attributes = ["f", "fs"].into_iter().zip(types).zip(0..).map(|((name, t), id)| {
        (AttributeName::parse(name).unwrap(), Attribute::of(AttributeId(id), t))
    });
    let schema = Schema { attributes: attributes.collect(), ..schema() };
    let even = 1_i128 << 53;
    let float = |n: i128| Scalar::Float(Float::new(n as f64).unwrap());
    let holds = |attribute, operator, operand, value| {
        let filter = Filter::resolve(&compare(attribute, operator, operand), &schema).unwrap();
        let attributes = vec![
            (AttributeId(0), Value::Scalar(float(value))),
            (AttributeId(1), Value::Array([float(value)].into())),
        ];
        filter.matches(&Document { id: Id::Uint(1), attributes })
    };
    // Between 2^53 and 2^53 + 4 every second integer is a float.
    for n in even - 2..=even + 6 {
        for value in [even - 1, even, even + 2, even + 4] {
            for (operator, expected) in [
                (Operator::Eq, value == n),
                (Operator::NotEq, value != n),
                (Operator::In, value == n),
                (Operator::Lt, value < n),
                (Operator::Lte, value <= n),
                (Operator::Gt, value > n),
                (Operator::Gte, value >= n),
            ] {
                let is = holds("f", operator, Raw::Integer(n), value);
                assert_eq!(is, expected, "{value} {operator:?} {n}");
            }
            let list = || Raw::List(vec![Raw::Integer(n)]);
            for (operator, operand, expected) in [
                (Operator::Eq, list(), value == n),
                (Operator::NotEq, list(), value != n),
                (Operator::ContainsAny, list(), value == n),
                (Operator::NotContains, Raw::Integer(n), value != n),
                (Operator::AnyLt, Raw::Integer(n), value < n),
                (Operator::AnyGte, Raw::Integer(n), value >= n),
            ] {
                assert_eq!(
                    holds("fs", operator, operand, value),
                    expected,
                    "{value} {operator:?} {n}"
                );
            }
        }
    }
}

#[test]
fn an_empty_and_is_true_and_an_empty_or_is_false() {
    let document = Document { id: Id::Uint(1), attributes: Vec::new() };
    let matches = |predicate| Filter::resolve(&predicate, &schema()).unwrap().matches(&document);
    assert!(matches(Predicate::And(Vec::new())));
    assert!(!matches(Predicate::Or(Vec::new())));
    assert!(matches(Predicate::Not(Box::new(Predicate::Or(Vec::new())))));
}

#[test]
fn a_filter_says_which_ids_it_can_hold_for() {
    let ids = |all: &[i128]| Raw::List(all.iter().map(|id| Raw::Integer(*id)).collect());
    let named = |predicate| Filter::resolve(&predicate, &schema()).unwrap().ids();
    let some = |all: &[u64]| Some(all.iter().map(|id| Id::Uint(*id)).collect::<BTreeSet<_>>());
    let one_of = |all: &[i128]| compare("id", Operator::In, ids(all));
    let other = || compare("n", Operator::Gt, Raw::Integer(1));
    assert_eq!(named(one_of(&[3, 1])), some(&[1, 3]));
    assert_eq!(named(Predicate::And(vec![other(), one_of(&[1, 2]), one_of(&[2])])), some(&[2]));
    assert_eq!(named(Predicate::Or(vec![one_of(&[1]), other()])), None);
    assert_eq!(named(Predicate::Not(Box::new(one_of(&[1])))), None);
    assert_eq!(named(other()), None);
}

#[test]
fn a_zone_answers_only_what_is_certain() {
    let page = |min, max, nulls| Page {
        first: 0,
        rows: 10,
        nulls,
        zone: Some(Zone { min: Scalar::Int(min), max: Scalar::Int(max), cut: false }),
        extent: Extent::default(),
    };
    let side = |side, bound| Test::Side(side, Scalar::Int(bound));
    let one_of = |all: &[i64]| Test::OneOf(all.iter().map(|n| Scalar::Int(*n)).collect());
    for (test, nulls, expected) in [
        (side(Side::Below, 5), 0, Foresight::None),
        (side(Side::UpTo, 5), 0, Foresight::Unknown),
        (side(Side::UpTo, 9), 0, Foresight::All),
        (side(Side::UpTo, 9), 1, Foresight::Unknown),
        (side(Side::Below, 9), 0, Foresight::Unknown),
        (side(Side::Above, 9), 0, Foresight::None),
        (side(Side::From, 9), 0, Foresight::Unknown),
        (side(Side::From, 5), 0, Foresight::All),
        (side(Side::Above, 4), 3, Foresight::Unknown),
        (one_of(&[4, 10]), 0, Foresight::None),
        (one_of(&[4, 7]), 0, Foresight::Unknown),
        (one_of(&[]), 0, Foresight::None),
        (Test::Null, 0, Foresight::None),
        (Test::Null, 3, Foresight::Unknown),
        (Test::Null, 10, Foresight::All),
    ] {
        assert_eq!(test.foresee(&page(5, 9, nulls)), expected, "{test:?} of {nulls} nulls");
    }
    assert_eq!(one_of(&[5]).foresee(&page(5, 5, 0)), Foresight::All);
    assert_eq!(side(Side::Below, 5).foresee(&page(5, 9, 10)), Foresight::None);
}
