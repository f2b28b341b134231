//! Questions that are out: the same question is asked once, whoever wants to know (RFC 5452 §5). Their number is bounded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::ask::Key;
use super::entry::Entry;
use super::error::ForwardError;
use super::line::{Line, Waiter};

/// How a question ended.
pub type Outcome = Result<Landed, ForwardError>;

/// A response and what it cost.
#[derive(Debug, Clone)]
pub struct Landed {
    /// The response.
    pub entry: Arc<Entry>,
    /// Packets.
    pub packets: u8,
}

/// A question, with the number of the terms under which it is asked: under other ones it is another question.
type Place = (u64, Key);

/// All questions that are out.
pub struct Flights {
    out: Arc<Mutex<HashMap<Place, Flight>>>,
    line: Arc<Line>,
}

/// One question that is out.
#[derive(Debug, Clone)]
pub struct Flight {
    outcome: watch::Receiver<Option<Outcome>>,
}

/// Whoever has to bring the response. Dropped without one, the question has failed.
pub struct Pilot {
    place: Place,
    out: Arc<Mutex<HashMap<Place, Flight>>>,
    outcome: watch::Sender<Option<Outcome>>,
    waiter: Waiter,
}

impl Flights {
    /// Room for `max` questions.
    pub fn new(max: usize) -> Self {
        Self {
            out: Arc::default(),
            line: Line::new(max),
        }
    }

    /// Joins the question that is out under the terms of this number; the first to come becomes its pilot. `None` if there
    /// is no room for another one.
    pub fn join(&self, terms: u64, key: Key) -> Option<(Flight, Option<Pilot>)> {
        let place = (terms, key);
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = out.get(&place) {
            return Some((flight.clone(), None));
        }
        let waiter = self.line.join()?;
        let (sender, outcome) = watch::channel(None);
        let flight = Flight { outcome };
        out.insert(place.clone(), flight.clone());
        let pilot = Pilot {
            place,
            out: Arc::clone(&self.out),
            outcome: sender,
            waiter,
        };
        Some((flight, Some(pilot)))
    }
}

impl Flight {
    /// Waits for the end.
    pub async fn land(mut self) -> Outcome {
        let outcome = self.outcome.wait_for(Option::is_some).await;
        let outcome = outcome.ok().and_then(|outcome| outcome.clone());
        outcome.unwrap_or(Err(ForwardError::Timeout))
    }
}

impl Pilot {
    /// Brings what comes of `asking` to everybody who waits for it. Fails when too many other questions are out.
    pub async fn fly(mut self, asking: impl Future<Output = Outcome>) {
        let outcome = self.waiter.wait(asking).await;
        let outcome = outcome.unwrap_or(Err(ForwardError::CrowdedOut));
        self.outcome.send_replace(Some(outcome));
    }
}

impl Drop for Pilot {
    fn drop(&mut self) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.remove(&self.place);
    }
}
