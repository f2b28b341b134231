//! What all logs show of a block, joined.
//!
//! Whatever a log shows is on the chain, so the union is complete if one log is. What was indexed before a log came, or
//! changed, is compared with it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bitcoin::hashes::sha256;
use bitcoin::{Transaction, Txid};

use super::source::LightSource;
use super::window::Window;
use crate::chain::log::manifest::SEGMENT_BLOCKS;
use crate::chain::log::record::RecordFault;
use crate::chain::{BlockRef, Event, Result, SourceError};
use crate::virtualchain::{CandidateBlock, VirtualTransaction};

/// Longest wait for a window within one question.
const PATIENCE: Duration = Duration::from_millis(100);
/// How many blocks the index may take before it commits what it took, see `BLOCKS` of its runs, and some.
const UNCOMMITTED: u32 = 1_100;
/// So many candidates are kept before those are looked for that the index has.
const RECENT: usize = 4_096;

/// Why the candidates of a block cannot be joined with what they spend.
enum JoinError {
    /// The index or its database cannot say.
    Source(SourceError),
    /// The record is wrong.
    Record(RecordFault),
}

impl From<RecordFault> for JoinError {
    fn from(fault: RecordFault) -> Self {
        Self::Record(fault)
    }
}

impl LightSource {
    /// Takes windows over, and compares them with what is indexed up to `tip`.
    pub(super) fn receive(&mut self, tip: Option<BlockRef>) -> Result<()> {
        let number = self.shared.lock().wanted.unwrap_or(0) / SEGMENT_BLOCKS;
        loop {
            let Some(window) = self.shared.lock().windows.pop_front() else {
                break;
            };
            self.shared.notify();
            let top = self.header_chain().hash_at(window.to());
            if top != Some(window.top) {
                self.shared.lock().given.remove(&window.number); // the best chain is another one by now
                continue;
            }
            if let Some(tip) = tip {
                self.compare(&window, tip.height)?;
            }
            let is_near = window.number == number || window.number == number + 1;
            if is_near {
                self.windows.insert(window.number, window);
            } else {
                self.note_checked(&window, tip);
            }
        }
        let mut far = self.windows.split_off(&(number + 2));
        let near = self.windows.split_off(&number);
        far.append(&mut std::mem::replace(&mut self.windows, near));
        for (number, window) in far {
            self.note_checked(&window, tip);
            self.shared.lock().given.remove(&number);
        }
        Ok(())
    }

    /// Notes that all of a window up to the tip is indexed.
    fn note_checked(&mut self, window: &Window, tip: Option<BlockRef>) {
        if self.hole.is_some() || tip.is_none_or(|tip| tip.height < window.to()) {
            return;
        }
        let mut state = self.shared.lock();
        state.checked.insert(window.number, window.version());
        self.notes.checked.clone_from(&state.checked);
        drop(state);
        self.write_notes();
    }

    pub(super) fn write_notes(&mut self) {
        if let Err(error) = self.file.write(&self.notes) {
            tracing::warn!("cannot note how far logs were read: {error}");
        }
    }

