//! Checks that a block is what its hash promises, before anything is derived from it.
//!
//! A node or a file can hand out anything. A block that is taken has real work, is the one that was asked for, and holds
//! exactly the transactions that its header commits to. Whether it is on the best chain is not decided here. This
//! module is pure.

use bitcoin::block::Header;
use bitcoin::{BlockHash, Network, Target};

use super::header::{self, HeaderError};
use super::{Block, BlockRef};
use crate::virtualchain::walk::txids;

/// Why bytes are not the block that they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The bytes hold no header, or one without real work.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// Another block than the one that was asked for.
    #[error("it is the block {0}")]
    Other(BlockHash),
    /// The transactions cannot be read.
    #[error("its transactions cannot be read")]
    Transactions,
    /// The header commits to other transactions.
    #[error("its transactions are not those that its header commits to")]
    Root,
}

/// The easiest target that a block of this network may have.
pub fn easiest_target(network: Network) -> Target {
    network.params().max_attainable_target
}

/// The block at `at`, if that is what these bytes are.
pub fn block(at: BlockRef, raw: Vec<u8>, limit: Target) -> Result<Block, BlockError> {
    let header = check(&raw, at.hash, limit)?;
    Ok(Block {
        at,
        previous: header.prev_blockhash,
        time: header.time,
        raw,
    })
}

/// The header of a block whose work and transactions were checked; `wanted` is the hash that it must have.
pub fn check(block: &[u8], wanted: BlockHash, limit: Target) -> Result<Header, BlockError> {
    let header = header::parse(block)?;
    let hash = header::check_work(&header, limit)?;
    if hash != wanted {
        return Err(BlockError::Other(hash));
    }
    let txids = txids(block).map_err(|_| BlockError::Transactions)?;
    match header::merkle_root(&txids) {
        Some(root) if root == header.merkle_root => Ok(header),
        _ => Err(BlockError::Root),
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::consensus::serialize;
    use bitcoin::constants::genesis_block;
    use bitcoin::hashes::Hash as _;

    use super::*;

    #[test]
    fn a_changed_block_is_noticed() {
        let network = Network::Regtest;
        let limit = easiest_target(network);
        let genesis = genesis_block(network);
        let hash = genesis.block_hash();
        let bytes = serialize(&genesis);
        assert_eq!(check(&bytes, hash, limit), Ok(genesis.header));
        let other = BlockHash::all_zeros();
        assert_eq!(check(&bytes, other, limit), Err(BlockError::Other(hash)));
        let mut changed = bytes.clone();
        changed[100] ^= 1; // in the coinbase
        assert!(check(&changed, hash, limit).is_err());
        let cut = &bytes[..bytes.len() - 1];
        assert_eq!(check(cut, hash, limit), Err(BlockError::Transactions));
        let strict = easiest_target(Network::Bitcoin);
        assert!(matches!(
            check(&bytes, hash, strict),
            Err(BlockError::Header(_))
        ));
    }
}
