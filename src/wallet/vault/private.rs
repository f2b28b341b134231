//! Files and directories that nobody else can read or change: what is not so is refused.

use std::fs::{self, Metadata, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use zeroize::Zeroizing;

use super::error::VaultError;
use crate::disk;
use crate::disk::rights::{Exposed, check_secret};

/// Longest key file or journal in bytes.
const LENGTH_MAX: u64 = 4 << 20;

/// Makes a directory for its owner alone, or checks the one that is there.
pub(in crate::wallet) fn make_private_directory(directory: &Path) -> Result<(), VaultError> {
    disk::create_directory(directory).map_err(VaultError::io(directory))?;
    check_directory(directory)
}

pub(super) fn check_directory(directory: &Path) -> Result<(), VaultError> {
    let metadata = fs::symlink_metadata(directory).map_err(VaultError::io(directory))?;
    if metadata.file_type().is_symlink() {
        return Err(not_safe(directory, "is a symbolic link"));
    }
    if !metadata.is_dir() {
        return Err(not_safe(directory, "is no directory"));
    }
    check_owner(directory, &metadata, "is open to other users (chmod 700)")
}

/// The bytes of a file that only its owner can read or write, following no symbolic link.
pub(in crate::wallet) fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
        .map_err(|source| match source.raw_os_error() {
            Some(libc::ELOOP) => not_safe(path, "is a symbolic link"),
            _ => VaultError::io(path)(source),
        })?;
    let metadata = file.metadata().map_err(VaultError::io(path))?;
    if !metadata.is_file() {
        return Err(not_safe(path, "is no file"));
    }
    check_owner(path, &metadata, "is open to other users (chmod 600)")?;
    let mut bytes = Zeroizing::new(Vec::new());
    let read = file.take(LENGTH_MAX).read_to_end(&mut bytes);
    read.map_err(VaultError::io(path))?;
    Ok(bytes)
}

fn check_owner(path: &Path, metadata: &Metadata, open: &'static str) -> Result<(), VaultError> {
    check_secret(metadata).map_err(|exposed| match exposed {
        Exposed::Foreign(_) => not_safe(path, "belongs to another user"),
        Exposed::Open => not_safe(path, open),
    })
}

fn not_safe(path: &Path, problem: &'static str) -> VaultError {
    VaultError::Unsafe {
        path: path.to_owned(),
        problem,
    }
}
