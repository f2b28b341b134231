//! An upstream that does what a script says, with bytes, over UDP, TCP and TLS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};

use bitcoin::base64::Engine as _;
use bitcoin::base64::prelude::BASE64_STANDARD;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// How a query came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    Udp,
    Tcp,
    Tls,
}

/// A query as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub bytes: Vec<u8>,
    pub from: SocketAddr,
    pub over: Over,
    /// How many came before it.
    pub before: usize,
}

/// What is sent, and from where.
pub enum Send {
    /// From where the query went.
    Reply(Vec<u8>),
    /// From another port; over UDP only.
    Elsewhere(Vec<u8>),
    /// Nothing for some milliseconds.
    Wait(u64),
}

type Script = Arc<dyn Fn(&Seen) -> Vec<Send> + std::marker::Send + Sync>;

/// A scripted upstream. It lives as long as the test process.
pub struct Upstream {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Upstream {
    /// Over UDP and TCP on one port.
    pub fn start(script: impl Fn(&Seen) -> Vec<Send> + std::marker::Send + Sync + 'static) -> Self {
        let address = super::ports::free_address();
        Self::start_at(address, script)
    }

    /// The same at an address.
    pub fn start_at(
        address: SocketAddr,
        script: impl Fn(&Seen) -> Vec<Send> + std::marker::Send + Sync + 'static,
    ) -> Self {
        let script: Script = Arc::new(script);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let udp = UdpSocket::bind(address).unwrap();
        let tcp = TcpListener::bind(address).unwrap();
        let (log, play) = (Arc::clone(&seen), Arc::clone(&script));
        std::thread::spawn(move || serve_udp(&udp, &play, &log));
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in tcp.incoming().flatten() {
                let (log, script) = (Arc::clone(&log), Arc::clone(&script));
                let from = stream.peer_addr().unwrap();
                std::thread::spawn(move || converse(stream, from, Over::Tcp, &script, &log));
            }
        });
        Self { address, seen }
    }

    /// Over TLS, and on the same port over UDP for those who downgrade.
    pub fn start_tls(
        certificate: &Certificate,
        script: impl Fn(&Seen) -> Vec<Send> + std::marker::Send + Sync + 'static,
    ) -> Self {
        let address = super::ports::free_address();
        let script: Script = Arc::new(script);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let udp = UdpSocket::bind(address).unwrap();
        let tcp = TcpListener::bind(address).unwrap();
        let config = certificate.server(b"dot");
        let (log, play) = (Arc::clone(&seen), Arc::clone(&script));
        std::thread::spawn(move || serve_udp(&udp, &play, &log));
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in tcp.incoming().flatten() {
                let (log, script, config) =
                    (Arc::clone(&log), Arc::clone(&script), Arc::clone(&config));
                let from = stream.peer_addr().unwrap();
                std::thread::spawn(move || {
                    let server = rustls::ServerConnection::new(config).unwrap();
                    let stream = rustls::StreamOwned::new(server, stream);
                    converse(stream, from, Over::Tls, &script, &log);
                });
            }
        });
        Self { address, seen }
    }

    /// Everything that came.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How much came.
    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

fn note(log: &Mutex<Vec<Seen>>, bytes: &[u8], from: SocketAddr, over: Over) -> Seen {
    let mut log = log.lock().unwrap();
    let seen = Seen {
        bytes: bytes.to_vec(),
        from,
        over,
        before: log.len(),
    };
    log.push(seen.clone());
    seen
}

fn serve_udp(socket: &UdpSocket, script: &Script, log: &Mutex<Vec<Seen>>) {
    let elsewhere = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
    let mut buffer = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        let seen = note(log, &buffer[..length], from, Over::Udp);
        let (script, elsewhere) = (Arc::clone(script), Arc::clone(&elsewhere));
        let socket = socket.try_clone().unwrap();
        std::thread::spawn(move || {
            for send in script(&seen) {
                let _ = match send {
                    Send::Reply(bytes) => socket.send_to(&bytes, from),
                    Send::Elsewhere(bytes) => elsewhere.send_to(&bytes, from),
                    Send::Wait(millis) => {
                        std::thread::sleep(std::time::Duration::from_millis(millis));
                        Ok(0)
                    }
                };
            }
        });
    }
}

