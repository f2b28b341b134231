//! The operations: one file each, named as in the reference, with its fields, its check, its effect and
//! its canonical fields.
//!
//! An [`Operation`] is a payload together with what the transaction around it says: who sent it, and what
//! its outputs mean (wf §3, §4). Reading one needs no state. Whether it is accepted is decided by its
//! `check` against a [`Block`]; its `apply` then changes the block's state and returns the canonical text.

mod announce;
mod name_import;
mod name_preorder;
mod name_registration;
mod name_renewal;
mod name_revoke;
mod name_transfer;
mod name_update;
mod namespace_preorder;
mod namespace_ready;
mod namespace_reveal;
mod outputs;
mod payment;
mod token_transfer;

use bitcoin::Txid;

pub use announce::Announce;
pub use name_import::NameImport;
pub use name_preorder::NamePreorder;
pub use name_registration::NameRegistration;
pub use name_renewal::NameRenewal;
pub use name_revoke::NameRevoke;
pub use name_transfer::NameTransfer;
pub use name_update::NameUpdate;
pub use namespace_preorder::NamespacePreorder;
pub use namespace_ready::NamespaceReady;
pub use namespace_reveal::NamespaceReveal;
pub use outputs::{Burn, Recipient};
pub use token_transfer::TokenTransfer;

use super::address::{Address, AddressVersions};
use super::block::{Block, Refusal};
use super::epoch::Features;
use super::params::Params;
use super::record::{Fee, NameRecord, PublicKey, Script};
use super::reject::Reject;
use super::view::View;
use super::wire::Payload;
use crate::hash::ZonefileHash;
use crate::virtualchain::script::{self, ScriptClass};
use crate::virtualchain::serialize::{Hex, PythonFloat, Serializer};
use crate::virtualchain::{Prevout, VirtualTransaction, scan};
use outputs::Outputs;

/// Who sent an operation and where it stands (wf §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Script of the output that input 0 spends.
    pub sender: Script,
    /// Its address.
    pub address: Address,
    /// The public key that an input reveals for it; never for p2sh.
    pub sender_pubkey: Option<PublicKey>,
    /// The transaction.
    pub txid: Txid,
    /// Its place in its block.
    pub vtxindex: u32,
}

