//! Answers for special-use names: always the same, for everyone, and never from an upstream.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::rdata::{A, AAAA, HINFO, PTR};
use hickory_proto::rr::{Name as DnsName, RData, Record, RecordType};

use super::answer::{Answer, Heights, Provenance};
use super::apex::Apex;
use super::route::{Question, SpecialUse, suffix};

/// TTL of local answers in seconds. They never change; a day is the most that stubs keep anyway.
const TTL: u32 = 86_400;

/// The answer to a question about a special-use name.
pub fn answer(kind: SpecialUse, question: &Question) -> Answer {
    match kind {
        SpecialUse::Localhost => localhost(question),
        SpecialUse::LoopbackReverse => loopback_reverse(question),
        SpecialUse::Nonexistent(labels) => apex(question, labels).no_such_name(),
        SpecialUse::Empty(labels) => empty(question, labels),
    }
}

/// The only record of a minimal answer to ANY (RFC 8482 §4.2), in its wording and with its TTL.
pub fn hinfo(name: &DnsName) -> Record {
    const HINFO_TTL: u32 = 3789;
    let data = RData::HINFO(HINFO::new("RFC8482".to_owned(), String::new()));
    Record::from_rdata(name.clone(), HINFO_TTL, data)
}

fn localhost(question: &Question) -> Answer {
    let data = match question.rtype {
        RecordType::A | RecordType::ANY => RData::A(A(Ipv4Addr::LOCALHOST)),
        RecordType::AAAA => RData::AAAA(AAAA(Ipv6Addr::LOCALHOST)),
        _ => return apex(question, 1).no_data(),
    };
    one(question, data)
}

fn loopback_reverse(question: &Question) -> Answer {
    match question.rtype {
        RecordType::PTR | RecordType::ANY => {
            let name = DnsName::from_labels([&b"localhost"[..]]).expect("one short label");
            one(question, RData::PTR(PTR(name)))
        }
        _ => apex(question, question.name.iter().count() as u8).no_data(),
    }
}

fn empty(question: &Question, labels: u8) -> Answer {
    let apex = apex(question, labels);
    match question.name.iter().count() {
        // `255.in-addr.arpa` above an apex of six labels: exists without data.
        count if count < usize::from(labels) => apex.no_data(),
        count if count == usize::from(labels) => apex.answer(question.rtype),
        // RFC 9462 §6.1 asks for NODATA rather than NXDOMAIN below resolver.arpa.
        _ if apex.name.iter().next() == Some(b"resolver") => apex.no_data(),
        _ => apex.no_such_name(),
    }
}

fn apex(question: &Question, labels: u8) -> Apex {
    Apex {
        name: suffix(&question.name, usize::from(labels)),
        serial: 1,
        ttl: TTL,
        provenance: Provenance::Local,
        heights: Heights::ALL,
    }
}

fn one(question: &Question, data: RData) -> Answer {
    let record = Record::from_rdata(question.name.clone(), TTL, data);
    Answer::records(Provenance::Local, vec![record])
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::ResponseCode;
    use hickory_proto::rr::DNSClass;

    use super::*;
    use crate::resolver::{Policy, Route, route};

    fn ask(name: &str, rtype: RecordType) -> Answer {
        let name = DnsName::from_ascii(name).expect("a domain name");
        let question = Question::new(&name, rtype, DNSClass::IN);
        match route(&question, &Policy::default()) {
            Route::SpecialUse(kind) => answer(kind, &question),
            other => panic!("{name} is not special: {other:?}"),
        }
    }

    #[test]
    fn localhost_is_this_machine() {
        let answer = ask("www.localhost.", RecordType::A);
        assert_eq!(answer.answers[0].data, RData::A(A(Ipv4Addr::LOCALHOST)));
        let answer = ask("localhost.", RecordType::MX);
        assert_eq!(
            (answer.rcode, answer.outcome),
            (ResponseCode::NoError, super::super::Outcome::NoData)
        );
        let answer = ask("1.0.0.127.in-addr.arpa.", RecordType::PTR);
        assert_eq!(answer.answers[0].data.to_string(), "localhost.");
    }

    #[test]
    fn empty_zones_have_an_apex_and_nothing_below() {
        assert_eq!(ask("home.arpa.", RecordType::SOA).answers.len(), 1);
        let below = ask("x.home.arpa.", RecordType::A);
        assert_eq!(below.rcode, ResponseCode::NXDomain);
        assert_eq!(below.authorities[0].name.to_string(), "home.arpa.");
        assert_eq!(below.authorities[0].ttl, 60);
        let designated = ask("_dns.resolver.arpa.", RecordType::SVCB);
        assert_eq!(designated.rcode, ResponseCode::NoError);
        assert_eq!(
            ask("foo.invalid.", RecordType::A).rcode,
            ResponseCode::NXDomain
        );
    }
}
