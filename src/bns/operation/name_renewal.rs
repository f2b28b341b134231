//! NAME_RENEWAL: pays for another term; from epoch 3 on it may also transfer and update (sm §6.3).

use super::Decided;
use super::origin::Origin;
use super::outputs::Recipient;
use super::payment::{Payment, ensure_funded};
use super::text::owner_text;
use crate::bns::address::Address;
use crate::bns::block::{Block, Checked, Refusal, ensure};
use crate::bns::record::{Fee, NameOp, NameRecord};
use crate::bns::reject::Reject;
use crate::bns::view::View;
use crate::bns::wire;

/// `:` with four or more outputs
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRenewal {
    /// The name, and from epoch 3 on a new zone file hash.
    pub payload: wire::NameRegistration,
    /// The owner afterwards.
    pub recipient: Recipient,
    /// Where the fee goes; `None` for native segwit, which is never right.
    pub burn_address: Option<Address>,
    /// The fee in satoshi.
    pub op_fee: u64,
}

impl NameRenewal {
    /// µSTX, 0 if it is paid in bitcoin.
    pub fn tokens(&self) -> u64 {
        self.payload.tokens.unwrap_or(0)
    }

    pub(super) fn decide<V: View>(&self, origin: &Origin, block: &mut Block<'_, V>) -> Decided<V> {
        let before = self.check(origin, block)?;
        let record = NameRecord {
            sender: self.recipient.script.clone(),
            last_renewed: block.height,
            op_fee: if before.is_imported() {
                Fee::Float(self.op_fee as f64) // quirk FLOAT-FEE
            } else {
                Fee::Satoshi(self.op_fee)
            },
            value_hash: self.payload.value_hash.or(before.value_hash),
            token_fee: self.tokens(),
            ..origin.touch(before, NameOp::Renew)
        };
        block.debit(&origin.address, self.tokens())?;
        let text = owner_text(':', &record, block.params.addresses);
        block.state.put_name(record)?;
        Ok(text)
    }

    /// sm §6.3. The grace period is not checked: renewals are what it is for. Returns the name's row.
    fn check<V: View>(&self, origin: &Origin, block: &Block<'_, V>) -> Checked<V, NameRecord> {
        let name = &self.payload.name;
        let recipient = &self.recipient.script;
        let separate = block.epoch.features.renew_transfer_update;
        let to_self = *recipient == origin.sender;
        ensure(separate || to_self, Reject::SenderRecipientMismatch)?;
        let live = block.live_name(name)?;
        let revoked = live.as_ref().is_some_and(|record| record.revoked);
        ensure(!revoked, Reject::NameRevoked)?;
        let namespace = block.ready_namespace(name)?;
        block.ensure_quota(recipient)?; // quirk QUOTA-SELF
        let record = live.ok_or(Refusal::Reject(Reject::NameNotLive))?;
        ensure(record.sender == origin.sender, Reject::NotOwner)?; // rule 7 follows by rule 2
        let unpaid = Refusal::Reject(Reject::InsufficientPayment);
        let tokens = Some(self.tokens()).filter(|tokens| *tokens > 0);
        let payment = Payment {
            burn_address: self.burn_address.ok_or(unpaid)?,
            op_fee: self.op_fee,
            tokens,
            price_height: block.height,
        };
        payment.check(block, name, &namespace)?;
        tokens.map_or(Ok(()), |tokens| {
            ensure_funded(block, &origin.address, tokens)
        })?;
        Ok(record)
    }
}
