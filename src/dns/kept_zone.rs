//! Compiled zones that replies are copied from, kept beside the replies and as long valid: until a name or namespace that was
//! read for them changes, until the indexed height is outside of theirs, or until everything is forgotten.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quick_cache::Weighter;

use crate::names::REREAD_AFTER;
use crate::resolver::{CompiledZone, Subjects};

/// Weight of a zone beside its bytes, in bytes: its fields and its places in tables.
const OVERHEAD: usize = 280;

/// A kept zone.
pub(super) struct KeptZone {
    pub(super) zone: CompiledZone,
    /// What was read for it.
    pub(super) subjects: Arc<Subjects>,
    /// The last generation in which it was known to be valid.
    pub(super) checked: AtomicU64,
    /// When its zone file was last looked at, in milliseconds.
    looked: AtomicU64,
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
    pub(super) fn new(
        zone: CompiledZone,
        subjects: Subjects,
        generation: u64,
        now: Duration,
    ) -> Self {
        Self {
            zone,
            subjects: Arc::new(subjects),
            checked: AtomicU64::new(generation),
            looked: AtomicU64::new(now.as_millis() as u64),
        }
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
