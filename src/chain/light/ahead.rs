//! The segments of all logs, read before the index needs them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bitcoin::block::Header;

use super::fetch::Fetcher;
use super::place::PlaceError;
use super::segment::Segment;
use super::shared::LogState;
use super::window::{Part, Version, Window};
use crate::chain::log::manifest::{SEGMENT_BLOCKS, SegmentEntry};

/// The segment of a log that is not sealed yet.
const OPEN: &str = "segments/open";
/// Windows that wait for the index at most.
const AHEAD: usize = 2;
/// Segments that are kept in memory for the next window.
const CACHED: usize = 4;
/// How often an open segment may differ from its list, because it was replaced in between.
const MISMATCHES: u32 = 5;

impl Fetcher {
    /// Reads one window that the index needs, or that it was not compared with. Returns whether there was one to read.
    pub(super) fn read_ahead(&mut self) -> bool {
        let Some(number) = self.next_number() else {
            return false;
        };
        if let Some(window) = self.window(number) {
            let mut state = self.shared.lock();
            state.given.insert(number, window.version());
            state.windows.push_back(window);
            self.shared.notify();
        }
        true
    }

    /// The window to read next.
    fn next_number(&self) -> Option<u32> {
        let state = self.shared.lock();
        let wanted = state.wanted?;
        if state.windows.len() >= AHEAD {
            return None;
        }
        let number = wanted / SEGMENT_BLOCKS;
        let first = self.chain.first_block / SEGMENT_BLOCKS;
        let is_new = |number: &u32| {
            let version = self.version(*number, &state.logs);
            !version.is_empty() && state.given.get(number) != Some(&version)
        };
        let is_unchecked = |number: &u32| {
            let version = self.version(*number, &state.logs);
            let checked = state.checked.get(number);
            !version.is_empty() && checked.is_none_or(|checked| !version.is_subset(checked))
        };
        let ahead = [number, number + 1].into_iter().find(is_new);
        ahead.or_else(|| {
            (first..number)
                .rev()
                .find(|number| is_new(number) && is_unchecked(number))
        })
    }

    /// The segments of all logs that tell of a window.
    fn version(&self, number: u32, logs: &[LogState]) -> Version {
        let (from, to) = bounds(number, self.chain.first_block);
        let entries = logs.iter().flat_map(|log| &log.entries);
        let entries = entries.filter(|entry| entry.from <= to && entry.to >= from);
        entries.map(|entry| entry.sha256).collect()
    }

    /// What all logs show of a window; `None` if none can be read, which is noted at the log.
    fn window(&mut self, number: u32) -> Option<Window> {
        let (from, end) = bounds(number, self.chain.first_block);
        let states = self.shared.lock().logs.clone();
        let parts = states.iter().enumerate().flat_map(|(log, state)| {
            let entries = state.entries.iter();
            let entries = entries.filter(|entry| entry.from <= end && entry.to >= from);
            entries.map(move |entry| (log, *entry))
        });
        let mut parts: Vec<(usize, SegmentEntry)> = parts.collect();
        let mut segments: Vec<Arc<Segment>> = Vec::new();
        let has = |segments: &[Arc<Segment>], entry: &SegmentEntry| {
            segments.iter().any(|it| it.sha256 == entry.sha256)
        };
        for (_, entry) in &parts {
            if !has(&segments, entry) {
                segments.extend(self.segment(entry, &parts));
            }
        }
        parts.retain(|(_, entry)| has(&segments, entry));
        let to = covered(from, end, &parts)?;
        let (headers, top) = {
            let headers = self.headers();
            (headers.headers(from, to - from + 1), headers.hash_at(to)?)
        };
        let is_whole = headers.len() as u32 == to - from + 1;
        is_whole.then(|| Window {
            number,
            from,
            headers,
            top,
            segments,
            parts: parts
                .into_iter()
                .map(|(log, entry)| Part {
                    log,
                    from: entry.from,
                    to: entry.to,
                    sha256: entry.sha256,
                })
                .collect(),
        })
    }

    /// A segment, from memory, from the shelf or from one of the logs that have it.
    fn segment(
        &mut self,
        entry: &SegmentEntry,
        parts: &[(usize, SegmentEntry)],
    ) -> Option<Arc<Segment>> {
        let mut cached = self.cache.iter();
        if let Some(segment) = cached.find(|segment| segment.sha256 == entry.sha256) {
            return Some(Arc::clone(segment));
        }
        let bytes = self.bytes(entry, parts)?;
        let headers = self
            .headers()
            .headers(entry.from, entry.to - entry.from + 1);
        if headers.last().map(Header::block_hash) != Some(entry.block_hash) {
            return None; // the best chain is another one by now
        }
        match Segment::read(&bytes, entry, &self.chain, &headers) {
            Ok(segment) => {
                let segment = Arc::new(segment);
                self.cache.truncate(CACHED - 1);
                self.cache.insert(0, Arc::clone(&segment));
                Some(segment)
            }
            Err(why) => {
                let (from, to) = (entry.from, entry.to);
                self.leave_out_all(&entry.sha256, &format!("segment {from} to {to}: {why}"));
                None
            }
        }
    }

    fn bytes(&mut self, entry: &SegmentEntry, parts: &[(usize, SegmentEntry)]) -> Option<Vec<u8>> {
        let logs: BTreeSet<usize> = parts
            .iter()
            .filter(|(_, part)| part.sha256 == entry.sha256)
            .map(|(log, _)| *log)
            .collect();
        for at in logs {
            let Some(log) = self.logs.get_mut(at) else {
                continue;
            };
            let is_open = log
                .manifest
                .as_ref()
                .is_some_and(|manifest| manifest.open.as_ref() == Some(entry));
            let name = if is_open {
                OPEN.to_owned()
            } else {
                entry.sealed_path()
            };
            match self.shelf.fetch(entry, &name, &mut log.reader) {
                Ok(bytes) => {
                    log.mismatches = 0;
                    return Some(bytes);
                }
                // It may have been replaced since the list was read.
                Err(PlaceError::Wrong(_)) if is_open && log.mismatches < MISMATCHES => {
                    log.mismatches += 1;
                    log.reader.forget();
                    log.manifest = None;
                    log.due = Instant::now() + log.reader.look_every().min(Duration::from_secs(1));
                }
                Err(error) => self.note(at, error),
            }
            if let Some(log) = self.logs.get_mut(at) {
                log.missing.insert(entry.sha256);
            }
            self.publish();
        }
        None
    }
}

/// The first and the last block of a window.
fn bounds(number: u32, first_block: u32) -> (u32, u32) {
    let from = number.saturating_mul(SEGMENT_BLOCKS);
    (
        from.max(first_block),
        from.saturating_add(SEGMENT_BLOCKS - 1),
    )
}

/// The last block up to which every block from `from` on is in one of the segments; at most `end`.
fn covered(from: u32, end: u32, parts: &[(usize, SegmentEntry)]) -> Option<u32> {
    let mut entries: Vec<&SegmentEntry> = parts.iter().map(|(_, entry)| entry).collect();
    entries.sort_unstable_by_key(|entry| entry.from);
    let mut next = from;
    for entry in entries.into_iter().filter(|entry| entry.to >= from) {
        if entry.from <= next {
            next = next.max(entry.to.saturating_add(1));
        }
    }
    (next > from).then(|| (next - 1).min(end))
}
