//! Names of namespaces, attributes and objects, parsed once.

use core::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

use crate::base::limits;

/// The name of a namespace: 1 to 128 of `A-Z a-z 0-9 - _ .`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct NamespaceName(Arc<str>);

/// Why a name is none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum BadName {
    /// It has no characters.
    #[error("the name is empty")]
    Empty,
    /// It is longer than it may be.
    #[error("the name is longer than {most} bytes")]
    TooLong {
        /// The most bytes it may have.
        most: usize,
    },
    /// It holds a character that is not allowed.
    #[error("the name contains invalid characters")]
    Characters,
}

impl NamespaceName {
    /// Takes `name` as the name of a namespace.
    ///
    /// # Errors
    ///
    /// [`BadName`] if it is empty, too long, or holds other characters.
    pub fn parse(name: &str) -> Result<Self, BadName> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if name.is_empty() {
            Err(BadName::Empty)
        } else if !name.bytes().all(allowed) {
            Err(BadName::Characters)
        } else if name.len() > limits::NAMESPACE_NAME_BYTES_MAX {
            Err(BadName::TooLong { most: limits::NAMESPACE_NAME_BYTES_MAX })
        } else {
            Ok(Self(name.into()))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NamespaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of an attribute: 1 to 128 bytes, not beginning with `$`, and not `id`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct AttributeName(Arc<str>);

impl AttributeName {
    /// Takes `name` as the name of an attribute.
    ///
    /// # Errors
    ///
    /// [`BadName`] if it is empty, too long, begins with `$`, or is `id`.
    pub fn parse(name: &str) -> Result<Self, BadName> {
        if name.is_empty() {
            Err(BadName::Empty)
        } else if name.len() > limits::ATTRIBUTE_NAME_BYTES_MAX {
            Err(BadName::TooLong { most: limits::ATTRIBUTE_NAME_BYTES_MAX })
        } else if name.starts_with('$') || name == "id" {
            Err(BadName::Characters)
        } else {
            Ok(Self(name.into()))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AttributeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for NamespaceName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(<&str>::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for AttributeName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(<&str>::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

/// The name of an object in the store. Made by `format::layout` and nowhere else.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key(Arc<str>);

impl Key {
    /// The key of this spelling.
    pub fn new(key: impl Into<Arc<str>>) -> Self {
        Self(key.into())
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_outside_the_alphabet_or_the_length_are_refused() {
        let long = "a".repeat(129);
        for bad in ["", "a b", "a/b", "ä", long.as_str()] {
            assert!(NamespaceName::parse(bad).is_err(), "{bad}");
        }
        for good in [".", "..", "A-z_0.9", &long[..128]] {
            assert!(NamespaceName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "$dist", "id", long.as_str()] {
            assert!(AttributeName::parse(bad).is_err(), "{bad}");
        }
    }
}
