//! Names the objects of a folder in the order of their keys, without reading them.
//!
//! Directories whose keys cannot belong to the page are not entered, and of the others only the
//! entries that can are looked at: they stand side by side (N2).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sana_engine::base::name::Key;
use sana_engine::machine::request::Listed;

use super::fault::Fault;
use super::folder::Folder;
use super::held::{Access, Held};
use super::names::{self, Entry};
use super::scan::Scan;

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
        let top: PathBuf = directories.iter().collect();
        let walked = walk.enter(&top, key.as_bytes())?;
        if walked == Walked::All {
            folder.last_scan().forget(&folder.path().join(top));
        }
        Ok((walk.page, walked == Walked::Full))
    }

    /// Names what lies in a directory, which stands for keys that begin with `key`.
    fn enter(&mut self, directory: &Path, key: &[u8]) -> Result<Walked, Fault> {
        let scan = self.scan(directory)?;
        let entries = scan.entries();
        let first = entries.partition_point(|entry| self.is_before(key, entry));
        for entry in &entries[first..] {
            let key = [key, entry.part()].concat();
            if !self.may_begin(&key, entry) {
                break;
            }
            let path = directory.join(entry.name());
            let walked = match entry {
                Entry::Object(_) => self.name(&path, key)?,
                Entry::Directory(_) => self.enter(&path, &key)?,
            };
            if walked == Walked::Full {
                return Ok(walked);
            }
        }
        Ok(Walked::All)
    }

    fn scan(&self, directory: &Path) -> Result<Arc<Scan>, Fault> {
        let scan = self.folder.last_scan().scan(&self.folder.path().join(directory));
        scan.map_err(|error| Fault::before("listing a directory", error))
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

    /// Whether all that an entry stands for comes before the page.
    fn is_before(&self, key: &[u8], entry: &Entry) -> bool {
        let key = [key, entry.part()].concat();
        let is_before = |bound: &[u8], included: bool| match entry {
            Entry::Object(_) => key.as_slice() < bound || (!included && key == bound),
            Entry::Directory(_) => key.as_slice() < bound && !bound.starts_with(&key),
        };
        is_before(self.prefix, true) || self.after.is_some_and(|after| is_before(after, false))
    }

    /// Whether what an entry of this key stands for may begin with the prefix.
    fn may_begin(&self, key: &[u8], entry: &Entry) -> bool {
        let leads_there = matches!(entry, Entry::Directory(_)) && self.prefix.starts_with(key);
        key.starts_with(self.prefix) || leads_there
    }
}
