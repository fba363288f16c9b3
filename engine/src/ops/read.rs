//! Reads stretches of segments, in one round.

use crate::base::blob::Blob;
use crate::base::name::Key;
use crate::format::frame::{BadObject, Damage};
use crate::format::layout::Place;
use crate::format::manifest::{Extent, SegmentRef};
use crate::machine::request::{ByteRange, Reply, Request};
use crate::namespace::request::QueryError;

/// Why something that the head names could not be read.
#[derive(Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum ReadError {
    /// The store did not answer in time. Nothing was changed; try again later.
    #[error("the store did not answer in time; try again")]
    Late,
    /// The object is not there. The head that names it is old, or the object was lost: start over
    /// from a fresh head, and if that names it too, it is damaged.
    #[error("object {key} is not there; start over from a fresh head")]
    Vanished {
        /// The object.
        key: Key,
    },
    /// The object is there and not what it should be.
    #[error(transparent)]
    Damaged(#[from] BadObject),
}

impl From<ReadError> for QueryError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Late => Self::Unavailable,
            ReadError::Vanished { key } => Self::Vanished(key),
            ReadError::Damaged(bad) => Self::Damaged(bad),
        }
    }
}

/// What was read of an object.
///
/// # Errors
///
/// [`ReadError`] if nothing was.
pub(crate) fn body(key: &Key, reply: Reply) -> Result<Blob, ReadError> {
    match reply {
        Reply::Found { body, .. } => Ok(body),
        Reply::Missing => Err(ReadError::Vanished { key: key.clone() }),
        Reply::Unreadable => Err(Damage::Unreadable.of(key).into()),
        _ => Err(ReadError::Late),
    }
}

/// Stretches to be read in one round. Those that lie side by side are read together.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Stretches {
    reads: Vec<(Key, ByteRange)>,
    /// For each stretch wanted: the read it is in, its first byte there, and its length.
    wanted: Vec<(usize, u64, u64)>,
}

/// Stretches closer than this are read together: the bytes between take less time than a request.
const GAP_MAX: u64 = 256 << 10;
/// The most that is read together: what takes longer than the latency of a store is better split.
const READ_BYTES_MAX: u64 = 4 << 20;

impl Stretches {
    /// Reads each by itself, so that a cache keeps it.
    pub(crate) fn apart<'a>(
        place: &Place,
        wanted: impl Iterator<Item = (&'a SegmentRef, Extent)>,
    ) -> Self {
        let mut stretches = Self::default();
        for (segment, extent) in wanted {
            stretches.wanted.push((stretches.reads.len(), 0, u64::from(extent.bytes)));
            let range = ByteRange { start: u64::from(extent.start), end: extent.end() };
            stretches.reads.push((segment.key(place, &extent), range));
        }
        stretches
    }

    /// Reads neighbours together: for streams, which read everything once.
    pub(crate) fn together<'a>(
        place: &Place,
        wanted: impl Iterator<Item = (&'a SegmentRef, Extent)>,
    ) -> Self {
        let wanted: Vec<_> = wanted.map(|(segment, e)| (segment.key(place, &e), e)).collect();
        let mut order: Vec<usize> = (0..wanted.len()).collect();
        order.sort_by_key(|at| (&wanted[*at].0, wanted[*at].1.start));
        let mut reads: Vec<(Key, ByteRange)> = Vec::new();
        let mut places = vec![(0, 0, 0); wanted.len()];
        for at in order {
            let (key, extent) = &wanted[at];
            let (start, end) = (u64::from(extent.start), extent.end());
            match reads.last_mut() {
                Some((last, range))
                    if last == key
                        && start <= range.end + GAP_MAX
                        && end <= range.start + READ_BYTES_MAX =>
                {
                    range.end = range.end.max(end);
                }
                _ => reads.push((key.clone(), ByteRange { start, end })),
            }
            let read = reads.len() - 1;
            places[at] = (read, start - reads[read].1.start, u64::from(extent.bytes));
        }
        Self { reads, wanted: places }
    }

    pub(crate) const fn len(&self) -> usize {
        self.reads.len()
    }

    pub(crate) fn requests(&self) -> impl Iterator<Item = Request> {
        self.reads.iter().map(|(key, range)| Request::get_range(key.clone(), *range))
    }

