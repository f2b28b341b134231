//! Names with a meaning of their own: which they are, and their answers, which are the same for everyone and everywhere.
//!
//! None of them is ever asked of an upstream, unless a route in the configuration names one for it: they mean this machine
//! or its network, and a query for them outside only tells strangers about it.
//!
//! | names | answer | source |
//! |---|---|---|
//! | `localhost` and below, 127.0.0.1 and ::1 in reverse | this machine | RFC 6761 §6.3, RFC 6303 §4.2 |
//! | `invalid`, `test`, `onion`, `alt`, `local` | NXDOMAIN | RFC 6761, RFC 7686, RFC 9476, RFC 6762 |
//! | `use-application-dns.net` | NXDOMAIN, so that Firefox asks the system's resolver | Mozilla, "Canary domain" |
//! | `home.arpa`, `resolver.arpa`, reverse names of private and reserved addresses | an empty zone | RFC 8375, RFC 9462, RFC 6303, RFC 7793 |

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::rdata::{A, AAAA, PTR};
use hickory_proto::rr::{Name as DnsName, RData, Record, RecordType};

use super::answer::{Answer, Heights, Provenance};
use super::apex::Apex;
use super::question::{Question, suffix};

/// TTL of local answers in seconds. They never change; stub resolvers keep nothing for longer than a day.
const TTL: u32 = 86_400;

/// Names with a meaning of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpecialUse {
    /// `localhost` and below (RFC 6761 §6.3).
    Localhost,
    /// A zone that does not exist. The value is the number of labels of its apex.
    Nonexistent(u8),
    /// A zone without content. The value is the number of labels of its apex.
    Empty(u8),
    /// The reverse name of 127.0.0.1 or ::1 (RFC 6303 §4.2).
    LoopbackReverse,
}

/// The answer to a question about a special-use name.
pub fn answer(kind: SpecialUse, question: &Question) -> Answer {
    match kind {
        SpecialUse::Localhost => localhost(question),
        SpecialUse::LoopbackReverse => loopback_reverse(question),
        SpecialUse::Nonexistent(labels) => apex(question, labels).no_such_name(),
        SpecialUse::Empty(labels) => empty(question, labels),
    }
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

/// The special use of a name, if it has one.
pub(super) fn special_use(labels: &[&[u8]]) -> Option<SpecialUse> {
    let (last, rest) = labels.split_last()?;
    if matches!(labels, [.., b"use-application-dns", b"net"]) {
        return Some(SpecialUse::Nonexistent(2));
    }
    match *last {
        b"localhost" => Some(SpecialUse::Localhost),
        b"invalid" | b"test" | b"onion" | b"alt" | b"local" => Some(SpecialUse::Nonexistent(1)),
        b"arpa" => special_arpa(rest),
        _ => None,
    }
}

fn special_arpa(below: &[&[u8]]) -> Option<SpecialUse> {
    match below {
        [.., b"home"] | [.., b"resolver"] => Some(SpecialUse::Empty(2)),
        [.., b"in-addr"] => reverse_v4(below),
        [nibbles @ .., b"ip6"] => reverse_v6(nibbles),
        _ => None,
    }
}

/// RFC 6303 §4.1 and §4.2, with 100.64/10 of RFC 7793. `below` ends in `in-addr`.
fn reverse_v4(below: &[&[u8]]) -> Option<SpecialUse> {
    // Octets in the order of the address.
    let octets: Vec<Option<u8>> = below
        .iter()
        .rev()
        .skip(1)
        .map(|label| octet(label))
        .collect();
    match octets.as_slice() {
        [Some(127), Some(0), Some(0), Some(1)] => Some(SpecialUse::LoopbackReverse),
        [Some(0 | 10 | 127), ..] => Some(SpecialUse::Empty(3)),
        [Some(172), Some(16..=31), ..]
        | [Some(192), Some(168), ..]
        | [Some(169), Some(254), ..]
        | [Some(100), Some(64..=127), ..] => Some(SpecialUse::Empty(4)),
        [Some(192), Some(0), Some(2), ..]
        | [Some(198), Some(51), Some(100), ..]
        | [Some(203), Some(0), Some(113), ..] => Some(SpecialUse::Empty(5)),
        [Some(255), Some(255), Some(255), Some(255), ..] => Some(SpecialUse::Empty(6)),
        _ => None,
    }
}

/// RFC 6303 §4.3 to §4.6: `::`, `::1`, fc00::/7, fe80::/10, 2001:db8::/32.
fn reverse_v6(nibbles: &[&[u8]]) -> Option<SpecialUse> {
    let digits: Vec<u8> = nibbles
        .iter()
        .rev()
        .map(|label| nibble(label))
        .collect::<Option<_>>()?;
    match digits.as_slice() {
        [0xf, 0xc | 0xd, ..] => Some(SpecialUse::Empty(4)),
        [0xf, 0xe, 8..=0xb, ..] => Some(SpecialUse::Empty(5)),
        [2, 0, 0, 1, 0, 0xd, 0xb, 8, ..] => Some(SpecialUse::Empty(10)),
        [zeros @ .., last @ (0 | 1)] if zeros.len() == 31 && zeros.iter().all(|&d| d == 0) => {
            Some(if *last == 1 {
                SpecialUse::LoopbackReverse
            } else {
                SpecialUse::Empty(34)
            })
        }
        _ => None,
    }
}

fn octet(label: &[u8]) -> Option<u8> {
    std::str::from_utf8(label).ok()?.parse().ok()
}

fn nibble(label: &[u8]) -> Option<u8> {
    match label {
        [digit] => char::from(*digit).to_digit(16).map(|value| value as u8),
        _ => None,
    }
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
