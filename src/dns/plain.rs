//! Queries without anything unusual, read without decoding: a header, one question, and at most an OPT record
//! without options.
//!
//! Their answers depend on little more than the question, so they can be kept in wire form under a
//! [`Key`]. Whatever is not exactly of this shape is read by [`super::query`], which knows everything; the two
//! must never understand a packet differently.

use super::client::Transport;
use super::encode::longest;
use crate::upstream::Stamp;
use crate::wire::edns::Opt;
use crate::wire::flag::{AD, CD, RD};
use crate::wire::header::bit_if;
use crate::wire::writer::{count_additional, put_question};
use crate::wire::{HEADER, Header, NAME_MAX, skip_name};

/// A plain query of class IN.
pub(super) struct Plain<'a> {
    /// ID.
    pub(super) id: u16,
    /// RD, AD and CD as the client set them.
    pub(super) flags: u16,
    /// Name in the client's letters, type and class.
    pub(super) question: &'a [u8],
    /// What its OPT record says, if it has one.
    pub(super) edns: Option<Opt>,
    /// What its answer depends on.
    pub(super) key: Key,
}

impl<'a> Plain<'a> {
    /// Reads a packet; `None` if there is anything unusual about it.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let Header { id, flags, counts } = Header::read(bytes)?;
        let [1, 0, 0, opts @ (0 | 1)] = counts else {
            return None;
        };
        if flags & !(RD | AD | CD) != 0 {
            return None;
        }
        let rest = bytes.get(HEADER..)?;
        let name = rest.get(..skip_name(rest, 0)?)?;
        let (question, rest) = rest.split_at_checked(name.len() + 4)?;
        let [.., t1, t2, 0, 1] = *question else {
            return None;
        };
        let edns = match opts {
            0 => rest.is_empty().then_some(None)?,
            _ => Some(Opt::read_bare(rest)?),
        };
        let dnssec_ok = edns.is_some_and(|edns| edns.dnssec_ok);
        let class =
            u8::from(edns.is_some()) << 2 | u8::from(dnssec_ok) << 1 | u8::from(flags & CD != 0);
        Some(Self {
            id,
            flags,
            question,
            edns,
            key: Key::new(name, [t1, t2, class])?,
        })
    }

    /// Longest answer that the client takes.
    pub(super) fn limit(&self, transport: Transport) -> usize {
        longest(transport, self.edns.map(|edns| edns.payload)).into()
    }

    /// Writes an answer that was kept, unless it is too long.
    pub(super) fn write(
        &self,
        kept: &[u8],
        verified: bool,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> bool {
        if kept.len() > limit {
            return false;
        }
        out.clear();
        out.extend_from_slice(kept);
        Header::edit(out, |header| {
            header.id = self.id;
            header.flags |= self.answer_flags(verified);
        });
        put_question(out, self.question);
        true
    }

    /// What of an upstream's answer is the client's own.
    pub(super) fn stamp(&self) -> Stamp<'a> {
        Stamp {
            id: self.id,
            flags: self.answer_flags(true),
            question: self.question,
        }
    }

    /// Adds the OPT record to an upstream's answer, if the client sent one; false if the whole is too long.
    pub(super) fn add_opt(&self, limit: usize, out: &mut Vec<u8>) -> bool {
        if let Some(edns) = self.edns {
            count_additional(out);
            Opt::ours(0, edns.dnssec_ok).write(&[], out);
        }
        out.len() <= limit
    }

    /// RD and CD, which are echoed, and AD where it is due and understood (RFC 6840 §5.7).
    pub(super) fn answer_flags(&self, verified: bool) -> u16 {
        let wants = self.flags & AD != 0 || self.edns.is_some_and(|edns| edns.dnssec_ok);
        self.flags & (RD | CD) | bit_if(verified && wants, AD)
    }
}

/// What the answer to a plain query depends on: its name in lower-case wire form, its type, and one byte with EDNS, DO
/// and CD.
pub(super) struct Key {
    bytes: [u8; NAME_MAX + 3],
    length: usize,
}

impl Key {
    /// The key of an uncompressed name.
    fn new(name: &[u8], rest: [u8; 3]) -> Option<Self> {
        let mut bytes = [0; NAME_MAX + 3];
        let (place, behind) = bytes.split_at_mut_checked(name.len())?;
        place.copy_from_slice(name);
        // No length of a label is a letter: those end at 63, letters begin at 65.
        place.make_ascii_lowercase();
        *behind.first_chunk_mut()? = rest;
        let length = name.len() + rest.len();
        Some(Self { bytes, length })
    }