    /// What was read, stretch by stretch in the order wanted, with the object each lies in. Their
    /// checksums are not looked at.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if one is not there.
    pub(crate) fn bodies(&self, replies: Vec<Reply>) -> Result<Vec<(Key, Blob)>, ReadError> {
        let mut bodies = Vec::new();
        for (reply, (key, _)) in replies.into_iter().zip(&self.reads) {
            bodies.push(body(key, reply)?);
        }
        let stretch = |(read, start, length): &(usize, u64, u64)| {
            let (key, range) = &self.reads[*read];
            let body = bodies.get(*read).ok_or(ReadError::Late)?;
            let part = body.slice(*start as usize, (start + length) as usize);
            let damage = || {
                let found = range.start + body.len() as u64;
                Damage::Length { found, expected: range.start + start + length }.of(key)
            };
            Ok((key.clone(), part.ok_or_else(damage)?))
        };
        self.wanted.iter().map(stretch).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{Incarnation, Nonce, Row, Stamp};
    use crate::base::name::NamespaceName;
    use crate::format::layout::ObjectName;
    use crate::format::manifest::Part;
    use crate::machine::request::Tag;

    #[test]
    fn neighbours_are_read_together_and_come_back_in_the_order_wanted() {
        let namespace = NamespaceName::parse("n").unwrap();
        let place = Place { namespace, incarnation: Incarnation(Nonce(1)) };
        let part = |nonce| Part {
            name: ObjectName { stamp: Stamp(1), nonce: Nonce(nonce) },
            bytes: 16 << 20,
        };
        let segment = SegmentRef {
            parts: vec![part(1), part(2)],
            directory: Extent::default(),
            base: Row(0),
            end: Row(0),
            rows: 0,
            kills: 0,
            logical_bytes: 0,
        };
        let extent = |part, start| Extent { part, start, bytes: 10, crc: 0 };
        let far = 5 << 20;
        let wanted = [extent(0, far), extent(1, 50), extent(0, 20), extent(0, 0)];
        let wanted = || wanted.iter().map(|extent| (&segment, *extent));
        let stretches = Stretches::together(&place, wanted());
        let range = |start, end| ByteRange { start, end };
        let ranges: Vec<_> = stretches.reads.iter().map(|(_, range)| *range).collect();
        assert_eq!(ranges, [range(0, 30), range(far.into(), u64::from(far) + 10), range(50, 60)]);
        let found = |range: &ByteRange| Reply::Found {
            tag: Tag::new("1"),
            body: (range.start..range.end).map(|at| at as u8).collect::<Vec<_>>().into(),
        };
        let replies: Vec<_> = ranges.iter().map(found).collect();
        let bodies = stretches.bodies(replies.clone()).unwrap();
        let firsts: Vec<_> = bodies.iter().map(|(_, body)| body.as_slice()[0]).collect();
        assert_eq!(firsts, [far as u8, 50, 20, 0]);
        assert!(bodies.iter().all(|(_, body)| body.len() == 10));
        assert_eq!(Stretches::apart(&place, wanted()).len(), 4);

        let with = |place: usize, reply| {
            let mut replies = replies.clone();
            replies[place] = reply;
            stretches.bodies(replies)
        };
        let key = stretches.reads[0].0.clone();
        assert_eq!(with(0, Reply::Missing), Err(ReadError::Vanished { key }));
        assert_eq!(with(1, Reply::Lost), Err(ReadError::Late));
        let short = |bytes| Reply::Found { tag: Tag::new("1"), body: vec![0; bytes].into() };
        let damaged = |place: usize, found, expected| {
            let bad = Damage::Length { found, expected }.of(&stretches.reads[place].0);
            Err(ReadError::Damaged(bad))
        };
        assert_eq!(with(0, short(25)), damaged(0, 25, 30));
        assert_eq!(with(1, short(4)), damaged(1, u64::from(far) + 4, u64::from(far) + 10));

        // What lies far from each other is read apart, though one request could take it.
        let apart = [extent(0, 5_000), extent(0, 5_010 + GAP_MAX as u32 + 1)];
        assert_eq!(Stretches::together(&place, apart.map(|e| (&segment, e)).into_iter()).len(), 2);
        let near = [extent(0, 5_000), extent(0, 5_010 + GAP_MAX as u32)];
        assert_eq!(Stretches::together(&place, near.map(|e| (&segment, e)).into_iter()).len(), 1);

        // What would take longer than a request is split.
        let step = (GAP_MAX - 10) as u32;
        let row = (0..40).map(|place| extent(0, 5_000 + place * step));
        let split = Stretches::together(&place, row.map(|extent| (&segment, extent)));
        let lengths: Vec<_> =
            split.reads.iter().map(|(_, range)| range.end - range.start).collect();
        assert_eq!(lengths.iter().filter(|length| **length > READ_BYTES_MAX / 2).count(), 2);
        assert!(lengths.iter().all(|length| *length <= READ_BYTES_MAX), "{lengths:?}");
    }
}
