//! What the thread that reads logs and the thread of the index tell each other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bitcoin::hashes::sha256;

use super::window::{Version, Window};
use crate::chain::log::manifest::SegmentEntry;

/// Whether all is to end: the daemon, or the source alone.
#[derive(Debug, Default)]
pub(super) struct Ending {
    own: AtomicBool,
    asked: OnceLock<Arc<AtomicBool>>,
}

impl Ending {
    pub(super) fn is_set(&self) -> bool {
        let asked = self.asked.get();
        self.own.load(Ordering::Relaxed) || asked.is_some_and(|asked| asked.load(Ordering::Relaxed))
    }

    pub(super) fn set(&self) {
        self.own.store(true, Ordering::Relaxed);
    }

    pub(super) fn stop_with(&self, stop: Arc<AtomicBool>) {
        let _ = self.asked.set(stop); // the first one stays
    }
}

/// How it stands with a log.
#[derive(Debug, Clone, Default)]
pub(super) enum Condition {
    /// It was not asked yet.
    #[default]
    New,
    /// It was whole at this time.
    Heard(Instant),
    /// It cannot be read.
    Unreachable(String),
    /// Its data does not check: it is not asked for an hour.
    LeftOut(String),
}

/// A log.
#[derive(Debug, Clone)]
pub(super) struct LogState {
    /// Where it is, without secrets.
    pub(super) name: String,
    pub(super) condition: Condition,
    /// Its segments whose last block is on the best chain.
    pub(super) entries: Vec<SegmentEntry>,
    /// It did not show a candidate that another one did, so its consensus hashes are not ours.
    pub(super) lacks: bool,
}

impl LogState {
    /// The highest block that it tells of.
    pub(super) fn reach(&self) -> Option<u32> {
        self.entries.last().map(|entry| entry.to)
    }

    /// Whether it tells of a block.
    pub(super) fn tells_of(&self, height: u32) -> bool {
        self.reach().is_some_and(|reach| reach >= height)
    }
}

/// What both threads know.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) logs: Vec<LogState>,
    /// Every log was asked at least once.
    pub(super) asked_all: bool,
    /// The block that the index needs next.
    pub(super) wanted: Option<u32>,
    /// What was read and not taken yet.
    pub(super) windows: VecDeque<Window>,
    /// What the index has of each window, or is about to take.
    pub(super) given: BTreeMap<u32, Version>,
    /// The segments that were compared with the index, or that it was made from, up to its tip.
    pub(super) checked: BTreeMap<u32, Version>,
    /// Segments that turned out to be wrong when they were joined, and what is wrong.
    pub(super) faults: Vec<(sha256::Hash, String)>,
    /// Logs that turned out to be wrong.
    pub(super) wrong: Vec<(usize, String)>,
    /// Block headers that were read from a log, and how many there are, while that takes long.
    pub(super) headers: Option<(u32, u32)>,
}

/// [`State`] with a bell.
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    pub(super) ending: Arc<Ending>,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes whoever waits.
    pub(super) fn notify(&self) {
        self.changed.notify_all();
    }

    /// Waits for the other thread.
    pub(super) fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        patience: Duration,
    ) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout(state, patience);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl State {
    /// The names of some logs.
    pub(super) fn names(&self, logs: &BTreeSet<usize>) -> String {
        let names = logs.iter().filter_map(|log| self.logs.get(*log));
        let names: Vec<&str> = names.map(|log| &*log.name).collect();
        match names[..] {
            [] => "every source".to_owned(),
            _ => names.join(", "),
        }
    }

    /// The logs that tell of a block, with their numbers.
    pub(super) fn telling(&self, height: u32) -> impl Iterator<Item = (usize, &LogState)> {
        let logs = self.logs.iter().enumerate();
        logs.filter(move |(_, log)| log.tells_of(height))
    }

    /// The highest block that a log tells of.
    pub(super) fn reach(&self) -> Option<u32> {
        self.logs.iter().filter_map(LogState::reach).max()
    }

    /// Why no log tells of more, as a part of a sentence.
    pub(super) fn conditions(&self) -> String {
        let logs = self.logs.iter().map(|log| match &log.condition {
            Condition::New => format!("{} is being asked", log.name),
            Condition::Heard(_) => match log.reach() {
                Some(reach) => format!("{} ends at block {reach}", log.name),
                None => format!("{} is of another branch, or empty", log.name),
            },
            Condition::Unreachable(why) => format!("{} cannot be read ({why})", log.name),
            Condition::LeftOut(why) => format!("{} is left out for an hour ({why})", log.name),
        });
        logs.collect::<Vec<_>>().join("; ")
    }
}
