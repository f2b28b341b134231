//! The server as its clients see it: bytes through real sockets, upstreams that follow a script.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, NULL, SOA};
use hickory_proto::rr::{Name as DnsName, RData, Record, RecordType};

use super::fixture::{Running, Upstream, edns_query_bytes, query_bytes, tcp_receive, tcp_send};
use crate::resolver::{Mode, Outcome, Policy};

/// For answers that must not come.
const BRIEFLY: Duration = Duration::from_millis(300);

fn name(text: &str) -> DnsName {
    DnsName::from_ascii(text).expect("a domain name")
}

fn address(owner: &DnsName, last: u8) -> Record {
    let address = A(Ipv4Addr::new(198, 51, 100, last));
    Record::from_rdata(owner.clone(), 300, RData::A(address))
}

/// Answers by the first label of the question.
fn script(query: Message) -> Option<Message> {
    let over_tcp = query.metadata.truncation;
    let asked = query.queries.first()?.clone();
    let mut answer = query.into_response();
    answer.metadata.truncation = false;
    answer.metadata.authentic_data = true;
    match asked.name().to_lowercase().iter().next()? {
        b"silent" => return None,
        b"slow" => {
            std::thread::sleep(Duration::from_millis(400));
            answer.add_answer(address(asked.name(), 9));
        }
        b"nx" => {
            answer.metadata.response_code = ResponseCode::NXDomain;
            let soa = SOA::new(name("ns.example."), name("h.example."), 9, 1, 1, 1, 7);
            answer.add_authority(Record::from_rdata(
                name("example.com."),
                30,
                RData::SOA(soa),
            ));
        }
        b"broken" => answer.metadata.response_code = ResponseCode::ServFail,
        b"long" if over_tcp => (0..100).for_each(|last| {
            answer.add_answer(address(asked.name(), last));
        }),
        b"long" => answer.metadata.truncation = true,
        b"private" => {
            let local = RData::A(A(Ipv4Addr::LOCALHOST));
            answer.add_answer(Record::from_rdata(asked.name().clone(), 60, local));
        }
        b"back" => {
            let target = RData::CNAME(CNAME(name("good.id.")));
            answer.add_answer(Record::from_rdata(asked.name().clone(), 60, target));
            answer.add_answer(address(&name("good.id."), 66));
        }
        _ if asked.query_type() == RecordType::from(65280) => {
            let data = RData::Unknown {
                code: asked.query_type(),
                rdata: NULL::with(vec![0xc0, 12, 0xff]),
            };
            answer.add_answer(Record::from_rdata(asked.name().clone(), 60, data));
        }
        _ => {
            answer.add_answer(address(asked.name(), 5));
        }
    };
    Some(answer)
}

fn ede_code(message: &Message) -> Option<u16> {
    let edns = message.edns.as_ref()?;
    edns.options()
        .as_ref()
        .iter()
        .find_map(|(_, option)| match option {
            hickory_proto::rr::rdata::opt::EdnsOption::Unknown(15, data) => {
                Some(u16::from_be_bytes([*data.first()?, *data.get(1)?]))
            }
            _ => None,
        })
}

#[test]
fn a_bns_name_is_answered_with_its_question_byte_for_byte() {
    let server = Running::start(Policy::default(), &[]);
    let query = query_bytes("WwW.gOOd.iD.", RecordType::A);
    let answer = server.udp(&query, BRIEFLY * 10).expect("an answer");
    assert_eq!(answer[12..query.len()], query[12..]);
    // id, then QR AA RD, then RA
    assert_eq!(answer[..4], [0x12, 0x34, 0x85, 0x80]);
    let message = Message::from_vec(&answer).expect("readable");
    assert_eq!(message.answers.len(), 2);
    assert!(message.edns.is_none());
    assert_eq!(server.handler.counters.get(Outcome::Answered), 1);
}

