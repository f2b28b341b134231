//! Compiled zones that replies are copied from, kept beside the replies and as long valid: until a name or namespace that was
//! read for them changes, until the indexed height is outside of theirs, or until everything is forgotten.
//!
//! A zone answers every type and most names below it, in less room than the replies to two questions, and copying from it
//! costs less than keeping a reply. So replies are kept only of those zones that are asked again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use quick_cache::Weighter;

use crate::names::REREAD_AFTER;
use crate::resolver::CompiledZone;

/// Weight of a zone beside its bytes, in bytes: its fields, its places in tables, and what four allocations round up.
const OVERHEAD: usize = 300;
/// From this number of questions on, replies from a zone are kept.
const OFTEN: u32 = 4;

/// A kept zone.
pub(super) struct KeptZone {
    pub(super) zone: CompiledZone,
    /// The last generation in which it was known to be valid.
    pub(super) checked: AtomicU64,
    /// When its zone file was last looked at, in milliseconds.
    looked: AtomicU64,
    /// How often it was asked.
    asked: AtomicU32,
}

#[derive(Clone)]
pub(super) struct Weight;

impl Weighter<Box<[u8]>, Arc<KeptZone>> for Weight {
    fn weight(&self, apex: &Box<[u8]>, kept: &Arc<KeptZone>) -> u64 {
        (OVERHEAD + apex.len() + kept.zone.weight()) as u64
    }
}

impl KeptZone {
    /// A zone that was compiled in a generation, its zone file just looked at.
    pub(super) fn new(zone: CompiledZone, generation: u64, now: Duration) -> Self {
        Self {
            zone,
            checked: AtomicU64::new(generation),
            looked: AtomicU64::new(now.as_millis() as u64),
            asked: AtomicU32::default(),
        }
    }

    /// Counts a question; whether its reply is worth a place of its own.
    pub(super) fn is_asked_often(&self) -> bool {
        let asked = self.asked.load(Ordering::Relaxed);
        if asked < OFTEN {
            self.asked.store(asked + 1, Ordering::Relaxed); // which of two counts is lost does not matter
        }
        asked >= OFTEN
    }

    /// Whether its zone file has to be looked at again.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        let looked = self.looked.load(Ordering::Relaxed);
        (now.as_millis() as u64).saturating_sub(looked) >= REREAD_AFTER.as_millis() as u64
    }

    /// Its zone file was looked at.
    pub(super) fn note_look(&self, now: Duration) {
        self.looked.store(now.as_millis() as u64, Ordering::Relaxed);
    }
}
