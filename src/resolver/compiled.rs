//! The short way to an answer: from the compiled zone of a registered name, without messages and records as values.
//!
//! [`compiled_zone`] asks what [`super::resolve()`] asks about a name, once for all questions at and below it. What
//! [`CompiledZone::answer`] then gives is what [`super::zone`] would find, and it gives nothing where that would take more
//! than copying: aliases, wildcards, private addresses, the gateway, DS at the top, subdomains with owners of their own.

use hickory_proto::rr::RecordType;

use super::answer::{Heights, Outcome};
use super::apex::{NEGATIVE_TTL, NS_DATA, SOA_DATA, soa_data};
use super::from_chain::Context;
use super::ownership::{Ownership, is_ready, settle};
use super::policy::Policy;
use super::question::Question;
use super::recorded::Subjects;
use super::route::{Route, Target, route};
use super::source::{NameSource, NameStatus, ZoneStatus, bound};
use super::zone::soa_minimum;
use crate::bns::name::Name;
use crate::hash::ZonefileHash;
use crate::tlsa::Bound;
use crate::wire::private::carries_private;
use crate::wire::rtype;
use crate::zonefile::{Compiled, CompiledFound, CompiledSet};

/// Where some addresses are named backwards, and local ones are special below names that are none (RFC 6303).
const REVERSE: &str = "arpa";

/// The compiled zone of a registered name, and how it is served.
#[derive(Debug)]
pub struct CompiledZone {
    zone: Compiled,
    name: Name,
    hash: ZonefileHash,
    /// SOA SERIAL.
    serial: u32,
    /// Longest TTL in seconds.
    max_ttl: u32,
    heights: Heights,
    keys: Keys,
    has_subdomains: bool,
}

/// Whether a zone binds keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keys {
    None,
    Some,
    /// One of them is an authority's, so that certificates may have to be in place before an answer leaves.
    Authority,
}

/// What a compiled zone answers: records of one owner and type.
#[derive(Debug)]
pub struct CompiledAnswer<'z> {
    /// How the question ended: answered, no data, or no such name. If answered, the owner is the name that was asked for,
    /// and the records are the answer; else it is the apex, and the record its SOA, for the authority section.
    pub outcome: Outcome,
    /// Their type.
    pub rtype: u16,
    /// Their TTL in seconds.
    pub ttl: u32,
    data: Data<'z>,
}

