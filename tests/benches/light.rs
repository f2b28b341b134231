//! How fast a log of the main network's size is imported from a disk. `cargo bench --bench light`; with `-- small` at a
//! hundredth of the size.
//!
//! 600,000 blocks with real work of regtest have 300,000 candidates. Goals: 120 s on two cores, 200 MB of memory, 1,700 bytes
//! of log for a candidate, headers aside. Each step is a process of its own, so that the memory is that of the import.

#![allow(missing_docs, reason = "a program that prints a table")]
#![allow(
    clippy::unwrap_used,
    reason = "a program that cannot go on should say where"
)]

use std::fs::{self, File};
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bitcoin::hashes::{Hash as _, sha256};
use bitcoin::{Network, OutPoint, TxOut};
use bnsd::bns::Params;
use bnsd::chain::headers::HeaderChain;
use bnsd::chain::log::manifest::Manifest;
use bnsd::chain::log::segment::Reader;
use bnsd::chain::{Block, BlockRef, ChainSource, Event, Indexed as _, SourceError};
use bnsd::clock::SystemClock;
use bnsd::indexer::{IndexedCandidates, Indexer, Turn};
use bnsd::progress::Progress;
use bnsd::store::{ChainIdentity, Store, StoreOptions};
use bnsd::virtualchain::{BlockHeader, CandidateBlock};

mod generated;
#[path = "../common/made_log.rs"]
mod made_log;
#[path = "../common/random.rs"]
mod random;
#[path = "../common/read_log.rs"]
mod read_log;

use made_log::Size;
use read_log::{Log, NOW, Shown};

/// Headers that are taken at once.
const HEADERS: u64 = 2_000;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let small = arguments.iter().any(|argument| argument == "small");
    let size = match small {
        true => Size {
            names: Size::MAIN.names / 100,
            ..Size::MAIN
        },
        false => Size::MAIN,
    };
    let step = arguments.get(1).map(String::as_str);
    match (step, arguments.get(2).map(Path::new)) {
        (Some("make"), Some(directory)) => make(size, directory),
        (Some("import"), Some(directory)) => import(size, directory),
        (Some("parts"), Some(directory)) => parts(directory),
        _ => all(small),
    }
}

/// Every step in a process of its own.
fn all(small: bool) {
    let scratch = tempfile::tempdir().unwrap();
    for step in ["make", "import", "parts"] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(step).arg(scratch.path());
        if small {
            command.arg("small");
        }
        assert!(command.status().unwrap().success(), "{step}");
    }
}

fn make(size: Size, directory: &Path) {
    let start = Instant::now();
    let mut bytes = 0;
    let log = directory.join("log");
    fs::create_dir_all(log.join("segments")).unwrap();
    let manifest = made_log::make(size, 1, &mut |path, content| {
        fs::write(log.join(path), content).unwrap();
        bytes += content.len();
    });
    let blocks = manifest.headers.to;
    let megabytes = bytes as f64 / 1e6;
    println!(
        "made {blocks} blocks, {megabytes:.0} MB, in {:.0?}",
        start.elapsed()
    );
}

fn import(size: Size, directory: &Path) {
    let start = Instant::now();
    let (log, data) = (directory.join("log"), directory.join("data"));
    let params = Params::regtest();
    let chain = ChainIdentity::new("regtest", &params);
    let store = Arc::new(Store::open(&data, &chain, StoreOptions::default()).unwrap());
    let source = FromDisk::new(&log, &data, IndexedCandidates::new(Arc::clone(&store)));
    let mut indexer = Indexer::new(
        Box::new(source),
        params,
        Arc::clone(&store),
        Arc::new(Progress::default()),
        Arc::new(SystemClock::start()),
    );
    while indexer.turn().unwrap() != Turn::Idle {}
    let tip = store.snapshot().tip().unwrap();
    let open = read_manifest(&log).open.unwrap();
    assert_eq!(
        (tip.height, tip.consensus_hash),
        (open.to, open.consensus_hash)
    );
    let time = start.elapsed();
    let segments = read_manifest(&log)
        .entries()
        .map(|entry| entry.bytes)
        .sum::<u64>();
    let each = segments as f64 / size.candidates() as f64;
    println!("imported in {time:.1?} (goal 120 s)");
    println!("peak memory {} (goal 200 MB)", peak_memory());
    println!("{each:.0} bytes of log for a candidate (goal 1,700)");
}

