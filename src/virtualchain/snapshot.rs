//! Consensus hashes: one per height, folded from the ops hash and earlier ones (ch §3).

use super::merkle;
use crate::hash::{ConsensusHash, OpsHash, h160};

/// What a block left behind for the heights above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// Hash over the accepted operations.
    pub ops_hash: OpsHash,
    /// Hash over this block and its past.
    pub consensus_hash: ConsensusHash,
}

/// Read access to the consensus hashes of past heights.
pub trait SnapshotView {
    /// Why a read can fail; [`std::convert::Infallible`] in memory.
    type Error;

    /// Consensus hash of an indexed height; `None` below the first and above the last one. The hashes that
    /// precede the first block are not here: they are a constant of the virtualchain.
    fn consensus_hash(&self, height: u32) -> Result<Option<ConsensusHash>, Self::Error>;
}

/// Heights whose consensus hashes go into the one of `height`: `n - (2^i - 1)` down to `first_block`, newest
/// first (ch §3 step 1; the white paper writes n-1, n-2, n-4, …).
pub fn previous_heights(height: u32, first_block: u32) -> impl Iterator<Item = u32> {
    (1..=32u32)
        .map_while(move |i| height.checked_sub(u32::MAX >> (32 - i))) // 2^i - 1
        .take_while(move |previous| *previous >= first_block)
}

/// The consensus hash of a height from its ops hash and the hashes of [`previous_heights`] (ch §3).
pub fn consensus_hash(ops_hash: OpsHash, previous: &[ConsensusHash]) -> ConsensusHash {
    of_root(&merkle::root(leaves(&ops_hash, previous)))
}

/// What is folded into a consensus hash, in the order of the row (ch §3 step 2).
pub(super) fn leaves<'a>(ops_hash: &'a OpsHash, previous: &'a [ConsensusHash]) -> Vec<&'a [u8]> {
    // Sorting bytes is sorting their hex text: a 16-byte hash that is a prefix of the ops hash comes first
    // either way.
    let mut leaves: Vec<&[u8]> = previous.iter().map(ConsensusHash::as_bytes).collect();
    leaves.push(ops_hash.as_bytes());
    leaves.sort_unstable();
    leaves
}

/// The consensus hash that belongs to the root over [`leaves`] (ch §3 step 4).
pub(super) fn of_root(root: &[u8]) -> ConsensusHash {
    let digest = h160(root);
    ConsensusHash(*digest.first_chunk().expect("20 bytes have a front of 16"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_form_the_series_of_the_reference() {
        let heights: Vec<u32> = previous_heights(373_608, 373_601).collect();
        assert_eq!(heights, [373_607, 373_605, 373_601]);
        assert_eq!(previous_heights(373_601, 373_601).count(), 0);
        assert_eq!(previous_heights(3, 0).collect::<Vec<_>>(), [2, 0]);
    }

    #[test]
    fn the_first_blocks_without_operations_have_the_known_hashes() {
        // ch §3
        let empty = merkle::ops_hash(&[] as &[&str]);
        let first = consensus_hash(empty, &[]);
        assert_eq!(first.to_string(), "2a9148d8b13939723d2aca16c75c6d68");
        let second = consensus_hash(empty, &[first]);
        assert_eq!(second.to_string(), "1c54465d3486f07be2c7a81af0ef44ad");
        let third = consensus_hash(empty, &[second]);
        assert_eq!(third.to_string(), "0efa29f955c6ae3bb5037039d89dba5e");
    }
}
