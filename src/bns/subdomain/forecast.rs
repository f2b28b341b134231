//! What the rules would say to records that stand in no announced zone file yet.

use std::collections::{BTreeMap, HashMap};

use super::history::{Claim, Refusal, follows};
use super::name::Subdomain;
use super::record::Record;
use crate::bns::address::{Address, AddressVersions};
use crate::hash::ZonefileHash;

/// A record that is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Its sequence number.
    pub sequence: u64,
    /// Who owns the subdomain from then on.
    pub owner: Address,
    /// Hash of the subdomain's zone file.
    pub zonefile: ZonefileHash,
}

/// What would become of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prospect {
    /// It would be accepted.
    Accepted,
    /// The same one is accepted already.
    Known,
    /// It would change nothing.
    Refused(Refusal),
}

/// The accepted records of subdomains, as far as they are known, and those that would follow them.
#[derive(Debug, Clone, Default)]
pub struct Forecast {
    known: HashMap<Subdomain, BTreeMap<u64, Accepted>>,
}

impl Forecast {
    /// Takes in what is accepted of a subdomain; the last record has to be among it.
    pub fn learn(&mut self, subdomain: Subdomain, accepted: impl IntoIterator<Item = Accepted>) {
        let accepted = accepted.into_iter().map(|it| (it.sequence, it));
        self.known.entry(subdomain).or_default().extend(accepted);
    }

    /// Whether something was taken in of a subdomain, be it nothing.
    pub fn has_learnt(&self, subdomain: &Subdomain) -> bool {
        self.known.contains_key(subdomain)
    }

    /// The last accepted record.
    pub fn last(&self, subdomain: &Subdomain) -> Option<Accepted> {
        let known = self.known.get(subdomain)?;
        known.last_key_value().map(|(_, last)| *last)
    }

    /// What would become of records, one after the other: accepted if one of them would be and none refused. All of them
    /// count for those that are judged later, or none.
    pub fn judge_all(&mut self, records: &[Record], versions: AddressVersions) -> Prospect {
        let mut accepted: Vec<&Record> = Vec::new();
        for record in records {
            match self.judge(record, versions) {
                Prospect::Accepted => accepted.push(record),
                Prospect::Known => {}
                Prospect::Refused(refusal) => {
                    for record in accepted {
                        let known = self.known.get_mut(&record.subdomain);
                        known.and_then(|known| known.remove(&record.sequence));
                    }
                    return Prospect::Refused(refusal);
                }
            }
        }
        match accepted.is_empty() {
            true => Prospect::Known,
            false => Prospect::Accepted,
        }
    }

    /// What would become of a record. One that would be accepted counts for those that are judged after it.
    pub fn judge(&mut self, record: &Record, versions: AddressVersions) -> Prospect {
        let accepted = Accepted {
            sequence: record.sequence,
            owner: record.owner,
            zonefile: ZonefileHash::of(&record.zonefile),
        };
        let known = self.known.entry(record.subdomain.clone()).or_default();
        if known.get(&record.sequence) == Some(&accepted) {
            return Prospect::Known;
        }
        let claim = Claim {
            sequence: record.sequence,
            owner: record.owner,
            signer: record.signer(versions),
            independent: record.independent,
        };
        let last = known.values().next_back();
        match follows(last.map(|last| (last.sequence, last.owner)), claim) {
            Ok(()) => {
                known.insert(record.sequence, accepted);
                Prospect::Accepted
            }
            Err(refusal) => Prospect::Refused(refusal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSIONS: AddressVersions = AddressVersions::MAINNET;

    fn record(sequence: u64, owner: u8) -> Record {
        Record {
            subdomain: "bar.foo.id".parse().expect("a subdomain"),
            independent: false,
            owner: Address::P2pkh([owner; 20]),
            sequence,
            zonefile: b"$ORIGIN bar.foo.id\n".to_vec(),
            signature: None,
        }
    }

    #[test]
    fn what_is_accepted_counts_for_the_next_and_is_known_again() {
        let mut forecast = Forecast::default();
        let first = record(0, 1);
        assert!(!forecast.has_learnt(&first.subdomain));
        assert_eq!(forecast.judge(&first, VERSIONS), Prospect::Accepted);
        assert_eq!(forecast.judge(&first, VERSIONS), Prospect::Known);
        let other = Prospect::Refused(Refusal::Sequence { last: 0 });
        assert_eq!(forecast.judge(&record(0, 2), VERSIONS), other);
        assert_eq!(forecast.judge(&record(2, 1), VERSIONS), other);
        let unsigned = Prospect::Refused(Refusal::Unsigned);
        assert_eq!(forecast.judge(&record(1, 1), VERSIONS), unsigned);
        let last = forecast.last(&first.subdomain).expect("a record");
        assert_eq!((last.sequence, last.owner), (0, first.owner));
    }

    #[test]
    fn records_that_belong_together_are_accepted_together_or_not_at_all() {
        let mut forecast = Forecast::default();
        let both = [record(0, 1), record(1, 1)];
        let unsigned = Prospect::Refused(Refusal::Unsigned);
        assert_eq!(forecast.judge_all(&both, VERSIONS), unsigned);
        assert_eq!(forecast.last(&both[0].subdomain), None);
        assert_eq!(forecast.judge_all(&both[..1], VERSIONS), Prospect::Accepted);
        assert_eq!(forecast.judge_all(&both[..1], VERSIONS), Prospect::Known);
    }

    #[test]
    fn a_record_follows_what_was_learnt() {
        let mut forecast = Forecast::default();
        let known = record(7, 1);
        let accepted = Accepted {
            sequence: 7,
            owner: known.owner,
            zonefile: ZonefileHash::of(&known.zonefile),
        };
        forecast.learn(known.subdomain.clone(), [accepted]);
        assert_eq!(forecast.judge(&known, VERSIONS), Prospect::Known);
        let behind = Prospect::Refused(Refusal::Sequence { last: 7 });
        assert_eq!(forecast.judge(&record(0, 1), VERSIONS), behind);
        let unsigned = Prospect::Refused(Refusal::Unsigned);
        assert_eq!(forecast.judge(&record(8, 1), VERSIONS), unsigned);
    }
}