/// What an import does, step by step and without a database; the largest first.
fn parts(directory: &Path) {
    let mut log = Log::default();
    let place = directory.join("log");
    for path in ["log.json", "headers"] {
        log.write(path, &fs::read(place.join(path)).unwrap());
    }
    for path in log.segments() {
        log.write(&path, &fs::read(place.join(&path)).unwrap());
    }
    let mut parts = Vec::new();
    let kept = directory.join("parts");
    fs::create_dir_all(&kept).unwrap();
    let mut headers = HeaderChain::open(&kept, Network::Regtest).unwrap();
    let all = log.headers();
    let start = Instant::now();
    for run in all.chunks(2_000) {
        headers.accept(run, NOW).unwrap();
    }
    parts.push(("checking headers", start.elapsed()));
    let start = Instant::now();
    let shown = log.read(&headers).unwrap();
    parts.push(("checking records", start.elapsed()));
    let start = Instant::now();
    log.derive(&shown).unwrap();
    parts.push(("the rules, in memory", start.elapsed()));
    parts.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
    println!("costs on one core, the rest is the database:");
    for (what, time) in parts {
        println!("    {what:<24}{:>8.2} s", time.as_secs_f64());
    }
}

/// One log, read segment by segment; every check of the format is made.
struct FromDisk {
    log: PathBuf,
    manifest: Manifest,
    headers: HeaderChain,
    indexed: IndexedCandidates,
    /// The last block of the segment that was read last, and what it shows.
    to: u32,
    shown: Shown,
}

impl FromDisk {
    fn new(log: &Path, data: &Path, indexed: IndexedCandidates) -> Self {
        let mut headers = HeaderChain::open(data, Network::Regtest).unwrap();
        let mut file = BufReader::new(File::open(log.join("headers")).unwrap());
        loop {
            let mut run = Vec::new();
            (&mut file)
                .take(HEADERS * 80)
                .read_to_end(&mut run)
                .unwrap();
            if run.is_empty() {
                break;
            }
            headers.accept(&read_log::headers(&run), NOW).unwrap();
        }
        Self {
            log: log.to_owned(),
            manifest: read_manifest(log),
            headers,
            indexed,
            to: 0,
            shown: Shown::new(),
        }
    }

    /// Reads the segment that has the block at `height`. It may spend outputs of candidates that are not indexed yet.
    fn read(&mut self, height: u32) -> Result<(), SourceError> {
        let mut entries = self.manifest.entries();
        let entry = *entries.find(|entry| entry.to >= height).unwrap();
        let path = match self.manifest.segments.contains(&entry) {
            true => entry.sealed_path(),
            false => "segments/open".to_owned(),
        };
        let bytes = fs::read(self.log.join(path)).unwrap();
        assert_eq!(sha256::Hash::hash(&bytes), entry.sha256);
        let earlier = |height, vtxindex| self.indexed.candidate(height, vtxindex).unwrap();
        let mut shown = Shown::new();
        let reader = Reader::new(&bytes).unwrap();
        let read = read_log::read_segment(reader, &self.headers, &mut shown, &earlier);
        read.map_err(SourceError::Unavailable)?;
        (self.to, self.shown) = (entry.to, shown);
        Ok(())
    }
}

impl ChainSource for FromDisk {
    fn next(&mut self, tip: Option<BlockRef>, first_block: u32) -> Result<Event, SourceError> {
        let height = tip.map_or(first_block, |tip| tip.height + 1);
        if height > self.manifest.headers.to {
            return Ok(Event::Idle);
        }
        if height > self.to {
            self.read(height)?;
        }
        let header = self.headers.header_at(height).unwrap();
        Ok(Event::ConnectCandidates(CandidateBlock {
            height,
            candidates: self.shown.get(&height).cloned().unwrap_or_default(),
            about: BlockHeader {
                hash: self.headers.hash_at(height).unwrap(),
                previous: header.prev_blockhash,
                time: header.time,
            },
        }))
    }

    fn prevouts(&mut self, _: &Block, _: &[OutPoint]) -> Result<Vec<TxOut>, SourceError> {
        unreachable!("candidates come with what they spend")
    }

    fn best_height(&mut self) -> Result<u32, SourceError> {
        Ok(self.manifest.headers.to)
    }

    fn holds(&mut self, at: BlockRef) -> Result<bool, SourceError> {
        Ok(self.headers.hash_at(at.height) == Some(at.hash))
    }

    fn wait(&mut self, _: Duration) {}

    fn describe(&self) -> String {
        self.log.display().to_string()
    }
}

fn read_manifest(log: &Path) -> Manifest {
    Manifest::parse(&fs::read(log.join("log.json")).unwrap()).unwrap()
}

/// The most memory that this process held, as the kernel says.
fn peak_memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or("unknown".to_owned(), |line| line.trim().to_owned())
}
