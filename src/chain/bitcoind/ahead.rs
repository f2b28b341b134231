//! Gets a range of blocks in as few exchanges as their size allows.

use std::collections::VecDeque;

use super::node::{Node, Unchecked};
use crate::chain::pipeline::Weight as _;
use crate::chain::{BlockRef, Result};

/// Hashes that are asked for at once.
const HASHES: u32 = 100;
/// Bytes of blocks that are asked for at once, as far as the size of the last ones tells.
const EXCHANGE_BYTES: usize = 1 << 20;
/// Blocks that are asked for at once, at most, and at least where they come as bytes, so that two connections take turns.
const EXCHANGE_BLOCKS: usize = 16;
const TURNS: usize = 4;

/// What was received and not taken yet, and what is still to be asked for.
pub struct Ahead {
    node: Node,
    last: u32,
    hashes: VecDeque<BlockRef>,
    blocks: VecDeque<Unchecked>,
    /// Blocks of the next exchange.
    count: usize,
}

impl Ahead {
    /// Will get blocks up to `last` over a connection of its own.
    pub fn new(node: Node, last: u32) -> Self {
        Self {
            node,
            last,
            hashes: VecDeque::new(),
            blocks: VecDeque::new(),
            count: 1,
        }
    }

    /// The block at `height`, which is the next one; `None` if the chain does not reach it any more.
    pub fn next(&mut self, height: u32) -> Result<Option<Unchecked>> {
        if self.blocks.is_empty() {
            self.fetch(height)?;
        }
        Ok(self.blocks.pop_front())
    }

    fn fetch(&mut self, height: u32) -> Result<()> {
        if self.hashes.is_empty() {
            let end = self.last.min(height.saturating_add(HASHES - 1));
            self.hashes.extend(self.node.hashes(height, end)?);
        }
        let count = self.count.min(self.hashes.len());
        let wanted: Vec<_> = self.hashes.drain(..count).collect();
        self.blocks.extend(self.node.fetch_all(&wanted)?);
        let largest = self.blocks.iter().map(|block| block.weight()).max();
        let fitting = EXCHANGE_BYTES / largest.unwrap_or(1).max(1);
        let least = if self.node.rest { TURNS } else { 1 };
        self.count = fitting.clamp(least, EXCHANGE_BLOCKS);
        Ok(())
    }
}
