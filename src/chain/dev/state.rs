//! The embedded chain in memory: all blocks, which of them are the best chain, and the coins at its tip.
//!
//! The files are the truth; everything else here is derived from them when the directory is opened. The coins
//! follow the tip one block at a time: up with [`State::connect`], down with [`State::disconnect`], which uses the
//! undo data on disk. [`super::DevChain`] lets one thread at a time in.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;

use bitcoin::block::Header;
use bitcoin::consensus::deserialize;
use bitcoin::constants::genesis_block;
use bitcoin::{Block, BlockHash, Network, OutPoint, Script, Transaction, TxOut};

use super::coins::{Coins, Place, Refused, Signatures};
use super::error::{MineError, OpenError};
use super::files::{Files, Position};
use super::template::{self, Template};
use super::tree::{Entry, Tree};
use crate::chain::blockfile::undo::{self, BlockUndo};
use crate::chain::{self, BlockRef};

/// Undo records that no block has claimed yet, by checksum; oldest last.
type Unclaimed = HashMap<Vec<u8>, Vec<Position>>;

/// Where a block and its undo data stand.
#[derive(Debug)]
struct Stored {
    block: Position,
    undo: Option<Position>,
}

/// The chain and its files.
#[derive(Debug)]
pub(super) struct State {
    files: Files,
    tree: Tree,
    stored: HashMap<BlockHash, Stored>,
    arrival: Vec<BlockHash>,
    /// Rewound blocks and all blocks on top of them.
    refused: HashSet<BlockHash>,
    /// The branch that is followed, by height.
    best: Vec<BlockHash>,
    coins: Coins,
    unclaimed: Unclaimed,
    /// Counts the changes. A source that waits compares it with what it saw last, so that it misses none.
    pub changes: u64,
}

