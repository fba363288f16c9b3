//! What a client sent becomes a value of a known type.
//!
//! Casting is strict: a value of another type is an error, never a conversion. An integer literal is
//! good for every numeric type that can hold it, because JSON has one kind of numbers. Null has no
//! value of any type: whoever allows it looks before casting.

use core::cmp::Ordering;
use std::sync::Arc;

use crate::base::limits;
use crate::base::value::{Float, Half, Raw, Scalar, ScalarType, Sparse, Type, Uuid, Value, Vector};

/// Why something is no value of a type.
#[derive(Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum CastProblem {
    /// It is of another type.
    #[error("type mismatch, expected {expected}, but got {got}")]
    Type {
        /// The type it should have.
        expected: String,
        /// What it is.
        got: &'static str,
    },
    /// It is a text that does not spell a value of this type.
    #[error("'{text}' is not a valid {expected}")]
    Spelling {
        /// The type it should spell.
        expected: &'static str,
        /// The beginning of the text.
        text: String,
    },
    /// It is a vector of another length.
    #[error("expected a vector of {expected} dimensions, but got {got}")]
    Dimensions {
        /// The length it should have.
        expected: u32,
        /// Its length.
        got: usize,
    },
    /// A sparse vector names more dimensions than it may, or one of them twice.
    #[error("a sparse vector names at most {most} dimensions, each once")]
    Weights {
        /// The most it may name.
        most: usize,
    },
    /// A number is outside the range of its type.
    #[error("it is out of the range of type {expected}")]
    Range {
        /// The type.
        expected: String,
    },
}

/// Characters of a misspelt text that a message repeats.
const QUOTED_CHARS_MAX: usize = 40;

/// The scalar of type `to` that `raw` stands for.
///
/// # Errors
///
/// If there is none.
pub fn cast_scalar(raw: &Raw, to: ScalarType) -> Result<Scalar, CastProblem> {
    let out_of_range = || CastProblem::Range { expected: to.name().into() };
    let scalar = match (raw, to) {
        (Raw::Bool(value), ScalarType::Bool) => Scalar::Bool(*value),
        (Raw::Integer(n), ScalarType::Int) => {
            Scalar::Int(i64::try_from(*n).map_err(|_| out_of_range())?)
        }
        (Raw::Integer(n), ScalarType::Uint) => {
            Scalar::Uint(u64::try_from(*n).map_err(|_| out_of_range())?)
        }
        (Raw::Integer(n), ScalarType::Float) => Scalar::Float(nearest_float(*n).0),
        (Raw::Number(number), ScalarType::Float) => Scalar::Float(*number),
        (Raw::Text(text), ScalarType::String) => Scalar::String(text.clone()),
        (Raw::Text(text), ScalarType::Uuid) => {
            Scalar::Uuid(Uuid::parse(text).ok_or_else(|| misspelt(to.name(), text))?.0)
        }
        (Raw::Text(text), ScalarType::DateTime) => {
            Scalar::DateTime(parse_datetime(text).ok_or_else(|| misspelt(to.name(), text))?)
        }
        _ => return Err(CastProblem::Type { expected: to.name().into(), got: raw.kind() }),
    };
    Ok(scalar)
}

/// The float nearest to an integer, and how it compares with it.
///
/// # Panics
///
/// Never: no integer of 128 bits is near infinity.
pub fn nearest_float(n: i128) -> (Float, Ordering) {
    const BEYOND: f64 = 170_141_183_460_469_231_731_687_303_715_884_105_728.0;
    let nearest = n as f64;
    // The float after the largest integer of 128 bits, which would come back as that integer.
    let order = if nearest == BEYOND { Ordering::Greater } else { (nearest as i128).cmp(&n) };
    (Float::new(nearest).expect("an integer of 128 bits is far from infinite"), order)
}

/// The array with elements of type `to` that `raw` stands for.
///
/// # Errors
///
/// If it is no list, or one of its elements is no scalar of this type.
pub fn cast_array(raw: &Raw, to: ScalarType) -> Result<Arc<[Scalar]>, CastProblem> {
    let mismatch = |got| CastProblem::Type { expected: format!("[]{}", to.name()), got };
    let Raw::List(elements) = raw else { return Err(mismatch(raw.kind())) };
    let cast = |element| {
        cast_scalar(element, to).map_err(|problem| match problem {
            CastProblem::Type { got, .. } => mismatch(got),
            other => other,
        })
    };
    elements.iter().map(cast).collect()
}

