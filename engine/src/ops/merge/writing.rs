//! The output of a merge on its way: what is read next, and what becomes of it.

use std::sync::Arc;

use crate::base::blob::Blob;
use crate::base::name::Key;
use crate::base::planted::{self, Bug};
use crate::base::time::WallTime;
use crate::format::blocks::{Block, BlockRef};
use crate::format::columns::ColumnPage;
use crate::format::frame::{BadObject, Damage};
use crate::format::idempotency::{self, RecordBlock};
use crate::format::ids::{self, IdBlock};
use crate::format::manifest::Extent;
use crate::format::segment::writer::Draft;
use crate::format::segment::{Directory, SegmentWriter};
use crate::ops::merge::plan::{Job, Plan, Section};
use crate::ops::merge::streams::{Group, Streams};

/// A segment being written from others.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Writing {
    plan: Arc<Plan>,
    writer: SegmentWriter,
    records_since: WallTime,
    stage: Stage,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Stage {
    /// The jobs before `next` are done, those before `until` are being read for.
    Pages {
        next: usize,
        until: usize,
    },
    /// Blocks of the inputs `asked` are being read, and so many entries were written.
    Blocks {
        of: Blocks,
        streams: Streams,
        asked: Vec<usize>,
        written: u64,
    },
    Written {
        records: u64,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Blocks {
    Ids,
    Records,
}

impl Writing {
    pub(super) fn new(plan: Plan, records_since: WallTime) -> Self {
        let writer = SegmentWriter::begin(plan.bounds(), plan.id_type());
        let stage = Stage::Pages { next: 0, until: 0 };
        Self { plan: Arc::new(plan), writer, records_since, stage }
    }

    /// The next part that is full.
    pub(super) fn ready(&mut self) -> Option<Blob> {
        self.writer.ready()
    }

    /// What to read next, and of which input; nothing if all is written.
    pub(super) fn next_window(
        &mut self,
        window_bytes: usize,
    ) -> Result<Vec<(usize, Extent)>, BadObject> {
        loop {
            let wanted: Vec<_> = match &mut self.stage {
                Stage::Pages { next, until } => {
                    *until = *next + self.plan.window(*next, window_bytes);
                    let jobs = self.plan.jobs[*next..*until].iter();
                    let pages = jobs.filter_map(|job| Some((job.input, self.plan.page(*job)?)));
                    pages.map(|(input, page)| (input as usize, page.extent)).collect()
                }
                Stage::Blocks { of, streams, asked, .. } => {
                    let blocks = |input: usize| of.blocks(&self.plan.inputs()[input]);
                    let wanted = streams.wanted(blocks, window_bytes);
                    *asked = wanted.iter().map(|(input, _)| *input).collect();
                    wanted.into_iter().map(|(input, block)| (input, block.extent)).collect()
                }
                Stage::Written { .. } => return Ok(Vec::new()),
            };
            if !wanted.is_empty() {
                return Ok(wanted);
            }
            self.write(Vec::new())?;
            self.stage = self.next_stage()?;
        }
    }

    /// The stage to go on with, now that nothing has to be read for this one.
    fn next_stage(&self) -> Result<Stage, BadObject> {
        let blocks = |of| {
            let streams = Streams::new(self.plan.inputs().len());
            Stage::Blocks { of, streams, asked: Vec::new(), written: 0 }
        };
        match &self.stage {
            Stage::Pages { next, .. } if *next == self.plan.jobs.len() => Ok(blocks(Blocks::Ids)),
            Stage::Blocks { of: Blocks::Ids, written, .. } if *written == self.plan.rows() => {
                Ok(blocks(Blocks::Records))
            }
            Stage::Blocks { of: Blocks::Ids, .. } => {
                let damage = Damage::Content("its ids are not those of its rows");
                Err(damage.of(&self.plan.directory_key(0)))
            }
            Stage::Blocks { of: Blocks::Records, written, .. } => {
                Ok(Stage::Written { records: *written })
            }
            stage => Ok(stage.clone()),
        }
    }

    /// Writes the window that was read.
    pub(super) fn write(&mut self, bodies: Vec<(Key, Blob)>) -> Result<(), BadObject> {
        let Self { plan, writer, records_since, stage } = self;
        match stage {
            Stage::Pages { next, until } => {
                let mut bodies = bodies.into_iter();
                while next < until {
                    write_job(plan, writer, *next, &mut bodies)?;
                    *next += 1;
                }
            }
            Stage::Blocks { of, streams, asked, written } => {
                for (input, (key, bytes)) in asked.drain(..).zip(bodies) {
                    let block = &of.blocks(&plan.inputs()[input])[streams.next_block(input)];
                    streams.take(input, of.open(block, &key, &bytes)?);
                }
                let count = |input: usize| of.blocks(&plan.inputs()[input]).len();
                let damage =
                    |(input, damage): (usize, Damage)| damage.of(&plan.directory_key(input));
                while let Some(group) = streams.pop(count).map_err(damage)? {
                    *written += u64::from(match of {
                        Blocks::Ids => write_id(plan, writer, &group).map_err(damage)?,
                        Blocks::Records => write_record(writer, &group, *records_since),
                    });
                }
            }
            Stage::Written { .. } => {}
        }
        Ok(())
    }

    /// Writes the directory. Gives the parts not taken yet, and the segment unless nothing was left.
    pub(super) fn finish(self) -> (Vec<Blob>, Option<Draft>) {
        let mut kills = self.plan.kills();
        if planted::is(Bug::MergeDropsKills) {
            kills = crate::format::rows::RowSet::default();
        }
        let Stage::Written { records } = self.stage else {
            unreachable!("a window without anything to read comes last")
        };
        if self.plan.rows() == 0 && records == 0 && kills.is_empty() {
            return (Vec::new(), None);
        }
        let (parts, draft) = self.writer.finish(&kills);
        (parts, Some(draft))
    }
}

impl Blocks {
    fn blocks(self, input: &Directory) -> &[BlockRef] {
        match self {
            Self::Ids => input.id_blocks(),
            Self::Records => input.record_blocks(),
        }
    }

    fn open(self, block: &BlockRef, key: &Key, bytes: &Blob) -> Result<Block, BadObject> {
        match self {
            Self::Ids => IdBlock::open(block, key, bytes).map(IdBlock::into_block),
            Self::Records => RecordBlock::open(block, key, bytes).map(RecordBlock::into_block),
        }
    }
}

/// Writes the live rows of one job, whose page, if it has one, is the next of `bodies`.
fn write_job(
    plan: &Plan,
    writer: &mut SegmentWriter,
    place: usize,
    bodies: &mut impl Iterator<Item = (Key, Blob)>,
) -> Result<(), BadObject> {
    let job @ Job { column, input, .. } = plan.jobs[place];
    let (section, value_type) = plan.columns[column as usize];
    let begins = place.checked_sub(1).is_none_or(|before| plan.jobs[before].column != column);
    if let Section::Attribute(attribute) = section
        && begins
    {
        writer.column(attribute, value_type);
    }
    let input = input as usize;
    let Some(page) = plan.page(job) else {
        (0..plan.live(input)).for_each(|_| writer.value(None));
        return Ok(());
    };
    let (key, bytes) = bodies.next().expect("every page of a window was asked for");
    let opened = ColumnPage::open(value_type, page, &key, &bytes)?;
    let rows = (page.first..page.end()).zip(0..);
    for (position, row) in rows.filter(|(position, _)| plan.is_live(input, *position)) {
        match section {
            Section::Attribute(_) => writer.value(opened.value(row).as_ref()),
            Section::Ids => {
                let id = opened.id(row).ok_or(Damage::Content("a row of it has no id"));
                let id = id.map_err(|damage| damage.of(&key))?;
                let mut number = plan.inputs()[input].row_at(position);
                if planted::is(Bug::MergeRenumbersRows) {
                    number.0 =
                        plan.bounds().base.0 + u64::from(plan.output_position(input, position));
                }
                writer.document(number, &id);
            }
        }
    }
    Ok(())
}

/// Writes where an id stands now, if it lives. Says whether it does.
fn write_id(
    plan: &Plan,
    writer: &mut SegmentWriter,
    group: &Group,
) -> Result<bool, (usize, Damage)> {
    let mut live = None;
    for (input, value) in &group.values {
        let there = |position: &u32| *position < plan.inputs()[*input].rows();
        let position = ids::position(value).filter(there);
        let wrong = (*input, Damage::Content("an id stands where there is no row"));
        let position = position.ok_or(wrong)?;
        if plan.is_live(*input, position) && live.replace((*input, position)).is_some() {
            return Err((*input, Damage::Content("an id stands twice")));
        }
    }
    if let Some((input, position)) = live {
        writer.id_key(&group.key, plan.output_position(input, position));
    }
    Ok(live.is_some())
}

/// Writes the newest record of a key, unless it is too old. Says whether it is not.
fn write_record(writer: &mut SegmentWriter, group: &Group, since: WallTime) -> bool {
    let newest = group.values.last().and_then(|(_, value)| idempotency::decode(value));
    let kept = newest.filter(|record| since <= record.at && !planted::is(Bug::MergeForgetsKeys));
    if let Some(record) = &kept {
        writer.record(record);
    }
    kept.is_some()
}
