//! Where blocks come from. Nothing above this module knows which kind of source it follows.
//!
//! A [`ChainSource`] is asked again and again what follows the block that the index holds; it answers with
//! exactly one [`Event`]. The index's own tip is the argument, so that a source keeps no cursor that a
//! crash could lose: after a restart the same question gets the same answer.
//!
//! - [`bitcoind`]: a Bitcoin Core node, over RPC.
//! - [`blockfiles`]: the block directory of a Bitcoin Core node, without the node.
//! - [`light`]: logs, checked by work, and blocks of Bitcoin peers: no node is needed.
//! - [`dev`]: an embedded regtest chain on disk that mines on demand, in Bitcoin Core's file formats.
//!
#![doc = include_str!("sources.md")]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bitcoin::block::Header;
use bitcoin::{BlockHash, OutPoint, TxOut, Txid};

use self::log::record::Evidence;
use crate::hash::ConsensusHash;
use crate::progress::Known;
use crate::virtualchain::CandidateBlock;

pub mod anchored;
#[cfg(test)]
mod battery;
pub mod bitcoind;
pub mod blockfile;
pub mod blockfiles;
mod candidates;
pub mod checked;
pub mod dev;
mod evidence;
pub mod header;
pub mod headers;
mod indexed;
pub mod light;
pub mod log;
pub mod p2p;
mod pipeline;

pub use candidates::{Blocks, candidates, place};
pub use indexed::Indexed;

/// What to write where no source is configured.
pub const CHOOSE_A_SOURCE: &str = "set `chain.source`: without a node, write `source = \"log\"` and `logs = [\"https://HOST/FOLDER\"]` below [chain]; with one, `source = \"bitcoind\"`";

/// Kinds of block source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// No chain: names of the system cannot be answered, everything else is forwarded.
    None,
    /// A Bitcoin Core node, over RPC.
    Bitcoind,
    /// The block files of a Bitcoin Core node.
    Blockfiles,
    /// The embedded chain on disk, whose blocks come when transactions do.
    Dev,
    /// Logs of what decides about names, checked by work, and blocks of Bitcoin peers: no node is needed.
    Log,
    /// No chain: the published last state of the main network, as it was imported.
    Final,
}

/// A place in a chain of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct BlockRef {
    /// Distance from the genesis block.
    pub height: u32,
    /// Hash of the block's header.
    pub hash: BlockHash,
}

/// A block as it goes into the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Its height and hash.
    pub at: BlockRef,
    /// Hash of the block below.
    pub previous: BlockHash,
    /// Header time, seconds since 1970 (set by the miner; for display and lag only).
    pub time: u32,
    /// The serialised block, header first, witnesses included where the source has them.
    pub raw: Vec<u8>,
}

/// What follows the block that the index holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The next block of the best chain, deep enough to be indexed.
    Connect(Block),
    /// The next block, reduced to what the rules see of it: its bytes are not at hand.
    ConnectCandidates(CandidateBlock),
    /// The index's tip is no longer on the best chain: undo that one block and ask again.
    Disconnect,
    /// No block follows for now.
    Idle,
    /// A block follows, and what the rules need of it is not at hand yet; in words what is missing.
    Waiting(String),
    /// The source has not read all that it has. It reads a piece per question, so that the caller can stop in between.
    Preparing {
        /// How many files it has read.
        done: usize,
        /// How many there are.
        of: usize,
    },
}

/// What a source returns.
pub type Result<T, E = SourceError> = std::result::Result<T, E>;

