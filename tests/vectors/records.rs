//! Golden chains as a log: each block goes through a record, and its consensus hash stays.
//!
//! The golden headers have no work and the files no whole blocks, so a tree is made here whose other transactions are made
//! up. Files of the older runs lack what is spent. There a transaction with the golden outputs takes its place, whose id
//! is another one; no record with that passes the last check of the format, so it is left out for them.

use std::collections::HashMap;

use bitcoin::block::Header;
use bitcoin::consensus::deserialize;
use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash as _;
use bitcoin::p2p::Magic;
use bitcoin::{Network, OutPoint, Transaction, TxOut, Txid};
use bnsd::bns::Bns;
use bnsd::bns::state::State;
use bnsd::chain::header::merkle_root;
use bnsd::chain::log::Tree;
use bnsd::chain::log::record::{Elsewhere, Evidence, Funding, Record, RecordFault};
use bnsd::chain::log::segment::{Reader, Writer};
use bnsd::hash::decode_hex;
use bnsd::virtualchain::scan::Candidate;
use bnsd::virtualchain::{VirtualTransaction, connect_block};
use serde_json::Value;

use super::Tally;
use crate::common::chain_file::{ChainFile, array, text};

/// Sends a chain through the format and compares every consensus hash with the one of the blocks as they are in the file.
pub fn check(chain: &ChainFile, file: &Value, tally: &mut Tally) {
    let mut maker = Maker::new(chain, file);
    for block in &chain.blocks {
        maker.add(block.height, &block.candidates);
    }
    let shown = maker.read();
    let bns = Bns::new(chain.params.clone());
    let mut state = State::genesis(&chain.params);
    for block in &chain.blocks {
        let through = shown.get(&block.height).map_or(&[][..], Vec::as_slice);
        let connect = |candidates| {
            let outcome = connect_block(&bns, block.height, candidates, &state);
            outcome.expect("memory does not fail")
        };
        let (direct, through) = (connect(&block.candidates), connect(through));
        if direct.snapshot != through.snapshot {
            let (name, height) = (&chain.name, block.height);
            let what = format!("{name} at height {height}: a record changes the consensus hash");
            tally.failures.push(what);
            return;
        }
        tally.records += usize::from(!block.candidates.is_empty());
        state.connect(block.height, &direct.changes, direct.snapshot);
    }
}

struct Maker {
    magic: [u8; 2],
    writer: Writer,
    headers: HashMap<u32, Header>,
    places: HashMap<Txid, (u32, u32)>,
    /// What candidates spend and is no candidate.
    funding: HashMap<Txid, Transaction>,
    /// Whether all of it is what was spent.
    is_real: bool,
    last: u32,
}

impl Maker {
    fn new(chain: &ChainFile, file: &Value) -> Self {
        let magic = chain.params.magic;
        let mut funding = real(file);
        let is_real = !funding.is_empty();
        if !is_real {
            make_funding(chain, &mut funding);
        }
        Self {
            magic,
            writer: Writer::new(magic, Magic::REGTEST, chain.params.first_block),
            headers: HashMap::new(),
            places: HashMap::new(),
            funding,
            is_real,
            last: chain.blocks.last().map_or(0, |block| block.height),
        }
    }

    fn add(&mut self, height: u32, candidates: &[VirtualTransaction]) {
        let Some(last) = candidates.last() else {
            return;
        };
        let coinbase = coinbase(height);
        let other = |at: u32| Txid::hash(&at.to_be_bytes());
        let mut ids: Vec<Txid> = (0..=last.vtxindex).map(other).collect();
        ids[0] = coinbase.compute_txid();
        let mut given = Vec::new();
        for candidate in candidates {
            ids[candidate.vtxindex as usize] = candidate.txid;
            self.places
                .insert(candidate.txid, (height, candidate.vtxindex));
            given.push(Candidate {
                vtxindex: candidate.vtxindex,
                transaction: candidate.transaction.clone(),
            });
        }
        let root = merkle_root(&ids).expect("no id is repeated");
        let header = Header {
            merkle_root: root,
            ..genesis_block(Network::Regtest).header
        };
        self.headers.insert(height, header);
        let inputs = given.iter().flat_map(|given| &given.transaction.input);
        let spent = inputs.filter_map(|input| {
            let txid = input.previous_output.txid;
            Some((txid, self.funding.get(&txid)?.clone()))
        });
        let spent: HashMap<Txid, Transaction> = spent.collect();
        let shown = candidates.iter().map(|candidate| candidate.vtxindex);
        let shown = [0].into_iter().chain(shown).collect();
        let evidence = Evidence {
            tree: Tree::of(&ids, shown).expect("a tree"),
            coinbase,
            candidates: given,
            funding: spent,
        };
        let earlier = |txid: &Txid| self.places.get(txid).copied();
        let pushed = self.writer.push(height, &evidence, earlier);
        pushed.expect("all that is spent is given");
    }

