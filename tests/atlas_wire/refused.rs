//! Rows of the table of bad input that are the server's: each refused before it costs memory or time.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};

use super::Peer;
use crate::common::home::Home;
use crate::common::http;
use crate::common::world::World;

const PING: &str = "<?xml version='1.0'?><methodCall><methodName>ping</methodName></methodCall>";

fn server(home: &Home) -> (World, Peer) {
    let world = World::start(home.path(), &[]);
    let peer = Peer::of(world.names());
    (world, peer)
}

/// Status and body for a request with these lines of its head and this body.
fn post(address: SocketAddr, lines: &[&str], body: &str) -> (u16, String) {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let length = body.len();
    let request = format!(
        "POST /RPC2 HTTP/1.1\r\nHost: a\r\n{lines}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    let response = http::send(address, request.as_bytes()).expect("a response");
    (
        response.status,
        String::from_utf8_lossy(&response.body).into_owned(),
    )
}

#[test]
fn what_is_no_call_is_refused() {
    let home = Home::new();
    let (_world, peer) = server(&home);
    let at = peer.address;
    let (status, body) = post(at, &[], PING);
    assert!(status == 200 && body.contains("alive"), "{body}");
    assert_eq!(post(at, &["Content-Encoding: gzip"], PING).0, 415);
    assert_eq!(post(at, &["Origin: https://example.com"], PING).0, 403);
    assert_eq!(post(at, &["Sec-Fetch-Site: same-origin"], PING).0, 403);
    assert_eq!(http::get(at, "/RPC2").status, 405);
    assert_eq!(http::get(at, "/other").status, 404);

    let laughs = "<!DOCTYPE l [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;'>]><methodCall><methodName>&b;</methodName></methodCall>";
    let deep = "<methodCall><methodName>ping</methodName><params><param>".to_owned()
        + &"<value><array><data>".repeat(6);
    for bad in [laughs, &deep, "", "ping", "<methodCall/>"] {
        let (status, body) = post(at, &[], bad);
        assert!(status == 200 && body.contains("faultCode"), "{bad}: {body}");
    }
}

#[test]
fn a_call_that_is_too_long_is_refused_before_it_is_sent() {
    let home = Home::new();
    let (_world, peer) = server(&home);
    let head = "POST /RPC2 HTTP/1.1\r\nHost: a\r\n";
    let announced = format!("{head}Content-Length: 524289\r\n\r\n");
    let response = http::send(peer.address, announced.as_bytes()).expect("a response");
    assert_eq!(response.status, 413);

    let mut stream = TcpStream::connect(peer.address).expect("it listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a timeout");
    let endless = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
    stream.write_all(endless.as_bytes()).expect("it reads");
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
    let sent = (0..1_000)
        .take_while(|_| stream.write_all(&chunk).is_ok())
        .count();
    assert!(sent < 1_000, "it reads for ever");
    let mut response = Vec::new();
    let _ = stream.read_to_end(&mut response); // the connection may be gone before its last words arrive
    let response = String::from_utf8_lossy(&response);
    assert!(
        response.is_empty() || response.starts_with("HTTP/1.1 413"),
        "{response}"
    );
}

#[test]
fn who_sends_slowly_or_nothing_is_closed() {
    let home = Home::new();
    let (_world, peer) = server(&home);
    let closed_after = |start: &str| {
        let mut stream = TcpStream::connect(peer.address).expect("it listens");
        stream
            .set_read_timeout(Some(Duration::from_secs(40)))
            .expect("a timeout");
        stream.write_all(start.as_bytes()).expect("it reads");
        let (begin, mut end) = (Instant::now(), Vec::new());
        let _ = stream.read_to_end(&mut end);
        (
            begin.elapsed().as_secs(),
            String::from_utf8_lossy(&end).into_owned(),
        )
    };
    std::thread::scope(|scope| {
        let body = scope
            .spawn(|| closed_after("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n<"));
        let head = scope.spawn(|| closed_after("POST / HTTP/1.1\r\nHost:"));
        let (seconds, response) = body.join().expect("no panic");
        assert!(
            (5..10).contains(&seconds) && response.starts_with("HTTP/1.1 408"),
            "{seconds}: {response}"
        );
        let (seconds, _) = head.join().expect("no panic");
        assert!((9..20).contains(&seconds), "{seconds}");
    });
}

#[test]
fn whoever_calls_too_often_is_told_so() {
    let home = Home::new();
    let (_world, peer) = server(&home);
    let start = Instant::now();
    let answers: Vec<String> = (0..60).map(|_| post(peer.address, &[], PING).1).collect();
    let answered = answers.iter().filter(|body| body.contains("alive")).count();
    let allowed = 20 + 20 * (start.elapsed().as_secs() as usize + 1);
    assert!((20..=allowed).contains(&answered), "{answered}");
    let told = answers
        .iter()
        .filter(|body| body.contains("\"error\":\"overloaded\",\"http_status\":429"));
    assert_eq!(told.count(), 60 - answered);
}

#[test]
fn the_connection_of_whoever_calls_too_often_ends() {
    let home = Home::new();
    let (_world, peer) = server(&home);
    let call = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{PING}",
        PING.len()
    );
    let mut stream = TcpStream::connect(peer.address).expect("it listens");
    stream
        .write_all(call.repeat(40).as_bytes())
        .expect("it reads");
    let mut responses = String::new();
    stream.read_to_string(&mut responses).expect("an end");
    let alive = responses.matches("alive").count();
    assert!((20..40).contains(&alive), "{alive}");
    assert_eq!(responses.matches("overloaded").count(), 1);
    assert_eq!(responses.matches("connection: close").count(), 1);
}

