//! Answers in wire form, for plain queries that were asked before: a copy, the client's ID, flags and letters over
//! it, and out.
//!
//! Nothing is decided here. An answer is kept together with what was read to decide it ([`Subjects`]), and serves
//! until one of these changes, the height leaves those for which it is true, or everything is forgotten because a
//! person chose otherwise; one from a zone file is decided again after [`TRUST`]. A commit notes what it changed and looks at no answer: the next query for one does, once
//! per commit. So an answer made while a commit was on its way is at worst thrown away too early, never kept too long.
//!
//! An upstream's answer is not copied: its entry of the forwarder's cache is kept, so that TTLs count down, and
//! with it the decision that the question is none of ours.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::bns::name::{Name, NamespaceId};
use crate::names::TRUST;
use crate::resolver::{Heights, Outcome, Subjects};
use crate::upstream::Entry;

/// Bytes of all answers that are kept.
const CAPACITY: usize = 16 << 20;
/// What an answer weighs on average, for the size of the tables.
const AVERAGE: usize = 320;
/// What an answer weighs beside its bytes and its subjects.
const OVERHEAD: usize = 160;
/// What a subject weighs.
const SUBJECT: usize = 48;
/// Changed names and namespaces that are remembered; with more, all answers made before are void.
const CHANGES_MAX: usize = 16_384;

/// The answers.
pub(super) struct Answers {
    kept: Cache<Box<[u8]>, Arc<Kept>, Weight>,
    /// Number of the last commit, or of the last time that all was forgotten.
    moment: AtomicU64,
    /// The indexed height; 0 before the first block.
    height: AtomicU32,
    changes: Mutex<Changes>,
}

/// What changed lately, and when.
#[derive(Default)]
struct Changes {
    /// Answers made before are void.
    floor: u64,
    names: HashMap<Name, u64>,
    namespaces: HashMap<NamespaceId, u64>,
}

/// An answer, and for how long it is one.
pub(super) struct Kept {
    pub(super) body: Body,
    pub(super) outcome: Outcome,
    pub(super) subjects: Subjects,
    pub(super) heights: Heights,
    /// When it was made.
    made: Duration,
    /// The moment at which it was last known to be true.
    checked: AtomicU64,
}

/// What goes out.
pub(super) enum Body {
    /// A whole message, OPT included; ID 0, RD, AD and CD clear.
    Message {
        bytes: Box<[u8]>,
        /// Whether AD is set for those who ask for it.
        verified: bool,
    },
    /// An upstream's answer.
    Forwarded(Arc<Entry>),
}

#[derive(Clone)]
struct Weight;

impl Weighter<Box<[u8]>, Arc<Kept>> for Weight {
    fn weight(&self, key: &Box<[u8]>, kept: &Arc<Kept>) -> u64 {
        let body = match &kept.body {
            Body::Message { bytes, .. } => bytes.len(),
            Body::Forwarded(entry) => entry.weight(),
        };
        let subjects = kept.subjects.names.len() + kept.subjects.namespaces.len();
        (OVERHEAD + key.len() + body + subjects * SUBJECT) as u64
    }
}

impl Body {
    /// A message that was written for one client, without what is that client's own.
    pub(super) fn message(written: &[u8], verified: bool) -> Self {
        let mut bytes: Box<[u8]> = written.into();
        if let Some([i1, i2, f1, f2]) = bytes.first_chunk_mut() {
            (*i1, *i2) = (0, 0);
            *f1 &= !0x01; // RD
            *f2 &= !0x30; // AD, CD
        }
        Self::Message { bytes, verified }
    }
}

impl Kept {
    /// An answer that was decided at `moment`, or later, at the time `made`.
    pub(super) fn new(
        (moment, made): (u64, Duration),
        body: Body,
        outcome: Outcome,
        subjects: Subjects,
        heights: Heights,
    ) -> Self {
        Self {
            body,
            outcome,
            subjects,
            heights,
            made,
            checked: AtomicU64::new(moment),
        }
    }
}

impl Answers {
    /// None yet, at a height.
    pub(super) fn at(height: u32) -> Self {
        Self {
            kept: Cache::with_weighter(CAPACITY / AVERAGE, CAPACITY as u64, Weight),
            moment: AtomicU64::default(),
            height: AtomicU32::new(height),
            changes: Mutex::default(),
        }
    }

    /// The moment, to be taken before anything is read for an answer.
    pub(super) fn moment(&self) -> u64 {
        self.moment.load(Ordering::Acquire)
    }

    /// The answer under a key, if it still is one.
    pub(super) fn get(&self, key: &[u8], now: Duration) -> Option<Arc<Kept>> {
        let kept = self.kept.get(key)?;
        let is_due = kept.subjects.zonefile_read && now.saturating_sub(kept.made) >= TRUST;
        if !is_due && self.is_true(&kept) {
            return Some(kept);
        }
        self.kept.remove(key);
        None
    }

    /// Keeps an answer.
    pub(super) fn keep(&self, key: &[u8], kept: Kept) {
        self.kept.insert(key.into(), Arc::new(kept));
    }

