//! What proofs are made from: both hashes of a block, and the texts of its accepted operations.

use redb::ReadableTable;

use super::error::Result;
use super::row::StoredDecision;
use super::table::Bytes;
use super::view::StateReader;
use crate::virtualchain::Snapshot;
use crate::virtualchain::proof::ProofView;

impl<T: ReadableTable<Bytes, Bytes>> ProofView for StateReader<T> {
    fn hashes(&self, height: u32) -> Result<Option<Snapshot>> {
        Ok(self.block(height)?.map(|block| Snapshot {
            ops_hash: block.ops_hash,
            consensus_hash: block.consensus_hash,
        }))
    }

    fn texts(&self, height: u32) -> Result<Vec<String>> {
        let operations = self.operations_at(height)?.into_iter();
        let texts = operations.filter_map(|operation| match operation.decision {
            StoredDecision::Accepted { serialized } => serialized,
            _ => None,
        });
        Ok(texts.collect())
    }
}
