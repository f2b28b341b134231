//! A segment of a log in memory: every record was checked against the header of its block.

use std::collections::BTreeMap;

use bitcoin::block::Header;
use bitcoin::hashes::sha256;
use bitcoin::{Network, Transaction};

use crate::chain::log::manifest::SegmentEntry;
use crate::chain::log::record::{Elsewhere, Funding, Record, RecordFault};
use crate::chain::log::segment::Reader;
use crate::virtualchain::VirtualTransaction;
use crate::virtualchain::scan::Candidate;

/// Which log is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chain {
    /// The Bitcoin network.
    pub(super) network: Network,
    /// The magic bytes of the candidates.
    pub(super) magic: [u8; 2],
    /// The first block of the virtualchain.
    pub(super) first_block: u32,
}

/// A segment whose records are those of its blocks.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) sha256: sha256::Hash,
    records: BTreeMap<u32, Shown>,
    /// Where the transactions stand that were spelled out: height, candidate, input.
    spelled: Vec<(u32, usize, usize)>,
}

/// What a segment shows of a block.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) record: Record,
    /// The candidates of the block that it shows.
    pub(super) candidates: Vec<Candidate>,
}

impl Segment {
    /// Reads and checks a segment; `headers` are those of its blocks. The error says what is wrong.
    pub(super) fn read(
        bytes: &[u8],
        entry: &SegmentEntry,
        chain: &Chain,
        headers: &[Header],
    ) -> Result<Self, String> {
        let mut reader = Reader::new(bytes).map_err(|error| error.to_string())?;
        let start = *reader.header();
        let expected = (chain.magic, chain.network.magic(), entry.from, entry.to);
        if (start.magic, start.network, start.from, start.to) != expected {
            return Err("it is a segment of other blocks than `log.json` says".to_owned());
        }
        let mut segment = Self {
            sha256: entry.sha256,
            records: BTreeMap::new(),
            spelled: Vec::new(),
        };
        for record in &mut reader {
            let record = record.map_err(|error| error.to_string())?;
            let height = record.height;
            let header = headers.get(height.saturating_sub(entry.from) as usize);
            let header = header.ok_or("its headers are missing")?;
            let candidates = record.check(header, chain.magic);
            let candidates = candidates.map_err(|fault| format!("block {height}: {fault}"))?;
            segment.note_spelled(&record);
            segment.records.insert(height, Shown { record, candidates });
        }
        Ok(segment)
    }

    fn note_spelled(&mut self, record: &Record) {
        for (candidate, given) in record.candidates.iter().enumerate() {
            for (input, entry) in given.funding.iter().enumerate() {
                if matches!(entry, Funding::Here(_)) {
                    self.spelled.push((record.height, candidate, input));
                }
            }
        }
    }

    /// What it shows of the block at a height, if that has candidates.
    pub(super) fn at(&self, height: u32) -> Option<&Shown> {
        self.records.get(&height)
    }

    /// The heights between two, both included, that it has a record of.
    pub(super) fn heights(&self, from: u32, to: u32) -> impl Iterator<Item = u32> + '_ {
        self.records.range(from..=to).map(|(height, _)| *height)
    }

    /// The transactions that a record of it names, but for earlier candidates.
    pub(super) fn funding<'s>(&'s self, shown: &'s Shown) -> impl Iterator<Item = &'s Transaction> {
        let entries = shown
            .record
            .candidates
            .iter()
            .flat_map(|given| &given.funding);
        entries.filter_map(|entry| match entry {
            Funding::Here(transaction) => Some(transaction),
            Funding::Spelled(place) => self.spelled(*place),
            Funding::Earlier { .. } => None,
        })
    }

    fn spelled(&self, place: u32) -> Option<&Transaction> {
        let (height, candidate, input) = *self.spelled.get(place as usize)?;
        let record = &self.records.get(&height)?.record;
        match record.candidates.get(candidate)?.funding.get(input)? {
            Funding::Here(transaction) => Some(transaction),
            _ => None,
        }
    }

    /// The candidates of a block that it shows, with what they spend; `earlier` gives candidates of earlier blocks.
    pub(super) fn join<E: From<RecordFault>>(
        &self,
        shown: &Shown,
        mut earlier: impl FnMut(u32, u32) -> Result<Option<Transaction>, E>,
    ) -> Result<Vec<VirtualTransaction>, E> {
        let candidates = shown.candidates.clone();
        shown.record.join(candidates, |elsewhere| match elsewhere {
            Elsewhere::Candidate { height, vtxindex } => earlier(height, vtxindex),
            Elsewhere::Spelled(place) => Ok(self.spelled(place).cloned()),
        })
    }
}
