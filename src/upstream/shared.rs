//! A connection that questions share, made when it is needed and again when it was closed.
//!
//! One question connects, the others wait for it; nobody waits beyond the own deadline, and those who waited for an
//! attempt that failed fail with it instead of trying one after another.

use std::sync::{Mutex as Lock, MutexGuard, PoisonError};

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::attempt::Failed;

/// A connection that questions share.
pub struct Shared<C> {
    slot: Lock<Slot<C>>,
    /// Held by whoever connects.
    turn: Mutex<()>,
}

/// What there is of a connection.
struct Slot<C> {
    open: Option<C>,
    /// How often somebody has begun to connect. Tells one connection from the next.
    attempts: u64,
    /// How the last attempt failed, if it did.
    failed: Option<Failed>,
}

/// What can be shared.
pub trait Connection: Clone {
    /// Whether it can still be asked.
    fn is_open(&self) -> bool;
}

impl<C> Default for Shared<C> {
    fn default() -> Self {
        let slot = Slot {
            open: None,
            attempts: 0,
            failed: None,
        };
        Self {
            slot: Lock::new(slot),
            turn: Mutex::new(()),
        }
    }
}

impl<C: Connection> Shared<C> {
    /// Asks over the connection that is open, or over one that `connect` makes, until `deadline`. An open one that turns
    /// out to be closed is replaced; one that stays silent is left, because it may never speak again.
    pub async fn ask<T, M, A>(
        &self,
        deadline: Instant,
        connect: impl Fn() -> M,
        ask: impl Fn(C) -> A,
    ) -> Result<T, Failed>
    where
        M: Future<Output = Result<C, Failed>>,
        A: Future<Output = Result<T, Failed>>,
    {
        let timeout = |_| Err(Failed::Timeout);
        loop {
            let (open, number) = self.open();
            let was_open = open.is_some();
            let (connection, number) = match open {
                Some(open) => (open, number),
                None => {
                    let connecting = timeout_at(deadline, self.connect(number, &connect));
                    connecting.await.unwrap_or_else(timeout)?
                }
            };
            let asked = timeout_at(deadline, ask(connection)).await;
            match asked.unwrap_or_else(|_| Err(Failed::Timeout)) {
                Err(Failed::Closed) if was_open => self.leave(number),
                Err(Failed::Timeout) => {
                    self.leave(number);
                    return Err(Failed::Timeout);
                }
                answer => return answer,
            }
        }
    }

    /// Leaves the connection to those who still use it; the next question makes another one.
    pub fn clear(&self) {
        self.slot().open = None;
    }

    /// The connection that is open, and the number of attempts so far.
    fn open(&self) -> (Option<C>, u64) {
        let slot = self.slot();
        (slot.open.clone().filter(C::is_open), slot.attempts)
    }

    /// Connects, or takes what came of an attempt that began after the one with the number `seen`.
    async fn connect<M>(&self, seen: u64, connect: impl Fn() -> M) -> Result<(C, u64), Failed>
    where
        M: Future<Output = Result<C, Failed>>,
    {
        let _turn = self.turn.lock().await;
        let (open, number) = self.open();
        if let Some(open) = open {
            return Ok((open, number));
        }
        if let Some(failed) = self.failed_since(seen) {
            return Err(failed);
        }
        let number = self.begin();
        let connected = connect().await;
        let mut slot = self.slot();
        slot.failed = connected.as_ref().err().cloned();
        slot.open = connected.as_ref().ok().cloned();
        Ok((connected?, number))
    }

    fn failed_since(&self, seen: u64) -> Option<Failed> {
        let slot = self.slot();
        slot.failed.clone().filter(|_| slot.attempts > seen)
    }

    fn begin(&self) -> u64 {
        let mut slot = self.slot();
        slot.attempts += 1;
        slot.failed = None;
        slot.attempts
    }

    /// Leaves a connection, unless there is another one already.
    fn leave(&self, number: u64) {
        let mut slot = self.slot();
        if slot.attempts == number {
            slot.open = None;
        }
    }

    fn slot(&self) -> MutexGuard<'_, Slot<C>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
