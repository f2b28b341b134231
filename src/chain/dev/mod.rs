//! An embedded regtest chain that mines on demand: real blocks, real transactions, real signatures, and
//! next to no work. With it the whole program runs without a node, as in the demo and in tests.
//!
//! Its blocks are valid for Bitcoin Core in regtest, and its files are Core's ([`super::blockfile`]). It is
//! no node: it has no peers and no mempool, and it runs no scripts (see [`spend`]). It must never be used for
//! anything that is worth money.
//!
//! **One process per directory**, guarded by a lock file. Within the process a [`DevChain`] is cloned
//! freely; [`DevChain::source`] gives what the indexer follows.
//!
//! **What survives a crash.** A block is appended to `blk`, then what it spent to `rev`; then `blk` is synced,
//! once per call, and only then do others see the block. When the directory is opened, a torn block at the
//! end is cut off (nobody has seen it), and everything else is derived from the blocks again: tree, best
//! chain, coins, and whatever undo data is missing or torn. So no block that anyone has seen is lost, and
//! a killed process leaves nothing to repair by hand. A rewound block is written to `invalid` before anything changes,
//! so that it stays rewound after a restart.
//!
//! **Branches.** The branch with most work is the best chain, the first seen among equals. Rewound blocks
//! ([`DevChain::rewind`]) stay in the files and are never part of it, as with Core's `invalidateblock`.

mod coins;
mod error;
mod files;
mod source;
pub mod spend;
mod state;
mod template;
#[cfg(test)]
mod tests;
mod tree;

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bitcoin::{Amount, BlockHash, OutPoint, Script, Transaction, TxOut};

pub use coins::{COINBASE_MATURITY, Refused, TransactionError};
pub use error::{MineError, OpenError};
pub use source::DevSource;

use self::state::State;
use super::BlockRef;

/// Most blocks that one purse is filled with: by then the subsidy is far below a satoshi.
const MINED_FOR_COINS_MAX: u32 = 10_000;

/// A handle on the chain; clones share it.
#[derive(Debug, Clone)]
pub struct DevChain {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    turn: Mutex<()>,
}

impl DevChain {
    /// Opens the chain in `directory`; if nothing is there, a new one begins with regtest's genesis block.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        Ok(Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State::open(directory)?),
                changed: Condvar::new(),
                turn: Mutex::default(),
            }),
        })
    }

    /// What the indexer follows: blocks come once `confirmations` blocks are on top of them.
    pub fn source(&self, confirmations: u32) -> DevSource {
        DevSource {
            chain: self.clone(),
            confirmations,
            seen: 0,
        }
    }

    /// The tip of the best chain.
    pub fn tip(&self) -> BlockRef {
        self.lock().tip()
    }

    /// Time of a block in seconds since 1970, from its header.
    pub fn time_of(&self, block: BlockRef) -> io::Result<u32> {
        Ok(self.lock().read(block)?.time)
    }

    /// The block of the best chain at `height`.
    pub fn block_at(&self, height: u32) -> Option<BlockRef> {
        self.lock().block_at(height)
    }

    /// The outputs to `script` that the next block's transactions may spend, oldest first.
    ///
    /// Rewards count from [`COINBASE_MATURITY`] blocks on.
    pub fn spendable(&self, script: &Script) -> Vec<(OutPoint, TxOut)> {
        self.lock().spendable(script)
    }

    /// Whether the next block could hold these transactions, in this order.
    pub fn check(&self, transactions: &[Transaction]) -> Result<(), Refused> {
        self.lock().check(transactions)
    }

    /// Mines a block with these transactions, in this order, on the tip; subsidy and fees go to `reward`.
    ///
    /// `time` is the caller's clock in seconds since 1970. A block must be later than the median of the
    /// last eleven, so in a quick series, or after that clock was set back, the header's time runs ahead of it. Bitcoin
    /// refuses blocks that are two hours ahead; a chain of one machine would stand still until that time.
    pub fn mine(
        &self,
        reward: &Script,
        transactions: Vec<Transaction>,
        time: u32,
    ) -> Result<BlockRef, MineError> {
        self.change(|state| state.mine(reward, transactions, time))
    }

    /// Mines `count` empty blocks, synced to disk together; gives the new tip.
    ///
    /// When it fails on the way, the blocks mined before stay.
    pub fn mine_empty(
        &self,
        reward: &Script,
        count: u32,
        time: u32,
    ) -> Result<BlockRef, MineError> {
        self.change(|state| {
            for _ in 0..count {
                state.mine(reward, Vec::new(), time)?;
            }
            Ok(state.tip())
        })
    }

    /// Mines until `reward` has at least `needed` to spend.
    pub fn mine_until(&self, reward: &Script, needed: Amount, time: u32) -> Result<(), MineError> {
        // The first reward can be spent a hundred blocks later, then one more with every block.
        let mut blocks = match self.spendable(reward).is_empty() {
            true => COINBASE_MATURITY,
            false => 1,
        };
        let mut mined = 0;
        while self.worth(reward) < needed {
            if mined >= MINED_FOR_COINS_MAX {
                return Err(MineError::NoCoins);
            }
            self.mine_empty(reward, blocks, time)?;
            mined += blocks;
            blocks = mined.clamp(1, COINBASE_MATURITY);
        }
        Ok(())
    }

    fn worth(&self, script: &Script) -> Amount {
        let coins = self.spendable(script).into_iter();
        coins.map(|(_, output)| output.value).sum()
    }

    /// Keeps others who ask for their turn waiting until it is dropped: for those who look for coins of a common purse
    /// and then spend them.
    pub fn turn(&self) -> MutexGuard<'_, ()> {
        let turn = self.shared.turn.lock();
        turn.unwrap_or_else(PoisonError::into_inner)
    }

    /// Mines a block on any block. The best chain changes only if the new one has more work.
    pub fn mine_on(
        &self,
        parent: BlockHash,
        reward: &Script,
        transactions: Vec<Transaction>,
        time: u32,
    ) -> Result<BlockRef, MineError> {
        self.change(|state| state.mine_on(parent, reward, transactions, time))
    }

    /// Refuses a block and all on top of it from now on; the best of the others is followed.
    pub fn invalidate(&self, block: BlockHash) -> Result<(), MineError> {
        self.change(|state| state.invalidate(block))
    }

    /// Refuses all blocks of the best chain above `height`. The tip is then at `height`, unless another
    /// branch has more work than that.
    pub fn rewind(&self, height: u32) -> Result<(), MineError> {
        self.change(|state| match state.block_at(height.saturating_add(1)) {
            Some(block) => state.invalidate(block.hash),
            None => Ok(()),
        })
    }

    /// Runs a change and syncs it to the disk; only then those who wait for one are told.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut State) -> Result<T, MineError>,
    ) -> Result<T, MineError> {
        let mut state = self.lock();
        let result = change(&mut state);
        state.sync()?;
        drop(state);
        self.shared.changed.notify_all();
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared
            .state
            .lock()
            .expect("no thread panics while it holds the chain")
    }
}
