//! Whether those who write operations see the history that we see ([`crate::bns::vouching`]), while blocks are not read
//! whole.

use crate::bns::Params;
use crate::bns::vouching::{Fate, SHOWN_AT_START, Vouching};
use crate::progress::Known;
use crate::store::{StoreError, StoreSnapshot, StoredDecision};

/// Follows what is stored.
pub(super) struct Witnesses {
    vouching: Vouching,
    /// The next block to look at.
    next: u32,
}

impl Witnesses {
    /// Nothing was looked at yet.
    pub(super) fn new(params: Params) -> Self {
        Self {
            vouching: Vouching::new(params),
            next: 0,
        }
    }

    /// Looks at the blocks that were stored since, which come from `sources`, and adds what they tell to `known`.
    pub(super) fn add(
        &mut self,
        stored: &StoreSnapshot,
        first_block: u32,
        sources: &str,
        known: &mut Known,
    ) -> Result<(), StoreError> {
        let Some(tip) = stored.tip() else {
            return Ok(());
        };
        let least = tip.height.saturating_sub(SHOWN_AT_START - 1);
        for height in self.next.max(least).max(first_block)..=tip.height {
            let operations = stored.operations_at(height)?;
            let told = operations
                .iter()
                .filter_map(|operation| Some((&operation.candidate, fate(&operation.decision)?)));
            self.vouching.block(height, told, stored)?;
        }
        self.next = tip.height.saturating_add(1);
        known.vouched = self.vouching.vouched();
        known.alarm = self.vouching.alarm().map(|alarm| alarm.message(sources));
        Ok(())
    }

    /// Forgets the block at `height` and all above it.
    pub(super) fn undo(&mut self, height: u32) {
        self.vouching.undo(height);
        self.next = self.next.min(height);
    }
}

fn fate(decision: &StoredDecision) -> Option<Fate<'_>> {
    match decision {
        StoredDecision::Accepted { serialized } => Some(Fate::Accepted(serialized.as_deref())),
        StoredDecision::Rejected { .. } => Some(Fate::Refused),
        StoredDecision::Ignored | StoredDecision::Unparseable { .. } => None,
    }
}
