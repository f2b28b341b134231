//! The records of one name, arranged for questions.
//!
//! Nodes lie in canonical order (see `key`), so every question about the tree costs one or two searches
//! in a sorted map and no scan: whether a name exists, whether names exist only below it (RFC 8020), and
//! which wildcard stands in for it (RFC 4592).

use std::collections::BTreeMap;
use std::ops::Bound;

use hickory_proto::rr::{Name, RecordType};

use super::key::{OwnerKey, ancestors, common_ancestor, depth};
use super::problem::Ignored;
use super::types::code;

/// The parsed zone file of one BNS name.
///
/// Two zones are equal if they have the same origin and records; problems and `$TTL` do not count.
#[derive(Debug, Clone)]
pub struct Zone {
    pub(super) origin: Name,
    pub(super) default_ttl: u32,
    pub(super) nodes: BTreeMap<OwnerKey, Node>,
    pub(super) ignored: Vec<Ignored>,
    pub(super) ignored_count: usize,
}

/// A name with records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub(super) name: Name,
    pub(super) rrsets: Vec<RrSet>,
}

/// The records of one name and type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RrSet {
    pub(super) rtype: RecordType,
    pub(super) ttl: u32,
    pub(super) rdata: Vec<Box<[u8]>>,
}

/// One record of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZoneRecord<'z> {
    /// Lower case and fully qualified.
    pub owner: &'z Name,
    /// URI is `Unknown(256)`.
    pub rtype: RecordType,
    /// In seconds, the same for every record of an RRset.
    pub ttl: u32,
    /// Wire format without compression; names in it keep their case.
    pub rdata: &'z [u8],
}

/// Records of one name and type that follow from a zone and are not in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// At or below the origin.
    pub owner: Name,
    /// Their type.
    pub rtype: RecordType,
    /// In seconds.
    pub ttl: u32,
    /// Their data in wire format; at least one.
    pub rdata: Vec<Vec<u8>>,
}

