//! A daemon under everything at once, for as long as somebody wants: warm and cold names of the chain, forwarded ones,
//! absent ones and garbage over UDP, TCP and DoH, a block every second, reorganisations, reloads, upstreams that fail and
//! come back. Memory and descriptors are sampled each second.
//!
//! The campaign fails if a question gets no answer or a wrong one, or if memory or descriptors still grow after the first
//! third. SERVFAIL is an answer to a forwarded question while its upstream is down and for [`RECOVERY`] after that. Growth is
//! judged by medians: that of the last sixth against that of the sixth after the first third. What fills up once (caches,
//! the allocator's reserves) does so in the first third.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bitcoin::ScriptBuf;
use bnsd::bns::{Bns, Params};
use bnsd::chain::dev::DevChain;
use bnsd::hash::ZonefileHash;
use bnsd::wallet::registrar::Registrar;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use crate::common::dns::{Seen, query, tcp, try_udp};
use crate::common::home::Home;
use crate::common::ports::free_address;
use crate::common::process::{Process, status, until};
use crate::common::upstream::{ASKED, Send, Upstream, response};

/// Names of the chain that are asked for.
const NAMES: usize = 20;
/// How long a question may take: the daemon itself gives up after five seconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an upstream that is back may be passed over, or its failures remembered (RFC 9520): twice what it was down.
const RECOVERY: Duration = Duration::from_secs(20);
/// An upstream fails for so long, once in a [`CYCLE`].
const OUTAGE: Duration = Duration::from_secs(8);
const CYCLE: Duration = Duration::from_secs(60);
/// Time between two reloads, and between two reorganisations.
const RELOAD: Duration = Duration::from_secs(10);
const REORGANISATION: Duration = Duration::from_secs(15);
/// Blocks that a reorganisation takes back.
const DEPTH: u32 = 3;
/// Seconds since 1970 of the first block.
const TIME: u32 = 1_790_000_000;
/// Growth of memory that counts as none: a twentieth, and 4 MiB for what the allocator does.
const MEMORY_SLACK: u64 = 4 << 20;
/// Descriptors of questions that are out at the moment of a sample.
const DESCRIPTOR_SLACK: u64 = 8;

/// What is shared by all who work on the daemon.
struct Shared {
    server: SocketAddr,
    stop: AtomicBool,
    start: Instant,
    asked: AtomicU64,
    servfail: AtomicU64,
    /// What went wrong, one sentence each.
    wrong: Mutex<Vec<String>>,
    upstream: Arc<Weather>,
}

/// When upstreams are down.
struct Weather {
    start: Instant,
}

/// What the process occupies at a time.
#[derive(Clone, Copy)]
struct Sample {
    memory: u64,
    descriptors: u64,
}

/// What was done.
#[derive(Default)]
struct Done {
    blocks: u32,
    reorganisations: u32,
    reloads: u32,
}

impl Weather {
    fn is_down(&self) -> bool {
        self.since_outage() < OUTAGE
    }

    /// Whether a question about now may fail for the upstream's sake.
    fn may_fail(&self) -> bool {
        self.since_outage() < OUTAGE + RECOVERY
    }

    /// Time since the beginning of the last outage; the first one is in the middle of the first cycle.
    fn since_outage(&self) -> Duration {
        let at = self.start.elapsed().as_millis() + CYCLE.as_millis() / 2;
        Duration::from_millis((at % CYCLE.as_millis()) as u64)
    }
}

/// Runs for `length` and panics if anything was wrong; gives the table.
pub fn campaign(length: Duration) -> String {
    let bench = Bench::start();
    let shared = &bench.shared;
    let mut clients = Vec::new();
    for number in 0..3 {
        let shared = Arc::clone(shared);
        clients.push(thread::spawn(move || shared.ask_over_udp(number)));
    }
    let (over_tcp, https) = (Arc::clone(shared), bench.https);
    clients.push(thread::spawn(move || over_tcp.ask_over_tcp()));
    let over_https = Arc::clone(shared);
    clients.push(thread::spawn(move || over_https.ask_over_https(https)));
    let (samples, done, table) = bench.drive(length);
    shared.stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().expect("a client");
    }
    judge(&samples, &shared.wrong.lock().unwrap(), table, &done)
}

