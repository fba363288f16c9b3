//! Whether all that a namespace's head names is there and whole.
//!
//! # Story
//!
//! 1. Read the head, decode it, check its invariants.
//! 2. Read the batch of every log entry and decode it.
//! 3. Read every part of every segment whole; check its length, and in it each stretch that the
//!    directory names: checksum, decoding, counts, ranges.
//! 4. Check what holds between them: each document stands once among the ids, under the position that
//!    the column of ids says; rows that live are as many as the manifest says.
//! 5. If something was missing and the head has moved on meanwhile, it may have been collected: start
//!    over.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use sana_engine::base::blob::Blob;
use sana_engine::base::id::Incarnation;
use sana_engine::base::name::{Key, NamespaceName};
use sana_engine::base::value::{Id, Type};
use sana_engine::format::blocks::BlockRef;
use sana_engine::format::columns::{Column, ColumnPage, Page};
use sana_engine::format::frame::{BadObject, Damage};
use sana_engine::format::head::{Head, Live};
use sana_engine::format::idempotency::RecordBlock;
use sana_engine::format::ids::IdBlock;
use sana_engine::format::layout::{self, Family, Place};
use sana_engine::format::log::{Batch, LogEntry, Payload};
use sana_engine::format::manifest::{Extent, SegmentRef};
use sana_engine::format::segment::Directory;
use sana_engine::machine::Round;
use sana_engine::machine::drive::{Clock, ObjectStore, fly};
use sana_engine::machine::request::{ByteRange, Reply, Request, Tag};
use sana_engine::namespace::invariants;

/// What was found out about a namespace.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verified {
    /// Whether there is such a namespace. One whose head cannot be read is one.
    pub is_live: bool,
    /// How many objects were read.
    pub objects: u64,
    /// How many bytes were read.
    pub bytes: u64,
    /// What is wrong, in sentences that name the object. Empty if all is well.
    pub findings: Vec<String>,
}

/// The store did not answer, so nothing is known.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the store does not answer for {0}; ask again")]
pub struct NoAnswer(Key);

/// Reads and checks on behalf of one namespace.
struct Checker<'a, S, C> {
    store: &'a S,
    clock: &'a C,
    place: Place,
    verified: Verified,
    /// Something that was named was not there.
    is_missing: bool,
}

/// What the ids of a segment come to, seen from one side.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Sum {
    count: u64,
    /// Of digests of positions with their ids: equal for equal sets, whatever their order.
    digest: u128,
}

