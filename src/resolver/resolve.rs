//! From a question to its answer, reading the state of names.
//!
//! The rules of design, "DNS answers" and "When a namespace is also an ICANN TLD", in this order: who answers
//! by name alone, whether the mode leaves it to the chain, whether the state can be vouched for, and what the
//! state says.

use hickory_proto::rr::{Name as DnsName, RecordType};

use super::answer::{Answer, Heights, Outcome, Provenance};
use super::apex::{Apex, NEGATIVE_TTL};
use super::ownership::{Ownership, settle};
use super::policy::Policy;
use super::route::{BnsRoute, Question, Route, Target, route, suffix};
use super::source::{
    NameSource, NameStatus, NamespaceStatus, RegisteredName, SyncState, ZoneStatus,
};
use super::special;
use super::zone::{PrivateAddresses, ServedZone};
use crate::bns::name::{Name, NamespaceId};
use crate::wire::ExtendedError;
use crate::zonefile::Zone;

/// Expected time between blocks, in seconds.
const BLOCK_SECONDS: u32 = 600;

/// What is to be done about a question.
#[derive(Debug)]
pub enum Resolution {
    /// This is the answer, as far as it goes: see [`Answer::chase`].
    Answer(Answer),
    /// Ask an upstream.
    Forward,
    /// Ask an upstream; if it says NXDOMAIN, the chain answers ([`answer_bns`]).
    ForwardFirst(BnsRoute),
}

/// Decides a question.
pub fn resolve<S: NameSource>(
    question: &Question,
    policy: &Policy,
    source: &S,
) -> Result<Resolution, S::Error> {
    let bns = match route(question, policy) {
        Route::Forward => return Ok(forward(question)),
        Route::Refused => return Ok(Resolution::Answer(Answer::refused())),
        Route::SpecialUse(kind) => {
            return Ok(Resolution::Answer(special::answer(kind, question)));
        }
        Route::Bns(bns) => bns,
    };
    match settle(&bns, source)? {
        Ownership::Ours => answer_bns(&bns, question, policy, source).map(Resolution::Answer),
        Ownership::CouldBeOurs(_) => Ok(match forward(question) {
            Resolution::Forward => Resolution::ForwardFirst(bns),
            answered => answered,
        }),
        Ownership::NotOurs | Ownership::SpecialUse => Ok(forward(question)),
    }
}

/// What is not ours is an upstream's, except for ANY, which would only make large answers for forged
/// sources (RFC 8482 §4.2).
fn forward(question: &Question) -> Resolution {
    if question.rtype != RecordType::ANY {
        return Resolution::Forward;
    }
    let minimal = vec![special::hinfo(&question.name)];
    Resolution::Answer(Answer::records(Provenance::Upstream, minimal))
}

