//! Keys as paths, and back.
//!
//! # Bytes
//!
//! A key is cut at its slashes. Each segment but the last becomes a directory, the last a file:
//!
//! ```text
//! heads/Docs.v2                 heads/%44ocs.v2@
//! data/../7/log/               data/%2e./7/log/@
//! a/<80 bytes><the rest>/b      a/<80 bytes>+/<the rest>/b@
//! a//b                          a/%/b@
//! ```
//!
//! - Lower-case letters, digits, `-`, `_`, and `.` but for a first one, stand for themselves. Every
//!   other byte is `%` and two lower-case digits. So no name is `.`, `..` or hidden, and no two
//!   differ only in case or in a way of writing accents, which some file systems ignore.
//! - A file ends with `@`, so an object `a` and a directory `a` of others lie side by side.
//! - A segment of 80 bytes or more is cut into directories of 80 that end with `+` and a rest, which
//!   may be empty. Each name stays below the 255 bytes that file systems allow.
//! - The directory of an empty segment is `%`.
//!
//! # Invariants
//!
//! - **N1** Two keys never share a path, and a name that no key makes is nobody's: it is passed over.
//! - **N2** Within a directory, ordering the entries by what they add to the key orders all keys below:
//!   if one addition begins with another, the shorter is that of a lone object, which comes first.

use std::path::PathBuf;

use sana_engine::base::name::Key;

/// Where the file of an object lies, below the folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// The directories on the way, outermost first.
    pub(super) directories: Vec<String>,
    /// The name of the file.
    pub(super) file: String,
}

impl Place {
    /// The place of this object.
    pub(super) fn of(key: &Key) -> Self {
        let (mut directories, last) = descend(key.as_str());
        let last = continue_down(&mut directories, last.as_bytes());
        Self { directories, file: encode(last) + OBJECT }
    }

    /// The path of the file, relative to the folder.
    pub(super) fn path(&self) -> PathBuf {
        let names = self.directories.iter().chain([&self.file]);
        names.collect()
    }
}

/// The directories that everything with this prefix lies in, and the prefix they stand for: all of it
/// up to its last slash.
pub(super) fn common_directories(prefix: &str) -> (Vec<String>, &str) {
    let (directories, rest) = descend(prefix);
    (directories, &prefix[..prefix.len() - rest.len()])
}

/// What an entry of a directory stands for, with the part of the key that it adds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Entry {
    /// An object, whose key ends here.
    Object(Vec<u8>),
    /// A directory.
    Directory(Vec<u8>),
}

impl Entry {
    /// Reads a name. `None` if no key makes it.
    pub(super) fn read(name: &str) -> Option<Self> {
        if let Some(name) = name.strip_suffix(OBJECT) {
            return decode(name).filter(|key| key.len() < SEGMENT_BYTES).map(Self::Object);
        }
        if let Some(name) = name.strip_suffix(CONTINUED) {
            return decode(name).filter(|key| key.len() == SEGMENT_BYTES).map(Self::Directory);
        }
        let mut key = if name == EMPTY { Vec::new() } else { decode(name)? };
        if (key.is_empty() && name != EMPTY) || key.len() >= SEGMENT_BYTES {
            return None;
        }
        key.push(b'/');
        Some(Self::Directory(key))
    }

    /// The name that is read so.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Object(part) => encode(part) + OBJECT,
            Self::Directory(part) => match part.strip_suffix(b"/") {
                Some([]) => EMPTY.to_owned(),
                Some(part) => encode(part),
                None => encode(part) + CONTINUED,
            },
        }
    }

    /// What it adds to the key.
    pub(super) fn part(&self) -> &[u8] {
        let (Self::Object(part) | Self::Directory(part)) = self;
        part
    }
}

const OBJECT: &str = "@";
const CONTINUED: &str = "+";
const EMPTY: &str = "%";
/// Where a segment is cut. Three times as much is still a name.
const SEGMENT_BYTES: usize = 80;

const _: () = assert!(3 * SEGMENT_BYTES < 255, "a segment and its ending are a name");

/// The directories of the whole segments, and the segment after the last slash.
fn descend(key: &str) -> (Vec<String>, &str) {
    let mut directories = Vec::new();
    let mut rest = key;
    while let Some((segment, after)) = rest.split_once('/') {
        let long = segment.len() >= SEGMENT_BYTES;
        let last = continue_down(&mut directories, segment.as_bytes());
        debug_assert!(long || last.len() == segment.len(), "N1: only long segments are cut");
        directories.push(if last.is_empty() { EMPTY.to_owned() } else { encode(last) });
        rest = after;
    }
    (directories, rest)
}

