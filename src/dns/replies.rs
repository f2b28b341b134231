//! Replies in wire form, kept for plain queries that are asked again: a reply is copied, gets the client's ID, flags and
//! letters, and goes out.
//!
//! Nothing is decided here. A reply is kept together with its [`Basis`]: what was read to decide it, the heights for
//! which it is valid, and the generation in which it was made. It serves until a name or namespace that was read
//! changes, until the indexed height is outside of its heights, or until everything is forgotten because a person chose
//! otherwise. A reply from a zone file is decided again after [`REREAD_AFTER`].
//!
//! A commit starts a generation and notes what it changed; it looks at no reply. The next query for a reply compares its
//! subjects with the changes, once per generation. A reply that was made while a commit was under way is at worst
//! forgotten too early; it is never kept too long.
//!
//! An upstream's response is not copied: its entry in the forwarder's cache is kept, so that its TTLs count down, and
//! with it the decision that the question is none of ours.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::kept_zone::{self, KeptZone};
use crate::bns::name::{Name, NamespaceId};
use crate::names::REREAD_AFTER;
use crate::resolver::{Heights, Outcome, Subjects};
use crate::upstream::Entry;
use crate::wire::{Header, flag};

/// Bytes of all replies that are kept.
const CAPACITY: usize = 16 << 20;
/// Bytes of all compiled zones that are kept. Most are as quickly read again.
const ZONES_CAPACITY: usize = 12 << 20;
/// Average weight of a zone in bytes, for the size of the tables.
const ZONES_AVERAGE: usize = 600;
/// Average weight of a reply in bytes, for the size of the tables.
const AVERAGE: usize = 320;
/// Weight of a reply beside its content and its subjects, in bytes.
const OVERHEAD: usize = 160;
/// Weight of a subject in bytes.
const SUBJECT: usize = 48;
/// Changed names and namespaces that are remembered; with more, all replies made before are void.
const CHANGES_MAX: usize = 16_384;

/// The kept replies.
pub(super) struct Replies {
    kept: Cache<Box<[u8]>, Arc<KeptReply>, Weight>,
    /// By the apex in wire form and lower case.
    zones: Cache<Box<[u8]>, Arc<KeptZone>, kept_zone::Weight>,
    /// Counts commits and the times that everything was forgotten.
    generation: AtomicU64,
    /// The indexed height; 0 before the first block.
    height: AtomicU32,
    changes: Mutex<Changes>,
}

/// What changed lately, and in which generation.
#[derive(Default)]
struct Changes {
    /// Replies of earlier generations are void.
    floor: u64,
    names: HashMap<Name, u64>,
    namespaces: HashMap<NamespaceId, u64>,
}

/// A kept reply.
pub(super) struct KeptReply {
    pub(super) content: Content,
    pub(super) outcome: Outcome,
    pub(super) basis: Basis,
    /// The last generation in which it was known to be valid.
    checked: AtomicU64,
}

/// What a reply was decided from.
pub(super) struct Basis {
    /// What was read.
    pub(super) subjects: Subjects,
    /// The heights for which it is valid.
    pub(super) heights: Heights,
    /// The generation before anything was read.
    pub(super) generation: u64,
    /// When it was made.
    pub(super) made: Duration,
}

/// What goes out.
pub(super) enum Content {
    /// A whole message, OPT included; ID 0, RD, AD and CD clear.
    Message {
        bytes: Box<[u8]>,
        /// Whether AD is set for those who ask for it.
        verified: bool,
    },
    /// An upstream's response.
    Response(Arc<Entry>),
}

#[derive(Clone)]
struct Weight;

impl Weighter<Box<[u8]>, Arc<KeptReply>> for Weight {
    fn weight(&self, key: &Box<[u8]>, kept: &Arc<KeptReply>) -> u64 {
        let content = match &kept.content {
            Content::Message { bytes, .. } => bytes.len(),
            Content::Response(entry) => entry.weight(),
        };
        let subjects = &kept.basis.subjects;
        let subjects = subjects.names.len() + subjects.namespaces.len();
        (OVERHEAD + key.len() + content + subjects * SUBJECT) as u64
    }
}

impl Content {
    /// A message that was written for one client, without what is that client's own.
    pub(super) fn message(written: &[u8], verified: bool) -> Self {
        let mut bytes: Box<[u8]> = written.into();
        Header::edit(&mut bytes, |header| {
            header.id = 0;
            header.flags &= !(flag::RD | flag::AD | flag::CD);
        });
        Self::Message { bytes, verified }
    }
}

