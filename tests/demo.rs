//! What somebody sees who starts `bnsd demo` and nothing else: every name under `zonefiles/` answers, as a DNS
//! implementation that is not ours reads it; what is not there is said so; all other names come from the upstream.

use std::process::Command;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use crate::common::demo::Demo;
use crate::common::dns::{self, query, see, tcp, udp};
use crate::common::home::{Home, ended};
use crate::common::python;
use crate::common::unbound::Unbound;

/// The goal for the first answer; a test asserts ten times as much.
const START_GOAL: Duration = Duration::from_secs(2);

/// Compares every zone file of the project with what is served.
fn compare_zones(demo: &Demo) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/zonefiles");
    let (ip, port) = (demo.server.ip().to_string(), demo.server.port().to_string());
    let ended = python::run(&demo.home, "compare_zones.py", &[&ip, &port, folder]);
    println!("{}", ended.stdout);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(count(&ended.stdout, "zones") >= 22);
    assert!(count(&ended.stdout, "rrsets") > 100);
    assert!(count(&ended.stdout, "absent") > 1000);
}

fn count(stdout: &str, what: &str) -> u32 {
    let line = stdout.lines().find_map(|line| line.strip_prefix(what));
    line.expect("a count").trim().parse().expect("a number")
}

#[test]
fn every_record_of_every_zone_file_comes_back() {
    let demo = Demo::start(&[]);
    let first = see(demo.server, "werner.id", RecordType::A);
    let elapsed = demo.started.elapsed();
    println!("the demo answered {elapsed:.2?} after its start, the goal is {START_GOAL:?}");
    assert!(first.has_address("192.0.2.10"), "{first:?}");
    assert!(elapsed < START_GOAL * 10);
    compare_zones(&demo);
}

/// Without the project's directory, and killed in between: it goes on where it was.
#[test]
fn the_names_come_with_the_program() {
    let home = Home::new();
    let elsewhere = home.folder("elsewhere");
    let mut demo = Demo::start_in(&elsewhere, home, &[]);
    compare_zones(&demo);
    let blocks = demo.process.stdout();
    demo.process.kill();
    let Demo { home, .. } = demo;
    let mut demo = Demo::start_in(&elsewhere, home, &[]);
    let height = |text: &str| text.split(" chain of ").nth(1).map(str::to_owned);
    let shown = demo.process.stdout();
    assert_eq!(
        height(&shown).and_then(|rest| rest.lines().next().map(str::to_owned)),
        height(&blocks).and_then(|rest| rest.lines().next().map(str::to_owned)),
        "nothing new had to be mined"
    );
    assert!(see(demo.server, "werner.id", RecordType::A).has_address("192.0.2.10"));
    assert!(demo.process.terminate().success());
}

#[test]
fn its_hints_work_when_they_are_typed() {
    let demo = Demo::start(&[]);
    let shown = demo.process.stdout();
    let hints: Vec<&str> = shown
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .collect();
    assert!(hints.len() >= 4, "{shown}");
    for hint in hints {
        let mut words = hint.split_whitespace();
        let program = match words.next() {
            Some("bnsd") => env!("CARGO_BIN_EXE_bnsd"),
            Some(program) => program,
            None => continue,
        };
        let words: Vec<&str> = words.collect();
        let ended = ended(&mut demo.home.command(program, &words));
        assert_eq!(ended.code, 0, "{hint}: {}", ended.stderr);
        assert!(!ended.stdout.is_empty(), "{hint}");
    }
}

#[test]
fn what_is_not_there_is_said_with_a_soa() {
    let demo = Demo::start(&[]);
    let see = |name, rtype| see(demo.server, name, rtype);
    for name in [
        "nosuch.id",
        "a.b.nosuch.helloworld",
        "nosuch.werner.id",
        "nosuch.id.bns.alt",
    ] {
        let seen = see(name, RecordType::A);
        assert!(seen.is_negative(ResponseCode::NXDomain), "{name}: {seen:?}");
    }
    // Another type, an empty non-terminal (RFC 4592), and a namespace.
    for name in ["profile.id", "b.c.wild.id", "_tcp.werner.id", "id"] {
        let seen = see(name, RecordType::A);
        assert!(seen.is_negative(ResponseCode::NoError), "{name}: {seen:?}");
    }
    let wildcard = see("anything.at.wild.id", RecordType::A);
    assert!(wildcard.has_address("198.51.100.61"), "{wildcard:?}");
}

#[test]
fn apex_questions_and_the_alias_are_answered() {
    let demo = Demo::start(&[]);
    let see = |name, rtype| see(demo.server, name, rtype);
    for name in ["werner.id", "id", "helloworld", "werner.id.bns.alt"] {
        for rtype in [RecordType::SOA, RecordType::NS] {
            let seen = see(name, rtype);
            assert_eq!(seen.rcode, ResponseCode::NoError, "{name} {rtype}");
            assert!(!seen.answers.is_empty(), "{name} {rtype}");
        }
        assert!(
            see(name, RecordType::DS).is_negative(ResponseCode::NoError),
            "{name}"
        );
    }
    assert!(see("mail.werner.id.bns.alt", RecordType::A).has_address("192.0.2.11"));
    let alias = see("alias.id", RecordType::A);
    assert!(
        alias.has_address("192.0.2.10") && alias.answers.len() == 2,
        "{alias:?}"
    );
    let moved = see("www.old.moved.id", RecordType::A);
    assert!(moved.has_address("198.51.100.100"), "{moved:?}");
}

#[test]
fn ad_is_for_those_who_ask() {
    let demo = Demo::start(&[]);
    let mut question = query("werner.id", RecordType::A);
    assert!(!udp(demo.server, &question).metadata.authentic_data);
    question.metadata.authentic_data = true;
    let answer = udp(demo.server, &question);
    assert!(answer.metadata.authentic_data && answer.metadata.authoritative);
}

