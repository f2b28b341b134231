//! How an upstream has done lately: how fast, and whether at all.
//!
//! Latency is smoothed as TCP does it (RFC 6298 §2). An upstream that failed twice in a row is passed over for a
//! while, twice as long each time, and then tried again with one question.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row after which an upstream is passed over.
const DOWN_AFTER: u32 = 2;
/// How long it is passed over first.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// How long it is passed over at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A slower response counts as one after this time: a slow name says little about the upstream.
const SLOWEST: Duration = Duration::from_secs(2);

/// The health of one upstream.
#[derive(Debug, Default)]
pub struct Health {
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    smoothed: Option<Duration>,
    failures: u32,
    down_until: Option<Instant>,
    looping_until: Option<Instant>,
}

/// How long an upstream that leads back to us is left alone.
const LOOP_PAUSE: Duration = Duration::from_secs(60);

impl Health {
    /// Notes a response.
    pub fn answered(&self, after: Duration) {
        let mut state = self.lock();
        let after = after.min(SLOWEST);
        let smoothed = state
            .smoothed
            .map_or(after, |before| (before * 7 + after) / 8);
        *state = State {
            smoothed: Some(smoothed),
            looping_until: state.looping_until,
            ..State::default()
        };
    }

    /// Notes silence, or worse.
    pub fn failed(&self) {
        let mut state = self.lock();
        state.failures = state.failures.saturating_add(1);
        if state.failures >= DOWN_AFTER {
            let doublings = (state.failures - DOWN_AFTER).min(6);
            let pause = (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE);
            state.down_until = Some(Instant::now() + pause);
        }
    }

    /// Notes that it leads back to us.
    pub fn loops(&self) {
        self.lock().looping_until = Some(Instant::now() + LOOP_PAUSE);
    }

    /// Whether it leads back to us, as far as is known.
    pub fn is_looping(&self) -> bool {
        let until = self.lock().looping_until;
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Forgets everything: the network is another one.
    pub fn clear(&self) {
        *self.lock() = State::default();
    }

    /// By what upstreams are ordered: those in service first, then the fastest. One that was never asked
    /// counts as fast, so that it gets its chance.
    pub fn rank(&self) -> (bool, Duration) {
        let state = self.lock();
        let is_down = state.down_until.is_some_and(|until| Instant::now() < until);
        (is_down, state.smoothed.unwrap_or_default())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For people, behind the name of the upstream.
impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = *self.lock();
        if let Some(latency) = state.smoothed {
            write!(f, ", {} ms", latency.as_millis())?;
        }
        match state.failures {
            _ if self.is_looping() => write!(f, ", leads back to bnsd"),
            0 => Ok(()),
            failures => write!(f, ", failed {failures} times in a row"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_dead_upstream_is_passed_over_for_a_while() {
        let health = Health::default();
        health.failed();
        assert!(!health.rank().0);
        health.failed();
        assert!(health.rank().0);
        tokio::time::advance(FIRST_PAUSE).await;
        assert!(!health.rank().0);
        for _ in 0..100 {
            health.failed();
        }
        tokio::time::advance(LONGEST_PAUSE).await;
        assert!(!health.rank().0);
        health.answered(Duration::from_millis(30));
        assert_eq!(health.rank(), (false, Duration::from_millis(30)));
    }
}
