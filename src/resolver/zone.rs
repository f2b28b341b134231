//! Looking a question up in a name's zone file (RFC 1034 §4.3.2, RFC 4592, RFC 6672).
//!
//! The zone may be served under another name than its own: `werner.id` also answers as
//! `werner.id.bns.alt`. Owners are then rewritten, and so are CNAME and DNAME targets inside the zone, so
//! that a walk along aliases stays under the name that was asked for. All other record data stays as it was written.
//!
//! NS records below the apex are served as data; nothing is ever delegated, so a zone file cannot decide
//! whom this machine talks to.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{CNAME, NULL};
use hickory_proto::rr::{Name as DnsName, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, BinEncodable};

use super::answer::{Answer, MAX_ALIASES, Outcome, Provenance};
use super::apex::{Apex, hinfo};
use super::question::Question;
use crate::wire::ExtendedError;
use crate::wire::private::carries_private;
use crate::zonefile::{Found, Node, RrSet, Zone};

/// What happens to private addresses in a zone file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrivateAddresses {
    /// They are left out.
    Filtered,
    /// They are served: someone listed the name in `allow-private`.
    Served,
}

/// A zone and how it is served.
pub struct ServedZone<'a> {
    /// The zone file.
    pub zone: &'a Zone,
    /// The name under which it is served, and its apex records where the file has none.
    pub apex: Apex,
    /// The zone above: answers questions about the delegation (DS).
    pub parent: Apex,
    /// Longest TTL in seconds.
    pub max_ttl: u32,
    /// What happens to private addresses.
    pub private: PrivateAddresses,
    /// Whether a name below the apex has an owner and a zone of its own.
    pub is_separate: &'a dyn Fn(&DnsName) -> bool,
}

/// Bytes of a record beside its data, the owner compressed.
const RECORD: usize = 12;
/// Longest RRset that answers ANY: the whole answer stays below 512 bytes with the longest name.
const ANY_MAX: usize = 200;

/// What one name in the zone contributes.
enum Step {
    Records(Vec<Record>),
    Follow(Vec<Record>, DnsName),
    /// A DNAME makes a name that is too long (RFC 6672 §2.2).
    TooLong(Vec<Record>),
    /// There were records, all with private addresses.
    Filtered,
    NoData,
    Absent,
}

