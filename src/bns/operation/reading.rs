//! The canonical texts of names and of opened namespaces read back into records (ch §1).
//!
//! What is read is written again and compared, so that only a text that an accepted operation can have is read. A record
//! from a text lacks what texts do not have; those fields are zero.

use std::str::FromStr;

use super::namespace_ready::ready_text;
use super::text::{name_text, owner_text};
use crate::bns::address::{Address, AddressVersions};
use crate::bns::commitment::update_hash;
use crate::bns::name::Name;
use crate::bns::price::PriceFunction;
use crate::bns::record::{Fee, NameOp, NameRecord, NamespaceOp, NamespaceRecord};
use crate::hash::{ConsensusHash, PreorderHash, decode_hex};
use crate::virtualchain::serialize::fields;

/// The name as the operation with this text left it.
pub(in crate::bns) fn name_of_text(text: &str, versions: AddressVersions) -> Option<NameRecord> {
    let (opcode, fields) = fields(text)?;
    let (head, rest) = fields.split_at_checked(16)?;
    let record = head_record(head, versions)?;
    let written = match (opcode, record.op, rest) {
        (':', NameOp::Register | NameOp::Renew, [_, _]) | (';', NameOp::Import, [_, _]) => {
            owner_text(opcode, &record, versions)
        }
        ('+', NameOp::Update, [commitment, quoted]) => {
            let quoted: ConsensusHash = quoted.parse().ok()?;
            let meant = update_hash(&record.name, quoted).to_string();
            let mut text = name_text(opcode, &record, versions);
            text.field(commitment).field(quoted);
            (meant == *commitment).then(|| text.finish())?
        }
        ('>', NameOp::TransferKeep | NameOp::TransferDrop, [_, quoted, _]) => {
            let quoted: ConsensusHash = quoted.parse().ok()?;
            let mut text = name_text(opcode, &record, versions);
            text.field(record.name.hash128()).field(quoted);
            text.boolean(record.op == NameOp::TransferKeep);
            text.finish()
        }
        ('~', NameOp::Revoke, []) => name_text(opcode, &record, versions).finish(),
        _ => return None,
    };
    (written == text).then_some(record)
}

/// The namespace that the operation with this text opened.
pub(in crate::bns) fn namespace_of_text(
    text: &str,
    versions: AddressVersions,
) -> Option<NamespaceRecord> {
    let ('!', fields) = fields(text)? else {
        return None;
    };
    let record = namespace_record(&fields, versions)?;
    (ready_text(&record, versions) == text).then_some(record)
}

/// The fields that all operations on names share (ch §1, HEAD).
fn head_record(head: &[&str], versions: AddressVersions) -> Option<NameRecord> {
    let [
        name,
        value_hash,
        sender,
        sender_pubkey,
        _address, // follows from the sender
        block_number,
        preorder_block_number,
        first_registered,
        last_renewed,
        revoked,
        op,
        txid,
        vtxindex,
        op_fee,
        importer,
        importer_address,
    ] = *head
    else {
        return None;
    };
    let importer_address = optional(importer_address, |text| Address::decode(text, versions));
    Some(NameRecord {
        name: name.parse::<Name>().ok()?,
        value_hash: optional(value_hash, value)?,
        sender: decode_hex(sender)?,
        sender_pubkey: optional(sender_pubkey, decode_hex)?,
        block_number: value(block_number)?,
        preorder_block_number: value(preorder_block_number)?,
        first_registered: value(first_registered)?,
        last_renewed: value(last_renewed)?,
        revoked: revoked == "True",
        op: NameOp::ALL.into_iter().find(|known| known.as_str() == op)?,
        txid: value(txid)?,
        vtxindex: value(vtxindex)?,
        op_fee: match op_fee.parse() {
            Ok(satoshi) => Fee::Satoshi(satoshi),
            Err(_) => Fee::Float(value(op_fee)?),
        },
        importer: optional(importer, decode_hex)?,
        importer_address: importer_address?,
        preorder_hash: PreorderHash([0; 20]),
        namespace_block_number: 0,
        consensus_hash: None,
        update_consensus_hash: None,
        token_fee: 0,
    })
}

fn namespace_record(fields: &[&str], versions: AddressVersions) -> Option<NamespaceRecord> {
    let [
        namespace_id,
        preorder_hash,
        version,
        sender,
        sender_pubkey,
        address,
        recipient,
        recipient_address,
        block_number,
        reveal_block,
        _op,
        txid,
        vtxindex,
        lifetime,
        coeff,
        base,
        buckets,
        nonalpha_discount,
        no_vowel_discount,
        ready_block,
    ] = *fields
    else {
        return None;
    };
    let list = buckets.strip_prefix('[')?.strip_suffix(']')?;
    let buckets: Option<Vec<u8>> = list.split(", ").map(value).collect();
    Some(NamespaceRecord {
        namespace_id: value(namespace_id)?,
        preorder_hash: value(preorder_hash)?,
        version: value(version)?,
        sender: decode_hex(sender)?,
        sender_pubkey: optional(sender_pubkey, decode_hex)?,
        address: Address::decode(address, versions)?,
        recipient: decode_hex(recipient)?,
        recipient_address: Address::decode(recipient_address, versions)?,
        block_number: value(block_number)?,
        reveal_block: value(reveal_block)?,
        ready_block: value(ready_block)?,
        op: NamespaceOp::Ready,
        txid: value(txid)?,
        vtxindex: value(vtxindex)?,
        lifetime: value(lifetime)?,
        price: PriceFunction {
            coeff: value(coeff)?,
            base: value(base)?,
            buckets: buckets?.try_into().ok()?,
            nonalpha_discount: value(nonalpha_discount)?,
            no_vowel_discount: value(no_vowel_discount)?,
        },
        op_fee: 0,
        token_fee: 0,
    })
}

/// The value of a field. Whether it is spelled like this is found out by writing it.
fn value<T: FromStr>(field: &str) -> Option<T> {
    field.parse().ok()
}

/// The value of a field that can be empty.
fn optional<T>(field: &str, read: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    match field {
        "" => Some(None),
        field => read(field).map(Some),
    }
}
