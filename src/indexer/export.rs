//! Writes the log of an index to a directory that anybody may hand on, and keeps it current.
//!
//! Equal history gives equal bytes, so that whoever has the same blocks writes the same files. A sealed segment stays as
//! it is; only the newest blocks are asked for again. `log.json` is written after every segment and names only what is
//! there and synced, so that a writer can be killed anywhere and goes on where it was. Everything that is written is
//! checked against the headers first, whoever supplied it.
//!
//! In memory are the segment that is written and the open one, whose records are taken over as long as their blocks stay.

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use bitcoin::Txid;
use bitcoin::hashes::{Hash as _, sha256};
use bitcoin::p2p::Magic;

use crate::chain::log::manifest::{
    MANIFEST_BYTES_MAX, Manifest, SEALED_BELOW, SegmentEntry, first_of_segment, last_of_segment,
};
use crate::chain::log::record::{Evidence, Funding, Record};
use crate::chain::log::segment::{Reader, WriteFault, Writer, candidates};
use crate::disk;
use crate::hash::ConsensusHash;

use super::export_error::{ExportError, failed};
use super::export_files::{
    HEADERS, MANIFEST, OPEN, SEGMENTS, create_public, foreign_name, read_bounded,
};
use super::headers_file::HeadersFile;
use super::supply::{LogBlock, LogFacts, Supply};

/// How often an update is tried while blocks are replaced, and the time between.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);

/// What a log is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Exported {
    /// The first block that it tells of.
    pub from: u32,
    /// The last one.
    pub to: u32,
    /// The consensus hash at the last one.
    pub consensus_hash: ConsensusHash,
    /// Sealed segments.
    pub segments: u64,
    /// How many of them were written now.
    pub written: u64,
    /// Bytes of all segments.
    pub bytes: u64,
}

/// Writes one directory.
pub struct Exporter {
    directory: PathBuf,
    /// What the directory has; `None` until it was looked at.
    manifest: Option<Manifest>,
    /// The bytes of the open segment.
    open: Vec<u8>,
    headers: HeadersFile,
    _lock: File,
}

