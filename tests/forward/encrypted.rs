//! Rows 26 and 27, a real unbound over every transport, and routes.

use std::collections::HashSet;
use std::net::UdpSocket;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{RData, RecordType};

use super::{GOOD, answers, asking, form, pinned};
use crate::common::doh::{Doh, Reply};
use crate::common::resolver::{Resolver, query};
use crate::common::unbound::SecureUnbound;
use crate::common::upstream::{
    ASKED, Certificate, Over, Seen, Send, Upstream, asked, good, question_end, response,
};

#[test]
fn row_26_rfc8310_encrypted_upstreams_prove_who_they_are_and_are_never_asked_in_the_clear() {
    let certificate = Certificate::new("dns.example");
    let other = Certificate::new("dns.example");
    let upstream = Upstream::start_tls(&certificate, answers);
    let resolver = Resolver::asking(&[&pinned(&certificate, &upstream)]);
    for number in 0..5 {
        let answer = resolver.ask(&format!("n{number}.example.com."), RecordType::A);
        assert_eq!(answer.addresses(), [GOOD]);
    }
    let seen = upstream.seen();
    assert!(
        seen.iter()
            .all(|seen| seen.over == Over::Tls && seen.bytes.len() % 128 == 0)
    );
    let connections: HashSet<u16> = seen.iter().map(|seen| seen.from.port()).collect();
    assert_eq!(connections.len(), 1, "the connection is kept");
    let before = upstream.count();
    for wrong in [
        pinned(&other, &upstream),
        format!("tls://dns.example@{}", upstream.address),
        format!("tls://other.example@{}", upstream.address),
        format!("tls://{}", upstream.address),
    ] {
        let resolver = Resolver::asking(&[&wrong]);
        let answer = resolver.ask_edns("www.example.com.", RecordType::A);
        assert_eq!(
            (answer.rcode(), answer.ede()),
            (ResponseCode::ServFail, Some(22)),
            "{wrong}"
        );
    }
    assert_eq!(upstream.count(), before);
}

#[test]
fn a_real_unbound_is_asked_over_every_transport() {
    let certificate = Certificate::new("dns.example");
    let unbound = SecureUnbound::start(&certificate);
    let scratch = tempfile::tempdir().unwrap();
    let authorities = scratch.path().join("ca.pem");
    std::fs::write(&authorities, &certificate.pem).unwrap();
    let bootstrap = Upstream::start(|seen| {
        let is_a = seen.bytes[question_end(&seen.bytes) - 3] == 1;
        let known = asked(&seen.bytes) == "dns.example." && is_a;
        let answer = [(ASKED, 1, 60, &[127, 0, 0, 1][..])];
        let answers = if known { &answer[..] } else { &[] };
        vec![Send::Reply(response(&seen.bytes, 0, answers, &[]))]
    });
    for upstream in [
        unbound.plain.to_string(),
        format!("tls://dns.example@{}", unbound.tls),
        format!("tls://sha256:{}@{}", certificate.pin, unbound.tls),
        format!("tls://dns.example:{}", unbound.tls.port()),
        format!("https://dns.example@{}/dns-query", unbound.https),
        format!("https://dns.example@{}/dns-query{{?dns}}", unbound.https),
        format!("https://dns.example:{}/dns-query", unbound.https.port()),
    ] {
        let resolver = Resolver::start(&format!(
            "upstreams = [\"{upstream}\"]\nca-file = {authorities:?}\nbootstrap = [\"{}\"]",
            bootstrap.address
        ));
        let answer = resolver.ask("www.example.com.", RecordType::A);
        assert_eq!(answer.addresses(), ["93.184.215.14"], "{upstream}");
        let unknown = resolver.ask("www.example.com.", RecordType::from(65280));
        assert!(
            matches!(&unknown.message.answers[0].data, RData::Unknown { rdata, .. }
                if rdata.anything == [0xde, 0xad, 0xbe, 0xef]),
            "{upstream}"
        );
        let missing = resolver.ask("nosuch.example.com.", RecordType::A);
        assert_eq!(missing.rcode(), ResponseCode::NXDomain, "{upstream}");
    }
    let asked = bootstrap.seen();
    assert!(asked.iter().all(|seen| asked_name(seen) == "dns.example."));
}

fn asked_name(seen: &Seen) -> String {
    asked(&seen.bytes)
}

#[test]
fn a_route_leads_elsewhere_and_may_have_private_addresses() {
    let all = Upstream::start(answers);
    let office = Upstream::start(|seen| {
        vec![Send::Reply(response(
            &seen.bytes,
            0,
            &[(ASKED, 1, 60, &[10, 0, 0, 53])],
            &[],
        ))]
    });
    let resolver = Resolver::start(&format!(
        "upstreams = [\"{}\"]\n[dns.routes]\n\"corp.example\" = [\"{2}\"]\n\"10.in-addr.arpa\" = [\"{2}\"]\n# {1}",
        all.address, "", office.address
    ));
    let answer = resolver.ask("www.corp.example.", RecordType::A);
    assert_eq!(answer.addresses(), ["10.0.0.53"]);
    assert_eq!(
        resolver.ask("corp.example.com.", RecordType::A).addresses(),
        [GOOD]
    );
    // A special name is forwarded where somebody was named for it.
    resolver.ask("1.0.0.10.in-addr.arpa.", RecordType::PTR);
    assert_eq!((all.count(), office.count()), (1, 2));
}

