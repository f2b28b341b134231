//! How long queries took: a histogram whose buckets are a quarter of an octave wide, so that a percentile is right to an
//! eighth, from a reply out of memory (a microsecond) to an upstream that gave up (seconds).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets in an octave, as a power of two.
const PARTS_LOG: u32 = 2;
/// The first octave begins at 2^8 = 256 ns; what is faster counts there.
const FIRST: u32 = 8;
/// The last one ends at 2^35 ns = 34 s, beyond what any query may take; what is slower counts there.
const OCTAVES: u32 = 27;
/// Buckets of the histogram.
const BUCKETS: usize = (OCTAVES << PARTS_LOG) as usize;

/// A histogram that many threads write.
#[derive(Debug)]
pub(super) struct Latencies {
    buckets: [AtomicU64; BUCKETS],
    total_ns: AtomicU64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self {
            buckets: std::array::from_fn(|_| AtomicU64::default()),
            total_ns: AtomicU64::default(),
        }
    }
}

impl Latencies {
    /// Notes the latency of one query, which stands for `weight` queries.
    pub(super) fn note(&self, latency: Duration, weight: u64) {
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(ns)].fetch_add(weight, Ordering::Relaxed);
        let total = ns.saturating_mul(weight);
        self.total_ns.fetch_add(total, Ordering::Relaxed);
    }

    /// What was noted so far.
    pub(super) fn read(&self) -> LatencyCounts {
        let read = |place: usize| self.buckets[place].load(Ordering::Relaxed);
        LatencyCounts {
            buckets: std::array::from_fn(read),
            total_ns: self.total_ns.load(Ordering::Relaxed),
        }
    }
}

/// How many queries took how long.
#[derive(Debug, Clone)]
pub struct LatencyCounts {
    buckets: [u64; BUCKETS],
    total_ns: u64,
}

impl Default for LatencyCounts {
    fn default() -> Self {
        Self {
            buckets: [0; BUCKETS],
            total_ns: 0,
        }
    }
}

impl LatencyCounts {
    /// What was noted after `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let gained = |place: usize| self.buckets[place].saturating_sub(earlier.buckets[place]);
        Self {
            buckets: std::array::from_fn(gained),
            total_ns: self.total_ns.saturating_sub(earlier.total_ns),
        }
    }

    /// How many queries there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Time that they took together.
    pub fn total(&self) -> Duration {
        Duration::from_nanos(self.total_ns)
    }

    /// How many queries there were between each power of two nanoseconds and the next, with the longer one, the fastest first.
    pub fn octaves(&self) -> impl Iterator<Item = (Duration, u64)> {
        let octaves = self.buckets.chunks(1 << PARTS_LOG).enumerate();
        octaves.map(|(octave, buckets)| {
            let end = start((octave + 1) << PARTS_LOG);
            (Duration::from_nanos(end), buckets.iter().sum())
        })
    }

    /// The latency that the share `part` of the queries, 0 to 1, did not exceed; `None` without queries.
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let rank = (self.count() as f64 * part).ceil() as u64;
        let mut below = 0;
        let place = self.buckets.iter().position(|count| {
            below += count;
            below >= rank.max(1)
        })?;
        let middle = u64::midpoint(start(place), start(place + 1));
        Some(Duration::from_nanos(middle))
    }
}

/// The bucket of a latency.
fn bucket(ns: u64) -> usize {
    let ns = ns.max(1 << FIRST);
    let octave = ns.ilog2();
    let part = ns >> (octave - PARTS_LOG) & ((1 << PARTS_LOG) - 1);
    let place = u64::from((octave - FIRST) << PARTS_LOG) + part;
    usize::try_from(place).map_or(BUCKETS - 1, |place| place.min(BUCKETS - 1))
}

/// The least latency of a bucket, in nanoseconds.
fn start(place: usize) -> u64 {
    let (octave, part) = (place >> PARTS_LOG, place as u64 & ((1 << PARTS_LOG) - 1));
    ((1 << PARTS_LOG) + part) << (octave as u32 + FIRST - PARTS_LOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other() {
        for place in 0..BUCKETS {
            assert_eq!(bucket(start(place)), place);
            assert_eq!(bucket(start(place + 1) - 1), place);
        }
        assert_eq!((start(0), bucket(0)), (256, 0));
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_right_to_an_eighth() {
        let latencies = Latencies::default();
        assert_eq!(latencies.read().quantile(0.5), None);
        let before = latencies.read();
        for micros in 1..=1_000 {
            latencies.note(Duration::from_micros(micros), 1);
        }
        let counts = latencies.read().since(&before);
        assert_eq!(counts.count(), 1_000);
        for (part, micros) in [(0.5, 500.0), (0.99, 990.0), (0.01, 10.0), (1.0, 1_000.0)] {
            let found = counts.quantile(part).expect("queries").as_secs_f64() * 1e6;
            assert!((found / micros - 1.0).abs() < 0.125, "{part}: {found}");
        }
    }
}
