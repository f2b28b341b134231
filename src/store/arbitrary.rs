//! Records, changes and whole blocks made up for property tests.

use std::collections::BTreeMap;

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash as _;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};
use proptest::array::uniform;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use crate::bns::address::Address;
use crate::bns::name::{Name, NamespaceId};
use crate::bns::price::PriceFunction;
use crate::bns::record::{
    Account, Fee, ImportKeychain, NameOp, NameRecord, NamespaceOp, NamespaceRecord, Preorder,
    PreorderKind, TokenUnits,
};
use crate::hash::{ConsensusHash, PreorderHash, ZonefileHash};
use crate::virtualchain::VirtualTransaction;
use crate::virtualchain::serialize::Serializer;

use super::row::StoredDecision;

/// Few names, so that blocks meet the same ones again.
pub(super) fn name() -> impl Strategy<Value = Name> {
    "[a-c]{1,2}\\.(id|test)".prop_map(|text| text.parse().expect("the pattern is a name's"))
}

pub(super) fn namespace_id() -> impl Strategy<Value = NamespaceId> {
    "[a-z]{1,2}|id|test"
        .prop_map(|text| NamespaceId::from_bytes(text.as_bytes()).expect("the pattern is an id's"))
}

/// Few hashes and addresses, so that index entries share prefixes.
fn few<const N: usize>() -> impl Strategy<Value = [u8; N]> {
    prop_oneof![
        3 => (0u8..4).prop_map(|byte| [byte; N]),
        1 => uniform(any::<u8>()),
    ]
}

pub(super) fn address() -> impl Strategy<Value = Address> {
    prop_oneof![
        few().prop_map(Address::P2pkh),
        few().prop_map(Address::P2sh)
    ]
}

fn script() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => address().prop_map(|address| address.script()),
        1 => vec(any::<u8>(), 0..300),
    ]
}

fn txid() -> impl Strategy<Value = Txid> {
    any::<[u8; 32]>().prop_map(Txid::from_byte_array)
}

fn public_key() -> impl Strategy<Value = Option<Vec<u8>>> {
    of(prop_oneof![vec(any::<u8>(), 33), vec(any::<u8>(), 65)])
}

fn fee() -> impl Strategy<Value = Fee> {
    prop_oneof![
        any::<u64>().prop_map(Fee::Satoshi),
        proptest::num::f64::NORMAL.prop_map(Fee::Float),
    ]
}

prop_compose! {
    pub(super) fn name_record()(
        name in name(),
        (preorder_hash, value_hash) in (few(), of(few())),
        (sender, sender_pubkey) in (script(), public_key()),
        heights in uniform::<_, 5>(any::<u32>()),
        (revoked, op) in (any::<bool>(), select(&NameOp::ALL[..])),
        (txid, vtxindex) in (txid(), any::<u32>()),
        (op_fee, token_fee) in (fee(), any::<u64>()),
        (importer, importer_address) in (of(script()), of(address())),
        (consensus_hash, update_consensus_hash) in (of(few()), of(few())),
    ) -> NameRecord {
        NameRecord {
            name,
            preorder_hash: PreorderHash(preorder_hash),
            value_hash: value_hash.map(ZonefileHash),
            sender,
            sender_pubkey,
            block_number: heights[0],
            preorder_block_number: heights[1],
            namespace_block_number: heights[2],
            first_registered: heights[3],
            last_renewed: heights[4],
            revoked,
            op,
            txid,
            vtxindex,
            op_fee,
            importer,
            importer_address,
            consensus_hash: consensus_hash.map(ConsensusHash),
            update_consensus_hash: update_consensus_hash.map(ConsensusHash),
            token_fee,
        }
    }
}

prop_compose! {
    fn price()(
        numbers in uniform::<_, 4>(any::<u8>()),
        buckets in uniform::<_, 16>(any::<u8>()),
    ) -> PriceFunction {
        let [coeff, base, nonalpha_discount, no_vowel_discount] = numbers;
        PriceFunction { coeff, base, buckets, nonalpha_discount, no_vowel_discount }
    }
}

prop_compose! {
    pub(super) fn namespace_record()(
        namespace_id in namespace_id(),
        (preorder_hash, version) in (few(), any::<u16>()),
        (sender, sender_pubkey, recipient) in (script(), public_key(), script()),
        (address, recipient_address) in (address(), address()),
        heights in uniform::<_, 3>(any::<u32>()),
        op in select(&[NamespaceOp::Reveal, NamespaceOp::Ready][..]),
        (op_fee, token_fee) in any::<(u64, u64)>(),
        (txid, vtxindex) in (txid(), any::<u32>()),
        (lifetime, price) in (any::<u32>(), price()),
    ) -> NamespaceRecord {
        NamespaceRecord {
            namespace_id,
            preorder_hash: PreorderHash(preorder_hash),
            version,
            sender,
            sender_pubkey,
            address,
            recipient,
            recipient_address,
            block_number: heights[0],
            reveal_block: heights[1],
            ready_block: heights[2],
            op,
            op_fee,
            token_fee,
            txid,
            vtxindex,
            lifetime,
            price,
        }
    }
}

