//! Fetches the values of some attributes of documents whose places are known.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::base::blob::Blob;
use crate::base::id::AttributeId;
use crate::base::value::Value;
use crate::namespace::request::QueryError;
use crate::ops::query::collected::within;
use crate::ops::query::reads::{Of, Place, Read, Source};

/// Values on their way.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Rows {
    /// What is known of each document, by ascending attributes once all is there.
    values: Vec<Vec<(AttributeId, Value)>>,
    /// The pages to read, each with the documents that have a value in it and their rows there.
    pending: VecDeque<(Read, Vec<(usize, usize)>)>,
    flying: BTreeMap<Read, Vec<(usize, usize)>>,
    /// Size of all values, in bytes.
    bytes: usize,
}

impl Rows {
    /// Begins to fetch `attributes` of the documents at these places. Of a document without a place
    /// nothing is fetched.
    pub(super) fn begin(
        source: &Source,
        places: impl ExactSizeIterator<Item = Option<Place>>,
        attributes: &BTreeSet<AttributeId>,
    ) -> Self {
        let values = vec![Vec::new(); places.len()];
        let mut pending = BTreeMap::<_, Vec<_>>::new();
        for (document, place) in places.enumerate() {
            let Some(Place { segment, position }) = place else { continue };
            for attribute in attributes {
                let Some(column) = source.column(segment, Some(*attribute)) else { continue };
                let place = column.page_of(position).expect("C1: pages cover all positions");
                let page = &column.pages()[place];
                if page.nulls < page.rows {
                    let read = Read { segment, of: Of::Page(Some(*attribute), place) };
                    let row = (position - page.first) as usize;
                    pending.entry(read).or_default().push((document, row));
                }
            }
        }
        let (pending, flying) = (pending.into_iter().collect(), BTreeMap::new());
        Self { values, pending, flying, bytes: 0 }
    }

    /// What to read next; nothing if all is there.
    pub(super) fn wanted(&mut self, source: &Source) -> Vec<Read> {
        let taken = source.window(&mut self.pending, |(read, _)| source.bytes(read));
        self.flying = taken.into_iter().collect();
        self.flying.keys().copied().collect()
    }

    /// Takes what was read.
    pub(super) fn take(
        &mut self,
        source: &Source,
        arrived: &BTreeMap<Read, Blob>,
    ) -> Result<(), QueryError> {
        for (read, documents) in core::mem::take(&mut self.flying) {
            let Of::Page(Some(attribute), _) = read.of else {
                panic!("only attributes are fetched, not {read:?}")
            };
            let page = source.open(&read, &arrived[&read])?;
            assert!(
                documents.iter().all(|(_, row)| *row < page.rows()),
                "a row stands on its page"
            );
            for (document, row) in documents {
                if let Some(value) = page.value(row) {
                    self.bytes += value.held_bytes() as usize;
                    self.values[document].push((attribute, value));
                }
                within(self.bytes)?;
            }
        }
        Ok(())
    }

    /// The values of each document, by ascending attributes.
    pub(super) fn into_values(mut self) -> Vec<Vec<(AttributeId, Value)>> {
        for values in &mut self.values {
            values.sort_unstable_by_key(|(attribute, _)| *attribute);
        }
        self.values
    }
}
