//! The tree of headers that the embedded chain has seen: which branch has most work, and where two branches part.
//!
//! A chain of blocks is a path in this tree. Branches are compared by their total work, never by their
//! length (Bitcoin Core, `CBlockIndexWorkComparator`). Callers check headers with [`header::check_work`](crate::chain::header::check_work) before
//! they insert them. This module is pure, and nothing leaves the tree.

use std::collections::HashMap;

use bitcoin::block::Header;
use bitcoin::{BlockHash, Work};

use crate::chain::BlockRef;

/// How many blocks the median time is taken over (Bitcoin Core, `nMedianTimeSpan`).
const MEDIAN_TIME_SPAN: usize = 11;

/// A header in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The header.
    pub header: Header,
    /// Height and hash.
    pub at: BlockRef,
    /// Total work from the genesis block to here, this block included.
    pub work: Work,
}

/// All headers of a chain, side branches included.
#[derive(Debug, Clone)]
pub struct Tree {
    entries: HashMap<BlockHash, Entry>,
}

impl Tree {
    /// A tree that holds only the genesis block.
    pub fn new(genesis: Header) -> Self {
        let hash = genesis.block_hash();
        let entry = Entry {
            header: genesis,
            at: BlockRef { height: 0, hash },
            work: genesis.work(),
        };
        Self {
            entries: HashMap::from([(hash, entry)]),
        }
    }

    /// The header with this hash.
    pub fn get(&self, hash: BlockHash) -> Option<&Entry> {
        self.entries.get(&hash)
    }

    /// Puts a checked header on top of the one that it names, `None` if that is unknown; a known one stays as it is.
    pub fn insert(&mut self, header: Header) -> Option<Entry> {
        let parent = self.get(header.prev_blockhash)?;
        let hash = header.block_hash();
        let entry = Entry {
            header,
            at: BlockRef {
                height: parent.at.height.saturating_add(1),
                hash,
            },
            work: parent.work + header.work(),
        };
        Some(*self.entries.entry(hash).or_insert(entry))
    }

    /// The highest block that both branches share; `None` if one of the hashes is unknown.
    pub fn fork_point(&self, one: BlockHash, other: BlockHash) -> Option<BlockRef> {
        let (mut one, mut other) = (self.get(one)?, self.get(other)?);
        while one.at.hash != other.at.hash {
            if one.at.height >= other.at.height {
                one = self.parent(one)?;
            } else {
                other = self.parent(other)?;
            }
        }
        Some(one.at)
    }

    /// The blocks above `base` up to `top`, lowest first; empty if `base` is not below `top`.
    pub fn path(&self, base: BlockHash, top: BlockHash) -> Vec<BlockHash> {
        let mut path = Vec::new();
        let mut hash = top;
        while hash != base {
            let Some(parent) = self.get(hash).and_then(|entry| self.parent(entry)) else {
                return Vec::new();
            };
            path.push(hash);
            hash = parent.at.hash;
        }
        path.reverse();
        path
    }

    /// The median of the times of `hash` and the ten blocks below it, in seconds since 1970; the next block
    /// must be later (BIP 113).
    pub fn median_time_past(&self, hash: BlockHash) -> Option<u32> {
        let newest = self.get(hash);
        let mut times: Vec<u32> = std::iter::successors(newest, |entry| self.parent(entry))
            .take(MEDIAN_TIME_SPAN)
            .map(|entry| entry.header.time)
            .collect();
        times.sort_unstable();
        times.get(times.len() / 2).copied()
    }

    fn parent(&self, entry: &Entry) -> Option<&Entry> {
        self.get(entry.header.prev_blockhash)
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::Network;
    use bitcoin::constants::genesis_block;

    use super::*;

    fn grow(tree: &mut Tree, parent: BlockHash, time: u32) -> BlockHash {
        let genesis = genesis_block(Network::Regtest).header;
        let header = Header {
            prev_blockhash: parent,
            time,
            ..genesis
        };
        tree.insert(header).expect("the parent is known").at.hash
    }

    #[test]
    fn the_fork_point_is_the_highest_block_of_both_branches() {
        let genesis = genesis_block(Network::Regtest).header;
        let mut tree = Tree::new(genesis);
        let root = genesis.block_hash();
        let trunk = grow(&mut tree, root, 1);
        let left = grow(&mut tree, trunk, 2);
        let right = grow(&mut tree, trunk, 3);
        let higher = grow(&mut tree, right, 4);
        let fork = tree.fork_point(left, higher).expect("both are known");
        assert_eq!((fork.height, fork.hash), (1, trunk));
        assert_eq!(tree.path(trunk, higher), [right, higher]);
        assert_eq!(tree.path(left, higher), []);
        let work = |hash| tree.get(hash).expect("known").work;
        assert!(work(higher) > work(left) && work(left) == work(right));
    }

    #[test]
    fn the_median_time_is_that_of_eleven_blocks() {
        let genesis = genesis_block(Network::Regtest).header;
        let mut tree = Tree::new(genesis);
        let mut tip = genesis.block_hash();
        assert_eq!(tree.median_time_past(tip), Some(genesis.time));
        for offset in 1..=20 {
            tip = grow(&mut tree, tip, genesis.time + offset);
        }
        assert_eq!(tree.median_time_past(tip), Some(genesis.time + 15));
    }
}
