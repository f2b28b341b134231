//! What an input spends is not seen from its scriptSig: the same bytes spend outputs of different owners, so a log shows the
//! transactions that are spent. The three kinds of evidence of the format, and one that is none.

use std::collections::HashMap;

use bitcoin::absolute::LockTime;
use bitcoin::block::Header;
use bitcoin::consensus::serialize;
use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash as _;
use bitcoin::p2p::Magic;
use bitcoin::secp256k1::{PublicKey, Secp256k1, SecretKey};
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness,
};
use bnsd::bns::{Operation, Params};
use bnsd::chain::header::merkle_root;
use bnsd::chain::log::record::{Evidence, Funding, Record, RecordFault};
use bnsd::chain::log::segment::{Reader, Writer};
use bnsd::hash::{decode_hex, encode_hex, h160};
use bnsd::virtualchain::VirtualTransaction;

/// A public key that is also a script, of two pushes and `OP_2DROP`.
const KEY: &str = "02fef81c633d64f1a7e1a63c88380a7154d305f065d18de38b3e09c272983a446d";
/// Its secret.
const SECRET: u64 = 24_265;

#[test]
fn the_key_is_a_script_that_drops_two_pushes() {
    let mut secret = [0; 32];
    secret[24..].copy_from_slice(&SECRET.to_be_bytes());
    let secret = SecretKey::from_slice(&secret).expect("a secret key");
    let public = PublicKey::from_secret_key(&Secp256k1::signing_only(), &secret);
    assert_eq!(public.to_string(), KEY);
    let script = ScriptBuf::from(public.serialize().to_vec());
    let parts: Vec<_> = script
        .instructions()
        .map(|part| part.expect("a part"))
        .collect();
    let pushes = parts.iter().filter(|part| part.push_bytes().is_some());
    assert_eq!((parts.len(), pushes.count()), (3, 2));
    assert_eq!(parts[2].opcode(), Some(bitcoin::opcodes::all::OP_2DROP));
}

#[test]
fn a_record_says_what_is_spent_and_not_the_script_sig() {
    let key = decode_hex(KEY).expect("hex");
    let signed = [&[71][..], &[0x30; 71], &[33], &key].concat();
    let p2pkh = [&[0x76, 0xa9, 0x14][..], &h160(&key), &[0x88, 0xac]].concat();
    let p2sh = |script: &[u8]| [&[0xa9, 0x14][..], &h160(script), &[0x87]].concat();
    let witness_program = [&[0x00, 0x14][..], &[7; 20]].concat();
    let pushed = [&[22][..], &witness_program].concat();
    let two_drops = vec![0x6d, 0x51]; // OP_2DROP OP_1
    let cases = [
        ("empty", Vec::new(), witness_program.clone(), false),
        ("one push", pushed, p2sh(&witness_program), true),
        ("p2pkh", signed.clone(), p2pkh.clone(), true),
        ("p2sh", signed.clone(), p2sh(&key), true),
        ("anybody's", signed, two_drops, false),
    ];
    let mut segments = String::new();
    for (what, script_sig, spent, is_taken) in cases {
        let case = Case::new(script_sig, spent.clone());
        let read = case.read();
        let seen = read.expect("nothing is wrong with it");
        let expected = match what {
            "empty" => Vec::new(),
            _ => vec![case.funding.output[0].clone()],
        };
        assert_eq!(seen.prevouts, expected, "{what}");
        let parsed = Operation::parse(&Params::regtest(), 9, &seen).expect("an operation");
        assert_eq!(parsed.is_ok(), is_taken, "{what}");
        segments += &format!("{what}: {}\n", encode_hex(&case.segment));
        // Another transaction, with the output that the attacker would like.
        let mut wrong = case.record();
        for entry in &mut wrong.candidates[0].funding {
            *entry = Funding::Here(funding(p2pkh.clone(), 2));
        }
        let outpoint = OutPoint::new(case.funding.compute_txid(), 0);
        let refused = case.join(&wrong);
        match what {
            "empty" => assert_eq!(refused, Ok(seen)),
            _ => assert_eq!(refused, Err(RecordFault::Funding(outpoint))),
        }
    }
    let golden = include_str!("../vectors/log/script-sigs.txt");
    assert_eq!(segments, golden, "the bytes of the format have changed");
}

/// A block with one operation.
struct Case {
    header: Header,
    funding: Transaction,
    segment: Vec<u8>,
}

impl Case {
    /// An operation whose input has this scriptSig and spends an output with this script.
    fn new(script_sig: Vec<u8>, spent: Vec<u8>) -> Self {
        let funding = funding(spent, 1);
        let outpoint = OutPoint::new(funding.compute_txid(), 0);
        let owner = [&[0x76, 0xa9, 0x14][..], &[9; 20], &[0x88, 0xac]].concat();
        let payload = [&[0x6a, 12][..], b"id:name.test"].concat();
        let operation = transaction(outpoint, script_sig, vec![payload, owner]);
        let coinbase = transaction(OutPoint::null(), vec![1, 9], vec![vec![0x51]]);
        let txdata = vec![coinbase, operation];
        let ids: Vec<Txid> = txdata.iter().map(Transaction::compute_txid).collect();
        let header = Header {
            merkle_root: merkle_root(&ids).expect("two transactions"),
            ..genesis_block(Network::Regtest).header
        };
        let raw = serialize(&bitcoin::Block { header, txdata });
        let known = HashMap::from([(funding.compute_txid(), funding.clone())]);
        let evidence = Evidence::of_block(&raw, *b"id", known).expect("a block");
        let mut writer = Writer::new(*b"id", Magic::REGTEST, 9);
        writer.push(9, &evidence, |_| None).expect("all is known");
        Self {
            header,
            funding,
            segment: writer.finish(9),
        }
    }

    fn record(&self) -> Record {
        let mut reader = Reader::new(&self.segment).expect("a segment");
        reader.next().expect("a record").expect("a good one")
    }

    fn read(&self) -> Result<VirtualTransaction, RecordFault> {
        self.join(&self.record())
    }

    fn join(&self, record: &Record) -> Result<VirtualTransaction, RecordFault> {
        let candidates = record.check(&self.header, *b"id")?;
        let joined: Result<Vec<_>, RecordFault> = record.join(candidates, |_| Ok(None));
        Ok(joined?.remove(0))
    }
}

fn funding(script: Vec<u8>, number: u8) -> Transaction {
    let before = OutPoint::new(Txid::from_byte_array([number; 32]), 0);
    transaction(before, vec![0x51], vec![script])
}

fn transaction(spent: OutPoint, script_sig: Vec<u8>, scripts: Vec<Vec<u8>>) -> Transaction {
    let output = |script| TxOut {
        value: Amount::from_sat(5_500),
        script_pubkey: ScriptBuf::from(script),
    };
    Transaction {
        version: Version::ONE,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: spent,
            script_sig: ScriptBuf::from(script_sig),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: scripts.into_iter().map(output).collect(),
    }
}
