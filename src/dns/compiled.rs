//! Replies to plain queries, copied from the compiled zone of a name.
//!
//! They are the bytes that [`super::encode`] writes for the same answer: every owner is the name that was asked for, or an
//! ending of it, so it becomes a pointer into the question; record data is never compressed.

use super::plain::Plain;
use crate::resolver::{CompiledAnswer, Outcome};
use crate::wire::edns::OPT;
use crate::wire::{HEADER, Header, flag};

/// Most labels of a name and most records for which the other writer is certain to write pointers.
const LABELS_MAX: usize = 60;
const RECORDS_MAX: u16 = 100;
/// Response code for a name that does not exist.
const NXDOMAIN: u16 = 3;
/// The upper bits of a pointer (RFC 1035 §4.1.4).
const POINTER: u16 = 0xc000;
/// Class IN.
const IN: u16 = 1;
/// The end of names in their unambiguous form, `bns.alt`.
const ALIAS: &[u8] = b"\x03bns\x03alt\0";

/// Where the name of the chain begins that a name in wire form and lower case belongs to; `None` if it is too short for one, or
/// unusually long.
pub(super) fn apex(name: &[u8]) -> Option<usize> {
    let labels = if name.ends_with(ALIAS) { 4 } else { 2 };
    // Where the last four labels begin, the last one first.
    let mut starts = [0; 4];
    let (mut at, mut count) = (0, 0);
    while let Some(&length @ 1..) = name.get(at) {
        starts.rotate_right(1);
        starts[0] = at;
        (at, count) = (at + 1 + usize::from(length), count + 1);
    }
    ((labels..=LABELS_MAX).contains(&count)).then(|| starts[labels - 1])
}

/// Writes the reply. Gives false if there is not clearly room for it, or if it is unusually large.
pub(super) fn write(
    plain: &Plain<'_>,
    answer: &CompiledAnswer<'_>,
    (apex, verified): (usize, bool),
    limit: usize,
    out: &mut Vec<u8>,
) -> bool {
    out.clear();
    out.extend_from_slice(&[0; HEADER]);
    out.extend_from_slice(plain.question);
    let is_answered = answer.outcome == Outcome::Answered;
    let owner = HEADER + if is_answered { 0 } else { apex };
    let mut count: u16 = 0;
    answer.for_each(|rdata| {
        count = count.saturating_add(1);
        let [t1, t2, t3, t4] = answer.ttl.to_be_bytes();
        let fields = [POINTER | owner as u16, answer.rtype, IN];
        let [o1, o2, r1, r2, c1, c2] = bytes(fields);
        let [l1, l2] = (rdata.len() as u16).to_be_bytes(); // zones hold no longer ones
        out.extend_from_slice(&[o1, o2, r1, r2, c1, c2, t1, t2, t3, t4, l1, l2]);
        out.extend_from_slice(rdata);
    });
    // The other writer needs room for a whole owner before it becomes a pointer.
    let opt = plain.edns.map_or(0, |_| OPT);
    if count > RECORDS_MAX || out.len() + plain.question.len() + opt > limit {
        return false;
    }
    let rcode = match answer.outcome {
        Outcome::NoSuchName => NXDOMAIN,
        _ => 0,
    };
    let (answers, authorities) = match is_answered {
        true => (count, 0),
        false => (0, count),
    };
    let header = Header {
        id: plain.id,
        flags: flag::QR | flag::AA | flag::RA | plain.answer_flags(verified) | rcode,
        counts: [1, answers, authorities, 0],
    };
    header.put(out);
    plain.add_opt(limit, out)
}

fn bytes([a, b, c]: [u16; 3]) -> [u8; 6] {
    let ([a1, a2], [b1, b2], [c1, c2]) = (a.to_be_bytes(), b.to_be_bytes(), c.to_be_bytes());
    [a1, a2, b1, b2, c1, c2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_two_labels_are_the_name_and_four_with_the_alias() {
        for (name, expected) in [
            (&b"\x04good\x02id\0"[..], Some(0)),
            (b"\x03www\x04good\x02id\0", Some(4)),
            (b"\x04good\x02id\x03bns\x03alt\0", Some(0)),
            (b"\x01x\x03www\x04good\x02id\x03bns\x03alt\0", Some(6)),
            (b"\x02id\x03bns\x03alt\0", None),
            (b"\x03bns\x03alt\0", None),
            (b"\x02id\0", None),
            (b"\0", None),
        ] {
            assert_eq!(apex(name), expected, "{name:?}");
        }
        let long = [b"\x01a".repeat(LABELS_MAX - 1), b"\x02id\0".to_vec()].concat();
        assert!(apex(&long).is_some());
        let longer = [b"\x01a".repeat(LABELS_MAX), b"\x02id\0".to_vec()].concat();
        assert_eq!(apex(&longer), None);
    }
}
