//! Every operation, built, signed, mined on the embedded chain, and read back by the rules' own parser.

use bitcoin::{Amount, FeeRate, Script, ScriptBuf, Transaction, TxOut};

use super::coins::{Coin, Funding};
use super::judge::judge;
use super::keys::SigningKey;
use super::operation::{Fee, OnTransfer, Operation};
use super::sign::{MissingKey, sign};
use crate::bns::address::{Address, AddressVersions};
use crate::bns::name::{Name, NamespaceId};
use crate::bns::operation as rules;
use crate::bns::params::Params;
use crate::bns::price::PriceFunction;
use crate::bns::state::State;
use crate::bns::view::View as _;
use crate::bns::wire::Payload;
use crate::bns::{Bns, Reject};
use crate::chain::dev::DevChain;
use crate::chain::{ChainSource as _, Event};
use crate::hash::{ConsensusHash, ZonefileHash};
use crate::virtualchain::{Decision, SnapshotView as _, connect_block, scan};

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
        let sender = parsed.origin().sender.as_slice();
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
        sign(&unsigned, &[&actors.owner]),
        Err(MissingKey { input: 1 })
    );
    let signed = sign(&unsigned, &[&actors.payer, &actors.owner]).expect("both keys");
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
    sign(&unsigned, &[&actors.owner, &actors.payer]).expect("both keys")
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

// ---- the specification's examples, and every epoch --------------------------------------------------------

fn numbered(number: u8) -> SigningKey {
    let mut bytes = [0; 32];
    bytes[31] = number;
    SigningKey::from_bytes(&bytes).expect("a small number is a key")
}

fn hash<const N: usize>(text: &str) -> [u8; N] {
    let bytes = crate::hash::decode_hex(text).expect("hex");
    bytes.try_into().expect("as long as it should be")
}

