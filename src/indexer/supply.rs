//! What a log is written from: the blocks that the index holds, reduced to what the format has of them.
//!
//! [`LocalSupply`] takes the candidates from the database and everything else from a source of its own. Whoever has only a
//! daemon to ask implements [`Supply`] over its control socket. A question is bounded in time and size, so that the daemon
//! can be asked for hundreds of thousands of blocks while it does its work.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bitcoin::block::Header;
use bitcoin::p2p::Magic;
use bitcoin::{Network, Txid};

use crate::chain::log::manifest::first_of_segment;
use crate::chain::log::record::Evidence;
use crate::chain::log::segment::{WriteFault, Writer};
use crate::chain::{BlockRef, ChainSource, Indexed as _, SourceError};
use crate::hash::ConsensusHash;
use crate::store::{IndexedBlock, Store, StoreSnapshot, StoredOperation};
use crate::virtualchain::scan::Candidate;

use super::export_error::ExportError;
use super::indexed::IndexedCandidates;

/// A piece ends behind the block with which it reaches this many bytes, as far as they are counted here.
const PIECE_BYTES: usize = 512 << 10;
/// And behind the block after which so much time was spent.
const PIECE_TIME: Duration = Duration::from_secs(1);

/// A block of the index, as the log names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogBlock {
    /// Its height and hash.
    pub at: BlockRef,
    /// The consensus hash after it.
    pub consensus_hash: ConsensusHash,
    /// How many candidates the index has up to the block, from the multiple of 2016 below it. A hole that was closed may
    /// change nothing else.
    pub candidates: u32,
}

/// Which chain a log is of, and how far it can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogFacts {
    /// The Bitcoin network.
    pub network: Network,
    /// The magic bytes of the candidates.
    pub magic: [u8; 2],
    /// The first block of the virtualchain.
    pub first_block: u32,
    /// The last block that is indexed.
    pub tip: Option<LogBlock>,
}

/// A run of blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The last of them.
    pub last: LogBlock,
    /// Their records, as a segment.
    pub bytes: Vec<u8>,
}

/// Who has what a log consists of.
pub trait Supply {
    /// Which chain it is.
    fn facts(&mut self) -> Result<LogFacts, ExportError>;

    /// An indexed block.
    fn block(&mut self, height: u32) -> Result<Option<LogBlock>, ExportError>;

    /// The headers of the best chain from a height on, at most `count`.
    fn headers(&mut self, from: u32, count: u32) -> Result<Vec<Header>, ExportError>;

    /// The blocks from `from` on, at least one, up to `to` or as far as one question reaches.
    fn piece(&mut self, from: u32, to: u32) -> Result<Piece, ExportError>;
}

/// What an index and a source supply.
pub struct LocalSupply {
    store: Arc<Store>,
    source: Box<dyn ChainSource>,
    indexed: IndexedCandidates,
    network: Network,
}

impl LocalSupply {
    /// The blocks in `store`, completed from `source`, which nobody else asks.
    pub fn new(store: Arc<Store>, source: Box<dyn ChainSource>, network: Network) -> Self {
        Self {
            indexed: IndexedCandidates::new(Arc::clone(&store)),
            store,
            source,
            network,
        }
    }

    /// What the log says of a block, whose candidates are those that the index has.
    fn evidence(
        &mut self,
        block: &IndexedBlock,
        operations: &[StoredOperation],
        places: &HashMap<Txid, (u32, u32)>,
    ) -> Result<Evidence, ExportError> {
        let at = BlockRef {
            height: block.height,
            hash: block.hash,
        };
        let magic = self.store.chain().magic;
        let known = |txid: &Txid| places.contains_key(txid);
        let evidence = self.source.evidence(at, magic, &known)?;
        let found = evidence.candidates.iter();
        let found = found.map(|found| (found.vtxindex, found.transaction.compute_txid()));
        let indexed = operations.iter().map(|operation| &operation.candidate);
        let indexed = indexed.map(|candidate| (candidate.vtxindex, candidate.txid));
        match found.eq(indexed) {
            true => Ok(evidence),
            false => Err(ExportError::Source(SourceError::Unavailable(format!(
                "{} has other operations in block {} than the index: run `bnsd chain verify`",
                self.source.describe(),
                at.height
            )))),
        }
    }