/// Eight connections of one address ask for a hundred large files and read nothing.
#[test]
fn one_host_cannot_keep_the_files_from_others() {
    let home = Home::new();
    let (world, server) = server(&home);
    let files: Vec<Vec<u8>> = (0..100)
        .map(|number| format!("{number:>40960}").into_bytes())
        .collect();
    let hashes = world.names().archive.put_many(&files).expect("they fit");
    let document = {
        let hashes = hashes.iter();
        let hashes = hashes.map(|hash| format!("<value><string>{hash}</string></value>"));
        let list = hashes.collect::<String>();
        format!(
            "<methodCall><methodName>get_zonefiles</methodName><params><param><value><array><data>{list}</data></array></value></param></params></methodCall>"
        )
    };
    let fetch = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{document}",
        document.len()
    );
    let runtime = Runtime::new().expect("threads");
    runtime.block_on(async {
        let mut deaf = Vec::new();
        for _ in 0..8 {
            let mut stream = connect_from([127, 0, 0, 1], server.address).await;
            stream.write_all(fetch.as_bytes()).await.expect("it reads");
            deaf.push(stream);
        }
        sleep(Duration::from_secs(1)).await;

        let mut other = connect_from([127, 0, 0, 2], server.address).await;
        other.write_all(fetch.as_bytes()).await.expect("it reads");
        assert!(start_of_response(&mut other).await.contains("zonefiles"));

        let mut served = 0;
        for stream in &mut deaf {
            let start = start_of_response(stream).await;
            served += usize::from(start.contains("zonefiles"));
            assert!(
                start.contains("zonefiles") || start.contains("overloaded"),
                "{start}"
            );
        }
        assert_eq!(served, 2, "the others wait in vain");
    });
}

/// A connection from an address of this machine, with room for a few KiB that nobody has read.
async fn connect_from(ip: [u8; 4], to: SocketAddr) -> tokio::net::TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a size");
    socket.bind(SocketAddr::from((ip, 0))).expect("a free port");
    socket.connect(to).await.expect("it listens")
}

/// The first bytes of a response, which comes within 8 s: more than the server lets a call wait, less than it lets a reply.
async fn start_of_response(stream: &mut tokio::net::TcpStream) -> String {
    let mut start = [0; 600];
    let read = timeout(Duration::from_secs(8), stream.read(&mut start)).await;
    let read = read.expect("in time").expect("a response");
    String::from_utf8_lossy(&start[..read]).into_owned()
}

#[test]
fn whoever_is_denied_gets_no_answer() {
    let home = Home::new();
    let world = World::start(home.path(), &[]);
    let peer = Peer::denying(world.names(), &["127.0.0.0/8"]);
    let request = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{PING}",
        PING.len()
    );
    assert!(http::send(peer.address, request.as_bytes()).is_none());
}
