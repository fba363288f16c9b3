//! Texts of one page: where each ends, and all of them behind each other.
//!
//! # Bytes
//!
//! ```text
//! | lengths (packed) | raw bytes u32 | stored bytes u32 | text |
//! ```
//!
//! The text is compressed with LZ4 when that saves an eighth; then fewer bytes are stored than raw.

use crate::format::columns::pack;
use crate::format::frame::Damage;
use crate::format::reader::Reader;

/// Texts behind each other.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Texts {
    ends: Vec<u32>,
    text: String,
}

/// LZ4 cannot expand a byte to more than this, so nobody makes us allocate more.
const EXPANSION_MAX: usize = 256;

impl Texts {
    /// The text at this place; empty if there is none.
    pub fn get(&self, place: usize) -> &str {
        let start = place.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        let stretch = start.zip(self.ends.get(place));
        stretch.and_then(|(start, end)| self.text.get(start as usize..*end as usize)).unwrap_or("")
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Every text, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        (0..self.len()).map(|place| self.get(place))
    }

    pub(super) const fn new() -> Self {
        Self { ends: Vec::new(), text: String::new() }
    }

    pub(super) fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len() as u32);
    }

    /// The same texts at the places that `present` names, empty ones between.
    pub(super) fn spread(self, rows: usize, present: impl Iterator<Item = usize>) -> Self {
        let mut ends = Vec::with_capacity(rows);
        let mut end = 0;
        for (next, row) in self.ends.iter().zip(present) {
            ends.resize(row, end);
            end = *next;
            ends.push(end);
        }
        ends.resize(rows, end);
        Self { ends, text: self.text }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        let lengths = self.ends.iter().zip(starts).map(|(end, start)| u64::from(end - start));
        pack::write(out, 0, lengths);
        let raw = self.text.as_bytes();
        let packed = lz4_flex::block::compress(raw);
        let stored = if packed.len() < raw.len() - raw.len() / 8 { &packed } else { raw };
        out.extend_from_slice(&(raw.len() as u32).to_le_bytes());
        out.extend_from_slice(&(stored.len() as u32).to_le_bytes());
        out.extend_from_slice(stored);
    }

    pub(super) fn read(from: &mut Reader<'_>, count: usize) -> Result<Self, Damage> {
        let mut ends = pack::read(from, count, |length| length as u32)?;
        let mut end = 0_u32;
        for length in &mut ends {
            end = end.checked_add(*length).ok_or(Damage::Content("its texts are too long"))?;
            *length = end;
        }
        let (raw, stored) = (from.u32()? as usize, from.u32()? as usize);
        let bytes = from.take(stored)?;
        let bytes = if stored == raw {
            bytes.to_vec()
        } else if raw / EXPANSION_MAX > stored {
            return Err(Damage::Content("its text is compressed beyond what can be"));
        } else {
            let text = lz4_flex::block::decompress(bytes, raw);
            text.map_err(|_| Damage::Content("its text cannot be decompressed"))?
        };
        let text =
            String::from_utf8(bytes).map_err(|_| Damage::Content("its text is not UTF-8"))?;
        let whole = text.len() == end as usize;
        let fits = whole && ends.iter().all(|end| text.is_char_boundary(*end as usize));
        fits.then_some(Self { ends, text }).ok_or(Damage::Content("its texts are cut wrongly"))
    }
}
