//! Schemas: what a client says of its attributes, and the two ways in which it is told.

use bytes::Bytes;
use sana_engine::base::name::AttributeName;
use sana_engine::base::value::{IdType, Type};
use sana_engine::format::schema::{Attribute, Metric, Schema};
use sana_engine::namespace::request::AttributeRequest;
use serde_json::{Map, Value, json};

use super::errors::Failure;
use super::write::MetricName;

/// What a client says about attributes, ids and vectors.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Said {
    pub(super) attributes: Vec<(AttributeName, AttributeRequest)>,
    pub(super) id_type: Option<IdType>,
    /// The metric named by a vector attribute.
    pub(super) metric: Option<Metric>,
}

/// What the `schema` of a request says.
///
/// # Errors
///
/// 422 if an entry is of the wrong shape, 400 if it cannot be or is not supported.
pub(super) fn parse(entries: Map<String, Value>) -> Result<Said, Failure> {
    let mut said = Said::default();
    for (name, entry) in entries {
        let entry = Entry::parse(&name, entry)?;
        if name == "id" {
            said.id_type = Some(id_type(&entry.type_name)?);
            continue;
        }
        let parsed = AttributeName::parse(&name)
            .map_err(|problem| Failure::bad_attribute(&name, problem))?;
        let value_type = value_type(&entry.type_name)?;
        if let Some(metric) = entry.metric {
            if said.metric.is_some_and(|other| other != metric) {
                let message = "💔 all vector attributes have one distance metric";
                return Err(Failure::meaning(message));
            }
            said.metric = Some(metric);
        }
        match (value_type, entry.ann) {
            (Type::Vector(_), false) => {
                let message = format!("💔 vector attribute '{name}' must have ann:true");
                return Err(Failure::meaning(message));
            }
            (Type::Vector(_), true) | (_, false) => {}
            (_, true) => {
                let message = format!("💔 attribute '{name}' has ann, but is not a vector");
                return Err(Failure::meaning(message));
            }
        }
        let request = AttributeRequest { value_type, filterable: entry.filterable };
        said.attributes.push((parsed, request));
    }
    Ok(said)
}

/// One entry: a type, or an object with one.
struct Entry {
    type_name: String,
    filterable: Option<bool>,
    ann: bool,
    metric: Option<Metric>,
}

/// What turbopuffer's schemas can say and ours cannot, when it is not false or null.
const UNSUPPORTED: [&str; 6] = ["full_text_search", "regex", "glob", "fuzzy", "sparse_knn", "drop"];

impl Entry {
    fn parse(name: &str, entry: Value) -> Result<Self, Failure> {
        let shape = |what: &str| Failure::shape(format!("schema.{name}: {what}"));
        let mut fields = match entry {
            Value::String(type_name) => {
                return Ok(Self { type_name, filterable: None, ann: false, metric: None });
            }
            Value::Object(fields) => fields,
            _ => return Err(shape("invalid type: expected a type or an object with a type")),
        };
        fields.retain(|_, value| !value.is_null());
        let on = |field: &str| fields.get(field).is_some_and(|value| *value != json!(false));
        if let Some(feature) = UNSUPPORTED.into_iter().find(|field| on(field)) {
            return Err(Failure::unsupported(&format!("{feature} (attribute '{name}')")));
        }
        if on("embed") {
            return Err(Failure::hosted(&format!("embed (attribute '{name}')")));
        }
        let filterable = match fields.get("filterable") {
            None => None,
            Some(Value::Bool(filterable)) => Some(*filterable),
            Some(_) => return Err(shape("filterable: invalid type, expected a boolean")),
        };
        let (ann, metric) = match fields.get("ann") {
            None => (false, None),
            Some(Value::Bool(ann)) => (*ann, None),
            Some(Value::Object(ann)) => (true, ann_metric(name, ann)?),
            Some(_) => return Err(shape("ann: invalid type, expected a boolean or an object")),
        };
        match fields.remove("type") {
            Some(Value::String(type_name)) => Ok(Self { type_name, filterable, ann, metric }),
            Some(_) => Err(shape("type: invalid type, expected a string")),
            None => Err(shape("missing field `type`")),
        }
    }
}

fn ann_metric(name: &str, ann: &Map<String, Value>) -> Result<Option<Metric>, Failure> {
    if ann
        .get("late_interaction")
        .is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false)))
    {
        return Err(Failure::unsupported(&format!("late_interaction (attribute '{name}')")));
    }
    let Some(metric) = ann.get("distance_metric").filter(|metric| !metric.is_null()) else {
        return Ok(None);
    };
    let parsed = <MetricName as serde::Deserialize>::deserialize(metric);
    let place = format!("schema.{name}.ann.distance_metric");
    parsed
        .map(|metric| Some(metric.into()))
        .map_err(|error| Failure::shape(format!("{place}: {error}")))
}

fn id_type(name: &str) -> Result<IdType, Failure> {
    match name {
        "uint" => Ok(IdType::Uint),
        "uuid" => Ok(IdType::Uuid),
        "string" => Ok(IdType::String),
        other => Err(Failure::meaning(format!("💔 {other} is not a valid ID type"))),
    }
}

fn value_type(name: &str) -> Result<Type, Failure> {
    let vectors = ["]f32", "]f16", "]i8"].iter().any(|element| name.ends_with(element));
    let elsewhere = name == "bytes" || name == "{}f16" || (name.starts_with('[') && vectors);
    Type::parse(name).ok_or_else(|| {
        if elsewhere {
            Failure::unsupported(&format!("attribute type {name}"))
        } else {
            Failure::meaning(format!("💔 '{name}' is not a type of attributes"))
        }
    })
}

