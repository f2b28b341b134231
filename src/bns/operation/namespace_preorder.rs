//! NAMESPACE_PREORDER: burns a fee and commits to a namespace without saying it (sm §6.7).

use super::Decided;
use super::name_preorder::{Commitment, is_preordered, preorder};
use super::origin::Origin;
use super::outputs::Burn;
use super::payment::ensure_funded;
use crate::bns::address::AddressVersions;
use crate::bns::block::{Block, Checked, ensure};
use crate::bns::record::{Preorder, PreorderKind};
use crate::bns::reject::Reject;
use crate::bns::view::View;
use crate::bns::wire;
use crate::virtualchain::serialize::Serializer;

/// `*`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespacePreorder {
    /// The commitment, and tokens from epoch 4 on.
    pub payload: wire::NamespacePreorder,
    /// The fee.
    pub burn: Burn,
}

impl NamespacePreorder {
    pub(super) fn decide<V: View>(&self, origin: &Origin, block: &mut Block<'_, V>) -> Decided<V> {
        self.check(origin, block)?;
        let commitment = Commitment {
            kind: PreorderKind::Namespace,
            preorder_hash: self.payload.preorder_hash,
            consensus_hash: self.payload.consensus_hash,
        };
        let row = preorder(block, origin, commitment, self.burn, self.payload.tokens)?;
        Ok(text(&row, block.params.addresses))
    }

    /// Rules 1 to 4 of sm §6.7.
    fn check<V: View>(&self, origin: &Origin, block: &Block<'_, V>) -> Checked<V> {
        let hash = &self.payload.preorder_hash;
        let unspent = is_preordered(block, hash, PreorderKind::Namespace)?;
        let spent = block.state.namespace_has_preorder(hash)?;
        ensure(!unspent || spent, Reject::PreorderHashInUse)?;
        block.ensure_recent(self.payload.consensus_hash)?;
        let burnt = self.burn.burn_address == block.params.burn_address;
        ensure(burnt, Reject::WrongBurnAddress)?;
        match self.payload.tokens {
            Some(tokens) => ensure_funded(block, &origin.address, tokens),
            None => Ok(()),
        }
    }
}

/// ch §1, `*`.
fn text(row: &Preorder, versions: AddressVersions) -> String {
    let mut text = Serializer::new('*');
    text.field(row.preorder_hash).field(row.consensus_hash);
    text.field('*').field(row.op_fee);
    text.field(row.txid).field(row.vtxindex);
    text.field(row.block_number).hex(&row.sender);
    text.optional_hex(row.sender_pubkey.as_deref());
    text.field(row.address.encode(versions));
    text.finish()
}
