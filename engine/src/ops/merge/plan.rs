//! What a merge reads and keeps, decided once at its snapshot.

use core::hash::{Hash, Hasher};
use core::ops::Range;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::base::id::AttributeId;
use crate::base::name::Key;
use crate::base::planted::{self, Bug};
use crate::base::value::{IdType, ScalarType, Type};
use crate::format::columns::{Column, Page};
use crate::format::frame::{BadObject, Damage};
use crate::format::rows::RowSet;
use crate::format::segment::Directory;
use crate::format::segment::writer::Bounds;
use crate::namespace::snapshot::Snapshot;

/// The plan of a merge. It follows from the snapshot and the range alone, so two are equal if these
/// are.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) range: Range<usize>,
    /// For each input, the positions of it that are dead.
    dead: Vec<RoaringBitmap>,
    /// For each input, where its first live row stands in the output.
    firsts: Vec<u32>,
    /// The columns of the output: the attributes by ascending numbers, then the ids.
    pub(super) columns: Vec<(Section, Type)>,
    /// What to do for the columns, in order.
    pub(super) jobs: Vec<Job>,
}

/// Which column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Section {
    Attribute(AttributeId),
    Ids,
}

/// The next rows of a column of the output: those of one page of an input, or of a whole input that
/// has no such column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    pub(super) column: u32,
    pub(super) input: u32,
    pub(super) page: Option<u32>,
}

impl Plan {
    /// Plans the merge of these segments of the snapshot.
    ///
    /// # Errors
    ///
    /// [`BadObject`] if the segments do not agree on what an attribute is.
    pub(super) fn new(snapshot: Arc<Snapshot>, range: Range<usize>) -> Result<Self, BadObject> {
        let all = || snapshot.directories.iter().map(|directory| &**directory);
        let inputs = &snapshot.directories[range.clone()];
        let dead: Vec<_> = inputs.iter().map(|input| input.dead(all())).collect();
        let lives = inputs.iter().zip(&dead).map(|(input, dead)| input.rows() - dead.len() as u32);
        let firsts = lives.scan(0, |next, live| {
            let first = *next;
            *next += live;
            Some(first)
        });
        let firsts = firsts.collect();
        let columns = columns(&snapshot, inputs)?;
        let jobs = jobs(inputs, &columns);
        Ok(Self { snapshot, range, dead, firsts, columns, jobs })
    }

    pub(super) fn inputs(&self) -> &[Arc<Directory>] {
        &self.snapshot.directories[self.range.clone()]
    }

    /// What the output covers.
    pub(super) fn bounds(&self) -> Bounds {
        let (first, last) = (self.inputs().first(), self.inputs().last());
        let ends = first.zip(last).expect("a merge has inputs, as its start asserts");
        let (base, end) = (ends.0.segment().base, ends.1.segment().end);
        let records_max = self.inputs().iter().map(|input| input.records_max()).sum();
        Bounds { base, end, rows_max: self.rows(), records_max }
    }

    /// The kind of ids.
    pub(super) fn id_type(&self) -> IdType {
        match self.columns.last() {
            Some((_, Type::Scalar(ScalarType::String))) => IdType::String,
            Some((_, Type::Scalar(ScalarType::Uuid))) => IdType::Uuid,
            _ => IdType::Uint,
        }
    }

    /// How many rows the output has.
    pub(super) fn rows(&self) -> u64 {
        let inputs = self.inputs().iter().zip(&self.dead);
        inputs.map(|(input, dead)| u64::from(input.rows()) - dead.len()).sum()
    }

    /// How many of an input's rows live.
    pub(super) fn live(&self, input: usize) -> u32 {
        self.inputs()[input].rows() - self.dead[input].len() as u32
    }

    /// Whether the row at a position of an input lives.
    pub(super) fn is_live(&self, input: usize, position: u32) -> bool {
        !self.dead[input].contains(position) || planted::is(Bug::MergeKeepsDeadRows)
    }

