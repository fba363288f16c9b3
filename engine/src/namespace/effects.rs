//! What one request does to documents, given what is there.
//!
//! # Story
//!
//! Within a request the order is: removed by a filter, changed by a filter, upserts, patches, deletes.
//! No id stands twice in the lists, so their order is seen only behind the filters: a document that a
//! filter removed can be put again, and not patched.
//!
//! # Invariants
//!
//! - **C2** of `namespace::documents`: the first mistake ends it, and then nothing of it is taken over.

use core::cmp::Ordering;
use core::ops::Range;
use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::base::cast::nearest_float;
use crate::base::id::AttributeId;
use crate::base::limits;
use crate::base::name::AttributeName;
use crate::base::planted::{self, Bug};
use crate::base::value::{Document, Id, IdType, Raw, ScalarType, Type, Value};
use crate::format::log::{Affected, Operation, WriteOutcome};
use crate::format::schema::Schema;
use crate::index::filter::{self, Filter};
use crate::index::invalid::InvalidQuery;
use crate::index::predicate::Predicate;
use crate::namespace::matched::Matched;
use crate::namespace::request::{InvalidWrite, RawDocument, WriteError, WriteRequest};
use crate::namespace::schema::{cast_attributes, cast_id};

/// A request on its way into a batch.
pub(super) struct Effects<'a, F> {
    request: &'a WriteRequest,
    /// The schema before the request, and the one it makes.
    old: &'a Schema,
    schema: &'a Schema,
    /// What was there before the request.
    before: &'a F,
    /// First what filters removed, then what they changed, both by ascending ids.
    operations: Vec<Operation>,
    removed: Range<usize>,
    changed: Range<usize>,
    /// Ids that the lists mention.
    named: Vec<Id>,
    affected: Affected,
    outcome: WriteOutcome,
}

/// Ids of documents that have to be read to decide a request.
pub(super) fn mentioned(request: &WriteRequest) -> impl Iterator<Item = &Raw> {
    let upserts = request.upserts.iter().filter(|_| request.upsert_condition.is_some()).flatten();
    let documents = upserts.chain(request.patches.iter().flatten()).map(|document| &document.id);
    let deletes = request.deletes.iter().filter(|_| request.delete_condition.is_some()).flatten();
    documents.chain(deletes)
}

