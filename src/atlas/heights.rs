//! At which height a consensus hash was: the blocks of the database, arranged the other way round.
//!
//! The database has no such index, since only light clients of others ask for it. It is made in memory when somebody first
//! does, from what a snapshot has, and follows the chain from then on. It holds eight bytes of each hash; the block says
//! whether the rest is the same.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::hash::ConsensusHash;
use crate::store::{StoreError, StoreSnapshot};

/// The index.
#[derive(Default)]
pub(super) struct Heights(Mutex<Index>);

#[derive(Default)]
struct Index {
    /// What begins the hashes of the heights from the first block on.
    by_height: Vec<u64>,
    heights: HashMap<u64, u32>,
}

impl Heights {
    /// The height of a consensus hash, `None` if no indexed block has it. The first question takes as long as it takes to read
    /// all blocks.
    pub(super) fn of(
        &self,
        hash: &ConsensusHash,
        snapshot: &StoreSnapshot,
        first_block: u32,
    ) -> Result<Option<u32>, StoreError> {
        let mut index = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        index.follow(snapshot, first_block)?;
        let Some(&height) = index.heights.get(&start_of(hash)) else {
            return Ok(None);
        };
        let block = snapshot.block(height)?;
        Ok(block
            .filter(|block| block.consensus_hash == *hash)
            .map(|_| height))
    }
}

impl Index {
    /// Forgets what the chain no longer has, and reads what it has beyond.
    fn follow(&mut self, snapshot: &StoreSnapshot, first_block: u32) -> Result<(), StoreError> {
        let read = |place: usize| {
            let block = snapshot.block(first_block + place as u32)?;
            Ok::<_, StoreError>(block.map(|block| start_of(&block.consensus_hash)))
        };
        while let Some(&last) = self.by_height.last()
            && read(self.by_height.len() - 1)? != Some(last)
        {
            self.by_height.pop();
            self.heights.remove(&last);
        }
        while let Some(start) = read(self.by_height.len())? {
            self.heights
                .insert(start, first_block + self.by_height.len() as u32);
            self.by_height.push(start);
        }
        Ok(())
    }
}

fn start_of(hash: &ConsensusHash) -> u64 {
    let (start, _) = hash.0.split_first_chunk().expect("sixteen bytes");
    u64::from_be_bytes(*start)
}
