//! Why the store cannot open, read or write. Every message says what the reader can do next.

use std::io;
use std::path::PathBuf;

use bitcoin::BlockHash;

use super::identity::ChainIdentity;

/// Why a data directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory or a file in it cannot be created or read.
    #[error("cannot use {path}: {source}; {advice}", path = .path.display(), advice = advice(source))]
    Io {
        /// What was touched.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another instance holds the directory.
    #[error("{directory} is in use by another bnsd{holder}; stop that one, or give this one another data directory", directory = .directory.display(), holder = in_process(*.holder))]
    InUse {
        /// The data directory.
        directory: PathBuf,
        /// Process id of the other instance, if its lock file tells.
        holder: Option<u32>,
    },
    /// A later release wrote the database.
    #[error("{path} has format {found}, and this bnsd knows formats up to {known}: install a newer bnsd, or choose another data directory", path = .path.display())]
    NewerFormat {
        /// The database file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that this program knows.
        known: u32,
    },
    /// The database belongs to another virtualchain.
    #[error("{path} holds {found}, but the configuration asks for {wanted}: choose another data directory, or correct the configuration", path = .path.display())]
    WrongChain {
        /// The database file.
        path: PathBuf,
        /// The chain in the database.
        found: ChainIdentity,
        /// The chain that was asked for.
        wanted: ChainIdentity,
    },
    /// The file is no database of ours, or is broken.
    #[error("{path} is damaged or not a database of bnsd ({detail}): `bnsd chain verify --repair` derives it anew", path = .path.display())]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
}

/// What reading and writing return.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why a read or a write failed. After a failed write the database is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database file cannot be read or written.
    #[error("the database failed ({0}); check the disk and its free space, nothing is lost")]
    Database(#[source] Box<redb::Error>),
    /// What is in the file is not what was written, or cannot be read.
    #[error(
        "the database is damaged ({0}): stop bnsd and run `bnsd chain verify --repair`, which derives it anew"
    )]
    Damaged(String),
    /// A row is not what was written.
    #[error(
        "the row {key:?} of table {table} is damaged: stop bnsd and run `bnsd chain verify --repair`, which derives the database anew"
    )]
    Corrupt {
        /// Name of the table.
        table: &'static str,
        /// The key, printable.
        key: String,
    },
    /// The block is not the next one.
    #[error("block {found} cannot be connected, the next one is {expected}")]
    NotNext {
        /// The height that follows the tip.
        expected: u32,
        /// The height that was offered.
        found: u32,
    },
    /// The block stands on another one than the tip.
    #[error("block {height} stands on {previous}, but the tip is {tip}: disconnect first")]
    OtherBranch {
        /// The height that was offered.
        height: u32,
        /// The block below it.
        previous: BlockHash,
        /// The block at the tip.
        tip: BlockHash,
    },
    /// The changes were computed from a state that is not the stored one.
    #[error(
        "the changes of block {height} do not start from the stored row {key:?} of table {table}: process the block again"
    )]
    StaleChanges {
        /// The height that was offered.
        height: u32,
        /// Name of the table.
        table: &'static str,
        /// The key, printable.
        key: String,
    },
    /// A decision about a transaction that is not among the candidates, or not in block order.
    #[error(
        "block {height} decides about transaction {vtxindex}, which is not the next of its candidates"
    )]
    StrayDecision {
        /// The height that was offered.
        height: u32,
        /// Position of the transaction.
        vtxindex: u32,
    },
    /// No block is connected.
    #[error("there is no block to disconnect")]
    NothingToUndo,
    /// The tip is too deep to be undone.
    #[error(
        "block {height} can no longer be disconnected, undo data is kept for {depth} blocks: stop bnsd and run `bnsd chain rewind`, which derives the state again"
    )]
    UndoGone {
        /// Height of the tip.
        height: u32,
        /// For how many blocks undo data is kept.
        depth: u32,
    },
    /// A block failed half-way in this transaction, so nothing of it can be kept.
    #[error("the transaction was given up after an earlier error; nothing of it was kept")]
    Abandoned,
}

impl StoreError {
    /// Whether the same may succeed later: the disk may have space again, and the tip may be another one since
    /// [`Store::recover`](super::Store::recover).
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Database(_) | Self::NotNext { .. } | Self::OtherBranch { .. }
        )
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "the disk is full: free some space and start again, nothing is lost"
        }
        _ => "check its permissions or choose another data directory",
    }
}

fn in_process(holder: Option<u32>) -> String {
    holder.map_or(String::new(), |pid| format!(" (process {pid})"))
}

macro_rules! from_redb {
    ($($error:ident),*) => {
        $(impl From<redb::$error> for StoreError {
            fn from(error: redb::$error) -> Self {
                Self::Database(Box::new(error.into()))
            }
        })*
    };
}

from_redb!(StorageError, TableError, TransactionError, CommitError);