impl<'a, F: Fn(&Id) -> Option<&'a Document>> Effects<'a, F> {
    pub(super) fn new(
        request: &'a WriteRequest,
        old: &'a Schema,
        schema: &'a Schema,
        before: &'a F,
    ) -> Self {
        Self {
            request,
            old,
            schema,
            before,
            operations: Vec::new(),
            removed: 0..0,
            changed: 0..0,
            named: Vec::new(),
            affected: Affected::default(),
            outcome: WriteOutcome::default(),
        }
    }

    /// Does all of it, in order.
    pub(super) fn apply(&mut self, matched: &Matched) -> Result<(), WriteError> {
        self.delete_matches(matched)?;
        self.patch_matches(matched)?;
        self.upsert()?;
        self.patch()?;
        self.delete()?;
        self.named.sort_unstable();
        match self.named.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(twice) => Err(InvalidWrite::DuplicateId(twice[0].clone()).into()),
            None => Ok(()),
        }
    }

    /// What is to be written, and what the client is told.
    pub(super) fn finish(self) -> (Vec<Operation>, WriteOutcome) {
        let Self { operations, affected, mut outcome, request, .. } = self;
        outcome.logical_bytes = operations.iter().map(logical_bytes).sum();
        outcome.affected = request.wants_ids.then_some(affected);
        (operations, outcome)
    }

    fn delete_matches(&mut self, matched: &Matched) -> Result<(), WriteError> {
        let Some(by_filter) = &self.request.delete_by_filter else { return Ok(()) };
        Filter::resolve(&by_filter.filter, self.old)?;
        let more = matched.deletes.more;
        assert!(
            matched.deletes.ids.len() <= limits::DELETE_BY_FILTER_MAX,
            "C7: no more is matched than may be removed"
        );
        if more && !by_filter.allows_partial {
            let most = limits::DELETE_BY_FILTER_MAX;
            return Err(InvalidWrite::TooManyMatches { field: "delete_by_filter", most }.into());
        }
        // There may be millions, so what is not asked for is not written down.
        self.operations.extend(matched.deletes.ids.iter().cloned().map(Operation::Delete));
        if self.request.wants_ids {
            self.affected.deleted.extend(matched.deletes.ids.iter().cloned());
        }
        self.removed = 0..self.operations.len();
        *self.outcome.deleted.get_or_insert(0) += self.removed.len() as u64;
        *self.outcome.remaining.get_or_insert(false) |= more;
        Ok(())
    }

    fn patch_matches(&mut self, matched: &Matched) -> Result<(), WriteError> {
        let Some((by_filter, changes)) = &self.request.patch_by_filter else { return Ok(()) };
        Filter::resolve(&by_filter.filter, self.old)?;
        let more = matched.patches.more;
        assert!(
            matched.patches.documents.len() <= limits::PATCH_BY_FILTER_MAX,
            "C7: no more is matched than may be changed"
        );
        if more && !by_filter.allows_partial {
            let most = limits::PATCH_BY_FILTER_MAX;
            return Err(InvalidWrite::TooManyMatches { field: "patch_by_filter", most }.into());
        }
        self.names_no_vector(changes)?;
        let changes = cast_attributes(self.schema, changes)?;
        let (mut bytes, mut are_left) = (0, false);
        for (id, document) in &matched.patches.documents {
            let is_removed = self.by_filter(id, &self.removed).is_some();
            if is_removed && !planted::is(Bug::PatchRevivesDeleted) {
                continue;
            }
            let patched = self.changed(document, &changes)?;
            // Here they share what is new in them. Whoever reads the log holds each by itself.
            bytes += patched.held_bytes();
            let most = limits::FOUND_BYTES_MAX;
            if bytes > most as u64 {
                are_left = by_filter.allows_partial && !self.affected.patched.is_empty();
                if are_left {
                    break;
                }
                return Err(InvalidWrite::MatchesTooLarge { most }.into());
            }
            self.operations.push(Operation::Put(patched));
            self.affected.patched.push(id.clone());
        }
        self.changed = self.removed.end..self.operations.len();
        assert!(
            self.changed.len() <= limits::PATCH_BY_FILTER_MAX,
            "C7: no more than may be changed"
        );
        *self.outcome.patched.get_or_insert(0) += self.changed.len() as u64;
        *self.outcome.remaining.get_or_insert(false) |= more || are_left;
        Ok(())
    }

    fn upsert(&mut self) -> Result<(), WriteError> {
        let Some(upserts) = &self.request.upserts else { return Ok(()) };
        let condition = Condition::new(self.request.upsert_condition.as_ref(), self.schema)?;
        let before = self.operations.len();
        for raw in upserts {
            let document = self.document(raw)?;
            let id = document.id.clone();
            self.named.push(id.clone());
            let given = condition.given(Some(raw))?;
            if self.there(&id).is_none_or(|there| holds(&given, there)) {
                self.operations.push(Operation::Put(document));
                self.affected.upserted.push(id);
            }
        }
        self.outcome.upserted = Some((self.operations.len() - before) as u64);
        Ok(())
    }

    fn patch(&mut self) -> Result<(), WriteError> {
        let Some(patches) = &self.request.patches else { return Ok(()) };
        let condition = Condition::new(self.request.patch_condition.as_ref(), self.schema)?;
        let before = self.operations.len();
        for raw in patches {
            let id = cast(&raw.id, self.schema.id_type)?;
            self.names_no_vector(&raw.attributes)?;
            // A patch of nothing must be sound as well.
            let changes = cast_attributes(self.schema, &raw.attributes)?;
            let given = condition.given(Some(raw))?;
            self.named.push(id.clone());
            let there = self.there(&id).filter(|there| holds(&given, there));
            if let Some(there) = there {
                let patched = self.changed(there, &changes)?;
                self.operations.push(Operation::Put(patched));
                self.affected.patched.push(id);
            }
        }
        let patched = (self.operations.len() - before) as u64;
        *self.outcome.patched.get_or_insert(0) += patched;
        Ok(())
    }

    /// A delete without a condition is not looked up: it counts whether or not there was a document.
    fn delete(&mut self) -> Result<(), WriteError> {
        let Some(deletes) = &self.request.deletes else { return Ok(()) };
        let condition = self.request.delete_condition.as_ref();
        let looks = condition.is_some();
        let condition = Condition::new(condition, self.schema)?;
        let given = condition.given(None)?;
        let before = self.operations.len();
        for raw in deletes {
            let id = cast(raw, self.schema.id_type)?;
            self.named.push(id.clone());
            let nothing = planted::is(Bug::DeletionOfNothingCounts) && self.there(&id).is_none();
            if !looks || nothing || self.there(&id).is_some_and(|there| holds(&given, there)) {
                self.operations.push(Operation::Delete(id.clone()));
                self.affected.deleted.push(id);
            }
        }
        let deleted = (self.operations.len() - before) as u64;
        *self.outcome.deleted.get_or_insert(0) += deleted;
        Ok(())
    }

    /// What is there under an id, the filters of the request applied.
    fn there(&self, id: &Id) -> Option<&Document> {
        let filters =
            self.by_filter(id, &self.removed).or_else(|| self.by_filter(id, &self.changed));
        match filters {
            Some(operation) => operation.document(),
            None => (self.before)(id),
        }
    }

    /// What a filter did to a document.
    fn by_filter(&self, id: &Id, range: &Range<usize>) -> Option<&Operation> {
        let all = &self.operations[range.clone()];
        let place = all.binary_search_by(|operation| operation.id().cmp(id));
        place.ok().map(|place| &all[place])
    }

    fn document(&self, raw: &RawDocument) -> Result<Document, WriteError> {
        let id = cast(&raw.id, self.schema.id_type)?;
        let values = cast_attributes(self.schema, &raw.attributes)?;
        let present = values.into_iter().filter_map(|(attribute, value)| Some((attribute, value?)));
        fits(Document { id, attributes: present.collect() })
    }

    /// A document with some attributes changed, and without those that were dropped.
    fn changed(
        &self,
        document: &Document,
        changes: &[(AttributeId, Option<Value>)],
    ) -> Result<Document, WriteError> {
        let known = |id| self.schema.by_id(id).is_some();
        let before = document.attributes.iter().filter(|(attribute, _)| known(*attribute));
        let mut attributes: BTreeMap<_, _> = before.cloned().collect();
        if planted::is(Bug::PatchForgetsTheRest) {
            attributes.clear();
        }
        for (attribute, value) in changes {
            match value {
                Some(value) => attributes.insert(*attribute, value.clone()),
                None => attributes.remove(attribute),
            };
        }
        let attributes = attributes.into_iter().collect();
        fits(Document { id: document.id.clone(), attributes })
    }

    fn names_no_vector(&self, changes: &[(AttributeName, Raw)]) -> Result<(), WriteError> {
        let attributes = changes.iter().filter_map(|(name, _)| self.schema.attributes.get(name));
        let mut types = attributes.map(|attribute| attribute.value_type);
        if types.any(Type::is_vector) {
            return Err(InvalidWrite::PatchedVector.into());
        }
        Ok(())
    }
}

