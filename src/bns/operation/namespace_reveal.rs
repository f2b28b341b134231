//! NAMESPACE_REVEAL: says which namespace was preordered and by which rules it goes (sm §6.8).

use super::{Origin, Recipient};
use crate::bns::address::AddressVersions;
use crate::bns::block::{Block, Refusal, ensure};
use crate::bns::commitment::namespace_preorder_hash;
use crate::bns::life;
use crate::bns::name::NamespaceId;
use crate::bns::price::{self, PriceFunction};
use crate::bns::record::{NamespaceOp, NamespaceRecord, Preorder, PreorderKind, TokenUnits};
use crate::bns::reject::Reject;
use crate::bns::view::View;
use crate::virtualchain::serialize::{Hex, Serializer};

/// `&`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceReveal {
    /// Who sent it: the payer.
    pub origin: Origin,
    /// The namespace.
    pub namespace_id: NamespaceId,
    /// Lifetime of names in blocks.
    pub lifetime: u32,
    /// The price function.
    pub price: PriceFunction,
    /// 1, 2 or 3.
    pub version: u16,
    /// The revealer, who imports and readies.
    pub recipient: Recipient,
}

impl NamespaceReveal {
    pub(super) fn decide<V: View>(
        &self,
        block: &mut Block<'_, V>,
    ) -> Result<String, Refusal<V::Error>> {
        let preorder = self.check(block)?;
        block.ensure_created_once(self.namespace_id.as_str())?; // sm §6.8 rule 8
        let former = block.state.namespace(&self.namespace_id)?;
        let record = NamespaceRecord {
            namespace_id: self.namespace_id.clone(),
            preorder_hash: preorder.preorder_hash,
            version: self.version,
            sender: self.origin.sender.clone(),
            sender_pubkey: self.origin.sender_pubkey.clone(),
            address: self.origin.address,
            recipient: self.recipient.script.clone(),
            recipient_address: self.recipient.address,
            block_number: former.map_or(preorder.block_number, |record| record.block_number),
            reveal_block: block.height,
            ready_block: 0,
            op: NamespaceOp::Reveal,
            op_fee: preorder.op_fee,
            token_fee: preorder.token_fee,
            txid: self.origin.txid,
            vtxindex: self.origin.vtxindex,
            lifetime: self.lifetime,
            price: self.price,
        };
        block.state.remove_preorders(&preorder.preorder_hash)?;
        let text = namespace_text('&', &record, block.params.addresses).finish();
        block.state.put_namespace(record)?;
        Ok(text)
    }

    /// Rules 2 to 7 of sm §6.8. Returns the preorder that it spends.
    pub(in crate::bns) fn check<V: View>(
        &self,
        block: &Block<'_, V>,
    ) -> Result<Preorder, Refusal<V::Error>> {
        if let Some(namespace) = block.state.namespace(&self.namespace_id)? {
            let revealed = life::is_revealed(block.params, &namespace, block.last);
            ensure(!revealed, Reject::NamespaceAlreadyRevealed)?;
            ensure(!life::is_ready(&namespace), Reject::NamespaceAlreadyReady)?;
        }
        let revealer = self.recipient.address.encode(block.params.addresses);
        let hash = namespace_preorder_hash(&self.namespace_id, &self.origin.sender, &revealer);
        let rows = block.state.preorders(&hash)?.into_iter();
        let oldest = rows
            .filter(|row| row.kind == PreorderKind::Namespace)
            .min_by_key(|row| (row.block_number, row.txid.to_string()));
        let spent = block.state.namespace_has_preorder(&hash)?;
        let preorder = oldest.filter(|row| !spent && row.sender == self.origin.sender);
        let preorder = preorder.ok_or(Refusal::Reject(Reject::NoMatchingPreorder))?;
        let features = &block.epoch.features;
        let supported = match self.version {
            1 => true,
            2 => features.pay_to_creator,
            _ => features.namespace_pay_with_stacks,
        };
        ensure(supported, Reject::VersionNotSupported)?;
        let paid = match preorder.token_units {
            TokenUnits::Btc => preorder.op_fee,
            TokenUnits::Stacks => preorder.token_fee,
        };
        let price = price::namespace_price(&self.namespace_id, block.epoch, preorder.token_units);
        ensure(
            price.is_none_or(|price| paid >= price),
            Reject::InsufficientPayment,
        )?;
        Ok(preorder)
    }
}

/// The text that reveal and ready share (ch §1, `&`).
pub(super) fn namespace_text(
    opcode: char,
    row: &NamespaceRecord,
    versions: AddressVersions,
) -> Serializer {
    let mut text = Serializer::new(opcode);
    text.field(&row.namespace_id)
        .field(row.preorder_hash)
        .field(row.version)
        .hex(&row.sender);
    text.optional(row.sender_pubkey.as_deref().map(Hex))
        .field(row.address.encode(versions));
    text.hex(&row.recipient)
        .field(row.recipient_address.encode(versions));
    text.field(row.block_number)
        .field(row.reveal_block)
        .field(opcode);
    text.field(row.txid).field(row.vtxindex).field(row.lifetime);
    text.field(row.price.coeff).field(row.price.base);
    text.field(format_args!("{:?}", row.price.buckets)); // "[6, 5, …]", with comma and blank
    text.field(row.price.nonalpha_discount)
        .field(row.price.no_vowel_discount);
    text
}
