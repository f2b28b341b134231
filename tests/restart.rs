//! What somebody sees whose machine loses power during a sync: nothing. The daemon is killed fifty times (10,000 times in the
//! long form) at random moments of a sync of 500 blocks; after every kill the database is a prefix of the chain, and when the sync has
//! ended it and every answer equal those of a run that nobody disturbed.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bnsd::bns::{Bns, Name, Params};
use bnsd::chain::dev::DevChain;
use bnsd::hash::ZonefileHash;
use bnsd::store::{ChainIdentity, Store, StoreOptions};
use bnsd::wallet::operation::Operation;
use bnsd::wallet::registrar::Registrar;
use hickory_proto::rr::RecordType;

use crate::common::dns::{Seen, see};
use crate::common::form::form;
use crate::common::home::Home;
use crate::common::process::{Process, ended_by_itself, listener, status, until};
use crate::common::world::{TIME, name, zonefile};

/// Blocks of the chain.
const BLOCKS: u32 = 500;
/// Names on it, and how many of them change in a block.
const NAMES: usize = 20;
const CHANGES: usize = 3;
/// How often the daemon is killed, and in the long form. Of five kills four must land strictly between first and last block.
const KILLS: usize = 50;
const KILLS_LONG: usize = 10_000;
/// The daemon lives for the time of at most so many blocks, so that a sync is killed about ten times.
const STRIDE: u32 = 100;
/// A sync with fewer blocks left is let to its end, and the next one begins from nothing.
const RUNWAY: u32 = 25;

/// A chain on disk, the zone files that it announces, and what an undisturbed run made of both.
struct Original {
    home: Home,
    folder: PathBuf,
    /// Consensus hash of each block from the first on.
    consensus_hashes: Vec<String>,
    dump: String,
    answers: Vec<Seen>,
}

/// A sync under way in a data directory of its own.
struct Sync<'a> {
    original: &'a Original,
    home: Home,
}

#[test]
fn fifty_kills_leave_no_trace() {
    let kills = form(KILLS, KILLS_LONG);
    let original = Original::make();
    let mut random = Random::new();
    let mut pace = Pace::default();
    let mut sync = Sync::new(&original);
    let (mut landed, mut finished) = (0, 0);
    for _ in 0..kills {
        let before = sync.height();
        let wait = pace.time_for(STRIDE).mul_f64(random.fraction());
        sync.run_and_kill(wait);
        let after = sync.check_prefix();
        pace.learn(after - before, wait);
        landed += usize::from((2..BLOCKS).contains(&after));
        if BLOCKS - after < RUNWAY {
            sync.finish();
            finished += 1;
            sync = Sync::new(&original);
        }
    }
    sync.finish();
    println!(
        "{landed} of {kills} kills landed between first and last block, over {} syncs",
        finished + 1
    );
    assert!(landed >= kills / 5 * 4);
}

impl Original {
    fn make() -> Self {
        let home = Home::new();
        let folder = home.folder("zones");
        make_chain(&home.path().join("chain"), &folder);
        let mut original = Self {
            home,
            folder,
            consensus_hashes: Vec::new(),
            dump: String::new(),
            answers: Vec::new(),
        };
        (original.answers, original.consensus_hashes, original.dump) = original.run_undisturbed();
        original.check();
        original
    }

    fn run_undisturbed(&self) -> (Vec<Seen>, Vec<String>, String) {
        let undisturbed = Sync::new(self);
        let answers = undisturbed.run_to_the_end();
        let store = undisturbed.open();
        let hashes = (1..=BLOCKS).map(|height| consensus_hash(&store, height));
        let dump = store.snapshot().dump().expect("a dump");
        (answers, hashes.collect(), dump)
    }

    /// That there is something to lose: operations in most blocks, and an answer for every name.
    fn check(&self) {
        let operations = self
            .dump
            .lines()
            .filter(|line| line.starts_with("operations "));
        assert!(operations.count() > 1000);
        assert_eq!(self.answers.len(), NAMES);
        assert!(
            self.answers.iter().all(|seen| seen.answers.len() == 1),
            "{:?}",
            self.answers
        );
    }
}

