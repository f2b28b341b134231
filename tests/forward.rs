//! Names that are not ours, through the running daemon: who is believed, what is passed on, what is kept, and what
//! happens when upstreams misbehave. `BNSD_TEST_FORM=release` runs the long forms.

use std::collections::HashSet;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{RData, RecordType};

use crate::common::resolver::{Resolver, free_address, query, with_edns};
use crate::common::secure_unbound::SecureUnbound;
use crate::common::upstream::{
    ASKED, COM, Certificate, Over, Seen, Send, Upstream, asked, good, question_end, response, soa,
};

const GOOD: &str = "198.51.100.5";
const EVIL: [u8; 4] = [203, 0, 113, 66];

/// `quick` in the everyday run, `long` in the release form.
fn form(quick: usize, long: usize) -> usize {
    match std::env::var("BNSD_TEST_FORM").as_deref() {
        Ok("release") => long,
        _ => quick,
    }
}

fn answers(seen: &Seen) -> Vec<Send> {
    vec![Send::Reply(good(&seen.bytes))]
}

fn asking(upstream: &Upstream) -> Resolver {
    Resolver::asking(&[&upstream.address.to_string()])
}

// ---- who is believed ------------------------------------------------------------------------------------

/// A reply that is right but for one thing.
fn forgery(query: &[u8], number: usize) -> Send {
    let mut bytes = response(query, 0, &[(ASKED, 1, 300, &EVIL)], &[]);
    let letter = (12..question_end(query) - 4)
        .find(|&at| query[at].is_ascii_alphabetic())
        .unwrap();
    match number % 7 {
        0 => bytes[letter] = if bytes[letter] == b'q' { b'x' } else { b'q' },
        1 => bytes[letter] ^= 0x20,
        2 => bytes[2] &= 0x7f,
        3 => bytes[1] ^= 1,
        4 => bytes[question_end(query) - 3] = 28,
        5 => {
            let other = b"\x04evil\x03com\0";
            bytes = response(query, 0, &[(other, 1, 300, &EVIL)], &[]);
        }
        _ => return Send::Elsewhere(bytes),
    }
    Send::Reply(bytes)
}

fn liar(each: usize) -> impl Fn(&Seen) -> Vec<Send> {
    move |seen| {
        // Over streams there is no elsewhere: that would be the good answer.
        let usable = |number: &usize| seen.over == Over::Udp || number % 7 != 6;
        let mut sends = Vec::new();
        for number in (0..each).filter(usable) {
            sends.push(forgery(&seen.bytes, number));
            if number % 50 == 49 && seen.over == Over::Udp {
                sends.push(Send::Wait(1));
            }
        }
        sends.push(Send::Reply(good(&seen.bytes)));
        sends
    }
}

fn believes_only_the_good_one(resolver: &Resolver, questions: usize) {
    for number in 0..questions {
        let answer = resolver.ask(&format!("name{number}.example.com."), RecordType::A);
        assert_eq!(answer.addresses(), [GOOD], "question {number}");
    }
}

#[test]
fn a_lying_upstream_is_never_believed_over_udp() {
    let upstream = Upstream::start(liar(200));
    let resolver = asking(&upstream);
    believes_only_the_good_one(&resolver, form(10, 500));
}

#[test]
fn a_lying_upstream_is_never_believed_over_tcp() {
    let lies = liar(2_000);
    let upstream = Upstream::start(move |seen| match seen.over {
        Over::Udp => {
            let mut cut = response(&seen.bytes, 0, &[], &[]);
            cut[2] |= 2;
            vec![Send::Reply(cut)]
        }
        _ => lies(seen),
    });
    let resolver = asking(&upstream);
    believes_only_the_good_one(&resolver, form(1, 50));
}

#[test]
fn a_lying_upstream_is_never_believed_over_tls() {
    let certificate = Certificate::new("dns.example");
    let upstream = Upstream::start_tls(&certificate, liar(2_000));
    let resolver = Resolver::asking(&[&pinned(&certificate, &upstream)]);
    believes_only_the_good_one(&resolver, form(1, 50));
}

fn pinned(certificate: &Certificate, upstream: &Upstream) -> String {
    format!("tls://sha256:{}@{}", certificate.pin, upstream.address)
}

