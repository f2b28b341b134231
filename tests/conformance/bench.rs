//! A running daemon over an embedded chain with known names, an upstream that follows a script and remembers what
//! it was asked, and a client that speaks through real sockets.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use bitcoin::{Amount, TxOut};
use bnsd::bns::{Bns, Name, Params};
use bnsd::chain::ChainSource;
use bnsd::chain::dev::DevChain;
use bnsd::config::{Config, FileChoice, Places, Profile, Sources};
use bnsd::daemon::Daemon;
use bnsd::hash::ZonefileHash;
use bnsd::wallet::keys::SigningKey;
use bnsd::wallet::operation::Operation;
use bnsd::wallet::registrar::Registrar;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, SOA};
use hickory_proto::rr::{Name as DnsName, RData, Record, RecordType};

use crate::common::segments;

/// Seconds since 1970 of the first block.
pub const TIME: u32 = 1_790_000_000;
/// Patience of the client.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Names and their zone files.
pub const ZONES: &[(&str, &str)] = &[
    ("good.id", GOOD),
    (
        "cname.id",
        "@ CNAME www.example.com.\nwww CNAME www.example.com.\n",
    ),
    ("wild.podcast", WILD),
    ("co.id", "@ A 192.0.2.99\n"),
    ("rival.id", "@ A 192.0.2.50\n"),
    ("evil.podcast", EVIL),
];

const GOOD: &str = "$ORIGIN good.id.
$TTL 3600
@ A 192.0.2.1
@ AAAA 2606:4700::1
@ URI 10 1 \"https://example.com/\"
@ HTTPS 1 . alpn=h2 key65400=abc
www 60 CNAME @
deep.er.sub TXT \"below\"
t TYPE65280 \\# 4 DEADBEEF
_443._tcp TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
_25._tcp CNAME _443._tcp
_80._tcp TLSA 3 1 1 AB
out CNAME www.example.com.
gone CNAME nx.example.
back CNAME tobns.example.
loop CNAME loop.example.
a CNAME b
b CNAME a
h0 A 192.0.2.8
h1 CNAME h0
h2 CNAME h1
h3 CNAME h2
h4 CNAME h3
h5 CNAME h4
h6 CNAME h5
h7 CNAME h6
h8 CNAME h7
h9 CNAME h8
h10 CNAME h9
h11 CNAME h10
h12 CNAME h11
short DNAME target
x.target A 192.0.2.3
leave DNAME example.com.
long DNAME aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.example.
private A 10.0.0.1
home CNAME localhost.
";

const WILD: &str = "@ SOA ns.wild.podcast. h.wild.podcast. 5 3600 600 86400 30
* A 192.0.2.7
*.sub TXT \"two\"
host.ent TXT \"x\"
exact TXT \"y\"
";

/// Everything that a zone file must not be able to do.
const EVIL: &str = "$INCLUDE /etc/passwd
$GENERATE 1-100000 h$ A 192.0.2.1
good.id. A 192.0.2.66
$ORIGIN good.id.
@ A 192.0.2.66
$ORIGIN evil.podcast.
@ A 192.0.2.67
@ NS ns.elsewhere.example.
svcb SVCB 1 . mandatory=alpn
big 4294967295 TXT \"x\"
old 2147483648 TXT \"x\"
";

/// What a daemon follows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    Chain,
    Nothing,
}

/// A running daemon with its surroundings.
pub struct Bench {
    runtime: tokio::runtime::Runtime,
    daemon: Option<Daemon>,
    pub upstream: Upstream,
    pub registrar: Mutex<Registrar>,
    pub chain: DevChain,
    pub config: Config,
    scratch: tempfile::TempDir,
}

/// One bench for all tests that change nothing.
pub fn shared() -> &'static Bench {
    static SHARED: LazyLock<Bench> = LazyLock::new(|| Bench::start("", &[]));
    &SHARED
}

impl Bench {
    /// A daemon with these lines of configuration and environment variables, its names on the chain.
    pub fn start(settings: &str, environment: &[(&str, &str)]) -> Self {
        let bench = Self::without_names(settings, environment);
        bench.register();
        bench
    }

    /// A daemon on an empty chain.
    pub fn without_names(settings: &str, environment: &[(&str, &str)]) -> Self {
        Self::new(settings, environment, Follows::Chain)
    }

    /// A daemon that has never seen a block.
    pub fn without_chain(settings: &str) -> Self {
        Self::new(settings, &[], Follows::Nothing)
    }

