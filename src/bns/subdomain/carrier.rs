//! The records in the zone file of a name.
//!
//! The lines are read here and not taken from a [`crate::zonefile::Zone`], which leaves out what belongs to other names and
//! knows nothing of how the text was written: the reference sees no record in a file whose `$ORIGIN` ends in a dot, and none
//! in a TXT record of a single string. A backslash drops itself and protects the next character; blank space at the
//! beginning of a line means nothing; a line that begins with its type belongs to the name itself. Record types that the
//! reference does not know make the whole file void there; here they are passed over.

use std::collections::HashMap;

use super::name::{InvalidSubdomain, Subdomain};
use super::record::{Malformed, RESERVED, Record};
use crate::bns::address::AddressVersions;
use crate::bns::name::Name;
use crate::zonefile::{Entries, Entry, Token, ZONEFILE_MAX};

/// What a TXT record says that is a record of a subdomain.
const MARKS: [&[u8]; 3] = [b"parts=", b"owner=", b"seqn="];
/// The label of the record with the rows whose zone files the carrier's owner has lost.
const MISSING: &[u8] = b"_missing";

/// What the zone file of a name says about subdomains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carried {
    /// The records in the order of the file, one for each subdomain.
    pub records: Vec<Record>,
    /// Rows whose zone files the owner declares lost.
    pub missing: Vec<u32>,
    /// What looks like a record and is none.
    pub refused: Vec<RefusedRecord>,
}

/// What looks like a record and is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: no record of a subdomain: {reason}")]
pub struct RefusedRecord {
    /// Where it begins, from 1.
    pub line: u32,
    /// Why it is none.
    pub reason: NoRecord,
}

/// Why a line is no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRecord {
    /// It has no name that a subdomain can have.
    #[error(transparent)]
    Name(#[from] InvalidSubdomain),
    /// Its strings make no record.
    #[error(transparent)]
    Strings(#[from] Malformed),
    /// Another one of the same subdomain counts.
    #[error("of several records of {0} in one zone file the one with the lowest seqn counts")]
    Doubled(Subdomain),
}

/// Why a zone file carries nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotCarrier {
    /// More than [`ZONEFILE_MAX`] bytes.
    #[error("it has more than {ZONEFILE_MAX} bytes")]
    TooLong,
    /// A line that cannot be read.
    #[error("line {line} cannot be read")]
    Unreadable {
        /// Which one, from 1.
        line: u32,
    },
    /// Its `$ORIGIN` is another name, or there is not exactly one.
    #[error("it has to say \"$ORIGIN {carrier}\" once, without a dot at the end")]
    Origin {
        /// What it should be.
        carrier: Name,
    },
    /// It has no `$TTL`, or one that is no time.
    #[error("it has to say \"$TTL\" with a number of seconds")]
    Ttl,
    /// The rows that are lost are declared twice.
    #[error("it has more than one _missing record")]
    ManyMissing,
}

/// What the zone file of `carrier` says about subdomains. Takes time linear in its length, and checks no signature.
pub fn read(
    carrier: &Name,
    bytes: &[u8],
    versions: AddressVersions,
) -> Result<Carried, NotCarrier> {
    if bytes.len() > ZONEFILE_MAX {
        return Err(NotCarrier::TooLong);
    }
    let mut reader = Reader {
        carrier,
        versions,
        origins: Vec::new(),
        ttl: None,
        missing: None,
        found: HashMap::new(),
        refused: Vec::new(),
    };
    for entry in Entries::new(bytes) {
        let entry = entry.map_err(|ignored| NotCarrier::Unreadable { line: ignored.line })?;
        reader.entry(&entry)?;
    }
    reader.finish()
}

struct Reader<'a> {
    carrier: &'a Name,
    versions: AddressVersions,
    origins: Vec<Vec<u8>>,
    ttl: Option<u32>,
    missing: Option<Vec<u32>>,
    /// The record of each subdomain that counts, and the line where it begins.
    found: HashMap<Subdomain, (u32, Record)>,
    refused: Vec<RefusedRecord>,
}

