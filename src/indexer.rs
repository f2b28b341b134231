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
use crate::store::{ConnectedBlock, Store, StoreError};
use crate::virtualchain::connect_block;

/// Longest wait for news from the source; it also bounds how long a stop takes.
const PATIENCE: Duration = Duration::from_millis(250);
/// First and longest pause after a source could not answer.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// File in the data directory that says that the first sync has finished.
const SYNCED: &str = "synced";
/// How often progress is logged during a long sync.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// Why the index cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The source cannot answer; see [`SourceError`] on whether it may later.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The database cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
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
        let tip = self.store.snapshot().tip();
        let at = tip.map(|tip| BlockRef {
            height: tip.height,
            hash: tip.hash,
        });
        match self.source.next(at, self.bns.params().first_block)? {
            Event::Connect(block) => {
                self.connect(&block)?;
                self.progress.set_tip(block.at.height, block.time);
                Ok(Turn::Connected(block.at))
            }
            Event::Disconnect => {
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
                Err(IndexError::Source(SourceError::Unavailable(reason))) => {
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

    fn step(&mut self, report: &mut Report) -> Result<(), IndexError> {
        match self.turn()? {
            Turn::Connected(at) => {
                self.progress
                    .set_best_height(self.source.best_height()?.max(at.height));
                report.connected(at.height, self.progress.best_height());
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

    fn connect(&mut self, block: &Block) -> Result<(), IndexError> {
        let height = block.at.height;
        let transactions = candidates(&mut self.source, block, self.bns.params().magic)?;
        let (bns, hash) = (&self.bns, block.at.hash);
        self.store.write(|writer| {
            let outcome = connect_block(bns, height, &transactions, writer.state())?;
            let connected = ConnectedBlock {
                hash,
                previous: block.previous,
                time: block.time,
                candidates: &transactions,
                outcome: &outcome,
            };
            writer.apply(&connected).map_err(IndexError::from)
        })
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

    fn connected(&mut self, height: u32, best: u32) {
        self.blocks += 1;
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
