//! Records in block files: where one begins, how long it is, and what a file's end may look like.
//!
//! A reader meets three kinds of end. *Nothing more*: the file ends, or goes on with the zeros that Bitcoin
//! Core preallocates. *Torn*: a record has begun and its length runs past the end, because the writer is
//! at work or was interrupted. *Damaged*: bytes that are no record. The first two are ordinary, and
//! reading may go on from the same offset when the file has grown; what to do about the third is for the caller.

use std::io::{self, Read, Seek, SeekFrom};

use bitcoin::BlockHash;
use bitcoin::p2p::Magic;

use super::{FileKind, ObfuscationKey, undo};

/// Magic and length in front of every payload, in bytes.
pub const HEADER_LENGTH: u64 = 8;

/// How many bytes are searched at once for the next record.
const SEARCH_CHUNK: u64 = 64 << 10;

/// The bytes of a `blk` record.
pub(crate) fn encode_block(magic: Magic, block: &[u8]) -> Vec<u8> {
    encode(magic, block, &[])
}

/// The bytes of a `rev` record for a block on top of `previous`.
pub(crate) fn encode_undo(magic: Magic, previous: BlockHash, undo: &[u8]) -> Vec<u8> {
    encode(magic, undo, &undo::checksum(previous, undo))
}

fn encode(magic: Magic, payload: &[u8], trailer: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("blocks and their undo data are below 4 GiB");
    [
        &magic.to_bytes()[..],
        &length.to_le_bytes(),
        payload,
        trailer,
    ]
    .concat()
}

/// A record that is there to its last byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where the payload begins in its file.
    pub offset: u64,
    /// Length of the payload in bytes.
    pub length: u64,
    /// The block or the undo data, or as much of its front as was asked for.
    pub payload: Vec<u8>,
    /// Behind whole undo data its checksum, otherwise nothing.
    pub trailer: Vec<u8>,
}

impl Record {
    /// Whether this undo data belongs to a block on top of `previous`.
    pub(crate) fn belongs_above(&self, previous: BlockHash) -> bool {
        self.trailer == undo::checksum(previous, &self.payload)
    }
}

/// What stands at the reader's position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// A whole record; the position is now behind it.
    Record(Record),
    /// Nothing more for now: the end of the file or preallocated zeros.
    End,
    /// A record of which the end is missing.
    Torn,
    /// Bytes that are no record: another network's, another key's, or damaged.
    Damaged,
}

/// What a search for the magic bytes has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// They stand at the position.
    Found,
    /// They may stand further on: the same search goes on from the position, where no record need begin.
    NotYet,
    /// They stand nowhere behind the position.
    Nothing,
}

/// Reads the records of one file in the order in which they stand there.
#[derive(Debug)]
pub struct RecordReader<R> {
    source: R,
    kind: FileKind,
    magic: Magic,
    key: ObfuscationKey,
    position: u64,
}

impl<R: Read + Seek> RecordReader<R> {
    /// A reader at the start of a file.
    pub fn new(source: R, kind: FileKind, magic: Magic, key: ObfuscationKey) -> Self {
        Self {
            source,
            kind,
            magic,
            key,
            position: 0,
        }
    }

    /// Where the next record is expected.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Goes back, or to where an earlier reader stopped; it must be where a record begins.
    pub(crate) fn seek_to(&mut self, position: u64) {
        self.position = position;
    }

    /// What stands at the position; only a whole record moves it.
    pub fn next_record(&mut self) -> io::Result<Next> {
        self.next_front(u64::MAX)
    }

    /// The same, but of a payload that is longer than `front` bytes only those are read.
    pub(crate) fn next_front(&mut self, front: u64) -> io::Result<Next> {
        let length = match self.peek()? {
            Ok(length) => length,
            Err(other) => return Ok(other),
        };
        let (offset, trailer) = (self.position + HEADER_LENGTH, self.kind.trailer());
        let payload = self.read(offset, length.min(front))?;
        let is_whole = payload.len() as u64 == length;
        let trailer_read = if is_whole { trailer } else { 0 };
        let record = Record {
            offset,
            length,
            payload,
            trailer: self.read(offset + length, trailer_read)?,
        };
        self.position = offset + length + trailer;
        Ok(Next::Record(record))
    }

    /// Moves on to the next place where the magic bytes stand, as Bitcoin Core's reindex does; `false` and
    /// the position unchanged if there is none.
    pub fn skip_to_magic(&mut self) -> io::Result<bool> {
        Ok(self.search_magic(u64::MAX)? == Search::Found)
    }

    /// The same through at most `most` bytes, or one chunk if that is more.
    pub(crate) fn search_magic(&mut self, most: u64) -> io::Result<Search> {
        let expected = self.magic.to_bytes();
        let size = self.source.seek(SeekFrom::End(0))?;
        let end = self.position.saturating_add(most).min(size);
        let mut at = self.position.saturating_add(1);
        while at < size {
            let chunk = self.read(at, SEARCH_CHUNK.min(size - at))?;
            if let Some(found) = chunk.windows(expected.len()).position(|w| w == expected) {
                self.position = at + found as u64;
                return Ok(Search::Found);
            }
            at += SEARCH_CHUNK - (expected.len() as u64 - 1);
            if at >= end && at < size {
                self.position = at - 1;
                return Ok(Search::NotYet);
            }
        }
        Ok(Search::Nothing)
    }