#[derive(Debug)]
enum Data<'z> {
    /// All records of an RRset.
    Set(CompiledSet<'z>),
    /// One record of the zone file.
    One(&'z [u8]),
    Soa([u8; SOA_DATA]),
    Ns,
}

/// The compiled zone that answers a question, if it is about a registered name whose zone file is here, and the chain
/// answers for that.
pub fn compiled_zone<S: NameSource>(
    question: &Question,
    policy: &Policy,
    source: &S,
) -> Result<Option<CompiledZone>, S::Error> {
    let Route::Bns(bns) = route(question, policy) else {
        return Ok(None);
    };
    let Target::Name(name, id) = &bns.target else {
        return Ok(None);
    };
    let is_ours = id.as_str() != REVERSE
        && settle(&bns, source)? == Ownership::Ours
        && policy.accepts(source.sync())
        && is_ready(&bns.target, source)?;
    if !is_ours {
        return Ok(None);
    }
    let NameStatus::Registered(registered) = source.name(name)? else {
        return Ok(None);
    };
    let Some(hash) = registered.zonefile_hash else {
        return Ok(None);
    };
    let Some((zone, keys, heights)) = compiled_file(name, &hash, source)? else {
        return Ok(None);
    };
    let context = Context {
        bns: &bns,
        question,
        policy,
        height: source.height().unwrap_or(0),
    };
    let apex = context.apex(&registered);
    Ok(Some(CompiledZone {
        zone,
        name: name.clone(),
        hash,
        serial: apex.serial,
        max_ttl: apex.ttl,
        heights: apex.heights.and(heights),
        keys,
        has_subdomains: source.may_have_subdomains(name)?,
    }))
}

/// The compiled form of a zone file, kept or made, whether it binds keys, and the heights at which both are these.
fn compiled_file<S: NameSource>(
    name: &Name,
    hash: &ZonefileHash,
    source: &S,
) -> Result<Option<(Compiled, Keys, Heights)>, S::Error> {
    let kept = source.compiled(name, hash)?;
    if let Some(zone) = kept.filter(|zone| !zone.has_dname()) {
        return Ok(Some((zone, Keys::None, Heights::ALL)));
    }
    let ZoneStatus::Loaded(zone) = source.zone(name, hash)? else {
        return Ok(None);
    };
    let bound = bound(name, hash, &zone, source)?;
    let heights = match &bound {
        Some(bound) if bound.is_timed() => Heights::only(source.height().unwrap_or(0)),
        _ => Heights::ALL,
    };
    let compiled = Compiled::of(bound.as_ref().map_or(&zone, Bound::zone));
    let compiled = compiled.filter(|compiled| !compiled.has_dname());
    Ok(compiled.map(|zone| (zone, Keys::of(bound.as_ref()), heights)))
}

impl Keys {
    fn of(bound: Option<&Bound>) -> Self {
        match bound {
            None => Self::None,
            Some(bound) if bound.authorities().next().is_none() => Self::Some,
            Some(_) => Self::Authority,
        }
    }
}

impl CompiledZone {
    /// The heights at which its answers are the same, as long as nothing changes that they are about.
    pub fn heights(&self) -> Heights {
        self.heights
    }

    /// What it was made of.
    pub fn subjects(&self) -> Subjects {
        Subjects {
            names: vec![self.name.clone()],
            namespaces: self.name.namespace_id().into_iter().collect(),
            sync_counted: true,
            zonefile_read: true,
        }
    }

    /// Bytes that it occupies beside itself.
    pub fn weight(&self) -> usize {
        self.zone.as_bytes().len() + self.name.as_str().len()
    }

    /// Whether certificates may follow from its keys.
    pub fn has_authority(&self) -> bool {
        self.keys == Keys::Authority
    }

    /// Whether its zone file is still there with the same compiled form, if one is kept, and the rest that may change without a
    /// block is still the same. Keys are judged by so much that they are read anew instead.
    pub fn is_current<S: NameSource>(&self, source: &S) -> Result<bool, S::Error> {
        Ok(self.keys == Keys::None
            && source.has_zonefile(&self.hash)?
            && self.is_as_kept(source)?
            && source.may_have_subdomains(&self.name)? == self.has_subdomains)
    }

    fn is_as_kept<S: NameSource>(&self, source: &S) -> Result<bool, S::Error> {
        let kept = source.compiled(&self.name, &self.hash)?;
        Ok(kept.is_none_or(|kept| kept == self.zone))
    }

    /// The answer to a question of class IN; `None` if that takes the long way. `below` are the labels of its name below the
    /// apex in wire form and lower case, without the root.
    pub fn answer(&self, below: &[u8], rtype: u16, policy: &Policy) -> Option<CompiledAnswer<'_>> {
        if is_unusual(rtype) || self.may_be_separate(below) {
            return None;
        }
        let is_apex = below.is_empty();
        match self.zone.find(below) {
            CompiledFound::Exact(node) => {
                if let Some(set) = node.set(rtype) {
                    return self.records(set);
                }
                if node.set(rtype::CNAME).is_some() {
                    return None;
                }
            }
            CompiledFound::Absent if self.zone.has_wildcard() => return None,
            CompiledFound::Absent => return self.negative(Outcome::NoSuchName),
            CompiledFound::EmptyNonTerminal => {}
        }
        match is_apex {
            true => self.at_apex(rtype, policy),
            false => self.negative(Outcome::NoData),
        }
    }

    /// Whether a name could have an owner and a zone of its own: see [`super::carried`].
    fn may_be_separate(&self, below: &[u8]) -> bool {
        if !self.has_subdomains || below.is_empty() {
            return false;
        }
        let (mut label, mut rest) = (below, below);
        while let Some((&length, behind)) = rest.split_first() {
            (label, rest) = behind.split_at_checked(length.into()).unwrap_or_default();
        }
        !label.starts_with(b"_")
    }

    fn records<'z>(&'z self, set: CompiledSet<'z>) -> Option<CompiledAnswer<'z>> {
        let is_alias = matches!(set.rtype, rtype::CNAME | rtype::DNAME);
        if is_alias || set.rdata().any(|rdata| carries_private(set.rtype, rdata)) {
            return None;
        }
        Some(CompiledAnswer {
            outcome: Outcome::Answered,
            rtype: set.rtype,
            ttl: set.ttl.min(self.max_ttl),
            data: Data::Set(set),
        })
    }

    /// What the apex has beside its zone file.
    fn at_apex(&self, rtype: u16, policy: &Policy) -> Option<CompiledAnswer<'_>> {
        let synthesised = |data| CompiledAnswer {
            outcome: Outcome::Answered,
            rtype,
            ttl: self.max_ttl,
            data,
        };
        match RecordType::from(rtype) {
            RecordType::SOA => Some(synthesised(Data::Soa(soa_data(self.serial)))),
            RecordType::NS => Some(synthesised(Data::Ns)),
            RecordType::DS => None,
            RecordType::A | RecordType::AAAA if policy.gateway.is_some() => None,
            _ => self.negative(Outcome::NoData),
        }
    }

    /// A negative answer: the zone's own SOA where the file has one, the synthesised one otherwise.
    fn negative(&self, outcome: Outcome) -> Option<CompiledAnswer<'_>> {
        let own = self.zone.soa();
        let own = own.and_then(|set| Some((set.ttl, set.rdata().next()?)));
        let (ttl, data) = match own {
            Some((ttl, rdata)) => (ttl.min(soa_minimum(rdata)), Data::One(rdata)),
            None => (NEGATIVE_TTL, Data::Soa(soa_data(self.serial))),
        };
        Some(CompiledAnswer {
            outcome,
            rtype: rtype::SOA,
            ttl: ttl.min(self.max_ttl),
            data,
        })
    }
}

