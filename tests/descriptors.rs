//! Few descriptors and many clients: nobody who takes them all keeps the others out.

use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use crate::common::demo::Demo;
use crate::common::dns::{Seen, plain_query, query, see, tcp};
use crate::common::home::Home;
use crate::common::process::status;

/// A demo with so many descriptors, and an upstream that never answers.
fn demo(descriptors: u32) -> (Demo, UdpSocket) {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let upstream = silent.local_addr().unwrap().to_string();
    let home = Home::new();
    let limit = format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"");
    let arguments = [
        "-c",
        &limit,
        env!("CARGO_BIN_EXE_bnsd"),
        "demo",
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        &upstream,
    ];
    let command = home.command("sh", &arguments);
    (Demo::run(home, command), silent)
}

fn socket(demo: &Demo) -> PathBuf {
    demo.home.state().join("demo/control.sock")
}

fn assert_works(demo: &Demo) {
    let start = Instant::now();
    for _ in 0..5 {
        let seen = see(demo.server, "werner.id", RecordType::A);
        assert_eq!(seen.rcode, ResponseCode::NoError, "over UDP");
        let seen = Seen::of(&tcp(demo.server, &query("werner.id", RecordType::A)));
        assert_eq!(seen.rcode, ResponseCode::NoError, "over a new connection");
    }
    assert!(status(&socket(demo)).is_some());
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}

fn idle_clients(server: SocketAddr, count: usize) -> Vec<TcpStream> {
    let connect = |_| TcpStream::connect(server).unwrap();
    (0..count).map(connect).collect()
}

/// Asks for names that nobody will answer for.
fn ask_in_vain(server: SocketAddr, count: usize) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..count {
        let name = format!("n{number}.example.com.");
        let bytes = plain_query(&name, RecordType::A).to_vec().unwrap();
        socket.send_to(&bytes, server).unwrap();
        if number % 50 == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn idle_clients_and_a_silent_upstream_leave_descriptors_to_others() {
    for (descriptors, clients) in [(64, 300), (1_024, 1_000)] {
        let (demo, _silent) = demo(descriptors);
        assert_works(&demo);
        let held = idle_clients(demo.server, clients);
        assert_works(&demo);
        ask_in_vain(demo.server, 2_000);
        assert_works(&demo);
        let held_too = idle_clients(demo.server, clients);
        assert_works(&demo);
        drop((held, held_too));
    }
}

#[test]
fn idle_control_clients_do_not_stop_status() {
    let (demo, _silent) = demo(1_024);
    let path = socket(&demo);
    let connect = |_| UnixStream::connect(&path).unwrap();
    let _held: Vec<UnixStream> = (0..1_000).map(connect).collect();
    let start = Instant::now();
    let ended = demo
        .home
        .run(&["status", "--control-socket", path.to_str().unwrap()]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_works(&demo);
}
