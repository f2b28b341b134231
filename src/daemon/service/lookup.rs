//! Lookups: what a DNS client gets, now or at an earlier block.
//!
//! A lookup goes the way of a DNS query, through the same handler and the same bytes. One of the past asks
//! the same rules with an older state. What DNS has no question for, all records of a zone and the types of a name, is
//! one question to the rules for each RRset of the zone file.

use std::net::Ipv4Addr;
use std::sync::Arc;

use hickory_proto::op::{Edns, Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name as DnsName, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinEncodable as _, BinEncoder, NameEncoding};

use super::{Answered, Service, trouble, usage};
use crate::api::lookup::{ExtendedError, LookupReply, LookupRequest, RecordText};
use crate::bns::Name;
use crate::dns::{Client, Handled, Transport};
use crate::hash::ZonefileHash;
use crate::names::Names;
use crate::resolver::{
    self, AcceptedSubdomain, Answer, NameSource as _, NameStatus, Policy, Provenance, Question,
    Resolution, Route, Snapshots as _, SubdomainStatus, Target, ZoneStatus,
};
use crate::zonefile::{Found, RrSet, Zone};
use crate::{wire, zonefile};

impl Service {
    pub(super) async fn lookup(&self, request: &LookupRequest) -> Answered<LookupReply> {
        let question = question(&request.name, &request.record_type)?;
        match request.at {
            Some(height) => self.lookup_at(&question, height),
            None => self.lookup_now(&question).await,
        }
    }

    /// What a DNS client gets, and what it cannot ask for.
    pub(super) async fn lookup_now(&self, question: &Question) -> Answered<LookupReply> {
        let names = self.names.snapshot();
        if question.rtype == RecordType::ANY
            && let Some(reply) = self.listing_of(question, &names)
        {
            return Ok(reply);
        }
        let reply = self.ask(question).await?;
        Ok(self.with_types(reply, question, &names))
    }

    /// All records at and below a name of the chain; `None` if the chain does not answer for it, or has no zone of it.
    pub(in crate::daemon) fn listing(&self, name: &str, names: &Names) -> Option<LookupReply> {
        let all = question(name, "ANY").ok()?;
        self.listing_of(&all, names)
    }

    fn listing_of(&self, question: &Question, names: &Names) -> Option<LookupReply> {
        let policy = self.handler.policy();
        let served = ServedName::of(question, &policy, names)?;
        Some(LookupReply {
            name: plain(&question.name),
            record_type: type_text(question.rtype),
            rcode: rcode(ResponseCode::NoError),
            records: served
                .records(&question.name)
                .iter()
                .map(record_text)
                .collect(),
            height: names.height(),
            time: time_of(names.height(), names),
            ede: None,
            authoritative: true,
            types: Vec::new(),
        })
    }

    fn with_types(&self, reply: LookupReply, question: &Question, names: &Names) -> LookupReply {
        if reply.rcode != "NOERROR" || reply.has_records() {
            return reply;
        }
        let policy = self.handler.policy();
        let types = ServedName::of(question, &policy, names)
            .map(|served| served.types(&question.name))
            .unwrap_or_default();
        let types = types.into_iter().map(zonefile::mnemonic);
        LookupReply {
            types: types.map(|text| text.into_owned()).collect(),
            ..reply
        }
    }

    /// Asks the handler as a DNS client would.
    async fn ask(&self, question: &Question) -> Answered<LookupReply> {
        let names = self.names.snapshot();
        let query = query(question).to_vec().map_err(trouble)?;
        let mut bytes = Vec::new();
        let client = Client {
            address: Ipv4Addr::LOCALHOST.into(),
            transport: Transport::Control,
        };
        if let Handled::Pending(pending) = self.handler.handle(&query, client, &mut bytes) {
            self.handler.finish(*pending, &mut bytes).await;
        }
        let message = Message::from_vec(&bytes).map_err(trouble)?;
        let authoritative = message.metadata.authoritative;
        let height = names.height().filter(|_| authoritative);
        Ok(LookupReply {
            name: plain(&question.name),
            record_type: type_text(question.rtype),
            rcode: rcode(message.metadata.response_code),
            records: message.answers.iter().map(record_text).collect(),
            height,
            time: time_of(height, &names),
            ede: extended_error(&bytes),
            authoritative,
            types: Vec::new(),
        })
    }

