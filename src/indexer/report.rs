//! What the log says of a long sync.

use std::time::{Duration, Instant};

/// How often progress is logged during a long sync.
const EVERY: Duration = Duration::from_secs(10);

/// Says how a long sync goes, with rate and time left.
pub(super) struct Report {
    since: Instant,
    blocks: u32,
    syncing: bool,
}

impl Report {
    /// Nothing was done yet.
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            blocks: 0,
            syncing: false,
        }
    }

    /// So many blocks were connected, the last at `height` of `best`.
    pub(super) fn connected(&mut self, blocks: u32, height: u32, best: u32) {
        self.blocks += blocks;
        let elapsed = self.since.elapsed();
        if elapsed < EVERY {
            return;
        }
        let rate = f64::from(self.blocks) / elapsed.as_secs_f64();
        let left = f64::from(best.saturating_sub(height)) / rate;
        tracing::info!("block {height} of {best}, {rate:.0} blocks/s, {left:.0} s left");
        *self = Self {
            syncing: true,
            ..Self::new()
        };
    }

    /// The source looks at its files.
    pub(super) fn preparing(&mut self, done: usize, of: usize) {
        if self.since.elapsed() >= EVERY {
            tracing::info!("looking at the source's files: {done} of {of}");
            *self = Self::new();
        }
    }

    /// Nothing is left to do for now.
    pub(super) fn idle(&mut self) {
        if self.syncing {
            tracing::info!("synced");
        }
        *self = Self::new();
    }
}
