//! The endpoint `explain`: an answer and everything it rests on.

use serde::{Deserialize, Serialize};

use super::lookup::LookupReply;
pub use crate::names::{NameStatus, ZonefileSource};

use crate::names::{Provenance, SubdomainDetails};

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

/// An answer with its provenance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ExplainReply {
    /// The name that was asked for.
    pub name: String,
    /// Which side answers and why.
    pub decision: Decision,
    /// What the chain says about the name.
    #[serde(flatten)]
    pub provenance: Provenance,
    /// The subdomain with an owner of its own that was asked for, or that this is a part of; `null` if there is no record of one.
    #[serde(default)]
    pub subdomain: Option<SubdomainDetails>,
    /// Consensus hash of the indexed tip.
    pub consensus_hash: Option<String>,
    /// Whether the tip is the last block of a network that ended, so that what the chain says stays so for ever.
    #[serde(default, rename = "final")]
    pub is_final: bool,
    /// What the chain rests on where its blocks are not all read, in one sentence.
    #[serde(default)]
    pub rests_on: Option<String>,
    /// What a DNS client gets.
    pub answer: Option<LookupReply>,
}

/// Which side of a possible collision answers, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
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