    /// What the log shows of each block.
    fn read(&self) -> HashMap<u32, Vec<VirtualTransaction>> {
        let segment = self.writer.finish(self.last);
        let mut reader = Reader::new(&segment).expect("a segment");
        let mut shown: HashMap<u32, Vec<VirtualTransaction>> = HashMap::new();
        while let Some(record) = reader.next() {
            let record = record.expect("a record");
            let candidates = record.check(&self.headers[&record.height], self.magic);
            let candidates = candidates.expect("the block's");
            let find = |place| match place {
                Elsewhere::Spelled(place) => reader.spelled(place),
                Elsewhere::Candidate { height, vtxindex } => {
                    let mut block = shown[&height].iter();
                    let found = block.find(|shown| shown.vtxindex == vtxindex);
                    found.map(|found| found.transaction.clone())
                }
            };
            let joined = match self.is_real {
                true => {
                    let joined = record.join(candidates, |place| Ok::<_, RecordFault>(find(place)));
                    joined.expect("all that is spent")
                }
                false => join_unchecked(&record, candidates, find),
            };
            shown.insert(record.height, joined);
        }
        shown
    }
}

/// Every transaction that a file holds; none if it lacks those before its first block.
fn real(file: &Value) -> HashMap<Txid, Transaction> {
    let before = array(&file["pre_txs"]);
    let blocks = array(&file["blocks"]).iter();
    let inside = blocks.flat_map(|block| array(&block["txs"]));
    let all = before.iter().chain(inside).map(|made| {
        let bytes = decode_hex(&text(&made["hex"])).expect("hex");
        let made: Transaction = deserialize(&bytes).expect("a transaction");
        (made.compute_txid(), made)
    });
    match before {
        [] => HashMap::new(),
        _ => all.collect(),
    }
}

/// Makes a transaction with the golden outputs for each that candidates spend.
fn make_funding(chain: &ChainFile, funding: &mut HashMap<Txid, Transaction>) {
    for candidate in chain.blocks.iter().flat_map(|block| &block.candidates) {
        let inputs = candidate.transaction.input.iter();
        for (input, prevout) in inputs.zip(&candidate.prevouts) {
            let OutPoint { txid, vout } = input.previous_output;
            let made = funding.entry(txid).or_insert_with(|| coinbase(0));
            let count = made.output.len().max(vout as usize + 1);
            made.output.resize(count, TxOut::NULL);
            made.output[vout as usize] = prevout.clone();
        }
    }
}

/// What the entries say is spent, whatever its id is.
fn join_unchecked(
    record: &Record,
    candidates: Vec<Candidate>,
    find: impl Fn(Elsewhere) -> Option<Transaction>,
) -> Vec<VirtualTransaction> {
    let mut joined: Vec<VirtualTransaction> = Vec::new();
    for (candidate, given) in candidates.into_iter().zip(&record.candidates) {
        let inputs = candidate.transaction.input.iter().zip(&given.funding);
        let prevouts = inputs.map(|(input, entry)| {
            let funding = match *entry {
                Funding::Here(ref here) => Some(here.clone()),
                Funding::Spelled(place) => find(Elsewhere::Spelled(place)),
                Funding::Earlier {
                    blocks_back: 0,
                    vtxindex,
                } => {
                    let mut earlier = joined.iter();
                    let found = earlier.find(|earlier| earlier.vtxindex == vtxindex);
                    found.map(|found| found.transaction.clone())
                }
                Funding::Earlier {
                    blocks_back,
                    vtxindex,
                } => find(Elsewhere::Candidate {
                    height: record.height - blocks_back,
                    vtxindex,
                }),
            };
            let funding = funding.expect("a place that is there");
            funding.output[input.previous_output.vout as usize].clone()
        });
        let prevouts = prevouts.collect();
        joined.push(candidate.with_prevouts(prevouts));
    }
    joined
}

fn coinbase(height: u32) -> Transaction {
    let mut coinbase = genesis_block(Network::Regtest).txdata.remove(0);
    coinbase.lock_time = bitcoin::absolute::LockTime::from_consensus(height);
    coinbase
}
