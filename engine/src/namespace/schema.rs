//! How the schema grows with what clients write, and how what they sent becomes values.
//!
//! # Invariants
//!
//! - **S2** A request extends the schema as a whole or not at all; a type once given stays (S1).

use std::collections::BTreeMap;

use crate::base::cast::cast;
use crate::base::id::AttributeId;
use crate::base::limits;
use crate::base::name::AttributeName;
use crate::base::planted::{self, Bug};
use crate::base::value::{Id, IdType, Raw, Scalar, ScalarType, Type, Uuid, Value};
use crate::format::schema::{Attribute, Schema};
use crate::namespace::request::{AttributeRequest, InvalidWrite, WriteError, WriteRequest};

/// The one attribute whose vectors need no schema.
const VECTOR: &str = "vector";

/// The schema after a request, its documents' new attributes inferred.
///
/// # Errors
///
/// [`InvalidWrite`] if the request contradicts the schema, or a type cannot be told.
pub fn extend(schema: &Schema, request: &WriteRequest) -> Result<Schema, InvalidWrite> {
    let mut next = schema.clone();
    for name in &request.drops {
        next.attributes.remove(name).ok_or_else(|| InvalidWrite::UnknownDrop(name.clone()))?;
    }
    for (name, wanted) in &request.schema {
        declare(&mut next, name, *wanted)?;
    }
    let documents = request.upserts.iter().chain(&request.patches).flatten();
    let values = documents.flat_map(|document| &document.attributes);
    let by_filter = request.patch_by_filter.iter().flat_map(|(_, changes)| changes);
    for (name, inferred) in infer(&next, values.chain(by_filter))? {
        declare(&mut next, &name, AttributeRequest::of(inferred))?;
    }
    extend_ids(&mut next, request)?;
    match (next.metric, request.metric) {
        (Some(expected), Some(sent)) if expected != sent => {
            return Err(InvalidWrite::MetricChange { expected, sent });
        }
        (known, sent) => next.metric = known.or(sent),
    }
    let mut vectors = 0;
    for attribute in next.attributes.values_mut() {
        if let Type::Vector(_) = attribute.value_type {
            vectors += 1;
            let metric = attribute.metric.or(next.metric).ok_or(InvalidWrite::NoMetric)?;
            attribute.metric = Some(metric);
        }
    }
    for (vectors, count, most) in [
        (false, next.attributes.len(), limits::ATTRIBUTES_MAX),
        (true, vectors, limits::VECTOR_ATTRIBUTES_MAX),
    ] {
        if count > most {
            return Err(InvalidWrite::TooManyAttributes { most, vectors });
        }
    }
    Ok(next)
}

/// Adds an attribute, or changes what may be changed of one.
fn declare(
    schema: &mut Schema,
    name: &AttributeName,
    wanted: AttributeRequest,
) -> Result<(), InvalidWrite> {
    check(name, wanted)?;
    let mut next_id = schema.next_id;
    if planted::is(Bug::DroppedNumberComesBack) {
        let free = |id: &AttributeId| schema.by_id(*id).is_none();
        next_id = (0..next_id.0).map(AttributeId).find(free).unwrap_or(next_id);
    }
    if let Some(known) = schema.attributes.get_mut(name) {
        if known.value_type != wanted.value_type {
            let (name, from, to) = (name.clone(), known.value_type, wanted.value_type);
            return Err(InvalidWrite::TypeChange { name, from, to });
        }
        if let (Some(expected), Some(sent)) = (known.metric, wanted.metric)
            && expected != sent
        {
            return Err(InvalidWrite::MetricChange { expected, sent });
        }
        known.filterable = wanted.filterable.unwrap_or(known.filterable);
        known.glob = wanted.glob.unwrap_or(known.glob);
        known.regex = wanted.regex.unwrap_or(known.regex);
        return Ok(());
    }
    let (glob, regex) = (wanted.glob == Some(true), wanted.regex == Some(true));
    let by_default = wanted.value_type.is_comparable() && !glob && !regex;
    let filterable = wanted.filterable.unwrap_or(by_default);
    let value_type = wanted.value_type;
    let metric = wanted.metric.filter(|_| matches!(value_type, Type::Vector(_)));
    let attribute = Attribute { id: next_id, value_type, filterable, glob, regex, metric };
    schema.attributes.insert(name.clone(), attribute);
    let most = limits::ATTRIBUTES_MAX;
    let after = next_id.0.checked_add(1);
    let after = after.ok_or(InvalidWrite::TooManyAttributes { most, vectors: false })?;
    schema.next_id = schema.next_id.max(AttributeId(after));
    Ok(())
}

