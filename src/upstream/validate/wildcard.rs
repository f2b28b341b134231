//! Proof that a response may come from a wildcard, where hickory 0.26 does not see it.
//!
//! Such a response has to come with an NSEC for the *next closer name*, the name that would have been nearer to the
//! question than the wildcard (RFC 4035 §5.3.4, RFC 5155 §8.8 for the term). hickory also wants an NSEC around the wildcard's
//! name, which there cannot be when the one that is needed is the wildcard's own: `*.a NSEC www` for `x.a`. Every record
//! that is looked at here was verified by hickory before.

use hickory_proto::dnssec::Proof;
use hickory_proto::dnssec::rdata::sig::SigInput;
use hickory_proto::dnssec::rdata::{DNSSECRData, NSEC};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// Whether all records of the answer section are verified, and those that a wildcard gave have the denial that they need.
pub fn is_proved(response: &Message) -> bool {
    let answers = &response.answers;
    let is_verified = |record: &Record| {
        record.record_type() == RecordType::RRSIG || record.proof == Proof::Secure
    };
    let mut expanded = answers.iter().filter_map(Expanded::of).peekable();
    response.metadata.response_code == ResponseCode::NoError
        && answers.iter().all(is_verified)
        && expanded.peek().is_some()
        && expanded.all(|set| set.is_denied(&response.authorities))
}

/// A set that a wildcard gave.
struct Expanded<'a> {
    next_closer: Name,
    /// The zone that signed it.
    zone: &'a Name,
}

impl<'a> Expanded<'a> {
    /// Read from the set's signature, which counts fewer labels than its name has.
    fn of(record: &'a Record) -> Option<Self> {
        let signature = signature(record)?;
        let labels = signature.num_labels;
        (labels < record.name.num_labels()).then(|| Self {
            next_closer: record.name.trim_to(usize::from(labels) + 1),
            zone: &signature.signer_name,
        })
    }

    /// Whether the same zone says that there is no such name, and nothing below it.
    fn is_denied(&self, authorities: &[Record]) -> bool {
        authorities.iter().any(|record| match &record.data {
            RData::DNSSEC(DNSSECRData::NSEC(nsec)) => {
                self.is_signed(record, authorities) && denies(&record.name, nsec, &self.next_closer)
            }
            _ => false,
        })
    }

    fn is_signed(&self, nsec: &Record, authorities: &[Record]) -> bool {
        let signs = |record: &Record| {
            record.name == nsec.name
                && signature(record).is_some_and(|signature| {
                    signature.type_covered == RecordType::NSEC
                        && signature.signer_name == *self.zone
                })
        };
        nsec.proof == Proof::Secure && authorities.iter().any(signs)
    }
}

fn signature(record: &Record) -> Option<&SigInput> {
    match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(signature)) => Some(signature.input()),
        _ => None,
    }
}

/// In the canonical order of names (RFC 4034 §6.1); the last NSEC of a zone leads back to its apex.
fn denies(owner: &Name, nsec: &NSEC, name: &Name) -> bool {
    let next = nsec.next_domain_name();
    let types = nsec.type_set();
    // An NSEC from above a cut or a DNAME says nothing about what is below (RFC 6840 §4.1).
    let is_cut = types.contains(RecordType::NS) && !types.contains(RecordType::SOA)
        || types.contains(RecordType::DNAME);
    let is_between = owner < name && (name < next || next <= owner && next.zone_of(name));
    is_between && !name.zone_of(next) && !(is_cut && owner.zone_of(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_between_two_is_denied_and_one_with_others_below_is_not() {
        let name = |text: &str| -> Name { text.parse().expect("a name") };
        let cases = [
            ("*.a.", "z.a.", RecordType::A, "x.a.", true),
            ("*.a.", "a.", RecordType::A, "x.a.", true),
            ("*.a.", "y.x.a.", RecordType::A, "x.a.", false),
            ("x.a.", "z.a.", RecordType::A, "x.a.", false),
            ("*.a.", "b.a.", RecordType::A, "x.a.", false),
            ("y.a.", "b.", RecordType::A, "x.a.", false),
            ("w.a.", "z.a.", RecordType::NS, "x.w.a.", false),
            ("w.a.", "z.a.", RecordType::DNAME, "x.w.a.", false),
            ("w.a.", "z.a.", RecordType::NS, "x.a.", true),
        ];
        for (owner, next, rtype, denied, expected) in cases {
            let nsec = NSEC::new(name(next), [rtype, RecordType::NSEC]);
            assert_eq!(
                denies(&name(owner), &nsec, &name(denied)),
                expected,
                "{owner} {next} {denied}"
            );
        }
    }
}
