//! What is read from a block directory: the key, the headers, single blocks. It decides nothing about chains.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Instant;

use bitcoin::block::Header;
use bitcoin::p2p::Magic;
use bitcoin::{Network, Target};

use super::headers::{Headers, Position};
use crate::chain::blockfile::record::{Next, Record, RecordReader, Search};
use crate::chain::blockfile::{FileKind, ObfuscationKey};
use crate::chain::{Block, BlockRef, Result, SourceError, checked, header};

/// File with the obfuscation key.
const KEY_FILE: &str = "xor.dat";
/// How many of the newest files may still grow: Bitcoin Core writes to the last one, and to another while
/// it loads a snapshot of the coins.
const GROWING: usize = 3;
/// How many damaged bytes are searched between two looks at the time.
const SEARCH_BYTES: u64 = 4 << 20;

/// A directory of block files.
#[derive(Debug)]
pub struct Files {
    directory: PathBuf,
    key: ObfuscationKey,
    magic: Magic,
    limit: Target,
}

/// How far the files have been scanned.
#[derive(Debug, Default)]
pub struct Scanned {
    files: Vec<ScannedFile>,
    /// The file that is next, by its position in the list.
    next: usize,
}

/// How far one file has been scanned.
#[derive(Debug, Default)]
struct ScannedFile {
    number: u32,
    /// Where the next record is expected.
    offset: u64,
    /// Whether a block of this network was found in it.
    has_block: bool,
    /// Whether damage was found and the next record is still looked for.
    is_searching: bool,
}

impl ScannedFile {
    fn new(number: u32) -> Self {
        Self {
            number,
            ..Self::default()
        }
    }
}

impl Scanned {
    /// How many files have been scanned, and of how many.
    pub fn progress(&self) -> (usize, usize) {
        (self.next, self.files.len())
    }
}

/// Whether a scan came to the end of the files in the time that it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// Everything that is there has been scanned.
    Done,
    /// The next scan goes on where this one stopped.
    Stopped,
}

impl Files {
    /// Looks at the directory and its key.
    pub fn open(directory: &Path, network: Network) -> Result<Self> {
        let path = directory.join(KEY_FILE);
        let key = match fs::read(&path) {
            Ok(content) => ObfuscationKey::from_file(&content)
                .map_err(|error| SourceError::Fatal(format!("{}: {error}", path.display())))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => ObfuscationKey::NONE,
            Err(error) => return Err(unreadable(&path, &error)),
        };
        let files = Self {
            directory: directory.to_owned(),
            key,
            magic: Magic::from(network),
            limit: checked::easiest_target(network),
        };
        if files.numbers()?.is_empty() {
            return Err(SourceError::Fatal(format!(
                "there is no blk?????.dat in {}: set `chain.blocks-dir` to the node's directory \"blocks\"",
                directory.display()
            )));
        }
        Ok(files)
    }

    /// Whether files are not those that were scanned: they became shorter or vanished.
    pub fn was_replaced(&self, scanned: &Scanned) -> bool {
        let newest = scanned.files.iter().rev().take(GROWING);
        newest.into_iter().any(|file| {
            let path = self.path(FileKind::Blocks, file.number);
            fs::metadata(path).map_or(true, |metadata| metadata.len() < file.offset)
        })
    }

    /// Scans what was added since the last time, until `end`, and at least one record or piece.
    pub fn scan(&self, scanned: &mut Scanned, headers: &mut Headers, end: Instant) -> Result<Scan> {
        match scanned.files.last() {
            None => scanned.files = self.numbers()?.into_iter().map(ScannedFile::new).collect(),
            Some(last) => {
                let next = last.number.saturating_add(1);
                if self.path(FileKind::Blocks, next).exists() {
                    scanned.files.push(ScannedFile::new(next));
                }
            }
        }
        while let Some(file) = scanned.files.get_mut(scanned.next) {
            if self.scan_file(file, headers, end)? == Scan::Stopped {
                return Ok(Scan::Stopped);
            }
            scanned.next += 1;
        }
        scanned.next = scanned.files.len().saturating_sub(GROWING);
        Ok(Scan::Done)
    }

    /// Reads and checks a block.
    pub fn read_block(&self, at: BlockRef, position: Position) -> Result<Block> {
        let path = self.path(FileKind::Blocks, position.file);
        let offset = u64::from(position.offset);
        let raw = self
            .read(&path, offset, position.length)
            .map_err(|error| unreadable(&path, &error))?;
        checked::block(at, raw, self.limit).map_err(|error| {
            // A running node may be just writing it, so this is not the end.
            SourceError::Unavailable(format!(
                "{} holds a damaged block {} at byte {offset}: {error}; restart the node with -reindex if this stays",
                path.display(),
                at.height
            ))
        })
    }

    /// Reads the header of a block that was checked when it was found.
    pub fn read_header(&self, at: BlockRef, position: Position) -> Result<Header> {
        let path = self.path(FileKind::Blocks, position.file);
        let offset = u64::from(position.offset);
        let raw = self
            .read(&path, offset, header::HEADER_LENGTH as u32)
            .map_err(|error| unreadable(&path, &error))?;
        let header = header::parse(&raw).ok();
        let header = header.filter(|header| header.block_hash() == at.hash);
        header.ok_or_else(|| {
            SourceError::Unavailable(format!(
                "{} no longer holds the header of block {} at byte {offset}; restart the node with -reindex if this stays",
                path.display(),
                at.height
            ))
        })
    }

