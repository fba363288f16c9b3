//! Brings what a node holds of a namespace up to date.
//!
//! # Story
//!
//! 1. **Asking**: get the head, unless it is the version held.
//!    - not modified: what is held is the newest, done;
//!    - missing, or a tombstone: done, there is no such namespace;
//!    - a live head: inline batches are decoded; if batches in objects or directories of segments are
//!      not held yet, load them (2); else done.
//! 2. **Loading**: get those batches and directories, all in one round.
//!    - found: done;
//!    - one is missing: the head has moved on since, ask again (1); if it has not, the object is lost,
//!      and an error names it.
//!
//! One round if nothing changed or only inline writes came, two rounds from nothing. Whoever needs the
//! head alone says so and is never sent to (2).
//!
//! # Invariants
//!
//! - **R1** What is handed out as held is one version of the head, whole: its log decoded and the
//!   directory of every segment, or the head alone.
//! - **R2** A version once seen is never gone back behind: what is found later is newer.

use std::sync::Arc;

use crate::base::blob::Blob;
use crate::base::name::{Key, NamespaceName};
use crate::base::planted::{self, Bug};
use crate::base::time::Timestamp;
use crate::format::frame::{BadObject, Damage};
use crate::format::head::{Head, Live};
use crate::format::layout::{self, Family, Place};
use crate::format::log::{Batch, LogEntry, Payload};
use crate::format::manifest::SegmentRef;
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
    #[error(transparent)]
    Damaged(#[from] BadObject),
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
    /// The batches decoded so far: all of the log but those in `wanted`.
    batches: Vec<Option<Arc<Batch>>>,
    /// The directories held: all of the manifest but those in `wanted`.
    directories: Vec<Option<Arc<Directory>>>,
    /// What was asked for, in the order of the requests.
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
            Err(bad) => return Step::Done(Err(bad.into())),
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
        let mut wanted = Vec::new();
        let mut requests = Vec::new();
        let mut batches = Vec::new();
        for (at, entry) in live.log.entries.iter().enumerate() {
            let known = held.and_then(|snapshot| snapshot.overlay.entry(entry.cursor));
            let batch = match (known, &entry.payload) {
                (Some(known), _) => Some(known.batch.clone()),
                (None, Payload::Inline(batch)) => {
                    match Batch::decode(&layout::head(&self.namespace), batch) {
                        Ok(batch) => Some(Arc::new(batch)),
                        Err(bad) => return Step::Done(Err(bad.into())),
                    }
                }
                (None, Payload::Object { .. }) => None,
            };
            if batch.is_none() {
                wanted.push(Wanted::Batch(at));
                requests.push(batch_request(&place, entry));
            }
            batches.push(batch);
        }
        let mut directories = Vec::new();
        for (at, segment) in live.manifest.segments.iter().enumerate() {
            let directory = held.and_then(|snapshot| snapshot.directory_of(segment)).cloned();
            if directory.is_none() {
                wanted.push(Wanted::Directory(at));
                requests.push(directory_request(&place, segment));
            }
            directories.push(directory);
        }
        assert_eq!(requests.len(), wanted.len(), "R1: what is wanted is asked for");
        let loading = Loading { tag, head, batches, directories, wanted };
        if requests.is_empty() {
            return Step::Done(Ok(loading.finish(place)));
        }
        let round = Round::ask_all(requests, self.deadline);
        Step::Wait(Self { state: State::Loading(Box::new(loading)), ..self }, round)
    }

    fn place(&self, head: &Head) -> Place {
        Place { namespace: self.namespace.clone(), incarnation: head.incarnation }
    }

    fn loaded(self, now: Timestamp, mut loading: Loading, replies: Vec<Reply>) -> Step<Self> {
        let place = self.place(&loading.head);
        assert_eq!(loading.wanted.len(), replies.len(), "R1: a reply for all that was asked");
        for (wanted, reply) in loading.wanted.clone().into_iter().zip(replies) {
            let body = match reply {
                Reply::Found { body, .. } => body,
                Reply::Missing if planted::is(Bug::MissingBatchIsEmpty) && loading.pass(wanted) => {
                    continue;
                }
                // What a head names is deleted only after a later head does not (H2).
                Reply::Missing if self.missed.as_ref() == Some(&loading.tag) => {
                    return Step::Done(Err(Damage::Gone.of(&loading.key(&place, wanted)).into()));
                }
                Reply::Missing if now < self.deadline => {
                    return Self { held: None, missed: Some(loading.tag), ..self }.ask();
                }
                Reply::Unreadable => {
                    let key = loading.key(&place, wanted);
                    return Step::Done(Err(Damage::Unreadable.of(&key).into()));
                }
                _ => return Step::Done(Err(RefreshError::Unavailable)),
            };
            if let Err(bad) = loading.take(&place, wanted, &body) {
                if planted::is(Bug::UndecodedIsPassedOver) && loading.pass(wanted) {
                    continue;
                }
                return Step::Done(Err(bad.into()));
            }
        }
        Step::Done(Ok(loading.finish(place)))
    }
}

