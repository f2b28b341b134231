//! Where programs of a machine look for certificates.
//!
//! | store | whose | what reads it |
//! |---|---|---|
//! | [`Browsers`] | a user's | Chromium and Firefox: databases of NSS, which `certutil` changes |
//! | [`Hashed`] | the system's | OpenSSL, and so curl and Python: files by the hash of their subject |
//! | [`system`] | the system's | whatever reads the bundle, and Firefox's policies; for the root alone |
//!
//! The root is put there once by a person who asks for it, and can be taken back without a trace. Authorities of names come
//! and go with the agents' orders. Nothing is ever marked as trusted but the root.

mod browsers;
mod copies;
mod hashed;
mod nss;
pub mod system;

use std::io;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

pub use browsers::{Browsers, Undone};
pub use hashed::{Hashed, subject_hash};

use super::issued::Issued;
use crate::disk;

/// A store that an agent looks after.
pub trait Store {
    /// The root whose authorities may be put there; an error says how to install it.
    fn root(&self) -> Result<super::RootCertificate, StoreError>;

    /// The certificates that were put there before, in DER.
    fn held(&self) -> Result<Vec<Vec<u8>>, StoreError>;

    /// Puts a certificate there, and takes away others of its name and key.
    fn put(&mut self, issued: &Issued) -> Result<(), StoreError>;

    /// Takes the certificate with this fingerprint away. One that is not there is no error.
    fn take(&mut self, fingerprint: &str) -> Result<(), StoreError>;

    /// Puts everything where it is missing, in stores that are new for instance.
    fn refresh(&mut self) -> Result<(), StoreError>;
}

/// What the names of files of certificates of one name and key begin with. Names have no character that files cannot have.
fn place(issued: &Issued) -> String {
    let key = HEXLOWER.encode(&issued.key().sha256());
    format!("{}-{key}-", issued.name().as_str())
}

/// The whole name of the file of a certificate, without its ending.
fn file_name(issued: &Issued) -> String {
    place(issued) + issued.fingerprint()
}

/// Whether a text can be the SHA-256 of a certificate.
fn is_fingerprint(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Removes a file, if it is there.
fn remove(path: &Path) -> Result<(), StoreError> {
    disk::remove(path).map_err(StoreError::file(path))
}

/// Why a store was not changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file cannot be read or written.
    #[error("cannot use {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The program that changes databases of NSS is not there.
    #[error(
        "certutil is missing, which changes what browsers trust: install it (Debian: `apt install libnss3-tools`, Fedora: `dnf install nss-tools`)"
    )]
    NoCertutil,
    /// It refuses.
    #[error("certutil cannot change {}: {reason}", database.display())]
    Certutil {
        /// The directory of the database.
        database: PathBuf,
        /// What it said.
        reason: String,
    },
    /// The root is not installed.
    #[error("this machine's authority is not installed: run `{0}` first")]
    NoRoot(&'static str),
    /// What is there is not what was written.
    #[error("{} is damaged ({reason}): remove it, and run `bnsd tls install-ca --user` again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl StoreError {
    fn file(path: &Path) -> impl Fn(io::Error) -> Self + Copy {
        |source| Self::File {
            path: path.to_owned(),
            source,
        }
    }
}
