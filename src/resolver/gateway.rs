//! The gateway: who asks for the address of a name that has none is led to a page of this machine about the name.
//!
//! Most names of the main chain have no address, but an owner, a zone file and a history. Where somebody chose a gateway
//! ([`Policy::gateway`]), a question for its type of address at the name itself is answered with the gateway's, unless the zone
//! file says where the name is. The answer is this machine's own, not the chain's: AD is never set, an alias of another name
//! does not lead here, and an extended error says what it is.

use std::net::IpAddr;

use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{RData, Record, RecordType};

use super::answer::{Answer, Provenance};
use super::apex::{Apex, NEGATIVE_TTL};
use super::policy::Policy;
use super::question::Question;
use crate::wire::ExtendedError;
use crate::zonefile::{Found, Zone};

/// Types that say where a name is, or that it is another.
const PLACES: [RecordType; 4] = [
    RecordType::A,
    RecordType::AAAA,
    RecordType::CNAME,
    RecordType::HTTPS,
];

/// The answer that leads to the gateway; `None` where the question is not its business. `zone` is `None` for a name without
/// a zone file.
pub(super) fn answer(
    question: &Question,
    apex: &Apex,
    zone: Option<&Zone>,
    policy: &Policy,
) -> Option<Answer> {
    let data = match policy.gateway? {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    };
    let is_asked = question.rtype == data.record_type() && question.name == apex.name;
    if !is_asked || zone.is_some_and(has_place) {
        return None;
    }
    let ttl = apex.ttl.min(NEGATIVE_TTL); // as for the "no data" that it replaces
    let record = Record::from_rdata(question.name.clone(), ttl, data);
    let text = "bns: the name has no address, this is the gateway of this machine";
    let answer = Answer::records(Provenance::Local, vec![record]).at(apex.heights);
    Some(answer.explained(ExtendedError::new(ExtendedError::SYNTHESIZED, text)))
}

/// Whether the zone file says where its name is.
fn has_place(zone: &Zone) -> bool {
    match zone.find(zone.origin()) {
        Found::Exact(node) => PLACES.iter().any(|rtype| node.rrset(*rtype).is_some()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolver::fixture::Names;
    use crate::resolver::{Outcome, Resolution, resolve};
    use hickory_proto::rr::{DNSClass, Name as DnsName};

    fn ask(gateway: &str, name: &str, rtype: RecordType) -> Answer {
        let policy = Policy {
            gateway: Some(gateway.parse().expect("an address")),
            ..Policy::default()
        };
        let name = DnsName::from_ascii(name).expect("a domain name");
        let question = Question::new(&name, rtype, DNSClass::IN);
        match resolve(&question, &policy, &Names::new()).expect("a source that never fails") {
            Resolution::Answer(answer) => answer,
            other => panic!("{name} is not answered here: {other:?}"),
        }
    }

    #[test]
    fn a_name_without_an_address_leads_to_the_gateway() {
        let cases = [
            ("127.0.0.1", "wild.podcast.", RecordType::A),
            ("127.0.0.1", "wild.podcast.bns.alt.", RecordType::A),
            ("127.0.0.1", "nozf.podcast.", RecordType::A),
            ("::1", "nozf.podcast.", RecordType::AAAA),
        ];
        for (gateway, name, rtype) in cases {
            let answer = ask(gateway, name, rtype);
            let [record] = &answer.answers[..] else {
                panic!("{name}: {answer:?}");
            };
            assert_eq!(record.data.to_string(), gateway, "{name}");
            assert_eq!(record.name.to_string(), name);
            assert_eq!((record.ttl, answer.provenance), (60, Provenance::Local));
            let code = answer.ede.map(|ede| ede.code);
            assert_eq!(code, Some(ExtendedError::SYNTHESIZED));
        }
    }

    #[test]
    fn every_other_question_is_answered_as_without_a_gateway() {
        let cases = [
            ("wild.podcast.", RecordType::AAAA, Outcome::NoData),
            ("wild.podcast.", RecordType::MX, Outcome::NoData),
            ("ent.wild.podcast.", RecordType::A, Outcome::NoData),
            ("x.nozf.podcast.", RecordType::A, Outcome::NoData),
            ("good.id.", RecordType::AAAA, Outcome::NoData),
            ("nosuch.podcast.", RecordType::A, Outcome::NoSuchName),
            ("expired.podcast.", RecordType::A, Outcome::NoSuchName),
            ("revoked.podcast.", RecordType::A, Outcome::NoSuchName),
            ("missing.podcast.", RecordType::A, Outcome::ZoneFileMissing),
            ("podcast.", RecordType::A, Outcome::NoData),
        ];
        for (name, rtype, outcome) in cases {
            let answer = ask("127.0.0.1", name, rtype);
            assert_eq!(answer.outcome, outcome, "{name} {rtype}");
        }
        let own = ask("127.0.0.1", "good.id.", RecordType::A);
        assert_eq!((own.provenance, own.ede), (Provenance::Chain, None));
    }
}
