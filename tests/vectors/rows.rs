//! Our records as the rows of the reference's tables.

use bnsd::bns::address::Address;
use bnsd::bns::record::{Account, Fee, NamespaceOp, PreorderKind, TokenUnits};
use bnsd::bns::{NameRecord, NamespaceRecord, Params, Preorder, life};
use bnsd::hash::encode_hex;
use serde_json::{Value, json};

/// The fields in which two rows differ: every field that the golden row lists is compared.
pub fn differences(ours: &Value, golden: &Value) -> Vec<String> {
    let golden = golden.as_object().into_iter().flatten();
    golden
        .filter_map(|(field, golden)| {
            let ours = ours.get(field);
            if ours.is_some_and(|ours| same(ours, golden)) {
                return None;
            }
            let ours = ours.map_or_else(|| "no such field".to_owned(), Value::to_string);
            Some(format!("{field}: ours {ours}, golden {golden}"))
        })
        .collect()
}

/// Numbers compare by value: the reference's database gives back a whole double as an integer.
fn same(ours: &Value, golden: &Value) -> bool {
    match (ours.as_f64(), golden.as_f64()) {
        (Some(first), Some(second)) if ours.is_f64() || golden.is_f64() => first == second,
        _ => ours == golden,
    }
}

pub fn namespace(params: &Params, record: &NamespaceRecord, height: u32) -> Value {
    let ready = record.op == NamespaceOp::Ready;
    json!({
        "namespace_id": record.namespace_id,
        "version": record.version,
        "status": if ready { "ready" } else { "revealed" },
        "reveal_expired": !ready && !life::is_revealed(params, record, height),
        "lifetime": record.lifetime,
        "coeff": record.price.coeff,
        "base": record.price.base,
        "buckets": record.price.buckets,
        "nonalpha_discount": record.price.nonalpha_discount,
        "no_vowel_discount": record.price.no_vowel_discount,
        "sender": encode_hex(&record.sender),
        "address": record.address.encode(params.addresses),
        "sender_pubkey": hex(record.sender_pubkey.as_deref()),
        "recipient": encode_hex(&record.recipient),
        "recipient_address": record.recipient_address.encode(params.addresses),
        "block_number": record.block_number,
        "reveal_block": record.reveal_block,
        "ready_block": record.ready_block,
        "preorder_hash": record.preorder_hash,
        "op": if ready { "!" } else { "&" },
        "op_fee": record.op_fee,
        "token_fee": record.token_fee.to_string(),
        "txid": record.txid.to_string(),
        "vtxindex": record.vtxindex,
    })
}

pub fn name(
    params: &Params,
    record: &NameRecord,
    namespace: Option<&NamespaceRecord>,
    height: u32,
) -> Value {
    let live = life::is_live(params, record.life(), namespace, height);
    let ready = namespace.filter(|row| life::is_ready(row));
    let grace = ready.map(|row| life::grace_period(record.life(), row, params.epoch(height)));
    let in_grace =
        namespace.is_some_and(|row| life::in_grace_period(params, record.life(), row, height));
    json!({
        "name": record.name,
        "namespace_id": record.name.namespace(),
        "sender": encode_hex(&record.sender),
        "address": address(params, record.address()),
        "sender_pubkey": hex(record.sender_pubkey.as_deref()),
        "value_hash": record.value_hash,
        "block_number": record.block_number,
        "preorder_block_number": record.preorder_block_number,
        "first_registered": record.first_registered,
        "last_renewed": record.last_renewed,
        "revoked": record.revoked,
        "op": record.op.as_str(),
        "txid": record.txid.to_string(),
        "vtxindex": record.vtxindex,
        "op_fee": fee(record.op_fee),
        "importer": hex(record.importer.as_deref()),
        "importer_address": address(params, record.importer_address),
        "consensus_hash": record.consensus_hash,
        "preorder_hash": record.preorder_hash,
        "name_hash128": record.name.hash128(),
        "last_creation_op": if record.is_imported() { ";" } else { "?" },
        "namespace_block_number": record.namespace_block_number,
        "token_fee": record.token_fee.to_string(),
        "expired": !live,
        "registered": live && !record.revoked,
        "in_grace_period": in_grace,
        "expire_block": grace.map(|(start, _)| start),
        "renewal_deadline": grace.map(|(_, end)| end),
    })
}

pub fn preorder(params: &Params, row: &Preorder) -> Value {
    json!({
        "preorder_hash": row.preorder_hash,
        "consensus_hash": row.consensus_hash,
        "sender": encode_hex(&row.sender),
        "sender_pubkey": hex(row.sender_pubkey.as_deref()),
        "address": row.address.encode(params.addresses),
        "block_number": row.block_number,
        "vtxindex": row.vtxindex,
        "txid": row.txid.to_string(),
        "op": match row.kind {
            PreorderKind::Name => "?",
            PreorderKind::Namespace => "*",
        },
        "op_fee": row.op_fee,
        "burn_address": row.burn_address.encode(params.addresses),
        "token_fee": row.token_fee.to_string(),
        "token_units": match row.token_units {
            TokenUnits::Btc => "BTC",
            TokenUnits::Stacks => "STACKS",
        },
    })
}

pub fn account(params: &Params, row: &Account) -> Value {
    let amount = |amount: u128| u64::try_from(amount).expect("golden amounts are small");
    json!({
        "address": row.address.encode(params.addresses),
        "credit_value": amount(row.credit_value),
        "debit_value": amount(row.debit_value),
        "balance": amount(row.balance()),
    })
}

fn fee(fee: Fee) -> Value {
    match fee {
        Fee::Satoshi(fee) => json!(fee),
        Fee::Float(fee) => json!(fee),
    }
}

fn hex(bytes: Option<&[u8]>) -> Value {
    bytes.map_or(Value::Null, |bytes| json!(encode_hex(bytes)))
}

fn address(params: &Params, address: Option<Address>) -> Value {
    address.map_or(Value::Null, |address| {
        json!(address.encode(params.addresses))
    })
}
