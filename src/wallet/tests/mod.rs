//! Every operation, built, signed, mined on the embedded chain, and read back by the rules' own parser; then the
//! specification's examples, every epoch, and every rule that refuses.

mod epochs;
mod examples;
mod rehearsal;
pub(crate) mod rejects;

use bitcoin::{Amount, FeeRate, Script, ScriptBuf, Transaction, TxOut};

use super::coins::{Coin, Funding};
use super::keys::SigningKey;
use super::operation::{Fee, OnTransfer, Operation};
use super::psbt::{PsbtError, signed};
use crate::bns::address::{Address, AddressVersions};
use crate::bns::name::{Name, NamespaceId};
use crate::bns::operation as rules;
use crate::bns::params::Params;
use crate::bns::price::PriceFunction;
use crate::bns::wire::Payload;
use crate::chain::dev::DevChain;
use crate::chain::{ChainSource as _, Event};
use crate::hash::{ConsensusHash, ZonefileHash};
use crate::virtualchain::scan;

/// The caller's clock; after regtest's genesis block (2011).
const NOW: u32 = 1_700_000_000;
const VERSIONS: AddressVersions = AddressVersions::TESTNET;
const CONSENSUS_HASH: ConsensusHash = ConsensusHash([7; 16]);
const VALUE_HASH: ZonefileHash = ZonefileHash([9; 20]);

/// What stands behind the `OP_RETURN`, in order.
#[derive(Debug, PartialEq, Eq)]
enum Slot {
    Owner,
    Other,
    Hash,
    Change,
    Burn,
}
use Slot::{Burn, Change, Hash, Other, Owner};

struct Actors {
    owner: SigningKey,
    other: SigningKey,
    payer: SigningKey,
}

impl Actors {
    fn new() -> Self {
        let [owner, other, payer] =
            ["owner", "other", "payer"].map(SigningKey::dev_only_from_label);
        Self {
            owner,
            other,
            payer,
        }
    }

    /// Which slot an output fills.
    fn slot(&self, output: &TxOut) -> Slot {
        let is = |address: Address| output.script_pubkey.as_bytes() == address.script();
        match output {
            _ if is(self.owner.address()) => Owner,
            _ if is(self.other.address()) => Other,
            _ if is(self.payer.address()) => Change,
            _ if is(Address::P2pkh(VALUE_HASH.0)) => Hash,
            _ => Burn,
        }
    }
}

fn burn() -> Fee {
    Fee {
        to: Address::P2pkh([0; 20]),
        amount: Amount::from_sat(64_000),
    }
}

fn price() -> PriceFunction {
    PriceFunction {
        coeff: 4,
        base: 4,
        buckets: [6, 5, 4, 3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        nonalpha_discount: 10,
        no_vowel_discount: 10,
    }
}

/// Each operation with its name in the rules and its conventional outputs (wf §4).
fn operations(actors: &Actors) -> Vec<(Operation, &'static str, Vec<Slot>)> {
    let name: Name = "werner.id".parse().expect("a name");
    let id: NamespaceId = "id".parse().expect("an id");
    let (owner, other) = (actors.owner.address(), actors.other.address());
    let script = actors.owner.script();
    let names = vec![
        (
            Operation::name_preorder(
                &name,
                &script,
                (owner, VERSIONS),
                CONSENSUS_HASH,
                None,
                burn(),
            ),
            "NAME_PREORDER",
            vec![Change, Burn],
        ),
        (
            Operation::name_register(&name, owner, Some(VALUE_HASH)),
            "NAME_REGISTRATION",
            vec![Owner, Change],
        ),
        (
            Operation::name_renew(&name, owner, None, None, burn()),
            "NAME_RENEWAL",
            vec![Owner, Change, Burn],
        ),
        (
            Operation::name_update(&name, owner, CONSENSUS_HASH, VALUE_HASH),
            "NAME_UPDATE",
            vec![Owner, Change],
        ),
        (
            Operation::name_transfer(
                &name,
                owner,
                other,
                CONSENSUS_HASH,
                OnTransfer::KeepZonefile,
            ),
            "NAME_TRANSFER",
            vec![Other, Owner, Change],
        ),
        (
            Operation::name_revoke(&name, owner),
            "NAME_REVOKE",
            vec![Owner, Change],
        ),
        (
            Operation::name_import(&name, other, VALUE_HASH),
            "NAME_IMPORT",
            vec![Other, Hash, Change],
        ),
    ];
    let namespaces = vec![
        (
            Operation::namespace_preorder(
                &id,
                &script,
                (owner, VERSIONS),
                CONSENSUS_HASH,
                None,
                burn(),
            ),
            "NAMESPACE_PREORDER",
            vec![Change, Burn],
        ),
        (
            Operation::namespace_reveal(&id, owner, 52_595, price(), 1),
            "NAMESPACE_REVEAL",
            vec![Owner, Change],
        ),
        (
            Operation::namespace_ready(&id, owner),
            "NAMESPACE_READY",
            vec![Owner, Change],
        ),
        (
            Operation::announce(VALUE_HASH, owner),
            "ANNOUNCE",
            vec![Owner, Change],
        ),
    ];
    names.into_iter().chain(namespaces).collect()
}

#[test]
fn every_operation_is_mined_and_read_back_as_what_it_is() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let chain = DevChain::open(directory.path()).expect("opens");
    let actors = Actors::new();
    fund(&chain, &actors);
    for (operation, opcode, slots) in operations(&actors) {
        let transaction = sent(&chain, &actors, &operation);
        let outputs = transaction.output.iter().skip(1);
        let found: Vec<Slot> = outputs.map(|output| actors.slot(output)).collect();
        assert_eq!(found, slots, "{opcode}");
        assert_eq!(transaction.output[0].value, Amount::ZERO);
        let parsed = mine_and_parse(&chain, &actors, transaction);
        assert_eq!(parsed.opcode_name(), opcode);
        let sender = parsed.origin.sender.as_slice();
        assert_eq!(sender, actors.owner.script().as_bytes(), "{opcode}");
    }
}

