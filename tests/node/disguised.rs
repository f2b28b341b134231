//! Operations whose scriptSig looks like that of a key's owner and that spend something else, in blocks of Bitcoin Core.
//!
//! The key of the secret 24265 is also a script: two pushes and `OP_2DROP`. A signature and that key open its p2pkh output,
//! the p2sh output of the key's bytes, and any output that drops two values. Only what is spent tells who sent an operation;
//! the log carries it, and says the same as the node.

use std::collections::HashMap;

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, TxOut, Txid, Witness};
use bnsd::bns::address::Address;
use bnsd::bns::view::View as _;
use bnsd::chain::log::record::{Elsewhere, RecordFault};
use bnsd::chain::log::segment::Reader;
use bnsd::hash::h160;
use bnsd::store::StoredDecision;
use bnsd::virtualchain::VirtualTransaction;
use bnsd::wallet::keys::SigningKey;
use bnsd::wallet::operation::{Fee, OnTransfer, Operation};

use super::*;
use crate::common::written;

/// The burn address: its rewards are nobody's.
const NOBODY: &str = "mfWxJ45yp2SFn7UciZyNpvDKrzbhyfKrY8";
/// What each disguised coin is worth.
const COIN: Amount = Amount::from_int_btc(3);

/// The key that is also a script.
fn strange_key() -> SigningKey {
    let mut secret = [0; 32];
    secret[28..].copy_from_slice(&24_265u32.to_be_bytes());
    let key = SigningKey::from_bytes(&secret).expect("a secret");
    assert_eq!((key.public_key()[0], key.public_key()[32]), (2, 0x6d));
    key
}

/// The scripts of three outputs beside the owner's own that the same scriptSig, or none, opens.
fn disguises(key: &SigningKey) -> [ScriptBuf; 3] {
    use bitcoin::hashes::{Hash as _, sha256};
    let p2sh = Address::P2sh(h160(&key.public_key())).script();
    let anyone = sha256::Hash::hash(&[0x51]).to_byte_array();
    let scripts = [
        vec![0x6d, 0x51], // OP_2DROP OP_1
        p2sh,
        [&[0x00, 0x20][..], &anyone].concat(), // p2wsh of OP_1
    ];
    scripts.map(ScriptBuf::from)
}

#[test]
fn an_operation_is_its_senders_whatever_its_script_sig_looks_like() {
    let mut mirror = Mirror::start(&["-rest=1"]);
    mirror.publish(&project_zonefiles()); // opens the namespace
    let key = strange_key();
    let coins = disguises(&key);
    let own = [Amount::from_int_btc(1); 3].map(|value| (value, key.script()));
    let disguised = coins.clone().map(|script| (COIN, script));
    let outputs = own.into_iter().chain(disguised);
    let outputs = outputs.map(|(value, script_pubkey)| TxOut {
        value,
        script_pubkey,
    });
    mirror
        .registrar
        .give(outputs.collect(), TIME)
        .expect("coins");
    let name: Name = "strange.id".parse().expect("a name");
    let transfer = registered(&mut mirror, &name, &key);
    mirror.send();

    let funding = funding_of(&mirror, &coins[0]);
    let (txid, first) = (funding.compute_txid(), vout(&funding, &coins[0]));
    let disguise = |place: u32| {
        let mut transaction = transfer.clone();
        transaction.input.truncate(1);
        transaction.input[0].previous_output = OutPoint::new(txid, first + place);
        transaction
    };
    let mut void = disguise(2);
    void.input[0].script_sig = ScriptBuf::new();
    void.input[0].witness = Witness::from_slice(&[[0x51]]);

    let mut index = Index::open(&mirror.home.folder("index"), mirror.rpc());
    let mut owner_after = |transaction: &Transaction| {
        let block = json!([NOBODY, [serialize_hex(transaction)]]);
        let arguments = block.as_array().expect("a list");
        let _: Value = mirror.node.call("generateblock", arguments);
        index.catch_up().expect("the block");
        let snapshot = index.store.snapshot();
        let operations = snapshot
            .operations_at(index.tip().height)
            .expect("readable");
        let [operation] = &operations[..] else {
            panic!("{operations:?}");
        };
        let is_accepted = matches!(operation.decision, StoredDecision::Accepted { .. });
        let record = snapshot.name(&name).expect("readable").expect("registered");
        let spent = operation.candidate.prevouts.clone();
        (is_accepted, record.sender == key.script().to_bytes(), spent)
    };
    for (transaction, script) in [disguise(0), disguise(1)].iter().zip(&coins) {
        let (is_accepted, is_ours, spent) = owner_after(transaction);
        assert!(!is_accepted && is_ours, "{script}");
        assert_eq!(spent[0].script_pubkey, *script);
    }
    assert_eq!(owner_after(&void), (false, true, Vec::new()));
    let (is_accepted, is_ours, spent) = owner_after(&transfer);
    assert!(is_accepted && !is_ours, "the owner gave it away");
    assert_eq!(spent[0].script_pubkey, key.script());

    // The log gives the rules what the node gave, and block files write the same.
    let directory = mirror.home.path().join("log");
    written::write(&index.store, mirror.rpc(), &directory).expect("a log");
    written::check(&directory);
    assert_eq!(joined(&directory), stored(&index));
    let other = mirror.home.path().join("log-files");
    written::write(&index.store, mirror.block_files(), &other).expect("a log");
    assert!(written::files(&other) == written::files(&directory));
}

