//! The candidates of indexed blocks by place and by id ([`Indexed`]).
//!
//! The database finds a candidate by its place. By id it is found here: the first eight bytes of each id are kept in memory
//! with the place, about 25 bytes a candidate, and what the database has there is compared. The list is built with the
//! first question and follows the database with each, also back where blocks were undone.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bitcoin::hashes::Hash as _;
use bitcoin::{Transaction, Txid};

use crate::chain::{BlockRef, Indexed, Result, SourceError};
use crate::hash::ConsensusHash;
use crate::store::{Store, StoreError, StoreSnapshot};

/// Blocks whose candidates are read from the database at once.
const RUN: u32 = 1_000;

/// The candidates in a database.
pub struct IndexedCandidates {
    store: Arc<Store>,
    places: Mutex<Places>,
}

/// Where each candidate is, up to a block.
#[derive(Default)]
struct Places {
    /// First bytes of the id, height, position in the block.
    known: BTreeSet<(u64, u32, u32)>,
    /// The newest blocks that are in the list, as many as can be undone and one more.
    newest: VecDeque<BlockRef>,
}

impl IndexedCandidates {
    /// Those in `store`; nothing is read yet.
    pub fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            places: Mutex::default(),
        }
    }

    fn try_place_of(&self, txid: &Txid) -> Result<Option<(u32, u32)>, StoreError> {
        let snapshot = self.store.snapshot();
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.follow(&self.store, &snapshot)?;
        let prefix = prefix(txid);
        let alike = places
            .known
            .range((prefix, 0, 0)..=(prefix, u32::MAX, u32::MAX));
        for &(_, height, vtxindex) in alike {
            let found = snapshot.operation(height, vtxindex)?;
            if found.is_some_and(|found| found.candidate.txid == *txid) {
                return Ok(Some((height, vtxindex)));
            }
        }
        Ok(None)
    }
}

impl Places {
    /// Brings the list to the tip of `snapshot`.
    fn follow(&mut self, store: &Store, snapshot: &StoreSnapshot) -> Result<(), StoreError> {
        let Some(tip) = snapshot.tip() else {
            *self = Self::default();
            return Ok(());
        };
        let held = self.go_back(snapshot)?;
        let mut next = held.map_or(store.chain().first_block, |height| height.saturating_add(1));
        while next <= tip.height {
            let last = tip.height.min(next.saturating_add(RUN - 1));
            let candidates = snapshot.candidates_between(next, last)?.into_iter();
            let places = candidates.map(|(height, at, txid)| (prefix(&txid), height, at));
            self.known.extend(places);
            let kept = tip.height.saturating_sub(store.undo_depth());
            for height in next.max(kept)..=last {
                let block = snapshot.block(height)?;
                let hash = block.map(|block| block.hash);
                self.newest
                    .extend(hash.map(|hash| BlockRef { height, hash }));
            }
            next = last.saturating_add(1);
        }
        let most = store.undo_depth() as usize + 1;
        self.newest.drain(..self.newest.len().saturating_sub(most));
        Ok(())
    }

    /// Forgets what the database no longer has; gives the height that the list then reaches.
    fn go_back(&mut self, snapshot: &StoreSnapshot) -> Result<Option<u32>, StoreError> {
        let reached = self.newest.back().map(|at| at.height);
        while let Some(at) = self.newest.back() {
            let block = snapshot.block(at.height)?;
            if block.is_some_and(|block| block.hash == at.hash) {
                break;
            }
            self.newest.pop_back();
        }
        let held = self.newest.back().map(|at| at.height);
        match held {
            None => self.known.clear(), // another database, as after a rewind
            Some(held) if reached > Some(held) => {
                self.known.retain(|(_, height, _)| *height <= held);
            }
            Some(_) => {}
        }
        Ok(held)
    }
}

impl Indexed for IndexedCandidates {
    fn candidate(&self, height: u32, vtxindex: u32) -> Result<Option<Transaction>> {
        let operation = self.store.snapshot().operation(height, vtxindex);
        let operation = operation.map_err(|error| unreadable(&error))?;
        Ok(operation.map(|operation| operation.candidate.transaction))
    }

    fn place_of(&self, txid: &Txid) -> Result<Option<(u32, u32)>> {
        self.try_place_of(txid).map_err(|error| unreadable(&error))
    }

    fn consensus_hash(&self, height: u32) -> Result<Option<ConsensusHash>> {
        let block = self.store.snapshot().block(height);
        let block = block.map_err(|error| unreadable(&error))?;
        Ok(block.map(|block| block.consensus_hash))
    }
}

fn prefix(txid: &Txid) -> u64 {
    let first = txid.as_byte_array().first_chunk();
    u64::from_be_bytes(*first.expect("an id has 32 bytes"))
}

fn unreadable(error: &StoreError) -> SourceError {
    SourceError::Unavailable(format!(
        "the candidates of earlier blocks cannot be read: {error}"
    ))
}