#[test]
fn the_payload_that_was_read_is_the_one_that_was_built() {
    let actors = Actors::new();
    let params = Params::regtest();
    let coins = [coin(&actors.owner.script(), 1_000_000)];
    for (operation, opcode, _) in operations(&actors) {
        let funding = funding(&actors.owner, &coins, actors.payer.script());
        let unsigned = operation.build(params.magic, &funding.borrowed());
        let transaction = unsigned.expect("enough").transaction;
        let bytes = scan::payload(&transaction, params.magic).expect("magic bytes");
        let features = &params.epoch(params.first_block).features;
        let read = Payload::parse(bytes, features);
        assert_eq!(read, Some(Ok(operation.payload().clone())), "{opcode}");
    }
}

#[test]
fn a_foreign_input_needs_its_key() {
    let actors = Actors::new();
    let coins = [
        coin(&actors.owner.script(), 5_500),
        coin(&actors.payer.script(), 1_000_000),
    ];
    let name = "werner.id".parse().expect("a name");
    let operation = Operation::name_revoke(&name, actors.owner.address());
    let funding = funding(&actors.owner, &coins, actors.payer.script());
    let unsigned = operation
        .build(*b"id", &funding.borrowed())
        .expect("enough");
    assert_eq!(
        signed(&unsigned, &[&actors.owner]),
        Err(PsbtError::Unsigned(1))
    );
    let signed = signed(&unsigned, &[&actors.payer, &actors.owner]).expect("both keys");
    let rate = unsigned.fee.to_sat() as usize / signed.total_size();
    assert!((10..12).contains(&rate), "{rate} sat/vB");
}

/// A few coins for the owner, who sends, and for the payer.
fn fund(chain: &DevChain, actors: &Actors) {
    for key in [&actors.owner, &actors.payer] {
        let script = key.script();
        chain.mine_empty(&script, 12, NOW).expect("empty blocks");
    }
    let nobody = actors.other.script();
    chain.mine_empty(&nobody, 100, NOW).expect("empty blocks");
}

/// The signed transaction of an operation, paid by owner and payer.
fn sent(chain: &DevChain, actors: &Actors, operation: &Operation) -> Transaction {
    let spendable = |key: &SigningKey| chain.spendable(&key.script()).into_iter();
    let coins: Vec<Coin> = spendable(&actors.owner)
        .take(1)
        .chain(spendable(&actors.payer).take(2))
        .map(Coin::from)
        .collect();
    let funding = funding(&actors.owner, &coins, actors.payer.script());
    let unsigned = operation
        .build(Params::regtest().magic, &funding.borrowed())
        .expect("enough");
    signed(&unsigned, &[&actors.owner, &actors.payer]).expect("both keys")
}

fn mine_and_parse(chain: &DevChain, actors: &Actors, transaction: Transaction) -> rules::Operation {
    let below = chain.tip();
    let reward = actors.other.script();
    chain
        .mine(&reward, vec![transaction], NOW)
        .expect("the signatures are valid");
    let mut source = chain.source(0);
    let Ok(Event::Connect(block)) = source.next(Some(below), 0) else {
        panic!("the block was mined");
    };
    let params = Params::regtest();
    let candidate = scan::scan(&block.raw, params.magic)
        .expect("a whole block")
        .remove(0);
    let outpoints: Vec<_> = candidate.outpoints().collect();
    let prevouts = source.prevouts(&block, &outpoints).expect("spent there");
    rules::Operation::parse(&params, block.at.height, &candidate.with_prevouts(prevouts))
        .expect("a known opcode")
        .expect("well formed")
}

fn coin(script: &Script, satoshi: u64) -> Coin {
    Coin {
        outpoint: bitcoin::OutPoint::null(),
        output: TxOut {
            value: Amount::from_sat(satoshi),
            script_pubkey: script.to_owned(),
        },
        input_size: super::coins::KEY_HASH_SIZE,
    }
}

/// Owns what a [`Funding`] borrows.
struct OwnedFunding<'a> {
    sender: ScriptBuf,
    coins: &'a [Coin],
    change: ScriptBuf,
}

fn funding<'a>(sender: &SigningKey, coins: &'a [Coin], change: ScriptBuf) -> OwnedFunding<'a> {
    OwnedFunding {
        sender: sender.script(),
        coins,
        change,
    }
}

impl OwnedFunding<'_> {
    fn borrowed(&self) -> Funding<'_> {
        Funding {
            sender: &self.sender,
            coins: self.coins,
            change: &self.change,
            rate: FeeRate::from_sat_per_vb_u32(10),
        }
    }
}
