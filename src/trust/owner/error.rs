//! Why a name's owner gets no keys and certificates.

use std::io;
use std::path::{Path, PathBuf};

use crate::bns::Name;
use crate::disk::rights::Exposed;

/// Why there are no keys and certificates.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// A file cannot be read or written.
    #[error("cannot use {path}: {source}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The authority's key is no secret.
    #[error("cannot use {path}: {exposed}", path = .0.display(), exposed = .1)]
    Exposed(PathBuf, Exposed),
    /// A file holds something else.
    #[error("{path} holds no {what}", path = .path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What it should hold, and how to get that.
        what: &'static str,
    },
    /// The directory is that of another name.
    #[error("{directory} has the keys of {found}: name another directory for {wanted}", directory = .directory.display())]
    OtherName {
        /// Which.
        directory: PathBuf,
        /// Whose keys are in it.
        found: String,
        /// Whose keys were asked for.
        wanted: Name,
    },
    /// A certificate is not of the key beside it.
    #[error("{path} is not of the key in {key}: {advice}", path = .path.display())]
    Mismatch {
        /// The certificate.
        path: PathBuf,
        /// The file with the key.
        key: &'static str,
        /// What to do.
        advice: String,
    },
    /// Certificates without the key that signed them.
    #[error("{directory} has {found}, but no authority.key: put that key back, or name another directory", directory = .directory.display())]
    WithoutKey {
        /// Which.
        directory: PathBuf,
        /// What is there.
        found: &'static str,
    },
    /// There is nothing to renew.
    #[error("{directory} has no {missing}: make it with `bnsd tls init NAME --dir {directory}`", directory = .directory.display())]
    Missing {
        /// Which.
        directory: PathBuf,
        /// What is not there.
        missing: &'static str,
    },
    /// Servers could not read the path of the directory in their configuration.
    #[error(
        "{0:?} cannot stand in the configuration of a server: name a directory of letters, digits, spaces and / . _ - + @ , ="
    )]
    Path(PathBuf),
    /// The clock was never set.
    #[error(
        "this machine's clock is before 2025: set it, because a certificate is valid from now on"
    )]
    Clock,
    /// A certificate cannot be signed.
    #[error("cannot sign a certificate: {0}")]
    Unsigned(#[from] rcgen::Error),
}

impl OwnerError {
    /// Whether what was asked for is refused, in contrast to a file that cannot be used.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::OtherName { .. }
                | Self::Mismatch { .. }
                | Self::WithoutKey { .. }
                | Self::Missing { .. }
                | Self::Path(_)
                | Self::Clock
        )
    }
}

/// What the system says about a file.
pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> OwnerError {
    let path = path.to_owned();
    move |source| OwnerError::File {
        path: path.clone(),
        source,
    }
}
