//! What it takes to bring a database of an earlier format up to date.

use std::ops::Bound;

use super::error::StoreError;
use super::key;
use super::row::CandidatesHasher;
use super::table::{Tables, WriteTable};

/// From format 1 to 2: every row of `blocks` gets the hash over the block's candidates.
pub(super) fn hash_candidates(tables: &mut Tables<WriteTable<'_>>) -> Result<(), StoreError> {
    let everything = (Bound::Unbounded, Bound::Unbounded);
    let rows = tables.blocks.range(everything, usize::MAX, |key, row| {
        Some((key::number(key)?, row.to_vec()))
    })?;
    for (height, mut row) in rows {
        let block = key::height(height);
        let mut hasher = CandidatesHasher::new();
        tables.operations.prefixed(&block, |rest, row| {
            hasher.add(key::number(rest)?, row);
            Some(())
        })?;
        row.extend(hasher.finish());
        tables.blocks.put(&block, &mut row)?;
    }
    Ok(())
}
