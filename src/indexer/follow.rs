//! The loop that follows a chain source: it is asked what follows the indexed tip, and that is done.
//!
//! The tip in the store is the only cursor, and every block is one transaction, or many are while the index is far behind,
//! so the loop can be stopped or killed anywhere and goes on at a block boundary. It runs on a thread of its own, because
//! sources and the store block.
//!
//! A network that ends is followed to its last block, and until that block is too deep to be undone. Then the index is
//! final, which a file in the data directory notes, and the source is not asked any more, in no later run either.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::bns::{Bns, Params};
use crate::chain::{BlockRef, ChainSource, Event, SourceError, candidates, place};
use crate::clock::Clock;
use crate::disk;
use crate::disk::rights::make_private;
use crate::progress::Progress;
use crate::store::{IndexedBlock, Store, StoreError, Writer};
use crate::virtualchain::{CandidateBlock, derive};

use super::error::IndexError;
use super::fork::ForkCheck;
use super::report::Report;
use super::rewind;
use super::run::Run;
use super::witnesses::Witnesses;

/// Longest wait for news from the source; it also bounds how long a stop takes.
const PATIENCE: Duration = Duration::from_millis(250);
/// First and longest pause after a source could not answer.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// File in the data directory that says that the first sync has finished.
const SYNCED: &str = "synced";
/// File in the data directory that names the last block of a network that ended, once it is too deep to be undone.
const FINAL: &str = "final";

/// While the index is far behind, one transaction in this many waits for the disk.
const UNSYNCED_BLOCKS: u32 = 16;
/// From this many blocks on the index is far behind.
const FAR_BEHIND: u32 = 8;