    /// Where those of the transactions are that candidates spend outputs of and that are candidates themselves.
    fn places(
        &self,
        operations: &[StoredOperation],
    ) -> Result<HashMap<Txid, (u32, u32)>, ExportError> {
        let mut places = HashMap::new();
        for operation in operations {
            let candidate = Candidate {
                vtxindex: operation.candidate.vtxindex,
                transaction: operation.candidate.transaction.clone(),
            };
            for outpoint in candidate.outpoints() {
                let place = self.indexed.place_of(&outpoint.txid)?;
                places.extend(place.map(|place| (outpoint.txid, place)));
            }
        }
        Ok(places)
    }

    /// A block as the log names it.
    fn logged(
        &self,
        block: &IndexedBlock,
        snapshot: &StoreSnapshot,
    ) -> Result<LogBlock, ExportError> {
        let height = block.height;
        let first = first_of_segment(height).max(self.store.chain().first_block);
        let candidates = snapshot.candidates_between(first, height)?;
        Ok(LogBlock {
            at: BlockRef {
                height,
                hash: block.hash,
            },
            consensus_hash: block.consensus_hash,
            candidates: candidates.len() as u32,
        })
    }

    /// Adds a block; gives about how many bytes it takes.
    fn add(
        &mut self,
        writer: &mut Writer,
        block: &IndexedBlock,
        snapshot: &StoreSnapshot,
    ) -> Result<usize, ExportError> {
        let operations = snapshot.operations_at(block.height)?;
        if operations.is_empty() {
            return Ok(0);
        }
        let places = self.places(&operations)?;
        let evidence = self.evidence(block, &operations, &places)?;
        let pushed = writer.push(block.height, &evidence, |txid| places.get(txid).copied());
        pushed.map_err(|fault| match fault {
            WriteFault::Large(height) => ExportError::Large(height),
            fault => SourceError::Unavailable(fault.to_string()).into(),
        })?;
        let candidates = evidence.candidates.iter().map(|found| &found.transaction);
        let transactions = candidates.chain(evidence.funding.values());
        Ok(transactions
            .map(|transaction| transaction.base_size())
            .sum())
    }
}

impl Supply for LocalSupply {
    fn facts(&mut self) -> Result<LogFacts, ExportError> {
        let chain = self.store.chain();
        let snapshot = self.store.snapshot();
        let tip = snapshot.tip().map(|tip| self.logged(&tip, &snapshot));
        Ok(LogFacts {
            network: self.network,
            magic: chain.magic,
            first_block: chain.first_block,
            tip: tip.transpose()?,
        })
    }

    fn block(&mut self, height: u32) -> Result<Option<LogBlock>, ExportError> {
        let snapshot = self.store.snapshot();
        let block = snapshot.block(height)?;
        block
            .map(|block| self.logged(&block, &snapshot))
            .transpose()
    }

    fn headers(&mut self, from: u32, count: u32) -> Result<Vec<Header>, ExportError> {
        Ok(self.source.headers(from, count)?)
    }

    fn piece(&mut self, from: u32, to: u32) -> Result<Piece, ExportError> {
        let start = Instant::now();
        let snapshot = self.store.snapshot();
        let magic = self.store.chain().magic;
        let mut writer = Writer::new(magic, Magic::from(self.network), from);
        let mut bytes = 0;
        let mut last = None;
        for height in from..=to {
            let Some(block) = snapshot.block(height)? else {
                break;
            };
            bytes += self.add(&mut writer, &block, &snapshot)?;
            last = Some(block);
            if bytes >= PIECE_BYTES || start.elapsed() >= PIECE_TIME {
                break;
            }
        }
        let last = self.logged(&last.ok_or(ExportError::Moved)?, &snapshot)?;
        let bytes = writer.finish(last.at.height);
        Ok(Piece { last, bytes })
    }
}
