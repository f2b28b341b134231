//! The candidates of a block with the outputs that they spend: what rules are shown.

use super::{Block, ChainSource, SourceError};
use crate::virtualchain::VirtualTransaction;
use crate::virtualchain::scan::{self, Candidate};

/// Scans a block for `magic` and asks its source for what the candidates spend.
pub fn candidates<S: ChainSource + ?Sized>(
    source: &mut S,
    block: &Block,
    magic: [u8; 2],
) -> Result<Vec<VirtualTransaction>, SourceError> {
    let candidates = scan::scan(&block.raw, magic).map_err(|error| {
        let height = block.at.height;
        let problem = format!("block {height} from the chain source cannot be read: {error}");
        SourceError::Fatal(format!("{problem}; check the node's files"))
    })?;
    let outpoints: Vec<_> = candidates.iter().flat_map(Candidate::outpoints).collect();
    if outpoints.is_empty() {
        let without = |candidate: Candidate| candidate.with_prevouts(Vec::new());
        return Ok(candidates.into_iter().map(without).collect());
    }
    let prevouts = source.prevouts(block, &outpoints)?;
    if prevouts.len() != outpoints.len() {
        let height = block.at.height;
        let problem = format!("the chain source lacks spent outputs of block {height}");
        return Err(SourceError::Fatal(problem));
    }
    let mut prevouts = prevouts.into_iter();
    let joined = candidates.into_iter().map(|candidate| {
        let count = candidate.outpoints().count();
        candidate.with_prevouts(prevouts.by_ref().take(count).collect())
    });
    Ok(joined.collect())
}
