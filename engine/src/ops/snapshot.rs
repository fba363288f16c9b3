//! Brings what a node holds of a namespace up to date.
//!
//! # Story
//!
//! 1. **Asking**: get the head, unless it is the version held.
//!    - not modified: what is held is the newest, done;
//!    - missing, or a tombstone: done, there is no such namespace;
//!    - a live head: inline batches are decoded; if batches in objects or directories of segments are
//!      not held yet, load them (2); else done.
//! 2. **Loading**: get those batches and directories, a window a round. Batches that lie side by side in
//!    an object are one request.
//!    - found: done, or the next window;
//!    - one is missing: the head has moved on since, ask again (1); if it has not, the object is lost,
//!      and an error names it.
//!
//! One round if nothing changed or only inline writes came, two rounds from nothing, and one more for each
//! window more. Whoever needs the head alone says so and is never sent to (2).
//!
//! # Invariants
//!
//! - **R1** What is handed out as held is one version of the head, whole: its log decoded and the
//!   directory of every segment, or the head alone.
//! - **R2** A version once seen is never gone back behind: what is found later is newer.
//! - **R3** A round asks for one window at most, however long the log is.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::blob::Blob;
use crate::base::limits::WINDOW_BYTES;
use crate::base::name::{Key, NamespaceName};
use crate::base::planted::{self, Bug};
use crate::base::time::Timestamp;
use crate::format::frame::{BadObject, Damage};
use crate::format::head::{Head, Live};
use crate::format::layout::{self, Family, Place};
use crate::format::log::{Batch, LogEntry, Payload};
use crate::format::segment::Directory;
use crate::machine::request::{ByteRange, Reply, Request, Tag};
use crate::machine::{Machine, Round, Step};
use crate::namespace::invariants;
use crate::namespace::overlay::{Decoded, Overlay};
use crate::namespace::snapshot::Snapshot;

/// What a node holds of a namespace: one version of its head, and as much of what it names as was
/// asked for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Held {
    /// The version; `None` if there was no head.
    pub version: Option<(Tag, Arc<Head>)>,
    /// The log and the directories at that version, if they were loaded and the namespace is live.
    pub snapshot: Option<Arc<Snapshot>>,
}

/// How much of a namespace is wanted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Depth {
    /// The head.
    Head,
    /// The head, the log decoded, and the directory of every segment.
    Snapshot,
}

/// Why a namespace could not be brought up to date.
#[derive(Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum RefreshError {
    /// The store did not answer in time.
    #[error("the store does not answer; ask again")]
    Unavailable,
    /// An object cannot be read.
    #[error("{bad}")]
    Damaged {
        /// The object.
        bad: BadObject,
        /// The newest version, if that could be read.
        version: Option<(Tag, Arc<Head>)>,
    },
}

impl RefreshError {
    /// The head cannot be read.
    const fn of_head(bad: BadObject) -> Self {
        Self::Damaged { bad, version: None }
    }
}

/// A refresh on its way. See the [module](self) for its story.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Refresh {
    namespace: NamespaceName,
    held: Option<Held>,
    depth: Depth,
    deadline: Timestamp,
    /// The version that named an object which was not there.
    missed: Option<Tag>,
    state: State,
}

/// Requests of a window. A log has up to 4,096 entries, and each may lie in an object of its own.
pub const WINDOW_REQUESTS: usize = 256;

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum State {
    Asking,
    Loading(Box<Loading>),
}

/// A version whose batches and directories are being read.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Loading {
    tag: Tag,
    head: Arc<Head>,
    /// The batches decoded so far: all of the log but those in `flying` and `pending`.
    batches: Vec<Option<Arc<Batch>>>,
    /// The directories held: all of the manifest but those in `flying` and `pending`.
    directories: Vec<Option<Arc<Directory>>>,
    /// What the requests under way are for, in their order.
    flying: Vec<Read>,
    /// What is still to be asked for.
    pending: VecDeque<Read>,
}

/// A stretch of an object, and what lies in it, side by side.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Read {
    key: Key,
    range: ByteRange,
    wanted: Vec<Wanted>,
}

