//! O2 and O6: what a namespace holds, read from the objects of a store alone, one after the other.
//!
//! This is how somebody with a dump of the bucket and the description of the formats would read it:
//! the segments row by row without the rows that were killed, then the log entry by entry. It shares
//! the decoders with the engine, and nothing that searches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sana_engine::base::blob::Blob;
use sana_engine::base::id::{Cursor, Incarnation, Row};
use sana_engine::base::name::{Key, NamespaceName};
use sana_engine::base::value::{Document, Id};
use sana_engine::format::columns::{Column, ColumnPage};
use sana_engine::format::frame::{BadObject, Damage};
use sana_engine::format::head::{Head, Live};
use sana_engine::format::layout::{self, Family, ObjectName, Place};
use sana_engine::format::log::{Batch, LogEntry, Operation, Payload};
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

/// What was read last: it is the same as long as the objects are that it was read from.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Known>);

#[derive(Clone, Debug, Default)]
struct Known {
    segments: BTreeMap<(Incarnation, ObjectName), KnownSegment>,
    /// What the segments held together, which these were, and how many rows lived in them.
    indexed: (Vec<Arc<Segment>>, u64, Documents),
    /// Whose log it is, and the schema by which it was read.
    read_by: (Incarnation, Schema),
    log: BTreeMap<Cursor, KnownEntry>,
}

/// An entry of the log, and the version of the object that its batch is in, if it is in one.
#[derive(Clone, Debug)]
struct KnownEntry {
    entry: LogEntry,
    from: Option<Tag>,
    changes: Changes,
}

/// What is put under each id, or nothing where it is deleted, in order.
type Changes = Arc<[(Id, Option<Shared<Attributes>>)]>;

/// A segment, the versions of the objects it was read from, and by which schema.
#[derive(Clone, Debug)]
struct KnownSegment {
    from: Vec<(Key, Tag)>,
    schema: Schema,
    segment: Arc<Segment>,
}

/// What a segment says.
#[derive(Debug)]
struct Segment {
    kills: Vec<Row>,
    rows: Vec<(Row, Id, Shared<Attributes>)>,
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
        let known = Arc::make_mut(&mut self.0);
        known.index(live, &reader)?;
        known.read_log(live, &reader)?;
        let mut documents = known.indexed.2.clone();
        for (id, put) in known.log.values().flat_map(|entry| entry.changes.iter()) {
            match put {
                Some(attributes) => documents.insert(id.clone(), attributes.clone()),
                None => documents.remove(id),
            };
        }
        let attributes = live.schema.attributes.keys().cloned().collect();
        Ok(Some(Shared::new(Content { documents, attributes, read_only: live.read_only })))
    }
}

impl Known {
    /// Reads the segments. Most changes of a head leave them as they are.
    fn index(&mut self, live: &Live, reader: &Reader<'_>) -> Result<(), Broken> {
        let mut known = BTreeMap::new();
        let mut segments = Vec::new();
        for reference in &live.manifest.segments {
            let Some(first) = reference.parts.first() else {
                return Oracle::Recoverable.broken("a segment is made of nothing");
            };
            let at = (reader.place.incarnation, first.name);
            let same =
                |known: &KnownSegment| known.schema == live.schema && reader.has(&known.from);
            let segment = match self.segments.remove(&at).filter(same) {
                Some(known) => known,
                None => reader.segment(live, reference)?,
            };
            segments.push(Arc::clone(&segment.segment));
            known.insert(at, segment);
        }
        self.segments = known;
        let (before, rows, _) = &self.indexed;
        let same = before.len() == segments.len()
            && before.iter().zip(&segments).all(|(a, b)| Arc::ptr_eq(a, b));
        if !same || *rows != live.manifest.live_rows {
            let documents = indexed(live, &segments)?;
            self.indexed = (segments, live.manifest.live_rows, documents);
        }
        Ok(())
    }

    /// Reads the log. All but its newest entry was there before, as a rule.
    fn read_log(&mut self, live: &Live, reader: &Reader<'_>) -> Result<(), Broken> {
        let incarnation = reader.place.incarnation;
        if self.read_by.0 != incarnation || self.read_by.1 != live.schema {
            self.log.clear();
            self.read_by = (incarnation, live.schema.clone());
        }
        let mut log = BTreeMap::new();
        for entry in &live.log.entries {
            let from = reader.version_of(&entry.payload);
            let same = |known: &KnownEntry| known.entry == *entry && known.from == from;
            let known = if let Some(known) = self.log.remove(&entry.cursor).filter(same) {
                known
            } else {
                let changes = reader.changes(live, entry)?;
                KnownEntry { entry: entry.clone(), from, changes }
            };
            log.insert(entry.cursor, known);
        }
        self.log = log;
        Ok(())
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
        let before = documents.insert(id.clone(), attributes.clone());
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
fn named(live: &Live, document: &Document) -> Result<Shared<Attributes>, Broken> {
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
    Ok(Shared::new(attributes))
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
    fn segment(&self, live: &Live, reference: &SegmentRef) -> Result<KnownSegment, Broken> {
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
        Ok(KnownSegment { from: from.collect(), schema, segment })
    }

    /// The version of the object that a batch is in, if it is in one that is there.
    fn version_of(&self, payload: &Payload) -> Option<Tag> {
        let Payload::Object { name, .. } = payload else { return None };
        self.store.get(&self.place.object(Family::Log, *name)).map(|object| object.tag.clone())
    }

    /// What an entry of the log does.
    fn changes(&self, live: &Live, entry: &LogEntry) -> Result<Changes, Broken> {
        let batch = self.batch(&entry.payload, entry.bytes).or_else(unreadable)?;
        let change = |operation: &Operation| match operation {
            Operation::Put(document) => Ok((document.id.clone(), Some(named(live, document)?))),
            Operation::Delete(id) => Ok((id.clone(), None)),
        };
        batch.operations.iter().map(change).collect()
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
