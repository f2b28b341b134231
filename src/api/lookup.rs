//! The endpoint `lookup`: the records of a name.

use serde::{Deserialize, Serialize};

/// What is looked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookupRequest {
    /// The domain name, with or without the last dot.
    pub name: String,
    /// The record type as in a zone file: `A`, `TYPE256`.
    #[serde(rename = "type")]
    pub record_type: String,
    /// The height whose state answers; without it the indexed tip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<u32>,
}

/// What a DNS client would get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupReply {
    /// The name that was asked for.
    pub name: String,
    /// The type that was asked for.
    #[serde(rename = "type")]
    pub record_type: String,
    /// The response code by its mnemonic: `NOERROR`, `NXDOMAIN`, `SERVFAIL`, `REFUSED`.
    pub rcode: String,
    /// The answer section, in its order.
    pub records: Vec<RecordText>,
    /// The height whose state answered; `null` when the answer came from an upstream.
    pub height: Option<u32>,
    /// Extended error (RFC 8914), if the answer carries one.
    pub ede: Option<ExtendedError>,
    /// Whether the answer comes from a zone of ours (AA).
    pub authoritative: bool,
}

/// One resource record as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordText {
    /// Owner name, fully qualified.
    pub owner: String,
    /// Seconds.
    pub ttl: u32,
    /// Its type.
    #[serde(rename = "type")]
    pub record_type: String,
    /// Its data as in a zone file (RFC 1035 §5.1, RFC 3597 §5 for unknown types).
    pub data: String,
}

/// An extended error (RFC 8914).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtendedError {
    /// Its registered number.
    pub code: u16,
    /// The text beside it, possibly empty.
    pub text: String,
}

impl LookupReply {
    /// Whether there is at least one record.
    pub fn has_records(&self) -> bool {
        !self.records.is_empty()
    }

    /// Whether the question was answered, be it with "no such name" or "no such record".
    pub fn is_answer(&self) -> bool {
        matches!(self.rcode.as_str(), "NOERROR" | "NXDOMAIN")
    }
}
