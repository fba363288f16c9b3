//! Objects in a folder: durable, shared by the threads and processes of one machine.
//!
//! | module   | what it answers                                                          |
//! |----------|--------------------------------------------------------------------------|
//! | `names`  | Which path does a key have, and which key a path?                        |
//! | `format` | What is in a file, and what does a crash leave of it?                    |
//! | `folder` | How does a file get its name, durably and only once?                     |
//! | `held`   | How do readers and writers of one file keep out of each other's way?     |
//! | `new_file` | What does a new object's file look like, and how does it get its tag?  |
//! | `walk`   | Which objects are there, in order?                                       |
//! | `scan`   | How is a large directory paged through?                                  |
//! | `cached` | What can be read without waiting for a disk?                             |
//! | `fault`  | Why did a request fail, and what may be concluded?                       |
//!
//! # Story
//!
//! - **Create** an object nobody refers to, or a large one: draft the file, sync it, link it under its
//!   name, sync the directory.
//! - **Create a register**: the same, with a file of two slots.
//! - **Change a register**: lock its file, compare the tag, write the slot that is not the newest, sync
//!   the data. No name changes and no space is taken, so this is one write and one flush of the disk.
//!   A body that has no room in the slot goes to a draft that replaces the file.
//! - **Read**: lock the file (shared), and read.
//! - **Delete**: lock the file, remove its name, sync the directory; and the directory, if empty.
//!
//! # What is assumed
//!
//! A local file system with hard links and `flock`, that keeps what it synced, and a medium that
//! writes a sector entirely or not at all. Several processes may use one folder at once; a process
//! that is stopped while it holds a file's lock makes the others wait for it.

mod cached;
mod fault;
mod folder;
mod format;
mod held;
mod names;
mod new_file;
mod scan;
#[cfg(test)]
mod tests;
mod walk;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sana_engine::base::blob::Blob;
use sana_engine::base::name::Key;
use sana_engine::machine::drive::ObjectStore;
use sana_engine::machine::request::{ByteRange, Reply, Request, Tag, When};

use fault::Fault;
use folder::Folder;
use held::{Access, Held};
use names::Place;
use new_file::NewFile;
use walk::Walk;

/// A store in a folder. A clone is another handle to the same folder. It does its work on the threads
/// that Tokio keeps for blocking work, so it is to be used within a Tokio runtime.
#[derive(Clone, Debug)]
pub struct FolderStore {
    folder: Arc<Folder>,
}

/// Why a folder does not serve as a store.
#[derive(Debug, thiserror::Error)]
#[error("the folder {} does not serve as a store: {error}", path.display())]
pub struct BadFolder {
    /// The folder.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub error: io::Error,
}

impl FolderStore {
    /// Opens the store in this folder, and makes the folder if there is none. What earlier processes
    /// left unfinished is swept away, unless another process has the folder open.
    ///
    /// # Errors
    ///
    /// [`BadFolder`] if the folder cannot be made, read, written or locked.
    pub fn open(path: &Path) -> Result<Self, BadFolder> {
        let folder = Folder::open(path);
        let folder = folder.map_err(|error| BadFolder { path: path.to_owned(), error })?;
        Ok(Self { folder: Arc::new(folder) })
    }
}

impl ObjectStore for FolderStore {
    async fn perform(&self, request: Request) -> Reply {
        if let Some(reply) = at_once(&self.folder, &request) {
            return reply;
        }
        let folder = Arc::clone(&self.folder);
        let reply = tokio::task::spawn_blocking(move || {
            perform(&folder, &request).unwrap_or_else(|fault| {
                fault.log();
                fault.reply(&request)
            })
        });
        // The runtime goes down, or there is a bug below: what became of the request is unknown.
        reply.await.unwrap_or(Reply::Lost)
    }
}

/// The answer to a read of what the system has in its cache. It takes some microseconds, a tenth of
/// what it takes to hand the request to another thread and back. What needs more is left to it.
fn at_once(folder: &Folder, request: &Request) -> Option<Reply> {
    let Request::Get { key, range, unless } = request else { return None };
    get(folder, key, *range, unless.as_ref(), Access::Glance).ok()
}

fn perform(folder: &Folder, request: &Request) -> Result<Reply, Fault> {
    match request {
        Request::Get { key, range, unless } => {
            get(folder, key, *range, unless.as_ref(), Access::Shared)
        }
        Request::Put { key, body, when } => put(folder, key, body, when),
        Request::Delete { key } => {
            let place = Place::of(key);
            let path = place.path();
            let alone = held::keep_out_others(folder, &path)?;
            folder.remove(&place)?;
            drop(alone);
            Ok(Reply::Deleted)
        }
        Request::List { prefix, after, limit } => {
            let after = after.as_ref().map(Key::as_str);
            let (objects, more) = Walk::page(folder, prefix.as_str(), after, *limit as usize)?;
            Ok(Reply::Listed { objects, more })
        }
    }
}

fn get(
    folder: &Folder,
    key: &Key,
    range: Option<ByteRange>,
    unless: Option<&Tag>,
    access: Access,
) -> Result<Reply, Fault> {
    let path = Place::of(key).path();
    let Some(held) = Held::open(folder, &path, access)? else {
        return Ok(Reply::Missing);
    };
    let tag = held.tag();
    if unless == Some(&tag) {
        return Ok(Reply::NotModified);
    }
    Ok(Reply::Found { tag, body: held.body(range)? })
}

fn put(folder: &Folder, key: &Key, body: &Blob, when: &When) -> Result<Reply, Fault> {
    let place = Place::of(key);
    let path = place.path();
    let stored = match when {
        When::Absent => NewFile::register(body).create(folder, &place)?,
        When::Fresh => NewFile::fresh(body).create(folder, &place)?,
        When::Matches(tag) => match Held::open(folder, &path, Access::Exclusive)? {
            Some(held) if held.tag() == *tag => match held.write(body)? {
                Some(tag) => Some(tag),
                // The lock on the old file is held until the new one has the name.
                None => Some(NewFile::register(body).replace(folder, &place)?),
            },
            _ => None,
        },
    };
    Ok(stored.map_or(Reply::Refused, |tag| Reply::Stored { tag }))
}
