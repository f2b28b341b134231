//! The loop that follows a chain source: it is asked what follows the indexed tip, and that is done.
//!
//! The tip in the store is the only cursor, and every block is one transaction, so the loop can be stopped or
//! killed anywhere and goes on at a block boundary. It runs on a thread of its own, because sources and the store
//! block.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::bns::{Bns, Params};
use crate::chain::{Block, BlockRef, ChainSource, Event, SourceError, candidates};
use crate::clock::Clock;
use crate::disk;
use crate::progress::Progress;
use crate::store::{Store, Writer};
use crate::virtualchain::derive;

use super::error::IndexError;
use super::fork::ForkCheck;
use super::report::Report;

/// Longest wait for news from the source; it also bounds how long a stop takes.
const PATIENCE: Duration = Duration::from_millis(250);
/// First and longest pause after a source could not answer.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// File in the data directory that says that the first sync has finished.
const SYNCED: &str = "synced";

/// While the index is far behind, one transaction in this many waits for the disk.
const UNSYNCED_BLOCKS: u32 = 16;
/// From this many blocks on the index is far behind.
const FAR_BEHIND: u32 = 8;

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
pub struct Indexer {
    source: Box<dyn ChainSource>,
    bns: Bns,
    store: Arc<Store>,
    progress: Arc<Progress>,
    clock: Arc<dyn Clock>,
    /// Blocks since the last one that waited for the disk.
    unsynced: u32,
}

impl Indexer {
    /// An indexer; `params` must be those that the store was opened for.
    pub fn new(
        source: Box<dyn ChainSource>,
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

    /// Follows the source until `stop` is set, which is the only way to end without an error, and which also ends a
    /// question that the source is busy with. A source that cannot answer is asked again after a growing pause; what
    /// asking again cannot mend is returned.
    pub fn run(mut self, stop: &Arc<AtomicBool>) -> Result<(), IndexError> {
        self.source.stop_with(Arc::clone(stop));
        let mut pause = BACKOFF.0;
        let mut report = Report::new();
        while !stop.load(Ordering::Relaxed) {
            match self.step(&mut report) {
                Ok(()) => pause = BACKOFF.0,
                Err(_) if stop.load(Ordering::Relaxed) => {}
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

    /// One turn, and what is said about it.
    fn step(&mut self, report: &mut Report) -> Result<(), IndexError> {
        let before = self.progress.height();
        match self.turn()? {
            Turn::Connected(at) => {
                let blocks = at.height.saturating_sub(before).max(1);
                let best = self.source.best_height()?.max(at.height);
                self.progress.set_best_height(best);
                report.connected(blocks, at.height, best);
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

    /// Does what follows the indexed tip, once.
    pub fn turn(&mut self) -> Result<Turn, IndexError> {
        match self.next()? {
            Event::Connect(block) => self.connect(&block),
            Event::Disconnect => self.disconnect(),
            Event::Idle => Ok(Turn::Idle),
            Event::Preparing { done, of } => Ok(Turn::Preparing(done, of)),
        }
    }

    /// Asks the source. One whose chain ends below our tip may still contradict what lies deeper.
    fn next(&mut self) -> Result<Event, IndexError> {
        let tip = self.store.snapshot().tip().map(|tip| BlockRef {
            height: tip.height,
            hash: tip.hash,
        });
        let event = self.source.next(tip, self.bns.params().first_block);
        if let Err(SourceError::Behind { reach, .. }) = event {
            self.check_fork(reach)?;
        }
        Ok(event?)
    }

    /// Connects a block in a transaction of its own. While the index is far behind, only one in a while waits for
    /// the disk, since syncing one costs more than most blocks; a crash then costs the blocks since that one, which
    /// the source still has. Nor is a fork looked for there: the hash that the next block names as the one below
    /// it says the same.
    fn connect(&mut self, block: &Block) -> Result<Turn, IndexError> {
        let left = self.source.best_height()?.saturating_sub(block.at.height);
        let is_far_behind = left >= FAR_BEHIND;
        if !is_far_behind {
            self.check_fork(u32::MAX)?;
        }
        let shown = candidates(self.source.as_mut(), block, self.bns.params().magic)?;
        let connect = |writer: &mut Writer<'_>| derive(&self.bns, [Ok(shown)], writer);
        self.unsynced += 1;
        if is_far_behind && self.unsynced < UNSYNCED_BLOCKS {
            self.store.write_unsynced(connect)?;
        } else {
            self.store.write(connect)?;
            self.unsynced = 0;
        }
        self.progress.set_tip(block.at.height, block.time);
        Ok(Turn::Connected(block.at))
    }

    fn disconnect(&mut self) -> Result<Turn, IndexError> {
        self.check_fork(u32::MAX)?;
        let undone = self.store.disconnect()?;
        let tip = self.store.snapshot().tip();
        let (height, time) = tip.map_or((0, 0), |tip| (tip.height, tip.time));
        self.progress.set_tip(height, time);
        Ok(Turn::Disconnected(BlockRef {
            height: undone.height,
            hash: undone.hash,
        }))
    }

    /// An error if the source, which has blocks up to `reach`, parted from the index too deep to be undone.
    fn check_fork(&mut self, reach: u32) -> Result<(), IndexError> {
        let check = ForkCheck {
            indexed: &self.store.snapshot(),
            first_block: self.bns.params().first_block,
            undo_depth: self.store.undo_depth(),
        };
        check.run(self.source.as_mut(), reach)
    }

    fn note_synced(&self) {
        if !self.progress.has_ever_synced()
            && let Err(error) = disk::replace(&self.store.directory().join(SYNCED), b"")
        {
            tracing::warn!("cannot note that the first sync has finished: {error}");
        }
        self.progress.set_synced(self.clock.elapsed());
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
