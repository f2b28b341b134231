//! Whose zone file it is, by its own account: what is kept beside a zone file can be made before anybody asks for a name.
//!
//! Only the chain says whose zone file it is. A file may name somebody else, or be announced for several names, so what is
//! made of it this way is used only for the name that it turned out to be about.

use hickory_proto::rr::Name;

use super::name::parse_name;
use super::token::{Entries, Entry, Token};
use super::{Zone, parse};

/// Labels of a name of the chain.
const LABELS: usize = 2;

/// The zone of the name of the chain at or above the first `$ORIGIN`; `None` if there is no such name, or the file is too long.
/// It is the zone that [`parse`] gives for that name.
pub fn parse_own(bytes: &[u8]) -> Option<Zone> {
    let origin = Entries::new(bytes).flatten().find_map(|entry| {
        let argument = origin_of(&entry)?;
        Some(parse_name(argument, Some(&Name::root())))
    });
    let origin = origin?.ok()?;
    if origin.iter().len() < LABELS {
        return None;
    }
    parse(&origin.trim_to(LABELS), bytes).ok()
}

/// What stands behind `$ORIGIN`, if an entry is one.
fn origin_of<'z>(entry: &Entry<'z>) -> Option<&'z [u8]> {
    let [first, argument] = entry.tokens.as_slice() else {
        return None;
    };
    let is_origin = |word: &[u8]| word.eq_ignore_ascii_case(b"$ORIGIN");
    let is_one = Token::word(first).is_some_and(is_origin);
    is_one.then_some(argument.text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::zonefile::{Compiled, fixture};

    fn own(text: &str) -> Option<String> {
        parse_own(text.as_bytes()).map(|zone| zone.origin().to_string())
    }

    #[test]
    fn a_zone_file_names_its_name() {
        for (text, name) in [
            ("$ORIGIN foo.id\n@ A 192.0.2.1\n", Some("foo.id.")),
            ("$origin FOO.id.\n", Some("foo.id.")),
            (
                "\u{feff}; x\n\n$TTL 60\n$ORIGIN www.foo.id\n",
                Some("foo.id."),
            ),
            (
                "@ A 192.0.2.1\n$ORIGIN foo.id\n$ORIGIN bar.id\n",
                Some("foo.id."),
            ),
            (
                "@ TXT (\n$ORIGIN bar.id\n)\n$ORIGIN foo.id\n",
                Some("foo.id."),
            ),
            ("$ORIGIN \"foo.id\"\n", Some("foo.id.")),
            ("$ORIGIN a b\n$ORIGIN foo.id\n", Some("foo.id.")),
            ("$ORIGIN ..\n$ORIGIN foo.id\n", None),
            ("$ORIGIN id\n", None),
            ("$ORIGIN .\n", None),
            ("@ A 192.0.2.1\n", None),
            ("", None),
        ] {
            assert_eq!(own(text).as_deref(), name, "{text}");
        }
    }

    fn is_as_parsed(bytes: &[u8]) -> bool {
        let Some(zone) = parse_own(bytes) else {
            return false;
        };
        let name = zone.origin().clone();
        let spelled = Name::from_labels(name.iter()).expect("the labels of a name");
        let parsed = parse(&spelled, bytes).expect("not too long");
        let forms = [zone, parsed].map(|zone| Compiled::of(&zone));
        assert!(forms[0].is_some() && forms[0] == forms[1], "{name}");
        let origin = forms[0].as_ref().map(Compiled::origin);
        assert_eq!(origin.map(|wire| wire.len()), Some(name.len() + 1)); // the root
        true
    }

    /// Lines of a zone file, most of them with sense.
    fn line() -> impl Strategy<Value = String> {
        let name = prop_oneof![
            Just("@".to_owned()),
            "[a-zA-Z*_]{1,4}",
            "[a-z]{1,2}\\.foo\\.id\\.?",
            "\\PC{0,5}",
        ];
        let rest = prop_oneof![
            Just("A 192.0.2.1".to_owned()),
            Just("300 TXT \"x\" y".to_owned()),
            Just("MX 10 mail".to_owned()),
            Just("DNAME elsewhere".to_owned()),
            "\\PC{0,20}",
        ];
        let origin = "\\$(ORIGIN|origin|Ttl) ([A-Z]{0,2}\\.)?(foo|BAR)\\.id\\.?";
        prop_oneof![
            3 => (name, rest).prop_map(|(name, rest)| format!("{name} {rest}")),
            1 => origin,
        ]
    }

    proptest! {
        #[test]
        fn it_is_the_zone_that_is_parsed_for_that_name(
            lines in prop::collection::vec(line(), 0..12),
            end in "\n|\r\n",
        ) {
            is_as_parsed(lines.join(&end).as_bytes());
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            is_as_parsed(&bytes);
            is_as_parsed(&[b"$ORIGIN foo.id\n", &bytes[..]].concat());
        }
    }

    #[test]
    fn most_historical_zone_files_name_theirs() {
        let Some(files) = fixture::historical() else {
            return println!("the historical zone files are not there");
        };
        let count = files.len();
        let named = files.iter().filter(|bytes| is_as_parsed(bytes)).count();
        assert_eq!(named, count);
    }
}
