//! O2 and O6: what a namespace holds, read from the objects of a store alone, one after the other.
//!
//! This is how somebody with a dump of the bucket and the description of the formats would read it:
//! the segments row by row without the rows that were killed, then the log entry by entry. It shares
//! the decoders with the engine, and nothing that searches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sana_engine::base::blob::Blob;
use sana_engine::base::id::{Incarnation, Row};
use sana_engine::base::name::{Key, NamespaceName};
use sana_engine::base::value::{Document, Id};
use sana_engine::format::columns::{Column, ColumnPage};
use sana_engine::format::frame::{BadObject, Damage};
use sana_engine::format::head::{Head, Live};
use sana_engine::format::layout::{self, Family, ObjectName, Place};
use sana_engine::format::log::{Batch, Operation, Payload};
use sana_engine::format::manifest::{Extent, SegmentRef};
use sana_engine::format::schema::Schema;
use sana_engine::format::segment::Directory;
use sana_engine::machine::request::Tag;

use crate::digest::Shared;
use crate::model::{Attributes, Content, Contents, Documents};
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

/// The segments that were read last: they are the same as long as their objects are.
#[derive(Clone, Debug, Default)]
pub struct Memory(BTreeMap<(Incarnation, ObjectName), Known>);

/// A segment, the versions of the objects it was read from, and by which schema.
#[derive(Clone, Debug)]
struct Known {
    from: Vec<(Key, Tag)>,
    schema: Schema,
    segment: Arc<Segment>,
}

/// What a segment says.
#[derive(Debug)]
struct Segment {
    kills: Vec<Row>,
    rows: Vec<(Row, Id, Arc<Attributes>)>,
}

impl Memory {
    /// What a namespace holds whose head this is.
    ///
    /// # Errors
    ///
    /// [`Broken`] if it cannot be read, or is not what the head counts.
    pub fn contents(
        &mut self,
        store: &Store,
        namespace: &NamespaceName,
        head: &Head,
    ) -> Result<Contents, Broken> {
        let Some(live) = head.live() else { return Ok(None) };
        let place = Place { namespace: namespace.clone(), incarnation: head.incarnation };
        let reader = Reader { store, place };
        let mut known = BTreeMap::new();
        let mut segments = Vec::new();
        for reference in &live.manifest.segments {
            let Some(first) = reference.parts.first() else {
                return Oracle::Recoverable.broken("a segment is made of nothing");
            };
            let at = (head.incarnation, first.name);
            let same = |known: &Known| known.schema == live.schema && reader.has(&known.from);
            let before = self.0.remove(&at).filter(same);
            let segment = match before {
                Some(known) => known,
                None => reader.segment(live, reference)?,
            };
            segments.push(Arc::clone(&segment.segment));
            known.insert(at, segment);
        }
        self.0 = known;
        let documents = indexed(live, &segments)?;
        reader.log(live, documents)
    }
}

/// The documents in the segments.
fn indexed(live: &Live, segments: &[Arc<Segment>]) -> Result<Documents, Broken> {
    let killed: BTreeSet<Row> =
        segments.iter().flat_map(|segment| &segment.kills).copied().collect();
    let mut seen = BTreeSet::new();
    let mut lives = 0;
    let mut documents = Documents::new();
    for (row, id, attributes) in segments.iter().flat_map(|segment| &segment.rows) {
        let is_new = seen.insert(*row);
        Oracle::Conserved.demand(is_new, || format!("{row:?} is in two segments"))?;
        if killed.contains(row) {
            continue;
        }
        lives += 1;
        let before = documents.insert(id.clone(), Arc::clone(attributes));
        Oracle::Conserved
            .demand(before.is_none(), || format!("document {id} lives in two rows"))?;
    }
    Oracle::Conserved.demand(live.manifest.live_rows == lives, || {
        format!("{} rows are counted, {lives} live", live.manifest.live_rows)
    })?;
    Ok(documents)
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in `or_else`")]
fn unreadable<T>(bad: BadObject) -> Result<T, Broken> {
    Oracle::Recoverable.broken(bad.to_string())
}

/// A document with the names of its attributes in the place of their numbers.
fn named(live: &Live, document: &Document) -> Result<Arc<Attributes>, Broken> {
    let mut attributes = Attributes::new();
    for (id, value) in &document.attributes {
        // What was dropped has no name any more, and its number is never given again.
        match live.schema.by_id(*id) {
            Some((name, _)) => attributes.insert(name.clone(), value.clone()),
            None if *id < live.schema.next_id => None,
            None => {
                return Oracle::Recoverable.broken(format!("the schema has no attribute {id:?}"));
            }
        };
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

    /// Whether these versions of objects are there.
    fn has(&self, from: &[(Key, Tag)]) -> bool {
        let is_there = |(key, tag): &(Key, Tag)| self.store.get(key).is_some_and(|o| o.tag == *tag);
        from.iter().all(is_there)
    }

    /// Reads a segment.
    fn segment(&self, live: &Live, reference: &SegmentRef) -> Result<Known, Broken> {
        let directory = self.directory(reference).or_else(unreadable)?;
        let mut rows = Vec::new();
        for (row, document) in self.rows(reference, &directory).or_else(unreadable)? {
            let attributes = named(live, &document)?;
            rows.push((row, document.id, attributes));
        }
        let keys = reference.parts.iter().map(|part| self.place.object(Family::Segment, part.name));
        let from = keys.filter_map(|key| {
            let tag = self.store.get(&key)?.tag.clone();
            Some((key, tag))
        });
        let kills = directory.kills().iter().collect();
        let (schema, segment) = (live.schema.clone(), Arc::new(Segment { kills, rows }));
        Ok(Known { from: from.collect(), schema, segment })
    }

    /// The documents, with what the log says of them.
    fn log(&self, live: &Live, mut documents: Documents) -> Result<Contents, Broken> {
        for entry in &live.log.entries {
            let batch = self.batch(&entry.payload, entry.bytes).or_else(unreadable)?;
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
        let attributes = live.schema.attributes.keys().cloned().collect();
        Ok(Some(Shared::new(Content { documents, attributes, read_only: live.read_only })))
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
