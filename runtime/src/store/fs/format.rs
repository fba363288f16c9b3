//! What the files of a folder hold.
//!
//! # Bytes
//!
//! All numbers are little-endian. A file is *whole*, one version from its header to its end:
//!
//! ```text
//! 0          8           24      28      32
//! | SANAfile | nonce     | mark  | crc   | body ...
//! ```
//!
//! or a *register*, two slots of which the one with the higher sequence number is the version:
//!
//! ```text
//! 0          8           24      28      32            4096           4096 + slot     4096 + 2 slot
//! | SANAregs | nonce     | slot  | crc   | zeros ...   | slot A ...   | slot B ...    |
//!
//! a slot:    0          8       12         16      20      24
//!            | sequence | bytes | body crc | crc   | mark  | body ... zeros
//! ```
//!
//! `crc` is that of the header before it, without the mark; a slot's header is checksummed together
//! with the nonce of its file. A slot of sequence 0 is *void*: it holds nothing, and says so with a
//! checksum. Slots are a power of two, at least a block, and written in place in whole blocks.
//!
//! The **mark** is zero while a version is written and becomes [`SETTLED`] once it is known to be
//! durable. Setting it is not waited for: it goes to disk with the next write, or by and by.
//!
//! # Invariants
//!
//! - **F1** A version is put into the slot that is not the newest, so a write cut short anywhere
//!   leaves the version before it.
//! - **F2** A version without a mark is made durable before anybody hears of it: its writer may have
//!   died between writing and syncing.
//! - **F3** What is damaged is refused and never taken for an older version. What the newest header
//!   claims and its body does not bear out is a write cut short if the mark is missing, and damage
//!   if it is there. A header that does not bear out its own checksum is damage, for no cut leaves
//!   one: we assume that a sector of 512 bytes is written entirely or not at all.
//!
//! What F3 cannot see: a body that went bad on the medium when power failed so soon after its write
//! (within the seconds that the system takes to write the mark back) that the mark was lost with it;
//! it looks like a write cut short. And a device that acknowledges a write of a whole slot and drops
//! it leaves no trace in this file. Whole files carry no checksum of their bodies: the engine's
//! formats carry their own.

use core::ops::Range;

/// What a mark says when the version is known to be durable.
pub(super) const SETTLED: [u8; 4] = *b"kept";
/// What a mark says before.
const UNSETTLED: [u8; 4] = [0; 4];

/// The unit of writing in place, and where the first slot begins.
pub(super) const BLOCK: usize = 4096;
/// The header of a file.
pub(super) const FILE_HEADER_BYTES: usize = 32;
/// The header of a slot.
pub(super) const SLOT_HEADER_BYTES: usize = 24;
/// The largest slot. A larger version is a whole file: writing it takes longer than replacing the
/// file, and registers that were large once would lie there with two slots of that size for ever.
pub(super) const SLOT_BYTES_MAX: usize = 128 << 10;

const MAGIC_WHOLE: [u8; 8] = *b"SANAfile";
const MAGIC_REGISTER: [u8; 8] = *b"SANAregs";
/// Where the mark of a whole file lies.
pub(super) const FILE_MARK_AT: usize = 24;
/// Where the mark of a slot lies, from the slot's beginning.
pub(super) const SLOT_MARK_AT: usize = 20;

/// What is wrong with a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Damage {
    /// It is shorter than its parts.
    #[error("it is cut off")]
    Short,
    /// Its header is none.
    #[error("its header is damaged, or it is no file of this store")]
    Header,
    /// The header of this slot is none.
    #[error("the header of slot {0} is damaged")]
    Slot(usize),
    /// Its slots hold versions that do not follow one another.
    #[error("its slots hold versions {0} and {1}, which do not follow one another")]
    Gap(u64, u64),
    /// The newest version was durable and its body is not what was written.
    #[error("version {0} was durable, and its body is damaged")]
    Body(u64),
}

/// The header of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FileHeader {
    /// Tells this file from all others that ever had its name.
    pub(super) nonce: u128,
    /// What follows.
    pub(super) kind: FileKind,
}

/// What follows the header of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FileKind {
    /// One version, up to the end.
    Whole {
        /// Whether it is known to be durable.
        settled: bool,
    },
    /// Two slots.
    Register {
        /// The size of each, header included.
        slot_bytes: usize,
    },
}

