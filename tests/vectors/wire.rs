//! Single transactions and what reading them gives in each epoch.

use bnsd::bns::operation::{Action, Burn, Origin, Recipient};
use bnsd::bns::wire::Payload;
use bnsd::bns::{Operation, Params, commitment};
use bnsd::hash::{ConsensusHash, PreorderHash, encode_hex};
use bnsd::virtualchain::{VirtualTransaction, scan};
use serde_json::{Value, json};

use super::{Tally, rows};
use crate::common::chain_file::{array, params, prevouts, text, virtual_transaction};

/// Checks every case of a wire file in every epoch that it lists.
pub fn check(file: &Value, tally: &mut Tally) {
    let params = params(&file["params"]);
    for case in array(&file["cases"]) {
        let spent = prevouts(&case["prevouts"], "script");
        let transaction = virtual_transaction(1, &text(&case["hex"]), spent);
        for (epoch, golden) in case["results"].as_object().into_iter().flatten() {
            let place = format!(
                "{}: {:?} in {epoch}",
                text(&file["name"]),
                text(&case["label"])
            );
            let height = height_of(&params, epoch);
            tally.wire_cases += 1;
            let mut differences = differences(&params, height, &transaction, golden);
            differences.extend(encoding_difference(&params, height, &transaction));
            let lines = differences.iter().map(|line| format!("{place}: {line}"));
            tally.failures.extend(lines);
        }
        if transaction.txid.to_string() != text(&case["txid"]) {
            let failure = format!("{}: txid {}", text(&case["label"]), transaction.txid);
            tally.failures.push(failure);
        }
    }
}

/// The first height of an epoch: `epoch1` starts the list.
fn height_of(params: &Params, epoch: &str) -> u32 {
    let number = epoch
        .strip_prefix("epoch")
        .and_then(|n| n.parse::<usize>().ok());
    match number.expect("a key like epoch1") {
        0 | 1 => params.first_block,
        number => params.epochs[number - 2].end_block + 1,
    }
}

fn differences(
    params: &Params,
    height: u32,
    transaction: &VirtualTransaction,
    golden: &Value,
) -> Vec<String> {
    let parsed = Operation::parse(params, height, transaction);
    let opcode = scan::payload(&transaction.transaction, params.magic)
        .and_then(|bytes| bytes.first())
        .map(|&opcode| char::from(opcode).to_string());
    let ours = match &parsed {
        None => json!({"result": "ignored"}),
        Some(Err(_)) => json!({"result": "unparseable", "op": opcode}),
        Some(Ok(_)) => json!({"result": "operation", "op": opcode}),
    };
    let mut golden = golden.clone();
    let mut fields = golden["fields"].take();
    skip_what_we_do_not_keep(&mut fields);
    let members = golden.as_object_mut().expect("a result");
    members.remove("fields");
    members.remove("reason"); // informative
    let mut differences = rows::differences(&ours, &golden);
    if let Some(Ok(operation)) = &parsed {
        let ours = row(params, operation);
        let mut of_fields = rows::differences(&ours, &fields);
        if matches!(operation.action, Action::Unregistrable) {
            // We keep nothing of what such an operation says.
            of_fields.retain(|line| ["sender", "address"].iter().any(|f| line.starts_with(f)));
        }
        differences.extend(of_fields);
    }
    differences
}

/// Heights are the file's own. A fee paid to native segwit is never right, so we do not spell its address.
fn skip_what_we_do_not_keep(fields: &mut Value) {
    let Some(fields) = fields.as_object_mut() else {
        return;
    };
    fields.remove("block_id");
    if fields
        .get("burn_address")
        .is_some_and(|address| text(address).starts_with("bc1"))
    {
        fields.insert("burn_address".to_owned(), Value::Null);
    }
}

/// A payload that was read encodes to the bytes that it was read from.
fn encoding_difference(
    params: &Params,
    height: u32,
    transaction: &VirtualTransaction,
) -> Option<String> {
    let bytes = scan::payload(&transaction.transaction, params.magic)?;
    let payload = Payload::parse(bytes, &params.epoch(height).features)?.ok()?;
    let encoded = payload.encode();
    let kept = !matches!(payload, Payload::Unregistrable { .. });
    let (ours, golden) = (encode_hex(&encoded), encode_hex(bytes));
    (kept && encoded != bytes).then(|| format!("encodes to {ours}, golden {golden}"))
}

/// An operation as the reference's fields.
fn row(params: &Params, operation: &Operation) -> Value {
    let mut fields = own_fields(params, operation);
    let (origin, opcode) = (&operation.origin, operation.opcode_name());
    add(&mut fields, "opcode", json!(opcode));
    add_origin(&mut fields, params, origin);
    fields
}

