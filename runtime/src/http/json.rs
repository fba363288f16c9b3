//! JSON in and out: bodies parsed into types, answers printed as clients compare them.
//!
//! A body is parsed without keeping track of where the parser stands, which is fast. Only a body of
//! the wrong shape is parsed again, to say where.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sana_engine::base::value::{Float, Id, Raw, Scalar, Uuid, Value, Vector};
use serde::de::{DeserializeOwned, DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;

use super::errors::Failure;

/// Parses a body whose outermost value is an object.
///
/// # Errors
///
/// 400 if it is not JSON, 422 if it is not of the shape of `T`.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    // A derived parser would take an array for an object, field by field.
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(Failure::shape("invalid type: sequence, expected a map"));
    }
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => Failure::shape(locate::<T>(body).unwrap_or_else(|| error.to_string())),
        Category::Io | Category::Syntax | Category::Eof => {
            Failure::meaning(format!("Failed to parse the request body as JSON: {error}"))
        }
    })
}

/// The mistake in a body, and where it is.
fn locate<T: DeserializeOwned>(body: &[u8]) -> Option<String> {
    let mut parser = serde_json::Deserializer::from_slice(body);
    serde_path_to_error::deserialize::<_, T>(&mut parser).err().map(|error| error.to_string())
}

/// A value as a client sent it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct AnyRaw(pub(super) Raw);

impl<'de> Deserialize<'de> for AnyRaw {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        RawSeed { elements: &mut 0 }.deserialize(from).map(Self)
    }
}

/// Parses a value as a client sent it. `elements` is the length of the last list, by which the next
/// is allocated: the vectors of a batch have one length.
pub(super) struct RawSeed<'a> {
    pub(super) elements: &'a mut usize,
}

/// The most elements a list is allocated for before they are there.
const ELEMENTS_EXPECTED_MAX: usize = 16_384;

impl<'de> DeserializeSeed<'de> for RawSeed<'_> {
    type Value = Raw;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Raw, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RawSeed<'_> {
    type Value = Raw;

    fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("null, a bool, a number, a string, an array or weights of dimensions")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Integer(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Raw, E> {
        Float::new(value).map(Raw::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Raw, A::Error> {
        let mut all = Vec::new();
        let mut inner = 0;
        while let Some(value) = list.next_element_seed(RawSeed { elements: &mut inner })? {
            if all.is_empty() {
                all.reserve_exact((*self.elements).clamp(4, ELEMENTS_EXPECTED_MAX));
            }
            all.push(value);
        }
        *self.elements = all.len();
        Ok(Raw::List(all))
    }

    /// Weights of dimensions: every key is a number. Another object is no value.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut weights = Vec::new();
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            let all_digits = key.bytes().all(|byte| byte.is_ascii_digit());
            let dimension = key.parse().ok().filter(|_| all_digits);
            let dimension = dimension
                .ok_or_else(|| A::Error::invalid_type(serde::de::Unexpected::Map, &self))?;
            let weight = Float::new(map.next_value()?);
            weights
                .push((dimension, weight.ok_or_else(|| A::Error::custom("number out of range"))?));
        }
        Ok(Raw::Weights(weights))
    }
}

/// What a client sent as part of a value that was parsed as a tree.
///
/// # Errors
///
/// 422 if there is an object in it. `place` says where it stands.
pub(super) fn raw(place: &str, value: &serde_json::Value) -> Result<Raw, Failure> {
    let parsed = AnyRaw::deserialize(value);
    parsed.map(|AnyRaw(raw)| raw).map_err(|error| Failure::shape(format!("{place}: {error}")))
}

/// How vectors are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum VectorEncoding {
    /// As arrays of numbers.
    #[default]
    Float,
    /// As base64 of little-endian 32-bit floats.
    Base64,
}

/// An id, printed.
pub(super) struct PrintedId<'a>(pub(super) &'a Id);

impl Serialize for PrintedId<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Id::Uint(id) => to.serialize_u64(*id),
            Id::Uuid(id) => to.collect_str(&Uuid(*id)),
            Id::String(id) => to.serialize_str(id),
        }
    }
}

