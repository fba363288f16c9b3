//! A namespace for tests: its segments, its overlay, its store, and what it holds.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sana_engine::base::blob::Blob;
use sana_engine::base::host::Host;
use sana_engine::base::id::{
    AttributeId, CommitId, Cursor, Generation, Incarnation, Nonce, Row, Stamp,
};
use sana_engine::base::name::{AttributeName, Key, NamespaceName};
use sana_engine::base::time::{Timestamp, WallTime};
use sana_engine::base::value::{Document, Id, IdType, ScalarType, Type, Value};
use sana_engine::format::head::{Head, Live, State};
use sana_engine::format::layout::{ObjectName, Place};
use sana_engine::format::log::{Batch, Log, LogEntry, Operation, Payload};
use sana_engine::format::manifest::Manifest;
use sana_engine::format::rows::RowSet;
use sana_engine::format::schema::{Attribute, Metric, Schema};
use sana_engine::format::segment::writer::Bounds;
use sana_engine::format::segment::{Directory, SegmentWriter};
use sana_engine::machine::request::{Reply, Request, Tag};
use sana_engine::machine::{Machine, Step};
use sana_engine::namespace::overlay::{Decoded, Overlay};
use sana_engine::namespace::request::{Answer, QueryError, QueryRequest};
use sana_engine::namespace::snapshot::{Learned, Snapshot};
use sana_engine::ops::query::Query;

pub(super) const DEADLINE: Timestamp = Timestamp(60_000);

/// A namespace with everything that is in it.
pub(super) struct World {
    pub(super) schema: Schema,
    pub(super) store: BTreeMap<Key, Blob>,
    /// What it holds: the truth that answers are compared to.
    pub(super) documents: BTreeMap<Id, Document>,
    segments: Vec<Segment>,
    overlay: Vec<Decoded>,
    cursor: Cursor,
    next_row: Row,
    objects: u128,
    /// What queries learned, newest last.
    learned: RefCell<Vec<Arc<Learned>>>,
}

struct Segment {
    base: Row,
    end: Row,
    rows: Vec<(Row, Document)>,
    kills: BTreeSet<Row>,
    directory: Arc<Directory>,
}

/// What a query came to, and what it cost.
pub(super) struct Run {
    pub(super) outcome: Result<Answer, QueryError>,
    pub(super) rounds: usize,
    pub(super) requests: usize,
    pub(super) bytes: usize,
}

pub(super) fn name(text: &str) -> AttributeName {
    AttributeName::parse(text).unwrap()
}

impl World {
    pub(super) fn new(ids: IdType, metric: Metric, attributes: &[(&str, Type, bool)]) -> Self {
        let attribute = |(number, (text, value_type, filterable)): (usize, &(&str, Type, bool))| {
            let (value_type, filterable) = (*value_type, *filterable);
            let id = AttributeId(number as u32);
            let metric = matches!(value_type, Type::Vector(_)).then_some(metric);
            let regex = value_type == Type::Scalar(ScalarType::String);
            (name(text), Attribute { filterable, regex, metric, ..Attribute::of(id, value_type) })
        };
        Self {
            schema: Schema {
                id_type: Some(ids),
                metric: Some(metric),
                attributes: attributes.iter().enumerate().map(attribute).collect(),
                next_id: AttributeId(attributes.len() as u32),
            },
            store: BTreeMap::new(),
            documents: BTreeMap::new(),
            segments: Vec::new(),
            overlay: Vec::new(),
            cursor: Cursor(0),
            next_row: Row(0),
            objects: 0,
            learned: RefCell::default(),
        }
    }

    pub(super) fn attribute(&self, text: &str) -> AttributeId {
        self.schema.attributes[&name(text)].id
    }

