//! What goes through untouched, and what is left out: rows 29, 39 and 49.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::opt::EdnsOption;

use super::{GOOD, answers, asking};
use crate::common::resolver::{Resolver, query, with_edns};
use crate::common::upstream::{ASKED, Over, Send, Upstream, asked, good, question_end, response};

#[test]
fn row_39_rfc6840_records_and_flags_pass_and_nothing_else_does() {
    let upstream = Upstream::start(|seen| {
        // Bytes that would not survive being taken for a name.
        vec![Send::Reply(response(
            &seen.bytes,
            0,
            &[(ASKED, 65280, 60, &[0xc0, 12, 0xff, b'A'])],
            &[],
        ))]
    });
    let resolver = asking(&upstream);
    let mut message = with_edns(query("Www.Example.Com.", RecordType::from(65280)));
    message.metadata.checking_disabled = true;
    let edns = message.edns.as_mut().unwrap();
    edns.set_dnssec_ok(true);
    let subnet = vec![0, 1, 24, 0, 192, 0, 2];
    edns.options_mut().insert(EdnsOption::Unknown(8, subnet));
    let answer = resolver.send(&message);
    let sent = message.to_vec().unwrap();
    let end = question_end(&sent);
    assert_eq!(answer.bytes[12..end], sent[12..end]);
    assert_eq!(answer.bytes[end + 12..end + 16], [0xc0, 12, 0xff, b'A']);
    let metadata = &answer.message.metadata;
    assert!(!metadata.authentic_data && !metadata.authoritative && metadata.checking_disabled);
    let asked = upstream.seen()[0].bytes.clone();
    assert_eq!(asked[3] & 0x10, 0x10, "CD");
    let asked = Message::from_vec(&asked).unwrap();
    let edns = asked.edns.unwrap();
    assert!(edns.flags().dnssec_ok);
    assert_eq!(edns.max_payload(), 1232);
    assert!(
        edns.option(8.into()).is_none(),
        "client subnet went upstream"
    );
}

#[test]
fn what_nobody_asked_for_is_left_out() {
    let upstream = Upstream::start(|seen| {
        let glue = (
            &b"\x04evil\x07example\0"[..],
            1,
            60,
            &[198, 51, 100, 66][..],
        );
        let answer = (ASKED, 15, 60, &b"\0\x0a\x04evil\x07example\0"[..]);
        let mut bytes = response(&seen.bytes, 0, &[answer, glue], &[]);
        // The last record moves into the additional section.
        (bytes[7], bytes[11]) = (1, bytes[11] + 1);
        vec![Send::Reply(bytes)]
    });
    let resolver = asking(&upstream);
    for _ in 0..2 {
        let answer = resolver.ask_edns("mail.example.com.", RecordType::MX);
        assert_eq!(answer.message.answers.len(), 1);
        assert!(answer.message.additionals.is_empty() && answer.message.edns.is_some());
    }
}

/// Row 42: a circle is no answer, unless the alias is what was asked for.
#[test]
fn row_42_rfc1034_an_upstreams_circle_of_aliases_is_a_failure() {
    let upstream = Upstream::start(|seen| {
        let b = &b"\x01b\x07example\0"[..];
        let circle = [(ASKED, 5, 60, b), (b, 5, 60, ASKED)];
        let records = match asked(&seen.bytes).starts_with("self") {
            true => &[(ASKED, 5, 60, ASKED)][..],
            false => &circle[..],
        };
        vec![Send::Reply(response(&seen.bytes, 0, records, &[]))]
    });
    let resolver = asking(&upstream);
    for (name, ede) in [
        ("a.example.com.", 0),
        ("self.example.com.", 0),
        ("a.example.com.", 13),
    ] {
        let answer = resolver.ask_edns(name, RecordType::A);
        assert_eq!(
            (answer.rcode(), answer.ede()),
            (ResponseCode::ServFail, Some(ede)),
            "{name}"
        );
    }
    let alias = resolver.ask_edns("a.example.com.", RecordType::CNAME);
    assert_eq!(alias.rcode(), ResponseCode::NoError);
}

#[test]
fn cut_answers_are_fetched_over_tcp_and_cut_again_for_udp_clients() {
    let upstream = Upstream::start(|seen| {
        let records: Vec<_> = (0..100_u8).map(|last| [198, 51, 100, last]).collect();
        let records: Vec<_> = records
            .iter()
            .map(|data| (ASKED, 1, 60, &data[..]))
            .collect();
        let mut bytes = response(&seen.bytes, 0, &records, &[]);
        if seen.over == Over::Udp {
            bytes = response(&seen.bytes, 0, &[], &[]);
            bytes[2] |= 2;
        }
        vec![Send::Reply(bytes)]
    });
    let resolver = asking(&upstream);
    let answer = resolver.ask_edns("long.example.com.", RecordType::A);
    assert!(answer.message.metadata.truncation && answer.message.edns.is_some());
    assert!(answer.bytes.len() <= 1232);
    let whole = resolver.ask_tcp(&query("long.example.com.", RecordType::A));
    assert_eq!(whole.message.answers.len(), 100);
    assert_eq!(upstream.count(), 2);
}

