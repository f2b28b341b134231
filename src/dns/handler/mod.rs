//! From the bytes of a query to the bytes of its answer.
//!
//! [`Handler::handle`] decides at once whatever needs no upstream, so that the loop that read a query can
//! send its answer without a task in between. What needs one is handed back as [`Pending`], to be finished
//! by [`Handler::finish`] on a task; their number is bounded.
//!
//! A plain query that was asked before is answered from [`Answers`], before anything is decoded. Whatever is unusual
//! about a query (cookies, other options, odd flags) takes the long way and gets the same answer.

mod handback;
mod memory;

use std::sync::Arc;

use arc_swap::ArcSwap;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::Name as DnsName;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answers::{Answers, Body, Kept};
use super::busiest::Busiest;
use super::chain::Chain;
use super::client::{Client, Transport};
use super::cookie::Cookies;
use super::counters::Counters;
use super::encode::{Frame, Reply, encode, encode_raw, longest};
use super::hosts::Hosts;
use super::query::{Decoded, Query, decode};
use super::tcp::IDLE_TIMEOUT;
use crate::upstream::rebind;
use crate::upstream::{Ask, CHAIN_PACKETS, ForwardError, Forwarder, NxdomainCut, Response};
use handback::{belongs_to_chain, handed_back, restore_case};

use crate::clock::{Clock as _, SystemClock};
use crate::resolver::{
    Answer, BnsRoute, Condition, ExtendedError, Heights, MAX_CHAIN, NameSource, Outcome, Ownership,
    Policy, Provenance, Recorded, Resolution, Snapshots, answer_bns, ownership, resolve,
};
use crate::wire::writer::Extent;

/// Queries that may wait for an upstream at the same time.
const IN_FLIGHT_MAX: usize = 2_000;

/// What became of a packet.
pub enum Handled {
    /// It gets no answer.
    Silence,
    /// The answer is in the buffer.
    Ready,
    /// An upstream has to be asked.
    Pending(Box<Pending>),
}

/// A query, and what its answer has to respect.
struct Asked {
    query: Query,
    client: Client,
    frame: Frame,
}

/// A query that waits for an upstream.
pub struct Pending {
    asked: Asked,
    chain: Chain,
    fallback: Option<BnsRoute>,
    _permit: OwnedSemaphorePermit,
}

/// Answers queries.
pub struct Handler<P> {
    snapshots: P,
    answers: Answers,
    policy: ArcSwap<Policy>,
    forwarder: Arc<Forwarder>,
    hosts: Option<Hosts>,
    counters: Counters,
    busiest: Busiest,
    cookies: Cookies,
    clock: SystemClock,
    log: QueryLog,
    in_flight: Arc<Semaphore>,
}

/// Whether queries are logged: an explicit choice, because names that are asked for are nobody's business.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum QueryLog {
    /// They are not.
    #[default]
    Off,
    /// Each with its client and its outcome.
    On,
}

/// One step of a decision.
enum Step {
    Done(Answer),
    Ask(Option<BnsRoute>),
}

impl<P: Snapshots> Handler<P> {
    /// A handler over a source of state.
    pub fn new(snapshots: P, policy: Policy, forwarder: Arc<Forwarder>) -> Self {
        let policy = Arc::new(policy);
        forwarder.set_policy(Arc::clone(&policy));
        let height = snapshots.snapshot().height().unwrap_or(0);
        Self {
            snapshots,
            answers: Answers::at(height),
            policy: ArcSwap::new(policy),
            forwarder,
            hosts: None,
            counters: Counters::default(),
            busiest: Busiest::default(),
            cookies: Cookies::new(),
            clock: SystemClock::start(),
            log: QueryLog::Off,
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
        }
    }

    /// The same handler with another choice about the log.
    #[must_use]
    pub fn with_log(self, log: QueryLog) -> Self {
        Self { log, ..self }
    }

    /// The names that are asked for most, while somebody watches.
    pub fn busiest(&self) -> &Busiest {
        &self.busiest
    }

    /// How queries ended.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The policy in force.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// Puts another policy in force.
    pub fn set_policy(&self, policy: Policy) {
        let policy = Arc::new(policy);
        self.forwarder.set_policy(Arc::clone(&policy));
        self.policy.store(policy);
        self.answers.forget();
    }

    /// The same with a file of hosts, which is asked before everybody else.
    #[must_use]
    pub fn with_hosts(mut self, hosts: Option<Hosts>) -> Self {
        self.hosts = hosts;
        self
    }

