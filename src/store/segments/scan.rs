//! Reading a segment from one place to its end: which records are whole.
//!
//! What is no whole record is skipped, byte by byte, to the next one. A zone file may hold what looks like a record, and behind
//! damage nobody can tell whether a record begins or a zone file goes on: from there on a record counts only if its zone
//! file has its hash, so that nobody can hide the file of another name. A record with that counts too if its compiled form
//! alone is damaged.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crate::hash::ZonefileHash;

use super::places::{Place, Places};
use super::record::{HEAD, Head, MARK, RECORD_MAX};

/// Bytes that are read at once.
const WINDOW: usize = 1 << 20;

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub struct Scanned {
    /// Where the last whole record ends; the start if there is none.
    pub end: u64,
    /// Bytes before it that belong to no whole record.
    pub damaged: u64,
}

/// Notes all whole records of a segment from `start` to `length` in `places`.
pub fn scan(file: &File, start: u64, length: u64, places: &mut Places) -> io::Result<Scanned> {
    let length = length.min(u64::from(u32::MAX)); // a place has 32 bits
    let mut window = Window::new(file, length);
    let mut scanned = Scanned {
        end: start,
        damaged: 0,
    };
    let (mut at, mut is_careful) = (start, false);
    while at < length {
        match window.record(at, is_careful)? {
            Some((hash, size)) => {
                let place = Place {
                    at: at as u32,
                    size: size as u32,
                };
                places.insert(hash, place);
                if places.is_crowded() {
                    places.sort();
                }
                scanned.damaged += at - scanned.end;
                at += size as u64;
                scanned.end = at;
            }
            None => {
                is_careful = true;
                at = window.next_mark(at + 1)?;
            }
        }
    }
    Ok(scanned)
}

/// A part of a segment in memory.
struct Window<'f> {
    file: &'f File,
    length: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl<'f> Window<'f> {
    fn new(file: &'f File, length: u64) -> Self {
        Self {
            file,
            length,
            start: 0,
            bytes: Vec::new(),
        }
    }

    /// Hash and size of the whole record that begins at a place.
    fn record(&mut self, at: u64, is_careful: bool) -> io::Result<Option<(ZonefileHash, usize)>> {
        let Some(head) = Head::read(self.bytes(at, HEAD)?) else {
            return Ok(None);
        };
        let known = self.bytes(at, head.size())?;
        let record = known.get(..head.size());
        let is_right = record.is_some_and(|record| {
            let body = &record[HEAD..];
            let has_its_hash = || ZonefileHash::of(&body[..head.length]) == head.hash;
            (!is_careful && head.is_of(body)) || has_its_hash()
        });
        Ok(is_right.then_some((head.hash, head.size())))
    }

    /// Where the next mark stands, from a place on; the end if there is none.
    fn next_mark(&mut self, mut at: u64) -> io::Result<u64> {
        while at < self.length {
            let bytes = self.bytes(at, MARK.len())?;
            if let Some(found) = bytes.windows(MARK.len()).position(|four| four == MARK) {
                return Ok(at + found as u64);
            }
            let seen = bytes.len().saturating_sub(MARK.len() - 1).max(1);
            at += seen as u64;
        }
        Ok(self.length)
    }

    /// What is known from a place on: at least `size` bytes, or all that are left.
    fn bytes(&mut self, at: u64, size: usize) -> io::Result<&[u8]> {
        debug_assert!(size <= RECORD_MAX);
        let end = (at + size as u64).min(self.length);
        let known = self.start..self.start + self.bytes.len() as u64;
        if at < known.start || end > known.end {
            let left = self.length.saturating_sub(at);
            let wanted = left.min(size.max(WINDOW) as u64);
            self.bytes.resize(wanted as usize, 0);
            let read = read_at(self.file, &mut self.bytes, at)?;
            self.bytes.truncate(read);
            self.start = at;
            if read as u64 != wanted {
                self.length = at + read as u64; // somebody cut it meanwhile
            }
        }
        let first = (at - self.start) as usize;
        Ok(self.bytes.get(first..).unwrap_or_default())
    }
}

/// Reads from a place until `out` is full or the file ends; gives how many bytes there were.
pub fn read_at(file: &File, out: &mut [u8], at: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < out.len() {
        match file.read_at(&mut out[read..], at + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
