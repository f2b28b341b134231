//! Answers from the chain: what the state of a name says about a question.
//!
//! | state of the name | answer |
//! |---|---|
//! | database damaged | SERVFAIL, extended error 24 |
//! | index too far behind, forked, never synced, names still being registered | SERVFAIL, extended error 14 |
//! | namespace not ready, name impossible or never registered | NXDOMAIN |
//! | expired or revoked | NXDOMAIN, and the block in the text of an extended error |
//! | registered without a zone file hash | SOA and NS at the name, no data otherwise, or the gateway |
//! | zone file not here yet | SERVFAIL, extended error 22 with the hash |
//! | zone file with another hash, or unreadable | SERVFAIL, extended error 24 with the hash |
//! | zone file here | what [`ServedZone`] finds in it; the gateway, if that is no address of the name |
//!
//! A subdomain with an owner of its own ([`crate::bns::subdomain`]) is asked in the place of what the zone file of its name
//! has at and below its label, with the last four rows of the table and without the gateway; it goes where its name goes.
//! While announced zone files are still to be looked at, it is SERVFAIL with extended error 14. Labels that begin with `_`
//! say something about the name itself (RFC 8552), so that whoever once made such a subdomain does not speak for the name.
//!
//! A namespace and `bns.alt` are zones of their own with a synthesised SOA, and with nothing else to ask for.
//!
//! Records that follow from the keys of a name ([`crate::tlsa`]) are added to its zone before it is asked, so that records
//! in the file stay as they are, and the names of ports exist as soon as a key does.
//!
//! Follows RFC 2308 (negative answers), RFC 8914 (extended errors).

use std::cell::RefCell;
use std::sync::Arc;

use hickory_proto::rr::Name as DnsName;

use super::answer::{Answer, Heights, Outcome, Provenance};
use super::apex::{Apex, NEGATIVE_TTL};
use super::gateway;
use super::ownership::is_ready;
use super::policy::Policy;
use super::question::{Question, suffix};
use super::route::{BnsRoute, Target};
use super::source::{
    AcceptedSubdomain, NameSource, NameStatus, RegisteredName, SubdomainStatus, SyncState,
    ZoneStatus, bound,
};
use super::zone::{PrivateAddresses, ServedZone};
use crate::bns::name::{Name, NamespaceId};
use crate::bns::subdomain::Subdomain;
use crate::hash::ZonefileHash;
use crate::tlsa::Bound;
use crate::wire::ExtendedError;
use crate::zonefile::Zone;

/// Whether a host has an owner of its own.
type Separate<'s> = &'s dyn Fn(&DnsName) -> bool;

/// Expected time between blocks, in seconds.
const BLOCK_SECONDS: u32 = 600;

/// Answers from the chain, whatever the mode. The only error is that of a read.
pub fn answer_bns<S: NameSource>(
    bns: &BnsRoute,
    question: &Question,
    policy: &Policy,
    source: &S,
) -> Result<Answer, S::Error> {
    // `bns.alt` itself is there before the first block is read, so that anybody can see whether questions arrive here.
    let trouble = not_ready(policy, source).filter(|_| bns.target != Target::Root);
    if let Some(trouble) = trouble {
        return Ok(trouble);
    }
    let context = Context {
        bns,
        question,
        policy,
        height: source.height().unwrap_or(0),
    };
    context.answer(source)
}

/// What is known of the subdomain of `name` that a domain name below the apex of the route belongs to.
pub fn carried<S: NameSource>(
    asked: &DnsName,
    name: &Name,
    bns: &BnsRoute,
    source: &S,
) -> Result<SubdomainStatus, S::Error> {
    let below = asked.iter().len().checked_sub(bns.apex.iter().len() + 1);
    match below.and_then(|below| asked.iter().nth(below)) {
        Some(label) if !label.starts_with(b"_") => source.subdomain(label, name),
        _ => Ok(SubdomainStatus::Absent),
    }
}