impl Exporter {
    /// Takes a directory, made if it is missing. One that holds something else than a log is refused, and one that another
    /// process writes to.
    pub fn open(directory: &Path) -> Result<Self, ExportError> {
        let refused = |reason: String| ExportError::Directory {
            directory: directory.to_owned(),
            reason,
        };
        let failed = failed(directory);
        create_public(directory).map_err(&failed)?;
        if let Some(name) = foreign_name(directory).map_err(&failed)? {
            return Err(refused(format!("holds {name}, which is no part of a log")));
        }
        create_public(&directory.join(SEGMENTS)).map_err(&failed)?;
        let lock = File::open(directory).map_err(&failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(refused("is being written by another process".to_owned()));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        Ok(Self {
            directory: directory.to_owned(),
            manifest: None,
            open: Vec::new(),
            headers: HeadersFile::new(directory.join(HEADERS)),
            _lock: lock,
        })
    }

    /// Compares all that is there with the index at the next update, because blocks were taken back.
    pub fn look_again(&mut self) {
        self.manifest = None;
    }

    /// Brings the log to the tip of the index. `reached` is told how far it is, and the last block. The index and the source
    /// may be on different branches for a moment, which is waited for.
    pub fn update(
        &mut self,
        supply: &mut dyn Supply,
        reached: &mut dyn FnMut(u32, u32),
    ) -> Result<Exported, ExportError> {
        let mut attempts = 1;
        loop {
            match self.try_update(supply, reached) {
                Err(ExportError::Moved) if attempts < ATTEMPTS => thread::sleep(PAUSE),
                exported => return exported,
            }
            attempts += 1;
        }
    }

    fn try_update(
        &mut self,
        supply: &mut dyn Supply,
        reached: &mut dyn FnMut(u32, u32),
    ) -> Result<Exported, ExportError> {
        let facts = supply.facts()?;
        let tip = facts.tip.ok_or(ExportError::Empty)?;
        let mut manifest = match self.manifest.take() {
            Some(manifest) => manifest,
            None => self.read(&facts, supply)?,
        };
        let updated = self.bring(&mut manifest, &facts, tip, supply, reached);
        let exported = updated.map(|written| exported(&manifest, tip, written));
        // After a failed write nobody knows what is there; otherwise it needs not be hashed again.
        if !matches!(exported, Err(ExportError::File { .. })) {
            self.manifest = Some(manifest);
        }
        exported
    }

    /// Gives how many sealed segments were written.
    fn bring(
        &mut self,
        manifest: &mut Manifest,
        facts: &LogFacts,
        tip: LogBlock,
        supply: &mut dyn Supply,
        reached: &mut dyn FnMut(u32, u32),
    ) -> Result<u64, ExportError> {
        let before = manifest.clone();
        self.forget_another_branch(manifest);
        let kept = self.headers.follow(tip.at, supply)?;
        Self::forget_unsealed(manifest, tip, supply)?;
        if let Some(open) = manifest.open
            && !self.open.is_empty()
            && !self.is_open_told(&open, kept, supply)?
        {
            self.open.clear();
        }
        manifest.headers.to = tip.at.height;
        let mut written = 0;
        let mut from = manifest
            .segments
            .last()
            .map_or(facts.first_block, |last| last.to + 1);
        let mut job = Job {
            facts,
            kept,
            tip: tip.at.height,
            supply,
            reached,
        };
        while last_of_segment(from).saturating_add(SEALED_BELOW) <= tip.at.height {
            let (entry, bytes) = self.segment(&mut job, from, last_of_segment(from))?;
            self.put(&entry.sealed_path(), &bytes)?;
            manifest.segments.push(entry);
            manifest.open = None;
            self.put(MANIFEST, manifest.render().as_bytes())?;
            from = entry.to + 1;
            written += 1;
        }
        let (entry, bytes) = self.segment(&mut job, from, tip.at.height)?;
        if before.open != Some(entry) {
            self.put(OPEN, &bytes)?;
        }
        manifest.open = Some(entry);
        if before != *manifest {
            self.put(MANIFEST, manifest.render().as_bytes())?;
        }
        self.open = bytes;
        self.remove_others(manifest);
        Ok(written)
    }

    /// Reads what an earlier run left, as far as it is whole and tells of what the index has.
    fn read(&mut self, facts: &LogFacts, supply: &mut dyn Supply) -> Result<Manifest, ExportError> {
        self.open.clear();
        let new = Manifest::new(facts.network, facts.magic, facts.first_block);
        let path = self.directory.join(MANIFEST);
        let bytes = match read_bounded(&path, MANIFEST_BYTES_MAX as u64) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(new),
            bytes => bytes.map_err(failed(&path))?,
        };
        let refused = |reason: String| ExportError::Directory {
            directory: self.directory.clone(),
            reason,
        };
        let mut manifest = Manifest::parse(&bytes).map_err(|fault| refused(fault.to_string()))?;
        let chain = |manifest: &Manifest| (manifest.network, manifest.magic, manifest.first_block);
        if chain(&manifest) != chain(&new) {
            return Err(refused("has the log of another chain".to_owned()));
        }
        let mut whole = 0;
        for entry in &manifest.segments {
            let Some(bytes) = self.whole(&entry.sealed_path(), entry) else {
                break;
            };
            let block = named(supply, entry)?;
            if !block.is_some_and(|block| tells_all(&bytes, block)) {
                break;
            }
            whole += 1;
        }
        if whole < manifest.segments.len() {
            manifest.segments.truncate(whole);
            manifest.open = None;
        }
        let open = manifest.open.and_then(|entry| self.whole(OPEN, &entry));
        match open {
            Some(bytes) => self.open = bytes,
            None => manifest.open = None,
        }
        Ok(manifest)
    }