/// Something to read: its place in the log or in the manifest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Wanted {
    Batch(usize),
    Directory(usize),
}

impl Held {
    /// There is no head.
    pub const ABSENT: Self = Self { version: None, snapshot: None };

    /// The version of a live namespace.
    pub fn live(&self) -> Option<(&Tag, &Arc<Head>, &Live)> {
        let (tag, head) = self.version.as_ref()?;
        head.live().map(|live| (tag, head, live))
    }
}

impl Refresh {
    /// Begins to bring `held` up to date.
    pub fn start(
        namespace: NamespaceName,
        held: Option<Held>,
        depth: Depth,
        deadline: Timestamp,
    ) -> Step<Self> {
        Self { namespace, held, depth, deadline, missed: None, state: State::Asking }.ask()
    }

    /// The same, where a newer version than the one held was found in passing.
    pub fn found(
        namespace: NamespaceName,
        held: Option<Held>,
        depth: Depth,
        deadline: Timestamp,
        found: Option<(Tag, Blob)>,
    ) -> Step<Self> {
        let missed = None;
        let refresh = Self { namespace, held, depth, deadline, missed, state: State::Asking };
        match found {
            Some((tag, body)) => refresh.judge(tag, &body),
            None => Step::Done(Ok(Held::ABSENT)),
        }
    }

    fn ask(self) -> Step<Self> {
        // A version is only good for "not modified" if as much is held of it as is wanted.
        let version = self.held.as_ref().filter(|held| self.is_enough(held));
        let unless = version.and_then(|held| held.version.as_ref()).map(|(tag, _)| tag.clone());
        let unless = unless.filter(|_| !planted::is(Bug::ChecksFetchAll));
        let request = Request::Get { key: layout::head(&self.namespace), range: None, unless };
        let round = Round::ask(request, self.deadline);
        Step::Wait(Self { state: State::Asking, ..self }, round)
    }

    fn is_enough(&self, held: &Held) -> bool {
        self.depth == Depth::Head || held.snapshot.is_some() || held.live().is_none()
    }

    fn judge(self, tag: Tag, body: &Blob) -> Step<Self> {
        let key = layout::head(&self.namespace);
        let head = match invariants::read(&key, body) {
            Ok(head) => Arc::new(head),
            Err(bad) => return Step::Done(Err(RefreshError::of_head(bad))),
        };
        let older = self.held.as_ref().and_then(|held| held.version.as_ref());
        assert!(older.is_none_or(|(_, old)| old.step <= head.step), "R2: a head went back");
        if head.live().is_none() || self.depth == Depth::Head {
            return Step::Done(Ok(Held { version: Some((tag, head)), snapshot: None }));
        }
        self.load(tag, head)
    }

    /// Takes over what is held of an older version and asks for the rest.
    fn load(self, tag: Tag, head: Arc<Head>) -> Step<Self> {
        let live = head.live().expect("only live heads are loaded");
        let place = self.place(&head);
        let held = self.held.as_ref().and_then(|held| held.snapshot.as_ref());
        let any = planted::is(Bug::BatchesOfAnotherLife);
        let held = held.filter(|snapshot| any || snapshot.place == place);
        let mut pending = VecDeque::new();
        let mut batches = Vec::new();
        for (at, entry) in live.log.entries.iter().enumerate() {
            let known = held.and_then(|snapshot| snapshot.overlay.entry(entry.cursor));
            let batch = match (known, &entry.payload) {
                (Some(known), _) => Some(known.batch.clone()),
                (None, Payload::Inline(batch)) => {
                    match Batch::decode(&layout::head(&self.namespace), batch) {
                        Ok(batch) => Some(Arc::new(batch)),
                        Err(bad) => {
                            let version = Some((tag, head.clone()));
                            return Step::Done(Err(RefreshError::Damaged { bad, version }));
                        }
                    }
                }
                (None, Payload::Object { .. }) => None,
            };
            if batch.is_none() {
                let (key, range) = (batch_key(&place, entry), batch_range(entry));
                want(&mut pending, key, range, Wanted::Batch(at));
            }
            batches.push(batch);
        }
        let mut directories = Vec::new();
        for (at, segment) in live.manifest.segments.iter().enumerate() {
            let directory = held.and_then(|snapshot| snapshot.directory_of(segment)).cloned();
            if directory.is_none() {
                let extent = segment.directory;
                let key = segment.key(&place, &extent);
                let range = ByteRange { start: u64::from(extent.start), end: extent.end() };
                want(&mut pending, key, range, Wanted::Directory(at));
            }
            directories.push(directory);
        }
        self.next(Loading { tag, head, batches, directories, flying: Vec::new(), pending })
    }

