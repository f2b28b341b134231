//! Blocks that come whole from Bitcoin peers: the newest ones, from which no log can leave anything out.
//!
//! A block says which outputs its candidates spend and not what they are. Those come from earlier candidates, from the
//! block itself, or from what a log says of it. Nothing is guessed: the index stays below a block until all of it is
//! there.

use std::collections::HashMap;

use bitcoin::consensus::deserialize;
use bitcoin::{OutPoint, Transaction, TxOut, Txid};

use super::source::LightSource;
use super::whole::keep_record;
use crate::chain::evidence::not_spent;
use crate::chain::log::manifest::SEGMENT_BLOCKS;
use crate::chain::log::record::Evidence;
use crate::chain::log::segment::Writer;
use crate::chain::{Block, BlockRef, Event, Result, SourceError};
use crate::virtualchain::scan::{self, Candidate};
use crate::virtualchain::{BlockHeader, CandidateBlock};

/// So many of the newest blocks come whole: a day.
const NEWEST: u32 = 144;
/// Pruned peers have so many (BIP 159); who is further behind reads logs first.
const PRUNED: u32 = 288;
/// Blocks that are asked for at once.
const AHEAD: u32 = 8;

impl LightSource {
    /// Whether the block at a height comes whole.
    pub(super) fn comes_whole(&mut self, height: u32, best: BlockRef) -> bool {
        if self.full.is_none() {
            return false;
        }
        let behind = best.height.saturating_sub(height);
        let goes_on = self.notes.full_from.is_some_and(|from| from <= height) && behind <= PRUNED;
        if goes_on {
            return true;
        }
        self.notes.full_from = (behind < NEWEST).then_some(height);
        self.notes.full_from.is_some() || !self.is_told(height)
    }

    /// The next block, from Bitcoin peers.
    pub(super) fn show_whole(&mut self, height: u32, best: BlockRef) -> Result<Event> {
        let last = best.height.saturating_sub(self.options.confirmations);
        let wanted: Vec<BlockRef> = {
            let headers = self.header_chain();
            let heights = height..=last.min(height.saturating_add(AHEAD - 1));
            let at = |height| {
                Some(BlockRef {
                    height,
                    hash: headers.hash_at(height)?,
                })
            };
            heights.filter_map(at).collect()
        };
        let Some(full) = &mut self.full else {
            return Ok(Event::Idle);
        };
        let Some(block) = full.take(wanted) else {
            let status = full.peers.status();
            return Ok(self.hold(format!(
                "block {height} is being fetched from Bitcoin peers, of which {} are connected",
                status.connected
            )));
        };
        self.show_block(block)
    }

    /// The block at a height from which something was left out, if that is on the best chain.
    pub(super) fn found_at(&self, height: u32) -> Option<Block> {
        let block = self.found.get(&height)?;
        (self.header_chain().hash_at(height) == Some(block.at.hash)).then(|| block.clone())
    }

    /// The candidates of a whole block, with what they spend.
    pub(super) fn show_block(&mut self, block: Block) -> Result<Event> {
        let height = block.at.height;
        let candidates = self.scanned(&block)?;
        match self.funding(&block, &candidates)? {
            Ok(funding) => {
                let shown = self.join_whole(&block, candidates, &funding)?;
                self.note_record(&block, funding);
                self.note_lacking_whole(&shown);
                self.held = None;
                Ok(Event::ConnectCandidates(shown))
            }
            Err((vtxindex, missing)) => {
                let conditions = self.shared.lock().conditions();
                if let Some(full) = &mut self.full {
                    full.block = Some(block);
                }
                Ok(self.hold(format!(
                    "block {height} waits for transaction {missing}, which its operation at {vtxindex} spends an output of, until a log names it: {conditions}"
                )))
            }
        }
    }

    /// The candidates of a whole block.
    pub(super) fn scanned(&self, block: &Block) -> Result<Vec<Candidate>> {
        scan::scan(&block.raw, self.options.magic).map_err(|error| {
            let height = block.at.height;
            SourceError::Unavailable(format!(
                "block {height} of a Bitcoin peer cannot be read: {error}"
            ))
        })
    }

