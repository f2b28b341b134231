//! Whether the rules lead where logs and pins say.

use std::collections::BTreeSet;

use super::shared::LogState;
use super::source::LightSource;
use super::window::Window;
use crate::chain::log::manifest::{SEGMENT_BLOCKS, SegmentEntry};
use crate::chain::{BlockRef, Result, SourceError};
use crate::hash::ConsensusHash;

impl LightSource {
    /// Compares the consensus hash at the tip with those of the logs that were compared with the index up to there, and with
    /// the pins up to it; `false` if the tip is not committed yet.
    pub(super) fn check_hashes(&mut self, tip: BlockRef) -> Result<bool> {
        let height = tip.height;
        let ends = self.ends_at(height);
        let from = self.pinned_to.map_or(0, |to| to.saturating_add(1));
        let pins = self
            .options
            .pins
            .iter()
            .filter(|(at, _)| (from..=height).contains(at));
        let pins: Vec<_> = pins.copied().collect();
        if ends.is_empty() && pins.is_empty() {
            return Ok(true);
        }
        let Some(ours) = self.indexed.consensus_hash(height)? else {
            return Ok(false);
        };
        for (log, _) in ends.iter().filter(|(_, theirs)| *theirs != ours) {
            let why = format!(
                "its operations lead to another consensus hash at block {height} than it says"
            );
            let mut state = self.shared.lock();
            if !state.wrong.iter().any(|(wrong, _)| wrong == log) {
                state.wrong.push((*log, why));
            }
        }
        for (height, expected) in pins {
            self.check_pin(height, expected)?;
        }
        self.pinned_to = Some(height);
        Ok(true)
    }

    /// The consensus hashes that logs name for the block at a height, of those whose segments up to there are all in the
    /// index.
    fn ends_at(&self, height: u32) -> Vec<(usize, ConsensusHash)> {
        if self.notes.full_from.is_some_and(|from| from <= height) {
            return Vec::new();
        }
        let state = self.shared.lock();
        let is_compared = |entry: &SegmentEntry| {
            let checked = state.checked.get(&(entry.from / SEGMENT_BLOCKS));
            let is_shown = |window: &Window| {
                let mut segments = window.segments.iter();
                segments.any(|segment| segment.sha256 == entry.sha256)
            };
            checked.is_some_and(|checked| checked.contains(&entry.sha256))
                || self.windows.values().any(is_shown)
        };
        let end = |(at, log): (usize, &LogState)| {
            let last = log.entries.binary_search_by_key(&height, |entry| entry.to);
            let upto = log.entries.get(..=last.ok()?)?; // few blocks end a segment: the rest is rarely asked
            let is_known = !log.lacks && upto.iter().all(is_compared);
            is_known.then_some((at, upto.last()?.consensus_hash))
        };
        state.logs.iter().enumerate().filter_map(end).collect()
    }

    /// An error if the rules did not arrive where a pin says. Whoever told of that block is left out.
    fn check_pin(&mut self, height: u32, expected: ConsensusHash) -> Result<()> {
        let Some(found) = self.indexed.consensus_hash(height)? else {
            return Ok(());
        };
        if found == expected {
            return Ok(());
        }
        let mut state = self.shared.lock();
        let telling = state.telling(height).filter(|(_, log)| !log.lacks);
        let logs: BTreeSet<usize> = telling.map(|(at, _)| at).collect();
        let source_names = state.names(&logs);
        let why =
            format!("it leads to another consensus hash at block {height} than `chain.pins` names");
        state
            .wrong
            .extend(logs.into_iter().map(|log| (log, why.clone())));
        drop(state);
        Err(SourceError::Pinned {
            height,
            expected,
            found,
            source_names,
        })
    }
}