/// The value of type `to` that `raw` stands for.
///
/// # Errors
///
/// If there is none.
pub fn cast(raw: &Raw, to: Type) -> Result<Value, CastProblem> {
    match to {
        Type::Scalar(scalar) => cast_scalar(raw, scalar).map(Value::Scalar),
        Type::Array(element) => cast_array(raw, element).map(Value::Array),
        Type::Vector(vector) => {
            let held = cast_vector(raw, vector.dimensions)?;
            let held = held.components().iter().map(|x| vector.element.hold(*x));
            let held = held.collect::<Option<Vec<f32>>>().and_then(Vector::new);
            held.map(Value::Vector).ok_or_else(|| CastProblem::Range { expected: to.to_string() })
        }
        Type::Sparse => {
            let weights = cast_weights(raw)?.into_iter();
            let weights = weights.map(|(dimension, weight)| {
                // Zero has one sign.
                Some((dimension, Half::nearest(weight + 0.0)?))
            });
            let held = weights.collect::<Option<Vec<_>>>().and_then(Sparse::new);
            held.map(Value::Sparse).ok_or_else(|| CastProblem::Range { expected: to.to_string() })
        }
        Type::Bytes => {
            let Raw::Text(text) = raw else {
                return Err(CastProblem::Type { expected: to.to_string(), got: raw.kind() });
            };
            let bytes = decode_base64(text).ok_or_else(|| misspelt("base64 of bytes", text))?;
            Ok(Value::Bytes(bytes.into()))
        }
    }
}

/// The weights that `raw` names, by ascending dimensions, in 32 bits.
///
/// # Errors
///
/// If it is something else, names a dimension twice or too many, or a weight that is not finite in 32
/// bits.
pub fn cast_weights(raw: &Raw) -> Result<Vec<(u32, f32)>, CastProblem> {
    let expected = || Type::Sparse.to_string();
    let Raw::Weights(weights) = raw else {
        return Err(CastProblem::Type { expected: expected(), got: raw.kind() });
    };
    let weights = weights.iter().map(|(dimension, weight)| (*dimension, weight.number() as f32));
    let mut weights: Vec<_> = weights.collect();
    weights.sort_unstable_by_key(|(dimension, _)| *dimension);
    let most = limits::SPARSE_DIMENSIONS_MAX;
    if weights.len() > most || !weights.is_sorted_by(|a, b| a.0 < b.0) {
        return Err(CastProblem::Weights { most });
    }
    let finite = weights.iter().all(|(_, weight)| weight.is_finite());
    finite.then_some(weights).ok_or_else(|| CastProblem::Range { expected: expected() })
}

/// The 32-bit floats that `raw` stands for: a list of numbers, or base64 of them, little-endian.
///
/// # Errors
///
/// If it is neither, has another number of dimensions, or a component that is not finite in 32 bits.
pub fn cast_vector(raw: &Raw, dimensions: u32) -> Result<Vector, CastProblem> {
    let expected = || Type::vector(dimensions).to_string();
    let components = match raw {
        Raw::List(elements) => elements
            .iter()
            .map(|element| match element {
                Raw::Integer(n) => Ok(*n as f32),
                Raw::Number(number) => Ok(number.number() as f32),
                other => Err(CastProblem::Type { expected: expected(), got: other.kind() }),
            })
            .collect::<Result<Vec<_>, _>>()?,
        Raw::Text(text) => {
            let spelling = || misspelt("base64 of 32-bit floats", text);
            let bytes = decode_base64(text).ok_or_else(spelling)?;
            let (words, rest) = bytes.as_chunks::<4>();
            if !rest.is_empty() {
                return Err(spelling());
            }
            words.iter().map(|word| f32::from_le_bytes(*word)).collect()
        }
        other => return Err(CastProblem::Type { expected: expected(), got: other.kind() }),
    };
    if components.len() != dimensions as usize {
        return Err(CastProblem::Dimensions { expected: dimensions, got: components.len() });
    }
    Vector::new(components).ok_or_else(|| CastProblem::Range { expected: expected() })
}

