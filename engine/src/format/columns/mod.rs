//! A column: the values of one attribute of a segment's rows, in pages.
//!
//! | module       | what it answers                                              |
//! |--------------|--------------------------------------------------------------|
//! | [`page`]     | What does one page hold, and how is it scanned?              |
//! | [`presence`] | Which rows of a page have a value?                           |
//! | [`text`]     | How do texts lie behind each other?                          |
//! | [`vectors`]  | How do vectors, dense and sparse?                            |
//! | [`blobs`]    | How do bytes?                                                |
//! | `build`      | How does a page come to be?                                  |
//! | `pack`       | How are integers written in few bits?                        |
//!
//! # Invariants
//!
//! - **C1** The pages of a column cover all positions of its segment, in order and without a gap.
//! - **C2** A zone contains every value of its page, so that a page whose zone cannot match need not
//!   be read.

pub mod blobs;
pub(crate) mod build;
mod pack;
pub mod page;
pub mod presence;
pub mod text;
pub mod vectors;

use serde::{Deserialize, Serialize};

use crate::base::value::{Scalar, Type};
use crate::format::frame::Damage;
use crate::format::manifest::Extent;

pub use blobs::Blobs;
pub use page::{Arrays, ColumnPage, Strings, Values};
pub use vectors::{Components, Sparses, Vectors};

/// Where the values of one attribute lie.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Column {
    pub(crate) value_type: Type,
    pub(crate) pages: Vec<Page>,
}

/// Where the values of some positions that follow each other lie, and what is known of them.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Page {
    /// The first position.
    pub first: u32,
    /// How many positions.
    pub rows: u32,
    /// How many of them have no value. If all of them, the page need not be read.
    pub nulls: u32,
    /// The least and the greatest value, in a column of scalars that has any here.
    pub zone: Option<Zone>,
    /// Where it lies.
    pub extent: Extent,
}

/// The range in which all values of a page lie.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Zone {
    /// No value is less.
    pub min: Scalar,
    /// No value is greater, unless `cut`.
    pub max: Scalar,
    /// `max` is only the beginning of the greatest value, or of one that is greater still.
    pub cut: bool,
}

/// Texts longer than this are cut in zones, at the end of a character.
const ZONE_TEXT_BYTES_MAX: usize = 32;

impl Column {
    /// The type of its values.
    pub const fn value_type(&self) -> Type {
        self.value_type
    }

    /// Its pages, in the order of positions.
    pub fn pages(&self) -> &[Page] {
        &self.pages
    }

    /// The place among [`pages`](Self::pages) of the one that holds this position; `None` if there
    /// is no such position.
    pub fn page_of(&self, position: u32) -> Option<usize> {
        let place = self.pages.partition_point(|page| page.first <= position).checked_sub(1)?;
        (position < self.pages[place].end()).then_some(place)
    }

    /// Checks C1 and what else can be checked without the pages.
    pub(crate) fn check(&self, rows: u32) -> Result<(), Damage> {
        let mut next = 0_u32;
        for page in &self.pages {
            let end = page.first.checked_add(page.rows);
            let fits = page.first == next && page.rows > 0 && page.nulls <= page.rows;
            next = end.filter(|_| fits).ok_or(Damage::Content("C1: pages do not follow"))?;
            let typed = page.zone.as_ref().is_none_or(|zone| {
                let scalars = [&zone.min, &zone.max].map(|end| Type::Scalar(end.scalar_type()));
                scalars == [self.value_type; 2]
            });
            typed.then_some(()).ok_or(Damage::Content("C2: a zone is of another type"))?;
        }
        let whole = next == rows;
        whole.then_some(()).ok_or(Damage::Content("C1: pages do not cover all positions"))
    }
}

impl Page {
    /// The position after its last.
    pub const fn end(&self) -> u32 {
        self.first + self.rows
    }
}

impl Zone {
    pub(crate) fn of_texts(min: &str, max: &str) -> Self {
        let cut = |text: &str| text[..text.floor_char_boundary(ZONE_TEXT_BYTES_MAX)].into();
        Self {
            min: Scalar::String(cut(min)),
            max: Scalar::String(cut(max)),
            cut: max.len() > ZONE_TEXT_BYTES_MAX,
        }
    }

    /// Whether there may be a value that is `least` or greater.
    pub fn may_reach(&self, least: &Scalar) -> bool {
        match (least, &self.max) {
            (Scalar::String(least), Scalar::String(max)) if self.cut => {
                least.as_bytes() <= max.as_bytes() || least.starts_with(&**max)
            }
            (least, max) => least <= max,
        }
    }

    /// Whether there may be a value that is `most` or less.
    pub fn may_begin_by(&self, most: &Scalar) -> bool {
        self.min <= *most
    }

    /// Whether there may be this value.
    pub fn may_hold(&self, value: &Scalar) -> bool {
        self.may_begin_by(value) && self.may_reach(value)
    }
}

#[cfg(test)]
mod tests;
