//! What happened to names and zone files since somebody looked which of them the archive has.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::bns::Name;
use crate::hash::ZonefileHash;
use crate::store::{Archive, Notice, Store, WantedZonefile};

/// Most names and hashes that wait to be looked at. When there are more, all rows are compared with the archive.
const NEWS_MAX: usize = 10_000;

/// Where the next steps begin.
#[derive(Default)]
pub(super) struct Turns {
    pub missing: Option<WantedZonefile>,
    pub present: Option<WantedZonefile>,
}

/// What changed since the last look.
#[derive(Clone, Default)]
pub(super) struct News(Arc<Mutex<Changed>>);

/// What has to be looked at.
#[derive(Default)]
pub(super) struct Changed {
    pub names: HashSet<Name>,
    pub hashes: HashSet<ZonefileHash>,
    /// Whether any row may be wrong.
    pub all: bool,
}

impl News {
    /// What store and archive report from now on.
    pub(super) fn of(store: &Store, archive: &Archive) -> Self {
        let news = Self::default();
        news.lock().all = true; // what happened before nobody knows
        let on_commit = news.clone();
        store.subscribe(move |notice| {
            let mut changed = on_commit.lock();
            changed.names.extend(notice.names.iter().cloned());
            changed.bound();
        });
        let on_notice = news.clone();
        archive.subscribe(move |notice| {
            if let Notice::Stored(hash) | Notice::Unsound(hash) = notice {
                let mut changed = on_notice.lock();
                changed.hashes.insert(hash);
                changed.bound();
            }
        });
        news
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Changed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changed {
    pub fn bound(&mut self) {
        if self.names.len() + self.hashes.len() > NEWS_MAX {
            *self = Self {
                all: true,
                ..Self::default()
            };
        }
    }
}
