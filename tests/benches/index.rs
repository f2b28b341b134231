//! How fast blocks become state, how much memory that takes, and whether it slows down as names grow.
//!
//! `cargo bench --bench index`; with `-- --quick` a fiftieth of everything. The chain is made up as it is
//! indexed: each block holds a thousand operations, and ten of them are committed at once, as the indexer does it far below
//! the tip, to a database on disk with the cache of the daemon. Making the transactions up is not counted. Beside the time on
//! the clock stands that on the processor, which a busy machine or a slow disk does not lengthen. `-- --names` only measures
//! the index of names in memory.

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on should say where"
)]

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bitcoin::hashes::Hash as _;
use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::{Amount, BlockHash, FeeRate, OutPoint, ScriptBuf, TxOut, Txid};
use bnsd::bns::name::{Name, NamespaceId};
use bnsd::bns::price::{self, PriceFunction};
use bnsd::bns::record::TokenUnits;
use bnsd::bns::{Bns, Params};
use bnsd::clock::ManualClock;
use bnsd::dns::{Client, Handled, Handler, Transport};
use bnsd::hash::{ConsensusHash, ZonefileHash};
use bnsd::names::{NameIndex, NameStore, Names, Phase};
use bnsd::resolver::{NameSource as _, NameStatus, Policy, Snapshots as _};
use bnsd::store::{Archive, ChainIdentity, Store, StoreError, StoreOptions};
use bnsd::upstream::{ForwardOptions, Forwarder};
use bnsd::virtualchain::{
    BlockHeader, CandidateBlock, Decision, VirtualTransaction, connect_block,
};
use bnsd::wallet::coins::{Coin, Funding};
use bnsd::wallet::keys::SigningKey;
use bnsd::wallet::operation::{Fee, OnTransfer, Operation};

mod processor;
#[path = "../common/random.rs"]
mod random;

use processor::processor_time;
use random::Random;

/// Operations of a block.
const BLOCK: usize = 1_000;
/// Blocks of a commit in bulk.
const RUN: usize = 10;
/// How far below the best block they are then.
const FAR_BEHIND: u32 = 1_000_000;
/// Owners, each with a few names.
const NAMES_PER_OWNER: usize = 4;
/// Database memory of the daemon, in bytes.
const CACHE: usize = 32 << 20;
/// Everything costs little and lives for ever.
const PRICES: PriceFunction = PriceFunction {
    coeff: 1,
    base: 1,
    buckets: [1; 16],
    nonalpha_discount: 1,
    no_vowel_discount: 1,
};
const NAMESPACE: &[u8] = b"benchmark";
/// Names that are asked for again and again, and stay as they are.
const HOT: usize = 100;
/// Blocks that are indexed meanwhile, and how long about one takes.
const ROUNDS: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);
/// Who asks.
const CLIENT: Client = Client {
    address: IpAddr::V4(Ipv4Addr::LOCALHOST),
    transport: Transport::Udp,
};

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let scale = if quick { 50 } else { 1 };
    let (chain, small, large) = (
        (100_000 / scale, 800_000 / scale),
        10_000 / scale,
        1_000_000 / scale,
    );
    let sample = 50_000 / scale.min(5);
    if std::env::args().any(|argument| argument == "--names") {
        for names in [chain.0, large] {
            let mut world = World::new();
            world.register(names);
            world.measure_index();
        }
        return;
    }

    println!(
        "a chain of {} operations with {} names",
        2 * chain.0 + chain.1,
        chain.0
    );
    let mut world = World::new();
    let mut spent = world.register(chain.0);
    spent.add(&world.use_names(chain.1));
    row(
        "operations/s on the processor",
        spent.operations as f64 / spent.processor.as_secs_f64(),
        "",
        true,
    );
    row(
        "operations/s, committed",
        spent.rate(),
        "100000",
        spent.rate() >= 100_000.0,
    );
    row(
        "  rules, us/operation",
        spent.per_operation(spent.rules),
        "",
        true,
    );
    row(
        "  rows, us/operation",
        spent.per_operation(spent.rows),
        "",
        true,
    );
    row(
        "  commit, us/operation",
        spent.per_operation(spent.commit),
        "",
        true,
    );
    let memory = peak_memory();
    row("peak memory, MB", memory, "200", memory <= 200.0);
    row("database, MB", world.size(), "", true);
    world.measure_index();
    drop(world);

    let cost = |names: usize| {
        let mut world = World::new();
        world.register(names);
        let spent = world.use_names(sample);
        if names == large {
            world.measure_index();
        }
        spent.per_operation(spent.processor)
    };
    let (at_small, at_large) = (cost(small), cost(large));
    row(
        &format!("processor us/op at {small} names"),
        at_small,
        "",
        true,
    );
    row(
        &format!("processor us/op at {large} names"),
        at_large,
        "",
        true,
    );
    row(
        "  ratio",
        at_large / at_small,
        "1.5",
        at_large <= 1.5 * at_small,
    );
}