/// Registers a name for a key; gives a transfer of it that the key signed, which is not sent.
fn registered(mirror: &mut Mirror, name: &Name, key: &SigningKey) -> Transaction {
    let params = Params::regtest();
    let burn = Fee {
        to: params.burn_address,
        amount: Amount::from_sat(10_000_000),
    };
    let (owner, quoted) = (key.address(), mirror.registrar.consensus_hash());
    let owned_by = (owner, params.addresses);
    let preorder = Operation::name_preorder(name, &key.script(), owned_by, quoted, None, burn);
    for operation in [preorder, Operation::name_register(name, owner, None)] {
        let signed = mirror.registrar.transaction(&operation, key);
        let mined = mirror.registrar.mine(vec![signed.expect("coins")], TIME);
        mined.expect("accepted");
    }
    let quoted = mirror.registrar.consensus_hash();
    let to = SigningKey::dev_only_from_label("somebody").address();
    let keep = OnTransfer::KeepZonefile;
    let transfer = Operation::name_transfer(name, owner, to, quoted, keep);
    let signed = mirror.registrar.transaction(&transfer, key);
    signed.expect("a coin")
}

/// The transaction on the embedded chain that pays to a script.
fn funding_of(mirror: &Mirror, script: &ScriptBuf) -> Transaction {
    let mut source = mirror.dev.source(0);
    let mut tip = None;
    while let Event::Connect(block) = source.next(tip, 1).expect("a block") {
        tip = Some(block.at);
        let block: bitcoin::Block = bitcoin::consensus::deserialize(&block.raw).expect("a block");
        let pays = |transaction: &&Transaction| {
            let mut outputs = transaction.output.iter();
            outputs.any(|output| output.script_pubkey == *script)
        };
        if let Some(found) = block.txdata.iter().find(pays) {
            return found.clone();
        }
    }
    panic!("nobody pays to {script}");
}

fn vout(transaction: &Transaction, script: &ScriptBuf) -> u32 {
    let mut outputs = transaction.output.iter();
    let place = outputs.position(|output| output.script_pubkey == *script);
    place.expect("it pays to the script") as u32
}

/// What the rules see of a candidate: height, position, id, spent outputs.
type Seen = (u32, u32, Txid, Vec<TxOut>);

fn seen(height: u32, candidate: VirtualTransaction) -> Seen {
    let VirtualTransaction {
        vtxindex,
        txid,
        prevouts,
        ..
    } = candidate;
    (height, vtxindex, txid, prevouts)
}

/// What a log of one segment says.
fn joined(directory: &Path) -> Vec<Seen> {
    let files = written::files(directory);
    let mut reader = Reader::new(&files["segments/open"]).expect("a segment");
    let magic = reader.header().magic;
    let mut places: HashMap<(u32, u32), Transaction> = HashMap::new();
    let mut all = Vec::new();
    while let Some(record) = reader.next() {
        let record = record.expect("a record");
        let header = &files["headers"][record.height as usize * 80..][..80];
        let header = bitcoin::consensus::deserialize(header).expect("a header");
        let candidates = record.check(&header, magic).expect("true");
        let find = |elsewhere| -> Result<Option<Transaction>, RecordFault> {
            Ok(match elsewhere {
                Elsewhere::Candidate { height, vtxindex } => {
                    places.get(&(height, vtxindex)).cloned()
                }
                Elsewhere::Spelled(place) => reader.spelled(place),
            })
        };
        for candidate in record.join(candidates, find).expect("complete") {
            let place = (record.height, candidate.vtxindex);
            places.insert(place, candidate.transaction.clone());
            all.push(seen(record.height, candidate));
        }
    }
    all
}

/// What the index was shown by the node.
fn stored(index: &Index) -> Vec<Seen> {
    let snapshot = index.store.snapshot();
    let heights = 1..=index.tip().height;
    heights
        .flat_map(|height| {
            let operations = snapshot.operations_at(height).expect("readable");
            let candidates = operations.into_iter().map(|operation| operation.candidate);
            candidates.map(move |candidate| seen(height, candidate))
        })
        .collect()
}
