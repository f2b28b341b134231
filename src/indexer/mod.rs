//! The loop that turns blocks into state: chain -> bns -> store.
//!
//! One turn asks the source what follows the indexed tip and does it: connect a block, disconnect the tip, or
//! wait. The tip in the store is the only cursor, and every block is one transaction, so the loop can be stopped or
//! killed anywhere and goes on at a block boundary. It runs on a thread of its own, since
//! sources and the store block. It must never answer questions or judge operations.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::bns::{Bns, Params};
use crate::chain::{Block, BlockRef, ChainSource, Event, SourceError, candidates};
use crate::clock::Clock;
use crate::disk;
use crate::progress::Progress;
use crate::store::{ConnectedBlock, Store, StoreError, Writer};
use crate::virtualchain::connect_block;

/// Longest wait for news from the source; it also bounds how long a stop takes.
const PATIENCE: Duration = Duration::from_millis(250);
/// First and longest pause after a source could not answer.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// File in the data directory that says that the first sync has finished.
const SYNCED: &str = "synced";
/// How often progress is logged during a long sync.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// While the index is far behind, one transaction in this many waits for the disk.
const UNSYNCED_BLOCKS: u32 = 16;
/// From this many blocks on the index is far behind.
const FAR_BEHIND: u32 = 8;

/// Why the index cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The source cannot answer; see [`SourceError`] on whether it may later.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The database cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The source's best chain parted from the index's below what can be undone.
    #[error(
        "the chain that the source follows parted from the index at block {fork}, {depth} blocks below its tip, and only {undo_depth} can be undone automatically: if the source is right, stop bnsd and run `bnsd chain rewind {fork}`"
    )]
    DeepFork {
        /// Highest block that both share.
        fork: u32,
        /// How many blocks of the index are above it.
        depth: u32,
        /// How many could be undone.
        undo_depth: u32,
    },
    /// The source's best chain shares no block with the index, which has more than can be undone.
    #[error(
        "the chain that the source follows parted from the index before its first block, {0}: if the source is right, move the database away and start again, else correct `chain.source`"
    )]
    OtherChain(u32),
}

impl IndexError {
    /// Whether a person has to decide between the source and the index.
    fn is_fork(&self) -> bool {
        matches!(self, Self::DeepFork { .. } | Self::OtherChain(_))
    }

    /// Whether asking the source again later may help.
    fn may_pass(&self) -> bool {
        let unavailable = |error: &SourceError| !matches!(error, SourceError::Fatal(_));
        self.is_fork() || matches!(self, Self::Source(error) if unavailable(error))
    }
}

/// What one turn of the loop did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// This block was connected.
    Connected(BlockRef),
    /// The tip was disconnected: this block.
    Disconnected(BlockRef),
    /// There is nothing to do.
    Idle,
    /// The source still prepares: it has looked at so many of so many files.
    Preparing(usize, usize),
}

/// Follows one source into one store.
pub struct Indexer<S> {
    source: S,
    bns: Bns,
    store: Arc<Store>,
    progress: Arc<Progress>,
    clock: Arc<dyn Clock>,
    /// Blocks since the last one that waited for the disk.
    unsynced: u32,
}

