//! Makes a segment from the oldest log entries.
//!
//! # Story
//!
//! 1. **Gathering**: yield once, for the next step computes. Then choose the entries and find the last
//!    word on each id in them. The filters of all segments say where an id may stand already.
//! 2. **Looking**: read the blocks of ids that may hold one of these, a window a round, and find the
//!    one live row of each: it is killed. New ids need no block, so no round.
//! 3. **Uploading**: build the segment, give its documents the next rows in the order of the log, and
//!    create its parts, all in one round.
//!    - a part is not known to be stored: pause (4).
//! 4. **Pausing**: sleep a little, then create what is missing under new names (3).
//!
//! What it comes to is an edit, for a publication to apply to the head of that time.
//!
//! # Invariants
//!
//! - **L1** A document that was overwritten or deleted within the entries gets no row.
//! - **L2** Only rows that live at the snapshot are killed, each once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::blob::Blob;
use crate::base::id::{AttributeId, Cursor, Nonces, Row};
use crate::base::limits;
use crate::base::name::Key;
use crate::base::planted::{self, Bug};
use crate::base::time::Timestamp;
use crate::base::value::{Document, Id, IdType, Type};
use crate::format::frame::{BadObject, Damage};
use crate::format::ids::IdBlock;
use crate::format::log::{IdempotencyRecord, Operation};
use crate::format::manifest::Extent;
use crate::format::rows::RowSet;
use crate::format::schema::Schema;
use crate::format::segment::writer::{Bounds, Draft};
use crate::format::segment::{Directory, SegmentWriter};
use crate::machine::request::Reply;
use crate::machine::{Machine, Round, Step};
use crate::namespace::overlay::Decoded;
use crate::namespace::segments::FlushEdit;
use crate::namespace::snapshot::Snapshot;
use crate::ops::read::{ReadError, Stretches};
use crate::ops::upload::Uploads;

/// A flush on its way. See the [module](self) for its story.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Flush {
    snapshot: Arc<Snapshot>,
    settings: Settings,
    deadline: Timestamp,
    uploads: Uploads,
    state: State,
}

/// How much a flush takes on at once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Settings {
    /// Log bytes it absorbs at most, unless the first entry is larger.
    pub absorb_bytes_max: u64,
    /// Bytes of id blocks that one round reads at most, unless one block is larger.
    pub window_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { absorb_bytes_max: limits::FLUSH_BYTES_MAX, window_bytes: limits::WINDOW_BYTES }
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum State {
    Gathering,
    Looking { looking: Looking, asked: Stretches },
    Uploading(Building),
    Pausing(Building),
}

/// A segment whose parts are on their way into the store.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Building {
    edit: FlushEdit,
    draft: Draft,
}

/// What a flush made.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Flushed {
    /// What it changes.
    pub edit: FlushEdit,
    /// The directory of the segment it made, if it made one, so that nobody here has to read it.
    pub directory: Option<Arc<Directory>>,
}

/// The last words of the entries that are absorbed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Words {
    entries: Vec<Decoded>,
    /// Which entry and which operation in it says each last word, in the order of the log.
    last: Vec<(u32, u32)>,
}

/// The search for the rows that the last words end.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Looking {
    words: Words,
    lookups: Vec<Lookup>,
    /// The first lookup that is not done.
    next: usize,
    kills: RowSet,
}

/// A block of ids to be read, and whose ids may stand there, by their place among the last words.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Lookup {
    directory: usize,
    extent: Extent,
    words: Vec<u32>,
}

impl Flush {
    /// Begins to flush the oldest entries of the snapshot's log.
    ///
    /// # Panics
    ///
    /// If the log has no entries.
    pub fn start(
        now: Timestamp,
        snapshot: Arc<Snapshot>,
        nonces: Nonces,
        settings: Settings,
        deadline: Timestamp,
    ) -> Step<Self> {
        assert!(!snapshot.overlay.entries().is_empty(), "a flush needs something to flush");
        let uploads = Uploads::new(snapshot.place.clone(), snapshot.head.step, nonces);
        let machine = Self { snapshot, settings, deadline, uploads, state: State::Gathering };
        Step::Wait(machine, Round::sleep(now))
    }

    fn gather(self) -> Step<Self> {
        let words = Words::of(&self.snapshot, self.settings.absorb_bytes_max);
        let lookups = words.lookups(&self.snapshot);
        self.look(Looking { words, lookups, next: 0, kills: RowSet::default() })
    }

