//! The loop that turns blocks into state: chain -> bns -> store.
//!
//! One turn asks the source what follows the indexed tip and does it: connect a block, disconnect the tip, or
//! wait. The tip in the store is the only cursor, and every block is one durable transaction, so the loop
//! can be stopped or killed anywhere and goes on at a block boundary. It runs on a thread of its own, since
//! sources and the store block. It must never answer questions or judge operations.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::bns::{Bns, Params};
use crate::chain::{Block, BlockRef, ChainSource, Event, SourceError, candidates};
use crate::clock::Clock;
use crate::status::Progress;
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

/// Blocks that are connected in one transaction at most, while the index is far behind.
const RUN_BLOCKS: u32 = 64;
/// How long such a transaction stays open at most.
const RUN_TIME: Duration = Duration::from_millis(500);
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
}

/// Follows one source into one store.
pub struct Indexer<S> {
    source: S,
    bns: Bns,
    store: Arc<Store>,
    progress: Arc<Progress>,
    clock: Arc<dyn Clock>,
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
        }
    }

    /// Does what follows the indexed tip, once.
    pub fn turn(&mut self) -> Result<Turn, IndexError> {
        let at = self.tip();
        match self.source.next(at, self.bns.params().first_block)? {
            Event::Connect(block) => {
                let (at, time) = self.connect_run(&block)?;
                self.progress.set_tip(at.height, time);
                Ok(Turn::Connected(at))
            }
            Event::Disconnect => {
                self.check_depths()?;
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
        }
    }

    /// Turns until `stop` is set. A source that cannot answer is asked again after a growing pause; what
    /// asking again cannot mend is returned.
    pub fn run(mut self, stop: &AtomicBool) -> Result<(), IndexError> {
        let mut pause = BACKOFF.0;
        let mut report = Report::new();
        while !stop.load(Ordering::Relaxed) {
            match self.step(&mut report) {
                Ok(()) => pause = BACKOFF.0,
                Err(
                    error @ (IndexError::Source(SourceError::Unavailable(_))
                    | IndexError::DeepFork { .. }),
                ) => {
                    let reason = error.to_string();
                    let is_fork = matches!(error, IndexError::DeepFork { .. });
                    self.progress.set_forked(is_fork);
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

    /// Compares the blocks at depths 1, 2, 4, 8 ... below the tip with the source's, so that a fork that cannot
    /// be undone is found before anything is undone. A block that connects to the tip makes this comparison by
    /// itself, at all depths: its hash covers every block below.
    fn check_depths(&mut self) -> Result<(), IndexError> {
        let Some(tip) = self.tip() else {
            return Ok(());
        };
        let snapshot = self.store.snapshot();
        let first_block = self.bns.params().first_block;
        let mut parted = tip.height.saturating_add(1);
        let depths = std::iter::successors(Some(1u32), |depth| depth.checked_mul(2));
        let heights = depths.map_while(|depth| tip.height.checked_sub(depth));
        for height in heights.take_while(|height| *height >= first_block) {
            let Some(block) = snapshot.block(height)? else {
                break;
            };
            let hash = block.hash;
            if self.source.holds(BlockRef { height, hash })? {
                return self.judge_fork(tip.height, height, parted);
            }
            parted = height;
        }
        if parted > tip.height {
            return Ok(()); // too few blocks to have a depth
        }
        self.judge_fork(tip.height, first_block.saturating_sub(1), parted)
    }

    /// `shared` is a height at which both chains agree, `parted` one above it at which they do not; an error
    /// if the place where they part, between the two, is too deep.
    fn judge_fork(&mut self, tip: u32, shared: u32, parted: u32) -> Result<(), IndexError> {
        let undo_depth = self.store.undo_depth();
        if parted > tip || tip - shared <= undo_depth {
            return Ok(());
        }
        let (mut shared, mut parted) = (shared, parted);
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
        let depth = tip - shared;
        if depth <= undo_depth {
            return Ok(());
        }
        Err(IndexError::DeepFork {
            fork: shared,
            depth,
            undo_depth,
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
        }
        self.progress.set_forked(false);
        self.progress.set_trouble(None);
        Ok(())
    }

    fn note_synced(&self) {
        if !self.progress.has_ever_synced()
            && let Err(error) = fs::write(self.store.directory().join(SYNCED), b"")
        {
            tracing::warn!("cannot note that the first sync has finished: {error}");
        }
        self.progress.set_synced(self.clock.elapsed());
    }

    /// Connects a block, and while the index is far behind those that follow it, in one transaction: syncing a
    /// disk costs more than most blocks. Whatever keeps a later block from being connected is left for the
    /// next turn; what was connected before it stays.
    fn connect_run(&mut self, first: &Block) -> Result<(BlockRef, u32), IndexError> {
        let best = self.source.best_height()?;
        let started = Instant::now();
        let store = Arc::clone(&self.store);
        store.write(|writer| {
            let mut last = (first.at, first.time);
            self.connect(writer, first)?;
            for _ in 1..RUN_BLOCKS {
                let behind = best.saturating_sub(last.0.height);
                if behind < FAR_BEHIND || started.elapsed() > RUN_TIME {
                    break;
                }
                let first_block = self.bns.params().first_block;
                let Ok(Event::Connect(block)) = self.source.next(Some(last.0), first_block) else {
                    break;
                };
                match self.connect(writer, &block) {
                    Ok(()) => last = (block.at, block.time),
                    Err(IndexError::Source(_)) => break,
                    Err(error) => return Err(error),
                }
            }
            Ok(last)
        })
    }

    fn connect(&mut self, writer: &mut Writer<'_>, block: &Block) -> Result<(), IndexError> {
        let height = block.at.height;
        let transactions = candidates(&mut self.source, block, self.bns.params().magic)?;
        let outcome = connect_block(&self.bns, height, &transactions, writer.state())?;
        let connected = ConnectedBlock {
            hash: block.at.hash,
            previous: block.previous,
            time: block.time,
            candidates: &transactions,
            outcome: &outcome,
        };
        Ok(writer.apply(&connected)?)
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

    fn idle(&mut self) {
        if self.syncing {
            tracing::info!("synced");
        }
        *self = Self::new();
    }
}