    fn new(settings: &str, environment: &[(&str, &str)], follows: Follows) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let upstream = Upstream::start();
        let listen = if settings.contains("listen = [") && settings.starts_with("listen") {
            ""
        } else {
            "listen = [\"127.0.0.1:0\", \"[::1]:0\"]\n"
        };
        let text = format!("{listen}{settings}\n");
        let file = scratch.path().join("bnsd.toml");
        std::fs::write(&file, text).unwrap();
        let mut variables = vec![
            (
                "BNSD_DATA_DIR".to_owned(),
                scratch.path().join("data").display().to_string(),
            ),
            ("BNSD_CHAIN_SOURCE".to_owned(), "dev".to_owned()),
            (
                "BNSD_DNS_UPSTREAMS".to_owned(),
                upstream.address.to_string(),
            ),
        ];
        let given = environment.iter();
        variables.extend(given.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let config = Config::load(&Sources {
            profile: Profile::Serve,
            file: FileChoice::Named(file),
            environment: variables,
            flags: Vec::new(),
            places: Places::default(),
        })
        .unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let chain = DevChain::open(&scratch.path().join("chain")).unwrap();
        let daemon = {
            let _inside = runtime.enter();
            {
                let source = (follows == Follows::Chain).then(|| {
                    Box::new(chain.source(config.chain.confirmations)) as Box<dyn ChainSource>
                });
                Daemon::start(&config, source).unwrap()
            }
        };
        let registrar = Registrar::open(chain.clone(), Bns::new(Params::regtest())).unwrap();
        Self {
            runtime,
            daemon: Some(daemon),
            upstream,
            registrar: Mutex::new(registrar),
            chain,
            config,
            scratch,
        }
    }

    /// Puts all names of the bench on the chain.
    pub fn register(&self) {
        let big: String = (0..60).map(|n| format!("@ A 198.51.100.{n}\n")).collect();
        let mut zones: Vec<(String, String)> = ZONES
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect();
        zones.push(("big.id".to_owned(), big));
        let mut hashes: Vec<(Name, ZonefileHash)> = zones
            .iter()
            .map(|(name, text)| (name.parse().unwrap(), self.archive(text)))
            .collect();
        hashes.push((name("missing.id"), ZonefileHash::of(b"never seen")));
        let tampered = self.archive("@ A 192.0.2.1\n");
        hashes.push((name("badhash.id"), tampered));
        let mut registrar = self.registrar.lock().unwrap();
        registrar.publish(&hashes, TIME).unwrap();
        self.register_empty(&mut registrar, "empty.id");
        self.register_revoked(&mut registrar);
        self.settle();
        let archive = self.config.data_dir.join("zonefiles");
        segments::rewrite(&archive, &tampered.0, b"@ A 203.0.113.13\n");
    }

    /// A name without a zone file hash.
    fn register_empty(&self, registrar: &mut Registrar, text: &str) {
        let name = name(text);
        let key = Registrar::owner(&name);
        give(registrar, &key);
        let preorder = registrar.preorder(&name).unwrap();
        registrar.mine(vec![preorder], TIME).unwrap();
        let operation = Operation::name_register(&name, key.address(), None);
        let register = registrar.transaction(&operation, &key).unwrap();
        registrar.mine(vec![register], TIME).unwrap();
    }

    /// A name that its owner gave up.
    fn register_revoked(&self, registrar: &mut Registrar) {
        let hash = self.archive("@ A 192.0.2.44\n");
        let revoked = name("revoked.id");
        registrar.publish(&[(revoked.clone(), hash)], TIME).unwrap();
        let key = Registrar::owner(&revoked);
        let operation = Operation::name_revoke(&revoked, key.address());
        let revoke = registrar.transaction(&operation, &key).unwrap();
        registrar.mine(vec![revoke], TIME).unwrap();
    }

    /// Announces another zone file for a name, without waiting for the index.
    pub fn announce(&self, text: &str, zone: &str) {
        let hash = self.archive(zone);
        let mut registrar = self.registrar.lock().unwrap();
        registrar.publish(&[(name(text), hash)], TIME).unwrap();
    }

    pub fn archive(&self, text: &str) -> ZonefileHash {
        self.daemon().names().archive.put(text.as_bytes()).unwrap()
    }

