//! The way from a trusted consensus hash down to the ops hash of an earlier height (ch §6).

use std::collections::BTreeMap;

use crate::hash::{ConsensusHash, OpsHash};
use crate::virtualchain::snapshot::previous_heights;

/// What is known on the way.
pub(super) struct Descent {
    first_block: u32,
    known: BTreeMap<u32, ConsensusHash>,
    /// The heights from which there was a step.
    stepped: BTreeMap<u32, OpsHash>,
}

/// A step that is due.
pub(super) struct Step<'a> {
    /// The height that it is from; its hash is known.
    pub(super) height: u32,
    /// Those of the heights that ch §3 folds whose hashes are still to come, newest first.
    pub(super) unknown: &'a [u32],
    /// The hashes that are known; those of `unknown` have to be added.
    pub(super) known: &'a mut BTreeMap<u32, ConsensusHash>,
    first_block: u32,
}

impl Descent {
    /// A descent that begins with the hash of `height`.
    pub(super) fn new(first_block: u32, height: u32, trusted: ConsensusHash) -> Self {
        Self {
            first_block,
            known: BTreeMap::from([(height, trusted)]),
            stepped: BTreeMap::new(),
        }
    }

    /// Makes every step that is missing on the way to `target`, which is neither above the beginning nor below the first
    /// block; gives its ops hash. Each step is at most twice as long as what is left, so there are at most 64.
    pub(super) fn to<E>(
        &mut self,
        target: u32,
        mut make: impl FnMut(&mut Step<'_>) -> Result<OpsHash, E>,
    ) -> Result<OpsHash, E> {
        loop {
            let lowest = self.known.range(target..).next();
            let height = *lowest.expect("the beginning is not below the target").0;
            let ops_hash = match self.stepped.get(&height) {
                Some(ops_hash) => *ops_hash,
                None => self.step(height, &mut make)?,
            };
            if height == target {
                return Ok(ops_hash);
            }
        }
    }

    fn step<E>(
        &mut self,
        height: u32,
        make: &mut impl FnMut(&mut Step<'_>) -> Result<OpsHash, E>,
    ) -> Result<OpsHash, E> {
        let previous = previous_heights(height, self.first_block);
        let unknown: Vec<u32> = previous
            .filter(|previous| !self.known.contains_key(previous))
            .collect();
        let ops_hash = make(&mut Step {
            height,
            unknown: &unknown,
            known: &mut self.known,
            first_block: self.first_block,
        })?;
        self.stepped.insert(height, ops_hash);
        Ok(ops_hash)
    }
}

impl Step<'_> {
    /// The hashes that ch §3 folds.
    pub(super) fn previous(&self) -> Vec<ConsensusHash> {
        let heights = previous_heights(self.height, self.first_block);
        heights
            .filter_map(|height| self.known.get(&height).copied())
            .collect()
    }
}