    /// Refuses a directory without undo files.
    pub fn require_undo(&self) -> Result<()> {
        let entries = self.entries()?;
        if entries.iter().any(|name| number_of(name, "rev").is_some()) {
            return Ok(());
        }
        Err(SourceError::Fatal(format!(
            "there is no rev?????.dat in {}: without it nobody can tell who sent an operation; copy the node's whole directory \"blocks\", or use `chain.source = \"bitcoind\"`",
            self.directory.display()
        )))
    }

    /// A reader over the undo file of this number.
    pub fn undo_reader(&self, number: u32) -> Result<(RecordReader<File>, PathBuf)> {
        let path = self.path(FileKind::Undo, number);
        match File::open(&path) {
            Ok(file) => Ok((
                RecordReader::new(file, FileKind::Undo, self.magic, self.key),
                path,
            )),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(SourceError::Fatal(format!(
                    "{} is missing, so nobody can tell who sent the operations in its blocks: copy it from the node",
                    path.display()
                )))
            }
            Err(error) => Err(unreadable(&path, &error)),
        }
    }

    /// The error for a directory that lacks a block.
    pub fn pruned(&self, height: u32) -> SourceError {
        SourceError::Fatal(format!(
            "the block files in {} lack block {height}, which is needed: run the node with prune=0, then -reindex",
            self.directory.display()
        ))
    }

    fn scan_file(
        &self,
        scanned: &mut ScannedFile,
        headers: &mut Headers,
        end: Instant,
    ) -> Result<Scan> {
        let path = self.path(FileKind::Blocks, scanned.number);
        let file = File::open(&path).map_err(|error| unreadable(&path, &error))?;
        let metadata = file.metadata();
        if metadata.is_ok_and(|metadata| metadata.len() == scanned.offset) {
            return Ok(Scan::Done);
        }
        let mut reader = RecordReader::new(file, FileKind::Blocks, self.magic, self.key);
        reader.seek_to(scanned.offset);
        let result = self.scan_records(&mut reader, scanned, headers, end);
        scanned.offset = reader.position();
        let result = result.map_err(|error| unreadable(&path, &error))?;
        let found_nothing = result == Scan::Done && std::mem::take(&mut scanned.is_searching);
        if found_nothing && !scanned.has_block {
            return Err(SourceError::Fatal(format!(
                "{} holds no block of this network: correct `chain.network`, or copy {KEY_FILE} from the node too",
                path.display()
            )));
        }
        Ok(result)
    }

    /// Goes from record to record, and over bytes that are no record.
    fn scan_records(
        &self,
        reader: &mut RecordReader<File>,
        scanned: &mut ScannedFile,
        headers: &mut Headers,
        end: Instant,
    ) -> io::Result<Scan> {
        loop {
            if scanned.is_searching {
                match reader.search_magic(SEARCH_BYTES)? {
                    Search::Found => scanned.is_searching = false,
                    Search::NotYet => {}
                    Search::Nothing => return Ok(Scan::Done),
                }
            } else {
                let start = reader.position();
                match reader.next_front(header::HEADER_LENGTH as u64)? {
                    Next::Record(record)
                        if self.note(scanned.number, &record, headers).is_some() =>
                    {
                        scanned.has_block = true;
                    }
                    Next::End | Next::Torn => return Ok(Scan::Done),
                    Next::Record(_) | Next::Damaged => {
                        reader.seek_to(start);
                        scanned.is_searching = true;
                    }
                }
            }
            if Instant::now() >= end {
                return Ok(Scan::Stopped);
            }
        }
    }

    /// Adds a header; `None` if the bytes hold none.
    fn note(&self, file: u32, record: &Record, headers: &mut Headers) -> Option<()> {
        let header = header::parse(&record.payload).ok()?;
        let hash = header::check_work(&header, self.limit).ok()?;
        let position = Position {
            file,
            offset: record.offset.try_into().ok()?,
            length: record.length.try_into().ok()?,
        };
        headers.insert(header, hash, position);
        Some(())
    }

    fn read(&self, path: &Path, offset: u64, length: u32) -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let mut bytes = vec![0; length as usize];
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(&mut bytes)?;
        self.key.apply(offset, &mut bytes);
        Ok(bytes)
    }

    fn path(&self, kind: FileKind, number: u32) -> PathBuf {
        self.directory.join(kind.file_name(number))
    }

    /// Numbers of the block files, ascending.
    fn numbers(&self) -> Result<Vec<u32>> {
        let entries = self.entries()?;
        let numbers = entries.iter().filter_map(|name| number_of(name, "blk"));
        let mut numbers: Vec<u32> = numbers.collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn entries(&self) -> Result<Vec<String>> {
        let unreadable = |error| unreadable(&self.directory, &error);
        let entries = fs::read_dir(&self.directory).map_err(unreadable)?;
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect::<io::Result<_>>().map_err(unreadable)
    }
}

fn number_of(name: &str, prefix: &str) -> Option<u32> {
    let digits = name.strip_prefix(prefix)?.strip_suffix(".dat")?;
    (digits.len() >= 5).then(|| digits.parse().ok()).flatten()
}

fn unreadable(path: &Path, error: &io::Error) -> SourceError {
    let text = format!("cannot read {}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::PermissionDenied => SourceError::Fatal(format!(
            "{text}; give the user of bnsd the right to read the node's blocks"
        )),
        _ => SourceError::Unavailable(format!("{text}; check `chain.blocks-dir`")),
    }
}
