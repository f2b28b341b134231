//! A file of a log: the records of up to 2016 blocks.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use bitcoin::p2p::Magic;
use bitcoin::{Transaction, Txid};

use super::input::{Flaw, Input, Malformed, write_compact};
use super::manifest::SEGMENT_BYTES_MAX;
use super::record::{Evidence, Funding, Record, RecordedCandidate};
use crate::virtualchain::scan::{self, Candidate};

/// How a segment begins, with the version of the format.
const START: [u8; 7] = *b"bnslog\x01";
/// The most bytes that stand before the records: the start, the magic bytes, the network, two heights and a CompactSize.
const START_BYTES_MAX: usize = START.len() + 2 + 4 + 4 + 4 + 9;

/// The start of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The magic bytes of the candidates.
    pub magic: [u8; 2],
    /// The Bitcoin network.
    pub network: Magic,
    /// The height of the first block that the segment tells of.
    pub from: u32,
    /// The height of the last one.
    pub to: u32,
    /// How many blocks have candidates.
    pub records: u64,
}

/// Reads a segment, record by record. It ends with the first error.
#[derive(Debug)]
pub struct Reader<'a> {
    input: Input<'a>,
    header: Header,
    left: u64,
    /// The least height that the next record may have.
    next: u32,
    /// Where the transactions stand that were spelled out.
    spelled: Vec<usize>,
}

impl<'a> Reader<'a> {
    /// Reads the start of a segment.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut input = Input::new(bytes, 0);
        if input.array()? != START {
            return Err(Input::new(bytes, 0).malformed(Flaw::Start));
        }
        let header = Header {
            magic: input.array()?,
            network: Magic::from_bytes(input.array()?),
            from: input.u32()?,
            to: input.u32()?,
            records: input.compact()?,
        };
        if header.to < header.from {
            return Err(input.malformed(Flaw::Height));
        }
        Ok(Self {
            input,
            left: header.records,
            next: header.from,
            spelled: Vec::new(),
            header,
        })
    }

    /// The start of the segment.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The transaction that was spelled out at this place among all so far.
    pub fn spelled(&self, place: u32) -> Option<Transaction> {
        let at = *self.spelled.get(place as usize)?;
        self.input.at_place(at).transaction().ok()
    }

    fn read(&mut self) -> Result<Option<Record>, Malformed> {
        if self.left == 0 {
            return match self.input.rest() {
                [] => Ok(None),
                _ => Err(self.input.malformed(Flaw::Rest)),
            };
        }
        let misplaced = self.input.malformed(Flaw::Height);
        let record = Record::read(&mut self.input, self.header.from, &mut self.spelled)?;
        if record.height < self.next || record.height > self.header.to {
            return Err(misplaced);
        }
        self.left -= 1;
        self.next = record.height.saturating_add(1);
        Ok(Some(record))
    }
}

impl Iterator for Reader<'_> {
    type Item = Result<Record, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.read().transpose();
        if let Some(Err(_)) = record {
            self.left = 0;
            self.input = Input::new(&[], 0);
        }
        record
    }
}

/// How many candidates a segment shows in the blocks at these heights.
pub fn candidates(bytes: &[u8], heights: RangeInclusive<u32>) -> Result<u32, Malformed> {
    let mut reader = Reader::new(bytes)?;
    let magic = reader.header().magic;
    let mut count = 0;
    while let Some(record) = reader.next().transpose()? {
        if !heights.contains(&record.height) {
            continue;
        }
        let is_first = scan::payload(&record.coinbase, magic).is_some();
        count += u32::from(is_first) + record.candidates.len() as u32;
    }
    Ok(count)
}

/// Why a record cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteFault {
    /// The transaction that a candidate spends from is neither a candidate nor given.
    #[error("block {height}: a candidate spends an output of {txid}, which is not at hand")]
    Missing {
        /// The block.
        height: u32,
        /// The transaction.
        txid: Txid,
    },
    /// The block is not above the one before it.
    #[error("block {0} does not follow the records that the segment has")]
    Order(u32),
    /// The segment would be larger than any reader takes.
    #[error(
        "with block {0} the segment would have more than {SEGMENT_BYTES_MAX} bytes, which no reader takes"
    )]
    Large(u32),
}

/// Makes a segment. Equal blocks make equal bytes.
#[derive(Debug)]
pub struct Writer {
    header: Header,
    records: Vec<u8>,
    /// The least height that the next record may have.
    next: u32,
    /// The transactions that were spelled out, with their places.
    spelled: HashMap<Txid, u32>,
    /// How many were.
    places: u32,
}