/// A value, printed.
pub(super) struct Printed<'a> {
    pub(super) value: &'a Value,
    pub(super) vectors: VectorEncoding,
}

impl Serialize for Printed<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match (self.value, self.vectors) {
            (Value::Scalar(scalar), _) => PrintedScalar(scalar).serialize(to),
            (Value::Array(all), _) => to.collect_seq(all.iter().map(PrintedScalar)),
            (Value::Vector(vector), VectorEncoding::Float) => {
                let mut list = to.serialize_seq(Some(vector.components().len()))?;
                vector.components().iter().try_for_each(|x| list.serialize_element(x))?;
                list.end()
            }
            (Value::Vector(vector), VectorEncoding::Base64) => to.serialize_str(&base64_of(vector)),
            (Value::Sparse(vector), _) => {
                let mut map = to.serialize_map(Some(vector.weights().len()))?;
                for (dimension, weight) in vector.weights() {
                    map.serialize_entry(dimension, &weight.number())?;
                }
                map.end()
            }
            (Value::Bytes(bytes), _) => to.serialize_str(&STANDARD.encode(bytes)),
        }
    }
}

/// A scalar, printed.
pub(super) struct PrintedScalar<'a>(pub(super) &'a Scalar);

impl Serialize for PrintedScalar<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Scalar::Bool(value) => to.serialize_bool(*value),
            Scalar::Int(value) => to.serialize_i64(*value),
            Scalar::Uint(value) => to.serialize_u64(*value),
            Scalar::Float(value) => to.serialize_f64(value.number()),
            Scalar::String(value) => to.serialize_str(value),
            Scalar::Uuid(value) => to.collect_str(&Uuid(*value)),
            Scalar::DateTime(ms) => to.serialize_str(&date_time(*ms)),
        }
    }
}

