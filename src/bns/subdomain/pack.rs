//! Records put into the zone file of a name: as many as it has room for.
//!
//! What was announced stays in force, so that a zone file needs only the records that are new. A second record of the same
//! subdomain belongs into a later file: of two in one file that with the lower sequence counts.

use std::collections::HashSet;

use super::carrier::{NotCarrier, looks_like_record, read};
use super::name::Subdomain;
use super::record::Record;
use crate::bns::address::AddressVersions;
use crate::bns::name::Name;
use crate::zonefile::{Entries, ZONEFILE_MAX};

/// The zone file of a name without records of subdomains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    carrier: Name,
    bytes: Vec<u8>,
}

/// Why a zone file cannot be filled with records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BaseError {
    /// It carries nothing.
    #[error(transparent)]
    NotCarrier(#[from] NotCarrier),
    /// A line takes its name from a record that is left out.
    #[error("line {line} has no name and stands behind a record of a subdomain: write its name")]
    Nameless {
        /// Which one, from 1.
        line: u32,
    },
}

impl Base {
    /// That of a name without records of its own.
    pub fn empty(carrier: &Name) -> Self {
        Self {
            carrier: carrier.clone(),
            bytes: format!("$ORIGIN {carrier}\n$TTL 3600\n").into_bytes(),
        }
    }

    /// What `bytes` say without the records of subdomains; comments stay.
    pub fn new(carrier: &Name, bytes: &[u8], versions: AddressVersions) -> Result<Self, BaseError> {
        read(carrier, bytes, versions)?;
        let records = RecordLines::of(bytes);
        if let Some(line) = records.nameless {
            return Err(BaseError::Nameless { line });
        }
        let mut bytes = records.replaced(bytes, b"");
        if !bytes.ends_with(b"\n") {
            bytes.push(b'\n');
        }
        Ok(Self {
            carrier: carrier.clone(),
            bytes,
        })
    }

    /// Whose zone file it is.
    pub fn carrier(&self) -> &Name {
        &self.carrier
    }

    /// Its text.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A zone file with empty lines in the place of records of subdomains: those are for whoever reads zone files, and of no
/// use in DNS.
pub fn without_records(bytes: &[u8]) -> Vec<u8> {
    RecordLines::of(bytes).replaced(bytes, b"\n")
}

/// The lines of a zone file that belong to records of subdomains.
struct RecordLines {
    /// From 0; comments behind a record are not its own.
    lines: HashSet<usize>,
    /// The first line, from 1, that takes its name from a record.
    nameless: Option<u32>,
}

impl RecordLines {
    fn of(bytes: &[u8]) -> Self {
        let text: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        let mut found = Self {
            lines: HashSet::new(),
            nameless: None,
        };
        let mut record = None;
        for entry in Entries::new(bytes).flatten() {
            let start = (entry.start.line as usize).saturating_sub(1);
            if record.is_some() && entry.indented && found.nameless.is_none() {
                found.nameless = Some(entry.start.line);
            }
            found.add(&text, record, start);
            record = looks_like_record(&entry).then_some(start);
        }
        found.add(&text, record, text.len());
        found
    }

    /// Adds the lines of a record that begins at `start`, if there is one; something else begins at `end`.
    fn add(&mut self, text: &[&[u8]], start: Option<usize>, end: usize) {
        let Some(start) = start else {
            return;
        };
        let lines = text.get(start..end).unwrap_or_default();
        let count = lines.iter().rposition(|line| !is_comment(line));
        self.lines.extend(start..=start + count.unwrap_or(0));
    }

    /// The text with something else in the place of each of these lines.
    fn replaced(&self, bytes: &[u8], by: &[u8]) -> Vec<u8> {
        let lines = bytes.split_inclusive(|byte| *byte == b'\n').enumerate();
        let lines = lines.map(|(number, line)| match self.lines.contains(&number) {
            true => by,
            false => line,
        });
        lines.flatten().copied().collect()
    }
}

fn is_comment(line: &[u8]) -> bool {
    let text = line.trim_ascii();
    text.is_empty() || text.starts_with(b";")
}

/// A zone file that is being filled.
#[derive(Debug, Clone)]
pub struct Packing {
    zonefile: Vec<u8>,
    subdomains: HashSet<Subdomain>,
    versions: AddressVersions,
}

impl Packing {
    /// Without records yet.
    pub fn new(base: &Base, versions: AddressVersions) -> Self {
        Self {
            zonefile: base.bytes.clone(),
            subdomains: HashSet::new(),
            versions,
        }
    }

    /// Adds records, if all of them find room and none is a second one of its subdomain.
    pub fn add(&mut self, records: &[Record]) -> bool {
        let mut subdomains = HashSet::new();
        let mut is_new = |record: &Record| {
            !self.subdomains.contains(&record.subdomain)
                && subdomains.insert(record.subdomain.clone())
        };
        if !records.iter().all(&mut is_new) {
            return false;
        }
        let lines = records
            .iter()
            .map(|record| record.line(self.versions) + "\n");
        let lines: String = lines.collect();
        let fits = self.zonefile.len() + lines.len() <= ZONEFILE_MAX;
        if fits {
            self.zonefile.extend_from_slice(lines.as_bytes());
            self.subdomains.extend(subdomains);
        }
        fits
    }

