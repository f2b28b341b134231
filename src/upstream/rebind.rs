//! Takes private addresses out of what upstreams say (DNS rebinding; conformance row 49).

use hickory_proto::op::Message;
use hickory_proto::rr::{Name as DnsName, RData, Record, RecordType};
use hickory_proto::serialize::binary::BinEncodable;

use crate::resolver::Policy;
use crate::resolver::private::{carries_private, is_private};
use crate::wire::{Walk, rtype};

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

/// Whether a message that was walked carries a private address anywhere, or something that could hide one.
pub fn has_private(walk: &Walk, message: &[u8]) -> bool {
    walk.records.iter().any(|record| {
        let rtype = RecordType::from(record.rtype);
        let data = message.get(record.data.clone()).unwrap_or_default();
        carries_private(rtype, data) || hides_hints(record.rtype, data)
    })
}

/// Whether the target of a service binding is compressed, which RFC 9460 §2.2 forbids: hints behind it are not
/// found by those who obey, and may be by those who do not.
fn hides_hints(rtype: u16, data: &[u8]) -> bool {
    if !matches!(rtype, rtype::SVCB | rtype::HTTPS) {
        return false;
    }
    let mut rest = data.get(2..).unwrap_or_default();
    while let Some((&length, after)) = rest.split_first() {
        match (length, after.get(usize::from(length)..)) {
            (0, _) => return false,
            (1..=63, Some(next)) => rest = next,
            _ => return true,
        }
    }
    true
}

/// Whether a record carries a private address.
pub fn is_private_record(record: &Record) -> bool {
    match &record.data {
        RData::A(address) => is_private(address.0.into()),
        RData::AAAA(address) => is_private(address.0.into()),
        data if matches!(record.record_type(), RecordType::SVCB | RecordType::HTTPS) => data
            .to_bytes()
            .is_ok_and(|rdata| carries_private(record.record_type(), &rdata)),
        RData::Unknown { code, rdata } => carries_private(*code, &rdata.anything),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
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
