//! The promises of every source, kept by the one that follows logs. The log of an embedded chain is written as the daemon
//! writes it, each time that the chain changes.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bitcoin::{Network, ScriptBuf};

use super::{LightOptions, LightSource, LogPlace};
use crate::bns::Params;
use crate::chain::ChainSource;
use crate::chain::battery::{self, Stage};
use crate::chain::dev::DevChain;
use crate::chain::headers::HeaderChain;
use crate::clock::SystemClock;
use crate::indexer::{Exporter, IndexedCandidates, Indexer, LocalSupply, Turn};
use crate::progress::Progress;
use crate::store::{ChainIdentity, Store, StoreOptions};

/// The caller's clock; after regtest's genesis block (2011).
const NOW: u32 = 1_700_000_000;
/// How long something may take that has to happen.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn the_source_of_logs_keeps_what_every_source_promises() {
    battery::run_without_bytes(LogStage::new);
}

/// A chain and its log. Every other block has a candidate.
struct LogStage {
    chain: DevChain,
    store: Arc<Store>,
    directory: tempfile::TempDir,
    /// How many sources were opened. Each keeps what it reads for itself.
    opened: Cell<u32>,
}

impl LogStage {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a scratch directory");
        let chain = DevChain::open(&directory.path().join("chain")).expect("a chain");
        let data = directory.path().join("data");
        let identity = ChainIdentity::new("regtest", &params());
        let store = Store::open(&data, &identity, StoreOptions::default()).expect("a database");
        Self {
            chain,
            store: Arc::new(store),
            directory,
            opened: Cell::new(0),
        }
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// Brings the index to the tip of the chain, and the log to that of the index.
    fn publish(&self) {
        let mut indexer = Indexer::new(
            Box::new(self.chain.source(0)),
            params(),
            Arc::clone(&self.store),
            Arc::new(Progress::default()),
            Arc::new(SystemClock::start()),
        );
        while indexer.turn().expect("blocks") != Turn::Idle {}
        let store = Arc::clone(&self.store);
        let source = Box::new(self.chain.source(0));
        let mut supply = LocalSupply::new(store, source, Network::Regtest);
        let mut exporter = Exporter::open(&self.log()).expect("a directory");
        let exported = exporter.update(&mut supply, &mut |_, _| ());
        assert_eq!(exported.expect("a log").to, self.chain.tip().height);
    }
}

/// Those of regtest, from the genesis block on.
fn params() -> Params {
    Params {
        first_block: 0,
        ..Params::regtest()
    }
}

/// Who is paid for the block at a height: at odd ones a candidate, as the coinbase carries the magic bytes.
fn reward(height: u32) -> ScriptBuf {
    match height % 2 {
        0 => ScriptBuf::from(vec![0x51]),
        _ => ScriptBuf::new_op_return(*b"id?reward"),
    }
}

impl Stage for LogStage {
    fn source(&self) -> Box<dyn ChainSource> {
        self.opened.set(self.opened.get() + 1);
        let kept = format!("kept{}", self.opened.get());
        let directory = self.directory.path().join(kept);
        std::fs::create_dir(&directory).expect("a directory");
        let headers = HeaderChain::open(&directory, Network::Regtest).expect("a file");
        let options = LightOptions {
            network: Network::Regtest,
            magic: params().magic,
            first_block: params().first_block,
            confirmations: 0,
            directory,
            logs: vec![LogPlace::Directory(self.log())],
            proxy: None,
            pins: Vec::new(),
            audit_a_day: 0,
        };
        let indexed = Box::new(IndexedCandidates::new(Arc::clone(&self.store)));
        let headers = Arc::new(Mutex::new(headers));
        Box::new(LightSource::new(options, headers, None, indexed))
    }

    fn grow(&mut self, count: u32) {
        for _ in 0..count {
            let reward = reward(self.chain.tip().height + 1);
            let mined = self.chain.mine_empty(&reward, 1, NOW);
            mined.expect("an empty block");
        }
        self.publish();
    }

    fn reorganise(&mut self, depth: u32) {
        let fork = self.chain.tip().height - depth;
        let mut parent = self.chain.block_at(fork).expect("below the tip");
        for _ in 0..=depth {
            let reward = reward(parent.height);
            let mined = self.chain.mine_on(parent.hash, &reward, vec![], NOW);
            parent = mined.expect("an empty block");
        }
        self.publish();
    }

    fn settle(&self, source: &mut dyn ChainSource) {
        let end = Instant::now() + PATIENCE;
        while !source.holds(self.chain.tip()).expect("readable") {
            let heard = source.next(None, 0).expect("readable");
            assert!(Instant::now() < end, "{heard:?}");
            source.wait(Duration::from_millis(10));
        }
    }
}