#[test]
fn row_53_names_that_are_only_ours_never_reach_an_upstream() {
    let upstream = Upstream::start(answers);
    let resolver = asking(&upstream);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let mut buffer = [0; 4096];
    for number in 0..form(2_000, 10_000) {
        let name = match number % 3 {
            0 => format!("n{number}.id.bns.alt."),
            1 => format!("www.n{number}.podcast.bns.alt."),
            _ => format!("n{number}.x.bns.alt."),
        };
        let bytes = query(&name, RecordType::A).to_vec().unwrap();
        socket.send_to(&bytes, resolver.address).unwrap();
        socket.recv(&mut buffer).unwrap();
    }
    assert_eq!(upstream.count(), 0);
}

fn https(certificate: &Certificate, doh: &Doh) -> String {
    format!(
        "https://sha256:{}@{}/dns-query",
        certificate.pin, doh.address
    )
}

#[test]
fn row_27_rfc8484_the_time_that_caches_on_the_way_used_up_is_gone() {
    let certificate = Certificate::new("dns.example");
    let doh = Doh::start(&certificate, |query| {
        let age = match asked(query).split('.').next().unwrap() {
            "young" => "100",
            "old" => "5000",
            "absurd" => "99999999999999999999",
            _ => "no number",
        };
        Reply::message(good(query)).header("age", age)
    });
    let resolver = Resolver::asking(&[&https(&certificate, &doh)]);
    let ttl = |name: &str| resolver.ask(name, RecordType::A).ttl();
    assert_eq!(ttl("young.example.com."), 200);
    assert_eq!(ttl("old.example.com."), 0);
    assert_eq!(ttl("absurd.example.com."), 0);
    assert_eq!(ttl("plain.example.com."), 300);
    // What is used up already is kept for nobody.
    let before = doh.seen().len();
    ttl("young.example.com.");
    ttl("old.example.com.");
    assert_eq!(doh.seen().len(), before + 1);
    assert!(
        doh.seen()
            .iter()
            .all(|(path, query)| path == "/dns-query" && query[..2] == [0, 0])
    );
}

#[test]
fn row_27_rfc8484_only_a_message_with_status_200_is_an_answer() {
    let certificate = Certificate::new("dns.example");
    let doh = Doh::start(&certificate, |query| {
        let reply = Reply::message(good(query));
        let name = asked(query);
        match name.split('.').next().unwrap() {
            "type" => reply.header("content-type", "text/html"),
            "long" => Reply::message([good(query), vec![0; 66_000]].concat()),
            "good" => reply.header("content-type", "application/DNS-message; charset=x"),
            status => reply
                .status(status.parse().unwrap())
                .header("location", "/elsewhere"),
        }
    });
    let resolver = Resolver::asking(&[&https(&certificate, &doh)]);
    for name in [
        "301", "302", "303", "307", "308", "201", "404", "500", "type", "long",
    ] {
        let answer = resolver.ask_edns(&format!("{name}.example.com."), RecordType::A);
        assert_eq!(answer.rcode(), ResponseCode::ServFail, "{name}");
        assert_eq!(answer.ede(), Some(23), "{name}");
    }
    let answer = resolver.ask("good.example.com.", RecordType::A);
    assert_eq!(answer.addresses(), [GOOD]);
    assert!(
        doh.seen().iter().all(|(path, _)| path == "/dns-query"),
        "no redirect is followed"
    );
}

#[test]
fn row_39_the_upstreams_ad_is_believed_by_choice_and_over_tls_only() {
    let certificate = Certificate::new("dns.example");
    // Its answers have AD.
    let encrypted = Upstream::start_tls(&certificate, answers);
    let plain = Upstream::start(answers);
    for (upstream, choice, expected) in [
        (pinned(&certificate, &encrypted), true, true),
        (pinned(&certificate, &encrypted), false, false),
        (plain.address.to_string(), true, false),
    ] {
        let resolver = Resolver::start(&format!("upstreams = [{upstream:?}]\ntrust-ad = {choice}"));
        let mut asks = query("www.example.com.", RecordType::A);
        let unasked = resolver.send(&asks).message.metadata.authentic_data;
        assert!(!unasked, "{upstream}: only for those who ask");
        asks.metadata.authentic_data = true;
        // The first comes from upstream, the second from what is kept.
        for _ in 0..2 {
            let answer = resolver.send(&asks).message.metadata.authentic_data;
            assert_eq!(answer, expected, "{upstream} {choice}");
        }
    }
}

#[test]
fn row_48_rfc8305_both_families_of_an_upstream_are_tried() {
    let certificate = Certificate::new("dns.example");
    let upstream = Upstream::start_tls(&certificate, answers);
    let port = upstream.address.port();
    let authorities = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(authorities.path(), &certificate.pem).unwrap();
    // Nobody listens at ::1, and 192.0.2.1 swallows everything.
    let six = [&[0; 15][..], &[1]].concat();
    for (fours, sixes) in [
        (vec![[127, 0, 0, 1]], vec![six]),
        (vec![[192, 0, 2, 1], [127, 0, 0, 1]], vec![]),
    ] {
        let bootstrap = Upstream::start(move |seen| {
            let (rtype, data): (u16, Vec<&[u8]>) = match seen.bytes[question_end(&seen.bytes) - 3] {
                1 => (1, fours.iter().map(|four| &four[..]).collect()),
                _ => (28, sixes.iter().map(|six| &six[..]).collect()),
            };
            let records: Vec<_> = data.iter().map(|data| (ASKED, rtype, 60, *data)).collect();
            vec![Send::Reply(response(&seen.bytes, 0, &records, &[]))]
        });
        let resolver = Resolver::start(&format!(
            "upstreams = [\"tls://dns.example:{port}\"]\nca-file = {:?}\nbootstrap = [\"{}\"]",
            authorities.path(),
            bootstrap.address
        ));
        let answer = resolver.ask("www.example.com.", RecordType::A);
        assert_eq!(answer.addresses(), [GOOD]);
        assert!(answer.after < Duration::from_secs(4), "{:?}", answer.after);
    }
}
