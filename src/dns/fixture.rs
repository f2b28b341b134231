//! A running server for tests, a scripted upstream, and a client that speaks through real sockets.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, Query as WireQuestion};
use hickory_proto::rr::{Name as DnsName, RecordType};
use tokio::sync::oneshot;

use super::{Handler, Options, Ports, Server, Transport};
use crate::clock::SystemClock;
use crate::resolver::fixture::Names;
use crate::resolver::{Policy, Snapshots, SyncState};
use crate::upstream::{ForwardOptions, Forwarder, UpstreamConfig};
use crate::worker::Crew;

/// Patience of the test client.
const PATIENCE: Duration = Duration::from_secs(10);

impl Snapshots for Names {
    type Source = Names;

    fn snapshot(&self) -> Names {
        self.clone()
    }

    fn sync_state(&self) -> SyncState {
        self.sync
    }
}

/// A query with id 0x1234, RD and no EDNS.
pub(super) fn query_bytes(name: &str, rtype: RecordType) -> Vec<u8> {
    message(name, rtype).to_vec().expect("a small message")
}

/// The same with EDNS.
pub(super) fn edns_query_bytes(name: &str, rtype: RecordType, payload: u16) -> Vec<u8> {
    let mut message = message(name, rtype);
    let mut edns = Edns::new();
    edns.set_max_payload(payload).set_dnssec_ok(true);
    message.set_edns(edns);
    message.to_vec().expect("a small message")
}

fn message(name: &str, rtype: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.id = 0x1234;
    message.metadata.recursion_desired = true;
    let name = DnsName::from_ascii(name).expect("a domain name");
    message.add_query(WireQuestion::query(name, rtype));
    message
}

/// A server on a port of its own, answering in its own runtime until dropped.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) handler: Arc<Handler<Names>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    pub(super) fn start(policy: Policy, upstreams: &[SocketAddr]) -> Self {
        Self::with_connections(policy, upstreams, 1000)
    }

    pub(super) fn with_connections(
        policy: Policy,
        upstreams: &[SocketAddr],
        tcp_connections: usize,
    ) -> Self {
        let options = ForwardOptions {
            upstreams: upstreams
                .iter()
                .copied()
                .map(UpstreamConfig::Plain)
                .collect(),
            ..ForwardOptions::default()
        };
        let clock = Arc::new(SystemClock::start());
        let forwarder = Forwarder::new(options, clock).expect("plain upstreams");
        let handler = Arc::new(Handler::new(Names::new(), policy, Arc::new(forwarder)));
        let shared = Arc::clone(&handler);
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(async {
                let options = Options {
                    listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
                    tcp_connections,
                    ..Options::default()
                };
                let ports = Ports::bind(&options).expect("a free port");
                let server = Server::new(ports, &options).expect("an identity");
                tell.send(server.addresses(Transport::Tcp)[0])
                    .expect("a test that waits");
                let mut crew = Crew::default();
                let serving = server.start(&shared, &Arc::default(), &mut crew);
                let _ = stopped.await;
                drop(serving.expect("threads"));
                crew.stop(PATIENCE).await.expect("a stop in time");
            });
        });
        Self {
            address: told.recv().expect("a server that starts"),
            handler,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Sends bytes over UDP and waits for an answer; `None` if there is none within `patience`.
    pub(super) fn udp(&self, query: &[u8], patience: Duration) -> Option<Vec<u8>> {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.set_read_timeout(Some(patience)).expect("a timeout");
        socket.send_to(query, self.address).expect("a packet sent");
        let mut answer = vec![0; 65_535];
        let length = socket.recv(&mut answer).ok()?;
        answer.truncate(length);
        Some(answer)
    }

    /// Asks over UDP.
    pub(super) fn ask(&self, query: &[u8]) -> Message {
        let answer = self.udp(query, PATIENCE).expect("an answer");
        Message::from_vec(&answer).expect("a readable answer")
    }

    pub(super) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Writes a message with its length.
pub(super) fn tcp_send(stream: &mut TcpStream, message: &[u8]) {
    let mut framed = (message.len() as u16).to_be_bytes().to_vec();
    framed.extend(message);
    stream.write_all(&framed).expect("a written query");
}

/// Reads a message.
pub(super) fn tcp_receive(stream: &mut TcpStream) -> Message {
    let mut length = [0; 2];
    stream.read_exact(&mut length).expect("a length");
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).expect("a message");
    Message::from_vec(&message).expect("a readable answer")
}

/// What an upstream does with a query.
pub(super) type Script = fn(Message) -> Option<Message>;

/// An upstream over UDP and TCP on one port that follows a script. It lives as long as the test process.
pub(super) struct Upstream {
    pub(super) address: SocketAddr,
    pub(super) queries: Arc<AtomicUsize>,
}

impl Upstream {
    /// The script sees UDP queries as they are, TCP queries with TC set.
    pub(super) fn start(script: Script) -> Self {
        let (udp, tcp) = bind_both();
        let address = udp.local_addr().expect("an address");
        let queries = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&queries);
        std::thread::spawn(move || serve_udp(&udp, script, &counter));
        std::thread::spawn(move || serve_tcp(&tcp, script));
        Self { address, queries }
    }

    pub(super) fn count(&self) -> usize {
        self.queries.load(Ordering::SeqCst)
    }
}

fn bind_both() -> (UdpSocket, std::net::TcpListener) {
    loop {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().expect("an address")) {
            return (udp, tcp);
        }
    }
}

/// The label of probes.
const PROBE: &[u8] = b"bnsd-loop";

fn serve_udp(socket: &UdpSocket, script: Script, counter: &AtomicUsize) {
    let mut buffer = [0; 4096];
    while let Ok((length, client)) = socket.recv_from(&mut buffer) {
        // A probe for circles may go along with a question.
        let mut words = buffer[..length].windows(PROBE.len());
        if !words.any(|word| word.eq_ignore_ascii_case(PROBE)) {
            counter.fetch_add(1, Ordering::SeqCst);
        }
        let Ok(query) = Message::from_vec(&buffer[..length]) else {
            continue;
        };
        if let Some(answer) = script(query) {
            let bytes = answer.to_vec().expect("a writable answer");
            socket.send_to(&bytes, client).expect("a sent answer");
        }
    }
}

fn serve_tcp(listener: &std::net::TcpListener, script: Script) {
    for stream in listener.incoming() {
        let mut stream = stream.expect("a connection");
        std::thread::spawn(move || {
            loop {
                let mut length = [0; 2];
                if stream.read_exact(&mut length).is_err() {
                    return;
                }
                let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
                stream.read_exact(&mut message).expect("a query");
                let mut query = Message::from_vec(&message).expect("a readable query");
                query.metadata.truncation = true;
                if let Some(answer) = script(query) {
                    tcp_send(&mut stream, &answer.to_vec().expect("a writable answer"));
                }
            }
        });
    }
}
