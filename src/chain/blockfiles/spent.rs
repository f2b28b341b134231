//! Finds what a block spent in the `rev` files.
//!
//! An undo record stands in the file with the number of its block's own, and does not name its block: only a
//! checksum over the hash of the block below ties the two. Records are in the order in which the node connected
//! the blocks, which is nearly the order of height, so the search begins behind the last find; records for another
//! number of transactions are passed over without being read.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use bitcoin::OutPoint;
use bitcoin::consensus::encode::VarInt;
use bitcoin::consensus::{Decodable as _, deserialize};

use super::files::Files;
use crate::chain::blockfile::record::{Next, RecordReader};
use crate::chain::blockfile::undo::{BlockUndo, Coin};
use crate::chain::{Block, Result, SourceError};

/// How many undo files are remembered: around a file's end, blocks of two files alternate.
const REMEMBERED: usize = 4;
/// A CompactSize has at most nine bytes.
const COUNT_BYTES: u64 = 9;

/// Searches the undo files of one directory.
#[derive(Debug)]
pub struct SpentOutputs {
    files: Arc<Files>,
    known: Vec<UndoFile>,
}

/// What is known of one undo file.
#[derive(Debug)]
struct UndoFile {
    number: u32,
    /// Where reading stopped.
    end: u64,
    /// Offset of each record, and how many transactions it covers.
    records: Vec<(u64, u64)>,
    /// Where the search goes on.
    cursor: usize,
}

impl SpentOutputs {
    /// A search that has read no file yet.
    pub fn new(files: Arc<Files>) -> Self {
        Self {
            files,
            known: Vec::new(),
        }
    }

    /// Everything that `block` spends, whose file has this number.
    pub fn of(&mut self, block: &Block, number: u32) -> Result<HashMap<OutPoint, Coin>> {
        let decoded: bitcoin::Block = deserialize(&block.raw)
            .map_err(|error| SourceError::Fatal(format!("block {}: {error}", block.at.height)))?;
        let undo = self.undo_of(block, number, decoded.txdata.len() as u64 - 1)?;
        Ok(undo.coins(&decoded))
    }

    fn undo_of(&mut self, block: &Block, number: u32, transactions: u64) -> Result<BlockUndo> {
        let (mut reader, path) = self.files.undo_reader(number)?;
        let broken = |reason: String| {
            SourceError::Unavailable(format!(
                "cannot read the spent outputs of block {} in {}: {reason}",
                block.at.height,
                path.display()
            ))
        };
        let file = self.file(number);
        file.read_on(&mut reader, &path)?;
        let count = file.records.len();
        for step in 0..count {
            let at = (file.cursor + step) % count;
            let Some(&(start, _)) = file.records.get(at).filter(|(_, n)| *n == transactions) else {
                continue;
            };
            reader.seek_to(start);
            let next = reader.next_record().map_err(|e| broken(e.to_string()))?;
            if let Next::Record(record) = next
                && record.belongs_above(block.previous)
            {
                file.cursor = at + 1;
                return BlockUndo::decode(&record.payload).map_err(|e| broken(e.to_string()));
            }
        }
        Err(broken(
            "the node has not written them yet, or has not found the block valid".to_owned(),
        ))
    }

    fn file(&mut self, number: u32) -> &mut UndoFile {
        let at = match self.known.iter().position(|file| file.number == number) {
            Some(at) => at,
            None => {
                if self.known.len() >= REMEMBERED {
                    self.known.remove(0);
                }
                self.known.push(UndoFile {
                    number,
                    end: 0,
                    records: Vec::new(),
                    cursor: 0,
                });
                self.known.len() - 1
            }
        };
        &mut self.known[at]
    }
}

impl UndoFile {
    /// Notes the records that were added since the last time.
    fn read_on(&mut self, reader: &mut RecordReader<File>, path: &Path) -> Result<()> {
        let unreadable =
            |error| SourceError::Unavailable(format!("cannot read {}: {error}", path.display()));
        reader.seek_to(self.end);
        loop {
            let start = reader.position();
            match reader.next_front(COUNT_BYTES).map_err(unreadable)? {
                Next::Record(record) => {
                    let count = VarInt::consensus_decode(&mut record.payload.as_slice());
                    self.records.push((start, count.map_or(u64::MAX, |n| n.0)));
                }
                Next::End | Next::Torn => break,
                Next::Damaged => {
                    if !reader.skip_to_magic().map_err(unreadable)? {
                        break;
                    }
                }
            }
        }
        self.end = reader.position();
        Ok(())
    }
}
