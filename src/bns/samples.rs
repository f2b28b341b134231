//! Rows for tests: the least that a name or a namespace needs.

use bitcoin::Txid;
use bitcoin::hashes::Hash as _;

use super::address::Address;
use super::name::Name;
use super::price::PriceFunction;
use super::record::{Fee, NameOp, NameRecord, NamespaceOp, NamespaceRecord};
use crate::hash::PreorderHash;

/// A name of this owner, registered in this block.
pub(crate) fn name_record(name: &str, owner: Address, height: u32) -> NameRecord {
    NameRecord {
        name: name.parse::<Name>().expect("a name"),
        preorder_hash: PreorderHash([0; 20]),
        value_hash: None,
        sender: owner.script(),
        sender_pubkey: None,
        block_number: height,
        preorder_block_number: height,
        namespace_block_number: height,
        first_registered: height,
        last_renewed: height,
        revoked: false,
        op: NameOp::Register,
        txid: Txid::all_zeros(),
        vtxindex: 1,
        op_fee: Fee::Satoshi(0),
        importer: None,
        importer_address: None,
        consensus_hash: None,
        update_consensus_hash: None,
        token_fee: 0,
    }
}

/// The namespace `test` of this owner, opened in this block.
pub(crate) fn namespace_record(owner: Address, height: u32) -> NamespaceRecord {
    NamespaceRecord {
        namespace_id: "test".parse().expect("an id"),
        preorder_hash: PreorderHash([0; 20]),
        version: 1,
        sender: owner.script(),
        sender_pubkey: None,
        address: owner,
        recipient: owner.script(),
        recipient_address: owner,
        block_number: height,
        reveal_block: height,
        ready_block: height,
        op: NamespaceOp::Ready,
        op_fee: 0,
        token_fee: 0,
        txid: Txid::all_zeros(),
        vtxindex: 1,
        lifetime: 1_000,
        price: PriceFunction {
            coeff: 1,
            base: 1,
            buckets: [0; 16],
            nonalpha_discount: 1,
            no_vowel_discount: 1,
        },
    }
}
