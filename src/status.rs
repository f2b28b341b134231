//! What the index shows of itself while it runs.
//!
//! Every figure is one atomic, so that nothing waits. Readers get figures that are each true, but not all of the
//! same instant: what has to belong to one height is read from a snapshot of the store instead.

use std::sync::atomic::{AtomicU32, Ordering};

/// How far the index is.
#[derive(Debug, Default)]
pub struct Progress {
    height: AtomicU32,
    best_height: AtomicU32,
    block_time: AtomicU32,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_see_what_was_set() {
        let progress = Progress::default();
        progress.set_best_height(9);
        progress.set_tip(7, 1_600_000_000);
        assert_eq!((progress.height(), progress.best_height()), (7, 9));
        assert_eq!(progress.block_time(), 1_600_000_000);
    }
}