/// wf §7: number, operation, payload.
fn examples() -> Vec<(u8, Operation, String)> {
    const MAIN: AddressVersions = AddressVersions::MAINNET;
    let ch = |text| ConsensusHash(hash(text));
    let name = |text: &str| -> Name { text.parse().expect("a name") };
    let id = |text: &str| -> NamespaceId { text.parse().expect("an id") };
    let address = |number| numbered(number).address();
    let burn = burn();
    let function = |coeff, base, nonalpha_discount, no_vowel_discount| PriceFunction {
        coeff,
        base,
        buckets: [6, 5, 4, 3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        nonalpha_discount,
        no_vowel_discount,
    };
    let any = ZonefileHash([0; 20]);
    let value = |byte| ZonefileHash([byte; 20]);
    let (owner, other) = (address(5), address(6));
    let transfer_hash = ch("1fec4c7433130403d1b40010c96665ff");
    let zeros = |count: usize| "00".repeat(count);
    vec![
        (1, Operation::namespace_preorder(&id("test"), &numbered(1).script(), (address(2), MAIN), ch("2a9148d8b13939723d2aca16c75c6d68"), None, burn), "69642a5969af8d3b5cca0dd400ed940bed947d75c6f96e2a9148d8b13939723d2aca16c75c6d68".to_owned()),
        (2, Operation::namespace_preorder(&id("vthr"), &numbered(16).script(), (address(2), MAIN), ch("5d138676ef2e159892fda4e05aa5ddaa"), Some(6_400_000_000), burn), "69642a491ddf3b48679f76b9ab82a8b8f58de194a7d5335d138676ef2e159892fda4e05aa5ddaa000000017d784000".to_owned()),
        (3, Operation::namespace_reveal(&id("test"), owner, 52_595, function(250, 4, 10, 10), 1), "6964260000cd73fa046543210000000000aa000174657374".to_owned()),
        (4, Operation::namespace_reveal(&id("vone"), owner, 4, function(4, 10, 1, 3), 1), "69642600000004040a6543210000000000130001766f6e65".to_owned()),
        (5, Operation::name_import(&name("imported.test"), owner, any), "69643b696d706f727465642e74657374".to_owned()),
        (6, Operation::name_import(&name("b-c.vone"), owner, any), "69643b622d632e766f6e65".to_owned()),
        (7, Operation::namespace_ready(&id("test"), owner), "6964212e74657374".to_owned()),
        (8, Operation::namespace_ready(&id("vtwo"), owner), "6964212e7674776f".to_owned()),
        (9, Operation::name_preorder(&name("foo.test"), &numbered(4).script(), (owner, MAIN), ch("80578cf367dcd6463c17a92ba76fe1eb"), None, burn), "69643fc039163e150923f06da9bc0fc68525eb83c051c580578cf367dcd6463c17a92ba76fe1eb".to_owned()),
        (11, Operation::name_register(&name("foo.test"), owner, None), "69643a666f6f2e74657374".to_owned()),
        (12, Operation::name_register(&name("ru.vone"), owner, Some(value(0x88))), format!("69643a72752e766f6e65{}{}", zeros(30), "88".repeat(20))),
        (13, Operation::name_renew(&name("foo.test"), owner, None, None, burn), "69643a666f6f2e74657374".to_owned()),
        (14, Operation::name_renew(&name("stx.vone"), owner, Some(value(0xdd)), Some(0), burn), format!("69643a7374782e766f6e65{}{}{}", zeros(29), "dd".repeat(20), zeros(8))),
        (15, Operation::name_update(&name("foo.test"), owner, ch("27337928b3fe0b5cfe03db7bfc0bc47c"), value(0x44)), format!("69642b83d268993c2feb923606604235064140{}", "44".repeat(20))),
        (16, Operation::name_update(&name("imported.test"), owner, ch("924b22edc0e5994376dee90ae6d9a489"), value(0x55)), format!("69642b8367efba41662a0eaa67739bdbe2e711{}", "55".repeat(20))),
        (17, Operation::name_transfer(&name("foo.test"), owner, other, transfer_hash, OnTransfer::KeepZonefile), "69643e3e7727f568dd9d36d5c777c024da5994731fec4c7433130403d1b40010c96665ff".to_owned()),
        (18, Operation::name_transfer(&name("imported.test"), owner, other, transfer_hash, OnTransfer::ClearZonefile), "69643e7ed7bc2277972c94acddd1364eede0de191fec4c7433130403d1b40010c96665ff".to_owned()),
        (19, Operation::name_revoke(&name("foo.test"), owner), "69647e666f6f2e74657374".to_owned()),
        (20, Operation::name_revoke(&name("bar.test"), owner), "69647e6261722e74657374".to_owned()),
        (21, Operation::announce(ZonefileHash::of(b"hello"), owner), "696423b6a9c8c230722b7c748331a8b450f05566dc7d0f".to_owned()),
    ]
}

#[test]
fn payloads_are_those_of_the_specification() {
    for (number, operation, expected) in examples() {
        let payload = [&b"id"[..], &operation.payload().encode()].concat();
        assert_eq!(
            crate::hash::encode_hex(&payload),
            expected,
            "example {number}"
        );
    }
}

/// A chain in memory on which one key does everything.
struct Rehearsal {
    bns: Bns,
    state: State,
    height: u32,
    key: SigningKey,
}

impl Rehearsal {
    fn new(epoch: u8) -> Self {
        let key = numbered(7);
        let params = Params {
            epochs: vec![crate::bns::epoch::historical(epoch, u32::MAX)],
            genesis_accounts: vec![(key.address(), 10_000_000_000)],
            ..Params::regtest()
        };
        Self {
            state: State::genesis(&params),
            height: params.first_block,
            bns: Bns::new(params),
            key,
        }
    }

    fn quoted(&self) -> ConsensusHash {
        let Ok(found) = self.state.consensus_hash(self.height - 1);
        found.unwrap_or(self.bns.params().initial_consensus_hash)
    }

    /// What becomes of an operation in the next block; if it is accepted the block is connected.
    fn does(&mut self, operation: &Operation) -> Option<Reject> {
        let coins = [coin(&self.key.script(), 200_000_000_000)];
        let funding = funding(&self.key, &coins, self.key.script());
        let unsigned = operation
            .build(*b"id", &funding.borrowed())
            .expect("enough");
        let transaction = sign(&unsigned, &[&self.key]).expect("our key");
        let candidate = crate::virtualchain::VirtualTransaction {
            vtxindex: 1,
            txid: transaction.compute_txid(),
            transaction,
            prevouts: unsigned.prevouts,
        };
        let block = vec![candidate];
        let Ok(judged) = judge(
            &self.bns,
            &self.state,
            self.height - 1,
            self.height,
            std::slice::from_ref(&block),
        );
        let Ok(outcome) = connect_block(&self.bns, self.height, &block, &self.state);
        let judgement = judged.first().expect("an operation");
        if let Err(reject) = judgement.outcome {
            return Some(reject);
        }
        assert!(matches!(
            outcome.decisions[0].operation,
            Decision::Accepted(_)
        ));
        self.state
            .connect(self.height, &outcome.changes, outcome.snapshot);
        self.height += 1;
        None
    }
}

#[test]
fn every_epoch_accepts_every_operation_that_it_allows() {
    for epoch in 1..=6 {
        let mut chain = Rehearsal::new(epoch);
        let (script, me, other) = (
            chain.key.script(),
            chain.key.address(),
            numbered(8).address(),
        );
        let features = chain.bns.params().epoch(1).features.clone();
        let id: NamespaceId = "space".parse().expect("an id");
        let name: Name = "name.space".parse().expect("a name");
        let imported: Name = "imported.space".parse().expect("a name");
        let burn = Fee {
            to: chain.bns.params().burn_address,
            amount: Amount::from_sat(5_000_000_000),
        };
        let versions = chain.bns.params().addresses;
        let tokens = features.stacks_buy_namespaces.then_some(6_400_000_000);
        let value = features.register_with_value_hash.then_some(VALUE_HASH);
        let token_field = value.and(features.nameops_cost_tokens.then_some(0));
        let steps: Vec<Box<dyn Fn(ConsensusHash) -> Operation>> = vec![
            Box::new(|ch| {
                Operation::namespace_preorder(&id, &script, (me, versions), ch, tokens, burn)
            }),
            Box::new(|_| Operation::namespace_reveal(&id, me, 1_000, price(), 1)),
            Box::new(|_| Operation::name_import(&imported, other, VALUE_HASH)),
            Box::new(|_| Operation::namespace_ready(&id, me)),
            Box::new(|ch| Operation::name_preorder(&name, &script, (me, versions), ch, None, burn)),
            Box::new(|_| Operation::name_register(&name, me, value)),
            Box::new(|ch| Operation::name_update(&name, me, ch, VALUE_HASH)),
            Box::new(|_| Operation::name_renew(&name, me, value, token_field, burn)),
            Box::new(|_| Operation::name_renew(&name, me, None, None, burn)),
            Box::new(|ch| Operation::name_transfer(&name, me, other, ch, OnTransfer::KeepZonefile)),
        ];
        for (number, step) in steps.iter().enumerate() {
            let operation = step(chain.quoted());
            assert_eq!(chain.does(&operation), None, "epoch {epoch}, step {number}");
        }
        let Ok(record) = chain.state.name(&name);
        let record = record.expect("registered");
        assert_eq!(record.address(), Some(other));
        assert_eq!(record.value_hash, Some(VALUE_HASH));
        let revoke = Operation::name_revoke(&name, me);
        assert_eq!(chain.does(&revoke), Some(Reject::NotOwner), "epoch {epoch}");
        let again = Operation::name_register(&name, me, None);
        assert_eq!(
            chain.does(&again),
            Some(Reject::NameRegistered),
            "epoch {epoch}"
        );
    }
}