impl CompiledAnswer<'_> {
    /// Calls `copy` with the data of each record.
    pub fn for_each(&self, mut copy: impl FnMut(&[u8])) {
        match &self.data {
            Data::Set(set) => set.rdata().for_each(copy),
            Data::One(rdata) => copy(rdata),
            Data::Soa(rdata) => copy(rdata),
            Data::Ns => copy(NS_DATA),
        }
    }
}

/// Types that are parts of messages, ask for something else than records, or for more than one type (RFC 6895 §3.1).
fn is_unusual(rtype: u16) -> bool {
    matches!(rtype, 0 | rtype::OPT | 128..=255)
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::{DNSClass, Name as DnsName};

    use super::super::fixture::Names;
    use super::super::recorded::Recorded;
    use super::*;

    /// The compiled zone that answers for a name, and what was read for it.
    fn compiled(name: &str, names: &Names) -> (Option<CompiledZone>, Subjects) {
        let name = DnsName::from_ascii(name).expect("a domain name");
        let question = Question::new(&name, RecordType::A, DNSClass::IN);
        let source = Recorded::new(names.clone());
        let zone = compiled_zone(&question, &Policy::default(), &source);
        (zone.expect("a source that never fails"), source.subjects())
    }

    #[test]
    fn only_registered_names_with_a_zone_file_have_one() {
        let names = Names::new();
        for (name, has_one) in [
            ("wild.podcast.", true),
            ("x.y.wild.podcast.bns.alt.", true),
            ("keyed.podcast.", true),
            ("good.id.", false), // a DNAME
            ("nozf.podcast.", false),
            ("missing.podcast.", false),
            ("badhash.podcast.", false),
            ("expired.podcast.", false),
            ("revoked.podcast.", false),
            ("nosuch.podcast.", false),
            ("podcast.", false),
            ("www.example.com.", false),
        ] {
            assert_eq!(compiled(name, &names).0.is_some(), has_one, "{name}");
        }
    }

    #[test]
    fn it_is_about_what_was_read_for_it() {
        for name in ["wild.podcast.", "keyed.podcast.bns.alt.", "hub.podcast."] {
            let (zone, subjects) = compiled(name, &Names::new());
            assert_eq!(zone.expect("a zone").subjects(), subjects, "{name}");
        }
    }

    #[test]
    fn keys_are_judged_anew_and_the_rest_is_looked_at_again() {
        let names = Names::new();
        let is_current = |name: &str| {
            let zone = compiled(name, &names).0.expect("a zone");
            zone.is_current(&names).expect("a source that never fails")
        };
        assert!(is_current("wild.podcast.") && is_current("hub.podcast."));
        assert!(!is_current("keyed.podcast."));
        let mut hub = compiled("hub.podcast.", &names).0.expect("a zone");
        hub.has_subdomains = false;
        assert_eq!(hub.is_current(&names), Ok(false));
    }
}
