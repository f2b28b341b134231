//! Which of the files that wait can go into zone files.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsString;

use crate::bns::address::AddressVersions;
use crate::bns::subdomain::{Prospect, Record, Refusal, Subdomain};
use crate::cli::subdomain::Known;

/// How often what is refused is looked at again in one go; what is left then waits. Files come nearly in their order, so that
/// one or two are enough, and more would let whoever writes files take hours of work.
const PASSES_MAX: usize = 16;

/// A file by its name, with its records.
pub type Found = (OsString, Vec<Record>);

/// What becomes of files. One that is nowhere waits.
#[derive(Debug, Default)]
pub struct Sifted {
    /// Those whose records would be accepted one after the other.
    pub wanted: Vec<Found>,
    /// Those whose records are all in force.
    pub known: Vec<OsString>,
    /// Those that would be refused whatever comes.
    pub refused: Vec<(OsString, Refusal)>,
    /// Why others wait, a sentence without its end for each subdomain.
    pub gaps: BTreeSet<String>,
}

/// Sifts files by what is known of their subdomains.
pub fn sift(mut found: Vec<Found>, known: &mut Known, versions: AddressVersions) -> Sifted {
    // What follows in sequence may have come before.
    found.sort_by_key(|(_, records)| records.iter().map(|record| record.sequence).max());
    let mut sifted = Sifted::default();
    let mut waiting: HashSet<Subdomain> = HashSet::new();
    for _ in 0..PASSES_MAX {
        let (mut refused, accepted) = (Vec::new(), sifted.wanted.len());
        for (name, records) in found {
            if records.iter().any(|it| waiting.contains(&it.subdomain)) {
                continue;
            }
            match known.forecast.judge_all(&records, versions) {
                Prospect::Known => sifted.known.push(name),
                Prospect::Refused(refusal) => refused.push((name, records, refusal)),
                Prospect::Accepted => match gap(known, &records, |it| it.sequence == 0) {
                    None => sifted.wanted.push((name, records)),
                    Some(gap) => {
                        waiting.extend(records.into_iter().map(|it| it.subdomain));
                        sifted.gaps.insert(gap);
                    }
                },
            }
        }
        if sifted.wanted.len() == accepted {
            sifted.refuse(refused, known);
            return sifted;
        }
        let again = refused.into_iter();
        found = again.map(|(name, records, _)| (name, records)).collect();
    }
    sifted
}

impl Sifted {
    /// Refuses those that nothing which is missing can help.
    fn refuse(&mut self, refused: Vec<(OsString, Vec<Record>, Refusal)>, known: &Known) {
        for (name, records, refusal) in refused {
            match gap(known, &records, |_| true) {
                None => self.refused.push((name, refusal)),
                Some(gap) => drop(self.gaps.insert(gap)),
            }
        }
    }
}

/// What is missing before anything is certain of those records that are meant.
fn gap(known: &Known, records: &[Record], is_meant: impl Fn(&Record) -> bool) -> Option<String> {
    let mut meant = records.iter().filter(|record| is_meant(record));
    meant.find_map(|record| known.gap(&record.subdomain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wallet::keys::SigningKey;
    use crate::wallet::lock::Lock;
    use crate::wallet::subdomain::sign;

    const VERSIONS: AddressVersions = AddressVersions::TESTNET;

    /// A record that the owner of all of them signed.
    fn record(label: &str, sequence: u64) -> Record {
        let key = SigningKey::dev_only_from_label("owner");
        let lock = Lock::KeyHash(key.public());
        let subdomain = format!("{label}.foo.id");
        let mut record = Record {
            subdomain: subdomain.parse().expect("a subdomain"),
            independent: false,
            owner: lock.address(),
            sequence,
            zonefile: subdomain.into_bytes(),
            signature: None,
        };
        sign(&mut record, &lock, &[key], VERSIONS).expect("our key");
        record
    }

    fn file(name: &str, records: &[(&str, u64)]) -> Found {
        let records = records.iter().map(|(label, number)| record(label, *number));
        (name.into(), records.collect())
    }

    fn names(found: &[Found]) -> Vec<&str> {
        let names = found.iter().filter_map(|(name, _)| name.to_str());
        names.collect()
    }

    #[test]
    fn what_follows_a_record_of_a_later_file_is_accepted_too() {
        let found = vec![
            file("third", &[("b", 1)]),
            file("second", &[("a", 1), ("b", 0), ("c", 2)]),
            file("never", &[("d", 1)]),
            file("first", &[("a", 0), ("c", 0)]),
            file("between", &[("c", 1)]),
        ];
        let sifted = sift(found, &mut Known::default(), VERSIONS);
        let wanted = names(&sifted.wanted);
        assert_eq!(wanted, ["first", "between", "second", "third"]);
        let refused = vec![(OsString::from("never"), Refusal::NotFirst)];
        assert_eq!(sifted.refused, refused);
    }

    #[test]
    fn while_zone_files_are_missing_nothing_is_made_and_nothing_refused() {
        let mut known = Known::default();
        let foo = "foo.id".parse().expect("a name");
        known.misses(&foo, vec![3, 7]);
        known.forecast.judge(&record("old", 0), VERSIONS);
        let files = || {
            vec![
                file("new", &[("a", 0)]),
                file("after", &[("a", 1)]),
                file("late", &[("b", 4)]),
                file("update", &[("old", 1)]),
                file("again", &[("old", 0)]),
            ]
        };
        let sifted = sift(files(), &mut known.clone(), VERSIONS);
        assert_eq!(names(&sifted.wanted), ["update"]);
        assert_eq!(sifted.known, ["again"]);
        assert_eq!((sifted.refused.len(), sifted.gaps.len()), (0, 2));
        assert!(
            sifted
                .gaps
                .iter()
                .all(|gap| gap.contains("_missing TXT \"3,7\"")),
            "{sifted:?}"
        );
        let mut whole = Known::default();
        whole.forecast = known.forecast;
        let sifted = sift(files(), &mut whole, VERSIONS);
        assert_eq!((sifted.wanted.len(), sifted.refused.len()), (3, 1));
    }
}