    pub fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().unwrap()
    }

    /// Waits until the index is where the chain is.
    pub fn settle(&self) {
        let names = self.daemon().names();
        let end = Instant::now() + 6 * PATIENCE;
        while names
            .store
            .snapshot()
            .tip()
            .is_none_or(|tip| tip.hash != self.chain.tip().hash)
            || !names.progress.has_ever_synced()
        {
            assert!(Instant::now() < end, "the index does not follow");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Stops the daemon and starts it again on what is on its disk, with the chain or without anybody who knows it.
    pub fn restart(&mut self, follows: Follows) {
        if let Some(daemon) = self.daemon.take() {
            self.runtime.block_on(daemon.stop()).unwrap();
        }
        let _inside = self.runtime.enter();
        let source = (follows == Follows::Chain).then(|| {
            Box::new(self.chain.source(self.config.chain.confirmations)) as Box<dyn ChainSource>
        });
        self.daemon = Some(Daemon::start(&self.config, source).unwrap());
    }

    pub fn address(&self) -> SocketAddr {
        self.daemon().listeners()[0]
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Runs `bnsd` with these arguments against this daemon.
    pub fn bnsd(&self, arguments: &[&str]) -> std::process::Output {
        std::process::Command::new(env!("CARGO_BIN_EXE_bnsd"))
            .args(arguments)
            .arg("--control-socket")
            .arg(&self.config.control_socket)
            .env("BNSD_CONFIG", self.path("bnsd.toml"))
            .output()
            .unwrap()
    }

    /// Sends bytes over UDP; `None` if there is no answer within `patience`.
    pub fn udp_within(&self, query: &[u8], patience: Duration) -> Option<Vec<u8>> {
        udp(self.address(), query, patience)
    }

    /// Sends bytes over UDP and reads the answer.
    pub fn udp(&self, query: &[u8]) -> Message {
        let answer = self.udp_within(query, PATIENCE).expect("an answer");
        Message::from_vec(&answer).expect("a readable answer")
    }

    /// Asks over UDP with EDNS.
    pub fn ask(&self, name: &str, rtype: RecordType) -> Message {
        self.udp(&Query::new(name, rtype).edns(1232).bytes())
    }

    /// Asks for many names over UDP, some at a time, and gives what `see` makes of each answer.
    pub fn ask_many<T>(&self, queries: &[Query], see: impl Fn(&Message) -> T) -> Vec<T> {
        const AT_A_TIME: usize = 32;
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut buffer = vec![0; 65_535];
        let mut answers = Vec::with_capacity(queries.len());
        for some in queries.chunks(AT_A_TIME) {
            for query in some {
                socket.send_to(&query.bytes(), self.address()).unwrap();
            }
            for _ in some {
                let length = socket.recv(&mut buffer).expect("an answer");
                answers.push(see(&Message::from_vec(&buffer[..length]).unwrap()));
            }
        }
        answers
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            let _ = self.runtime.block_on(daemon.stop());
        }
    }
}

fn give(registrar: &mut Registrar, key: &SigningKey) {
    let allowance = TxOut {
        value: Amount::from_sat(200_000_000),
        script_pubkey: key.script(),
    };
    registrar.give(vec![allowance], TIME).unwrap();
}

pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub fn udp(server: SocketAddr, query: &[u8], patience: Duration) -> Option<Vec<u8>> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => "127.0.0.1:0".parse().unwrap(),
        SocketAddr::V6(_) => "[::1]:0".parse().unwrap(),
    };
    let socket = UdpSocket::bind(any).unwrap();
    socket.set_read_timeout(Some(patience)).unwrap();
    socket.send_to(query, server).unwrap();
    let mut answer = vec![0; 65_535];
    let length = socket.recv(&mut answer).ok()?;
    answer.truncate(length);
    Some(answer)
}

/// Writes a message with its length.
pub fn tcp_send(stream: &mut impl Write, message: &[u8]) {
    let mut framed = (message.len() as u16).to_be_bytes().to_vec();
    framed.extend(message);
    stream.write_all(&framed).unwrap();
}

/// Reads a message.
pub fn tcp_receive(stream: &mut impl Read) -> Message {
    Message::from_vec(&tcp_receive_bytes(stream)).unwrap()
}

/// Reads the bytes of a message.
pub fn tcp_receive_bytes(stream: &mut impl Read) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).unwrap();
    message
}

/// A query, byte by byte.
#[derive(Clone)]
pub struct Query {
    pub id: u16,
    /// Flags as on the wire; RD at first.
    pub flags: u16,
    name: Vec<u8>,
    rtype: u16,
    class: u16,
    opt: Option<Vec<u8>>,
    options: Vec<u8>,
}

pub const RD: u16 = 0x0100;
pub const AD: u16 = 0x0020;
pub const CD: u16 = 0x0010;