impl ServedZone<'_> {
    /// The answer to a question at or below the apex.
    pub fn answer(&self, question: &Question) -> Answer {
        let mut answer = Answer::empty(Provenance::Chain).at(self.apex.heights);
        let mut owners = vec![question.name.clone()];
        while let Some(owner) = owners.last() {
            let (records, target) = match self.step(owner, question.rtype) {
                Step::Follow(records, target) => (records, target),
                end => return self.finish(answer, end, question.rtype, owner),
            };
            answer.answers.extend(records);
            answer.outcome = Outcome::Answered;
            if !self.apex.name.zone_of(&target) || (self.is_separate)(&target) {
                answer.chase = Some(target);
                return answer;
            }
            // As many hops as the limit, and one name more.
            if owners.contains(&target) || owners.len() > MAX_ALIASES {
                break;
            }
            owners.push(target);
        }
        Answer::endless_aliases()
    }

    fn finish(&self, mut answer: Answer, end: Step, rtype: RecordType, owner: &DnsName) -> Answer {
        match end {
            Step::Records(records) => {
                answer.answers.extend(records);
                answer.outcome = Outcome::Answered;
                return answer;
            }
            Step::TooLong(records) => {
                answer.answers.extend(records);
                answer.rcode = ResponseCode::YXDomain;
                answer.outcome = Outcome::Failed;
                return answer;
            }
            Step::Absent => {
                answer.rcode = ResponseCode::NXDomain;
                answer.outcome = Outcome::NoSuchName;
            }
            Step::Filtered => {
                answer.ede = Some(private_left_out());
                answer.outcome = Outcome::NoData;
            }
            Step::NoData | Step::Follow(..) => answer.outcome = Outcome::NoData,
        }
        self.with_soa(answer, rtype, owner)
    }

    /// A negative answer with its SOA. The parent says that there is no DS (RFC 4035 §3.1.4.1).
    fn with_soa(&self, mut answer: Answer, rtype: RecordType, owner: &DnsName) -> Answer {
        if rtype == RecordType::DS && *owner == self.apex.name {
            answer.authorities.push(self.parent.negative_soa());
            answer.heights = answer.heights.and(self.parent.heights);
        } else {
            answer.authorities.push(self.negative_soa());
        }
        answer
    }

    fn step(&self, owner: &DnsName, rtype: RecordType) -> Step {
        let Some(inside) = reroot(owner, &self.apex.name, self.zone.origin()) else {
            return Step::Absent;
        };
        if let Some(step) = self.dname_above(&inside, owner) {
            return step;
        }
        match self.zone.find(&inside) {
            Found::Exact(node) | Found::Wildcard(node) => self.at_node(node, owner, rtype),
            // The apex exists even without a record, because the name is registered.
            _ if *owner == self.apex.name => self.synthesised(rtype),
            Found::EmptyNonTerminal => Step::NoData,
            Found::Absent { .. } | Found::OutOfZone => Step::Absent,
        }
    }

    fn at_node(&self, node: &Node, owner: &DnsName, rtype: RecordType) -> Step {
        if rtype == RecordType::ANY {
            return self.any(node, owner);
        }
        if let Some(set) = node.rrset(rtype) {
            return self.records(set, owner);
        }
        if let Some(set) = node.rrset(RecordType::CNAME) {
            return self.follow_cname(set, owner);
        }
        if *owner == self.apex.name {
            return self.synthesised(rtype);
        }
        Step::NoData
    }

    /// One RRset is enough for ANY (RFC 8482 §4.1): the smallest, as long as it is small.
    fn any(&self, node: &Node, owner: &DnsName) -> Step {
        let size = |set: &RrSet| set.rdata().map(|rdata| rdata.len() + RECORD).sum::<usize>();
        let mut sets: Vec<&RrSet> = node.rrsets().iter().collect();
        sets.sort_by_key(|set| size(set));
        let mut end = Step::NoData;
        for set in sets {
            match self.records(set, owner) {
                Step::Records(_) if size(set) > ANY_MAX => break,
                Step::Records(records) => return Step::Records(records),
                filtered => end = filtered,
            }
        }
        match end {
            Step::NoData => Step::Records(vec![hinfo(owner)]),
            filtered => filtered,
        }
    }

    fn synthesised(&self, rtype: RecordType) -> Step {
        match rtype {
            RecordType::SOA | RecordType::ANY => Step::Records(vec![self.apex.soa()]),
            RecordType::NS => Step::Records(vec![self.apex.ns()]),
            _ => Step::NoData,
        }
    }

    fn records(&self, set: &RrSet, owner: &DnsName) -> Step {
        let records: Vec<Record> = set
            .rdata()
            .filter(|rdata| self.may_serve(set.rtype(), rdata))
            .map(|rdata| self.record(set, owner, rdata))
            .collect();
        if records.is_empty() {
            Step::Filtered
        } else {
            Step::Records(records)
        }
    }

    fn may_serve(&self, rtype: RecordType, rdata: &[u8]) -> bool {
        self.private == PrivateAddresses::Served || !carries_private(rtype.into(), rdata)
    }

    fn record(&self, set: &RrSet, owner: &DnsName, rdata: &[u8]) -> Record {
        let rtype = set.rtype();
        let rdata = match rtype {
            RecordType::CNAME | RecordType::DNAME => self
                .target(rdata)
                .and_then(|target| target.to_bytes().ok())
                .unwrap_or_else(|| rdata.to_vec()),
            _ => rdata.to_vec(),
        };
        let ttl = set.ttl().min(self.max_ttl);
        Record::from_rdata(owner.clone(), ttl, raw(rtype, rdata))
    }

    fn follow_cname(&self, set: &RrSet, owner: &DnsName) -> Step {
        let Some(rdata) = set.rdata().next() else {
            return Step::NoData;
        };
        match self.target(rdata) {
            Some(target) => Step::Follow(vec![self.record(set, owner, rdata)], target),
            None => Step::NoData,
        }
    }

    /// The name in the data of a CNAME or DNAME, lower case, moved along if it lies inside the zone.
    fn target(&self, rdata: &[u8]) -> Option<DnsName> {
        let target = DnsName::read(&mut BinDecoder::new(rdata))
            .ok()?
            .to_lowercase();
        Some(reroot(&target, self.zone.origin(), &self.apex.name).unwrap_or(target))
    }

    /// A DNAME strictly above `inside` redirects everything below it (RFC 6672 §2.3).
    fn dname_above(&self, inside: &DnsName, owner: &DnsName) -> Option<Step> {
        let node = self.zone.dname_above(inside)?;
        self.follow_dname(node.rrset(RecordType::DNAME)?, node.name(), owner)
    }

    fn follow_dname(&self, set: &RrSet, inside: &DnsName, owner: &DnsName) -> Option<Step> {
        let rdata = set.rdata().next()?;
        let target = self.target(rdata)?;
        let redirected = reroot(inside, self.zone.origin(), &self.apex.name)?;
        let dname = self.record(set, &redirected, rdata);
        let Some(new_name) = reroot(owner, &redirected, &target) else {
            return Some(Step::TooLong(vec![dname]));
        };
        let cname = RData::CNAME(CNAME(new_name.clone()));
        let cname = Record::from_rdata(owner.clone(), dname.ttl, cname);
        Some(Step::Follow(vec![dname, cname], new_name))
    }

    /// The zone's own SOA where the file has one, the synthesised one otherwise.
    fn negative_soa(&self) -> Record {
        let own = self.zone.soa();
        let Some((set, rdata)) = own.and_then(|set| Some((set, set.rdata().next()?))) else {
            return self.apex.negative_soa();
        };
        let mut soa = self.record(set, &self.apex.name, rdata);
        soa.ttl = soa.ttl.min(soa_minimum(rdata));
        soa
    }
}

fn private_left_out() -> ExtendedError {
    let text = "bns: private address left out; list the name in allow-private";
    ExtendedError::new(ExtendedError::BLOCKED, text)
}

/// Record data as it stands in the zone file: never compressed, never looked into (RFC 3597).
fn raw(rtype: RecordType, rdata: Vec<u8>) -> RData {
    if rdata.is_empty() {
        // hickory's form of no data at all.
        return RData::Update0(rtype);
    }
    RData::Unknown {
        code: rtype,
        rdata: NULL::with(rdata),
    }
}

/// SOA MINIMUM, the last field (RFC 1035 §3.3.13).
pub(super) fn soa_minimum(rdata: &[u8]) -> u32 {
    rdata
        .last_chunk()
        .map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// `name` with its ending `from` replaced by `to`; `None` if it has another ending or the result is too long.
fn reroot(name: &DnsName, from: &DnsName, to: &DnsName) -> Option<DnsName> {
    if !from.zone_of(name) {
        return None;
    }
    if from == to {
        return Some(name.clone());
    }
    let keep = name.iter().count() - from.iter().count();
    DnsName::from_labels(name.iter().take(keep).chain(to.iter())).ok()
}
