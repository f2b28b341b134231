//! The embedded chain as the indexer follows it.

use std::io;
use std::time::Duration;

use bitcoin::block::Header;
use bitcoin::consensus::deserialize;
use bitcoin::{OutPoint, TxOut, Txid};

use super::DevChain;
use crate::chain::evidence;
use crate::chain::log::record::Evidence;
use crate::chain::{Block, BlockRef, ChainSource, Event, HEADERS_MAX, Result, SourceError, pick};

/// Follows a [`DevChain`] that others mine on.
#[derive(Debug)]
pub struct DevSource {
    pub(super) chain: DevChain,
    pub(super) confirmations: u32,
    pub(super) seen: u64,
}

impl ChainSource for DevSource {
    fn next(&mut self, tip: Option<BlockRef>, first_block: u32) -> Result<Event> {
        let state = self.chain.lock();
        self.seen = state.changes;
        let height = match tip {
            Some(tip) if state.block_at(tip.height) != Some(tip) => return Ok(Event::Disconnect),
            Some(tip) => tip.height.saturating_add(1),
            None => first_block,
        };
        let deep_enough = height.saturating_add(self.confirmations) <= state.tip().height;
        match state.block_at(height) {
            Some(at) if deep_enough => state
                .read(at)
                .map(Event::Connect)
                .map_err(|error| unreadable(&error)),
            _ => Ok(Event::Idle),
        }
    }

    fn prevouts(&mut self, block: &Block, outpoints: &[OutPoint]) -> Result<Vec<TxOut>> {
        if outpoints.is_empty() {
            return Ok(Vec::new());
        }
        let undo = self.chain.lock().undo_of(block.at.hash);
        let undo = undo.map_err(|error| unreadable(&error))?;
        pick(&undo.outputs(&decode(block)?), outpoints)
            .map_err(|outpoint| evidence::not_spent(block.at, outpoint))
    }

    fn headers(&mut self, from: u32, count: u32) -> Result<Vec<Header>> {
        let state = self.chain.lock();
        let heights = from..from.saturating_add(count.min(HEADERS_MAX));
        Ok(heights
            .map_while(|height| state.header_at(height))
            .collect())
    }

    fn evidence(
        &mut self,
        at: BlockRef,
        magic: [u8; 2],
        known: &dyn Fn(&Txid) -> bool,
    ) -> Result<Evidence> {
        let state = self.chain.lock();
        let read = |at| state.read(at).map_err(|error| unreadable(&error));
        let read_at = |height| match state.block_at(height) {
            Some(at) => read(at),
            None => Err(SourceError::Unavailable(format!(
                "the embedded chain no longer has a block {height}"
            ))),
        };
        let block = read(at)?;
        evidence::of_block(&block, magic, known, |outpoints| {
            let undo = state.undo_of(at.hash).map_err(|error| unreadable(&error))?;
            let decoded = decode(&block)?;
            evidence::funding(at, &undo.coins(&decoded), outpoints, read_at)
        })
    }

    fn best_height(&mut self) -> Result<u32> {
        Ok(self.chain.tip().height)
    }

    fn holds(&mut self, at: BlockRef) -> Result<bool> {
        Ok(self.chain.block_at(at.height) == Some(at))
    }

    fn wait(&mut self, patience: Duration) {
        let state = self.chain.lock();
        let changed = &self.chain.shared.changed;
        // Woken or out of patience, the caller asks again; a poisoned lock will tell there.
        let _ = changed.wait_timeout_while(state, patience, |state| state.changes == self.seen);
    }

    fn describe(&self) -> String {
        let state = self.chain.lock();
        format!("embedded regtest chain in {}", state.directory().display())
    }
}

fn decode(block: &Block) -> Result<bitcoin::Block> {
    let decoded = deserialize(&block.raw);
    decoded.map_err(|error| SourceError::Fatal(format!("block {}: {error}", block.at.hash)))
}

fn unreadable(error: &io::Error) -> SourceError {
    SourceError::Fatal(format!(
        "the embedded chain's files cannot be read ({error}): restart to open them anew"
    ))
}
