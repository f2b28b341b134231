//! Laws of the engine: what is undone was never there, reorganisations leave no trace, no bytes panic.

use std::sync::OnceLock;

use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
use bnsd::bns::epoch::{Features, historical};
use bnsd::bns::price::PriceFunction;
use bnsd::bns::state::State;
use bnsd::bns::wire::{self, Payload, TokenBurn};
use bnsd::bns::{Bns, Changes, Name, NamespaceId, Operation, Params};
use bnsd::hash::{ConsensusHash, NameHash128, PreorderHash, UpdateHash, ZonefileHash};
use bnsd::virtualchain::{Snapshot, VirtualTransaction, connect_block, scan, script};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::common::chain_file::ChainFile;
use crate::vectors::golden_chains;

/// The chain on top of a state that can be taken back block by block.
struct Chain<'p> {
    bns: Bns,
    params: &'p Params,
    state: State,
    /// How to undo every block since the first.
    undo: Vec<Changes>,
}

impl<'p> Chain<'p> {
    fn new(params: &'p Params) -> Self {
        Self {
            bns: Bns::new(params.clone()),
            params,
            state: State::genesis(params),
            undo: Vec::new(),
        }
    }

    fn next_height(&self) -> u32 {
        self.params.first_block + self.undo.len() as u32
    }

    fn connect(&mut self, candidates: &[VirtualTransaction]) -> Snapshot {
        let height = self.next_height();
        let outcome = connect_block(&self.bns, height, candidates, &self.state)
            .expect("memory does not fail");
        self.state
            .connect(height, &outcome.changes, outcome.snapshot);
        self.undo.push(outcome.changes.inverse());
        outcome.snapshot
    }

    fn disconnect(&mut self) {
        let undo = self.undo.pop().expect("a block to disconnect");
        let height = self.next_height();
        self.state.disconnect(height, &undo);
    }
}

/// A random walk of the golden data.
fn walk() -> &'static ChainFile {
    static WALK: OnceLock<ChainFile> = OnceLock::new();
    WALK.get_or_init(|| {
        let chains = golden_chains().into_iter();
        let longest = chains.max_by_key(|chain| {
            let candidates = chain.blocks.iter().map(|block| block.candidates.len());
            candidates.sum::<usize>()
        });
        longest.expect("the golden data holds a chain")
    })
}

/// The transactions of the walk from its middle on, dealt into other blocks.
fn dealt_blocks() -> impl Strategy<Value = Vec<Vec<VirtualTransaction>>> {
    let block = vec(any::<Index>(), 0..12);
    vec(block, 1..12).prop_map(|blocks| {
        let all: Vec<&VirtualTransaction> = walk()
            .blocks
            .iter()
            .flat_map(|block| &block.candidates)
            .collect();
        let deal = |picks: Vec<Index>| {
            let picked = picks.iter().map(|pick| (*pick.get(&all)).clone());
            let placed = (1..)
                .zip(picked)
                .map(|(vtxindex, candidate)| VirtualTransaction {
                    vtxindex,
                    ..candidate
                });
            placed.collect()
        };
        blocks.into_iter().map(deal).collect()
    })
}

