//! From entries to records: directives, owner, TTL, class and type. `builder` makes the zone of them.
//!
//! Two habits of historical files differ from RFC 1035:
//!
//! - `$ORIGIN foo.id` is absolute, with or without its final dot.
//! - A line may start with its record type, in upper case, and then belongs to `@`. The reading of RFC
//!   1035 goes first: `MX A 192.0.2.1` is the name `mx`, and `MX 10 mail` belongs to `@` because `10 mail`
//!   is no TTL and type.
//!
//! A line that begins with blank space belongs to the owner before it, as in RFC 1035, or to `@` if there
//! is none. If that owner could not be read, the line is ignored: no record ends up at another name than
//! its author meant.

use hickory_proto::rr::{Name, RecordType};

use super::builder::{Builder, Record};
use super::key::OwnerKey;
use super::name::parse_name;
use super::problem::{Ignored, Problem};
use super::scalar::seconds;
use super::token::{Entries, Entry, Position, Token, Tokens};
use super::types::{code, is_meta, record_type};
use super::zone::Zone;
use super::{TTL_MAX, ZONEFILE_MAX, rdata};

/// Why a file is no zone file at all. Anything less is an [`Ignored`] part of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// More than [`ZONEFILE_MAX`] bytes.
    #[error("the zone file has {length} bytes; at most {ZONEFILE_MAX} are allowed")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
}

/// A record that could be read, as it stands in the file.
pub struct Written<'r> {
    /// Line of its data, from 1.
    pub line: u32,
    /// Column in bytes, from 1.
    pub column: u32,
    /// Its type.
    pub rtype: RecordType,
    /// Its data in wire form.
    pub rdata: &'r [u8],
}

/// Parses the zone file of the name `origin`.
///
/// Only records at or below `origin` are kept, whatever the file's own `$ORIGIN` says. Linear in the
/// length of `bytes`.
pub fn parse(origin: &Name, bytes: &[u8]) -> Result<Zone, ParseError> {
    parse_watched(origin, bytes, &mut |_| ())
}

/// The same; `watch` sees every record of the zone, in the order of the file.
pub fn parse_watched(
    origin: &Name,
    bytes: &[u8],
    watch: &mut dyn FnMut(&Written<'_>),
) -> Result<Zone, ParseError> {
    if bytes.len() > ZONEFILE_MAX {
        return Err(ParseError::TooLong {
            length: bytes.len(),
        });
    }
    let mut parser = Parser::new(origin, watch);
    for entry in Entries::new(bytes) {
        let outcome = entry.and_then(|entry| parser.entry(&entry));
        if let Err(ignored) = outcome {
            parser.builder.note(ignored);
            if ignored.problem == Problem::TooManyRecords {
                break;
            }
        }
    }
    Ok(parser.builder.finish())
}

struct Parser<'w> {
    builder: Builder,
    watch: &'w mut dyn FnMut(&Written<'_>),
    /// What relative names are relative to; `None` after a `$ORIGIN` that could not be read.
    origin: Option<Name>,
    /// Whom an indented line belongs to; `None` after an owner that could not be read.
    owner: Option<Name>,
}

/// TTL, class and type: what stands between owner and data.
struct Head<'t, 'z> {
    ttl: Option<u32>,
    rtype: RecordType,
    data: Tokens<'t, 'z>,
}