/// Cuts a long segment into directories; what is left of it is shorter than a cut.
fn continue_down<'a>(directories: &mut Vec<String>, mut segment: &'a [u8]) -> &'a [u8] {
    while let Some((first, rest)) = segment.split_at_checked(SEGMENT_BYTES) {
        directories.push(encode(first) + CONTINUED);
        segment = rest;
    }
    segment
}

/// Whether a name shows this byte as it is.
const fn stands_for_itself(position: usize, byte: u8) -> bool {
    byte.is_ascii_lowercase()
        || byte.is_ascii_digit()
        || matches!(byte, b'-' | b'_')
        || (byte == b'.' && position > 0)
}

fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut name = String::with_capacity(bytes.len());
    for (position, &byte) in bytes.iter().enumerate() {
        if stands_for_itself(position, byte) {
            name.push(char::from(byte));
        } else {
            name.push('%');
            name.push(char::from(DIGITS[usize::from(byte >> 4)]));
            name.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    name
}

/// The bytes that [`encode`] writes as `name`; `None` if there are none (N1).
fn decode(name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            let (digits, after) = after.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    (encode(&bytes) == name).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The key whose file lies at this path.
    fn key_at(place: &Place) -> String {
        let mut key = Vec::new();
        for name in &place.directories {
            match Entry::read(name) {
                Some(Entry::Directory(part)) => key.extend(part),
                other => panic!("{name} is {other:?}"),
            }
        }
        match Entry::read(&place.file) {
            Some(Entry::Object(part)) => key.extend(part),
            other => panic!("{} is {other:?}", place.file),
        }
        String::from_utf8(key).unwrap()
    }

    /// Keys out of few characters, so that they share beginnings, and of long segments.
    fn keys() -> impl Strategy<Value = String> {
        let segment = prop_oneof![
            "[.aA%+@ä~-]{0,3}",
            Just("x".repeat(79)),
            "[xX/!z]{0,2}".prop_map(|end| "x".repeat(80) + &end),
            "[xX!z]{0,2}".prop_map(|end| "x".repeat(160) + &end),
        ];
        prop::collection::vec(segment, 0..4).prop_map(|segments| segments.join("/"))
    }

    /// How a listing orders two keys: by the first level at which their entries differ (N2).
    fn order_on_disk(a: &Place, b: &Place) -> core::cmp::Ordering {
        let level = |place: &Place| -> Vec<Vec<u8>> {
            let names = place.directories.iter().chain([&place.file]);
            names.map(|name| Entry::read(name).unwrap().part().to_vec()).collect()
        };
        level(a).cmp(&level(b))
    }

    proptest! {
        #[test]
        fn a_key_comes_back_from_its_path(key in keys()) {
            let place = Place::of(&Key::new(key.clone()));
            prop_assert_eq!(key_at(&place), key);
            for name in place.directories.iter().chain([&place.file]) {
                prop_assert_eq!(&Entry::read(name).unwrap().name(), name);
                prop_assert!(name.len() <= 255 && !name.starts_with('.') && !name.contains('/'));
                prop_assert_eq!(name.to_lowercase(), name.clone());
            }
        }

        #[test]
        fn entries_are_in_the_order_of_their_keys(a in keys(), b in keys()) {
            let (one, other) = (Place::of(&Key::new(a.clone())), Place::of(&Key::new(b.clone())));
            prop_assert_eq!(order_on_disk(&one, &other), a.as_bytes().cmp(b.as_bytes()));
        }

        #[test]
        fn a_name_is_read_only_if_a_key_makes_it(name in "[%.+@a-cA4/0]{0,6}") {
            if let Some(entry) = Entry::read(&name) {
                prop_assert_eq!(entry.name(), name);
            }
        }
    }

    #[test]
    fn names_hostile_to_file_systems_become_tame() {
        let path = |key: &str| Place::of(&Key::new(key)).path().into_os_string().into_string();
        assert_eq!(path("heads/Docs.v2").unwrap(), "heads/%44ocs.v2@");
        assert_eq!(path("data/../7/log/").unwrap(), "data/%2e./7/log/@");
        assert_eq!(path("a//b").unwrap(), "a/%/b@");
        assert_eq!(path("a@+").unwrap(), "a%40%2b@");
        assert_eq!(path(".tmp").unwrap(), "%2etmp@");
        for foreign in ["lost+found", "A", "", ".tmp", "%2E", "%4", "a%61"] {
            assert_eq!(Entry::read(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_listing_starts_where_all_it_names_lies() {
        assert_eq!(common_directories("data/n/1"), (vec!["data".into(), "n".into()], "data/n/"));
        assert_eq!(common_directories("heads"), (vec![], ""));
        assert_eq!(common_directories("a/"), (vec!["a".into()], "a/"));
    }
}
