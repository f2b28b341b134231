//! Names in wire form: labels behind their lengths, the root last (RFC 1035 §3.1, §4.1.4).
//!
//! A pointer must go back, or a name could contain itself, and not into the header, which changes on the way; and there may
//! be only as many pointers in one name as it can have labels.

use super::HEADER;

/// Longest name in wire form (RFC 1035 §3.1).
pub const NAME_MAX: usize = 255;
/// Pointers in one name; as many as a name can have labels.
const POINTERS_MAX: usize = 126;

/// The name at `at`, uncompressed and in lower case, and where what follows it begins.
pub fn read_name(bytes: &[u8], mut at: usize) -> Option<(Vec<u8>, usize)> {
    let mut name = Vec::with_capacity(32);
    let (mut end, mut run, mut pointers) = (None, at, 0);
    loop {
        match *bytes.get(at)? {
            0 => {
                name.push(0);
                return Some((name, end.unwrap_or(at + 1)));
            }
            length @ 1..=63 => {
                let next = at + 1 + usize::from(length);
                name.push(length);
                name.extend(bytes.get(at + 1..next)?.iter().map(u8::to_ascii_lowercase));
                at = next;
            }
            high @ 0xc0.. => {
                let to = u16::from_be_bytes([high & 0x3f, *bytes.get(at + 1)?]).into();
                end.get_or_insert(at + 2);
                pointers += 1;
                if !(HEADER..run).contains(&to) || pointers > POINTERS_MAX {
                    return None;
                }
                (at, run) = (to, to);
            }
            _ => return None,
        }
        if name.len() >= NAME_MAX {
            return None;
        }
    }
}

/// Where what follows an uncompressed name begins; `None` if it is longer than a name may be.
#[inline]
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

/// Puts the labels at `at` into lower case, up to the root or a pointer.
pub fn lower_labels(bytes: &mut [u8], mut at: usize) {
    while let Some(&length @ 1..=63) = bytes.get(at) {
        let end = at + 1 + usize::from(length);
        if let Some(label) = bytes.get_mut(at + 1..end) {
            label.make_ascii_lowercase();
        }
        at = end;
    }
}

/// Whether `name` is `zone` or below it; both in uncompressed lower case.
pub fn is_within(name: &[u8], zone: &[u8]) -> bool {
    std::iter::successors(Some(name), |name| parent(name)).any(|above| above == zone)
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
mod tests {
    use super::*;
    use crate::wire::HEADER;

    /// A name in wire form.
    fn name(text: &str) -> Vec<u8> {
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
        // And one into the header, where an ID or flags may look like labels.
        let mut header = vec![0; HEADER];
        header[2..5].copy_from_slice(&[1, b'a', 0]);
        header.extend([0xc0, 2]);
        assert!(read_name(&header, HEADER).is_none());
    }

    #[test]
    fn ancestry_goes_by_labels() {
        assert!(is_within(&name("a.b.c"), &name("b.c")));
        assert!(is_within(&name("b.c"), &name("b.c")));
        assert!(is_within(&name("b.c"), &name("")));
        assert!(!is_within(&name("ab.c"), &name("b.c")));
    }
}
