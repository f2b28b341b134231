//! Rows 50 and 51, the query log, `bnsd status --watch`, and what the units of systemd leave open.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;

use super::bench::{Bench, Query, shared, tcp_receive, tcp_send, udp};
use crate::common::ports::free_address;

/// An address of this machine that is not loopback, if it has one.
fn own_address() -> Ipv4Addr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // Connecting a UDP socket sends nothing; it only picks the source address.
    socket
        .connect("192.0.2.1:9")
        .expect("a machine with a network");
    match socket.local_addr().unwrap() {
        SocketAddr::V4(address) => *address.ip(),
        SocketAddr::V6(_) => unreachable!("an IPv4 socket"),
    }
}

fn from_outside(server: SocketAddr, query: &[u8]) -> Option<Message> {
    let socket = UdpSocket::bind((own_address(), 0)).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(400)))
        .unwrap();
    socket.send_to(query, server).unwrap();
    let mut answer = [0; 4096];
    let length = socket.recv(&mut answer).ok()?;
    Some(Message::from_vec(&answer[..length]).unwrap())
}

#[test]
fn row_50_loopback_listeners_answer_loopback_only() {
    let query = Query::new("good.id", RecordType::A).bytes();
    assert!(udp(shared().address(), &query, Duration::from_secs(5)).is_some());
    assert_eq!(
        from_outside(shared().address(), &query).map(|answer| answer.metadata.id),
        None
    );
}

#[test]
fn row_50_beyond_loopback_only_those_who_are_listed() {
    let own = own_address();
    let listen = format!("listen = [\"127.0.0.1:0\", \"{own}:0\"]\n");
    let query = Query::new("good.id", RecordType::A).bytes();
    let closed = Bench::start(&listen, &[]);
    assert!(
        closed
            .config
            .warnings
            .iter()
            .any(|warning| warning.contains("dns.access"))
    );
    let outside = closed.daemon().listeners()[1];
    let refused = from_outside(outside, &query).expect("an answer");
    assert_eq!(refused.metadata.response_code, ResponseCode::Refused);
    assert!(refused.answers.is_empty());
    let mut stream = TcpStream::connect(outside).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(2)))
        .unwrap();
    assert!(matches!(
        std::io::Read::read(&mut stream, &mut [0]),
        Ok(0) | Err(_)
    ));

    let open = format!("{listen}[dns]\naccess = [\"{own}/32\"]\nrate-limit = 20");
    let open = Bench::start(&open, &[]);
    let outside = open.daemon().listeners()[1];
    let answer = from_outside(outside, &query).expect("an answer");
    assert_eq!(answer.answers.len(), 1);
    let (mut answered, mut slowed, mut dropped) = (0, 0, 0);
    let socket = UdpSocket::bind((own, 0)).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    (0..80).for_each(|_| {
        socket.send_to(&query, outside).unwrap();
    });
    let mut buffer = [0; 4096];
    for _ in 0..80 {
        match socket.recv(&mut buffer) {
            Ok(length)
                if Message::from_vec(&buffer[..length])
                    .unwrap()
                    .metadata
                    .truncation =>
            {
                slowed += 1;
            }
            Ok(_) => answered += 1,
            Err(_) => dropped += 1,
        }
    }
    assert!(
        (18..=42).contains(&answered),
        "{answered} {slowed} {dropped}"
    );
    assert!(slowed > 5 && dropped > 5, "{answered} {slowed} {dropped}");
    // Over TCP a source has shown where it is; connections and what is under way on each are bounded there.
    let mut stream = TcpStream::connect(outside).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    for _ in 0..80 {
        tcp_send(&mut stream, &query);
        assert_eq!(
            tcp_receive(&mut stream).answers.len(),
            1,
            "TCP is not limited"
        );
    }
    for _ in 0..200 {
        let answer = open.udp(&query);
        assert_eq!(answer.answers.len(), 1, "loopback is never limited");
    }
}

