//! DNSSEC validation of what upstreams say, for those who choose it (`dns.validate`).
//!
//! ```text
//! question --> asked upstream with DO and CD --> signatures, keys and delegations up to the anchor
//!                                                  |            (each asked in the same way)
//!                       proved, or proved unsigned <--> neither: SERVFAIL, extended error 6
//! ```
//!
//! hickory judges; it asks for keys through the same forwarder, so these are kept like any response, and all that one
//! question costs comes out of one budget. What goes on to the client are the upstream's bytes, without signatures for
//! those who did not ask for any, and with AD where everything in the response was proved. Names with a route of their own
//! are not validated, since the public tree knows nothing of them; nor is what a client asks for with CD.
//!
//! Where aliases end in a denial, hickory proves the aliases and the denial is proved as a response of its own; unless it
//! is of a name that could be the chain's, or that never leaves this machine ([`Ownership`]): such a name is not asked
//! for, and that response goes on without AD. What
//! an upstream says about names that are the chain's by policy alone is left out before anything is proved. An upstream
//! that claims to have signed records of a name that could be the chain's is asked for the keys: it brought the name up
//! itself. A clock that is
//! wrong by days makes every signature invalid; the error says so.
//!
//! Follows RFC 4035 §4 and §5, RFC 6840 §5.9 (CD towards upstreams).

mod alias;
mod wildcard;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use futures_util::stream::{self, Stream, StreamExt as _};
use hickory_net::dnssec::DnssecDnsHandle;
use hickory_net::runtime::TokioRuntimeProvider;
use hickory_net::xfer::DnsHandle;
use hickory_net::{DnsError, NetError};
use hickory_proto::dnssec::Proof;
use hickory_proto::op::{DnsRequest, DnsRequestOptions, DnsResponse, Message, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, Record, RecordType};

use super::ALIAS_PACKETS;
use super::anchors::Anchors;
use super::ask::{Ask, NxdomainCut};
use super::error::ForwardError;
use super::forwarder::Forwarder;
use super::message::Judged;
use super::table::Terms;
use crate::resolver::{Ownership, Policy, Question, ownership};
use crate::wire::{self, HEADER, Header, flag};
use alias::{denied_target, is_denial, without_made_aliases};

/// The response to a question, proved as far as its zone is signed.
pub async fn ask(
    forwarder: &Arc<Forwarder>,
    terms: &Arc<Terms>,
    anchors: &Anchors,
    ask: &Ask,
) -> Result<Judged, ForwardError> {
    let mut packets = ALIAS_PACKETS;
    let first = forwarder
        .ask_signed(terms, signed(&ask.question), &mut packets)
        .await?;
    let first = lower_question(first, ask);
    let legacy = without_ours(&first, &terms.policy);
    let best = match &legacy {
        Some(_) => Verdict::Insecure,
        None => Verdict::Secure,
    };
    let lookups = Lookups {
        forwarder: Arc::clone(forwarder),
        terms: Arc::clone(terms),
        question: ask.question.clone(),
        first: legacy.unwrap_or_else(|| first.clone()).into(),
        packets: Arc::new(AtomicU8::new(packets)),
    };
    let proof = prove(lookups, anchors).await?.min(best);
    finish(first, proof, ask)
        .ok_or_else(|| ForwardError::Unreachable("an unreadable answer".into()))
}

/// How a question is asked whose response is to be proved.
fn signed(question: &Question) -> Ask {
    Ask {
        question: question.clone(),
        dnssec_ok: true,
        checking_disabled: true,
        nxdomain_cut: NxdomainCut::Never,
    }
}

/// The letters of the question were mixed for the upstream alone.
fn lower_question(mut bytes: Vec<u8>, ask: &Ask) -> Vec<u8> {
    let name = ask.wire_name();
    if let Some(place) = bytes.get_mut(HEADER..HEADER + name.len()) {
        place.copy_from_slice(&name);
    }
    bytes
}