/// SERVFAIL while announced zone files are still to be looked at: each could make the subdomain that is asked for.
fn subdomains_not_read() -> Answer {
    let text = "bns: zone files are still being searched for subdomains: ask again";
    let error = ExtendedError::new(ExtendedError::NOT_READY, text.to_owned());
    Answer::failure(Outcome::Failed, error)
}

/// SERVFAIL while the index cannot vouch for the state of names; `None` if it can.
fn not_ready<S: NameSource>(policy: &Policy, source: &S) -> Option<Answer> {
    let (code, text) = match source.sync() {
        sync if policy.accepts(sync) => return None,
        SyncState::Synced => return None,
        SyncState::Damaged => (
            ExtendedError::INVALID_DATA,
            "bns: the database is damaged, see bnsd status".to_owned(),
        ),
        SyncState::Behind {
            indexed, tip, held, ..
        }
        | SyncState::NeverSynced { indexed, tip, held } => {
            let why = if held {
                ", held back, see bnsd status"
            } else {
                ""
            };
            let text = format!("bns: synced {indexed}/{tip}{why}");
            (ExtendedError::NOT_READY, text)
        }
        SyncState::Filling { indexed } => (
            ExtendedError::NOT_READY,
            format!("bns: names are still being registered, block {indexed}: ask again"),
        ),
        SyncState::Forked { indexed } => (
            ExtendedError::NOT_READY,
            format!("bns: the chain parted from the index at {indexed}, see bnsd status"),
        ),
    };
    Some(Answer::failure(
        Outcome::Failed,
        ExtendedError::new(code, text),
    ))
}

/// Where a zone is served.
struct Place {
    /// Its name without `bns.alt`.
    plain: Option<DnsName>,
    apex: Apex,
    /// The zone above.
    parent: Apex,
}

/// A question to the chain, and what its answer depends on beside the state of the name.
pub(super) struct Context<'a> {
    pub(super) bns: &'a BnsRoute,
    pub(super) question: &'a Question,
    pub(super) policy: &'a Policy,
    pub(super) height: u32,
}