impl Query {
    pub fn new(name: &str, rtype: RecordType) -> Self {
        let mut wire = Vec::new();
        for label in name
            .trim_end_matches('.')
            .split('.')
            .filter(|label| !label.is_empty())
        {
            wire.push(label.len() as u8);
            wire.extend(label.bytes());
        }
        wire.push(0);
        Self {
            id: 0x1234,
            flags: RD,
            name: wire,
            rtype: rtype.into(),
            class: 1,
            opt: None,
            options: Vec::new(),
        }
    }

    pub fn id(mut self, id: u16) -> Self {
        self.id = id;
        self
    }

    pub fn flags(mut self, flags: u16) -> Self {
        self.flags = flags;
        self
    }

    pub fn class(mut self, class: u16) -> Self {
        self.class = class;
        self
    }

    /// EDNS version 0 with this payload.
    pub fn edns(self, payload: u16) -> Self {
        self.edns_with(payload, 0, 0)
    }

    /// EDNS with DO.
    pub fn dnssec_ok(self) -> Self {
        self.edns_with(1232, 0, 0x8000)
    }

    pub fn edns_with(mut self, payload: u16, version: u8, flags: u16) -> Self {
        let mut opt = vec![0, 0, 41];
        opt.extend(payload.to_be_bytes());
        opt.extend([0, version]);
        opt.extend(flags.to_be_bytes());
        self.opt = Some(opt);
        self
    }

    pub fn option(mut self, code: u16, data: &[u8]) -> Self {
        self.options.extend(code.to_be_bytes());
        self.options.extend((data.len() as u16).to_be_bytes());
        self.options.extend(data);
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.id.to_be_bytes().to_vec();
        bytes.extend(self.flags.to_be_bytes());
        bytes.extend([0, 1, 0, 0, 0, 0, 0, u8::from(self.opt.is_some())]);
        bytes.extend(&self.name);
        bytes.extend(self.rtype.to_be_bytes());
        bytes.extend(self.class.to_be_bytes());
        if let Some(opt) = &self.opt {
            bytes.extend(opt);
            bytes.extend((self.options.len() as u16).to_be_bytes());
            bytes.extend(&self.options);
        }
        bytes
    }
}

/// The extended error of an answer: code and text.
pub fn extended_error(message: &Message) -> Option<(u16, String)> {
    let data = option(message, 15)?;
    let (code, text) = data.split_first_chunk()?;
    Some((
        u16::from_be_bytes(*code),
        String::from_utf8_lossy(text).into_owned(),
    ))
}

/// The data of an EDNS option of an answer.
pub fn option(message: &Message, code: u16) -> Option<Vec<u8>> {
    use hickory_proto::rr::rdata::opt::EdnsOption;
    let edns = message.edns.as_ref()?;
    edns.options()
        .as_ref()
        .iter()
        .find_map(|(_, option)| match option {
            EdnsOption::Unknown(found, data) if *found == code => Some(data.clone()),
            _ => None,
        })
}

/// The addresses in an answer.
pub fn addresses(message: &Message) -> Vec<IpAddr> {
    let address = |record: &Record| match &record.data {
        RData::A(address) => Some(address.0.into()),
        RData::AAAA(address) => Some(address.0.into()),
        _ => None,
    };
    message.answers.iter().filter_map(address).collect()
}

/// Owners and types of the answer section.
pub fn shape(message: &Message) -> Vec<String> {
    let line = |record: &Record| format!("{} {}", record.name, record.record_type());
    message.answers.iter().map(line).collect()
}

