//! The folder itself: its directories, drafts of files, and how a draft gets its name.
//!
//! # Invariants
//!
//! - **D1** A file has its name only when its content is durable, and is spoken of only when its name
//!   is. A crash before leaves a draft in `.tmp`, which no key names.
//! - **D2** A directory is used for a new name only through a handle of which this process knows that
//!   the directory itself is durable. If somebody removes the directory, being empty, the handle does
//!   not serve any more, and the way down is walked again.
//! - **D3** Drafts are swept away by a process that has the folder to itself, so never another's.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustix::fs::{AtFlags, Mode, OFlags, linkat, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;

use super::fault::Fault;
use super::format::SETTLED;
use super::names::Place;
use super::scan::LastScan;
use crate::entropy;

/// An open folder.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Locked (shared) for as long as the folder is open (D3).
    root: Arc<File>,
    temp: File,
    /// Directories known to be durable (D2).
    known: Mutex<BTreeMap<Vec<String>, Arc<File>>>,
    /// Who of this process is at a file. Taken before the lock on the file, which alone does not keep
    /// a stream of readers from starving a writer.
    turns: Vec<RwLock<()>>,
    last_scan: LastScan,
}

/// Whether a draft got its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Named {
    /// It has, and the name is durable.
    Done,
    /// Another file had it.
    Taken,
}

impl Folder {
    /// Opens the folder, and makes it if there is none.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        make_durable(path)?;
        let path = path.canonicalize()?;
        let root = File::open(&path)?;
        ignore_existing(mkdirat(&root, TEMP, Mode::from_raw_mode(0o777)))?;
        let temp = open_directory(&root, TEMP)?;
        match root.try_lock() {
            Ok(()) => sweep(&path.join(TEMP))?,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        root.lock_shared()?;
        root.sync_all()?;
        let turns = (0..TURNS).map(|_| RwLock::new(())).collect();
        Ok(Self {
            path,
            root: Arc::new(root),
            temp,
            known: Mutex::default(),
            turns,
            last_scan: LastScan::default(),
        })
    }

    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Its own directory.
    pub(super) fn root(&self) -> &File {
        &self.root
    }

    /// What listings remember.
    pub(super) fn last_scan(&self) -> &LastScan {
        &self.last_scan
    }

    /// The turn at the file of this path.
    pub(super) fn turn(&self, path: &Path) -> &RwLock<()> {
        let hash = crc32fast::hash(path.as_os_str().as_encoded_bytes()) as usize;
        &self.turns[hash % TURNS]
    }

    /// Writes a file that has no name yet and makes it durable. It stays locked until it is dropped.
    pub(super) fn draft(&self, parts: &[&[u8]]) -> Result<Draft<'_>, Fault> {
        let name = format!("{:032x}", entropy::seed());
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        let file = openat(&self.temp, &name, flags, Mode::from_raw_mode(0o666))
            .map_err(|errno| Fault::before("creating a file", errno))?;
        let draft = Draft { folder: self, name, file: File::from(file) };
        draft.write(parts).map_err(|error| Fault::before("writing a file", error))?;
        Ok(draft)
    }

    /// The directory of these names, made durable together with the way to it (D2).
    fn directory(&self, names: &[String]) -> io::Result<Arc<File>> {
        let Some((name, above)) = names.split_last() else { return Ok(Arc::clone(&self.root)) };
        if let Some(known) = self.known().get(names) {
            return Ok(Arc::clone(known));
        }
        let above = self.directory(above)?;
        ignore_existing(mkdirat(&above, name, Mode::from_raw_mode(0o777)))?;
        let directory = Arc::new(open_directory(&above, name)?);
        above.sync_all()?;
        let mut known = self.known();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(names.to_vec(), Arc::clone(&directory));
        Ok(directory)
    }

    /// Does `change` in the durable directory of this place, and makes the change durable.
    fn change<T>(
        &self,
        place: &Place,
        change: impl Fn(&File) -> Result<T, Errno>,
    ) -> Result<T, Fault> {
        let mut tries = 0;
        let (directory, done) = loop {
            let done = self
                .directory(&place.directories)
                .and_then(|directory| Ok((Arc::clone(&directory), change(&directory)?)));
            match done {
                Ok(done) => break done,
                // Somebody removed a directory on the way, because it was empty (D2).
                Err(error) if error.kind() == io::ErrorKind::NotFound && tries < TRIES_MAX => {
                    tries += 1;
                    self.known().clear();
                }
                Err(error) => return Err(Fault::changing("naming a file", error)),
            }
        };
        directory.sync_all().map_err(|error| Fault::after("syncing a directory", error))?;
        Ok(done)
    }

    /// Removes a name, durably, and the directories above it as far as they are empty.
    pub(super) fn remove(&self, place: &Place) -> Result<(), Fault> {
        let path = self.path.join(place.path());
        match std::fs::remove_file(&path) {
            // If it was gone: perhaps another process removed it and died before syncing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed.map_err(|error| Fault::changing("removing a file", error))?,
        }
        for directory in path.ancestors().skip(1) {
            let gone = directory != self.path
                && std::fs::remove_dir(directory)
                    .map_or_else(|error| error.kind() == io::ErrorKind::NotFound, |()| true);
            if (!gone && sync_directory(directory)?) || directory == self.path {
                break;
            }
        }
        Ok(())
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<Vec<String>, Arc<File>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file without a name. Dropping it leaves nothing behind.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    folder: &'a Folder,
    name: String,
    file: File,
}

