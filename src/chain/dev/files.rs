//! The chain's directory: block files, undo files, the lock, and the list of refused blocks.
//!
//! ```text
//! .lock                  held by the process that has the chain open
//! invalid                hashes of blocks that were rewound, one per line; replaced as a whole ([`disk`])
//! blocks/blk00000.dat    all blocks in order of arrival; the truth
//! blocks/rev00000.dat    what they spent; derived, and written again where it is missing
//! ```

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use bitcoin::consensus::{deserialize, serialize};
use bitcoin::p2p::Magic;
use bitcoin::{Block, BlockHash, Target};

use super::error::OpenError;
use crate::chain::blockfile::record::{self, Next, Record, RecordReader};
use crate::chain::blockfile::{FileKind, MAX_FILE_SIZE, ObfuscationKey};
use crate::chain::header;
use crate::disk::{self, rights};

/// Where a payload stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// Number of the file.
    pub number: usize,
    offset: u64,
    length: u64,
}

/// The open files of a chain.
#[derive(Debug)]
pub(super) struct Files {
    directory: PathBuf,
    blocks: Series,
    undo: Series,
    _lock: File,
}

impl Files {
    /// Locks the directory, made if it is missing, and opens what is there.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        let blocks = directory.join("blocks");
        for directory in [directory, &blocks] {
            let opened = rights::open_directory(directory);
            opened.map_err(|error| OpenError::io(directory, error))?;
        }
        let lock = lock(directory)?;
        Ok(Self {
            directory: directory.to_owned(),
            blocks: Series::open(&blocks, FileKind::Blocks)?,
            undo: Series::open(&blocks, FileKind::Undo)?,
            _lock: lock,
        })
    }

    /// All sound blocks in order of arrival. A torn one at the end is cut off; a damaged one with sound ones
    /// behind it is an error, because cutting would lose those.
    pub fn load_blocks(&mut self) -> Result<Vec<(Position, Block)>, OpenError> {
        let mut blocks = Vec::new();
        for number in 0..self.blocks.parts.len() {
            let mut reader = self.blocks.reader(number)?;
            while let Some((position, block)) = self.blocks.next_block(number, &mut reader)? {
                blocks.push((position, block));
            }
            let end = reader.position();
            let is_last = number + 1 == self.blocks.parts.len();
            let followed = sound_block_follows(&mut reader)
                .map_err(|error| OpenError::io(&self.blocks.path(number), error))?;
            if followed || !is_last && end < self.blocks.length(number) {
                return Err(OpenError::Damaged {
                    path: self.blocks.path(number),
                    offset: end,
                });
            }
            self.blocks.cut(number, end)?;
        }
        Ok(blocks)
    }

    /// Every whole undo record with its checksum. The rest of a file from the first that is not whole is cut
    /// off: undo data is derived from blocks and will be written again.
    pub fn load_undo(&mut self) -> Result<Vec<(Position, Vec<u8>)>, OpenError> {
        let mut found = Vec::new();
        for number in 0..self.undo.parts.len() {
            let mut reader = self.undo.reader(number)?;
            while let Next::Record(record) = self.undo.next(number, &mut reader)? {
                let position = Position::of(&record, number);
                found.push((position, record.trailer));
            }
            let end = reader.position();
            self.undo.cut(number, end)?;
        }
        Ok(found)
    }

    pub fn append_block(&mut self, block: &Block) -> io::Result<Position> {
        let record = record::encode_block(Magic::REGTEST, &serialize(block));
        let number = self.blocks.number_for(record.len() as u64);
        self.blocks.append(number, &record)
    }

    /// Appends undo data, to the undo file with the number of the block's own.
    pub fn append_undo(
        &mut self,
        number: usize,
        previous: BlockHash,
        undo: &[u8],
    ) -> io::Result<Position> {
        let record = record::encode_undo(Magic::REGTEST, previous, undo);
        self.undo.append(number, &record)
    }

    pub fn read_block(&self, position: Position) -> io::Result<Vec<u8>> {
        self.blocks.read(position)
    }

    pub fn read_undo(&self, position: Position) -> io::Result<Vec<u8>> {
        self.undo.read(position)
    }

    /// Returns when all blocks appended so far will survive a loss of power.
    pub fn sync_blocks(&mut self) -> io::Result<()> {
        match self.blocks.parts.last() {
            Some(part) => part.file.sync_data(),
            None => Ok(()),
        }
    }

    /// The blocks that were rewound. A line that is no hash counts for nothing.
    pub fn load_invalid(&self) -> Result<Vec<BlockHash>, OpenError> {
        let text = self.read_invalid();
        let text = text.map_err(|error| OpenError::io(&self.invalid_path(), error))?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Notes for all time that a block is not to be followed.
    pub fn append_invalid(&mut self, hash: BlockHash) -> io::Result<()> {
        let text = format!("{}\n{hash}", self.read_invalid()?);
        disk::replace(&self.invalid_path(), text.as_bytes())
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn read_invalid(&self) -> io::Result<String> {
        rights::make_private(&self.invalid_path())?;
        match fs::read_to_string(self.invalid_path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            text => text,
        }
    }

    fn invalid_path(&self) -> PathBuf {
        self.directory.join("invalid")
    }
}

impl Position {
    fn of(record: &Record, number: usize) -> Self {
        Self {
            number,
            offset: record.offset,
            length: record.payload.len() as u64,
        }
    }
}

/// The files of one kind, by number.
#[derive(Debug)]
struct Series {
    directory: PathBuf,
    kind: FileKind,
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    file: File,
    length: u64,
}

type Reader = RecordReader<File>;

impl Series {
    fn open(directory: &Path, kind: FileKind) -> Result<Self, OpenError> {
        let mut series = Self {
            directory: directory.to_owned(),
            kind,
            parts: Vec::new(),
        };
        while series.path(series.parts.len()).exists() {
            series
                .open_next()
                .map_err(|error| OpenError::io(directory, error))?;
        }
        Ok(series)
    }

    fn path(&self, number: usize) -> PathBuf {
        self.directory.join(self.kind.file_name(number as u32))
    }

    fn length(&self, number: usize) -> u64 {
        self.parts.get(number).map_or(0, |part| part.length)
    }

    /// Opens the file after the last, made if it is missing.
    fn open_next(&mut self) -> io::Result<()> {
        let file = rights::open_private(&self.path(self.parts.len()))?;
        disk::sync_directory(&self.directory)?; // so that the new file's name is not lost
        let length = file.metadata()?.len();
        self.parts.push(Part { file, length });
        Ok(())
    }

    /// The file that a record of this length goes into.
    fn number_for(&self, length: u64) -> usize {
        match self.parts.len().checked_sub(1) {
            Some(last) if self.length(last).saturating_add(length) <= MAX_FILE_SIZE => last,
            _ => self.parts.len(),
        }
    }

    /// Writes at the end; what a failed write left there is taken away again.
    fn append(&mut self, number: usize, record: &[u8]) -> io::Result<Position> {
        while self.parts.len() <= number {
            self.open_next()?;
        }
        let part = self.parts.get_mut(number).expect("opened just before");
        let start = part.length;
        let written = part
            .file
            .seek(SeekFrom::Start(start))
            .and_then(|_| part.file.write_all(record));
        if let Err(error) = written {
            part.file.set_len(start)?;
            return Err(error);
        }
        part.length += record.len() as u64;
        Ok(Position {
            number,
            offset: start + record::HEADER_LENGTH,
            length: record.len() as u64 - record::HEADER_LENGTH - self.kind.trailer(),
        })
    }

    fn read(&self, position: Position) -> io::Result<Vec<u8>> {
        let part = self
            .parts
            .get(position.number)
            .ok_or(io::ErrorKind::NotFound)?;
        let mut file = &part.file;
        let mut bytes = vec![0; position.length as usize];
        file.seek(SeekFrom::Start(position.offset))?;
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn reader(&self, number: usize) -> Result<Reader, OpenError> {
        let path = self.path(number);
        let file = File::open(&path).map_err(|error| OpenError::io(&path, error))?;
        let (magic, key) = (Magic::REGTEST, ObfuscationKey::NONE);
        Ok(RecordReader::new(file, self.kind, magic, key))
    }

    fn next(&self, number: usize, reader: &mut Reader) -> Result<Next, OpenError> {
        reader
            .next_record()
            .map_err(|error| OpenError::io(&self.path(number), error))
    }

    /// The next record if it is a sound block; the reader stays in front of anything else.
    fn next_block(
        &self,
        number: usize,
        reader: &mut Reader,
    ) -> Result<Option<(Position, Block)>, OpenError> {
        let start = reader.position();
        let Next::Record(record) = self.next(number, reader)? else {
            return Ok(None);
        };
        match sound_block(&record.payload) {
            Some(block) => Ok(Some((Position::of(&record, number), block))),
            None => {
                reader.seek_to(start);
                Ok(None)
            }
        }
    }

    fn cut(&mut self, number: usize, length: u64) -> Result<(), OpenError> {
        let path = self.path(number);
        let part = self.parts.get_mut(number).expect("an open file");
        if part.length == length {
            return Ok(());
        }
        part.length = length;
        part.file
            .set_len(length)
            .and_then(|()| part.file.sync_all())
            .map_err(|error| OpenError::io(&path, error))
    }
}

fn lock(directory: &Path) -> Result<File, OpenError> {
    let path = directory.join(".lock");
    let file = rights::open_private(&path).map_err(|error| OpenError::io(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(directory.to_owned())),
        Err(TryLockError::Error(error)) => Err(OpenError::io(&path, error)),
    }
}

/// The block in a payload, if it has real work and its transactions are those of its header.
fn sound_block(payload: &[u8]) -> Option<Block> {
    let block: Block = deserialize(payload).ok()?;
    header::check_work(&block.header, Target::MAX_ATTAINABLE_REGTEST).ok()?;
    let txids: Vec<_> = block.txdata.iter().map(|tx| tx.compute_txid()).collect();
    (header::merkle_root(&txids)? == block.header.merkle_root).then_some(block)
}

/// Whether a sound block stands anywhere behind the reader's position.
fn sound_block_follows(reader: &mut Reader) -> io::Result<bool> {
    while reader.skip_to_magic()? {
        let start = reader.position();
        if let Next::Record(record) = reader.next_record()? {
            if sound_block(&record.payload).is_some() {
                return Ok(true);
            }
            reader.seek_to(start);
        }
    }
    Ok(false)
}
