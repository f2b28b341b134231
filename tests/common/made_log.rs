//! Logs made up for tests and measurements: headers with real work of regtest, and valid operations with all that they
//! spend, in blocks of as many transactions as those of the main network.
//!
//! What else is in a block is not made: a random hash takes the place of each part of the tree that is not shown. The tree
//! is encoded here a second time, so that a fault in the product's encoding is seen.

#![allow(
    dead_code,
    reason = "not every program that includes this needs all of it"
)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use bitcoin::absolute::LockTime;
use bitcoin::block::Header;
use bitcoin::consensus::serialize;
use bitcoin::constants::genesis_block;
use bitcoin::hashes::{Hash as _, sha256, sha256d};
use bitcoin::p2p::Magic;
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, Network, OutPoint, ScriptBuf, Sequence, Target, Transaction, TxIn, TxMerkleNode, TxOut,
    Txid, VarInt, Witness,
};
use bnsd::bns::Name;
use bnsd::chain::log::Tree;
use bnsd::chain::log::manifest::{
    HeadersEntry, Manifest, SEALED_BELOW, SegmentEntry, last_of_segment,
};
use bnsd::chain::log::record::Evidence;
use bnsd::chain::log::segment::Writer;
use bnsd::virtualchain::VirtualTransaction;
use bnsd::virtualchain::scan::Candidate;

use super::generated::{Generated, NAMES_PER_OWNER, Owner};
use super::random::Random;

/// The magic bytes of the operations.
pub const MAGIC: [u8; 2] = *b"id";
/// The first block that can have operations.
pub const FIRST_BLOCK: u32 = 1;
/// How many inputs a payment has: with these it has 522 bytes, as much as those on the main network on average.
const PAYMENT_INPUTS: usize = 3;
/// Names that are registered side by side.
const GROUP: usize = 5;

/// How large a log is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Names, each with a preorder, a registration and two updates; a multiple of five.
    pub names: usize,
    /// Blocks from one with operations to the next. There are eight with operations for five names.
    pub distance: u32,
}

impl Size {
    /// That of the main network: 300,000 candidates in 120,000 of 600,000 blocks.
    pub const MAIN: Self = Self {
        names: 75_000,
        distance: 5,
    };

    /// The candidates of the names; three others open the namespace.
    pub fn candidates(self) -> usize {
        self.names * 4
    }
}

/// Makes a log; `write` gets each file with its path, `log.json` last.
pub fn make(size: Size, seed: u64, write: &mut dyn FnMut(&str, &[u8])) -> Manifest {
    let mut maker = Maker::new(seed, write);
    for candidate in maker.chain.opening_operations() {
        maker.block(vec![candidate]);
    }
    let kinds = [
        Generated::preorder,
        Generated::registration,
        Generated::update,
        Generated::update,
    ];
    for group in 0..size.names / GROUP {
        let first = group * GROUP;
        let owner = Owner::new(first / NAMES_PER_OWNER);
        for kind in kinds {
            for numbers in [first..first + 2, first + 2..first + GROUP] {
                let candidates = numbers.map(|number| {
                    let name: Name = format!("name{number}.test").parse().expect("a name");
                    kind(&mut maker.chain, &name, &owner)
                });
                let candidates = candidates.collect();
                maker.block(candidates);
                for _ in 1..size.distance {
                    maker.block(Vec::new());
                }
            }
        }
    }
    maker.finish()
}

/// What owners can spend, and the transactions that it comes from.
struct Coins {
    random: Random,
    /// Outputs of candidates by their scripts.
    unspent: HashMap<Vec<u8>, Vec<(OutPoint, TxOut)>>,
    /// Transactions that are no candidates, until a block has who spends them.
    made: HashMap<Txid, Transaction>,
}

impl Coins {
    /// One or two outputs of this script; 59 of 100 come from candidates, where there are enough.
    fn spend(&mut self, script: &[u8]) -> Vec<(OutPoint, TxOut)> {
        let count = 1 + self.random.below(2);
        let mut spent: Vec<(OutPoint, TxOut)> = Vec::new();
        while spent.len() < count {
            let of_candidate = self.random.below(100) < 59;
            let unspent = self.unspent.get_mut(script).filter(|_| of_candidate);
            match unspent.and_then(Vec::pop) {
                Some(coin) => spent.push(coin),
                None => spent.extend(self.make(script, count - spent.len())),
            }
        }
        spent
    }

    /// Outputs of a payment that is made for this.
    fn make(&mut self, script: &[u8], count: usize) -> Vec<(OutPoint, TxOut)> {
        let inputs = [(); PAYMENT_INPUTS].map(|()| {
            let previous = Txid::from_byte_array(random_hash(&mut self.random));
            input(OutPoint::new(previous, 0), vec![0x47; 107])
        });
        let output = output(script.to_vec(), 20_000);
        let payment = transaction(inputs.to_vec(), vec![output.clone(), output.clone()]);
        let txid = payment.compute_txid();
        self.made.insert(txid, payment);
        let coins = (0..count as u32).map(|vout| (OutPoint::new(txid, vout), output.clone()));
        coins.collect()
    }

