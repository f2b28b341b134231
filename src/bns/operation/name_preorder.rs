//! NAME_PREORDER: burns a fee and commits to a name without saying it (sm §6.1).

use super::Decided;
use super::origin::Origin;
use super::outputs::Burn;
use super::payment::ensure_funded;
use crate::bns::address::AddressVersions;
use crate::bns::block::{Block, Checked, ensure};
use crate::bns::record::{Preorder, PreorderKind, TokenUnits};
use crate::bns::reject::Reject;
use crate::bns::view::View;
use crate::bns::wire;
use crate::hash::{ConsensusHash, PreorderHash};
use crate::virtualchain::serialize::Serializer;

/// The only token type that exists.
pub(super) const STACKS: &[u8] = b"STACKS";

/// `?`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePreorder {
    /// The commitment, and tokens instead of bitcoin.
    pub payload: wire::NamePreorder,
    /// The fee.
    pub burn: Burn,
}

impl NamePreorder {
    pub(super) fn decide<V: View>(&self, origin: &Origin, block: &mut Block<'_, V>) -> Decided<V> {
        self.check(origin, block)?;
        let commitment = Commitment {
            kind: PreorderKind::Name,
            preorder_hash: self.payload.preorder_hash,
            consensus_hash: self.payload.consensus_hash,
        };
        let tokens = self.payload.tokens.as_ref().map(|burn| burn.amount);
        let row = preorder(block, origin, commitment, self.burn, tokens)?;
        Ok(text(&row, block.params.addresses))
    }

    /// Rules 1 to 4 of sm §6.1.
    fn check<V: View>(&self, origin: &Origin, block: &Block<'_, V>) -> Checked<V> {
        let hash = &self.payload.preorder_hash;
        // Quirk HASH-SQUAT: an unspent row blocks its hash for ever, unless a live name carries it.
        let unspent = is_preordered(block, hash, PreorderKind::Name)?;
        let usable = !unspent || block.is_preorder_of_live_name(hash)?;
        ensure(usable, Reject::PreorderHashInUse)?;
        block.ensure_recent(self.payload.consensus_hash)?;
        block.ensure_quota(&origin.sender)?;
        // Quirk LATE-BURN-CHECK: only tokens are checked here, bitcoin at the registration.
        let Some(tokens) = &self.payload.tokens else {
            return Ok(());
        };
        ensure(tokens.token_type == STACKS, Reject::NoTokenAccount)?;
        ensure_funded(block, &origin.address, tokens.amount)?;
        let burnt = self.burn.burn_address == block.params.burn_address;
        ensure(burnt, Reject::WrongBurnAddress)
    }
}

/// What both kinds of preorder say.
#[derive(Clone, Copy)]
pub(super) struct Commitment {
    pub kind: PreorderKind,
    pub preorder_hash: PreorderHash,
    pub consensus_hash: ConsensusHash,
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
    origin: &Origin,
    commitment: Commitment,
    burn: Burn,
    tokens: Option<u64>,
) -> Checked<V, Preorder> {
    block.ensure_preordered_once(commitment.preorder_hash)?;
    let token_fee = tokens.unwrap_or(0);
    block.debit(&origin.address, token_fee)?;
    let sender_pubkey = origin.sender_pubkey_knowing(block.known_key(&origin.sender));
    if let Some(key) = &sender_pubkey {
        block.note_key(&origin.sender, key);
    }
    let row = Preorder {
        kind: commitment.kind,
        preorder_hash: commitment.preorder_hash,
        consensus_hash: commitment.consensus_hash,
        sender: origin.sender.clone(),
        sender_pubkey,
        address: origin.address,
        block_number: block.height,
        txid: origin.txid,
        vtxindex: origin.vtxindex,
        op_fee: burn.op_fee,
        burn_address: burn.burn_address,
        token_fee,
        token_units: tokens.map_or(TokenUnits::Btc, |_| TokenUnits::Stacks),
    };
    block.state.put_preorder(row.clone());
    Ok(row)
}

/// ch §1, `?`. Tokens and burn address are not in it (quirk ZERO-TOKEN-HASH).
fn text(row: &Preorder, versions: AddressVersions) -> String {
    let mut text = Serializer::new('?');
    text.hex(row.preorder_hash.as_bytes());
    text.hex(row.consensus_hash.as_bytes()).hex(&row.sender);
    text.optional_hex(row.sender_pubkey.as_deref());
    text.text(&row.address.encode(versions));
    text.number(row.block_number).text("?");
    text.txid(row.txid).number(row.vtxindex).number(row.op_fee);
    text.finish()
}