impl<S: ChainSource> Indexer<S> {
    /// An indexer; `params` must be those that the store was opened for.
    pub fn new(
        source: S,
        params: Params,
        store: Arc<Store>,
        progress: Arc<Progress>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            source,
            bns: Bns::new(params),
            store,
            progress,
            clock,
            unsynced: 0,
        }
    }

    /// Does what follows the indexed tip, once.
    pub fn turn(&mut self) -> Result<Turn, IndexError> {
        let at = self.tip();
        match self.next(at)? {
            Event::Connect(block) => {
                if !self.is_far_behind(block.at.height)? {
                    self.check_depths(u32::MAX)?;
                }
                self.connect(&block)?;
                self.progress.set_tip(block.at.height, block.time);
                Ok(Turn::Connected(block.at))
            }
            Event::Disconnect => {
                self.check_depths(u32::MAX)?;
                let disconnected = self.store.disconnect()?;
                let tip = disconnected.tip;
                self.progress.set_tip(
                    tip.map_or(0, |tip| tip.height),
                    tip.map_or(0, |tip| tip.time),
                );
                let undone = disconnected.undone;
                Ok(Turn::Disconnected(BlockRef {
                    height: undone.height,
                    hash: undone.hash,
                }))
            }
            Event::Idle => Ok(Turn::Idle),
            Event::Preparing { done, of } => Ok(Turn::Preparing(done, of)),
        }
    }

    /// Asks the source. One whose chain ends below our tip may still contradict what lies deeper.
    fn next(&mut self, at: Option<BlockRef>) -> Result<Event, IndexError> {
        let event = self.source.next(at, self.bns.params().first_block);
        if let Err(SourceError::Behind { reach, .. }) = event {
            self.check_depths(reach)?;
        }
        Ok(event?)
    }

    /// Turns until `stop` is set. A source that cannot answer is asked again after a growing pause; what
    /// asking again cannot mend is returned.
    pub fn run(mut self, stop: &AtomicBool) -> Result<(), IndexError> {
        let mut pause = BACKOFF.0;
        let mut report = Report::new();
        while !stop.load(Ordering::Relaxed) {
            match self.step(&mut report) {
                Ok(()) => pause = BACKOFF.0,
                Err(error) if error.may_pass() => {
                    let reason = error.to_string();
                    self.progress.set_forked(error.is_fork());
                    self.progress.set_trouble(Some(reason.clone()));
                    tracing::warn!("{reason}; trying again in {} s", pause.as_secs());
                    sleep(pause, stop);
                    pause = (pause * 2).min(BACKOFF.1);
                }
                Err(error) => {
                    self.progress.set_trouble(Some(error.to_string()));
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn tip(&self) -> Option<BlockRef> {
        self.store.snapshot().tip().map(|tip| BlockRef {
            height: tip.height,
            hash: tip.hash,
        })
    }

    /// Compares the blocks at depths 1, 2, 4, 8 ... below the tip with the source's, which has blocks up to `reach`,
    /// so that a fork that cannot be undone is found before anything is done.
    ///
    /// It is done at every block and costs one question: a block's hash covers all below it, so the first depth at
    /// which both agree is the last that is compared. While the index is far behind, nothing is asked: there the
    /// hash that the next block names as the one below it says the same.
    fn check_depths(&mut self, reach: u32) -> Result<(), IndexError> {
        let Some(tip) = self.tip() else {
            return Ok(());
        };
        let snapshot = self.store.snapshot();
        let first_block = self.bns.params().first_block;
        let mut parted = None;
        let depths = std::iter::successors(Some(1u32), |depth| depth.checked_mul(2));
        let heights = depths.map_while(|depth| tip.height.checked_sub(depth));
        let held = heights.take_while(|height| *height >= first_block);
        for height in held.skip_while(|height| *height > reach) {
            let Some(block) = snapshot.block(height)? else {
                break;
            };
            let hash = block.hash;
            if self.source.holds(BlockRef { height, hash })? {
                return self.judge_fork(tip.height, height, parted);
            }
            parted = Some(height);
        }
        self.judge_fork(tip.height, first_block.saturating_sub(1), parted)
    }

    /// Both chains agree at `shared` and do not at `parted` above it, if that was found; an error if the place where
    /// they part, between the two, is too deep.
    fn judge_fork(
        &mut self,
        tip: u32,
        mut shared: u32,
        parted: Option<u32>,
    ) -> Result<(), IndexError> {
        let undo_depth = self.store.undo_depth();
        let Some(mut parted) = parted.filter(|_| tip - shared > undo_depth) else {
            return Ok(());
        };
        let snapshot = self.store.snapshot();
        while parted - shared > 1 {
            let height = shared + (parted - shared) / 2;
            let block = snapshot.block(height)?;
            let hash = block.map(|block| block.hash);
            let is_held = match hash {
                Some(hash) => self.source.holds(BlockRef { height, hash })?,
                None => true,
            };
            if is_held {
                shared = height;
            } else {
                parted = height;
            }
        }
        let (depth, first_block) = (tip - shared, self.bns.params().first_block);
        if depth <= undo_depth {
            return Ok(());
        }
        Err(if shared < first_block {
            IndexError::OtherChain(first_block)
        } else {
            IndexError::DeepFork {
                fork: shared,
                depth,
                undo_depth,
            }
        })
    }

    fn step(&mut self, report: &mut Report) -> Result<(), IndexError> {
        let before = self.progress.height();
        match self.turn()? {
            Turn::Connected(at) => {
                let blocks = at.height.saturating_sub(before).max(1);
                self.progress
                    .set_best_height(self.source.best_height()?.max(at.height));
                report.connected(blocks, at.height, self.progress.best_height());
            }
            Turn::Disconnected(undone) => {
                tracing::info!(height = undone.height, hash = %undone.hash, "disconnected a block");
            }
            Turn::Idle => {
                self.progress.set_best_height(self.source.best_height()?);
                self.note_synced();
                report.idle();
                self.source.wait(PATIENCE);
            }
            Turn::Preparing(done, of) => report.preparing(done, of),
        }
        self.progress.set_forked(false);
        self.progress.set_trouble(None);
        Ok(())
    }

    fn note_synced(&self) {
        if !self.progress.has_ever_synced()
            && let Err(error) = disk::replace(&self.store.directory().join(SYNCED), b"")
        {
            tracing::warn!("cannot note that the first sync has finished: {error}");
        }
        self.progress.set_synced(self.clock.elapsed());
    }

    /// Connects a block in a transaction of its own. While the index is far behind, only one in a while waits for
    /// the disk, since syncing one costs more than most blocks; a crash then costs the blocks since that one, which
    /// the source still has.
    fn connect(&mut self, block: &Block) -> Result<(), IndexError> {
        let height = block.at.height;
        let transactions = candidates(&mut self.source, block, self.bns.params().magic)?;
        let is_far_behind = self.is_far_behind(height)?;
        let (bns, store) = (&self.bns, &self.store);
        let apply = |writer: &mut Writer<'_>| {
            let outcome = connect_block(bns, height, &transactions, writer.state())?;
            let connected = ConnectedBlock {
                hash: block.at.hash,
                previous: block.previous,
                time: block.time,
                candidates: &transactions,
                outcome: &outcome,
            };
            writer.apply(&connected).map_err(IndexError::from)
        };
        self.unsynced += 1;
        if !is_far_behind || self.unsynced >= UNSYNCED_BLOCKS {
            store.write(apply)?;
            self.unsynced = 0;
            return Ok(());
        }
        store.write_unsynced(apply)
    }

    /// Whether many blocks follow the one at `height`.
    fn is_far_behind(&mut self, height: u32) -> Result<bool, IndexError> {
        let left = self.source.best_height()?.saturating_sub(height);
        Ok(left >= FAR_BEHIND)
    }
}

/// Whether the database in this data directory has been at the tip of its source before.
pub fn was_synced(directory: &Path) -> bool {
    directory.join(SYNCED).exists()
}

/// Waits in short steps, so that a stop is heard.
fn sleep(pause: Duration, stop: &AtomicBool) {
    let end = Instant::now() + pause;
    while Instant::now() < end && !stop.load(Ordering::Relaxed) {
        std::thread::sleep(PATIENCE.min(pause));
    }
}

/// Says how a long sync goes, with rate and time left.
struct Report {
    since: Instant,
    blocks: u32,
    syncing: bool,
}

impl Report {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            blocks: 0,
            syncing: false,
        }
    }

    fn connected(&mut self, blocks: u32, height: u32, best: u32) {
        self.blocks += blocks;
        let elapsed = self.since.elapsed();
        if elapsed < REPORT_EVERY {
            return;
        }
        let rate = f64::from(self.blocks) / elapsed.as_secs_f64();
        let left = f64::from(best.saturating_sub(height)) / rate;
        tracing::info!("block {height} of {best}, {rate:.0} blocks/s, {left:.0} s left");
        *self = Self {
            syncing: true,
            ..Self::new()
        };
    }

    fn preparing(&mut self, done: usize, of: usize) {
        if self.since.elapsed() >= REPORT_EVERY {
            tracing::info!("looking at the source's files: {done} of {of}");
            *self = Self::new();
        }
    }

    fn idle(&mut self) {
        if self.syncing {
            tracing::info!("synced");
        }
        *self = Self::new();
    }
}
