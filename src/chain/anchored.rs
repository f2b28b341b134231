//! A source that has to have one block: the anchor of a network of one's own.
//!
//! Chains of regtest and of signets share their first block, and chains that forked share many, so that the magic bytes
//! alone would find a network on a chain that is not its own. Nothing is given out before the anchor was seen, and nothing
//! is taken back for a chain without it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bitcoin::block::Header;
use bitcoin::{OutPoint, TxOut, Txid};

use super::light::Audits;
use super::log::record::Evidence;
use super::{Block, BlockRef, ChainSource, Event, Result, SourceError};
use crate::progress::Known;

/// A source with its anchor.
pub struct Anchored {
    source: Box<dyn ChainSource>,
    anchor: BlockRef,
    seen: bool,
}

impl Anchored {
    /// What `source` says, as long as it has `anchor`.
    pub fn new(source: Box<dyn ChainSource>, anchor: BlockRef) -> Self {
        Self {
            source,
            anchor,
            seen: false,
        }
    }

    fn require_anchor(&mut self) -> Result<()> {
        let BlockRef { height, hash } = self.anchor;
        if self.source.holds(self.anchor)? {
            self.seen = true;
            return Ok(());
        }
        let source = self.source.describe();
        let best = self.source.best_height()?;
        if best < height {
            return Err(SourceError::Unavailable(format!(
                "{source} is at block {best}, and the network begins on a chain with block {height}, {hash}: waiting until it has that"
            )));
        }
        Err(SourceError::Fatal(format!(
            "{source} has another block {height} than {hash}, which the network file names, so it follows another chain: correct `chain.bitcoin`, the node, or `chain.network-file`"
        )))
    }
}

impl ChainSource for Anchored {
    fn next(&mut self, tip: Option<BlockRef>, first_block: u32) -> Result<Event> {
        let event = self.source.next(tip, first_block)?;
        let is_due = match event {
            Event::Preparing { .. } | Event::Waiting(_) => false,
            Event::Disconnect => true,
            Event::Connect(_) | Event::ConnectCandidates(_) | Event::Idle => !self.seen,
        };
        if is_due {
            self.require_anchor()?;
        }
        Ok(event)
    }

    fn prevouts(&mut self, block: &Block, outpoints: &[OutPoint]) -> Result<Vec<TxOut>> {
        self.source.prevouts(block, outpoints)
    }

    fn headers(&mut self, from: u32, count: u32) -> Result<Vec<Header>> {
        self.source.headers(from, count)
    }

    fn evidence(
        &mut self,
        at: BlockRef,
        magic: [u8; 2],
        known: &dyn Fn(&Txid) -> bool,
    ) -> Result<Evidence> {
        self.source.evidence(at, magic, known)
    }

    fn best_height(&mut self) -> Result<u32> {
        self.source.best_height()
    }

    fn holds(&mut self, at: BlockRef) -> Result<bool> {
        self.source.holds(at)
    }

    fn wait(&mut self, patience: Duration) {
        self.source.wait(patience);
    }

    fn stop_with(&mut self, stop: Arc<AtomicBool>) {
        self.source.stop_with(stop);
    }

    fn known(&self) -> Option<Known> {
        self.source.known()
    }

    fn audits(&self) -> Option<Audits> {
        self.source.audits()
    }

    fn describe(&self) -> String {
        self.source.describe()
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::ScriptBuf;

    use super::*;
    use crate::chain::dev::DevChain;

    #[test]
    fn nothing_is_given_out_by_a_chain_without_the_anchor() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let chain = |name: &str, time| {
            let chain = DevChain::open(&scratch.path().join(name)).expect("a chain");
            let mined = chain.mine_empty(&ScriptBuf::new(), 3, time);
            mined.expect("blocks");
            chain
        };
        let (ours, other) = (chain("ours", 1_700_000_000), chain("other", 1_700_000_100));
        let anchor = ours.block_at(2).expect("a block");
        let anchored = |chain: &DevChain, anchor| Anchored::new(Box::new(chain.source(0)), anchor);
        let first = anchored(&ours, anchor).next(None, 1);
        assert!(matches!(first, Ok(Event::Connect(block)) if block.at.height == 1));
        let error = anchored(&other, anchor)
            .next(None, 1)
            .expect_err("another chain");
        assert!(matches!(&error, SourceError::Fatal(text) if text.contains("another chain")));
        let later = BlockRef {
            height: 4,
            ..anchor
        };
        let error = anchored(&ours, later).next(None, 1).expect_err("too early");
        assert!(matches!(error, SourceError::Unavailable(_)));
        // A reorganisation that loses the anchor is none that this network follows.
        let mut source = anchored(&ours, anchor);
        let tip = ours.block_at(3);
        assert!(matches!(source.next(tip, 1), Ok(Event::Idle)));
        ours.rewind(1).expect("a shorter chain");
        ours.mine_empty(&ScriptBuf::new(), 3, 1_700_000_200)
            .expect("blocks");
        let lost = source.next(tip, 1).expect_err("the anchor is gone");
        assert!(matches!(lost, SourceError::Fatal(_)));
    }
}
