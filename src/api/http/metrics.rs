//! Figures for Prometheus and what reads its format (OpenMetrics 1.0).
//!
//! The names follow the conventions: the prefix `bnsd_`, base units (seconds, bytes), `_total` for what only grows. The text
//! behind `# HELP` says what each is.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::answer::{Api, Refusal};
use super::endpoint::{Call, Endpoint};
use super::public;
use crate::api::counters::{CountersReply, CountersRequest};
use crate::api::status::{StatusReply, StatusRequest};

/// The media type of the format.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// In a second.
const NANOSECONDS: f64 = 1e9;

/// The endpoint of this file.
pub fn endpoint() -> Endpoint {
    let meaning = "All figures, in the text format of OpenMetrics.";
    Endpoint::text("/metrics", meaning, OPENMETRICS, metrics)
}

async fn metrics(api: Api, _call: Call) -> Result<String, Refusal> {
    let status = public::status(*api.ask(StatusRequest::default()).await?);
    let counters = api.ask(CountersRequest {}).await?;
    let mut registry = Registry::with_prefix("bnsd");
    registry.register_collector(Box::new(Figures {
        status,
        counters: *counters,
    }));
    let mut text = String::new();
    encode(&mut text, &registry)
        .map_err(|_| Refusal::unavailable("the figures cannot be written: see the log"))?;
    Ok(text)
}

/// What is collected, once.
#[derive(Debug)]
struct Figures {
    status: StatusReply,
    counters: CountersReply,
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(&mut encoder);
        self.chain(&mut page)?;
        self.queries(&mut page)?;
        self.upstreams(&mut page)?;
        self.process(&mut page)
    }
}

impl Figures {
    fn chain(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let status = &self.status;
        page.gauge("chain_height", "Height of the indexed tip.", status.height)?;
        page.gauge(
            "chain_best_height",
            "Height of the best block that the source knows.",
            status.best_height,
        )?;
        let lag = "By how much the index is behind; absent where that cannot be said.";
        page.gauge_of("chain_lag", lag, &Unit::Seconds, status.lag_seconds)?;
        let age = "Time since the time in the header of the indexed tip.";
        page.gauge_of("chain_tip_age", age, &Unit::Seconds, status.tip_age_seconds)?;
        let left = "Blocks that can be indexed and are not.";
        let blocks_left = status.sync.as_ref().map_or(0, |sync| sync.blocks_left);
        page.gauge("chain_blocks_left", left, Some(blocks_left))?;
        page.gauge("names", "Names in the database.", Some(status.names))?;
        let kept = status.names_in_memory;
        page.gauge(
            "names_in_memory",
            "Names whose state is in memory.",
            Some(kept.names),
        )?;
        let bytes = Some(kept.bytes);
        page.gauge_of("names_memory", "What they occupy.", &Unit::Bytes, bytes)?;
        page.gauge(
            "namespaces",
            "Namespaces in the database.",
            Some(status.namespaces),
        )?;
        page.gauge("preorders", "Unspent preorders.", Some(status.preorders))?;
        let zonefiles = &status.zonefiles;
        let states = [
            ("present", zonefiles.announced.present),
            ("missing", zonefiles.announced.missing_count),
            ("waiting", zonefiles.waiting_count),
        ];
        let help = "Zone files: announced and present, announced and missing, not announced yet.";
        page.gauges(
            "zonefiles",
            help,
            None,
            states.map(|(state, count)| ([("state", state)], count)),
        )?;
        let warnings = "Warnings of `bnsd status`.";
        page.gauge("warnings", warnings, Some(status.warnings.len()))
    }

    fn queries(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let counters = &self.counters;
        let ends = self.status.queries.iter();
        let ends = ends.map(|(outcome, count)| ([("outcome", outcome.as_str())], *count));
        page.counters("queries", "DNS queries by how they ended.", ends)?;
        page.counter(
            "dropped_packets",
            "Packets that were no queries and got no reply.",
            counters.dropped,
        )?;
        let asked = "Forwarded queries for which an upstream was asked; the others were answered from the cache.";
        page.counter("upstream_queries", asked, counters.asked)?;
        page.latencies(counters)?;
        let (responses, bytes) = (counters.cached_responses, counters.cached_response_bytes);
        page.gauge(
            "cache_responses",
            "Upstreams' responses in the cache.",
            Some(responses),
        )?;
        page.gauge_of("cache", "What they occupy.", &Unit::Bytes, Some(bytes))?;
        let (replies, bytes) = (counters.kept_replies, counters.kept_reply_bytes);
        page.gauge(
            "kept_replies",
            "Replies that are kept as they went out, and zones that replies are copied from.",
            Some(replies),
        )?;
        page.gauge_of("kept_reply", "What they occupy.", &Unit::Bytes, Some(bytes))
    }