fn row(what: &str, value: f64, goal: &str, met: bool) {
    let goal = match (goal, met) {
        ("", _) => String::new(),
        (goal, true) => format!("goal {goal}, met"),
        (goal, false) => format!("goal {goal}, missed"),
    };
    println!("{what:36}{value:>14.2}  {goal}");
}

/// Greatest resident set so far in MB, as the kernel counts it.
fn peak_memory() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(f64::NAN) / 1024.0
}

/// Where the time went.
#[derive(Debug, Default, Clone, Copy)]
struct Spent {
    operations: usize,
    rules: Duration,
    rows: Duration,
    commit: Duration,
    processor: Duration,
}

impl Spent {
    fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.rules += other.rules;
        self.rows += other.rows;
        self.commit += other.commit;
        self.processor += other.processor;
    }

    fn total(&self) -> Duration {
        self.rules + self.rows + self.commit
    }

    fn rate(&self) -> f64 {
        self.operations as f64 / self.total().as_secs_f64()
    }

    fn per_operation(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e6 / self.operations as f64
    }
}

struct Owner {
    key: SigningKey,
    script: ScriptBuf,
    script_sig: ScriptBuf,
}

impl Owner {
    fn new(number: usize) -> Self {
        let key = SigningKey::dev_only_from_label(&format!("owner {number}"));
        let signature = PushBytesBuf::try_from(vec![0x30; 71]).unwrap();
        let script_sig = Builder::new()
            .push_slice(signature)
            .push_slice(key.public_key());
        Self {
            script: key.script(),
            script_sig: script_sig.into_script(),
            key,
        }
    }
}

/// A chain that is made up as it is indexed.
struct World {
    bns: Bns,
    store: Arc<Store>,
    directory: tempfile::TempDir,
    random: Random,
    owners: Vec<Owner>,
    /// Names with their owners.
    names: Vec<(Name, usize)>,
    height: u32,
    consensus_hash: ConsensusHash,
    transactions: u64,
}

