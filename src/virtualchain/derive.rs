//! The one loop that runs a state machine over blocks.
//!
//! ```text
//! blocks --connect_block--> outcome --> sink
//!              ^                         |
//!              +---- state so far -------+
//! ```
//!
//! Blocks come from a chain source, from the operations that a database holds, from a golden file, or from
//! transactions that nobody has sent yet. A [`Sink`] holds the state that the next block is derived from: a database
//! transaction, the memory of a replay, a forecast. What is special about each use (comparing with what was derived
//! before, noting refusals, printing hashes) happens where its sink takes an outcome. Nothing else calls the rules.

use bitcoin::BlockHash;

use super::engine::{BlockOutcome, StateMachine, connect_block};
use super::snapshot::SnapshotView;
use super::transaction::VirtualTransaction;

/// A block reduced to what the rules are shown of it, and what its sink needs to know besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CandidateBlock<T = BlockHeader> {
    /// Its height.
    pub height: u32,
    /// Its transactions that carry the magic bytes, in block order.
    pub candidates: Vec<VirtualTransaction>,
    /// What the rules do not look at.
    pub about: T,
}

impl<T> CandidateBlock<T> {
    /// The same block for a sink that needs to know something else.
    pub fn with<U>(self, about: U) -> CandidateBlock<U> {
        CandidateBlock {
            height: self.height,
            candidates: self.candidates,
            about,
        }
    }
}

/// What a database keeps of a block's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockHeader {
    /// Hash of the header.
    pub hash: BlockHash,
    /// Hash of the block below.
    pub previous: BlockHash,
    /// Header time, seconds since 1970 (set by the miner; for display and lag only).
    pub time: u32,
}

/// Shows the state after the blocks so far, and takes over what the next one changes.
pub trait Sink<T = BlockHeader> {
    /// How the state is read.
    type View: SnapshotView;
    /// The rule that refused an operation.
    type Reject;
    /// What a block changes.
    type Changes;
    /// Why the loop ends early.
    type Error: From<<Self::View as SnapshotView>::Error>;

    /// The state after the last block that was taken.
    fn view(&self) -> &Self::View;

    /// Takes over what `block` changes, or ends the loop.
    fn take(
        &mut self,
        block: CandidateBlock<T>,
        outcome: BlockOutcome<Self::Reject, Self::Changes>,
    ) -> Result<(), Self::Error>;
}

/// Connects `blocks` in order, each to the state that the one before it led to. Ends with the first error: of a block
/// that cannot be had, of the state, or of the sink.
pub fn derive<T, M, S>(
    machine: &M,
    blocks: impl IntoIterator<Item = Result<CandidateBlock<T>, S::Error>>,
    sink: &mut S,
) -> Result<(), S::Error>
where
    S: Sink<T>,
    M: StateMachine<S::View, Reject = S::Reject, Changes = S::Changes>,
{
    for block in blocks {
        let block = block?;
        let outcome = connect_block(machine, block.height, &block.candidates, sink.view())?;
        sink.take(block, outcome)?;
    }
    Ok(())
}
