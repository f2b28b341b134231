//! A question on its way along CNAMEs and DNAMEs, from the chain to upstreams and back.
//!
//! What was found on the way is kept, and the least trustworthy part decides what is claimed of the whole: a
//! single record from an upstream takes AA and AD away.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name as DnsName, Record, RecordType};

use super::encode::Reply;
use crate::resolver::{Answer, ExtendedError, Heights, MAX_CHAIN, Policy, Provenance, Question};
use crate::upstream::rebind::Filtered;
use crate::wire::private::is_private_record;

/// A question on its way along CNAMEs.
pub(super) struct Chain {
    /// What is asked now.
    pub(super) question: Question,
    /// What was asked first.
    pub(super) asked: DnsName,
    /// What was found on the way.
    answers: Vec<Record>,
    /// Set once the question has moved; the least of the provenances so far.
    provenance: Option<Provenance>,
    /// Records that led on.
    pub(super) hops: usize,
    /// The heights at which all of it is the same.
    heights: Heights,
}

impl Chain {
    /// A question that has not moved yet.
    pub(super) fn new(question: Question) -> Self {
        Self {
            asked: question.name.clone(),
            question,
            answers: Vec::new(),
            provenance: None,
            hops: 0,
            heights: Heights::ALL,
        }
    }

    /// Takes an answer in; the whole answer if the question ends here, or `None` if it goes on.
    pub(super) fn advance(&mut self, mut answer: Answer, policy: &Policy) -> Option<Answer> {
        if self.hops + hops(&answer.answers) > MAX_CHAIN {
            return Some(Answer::endless_chain());
        }
        let Some(target) = answer.chase.take() else {
            return Some(self.merge_checked(answer, policy));
        };
        self.heights = self.heights.and(answer.heights);
        self.move_to(target, answer.answers, answer.provenance);
        None
    }

    /// Goes on with `target`, to which the records of `way` led.
    pub(super) fn move_to(&mut self, target: DnsName, way: Vec<Record>, provenance: Provenance) {
        self.hops += hops(&way).max(1);
        self.answers.extend(way);
        self.provenance = Some(self.least(provenance));
        self.question.name = target;
    }

    /// A zone file must not lead to this machine by way of `localhost`.
    fn merge_checked(&mut self, mut answer: Answer, policy: &Policy) -> Answer {
        let led_here = self.provenance.is_some() && answer.provenance == Provenance::Local;
        if led_here && !policy.allows_private(&self.asked) {
            answer.answers.retain(|record| !is_private_record(record));
        }
        self.merge(answer)
    }

    /// `answer` with what was found on the way before it.
    pub(super) fn merge(&mut self, mut answer: Answer) -> Answer {
        if answer.rcode == ResponseCode::ServFail {
            return answer;
        }
        answer.provenance = self.least(answer.provenance);
        answer.heights = self.heights.and(answer.heights);
        if !self.answers.is_empty() {
            self.answers.append(&mut answer.answers);
            answer.answers = std::mem::take(&mut self.answers);
        }
        answer
    }

    /// An upstream's response with what was found on the way before it. AA and AD are never copied.
    pub(super) fn relayed(&mut self, message: Message, filtered: Filtered) -> Reply {
        let mut reply = Reply::bare(message.metadata.response_code);
        reply.answers = std::mem::take(&mut self.answers);
        reply.answers.extend(message.answers);
        reply.authorities = message.authorities;
        reply.additionals = message.additionals;
        if filtered == Filtered::Stripped {
            let text = "private address left out; list the name in allow-private";
            reply.ede = Some(ExtendedError::new(ExtendedError::BLOCKED, text));
        }
        reply
    }

    fn least(&self, provenance: Provenance) -> Provenance {
        match (self.provenance, provenance) {
            (None, only) => only,
            (Some(Provenance::Upstream), _) | (_, Provenance::Upstream) => Provenance::Upstream,
            (Some(Provenance::Local), _) | (_, Provenance::Local) => Provenance::Local,
            (Some(Provenance::Chain), Provenance::Chain) => Provenance::Chain,
        }
    }
}

/// How often a question moved along these records. A DNAME comes with the CNAME that it makes.
fn hops(way: &[Record]) -> usize {
    let is_hop = |record: &&Record| record.record_type() == RecordType::CNAME;
    way.iter().filter(is_hop).count()
}
