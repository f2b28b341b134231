//! The consensus hash of every block, derived in memory and compared with what is expected.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;

use crate::bns::Bns;
use crate::bns::state::State;
use crate::chain::SourceError;
use crate::hash::ConsensusHash;
use crate::virtualchain::{CandidateBlock, Snapshot, derive};

/// A block to replay, with the consensus hash that it came with, if it did.
pub type ReplayBlock = CandidateBlock<Option<ConsensusHash>>;

/// What a replay is to show.
#[derive(Debug, Default)]
pub struct Replay {
    /// The last block.
    pub until: u32,
    /// What is expected at some heights.
    pub expected: BTreeMap<u32, ConsensusHash>,
}

/// Why a replay ends early.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The blocks cannot be had.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A consensus hash is not the expected one.
    #[error("block {height}: expected consensus hash {expected}, found {found}")]
    Differs {
        /// The block.
        height: u32,
        /// What was expected.
        expected: ConsensusHash,
        /// What the rules say.
        found: ConsensusHash,
    },
    /// A list that was not used up would seem to be confirmed.
    #[error("block {0} is expected, but the chain has no such block")]
    NoSuchBlock(u32),
    /// The hashes cannot be shown.
    #[error(transparent)]
    Output(#[from] io::Error),
}

impl From<Infallible> for ReplayError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl Replay {
    /// Runs the rules over `blocks`, which begin with the first of the virtualchain. `show` gets the hashes of each
    /// block before they are compared.
    pub fn run(
        mut self,
        bns: &Bns,
        blocks: impl Iterator<Item = Result<ReplayBlock, SourceError>>,
        mut show: impl FnMut(u32, Snapshot) -> io::Result<()>,
    ) -> Result<(), ReplayError> {
        let first = bns.params().first_block;
        let count = self.until.saturating_add(1).saturating_sub(first) as usize;
        let blocks = blocks.take(count).map(|block| Ok(block?));
        let mut state = State::genesis(bns.params());
        let mut sink = state.sink(|block: &ReplayBlock, outcome| {
            show(block.height, outcome.snapshot)?;
            self.compare(block, outcome.snapshot.consensus_hash)
        });
        derive(bns, blocks, &mut sink)?;
        match self.expected.range(..=self.until).next() {
            None => Ok(()),
            Some((height, _)) => Err(ReplayError::NoSuchBlock(*height)),
        }
    }

    fn compare(&mut self, block: &ReplayBlock, found: ConsensusHash) -> Result<(), ReplayError> {
        let height = block.height;
        let listed = self.expected.remove(&height);
        let mut expected = [listed, block.about].into_iter().flatten();
        match expected.find(|expected| *expected != found) {
            None => Ok(()),
            Some(expected) => Err(ReplayError::Differs {
                height,
                expected,
                found,
            }),
        }
    }
}