impl FileHeader {
    /// Its bytes.
    pub(super) fn encode(&self) -> [u8; FILE_HEADER_BYTES] {
        let (magic, field) = match self.kind {
            FileKind::Whole { settled: true } => (MAGIC_WHOLE, SETTLED),
            FileKind::Whole { settled: false } => (MAGIC_WHOLE, UNSETTLED),
            FileKind::Register { slot_bytes } => {
                (MAGIC_REGISTER, (slot_bytes as u32).to_le_bytes())
            }
        };
        let mut bytes = [0; FILE_HEADER_BYTES];
        bytes[..8].copy_from_slice(&magic);
        bytes[8..24].copy_from_slice(&self.nonce.to_le_bytes());
        bytes[24..28].copy_from_slice(&field);
        let crc = Self::checksum(&bytes);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header at the beginning of `bytes`.
    ///
    /// # Errors
    ///
    /// [`Damage`] if there is none.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Damage> {
        let bytes: &[u8; FILE_HEADER_BYTES] = bytes.first_chunk().ok_or(Damage::Short)?;
        let field: [u8; 4] = part(bytes, 24..28);
        if u32::from_le_bytes(part(bytes, 28..32)) != Self::checksum(bytes) {
            return Err(Damage::Header);
        }
        let kind = match part(bytes, 0..8) {
            MAGIC_WHOLE => FileKind::Whole { settled: field == SETTLED },
            MAGIC_REGISTER => {
                let slot_bytes = u32::from_le_bytes(field) as usize;
                if !slot_bytes.is_power_of_two() || !(BLOCK..=SLOT_BYTES_MAX).contains(&slot_bytes)
                {
                    return Err(Damage::Header);
                }
                FileKind::Register { slot_bytes }
            }
            _ => return Err(Damage::Header),
        };
        Ok(Self { nonce: u128::from_le_bytes(part(bytes, 8..24)), kind })
    }

    /// The checksum of a header, but for the mark of a whole file, which changes.
    fn checksum(bytes: &[u8; FILE_HEADER_BYTES]) -> u32 {
        let end = if bytes[..8] == MAGIC_WHOLE { FILE_MARK_AT } else { 28 };
        crc32fast::hash(&bytes[..end])
    }
}

/// The header of a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SlotHeader {
    /// Which version of the file it is; the first is 1. Zero if the slot is void.
    pub(super) sequence: u64,
    /// The size of the body.
    pub(super) bytes: usize,
    /// The checksum of the body.
    pub(super) crc: u32,
    /// Whether the version is known to be durable. Only a mark of zeros says that it is not.
    pub(super) mark: Mark,
}

/// What is known of a version's durability.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mark {
    /// It may not be durable: the mark is zero.
    Unsettled,
    /// It is durable.
    Settled,
    /// It is one of both, with flipped bits.
    Damaged,
}

impl SlotHeader {
    /// A slot that holds nothing.
    pub(super) const VOID: Self = Self { sequence: 0, bytes: 0, crc: 0, mark: Mark::Unsettled };

    /// Its bytes, in a file of this nonce. The mark is written as zero.
    pub(super) fn encode(&self, nonce: u128) -> [u8; SLOT_HEADER_BYTES] {
        let mut bytes = [0; SLOT_HEADER_BYTES];
        bytes[..8].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[8..12].copy_from_slice(&(self.bytes as u32).to_le_bytes());
        bytes[12..16].copy_from_slice(&self.crc.to_le_bytes());
        let crc = Self::checksum(&bytes, nonce);
        bytes[16..20].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header at the beginning of slot `index`, of `slot_bytes` bytes.
    ///
    /// # Errors
    ///
    /// [`Damage`] if there is none.
    fn decode(bytes: &[u8], index: usize, slot_bytes: usize, nonce: u128) -> Result<Self, Damage> {
        let bytes: &[u8; SLOT_HEADER_BYTES] = bytes.first_chunk().ok_or(Damage::Short)?;
        let header = Self {
            sequence: u64::from_le_bytes(part(bytes, 0..8)),
            bytes: u32::from_le_bytes(part(bytes, 8..12)) as usize,
            crc: u32::from_le_bytes(part(bytes, 12..16)),
            mark: match part(bytes, 20..24) {
                SETTLED => Mark::Settled,
                UNSETTLED => Mark::Unsettled,
                _ => Mark::Damaged,
            },
        };
        let crc = u32::from_le_bytes(part(bytes, 16..20));
        let fits = header.bytes <= slot_bytes - SLOT_HEADER_BYTES;
        let whole = crc == Self::checksum(bytes, nonce) && fits;
        if whole { Ok(header) } else { Err(Damage::Slot(index)) }
    }

    fn checksum(bytes: &[u8; SLOT_HEADER_BYTES], nonce: u128) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&nonce.to_le_bytes());
        crc.update(&bytes[..16]);
        crc.finalize()
    }
}

