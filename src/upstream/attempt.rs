//! One attempt to get a response from an upstream: what it may cost, how it can fail, how long it waits.
//!
//! Whatever is wrong with a packet, the wait for the right one goes on until patience ends, because anybody can send a
//! wrong one (RFC 5452). Only hints that the upstream itself is the reason shorten the wait.

use std::io;
use std::time::Duration;

use tokio::time::Instant;

use super::entry::Channel;
use super::message::{Judged, Verdict};

/// How long the wait goes on after a hint that there will be no good response.
const GRACE: Duration = Duration::from_millis(100);

/// Packets that one question may still cost.
#[derive(Debug)]
pub struct Budget(pub u8);

impl Budget {
    /// Takes one; whether there was one left.
    pub fn take(&mut self) -> bool {
        let left = self.0 > 0;
        self.0 = self.0.saturating_sub(1);
        left
    }
}

/// A response and what is known of how it came.
#[derive(Debug)]
pub struct Received {
    /// The response.
    pub judged: Judged,
    /// Its age in seconds.
    pub age: u32,
    /// Who vouches for it.
    pub channel: Channel,
}

/// Why one try gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed {
    /// Silence.
    Timeout,
    /// The response is too long for UDP.
    Truncated,
    /// Somebody answered in other letters.
    WrongCase,
    /// Somebody refused without a question: EDNS may be to blame.
    Headless,
    /// No way there, or none back.
    Unreachable(String),
    /// It could not prove who it is.
    Untrusted(String),
    /// The stream ended before the response.
    Closed,
    /// The question came back to us.
    Loop,
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        let tls = error
            .get_ref()
            .is_some_and(|inner| inner.is::<rustls::Error>());
        match error.kind() {
            io::ErrorKind::TimedOut => Self::Timeout,
            _ if tls => Self::Untrusted(error.to_string()),
            _ => Self::Unreachable(error.to_string()),
        }
    }
}

/// A wait for the right response among other packets.
pub struct Wait {
    /// When it ends.
    pub deadline: Instant,
    /// How it ends then.
    pub hint: Failed,
}

impl Wait {
    /// A wait that ends in silence.
    pub fn until(deadline: Instant) -> Self {
        Self {
            deadline,
            hint: Failed::Timeout,
        }
    }

    /// Takes a packet in; the end of the wait, if it is one.
    pub fn take(&mut self, verdict: Verdict) -> Option<Result<Judged, Failed>> {
        let hint = match verdict {
            Verdict::Accepted(judged) => return Some(Ok(*judged)),
            Verdict::Truncated => return Some(Err(Failed::Truncated)),
            Verdict::Foreign => return None,
            Verdict::WrongCase => Failed::WrongCase,
            Verdict::Headless => Failed::Headless,
        };
        if self.hint == Failed::Timeout {
            self.deadline = self.deadline.min(Instant::now() + GRACE);
            self.hint = hint;
        }
        None
    }
}