/// What the document that is there must satisfy.
struct Condition<'a> {
    schema: &'a Schema,
    part: Option<Part<'a>>,
}

/// A part of a condition. What does not depend on what is written is resolved once, for it may take long:
/// expressions are compiled.
enum Part<'a> {
    Fixed(Filter),
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    New(&'a Predicate),
}

/// A condition for one write; `None` is no condition.
type Given<'a> = Option<Cow<'a, Filter>>;

impl<'a> Condition<'a> {
    /// # Errors
    ///
    /// If it does not fit the schema whatever is written.
    fn new(predicate: Option<&'a Predicate>, schema: &'a Schema) -> Result<Self, WriteError> {
        let predicate = predicate.filter(|_| !planted::is(Bug::ConditionIgnored));
        filter::bound(predicate)?;
        let part = predicate.map(|predicate| Part::new(predicate, schema)).transpose()?;
        Ok(Self { schema, part })
    }

    /// The condition for a document to be written; for a delete there is none.
    fn given(&self, raw: Option<&RawDocument>) -> Result<Given<'_>, WriteError> {
        let new = |name: &str| raw.map_or(Raw::Null, |raw| new_value(raw, name, self.schema));
        Ok(match &self.part {
            None => None,
            Some(Part::Fixed(fixed)) => Some(Cow::Borrowed(fixed)),
            Some(part) => Some(Cow::Owned(part.given(&new, self.schema)?)),
        })
    }
}