    /// Who asks upstreams.
    pub fn forwarder(&self) -> &Arc<Forwarder> {
        &self.forwarder
    }

    /// Answers a packet into `out`, or says what it takes to answer it.
    pub fn handle(&self, bytes: &[u8], client: Client, out: &mut Vec<u8>) -> Handled {
        let now = self.forwarder.now();
        if let Some(hosts) = &self.hosts
            && hosts.look(now)
        {
            self.answers.forget();
        }
        let plain = self.plain(bytes);
        if let Some(plain) = &plain
            && self.reply_kept(plain, client, now, out)
        {
            return Handled::Ready;
        }
        let (query, question) = match decode(bytes) {
            Decoded::Silence => {
                self.counters.count_dropped();
                return Handled::Silence;
            }
            Decoded::Rejected(query, rcode) => return self.turn_down(query, rcode, client, out),
            Decoded::CookieWanted(query) => {
                return self.turn_down(query, ResponseCode::NoError, client, out);
            }
            Decoded::Asked(query, question) => (query, question),
        };
        let asked = self.frame(query, client);
        let mut chain = Chain::new(question);
        let moment = self.answers.moment();
        let source = Recorded::new(self.snapshots.snapshot());
        let kept = match self.decide(&mut chain, &source) {
            Step::Done(answer) => {
                let (outcome, heights) = (answer.outcome, answer.heights);
                let lasts = self.reply(&asked, answer, out);
                let lasts = lasts.filter(|_| plain.is_some()); // only what is kept is copied
                lasts.map(|verified| (Body::message(out, verified), outcome, heights))
            }
            Step::Ask(None) => match self.cached(&asked, &chain, &source) {
                Some(response) => {
                    self.note(&asked, Outcome::Forwarded);
                    encode_raw(&asked.query, &response, &asked.frame, out);
                    let entry = response.kept().cloned();
                    entry.map(|entry| (Body::Forwarded(entry), Outcome::Forwarded, Heights::ALL))
                }
                None => return self.pend(asked, chain, None, out),
            },
            Step::Ask(fallback) => return self.pend(asked, chain, fallback, out),
        };
        if let (Some(plain), Some((body, outcome, heights))) = (plain, kept) {
            let kept = Kept::new((moment, now), body, outcome, source.subjects(), heights);
            self.answers.keep(plain.key.as_bytes(), kept);
        }
        Handled::Ready
    }

    /// Answers a packet with a response code alone, whatever it asks; for those who may not ask.
    pub fn refuse(&self, bytes: &[u8], client: Client, out: &mut Vec<u8>) -> Handled {
        match decode(bytes) {
            Decoded::Silence => Handled::Silence,
            Decoded::Rejected(query, _)
            | Decoded::CookieWanted(query)
            | Decoded::Asked(query, _) => self.turn_down(query, ResponseCode::Refused, client, out),
        }
    }

    /// Answers a packet with TC and nothing else: whoever is there comes back over TCP.
    pub fn send_to_tcp(&self, bytes: &[u8], client: Client, out: &mut Vec<u8>) -> Handled {
        let handled = self.refuse(bytes, client, out);
        if let (Handled::Ready, Some([flags, rcode])) = (&handled, out.get_mut(2..4)) {
            *flags |= 0x02;
            *rcode &= 0xf0;
        }
        handled
    }

    /// Asks upstreams and writes the answer into `out`.
    pub async fn finish(&self, pending: Pending, out: &mut Vec<u8>) {
        let Pending {
            asked,
            mut chain,
            mut fallback,
            _permit,
        } = pending;
        let mut packets = CHAIN_PACKETS;
        loop {
            let ask = self.question_for_upstreams(&asked.query, &chain);
            let step = match self.forwarder.ask(&ask, &mut packets).await {
                Err(error) => Step::Done(chain.merge(forward_failure(&error))),
                Ok(response) => {
                    let source = self.snapshots.snapshot();
                    if fallback.is_none() && self.passes(&response, &chain, &source) {
                        self.note(&asked, Outcome::Forwarded);
                        return encode_raw(&asked.query, &response, &asked.frame, out);
                    }
                    match self.relay(&mut chain, &response, fallback.take(), &source) {
                        Relayed::Reply(reply) => {
                            self.note(&asked, Outcome::Forwarded);
                            encode(&asked.query, &reply, &asked.frame, out);
                            return;
                        }
                        Relayed::GoOn(step) => step,
                    }
                }
            };
            match step {
                Step::Done(answer) => {
                    self.reply(&asked, answer, out);
                    return;
                }
                Step::Ask(next) => fallback = next,
            }
        }
    }