#[test]
fn what_does_not_fit_is_cut_and_comes_over_tcp() {
    let demo = Demo::start(&[]);
    // 60 addresses take 28 + 60 * 16 bytes and fit into 1232, not into 512.
    let full = udp(demo.server, &query("big.id", RecordType::A));
    assert!(!full.metadata.truncation && full.answers.len() == 60);
    let plain = udp(demo.server, &dns::plain_query("big.id", RecordType::A));
    assert!(plain.metadata.truncation && plain.edns.is_none());
    let mut small = query("big.id", RecordType::A);
    for payload in [0, 512, 700, 900] {
        let mut edns = small.edns.take().expect("EDNS");
        edns.set_max_payload(payload);
        small.set_edns(edns);
        let cut = udp(demo.server, &small);
        assert!(cut.metadata.truncation, "{payload}");
        assert!(cut.edns.is_some(), "OPT is kept at {payload}");
        assert_eq!(tcp(demo.server, &small).answers.len(), 60);
    }
}

#[test]
fn dig_shows_it() {
    let demo = Demo::start(&[]);
    let dig = |arguments: &[&str]| {
        let (ip, port) = (
            format!("@{}", demo.server.ip()),
            demo.server.port().to_string(),
        );
        let mut command = Command::new("dig");
        command.args([ip.as_str(), "-p", &port]).args(arguments);
        let ended = ended(&mut command);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        ended.stdout
    };
    let shown = dig(&["werner.id", "MX"]);
    for part in [
        "status: NOERROR",
        "flags: qr aa rd ra",
        "EDNS: version: 0",
        "werner.id.\t\t600\tIN\tMX\t10 mail.werner.id.",
        "werner.id.\t\t600\tIN\tMX\t20 backup.mail.example.com.",
    ] {
        assert!(shown.contains(part), "{part:?} is not in\n{shown}");
    }
    assert_eq!(dig(&["+short", "+tcp", "big.id"]).lines().count(), 60);
    let uri = dig(&["+short", "_https._tcp.judecn.id", "URI"]);
    assert_eq!(
        uri.trim(),
        "10 1 \"https://blockstack.s3.amazonaws.com/judecn.id\""
    );
    assert!(dig(&["nosuch.id"]).contains("status: NXDOMAIN"));
}

#[test]
fn legacy_names_come_from_the_upstream() {
    let unbound = Unbound::start();
    let demo = Demo::start(&["--upstream", &unbound.address.to_string()]);
    let see = |name, rtype| see(demo.server, name, rtype);
    let web = see("www.example.com", RecordType::A);
    assert!(web.has_address("93.184.215.14"), "{web:?}");
    assert!(
        !udp(demo.server, &query("www.example.com", RecordType::A))
            .metadata
            .authoritative
    );
    assert_eq!(see("example.com", RecordType::MX).answers.len(), 1);
    assert_eq!(
        see("nosuch.example.com", RecordType::A).rcode,
        ResponseCode::NXDomain
    );
    let none = see("www.example.com", RecordType::TXT);
    assert!(
        none.rcode == ResponseCode::NoError && none.answers.is_empty(),
        "{none:?}"
    );
    assert_eq!(
        tcp(demo.server, &query("www.example.com", RecordType::AAAA))
            .answers
            .len(),
        1
    );
    // From a BNS name to a legacy name, by CNAME and by DNAME.
    let chased = see("legacy.moved.id", RecordType::A);
    assert!(
        chased.has_address("93.184.215.14") && chased.answers.len() == 2,
        "{chased:?}"
    );
    let chased = see("www.out.moved.id", RecordType::A);
    assert!(chased.has_address("93.184.215.14"), "{chased:?}");
}

#[test]
fn private_addresses_do_not_come_from_outside() {
    let unbound = Unbound::start();
    let demo = Demo::start(&["--upstream", &unbound.address.to_string()]);
    let both = see(demo.server, "both.example.com", RecordType::A);
    assert!(
        both.answers.len() == 1 && both.has_address("93.184.215.15"),
        "{both:?}"
    );
    for (name, rtype) in [
        ("router.example.com", RecordType::A),
        ("here.example.com", RecordType::AAAA),
    ] {
        let seen = see(demo.server, name, rtype);
        assert!(seen.answers.is_empty(), "{seen:?}");
        assert!(unbound.was_asked(name));
    }
}

#[test]
fn names_of_the_chain_and_special_names_stay_here() {
    let unbound = Unbound::start();
    let demo = Demo::start(&["--upstream", &unbound.address.to_string()]);
    let names = [
        "werner.id",
        "nosuch.id",
        "id",
        "nosuch.helloworld",
        "werner.id.bns.alt",
        "nosuch.alt",
        "localhost",
        "printer.local",
        "x.test",
        "x.invalid",
        "x.onion",
        "home.arpa",
        "x.home.arpa",
        "1.0.0.127.in-addr.arpa",
        "1.1.168.192.in-addr.arpa",
    ];
    for name in names {
        let answer = udp(demo.server, &query(name, RecordType::A));
        assert!(answer.metadata.authoritative, "{name}");
        let rcode = answer.metadata.response_code;
        assert!(
            matches!(rcode, ResponseCode::NoError | ResponseCode::NXDomain),
            "{name}: {rcode}"
        );
    }
    see(demo.server, "www.example.com", RecordType::A);
    assert!(unbound.was_asked("www.example.com"));
    for name in names {
        assert!(!unbound.was_asked(name), "{name} left the machine");
    }
    assert!(see(demo.server, "localhost", RecordType::A).has_address("127.0.0.1"));
}
