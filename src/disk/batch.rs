//! Several files at once, each of them whole or absent after a crash.
//!
//! All are written beside their places, then synced together, then moved, and then their names are synced together. A loss
//! of power at any time leaves each file complete at its place or not there. On Linux one call syncs everything
//! (`syncfs`), however many files there are, so a batch of a hundred waits for the disk twice and not three hundred times.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::{create_directory, parent};

/// More files and directories than these are synced with all of their file system: what other programs wrote there is waited
/// for as well.
#[cfg(target_os = "linux")]
const SINGLY: usize = 4;

/// What is done to a disk. A test puts something else in its place, to lose a part of it.
pub trait Steps: Debug + Send + Sync {
    /// Makes a private file; fails where one is.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

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

/// A file of a batch.
#[derive(Debug)]
pub struct Placed<'b> {
    /// Where it is written first; on the file system of its place.
    pub beside: PathBuf,
    /// Where it belongs. Directories above it are made where they are missing.
    pub path: PathBuf,
    /// What it holds.
    pub bytes: &'b [u8],
}

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

/// Puts all files to their places; when this returns they survive a loss of power. After an error any of them may be
/// there, each complete, and nothing is left beside.
pub fn place_all(steps: &dyn Steps, files: &[Placed<'_>]) -> io::Result<()> {
    let mut written = Written(Vec::with_capacity(files.len()));
    for file in files {
        written.0.push(&file.beside);
        steps.write(&file.beside, file.bytes)?;
    }
    steps.sync(&written.0)?;
    let mut changed = BTreeSet::new();
    for file in files {
        place(steps, file, &mut changed)?;
    }
    written.0.clear();
    let changed: Vec<&Path> = changed.into_iter().collect();
    steps.sync(&changed)
}

/// Moves a file to its place; adds the directories in which there are new names then.
fn place<'f>(
    steps: &dyn Steps,
    file: &'f Placed<'_>,
    changed: &mut BTreeSet<&'f Path>,
) -> io::Result<()> {
    let directory = parent(&file.path);
    let moved = match steps.rename(&file.beside, &file.path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut missing = directory;
            while !missing.is_dir() && parent(missing) != missing {
                missing = parent(missing);
                changed.insert(missing);
            }
            steps.create_directory(directory)?;
            steps.rename(&file.beside, &file.path)
        }
        moved => moved,
    };
    changed.insert(directory);
    moved
}

/// Files that are not at their places yet; removed when this is dropped.
struct Written<'f>(Vec<&'f Path>);

impl Drop for Written<'_> {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = fs::remove_file(path); // what was moved or never written is not there
        }
    }
}
