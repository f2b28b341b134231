//! The thread that reads logs: how it stands with each, when each is looked at again, and who is left out.
//!
//! `listing` reads what a log has, `ahead` the segments that the index needs next. A log whose data does not check is left
//! out for an hour, whatever it is that is wrong; the others go on. Nothing of what is handed on has to be believed: every
//! record was checked against a header with real work.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bitcoin::BlockHash;
use bitcoin::hashes::sha256;

use super::place::{PlaceError, Reader};
use super::segment::{Chain, Segment};
use super::shared::{Condition, Shared};
use super::shelf::Shelf;
use super::window::Version;
use crate::chain::headers::HeaderChain;
use crate::chain::log::manifest::{Manifest, SegmentEntry};
use crate::clock::SystemClock;

/// How long a log is left out whose data does not check.
const LEFT_OUT: Duration = Duration::from_secs(3600);
/// Time to the next attempt with a log that cannot be read.
const AGAIN: Duration = Duration::from_secs(5);
/// Longest time between two looks at what the other thread wants.
const PAUSE: Duration = Duration::from_millis(100);

/// Reads logs.
pub(super) struct Fetcher {
    pub(super) chain: Chain,
    pub(super) headers: Arc<Mutex<HeaderChain>>,
    pub(super) shelf: Shelf,
    pub(super) shared: Arc<Shared>,
    pub(super) logs: Vec<Log>,
    pub(super) cache: Vec<Arc<Segment>>,
    /// Block times are compared with it.
    pub(super) clock: SystemClock,
    /// The best block when it was last said which segments are on the best chain.
    pub(super) published_at: Option<BlockHash>,
}

/// A log.
pub(super) struct Log {
    name: String,
    pub(super) reader: Reader,
    pub(super) manifest: Option<Manifest>,
    /// When it is looked at again.
    pub(super) due: Instant,
    pub(super) mismatches: u32,
    /// Segments that could not be fetched since it was last heard.
    pub(super) missing: Version,
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
            let tip = self.headers().tip().hash;
            if has_worked || self.published_at != Some(tip) {
                self.publish();
            }
            has_worked |= self.read_ahead();
            if !has_worked {
                drop(self.shared.wait(self.shared.lock(), PAUSE));
            }
        }
    }

    pub(super) fn headers(&self) -> MutexGuard<'_, HeaderChain> {
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

    pub(super) fn leave_out_all(&mut self, sha256: &sha256::Hash, why: &str) {
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

    /// Says which segments of each log are on the best chain: after whatever was learned of a log, and when the best chain
    /// is another one.
    pub(super) fn publish(&mut self) {
        let (tip, entries) = {
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
            let entries: Vec<Vec<SegmentEntry>> = self.logs.iter().map(of).collect();
            (headers.tip().hash, entries)
        };
        self.published_at = Some(tip);
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
                let log = self.logs.get_mut(at);
                let missed = log.map(|log| std::mem::take(&mut log.missing));
                if is_new {
                    self.clean();
                }
                self.set_condition(at, Condition::Heard(Instant::now()));
                is_new || missed.is_some_and(|missed| !missed.is_empty())
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

    /// Notes that a log cannot be read, or leaves it out if it is to blame.
    pub(super) fn note(&mut self, at: usize, error: PlaceError) {
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
}
