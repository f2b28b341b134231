//! The candidates of indexed blocks by place and by id ([`Indexed`]).
//!
//! The database finds a candidate by its place. By id it is found here: the first eight bytes of each id are kept in memory
//! with the place, about 25 bytes a candidate, and what the database has there is compared. The list is built with the
//! first question and follows the database with each; it is built again where blocks were taken back, because the same
//! blocks may have come again with operations that they lacked.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use bitcoin::hashes::Hash as _;
use bitcoin::{Transaction, Txid};

use crate::chain::{Indexed, Result, SourceError};
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
    /// The last block whose candidates are in the list.
    reached: Option<u32>,
    /// [`Store::undone`] when the list was begun.
    undone: u64,
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
        let undone = self.store.undone();
        let snapshot = self.store.snapshot();
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.undone != undone {
            *places = Places {
                undone,
                ..Places::default()
            };
        }
        places.follow(self.store.chain().first_block, &snapshot)?;
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
    /// Brings the list to the tip of `snapshot`. What it has of blocks above that is not found there.
    fn follow(&mut self, first_block: u32, snapshot: &StoreSnapshot) -> Result<(), StoreError> {
        let Some(tip) = snapshot.tip() else {
            return Ok(());
        };
        let reached = self.reached;
        let mut next = reached.map_or(first_block, |height| height.saturating_add(1));
        while next <= tip.height {
            let last = tip.height.min(next.saturating_add(RUN - 1));
            let candidates = snapshot.candidates_between(next, last)?.into_iter();
            let places = candidates.map(|(height, at, txid)| (prefix(&txid), height, at));
            self.known.extend(places);
            self.reached = Some(last);
            next = last.saturating_add(1);
        }
        Ok(())
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
