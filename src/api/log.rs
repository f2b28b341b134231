//! The requests `log`, `headers` and `piece`: what a log of the chain is written from.
//!
//! Whoever writes the files asks for one piece after the other. A piece ends where it costs the daemon more than a second or
//! its bytes become too many for a reply.

use bitcoin::{BlockHash, Network};
use serde::{Deserialize, Serialize};

use super::zonefiles::Bytes;
use crate::hash::ConsensusHash;

/// Asks which chain the log is of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogRequest {
    /// A block that the reply is to name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
}

/// Which chain it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogReply {
    /// The Bitcoin network.
    pub bitcoin: Network,
    /// The magic bytes of operations.
    pub magic: [u8; 2],
    /// The first block of the virtualchain.
    pub first_block: u32,
    /// The indexed tip; `null` before the first block.
    pub tip: Option<LoggedBlock>,
    /// The block that was asked for; `null` if it is not indexed.
    pub block: Option<LoggedBlock>,
}

/// An indexed block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedBlock {
    /// Its height.
    pub height: u32,
    /// The hash of its header.
    pub hash: BlockHash,
    /// The consensus hash after it.
    pub consensus_hash: ConsensusHash,
    /// How many candidates the index has up to it, from the multiple of 2016 below it.
    pub candidates: u32,
}

/// Asks for headers of the best chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadersRequest {
    /// Height of the first one.
    pub from: u32,
    /// How many, at most 2,000.
    pub count: u32,
}

/// Headers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadersReply {
    /// 80 bytes each; fewer than were asked for where the chain ends.
    pub headers: Bytes,
}

/// Asks for what a log says of a run of blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PieceRequest {
    /// Height of the first one.
    pub from: u32,
    /// Height of the last one that is wanted.
    pub to: u32,
}

/// What a log says of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PieceReply {
    /// The last block of the run.
    pub last: LoggedBlock,
    /// The records, as a segment of a log.
    pub segment: Bytes,
}
