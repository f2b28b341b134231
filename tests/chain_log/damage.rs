//! Damaged logs: whatever is done to one, no block shows what it did not have, nothing panics, and memory is bounded.
//!
//! A liar can publish any bytes, with a `log.json` that fits them, so their hash is not looked at here.

use std::process::Command;
use std::time::Instant;

use bitcoin::block::Header;
use bitcoin::consensus::serialize;
use bitcoin::{Amount, CompactTarget, Network, ScriptBuf, Target};
use bnsd::chain::headers::HeaderChain;
use bnsd::chain::log::record::{Funding, Record};
use bnsd::chain::log::segment::{Reader, Writer};

use super::made;
use crate::common::form::form;
use crate::common::random::Random;
use crate::common::read_log::{Log, NOW, Shown};
use crate::common::scratch::scratch;

/// The file that is damaged, beside the headers.
pub const OPEN: &str = "segments/open";
/// The most memory that reading any of them may take, in kB.
pub const MEMORY_MAX: u64 = 200_000;

#[test]
fn damaged_logs_change_nothing() {
    in_a_process_of_its_own("chain_log::damage::in_this_process");
}

/// Runs an ignored test where its memory can be told from that of other tests.
pub fn in_a_process_of_its_own(test: &str) {
    let test = Command::new(std::env::current_exe().expect("this program"))
        .args(["--ignored", "--exact", test, "--nocapture"])
        .output()
        .expect("this program starts");
    let said = String::from_utf8_lossy(&test.stdout);
    assert!(test.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
    println!("{said}");
}

#[test]
#[ignore = "it measures the memory of its process: `damaged_logs_change_nothing` runs it alone"]
fn in_this_process() {
    let start = Instant::now();
    let scene = Scene::new();
    let mut random = Random::new(7);
    let mut refused = 0;
    let count = form(2_000, 100_000);
    for number in 0..count {
        let is_refused = match number % 5 {
            0 => scene.refuses_headers(&scene.damaged_headers(&mut random)),
            1 => {
                let damaged = scene.damaged_records(&mut random);
                damaged.is_none_or(|damaged| scene.is_refused(&damaged, &scene.chain))
            }
            _ => {
                let damaged = scene.damaged_bytes(&mut random);
                damaged == scene.log.file(OPEN) || scene.is_refused(&damaged, &scene.chain)
            }
        };
        refused += usize::from(is_refused);
    }
    let memory = peak_memory();
    println!(
        "{refused} of {count} are refused in {:.0?}, {memory} kB",
        start.elapsed()
    );
    assert!(refused > count * 9 / 10, "{refused} of {count} are refused");
    assert!(memory < MEMORY_MAX, "{memory} kB");
}

/// An honest log, and what it shows.
pub struct Scene {
    pub log: Log,
    chain: HeaderChain,
    headers: Vec<Header>,
    records: Vec<Record>,
    shown: Shown,
    _directory: tempfile::TempDir,
}

impl Scene {
    pub fn new() -> Self {
        let (log, chain, directory) = made(5, 2);
        let shown = log.read(&chain).expect("nothing is wrong with it");
        assert_eq!(log.derive(&shown), Ok(()));
        let reader = Reader::new(log.file(OPEN)).expect("a segment");
        Self {
            records: reader.map(|record| record.expect("a record")).collect(),
            headers: log.headers(),
            log,
            chain,
            shown,
            _directory: directory,
        }
    }

    /// Reads a segment in place of the honest one; whether it is refused. One that is not says nothing but the truth,
    /// and leads to the state that it promises.
    fn is_refused(&self, segment: &[u8], headers: &HeaderChain) -> bool {
        let mut log = self.log.clone();
        log.write(OPEN, segment);
        let Ok(shown) = log.read(headers) else {
            return true;
        };
        for (height, shown) in &shown {
            assert_eq!(Some(shown), self.shown.get(height), "block {height}");
        }
        let is_complete = shown.len() == self.shown.len();
        assert_eq!(log.derive(&shown).is_ok(), is_complete);
        !is_complete
    }

    /// The segment with some of its bytes changed.
    pub fn damaged_bytes(&self, random: &mut Random) -> Vec<u8> {
        let mut bytes = self.log.file(OPEN).to_vec();
        let at = random.below(bytes.len());
        let length = 1 + random.below(200);
        let end = (at + length).min(bytes.len());
        match random.below(7) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            3 => {
                let other = random.below(bytes.len() - 200);
                let (one, two) = (bytes[at..end].to_vec(), other..other + (end - at));
                let moved = bytes[two.clone()].to_vec();
                bytes[at..end].copy_from_slice(&moved);
                bytes[two].copy_from_slice(&one);
            }
            4 => {
                // A count that nothing follows.
                let count = *random.pick(&[
                    &[0xfe, 0xff, 0xff, 0xff, 0xff][..],
                    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
                    &[0xfd, 0xff, 0xff],
                ]);
                let place = *random.pick(&[21, 22, 23, 27, at]); // of records, of a height, of transactions, of hashes
                let end = (place + 1).min(bytes.len());
                bytes.splice(place..end, count.iter().copied());
            }
            _ => {
                for _ in 0..=random.below(3) {
                    let at = random.below(bytes.len());
                    bytes[at] ^= 1 << random.below(8);
                }
            }
        }
        bytes
    }

    /// The segment with changed records, encoded again, so that the bytes are well formed; `None` if it says the same.
    pub fn damaged_records(&self, random: &mut Random) -> Option<Vec<u8>> {
        let mut records = self.records.clone();
        let at = random.below(records.len());
        let other = random.below(records.len());
        let kind = random.below(9);
        match kind {
            0 => records.swap(at, other),
            1 => drop(records.remove(at)),
            2 => records.insert(at, records[other].clone()),
            3 => records[at].tree = records[other].tree.clone(),
            4 => records[at].coinbase = short_coinbase(&records[at]),
            5 => {
                let stranger = records[other].candidates[0].clone();
                records[at].candidates[0].transaction = stranger.transaction;
            }
            6 => records[at].height += 1,
            _ => change_funding(&mut records[at], random),
        }
        if records == self.records {
            return None;
        }
        let mut writer = Writer::resume(self.log.file(OPEN), 0).expect("a segment");
        records.iter().for_each(|record| writer.copy(record));
        let to = self.chain.tip().height;
        Some(writer.finish(to))
    }

    /// Block headers of which some are wrong or missing.
    pub fn damaged_headers(&self, random: &mut Random) -> Vec<Header> {
        let mut headers = self.headers.clone();
        let at = 1 + random.below(headers.len() - 1);
        let other = 1 + random.below(headers.len() - 1);
        match random.below(8) {
            0 => headers.swap(at, other),
            1 => headers.truncate(at),
            2 => drop(headers.remove(at)),
            3 => headers.insert(at, headers[other]),
            4 => {
                while Target::MAX_ATTAINABLE_REGTEST.is_met_by(headers[at].block_hash()) {
                    headers[at].nonce += 1;
                }
            }
            5 => {
                headers[at].bits = CompactTarget::from_consensus(0x200f_ffff);
                mine_from(&mut headers, at);
            }
            6 => {
                headers[at].time = headers[at.saturating_sub(7)].time;
                mine_from(&mut headers, at);
            }
            _ => {
                headers[at].time = NOW as u32 + 7_201;
                mine_from(&mut headers, at);
            }
        }
        headers
    }

    /// Whether a chain refuses damaged headers, or the log with them.
    fn refuses_headers(&self, headers: &[Header]) -> bool {
        let directory = scratch();
        let chain = HeaderChain::open(directory.path(), Network::Regtest);
        let mut chain = chain.expect("a file");
        if headers == self.headers {
            return true;
        }
        let taken = chain.accept(headers, NOW);
        let is_shorter = self.headers.starts_with(headers);
        assert!(taken.is_err() || is_shorter, "{taken:?}");
        if taken.is_err() {
            assert_eq!(chain.tip().height, 0, "a run with a fault changes nothing");
        }
        self.is_refused(self.log.file(OPEN), &chain)
    }
}

