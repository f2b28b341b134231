//! NAME_UPDATE: sets the zone file hash of a name that is only named by a hash (sm §6.4).

use super::Decided;
use super::origin::Origin;
use super::text::name_text;
use crate::bns::block::{Block, Checked, Refusal, ensure};
use crate::bns::commitment::update_hash;
use crate::bns::record::{NameOp, NameRecord};
use crate::bns::reject::Reject;
use crate::bns::view::View;
use crate::bns::wire::NameUpdate;
use crate::hash::ConsensusHash;

impl NameUpdate {
    pub(super) fn decide<V: View>(&self, origin: &Origin, block: &mut Block<'_, V>) -> Decided<V> {
        let (before, consensus_hash) = self.check(origin, block)?;
        let record = NameRecord {
            value_hash: Some(self.value_hash),
            consensus_hash: Some(consensus_hash),
            update_consensus_hash: Some(consensus_hash),
            ..origin.touch(before, NameOp::Update)
        };
        let mut text = name_text('+', &record, block.params.addresses);
        text.field(self.update_hash).field(consensus_hash);
        block.state.put_name(record)?;
        Ok(text.finish())
    }

    /// sm §6.4. Returns the name that is meant, and the consensus hash that its sender quoted.
    fn check<V: View>(
        &self,
        origin: &Origin,
        block: &Block<'_, V>,
    ) -> Checked<V, (NameRecord, ConsensusHash)> {
        let owned = block.owned_names(&origin.sender)?;
        let most = block.params.max_names_per_sender;
        ensure(owned.len() <= most, Reject::QuotaExceeded)?;
        let found = self.find(owned, block.recent_consensus_hashes());
        let (record, consensus_hash) = found.ok_or(Refusal::Reject(Reject::UnknownNameHash))?;
        let namespace = block.ready_namespace(&record.name)?;
        block.ensure_not_in_grace(&record, &namespace)?;
        Ok((record, consensus_hash))
    }

    /// The newest hashes are quoted most; no two pairs of name and hash give the same update hash.
    fn find(
        &self,
        owned: Vec<NameRecord>,
        recent: &[ConsensusHash],
    ) -> Option<(NameRecord, ConsensusHash)> {
        let meant = |hash, record: &NameRecord| update_hash(&record.name, hash) == self.update_hash;
        let (index, hash) = recent.iter().find_map(|&hash| {
            let index = owned.iter().position(|record| meant(hash, record))?;
            Some((index, hash))
        })?;
        Some((owned.into_iter().nth(index)?, hash))
    }
}