impl<'a> Part<'a> {
    fn new(predicate: &'a Predicate, schema: &Schema) -> Result<Self, InvalidQuery> {
        let all = |parts: &'a [Predicate]| {
            parts.iter().map(|part| Self::new(part, schema)).collect::<Result<Vec<_>, _>>()
        };
        match predicate {
            fixed if !fixed.mentions_new() => Filter::resolve(fixed, schema).map(Self::Fixed),
            Predicate::And(parts) => all(parts).map(Self::All),
            Predicate::Or(parts) => all(parts).map(Self::Any),
            Predicate::Not(part) => Ok(Self::Not(Box::new(Self::new(part, schema)?))),
            new => Ok(Self::New(new)),
        }
    }

    fn given(&self, new: &impl Fn(&str) -> Raw, schema: &Schema) -> Result<Filter, InvalidQuery> {
        let all = |parts: &[Self]| {
            parts.iter().map(|part| part.given(new, schema)).collect::<Result<Vec<_>, _>>()
        };
        Ok(match self {
            Self::Fixed(fixed) => fixed.clone(),
            Self::All(parts) => Filter::All(all(parts)?),
            Self::Any(parts) => Filter::Any(all(parts)?),
            Self::Not(part) => Filter::Not(Box::new(part.given(new, schema)?)),
            Self::New(predicate) => Filter::resolve(&predicate.with_new(new), schema)?,
        })
    }
}

fn holds(given: &Given<'_>, there: &Document) -> bool {
    given.as_ref().is_none_or(|filter| filter.matches(there))
}

/// What a write is about to put under a name.
fn new_value(raw: &RawDocument, name: &str, schema: &Schema) -> Raw {
    if name == "id" {
        return raw.id.clone();
    }
    let value = raw.attributes.iter().find(|(attribute, _)| attribute.as_str() == name);
    let Some((attribute, value)) = value else { return Raw::Null };
    let of = schema.attributes.get(attribute).map(|attribute| attribute.value_type);
    match (value, of) {
        (Raw::List(elements), Some(Type::Array(ScalarType::Float))) => {
            Raw::List(elements.iter().map(held_as_float).collect())
        }
        (value, Some(Type::Scalar(ScalarType::Float))) => held_as_float(value),
        (value, _) => value.clone(),
    }
}

/// A number as an attribute of floats will hold it: an integer between two floats becomes one of them.
fn held_as_float(raw: &Raw) -> Raw {
    match raw {
        Raw::Integer(n) => match nearest_float(*n) {
            (_, Ordering::Equal) => raw.clone(),
            (nearest, _) => Raw::Number(nearest),
        },
        _ => raw.clone(),
    }
}

fn cast(raw: &Raw, id_type: Option<IdType>) -> Result<Id, InvalidWrite> {
    let id_type = id_type.expect("S2: whoever sends an id settles the kind of ids");
    cast_id(raw, id_type)
}

fn fits(document: Document) -> Result<Document, WriteError> {
    let most = limits::DOCUMENT_BYTES_MAX;
    if document.logical_bytes() > most as u64 {
        return Err(InvalidWrite::DocumentTooLarge { most }.into());
    }
    Ok(document)
}

fn logical_bytes(operation: &Operation) -> u64 {
    match operation {
        Operation::Put(document) => document.logical_bytes(),
        Operation::Delete(_) => 8,
    }
}
