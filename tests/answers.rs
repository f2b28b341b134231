//! Answers from memory are the answers that a decision would give, byte for byte, while everything that they depend on
//! changes: blocks, reorganisations, zone files, preferences, hosts, upstreams, restarts, time.
//!
//! Two handlers share a database, an archive, upstreams and a clock. One logs its queries and keeps no names in memory, so it
//! decides every one of them from the database; the other may remember, and keeps them.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bnsd::bns::Params;
use bnsd::clock::{Clock, ManualClock};
use bnsd::dns::{Client, Handled, Handler, Hosts, QueryLog, Transport};
use bnsd::names::{NameIndex, NameStore, Names};
use bnsd::resolver::{Mode, Policy, Preference, Snapshots, SyncState};
use bnsd::store::Archive;
use bnsd::upstream::{ForwardOptions, Forwarder, UpstreamConfig};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, SOA};
use hickory_proto::rr::{Name as DnsName, RData, Record, RecordType};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::common::random::Random;
use crate::common::scratch::scratch;
use crate::common::upstream::{Seen, Send, Upstream};
use crate::reorg::script::{Base, NOW, Script, ZONEFILES, zonefile};

/// Queries; without optimisation a tenth, which takes as long.
const QUERIES: usize = if cfg!(debug_assertions) {
    100_000
} else {
    1_000_000
};
/// How many of a hundred must come from memory, for the comparison to be worth something.
const LEAST_SHARE: usize = if cfg!(debug_assertions) { 5 } else { 30 };
/// Queries between two changes of the world.
const STRETCH: usize = QUERIES / 500;
/// Stretches between two restarts.
const RUN: usize = 25;
/// Lifetime of upstreams' answers in seconds: short enough that none is asked for early, in the background.
const TTL: u32 = 9;
/// Names are kept as of a new block after so long, more often than not.
const KEPT_AFTER: Duration = Duration::from_millis(2);
/// Addresses in the private file of hosts, one after the other.
const HOSTS: [&str; 3] = [
    "10.0.0.1 printer.lan name1.reorg\n",
    "",
    "10.0.0.2 printer.lan\n",
];

/// A store whose snapshots are counted: whoever answers from memory takes none.
struct Counted {
    names: Arc<NameStore>,
    snapshots: Arc<AtomicUsize>,
}

impl Snapshots for Counted {
    type Source = Names;

    fn snapshot(&self) -> Names {
        self.snapshots.fetch_add(1, Ordering::Relaxed);
        self.names.snapshot()
    }

    fn sync_state(&self) -> SyncState {
        self.names.sync_state()
    }
}

/// What outlives a process.
struct World {
    clock: Arc<ManualClock>,
    upstream: Upstream,
    runtime: Runtime,
    random: Random,
    /// Queries that were answered without a decision.
    remembered: usize,
    directory: TempDir,
}

/// Both handlers and all that they share.
struct Pair {
    world: World,
    remembering: Arc<Handler<Counted>>,
    deciding: Handler<Arc<NameStore>>,
    snapshots: Arc<AtomicUsize>,
    forwarder: Arc<Forwarder>,
    archive: Arc<Archive>,
    _keeper: Keeper,
}

/// The thread that keeps names in memory.
struct Keeper {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    fn start(index: Arc<NameIndex>, names: &NameStore) -> Self {
        let stop = Arc::new(AtomicBool::default());
        let (told, store) = (Arc::clone(&stop), Arc::clone(&names.store));
        let progress = Arc::clone(&names.progress);
        let thread = thread::spawn(move || index.keep(&store, &progress, &told));
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(ended.is_none_or(|ended| ended.is_ok()) || thread::panicking());
    }
}

#[test]
fn a_million_answers_from_memory_are_those_of_a_decision() {
    let mut script = Script::new(&Base::mine(), 6);
    let mut pair = Pair::start(World::new(), &script);
    for stretch in 0..QUERIES / STRETCH {
        if stretch % RUN == RUN - 1 {
            let world = pair.stop();
            script = script.restart();
            pair = Pair::start(world, &script);
        }
        pair.change(&mut script, stretch);
        for _ in 0..STRETCH {
            pair.ask();
        }
    }
    let share = pair.world.remembered * 100 / QUERIES;
    println!("answers: {QUERIES} queries, {share} % answered from memory");
    assert!(share > LEAST_SHARE, "what is compared is memory: {share} %");
}

