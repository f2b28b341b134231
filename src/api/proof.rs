//! The endpoint `prove`: a proof of what a name was.

use serde::{Deserialize, Serialize};

use super::zonefiles::Bytes;
use crate::hash::ConsensusHash;

/// Asks for a proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProveRequest {
    /// The name.
    pub name: String,
    /// The height whose consensus hash the proof starts from; the tip if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<u32>,
    /// Whether the zone file stays out.
    #[serde(default)]
    pub bare: bool,
}

/// A proof, or why there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProveReply {
    /// The proof; `null` if there is none.
    pub proof: Option<Bytes>,
    /// The height whose consensus hash it starts from.
    pub height: Option<u32>,
    /// That hash.
    pub consensus_hash: Option<ConsensusHash>,
    /// Why there is none.
    pub reason: Option<String>,
}
