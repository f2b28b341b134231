//! A message as the bytes that it is, walked without being decoded.
//!
//! What an upstream says is passed on byte for byte, so that a record type that nobody here knows survives. All
//! that is learned of a message is where its records begin, what they are called, and where their TTLs stand. The
//! walk never goes forward through a pointer, never takes more than [`HOPS_MAX`] of them for a name, and gives
//! up at the first thing that does not fit; it opens no socket and keeps nothing.
//!
//! Follows RFC 1035 §4.1 and RFC 6891 §6.1 (OPT).

use std::ops::Range;

/// Length of a DNS header.
pub const HEADER: usize = 12;
/// Pointers in one name; as many as a name can have labels.
const HOPS_MAX: usize = 126;
/// Longest name in wire form (RFC 1035 §3.1).
pub const NAME_MAX: usize = 255;

/// Record types that mean something here.
pub mod rtype {
    /// A delegation or the servers of a zone.
    pub const NS: u16 = 2;
    /// Another name for the owner.
    pub const CNAME: u16 = 5;
    /// The start of a zone; bounds negative answers.
    pub const SOA: u16 = 6;
    /// Another name for everything below the owner (RFC 6672).
    pub const DNAME: u16 = 39;
    /// EDNS.
    pub const OPT: u16 = 41;
    /// A signature, which belongs to what it signs.
    pub const RRSIG: u16 = 46;
    /// Service binding (RFC 9460).
    pub const SVCB: u16 = 64;
    /// The same for web servers.
    pub const HTTPS: u16 = 65;
}

/// Where a record stands in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// What was asked for.
    Answer,
    /// Who says so.
    Authority,
    /// What may help.
    Additional,
}

/// A record, by its place.
#[derive(Debug, Clone)]
pub struct WireRecord {
    /// Its section.
    pub section: Section,
    /// Its owner, uncompressed and in lower case.
    pub owner: Vec<u8>,
    /// Its type.
    pub rtype: u16,
    /// Its class.
    pub class: u16,
    /// Where it begins.
    pub start: usize,
    /// Where its TTL stands.
    pub ttl_at: usize,
    /// Its TTL in seconds; one with the highest bit set counts as 0 (RFC 2181 §8).
    pub ttl: u32,
    /// Where its data stands.
    pub data: Range<usize>,
}

/// A message with one question, walked to its end.
#[derive(Debug, Clone)]
pub struct Walk {
    /// Where the question ends and the records begin.
    pub question_end: usize,
    /// All records but OPT, in their order.
    pub records: Vec<WireRecord>,
    /// The OPT record, if there is one.
    pub opt: Option<WireRecord>,
}

/// Walks a message; `None` if it is not exactly what its header says, or has not exactly one question.
pub fn walk(bytes: &[u8]) -> Option<Walk> {
    let counts = counts(bytes)?;
    if counts[0] != 1 {
        return None;
    }
    let question_end = skip_name(bytes, HEADER)?.checked_add(4)?;
    bytes.get(..question_end)?;
    let mut at = question_end;
    let mut records = Vec::new();
    let mut opt = None;
    for (count, section) in counts.into_iter().skip(1).zip(SECTIONS) {
        for _ in 0..count {
            let record = read_record(bytes, at, section)?;
            at = record.data.end;
            match (record.rtype, section) {
                (rtype::OPT, Section::Additional) if opt.is_none() => opt = Some(record),
                (rtype::OPT, _) => return None,
                _ => records.push(record),
            }
        }
    }
    (at == bytes.len()).then_some(Walk {
        question_end,
        records,
        opt,
    })
}

const SECTIONS: [Section; 3] = [Section::Answer, Section::Authority, Section::Additional];

impl Walk {
    /// The records of one section.
    pub fn section(&self, section: Section) -> impl Iterator<Item = &WireRecord> {
        self.records
            .iter()
            .filter(move |record| record.section == section)
    }

    /// The data of an EDNS option in `bytes`, if it is there.
    pub fn option<'a>(&self, bytes: &'a [u8], code: u16) -> Option<&'a [u8]> {
        let mut rest = bytes.get(self.opt.as_ref()?.data.clone())?;
        while let Some((head, after)) = rest.split_first_chunk::<4>() {
            let [c1, c2, l1, l2] = *head;
            let (data, next) = after.split_at_checked(usize::from(u16::from_be_bytes([l1, l2])))?;
            if u16::from_be_bytes([c1, c2]) == code {
                return Some(data);
            }
            rest = next;
        }
        None
    }
}

/// The four counts of a header.
pub fn counts(bytes: &[u8]) -> Option<[u16; 4]> {
    let header = bytes.first_chunk::<HEADER>()?;
    let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    Some([count(4), count(6), count(8), count(10)])
}

/// The ID of a message.
pub fn id(bytes: &[u8]) -> Option<u16> {
    bytes.first_chunk::<2>().map(|id| u16::from_be_bytes(*id))
}