    /// The outputs of a candidate can be spent from the next block on.
    fn earn(&mut self, candidate: &VirtualTransaction) {
        for (vout, output) in (0..).zip(&candidate.transaction.output).skip(1) {
            let coin = (OutPoint::new(candidate.txid, vout), output.clone());
            let script = output.script_pubkey.to_bytes();
            self.unspent.entry(script).or_default().push(coin);
        }
    }
}

struct Maker<'w> {
    chain: Generated,
    coins: Rc<RefCell<Coins>>,
    random: Random,
    headers: Vec<Header>,
    places: HashMap<Txid, (u32, u32)>,
    writer: Writer,
    manifest: Manifest,
    write: &'w mut dyn FnMut(&str, &[u8]),
}

impl<'w> Maker<'w> {
    fn new(seed: u64, write: &'w mut dyn FnMut(&str, &[u8])) -> Self {
        let coins = Rc::new(RefCell::new(Coins {
            random: Random::new(seed),
            unspent: HashMap::new(),
            made: HashMap::new(),
        }));
        let purse = Rc::clone(&coins);
        let purse = move |script: &[u8]| purse.borrow_mut().spend(script);
        Self {
            chain: Generated::unopened(Some(Box::new(purse))),
            coins,
            random: Random::new(seed + 1),
            headers: vec![genesis_block(Network::Regtest).header],
            places: HashMap::new(),
            writer: Writer::new(MAGIC, Magic::REGTEST, FIRST_BLOCK),
            manifest: Manifest::new(Network::Regtest, MAGIC, FIRST_BLOCK),
            write,
        }
    }

    fn height(&self) -> u32 {
        self.headers.len() as u32 - 1
    }

    /// Mines the next block.
    fn block(&mut self, mut candidates: Vec<VirtualTransaction>) {
        let height = self.headers.len() as u32;
        let total = 1_500 + self.random.below(1_000) as u32;
        let mut places: Vec<u32> = Vec::new();
        while places.len() < candidates.len() {
            let place = 1 + self.random.below(total as usize - 1) as u32;
            if !places.contains(&place) {
                places.push(place);
            }
        }
        places.sort_unstable();
        for (candidate, place) in candidates.iter_mut().zip(places) {
            candidate.vtxindex = place;
        }
        self.chain.connect(&candidates);
        let root = match candidates.is_empty() {
            true => random_hash(&mut self.random),
            false => self.record(height, total, &candidates),
        };
        self.mine(root);
        if height == last_of_segment(height) {
            self.seal();
        }
    }

    /// Writes what the block shows; returns the root of its tree.
    fn record(&mut self, height: u32, total: u32, candidates: &[VirtualTransaction]) -> [u8; 32] {
        let coinbase = coinbase(height);
        let coinbase_id = (0, coinbase.compute_txid());
        let shown: Vec<(u32, Txid)> = [coinbase_id]
            .into_iter()
            .chain(candidates.iter().map(|shown| (shown.vtxindex, shown.txid)))
            .collect();
        let (tree, root) = tree(total, &shown, &mut self.random);
        let given = candidates.iter().map(|shown| Candidate {
            vtxindex: shown.vtxindex,
            transaction: shown.transaction.clone(),
        });
        let mut coins = self.coins.borrow_mut();
        let spent = candidates.iter().flat_map(|shown| &shown.transaction.input);
        let funding = spent
            .filter_map(|input| coins.made.remove_entry(&input.previous_output.txid))
            .collect();
        let evidence = Evidence {
            tree: Tree::parse(&tree).expect("a tree"),
            coinbase,
            candidates: given.collect(),
            funding,
        };
        let earlier = |txid: &Txid| self.places.get(txid).copied();
        let written = self.writer.push(height, &evidence, earlier);
        written.expect("all that is spent is at hand");
        for candidate in candidates {
            self.places
                .insert(candidate.txid, (height, candidate.vtxindex));
            coins.earn(candidate);
        }
        root
    }

    fn mine(&mut self, root: [u8; 32]) {
        let last = self.headers.last().expect("a genesis block");
        let mut header = Header {
            prev_blockhash: last.block_hash(),
            merkle_root: TxMerkleNode::from_byte_array(root),
            time: last.time + 600,
            nonce: 0,
            ..*last
        };
        while !Target::MAX_ATTAINABLE_REGTEST.is_met_by(header.block_hash()) {
            header.nonce += 1;
        }
        self.headers.push(header);
    }