/// What a stretch of a segment holds.
enum Stretch<'a> {
    Ids(Type, &'a Page),
    Column(Type, &'a Page),
    IdBlock(&'a BlockRef),
    Records(&'a BlockRef),
}

/// The longest that one read may take.
const TIME_MAX: Duration = Duration::from_mins(1);
/// How often it starts over because the namespace changed.
const ATTEMPTS: u32 = 5;

/// Verifies one namespace.
///
/// # Errors
///
/// [`NoAnswer`] if the store does not answer.
pub async fn namespace<S: ObjectStore, C: Clock>(
    store: &S,
    clock: &C,
    name: &NamespaceName,
) -> Result<Verified, NoAnswer> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let place = Place { namespace: name.clone(), incarnation: Incarnation::default() };
        let verified = Verified::default();
        let mut checker = Checker { store, clock, place, verified, is_missing: false };
        let tag = checker.all().await?;
        let key = layout::head(name);
        if !checker.is_missing || attempt == ATTEMPTS || tag == checker.tag(&key).await? {
            return Ok(checker.verified);
        }
    }
}

impl<S: ObjectStore, C: Clock> Checker<'_, S, C> {
    /// Checks everything, and says which version of the head that was.
    async fn all(&mut self) -> Result<Option<Tag>, NoAnswer> {
        let key = layout::head(&self.place.namespace);
        let (tag, body) = match self.ask(Request::get(key.clone())).await? {
            Reply::Found { tag, body } => (tag, body),
            Reply::Unreadable => {
                self.verified.is_live = true;
                self.unreadable(&key);
                return Ok(None);
            }
            _ => return Ok(None),
        };
        self.read(&body);
        let head = Head::decode(&key, &body);
        let checked = head.and_then(|head| match invariants::check(&head) {
            Ok(()) => Ok(head),
            Err(damage) => Err(damage.of(&key)),
        });
        self.verified.is_live = true;
        match checked {
            Ok(head) => {
                self.verified.is_live = head.live().is_some();
                self.place.incarnation = head.incarnation;
                if let Some(live) = head.live() {
                    self.live(live).await?;
                }
            }
            Err(bad) => self.bad(&bad),
        }
        Ok(Some(tag))
    }

    async fn live(&mut self, live: &Live) -> Result<(), NoAnswer> {
        for entry in &live.log.entries {
            self.log_entry(entry).await?;
        }
        let mut directories = Vec::new();
        for segment in &live.manifest.segments {
            directories.extend(self.segment(live, segment).await?);
        }
        self.trash(live);
        // Without all directories nothing can be said of all rows.
        if directories.len() == live.manifest.segments.len() {
            let alive = directories
                .iter()
                .map(|directory| u64::from(directory.rows()) - directory.dead(&directories).len());
            let (alive, said) = (alive.sum::<u64>(), live.manifest.live_rows);
            if alive != said {
                self.find(format!("the head says {said} documents live, and {alive} do"));
            }
        }
        Ok(())
    }

    async fn log_entry(&mut self, entry: &LogEntry) -> Result<(), NoAnswer> {
        let (key, body) = match &entry.payload {
            Payload::Inline(body) => (layout::head(&self.place.namespace), Some(body.clone())),
            Payload::Object { name, start } => {
                let key = self.place.object(Family::Log, *name);
                let start = u64::from(*start);
                let range = ByteRange { start, end: start + u64::from(entry.bytes) };
                let body = self.get(Request::get_range(key.clone(), range)).await?;
                (key, body)
            }
        };
        let Some(body) = body else { return Ok(()) };
        match Batch::decode(&key, &body) {
            Ok(batch) if batch.operations.len() as u64 == u64::from(entry.operations) => {}
            Ok(batch) => {
                let (cursor, said, found) =
                    (entry.cursor.0, entry.operations, batch.operations.len());
                self.find(format!(
                    "object {key}: commit {cursor} has {found} operations, and the head says {said}"
                ));
            }
            Err(bad) => self.bad(&bad),
        }
        Ok(())
    }

    /// Checks a segment part by part; gives its directory if that can be read.
    async fn segment(
        &mut self,
        live: &Live,
        segment: &SegmentRef,
    ) -> Result<Option<Directory>, NoAnswer> {
        let key = segment.key(&self.place, &segment.directory);
        let Extent { start, .. } = segment.directory;
        let range = ByteRange { start: start.into(), end: segment.directory.end() };
        let found = self.get(Request::get_range(key.clone(), range)).await?;
        let directory = found.map(|bytes| Directory::decode(segment, &key, &bytes));
        let directory = match directory {
            Some(Ok(directory)) => directory,
            Some(Err(bad)) => {
                self.bad(&bad);
                return Ok(None);
            }
            None => return Ok(None),
        };
        self.types(live, &directory, &key);
        let mut stretches = stretches(&directory);
        let (mut by_position, mut by_id) = (Sum::default(), Sum::default());
        let mut is_whole = true;
        for (place, part) in (0_u32..).zip(&segment.parts) {
            let key = self.place.object(Family::Segment, part.name);
            let body = self.get(Request::get(key.clone())).await?;
            let Some(body) = body else {
                is_whole = false;
                continue;
            };
            if body.len() as u64 != u64::from(part.bytes) {
                let (found, said) = (body.len(), part.bytes);
                self.find(format!("object {key} is {found} bytes long, and the head says {said}"));
            }
            for (extent, stretch) in stretches.remove(&place).unwrap_or_default() {
                let (start, end) = (extent.start as usize, extent.end() as usize);
                let bytes = body.slice(start.min(body.len()), end.min(body.len()));
                let bytes = bytes.unwrap_or_default();
                if let Err(bad) = stretch.check(&key, &bytes, &mut by_position, &mut by_id) {
                    self.bad(&bad);
                    is_whole = false;
                }
            }
        }
        let expected = u64::from(directory.rows());
        if is_whole && (by_position != by_id || by_id.count != expected) {
            self.find(format!("object {key}: its ids and its rows are not of the same documents"));
        }
        Ok(Some(directory))
    }

    /// Columns have the types that the schema says.
    fn types(&mut self, live: &Live, directory: &Directory, key: &Key) {
        for (id, column) in directory.columns() {
            match live.schema.by_id(*id) {
                Some((name, attribute)) if attribute.value_type != column.value_type() => {
                    let (said, found) = (attribute.value_type, column.value_type());
                    self.find(format!(
                        "object {key}: attribute '{name}' is {found} here and {said} in the schema"
                    ));
                }
                Some(_) | None => {}
            }
        }
    }

    /// Nothing that counts is about to be deleted.
    fn trash(&mut self, live: &Live) {
        let parts = live.manifest.segments.iter().flat_map(|segment| &segment.parts);
        let parts = parts.map(|part| (Family::Segment, part.name));
        let logged = live.log.entries.iter().filter_map(|entry| match &entry.payload {
            Payload::Object { name, .. } => Some((Family::Log, *name)),
            Payload::Inline(_) => None,
        });
        let named: BTreeSet<_> = parts.chain(logged).collect();
        let trash = live.trash.iter().flat_map(|trash| &trash.names);
        for (family, name) in trash.filter(|name| named.contains(name)) {
            let key = self.place.object(*family, *name);
            self.find(format!("object {key} counts, and is to be deleted"));
        }
    }

    /// What is there, which must be.
    async fn get(&mut self, request: Request) -> Result<Option<Blob>, NoAnswer> {
        let key = request.key().clone();
        match self.ask(request).await? {
            Reply::Found { body, .. } => {
                self.read(&body);
                Ok(Some(body))
            }
            Reply::Unreadable => {
                self.unreadable(&key);
                Ok(None)
            }
            _ => {
                self.is_missing = true;
                self.find(format!("object {key} is not there"));
                Ok(None)
            }
        }
    }

    async fn tag(&self, key: &Key) -> Result<Option<Tag>, NoAnswer> {
        match self.ask(Request::get(key.clone())).await? {
            Reply::Found { tag, .. } => Ok(Some(tag)),
            _ => Ok(None),
        }
    }

    async fn ask(&self, request: Request) -> Result<Reply, NoAnswer> {
        let key = request.key().clone();
        let round = Round::ask(request, self.clock.now() + TIME_MAX);
        match fly(self.store, self.clock, round).await.pop() {
            Some(reply @ (Reply::Found { .. } | Reply::Missing | Reply::Unreadable)) => Ok(reply),
            _ => Err(NoAnswer(key)),
        }
    }

    const fn read(&mut self, body: &Blob) {
        self.verified.objects += 1;
        self.verified.bytes += body.len() as u64;
    }

    fn unreadable(&mut self, key: &Key) {
        self.find(format!("object {key} cannot be read back by the store"));
    }

    fn bad(&mut self, bad: &BadObject) {
        self.find(format!("object {}: {}", bad.key, bad.damage));
    }

    fn find(&mut self, finding: String) {
        self.verified.findings.push(finding);
    }
}

