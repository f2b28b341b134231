//! One log on a disk as a source of blocks: every check of the format is made, and nothing is fetched or joined.

use std::fs::{self, File};
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

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

use super::read_log::{self, NOW, Shown};

/// Headers that are taken at once.
const HEADERS: u64 = 2_000;

/// Imports a log into a new database, which has to come to the consensus hash that the log promises.
pub fn import(log: &Path, data: &Path) -> Arc<Store> {
    let params = Params::regtest();
    let chain = ChainIdentity::new("regtest", &params);
    let store = Arc::new(Store::open(data, &chain, StoreOptions::default()).expect("a database"));
    let source = FromDisk::new(log, data, IndexedCandidates::new(Arc::clone(&store)));
    let mut indexer = Indexer::new(
        Box::new(source),
        params,
        Arc::clone(&store),
        Arc::new(Progress::default()),
        Arc::new(SystemClock::start()),
    );
    while indexer.turn().expect("a good log") != Turn::Idle {}
    let tip = store.snapshot().tip().expect("blocks");
    let open = manifest(log).open.expect("an open segment");
    let promised = (open.to, open.consensus_hash);
    assert_eq!((tip.height, tip.consensus_hash), promised);
    store
}

/// The `log.json` of a log.
pub fn manifest(log: &Path) -> Manifest {
    Manifest::parse(&fs::read(log.join("log.json")).expect("a file")).expect("a manifest")
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
        let mut headers = HeaderChain::open(data, Network::Regtest).expect("a log");
        let mut file = BufReader::new(File::open(log.join("headers")).expect("a log"));
        loop {
            let mut run = Vec::new();
            (&mut file)
                .take(HEADERS * 80)
                .read_to_end(&mut run)
                .expect("a log");
            if run.is_empty() {
                break;
            }
            headers
                .accept(&read_log::headers(&run), NOW)
                .expect("a log");
        }
        Self {
            log: log.to_owned(),
            manifest: manifest(log),
            headers,
            indexed,
            to: 0,
            shown: Shown::new(),
        }
    }

    /// Reads the segment that has the block at `height`. It may spend outputs of candidates that are not indexed yet.
    fn read(&mut self, height: u32) -> Result<(), SourceError> {
        let mut entries = self.manifest.entries();
        let entry = *entries.find(|entry| entry.to >= height).expect("a log");
        let path = match self.manifest.segments.contains(&entry) {
            true => entry.sealed_path(),
            false => "segments/open".to_owned(),
        };
        let bytes = fs::read(self.log.join(path)).expect("a log");
        assert_eq!(sha256::Hash::hash(&bytes), entry.sha256);
        let earlier = |height, vtxindex| self.indexed.candidate(height, vtxindex).expect("a log");
        let mut shown = Shown::new();
        let reader = Reader::new(&bytes).expect("a log");
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
        let header = self.headers.header_at(height).expect("a log");
        Ok(Event::ConnectCandidates(CandidateBlock {
            height,
            candidates: self.shown.get(&height).cloned().unwrap_or_default(),
            about: BlockHeader {
                hash: self.headers.hash_at(height).expect("a log"),
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