/// That a type goes with what is asked of it.
fn check(name: &AttributeName, wanted: AttributeRequest) -> Result<(), InvalidWrite> {
    let value_type = wanted.value_type;
    if let Type::Vector(vector) = value_type {
        let most = limits::DIMENSIONS_MAX;
        if vector.dimensions == 0 || vector.dimensions > most {
            return Err(InvalidWrite::Dimensions { most });
        }
    }
    let text = Type::Scalar(ScalarType::String);
    let texts = [text, Type::Array(ScalarType::String)].contains(&value_type);
    let options = [
        ("filterable", wanted.filterable, value_type.is_comparable()),
        ("matched with globs", wanted.glob, texts),
        ("matched with regular expressions", wanted.regex, value_type == text),
    ];
    for (option, asked, fits) in options {
        if asked == Some(true) && !fits {
            return Err(InvalidWrite::Option { name: name.clone(), value_type, option });
        }
    }
    Ok(())
}

/// The types of attributes that the schema does not know, by the values that a request has for them.
fn infer<'a>(
    schema: &Schema,
    values: impl Iterator<Item = &'a (AttributeName, Raw)>,
) -> Result<BTreeMap<AttributeName, Type>, InvalidWrite> {
    let mut inferred: BTreeMap<AttributeName, Option<Type>> = BTreeMap::new();
    for (name, raw) in values {
        if *raw == Raw::Null || schema.attributes.contains_key(name) {
            continue;
        }
        let seen = type_of(name, raw);
        match inferred.get_mut(name) {
            Some(known) => *known = unify(*known, seen),
            None => {
                inferred.insert(name.clone(), seen);
            }
        }
    }
    let told = |(name, known): (AttributeName, Option<Type>)| match known {
        Some(known) => Ok((name, known)),
        None => Err(InvalidWrite::NotInferred(name)),
    };
    inferred.into_iter().map(told).collect()
}

/// The type that a value alone suggests.
fn type_of(name: &AttributeName, raw: &Raw) -> Option<Type> {
    let vector = |dimensions: usize| Some(Type::vector(u32::try_from(dimensions).ok()?));
    if name.as_str() == VECTOR {
        return match raw {
            Raw::List(components) => vector(components.len()),
            // Four bytes a component, in base64: four characters for three bytes.
            Raw::Text(text) => vector(text.trim_end_matches('=').len() * 3 / 4 / 4),
            _ => None,
        };
    }
    match raw {
        Raw::List(elements) => {
            let types = elements.iter().map(scalar_type_of);
            let all = types.reduce(|a, b| match (a?, b?) {
                (a, b) if a == b => Some(a),
                (ScalarType::Int | ScalarType::Float, ScalarType::Int | ScalarType::Float) => {
                    Some(ScalarType::Float)
                }
                _ => None,
            });
            all.flatten().map(Type::Array)
        }
        raw => scalar_type_of(raw).map(Type::Scalar),
    }
}

const fn scalar_type_of(raw: &Raw) -> Option<ScalarType> {
    match raw {
        Raw::Bool(_) => Some(ScalarType::Bool),
        Raw::Integer(_) => Some(ScalarType::Int),
        Raw::Number(_) => Some(ScalarType::Float),
        Raw::Text(_) => Some(ScalarType::String),
        Raw::Null | Raw::List(_) | Raw::Weights(_) => None,
    }
}

/// What two values of one attribute suggest together. The first that suggests anything decides,
/// except that whole numbers among others are floats; a value that does not fit is found when it is
/// cast.
fn unify(known: Option<Type>, seen: Option<Type>) -> Option<Type> {
    use ScalarType::{Float, Int};
    match (known, seen) {
        (Some(Type::Scalar(Int)), Some(Type::Scalar(Float))) => seen,
        (Some(Type::Array(Int)), Some(Type::Array(Float))) => seen,
        (None, seen) => seen,
        (known, _) => known,
    }
}

/// Settles the kind of ids.
fn extend_ids(schema: &mut Schema, request: &WriteRequest) -> Result<(), InvalidWrite> {
    match (schema.id_type, request.id_type) {
        (Some(expected), Some(sent)) if expected != sent => {
            return Err(InvalidWrite::IdType { expected: expected.name(), sent: sent.name() });
        }
        (None, Some(sent)) => schema.id_type = Some(sent),
        _ => {}
    }
    if schema.id_type.is_none() {
        let documents = request.upserts.iter().chain(&request.patches).flatten();
        let ids = documents.map(|document| &document.id).chain(request.deletes.iter().flatten());
        schema.id_type = ids.into_iter().next().map(|id| match id {
            Raw::Text(_) => IdType::String,
            _ => IdType::Uint,
        });
    }
    Ok(())
}

