//! From the bytes of a query to the bytes of its reply.
//!
//! ```text
//! query --> memory: a kept reply --------------------------------------------------------> copied
//!      \--> memory: the compiled zone of a name ----------------------------------------> copied
//!      \--> decoded --> decide: hosts, probe, resolver --> Answer --------------------\
//!                            \--> upstreams --> Response --> leads back to the chain?   \--> reply
//!                                                        \--> as it came, or filtered --/
//! ```
//!
//! [`Handler::handle`] replies at once to whatever needs no upstream, so that the loop that read a query can send the
//! reply without a task in between. A query that needs an upstream is given back as [`Pending`], to be finished by
//! [`Handler::finish`] on a task. So is an answer with addresses of a name whose certificate is on its way to the browsers of
//! this machine. The number of pending queries is bounded: with one more, the oldest fails.
//!
//! A plain query that was asked before is answered from [`Replies`], before anything is decoded, and one about a registered
//! name from its compiled zone. A query with anything unusual about it (cookies, other options, odd flags) is decoded and
//! gets the same answer.

mod certificate;
mod compiled;
#[cfg(test)]
mod compiled_tests;
mod decide;
mod reply;
mod upstreams;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use hickory_proto::op::ResponseCode;

use super::aliases::AliasWalk;
use super::busiest::Busiest;
use super::client::Client;
use super::cookie::Cookies;
use super::counters::Counters;
use super::encode::Frame;
use super::hosts::Hosts;
use super::plain::Plain;
use super::query::{Decoded, Query, decode};
use super::replies::{Basis, Content, Replies};
use crate::clock::SystemClock;
use crate::resolver::{
    Answer, BnsRoute, Heights, NameSource as _, Outcome, Policy, Question, Recorded, Snapshots,
};
use crate::trust::Provision;
use crate::upstream::{Forwarder, Line, Prepared, Terms, Waiter};
use crate::wire::{Header, flag};

/// Queries that may wait for an upstream at the same time. Each has a task, of a few kilobytes.
const WAITING_MAX: usize = 2_000;

/// What became of a packet.
pub enum Handled {
    /// It gets no reply.
    Silence,
    /// The reply is in the buffer.
    Ready,
    /// So is the reply to what nobody can make sense of: garbage, which must not keep a connection open.
    Garbage,
    /// An upstream has to be asked, or a certificate put in place.
    Pending(Box<Pending>),
}

/// A query, who sent it, and what its reply has to respect.
struct Request {
    query: Query,
    client: Client,
    arrival: Duration,
    frame: Frame,
}

/// A query that waits for an upstream, or for a certificate to be in place.
pub struct Pending {
    request: Request,
    waiter: Waiter,
    wait: Wait,
}

/// What a query waits for.
#[expect(
    clippy::large_enum_variant,
    reason = "what is pending is boxed as a whole"
)]
enum Wait {
    /// An upstream.
    Upstream {
        terms: Arc<Terms>,
        walk: AliasWalk,
        fallback: Option<BnsRoute>,
    },
    /// The programs of this machine, which are about to be shown a certificate.
    Certificate {
        answer: Box<Answer>,
        in_place: BoxFuture<'static, ()>,
    },
}

/// Replies to queries.
pub struct Handler<P> {
    snapshots: P,
    replies: Replies,
    /// Who asks upstreams; holds the policy as well, so that a question is decided and asked on the same terms.
    pub forwarder: Arc<Forwarder>,
    hosts: Option<Hosts>,
    provision: Option<Arc<dyn Provision>>,
    /// How queries ended.
    pub counters: Counters,
    /// The names that are asked for most, while somebody watches.
    pub busiest: Busiest,
    cookies: Cookies,
    clock: SystemClock,
    /// Whether queries are logged.
    logs_queries: AtomicBool,
    /// Queries that wait for upstreams.
    pub waiting: Arc<Line>,
}

/// Whether queries are logged: an explicit choice, because names that are asked for are nobody's business.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum QueryLog {
    /// Queries are not logged.
    #[default]
    Off,
    /// Each query is logged with its client and its outcome.
    On,
}

/// A moment of everything that decides about a question.
struct Moment<S> {
    /// That of the kept replies, before anything was read.
    generation: u64,
    terms: Arc<Terms>,
    source: Recorded<S>,
}

/// How far a question came without an upstream.
enum Step {
    /// It is decided.
    Done(Answer),
    /// An upstream has to be asked. If it says NXDOMAIN, the chain answers where a route is given.
    Ask(Option<BnsRoute>),
}

impl<P: Snapshots> Handler<P> {
    /// A handler over a source of state.
    pub fn new(snapshots: P, policy: Policy, forwarder: Arc<Forwarder>) -> Self {
        forwarder.set_policy(policy);
        let height = snapshots.snapshot().height().unwrap_or(0);
        Self {
            snapshots,
            replies: Replies::at(height),
            forwarder,
            hosts: None,
            provision: None,
            counters: Counters::default(),
            busiest: Busiest::default(),
            cookies: Cookies::new(),
            clock: SystemClock::start(),
            logs_queries: AtomicBool::default(),
            waiting: Line::new(WAITING_MAX),
        }
    }

    /// The same handler with another choice about the log.
    #[must_use]
    pub fn with_log(self, log: QueryLog) -> Self {
        self.set_log(log);
        self
    }

