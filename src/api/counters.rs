//! The request `counters`: figures that `status` has no place for, for whoever collects them (`/metrics`).

use serde::{Deserialize, Serialize};

/// Asks for the figures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountersRequest {}

/// The figures. Those that only grow begin at 0 with the daemon.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountersReply {
    /// Packets that were no queries and got no reply.
    pub dropped: u64,
    /// Forwarded queries for which an upstream was asked; the others were answered from the cache.
    pub asked: u64,
    /// Time that all queries took together, in nanoseconds.
    pub latency_total_ns: u64,
    /// How many queries took how long, the fastest first.
    pub latencies: Vec<LatencyBucket>,
    /// Who answers for other names.
    pub upstreams: Vec<UpstreamFigures>,
    /// Upstreams' responses in the cache.
    pub cached_responses: u64,
    /// The bytes that they occupy.
    pub cached_response_bytes: u64,
    /// Replies that are kept as they went out, and zones that replies are copied from.
    pub kept_replies: u64,
    /// The bytes that they occupy.
    pub kept_reply_bytes: u64,
    /// Descriptors that are open, where the system says it.
    pub open_descriptors: Option<u64>,
    /// Descriptors that may be open; `null` for no limit.
    pub descriptors_max: Option<u64>,
}

/// Queries with about the same latency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencyBucket {
    /// None of them took longer, and all took longer than those of the bucket before; nanoseconds.
    pub up_to_ns: u64,
    /// How many there are.
    pub queries: u64,
}

/// How an upstream does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamFigures {
    /// As in the configuration.
    pub upstream: String,
    /// Whether it is asked; one that fails is passed over for a while.
    pub is_up: bool,
    /// Its smoothed latency in microseconds; `null` before the first response.
    pub latency_us: Option<u64>,
}
