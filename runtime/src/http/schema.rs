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
    /// Attributes to drop.
    pub(super) drops: Vec<AttributeName>,
}

/// What the `schema` of a request says.
///
/// # Errors
///
/// 422 if an entry is of the wrong shape, 400 if it cannot be or is not supported.
pub(super) fn parse(entries: Map<String, Value>) -> Result<Said, Failure> {
    let mut said = Said::default();
    for (name, entry) in entries {
        if is_drop(&name, &entry)? {
            let parsed = AttributeName::parse(&name)
                .map_err(|problem| Failure::bad_attribute(&name, problem))?;
            said.drops.push(parsed);
            continue;
        }
        let entry = Entry::parse(&name, entry)?;
        if name == "id" {
            said.id_type = Some(id_type(&entry.type_name)?);
            continue;
        }
        let parsed = AttributeName::parse(&name)
            .map_err(|problem| Failure::bad_attribute(&name, problem))?;
        let value_type = value_type(&entry.type_name)?;
        entry.check(&name, value_type)?;
        let Entry { filterable, glob, regex, metric, .. } = entry;
        let request = AttributeRequest { value_type, filterable, glob, regex, metric };
        said.attributes.push((parsed, request));
    }
    Ok(said)
}

/// Whether an entry is `{"drop": true}`: the attribute shall not be there any more.
fn is_drop(name: &str, entry: &Value) -> Result<bool, Failure> {
    match entry.get("drop") {
        None | Some(Value::Null | Value::Bool(false)) => Ok(false),
        Some(Value::Bool(true)) if entry.as_object().is_some_and(|fields| fields.len() == 1) => {
            Ok(true)
        }
        Some(Value::Bool(true)) => {
            let message = format!("💔 schema.{name}: drop stands alone");
            Err(Failure::meaning(message))
        }
        Some(_) => {
            let message = format!("schema.{name}: drop: invalid type, expected a boolean");
            Err(Failure::shape(message))
        }
    }
}

/// One entry: a type, or an object with one.
#[derive(Default)]
struct Entry {
    type_name: String,
    filterable: Option<bool>,
    glob: Option<bool>,
    regex: Option<bool>,
    ann: bool,
    sparse_knn: bool,
    metric: Option<Metric>,
}

/// What turbopuffer's schemas can say and ours cannot, when it is not false or null.
const UNSUPPORTED: [&str; 2] = ["full_text_search", "fuzzy"];

