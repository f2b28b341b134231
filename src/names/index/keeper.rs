//! Building the index, and changing it after each commit.
//!
//! Commits are noted in the thread that commits, each with its names and its snapshot, and nothing else is done there.
//! The keeper's thread reads the names anew from the newest of these snapshots, and only then changes the entries. While
//! the chain is synced in bulk it waits: nobody is answered meanwhile, and what came together is read once.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::entries::Entries;
use super::{NONE, NameIndex, Phase};
use crate::bns::name::Name;
use crate::progress::Progress;
use crate::store::{Standing, Store, StoreError, StoreSnapshot};

/// Most names that wait to be read anew: more of them are not faster than a new index.
pub(super) const NEWS_MAX: usize = 100_000;
/// So many blocks below the best one commits come in bulk.
const FAR_BEHIND: u32 = 8;
/// In bulk the index is changed once no commit came for so long.
const QUIET: Duration = Duration::from_secs(1);
/// How often the keeper looks whether it has to stop, and the time after a failed read.
const LOOK: Duration = Duration::from_millis(100);
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// Names that are read between two looks.
const NAMES_A_LOOK: u64 = 1_024;

/// What was committed since the index was last changed.
pub(super) struct News {
    names: HashSet<Name>,
    /// The state after the last of these commits.
    snapshot: Option<Arc<StoreSnapshot>>,
    noted: Option<Instant>,
    /// The last commit that was ever noted.
    commit: u64,
    /// Whether names are missing here.
    incomplete: bool,
}

impl News {
    /// Nothing yet after a commit.
    pub(super) fn after(commit: u64) -> Self {
        Self {
            names: HashSet::new(),
            snapshot: None,
            noted: None,
            commit,
            incomplete: false,
        }
    }

    fn take(&mut self) -> Self {
        let after = Self::after(self.commit);
        std::mem::replace(self, after)
    }

    /// Whether it is time to read them. In bulk that is when no more come.
    fn are_due(&self, in_bulk: bool) -> bool {
        match self.noted {
            Some(noted) => !in_bulk || noted.elapsed() >= QUIET,
            None => self.incomplete,
        }
    }

    /// How many names wait to be read; `None` if all have to be.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> Option<usize> {
        (!self.incomplete).then_some(self.names.len())
    }

    pub(super) fn note(&mut self, names: &[Name], snapshot: Arc<StoreSnapshot>) {
        let commit = snapshot.commit();
        self.incomplete |= commit != self.commit + 1 || self.names.len() + names.len() > NEWS_MAX;
        self.commit = commit;
        self.noted = Some(Instant::now());
        match self.incomplete {
            true => self.names = HashSet::new(),
            false => self.names.extend(names.iter().cloned()),
        }
        self.snapshot = Some(snapshot);
    }
}

impl NameIndex {
    pub(super) fn subscribe(self: &Arc<Self>, store: &Arc<Store>) {
        let (index, noting) = (Arc::downgrade(self), Arc::downgrade(store));
        store.subscribe(move |notice| {
            // While a notice is given, the snapshot is that of its commit.
            if let (Some(index), Some(store)) = (index.upgrade(), noting.upgrade()) {
                index.news().note(&notice.names, store.snapshot());
                index.noted.notify_all();
            }
        });
    }

    /// Builds the index and keeps it up until `stop` is set; ends early if the database is damaged, or cannot say which names
    /// there are.
    pub fn keep(&self, store: &Store, progress: &Progress, stop: &AtomicBool) {
        let go_on = || !stop.load(Ordering::Relaxed);
        while go_on() {
            let turned = self.turn(store, &go_on);
            if store.damage().is_some() || *self.phase() == Phase::Refused {
                break; // the log says so
            }
            let least = match turned {
                Ok(()) => Duration::ZERO,
                Err(error) => {
                    tracing::warn!("names are not kept in memory: {error}");
                    self.begin_again();
                    AFTER_FAILURE
                }
            };
            self.wait(least, progress, &go_on);
        }
        self.forget(Phase::Refused);
    }

