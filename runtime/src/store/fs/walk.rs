//! Names the objects of a folder in the order of their keys, without reading them.
//!
//! A directory's entries are taken smallest first from a heap, which is cheaper than sorting when
//! a page is short and the directory is not. Directories whose keys cannot belong to the page are
//! not entered. A page costs a look at every entry of the directories on the way to it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::path::{Path, PathBuf};

use sana_engine::base::name::Key;
use sana_engine::machine::request::Listed;

use super::fault::Fault;
use super::folder::Folder;
use super::held::{Access, Held};
use super::names::{self, Entry};

/// A page of a listing on its way.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    folder: &'a Folder,
    prefix: &'a [u8],
    after: Option<&'a [u8]>,
    limit: usize,
    page: Vec<Listed>,
}

/// Whether to go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Walked {
    /// All that was there is on the page.
    All,
    /// The page is full, and there is more.
    Full,
}

/// An entry of a directory: the key so far, and the name of what it stands for.
type Child = (Vec<u8>, String, bool);

impl<'a> Walk<'a> {
    /// The objects whose keys begin with `prefix` and come after `after`, the first `limit` of them,
    /// and whether there are more.
    pub(super) fn page(
        folder: &'a Folder,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> Result<(Vec<Listed>, bool), Fault> {
        let after = after.map(str::as_bytes);
        let prefix_bytes = prefix.as_bytes();
        let mut walk = Self { folder, prefix: prefix_bytes, after, limit, page: Vec::new() };
        let (directories, key) = names::common_directories(prefix);
        let walked = walk.enter(&directories.iter().collect::<PathBuf>(), key.as_bytes())?;
        Ok((walk.page, walked == Walked::Full))
    }

    /// Names what lies in a directory, which stands for keys that begin with `key`.
    fn enter(&mut self, directory: &Path, key: &[u8]) -> Result<Walked, Fault> {
        let children = self.children(directory, key);
        let children = children.map_err(|error| Fault::before("listing a directory", error))?;
        let mut smallest_first = BinaryHeap::from(children);
        while let Some(Reverse((key, name, is_object))) = smallest_first.pop() {
            let path = directory.join(name);
            let walked = if is_object { self.name(&path, key)? } else { self.enter(&path, &key)? };
            if walked == Walked::Full {
                return Ok(walked);
            }
        }
        Ok(Walked::All)
    }

    /// Puts one object on the page.
    fn name(&mut self, path: &Path, key: Vec<u8>) -> Result<Walked, Fault> {
        let Ok(key) = String::from_utf8(key) else { return Ok(Walked::All) };
        let bytes = match Held::open(self.folder, path, Access::Shared) {
            Ok(Some(held)) => held.bytes(),
            Ok(None) => return Ok(Walked::All),
            // Its name must not be missing from the page, for then it would seem not to exist.
            Err(fault @ Fault::Damaged { .. }) => {
                fault.log();
                let file = self.folder.path().join(path).metadata();
                file.map_err(|error| Fault::before("listing a directory", error))?.len()
            }
            Err(fault) => return Err(fault),
        };
        if self.page.len() == self.limit {
            return Ok(Walked::Full);
        }
        self.page.push(Listed { key: Key::new(key), bytes });
        Ok(Walked::All)
    }

    /// The entries of a directory that may have to do with the page.
    fn children(&self, directory: &Path, key: &[u8]) -> io::Result<Vec<Reverse<Child>>> {
        let entries = match std::fs::read_dir(self.folder.path().join(directory)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut children = Vec::new();
        for entry in entries {
            let Ok(name) = entry?.file_name().into_string() else { continue };
            let (part, is_object) = match Entry::read(&name) {
                Some(Entry::Object(part)) => (part, true),
                Some(Entry::Directory(part)) => (part, false),
                None => continue,
            };
            let key = [key, &part].concat();
            if if is_object { self.wants(&key) } else { self.may_want_below(&key) } {
                children.push(Reverse((key, name, is_object)));
            }
        }
        Ok(children)
    }

    /// Whether an object of this key belongs on the page.
    fn wants(&self, key: &[u8]) -> bool {
        key.starts_with(self.prefix) && self.after.is_none_or(|after| key > after)
    }

    /// Whether an object whose key begins with `key` may belong on the page.
    fn may_want_below(&self, key: &[u8]) -> bool {
        (key.starts_with(self.prefix) || self.prefix.starts_with(key))
            && self.after.is_none_or(|after| key > after || after.starts_with(key))
    }
}