#[test]
fn undoing_a_golden_block_restores_the_state() {
    for golden in golden_chains() {
        let mut chain = Chain::new(&golden.params);
        for block in &golden.blocks {
            let before = chain.state.clone();
            chain.connect(&block.candidates);
            let after = chain.state.clone();
            chain.disconnect();
            assert!(chain.state == before, "{} at {}", golden.name, block.height);
            chain.connect(&block.candidates);
            assert!(chain.state == after, "{} at {}", golden.name, block.height);
        }
        while !chain.undo.is_empty() {
            chain.disconnect();
        }
        assert!(
            chain.state == State::genesis(&golden.params),
            "{}",
            golden.name
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn undoing_random_blocks_restores_the_state(start in 0usize..300, blocks in dealt_blocks()) {
        let golden = walk();
        let mut chain = Chain::new(&golden.params);
        for block in golden.blocks.iter().take(start) {
            chain.connect(&block.candidates);
        }
        let mut states = vec![chain.state.clone()];
        for block in &blocks {
            chain.connect(block);
            states.push(chain.state.clone());
        }
        while let Some(expected) = states.pop() {
            prop_assert!(chain.state == expected);
            if !states.is_empty() {
                chain.disconnect();
            }
        }
    }

    #[test]
    fn reorganisations_leave_no_trace(
        script in vec((any::<Index>(), 1usize..100, dealt_blocks()), 1..4),
    ) {
        let golden = walk();
        let mut chain = Chain::new(&golden.params);
        for (pause, depth, other) in script {
            let pause = pause.index(golden.blocks.len());
            while chain.undo.len() < pause {
                let block = &golden.blocks[chain.undo.len()];
                chain.connect(&block.candidates);
            }
            // The other branch lives until ours is longer again.
            for _ in 0..depth.min(chain.undo.len()) {
                chain.disconnect();
            }
            for block in &other {
                chain.connect(block);
            }
            for _ in &other {
                chain.disconnect();
            }
        }
        for block in &golden.blocks[chain.undo.len()..] {
            let snapshot = chain.connect(&block.candidates);
            prop_assert_eq!(snapshot.consensus_hash.to_string(), block.consensus_hash.as_str());
        }
    }
}

proptest! {
    #[test]
    fn a_payload_reads_as_it_was_written((features, payload) in payloads()) {
        let encoded = payload.encode();
        prop_assert_eq!(Payload::parse(&encoded, &features), Some(Ok(payload)));
    }

    #[test]
    fn what_reads_is_written_back(number in 1u8..=6, bytes in payload_like()) {
        let features = historical(number, u32::MAX).features;
        let parsed = Payload::parse(&bytes, &features);
        if let Some(Ok(payload)) = parsed {
            let again = Payload::parse(&payload.encode(), &features);
            let kept = !matches!(payload, Payload::Unregistrable { .. });
            prop_assert!(!kept || again == Some(Ok(payload)));
        }
    }

    #[test]
    fn no_script_panics_the_tokeniser(bytes in vec(any::<u8>(), 0..80)) {
        let pushed: usize = script::tokens(&bytes).map(|token| match token {
            script::Token::Push(data) => data.len(),
            _ => 0,
        }).sum();
        prop_assert!(pushed <= bytes.len());
        let _ = script::classify(&bytes);
        let _ = script::null_data(&bytes);
        let _ = script::pushed_key(&bytes).map(script::is_public_key);
    }

    #[test]
    fn no_transaction_panics_the_parser(
        transaction in transactions(),
        prevouts in vec(scripts(), 0..4),
        height in 373_000u32..700_000,
    ) {
        let params = Params::mainnet();
        let prevouts = prevouts.into_iter().map(output).collect();
        let candidate = scan::Candidate { vtxindex: 1, transaction };
        let _ = Operation::parse(&params, height, &candidate.with_prevouts(prevouts));
    }
}

fn output(script: Vec<u8>) -> TxOut {
    TxOut {
        value: Amount::from_sat(5_500),
        script_pubkey: ScriptBuf::from(script),
    }
}

/// An opcode and bytes of a length at which some layout begins or ends.
fn payload_like() -> impl Strategy<Value = Vec<u8>> {
    let opcode = prop::sample::select(b"?:+>~;*&!#$x".to_vec());
    let body = prop_oneof![
        vec(any::<u8>(), 0..90),
        "[a-z0-9_]{1,20}\\.[a-z]{1,20}\n?".prop_map(String::into_bytes),
        "\\.[a-z]{1,20}\n?".prop_map(String::into_bytes),
    ];
    (opcode, body).prop_map(|(opcode, body)| [vec![opcode], body].concat())
}

/// Scripts of the classes that matter, and any bytes.
fn scripts() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<[u8; 20]>().prop_map(|h| [&[0x76, 0xa9, 0x14][..], &h, &[0x88, 0xac]].concat()),
        any::<[u8; 20]>().prop_map(|h| [&[0xa9, 0x14][..], &h, &[0x87]].concat()),
        payload_like().prop_map(|payload| {
            let data = [b"id", &payload[..]].concat();
            [&[0x6a, 0x4c, data.len() as u8][..], &data].concat()
        }),
        vec(any::<u8>(), 0..60),
    ]
}

fn transactions() -> impl Strategy<Value = Transaction> {
    let inputs = vec(vec(any::<u8>(), 0..140), 1..4);
    let outputs = vec(scripts(), 0..6);
    (inputs, outputs).prop_map(|(inputs, outputs)| Transaction {
        version: Version::ONE,
        lock_time: LockTime::ZERO,
        input: inputs
            .into_iter()
            .map(|script_sig| TxIn {
                previous_output: OutPoint::null(),
                script_sig: ScriptBuf::from(script_sig),
                sequence: Sequence::MAX,
                witness: Witness::new(),
            })
            .collect(),
        output: outputs.into_iter().map(output).collect(),
    })
}

fn names() -> impl Strategy<Value = Name> {
    "[a-z0-9_-]{1,17}\\.[a-z0-9_-]{1,19}".prop_map(|name| name.parse().expect("a name"))
}

fn namespace_ids() -> impl Strategy<Value = NamespaceId> {
    "[a-z0-9_-]{1,19}".prop_map(|id| id.parse().expect("an id"))
}

