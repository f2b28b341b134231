//! Answers on their way to the client: framed, written, counted and, by choice, logged.

use hickory_proto::op::ResponseCode;

use super::super::client::{Client, Transport};
use super::super::connections::IDLE_TIMEOUT;
use super::super::encode::{Frame, Reply, encode, longest};
use super::super::query::Query;
use super::{Handled, Handler, QueryLog, Request};
use crate::clock::Clock as _;
use crate::resolver::{Answer, Outcome, Provenance, Snapshots};

impl<P: Snapshots> Handler<P> {
    /// What the reply to a query has to respect.
    pub(super) fn request(&self, query: Query, client: Client) -> Request {
        let payload = query.edns.map(|edns| edns.payload);
        let mut frame = Frame {
            limit: longest(client.transport, payload),
            ..Frame::default()
        };
        if let Some(edns) = &query.edns {
            let cookie = edns.cookie.as_ref();
            let now = || self.clock.unix_time();
            frame.cookie = cookie.map(|cookie| self.cookies.answer(cookie, client.address, now()));
            frame.keepalive = (edns.keepalive && client.transport.is_stream())
                .then_some((IDLE_TIMEOUT.as_millis() / 100) as u16);
            frame.padding = edns.padding && client.transport.is_encrypted();
        }
        Request {
            query,
            client,
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
        reply.verified &= self.policy.load().ad_for_bns;
        let is_whole = encode(&request.query, &reply, &request.frame, out);
        (is_lasting && is_whole).then_some(reply.verified)
    }

    /// Replies with a response code alone.
    pub(super) fn turn_down(
        &self,
        query: Query,
        rcode: ResponseCode,
        client: Client,
        out: &mut Vec<u8>,
    ) -> Handled {
        let request = self.request(query, client);
        self.note(&request, Outcome::Refused);
        encode(&request.query, &Reply::bare(rcode), &request.frame, out);
        Handled::Ready
    }

    /// Counts the end of a query, and logs it for those who chose that.
    pub(super) fn note(&self, request: &Request, outcome: Outcome) {
        self.counters.count(outcome);
        if request.client.transport == Transport::Control {
            return;
        }
        let Some(question) = &request.query.question else {
            return;
        };
        self.busiest.count(question.name());
        if self.log == QueryLog::On {
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