#[test]
fn ports_ids_and_letters_are_random() {
    let upstream = Upstream::start(answers);
    let resolver = asking(&upstream);
    let count = form(1_000, 10_000);
    for number in 0..count {
        let name = format!("abcdefghijklmnop{number}.example.com.");
        assert_eq!(resolver.ask(&name, RecordType::A).addresses(), [GOOD]);
    }
    let seen = upstream.seen();
    assert_eq!(seen.len(), count);
    let ports: HashSet<u16> = seen.iter().map(|seen| seen.from.port()).collect();
    let ids: HashSet<[u8; 2]> = seen.iter().map(|s| [s.bytes[0], s.bytes[1]]).collect();
    assert!(ports.len() * 10 >= count * 9, "{} ports", ports.len());
    assert!(ids.len() * 10 >= count * 9, "{} ids", ids.len());
    // Sixteen bins over the range of ports: chi-squared with 15 degrees of freedom, p = 0.00001.
    let mut bins = [0_f64; 16];
    for seen in &seen {
        bins[usize::from(seen.from.port() - 10_000) * 16 / 55_536] += 1.0;
    }
    let expected = count as f64 / 16.0;
    let chi: f64 = bins
        .iter()
        .map(|bin| (bin - expected).powi(2) / expected)
        .sum();
    assert!(chi < 50.0, "{chi}");
    let upper = seen
        .iter()
        .flat_map(|seen| &seen.bytes[13..29])
        .filter(|byte| byte.is_ascii_uppercase())
        .count();
    let share = upper as f64 / (count * 16) as f64;
    assert!((0.45..0.55).contains(&share), "{share}");
}

#[test]
fn an_upstream_that_changes_letters_is_asked_over_tcp() {
    let upstream = Upstream::start(|seen| {
        let mut bytes = good(&seen.bytes);
        let end = question_end(&bytes);
        bytes[12..end].make_ascii_lowercase();
        vec![Send::Reply(bytes)]
    });
    let resolver = asking(&upstream);
    let answer = resolver.ask("www.EXAMPLE.com.", RecordType::A);
    assert_eq!(answer.addresses(), [GOOD]);
    let ways: Vec<Over> = upstream.seen().iter().map(|seen| seen.over).collect();
    assert_eq!(ways.first(), Some(&Over::Udp));
    assert!(ways[1..].iter().all(|&way| way == Over::Tcp) && ways.len() <= 3);
}

// ---- what is passed on ----------------------------------------------------------------------------------

