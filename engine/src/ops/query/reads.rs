//! What a query reads: pages and blocks of segments, a window at a time.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::base::blob::Blob;
use crate::base::id::AttributeId;
use crate::base::name::Key;
use crate::base::planted::{self, Bug};
use crate::base::time::Timestamp;
use crate::base::value::Id;
use crate::format::columns::{Column, ColumnPage, Page};
use crate::format::frame::Damage;
use crate::format::ids::IdBlock;
use crate::format::manifest::Extent;
use crate::format::segment::Directory;
use crate::index::filter::select;
use crate::machine::Round;
use crate::machine::request::{ByteRange, Reply, Request};
use crate::namespace::request::QueryError;
use crate::namespace::snapshot::Snapshot;

/// Bytes above which taking what was read is heavy.
const LIGHT_BYTES_MAX: usize = 256 << 10;

/// The longest that a store takes for a round, if it is well. If an answer is missing after that, it is
/// not because a query asks for much.
const STORE_TIME_MAX: Duration = Duration::from_secs(10);

/// Something to read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(in crate::ops) struct Read {
    /// In which segment, by its place in the manifest.
    pub(in crate::ops) segment: usize,
    /// What of it.
    pub(in crate::ops) of: Of,
}

/// A part of a segment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(in crate::ops) enum Of {
    /// A block of ids, by its place.
    Block(usize),
    /// A page of an attribute's column, or of the column of ids; and its place.
    Page(Option<AttributeId>, usize),
}

/// Where a document stands: a segment, by its place in the manifest, and a position in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(in crate::ops) struct Place {
    pub(in crate::ops) segment: usize,
    pub(in crate::ops) position: u32,
}

/// Where a query reads.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(in crate::ops) struct Source {
    pub(in crate::ops) snapshot: Arc<Snapshot>,
    pub(in crate::ops) deadline: Timestamp,
    /// Bytes that one round may read.
    pub(in crate::ops) window_bytes: usize,
}

impl Source {
    pub(in crate::ops) fn directories(&self) -> impl Iterator<Item = &Directory> + Clone {
        self.snapshot.directories.iter().map(|directory| &**directory)
    }

    pub(in crate::ops) fn directory(&self, segment: usize) -> &Directory {
        &self.snapshot.directories[segment]
    }

    /// The column of an attribute, or of the ids, if the segment has it.
    pub(in crate::ops) fn column(
        &self,
        segment: usize,
        of: Option<AttributeId>,
    ) -> Option<&Column> {
        select::column(self.directory(segment), of)
    }

    /// What the directory says of a page.
    pub(in crate::ops) fn page(&self, read: &Read) -> (&Column, &Page) {
        let Of::Page(attribute, place) = read.of else { panic!("a block is no page: {read:?}") };
        let column = self.column(read.segment, attribute).expect("what is read exists");
        (column, &column.pages()[place])
    }

    fn extent(&self, read: &Read) -> Extent {
        match read.of {
            Of::Block(place) => self.directory(read.segment).id_blocks()[place].extent,
            Of::Page(..) => self.page(read).1.extent,
        }
    }

    fn key(&self, read: &Read) -> &Key {
        self.snapshot.key(read.segment, &self.extent(read))
    }

    /// How many bytes this reads.
    pub(in crate::ops) fn bytes(&self, read: &Read) -> usize {
        self.extent(read).bytes as usize
    }

    /// Whether taking these is heavy.
    pub(in crate::ops) fn is_heavy(&self, reads: &[Read]) -> bool {
        reads.iter().map(|read| self.bytes(read)).sum::<usize>() > LIGHT_BYTES_MAX
    }

    /// Asks for all of these.
    pub(in crate::ops) fn round(&self, reads: &[Read]) -> Round {
        assert!(!reads.is_empty(), "a round without requests would sleep until the deadline");
        let request = |read| {
            let extent = self.extent(read);
            let range = ByteRange { start: u64::from(extent.start), end: extent.end() };
            Request::get_range(self.key(read).clone(), range)
        };
        Round::ask_all(reads.iter().map(request).collect(), self.deadline)
    }