fn change_funding(record: &mut Record, random: &mut Random) {
    let candidate = random.below(record.candidates.len());
    let funding = &mut record.candidates[candidate].funding;
    let at = random.below(funding.len());
    match &mut funding[at] {
        Funding::Here(paid) => {
            let output = random.below(paid.output.len());
            match random.below(3) {
                0 => paid.output[output].script_pubkey = ScriptBuf::from(vec![0x51]),
                1 => paid.output[output].value += Amount::ONE_SAT,
                _ => paid.output.truncate(output),
            }
        }
        Funding::Spelled(place) => *place ^= 1,
        Funding::Earlier { blocks_back, .. } => *blocks_back += 1 + random.below(3) as u32,
    }
}

/// A coinbase of 64 bytes.
fn short_coinbase(record: &Record) -> bitcoin::Transaction {
    let mut coinbase = record.coinbase.clone();
    coinbase.input[0].script_sig = ScriptBuf::from(vec![1; 4]);
    coinbase.output.truncate(1);
    coinbase.output[0].script_pubkey = ScriptBuf::new();
    assert_eq!(serialize(&coinbase).len(), 64);
    coinbase
}

/// Does the work of all headers from `at` on again.
fn mine_from(headers: &mut [Header], at: usize) {
    for at in at..headers.len() {
        headers[at].prev_blockhash = headers[at - 1].block_hash();
        let target = Target::from_compact(headers[at].bits);
        while !target.is_met_by(headers[at].block_hash()) {
            headers[at].nonce += 1;
        }
    }
}

/// The most memory that this process had, in kB, as the kernel says.
pub fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a kernel that says so");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    number
        .and_then(|number| number.trim().parse().ok())
        .expect("a number")
}