#[test]
fn records_and_flags_pass_and_nothing_else_does() {
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
fn an_upstream_without_edns_and_one_that_wants_cookies_are_understood() {
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
fn private_addresses_are_taken_out_unless_allowed() {
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

// ---- what is kept ---------------------------------------------------------------------------------------

fn negative(seen: &Seen) -> Vec<Send> {
    let soa = soa(5);
    let authority = [(COM, 6, 900, &soa[..])];
    let name = asked(&seen.bytes);
    let first = name.split('.').next().unwrap();
    let reply = match first {
        _ if name.ends_with(".id.") => response(&seen.bytes, 3, &[], &[]),
        "nosoa" => response(&seen.bytes, 3, &[], &[]),
        "nodata" => response(&seen.bytes, 0, &[], &authority),
        "mixed" => response(
            &seen.bytes,
            0,
            &[
                (ASKED, 1, 600, &[198, 51, 100, 5]),
                (ASKED, 1, 300, &[198, 51, 100, 6]),
                (ASKED, 46, 1 << 31, &[0; 20]),
            ],
            &[],
        ),
        _ => response(&seen.bytes, 3, &[], &authority),
    };
    vec![Send::Reply(reply)]
}

#[test]
fn answers_are_kept_for_their_time_and_not_longer() {
    let upstream = Upstream::start(|seen| {
        vec![Send::Reply(response(
            &seen.bytes,
            0,
            &[(ASKED, 1, 3, &[198, 51, 100, 5])],
            &[],
        ))]
    });
    let resolver = asking(&upstream);
    assert_eq!(resolver.ask("www.example.com.", RecordType::A).ttl(), 3);
    std::thread::sleep(Duration::from_millis(1100));
    let kept = resolver.ask("WWW.example.com.", RecordType::A);
    assert_eq!((kept.ttl(), upstream.count()), (2, 1));
    // Another type and another DO are other questions.
    resolver.ask("www.example.com.", RecordType::AAAA);
    assert_eq!(upstream.count(), 2);
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(resolver.ask("www.example.com.", RecordType::A).ttl(), 3);
    assert_eq!(upstream.count(), 3);
}

#[test]
fn negative_answers_follow_their_soa() {
    let upstream = Upstream::start(negative);
    let resolver = asking(&upstream);
    let ttl = |name: &str| {
        let answer = resolver.ask(name, RecordType::A);
        answer.message.authorities.first().map(|soa| soa.ttl)
    };
    assert_eq!(ttl("nodata.example.com."), Some(5));
    assert_eq!(ttl("nx.example.com."), Some(5));
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(ttl("nx.example.com."), Some(4));
    assert_eq!(upstream.count(), 2);
    // The name is missing for all types, and with everything below it (RFC 8020).
    resolver.ask("nx.example.com.", RecordType::MX);
    let below = resolver.ask("a.b.nx.example.com.", RecordType::A);
    assert_eq!(below.rcode(), ResponseCode::NXDomain);
    assert_eq!(below.message.authorities.len(), 1);
    assert_eq!(upstream.count(), 2);
    for expected in 3..5 {
        resolver.ask("nosoa.example.com.", RecordType::A);
        assert_eq!(upstream.count(), expected);
    }
}

#[test]
fn a_missing_name_says_nothing_about_names_of_the_chain_below_it() {
    let upstream = Upstream::start(|seen| {
        let soa = soa(5);
        let id: &[u8] = b"\x02id\0";
        vec![Send::Reply(response(
            &seen.bytes,
            3,
            &[],
            &[(id, 6, 900, &soa)],
        ))]
    });
    let resolver = asking(&upstream);
    resolver.ask("nosuch.id.", RecordType::A);
    resolver.ask("a.nosuch.id.", RecordType::A);
    assert_eq!(upstream.count(), 2);
}

#[test]
fn a_set_has_one_ttl_and_none_is_negative() {
    let upstream = Upstream::start(negative);
    let resolver = asking(&upstream);
    let answer = resolver.ask("mixed.example.com.", RecordType::A);
    let ttls: Vec<u32> = answer
        .message
        .answers
        .iter()
        .map(|record| record.ttl)
        .collect();
    assert_eq!(ttls, [300, 300, 0]);
}

#[test]
fn an_answer_that_is_asked_for_is_fetched_before_it_ends() {
    let upstream = Upstream::start(|seen| {
        vec![Send::Reply(response(
            &seen.bytes,
            0,
            &[(ASKED, 1, 10, &[198, 51, 100, 5])],
            &[],
        ))]
    });
    let resolver = asking(&upstream);
    resolver.ask("www.example.com.", RecordType::A);
    std::thread::sleep(Duration::from_millis(9_200));
    let kept = resolver.ask("www.example.com.", RecordType::A);
    assert!(kept.ttl() <= 1 && kept.after < Duration::from_millis(500));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(upstream.count(), 2);
    assert!(resolver.ask("www.example.com.", RecordType::A).ttl() >= 9);
    assert_eq!(upstream.count(), 2);
}

#[test]
fn one_question_goes_upstream_once_however_many_ask() {
    let upstream = Upstream::start(|seen| {
        let mut sends = vec![Send::Wait(300)];
        sends.extend(answers(seen));
        sends
    });
    let resolver = asking(&upstream);
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                let answer = resolver.ask("www.example.com.", RecordType::A);
                assert_eq!(answer.addresses(), [GOOD]);
            });
        }
    });
    let questions = upstream.seen();
    let asked = questions
        .iter()
        .filter(|seen| asked(&seen.bytes) == "www.example.com.");
    assert_eq!(asked.count(), 1);
}

#[test]
fn answers_outlive_a_restart_and_a_damaged_file_does_not_matter() {
    let upstream = Upstream::start(answers);
    let mut resolver = asking(&upstream);
    resolver.ask("www.example.com.", RecordType::A);
    resolver.stop();
    std::thread::sleep(Duration::from_millis(1100));
    resolver.resume();
    let kept = resolver.ask("www.example.com.", RecordType::A);
    assert!((290..300).contains(&kept.ttl()), "{}", kept.ttl());
    assert_eq!(
        (kept.addresses(), upstream.count()),
        (vec![GOOD.to_owned()], 1)
    );
    resolver.stop();
    let file = resolver.directory().join("data/cache.bin");
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let whole = std::fs::read(&file).unwrap();
    for damaged in [
        whole[..whole.len() / 2].to_vec(),
        vec![0xff; 9_000],
        Vec::new(),
    ] {
        std::fs::write(&file, damaged).unwrap();
        resolver.resume();
        assert_eq!(
            resolver.ask("www.example.com.", RecordType::A).addresses(),
            [GOOD]
        );
        resolver.stop();
    }
    assert_eq!(upstream.count(), 4);
}

