//! The endpoint `explain`: an answer and everything it rests on.

use serde::{Deserialize, Serialize};

use super::lookup::LookupReply;
use super::names::TermReply;

/// What is explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainRequest {
    /// The domain name, with or without the last dot.
    pub name: String,
    /// The record type as in a zone file.
    #[serde(rename = "type")]
    pub record_type: String,
}

/// An answer with its provenance. Fields of a name on the chain are `null` when the name was never registered
/// or when an upstream is the one that answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ExplainReply {
    /// The name that was asked for.
    pub name: String,
    /// The registered name that it belongs to: `werner.id` for `www.werner.id`.
    pub registered_name: Option<String>,
    /// Which side answers and why.
    pub decision: Decision,
    /// What the chain says about the name.
    pub status: Option<NameStatus>,
    /// Height of the last operation on the name.
    pub height: Option<u32>,
    /// Transaction of that operation.
    pub txid: Option<String>,
    /// Its place in its block.
    pub vtxindex: Option<u32>,
    /// That operation in the reference's words: `NAME_UPDATE`.
    pub operation: Option<String>,
    /// Address of the owner.
    pub owner: Option<String>,
    /// Hash of the zone file as the chain has it.
    pub zonefile_hash: Option<String>,
    /// Where the zone file came from.
    pub zonefile_source: Option<ZonefileSource>,
    /// What in the zone file was left out, one sentence each.
    pub zonefile_problems: Vec<String>,
    /// Blocks on the chain from the last operation on, its own included.
    pub confirmations: Option<u32>,
    /// Consensus hash of the indexed tip.
    pub consensus_hash: Option<String>,
    /// The end of this life.
    #[serde(flatten)]
    pub term: TermReply,
    /// Height at which this life of the name began.
    pub first_registered: Option<u32>,
    /// Height of the last registration or renewal.
    pub last_renewed: Option<u32>,
    /// All operations on the name that are known, oldest first.
    pub history: Vec<HistoryEntry>,
    /// What a DNS client gets.
    pub answer: Option<LookupReply>,
}

/// Which side of a possible collision answers, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Who answers.
    pub side: Side,
    /// Why, as one sentence.
    pub reason: String,
    /// Mode of the namespace: `exact`, `only`, `legacy-first`, `off`.
    pub mode: Option<String>,
    /// Whether the label is one that is never shadowed.
    pub protected: bool,
    /// Whether the name was asked for under `bns.alt`.
    pub alias: bool,
}

/// Who answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The chain.
    Bns,
    /// An upstream.
    #[default]
    Legacy,
    /// The program itself, for special-use names (RFC 6761).
    Local,
}

/// What the chain says about a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NameStatus {
    /// It has an owner and resolves.
    Registered,
    /// Its owner took it back.
    Revoked,
    /// Nobody renewed it in time.
    Expired,
    /// Nobody ever registered it.
    Unregistered,
}

/// Where a zone file came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum ZonefileSource {
    /// It was in the archive already.
    Archive,
    /// A watched folder.
    Folder {
        /// The file.
        path: String,
    },
    /// Nobody has supplied it.
    Missing,
    /// The stored bytes no longer have the hash.
    Tampered,
}

/// One operation on a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Its block.
    pub height: u32,
    /// Its place in the block.
    pub vtxindex: u32,
    /// Its transaction.
    pub txid: String,
    /// What it was, in the reference's words.
    pub operation: String,
}