/// Answers from the chain, whatever the mode.
pub fn answer_bns<S: NameSource>(
    bns: &BnsRoute,
    question: &Question,
    policy: &Policy,
    source: &S,
) -> Result<Answer, S::Error> {
    if let Some(trouble) = not_ready(policy, source) {
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

/// SERVFAIL while the database cannot vouch for anything.
fn not_ready<S: NameSource>(policy: &Policy, source: &S) -> Option<Answer> {
    let text = match source.sync() {
        sync if policy.accepts(sync) => return None,
        SyncState::Synced => return None,
        SyncState::Behind { indexed, tip, .. } | SyncState::NeverSynced { indexed, tip } => {
            format!("bns: synced {indexed}/{tip}")
        }
        SyncState::Forked { indexed } => {
            format!("bns: the chain parted from the index at {indexed}, see bnsd status")
        }
    };
    Some(Answer::failure(
        Outcome::Failed,
        ExtendedError::new(ExtendedError::NOT_READY, text),
    ))
}

struct Context<'a> {
    bns: &'a BnsRoute,
    question: &'a Question,
    policy: &'a Policy,
    height: u32,
}

impl Context<'_> {
    fn answer<S: NameSource>(&self, source: &S) -> Result<Answer, S::Error> {
        let id = match &self.bns.target {
            Target::Root => return Ok(self.at_apex(&self.parent(0))),
            Target::Impossible(None) => return Ok(self.parent(0).no_such_name()),
            Target::Namespace(id) | Target::Name(_, id) | Target::Impossible(Some(id)) => id,
        };
        if !matches!(source.namespace(id)?, NamespaceStatus::Ready { .. }) {
            return Ok(self.namespace_not_ready(id));
        }
        Ok(match &self.bns.target {
            Target::Namespace(_) => self.at_apex(&self.parent(0)),
            Target::Name(name, _) => return self.at_name(name, source),
            _ => self.parent(0).no_such_name(),
        })
    }

    fn at_apex(&self, apex: &Apex) -> Answer {
        apex.answer(self.question.rtype)
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
            NameStatus::Expired { height } => self.gone(format!("bns: expired at block {height}")),
            NameStatus::Revoked { height } => self.gone(format!("bns: revoked at block {height}")),
            NameStatus::Registered(registered) => match registered.zonefile_hash {
                None => self.without_zone_file(&registered),
                Some(hash) => self.at_zone(name, &registered, source.zone(name, &hash)?),
            },
        })
    }

    fn gone(&self, text: String) -> Answer {
        self.parent(1)
            .no_such_name()
            .explained(ExtendedError::new(ExtendedError::OTHER, text))
    }

    fn at_zone(&self, name: &Name, registered: &RegisteredName, zone: ZoneStatus) -> Answer {
        match zone {
            ZoneStatus::Loaded(zone) => self.served(name, registered, &zone),
            ZoneStatus::Missing(hash) => zone_file_trouble(
                ExtendedError::NO_REACHABLE_AUTHORITY,
                format!("bns: no zone file yet for hash {hash}"),
            ),
            ZoneStatus::Tampered(hash) => zone_file_trouble(
                ExtendedError::INVALID_DATA,
                format!("bns: zone file hash mismatch {hash}"),
            ),
            ZoneStatus::Unreadable(hash, _) => zone_file_trouble(
                ExtendedError::INVALID_DATA,
                format!("bns: unreadable zone file {hash}"),
            ),
        }
    }

    /// The name exists and says nothing: its apex records, and NODATA for all else, names below included.
    fn without_zone_file(&self, registered: &RegisteredName) -> Answer {
        let apex = self.apex(registered);
        if self.question.name == apex.name {
            apex.answer(self.question.rtype)
        } else {
            apex.no_data()
        }
    }

    fn served(&self, name: &Name, registered: &RegisteredName, zone: &Zone) -> Answer {
        let private = if self.policy.allows_private(&self.question.name)
            || plain_name(name).is_some_and(|name| self.policy.allows_private(&name))
        {
            PrivateAddresses::Served
        } else {
            PrivateAddresses::Filtered
        };
        let served = ServedZone {
            zone,
            apex: self.apex(registered),
            parent: self.parent(1),
            max_ttl: self.max_ttl(registered),
            private,
        };
        served.answer(self.question)
    }

    /// The top of a name's zone: its serial is the height of its last change.
    fn apex(&self, registered: &RegisteredName) -> Apex {
        Apex {
            name: self.bns.apex.clone(),
            serial: registered.last_change_height,
            ttl: self.max_ttl(registered),
            provenance: Provenance::Chain,
            heights: self.heights(registered),
        }
    }

    /// Nothing about a name is believed for longer than it is expected to live.
    fn max_ttl(&self, registered: &RegisteredName) -> u32 {
        let blocks = registered
            .expires_at
            .map_or(u32::MAX, |height| height.saturating_sub(self.height));
        self.policy
            .max_ttl
            .min(blocks.saturating_mul(BLOCK_SECONDS))
    }

    /// The heights at which `max_ttl` is the same: all until the end is near, then one at a time.
    fn heights(&self, registered: &RegisteredName) -> Heights {
        let Some(end) = registered.expires_at else {
            return Heights::ALL;
        };
        let last = end.saturating_sub(self.policy.max_ttl.div_ceil(BLOCK_SECONDS).max(1));
        if self.height > last {
            return Heights::only(self.height);
        }
        Heights { first: 0, last }
    }

    /// The zone whose top is `above` labels above the apex of the route: a namespace, or `bns.alt`. It
    /// changes with every block, so its serial is the indexed height, and nothing in it is believed for long.
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