fn converse(
    mut stream: impl Read + Write,
    from: SocketAddr,
    over: Over,
    script: &Script,
    log: &Mutex<Vec<Seen>>,
) {
    loop {
        let mut length = [0; 2];
        if stream.read_exact(&mut length).is_err() {
            return;
        }
        let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
        if stream.read_exact(&mut bytes).is_err() {
            return;
        }
        let seen = note(log, &bytes, from, over);
        for send in script(&seen) {
            let bytes = match send {
                Send::Reply(bytes) | Send::Elsewhere(bytes) => bytes,
                Send::Wait(millis) => {
                    std::thread::sleep(std::time::Duration::from_millis(millis));
                    continue;
                }
            };
            let mut framed = (bytes.len() as u16).to_be_bytes().to_vec();
            framed.extend(bytes);
            if stream
                .write_all(&framed)
                .and_then(|()| stream.flush())
                .is_err()
            {
                return;
            }
        }
    }
}

/// A certificate that signs itself, with its key.
pub struct Certificate {
    pub pem: String,
    pub key_pem: String,
    der: Vec<u8>,
    key: Vec<u8>,
    /// SHA-256 of its key, in base64.
    pub pin: String,
}

impl Certificate {
    /// For a name.
    pub fn new(name: &str) -> Self {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let key = made.signing_key.serialize_der();
        let der = made.cert.der().to_vec();
        let parsed = CertificateDer::from(der.clone());
        let parsed = rustls::server::ParsedCertificate::try_from(&parsed).unwrap();
        use bitcoin::hashes::{Hash as _, sha256};
        let digest = sha256::Hash::hash(&parsed.subject_public_key_info()).to_byte_array();
        Self {
            pem: made.cert.pem(),
            key_pem: made.signing_key.serialize_pem(),
            der,
            key,
            pin: BASE64_STANDARD.encode(digest),
        }
    }

    /// For a server that speaks this protocol inside of TLS.
    pub fn server(&self, alpn: &[u8]) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.clone()));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![CertificateDer::from(self.der.clone())], key)
            .unwrap();
        config.alpn_protocols = vec![alpn.to_vec()];
        Arc::new(config)
    }
}

/// The end of the question in a query.
pub fn question_end(query: &[u8]) -> usize {
    let mut at = 12;
    while query[at] != 0 {
        at += 1 + usize::from(query[at]);
    }
    at + 5
}

/// The name that a query asks for, in lower case with dots.
pub fn asked(query: &[u8]) -> String {
    let mut name = String::new();
    let mut at = 12;
    while query[at] != 0 {
        let length = usize::from(query[at]);
        let label = &query[at + 1..at + 1 + length];
        name.push_str(&String::from_utf8_lossy(label).to_lowercase());
        name.push('.');
        at += 1 + length;
    }
    name
}

/// A record: owner in wire form, type, TTL, data.
pub type Record<'a> = (&'a [u8], u16, u32, &'a [u8]);

/// The owner that was asked for.
pub const ASKED: &[u8] = &[0xc0, 12];

/// A response to `query` with these answers and authorities.
pub fn response(query: &[u8], rcode: u8, answers: &[Record], authorities: &[Record]) -> Vec<u8> {
    let mut bytes = query[..question_end(query)].to_vec();
    bytes[2] = 0x81;
    bytes[3] = 0xa0 | rcode; // RA and AD
    bytes[6..12].fill(0);
    bytes[7] = answers.len() as u8;
    bytes[9] = authorities.len() as u8;
    for (owner, rtype, ttl, data) in answers.iter().chain(authorities) {
        bytes.extend(*owner);
        bytes.extend(rtype.to_be_bytes());
        bytes.extend([0, 1]);
        bytes.extend(ttl.to_be_bytes());
        bytes.extend((data.len() as u16).to_be_bytes());
        bytes.extend(*data);
    }
    bytes
}

/// The good answer: 198.51.100.5 for five minutes.
pub fn good(query: &[u8]) -> Vec<u8> {
    response(query, 0, &[(ASKED, 1, 300, &[198, 51, 100, 5])], &[])
}

/// A SOA for the zone `com` with this MINIMUM, and TTL 900.
pub fn soa(minimum: u32) -> Vec<u8> {
    let mut data = b"\x02ns\0\x01h\0".to_vec();
    data.extend([0; 16]);
    data.extend(minimum.to_be_bytes());
    data
}

/// The wire form of `com`.
pub const COM: &[u8] = b"\x03com\0";
