//! What somebody sees of zone files that their owner wrote badly or with bad intent: what is harmful is left out, the
//! rest is served, and no other name is touched. Also the demo with zone files of one's own.

use std::fs;
use std::path::Path;

use bnsd::api::explain::{ExplainReply, ExplainRequest};
use bnsd::api::message::{Reply, Request};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{RData, RecordType};

use crate::common::demo::Demo;
use crate::common::dns::{query, see, tcp, udp};
use crate::common::home::{Home, is_one_sentence};
use crate::common::process::ask;

/// A demo of these zone files, by name.
fn demo(files: &[(&str, &str)]) -> Demo {
    let home = Home::new();
    let folder = home.folder("zones");
    for (name, text) in files {
        fs::write(folder.join(format!("{name}.zone")), text).expect("a file");
    }
    let folder = folder.display().to_string();
    Demo::start_in(Path::new("/"), home, &["--zonefiles", &folder])
}

fn explain(demo: &Demo, name: &str) -> ExplainReply {
    let request = Request::Explain(ExplainRequest {
        name: name.to_owned(),
        record_type: "A".to_owned(),
    });
    match ask(&demo.home.state().join("demo/control.sock"), &request) {
        Some(Reply::Explain(reply)) => *reply,
        other => panic!("no explanation: {other:?}"),
    }
}

#[test]
fn private_addresses_are_left_out() {
    let text = "@ A 192.168.1.1\n@ A 198.51.100.7\n@ AAAA ::1\nin A 10.1.2.3\nmapped AAAA ::ffff:10.0.0.1\n";
    let zonefile = |name: &str| format!("$ORIGIN {name}\n$TTL 60\n{text}");
    let demo = demo(&[("evil.id", &zonefile("evil.id"))]);
    let seen = see(demo.server, "evil.id", RecordType::A);
    assert!(
        seen.has_address("198.51.100.7") && seen.answers.len() == 1,
        "{seen:?}"
    );
    for (name, rtype) in [
        ("evil.id", RecordType::AAAA),
        ("in.evil.id", RecordType::A),
        ("mapped.evil.id", RecordType::AAAA),
    ] {
        let seen = see(demo.server, name, rtype);
        assert!(
            seen.answers.is_empty() && seen.rcode == ResponseCode::NoError,
            "{name}: {seen:?}"
        );
    }
}

/// The owner of a machine may want them, for names that lead into the own network.
#[test]
fn private_addresses_are_served_where_they_are_allowed() {
    let text =
        |name: &str| format!("$ORIGIN {name}\n$TTL 60\n@ A 192.168.1.1\nprinter A 192.168.1.2\n");
    let mut first = demo(&[("home.id", &text("home.id")), ("evil.id", &text("evil.id"))]);
    assert!(first.process.terminate().success());
    let home = first.home;
    let folder = home.path().join("zones").display().to_string();
    let mut command = home.bnsd(&["demo", "--listen", "127.0.0.1:0", "--zonefiles", &folder]);
    command.env("BNSD_DNS_ALLOW_PRIVATE", "home.id");
    let demo = Demo::run(home, command);
    assert!(see(demo.server, "home.id", RecordType::A).has_address("192.168.1.1"));
    assert!(see(demo.server, "printer.home.id", RecordType::A).has_address("192.168.1.2"));
    assert!(
        see(demo.server, "evil.id", RecordType::A)
            .answers
            .is_empty()
    );
}

#[test]
fn names_of_others_and_directives_are_ignored() {
    let evil = "$ORIGIN evil.id\n$TTL 60\n@ A 198.51.100.7\nvictim.id. A 198.51.100.66\n\
                www.example.com. A 198.51.100.66\n. NS ns.evil.id.\n$INCLUDE /etc/passwd\n\
                $GENERATE 1-9 host$ A 198.51.100.66\nafter A 198.51.100.8\n";
    let victim = "$ORIGIN victim.id\n$TTL 60\n@ A 192.0.2.1\n";
    let demo = demo(&[("evil.id", evil), ("victim.id", victim)]);
    let see = |name| see(demo.server, name, RecordType::A);
    assert!(see("evil.id").has_address("198.51.100.7"));
    assert!(see("after.evil.id").has_address("198.51.100.8"));
    let seen = see("victim.id");
    assert!(
        seen.has_address("192.0.2.1") && seen.answers.len() == 1,
        "{seen:?}"
    );
    for name in [
        "www.example.com.evil.id",
        "victim.id.evil.id",
        "host1.evil.id",
    ] {
        assert!(see(name).is_negative(ResponseCode::NXDomain), "{name}");
    }
    let problems = explain(&demo, "evil.id").provenance.zonefile_problems;
    assert!(problems.len() >= 5, "{problems:?}");
}