fn misspelt(expected: &'static str, text: &str) -> CastProblem {
    CastProblem::Spelling { expected, text: text.chars().take(QUOTED_CHARS_MAX).collect() }
}

/// The bytes that `text` spells in the standard alphabet, with or without padding.
pub fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let text = text.as_bytes();
    let digits = match text {
        [digits @ .., b'=', b'='] | [digits @ .., b'='] if text.len().is_multiple_of(4) => digits,
        digits => digits,
    };
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for group in digits.chunks(4) {
        let mut bits = 0_u32;
        for digit in group {
            bits = bits << 6 | sextet(*digit)?;
        }
        // A group of n digits holds n - 1 bytes; what is left over must be zero.
        bits <<= 6 * (4 - group.len());
        let count = group.len() - 1;
        let spelled = bits.to_be_bytes();
        if count == 0 || spelled[1 + count..].iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend_from_slice(&spelled[1..=count]);
    }
    Some(bytes)
}

const fn sextet(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value as u32)
}

const DAY_MS: i64 = 86_400_000;
const MINUTE_MS: i64 = 60_000;

/// The moment that an ISO 8601 text names, in milliseconds since 1970 UTC: a date, or a date with a
/// time, with a zone or in UTC. Digits beyond milliseconds are dropped.
pub fn parse_datetime(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let days = parse_date(date)?;
    if rest.is_empty() {
        return Some(days * DAY_MS);
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let zone_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (time, zone) = rest.split_at(zone_at);
    Some(days * DAY_MS + parse_time(time)? - parse_zone(zone)? * MINUTE_MS)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn parse_date(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let year = digits(parts.next()?, 4)?;
    let month = digits(parts.next()?, 2)?;
    let day = digits(parts.next()?, 2)?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        1..=12 => 31,
        _ => return None,
    };
    if parts.next().is_some() || !(1..=length).contains(&day) {
        return None;
    }
    // Years are counted from March, so that the day a leap year adds is their last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    Some(365 * year + leap_days + day_of_year - 719_468)
}

/// Milliseconds since midnight.
fn parse_time(text: &str) -> Option<i64> {
    let mut parts = text.split(':');
    let hours = digits(parts.next()?, 2).filter(|hours| *hours < 24)?;
    let minutes = digits(parts.next()?, 2).filter(|minutes| *minutes < 60)?;
    let seconds = parts.next().unwrap_or("00");
    let (seconds, fraction) = seconds.split_once(['.', ',']).unwrap_or((seconds, "0"));
    let seconds = digits(seconds, 2).filter(|seconds| *seconds < 60)?;
    if parts.next().is_some() || fraction.is_empty() || !all_digits(fraction) {
        return None;
    }
    let place = |place: usize| i64::from(fraction.as_bytes().get(place).map_or(0, |d| d - b'0'));
    let millis = place(0) * 100 + place(1) * 10 + place(2);
    Some((hours * 60 + minutes) * MINUTE_MS + seconds * 1_000 + millis)
}

/// Minutes east of UTC.
fn parse_zone(text: &str) -> Option<i64> {
    if text.is_empty() || text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, offset) = text.split_at_checked(1)?;
    let (hours, minutes) = offset.split_at_checked(2)?;
    let minutes = minutes.strip_prefix(':').unwrap_or(minutes);
    let hours = digits(hours, 2).filter(|hours| *hours < 24)?;
    let minutes =
        if minutes.is_empty() { 0 } else { digits(minutes, 2).filter(|minutes| *minutes < 60)? };
    let offset = hours * 60 + minutes;
    Some(if sign == "-" { -offset } else { offset })
}