/// An operation as its transaction says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// `?`
    NamePreorder(NamePreorder),
    /// `:` with two or three outputs
    NameRegistration(NameRegistration),
    /// `:` with four or more outputs
    NameRenewal(NameRenewal),
    /// `+`
    NameUpdate(NameUpdate),
    /// `>`
    NameTransfer(NameTransfer),
    /// `~`
    NameRevoke(NameRevoke),
    /// `;`
    NameImport(NameImport),
    /// `*`
    NamespacePreorder(NamespacePreorder),
    /// `&`
    NamespaceReveal(NamespaceReveal),
    /// `!`
    NamespaceReady(NamespaceReady),
    /// `#`
    Announce(Announce),
    /// `$`
    TokenTransfer(TokenTransfer),
    /// An operation on a name that ends in a line feed: never accepted (wf §5)
    Unregistrable(Origin),
}

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
            Self::from_parts(payload, origin, &outputs, features)
        }))
    }

    fn from_parts(
        payload: Payload,
        origin: Origin,
        outputs: &Outputs<'_>,
        features: &Features,
    ) -> Result<Self, Reject> {
        Ok(match payload {
            Payload::NamePreorder {
                preorder_hash,
                consensus_hash,
                tokens,
            } => {
                let (burn_address, op_fee) = outputs.typed(3)?.exactly(3)?.payment(2)?;
                let burn = Burn {
                    preorder_hash,
                    consensus_hash,
                    burn_address,
                    op_fee,
                };
                Self::NamePreorder(NamePreorder {
                    origin,
                    burn,
                    tokens,
                })
            }
            Payload::NameRegistration {
                name,
                value_hash,
                tokens,
            } if outputs.count() >= 4 => {
                // Quirk FOUR-OUTPUTS: the number of outputs alone makes it a renewal.
                let recipient = outputs.typed(2)?.recipient(1)?;
                let (burn_address, op_fee) = outputs.renewal_fee(3)?;
                // Quirk RENEW-57.
                let lacks_tokens = value_hash.is_some() && tokens.is_none();
                require(!(features.nameops_cost_tokens && lacks_tokens))?;
                let tokens = tokens.unwrap_or(0);
                Self::NameRenewal(NameRenewal {
                    origin,
                    name,
                    value_hash,
                    tokens,
                    recipient,
                    burn_address,
                    op_fee,
                })
            }
            Payload::NameRegistration {
                name,
                value_hash,
                tokens,
            } => {
                require(tokens.unwrap_or(0) == 0)?; // wf §6, `:`
                let recipient = outputs.typed(2)?.recipient(1)?;
                Self::NameRegistration(NameRegistration {
                    origin,
                    name,
                    value_hash,
                    recipient,
                })
            }
            Payload::NameUpdate {
                update_hash,
                value_hash,
            } => Self::NameUpdate(NameUpdate {
                origin,
                update_hash,
                value_hash,
            }),
            Payload::NameTransfer {
                keep_data,
                name_hash128,
                consensus_hash,
            } => {
                let recipient = outputs.typed(2)?.recipient(1)?;
                Self::NameTransfer(NameTransfer {
                    origin,
                    keep_data,
                    name_hash128,
                    consensus_hash,
                    recipient,
                })
            }
            Payload::NameRevoke { name } => Self::NameRevoke(NameRevoke { origin, name }),
            Payload::NameImport { name } => {
                let recipient = outputs.typed(3)?.recipient(1)?;
                let value_hash = ZonefileHash(outputs.recipient(2)?.address.hash());
                Self::NameImport(NameImport {
                    origin,
                    name,
                    value_hash,
                    recipient,
                })
            }
            Payload::NamespacePreorder {
                preorder_hash,
                consensus_hash,
                tokens,
            } => {
                let (burn_address, op_fee) = outputs.typed(3)?.payment(2)?;
                let burn = Burn {
                    preorder_hash,
                    consensus_hash,
                    burn_address,
                    op_fee,
                };
                Self::NamespacePreorder(NamespacePreorder {
                    origin,
                    burn,
                    tokens,
                })
            }
            Payload::NamespaceReveal {
                lifetime,
                price,
                version,
                namespace_id,
            } => {
                let recipient = outputs.typed(2)?.exactly(3)?.recipient(1)?;
                Self::NamespaceReveal(NamespaceReveal {
                    origin,
                    namespace_id,
                    lifetime,
                    price,
                    version,
                    recipient,
                })
            }
            Payload::NamespaceReady { namespace_id } => Self::NamespaceReady(NamespaceReady {
                origin,
                namespace_id,
            }),
            Payload::Announce { message_hash } => Self::Announce(Announce {
                origin,
                message_hash,
            }),
            Payload::Unregistrable { opcode } => {
                if opcode == b':' {
                    outputs.typed(2)?.recipient(1)?;
                }
                Self::Unregistrable(origin)
            }
            Payload::TokenTransfer {
                consensus_hash,
                token_type,
                amount,
                scratch_area,
            } => {
                let recipient = outputs.typed(2)?.recipient(1)?;
                Self::TokenTransfer(TokenTransfer {
                    origin,
                    consensus_hash,
                    token_type,
                    amount,
                    scratch_area,
                    recipient,
                })
            }
        })
    }

    /// Who sent it.
    pub fn origin(&self) -> &Origin {
        match self {
            Self::NamePreorder(operation) => &operation.origin,
            Self::NameRegistration(operation) => &operation.origin,
            Self::NameRenewal(operation) => &operation.origin,
            Self::NameUpdate(operation) => &operation.origin,
            Self::NameTransfer(operation) => &operation.origin,
            Self::NameRevoke(operation) => &operation.origin,
            Self::NameImport(operation) => &operation.origin,
            Self::NamespacePreorder(operation) => &operation.origin,
            Self::NamespaceReveal(operation) => &operation.origin,
            Self::NamespaceReady(operation) => &operation.origin,
            Self::Announce(operation) => &operation.origin,
            Self::TokenTransfer(operation) => &operation.origin,
            Self::Unregistrable(origin) => origin,
        }
    }

    /// The reference's name for it.
    pub fn opcode_name(&self) -> &'static str {
        match self {
            Self::NamePreorder(_) => "NAME_PREORDER",
            Self::NameRegistration(_) => "NAME_REGISTRATION",
            Self::NameRenewal(_) => "NAME_RENEWAL",
            Self::NameUpdate(_) => "NAME_UPDATE",
            Self::NameTransfer(_) => "NAME_TRANSFER",
            Self::NameRevoke(_) => "NAME_REVOKE",
            Self::NameImport(_) => "NAME_IMPORT",
            Self::NamespacePreorder(_) => "NAMESPACE_PREORDER",
            Self::NamespaceReveal(_) => "NAMESPACE_REVEAL",
            Self::NamespaceReady(_) => "NAMESPACE_READY",
            Self::Announce(_) => "ANNOUNCE",
            Self::TokenTransfer(_) => "TOKEN_TRANSFER",
            Self::Unregistrable(_) => "UNREGISTRABLE",
        }
    }

    /// Checks the rules and, if none refuses, changes the block's state. Returns the canonical text, which
    /// only an announcement lacks.
    pub(super) fn decide<V: View>(
        &self,
        block: &mut Block<'_, V>,
    ) -> Result<Option<String>, Refusal<V::Error>> {
        match self {
            Self::NamePreorder(operation) => operation.decide(block).map(Some),
            Self::NameRegistration(operation) => operation.decide(block).map(Some),
            Self::NameRenewal(operation) => operation.decide(block).map(Some),
            Self::NameUpdate(operation) => operation.decide(block).map(Some),
            Self::NameTransfer(operation) => operation.decide(block).map(Some),
            Self::NameRevoke(operation) => operation.decide(block).map(Some),
            Self::NameImport(operation) => operation.decide(block).map(Some),
            Self::NamespacePreorder(operation) => operation.decide(block).map(Some),
            Self::NamespaceReveal(operation) => operation.decide(block).map(Some),
            Self::NamespaceReady(operation) => operation.decide(block).map(Some),
            Self::Announce(operation) => operation.check(block).map(|()| None),
            Self::TokenTransfer(operation) => operation.decide(block).map(Some),
            Self::Unregistrable(_) => Err(Refusal::Reject(Reject::IllegalName)),
        }
    }
}