    /// Asks for the next window of blocks.
    fn look(mut self, looking: Looking) -> Step<Self> {
        let window = looking.window(self.settings.window_bytes);
        if window.is_empty() {
            return self.build(&looking);
        }
        let directories = &self.snapshot.directories;
        let wanted = window.iter().map(|l| (directories[l.directory].segment(), l.extent));
        let asked = Stretches::apart(&self.snapshot.place, wanted);
        let round = Round::ask_all(asked.requests().collect(), self.deadline);
        self.state = State::Looking { looking, asked };
        Step::Wait(self, round)
    }

    fn looked(self, mut looking: Looking, bodies: Vec<(Key, Blob)>) -> Step<Self> {
        for (key, bytes) in bodies {
            if let Err(bad) = looking.find(&self.snapshot, &key, &bytes) {
                return Step::Done(Err(ReadError::Damaged(bad)));
            }
        }
        self.look(looking)
    }

    fn build(mut self, looking: &Looking) -> Step<Self> {
        let Looking { words, kills, .. } = looking;
        let live = self.snapshot.live();
        let (from, base) = (live.log.indexed, live.manifest.next_row);
        let to = Cursor(from.0 + words.entries.len() as u64);
        let documents = words.documents();
        let end = Row(base.0 + documents.len() as u64);
        let mut records = words.records();
        if planted::is(Bug::FlushForgetsKeys) {
            records.clear();
        }
        let killed = kills.len();
        let incarnation = self.snapshot.place.incarnation;
        let edit = FlushEdit { incarnation, from, to, base, end, killed, segment: None };
        let ends = !kills.is_empty() && !planted::is(Bug::DeletesAloneLeaveNothing);
        if documents.is_empty() && records.is_empty() && !ends {
            return Step::Done(Ok(Flushed { edit, directory: None }));
        }
        let (parts, draft) = build(&live.schema, base, &documents, &records, kills);
        for part in parts {
            self.uploads.add(part);
        }
        self.upload(Building { edit, draft })
    }

    fn upload(mut self, building: Building) -> Step<Self> {
        let round = Round::ask_all(self.uploads.requests(), self.deadline);
        self.state = State::Uploading(building);
        Step::Wait(self, round)
    }

    fn uploaded(mut self, now: Timestamp, building: Building) -> Step<Self> {
        if self.uploads.is_done() {
            let Building { edit, draft } = building;
            let (segment, directory) = draft.named(&self.snapshot.place, &self.uploads.names());
            let edit = FlushEdit { segment: Some(segment), ..edit };
            return Step::Done(Ok(Flushed { edit, directory: Some(Arc::new(directory)) }));
        }
        let until = now + self.uploads.pause();
        if self.deadline <= until {
            return Step::Done(Err(ReadError::Late));
        }
        self.state = State::Pausing(building);
        Step::Wait(self, Round::sleep(until))
    }
}

impl Machine for Flush {
    /// The edit to publish. No error leaves anything behind but orphans.
    type Output = Result<Flushed, ReadError>;

    fn step(mut self, now: Timestamp, replies: Vec<Reply>) -> Step<Self> {
        match core::mem::replace(&mut self.state, State::Gathering) {
            State::Gathering => self.gather(),
            State::Looking { looking, asked } => match asked.bodies(replies) {
                Ok(bodies) => self.looked(looking, bodies),
                Err(error) => Step::Done(Err(error)),
            },
            State::Uploading(building) => {
                self.uploads.settle(replies);
                self.uploaded(now, building)
            }
            State::Pausing(building) => self.upload(building),
        }
    }

    fn is_heavy(&self) -> bool {
        matches!(self.state, State::Gathering | State::Looking { .. })
    }
}

impl Words {
    /// The last words of the oldest entries, as many as `bytes_max` allows.
    fn of(snapshot: &Snapshot, bytes_max: u64) -> Self {
        let mut bytes = 0;
        let sizes = snapshot.live().log.entries.iter().map(|entry| u64::from(entry.bytes));
        let within = sizes.take_while(|entry| {
            let first = bytes == 0;
            bytes += entry;
            first || bytes <= bytes_max
        });
        let entries = snapshot.overlay.entries()[..within.count()].to_vec();
        let mut last = BTreeMap::new();
        for (entry, number) in entries.iter().zip(0..) {
            for (operation, place) in entry.batch.operations.iter().zip(0..) {
                if planted::is(Bug::FlushTakesFirstWords) && last.contains_key(operation.id()) {
                    continue;
                }
                last.insert(operation.id(), (number, place));
            }
        }
        let mut last: Vec<(u32, u32)> = last.into_values().collect();
        last.sort_unstable();
        Self { entries, last }
    }

    fn operation(&self, (entry, place): (u32, u32)) -> &Operation {
        &self.entries[entry as usize].batch.operations[place as usize]
    }

