//! What clients' values mean, by the attributes that the workload has.

use std::sync::Arc;

use sana_engine::base::value::{
    Element, Float, Half, Id, Raw, Scalar, ScalarType, Sparse, Type, Uuid, Value, Vector,
    VectorType,
};
use sana_engine::format::schema::Metric;

/// The type of an attribute of the workload. Others are known by their values.
pub fn type_of(attribute: &str) -> Option<Type> {
    let vector = |dimensions, element| Type::Vector(VectorType { dimensions, element });
    Some(match attribute {
        "body" | "text" => Type::Scalar(ScalarType::String),
        "n" => Type::Scalar(ScalarType::Int),
        "u" => Type::Scalar(ScalarType::Uint),
        "f" => Type::Scalar(ScalarType::Float),
        "b" => Type::Scalar(ScalarType::Bool),
        "t" => Type::Scalar(ScalarType::DateTime),
        "g" => Type::Scalar(ScalarType::Uuid),
        "tags" => Type::Array(ScalarType::String),
        "ns" => Type::Array(ScalarType::Int),
        "v" => Type::vector(2),
        "h" => vector(3, Element::F16),
        "q" => vector(3, Element::I8),
        "sp" => Type::Sparse,
        "raw" => Type::Bytes,
        _ => return None,
    })
}

/// How the vectors of an attribute of the workload are compared.
pub fn metric_of(attribute: &str) -> Metric {
    match attribute {
        "h" => Metric::Cosine,
        "q" => Metric::Dot,
        _ => Metric::EuclideanSquared,
    }
}

/// The id that a client's value means: a number, a UUID or another text.
///
/// # Panics
///
/// If it is anything else.
pub fn id(raw: &Raw) -> Id {
    match raw {
        Raw::Integer(n) => Id::Uint(u64::try_from(*n).expect("the model's ids are unsigned")),
        Raw::Text(text) => match Uuid::parse(text) {
            Some(uuid) => Id::Uuid(uuid.0),
            None => Id::String(Arc::clone(text)),
        },
        other => panic!("{other:?} is no id of the model"),
    }
}

/// An id as filters and orders see it.
pub fn id_scalar(id: &Id) -> Scalar {
    match id {
        Id::Uint(n) => Scalar::Uint(*n),
        Id::Uuid(bits) => Scalar::Uuid(*bits),
        Id::String(text) => Scalar::String(Arc::clone(text)),
    }
}

/// The value that a client's value means; `None` for null.
///
/// # Panics
///
/// If the workload has no such value.
pub fn value(attribute: &str, raw: &Raw) -> Option<Value> {
    if *raw == Raw::Null {
        return None;
    }
    Some(match (type_of(attribute), raw) {
        (Some(Type::Vector(_)), raw) => Value::Vector(vector(raw)),
        (Some(Type::Sparse), Raw::Weights(weights)) => {
            let held = weights.iter().map(|(at, weight)| {
                (*at, Half::nearest(weight.number() as f32).expect("the model's weights are small"))
            });
            let sparse = Sparse::new(held.collect::<Vec<_>>());
            Value::Sparse(sparse.expect("the model's dimensions ascend"))
        }
        (Some(Type::Bytes), Raw::Text(text)) => Value::Bytes(bytes(text).into()),
        (_, Raw::List(all)) => Value::Array(all.iter().map(|one| scalar(attribute, one)).collect()),
        (_, one) => Value::Scalar(scalar(attribute, one)),
    })
}

/// The components of a client's vector. They are small integers, which every kind of component holds.
///
/// # Panics
///
/// If it is no list of numbers.
pub fn vector(raw: &Raw) -> Vector {
    let Raw::List(all) = raw else { panic!("{raw:?} is no vector of the model") };
    let component = |raw: &Raw| match raw {
        Raw::Number(n) => n.number() as f32,
        other => panic!("{other:?} is no component of the model's vectors"),
    };
    let components: Vec<f32> = all.iter().map(component).collect();
    Vector::new(components).expect("the model's vectors are finite")
}

/// The scalar that a client's value means in an attribute, or as an element of it.
///
/// # Panics
///
/// If it is none of the model's.
pub fn scalar(attribute: &str, raw: &Raw) -> Scalar {
    let of = match type_of(attribute) {
        Some(Type::Scalar(of) | Type::Array(of)) => Some(of),
        _ => None,
    };
    match (raw, of) {
        (Raw::Integer(n), Some(ScalarType::Uint)) => {
            Scalar::Uint(u64::try_from(*n).expect("the model's numbers are small"))
        }
        (Raw::Integer(n), Some(ScalarType::Float)) => {
            Scalar::Float(Float::new(*n as f64).expect("it is finite"))
        }
        (Raw::Integer(n), _) => {
            Scalar::Int(i64::try_from(*n).expect("the model's numbers are small"))
        }
        (Raw::Text(text), Some(ScalarType::Uuid)) => {
            Scalar::Uuid(Uuid::parse(text).expect("the workload spells UUIDs").0)
        }
        (Raw::Text(text), Some(ScalarType::DateTime)) => Scalar::DateTime(day(text)),
        (Raw::Text(text), _) => Scalar::String(Arc::clone(text)),
        (Raw::Bool(truth), _) => Scalar::Bool(*truth),
        (Raw::Number(number), _) => Scalar::Float(*number),
        (other, _) => panic!("{other:?} is no scalar of the model"),
    }
}

/// The moment at which a day of January 1970 begins.
fn day(text: &str) -> i64 {
    let day = text.strip_prefix("1970-01-").and_then(|day| day.parse::<i64>().ok());
    (day.expect("the workload's moments are days of January 1970") - 1) * 86_400_000
}

/// The bytes that a text spells in base 64.
fn bytes(text: &str) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|c| *c != b'=').map(digit).collect();
    let bits = digits.iter().flat_map(|digit| (0..6).rev().map(move |bit| digit >> bit & 1));
    let bits: Vec<u8> = bits.collect();
    bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |byte, bit| byte << 1 | bit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_mean_what_their_attributes_are() {
        let text = |text: &str| Raw::Text(text.into());
        assert_eq!(value("raw", &text("AAEC")), Some(Value::Bytes(vec![0, 1, 2].into())));
        assert_eq!(value("raw", &text("/w==")), Some(Value::Bytes(vec![255].into())));
        let two_days = Value::Scalar(Scalar::DateTime(2 * 86_400_000));
        assert_eq!(value("t", &text("1970-01-03")), Some(two_days));
        assert_eq!(value("u", &Raw::Integer(3)), Some(Value::Scalar(Scalar::Uint(3))));
        assert_eq!(value("n", &Raw::Integer(3)), Some(Value::Scalar(Scalar::Int(3))));
        assert_eq!(value("n", &Raw::Null), None);
        assert_eq!(id(&text(&Uuid(7).to_string())), Id::Uuid(7));
        assert_eq!(id(&text("id 7")), Id::String("id 7".into()));
    }
}
