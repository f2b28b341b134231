//! A zone as bytes that answers are copied from: its names in canonical order, the records of each in wire form, and
//! tables that say where each stands.
//!
//! ```text
//! header   version 1, flags 1, length of the origin 1, names 2, RRsets 2
//! origin   in wire form
//! names    for each: end of its key 4, number of its last RRset + 1, 2
//! RRsets   for each: type 2, TTL 4, end of its records 4
//! keys     of the names, in the order of `key`
//! records  of the RRsets: length of the data 2, the data without compression
//! ```
//!
//! Numbers are big-endian. Ends count from the first key and from the first record. The same zone gives the same bytes.
//! They may lie on a disk: [`Compiled::read`] takes only what has this form to the last byte, and a lookup in it answers
//! what [`Zone::find`] answers, wildcards and DNAMEs aside, which [`Compiled::has_wildcard`] and [`Compiled::has_dname`]
//! announce.

mod build;
mod check;
#[cfg(test)]
mod tests;

use super::Zone;
use super::key::WireKey;
use super::types::code;

/// The version of the form. A form of another version is made anew from its zone file.
pub const VERSION: u8 = 1;

/// Bytes of the header.
const HEADER: usize = 7;
/// Bytes of a name in its table.
const NAME: usize = 6;
/// Bytes of an RRset in its table.
const SET: usize = 10;
/// Flag: one of the names is a wildcard.
const WILDCARD: u8 = 1;
/// Flag: one of the names has a DNAME.
const DNAME: u8 = 2;

/// Why bytes are no compiled zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// They were written by a program with another form.
    #[error("version {0} of compiled zones is not {VERSION}")]
    Version(u8),
    /// They do not have the form.
    #[error("the bytes are no compiled zone")]
    Form,
}

/// A compiled zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    bytes: Box<[u8]>,
    /// Where the parts begin.
    places: Places,
}

/// Where the parts of a compiled zone begin, and how many names and RRsets there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Places {
    names: u32,
    sets: u32,
    keys: u32,
    records: u32,
    name_count: u16,
    set_count: u16,
}

/// What a compiled zone holds for a name at or below its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompiledFound<'c> {
    /// The name has records.
    Exact(CompiledNode<'c>),
    /// It exists without records.
    EmptyNonTerminal,
    /// It has no records, and no name below it has any.
    Absent,
}

/// A name with records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompiledNode<'c> {
    zone: &'c Compiled,
    first: u16,
    end: u16,
}

/// The records of one name and type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompiledSet<'c> {
    /// Their type.
    pub rtype: u16,
    /// Their TTL in seconds.
    pub ttl: u32,
    records: &'c [u8],
}

impl Compiled {
    /// The compiled form of a zone; `None` for a zone with more names or RRsets than a zone file can have.
    pub fn of(zone: &Zone) -> Option<Self> {
        build::bytes_of(zone).and_then(|bytes| Self::checked(bytes.into()).ok())
    }

