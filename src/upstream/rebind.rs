//! Takes private addresses out of what upstreams say (DNS rebinding).

use hickory_proto::op::Message;
use hickory_proto::rr::Name as DnsName;

use crate::resolver::Policy;
use crate::wire::private::is_private_record;

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filtered {
    /// Nothing was taken out.
    Untouched,
    /// Some records were taken out.
    Stripped,
}

/// Takes records with private addresses out of a message, except below names listed in `allow-private`.
pub fn filter(message: &mut Message, asked: &DnsName, policy: &Policy) -> Filtered {
    if policy.allows_private(asked) {
        return Filtered::Untouched;
    }
    let before = message.answers.len();
    for section in [
        &mut message.answers,
        &mut message.authorities,
        &mut message.additionals,
    ] {
        section.retain(|record| !is_private_record(record) || policy.allows_private(&record.name));
    }
    if message.answers.len() == before {
        Filtered::Untouched
    } else {
        Filtered::Stripped
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::{A, AAAA};
    use hickory_proto::rr::{RData, Record};

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
        assert_eq!(
            filter(&mut found, &name("evil.example."), &policy),
            Filtered::Stripped
        );
        assert_eq!(found.answers.len(), 1);
        policy.allow_private.push(name("example."));
        let mut found = message(&addresses);
        assert_eq!(
            filter(&mut found, &name("evil.example."), &policy),
            Filtered::Untouched
        );
        assert_eq!(found.answers.len(), 4);
    }
}
