//! Questions to upstreams, and what becomes of their responses.
//!
//! A response goes out as it came if it answers the client's own question, carries no private address and leads to no
//! name of the chain. Any other response is decoded: its aliases are followed back to the chain, or its private
//! addresses are taken out.

use std::sync::Arc;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name as DnsName, Record, RecordType};

use super::super::aliases::AliasWalk;
use super::super::encode::{Reply, encode, encode_raw};
use super::super::query::Query;
use super::{Handled, Handler, Pending, Request, Step, Wait};
use crate::resolver::{
    Answer, BnsRoute, Condition, ExtendedError, MAX_ALIASES, NameSource, Outcome, Ownership,
    Policy, Provenance, Snapshots, ownership, ownership_at,
};
use crate::upstream::{ALIAS_PACKETS, Ask, ForwardError, NxdomainCut, Response, Terms};
use crate::wire::alias::alias_at;
use crate::wire::flag;

/// What an upstream's response led to.
enum Relayed {
    /// It goes out as it came.
    Whole,
    /// It goes out with what was found on the way, or without what was filtered.
    Changed(Reply),
    /// The question goes on, or ends with an answer of our own.
    Next(Step),
}

impl<P: Snapshots> Handler<P> {
    /// Lets a query wait for an upstream.
    pub(super) fn pend(
        &self,
        terms: &Arc<Terms>,
        request: Request,
        (walk, fallback): (AliasWalk, Option<BnsRoute>),
        out: &mut Vec<u8>,
    ) -> Handled {
        let Some(waiter) = self.waiting.join() else {
            self.reply(&request, forward_failure(&ForwardError::CrowdedOut), out);
            return Handled::Ready;
        };
        Handled::Pending(Box::new(Pending {
            request,
            waiter,
            wait: Wait::Upstream {
                terms: Arc::clone(terms),
                walk,
                fallback,
            },
        }))
    }

    /// Waits for what the query waits for, and writes the reply into `out`.
    pub async fn finish(&self, pending: Pending, out: &mut Vec<u8>) {
        let Pending {
            request,
            mut waiter,
            wait,
        } = pending;
        let (terms, way) = match wait {
            Wait::Upstream {
                terms,
                walk,
                fallback,
            } => (terms, (walk, fallback)),
            Wait::Certificate { answer, in_place } => {
                waiter.wait(in_place).await; // whoever has to make room goes without
                self.reply(&request, *answer, out);
                return;
            }
        };
        // On the heap, where it is not moved: thousands may wait, and each move would double its size.
        let asking = Box::pin(self.ask_on(&terms, &request, way, out));
        if waiter.wait(asking).await.is_none() {
            let failure = forward_failure(&ForwardError::CrowdedOut);
            self.reply(&request, failure, out);
        }
    }

    /// Asks upstreams until the question is answered.
    async fn ask_on(
        &self,
        terms: &Arc<Terms>,
        request: &Request,
        (mut walk, mut fallback): (AliasWalk, Option<BnsRoute>),
        out: &mut Vec<u8>,
    ) {
        let mut packets = ALIAS_PACKETS;
        loop {
            let ask = to_ask(terms, &request.query, &walk);
            let step = match self.forwarder.ask(terms, &ask, &mut packets).await {
                Err(error) => Step::Done(walk.merge(forward_failure(&error))),
                Ok(response) => match self.relay(terms, &mut walk, &response, fallback.take()) {
                    Relayed::Whole => {
                        self.counters.count_asked();
                        return self.pass_on(request, &response, out);
                    }
                    Relayed::Changed(reply) => {
                        self.counters.count_asked();
                        self.note(request, Outcome::Forwarded);
                        encode(&request.query, &reply, &request.frame, out);
                        return;
                    }
                    Relayed::Next(step) => step,
                },
            };
            match step {
                Step::Done(answer) => {
                    if let Some(in_place) = self.in_place(request, &answer) {
                        in_place.await;
                    }
                    self.reply(request, answer, out);
                    return;
                }
                Step::Ask(next) => fallback = next,
            }
        }
    }

    /// A response that is at hand and can go out as it is.
    pub(super) fn at_hand(
        &self,
        terms: &Arc<Terms>,
        request: &Request,
        walk: &AliasWalk,
        source: &impl NameSource,
    ) -> Option<Response> {
        let ask = to_ask(terms, &request.query, walk);
        let response = self.forwarder.cached(terms, &ask)?;
        passes(&terms.policy, &response, walk, source).then_some(response)
    }

    /// Writes a response into `out` as it came.
    pub(super) fn pass_on(&self, request: &Request, response: &Response, out: &mut Vec<u8>) {
        self.note(request, Outcome::Forwarded);
        encode_raw(&request.query, response, &request.frame, out);
    }