/// Refuses a payload that its outputs or the epoch contradict.
fn require(holds: bool) -> Result<(), Reject> {
    if holds {
        Ok(())
    } else {
        Err(Reject::Malformed)
    }
}

/// Who sent a transaction (wf §1 step 4, §3).
fn origin(transaction: &VirtualTransaction) -> Result<Origin, Reject> {
    let supported = |prevout: &Prevout| {
        matches!(
            script::classify(prevout.script_pubkey.as_bytes()),
            ScriptClass::P2pkh | ScriptClass::P2sh
        )
    };
    let inputs = &transaction.transaction.input;
    // Quirk ALL-INPUTS. A coinbase has no prevouts and is refused here too.
    if transaction.prevouts.len() != inputs.len() || !transaction.prevouts.iter().all(supported) {
        return Err(Reject::UnsupportedSenderScript);
    }
    let first = transaction
        .prevouts
        .first()
        .ok_or(Reject::UnsupportedSenderScript)?;
    let sender = first.script_pubkey.to_bytes();
    let address = Address::of_script(&sender).ok_or(Reject::UnsupportedSenderScript)?;
    let sender_pubkey = match &address {
        Address::P2pkh(hash) => inputs
            .iter()
            .find_map(|input| script::revealed_public_key(input.script_sig.as_bytes(), hash))
            .map(<[u8]>::to_vec),
        Address::P2sh(_) => None,
    };
    Ok(Origin {
        sender,
        address,
        sender_pubkey,
        txid: transaction.txid,
        vtxindex: transaction.vtxindex,
    })
}

/// Begins the canonical text of a name operation with the fields that all of them share (ch §1, NAMEREC).
fn name_text(opcode: char, record: &NameRecord, versions: AddressVersions) -> Serializer {
    let mut text = Serializer::new(opcode);
    text.field(&record.name)
        .optional(record.value_hash)
        .hex(&record.sender);
    text.optional(record.sender_pubkey.as_deref().map(Hex));
    text.optional(record.address().map(|address| address.encode(versions)));
    text.field(record.block_number)
        .field(record.preorder_block_number);
    text.field(record.first_registered)
        .field(record.last_renewed)
        .boolean(record.revoked);
    text.field(record.op.as_str())
        .field(record.txid)
        .field(record.vtxindex);
    match record.op_fee {
        Fee::Satoshi(fee) => text.field(fee),
        Fee::Float(fee) => text.field(PythonFloat(fee)),
    };
    text.optional(record.importer.as_deref().map(Hex));
    text.optional(
        record
            .importer_address
            .map(|address| address.encode(versions)),
    );
    text
}

/// Sender and address a second time, as registrations, renewals and imports end (quirk DUP-FIELDS).
fn with_owner_again(
    mut text: Serializer,
    record: &NameRecord,
    versions: AddressVersions,
) -> String {
    text.hex(&record.sender)
        .optional(record.address().map(|address| address.encode(versions)));
    text.finish()
}

/// A fee in the form that the record's kind has for ever (quirk FLOAT-FEE).
fn fee_of_kind(record: &NameRecord, satoshi: u64) -> Fee {
    if record.is_imported() {
        Fee::Float(satoshi as f64)
    } else {
        Fee::Satoshi(satoshi)
    }
}
