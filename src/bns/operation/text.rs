//! The canonical text of operations on names (ch §1).

use crate::bns::address::{Address, AddressVersions};
use crate::bns::record::{Fee, NameRecord};
use crate::hash::ZonefileHash;
use crate::virtualchain::serialize::{PythonFloat, Serializer};

/// Begins the canonical text of a name operation with the fields that all of them share (ch §1, HEAD).
pub(super) fn name_text(
    opcode: char,
    record: &NameRecord,
    versions: AddressVersions,
) -> Serializer {
    head(opcode, record, versions).0
}

/// The text of registrations, renewals and imports, which end with sender and address once more (quirk
/// DUP-FIELDS).
pub(super) fn owner_text(opcode: char, record: &NameRecord, versions: AddressVersions) -> String {
    let (mut text, address) = head(opcode, record, versions);
    text.hex(&record.sender);
    text.text(address.as_deref().unwrap_or_default());
    text.finish()
}

/// The shared fields, and the owner's address as it is among them.
fn head(
    opcode: char,
    record: &NameRecord,
    versions: AddressVersions,
) -> (Serializer, Option<String>) {
    let spell = |address: Option<Address>| address.map(|address| address.encode(versions));
    let address = spell(record.address());
    let mut text = Serializer::new(opcode);
    text.text(record.name.as_str());
    text.optional_hex(record.value_hash.as_ref().map(ZonefileHash::as_bytes));
    text.hex(&record.sender);
    text.optional_hex(record.sender_pubkey.as_deref());
    text.text(address.as_deref().unwrap_or_default());
    text.number(record.block_number)
        .number(record.preorder_block_number);
    text.number(record.first_registered)
        .number(record.last_renewed);
    text.boolean(record.revoked).text(record.op.as_str());
    text.txid(record.txid).number(record.vtxindex);
    match record.op_fee {
        Fee::Satoshi(fee) => text.number(fee),
        Fee::Float(fee) => text.field(PythonFloat(fee)),
    };
    text.optional_hex(record.importer.as_deref());
    text.optional(spell(record.importer_address));
    (text, address)
}
