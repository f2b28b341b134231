//! A Bitcoin Core node as a source of blocks, over its JSON-RPC interface.
//!
//! The node is trusted to know which valid chain has most work; what it sends is checked all the same: each
//! block has real work, is the one that was asked for and holds the transactions that its header commits to.
//! The node may be restarted, warm up, hang, write a new cookie or be replaced at any moment. That is
//! [`SourceError::Unavailable`], and the next question asks for everything anew, the network first. A node of
//! another network, or one that has pruned what is needed, is [`SourceError::Fatal`].
//!
//! What a candidate spends comes from `getblock` with verbosity 3 (Bitcoin Core 23), on older nodes from
//! `getrawtransaction`, which needs `txindex=1`. It is asked only for blocks that have candidates.

mod ahead;
mod credentials;
mod evidence;
#[cfg(fuzzing)]
pub mod fuzz;
pub mod http;
mod node;
pub mod rpc;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bitcoin::block::Header;
use bitcoin::{Network, OutPoint, TxOut, Txid};

use self::ahead::Ahead;
use self::http::{Credentials, Http, Limits};
use self::node::{Node, Place, Unchecked};
use self::rpc::Rpc;
use super::log::record::Evidence;
use super::pipeline::Pipeline;
use super::{Block, BlockRef, ChainSource, Event, HEADERS_MAX, Result, SourceError, pick};

/// Blocks are fetched ahead if at least this many follow.
const FETCH_AHEAD_FROM: u32 = 3;
/// How far down a branch is followed to find where it left the best chain.
const BRANCH_MAX: u32 = 1_000;

/// Where the node is, how it is asked, and what is expected of it.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// HOST:PORT of the RPC interface.
    pub address: String,
    /// How we show who we are.
    pub credentials: Credentials,
    /// What a reply may cost.
    pub limits: Limits,
    /// The network that the node has to follow.
    pub network: Network,
    /// Blocks that must be on top of one before it is given out.
    pub confirmations: u32,
}

/// Follows a node.
#[derive(Debug)]
pub struct BitcoindSource {
    node: Node,
    confirmations: u32,
    /// The connection over which the node was last asked for its network.
    greeted: Option<u64>,
    best: Option<BlockRef>,
    /// A tip that was found on the best chain, and the best block at that time.
    judged: Option<(BlockRef, BlockRef)>,
    pipeline: Option<Pipeline<Unchecked>>,
}

/// Where the index's tip stands in the node's view.
enum Verdict {
    OnBestChain,
    Elsewhere,
    /// The node's chain is a part of the index's: it does not contradict it.
    Behind,
}

impl BitcoindSource {
    /// A source; the node is asked for the first time by the first question.
    pub fn new(options: NodeOptions) -> Self {
        let http = Http::new(options.address, options.credentials, options.limits);
        Self {
            node: Node::new(Rpc::new(http), options.network),
            confirmations: options.confirmations,
            greeted: None,
            best: None,
            judged: None,
            pipeline: None,
        }
    }

    fn try_next(&mut self, tip: Option<BlockRef>, first_block: u32) -> Result<Event> {
        self.greet()?;
        let height = tip.map_or(first_block, |tip| tip.height.saturating_add(1));
        if !self.is_deep_enough(height) {
            self.best = Some(self.node.best()?);
        }
        if !self.is_deep_enough(height) {
            return self.rest_at(tip);
        }
        let Some(block) = self.take(height)? else {
            self.forget();
            return Ok(Event::Idle); // the chain has become shorter: ask again
        };
        let Some(tip) = tip.filter(|tip| tip.hash != block.previous) else {
            return Ok(Event::Connect(block));
        };
        self.pipeline = None;
        self.best = Some(self.node.best()?);
        self.rest_at(Some(tip))
    }

    /// What to do when no block continues `tip`.
    fn rest_at(&mut self, tip: Option<BlockRef>) -> Result<Event> {
        let (Some(tip), Some(best)) = (tip, self.best) else {
            return Ok(Event::Idle);
        };
        if self.judged == Some((tip, best)) {
            return Ok(Event::Idle);
        }
        match self.judge(tip, best)? {
            Verdict::OnBestChain => {
                self.judged = Some((tip, best));
                Ok(Event::Idle)
            }
            Verdict::Elsewhere => {
                self.node.greet()?; // a node of another network must not undo anything
                Ok(Event::Disconnect)
            }
            Verdict::Behind => Err(SourceError::Behind {
                source_name: self.node.describe(),
                reach: best.height,
                tip: tip.height,
            }),
        }
    }

    fn judge(&self, tip: BlockRef, best: BlockRef) -> Result<Verdict> {
        let place = self.node.place_of(tip.hash)?;
        if place.as_ref().is_some_and(Place::is_on_best_chain) {
            return Ok(Verdict::OnBestChain);
        }
        if best.height >= tip.height {
            return Ok(Verdict::Elsewhere);
        }
        // The node's chain is shorter than the index. It contradicts it only if it has a block of its own.
        let mut below = place.and_then(|place| place.previous);
        for _ in 0..BRANCH_MAX {
            let Some(hash) = below else {
                break;
            };
            let Some(place) = self.node.place_of(hash)? else {
                break;
            };
            if place.is_on_best_chain() {
                let contradicts =
                    hash != best.hash || self.node.has_refused_branch(place.height, tip.height)?;
                return Ok(match contradicts {
                    true => Verdict::Elsewhere,
                    false => Verdict::Behind,
                });
            }
            below = place.previous;
        }
        Ok(Verdict::Behind)
    }

