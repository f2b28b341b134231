//! NAMESPACE_PREORDER: burns a fee and commits to a namespace without saying it (sm §6.7).

use super::name_preorder::{is_preordered, preorder};
use super::payment::ensure_funded;
use super::{Burn, Origin};
use crate::bns::address::AddressVersions;
use crate::bns::block::{Block, Check, Refusal, ensure};
use crate::bns::record::{Preorder, PreorderKind};
use crate::bns::reject::Reject;
use crate::bns::view::View;
use crate::virtualchain::serialize::{Hex, Serializer};

/// `*`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespacePreorder {
    /// Who sent it: the payer.
    pub origin: Origin,
    /// Commitment and fee.
    pub burn: Burn,
    /// µSTX, from epoch 4 on.
    pub tokens: Option<u64>,
}

impl NamespacePreorder {
    pub(super) fn decide<V: View>(
        &self,
        block: &mut Block<'_, V>,
    ) -> Result<String, Refusal<V::Error>> {
        self.check(block)?;
        let kind = PreorderKind::Namespace;
        let row = preorder(block, kind, &self.origin, &self.burn, self.tokens)?;
        Ok(text(&row, block.params.addresses))
    }

    fn check<V: View>(&self, block: &Block<'_, V>) -> Check<V::Error> {
        let hash = &self.burn.preorder_hash;
        let unspent = is_preordered(block, hash, PreorderKind::Namespace)?;
        let spent = block.state.namespace_has_preorder(hash)?;
        ensure(!unspent || spent, Reject::PreorderHashInUse)?;
        block.ensure_recent(self.burn.consensus_hash)?;
        ensure(
            self.burn.burn_address == block.params.burn_address,
            Reject::WrongBurnAddress,
        )?;
        match self.tokens {
            Some(tokens) => ensure_funded(block, &self.origin.address, tokens),
            None => Ok(()),
        }
    }
}

/// ch §1, `*`.
fn text(row: &Preorder, versions: AddressVersions) -> String {
    let mut text = Serializer::new('*');
    text.field(row.preorder_hash)
        .field(row.consensus_hash)
        .field('*')
        .field(row.op_fee);
    text.field(row.txid)
        .field(row.vtxindex)
        .field(row.block_number)
        .hex(&row.sender);
    text.optional(row.sender_pubkey.as_deref().map(Hex))
        .field(row.address.encode(versions));
    text.finish()
}
