//! What is done to a disk, step by step, so that a test can put something else in its place and lose a part of it.
//!
//! A loss of power keeps any part of what was done since the last sync of a file, and of a directory for the names in it. On Linux
//! one call syncs everything (`syncfs`), however many files there are.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::create_directory;

/// More files and directories than these are synced with all of their file system: what other programs wrote there is waited
/// for as well.
#[cfg(target_os = "linux")]
const SINGLY: usize = 4;

/// What is done to a disk.
pub trait Steps: Debug + Send + Sync {
    /// Makes a private file; fails where one is.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Writes to a file that is there, from a place on.
    fn append(&self, path: &Path, place: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts a file off.
    fn cut(&self, path: &Path, length: u64) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes a private directory, if it is missing.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// Moves a file to a place, whatever is there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Returns when the bytes of these files, and the names in these directories, survive a loss of power.
    fn sync(&self, paths: &[&Path]) -> io::Result<()>;
}

/// The file systems of this machine.
#[derive(Debug)]
pub struct System;

impl Steps for System {
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(bytes)
    }

    fn append(&self, path: &Path, place: u64, bytes: &[u8]) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.write_all_at(bytes, place)
    }

    fn cut(&self, path: &Path, length: u64) -> io::Result<()> {
        OpenOptions::new().write(true).open(path)?.set_len(length)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        create_directory(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync(&self, paths: &[&Path]) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if let [first, ..] = paths
            && paths.len() > SINGLY
        {
            return Ok(rustix::fs::syncfs(File::open(first)?)?);
        }
        paths
            .iter()
            .try_for_each(|path| File::open(path)?.sync_all())
    }
}
