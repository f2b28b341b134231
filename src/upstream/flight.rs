//! Questions that are out: the same question is asked once, whoever wants to know (RFC 5452 §5).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::ask::Key;
use super::entry::Entry;
use super::error::ForwardError;

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

/// All questions that are out.
#[derive(Default)]
pub struct Flights {
    out: Arc<Mutex<HashMap<Key, Flight>>>,
}

/// One question that is out.
#[derive(Debug, Clone)]
pub struct Flight {
    outcome: watch::Receiver<Option<Outcome>>,
}

/// Whoever has to bring the response. Dropped without one, the question has failed.
pub struct Pilot {
    key: Key,
    out: Arc<Mutex<HashMap<Key, Flight>>>,
    outcome: watch::Sender<Option<Outcome>>,
}

impl Flights {
    /// Joins the question that is out; the first to come becomes its pilot.
    pub fn join(&self, key: Key) -> (Flight, Option<Pilot>) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = out.get(&key) {
            return (flight.clone(), None);
        }
        let (sender, outcome) = watch::channel(None);
        let flight = Flight { outcome };
        out.insert(key.clone(), flight.clone());
        let pilot = Pilot {
            key,
            out: Arc::clone(&self.out),
            outcome: sender,
        };
        (flight, Some(pilot))
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
    /// Tells everybody.
    pub fn land(self, outcome: Outcome) {
        self.outcome.send_replace(Some(outcome));
    }
}

impl Drop for Pilot {
    fn drop(&mut self) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.remove(&self.key);
    }
}
