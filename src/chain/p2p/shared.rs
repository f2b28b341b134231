//! What the node on its thread and those who use it have in common.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::PeersStatus;
use super::line::Counters;
use super::orders::Orders;
use crate::clock::{Clock as _, SystemClock};

/// The common things.
pub(super) struct Shared {
    orders: Mutex<Orders>,
    /// Whether headers or a block came that nobody was told of.
    news: Mutex<bool>,
    came: Condvar,
    /// Bytes of all connections.
    pub counters: Arc<Counters>,
    /// There is something to do for the node.
    pub wake: Notify,
    stopped: AtomicBool,
    clock: SystemClock,
    peers: Mutex<Peers>,
}

#[derive(Default)]
struct Peers {
    connected: usize,
    best_claimed: Option<u32>,
    heard: Option<Duration>,
}

impl Shared {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            orders: Mutex::default(),
            news: Mutex::default(),
            came: Condvar::new(),
            counters: Arc::default(),
            wake: Notify::new(),
            stopped: AtomicBool::new(false),
            clock: SystemClock::start(),
            peers: Mutex::default(),
        }
    }

    /// The wanted blocks.
    pub fn orders(&self) -> MutexGuard<'_, Orders> {
        lock(&self.orders)
    }

    /// Headers or a block came.
    pub fn set_news(&self) {
        *lock(&self.news) = true;
        self.came.notify_all();
    }

    /// Waits for news; whether there are some.
    pub fn wait(&self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        let mut news = lock(&self.news);
        while !*news && !self.is_stopped() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.came.wait_timeout(news, left);
            news = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::take(&mut news)
    }

    /// Ends the node and all waiting.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.wake.notify_one();
        let _news = lock(&self.news);
        self.came.notify_all();
    }

    /// Whether the node is to end.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// A peer said something.
    pub fn set_heard(&self) {
        lock(&self.peers).heard = Some(self.clock.elapsed());
    }

    /// How many peers are connected, and the highest block that they claim to have.
    pub fn set_peers(&self, connected: usize, best_claimed: Option<u32>) {
        let mut peers = lock(&self.peers);
        (peers.connected, peers.best_claimed) = (connected, best_claimed);
    }

    /// What is shown.
    pub fn status(&self) -> PeersStatus {
        let peers = lock(&self.peers);
        let now = self.clock.elapsed();
        PeersStatus {
            connected: peers.connected,
            best_claimed: peers.best_claimed,
            last_heard: peers.heard.map(|heard| now.saturating_sub(heard)),
            bytes_in: self.counters.received.load(Ordering::Relaxed),
            bytes_out: self.counters.sent.load(Ordering::Relaxed),
        }
    }
}

/// A panic elsewhere leaves nothing half done: every change is one statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