    /// The length of the payload of the whole record at the position, or what stands there instead.
    fn peek(&mut self) -> io::Result<Result<u64, Next>> {
        let size = self.source.seek(SeekFrom::End(0))?;
        let held = size.saturating_sub(self.position);
        let header = self.read(self.position, held.min(HEADER_LENGTH))?;
        let expected = self.magic.to_bytes();
        Ok(match header.as_slice() {
            [] => Err(Next::End),
            _ if self.is_preallocated(&header) => Err(Next::End),
            [m0, m1, m2, m3, length @ ..] if [*m0, *m1, *m2, *m3] == expected => {
                match length.try_into().map(u32::from_le_bytes) {
                    Ok(length) => self.judge_length(u64::from(length), held),
                    Err(_) => Err(Next::Torn),
                }
            }
            start if expected.starts_with(start) => Err(Next::Torn),
            _ => Err(Next::Damaged),
        })
    }

    fn judge_length(&self, length: u64, held: u64) -> Result<u64, Next> {
        if length == 0 || length > self.kind.max_payload() {
            Err(Next::Damaged)
        } else if held < HEADER_LENGTH + length + self.kind.trailer() {
            Err(Next::Torn)
        } else {
            Ok(length)
        }
    }

    /// Preallocated bytes are zeros as they stand on disk, before the key is applied.
    fn is_preallocated(&self, header: &[u8]) -> bool {
        let mut zeros = vec![0; header.len()];
        self.key.apply(self.position, &mut zeros);
        header == zeros
    }

    /// Reads `length` bytes, which the caller has found to be in the file.
    fn read(&mut self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length as usize];
        self.source.seek(SeekFrom::Start(offset))?;
        self.source.read_exact(&mut bytes)?;
        self.key.apply(offset, &mut bytes);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use bitcoin::hashes::Hash as _;
    use proptest::prelude::*;

    use super::*;

    const KEY: ObfuscationKey = ObfuscationKey([9, 8, 7, 6, 5, 4, 3, 2]);

    fn reader(bytes: &[u8], kind: FileKind, key: ObfuscationKey) -> RecordReader<Cursor<&[u8]>> {
        RecordReader::new(Cursor::new(bytes), kind, Magic::REGTEST, key)
    }

    fn payload(next: Next) -> Vec<u8> {
        match next {
            Next::Record(record) => record.payload,
            other => panic!("expected a record, found {other:?}"),
        }
    }

    #[test]
    fn records_are_read_through_the_key_up_to_the_preallocated_zeros() {
        let mut bytes = [
            encode_block(Magic::REGTEST, b"first"),
            encode_block(Magic::REGTEST, b"second"),
        ]
        .concat();
        KEY.apply(0, &mut bytes);
        bytes.extend([0; 100]);
        let mut reader = reader(&bytes, FileKind::Blocks, KEY);
        assert_eq!(payload(reader.next_record().expect("in memory")), b"first");
        assert_eq!(payload(reader.next_record().expect("in memory")), b"second");
        assert_eq!(reader.next_record().expect("in memory"), Next::End);
    }

    #[test]
    fn undo_records_are_tied_to_the_block_below() {
        let below = BlockHash::from_byte_array([1; 32]);
        let bytes = encode_undo(Magic::REGTEST, below, &[0]);
        let next = reader(&bytes, FileKind::Undo, ObfuscationKey::NONE).next_record();
        let Ok(Next::Record(record)) = next else {
            panic!("expected a record, found {next:?}");
        };
        assert!(record.belongs_above(below));
        assert!(!record.belongs_above(BlockHash::all_zeros()));
    }

    #[test]
    fn a_record_cut_anywhere_is_torn_and_read_once_it_is_whole() {
        let bytes = encode_block(Magic::REGTEST, b"block");
        for length in 1..bytes.len() {
            let mut reader = reader(&bytes[..length], FileKind::Blocks, ObfuscationKey::NONE);
            assert_eq!(
                reader.next_record().expect("in memory"),
                Next::Torn,
                "{length}"
            );
            assert_eq!(reader.position(), 0);
        }
    }

    #[test]
    fn damage_is_told_and_can_be_skipped() {
        let bytes = [b"garbage".to_vec(), encode_block(Magic::REGTEST, b"block")].concat();
        let mut reader = reader(&bytes, FileKind::Blocks, ObfuscationKey::NONE);
        assert_eq!(reader.next_record().expect("in memory"), Next::Damaged);
        assert!(reader.skip_to_magic().expect("in memory"));
        assert_eq!(payload(reader.next_record().expect("in memory")), b"block");
        assert!(!reader.skip_to_magic().expect("in memory"));
    }

    #[test]
    fn a_search_in_pieces_finds_what_a_whole_one_finds() {
        let block = encode_block(Magic::REGTEST, b"block");
        for damage in [SEARCH_CHUNK - 2, SEARCH_CHUNK + 1, 3 * SEARCH_CHUNK] {
            let bytes = [vec![7; damage as usize], block.clone()].concat();
            let mut reader = reader(&bytes, FileKind::Blocks, ObfuscationKey::NONE);
            let mut pieces = 0;
            while reader.search_magic(1).expect("in memory") == Search::NotYet {
                pieces += 1;
            }
            assert_eq!(payload(reader.next_record().expect("in memory")), b"block");
            assert!(pieces >= damage / SEARCH_CHUNK, "{damage}: {pieces}");
            let rest = reader.search_magic(1).expect("in memory");
            assert_eq!(rest, Search::Nothing);
        }
    }

    #[test]
    fn an_impossible_length_is_damage() {
        let mut bytes = Magic::REGTEST.to_bytes().to_vec();
        bytes.extend(u32::MAX.to_le_bytes());
        let next = reader(&bytes, FileKind::Blocks, ObfuscationKey::NONE).next_record();
        assert_eq!(next.expect("in memory"), Next::Damaged);
    }

    proptest! {
        #[test]
        fn no_bytes_panic_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = reader(&bytes, FileKind::Undo, KEY);
            while let Next::Record(_) = reader.next_record().expect("in memory") {}
            let _ = reader.skip_to_magic();
        }
    }
}