impl Reader<'_> {
    fn entry(&mut self, entry: &Entry<'_>) -> Result<(), NotCarrier> {
        let line = entry.start.line;
        match entry.tokens.split_first() {
            Some((first, arguments)) if first.word().is_some_and(|word| word.starts_with(b"$")) => {
                self.directive(first.text, arguments, line)
            }
            Some((owner, rest)) => {
                let strings = strings_of(rest);
                match strings.as_slice() {
                    [list] if plain(owner.text) == MISSING => self.declare_missing(list),
                    [_, _, ..] if is_record(&strings) => {
                        if let Err(reason) = self.record(owner, &strings, line) {
                            self.refused.push(RefusedRecord { line, reason });
                        }
                        Ok(())
                    }
                    _ => Ok(()),
                }
            }
            None => Ok(()),
        }
    }

    fn directive(
        &mut self,
        name: &[u8],
        arguments: &[Token<'_>],
        line: u32,
    ) -> Result<(), NotCarrier> {
        let [argument] = arguments else {
            return Err(NotCarrier::Unreadable { line });
        };
        match name {
            b"$ORIGIN" => self.origins.push(plain(argument.text)),
            b"$TTL" => {
                let seconds = number(&plain(argument.text)).filter(|ttl| *ttl <= i32::MAX as u32);
                self.ttl = Some(seconds.ok_or(NotCarrier::Ttl)?);
            }
            _ => return Err(NotCarrier::Unreadable { line }),
        }
        Ok(())
    }

    /// Takes a list of rows. What is none is a TXT record like any other.
    fn declare_missing(&mut self, list: &[u8]) -> Result<(), NotCarrier> {
        let rows = list.split(|&byte| byte == b',');
        let rows: Option<Vec<u32>> = rows.map(|row| number(row.trim_ascii())).collect();
        let Some(rows) = rows else {
            return Ok(());
        };
        match self.missing.replace(rows) {
            None => Ok(()),
            Some(_) => Err(NotCarrier::ManyMissing),
        }
    }

    fn record(
        &mut self,
        owner: &Token<'_>,
        strings: &[Vec<u8>],
        line: u32,
    ) -> Result<(), NoRecord> {
        let name = plain(owner.text).to_ascii_lowercase();
        let subdomain: Subdomain = match name.contains(&b'.') {
            true => String::from_utf8_lossy(&name).parse()?,
            false => Subdomain::new(&name, self.carrier.clone())?,
        };
        if RESERVED.contains(&subdomain.label()) {
            return Ok(());
        }
        let independent = subdomain.name() != self.carrier;
        let record = Record::read(subdomain.clone(), independent, strings, self.versions)?;
        let doubled = match self.found.get(&subdomain) {
            Some((_, other)) if other.sequence <= record.sequence => line,
            Some((other, _)) => *other,
            None => {
                self.found.insert(subdomain, (line, record));
                return Ok(());
            }
        };
        if doubled != line {
            self.found.insert(subdomain.clone(), (line, record));
        }
        self.refused.push(RefusedRecord {
            line: doubled,
            reason: NoRecord::Doubled(subdomain),
        });
        Ok(())
    }

    fn finish(self) -> Result<Carried, NotCarrier> {
        let carrier = self.carrier;
        if !matches!(self.origins.as_slice(), [origin] if origin == carrier.as_str().as_bytes()) {
            return Err(NotCarrier::Origin {
                carrier: carrier.clone(),
            });
        }
        self.ttl.ok_or(NotCarrier::Ttl)?;
        let mut records: Vec<(u32, Record)> = self.found.into_values().collect();
        records.sort_by_key(|(line, _)| *line);
        Ok(Carried {
            records: records.into_iter().map(|(_, record)| record).collect(),
            missing: self.missing.unwrap_or_default(),
            refused: self.refused,
        })
    }
}

/// Whether an entry is a TXT record that looks like a record of a subdomain, be it a sound one or not.
pub(super) fn looks_like_record(entry: &Entry<'_>) -> bool {
    let rest = entry.tokens.get(1..).unwrap_or_default();
    let strings = strings_of(rest);
    strings.len() > 1 && is_record(&strings)
}

/// The strings of a TXT record behind its owner, TTL and class; none if it is of another type.
fn strings_of(rest: &[Token<'_>]) -> Vec<Vec<u8>> {
    let type_at = rest.iter().position(|token| !is_ttl_or_class(token));
    let Some((rtype, strings)) = type_at.and_then(|at| rest.get(at..)?.split_first()) else {
        return Vec::new();
    };
    match rtype.word() {
        Some(b"TXT") => strings.iter().map(|token| plain(token.text)).collect(),
        _ => Vec::new(),
    }
}

fn is_ttl_or_class(token: &Token<'_>) -> bool {
    token
        .word()
        .is_some_and(|word| matches!(word, b"IN" | b"CS" | b"CH" | b"HS") || number(word).is_some())
}

fn is_record(strings: &[Vec<u8>]) -> bool {
    let says = |mark: &[u8]| strings.iter().any(|text| text.starts_with(mark));
    MARKS.into_iter().all(says)
}

/// The text of a token without its escapes.
fn plain(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' => plain.extend(bytes.next()),
            byte => plain.push(byte),
        }
    }
    plain
}