impl Machine for Refresh {
    type Output = Result<Held, RefreshError>;

    fn step(self, now: Timestamp, replies: Vec<Reply>) -> Step<Self> {
        match self.state.clone() {
            State::Asking => match replies.into_iter().next() {
                Some(Reply::NotModified) => {
                    let held = self.held.expect("only a version that is held is asked about");
                    Step::Done(Ok(held))
                }
                Some(Reply::Missing) => Step::Done(Ok(Held::ABSENT)),
                Some(Reply::Found { tag, body }) => self.judge(tag, &body),
                Some(Reply::Unreadable) => {
                    let key = layout::head(&self.namespace);
                    Step::Done(Err(Damage::Unreadable.of(&key).into()))
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

    /// The object that holds what is wanted.
    fn key(&self, place: &Place, wanted: Wanted) -> Key {
        match wanted {
            Wanted::Batch(at) => batch_key(place, &self.live().log.entries[at]),
            Wanted::Directory(at) => {
                let segment = &self.live().manifest.segments[at];
                segment.key(place, &segment.directory)
            }
        }
    }

    /// Of planted bugs: takes a batch for an empty one. False if it is no batch.
    fn pass(&mut self, wanted: Wanted) -> bool {
        let Wanted::Batch(at) = wanted else { return false };
        self.batches[at] = Some(Arc::default());
        true
    }

    fn take(&mut self, place: &Place, wanted: Wanted, body: &Blob) -> Result<(), BadObject> {
        let key = self.key(place, wanted);
        match wanted {
            Wanted::Batch(at) => {
                let entry = &self.live().log.entries[at];
                let batch = Batch::decode(&key, body)?;
                if batch.operations.len() != entry.operations as usize {
                    return Err(Damage::Content("it holds another batch").of(&key));
                }
                self.batches[at] = Some(Arc::new(batch));
            }
            Wanted::Directory(at) => {
                let segment = &self.live().manifest.segments[at];
                let directory = Directory::decode(segment, &key, body)?;
                self.directories[at] = Some(Arc::new(directory));
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

/// The log object that a batch stands in; of an inline batch, the head.
fn batch_key(place: &Place, entry: &LogEntry) -> Key {
    match &entry.payload {
        Payload::Inline(_) => layout::head(&place.namespace),
        Payload::Object { name, .. } => place.object(Family::Log, *name),
    }
}

fn batch_request(place: &Place, entry: &LogEntry) -> Request {
    let start = match &entry.payload {
        Payload::Inline(_) => 0,
        Payload::Object { start, .. } => u64::from(*start),
    };
    let range = ByteRange { start, end: start + u64::from(entry.bytes) };
    Request::get_range(batch_key(place, entry), range)
}

fn directory_request(place: &Place, segment: &SegmentRef) -> Request {
    super::read(place, segment, segment.directory)
}
