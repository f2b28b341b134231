//! TOKEN_TRANSFER: moves tokens between accounts (sm §6.12).

use super::name_preorder::STACKS;
use super::{Origin, Recipient};
use crate::bns::block::{Block, Refusal, ensure};
use crate::bns::record::Account;
use crate::bns::reject::Reject;
use crate::bns::view::View;
use crate::hash::ConsensusHash;
use crate::virtualchain::serialize::Serializer;

/// `$`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenTransfer {
    /// Who sent it.
    pub origin: Origin,
    /// A recent consensus hash.
    pub consensus_hash: ConsensusHash,
    /// Token type.
    pub token_type: Vec<u8>,
    /// µSTX.
    pub amount: u64,
    /// Free bytes.
    pub scratch_area: Vec<u8>,
    /// Who receives them.
    pub recipient: Recipient,
}

impl TokenTransfer {
    pub(super) fn decide<V: View>(
        &self,
        block: &mut Block<'_, V>,
    ) -> Result<String, Refusal<V::Error>> {
        self.check(block)?;
        block.debit(&self.origin.address, self.amount)?;
        let account = block.state.account(&self.recipient.address)?;
        let mut account = account.unwrap_or(Account::new(self.recipient.address));
        account.credit_value = account.credit_value.saturating_add(u128::from(self.amount));
        block.state.put_account(account)?;
        Ok(self.text(block))
    }

    fn check<V: View>(&self, block: &Block<'_, V>) -> Result<(), Refusal<V::Error>> {
        ensure(self.amount > 0, Reject::ZeroAmount)?;
        ensure(
            self.origin.address != self.recipient.address,
            Reject::TransferToSelf,
        )?;
        let zero =
            self.consensus_hash.0 == [0; 16] && block.epoch.features.zero_consensus_hash_transfer;
        if !zero {
            block.ensure_recent(self.consensus_hash)?;
        }
        ensure(self.token_type == STACKS, Reject::NoTokenAccount)?;
        let account = block.funded_account(&self.origin.address, self.amount)?;
        ensure(
            block.height >= account.lock_transfer_block_id,
            Reject::TokensLocked,
        )?;
        let recipient = block.state.account(&self.recipient.address)?;
        let accepts = recipient.is_none_or(|account| account.receive_whitelisted);
        ensure(accepts, Reject::RecipientNotWhitelisted)
    }

    /// ch §1, `$`.
    fn text<V: View>(&self, block: &Block<'_, V>) -> String {
        let versions = block.params.addresses;
        let mut text = Serializer::new('$');
        text.hex(&self.origin.sender)
            .field(self.origin.address.encode(versions));
        text.hex(&self.recipient.script)
            .field(self.recipient.address.encode(versions));
        text.field("STACKS")
            .field(self.amount)
            .field(block.height)
            .field('$');
        text.field(self.origin.txid)
            .field(self.origin.vtxindex)
            .field(self.consensus_hash);
        text.hex(&self.scratch_area);
        text.finish()
    }
}
