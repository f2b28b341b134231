//! From entries to a zone: directives, owner, TTL, class, type, and the rules of the zone as a whole.
//!
//! Two habits of historical files differ from RFC 1035 (zonefiles-and-atlas.md §1):
//!
//! - `$ORIGIN foo.id` is absolute, with or without its final dot.
//! - A line may start with its record type and then belongs to `@`. The reading of RFC 1035 goes first:
//!   `mx A 192.0.2.1` is the name `mx`, and `MX 10 mail` belongs to `@` because `10 mail` is no TTL and type.
//!
//! A line that begins with blank space belongs to the owner before it, as in RFC 1035, or to `@` if there
//! is none. If that owner could not be read, the line is ignored: no record ends up at another name than
//! its author meant.

use std::collections::BTreeSet;

use hickory_proto::rr::{Name, RecordType};

use super::field::{Tokens, seconds};
use super::key::OwnerKey;
use super::name::parse_name;
use super::problem::{Ignored, Problem};
use super::token::{Entries, Entry, Position, Token};
use super::types::{code, is_meta, record_type};
use super::zone::{Node, RrSet, Zone};
use super::{IGNORED_KEPT, RECORDS_MAX, RRSET_MAX, TTL_MAX, ZONEFILE_MAX, rdata};

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

/// Parses the zone file of the name `origin`.
///
/// Only records at or below `origin` are kept, whatever the file's own `$ORIGIN` says. Linear in the
/// length of `bytes`.
pub fn parse(origin: &Name, bytes: &[u8]) -> Result<Zone, ParseError> {
    if bytes.len() > ZONEFILE_MAX {
        return Err(ParseError::TooLong {
            length: bytes.len(),
        });
    }
    let mut parser = Parser::new(origin);
    for entry in Entries::new(bytes) {
        let outcome = entry.and_then(|entry| parser.entry(&entry));
        if let Err(ignored) = outcome {
            parser.note(ignored);
            if ignored.problem == Problem::TooManyRecords {
                break;
            }
        }
    }
    Ok(parser.finish())
}

struct Parser {
    zone: Zone,
    /// What relative names are relative to; `None` after a `$ORIGIN` that could not be read.
    origin: Option<Name>,
    /// Whom an indented line belongs to; `None` after an owner that could not be read.
    owner: Option<Name>,
    records: usize,
    /// CNAME and DNAME records, to be held against the other records of their owner.
    aliases: Vec<(OwnerKey, RecordType, Position)>,
    /// RRsets that fall with a malformed record.
    rejected: BTreeSet<(OwnerKey, u16)>,
}

/// TTL, class and type: what stands between owner and data.
struct Head<'t, 'z> {
    ttl: Option<u32>,
    rtype: RecordType,
    data: Tokens<'t, 'z>,
}

struct Record {
    owner: Name,
    key: OwnerKey,
    rtype: RecordType,
    ttl: u32,
    rdata: Box<[u8]>,
    position: Position,
}

impl Parser {
    fn new(origin: &Name) -> Self {
        let mut origin = origin.to_lowercase();
        origin.set_fqdn(true);
        Self {
            zone: Zone::new(origin.clone()),
            origin: Some(origin.clone()),
            owner: Some(origin),
            records: 0,
            aliases: Vec::new(),
            rejected: BTreeSet::new(),
        }
    }

    fn note(&mut self, ignored: Ignored) {
        self.zone.ignored_count += 1;
        if ignored.problem == Problem::OutOfZone {
            self.zone.out_of_zone_count += 1;
        }
        if self.zone.ignored.len() < IGNORED_KEPT {
            self.zone.ignored.push(ignored);
        }
    }

