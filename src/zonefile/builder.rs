//! A zone under construction, and the rules that hold for the zone as a whole.
//!
//! Some rules need all records: a CNAME beside others can come first or last. So records are only
//! collected here, and [`Builder::finish`] removes what cannot stand together; the order of lines never
//! decides which records are served, except that the first of two different CNAME, DNAME or SOA stays.

use std::collections::BTreeMap;

use hickory_proto::rr::{Name, RecordType};

use super::key::OwnerKey;
use super::problem::{Ignored, Problem};
use super::token::Position;
use super::types::code;
use super::zone::{Node, RrSet, Zone};
use super::{IGNORED_KEPT, RECORDS_MAX, RRSET_MAX};

/// A record that could be read, of a name inside the zone.
pub(super) struct Record {
    /// Lower case, fully qualified.
    pub(super) owner: Name,
    /// Of `owner`.
    pub(super) key: OwnerKey,
    pub(super) rtype: RecordType,
    pub(super) ttl: u32,
    pub(super) rdata: Box<[u8]>,
    /// Where problems of the record are reported.
    pub(super) position: Position,
}

/// Collects records and problems.
pub(super) struct Builder {
    pub(super) zone: Zone,
    /// Records that could be read, duplicates included, so that the work is bounded.
    records: usize,
    /// CNAME and DNAME records, to be held against the other records of their owner.
    aliases: Vec<(OwnerKey, RecordType, Position)>,
    /// RRsets that fall with a malformed record, and where the first such record stands.
    rejected: BTreeMap<(OwnerKey, u16), Position>,
}

impl Builder {
    /// `origin` must be lower case and fully qualified.
    pub(super) fn new(origin: Name) -> Self {
        Self {
            zone: Zone::new(origin),
            records: 0,
            aliases: Vec::new(),
            rejected: BTreeMap::new(),
        }
    }

    /// Whether no further record is taken.
    pub(super) fn is_full(&self) -> bool {
        self.records >= RECORDS_MAX
    }

    /// Reports a part of the file that is not served.
    pub(super) fn note(&mut self, ignored: Ignored) {
        self.zone.ignored_count += 1;
        if self.zone.ignored.len() < IGNORED_KEPT {
            self.zone.ignored.push(ignored);
        }
    }

    /// Adds a record; what speaks against it as such is returned.
    pub(super) fn insert(&mut self, record: Record) -> Result<(), Problem> {
        self.records += 1;
        match u16::from(record.rtype) {
            code::SOA if record.owner != self.zone.origin => return Err(Problem::ForeignSoa),
            code::CNAME | code::DNAME => {
                let alias = (record.key.clone(), record.rtype, record.position);
                self.aliases.push(alias);
            }
            _ => {}
        }
        let node = self.zone.nodes.entry(record.key).or_insert_with(|| Node {
            name: record.owner,
            rrsets: Vec::new(),
        });
        node.add(record.rtype, record.ttl, record.rdata)
    }

    /// Gives up an RRset because one of its records is malformed.
    pub(super) fn reject(&mut self, key: OwnerKey, rtype: RecordType, position: Position) {
        self.rejected.entry((key, rtype.into())).or_insert(position);
    }

    /// The zone without what cannot stand together.
    pub(super) fn finish(mut self) -> Zone {
        for ((key, code), position) in std::mem::take(&mut self.rejected) {
            if self.remove(&key, RecordType::from(code)) {
                self.note(position.ignored(Problem::RrsetRejected));
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
        let others = node.rrsets.iter().map(|rrset| u16::from(rrset.rtype));
        let mut others = others.filter(|&other| other != u16::from(rtype));
        match u16::from(rtype) {
            code::CNAME => others.next().map(|_| Problem::CnameBesideOthers),
            // Below the apex a DNAME may have company; at the apex RFC 6672 §2.3 expects SOA and NS.
            _ if !key.as_bytes().is_empty() => None,
            _ => others
                .find(|other| !matches!(*other, code::SOA | code::NS))
                .map(|_| Problem::DnameBesideOthers),
        }
    }

    /// Removes an RRset; whether there was one.
    fn remove(&mut self, key: &OwnerKey, rtype: RecordType) -> bool {
        let Some(node) = self.zone.nodes.get_mut(key) else {
            return false;
        };
        let before = node.rrsets.len();
        node.rrsets.retain(|rrset| rrset.rtype != rtype);
        let removed = node.rrsets.len() < before;
        if node.rrsets.is_empty() {
            self.zone.nodes.remove(key);
        }
        removed
    }
}

impl Node {
    fn add(&mut self, rtype: RecordType, ttl: u32, rdata: Box<[u8]>) -> Result<(), Problem> {
        let known = self.rrsets.iter_mut().find(|rrset| rrset.rtype == rtype);
        if let Some(rrset) = known {
            return rrset.add(ttl, rdata);
        }
        self.rrsets.push(RrSet {
            rtype,
            ttl,
            rdata: vec![rdata],
        });
        Ok(())
    }
}

impl RrSet {
    /// A duplicate is no second record (RFC 2181 §5), but its TTL counts.
    fn add(&mut self, ttl: u32, rdata: Box<[u8]>) -> Result<(), Problem> {
        if !self.rdata.contains(&rdata) {
            match u16::from(self.rtype) {
                code::CNAME | code::DNAME => return Err(Problem::SecondAlias),
                code::SOA => return Err(Problem::SecondSoa),
                _ if self.rdata.len() >= RRSET_MAX => return Err(Problem::RrsetFull),
                _ => self.rdata.push(rdata),
            }
        }
        self.ttl = self.ttl.min(ttl);
        Ok(())
    }
}
