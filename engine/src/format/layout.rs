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
        let (namespace, incarnation) = (spelled(&self.namespace), self.incarnation.0);
        let ObjectName { stamp, nonce } = name;
        let key = match family {
            Family::Log => format!("{DATA}{namespace}/{incarnation}/log/{:016x}-{nonce}", stamp.0),
            Family::Segment => {
                format!("{DATA}{namespace}/{incarnation}/index/{:016x}-{nonce}.segment", stamp.0)
            }
        };
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
        ("index", name) => (Family::Segment, name.strip_suffix(".segment")?),
        _ => return None,
    };
    let (stamp, nonce) = name.split_once('-')?;
    let whole = parts.next().is_none() && stamp.len() == 16;
    let stamp = Stamp(u64::from_str_radix(stamp, 16).ok().filter(|_| whole)?);
    let name = ObjectName { stamp, nonce: parse_nonce(nonce)? };
    let place = Place { namespace, incarnation };
    // Only the one spelling counts: two keys never mean one object.
    (place.object(family, name) == *key).then_some((place, family, name))
}

fn parse_nonce(text: &str) -> Option<Nonce> {
    (text.len() == 32).then(|| u128::from_str_radix(text, 16).ok().map(Nonce))?
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
