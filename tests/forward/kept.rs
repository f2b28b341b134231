//! The cache: rows 8 and 30, lifetimes, restarts, prefetch.

use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::{GOOD, answers, asking};
use crate::common::resolver::{Resolver, query};
use crate::common::upstream::{ASKED, COM, Over, Seen, Send, Upstream, asked, response, soa};

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
fn row_30_rfc8020_negative_answers_follow_their_soa() {
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
fn row_30_rfc8020_a_missing_name_says_nothing_about_names_of_the_chain_below_it() {
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
    let seen = upstream.seen();
    // A probe for circles may have gone along.
    let questions = seen.iter().map(|seen| asked(&seen.bytes));
    let questions = questions.filter(|name| !name.contains("bnsd-loop"));
    assert_eq!(questions.count(), 2);
}

#[test]
fn row_08_rfc2181_a_set_has_one_ttl_and_none_is_negative() {
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
fn nothing_is_kept_over_a_restart_if_that_is_not_wanted() {
    let upstream = Upstream::start(answers);
    let mut resolver = Resolver::start(&format!(
        "upstreams = [\"{}\"]\nkeep-cache = false",
        upstream.address
    ));
    resolver.ask("www.example.com.", RecordType::A);
    resolver.stop();
    assert!(!resolver.directory().join("data/cache.bin").exists());
    resolver.resume();
    resolver.ask("www.example.com.", RecordType::A);
    assert_eq!(upstream.count(), 2);
}

#[test]
fn the_cache_stays_within_its_size() {
    // Sixty kilobytes each: eighteen of them are more than a mebibyte.
    let upstream = Upstream::start(|seen| {
        let mut text = vec![200; 1];
        text.resize(201, b'x');
        let text = text.repeat(5);
        let records: Vec<_> = (0..60).map(|_| (ASKED, 16, 300, &text[..])).collect();
        let mut bytes = response(&seen.bytes, 0, &records, &[]);
        if seen.over == Over::Udp {
            bytes = response(&seen.bytes, 0, &[], &[]);
            bytes[2] |= 2;
        }
        vec![Send::Reply(bytes)]
    });
    let resolver = Resolver::start(&format!(
        "upstreams = [\"{}\"]\ncache-size = 1",
        upstream.address
    ));
    for number in 0..60 {
        let query = query(&format!("n{number}.example.com."), RecordType::TXT);
        assert_eq!(resolver.ask_tcp(&query).message.answers.len(), 60);
    }
    let dump = resolver.run(&["cache", "dump", "--json"]);
    let dump: serde_json::Value = serde_json::from_slice(&dump.stdout).unwrap();
    let (count, bytes) = (
        dump["count"].as_u64().unwrap(),
        dump["bytes"].as_u64().unwrap(),
    );
    assert!(
        bytes <= 1 << 20 && (5..20).contains(&count),
        "{count} answers, {bytes} bytes"
    );
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