    /// The records, each in the first zone file behind those with an earlier record of its subdomain that has room for it;
    /// the error is a record for which even an empty one has none.
    pub fn all(
        base: &Base,
        records: &[Record],
        versions: AddressVersions,
    ) -> Result<Vec<Self>, Subdomain> {
        let mut packings: Vec<Self> = Vec::new();
        let mut order: Vec<&Record> = records.iter().collect();
        order.sort_by_key(|record| record.sequence);
        for record in order {
            let holds = |packing: &Self| packing.subdomains.contains(&record.subdomain);
            let first = packings.iter().rposition(holds).map_or(0, |last| last + 1);
            let one = std::slice::from_ref(record);
            let rest = packings.get_mut(first..).unwrap_or_default();
            if rest.iter_mut().any(|packing| packing.add(one)) {
                continue;
            }
            let mut packing = Self::new(base, versions);
            if !packing.add(one) {
                return Err(record.subdomain.clone());
            }
            packings.push(packing);
        }
        Ok(packings)
    }

    /// How many records it holds.
    pub fn count(&self) -> usize {
        self.subdomains.len()
    }

    /// The zone file.
    pub fn into_zonefile(self) -> Vec<u8> {
        self.zonefile
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bns::address::Address;

    const VERSIONS: AddressVersions = AddressVersions::TESTNET;

    fn carrier() -> Name {
        "foo.id".parse().expect("a name")
    }

    fn record(label: &str, sequence: u64, length: usize) -> Record {
        Record {
            subdomain: Subdomain::new(label.as_bytes(), carrier()).expect("a subdomain"),
            independent: false,
            owner: Address::P2pkh([1; 20]),
            sequence,
            zonefile: vec![b'x'; length],
            signature: None,
        }
    }

    fn base(text: &str) -> Result<String, BaseError> {
        let base = Base::new(&carrier(), text.as_bytes(), VERSIONS)?;
        Ok(String::from_utf8_lossy(base.bytes()).into_owned())
    }

    #[test]
    fn a_base_keeps_everything_but_records() {
        let head = "$ORIGIN foo.id\n$TTL 60\n";
        let line = record("bar", 0, 3).line(VERSIONS);
        let joined = line.replacen("TXT ", "TXT ( ; why\n  ", 1) + "\n; inside\n)";
        let tail = "; about www\n\nwww A 192.0.2.1\n_missing TXT \"3\"\nx TXT \"owner=\" \"me\"\n";
        let text = format!("{head}{line}\n{joined}\n{tail}{line}\n; the end");
        assert_eq!(base(&text), Ok(format!("{head}{tail}; the end\n")));
        let plain = format!("{head}{tail}");
        assert_eq!(base(&plain).as_ref(), Ok(&plain));
        let blank = String::from_utf8(without_records(text.as_bytes())).expect("a text");
        assert_eq!(blank, format!("{head}\n\n\n\n\n{tail}\n; the end"));
        let nameless = format!("{head}{line}\n  A 192.0.2.1\n");
        assert_eq!(base(&nameless), Err(BaseError::Nameless { line: 4 }));
        let other = base("$ORIGIN bar.id\n$TTL 60\n");
        assert!(matches!(
            other,
            Err(BaseError::NotCarrier(NotCarrier::Origin { .. }))
        ));
    }

    #[test]
    fn records_come_back_from_the_files_that_they_were_packed_into() {
        let records: Vec<Record> = (0..300)
            .map(|number| record(&format!("n{number}"), 0, 200 + number))
            .collect();
        let base = Base::empty(&carrier());
        let packings = Packing::all(&base, &records, VERSIONS).expect("room");
        let mut found = Vec::new();
        for packing in packings {
            let zonefile = packing.into_zonefile();
            assert!(zonefile.len() <= ZONEFILE_MAX && zonefile.starts_with(base.bytes()));
            let carried = read(&carrier(), &zonefile, VERSIONS).expect("a carrier");
            assert_eq!(carried.refused, []);
            found.extend(carried.records);
        }
        let name = |record: &Record| record.subdomain.clone();
        let mut expected = records;
        expected.sort_by_key(name);
        found.sort_by_key(name);
        assert_eq!(found, expected);
    }

    #[test]
    fn two_records_of_one_subdomain_never_share_a_file() {
        let records = [record("a", 1, 9), record("b", 0, 9), record("a", 0, 9)];
        let base = Base::empty(&carrier());
        let packings = Packing::all(&base, &records, VERSIONS).expect("room");
        let counts: Vec<usize> = packings.iter().map(Packing::count).collect();
        assert_eq!(counts, [2, 1]);
        let last = packings.into_iter().next_back().expect("a file");
        let text = String::from_utf8(last.into_zonefile()).expect("ASCII");
        assert!(
            text.contains("a TXT") && text.contains("\"seqn=1\""),
            "{text}"
        );
        let mut packing = Packing::new(&base, VERSIONS);
        assert!(!packing.add(&[record("a", 0, 9), record("a", 1, 9)]));
        assert_eq!(packing.count(), 0);
    }

    #[test]
    fn a_record_that_no_file_has_room_for_is_told() {
        let large = record("large", 0, ZONEFILE_MAX);
        let base = Base::empty(&carrier());
        let packed = Packing::all(&base, std::slice::from_ref(&large), VERSIONS);
        assert_eq!(packed.err(), Some(large.subdomain));
    }
}
