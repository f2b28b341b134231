//! The table of hostile inputs, in short: garbage, its flood, and good traffic beside it. `tests/release/flood`
//! is the long form, with unbound in the same run.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;

use super::bench::{Bench, Query};

/// A xorshift generator: the same garbage in every run.
struct Garbage(u64);

impl Garbage {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A good query with some of its bytes changed, cut or doubled; now and then no query at all.
    fn packet(&mut self) -> Vec<u8> {
        let seeds = [
            Query::new("www.good.id", RecordType::A)
                .edns(1232)
                .option(10, b"abcdefgh")
                .bytes(),
            Query::new("x.short.good.id", RecordType::ANY).bytes(),
            Query::new("a.good.id", RecordType::TXT).dnssec_ok().bytes(),
        ];
        let mut bytes = seeds[self.next() as usize % seeds.len()].clone();
        for _ in 0..=self.next() % 6 {
            let place = self.next() as usize % bytes.len();
            match self.next() % 8 {
                0 => bytes.truncate(place.max(1)),
                1 => bytes.extend_from_within(place..),
                2 => bytes[place] = 0xc0,
                _ => bytes[place] = self.next() as u8,
            }
        }
        bytes
    }
}

/// Packets under way at the same time: each has an ID of its own, so that every answer finds its packet.
const AT_A_TIME: u16 = 64;
/// How many times longer than its question an answer without records may be, whatever the question is.
const LONGER: usize = 3;

/// Whether a packet is to get no answer at all (row 3).
fn is_silent(packet: &[u8]) -> bool {
    packet.len() < 12 || packet[2] & 0x80 != 0
}

#[test]
fn garbage_gets_at_most_one_small_answer_with_its_id() {
    let bench = Bench::start("[namespaces]\nid = \"only\"", &[]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut garbage = Garbage(0x9e37_79b9_7f4a_7c15);
    let mut stream = bench.connect();
    let (mut answered, mut longest) = (0, 0.0_f64);
    for round in 0..320_u16 {
        let mut out: HashMap<[u8; 2], Vec<u8>> = HashMap::new();
        for number in 0..AT_A_TIME {
            let mut packet = garbage.packet();
            let id = (round * AT_A_TIME + number).to_be_bytes();
            let length = packet.len().min(2);
            packet[..length].copy_from_slice(&id[..length]);
            socket.send_to(&packet, bench.address()).unwrap();
            if number % 8 == 0 {
                let mut framed = (packet.len() as u16).to_be_bytes().to_vec();
                framed.extend(&packet);
                // Too much garbage ends a connection.
                if stream.write_all(&framed).is_err() {
                    stream = bench.connect();
                }
            }
            if !is_silent(&packet) {
                out.insert(id, packet);
            }
        }
        // A good query last: what is answered here at all is answered before it or has to wait for the upstream.
        let last = Query::new("good.id", RecordType::A).id(0xffff).bytes();
        socket.send_to(&last, bench.address()).unwrap();
        let mut answer = [0; 4096];
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let mut is_last_here = false;
        while let Ok(length) = socket.recv(&mut answer) {
            let answer = &answer[..length];
            assert!((12..=1232).contains(&length));
            assert_eq!(answer[2] & 0x80, 0x80, "QR");
            if answer[..2] == [0xff, 0xff] {
                is_last_here = true;
                // Those that were forwarded may still come.
                socket
                    .set_read_timeout(Some(Duration::from_millis(5)))
                    .unwrap();
                continue;
            }
            // One of an earlier round may have waited for the upstream.
            let Some(packet) = out.remove(&answer[..2]) else {
                let id = u16::from_be_bytes([answer[0], answer[1]]);
                assert!(
                    id < round * AT_A_TIME,
                    "nobody asked with ID {id}, or got an answer before"
                );
                continue;
            };
            answered += 1;
            // What is still a question gets the records that its owner wrote, within the client's limit.
            let has_records = answer[6..8] != [0, 0];
            if !has_records {
                longest = longest.max(length as f64 / packet.len() as f64);
                assert!(
                    length <= LONGER * packet.len(),
                    "{length} bytes for {}: {packet:02x?}",
                    packet.len()
                );
            }
        }
        assert!(is_last_here, "it is alive");
    }
    println!("{answered} answers to garbage, the longest {longest:.1} times its question (goal 3)");
    assert!(answered > 5_000, "{answered}");
}

#[test]
fn answers_are_at_most_three_times_as_long_as_questions() {
    let bench = super::bench::shared();
    for (name, rtype) in [
        ("good.id", RecordType::ANY),
        ("big.id", RecordType::A),
        ("nx.good.id", RecordType::A),
        ("podcast", RecordType::SOA),
        ("nosuch.podcast", RecordType::A),
        ("good.id.bns.alt", RecordType::NS),
        ("x.test", RecordType::A),
        ("empty.id", RecordType::A),
        ("a.podcast", RecordType::A),
        ("a.test", RecordType::A),
        ("big.example", RecordType::ANY),
    ] {
        let query = Query::new(name, rtype).bytes();
        let answer = bench.udp_within(&query, Duration::from_secs(2)).unwrap();
        println!("{name} {rtype}: {} bytes for {}", answer.len(), query.len());
        assert!(
            answer.len() <= LONGER * query.len(),
            "{name} {rtype}: {} for {}",
            answer.len(),
            query.len()
        );
    }
}

#[test]
fn good_traffic_survives_a_flood_of_garbage() {
    let bench = Bench::start("", &[]);
    let stop = AtomicBool::new(false);
    let (mut lost, mut times) = (0_u32, Vec::new());
    let sent = std::thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let mut garbage = Garbage(88_172_645_463_325_252);
            let packets: Vec<Vec<u8>> = (0..512)
                .map(|_| (0..40).map(|_| garbage.next() as u8).collect())
                .collect();
            let mut sent = 0_u64;
            // Thirty thousand a second: what a build without optimisation can take beside other tests.
            for packet in packets.chunks(32).cycle() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                for packet in packet {
                    sent += u64::from(socket.send_to(packet, bench.address()).is_ok());
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            sent
        });
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(1)))
            .unwrap();
        for id in 0..1_000_u16 {
            let start = Instant::now();
            let query = Query::new("good.id", RecordType::A).id(id).bytes();
            socket.send_to(&query, bench.address()).unwrap();
            let mut answer = [0; 512];
            match socket.recv(&mut answer) {
                Ok(length) => {
                    let answer = Message::from_vec(&answer[..length]).unwrap();
                    assert_eq!(answer.metadata.id, id);
                    times.push(start.elapsed());
                }
                Err(_) => lost += 1,
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        stop.store(true, Ordering::Relaxed);
        flood.join().unwrap()
    });
    times.sort_unstable();
    let p99 = times[times.len() * 99 / 100];
    println!(
        "beside {sent} packets of garbage: {lost} of 1000 lost (goal 1 %), p99 {p99:?} (goal 5 ms)"
    );
    assert!(lost <= 100, "{lost} of 1000 lost");
}