    /// What a response means for the question.
    fn relay(
        &self,
        terms: &Terms,
        walk: &mut AliasWalk,
        response: &Response,
        fallback: Option<BnsRoute>,
    ) -> Relayed {
        let source = self.snapshots.snapshot();
        let policy = &terms.policy;
        match fallback {
            None if passes(policy, response, walk, &source) => return Relayed::Whole,
            Some(bns) if response.rcode() == ResponseCode::NXDomain => {
                return Relayed::Next(self.decide_bns(terms, &bns, walk, &source));
            }
            _ => {}
        }
        let Some(mut message) = response.message() else {
            let text = "the upstream's answer cannot be read";
            let ede = ExtendedError::new(ExtendedError::INVALID_DATA, text);
            return Relayed::Next(Step::Done(Answer::failure(Outcome::Failed, ede)));
        };
        restore_case(&mut message, &walk.question.name);
        if let Some((way, target)) = handed_back(&message, walk, policy, &source) {
            walk.move_to(target, way, Provenance::Upstream);
            return Relayed::Next(self.decide(terms, walk, &source));
        }
        let mut reply = walk.relayed(message, policy);
        reply.ede = reply.ede.or_else(|| response.ede.clone());
        Relayed::Changed(reply)
    }
}

fn to_ask(terms: &Terms, query: &Query, walk: &AliasWalk) -> Ask {
    Ask {
        question: walk.question.clone(),
        dnssec_ok: query.dnssec_ok(),
        checking_disabled: query.flags & flag::CD != 0,
        nxdomain_cut: nxdomain_cut(&walk.question.name, &terms.policy),
    }
}

/// A missing name says nothing about names of the chain below it.
fn nxdomain_cut(name: &DnsName, policy: &Policy) -> NxdomainCut {
    match ownership(name, policy) {
        Ownership::SpecialUse | Ownership::NotOurs => NxdomainCut::Allowed,
        // Such a name is only forwarded while the chain does not have the namespace.
        Ownership::CouldBeOurs(Condition::NamespaceReady) => NxdomainCut::Allowed,
        Ownership::CouldBeOurs(_) | Ownership::Ours => NxdomainCut::Never,
    }
}

/// Whether a response answers the client's own question and can go out as it is.
fn passes(
    policy: &Policy,
    response: &Response,
    walk: &AliasWalk,
    source: &impl NameSource,
) -> bool {
    let leads_back = |target| belongs_to_chain(target, policy, source);
    walk.hops == 0
        && response.is_whole()
        && (!response.entry.has_private || policy.allows_private(&walk.asked))
        && !response.entry.targets.iter().any(leads_back)
}

fn forward_failure(error: &ForwardError) -> Answer {
    let mut answer = Answer::failure(Outcome::Failed, error.extended());
    let first = match error {
        ForwardError::Cached(first) => first,
        error => error,
    };
    let refused = ResponseCode::Refused;
    if matches!(first, ForwardError::Rejected { rcode, .. } if *rcode == refused) {
        answer.rcode = refused;
    }
    answer.provenance = Provenance::Upstream;
    answer
}

/// The aliases of a response up to the first name that belongs to the chain, and that name. What the upstream says about
/// the name is left out: the question goes on here.
fn handed_back(
    message: &Message,
    walk: &AliasWalk,
    policy: &Policy,
    source: &impl NameSource,
) -> Option<(Vec<Record>, DnsName)> {
    if walk.question.rtype == RecordType::CNAME {
        return None;
    }
    let mut owner = walk.question.name.clone();
    let mut way = Vec::new();
    for _ in 0..MAX_ALIASES {
        let (record, target) = alias_at(&message.answers, &owner)?;
        way.extend(made_by(&message.answers, &owner).cloned());
        way.push(record.clone());
        owner = target;
        if belongs_to_chain(&owner, policy, source) {
            return Some((way, owner));
        }
    }
    None
}

/// The DNAME from which the CNAME at a name was made (RFC 6672 §3.1).
fn made_by<'a>(answers: &'a [Record], owner: &DnsName) -> Option<&'a Record> {
    answers.iter().find(|record| {
        record.record_type() == RecordType::DNAME
            && record.name != *owner
            && record.name.zone_of(owner)
    })
}

/// Whether nobody but the chain may say something about a name. An unreadable database never makes a name of the
/// chain an upstream's.
fn belongs_to_chain(name: &DnsName, policy: &Policy, source: &impl NameSource) -> bool {
    matches!(
        ownership_at(name, policy, source),
        Ok(Ownership::Ours) | Err(_)
    )
}

/// Gives the owner of records the client's letters. The upstream echoes the letters that it was asked with, which are
/// random (0x20).
fn restore_case(message: &mut Message, asked: &DnsName) {
    for record in &mut message.answers {
        if record.name == *asked {
            record.name = asked.clone();
        }
    }
}
