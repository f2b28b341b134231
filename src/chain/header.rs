//! Block headers as Bitcoin's rules see them: work, target and the root over the transactions.
//!
//! What a header claims is checked here before anybody believes it: the compact target must be well formed and no
//! easier than the network allows, the header's hash must meet it, and the root must be that of the transactions. The
//! rules are those of Bitcoin Core (`arith_uint256::SetCompact`, `CheckProofOfWork`, `ComputeMerkleRoot`). Whether the
//! target is the one that the network asks for at this height is left to the node.
//!
//! This module is pure: bytes and values in, values out.

use bitcoin::block::Header;
use bitcoin::consensus::deserialize;
use bitcoin::hashes::{Hash as _, HashEngine as _};
use bitcoin::{BlockHash, CompactTarget, Target, TxMerkleNode, Txid};

pub use crate::virtualchain::walk::HEADER_LENGTH;

/// The compact target of every regtest block: one hash in two meets it, and it never changes.
pub(crate) const REGTEST_BITS: u32 = 0x207f_ffff;

/// Why a header is not one of the followed network's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Fewer than [`HEADER_LENGTH`] bytes.
    #[error("a block header has 80 bytes, and there are {0}")]
    Short(usize),
    /// The compact target is negative, zero, too large for 256 bits, or easier than the network's limit.
    #[error("the header's target {0:#010x} is not possible on this network")]
    Target(u32),
    /// The hash does not meet the target.
    #[error("the header's hash does not meet its target")]
    Work,
}

/// The header at the start of a serialised block.
pub fn parse(block: &[u8]) -> Result<Header, HeaderError> {
    let bytes = block
        .get(..HEADER_LENGTH)
        .ok_or(HeaderError::Short(block.len()))?;
    deserialize(bytes).map_err(|_| HeaderError::Short(block.len()))
}

/// The hash of a header whose work is real: it meets its own target, which is no easier than `limit`.
pub(crate) fn check_work(header: &Header, limit: Target) -> Result<BlockHash, HeaderError> {
    let bits = header.bits.to_consensus();
    let target = expand_target(bits)
        .filter(|target| *target <= limit)
        .ok_or(HeaderError::Target(bits))?;
    let hash = header.block_hash();
    if target.is_met_by(hash) {
        Ok(hash)
    } else {
        Err(HeaderError::Work)
    }
}

/// The target that compact `bits` stand for; `None` if they are negative, zero or exceed 256 bits.
///
/// The checks are made here, because [`Target::from_compact`] makes only the first.
pub(crate) fn expand_target(bits: u32) -> Option<Target> {
    let (size, mantissa) = (bits >> 24, bits & 0x007f_ffff);
    let negative = bits & 0x0080_0000 != 0;
    let overflows = size > 34 || (mantissa > 0xff && size > 33) || (mantissa > 0xffff && size > 32);
    if negative || overflows {
        return None;
    }
    let target = Target::from_compact(CompactTarget::from_consensus(bits));
    (target != Target::ZERO).then_some(target)
}

/// The root over a block's transaction ids, coinbase first.
///
/// `None` for an empty list and for one that ends in repetitions which leave the root as it was: two blocks
/// would share a root (CVE-2012-2459), so such a block is refused as Bitcoin Core does.
pub fn merkle_root(txids: &[Txid]) -> Option<TxMerkleNode> {
    let mut level: Vec<[u8; 32]> = txids.iter().map(|txid| txid.to_byte_array()).collect();
    while level.len() > 1 {
        let mut pairs = level.chunks_exact(2);
        if pairs.any(|pair| pair.first() == pair.last()) {
            return None;
        }
        level = level.chunks(2).map(hash_pair).collect();
    }
    level.pop().map(TxMerkleNode::from_byte_array)
}

/// The header with the first nonce that meets its target; `None` if no nonce does.
///
/// Meant for easy targets such as [`REGTEST_BITS`], for which two tries are enough on average.
pub(crate) fn find_nonce(mut header: Header) -> Option<Header> {
    let target = expand_target(header.bits.to_consensus())?;
    (0..=u32::MAX).find_map(|nonce| {
        header.nonce = nonce;
        target.is_met_by(header.block_hash()).then_some(header)
    })
}

/// The node above one or two others: an odd one at the end of a level is paired with itself.
pub(super) fn hash_pair(pair: &[[u8; 32]]) -> [u8; 32] {
    let mut engine = TxMerkleNode::engine();
    for node in [pair.first(), pair.last()].into_iter().flatten() {
        engine.input(node);
    }
    TxMerkleNode::from_engine(engine).to_byte_array()
}

#[cfg(test)]
mod tests {
    use bitcoin::constants::genesis_block;
    use bitcoin::{Network, Txid};

    use super::*;

    #[test]
    fn the_genesis_blocks_have_real_work() {
        for network in [Network::Bitcoin, Network::Regtest] {
            let block = genesis_block(network);
            let limit = network.params().max_attainable_target;
            assert_eq!(
                check_work(&block.header, limit),
                Ok(block.block_hash()),
                "{network}"
            );
            let txids: Vec<Txid> = block.txdata.iter().map(|tx| tx.compute_txid()).collect();
            assert_eq!(merkle_root(&txids), Some(block.header.merkle_root));
        }
    }

    #[test]
    fn impossible_targets_are_refused() {
        // From Bitcoin Core's arith_uint256 tests: zero, negative, overflowing.
        for bits in [
            0,
            0x0080_0000,
            0x0092_3456,
            0x2300_0100,
            0x2200_ffff + 0x0100_0000,
            0xff12_3456,
        ] {
            assert_eq!(expand_target(bits), None, "{bits:#x}");
        }
        assert!(expand_target(REGTEST_BITS) == Some(Target::MAX_ATTAINABLE_REGTEST));
    }

    #[test]
    fn an_easier_target_than_the_network_allows_is_refused() {
        let header = genesis_block(Network::Regtest).header;
        let limit = Target::MAX_ATTAINABLE_MAINNET;
        assert_eq!(
            check_work(&header, limit),
            Err(HeaderError::Target(REGTEST_BITS))
        );
    }

    #[test]
    fn a_nonce_is_found_and_a_wrong_one_noticed() {
        let mut header = genesis_block(Network::Regtest).header;
        header.time += 1;
        let mined = find_nonce(header).expect("half of all nonces are good");
        let limit = Target::MAX_ATTAINABLE_REGTEST;
        assert!(check_work(&mined, limit).is_ok());
        let refused = (0..64).find(|nonce| {
            let header = Header {
                nonce: *nonce,
                ..mined
            };
            check_work(&header, limit) == Err(HeaderError::Work)
        });
        assert!(refused.is_some());
    }

    #[test]
    fn the_root_agrees_with_the_bitcoin_crate_and_repetition_is_refused() {
        let txids: Vec<Txid> = (0..9u8).map(|n| Txid::from_byte_array([n; 32])).collect();
        for length in 1..=txids.len() {
            let list = &txids[..length];
            let expected =
                bitcoin::merkle_tree::calculate_root(list.iter().map(|txid| txid.to_raw_hash()));
            assert_eq!(
                merkle_root(list).map(|root| root.to_raw_hash()),
                expected,
                "{length}"
            );
        }
        let repeated = [txids[0], txids[1], txids[2], txids[2]];
        assert_eq!(merkle_root(&repeated), None);
        assert_eq!(merkle_root(&[]), None);
    }

    #[test]
    fn short_bytes_are_no_header() {
        assert_eq!(parse(&[0; 79]), Err(HeaderError::Short(79)));
    }
}
