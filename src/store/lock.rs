//! One instance per data directory.
//!
//! The lock is the system's (`flock` on Unix), held on the file `lock` for as long as the process lives,
//! so that a crash leaves no stale lock. The process id in the file is only for the message.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

use super::error::OpenError;
use super::open::FILE_NAME as DATABASE;
use crate::disk::rights::{claim_directory, open_private};

/// Name of the lock file in the data directory.
const FILE_NAME: &str = "lock";

/// A directory that holds one of these, the last one the blocks of an embedded chain, is a data directory.
const MARKS: [&str; 3] = [FILE_NAME, DATABASE, "chain/blocks"];

/// Makes a data directory for its owner alone (0700), or makes the one that is there private.
pub(super) fn claim(directory: &Path) -> Result<(), OpenError> {
    claim_directory(directory, &MARKS).map_err(|source| OpenError::Io {
        path: directory.to_owned(),
        source,
    })
}

/// Whether a directory has one of our marks, or nothing in it.
pub(super) fn is_data_directory(directory: &Path) -> io::Result<bool> {
    let is_marked = MARKS.iter().any(|mark| directory.join(mark).exists());
    Ok(is_marked || fs::read_dir(directory)?.next().is_none())
}

/// A data directory that is ours until this is dropped.
#[derive(Debug)]
pub struct DirectoryLock {
    file: File,
}

/// Closing the file alone would leave the lock to a program that this process is just starting: until it
/// runs, it has a copy of every open file.
impl Drop for DirectoryLock {
    fn drop(&mut self) {
        let _ = self.file.unlock(); // closing it follows, which is all that is left to try
    }
}

impl DirectoryLock {
    /// Claims `directory` and takes its lock. Opening a database takes that of its directory.
    pub fn take(directory: &Path) -> Result<Self, OpenError> {
        claim(directory)?;
        let path = directory.join(FILE_NAME);
        let broken = |source| OpenError::Io {
            path: path.clone(),
            source,
        };
        let mut file = open_private(&path).map_err(broken)?; // the other instance's process id is in there
        match file.try_lock() {
            Ok(()) => {
                write_holder(&mut file).map_err(broken)?;
                Ok(Self { file })
            }
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
                directory: directory.to_owned(),
                holder: read_holder(&mut file),
            }),
            Err(TryLockError::Error(source)) => Err(broken(source)),
        }
    }
}

fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn read_holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_holder_is_told_who_the_first_is() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let directory = scratch.path().join("data");
        let first = DirectoryLock::take(&directory).expect("the directory is free");
        let error = DirectoryLock::take(&directory).expect_err("it is taken");
        let message = error.to_string();
        assert!(message.contains(&directory.display().to_string()));
        assert!(message.contains(&format!("(process {})", std::process::id())));
        drop(first);
        DirectoryLock::take(&directory).expect("it is free again");
    }

    #[test]
    fn a_new_directory_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let directory = scratch.path().join("state").join("bnsd");
        DirectoryLock::take(&directory).expect("the directory can be made");
        let mode = fs::metadata(&directory)
            .expect("it exists")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