/// The flags of a message, rcode included.
pub fn flags(bytes: &[u8]) -> u16 {
    match bytes {
        [_, _, high, low, ..] => u16::from_be_bytes([*high, *low]),
        _ => 0,
    }
}

/// The name at `at`, uncompressed and in lower case, and where what follows it begins.
pub fn read_name(bytes: &[u8], at: usize) -> Option<(Vec<u8>, usize)> {
    let mut name = Vec::with_capacity(32);
    let mut end = None;
    let mut at = at;
    for _ in 0..=HOPS_MAX {
        match read_labels(bytes, at, &mut name)? {
            Stop::Root(after) => return Some((name, end.unwrap_or(after))),
            Stop::Pointer { to, after } => {
                end.get_or_insert(after);
                if to >= at {
                    return None;
                }
                at = to;
            }
        }
    }
    None
}

enum Stop {
    Root(usize),
    Pointer { to: usize, after: usize },
}

/// Labels up to the root or a pointer.
fn read_labels(bytes: &[u8], mut at: usize, name: &mut Vec<u8>) -> Option<Stop> {
    loop {
        let length = *bytes.get(at)?;
        match length {
            0 => {
                name.push(0);
                return (name.len() <= NAME_MAX).then_some(Stop::Root(at + 1));
            }
            1..=63 => {
                let label = bytes.get(at + 1..at + 1 + usize::from(length))?;
                name.push(length);
                name.extend(label.iter().map(u8::to_ascii_lowercase));
                at += 1 + usize::from(length);
                if name.len() >= NAME_MAX {
                    return None;
                }
            }
            0xc0.. => {
                let low = *bytes.get(at + 1)?;
                let to = usize::from(u16::from_be_bytes([length & 0x3f, low]));
                return Some(Stop::Pointer { to, after: at + 2 });
            }
            _ => return None,
        }
    }
}

/// Where what follows an uncompressed name begins; `None` if it is longer than a name may be.
pub fn skip_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    let start = at;
    loop {
        match *bytes.get(at)? {
            0 => return (at + 1 - start <= NAME_MAX).then_some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            _ => return None,
        }
    }
}

fn read_record(bytes: &[u8], start: usize, section: Section) -> Option<WireRecord> {
    let (owner, at) = read_name(bytes, start)?;
    let fixed: &[u8; 10] = bytes.get(at..)?.first_chunk()?;
    let [t1, t2, c1, c2, a, b, c, d, l1, l2] = *fixed;
    let ttl = u32::from_be_bytes([a, b, c, d]);
    let begin = at + 10;
    let end = begin + usize::from(u16::from_be_bytes([l1, l2]));
    bytes.get(begin..end)?;
    Some(WireRecord {
        section,
        owner,
        rtype: u16::from_be_bytes([t1, t2]),
        class: u16::from_be_bytes([c1, c2]),
        start,
        ttl_at: at + 4,
        ttl: if ttl >> 31 == 0 { ttl } else { 0 },
        data: begin..end,
    })
}

/// Whether `name` is `zone` or below it; both in uncompressed lower case.
pub fn is_within(name: &[u8], zone: &[u8]) -> bool {
    let mut rest = name;
    loop {
        if rest == zone {
            return true;
        }
        match parent(rest) {
            Some(shorter) => rest = shorter,
            None => return false,
        }
    }
}

/// The name without its first label; `None` for the root.
pub fn parent(name: &[u8]) -> Option<&[u8]> {
    let (&length, rest) = name.split_first()?;
    match length {
        0 => None,
        _ => rest.get(usize::from(length)..),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A name in wire form.
    pub fn name(text: &str) -> Vec<u8> {
        let mut wire = Vec::new();
        for label in text.split('.').filter(|label| !label.is_empty()) {
            wire.push(label.len() as u8);
            wire.extend(label.as_bytes());
        }
        wire.push(0);
        wire
    }

    #[test]
    fn names_are_read_through_pointers_that_go_back() {
        let mut bytes = vec![0; HEADER];
        bytes.extend(name("Example.COM"));
        let second = bytes.len();
        bytes.extend([3, b'w', b'W', b'w', 0xc0, 12]);
        let (read, end) = read_name(&bytes, second).expect("a name");
        assert_eq!((read, end), (name("www.example.com"), bytes.len()));
        // A pointer to itself, and one that goes forward.
        bytes.extend([0xc0, (bytes.len()) as u8]);
        assert!(read_name(&bytes, bytes.len() - 2).is_none());
        assert!(read_name(&[0xc0, 2, 0], 0).is_none());
    }

    #[test]
    fn ancestry_goes_by_labels() {
        assert!(is_within(&name("a.b.c"), &name("b.c")));
        assert!(is_within(&name("b.c"), &name("b.c")));
        assert!(is_within(&name("b.c"), &name("")));
        assert!(!is_within(&name("ab.c"), &name("b.c")));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_walk_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = walk(&bytes);
            let mut message = vec![0, 0, 0x80, 0, 0, 1, 0, 1, 0, 0, 0, 0];
            message.extend(bytes);
            let _ = walk(&message);
        }
    }
}
