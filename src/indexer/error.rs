//! Why the index cannot go on. Every message says what the reader can do next.

use crate::chain::SourceError;
use crate::store::StoreError;

use super::rewind::RewindError;

/// Why the index cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The source cannot answer; see [`SourceError`] on whether it may later.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The database cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What a source had left out cannot be closed.
    #[error("the index cannot be derived again: {0}")]
    Rewind(#[from] RewindError),
    /// The source's best chain parted from the index's below what can be undone.
    #[error(
        "the chain that the source follows parted from the index at block {fork}, {depth} blocks below its tip, and only {undo_depth} can be undone automatically: if the source is right, stop bnsd and run `bnsd chain rewind {fork}`"
    )]
    DeepFork {
        /// Highest block that both share.
        fork: u32,
        /// How many blocks of the index are above it.
        depth: u32,
        /// How many could be undone.
        undo_depth: u32,
    },
    /// The source's best chain shares no block with the index, which has more than can be undone.
    #[error(
        "the chain that the source follows parted from the index before its first block, {0}: if the source is right, move the database away and start again, else correct `chain.source`"
    )]
    OtherChain(u32),
}

impl IndexError {
    /// Whether nobody may rely on the index until a person, or another source, decides.
    pub(super) fn is_fork(&self) -> bool {
        matches!(
            self,
            Self::DeepFork { .. } | Self::OtherChain(_) | Self::Source(SourceError::Pinned { .. })
        )
    }

    /// Whether trying again later may help.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Source(error) => !matches!(error, SourceError::Fatal(_)),
            Self::Store(error) => error.may_pass(),
            Self::Rewind(RewindError::Store(error)) => error.may_pass(),
            Self::Rewind(error) => matches!(error, RewindError::Stopped),
            Self::DeepFork { .. } | Self::OtherChain(_) => true,
        }
    }
}
