//! How fast a chain is synced, against a loop that only gets the same blocks. `cargo bench --bench sync`.
//!
//! A real bitcoind serves a chain of regtest blocks of about 100 kB with some operations. Goals: syncing over RPC is at
//! least 0.9 times as fast as a loop that only fetches the blocks over one kept connection, and replaying
//! block files at least 0.8 times as fast as a reader that undoes the obfuscation and hashes headers and transactions.

#![allow(missing_docs, reason = "a program that prints a table")]
#![allow(
    clippy::unwrap_used,
    reason = "a program that cannot go on should say where"
)]

use std::fs::{self, File};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bitcoin::consensus::deserialize;
use bitcoin::hex::DisplayHex as _;
use bitcoin::p2p::Magic;
use bitcoin::{Amount, Network, Transaction, TxOut};
use bnsd::bns::{Bns, Name, Params};
use bnsd::chain::bitcoind::http::{Credentials, Http, Limits};
use bnsd::chain::bitcoind::{BitcoindSource, NodeOptions};
use bnsd::chain::blockfile::record::{Next, RecordReader};
use bnsd::chain::blockfile::{FileKind, ObfuscationKey};
use bnsd::chain::blockfiles::BlockFilesSource;
use bnsd::chain::dev::DevChain;
use bnsd::chain::{ChainSource, Event, header};
use bnsd::clock::SystemClock;
use bnsd::hash::ZonefileHash;
use bnsd::indexer::{Indexer, Turn};
use bnsd::status::Progress;
use bnsd::store::{ChainIdentity, Store, StoreOptions};
use bnsd::wallet::keys::SigningKey;
use bnsd::wallet::registrar::Registrar;
use serde_json::{Value, json};

#[path = "../common/bitcoind.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod bitcoind;

use bitcoind::Node;

/// Blocks with payments, and payments in each.
const BLOCKS: u32 = 1_200;
const PAYMENTS: u64 = 3_000;
/// Header time of the first block, seconds since 1970.
const TIME: u32 = 1_700_000_000;
/// Each figure is the best of so many runs.
const RUNS: usize = 5;

fn main() {
    let scratch = tempfile::tempdir().unwrap();
    let dev = DevChain::open(&scratch.path().join("dev")).unwrap();
    fill(&dev);
    let mut node = Node::start(&scratch.path().join("bitcoin"), &["-rest=0"]);
    let bytes = submit(&dev, &node);
    let blocks = node.height();
    println!(
        "{blocks} blocks, {} kB each",
        bytes / u64::from(blocks) / 1000
    );

    let sync = || index(scratch.path(), rpc(&node));
    let times = race(|| fetch(&node), sync);
    compare("fetched over RPC", "synced over RPC", times, blocks, 0.9);

    node.stop();
    node.start_again(&["-rest=1"]);
    let sync = || index(scratch.path(), rpc(&node));
    let times = race(|| fetch(&node), sync);
    compare("fetched over RPC", "synced over REST", times, blocks, 0.9);

    let files = || BlockFilesSource::new(&node.blocks(), Network::Regtest, 0);
    let times = race(|| read(&node.blocks()), || index(scratch.path(), files()));
    compare(
        "files read and hashed",
        "files replayed",
        times,
        blocks,
        0.8,
    );
}

fn compare(base: &str, what: &str, (bare, time): (Duration, Duration), blocks: u32, goal: f64) {
    let rate = |time: Duration| f64::from(blocks) / time.as_secs_f64();
    println!("{base:<24}{:>8.0} blocks/s", rate(bare));
    println!(
        "{what:<24}{:>8.0} blocks/s, ratio {:.2} (goal {goal})",
        rate(time),
        rate(time) / rate(bare)
    );
}

/// The best time of each, measured in turns, so that whatever else the machine does hits both.
fn race(mut bare: impl FnMut(), mut whole: impl FnMut()) -> (Duration, Duration) {
    let mut best = (Duration::MAX, Duration::MAX);
    for _ in 0..RUNS {
        best.0 = best.0.min(time(&mut bare));
        best.1 = best.1.min(time(&mut whole));
    }
    best
}

fn time(run: &mut impl FnMut()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
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

/// The bare loop: hash, block, next; nothing is decoded but the JSON around the hex.
fn fetch(node: &Node) {
    let http = Http::new(node.address(), credentials(node), Limits::default());
    let call = |method: &str, arguments: Value| {
        let request = json!({"jsonrpc": "2.0", "id": 0, "method": method, "params": arguments});
        let reply = http.post(request.to_string().as_bytes()).unwrap();
        let mut reply: Value = serde_json::from_slice(&reply.body).unwrap();
        reply["result"].take()
    };
    for height in 1..=node.height() {
        let hash = call("getblockhash", json!([height]));
        black_box(call("getblock", json!([hash, 0])));
    }
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
fn index(scratch: &Path, source: impl ChainSource + 'static) {
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