#[test]
fn the_cache_is_shown_and_forgotten() {
    let upstream = Upstream::start(answers);
    let resolver = asking(&upstream);
    for name in ["a.example.com.", "b.example.com.", "c.example.net."] {
        resolver.ask(name, RecordType::A);
    }
    let shown = resolver.run(&["cache", "dump"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains("a.example.com.  A") && shown.contains("3 answers"),
        "{shown}"
    );
    let flushed = resolver.run(&["cache", "flush", "example.com", "--json"]);
    let flushed: serde_json::Value = serde_json::from_slice(&flushed.stdout).unwrap();
    assert_eq!(
        (&flushed["flushed"], &flushed["count"]),
        (&2.into(), &1.into())
    );
    resolver.ask("a.example.com.", RecordType::A);
    resolver.ask("c.example.net.", RecordType::A);
    assert_eq!(upstream.count(), 4);
    let wrong = resolver.run(&["cache", "flush", "a..b"]);
    assert_eq!(wrong.status.code(), Some(2));
}

// ---- when upstreams misbehave ---------------------------------------------------------------------------

#[test]
fn failures_are_kept_and_cost_few_packets() {
    let upstream = Upstream::start(|_| Vec::new());
    let resolver = asking(&upstream);
    let seconds = form(6, 10);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let bytes = with_edns(query("dead.example.com.", RecordType::A))
        .to_vec()
        .unwrap();
    for _ in 0..seconds * 100 {
        socket.send_to(&bytes, resolver.address).unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    let named = |seen: &&Seen| asked(&seen.bytes) == "dead.example.com.";
    let packets = upstream.seen().iter().filter(named).count();
    assert!((1..=10).contains(&packets), "{packets}");
    let refusing = Upstream::start(|seen| vec![Send::Reply(response(&seen.bytes, 5, &[], &[]))]);
    let resolver = asking(&refusing);
    let first = resolver.ask_edns("no.example.com.", RecordType::A);
    let again = resolver.ask_edns("no.example.com.", RecordType::A);
    assert_eq!((first.ede(), again.ede()), (Some(23), Some(13)));
    assert_eq!(
        (again.rcode(), refusing.count()),
        (ResponseCode::Refused, 1)
    );
}

#[test]
fn what_is_out_of_date_serves_while_upstreams_fail() {
    let fails = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&fails);
    let upstream = Upstream::start(move |seen| match flag.load(Ordering::SeqCst) {
        true => Vec::new(),
        false => vec![Send::Reply(response(
            &seen.bytes,
            0,
            &[(ASKED, 1, 1, &[198, 51, 100, 5])],
            &[],
        ))],
    });
    let resolver = asking(&upstream);
    resolver.ask("www.example.com.", RecordType::A);
    fails.store(true, Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(1300));
    let stale = resolver.ask_edns("www.example.com.", RecordType::A);
    assert_eq!((stale.ttl(), stale.ede()), (30, Some(3)));
    let patience = Duration::from_millis(1700)..Duration::from_millis(2800);
    assert!(patience.contains(&stale.after), "{:?}", stale.after);
    fails.store(false, Ordering::SeqCst);
    std::thread::sleep(Duration::from_secs(5));
    resolver.ask("www.example.com.", RecordType::A);
    std::thread::sleep(Duration::from_millis(300));
    let fresh = resolver.ask_edns("www.example.com.", RecordType::A);
    assert_eq!((fresh.ttl() <= 1, fresh.ede()), (true, None));
}

#[test]
fn dead_and_lossy_upstreams_are_got_over() {
    let dead = Upstream::start(|_| Vec::new());
    let alive = Upstream::start(answers);
    let resolver = Resolver::asking(&[&dead.address.to_string(), &alive.address.to_string()]);
    for number in 0..20 {
        let answer = resolver.ask(&format!("n{number}.example.com."), RecordType::A);
        assert_eq!(answer.addresses(), [GOOD]);
    }
    assert!(dead.count() < 6, "{}", dead.count());
    let lossy = Upstream::start(|seen| match seen.before % 2 {
        0 => Vec::new(),
        _ => answers(seen),
    });
    let resolver = asking(&lossy);
    for number in 0..5 {
        let answer = resolver.ask(&format!("n{number}.example.com."), RecordType::A);
        assert_eq!(answer.addresses(), [GOOD]);
    }
    // Nobody listens there at all.
    let resolver = Resolver::asking(&[&free_address().to_string()]);
    let answer = resolver.ask_edns("www.example.com.", RecordType::A);
    assert_eq!(
        (answer.rcode(), answer.ede()),
        (ResponseCode::ServFail, Some(23))
    );
}

#[test]
fn an_upstream_may_restart_under_load() {
    let address = free_address();
    let certificate = Certificate::new("dns.example");
    drop(certificate);
    let resolver = Resolver::asking(&[&address.to_string()]);
    let failed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let (resolver, failed) = (&resolver, &failed);
            scope.spawn(move || {
                for number in 0..20 {
                    let name = format!("w{worker}n{number}.example.com.");
                    if resolver.ask(&name, RecordType::A).addresses() != [GOOD] {
                        failed.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
        std::thread::sleep(Duration::from_millis(250));
        Upstream::start_at(address, answers);
    });
    let failed = failed.load(Ordering::SeqCst);
    assert!(failed <= 8, "{failed} of 160 failed");
    let answer = resolver.ask("after.example.com.", RecordType::A);
    assert_eq!(answer.addresses(), [GOOD]);
}

#[test]
fn a_circle_is_found_and_costs_few_packets() {
    let target = free_address();
    // A forwarder that asks whoever listens at `target`.
    let upstream = Upstream::start(move |seen| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let timeout = Some(Duration::from_secs(6));
        socket.set_read_timeout(timeout).unwrap();
        socket.send_to(&seen.bytes, target).unwrap();
        let mut buffer = [0; 4096];
        match socket.recv(&mut buffer) {
            Ok(length) => vec![Send::Reply(buffer[..length].to_vec())],
            Err(_) => Vec::new(),
        }
    });
    let resolver = Resolver::start_at(target, &format!("upstreams = [\"{}\"]", upstream.address));
    let start = Instant::now();
    let answer = resolver.ask_edns("www.example.com.", RecordType::A);
    assert_eq!(answer.rcode(), ResponseCode::ServFail);
    assert!(start.elapsed() < Duration::from_secs(5));
    let answer = resolver.ask_edns("other.example.com.", RecordType::A);
    assert_eq!(
        (answer.rcode(), answer.ede()),
        (ResponseCode::ServFail, Some(0))
    );
    assert!(answer.after < Duration::from_millis(500));
    assert!(upstream.count() <= 4, "{} packets", upstream.count());
}

#[test]
fn asking_ourselves_is_refused_at_start() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("bnsd.toml");
    std::fs::write(
        &file,
        "listen = [\"0.0.0.0:5399\"]\n[dns]\nupstreams = [\"127.0.0.1:5399\"]\n",
    )
    .unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_bnsd"))
        .args(["serve", "--check-config", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("is where bnsd itself listens"), "{error}");
}

#[test]
fn another_network_is_noticed_and_its_answers_are_its_own() {
    let resolv_conf = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(resolv_conf.path(), "nameserver 192.0.2.1\n").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let options = bnsd::dns::ForwardOptions {
        upstreams: vec!["192.0.2.1".parse().unwrap()],
        ..Default::default()
    };
    let clock = Arc::new(bnsd::clock::SystemClock::start());
    let forwarder = Arc::new(bnsd::dns::Forwarder::new(options, clock).unwrap());
    let watch = bnsd::dns::forward::Watch {
        resolv_conf: Some(resolv_conf.path().to_owned()),
        listeners: vec!["127.0.0.1:53".parse().unwrap()],
    };
    runtime.spawn(watch.run(Arc::clone(&forwarder)));
    std::thread::sleep(Duration::from_millis(200));
    let text = "search lan\nnameserver 127.0.0.1\nnameserver 198.51.100.7\n";
    std::fs::write(resolv_conf.path(), text).unwrap();
    let end = Instant::now() + Duration::from_secs(7);
    while forwarder.describe() != ["198.51.100.7:53"] {
        assert!(Instant::now() < end, "{:?}", forwarder.describe());
        std::thread::sleep(Duration::from_millis(20));
    }
}

// ---- encrypted, routed, local ---------------------------------------------------------------------------

#[test]
fn encrypted_upstreams_have_to_prove_who_they_are_and_are_never_asked_in_the_clear() {
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
        assert_eq!(answer.addresses(), ["198.51.100.80"], "{upstream}");
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
fn names_that_are_only_ours_never_reach_an_upstream() {
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