    /// The documents that are left, in the order of the log (L1).
    fn documents(&self) -> Vec<&Document> {
        let last = self.last.iter().map(|word| self.operation(*word));
        last.filter_map(Operation::document).collect()
    }

    /// The newest record of every idempotency key, by ascending keys.
    fn records(&self) -> Vec<&IdempotencyRecord> {
        let all = self.entries.iter().flat_map(|entry| &entry.batch.records);
        let newest: BTreeMap<_, _> = all.map(|record| (&record.key, record)).collect();
        newest.into_values().collect()
    }

    /// The blocks in which one of the ids may stand, in the order in which they lie.
    fn lookups(&self, snapshot: &Snapshot) -> Vec<Lookup> {
        let mut lookups = BTreeMap::<(usize, Extent), Vec<u32>>::new();
        for (word, place) in self.last.iter().zip(0..) {
            let id = self.operation(*word).id();
            for (at, directory) in snapshot.directories.iter().enumerate() {
                let block = directory.id_block(id).filter(|_| directory.may_contain(id));
                if let Some(block) = block {
                    lookups.entry((at, block.extent)).or_default().push(place);
                }
            }
        }
        let lookup = |((directory, extent), words)| Lookup { directory, extent, words };
        lookups.into_iter().map(lookup).collect()
    }
}

impl Looking {
    /// The lookups of the next round.
    fn window(&self, window_bytes: usize) -> &[Lookup] {
        let rest = &self.lookups[self.next..];
        let mut bytes = 0;
        let within = rest.iter().take_while(|lookup| {
            let first = bytes == 0;
            bytes += lookup.extent.bytes as usize;
            first || bytes <= window_bytes
        });
        &rest[..within.count()]
    }

    /// Finds the rows of the next lookup in its block, which lies in the object `key` (L2).
    fn find(&mut self, snapshot: &Snapshot, key: &Key, bytes: &Blob) -> Result<(), BadObject> {
        let Lookup { directory, words, .. } = &self.lookups[self.next];
        let directory = &snapshot.directories[*directory];
        let id = |word: &u32| self.words.operation(self.words.last[*word as usize]).id();
        let block = words.first().and_then(|word| directory.id_block(id(word)));
        let block = IdBlock::open(block.expect("a lookup has a word and its block"), key, bytes)?;
        for position in words.iter().filter_map(|word| block.find(id(word))) {
            if position >= directory.rows() {
                return Err(Damage::Content("an id stands where there is no row").of(key));
            }
            let row = directory.row_at(position);
            let dead = snapshot.directories.iter().any(|other| other.kills().contains(row));
            let again = dead && planted::is(Bug::DeadRowsAreKilledAgain);
            if (!dead || again) && !planted::is(Bug::FlushKillsNothing) {
                self.kills.insert(row);
            }
        }
        self.next += 1;
        Ok(())
    }
}

/// Writes the segment of these documents and kills.
fn build(
    schema: &Schema,
    base: Row,
    documents: &[&Document],
    records: &[&IdempotencyRecord],
    kills: &RowSet,
) -> (Vec<Blob>, Draft) {
    let (rows_max, records_max) = (documents.len() as u64, records.len() as u64);
    let end = Row(base.0 + rows_max);
    let bounds = Bounds { base, end, rows_max, records_max };
    let mut writer = SegmentWriter::begin(bounds, schema.id_type.unwrap_or(IdType::Uint));
    for (attribute, value_type) in columns(schema, documents) {
        writer.column(attribute, value_type);
        for document in documents {
            writer.value(document.value(attribute));
        }
    }
    for (document, row) in documents.iter().zip(base.0..) {
        writer.document(Row(row), &document.id);
    }
    let mut ids: Vec<(&Id, u32)> = documents.iter().map(|document| &document.id).zip(0..).collect();
    ids.sort_unstable();
    for (id, position) in ids {
        writer.id(id, position);
    }
    for record in records {
        writer.record(record);
    }
    writer.finish(kills)
}

/// The attributes that one of the documents has, by ascending number, and their types. Those that were
/// dropped are left out.
fn columns(schema: &Schema, documents: &[&Document]) -> Vec<(AttributeId, Type)> {
    let values = documents.iter().flat_map(|document| &document.attributes);
    let used: BTreeSet<AttributeId> = values.map(|(attribute, _)| *attribute).collect();
    let known = schema.attributes.values().map(|attribute| (attribute.id, attribute.value_type));
    let known: BTreeMap<AttributeId, Type> = known.collect();
    let typed = |id| Some((id, *known.get(&id)?));
    used.into_iter().filter_map(typed).collect()
}
