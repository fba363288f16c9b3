//! The entries of one directory in the order of their keys, kept while a listing pages through it.
//!
//! A file system names the entries of a directory in no order, so a page of a large directory costs a
//! look at all of them. The last large directory is therefore kept until a listing of it ends.
//!
//! # Invariants
//!
//! - **W1** A kept scan stands for the directory as it is now: it is used only if the directory shows
//!   the moments of change that it showed before the scan, and they were so long past then that a
//!   later change cannot show the same.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sana_engine::base::time::WallTime;

use super::names::Entry;
use crate::clock::wall_time;

/// The entries of a directory, in the order of their keys.
#[derive(Debug)]
pub(super) struct Scan {
    directory: PathBuf,
    stamp: Stamp,
    entries: Vec<Entry>,
}

/// The last scan of a large directory.
#[derive(Debug, Default)]
pub(super) struct LastScan(Mutex<Option<Arc<Scan>>>);

/// Which directory it was, and when it was changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
    directory: (u64, u64),
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Scan {
    /// The entries.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

impl LastScan {
    /// The entries of this directory, which has none if it is missing.
    pub(super) fn scan(&self, directory: &Path) -> io::Result<Arc<Scan>> {
        let stamp = match directory.metadata() {
            Ok(metadata) => Stamp::of(&metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let stamp = Stamp { directory: (0, 0), modified: (0, 0), changed: (0, 0) };
                return Ok(Arc::new(Scan {
                    directory: directory.to_owned(),
                    stamp,
                    entries: vec![],
                }));
            }
            Err(error) => return Err(error),
        };
        if let Some(kept) = &*self.kept()
            && kept.directory == directory
            && kept.stamp == stamp
        {
            return Ok(Arc::clone(kept));
        }
        let still = stamp.is_past(wall_time());
        let entries = read(directory)?;
        let scan = Arc::new(Scan { directory: directory.to_owned(), stamp, entries });
        if still && scan.entries.len() >= KEPT_ENTRIES_MIN {
            *self.kept() = Some(Arc::clone(&scan));
        }
        Ok(scan)
    }

    /// Forgets the directory if it lies at or below `top`, whose listing has come to its end.
    pub(super) fn forget(&self, top: &Path) {
        let mut kept = self.kept();
        if kept.as_ref().is_some_and(|scan| scan.directory.starts_with(top)) {
            *kept = None;
        }
    }

    fn kept(&self) -> MutexGuard<'_, Option<Arc<Scan>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stamp {
    fn of(directory: &Metadata) -> Self {
        Self {
            directory: (directory.dev(), directory.ino()),
            modified: (directory.mtime(), directory.mtime_nsec()),
            changed: (directory.ctime(), directory.ctime_nsec()),
        }
    }

    /// Whether a change from now on shows another moment (W1).
    fn is_past(&self, now: WallTime) -> bool {
        let last = self.modified.0.max(self.changed.0);
        let last = WallTime(u64::try_from(last).unwrap_or(0).saturating_mul(1_000));
        now.since(last) > COARSEST_CLOCK
    }
}

/// Directories with fewer entries are read again for each page.
const KEPT_ENTRIES_MIN: usize = 1_000;
/// More than the coarsest unit in which file systems note the time, and the second that rounding hides.
const COARSEST_CLOCK: Duration = Duration::from_secs(4);

fn read(directory: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let names = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(entries),
        names => names?,
    };
    for name in names {
        // A name that is none of ours is passed over (N1).
        entries.extend(name?.file_name().to_str().and_then(Entry::read));
    }
    entries.sort_unstable_by(|a, b| a.part().cmp(b.part()));
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(scan: &Scan) -> Vec<String> {
        scan.entries().iter().map(Entry::name).collect()
    }

    #[test]
    fn a_directory_is_kept_only_once_its_last_change_is_past() {
        let directory =
            std::env::temp_dir().join(format!("sana-scan-{:032x}", crate::entropy::seed()));
        std::fs::create_dir(&directory).unwrap();
        for number in 0..KEPT_ENTRIES_MIN {
            std::fs::write(directory.join(format!("{number:04}@")), "").unwrap();
        }
        let last = LastScan::default();
        assert_eq!(last.scan(&directory).unwrap().entries().len(), KEPT_ENTRIES_MIN);
        assert!(last.kept().is_none(), "the directory may change within the moment it shows");
        let stamp = Stamp::of(&directory.metadata().unwrap());
        assert!(!stamp.is_past(wall_time()));
        assert!(stamp.is_past(WallTime(wall_time().0 + 10_000)));

        // As if time had passed: what shows the same moments is the same.
        let entries = vec![Entry::Object(b"kept".to_vec())];
        let kept = Scan { directory: directory.clone(), stamp, entries };
        *last.kept() = Some(Arc::new(kept));
        last.forget(&directory.join("elsewhere"));
        assert_eq!(names(&last.scan(&directory).unwrap()), ["kept@"]);
        std::fs::remove_file(directory.join("0000@")).unwrap();
        assert_eq!(last.scan(&directory).unwrap().entries().len(), KEPT_ENTRIES_MIN - 1);
        std::fs::remove_dir_all(&directory).unwrap();
        assert_eq!(last.scan(&directory).unwrap().entries(), []);
    }
}
