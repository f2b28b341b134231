//! Logs of an embedded chain, true ones and others.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::fs;
use std::path::Path;

use bitcoin::block::Header;
use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::{Hash as _, sha256};
use bitcoin::{Network, Transaction, Txid};
use bnsd::bns::state::State;
use bnsd::bns::{Bns, Params};
use bnsd::chain::dev::DevChain;
use bnsd::chain::log::Tree;
use bnsd::chain::log::manifest::{Manifest, SEALED_BELOW, SegmentEntry, last_of_segment};
use bnsd::chain::log::record::Evidence;
use bnsd::chain::log::segment::Writer;
use bnsd::chain::{Block, ChainSource as _, Event, candidates};
use bnsd::hash::ConsensusHash;
use bnsd::virtualchain::{CandidateBlock, derive};

/// A place in the chain: height and position in the block.
pub type Place = (u32, u32);

/// All of an embedded chain.
pub struct History {
    blocks: Vec<(Block, CandidateBlock)>,
    headers: Vec<Header>,
    transactions: HashMap<Txid, Transaction>,
}

impl History {
    /// Reads the chain up to its tip.
    pub fn read(chain: &DevChain) -> Self {
        let magic = Params::regtest().magic;
        let mut source = chain.source(0);
        let genesis = bitcoin::constants::genesis_block(Network::Regtest);
        let mut history = Self {
            blocks: Vec::new(),
            headers: vec![genesis.header],
            transactions: HashMap::new(),
        };
        let mut tip = chain.block_at(0);
        while let Event::Connect(block) = source.next(tip, 0).unwrap() {
            tip = Some(block.at);
            let decoded: bitcoin::Block = deserialize(&block.raw).unwrap();
            history.headers.push(decoded.header);
            let transactions = decoded.txdata.into_iter();
            history
                .transactions
                .extend(transactions.map(|transaction| (transaction.compute_txid(), transaction)));
            let shown = candidates(&mut source, &block, magic).unwrap();
            history.blocks.push((block, shown));
        }
        history
    }

    /// Height of the last block.
    pub fn height(&self) -> u32 {
        self.blocks.last().unwrap().0.at.height
    }

    /// Where the candidates are.
    pub fn places(&self) -> Vec<Place> {
        let blocks = self.blocks.iter();
        blocks
            .flat_map(|(_, shown)| {
                shown
                    .candidates
                    .iter()
                    .map(|one| (shown.height, one.vtxindex))
            })
            .collect()
    }

    /// Writes the log of the chain as somebody does who leaves out these candidates and everything else is consistent.
    pub fn write(&self, directory: &Path, hidden: &[Place]) {
        self.write_to(directory, self.height(), hidden);
    }

    /// The same up to a height.
    pub fn write_to(&self, directory: &Path, to: u32, hidden: &[Place]) {
        fs::create_dir_all(directory.join("segments")).unwrap();
        let params = Params::regtest();
        let hashes = self.consensus_hashes(hidden);
        let mut manifest = Manifest::new(Network::Regtest, params.magic, params.first_block);
        let mut from = params.first_block;
        while from <= to {
            let is_sealed = last_of_segment(from) + SEALED_BELOW <= to;
            let last = if is_sealed { last_of_segment(from) } else { to };
            let bytes = self.segment(from, last, hidden);
            let entry = SegmentEntry {
                from,
                to: last,
                bytes: bytes.len() as u64,
                sha256: sha256::Hash::hash(&bytes),
                block_hash: self.blocks[last as usize - 1].0.at.hash,
                consensus_hash: hashes[&last],
            };
            if is_sealed {
                replace(&directory.join(entry.sealed_path()), &bytes);
                manifest.segments.push(entry);
            } else {
                replace(&directory.join("segments/open"), &bytes);
                manifest.open = Some(entry);
            }
            from = last + 1;
        }
        let headers = self.headers.iter().take(to as usize + 1);
        let headers: Vec<u8> = headers.flat_map(serialize).collect();
        replace(&directory.join("headers"), &headers);
        manifest.headers.to = to;
        replace(&directory.join("log.json"), manifest.render().as_bytes());
    }

    /// The consensus hashes of somebody who does not see these candidates.
    pub fn consensus_hashes(&self, hidden: &[Place]) -> BTreeMap<u32, ConsensusHash> {
        let bns = Bns::new(Params::regtest());
        let mut state = State::genesis(bns.params());
        let mut hashes = BTreeMap::new();
        let mut sink = state.sink(|block: &CandidateBlock, outcome| {
            hashes.insert(block.height, outcome.snapshot.consensus_hash);
            Ok::<(), Infallible>(())
        });
        let blocks = self.blocks.iter().map(|(_, shown)| {
            let mut shown = shown.clone();
            let height = shown.height;
            shown
                .candidates
                .retain(|one| !hidden.contains(&(height, one.vtxindex)));
            Ok(shown)
        });
        derive(&bns, blocks, &mut sink).unwrap();
        hashes
    }

    fn segment(&self, from: u32, to: u32, hidden: &[Place]) -> Vec<u8> {
        let params = Params::regtest();
        let earlier: HashMap<Txid, Place> = self
            .blocks
            .iter()
            .flat_map(|(_, shown)| {
                let places = shown.candidates.iter();
                places.map(|one| (one.txid, (shown.height, one.vtxindex)))
            })
            .filter(|(_, place)| !hidden.contains(place))
            .collect();
        let mut writer = Writer::new(params.magic, Network::Regtest.magic(), from);
        for height in from..=to {
            let (block, shown) = &self.blocks[height as usize - 1];
            if shown.candidates.is_empty() {
                continue;
            }
            let spent = shown
                .candidates
                .iter()
                .flat_map(|one| &one.transaction.input);
            let spent = spent.map(|input| input.previous_output.txid);
            let funding =
                spent.filter_map(|txid| Some((txid, self.transactions.get(&txid)?.clone())));
            let mut evidence =
                Evidence::of_block(&block.raw, params.magic, funding.collect()).unwrap();
            let is_shown = |vtxindex| !hidden.contains(&(height, vtxindex));
            evidence.candidates.retain(|one| is_shown(one.vtxindex));
            let decoded: bitcoin::Block = deserialize(&block.raw).unwrap();
            let txids: Vec<Txid> = decoded
                .txdata
                .iter()
                .map(Transaction::compute_txid)
                .collect();
            let shown = evidence.candidates.iter().map(|one| one.vtxindex);
            let shown = [0]
                .into_iter()
                .chain(shown.filter(|vtxindex| *vtxindex > 0));
            evidence.tree = Tree::of(&txids, shown.collect()).unwrap();
            let at = |txid: &Txid| earlier.get(txid).copied();
            writer.push(height, &evidence, at).unwrap();
        }
        writer.finish(to)
    }
}

fn replace(path: &Path, bytes: &[u8]) {
    let beside = path.with_extension("new");
    fs::write(&beside, bytes).unwrap();
    fs::rename(beside, path).unwrap();
}