    /// Asks for the next window, if there is more to read.
    fn next(self, mut loading: Loading) -> Step<Self> {
        loading.flying = loading.window();
        if loading.flying.is_empty() {
            let place = self.place(&loading.head);
            return Step::Done(Ok(loading.finish(place)));
        }
        let reads = loading.flying.iter();
        let requests = reads.map(|read| Request::get_range(read.key.clone(), read.range)).collect();
        let round = Round::ask_all(requests, self.deadline);
        Step::Wait(Self { state: State::Loading(Box::new(loading)), ..self }, round)
    }

    fn place(&self, head: &Head) -> Place {
        Place { namespace: self.namespace.clone(), incarnation: head.incarnation }
    }

    fn loaded(self, now: Timestamp, mut loading: Loading, replies: Vec<Reply>) -> Step<Self> {
        assert_eq!(loading.flying.len(), replies.len(), "R1: a reply for all that was asked");
        for (read, reply) in core::mem::take(&mut loading.flying).into_iter().zip(replies) {
            let body = match reply {
                Reply::Found { body, .. } => body,
                Reply::Missing if planted::is(Bug::MissingBatchIsEmpty) && loading.pass(&read) => {
                    continue;
                }
                // What a head names is deleted only after a later head does not (H2).
                Reply::Missing if self.missed.as_ref() == Some(&loading.tag) => {
                    return Step::Done(Err(loading.damaged(Damage::Gone.of(&read.key))));
                }
                Reply::Missing if now < self.deadline => {
                    return Self { held: None, missed: Some(loading.tag), ..self }.ask();
                }
                Reply::Unreadable => {
                    return Step::Done(Err(loading.damaged(Damage::Unreadable.of(&read.key))));
                }
                _ => return Step::Done(Err(RefreshError::Unavailable)),
            };
            if let Err(bad) = loading.take(&read, &body) {
                if planted::is(Bug::UndecodedIsPassedOver) && loading.pass(&read) {
                    continue;
                }
                return Step::Done(Err(loading.damaged(bad)));
            }
        }
        self.next(loading)
    }
}

impl Machine for Refresh {
    type Output = Result<Held, RefreshError>;

    fn step(mut self, now: Timestamp, replies: Vec<Reply>) -> Step<Self> {
        match core::mem::replace(&mut self.state, State::Asking) {
            State::Asking => match replies.into_iter().next() {
                Some(Reply::NotModified) => {
                    let held = self.held.expect("only a version that is held is asked about");
                    Step::Done(Ok(held))
                }
                Some(Reply::Missing) => Step::Done(Ok(Held::ABSENT)),
                Some(Reply::Found { tag, body }) => self.judge(tag, &body),
                Some(Reply::Unreadable) => {
                    let key = layout::head(&self.namespace);
                    Step::Done(Err(RefreshError::of_head(Damage::Unreadable.of(&key))))
                }
                _ => Step::Done(Err(RefreshError::Unavailable)),
            },
            State::Loading(loading) => self.loaded(now, *loading, replies),
        }
    }

    fn is_heavy(&self) -> bool {
        matches!(self.state, State::Loading(_))
    }
}

impl Loading {
    fn live(&self) -> &Live {
        self.head.live().expect("only live heads are loaded")
    }

    /// Something that this version names cannot be read.
    fn damaged(self, bad: BadObject) -> RefreshError {
        RefreshError::Damaged { bad, version: Some((self.tag, self.head)) }
    }

