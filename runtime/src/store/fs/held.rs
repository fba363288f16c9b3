//! One object's file, open and locked: what it holds, and the next version put in its place.
//!
//! # Invariants
//!
//! - **O1** What is held under a lock is the file that has the name *after* the lock was granted: a
//!   version that did not fit may have replaced the file in between, or somebody deleted it.
//! - **O2** Readers share a file and a writer has it alone until its version is durable, across all
//!   processes. So nobody reads a version that a crash could take back (F2 covers dead writers).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::{PoisonError, RwLockReadGuard, RwLockWriteGuard, TryLockError};

use rustix::fs::{AtFlags, Mode, OFlags, openat, statat};
use rustix::io::Errno;
use sana_engine::base::blob::Blob;
use sana_engine::machine::request::{ByteRange, Tag};

use super::cached;
use super::fault::Fault;
use super::folder::{Folder, sync_directory};
use super::format::{self, Damage, FileHeader, FileKind, Mark, SlotHeader, Slots};

/// An object's file, as long as its lock is held.
#[derive(Debug)]
pub(super) struct Held<'a> {
    file: Locked,
    path: &'a Path,
    nonce: u128,
    version: Version,
    _turn: Turn<'a>,
}

/// Who else may have the file, and whether to wait for them and for the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Access {
    /// Other readers, and there is no waiting: what is locked, on the disk only, large or not settled
    /// fails. So a thread that must not wait can read what lies in the system's cache.
    Glance,
    /// Other readers.
    Shared,
    /// Nobody.
    Exclusive,
}

/// A locked file.
#[derive(Debug)]
struct Locked {
    file: File,
    access: Access,
}

/// Where in the file the newest version is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Version {
    /// All of it, but for the header.
    Whole { bytes: u64, settled: bool },
    /// A slot.
    Slot { slot_bytes: usize, slots: Slots },
}

