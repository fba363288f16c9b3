//! Which store is meant by what was said: a folder, a bucket, memory.

use core::time::Duration;
use std::path::Path;

use super::Store;
use super::fs::{BadFolder, FolderStore};
use super::memory::MemoryStore;
use super::probe::{Unfit, probe};
use super::s3::{BadS3, Fault, S3Options, S3Store};
use crate::entropy;

/// A store, and where it is.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// Where it is, for people.
    pub place: String,
}

/// Why there is no store at a place.
#[derive(Debug, thiserror::Error)]
pub enum BadPlace {
    /// It is not clear which kind of store is meant.
    #[error(
        "the store '{0}' is of no known kind: use a folder, file://<folder>, \
         s3://<bucket>/<prefix> or memory:"
    )]
    Kind(String),
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] BadFolder),
    /// The bucket is not described well.
    #[error(transparent)]
    S3(#[from] BadS3),
    /// The bucket does not answer, or refuses us.
    #[error("{place}: {fault}")]
    Bucket {
        /// Where it should be.
        place: String,
        /// What happened.
        fault: Fault,
    },
    /// The bucket's store is not one that Sana can use.
    #[error("{place}: {unfit}")]
    Unfit {
        /// Where it is.
        place: String,
        /// What it does wrong.
        unfit: Unfit,
    },
}

/// The pause before a store that did not answer is asked again; each further one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// How often a store that does not answer is asked.
const ATTEMPTS: u32 = 5;

/// The folder that `place` names, if it names one.
pub fn folder(place: &str) -> Option<&Path> {
    let is_other = is_memory(place) || place.starts_with("memory:") || place.starts_with("s3:");
    let path = place.strip_prefix("file://").or_else(|| place.strip_prefix("file:"));
    let path = path.unwrap_or(place);
    (!is_other && !path.is_empty() && !path.contains("://")).then(|| Path::new(path))
}

/// Whether `place` means a store that ends with this process.
pub fn is_memory(place: &str) -> bool {
    matches!(place, "memory:" | "memory")
}

/// Opens the store that `place` names. A bucket is asked whether it is there, and tried out.
///
/// # Errors
///
/// [`BadPlace`], which says what can be done.
pub async fn open(place: &str) -> Result<Opened, BadPlace> {
    if place.starts_with("s3:") {
        return open_bucket(S3Options::from_environment(place)?).await;
    }
    open_untried(place)
}

/// Opens the store that `place` names and asks it nothing: for those who want to find out what it does
/// wrong. No data is to be kept in a store that was not tried out.
///
/// # Errors
///
/// [`BadPlace`], which says what can be done.
pub fn open_untried(place: &str) -> Result<Opened, BadPlace> {
    if is_memory(place) {
        let place = "memory, which ends with this process".to_owned();
        return Ok(Opened { store: MemoryStore::new().into(), place });
    }
    if place.starts_with("s3:") {
        let options = S3Options::from_environment(place)?;
        let place = options.place();
        let store = S3Store::new(options);
        let store = store.map_err(|fault| BadPlace::Bucket { place: place.clone(), fault })?;
        return Ok(Opened { store: store.into(), place });
    }
    let path = folder(place).ok_or_else(|| BadPlace::Kind(place.to_owned()))?;
    let store = FolderStore::open(path)?;
    let whole = std::fs::canonicalize(path);
    let whole = whole.map_err(|error| BadFolder { path: path.to_owned(), error })?;
    Ok(Opened { store: store.into(), place: format!("the folder {}", whole.display()) })
}

/// The store of a bucket that is there, lets us in and keeps to what Sana rests on.
///
/// # Errors
///
/// [`BadPlace::Bucket`] or [`BadPlace::Unfit`].
pub async fn open_bucket(options: S3Options) -> Result<Opened, BadPlace> {
    let place = options.place();
    let store = S3Store::new(options);
    let store = store.map_err(|fault| BadPlace::Bucket { place: place.clone(), fault })?;
    let mut pause = PAUSE_FIRST;
    for attempt in 1..=ATTEMPTS {
        let error = match store.reach().await {
            Ok(()) => match probe(&store, entropy::seed()).await {
                Ok(()) => break,
                Err(unfit @ Unfit::Breaks(_)) => {
                    return Err(BadPlace::Unfit { place, unfit });
                }
                Err(unfit) => BadPlace::Unfit { place: place.clone(), unfit },
            },
            Err(fault) if fault.may_pass() => BadPlace::Bucket { place: place.clone(), fault },
            Err(fault) => return Err(BadPlace::Bucket { place, fault }),
        };
        if attempt == ATTEMPTS {
            return Err(error);
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    Ok(Opened { store: store.into(), place })
}
