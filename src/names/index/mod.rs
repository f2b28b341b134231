//! How every name stands at the tip, in memory: for the first question about a name, and for one that nobody registered.
//!
//! A thread reads it from a snapshot of the database after the start, and changes it after each commit ([`keeper`]). It
//! is of one commit and says which one: an answer from it is taken only for a snapshot of that commit, and everybody
//! else reads the database. An update first takes that number away, then changes the [`entries`], then sets the number of
//! the new commit; a reader looks at the number before and after, so that nobody waits for an update and nobody sees a
//! half.
//!
//! It is complete: the names were read in one pass from pages that had their sums, and there are as many as the table of
//! names has, at the start and after each commit. So a name that is not in it was not registered. Once the database is
//! damaged nobody asks it.

mod entries;
mod keeper;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use serde::{Deserialize, Serialize};

use crate::store::{Standing, Store};
use entries::Entries;
use keeper::News;

/// No commit has this number.
const NONE: u64 = u64::MAX;

/// How the names of a store stand at its tip.
pub struct NameIndex {
    /// Most names that it is built for.
    max: u64,
    /// The commit that the entries are of; [`NONE`] while they are built or changed.
    commit: AtomicU64,
    entries: ArcSwapOption<Entries>,
    phase: Mutex<Phase>,
    /// Names read so far by the build under way, and how many there are.
    built: (AtomicU64, AtomicU64),
    news: Mutex<News>,
    /// Signalled with each commit.
    noted: Condvar,
}

/// How far the index of names in memory is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Nobody wants one.
    #[default]
    Off,
    /// It is being read from the database.
    Building,
    /// It is used, but for moments after a block.
    Complete,
    /// There are more names than it may have.
    OverLimit,
    /// The database does not say for certain which names there are.
    Refused,
}

/// The index of names in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct IndexStatus {
    /// How far it is.
    pub phase: Phase,
    /// How many names are in it.
    pub names: u64,
    /// Most names that it may have: `names.index-max`.
    pub max: u64,
    /// Bytes that it occupies.
    pub bytes: u64,
    /// How much of it is built, in percent.
    pub percent: Option<u64>,
}

impl NameIndex {
    /// The index of the names of a store, which is built and kept up by [`Self::keep`]; at most `max` names.
    pub fn of(store: &Arc<Store>, max: u64) -> Arc<Self> {
        let index = Arc::new(Self {
            max,
            commit: AtomicU64::new(NONE),
            entries: ArcSwapOption::empty(),
            phase: Mutex::new(Phase::Building),
            built: Default::default(),
            news: Mutex::new(News::after(store.snapshot().commit())),
            noted: Condvar::new(),
        });
        index.subscribe(store);
        index
    }

    /// How a name stands after a commit, `Some(None)` if it was never registered; `None` if the index is not of that commit.
    pub(super) fn standing(&self, name: &[u8], commit: u64) -> Option<Option<Standing>> {
        if !self.is_of(commit) {
            return None;
        }
        let entries = self.entries.load();
        let entries = entries.as_ref()?;
        let standing = entries.get(entries.key(name));
        // An entry of a later commit was written after the number was taken away.
        self.is_of(commit).then_some(standing)
    }

    /// How far it is.
    pub fn status(&self) -> IndexStatus {
        let entries = self.entries.load();
        let (built, all) = (&self.built.0, &self.built.1);
        let percent = |part: u64, all: u64| part.saturating_mul(100) / all.max(1);
        let phase = *self.phase();
        IndexStatus {
            phase,
            names: entries.as_ref().map_or(0, |entries| entries.count()),
            max: self.max,
            bytes: entries.as_ref().map_or(0, |entries| entries.bytes()),
            percent: (phase == Phase::Building)
                .then(|| percent(built.load(Ordering::Relaxed), all.load(Ordering::Relaxed))),
        }
    }

    fn is_of(&self, commit: u64) -> bool {
        self.commit.load(Ordering::Acquire) == commit
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
