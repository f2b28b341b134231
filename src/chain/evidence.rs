//! What a log says of a block, from a source that has whole blocks and knows where spent outputs were made.

use std::collections::{BTreeMap, HashMap, HashSet};

use bitcoin::consensus::deserialize;
use bitcoin::{OutPoint, Transaction, Txid};

use super::blockfile::undo::Coin;
use super::log::record::Evidence;
use super::{Block, BlockRef, Result, SourceError};
use crate::virtualchain::scan::{self, Candidate};
use crate::virtualchain::walk::ScanError;

/// The evidence of `block`. `funding` gives the transactions that made outputs; it is asked once, and not for those in
/// `known`.
pub(super) fn of_block(
    block: &Block,
    magic: [u8; 2],
    known: &dyn Fn(&Txid) -> bool,
    funding: impl FnOnce(&[OutPoint]) -> Result<HashMap<Txid, Transaction>>,
) -> Result<Evidence> {
    let unreadable = |error: ScanError| {
        let height = block.at.height;
        SourceError::Fatal(format!(
            "block {height} from the chain source cannot be read: {error}; check the node's files"
        ))
    };
    let candidates = scan::scan(&block.raw, magic).map_err(unreadable)?;
    let mut seen = HashSet::new();
    let spent = candidates.iter().flat_map(Candidate::outpoints);
    let asked = spent.filter(|spent| !known(&spent.txid) && seen.insert(spent.txid));
    let funding = match &asked.collect::<Vec<_>>()[..] {
        [] => HashMap::new(),
        asked => funding(asked)?,
    };
    Evidence::of_block(&block.raw, magic, funding).map_err(unreadable)
}

/// The transactions that made `outpoints`, found in the blocks of the heights that undo data gives. `read` gives the block of
/// the best chain at a height.
pub(super) fn funding(
    spender: BlockRef,
    coins: &HashMap<OutPoint, Coin>,
    outpoints: &[OutPoint],
    mut read: impl FnMut(u32) -> Result<Block>,
) -> Result<HashMap<Txid, Transaction>> {
    let mut heights: BTreeMap<u32, HashSet<Txid>> = BTreeMap::new();
    for outpoint in outpoints {
        let coin = coins.get(outpoint);
        let coin = coin.ok_or_else(|| not_spent(spender, *outpoint))?;
        heights
            .entry(coin.height)
            .or_default()
            .insert(outpoint.txid);
    }
    let mut found = HashMap::new();
    for (height, wanted) in heights {
        let block: bitcoin::Block = deserialize(&read(height)?.raw).map_err(|error| {
            SourceError::Fatal(format!("block {height} cannot be read: {error}"))
        })?;
        let created = block.txdata.into_iter();
        let created = created.map(|transaction| (transaction.compute_txid(), transaction));
        found.extend(created.filter(|(txid, _)| wanted.contains(txid)));
    }
    Ok(found)
}

/// The error for an outpoint that a block does not spend.
pub(super) fn not_spent(spender: BlockRef, outpoint: OutPoint) -> SourceError {
    SourceError::Fatal(format!(
        "block {} does not spend {outpoint}: the index asked for the wrong block",
        spender.hash
    ))
}
