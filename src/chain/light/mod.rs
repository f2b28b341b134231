//! A chain without a node: logs of what decides about names, checked by work.
//!
//! ```text
//! places --fetch--> lists, headers, segments --check--> windows --union, join--> ConnectCandidates
//!           (a thread of its own)      HeaderChain          (the index asks)
//! ```
//!
//! A log cannot invent an operation, because every record is checked against a header with real work. It can leave one
//! out. Against that all logs are joined per block, so that the union is complete if one of them is. A log that changes,
//! or is added later, is compared with what was indexed before; what was left out then is a [`SourceError::Hole`].
//!
//! [`SourceError::Hole`]: super::SourceError::Hole

mod ahead;
mod audit;
mod checks;
mod desk;
mod evidence;
mod fetch;
mod full;
mod listing;
mod notes;
mod place;
mod segment;
mod shared;
mod shelf;
mod source;
#[cfg(test)]
mod tests;
mod union;
mod web;
mod whole;
mod window;

use std::net::SocketAddr;
use std::path::PathBuf;

use bitcoin::Network;

pub use desk::{AUDIT_MAX, AuditHole, AuditStatus, Audits};
pub use place::LogPlace;
pub use source::LightSource;

use segment::Chain;

use crate::hash::ConsensusHash;

/// What a chain without a node follows.
#[derive(Debug, Clone)]
pub struct LightOptions {
    /// The Bitcoin network.
    pub network: Network,
    /// The magic bytes of the candidates.
    pub magic: [u8; 2],
    /// The first block of the virtualchain.
    pub first_block: u32,
    /// Blocks that must be on top of one before it is given out.
    pub confirmations: u32,
    /// Where headers and segments are kept.
    pub directory: PathBuf,
    /// The logs.
    pub logs: Vec<LogPlace>,
    /// The SOCKS5 proxy through which logs are fetched.
    pub proxy: Option<SocketAddr>,
    /// Consensus hashes that the rules have to lead to, with their heights.
    pub pins: Vec<(u32, ConsensusHash)>,
    /// Old blocks a day that are looked at whole.
    pub audit_a_day: u32,
}

impl LightOptions {
    /// Which log is read.
    fn chain(&self) -> Chain {
        Chain {
            network: self.network,
            magic: self.magic,
            first_block: self.first_block,
        }
    }
}