/// A response without what it says about names of the chain, which the handler leaves out too; `None` if it says
/// nothing about any. To prove it, those names would have to leave the machine.
fn without_ours(bytes: &[u8], policy: &Policy) -> Option<Vec<u8>> {
    let mut message = Message::from_vec(bytes).ok()?;
    let is_legacy =
        |record: &Record| ownership(&record.name.to_lowercase(), policy) != Ownership::Ours;
    let sections = [
        &mut message.answers,
        &mut message.authorities,
        &mut message.additionals,
    ];
    let mut is_whole = true;
    for section in sections {
        let before = section.len();
        section.retain(is_legacy);
        is_whole &= section.len() == before;
    }
    (!is_whole).then(|| message.to_vec().ok()).flatten()
}

/// What was proved of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    /// Its zone is not signed.
    Insecure,
    /// It is what its zone says.
    Secure,
}

/// How hickory ends a proof.
enum Proved {
    /// With this.
    Yes(Verdict),
    /// With records that it verified, and without a denial that would fit them.
    Unfit(Box<Message>),
}

async fn prove(lookups: Lookups, anchors: &Anchors) -> Result<Verdict, ForwardError> {
    let response = match prove_whole(lookups.clone(), anchors).await? {
        Proved::Yes(verdict) => return Ok(verdict),
        Proved::Unfit(response) => response,
    };
    if wildcard::is_proved(&response) {
        return Ok(Verdict::Secure);
    }
    let answers = without_made_aliases(&response.answers);
    let aliases = verdict(&answers).filter(|_| !answers.is_empty());
    let Some((aliases, target)) = aliases.zip(denied_target(&response, &lookups.question)) else {
        return Err(bogus("what is missing is not proved to be missing"));
    };
    if ownership(&target, &lookups.terms.policy) != Ownership::NotOurs {
        return Ok(Verdict::Insecure);
    }
    let rcode = response.metadata.response_code;
    let denial = prove_denial(lookups, target, rcode, anchors).await?;
    let beside = verdict(&response.authorities).unwrap_or(Verdict::Insecure);
    Ok(aliases.min(denial).min(beside))
}

/// Proves the denial of a name to which aliases led, as a response of its own.
async fn prove_denial(
    lookups: Lookups,
    target: Name,
    rcode: ResponseCode,
    anchors: &Anchors,
) -> Result<Verdict, ForwardError> {
    let question = Question {
        name: target,
        ..lookups.question.clone()
    };
    let first = lookups.ask(&question).await;
    let first = first.map_err(|error| unknown(&error))?;
    if !is_denial(&first, rcode) {
        return Err(bogus("the end of the answer is missing"));
    }
    let behind = Lookups {
        question,
        first: first.into(),
        ..lookups
    };
    match prove_whole(behind, anchors).await? {
        Proved::Yes(denial) => Ok(denial),
        Proved::Unfit(_) => Err(bogus("what is missing is not proved to be missing")),
    }
}

/// What hickory says of a response on its own.
async fn prove_whole(lookups: Lookups, anchors: &Anchors) -> Result<Proved, ForwardError> {
    let question = lookups.question.clone();
    let query = Query::query(question.name.clone(), question.rtype);
    let handle = DnssecDnsHandle::with_trust_anchor(lookups, Arc::clone(&anchors.0));
    let mut found = handle.lookup(query, DnsRequestOptions::default());
    match found.next().await {
        Some(Ok(response)) if denied_target(&response, &question).is_some() => {
            Ok(Proved::Unfit(Box::new((*response).clone())))
        }
        Some(Ok(response)) => {
            let records = match response.answers.is_empty() {
                true => &response.authorities,
                false => &response.answers,
            };
            let verdict = verdict(&without_made_aliases(records))
                .ok_or_else(|| bogus("signatures do not fit"))?;
            Ok(Proved::Yes(verdict))
        }
        Some(Err(NetError::Dns(DnsError::Nsec {
            proof: Proof::Insecure,
            ..
        }))) => Ok(Proved::Yes(Verdict::Insecure)),
        Some(Err(NetError::Dns(DnsError::Nsec { response, .. }))) => {
            Ok(Proved::Unfit(Box::new((**response).clone())))
        }
        Some(Err(error)) => Err(unknown(&error)),
        None => Err(bogus("keys cannot be had")),
    }
}

fn bogus(why: &str) -> ForwardError {
    ForwardError::Bogus(why.to_owned())
}

