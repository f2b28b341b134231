//! Rows 18, 19, 38, 39 and 40, and the policy for names that two trees have.

use std::time::Duration;

use bnsd::api::explain::Side;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, RecordType};

use super::bench::{AD, Bench, CD, Follows, Query, RD, addresses, shared};
use crate::common::home::Home;
use crate::common::process::status;
use crate::common::world::{World, zonefile};

fn first_address(bench: &Bench, name: &str) -> Option<String> {
    let answer = bench.ask(name, RecordType::A);
    addresses(&answer).first().map(ToString::to_string)
}

/// What the upstream of the bench says about everything below `id`.
const LEGACY: &str = "203.0.113.9";

#[test]
fn row_18_rfc6761_special_names_are_answered_here() {
    let local = shared().ask("www.localhost", RecordType::A);
    assert_eq!(addresses(&local)[0].to_string(), "127.0.0.1");
    let local = shared().ask("localhost", RecordType::AAAA);
    assert_eq!(addresses(&local)[0].to_string(), "::1");
    for zone in [
        "invalid",
        "test",
        "onion",
        "alt",
        "local",
        "use-application-dns.net",
    ] {
        for name in [zone.to_owned(), format!("x.{zone}")] {
            let answer = shared().ask(&name, RecordType::A);
            assert_eq!(
                answer.metadata.response_code,
                ResponseCode::NXDomain,
                "{name}"
            );
            assert_eq!(answer.authorities[0].record_type(), RecordType::SOA);
        }
        assert_eq!(shared().upstream.asked_below(zone), 0, "{zone}");
    }
    let home = shared().ask("nas.home.arpa", RecordType::A);
    assert_eq!(home.metadata.response_code, ResponseCode::NXDomain);
    shared().ask("special.example", RecordType::A);
    assert_eq!(
        shared().upstream.asked_below("special.example."),
        1,
        "example is forwarded"
    );
}

#[test]
fn row_19_rfc6303_private_reverse_zones_stay_here() {
    let pointer = shared().ask("1.0.0.127.in-addr.arpa", RecordType::PTR);
    assert_eq!(pointer.answers[0].data.to_string(), "localhost.");
    let six = format!("1.{}ip6.arpa", "0.".repeat(31));
    assert_eq!(shared().ask(&six, RecordType::PTR).answers.len(), 1);
    let zones = [
        "1.2.3.10.in-addr.arpa",
        "1.1.16.172.in-addr.arpa",
        "1.1.31.172.in-addr.arpa",
        "1.1.168.192.in-addr.arpa",
        "1.1.254.169.in-addr.arpa",
        "1.1.64.100.in-addr.arpa",
        "1.2.0.192.in-addr.arpa",
        "1.100.51.198.in-addr.arpa",
        "1.113.0.203.in-addr.arpa",
        "1.0.0.0.in-addr.arpa",
        "255.255.255.255.in-addr.arpa",
        "0.d.f.ip6.arpa",
        "0.8.e.f.ip6.arpa",
        "0.b.e.f.ip6.arpa",
        "0.8.b.d.0.1.0.0.2.ip6.arpa",
    ];
    for name in zones {
        let answer = shared().ask(name, RecordType::PTR);
        assert!(answer.answers.is_empty(), "{name}");
        assert_eq!(
            answer.authorities[0].record_type(),
            RecordType::SOA,
            "{name}"
        );
        assert_eq!(shared().upstream.asked_below(name), 0, "{name}");
    }
    shared().ask("8.8.8.8.in-addr.arpa", RecordType::PTR);
    assert_eq!(shared().upstream.asked_below("8.8.8.8.in-addr.arpa."), 1);
}

#[test]
fn row_38_rfc9462_nobody_is_steered_round_us() {
    for (name, rtype) in [
        ("_dns.resolver.arpa", RecordType::SVCB),
        ("resolver.arpa", RecordType::from(261)),
    ] {
        let answer = shared().ask(name, rtype);
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
        assert!(answer.answers.is_empty());
    }
    assert_eq!(shared().upstream.asked_below("resolver.arpa."), 0);
}