/// What a zone holds for a name that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<'z> {
    /// The name has records.
    Exact(&'z Node),
    /// The name does not exist; this wildcard node stands in for it (RFC 4592 §3.3).
    Wildcard(&'z Node),
    /// The name, or the wildcard for it, exists without records: names below it have some, or it is the
    /// apex, which always exists.
    EmptyNonTerminal,
    /// Nothing is there, and no wildcard either.
    Absent {
        /// The longest existing name above, lower case (RFC 4592 §3.3.1).
        closest_encloser: Name,
    },
    /// The name is not at or below the origin: ask another zone.
    OutOfZone,
}

impl Zone {
    pub(super) fn new(origin: Name) -> Self {
        Self {
            origin,
            default_ttl: super::TTL_DEFAULT,
            nodes: BTreeMap::new(),
            ignored: Vec::new(),
            ignored_count: 0,
        }
    }

    /// The name whose zone this is: lower case, fully qualified.
    pub fn origin(&self) -> &Name {
        &self.origin
    }

    /// What there is for `name`, in any case. Costs two searches in a sorted map.
    pub fn find(&self, name: &Name) -> Found<'_> {
        let Some(key) = OwnerKey::new(&self.origin, name) else {
            return Found::OutOfZone;
        };
        if let Some(node) = self.nodes.get(&key) {
            return Found::Exact(node);
        }
        let key = key.as_bytes();
        if key.is_empty() || self.has_below(key) {
            return Found::EmptyNonTerminal;
        }
        let encloser = self.closest_encloser(key);
        let wildcard = OwnerKey::wildcard_below(encloser);
        match self.nodes.get(wildcard.as_slice()) {
            Some(node) => Found::Wildcard(node),
            None if self.has_below(&wildcard) => Found::EmptyNonTerminal,
            None => Found::Absent {
                closest_encloser: name
                    .trim_to(self.origin.iter().len() + depth(encloser))
                    .to_lowercase(),
            },
        }
    }

    /// The DNAME strictly above `name` that redirects it, the highest one if there are several (RFC 6672
    /// §2.4). It comes before anything that the zone has at `name`.
    pub fn dname_above(&self, name: &Name) -> Option<&Node> {
        let key = OwnerKey::new(&self.origin, name)?;
        ancestors(key.as_bytes()).find_map(|above| self.node_with(above, code::DNAME))
    }

    /// The zone's own SOA, if the file has one.
    pub fn soa(&self) -> Option<&RrSet> {
        self.node_with(&[], code::SOA)?
            .rrset(RecordType::from(code::SOA))
    }

    /// The NS records of the apex, if the file has any.
    pub fn ns(&self) -> Option<&RrSet> {
        self.node_with(&[], code::NS)?
            .rrset(RecordType::from(code::NS))
    }

    /// All names with records, in canonical order: the apex first.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// All records, by name in canonical order and then by type number.
    pub fn records(&self) -> impl Iterator<Item = ZoneRecord<'_>> {
        self.nodes().flat_map(|node| {
            let records = |rrset| RrSet::records(rrset, &node.name);
            node.rrsets.iter().flat_map(records)
        })
    }

    /// What is not served, with its place, in the order of the file but for what concerns the zone as a
    /// whole; the first [`super::IGNORED_KEPT`].
    pub fn ignored(&self) -> &[Ignored] {
        &self.ignored
    }

    /// How many parts of the file are not served.
    pub fn ignored_count(&self) -> usize {
        self.ignored_count
    }

    /// The zone with more records. They are left out where the file has records of their type, or an alias.
    #[must_use]
    pub fn with(mut self, added: impl IntoIterator<Item = Added>) -> Self {
        for added in added {
            let Some(key) = OwnerKey::new(&self.origin, &added.owner) else {
                continue;
            };
            let node = self.nodes.entry(key).or_insert_with(|| Node {
                name: added.owner.to_lowercase(),
                rrsets: Vec::new(),
            });
            node.add_set(added);
        }
        self
    }

    /// The zone without the records of some types.
    #[must_use]
    pub fn without(&self, rtypes: &[RecordType]) -> Self {
        let mut zone = self.clone();
        zone.nodes.retain(|_, node| {
            node.rrsets.retain(|set| !rtypes.contains(&set.rtype));
            !node.rrsets.is_empty()
        });
        zone
    }

    fn node_with(&self, key: &[u8], code: u16) -> Option<&Node> {
        let rtype = RecordType::from(code);
        self.nodes
            .get(key)
            .filter(|node| node.rrset(rtype).is_some())
    }

    /// Whether a name strictly below `key` has records.
    fn has_below(&self, key: &[u8]) -> bool {
        self.next_after(key)
            .is_some_and(|next| next.starts_with(key))
    }

    fn next_after(&self, key: &[u8]) -> Option<&[u8]> {
        let range = (Bound::Excluded(key), Bound::Unbounded);
        let (next, _) = self.nodes.range::<[u8], _>(range).next()?;
        Some(next.as_bytes())
    }

    /// The longest existing name above `key`, which does not exist itself. Whatever shares most labels
    /// with it is a neighbour in canonical order.
    fn closest_encloser<'k>(&self, key: &'k [u8]) -> &'k [u8] {
        let before = (Bound::Unbounded, Bound::Excluded(key));
        let before = self.nodes.range::<[u8], _>(before).next_back();
        let before = before.map_or(&[][..], |(key, _)| key.as_bytes());
        let after = self.next_after(key).unwrap_or_default();
        let (before, after) = (common_ancestor(key, before), common_ancestor(key, after));
        if before.len() > after.len() {
            before
        } else {
            after
        }
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.origin == other.origin && self.nodes == other.nodes
    }
}

impl Eq for Zone {}

impl Node {
    /// Its name: lower case, fully qualified.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Its records by type number, at least one RRset.
    pub fn rrsets(&self) -> &[RrSet] {
        &self.rrsets
    }

    fn add_set(&mut self, added: Added) {
        let is_taken = |set: &RrSet| [added.rtype, RecordType::CNAME].contains(&set.rtype);
        if self.rrsets.iter().any(is_taken) {
            return;
        }
        let rdata = added.rdata.into_iter().map(Vec::into_boxed_slice);
        self.rrsets.push(RrSet {
            rtype: added.rtype,
            ttl: added.ttl.min(super::TTL_MAX),
            rdata: rdata.collect(),
        });
        self.rrsets.sort_by_key(|set| u16::from(set.rtype));
    }

    /// Its records of one type.
    pub fn rrset(&self, rtype: RecordType) -> Option<&RrSet> {
        self.rrsets.iter().find(|rrset| rrset.rtype == rtype)
    }
}

impl RrSet {
    /// The type of its records; URI is `Unknown(256)`.
    pub fn rtype(&self) -> RecordType {
        self.rtype
    }

    /// Their TTL in seconds, at most [`super::TTL_MAX`]: the least that the file gives one of them
    /// (RFC 2181 §5.2).
    pub fn ttl(&self) -> u32 {
        self.ttl
    }

    /// The data of each record, at least one, in the order of the file: wire format without compression.
    pub fn rdata(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.rdata.iter().map(|rdata| &**rdata)
    }