impl World {
    fn new() -> Self {
        Self {
            clock: Arc::new(ManualClock::at(NOW.into())),
            upstream: Upstream::start(reply),
            runtime: Runtime::new().unwrap(),
            random: Random::new(6),
            remembered: 0,
            directory: scratch(),
        }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }
}

impl Pair {
    fn start(world: World, script: &Script) -> Self {
        let clock = &world.clock;
        let archive = Arc::new(Archive::open(&world.path("zonefiles")).unwrap());
        script.index.progress.set_ever_synced();
        let names = || {
            NameStore::new(
                Arc::new(Params::regtest()),
                Arc::clone(&script.index.store),
                Arc::clone(&archive),
                Arc::clone(&script.index.progress),
                Arc::clone(clock) as Arc<dyn Clock>,
            )
        };
        let (mut remembered, decided) = (names(), names());
        let index = NameIndex::of(&script.index.store, u64::MAX);
        let keeper = Keeper::start(Arc::clone(&index), &remembered);
        remembered.index = Some(index);
        let options = ForwardOptions {
            upstreams: vec![UpstreamConfig::Plain(world.upstream.address)],
            ..ForwardOptions::default()
        };
        let shared_clock = Arc::clone(clock) as Arc<dyn Clock>;
        let forwarder = Arc::new(Forwarder::new(options, shared_clock).unwrap());
        forwarder.load(&world.path("cache")).unwrap();
        let hosts = || Some(Hosts::new(world.path("hosts")));
        let snapshots = Arc::new(AtomicUsize::new(0));
        let counted = Counted {
            names: Arc::new(remembered),
            snapshots: Arc::clone(&snapshots),
        };
        let remembering =
            Handler::new(counted, Policy::default(), Arc::clone(&forwarder)).with_hosts(hosts());
        let deciding = Handler::new(Arc::new(decided), Policy::default(), Arc::clone(&forwarder))
            .with_hosts(hosts())
            .with_log(QueryLog::On);
        let remembering = Arc::new(remembering);
        let told = Arc::downgrade(&remembering);
        (script.index.store).subscribe(move |notice| {
            if let Some(told) = Weak::upgrade(&told) {
                told.note_change(notice.height, &notice.names, &notice.namespaces);
            }
        });
        Self {
            world,
            remembering,
            deciding,
            snapshots,
            forwarder,
            archive,
            _keeper: keeper,
        }
    }

    /// Ends both, as a daemon ends that is asked to.
    fn stop(self) -> World {
        self.forwarder.save(&self.world.path("cache")).unwrap();
        self.world
    }

    /// Something else happens every time; blocks most of all.
    fn change(&mut self, script: &mut Script, stretch: usize) {
        match stretch % 10 {
            0 | 2 | 4 | 6 => {
                script.mine(3);
                script.settle();
            }
            1 => {
                let bytes = zonefile(self.world.random.below(ZONEFILES));
                self.archive.put(&bytes).unwrap();
            }
            3 => self.prefer(),
            5 => drop(fs::write(
                self.world.path("hosts"),
                self.world.random.pick(&HOSTS),
            )),
            7 => {
                let name = DnsName::from_ascii("a1.example.").unwrap();
                self.forwarder
                    .flush(self.world.random.pick(&[None, Some(&name)]).as_deref());
            }
            8 => script.reorganise(),
            _ => {
                let forked = self.world.random.below(4) == 0;
                script.index.progress.set_forked(forked);
            }
        }
        self.world.clock.advance(self.world.random.below(4) as u64);
        if self.world.random.below(2) == 0 {
            thread::sleep(KEPT_AFTER);
        }
    }

