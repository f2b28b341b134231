//! What is known of the archive's files without reading them: which are there, which were right when they were last read,
//! and which were not and wait to be mended.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::Metadata;
use std::ops::Bound;
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

/// What happened to a zone file of the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    subscribers: Mutex<Vec<Subscriber>>,
}

#[derive(Default)]
struct Notes {
    /// The files that are there, as far as somebody looked.
    held: BTreeSet<ZonefileHash>,
    /// Whether all of them are known.
    is_listed: bool,
    /// Those of them that were read and right. Without a stamp where it would not tell the next change.
    sound: HashMap<ZonefileHash, Option<Stamp>>,
    unsound: HashSet<ZonefileHash>,
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

    /// The file was found to be right when it was last looked at, and is still the same.
    pub fn is_known(&self, hash: &ZonefileHash, stamp: Stamp) -> bool {
        lock(&self.notes).sound.get(hash) == Some(&Some(stamp))
    }

    /// The file is not there, which is news if it was before.
    pub fn note_absent(&self, hash: &ZonefileHash) {
        let notes = lock(&self.notes);
        let was_there = notes.held.contains(hash) || notes.sound.contains_key(hash);
        drop(notes);
        if was_there {
            self.note_unsound(hash);
        }
    }

    /// The file was read and is right.
    pub fn note_sound(&self, hash: &ZonefileHash, stamp: Stamp) {
        let mut notes = lock(&self.notes);
        let was_unsound = notes.unsound.remove(hash);
        let is_new = notes.held.insert(*hash) && notes.is_listed;
        let stamp = Some(stamp).filter(|stamp| stamp.is_settled());
        notes.sound.insert(*hash, stamp);
        drop(notes);
        if was_unsound || is_new {
            self.tell(Notice::Stored(*hash));
        }
    }

    /// The file was read and is wrong, or is not there.
    pub fn note_unsound(&self, hash: &ZonefileHash) {
        let mut notes = lock(&self.notes);
        notes.sound.remove(hash);
        notes.held.remove(hash);
        if notes.unsound.len() >= UNSOUND_MAX {
            notes.unsound.clear();
        }
        let is_new = notes.unsound.insert(*hash);
        drop(notes);
        if is_new {
            self.tell(Notice::Unsound(*hash));
        }
    }

    /// The file is about to be replaced.
    pub fn forget(&self, hash: &ZonefileHash) {
        let mut notes = lock(&self.notes);
        notes.unsound.remove(hash);
        notes.sound.remove(hash);
    }

    /// The file was replaced.
    pub fn note_stored(&self, hash: &ZonefileHash) {
        lock(&self.notes).held.insert(*hash);
        self.tell(Notice::Stored(*hash));
    }

    /// These files are there, and were when somebody began to look, which nobody is told.
    pub fn note_listed(&self, hashes: &[ZonefileHash]) {
        let mut notes = lock(&self.notes);
        notes.held.extend(hashes);
        notes.is_listed = true;
    }

    /// At most `count` of the files that are there, by hash, those behind `after`.
    pub fn held(&self, after: Option<&ZonefileHash>, count: usize) -> Vec<ZonefileHash> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let notes = lock(&self.notes);
        let held = notes.held.range((start, Bound::Unbounded));
        held.take(count).copied().collect()
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
        let stamp = Stamp {
            inode: 1,
            length: 1,
            changed: (0, 0),
        };
        soundness.note_sound(&hash, stamp);
        soundness.note_sound(&hash, stamp);
        assert_eq!(told(), [Notice::Stored(hash)]);
        soundness.note_absent(&hash);
        assert_eq!(told(), [Notice::Unsound(hash)]);
    }

    #[test]
    fn what_was_there_before_is_no_news() {
        let soundness = Soundness::default();
        let (tell, told) = std::sync::mpsc::channel();
        soundness.subscribe(move |notice| tell.send(notice).expect("somebody listens"));
        let [first, second, third] = [1, 2, 3].map(|byte| ZonefileHash([byte; 20]));
        let stamp = Stamp {
            inode: 1,
            length: 1,
            changed: (0, 0),
        };
        soundness.note_sound(&first, stamp);
        soundness.note_listed(&[first, second]);
        soundness.note_sound(&second, stamp);
        assert_eq!(told.try_iter().count(), 0);
        soundness.note_sound(&third, stamp);
        soundness.note_absent(&first);
        let told: Vec<Notice> = told.try_iter().collect();
        assert_eq!(told, [Notice::Stored(third), Notice::Unsound(first)]);
        assert_eq!(soundness.held(None, 9), [second, third]);
        assert_eq!(soundness.held(Some(&second), 9), [third]);
    }
}
