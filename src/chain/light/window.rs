//! What all logs show of up to 2016 blocks.

use std::collections::BTreeSet;
use std::sync::Arc;

use bitcoin::BlockHash;
use bitcoin::block::Header;
use bitcoin::hashes::sha256;

use super::segment::{Segment, Shown};
use crate::virtualchain::BlockHeader;

/// The segments that it is made of, by what they hash to.
pub(super) type Version = BTreeSet<sha256::Hash>;

/// A part of a log.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// Number of the log.
    pub(super) log: usize,
    /// The heights that its segment tells of.
    pub(super) from: u32,
    pub(super) to: u32,
    /// The segment.
    pub(super) sha256: sha256::Hash,
}

/// What all logs show of some blocks of the best chain.
#[derive(Debug)]
pub(super) struct Window {
    /// Height of its first block, divided by 2016.
    pub(super) number: u32,
    /// The headers of its blocks, the first one that of the block at `from`.
    pub(super) from: u32,
    pub(super) headers: Vec<Header>,
    /// Hash of its last block.
    pub(super) top: BlockHash,
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) parts: Vec<Part>,
}

impl Window {
    /// Height of its last block.
    pub(super) fn to(&self) -> u32 {
        (self.from + self.headers.len() as u32).saturating_sub(1)
    }

    pub(super) fn version(&self) -> Version {
        self.parts.iter().map(|part| part.sha256).collect()
    }

    /// What a database keeps of the header of a block, if that is in the window.
    pub(super) fn header(&self, height: u32) -> Option<BlockHeader> {
        let at = height.checked_sub(self.from)? as usize;
        let header = self.headers.get(at)?;
        let above = self.headers.get(at + 1);
        Some(BlockHeader {
            hash: above.map_or(self.top, |above| above.prev_blockhash),
            previous: header.prev_blockhash,
            time: header.time,
        })
    }

    /// What the segments show of a block.
    pub(super) fn shown(&self, height: u32) -> impl Iterator<Item = (&Segment, &Shown)> {
        let segments = self.segments.iter();
        segments.filter_map(move |segment| Some((&**segment, segment.at(height)?)))
    }

    /// The heights up to `to` of which any segment has a record.
    pub(super) fn heights(&self, to: u32) -> BTreeSet<u32> {
        let last = self.to().min(to);
        let segments = self.segments.iter();
        let heights = segments.filter(|_| last >= self.from);
        heights
            .flat_map(|segment| segment.heights(self.from, last))
            .collect()
    }

    /// The logs that tell of a block and do not show one of its candidates.
    pub(super) fn lacking(&self, height: u32, vtxindex: u32) -> BTreeSet<usize> {
        let parts = self.parts.iter();
        let telling = parts.filter(|part| (part.from..=part.to).contains(&height));
        let shows = |sha256: &sha256::Hash| {
            let mut segments = self.segments.iter();
            let segment = segments.find(|segment| segment.sha256 == *sha256);
            let shown = segment.and_then(|segment| segment.at(height));
            shown.is_some_and(|shown| {
                let mut candidates = shown.candidates.iter();
                candidates.any(|candidate| candidate.vtxindex == vtxindex)
            })
        };
        let lacking = telling.filter(|part| !shows(&part.sha256));
        lacking.map(|part| part.log).collect()
    }
}
