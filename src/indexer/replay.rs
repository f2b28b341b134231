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
        let until = bns.params().last_block.unwrap_or(u32::MAX).min(self.until);
        let count = until.saturating_add(1).saturating_sub(first) as usize;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bns::Params;

    /// Replays three blocks without operations; the hashes that were shown, and how it ended.
    fn replay(replay: Replay) -> (Vec<(u32, ConsensusHash)>, Result<(), ReplayError>) {
        let bns = Bns::new(Params::regtest());
        let first = bns.params().first_block;
        let blocks = (first..first + 3).map(|height| {
            Ok(ReplayBlock {
                height,
                candidates: Vec::new(),
                about: None,
            })
        });
        let mut shown = Vec::new();
        let result = replay.run(&bns, blocks, |height, hashes| {
            shown.push((height, hashes.consensus_hash));
            Ok(())
        });
        (shown, result)
    }

    #[test]
    fn it_ends_at_the_wanted_block_or_with_the_first_difference() {
        let first = Params::regtest().first_block;
        let until = |until| Replay {
            until,
            ..Replay::default()
        };
        let (all, result) = replay(until(u32::MAX));
        assert!(result.is_ok() && all.len() == 3, "{result:?}");
        assert_eq!(replay(until(first + 1)).0, all[..2]);
        assert!(replay(until(first - 1)).0.is_empty());

        let expect = |expected| Replay {
            until: u32::MAX,
            expected,
        };
        assert!(replay(expect(all.iter().copied().collect())).1.is_ok());
        let wrong = BTreeMap::from([(first + 1, ConsensusHash([0; 16]))]);
        let (shown, result) = replay(expect(wrong));
        let Err(ReplayError::Differs { height, found, .. }) = result else {
            panic!("{result:?}");
        };
        assert_eq!((height, found), all[1]);
        assert_eq!(
            shown,
            all[..2],
            "the block that differs is shown, none after it"
        );
        let beyond = BTreeMap::from([(first + 3, all[0].1)]);
        let result = replay(expect(beyond)).1;
        assert!(matches!(result, Err(ReplayError::NoSuchBlock(height)) if height == first + 3));
    }
}