impl KeptReply {
    /// Whether its zone file has to be looked at again.
    fn is_due(&self, now: Duration) -> bool {
        self.basis.subjects.zonefile_read && now.saturating_sub(self.basis.made) >= REREAD_AFTER
    }
}

impl Replies {
    /// None yet, at a height.
    pub(super) fn at(height: u32) -> Self {
        Self {
            kept: Cache::with_weighter(CAPACITY / AVERAGE, CAPACITY as u64, Weight),
            zones: Cache::with_weighter(
                ZONES_CAPACITY / ZONES_AVERAGE,
                ZONES_CAPACITY as u64,
                kept_zone::Weight,
            ),
            generation: AtomicU64::default(),
            height: AtomicU32::new(height),
            changes: Mutex::default(),
        }
    }

    /// The generation. To be taken before anything is read for a reply.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The valid reply under a key.
    pub(super) fn get(&self, key: &[u8], now: Duration) -> Option<Arc<KeptReply>> {
        let kept = self.kept.get(key)?;
        if !kept.is_due(now)
            && self.is_valid(kept.basis.heights, &kept.checked, || {
                Cow::Borrowed(&kept.basis.subjects)
            })
        {
            return Some(kept);
        }
        self.kept.remove(key);
        None
    }

    /// The valid compiled zone of an apex, and a generation in which it is valid.
    pub(super) fn zone(&self, apex: &[u8]) -> Option<(Arc<KeptZone>, u64)> {
        let kept = self.zones.get(apex)?;
        let generation = self.generation();
        let subjects = || Cow::Owned(kept.zone.subjects());
        if self.is_valid(kept.zone.heights(), &kept.checked, subjects) {
            return Some((kept, generation));
        }
        self.zones.remove(apex);
        None
    }

    /// Keeps the compiled zone of an apex.
    pub(super) fn keep_zone(&self, apex: &[u8], zone: Arc<KeptZone>) {
        self.zones.insert(apex.into(), zone);
    }

    /// Keeps a reply.
    pub(super) fn keep(&self, key: &[u8], content: Content, outcome: Outcome, basis: Basis) {
        let reply = KeptReply {
            checked: AtomicU64::new(basis.generation),
            content,
            outcome,
            basis,
        };
        self.kept.insert(key.into(), Arc::new(reply));
    }

    /// How many replies and compiled zones there are, and the bytes that they occupy.
    pub(super) fn size(&self) -> (usize, u64) {
        let count = self.kept.len() + self.zones.len();
        (count, self.kept.weight() + self.zones.weight())
    }

    /// A commit changed these, and readers see it already.
    pub(super) fn note(&self, height: u32, names: &[Name], namespaces: &[NamespaceId]) {
        self.note_at(Some(height), names, namespaces);
    }

    /// What is below these names changed without a commit, and readers see it already.
    pub(super) fn note_below(&self, names: &[Name]) {
        self.note_at(None, names, &[]);
    }

    fn note_at(&self, height: Option<u32>, names: &[Name], namespaces: &[NamespaceId]) {
        let mut changes = self.changes();
        let generation = self.generation() + 1;
        if changes.names.len() + changes.namespaces.len() + names.len() > CHANGES_MAX {
            *changes = Changes::since(generation);
        } else {
            let names = names.iter().cloned();
            changes.names.extend(names.map(|name| (name, generation)));
            let ids = namespaces.iter().cloned();
            changes.namespaces.extend(ids.map(|id| (id, generation)));
        }
        if let Some(height) = height {
            self.height.store(height, Ordering::Relaxed);
        }
        self.generation.store(generation, Ordering::Release);
    }

    /// Makes all replies void that are kept or under way.
    pub(super) fn forget(&self) {
        let mut changes = self.changes();
        let generation = self.generation() + 1;
        *changes = Changes::since(generation);
        self.generation.store(generation, Ordering::Release);
        self.kept.clear();
        self.zones.clear();
    }

    /// Makes only replies void, so that the next question is answered from a compiled zone.
    #[cfg(test)]
    pub(super) fn forget_replies_alone(&self) {
        self.kept.clear();
    }