/// What one turn of the loop did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// This block was connected.
    Connected(BlockRef),
    /// A source had left something out of this block: the index is below it now.
    WentBelow(u32),
    /// The tip was disconnected: this block.
    Disconnected(BlockRef),
    /// There is nothing to do.
    Idle,
    /// The source still prepares: it has looked at so many of so many files.
    Preparing(usize, usize),
    /// A block follows, and the source waits for what the rules need of it: in words what is missing.
    Waiting(String),
    /// The network has ended, and its last block is too deep to be undone.
    Final,
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
    /// Why no indexed name is answered until the index is at the tip again.
    mending: Option<String>,
    witnesses: Witnesses,
    stop: Arc<AtomicBool>,
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
            witnesses: Witnesses::new(params.clone()),
            bns: Bns::new(params),
            store,
            progress,
            clock,
            unsynced: 0,
            mending: None,
            stop: Arc::default(),
        }
    }

    /// Follows the source until `stop` is set, which also ends a question that the source is busy with, or until the
    /// index is final. A source that cannot answer is asked again after a growing pause, a database that cannot be written
    /// is tried again every second; what trying again cannot mend is returned.
    pub fn run(mut self, stop: &Arc<AtomicBool>) -> Result<(), IndexError> {
        self.source.stop_with(Arc::clone(stop));
        self.stop = Arc::clone(stop);
        let mut pause = BACKOFF.0;
        let mut report = Report::new();
        while !stop.load(Ordering::Relaxed) {
            match self.step(&mut report) {
                Ok(Turn::Final) => break,
                Ok(_) => pause = BACKOFF.0,
                Err(_) if stop.load(Ordering::Relaxed) => {}
                Err(IndexError::Store(error)) if error.may_pass() => {
                    self.note_failure(&error);
                    sleep(BACKOFF.0, stop); // somebody opens the database again meanwhile
                }
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

    /// Notes that the database failed, unless everybody is told of it already.
    fn note_failure(&self, error: &StoreError) {
        if self.store.failure().is_none() {
            tracing::warn!("{error}");
            self.progress.set_trouble(Some(error.to_string()));
        }
    }

    /// One turn, and what is said about it.
    fn step(&mut self, report: &mut Report) -> Result<Turn, IndexError> {
        let before = self.progress.height();
        self.progress.note_pace(self.clock.elapsed());
        let turn = self.turn()?;
        match &turn {
            Turn::Connected(at) => {
                let blocks = at.height.saturating_sub(before).max(1);
                let best = self.source.best_height()?.max(at.height);
                self.progress.set_best_height(best);
                report.connected(blocks, at.height, best);
            }
            Turn::WentBelow(_) => {}
            Turn::Disconnected(undone) => {
                tracing::info!(height = undone.height, hash = %undone.hash, "disconnected a block");
            }
            Turn::Idle => {
                self.progress.set_best_height(self.source.best_height()?);
                self.note_synced();
                self.mending = None;
                report.idle();
                self.source.wait(PATIENCE);
            }
            Turn::Preparing(done, of) => report.preparing(*done, *of),
            Turn::Waiting(_) => {
                self.progress.set_best_height(self.source.best_height()?);
                self.source.wait(PATIENCE);
            }
            Turn::Final => {
                self.note_synced();
                tracing::info!(
                    "the network ended at block {before}: the index is final, and the source is not asked any more"
                );
            }
        }
        self.note_known(&turn)?;
        self.progress.set_forked(self.mending.is_some());
        self.progress.set_trouble(self.mending.clone());
        Ok(turn)
    }

    /// Does what follows the indexed tip, once.
    pub fn turn(&mut self) -> Result<Turn, IndexError> {
        if let Some(last) = self.last_indexed()
            && let Some(turn) = self.rest_at_end(last)?
        {
            return Ok(turn);
        }
        let event = match self.next() {
            Err(IndexError::Source(hole @ SourceError::Hole { height, .. })) => {
                return self.go_below(height, hole.to_string());
            }
            event => event?,
        };
        match event {
            Event::Connect(block) if self.is_after_end(block.at.height) => Ok(Turn::Idle),
            Event::Connect(block) => {
                let best = self.check_near_tip(block.at.height)?;
                let magic = self.bns.params().magic;
                let shown = candidates(self.source.as_mut(), &block, magic)?;
                self.connect_from(shown, best)
            }
            Event::ConnectCandidates(block) if self.is_after_end(block.height) => Ok(Turn::Idle),
            Event::ConnectCandidates(block) => {
                let best = self.check_near_tip(block.height)?;
                self.connect_from(block, best)
            }
            Event::Disconnect => self.disconnect(),
            Event::Idle => Ok(Turn::Idle),
            Event::Waiting(missing) => Ok(Turn::Waiting(missing)),
            Event::Preparing { done, of } => Ok(Turn::Preparing(done, of)),
        }
    }

    /// Asks the source. One whose chain ends below our tip may still contradict what lies deeper.
    fn next(&mut self) -> Result<Event, IndexError> {
        let event = self.source.next(self.tip(), self.bns.params().first_block);
        if let Err(SourceError::Behind { reach, .. }) = event {
            self.check_fork(reach)?;
        }
        Ok(event?)
    }

    fn tip(&self) -> Option<BlockRef> {
        let tip = self.store.snapshot().tip()?;
        let (height, hash) = (tip.height, tip.hash);
        Some(BlockRef { height, hash })
    }

    /// The tip, if it is the last block of the network.
    fn last_indexed(&self) -> Option<BlockRef> {
        let last = self.bns.params().last_block?;
        self.tip().filter(|tip| tip.height >= last)
    }

    /// What is left to do while the source holds the last block; `None` if it does not. Only a block at a depth that
    /// cannot be undone is asked for, and as soon as there is one, nothing is left.
    fn rest_at_end(&mut self, last: BlockRef) -> Result<Option<Turn>, IndexError> {
        let note = self.store.directory().join(FINAL);
        let _ = make_private(&note); // it says nothing that is secret
        if fs::read_to_string(&note).is_ok_and(|noted| noted == final_note(last)) {
            return Ok(Some(Turn::Final));
        }
        let beyond = last.height.saturating_add(self.store.undo_depth());
        let event = self.source.next(None, beyond)?;
        if let Event::Preparing { done, of } = event {
            return Ok(Some(Turn::Preparing(done, of)));
        }
        if !self.source.holds(last)? {
            return Ok(None);
        }
        if !matches!(event, Event::Connect(_) | Event::ConnectCandidates(_)) {
            return Ok(Some(Turn::Idle));
        }
        if let Err(error) = disk::replace(&note, final_note(last).as_bytes()) {
            tracing::warn!("cannot note that the index is final: {error}");
        }
        Ok(Some(Turn::Final))
    }

    fn is_after_end(&self, height: u32) -> bool {
        self.bns.params().is_after_end(height)
    }

    /// The height of the source's best block, if the index is far behind at `height`. Where it is not, a fork that is too
    /// deep is an error; elsewhere the hash that the next block names as the one below it says the same.
    fn check_near_tip(&mut self, height: u32) -> Result<Option<u32>, IndexError> {
        let best = self.source.best_height()?;
        if best.saturating_sub(height) >= FAR_BEHIND {
            return Ok(Some(best));
        }
        self.check_fork(u32::MAX)?;
        Ok(None)
    }

    /// Connects a block, and in the same transaction those behind it if the index is far behind the height `best`.
    fn connect_from(
        &mut self,
        first: CandidateBlock,
        best: Option<u32>,
    ) -> Result<Turn, IndexError> {
        let Some(best) = best else {
            return self.connect(vec![first], None);
        };
        let run = Run::from(first).gather(self.source.as_mut(), self.bns.params(), &self.stop);
        self.connect(run, Some(best))
    }

    /// Connects a run of blocks in one transaction. While the index is far behind the height `best`, only one in a while
    /// waits for the disk, since syncing one costs more than most blocks; a crash then costs the blocks since that one,
    /// which the source still has.
    fn connect(
        &mut self,
        blocks: Vec<CandidateBlock>,
        best: Option<u32>,
    ) -> Result<Turn, IndexError> {
        let last = blocks.last().expect("a run has a block");
        let (at, time) = (place(last), last.about.time);
        let count = u32::try_from(blocks.len()).unwrap_or(u32::MAX);
        let connect = |writer: &mut Writer<'_>| {
            writer.expect_best(best.unwrap_or(at.height));
            derive(&self.bns, blocks.into_iter().map(Ok), writer)
        };
        self.unsynced = self.unsynced.saturating_add(count);
        if best.is_some() && self.unsynced < UNSYNCED_BLOCKS {
            self.store.write_unsynced(connect)?;
        } else {
            self.store.write(connect)?;
            self.unsynced = 0;
        }
        self.progress.set_tip(at.height, time);
        Ok(Turn::Connected(at))
    }

    /// Undoes the block at `height` and all above it, because an operation of it was left out. No indexed name is
    /// answered until the index is at the tip again.
    fn go_below(&mut self, height: u32, why: String) -> Result<Turn, IndexError> {
        tracing::warn!("{why}");
        self.progress.set_forked(true);
        self.progress.set_trouble(Some(why.clone()));
        self.mending = Some(why);
        rewind::go_below(&self.store, &self.bns, height, &self.stop)?;
        let tip = self.store.snapshot().tip();
        let (height, time) = tip.map_or((0, 0), |tip| (tip.height, tip.time));
        self.progress.set_tip(height, time);
        Ok(Turn::WentBelow(height))
    }

    fn disconnect(&mut self) -> Result<Turn, IndexError> {
        self.check_fork(u32::MAX)?;
        let undone = match self.store.disconnect() {
            Err(StoreError::UndoGone { .. }) => self.derive_to_fork()?,
            undone => undone?,
        };
        let tip = self.store.snapshot().tip();
        let (height, time) = tip.map_or((0, 0), |tip| (tip.height, tip.time));
        self.progress.set_tip(height, time);
        Ok(Turn::Disconnected(BlockRef {
            height: undone.height,
            hash: undone.hash,
        }))
    }

    /// Undoes all blocks that the source does not have, and gives the lowest of them. Blocks that were far below the best
    /// height have no undo data; a source that replaces them all the same had another chain in mind, and the state is
    /// derived again from the stored operations.
    fn derive_to_fork(&mut self) -> Result<IndexedBlock, IndexError> {
        let stored = self.store.snapshot();
        let mut parted = stored.tip().ok_or(StoreError::NothingToUndo)?;
        while let Some(below) = parted.height.checked_sub(1)
            && let Some(block) = stored.block(below)?
            && !self.source.holds(BlockRef {
                height: below,
                hash: block.hash,
            })?
        {
            parted = block;
        }
        drop(stored); // it keeps pages from being used again
        let height = parted.height;
        tracing::warn!(
            "the source has replaced block {height}, which was far below its best one: the index is derived again up to there"
        );
        rewind::go_below(&self.store, &self.bns, height, &self.stop)?;
        Ok(parted)
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

    /// Notes how much is known of a chain whose blocks are not read whole.
    fn note_known(&mut self, turn: &Turn) -> Result<(), StoreError> {
        let undone = match turn {
            Turn::Disconnected(at) => Some(at.height),
            Turn::WentBelow(height) => Some(height.saturating_add(1)),
            _ => None,
        };
        if let Some(height) = undone {
            self.witnesses.undo(height);
        }
        let Some(mut known) = self.source.known() else {
            return Ok(());
        };
        let before = self.progress.known();
        match (turn, before) {
            (Turn::Idle, _) | (_, None) => {
                let first_block = self.bns.params().first_block;
                let sources = self.source.describe();
                self.witnesses
                    .add(&self.store.snapshot(), first_block, &sources, &mut known)?;
            }
            (_, Some(before)) => {
                known.vouched = before.vouched;
                known.alarm.clone_from(&before.alarm);
            }
        }
        if let Some(alarm) = &known.alarm
            && self
                .progress
                .known()
                .is_none_or(|before| before.alarm.is_none())
        {
            tracing::warn!("{alarm}");
        }
        self.progress.set_known(Some(known));
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
}

/// How the file [`FINAL`] names the last block.
fn final_note(last: BlockRef) -> String {
    format!("{} {}\n", last.height, last.hash)
}

/// Whether the database in this data directory has been at the tip of its source before.
pub fn was_synced(directory: &Path) -> bool {
    let path = directory.join(SYNCED);
    let _ = make_private(&path); // it says nothing that is secret
    path.exists()
}

/// Waits in short steps, so that a stop is heard.
fn sleep(pause: Duration, stop: &AtomicBool) {
    let end = Instant::now() + pause;
    while Instant::now() < end && !stop.load(Ordering::Relaxed) {
        std::thread::sleep(PATIENCE.min(pause));
    }
}
