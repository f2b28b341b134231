//! Old blocks, looked at whole: whoever left something out of one is found.
//!
//! A few random ones a day cost little, and all who do it look at every block within weeks. More are looked at when
//! somebody asks.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::desk::{AuditHole, found_folder};
use super::source::LightSource;
use crate::chain::{Block, BlockRef, Result};
use crate::disk;

/// A day.
const DAY: Duration = Duration::from_secs(86_400);
/// Blocks that are asked for at once.
const AT_ONCE: usize = 8;
/// After this time a block is asked for again.
const AGAIN: Duration = Duration::from_secs(120);

impl LightSource {
    /// Goes on with audits; what they find is a hole from the next question on.
    pub(super) fn audit(&mut self, tip: Option<BlockRef>, best: BlockRef) -> Result<()> {
        let (Some(tip), Some(full)) = (tip, &self.full) else {
            let trouble = "there are no Bitcoin peers to ask for whole blocks: set `chain.peers`";
            self.auditing.audits.lock().trouble = Some(trouble.to_owned());
            return Ok(());
        };
        let peers = Arc::clone(&full.peers);
        let taken = self.auditing.under_way.values();
        let came: Vec<Block> = taken.filter_map(|(at, _)| peers.take(&at.hash)).collect();
        for block in came {
            self.auditing.under_way.remove(&block.at.height);
            self.look_at(&block)?;
        }
        let last = self
            .notes
            .full_from
            .unwrap_or(best.height)
            .min(tip.height.saturating_add(1));
        self.choose(last);
        let late = self
            .auditing
            .under_way
            .values_mut()
            .filter(|(_, asked)| asked.elapsed() >= AGAIN);
        let late: Vec<BlockRef> = late
            .map(|(at, asked)| {
                *asked = Instant::now();
                *at
            })
            .collect();
        if !late.is_empty() {
            peers.want(&late);
        }
        Ok(())
    }

    /// Chooses blocks below `last` and asks for them.
    fn choose(&mut self, last: u32) {
        let first = self.options.first_block;
        let Some(span) = last.checked_sub(first).filter(|span| *span > 0) else {
            self.auditing.audits.lock().left = 0; // every block was seen whole
            return;
        };
        let a_day = self.options.audit_a_day;
        let auditing = &mut self.auditing;
        let mut status = auditing.audits.lock();
        status.trouble = None;
        if a_day > 0 && auditing.due <= Instant::now() {
            auditing.due = Instant::now() + DAY / a_day;
            status.left = status.left.max(auditing.under_way.len() as u32 + 1);
        }
        let headers = self.headers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut chosen = Vec::new();
        let wanted = (status.left as usize).min(AT_ONCE);
        for _ in auditing.under_way.len()..wanted {
            let height = first + random() % span;
            if let Some(hash) = headers.hash_at(height) {
                let at = BlockRef { height, hash };
                chosen.push(at);
                auditing.under_way.insert(height, (at, Instant::now()));
            }
        }
        if let Some(full) = self.full.as_ref().filter(|_| !chosen.is_empty()) {
            full.peers.want(&chosen);
        }
    }

    /// Compares a whole block with what is indexed.
    fn look_at(&mut self, block: &Block) -> Result<()> {
        let height = block.at.height;
        self.notes.audited = self.notes.audited.saturating_add(1);
        let mut is_hole = false;
        for candidate in self.scanned(block)? {
            is_hole |= self
                .indexed
                .candidate(height, candidate.vtxindex)?
                .is_none();
        }
        let state = self.shared.lock();
        let logs: BTreeSet<usize> = state.telling(height).map(|(at, _)| at).collect();
        let names = state.names(&logs);
        drop(state);
        let mut status = self.auditing.audits.lock();
        status.left = status.left.saturating_sub(1);
        status.done = status.done.saturating_add(1);
        if !is_hole {
            return Ok(());
        }
        status.holes.push(AuditHole {
            height,
            sources: names.clone(),
        });
        drop(status);
        self.keep_found(block);
        self.name_lacking(height, logs, "the block has");
        if self
            .hole
            .as_ref()
            .is_none_or(|(lowest, _)| height < *lowest)
        {
            self.hole = Some((height, names));
        }
        Ok(())
    }

    /// Keeps a block from which something was left out, so that it is in every later union.
    fn keep_found(&mut self, block: &Block) {
        self.found.insert(block.at.height, block.clone());
        let folder = found_folder(&self.options.directory);
        let path = folder.join(block.at.height.to_string());
        let kept = disk::create_directory(&folder).and_then(|()| disk::replace(&path, &block.raw));
        if let Err(error) = kept {
            tracing::warn!(
                "cannot keep block {}, from which an operation was left out: {error}",
                block.at.height
            );
        }
    }
}

fn random() -> u32 {
    let mut bytes = [0; 4];
    let _ = getrandom::fill(&mut bytes); // the first block is as good as another
    u32::from_le_bytes(bytes)
}