#[test]
fn circles_of_aliases_end() {
    let demo = demo(&[
        (
            "circle.id",
            "$ORIGIN circle.id\n$TTL 60\n@ CNAME www\nwww CNAME @\n",
        ),
        ("ping.id", "$ORIGIN ping.id\n$TTL 60\n@ CNAME pong.id.\n"),
        ("pong.id", "$ORIGIN pong.id\n$TTL 60\n@ CNAME ping.id.\n"),
        (
            "deeper.id",
            "$ORIGIN deeper.id\n$TTL 60\nx DNAME x.x\n@ A 192.0.2.1\n",
        ),
    ]);
    for name in ["circle.id", "ping.id", "a.x.deeper.id"] {
        let seen = see(demo.server, name, RecordType::A);
        assert!(
            matches!(seen.rcode, ResponseCode::ServFail | ResponseCode::YXDomain),
            "{seen:?}"
        );
    }
    assert!(see(demo.server, "deeper.id", RecordType::A).has_address("192.0.2.1"));
}

/// However much a client says that it takes: UDP answers stay below 1232 bytes, say so, and keep OPT.
#[test]
fn large_answers_are_cut_at_1232_bytes() {
    let records = (0..90).map(|last| format!("@ A 203.0.113.{last}\n"));
    let text = format!("$ORIGIN large.id\n$TTL 60\n{}", records.collect::<String>());
    let demo = demo(&[("large.id", &text)]);
    for payload in [1232, 4096, 65_535] {
        let mut question = query("large.id", RecordType::A);
        let mut edns = question.edns.take().expect("EDNS");
        edns.set_max_payload(payload);
        question.set_edns(edns);
        let cut = udp(demo.server, &question); // checks the length
        assert!(cut.metadata.truncation && cut.edns.is_some(), "{payload}");
        assert_eq!(tcp(demo.server, &question).answers.len(), 90);
    }
}

/// Serials tell secondaries and caches what changed: the name's last change, and for a namespace the height.
#[test]
fn serials_are_heights() {
    let demo = demo(&[("werner.id", "$ORIGIN werner.id\n$TTL 60\n@ A 192.0.2.1\n")]);
    let serial = |name| {
        let answer = udp(demo.server, &query(name, RecordType::SOA));
        match answer.answers.first().map(|record| record.data.clone()) {
            Some(RData::SOA(soa)) => soa.serial,
            other => panic!("no SOA: {other:?}"),
        }
    };
    let explained = explain(&demo, "werner.id");
    assert_eq!(
        Some(serial("werner.id")),
        explained.provenance.registration.height
    );
    let status = crate::common::process::status(&demo.home.state().join("demo/control.sock"));
    assert_eq!(Some(serial("id")), status.expect("a status").height);
}

/// A changed file is announced when the demo starts again: a NAME_UPDATE, no new registration.
#[test]
fn a_changed_file_is_announced_at_the_next_start() {
    let mut first = demo(&[("werner.id", "$ORIGIN werner.id\n$TTL 60\n@ A 192.0.2.1\n")]);
    assert!(see(first.server, "werner.id", RecordType::A).has_address("192.0.2.1"));
    assert!(first.process.terminate().success());
    let home = first.home;
    let folder = home.path().join("zones");
    fs::write(
        folder.join("werner.id.zone"),
        "$ORIGIN werner.id\n$TTL 60\n@ A 192.0.2.2\n",
    )
    .expect("a file");
    let folder = folder.display().to_string();
    let demo = Demo::start_in(Path::new("/"), home, &["--zonefiles", &folder]);
    assert!(see(demo.server, "werner.id", RecordType::A).has_address("192.0.2.2"));
    let operations: Vec<String> = explain(&demo, "werner.id")
        .provenance
        .registration
        .history
        .into_iter()
        .map(|entry| entry.operation)
        .collect();
    assert_eq!(operations, ["NAME_REGISTRATION", "NAME_UPDATE"]);
}

#[test]
fn folders_without_zone_files_are_said() {
    let home = Home::new();
    let folder = home.folder("zones");
    let path = folder.display().to_string();
    let run = |path: &str| home.run(&["demo", "--listen", "127.0.0.1:0", "--zonefiles", path]);
    is_one_sentence(
        &run(&path),
        3,
        &["there is no NAME.zone file in", &path, "put one there"],
    );
    is_one_sentence(
        &run("/nowhere"),
        3,
        &[
            "cannot read the zone files in /nowhere",
            "check the directory",
        ],
    );
    fs::write(folder.join("no name.zone"), "").expect("a file");
    is_one_sentence(
        &run(&path),
        3,
        &["no name.zone", "rename it, for example to werner.id.zone"],
    );
    fs::remove_file(folder.join("no name.zone")).expect("a file");
    fs::write(folder.join("large.id.zone"), vec![b';'; 40_961]).expect("a file");
    is_one_sentence(&run(&path), 3, &["has more than 40960 bytes", "shorten it"]);
}