impl Entry {
    fn parse(name: &str, entry: Value) -> Result<Self, Failure> {
        let shape = |what: &str| Failure::shape(format!("schema.{name}: {what}"));
        let mut fields = match entry {
            Value::String(type_name) => {
                return Ok(Self { type_name, ..Self::default() });
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
        let switch = |field: &str| match fields.get(field) {
            None => Ok(None),
            Some(Value::Bool(on)) => Ok(Some(*on)),
            Some(_) => Err(shape(&format!("{field}: invalid type, expected a boolean"))),
        };
        let (filterable, glob, regex) = (switch("filterable")?, switch("glob")?, switch("regex")?);
        let sparse_knn = match fields.get("sparse_knn") {
            None => false,
            Some(Value::Bool(on)) => *on,
            Some(Value::Object(options)) => match options.get("distance_metric") {
                None | Some(Value::Null) => true,
                Some(metric) if *metric == json!("dot_product") => true,
                Some(_) => {
                    return Err(shape("sparse_knn.distance_metric: expected `dot_product`"));
                }
            },
            Some(_) => return Err(shape("sparse_knn: invalid type, expected an object")),
        };
        let (ann, metric) = match fields.get("ann") {
            None => (false, None),
            Some(Value::Bool(ann)) => (*ann, None),
            Some(Value::Object(ann)) => (true, ann_metric(name, ann)?),
            Some(_) => return Err(shape("ann: invalid type, expected a boolean or an object")),
        };
        match fields.remove("type") {
            Some(Value::String(type_name)) => {
                Ok(Self { type_name, filterable, glob, regex, ann, sparse_knn, metric })
            }
            Some(_) => Err(shape("type: invalid type, expected a string")),
            None => Err(shape("missing field `type`")),
        }
    }
}

impl Entry {
    /// That what it says of vectors goes with its type.
    fn check(&self, name: &str, value_type: Type) -> Result<(), Failure> {
        let vector = matches!(value_type, Type::Vector(_));
        let sparse = value_type == Type::Sparse;
        let problem = match (vector, self.ann, sparse, self.sparse_knn) {
            (true, false, ..) => format!("💔 vector attribute '{name}' must have ann:true"),
            (false, true, ..) => format!("💔 attribute '{name}' has ann, but is not a vector"),
            (_, _, true, false) => {
                format!("💔 sparse vector attribute '{name}' must have sparse_knn")
            }
            (_, _, false, true) => {
                format!("💔 attribute '{name}' has sparse_knn, but is not a sparse vector")
            }
            _ => return Ok(()),
        };
        Err(Failure::meaning(problem))
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
    Type::parse(name).ok_or_else(|| {
        // Lists of vectors, for late interaction.
        if name.starts_with("[][") {
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
        let none = json!({"type": type_name, "filterable": null, "full_text_search": null});
        let mut entry = match attribute.value_type {
            Type::Vector(_) => {
                let mut entry = none;
                entry["ann"] = json!(true);
                entry
            }
            Type::Sparse => none,
            _ => {
                json!({"type": type_name, "filterable": attribute.filterable, "full_text_search": null})
            }
        };
        show_patterns(attribute, &mut entry);
        entry
    };
    let id = |name: &str| json!({"type": name, "filterable": null, "full_text_search": null});
    Bytes::from(entries(schema, id, entry).to_string())
}

/// The schema as it stands in the metadata of a namespace.
pub(super) fn in_metadata(schema: &Schema) -> Value {
    let entry = |attribute: &Attribute| {
        let type_name = attribute.value_type.to_string();
        let mut entry = match attribute.value_type {
            Type::Vector(_) => {
                let metric = attribute.metric.map(Metric::name);
                json!({"type": type_name, "ann": {"distance_metric": metric}})
            }
            Type::Sparse => {
                json!({"type": type_name, "sparse_knn": {"distance_metric": "dot_product"}})
            }
            _ => json!({"type": type_name, "filterable": attribute.filterable}),
        };
        show_patterns(attribute, &mut entry);
        entry
    };
    entries(schema, |name| json!({"type": name}), entry)
}

/// Shows by which patterns an attribute can be matched, where it is not by none.
fn show_patterns(attribute: &Attribute, entry: &mut Value) {
    for (option, on) in [("glob", attribute.glob), ("regex", attribute.regex)] {
        if on {
            entry[option] = json!(true);
        }
    }
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
        assert_eq!(vector.attributes[0].1.metric, Some(Metric::EuclideanSquared));
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
        refused(&json!({"a": {"type": "[][2]f16", "ann": true}}), 400, "[][2]f16 is not supported");
        refused(&json!({"a": {"type": "{}f16"}}), 400, "'a' must have sparse_knn");
        refused(&json!({"a": {"type": "int", "sparse_knn": {}}}), 400, "not a sparse vector");
        let other = json!({"type": "{}f16", "sparse_knn": {"distance_metric": "x"}});
        refused(&json!({"a": other}), 422, "expected `dot_product`");
        refused(&json!({"a": {"type": "string", "regex": "yes"}}), 422, "regex: invalid type");
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
        let mut add = |name, id, value_type| {
            let name = AttributeName::parse(name).unwrap();
            let metric = matches!(value_type, Type::Vector(_)).then_some(Metric::Cosine);
            let attribute = Attribute { metric, ..Attribute::of(AttributeId(id), value_type) };
            schema.attributes.insert(name, attribute);
        };
        add("b", 0, Type::Scalar(ScalarType::Bool));
        add("vector", 1, Type::vector(2));
        add("s", 2, Type::Sparse);
        add("x", 3, Type::Bytes);
        schema.attributes.get_mut(&AttributeName::parse("b").unwrap()).unwrap().glob = true;
        let echoed: Value = serde_json::from_slice(&answer(&schema)).unwrap();
        let expected = json!({
            "id": {"type": "uint", "filterable": null, "full_text_search": null},
            "b": {"type": "bool", "filterable": true, "full_text_search": null, "glob": true},
            "s": {"type": "{}f16", "filterable": null, "full_text_search": null},
            "x": {"type": "bytes", "filterable": false, "full_text_search": null},
            "vector": {"type": "[2]f32", "ann": true, "filterable": null, "full_text_search": null},
        });
        assert_eq!(echoed, expected);
        let expected = json!({
            "id": {"type": "uint"},
            "b": {"type": "bool", "filterable": true, "glob": true},
            "s": {"type": "{}f16", "sparse_knn": {"distance_metric": "dot_product"}},
            "x": {"type": "bytes", "filterable": false},
            "vector": {"type": "[2]f32", "ann": {"distance_metric": "cosine_distance"}},
        });
        assert_eq!(in_metadata(&schema), expected);
    }
}