fn number(digits: &[u8]) -> Option<u32> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let text = is_number
        .then(|| std::str::from_utf8(digits).ok())
        .flatten();
    text.and_then(|text| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: &str = "19ZewH8Kk1PDbSNdJ97FP4EiCjTRaZMZQA";

    fn file(lines: &str) -> String {
        format!("$ORIGIN foo.test\n$TTL 3600\n{lines}")
    }

    fn line(name: &str, sequence: u64) -> String {
        format!("{name} TXT \"owner={OWNER}\" \"seqn={sequence}\" \"parts=1\" \"zf0=JA\\=\\=\"\n")
    }

    fn read_text(text: &str) -> Result<Carried, NotCarrier> {
        let carrier = "foo.test".parse().expect("a name");
        read(&carrier, text.as_bytes(), AddressVersions::MAINNET)
    }

    fn found(lines: &str) -> Vec<String> {
        let carried = read_text(&file(lines)).expect("a carrier");
        let shown = |record: &Record| format!("{} {}", record.subdomain, record.sequence);
        carried.records.iter().map(shown).collect()
    }

    #[test]
    fn records_are_found_however_their_lines_are_written() {
        let strings = format!("owner={OWNER} seqn=0\nparts=1 \"zf0=JA==\")");
        for lines in [
            line("bar", 0),
            line("BAR", 0),
            line("bar.foo.test", 0),
            line("  bar\t60 IN ", 0)
                .replace("TXT", "TXT ; comment \n")
                .replace(";", ""),
            format!("bar IN 60 TXT ({strings}\n"),
        ]
        .map(|lines| lines.replace("TXT  comment \n", "TXT"))
        {
            assert_eq!(found(&lines), ["bar.foo.test 0"], "{lines}");
        }
        let both = [line("b", 3), line("a", 1)].concat();
        assert_eq!(found(&both), ["b.foo.test 3", "a.foo.test 1"]);
    }

    #[test]
    fn records_of_other_names_are_independent() {
        let lines = [line("bar", 0), line("bar.other.test", 1)].concat();
        let carried = read_text(&file(&lines)).expect("a carrier");
        let independent: Vec<bool> = carried.records.iter().map(|r| r.independent).collect();
        assert_eq!(independent, [false, true]);
    }

    #[test]
    fn other_records_and_reserved_names_are_none() {
        for lines in [
            line("_missing", 0),
            line("_resolver.foo.test", 0),
            line("_registrar", 0),
            line("bar", 0).replace("TXT", "SPF"),
            line("bar", 0).replace("TXT", "txt"),
            line("bar", 0).replace("parts=1", "pieces=1"),
            format!("bar TXT \"owner={OWNER},seqn=0,parts=1\"\n"),
            format!("TXT \"owner={OWNER}\" \"seqn=0\" \"parts=0\"\n"),
        ] {
            assert_eq!(found(&lines), [""; 0], "{lines}");
        }
    }

    #[test]
    fn the_lowest_sequence_of_a_file_counts_and_the_first_of_equals() {
        let lines = [line("bar", 2), line("x", 0), line("bar", 1), line("bar", 1)].concat();
        let carried = read_text(&file(&lines)).expect("a carrier");
        assert_eq!(found(&lines), ["x.foo.test 0", "bar.foo.test 1"]);
        let lines: Vec<u32> = carried.refused.iter().map(|refused| refused.line).collect();
        assert_eq!(lines, [3, 6]);
    }

    #[test]
    fn a_bad_record_costs_only_itself() {
        let lines = [
            line("b~r", 0),
            line("bar", 0).replace("zf0", "zf1"),
            line("ok", 0),
        ]
        .concat();
        let carried = read_text(&file(&lines)).expect("a carrier");
        assert_eq!(found(&lines), ["ok.foo.test 0"]);
        let said: Vec<String> = carried.refused.iter().map(ToString::to_string).collect();
        assert!(
            said[0].starts_with("line 3: ") && said[1].ends_with("zf0= is missing"),
            "{said:?}"
        );
    }

    #[test]
    fn a_file_that_is_not_the_carriers_counts_for_nothing() {
        let carrier: Name = "foo.test".parse().expect("a name");
        let origin = || NotCarrier::Origin {
            carrier: carrier.clone(),
        };
        let records = line("bar", 0);
        let cases = [
            (format!("$TTL 1\n{records}"), origin()),
            (format!("$ORIGIN foo.test.\n$TTL 1\n{records}"), origin()),
            (format!("$ORIGIN bar.test\n$TTL 1\n{records}"), origin()),
            (file(&format!("{records}$ORIGIN foo.test\n")), origin()),
            (format!("$ORIGIN foo.test\n{records}"), NotCarrier::Ttl),
            (
                format!("$ORIGIN foo.test\n$TTL 1h\n{records}"),
                NotCarrier::Ttl,
            ),
            (
                format!("$ORIGIN foo.test\n$TTL 2147483648\n{records}"),
                NotCarrier::Ttl,
            ),
            (file("$INCLUDE x\n"), NotCarrier::Unreadable { line: 3 }),
            (
                file(&format!("{records}a )\n")),
                NotCarrier::Unreadable { line: 4 },
            ),
            (
                file("_missing TXT 1\n_missing TXT 2\n"),
                NotCarrier::ManyMissing,
            ),
            (" ".repeat(ZONEFILE_MAX + 1), NotCarrier::TooLong),
        ];
        for (text, reason) in cases {
            assert_eq!(read_text(&text), Err(reason), "{text}");
        }
    }

    #[test]
    fn rows_that_are_lost_are_a_list_in_one_string() {
        let missing = |lines: &str| read_text(&file(lines)).expect("a carrier").missing;
        assert_eq!(missing("_missing TXT \"3, 17,2\"\n"), [3, 17, 2]);
        assert_eq!(missing("_missing TXT \"3\" \"4\"\n"), [0; 0]);
        assert_eq!(missing("_missing TXT \"3,x\"\n"), [0; 0]);
        assert_eq!(missing("_missing TXT \"x\"\n_missing TXT \"5\"\n"), [5]);
    }
}
