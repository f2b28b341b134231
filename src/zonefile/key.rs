//! The order of names inside a zone, as bytes that compare with one `memcmp`.
//!
//! Canonical DNS order (RFC 4034 §6.1) compares names label by label from the right, without case. A key
//! spells the labels of a name below the origin in that order, each closed by a zero byte; zero and one
//! inside a label become two bytes. So the key of every name below `x` begins with the key of `x`, and
//! the names below `x` follow it directly: empty non-terminals and closest enclosers are found by
//! looking at the neighbours, without any entry for them. A sorted map has no hash that a hostile zone
//! file could make collide.

use std::borrow::Borrow;

use hickory_proto::rr::Name;

/// Longest name in wire form (RFC 1035 §3.1).
const NAME_MAX: usize = 255;
/// Longest key: every byte of the longest name, escaped.
pub(super) const KEY_MAX: usize = 2 * NAME_MAX;
const END: u8 = 0;
const ESCAPE: u8 = 1;

/// The place of a name in its zone; the apex has the empty key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct OwnerKey(Vec<u8>);

impl OwnerKey {
    /// The key of `name` in the zone of `origin`; `None` if it is not at or below it.
    pub(super) fn new(origin: &Name, name: &Name) -> Option<Self> {
        if !origin.zone_of(name) {
            return None;
        }
        let mut key = Vec::with_capacity(name.len() + 2);
        for label in name.iter().rev().skip(origin.iter().len()) {
            push_label(&mut key, label);
        }
        Some(Self(key))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key of the wildcard directly below `encloser`.
    pub(super) fn wildcard_below(encloser: &[u8]) -> Vec<u8> {
        [encloser, b"*\0"].concat()
    }
}

/// A key that is made of a name in wire form, without an allocation.
pub(super) struct WireKey {
    bytes: [u8; KEY_MAX],
    length: usize,
}

impl WireKey {
    /// The key of a name with these labels below the origin, in wire form and lower case; `None` if they are none.
    pub(super) fn new(below: &[u8]) -> Option<Self> {
        let mut key = Self {
            bytes: [0; KEY_MAX],
            length: 0,
        };
        let (&first, rest) = below.split_first()?;
        if rest.len() == usize::from(first) {
            key.push(rest)?; // a label alone
            return Some(key);
        }
        let mut starts = [0_u8; NAME_MAX];
        let (mut at, mut count) = (0, 0);
        while let Some(&length) = below.get(at) {
            *starts.get_mut(count)? = u8::try_from(at).ok()?;
            (at, count) = (at + 1 + usize::from(length), count + 1);
        }
        for &start in starts.get(..count)?.iter().rev() {
            let (&length, rest) = below.get(start.into()..)?.split_first()?;
            key.push(rest.get(..length.into())?)?;
        }
        Some(key)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    fn push(&mut self, label: &[u8]) -> Option<()> {
        for &byte in label {
            match byte {
                END => self.put(&[ESCAPE, 1])?,
                ESCAPE => self.put(&[ESCAPE, 2])?,
                other => self.put(&[other])?,
            }
        }
        self.put(&[END])
    }

    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.length + bytes.len();
        self.bytes.get_mut(self.length..end)?.copy_from_slice(bytes);
        self.length = end;
        Some(())
    }
}

impl Borrow<[u8]> for OwnerKey {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// The keys of all names strictly above the one with `key`, from the apex down.
pub(super) fn ancestors(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = key.iter().enumerate().filter(|&(_, &byte)| byte == END);
    let below_apex = ends.map(|(end, _)| end + 1).filter(|&end| end < key.len());
    let apex = (!key.is_empty()).then_some(0);
    apex.into_iter()
        .chain(below_apex)
        .filter_map(|end| key.get(..end))
}

/// The longest key of a name that is at or above both names.
pub(super) fn common_ancestor<'k>(key: &'k [u8], other: &[u8]) -> &'k [u8] {
    let same = key.iter().zip(other).take_while(|(a, b)| a == b).count();
    let common = key.get(..same).unwrap_or_default();
    let end = common.iter().rposition(|&byte| byte == END);
    end.and_then(|end| common.get(..=end)).unwrap_or_default()
}

/// How many labels below the origin the name with `key` has.
pub(super) fn depth(key: &[u8]) -> usize {
    key.iter().filter(|&&byte| byte == END).count()
}

fn push_label(key: &mut Vec<u8>, label: &[u8]) {
    for byte in label {
        match byte.to_ascii_lowercase() {
            END => key.extend([ESCAPE, 1]),
            ESCAPE => key.extend([ESCAPE, 2]),
            other => key.push(other),
        }
    }
    key.push(END);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zonefile::name::parse_name;

    fn key(name: &str) -> OwnerKey {
        let origin = Name::from_ascii("foo.id.").expect("a name");
        let name = parse_name(name.as_bytes(), None).expect("a name");
        OwnerKey::new(&origin, &name).expect("inside the zone")
    }

    #[test]
    fn keys_sort_as_rfc_4034_sorts_names() {
        let names = [
            "foo.id.",
            "a.foo.id.",
            "yljkjljk.a.foo.id.",
            "Z.a.foo.id.",
            "zABC.a.FOO.id.",
            "z.foo.id.",
            "\\001.z.foo.id.",
            "*.z.foo.id.",
            "\\200.z.foo.id.",
        ];
        let keys: Vec<_> = names.iter().map(|name| key(name)).collect();
        assert!(keys.is_sorted(), "{keys:?}");
    }

    #[test]
    fn ancestors_and_common_ancestors_end_at_labels() {
        let long = key("a.bc.d.foo.id.");
        let above: Vec<_> = ancestors(long.as_bytes()).collect();
        let expected: [&[u8]; 3] = [b"", b"d\0", b"d\0bc\0"];
        assert_eq!(above, expected);
        assert_eq!(ancestors(b"").count(), 0);
        assert_eq!(
            common_ancestor(long.as_bytes(), key("bx.d.foo.id.").as_bytes()),
            b"d\0"
        );
        assert_eq!(depth(long.as_bytes()), 3);
    }

    #[test]
    fn a_name_outside_has_no_key() {
        let origin = Name::from_ascii("foo.id.").expect("a name");
        for outside in ["id.", "bar.id.", "xfoo.id.", "."] {
            let name = Name::from_ascii(outside).expect("a name");
            assert_eq!(OwnerKey::new(&origin, &name), None, "{outside}");
        }
    }
}
