//! NAME_REGISTRATION: reveals a preordered name and gives it to its owner (sm §6.2).

use super::payment::Payment;
use super::{Origin, Recipient, name_text, with_owner_again};
use crate::bns::block::{Block, Refusal, ensure};
use crate::bns::commitment::name_preorder_hash;
use crate::bns::life;
use crate::bns::name::Name;
use crate::bns::record::{
    Fee, NameOp, NameRecord, NamespaceRecord, Preorder, PreorderKind, TokenUnits,
};
use crate::bns::reject::Reject;
use crate::bns::view::View;
use crate::hash::ZonefileHash;

/// `:` with two or three outputs
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRegistration {
    /// Who sent it: the preorderer.
    pub origin: Origin,
    /// The name.
    pub name: Name,
    /// Zone file hash, from epoch 3 on.
    pub value_hash: Option<ZonefileHash>,
    /// The owner.
    pub recipient: Recipient,
}

impl NameRegistration {
    pub(super) fn decide<V: View>(
        &self,
        block: &mut Block<'_, V>,
    ) -> Result<String, Refusal<V::Error>> {
        let (preorder, namespace) = self.check(block)?;
        block.ensure_created_once(self.name.as_str())?; // sm §6.2 rule 14
        let record = self.record(block, &preorder, &namespace)?;
        block.count_registration(&self.recipient.script);
        block.state.remove_preorders(&preorder.preorder_hash)?;
        let versions = block.params.addresses;
        let text = with_owner_again(name_text(':', &record, versions), &record, versions);
        block.state.put_name(record)?;
        Ok(text)
    }

    /// Rules 1 to 13 of sm §6.2; the parser saw to 1, 12 and 13. Returns the preorder that it spends.
    pub(in crate::bns) fn check<V: View>(
        &self,
        block: &Block<'_, V>,
    ) -> Result<(Preorder, NamespaceRecord), Refusal<V::Error>> {
        let live = block.live_name(&self.name)?;
        ensure(
            !live.as_ref().is_some_and(|record| record.revoked),
            Reject::NameRevoked,
        )?;
        let namespace = block.ready_namespace(self.name.namespace_id().as_ref())?;
        block.ensure_quota(&self.recipient.script)?;
        let multisig = block.epoch.features.multisig;
        ensure(
            multisig || !self.recipient.address.is_p2sh(),
            Reject::MultisigNotEnabled,
        )?;
        ensure(live.is_none(), Reject::NameRegistered)?; // rules 6 and 8
        let preorder = self.spent_preorder(block)?;
        self.check_age(block, &preorder, &namespace)?;
        ensure(
            preorder.sender == self.origin.sender,
            Reject::NoMatchingPreorder,
        )?;
        let paid_in_tokens = preorder.token_units == TokenUnits::Stacks;
        let payment = Payment {
            burn_address: preorder.burn_address,
            op_fee: preorder.op_fee,
            tokens: paid_in_tokens.then_some(preorder.token_fee),
            price_height: preorder.block_number,
        };
        payment.check(block, &self.name, &namespace)?;
        Ok((preorder, namespace))
    }

    /// Rule 6: the unspent preorder that commits to this name, sender and owner.
    fn spent_preorder<V: View>(&self, block: &Block<'_, V>) -> Result<Preorder, Refusal<V::Error>> {
        let owner = self.recipient.address.encode(block.params.addresses);
        let hash = name_preorder_hash(&self.name, &self.origin.sender, &owner);
        let rows = block
            .state
            .preorders(&hash)?
            .into_iter()
            .filter(|row| row.kind == PreorderKind::Name);
        let oldest = rows.min_by_key(|row| (row.block_number, row.txid.to_string()));
        let unspent = !block.is_preorder_of_live_name(&hash)?;
        oldest
            .filter(|_| unspent)
            .ok_or(Refusal::Reject(Reject::NoMatchingPreorder))
    }

    /// Rules 6, 7 and 9: neither too old nor older than the namespace's ready.
    fn check_age<V: View>(
        &self,
        block: &Block<'_, V>,
        preorder: &Preorder,
        namespace: &NamespaceRecord,
    ) -> Result<(), Refusal<V::Error>> {
        // The limit is added to the wrong side (history §5, NO-PREORDER-EXPIRY).
        let term = life::term(block.params, namespace, block.last);
        let made = u64::from(preorder.block_number);
        ensure(made + term > u64::from(block.last), Reject::PreorderExpired)?;
        let limit = made + u64::from(block.params.name_preorder_expire);
        let enforced = block.epoch.features.enforce_name_preorder_expiry;
        ensure(
            !enforced || limit >= u64::from(block.height),
            Reject::PreorderExpired,
        )?;
        ensure(
            preorder.block_number >= namespace.ready_block,
            Reject::PreorderedBeforeReady,
        )
    }

    fn record<V: View>(
        &self,
        block: &Block<'_, V>,
        preorder: &Preorder,
        namespace: &NamespaceRecord,
    ) -> Result<NameRecord, V::Error> {
        let former = block.state.name(&self.name)?;
        Ok(NameRecord {
            name: self.name.clone(),
            preorder_hash: preorder.preorder_hash,
            value_hash: self.value_hash,
            sender: self.recipient.script.clone(),
            sender_pubkey: preorder.sender_pubkey.clone(), // history §5, REG-PUBKEY
            block_number: former.map_or(preorder.block_number, |record| record.block_number),
            preorder_block_number: preorder.block_number,
            namespace_block_number: namespace.block_number,
            first_registered: block.height,
            last_renewed: block.height,
            revoked: false,
            op: NameOp::Register,
            txid: self.origin.txid,
            vtxindex: self.origin.vtxindex,
            op_fee: Fee::Satoshi(preorder.op_fee),
            importer: None,
            importer_address: None,
            consensus_hash: None,
            update_consensus_hash: None,
            token_fee: preorder.token_fee,
        })
    }
}