    /// An upstream's answer that is at hand and can go out as it is.
    fn cached(&self, asked: &Asked, chain: &Chain, source: &impl NameSource) -> Option<Response> {
        let ask = self.question_for_upstreams(&asked.query, chain);
        let response = self.forwarder.cached(&ask)?;
        self.passes(&response, chain, source).then_some(response)
    }

    /// Whether a response answers the client's own question and can go out as it is.
    fn passes(&self, response: &Response, chain: &Chain, source: &impl NameSource) -> bool {
        let policy = self.policy.load();
        let leads_to_us = |target| belongs_to_chain(target, &policy, source);
        chain.hops == 0
            && response.is_whole()
            && (!response.has_private() || policy.allows_private(&chain.asked))
            && !response.targets().iter().any(leads_to_us)
    }

    fn question_for_upstreams(&self, query: &Query, chain: &Chain) -> Ask {
        Ask {
            question: chain.question.clone(),
            dnssec_ok: query.dnssec_ok(),
            checking_disabled: query.checking_disabled,
            nxdomain_cut: self.nxdomain_cut(&chain.question.name),
        }
    }

    /// A missing name says nothing about names of the chain below it.
    fn nxdomain_cut(&self, name: &DnsName) -> NxdomainCut {
        match ownership(name, &self.policy.load()) {
            Ownership::SpecialUse | Ownership::NotOurs => NxdomainCut::Allowed,
            // Its names are only forwarded as long as the chain does not have the namespace.
            Ownership::CouldBeOurs(Condition::NamespaceReady) => NxdomainCut::Allowed,
            Ownership::CouldBeOurs(_) | Ownership::Ours => NxdomainCut::Never,
        }
    }

    fn pend(
        &self,
        asked: Asked,
        chain: Chain,
        fallback: Option<BnsRoute>,
        out: &mut Vec<u8>,
    ) -> Handled {
        let Ok(permit) = Arc::clone(&self.in_flight).try_acquire_owned() else {
            let text = "too many queries wait for upstreams; try again";
            let busy = ExtendedError::new(ExtendedError::OTHER, text);
            self.reply(&asked, Answer::failure(Outcome::Failed, busy), out);
            return Handled::Ready;
        };
        Handled::Pending(Box::new(Pending {
            asked,
            chain,
            fallback,
            _permit: permit,
        }))
    }

    fn turn_down(
        &self,
        query: Query,
        rcode: ResponseCode,
        client: Client,
        out: &mut Vec<u8>,
    ) -> Handled {
        let asked = self.frame(query, client);
        self.note(&asked, Outcome::Refused);
        encode(&asked.query, &Reply::bare(rcode), &asked.frame, out);
        Handled::Ready
    }

    /// Writes the answer into `out`. If others who ask the same may get it too, gives whether it is verified.
    fn reply(&self, asked: &Asked, answer: Answer, out: &mut Vec<u8>) -> Option<bool> {
        self.note(asked, answer.outcome);
        let lasts = matches!(
            answer.outcome,
            Outcome::Answered | Outcome::NoData | Outcome::NoSuchName
        ) && answer.provenance != Provenance::Upstream;
        let mut reply = Reply::from(answer);
        reply.verified &= self.policy.load().ad_for_bns;
        let extent = encode(&asked.query, &reply, &asked.frame, out);
        (lasts && extent == Extent::Whole).then_some(reply.verified)
    }

    /// What the answer to a query has to respect.
    fn frame(&self, query: Query, client: Client) -> Asked {
        let payload = query.edns.map(|edns| edns.payload);
        let mut frame = Frame::plain(longest(client.transport, payload));
        if let Some(edns) = &query.edns {
            let cookie = edns.cookie.as_ref();
            let now = || self.clock.unix_time();
            frame.cookie = cookie.map(|cookie| self.cookies.answer(cookie, client.address, now()));
            frame.keepalive = (edns.keepalive && client.transport.is_stream())
                .then_some((IDLE_TIMEOUT.as_millis() / 100) as u16);
            frame.padding = edns.padding && client.transport.is_encrypted();
        }
        Asked {
            query,
            client,
            frame,
        }
    }