const fn id_name(id_type: IdType) -> &'static str {
    match id_type {
        IdType::Uint => "uint",
        IdType::Uuid => "uuid",
        IdType::String => "string",
    }
}

/// The schema as `/v1/namespaces/{ns}/schema` shows it.
pub(super) fn answer(schema: &Schema) -> Bytes {
    let entry = |attribute: &Attribute| {
        let type_name = attribute.value_type.to_string();
        if let Type::Vector(_) = attribute.value_type {
            return json!({"type": type_name, "ann": true, "filterable": null, "full_text_search": null});
        }
        json!({"type": type_name, "filterable": attribute.filterable, "full_text_search": null})
    };
    let id = |name: &str| json!({"type": name, "filterable": null, "full_text_search": null});
    Bytes::from(entries(schema, id, entry).to_string())
}

/// The schema as it stands in the metadata of a namespace.
pub(super) fn in_metadata(schema: &Schema) -> Value {
    let metric = schema.metric.map(Metric::name);
    let entry = |attribute: &Attribute| {
        let type_name = attribute.value_type.to_string();
        if let Type::Vector(_) = attribute.value_type {
            return json!({"type": type_name, "ann": {"distance_metric": metric}});
        }
        json!({"type": type_name, "filterable": attribute.filterable})
    };
    entries(schema, |name| json!({"type": name}), entry)
}

fn entries(
    schema: &Schema,
    id: impl Fn(&str) -> Value,
    entry: impl Fn(&Attribute) -> Value,
) -> Value {
    let attributes = schema.attributes.iter();
    let mut all: Map<_, _> =
        attributes.map(|(name, attribute)| (name.as_str().to_owned(), entry(attribute))).collect();
    if let Some(id_type) = schema.id_type {
        all.insert("id".to_owned(), id(id_name(id_type)));
    }
    Value::Object(all)
}

#[cfg(test)]
mod tests {
    use sana_engine::base::id::AttributeId;
    use sana_engine::base::value::ScalarType;

    use super::*;

    fn said(body: &Value) -> Result<Said, Failure> {
        parse(body.as_object().unwrap().clone())
    }

    fn refused(body: &Value, status: u16, part: &str) {
        let failure = said(body).expect_err(part);
        assert_eq!(failure.status.as_u16(), status, "{failure:?}");
        assert!(failure.message.contains(part), "{failure:?}");
    }

    #[test]
    fn a_type_alone_is_the_object_with_it() {
        let short = said(&json!({"a": "[]string", "id": "uuid"})).unwrap();
        let long = json!({"a": {"type": "[]string"}, "id": {"type": "uuid"}});
        assert_eq!(Ok(short.clone()), said(&long));
        assert_eq!(short.id_type, Some(IdType::Uuid));
        let request = short.attributes[0].1;
        assert_eq!(request.value_type, Type::Array(ScalarType::String));
        assert_eq!(request.filterable, None);
    }

    #[test]
    fn a_vector_says_ann_and_may_say_its_metric() {
        let ann = json!({"distance_metric": "euclidean_squared"});
        let vector = said(&json!({"v": {"type": "[3]f32", "ann": ann}})).unwrap();
        assert_eq!(vector.metric, Some(Metric::EuclideanSquared));
        assert!(said(&json!({"v": {"type": "[3]f32", "ann": {}}})).is_ok());
        refused(&json!({"v": "[3]f32"}), 400, "vector attribute 'v' must have ann:true");
        let other = json!({"v": {"type": "[3]f32", "ann": {"distance_metric": "x"}}});
        refused(&other, 422, "unknown variant `x`");
    }

    #[test]
    fn what_cannot_be_is_said_by_name() {
        refused(&json!({"a": {"filterable": true}}), 422, "missing field `type`");
        refused(&json!({"a": 5}), 422, "schema.a");
        refused(&json!({"a": "number"}), 400, "'number' is not a type");
        refused(&json!({"a": {"type": "[2]f16", "ann": true}}), 400, "[2]f16 is not supported");
        refused(&json!({"id": "int"}), 400, "💔 int is not a valid ID type");
        refused(&json!({"$a": "int"}), 400, "must not start with `$`");
        let text = json!({"a": {"type": "string", "full_text_search": {"stemming": true}}});
        refused(&text, 400, "full_text_search (attribute 'a') is not supported");
        refused(&json!({"a": {"drop": true}}), 400, "drop");
        let off =
            json!({"a": {"type": "string", "full_text_search": false, "regex": null, "new": 1}});
        assert!(said(&off).is_ok());
    }

    #[test]
    fn a_schema_is_echoed_with_the_keys_clients_compare() {
        let mut schema = Schema { id_type: Some(IdType::Uint), ..Schema::default() };
        schema.metric = Some(Metric::Cosine);
        let mut add = |name, id, value_type, filterable| {
            let name = AttributeName::parse(name).unwrap();
            let attribute = Attribute { id: AttributeId(id), value_type, filterable };
            schema.attributes.insert(name, attribute);
        };
        add("b", 0, Type::Scalar(ScalarType::Bool), true);
        add("vector", 1, Type::Vector(2), false);
        let echoed: Value = serde_json::from_slice(&answer(&schema)).unwrap();
        let expected = json!({
            "id": {"type": "uint", "filterable": null, "full_text_search": null},
            "b": {"type": "bool", "filterable": true, "full_text_search": null},
            "vector": {"type": "[2]f32", "ann": true, "filterable": null, "full_text_search": null},
        });
        assert_eq!(echoed, expected);
        let expected = json!({
            "id": {"type": "uint"},
            "b": {"type": "bool", "filterable": true},
            "vector": {"type": "[2]f32", "ann": {"distance_metric": "cosine_distance"}},
        });
        assert_eq!(in_metadata(&schema), expected);
    }
}
