//! All headers of a directory of block files, in about 110 bytes of memory a block.
//!
//! Block files are written in order of arrival, so a block may stand before the one below it: such a header is an
//! orphan until that one is found. Of all branches that reach the genesis block the one with most work is the best
//! chain, the first found among equals. The embedded chain's tree keeps whole headers, for which a million blocks are
//! too many; this one keeps what following them needs. Headers come in checked; this module is pure.

use bitcoin::block::Header;
use bitcoin::hashes::Hash as _;
use bitcoin::{BlockHash, Work};
use rustc_hash::FxHashMap;

use crate::chain::BlockRef;

/// Where a block stands in the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Number of the file.
    pub file: u32,
    /// Where the block begins in it.
    pub offset: u32,
    /// How long the block is in bytes.
    pub length: u32,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    hash: BlockHash,
    parent: u32,
    height: u32,
    work: Work,
    /// The default one for a genesis block that no file was found to hold.
    position: Position,
}

/// A header whose block below has not been found yet.
#[derive(Debug, Clone, Copy)]
struct Orphan {
    header: Header,
    hash: BlockHash,
    position: Position,
}

/// All headers, and the best chain.
#[derive(Debug)]
pub struct Headers {
    nodes: Vec<Node>,
    /// By the first eight bytes of the hash, which are not those that work makes zero.
    by_hash: FxHashMap<u64, u32>,
    orphans: FxHashMap<BlockHash, Vec<Orphan>>,
    /// The best chain by height.
    best: Vec<u32>,
}

impl Headers {
    /// The headers of a chain of which only the genesis block has been found.
    pub fn new(genesis: &Header) -> Self {
        let mut headers = Self {
            nodes: Vec::new(),
            by_hash: FxHashMap::default(),
            orphans: FxHashMap::default(),
            best: vec![0],
        };
        headers.push(Node {
            hash: genesis.block_hash(),
            parent: 0,
            height: 0,
            work: genesis.work(),
            position: Position::default(),
        });
        headers
    }

    /// Adds a checked header, and the orphans on top of it.
    pub fn insert(&mut self, header: Header, hash: BlockHash, position: Position) {
        let mut ready = vec![Orphan {
            header,
            hash,
            position,
        }];
        while let Some(next) = ready.pop() {
            if self.place(next.hash).is_some_and(|at| self.has_bytes(at)) {
                continue; // written twice, as after a crash
            }
            match self.place(next.header.prev_blockhash) {
                Some(parent) => {
                    self.connect(parent, &next);
                    ready.extend(self.orphans.remove(&next.hash).unwrap_or_default());
                }
                None if next.header.prev_blockhash == BlockHash::all_zeros() => {
                    self.locate_genesis(next.hash, next.position);
                }
                None => {
                    let waiting = self.orphans.entry(next.header.prev_blockhash);
                    waiting.or_default().push(next);
                }
            }
        }
    }

    /// The tip of the best chain.
    pub fn best(&self) -> BlockRef {
        let height = self.best.len().saturating_sub(1) as u32;
        self.at(height).unwrap_or(BlockRef {
            height: 0,
            hash: BlockHash::all_zeros(),
        })
    }

    /// The best chain's block at a height.
    pub fn at(&self, height: u32) -> Option<BlockRef> {
        let node = self.node_at(height)?;
        Some(BlockRef {
            height,
            hash: node.hash,
        })
    }

    /// Where the best chain's block at a height stands.
    pub fn position_at(&self, height: u32) -> Option<Position> {
        let position = self.node_at(height)?.position;
        (position != Position::default()).then_some(position)
    }

    /// Whether the block is known, on any branch.
    pub fn knows(&self, hash: BlockHash) -> bool {
        self.place(hash).is_some()
    }

    /// Whether blocks are known whose chain down to the genesis block is not.
    pub fn has_orphans(&self) -> bool {
        !self.orphans.is_empty()
    }

    fn node_at(&self, height: u32) -> Option<&Node> {
        let at = *self.best.get(height as usize)?;
        self.nodes.get(at as usize)
    }