    fn upstreams(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let all = || {
            let upstreams = self.counters.upstreams.iter().zip(1..);
            upstreams.map(|(figures, number): (_, u32)| {
                let name = public::without_secret(&figures.upstream);
                // Without their secrets two can have one name.
                let labels = [("upstream", name), ("number", number.to_string())];
                (labels, figures)
            })
        };
        let up = all().map(|(labels, figures)| (labels, u64::from(figures.is_up)));
        page.gauges("upstream_up", "Whether an upstream is asked.", None, up)?;
        let latencies = all().filter_map(|(labels, figures)| {
            let seconds = figures.latency_us? as f64 / 1e6;
            Some((labels, seconds))
        });
        let help = "The smoothed latency of an upstream.";
        page.gauges("upstream_latency", help, Some(&Unit::Seconds), latencies)
    }

    fn process(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let (status, counters) = (&self.status, &self.counters);
        let uptime = Some(status.uptime_seconds);
        page.gauge_of("uptime", "Time since the start.", &Unit::Seconds, uptime)?;
        let memory = "Resident memory.";
        page.gauge_of("resident_memory", memory, &Unit::Bytes, status.memory_bytes)?;
        page.gauge(
            "open_fds",
            "Descriptors that are open.",
            counters.open_descriptors,
        )?;
        page.gauge(
            "max_fds",
            "Descriptors that may be open.",
            counters.descriptors_max,
        )?;
        let labels = vec![
            ("version", status.version.as_str()),
            ("commit", super::commit().unwrap_or_default()),
            ("network", status.network.as_str()),
        ];
        let mut info = page
            .0
            .encode_descriptor("build", "The program.", None, MetricType::Info)?;
        info.encode_info(&labels)
    }
}

/// Where figures are written.
struct Page<'p, 'e>(&'p mut DescriptorEncoder<'e>);

impl Page<'_, '_> {
    /// A figure without a unit; nothing if there is none.
    fn gauge(
        &mut self,
        name: &str,
        help: &str,
        value: Option<impl EncodeGaugeValue>,
    ) -> fmt::Result {
        let Some(value) = value else { return Ok(()) };
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        metric.encode_gauge(&value)
    }

    /// The same with a unit.
    fn gauge_of(
        &mut self,
        name: &str,
        help: &str,
        unit: &Unit,
        value: Option<impl EncodeGaugeValue>,
    ) -> fmt::Result {
        let Some(value) = value else { return Ok(()) };
        let mut metric = self
            .0
            .encode_descriptor(name, help, Some(unit), MetricType::Gauge)?;
        metric.encode_gauge(&value)
    }

    /// Figures that differ in their labels.
    fn gauges<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        values: impl IntoIterator<Item = (L, impl EncodeGaugeValue)>,
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, unit, MetricType::Gauge)?;
        for (labels, value) in values {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// A figure that only grows.
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    /// The same, differing in their labels.
    fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in values {
            let mut metric = family.encode_family(&labels)?;
            metric.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    fn latencies(&mut self, counters: &CountersReply) -> fmt::Result {
        let buckets = counters.latencies.iter();
        let mut buckets: Vec<(f64, u64)> = buckets
            .map(|bucket| (bucket.up_to_ns as f64 / NANOSECONDS, bucket.queries))
            .collect();
        let queries = buckets.iter().map(|(_, queries)| queries).sum();
        // What is slower than the last bucket is counted there.
        buckets.push((f64::INFINITY, 0));
        let help = "How long DNS queries took, from their arrival until their end was known.";
        let unit = Some(&Unit::Seconds);
        let kind = MetricType::Histogram;
        let mut metric = self
            .0
            .encode_descriptor("query_duration", help, unit, kind)?;
        let sum = counters.latency_total_ns as f64 / NANOSECONDS;
        metric.encode_histogram::<NoLabelSet>(sum, queries, &buckets, None)
    }
}
