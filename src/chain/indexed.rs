//! Candidates of indexed blocks, for sources whose blocks come without what they spend.
//!
//! More than half of what candidates spend was made by earlier candidates, which the index has. This room may not use the
//! database: [`crate::indexer::IndexedCandidates`] is the implementation over it.

use bitcoin::{Transaction, Txid};

use super::Result;
use crate::hash::ConsensusHash;

/// The candidates of the blocks that the index holds.
pub trait Indexed: Send {
    /// The candidate at a place of the indexed chain: height and position in the block.
    fn candidate(&self, height: u32, vtxindex: u32) -> Result<Option<Transaction>>;

    /// Where the candidate with this id is: height and position in the block.
    fn place_of(&self, txid: &Txid) -> Result<Option<(u32, u32)>>;

    /// The consensus hash of an indexed block; `None` above the tip.
    fn consensus_hash(&self, height: u32) -> Result<Option<ConsensusHash>>;
}
