//! What is known of the archive's files without reading them: which were right when they were last read, and which
//! were not and wait to be mended.

use std::collections::{HashMap, HashSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::hash::ZonefileHash;

/// Most files that wait to be mended; when there are more, all are noticed anew.
const UNSOUND_MAX: usize = 10_000;

/// Two changes within the tick of the system's clock have the same time; ticks are far shorter than this.
const TICK: Duration = Duration::from_secs(1);

/// A file as it was when it was looked at: whatever changes its bytes changes one of these, unless somebody sets the clock back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            length: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Stamp {
    /// Whether the next change has another time for sure.
    fn is_settled(self) -> bool {
        let seconds = u64::try_from(self.changed.0).unwrap_or(0);
        let changed = UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        let age = changed.and_then(|changed| SystemTime::now().duration_since(changed).ok());
        age.is_some_and(|age| age > 2 * TICK) // the second that was left out, and a tick
    }
}

type Subscriber = Box<dyn Fn() + Send + Sync>;

/// The notes on all files.
#[derive(Default)]
pub struct Soundness {
    notes: Mutex<Notes>,
    subscribers: Mutex<Vec<Subscriber>>,
}

#[derive(Default)]
struct Notes {
    /// Without a stamp where it would not tell the next change.
    sound: HashMap<ZonefileHash, Option<Stamp>>,
    unsound: HashSet<ZonefileHash>,
}

impl Soundness {
    /// Calls `subscriber` whenever a file is newly noticed to be wrong or missing.
    pub fn subscribe(&self, subscriber: impl Fn() + Send + Sync + 'static) {
        lock(&self.subscribers).push(Box::new(subscriber));
    }

    /// The file was found to be right when it was last looked at, and is still the same.
    pub fn is_known(&self, hash: &ZonefileHash, stamp: Stamp) -> bool {
        lock(&self.notes).sound.get(hash) == Some(&Some(stamp))
    }

    /// The file is not there, which is news if it was right before.
    pub fn note_absent(&self, hash: &ZonefileHash) {
        let was_sound = lock(&self.notes).sound.contains_key(hash);
        if was_sound {
            self.note_unsound(hash);
        }
    }

    /// The file was read and is right.
    pub fn note_sound(&self, hash: &ZonefileHash, stamp: Stamp) {
        let mut notes = lock(&self.notes);
        notes.unsound.remove(hash);
        notes
            .sound
            .insert(*hash, Some(stamp).filter(|stamp| stamp.is_settled()));
    }

    /// The file was read and is wrong, or is not there.
    pub fn note_unsound(&self, hash: &ZonefileHash) {
        let mut notes = lock(&self.notes);
        notes.sound.remove(hash);
        if notes.unsound.len() >= UNSOUND_MAX {
            notes.unsound.clear();
        }
        let is_new = notes.unsound.insert(*hash);
        drop(notes);
        if is_new {
            lock(&self.subscribers).iter().for_each(|tell| tell());
        }
    }

    /// The file is about to be replaced.
    pub fn forget(&self, hash: &ZonefileHash) {
        let mut notes = lock(&self.notes);
        notes.unsound.remove(hash);
        notes.sound.remove(hash);
    }

    /// The files that were wrong or missing when they were last looked at.
    pub fn unsound(&self) -> HashSet<ZonefileHash> {
        lock(&self.notes).unsound.clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_just_changed_is_read_again() {
        let (soundness, hash) = (Soundness::default(), ZonefileHash([7; 20]));
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970");
        let at = |seconds| Stamp {
            inode: 1,
            length: 1,
            changed: (seconds, 0),
        };
        let (fresh, old) = (at(now.as_secs() as i64), at(now.as_secs() as i64 - 60));
        soundness.note_sound(&hash, fresh);
        assert!(!soundness.is_known(&hash, fresh));
        soundness.note_sound(&hash, old);
        assert!(soundness.is_known(&hash, old) && !soundness.is_known(&hash, fresh));
    }

    #[test]
    fn each_file_is_news_once_until_it_is_mended() {
        let (soundness, hash) = (Soundness::default(), ZonefileHash([7; 20]));
        let (tell, told) = std::sync::mpsc::channel();
        soundness.subscribe(move || tell.send(()).expect("somebody listens"));
        soundness.note_absent(&hash);
        assert_eq!(told.try_iter().count(), 0, "it was never there");
        soundness.note_unsound(&hash);
        soundness.note_unsound(&hash);
        assert_eq!(told.try_iter().count(), 1);
        soundness.forget(&hash);
        soundness.note_unsound(&hash);
        assert_eq!(told.try_iter().count(), 1);
        assert_eq!(soundness.unsound(), HashSet::from([hash]));
    }
}