/// The slots of a register, by their headers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Slots {
    /// Which slot claims to hold the newest version.
    pub(super) newest: usize,
    /// Its header.
    pub(super) header: SlotHeader,
    /// The header of the other.
    pub(super) older: SlotHeader,
}

impl Slots {
    /// Looks at the headers of both slots.
    ///
    /// # Errors
    ///
    /// [`Damage`] if one is none, or if they do not belong side by side (F3).
    pub(super) fn look(a: &[u8], b: &[u8], slot_bytes: usize, nonce: u128) -> Result<Self, Damage> {
        let a = SlotHeader::decode(a, 0, slot_bytes, nonce)?;
        let b = SlotHeader::decode(b, 1, slot_bytes, nonce)?;
        let one_void = a.sequence == 0 || b.sequence == 0;
        if a.sequence == b.sequence || (!one_void && a.sequence.abs_diff(b.sequence) != 1) {
            return Err(Damage::Gap(a.sequence, b.sequence));
        }
        Ok(if a.sequence > b.sequence {
            Self { newest: 0, header: a, older: b }
        } else {
            Self { newest: 1, header: b, older: a }
        })
    }

    /// The slots without the newest one: it was never durable, and its body is not what its header
    /// claims, so the write of it was cut short (F3).
    ///
    /// # Errors
    ///
    /// [`Damage`] if there is no other version.
    ///
    /// # Panics
    ///
    /// If the newest version was durable.
    pub(super) fn fall_back(self) -> Result<Self, Damage> {
        assert_eq!(self.header.mark, Mark::Unsettled, "F3: a durable version is never passed over");
        if self.older.sequence == 0 {
            return Err(Damage::Body(self.header.sequence));
        }
        Ok(Self { newest: 1 - self.newest, header: self.older, older: SlotHeader::VOID })
    }
}

/// The smallest slot for a body of this size; `None` if it is too large for slots.
pub(super) const fn slot_bytes_for(bytes: usize) -> Option<usize> {
    let needed = (bytes + SLOT_HEADER_BYTES).next_power_of_two();
    let slot_bytes = if needed < BLOCK { BLOCK } else { needed };
    if slot_bytes <= SLOT_BYTES_MAX { Some(slot_bytes) } else { None }
}

/// Where the slots of this size lie in the file.
pub(super) const fn slot_at(index: usize, slot_bytes: usize) -> u64 {
    (BLOCK + index * slot_bytes) as u64
}

/// What is written into a slot for this version: header and body, in whole blocks.
pub(super) fn slot_content(nonce: u128, sequence: u64, body: &[u8], body_crc: u32) -> Vec<u8> {
    let header = SlotHeader { sequence, bytes: body.len(), crc: body_crc, mark: Mark::Unsettled };
    let mut content = vec![0; (SLOT_HEADER_BYTES + body.len()).next_multiple_of(BLOCK)];
    content[..SLOT_HEADER_BYTES].copy_from_slice(&header.encode(nonce));
    content[SLOT_HEADER_BYTES..][..body.len()].copy_from_slice(body);
    content
}

/// The whole content of a new register that holds this version as its first. The second slot is void
/// and laid out as well, so that a write in place changes data only.
pub(super) fn register_content(nonce: u128, slot_bytes: usize, body: &[u8], crc: u32) -> Vec<u8> {
    let header = FileHeader { nonce, kind: FileKind::Register { slot_bytes } };
    let mut content = vec![0; BLOCK + 2 * slot_bytes];
    content[..FILE_HEADER_BYTES].copy_from_slice(&header.encode());
    let first = slot_content(nonce, 1, body, crc);
    content[BLOCK..][..first.len()].copy_from_slice(&first);
    content[BLOCK + slot_bytes..][..SLOT_HEADER_BYTES]
        .copy_from_slice(&SlotHeader::VOID.encode(nonce));
    content
}

/// A part of a header. `range` is `N` bytes long and lies within it.
fn part<const N: usize>(bytes: &[u8], range: Range<usize>) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[range]);
    part
}
