//! What is known of the archive's zone files without reading them: which were wrong or missing and wait to be mended, and which have
//! files of their own, that anybody may take away.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::hash::ZonefileHash;

/// Most files that wait to be mended; when there are more, all are noticed anew.
const UNSOUND_MAX: usize = 10_000;

/// What happened to a zone file of the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Notice {
    /// It is there, and was not before, or was wrong.
    Stored(ZonefileHash),
    /// It was there, and is wrong or gone; a file that stays so is one notice.
    Unsound(ZonefileHash),
    /// Somebody wanted it, and it is wrong or not there; each time.
    Asked(ZonefileHash),
}

type Subscriber = Box<dyn Fn(Notice) + Send + Sync>;

/// The notes on all files.
#[derive(Default)]
pub struct Soundness {
    notes: Mutex<Notes>,
    /// How many files they are about: mostly none, which a reader sees without waiting for anybody.
    noted: AtomicUsize,
    subscribers: Mutex<Vec<Subscriber>>,
}

#[derive(Default)]
struct Notes {
    /// Those with files of their own that are there, as far as somebody looked.
    held: BTreeSet<ZonefileHash>,
    /// Whether all of them are known.
    is_listed: bool,
    unsound: HashSet<ZonefileHash>,
}

impl fmt::Debug for Soundness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Soundness").finish_non_exhaustive()
    }
}

impl Soundness {
    /// Calls `subscriber` at every notice.
    pub fn subscribe(&self, subscriber: impl Fn(Notice) + Send + Sync + 'static) {
        lock(&self.subscribers).push(Box::new(subscriber));
    }

    /// Tells all subscribers.
    pub fn tell(&self, notice: Notice) {
        lock(&self.subscribers).iter().for_each(|tell| tell(notice));
    }

    /// It has no record and no file, which is news if it had a file before.
    pub fn note_absent(&self, hash: &ZonefileHash) {
        let was_there = lock(&self.notes).held.contains(hash);
        if was_there {
            self.note_unsound(hash);
        }
    }

    /// Its record was read and is right.
    pub fn note_right(&self, hash: &ZonefileHash) {
        if self.noted.load(Ordering::Relaxed) == 0 {
            return;
        }
        let was_unsound = self.change(|notes| {
            notes.held.remove(hash); // it may have been listed while it was moved
            notes.unsound.remove(hash)
        });
        if was_unsound {
            self.tell(Notice::Stored(*hash));
        }
    }

    /// The file of its own was read and is right.
    pub fn note_own_file(&self, hash: &ZonefileHash) {
        let (was_unsound, is_new) = self.change(|notes| {
            let is_new = notes.held.insert(*hash) && notes.is_listed;
            (notes.unsound.remove(hash), is_new)
        });
        if was_unsound || is_new {
            self.tell(Notice::Stored(*hash));
        }
    }

    /// It has a record now, and no file of its own any more.
    pub fn note_moved(&self, hash: &ZonefileHash) {
        self.change(|notes| notes.held.remove(hash));
    }

    /// The file was read and is wrong, or is not there.
    pub fn note_unsound(&self, hash: &ZonefileHash) {
        let is_new = self.change(|notes| {
            notes.held.remove(hash);
            if notes.unsound.len() >= UNSOUND_MAX {
                notes.unsound.clear();
            }
            notes.unsound.insert(*hash)
        });
        if is_new {
            self.tell(Notice::Unsound(*hash));
        }
    }

    /// It is about to be stored.
    pub fn forget(&self, hash: &ZonefileHash) {
        self.change(|notes| notes.unsound.remove(hash));
    }

    /// These files are there, and were when somebody began to look, which nobody is told.
    pub fn note_listed(&self, hashes: &[ZonefileHash]) {
        self.change(|notes| {
            notes.held.extend(hashes);
            notes.is_listed = true;
        });
    }

    /// At most `count` of those with files of their own, by hash, those behind `after`.
    pub fn held(&self, after: Option<&ZonefileHash>, count: usize) -> BTreeSet<ZonefileHash> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let notes = lock(&self.notes);
        let held = notes.held.range((start, Bound::Unbounded));
        held.take(count).copied().collect()
    }

    /// The files that were wrong or missing when they were last looked at.
    pub fn unsound(&self) -> HashSet<ZonefileHash> {
        lock(&self.notes).unsound.clone()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Notes) -> T) -> T {
        let mut notes = lock(&self.notes);
        let changed = change(&mut notes);
        let noted = notes.held.len() + notes.unsound.len();
        self.noted.store(noted, Ordering::Relaxed);
        changed
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_news_once_until_it_is_mended() {
        let (soundness, hash) = (Soundness::default(), ZonefileHash([7; 20]));
        let (tell, told) = std::sync::mpsc::channel();
        soundness.subscribe(move |notice| tell.send(notice).expect("somebody listens"));
        let told = || told.try_iter().collect::<Vec<_>>();
        soundness.note_absent(&hash);
        assert_eq!(told(), [], "it was never there");
        soundness.note_unsound(&hash);
        soundness.note_unsound(&hash);
        assert_eq!(told(), [Notice::Unsound(hash)]);
        soundness.forget(&hash);
        soundness.note_unsound(&hash);
        assert_eq!(told(), [Notice::Unsound(hash)]);
        assert_eq!(soundness.unsound(), HashSet::from([hash]));
        soundness.note_own_file(&hash);
        soundness.note_own_file(&hash);
        assert_eq!(told(), [Notice::Stored(hash)]);
        soundness.note_absent(&hash);
        assert_eq!(told(), [Notice::Unsound(hash)]);
        soundness.note_right(&hash);
        soundness.note_right(&hash);
        assert_eq!(told(), [Notice::Stored(hash)]);
    }

    #[test]
    fn what_was_there_before_is_no_news() {
        let soundness = Soundness::default();
        let (tell, told) = std::sync::mpsc::channel();
        soundness.subscribe(move |notice| tell.send(notice).expect("somebody listens"));
        let [first, second, third] = [1, 2, 3].map(|byte| ZonefileHash([byte; 20]));
        soundness.note_own_file(&first);
        soundness.note_listed(&[first, second]);
        soundness.note_own_file(&second);
        assert_eq!(told.try_iter().count(), 0);
        soundness.note_own_file(&third);
        soundness.note_absent(&first);
        let told: Vec<Notice> = told.try_iter().collect();
        assert_eq!(told, [Notice::Stored(third), Notice::Unsound(first)]);
        assert_eq!(soundness.held(None, 9), BTreeSet::from([second, third]));
        assert_eq!(soundness.held(Some(&second), 9), BTreeSet::from([third]));
    }
}
