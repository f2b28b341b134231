//! What other threads tell the node: commits, files that came or went, questions for files.
//!
//! Whoever tells never waits. News of the same kind are one; a question among too many is forgotten, since it is asked
//! again.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::hash::ZonefileHash;
use crate::store::Notice;

/// Questions that wait; DNS clients repeat theirs.
const ASKED_MAX: usize = 1_000;

/// Where the news wait for the node.
#[derive(Debug, Default)]
pub struct Signals {
    news: Mutex<News>,
    changed: Notify,
}

/// What happened since the last look.
#[derive(Debug, Default)]
pub struct News {
    /// Whether the node is to end.
    pub stop: bool,
    /// Whether the store has committed something.
    pub commit: bool,
    /// Files of the archive, and whether they are there now.
    pub changed: HashMap<ZonefileHash, bool>,
    /// Files that somebody wanted and did not get.
    pub asked: HashSet<ZonefileHash>,
}

impl Signals {
    /// Has the node end.
    pub fn stop(&self) {
        self.tell(|news| news.stop = true);
    }

    /// Whether the node is to end.
    pub fn is_stopped(&self) -> bool {
        self.lock().stop
    }

    /// The store has committed something.
    pub fn commit(&self) {
        self.tell(|news| news.commit = true);
    }

    /// The archive has something to say.
    pub fn notice(&self, notice: Notice) {
        self.tell(|news| match notice {
            Notice::Stored(hash) => {
                news.changed.insert(hash, true);
            }
            Notice::Unsound(hash) => {
                news.changed.insert(hash, false);
            }
            Notice::Asked(hash) if news.asked.len() < ASKED_MAX => {
                news.asked.insert(hash);
            }
            Notice::Asked(_) => {}
        });
    }

    /// Waits until there is news, and takes them.
    pub async fn next(&self) -> News {
        self.changed.notified().await;
        std::mem::take(&mut *self.lock())
    }

    fn tell(&self, change: impl FnOnce(&mut News)) {
        change(&mut self.lock());
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
