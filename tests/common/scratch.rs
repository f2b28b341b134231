//! Directories for tests that are about contents.

use std::path::Path;

/// A directory that is gone in the end; in memory where the system offers that, since every commit waits
/// for a disk.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    made.expect("a scratch directory")
}
