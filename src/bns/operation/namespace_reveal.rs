//! NAMESPACE_REVEAL: says which namespace was preordered and by which rules it goes (sm §6.8).

use super::Decided;
use super::origin::Origin;
use super::outputs::Recipient;
use crate::bns::address::AddressVersions;
use crate::bns::block::{Block, Checked, Refusal, ensure};
use crate::bns::commitment::namespace_preorder_hash;
use crate::bns::life;
use crate::bns::price;
use crate::bns::record::{NamespaceOp, NamespaceRecord, Preorder, PreorderKind, TokenUnits};
use crate::bns::reject::Reject;
use crate::bns::view::View;
use crate::bns::wire;
use crate::virtualchain::serialize::Serializer;

/// `&`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceReveal {
    /// The namespace and its rules.
    pub payload: wire::NamespaceReveal,
    /// The revealer, who imports and readies.
    pub recipient: Recipient,
}

impl NamespaceReveal {
    pub(super) fn decide<V: View>(&self, origin: &Origin, block: &mut Block<'_, V>) -> Decided<V> {
        let preorder = self.check(origin, block)?;
        block.ensure_created_once(self.payload.namespace_id.as_str())?; // sm §6.8 rule 8
        let record = self.record(origin, block, &preorder)?;
        block.state.remove_preorders(&preorder.preorder_hash)?;
        let text = namespace_text('&', &record, block.params.addresses).finish();
        block.state.put_namespace(record)?;
        Ok(text)
    }

    fn record<V: View>(
        &self,
        origin: &Origin,
        block: &Block<'_, V>,
        preorder: &Preorder,
    ) -> Result<NamespaceRecord, V::Error> {
        let payload = self.payload.clone();
        let former = block.state.namespace(&payload.namespace_id)?;
        Ok(NamespaceRecord {
            namespace_id: payload.namespace_id,
            preorder_hash: preorder.preorder_hash,
            version: payload.version,
            sender: origin.sender.clone(),
            sender_pubkey: origin.sender_pubkey_knowing(preorder.sender_pubkey.as_ref()),
            address: origin.address,
            recipient: self.recipient.script.clone(),
            recipient_address: self.recipient.address,
            block_number: former.map_or(preorder.block_number, |record| record.block_number),
            reveal_block: block.height,
            ready_block: 0,
            op: NamespaceOp::Reveal,
            op_fee: preorder.op_fee,
            token_fee: preorder.token_fee,
            txid: origin.txid,
            vtxindex: origin.vtxindex,
            lifetime: payload.lifetime,
            price: payload.price,
        })
    }

    /// Rules 2 to 7 of sm §6.8. Returns the preorder that it spends.
    pub(in crate::bns) fn check<V: View>(
        &self,
        origin: &Origin,
        block: &Block<'_, V>,
    ) -> Checked<V, Preorder> {
        let id = &self.payload.namespace_id;
        if let Some(namespace) = block.state.namespace(id)? {
            let revealed = life::is_revealed(block.params, &namespace, block.last);
            ensure(!revealed, Reject::NamespaceAlreadyRevealed)?;
            ensure(!life::is_ready(&namespace), Reject::NamespaceAlreadyReady)?;
        }
        let preorder = self.spent_preorder(origin, block)?;
        let features = &block.epoch.features;
        let supported = match self.payload.version {
            1 => true,
            2 => features.pay_to_creator,
            _ => features.namespace_pay_with_stacks,
        };
        ensure(supported, Reject::VersionNotSupported)?;
        let paid = match preorder.token_units {
            TokenUnits::Btc => preorder.op_fee,
            TokenUnits::Stacks => preorder.token_fee,
        };
        let price = price::namespace_price(id, block.epoch, preorder.token_units);
        let enough = price.is_none_or(|price| paid >= price);
        ensure(enough, Reject::InsufficientPayment)?;
        Ok(preorder)
    }

    /// Rules 4 and 5: the unspent preorder that commits to this namespace, sender and revealer.
    fn spent_preorder<V: View>(
        &self,
        origin: &Origin,
        block: &Block<'_, V>,
    ) -> Checked<V, Preorder> {
        let id = &self.payload.namespace_id;
        let revealer = self.recipient.address.encode(block.params.addresses);
        let hash = namespace_preorder_hash(id, &origin.sender, &revealer);
        let oldest = block.oldest_preorder(&hash, PreorderKind::Namespace)?;
        let spent = block.state.namespace_has_preorder(&hash)?;
        let preorder = oldest.filter(|row| !spent && row.sender == origin.sender);
        preorder.ok_or(Refusal::Reject(Reject::NoMatchingPreorder))
    }
}

/// The text that reveal and ready share (ch §1, `&`).
pub(super) fn namespace_text(
    opcode: char,
    row: &NamespaceRecord,
    versions: AddressVersions,
) -> Serializer {
    let mut text = Serializer::new(opcode);
    text.field(&row.namespace_id).field(row.preorder_hash);
    text.field(row.version).hex(&row.sender);
    text.optional_hex(row.sender_pubkey.as_deref());
    text.field(row.address.encode(versions)).hex(&row.recipient);
    text.field(row.recipient_address.encode(versions));
    text.field(row.block_number).field(row.reveal_block);
    text.field(opcode).field(row.txid).field(row.vtxindex);
    text.field(row.lifetime);
    text.field(row.price.coeff).field(row.price.base);
    text.field(format_args!("{:?}", row.price.buckets)); // "[6, 5, …]", with comma and blank
    text.field(row.price.nonalpha_discount);
    text.field(row.price.no_vowel_discount);
    text
}
