//! Documents of a write, parsed straight from the body.
//!
//! A body may hold hundreds of megabytes, so no tree stands between it and the request: rows become
//! documents as they are read, and columns are kept as values until all are there.
//!
//! The names of a batch are the same from document to document and mostly in the same order. They
//! are parsed once and shared.

use core::fmt;

use sana_engine::base::name::AttributeName;
use sana_engine::base::value::Raw;
use sana_engine::namespace::request::RawDocument;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::errors::Failure;
use super::json::RawSeed;

/// The documents of `upsert_rows` or `patch_rows`, or what their meaning is wrong with.
#[derive(Debug)]
pub(super) struct Rows(pub(super) Result<Vec<RawDocument>, Failure>);

/// The documents of `upsert_columns` or `patch_columns`, or what their meaning is wrong with.
#[derive(Debug)]
pub(super) struct Columns(pub(super) Result<Vec<RawDocument>, Failure>);

/// The names of a batch, and what is known from one document for the next.
#[derive(Default)]
struct Names {
    known: Vec<Known>,
    /// Where the next name probably stands.
    likely: usize,
    /// How many documents were begun.
    documents: u64,
    /// How many attributes the last document had.
    attributes: usize,
    /// The first name that is none.
    problem: Option<Failure>,
}

struct Known {
    name: AttributeName,
    /// The last document that has it.
    document: u64,
    /// How long its last list was.
    elements: usize,
}

/// What stands at each attribute.
type Named<T> = Vec<(AttributeName, T)>;

/// What a key of a document means.
enum Field {
    Id,
    /// The attribute whose name stands here.
    Attribute(usize),
    /// A name that is none; the request will be refused.
    Bad,
}

impl Names {
    /// Looks a name up, or takes it in.
    fn find(&mut self, name: &str) -> Field {
        if name == "id" {
            return Field::Id;
        }
        let is = |known: &Known| known.name.as_str() == name;
        let place = match self.known.get(self.likely) {
            Some(known) if is(known) => Some(self.likely),
            _ => self.known.iter().position(is),
        };
        let place = match place {
            Some(place) => place,
            None => match AttributeName::parse(name) {
                Ok(name) => {
                    self.known.push(Known { name, document: 0, elements: 0 });
                    self.known.len() - 1
                }
                Err(problem) => {
                    let failure = || Failure::bad_attribute(name, problem);
                    self.problem.get_or_insert_with(failure);
                    return Field::Bad;
                }
            },
        };
        self.likely = place + 1;
        Field::Attribute(place)
    }

    /// Reads the next map: what stands at `id`, and at each attribute. `value` reads one of them, and is
    /// told how long the last list of that attribute was.
    fn fields<'de, A: MapAccess<'de>, T>(
        &mut self,
        map: &mut A,
        value: impl Fn(&mut A, &mut usize) -> Result<T, A::Error>,
    ) -> Result<(T, Named<T>), A::Error> {
        self.documents += 1;
        self.likely = 0;
        let mut id = None;
        let mut attributes = Vec::with_capacity(self.attributes);
        while let Some(field) = map.next_key_seed(FieldSeed(self))? {
            match field {
                Field::Id if id.is_some() => return Err(A::Error::duplicate_field("id")),
                Field::Id => id = Some(value(map, &mut 0)?),
                Field::Attribute(place) => {
                    let known = &mut self.known[place];
                    if known.document == self.documents {
                        let twice = format_args!("duplicate field `{}`", known.name);
                        return Err(A::Error::custom(twice));
                    }
                    known.document = self.documents;
                    let value = value(map, &mut known.elements)?;
                    attributes.push((known.name.clone(), value));
                }
                Field::Bad => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        self.attributes = attributes.len();
        let id = id.ok_or_else(|| A::Error::missing_field("id"))?;
        Ok((id, attributes))
    }
}

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(RowsVisitor)
    }
}

struct RowsVisitor;

impl<'de> Visitor<'de> for RowsVisitor {
    type Value = Rows;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Rows, A::Error> {
        let mut names = Names::default();
        let mut documents = Vec::new();
        while let Some(document) = list.next_element_seed(RowSeed(&mut names))? {
            documents.push(document);
        }
        Ok(Rows(names.problem.map_or(Ok(documents), Err)))
    }
}

struct RowSeed<'a>(&'a mut Names);

impl<'de> DeserializeSeed<'de> for RowSeed<'_> {
    type Value = RawDocument;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<RawDocument, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RowSeed<'_> {
    type Value = RawDocument;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawDocument, A::Error> {
        let value = |map: &mut A, elements: &mut _| map.next_value_seed(RawSeed { elements });
        let (id, attributes) = self.0.fields(&mut map, value)?;
        Ok(RawDocument { id, attributes })
    }
}

struct FieldSeed<'a>(&'a mut Names);

impl<'de> DeserializeSeed<'de> for FieldSeed<'_> {
    type Value = Field;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Field, D::Error> {
        from.deserialize_identifier(self)
    }
}

impl Visitor<'_> for FieldSeed<'_> {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of an attribute")
    }

    fn visit_str<E>(self, name: &str) -> Result<Field, E> {
        Ok(self.0.find(name))
    }
}

impl<'de> Deserialize<'de> for Columns {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(ColumnsVisitor)
    }
}

struct ColumnsVisitor;