    fn place(&self, hash: BlockHash) -> Option<u32> {
        let at = *self.by_hash.get(&short(hash))?;
        let node = self.nodes.get(at as usize)?;
        (node.hash == hash).then_some(at)
    }

    fn has_bytes(&self, at: u32) -> bool {
        self.nodes
            .get(at as usize)
            .is_some_and(|node| node.position != Position::default())
    }

    fn locate_genesis(&mut self, hash: BlockHash, position: Position) {
        if let Some(genesis) = self.nodes.first_mut().filter(|node| node.hash == hash) {
            genesis.position = position;
        }
    }

    fn connect(&mut self, parent: u32, new: &Orphan) {
        let Some(below) = self.nodes.get(parent as usize).copied() else {
            return;
        };
        let work = below.work + new.header.work();
        let at = self.push(Node {
            hash: new.hash,
            parent,
            height: below.height.saturating_add(1),
            work,
            position: new.position,
        });
        let best = self.best.last().and_then(|at| self.nodes.get(*at as usize));
        if best.is_none_or(|best| work > best.work) {
            self.follow(at);
        }
    }

    /// Makes the branch that ends in `tip` the best chain.
    fn follow(&mut self, tip: u32) {
        let mut branch = Vec::new();
        let mut at = tip;
        while let Some(node) = self.nodes.get(at as usize) {
            if self.best.get(node.height as usize) == Some(&at) {
                self.best.truncate(node.height as usize + 1);
                break;
            }
            branch.push(at);
            at = node.parent;
        }
        self.best.extend(branch.into_iter().rev());
    }

    fn push(&mut self, node: Node) -> u32 {
        let at = self.nodes.len() as u32;
        self.by_hash.insert(short(node.hash), at);
        self.nodes.push(node);
        at
    }
}

fn short(hash: BlockHash) -> u64 {
    let first = hash.as_byte_array().first_chunk();
    u64::from_le_bytes(*first.expect("a hash has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use bitcoin::Network;
    use bitcoin::constants::genesis_block;

    use super::*;

    fn grow(parent: BlockHash, time: u32) -> Header {
        Header {
            prev_blockhash: parent,
            time,
            ..genesis_block(Network::Regtest).header
        }
    }

    fn position(offset: u32) -> Position {
        Position {
            file: 0,
            offset,
            length: 285,
        }
    }

    #[test]
    fn any_order_of_arrival_gives_the_same_best_chain() {
        let genesis = genesis_block(Network::Regtest).header;
        let root = genesis.block_hash();
        let one = grow(root, 1);
        let two = grow(one.block_hash(), 2);
        let stale = grow(one.block_hash(), 3);
        let three = grow(two.block_hash(), 4);
        let all = [one, two, stale, three];
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 3, 0, 1]] {
            let mut headers = Headers::new(&genesis);
            for at in order {
                let header: Header = all[at];
                headers.insert(header, header.block_hash(), position(at as u32 + 8));
            }
            assert_eq!(headers.best().hash, three.block_hash(), "{order:?}");
            assert_eq!(headers.best().height, 3);
            assert_eq!(
                headers.at(2).map(|at| at.hash),
                Some(two.block_hash()),
                "{order:?}"
            );
            assert!(headers.knows(stale.block_hash()) && !headers.has_orphans());
            assert_eq!(headers.position_at(1), Some(position(8)));
        }
    }

    #[test]
    fn a_longer_branch_is_followed_when_it_has_more_work() {
        let genesis = genesis_block(Network::Regtest).header;
        let mut headers = Headers::new(&genesis);
        let mut add = |header: Header| {
            headers.insert(header, header.block_hash(), position(8));
            headers.best().hash
        };
        let first = grow(genesis.block_hash(), 1);
        let rival = grow(genesis.block_hash(), 2);
        assert_eq!(add(first), first.block_hash());
        assert_eq!(add(rival), first.block_hash(), "the first among equals");
        let winner = grow(rival.block_hash(), 3);
        assert_eq!(add(winner), winner.block_hash());
        assert_eq!(headers.at(1).map(|at| at.hash), Some(rival.block_hash()));
        assert_eq!(headers.at(3), None);
    }
}
