//! From a question to its answer, or to the advice to ask an upstream.
//!
//! The order of the decision:
//!
//! 1. [`route`] reads name, type and class. Transfers and foreign classes are refused, special-use names are answered
//!    here, and names that no namespace can have are forwarded.
//! 2. [`ownership`](super::ownership) settles whose the remaining names are, by mode and by the state of names.
//! 3. Names of the chain are answered by [`answer_bns`]. With mode `legacy-first` an upstream is asked before.
//!
//! ANY is never forwarded, because a forged question for it would only make a large response.

use hickory_proto::rr::RecordType;

use super::answer::{Answer, Provenance};
use super::apex::hinfo;
use super::from_chain::answer_bns;
use super::ownership::{Ownership, settle};
use super::policy::Policy;
use super::question::Question;
use super::route::{BnsRoute, Route, route};
use super::source::NameSource;
use super::special;

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

/// Leaves a question to upstreams. ANY gets the minimal answer of RFC 8482 §4.2 instead.
fn forward(question: &Question) -> Resolution {
    if question.rtype != RecordType::ANY {
        return Resolution::Forward;
    }
    let minimal = vec![hinfo(&question.name)];
    Resolution::Answer(Answer::records(Provenance::Upstream, minimal))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hickory_proto::op::ResponseCode;
    use hickory_proto::rr::{DNSClass, Name as DnsName, RData, Record};

    use super::*;
    use crate::bns::name::NamespaceId;
    use crate::resolver::fixture::Names;
    use crate::resolver::{ExtendedError, Mode, Outcome, SyncState};

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
                "bns: expired, last resolved at block 89",
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
            held: false,
        };
        for name in ["good.id.", "good.id.bns.alt.", "nosuch.podcast."] {
            let Resolution::Answer(answer) = ask_in(&names, &policy, name, RecordType::A) else {
                panic!("{name} was forwarded");
            };
            let ede = answer.ede.expect("an explanation");
            assert_eq!((ede.code, &*ede.text), (14, "bns: synced 100/200"));
        }
        names.sync = SyncState::Behind {
            indexed: 100,
            tip: 200,
            lag: Duration::from_secs(7201),
            held: true,
        };
        let Resolution::Answer(answer) = ask_in(&names, &policy, "good.id.", RecordType::A) else {
            panic!("it was forwarded");
        };
        let ede = answer.ede.expect("an explanation");
        assert_eq!(ede.text, "bns: synced 100/200, held back, see bnsd status");
        names.sync = SyncState::NeverSynced {
            indexed: 1,
            tip: 9,
            held: false,
        };
        let forwarded = ask_in(&names, &policy, "good.id.", RecordType::A);
        assert!(matches!(forwarded, Resolution::Forward));
    }
}
