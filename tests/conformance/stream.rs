//! Rows 16, 17 and 24, and the slow clients of the table of hostile inputs.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;

use super::bench::{Bench, Query, option, shared, tcp_receive, tcp_send};

fn a(name: &str) -> Query {
    Query::new(name, RecordType::A)
}

#[test]
fn row_16_rfc7766_answers_come_as_they_are_ready() {
    let mut stream = shared().connect();
    tcp_send(&mut stream, &a("slow1.example").id(1).bytes());
    tcp_send(&mut stream, &a("good.id").id(2).bytes());
    tcp_send(&mut stream, &a("fast.example").id(3).bytes());
    let order: Vec<u16> = (0..3)
        .map(|_| tcp_receive(&mut stream).metadata.id)
        .collect();
    assert_eq!(order, [2, 3, 1]);
}

#[test]
fn row_16_rfc7766_segments_do_not_matter() {
    let mut framed = Vec::new();
    tcp_send(&mut framed, &a("good.id").bytes());
    let mut stream = shared().connect();
    for byte in &framed {
        stream.write_all(&[*byte]).unwrap();
    }
    assert_eq!(tcp_receive(&mut stream).answers.len(), 1);
    let pipelined = framed.repeat(50);
    stream.write_all(&pipelined).unwrap();
    (0..50).for_each(|_| assert_eq!(tcp_receive(&mut stream).answers.len(), 1));
}

#[test]
fn row_16_rfc7766_a_half_closed_connection_is_answered() {
    let mut stream = shared().connect();
    tcp_send(&mut stream, &a("slow2.example").bytes());
    tcp_send(&mut stream, &a("good.id").bytes());
    stream.shutdown(Shutdown::Write).unwrap();
    tcp_receive(&mut stream);
    tcp_receive(&mut stream);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "then the server closes");
}

#[test]
fn row_17_rfc7766_length_and_message_are_one_segment() {
    let mut stream = shared().connect();
    for _ in 0..20 {
        tcp_send(&mut stream, &Query::new("big.id", RecordType::A).bytes());
        let mut buffer = vec![0; 4096];
        let count = stream.read(&mut buffer).unwrap();
        let length = usize::from(u16::from_be_bytes([buffer[0], buffer[1]]));
        assert_eq!(count, length + 2);
    }
}

#[test]
fn row_24_rfc7828_keepalive_is_for_streams() {
    let query = a("good.id").edns(1232).option(11, b"").bytes();
    assert_eq!(option(&shared().udp(&query), 11), None);
    let mut stream = shared().connect();
    tcp_send(&mut stream, &query);
    let timeout = option(&tcp_receive(&mut stream), 11).expect("a timeout");
    assert_eq!(
        timeout,
        150_u16.to_be_bytes(),
        "15 seconds, in units of 100 ms"
    );
    tcp_send(&mut stream, &a("good.id").edns(1232).bytes());
    assert_eq!(
        option(&tcp_receive(&mut stream), 11),
        None,
        "only when asked"
    );
}

/// Until the server closes; `None` if it has not within `patience`.
fn closed_after(stream: &mut TcpStream, patience: Duration) -> Option<Duration> {
    let start = Instant::now();
    stream.set_read_timeout(Some(patience)).unwrap();
    loop {
        match stream.read(&mut [0; 4096]) {
            Ok(0) => return Some(start.elapsed()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                return Some(start.elapsed());
            }
            Err(_) => return None,
        }
    }
}

/// Three clocks run at the same time, to keep the test short: a message that dribbles in, a connection
/// that says nothing, and one that never reads.
#[test]
fn slow_clients_are_closed_in_time() {
    let bench = Bench::start("", &[]);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut dribbling = bench.connect();
            let start = Instant::now();
            let mut writer = dribbling.try_clone().unwrap();
            let feeder = scope.spawn(move || {
                for byte in [0, 100].into_iter().chain([0; 98]) {
                    if writer.write_all(&[byte]).is_err() {
                        return;
                    }
                    std::thread::sleep(Duration::from_millis(500));
                }
            });
            assert!(closed_after(&mut dribbling, Duration::from_secs(20)).is_some());
            let taken = start.elapsed();
            assert!(
                (9.0..13.0).contains(&taken.as_secs_f64()),
                "{taken:?}: ten seconds for a message"
            );
            feeder.join().unwrap();
        });
        scope.spawn(|| {
            let taken =
                closed_after(&mut bench.connect(), Duration::from_secs(30)).expect("closed");
            assert!(
                (13.0..20.0).contains(&taken.as_secs_f64()),
                "{taken:?}: fifteen seconds of silence"
            );
        });
        scope.spawn(|| {
            let mut deaf = bench.connect();
            deaf.set_write_timeout(Some(Duration::from_secs(30)))
                .unwrap();
            let start = Instant::now();
            let mut framed = Vec::new();
            tcp_send(&mut framed, &Query::new("big.id", RecordType::A).bytes());
            let flood = framed.repeat(1000);
            // Answers fill the buffers of both sides, then the server stops reading, and then it is closed.
            while deaf.write_all(&flood).is_ok() {
                assert!(start.elapsed() < Duration::from_secs(30));
            }
            assert!(
                start.elapsed() <= Duration::from_secs(20),
                "{:?}",
                start.elapsed()
            );
        });
    });
}

#[test]
fn a_connection_has_at_most_a_hundred_queries_under_way() {
    let bench = Bench::start("", &[]);
    let mut stream = bench.connect();
    for number in 0..150 {
        tcp_send(
            &mut stream,
            &a(&format!("slow-{number}.cap.example")).bytes(),
        );
    }
    std::thread::sleep(Duration::from_millis(250));
    let asked = bench.upstream.asked_below("cap.example.");
    assert!((50..=100).contains(&asked), "{asked} at the upstream");
    for _ in 0..150 {
        tcp_receive(&mut stream);
    }
}

#[test]
fn a_thousand_slow_connections_keep_nobody_out() {
    let bench = Bench::start("", &[]);
    let mut waiting = bench.connect();
    tcp_send(&mut waiting, &a("slow3.example").id(9).bytes());
    std::thread::sleep(Duration::from_millis(20));
    let slow: Vec<TcpStream> = (0..1_000)
        .map(|_| {
            let mut stream = bench.connect();
            stream.write_all(&[0]).unwrap();
            stream
        })
        .collect();
    let start = Instant::now();
    let mut stream = bench.connect();
    tcp_send(&mut stream, &a("good.id").bytes());
    assert_eq!(tcp_receive(&mut stream).answers.len(), 1);
    let taken = start.elapsed();
    println!("a new TCP query beside 1,000 slow ones: {taken:?} (goal 200 ms)");
    assert!(taken < Duration::from_secs(2), "{taken:?}");
    assert_eq!(
        tcp_receive(&mut waiting).metadata.id,
        9,
        "who waits for an answer keeps its place"
    );
    drop(slow);
}
