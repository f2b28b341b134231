//! Replies on their way to the client, from memory or from an answer: framed, written, counted and, by choice, logged.

use std::time::Duration;

use hickory_proto::op::ResponseCode;

use super::super::client::{Client, IDLE_TIMEOUT, Transport};
use super::super::encode::{Frame, Reply, encode, longest};
use super::super::plain::Plain;
use super::super::query::Query;
use super::super::replies::Content;
use super::{Handled, Handler, Request};
use crate::bns::name::{Name, NamespaceId};
use crate::clock::Clock as _;
use crate::resolver::{Answer, Outcome, Provenance, Snapshots};

impl<P: Snapshots> Handler<P> {
    /// Forgets the kept replies that a commit changes. `height` is the indexed height after it; readers see its state
    /// already.
    pub fn note_change(&self, height: Option<u32>, names: &[Name], namespaces: &[NamespaceId]) {
        self.replies.note(height.unwrap_or(0), names, namespaces);
    }

    /// Forgets the kept replies about names below which something changed without a commit. Readers see it already.
    pub fn note_below(&self, names: &[Name]) {
        self.replies.note_below(names);
    }

    /// Forgets all kept replies.
    pub fn forget_replies(&self) {
        self.replies.forget();
    }

    /// How many replies are kept, with the compiled zones that others are copied from, and the bytes that they occupy.
    pub fn kept_replies(&self) -> (usize, u64) {
        self.replies.size()
    }

    /// A query whose reply may come from memory and be kept there. Queries that are logged or counted by name are
    /// decoded instead.
    pub(super) fn plain<'q>(&self, bytes: &'q [u8]) -> Option<Plain<'q>> {
        let is_shown = self.logs_queries() || self.busiest.is_watched();
        Plain::read(bytes).filter(|_| !is_shown)
    }

    /// Replies from memory. Gives false if no valid reply is kept, or if it is too long for the client.
    pub(super) fn reply_kept(
        &self,
        plain: &Plain<'_>,
        client: Client,
        now: Duration,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(kept) = self.replies.get(plain.key.as_bytes(), now) else {
            return false;
        };
        // Whether the index is far enough for an answer that depended on it.
        if kept.basis.subjects.sync_counted
            && !self
                .forwarder
                .terms()
                .policy
                .accepts(self.snapshots.sync_state())
        {
            return false;
        }
        let limit = plain.limit(client.transport);
        let is_written = match &kept.content {
            Content::Message { bytes, verified } => plain.write(bytes, *verified, limit, out),
            Content::Response(entry) => {
                let stamp = plain.stamp();
                self.forwarder.write_kept(entry, stamp, now, out) && plain.add_opt(limit, out)
            }
        };
        if is_written {
            let end = || self.forwarder.now();
            self.counters.count(kept.outcome, now, end);
        }
        is_written
    }

    /// What the reply to a query that came at `arrival` has to respect.
    pub(super) fn request(&self, query: Query, client: Client, arrival: Duration) -> Request {
        let payload = query.edns.map(|edns| edns.payload);
        let mut frame = Frame {
            limit: longest(client.transport, payload),
            ..Frame::default()
        };
        if let Some(edns) = &query.edns {
            let cookie = edns.cookie.as_ref();
            let now = || self.clock.unix_time();
            frame.cookie = cookie.map(|cookie| self.cookies.answer(cookie, client.address, now()));
            // Whether DNS messages follow each other on a connection (RFC 7828 §3), and whether their length is all that
            // others can see (RFC 7830 §6).
            let is_stream = matches!(client.transport, Transport::Tcp | Transport::Tls);
            let is_encrypted = matches!(client.transport, Transport::Tls | Transport::Https);
            let idle = (IDLE_TIMEOUT.as_millis() / 100) as u16;
            frame.keepalive = (edns.keepalive && is_stream).then_some(idle);
            frame.padding = edns.padding && is_encrypted;
        }
        Request {
            query,
            client,
            arrival,
            frame,
        }
    }

    /// Writes an answer into `out`. If others who ask the same may get the reply too, gives whether it is verified.
    pub(super) fn reply(
        &self,
        request: &Request,
        answer: Answer,
        out: &mut Vec<u8>,
    ) -> Option<bool> {
        self.note(request, answer.outcome);
        let is_lasting = matches!(
            answer.outcome,
            Outcome::Answered | Outcome::NoData | Outcome::NoSuchName
        ) && answer.provenance != Provenance::Upstream;
        let mut reply = Reply::from(answer);
        reply.verified &= self.forwarder.terms().policy.ad_for_bns;
        let is_whole = encode(&request.query, &reply, &request.frame, out);
        (is_lasting && is_whole).then_some(reply.verified)
    }

    /// Replies with a response code alone. FORMERR and NOTIMP go to garbage.
    pub(super) fn turn_down(
        &self,
        query: Query,
        rcode: ResponseCode,
        (client, arrival): (Client, Duration),
        out: &mut Vec<u8>,
    ) -> Handled {
        let request = self.request(query, client, arrival);
        self.note(&request, Outcome::Refused);
        encode(&request.query, &Reply::bare(rcode), &request.frame, out);
        match rcode {
            ResponseCode::FormErr | ResponseCode::NotImp => Handled::Garbage,
            _ => Handled::Ready,
        }
    }

    /// Counts the end of a query, and logs it for those who chose that.
    pub(super) fn note(&self, request: &Request, outcome: Outcome) {
        if request.client.transport == Transport::Daemon {
            return;
        }
        let end = || self.forwarder.now();
        self.counters.count(outcome, request.arrival, end);
        if request.client.transport == Transport::Control {
            return;
        }
        let Some(question) = &request.query.question else {
            return;
        };
        self.busiest.count(question.name());
        if self.logs_queries() {
            tracing::info!(
                "query from {} for {} {}: {}",
                request.client,
                printable(&question.name().to_ascii()),
                question.query_type(),
                outcome.as_str()
            );
        }
    }
}

/// A stranger's text without what could drive a terminal.
fn printable(text: &str) -> String {
    let escape = |c: char| match c {
        ' '..='~' => c.to_string(),
        other => other.escape_unicode().to_string(),
    };
    text.chars().map(escape).collect()
}
