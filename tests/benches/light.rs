//! How fast a log of the main network's size is imported from a disk. `cargo bench --bench light`; with `-- small` at a
//! hundredth of the size.
//!
//! 600,000 blocks with real work of regtest have 300,000 candidates. Goals: 120 s on two cores, 200 MB of memory, 1,700 bytes
//! of log for a candidate, headers aside. The log goes through the source that the daemon follows logs with. Each step is a
//! process of its own, so that the memory is that of the import.

#![allow(missing_docs, reason = "a program that prints a table")]
#![allow(
    clippy::unwrap_used,
    reason = "a program that cannot go on should say where"
)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use bitcoin::Network;
use bnsd::chain::headers::HeaderChain;
use bnsd::chain::log::manifest::Manifest;
use bnsd::indexer::Turn;
use bnsd::store::StoreOptions;

mod generated;
#[path = "../common/index.rs"]
mod index;
#[path = "../common/made_log.rs"]
mod made_log;
#[path = "../common/random.rs"]
mod random;
#[path = "../common/read_log.rs"]
mod read_log;

use made_log::Size;
use read_log::{Log, NOW};

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
    let log = directory.join("log");
    let data = directory.join("data");
    let headers = index::headers(&data);
    let store = index::open(&data, StoreOptions::DEFAULT_UNDO_DEPTH);
    let places = [log.display().to_string()];
    let source = index::light(&data, &places, &[], (headers, None), &store);
    let mut indexer = index::indexer(source, &store);
    while indexer.turn().unwrap() != Turn::Idle {}
    let (time, threads) = (start.elapsed(), threads());
    let manifest = Manifest::parse(&fs::read(log.join("log.json")).unwrap()).unwrap();
    let (open, tip) = (manifest.open.unwrap(), store.snapshot().tip().unwrap());
    let promised = (open.to, open.consensus_hash);
    assert_eq!((tip.height, tip.consensus_hash), promised);
    let segments = manifest.entries().map(|entry| entry.bytes).sum::<u64>();
    let each = segments as f64 / size.candidates() as f64;
    println!("imported in {time:.1?} (goal 120 s)");
    println!("time on processors by thread: {}", threads.join(", "));
    println!("peak memory {} (goal 200 MB)", peak_memory());
    println!("{each:.0} bytes of log for a candidate (goal 1,700)");
}

/// For how long each thread of this process ran, the longest first, as the kernel says.
fn threads() -> Vec<String> {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten();
    let mut times: Vec<(Duration, String)> = threads
        .filter_map(|thread| {
            let path = thread.ok()?.path();
            let ran = fs::read_to_string(path.join("schedstat")).ok()?;
            let ran = ran.split_whitespace().next()?.parse().ok()?;
            let name = fs::read_to_string(path.join("comm")).ok()?;
            Some((Duration::from_nanos(ran), name.trim().to_owned()))
        })
        .collect();
    times.sort_unstable_by(|one, other| other.cmp(one));
    let named = times
        .into_iter()
        .map(|(time, name)| format!("{name} {time:.1?}"));
    named.collect()
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

/// The most memory that this process held, as the kernel says.
fn peak_memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or("unknown".to_owned(), |line| line.trim().to_owned())
}
