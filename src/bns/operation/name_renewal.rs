//! NAME_RENEWAL: pays for another term; from epoch 3 on it may also transfer and update (sm §6.3).

use super::payment::{Payment, ensure_funded};
use super::{Origin, Recipient, fee_of_kind, name_text, with_owner_again};
use crate::bns::address::Address;
use crate::bns::block::{Block, Refusal, ensure};
use crate::bns::name::Name;
use crate::bns::record::{NameOp, NameRecord};
use crate::bns::reject::Reject;
use crate::bns::view::View;
use crate::hash::ZonefileHash;

/// `:` with four or more outputs
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRenewal {
    /// Who sent it: the owner.
    pub origin: Origin,
    /// The name.
    pub name: Name,
    /// New zone file hash, from epoch 3 on.
    pub value_hash: Option<ZonefileHash>,
    /// µSTX, 0 if paid in bitcoin.
    pub tokens: u64,
    /// The owner afterwards.
    pub recipient: Recipient,
    /// Where the fee goes; `None` for native segwit, which is never right.
    pub burn_address: Option<Address>,
    /// The fee in satoshi.
    pub op_fee: u64,
}

impl NameRenewal {
    pub(super) fn decide<V: View>(
        &self,
        block: &mut Block<'_, V>,
    ) -> Result<String, Refusal<V::Error>> {
        let before = self.check(block)?;
        let record = NameRecord {
            sender: self.recipient.script.clone(),
            last_renewed: block.height,
            op: NameOp::Renew,
            op_fee: fee_of_kind(&before, self.op_fee),
            value_hash: self.value_hash.or(before.value_hash),
            token_fee: self.tokens,
            txid: self.origin.txid,
            vtxindex: self.origin.vtxindex,
            ..before
        };
        block.debit(&self.origin.address, self.tokens)?;
        let versions = block.params.addresses;
        let text = with_owner_again(name_text(':', &record, versions), &record, versions);
        block.state.put_name(record)?;
        Ok(text)
    }

    /// sm §6.3. The grace period is not checked: renewals are what it is for.
    fn check<V: View>(&self, block: &Block<'_, V>) -> Result<NameRecord, Refusal<V::Error>> {
        let separate = block.epoch.features.renew_transfer_update;
        let to_self = self.recipient.script == self.origin.sender;
        ensure(separate || to_self, Reject::SenderRecipientMismatch)?;
        let live = block.live_name(&self.name)?;
        ensure(
            !live.as_ref().is_some_and(|record| record.revoked),
            Reject::NameRevoked,
        )?;
        let namespace = block.ready_namespace(self.name.namespace_id().as_ref())?;
        block.ensure_quota(&self.recipient.script)?; // quirk QUOTA-SELF
        let record = live.ok_or(Refusal::Reject(Reject::NameNotLive))?;
        ensure(record.sender == self.origin.sender, Reject::NotOwner)?; // rule 7 follows by rule 2
        let burn_address = self
            .burn_address
            .ok_or(Refusal::Reject(Reject::InsufficientPayment))?;
        let payment = Payment {
            burn_address,
            op_fee: self.op_fee,
            tokens: (self.tokens > 0).then_some(self.tokens),
            price_height: block.height,
        };
        payment.check(block, &self.name, &namespace)?;
        if self.tokens > 0 {
            ensure_funded(block, &self.origin.address, self.tokens)?;
        }
        Ok(record)
    }
}
