//! Garbage on connections, over TCP, TLS and HTTPS: it is forgiven a few times, then the connection is closed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::bench::{Bench, Query, tcp_receive, tcp_send};

/// Until when a connection with nothing but garbage has to be closed.
const CLOSED: Duration = Duration::from_secs(10);
/// Messages of garbage that are forgiven.
const FORGIVEN: usize = 3;

trait Duplex: Read + Write {}
impl<S: Read + Write> Duplex for S {}

fn bench() -> &'static Bench {
    const ENCRYPTED: &str =
        "[dns.tls]\nlisten = [\"127.0.0.1:0\"]\n[dns.https]\nlisten = [\"127.0.0.1:0\"]";
    static BENCH: LazyLock<Bench> = LazyLock::new(|| Bench::start(ENCRYPTED, &[]));
    &BENCH
}

fn plain() -> Box<dyn Duplex> {
    Box::new(bench().connect())
}

fn encrypted(server: SocketAddr) -> Box<dyn Duplex> {
    let pem = std::fs::read(bench().path("data/tls/certificate.pem")).unwrap();
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(&pem).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(CLOSED)).unwrap();
    stream.set_write_timeout(Some(CLOSED)).unwrap();
    Box::new(StreamOwned::new(session, stream))
}

fn tls() -> Box<dyn Duplex> {
    encrypted(bench().daemon().tls_listeners()[0])
}

/// Bytes of no meaning behind their length; the same in every run.
fn garbage(length: u16) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32 | u32::from(length) << 1;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend((0..length).map(|_| byte()));
    framed
}

fn ask(stream: &mut impl Duplex) {
    tcp_send(stream, &Query::new("good.id", RecordType::A).id(7).bytes());
    while tcp_receive(stream).metadata.id != 7 {}
}

#[test]
fn a_flood_of_garbage_ends_its_connection_and_no_other() {
    for connect in [plain, tls] {
        let mut honest = connect();
        ask(&mut honest);
        for (length, at_once) in [
            (65_533, 20),
            (0, 100_000),
            (1_024, 1_000),
            (65_533, 1),
            (0, 1),
            (1_024, 1),
        ] {
            for asks_first in [false, true] {
                let mut stream = connect();
                if asks_first {
                    ask(&mut stream);
                }
                let flood = garbage(length).repeat(at_once);
                let start = Instant::now();
                while stream.write_all(&flood).is_ok() {
                    let taken = start.elapsed();
                    assert!(
                        taken < CLOSED,
                        "{length} bytes, {at_once} at once: open after {taken:?}"
                    );
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        }
        ask(&mut honest);
        ask(&mut connect());
    }
}

#[test]
fn a_little_garbage_is_forgiven() {
    for connect in [plain, tls] {
        let mut stream = connect();
        for _ in 0..3 {
            for length in [1, 1_024, 65_533].into_iter().cycle().take(FORGIVEN) {
                stream.write_all(&garbage(length)).unwrap();
            }
            ask(&mut stream);
        }
    }
}

#[test]
fn garbage_over_https_ends_its_connection() {
    let mut stream = encrypted(bench().daemon().https_listeners()[0]);
    let mut requests = 0;
    let request = "GET /dns-query?dns=AAAA HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut reply = [0; 4096];
    while stream.write_all(request.as_bytes()).is_ok()
        && stream.read(&mut reply).is_ok_and(|length| length > 0)
    {
        requests += 1;
        assert!(requests <= FORGIVEN + 1, "still open");
    }
    assert!(requests >= FORGIVEN);
}

#[test]
fn many_who_send_garbage_drive_no_client_out() {
    let bench = Bench::start("", &[]);
    let mut honest = bench.connect();
    ask(&mut honest);
    let frame = garbage(1_024);
    let held: Vec<TcpStream> = (0..1_200)
        .map(|_| {
            let mut stream = bench.connect();
            let _ = stream.write_all(&frame);
            stream
        })
        .collect();
    ask(&mut honest);
    drop(held);
}
