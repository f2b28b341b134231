//! The compiled form that stands behind a zone file in its record: what follows from the zone file alone.
//!
//! It is that of the name that the file names itself ([`parse_own`]), so that a reader takes it only for that name
//! ([`Compiled::origin`]). A file has none if it names no name, or has what is not answered from a compiled zone: a DNAME, or a
//! key, whose records depend on more than the file. Neither has one whose form would be larger than a record may hold.

use crate::tlsa::Bound;
use crate::zonefile::{COMPILED_VERSION, Compiled, parse_own};

/// The version of the forms that this program makes and reads.
pub const VERSION: u32 = COMPILED_VERSION as u32;

/// Most bytes of a form.
pub const FORM_MAX: usize = 256 << 10;

/// The form of a zone file; empty if it has none.
pub fn of(zonefile: &[u8]) -> Vec<u8> {
    let zone = parse_own(zonefile).filter(|zone| !Bound::is_in(zone));
    let form = zone.and_then(|zone| Compiled::of(&zone));
    let form = form.filter(|form| !form.has_dname() && form.as_bytes().len() <= FORM_MAX);
    form.map_or(Vec::new(), |form| form.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    #[test]
    fn what_takes_the_long_way_has_no_form() {
        for (text, has_one) in [
            ("$ORIGIN foo.id\n@ A 192.0.2.1\n", true),
            ("$ORIGIN foo.id\n", true),
            ("$ORIGIN foo.id\n* CNAME a\na A 10.0.0.1\n", true),
            ("@ A 192.0.2.1\n", false),
            ("$ORIGIN foo.id\nx DNAME y\n", false),
            ("$ORIGIN foo.id\n_tlskey TXT \"x\"\n", false),
            (
                &format!("$ORIGIN foo.id\n_443._tcp TLSA 3 1 1 {KEY}\n"),
                false,
            ),
        ] {
            assert_eq!(!of(text.as_bytes()).is_empty(), has_one, "{text}");
        }
    }

    /// A relative name is short in a file, and the whole origin in each record.
    #[test]
    fn a_form_that_no_record_holds_is_none() {
        let label = "x".repeat(60);
        let zone = |count: u32| {
            let lines = (0..count).map(|n| format!("n{n} MX 1 a\n"));
            let lines: String = lines.collect();
            format!("$ORIGIN {label}.{label}.{label}.foo.id\n{lines}")
        };
        let (small, large) = (zone(300), zone(999));
        assert!(large.len() <= crate::zonefile::ZONEFILE_MAX);
        assert!((100_000..=FORM_MAX).contains(&of(small.as_bytes()).len()));
        assert_eq!(of(large.as_bytes()), b"");
    }
}
