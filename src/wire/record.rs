//! One walk over all records of a message (RFC 1035 §4.1.3), by place and not by content.
//!
//! The walk succeeds only if the message is exactly what its header says: as many records as it counts, no byte
//! left over, one question, and at most one OPT, in the additional section (RFC 6891 §6.1.1).

use std::ops::Range;

use super::edns;
use super::header::{HEADER, Header, flag, flags};
use super::name::{read_name, skip_name};

/// Record types that mean something here.
pub mod rtype {
    /// An IPv4 address.
    pub const A: u16 = 1;
    /// Another name for the owner.
    pub const CNAME: u16 = 5;
    /// The start of a zone; bounds negative answers.
    pub const SOA: u16 = 6;
    /// An IPv6 address.
    pub const AAAA: u16 = 28;
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
    /// The zone that says so.
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
    let [1, counts @ ..] = Header::read(bytes)?.counts else {
        return None;
    };
    let question_end = skip_name(bytes, HEADER)?.checked_add(4)?;
    bytes.get(..question_end)?;
    let mut walk = Walk {
        question_end,
        records: Vec::new(),
        opt: None,
    };
    let mut at = question_end;
    let sections = [Section::Answer, Section::Authority, Section::Additional];
    for (count, section) in counts.into_iter().zip(sections) {
        for _ in 0..count {
            let record = read_record(bytes, at, section)?;
            at = record.data.end;
            walk.add(record)?;
        }
    }
    (at == bytes.len()).then_some(walk)
}

impl Walk {
    /// The records of one section.
    pub fn section(&self, section: Section) -> impl Iterator<Item = &WireRecord> {
        let records = self.records.iter();
        records.filter(move |record| record.section == section)
    }

    /// The data of an EDNS option in `bytes`, if it is there.
    pub fn option<'a>(&self, bytes: &'a [u8], code: u16) -> Option<&'a [u8]> {
        let mut options = edns::options(self.opt.as_ref()?.data(bytes));
        options.find_map(|(found, data)| (found == code).then_some(data))
    }

    /// The response code of `bytes`, the bits in OPT included (RFC 6891 §6.1.3).
    pub fn rcode(&self, bytes: &[u8]) -> u16 {
        let high = self.opt.as_ref().and_then(|opt| bytes.get(opt.ttl_at));
        high.map_or(0, |&high| u16::from(high) << 4) | flags(bytes) & flag::RCODE
    }

    fn add(&mut self, record: WireRecord) -> Option<()> {
        match (record.rtype, record.section) {
            (rtype::OPT, Section::Additional) if self.opt.is_none() => self.opt = Some(record),
            (rtype::OPT, _) => return None,
            _ => self.records.push(record),
        }
        Some(())
    }
}

impl WireRecord {
    /// Its data in `bytes`.
    pub fn data<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(self.data.clone()).unwrap_or_default()
    }

    /// MINIMUM, the last field of a SOA, which bounds negative answers (RFC 2308 §4); `None` for other types.
    pub fn soa_minimum(&self, bytes: &[u8]) -> Option<u32> {
        let minimum = self.data(bytes).last_chunk::<4>();
        let minimum = minimum.filter(|_| self.rtype == rtype::SOA)?;
        Some(u32::from_be_bytes(*minimum))
    }
}

/// Changes the TTL that stands at `at`.
#[inline]
pub fn change_ttl(bytes: &mut [u8], at: usize, change: impl FnOnce(u32) -> u32) {
    let place = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<4>);
    if let Some(place) = place {
        *place = change(u32::from_be_bytes(*place)).to_be_bytes();
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