/// An upstream over UDP and TCP that follows the script in [`script`].
pub struct Upstream {
    pub address: SocketAddr,
    seen: Arc<Mutex<HashMap<String, usize>>>,
    queries: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Upstream {
    fn start() -> Self {
        let (udp, tcp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
                break (Arc::new(udp), tcp);
            }
        };
        let upstream = Self {
            address: udp.local_addr().unwrap(),
            seen: Arc::default(),
            queries: Arc::default(),
        };
        let (seen, queries) = (Arc::clone(&upstream.seen), Arc::clone(&upstream.queries));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, client)) = udp.recv_from(&mut buffer) {
                let Ok(query) = Message::from_vec(&buffer[..length]) else {
                    continue;
                };
                queries.lock().unwrap().push(buffer[..length].to_vec());
                note(&seen, &query);
                let socket = Arc::clone(&udp);
                std::thread::spawn(move || {
                    if let Some(answer) = script(&query) {
                        let _ = socket.send_to(&answer.to_vec().unwrap(), client);
                    }
                });
            }
        });
        let seen = Arc::clone(&upstream.seen);
        std::thread::spawn(move || {
            for mut stream in tcp.incoming().flatten() {
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || {
                    let mut length = [0; 2];
                    while stream.read_exact(&mut length).is_ok() {
                        let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
                        if stream.read_exact(&mut bytes).is_err() {
                            return;
                        }
                        let query = Message::from_vec(&bytes).unwrap();
                        note(&seen, &query);
                        if let Some(answer) = script(&query) {
                            tcp_send(&mut stream, &answer.to_vec().unwrap());
                        }
                    }
                });
            }
        });
        upstream
    }

    /// How often names at or below `zone` were asked for, without probes for circles.
    pub fn asked_below(&self, zone: &str) -> usize {
        let zone: DnsName = zone.parse().unwrap();
        let seen = self.seen.lock().unwrap();
        let below = seen
            .iter()
            .filter(|(name, _)| !is_probe(name.as_bytes()))
            .filter(|(name, _)| zone.zone_of(&name.parse().unwrap()));
        below.map(|(_, count)| count).sum()
    }

    /// How often anything was asked, over UDP and TCP.
    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().values().sum()
    }

    /// All queries over UDP so far, as bytes, without probes for circles.
    pub fn queries(&self) -> Vec<Vec<u8>> {
        let queries = self.queries.lock().unwrap();
        let questions = queries.iter().filter(|query| !is_probe(query));
        questions.cloned().collect()
    }
}

/// Whether a name or query is a probe, which may go along with a question that could come back.
fn is_probe(bytes: &[u8]) -> bool {
    let label = b"bnsd-loop";
    let mut words = bytes.windows(label.len());
    words.any(|word| word.eq_ignore_ascii_case(label))
}

fn note(seen: &Mutex<HashMap<String, usize>>, query: &Message) {
    for question in &query.queries {
        let name = question.name().to_lowercase().to_string();
        *seen.lock().unwrap().entry(name).or_default() += 1;
    }
}

fn dns(text: &str) -> DnsName {
    DnsName::from_ascii(text).unwrap()
}

/// What the upstream answers. It claims AD for everything, and everything that it says about `good.id` is a lie.
fn script(query: &Message) -> Option<Message> {
    let question = query.queries.first()?.clone();
    let name = question.name().clone();
    let lower = name.to_lowercase().to_string();
    let mut answer = Message::query().into_response();
    answer.metadata.id = query.metadata.id;
    answer.metadata.recursion_desired = query.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.metadata.authentic_data = true;
    answer.metadata.checking_disabled = query.metadata.checking_disabled;
    answer.add_query(question.clone());
    let a = |owner: DnsName, ip: [u8; 4]| Record::from_rdata(owner, 300, RData::A(A(ip.into())));
    let cname =
        |owner: DnsName, to: &str| Record::from_rdata(owner, 300, RData::CNAME(CNAME(dns(to))));
    let lie = a(dns("good.id."), [203, 0, 113, 66]);
    if lower.starts_with("slow") {
        std::thread::sleep(Duration::from_millis(400));
    }
    match lower.as_str() {
        "silent.example." => return None,
        "nx.example." | "nx.id." => {
            answer.metadata.response_code = ResponseCode::NXDomain;
            let soa = SOA::new(
                dns("ns.example."),
                dns("h.example."),
                1,
                3600,
                600,
                86_400,
                300,
            );
            answer.add_authority(Record::from_rdata(dns("example."), 300, RData::SOA(soa)));
        }
        "refused.example." => answer.metadata.response_code = ResponseCode::Refused,
        "tobns.example." => {
            answer.add_answer(cname(name, "www.good.id."));
            answer.add_answer(lie);
        }
        "x.dn.example." => {
            let dname = RData::Unknown {
                code: RecordType::DNAME,
                rdata: hickory_proto::rr::rdata::NULL::with(b"\x04good\x02id\0".to_vec()),
            };
            answer.add_answer(Record::from_rdata(dns("dn.example."), 300, dname));
            answer.add_answer(cname(name, "x.good.id."));
        }
        "loop.example." => {
            answer.add_answer(cname(name, "loop.good.id."));
        }
        "rebind.example." => {
            answer.add_answer(a(name, [10, 0, 0, 1]));
        }
        _ if question.query_type() == RecordType::A => {
            let ip = if lower.ends_with(".id.") {
                [203, 0, 113, 9]
            } else {
                Ipv4Addr::new(198, 51, 100, 9).octets()
            };
            answer.add_answer(a(name, ip));
        }
        _ => {}
    }
    Some(answer)
}
