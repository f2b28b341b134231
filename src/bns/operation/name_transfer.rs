//! NAME_TRANSFER: gives a name to another script, with or without its zone file hash (sm §6.5).

use super::{Origin, Recipient, name_text};
use crate::bns::block::{Block, Refusal, ensure};
use crate::bns::record::{NameOp, NameRecord};
use crate::bns::reject::Reject;
use crate::bns::view::View;
use crate::hash::{ConsensusHash, NameHash128};
use crate::virtualchain::script;

/// `>`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameTransfer {
    /// Who sent it: the owner.
    pub origin: Origin,
    /// Whether the zone file hash stays.
    pub keep_data: bool,
    /// Which name.
    pub name_hash128: NameHash128,
    /// A recent consensus hash; the name may keep another one (quirk TRANSFER-CH).
    pub consensus_hash: ConsensusHash,
    /// The new owner.
    pub recipient: Recipient,
}

impl NameTransfer {
    pub(super) fn decide<V: View>(
        &self,
        block: &mut Block<'_, V>,
    ) -> Result<String, Refusal<V::Error>> {
        let before = self.check(block)?;
        // Quirk TRANSFER-CH: that of the last update in this life of the name, if there was one.
        let consensus_hash = before.update_consensus_hash.unwrap_or(self.consensus_hash);
        let record = NameRecord {
            sender: self.recipient.script.clone(),
            sender_pubkey: None,
            value_hash: before.value_hash.filter(|_| self.keep_data),
            consensus_hash: Some(consensus_hash),
            op: if self.keep_data {
                NameOp::TransferKeep
            } else {
                NameOp::TransferDrop
            },
            txid: self.origin.txid,
            vtxindex: self.origin.vtxindex,
            ..before
        };
        let mut text = name_text('>', &record, block.params.addresses);
        text.field(self.name_hash128)
            .field(consensus_hash)
            .boolean(self.keep_data);
        block.state.put_name(record)?;
        Ok(text.finish())
    }

    fn check<V: View>(&self, block: &Block<'_, V>) -> Result<NameRecord, Refusal<V::Error>> {
        let live = match block.state.name_by_hash128(&self.name_hash128)? {
            Some(name) => block.live_name(&name)?.filter(|record| !record.revoked),
            None => None,
        };
        let record = live.ok_or(Refusal::Reject(Reject::UnknownNameHash))?;
        let namespace = block.ready_namespace(record.name.namespace_id().as_ref())?;
        block.ensure_not_in_grace(&record, &namespace)?;
        block.ensure_recent(self.consensus_hash)?;
        ensure(
            self.origin.sender != self.recipient.script,
            Reject::TransferToSelf,
        )?;
        ensure(record.sender == self.origin.sender, Reject::NotOwner)?; // rule 7 follows by rule 5
        // Registrations of this block do not count here (rule 8).
        let held = block.owned_names(&self.recipient.script)?.len();
        ensure(
            held < block.params.max_names_per_sender,
            Reject::QuotaExceeded,
        )?;
        let from_p2sh = script::p2sh_hash(&self.origin.sender).is_some();
        ensure(
            block.epoch.features.multisig || !from_p2sh,
            Reject::MultisigNotEnabled,
        )?;
        Ok(record)
    }
}