    /// The name, in wire form and lower case.
    pub(super) fn name(&self) -> &[u8] {
        let length = self.length.saturating_sub(3);
        self.bytes.get(..length).unwrap_or_default()
    }

    /// The type.
    pub(super) fn rtype(&self) -> u16 {
        let rest = self.bytes.get(self.length.saturating_sub(3)..);
        let rtype = rest.and_then(<[u8]>::first_chunk);
        rtype.map_or(0, |bytes| u16::from_be_bytes(*bytes))
    }

    /// The key as bytes.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::RecordType;
    use proptest::prelude::*;

    use super::*;
    use crate::dns::fixture::{edns_query_bytes, query_bytes};
    use crate::dns::query::{Decoded, decode};
    use crate::wire::edns::OPT;

    #[test]
    fn a_key_is_name_type_and_flags() {
        let query = query_bytes("WwW.Good.id.", RecordType::A);
        let plain = Plain::read(&query).expect("a plain query");
        assert_eq!(plain.key.as_bytes(), b"\x03www\x04good\x02id\0\0\x01\0");
        assert_eq!(plain.limit(Transport::Udp), 512);
        let query = edns_query_bytes("good.id.", RecordType::A, 4096);
        let plain = Plain::read(&query).expect("a plain query");
        assert_eq!(plain.key.as_bytes(), b"\x04good\x02id\0\0\x01\x06");
        assert_eq!(plain.limit(Transport::Udp), 1232);
        assert_eq!(plain.limit(Transport::Tcp), 65_535);
        assert_eq!(plain.answer_flags(true), RD | AD);
    }

    #[test]
    fn the_longest_name_is_plain_and_no_longer_one() {
        let query = |last: usize| {
            let mut bytes = query_bytes(".", RecordType::A);
            let rest = bytes.split_off(HEADER);
            for length in [63, 63, 63, last] {
                bytes.push(length as u8);
                bytes.extend(vec![b'a'; length]);
            }
            bytes.extend(rest);
            bytes
        };
        assert!(Plain::read(&query(61)).is_some());
        assert!(Plain::read(&query(62)).is_none());
    }

    #[test]
    fn anything_unusual_is_left_to_others() {
        let good = edns_query_bytes("good.id.", RecordType::A, 1232);
        let with = |index: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[index] = value;
            Plain::read(&bytes).is_none()
        };
        let opt = good.len() - OPT;
        for (index, value) in [
            (2, 0x80),
            (2, 0x02),
            (2, 0x10),
            (3, 0x80),
            (3, 0x40),
            (5, 2),
            (7, 1),
            (9, 1),
            (11, 2),
            (12, 0xc0),
            (opt - 1, 3),
            (opt, 1),
            (opt + 2, 1),
            (opt + 5, 1),
            (opt + 6, 1),
            (opt + 8, 1),
            (opt + 10, 1),
        ] {
            assert!(with(index, value), "byte {index} as {value}");
        }
        assert!(Plain::read(&good[..good.len() - 1]).is_none());
        assert!(Plain::read(&[&good[..], &[0]].concat()).is_none());
    }

    proptest! {
        #[test]
        fn both_readers_understand_a_packet_alike(
            flip in any::<prop::sample::Index>(),
            value in any::<u8>(),
            edns in any::<bool>(),
        ) {
            let mut bytes = match edns {
                true => edns_query_bytes("Www.good.id.", RecordType::MX, 1232),
                false => query_bytes("Www.good.id.", RecordType::MX),
            };
            *flip.get_mut(&mut bytes) = value;
            let Some(plain) = Plain::read(&bytes) else { return Ok(()) };
            match decode(&bytes) {
                Decoded::Asked(query, question) => {
                    prop_assert_eq!(plain.id, query.id);
                    prop_assert_eq!(plain.edns.is_some(), query.edns.is_some());
                    let rtype: [u8; 2] = u16::from(question.rtype).to_be_bytes();
                    let key = plain.key.as_bytes();
                    prop_assert_eq!(&key[key.len() - 3..key.len() - 1], &rtype[..]);
                }
                // Types that are never the question.
                Decoded::Rejected(..) => {}
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }
}
