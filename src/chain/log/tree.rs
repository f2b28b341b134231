//! Which transactions of a block are shown, and that its header commits to them: a partial Merkle tree (BIP 37).
//!
//! The form is canonical: a block and a set of positions have one tree, and a tree has one encoding. Nodes above a shown
//! transaction are left out, because they follow from those below.

use std::slice::Iter;

use bitcoin::hashes::Hash as _;
use bitcoin::{TxMerkleNode, Txid};
use rustc_hash::FxHashMap;

use super::input::{Flaw, Input, Malformed, write_compact};
use crate::chain::header::hash_pair;

/// No block has more transactions: its weight over that of the smallest one (Bitcoin Core, `CPartialMerkleTree`).
const TRANSACTIONS_MAX: u32 = 4_000_000 / (4 * 60);

/// A hash in the tree, in internal order.
type Hash = [u8; 32];

/// Why a tree is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TreeFault {
    /// A block of no transactions, or of more than fit into one.
    #[error("no block has {0} transactions")]
    Total(u32),
    /// Too few or too many hashes.
    #[error("the tree of transactions has hashes too few or too many")]
    Hashes,
    /// The flags are not those that BIP 37 makes for any choice of transactions.
    #[error("the flags of the tree of transactions show none that could be shown so")]
    Flags,
    /// The coinbase is not shown.
    #[error("the tree of transactions does not show the coinbase")]
    NoCoinbase,
    /// Two equal nodes side by side: two lists of transactions would share a root (CVE-2012-2459).
    #[error("two branches of the tree of transactions are equal")]
    Twins,
}

/// A partial Merkle tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    total: u32,
    /// The positions of the transactions that are shown, in order.
    shown: Vec<u32>,
    /// The hashes of the nodes that do not follow from others, depth first.
    hashes: Vec<Hash>,
}

/// A node that is gone over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Node {
    /// Distance from the transactions.
    level: u32,
    /// Place among the nodes of its level.
    position: u32,
}

