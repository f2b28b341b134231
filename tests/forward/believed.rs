//! Rows 14 and 15: which packets of an upstream are believed.

use std::collections::HashSet;

use hickory_proto::rr::RecordType;

use super::{GOOD, answers, asking, form, pinned};
use crate::common::resolver::Resolver;
use crate::common::upstream::{
    ASKED, Certificate, Over, Seen, Send, Upstream, asked, good, question_end, response,
};

const EVIL: [u8; 4] = [203, 0, 113, 66];

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
fn row_14_rfc5452_a_lying_upstream_is_never_believed_over_udp() {
    let upstream = Upstream::start(liar(200));
    let resolver = asking(&upstream);
    believes_only_the_good_one(&resolver, form(10, 500));
}

#[test]
fn row_14_rfc5452_a_lying_upstream_is_never_believed_over_tcp() {
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
    believes_only_the_good_one(&resolver, form(1, 60));
}

#[test]
fn row_14_rfc5452_a_lying_upstream_is_never_believed_over_tls() {
    let certificate = Certificate::new("dns.example");
    let upstream = Upstream::start_tls(&certificate, liar(2_000));
    let resolver = Resolver::asking(&[&pinned(&certificate, &upstream)]);
    believes_only_the_good_one(&resolver, form(1, 60));
}

#[test]
fn row_14_rfc5452_ports_ids_and_letters_are_random() {
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
fn row_15_an_upstream_that_changes_letters_is_asked_over_tcp() {
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

#[test]
fn row_14_rfc5452_one_question_goes_upstream_once_however_many_ask() {
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

/// Every answer is a good one and brings along what nobody asked for.
#[test]
fn what_comes_along_with_an_answer_is_never_an_answer() {
    const VICTIM: &[u8] = b"\x06victim\x07example\x03net\0";
    const NAMESPACE: &[u8] = b"\x02id\0";
    let upstream = Upstream::start(|seen| match asked(&seen.bytes).starts_with("victim") {
        true => vec![Send::Reply(good(&seen.bytes))],
        false => {
            let answers = [
                (ASKED, 1, 300, &[198, 51, 100, 5][..]),
                (VICTIM, 1, 300, &EVIL),
            ];
            let authorities = [(NAMESPACE, 2, 300, VICTIM), (VICTIM, 1, 300, &EVIL)];
            let poisoned = response(&seen.bytes, 0, &answers, &authorities);
            let mut only_beside = response(&seen.bytes, 0, &answers[..1], &authorities);
            // The last record moves into the additional section.
            only_beside[9] = 1;
            only_beside[11] = 1;
            vec![Send::Reply(poisoned), Send::Reply(only_beside)]
        }
    });
    let resolver = asking(&upstream);
    for number in 0..form(500, 10_000) {
        let answer = resolver.ask(&format!("n{number}.example.com."), RecordType::A);
        assert_eq!(answer.addresses(), [GOOD], "{number}");
    }
    let before = upstream.count();
    assert_eq!(
        resolver
            .ask("victim.example.net.", RecordType::A)
            .addresses(),
        [GOOD]
    );
    assert_eq!(upstream.count(), before + 1);
    let ours = resolver.ask("victim.id.bns.alt.", RecordType::A);
    assert!(ours.addresses().is_empty());
}
