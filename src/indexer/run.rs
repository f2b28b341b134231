//! The blocks that become one transaction while the index is far behind.
//!
//! A transaction writes each page of the database once, however many blocks change it, and readers and subscribers hear
//! of it once. Gathering ends soon enough that a stop is heard, that progress is seen, and that a crash costs little.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::bns::Params;
use crate::chain::{BlockRef, ChainSource, Event, candidates, place};
use crate::virtualchain::CandidateBlock;

/// Most blocks that were read whole, and most whose candidates the source had at hand.
const BLOCKS: (usize, usize) = (32, 1_000);
/// Most candidates, and bytes of them; what they change takes about twice as many. One block can hold more.
const CANDIDATES: (usize, usize) = (10_000, 8 << 20);
/// For how long blocks are gathered, so that progress is seen with a source that is slow.
const TIME: Duration = Duration::from_secs(2);

/// Blocks that follow each other.
pub(super) struct Run {
    blocks: Vec<CandidateBlock>,
    /// How many of them were read whole.
    whole: usize,
    candidates: usize,
    bytes: usize,
}

impl Run {
    /// A run that begins with this block.
    pub(super) fn from(first: CandidateBlock) -> Self {
        let mut run = Self {
            blocks: Vec::new(),
            whole: 0,
            candidates: 0,
            bytes: 0,
        };
        run.push(first);
        run
    }

    /// Adds what the source has behind the last block, as far as a run goes. What it says else, an error among it, is asked
    /// again by whoever goes on behind the run.
    pub(super) fn gather(
        mut self,
        source: &mut dyn ChainSource,
        params: &Params,
        stop: &AtomicBool,
    ) -> Vec<CandidateBlock> {
        let end = Instant::now() + TIME;
        while self.has_room() && Instant::now() < end && !stop.load(Ordering::Relaxed) {
            let Some(tip) = self.blocks.last().map(place) else {
                break;
            };
            match self.next(source, params, tip) {
                Some(block) if !params.is_after_end(block.height) => self.push(block),
                _ => break,
            }
        }
        self.blocks
    }

    fn next(
        &mut self,
        source: &mut dyn ChainSource,
        params: &Params,
        tip: BlockRef,
    ) -> Option<CandidateBlock> {
        match source.next(Some(tip), params.first_block).ok()? {
            Event::ConnectCandidates(block) => Some(block),
            Event::Connect(block) => {
                self.whole += 1;
                candidates(source, &block, params.magic).ok()
            }
            _ => None,
        }
    }

    fn has_room(&self) -> bool {
        self.blocks.len() < BLOCKS.1
            && self.whole + 1 < BLOCKS.0
            && self.candidates < CANDIDATES.0
            && self.bytes < CANDIDATES.1
    }

    fn push(&mut self, block: CandidateBlock) {
        for candidate in &block.candidates {
            let spent = candidate.prevouts.iter();
            let spent: usize = spent.map(|output| output.script_pubkey.len()).sum();
            let size = candidate.transaction.total_size();
            self.bytes += spent + size;
        }
        self.candidates += block.candidates.len();
        self.blocks.push(block);
    }
}