impl State {
    /// Opens the chain in `directory`, which becomes a new one if nothing is there.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        let mut files = Files::open(directory)?;
        let blocks = files.load_blocks()?;
        let genesis = genesis_block(Network::Regtest);
        let hash = genesis.block_hash();
        let mut unclaimed = Unclaimed::new();
        for (position, checksum) in files.load_undo()?.into_iter().rev() {
            unclaimed.entry(checksum).or_default().push(position);
        }
        let mut state = Self {
            refused: files.load_invalid()?.into_iter().collect(),
            files,
            tree: Tree::new(genesis.header),
            stored: HashMap::new(),
            arrival: Vec::new(),
            best: vec![hash],
            coins: Coins::default(),
            unclaimed,
            changes: 0,
        };
        state
            .replay(blocks, &genesis)
            .map_err(|error| match error {
                MineError::Files(error) => OpenError::io(directory, error),
                error => OpenError::Replay {
                    directory: directory.to_owned(),
                    reason: error.to_string(),
                },
            })?;
        Ok(state)
    }

    pub fn tip(&self) -> BlockRef {
        let hash = *self.best.last().expect("the genesis block stays");
        let height = self.best.len() as u32 - 1; // as many as there is memory for: far below 2^32
        BlockRef { height, hash }
    }

    pub fn block_at(&self, height: u32) -> Option<BlockRef> {
        let hash = *self.best.get(height as usize)?;
        Some(BlockRef { height, hash })
    }

    /// The header of the best chain's block at a height.
    pub fn header_at(&self, height: u32) -> Option<Header> {
        let entry = self.tree.get(self.block_at(height)?.hash)?;
        Some(entry.header)
    }

    /// A block as the index wants it.
    pub fn read(&self, at: BlockRef) -> io::Result<chain::Block> {
        let (stored, entry) = self.known(at.hash)?;
        Ok(chain::Block {
            at,
            previous: entry.header.prev_blockhash,
            time: entry.header.time,
            raw: self.files.read_block(stored.block)?,
        })
    }

    /// What a block spent, if it was ever on the best chain.
    pub fn undo_of(&self, hash: BlockHash) -> io::Result<BlockUndo> {
        let (stored, _) = self.known(hash)?;
        let position = stored.undo.ok_or(io::ErrorKind::NotFound)?;
        BlockUndo::decode(&self.files.read_undo(position)?).map_err(io::Error::other)
    }

    pub fn spendable(&self, script: &Script) -> Vec<(OutPoint, TxOut)> {
        let next = self.tip().height.saturating_add(1);
        self.coins.spendable(script, next)
    }

    pub fn directory(&self) -> &Path {
        self.files.directory()
    }

    pub fn check(&mut self, transactions: &[Transaction]) -> Result<(), Refused> {
        let place = self.next_place(Signatures::Check);
        let (undo, _) = self.coins.connect(transactions, &place)?;
        self.coins.disconnect(transactions, &undo);
        Ok(())
    }

    pub fn mine(
        &mut self,
        reward: &Script,
        transactions: Vec<Transaction>,
        time: u32,
    ) -> Result<BlockRef, MineError> {
        if !template::fits(&transactions) {
            return Err(MineError::TooLarge);
        }
        let place = self.next_place(Signatures::Check);
        let earliest = place.median_time.saturating_add(1);
        let (undo, fees) = self.coins.connect(&transactions, &place)?;
        let template = Template {
            previous: self.tip().hash,
            height: place.height,
            time: time.max(earliest),
            reward,
            fees,
            extra_nonce: self.arrival.len() as u32,
            transactions,
        };
        self.append(&template.mine(), &undo)
    }

    pub fn mine_on(
        &mut self,
        parent: BlockHash,
        reward: &Script,
        transactions: Vec<Transaction>,
        time: u32,
    ) -> Result<BlockRef, MineError> {
        if self.tree.get(parent).is_none() || self.refused.contains(&parent) {
            return Err(MineError::UnknownBlock(parent));
        }
        let best = self.tip().hash;
        self.move_to(parent)?;
        let mined = self.mine(reward, transactions, time);
        if !self.has_more_work(self.tip().hash, best) {
            self.move_to(best)?;
        }
        mined
    }

    pub fn invalidate(&mut self, hash: BlockHash) -> Result<(), MineError> {
        if hash == genesis_block(Network::Regtest).block_hash() || self.tree.get(hash).is_none() {
            return Err(MineError::UnknownBlock(hash));
        }
        self.files.append_invalid(hash)?;
        self.refused.insert(hash);
        self.spread_refusal();
        let mut best = genesis_block(Network::Regtest).block_hash();
        for &hash in &self.arrival {
            if !self.refused.contains(&hash) && self.has_more_work(hash, best) {
                best = hash;
            }
        }
        self.move_to(best)?;
        Ok(())
    }

    /// Ends a change: returns when everything mined so far will survive a loss of power.
    pub fn sync(&mut self) -> io::Result<()> {
        self.files.sync_blocks()?;
        self.changes += 1;
        Ok(())
    }

    fn replay(&mut self, blocks: Vec<(Position, Block)>, genesis: &Block) -> Result<(), MineError> {
        if blocks.is_empty() {
            let block = self.files.append_block(genesis)?;
            self.files.sync_blocks()?;
            self.remember(genesis.block_hash(), block);
        }
        for (position, block) in blocks {
            if block == *genesis {
                self.remember(genesis.block_hash(), position);
                continue;
            }
            let entry = self.insert(&block)?;
            self.remember(entry.at.hash, position);
            if self.refused.contains(&block.header.prev_blockhash) {
                self.refused.insert(entry.at.hash);
            }
            let refused = self.refused.contains(&entry.at.hash);
            if !refused && self.has_more_work(entry.at.hash, self.tip().hash) {
                self.move_to(entry.at.hash)?;
            }
        }
        Ok(())
    }

    /// Blocks on refused blocks are refused; in order of arrival, parents come first.
    fn spread_refusal(&mut self) {
        for hash in &self.arrival {
            let entry = self.tree.get(*hash);
            if entry.is_some_and(|entry| self.refused.contains(&entry.header.prev_blockhash)) {
                self.refused.insert(*hash);
            }
        }
    }

    /// Stores a block whose transactions are connected already, and makes it the tip.
    fn append(&mut self, block: &Block, undo: &BlockUndo) -> Result<BlockRef, MineError> {
        let transactions = block.txdata.get(1..).unwrap_or_default();
        let appended = self.files.append_block(block);
        let position = appended.inspect_err(|_| self.coins.disconnect(transactions, undo))?;
        let entry = self.insert(block)?;
        self.remember(entry.at.hash, position);
        self.finish_connect(block, undo)?;
        Ok(entry.at)
    }

    fn insert(&mut self, block: &Block) -> Result<Entry, MineError> {
        let entry = self.tree.insert(block.header);
        entry.ok_or(MineError::UnknownBlock(block.header.prev_blockhash))
    }

    fn remember(&mut self, hash: BlockHash, block: Position) {
        self.arrival.push(hash);
        self.stored.insert(hash, Stored { block, undo: None });
    }

    /// Goes down to where the branches part and up to `target`.
    fn move_to(&mut self, target: BlockHash) -> Result<(), MineError> {
        let fork = self
            .tree
            .fork_point(self.tip().hash, target)
            .ok_or(MineError::UnknownBlock(target))?;
        while self.tip().height > fork.height {
            self.disconnect()?;
        }
        for hash in self.tree.path(fork.hash, target) {
            self.connect(hash)?;
        }
        Ok(())
    }

    /// Puts a stored block on top of the tip, which is the block below it.
    fn connect(&mut self, hash: BlockHash) -> Result<(), MineError> {
        let block = self.read_decoded(hash)?;
        let place = self.next_place(Signatures::Trust);
        let transactions = block.txdata.get(1..).unwrap_or_default();
        let (undo, _) = self.coins.connect(transactions, &place)?;
        self.finish_connect(&block, &undo)
    }

    /// The coinbase, the undo data and the new tip; the other transactions are connected already.
    fn finish_connect(&mut self, block: &Block, undo: &BlockUndo) -> Result<(), MineError> {
        let hash = block.block_hash();
        self.best.push(hash);
        if let Some(coinbase) = block.txdata.first() {
            self.coins.add_outputs(coinbase, self.tip().height);
        }
        let known = self.stored.get(&hash).and_then(|stored| stored.undo);
        if known.is_none() {
            let position = self.store_undo(block, undo)?;
            if let Some(stored) = self.stored.get_mut(&hash) {
                stored.undo = Some(position);
            }
        }
        Ok(())
    }

    /// Finds the block's undo data among what was on disk at the start, or writes it.
    fn store_undo(&mut self, block: &Block, undo: &BlockUndo) -> io::Result<Position> {
        let previous = block.header.prev_blockhash;
        let bytes = undo.encode();
        let checksum = undo::checksum(previous, &bytes);
        let unclaimed = self.unclaimed.get_mut(checksum.as_slice());
        if let Some(position) = unclaimed.and_then(Vec::pop) {
            return Ok(position);
        }
        let (stored, _) = self.known(block.block_hash())?;
        let number = stored.block.number;
        self.files.append_undo(number, previous, &bytes)
    }

    fn disconnect(&mut self) -> Result<(), MineError> {
        let hash = self.tip().hash;
        let block = self.read_decoded(hash)?;
        let undo = self.undo_of(hash)?;
        let Some((coinbase, transactions)) = block.txdata.split_first() else {
            return Err(io::Error::from(io::ErrorKind::InvalidData).into());
        };
        self.coins.remove_outputs(coinbase);
        self.coins.disconnect(transactions, &undo);
        self.best.pop();
        Ok(())
    }

    fn read_decoded(&self, hash: BlockHash) -> io::Result<Block> {
        let (stored, _) = self.known(hash)?;
        deserialize(&self.files.read_block(stored.block)?).map_err(io::Error::other)
    }

    fn known(&self, hash: BlockHash) -> io::Result<(&Stored, &Entry)> {
        self.stored
            .get(&hash)
            .zip(self.tree.get(hash))
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn next_place(&self, signatures: Signatures) -> Place {
        let tip = self.tip();
        Place {
            height: tip.height.saturating_add(1),
            median_time: self.tree.median_time_past(tip.hash).unwrap_or_default(),
            signatures,
        }
    }

    fn has_more_work(&self, one: BlockHash, other: BlockHash) -> bool {
        let work = |hash| self.tree.get(hash).map(|entry| entry.work);
        work(one) > work(other)
    }

    /// The best chain and the coins, to compare two states in tests.
    #[cfg(test)]
    pub fn content(&self) -> (Vec<BlockHash>, Coins) {
        (self.best.clone(), self.coins.clone())
    }
}