    /// Commits a batch.
    pub(super) fn write(&mut self, operations: Vec<Operation>) {
        for operation in &operations {
            match operation {
                Operation::Put(document) => {
                    self.documents.insert(document.id.clone(), document.clone());
                }
                Operation::Delete(id) => {
                    self.documents.remove(id);
                }
            }
        }
        self.cursor = self.cursor.next();
        let batch = Arc::new(Batch { operations, records: Vec::new() });
        let commit = CommitId(Nonce(u128::from(self.cursor.0)));
        self.overlay.push(Decoded { cursor: self.cursor, commit, batch });
    }

    pub(super) fn put(&mut self, documents: Vec<Document>) {
        self.write(documents.into_iter().map(Operation::Put).collect());
    }

    /// Moves all words of the overlay into a segment.
    pub(super) fn flush(&mut self) {
        let overlay = self.overlay();
        self.overlay.clear();
        let base = self.next_row;
        let (mut rows, mut kills) = (Vec::new(), BTreeSet::new());
        for (id, word) in overlay.words() {
            kills.extend(self.live_row(id));
            if let Some(document) = word {
                rows.push((self.next_row, document.clone()));
                self.next_row = Row(self.next_row.0 + 1);
            }
        }
        let segment = self.segment(base, self.next_row, rows, kills);
        self.segments.push(segment);
    }

    /// Merges two neighbours into one segment without dead rows.
    pub(super) fn merge(&mut self, first: usize) {
        let inputs: Vec<_> = self.segments[first..first + 2].iter().collect();
        let (base, end) = (inputs[0].base, inputs[1].end);
        let rows = inputs.iter().flat_map(|segment| &segment.rows);
        let rows = rows.filter(|(row, _)| !self.is_dead(*row)).cloned().collect();
        let kills = inputs.iter().flat_map(|segment| &segment.kills).copied();
        let kills = kills.filter(|row| *row < base || end <= *row).collect();
        let merged = self.segment(base, end, rows, kills);
        self.segments.splice(first..first + 2, [merged]);
    }

    pub(super) fn segments(&self) -> usize {
        self.segments.len()
    }

    fn is_dead(&self, row: Row) -> bool {
        self.segments.iter().any(|segment| segment.kills.contains(&row))
    }

    fn live_row(&self, id: &Id) -> Option<Row> {
        let rows = self.segments.iter().flat_map(|segment| &segment.rows);
        let mut rows = rows.filter(|(row, document)| document.id == *id && !self.is_dead(*row));
        rows.next().map(|(row, _)| *row)
    }

    fn segment(
        &mut self,
        base: Row,
        end: Row,
        rows: Vec<(Row, Document)>,
        kills: BTreeSet<Row>,
    ) -> Segment {
        let bounds = Bounds { base, end, rows_max: rows.len() as u64, records_max: 0 };
        let ids = self.schema.id_type.unwrap();
        let mut writer = SegmentWriter::begin(bounds, ids);
        let mut attributes: Vec<Attribute> = self.schema.attributes.values().copied().collect();
        attributes.sort_by_key(|attribute| attribute.id);
        for Attribute { id, value_type, .. } in attributes {
            // As a flush does: a column that nobody has a value of is left out.
            if rows.iter().any(|(_, document)| document.value(id).is_some()) {
                writer.column(id, value_type);
                rows.iter().for_each(|(_, document)| writer.value(document.value(id)));
            }
        }
        rows.iter().for_each(|(row, document)| writer.document(*row, &document.id));
        let mut ids: Vec<_> = rows.iter().map(|(_, document)| &document.id).zip(0..).collect();
        ids.sort();
        ids.iter().for_each(|(id, position)| writer.id(id, *position));
        let mut killed = RowSet::default();
        kills.iter().for_each(|row| assert!(killed.insert(*row)));
        let (parts, draft) = writer.finish(&killed);
        let mut names = Vec::new();
        for _ in &parts {
            self.objects += 1;
            names.push(ObjectName { stamp: Stamp(1), nonce: Nonce(self.objects) });
        }
        let (segment, directory) = draft.named(&place(), &names);
        for (number, body) in parts.into_iter().enumerate() {
            let extent =
                sana_engine::format::manifest::Extent { part: number as u32, ..segment.directory };
            self.store.insert(segment.key(&place(), &extent), body);
        }
        Segment { base, end, rows, kills, directory: Arc::new(directory) }
    }

