//! A response on its way to a client.

use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};

use super::entry::{Entry, Stamp};
use super::lifetime::Kind;
use crate::wire::ExtendedError;

/// A response of an upstream, fresh or kept.
#[derive(Debug, Clone)]
pub struct Response {
    /// What the upstream said.
    pub entry: Arc<Entry>,
    pub(super) now: Duration,
    pub(super) fit: Fit,
    /// Whether it may be called validated.
    pub(super) authentic: bool,
    /// What there is to say about it.
    pub ede: Option<ExtendedError>,
}

/// How a response fits a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It was given for this name.
    Own,
    /// A name above it is missing.
    Cut,
}

impl Response {
    /// One that is out of date.
    pub(super) fn stale(entry: Arc<Entry>, now: Duration) -> Self {
        let code = match entry.kind {
            Kind::NoSuchName => ExtendedError::STALE_NXDOMAIN,
            _ => ExtendedError::STALE_ANSWER,
        };
        Self {
            entry,
            now,
            fit: Fit::Own,
            authentic: false,
            ede: Some(ExtendedError::new(code, "stale: upstreams fail")),
        }
    }

    /// Response code.
    pub fn rcode(&self) -> ResponseCode {
        ResponseCode::from(0, self.entry.rcode() as u8)
    }

    /// Whether it can be written as it is; otherwise it has to be decoded first.
    pub fn is_whole(&self) -> bool {
        self.fit == Fit::Own && !self.entry.has_strays
    }

    /// The response, for whoever sends it again with [`super::Forwarder::write_kept`]: one that is in date, whole, and says
    /// nothing about trouble.
    pub fn kept(&self) -> Option<&Arc<Entry>> {
        (self.is_whole() && self.ede.is_none()).then_some(&self.entry)
    }

    /// Writes it for a client, without OPT. AD is left out where it is not due.
    pub fn write(&self, stamp: Stamp<'_>, out: &mut Vec<u8>) {
        let stamp = stamp.without_ad_unless(self.authentic);
        self.entry.write(stamp, self.now, out);
    }

    /// The upstream's message without OPT, with the TTLs of now.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.entry.aged(self.now)
    }

    /// Decodes it, with the TTLs of now, without the records of names that were not asked for. `None` if there is
    /// something in it that cannot be decoded.
    pub fn message(&self) -> Option<Message> {
        let mut bytes = Vec::new();
        self.entry.write(Stamp::default(), self.now, &mut bytes);
        let mut message = Message::from_vec(&bytes).ok()?;
        if self.entry.has_strays {
            let mut strays = self.entry.strays()?.into_iter();
            message.answers.retain(|_| strays.next() == Some(false));
        }
        Some(message)
    }
}