fn token_types() -> impl Strategy<Value = Vec<u8>> {
    vec(1u8.., 0..=19)
}

fn price_functions() -> impl Strategy<Value = PriceFunction> {
    let nibbles = prop::array::uniform16(0u8..16);
    (any::<u8>(), any::<u8>(), nibbles, 1u8..16, 1u8..16).prop_map(
        |(coeff, base, buckets, nonalpha_discount, no_vowel_discount)| PriceFunction {
            coeff,
            base,
            buckets,
            nonalpha_discount,
            no_vowel_discount,
        },
    )
}

/// A payload of every kind, with the features that it needs.
fn payloads() -> impl Strategy<Value = (Features, Payload)> {
    let third = historical(3, u32::MAX).features;
    let fourth = historical(4, u32::MAX).features;
    let in_fourth = prop_oneof![
        creations(),
        changes(),
        namespaces(),
        tokens_and_announcements(),
        namespace_preorders(any::<u64>().prop_map(Some)),
    ];
    prop_oneof![
        10 => in_fourth.prop_map(move |payload| (fourth, payload)),
        1 => namespace_preorders(Just(None)).prop_map(move |payload| (third, payload)),
    ]
}

fn creations() -> impl Strategy<Value = Payload> {
    let burn = (any::<u64>(), token_types())
        .prop_map(|(amount, token_type)| TokenBurn { amount, token_type });
    let preorder = (any::<[u8; 20]>(), any::<[u8; 16]>(), option::of(burn));
    let value = option::of((any::<[u8; 20]>(), option::of(any::<u64>())));
    prop_oneof![
        preorder.prop_map(
            |(hash, quoted, tokens)| Payload::NamePreorder(wire::NamePreorder {
                preorder_hash: PreorderHash(hash),
                consensus_hash: ConsensusHash(quoted),
                tokens,
            })
        ),
        (names(), value).prop_map(|(name, value)| Payload::NameRegistration(
            wire::NameRegistration {
                name,
                value_hash: value.map(|(hash, _)| ZonefileHash(hash)),
                tokens: value.and_then(|(_, tokens)| tokens),
            }
        )),
        names().prop_map(|name| Payload::NameImport { name }),
    ]
}

fn changes() -> impl Strategy<Value = Payload> {
    let transfer = (any::<bool>(), any::<[u8; 16]>(), any::<[u8; 16]>());
    prop_oneof![
        (any::<[u8; 16]>(), any::<[u8; 20]>()).prop_map(|(hash, value)| Payload::NameUpdate(
            wire::NameUpdate {
                update_hash: UpdateHash(hash),
                value_hash: ZonefileHash(value),
            }
        )),
        transfer.prop_map(
            |(keep_data, name, quoted)| Payload::NameTransfer(wire::NameTransfer {
                keep_data,
                name_hash128: NameHash128(name),
                consensus_hash: ConsensusHash(quoted),
            })
        ),
        names().prop_map(|name| Payload::NameRevoke { name }),
    ]
}

fn namespace_preorders(
    tokens: impl Strategy<Value = Option<u64>>,
) -> impl Strategy<Value = Payload> {
    (any::<[u8; 20]>(), any::<[u8; 16]>(), tokens).prop_map(|(hash, quoted, tokens)| {
        Payload::NamespacePreorder(wire::NamespacePreorder {
            preorder_hash: PreorderHash(hash),
            consensus_hash: ConsensusHash(quoted),
            tokens,
        })
    })
}

fn namespaces() -> impl Strategy<Value = Payload> {
    let reveal = (any::<u32>(), price_functions(), 1u16..=3, namespace_ids());
    prop_oneof![
        reveal.prop_map(
            |(lifetime, price, version, namespace_id)| Payload::NamespaceReveal(
                wire::NamespaceReveal {
                    lifetime,
                    price,
                    version,
                    namespace_id,
                }
            )
        ),
        namespace_ids().prop_map(|namespace_id| Payload::NamespaceReady { namespace_id }),
    ]
}

fn tokens_and_announcements() -> impl Strategy<Value = Payload> {
    let scratch_area = vec(any::<u8>(), 0..40);
    let transfer = (any::<[u8; 16]>(), token_types(), any::<u64>(), scratch_area);
    prop_oneof![
        transfer.prop_map(
            |(quoted, token_type, amount, scratch_area)| Payload::TokenTransfer(
                wire::TokenTransfer {
                    consensus_hash: ConsensusHash(quoted),
                    token_type,
                    amount,
                    scratch_area,
                }
            )
        ),
        any::<[u8; 20]>().prop_map(|hash| Payload::Announce {
            message_hash: ZonefileHash(hash),
        }),
    ]
}
