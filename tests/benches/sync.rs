//! How fast a chain is synced, against a loop that only gets the same blocks. `cargo bench --bench sync`.
//!
//! A real bitcoind serves a chain of regtest blocks of about 100 kB with some operations. Goals: syncing over RPC is at
//! least 0.9 times as fast as a loop that only fetches the blocks by the best of the same means (many calls in an exchange,
//! or two REST connections that take turns), and replaying
//! block files at least 0.8 times as fast as a reader that undoes the obfuscation and hashes headers and transactions.
//! Where a goal is missed, it prints where a sync spends its time.

#![allow(missing_docs, reason = "a program that prints a table")]
#![allow(
    clippy::unwrap_used,
    reason = "a program that cannot go on should say where"
)]

use std::fs::{self, File};
use std::hint::black_box;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bitcoin::consensus::deserialize;
use bitcoin::hex::DisplayHex as _;
use bitcoin::p2p::Magic;
use bitcoin::{Amount, Network, OutPoint, Transaction, TxOut};
use bnsd::bns::{Bns, Name, Params};
use bnsd::chain::bitcoind::http::{Credentials, Http, Limits};
use bnsd::chain::bitcoind::{BitcoindSource, NodeOptions};
use bnsd::chain::blockfile::record::{Next, RecordReader};
use bnsd::chain::blockfile::{FileKind, ObfuscationKey};
use bnsd::chain::blockfiles::BlockFilesSource;
use bnsd::chain::dev::DevChain;
use bnsd::chain::{Block, BlockRef, ChainSource, Event, SourceError, checked, header};
use bnsd::clock::SystemClock;
use bnsd::hash::ZonefileHash;
use bnsd::indexer::{Indexer, Turn};
use bnsd::progress::Progress;
use bnsd::store::{ChainIdentity, Store, StoreOptions};
use bnsd::wallet::keys::SigningKey;
use bnsd::wallet::registrar::Registrar;
use serde_json::{Value, json};

#[path = "../common/bitcoind.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod bitcoind;
#[path = "../common/ports.rs"]
mod ports;

use bitcoind::Node;

/// Blocks with payments, and payments in each.
const BLOCKS: u32 = 1_200;
const PAYMENTS: u64 = 3_000;
/// Header time of the first block, seconds since 1970.
const TIME: u32 = 1_700_000_000;
/// The bare loop and the sync take turns so many times, each beginning every other time.
const ROUNDS: usize = 7;

fn main() {
    let scratch = tempfile::tempdir().unwrap();
    let dev = DevChain::open(&scratch.path().join("dev")).unwrap();
    fill(&dev);
    let mut node = Node::start(&scratch.path().join("bitcoin"), &["-rest=0"]);
    let size = submit(&dev, &node);
    let blocks = node.height();
    println!(
        "{blocks} blocks, {} kB each",
        size / u64::from(blocks) / 1000
    );
    let compare = |what: &str, goal: f64, bare: &dyn Fn(), source: &dyn Fn() -> Source| {
        println!("\n{what}");
        let ratio = race(blocks, bare, &|| index(scratch.path(), source()));
        println!("    median ratio {ratio:.2} (goal {goal})");
        if ratio < goal {
            break_down(scratch.path(), source());
        }
    };

    let over_rpc = |node: &Node| -> Source { Box::new(rpc(node)) };
    compare(
        "fetched over RPC, synced over RPC",
        0.9,
        &|| fetch(&node, digits),
        &|| over_rpc(&node),
    );
    node.stop();
    node.start_again(&["-rest=1"]);
    compare(
        "fetched over REST, synced over REST",
        0.9,
        &|| fetch(&node, bytes),
        &|| over_rpc(&node),
    );
    let files =
        || -> Source { Box::new(BlockFilesSource::new(&node.blocks(), Network::Regtest, 0)) };
    compare(
        "files read and hashed, files replayed",
        0.8,
        &|| read(&node.blocks()),
        &files,
    );
}

type Source = Box<dyn ChainSource>;

