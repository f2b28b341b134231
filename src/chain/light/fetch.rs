//! The thread that reads logs: their lists and headers again and again, and the segments that the index needs next.
//!
//! A log whose data does not check is left out for an hour, whatever it is that is wrong; the others go on. Nothing of
//! what is handed on has to be believed: every record was checked against a header with real work.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bitcoin::block::Header;
use bitcoin::consensus::encode;
use bitcoin::hashes::sha256;

use super::place::{PlaceError, Reader, Rest, Wanted};
use super::segment::{Chain, Segment};
use super::shared::{Condition, LogState, Shared};
use super::shelf::Shelf;
use super::window::{Part, Version, Window};
use crate::chain::header::HEADER_LENGTH;
use crate::chain::headers::HeaderChain;
use crate::chain::headers::rules::HeaderFault;
use crate::chain::log::manifest::{MANIFEST_BYTES_MAX, Manifest, SEGMENT_BLOCKS, SegmentEntry};

/// The files of a log.
const LIST: &str = "log.json";
const HEADERS: &str = "headers";
const OPEN: &str = "segments/open";
/// How long a log is left out whose data does not check.
const LEFT_OUT: Duration = Duration::from_secs(3600);
/// Time to the next attempt with a log that cannot be read.
const AGAIN: Duration = Duration::from_secs(5);
/// Longest time between two looks at what the other thread wants.
const PAUSE: Duration = Duration::from_millis(100);
/// Windows that wait for the index at most.
const AHEAD: usize = 2;
/// Segments that are kept in memory for the next window.
const CACHED: usize = 4;
/// The largest segment that is read, in bytes. Those of the main network have 1.4 MB on average; in memory they take
/// three times as much.
const SEGMENT_BYTES_MAX: u64 = 24 << 20;
/// Headers that are checked at once.
const RUN: usize = 2_000;
/// Headers that are asked for again, because a log may have left the best chain for a better one.
const REREAD: u32 = 6;
/// How often an open segment may differ from its list, because it was replaced in between.
const MISMATCHES: u32 = 5;

/// Reads logs.
pub(super) struct Fetcher {
    pub(super) chain: Chain,
    pub(super) headers: Arc<Mutex<HeaderChain>>,
    pub(super) shelf: Shelf,
    pub(super) shared: Arc<Shared>,
    pub(super) logs: Vec<Log>,
    pub(super) cache: Vec<Arc<Segment>>,
}

/// A log.
pub(super) struct Log {
    name: String,
    reader: Reader,
    manifest: Option<Manifest>,
    /// When it is looked at again.
    due: Instant,
    mismatches: u32,
    /// Segments that could not be fetched since it was last heard.
    missing: Version,
}