    fn lookup_at(&self, question: &Question, height: u32) -> Answered<LookupReply> {
        let names = self.names.at(height).ok_or_else(|| {
            let tip = self.names.snapshot().height();
            usage(match tip {
                Some(tip) => {
                    let first = self.names.params.first_block;
                    format!("height {height} is not indexed: choose one from {first} to {tip}")
                }
                None => "no block is indexed yet: wait for the first one, or ask without --at"
                    .to_owned(),
            })
        })?;
        if question.rtype == RecordType::ANY
            && let Some(reply) = self.listing_of(question, &names)
        {
            return Ok(reply);
        }
        let policy = self.handler.policy();
        let resolution = resolver::resolve(question, &policy, &names).map_err(trouble)?;
        let Resolution::Answer(answer) = resolution else {
            return Err(usage(
                "the name is not on the chain at that height: an upstream has no past to ask for",
            ));
        };
        let reply = LookupReply {
            name: plain(&question.name),
            record_type: type_text(question.rtype),
            rcode: rcode(answer.rcode),
            records: answer.answers.iter().map(record_text).collect(),
            height: Some(height),
            time: time_of(Some(height), &names),
            ede: answer.ede.map(|ede| ExtendedError {
                code: ede.code,
                text: ede.text.into_owned(),
            }),
            authoritative: true,
            types: Vec::new(),
        };
        Ok(self.with_types(reply, question, &names))
    }
}

/// The time of a block; it is left out where it cannot be read, for it answers nothing.
fn time_of(height: Option<u32>, names: &Names) -> Option<String> {
    names.time(height?).ok().flatten()
}

/// A name that the chain answers for, with its zone.
struct ServedName<'a> {
    zone: Arc<Zone>,
    /// Under which it is served: the zone's origin, or the same below `bns.alt`.
    apex: DnsName,
    policy: &'a Policy,
    names: &'a Names,
}

impl<'a> ServedName<'a> {
    fn of(question: &Question, policy: &'a Policy, names: &'a Names) -> Option<Self> {
        let Route::Bns(bns) = resolver::route(question, policy) else {
            return None;
        };
        let Target::Name(name, _) = &bns.target else {
            return None;
        };
        let answer = answered(question, policy, names)?;
        if answer.provenance != Provenance::Chain || answer.rcode != ResponseCode::NoError {
            return None;
        }
        let NameStatus::Registered(registered) = names.name(name).ok()? else {
            return None;
        };
        let (zone, apex) = match resolver::carried(&question.name, name, &bns, names).ok()? {
            SubdomainStatus::Accepted(accepted) => subdomain_zone(&accepted, &bns.apex, names)?,
            SubdomainStatus::NotRead => return None,
            SubdomainStatus::Absent => {
                (name_zone(name, registered.zonefile_hash?, names)?, bns.apex)
            }
        };
        Some(Self {
            zone,
            apex,
            policy,
            names,
        })
    }

    /// All records at and below `name`, as they are served, in canonical order.
    fn records(&self, name: &DnsName) -> Vec<Record> {
        let mut records = Vec::new();
        for node in self.zone.nodes() {
            let owner = moved(node.name(), self.zone.origin(), &self.apex);
            let Some(owner) = owner.filter(|owner| name.zone_of(owner)) else {
                continue;
            };
            let sets = node.rrsets().iter().map(RrSet::rtype);
            records.extend(sets.flat_map(|rtype| self.rrset(&owner, rtype)));
        }
        records
    }

    /// The types that `name` has, by number.
    fn types(&self, name: &DnsName) -> Vec<RecordType> {
        let inside = moved(name, &self.apex, self.zone.origin());
        let node = match inside.as_ref().map(|inside| self.zone.find(inside)) {
            Some(Found::Exact(node) | Found::Wildcard(node)) => node,
            _ => return Vec::new(),
        };
        let sets = node.rrsets().iter().map(RrSet::rtype);
        sets.filter(|rtype| !self.rrset(name, *rtype).is_empty())
            .collect()
    }

    /// What a question for one RRset gets: its TTL is capped, and private addresses are left out.
    fn rrset(&self, owner: &DnsName, rtype: RecordType) -> Vec<Record> {
        let question = Question::new(owner, rtype, DNSClass::IN);
        let answer = answered(&question, self.policy, self.names);
        let mut records = answer.map(|answer| answer.answers).unwrap_or_default();
        records.retain(|record| record.name == *owner && record.record_type() == rtype);
        records
    }
}

