//! Machines, one verb a file, each opening with its story and its budget of rounds.
//!
//! | module         | what it does                                                    | rounds              |
//! |----------------|-----------------------------------------------------------------|---------------------|
//! | [`snapshot`]   | bring what a node holds of a namespace up to date               | 1; 2 from nothing   |
//! | [`commit`]     | write a group of requests                                       | 1; 2 if staged      |
//! | [`lookup`]     | read documents by their ids                                     | 2                   |
//! | [`matching`]   | find what the filters of a write match                          | those of a query    |
//! | [`records`]    | look up idempotency keys                                        | 1                   |
//! | [`publication`]| make an edit to the newest head                                 | 1                   |
//! | [`delete`]     | end a namespace                                                 | 2                   |
//! | [`query`]      | answer a query from a snapshot                                  | 2                   |
//! | [`flush`]      | make a segment of log entries                                   | 2                   |
//! | [`merge`]      | make one segment of several                                     | as many as it has windows |
//! | [`read`]       | read stretches of segments, and say what went wrong             | –                   |
//! | [`collect`]    | delete what was unlinked long enough ago                        | 3                   |
//! | [`sweep`]      | find and delete what crashed work left behind                   | 4 and more          |

pub mod collect;
pub mod commit;
pub mod delete;
pub mod flush;
pub mod lookup;
pub mod matching;
pub mod merge;
pub mod publication;
pub mod query;
pub mod read;
pub mod records;
pub mod snapshot;
pub mod sweep;
mod upload;

use crate::format::layout::{Family, Place};
use crate::format::manifest::{Extent, SegmentRef};
use crate::machine::request::{ByteRange, Request};

/// Reads a stretch of a segment.
fn read(place: &Place, segment: &SegmentRef, extent: Extent) -> Request {
    let part = segment.parts[extent.part as usize];
    let start = u64::from(extent.start);
    let range = ByteRange { start, end: start + u64::from(extent.bytes) };
    Request::get_range(place.object(Family::Segment, part.name), range)
}

#[cfg(test)]
mod tests;
