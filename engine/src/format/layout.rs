//! The name of every object. Nothing else builds a key.
//!
//! ```text
//! heads/<ns>                                               the register of a namespace
//! data/<ns>/<incarnation>/log/<stamp>-<nonce>              batches, staged or spilled (immutable)
//! data/<ns>/<incarnation>/index/<stamp>-<nonce>.segment    parts of segments (immutable)
//! probe/<nonce>/<name>                                     by which a store is tried out; thrown away
//! ```
//!
//! A stamp is written with 16 hexadecimal digits and a nonce with 32, so that keys sort by stamp. The
//! namespaces `.` and `..`, which folders would take for themselves, are written `%2e` and `%2e%2e`;
//! `%` is in no name.
//!
//! # Invariants
//!
//! - **K1** A key under `data/` is used for one object ever: its name holds a fresh nonce. So its
//!   bytes may be cached for as long as anybody likes.
//! - **K2** Everything under `heads/` is a register and is never cached.

use serde::{Deserialize, Serialize};

use crate::base::hex;
use crate::base::id::{Incarnation, Nonce, Stamp};
use crate::base::name::{Key, NamespaceName};

/// What tells one immutable object of an incarnation from all others.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct ObjectName {
    /// The step of the head that the work which made it started from.
    pub stamp: Stamp,
    /// Drawn for this object.
    pub nonce: Nonce,
}

/// The two kinds of immutable objects.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Family {
    /// Batches that are staged or spilled.
    Log,
    /// Parts of segments.
    Segment,
}

/// Where the objects of one incarnation of a namespace lie.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place {
    /// The namespace.
    pub namespace: NamespaceName,
    /// Its incarnation.
    pub incarnation: Incarnation,
}

/// The prefix of all registers of namespaces.
pub const HEADS: &str = "heads/";
/// The prefix of all that is written once.
const DATA: &str = "data/";
/// What the names of parts of segments end with.
const SEGMENT: &str = ".segment";
/// The digits of a step, and of a nonce.
const STAMP_DIGITS: u32 = 16;
const NONCE_DIGITS: u32 = 32;
/// Bytes of the key of an object beside the name of its namespace, at most; but for two names that are
/// spelled longer than they are.
const OBJECT_BYTES: usize = 104;

/// The register of a namespace.
pub fn head(namespace: &NamespaceName) -> Key {
    Key::new(format!("{HEADS}{}", spelled(namespace)))
}

/// The prefix of the registers of all namespaces whose names begin with `prefix`, but for those of
/// [`dots`]: they are spelled otherwise, so only the empty prefix finds them, and before all others.
pub fn heads(prefix: &str) -> Key {
    Key::new(format!("{HEADS}{prefix}"))
}

/// The prefix of the registers of the two namespaces `.` and `..`, which no folder can have as names.
pub fn dots() -> Key {
    Key::new(format!("{HEADS}%2e"))
}

/// The namespace whose register this is, if it is one.
pub fn namespace_of_head(key: &Key) -> Option<NamespaceName> {
    parse_spelled(key.as_str().strip_prefix(HEADS)?)
}

/// Whether the object of this key is written once and never changed (K1).
pub fn is_immutable(key: &Key) -> bool {
    key.as_str().starts_with(DATA)
}

/// An object by which whoever drew the nonce tries out a store. Nothing else ever reads it.
pub fn probe(nonce: u128, name: &str) -> Key {
    Key::new(format!("probe/{nonce:032x}/{name}"))
}

/// The prefix of everything that incarnations of all namespaces made.
pub fn data() -> Key {
    Key::new(DATA.to_owned())
}

/// The prefix of everything that incarnations of a namespace made.
pub fn namespace_data(namespace: &NamespaceName) -> Key {
    Key::new(format!("{DATA}{}/", spelled(namespace)))
}

impl Place {
    /// The key of an object.
    pub fn object(&self, family: Family, name: ObjectName) -> Key {
        let (folder, suffix) = match family {
            Family::Log => ("/log/", ""),
            Family::Segment => ("/index/", SEGMENT),
        };
        let mut key = String::with_capacity(OBJECT_BYTES + self.namespace.as_str().len());
        key.push_str(DATA);
        key.push_str(spelled(&self.namespace));
        key.push('/');
        hex::write(&mut key, self.incarnation.0.0, NONCE_DIGITS);
        key.push_str(folder);
        hex::write(&mut key, name.stamp.0.into(), STAMP_DIGITS);
        key.push('-');
        hex::write(&mut key, name.nonce.0, NONCE_DIGITS);
        key.push_str(suffix);
        Key::new(key)
    }
}

/// What the key of an immutable object says, if it is one.
pub fn parse_object(key: &Key) -> Option<(Place, Family, ObjectName)> {
    let mut parts = key.as_str().strip_prefix(DATA)?.split('/');
    let namespace = parse_spelled(parts.next()?)?;
    let incarnation = Incarnation(parse_nonce(parts.next()?)?);
    let (family, name) = match (parts.next()?, parts.next()?) {
        ("log", name) => (Family::Log, name),
        ("index", name) => (Family::Segment, name.strip_suffix(SEGMENT)?),
        _ => return None,
    };
    let (stamp, nonce) = name.split_once('-')?;
    // Each part has one spelling, so two keys never mean one object.
    let stamp = Stamp(hex::parse(stamp, STAMP_DIGITS)? as u64);
    let name = ObjectName { stamp, nonce: parse_nonce(nonce)? };
    let place = Place { namespace, incarnation };
    parts.next().is_none().then_some((place, family, name))
}

fn parse_nonce(text: &str) -> Option<Nonce> {
    hex::parse(text, NONCE_DIGITS).map(Nonce)
}

fn spelled(namespace: &NamespaceName) -> &str {
    match namespace.as_str() {
        "." => "%2e",
        ".." => "%2e%2e",
        other => other,
    }
}

fn parse_spelled(text: &str) -> Option<NamespaceName> {
    let name = match text {
        "%2e" => ".",
        "%2e%2e" => "..",
        "." | ".." => return None,
        other => other,
    };
    NamespaceName::parse(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_what_it_was_made_from() {
        for namespace in [".", "..", "a", "a.b-C_9", "..."] {
            let namespace = NamespaceName::parse(namespace).unwrap();
            assert_eq!(namespace_of_head(&head(&namespace)), Some(namespace.clone()));
            let place = Place { namespace, incarnation: Incarnation(Nonce(7)) };
            for family in [Family::Log, Family::Segment] {
                let name = ObjectName { stamp: Stamp(u64::MAX), nonce: Nonce(u128::MAX) };
                let key = place.object(family, name);
                assert_eq!(parse_object(&key), Some((place.clone(), family, name)));
                assert!(is_immutable(&key));
            }
        }
    }

    #[test]
    fn other_spellings_are_no_objects() {
        let place = Place {
            namespace: NamespaceName::parse("a").unwrap(),
            incarnation: Incarnation(Nonce(0xab)),
        };
        let key = place.object(Family::Log, ObjectName::default());
        let upper = Key::new(key.as_str().replace("ab/", "AB/"));
        let longer = Key::new(format!("{key}/x"));
        for bad in [upper, longer, Key::new("data/a/b"), Key::new("heads/a"), Key::new("data/")] {
            assert_eq!(parse_object(&bad), None, "{bad}");
        }
    }
}