    /// Looks for candidates that an indexed block lacks.
    fn compare(&mut self, window: &Window, tip: u32) -> Result<()> {
        for height in window.heights(tip) {
            for (_, shown) in window.shown(height) {
                for candidate in &shown.candidates {
                    let place = (height, candidate.vtxindex);
                    if self.recent.contains_key(&place) {
                        continue;
                    }
                    if self.indexed.candidate(place.0, place.1)?.is_none() {
                        let logs = window.lacking(height, candidate.vtxindex);
                        let names = self.shared.lock().names(&logs);
                        self.name_lacking(height, logs, "another log shows");
                        if self
                            .hole
                            .as_ref()
                            .is_none_or(|(lowest, _)| height < *lowest)
                        {
                            self.hole = Some((height, names));
                        }
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// The candidates of a block, out of all logs.
    pub(super) fn show(&mut self, height: u32) -> Result<Event> {
        let number = height / SEGMENT_BLOCKS;
        let is_held = self.windows.get(&number).is_some_and(|window| {
            (window.from..=window.to()).contains(&height)
                && self.header_chain().hash_at(window.to()) == Some(window.top)
        });
        let Some(window) = self.windows.remove(&number).filter(|_| is_held) else {
            self.request(number);
            return Ok(Event::Waiting(format!(
                "block {height} is being read from the logs"
            )));
        };
        let shown = self.join(&window, height);
        match shown {
            Ok(block) => {
                self.windows.insert(number, window);
                self.held = None;
                Ok(Event::ConnectCandidates(block))
            }
            Err((sha256, JoinError::Record(fault))) => {
                let mut state = self.shared.lock();
                state
                    .faults
                    .push((sha256, format!("block {height}: {fault}")));
                drop(state);
                self.request(number);
                Ok(Event::Waiting(format!(
                    "block {height} is being read from other logs"
                )))
            }
            Err((_, JoinError::Source(error))) => Err(error),
        }
    }

    /// Asks for a window, and waits a little.
    fn request(&mut self, number: u32) {
        let mut state = self.shared.lock();
        if !state.windows.iter().any(|window| window.number == number) {
            state.given.remove(&number);
            self.shared.notify();
            drop(self.shared.wait(state, PATIENCE));
        }
    }

    fn join(
        &mut self,
        window: &Window,
        height: u32,
    ) -> Result<CandidateBlock, (sha256::Hash, JoinError)> {
        let mut candidates: BTreeMap<u32, VirtualTransaction> = BTreeMap::new();
        for (segment, shown) in window.shown(height) {
            let joined = segment.join(shown, |height, vtxindex| self.earlier(height, vtxindex));
            let joined = joined.map_err(|error| (segment.sha256, error))?;
            for candidate in joined {
                candidates.entry(candidate.vtxindex).or_insert(candidate);
            }
        }
        self.note_lacking(window, height, &candidates);
        for (vtxindex, candidate) in &candidates {
            self.note_recent((height, *vtxindex), &candidate.transaction);
        }
        let about = window.header(height).expect("the window has the block");
        Ok(CandidateBlock {
            height,
            candidates: candidates.into_values().collect(),
            about,
        })
    }

    fn earlier(&self, height: u32, vtxindex: u32) -> Result<Option<Transaction>, JoinError> {
        if let Some(recent) = self.recent.get(&(height, vtxindex)) {
            return Ok(Some(recent.clone()));
        }
        self.indexed
            .candidate(height, vtxindex)
            .map_err(JoinError::Source)
    }

    /// Names logs that do not show what others do; their consensus hashes are not compared any more.
    fn note_lacking(
        &mut self,
        window: &Window,
        height: u32,
        candidates: &BTreeMap<u32, VirtualTransaction>,
    ) {
        if window.segments.len() < 2 {
            return;
        }
        let vtxindexes = candidates.keys();
        let lacking: BTreeSet<usize> = vtxindexes
            .flat_map(|vtxindex| window.lacking(height, *vtxindex))
            .collect();
        self.name_lacking(height, lacking, "another log shows");
    }

    /// Notes that logs leave something out; their consensus hashes are not compared any more.
    pub(super) fn name_lacking(&mut self, height: u32, lacking: BTreeSet<usize>, who: &str) {
        let mut state = self.shared.lock();
        for at in lacking {
            let Some(log) = state.logs.get_mut(at) else {
                continue;
            };
            if self.notes.lacking.insert(log.name.clone()) {
                let name = &log.name;
                tracing::warn!(
                    "the log {name} leaves out an operation of block {height} that {who}"
                );
            }
            log.lacks = true;
        }
    }

    /// Keeps a candidate that is given out until the index has it.
    pub(super) fn note_recent(&mut self, place: (u32, u32), transaction: &Transaction) {
        let oldest = place.0.saturating_sub(UNCOMMITTED);
        if self.recent.len() > RECENT {
            self.recent.retain(|(height, _), _| *height >= oldest);
        }
        self.recent.insert(place, transaction.clone());
    }

    /// A candidate that was given out lately.
    pub(super) fn recent_by_id(&self, txid: &Txid) -> Option<Transaction> {
        let mut recent = self.recent.values();
        recent
            .find(|recent| recent.compute_txid() == *txid)
            .cloned()
    }
}