/// The zone of a name, with the records that follow from its keys.
fn name_zone(name: &Name, hash: ZonefileHash, names: &Names) -> Option<Arc<Zone>> {
    let zone = loaded(names.zone(name, &hash).ok()?)?;
    let bound = resolver::bound(name, &hash, &zone, names).ok()?;
    Some(bound.map_or(zone, |bound| Arc::new(bound.zone().clone())))
}

/// The zone of a subdomain and where it is served, below the apex of its name.
fn subdomain_zone(
    accepted: &AcceptedSubdomain,
    above: &DnsName,
    names: &Names,
) -> Option<(Arc<Zone>, DnsName)> {
    let (subdomain, hash) = (&accepted.subdomain, accepted.zonefile_hash?);
    let label = [subdomain.label().as_bytes()].into_iter();
    let apex = DnsName::from_labels(label.chain(above.iter())).ok()?;
    let zone = loaded(names.subdomain_zone(subdomain, &hash).ok()?)?;
    Some((zone, apex))
}

fn loaded(status: ZoneStatus) -> Option<Arc<Zone>> {
    match status {
        ZoneStatus::Loaded(zone) => Some(zone),
        _ => None,
    }
}

/// What the rules answer by themselves.
fn answered(question: &Question, policy: &Policy, names: &Names) -> Option<Answer> {
    match resolver::resolve(question, policy, names) {
        Ok(Resolution::Answer(answer)) => Some(answer),
        _ => None,
    }
}

/// `name` with its ending `from` replaced by `to`.
fn moved(name: &DnsName, from: &DnsName, to: &DnsName) -> Option<DnsName> {
    let below = name.iter().len().checked_sub(from.iter().len())?;
    DnsName::from_labels(name.iter().take(below).chain(to.iter())).ok()
}

pub(super) fn question(name: &str, record_type: &str) -> Answered<Question> {
    let rtype = match record_type.eq_ignore_ascii_case("ANY") {
        true => Some(RecordType::ANY),
        false => zonefile::record_type(record_type.as_bytes()),
    };
    let rtype = rtype.ok_or_else(|| {
        usage(format!(
            "{record_type} is no record type: use a name like A or TYPE65280"
        ))
    })?;
    let mut name =
        DnsName::from_ascii(name).map_err(|_| usage(format!("{name:?} is no domain name")))?;
    name.set_fqdn(true);
    Ok(Question::new(&name, rtype, DNSClass::IN))
}

/// ANY is a type of questions alone (RFC 1035 §3.2.3), so zone files do not know it.
fn type_text(rtype: RecordType) -> String {
    match rtype {
        RecordType::ANY => "ANY".to_owned(),
        known => zonefile::mnemonic(known).into_owned(),
    }
}

fn query(question: &Question) -> Message {
    let mut message = Message::query();
    message.metadata.op_code = OpCode::Query;
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(question.name.clone(), question.rtype));
    let mut edns = Edns::new();
    edns.set_max_payload(u16::MAX);
    message.set_edns(edns);
    message
}

/// The code by its mnemonic (RFC 6895 §2.3).
fn rcode(code: ResponseCode) -> String {
    match code {
        ResponseCode::NoError => "NOERROR".to_owned(),
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::NXDomain => "NXDOMAIN".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        other => format!("RCODE{}", u16::from(other)),
    }
}

fn extended_error(bytes: &[u8]) -> Option<ExtendedError> {
    let found = wire::ExtendedError::find(&wire::walk(bytes)?, bytes)?;
    Some(ExtendedError {
        code: found.code,
        text: found.text.into_owned(),
    })
}

fn record_text(record: &Record) -> RecordText {
    let rtype = record.record_type();
    let mut wire = Vec::new();
    let mut encoder = BinEncoder::new(&mut wire);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    let data = match &record.data {
        RData::Unknown { rdata, .. } => rdata.anything.to_vec(),
        // A record that was decoded can be encoded; an empty text would show if not.
        data => data.emit(&mut encoder).map(|()| wire).unwrap_or_default(),
    };
    RecordText {
        owner: record.name.to_ascii(),
        ttl: record.ttl,
        record_type: zonefile::mnemonic(rtype).into_owned(),
        data: zonefile::render_data(rtype, &data),
    }
}

/// A name as people write it.
fn plain(name: &DnsName) -> String {
    let text = name.to_ascii();
    text.strip_suffix('.')
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
        .unwrap_or(text)
}
