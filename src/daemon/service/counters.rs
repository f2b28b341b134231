//! Figures for whoever collects them.

use rustix::process::{Resource, getrlimit};

use super::Service;
use crate::api::counters::{CountersReply, LatencyBucket, UpstreamFigures};

impl Service {
    /// What was counted, and what is so at this moment.
    pub(super) fn counters(&self) -> CountersReply {
        let (counters, forwarder) = (&self.handler.counters, &self.handler.forwarder);
        let latencies = counters.latencies();
        let (kept_replies, kept_reply_bytes) = self.handler.kept_replies();
        let nanoseconds = |time: std::time::Duration| u64::try_from(time.as_nanos()).ok();
        let health = forwarder.health().into_iter();
        CountersReply {
            dropped: counters.dropped(),
            asked: counters.asked(),
            latency_total_ns: nanoseconds(latencies.total()).unwrap_or(u64::MAX),
            latencies: latencies
                .octaves()
                .map(|(end, queries)| LatencyBucket {
                    up_to_ns: nanoseconds(end).unwrap_or(u64::MAX),
                    queries,
                })
                .collect(),
            upstreams: health
                .map(|(upstream, is_up, latency)| UpstreamFigures {
                    upstream: upstream.to_string(),
                    is_up,
                    latency_us: latency.and_then(|latency| u64::try_from(latency.as_micros()).ok()),
                })
                .collect(),
            cached_responses: forwarder.cache.count() as u64,
            cached_response_bytes: forwarder.cache.weight(),
            kept_replies: kept_replies as u64,
            kept_reply_bytes,
            open_descriptors: open_descriptors(),
            descriptors_max: getrlimit(Resource::Nofile).current,
        }
    }
}

/// Descriptors of this process, where Linux lists them (proc(5)); the one that reads the list is among them.
fn open_descriptors() -> Option<u64> {
    let entries = std::fs::read_dir("/proc/self/fd").ok()?;
    Some(entries.count().saturating_sub(1) as u64)
}
