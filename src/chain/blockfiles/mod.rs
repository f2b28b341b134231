//! The block directory of a Bitcoin Core node as a source of blocks, without asking the node.
//!
//! The first questions scan all `blk` files, reading 88 bytes a block; later ones scan only what was added. The
//! first scan takes minutes on a slow disk, so each question does only a piece of it ([`Event::Preparing`]). The
//! node may be running and writing: a torn record is read again later. Only headers and places stay in memory. A
//! block is checked when it is read: real work, and the transactions that its header commits to.
//!
//! The files do not say which blocks the node found invalid: the branch with most work is followed. A block
//! whose scripts are wrong takes as much work to make as a right one, and `confirmations` more on top of it; and a
//! block with operations is connected only once the node has written what it spent, which it does after checking it.
//!
//! It never writes. Without the `rev` files nobody can tell who sent an operation, so a directory without them is
//! refused.

mod files;
mod headers;
mod spent;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bitcoin::block::Header;
use bitcoin::constants::genesis_block;
use bitcoin::{Network, OutPoint, TxOut, Txid};

use self::files::{Files, Scan};
use self::headers::Headers;
use self::spent::SpentOutputs;
use super::blockfile::undo::Coin;
use super::evidence;
use super::log::record::Evidence;
use super::pipeline::Pipeline;
use super::{Block, BlockRef, ChainSource, Event, HEADERS_MAX, Result, SourceError};

/// Blocks are read ahead if at least this many follow.
const READ_AHEAD_FROM: u32 = 3;
/// How long one question may scan files.
const PIECE: Duration = Duration::from_millis(100);

/// Follows a directory of block files.
#[derive(Debug)]
pub struct BlockFilesSource {
    directory: PathBuf,
    network: Network,
    confirmations: u32,
    piece: Duration,
    opened: Option<Opened>,
}

/// What is known of the directory.
#[derive(Debug)]
struct Opened {
    files: Arc<Files>,
    headers: Headers,
    scanned: files::Scanned,
    /// Whether all files have been scanned once.
    is_whole: bool,
    spent: SpentOutputs,
    pipeline: Option<Pipeline<Block>>,
}

impl BlockFilesSource {
    /// A source; the directory is looked at by the first question.
    pub fn new(directory: &Path, network: Network, confirmations: u32) -> Self {
        Self {
            directory: directory.to_owned(),
            network,
            confirmations,
            piece: PIECE,
            opened: None,
        }
    }

    /// The same, with another piece of the work for each question.
    #[cfg(test)]
    pub(in crate::chain) fn with_piece(mut self, piece: Duration) -> Self {
        self.piece = piece;
        self
    }

    /// The directory as it is now, or as far as it could be scanned in the time for one question.
    fn refresh(&mut self) -> Result<(&mut Opened, Scan)> {
        let mut opened = match self.opened.take() {
            Some(opened) => opened,
            None => Opened::new(&self.directory, self.network)?,
        };
        if opened.files.was_replaced(&opened.scanned) {
            opened = Opened::new(&self.directory, self.network)?;
        }
        let end = Instant::now() + self.piece;
        let scan = opened
            .files
            .scan(&mut opened.scanned, &mut opened.headers, end)?;
        opened.is_whole |= scan == Scan::Done;
        if opened.headers.best().height > 0 {
            opened.files.require_undo()?;
        }
        Ok((self.opened.insert(opened), scan))
    }

    /// The directory as it was when it was last scanned to the end.
    fn whole(&mut self) -> Result<&mut Opened> {
        while self.opened.as_ref().is_none_or(|opened| !opened.is_whole) {
            self.refresh()?;
        }
        Ok(self.opened.as_mut().expect("it was opened in the loop"))
    }

    fn try_next(&mut self, tip: Option<BlockRef>, first_block: u32) -> Result<Event> {
        let confirmations = self.confirmations;
        let (opened, scan) = self.refresh()?;
        if scan == Scan::Stopped {
            let (done, of) = opened.scanned.progress();
            return Ok(Event::Preparing { done, of });
        }
        let best = opened.headers.best();
        if let Some(tip) = tip
            && opened.headers.at(tip.height) != Some(tip)
        {
            return if best.height >= tip.height || opened.headers.knows(tip.hash) {
                Ok(Event::Disconnect)
            } else {
                Err(SourceError::Behind {
                    source_name: self.describe(),
                    reach: best.height,
                    tip: tip.height,
                })
            };
        }
        let height = tip.map_or(first_block, |tip| tip.height.saturating_add(1));
        if height.saturating_add(confirmations) > best.height {
            if opened.headers.has_orphans() && best.height <= first_block {
                return Err(opened.files.pruned(best.height.saturating_add(1)));
            }
            return Ok(Event::Idle);
        }
        opened
            .take(height, best.height - confirmations)
            .map(Event::Connect)
    }
}