    /// Whether what was made of some subjects, for these heights, and was valid in the generation `known`, still is.
    fn is_valid<'s>(
        &self,
        heights: Heights,
        known: &AtomicU64,
        subjects: impl FnOnce() -> Cow<'s, Subjects>,
    ) -> bool {
        let generation = self.generation();
        let height = self.height.load(Ordering::Relaxed);
        if !heights.contains(height) {
            return false;
        }
        let checked = known.load(Ordering::Relaxed);
        let unchanged = checked == generation || self.changes().spare(&subjects(), checked);
        if unchanged && checked != generation {
            known.fetch_max(generation, Ordering::Relaxed);
        }
        unchanged
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changes {
    /// All replies of generations before this one are void.
    fn since(generation: u64) -> Self {
        Self {
            floor: generation,
            ..Self::default()
        }
    }

    /// Whether none of the subjects changed after the generation `checked`.
    fn spare(&self, subjects: &Subjects, checked: u64) -> bool {
        checked >= self.floor
            && are_older(&self.names, &subjects.names, checked)
            && are_older(&self.namespaces, &subjects.namespaces, checked)
    }
}

fn are_older<K: Hash + Eq>(changed: &HashMap<K, u64>, subjects: &[K], checked: u64) -> bool {
    let is_older = |subject| changed.get(subject).is_none_or(|&change| change <= checked);
    subjects.iter().all(is_older)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"\x04good\x02id\0\0\x01\0";

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    fn keep(replies: &Replies, generation: u64, heights: Heights) {
        let subjects = Subjects {
            names: vec![name("good.id")],
            namespaces: vec!["id".parse().expect("a namespace")],
            zonefile_read: true,
            ..Subjects::default()
        };
        let content = Content::Message {
            bytes: KEY.into(),
            verified: true,
        };
        let basis = Basis {
            subjects,
            heights,
            generation,
            made: Duration::ZERO,
        };
        replies.keep(KEY, content, Outcome::Answered, basis);
    }

    #[test]
    fn only_changes_of_what_was_read_end_a_reply() {
        let replies = Replies::at(100);
        keep(&replies, replies.generation(), Heights::ALL);
        replies.note(101, &[name("other.id")], &[]);
        assert!(replies.get(KEY, Duration::ZERO).is_some());
        replies.note(102, &[name("good.id")], &[]);
        assert!(replies.get(KEY, Duration::ZERO).is_none());
        keep(&replies, replies.generation(), Heights::ALL);
        assert!(replies.get(KEY, Duration::ZERO).is_some());
        replies.note(103, &[], &["id".parse().expect("a namespace")]);
        assert!(replies.get(KEY, Duration::ZERO).is_none());
    }

    #[test]
    fn a_change_below_a_name_ends_its_replies_at_any_height() {
        let replies = Replies::at(100);
        keep(&replies, replies.generation(), Heights::only(100));
        replies.note_below(&[name("other.id")]);
        assert!(replies.get(KEY, Duration::ZERO).is_some());
        replies.note_below(&[name("good.id")]);
        assert!(replies.get(KEY, Duration::ZERO).is_none());
    }

    #[test]
    fn a_reply_that_a_commit_overtook_is_void() {
        let replies = Replies::at(100);
        let before = replies.generation();
        replies.note(101, &[name("good.id")], &[]);
        keep(&replies, before, Heights::ALL);
        assert!(replies.get(KEY, Duration::ZERO).is_none());
        let before = replies.generation();
        replies.forget();
        keep(&replies, before, Heights::ALL);
        assert!(replies.get(KEY, Duration::ZERO).is_none());
    }

    #[test]
    fn heights_end_a_reply_without_a_change() {
        let replies = Replies::at(100);
        keep(&replies, replies.generation(), Heights::only(100));
        assert!(replies.get(KEY, Duration::ZERO).is_some());
        replies.note(101, &[], &[]);
        assert!(replies.get(KEY, Duration::ZERO).is_none());
    }

    #[test]
    fn a_zone_file_is_looked_at_again() {
        let replies = Replies::at(100);
        keep(&replies, replies.generation(), Heights::ALL);
        assert!(replies.get(KEY, REREAD_AFTER / 2).is_some());
        assert!(replies.get(KEY, REREAD_AFTER).is_none());
    }

    #[test]
    fn more_changes_than_are_remembered_end_all_replies() {
        let replies = Replies::at(100);
        keep(&replies, replies.generation(), Heights::ALL);
        let names: Vec<Name> = (0..=CHANGES_MAX)
            .map(|n| name(&format!("n{n}.id")))
            .collect();
        replies.note(101, &names, &[]);
        assert!(replies.get(KEY, Duration::ZERO).is_none());
        assert!(replies.changes().names.is_empty());
    }
}