    /// A commit changed these, and readers see it already.
    pub(super) fn note(&self, height: u32, names: &[Name], namespaces: &[NamespaceId]) {
        let mut changes = self.changes();
        let moment = self.moment() + 1;
        if changes.names.len() + changes.namespaces.len() + names.len() > CHANGES_MAX {
            *changes = Changes::since(moment);
        } else {
            let names = names.iter().cloned();
            changes.names.extend(names.map(|name| (name, moment)));
            let namespaces = namespaces.iter().cloned();
            changes.namespaces.extend(namespaces.map(|id| (id, moment)));
        }
        self.height.store(height, Ordering::Relaxed);
        self.moment.store(moment, Ordering::Release);
    }

    /// Makes all answers void that are kept or under way.
    pub(super) fn forget(&self) {
        let mut changes = self.changes();
        let moment = self.moment() + 1;
        *changes = Changes::since(moment);
        self.moment.store(moment, Ordering::Release);
        self.kept.clear();
    }

    fn is_true(&self, kept: &Kept) -> bool {
        let moment = self.moment();
        if !kept.heights.contains(self.height.load(Ordering::Relaxed)) {
            return false;
        }
        let checked = kept.checked.load(Ordering::Relaxed);
        if checked == moment {
            return true;
        }
        let unchanged = self.changes().spare(&kept.subjects, checked);
        if unchanged {
            kept.checked.fetch_max(moment, Ordering::Relaxed);
        }
        unchanged
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changes {
    /// All answers from before `moment` are void.
    fn since(moment: u64) -> Self {
        Self {
            floor: moment,
            ..Self::default()
        }
    }

    /// Whether none of the subjects changed after `checked`.
    fn spare(&self, subjects: &Subjects, checked: u64) -> bool {
        checked >= self.floor
            && are_older(&self.names, &subjects.names, checked)
            && are_older(&self.namespaces, &subjects.namespaces, checked)
    }
}

fn are_older<K: Hash + Eq>(changed: &HashMap<K, u64>, subjects: &[K], checked: u64) -> bool {
    let is_older = |subject| changed.get(subject).is_none_or(|&moment| moment <= checked);
    subjects.iter().all(is_older)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"\x04good\x02id\0\0\x01\0";

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    fn keep(answers: &Answers, moment: u64, heights: Heights) {
        let subjects = Subjects {
            names: vec![name("good.id")],
            namespaces: vec!["id".parse().expect("a namespace")],
            zonefile_read: true,
            ..Subjects::default()
        };
        let body = Body::Message {
            bytes: KEY.into(),
            verified: true,
        };
        let kept = Kept::new(
            (moment, Duration::ZERO),
            body,
            Outcome::Answered,
            subjects,
            heights,
        );
        answers.keep(KEY, kept);
    }

    #[test]
    fn only_changes_of_what_was_read_end_an_answer() {
        let answers = Answers::at(100);
        keep(&answers, answers.moment(), Heights::ALL);
        answers.note(101, &[name("other.id")], &[]);
        assert!(answers.get(KEY, Duration::ZERO).is_some());
        answers.note(102, &[name("good.id")], &[]);
        assert!(answers.get(KEY, Duration::ZERO).is_none());
        keep(&answers, answers.moment(), Heights::ALL);
        assert!(answers.get(KEY, Duration::ZERO).is_some());
        answers.note(103, &[], &["id".parse().expect("a namespace")]);
        assert!(answers.get(KEY, Duration::ZERO).is_none());
    }

    #[test]
    fn an_answer_that_a_commit_overtook_is_void() {
        let answers = Answers::at(100);
        let before = answers.moment();
        answers.note(101, &[name("good.id")], &[]);
        keep(&answers, before, Heights::ALL);
        assert!(answers.get(KEY, Duration::ZERO).is_none());
        let before = answers.moment();
        answers.forget();
        keep(&answers, before, Heights::ALL);
        assert!(answers.get(KEY, Duration::ZERO).is_none());
    }

    #[test]
    fn heights_end_an_answer_without_a_change() {
        let answers = Answers::at(100);
        keep(&answers, answers.moment(), Heights::only(100));
        assert!(answers.get(KEY, Duration::ZERO).is_some());
        answers.note(101, &[], &[]);
        assert!(answers.get(KEY, Duration::ZERO).is_none());
    }

    #[test]
    fn a_zone_file_is_looked_at_again() {
        let answers = Answers::at(100);
        keep(&answers, answers.moment(), Heights::ALL);
        assert!(answers.get(KEY, TRUST / 2).is_some());
        assert!(answers.get(KEY, TRUST).is_none());
    }

    #[test]
    fn more_changes_than_are_remembered_end_all_answers() {
        let answers = Answers::at(100);
        keep(&answers, answers.moment(), Heights::ALL);
        let names: Vec<Name> = (0..=CHANGES_MAX)
            .map(|n| name(&format!("n{n}.id")))
            .collect();
        answers.note(101, &names, &[]);
        assert!(answers.get(KEY, Duration::ZERO).is_none());
        assert!(answers.changes().names.is_empty());
    }
}