struct Bench {
    home: Home,
    daemon: Process,
    chain: DevChain,
    shared: Arc<Shared>,
    https: SocketAddr,
    upstreams: [Upstream; 2],
}

impl Bench {
    fn start() -> Self {
        let home = Home::new();
        let folder = home.folder("zonefiles");
        home.folder("other");
        let chain = DevChain::open(&home.path().join("chain")).expect("a chain");
        let mut registrar =
            Registrar::open(chain.clone(), Bns::new(Params::regtest())).expect("a chain");
        let names: Vec<_> = (0..NAMES)
            .map(|number| {
                let zone = format!("$ORIGIN n{number}.id\n$TTL 60\n@ A 192.0.2.{number}\n");
                fs::write(folder.join(format!("n{number}.zone")), &zone).expect("a file");
                let name = format!("n{number}.id").parse().expect("a name");
                (name, ZonefileHash::of(zone.as_bytes()))
            })
            .collect();
        registrar.publish(&names, TIME).expect("registered");

        let weather = Arc::new(Weather {
            start: Instant::now(),
        });
        let upstreams = [1, 2].map(|number| {
            let weather = Arc::clone(&weather);
            Upstream::start(move |seen| match weather.is_down() {
                true => Vec::new(),
                false => {
                    let data = [198, 51, 100, number];
                    vec![Send::Reply(response(
                        &seen.bytes,
                        0,
                        &[(ASKED, 1, 20, &data)],
                        &[],
                    ))]
                }
            })
        });
        let (server, https) = (free_address(), free_address());
        home.folder(".config/bnsd");
        let shared = Arc::new(Shared {
            server,
            stop: AtomicBool::default(),
            start: Instant::now(),
            asked: AtomicU64::default(),
            servfail: AtomicU64::default(),
            wrong: Mutex::default(),
            upstream: weather,
        });
        let mut bench = Self {
            daemon: Process::start(&home, home.command("true", &[])),
            home,
            chain,
            shared,
            https,
            upstreams,
        };
        bench.configure(0);
        let command = bench.home.bnsd(&["serve", "--log", "warn"]);
        bench.daemon = Process::start(&bench.home, command);
        bench.daemon.ready(&bench.socket());
        until("the names", || {
            let is_there = |number| {
                let seen = ask(server, &format!("n{number}.id"));
                seen.is_ok_and(|seen| seen.rcode == ResponseCode::NoError)
            };
            (0..NAMES).all(is_there).then_some(())
        });
        bench
    }

    fn socket(&self) -> PathBuf {
        self.home.state().join("control.sock")
    }

    /// Writes the configuration; odd ones differ from even ones in everything that a reload obeys.
    fn configure(&self, number: u32) {
        let home = self.home.path().display();
        let odd = number % 2;
        let other = format!(", \"{home}/other\"");
        let text = format!(
            "listen = [\"{server}\"]\n\
             [chain]\nsource = \"blockfiles\"\nnetwork = \"regtest\"\nblocks-dir = \"{home}/chain/blocks\"\n\
             [dns]\nupstreams = [\"{upstream}\"]\ncache-size = 1\nmax-ttl = {ttl}\nhosts = {hosts}\nstale-max = 0\n\
             access = [\"192.0.2.{odd}/32\"]\nhttps.listen = [\"{https}\"]\n\
             [namespaces]\nid = \"only\"\nextra{number} = \"only\"\n\
             [zonefiles]\nfolders = [\"{home}/zonefiles\"{more}]\n",
            server = self.shared.server,
            https = self.https,
            upstream = self.upstreams[odd as usize].address,
            ttl = 30 + odd,
            hosts = odd == 0,
            more = if odd == 0 { &other } else { "" },
        );
        let new = self.home.path().join("new.toml");
        fs::write(&new, text).expect("a file");
        let place = self.home.path().join(".config/bnsd/bnsd.toml");
        fs::rename(new, place).expect("a file");
    }