    /// The transactions that candidates spend outputs of, or the first that is missing and whose it is.
    fn funding(
        &self,
        block: &Block,
        candidates: &[Candidate],
    ) -> Result<Result<HashMap<Txid, Transaction>, (u32, Txid)>> {
        let mut found = HashMap::new();
        let mut inside: Option<HashMap<Txid, Transaction>> = None;
        let mut told: Option<HashMap<Txid, Transaction>> = None;
        for candidate in candidates {
            for OutPoint { txid, .. } in candidate.outpoints() {
                if found.contains_key(&txid) {
                    continue;
                }
                let earlier = match self.indexed.place_of(&txid)? {
                    Some((height, vtxindex)) => self.indexed.candidate(height, vtxindex)?,
                    None => self.recent_by_id(&txid),
                };
                let spent = earlier
                    .or_else(|| {
                        inside
                            .get_or_insert_with(|| transactions(block))
                            .get(&txid)
                            .cloned()
                    })
                    .or_else(|| {
                        let told = told.get_or_insert_with(|| self.told(block.at.height));
                        told.get(&txid).cloned()
                    });
                match spent {
                    Some(transaction) => found.insert(txid, transaction),
                    None => return Ok(Err((candidate.vtxindex, txid))),
                };
            }
        }
        Ok(Ok(found))
    }

    /// The transactions that logs name for the candidates of a block.
    fn told(&self, height: u32) -> HashMap<Txid, Transaction> {
        let windows = self.windows.get(&(height / SEGMENT_BLOCKS)).into_iter();
        let shown = windows.flat_map(|window| window.shown(height));
        let named = shown.flat_map(|(segment, shown)| segment.funding(shown));
        named
            .map(|transaction| (transaction.compute_txid(), transaction.clone()))
            .collect()
    }

    fn join_whole(
        &mut self,
        block: &Block,
        candidates: Vec<Candidate>,
        funding: &HashMap<Txid, Transaction>,
    ) -> Result<CandidateBlock> {
        let output = |outpoint: OutPoint| -> Result<TxOut> {
            let transaction = funding.get(&outpoint.txid);
            let output = transaction.and_then(|spent| spent.output.get(outpoint.vout as usize));
            output.cloned().ok_or_else(|| not_spent(block.at, outpoint))
        };
        let height = block.at.height;
        let mut joined = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            let prevouts = candidate.outpoints().map(output).collect::<Result<_>>()?;
            self.note_recent((height, candidate.vtxindex), &candidate.transaction);
            joined.push(candidate.with_prevouts(prevouts));
        }
        Ok(CandidateBlock {
            height,
            candidates: joined,
            about: BlockHeader {
                hash: block.at.hash,
                previous: block.previous,
                time: block.time,
            },
        })
    }

    /// Names logs that tell of the block without one of its candidates.
    fn note_lacking_whole(&mut self, shown: &CandidateBlock) {
        let Some(window) = self.windows.get(&(shown.height / SEGMENT_BLOCKS)) else {
            return;
        };
        let vtxindexes = shown.candidates.iter().map(|candidate| candidate.vtxindex);
        let lacking = vtxindexes
            .flat_map(|vtxindex| window.lacking(shown.height, vtxindex))
            .collect();
        self.name_lacking(shown.height, lacking, "the block has");
    }

    /// Keeps what the block shows, so that a log can be written of it.
    fn note_record(&self, block: &Block, funding: HashMap<Txid, Transaction>) {
        let evidence = Evidence::of_block(&block.raw, self.options.magic, funding);
        let Ok(evidence) = evidence else { return };
        if evidence.candidates.is_empty() {
            return;
        }
        let height = block.at.height;
        let mut writer = Writer::new(self.options.magic, self.options.network.magic(), height);
        let written = writer
            .push(height, &evidence, |_| None)
            .map_err(std::io::Error::other);
        let kept = written
            .and_then(|()| keep_record(&self.options.directory, height, &writer.finish(height)));
        if let Err(error) = kept {
            tracing::warn!("cannot keep what block {height} shows for a log of it: {error}");
        }
    }
}

/// All transactions of a block.
fn transactions(block: &Block) -> HashMap<Txid, Transaction> {
    let decoded: Option<bitcoin::Block> = deserialize(&block.raw).ok();
    let transactions = decoded.into_iter().flat_map(|block| block.txdata);
    transactions
        .map(|transaction| (transaction.compute_txid(), transaction))
        .collect()
}
