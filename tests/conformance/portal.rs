//! Row 47: a network that leads every name to its login page.

use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::bench::{Bench, addresses, extended_error};
use crate::common::ports::free_address;
use crate::common::upstream::{self, Certificate, Send};

/// The login page. Every name is there, says the network.
const PAGE: [u8; 4] = [10, 0, 0, 1];

/// What the network's own resolver answers.
fn portal() -> upstream::Upstream {
    upstream::Upstream::start(|seen| {
        let page = [(upstream::ASKED, 1, 3_600, &PAGE[..])];
        vec![Send::Reply(upstream::response(&seen.bytes, 0, &page, &[]))]
    })
}

fn first_address(bench: &Bench, name: &str) -> Option<String> {
    let answer = bench.ask(name, RecordType::A);
    addresses(&answer).first().map(ToString::to_string)
}

fn run(bench: &Bench, arguments: &[&str]) -> String {
    let output = bench.bnsd(arguments);
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    assert!(output.status.success(), "{arguments:?}: {text}");
    text
}

#[test]
fn row_47_a_person_lets_a_login_page_through_for_a_while() {
    // The portal swallows DNS over TLS.
    let pin = Certificate::new("dns.example").pin;
    let strict = format!("tls://sha256:{pin}@{}", free_address());
    let bench = Bench::start("", &[("BNSD_DNS_UPSTREAMS", &strict)]);
    let portal = portal();
    let resolver = portal.address.to_string();
    let is_strict = |name: &str| {
        let answer = bench.ask(name, RecordType::A);
        assert_eq!(
            answer.metadata.response_code,
            ResponseCode::ServFail,
            "{name}"
        );
        assert!(extended_error(&answer).is_some());
    };
    is_strict("login.example");
    assert!(run(&bench, &["portal", "show"]).contains("closed"));

    let open = ["portal", "open", "--for", "600", "--resolver", &resolver];
    assert!(run(&bench, &open).contains("in the clear"));
    assert!(run(&bench, &["status"]).contains("a captive portal is let through"));
    for name in [
        "login.example",
        "detectportal.example",
        "10-0-0-1.wifi.example",
    ] {
        let answer = bench.ask(name, RecordType::A);
        assert_eq!(addresses(&answer)[0].to_string(), "10.0.0.1", "{name}");
        assert_eq!(answer.answers[0].ttl, 0, "nobody may keep it");
        assert!(!answer.metadata.authentic_data);
    }
    // Names of the chain stay here, and those that could be of the chain stay with the strict upstream.
    assert_eq!(
        first_address(&bench, "good.id").as_deref(),
        Some("192.0.2.1")
    );
    assert_eq!(
        first_address(&bench, "good.id.bns.alt").as_deref(),
        Some("192.0.2.1")
    );
    for name in ["nosuch.podcast", "x.bns.alt", "nas.local", "revoked.id"] {
        let answer = bench.ask(name, RecordType::A);
        assert_eq!(
            answer.metadata.response_code,
            ResponseCode::NXDomain,
            "{name}"
        );
    }
    is_strict("nosuch.id");
    let ours = [
        "good.id.",
        "alt.",
        "podcast.",
        "local.",
        "revoked.id.",
        "nosuch.id.",
    ];
    for seen in portal.seen() {
        let name = upstream::asked(&seen.bytes);
        assert!(!ours.iter().any(|zone| name.ends_with(zone)), "{name}");
    }
    assert!(run(&bench, &["cache", "dump"]).contains("No answer"));

    assert!(run(&bench, &["portal", "close"]).contains("closed"));
    is_strict("login.example");
    let before = portal.count();
    run(
        &bench,
        &["portal", "open", "--for", "2", "--resolver", &resolver],
    );
    let opened = Instant::now();
    while bench
        .ask("other.example", RecordType::A)
        .metadata
        .response_code
        == ResponseCode::NoError
    {
        assert!(
            opened.elapsed() < Duration::from_secs(20),
            "it never closes by itself"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(opened.elapsed() >= Duration::from_millis(1_900));
    assert!(portal.count() > before);
}

#[test]
fn row_47_a_portal_is_opened_for_a_resolver_of_the_network_and_not_for_ever() {
    let bench = Bench::without_names("", &[]);
    let own = bench.address().to_string();
    for (arguments, words) in [
        (["--resolver", &own], "is where bnsd itself listens"),
        (
            ["--resolver", "tls://dns.example@192.0.2.1"],
            "is no address of a resolver",
        ),
        (["--resolver", "router"], "is no address of a resolver"),
        (["--for", "3601"], "1..=3600"),
    ] {
        let output = bench.bnsd(&[&["portal", "open"][..], &arguments].concat());
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(words), "{text}");
    }
    let shown = run(&bench, &["portal", "show", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["open"], false);
}
