//! How far the index is and what keeps it from going on: written by the indexer, read by DNS and `bnsd status`.
//!
//! Every figure is one atomic, so that readers never make the indexer wait. Each figure is true, but two of them may
//! belong to different moments.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;

/// How far the index is.
#[derive(Debug, Default)]
pub struct Progress {
    height: AtomicU32,
    best_height: AtomicU32,
    block_time: AtomicU32,
    ever_synced: AtomicBool,
    /// Seconds plus one; 0 is "not in this run".
    synced_at: AtomicU64,
    forked: AtomicBool,
    trouble: ArcSwapOption<String>,
}

impl Progress {
    /// A block was connected or disconnected: the tip is now at `height`, its header says `block_time`
    /// (seconds since 1970).
    pub fn set_tip(&self, height: u32, block_time: u32) {
        self.block_time.store(block_time, Ordering::Relaxed);
        self.height.store(height, Ordering::Relaxed);
    }

    /// The source knows blocks up to `height`.
    pub fn set_best_height(&self, height: u32) {
        self.best_height.store(height, Ordering::Relaxed);
    }

    /// The tip of the source was reached, `now` on the monotonic clock.
    pub fn set_synced(&self, now: Duration) {
        self.synced_at.store(now.as_secs() + 1, Ordering::Relaxed);
        self.ever_synced.store(true, Ordering::Relaxed);
    }

    /// The database has been at the tip of its source in an earlier run.
    pub fn set_ever_synced(&self) {
        self.ever_synced.store(true, Ordering::Relaxed);
    }

    /// Whether the database has been at the tip of its source, now or in an earlier run.
    pub fn has_ever_synced(&self) -> bool {
        self.ever_synced.load(Ordering::Relaxed)
    }

    /// When the tip of the source was last reached in this run, on the monotonic clock, in whole seconds.
    pub fn synced_at(&self) -> Option<Duration> {
        let seconds = self.synced_at.load(Ordering::Relaxed).checked_sub(1)?;
        Some(Duration::from_secs(seconds))
    }

    /// Notes whether the source's chain parted from the index's deeper than can be undone.
    pub fn set_forked(&self, forked: bool) {
        self.forked.store(forked, Ordering::Relaxed);
    }

    /// Whether the source's chain parted from the index's deeper than can be undone. Then no indexed name is
    /// answered.
    pub fn is_forked(&self) -> bool {
        self.forked.load(Ordering::Relaxed)
    }

    /// Notes what keeps the index from going on, as one sentence; `None` when it goes on.
    pub fn set_trouble(&self, trouble: Option<String>) {
        if trouble.is_some() || self.trouble.load().is_some() {
            self.trouble.store(trouble.map(Arc::new));
        }
    }

    /// What keeps the index from going on, as one sentence.
    pub fn trouble(&self) -> Option<Arc<String>> {
        self.trouble.load_full()
    }

    /// Height of the indexed tip, 0 before the first block.
    pub fn height(&self) -> u32 {
        self.height.load(Ordering::Relaxed)
    }

    /// Height of the best block that the source knows.
    pub fn best_height(&self) -> u32 {
        self.best_height.load(Ordering::Relaxed)
    }

    /// Header time of the indexed tip, seconds since 1970.
    pub fn block_time(&self) -> u32 {
        self.block_time.load(Ordering::Relaxed)
    }
}
