//! A block that was found to be what its hash promises, before anything believes it.
//!
//! A node or a file can hand out anything. What is taken from it has real work, is the block that was asked
//! for, and holds exactly the transactions that its header commits to. Whether the block stands on the best
//! chain is not decided here. This module is pure.

use bitcoin::block::Header;
use bitcoin::hashes::{Hash as _, HashEngine as _};
use bitcoin::{BlockHash, Network, Target, Txid};

use super::header::{self, HeaderError};
use super::{Block, BlockRef};

/// Why bytes are not the block that they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The header is none, or its work is not real.
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
    check_root(block, &header)?;
    Ok(header)
}

fn check_root(block: &[u8], header: &Header) -> Result<(), BlockError> {
    let mut walk = Walk(block.get(header::HEADER_LENGTH..).unwrap_or_default());
    let txids = walk.txids().ok_or(BlockError::Transactions)?;
    match header::merkle_root(&txids) {
        Some(root) if root == header.merkle_root => Ok(()),
        _ => Err(BlockError::Root),
    }
}

/// Walks over serialised transactions (BIP 144) and hashes them where they stand. Decoding them would take
/// longer than everything else that happens to a block.
struct Walk<'a>(&'a [u8]);

impl<'a> Walk<'a> {
    /// The ids of the transactions that follow, with nothing behind them.
    fn txids(&mut self) -> Option<Vec<Txid>> {
        let count = self.number()?;
        let mut txids = Vec::new(); // the count is not trusted; each transaction takes input
        for _ in 0..count {
            txids.push(self.txid()?);
        }
        self.0.is_empty().then_some(txids)
    }

    /// The hash of a transaction without marker, flag and witnesses.
    fn txid(&mut self) -> Option<Txid> {
        let version = self.take(4)?;
        let has_witnesses = self.0.starts_with(&[0, 1]);
        if has_witnesses {
            self.take(2)?;
        }
        let body = self.0;
        let inputs = self.number()?;
        for _ in 0..inputs {
            self.take(36)?;
            self.bytes()?;
            self.take(4)?;
        }
        for _ in 0..self.number()? {
            self.take(8)?;
            self.bytes()?;
        }
        let body = body.get(..body.len() - self.0.len())?;
        if has_witnesses {
            for _ in 0..inputs {
                for _ in 0..self.number()? {
                    self.bytes()?;
                }
            }
        }
        let lock_time = self.take(4)?;
        let mut engine = Txid::engine();
        for part in [version, body, lock_time] {
            engine.input(part);
        }
        Some(Txid::from_engine(engine))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }

    /// A CompactSize.
    fn number(&mut self) -> Option<u64> {
        let width = match self.take(1)? {
            [0xfd] => 2,
            [0xfe] => 4,
            [0xff] => 8,
            [value] => return Some(u64::from(*value)),
            _ => return None,
        };
        let bytes = self.take(width)?.iter().rev();
        Some(bytes.fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::consensus::serialize;
    use bitcoin::constants::genesis_block;

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

    #[test]
    fn ids_are_those_of_the_bitcoin_crate() {
        let mut transaction = genesis_block(Network::Bitcoin).txdata.remove(0);
        let plain = transaction.clone();
        transaction.input[0].witness = bitcoin::Witness::from_slice(&[vec![1; 300], Vec::new()]);
        transaction.output.resize(300, plain.output[0].clone());
        let block = [vec![2], serialize(&plain), serialize(&transaction)].concat();
        let expected = [plain.compute_txid(), transaction.compute_txid()];
        assert_eq!(Walk(&block).txids(), Some(expected.to_vec()));
        for length in 0..block.len() {
            assert_eq!(Walk(&block[..length]).txids(), None, "{length} bytes");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = Walk(&bytes).txids();
        }
    }
}