#[test]
fn ad_is_set_for_those_who_ask_and_edns_is_answered_with_edns() {
    let server = Running::start(Policy::default(), &[]);
    let message = server.ask(&edns_query_bytes("good.id.", RecordType::A, 4096));
    assert!(message.metadata.authentic_data && message.metadata.authoritative);
    let edns = message.edns.expect("EDNS");
    assert_eq!(
        (edns.max_payload(), edns.version(), edns.flags().dnssec_ok),
        (1232, 0, true)
    );
    assert!(edns.options().as_ref().is_empty());
}

#[test]
fn what_is_wrong_is_turned_down_and_what_is_no_query_is_ignored() {
    let server = Running::start(Policy::default(), &[]);
    let good = query_bytes("good.id.", RecordType::A);
    let mut response = good.clone();
    response[2] |= 0x80;
    assert_eq!(server.udp(&response, BRIEFLY), None);
    assert_eq!(server.udp(&good[..11], BRIEFLY), None);
    let header_only = server.udp(&good[..12], BRIEFLY * 10).expect("an answer");
    assert_eq!(
        header_only,
        [0x12, 0x34, 0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0]
    );
    let refused = server.ask(&query_bytes("good.id.", RecordType::AXFR));
    assert_eq!(refused.metadata.response_code, ResponseCode::Refused);
    let mut chaos = query_bytes("version.bind.", RecordType::TXT);
    let class = chaos.len() - 1;
    chaos[class] = 3;
    let answer = server.udp(&chaos, BRIEFLY * 10).expect("an answer");
    assert_eq!(answer[3] & 15, 5);
    assert_eq!(server.handler.counters.dropped(), 2);
    let mut future = edns_query_bytes("good.id.", RecordType::A, 1232);
    let version = future.len() - 5;
    future[version] = 1;
    let message = server.ask(&future);
    // 16 has two names.
    assert_eq!(u16::from(message.metadata.response_code), 16);
    assert!(message.answers.is_empty());
}

#[test]
fn long_answers_are_cut_by_whole_sets_and_keep_their_opt() {
    let server = Running::start(Policy::default(), &[]);
    for payload in 512..1300 {
        let query = edns_query_bytes("big.podcast.", RecordType::A, payload);
        let bytes = server.udp(&query, BRIEFLY * 10).expect("an answer");
        assert!(bytes.len() <= usize::from(payload.min(1232)), "{payload}");
        let message = Message::from_vec(&bytes).expect("readable");
        assert!(message.edns.is_some(), "{payload}");
        let whole = !message.metadata.truncation && message.answers.len() == 60;
        let cut = message.metadata.truncation && message.answers.is_empty();
        assert!(whole || cut, "{payload}: {} answers", message.answers.len());
    }
    let plain = query_bytes("big.podcast.", RecordType::A);
    let bytes = server.udp(&plain, BRIEFLY * 10).expect("an answer");
    assert!(bytes.len() <= 512 && bytes[2] & 2 != 0);
    let mut stream = server.connect();
    tcp_send(&mut stream, &plain);
    assert_eq!(tcp_receive(&mut stream).answers.len(), 60);
}

#[test]
fn tcp_takes_dribbled_and_pipelined_queries_and_answers_out_of_order() {
    let upstream = Upstream::start(script);
    let server = Running::start(Policy::default(), &[upstream.address]);
    let mut stream = server.connect();
    let query = query_bytes("good.id.", RecordType::A);
    stream.write_all(&[0, query.len() as u8]).expect("written");
    for byte in &query {
        stream.write_all(&[*byte]).expect("written");
        stream.flush().expect("flushed");
    }
    assert_eq!(tcp_receive(&mut stream).answers.len(), 1);
    let mut slow = query_bytes("slow.example.com.", RecordType::A);
    slow[1] = 1;
    tcp_send(&mut stream, &slow);
    tcp_send(&mut stream, &query);
    stream
        .shutdown(std::net::Shutdown::Write)
        .expect("half closed");
    assert_eq!(tcp_receive(&mut stream).metadata.id, 0x1234);
    assert_eq!(tcp_receive(&mut stream).metadata.id, 0x1201);
}

