//! Where the CNAMEs of a message lead, and which of its records belong to the question.
//!
//! A response may start with aliases: `www` is a CNAME for `web`, and the address is that of `web`. The names on
//! this walk are the only ones that the answer section may speak of; a record of any other name is a stray, and must
//! not be passed on (RFC 5452 §6).

use hickory_proto::rr::{Name, RData, Record};

use super::name::{is_within, read_name};
use super::record::{Section, Walk, WireRecord, rtype};

/// Most names on the walk from the question to its records.
const NAMES_MAX: usize = 64;

/// The name that was asked for and those that the aliases in the answer section lead to, in their order.
pub fn aliases(walk: &Walk, bytes: &[u8], asked: &[u8]) -> Vec<Vec<u8>> {
    let mut names = vec![asked.to_vec()];
    while names.len() < NAMES_MAX {
        let next = names.last().and_then(|last| next(walk, bytes, last));
        match next {
            Some(name) if !names.contains(&name) => names.push(name),
            _ => break,
        }
    }
    names
}

/// Whether the aliases never come to an end: they lead back to one of `names`, or further than `most` steps.
pub fn are_endless(walk: &Walk, bytes: &[u8], names: &[Vec<u8>], most: usize) -> bool {
    let last = names.last().and_then(|last| next(walk, bytes, last));
    names.len() > most + 1 || last.is_some_and(|name| names.contains(&name))
}

/// Where the alias at a name leads.
fn next(walk: &Walk, bytes: &[u8], owner: &[u8]) -> Option<Vec<u8>> {
    let mut answers = walk.section(Section::Answer);
    let alias = answers.find(|record| record.rtype == rtype::CNAME && record.owner == owner)?;
    read_name(bytes, alias.data.start).map(|(name, _)| name)
}

/// The same among decoded records: the alias at a name, and where it leads, in lower case.
pub fn alias_at<'a>(records: &'a [Record], owner: &Name) -> Option<(&'a Record, Name)> {
    let mut at_owner = records.iter().filter(|record| record.name == *owner);
    at_owner.find_map(|record| match &record.data {
        RData::CNAME(target) => Some((record, target.0.to_lowercase())),
        _ => None,
    })
}

/// For each record of the answer section whether it is a stray: none of `names` owns it. A DNAME or a signature
/// may also stand above one of them.
pub fn strays(walk: &Walk, names: &[Vec<u8>]) -> impl Iterator<Item = bool> {
    let is_above = |record: &WireRecord| names.iter().any(|name| is_within(name, &record.owner));
    walk.section(Section::Answer).map(move |record| {
        let may_be_above = matches!(record.rtype, rtype::DNAME | rtype::RRSIG);
        !(names.contains(&record.owner) || may_be_above && is_above(record))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{HEADER, walk};

    /// A response about `a.`: an alias to `b.`, an address of `b.`, one of `c.`, and a DNAME at the root.
    fn response() -> Vec<u8> {
        let mut bytes = vec![0, 0, 0x80, 0, 0, 1, 0, 4, 0, 0, 0, 0];
        bytes.extend([1, b'a', 0, 0, 1, 0, 1]);
        bytes.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 3, 1, b'B', 0]);
        let address = [0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1];
        for owner in *b"bc" {
            bytes.extend([1, owner, 0]);
            bytes.extend(address);
        }
        bytes.extend([0, 0, 39, 0, 1, 0, 0, 0, 60, 0, 3, 1, b'x', 0]);
        bytes
    }

    #[test]
    fn what_no_alias_leads_to_is_a_stray() {
        let bytes = response();
        let walk = walk(&bytes).expect("a whole message");
        let (asked, _) = read_name(&bytes, HEADER).expect("a name");
        let names = aliases(&walk, &bytes, &asked);
        assert_eq!(names, [b"\x01a\0".to_vec(), b"\x01b\0".to_vec()]);
        assert!(!are_endless(&walk, &bytes, &names, 1) && are_endless(&walk, &bytes, &names, 0));
        let found: Vec<bool> = strays(&walk, &names).collect();
        assert_eq!(found, [false, false, true, false]);
    }

    #[test]
    fn a_circle_has_no_end() {
        let mut bytes = response();
        bytes[32] = b'a'; // the target of the alias
        let walk = walk(&bytes).expect("a whole message");
        let names = aliases(&walk, &bytes, b"\x01a\0");
        assert_eq!(names.len(), 1);
        assert!(are_endless(&walk, &bytes, &names, 9));
    }
}