impl World {
    /// A chain with an open namespace.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let params = Params::regtest();
        let identity = ChainIdentity::new("benchmark", &params);
        let options = StoreOptions {
            cache_bytes: CACHE,
            ..StoreOptions::default()
        };
        let mut world = Self {
            store: Arc::new(Store::open(directory.path(), &identity, options).unwrap()),
            directory,
            random: Random::new(1),
            owners: vec![Owner::new(0)],
            names: Vec::new(),
            height: 0,
            consensus_hash: params.initial_consensus_hash,
            transactions: 0,
            bns: Bns::new(params),
        };
        world.open_namespace();
        world
    }

    fn open_namespace(&mut self) {
        let id = NamespaceId::from_bytes(NAMESPACE).unwrap();
        let params = self.bns.params().clone();
        let address = self.owners[0].key.address();
        let fee = price::namespace_price(&id, params.epoch(1), TokenUnits::Btc).unwrap();
        let preorder = Operation::namespace_preorder(
            &id,
            &self.owners[0].script,
            (address, params.addresses),
            self.consensus_hash,
            None,
            self.burn(fee),
        );
        let reveal = Operation::namespace_reveal(&id, address, u32::MAX, PRICES, 1);
        let ready = Operation::namespace_ready(&id, address);
        for operation in [preorder, reveal, ready] {
            let transaction = self.transaction(&operation, 0, 1);
            self.connect(vec![vec![transaction]], FAR_BEHIND);
        }
    }

    /// Preorders and registers so many names, in the same blocks.
    fn register(&mut self, count: usize) -> Spent {
        let (mut spent, mut run) = (Spent::default(), Vec::new());
        let mut waiting: Vec<(Name, usize)> = Vec::new();
        let mut next = 0;
        while next < count || !waiting.is_empty() {
            let mut block = Vec::with_capacity(BLOCK);
            for (name, owner) in std::mem::take(&mut waiting) {
                let address = self.owners[owner].key.address();
                let hash = ZonefileHash::of(name.as_str().as_bytes());
                let operation = Operation::name_register(&name, address, Some(hash));
                block.push(self.transaction(&operation, owner, block.len()));
                self.names.push((name, owner));
            }
            for number in next..count.min(next + BLOCK / 2) {
                let name: Name = format!("name{number}.benchmark").parse().unwrap();
                let owner = number / NAMES_PER_OWNER;
                if owner == self.owners.len() {
                    self.owners.push(Owner::new(owner));
                }
                let operation = self.preorder(&name, owner);
                block.push(self.transaction(&operation, owner, block.len()));
                waiting.push((name, owner));
            }
            next = count.min(next + BLOCK / 2);
            run.push(block);
            if run.len() == RUN {
                spent.add(&self.connect(std::mem::take(&mut run), FAR_BEHIND));
            }
        }
        spent.add(&self.connect(run, FAR_BEHIND));
        spent.add(&self.arrive());
        spent
    }

    /// An empty block at the tip, for which all that was put off is done.
    fn arrive(&mut self) -> Spent {
        self.connect(vec![Vec::new()], 0)
    }

    /// Updates, transfers and renews names at random: three, one and one of five.
    fn use_names(&mut self, count: usize) -> Spent {
        let mut spent = Spent::default();
        let starts: Vec<usize> = (0..count).step_by(BLOCK).collect();
        for starts in starts.chunks(RUN) {
            let block = |start: &usize| self.changes(BLOCK.min(count - start));
            let run = starts.iter().map(block).collect();
            spent.add(&self.connect(run, FAR_BEHIND));
        }
        spent.add(&self.arrive());
        spent
    }

    /// A block of so many changes.
    fn changes(&mut self, count: usize) -> Vec<VirtualTransaction> {
        let mut block = Vec::with_capacity(count);
        // A name once a block, so that every operation is good.
        let mut used = std::collections::HashSet::new();
        while block.len() < count {
            let name = HOT + self.random.below(self.names.len() - HOT);
            if used.insert(name) || used.len() == self.names.len() {
                block.push(self.change(name, block.len()));
            }
        }
        block
    }

    fn change(&mut self, number: usize, place: usize) -> VirtualTransaction {
        let (name, owner) = self.names[number].clone();
        let address = self.owners[owner].key.address();
        let hash = ZonefileHash::of(&self.transactions.to_be_bytes());
        let operation = match self.random.below(5) {
            0..=2 => Operation::name_update(&name, address, self.consensus_hash, hash),
            3 => {
                let to = self.random.below(self.owners.len());
                let other = if to == owner {
                    (to + 1) % self.owners.len()
                } else {
                    to
                };
                self.names[number].1 = other;
                Operation::name_transfer(
                    &name,
                    address,
                    self.owners[other].key.address(),
                    self.consensus_hash,
                    OnTransfer::KeepZonefile,
                )
            }
            _ => Operation::name_renew(&name, address, Some(hash), None, self.burn(1_000)),
        };
        self.transaction(&operation, owner, place)
    }

    fn preorder(&self, name: &Name, owner: usize) -> Operation {
        let Owner { key, script, .. } = &self.owners[owner];
        let versions = self.bns.params().addresses;
        Operation::name_preorder(
            name,
            script,
            (key.address(), versions),
            self.consensus_hash,
            None,
            self.burn(1_000),
        )
    }

    fn burn(&self, satoshi: u64) -> Fee {
        Fee {
            to: self.bns.params().burn_address,
            amount: Amount::from_sat(satoshi),
        }
    }

    fn transaction(
        &mut self,
        operation: &Operation,
        owner: usize,
        place: usize,
    ) -> VirtualTransaction {
        let Owner {
            script, script_sig, ..
        } = &self.owners[owner];
        self.transactions += 1;
        let coin = Coin::from((
            OutPoint::new(Txid::hash(&self.transactions.to_be_bytes()), 0),
            TxOut {
                value: Amount::from_int_btc(10),
                script_pubkey: script.clone(),
            },
        ));
        let funding = Funding {
            sender: script,
            coins: &[coin],
            change: script,
            rate: FeeRate::from_sat_per_vb(1).unwrap(),
        };
        let unsigned = operation.build(self.bns.params().magic, &funding).unwrap();
        let mut transaction = unsigned.transaction;
        transaction.input[0].script_sig = script_sig.clone();
        VirtualTransaction {
            vtxindex: place as u32 + 1,
            txid: transaction.compute_txid(),
            transaction,
            prevouts: unsigned.prevouts,
        }
    }

    /// Connects blocks in one commit, the last of them so far below the best one.
    fn connect(&mut self, run: Vec<Vec<VirtualTransaction>>, below_best: u32) -> Spent {
        let mut spent = Spent::default();
        let blocks: Vec<CandidateBlock> = (self.height + 1..)
            .zip(run)
            .map(|(height, candidates)| CandidateBlock {
                height,
                candidates,
                about: BlockHeader {
                    hash: hash(height),
                    previous: hash(height - 1),
                    time: height,
                },
            })
            .collect();
        let Some(last) = blocks.last().map(|block| block.height) else {
            return spent;
        };
        let (start, processor) = (Instant::now(), processor_time());
        let written: Result<(), StoreError> = self.store.write(|writer| {
            writer.expect_best(last + below_best);
            for block in &blocks {
                let begin = Instant::now();
                let outcome =
                    connect_block(&self.bns, block.height, &block.candidates, writer.state())?;
                let ruled = Instant::now();
                writer.apply(block, &outcome)?;
                spent.rules += ruled - begin;
                spent.rows += ruled.elapsed();
                spent.operations += block.candidates.len();
                for decision in &outcome.decisions {
                    let accepted = matches!(decision.item, Decision::Accepted(_));
                    assert!(accepted, "block {}: {:?}", block.height, decision.item);
                }
                self.consensus_hash = outcome.snapshot.consensus_hash;
            }
            Ok(())
        });
        written.unwrap();
        spent.commit = start.elapsed() - spent.rules - spent.rows;
        spent.processor = processor_time().saturating_sub(processor);
        self.height = last;
        spent
    }

    /// How long it takes to read how names stand into memory, what that occupies, and how fast it is to ask.
    fn measure_index(&mut self) {
        let mut names = NameStore::new(
            Arc::new(self.bns.params().clone()),
            Arc::clone(&self.store),
            Arc::new(Archive::open(&self.directory.path().join("zonefiles")).unwrap()),
            Arc::default(),
            Arc::new(ManualClock::default()),
        );
        let count = self.names.len();
        println!("how {count} names stand, in memory");
        let index = NameIndex::of(&self.store, u64::MAX);
        names.index = Some(Arc::clone(&index));
        let names = Arc::new(names);
        let without = self.time_lookups(&names.snapshot()); // it is not built yet
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let begun = Instant::now();
            scope.spawn(|| index.keep(&names.store, &names.progress, &stop));
            while index.status().phase != Phase::Complete {
                thread::sleep(Duration::from_millis(1));
            }
            let seconds = begun.elapsed().as_secs_f64();
            let status = index.status();
            assert_eq!(status.names, count as u64);
            let bytes = status.bytes as f64 / count as f64;
            row("index: bytes a name", bytes, "80", bytes <= 80.0);
            row("index: complete after, s", seconds, "2", seconds <= 2.0);
            let with = self.time_lookups(&names.snapshot());
            row("index: lookup, us", with, "", true);
            row("  from the database, us", without, "", true);
            self.measure_beside_blocks(&names);
            stop.store(true, Ordering::Relaxed);
        });
    }

    /// How long warm answers take inside of the program, alone and while blocks of a thousand operations are indexed.
    fn measure_beside_blocks(&mut self, names: &Arc<NameStore>) {
        for (name, _) in &self.names[..HOT] {
            names.archive.put(name.as_str().as_bytes()).unwrap();
        }
        names.progress.set_ever_synced();
        names.progress.set_tip(self.height, 0);
        let forwarder = Forwarder::new(ForwardOptions::default(), Arc::clone(&names.clock));
        let forwarder = Arc::new(forwarder.unwrap());
        let handler = Handler::new(Arc::clone(names), Policy::default(), forwarder);
        let handler = Arc::new(handler);
        let told = Arc::downgrade(&handler);
        self.store.subscribe(move |notice| {
            if let Some(handler) = told.upgrade() {
                handler.note_change(notice.height, &notice.names, &notice.namespaces);
            }
        });
        let queries: Vec<Vec<u8>> = self.names[..HOT]
            .iter()
            .map(|it| soa_query(&it.0))
            .collect();
        let idle = p99(&handler, &queries, || {
            (0..ROUNDS).for_each(|_| thread::sleep(PAUSE));
        });
        let beside = p99(&handler, &queries, || {
            for _ in 0..ROUNDS {
                let block = self.changes(BLOCK);
                self.connect(vec![block], 0);
            }
        });
        row("warm answer, p99, us", idle, "", true);
        row("  beside blocks of 1,000", beside, "", true);
        row("  ratio", beside / idle, "1.1", beside <= 1.1 * idle);
    }

    /// Microseconds that it takes to say how a name stands.
    fn time_lookups(&mut self, names: &Names) -> f64 {
        let count = self.names.len().min(100_000);
        let chosen: Vec<&Name> = (0..count)
            .map(|_| &self.names[self.random.below(self.names.len())].0)
            .collect();
        let begun = Instant::now();
        for name in &chosen {
            let found = names.name(name).unwrap();
            assert!(matches!(found, NameStatus::Registered(_)));
        }
        begun.elapsed().as_secs_f64() * 1e6 / count as f64
    }

    fn size(&self) -> f64 {
        let file = self.directory.path().join("names.redb");
        fs::metadata(file).map_or(f64::NAN, |file| file.len() as f64 / 1e6)
    }
}

/// A question for the SOA of a name.
fn soa_query(name: &Name) -> Vec<u8> {
    let mut bytes = vec![0x42, 0x42, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.as_str().split('.') {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.extend([0, 0, 6, 0, 1]);
    bytes
}

/// The 99th percentile, in microseconds, of the time to an answer while something is done.
fn p99(handler: &Handler<Arc<NameStore>>, queries: &[Vec<u8>], work: impl FnOnce()) -> f64 {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let (mut times, mut answer) = (Vec::new(), Vec::new());
            for query in queries.iter().cycle() {
                let begun = Instant::now();
                let handled = handler.handle(query, CLIENT, &mut answer);
                times.push(begun.elapsed());
                assert!(matches!(handled, Handled::Ready));
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
            }
            assert_eq!(answer[3] & 15, 0, "NOERROR");
            times
        });
        work();
        is_over.store(true, Ordering::Relaxed);
        let mut times = asking.join().unwrap();
        times.sort_unstable();
        times[times.len() * 99 / 100].as_secs_f64() * 1e6
    })
}

fn hash(height: u32) -> BlockHash {
    BlockHash::hash(&height.to_be_bytes())
}
