//! A line of those who wait. Its length is bounded: whoever joins a full one takes the place of the one who waits longest.
//!
//! What has waited longest is least likely to come to a good end: its client gives up first. So a flood of questions to a
//! silent upstream fails early instead of taking memory, and new questions are still asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// This part of a full line may be leaving at the same time.
const LEAVING: usize = 8;

/// A line of those who wait.
#[derive(Debug)]
pub struct Line {
    max: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    /// The length that the line had at most since somebody asked.
    longest: usize,
    /// Those who are here, also those who have to leave and are not gone yet.
    present: usize,
    /// Whoever is dropped here has to leave.
    places: BTreeMap<u64, oneshot::Sender<()>>,
}

/// Somebody in a line, until this is dropped.
#[derive(Debug)]
pub struct Waiter {
    number: u64,
    line: Arc<Line>,
    crowded_out: oneshot::Receiver<()>,
}

impl Line {
    /// One for at most `max` at the same time.
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max: max.max(1),
            waiting: Mutex::default(),
        })
    }

    /// Takes a place, from the one who waits longest if there is none. `None` if too many have to leave already and are not
    /// gone yet: the machine does not keep up.
    pub fn join(self: &Arc<Self>) -> Option<Waiter> {
        let (place, crowded_out) = oneshot::channel();
        let mut waiting = self.lock();
        if waiting.present > self.max + self.max / LEAVING {
            return None;
        }
        waiting.present += 1;
        while waiting.places.len() >= self.max {
            waiting.places.pop_first();
        }
        let number = waiting.next;
        waiting.next += 1;
        waiting.places.insert(number, place);
        waiting.longest = waiting.longest.max(waiting.places.len());
        Some(Waiter {
            number,
            line: Arc::clone(self),
            crowded_out,
        })
    }

    /// How many wait.
    pub fn length(&self) -> usize {
        self.lock().places.len()
    }

    /// How many waited at most since this was asked last.
    pub fn take_longest(&self) -> usize {
        std::mem::take(&mut self.lock().longest)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    /// Waits for `work`; `None` if somebody else takes the place before it is done.
    pub async fn wait<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            _ = &mut self.crowded_out => None,
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = self.line.lock();
        waiting.places.remove(&self.number);
        waiting.present -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn whoever_waits_longest_leaves_a_full_line() {
        let line = Line::new(2);
        let join = || line.join().expect("a place");
        let (mut first, mut second) = (join(), join());
        assert_eq!(first.wait(ready(1)).await, Some(1));
        let third = join();
        assert_eq!(first.wait(pending::<()>()).await, None);
        assert!(line.join().is_none(), "the first is not gone yet");
        drop((first, third));
        let _fourth = join();
        assert_eq!(second.wait(ready(2)).await, Some(2));
        assert_eq!((line.length(), line.take_longest()), (2, 2));
        assert_eq!(line.take_longest(), 0);
    }
}