    /// Reads what [`Self::as_bytes`] gave, perhaps long ago.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        Self::checked(bytes.into())
    }

    fn checked(bytes: Box<[u8]>) -> Result<Self, Malformed> {
        let places = check::places(&bytes)?;
        Ok(Self { bytes, places })
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The name whose zone it is, in wire form and lower case.
    pub fn origin(&self) -> &[u8] {
        let end = self.places.names as usize;
        self.bytes.get(HEADER..end).unwrap_or_default()
    }

    /// Whether a wildcard may stand in for names that are [`CompiledFound::Absent`].
    pub fn has_wildcard(&self) -> bool {
        self.flags() & WILDCARD != 0
    }

    /// Whether a DNAME may redirect names.
    pub fn has_dname(&self) -> bool {
        self.flags() & DNAME != 0
    }

    /// What there is for a name. `below` are its labels below the origin in wire form and lower case, without the root.
    pub fn find(&self, below: &[u8]) -> CompiledFound<'_> {
        if below.is_empty() {
            return self.apex();
        }
        let Some(key) = WireKey::new(below) else {
            return CompiledFound::Absent;
        };
        match self.search(key.as_bytes()) {
            Ok(name) => self.node(name),
            Err(next) if self.key(next).starts_with(key.as_bytes()) => {
                CompiledFound::EmptyNonTerminal
            }
            Err(_) => CompiledFound::Absent,
        }
    }

    /// The SOA of the zone file, if it has one.
    pub fn soa(&self) -> Option<CompiledSet<'_>> {
        match self.apex() {
            CompiledFound::Exact(node) => node.set(code::SOA),
            _ => None,
        }
    }

    /// The apex, which always exists.
    fn apex(&self) -> CompiledFound<'_> {
        match self.places.name_count {
            1.. if self.key(0).is_empty() => self.node(0),
            _ => CompiledFound::EmptyNonTerminal,
        }
    }

    fn flags(&self) -> u8 {
        self.bytes.get(1).copied().unwrap_or_default()
    }

    /// The number of the name with a key, or of the first one behind it.
    fn search(&self, key: &[u8]) -> Result<u16, u16> {
        let (mut low, mut high) = (0, self.places.name_count);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.key(middle).cmp(key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// The key of a name; empty behind the last.
    fn key(&self, name: u16) -> &[u8] {
        let start = name.checked_sub(1).map_or(0, |before| self.name(before).0);
        let (start, end) = (start as usize, self.name(name).0 as usize);
        let keys = self.bytes.get(self.places.keys as usize..);
        keys.and_then(|keys| keys.get(start..end))
            .unwrap_or_default()
    }

    fn node(&self, name: u16) -> CompiledFound<'_> {
        CompiledFound::Exact(CompiledNode {
            zone: self,
            first: name.checked_sub(1).map_or(0, |before| self.name(before).1),
            end: self.name(name).1,
        })
    }

    /// The row of a name: end of its key, and of its RRsets.
    fn name(&self, name: u16) -> (u32, u16) {
        let at = self.places.names as usize + usize::from(name) * NAME;
        let row = self.bytes.get(at..).and_then(<[u8]>::first_chunk::<NAME>);
        row.map_or((0, 0), |&[a, b, c, d, e, f]| {
            (u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, f]))
        })
    }

    /// The row of an RRset: type, TTL, end of its records.
    fn row(&self, set: u16) -> (u16, u32, u32) {
        let at = self.places.sets as usize + usize::from(set) * SET;
        let row = self.bytes.get(at..).and_then(<[u8]>::first_chunk::<SET>);
        row.map_or((0, 0, 0), |&[a, b, c, d, e, f, g, h, i, j]| {
            let (ttl, end) = ([c, d, e, f], [g, h, i, j]);
            let rtype = u16::from_be_bytes([a, b]);
            (rtype, u32::from_be_bytes(ttl), u32::from_be_bytes(end))
        })
    }

    fn set(&self, set: u16) -> CompiledSet<'_> {
        let (rtype, ttl, end) = self.row(set);
        let start = set.checked_sub(1).map_or(0, |before| self.row(before).2);
        let records = self.bytes.get(self.places.records as usize..);
        CompiledSet {
            rtype,
            ttl,
            records: records
                .and_then(|records| records.get(start as usize..end as usize))
                .unwrap_or_default(),
        }
    }
}

impl<'c> CompiledNode<'c> {
    /// Its RRsets by type number.
    pub fn sets(self) -> impl Iterator<Item = CompiledSet<'c>> {
        (self.first..self.end).map(move |set| self.zone.set(set))
    }

    /// Its records of one type.
    pub fn set(self, rtype: u16) -> Option<CompiledSet<'c>> {
        let mut sets = self.first..self.end;
        sets.find(|set| self.zone.row(*set).0 == rtype)
            .map(|set| self.zone.set(set))
    }
}

impl<'c> CompiledSet<'c> {
    /// The data of each record, in the order of the file.
    pub fn rdata(self) -> impl Iterator<Item = &'c [u8]> {
        let mut rest = self.records;
        std::iter::from_fn(move || {
            let (rdata, after) = next_rdata(rest)?;
            rest = after;
            Some(rdata)
        })
    }
}

/// The data of the first record, and what stands behind it.
fn next_rdata(records: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = records.split_first_chunk::<2>()?;
    rest.split_at_checked(u16::from_be_bytes(*length).into())
}

/// What the fuzzer calls (`tests/fuzz`): reads bytes, and if they have the form, all that is in them.
///
/// # Panics
///
/// If what was read is not found where it says that it is.
#[cfg(any(test, fuzzing))]
pub fn read_all(bytes: &[u8]) {
    let Ok(zone) = Compiled::read(bytes) else {
        return;
    };
    assert_eq!(zone.as_bytes(), bytes);
    assert!(!zone.origin().is_empty());
    for number in 0..zone.places.name_count {
        assert_eq!(zone.search(zone.key(number)), Ok(number));
        let CompiledFound::Exact(node) = zone.node(number) else {
            panic!("a name without records");
        };
        assert!(node.sets().count() > 0);
        for set in node.sets() {
            assert_eq!(node.set(set.rtype), Some(set));
            assert!(set.rdata().count() > 0);
        }
    }
    for below in [&b""[..], b"\x01a", b"\x01*", b"\x01b\x01a", b"\x3fa"] {
        zone.find(below);
    }
}
