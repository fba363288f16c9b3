//! A new object's file, and the way it gets its name.

use sana_engine::base::blob::Blob;
use sana_engine::machine::request::Tag;

use super::fault::Fault;
use super::folder::{Draft, Folder, Named};
use super::format::{self, FileHeader, FileKind};
use super::held::{self, Access, Held};
use super::names::Place;
use crate::entropy;

/// What is to become a file.
#[derive(Debug)]
pub(super) struct NewFile<'a> {
    nonce: u128,
    body: &'a Blob,
    shape: Shape,
}

/// What the file is made for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shape {
    /// An object that nobody refers to before its writer has heard that it is durable. So its mark is
    /// written with it and not after.
    Fresh,
    /// A version that is too large for slots.
    Large,
    /// A version in the first of two slots of this size.
    Slots(usize),
}

impl<'a> NewFile<'a> {
    /// An object that nobody refers to yet.
    pub(super) fn fresh(body: &'a Blob) -> Self {
        Self { nonce: entropy::seed(), body, shape: Shape::Fresh }
    }

    /// The first version of a register, or one that has no room in its file.
    pub(super) fn register(body: &'a Blob) -> Self {
        let shape = format::slot_bytes_for(body.len()).map_or(Shape::Large, Shape::Slots);
        Self { nonce: entropy::seed(), body, shape }
    }

    /// Becomes the file of this place. `None` if there is one.
    pub(super) fn create(self, folder: &Folder, place: &Place) -> Result<Option<Tag>, Fault> {
        // Saves the losers of a race the work of writing. It also waits until the winner is durable.
        if Held::open(folder, &place.path(), Access::Shared)?.is_some() {
            return Ok(None);
        }
        let draft = self.draft(folder)?;
        match draft.create(place)? {
            Named::Done => Ok(Some(self.done(&draft))),
            Named::Taken => Ok(None),
        }
    }

    /// Becomes the file of this place instead of the one there, which the caller has locked.
    pub(super) fn replace(self, folder: &Folder, place: &Place) -> Result<Tag, Fault> {
        let draft = self.draft(folder)?;
        draft.replace(place)?;
        Ok(self.done(&draft))
    }

    fn draft<'f>(&self, folder: &'f Folder) -> Result<Draft<'f>, Fault> {
        let body = self.body.as_slice();
        if let Shape::Slots(slot_bytes) = self.shape {
            let crc = self.body.crc32();
            return folder.draft(&[&format::register_content(self.nonce, slot_bytes, body, crc)]);
        }
        let kind = FileKind::Whole { settled: self.shape == Shape::Fresh };
        let header = FileHeader { nonce: self.nonce, kind };
        folder.draft(&[&header.encode(), body])
    }

    /// The file has its name, and the name is durable.
    fn done(&self, draft: &Draft<'_>) -> Tag {
        match self.shape {
            Shape::Fresh => held::tag_of_whole(self.nonce),
            Shape::Large => {
                draft.mark(format::FILE_MARK_AT as u64);
                held::tag_of_whole(self.nonce)
            }
            Shape::Slots(slot_bytes) => {
                draft.mark(format::slot_at(0, slot_bytes) + format::SLOT_MARK_AT as u64);
                held::tag_of_slot(self.nonce, 1)
            }
        }
    }
}
