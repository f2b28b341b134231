//! Blocks with their candidates and the outputs that those spend, which is all that the rules see of a block.

use std::time::Duration;

use super::{Block, BlockRef, ChainSource, Event, Result, SourceError};
use crate::virtualchain::scan::{self, Candidate};
use crate::virtualchain::{BlockHeader, CandidateBlock, VirtualTransaction};

/// How often a block that the source waits for is asked for, and the time between: two minutes together.
const WAITS: u32 = 480;
const PATIENCE: Duration = Duration::from_millis(250);

/// Every block that a source has, from the first block of a virtualchain to the tip.
///
/// The iterator ends where the source has nothing more for now, and goes on when it has.
pub struct Blocks {
    source: Box<dyn ChainSource>,
    tip: Option<BlockRef>,
    first_block: u32,
    magic: [u8; 2],
}

impl Blocks {
    /// The blocks from `first_block` on, with the transactions that carry `magic`.
    pub fn new(source: Box<dyn ChainSource>, first_block: u32, magic: [u8; 2]) -> Self {
        Self {
            source,
            tip: None,
            first_block,
            magic,
        }
    }

    /// The last block that was given out.
    pub fn tip(&self) -> Option<BlockRef> {
        self.tip
    }

    fn read(&mut self) -> Result<Option<CandidateBlock>> {
        let mut waits = 0;
        loop {
            match self.source.next(self.tip, self.first_block)? {
                Event::Preparing { .. } => {}
                Event::Waiting(missing) if waits == WAITS => {
                    return Err(SourceError::Unavailable(missing));
                }
                Event::Waiting(_) => {
                    waits += 1;
                    self.source.wait(PATIENCE);
                }
                Event::Idle => return Ok(None),
                Event::Disconnect => {
                    let problem = "the chain was reorganised while it was read: run it again";
                    return Err(SourceError::Unavailable(problem.to_owned()));
                }
                Event::Connect(block) => {
                    self.tip = Some(block.at);
                    return candidates(self.source.as_mut(), &block, self.magic).map(Some);
                }
                Event::ConnectCandidates(block) => {
                    self.tip = Some(place(&block));
                    return Ok(Some(block));
                }
            }
        }
    }
}

impl Iterator for Blocks {
    type Item = Result<CandidateBlock>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// Where a block stands.
pub fn place(block: &CandidateBlock) -> BlockRef {
    let (height, hash) = (block.height, block.about.hash);
    BlockRef { height, hash }
}

/// Scans a block for `magic` and asks its source for what the candidates spend.
pub fn candidates(
    source: &mut dyn ChainSource,
    block: &Block,
    magic: [u8; 2],
) -> Result<CandidateBlock> {
    let candidates = scan::scan(&block.raw, magic).map_err(|error| {
        let height = block.at.height;
        let problem = format!("block {height} from the chain source cannot be read: {error}");
        SourceError::Fatal(format!("{problem}; check the node's files"))
    })?;
    Ok(CandidateBlock {
        height: block.at.height,
        candidates: with_prevouts(source, block, candidates)?,
        about: BlockHeader {
            hash: block.at.hash,
            previous: block.previous,
            time: block.time,
        },
    })
}

/// Joins each candidate with the outputs that it spends.
fn with_prevouts(
    source: &mut dyn ChainSource,
    block: &Block,
    candidates: Vec<Candidate>,
) -> Result<Vec<VirtualTransaction>> {
    let outpoints: Vec<_> = candidates.iter().flat_map(Candidate::outpoints).collect();
    let prevouts = source.prevouts(block, &outpoints)?;
    if prevouts.len() != outpoints.len() {
        let height = block.at.height;
        let problem = format!("the chain source lacks spent outputs of block {height}");
        return Err(SourceError::Fatal(problem));
    }
    let mut prevouts = prevouts.into_iter();
    let joined = candidates.into_iter().map(|candidate| {
        let count = candidate.outpoints().count();
        candidate.with_prevouts(prevouts.by_ref().take(count).collect())
    });
    Ok(joined.collect())
}