#[test]
fn row_29_rfc7873_an_upstream_without_edns_and_one_that_wants_cookies_are_understood() {
    let old = Upstream::start(|seen| match seen.bytes[11] {
        0 => answers(seen),
        _ => vec![Send::Reply(response(&seen.bytes, 1, &[], &[]))],
    });
    let resolver = asking(&old);
    assert_eq!(
        resolver.ask("a.example.com.", RecordType::A).addresses(),
        [GOOD]
    );
    assert_eq!(old.count(), 2);
    let strict = Upstream::start(|seen| {
        let cookie = seen.bytes[question_end(&seen.bytes) + 15..].to_vec();
        let mut bytes = match cookie.len() {
            16 => good(&seen.bytes),
            _ => response(&seen.bytes, 7, &[], &[]),
        };
        // BADCOOKIE is 23: 1 in OPT, 7 in the header.
        let high = u8::from(cookie.len() != 16);
        bytes[11] = 1;
        bytes.extend([0, 0, 41, 4, 208, high, 0, 0, 0, 0, 20, 0, 10, 0, 16]);
        bytes.extend(&cookie[..8]);
        bytes.extend(b"a server");
        vec![Send::Reply(bytes)]
    });
    let resolver = asking(&strict);
    assert_eq!(
        resolver.ask("a.example.com.", RecordType::A).addresses(),
        [GOOD]
    );
    assert_eq!(
        resolver.ask("b.example.com.", RecordType::A).addresses(),
        [GOOD]
    );
    assert_eq!(strict.count(), 3);
}

#[test]
fn row_49_private_addresses_are_taken_out_unless_allowed() {
    let upstream = Upstream::start(|seen| {
        let hints: &[u8] = &[0, 1, 0, 0, 4, 0, 4, 10, 0, 0, 1];
        let hidden: &[u8] = &[0, 1, 0xc0, 12, 0, 4, 0, 4, 10, 0, 0, 1];
        let name = asked(&seen.bytes);
        let record = match name.split('.').next().unwrap() {
            "hints" => (ASKED, 65, 60, hints),
            "hidden" => (ASKED, 65, 60, hidden),
            _ => (ASKED, 1, 60, &[10, 0, 0, 1][..]),
        };
        vec![Send::Reply(response(&seen.bytes, 0, &[record], &[]))]
    });
    let resolver = Resolver::start(&format!(
        "upstreams = [\"{}\"]\nallow-private = [\"home.example\"]",
        upstream.address
    ));
    for _ in 0..2 {
        let answer = resolver.ask_edns("www.example.com.", RecordType::A);
        assert!(answer.message.answers.is_empty());
        assert_eq!(answer.ede(), Some(15));
    }
    let answer = resolver.ask_edns("hints.example.com.", RecordType::HTTPS);
    assert!(answer.message.answers.is_empty());
    let answer = resolver.try_send(&query("hidden.example.com.", RecordType::HTTPS));
    assert!(answer.is_none_or(|answer| answer.message.answers.is_empty()));
    let answer = resolver.ask("nas.home.example.", RecordType::A);
    assert_eq!(answer.addresses(), ["10.0.0.1"]);
}

#[test]
fn row_49_every_kind_of_private_address_is_taken_out() {
    const CASES: [(&str, &[u8]); 12] = [
        ("loopback", &[127, 0, 0, 1]),
        ("anything", &[0, 0, 0, 0]),
        ("ten", &[10, 1, 2, 3]),
        ("twelve", &[172, 31, 0, 1]),
        ("sixteen", &[192, 168, 1, 1]),
        ("link", &[169, 254, 1, 1]),
        ("all", &[255, 255, 255, 255]),
        ("six", &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        (
            "mapped",
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1],
        ),
        (
            "nat",
            &[0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1],
        ),
        (
            "near",
            &[0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        ),
        (
            "unique",
            &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        ),
    ];
    let upstream = Upstream::start(|seen| {
        let name = asked(&seen.bytes);
        let kind = name.split('.').next().unwrap();
        let (_, data) = CASES.iter().find(|(case, _)| *case == kind).unwrap();
        let record = (ASKED, if data.len() == 4 { 1 } else { 28 }, 60, *data);
        vec![Send::Reply(response(&seen.bytes, 0, &[record], &[]))]
    });
    let resolver = asking(&upstream);
    for (case, data) in CASES {
        let rtype = match data.len() {
            4 => RecordType::A,
            _ => RecordType::AAAA,
        };
        let answer = resolver.ask_edns(&format!("{case}.example.com."), rtype);
        assert!(answer.message.answers.is_empty(), "{case}");
        assert_eq!(answer.ede(), Some(15), "{case}");
    }
}