impl IdType {
    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uint => "uint",
            Self::Uuid => "uuid",
            Self::String => "string",
        }
    }
}

/// The id that a client sent.
///
/// # Errors
///
/// [`InvalidWrite`] if it is no id of this kind.
pub fn cast_id(raw: &Raw, id_type: IdType) -> Result<Id, InvalidWrite> {
    let other = || InvalidWrite::IdType { expected: id_type.name(), sent: raw.kind() };
    match (id_type, raw) {
        (IdType::Uint, Raw::Integer(n)) => u64::try_from(*n).map(Id::Uint).map_err(|_| other()),
        (IdType::Uuid, Raw::Text(text)) => {
            Uuid::parse(text).map(|uuid| Id::Uuid(uuid.0)).ok_or(InvalidWrite::NotUuid)
        }
        (IdType::Uuid, _) => Err(InvalidWrite::NotUuid),
        (IdType::String, Raw::Text(text)) if (1..=limits::ID_BYTES_MAX).contains(&text.len()) => {
            Ok(Id::String(text.clone()))
        }
        (IdType::String, Raw::Text(_)) => Err(InvalidWrite::IdLength),
        _ => Err(other()),
    }
}

/// The values a client sent, by ascending attribute; `None` for null.
///
/// # Errors
///
/// [`WriteError`] if a value is of another type or too large.
///
/// # Panics
///
/// If the schema was not extended by the request they come from.
pub fn cast_attributes(
    schema: &Schema,
    raw: &[(AttributeName, Raw)],
) -> Result<Vec<(AttributeId, Option<Value>)>, WriteError> {
    let mut values = Vec::with_capacity(raw.len());
    for (name, raw) in raw {
        // A name that was never anything but null is in no schema.
        let Some(attribute) = schema.attributes.get(name) else {
            assert_eq!(*raw, Raw::Null, "S2: the schema was extended by what it does not know");
            continue;
        };
        let value = if *raw == Raw::Null { None } else { Some(cast_value(name, attribute, raw)?) };
        values.push((attribute.id, value));
    }
    values.sort_unstable_by_key(|(id, _)| *id);
    Ok(values)
}