fn zone_file_trouble(code: u16, text: String) -> Answer {
    Answer::failure(Outcome::ZoneFileMissing, ExtendedError::new(code, text))
}

fn plain_name(name: &Name) -> Option<DnsName> {
    DnsName::from_labels([name.label().as_bytes(), name.namespace().as_bytes()]).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hickory_proto::op::ResponseCode;
    use hickory_proto::rr::{DNSClass, RData, Record};

    use super::*;
    use crate::resolver::Mode;
    use crate::resolver::fixture::Names;

    fn ask_in(names: &Names, policy: &Policy, name: &str, rtype: RecordType) -> Resolution {
        let name = DnsName::from_ascii(name).expect("a domain name");
        let question = Question::new(&name, rtype, DNSClass::IN);
        resolve(&question, policy, names).expect("a source that never fails")
    }

    fn ask(name: &str, rtype: RecordType) -> Answer {
        match ask_in(&Names::new(), &Policy::default(), name, rtype) {
            Resolution::Answer(answer) => answer,
            other => panic!("{name} is not answered here: {other:?}"),
        }
    }

    fn rdata(record: &Record) -> &[u8] {
        match &record.data {
            RData::Unknown { rdata, .. } => &rdata.anything,
            RData::Update0(_) => &[],
            other => panic!("not from a zone file: {other}"),
        }
    }

    fn owners(answer: &Answer) -> Vec<String> {
        let owner = |record: &Record| record.name.to_string();
        answer.answers.iter().map(owner).collect()
    }

    #[test]
    fn records_come_from_the_zone_file_with_capped_ttl() {
        let answer = ask("GOOD.id.", RecordType::A);
        assert_eq!(rdata(&answer.answers[0]), [192, 0, 2, 1]);
        assert_eq!(answer.answers[0].ttl, 600);
        assert_eq!(answer.provenance, Provenance::Chain);
        let answer = ask("t.good.id.", RecordType::from(65280));
        assert_eq!(rdata(&answer.answers[0]), [0xde, 0xad, 0xbe, 0xef]);
        let answer = ask("t.good.id.", RecordType::from(65281));
        assert!(rdata(&answer.answers[0]).is_empty());
        assert_eq!(ask("good.id.", RecordType::ANY).answers.len(), 1);
        for minimal in ["big.podcast.", "www.example.com."] {
            let answer = ask(minimal, RecordType::ANY);
            assert!(
                matches!(answer.answers[0].data, RData::HINFO(_)),
                "{minimal}"
            );
        }
    }

    #[test]
    fn apex_records_are_made_where_missing() {
        let answer = ask("good.id.", RecordType::SOA);
        let RData::SOA(soa) = &answer.answers[0].data else {
            panic!("no SOA");
        };
        assert_eq!(soa.serial, 77);
        assert_eq!(ask("good.id.", RecordType::NS).answers.len(), 1);
        let namespace = ask("podcast.", RecordType::SOA);
        let RData::SOA(soa) = &namespace.answers[0].data else {
            panic!("no SOA");
        };
        assert_eq!((soa.serial, soa.minimum), (100, 60));
        let ds = ask("good.id.", RecordType::DS);
        assert_eq!(ds.outcome, Outcome::NoData);
        assert_eq!(ds.authorities[0].name.to_string(), "id.");
        assert_eq!(ask("podcast.", RecordType::DS).outcome, Outcome::NoData);
    }

    #[test]
    fn negative_answers_carry_the_right_soa() {
        let empty = ask("er.sub.good.id.", RecordType::A);
        assert_eq!(
            (empty.rcode, empty.outcome),
            (ResponseCode::NoError, Outcome::NoData)
        );
        let nodata = ask("good.id.", RecordType::MX);
        assert_eq!(nodata.authorities[0].name.to_string(), "good.id.");
        assert_eq!(nodata.authorities[0].ttl, 60);
        let absent = ask("nx.good.id.", RecordType::A);
        assert_eq!(
            (absent.rcode, absent.outcome),
            (ResponseCode::NXDomain, Outcome::NoSuchName)
        );
        let own = ask("exact.wild.podcast.", RecordType::MX);
        assert_eq!(own.authorities[0].ttl, 30);
        let unregistered = ask("www.nosuch.podcast.", RecordType::A);
        assert_eq!(unregistered.rcode, ResponseCode::NXDomain);
        assert_eq!(unregistered.authorities[0].name.to_string(), "podcast.");
        let impossible = format!("{}.podcast.", "a".repeat(40));
        assert_eq!(
            ask(&impossible, RecordType::A).rcode,
            ResponseCode::NXDomain
        );
    }

    #[test]
    fn wildcards_stand_in_for_what_does_not_exist() {
        let cases = [
            ("foo.wild.podcast.", RecordType::A, 1, ResponseCode::NoError),
            ("a.b.wild.podcast.", RecordType::A, 1, ResponseCode::NoError),
            ("*.wild.podcast.", RecordType::A, 1, ResponseCode::NoError),
            (
                "foo.wild.podcast.",
                RecordType::MX,
                0,
                ResponseCode::NoError,
            ),
            (
                "exact.wild.podcast.",
                RecordType::A,
                0,
                ResponseCode::NoError,
            ),
            ("ent.wild.podcast.", RecordType::A, 0, ResponseCode::NoError),
            (
                "x.ent.wild.podcast.",
                RecordType::A,
                0,
                ResponseCode::NXDomain,
            ),
            (
                "x.exact.wild.podcast.",
                RecordType::A,
                0,
                ResponseCode::NXDomain,
            ),
            ("sub.wild.podcast.", RecordType::A, 0, ResponseCode::NoError),
            (
                "x.sub.wild.podcast.",
                RecordType::TXT,
                1,
                ResponseCode::NoError,
            ),
            (
                "x.sub.wild.podcast.",
                RecordType::A,
                0,
                ResponseCode::NoError,
            ),
        ];
        for (name, rtype, count, rcode) in cases {
            let answer = ask(name, rtype);
            assert_eq!(
                (answer.answers.len(), answer.rcode),
                (count, rcode),
                "{name} {rtype}"
            );
        }
    }

    #[test]
    fn chains_are_followed_inside_and_handed_on_outside() {
        let inside = ask("www.good.id.", RecordType::A);
        assert_eq!(owners(&inside), ["www.good.id.", "good.id."]);
        let outside = ask("out.good.id.", RecordType::A);
        assert_eq!(
            outside.chase.map(|name| name.to_string()).as_deref(),
            Some("www.example.com.")
        );
        let dname = ask("x.short.good.id.", RecordType::A);
        assert_eq!(
            owners(&dname),
            ["short.good.id.", "x.short.good.id.", "x.target.good.id."]
        );
        let leaving = ask("a.b.leave.good.id.", RecordType::A);
        assert_eq!(
            leaving.chase.map(|name| name.to_string()).as_deref(),
            Some("a.b.example.com.")
        );
        let endless = ask("a.good.id.", RecordType::A);
        assert_eq!(endless.rcode, ResponseCode::ServFail);
        assert_eq!(ask("www.good.id.", RecordType::CNAME).answers.len(), 1);
    }

    #[test]
    fn the_alias_serves_the_same_zone_under_its_own_name() {
        let answer = ask("www.good.id.bns.alt.", RecordType::A);
        assert_eq!(
            owners(&answer),
            ["www.good.id.bns.alt.", "good.id.bns.alt."]
        );
        assert_eq!(answer.chase, None);
        let absent = ask("nosuch.id.bns.alt.", RecordType::A);
        assert_eq!(absent.rcode, ResponseCode::NXDomain);
        assert_eq!(absent.authorities[0].name.to_string(), "id.bns.alt.");
        assert_eq!(
            ask("x.nonamespace.bns.alt.", RecordType::A).rcode,
            ResponseCode::NXDomain
        );
        assert_eq!(ask("bns.alt.", RecordType::SOA).answers.len(), 1);
    }

    #[test]
    fn private_addresses_are_left_out_unless_allowed() {
        let filtered = ask("private.good.id.", RecordType::A);
        assert_eq!(
            (filtered.answers.len(), filtered.outcome),
            (0, Outcome::NoData)
        );
        assert_eq!(
            filtered.ede.map(|ede| ede.code),
            Some(ExtendedError::BLOCKED)
        );
        assert_eq!(ask("mixed.good.id.", RecordType::A).answers.len(), 1);
        let mut policy = Policy::default();
        policy
            .allow_private
            .push(DnsName::from_ascii("good.id.").expect("a name"));
        let allowed = ask_in(
            &Names::new(),
            &policy,
            "mixed.good.id.bns.alt.",
            RecordType::A,
        );
        assert!(matches!(allowed, Resolution::Answer(answer) if answer.answers.len() == 2));
    }

    #[test]
    fn trouble_with_a_name_is_explained() {
        let cases = [
            ("missing.podcast.", ResponseCode::ServFail, 22, "b472a266"),
            (
                "badhash.podcast.",
                ResponseCode::ServFail,
                24,
                "hash mismatch",
            ),
            (
                "expired.podcast.",
                ResponseCode::NXDomain,
                0,
                "bns: expired at block 90",
            ),
            (
                "www.revoked.podcast.",
                ResponseCode::NXDomain,
                0,
                "bns: revoked at block 91",
            ),
        ];
        for (name, rcode, code, text) in cases {
            let answer = ask(name, RecordType::A);
            let ede = answer.ede.expect("an explanation");
            assert_eq!((answer.rcode, ede.code), (rcode, code), "{name}");
            assert!(
                ede.text.contains(text) && ede.text.len() <= ExtendedError::TEXT_MAX,
                "{}",
                ede.text
            );
        }
        assert_eq!(ask("nozf.podcast.", RecordType::A).outcome, Outcome::NoData);
        assert_eq!(
            ask("nozf.podcast.", RecordType::SOA).outcome,
            Outcome::Answered
        );
    }

    #[test]
    fn modes_decide_who_answers() {
        let mut policy = Policy::default();
        let names = Names::new();
        let forwarded = |policy: &Policy, names: &Names, name: &str| {
            matches!(
                ask_in(names, policy, name, RecordType::A),
                Resolution::Forward
            )
        };
        assert!(!forwarded(&policy, &names, "good.id."));
        assert!(forwarded(&policy, &names, "nosuch.id."));
        assert!(forwarded(&policy, &names, "expired.id."));
        assert!(forwarded(&policy, &names, "id."));
        assert!(forwarded(&policy, &names, "printer.lan."));
        assert!(forwarded(&policy, &names, "x.early."));
        let id: NamespaceId = "id".parse().expect("an id");
        policy.modes.insert(id.clone(), Mode::LegacyFirst);
        let resolution = ask_in(&names, &policy, "good.id.", RecordType::A);
        assert!(matches!(resolution, Resolution::ForwardFirst(_)));
        policy.modes.insert(id, Mode::Only);
        assert!(!forwarded(&policy, &names, "nosuch.id."));
        policy
            .modes
            .insert("early".parse().expect("an id"), Mode::Only);
        assert!(!forwarded(&policy, &names, "x.early."));
    }

    #[test]
    fn a_database_that_cannot_vouch_says_so() {
        let mut names = Names::new();
        let policy = Policy::default();
        names.sync = SyncState::Behind {
            indexed: 100,
            tip: 200,
            lag: Duration::from_secs(7201),
        };
        for name in ["good.id.", "good.id.bns.alt.", "nosuch.podcast."] {
            let Resolution::Answer(answer) = ask_in(&names, &policy, name, RecordType::A) else {
                panic!("{name} was forwarded");
            };
            let ede = answer.ede.expect("an explanation");
            assert_eq!((ede.code, &*ede.text), (14, "bns: synced 100/200"));
        }
        names.sync = SyncState::NeverSynced { indexed: 1, tip: 9 };
        let forwarded = ask_in(&names, &policy, "good.id.", RecordType::A);
        assert!(matches!(forwarded, Resolution::Forward));
    }
}