impl<'w> Parser<'w> {
    fn new(origin: &Name, watch: &'w mut dyn FnMut(&Written<'_>)) -> Self {
        let mut origin = origin.to_lowercase();
        origin.set_fqdn(true);
        Self {
            builder: Builder::new(origin.clone()),
            watch,
            origin: Some(origin.clone()),
            owner: Some(origin),
        }
    }

    fn entry(&mut self, entry: &Entry<'_>) -> Result<(), Ignored> {
        let arguments = entry.tokens.get(1..).unwrap_or_default();
        match entry.tokens.first().and_then(Token::word) {
            Some([b'$', directive @ ..]) => self
                .directive(directive, arguments)
                .map_err(|problem| entry.start.ignored(problem)),
            _ => self.record(entry),
        }
    }

    // ---- Directives ------------------------------------------------------------------------------

    fn directive(&mut self, name: &[u8], arguments: &[Token<'_>]) -> Result<(), Problem> {
        let argument = match arguments {
            [argument] => Ok(argument.text),
            [] => Err(Problem::MissingField),
            _ => Err(Problem::ExtraField),
        };
        match name.to_ascii_uppercase().as_slice() {
            b"ORIGIN" => self.set_origin(argument),
            b"TTL" => {
                self.builder.zone.default_ttl = clamp_ttl(seconds(argument?)?);
                Ok(())
            }
            b"INCLUDE" => Err(Problem::IncludeRefused),
            b"GENERATE" => Err(Problem::GenerateRefused),
            _ => Err(Problem::UnknownDirective),
        }
    }

    fn set_origin(&mut self, argument: Result<&[u8], Problem>) -> Result<(), Problem> {
        self.origin = None;
        let origin = parse_name(argument?, Some(&Name::root()))?;
        self.origin = Some(origin.to_lowercase());
        Ok(())
    }

    // ---- Records ---------------------------------------------------------------------------------

    fn record(&mut self, entry: &Entry<'_>) -> Result<(), Ignored> {
        if self.builder.is_full() {
            return Err(entry.start.ignored(Problem::TooManyRecords));
        }
        let (owner, tokens) = self.split_owner(entry);
        if let Some(text) = owner {
            self.owner = None;
            let name = parse_name(text, self.origin.as_ref());
            let name = name.map_err(|problem| entry.start.ignored(problem))?;
            self.owner = Some(name.to_lowercase());
        }
        self.data(entry.start, tokens)
    }

    /// Reads what stands behind the owner, and adds the record.
    fn data(&mut self, start: Position, tokens: &[Token<'_>]) -> Result<(), Ignored> {
        let owner = self.owner.clone();
        let owner = owner.ok_or(start.ignored(Problem::OwnerUnknown))?;
        let key = OwnerKey::new(&self.builder.zone.origin, &owner);
        let key = key.ok_or(start.ignored(Problem::OutOfZone))?;
        let Head { ttl, rtype, data } = read_head(tokens, start)?;
        let position = data.position();
        let rdata = rdata::parse(rtype.into(), data, self.origin.as_ref());
        if rdata.is_err() && falls_together(rtype) {
            self.builder.reject(key.clone(), rtype, position);
        }
        let rdata = rdata?;
        (self.watch)(&Written {
            line: position.line,
            column: position.column,
            rtype,
            rdata: &rdata,
        });
        let record = Record {
            rdata,
            ttl: ttl.unwrap_or(self.builder.zone.default_ttl),
            owner,
            key,
            rtype,
            position,
        };
        let inserted = self.builder.insert(record);
        inserted.map_err(|problem| position.ignored(problem))
    }

    /// The text of the owner, `None` for that of the line before, and what stands behind it.
    fn split_owner<'t, 'z>(&self, entry: &'t Entry<'z>) -> (Option<&'z [u8]>, &'t [Token<'z>]) {
        match entry.tokens.as_slice() {
            [first, rest @ ..] if !entry.indented => {
                if starts_with_type(first) && self.belongs_to_apex(&entry.tokens, rest) {
                    (Some(b"@"), &entry.tokens)
                } else {
                    (Some(first.text), rest)
                }
            }
            all => (None, all),
        }
    }

    /// Whether a line that starts with a record type has no owner: see the head of this file.
    fn belongs_to_apex(&self, all: &[Token<'_>], behind_first: &[Token<'_>]) -> bool {
        let start = Position { line: 0, column: 0 };
        let reads = |head: Head<'_, '_>| {
            rdata::parse(head.rtype.into(), head.data, self.origin.as_ref()).is_ok()
        };
        match read_head(behind_first, start) {
            Err(_) => true,
            Ok(head) => !reads(head) && read_head(all, start).is_ok_and(reads),
        }
    }
}

/// Whether one malformed record takes its whole RRset with it (RFC 9460 §2.2).
fn falls_together(rtype: RecordType) -> bool {
    matches!(u16::from(rtype), code::SVCB | code::HTTPS)
}

/// Only in upper case, as the reference has it: `txt` at the beginning of a line is a name.
fn starts_with_type(token: &Token<'_>) -> bool {
    token
        .word()
        .is_some_and(|word| !word.iter().any(u8::is_ascii_lowercase) && record_type(word).is_some())
}

/// Reads TTL and class, in either order, and the type.
fn read_head<'t, 'z>(tokens: &'t [Token<'z>], start: Position) -> Result<Head<'t, 'z>, Ignored> {
    let mut tokens = Tokens::new(tokens, start);
    let mut ttl = None;
    let mut class = None;
    while let Some(token) = tokens.next() {
        let ignored = |problem| token.position.ignored(problem);
        let word = token.word().ok_or(ignored(Problem::UnknownType))?;
        if class.is_none() && is_class(word) {
            class = Some(word);
        } else if ttl.is_none() && word.first().is_some_and(u8::is_ascii_digit) {
            ttl = Some(clamp_ttl(seconds(word).map_err(ignored)?));
        } else {
            let rtype = record_type(word).ok_or(ignored(Problem::UnknownType))?;
            if is_meta(rtype.into()) {
                return Err(ignored(Problem::MetaType));
            }
            return Ok(Head {
                ttl,
                rtype,
                data: tokens,
            });
        }
    }
    Err(tokens.position().ignored(Problem::MissingType))
}

/// Classes are dropped, as the reference does.
fn is_class(word: &[u8]) -> bool {
    [&b"IN"[..], b"CS", b"CH", b"HS"]
        .iter()
        .any(|class| word.eq_ignore_ascii_case(class))
}

/// RFC 2181 §8: a TTL with the highest bit set counts as zero.
fn clamp_ttl(ttl: u32) -> u32 {
    if ttl > i32::MAX as u32 {
        0
    } else {
        ttl.min(TTL_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zonefile::{TTL_DEFAULT, render};

    fn zone(text: &str) -> Zone {
        let origin = Name::from_ascii("foo.id.").expect("a name");
        parse(&origin, text.as_bytes()).expect("not too long")
    }

    /// The records of `text` in canonical spelling, without the two directives.
    fn records(text: &str) -> String {
        let text = render(&zone(text));
        let lines: Vec<_> = text.lines().skip(2).collect();
        lines.join("\n")
    }

    fn problems(text: &str) -> Vec<(u32, u32, Problem)> {
        let zone = zone(text);
        let place = |ignored: &Ignored| (ignored.line, ignored.column, ignored.problem);
        zone.ignored().iter().map(place).collect()
    }

    #[test]
    fn a_historical_zone_file_reads_as_it_was_meant() {
        let text =
            "$ORIGIN foo.id\n$TTL 3600\n_http._tcp\tIN\tURI\t10\t1\t\"https://example.com/x\"\n\n";
        assert_eq!(
            records(text),
            "_http._tcp URI 10 1 \"https://example.com/x\""
        );
        assert_eq!(problems(text), []);
        assert_eq!(zone(text).default_ttl, 3600);
        assert_eq!(zone("").default_ttl, TTL_DEFAULT);
    }

    #[test]
    fn owners_follow_the_lines_before_them() {
        let cases = [
            ("@ A 192.0.2.1", "@ A 192.0.2.1"),
            ("foo.id. A 192.0.2.1", "@ A 192.0.2.1"),
            ("WWW A 192.0.2.1", "www A 192.0.2.1"),
            (" A 192.0.2.1", "@ A 192.0.2.1"),
            (
                "a A 192.0.2.1\n A 192.0.2.2",
                "a A 192.0.2.1\na A 192.0.2.2",
            ),
            ("$ORIGIN sub.foo.id.\n@ A 192.0.2.1", "sub A 192.0.2.1"),
            ("$origin SUB.foo.id\na MX 1 b", "a.sub MX 1 b.sub.foo.id."),
            ("*.a TXT x", "*.a TXT \"x\""),
            (
                r"a\.b TXT x",
                r"a\.b TXT \034x\034".replace(r"\034", "\"").as_str(),
            ),
        ]
        .map(|(text, expected)| (text.to_owned(), expected.to_owned()));
        for (text, expected) in cases {
            assert_eq!(records(&text), expected, "{text}");
            assert_eq!(problems(&text), [], "{text}");
        }
    }

    #[test]
    fn a_line_may_start_with_its_type_where_that_is_the_only_reading() {
        let cases = [
            ("URI 10 1 \"x:y\"", "@ URI 10 1 \"x:y\""),
            ("A 192.0.2.1", "@ A 192.0.2.1"),
            ("MX 10 mail", "@ MX 10 mail.foo.id."),
            ("MX 10 a", "@ MX 10 a.foo.id."),
            ("NS ns", "@ NS ns.foo.id."),
            ("TXT a b", "@ TXT \"a\" \"b\""),
            ("MX A 192.0.2.1", "mx A 192.0.2.1"),
            ("mx A 192.0.2.1", "mx A 192.0.2.1"),
            ("ns 60 IN A 192.0.2.1", "ns 60 A 192.0.2.1"),
            ("txt TXT \"x\"", "txt TXT \"x\""),
            ("TXT A \"b\"", "@ TXT \"A\" \"b\""),
        ];
        for (text, expected) in cases {
            assert_eq!(records(text), expected, "{text}");
            assert_eq!(problems(text), [], "{text}");
        }
    }

    #[test]
    fn ttl_and_class_come_in_either_order_and_are_bounded() {
        let cases = [
            ("a 60 IN A 192.0.2.1", 60),
            ("a in 1m A 192.0.2.1", 60),
            ("a A 192.0.2.1", 3600),
            ("$TTL 2h\na A 192.0.2.1", 7200),
            ("a 604800 A 192.0.2.1", TTL_MAX),
            ("a 2147483648 A 192.0.2.1", 0),
            ("$TTL 4294967295\na A 192.0.2.1", 0),
            ("a 300 A 192.0.2.1\na 60 A 192.0.2.2", 60),
            ("a 300 A 192.0.2.1\na 60 A 192.0.2.1", 60),
        ];
        for (text, expected) in cases {
            let zone = zone(text);
            let ttls: Vec<_> = zone.records().map(|record| record.ttl).collect();
            assert!(ttls.iter().all(|&ttl| ttl == expected), "{text}: {ttls:?}");
            assert!(!ttls.is_empty(), "{text}");
        }
    }

    #[test]
    fn nothing_outside_the_zone_is_served() {
        let text = "$ORIGIN bank.id.\n@ A 192.0.2.1\nwww A 192.0.2.1\n TXT x\n\
                    $ORIGIN foo.id\n@ TXT ok\nbank.id. A 192.0.2.1\nid. A 192.0.2.1\n\
                    *.id. A 192.0.2.1\nxfoo.id. A 192.0.2.1\n. A 192.0.2.1\n";
        assert_eq!(records(text), "@ TXT \"ok\"");
        let zone = zone(text);
        let outside = |ignored: &&Ignored| ignored.problem == Problem::OutOfZone;
        assert_eq!(zone.ignored().iter().filter(outside).count(), 8);
        assert_eq!(zone.ignored_count(), 8);
    }

    #[test]
    fn each_refusal_has_its_place_and_reason() {
        use Problem::*;
        let cases = [
            ("$INCLUDE /etc/passwd", (1, 1, IncludeRefused)),
            ("\n$generate 1-9 a$ A 192.0.2.$", (2, 1, GenerateRefused)),
            ("$FOO x", (1, 1, UnknownDirective)),
            ("$TTL x", (1, 1, BadTtl)),
            ("$ORIGIN", (1, 1, MissingField)),
            ("host", (1, 1, MissingType)),
            ("a ALIAS b.example.", (1, 3, UnknownType)),
            ("a ANY b", (1, 3, UnknownType)),
            ("txt ALIAS b.example.", (1, 5, UnknownType)),
            ("a TYPE255 \\# 0", (1, 3, MetaType)),
            ("a A 192.0.2.256", (1, 5, BadAddress)),
            ("a A", (1, 3, MissingField)),
            ("a A 192.0.2.1 x", (1, 15, ExtraField)),
            ("a..b A 192.0.2.1", (1, 1, BadName)),
            ("a TXT \"b", (1, 7, UnclosedQuote)),
            ("a 99999999999 A 192.0.2.1", (1, 3, BadTtl)),
            ("a SOA a b 1 2 3 4 5", (1, 3, ForeignSoa)),
        ];
        for (text, expected) in cases {
            assert_eq!(problems(text), [expected], "{text}");
            assert_eq!(records(text), "", "{text}");
        }
    }

    #[test]
    fn a_broken_line_costs_only_itself() {
        let text = "a A 1\na A 192.0.2.1\nb..c A 192.0.2.1\n A 192.0.2.2\nd TXT \"\nd TXT x\n";
        assert_eq!(records(text), "a A 192.0.2.1\nd TXT \"x\"");
        assert_eq!(zone(text).ignored_count(), 4, "{:?}", problems(text));
        let lost_origin = "$ORIGIN a..b\nx A 192.0.2.1\nfoo.id. A 192.0.2.1\n";
        assert_eq!(records(lost_origin), "@ A 192.0.2.1");
    }

    #[test]
    fn records_that_cannot_stand_together_are_settled_in_any_order() {
        use Problem::*;
        let cases = [
            ("a CNAME b\na TXT x", "a TXT \"x\"", CnameBesideOthers),
            ("a TXT x\na CNAME b", "a TXT \"x\"", CnameBesideOthers),
            ("@ CNAME b\n@ TXT x", "@ TXT \"x\"", CnameBesideOthers),
            ("@ TXT x\n@ DNAME b.", "@ TXT \"x\"", DnameBesideOthers),
            ("@ CNAME b.\n@ DNAME b.", "@ DNAME b.", CnameBesideOthers),
            ("a CNAME b.\na CNAME c.", "a CNAME b.", SecondAlias),
            (
                "@ SOA a. b. 1 2 3 4 5\n@ SOA a. b. 2 2 3 4 5",
                "@ SOA a. b. 1 2 3 4 5",
                SecondSoa,
            ),
            (
                "a HTTPS 1 .\na HTTPS 1 . port=x\na A 192.0.2.1",
                "a A 192.0.2.1",
                RrsetRejected,
            ),
        ];
        for (text, expected, problem) in cases {
            assert_eq!(records(text), expected, "{text}");
            let last = problems(text).last().map(|&(_, _, problem)| problem);
            assert_eq!(last, Some(problem), "{text}");
        }
        let both = "@ NS ns.example.\n@ DNAME b.\na DNAME c.\na TXT x";
        assert_eq!(problems(both), []);
        assert_eq!(problems("@ CNAME www.example.com."), []);
        assert_eq!(problems("a A 192.0.2.1\na 60 A 192.0.2.1"), []);
    }

    #[test]
    fn sizes_are_bounded() {
        let origin = Name::from_ascii("foo.id.").expect("a name");
        let long = vec![b'\n'; ZONEFILE_MAX + 1];
        let error = ParseError::TooLong {
            length: ZONEFILE_MAX + 1,
        };
        assert_eq!(parse(&origin, &long), Err(error));
        assert!(parse(&origin, &long[1..]).is_ok());

        let rrset: String = (0..101).map(|i| format!(" TXT {i}\n")).collect();
        assert_eq!(zone(&rrset).records().count(), 100);
        assert_eq!(problems(&rrset), [(101, 2, Problem::RrsetFull)]);

        let many: String = (0..1100).map(|i| format!("n{i} TXT x\n")).collect();
        assert_eq!(zone(&many).records().count(), 1000);
        assert_eq!(problems(&many), [(1001, 1, Problem::TooManyRecords)]);

        let bad = "a\n".repeat(20_000);
        assert_eq!(zone(&bad).ignored().len(), 100);
        assert_eq!(zone(&bad).ignored_count(), 20_000);

        let strings = format!("a TXT {}", "\"\" ".repeat(4097));
        assert_eq!(
            problems(&strings).last().map(|&(_, _, problem)| problem),
            Some(Problem::RdataTooLong)
        );
    }

    #[test]
    fn windows_line_ends_and_a_byte_order_mark_change_nothing() {
        let text = "$ORIGIN foo.id\n$TTL 60\na TXT \"x\" ( ; c\n \"y\" )\n\n b A 192.0.2.1\n";
        let windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
        assert_eq!(zone(&windows), zone(text));
        assert_eq!(problems(&windows), problems(text));
    }
}
