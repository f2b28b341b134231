//! Rows 1 to 7, 20, 21, 29, 33, 35, 44, 45, 48 and 52.

use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, RecordType};

use super::bench::{Query, RD, extended_error, option, shared, tcp_receive, tcp_send, udp};

const SHORT: Duration = Duration::from_millis(300);

fn rcode(query: &[u8]) -> ResponseCode {
    shared().udp(query).metadata.response_code
}

fn a(name: &str) -> Query {
    Query::new(name, RecordType::A)
}

#[test]
fn row_01_rfc1035_header_and_question_are_echoed() {
    for flags in [0, RD] {
        let query = a("A.GooD.iD").flags(flags).id(0xbeef).bytes();
        let answer = shared().udp_within(&query, SHORT).expect("an answer");
        assert_eq!(answer[..2], [0xbe, 0xef]);
        assert_eq!(answer[2] & 0x80, 0x80, "QR");
        assert_eq!(u16::from(answer[2] & 1) << 8, flags, "RD");
        assert_eq!(answer[3] & 0xf0, 0x80, "RA, and neither Z, AD nor CD");
        assert_eq!(
            answer[12..query.len()],
            query[12..],
            "the question, byte for byte"
        );
    }
}

#[test]
fn row_02_rfc9619_one_question_or_formerr() {
    let query = a("good.id").bytes();
    let mut none = query.clone();
    none[5] = 0;
    none.truncate(12);
    let mut two = query.clone();
    two[5] = 2;
    two.extend(&query[12..]);
    assert_eq!(rcode(&none), ResponseCode::FormErr);
    assert_eq!(rcode(&two), ResponseCode::FormErr);
    // RFC 7873 §5.4: no question, but a cookie.
    let mut cookie = vec![0, 7, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    cookie.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 12, 0, 10, 0, 8]);
    cookie.extend(b"abcdefgh");
    let answer = shared().udp(&cookie);
    assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    assert_eq!(option(&answer, 10).expect("a cookie").len(), 24);
}

#[test]
fn row_03_rfc1035_what_is_no_query_gets_no_answer() {
    let mut response = a("good.id").bytes();
    response[2] |= 0x80;
    for silent in [&response[..], &response[..11], &[0; 11], &[]] {
        assert_eq!(shared().udp_within(silent, SHORT), None);
    }
}

#[test]
fn row_04_rfc1035_malformed_queries_are_formerr() {
    let good = a("good.id").bytes();
    let with = |place: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[place] = value;
        bytes
    };
    let mut loops = good[..12].to_vec();
    loops.extend([0xc0, 12, 0, 1, 0, 1]);
    let mut opt_as_answer = a("good.id").edns(1232).bytes();
    opt_as_answer[7] = 1;
    opt_as_answer[11] = 0;
    let mut two_opts = a("good.id").edns(1232).bytes();
    two_opts.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    two_opts[11] = 2;
    let mut cut = a("good.id").edns(1232).option(10, b"abcdefgh").bytes();
    cut.truncate(cut.len() - 3);
    let cases: [(&str, Vec<u8>); 9] = [
        ("TC", with(2, 0x02)),
        ("label type 0x40", with(12, 0x44)),
        ("label type 0x80", with(12, 0x84)),
        ("pointer loop", loops),
        ("no question", good[..good.len() - 1].to_vec()),
        ("OPT as an answer", opt_as_answer),
        ("two OPT", two_opts),
        ("OPT cut short", cut),
        (
            "half a cookie",
            a("good.id").edns(1232).option(10, b"abc").bytes(),
        ),
    ];
    for (case, query) in cases {
        assert_eq!(rcode(&query), ResponseCode::FormErr, "{case}");
    }
}

#[test]
fn row_05_rfc8906_foreign_opcodes_are_notimp() {
    for opcode in [1, 2, 3, 4, 5, 6, 15_u8] {
        let mut query = a("good.id").bytes();
        query[2] = opcode << 3 | 1;
        let answer = shared().udp_within(&query, SHORT).expect("an answer");
        assert_eq!(
            answer[2],
            0x80 | opcode << 3,
            "opcode echoed, RD and AA not"
        );
        assert_eq!(answer[3] & 0x0f, 4, "NOTIMP");
        let header = shared().udp_within(&query[..12], SHORT).expect("an answer");
        assert_eq!(header[3] & 0x0f, 4);
    }
}

#[test]
fn row_06_rfc8906_unknown_types_are_no_error() {
    let answer = shared().ask("good.id", RecordType::from(1234));
    assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    assert!(answer.answers.is_empty());
    assert_eq!(answer.authorities[0].record_type(), RecordType::SOA);
    let forwarded = shared().ask("type.example", RecordType::from(1234));
    assert_eq!(forwarded.metadata.response_code, ResponseCode::NoError);
    assert_eq!(shared().upstream.asked_below("type.example."), 1);
}

