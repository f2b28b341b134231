//! NAME_UPDATE: sets the zone file hash of a name that is only named by a hash (sm §6.4).

use super::{Origin, name_text};
use crate::bns::block::{Block, Refusal, ensure};
use crate::bns::commitment::update_hash;
use crate::bns::record::{NameOp, NameRecord};
use crate::bns::reject::Reject;
use crate::bns::view::View;
use crate::hash::{ConsensusHash, UpdateHash, ZonefileHash};

/// `+`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameUpdate {
    /// Who sent it: the owner.
    pub origin: Origin,
    /// Commitment to the name and a recent consensus hash.
    pub update_hash: UpdateHash,
    /// The new zone file hash.
    pub value_hash: ZonefileHash,
}

impl NameUpdate {
    pub(super) fn decide<V: View>(
        &self,
        block: &mut Block<'_, V>,
    ) -> Result<String, Refusal<V::Error>> {
        let (before, consensus_hash) = self.check(block)?;
        let record = NameRecord {
            value_hash: Some(self.value_hash),
            consensus_hash: Some(consensus_hash),
            update_consensus_hash: Some(consensus_hash),
            op: NameOp::Update,
            txid: self.origin.txid,
            vtxindex: self.origin.vtxindex,
            ..before
        };
        let mut text = name_text('+', &record, block.params.addresses);
        text.field(self.update_hash).field(consensus_hash);
        block.state.put_name(record)?;
        Ok(text.finish())
    }

    fn check<V: View>(
        &self,
        block: &Block<'_, V>,
    ) -> Result<(NameRecord, ConsensusHash), Refusal<V::Error>> {
        let owned = block.owned_names(&self.origin.sender)?;
        ensure(
            owned.len() <= block.params.max_names_per_sender,
            Reject::QuotaExceeded,
        )?;
        // The newest hashes are quoted most; no two pairs of name and hash give the same update hash.
        let recent = block.recent_consensus_hashes().iter();
        let found = recent.copied().find_map(|hash| {
            let meant = |record: &&NameRecord| update_hash(&record.name, hash) == self.update_hash;
            owned
                .iter()
                .find(meant)
                .map(|record| (record.clone(), hash))
        });
        let (record, consensus_hash) = found.ok_or(Refusal::Reject(Reject::UnknownNameHash))?;
        let namespace = block.ready_namespace(record.name.namespace_id().as_ref())?;
        block.ensure_not_in_grace(&record, &namespace)?;
        Ok((record, consensus_hash))
    }
}
