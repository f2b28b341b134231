//! A response on its way to a client.

use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::Name as DnsName;

use super::cache::{Fit, Found};
use super::entry::{Entry, Stamp};
use super::lifetime::Kind;
use crate::wire::ExtendedError;

/// A response of an upstream, fresh or kept.
#[derive(Debug, Clone)]
pub struct Response {
    entry: Arc<Entry>,
    now: Duration,
    fit: Fit,
    authentic: bool,
    ede: Option<ExtendedError>,
}

impl Response {
    pub(super) fn fresh(found: &Found, now: Duration, authentic: bool) -> Self {
        Self {
            entry: Arc::clone(&found.entry),
            now,
            fit: found.fit,
            authentic,
            ede: found.entry.extended_error().cloned(),
        }
    }

    pub(super) fn stale(found: &Found, now: Duration) -> Self {
        let code = match found.entry.kind() {
            Kind::NoSuchName => ExtendedError::STALE_NXDOMAIN,
            _ => ExtendedError::STALE_ANSWER,
        };
        Self {
            entry: Arc::clone(&found.entry),
            now,
            fit: found.fit,
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
        self.fit == Fit::Own && !self.entry.has_strays()
    }

    /// Whether a private address is in it.
    pub fn has_private(&self) -> bool {
        self.entry.has_private()
    }

    /// Names that the aliases in it lead to; one of them may be ours.
    pub fn targets(&self) -> &[DnsName] {
        self.entry.targets()
    }

    /// Whether it may be called validated.
    pub fn is_authentic(&self) -> bool {
        self.authentic
    }

    /// What there is to say about it.
    pub fn extended_error(&self) -> Option<&ExtendedError> {
        self.ede.as_ref()
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
        let stamp = Stamp {
            id: 0,
            flags: 0,
            question: &[],
        };
        let mut bytes = Vec::new();
        self.entry.write(stamp, self.now, &mut bytes);
        let mut message = Message::from_vec(&bytes).ok()?;
        if self.entry.has_strays() {
            let mut strays = self.entry.strays()?.into_iter();
            message.answers.retain(|_| strays.next() == Some(false));
        }
        Some(message)
    }
}
