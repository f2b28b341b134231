//! Whether the source's chain parted from the index's too deep to be undone.
//!
//! The blocks at depths 1, 2, 4, 8 ... below the tip are compared with the source's, so that a fork that cannot be
//! undone is found before anything is done. A block's hash covers all below it, so the first depth at which both
//! agree is the last that is compared: at almost every block that is one question. If they part beyond the undo
//! depth, halving the distance finds the highest block that both share.

use crate::chain::{BlockRef, ChainSource};
use crate::store::StoreSnapshot;

use super::error::IndexError;

/// The index's side of the comparison.
pub(super) struct ForkCheck<'a> {
    /// What is indexed.
    pub(super) indexed: &'a StoreSnapshot,
    /// Where the virtualchain begins.
    pub(super) first_block: u32,
    /// How many blocks can be undone.
    pub(super) undo_depth: u32,
}

impl ForkCheck<'_> {
    /// Compares with `source`, which has blocks up to the height `reach`; an error if they parted too deep.
    pub(super) fn run(&self, source: &mut dyn ChainSource, reach: u32) -> Result<(), IndexError> {
        let Some(tip) = self.indexed.tip() else {
            return Ok(());
        };
        let mut parted = None;
        let depths = std::iter::successors(Some(1u32), |depth| depth.checked_mul(2));
        let heights = depths.map_while(|depth| tip.height.checked_sub(depth));
        let held = heights.take_while(|height| *height >= self.first_block);
        for height in held.skip_while(|height| *height > reach) {
            match self.is_shared(source, height)? {
                Some(true) => return self.check_depth(source, tip.height, height, parted),
                Some(false) => parted = Some(height),
                None => break,
            }
        }
        let below_all = self.first_block.saturating_sub(1);
        self.check_depth(source, tip.height, below_all, parted)
    }

    /// Whether the indexed block at a height is on the source's best chain; `None` if none is indexed there.
    fn is_shared(
        &self,
        source: &mut dyn ChainSource,
        height: u32,
    ) -> Result<Option<bool>, IndexError> {
        let Some(block) = self.indexed.block(height)? else {
            return Ok(None);
        };
        let hash = block.hash;
        Ok(Some(source.holds(BlockRef { height, hash })?))
    }

    /// Both chains agree at `shared` and not at `parted` above it, if that was found; an error if the place where
    /// they part, between the two, is too deep.
    fn check_depth(
        &self,
        source: &mut dyn ChainSource,
        tip: u32,
        mut shared: u32,
        parted: Option<u32>,
    ) -> Result<(), IndexError> {
        let Some(mut parted) = parted.filter(|_| tip - shared > self.undo_depth) else {
            return Ok(());
        };
        while parted - shared > 1 {
            let height = shared + (parted - shared) / 2;
            if self.is_shared(source, height)?.unwrap_or(true) {
                shared = height;
            } else {
                parted = height;
            }
        }
        let (fork, depth, undo_depth) = (shared, tip - shared, self.undo_depth);
        match fork {
            _ if depth <= undo_depth => Ok(()),
            _ if fork < self.first_block => Err(IndexError::OtherChain(self.first_block)),
            _ => Err(IndexError::DeepFork {
                fork,
                depth,
                undo_depth,
            }),
        }
    }
}