#[test]
fn slow_tcp_clients_do_not_keep_others_out() {
    let server = Running::with_connections(Policy::default(), &[], 50);
    let mut slow: Vec<_> = (0..200).map(|_| server.connect()).collect();
    for stream in &mut slow {
        let _ = stream.write_all(&[0]);
    }
    let start = Instant::now();
    let mut stream = server.connect();
    tcp_send(&mut stream, &query_bytes("good.id.", RecordType::A));
    assert_eq!(tcp_receive(&mut stream).answers.len(), 1);
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[test]
fn other_names_are_forwarded_with_their_case_and_without_aa_or_ad() {
    let upstream = Upstream::start(script);
    let server = Running::start(Policy::default(), &[upstream.address]);
    let query = edns_query_bytes("WWW.eXample.COM.", RecordType::A, 1232);
    let bytes = server.udp(&query, BRIEFLY * 10).expect("an answer");
    let question = query.len() - 11;
    assert_eq!(bytes[12..question], query[12..question]);
    let message = Message::from_vec(&bytes).expect("readable");
    assert_eq!(message.answers.len(), 1);
    let metadata = message.metadata;
    assert!(metadata.recursion_available && !metadata.authoritative && !metadata.authentic_data);
    let unknown = server.ask(&query_bytes("www.example.com.", RecordType::from(65280)));
    assert!(
        matches!(&unknown.answers[0].data, RData::Unknown { rdata, .. } if rdata.anything == [0xc0, 12, 0xff])
    );
    let negative = server.ask(&query_bytes("nx.example.com.", RecordType::A));
    assert_eq!(negative.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(negative.authorities.len(), 1);
    let long = server.ask(&query_bytes("long.example.com.", RecordType::A));
    assert!(long.metadata.truncation);
    let mut stream = server.connect();
    tcp_send(
        &mut stream,
        &query_bytes("long.example.com.", RecordType::A),
    );
    assert_eq!(tcp_receive(&mut stream).answers.len(), 100);
    assert_eq!(server.handler.counters.get(Outcome::Forwarded), 5);
}

#[test]
fn trouble_with_upstreams_is_explained() {
    let without = Running::start(Policy::default(), &[]);
    let message = without.ask(&edns_query_bytes("example.com.", RecordType::A, 1232));
    assert_eq!(message.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(ede_code(&message), Some(22));
    let upstream = Upstream::start(script);
    let server = Running::start(Policy::default(), &[upstream.address]);
    let message = server.ask(&edns_query_bytes(
        "broken.example.com.",
        RecordType::A,
        1232,
    ));
    assert_eq!(
        (message.metadata.response_code, ede_code(&message)),
        (ResponseCode::ServFail, Some(23))
    );
    let start = Instant::now();
    let message = server.ask(&edns_query_bytes(
        "silent.example.com.",
        RecordType::A,
        1232,
    ));
    assert_eq!(message.metadata.response_code, ResponseCode::ServFail);
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_dead_upstream_is_passed_over() {
    let dead = Upstream::start(|_| None);
    let alive = Upstream::start(script);
    let server = Running::start(Policy::default(), &[dead.address, alive.address]);
    for _ in 0..4 {
        let message = server.ask(&query_bytes("www.example.com.", RecordType::A));
        assert_eq!(message.metadata.response_code, ResponseCode::NoError);
    }
}

#[test]
fn an_upstream_that_refuses_is_not_the_last_word() {
    let refusing = Upstream::start(|query| {
        let mut answer = query.into_response();
        answer.metadata.response_code = ResponseCode::Refused;
        Some(answer)
    });
    let alive = Upstream::start(script);
    let server = Running::start(Policy::default(), &[refusing.address, alive.address]);
    for _ in 0..3 {
        let message = server.ask(&query_bytes("www.example.com.", RecordType::A));
        assert_eq!(message.metadata.response_code, ResponseCode::NoError);
    }
}

/// Two names that lead to each other, each asked upstream first.
#[test]
fn a_circle_through_upstreams_ends() {
    let upstream = Upstream::start(|query| {
        let mut answer = query.into_response();
        answer.metadata.response_code = ResponseCode::NXDomain;
        Some(answer)
    });
    let mut policy = Policy::default();
    for id in ["id", "podcast"] {
        let id = id.parse().expect("an id");
        policy.modes.insert(id, Mode::LegacyFirst);
    }
    let server = Running::start(policy, &[upstream.address]);
    let message = server.ask(&query_bytes("round.good.id.", RecordType::A));
    assert_eq!(message.metadata.response_code, ResponseCode::ServFail);
    assert!(upstream.count() <= 12, "{}", upstream.count());
}

#[test]
fn private_addresses_from_upstreams_are_stripped() {
    let upstream = Upstream::start(script);
    let server = Running::start(Policy::default(), &[upstream.address]);
    let query = edns_query_bytes("private.example.com.", RecordType::A, 1232);
    let message = server.ask(&query);
    assert!(message.answers.is_empty());
    assert_eq!(ede_code(&message), Some(15));
    let mut policy = Policy::default();
    policy.allow_private.push(name("example.com."));
    server.handler.set_policy(policy);
    assert_eq!(server.ask(&query).answers.len(), 1);
}

#[test]
fn an_alias_of_a_name_does_not_lead_to_the_gateway() {
    let with = |gateway: Option<&str>| {
        let gateway = gateway.map(|address| address.parse().expect("an address"));
        let policy = Policy {
            gateway,
            ..Policy::default()
        };
        let server = Running::start(policy, &[]);
        server.ask(&edns_query_bytes("bare.good.id.", RecordType::A, 1232))
    };
    let without = with(None);
    assert_eq!((without.answers.len(), without.authorities.len()), (1, 1));
    let led = with(Some("127.0.0.1"));
    assert_eq!(led.answers, without.answers);
    assert_eq!(led.authorities, without.authorities);
    let marks = |message: &Message| {
        let metadata = &message.metadata;
        (metadata.authoritative, metadata.authentic_data)
    };
    assert_eq!(marks(&led), marks(&without));
    assert_eq!(ede_code(&led), None);
}

#[test]
fn chains_go_through_upstreams_and_back() {
    let upstream = Upstream::start(script);
    let server = Running::start(Policy::default(), &[upstream.address]);
    let out = server.ask(&edns_query_bytes("out.good.id.", RecordType::A, 1232));
    assert_eq!(out.answers.len(), 2);
    assert!(!out.metadata.authentic_data);
    // What the upstream says about our name does not count.
    let back = server.ask(&query_bytes("back.example.com.", RecordType::A));
    assert_eq!(back.answers.len(), 2);
    assert_eq!(
        back.answers[1].data,
        RData::A(A(Ipv4Addr::new(192, 0, 2, 1)))
    );
    let other = server.ask(&edns_query_bytes("other.good.id.", RecordType::A, 1232));
    assert!(other.metadata.authentic_data && other.answers.len() == 2);
    let home = server.ask(&query_bytes("home.good.id.", RecordType::A));
    assert_eq!(home.answers.len(), 1);
}

#[test]
fn names_of_ours_and_special_names_never_reach_an_upstream() {
    let upstream = Upstream::start(script);
    let server = Running::start(Policy::default(), &[upstream.address]);
    for asked in [
        "good.id.",
        "nosuch.podcast.",
        "missing.podcast.",
        "co.id.bns.alt.",
        "x.test.",
        "x.local.",
        "x.onion.",
        "alt.",
        "localhost.",
        "x.home.arpa.",
        "_dns.resolver.arpa.",
        "1.1.168.192.in-addr.arpa.",
    ] {
        server.ask(&query_bytes(asked, RecordType::A));
    }
    assert_eq!(upstream.count(), 0);
    server.ask(&query_bytes("www.co.id.", RecordType::A));
    assert_eq!(upstream.count(), 1);
}

#[test]
fn legacy_first_falls_back_to_the_chain() {
    let upstream = Upstream::start(|query| {
        let mut answer = query.into_response();
        answer.metadata.response_code = ResponseCode::NXDomain;
        Some(answer)
    });
    let mut policy = Policy::default();
    policy
        .modes
        .insert("id".parse().expect("an id"), Mode::LegacyFirst);
    let server = Running::start(policy, &[upstream.address]);
    let message = server.ask(&query_bytes("good.id.", RecordType::A));
    assert_eq!((message.answers.len(), upstream.count()), (1, 1));
}