impl<'de> Visitor<'de> for ColumnsVisitor {
    type Value = Columns;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Columns, A::Error> {
        let mut names = Names::default();
        let value = |map: &mut A, _: &mut _| Ok(map.next_value::<Column>()?.0);
        let (ids, columns) = names.fields(&mut map, value)?;
        let documents = transposed(ids, columns);
        Ok(Columns(names.problem.map_or(documents, Err)))
    }
}

/// One column. Its lists, if its values are lists, have one length as a rule.
struct Column(Vec<Raw>);

impl<'de> Deserialize<'de> for Column {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(ColumnVisitor)
    }
}

struct ColumnVisitor;

impl<'de> Visitor<'de> for ColumnVisitor {
    type Value = Column;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Column, A::Error> {
        let mut all = Vec::new();
        let mut elements = 0;
        while let Some(value) = list.next_element_seed(RawSeed { elements: &mut elements })? {
            all.push(value);
        }
        Ok(Column(all))
    }
}

/// Rows of columns. A null in a column stays in its row: a patch clears by it.
fn transposed(
    ids: Vec<Raw>,
    columns: Vec<(AttributeName, Vec<Raw>)>,
) -> Result<Vec<RawDocument>, Failure> {
    if let Some((name, column)) = columns.iter().find(|(_, column)| column.len() != ids.len()) {
        let (found, ids) = (column.len(), ids.len());
        return Err(Failure::meaning(format!(
            "💔 column '{name}' has {found} values, but column `id` has {ids}"
        )));
    }
    let width = columns.len();
    let document = |id| RawDocument { id, attributes: Vec::with_capacity(width) };
    let mut documents: Vec<_> = ids.into_iter().map(document).collect();
    for (name, column) in columns {
        for (document, value) in documents.iter_mut().zip(column) {
            document.attributes.push((name.clone(), value));
        }
    }
    Ok(documents)
}

#[cfg(test)]
mod tests {
    use sana_engine::base::value::Float;

    use super::*;

    fn rows(body: &str) -> Result<Vec<RawDocument>, String> {
        let rows = serde_json::from_str::<Rows>(body).map_err(|error| error.to_string())?;
        rows.0.map_err(|failure| failure.message)
    }

    fn columns(body: &str) -> Result<Vec<RawDocument>, String> {
        let columns = serde_json::from_str::<Columns>(body).map_err(|error| error.to_string())?;
        columns.0.map_err(|failure| failure.message)
    }

    fn document(id: i128, attributes: &[(&str, Raw)]) -> RawDocument {
        let attribute =
            |(name, raw): &(&str, Raw)| (AttributeName::parse(name).unwrap(), raw.clone());
        RawDocument { id: Raw::Integer(id), attributes: attributes.iter().map(attribute).collect() }
    }

    #[test]
    fn columns_are_the_same_documents_as_rows() {
        let by_rows = rows(r#"[{"id":1,"v":[1,2],"n":"a"},{"id":2,"v":null,"n":null}]"#).unwrap();
        let by_columns = columns(r#"{"v":[[1,2],null],"id":[1,2],"n":["a",null]}"#).unwrap();
        assert_eq!(by_rows, by_columns);
        let vector = Raw::List(vec![Raw::Integer(1), Raw::Integer(2)]);
        assert_eq!(by_rows[0], document(1, &[("v", vector), ("n", Raw::Text("a".into()))]));
        assert_eq!(by_rows[1], document(2, &[("v", Raw::Null), ("n", Raw::Null)]));
    }

    #[test]
    fn names_are_found_in_any_order() {
        let all = rows(r#"[{"id":1,"a":1,"b":2.5},{"b":3,"c":4,"id":2,"a":5},{"id":3}]"#).unwrap();
        let half = Raw::Number(Float::new(2.5).unwrap());
        assert_eq!(all[0], document(1, &[("a", Raw::Integer(1)), ("b", half)]));
        let (b, c, a) = (Raw::Integer(3), Raw::Integer(4), Raw::Integer(5));
        assert_eq!(all[1], document(2, &[("b", b), ("c", c), ("a", a)]));
        assert_eq!(all[2], document(3, &[]));
    }

    #[test]
    fn every_mistake_is_said() {
        let said = |body, part: &str| {
            let error = rows(body).unwrap_err();
            assert!(error.contains(part), "{body}: {error}");
        };
        said(r#"[{"a":1}]"#, "missing field `id`");
        said(r#"[{"id":1,"a":1,"a":2}]"#, "duplicate field `a`");
        said(r#"[{"id":1,"id":2}]"#, "duplicate field `id`");
        said(r#"[{"id":1,"$a":2}]"#, "'$a' must not start with `$`");
        said(r#"[{"id":1,"":2}]"#, "must not be empty");
        said(r#"[{"id":1,"a":{"b":0.5}}]"#, "invalid type: map, expected null, a bool");
        said(r#"{"id":1}"#, "invalid type: map, expected a sequence");
        said("[1]", "invalid type: integer `1`, expected a document");
        let uneven = columns(r#"{"id":[1,2],"a":[1]}"#).unwrap_err();
        assert!(uneven.contains("column 'a' has 1 values, but column `id` has 2"), "{uneven}");
        assert!(columns(r#"{"a":[1]}"#).unwrap_err().contains("missing field `id`"));
    }
}
