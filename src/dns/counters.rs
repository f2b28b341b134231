//! How queries ended, counted, and how long a sample of them took.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::latency::{Latencies, LatencyCounts};
use crate::resolver::Outcome;

/// Of so many queries with one outcome, one is timed while there are many; a power of two.
const MANY_SAMPLED: u64 = 64;
/// Queries a second from which on there are many: two more clock readings for each would be felt.
const MANY: u64 = 1_000;

/// Counters of one daemon. They only grow.
#[derive(Debug, Default)]
pub struct Counters {
    ends: Ends,
    dropped: AtomicU64,
    asked: AtomicU64,
    latencies: Latencies,
}

/// What every query touches, on a cache line of its own.
#[derive(Debug)]
#[repr(align(64))]
struct Ends {
    outcomes: [AtomicU64; Outcome::ALL.len()],
    /// Of so many queries with one outcome, one is timed; a power of two.
    sampled: AtomicU64,
}

impl Default for Ends {
    fn default() -> Self {
        Self {
            outcomes: Default::default(),
            sampled: AtomicU64::new(MANY_SAMPLED),
        }
    }
}

impl Counters {
    /// Counts the end of a query that arrived at `arrival`. `now` is called for the sample that is timed.
    pub fn count(&self, outcome: Outcome, arrival: Duration, now: impl FnOnce() -> Duration) {
        let earlier = self.ends.outcomes[outcome as usize].fetch_add(1, Ordering::Relaxed);
        let sampled = self.ends.sampled.load(Ordering::Relaxed);
        if earlier & (sampled - 1) == 0 {
            self.latencies.note(now().saturating_sub(arrival), sampled);
        }
    }

    /// Chooses the sample by the number of queries in the last second: every query while there are few.
    pub fn choose_sample(&self, queries: u64) {
        let sampled = if queries < MANY { 1 } else { MANY_SAMPLED };
        self.ends.sampled.store(sampled, Ordering::Relaxed);
    }

    /// Counts a packet that was no query and got no answer.
    pub fn count_dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a forwarded query for which an upstream was asked.
    pub fn count_asked(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }

    /// How many queries ended like this.
    pub fn get(&self, outcome: Outcome) -> u64 {
        self.ends.outcomes[outcome as usize].load(Ordering::Relaxed)
    }

    /// How many packets got no answer.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// For how many of the forwarded queries an upstream was asked; the others were answered from the cache.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// How long queries took, from their arrival until their end was known.
    pub fn latencies(&self) -> LatencyCounts {
        self.latencies.read()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(counters: &Counters, outcome: Outcome) {
        let now = || Duration::from_millis(1_005);
        counters.count(outcome, Duration::from_millis(1_000), now);
    }

    #[test]
    fn every_outcome_has_its_own_counter() {
        let counters = Counters::default();
        for (index, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, index);
            count(&counters, outcome);
            assert_eq!(counters.get(outcome), 1);
        }
    }

    #[test]
    fn a_sample_stands_for_all() {
        let counters = Counters::default();
        let timed = |queries: u64| {
            let before = counters.latencies();
            (0..queries).for_each(|_| count(&counters, Outcome::Answered));
            counters.latencies().since(&before).count()
        };
        assert_eq!(timed(640), 640, "ten are timed, and each stands for 64");
        counters.choose_sample(20);
        assert_eq!(timed(7), 7, "with few, each is timed");
        counters.choose_sample(MANY);
        assert!(timed(640) % MANY_SAMPLED == 0);
    }
}
