//! NAME_TRANSFER: gives a name to another script, with or without its zone file hash (sm §6.5).

use super::Decided;
use super::origin::Origin;
use super::outputs::Recipient;
use super::text::name_text;
use crate::bns::block::{Block, Checked, Refusal, ensure};
use crate::bns::record::{NameOp, NameRecord};
use crate::bns::reject::Reject;
use crate::bns::view::View;
use crate::bns::wire;
use crate::virtualchain::script;

/// `>`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameTransfer {
    /// Which name, and what becomes of its zone file hash.
    pub payload: wire::NameTransfer,
    /// The new owner.
    pub recipient: Recipient,
}

impl NameTransfer {
    pub(super) fn decide<V: View>(&self, origin: &Origin, block: &mut Block<'_, V>) -> Decided<V> {
        let before = self.check(origin, block)?;
        let keep_data = self.payload.keep_data;
        let op = if keep_data {
            NameOp::TransferKeep
        } else {
            NameOp::TransferDrop
        };
        // Quirk TRANSFER-CH: that of the last update in this life of the name, if there was one.
        let updated = before.update_consensus_hash;
        let consensus_hash = updated.unwrap_or(self.payload.consensus_hash);
        let record = NameRecord {
            sender: self.recipient.script.clone(),
            sender_pubkey: None,
            value_hash: before.value_hash.filter(|_| keep_data),
            consensus_hash: Some(consensus_hash),
            ..origin.touch(before, op)
        };
        let mut text = name_text('>', &record, block.params.addresses);
        text.hex(self.payload.name_hash128.as_bytes());
        text.hex(consensus_hash.as_bytes()).boolean(keep_data);
        block.state.put_name(record)?;
        Ok(text.finish())
    }

    /// sm §6.5. Returns the name's row.
    fn check<V: View>(&self, origin: &Origin, block: &Block<'_, V>) -> Checked<V, NameRecord> {
        let live = match block.state.name_by_hash128(&self.payload.name_hash128)? {
            Some(name) => block.live_name(&name)?.filter(|record| !record.revoked),
            None => None,
        };
        let record = live.ok_or(Refusal::Reject(Reject::UnknownNameHash))?;
        let namespace = block.ready_namespace(&record.name)?;
        block.ensure_not_in_grace(&record, &namespace)?;
        block.ensure_recent(self.payload.consensus_hash)?;
        let recipient = &self.recipient.script;
        ensure(origin.sender != *recipient, Reject::TransferToSelf)?;
        ensure(record.sender == origin.sender, Reject::NotOwner)?; // rule 7 follows by rule 5
        // Registrations of this block do not count here (rule 8).
        block.ensure_room(recipient, 0)?;
        let from_p2sh = script::p2sh_hash(&origin.sender).is_some();
        let multisig = block.epoch.features.multisig;
        ensure(multisig || !from_p2sh, Reject::MultisigNotEnabled)?;
        Ok(record)
    }
}