/// All stretches of a segment but its directory, by the part they lie in.
fn stretches(directory: &Directory) -> BTreeMap<u32, Vec<(Extent, Stretch<'_>)>> {
    let mut all: BTreeMap<u32, Vec<(Extent, Stretch<'_>)>> = BTreeMap::new();
    let mut add = |extent: Extent, stretch| {
        all.entry(extent.part).or_default().push((extent, stretch));
    };
    for page in directory.ids().pages() {
        add(page.extent, Stretch::Ids(directory.ids().value_type(), page));
    }
    let pages = directory.columns().iter().flat_map(|(_, column): &(_, Column)| {
        column.pages().iter().map(|page| (column.value_type(), page))
    });
    for (value_type, page) in pages {
        add(page.extent, Stretch::Column(value_type, page));
    }
    for block in directory.id_blocks() {
        add(block.extent, Stretch::IdBlock(block));
    }
    for block in directory.record_blocks() {
        add(block.extent, Stretch::Records(block));
    }
    all
}

impl Stretch<'_> {
    fn check(
        &self,
        key: &Key,
        bytes: &Blob,
        by_position: &mut Sum,
        by_id: &mut Sum,
    ) -> Result<(), BadObject> {
        match self {
            Self::Ids(ids, page) => {
                let opened = ColumnPage::open(*ids, page, key, bytes)?;
                check_zone(page, &opened, key)?;
                for row in 0..opened.rows() {
                    let id = opened.id(row);
                    let id = id.ok_or_else(|| Damage::Content("a row has no id").of(key))?;
                    by_position.add(page.first + row as u32, &id);
                }
                Ok(())
            }
            Self::Column(value_type, page) => {
                let opened = ColumnPage::open(*value_type, page, key, bytes)?;
                check_zone(page, &opened, key)
            }
            Self::IdBlock(block) => {
                for (id, position) in IdBlock::open(block, key, bytes)?.entries() {
                    by_id.add(position, &id);
                }
                Ok(())
            }
            Self::Records(block) => RecordBlock::open(block, key, bytes).map(|_| ()),
        }
    }
}

/// Every value lies in the range that the directory says.
fn check_zone(page: &Page, opened: &ColumnPage, key: &Key) -> Result<(), BadObject> {
    let Some(zone) = &page.zone else { return Ok(()) };
    let outside = |row| opened.scalar(row).is_some_and(|value| !zone.may_hold(&value));
    match (0..opened.rows()).find(|row| outside(*row)) {
        None => Ok(()),
        Some(_) => Err(Damage::Content("C2: a value lies outside the range of its page").of(key)),
    }
}

impl Sum {
    fn add(&mut self, position: u32, id: &Id) {
        let mut bytes = position.to_le_bytes().to_vec();
        match id {
            Id::Uint(id) => bytes.extend_from_slice(&id.to_le_bytes()),
            Id::Uuid(id) => bytes.extend_from_slice(&id.to_le_bytes()),
            Id::String(id) => bytes.extend_from_slice(id.as_bytes()),
        }
        self.count += 1;
        self.digest = self.digest.wrapping_add(xxhash_rust::xxh3::xxh3_128(&bytes));
    }
}

#[cfg(test)]
mod tests;
