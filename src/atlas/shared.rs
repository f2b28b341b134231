//! What the node shares with the rest of the daemon: what it is told, and what it shows.

use arc_swap::ArcSwap;

use super::schedule::PeerState;
use super::signals::Signals;

/// Both ways.
#[derive(Default)]
pub struct Shared {
    /// What the node is told.
    pub signals: Signals,
    /// What it shows, at most a second old.
    pub report: ArcSwap<Report>,
}

/// How a node is.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// All peers, neighbours first.
    pub peers: Vec<PeerState>,
    /// Announcements on the chain.
    pub announcements: u32,
    /// Those whose zone file is wanted.
    pub wanted: u32,
    /// Those of them whose zone file is here.
    pub present: u32,
    /// Zone files that came in the last minute.
    pub a_minute: usize,
    /// Zone files that nobody has had for more than a day.
    pub long_missing: usize,
}
