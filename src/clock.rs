//! Time as a handed-in value, so that a test can let an hour pass.
//!
//! Whatever compares times for longer than one wait takes a [`Clock`]: expiry, lag, TTLs, uptime. Timeouts of single
//! waits (a socket, a pause before the next try) use `Instant`, as the runtime does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// The two times that the daemon needs.
pub trait Clock: Send + Sync {
    /// Seconds since 1970. It can jump in either direction: only for comparison with block times and for display.
    fn unix_time(&self) -> u64;

    /// Time since the clock was made, suspensions included. It never goes back: for TTLs, deadlines and uptime.
    fn elapsed(&self) -> Duration;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    start: Duration,
}

impl SystemClock {
    /// A clock whose [`Clock::elapsed`] starts now.
    pub fn start() -> Self {
        Self { start: boot_time() }
    }
}

impl Clock for SystemClock {
    fn unix_time(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs()) // a machine without a battery wakes up before 1970 at worst
    }

    fn elapsed(&self) -> Duration {
        boot_time().saturating_sub(self.start)
    }
}

/// Time since the machine started. What `Instant` measures stands still while it is suspended.
fn boot_time() -> Duration {
    #[cfg(target_os = "linux")]
    const CLOCK: ClockId = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: ClockId = ClockId::Monotonic;
    let time = clock_gettime(CLOCK);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// A clock that only moves when it is told to.
#[derive(Debug, Default)]
pub struct ManualClock {
    start: u64,
    elapsed: AtomicU64,
}

impl ManualClock {
    /// A clock that stands at `unix_time`.
    pub fn at(unix_time: u64) -> Self {
        Self {
            start: unix_time,
            elapsed: AtomicU64::new(0),
        }
    }

    /// Lets whole seconds pass.
    pub fn advance(&self, seconds: u64) {
        self.elapsed.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn unix_time(&self) -> u64 {
        let elapsed = self.elapsed.load(Ordering::Relaxed);
        self.start.saturating_add(elapsed)
    }

    fn elapsed(&self) -> Duration {
        Duration::from_secs(self.elapsed.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_when_told() {
        let clock = ManualClock::at(1_000);
        clock.advance(60);
        assert_eq!(clock.unix_time(), 1_060);
        assert_eq!(clock.elapsed(), Duration::from_secs(60));
    }
}
