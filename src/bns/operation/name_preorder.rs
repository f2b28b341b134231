//! NAME_PREORDER: burns a fee and commits to a name without saying it (sm §6.1).

use super::payment::ensure_funded;
use super::{Burn, Origin};
use crate::bns::address::AddressVersions;
use crate::bns::block::{Block, Check, Refusal, ensure};
use crate::bns::record::{Preorder, PreorderKind, TokenUnits};
use crate::bns::reject::Reject;
use crate::bns::view::View;
use crate::bns::wire::TokenBurn;
use crate::hash::PreorderHash;
use crate::virtualchain::serialize::{Hex, Serializer};

/// The only token type that exists.
pub(super) const STACKS: &[u8] = b"STACKS";

/// `?`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePreorder {
    /// Who sent it.
    pub origin: Origin,
    /// Commitment and fee.
    pub burn: Burn,
    /// Tokens instead of bitcoin.
    pub tokens: Option<TokenBurn>,
}

impl NamePreorder {
    pub(super) fn decide<V: View>(
        &self,
        block: &mut Block<'_, V>,
    ) -> Result<String, Refusal<V::Error>> {
        self.check(block)?;
        let tokens = self.tokens.as_ref().map(|burn| burn.amount);
        let row = preorder(block, PreorderKind::Name, &self.origin, &self.burn, tokens)?;
        Ok(text(&row, block.params.addresses))
    }

    fn check<V: View>(&self, block: &Block<'_, V>) -> Check<V::Error> {
        let hash = &self.burn.preorder_hash;
        // Quirk HASH-SQUAT: an unspent row blocks its hash for ever, unless a live name carries it.
        let unspent = is_preordered(block, hash, PreorderKind::Name)?;
        ensure(
            !unspent || block.is_preorder_of_live_name(hash)?,
            Reject::PreorderHashInUse,
        )?;
        block.ensure_recent(self.burn.consensus_hash)?;
        block.ensure_quota(&self.origin.sender)?;
        if let Some(burn) = &self.tokens {
            ensure(burn.token_type == STACKS, Reject::NoTokenAccount)?;
            ensure_funded(block, &self.origin.address, burn.amount)?;
            // Quirk LATE-BURN-CHECK: only tokens are checked here, bitcoin at the registration.
            ensure(
                self.burn.burn_address == block.params.burn_address,
                Reject::WrongBurnAddress,
            )?;
        }
        Ok(())
    }
}

/// Whether there is a row of a kind with this hash, so that nobody has spent it.
pub(super) fn is_preordered<V: View>(
    block: &Block<'_, V>,
    hash: &PreorderHash,
    kind: PreorderKind,
) -> Result<bool, V::Error> {
    let rows = block.state.preorders(hash)?;
    Ok(rows.iter().any(|row| row.kind == kind))
}

/// Spends the tokens of a preorder of either kind, and keeps and returns the row that it leaves (sm §5). The same
/// hash is accepted once in a block (sm §4.3).
pub(super) fn preorder<V: View>(
    block: &mut Block<'_, V>,
    kind: PreorderKind,
    origin: &Origin,
    burn: &Burn,
    tokens: Option<u64>,
) -> Result<Preorder, Refusal<V::Error>> {
    block.ensure_preordered_once(burn.preorder_hash)?;
    let token_fee = tokens.unwrap_or(0);
    block.debit(&origin.address, token_fee)?;
    let row = Preorder {
        kind,
        preorder_hash: burn.preorder_hash,
        consensus_hash: burn.consensus_hash,
        sender: origin.sender.clone(),
        sender_pubkey: origin.sender_pubkey.clone(),
        address: origin.address,
        block_number: block.height,
        txid: origin.txid,
        vtxindex: origin.vtxindex,
        op_fee: burn.op_fee,
        burn_address: burn.burn_address,
        token_fee,
        token_units: if tokens.is_some() {
            TokenUnits::Stacks
        } else {
            TokenUnits::Btc
        },
    };
    block.state.put_preorder(row.clone());
    Ok(row)
}

/// ch §1, `?`. Tokens and burn address are not in it (quirk ZERO-TOKEN-HASH).
fn text(row: &Preorder, versions: AddressVersions) -> String {
    let mut text = Serializer::new('?');
    text.field(row.preorder_hash)
        .field(row.consensus_hash)
        .hex(&row.sender);
    text.optional(row.sender_pubkey.as_deref().map(Hex))
        .field(row.address.encode(versions));
    text.field(row.block_number)
        .field('?')
        .field(row.txid)
        .field(row.vtxindex)
        .field(row.op_fee);
    text.finish()
}
