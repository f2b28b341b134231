//! What a log says of a block, said again: whoever follows logs can publish one.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bitcoin::block::Header;
use bitcoin::hashes::{Hash as _, sha256};
use bitcoin::{BlockHash, Transaction};

use super::segment::Segment;
use super::shelf::Shelf;
use super::source::LightSource;
use super::whole::kept_record;
use crate::chain::log::manifest::SegmentEntry;
use crate::chain::log::record::Evidence;
use crate::chain::log::segment::Header as Start;
use crate::chain::{BlockRef, Result, SourceError};
use crate::hash::ConsensusHash;

/// Segments that are kept in memory for the next question.
const CACHED: usize = 3;
/// Time between two looks at which segments there are.
const LIST_AGAIN: Duration = Duration::from_secs(1);

/// What is kept on the disk, as far as it was looked at.
#[derive(Debug, Default)]
pub(super) struct Kept {
    shelf: Option<Shelf>,
    listed: Option<Instant>,
    entries: Vec<(sha256::Hash, Start)>,
    segments: Vec<Arc<Segment>>,
}

impl LightSource {
    /// What the logs, or the whole block, showed of the block at `at`.
    pub(super) fn evidence_of(&mut self, at: BlockRef) -> Result<Evidence> {
        let mut evidence: Option<Evidence> = None;
        for segment in self.segments_of(at)? {
            let Some(shown) = segment.at(at.height) else {
                continue;
            };
            let funding = segment.funding(shown);
            let funding: HashMap<_, Transaction> = funding
                .map(|spent| (spent.compute_txid(), spent.clone()))
                .collect();
            let Some(joined) = &mut evidence else {
                evidence = Some(Evidence {
                    tree: shown.record.tree.clone(),
                    coinbase: shown.record.coinbase.clone(),
                    candidates: shown.candidates.clone(),
                    funding,
                });
                continue;
            };
            if let Some(tree) = joined.tree.union(&shown.record.tree) {
                joined.tree = tree;
            }
            joined.candidates.extend(shown.candidates.iter().cloned());
            joined
                .candidates
                .sort_by_key(|candidate| candidate.vtxindex);
            joined
                .candidates
                .dedup_by_key(|candidate| candidate.vtxindex);
            joined.funding.extend(funding);
        }
        evidence.ok_or_else(|| {
            SourceError::Unavailable(format!(
                "what is known of block {} is not at hand: waiting until a log tells of it again",
                at.height
            ))
        })
    }

    /// The segments that tell of a block, out of what is kept.
    fn segments_of(&mut self, at: BlockRef) -> Result<Vec<Arc<Segment>>> {
        let unavailable = |error: io::Error| SourceError::Unavailable(error.to_string());
        let shelf = match self.kept.shelf.take() {
            Some(shelf) => shelf,
            None => Shelf::open(&self.options.directory).map_err(unavailable)?,
        };
        let shelf = self.kept.shelf.insert(shelf).clone();
        if self
            .kept
            .listed
            .is_none_or(|listed| listed.elapsed() >= LIST_AGAIN)
        {
            self.kept.entries = shelf.list().map_err(unavailable)?;
            self.kept.listed = Some(Instant::now());
        }
        let entries = self.kept.entries.iter();
        let telling = entries.filter(|(_, start)| (start.from..=start.to).contains(&at.height));
        let telling: Vec<(sha256::Hash, Start)> = telling.copied().collect();
        let mut segments = Vec::new();
        for (sha256, start) in telling {
            let Some(block_hash) = self.header_chain().hash_at(start.to) else {
                continue;
            };
            let entry = entry(sha256, start.from, start.to, block_hash);
            let mut cached = self.kept.segments.iter();
            if let Some(segment) = cached.find(|segment| segment.sha256 == sha256) {
                segments.push(Arc::clone(segment));
            } else if let Some(bytes) = shelf.read(&entry).map_err(unavailable)? {
                segments.extend(self.read_segment(&bytes, &entry));
            }
        }
        if let Some(bytes) = kept_record(&self.options.directory, at.height) {
            let sha256 = sha256::Hash::hash(&bytes);
            let entry = entry(sha256, at.height, at.height, at.hash);
            segments.extend(self.read_segment(&bytes, &entry));
        }
        Ok(segments)
    }

    /// A segment of the best chain; `None` if it is of another branch.
    fn read_segment(&mut self, bytes: &[u8], entry: &SegmentEntry) -> Option<Arc<Segment>> {
        let headers: Vec<Header> = self
            .header_chain()
            .headers(entry.from, entry.to - entry.from + 1);
        let chain = self.options.chain();
        let segment = Arc::new(Segment::read(bytes, entry, &chain, &headers).ok()?);
        self.kept.segments.truncate(CACHED - 1);
        self.kept.segments.insert(0, Arc::clone(&segment));
        Some(segment)
    }
}

/// What a file of the shelf is asked for by.
fn entry(sha256: sha256::Hash, from: u32, to: u32, block_hash: BlockHash) -> SegmentEntry {
    SegmentEntry {
        from,
        to,
        bytes: 0,
        sha256,
        block_hash,
        consensus_hash: ConsensusHash([0; 16]), // nobody asks a file for it
    }
}