impl Context<'_> {
    fn answer<S: NameSource>(&self, source: &S) -> Result<Answer, S::Error> {
        let target = &self.bns.target;
        if let Some(id) = target.namespace()
            && !is_ready(target, source)?
        {
            return Ok(self.namespace_not_ready(id));
        }
        Ok(match target {
            Target::Root | Target::Namespace(_) => self.parent(0).answer(self.question.rtype),
            Target::Name(name, _) => return self.at_name(name, source),
            Target::Impossible(_) => self.parent(0).no_such_name(),
        })
    }

    fn namespace_not_ready(&self, id: &NamespaceId) -> Answer {
        let text = format!("bns: namespace {id} is not ready at block {}", self.height);
        let apex = self.parent(match self.bns.target {
            Target::Name(..) => 1,
            _ => 0,
        });
        apex.no_such_name()
            .explained(ExtendedError::new(ExtendedError::OTHER, text))
    }

    fn at_name<S: NameSource>(&self, name: &Name, source: &S) -> Result<Answer, S::Error> {
        Ok(match source.name(name)? {
            NameStatus::Unregistered => self.parent(1).no_such_name(),
            NameStatus::Expired { last_resolved } => self.gone(format!(
                "bns: expired, last resolved at block {last_resolved}"
            )),
            NameStatus::Revoked { height } => self.gone(format!("bns: revoked at block {height}")),
            NameStatus::Registered(registered) => {
                match carried(&self.question.name, name, self.bns, source)? {
                    SubdomainStatus::Accepted(accepted) => {
                        self.at_subdomain(&accepted, &registered, source)?
                    }
                    SubdomainStatus::NotRead => subdomains_not_read(),
                    SubdomainStatus::Absent => self.at_registered(name, &registered, source)?,
                }
            }
        })
    }

    fn at_subdomain<S: NameSource>(
        &self,
        accepted: &AcceptedSubdomain,
        registered: &RegisteredName,
        source: &S,
    ) -> Result<Answer, S::Error> {
        let labels = self.bns.apex.iter().len() + 1;
        let apex = Apex {
            name: suffix(&self.question.name, labels),
            serial: accepted.last_change_height,
            ..self.apex(registered)
        };
        let Some(hash) = accepted.zonefile_hash else {
            return Ok(self.bare(&apex));
        };
        let zone = match loaded(source.subdomain_zone(&accepted.subdomain, &hash)?) {
            Ok(zone) => zone,
            Err(trouble) => return Ok(*trouble),
        };
        let place = Place {
            plain: plain_subdomain(&accepted.subdomain),
            parent: self.apex(registered),
            apex,
        };
        Ok(self.zone_answer(place, &zone, &|_| false))
    }

    fn at_registered<S: NameSource>(
        &self,
        name: &Name,
        registered: &RegisteredName,
        source: &S,
    ) -> Result<Answer, S::Error> {
        match registered.zonefile_hash {
            None => Ok(self.without_zone_file(&self.apex(registered))),
            Some(hash) => self.at_zone(name, registered, &hash, source),
        }
    }

    /// NXDOMAIN for a name that is no longer registered.
    fn gone(&self, text: String) -> Answer {
        self.parent(1)
            .no_such_name()
            .explained(ExtendedError::new(ExtendedError::OTHER, text))
    }

    fn at_zone<S: NameSource>(
        &self,
        name: &Name,
        registered: &RegisteredName,
        hash: &ZonefileHash,
        source: &S,
    ) -> Result<Answer, S::Error> {
        let zone = match loaded(source.zone(name, hash)?) {
            Ok(zone) => zone,
            Err(trouble) => return Ok(*trouble),
        };
        let bound = bound(name, hash, &zone, source)?;
        let failed = RefCell::new(None);
        let is_separate = |target: &DnsName| match carried(target, name, self.bns, source) {
            Ok(found) => found != SubdomainStatus::Absent,
            Err(error) => failed.replace(Some(error)).is_none(),
        };
        let answer = self.with_keys(name, registered, &zone, (bound, &is_separate));
        match failed.into_inner() {
            Some(error) => Err(error),
            None => Ok(answer),
        }
    }

    /// The answer from a zone and from the keys that it binds. A key that is bound for a time is judged anew in each block.
    fn with_keys(
        &self,
        name: &Name,
        registered: &RegisteredName,
        zone: &Zone,
        (bound, is_separate): (Option<Bound>, Separate<'_>),
    ) -> Answer {
        let place = Place {
            plain: plain_name(name),
            parent: self.parent(1),
            apex: self.apex(registered),
        };
        let Some(bound) = bound else {
            return self.served(place, zone, is_separate);
        };
        let mut answer = self.served(place, bound.zone(), is_separate);
        if bound.is_timed() {
            answer.heights = answer.heights.and(Heights::only(self.height));
        }
        if bound.authorities().next().is_some() {
            answer.authority = Some(Arc::new((name.clone(), bound)));
        }
        answer
    }

    /// The answer for a name without a zone file: apex records at the name, no data for everything else, names below
    /// included.
    fn without_zone_file(&self, apex: &Apex) -> Answer {
        if let Some(answer) = gateway::answer(self.question, apex, None, self.policy) {
            answer
        } else {
            self.bare(apex)
        }
    }

    /// The same without a gateway: that is a page about a name, and whoever asks for it knows no subdomains.
    fn bare(&self, apex: &Apex) -> Answer {
        match self.question.name == apex.name {
            true => apex.answer(self.question.rtype),
            false => apex.no_data(),
        }
    }

    fn served(&self, place: Place, zone: &Zone, is_separate: &dyn Fn(&DnsName) -> bool) -> Answer {
        let gateway = gateway::answer(self.question, &place.apex, Some(zone), self.policy);
        if let Some(answer) = gateway {
            return answer;
        }
        self.zone_answer(place, zone, is_separate)
    }

    /// The same without a gateway.
    fn zone_answer(
        &self,
        place: Place,
        zone: &Zone,
        is_separate: &dyn Fn(&DnsName) -> bool,
    ) -> Answer {
        let plain = place.plain.as_ref();
        let private = if self.policy.allows_private(&self.question.name)
            || plain.is_some_and(|name| self.policy.allows_private(name))
        {
            PrivateAddresses::Served
        } else {
            PrivateAddresses::Filtered
        };
        let served = ServedZone {
            zone,
            max_ttl: place.apex.ttl,
            apex: place.apex,
            parent: place.parent,
            private,
            is_separate,
        };
        served.answer(self.question)
    }

    /// The top of a name's zone: its serial is the height of its last change.
    pub(super) fn apex(&self, registered: &RegisteredName) -> Apex {
        Apex {
            name: self.bns.apex.clone(),
            serial: registered.last_change_height,
            ttl: self.max_ttl(registered),
            provenance: Provenance::Chain,
            heights: self.heights(registered),
        }
    }

    /// The longest TTL: nothing about a name is kept for longer than the name is expected to live.
    fn max_ttl(&self, registered: &RegisteredName) -> u32 {
        let blocks = registered.last_resolves.map_or(u32::MAX, |last| {
            last.saturating_add(1).saturating_sub(self.height)
        });
        self.policy
            .max_ttl
            .min(blocks.saturating_mul(BLOCK_SECONDS))
    }

    /// The heights at which `max_ttl` is the same: all of them until the end is near, then one at a time.
    fn heights(&self, registered: &RegisteredName) -> Heights {
        let Some(end) = registered.last_resolves else {
            return Heights::ALL;
        };
        let last = end
            .saturating_add(1)
            .saturating_sub(self.policy.max_ttl.div_ceil(BLOCK_SECONDS).max(1));
        if self.height > last {
            return Heights::only(self.height);
        }
        Heights { first: 0, last }
    }

    /// The zone whose top is `above` labels above the apex of the route: a namespace, or `bns.alt`. It may change with
    /// every block, so its serial is the indexed height and its TTL is short.
    fn parent(&self, above: usize) -> Apex {
        let labels = self.bns.apex.iter().count();
        Apex {
            name: suffix(&self.bns.apex, labels.saturating_sub(above)),
            serial: self.height,
            ttl: self.policy.max_ttl.min(NEGATIVE_TTL),
            provenance: Provenance::Chain,
            heights: Heights::only(self.height),
        }
    }
}

