//! The endpoint `cache`: what is kept of upstreams' answers, and forgetting it.

use serde::{Deserialize, Serialize};

/// Most answers in a dump.
pub const DUMP_MAX: usize = 2_000;

/// Asks for the cache or for a part of it to be forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum CacheRequest {
    /// Forget everything, or everything at and below a name.
    Flush {
        /// The name.
        name: Option<String>,
    },
    /// Show what is there.
    Dump {},
}

/// What was done, or what is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheReply {
    /// Answers that were forgotten.
    pub flushed: u64,
    /// Answers that are there now.
    pub count: u64,
    /// Bytes that they occupy.
    pub bytes: u64,
    /// The first of them, at most [`DUMP_MAX`]; only in a dump.
    pub answers: Vec<KeptAnswer>,
}

/// One kept answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAnswer {
    /// The name that was asked for.
    pub name: String,
    /// The type; `ANY TYPE` where the name is missing.
    #[serde(rename = "type")]
    pub record_type: String,
    /// `records`, `no data` or `no such name`.
    pub says: String,
    /// Seconds that it still holds; 0 if it is out of date.
    pub remaining: u32,
    /// Whether DNSSEC records were asked for.
    pub dnssec: bool,
}
