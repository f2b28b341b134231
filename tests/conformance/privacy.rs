//! Row 53: what never leaves the machine, whether the chain is followed, was never seen, or cannot be read any more.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;

use super::bench::{Bench, Follows, Query, addresses, extended_error, shared};

/// Ten thousand questions in every state.
const QUESTIONS: usize = 10_000;

/// Names that the database holds, whatever their state is.
const HELD: [&str; 8] = [
    "good.id",
    "cname.id",
    "missing.id",
    "badhash.id",
    "revoked.id",
    "empty.id",
    "rival.id",
    "big.id",
];
/// Namespaces whose names never leave the machine: registered on the chain, known by nobody, and by choice.
const ONLY: [&str; 3] = ["podcast", "helloworld", "onlyhere"];
/// The alias, with names that are there and names that are not.
const ALIAS: [&str; 3] = ["good.id.bns.alt", "nosuch.id.bns.alt", "bns.alt"];
/// Those that wait for the chain; `bns.alt` itself does not.
const WAITING: [&str; 3] = ["good.id.bns.alt", "nosuch.id.bns.alt", "nosuch.bns.alt"];
/// Makes one of the namespaces ours by choice.
const CHOICE: &str = "[namespaces]\nonlyhere = \"only\"";

/// Client subnet 192.0.2.0/24 (RFC 7871).
const SUBNET: [u8; 7] = [0, 1, 24, 0, 192, 0, 2];

/// Questions at and below these zones, of several types, each with a client subnet.
fn questions(zones: &[&str]) -> Vec<Query> {
    let types = [
        RecordType::A,
        RecordType::AAAA,
        RecordType::HTTPS,
        RecordType::DS,
    ];
    (0..QUESTIONS)
        .map(|number| {
            let zone = zones[number % zones.len()];
            let name = match number % 5 {
                // Aliases lead out by their owner's will; they are asked for themselves only.
                0 if zone != "cname.id" => zone.to_owned(),
                _ => format!("n{number}.{zone}"),
            };
            let rtype = types[number / 7 % types.len()];
            Query::new(&name, rtype)
                .id(number as u16)
                .edns(1232)
                .option(8, &SUBNET)
        })
        .collect()
}

fn rcode(answer: &Message) -> ResponseCode {
    answer.metadata.response_code
}

#[test]
fn row_53_rfc7871_names_of_the_chain_and_client_subnets_stay_here() {
    let bench = Bench::start(CHOICE, &[]);
    let zones = [&HELD[..], &ONLY, &ALIAS].concat();
    let rcodes = bench.ask_many(&questions(&zones), rcode);
    assert_eq!(bench.upstream.count(), 0);
    for expected in [
        ResponseCode::NoError,
        ResponseCode::NXDomain,
        ResponseCode::ServFail,
    ] {
        assert!(rcodes.contains(&expected), "{expected}");
    }
    let query = Query::new("ecs.example", RecordType::A)
        .edns(1232)
        .option(8, &SUBNET);
    bench.udp(&query.bytes());
    let forwarded = bench.upstream.queries();
    assert_eq!(forwarded.len(), 1);
    let message = Message::from_vec(&forwarded[0]).unwrap();
    let subnet = message.edns.as_ref().and_then(|edns| edns.option(8.into()));
    assert!(subnet.is_none(), "no subnet goes upstream");
}

#[test]
fn row_53_nothing_leaks_before_the_first_block() {
    let bench = Bench::without_chain(CHOICE);
    let questions = questions(&[&ONLY[..], &WAITING].concat());
    let reasons = bench.ask_many(&questions, |answer| (rcode(answer), extended_error(answer)));
    for (rcode, reason) in reasons {
        // Below `bns.alt` only names that can be registered have to wait for the chain.
        if rcode != ResponseCode::NXDomain {
            assert_eq!(rcode, ResponseCode::ServFail);
            assert_eq!(reason.expect("a reason").0, 14);
        }
    }
    let alias = bench.ask("bns.alt", RecordType::SOA);
    assert_eq!(rcode(&alias), ResponseCode::NoError, "questions arrive");
    assert_eq!(bench.upstream.count(), 0);
    let before = bench.ask("good.id", RecordType::A);
    assert_eq!(
        addresses(&before)[0].to_string(),
        "203.0.113.9",
        "exact is forwarded until then"
    );
}

#[test]
fn row_53_nothing_leaks_when_the_chain_can_no_longer_be_read() {
    let mut bench = Bench::start(CHOICE, &[]);
    bench.restart(Follows::Nothing);
    let zones = [&HELD[..], &ONLY, &WAITING].concat();
    let rcodes = bench.ask_many(&questions(&zones), rcode);
    assert_eq!(bench.upstream.count(), 0);
    assert!(
        !rcodes.contains(&ResponseCode::NoError),
        "nobody vouches for old answers"
    );
    let good = bench.ask("good.id", RecordType::A);
    assert_eq!(extended_error(&good).expect("a reason").0, 14);
    // What the database does not hold is another tree's, and goes there.
    bench.ask("nosuch.id", RecordType::A);
    assert_eq!(bench.upstream.asked_below("nosuch.id."), 1);
}

#[test]
fn row_53_a_name_with_a_search_list_behind_it_is_another_name() {
    let answer = shared().ask("good.id.lan", RecordType::A);
    assert_eq!(rcode(&answer), ResponseCode::NoError);
    assert_eq!(shared().upstream.asked_below("good.id.lan."), 1);
    assert_eq!(shared().upstream.asked_below("good.id."), 0);
}
