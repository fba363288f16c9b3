//! O2 and O6: what a namespace holds, read from the objects of a store alone, one after the other.
//!
//! This is how somebody with a dump of the bucket and the description of the formats would read it:
//! the segments row by row without the rows that were killed, then the log entry by entry. It shares
//! the decoders with the engine, and nothing that searches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sana_engine::base::blob::Blob;
use sana_engine::base::id::Row;
use sana_engine::base::name::{Key, NamespaceName};
use sana_engine::base::value::Document;
use sana_engine::format::columns::{Column, ColumnPage};
use sana_engine::format::frame::{BadObject, Damage};
use sana_engine::format::head::{Head, Live};
use sana_engine::format::layout::{self, Family, Place};
use sana_engine::format::log::{Batch, Operation, Payload};
use sana_engine::format::manifest::{Extent, SegmentRef};
use sana_engine::format::segment::Directory;

use crate::digest::Shared;
use crate::model::{Attributes, Contents, Documents};
use crate::oracles::{Broken, Oracle};
use crate::store::Store;

/// The head of a namespace, if it was ever put.
///
/// # Errors
///
/// [`Broken`] if it cannot be read.
pub fn head(store: &Store, namespace: &NamespaceName) -> Result<Option<Head>, Broken> {
    let key = layout::head(namespace);
    let Some(object) = store.get(&key) else { return Ok(None) };
    Head::decode(&key, &object.body).map(Some).or_else(unreadable)
}

/// What a namespace holds whose head this is.
///
/// # Errors
///
/// [`Broken`] if it cannot be read, or is not what the head counts.
pub fn contents(
    store: &Store,
    namespace: &NamespaceName,
    head: Option<&Head>,
) -> Result<Contents, Broken> {
    let Some((head, live)) = head.and_then(|head| head.live().map(|live| (head, live))) else {
        return Ok(None);
    };
    let place = Place { namespace: namespace.clone(), incarnation: head.incarnation };
    let reader = Reader { store, place };
    let mut documents = reader.indexed(live)?;
    for entry in &live.log.entries {
        let batch = reader.batch(&entry.payload, entry.bytes).or_else(unreadable)?;
        for operation in &batch.operations {
            match operation {
                Operation::Put(document) => {
                    documents.insert(document.id.clone(), named(live, document)?);
                }
                Operation::Delete(id) => {
                    documents.remove(id);
                }
            }
        }
    }
    Ok(Some(Shared::new(documents)))
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in `or_else`")]
fn unreadable<T>(bad: BadObject) -> Result<T, Broken> {
    Oracle::Recoverable.broken(bad.to_string())
}

/// A document with the names of its attributes in the place of their numbers.
fn named(live: &Live, document: &Document) -> Result<Arc<Attributes>, Broken> {
    let mut attributes = Attributes::new();
    for (id, value) in &document.attributes {
        let Some((name, _)) = live.schema.by_id(*id) else {
            return Oracle::Recoverable.broken(format!("the schema has no attribute {id:?}"));
        };
        attributes.insert(name.clone(), value.clone());
    }
    Ok(Arc::new(attributes))
}

struct Reader<'a> {
    store: &'a Store,
    place: Place,
}

impl Reader<'_> {
    fn batch(&self, payload: &Payload, bytes: u32) -> Result<Batch, BadObject> {
        match payload {
            Payload::Inline(batch) => Batch::decode(&layout::head(&self.place.namespace), batch),
            Payload::Object { name, start } => {
                let key = self.place.object(Family::Log, *name);
                let bytes = self.stretch(&key, u64::from(*start), u64::from(bytes))?;
                Batch::decode(&key, &bytes)
            }
        }
    }

    fn stretch(&self, key: &Key, start: u64, bytes: u64) -> Result<Blob, BadObject> {
        let object = self.store.get(key).ok_or_else(|| Damage::Gone.of(key))?;
        let found = object.body.len() as u64;
        let stretch = object.body.slice(start as usize, (start + bytes) as usize);
        stretch.ok_or_else(|| Damage::Length { found, expected: start + bytes }.of(key))
    }

    /// The documents in the segments.
    fn indexed(&self, live: &Live) -> Result<Documents, Broken> {
        let mut killed: BTreeSet<Row> = BTreeSet::new();
        let mut rows: BTreeMap<Row, Document> = BTreeMap::new();
        for segment in &live.manifest.segments {
            let directory = self.directory(segment).or_else(unreadable)?;
            killed.extend(directory.kills().iter());
            let found = self.rows(segment, &directory).or_else(unreadable)?;
            for (row, document) in found {
                let is_new = rows.insert(row, document).is_none();
                Oracle::Conserved.demand(is_new, || format!("{row:?} is in two segments"))?;
            }
        }
        rows.retain(|row, _| !killed.contains(row));
        Oracle::Conserved.demand(live.manifest.live_rows == rows.len() as u64, || {
            format!("{} rows are counted, {} live", live.manifest.live_rows, rows.len())
        })?;
        let mut documents = Documents::new();
        for document in rows.values() {
            let before = documents.insert(document.id.clone(), named(live, document)?);
            Oracle::Conserved.demand(before.is_none(), || {
                format!("document {} lives in two rows", document.id)
            })?;
        }
        Ok(documents)
    }

    fn directory(&self, segment: &SegmentRef) -> Result<Directory, BadObject> {
        let (key, bytes) = self.extent(segment, &segment.directory)?;
        Directory::decode(segment, &key, &bytes)
    }

    fn extent(&self, segment: &SegmentRef, extent: &Extent) -> Result<(Key, Blob), BadObject> {
        let key = segment.key(&self.place, extent);
        let bytes = self.stretch(&key, u64::from(extent.start), u64::from(extent.bytes))?;
        Ok((key, bytes))
    }

    fn rows(
        &self,
        segment: &SegmentRef,
        directory: &Directory,
    ) -> Result<Vec<(Row, Document)>, BadObject> {
        let gone =
            || Damage::Content("a row has no id").of(&segment.key(&self.place, &segment.directory));
        let mut rows: Vec<(Row, Document)> = Vec::new();
        let mut numbers = directory.row_numbers();
        for page in self.pages(segment, directory.ids())? {
            for place in 0..page.rows() {
                let row = numbers.next().ok_or_else(gone)?;
                let id = page.id(place).ok_or_else(gone)?;
                rows.push((row, Document { id, attributes: Vec::new() }));
            }
        }
        for (attribute, column) in directory.columns() {
            let mut at = rows.iter_mut();
            for page in self.pages(segment, column)? {
                for place in 0..page.rows() {
                    let (_, document) = at.next().ok_or_else(gone)?;
                    document.attributes.extend(page.value(place).map(|v| (*attribute, v)));
                }
            }
        }
        Ok(rows)
    }

    fn pages(&self, segment: &SegmentRef, column: &Column) -> Result<Vec<ColumnPage>, BadObject> {
        let open = |page: &sana_engine::format::columns::Page| {
            let (key, bytes) = self.extent(segment, &page.extent)?;
            ColumnPage::open(column.value_type(), page, &key, &bytes)
        };
        column.pages().iter().map(open).collect()
    }
}