pub(super) fn base64_of(vector: &Vector) -> String {
    let bytes: Vec<u8> = vector.components().iter().flat_map(|x| x.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}

/// A moment in milliseconds since 1970, as RFC 3339 with nine digits of a second.
pub(crate) fn date_time(ms: i64) -> String {
    const DAY_MS: i64 = 86_400_000;
    let (days, ms) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
    let (year, month, day) = civil(days);
    let sign = if year < 0 { "-" } else { "" };
    let (year, seconds, nanos) = (year.unsigned_abs(), ms / 1_000, ms % 1_000 * 1_000_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{sign}{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
}

/// Year, month and day of a day counted from 1970-01-01, after Howard Hinnant's `civil_from_days`:
/// years begin in March, so that the leap day is their last.
const fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn printed(value: &Value, vectors: VectorEncoding) -> String {
        serde_json::to_string(&Printed { value, vectors }).unwrap()
    }

    #[test]
    fn a_float_is_printed_as_short_as_its_width_allows() {
        let vector = Value::Vector(Vector::new(vec![0.7, 2.0, -1.5e-10, 16_777_216.0]).unwrap());
        assert_eq!(printed(&vector, VectorEncoding::Float), "[0.7,2.0,-1.5e-10,16777216.0]");
        let number = Value::Scalar(Scalar::Float(Float::new(0.1 + 0.2).unwrap()));
        assert_eq!(printed(&number, VectorEncoding::Float), "0.30000000000000004");
        let large = Value::Scalar(Scalar::Uint(u64::MAX));
        assert_eq!(printed(&large, VectorEncoding::Float), "18446744073709551615");
    }

    #[test]
    fn vectors_are_encoded_as_official_clients_encode_them() {
        let vector = |all: &[f32]| Value::Vector(Vector::new(all).unwrap());
        let printed = |all: &[f32]| printed(&vector(all), VectorEncoding::Base64);
        assert_eq!(printed(&[0.1, 0.2]), r#""zczMPc3MTD4=""#);
        assert_eq!(printed(&[0.1, 0.2, 0.3]), r#""zczMPc3MTD6amZk+""#);
        assert_eq!(printed(&[0.4, 0.5, 0.6]), r#""zczMPgAAAD+amRk/""#);
    }

    #[test]
    fn moments_have_nine_digits_in_every_year() {
        assert_eq!(date_time(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(date_time(1_709_337_600_123), "2024-03-02T00:00:00.123000000Z");
        assert_eq!(date_time(1_709_164_800_000), "2024-02-29T00:00:00.000000000Z");
        assert_eq!(date_time(-1), "1969-12-31T23:59:59.999000000Z");
        assert_eq!(date_time(-62_167_219_200_000), "0000-01-01T00:00:00.000000000Z");
    }

    #[test]
    fn numbers_keep_what_they_were_sent_as() {
        let raw = |text: &str| serde_json::from_str::<AnyRaw>(text).unwrap().0;
        let number = |x| Raw::Number(Float::new(x).unwrap());
        assert_eq!(raw("18446744073709551615"), Raw::Integer(u64::MAX.into()));
        assert_eq!(raw("-9223372036854775808"), Raw::Integer(i64::MIN.into()));
        assert_eq!(raw("1.0"), number(1.0));
        assert_eq!(raw("0.1234567890123456789"), number(0.123_456_789_012_345_68));
        assert_eq!(raw("[1,[null,\"a\"],true]"), {
            let inner = Raw::List(vec![Raw::Null, Raw::Text("a".into())]);
            Raw::List(vec![Raw::Integer(1), inner, Raw::Bool(true)])
        });
        assert!(serde_json::from_str::<AnyRaw>("1e999").is_err());
    }

    #[test]
    fn a_mistake_in_shape_is_located_and_one_in_syntax_is_not_taken_for_it() {
        #[derive(Debug, Deserialize)]
        struct Shape {
            #[expect(dead_code, reason = "only parsed")]
            list: Vec<u8>,
        }
        let failure = parse::<Shape>(br#"{"list":[1,"a"]}"#).unwrap_err();
        assert_eq!(failure.status.as_u16(), 422);
        assert!(failure.message.contains("list[1]: invalid type: string \"a\""), "{failure:?}");
        for bad in ["", "{", "{\"list\":[1,]}", "{\"list\":\"\u{1}\"}", "{\"list\":[]} x"] {
            assert_eq!(parse::<Shape>(bad.as_bytes()).unwrap_err().status.as_u16(), 400, "{bad}");
        }
        assert_eq!(parse::<Shape>(b" [[1]]").unwrap_err().status.as_u16(), 422);
        assert_eq!(parse::<Shape>(b"{\"\xff\":1,\"list\":[]}").unwrap_err().status.as_u16(), 400);
        let deep = format!("{{\"list\":{}", "[".repeat(100_000));
        assert!(parse::<Shape>(deep.as_bytes()).is_err());
    }

    #[test]
    fn weights_and_bytes_are_printed_as_they_are_sent() {
        let half = |x| sana_engine::base::value::Half::nearest(x).unwrap();
        let weights = vec![(2, half(0.5)), (70_000, half(-3.0))];
        let sparse = Value::Sparse(sana_engine::base::value::Sparse::new(weights).unwrap());
        assert_eq!(printed(&sparse, VectorEncoding::Float), r#"{"2":0.5,"70000":-3.0}"#);
        let bytes = Value::Bytes([0, 255, 1].into());
        assert_eq!(printed(&bytes, VectorEncoding::Base64), r#""AP8B""#);
        let raw = serde_json::from_str::<AnyRaw>(r#"{"2":0.5,"70000":-3}"#).unwrap().0;
        let float = |x| Float::new(x).unwrap();
        assert_eq!(raw, Raw::Weights(vec![(2, float(0.5)), (70_000, float(-3.0))]));
        for bad in
            [r#"{"a":1}"#, r#"{"-1":1}"#, r#"{"+1":1}"#, r#"{"4294967296":1}"#, r#"{"1":null}"#]
        {
            assert!(serde_json::from_str::<AnyRaw>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_object_is_no_value() {
        let failure = raw("filters", &json!([1, {"a": 1}])).unwrap_err();
        assert!(failure.message.contains("filters: invalid type: map"), "{failure:?}");
    }
}