impl<'a> Sync<'a> {
    /// A data directory that holds the chain and nothing else.
    fn new(original: &'a Original) -> Self {
        let home = Home::new();
        copy(
            &original.home.path().join("chain"),
            &home.folder("data/chain"),
        );
        Self { original, home }
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn start(&self) -> Process {
        let data = self.data().display().to_string();
        let mut command =
            self.home
                .bnsd(&["serve", "--data-dir", &data, "--listen", "127.0.0.1:0"]);
        command
            .env("BNSD_CHAIN_SOURCE", "dev")
            .env("BNSD_NAMESPACES", "id=only")
            .env("BNSD_ZONEFILES_FOLDERS", &self.original.folder);
        Process::start(&self.home, command)
    }

    /// Lets the daemon index for a while, then kills it. The index starts right after the control socket.
    fn run_and_kill(&self, wait: Duration) {
        let socket = self.data().join("control.sock");
        let _ = fs::remove_file(&socket); // a killed daemon leaves it
        let mut daemon = self.start();
        let end = Instant::now() + Duration::from_secs(60);
        while !socket.exists() {
            assert!(
                !daemon.has_ended() && Instant::now() < end,
                "{}",
                daemon.stderr()
            );
            std::thread::sleep(Duration::from_micros(200));
        }
        std::thread::sleep(wait);
        daemon.kill();
    }

    /// Opens what the daemon left behind.
    fn open(&self) -> Store {
        let chain = ChainIdentity::new("dev", &Params::regtest());
        Store::open(&self.data(), &chain, StoreOptions::default())
            .expect("a database that is whole")
    }

    fn height(&self) -> u32 {
        if !self.data().join("names.redb").exists() {
            return 0;
        }
        self.open().snapshot().tip().map_or(0, |tip| tip.height)
    }

    /// Every block up to the tip is there, with the hash of the undisturbed run; gives the tip's height.
    fn check_prefix(&self) -> u32 {
        let store = self.open();
        let tip = store.snapshot().tip().map_or(0, |tip| tip.height);
        for (height, expected) in (1..=tip).zip(&self.original.consensus_hashes) {
            assert_eq!(
                consensus_hash(&store, height),
                *expected,
                "at height {height}"
            );
        }
        tip
    }

    /// Lets the daemon finish; gives the answers to a question about every name.
    fn run_to_the_end(&self) -> Vec<Seen> {
        let socket = self.data().join("control.sock");
        let mut daemon = self.start();
        let server = listener(&daemon.ready(&socket));
        until("the sync to end", || {
            let status = status(&socket)?;
            let done =
                status.height == Some(BLOCKS) && status.zonefiles.announced.missing_count == 0;
            (done && status.lag_seconds == Some(0)).then_some(())
        });
        let ask = |index| see(server, &label(index), RecordType::A);
        let answers = (0..NAMES).map(ask).collect();
        let status = daemon.terminate();
        assert!(
            ended_by_itself(status) && status.success(),
            "{}",
            daemon.stderr()
        );
        answers
    }

    /// Lets the daemon finish and compares everything with the undisturbed run.
    fn finish(&self) {
        assert_eq!(self.run_to_the_end(), self.original.answers);
        assert_eq!(self.check_prefix(), BLOCKS);
        let dump = self.open().snapshot().dump().expect("a dump");
        assert!(dump == self.original.dump, "the databases differ");
    }
}

/// Copies a directory with all that is in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let path = entry.expect("a file").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, target).expect("a copy");
        }
    }
}

fn consensus_hash(store: &Store, height: u32) -> String {
    let block = store.snapshot().block(height).expect("a readable row");
    block
        .expect("no block is missing")
        .consensus_hash
        .to_string()
}

/// How fast blocks are indexed, learnt from what was seen.
#[derive(Default)]
struct Pace {
    blocks: u32,
    time: Duration,
}

impl Pace {
    /// What an idle machine does, until something is known.
    const GUESS: Duration = Duration::from_millis(2);

    fn time_for(&self, blocks: u32) -> Duration {
        let per_block = self.time.checked_div(self.blocks).unwrap_or(Self::GUESS);
        per_block * blocks
    }

    fn learn(&mut self, blocks: u32, time: Duration) {
        self.blocks += blocks;
        self.time += time;
    }
}

/// Moments that nobody chose: a linear congruential generator (Knuth's MMIX) from a random start.
struct Random(u64);

impl Random {
    fn new() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }

    /// From 0 to 1.
    fn fraction(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / f64::from(1 << 24)
    }
}

fn label(index: usize) -> String {
    format!("name{index}.id")
}

/// Every name has three zone files that it announces in turn.
fn versions(index: usize) -> [Vec<u8>; 3] {
    [1, 2, 3].map(|version| zonefile(&label(index), &format!("198.51.{version}.{index}")))
}

/// Registers the names and changes some of them in every block up to the last.
fn make_chain(directory: &Path, folder: &Path) {
    let chain = DevChain::open(directory).expect("a chain");
    let mut registrar = Registrar::open(chain, Bns::new(Params::regtest())).expect("a chain");
    let names: Vec<Name> = (0..NAMES).map(|index| name(&label(index))).collect();
    let hashes: Vec<[ZonefileHash; 3]> = (0..NAMES)
        .map(|index| versions(index).map(|bytes| write(folder, &bytes)))
        .collect();
    let first: Vec<_> = names
        .iter()
        .cloned()
        .zip(hashes.iter().map(|all| all[0]))
        .collect();
    registrar.publish(&first, TIME).expect("registered");
    let start = registrar.tip().expect("a tip").height;
    for height in start + 1..=BLOCKS {
        let turn = height as usize * CHANGES;
        let transactions = (turn..turn + CHANGES).map(|change| {
            let (index, version) = (change % NAMES, change / NAMES % 3);
            let key = Registrar::owner(&names[index]);
            let quoted = registrar.consensus_hash();
            let hash = hashes[index][version];
            let update = Operation::name_update(&names[index], key.address(), quoted, hash);
            registrar.transaction(&update, &key).expect("coins")
        });
        let transactions = transactions.collect();
        registrar.mine(transactions, TIME).expect("a block");
    }
}

fn write(folder: &Path, bytes: &[u8]) -> ZonefileHash {
    let hash = ZonefileHash::of(bytes);
    fs::write(folder.join(hash.to_string()), bytes).expect("a file");
    hash
}
