//! Row 41: what a validator sees that asks bnsd and holds the key of the legacy root.
//!
//! The root here is our own, signed, and delegates a signed `id` as ICANN's does. bnsd passes signatures through and
//! makes none up, so that signed legacy names stay verifiable, forged ones stay refusable, and names of the chain are
//! refused until the validator is told that it cannot know them.

use std::process::Command;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;

use super::bench::{AD, Bench, Query, RD, addresses, extended_error, shared, udp};
use crate::common::unbound::Unbound;

/// How the validator ended a question.
fn verdict(validator: &Unbound, name: &str) -> (ResponseCode, bool, Option<String>) {
    let query = Query::new(name, RecordType::A).dnssec_ok().bytes();
    let answer = udp(validator.address, &query, super::bench::PATIENCE).expect("an answer");
    let answer = Message::from_vec(&answer).expect("a readable answer");
    let address = addresses(&answer).first().map(ToString::to_string);
    (
        answer.metadata.response_code,
        answer.metadata.authentic_data,
        address,
    )
}

fn secure(address: &str) -> (ResponseCode, bool, Option<String>) {
    (ResponseCode::NoError, true, Some(address.to_owned()))
}

fn insecure(address: &str) -> (ResponseCode, bool, Option<String>) {
    (ResponseCode::NoError, false, Some(address.to_owned()))
}

const BOGUS: (ResponseCode, bool, Option<String>) = (ResponseCode::ServFail, false, None);

#[test]
fn row_41_validators_below_us_verify_legacy_names_and_refuse_ours() {
    let (internet, anchor) = Unbound::start_signed();
    let bench = Bench::start("", &[("BNSD_DNS_UPSTREAMS", &internet.address.to_string())]);
    let strict = Unbound::validator(&anchor, bench.address(), "");
    let see = |name| verdict(&strict, name);
    assert_eq!(see("www.example.org"), secure("198.51.100.9"));
    assert_eq!(see("alias.example.org"), secure("198.51.100.9"));
    assert_eq!(
        see("www.go.id"),
        secure("198.51.100.62"),
        "protected names are the registry's"
    );
    assert_eq!(
        see("nosuch.id"),
        secure("198.51.100.63"),
        "and so are those that the chain does not have"
    );
    assert_eq!(
        see("www.example.com"),
        insecure("93.184.215.14"),
        "delegated without a DS"
    );
    assert_eq!(
        see("nx.example.org"),
        (ResponseCode::NXDomain, true, None),
        "NSEC passes through"
    );
    assert_eq!(see("www.forged.org"), BOGUS);
    for ours in ["good.id", "sub.wild.podcast", "good.id.bns.alt"] {
        assert_eq!(
            see(ours),
            BOGUS,
            "{ours}: the legacy root proves that it is somebody else's or nobody's"
        );
    }

    let told = " domain-insecure: \"id\"\n domain-insecure: \"podcast\"\n domain-insecure: \"alt\"";
    let told = Unbound::validator(&anchor, bench.address(), told);
    let see = |name| verdict(&told, name);
    assert_eq!(see("good.id"), insecure("192.0.2.1"));
    assert_eq!(see("x.wild.podcast"), insecure("192.0.2.7"));
    assert_eq!(see("good.id.bns.alt"), insecure("192.0.2.1"));
    assert_eq!(see("www.go.id"), insecure("198.51.100.62"));
    assert_eq!(
        see("www.example.org"),
        secure("198.51.100.9"),
        "nothing else is given up"
    );
    assert_eq!(see("www.forged.org"), BOGUS);
}

#[test]
fn row_41_delv_says_what_is_signed_and_that_ours_is_not() {
    let (internet, anchor) = Unbound::start_signed();
    let bench = Bench::start("", &[("BNSD_DNS_UPSTREAMS", &internet.address.to_string())]);
    let key = std::fs::read_to_string(&anchor).unwrap();
    let key: Vec<&str> = key.split_whitespace().collect();
    // Owner, TTL, class, type, flags, protocol, algorithm, key, comment.
    let at = key.iter().position(|word| *word == "DNSKEY").unwrap();
    let anchors = bench.path("delv.keys");
    let text = format!(
        "trust-anchors {{ . static-key {} {} {} \"{}\"; }};\n",
        key[at + 1],
        key[at + 2],
        key[at + 3],
        key[at + 4]
    );
    std::fs::write(&anchors, text).unwrap();
    let delv = |name: &str| {
        let output = Command::new("delv")
            .args([
                "@127.0.0.1",
                "-p",
                &bench.address().port().to_string(),
                "+root=.",
            ])
            .arg("-a")
            .arg(&anchors)
            .args([name, "A"])
            .output()
            .expect("delv is missing: install the Debian package `bind9-dnsutils`");
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let signed = delv("www.example.org");
    assert!(
        signed.contains("; fully validated") && signed.contains("198.51.100.9"),
        "{signed}"
    );
    let open = delv("www.example.com");
    assert!(open.contains("; unsigned answer"), "{open}");
    for bogus in ["www.forged.org", "good.id"] {
        let refused = delv(bogus);
        assert!(refused.contains("resolution failed"), "{bogus}: {refused}");
    }
}

#[test]
fn row_41_no_ds_is_ever_made_up() {
    for name in ["good.id", "wild.podcast", "good.id.bns.alt"] {
        let delegation = shared().ask(name, RecordType::DS);
        assert_eq!(delegation.metadata.response_code, ResponseCode::NoError);
        assert!(delegation.answers.is_empty() && extended_error(&delegation).is_none());
    }
    let serving = include_str!("../../src/dns/serving.md");
    assert!(serving.contains("negative trust anchors"));
}

/// bnsd as the validator, with names of the chain beside the signed tree.
#[test]
fn row_53_validation_asks_nobody_about_names_of_the_chain() {
    let (internet, anchor) = Unbound::start_signed();
    let settings = format!("[dns]\nvalidate = true\ntrust-anchor = {anchor:?}");
    let bench = Bench::start(
        &settings,
        &[("BNSD_DNS_UPSTREAMS", &internet.address.to_string())],
    );
    let see = |name: &str| {
        let query = Query::new(name, RecordType::A).flags(RD | AD).edns(1232);
        let answer = bench.udp(&query.bytes());
        let address = addresses(&answer).last().map(ToString::to_string);
        let metadata = answer.metadata;
        (metadata.response_code, metadata.authentic_data, address)
    };
    assert_eq!(see("www.example.org"), secure("198.51.100.9"));
    assert_eq!(see("www.go.id"), secure("198.51.100.62"));
    assert_eq!(see("good.id"), secure("192.0.2.1"), "AD of the chain");
    // The tree says that there is no such name, and is not believed.
    assert_eq!(see("tobns.example.org"), insecure("192.0.2.1"));
    assert_eq!(see("www.forged.org"), BOGUS);
    for ours in ["good.id", "www.good.id"] {
        assert!(!internet.was_asked(ours), "{ours}");
    }
    assert!(internet.was_asked("tobns.example.org"));
}