fn own_fields(params: &Params, operation: &Operation) -> Value {
    let versions = params.addresses;
    match &operation.action {
        Action::NamePreorder(it) => {
            let mut fields = burn(
                params,
                &it.burn,
                "?",
                it.payload.preorder_hash,
                it.payload.consensus_hash,
            );
            let tokens = it.payload.tokens.as_ref();
            add(&mut fields, "token_fee", json!(tokens.map(|t| t.amount)));
            let units = tokens.map(|t| String::from_utf8_lossy(&t.token_type).into_owned());
            add(&mut fields, "token_units", json!(units));
            fields
        }
        Action::NameRegistration(it) => {
            let fields = json!({
                "op": ":", "name": it.payload.name, "value_hash": it.payload.value_hash, "revoked": false,
            });
            with_recipient(fields, params, &it.recipient)
        }
        Action::NameRenewal(it) => {
            let fields = json!({
                "op": "::", "name": it.payload.name, "value_hash": it.payload.value_hash, "revoked": false,
                "token_fee": it.tokens(), "op_fee": it.op_fee,
                "burn_address": it.burn_address.map(|address| address.encode(versions)),
            });
            with_recipient(fields, params, &it.recipient)
        }
        Action::NameUpdate(it) => json!({
            "op": "+", "name_consensus_hash": it.update_hash, "value_hash": it.value_hash,
        }),
        Action::NameTransfer(it) => {
            let fields = json!({
                "op": ">", "keep_data": it.payload.keep_data, "name_hash128": it.payload.name_hash128,
                "consensus_hash": it.payload.consensus_hash,
            });
            with_recipient(fields, params, &it.recipient)
        }
        Action::NameRevoke(it) => json!({"op": "~", "name": it.name}),
        Action::NameImport(it) => {
            let fields = json!({
                "op": ";", "name": it.name, "value_hash": it.value_hash, "revoked": false,
            });
            with_recipient(fields, params, &it.recipient)
        }
        Action::NamespacePreorder(it) => {
            let mut fields = burn(
                params,
                &it.burn,
                "*",
                it.payload.preorder_hash,
                it.payload.consensus_hash,
            );
            add(&mut fields, "token_fee", json!(it.payload.tokens));
            fields
        }
        Action::NamespaceReveal(it) => {
            let revealer = it.recipient.address.encode(versions);
            let preorder_hash = commitment::namespace_preorder_hash(
                &it.payload.namespace_id,
                &operation.origin.sender,
                &revealer,
            );
            let fields = json!({
                "op": "&", "namespace_id": it.payload.namespace_id, "version": it.payload.version,
                "lifetime": it.payload.lifetime, "coeff": it.payload.price.coeff, "base": it.payload.price.base,
                "buckets": it.payload.price.buckets, "nonalpha_discount": it.payload.price.nonalpha_discount,
                "no_vowel_discount": it.payload.price.no_vowel_discount, "preorder_hash": preorder_hash,
            });
            with_recipient(fields, params, &it.recipient)
        }
        Action::NamespaceReady(it) => json!({"op": "!", "namespace_id": it.namespace_id}),
        Action::Announce(it) => json!({"op": "#", "message_hash": it.message_hash}),
        Action::TokenTransfer(it) => {
            let fields = json!({
                "op": "$", "consensus_hash": it.payload.consensus_hash, "token_fee": it.payload.amount,
                "token_units": String::from_utf8_lossy(&it.payload.token_type),
                "scratch_area": encode_hex(&it.payload.scratch_area),
            });
            with_recipient(fields, params, &it.recipient)
        }
        Action::Unregistrable => json!({}),
    }
}

fn burn(
    params: &Params,
    burn: &Burn,
    op: &str,
    preorder_hash: PreorderHash,
    consensus_hash: ConsensusHash,
) -> Value {
    json!({
        "op": op,
        "preorder_hash": preorder_hash,
        "consensus_hash": consensus_hash,
        "burn_address": burn.burn_address.encode(params.addresses),
        "op_fee": burn.op_fee,
    })
}

fn with_recipient(mut fields: Value, params: &Params, recipient: &Recipient) -> Value {
    let address = recipient.address.encode(params.addresses);
    add(
        &mut fields,
        "recipient",
        json!(encode_hex(&recipient.script)),
    );
    add(&mut fields, "recipient_address", json!(address));
    fields
}

fn add_origin(fields: &mut Value, params: &Params, origin: &Origin) {
    add(fields, "sender", json!(encode_hex(&origin.sender)));
    add(
        fields,
        "address",
        json!(origin.address.encode(params.addresses)),
    );
    let pubkey = origin.sender_pubkey().as_deref().map(encode_hex);
    add(fields, "sender_pubkey", json!(pubkey));
}

fn add(fields: &mut Value, field: &str, value: Value) {
    let fields = fields.as_object_mut().expect("an object");
    fields.insert(field.to_owned(), value);
}
