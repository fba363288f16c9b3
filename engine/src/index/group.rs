//! Figures over groups of documents.
//!
//! Groups stand in the order of their keys, null first, and only so many are wanted: so once there are
//! enough, what comes behind all of them is never begun, and memory is bounded.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::id::AttributeId;
use crate::base::limits;
use crate::base::planted::{self, Bug};
use crate::base::value::{Document, Scalar, Type, Value};
use crate::format::schema::Schema;
use crate::index::aggregate::{Figure, Tally};
use crate::index::invalid::InvalidQuery;
use crate::index::order::{OrderKey, scalar_bytes, scalar_of};

/// What documents are grouped by.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct GroupKey {
    /// What the key is called in the answer.
    pub label: String,
    /// The id, or an attribute with single values; documents without one are a group.
    pub key: OrderKey,
    /// Of an attribute with arrays: a document belongs to the group of each of its elements, once.
    /// One without elements belongs to none.
    pub each: bool,
}

/// One group of an answer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Group {
    /// Its keys, in the order of the request.
    pub keys: Vec<Option<Scalar>>,
    /// Its figures, in the order of the request.
    pub figures: Vec<Figure>,
}

/// Groups under way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Groups {
    keys: Vec<(Option<AttributeId>, bool)>,
    /// What the figures of a group begin as.
    tallies: Vec<Tally>,
    most: usize,
    held: BTreeMap<Vec<Option<Scalar>>, Vec<Tally>>,
    bytes: usize,
}

impl Groups {
    /// No groups yet, of which the `most` first are wanted.
    ///
    /// # Errors
    ///
    /// If an attribute does not exist, is not filterable, or does not go with the way it is grouped by.
    pub fn resolve(
        keys: &[GroupKey],
        tallies: Vec<Tally>,
        most: usize,
        schema: &Schema,
    ) -> Result<Self, InvalidQuery> {
        let many = limits::ORDER_KEYS_MAX;
        if keys.len() > many {
            return Err(InvalidQuery::TooMany { what: "keys to group by", most: many });
        }
        // Several arrays would make a group of every combination of their elements.
        if keys.iter().filter(|key| key.each).count() > 1 {
            return Err(InvalidQuery::TooMany { what: "ForEachUnique keys", most: 1 });
        }
        let resolve = |key: &GroupKey| match (&key.key, key.each) {
            (OrderKey::Attribute(name), true) => {
                let wrong = |problem| InvalidQuery::Attribute { name: name.to_string(), problem };
                let found = schema.attributes.get(name);
                let found =
                    found.ok_or_else(|| wrong("not found in schema, cannot be grouped by"))?;
                match found.value_type {
                    Type::Array(_) if found.filterable => Ok((Some(found.id), true)),
                    Type::Array(_) => Err(wrong("is not filterable, so it cannot be grouped by")),
                    _ => Err(wrong("is no array, so ForEachUnique does not apply")),
                }
            }
            (OrderKey::Id, true) => Err(InvalidQuery::Attribute {
                name: "id".into(),
                problem: "is no array, so ForEachUnique does not apply",
            }),
            (key, false) => Ok((key.resolve(schema)?, false)),
        };
        let keys = keys.iter().map(resolve).collect::<Result<_, _>>()?;
        Ok(Self { keys, tallies, most, held: BTreeMap::new(), bytes: 0 })
    }

    /// The attributes that must be known of a document.
    pub fn attributes(&self) -> BTreeSet<AttributeId> {
        let sums = self.tallies.iter().filter_map(Tally::attribute);
        self.keys.iter().filter_map(|(key, _)| *key).chain(sums).collect()
    }

    /// What is grouped by; `None` is the id.
    pub fn keys(&self) -> impl Iterator<Item = Option<AttributeId>> {
        self.keys.iter().map(|(key, _)| *key)
    }

    /// About how much memory it takes, in bytes.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a document into account, of which these attributes are known.
    pub fn add(&mut self, document: &Document) {
        let key = |(attribute, each): &(Option<AttributeId>, bool)| {
            if *each { None } else { scalar_of(document, *attribute) }
        };
        let mut key: Vec<Option<Scalar>> = self.keys.iter().map(key).collect();
        let Some(place) = self.keys.iter().position(|(_, each)| *each) else {
            return self.add_to(&key, document);
        };
        let elements = self.keys[place].0.and_then(|attribute| document.value(attribute));
        if let Some(Value::Array(elements)) = elements {
            let distinct: BTreeSet<&Scalar> = elements.iter().collect();
            let again = elements.iter().filter(|_| planted::is(Bug::TagsCountTwice));
            for element in distinct.into_iter().chain(again) {
                key[place] = Some(element.clone());
                self.add_to(&key, document);
            }
        }
    }

    fn add_to(&mut self, key: &[Option<Scalar>], document: &Document) {
        let is_full = self.held.len() >= self.most;
        let last = self.held.last_key_value().filter(|_| is_full);
        let closed = planted::is(Bug::LastGroupIsClosed);
        let is_behind = |last: &[_]| key > last || (closed && key == last);
        if self.most == 0 || last.is_some_and(|(last, _)| is_behind(last)) {
            return;
        }
        if !self.held.contains_key(key) {
            self.bytes += self.bytes_of(key);
            self.held.insert(key.to_vec(), self.tallies.clone());
            if self.held.len() > self.most
                && let Some((last, _)) = self.held.pop_last()
            {
                self.bytes -= self.bytes_of(&last);
            }
        }
        if let Some(tallies) = self.held.get_mut(key) {
            tallies.iter_mut().for_each(|tally| tally.add(document));
        }
    }

    fn bytes_of(&self, key: &[Option<Scalar>]) -> usize {
        let key: usize = key.iter().map(|scalar| scalar_bytes(scalar.as_ref())).sum();
        key + self.tallies.iter().map(Tally::bytes).sum::<usize>()
    }

    /// The groups, in the order of their keys.
    pub fn into_groups(self) -> Vec<Group> {
        let group = |(keys, tallies): (Vec<_>, Vec<Tally>)| {
            let figures = tallies.iter().map(Tally::figure).collect();
            Group { keys, figures }
        };
        self.held.into_iter().map(group).collect()
    }
}