    /// Where the row at a live position of an input stands in the output.
    pub(super) fn output_position(&self, input: usize, position: u32) -> u32 {
        let dead = self.dead[input].rank(position) as u32;
        let before = if planted::is(Bug::MergeMisplacesIds) { 0 } else { dead };
        self.firsts[input] + position - before
    }

    /// The page of a job; `None` if its input has no such column.
    pub(super) fn page(&self, job: Job) -> Option<&Page> {
        let (section, _) = self.columns[job.column as usize];
        let column = column(&self.inputs()[job.input as usize], section)?;
        column.pages().get(job.page? as usize)
    }

    /// The kills that the output keeps (J2).
    pub(super) fn kills(&self) -> RowSet {
        let directories = self.snapshot.directories.iter().enumerate();
        let outside = directories.filter(|(place, _)| !self.range.contains(place));
        let outside: Vec<_> = outside.map(|(_, directory)| directory).collect();
        let mut kept = RowSet::default();
        for row in self.inputs().iter().flat_map(|input| input.kills().iter()) {
            if outside.iter().any(|directory| directory.position_of(row).is_some()) {
                kept.insert(row);
            }
        }
        kept
    }

    /// The key of the object in which the directory of an input lies.
    pub(super) fn directory_key(&self, input: usize) -> Key {
        let input = &self.inputs()[input];
        input.key(&self.snapshot.place, &input.segment().directory)
    }

    /// How many jobs from `next` on make a window.
    pub(super) fn window(&self, next: usize, window_bytes: usize) -> usize {
        let mut bytes = 0;
        let within = self.jobs[next..].iter().take_while(|job| {
            let first = bytes == 0;
            bytes += self.page(**job).map_or(0, |page| page.extent.bytes as usize);
            first || bytes <= window_bytes
        });
        within.count()
    }
}

fn column(directory: &Directory, section: Section) -> Option<&Column> {
    match section {
        Section::Attribute(attribute) => directory.column(attribute),
        Section::Ids => Some(directory.ids()),
    }
}

fn columns(
    snapshot: &Snapshot,
    inputs: &[Arc<Directory>],
) -> Result<Vec<(Section, Type)>, BadObject> {
    let mut types = BTreeMap::new();
    let mut ids = None;
    for input in inputs {
        let columns = input.columns().iter().map(|(id, column)| (*id, column.value_type()));
        let same = columns.into_iter().all(|(id, t)| *types.entry(id).or_insert(t) == t);
        // Where there are no documents, nothing is said of their ids.
        let kind = (input.rows() > 0).then(|| input.ids().value_type());
        let agreed = ids.is_none() || kind.is_none() || ids == kind;
        if !same || !agreed {
            let key = input.key(&snapshot.place, &input.segment().directory);
            return Err(Damage::Content("S1: an attribute has another type before").of(&key));
        }
        ids = ids.or(kind);
    }
    // Columns of attributes that were dropped are left behind.
    let known = snapshot.live().schema.attributes.values().map(|attribute| attribute.id);
    let known: BTreeSet<_> = known.collect();
    types.retain(|id, _| known.contains(id));
    let attributes = types.into_iter().map(|(id, t)| (Section::Attribute(id), t));
    let ids = ids.unwrap_or(Type::Scalar(ScalarType::Uint));
    Ok(attributes.chain([(Section::Ids, ids)]).collect())
}

fn jobs(inputs: &[Arc<Directory>], columns: &[(Section, Type)]) -> Vec<Job> {
    let mut jobs = Vec::new();
    for ((section, _), place) in columns.iter().zip(0..) {
        for (directory, input) in inputs.iter().zip(0..) {
            let job = |page| Job { column: place, input, page };
            match column(directory, *section) {
                Some(column) => jobs.extend((0..column.pages().len() as u32).map(Some).map(job)),
                None => jobs.push(job(None)),
            }
        }
    }
    jobs
}

impl PartialEq for Plan {
    fn eq(&self, other: &Self) -> bool {
        self.range == other.range && self.snapshot == other.snapshot
    }
}

impl Eq for Plan {}

impl Hash for Plan {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.snapshot.hash(state);
        self.range.hash(state);
    }
}