impl Writer {
    /// A segment that begins with the block at `from`.
    pub fn new(magic: [u8; 2], network: Magic, from: u32) -> Self {
        Self {
            header: Header {
                magic,
                network,
                from,
                to: from,
                records: 0,
            },
            records: Vec::new(),
            next: from,
            spelled: HashMap::new(),
            places: 0,
        }
    }

    /// Goes on with the records of a segment that was written before, up to that of the block at `to`.
    pub fn resume(bytes: &[u8], to: u32) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes)?;
        let header = *reader.header();
        let mut writer = Self::new(header.magic, header.network, header.from);
        while let Some(record) = reader.next().transpose()? {
            if record.height > to {
                break;
            }
            writer.copy(&record);
        }
        Ok(writer)
    }

    /// Adds what a block shows. `earlier` says where a transaction stands that is an earlier candidate: height and
    /// position. A block without candidates has no record. After an error the segment is as it was before.
    pub fn push(
        &mut self,
        height: u32,
        evidence: &Evidence,
        earlier: impl Fn(&Txid) -> Option<(u32, u32)>,
    ) -> Result<(), WriteFault> {
        if height < self.next {
            return Err(WriteFault::Order(height));
        }
        if evidence.candidates.is_empty() {
            return Ok(());
        }
        let mut here = Vec::new();
        let others = evidence.candidates.iter();
        let others = others.filter(|candidate| candidate.vtxindex > 0);
        let candidates = others.map(|candidate| {
            let funding = self.funding(height, candidate, evidence, &mut here, &earlier)?;
            Ok(RecordedCandidate {
                transaction: candidate.transaction.clone(),
                funding,
            })
        });
        let record = Record {
            height,
            tree: evidence.tree.clone(),
            coinbase: evidence.coinbase.clone(),
            candidates: candidates.collect::<Result<_, _>>()?,
        };
        let mut bytes = Vec::new();
        record.write(self.header.from, &mut bytes);
        let length = START_BYTES_MAX + self.records.len() + bytes.len();
        if length as u64 > SEGMENT_BYTES_MAX {
            return Err(WriteFault::Large(height));
        }
        self.append(&record, &bytes);
        Ok(())
    }

    /// The bytes of the segment, which tells of all blocks up to `to`.
    pub fn finish(&self, to: u32) -> Vec<u8> {
        let Header {
            magic,
            network,
            from,
            records,
            ..
        } = self.header;
        let mut bytes = [&START[..], &magic, &network.to_bytes()].concat();
        bytes.extend(from.to_le_bytes());
        bytes.extend(to.to_le_bytes());
        write_compact(records, &mut bytes);
        bytes.extend(&self.records);
        bytes
    }

    /// Where the transactions are that a candidate spends outputs of. `here` are those that its record spells out so far.
    fn funding(
        &self,
        height: u32,
        candidate: &Candidate,
        evidence: &Evidence,
        here: &mut Vec<Txid>,
        earlier: impl Fn(&Txid) -> Option<(u32, u32)>,
    ) -> Result<Vec<Funding>, WriteFault> {
        if scan::is_void(&candidate.transaction) {
            return Ok(Vec::new());
        }
        let entry = |txid: Txid| {
            let place = earlier(&txid).filter(|place| *place < (height, candidate.vtxindex));
            if let Some((at, vtxindex)) = place {
                return Ok(Funding::Earlier {
                    blocks_back: height - at,
                    vtxindex,
                });
            }
            let again = here.iter().position(|spelled| *spelled == txid);
            let again = again.map(|at| self.places + at as u32);
            if let Some(place) = self.spelled.get(&txid).copied().or(again) {
                return Ok(Funding::Spelled(place));
            }
            let given = evidence.funding.get(&txid);
            let given = given.ok_or(WriteFault::Missing { height, txid })?;
            here.push(txid);
            Ok(Funding::Here(given.clone()))
        };
        let inputs = candidate.transaction.input.iter();
        inputs
            .map(|input| input.previous_output.txid)
            .map(entry)
            .collect()
    }

    /// Adds a record as it is. What it points to has to be in its place.
    pub fn copy(&mut self, record: &Record) {
        let mut bytes = Vec::new();
        record.write(self.header.from, &mut bytes);
        self.append(record, &bytes);
    }

    fn append(&mut self, record: &Record, bytes: &[u8]) {
        self.records.extend_from_slice(bytes);
        self.header.records += 1;
        self.next = record.height.saturating_add(1);
        for entry in record
            .candidates
            .iter()
            .flat_map(|candidate| &candidate.funding)
        {
            if let Funding::Here(transaction) = entry {
                let txid = transaction.compute_txid();
                self.spelled.entry(txid).or_insert(self.places);
                self.places += 1;
            }
        }
    }
}