#[test]
fn row_07_meta_types_transfers_and_classes_are_turned_down() {
    for meta in [41, 249, 250] {
        assert_eq!(
            rcode(&Query::new("good.id", RecordType::from(meta)).bytes()),
            ResponseCode::FormErr
        );
    }
    for transfer in [RecordType::AXFR, RecordType::IXFR] {
        assert_eq!(
            rcode(&Query::new("good.id", transfer).bytes()),
            ResponseCode::Refused
        );
        let mut stream = shared().connect();
        tcp_send(&mut stream, &Query::new("good.id", transfer).bytes());
        let answer = tcp_receive(&mut stream);
        assert_eq!(answer.metadata.response_code, ResponseCode::Refused);
        assert!(answer.answers.is_empty());
    }
    for class in [0, 2, 254, 255] {
        assert_eq!(
            rcode(&a("good.id").class(class).bytes()),
            ResponseCode::Refused,
            "{class}"
        );
    }
}

#[test]
fn row_20_rfc6891_opt_comes_back_clean_and_only_when_sent() {
    assert!(shared().udp(&a("good.id").bytes()).edns.is_none());
    let query = a("good.id")
        .edns_with(4096, 0, 0xffff)
        .option(100, b"unknown")
        .option(3, b"")
        .option(8, &[0, 1, 24, 0, 192, 0, 2]);
    let bytes = shared()
        .udp_within(&query.bytes(), SHORT)
        .expect("an answer");
    let answer = Message::from_vec(&bytes).expect("a message");
    let edns = answer.edns.as_ref().expect("OPT");
    assert_eq!((edns.version(), edns.flags().dnssec_ok), (0, true));
    assert!(edns.options().as_ref().is_empty(), "no option is echoed");
    let opt = &bytes[bytes.len() - 11..];
    assert_eq!(
        opt,
        [0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 0],
        "only DO of the flags"
    );
    let tiny = shared().udp_within(&Query::new("big.id", RecordType::A).edns(0).bytes(), SHORT);
    let tiny = tiny.expect("an answer");
    assert!(tiny.len() <= 512);
    assert!(
        Message::from_vec(&tiny)
            .expect("a message")
            .metadata
            .truncation
    );
}

#[test]
fn row_21_rfc6891_later_versions_are_badvers() {
    for version in [1, 100, 255] {
        for query in [a("good.id"), a("good.id").option(100, b"x"), a("x.example")] {
            let answer = shared().udp(&query.edns_with(1232, version, 0x8000).bytes());
            assert_eq!(u16::from(answer.metadata.response_code), 16, "BADVERS");
            assert!(answer.answers.is_empty());
            assert_eq!(answer.edns.expect("OPT").version(), 0);
        }
    }
}

#[test]
fn row_29_rfc9018_cookies_are_given_kept_and_never_required() {
    let bare = shared().udp(&a("good.id").edns(1232).bytes());
    assert_eq!((bare.answers.len(), option(&bare, 10)), (1, None));
    let first = shared().udp(&a("good.id").edns(1232).option(10, b"abcdefgh").bytes());
    let cookie = option(&first, 10).expect("a cookie");
    assert_eq!(
        (&cookie[..8], &cookie[8..12]),
        (&b"abcdefgh"[..], &[1, 0, 0, 0][..])
    );
    let second = shared().udp(&a("good.id").edns(1232).option(10, &cookie).bytes());
    assert_eq!(
        option(&second, 10).as_ref(),
        Some(&cookie),
        "it is recognised"
    );
    let forged = [
        &b"abcdefgh"[..],
        &[1, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9],
    ]
    .concat();
    let third = shared().udp(&a("good.id").edns(1232).option(10, &forged).bytes());
    assert_eq!(third.answers.len(), 1, "never required on loopback");
    assert_ne!(option(&third, 10), Some(forged));
}

#[test]
fn row_33_rfc8482_any_is_small_and_never_forwarded() {
    for (name, expected) in [
        ("good.id", 1),
        ("big.id", 1),
        ("any.example", 1),
        ("nosuch-any.id", 1),
    ] {
        let bytes =
            shared().udp_within(&Query::new(name, RecordType::ANY).edns(4096).bytes(), SHORT);
        let bytes = bytes.expect("an answer");
        assert!(bytes.len() <= 512, "{name}");
        let answer = Message::from_vec(&bytes).expect("a message");
        assert_eq!(answer.answers.len(), expected, "{name}");
    }
    assert_eq!(shared().upstream.asked_below("any.example."), 0);
    assert_eq!(shared().upstream.asked_below("nosuch-any.id."), 0);
    let later = shared().ask("any.example", RecordType::A);
    assert!(
        matches!(later.answers[0].data, RData::A(_)),
        "ANY does not answer a later A"
    );
}

