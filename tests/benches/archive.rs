//! What the archive of zone files costs: its disk, a start, and a read, with and without the compiled form.
//!
//! `cargo bench --bench archive`; with `-- --quick` a fiftieth of everything, with `-- DIRECTORY` the archive of a copied data
//! directory in place of one that is made up. Times are those on the processor.

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on should say where"
)]
#![allow(missing_docs, reason = "a program that prints a table")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bnsd::hash::ZonefileHash;
use bnsd::store::{Archive, Lookup};

mod processor;
#[path = "../common/random.rs"]
mod random;

use processor::processor_time;
use random::Random;

/// Zone files of the archive, and how many are stored together.
const FILES: usize = 1_000_000;
const BATCH: usize = 10_000;
/// Reads, and times that the archive is opened.
const READS: usize = 100_000;
const STARTS: usize = 9;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let scale = if arguments.iter().any(|it| it == "--quick") {
        50
    } else {
        1
    };
    let given = arguments.iter().find(|it| !it.starts_with("--"));
    let scratch = tempfile::tempdir().unwrap();
    let directory = match given {
        Some(given) => PathBuf::from(given),
        None => {
            fill(scratch.path(), FILES / scale);
            scratch.path().to_owned()
        }
    };
    let archive = start(&directory);
    let mut hashes = archive.list(|| true).unwrap();
    row("zone files", hashes.len() as f64);
    row(
        "bytes of disk a zone file",
        bytes(&directory) / hashes.len() as f64,
    );
    let mut random = Random::new(2_020);
    for last in (1..hashes.len()).rev() {
        hashes.swap(last, random.below(last + 1));
    }
    hashes.truncate(READS);
    read(&archive, &hashes);
}

fn fill(directory: &Path, count: usize) {
    let archive = Archive::open(directory).unwrap();
    let mut spent = Duration::ZERO;
    for first in (0..count).step_by(BATCH) {
        let last = (first + BATCH).min(count);
        let files: Vec<Vec<u8>> = (first..last).map(zonefile).collect();
        spent += measure(|| drop(archive.put_many(&files).unwrap()));
    }
    row(
        "microseconds to store a zone file",
        micros(spent) / count as f64,
    );
    for _ in 0..2 {
        archive.sweep(None, 1).unwrap(); // at rest
    }
}

/// As most names have it; of 223 bytes.
fn zonefile(number: usize) -> Vec<u8> {
    let text = format!(
        "$ORIGIN name{number:07}.id\n$TTL 3600\n@ A 192.0.2.{}\n@ AAAA 2001:db8::{:x}\nwww CNAME @\n@ MX 10 mail\nmail A 192.0.2.7\n_http._tcp URI 10 1 \"https://storage.example/hub/name{number:07}/profile.json\"\n@ TXT \"",
        number % 250,
        number % 60_000,
    );
    let padding = "x".repeat(221usize.saturating_sub(text.len()));
    format!("{text}{padding}\"\n").into_bytes()
}

fn start(directory: &Path) -> Archive {
    let mut spent: Vec<Duration> = (0..STARTS)
        .map(|_| measure(|| drop(Archive::open(directory).unwrap())))
        .collect();
    row("milliseconds of the first start", micros(spent[0]) / 1e3);
    spent.sort_unstable();
    row(
        "milliseconds of a start, median",
        micros(spent[STARTS / 2]) / 1e3,
    );
    Archive::open(directory).unwrap()
}

fn read(archive: &Archive, hashes: &[ZonefileHash]) {
    let mut buffer = Vec::new();
    let mut compiled = 0;
    for turn in ["first", "second"] {
        let spent = measure(|| {
            for hash in hashes {
                let stored = archive.get_compiled(hash, &mut buffer).unwrap().unwrap();
                compiled += usize::from(stored.compiled.is_some());
            }
        });
        let what = format!("microseconds a read with form, {turn}");
        row(&what, micros(spent) / hashes.len() as f64);
    }
    row(
        "of them with a form",
        compiled as f64 / (2 * hashes.len()) as f64,
    );
    let spent = measure(|| {
        for hash in hashes {
            assert!(matches!(archive.get(hash).unwrap(), Lookup::Found(_)));
        }
    });
    row(
        "microseconds a read without",
        micros(spent) / hashes.len() as f64,
    );
    let spent = measure(|| {
        let mut absent = *hashes.first().unwrap();
        for hash in hashes {
            absent.0[..19].copy_from_slice(&hash.0[1..]);
            assert!(
                archive
                    .get_compiled(&absent, &mut buffer)
                    .unwrap()
                    .is_none()
            );
        }
    });
    row("microseconds to miss", micros(spent) / hashes.len() as f64);
}

/// Bytes of the segments and their tables.
fn bytes(directory: &Path) -> f64 {
    let files = fs::read_dir(directory.join("segments")).unwrap();
    let lengths = files.map(|file| file.unwrap().metadata().unwrap().len());
    lengths.sum::<u64>() as f64
}

fn measure(work: impl FnOnce()) -> Duration {
    let before = processor_time();
    work();
    processor_time() - before
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn row(what: &str, value: f64) {
    println!("{what:40}{value:>14.2}");
}