    /// Takes the next window from what is pending: no more than so many requests and bytes, and at
    /// least one read if there is any (R3).
    fn window(&mut self) -> Vec<Read> {
        let mut window = Vec::new();
        let mut bytes = 0;
        while let Some(read) = self.pending.front() {
            bytes += read.bytes();
            let is_full = window.len() == WINDOW_REQUESTS || bytes > WINDOW_BYTES as u64;
            if is_full && !window.is_empty() {
                break;
            }
            window.extend(self.pending.pop_front());
        }
        window
    }

    /// Of planted bugs: takes batches for empty ones. False if these are none.
    fn pass(&mut self, read: &Read) -> bool {
        for wanted in &read.wanted {
            let Wanted::Batch(at) = wanted else { return false };
            self.batches[*at] = Some(Arc::default());
        }
        true
    }

    /// Decodes what was read.
    fn take(&mut self, read: &Read, body: &Blob) -> Result<(), BadObject> {
        if body.len() as u64 != read.bytes() {
            let (found, expected) = (body.len() as u64, read.bytes());
            return Err(Damage::Length { found, expected }.of(&read.key));
        }
        let mut start = 0;
        for wanted in &read.wanted {
            match *wanted {
                Wanted::Batch(at) => {
                    let entry = &self.live().log.entries[at];
                    let end = start + entry.bytes as usize;
                    let bytes =
                        body.slice(start, end).expect("R1: a read is as long as its batches");
                    let batch = Batch::decode(&read.key, &bytes)?;
                    if batch.operations.len() != entry.operations as usize {
                        return Err(Damage::Content("it holds another batch").of(&read.key));
                    }
                    self.batches[at] = Some(Arc::new(batch));
                    if !planted::is(Bug::FirstOfNeighbours) {
                        start = end;
                    }
                }
                Wanted::Directory(at) => {
                    let segment = &self.live().manifest.segments[at];
                    let directory = Directory::decode(segment, &read.key, body)?;
                    self.directories[at] = Some(Arc::new(directory));
                }
            }
        }
        Ok(())
    }

    fn finish(self, place: Place) -> Held {
        let live = self.head.live().expect("only live heads are loaded");
        assert_eq!(self.batches.len(), live.log.entries.len(), "R1: the log, whole");
        assert_eq!(self.directories.len(), live.manifest.segments.len(), "R1: all segments");
        let mut overlay = Overlay::default();
        for (entry, batch) in live.log.entries.iter().zip(self.batches) {
            let batch = batch.expect("R1: every batch was held or read");
            overlay.push(Decoded { cursor: entry.cursor, commit: entry.commit, batch });
        }
        let all = self.directories.into_iter();
        let directories = all.map(|d| d.expect("R1: every directory was held or read")).collect();
        let snapshot = Snapshot::new(place, self.head.clone(), Arc::new(overlay), directories);
        Held { version: Some((self.tag, self.head)), snapshot: Some(Arc::new(snapshot)) }
    }
}

impl Read {
    const fn bytes(&self) -> u64 {
        self.range.end - self.range.start
    }
}

/// Adds to what is to be read. Batches that were spilled together are read together: they lie side by
/// side, in the order of the log.
fn want(pending: &mut VecDeque<Read>, key: Key, range: ByteRange, wanted: Wanted) {
    match (pending.back_mut(), wanted) {
        (Some(last), Wanted::Batch(_)) if last.key == key && last.range.end == range.start => {
            last.range.end = range.end;
            last.wanted.push(wanted);
        }
        _ => pending.push_back(Read { key, range, wanted: vec![wanted] }),
    }
}

/// The log object that a batch stands in; of an inline batch, the head.
fn batch_key(place: &Place, entry: &LogEntry) -> Key {
    match &entry.payload {
        Payload::Inline(_) => layout::head(&place.namespace),
        Payload::Object { name, .. } => place.object(Family::Log, *name),
    }
}

/// Where in that object.
fn batch_range(entry: &LogEntry) -> ByteRange {
    let start = match &entry.payload {
        Payload::Inline(_) => 0,
        Payload::Object { start, .. } => u64::from(*start),
    };
    ByteRange { start, end: start + u64::from(entry.bytes) }
}