    /// The same handler with a file of hosts, which is asked before everybody else.
    #[must_use]
    pub fn with_hosts(self, hosts: Option<Hosts>) -> Self {
        Self { hosts, ..self }
    }

    /// The same handler; answers with addresses leave once the certificates of their names are in place.
    #[must_use]
    pub fn with_provision(self, provision: Option<Arc<dyn Provision>>) -> Self {
        Self { provision, ..self }
    }

    /// The policy in force.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.forwarder.terms().policy)
    }

    /// Puts another policy in force.
    pub fn set_policy(&self, policy: Policy) {
        self.forwarder.set_policy(policy);
        self.replies.forget();
    }

    /// Puts another policy and other ways of forwarding in force, both at once.
    pub fn set(&self, forwarding: Prepared, policy: Policy) {
        self.forwarder.set(forwarding, policy);
        self.replies.forget();
    }

    /// From now on queries are logged, or not.
    pub fn set_log(&self, log: QueryLog) {
        let logs_queries = log == QueryLog::On;
        self.logs_queries.store(logs_queries, Ordering::Relaxed);
    }

    /// From now on the file of hosts is asked, or not.
    pub fn set_hosts_served(&self, is_served: bool) {
        if let Some(hosts) = &self.hosts {
            hosts.serve(is_served);
        }
        self.replies.forget();
    }

    fn logs_queries(&self) -> bool {
        self.logs_queries.load(Ordering::Relaxed)
    }

    /// This moment.
    fn moment(&self) -> Moment<P::Source> {
        let generation = self.replies.generation(); // before anything is read
        Moment {
            generation,
            terms: Arc::clone(&self.forwarder.terms()),
            source: Recorded::new(self.snapshots.snapshot()),
        }
    }

    /// Writes the reply to a packet into `out`, or says what it takes to reply.
    pub fn handle(&self, bytes: &[u8], client: Client, out: &mut Vec<u8>) -> Handled {
        let now = self.forwarder.now();
        if self.hosts.as_ref().is_some_and(|hosts| hosts.look(now)) {
            self.replies.forget();
        }
        let plain = self.plain(bytes);
        let mut moment = None;
        if let Some(plain) = &plain
            && (self.reply_kept(plain, client, now, out)
                || self.reply_compiled(plain, (client, now), &mut moment, out))
        {
            return Handled::Ready;
        }
        match decode(bytes) {
            Decoded::Silence => {
                self.counters.count_dropped();
                Handled::Silence
            }
            Decoded::Rejected(query, rcode) => self.turn_down(query, rcode, (client, now), out),
            Decoded::Asked(query, question) => {
                let request = self.request(query, client, now);
                let moment = moment.unwrap_or_else(|| self.moment());
                self.reply_to(request, question, moment, (plain, now), out)
            }
        }
    }

    /// Replies to a question, and keeps the reply if the query was plain.
    fn reply_to(
        &self,
        request: Request,
        question: Question,
        moment: Moment<P::Source>,
        (plain, now): (Option<Plain<'_>>, Duration),
        out: &mut Vec<u8>,
    ) -> Handled {
        let mut walk = AliasWalk::new(question);
        let Moment {
            generation,
            terms,
            source,
        } = moment;
        let lasting = match self.decide(&terms, &mut walk, &source) {
            Step::Done(answer) => {
                if let Some(in_place) = self.in_place(&request, &answer) {
                    return self.let_wait(request, answer, in_place, out);
                }
                let (outcome, heights) = (answer.outcome, answer.heights);
                let verified = self.reply(&request, answer, out);
                let verified = verified.filter(|_| plain.is_some()); // only what is kept is copied
                verified.map(|verified| (Content::message(out, verified), outcome, heights))
            }
            Step::Ask(None) => match self.at_hand(&terms, &request, &walk, &source) {
                Some(response) => {
                    self.pass_on(&request, &response, out);
                    let entry = response.kept().cloned();
                    entry.map(|entry| (Content::Response(entry), Outcome::Forwarded, Heights::ALL))
                }
                None => return self.pend(&terms, request, (walk, None), out),
            },
            Step::Ask(fallback) => return self.pend(&terms, request, (walk, fallback), out),
        };
        if let (Some(plain), Some((content, outcome, heights))) = (plain, lasting) {
            let basis = Basis {
                subjects: source.subjects(),
                heights,
                generation,
                made: now,
            };
            let key = plain.key.as_bytes();
            self.replies.keep(key, content, outcome, basis);
        }
        Handled::Ready
    }

    /// Replies to a packet with REFUSED, whatever it asks; for those who may not ask.
    pub fn refuse(&self, bytes: &[u8], client: Client, out: &mut Vec<u8>) -> Handled {
        match decode(bytes) {
            Decoded::Silence => Handled::Silence,
            Decoded::Rejected(query, _) | Decoded::Asked(query, _) => {
                let sender = (client, self.forwarder.now());
                self.turn_down(query, ResponseCode::Refused, sender, out)
            }
        }
    }

    /// Replies to a packet with TC and nothing else: an honest client comes back over TCP.
    pub fn send_to_tcp(&self, bytes: &[u8], client: Client, out: &mut Vec<u8>) -> Handled {
        let handled = self.refuse(bytes, client, out);
        if !matches!(handled, Handled::Silence) {
            Header::edit(out, |header| {
                header.flags = header.flags & !flag::RCODE | flag::TC;
            });
        }
        handled
    }
}
