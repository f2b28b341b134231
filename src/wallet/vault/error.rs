//! Why a key cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use crate::wallet::lock::LockError;
use crate::wallet::phrase::PhraseError;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The name of a key is no file name.
    #[error("{0:?} is no name for a key: use 1 to 32 of a-z, 0-9, - and _")]
    Name(String),
    /// Nothing has this name.
    #[error("there is no key {name:?} in {}: see `bnsd keys list`", directory.display())]
    Unknown {
        /// The name.
        name: String,
        /// Where it was looked for.
        directory: PathBuf,
    },
    /// Something has this name already.
    #[error("there is a key {0:?} already: choose another name")]
    Exists(String),
    /// Others could read or change it.
    #[error("{} is not safe: it {problem}; set that right after making sure that nobody has changed it", path.display())]
    Unsafe {
        /// File or directory.
        path: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
    /// It cannot be read or written.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// File or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is no key file.
    #[error("{} is no key file of this version of bnsd", .0.display())]
    Malformed(PathBuf),
    /// Wrong passphrase, or a changed file.
    #[error("the passphrase is wrong, or {} was changed", .0.display())]
    Sealed(PathBuf),
    /// There is nothing to open.
    #[error("{0:?} holds no secret: a multisignature address is signed for by its members' keys")]
    NoSecret(String),
    /// Address references are NAME, NAME/INDEX or NAME/p2sh/INDEX.
    #[error("{0:?} names no address: write NAME, NAME/INDEX or NAME/p2sh/INDEX")]
    Reference(String),
    /// The key belongs to another network.
    #[error("key {0:?} was made for another network")]
    Network(String),
    /// The phrase cannot be read.
    #[error(transparent)]
    Phrase(#[from] PhraseError),
    /// The keys make no multisignature address.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Argon2 could not run.
    #[error("not enough memory to open the key: 64 MiB are needed")]
    Memory,
}

impl VaultError {
    /// What the system says about a file or directory.
    pub(in crate::wallet) fn io(path: &Path) -> impl Fn(io::Error) -> Self + Copy {
        |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}
