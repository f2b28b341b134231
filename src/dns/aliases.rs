//! A question on its way along CNAMEs and DNAMEs, from the chain to upstreams and back.
//!
//! The records that were found on the way precede the final answer. The least trustworthy record decides what is claimed
//! of the whole: a single record from an upstream takes AA and AD away. At most [`MAX_ALIASES`] aliases are followed,
//! wherever they come from.

use std::borrow::Cow;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name as DnsName, Record, RecordType};

use super::encode::Reply;
use crate::resolver::{Answer, ExtendedError, Heights, MAX_ALIASES, Policy, Provenance, Question};
use crate::wire::private::is_private_record;

/// A question, and what was found on its way.
pub(super) struct AliasWalk {
    /// What is asked now.
    pub(super) question: Question,
    /// What was asked first.
    pub(super) asked: DnsName,
    /// Records that led here.
    found: Vec<Record>,
    /// The least of the provenances so far; `None` before the question has moved.
    provenance: Option<Provenance>,
    /// How often the question moved.
    pub(super) hops: usize,
    /// The heights at which all of it is valid.
    heights: Heights,
}

impl AliasWalk {
    /// A question that has not moved yet.
    pub(super) fn new(question: Question) -> Self {
        Self {
            asked: question.name.clone(),
            question,
            found: Vec::new(),
            provenance: None,
            hops: 0,
            heights: Heights::ALL,
        }
    }

    /// The terms for what is asked now: the alias of another name does not lead to the gateway.
    pub(super) fn policy<'p>(&self, policy: &'p Policy) -> Cow<'p, Policy> {
        if self.hops == 0 || policy.gateway.is_none() {
            return Cow::Borrowed(policy);
        }
        Cow::Owned(Policy {
            gateway: None,
            ..policy.clone()
        })
    }

    /// Takes an answer in. Gives the whole answer if the question ends here, `None` if it goes on.
    pub(super) fn advance(&mut self, mut answer: Answer, policy: &Policy) -> Option<Answer> {
        if self.hops + hops(&answer.answers) > MAX_ALIASES {
            return Some(Answer::endless_aliases());
        }
        let Some(target) = answer.chase.take() else {
            // A zone file must not lead to this machine by way of `localhost`.
            let led_here = self.provenance.is_some() && answer.provenance == Provenance::Local;
            if led_here && !policy.allows_private(&self.asked) {
                answer.answers.retain(|record| !is_private_record(record));
            }
            return Some(self.merge(answer));
        };
        self.heights = self.heights.and(answer.heights);
        self.move_to(target, answer.answers, answer.provenance);
        None
    }

    /// Goes on with `target`, to which the records of `way` led.
    pub(super) fn move_to(&mut self, target: DnsName, way: Vec<Record>, provenance: Provenance) {
        self.hops += hops(&way).max(1);
        self.found.extend(way);
        self.provenance = Some(self.least(provenance));
        self.question.name = target;
    }

    /// `answer` with what was found on the way before it.
    pub(super) fn merge(&mut self, mut answer: Answer) -> Answer {
        if answer.rcode == ResponseCode::ServFail {
            return answer;
        }
        answer.provenance = self.least(answer.provenance);
        answer.heights = self.heights.and(answer.heights);
        if !self.found.is_empty() {
            self.found.append(&mut answer.answers);
            answer.answers = std::mem::take(&mut self.found);
        }
        answer
    }

    /// An upstream's response with what was found on the way before it, without private addresses. AA and AD are never
    /// copied.
    pub(super) fn relayed(&mut self, mut message: Message, policy: &Policy) -> Reply {
        let mut reply = Reply::bare(message.metadata.response_code);
        if strip_private(&mut message, &self.asked, policy) {
            let text = "private address left out; list the name in allow-private";
            reply.ede = Some(ExtendedError::new(ExtendedError::BLOCKED, text));
        }
        reply.answers = std::mem::take(&mut self.found);
        reply.answers.extend(message.answers);
        reply.authorities = message.authorities;
        reply.additionals = message.additionals;
        reply
    }

    fn least(&self, provenance: Provenance) -> Provenance {
        self.provenance
            .map_or(provenance, |found| found.max(provenance))
    }
}

/// How often a question moved along these records. A DNAME comes with the CNAME that it makes.
fn hops(way: &[Record]) -> usize {
    let is_hop = |record: &&Record| record.record_type() == RecordType::CNAME;
    way.iter().filter(is_hop).count()
}

/// Takes records with private addresses out of a message (DNS rebinding), except below names listed in `allow-private`.
/// Gives whether the answer section lost any.
fn strip_private(message: &mut Message, asked: &DnsName, policy: &Policy) -> bool {
    if policy.allows_private(asked) {
        return false;
    }
    let before = message.answers.len();
    for section in [
        &mut message.answers,
        &mut message.authorities,
        &mut message.additionals,
    ] {
        section.retain(|record| !is_private_record(record) || policy.allows_private(&record.name));
    }
    message.answers.len() < before
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::RData;
    use hickory_proto::rr::rdata::{A, AAAA};

    use super::*;

    fn message(addresses: &[&str]) -> Message {
        let mut message = Message::query();
        for address in addresses {
            let data = match address.parse().expect("an address") {
                std::net::IpAddr::V4(v4) => RData::A(A(v4)),
                std::net::IpAddr::V6(v6) => RData::AAAA(AAAA(v6)),
            };
            message.add_answer(Record::from_rdata(name("evil.example."), 60, data));
        }
        message
    }

    fn name(text: &str) -> DnsName {
        DnsName::from_ascii(text).expect("a domain name")
    }

    #[test]
    fn private_addresses_are_stripped_unless_allowed() {
        let addresses = ["127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "1.1.1.1"];
        let mut policy = Policy::default();
        let mut found = message(&addresses);
        assert!(strip_private(&mut found, &name("evil.example."), &policy));
        assert_eq!(found.answers.len(), 1);
        policy.allow_private.push(name("example."));
        let mut found = message(&addresses);
        assert!(!strip_private(&mut found, &name("evil.example."), &policy));
        assert_eq!(found.answers.len(), 4);
    }
}
