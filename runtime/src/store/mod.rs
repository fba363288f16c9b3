//! Where objects lie.
//!
//! | module      | what it answers                                                     |
//! |-------------|---------------------------------------------------------------------|
//! | [`memory`]  | Objects that end with the process: tests, trying things out         |
//! | [`fs`]      | Objects in a folder, durable, shared by the processes of a machine  |
//! | [`s3`]      | Objects in a bucket, durable, shared by all who can reach it        |
//! | [`place`]   | Which store is meant by what was said on the command line?          |
//! | [`probe`]   | Does a store that we did not make keep to what we rest on?          |
//! | [`counted`] | How many requests and bytes went to a store?                        |
//!
//! Every store here answers as `sana_engine::machine::request` says, which the conformance suite of
//! `sana-tests` checks. Beyond that they promise:
//!
//! - **S1** A tag names one version for ever. Neither deleting an object and creating it again nor
//!   writing equal content brings a tag back. In a bucket this holds as far as contents differ.
//! - **S2** Conditions are judged and applied at one moment, among all who use the store.
//! - **S3** What was answered was durable before, as far as the store is durable at all.

pub mod counted;
pub mod fs;
pub mod memory;
pub mod place;
pub mod probe;
pub mod s3;

use sana_engine::machine::drive::ObjectStore;
use sana_engine::machine::request::{Reply, Request};

use fs::FolderStore;
use memory::MemoryStore;
use s3::S3Store;

/// Any of the stores. A clone is another handle to the same objects.
#[derive(Clone, Debug)]
pub enum Store {
    /// Objects that end with the process.
    Memory(MemoryStore),
    /// Objects in a folder.
    Folder(FolderStore),
    /// Objects in a bucket.
    S3(S3Store),
}

impl ObjectStore for Store {
    async fn perform(&self, request: Request) -> Reply {
        match self {
            Self::Memory(store) => store.perform(request).await,
            Self::Folder(store) => store.perform(request).await,
            Self::S3(store) => store.perform(request).await,
        }
    }
}

impl From<MemoryStore> for Store {
    fn from(store: MemoryStore) -> Self {
        Self::Memory(store)
    }
}

impl From<FolderStore> for Store {
    fn from(store: FolderStore) -> Self {
        Self::Folder(store)
    }
}

impl From<S3Store> for Store {
    fn from(store: S3Store) -> Self {
        Self::S3(store)
    }
}
