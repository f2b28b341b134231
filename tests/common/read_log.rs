//! Reads a log in memory as its format says, check by check, and runs the rules over it.

#![allow(
    dead_code,
    reason = "not every program that includes this needs all of it"
)]

use std::collections::HashMap;

use bitcoin::Transaction;
use bitcoin::block::Header;
use bitcoin::consensus::deserialize;
use bitcoin::p2p::Magic;
use bnsd::bns::state::State;
use bnsd::bns::{Bns, Params};
use bnsd::chain::headers::HeaderChain;
use bnsd::chain::log::manifest::Manifest;
use bnsd::chain::log::record::{Elsewhere, Record, RecordFault};
use bnsd::chain::log::segment::Reader;
use bnsd::hash::ConsensusHash;
use bnsd::virtualchain::{VirtualTransaction, connect_block};

/// Late enough for every made log, seconds since 1970.
pub const NOW: u64 = 2_000_000_000;

/// What the rules are shown of each block that has candidates.
pub type Shown = HashMap<u32, Vec<VirtualTransaction>>;

/// The files of a log by their paths.
#[derive(Debug, Clone, Default)]
pub struct Log {
    pub files: HashMap<String, Vec<u8>>,
}

impl Log {
    /// Keeps a file.
    pub fn write(&mut self, path: &str, bytes: &[u8]) {
        self.files.insert(path.to_owned(), bytes.to_vec());
    }

    pub fn file(&self, path: &str) -> &[u8] {
        &self.files[path]
    }

    pub fn manifest(&self) -> Manifest {
        Manifest::parse(self.file("log.json")).expect("a manifest")
    }

    pub fn headers(&self) -> Vec<Header> {
        headers(self.file("headers"))
    }

    /// The paths of the segments, in order.
    pub fn segments(&self) -> Vec<String> {
        let manifest = self.manifest();
        let sealed = manifest.segments.iter().map(|entry| entry.sealed_path());
        let open = manifest.open.iter().map(|_| "segments/open".to_owned());
        sealed.chain(open).collect()
    }

    /// Everything that passes the checks of its block; an error if one does not.
    pub fn read(&self, headers: &HeaderChain) -> Result<Shown, String> {
        let mut shown = Shown::new();
        let manifest = self.manifest();
        for (path, entry) in self.segments().iter().zip(manifest.entries()) {
            let reader = Reader::new(self.file(path)).map_err(|error| error.to_string())?;
            let header = reader.header();
            let promised = (*b"id", Magic::REGTEST, entry.from, entry.to);
            if (header.magic, header.network, header.from, header.to) != promised {
                return Err("it is another segment than log.json promises".to_owned());
            }
            read_segment(reader, headers, &mut shown)?;
        }
        Ok(shown)
    }

    /// Whether the consensus hashes that it promises follow from what it shows.
    pub fn derive(&self, shown: &Shown) -> Result<(), String> {
        let manifest = self.manifest();
        let promised: HashMap<u32, ConsensusHash> = manifest
            .entries()
            .map(|entry| (entry.to, entry.consensus_hash))
            .collect();
        let params = Params::regtest();
        let bns = Bns::new(params.clone());
        let mut state = State::genesis(&params);
        let last = manifest.entries().map(|entry| entry.to).max();
        for height in params.first_block..=last.expect("a segment") {
            let candidates = shown.get(&height).map_or(&[][..], Vec::as_slice);
            let outcome = connect_block(&bns, height, candidates, &state);
            let outcome = outcome.expect("memory does not fail");
            state.connect(height, &outcome.changes, outcome.snapshot);
            let promised = promised.get(&height);
            if promised.is_some_and(|hash| *hash != outcome.snapshot.consensus_hash) {
                return Err(format!("the log contradicts itself at block {height}"));
            }
        }
        Ok(())
    }
}

/// The headers that stand in these bytes.
pub fn headers(bytes: &[u8]) -> Vec<Header> {
    let headers = bytes.chunks_exact(80).map(deserialize);
    headers.map(|header| header.expect("80 bytes")).collect()
}

/// Adds what a segment shows, if all of it passes the checks.
fn read_segment(
    mut reader: Reader<'_>,
    headers: &HeaderChain,
    shown: &mut Shown,
) -> Result<(), String> {
    while let Some(record) = reader.next() {
        let record = record.map_err(|error| error.to_string())?;
        let header = headers.header_at(record.height);
        let header = header.ok_or(format!("there is no block {}", record.height))?;
        let candidates = read_record(&record, &header, |place| match place {
            Elsewhere::Spelled(place) => reader.spelled(place),
            Elsewhere::Candidate { height, vtxindex } => {
                let mut shown = shown.get(&height)?.iter();
                let found = shown.find(|at| at.vtxindex == vtxindex);
                found.map(|found| found.transaction.clone())
            }
        });
        let candidates = candidates.map_err(|fault| format!("{}: {fault}", record.height))?;
        shown.insert(record.height, candidates);
    }
    Ok(())
}

fn read_record(
    record: &Record,
    header: &Header,
    find: impl Fn(Elsewhere) -> Option<Transaction>,
) -> Result<Vec<VirtualTransaction>, RecordFault> {
    let candidates = record.check(header, *b"id")?;
    record.join(candidates, |place| Ok(find(place)))
}
