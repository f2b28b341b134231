//! Why the embedded chain cannot be opened, and why a block was not mined.

use std::io;
use std::path::{Path, PathBuf};

use bitcoin::BlockHash;

use super::coins::Refused;

/// Why a chain cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("another process uses the chain in {0}: stop it, or choose another directory")]
    Locked(PathBuf),
    /// A file cannot be read or written.
    #[error("{path}: {error}; {advice}", advice = advice(error))]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Sound blocks follow bytes that are no block.
    #[error(
        "{path} is damaged at byte {offset}, before its end: restore the file, or start a new chain by removing the chain's directory, and with it every name and coin of this one"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the damage begins.
        offset: u64,
    },
    /// The blocks do not build on each other.
    #[error(
        "the blocks in {directory} do not form a chain ({reason}): restore them, or start a new chain by removing the directory, and with it every name and coin of this one"
    )]
    Replay {
        /// The chain's directory.
        directory: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl OpenError {
    pub(super) fn io(path: &Path, error: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            error,
        }
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "the disk is full: free some space and start again, nothing is lost"
        }
        _ => "check its permissions",
    }
}

/// Why a block was not mined.
#[derive(Debug, thiserror::Error)]
pub enum MineError {
    /// A transaction breaks a rule; nothing has changed.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The transactions do not fit into one block; nothing has changed.
    #[error("the transactions do not fit into one block: mine them in several")]
    TooLarge,
    /// All coins that will ever be are given away.
    #[error(
        "this chain has no more coins to give: use another data directory, in which a new one begins"
    )]
    NoCoins,
    /// No such block, or one that was rewound; nothing has changed.
    #[error("block {0} is unknown or was rewound")]
    UnknownBlock(BlockHash),
    /// A file cannot be read or written. Open the chain again before going on.
    #[error("the chain's files cannot be used: {0}")]
    Files(#[from] io::Error),
}