    /// What was read in the round that was asked at this moment.
    pub(in crate::ops) fn arrived(
        &self,
        asked_at: Timestamp,
        reads: Vec<Read>,
        replies: Vec<Reply>,
    ) -> Result<BTreeMap<Read, Blob>, QueryError> {
        assert_eq!(reads.len(), replies.len(), "M1: a reply for each request");
        let answers = replies.iter().any(|reply| matches!(reply, Reply::Found { .. }));
        let was_late = self.deadline < asked_at + STORE_TIME_MAX;
        let body = |(read, reply)| match reply {
            Reply::Found { body, .. } => Ok((read, body)),
            Reply::Missing => Err(QueryError::Vanished(self.key(&read).clone())),
            Reply::Unreadable => Err(Damage::Unreadable.of(self.key(&read)).into()),
            // Reads are repeated until the deadline, so it has come: was it the store or the query?
            _ if answers && was_late => Err(QueryError::TooLong),
            _ => Err(QueryError::Unavailable),
        };
        reads.into_iter().zip(replies).map(body).collect()
    }

    /// Opens a page. What it holds is of the type that the schema says (S1), and ids have no gaps.
    pub(in crate::ops) fn open(&self, read: &Read, bytes: &Blob) -> Result<ColumnPage, QueryError> {
        let (column, page) = self.page(read);
        let (value_type, key) = (column.value_type(), self.key(read));
        let opened = ColumnPage::open(value_type, page, key, bytes)?;
        let expected = match read.of {
            Of::Page(Some(attribute), _) => {
                let described = self.snapshot.live().schema.by_id(attribute);
                described.is_some_and(|(_, attribute)| attribute.value_type == value_type)
            }
            _ => opened.presence().is_full() && opened.id(0).is_some(),
        };
        let wrong = || Damage::Content("S1: a page holds values of another type").of(key);
        Ok(expected.then_some(opened).ok_or_else(wrong)?)
    }

    /// Opens a block of ids.
    pub(in crate::ops) fn open_block(
        &self,
        read: &Read,
        bytes: &Blob,
    ) -> Result<IdBlock, QueryError> {
        let Of::Block(place) = read.of else { panic!("a page is no block: {read:?}") };
        let block = &self.directory(read.segment).id_blocks()[place];
        Ok(IdBlock::open(block, self.key(read), bytes)?)
    }

    /// The position of an id, if the block has it.
    pub(in crate::ops) fn find(
        &self,
        read: &Read,
        block: &IdBlock,
        id: &Id,
    ) -> Result<Option<u32>, QueryError> {
        let position = block.find(id);
        if position.is_some_and(|position| position >= self.directory(read.segment).rows()) {
            let wrong = Damage::Content("an id stands at a position that does not exist");
            return Err(wrong.of(self.key(read)).into());
        }
        Ok(position)
    }

    /// The blocks of a segment that may hold these ids, each with those it may hold.
    pub(in crate::ops) fn probes<'a>(
        &self,
        segment: usize,
        ids: impl Iterator<Item = &'a Id>,
    ) -> BTreeMap<Read, Vec<Id>> {
        let directory = self.directory(segment);
        let mut probes = BTreeMap::<_, Vec<_>>::new();
        for id in ids.filter(|id| directory.may_contain(id)) {
            let Some(block) = directory.id_block(id) else { continue };
            let place = directory.id_blocks().partition_point(|b| b.first < block.first);
            let read = Read { segment, of: Of::Block(place) };
            probes.entry(read).or_default().push(id.clone());
        }
        probes
    }

    /// Whether no segment killed the row at this place.
    pub(in crate::ops) fn lives(&self, place: Place) -> bool {
        let row = self.directory(place.segment).row_at(place.position);
        let killed = self.directories().any(|directory| directory.kills().contains(row));
        !killed || planted::is(Bug::DeadRowsAreFound)
    }

    /// Takes as much from the queue as a window holds, and at least one item. `bytes` says what an
    /// item adds to it.
    pub(in crate::ops) fn window<T>(
        &self,
        queue: &mut VecDeque<T>,
        mut bytes: impl FnMut(&T) -> usize,
    ) -> Vec<T> {
        let (mut taken, mut held) = (Vec::new(), 0);
        while let Some(item) = queue.front() {
            held += bytes(item);
            if held > self.window_bytes && !taken.is_empty() {
                break;
            }
            taken.extend(queue.pop_front());
        }
        assert!(queue.is_empty() || !taken.is_empty(), "a window makes progress");
        taken
    }
}
