//! Files that are whole after a crash: written beside their place, synced, then moved to it.
//!
//! A system may write a file's bytes and its name to the disk in any order. So the bytes go to a file beside, which
//! is synced before it gets its name, and the directory is synced after. Whoever opens the path sees all of the old
//! bytes or all of the new ones, at every moment and after a loss of power. What a failed write leaves is removed.
//!
//! A file is for its owner alone ([`rights`]). A symbolic link is never written through: one at
//! the path is replaced itself, and one beside it is an error.

pub mod rights;
pub mod steps;
pub mod users;

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes a private file in place of the one at `path`. The caller makes sure that nobody else writes to the same
/// path at the same time, by the lock on the data directory for instance.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    Staged::write(with_ending(path, "new"), bytes)?.replace(path)
}

/// Writes a file that everybody may read (mode 0644) in place of the one at `path`; otherwise as [`replace`].
pub fn replace_public(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let staged = Staged::write(with_ending(path, "new"), bytes)?;
    fs::set_permissions(&staged.path, Permissions::from_mode(0o644))?;
    staged.replace(path)
}

/// Writes a private file where there is none. Fails with [`io::ErrorKind::AlreadyExists`] where something is.
pub fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    static CREATED: AtomicU64 = AtomicU64::new(0);
    // Two processes may try to create the same file.
    let number = CREATED.fetch_add(1, Ordering::Relaxed);
    let ending = format!("{}-{number}.new", std::process::id());
    Staged::write(with_ending(path, &ending), bytes)?.create(path)
}

/// Removes a file, if it is there.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// A synced file beside the place that it is for. It is removed unless it gets there.
#[derive(Debug)]
pub struct Staged {
    path: PathBuf,
}

impl Staged {
    /// Writes and syncs a new private file. One that a crash left at `path` is removed first.
    pub fn write(path: PathBuf, bytes: &[u8]) -> io::Result<Self> {
        let _ = fs::remove_file(&path); // what cannot be removed is an error of the next call
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        let staged = Self { path };
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(staged)
    }

    /// Moves it to `path`, in place of what is there.
    pub fn replace(self, path: &Path) -> io::Result<()> {
        rename(&self.path, path)
    }

    /// Moves it to `path`. Fails where something is.
    fn create(self, path: &Path) -> io::Result<()> {
        fs::hard_link(&self.path, path)?; // a rename would replace what is there
        drop(self);
        sync_name(path)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path); // after a rename there is nothing to remove
    }
}

/// Renames a file; its new name is on the disk when this returns.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_name(to)
}

/// Returns when the name of a file that was made, renamed or removed stays so after a loss of power.
pub fn sync_name(path: &Path) -> io::Result<()> {
    sync_directory(parent(path))
}

/// The same for all names in a directory.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Makes a directory and those above it, for their owner alone (mode 0700). An existing one stays as it is.
pub fn create_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
}

/// The directory of a file.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(directory) if directory.as_os_str().is_empty() => Path::new("."),
        Some(directory) => directory,
        None => path,
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("a directory");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<_> = names.filter_map(|name| name.into_string().ok()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_file_is_replaced_whole_and_is_private() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let path = scratch.path().join("file");
        fs::write(&path, "a longer text").expect("a file");
        fs::write(with_ending(&path, "new"), "left by a crash").expect("a file");
        replace(&path, b"text").expect("a new file");
        assert_eq!(fs::read(&path).expect("it"), b"text");
        let mode = fs::metadata(&path).expect("it").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(names(scratch.path()), ["file"]);
    }

    #[test]
    fn only_one_creates_a_file() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let path = scratch.path().join("file");
        create(&path, b"first").expect("a new file");
        let error = create(&path, b"second").expect_err("it is there");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).expect("it"), b"first");
        assert_eq!(names(scratch.path()), ["file"]);
    }

    #[test]
    fn links_are_replaced_and_never_written_through() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let (path, other) = (scratch.path().join("file"), scratch.path().join("other"));
        fs::write(&other, "precious").expect("a file");
        symlink(&other, &path).expect("a link");
        symlink(&other, with_ending(&path, "new")).expect("a link");
        replace(&path, b"text").expect("a new file");
        assert!(!path.is_symlink());
        assert_eq!(fs::read(&other).expect("it"), b"precious");
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let path = scratch.path().join("directory");
        fs::create_dir_all(path.join("inside")).expect("a directory");
        replace(&path, b"text").expect_err("a directory is there");
        assert_eq!(names(scratch.path()), ["directory"]);
    }
}