    fn is_deep_enough(&self, height: u32) -> bool {
        self.best
            .is_some_and(|best| height.saturating_add(self.confirmations) <= best.height)
    }

    fn take(&mut self, height: u32) -> Result<Option<Block>> {
        let last = self.best.map_or(0, |best| best.height);
        let last = last.saturating_sub(self.confirmations);
        if !self.pipeline.as_ref().is_some_and(|p| p.is_at(height)) {
            self.pipeline = None;
            if last.saturating_sub(height) >= FETCH_AHEAD_FROM {
                let mut ahead = Ahead::new(self.node.another(), last);
                self.pipeline = Pipeline::start(height, last, move |height| ahead.next(height));
            }
        }
        match &mut self.pipeline {
            // Checked here, so that fetching goes on meanwhile.
            Some(pipeline) => {
                let block = pipeline.take()?;
                block.map(|block| self.node.check(block)).transpose()
            }
            None => self.node.block_at(height),
        }
    }

    fn greet(&mut self) -> Result<()> {
        if !self.is_same_node() {
            self.node.greet()?;
            self.greeted = Some(self.node.connections());
        }
        Ok(())
    }

    /// Whether the connection is still that over which the node was greeted. Behind a new one may be another node, even
    /// of another network.
    fn is_same_node(&self) -> bool {
        self.greeted == Some(self.node.connections())
    }

    /// Forgets what the node said. After any trouble another one may stand in its place.
    fn forget(&mut self) {
        (self.greeted, self.best, self.judged) = (None, None, None);
        self.pipeline = None;
    }

    fn forgetting_after_error<T>(&mut self, result: Result<T>) -> Result<T> {
        if result.is_err() {
            self.forget();
        }
        result
    }

    fn try_prevouts(&mut self, block: &Block, outpoints: &[OutPoint]) -> Result<Vec<TxOut>> {
        if outpoints.is_empty() {
            return Ok(Vec::new());
        }
        let Some(spent) = self.node.spent_by(block.at)? else {
            let outputs = outpoints.iter().map(|outpoint| self.node.output(*outpoint));
            return outputs.collect();
        };
        let spent = spent.into_iter();
        let spent = spent.map(|(outpoint, spent)| (outpoint, spent.output.into()));
        pick(&spent.collect(), outpoints)
            .map_err(|outpoint| self.node.does_not_say(block.at, outpoint))
    }
}

impl ChainSource for BitcoindSource {
    fn next(&mut self, tip: Option<BlockRef>, first_block: u32) -> Result<Event> {
        let mut event = self.try_next(tip, first_block);
        if self.greeted.is_some() && !self.is_same_node() {
            self.forget();
            event = self.try_next(tip, first_block);
        }
        self.forgetting_after_error(event)
    }

    fn prevouts(&mut self, block: &Block, outpoints: &[OutPoint]) -> Result<Vec<TxOut>> {
        let outputs = self.try_prevouts(block, outpoints);
        self.forgetting_after_error(outputs)
    }

    fn headers(&mut self, from: u32, count: u32) -> Result<Vec<Header>> {
        let greeted = self.greet();
        let headers = greeted.and_then(|()| self.node.headers(from, count.min(HEADERS_MAX)));
        self.forgetting_after_error(headers)
    }

    fn evidence(
        &mut self,
        at: BlockRef,
        magic: [u8; 2],
        known: &dyn Fn(&Txid) -> bool,
    ) -> Result<Evidence> {
        let block = self.greet().and_then(|()| self.node.block(at));
        let node = &self.node;
        let evidence = block.and_then(|block| {
            super::evidence::of_block(&block, magic, known, |spent| node.funding(at, spent))
        });
        self.forgetting_after_error(evidence)
    }

    fn best_height(&mut self) -> Result<u32> {
        if let Some(best) = self.best {
            return Ok(best.height);
        }
        let best = self.greet().and_then(|()| self.node.best());
        let best = self.forgetting_after_error(best)?;
        self.best = Some(best);
        Ok(best.height)
    }

    fn holds(&mut self, at: BlockRef) -> Result<bool> {
        let hash = self.greet().and_then(|()| self.node.hash_at(at.height));
        Ok(self.forgetting_after_error(hash)? == Some(at.hash))
    }

    fn wait(&mut self, patience: Duration) {
        let started = std::time::Instant::now();
        let milliseconds = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        if !self.is_same_node() || !self.node.wait_for_block(milliseconds.max(1)) {
            std::thread::sleep(patience.saturating_sub(started.elapsed()));
        }
    }

    fn stop_with(&mut self, stop: Arc<AtomicBool>) {
        self.node.stop_with(stop);
    }

    fn describe(&self) -> String {
        self.node.describe()
    }
}
