//! Reads an operation from its transaction: payload, sender and outputs (wf §1, §3, §4). Needs no state.

use bitcoin::TxOut;

use super::origin::Origin;
use super::outputs::{Outputs, require};
use super::{
    Action, Announce, NameImport, NamePreorder, NameRegistration, NameRenewal, NameRevoke,
    NameTransfer, NamespacePreorder, NamespaceReady, NamespaceReveal, Operation, TokenTransfer,
};
use crate::bns::address::Address;
use crate::bns::epoch::Features;
use crate::bns::params::Params;
use crate::bns::record::PublicKey;
use crate::bns::reject::Reject;
use crate::bns::wire::{self, Payload};
use crate::hash::ZonefileHash;
use crate::virtualchain::script;
use crate::virtualchain::{VirtualTransaction, scan};

impl Operation {
    /// Reads a candidate with the rules of `height` (wf §1). `None`: no known opcode.
    pub fn parse(
        params: &Params,
        height: u32,
        transaction: &VirtualTransaction,
    ) -> Option<Result<Self, Reject>> {
        let bytes = scan::payload(&transaction.transaction, params.magic)?;
        let features = &params.epoch(height).features;
        let payload = Payload::parse(bytes, features)?;
        Some(origin(transaction).and_then(|origin| {
            let payload = payload.map_err(|_| Reject::Malformed)?;
            let outputs = Outputs::new(&transaction.transaction);
            let action = action(payload, outputs, features)?;
            Ok(Self { origin, action })
        }))
    }
}

/// Who sent a transaction (wf §1 step 4, §3).
fn origin(transaction: &VirtualTransaction) -> Result<Origin, Reject> {
    let inputs = &transaction.transaction.input;
    let prevouts = &transaction.prevouts;
    // Quirk ALL-INPUTS. A coinbase has no prevouts and is refused here too.
    if prevouts.len() != inputs.len() || !prevouts.iter().all(can_send) {
        return Err(Reject::UnsupportedSenderScript);
    }
    let first = prevouts.first().ok_or(Reject::UnsupportedSenderScript)?;
    let sender = first.script_pubkey.to_bytes();
    let address = Address::of_script(&sender).ok_or(Reject::UnsupportedSenderScript)?;
    let scripts = inputs.iter().map(|input| input.script_sig.as_bytes());
    let mut pushed_keys: Vec<PublicKey> = Vec::new();
    for key in scripts.filter_map(script::pushed_key) {
        if pushed_keys.last().is_none_or(|last| last != key) {
            pushed_keys.push(key.to_vec());
        }
    }
    Ok(Origin {
        sender,
        address,
        pushed_keys,
        txid: transaction.txid,
        vtxindex: transaction.vtxindex,
    })
}

fn can_send(prevout: &TxOut) -> bool {
    script::classify(prevout.script_pubkey.as_bytes()).can_send()
}

/// Joins a payload with what the outputs mean for it (wf §4).
fn action(payload: Payload, outputs: Outputs<'_>, features: &Features) -> Result<Action, Reject> {
    Ok(match payload {
        Payload::NamePreorder(payload) => {
            let burn = outputs.typed(3)?.exactly(3)?.burn(2)?;
            Action::NamePreorder(NamePreorder { payload, burn })
        }
        // Quirk FOUR-OUTPUTS: the number of outputs alone makes it a renewal.
        Payload::NameRegistration(payload) if outputs.count() >= 4 => {
            Action::NameRenewal(renewal(payload, outputs, features)?)
        }
        Payload::NameRegistration(payload) => {
            require(payload.tokens.unwrap_or(0) == 0)?; // wf §6, `:`
            let recipient = outputs.typed(2)?.recipient(1)?;
            Action::NameRegistration(NameRegistration { payload, recipient })
        }
        Payload::NameUpdate(payload) => Action::NameUpdate(payload),
        Payload::NameTransfer(payload) => {
            let recipient = outputs.typed(2)?.recipient(1)?;
            Action::NameTransfer(NameTransfer { payload, recipient })
        }
        Payload::NameRevoke { name } => Action::NameRevoke(NameRevoke { name }),
        Payload::NameImport { name } => {
            let recipient = outputs.typed(3)?.recipient(1)?;
            let value_hash = ZonefileHash(outputs.recipient(2)?.address.hash());
            Action::NameImport(NameImport {
                name,
                value_hash,
                recipient,
            })
        }
        Payload::NamespacePreorder(payload) => {
            let burn = outputs.typed(3)?.burn(2)?;
            Action::NamespacePreorder(NamespacePreorder { payload, burn })
        }
        Payload::NamespaceReveal(payload) => {
            let recipient = outputs.typed(2)?.exactly(3)?.recipient(1)?;
            Action::NamespaceReveal(NamespaceReveal { payload, recipient })
        }
        Payload::NamespaceReady { namespace_id } => {
            Action::NamespaceReady(NamespaceReady { namespace_id })
        }
        Payload::Announce { message_hash } => Action::Announce(Announce { message_hash }),
        Payload::TokenTransfer(payload) => {
            let recipient = outputs.typed(2)?.recipient(1)?;
            Action::TokenTransfer(TokenTransfer { payload, recipient })
        }
        Payload::Unregistrable { opcode } => {
            if opcode == b':' {
                outputs.typed(2)?.recipient(1)?;
            }
            Action::Unregistrable
        }
    })
}

fn renewal(
    payload: wire::NameRegistration,
    outputs: Outputs<'_>,
    features: &Features,
) -> Result<NameRenewal, Reject> {
    let recipient = outputs.typed(2)?.recipient(1)?;
    let (burn_address, op_fee) = outputs.renewal_fee(3)?;
    // Quirk RENEW-57.
    let lacks_tokens = payload.value_hash.is_some() && payload.tokens.is_none();
    require(!(features.nameops_cost_tokens && lacks_tokens))?;
    Ok(NameRenewal {
        payload,
        recipient,
        burn_address,
        op_fee,
    })
}