impl Log {
    pub(super) fn new(name: String, reader: Reader) -> Self {
        Self {
            name,
            reader,
            manifest: None,
            due: Instant::now(),
            mismatches: 0,
            missing: Version::new(),
        }
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

impl Fetcher {
    /// Reads until the end.
    pub(super) fn run(mut self) {
        while !self.shared.ending.is_set() {
            self.take_faults();
            let mut has_worked = false;
            for log in 0..self.logs.len() {
                has_worked |= self.look(log);
            }
            self.shared.lock().asked_all = true;
            self.publish();
            has_worked |= self.read_ahead();
            if !has_worked {
                drop(self.shared.wait(self.shared.lock(), PAUSE));
            }
        }
    }

    fn headers(&self) -> MutexGuard<'_, HeaderChain> {
        self.headers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves out whom the index found to be wrong.
    fn take_faults(&mut self) {
        let (faults, wrong) = {
            let mut state = self.shared.lock();
            (
                std::mem::take(&mut state.faults),
                std::mem::take(&mut state.wrong),
            )
        };
        for (sha256, why) in faults {
            self.leave_out_all(&sha256, &why);
        }
        for (log, why) in wrong {
            self.leave_out(log, why);
        }
    }

    fn leave_out_all(&mut self, sha256: &sha256::Hash, why: &str) {
        let has = |log: &Log| {
            let manifest = log.manifest.as_ref();
            manifest.is_some_and(|manifest| manifest.entries().any(|entry| entry.sha256 == *sha256))
        };
        let logs: Vec<usize> = (0..)
            .zip(&self.logs)
            .filter(|(_, log)| has(log))
            .map(|(at, _)| at)
            .collect();
        for log in logs {
            self.leave_out(log, why.to_owned());
        }
        self.cache.retain(|segment| segment.sha256 != *sha256);
    }

    fn leave_out(&mut self, at: usize, why: String) {
        let Some(log) = self.logs.get_mut(at) else {
            return;
        };
        tracing::warn!("the log {} is left out for an hour: {why}", log.name);
        log.manifest = None;
        log.reader.forget();
        log.due = Instant::now() + LEFT_OUT;
        self.set_condition(at, Condition::LeftOut(why));
        self.publish();
    }

    fn set_condition(&self, at: usize, condition: Condition) {
        if let Some(log) = self.shared.lock().logs.get_mut(at) {
            log.condition = condition;
        }
    }

    /// Says which segments of each log are on the best chain.
    fn publish(&self) {
        let entries: Vec<Vec<SegmentEntry>> = {
            let headers = self.headers();
            let is_best =
                |entry: &&SegmentEntry| headers.hash_at(entry.to) == Some(entry.block_hash);
            let of = |log: &Log| {
                let entries = log
                    .manifest
                    .iter()
                    .flat_map(Manifest::entries)
                    .filter(is_best);
                let there = entries.filter(|entry| !log.missing.contains(&entry.sha256));
                there.copied().collect()
            };
            self.logs.iter().map(of).collect()
        };
        let mut state = self.shared.lock();
        for (log, entries) in state.logs.iter_mut().zip(entries) {
            log.entries = entries;
        }
        self.shared.notify();
    }

    /// Looks at a log if it is time. Returns whether that brought anything.
    fn look(&mut self, at: usize) -> bool {
        let Some(log) = self.logs.get_mut(at) else {
            return false;
        };
        if log.due > Instant::now() {
            return false;
        }
        log.due = Instant::now() + log.reader.look_every();
        match self.read_list(at) {
            Ok(is_new) => {
                if let Some(log) = self.logs.get_mut(at) {
                    log.missing.clear();
                }
                if is_new {
                    self.clean();
                }
                self.set_condition(at, Condition::Heard(Instant::now()));
                is_new
            }
            Err(error) => {
                self.note(at, error);
                false
            }
        }
    }

    /// Removes segments that no log has any more and that the index was not made from.
    fn clean(&self) {
        let listed = self.logs.iter().filter_map(|log| log.manifest.as_ref());
        let listed = listed.flat_map(Manifest::entries).map(|entry| entry.sha256);
        let mut kept: BTreeSet<sha256::Hash> = listed.collect();
        kept.extend(self.shared.lock().checked.values().flatten());
        if let Err(error) = self.shelf.clean(&kept) {
            tracing::warn!("cannot remove segments of logs that are not needed any more: {error}");
        }
    }

    fn note(&mut self, at: usize, error: PlaceError) {
        match error {
            PlaceError::Stopped => {}
            PlaceError::Wrong(why) => self.leave_out(at, why),
            PlaceError::Unreachable(_) | PlaceError::Kept(_) => {
                let Some(log) = self.logs.get_mut(at) else {
                    return;
                };
                log.reader.forget();
                log.due = Instant::now() + log.reader.look_every().max(AGAIN);
                let why = error.to_string();
                let was = self
                    .shared
                    .lock()
                    .logs
                    .get(at)
                    .map(|log| log.condition.clone());
                if !matches!(was, Some(Condition::Unreachable(was)) if was == why) {
                    tracing::warn!("the log {} cannot be read: {why}; trying again", log.name);
                }
                self.set_condition(at, Condition::Unreachable(why));
            }
        }
    }

    /// Reads the list of a log, and its headers if the list is another one than before.
    fn read_list(&mut self, at: usize) -> Result<bool, PlaceError> {
        let Some(log) = self.logs.get_mut(at) else {
            return Ok(false);
        };
        if log.reader.is_unchanged(LIST) && log.manifest.is_some() {
            return Ok(false);
        }
        let wanted = Wanted {
            name: LIST,
            from: 0,
            most: MANIFEST_BYTES_MAX as u64,
            rest: Rest::Refused,
        };
        let bytes = log.reader.bytes(wanted)?;
        let manifest =
            Manifest::parse(&bytes).map_err(|fault| PlaceError::Wrong(fault.to_string()))?;
        let of = (manifest.network, manifest.magic, manifest.first_block);
        if of != (self.chain.network, self.chain.magic, self.chain.first_block) {
            return Err(PlaceError::Wrong(format!(
                "it is of another network: {}, from block {} on",
                manifest.network, manifest.first_block
            )));
        }
        if manifest
            .entries()
            .any(|entry| entry.bytes > SEGMENT_BYTES_MAX)
        {
            let most = SEGMENT_BYTES_MAX >> 20;
            return Err(PlaceError::Wrong(format!(
                "a segment has more than {most} MiB"
            )));
        }
        if log.manifest.as_ref() == Some(&manifest) {
            return Ok(false);
        }
        self.read_headers(at, &manifest)?;
        if let Some(log) = self.logs.get_mut(at) {
            log.manifest = Some(manifest);
        }
        Ok(true)
    }

    /// Reads the headers that a log has above the best chain, or from where it left that.
    fn read_headers(&mut self, at: usize, manifest: &Manifest) -> Result<(), PlaceError> {
        let starts = {
            let headers = self.headers();
            let is_best =
                |entry: &SegmentEntry| headers.hash_at(entry.to) == Some(entry.block_hash);
            let last = manifest.entries().last();
            let is_known = last.is_some_and(|last| last.to == manifest.headers.to && is_best(last));
            if is_known {
                return Ok(());
            }
            let sealed = manifest.segments.iter().rev().find(|entry| is_best(entry));
            let above = sealed.map_or(1, |entry| entry.to.saturating_add(1)); // all have block 0
            let near = headers
                .tip()
                .height
                .min(manifest.headers.to)
                .saturating_sub(REREAD);
            [near.max(above), above, 1]
        };
        let mut last = None;
        for from in starts
            .into_iter()
            .filter(|from| *from <= manifest.headers.to)
        {
            match self.read_headers_from(at, from, manifest.headers.to) {
                Err(Trouble::Fault(HeaderFault::Unlinked(_))) if from > 1 => {}
                Err(Trouble::Fault(fault)) if fault.blames_sender() => {
                    return Err(PlaceError::Wrong(fault.to_string()));
                }
                Err(Trouble::Fault(fault)) => {
                    return Err(PlaceError::Unreachable(fault.to_string()));
                }
                Err(Trouble::Place(error)) => return Err(error),
                Ok(()) => return Ok(()),
            }
            last = Some(from);
        }
        let from = last.unwrap_or(1);
        Err(PlaceError::Wrong(format!(
            "its block headers from {from} on are on top of none that is known"
        )))
    }

    fn read_headers_from(&mut self, at: usize, from: u32, to: u32) -> Result<(), Trouble> {
        let Self {
            headers,
            shared,
            logs,
            ..
        } = self;
        let Some(log) = logs.get_mut(at) else {
            return Ok(());
        };
        let count = to - from + 1;
        let mut pending: Vec<u8> = Vec::new();
        let (mut done, mut fault) = (0, None);
        let mut accept = |pending: &mut Vec<u8>, least: usize| {
            while pending.len() >= least * HEADER_LENGTH && pending.len() >= HEADER_LENGTH {
                let length = pending.len().min(RUN * HEADER_LENGTH);
                let length = length - length % HEADER_LENGTH;
                let run: Vec<u8> = pending.drain(..length).collect();
                let run: Result<Vec<Header>, _> = run
                    .chunks_exact(HEADER_LENGTH)
                    .map(encode::deserialize)
                    .collect();
                let run = run.map_err(|_| HeaderFault::Height(from))?;
                let mut headers = headers.lock().unwrap_or_else(PoisonError::into_inner);
                headers.accept(&run, now())?;
                done += run.len() as u32;
                shared.lock().headers = Some((done, count));
            }
            Ok::<(), HeaderFault>(())
        };
        let wanted = Wanted {
            name: HEADERS,
            from: u64::from(from) * HEADER_LENGTH as u64,
            most: u64::from(count) * HEADER_LENGTH as u64,
            rest: Rest::Left,
        };
        let read = log.reader.read(wanted, &mut |part| {
            pending.extend_from_slice(part);
            accept(&mut pending, RUN).map_err(|found| {
                fault = Some(found);
                io::Error::other("a wrong header")
            })
        });
        let rest = match fault {
            None => read
                .map_err(Trouble::Place)
                .and_then(|()| Ok(accept(&mut pending, 1)?)),
            Some(fault) => Err(Trouble::Fault(fault)),
        };
        shared.lock().headers = None;
        rest
    }

    /// Reads one window that the index needs, or that it was not compared with. Returns whether there was one to read.
    fn read_ahead(&mut self) -> bool {
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
        let parts: Vec<(usize, SegmentEntry)> = parts.collect();
        let mut segments: Vec<Arc<Segment>> = Vec::new();
        for (_, entry) in &parts {
            if !segments
                .iter()
                .any(|segment| segment.sha256 == entry.sha256)
            {
                segments.extend(self.segment(entry, &parts));
            }
        }
        let mut parts = parts;
        parts.retain(|(_, entry)| {
            segments
                .iter()
                .any(|segment| segment.sha256 == entry.sha256)
        });
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

/// Why headers were not read.
enum Trouble {
    Place(PlaceError),
    Fault(HeaderFault),
}

impl From<HeaderFault> for Trouble {
    fn from(fault: HeaderFault) -> Self {
        Self::Fault(fault)
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
