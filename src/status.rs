//! What the parts show of themselves while they run: progress of the index and counters of outcomes.
//!
//! Writers are hot paths, so every figure is one atomic and nothing waits. Readers get figures that are
//! each true, but not all of the same instant. No name that was asked for is kept here.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// How a question ended; log and counters use only these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Records of a name of ours.
    Answered,
    /// The name is ours and has no record of that type.
    NoData,
    /// The name would be ours and does not exist.
    NoSuchName,
    /// The chain knows the hash of the zone file, but nobody has the file, or only a wrong one.
    ZonefileMissing,
    /// Answered by an upstream.
    Forwarded,
    /// Not answered by policy.
    Refused,
    /// Something went wrong on the way.
    Failed,
}

impl Outcome {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 7] = [
        Self::Answered,
        Self::NoData,
        Self::NoSuchName,
        Self::ZonefileMissing,
        Self::Forwarded,
        Self::Refused,
        Self::Failed,
    ];

    /// Its name in `status`, the log and the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::NoData => "no-data",
            Self::NoSuchName => "no-such-name",
            Self::ZonefileMissing => "zone-file-missing",
            Self::Forwarded => "forwarded",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Counts outcomes.
#[derive(Debug, Default)]
pub struct Counters {
    counts: [AtomicU64; Outcome::ALL.len()],
}

impl Counters {
    /// One more question that ended so.
    pub fn count(&self, outcome: Outcome) {
        self.counts[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Every outcome with its count so far.
    pub fn read(&self) -> impl Iterator<Item = (Outcome, u64)> + '_ {
        let counts = self.counts.iter();
        Outcome::ALL
            .into_iter()
            .zip(counts.map(|count| count.load(Ordering::Relaxed)))
    }
}

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
    fn every_outcome_has_its_own_counter() {
        let counters = Counters::default();
        for (times, outcome) in Outcome::ALL.into_iter().enumerate() {
            (0..times).for_each(|_| counters.count(outcome));
        }
        let read: Vec<u64> = counters.read().map(|(_, count)| count).collect();
        assert_eq!(read, [0, 1, 2, 3, 4, 5, 6]);
    }
}
