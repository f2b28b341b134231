//! Whether bytes are a compiled zone, to the last of them. Whatever passes is looked up without a doubt: keys ascend and
//! are whole labels, every name has an RRset and every RRset a record, and all parts end where the tables say.

use super::super::key::KEY_MAX;
use super::super::types::code;
use super::{DNAME, HEADER, Malformed, NAME, Places, SET, VERSION, WILDCARD, next_rdata};

/// Where the parts of a compiled zone begin.
pub(super) fn places(bytes: &[u8]) -> Result<Places, Malformed> {
    match bytes.first() {
        Some(&VERSION) => {}
        Some(&version) => return Err(Malformed::Version(version)),
        None => return Err(Malformed::Form),
    }
    whole(bytes).ok_or(Malformed::Form)
}

fn whole(bytes: &[u8]) -> Option<Places> {
    let (&[_, flags, origin, n1, n2, s1, s2], rest) = bytes.split_first_chunk::<HEADER>()?;
    let name_count = u16::from_be_bytes([n1, n2]);
    let set_count = u16::from_be_bytes([s1, s2]);
    let (origin, rest) = rest.split_at_checked(origin.into())?;
    let (names, rest) = rest.split_at_checked(usize::from(name_count) * NAME)?;
    let (sets, rest) = rest.split_at_checked(usize::from(set_count) * SET)?;
    let keys = names.last_chunk::<NAME>().map_or(0, |row| number(row));
    let (keys, records) = rest.split_at_checked(keys)?;
    let found = check_names(names, keys, sets.len() / SET)? | check_sets(names, sets, records)?;
    let is_whole = is_name(origin) && found == flags;
    let at = |part: usize| u32::try_from(bytes.len() - part).ok();
    is_whole.then_some(Places {
        names: at(names.len() + sets.len() + rest.len())?,
        sets: at(sets.len() + rest.len())?,
        keys: at(rest.len())?,
        records: at(records.len())?,
        name_count,
        set_count,
    })
}

/// Whether keys ascend and every name has RRsets; the flags that follow from the keys.
fn check_names(names: &[u8], keys: &[u8], sets: usize) -> Option<u8> {
    let (mut before, mut start, mut first, mut flags) = (None, 0, 0, 0);
    for row in names.chunks_exact(NAME) {
        let (end, last) = (number(row), usize::from(short(row.get(4..)?)?));
        let key = keys.get(start..end)?;
        if !is_key(key) || before.is_some_and(|before| before >= key) || last <= first {
            return None;
        }
        let mut labels = key.split(|byte| *byte == 0);
        if labels.any(|label| label == b"*") {
            flags |= WILDCARD;
        }
        (before, start, first) = (Some(key), end, last);
    }
    (start == keys.len() && first == sets).then_some(flags)
}

/// Whether the types of each name ascend and every RRset has records; the flags that follow from the types.
fn check_sets(names: &[u8], sets: &[u8], records: &[u8]) -> Option<u8> {
    let (mut start, mut flags, mut set) = (0, 0, 0);
    for name in names.chunks_exact(NAME) {
        let last = usize::from(short(name.get(4..)?)?);
        let mut before = None;
        for row in sets.chunks_exact(SET).take(last).skip(set) {
            let (rtype, end) = (short(row)?, number(row.get(6..)?));
            if before.is_some_and(|before| before >= rtype)
                || !are_records(records.get(start..end)?)
            {
                return None;
            }
            if rtype == code::DNAME {
                flags |= DNAME;
            }
            (before, start) = (Some(rtype), end);
        }
        set = last;
    }
    (start == records.len()).then_some(flags)
}

/// Whether bytes are one or more records.
fn are_records(mut records: &[u8]) -> bool {
    let is_empty = records.is_empty();
    while let Some((_, rest)) = next_rdata(records) {
        records = rest;
    }
    !is_empty && records.is_empty()
}

/// Whether bytes are the key of a name: labels in lower case, each closed by a zero, zero and one escaped.
fn is_key(key: &[u8]) -> bool {
    let mut rest = key;
    while let Some(end) = rest.iter().position(|byte| *byte == 0) {
        let (label, behind) = rest.split_at(end);
        if !is_label_of_key(label) {
            return false;
        }
        rest = behind.get(1..).unwrap_or_default();
    }
    rest.is_empty() && key.len() <= KEY_MAX
}

fn is_label_of_key(label: &[u8]) -> bool {
    let (mut bytes, mut length) = (label.iter(), 0);
    while let Some(byte) = bytes.next() {
        let is_good = match byte {
            1 => matches!(bytes.next(), Some(1 | 2)),
            byte => !byte.is_ascii_uppercase(),
        };
        if !is_good {
            return false;
        }
        length += 1;
    }
    (1..=63).contains(&length)
}

/// Whether bytes are one name in wire form and lower case, and not the root.
fn is_name(name: &[u8]) -> bool {
    let mut rest = name;
    while let Some((&length @ 1..=63, behind)) = rest.split_first() {
        let Some((label, behind)) = behind.split_at_checked(length.into()) else {
            return false;
        };
        if label.iter().any(u8::is_ascii_uppercase) {
            return false;
        }
        rest = behind;
    }
    rest == [0] && name.len() > 1
}

/// The number in the first four bytes of a row.
fn number(row: &[u8]) -> usize {
    let number = row.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
    number.unwrap_or(u32::MAX) as usize
}

/// The number in the first two bytes.
fn short(row: &[u8]) -> Option<u16> {
    row.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}