    fn prefer(&mut self) {
        let mut policy = Policy::default();
        let namespace = "reorg".parse().unwrap();
        let mode =
            *self
                .world
                .random
                .pick(&[Mode::Only, Mode::Exact, Mode::LegacyFirst, Mode::Off]);
        policy.modes.insert(namespace, mode);
        let preference = *self
            .world
            .random
            .pick(&[Preference::Bns, Preference::Legacy]);
        policy
            .preferences
            .insert("name2.reorg".parse().unwrap(), preference);
        policy.ad_for_bns = self.world.random.below(2) == 0;
        policy.max_ttl = *self.world.random.pick(&[600, 600, 45, 0]);
        policy.gateway = *self
            .world
            .random
            .pick(&[None, None, Some([127, 0, 62, 70].into())]);
        self.remembering.set_policy(policy.clone());
        self.deciding.set_policy(policy);
    }

    /// Asks both the same.
    fn ask(&mut self) {
        let _inside = self.world.runtime.enter();
        let query = query(&mut self.world.random);
        let transports = [
            Transport::Udp,
            Transport::Udp,
            Transport::Tcp,
            Transport::Https,
        ];
        let client = Client {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            transport: *self.world.random.pick(&transports),
        };
        let before = self.snapshots.load(Ordering::Relaxed);
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let remembering = self.remembering.handle(&query, client, &mut ours);
        let is_remembered = self.snapshots.load(Ordering::Relaxed) == before;
        match (
            remembering,
            self.deciding.handle(&query, client, &mut theirs),
        ) {
            (Handled::Ready, Handled::Ready) => {
                self.world.remembered += usize::from(is_remembered);
                assert!(ours == theirs, "{}", difference(&query, &ours, &theirs));
            }
            // Both have to ask; next time the answer is at hand.
            (Handled::Pending(_), Handled::Pending(pending)) => {
                let work = self.deciding.finish(*pending, &mut theirs);
                self.world.runtime.block_on(work);
            }
            _ => panic!("one of them waits: {}", difference(&query, &ours, &theirs)),
        }
    }
}

fn difference(query: &[u8], ours: &[u8], theirs: &[u8]) -> String {
    let [query, ours, theirs] = [query, ours, theirs].map(Message::from_vec);
    format!("asked {query:?}\nmemory says {ours:#?}\na decision says {theirs:#?}")
}

/// A query about something that may be there, in any letters, with any flags.
fn query(random: &mut Random) -> Vec<u8> {
    // Some names are asked for more than others, as everywhere.
    let number = (0..4).map(|_| random.below(25)).min().unwrap_or(0);
    let name = match random.below(12) {
        0..=2 => format!("name{number}.reorg"),
        3 => format!("www.name{number}.reorg"),
        4 => format!(
            "{}.name{number}.reorg",
            random.pick(&["other", "leave", "private", "big", "t", "x.d", "n"])
        ),
        5 => format!("name{number}.reorg.bns.alt"),
        6 => format!("imported{}.namespace{}", 2 + number % 2, number % 6),
        7 => random
            .pick(&["printer.lan", "localhost", "reorg", "x.test", "bns.alt"])
            .to_string(),
        8 => format!(
            "{}{number}.example",
            random.pick(&["nx", "ours", "cdn", "inside"])
        ),
        _ => format!("a{number}.example"),
    };
    let types: [u16; 16] = [1, 1, 1, 1, 1, 1, 1, 1, 28, 16, 6, 2, 15, 255, 5, 65_280];
    let flags = random.pick(&[0x0100, 0x0100, 0x0120, 0]) | random.pick(&[0, 0, 0, 0, 0x0010]);
    let with_opt = random.below(3) > 0;
    let mut bytes = (random.next() as u16).to_be_bytes().to_vec();
    bytes.extend(u16::to_be_bytes(flags));
    bytes.extend([0, 1, 0, 0, 0, 0, 0, u8::from(with_opt)]);
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        let letters = random.next();
        bytes.extend(
            label
                .bytes()
                .zip(0_u32..)
                .map(|(byte, at)| match letters >> at & 1 {
                    1 => byte.to_ascii_uppercase(),
                    _ => byte,
                }),
        );
    }
    bytes.push(0);
    bytes.extend(random.pick(&types).to_be_bytes());
    bytes.extend([0, 1]);
    if with_opt {
        let payload: u16 = *random.pick(&[0, 512, 600, 1232, 4096]);
        bytes.extend([0, 0, 41]);
        bytes.extend(payload.to_be_bytes());
        let dnssec_ok = random.pick(&[0, 0x80]);
        bytes.extend([0, 0, *dnssec_ok, 0, 0, 0]);
    }
    bytes
}