    /// What the segment so far is, and its bytes.
    fn entry(&self) -> (SegmentEntry, Vec<u8>) {
        let to = self.height();
        let bytes = self.writer.finish(to);
        let from = self
            .manifest
            .segments
            .last()
            .map_or(FIRST_BLOCK, |last| last.to + 1);
        let entry = SegmentEntry {
            from,
            to,
            bytes: bytes.len() as u64,
            sha256: sha256::Hash::hash(&bytes),
            block_hash: self.headers[to as usize].block_hash(),
            consensus_hash: self.chain.consensus_hash(),
        };
        (entry, bytes)
    }

    fn seal(&mut self) {
        let (entry, bytes) = self.entry();
        (self.write)(&entry.sealed_path(), &bytes);
        self.manifest.segments.push(entry);
        self.writer = Writer::new(MAGIC, Magic::REGTEST, entry.to + 1);
    }

    fn finish(mut self) -> Manifest {
        let sealed = self.manifest.segments.last().map_or(0, |last| last.to);
        while sealed > 0 && self.height() < sealed + SEALED_BELOW {
            self.block(Vec::new());
        }
        let (entry, bytes) = self.entry();
        (self.write)("segments/open", &bytes);
        self.manifest.open = Some(entry);
        self.manifest.headers = HeadersEntry { to: self.height() };
        let headers: Vec<u8> = self.headers.iter().flat_map(serialize).collect();
        (self.write)("headers", &headers);
        (self.write)("log.json", self.manifest.render().as_bytes());
        self.manifest
    }
}

/// A partial tree of a block with `total` transactions, in the encoding of BIP 37, and its root. What is not shown is
/// random.
fn tree(total: u32, shown: &[(u32, Txid)], random: &mut Random) -> (Vec<u8>, [u8; 32]) {
    let mut parts = Parts {
        total,
        shown,
        random,
        hashes: Vec::new(),
        flags: Vec::new(),
    };
    let mut level = 0;
    while 1 << level < total {
        level += 1;
    }
    let root = parts.node(level, 0);
    let mut bytes = total.to_le_bytes().to_vec();
    bytes.extend(serialize(&VarInt(parts.hashes.len() as u64)));
    bytes.extend(parts.hashes.concat());
    let flags: Vec<u8> = parts.flags.chunks(8).map(byte).collect();
    bytes.extend(serialize(&VarInt(flags.len() as u64)));
    bytes.extend(flags);
    (bytes, root)
}

struct Parts<'p> {
    total: u32,
    shown: &'p [(u32, Txid)],
    random: &'p mut Random,
    hashes: Vec<[u8; 32]>,
    flags: Vec<bool>,
}

impl Parts<'_> {
    fn node(&mut self, level: u32, position: u32) -> [u8; 32] {
        let below = position << level..(position + 1) << level;
        let shown = self
            .shown
            .iter()
            .find(|(at, _)| below.contains(at))
            .copied();
        self.flags.push(shown.is_some());
        let hash = match shown {
            None => random_hash(self.random),
            Some((_, txid)) if level == 0 => txid.to_byte_array(),
            Some(_) => {
                let left = self.node(level - 1, position * 2);
                let has_right = (position * 2 + 1) << (level - 1) < self.total;
                let right = match has_right {
                    true => self.node(level - 1, position * 2 + 1),
                    false => left,
                };
                return sha256d::Hash::hash(&[left, right].concat()).to_byte_array();
            }
        };
        self.hashes.push(hash);
        hash
    }
}

/// Eight flags, the first in the lowest bit.
fn byte(flags: &[bool]) -> u8 {
    let bits = flags.iter().rev();
    bits.fold(0, |byte, flag| byte << 1 | u8::from(*flag))
}

fn random_hash(random: &mut Random) -> [u8; 32] {
    let mut hash = [0; 32];
    for part in hash.chunks_mut(8) {
        part.copy_from_slice(&random.next().to_le_bytes());
    }
    hash
}

/// A coinbase as pools make them, with a commitment to witnesses.
fn coinbase(height: u32) -> Transaction {
    let mut script_sig = vec![4];
    script_sig.extend(height.to_le_bytes());
    script_sig.resize(95, 0x2f);
    let reward = [&[0x76, 0xa9, 0x14][..], &[7; 20], &[0x88, 0xac]].concat();
    let commitment = [&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed][..], &[9; 32]].concat();
    transaction(
        vec![input(OutPoint::null(), script_sig)],
        vec![output(reward, 312_500_000), output(commitment, 0)],
    )
}

fn transaction(input: Vec<TxIn>, output: Vec<TxOut>) -> Transaction {
    Transaction {
        version: Version::ONE,
        lock_time: LockTime::ZERO,
        input,
        output,
    }
}

fn input(previous_output: OutPoint, script_sig: Vec<u8>) -> TxIn {
    TxIn {
        previous_output,
        script_sig: ScriptBuf::from(script_sig),
        sequence: Sequence::MAX,
        witness: Witness::new(),
    }
}

fn output(script: Vec<u8>, value: u64) -> TxOut {
    TxOut {
        value: Amount::from_sat(value),
        script_pubkey: ScriptBuf::from(script),
    }
}
