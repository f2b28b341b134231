//! The endpoint `series`: what the daemon did in each second of the last hour and in each minute of the last day.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Samples that are kept of seconds: an hour.
pub const SECONDS_MAX: usize = 3_600;
/// Samples that are kept of minutes: a day.
pub const MINUTES_MAX: usize = 24 * 60;
/// Seconds by which the machine's clock may be corrected backwards.
const CORRECTION: u64 = 5;

/// Asks for samples.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeriesRequest {
    /// What a sample stands for.
    #[serde(default)]
    pub step: Step,
    /// Only those behind the sample with this number, for who has the others already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

/// The time that a sample stands for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// A second; those of the last hour.
    #[default]
    Second,
    /// A minute; those of the last day.
    Minute,
}

/// Samples, oldest first: all lists have an entry for each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SeriesReply {
    /// The seconds that a sample stands for.
    pub step_seconds: u32,
    /// The number of the last sample that is there, to ask for those after it; 0 before the first.
    pub last: u64,
    /// When each was taken, in seconds since 1970; ascending.
    pub times: Vec<u64>,
    /// How many questions ended in that time, by who answered.
    pub queries: QueryColumns,
    /// The latency, in microseconds, that half of the questions did not exceed; `null` without questions.
    pub median_us: Vec<Option<u32>>,
    /// The latency, in microseconds, that 99 of 100 questions did not exceed.
    pub p99_us: Vec<Option<u32>>,
    /// The smoothed latency of the upstream that is asked first, in milliseconds; `null` if nobody answers.
    pub upstream_ms: Vec<Option<u32>>,
    /// Upstreams' responses in the cache.
    pub cached_responses: Vec<u32>,
    /// The bytes that they occupy.
    pub cached_response_bytes: Vec<u64>,
    /// Replies that are kept as they went out, and zones that replies are copied from.
    pub kept_replies: Vec<u32>,
    /// The bytes that they occupy.
    pub kept_reply_bytes: Vec<u64>,
    /// The indexed height; 0 before the first block.
    pub heights: Vec<u32>,
}

/// Questions by who answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueryColumns {
    /// This machine: the chain, the file of hosts, special-use names; `no such name` and `no data` are answers too.
    pub chain: Vec<u32>,
    /// An upstream, earlier: the response was in the cache.
    pub cached: Vec<u32>,
    /// An upstream, which was asked.
    pub upstream: Vec<u32>,
    /// Nobody, because it is not something that is answered.
    pub refused: Vec<u32>,
    /// Nobody: trouble here or on the way, or a zone file that is missing.
    pub failed: Vec<u32>,
}

/// One sample: the fields of [`SeriesReply`] and [`QueryColumns`] for one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the columns of the same names say it")]
pub struct Sample {
    pub time: u64,
    pub chain: u32,
    pub cached: u32,
    pub upstream: u32,
    pub refused: u32,
    pub failed: u32,
    pub median_us: Option<u32>,
    pub p99_us: Option<u32>,
    pub upstream_ms: Option<u32>,
    pub cached_responses: u32,
    pub cached_response_bytes: u64,
    pub kept_replies: u32,
    pub kept_reply_bytes: u64,
    pub height: u32,
}

/// The last samples of one step.
#[derive(Debug)]
pub struct Samples {
    kept: VecDeque<Sample>,
    max: usize,
    last: u64,
}

impl Samples {
    /// None so far; `max` are kept.
    pub fn new(max: usize) -> Self {
        Self {
            kept: VecDeque::new(),
            max,
            last: 0,
        }
    }

    /// Adds one. Times ascend: if the machine's clock was set back, the earlier ones go.
    pub fn push(&mut self, mut sample: Sample) {
        match self.kept.back().map(|last| last.time) {
            Some(last) if last > sample.time.saturating_add(CORRECTION) => self.kept.clear(),
            Some(last) => sample.time = sample.time.max(last + 1),
            None => {}
        }
        if self.kept.len() >= self.max {
            self.kept.pop_front();
        }
        self.kept.push_back(sample);
        self.last += 1;
    }

    /// Those behind `after` as columns. A number that is not there yet belongs to another run, so all are given.
    pub fn reply(&self, step_seconds: u32, after: Option<u64>) -> SeriesReply {
        let fresh = after.and_then(|after| self.last.checked_sub(after));
        let fresh = fresh.and_then(|fresh| usize::try_from(fresh).ok());
        let known = self.kept.len().saturating_sub(fresh.unwrap_or(usize::MAX));
        let mut reply = SeriesReply {
            step_seconds,
            last: self.last,
            ..SeriesReply::default()
        };
        self.kept
            .iter()
            .skip(known)
            .for_each(|sample| reply.push(sample));
        reply
    }
}

impl SeriesReply {
    fn push(&mut self, sample: &Sample) {
        self.times.push(sample.time);
        self.queries.chain.push(sample.chain);
        self.queries.cached.push(sample.cached);
        self.queries.upstream.push(sample.upstream);
        self.queries.refused.push(sample.refused);
        self.queries.failed.push(sample.failed);
        self.median_us.push(sample.median_us);
        self.p99_us.push(sample.p99_us);
        self.upstream_ms.push(sample.upstream_ms);
        self.cached_responses.push(sample.cached_responses);
        self.cached_response_bytes
            .push(sample.cached_response_bytes);
        self.kept_replies.push(sample.kept_replies);
        self.kept_reply_bytes.push(sample.kept_reply_bytes);
        self.heights.push(sample.height);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(times: impl IntoIterator<Item = u64>) -> Samples {
        let mut samples = Samples::new(5);
        for time in times {
            let sample = Sample {
                time,
                ..Sample::default()
            };
            samples.push(sample);
        }
        samples
    }

    #[test]
    fn whoever_has_some_gets_the_others() {
        let samples = samples(11..=18);
        let times = |after| samples.reply(1, after).times;
        assert_eq!(times(None), [14, 15, 16, 17, 18]);
        assert_eq!(times(Some(6)), [17, 18]);
        assert!(times(Some(8)).is_empty());
        assert_eq!(
            times(Some(1)),
            [14, 15, 16, 17, 18],
            "those in between are gone"
        );
        assert_eq!(
            times(Some(9)),
            [14, 15, 16, 17, 18],
            "the number of another run"
        );
        assert_eq!(samples.reply(1, None).last, 8);
    }

    #[test]
    fn times_ascend_though_a_clock_is_set_back() {
        let reply = samples([100, 101, 50, 50, 51]).reply(1, None);
        assert_eq!((reply.times, reply.last), (vec![50, 51, 52], 5));
    }
}
