//! The endpoint `peers`: who brings and takes zone files (Atlas).

use serde::{Deserialize, Serialize};

/// Most peers in a reply.
pub const PEERS_MAX: usize = 1_000;

/// Asks for the peers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeersRequest {}

/// The peers, neighbours first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PeersReply {
    /// How many are known.
    pub count: u64,
    /// The first of them, at most [`PEERS_MAX`].
    pub peers: Vec<Peer>,
}

/// Somebody who may have zone files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Peer {
    /// HOST:PORT.
    pub address: String,
    /// How it stands.
    pub state: PeerStanding,
    /// Whether `atlas.peers` names it.
    pub configured: bool,
    /// Calls of the last hour that went well, of all: 0 to 1; `null` before the first.
    pub health: Option<f64>,
    /// Announcements whose zone file it says it has; `null` before it was asked.
    pub zonefiles: Option<u32>,
    /// Seconds since a call went well; `null` if none did since the start.
    pub last_success_seconds: Option<u64>,
    /// Wrong files and broken replies that were counted against it.
    pub strikes: u32,
    /// Seconds until it is asked again, if it is banned.
    pub banned_seconds: Option<u64>,
}

/// How a peer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PeerStanding {
    /// It is asked for zone files, and told of new ones.
    Neighbour,
    /// It answered, and is on our chain.
    Known,
    /// It has not answered yet.
    Untried,
    /// It is left alone for an hour.
    Banned,
}