fn digits(text: &str, count: usize) -> Option<i64> {
    (text.len() == count && all_digits(text)).then(|| text.parse().ok())?
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Raw {
        Raw::Text(text.into())
    }

    #[test]
    fn the_float_nearest_to_an_integer_is_told_from_it() {
        let order = |n| nearest_float(n).1;
        let odd = (1 << 53) + 1;
        assert_eq!(
            [order(odd - 1), order(odd), order(odd + 2)],
            [Ordering::Equal, Ordering::Less, Ordering::Greater]
        );
        assert_eq!(
            [order(-odd), order(0), order(i128::MIN)],
            [Ordering::Greater, Ordering::Equal, Ordering::Equal]
        );
        assert_eq!(
            [order(i128::MAX), order(i128::MAX >> 80 << 80)],
            [Ordering::Greater, Ordering::Equal]
        );
    }

    #[test]
    fn an_integer_is_good_for_every_number_that_can_hold_it() {
        let cast = |n: i128, to| cast_scalar(&Raw::Integer(n), to);
        assert_eq!(cast(-1, ScalarType::Int), Ok(Scalar::Int(-1)));
        assert_eq!(cast(2, ScalarType::Uint), Ok(Scalar::Uint(2)));
        assert_eq!(cast(2, ScalarType::Float), Ok(Scalar::Float(Float::new(2.0).unwrap())));
        for (n, to) in
            [(-1, ScalarType::Uint), (1 << 64, ScalarType::Uint), (1 << 63, ScalarType::Int)]
        {
            assert_eq!(cast(n, to), Err(CastProblem::Range { expected: to.name().into() }));
        }
    }

    #[test]
    fn nothing_is_converted() {
        let number = Raw::Number(Float::new(1.0).unwrap());
        let pairs = [
            (number, ScalarType::Int),
            (Raw::Bool(true), ScalarType::Int),
            (text("1"), ScalarType::Int),
            (Raw::Integer(0), ScalarType::DateTime),
            (Raw::Integer(0), ScalarType::Bool),
            (Raw::Integer(0), ScalarType::String),
            (Raw::Null, ScalarType::String),
            (Raw::List(vec![text("a")]), ScalarType::String),
        ];
        for (raw, to) in pairs {
            let problem = CastProblem::Type { expected: to.name().into(), got: raw.kind() };
            assert_eq!(cast_scalar(&raw, to), Err(problem));
        }
    }

    #[test]
    fn moments_are_read_in_every_usual_spelling() {
        let second = 1_709_385_296_000;
        for (text, expected) in [
            ("1970-01-01", 0),
            ("1969-12-31T23:59:59.999Z", -1),
            ("2000-02-29", 951_782_400_000),
            ("0001-01-01", -62_135_596_800_000),
            ("9999-12-31T23:59:59.999999999Z", 253_402_300_799_999),
            ("2024-03-02T13:14:56", second),
            ("2024-03-02 13:14:56Z", second),
            ("2024-03-02t13:14:56.0z", second),
            ("2024-03-02T13:14:56,5", second + 500),
            ("2024-03-02T13:14:56.123456789Z", second + 123),
            ("2024-03-02T14:14:56+01:00", second),
            ("2024-03-02T14:14:56+0100", second),
            ("2024-03-02T04:14:56-09", second),
            ("2024-03-02T13:14", second - 56_000),
        ] {
            assert_eq!(parse_datetime(text), Some(expected), "{text}");
        }
        for bad in [
            "",
            "2024",
            "2024-3-2",
            "2023-02-29",
            "2024-13-01",
            "2024-01-00",
            "2024-01-01T",
            "2024-01-01T24:00:00",
            "2024-01-01T10",
            "2024-01-01T10:60",
            "2024-01-01T10:00:60",
            "2024-01-01T10:00:00.",
            "2024-01-01T10:00:00.x",
            "2024-01-01T10:00:00+1",
            "2024-01-01T10:00:00+24:00",
            "2024-01-01X10:00:00",
            "+024-01-01",
            "2024-01-01T10:00:00ZZ",
            "éééééééééé",
            "1700000000",
        ] {
            assert_eq!(parse_datetime(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_vector_is_the_same_as_numbers_and_as_base64() {
        let numbers = [0.1, 0.2].map(|x| Raw::Number(Float::new(x).unwrap()));
        let expected = Vector::new(vec![0.1_f32, 0.2]).unwrap();
        assert_eq!(cast_vector(&Raw::List(numbers.to_vec()), 2), Ok(expected.clone()));
        assert_eq!(cast_vector(&text("zczMPc3MTD4="), 2), Ok(expected.clone()));
        assert_eq!(cast_vector(&text("zczMPc3MTD4"), 2), Ok(expected));
    }

    #[test]
    fn what_is_no_vector_is_refused() {
        let huge = Raw::List(vec![Raw::Number(Float::new(1e39).unwrap())]);
        assert!(matches!(cast_vector(&huge, 1), Err(CastProblem::Range { .. })));
        let three = CastProblem::Dimensions { expected: 3, got: 2 };
        assert_eq!(cast_vector(&text("zczMPc3MTD4="), 3), Err(three));
        // The last is a NaN.
        for bad in ["zczM", "zczMPc3MTD4!", "z", "zczMPc3MTD5=", "=", "AADAfw=="] {
            assert!(cast_vector(&text(bad), 1).is_err(), "{bad}");
        }
        assert!(cast_vector(&Raw::List(vec![Raw::Null]), 1).is_err());
        assert!(cast_vector(&Raw::Bool(true), 1).is_err());
    }

    #[test]
    fn a_column_holds_the_nearest_it_can_of_a_vector() {
        let numbers = |all: &[f64]| {
            Raw::List(all.iter().map(|x| Raw::Number(Float::new(*x).unwrap())).collect())
        };
        let as_type = |all: &[f64], text: &str| cast(&numbers(all), Type::parse(text).unwrap());
        let vector = |all: Vec<f32>| Ok(Value::Vector(Vector::new(all).unwrap()));
        assert_eq!(as_type(&[0.1, -3.0], "[2]f16"), vector(vec![0.099_975_586, -3.0]));
        assert_eq!(as_type(&[127.0, -128.0], "[2]i8"), vector(vec![127.0, -128.0]));
        for (all, text) in [([1e5, 0.0], "[2]f16"), ([128.0, 0.0], "[2]i8"), ([0.5, 0.0], "[2]i8")]
        {
            assert_eq!(as_type(&all, text), Err(CastProblem::Range { expected: text.into() }));
        }
    }

    #[test]
    fn a_sparse_vector_names_each_dimension_once() {
        let weights = |all: &[(u32, f64)]| {
            Raw::Weights(all.iter().map(|(at, x)| (*at, Float::new(*x).unwrap())).collect())
        };
        let one = Half::nearest(1.0).unwrap();
        let half = Half::nearest(0.5).unwrap();
        let expected = Sparse::new(vec![(3, half), (9, one)]).map(Value::Sparse);
        assert_eq!(cast(&weights(&[(9, 1.0), (3, 0.5)]), Type::Sparse).ok(), expected);
        let most = limits::SPARSE_DIMENSIONS_MAX;
        let many: Vec<_> = (0..=most as u32).map(|at| (at, 1.0)).collect();
        for bad in [weights(&[(1, 1.0), (1, 2.0)]), weights(&many)] {
            assert_eq!(cast(&bad, Type::Sparse), Err(CastProblem::Weights { most }));
        }
        assert!(matches!(
            cast(&weights(&[(1, 7e4)]), Type::Sparse),
            Err(CastProblem::Range { .. })
        ));
        assert!(cast(&Raw::List(vec![]), Type::Sparse).is_err());
    }

    #[test]
    fn bytes_are_spelled_in_base64() {
        assert_eq!(cast(&text("AP8="), Type::Bytes), Ok(Value::Bytes([0, 255].into())));
        assert!(cast(&text("A"), Type::Bytes).is_err());
        assert!(cast(&Raw::Integer(1), Type::Bytes).is_err());
    }

    #[test]
    fn an_array_is_cast_by_its_elements() {
        let list = Raw::List(vec![Raw::Integer(1), Raw::Integer(2)]);
        let expected: Arc<[Scalar]> = [Scalar::Int(1), Scalar::Int(2)].into();
        assert_eq!(cast_array(&list, ScalarType::Int), Ok(expected));
        let mixed = Raw::List(vec![Raw::Integer(1), Raw::Null]);
        let problem = CastProblem::Type { expected: "[]int".into(), got: "null" };
        assert_eq!(cast_array(&mixed, ScalarType::Int), Err(problem));
        assert!(cast_array(&Raw::Integer(1), ScalarType::Int).is_err());
    }
}