#[test]
fn row_35_rfc8914_every_failure_has_its_reason() {
    let cases = [
        (
            "badhash.id",
            ResponseCode::ServFail,
            24,
            "bns: zone file hash mismatch",
        ),
        (
            "missing.id",
            ResponseCode::ServFail,
            22,
            "bns: no zone file yet for hash",
        ),
        (
            "revoked.id",
            ResponseCode::NXDomain,
            0,
            "bns: revoked at block",
        ),
        (
            "a.good.id",
            ResponseCode::ServFail,
            0,
            "CNAME chain too long or circular",
        ),
        (
            "private.good.id",
            ResponseCode::NoError,
            15,
            "bns: private address left out",
        ),
        (
            "rebind.example",
            ResponseCode::NoError,
            15,
            "private address left out",
        ),
        (
            "silent.example",
            ResponseCode::ServFail,
            22,
            "no upstream answered in time",
        ),
    ];
    for (name, rcode, code, text) in cases {
        let answer = shared().ask(name, RecordType::A);
        assert_eq!(answer.metadata.response_code, rcode, "{name}");
        let (found, explained) = extended_error(&answer).expect(name);
        assert_eq!(found, code, "{name}: {explained}");
        assert!(
            explained.starts_with(text) && explained.len() <= 80,
            "{name}: {explained}"
        );
        assert!(
            explained.is_ascii() && !explained.contains('/'),
            "{name}: {explained}"
        );
        let plain = shared().udp(&a(name).bytes());
        assert!(plain.edns.is_none(), "{name}: only with EDNS");
    }
    let never = super::bench::Bench::without_chain("[namespaces]\nid = \"only\"");
    let answer = never.ask("good.id", RecordType::A);
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(extended_error(&answer).expect("a reason").0, 14);
}

#[test]
fn row_44_rfc2181_truncation_keeps_opt_and_whole_rrsets() {
    let big = |query: Query| {
        shared()
            .udp_within(&query.bytes(), SHORT)
            .expect("an answer")
    };
    let query = || Query::new("big.id", RecordType::A);
    let plain = big(query());
    assert!(plain.len() <= 512);
    let plain = Message::from_vec(&plain).expect("a message");
    assert!(plain.metadata.truncation && plain.answers.is_empty());
    for size in (512..=4096).step_by(64) {
        let bytes = big(query().edns(size).option(10, b"abcdefgh"));
        assert!(bytes.len() <= usize::from(size.min(1232)), "{size}");
        let answer = Message::from_vec(&bytes).expect("a message");
        assert_eq!(
            answer.metadata.truncation,
            answer.answers.is_empty(),
            "{size}"
        );
        assert!(
            answer.answers.is_empty() || answer.answers.len() == 60,
            "{size}"
        );
        assert!(
            answer.edns.is_some() && option(&answer, 10).is_some(),
            "{size}: OPT is kept"
        );
    }
    let mut stream = shared().connect();
    tcp_send(&mut stream, &query().edns(512).bytes());
    assert_eq!(tcp_receive(&mut stream).answers.len(), 60);
}

#[test]
fn row_45_rfc8906_nothing_is_said_about_the_program() {
    for name in [
        "version.bind",
        "version.server",
        "id.server",
        "hostname.bind",
        "x.example",
    ] {
        let query = Query::new(name, RecordType::TXT)
            .class(3)
            .edns(1232)
            .bytes();
        let bytes = shared().udp_within(&query, SHORT).expect("an answer");
        let answer = Message::from_vec(&bytes).expect("a message");
        assert_eq!(
            answer.metadata.response_code,
            ResponseCode::Refused,
            "{name}"
        );
        assert!(answer.answers.is_empty());
        assert!(
            !bytes
                .windows(4)
                .any(|window| window.eq_ignore_ascii_case(b"bnsd"))
        );
    }
    assert_eq!(shared().upstream.asked_below("bind."), 0);
    assert_eq!(shared().upstream.asked_below("server."), 0);
    let nsid = shared().udp(&a("good.id").edns(1232).option(3, b"").bytes());
    assert_eq!(option(&nsid, 3), None);
}

#[test]
fn row_48_rfc3596_ipv6_loopback_answers_too() {
    let six = shared().daemon().listeners()[1];
    assert!(six.is_ipv6());
    let query = Query::new("good.id", RecordType::AAAA).bytes();
    let answer = udp(six, &query, SHORT).expect("an answer");
    assert_eq!(
        Message::from_vec(&answer).expect("a message").answers.len(),
        1
    );
}

#[test]
fn row_52_rfc8499_authoritative_for_names_of_the_chain_only() {
    assert!(
        shared()
            .ask("good.id", RecordType::A)
            .metadata
            .authoritative
    );
    assert!(
        shared()
            .ask("nx.good.id", RecordType::A)
            .metadata
            .authoritative
    );
    assert!(
        !shared()
            .ask("aa.example", RecordType::A)
            .metadata
            .authoritative
    );
    assert!(
        !shared()
            .ask("out.good.id", RecordType::A)
            .metadata
            .authoritative
    );
    let documented = include_str!("../../src/dns/serving.md").replace(['\n', '*'], " ");
    for term in [
        "stub resolver",
        "forwarder",
        "full-service resolver",
        "authoritative",
    ] {
        assert!(
            documented.contains(term),
            "the documentation does not say what it is: {term}"
        );
    }
}