impl Draft<'_> {
    fn write(&self, parts: &[&[u8]]) -> io::Result<()> {
        self.file.lock()?;
        let mut at = 0;
        for part in parts {
            self.file.write_all_at(part, at)?;
            at += part.len() as u64;
        }
        self.file.sync_all()
    }

    /// Gives it this name, unless there is a file of that name.
    pub(super) fn create(&self, place: &Place) -> Result<Named, Fault> {
        let Folder { temp, .. } = self.folder;
        self.folder.change(place, |directory| {
            match linkat(temp, &self.name, directory, &place.file, AtFlags::empty()) {
                Ok(()) => Ok(Named::Done),
                Err(Errno::EXIST) => Ok(Named::Taken),
                Err(errno) => Err(errno),
            }
        })
    }

    /// Gives it this name, instead of the file that has it.
    pub(super) fn replace(&self, place: &Place) -> Result<(), Fault> {
        let Folder { temp, .. } = self.folder;
        self.folder.change(place, |directory| renameat(temp, &self.name, directory, &place.file))
    }

    /// Notes that it is known to be durable. Nothing depends on it: whoever misses the mark syncs.
    pub(super) fn mark(&self, at: u64) {
        if let Err(error) = self.file.write_all_at(&SETTLED, at) {
            tracing::debug!(%error, "a new file could not be marked as durable");
        }
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        match unlinkat(&self.folder.temp, &self.name, AtFlags::empty()) {
            // A draft that replaced a file was moved.
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => tracing::debug!(%errno, "a draft stays until the folder is next opened"),
        }
    }
}

/// Where drafts lie. No key becomes a name that begins with a dot.
const TEMP: &str = ".tmp";
/// How many directories are kept open. Opening one again costs a sync that finds nothing to do.
const KNOWN_MAX: usize = 128;
/// How many files of different keys can be locked at once by writers of this process.
const TURNS: usize = 256;
/// How often the way down is walked again before giving up.
const TRIES_MAX: u32 = 32;

/// Makes a directory, and those above it that are missing, and the names of all of them durable.
fn make_durable(path: &Path) -> io::Result<()> {
    for above in make(path)? {
        File::open(above)?.sync_all()?;
    }
    Ok(())
}

/// Makes a directory, and those above it that are missing; says in which directories there is now a
/// name that may not be durable.
fn make(path: &Path) -> io::Result<Vec<PathBuf>> {
    let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
    // Its own name may be of a process that died before syncing.
    let missing = path.ancestors().skip(1).take_while(is_missing).count();
    std::fs::create_dir_all(path)?;
    let path = path.canonicalize()?;
    Ok(path.ancestors().skip(1).take(1 + missing).map(Path::to_owned).collect())
}

fn open_directory(above: &File, name: &str) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory: OwnedFd = openat(above, name, flags, Mode::empty())?;
    Ok(File::from(directory))
}

/// Makes the names in a directory durable. Says whether there is such a directory.
pub(super) fn sync_directory(path: &Path) -> Result<bool, Fault> {
    let synced = File::open(path).and_then(|directory| directory.sync_all());
    match synced {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Fault::after("syncing a directory", error)),
    }
}

fn ignore_existing(made: Result<(), Errno>) -> io::Result<()> {
    match made {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn sweep(drafts: &Path) -> io::Result<()> {
    for draft in std::fs::read_dir(drafts)? {
        std::fs::remove_file(draft?.path())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_that_was_made_is_made_durable() {
        let scratch = std::env::temp_dir().join(format!("sana-made-{:032x}", entropy::seed()));
        std::fs::create_dir(&scratch).unwrap();
        let scratch = scratch.canonicalize().unwrap();
        let (a, b) = (scratch.join("a"), scratch.join("a/b"));
        let made = make(&scratch.join("a/b/c")).unwrap();
        assert_eq!(made, [b.as_path(), &a, &scratch]);
        assert_eq!(make(&scratch.join("a/b/c")).unwrap(), [b.as_path()], "it was there");
        assert_eq!(make(&scratch.join("a/b/d")).unwrap(), [b.as_path()]);
        std::fs::remove_dir_all(&scratch).unwrap();
    }
}