/// Why a source cannot answer. The message says what the reader can do.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Asking again later may help: the node restarts, warms up, does not answer.
    #[error("{0}")]
    Unavailable(String),
    /// The source's chain ends below the index's tip and does not contradict it: the source may still be syncing.
    #[error(
        "{source_name} is at block {reach} and the index at {tip}: waiting until it has caught up"
    )]
    Behind {
        /// The source, see [`ChainSource::describe`].
        source_name: String,
        /// Height of its best block.
        reach: u32,
        /// Height of the index's tip.
        tip: u32,
    },
    /// A block that is indexed has more candidates than were shown when it was: the index is to be derived again from
    /// there. The source says so until the index is below that block.
    #[error(
        "block {height} has an operation that {source_names} left out: the index is derived again from there"
    )]
    Hole {
        /// The lowest such block.
        height: u32,
        /// Who left it out.
        source_names: String,
    },
    /// The rules lead to another consensus hash than the configuration names: an operation is missing in every source.
    #[error(
        "block {height} has the consensus hash {found}, and `chain.pins` names {expected}: {source_names} left something out, and names are withheld until a source shows it"
    )]
    Pinned {
        /// The block.
        height: u32,
        /// What the configuration names.
        expected: ConsensusHash,
        /// What the rules lead to.
        found: ConsensusHash,
        /// Who told of the block.
        source_names: String,
    },
    /// Asking again will not help: wrong network, pruned blocks, damaged files.
    #[error("{0}")]
    Fatal(String),
}

/// Headers that are asked for at once: 160 KB.
pub const HEADERS_MAX: u32 = 2_000;

/// A chain of Bitcoin blocks to follow.
pub trait ChainSource: Send {
    /// What follows `tip`; with `None`, the block at `first_block` is wanted.
    fn next(&mut self, tip: Option<BlockRef>, first_block: u32) -> Result<Event>;

    /// The outputs that `outpoints` name, in the same order; all of them are spent by `block`. For none, nothing is read
    /// or asked.
    fn prevouts(&mut self, block: &Block, outpoints: &[OutPoint]) -> Result<Vec<TxOut>>;

    /// The headers of the best chain from the height `from` on, at most `count` and no more than [`HEADERS_MAX`]; fewer
    /// where the chain ends. Each is linked to the one before it.
    ///
    /// Only sources that a log can be written from have them.
    fn headers(&mut self, _from: u32, _count: u32) -> Result<Vec<Header>> {
        Err(no_log_from(&self.describe()))
    }

    /// What a log says of the block at `at`, which is on the best chain: its tree, its coinbase, its candidates and the
    /// transactions that those spend outputs of, but for those in `known`, which are candidates themselves.
    ///
    /// Only sources that a log can be written from have it.
    fn evidence(
        &mut self,
        _at: BlockRef,
        _magic: [u8; 2],
        _known: &dyn Fn(&Txid) -> bool,
    ) -> Result<Evidence> {
        Err(no_log_from(&self.describe()))
    }

    /// Height of the best block that the source knows, for progress.
    fn best_height(&mut self) -> Result<u32>;

    /// Whether this block is on the best chain, so that the index can compare what it built on long ago. A
    /// source whose chain does not reach so high says `false`.
    fn holds(&mut self, at: BlockRef) -> Result<bool>;

    /// Returns when something may have changed, at the latest after `patience`.
    fn wait(&mut self, patience: Duration);

    /// Makes every call end early, with an error, once `stop` is set. To be called before the first question.
    ///
    /// Only a source whose calls can take long has to do anything about it.
    fn stop_with(&mut self, _stop: Arc<AtomicBool>) {}

    /// How complete the source knows the chain to be; `None` where it has whole blocks.
    fn known(&self) -> Option<Known> {
        None
    }

    /// Where old blocks can be had looked at whole; `None` where all are.
    fn audits(&self) -> Option<light::Audits> {
        None
    }

    /// One line that names the source for `status` and the log, without secrets.
    fn describe(&self) -> String;
}

fn no_log_from(source: &str) -> SourceError {
    SourceError::Fatal(format!(
        "{source} does not have what a log consists of: write the log where a node, its block files or another log is followed"
    ))
}

/// The outputs that `outpoints` name, out of all that a block spends; an error is the first that it does not spend.
fn pick(spent: &HashMap<OutPoint, TxOut>, outpoints: &[OutPoint]) -> Result<Vec<TxOut>, OutPoint> {
    let outputs = outpoints
        .iter()
        .map(|outpoint| spent.get(outpoint).cloned().ok_or(*outpoint));
    outputs.collect()
}