prop_compose! {
    pub(super) fn preorder()(
        kind in select(&[PreorderKind::Name, PreorderKind::Namespace][..]),
        (preorder_hash, consensus_hash) in (few(), few()),
        (sender, sender_pubkey, address) in (script(), public_key(), address()),
        (block_number, txid, vtxindex) in (0u32..4, txid(), any::<u32>()),
        (op_fee, token_fee) in any::<(u64, u64)>(),
        burn_address in address(),
        token_units in select(&[TokenUnits::Btc, TokenUnits::Stacks][..]),
    ) -> Preorder {
        Preorder {
            kind,
            preorder_hash: PreorderHash(preorder_hash),
            consensus_hash: ConsensusHash(consensus_hash),
            sender,
            sender_pubkey,
            address,
            block_number,
            txid,
            vtxindex,
            op_fee,
            burn_address,
            token_fee,
            token_units,
        }
    }
}

prop_compose! {
    pub(super) fn keychain()(
        namespace_id in namespace_id(),
        pubkey in vec(any::<u8>(), 33),
        addresses in vec(any::<[u8; 20]>(), 0..10),
    ) -> ImportKeychain {
        ImportKeychain { namespace_id, pubkey, addresses }
    }
}

prop_compose! {
    pub(super) fn account()(
        address in address(),
        (credit_value, debit_value) in any::<(u128, u128)>(),
        (lock_transfer_block_id, receive_whitelisted) in any::<(u32, bool)>(),
    ) -> Account {
        Account { address, credit_value, debit_value, lock_transfer_block_id, receive_whitelisted }
    }
}

prop_compose! {
    fn output()(satoshi in any::<u64>(), script in script()) -> TxOut {
        TxOut { value: Amount::from_sat(satoshi), script_pubkey: ScriptBuf::from_bytes(script) }
    }
}

prop_compose! {
    fn input()(
        (txid, vout) in (txid(), any::<u32>()),
        (script, sequence) in (script(), any::<u32>()),
        witness in vec(vec(any::<u8>(), 0..40), 0..3),
    ) -> TxIn {
        TxIn {
            previous_output: OutPoint { txid, vout },
            script_sig: ScriptBuf::from_bytes(script),
            sequence: Sequence(sequence),
            witness: Witness::from_slice(&witness),
        }
    }
}

prop_compose! {
    /// A candidate; its place in the block is the caller's to set.
    pub(super) fn candidate()(
        (version, lock_time) in any::<(i32, u32)>(),
        input in vec(input(), 1..3),
        output in vec(output(), 0..3),
        prevouts in vec(output(), 0..3),
    ) -> VirtualTransaction {
        let transaction = Transaction {
            version: Version(version),
            lock_time: LockTime::from_consensus(lock_time),
            input,
            output,
        };
        VirtualTransaction { vtxindex: 0, txid: transaction.compute_txid(), transaction, prevouts }
    }
}

/// A text that can be shortened.
fn text() -> impl Strategy<Value = String> {
    vec("[0-9a-f]{0,40}|True|[0-9]{1,6}|[a-z.]{0,9}", 1..9).prop_map(|fields| {
        let mut text = Serializer::new('+');
        for field in fields {
            text.field(field);
        }
        text.finish()
    })
}

pub(super) fn decision() -> impl Strategy<Value = StoredDecision> {
    prop_oneof![
        Just(StoredDecision::Ignored),
        of(".{0,40}").prop_map(|serialized| StoredDecision::Accepted { serialized }),
        text().prop_map(|text| StoredDecision::Accepted {
            serialized: Some(text)
        }),
        ".{0,40}".prop_map(|reason| StoredDecision::Rejected { reason }),
        ".{0,40}".prop_map(|reason| StoredDecision::Unparseable { reason }),
    ]
}

/// Rows that a block wants. Preorders are kept or only taken away; names never are, and some have another operation before.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) names: Vec<(NameRecord, bool)>,
    pub(super) namespaces: Vec<NamespaceRecord>,
    pub(super) preorders: Vec<(Preorder, bool)>,
    pub(super) keychains: Vec<ImportKeychain>,
    pub(super) accounts: Vec<Account>,
    pub(super) candidates: BTreeMap<u32, (VirtualTransaction, StoredDecision)>,
}

prop_compose! {
    /// What one block does, before it is known what the rows were.
    pub(super) fn wish()(
        names in vec((name_record(), any::<bool>()), 0..5),
        namespaces in vec(namespace_record(), 0..2),
        preorders in vec((preorder(), any::<bool>()), 0..4),
        keychains in vec(keychain(), 0..2),
        accounts in vec(account(), 0..2),
        candidates in proptest::collection::btree_map(any::<u32>(), (candidate(), decision()), 0..4),
    ) -> Wish {
        Wish { names, namespaces, preorders, keychains, accounts, candidates }
    }
}
