//! Historical behaviours that look like bugs and must be kept, where they need code of their own.
//!
//! The others of history §5 are a line in the rule that they bend, and are named there.

use super::record::NameRecord;
use crate::hash::ConsensusHash;

/// TRANSFER-CH: a transfer stores and hashes the consensus hash of the name's last update since its
/// registration or import, and only without such an update its own (sm §6.5).
///
/// Cause: the reference restores the field from the name's history. Renewals, transfers and revocations on
/// the way are skipped, so the record carries the one value that matters.
pub fn transfer_consensus_hash(record: &NameRecord, quoted: ConsensusHash) -> ConsensusHash {
    record.update_consensus_hash.unwrap_or(quoted)
}