impl Opened {
    fn new(directory: &Path, network: Network) -> Result<Self> {
        let files = Arc::new(Files::open(directory, network)?);
        let genesis = genesis_block(network);
        Ok(Self {
            spent: SpentOutputs::new(Arc::clone(&files)),
            headers: Headers::new(&genesis.header),
            scanned: files::Scanned::default(),
            is_whole: false,
            files,
            pipeline: None,
        })
    }

    fn take(&mut self, height: u32, last: u32) -> Result<Block> {
        if !self.pipeline.as_ref().is_some_and(|p| p.is_at(height)) {
            self.pipeline = (last.saturating_sub(height) >= READ_AHEAD_FROM)
                .then(|| self.start_pipeline(height, last))
                .flatten();
        }
        let at = self.headers.at(height);
        let at = at.ok_or_else(|| self.files.pruned(height))?;
        if let Some(pipeline) = &mut self.pipeline
            && let Some(block) = pipeline.take()?
            && block.at == at
        {
            return Ok(block);
        }
        self.pipeline = None;
        self.read(height)
    }

    /// The best chain's block at a height.
    fn read(&self, height: u32) -> Result<Block> {
        let pruned = || self.files.pruned(height);
        let at = self.headers.at(height).ok_or_else(pruned)?;
        let position = self.headers.position_at(height).ok_or_else(pruned)?;
        self.files.read_block(at, position)
    }

    /// Everything that a block of the best chain spends.
    fn spent_by(&mut self, block: &Block) -> Result<HashMap<OutPoint, Coin>> {
        let height = block.at.height;
        let position = self.headers.position_at(height);
        let position = position.ok_or_else(|| self.files.pruned(height))?;
        self.spent.of(block, position.file)
    }

    /// Reads ahead what the best chain is now; the places are copied for the thread, in bounded runs.
    fn start_pipeline(&self, first: u32, last: u32) -> Option<Pipeline<Block>> {
        const RUN: u32 = 10_000;
        let last = last.min(first.saturating_add(RUN));
        let places: Vec<_> = (first..=last)
            .map_while(|height| Some((self.headers.at(height)?, self.headers.position_at(height)?)))
            .collect();
        let files = Arc::clone(&self.files);
        Pipeline::start(first, last, move |height| {
            match places.get(height.saturating_sub(first) as usize) {
                Some((at, position)) => files.read_block(*at, *position).map(Some),
                None => Ok(None),
            }
        })
    }
}

impl ChainSource for BlockFilesSource {
    fn next(&mut self, tip: Option<BlockRef>, first_block: u32) -> Result<Event> {
        let event = self.try_next(tip, first_block);
        if event.is_err()
            && let Some(opened) = &mut self.opened
        {
            opened.pipeline = None;
        }
        event
    }

    fn prevouts(&mut self, block: &Block, outpoints: &[OutPoint]) -> Result<Vec<TxOut>> {
        if outpoints.is_empty() {
            return Ok(Vec::new());
        }
        let spent = self.whole()?.spent_by(block)?;
        let outputs = outpoints.iter().map(|outpoint| {
            let coin = spent.get(outpoint).map(|coin| coin.output.clone());
            coin.ok_or_else(|| evidence::not_spent(block.at, *outpoint))
        });
        outputs.collect()
    }

    fn headers(&mut self, from: u32, count: u32) -> Result<Vec<Header>> {
        let network = self.network;
        let opened = self.whole()?;
        let heights = from..from.saturating_add(count.min(HEADERS_MAX));
        let known = heights.map_while(|height| Some((height, opened.headers.at(height)?)));
        known
            .map(|(height, at)| match opened.headers.position_at(height) {
                Some(position) => opened.files.read_header(at, position),
                None if height == 0 => Ok(genesis_block(network).header),
                None => Err(opened.files.pruned(height)),
            })
            .collect()
    }

    fn evidence(
        &mut self,
        at: BlockRef,
        magic: [u8; 2],
        known: &dyn Fn(&Txid) -> bool,
    ) -> Result<Evidence> {
        let opened = self.whole()?;
        let block = opened.read(at.height)?;
        if block.at != at {
            return Err(SourceError::Unavailable(format!(
                "block {} is another one now: the chain was reorganised",
                at.height
            )));
        }
        evidence::of_block(&block, magic, known, |outpoints| {
            let spent = opened.spent_by(&block)?;
            evidence::funding(at, &spent, outpoints, |height| opened.read(height))
        })
    }

    fn best_height(&mut self) -> Result<u32> {
        Ok(self.whole()?.headers.best().height)
    }

    fn holds(&mut self, at: BlockRef) -> Result<bool> {
        let opened = self.whole()?;
        Ok(opened.headers.at(at.height) == Some(at))
    }

    fn wait(&mut self, patience: Duration) {
        std::thread::sleep(patience);
    }

    fn describe(&self) -> String {
        format!("Bitcoin Core's block files in {}", self.directory.display())
    }
}
