//! The envelope of everything that is written whole: what it is, how long, and whether it is intact.
//!
//! # Bytes
//!
//! ```text
//! offset 0        4          6        8          16        20
//!        | "SANA" | kind u16 | ver u16 | length u64 | crc u32 | body … (length bytes)
//! ```
//!
//! Little-endian. The checksum is CRC-32 (IEEE) over the bytes 0 to 16 and the body, so that no byte
//! of a frame can change unnoticed.
//!
//! # Invariants
//!
//! - **F1** Whatever bytes are decoded, the outcome is the value that was encoded or an error that
//!   names the object.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::base::blob::Blob;
use crate::base::name::Key;
use crate::base::planted::{self, Bug};

/// What a frame holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u16)]
pub enum Kind {
    /// A head.
    Head = 1,
    /// The batch of one commit.
    Batch = 2,
    /// The hot part of a segment.
    Directory = 3,
}

/// The version of every format here. Nothing older exists.
const VERSION: u16 = 1;
const MAGIC: [u8; 4] = *b"SANA";
/// Bytes before the body.
pub const HEADER_BYTES: usize = 20;

/// An object that cannot be read: which, and what is wrong with it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[error("object {key} is damaged: {damage}; restore it, or delete the namespace")]
pub struct BadObject {
    /// The object.
    pub key: Key,
    /// What is wrong with it.
    pub damage: Damage,
}

/// What is wrong with an object's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Damage {
    /// It is shorter or longer than it says or than what names it says.
    #[error("it is {found} bytes long, not {expected}")]
    Length {
        /// Its length, in bytes.
        found: u64,
        /// The length it should have.
        expected: u64,
    },
    /// It does not begin as its kind begins.
    #[error("it is not an object of the kind it should be")]
    Kind,
    /// It was written by a later version.
    #[error("it has format version {found}, and this program reads version {VERSION}")]
    Version {
        /// Its version.
        found: u16,
    },
    /// A checksum does not fit.
    #[error("a checksum does not fit")]
    Checksum,
    /// Its checksum fits and its content makes no sense.
    #[error("{0}")]
    Content(&'static str),
    /// The store found it damaged.
    #[error("the store cannot read it back; its log says why")]
    Unreadable,
    /// It is named and not there.
    #[error("it is not there")]
    Gone,
}

impl Damage {
    /// The same, of this object.
    pub fn of(self, key: &Key) -> BadObject {
        BadObject { key: key.clone(), damage: self }
    }
}

/// Encodes a value as a frame, padded with zeros behind its body to `bytes_min` bytes in all.
///
/// # Panics
///
/// If the value cannot be serialized: none of ours refuses.
pub fn encode<T: Serialize>(kind: Kind, value: &T, bytes_min: usize) -> Vec<u8> {
    let mut frame = vec![0; HEADER_BYTES];
    frame = postcard::to_extend(value, frame).expect("our types serialize, and a Vec grows");
    frame.resize(frame.len().max(bytes_min), 0);
    let length = (frame.len() - HEADER_BYTES) as u64;
    frame[..4].copy_from_slice(&MAGIC);
    frame[4..6].copy_from_slice(&(kind as u16).to_le_bytes());
    frame[6..8].copy_from_slice(&VERSION.to_le_bytes());
    frame[8..16].copy_from_slice(&length.to_le_bytes());
    let crc = checksum(&frame[..16], &frame[HEADER_BYTES..]);
    frame[16..20].copy_from_slice(&crc.to_le_bytes());
    frame
}

fn checksum(front: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(front);
    hasher.update(body);
    hasher.finalize()
}

/// Reads the body of a frame, its checksum checked. What follows the value is padding.
///
/// # Errors
///
/// [`Damage`] if the bytes are no intact frame of this kind.
pub fn body(kind: Kind, frame: &[u8]) -> Result<&[u8], Damage> {
    let Some((header, body)) = frame.split_at_checked(HEADER_BYTES) else {
        return Err(Damage::Length { found: frame.len() as u64, expected: HEADER_BYTES as u64 });
    };
    let word = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    if header[..4] != MAGIC || word(4) != kind as u16 {
        return Err(Damage::Kind);
    }
    if word(6) != VERSION {
        return Err(Damage::Version { found: word(6) });
    }
    let (words, _) = header.as_chunks::<4>();
    let number = |at: usize| u32::from_le_bytes(words[at]);
    let length = u64::from(number(2)) | u64::from(number(3)) << 32;
    if length != body.len() as u64 {
        return Err(Damage::Length { found: body.len() as u64, expected: length });
    }
    let is_intact = checksum(&header[..16], body) == number(4);
    if !is_intact && !planted::is(Bug::ChecksumsAreIgnored) {
        return Err(Damage::Checksum);
    }
    Ok(body)
}

/// Decodes a frame's value and the padding behind it.
///
/// # Errors
///
/// [`BadObject`], naming `key`, if the bytes are no intact frame of this kind or hold no such value.
pub fn decode<T: DeserializeOwned>(kind: Kind, key: &Key, frame: &Blob) -> Result<T, BadObject> {
    let body = body(kind, frame.as_slice()).map_err(|damage| damage.of(key))?;
    let (value, padding) = postcard::take_from_bytes(body)
        .map_err(|_| Damage::Content("its body is no value of its kind").of(key))?;
    if padding.iter().any(|byte| *byte != 0) {
        return Err(Damage::Content("its padding is not empty").of(key));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flipped_bit_and_no_cut_goes_unnoticed() {
        let value = (7_u64, "seven".to_owned());
        let key = Key::new("k");
        let frame = encode(Kind::Head, &value, 64);
        assert_eq!(frame.len(), 64);
        let decoded = decode::<(u64, String)>(Kind::Head, &key, &frame.clone().into());
        assert_eq!(decoded, Ok(value));
        for bit in 0..frame.len() * 8 {
            let mut bad = frame.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode::<(u64, String)>(Kind::Head, &key, &bad.into()).is_err(), "bit {bit}");
        }
        for cut in 0..frame.len() {
            let bad = frame[..cut].to_vec().into();
            assert!(decode::<(u64, String)>(Kind::Head, &key, &bad).is_err(), "cut at {cut}");
        }
        assert!(decode::<(u64, String)>(Kind::Batch, &key, &frame.into()).is_err());
    }
}