/// The upstream: what a name is decides what it has.
fn reply(seen: &Seen) -> Vec<Send> {
    let query = Message::from_vec(&seen.bytes).unwrap();
    let asked = query.queries[0].clone();
    let name = asked.name().clone();
    let label = String::from_utf8(name.iter().next().unwrap_or_default().to_ascii_lowercase());
    let mut reply = Message::response(query.metadata.id, query.metadata.op_code);
    reply.metadata.recursion_desired = true;
    reply.metadata.recursion_available = true;
    reply.add_query(asked.clone());
    let number: String = label
        .unwrap()
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    let start = String::from_utf8(name.iter().next().unwrap_or_default().to_ascii_lowercase());
    let address =
        |owner: DnsName, ip: [u8; 4]| Record::from_rdata(owner, TTL, RData::A(A(ip.into())));
    let alias = |target: &str| {
        let target = DnsName::from_ascii(target).unwrap();
        Record::from_rdata(name.clone(), TTL, RData::CNAME(CNAME(target)))
    };
    let start = start.unwrap();
    if start.starts_with("ours") {
        reply.add_answer(alias(&format!("name{number}.reorg.")));
    } else if start.starts_with("cdn") {
        let target = format!("a{number}.example.");
        reply.add_answer(alias(&target));
        reply.add_answer(address(
            DnsName::from_ascii(&target).unwrap(),
            [198, 51, 100, 1],
        ));
    } else if start.starts_with("inside") {
        reply.add_answer(address(name.clone(), [10, 0, 0, 9]));
    } else if start.starts_with('a') && asked.query_type() == RecordType::A {
        reply.add_answer(address(name.clone(), [198, 51, 100, 2]));
    } else {
        let root = DnsName::root();
        let soa = SOA::new(root.clone(), root.clone(), 1, 2, 3, 4, TTL);
        reply.add_authority(Record::from_rdata(root, TTL, RData::SOA(soa)));
        if !start.starts_with('a') {
            reply.metadata.response_code = ResponseCode::NXDomain;
        }
    }
    vec![Send::Reply(reply.to_vec().unwrap())]
}

/// Seconds of the clock that make a remembered answer out of date everywhere.
#[test]
fn what_is_remembered_of_an_upstream_counts_down_and_ends() {
    let script = Script::new(&Base::mine(), 7);
    let pair = Pair::start(World::new(), &script);
    let _inside = pair.world.runtime.enter();
    let client = Client {
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        transport: Transport::Udp,
    };
    let mut bytes = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2, b'a', b'1', 7];
    bytes.extend(b"example\0\0\x01\0\x01");
    let mut answer = Vec::new();
    let Handled::Pending(pending) = pair.remembering.handle(&bytes, client, &mut answer) else {
        panic!("nobody has asked yet");
    };
    (pair.world.runtime).block_on(pair.remembering.finish(*pending, &mut answer));
    for second in 0..u64::from(TTL) {
        for _ in 0..2 {
            let handled = pair.remembering.handle(&bytes, client, &mut answer);
            assert!(matches!(handled, Handled::Ready), "second {second}");
            let message = Message::from_vec(&answer).unwrap();
            assert_eq!(u64::from(message.answers[0].ttl), u64::from(TTL) - second);
        }
        pair.world.clock.advance(1);
    }
    let handled = pair.remembering.handle(&bytes, client, &mut answer);
    assert!(matches!(handled, Handled::Pending(_)));
}
