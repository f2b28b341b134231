//! What the schedule is told and what it says: events in, actions out.

use std::time::Duration;

use super::super::inventory::Inventory;
use super::super::rule::PeerRule;
use crate::hash::ZonefileHash;
use crate::peer_address::PeerAddress;

/// Neighbours, unless the settings say otherwise: those whose inventories we follow and whom we push to (white paper).
const NEIGHBOURS: usize = 8;
/// Learned neighbours that share a prefix, so that one operator cannot be all of them.
const PER_PREFIX: usize = 2;

/// What a node is told by its owner.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Our own addresses, which are never asked.
    pub own: Vec<PeerAddress>,
    /// Peers of the configuration: never removed, and they may be of our own network.
    pub peers: Vec<PeerAddress>,
    /// Peers that may be of our own network, whoever names them.
    pub allow: Vec<PeerRule>,
    /// Peers that are never asked and never told of, whatever else names them.
    pub deny: Vec<PeerRule>,
    /// Whether there are backups to ask.
    pub backups: bool,
    /// How many neighbours to have.
    pub neighbours: usize,
    /// How many of the learned ones may share a prefix.
    pub per_prefix: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            own: Vec::new(),
            peers: Vec::new(),
            allow: Vec::new(),
            deny: Vec::new(),
            backups: false,
            neighbours: NEIGHBOURS,
            per_prefix: PER_PREFIX,
        }
    }
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// Somebody told us of a peer: a peer by its list, or nobody we know by asking us.
    Suggested {
        /// The peer.
        peer: PeerAddress,
        /// Who told.
        by: Option<PeerAddress>,
    },
    /// A peer of an earlier run.
    Remembered(PeerAddress),
    /// How many rows our chain has now.
    Rows(u32),
    /// A file that the chain announces and that we lack.
    Missing {
        /// Its hash.
        hash: ZonefileHash,
        /// The rows that announce it.
        rows: Vec<u32>,
    },
    /// A file that is not missing any more: stored, or not wanted after a reorganisation.
    NotMissing(ZonefileHash),
    /// Somebody asked by DNS for what a missing file says.
    Asked(ZonefileHash),
    /// A file that we stored and did not have before.
    Fresh {
        /// Its hash.
        hash: ZonefileHash,
        /// The rows that announce it.
        rows: Vec<u32>,
        /// The peer that sent it, if one did.
        from: Option<PeerAddress>,
    },
    /// A call ended with a reply.
    Replied {
        /// Who was called.
        peer: PeerAddress,
        /// What it said.
        reply: Reply,
    },
    /// A call ended without one.
    Failed {
        /// Who was called.
        peer: PeerAddress,
        /// What was asked.
        call: Call,
        /// Why there is no reply.
        failure: Failure,
    },
    /// The backups were asked; what they had is stored, and said by [`Event::Fresh`].
    BackupsAsked {
        /// Files for which a backup was asked and gave no answer.
        failed: Vec<ZonefileHash>,
        /// Files for which not all were asked, since one did not answer before or the time was over.
        unasked: Vec<ZonefileHash>,
        /// Whether no backup answers.
        are_down: bool,
    },
}

/// What a peer replied.
#[derive(Debug, Clone)]
pub enum Reply {
    /// What it says of itself.
    Info {
        /// Whether it follows our chain, is not stale, and speaks a version that we understand.
        agrees: bool,
    },
    /// Which files it has.
    Inventory(Inventory),
    /// Whom it knows.
    Neighbours(Vec<PeerAddress>),
    /// Files, all of which have the hash that was asked for.
    Files {
        /// What was asked for.
        asked: Vec<ZonefileHash>,
        /// What came.
        delivered: Vec<ZonefileHash>,
    },
    /// It took what we pushed, or had it.
    Pushed,
}

/// Why a call has no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection, or none that lasted.
    Unreachable,
    /// It took longer than the call may.
    TooSlow,
    /// What came is no reply.
    Malformed,
    /// A file that has another hash, or that nobody asked for.
    WrongFile,
    /// What came is right, and we could not keep it.
    Ours,
}

/// What is asked of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Who it is (`getinfo`).
    Info,
    /// Which files it has (`get_zonefile_inventory`).
    Inventory,
    /// Whom it knows; it learns of us (`atlas_peer_exchange`).
    Neighbours,
    /// At most 100 files (`get_zonefiles`).
    Fetch(Vec<ZonefileHash>),
    /// At most 5 files that it lacks (`put_zonefiles`).
    Push(Vec<ZonefileHash>),
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Call a peer; [`Event::Replied`] or [`Event::Failed`] ends the call.
    Call {
        /// Whom.
        peer: PeerAddress,
        /// What to ask.
        call: Call,
    },
    /// Look into the backups for these; [`Event::BackupsAsked`] ends it.
    AskBackups(Vec<ZonefileHash>),
    /// Keep a peer for the next run, seen now.
    Remember(PeerAddress),
    /// Forget a peer that was kept.
    Forget(PeerAddress),
}

/// A peer as its owner sees it. Times are ages.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerState {
    /// Where it is.
    pub address: PeerAddress,
    /// Whether the configuration names it.
    pub configured: bool,
    /// Whether it is one of our neighbours.
    pub neighbour: bool,
    /// The part of the calls of the last hour that it answered; 0 if there were none.
    pub health: f64,
    /// Calls of the last hour.
    pub calls: u32,
    /// Strikes against it; the third bans it.
    pub strikes: u32,
    /// How long it stays banned.
    pub banned_for: Option<Duration>,
    /// How long ago it answered last.
    pub answered: Option<Duration>,
    /// How many rows it has, if its inventory is known.
    pub present: Option<u32>,
}
