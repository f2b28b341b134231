//! An answer on its way to a client.

use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name as DnsName, RecordType};

use super::cache::{Fit, Found};
use super::entry::{Entry, Kind, Stamp};
use crate::resolver::ExtendedError;

/// INFO-CODE "Stale Answer" (RFC 8914 §4.4).
const STALE_ANSWER: u16 = 3;
/// INFO-CODE "Stale NXDOMAIN Answer" (RFC 8914 §4.20).
const STALE_NXDOMAIN: u16 = 19;

/// An answer of an upstream, fresh or kept.
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
        let (code, text) = match found.entry.kind() {
            Kind::NoSuchName => (STALE_NXDOMAIN, "stale: upstreams fail"),
            _ => (STALE_ANSWER, "stale: upstreams fail"),
        };
        Self {
            entry: Arc::clone(&found.entry),
            now,
            fit: found.fit,
            authentic: false,
            ede: Some(ExtendedError::new(code, text)),
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

    /// The answer, for whoever sends it again with [`super::Forwarder::write_kept`]: one that is in date, whole, and says
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

    /// Decodes it, with the TTLs of now. `None` if there is something in it that cannot be decoded.
    pub fn message(&self) -> Option<Message> {
        let mut bytes = Vec::new();
        let question = self.entry.message().get(12..self.entry.question_end())?;
        let stamp = Stamp {
            id: 0,
            flags: 0,
            question,
        };
        self.entry.write(stamp, self.now, &mut bytes);
        let mut message = Message::from_vec(&bytes).ok()?;
        if self.entry.has_strays() {
            self.drop_strays(&mut message);
        }
        Some(message)
    }

    /// Leaves the records of the name that was asked for and of those that its aliases lead to.
    fn drop_strays(&self, message: &mut Message) {
        let asked = message.queries.first().map(|query| query.name().clone());
        message.answers.retain(|record| {
            let above = |name: &DnsName| record.name.zone_of(name);
            let signed = matches!(record.record_type(), RecordType::DNAME | RecordType::RRSIG);
            let mut names = self.entry.targets().iter().chain(asked.as_ref());
            names.any(|name| *name == record.name || signed && above(name))
        });
    }
}