    /// Mines, reorganises, reloads and samples for `length`.
    fn drive(&self, length: Duration) -> (Vec<Sample>, Done, String) {
        let (mut samples, mut done) = (Vec::new(), Done::default());
        let mut table = String::from(
            "   time   memory  descriptors    asked  servfail   blocks   reorgs  reloads\n",
        );
        let start = Instant::now();
        while start.elapsed() < length {
            let at = start.elapsed();
            self.mine(&mut done, at);
            if at >= RELOAD * (done.reloads + 1) {
                done.reloads += 1;
                self.configure(done.reloads);
                let reply = self.home.run(&["reload"]);
                if reply.code != 0 {
                    self.shared.note(&format!("a reload failed: {reply:?}"));
                }
            }
            samples.push(self.sample());
            if samples.len() % 60 == 1 || at + Duration::from_secs(2) > length {
                let line = self.line(at, samples.last().expect("a sample"), &done);
                eprint!("{line}");
                table.push_str(&line);
            }
            thread::sleep(
                Duration::from_secs(samples.len() as u64).saturating_sub(start.elapsed()),
            );
        }
        let last = status(&self.socket()).expect("a status");
        let tip = self.chain.tip().height;
        if last.height.is_none_or(|height| height + 5 < tip) {
            self.shared.note(&format!(
                "the index is at {:?}, the chain at {tip}",
                last.height
            ));
        }
        (samples, done, table)
    }

    fn mine(&self, done: &mut Done, at: Duration) {
        let reward = ScriptBuf::from_bytes(done.blocks.to_le_bytes().to_vec());
        let mut count = 1;
        if at >= REORGANISATION * (done.reorganisations + 1) {
            let height = self.chain.tip().height - DEPTH;
            self.chain.rewind(height).expect("a shorter chain");
            done.reorganisations += 1;
            count += DEPTH;
        }
        self.chain
            .mine_empty(&reward, count, TIME)
            .expect("a block");
        done.blocks += count;
    }

    fn sample(&self) -> Sample {
        let process = format!("/proc/{}", self.daemon.id());
        let text = fs::read_to_string(format!("{process}/status")).expect("the daemon runs");
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        Sample {
            memory: kilobytes.expect("a number") << 10,
            descriptors: fs::read_dir(format!("{process}/fd")).expect("ours").count() as u64,
        }
    }

    fn line(&self, at: Duration, sample: &Sample, done: &Done) -> String {
        format!(
            "{:>5} s {:>5.1} MiB {:>12} {:>8} {:>9} {:>8} {:>8} {:>8}\n",
            at.as_secs(),
            sample.memory as f64 / f64::from(1 << 20),
            sample.descriptors,
            self.shared.asked.load(Ordering::Relaxed),
            self.shared.servfail.load(Ordering::Relaxed),
            done.blocks,
            done.reorganisations,
            done.reloads,
        )
    }
}

fn ask(server: SocketAddr, name: &str) -> std::io::Result<Seen> {
    let answer = try_udp(server, &query(name, RecordType::A), PATIENCE)?;
    Ok(Seen::of(&answer))
}

impl Shared {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn note(&self, wrong: &str) {
        let mut all = self.wrong.lock().unwrap();
        if all.len() < 20 {
            let at = self.start.elapsed().as_secs();
            eprintln!("{at} s: {wrong}");
            all.push(format!("{at} s: {wrong}"));
        }
    }

    /// What is asked in turn: a name, and how its answer may look.
    fn question(&self, number: u64) -> (String, Expected) {
        let which = number as usize % NAMES;
        match number % 5 {
            0 => (
                format!("n{which}.id"),
                Expected::Address(format!("192.0.2.{which}")),
            ),
            1 => (format!("cold{number}.n{which}.id"), Expected::Absent),
            2 => ("www.example".to_owned(), Expected::Forwarded),
            3 => (format!("cold{number}.example"), Expected::Forwarded),
            _ => (format!("nobody{number}.id"), Expected::Absent),
        }
    }