#[test]
fn row_39_rfc6840_flags_of_forwarded_answers() {
    for (number, (flags, dnssec_ok)) in [
        (RD, false),
        (RD | AD, false),
        (RD | CD, true),
        (RD | AD | CD, true),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("flags{number}.example");
        let query = Query::new(&name, RecordType::A).flags(flags);
        let query = if dnssec_ok {
            query.dnssec_ok()
        } else {
            query.edns(1232)
        };
        let answer = shared().udp(&query.bytes());
        assert!(
            !answer.metadata.authentic_data,
            "the upstream's AD is not ours to pass on"
        );
        assert_eq!(answer.metadata.checking_disabled, flags & CD != 0);
        assert_eq!(answer.edns.expect("OPT").flags().dnssec_ok, dnssec_ok);
        let label = format!("flags{number}");
        let mut asked = shared()
            .upstream
            .queries()
            .into_iter()
            .map(|bytes| Message::from_vec(&bytes).unwrap());
        let asked = asked.rfind(|query| {
            query.queries[0]
                .name()
                .to_lowercase()
                .to_string()
                .starts_with(&label)
        });
        let asked = asked.expect("a question upstream");
        assert_eq!(
            asked.metadata.checking_disabled,
            flags & CD != 0,
            "CD goes upstream"
        );
        assert_eq!(
            asked.edns.expect("OPT").flags().dnssec_ok,
            dnssec_ok,
            "and so does DO"
        );
    }
}

#[test]
fn row_40_ad_on_names_of_the_chain_is_for_those_who_ask() {
    let flags = |bench: &Bench, query: Query| bench.udp(&query.bytes()).metadata;
    let a = |name: &str| Query::new(name, RecordType::A);
    for name in ["good.id", "nx.good.id", "www.good.id", "good.id.bns.alt"] {
        assert!(
            !flags(shared(), a(name).edns(1232)).authentic_data,
            "{name}"
        );
        assert!(
            flags(shared(), a(name).flags(RD | AD)).authentic_data,
            "{name}"
        );
        assert!(
            flags(shared(), a(name).dnssec_ok()).authentic_data,
            "{name}"
        );
        assert!(
            flags(shared(), a(name).flags(RD | CD).dnssec_ok()).authentic_data,
            "{name}"
        );
    }
    for name in [
        "out.good.id",
        "tobns.example",
        "badhash.id",
        "missing.id",
        "home.good.id",
        "x.example",
        "localhost",
    ] {
        assert!(
            !flags(shared(), a(name).flags(RD | AD).dnssec_ok()).authentic_data,
            "{name}"
        );
    }
    let signed = shared().udp(&a("good.id").dnssec_ok().bytes());
    assert!(
        signed
            .answers
            .iter()
            .all(|record| record.record_type() != RecordType::RRSIG),
        "never a forged signature"
    );
    let off = Bench::start("[dns]\nad-for-bns = false", &[]);
    let answer = flags(&off, a("good.id").flags(RD | AD).dnssec_ok());
    assert!(!answer.authentic_data && answer.authoritative);
}

#[test]
fn mode_exact_takes_registered_names_and_leaves_the_rest() {
    assert_eq!(
        first_address(shared(), "rival.id").as_deref(),
        Some("192.0.2.50")
    );
    assert_eq!(
        first_address(shared(), "nosuch.id").as_deref(),
        Some(LEGACY)
    );
    assert_eq!(
        first_address(shared(), "id").as_deref(),
        Some("198.51.100.9")
    );
    assert_eq!(
        first_address(shared(), "co.id").as_deref(),
        Some(LEGACY),
        "protected"
    );
    assert_eq!(
        first_address(shared(), "www.bank.co.id").as_deref(),
        Some(LEGACY)
    );
    assert_eq!(
        first_address(shared(), "co.id.bns.alt").as_deref(),
        Some("192.0.2.99"),
        "the alias always"
    );
    let broken = shared().ask("missing.id", RecordType::A);
    assert_eq!(
        broken.metadata.response_code,
        ResponseCode::ServFail,
        "never the other owner's"
    );
}

#[test]
fn mode_only_never_asks_anybody() {
    let bench = Bench::start("[namespaces]\nid = \"only\"", &[]);
    assert_eq!(
        first_address(&bench, "rival.id").as_deref(),
        Some("192.0.2.50")
    );
    let absent = bench.ask("nosuch.id", RecordType::A);
    assert_eq!(absent.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(bench.upstream.asked_below("id."), 0);
}

#[test]
fn mode_legacy_first_falls_back_on_nxdomain() {
    let bench = Bench::start("[namespaces]\nid = \"legacy-first\"", &[]);
    assert_eq!(first_address(&bench, "rival.id").as_deref(), Some(LEGACY));
    bench.announce("nx.id", "@ A 192.0.2.77\n");
    bench.settle();
    let answer = bench.ask("nx.id", RecordType::A);
    assert_eq!(addresses(&answer)[0].to_string(), "192.0.2.77");
    assert!(bench.upstream.asked_below("nx.id.") > 0);
    assert_eq!(first_address(&bench, "co.id").as_deref(), Some(LEGACY));
    assert_eq!(
        first_address(&bench, "rival.id.bns.alt").as_deref(),
        Some("192.0.2.50")
    );
}

#[test]
fn mode_off_forwards_everything_but_the_alias() {
    let bench = Bench::start("[namespaces]\nid = \"off\"", &[]);
    assert_eq!(first_address(&bench, "rival.id").as_deref(), Some(LEGACY));
    assert_eq!(
        first_address(&bench, "rival.id.bns.alt").as_deref(),
        Some("192.0.2.50")
    );
}

/// Exit code and all that a command says.
fn output(bench: &Bench, arguments: &[&str]) -> (Option<i32>, String) {
    let output = bench.bnsd(arguments);
    let text =
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code(), text)
}