/// Prints every round and gives the median of the ratios: what else the machine does in a round slows both down, and
/// a round in which it hit only one is no median.
fn race(blocks: u32, bare: &dyn Fn(), whole: &dyn Fn()) -> f64 {
    let rate = |time: Duration| f64::from(blocks) / time.as_secs_f64();
    let round = |number: usize| {
        let (bare, whole) = if number % 2 == 1 {
            let bare = time(bare);
            (bare, time(whole))
        } else {
            let whole = time(whole);
            (time(bare), whole)
        };
        let ratio = bare.as_secs_f64() / whole.as_secs_f64();
        println!(
            "    round {number}: bare {:>6.0} blocks/s, ours {:>6.0} blocks/s, ratio {ratio:.2}",
            rate(bare),
            rate(whole)
        );
        ratio
    };
    let mut ratios: Vec<f64> = (1..=ROUNDS).map(round).collect();
    ratios.sort_by(f64::total_cmp);
    ratios[ROUNDS / 2]
}

fn time(run: &dyn Fn()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

/// Where one more sync spends its time, the largest first.
fn break_down(scratch: &Path, source: Source) {
    let spent = Arc::new(Mutex::new(Spent::default()));
    let timed = Timed {
        inner: source,
        spent: Arc::clone(&spent),
    };
    let start = Instant::now();
    index(scratch, Box::new(timed));
    let Spent {
        next,
        checking,
        prevouts,
        questions,
    } = *spent.lock().unwrap();
    let whole = start.elapsed() - checking; // done twice, so that it can be told
    let rest = whole - next - prevouts - questions;
    let mut parts = [
        (
            "getting blocks, beside checking",
            next.saturating_sub(checking),
        ),
        ("checking blocks", checking),
        ("spent outputs", prevouts),
        ("heights and hashes", questions),
        ("scan, rules and database", rest),
    ];
    parts.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
    for (what, time) in parts {
        let share = 100.0 * time.as_secs_f64() / whole.as_secs_f64();
        println!(
            "    {what:<33}{:>7.0} ms {share:>3.0} %",
            time.as_secs_f64() * 1e3
        );
    }
}

/// What a sync waited for.
#[derive(Default, Clone, Copy)]
struct Spent {
    next: Duration,
    checking: Duration,
    prevouts: Duration,
    questions: Duration,
}

/// A source with a stopwatch.
struct Timed {
    inner: Source,
    spent: Arc<Mutex<Spent>>,
}

impl Timed {
    fn timed<T>(
        &mut self,
        ask: impl FnOnce(&mut dyn ChainSource) -> T,
        hand: impl FnOnce(&mut Spent) -> &mut Duration,
    ) -> T {
        let start = Instant::now();
        let reply = ask(self.inner.as_mut());
        *hand(&mut self.spent.lock().unwrap()) += start.elapsed();
        reply
    }
}

impl ChainSource for Timed {
    fn next(&mut self, tip: Option<BlockRef>, first_block: u32) -> Result<Event, SourceError> {
        let event = self.timed(
            |inner| inner.next(tip, first_block),
            |spent| &mut spent.next,
        );
        if let Ok(Event::Connect(block)) = &event {
            let check = |_: &mut dyn ChainSource| {
                let limit = checked::easiest_target(Network::Regtest);
                black_box(checked::check(&block.raw, block.at.hash, limit)).is_ok()
            };
            self.timed(check, |spent| &mut spent.checking);
        }
        event
    }

    fn prevouts(&mut self, block: &Block, spent: &[OutPoint]) -> Result<Vec<TxOut>, SourceError> {
        self.timed(
            |inner| inner.prevouts(block, spent),
            |spent| &mut spent.prevouts,
        )
    }

    fn best_height(&mut self) -> Result<u32, SourceError> {
        self.timed(|inner| inner.best_height(), |spent| &mut spent.questions)
    }

    fn holds(&mut self, at: BlockRef) -> Result<bool, SourceError> {
        self.timed(|inner| inner.holds(at), |spent| &mut spent.questions)
    }

    fn wait(&mut self, patience: Duration) {
        self.inner.wait(patience);
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

/// Payments in every block, and three updates in every tenth.
fn fill(dev: &DevChain) {
    let mut registrar = Registrar::open(dev.clone(), Bns::new(Params::regtest())).unwrap();
    let names: Vec<Name> = ["one.id", "two.id", "three.id"]
        .map(|n| n.parse().unwrap())
        .into();
    let somebody = SigningKey::dev_only_from_label("somebody").script();
    for turn in 0..BLOCKS {
        if turn % 10 == 0 {
            let hash = ZonefileHash::of(&turn.to_be_bytes());
            let zonefiles: Vec<_> = names.iter().map(|name| (name.clone(), hash)).collect();
            registrar.publish(&zonefiles, TIME).unwrap();
        }
        let output = |n| TxOut {
            value: Amount::from_sat(600 + n),
            script_pubkey: somebody.clone(),
        };
        registrar
            .give((0..PAYMENTS).map(output).collect(), TIME)
            .unwrap();
    }
}

fn submit(dev: &DevChain, node: &Node) -> u64 {
    let (mut source, mut tip, mut bytes) = (dev.source(0), dev.block_at(0), 0);
    while let Event::Connect(block) = source.next(tip, 0).unwrap() {
        let refusal: Value = node.call("submitblock", &[json!(block.raw.to_lower_hex_string())]);
        assert!(refusal.is_null(), "{refusal}");
        bytes += block.raw.len() as u64;
        tip = Some(block.at);
    }
    bytes
}

/// The bare loop: hashes, blocks, next; nothing is decoded but the JSON around the hex.
fn fetch(node: &Node, blocks: impl Fn(&Http, &[Value])) {
    let http = Http::new(node.address(), credentials(node), Limits::default());
    let heights: Vec<u32> = (1..=node.height()).collect();
    for heights in heights.chunks(100) {
        let heights = heights.iter().map(|height| json!([height]));
        let hashes = calls(&http, "getblockhash", heights);
        hashes.chunks(10).for_each(|hashes| blocks(&http, hashes));
    }
}

/// Blocks as hexadecimal digits, in one exchange.
fn digits(http: &Http, hashes: &[Value]) {
    let arguments = hashes.iter().map(|hash| json!([hash, 0]));
    black_box(calls(http, "getblock", arguments));
}

/// Blocks as bytes, over two connections.
fn bytes(http: &Http, hashes: &[Value]) {
    let path = |hash: &Value| format!("/rest/block/{}.bin", hash.as_str().unwrap());
    let paths: Vec<String> = hashes.iter().map(path).collect();
    black_box(http.get_all(&paths).unwrap());
}

fn calls(http: &Http, method: &str, arguments: impl Iterator<Item = Value>) -> Vec<Value> {
    let request = |(id, arguments)| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": arguments});
    let requests: Vec<Value> = (0u32..).zip(arguments).map(request).collect();
    let reply = http.post(&Value::from(requests).to_string()).unwrap();
    let replies: Vec<Value> = serde_json::from_slice(&reply.body).unwrap();
    let result = |mut reply: Value| reply["result"].take();
    replies.into_iter().map(result).collect()
}

/// The bare reader: every record, its header and its transactions hashed.
fn read(blocks: &Path) {
    let key = ObfuscationKey::from_file(&fs::read(blocks.join("xor.dat")).unwrap()).unwrap();
    for number in 0.. {
        let Ok(file) = File::open(blocks.join(FileKind::Blocks.file_name(number))) else {
            return;
        };
        let mut reader = RecordReader::new(file, FileKind::Blocks, Magic::REGTEST, key);
        while let Next::Record(record) = reader.next_record().unwrap() {
            black_box(header::parse(&record.payload).unwrap().block_hash());
            let block: bitcoin::Block = deserialize(&record.payload).unwrap();
            let txids: Vec<_> = block.txdata.iter().map(Transaction::compute_txid).collect();
            black_box(header::merkle_root(&txids));
        }
    }
}

fn rpc(node: &Node) -> BitcoindSource {
    BitcoindSource::new(NodeOptions {
        address: node.address(),
        credentials: credentials(node),
        limits: Limits::default(),
        network: Network::Regtest,
        confirmations: 0,
    })
}

fn credentials(node: &Node) -> Credentials {
    Credentials {
        cookie: Some(node.cookie()),
        user: None,
    }
}

/// A whole sync into a new database.
fn index(scratch: &Path, source: Source) {
    let directory = tempfile::tempdir_in(scratch).unwrap();
    let params = Params::regtest();
    let chain = ChainIdentity::new("regtest", &params);
    let store = Store::open(directory.path(), &chain, StoreOptions::default()).unwrap();
    let mut indexer = Indexer::new(
        source,
        params,
        Arc::new(store),
        Arc::new(Progress::default()),
        Arc::new(SystemClock::start()),
    );
    while indexer.turn().unwrap() != Turn::Idle {}
}
