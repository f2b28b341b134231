//! TOKEN_TRANSFER: moves tokens between accounts (sm §6.12).

use super::Decided;
use super::name_preorder::STACKS;
use super::origin::Origin;
use super::outputs::Recipient;
use crate::bns::block::{Block, Checked, ensure};
use crate::bns::record::Account;
use crate::bns::reject::Reject;
use crate::bns::view::View;
use crate::bns::wire;
use crate::virtualchain::serialize::Serializer;

/// `$`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenTransfer {
    /// What is sent.
    pub payload: wire::TokenTransfer,
    /// Who receives them.
    pub recipient: Recipient,
}

impl TokenTransfer {
    pub(super) fn decide<V: View>(&self, origin: &Origin, block: &mut Block<'_, V>) -> Decided<V> {
        let amount = self.payload.amount;
        self.check(origin, block)?;
        block.debit(&origin.address, amount)?;
        let account = block.state.account(&self.recipient.address)?;
        let mut account = account.unwrap_or(Account::new(self.recipient.address));
        account.credit_value = account.credit_value.saturating_add(u128::from(amount));
        block.state.put_account(account)?;
        Ok(self.text(origin, block))
    }

    /// sm §6.12.
    fn check<V: View>(&self, origin: &Origin, block: &Block<'_, V>) -> Checked<V> {
        let payload = &self.payload;
        let recipient = &self.recipient.address;
        ensure(payload.amount > 0, Reject::ZeroAmount)?;
        ensure(origin.address != *recipient, Reject::TransferToSelf)?;
        let zeros = payload.consensus_hash.0 == [0; 16];
        if !(zeros && block.epoch.features.zero_consensus_hash_transfer) {
            block.ensure_recent(payload.consensus_hash)?;
        }
        ensure(payload.token_type == STACKS, Reject::NoTokenAccount)?;
        let account = block.funded_account(&origin.address, payload.amount)?;
        let unlocked = block.height >= account.lock_transfer_block_id;
        ensure(unlocked, Reject::TokensLocked)?;
        let recipient = block.state.account(recipient)?;
        let accepts = recipient.is_none_or(|account| account.receive_whitelisted);
        ensure(accepts, Reject::RecipientNotWhitelisted)
    }

    /// ch §1, `$`.
    fn text<V: View>(&self, origin: &Origin, block: &Block<'_, V>) -> String {
        let (payload, versions) = (&self.payload, block.params.addresses);
        let mut text = Serializer::new('$');
        text.hex(&origin.sender);
        text.field(origin.address.encode(versions));
        text.hex(&self.recipient.script);
        text.field(self.recipient.address.encode(versions));
        text.field("STACKS").field(payload.amount);
        text.field(block.height).field('$');
        text.field(origin.txid).field(origin.vtxindex);
        text.field(payload.consensus_hash)
            .hex(&payload.scratch_area);
        text.finish()
    }
}
