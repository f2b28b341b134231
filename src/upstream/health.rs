//! How an upstream has done lately: how fast, and whether at all.
//!
//! Latency is smoothed as TCP does it (RFC 6298 §2). An upstream that failed twice in a row is passed over for a
//! while, twice as long each time, and then tried again with one question. One that leads back to us is left alone for
//! the names for which it does.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::rr::Name as DnsName;
use tokio::sync::watch;
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
    /// The domains whose questions it sends back to us, and until when that is believed.
    loops: watch::Sender<Vec<(DnsName, Instant)>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    smoothed: Option<Duration>,
    failures: u32,
    down_until: Option<Instant>,
}

/// How long an upstream that leads back to us is left alone.
const LOOP_PAUSE: Duration = Duration::from_secs(60);
/// Domains that are known to lead back to us at the same time.
const LOOPS_MAX: usize = 64;

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

    /// Notes that it leads back to us for names in `zone`, and tells whoever waits for such a name.
    pub fn note_loop(&self, zone: DnsName) {
        let now = Instant::now();
        self.loops.send_modify(|loops| {
            loops.retain(|(other, until)| now < *until && !zone.zone_of(other));
            loops.truncate(LOOPS_MAX - 1);
            loops.push((zone, now + LOOP_PAUSE));
        });
    }

    /// Whether it leads back to us for a name, as far as is known.
    pub fn is_looping(&self, name: &DnsName) -> bool {
        leads_back(&self.loops.borrow(), name)
    }

    /// Waits until it is known to lead back to us for a name.
    pub async fn looping(&self, name: &DnsName) {
        let mut loops = self.loops.subscribe();
        let found = loops.wait_for(|loops| leads_back(loops, name));
        if found.await.map(|_| ()).is_err() {
            std::future::pending::<()>().await; // nobody is left who could find out
        }
    }

    /// Forgets everything: the network is another one.
    pub fn clear(&self) {
        *self.lock() = State::default();
        self.loops.send_modify(Vec::clear);
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

fn leads_back(loops: &[(DnsName, Instant)], name: &DnsName) -> bool {
    let now = Instant::now();
    let mut loops = loops.iter();
    loops.any(|(zone, until)| now < *until && zone.zone_of(name))
}

/// For people, behind the name of the upstream.
impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = *self.lock();
        if let Some(latency) = state.smoothed {
            write!(f, ", {} ms", latency.as_millis())?;
        }
        let now = Instant::now();
        for (zone, _) in self.loops.borrow().iter().filter(|(_, until)| now < *until) {
            match zone.is_root() {
                true => write!(f, ", leads back to bnsd")?,
                false => write!(f, ", leads back to bnsd for {}", zone.to_ascii())?,
            }
        }
        match state.failures {
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

    #[tokio::test(start_paused = true)]
    async fn a_way_back_is_left_alone_for_a_while_and_the_others_are_not() {
        let health = Health::default();
        let name = |text: &str| DnsName::from_ascii(text).expect("a name");
        health.note_loop(name("x.id."));
        health.note_loop(name("id."));
        health.looping(&name("www.y.id.")).await;
        assert!(!health.is_looping(&name("www.example.com.")));
        assert_eq!(health.to_string(), ", leads back to bnsd for id.");
        tokio::time::advance(LOOP_PAUSE).await;
        assert!(!health.is_looping(&name("x.id.")));
    }
}