    fn entry(&mut self, entry: &Entry<'_>) -> Result<(), Ignored> {
        match entry.tokens.first().and_then(Token::word) {
            Some([b'$', directive @ ..]) => self
                .directive(directive, entry.tokens.get(1..).unwrap_or_default())
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
                self.zone.default_ttl = clamp_ttl(seconds(argument?)?);
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
        if self.records >= RECORDS_MAX {
            return Err(entry.start.ignored(Problem::TooManyRecords));
        }
        let record = self.read(entry)?;
        self.records += 1;
        self.insert(record)
    }

    fn read(&mut self, entry: &Entry<'_>) -> Result<Record, Ignored> {
        let (owner, tokens) = self.split_owner(entry);
        self.owner = match owner {
            Some(_) => None,
            None => self.owner.take(),
        };
        if let Some(text) = owner {
            let name = parse_name(text, self.origin.as_ref());
            self.owner = Some(
                name.map_err(|problem| entry.start.ignored(problem))?
                    .to_lowercase(),
            );
        }
        let owner = self.owner.clone();
        let owner = owner.ok_or_else(|| entry.start.ignored(Problem::OwnerUnknown))?;
        let key = OwnerKey::new(&self.zone.origin, &owner)
            .ok_or_else(|| entry.start.ignored(Problem::OutOfZone))?;
        let head = read_head(tokens, entry.start)?;
        let (rtype, position) = (head.rtype, head.data.position());
        let rdata = rdata::parse(rtype.into(), head.data, self.origin.as_ref());
        if rdata.is_err() && falls_together(rtype) {
            self.rejected.insert((key.clone(), rtype.into()));
        }
        Ok(Record {
            rdata: rdata?,
            ttl: head.ttl.unwrap_or(self.zone.default_ttl),
            owner,
            key,
            rtype,
            position,
        })
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

    fn insert(&mut self, record: Record) -> Result<(), Ignored> {
        let position = record.position;
        let code = u16::from(record.rtype);
        if code == code::SOA && record.owner != self.zone.origin {
            return Err(position.ignored(Problem::ForeignSoa));
        }
        if matches!(code, code::CNAME | code::DNAME) {
            self.aliases
                .push((record.key.clone(), record.rtype, position));
        }
        let node = self.zone.nodes.entry(record.key).or_insert_with(|| Node {
            name: record.owner,
            rrsets: Vec::new(),
        });
        let added = match node
            .rrsets
            .iter_mut()
            .find(|rrset| rrset.rtype == record.rtype)
        {
            Some(rrset) => rrset.add(record.ttl, record.rdata),
            None => {
                node.rrsets.push(RrSet {
                    rtype: record.rtype,
                    ttl: record.ttl,
                    rdata: vec![record.rdata],
                });
                Ok(())
            }
        };
        added.map_err(|problem| position.ignored(problem))
    }

    // ---- The zone as a whole ---------------------------------------------------------------------

    fn finish(mut self) -> Zone {
        for (key, code) in std::mem::take(&mut self.rejected) {
            let rtype = RecordType::from(code);
            if self
                .zone
                .nodes
                .get(&key)
                .is_some_and(|node| node.rrset(rtype).is_some())
            {
                self.remove(&key, rtype);
            }
        }
        let mut aliases = std::mem::take(&mut self.aliases);
        aliases.sort_by_key(|(_, rtype, _)| u16::from(*rtype)); // CNAME before DNAME
        for (key, rtype, position) in aliases {
            if let Some(problem) = self.conflict(&key, rtype) {
                self.remove(&key, rtype);
                self.note(position.ignored(problem));
            }
        }
        for node in self.zone.nodes.values_mut() {
            node.rrsets.sort_by_key(|rrset| u16::from(rrset.rtype));
        }
        self.zone
    }

    /// What speaks against the alias of type `rtype` at `key`, if it is still there.
    fn conflict(&self, key: &OwnerKey, rtype: RecordType) -> Option<Problem> {
        let node = self.zone.nodes.get(key)?;
        node.rrset(rtype)?;
        let mut others = node.rrsets.iter().map(|rrset| rrset.rtype);
        match u16::from(rtype) {
            code::CNAME => others
                .any(|other| other != rtype)
                .then_some(Problem::CnameBesideOthers),
            // RFC 6672 §2.3 wants SOA and NS beside a DNAME at the apex, and only there something at all.
            _ => (key.as_bytes().is_empty()
                && others.any(|other| {
                    other != rtype && !matches!(u16::from(other), code::SOA | code::NS)
                }))
            .then_some(Problem::DnameBesideOthers),
        }
    }

    fn remove(&mut self, key: &OwnerKey, rtype: RecordType) {
        if let Some(node) = self.zone.nodes.get_mut(key) {
            node.rrsets.retain(|rrset| rrset.rtype != rtype);
            if node.rrsets.is_empty() {
                self.zone.nodes.remove(key);
            }
        }
    }
}

impl RrSet {
    fn add(&mut self, ttl: u32, rdata: Box<[u8]>) -> Result<(), Problem> {
        if self.rdata.contains(&rdata) {
            self.ttl = self.ttl.min(ttl);
            return Ok(());
        }
        match u16::from(self.rtype) {
            code::CNAME | code::DNAME => return Err(Problem::SecondAlias),
            code::SOA => return Err(Problem::SecondSoa),
            _ if self.rdata.len() >= RRSET_MAX => return Err(Problem::RrsetFull),
            _ => {}
        }
        self.ttl = self.ttl.min(ttl);
        self.rdata.push(rdata);
        Ok(())
    }
}

/// Whether one malformed record takes its whole RRset with it (RFC 9460 §2.2).
fn falls_together(rtype: RecordType) -> bool {
    matches!(u16::from(rtype), code::SVCB | code::HTTPS)
}

fn starts_with_type(token: &Token<'_>) -> bool {
    token.word().and_then(record_type).is_some()
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

/// Classes are dropped, as the reference does (zonefiles-and-atlas.md §1).
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
