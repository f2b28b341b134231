//! The canonical text of operations on names (ch §1).

use crate::bns::address::{Address, AddressVersions};
use crate::bns::record::{Fee, NameRecord};
use crate::hash::encode_hex;
use crate::virtualchain::serialize::{PythonFloat, Serializer};

/// Begins the canonical text of a name operation with the fields that all of them share (ch §1, HEAD).
pub(super) fn name_text(
    opcode: char,
    record: &NameRecord,
    versions: AddressVersions,
) -> Serializer {
    let spell = |address: Option<Address>| address.map(|address| address.encode(versions));
    let mut text = Serializer::new(opcode);
    text.field(&record.name).optional(record.value_hash);
    text.hex(&record.sender);
    text.optional(record.sender_pubkey.as_deref().map(encode_hex));
    text.optional(spell(record.address()));
    text.field(record.block_number)
        .field(record.preorder_block_number);
    text.field(record.first_registered)
        .field(record.last_renewed);
    text.boolean(record.revoked).field(record.op.as_str());
    text.field(record.txid).field(record.vtxindex);
    match record.op_fee {
        Fee::Satoshi(fee) => text.field(fee),
        Fee::Float(fee) => text.field(PythonFloat(fee)),
    };
    text.optional(record.importer.as_deref().map(encode_hex));
    text.optional(spell(record.importer_address));
    text
}

/// The text of registrations, renewals and imports, which end with sender and address once more (quirk
/// DUP-FIELDS).
pub(super) fn owner_text(opcode: char, record: &NameRecord, versions: AddressVersions) -> String {
    let mut text = name_text(opcode, record, versions);
    text.hex(&record.sender);
    text.optional(record.address().map(|address| address.encode(versions)));
    text.finish()
}
