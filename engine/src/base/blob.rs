//! Immutable bytes, shared between those who hold them.
//!
//! A machine is cloned, compared and hashed by explorers, and bodies travel through machines. So a
//! clone shares, two shares of one body are equal without looking at them, and what is known of the
//! bytes (their checksum) is known to all shares.

use core::fmt;
use core::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Shared immutable bytes.
#[derive(Clone)]
pub struct Blob {
    bytes: Bytes,
    crc: Arc<OnceLock<u32>>,
}

impl Blob {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, as a share of them.
    pub fn bytes(&self) -> Bytes {
        self.bytes.clone()
    }

    /// How many bytes there are.
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The CRC-32 (IEEE) of all bytes. Computed once for all shares of this blob: a page that stays
    /// in a cache is checked when it comes from the store and not at every use.
    pub fn crc32(&self) -> u32 {
        *self.crc.get_or_init(|| crc32fast::hash(&self.bytes))
    }

    /// The part from `start` (inclusive) to `end` (exclusive), sharing the bytes.
    ///
    /// `None` if there is no such part.
    pub fn slice(&self, start: usize, end: usize) -> Option<Self> {
        (start <= end && end <= self.len()).then(|| Self::from(self.bytes.slice(start..end)))
    }
}

impl From<Bytes> for Blob {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, crc: Arc::default() }
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(Bytes::from(bytes))
    }
}

impl Default for Blob {
    fn default() -> Self {
        Self::from(Bytes::new())
    }
}

impl PartialEq for Blob {
    fn eq(&self, other: &Self) -> bool {
        let same_place = self.bytes.as_ptr() == other.bytes.as_ptr();
        self.len() == other.len() && (same_place || self.bytes == other.bytes)
    }
}

impl Eq for Blob {}

impl PartialOrd for Blob {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Blob {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.bytes.cmp(&other.bytes)
    }
}

impl Hash for Blob {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.len().hash(state);
        self.crc32().hash(state);
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes, {:08x})", self.len(), self.crc32())
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(&self.bytes)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let bytes = <&[u8]>::deserialize(from)?;
        Ok(Self::from(bytes.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_content_is_equal_wherever_it_lies() {
        let (a, b) = (Blob::from(vec![1, 2, 3]), Blob::from(vec![1, 2, 3]));
        assert_eq!(a, b);
        assert_eq!(a.crc32(), b.crc32());
        assert_ne!(a, Blob::from(vec![1, 2]));
        assert_eq!(a.slice(1, 3), Some(Blob::from(vec![2, 3])));
        assert_eq!(a.slice(2, 4), None);
    }
}
