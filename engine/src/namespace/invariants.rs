//! What every head satisfies. Asserted before a head is encoded, checked after one is decoded.

use crate::base::blob::Blob;
use crate::base::id::{Cursor, Row};
use crate::base::limits;
use crate::base::name::Key;
use crate::base::value::Type;
use crate::format::frame::{BadObject, Damage};
use crate::format::head::{Head, Live};
use crate::format::log::Log;
use crate::format::manifest::Manifest;

/// Reads a head that stands under this key.
///
/// # Errors
///
/// [`BadObject`] if these are not the bytes of one, or it is not sound.
pub fn read(key: &Key, body: &Blob) -> Result<Head, BadObject> {
    let head = Head::decode(key, body)?;
    check(&head).map_err(|damage| damage.of(key))?;
    Ok(head)
}

/// Checks a head.
///
/// # Errors
///
/// [`Damage::Content`] with the invariant that does not hold.
pub fn check(head: &Head) -> Result<(), Damage> {
    hold(head.floor <= head.step, "D2: the floor is above the step")?;
    head.live().map_or(Ok(()), |live| check_live(head, live))
}

fn check_live(head: &Head, live: &Live) -> Result<(), Damage> {
    hold(live.created <= head.step, "D2: created after the present")?;
    check_log(&live.log)?;
    check_manifest(&live.manifest)?;
    let in_step = live.recent.windows(2).all(|pair| pair[0].0.next() == pair[1].0);
    hold(in_step, "H7: the ring of recent commits has a gap")?;
    let newest = live.recent.last().map_or(Cursor(0), |(cursor, _)| *cursor);
    hold(newest == live.log.committed, "H7: the ring does not end at the newest commit")?;
    hold(live.recent.len() <= limits::RECENT_COMMITS_MAX, "H7: the ring is too long")?;
    let sorted = live.trash.windows(2).all(|pair| pair[0].retired < pair[1].retired);
    hold(sorted, "H13: the trash is not in the order of its steps")?;
    let past = live.trash.iter().all(|trash| trash.retired <= head.step);
    hold(past, "H13: something was retired after the present")?;
    let numbers = live.schema.attributes.values().map(|attribute| attribute.id);
    let mut numbers: Vec<_> = numbers.collect();
    numbers.sort_unstable();
    let below = numbers.last().is_none_or(|last| *last < live.schema.next_id);
    hold(below, "S1: an attribute has a number that was not given yet")?;
    let measured = live.schema.attributes.values().all(|attribute| {
        matches!(attribute.value_type, Type::Vector(_)) == attribute.metric.is_some()
    });
    hold(measured, "S3: an attribute of vectors has a metric, and no other")?;
    hold(numbers.windows(2).all(|pair| pair[0] < pair[1]), "S1: two attributes have one number")
}

fn check_log(log: &Log) -> Result<(), Damage> {
    hold(log.indexed <= log.committed, "G1: more is indexed than committed")?;
    let expected = (log.indexed.0 + 1..=log.committed.0).map(Cursor);
    let count = log.committed.0 - log.indexed.0;
    hold(count == log.entries.len() as u64, "G1: the entries are not those after the cursor")?;
    let in_order = log.entries.iter().map(|entry| entry.cursor).eq(expected);
    hold(in_order, "G1: the entries are out of order")?;
    let bytes = log.entries.iter().map(|entry| u64::from(entry.bytes)).sum::<u64>();
    hold(
        log.bytes_committed.checked_sub(log.bytes_indexed) == Some(bytes),
        "G2: bytes do not add up",
    )
}

fn check_manifest(manifest: &Manifest) -> Result<(), Damage> {
    hold(manifest.segments.len() <= limits::SEGMENTS_MAX, "there are too many segments")?;
    let mut at = Row(0);
    for segment in &manifest.segments {
        let covers = at <= segment.base && segment.base <= segment.end;
        hold(covers, "segments overlap or are out of order")?;
        let span = segment.end.0 - segment.base.0;
        let fits = u64::from(segment.rows) <= span && span <= limits::SEGMENT_ROWS_MAX;
        hold(fits, "a segment holds more rows than it covers")?;
        hold((segment.directory.part as usize) < segment.parts.len(), "a directory lies nowhere")?;
        at = segment.end;
    }
    hold(at <= manifest.next_row, "a segment covers rows that were not given out")?;
    let held: u64 = manifest.segments.iter().map(|segment| u64::from(segment.rows)).sum();
    hold(manifest.live_rows <= held, "more rows live than there are")
}

const fn hold(invariant: bool, broken: &'static str) -> Result<(), Damage> {
    if invariant { Ok(()) } else { Err(Damage::Content(broken)) }
}
