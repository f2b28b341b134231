//! A file line by line, with its SHA-256: no line is longer than it may be, whatever the file is.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::Path;

use bitcoin::hashes::{Hash as _, HashEngine as _, sha256};

use super::{ImportError, unreadable, wrong_line};
use crate::hash::FileHash;

/// Bytes that are read at once.
const CHUNK: usize = 64 * 1024;

/// The SHA-256 of a file.
pub(super) fn hash_of(path: &Path) -> io::Result<FileHash> {
    let mut hashed = Hashed::open(path)?;
    io::copy(&mut hashed, &mut io::sink())?;
    Ok(hashed.hash())
}

/// The lines of a file.
pub(super) struct Lines {
    reader: BufReader<Hashed>,
    size: u64,
    most: usize,
    number: u64,
}

impl Lines {
    /// A file whose lines have at most `most` bytes.
    pub(super) fn open(path: &Path, most: usize) -> io::Result<Self> {
        let hashed = Hashed::open(path)?;
        let size = hashed.file.metadata()?.len();
        Ok(Self {
            reader: BufReader::with_capacity(CHUNK, hashed),
            size,
            most,
            number: 0,
        })
    }

    /// The next line without its end; `None` at the end of the file.
    pub(super) fn next(&mut self, path: &Path) -> Result<Option<String>, ImportError> {
        let mut line = Vec::new();
        let mut limited = self.reader.by_ref().take(self.most as u64 + 1);
        let read = limited.read_until(b'\n', &mut line);
        read.map_err(unreadable(path))?;
        if line.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        let fault = |what: &str| Err(wrong_line(path, self.number, what.to_owned()));
        match line.last() {
            Some(b'\n') => drop(line.pop()),
            _ if line.len() > self.most => return fault("the line is too long"),
            _ => {} // the last one
        }
        match String::from_utf8(line) {
            Ok(line) => Ok(Some(line)),
            Err(_) => fault("the line is no text"),
        }
    }

    /// The number of the last line, from 1 on.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Bytes of the file.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Bytes that were read.
    pub(super) fn at(&self) -> u64 {
        self.reader.get_ref().read
    }

    /// The SHA-256 of what was read, which is the whole file once there was no next line.
    pub(super) fn finish(&self) -> FileHash {
        self.reader.get_ref().hash()
    }
}

/// A file whose bytes are hashed as they are read.
struct Hashed {
    file: File,
    engine: sha256::HashEngine,
    read: u64,
}

impl Hashed {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: File::open(path)?,
            engine: sha256::HashEngine::default(),
            read: 0,
        })
    }

    fn hash(&self) -> FileHash {
        FileHash(sha256::Hash::from_engine(self.engine.clone()).to_byte_array())
    }
}

impl Read for Hashed {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(out)?;
        self.engine.input(out.get(..count).unwrap_or_default());
        self.read += count as u64;
        Ok(count)
    }
}