#[test]
fn a_person_settles_one_name_and_explain_says_so() {
    let mut bench = Bench::start("", &[]);
    let run = |arguments: &[&str]| output(&bench, arguments);
    assert_eq!(
        run(&["prefer"]),
        (
            Some(0),
            "no choices: the modes of the namespaces decide\n".to_owned()
        )
    );
    assert_eq!(run(&["prefer", "Rival.id", "legacy"]).0, Some(0));
    assert_eq!(
        first_address(&bench, "www.rival.id").as_deref(),
        Some(LEGACY)
    );
    assert_eq!(
        first_address(&bench, "rival.id.bns.alt").as_deref(),
        Some("192.0.2.50")
    );
    let (_, explained) = run(&["explain", "rival.id"]);
    assert!(explained.contains("legacy"), "{explained}");
    let kept = std::fs::read_to_string(bench.path("data/preferences.toml")).unwrap();
    assert_eq!(kept, "\"rival.id\" = \"legacy\"\n");
    assert_eq!(run(&["prefer"]).1, "rival.id  legacy\n");
    bench.restart(Follows::Chain);
    bench.settle();
    assert_eq!(
        first_address(&bench, "rival.id").as_deref(),
        Some(LEGACY),
        "a choice outlives the daemon"
    );
    let run = |arguments: &[&str]| output(&bench, arguments);
    assert_eq!(run(&["prefer", "rival.id", "bns"]).0, Some(0));
    assert_eq!(
        first_address(&bench, "rival.id").as_deref(),
        Some("192.0.2.50")
    );
    assert_eq!(run(&["prefer", "rival.id", "auto"]).0, Some(0));
    assert_eq!(
        std::fs::read_to_string(bench.path("data/preferences.toml")).unwrap(),
        ""
    );
    for (name, side, words) in [
        ("co.id", "bns", "co.id is protected"),
        ("wild.podcast", "legacy", "wild.podcast has no rival"),
        ("no_name", "bns", "is no name of the chain"),
    ] {
        let (code, text) = run(&["prefer", name, side]);
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains(words), "{text}");
    }
    assert_eq!(
        run(&["prefer", "rival.id"]).0,
        Some(2),
        "a name alone is no choice"
    );
}

#[test]
fn private_addresses_of_zone_files_are_left_out_unless_allowed() {
    assert_eq!(first_address(shared(), "private.good.id"), None);
    assert_eq!(
        first_address(shared(), "home.good.id"),
        None,
        "nor by way of localhost"
    );
    let bench = Bench::start("[dns]\nallow-private = [\"good.id\"]", &[]);
    assert_eq!(
        first_address(&bench, "private.good.id").as_deref(),
        Some("10.0.0.1")
    );
    let answer = bench.udp_within(
        &Query::new("home.good.id", RecordType::A).bytes(),
        Duration::from_secs(5),
    );
    let answer = Message::from_vec(&answer.expect("an answer")).unwrap();
    assert!(matches!(answer.answers.last().unwrap().data, RData::A(_)));
}

/// Other people's networks have names below `lan`, `home`, `corp` and `mail`: a namespace of that name is not taken over
/// unless the configuration says so.
#[test]
fn a_namespace_with_a_name_of_private_networks_stays_theirs() {
    let home = Home::new();
    let mut world = World::start(home.path(), &[]);
    let file = zonefile("nas.lan", "192.0.2.7");
    let hash = world.archive(&file);
    world.publish(&[("nas.lan", hash)]);
    let alias = world.see("nas.lan.bns.alt", RecordType::A);
    assert!(alias.has_address("192.0.2.7"), "{alias:?}");
    let plain = world.see("nas.lan", RecordType::A);
    assert!(!plain.has_address("192.0.2.7"), "{plain:?}");
    let decision = world.explain("nas.lan").decision;
    assert_eq!(decision.side, Side::Legacy);
    assert!(
        decision.reason.contains("among themselves"),
        "{}",
        decision.reason
    );
    let status = status(world.socket()).expect("a daemon");
    assert!(!status.served.contains(&"lan".to_owned()), "{status:?}");
}