/// A place among those of this process who are at the same file.
#[derive(Debug)]
pub(super) enum Turn<'a> {
    Shared { _guard: RwLockReadGuard<'a, ()> },
    Exclusive { _guard: RwLockWriteGuard<'a, ()> },
}

impl<'a> Held<'a> {
    /// Opens and locks the file of this path. `None` if there is none.
    pub(super) fn open(
        folder: &'a Folder,
        path: &'a Path,
        access: Access,
    ) -> Result<Option<Self>, Fault> {
        loop {
            let turn = Turn::take(folder, path, access)?;
            let Some(file) = Locked::open(folder, path, access)? else { return Ok(None) };
            let (nonce, version) = Version::read(&file, path)?;
            let held = Self { file, path, nonce, version, _turn: turn };
            if held.version.is_settled() {
                return Ok(Some(held));
            }
            // F2: the last writer died before it was done. Whoever comes first finishes its work.
            match access {
                Access::Glance => return Err(would_wait()),
                Access::Shared => {
                    drop(held);
                    drop(Self::open(folder, path, Access::Exclusive)?);
                }
                Access::Exclusive => held.settle(folder)?,
            }
        }
    }

    /// The version that is held.
    pub(super) fn tag(&self) -> Tag {
        match &self.version {
            Version::Whole { .. } => tag_of_whole(self.nonce),
            Version::Slot { slots, .. } => tag_of_slot(self.nonce, slots.header.sequence),
        }
    }

    /// The size of its body.
    pub(super) const fn bytes(&self) -> u64 {
        match &self.version {
            Version::Whole { bytes, .. } => *bytes,
            Version::Slot { slots, .. } => slots.header.bytes as u64,
        }
    }

    /// Its body, or the part of it that there is.
    pub(super) fn body(&self, range: Option<ByteRange>) -> Result<Blob, Fault> {
        let range = range.unwrap_or(ByteRange { start: 0, end: u64::MAX });
        let end = range.end.min(self.bytes());
        let start = range.start.min(end);
        match &self.version {
            Version::Whole { .. } => {
                let body = self.file.read(format::FILE_HEADER_BYTES as u64 + start, end - start);
                Ok(Blob::from(body.map_err(|error| Fault::before("reading a file", error))?))
            }
            Version::Slot { slot_bytes, slots } => {
                let body = self
                    .file
                    .read_slot(*slot_bytes, slots)
                    .map_err(|error| Fault::before("reading a file", error))?
                    .ok_or(Damage::Body(slots.header.sequence))
                    .map_err(|damage| Fault::damaged(self.path, damage))?;
                Ok(Blob::from(body).slice(start as usize, end as usize).unwrap_or_default())
            }
        }
    }

    /// Puts the next version into the other slot and makes it durable (F1). `None` if there is no
    /// slot for it.
    pub(super) fn write(&self, body: &Blob) -> Result<Option<Tag>, Fault> {
        let Version::Slot { slot_bytes, slots } = &self.version else { return Ok(None) };
        if format::slot_bytes_for(body.len()).is_none_or(|needed| needed > *slot_bytes) {
            return Ok(None);
        }
        let sequence = slots.header.sequence + 1;
        let at = format::slot_at(1 - slots.newest, *slot_bytes);
        let content = format::slot_content(self.nonce, sequence, body.as_slice(), body.crc32());
        let written =
            self.file.file.write_all_at(&content, at).and_then(|()| self.file.file.sync_data());
        if let Err(error) = written {
            // The system may hold the version in memory and take it for durable the next time it is
            // asked. Voiding the slot keeps others from believing that.
            let voided = self.file.file.write_all_at(&SlotHeader::VOID.encode(self.nonce), at);
            tracing::error!(path = %self.path.display(), %error, ?voided, "a write failed midway");
            return Err(Fault::after("writing a file", error));
        }
        self.mark(at + format::SLOT_MARK_AT as u64);
        Ok(Some(tag_of_slot(self.nonce, sequence)))
    }

    /// Makes durable what a writer left that died (F2).
    fn settle(&self, folder: &Folder) -> Result<(), Fault> {
        let mark_at = match &self.version {
            Version::Whole { .. } => format::FILE_MARK_AT as u64,
            Version::Slot { slot_bytes, slots } => {
                let at = format::slot_at(slots.newest, *slot_bytes);
                at + format::SLOT_MARK_AT as u64
            }
        };
        let synced = self.rewrite().and_then(|()| self.file.file.sync_data());
        synced.map_err(|error| Fault::before("finishing a write", error))?;
        if let Some(directory) = folder.path().join(self.path).parent() {
            sync_directory(directory)?;
        }
        let marked = self.file.file.write_all_at(&format::SETTLED, mark_at);
        marked.map_err(|error| Fault::before("finishing a write", error))
    }

    /// Writes the newest slot once more as it is, so that syncing has it to do even if an earlier
    /// attempt failed and the system forgot.
    fn rewrite(&self) -> io::Result<()> {
        let Version::Slot { slot_bytes, slots } = &self.version else { return Ok(()) };
        let at = format::slot_at(slots.newest, *slot_bytes);
        let mut content = vec![0; *slot_bytes];
        self.file.file.read_exact_at(&mut content, at)?;
        self.file.file.write_all_at(&content, at)
    }

    /// Notes that the version is durable. Nothing depends on it: whoever misses the mark syncs.
    fn mark(&self, at: u64) {
        if let Err(error) = self.file.file.write_all_at(&format::SETTLED, at) {
            tracing::debug!(%error, "a version could not be marked as durable");
        }
    }
}

impl Version {
    /// Finds the newest version of a file, and the file's nonce.
    fn read(file: &Locked, path: &Path) -> Result<(u128, Self), Fault> {
        let failed = |error| Fault::before("reading a file", error);
        let damaged = |damage| Fault::damaged(path, damage);
        let mut header = [0; format::FILE_HEADER_BYTES];
        file.fill(&mut header, 0).map_err(failed)?;
        let FileHeader { nonce, kind } = FileHeader::decode(&header).map_err(damaged)?;
        let slot_bytes = match kind {
            FileKind::Whole { settled } => {
                let file_bytes = file.file.metadata().map_err(failed)?.len();
                let bytes = file_bytes.checked_sub(format::FILE_HEADER_BYTES as u64);
                let bytes = bytes.ok_or(Damage::Short).map_err(damaged)?;
                return Ok((nonce, Self::Whole { bytes, settled }));
            }
            FileKind::Register { slot_bytes } => slot_bytes,
        };
        let mut headers = [[0; format::SLOT_HEADER_BYTES]; 2];
        for (index, header) in headers.iter_mut().enumerate() {
            file.fill(header, format::slot_at(index, slot_bytes)).map_err(failed)?;
        }
        let [a, b] = headers;
        let mut slots = Slots::look(&a, &b, slot_bytes, nonce).map_err(damaged)?;
        // A version that may not be durable may as well be cut short (F3).
        while slots.header.mark == Mark::Unsettled
            && file.read_slot(slot_bytes, &slots).map_err(failed)?.is_none()
        {
            slots = slots.fall_back().map_err(damaged)?;
        }
        Ok((nonce, Self::Slot { slot_bytes, slots }))
    }

    /// Whether it is known to be durable.
    fn is_settled(&self) -> bool {
        match self {
            Self::Whole { settled, .. } => *settled,
            Self::Slot { slots, .. } => slots.header.mark == Mark::Settled,
        }
    }
}

impl<'a> Turn<'a> {
    fn take(folder: &'a Folder, path: &Path, access: Access) -> Result<Self, Fault> {
        let turn = folder.turn(path);
        // What the lock guards lies in the file; a panic beside it spoils nothing here.
        let guard = match access {
            Access::Glance => match turn.try_read() {
                Ok(guard) => guard,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return Err(would_wait()),
            },
            Access::Shared => turn.read().unwrap_or_else(PoisonError::into_inner),
            Access::Exclusive => {
                let guard = turn.write().unwrap_or_else(PoisonError::into_inner);
                return Ok(Self::Exclusive { _guard: guard });
            }
        };
        Ok(Self::Shared { _guard: guard })
    }
}

impl Locked {
    /// The file of this path, once it is locked and still the one that has the name (O1).
    fn open(folder: &Folder, path: &Path, access: Access) -> Result<Option<Self>, Fault> {
        let failed = |error| Fault::before("opening a file", error);
        loop {
            let file = match open(folder, path, access) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(failed(error)),
            };
            lock(&file, access).map_err(failed)?;
            let held = file.metadata().map_err(failed)?;
            match statat(folder.root(), path, AtFlags::empty()) {
                Ok(named) if (named.st_dev, named.st_ino) == (held.dev(), held.ino()) => {
                    return Ok(Some(Self { file, access }));
                }
                Ok(_) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(failed(errno.into())),
            }
        }
    }

    /// So many bytes from `at` on, or as many as there are.
    fn read(&self, at: u64, count: u64) -> io::Result<Vec<u8>> {
        if self.access == Access::Glance {
            let count = usize::try_from(count).ok().filter(|count| *count <= GLANCE_BYTES_MAX);
            let mut bytes = vec![0; count.ok_or(io::ErrorKind::WouldBlock)?];
            let filled = self.fill(&mut bytes, at)?;
            bytes.truncate(filled);
            return Ok(bytes);
        }
        // Reading into fresh memory saves filling it with zeros first.
        let mut bytes = Vec::with_capacity(count as usize);
        (&self.file).seek(SeekFrom::Start(at))?;
        (&self.file).take(count).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The body of the newest slot; `None` if it is not what the header claims.
    fn read_slot(&self, slot_bytes: usize, slots: &Slots) -> io::Result<Option<Vec<u8>>> {
        let at = format::slot_at(slots.newest, slot_bytes) + format::SLOT_HEADER_BYTES as u64;
        let body = self.read(at, slots.header.bytes as u64)?;
        let whole = body.len() == slots.header.bytes && crc32fast::hash(&body) == slots.header.crc;
        Ok(whole.then_some(body))
    }

    /// Fills `bytes` from the file as far as the file goes, and says how far.
    fn fill(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < bytes.len() {
            let (rest, from) = (&mut bytes[filled..], at + filled as u64);
            let read = match self.access {
                Access::Glance => cached::read_at(&self.file, rest, from),
                Access::Shared | Access::Exclusive => self.file.read_at(rest, from),
            };
            match read {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

/// Locks the file of this path, if there is one, whatever it holds, until the result is dropped.
pub(super) fn keep_out_others<'a>(
    folder: &'a Folder,
    path: &Path,
) -> Result<Option<(File, Turn<'a>)>, Fault> {
    let turn = Turn::take(folder, path, Access::Exclusive)?;
    Ok(Locked::open(folder, path, Access::Exclusive)?.map(|locked| (locked.file, turn)))
}

/// The tag of a version that is a whole file of this nonce.
pub(super) fn tag_of_whole(nonce: u128) -> Tag {
    Tag::new(format!("{nonce:032x}"))
}

/// The tag of a version in a register's file of this nonce.
pub(super) fn tag_of_slot(nonce: u128, sequence: u64) -> Tag {
    Tag::new(format!("{nonce:032x}-{sequence}"))
}

fn open(folder: &Folder, path: &Path, access: Access) -> io::Result<File> {
    let flags = match access {
        Access::Glance => return cached::open(folder.root(), path),
        Access::Shared => OFlags::RDONLY,
        Access::Exclusive => OFlags::RDWR,
    };
    Ok(File::from(openat(folder.root(), path, flags | OFlags::CLOEXEC, Mode::empty())?))
}

fn lock(file: &File, access: Access) -> io::Result<()> {
    loop {
        let locked = match access {
            Access::Glance => file.try_lock_shared().map_err(io::Error::from),
            Access::Shared => file.lock_shared(),
            Access::Exclusive => file.lock(),
        };
        match locked {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            locked => return locked,
        }
    }
}

/// What a glance comes to where others wait.
fn would_wait() -> Fault {
    Fault::before("glancing at a file", io::ErrorKind::WouldBlock)
}

/// The most that a glance reads: what is copied in some ten microseconds.
const GLANCE_BYTES_MAX: usize = 128 << 10;
