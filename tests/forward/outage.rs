//! Upstreams that are silent, under load: what that costs in memory, and how long anybody waits.

use std::collections::HashMap;
use std::net::{TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::form;
use crate::common::resolver::{Answer, Resolver, query, with_edns};

/// Questions a second, each of its own.
const RATE: u32 = 1_850;
/// What an outage may cost, and what may be left of it after [`BACK`], in megabytes.
const MEMORY: u64 = 64;
const LEFT: u64 = 16;
/// From the last question on.
const BACK: Duration = Duration::from_secs(10);
/// No stub resolver waits longer for an answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// Asks `rate` questions a second for `time`, and gives the answers that come until `DEADLINE` after the last one. `look`
/// is called all the time.
fn flood(resolver: &Resolver, rate: u32, time: Duration, mut look: impl FnMut()) -> Vec<Answer> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let (mut asked, mut answers) = (HashMap::new(), Vec::new());
    let (start, mut number) = (Instant::now(), 0_u32);
    while start.elapsed() < time + DEADLINE {
        let due = (start.elapsed().min(time).as_secs_f64() * f64::from(rate)) as u32;
        while number < due {
            let name = format!("n{number}.example.com.");
            let mut message = with_edns(query(&name, RecordType::A));
            message.metadata.id = number as u16;
            socket
                .send_to(&message.to_vec().unwrap(), resolver.address)
                .unwrap();
            asked.insert(number as u16, Instant::now());
            number += 1;
        }
        let mut bytes = [0; 512];
        while let Ok(length) = socket.recv(&mut bytes) {
            let id = u16::from_be_bytes([bytes[0], bytes[1]]);
            answers.push(Answer::new(bytes[..length].to_vec(), asked[&id].elapsed()));
        }
        look();
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(
        answers.len() * 100 >= number as usize * 99,
        "{} of {number}",
        answers.len()
    );
    answers
}

fn assert_failed_in_time(answers: &[Answer], patience: Duration) {
    for answer in answers {
        assert_eq!(answer.rcode(), ResponseCode::ServFail);
        assert_eq!(answer.ede(), Some(22));
        assert!(answer.after < patience, "{:?}", answer.after);
    }
}

#[test]
fn an_outage_costs_little_memory() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let resolver = Resolver::asking(&[&silent.local_addr().unwrap().to_string()]);
    resolver.ask("localhost.", RecordType::A);
    let (rest, mut most) = (resolver.memory(), 0);
    let time = Duration::from_secs(form(5, 60) as u64);
    let answers = flood(&resolver, RATE, time, || most = most.max(resolver.memory()));
    // The machine of the tests has other things to do.
    assert_failed_in_time(&answers, DEADLINE * 2);
    let here = resolver.ask("localhost.", RecordType::A);
    assert_eq!(here.addresses(), ["127.0.0.1"]);
    let end = Instant::now() + BACK - DEADLINE;
    while resolver.memory() > rest + LEFT && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(100));
    }
    let left = resolver.memory();
    println!(
        "{RATE} questions a second to a silent upstream: {rest} MB at rest, {most} MB at most, {left} MB afterwards"
    );
    assert!(most <= rest + MEMORY, "{rest} MB at rest, then {most} MB");
    assert!(left <= rest + LEFT, "{rest} MB at rest, {left} MB left");
}

/// A connection that never comes to anything, however many wait for it.
#[test]
fn a_question_fails_at_its_own_deadline_over_tls_and_https() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    for upstream in [
        format!("tls://dns.example@{address}"),
        format!("https://dns.example@{address}/dns-query"),
    ] {
        let resolver = Resolver::asking(&[&upstream]);
        let answers = flood(&resolver, 40, Duration::from_secs(3), || ());
        assert_failed_in_time(&answers, DEADLINE);
    }
}
