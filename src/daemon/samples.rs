//! Once a second, what the daemon did since: from the counters that exist, for charts.
//!
//! A minute is not made of its seconds, for percentiles cannot be added: it has counters of its own to start from.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::service::Service;
use crate::api::series::{
    MINUTES_MAX, SECONDS_MAX, Sample, Samples, SeriesReply, SeriesRequest, Step,
};
use crate::dns::{Counters, LatencyCounts};
use crate::resolver::Outcome;

/// Time between two samples.
const SECOND: Duration = Duration::from_secs(1);
/// Seconds in a minute.
const MINUTE: u64 = 60;

/// The samples of one daemon.
#[derive(Debug)]
pub struct Series(Mutex<Tracks>);

#[derive(Debug)]
struct Tracks {
    seconds: Track,
    minutes: Track,
    /// Seconds that were sampled.
    taken: u64,
}

/// The samples of one step, and the counters when the last was taken.
#[derive(Debug)]
struct Track {
    samples: Samples,
    before: Counts,
}

/// Counters, which only grow.
#[derive(Debug, Clone, Default)]
struct Counts {
    chain: u64,
    forwarded: u64,
    asked: u64,
    refused: u64,
    failed: u64,
    latencies: LatencyCounts,
}

impl Default for Series {
    fn default() -> Self {
        let track = |max| Track {
            samples: Samples::new(max),
            before: Counts::default(),
        };
        Self(Mutex::new(Tracks {
            seconds: track(SECONDS_MAX),
            minutes: track(MINUTES_MAX),
            taken: 0,
        }))
    }
}

impl Series {
    /// The samples that are asked for.
    pub fn reply(&self, request: &SeriesRequest) -> SeriesReply {
        let tracks = self.lock();
        let (track, seconds) = match request.step {
            Step::Second => (&tracks.seconds, 1),
            Step::Minute => (&tracks.minutes, MINUTE as u32),
        };
        track.samples.reply(seconds, request.after)
    }

    /// Adds what was counted up to now; `state` is what is so at this moment. Gives the queries of the last second.
    fn take(&self, counts: Counts, state: Sample) -> u64 {
        let mut tracks = self.lock();
        tracks.taken += 1;
        let is_minute = tracks.taken.is_multiple_of(MINUTE);
        if is_minute {
            tracks.minutes.take(counts.clone(), state);
        }
        tracks.seconds.take(counts, state)
    }

    fn lock(&self) -> MutexGuard<'_, Tracks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Track {
    fn take(&mut self, counts: Counts, state: Sample) -> u64 {
        let before = &self.before;
        let gained = |now: u64, before: u64| narrow(now.saturating_sub(before));
        let (forwarded, asked) = (
            gained(counts.forwarded, before.forwarded),
            gained(counts.asked, before.asked),
        );
        let latencies = counts.latencies.since(&before.latencies);
        let micros = |part| {
            let latency = latencies.quantile(part);
            latency.map(|latency| narrow(latency.as_nanos().div_ceil(1_000)))
        };
        let sample = Sample {
            chain: gained(counts.chain, before.chain),
            cached: forwarded.saturating_sub(asked),
            upstream: asked,
            refused: gained(counts.refused, before.refused),
            failed: gained(counts.failed, before.failed),
            median_us: micros(0.5),
            p99_us: micros(0.99),
            ..state
        };
        self.samples.push(sample);
        self.before = counts;
        let ends = [sample.chain, forwarded, sample.refused, sample.failed];
        ends.into_iter().map(u64::from).sum()
    }
}

impl Counts {
    fn of(counters: &Counters) -> Self {
        let sum = |outcomes: &[Outcome]| outcomes.iter().map(|end| counters.get(*end)).sum();
        Self {
            // Before those that were forwarded, so that no question was asked and not forwarded.
            asked: counters.asked(),
            chain: sum(&[Outcome::Answered, Outcome::NoData, Outcome::NoSuchName]),
            forwarded: sum(&[Outcome::Forwarded]),
            refused: sum(&[Outcome::Refused]),
            failed: sum(&[Outcome::Failed, Outcome::ZoneFileMissing]),
            latencies: counters.latencies(),
        }
    }
}

/// Takes samples until the task is dropped. A second in which the machine had no time for one is left out.
pub async fn take(service: Arc<Service>) {
    let counters = &service.handler.counters;
    let mut seconds = interval(SECOND);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        seconds.tick().await;
        let queries = service.series.take(Counts::of(counters), state(&service));
        counters.choose_sample(queries);
    }
}

/// What is so at this moment.
fn state(service: &Service) -> Sample {
    let forwarder = &service.handler.forwarder;
    let (kept_replies, kept_reply_bytes) = service.handler.kept_replies();
    let latency = forwarder.latency();
    Sample {
        time: service.names.clock.unix_time(),
        upstream_ms: latency.map(|latency| narrow(latency.as_millis())),
        cached_responses: narrow(forwarder.cache.count()),
        cached_response_bytes: forwarder.cache.weight(),
        kept_replies: narrow(kept_replies),
        kept_reply_bytes,
        height: service.names.progress.height(),
        ..Sample::default()
    }
}

/// A figure of a chart, where the largest stands for all that are larger.
fn narrow(figure: impl TryInto<u32>) -> u32 {
    figure.try_into().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(series: &Series, step: Step) -> SeriesReply {
        series.reply(&SeriesRequest { step, after: None })
    }

    #[test]
    fn seconds_and_minutes_count_the_same_questions() {
        let (series, counters) = (Series::default(), Counters::default());
        counters.choose_sample(0);
        for second in 0..120 {
            for _ in 0..second {
                counters.count(Outcome::Forwarded, SECOND, || SECOND * 2);
            }
            if second > 0 {
                counters.count_asked();
            }
            let state = Sample {
                time: 1_000 + second,
                ..Sample::default()
            };
            assert_eq!(series.take(Counts::of(&counters), state), second);
        }
        let seconds = reply(&series, Step::Second);
        assert_eq!(seconds.queries.cached[..4], [0, 0, 1, 2]);
        assert_eq!(seconds.queries.upstream[..4], [0, 1, 1, 1]);
        assert_eq!(seconds.median_us[0], None);
        assert!(seconds.median_us[1].is_some_and(|us| us > 900_000));
        let minutes = reply(&series, Step::Minute);
        assert_eq!((minutes.step_seconds, minutes.last), (60, 2));
        assert_eq!(minutes.times, [1_059, 1_119]);
        let (cached, upstream) = (&minutes.queries.cached, &minutes.queries.upstream);
        assert_eq!(cached[0] + upstream[0], (0..60).sum::<u32>());
        assert_eq!(cached[1] + upstream[1], (60..120).sum::<u32>());
    }
}