    /// The bytes of a file, if they are those that an entry names.
    fn whole(&self, path: &str, entry: &SegmentEntry) -> Option<Vec<u8>> {
        let bytes = read_bounded(&self.directory.join(path), entry.bytes).ok()?;
        (sha256::Hash::hash(&bytes) == entry.sha256).then_some(bytes)
    }

    /// Forgets an open segment that is not on the chain of the headers that are there.
    fn forget_another_branch(&mut self, manifest: &Manifest) {
        let is_ours = manifest.open.is_some_and(|open| {
            let header = self.headers.at(open.to);
            header.is_ok_and(|header| header.block_hash() == open.block_hash)
        });
        if !is_ours {
            self.open.clear();
        }
    }

    /// Takes sealed segments back that are not on the chain, or too near to the tip.
    fn forget_unsealed(
        manifest: &mut Manifest,
        tip: LogBlock,
        supply: &mut dyn Supply,
    ) -> Result<(), ExportError> {
        while let Some(last) = manifest.segments.last() {
            let is_deep = last.to.saturating_add(SEALED_BELOW) <= tip.at.height;
            if is_deep && named(supply, last)?.is_some() {
                break;
            }
            manifest.segments.pop();
            manifest.open = None;
        }
        Ok(())
    }

    /// Whether the open segment tells of what the index has, up to the block at `kept`. It may reach into the heights of the
    /// next one, whose candidates are counted for themselves.
    fn is_open_told(
        &self,
        open: &SegmentEntry,
        kept: u32,
        supply: &mut dyn Supply,
    ) -> Result<bool, ExportError> {
        let upto = open.to.min(kept);
        let own = supply.block(last_of_segment(open.from).min(upto))?;
        let last = match upto == open.to {
            true => named(supply, open)?,
            false => supply.block(upto)?,
        };
        let is_told = |block: Option<LogBlock>| block.is_some_and(|at| tells_all(&self.open, at));
        Ok(is_told(own) && is_told(last))
    }

    /// Makes a segment of the blocks from `from` to `to`. Blocks that the open one has and that are still there are taken
    /// from it.
    fn segment(
        &self,
        job: &mut Job<'_>,
        from: u32,
        to: u32,
    ) -> Result<(SegmentEntry, Vec<u8>), ExportError> {
        let network = Magic::from(job.facts.network);
        let mut writer = Writer::new(job.facts.magic, network, from);
        let mut next = from;
        if let Ok(reader) = Reader::new(&self.open)
            && reader.header().from == from
        {
            let last = reader.header().to.min(job.kept).min(to);
            self.add(&mut writer, &self.open, last)?;
            next = next.max(last.saturating_add(1));
        }
        let mut last = None;
        while next <= to {
            let piece = job.supply.piece(next, to)?;
            let at = piece.last.at;
            if at.height < next || self.headers.at(at.height)?.block_hash() != at.hash {
                return Err(ExportError::Moved);
            }
            self.add(&mut writer, &piece.bytes, to)?;
            next = at.height.saturating_add(1);
            (job.reached)(at.height, job.tip);
            last = Some(piece.last);
        }
        let last = match last {
            Some(last) => last,
            None => job.supply.block(to)?.ok_or(ExportError::Moved)?,
        };
        let bytes = writer.finish(to);
        let entry = SegmentEntry {
            from,
            to,
            bytes: bytes.len() as u64,
            sha256: sha256::Hash::hash(&bytes),
            block_hash: last.at.hash,
            consensus_hash: last.consensus_hash,
        };
        Ok((entry, bytes))
    }

    /// Adds the records of a segment up to that of the block at `last`, each checked against the header of its block.
    fn add(&self, writer: &mut Writer, bytes: &[u8], last: u32) -> Result<(), ExportError> {
        let untrue = |height, fault: &dyn ToString| ExportError::Untrue {
            height,
            fault: fault.to_string(),
        };
        let mut reader = Reader::new(bytes).map_err(|flaw| untrue(last, &flaw))?;
        let magic = reader.header().magic;
        while let Some(record) = reader.next() {
            let record = record.map_err(|flaw| untrue(last, &flaw))?;
            let height = record.height;
            if height > last {
                break;
            }
            let (mut evidence, earlier) = spent(&record, &reader);
            let header = self.headers.at(height)?;
            let checked = record.check(&header, magic);
            evidence.candidates = checked.map_err(|fault| untrue(height, &fault))?;
            let pushed = writer.push(height, &evidence, |txid| earlier.get(txid).copied());
            pushed.map_err(|fault| match fault {
                WriteFault::Large(height) => ExportError::Large(height),
                fault => untrue(height, &fault),
            })?;
        }
        Ok(())
    }

