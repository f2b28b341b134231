//! Questions that upstreams could not answer, so that they are not asked again at once (RFC 9520).
//!
//! The first failure holds for [`FIRST`], each further one twice as long, never above [`LONGEST`] (RFC 9520 §3.2
//! demands one second at least and five minutes at most). A success forgets it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::ask::Key;
use super::error::ForwardError;

/// How long the first failure holds.
const FIRST: Duration = Duration::from_secs(2);
/// How long any failure holds.
const LONGEST: Duration = Duration::from_secs(300);
/// Failures that are kept; beyond, those that no longer hold are dropped, and then all.
const MAX: usize = 10_000;

/// Recent failures by question.
#[derive(Default)]
pub struct Failures {
    recent: Mutex<HashMap<Key, Failure>>,
}

struct Failure {
    error: ForwardError,
    holds: Duration,
    until: Duration,
}

impl Failures {
    /// The failure that still holds for a question.
    pub fn find(&self, key: &[u8], now: Duration) -> Option<ForwardError> {
        let recent = self.lock();
        let failure = recent.get(key).filter(|failure| now < failure.until)?;
        Some(failure.error.clone())
    }

    /// Notes a failure.
    pub fn note(&self, key: Key, error: ForwardError, now: Duration) {
        let mut recent = self.lock();
        if recent.len() >= MAX {
            recent.retain(|_, failure| now < failure.until);
        }
        if recent.len() >= MAX {
            recent.clear();
        }
        let holds = match recent.get(&key) {
            // A failure long ago says nothing about this one.
            Some(last) if now < last.until + LONGEST => (last.holds * 2).min(LONGEST),
            _ => FIRST,
        };
        let until = now + holds;
        let failure = Failure {
            error,
            holds,
            until,
        };
        recent.insert(key, failure);
    }

    /// Forgets the failure of a question that was answered.
    pub fn forget(&self, key: &[u8]) {
        self.lock().remove(key);
    }

    /// Forgets all failures: the network is another one.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Failure>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_hold_longer_each_time_and_end() {
        let failures = Failures::default();
        let key: Key = Box::from(*b"key");
        let at = Duration::from_secs;
        failures.note(key.clone(), ForwardError::Timeout, at(0));
        assert_eq!(failures.find(&key, at(1)), Some(ForwardError::Timeout));
        assert_eq!(failures.find(&key, at(2)), None);
        failures.note(key.clone(), ForwardError::Timeout, at(2));
        assert!(failures.find(&key, at(5)).is_some());
        for _ in 0..20 {
            failures.note(key.clone(), ForwardError::Timeout, at(6));
        }
        assert!(failures.find(&key, at(305)).is_some());
        assert!(failures.find(&key, at(306)).is_none());
        failures.forget(&key);
        failures.note(key.clone(), ForwardError::Timeout, at(400));
        assert!(failures.find(&key, at(402)).is_none());
    }
}