fn unknown(error: &NetError) -> ForwardError {
    bogus(&format!("keys cannot be had: {error}"))
}

/// The least that was proved of records; `None` if one should have been and was not. Nothing proves nothing.
fn verdict(records: &[Record]) -> Option<Verdict> {
    let least = match records.is_empty() {
        true => Verdict::Insecure,
        false => Verdict::Secure,
    };
    let mut proofs = records
        .iter()
        .filter(|record| record.record_type() != RecordType::RRSIG)
        .map(|record| record.proof);
    proofs.try_fold(least, |least, proof| match proof {
        Proof::Secure => Some(least),
        Proof::Insecure => Some(Verdict::Insecure),
        Proof::Bogus | Proof::Indeterminate => None,
    })
}

/// The upstream's response as the client gets it.
fn finish(mut bytes: Vec<u8>, proof: Verdict, ask: &Ask) -> Option<Judged> {
    if !ask.dnssec_ok {
        bytes = without_signatures(&bytes, ask.question.rtype)?;
    }
    Header::edit(&mut bytes, |header| match proof {
        Verdict::Secure => header.flags |= flag::AD,
        Verdict::Insecure => header.flags &= !flag::AD,
    });
    let walk = wire::walk(&bytes)?;
    let rcode = wire::flags(&bytes) & flag::RCODE;
    Some(Judged {
        bytes,
        walk,
        rcode,
        cookie: None,
    })
}

/// What a client sees that does not know DNSSEC (RFC 4035 §3.2.1).
fn without_signatures(bytes: &[u8], asked: RecordType) -> Option<Vec<u8>> {
    let mut message = Message::from_vec(bytes).ok()?;
    let is_plain = |record: &Record| {
        let rtype = record.record_type();
        let is_proof = matches!(
            rtype,
            RecordType::RRSIG | RecordType::NSEC | RecordType::NSEC3
        );
        rtype == asked || !is_proof
    };
    message.answers.retain(is_plain);
    message.authorities.retain(is_plain);
    message.additionals.retain(is_plain);
    message.to_vec().ok()
}

/// What hickory asks while it proves one response.
#[derive(Clone)]
struct Lookups {
    forwarder: Arc<Forwarder>,
    /// Those of the question: who is asked, and which names never leave the machine.
    terms: Arc<Terms>,
    /// The response that is to be proved, and its question: that is not asked for twice.
    question: Question,
    first: Arc<[u8]>,
    /// What all of it may still cost.
    packets: Arc<AtomicU8>,
}

impl DnsHandle for Lookups {
    type Response = Pin<Box<dyn Stream<Item = Result<DnsResponse, NetError>> + Send>>;
    type Runtime = TokioRuntimeProvider;

    fn send(&self, request: DnsRequest) -> Self::Response {
        let lookups = self.clone();
        Box::pin(stream::once(async move { lookups.answer(&request).await }))
    }
}

impl Lookups {
    async fn answer(&self, request: &DnsRequest) -> Result<DnsResponse, NetError> {
        let query = request.queries.first().ok_or("no question")?;
        let question = Question::new(query.name(), query.query_type(), DNSClass::IN);
        let bytes = match question == self.question {
            true => self.first.to_vec(),
            false => self.ask(&question).await?,
        };
        Ok(DnsResponse::from_buffer(bytes)?)
    }

    async fn ask(&self, question: &Question) -> Result<Vec<u8>, NetError> {
        if ownership(&question.name, &self.terms.policy) == Ownership::Ours {
            return Err("a name of the chain is no upstream's to prove".into());
        }
        let before = self.packets.load(Ordering::Relaxed);
        if before == 0 {
            return Err("too many packets for one question".into());
        }
        let mut packets = before;
        let ask = signed(question);
        let answered = self
            .forwarder
            .ask_signed(&self.terms, ask.clone(), &mut packets)
            .await;
        let cost = before.saturating_sub(packets);
        self.packets.fetch_sub(cost, Ordering::Relaxed);
        let bytes = answered.map_err(|error| NetError::from(error.to_string()))?;
        Ok(lower_question(bytes, &ask))
    }
}