/// The zone; SERVFAIL for a zone file that is not here, or not what it should be.
fn loaded(status: ZoneStatus) -> Result<Arc<Zone>, Box<Answer>> {
    let (code, text) = match status {
        ZoneStatus::Loaded(zone) => return Ok(zone),
        ZoneStatus::Missing(hash) => (
            ExtendedError::NO_REACHABLE_AUTHORITY,
            format!("bns: no zone file yet for hash {hash}"),
        ),
        ZoneStatus::Tampered(hash) => (
            ExtendedError::INVALID_DATA,
            format!("bns: zone file hash mismatch {hash}"),
        ),
        ZoneStatus::Unreadable(hash, _) => (
            ExtendedError::INVALID_DATA,
            format!("bns: unreadable zone file {hash}"),
        ),
    };
    let error = ExtendedError::new(code, text);
    Err(Box::new(Answer::failure(Outcome::ZoneFileMissing, error)))
}

/// The name as it is served without `bns.alt`.
fn plain_name(name: &Name) -> Option<DnsName> {
    DnsName::from_labels([name.label().as_bytes(), name.namespace().as_bytes()]).ok()
}

/// The subdomain as it is served without `bns.alt`. Its label may have characters that the text of a domain name has not.
fn plain_subdomain(subdomain: &Subdomain) -> Option<DnsName> {
    let (label, name) = (subdomain.label(), subdomain.name());
    plain_name(name)?.prepend_label(label.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::ResponseCode;
    use hickory_proto::rr::{DNSClass, RecordType};

    use super::*;
    use crate::resolver::fixture::Names;
    use crate::resolver::{Resolution, resolve};

    fn ask(name: &str, rtype: RecordType) -> Answer {
        let name = DnsName::from_ascii(name).expect("a domain name");
        let question = Question::new(&name, rtype, DNSClass::IN);
        match resolve(&question, &Policy::default(), &Names::new()) {
            Ok(Resolution::Answer(answer)) => answer,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn records_of_keys_are_answered_as_if_they_stood_in_the_zone_file() {
        let expected = [
            (
                "_443._tcp.keyed.podcast.",
                RecordType::TLSA,
                ResponseCode::NoError,
                2,
            ),
            (
                "_443._tcp.keyed.podcast.bns.alt.",
                RecordType::TLSA,
                ResponseCode::NoError,
                2,
            ),
            (
                "_443._tcp.keyed.podcast.",
                RecordType::A,
                ResponseCode::NoError,
                0,
            ),
            (
                "_tcp.keyed.podcast.",
                RecordType::TLSA,
                ResponseCode::NoError,
                0,
            ),
            (
                "_25._tcp.keyed.podcast.",
                RecordType::TLSA,
                ResponseCode::NXDomain,
                0,
            ),
            (
                "keyed.podcast.",
                RecordType::HTTPS,
                ResponseCode::NoError,
                1,
            ),
            ("keyed.podcast.", RecordType::TLSA, ResponseCode::NoError, 0),
            (
                "other.keyed.podcast.",
                RecordType::A,
                ResponseCode::NoError,
                1,
            ),
        ];
        for (name, rtype, rcode, count) in expected {
            let answer = ask(name, rtype);
            assert_eq!(
                (answer.rcode, answer.answers.len()),
                (rcode, count),
                "{name} {rtype}"
            );
            assert_eq!(answer.provenance, Provenance::Chain, "{name}");
        }
    }

    #[test]
    fn a_subdomain_stands_in_the_place_of_what_its_name_says() {
        let cases = [
            ("own.hub.podcast.", RecordType::A, ResponseCode::NoError, 1),
            (
                "own.hub.podcast.bns.alt.",
                RecordType::A,
                ResponseCode::NoError,
                1,
            ),
            (
                "www.own.hub.podcast.",
                RecordType::A,
                ResponseCode::NoError,
                2,
            ),
            (
                "ent.own.hub.podcast.",
                RecordType::A,
                ResponseCode::NoError,
                0,
            ),
            (
                "nx.own.hub.podcast.",
                RecordType::A,
                ResponseCode::NXDomain,
                0,
            ),
            ("bare.hub.podcast.", RecordType::A, ResponseCode::NoError, 0),
            (
                "x.bare.hub.podcast.",
                RecordType::A,
                ResponseCode::NoError,
                0,
            ),
            (
                "other.hub.podcast.",
                RecordType::A,
                ResponseCode::NoError,
                1,
            ),
            (
                "_443._tcp.hub.podcast.",
                RecordType::A,
                ResponseCode::NoError,
                1,
            ),
            (
                "own.nozf.podcast.",
                RecordType::SOA,
                ResponseCode::NoError,
                1,
            ),
            (
                "own.expired.podcast.",
                RecordType::A,
                ResponseCode::NXDomain,
                0,
            ),
        ];
        for (name, rtype, rcode, count) in cases {
            let answer = ask(name, rtype);
            let found = (answer.rcode, answer.answers.len());
            assert_eq!(found, (rcode, count), "{name} {rtype}");
            assert_eq!(answer.provenance, Provenance::Chain, "{name}");
        }
        let gone = ask("x.gone.hub.podcast.", RecordType::A);
        assert_eq!(gone.ede.map(|ede| ede.code), Some(22));
    }

    #[test]
    fn the_zone_of_a_subdomain_has_its_own_top() {
        let soa = |name: &str, rtype| {
            let answer = ask(name, rtype);
            let records = answer.answers.iter().chain(&answer.authorities);
            let mut tops = records.filter_map(|record| match &record.data {
                hickory_proto::rr::RData::SOA(soa) => Some((record.name.to_string(), soa.serial)),
                _ => None,
            });
            tops.next().expect("a SOA")
        };
        let own = ("own.hub.podcast.".to_owned(), 88);
        assert_eq!(soa("own.hub.podcast.", RecordType::SOA), own);
        assert_eq!(soa("own.hub.podcast.", RecordType::MX), own);
        assert_eq!(soa("nx.own.hub.podcast.", RecordType::A), own);
        let above = ("hub.podcast.".to_owned(), 77);
        assert_eq!(soa("own.hub.podcast.", RecordType::DS), above);
        assert_eq!(ask("own.hub.podcast.", RecordType::NS).answers.len(), 1);
    }

    #[test]
    fn aliases_go_from_zone_to_zone() {
        let chase = |name: &str| ask(name, RecordType::A).chase.map(|name| name.to_string());
        let into = Some("www.own.hub.podcast.".to_owned());
        assert_eq!(chase("to.hub.podcast."), into);
        let alias = Some("www.own.hub.podcast.bns.alt.".to_owned());
        assert_eq!(chase("to.hub.podcast.bns.alt."), alias);
        let out = Some("hub.podcast.".to_owned());
        assert_eq!(chase("up.own.hub.podcast."), out);
    }

    #[test]
    fn a_subdomain_that_may_be_in_an_unread_zone_file_is_not_answered() {
        for name in ["unread.hub.podcast.", "www.unread.hub.podcast.bns.alt."] {
            let answer = ask(name, RecordType::A);
            assert_eq!(answer.rcode, ResponseCode::ServFail, "{name}");
            let error = answer.ede.expect("a reason");
            assert_eq!(error.code, ExtendedError::NOT_READY, "{name}");
        }
        assert_eq!(ask("hub.podcast.", RecordType::A).answers.len(), 1);
    }

    #[test]
    fn a_subdomain_has_no_gateway() {
        let policy = Policy {
            gateway: Some("127.0.0.9".parse().expect("an address")),
            ..Policy::default()
        };
        let found = |name: &str| {
            let name = DnsName::from_ascii(name).expect("a domain name");
            let question = Question::new(&name, RecordType::A, DNSClass::IN);
            match resolve(&question, &policy, &Names::new()) {
                Ok(Resolution::Answer(answer)) => (answer.provenance, answer.answers.len()),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(found("bare.hub.podcast."), (Provenance::Chain, 0));
        assert_eq!(found("nozf.podcast."), (Provenance::Local, 1));
    }

    #[test]
    fn every_subdomain_has_a_domain_name() {
        for label in ["a+b", "-a", "_a", "a-b"] {
            let text = format!("{label}.hub.podcast");
            let plain = plain_subdomain(&text.parse().expect("a subdomain"));
            let labels = plain.expect("a domain name");
            let labels: Vec<&[u8]> = labels.iter().collect();
            assert_eq!(labels, [label.as_bytes(), b"hub", b"podcast"]);
        }
    }

    #[test]
    fn an_answer_says_whose_certificate_it_needs() {
        let answer = ask("keyed.podcast.", RecordType::A);
        let (name, bound) = &*answer.authority.expect("an authority");
        assert_eq!(
            (name.as_str(), bound.authorities().count()),
            ("keyed.podcast", 1)
        );
        assert!(ask("wild.podcast.", RecordType::A).authority.is_none());
    }
}