    /// Brings the index up to the last commit.
    pub(super) fn turn(&self, store: &Store, go_on: &impl Fn() -> bool) -> Result<(), StoreError> {
        let news = self.news().take();
        let entries = self.entries.load_full().filter(|_| !news.incomplete);
        match (entries, news.snapshot) {
            (Some(entries), Some(snapshot)) if self.is_before(&snapshot) => {
                self.change(entries, &news.names, &snapshot)
            }
            (Some(_), _) => Ok(()), // it was built of a later one, if there is any
            (None, _) => self.build(&store.snapshot(), go_on),
        }
    }

    /// Reads names anew and puts them in.
    fn change(
        &self,
        entries: Arc<Entries>,
        names: &HashSet<Name>,
        snapshot: &StoreSnapshot,
    ) -> Result<(), StoreError> {
        let read = |name: &Name| {
            let standing = snapshot.standing_at(name, u32::MAX)?;
            Ok((entries.key(name.as_str().as_bytes()), standing))
        };
        let changes: Vec<(_, Option<Standing>)> =
            names.iter().map(read).collect::<Result<_, StoreError>>()?;
        self.commit.store(NONE, Ordering::Release);
        for (key, standing) in changes {
            entries.put(key, standing);
        }
        self.use_for(snapshot, entries)
    }

    /// Reads all names.
    pub(super) fn build(
        &self,
        snapshot: &StoreSnapshot,
        go_on: &impl Fn() -> bool,
    ) -> Result<(), StoreError> {
        self.forget(Phase::Building);
        let all = snapshot.counts()?.names;
        if all > self.max {
            self.forget(Phase::OverLimit);
            return Ok(());
        }
        self.built.1.store(all, Ordering::Relaxed);
        let mut entries = Entries::with_room(all);
        let mut is_whole = true;
        snapshot.standings(|name, standing| {
            entries.push(entries.key(name), standing);
            if entries.count().is_multiple_of(NAMES_A_LOOK) {
                self.built.0.store(entries.count(), Ordering::Relaxed);
                is_whole = go_on();
            }
            match is_whole {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        })?;
        if !is_whole {
            return Ok(());
        }
        entries.sort();
        if entries.count() != all {
            tracing::error!(
                "names are not kept in memory: {} of them have operations, and there are {all}; run `bnsd chain verify`",
                entries.count()
            );
            self.forget(Phase::Refused);
            return Ok(());
        }
        self.use_for(snapshot, Arc::new(entries))
    }

    /// Uses entries for questions about a snapshot from now on, if they are as many as its names.
    fn use_for(&self, snapshot: &StoreSnapshot, entries: Arc<Entries>) -> Result<(), StoreError> {
        let all = snapshot.counts()?.names;
        match entries.count() == all {
            true if all > self.max => self.forget(Phase::OverLimit),
            true => {
                self.entries.store(Some(entries));
                self.commit.store(snapshot.commit(), Ordering::Release);
                *self.phase() = Phase::Complete;
            }
            false => self.begin_again(),
        }
        Ok(())
    }

    fn is_before(&self, snapshot: &StoreSnapshot) -> bool {
        self.commit.load(Ordering::Relaxed) < snapshot.commit()
    }

    /// Has the next turn build it.
    fn begin_again(&self) {
        self.forget(Phase::Building);
        self.news().incomplete = true;
    }

    fn forget(&self, phase: Phase) {
        self.commit.store(NONE, Ordering::Release);
        self.entries.store(None);
        self.built.0.store(0, Ordering::Relaxed);
        *self.phase() = phase;
    }

    /// Waits for a commit, and in bulk until there are no more for a while.
    fn wait(&self, least: Duration, progress: &Progress, go_on: &impl Fn() -> bool) {
        let begun = Instant::now();
        let in_bulk = || progress.best_height().saturating_sub(progress.height()) >= FAR_BEHIND;
        let mut news = self.news();
        while go_on() && !(news.are_due(in_bulk()) && begun.elapsed() >= least) {
            let waited = self.noted.wait_timeout(news, LOOK);
            news = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(super) fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