    /// Counts the end of a query, and tells those who chose to know.
    fn note(&self, asked: &Asked, outcome: Outcome) {
        self.counters.count(outcome);
        if asked.client.transport == Transport::Control {
            return;
        }
        let Some(question) = &asked.query.question else {
            return;
        };
        self.busiest.count(question.name());
        if self.log == QueryLog::On {
            tracing::info!(
                "query from {} for {} {}: {}",
                asked.client,
                printable(&question.name().to_ascii()),
                question.query_type(),
                outcome.as_str()
            );
        }
    }

    /// Follows a question as far as that needs no upstream.
    fn decide(&self, chain: &mut Chain, source: &impl NameSource) -> Step {
        let policy = self.policy.load();
        if self.forwarder.is_own_probe(&chain.question.name) {
            return Step::Done(Answer::refused());
        }
        while chain.hops <= MAX_CHAIN {
            // Only the client's own question: no chain of others leads into the file.
            if chain.hops == 0
                && let Some(answer) = self
                    .hosts
                    .as_ref()
                    .and_then(|hosts| hosts.answer(&chain.question))
            {
                return Step::Done(answer);
            }
            let name = &chain.question.name;
            if self.forwarder.has_route(name) && ownership(name, &policy) == Ownership::SpecialUse {
                return Step::Ask(None);
            }
            let answer = match resolve(&chain.question, &policy, source) {
                Ok(Resolution::Answer(answer)) => answer,
                Ok(Resolution::Forward) => return Step::Ask(None),
                Ok(Resolution::ForwardFirst(bns)) => return Step::Ask(Some(bns)),
                Err(error) => return Step::Done(database_failure(&error)),
            };
            if let Some(answer) = chain.advance(answer, &policy) {
                return Step::Done(answer);
            }
        }
        Step::Done(Answer::endless_chain())
    }

    /// What an upstream's response means for the question.
    fn relay(
        &self,
        chain: &mut Chain,
        response: &Response,
        fallback: Option<BnsRoute>,
        source: &impl NameSource,
    ) -> Relayed {
        let policy = self.policy.load();
        if let Some(bns) = fallback
            && response.rcode() == ResponseCode::NXDomain
        {
            return Relayed::GoOn(self.decide_bns(&bns, chain, source));
        }
        let Some(mut message) = response.message() else {
            let text = "the upstream's answer cannot be read";
            let ede = ExtendedError::new(ExtendedError::INVALID_DATA, text);
            return Relayed::GoOn(Step::Done(Answer::failure(Outcome::Failed, ede)));
        };
        restore_case(&mut message, &chain.question.name);
        if let Some((kept, target)) = handed_back(&message, chain, &policy, source) {
            chain.move_to(target, kept, Provenance::Upstream);
            return Relayed::GoOn(self.decide(chain, source));
        }
        let filtered = rebind::filter(&mut message, &chain.asked, &policy);
        let mut reply = chain.relayed(message, filtered);
        reply.ede = reply.ede.or_else(|| response.extended_error().cloned());
        Relayed::Reply(reply)
    }

    fn decide_bns(&self, bns: &BnsRoute, chain: &mut Chain, source: &impl NameSource) -> Step {
        let policy = self.policy.load();
        match answer_bns(bns, &chain.question, &policy, source) {
            Ok(answer) => match chain.advance(answer, &policy) {
                Some(answer) => Step::Done(answer),
                None => self.decide(chain, source),
            },
            Err(error) => Step::Done(database_failure(&error)),
        }
    }
}

/// What an upstream's response led to.
enum Relayed {
    Reply(Reply),
    GoOn(Step),
}

/// A stranger's text without what could drive a terminal.
pub(super) fn printable(text: &str) -> String {
    let escape = |c: char| match c {
        ' '..='~' => c.to_string(),
        other => other.escape_unicode().to_string(),
    };
    text.chars().map(escape).collect()
}

fn forward_failure(error: &ForwardError) -> Answer {
    let mut answer = Answer::failure(Outcome::Failed, error.extended());
    let first = match error {
        ForwardError::Cached(first) => first,
        error => error,
    };
    if let ForwardError::Rejected { rcode, .. } = first
        && *rcode == ResponseCode::Refused
    {
        answer.rcode = *rcode;
    }
    answer.provenance = Provenance::Upstream;
    answer
}

fn database_failure(error: &impl std::fmt::Display) -> Answer {
    tracing::error!("names cannot be read from the database: {error}");
    let text = "bns: the database cannot be read; see the log";
    Answer::failure(
        Outcome::Failed,
        ExtendedError::new(ExtendedError::OTHER, text),
    )
}
