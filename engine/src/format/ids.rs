//! Where the documents of a segment stand: id → position, in sorted blocks.
//!
//! # Bytes
//!
//! A key is an id so spelled that the order of the bytes is the order of the ids:
//!
//! ```text
//! | 0 | number u64, big-endian |     | 1 | UUID u128, big-endian |     | 2 | text |
//! ```
//!
//! A value is a position, u32, little-endian.

use crate::base::blob::Blob;
use crate::base::name::Key;
use crate::base::value::{Id, IdType, Scalar, ScalarType, Value};
use crate::format::blocks::{Block, BlockRef};
use crate::format::columns::ColumnPage;
use crate::format::frame::{BadObject, Damage};

/// One block of ids and positions, opened.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct IdBlock {
    block: Block,
}

impl IdBlock {
    /// Opens a block: `bytes` is what stands in its extent, which lies in the object `key`.
    ///
    /// # Errors
    ///
    /// [`BadObject`] if these are not the bytes of this block.
    pub fn open(block: &BlockRef, key: &Key, bytes: &Blob) -> Result<Self, BadObject> {
        let block = Block::open(block, key, bytes)?;
        let whole =
            block.entries().all(|(id, position)| decode(id).is_some() && position.len() == 4);
        let wrong = || Damage::Content("a block of ids holds something else").of(key);
        whole.then_some(Self { block }).ok_or_else(wrong)
    }

    /// The position of an id, if it is here.
    pub fn find(&self, id: &Id) -> Option<u32> {
        self.block.find(&encode(id)).and_then(position)
    }

    /// All ids and their positions, by ascending ids.
    pub fn entries(&self) -> impl Iterator<Item = (Id, u32)> {
        self.block.entries().filter_map(|(id, at)| decode(id).zip(position(at)))
    }

    pub(crate) fn into_block(self) -> Block {
        self.block
    }
}

/// The position that this value says.
pub(crate) fn position(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_le_bytes)
}

/// An id as a key.
pub(crate) fn encode(id: &Id) -> Vec<u8> {
    match id {
        Id::Uint(id) => [&[0], &id.to_be_bytes()[..]].concat(),
        Id::Uuid(id) => [&[1], &id.to_be_bytes()[..]].concat(),
        Id::String(id) => [&[2], id.as_bytes()].concat(),
    }
}

/// The id that this key spells, if it spells one.
fn decode(key: &[u8]) -> Option<Id> {
    match key.split_first()? {
        (0, id) => id.try_into().ok().map(|id| Id::Uint(u64::from_be_bytes(id))),
        (1, id) => id.try_into().ok().map(|id| Id::Uuid(u128::from_be_bytes(id))),
        (2, id) => core::str::from_utf8(id).ok().map(|id| Id::String(id.into())),
        _ => None,
    }
}

/// The type of the column in which ids of this kind stand by position.
pub(crate) const fn column_type(ids: IdType) -> ScalarType {
    match ids {
        IdType::Uint => ScalarType::Uint,
        IdType::Uuid => ScalarType::Uuid,
        IdType::String => ScalarType::String,
    }
}

/// An id as a value of that column.
pub(crate) fn to_value(id: &Id) -> Value {
    Value::Scalar(match id {
        Id::Uint(id) => Scalar::Uint(*id),
        Id::Uuid(id) => Scalar::Uuid(*id),
        Id::String(id) => Scalar::String(id.clone()),
    })
}

impl ColumnPage {
    /// The id at a row, in a page of the column of ids.
    pub fn id(&self, row: usize) -> Option<Id> {
        match self.scalar(row)? {
            Scalar::Uint(id) => Some(Id::Uint(id)),
            Scalar::Uuid(id) => Some(Id::Uuid(id)),
            Scalar::String(id) => Some(Id::String(id)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id() -> impl Strategy<Value = Id> {
        prop_oneof![
            any::<u64>().prop_map(Id::Uint),
            any::<u128>().prop_map(Id::Uuid),
            ".{0,8}".prop_map(|id| Id::String(id.into())),
        ]
    }

    proptest! {
        #[test]
        fn keys_are_ordered_as_ids_are(a in id(), b in id()) {
            prop_assert_eq!(encode(&a).cmp(&encode(&b)), a.cmp(&b));
            prop_assert_eq!(decode(&encode(&a)), Some(a));
        }
    }
}