    fn overlay(&self) -> Overlay {
        let mut overlay = Overlay::default();
        self.overlay.iter().for_each(|entry| overlay.push(entry.clone()));
        overlay
    }

    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        let directories: Vec<_> =
            self.segments.iter().map(|segment| segment.directory.clone()).collect();
        let rows = self.segments.iter().flat_map(|segment| &segment.rows);
        let live_rows = rows.filter(|(row, _)| !self.is_dead(*row)).count() as u64;
        let indexed = self.overlay.first().map_or(self.cursor, |e| Cursor(e.cursor.0 - 1));
        let entry = |decoded: &Decoded| LogEntry {
            cursor: decoded.cursor,
            commit: decoded.commit,
            operations: decoded.batch.operations.len() as u32,
            bytes: 1,
            payload: Payload::Inline(Blob::default()),
        };
        let live = Live {
            schema: self.schema.clone(),
            manifest: Manifest {
                generation: Generation(1),
                next_row: self.next_row,
                segments: directories.iter().map(|d| d.segment().clone()).collect(),
                live_rows,
                logical_bytes: 0,
            },
            log: Log {
                committed: self.cursor,
                indexed,
                bytes_committed: self.cursor.0,
                bytes_indexed: indexed.0,
                entries: self.overlay.iter().map(entry).collect(),
            },
            ..Live::new(Stamp(1), WallTime(0))
        };
        let head = Head {
            nonce: Nonce(1),
            step: Stamp(2),
            floor: Stamp(0),
            incarnation: place().incarnation,
            state: State::Live(Box::new(live)),
        };
        let snapshot = Snapshot::new(place(), head.into(), self.overlay().into(), directories);
        let learned = self.learned.borrow();
        learned.iter().fold(Arc::new(snapshot), |snapshot, learned| snapshot.learn(learned))
    }

    /// Asks, and answers each read from the store.
    pub(super) fn query(&self, request: &QueryRequest) -> Run {
        self.query_on(request, Host::default())
    }

    pub(super) fn query_on(&self, request: &QueryRequest, host: Host) -> Run {
        let step = Query::start(Timestamp(0), self.snapshot(), request, host, DEADLINE);
        self.drive(step)
    }

    pub(super) fn drive(&self, mut step: Step<Query>) -> Run {
        let (mut rounds, mut requests, mut bytes) = (0, 0, 0);
        loop {
            match step {
                Step::Done(mut outcome) => {
                    if let Ok(answer) = &mut outcome {
                        self.learned.borrow_mut().extend(answer.learned.take());
                    }
                    return Run { outcome, rounds, requests, bytes };
                }
                Step::Wait(query, round) => {
                    let replies: Vec<_> =
                        round.requests.iter().map(|request| self.reply(request)).collect();
                    rounds += usize::from(!round.requests.is_empty());
                    requests += round.requests.len();
                    for reply in &replies {
                        if let Reply::Found { body, .. } = reply {
                            bytes += body.len();
                        }
                    }
                    step = query.step(Timestamp(rounds as u64), replies);
                }
            }
        }
    }

    pub(super) fn reply(&self, request: &Request) -> Reply {
        let Request::Get { key, range: Some(range), unless: None } = request else {
            panic!("queries read ranges, and this is {request:?}")
        };
        match self.store.get(key) {
            None => Reply::Missing,
            Some(object) => {
                let end = (range.end as usize).min(object.len());
                let body = object.slice((range.start as usize).min(end), end).unwrap();
                Reply::Found { tag: Tag::new("1"), body }
            }
        }
    }
}

fn place() -> Place {
    let namespace = NamespaceName::parse("n").unwrap();
    Place { namespace, incarnation: Incarnation(Nonce(1)) }
}

/// A document of these values, by ascending attributes.
pub(super) fn document(id: Id, values: Vec<(AttributeId, Value)>) -> Document {
    Document { id, attributes: values }
}