#[test]
fn row_51_a_taken_port_is_an_error_that_says_what_to_do() {
    let taken = shared().address().to_string();
    let scratch = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_bnsd"))
        .args(["serve", "--listen", &taken, "--data-dir"])
        .arg(scratch.path())
        .env("BNSD_CONFIG", shared().path("bnsd.toml"))
        .env("BNSD_CONTROL_SOCKET", scratch.path().join("control.sock"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("is taken"), "{text}");
    assert!(
        text.contains("stop it, or choose another with --listen"),
        "{text}"
    );
}

/// A daemon of its own process, whose log can be read.
fn log_of(queries: &str) -> String {
    let scratch = tempfile::tempdir().unwrap();
    let port = free_address();
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_bnsd"))
        .args(["serve", "--listen", &port.to_string(), "--data-dir"])
        .arg(scratch.path())
        .env("BNSD_CONFIG", shared().path("bnsd.toml"))
        .env("BNSD_CONTROL_SOCKET", scratch.path().join("control.sock"))
        .env("BNSD_DNS_UPSTREAMS", shared().upstream.address.to_string())
        .env("BNSD_LOG_QUERIES", queries)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(daemon.stderr.take().unwrap()).lines();
    let started = lines.find(|line| {
        line.as_ref()
            .is_ok_and(|line| line.contains("answering DNS"))
    });
    assert!(started.is_some());
    let query = Query::new("secret\u{1b}[2J\n.localhost", RecordType::A).bytes();
    udp(port, &query, Duration::from_secs(5)).expect("an answer");
    // SAFETY: the id is that of our own child, which has not been waited for.
    unsafe { libc::kill(daemon.id().cast_signed(), libc::SIGTERM) };
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    daemon.wait().unwrap();
    rest.join("\n")
}

#[test]
fn queries_are_logged_by_choice_only_and_cannot_drive_a_terminal() {
    assert!(!log_of("false").contains("secret"));
    let log = log_of("true");
    let line = log
        .lines()
        .find(|line| line.contains("secret"))
        .expect(&log);
    assert!(
        line.contains("query from 127.0.0.1 over UDP for secret"),
        "{line}"
    );
    assert!(line.ends_with("A: answered"), "{line}");
    let name = &line[line.find("secret").unwrap()..];
    assert!(name.chars().all(|c| !c.is_control()), "{line:?}");
}

#[test]
fn watching_shows_the_busiest_names_and_forgets_them() {
    let bench = Bench::start("", &[]);
    for _ in 0..20 {
        bench.ask("good.id", RecordType::A);
    }
    let mut watch = Command::new(env!("CARGO_BIN_EXE_bnsd"))
        .args(["status", "--watch", "--json", "--control-socket"])
        .arg(&bench.config.control_socket)
        .env("BNSD_CONFIG", bench.path("bnsd.toml"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let first: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert!(
        first.get("busiest").is_none(),
        "what was asked before nobody knows"
    );
    for _ in 0..20 {
        bench.ask("WWW.good.id", RecordType::A);
    }
    bench.ask("big.id", RecordType::A);
    let second: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(second["busiest"][0]["name"], "www.good.id");
    assert!(second["busiest"][0]["queries"].as_u64().unwrap() >= 15);
    drop(lines);
    let ended = (0..50).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        watch.try_wait().unwrap().is_some()
    });
    assert!(ended, "it ends when nobody reads");
    let plain = bench.bnsd(&["status", "--json"]);
    let plain = String::from_utf8(plain.stdout).unwrap();
    assert!(!plain.contains("busiest"), "{plain}");
}

/// What `systemd-analyze security` finds, in tenths; 10 is everything.
fn exposure(unit: &str) -> u32 {
    let path = format!("systemd/{unit}");
    let words = ["security", "--offline=yes", "--no-pager", &path];
    let analyzed = Command::new("systemd-analyze").args(words).output();
    let output = analyzed.expect("systemd-analyze of the Debian package `systemd`");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let level = text.split(&format!("exposure level for {unit}: ")).nth(1);
    let level = level.and_then(|rest| rest.split_whitespace().next());
    let level: f64 = level.and_then(|level| level.parse().ok()).expect(&text);
    (level * 10.0).round() as u32
}

#[test]
fn the_units_leave_little_open() {
    // PrivateUsers= would save two tenths, and hide from trust.sock which user asks.
    assert!(exposure("bnsd.service") <= 13);
    assert!(exposure("bnsd-standalone.service") <= 16);
    let unit = std::fs::read_to_string("systemd/bnsd.service").unwrap();
    assert!(unit.contains("\nCapabilityBoundingSet=\n") && !unit.contains("AmbientCapabilities"));
}

/// What is in the two services is the same but for the sockets and the one right that they save.
#[test]
fn both_services_have_the_same_sandbox() {
    let lines = |unit: &str| {
        let text = std::fs::read_to_string(format!("systemd/{unit}.service")).unwrap();
        let service = text.split("[Service]\n").nth(1).unwrap().to_owned();
        let own = ["#", "CapabilityBoundingSet", "AmbientCapabilities", "Also"];
        let lines = service
            .lines()
            .filter(|line| !own.iter().any(|own| line.starts_with(own)));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines("bnsd"), lines("bnsd-standalone"));
}