fn cast_value(name: &AttributeName, attribute: &Attribute, raw: &Raw) -> Result<Value, WriteError> {
    let value = cast(raw, attribute.value_type).map_err(|problem| {
        let attribute = name.to_string();
        WriteError::Rejected { attribute, problem }
    })?;
    // Elements count even if they have no bytes: pages bound how many they hold.
    let (largest, count) = match &value {
        Value::Scalar(scalar) => (scalar.logical_bytes(), 1),
        Value::Array(elements) => {
            (elements.iter().map(Scalar::logical_bytes).max().unwrap_or(0), elements.len() as u64)
        }
        Value::Vector(_) | Value::Sparse(_) | Value::Bytes(_) => (0, 1),
    };
    let too_large = |most: usize, filterable: bool| {
        let attribute = name.clone();
        InvalidWrite::ValueTooLarge { attribute, most, filterable }
    };
    if attribute.filterable && largest > limits::FILTERABLE_VALUE_BYTES_MAX as u64 {
        return Err(too_large(limits::FILTERABLE_VALUE_BYTES_MAX, true).into());
    }
    if value.logical_bytes().max(count) > limits::VALUE_BYTES_MAX as u64 {
        return Err(too_large(limits::VALUE_BYTES_MAX, false).into());
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::value::Float;
    use crate::format::schema::Metric;
    use crate::namespace::request::RawDocument;

    fn name(name: &str) -> AttributeName {
        AttributeName::parse(name).unwrap()
    }

    fn request(documents: Vec<(u64, Vec<(&str, Raw)>)>) -> WriteRequest {
        let document = |(id, attributes): (u64, Vec<(&str, Raw)>)| RawDocument {
            id: Raw::Integer(id.into()),
            attributes: attributes.into_iter().map(|(n, raw)| (name(n), raw)).collect(),
        };
        let upserts = Some(documents.into_iter().map(document).collect());
        WriteRequest { upserts, ..WriteRequest::default() }
    }

    fn text(text: &str) -> Raw {
        Raw::Text(text.into())
    }

    #[test]
    fn types_are_inferred_over_all_documents_of_a_request() {
        let half = Raw::Number(Float::new(0.5).unwrap());
        let request = request(vec![
            (1, vec![("a", Raw::Null), ("b", Raw::Integer(1)), ("c", Raw::List(vec![]))]),
            (2, vec![("a", text("x")), ("b", half), ("c", Raw::List(vec![text("t")]))]),
        ]);
        let schema = extend(&Schema::default(), &request).unwrap();
        let types = schema.attributes.iter().map(|(n, a)| (n.as_str(), a.value_type.to_string()));
        let types: Vec<_> = types.collect();
        let expected = [("a", "string"), ("b", "float"), ("c", "[]string")];
        assert_eq!(types, expected.map(|(n, t)| (n, t.to_owned())));
        assert_eq!(schema.id_type, Some(IdType::Uint));
    }

    #[test]
    fn a_vector_needs_a_metric_and_keeps_its_length() {
        let vector = |n: usize| Raw::List(vec![Raw::Integer(1); n]);
        let mut first = request(vec![(1, vec![("vector", vector(2))])]);
        assert_eq!(extend(&Schema::default(), &first), Err(InvalidWrite::NoMetric));
        first.metric = Some(Metric::Cosine);
        let schema = extend(&Schema::default(), &first).unwrap();
        let base64 = request(vec![(1, vec![("vector", text("zczMPc3MTD4="))])]);
        assert_eq!(extend(&schema, &base64).as_ref(), Ok(&schema));
        let other = [(name("vector"), vector(3))];
        assert!(matches!(cast_attributes(&schema, &other), Err(WriteError::Rejected { .. })));
        let first = WriteRequest { metric: Some(Metric::Cosine), ..base64 };
        assert_eq!(extend(&Schema::default(), &first), Ok(schema), "the length is seen in base64");
    }

    #[test]
    fn each_vector_attribute_may_have_a_metric_of_its_own() {
        let vector = |metric| AttributeRequest { metric, ..AttributeRequest::of(Type::vector(2)) };
        let said = |all: &[(&str, AttributeRequest)], metric| WriteRequest {
            schema: all.iter().map(|(n, wanted)| (name(n), *wanted)).collect(),
            metric,
            ..WriteRequest::default()
        };
        let (dot, cosine) = (Some(Metric::Dot), Some(Metric::Cosine));
        let two = said(&[("a", vector(dot)), ("b", vector(None))], cosine);
        let schema = extend(&Schema::default(), &two).unwrap();
        let metrics: Vec<_> = schema.attributes.values().map(|a| a.metric).collect();
        assert_eq!((metrics, schema.metric), (vec![dot, cosine], cosine));
        assert_eq!(extend(&schema, &said(&[("a", vector(None))], None)), Ok(schema.clone()));
        let other = extend(&schema, &said(&[("a", vector(cosine))], None));
        let (expected, sent) = (Metric::Dot, Metric::Cosine);
        assert_eq!(other, Err(InvalidWrite::MetricChange { expected, sent }));
        let none = said(&[("a", vector(dot)), ("b", vector(None))], None);
        assert_eq!(extend(&Schema::default(), &none), Err(InvalidWrite::NoMetric));
    }

    #[test]
    fn what_patterns_match_is_not_filterable_unless_it_is_said() {
        let declared = |text: &str, glob, regex, filterable| {
            let value_type = Type::parse(text).unwrap();
            let wanted =
                AttributeRequest { filterable, glob, regex, ..AttributeRequest::of(value_type) };
            let request =
                WriteRequest { schema: vec![(name("a"), wanted)], ..WriteRequest::default() };
            extend(&Schema::default(), &request)
                .map(|schema| schema.attributes[&name("a")].filterable)
        };
        assert_eq!(declared("string", Some(true), None, None), Ok(false));
        assert_eq!(declared("string", None, Some(true), Some(true)), Ok(true));
        assert_eq!(declared("[]string", Some(false), None, None), Ok(true));
        for (text, glob, regex, filterable) in [
            ("int", Some(true), None, None),
            ("[]string", None, Some(true), None),
            ("bytes", None, None, Some(true)),
            ("{}f16", None, None, Some(true)),
            ("[3]i8", None, None, Some(true)),
        ] {
            let refused = declared(text, glob, regex, filterable);
            assert!(matches!(refused, Err(InvalidWrite::Option { .. })), "{text}");
        }
        assert_eq!(declared("bytes", None, None, None), Ok(false));
    }

    #[test]
    fn a_type_once_given_stays() {
        let schema = extend(&Schema::default(), &request(vec![(1, vec![("a", text("x"))])]));
        let schema = schema.unwrap();
        let wanted = AttributeRequest::of(Type::parse("int").unwrap());
        let change = WriteRequest { schema: vec![(name("a"), wanted)], ..WriteRequest::default() };
        assert!(matches!(extend(&schema, &change), Err(InvalidWrite::TypeChange { .. })));
    }

    #[test]
    fn an_attribute_of_which_only_empty_lists_are_known_has_no_type() {
        let request = request(vec![(1, vec![("a", Raw::List(vec![]))])]);
        assert_eq!(extend(&Schema::default(), &request), Err(InvalidWrite::NotInferred(name("a"))));
    }

    #[test]
    fn what_values_suggest_is_unified_and_what_is_known_is_not_inferred_again() {
        let half = || Raw::Number(Float::new(0.5).unwrap());
        let list = |elements: Vec<Raw>| request(vec![(1, vec![("a", Raw::List(elements))])]);
        let inferred = |elements| {
            let schema = extend(&Schema::default(), &list(elements));
            schema.map(|schema| schema.attributes[&name("a")].value_type.to_string())
        };
        for (elements, of) in [
            (vec![Raw::Integer(1), Raw::Integer(2)], "[]int"),
            (vec![Raw::Integer(1), half()], "[]float"),
            (vec![half(), Raw::Integer(1), half()], "[]float"),
            (vec![text("x"), text("y")], "[]string"),
        ] {
            assert_eq!(inferred(elements), Ok(of.to_owned()));
        }
        let refused = Err(InvalidWrite::NotInferred(name("a")));
        assert_eq!(inferred(vec![Raw::Integer(1), text("x")]), refused);
        assert_eq!(inferred(vec![Raw::Bool(true), half()]), refused);
        let floats = extend(&Schema::default(), &request(vec![(1, vec![("a", half())])])).unwrap();
        let whole = request(vec![(1, vec![("a", Raw::Integer(1))])]);
        assert_eq!(extend(&floats, &whole), Ok(floats.clone()), "a whole number is a float, too");
    }

    #[test]
    fn a_namespace_keeps_its_metric() {
        let said = |metric| WriteRequest { metric: Some(metric), ..WriteRequest::default() };
        let (expected, sent) = (Metric::Dot, Metric::Cosine);
        let schema = extend(&Schema::default(), &said(expected)).unwrap();
        assert_eq!(extend(&schema, &said(expected)), Ok(schema.clone()));
        assert_eq!(extend(&schema, &WriteRequest::default()), Ok(schema.clone()));
        let other = extend(&schema, &said(sent));
        assert_eq!(other, Err(InvalidWrite::MetricChange { expected, sent }));
    }

    #[test]
    fn there_are_as_many_attributes_dimensions_and_vectors_as_there_may_be() {
        let declared = |count: usize, value_type: Type| {
            let names = (0..count).map(|n| name(&format!("a{n}")));
            let schema = names.map(|name| (name, AttributeRequest::of(value_type))).collect();
            let metric = Some(Metric::Cosine);
            extend(&Schema::default(), &WriteRequest { schema, metric, ..WriteRequest::default() })
        };
        let int = Type::Scalar(ScalarType::Int);
        let most = limits::ATTRIBUTES_MAX;
        assert!(declared(most, int).is_ok());
        let refused = InvalidWrite::TooManyAttributes { most, vectors: false };
        assert_eq!(declared(most + 1, int), Err(refused));
        let most = limits::VECTOR_ATTRIBUTES_MAX;
        assert!(declared(most, Type::vector(1)).is_ok());
        let refused = InvalidWrite::TooManyAttributes { most, vectors: true };
        assert_eq!(declared(most + 1, Type::vector(1)), Err(refused));
        let most = limits::DIMENSIONS_MAX;
        assert!(declared(1, Type::vector(most)).is_ok());
        for dimensions in [0, most + 1] {
            let refused = declared(1, Type::vector(dimensions));
            assert_eq!(refused, Err(InvalidWrite::Dimensions { most }));
        }
    }

    #[test]
    fn a_value_may_be_as_large_as_its_limit_and_no_larger() {
        let (filterable, any) = (limits::FILTERABLE_VALUE_BYTES_MAX, limits::VALUE_BYTES_MAX);
        let sized = |bytes: usize| text(&"x".repeat(bytes));
        let nothings = |count: usize| Raw::List(vec![text(""); count]);
        let short = |count: usize| Raw::List(vec![sized(filterable); count]);
        let texts = Type::Array(ScalarType::String);
        let one = Type::Scalar(ScalarType::String);
        for (value_type, is_filterable, most, fits, too_large) in [
            (one, true, filterable, sized(filterable), sized(filterable + 1)),
            (one, false, any, sized(any), sized(any + 1)),
            // Each element has to fit into an index, and all of them into a page.
            (texts, true, any, short(any / filterable), short(any / filterable + 1)),
            (texts, true, any, nothings(any), nothings(any + 1)),
        ] {
            let wanted = AttributeRequest {
                filterable: Some(is_filterable),
                ..AttributeRequest::of(value_type)
            };
            let schema = vec![(name("a"), wanted)];
            let schema = WriteRequest { schema, ..WriteRequest::default() };
            let schema = extend(&Schema::default(), &schema).unwrap();
            let cast = |value| cast_attributes(&schema, &[(name("a"), value)]).map(|all| all.len());
            assert_eq!(cast(fits), Ok(1));
            let filterable = most == filterable;
            let refused = InvalidWrite::ValueTooLarge { attribute: name("a"), most, filterable };
            assert_eq!(cast(too_large), Err(WriteError::Invalid(refused)));
        }
    }

    #[test]
    fn the_kind_of_ids_is_said_or_that_of_the_first_and_stays() {
        let said = |id_type| WriteRequest { id_type, ..WriteRequest::default() };
        let kind = |schema: &Schema, request: &WriteRequest| {
            extend(schema, request).map(|schema| schema.id_type)
        };
        let none = Schema::default();
        for id_type in [IdType::Uint, IdType::String, IdType::Uuid] {
            assert_eq!(kind(&none, &said(Some(id_type))), Ok(Some(id_type)));
            let schema = Schema { id_type: Some(id_type), ..Schema::default() };
            assert_eq!(kind(&schema, &said(None)), Ok(Some(id_type)));
            assert_eq!(kind(&schema, &said(Some(id_type))), Ok(Some(id_type)));
        }
        let uuids = Schema { id_type: Some(IdType::Uuid), ..Schema::default() };
        let other = InvalidWrite::IdType { expected: "uuid", sent: "uint" };
        assert_eq!(kind(&uuids, &said(Some(IdType::Uint))), Err(other));
        let delete = |id| WriteRequest { deletes: Some(vec![id]), ..WriteRequest::default() };
        assert_eq!(kind(&none, &delete(text("x"))), Ok(Some(IdType::String)));
        assert_eq!(kind(&none, &delete(Raw::Integer(1))), Ok(Some(IdType::Uint)));
        assert_eq!(kind(&none, &said(None)), Ok(None));
    }

    #[test]
    fn ids_are_of_one_kind() {
        let uuid = "769c134d-07b8-4225-954a-b6cc5ffc320c";
        let bits = 0x769c_134d_07b8_4225_954a_b6cc_5ffc_320c;
        assert_eq!(cast_id(&text(uuid), IdType::Uuid), Ok(Id::Uuid(bits)));
        assert_eq!(cast_id(&Raw::Integer(1), IdType::Uuid), Err(InvalidWrite::NotUuid));
        let longest = "x".repeat(limits::ID_BYTES_MAX);
        assert_eq!(cast_id(&text(&longest), IdType::String), Ok(Id::String(longest.into())));
        let string = InvalidWrite::IdType { expected: "string", sent: "int" };
        assert_eq!(cast_id(&Raw::Integer(1), IdType::String), Err(string));
        assert_eq!(cast_id(&Raw::Integer(7), IdType::Uint), Ok(Id::Uint(7)));
        let uint = InvalidWrite::IdType { expected: "uint", sent: "string" };
        assert_eq!(cast_id(&text("7"), IdType::Uint), Err(uint));
        assert!(cast_id(&Raw::Integer(-1), IdType::Uint).is_err());
        assert_eq!(cast_id(&text("x"), IdType::Uuid), Err(InvalidWrite::NotUuid));
        assert_eq!(cast_id(&text(&"x".repeat(65)), IdType::String), Err(InvalidWrite::IdLength));
        assert_eq!(cast_id(&text(""), IdType::String), Err(InvalidWrite::IdLength));
    }
}