    fn records<'z>(&'z self, owner: &'z Name) -> impl Iterator<Item = ZoneRecord<'z>> {
        self.rdata().map(move |rdata| ZoneRecord {
            owner,
            rtype: self.rtype,
            ttl: self.ttl,
            rdata,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zonefile::parse;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).expect("a name")
    }

    fn zone(text: &str) -> Zone {
        parse(&name("wild.id."), text.as_bytes()).expect("not too long")
    }

    /// RFC 4592 §2.2.1, with `wild.id` in place of `example`.
    const RFC_4592: &str = "
        *          3600 TXT \"this is a wildcard\"
        *          3600 MX  10 host1
        sub.*      3600 TXT \"this is not a wildcard\"
        host1      3600 A   192.0.2.1
        _ssh._tcp.host1 3600 SRV 0 0 22 host1
        _ssh._tcp.host2 3600 SRV 0 0 22 host2
        subdel     3600 NS  ns.example.com.
    ";

    fn rfc_4592() -> Zone {
        let lines: Vec<_> = RFC_4592.lines().map(str::trim_start).collect();
        let zone = zone(&lines.join("\n"));
        assert_eq!(zone.ignored(), []);
        zone
    }

    fn describe(found: Found<'_>) -> String {
        match found {
            Found::Exact(node) => format!("exact {}", node.name()),
            Found::Wildcard(node) => format!("wildcard {}", node.name()),
            Found::EmptyNonTerminal => "empty".to_owned(),
            Found::Absent { closest_encloser } => format!("absent below {closest_encloser}"),
            Found::OutOfZone => "out".to_owned(),
        }
    }

    #[test]
    fn names_are_found_as_rfc_4592_says() {
        let cases = [
            ("host3.wild.id.", "wildcard *.wild.id."),
            ("foo.bar.wild.id.", "wildcard *.wild.id."),
            ("HOST1.Wild.ID.", "exact host1.wild.id."),
            ("*.wild.id.", "exact *.wild.id."),
            ("sub.*.wild.id.", "exact sub.*.wild.id."),
            (
                "_telnet._tcp.host1.wild.id.",
                "absent below _tcp.host1.wild.id.",
            ),
            ("a.HOST1.wild.id.", "absent below host1.wild.id."),
            ("host2.wild.id.", "empty"),
            ("_tcp.host2.wild.id.", "empty"),
            ("x.host2.wild.id.", "absent below host2.wild.id."),
            ("ghost.*.wild.id.", "absent below *.wild.id."),
            ("a.subdel.wild.id.", "absent below subdel.wild.id."),
            ("wild.id.", "empty"),
            ("id.", "out"),
            ("other.id.", "out"),
        ];
        for (question, expected) in cases {
            assert_eq!(
                describe(rfc_4592().find(&name(question))),
                expected,
                "{question}"
            );
        }
    }

    #[test]
    fn a_wildcard_with_names_only_below_it_gives_no_data() {
        let zone = zone("a.*.b TXT x\n");
        assert_eq!(describe(zone.find(&name("c.b.wild.id."))), "empty");
        assert_eq!(
            describe(zone.find(&name("c.wild.id."))),
            "absent below wild.id."
        );
    }

    #[test]
    fn neighbours_that_only_look_alike_do_not_make_a_name_exist() {
        let zone = zone("ab TXT x\na-b TXT x\nx.ab TXT x\n");
        assert_eq!(
            describe(zone.find(&name("a.wild.id."))),
            "absent below wild.id."
        );
        assert_eq!(
            describe(zone.find(&name("y.a.wild.id."))),
            "absent below wild.id."
        );
        assert_eq!(describe(zone.find(&name("wild.id."))), "empty");
    }

    #[test]
    fn an_empty_zone_still_has_its_apex() {
        let zone = zone("");
        assert_eq!(describe(zone.find(&name("wild.id."))), "empty");
        assert_eq!(
            describe(zone.find(&name("a.wild.id."))),
            "absent below wild.id."
        );
    }

    #[test]
    fn cuts_above_a_name_are_found_from_the_top() {
        let text =
            "@ NS ns.example.\na DNAME b.example.\nc.a DNAME d.example.\nsub NS ns.example.\n";
        let zone = zone(text);
        let dname = |text| {
            zone.dname_above(&name(text))
                .map(|node| node.name().to_string())
        };
        assert_eq!(dname("x.c.a.wild.id.").as_deref(), Some("a.wild.id."));
        assert_eq!(dname("a.wild.id."), None);
        assert!(zone.ns().is_some() && zone.soa().is_none());
    }
}