    /// Puts a file in its place, for everybody to read.
    fn put(&self, path: &str, bytes: &[u8]) -> Result<(), ExportError> {
        let path = self.directory.join(path);
        disk::replace_public(&path, bytes).map_err(failed(&path))
    }

    /// Removes segments that the log no longer names. What cannot be removed is in nobody's way.
    fn remove_others(&self, manifest: &Manifest) {
        let named: Vec<String> = manifest
            .segments
            .iter()
            .map(SegmentEntry::sealed_path)
            .collect();
        for entry in fs::read_dir(self.directory.join(SEGMENTS))
            .into_iter()
            .flatten()
            .flatten()
        {
            let path = format!("{SEGMENTS}/{}", entry.file_name().to_string_lossy());
            if path != OPEN && !named.contains(&path) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// One update.
struct Job<'a> {
    facts: &'a LogFacts,
    /// Up to here the headers of the last update stayed.
    kept: u32,
    /// Height of the last block.
    tip: u32,
    supply: &'a mut dyn Supply,
    reached: &'a mut dyn FnMut(u32, u32),
}

fn exported(manifest: &Manifest, tip: LogBlock, written: u64) -> Exported {
    Exported {
        from: manifest.first_block,
        to: tip.at.height,
        consensus_hash: tip.consensus_hash,
        segments: manifest.segments.len() as u64,
        written,
        bytes: manifest.entries().map(|entry| entry.bytes).sum(),
    }
}

/// The last block of an entry, if the index has it with the same hashes.
fn named(supply: &mut dyn Supply, entry: &SegmentEntry) -> Result<Option<LogBlock>, ExportError> {
    let block = supply.block(entry.to)?;
    Ok(block.filter(|block| {
        (block.at.hash, block.consensus_hash) == (entry.block_hash, entry.consensus_hash)
    }))
}

/// Whether a segment shows as many candidates as the index has, up to a block from the multiple of 2016 below it. What it
/// shows was checked when it was written, so that no other ones can be among them.
fn tells_all(segment: &[u8], upto: LogBlock) -> bool {
    let height = upto.at.height;
    candidates(segment, first_of_segment(height)..=height) == Ok(upto.candidates)
}

/// What the candidates of a record spend: the transactions that the segment spells out, and the places of the others. The
/// candidates themselves are left to the check.
fn spent(record: &Record, reader: &Reader<'_>) -> (Evidence, HashMap<Txid, (u32, u32)>) {
    let mut earlier = HashMap::new();
    let mut evidence = Evidence {
        tree: record.tree.clone(),
        coinbase: record.coinbase.clone(),
        candidates: Vec::new(),
        funding: HashMap::new(),
    };
    for candidate in &record.candidates {
        let spent = candidate.transaction.input.iter();
        let spent = spent.map(|input| input.previous_output.txid);
        for (txid, entry) in spent.zip(&candidate.funding) {
            let transaction = match entry {
                Funding::Earlier {
                    blocks_back,
                    vtxindex,
                } => {
                    let height = record.height.saturating_sub(*blocks_back);
                    earlier.insert(txid, (height, *vtxindex));
                    continue;
                }
                Funding::Spelled(place) => reader.spelled(*place),
                Funding::Here(transaction) => Some(transaction.clone()),
            };
            // Another transaction is missing, which the writer says.
            let transaction = transaction.filter(|given| given.compute_txid() == txid);
            evidence
                .funding
                .extend(transaction.map(|given| (txid, given)));
        }
    }
    (evidence, earlier)
}