    fn check(
        &self,
        name: &str,
        expected: &Expected,
        seen: std::io::Result<Seen>,
        could_fail: bool,
    ) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let seen = match seen {
            Ok(seen) => seen,
            Err(error) => return self.note(&format!("{name} was not answered: {error}")),
        };
        let is_servfail = seen.rcode == ResponseCode::ServFail;
        self.servfail
            .fetch_add(is_servfail.into(), Ordering::Relaxed);
        let is_right = match expected {
            Expected::Address(address) => seen.has_address(address),
            Expected::Absent => seen.rcode == ResponseCode::NXDomain,
            Expected::Forwarded => {
                let both = ["198.51.100.1", "198.51.100.2"];
                let is_answered = both.iter().any(|address| seen.has_address(address));
                is_answered || is_servfail && (could_fail || self.upstream.may_fail())
            }
        };
        if !is_right {
            self.note(&format!("{name}: {seen:?}"));
        }
    }

    fn ask_over_udp(&self, client: u64) {
        let garbage = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let mut number = client * 1_000_000_000;
        while self.goes_on() {
            let (name, expected) = self.question(number);
            let could_fail = self.upstream.may_fail();
            self.check(&name, &expected, ask(self.server, &name), could_fail);
            if number.is_multiple_of(7) {
                let bytes: Vec<u8> = (0..number % 600).map(|at| (at * number) as u8).collect();
                let _ = garbage.send_to(&bytes, self.server); // nobody waits for an answer
            }
            number += 1;
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn ask_over_tcp(&self) {
        let mut number = 4_000_000_000;
        while self.goes_on() {
            let (name, expected) = self.question(number);
            let could_fail = self.upstream.may_fail();
            let answer =
                std::panic::catch_unwind(|| tcp(self.server, &query(&name, RecordType::A)));
            let seen = answer.map(|answer| Seen::of(&answer));
            let seen = seen.map_err(|_| std::io::Error::other("over TCP"));
            self.check(&name, &expected, seen, could_fail);
            number += 1;
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// With kdig, a new connection for each question.
    fn ask_over_https(&self, server: SocketAddr) {
        let mut number = 0;
        while self.goes_on() {
            let name = format!("n{}.id", number % NAMES);
            let port = server.port().to_string();
            let asked = Command::new("kdig")
                .args([
                    "@127.0.0.1",
                    "-p",
                    &port,
                    "+https",
                    "+short",
                    "+time=10",
                    &name,
                ])
                .output()
                .expect("kdig is needed for DoH: install knot-dnsutils");
            let text = String::from_utf8_lossy(&asked.stdout).into_owned();
            self.asked.fetch_add(1, Ordering::Relaxed);
            if text.trim() != format!("192.0.2.{}", number % NAMES) {
                self.note(&format!("{name} over HTTPS: {asked:?}"));
            }
            number += 1;
            thread::sleep(Duration::from_millis(500));
        }
    }
}

enum Expected {
    Address(String),
    Absent,
    Forwarded,
}

/// The table with the verdict; panics if there is anything wrong.
fn judge(samples: &[Sample], wrong: &[String], mut table: String, done: &Done) -> String {
    let sixth = samples.len() / 6;
    let median = |from: usize, value: fn(&Sample) -> u64| {
        let mut values: Vec<u64> = samples[from..from + sixth].iter().map(value).collect();
        values.sort_unstable();
        values[values.len() / 2]
    };
    let last = samples.len() - sixth;
    let [memory, descriptors] = [
        |sample: &Sample| sample.memory,
        |sample: &Sample| sample.descriptors,
    ];
    let (early, late) = (median(2 * sixth, memory), median(last, memory));
    let open = (median(2 * sixth, descriptors), median(last, descriptors));
    table.push_str(&format!(
        "median after the first third and at the end: {:.1} and {:.1} MiB, {} and {} descriptors\n",
        early as f64 / f64::from(1 << 20),
        late as f64 / f64::from(1 << 20),
        open.0,
        open.1,
    ));
    assert!(wrong.is_empty(), "{table}\n{wrong:#?}");
    assert!(done.reloads > 0 && done.blocks > 0, "{table}");
    assert!(
        late <= early + early / 20 + MEMORY_SLACK,
        "memory grows\n{table}"
    );
    assert!(
        open.1 <= open.0 + DESCRIPTOR_SLACK,
        "descriptors grow\n{table}"
    );
    table
}

/// The long form is `tests/release/soak.rs`.
#[test]
fn memory_and_descriptors_are_flat_and_nothing_is_lost() {
    println!("{}", campaign(Duration::from_secs(45)));
}
