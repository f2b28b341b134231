//! Why a log is not written.

use std::io;
use std::path::{Path, PathBuf};

use crate::chain::SourceError;
use crate::store::StoreError;

/// Why a log is not written, or not further.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The source does not give what is needed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The database does not.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The daemon does not.
    #[error("{0}")]
    Daemon(String),
    /// A file cannot be read or written.
    #[error("cannot write {}: {error}; what is there stays, the next run goes on", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The directory is not for this log.
    #[error("{} {reason}: name an empty directory, or one with a log of this chain", directory.display())]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no block to tell of.
    #[error("no block is indexed yet: wait until `bnsd status` shows one")]
    Empty,
    /// The index moved on to another branch meanwhile.
    #[error("the chain was reorganised while the log was written: run it again")]
    Moved,
    /// No reader would take the segment that has this block.
    #[error(
        "with block {0} a segment of the log would have more bytes than any reader takes: the log ends below it, and who follows it goes on with `chain.peers`"
    )]
    Large(u32),
    /// What was supplied is not true.
    #[error(
        "block {height}: what the log would say of it is wrong ({fault}): nothing of it is written; check the node"
    )]
    Untrue {
        /// The block.
        height: u32,
        /// What is wrong.
        fault: String,
    },
}

/// The error for a file that cannot be read or written.
pub(super) fn failed(path: &Path) -> impl Fn(io::Error) -> ExportError {
    move |error| ExportError::File {
        path: path.to_owned(),
        error,
    }
}