impl Tree {
    /// The tree of a block with these transactions that shows those at `shown`, which are in order; `None` where there
    /// is no such block.
    pub fn of(txids: &[Txid], shown: Vec<u32>) -> Option<Self> {
        let total = u32::try_from(txids.len()).ok();
        let total = total.filter(|total| (1..=TRANSACTIONS_MAX).contains(total))?;
        let mut levels: Vec<Vec<Hash>> = vec![txids.iter().map(|id| id.to_byte_array()).collect()];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            levels.push(below.chunks(2).map(hash_pair).collect());
        }
        let hash = |node: Node| {
            let level = levels.get(node.level as usize)?;
            level.get(node.position as usize).copied()
        };
        Self::filled(total, shown, hash)
    }

    /// The tree that shows what either shows of the same block; both were found to have its root.
    pub fn union(&self, other: &Self) -> Option<Self> {
        let given: FxHashMap<Node, Hash> = [self, other]
            .into_iter()
            .flat_map(|tree| tree.given().zip(tree.hashes.iter().copied()))
            .collect();
        let mut shown = [&self.shown[..], &other.shown].concat();
        shown.sort_unstable();
        shown.dedup();
        Self::filled(self.total, shown, |node| given.get(&node).copied())
    }

    /// The positions of the transactions that are shown.
    pub fn positions(&self) -> &[u32] {
        &self.shown
    }

    /// The root, and the ids of the transactions that are shown, in order.
    pub(super) fn root(&self) -> Result<(TxMerkleNode, Vec<Txid>), TreeFault> {
        let mut txids = Vec::with_capacity(self.shown.len());
        let root = self.fold(self.top(), &mut self.hashes.iter(), &mut txids)?;
        Ok((TxMerkleNode::from_byte_array(root), txids))
    }

    /// Reads a tree that takes all of `bytes`, as it stands behind the header in the reply of a node to `gettxoutproof`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut input = Input::new(bytes, 0);
        let tree = Self::read(&mut input)?;
        match input.rest() {
            [] => Ok(tree),
            _ => Err(input.malformed(Flaw::Rest)),
        }
    }

    pub(super) fn read(input: &mut Input<'_>) -> Result<Self, Malformed> {
        let start = input.clone();
        let total = input.u32()?;
        if !(1..=TRANSACTIONS_MAX).contains(&total) {
            return Err(start.malformed(Flaw::Tree(TreeFault::Total(total))));
        }
        let hashes = input.compact_u32()? as usize;
        let hashes = input.take(hashes.saturating_mul(size_of::<Hash>()))?;
        let flags = input.compact_u32()? as usize;
        let flags = input.take(flags)?;
        let tree = Self::from_flags(total, hashes.as_chunks().0, flags);
        tree.map_err(|fault| start.malformed(Flaw::Tree(fault)))
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.total.to_le_bytes());
        write_compact(self.hashes.len() as u64, out);
        out.extend(self.hashes.as_flattened());
        let flags = self.flags();
        write_compact(flags.len() as u64, out);
        out.extend(flags);
    }

    /// The tree with the hashes that `hash` gives.
    fn filled(total: u32, shown: Vec<u32>, hash: impl Fn(Node) -> Option<Hash>) -> Option<Self> {
        let mut tree = Self {
            total,
            shown,
            hashes: Vec::new(),
        };
        tree.hashes = tree.given().map(hash).collect::<Option<_>>()?;
        Some(tree)
    }

    /// The tree that the flags describe, if they are those that [`Tree::write`] makes for it.
    fn from_flags(total: u32, hashes: &[Hash], flags: &[u8]) -> Result<Self, TreeFault> {
        let mut tree = Self {
            total,
            shown: Vec::new(),
            hashes: hashes.to_vec(),
        };
        let mut bits = flags
            .iter()
            .flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1));
        let mut open = vec![tree.top()];
        while let Some(node) = open.pop() {
            match (bits.next().ok_or(TreeFault::Flags)?, node.level) {
                (true, 0) => tree.shown.push(node.position),
                (true, _) => open.extend(tree.below(node).into_iter().rev().flatten()),
                (false, _) => {}
            }
        }
        match () {
            () if tree.shown.first() != Some(&0) => Err(TreeFault::NoCoinbase),
            () if tree.flags() != flags => Err(TreeFault::Flags),
            () if tree.given().count() != hashes.len() => Err(TreeFault::Hashes),
            () => Ok(tree),
        }
    }

    /// One bit for each node that is gone over: whether it leads to a transaction that is shown.
    fn flags(&self) -> Vec<u8> {
        let bits: Vec<bool> = self.nodes().map(|node| self.leads_to_shown(node)).collect();
        let byte = |bits: &[bool]| (0..).zip(bits).map(|(at, bit)| u8::from(*bit) << at).sum();
        bits.chunks(8).map(byte).collect()
    }

    /// The nodes whose hashes are given.
    fn given(&self) -> impl Iterator<Item = Node> {
        self.nodes().filter(|node| !self.is_inner(*node))
    }

    /// The nodes that are gone over, depth first: the top one, and those below each that leads to a shown transaction.
    fn nodes(&self) -> impl Iterator<Item = Node> {
        let mut open = vec![self.top()];
        std::iter::from_fn(move || {
            let node = open.pop()?;
            if self.is_inner(node) {
                open.extend(self.below(node).into_iter().rev().flatten());
            }
            Some(node)
        })
    }

    /// The hash of a node. Adds the ids below it that are shown, in order.
    fn fold(
        &self,
        node: Node,
        given: &mut Iter<'_, Hash>,
        txids: &mut Vec<Txid>,
    ) -> Result<Hash, TreeFault> {
        if !self.is_inner(node) {
            let hash = *given.next().ok_or(TreeFault::Hashes)?;
            if self.leads_to_shown(node) {
                txids.push(Txid::from_byte_array(hash));
            }
            return Ok(hash);
        }
        let [left, right] = self.below(node);
        let left = left.map(|left| self.fold(left, given, txids)).transpose()?;
        let right = right
            .map(|right| self.fold(right, given, txids))
            .transpose()?;
        if left == right {
            return Err(TreeFault::Twins);
        }
        let pair: Vec<Hash> = left.into_iter().chain(right).collect();
        Ok(hash_pair(&pair))
    }

    fn top(&self) -> Node {
        Node {
            level: self.total.next_power_of_two().trailing_zeros(),
            position: 0,
        }
    }

    /// Both nodes below one; the second is missing at the end of an odd level.
    fn below(&self, node: Node) -> [Option<Node>; 2] {
        let level = node.level.saturating_sub(1);
        let width = self.total.div_ceil(1 << level);
        let at = |position| Some(Node { level, position }).filter(|node| node.position < width);
        [at(node.position * 2), at(node.position * 2 + 1)]
    }

    fn is_inner(&self, node: Node) -> bool {
        node.level > 0 && self.leads_to_shown(node)
    }

    fn leads_to_shown(&self, node: Node) -> bool {
        let first = node.position << node.level;
        let end = (node.position + 1) << node.level;
        let at = self.shown.partition_point(|shown| *shown < first);
        self.shown.get(at).is_some_and(|shown| *shown < end)
    }
}
