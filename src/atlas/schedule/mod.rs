//! What to ask of which peer, and when. Events, time and randomness in; actions out.

mod exchange;

pub use exchange::{Action, Call, Event, Failure, PeerState, Reply, Settings};

use std::time::Duration;

use super::address::PeerAddress;
use super::dice::{Dice, shuffle};

/// The state of the network as one node sees it. All times are durations since one moment of the caller's choice.
#[derive(Debug)]
pub struct Schedule {
    settings: Settings,
    now: Duration,
}

impl Schedule {
    /// A node that knows nobody but the peers of its configuration.
    pub fn new(settings: Settings, now: Duration) -> Self {
        Self { settings, now }
    }

    /// Takes in what happened; what to do because of it.
    pub fn handle(&mut self, event: Event, now: Duration, dice: &mut impl Dice) -> Vec<Action> {
        let _ = event;
        self.tick(now, dice)
    }

    /// What to do because time went by.
    pub fn tick(&mut self, now: Duration, dice: &mut impl Dice) -> Vec<Action> {
        let _ = dice.unit();
        self.now = now;
        Vec::new()
    }

    /// When [`Schedule::tick`] is due, if nothing happens before.
    pub fn next(&self) -> Option<Duration> {
        None
    }

    /// Whom to tell others of: peers that answered within the hour and are healthy, at most 80, in random order.
    pub fn neighbours(&self, now: Duration, dice: &mut impl Dice) -> Vec<PeerAddress> {
        let _ = now;
        let mut peers = self.settings.peers.clone();
        shuffle(&mut peers, dice);
        peers
    }

    /// All peers, neighbours first.
    pub fn peers(&self, now: Duration) -> Vec<PeerState> {
        let _ = now;
        Vec::new()
    }
}
