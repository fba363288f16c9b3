//! What the system has in its cache, read without waiting for a disk.
//!
//! Where a system cannot tell, everything would wait, and the work goes to a thread that may.

use std::fs::File;
use std::io;
use std::path::Path;

/// Opens a file below `directory` for reading, if the way to it is known without the disk.
///
/// # Errors
///
/// What the system says; [`io::ErrorKind::WouldBlock`] if the disk has to be asked.
#[cfg(target_os = "linux")]
pub(super) fn open(directory: &File, path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = openat2(directory, path, flags, Mode::empty(), ResolveFlags::CACHED)?;
    Ok(File::from(file))
}

/// Reads some bytes from `at` on, as far as they are in the cache.
///
/// # Errors
///
/// What the system says; [`io::ErrorKind::WouldBlock`] if the disk has to be asked.
#[cfg(target_os = "linux")]
pub(super) fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    use rustix::io::{ReadWriteFlags, preadv2};
    let mut parts = [io::IoSliceMut::new(bytes)];
    Ok(preadv2(file, &mut parts, at, ReadWriteFlags::NOWAIT)?)
}

/// Would have to wait, as far as is known.
///
/// # Errors
///
/// [`io::ErrorKind::WouldBlock`], always.
#[cfg(not(target_os = "linux"))]
pub(super) fn open(_: &File, _: &Path) -> io::Result<File> {
    Err(io::ErrorKind::WouldBlock.into())
}

/// Would have to wait, as far as is known.
///
/// # Errors
///
/// [`io::ErrorKind::WouldBlock`], always.
#[cfg(not(target_os = "linux"))]
pub(super) fn read_at(_: &File, _: &mut [u8], _: u64) -> io::Result<usize> {
    Err(io::ErrorKind::WouldBlock.into())
}
