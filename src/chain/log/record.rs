//! What a log says of one block: its candidates, the proof that they are in it, and what they spend.

use std::borrow::Cow;
use std::collections::HashMap;

use bitcoin::block::Header;
use bitcoin::consensus::encode;
use bitcoin::{OutPoint, Transaction, TxOut, Txid};

use super::input::{Flaw, Input, Malformed, write_compact, write_transaction};
use super::tree::{Tree, TreeFault};
use crate::virtualchain::VirtualTransaction;
use crate::virtualchain::scan::{self, Candidate};
use crate::virtualchain::walk::{ScanError, Walk, txids};

/// A transaction of this many bytes could be an inner node of a tree (CVE-2017-12842).
const NODE_PAIR: usize = 64;

/// How the entries begin, see [`Funding`].
const EARLIER: u8 = 1;
const HERE: u8 = 2;
const SPELLED: u8 = 3;

/// What a source knows of a block that has candidates; a record is made from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The tree that shows the coinbase and every candidate.
    pub tree: Tree,
    /// The block's first transaction.
    pub coinbase: Transaction,
    /// The candidates, in block order; a coinbase with the magic bytes is one.
    pub candidates: Vec<Candidate>,
    /// The transactions that the candidates spend outputs of, as far as they are not known to be candidates.
    pub funding: HashMap<Txid, Transaction>,
}

/// What a log says of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The height of the block.
    pub height: u32,
    /// The tree that shows the coinbase and every candidate.
    pub tree: Tree,
    /// The block's first transaction.
    pub coinbase: Transaction,
    /// The candidates but for the coinbase, in block order.
    pub candidates: Vec<RecordedCandidate>,
}

/// A candidate in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedCandidate {
    /// The transaction, without witnesses.
    pub transaction: Transaction,
    /// One entry per input; none for a void candidate, whose spent outputs nobody asks for.
    pub funding: Vec<Funding>,
}

/// Where the transaction is that an input spends an output of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Funding {
    /// An earlier candidate.
    Earlier {
        /// How many blocks below this one.
        blocks_back: u32,
        /// Its position in that block.
        vtxindex: u32,
    },
    /// The transaction that the segment spelled out at this place among all that it did, from 0.
    Spelled(u32),
    /// Spelled out here.
    Here(Transaction),
}

/// A place outside of a record that one of its funding entries points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elsewhere {
    /// A candidate of an earlier block.
    Candidate {
        /// The height of the block.
        height: u32,
        /// Its position in the block.
        vtxindex: u32,
    },
    /// See [`Funding::Spelled`].
    Spelled(u32),
}

/// Why a record says something else than its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// The tree cannot be that of a block.
    #[error(transparent)]
    Tree(#[from] TreeFault),
    /// The header of the block commits to other transactions.
    #[error("the tree of transactions is not the one that the block's header commits to")]
    Root,
    /// A transaction could as well be a node of the tree.
    #[error("transaction {0} of the block has 64 bytes, so that it may be a node of the tree")]
    NodePair(u32),
    /// The first transaction is no coinbase, or not the block's.
    #[error("the coinbase is not the block's")]
    Coinbase,
    /// Another transaction than the tree shows.
    #[error("transaction {0} is not the block's")]
    Other(u32),
    /// A transaction without the magic bytes.
    #[error("transaction {0} of the block is no candidate: it does not carry the magic bytes")]
    NoCandidate(u32),
    /// No candidate, or not one per transaction that the tree shows.
    #[error("the record has no candidate, or another number of them than its tree shows")]
    Count,
    /// The transaction that an entry points to is not there.
    #[error("the transaction that output {0} belongs to is not where the record says")]
    Absent(OutPoint),
    /// The transaction of an entry is not the one that is spent, or has fewer outputs.
    #[error("the transaction given for output {0} is another one, or has no such output")]
    Funding(OutPoint),
}

impl Evidence {
    /// What a whole block shows, with what its candidates spend: the transactions in `funding`.
    ///
    /// # Errors
    /// When the bytes are no block.
    pub fn of_block(
        raw: &[u8],
        magic: [u8; 2],
        funding: HashMap<Txid, Transaction>,
    ) -> Result<Self, ScanError> {
        let candidates = scan::scan(raw, magic)?;
        let error = ScanError {
            at: 0,
            length: raw.len(),
        };
        let shown = candidates.iter().map(|candidate| candidate.vtxindex);
        let shown = [0]
            .into_iter()
            .chain(shown.filter(|vtxindex| *vtxindex > 0));
        Ok(Self {
            tree: Tree::of(&txids(raw)?, shown.collect()).ok_or(error)?,
            coinbase: coinbase(raw)?,
            candidates,
            funding,
        })
    }
}

impl Record {
    /// The candidates with their places in the block, if all that the record says of it is true: checks 2 and 3 of the
    /// format.
    pub fn check(&self, header: &Header, magic: [u8; 2]) -> Result<Vec<Candidate>, RecordFault> {
        let (root, txids) = self.tree.root()?;
        if root != header.merkle_root {
            return Err(RecordFault::Root);
        }
        let others = self.candidates.iter().map(|given| &given.transaction);
        let given: Vec<&Transaction> = [&self.coinbase].into_iter().chain(others).collect();
        let positions = self.tree.positions();
        if positions.len() != given.len() {
            return Err(RecordFault::Count);
        }
        let mut candidates = Vec::with_capacity(given.len());
        for ((&vtxindex, txid), transaction) in positions.iter().zip(txids).zip(given) {
            check_place(vtxindex, txid, transaction)?;
            if scan::payload(transaction, magic).is_some() {
                let transaction = transaction.clone();
                candidates.push(Candidate {
                    vtxindex,
                    transaction,
                });
            } else if vtxindex > 0 {
                return Err(RecordFault::NoCandidate(vtxindex));
            }
        }
        if candidates.is_empty() {
            return Err(RecordFault::Count);
        }
        Ok(candidates)
    }

    /// Joins the candidates, which [`Record::check`] returned, with the outputs that they spend: check 4 of the format.
    /// `find` gives the transactions that stand elsewhere.
    pub fn join<E: From<RecordFault>>(
        &self,
        candidates: Vec<Candidate>,
        mut find: impl FnMut(Elsewhere) -> Result<Option<Transaction>, E>,
    ) -> Result<Vec<VirtualTransaction>, E> {
        let mut joined: Vec<VirtualTransaction> = Vec::with_capacity(candidates.len());
        let mut entries = self.candidates.iter();
        for candidate in candidates {
            let funding = match candidate.vtxindex {
                0 => &[][..],
                _ => entries.next().map_or(&[][..], |given| &given.funding),
            };
            if candidate.outpoints().count() != funding.len() {
                return Err(RecordFault::Count.into());
            }
            let inputs = candidate.transaction.input.iter().zip(funding);
            let prevouts = inputs.map(|(input, entry)| {
                let outpoint = input.previous_output;
                let found = self.find(entry, &joined, &mut find)?;
                let found = found.ok_or(RecordFault::Absent(outpoint))?;
                Ok(spent(outpoint, &found)?)
            });
            let prevouts = prevouts.collect::<Result<_, E>>()?;
            joined.push(candidate.with_prevouts(prevouts));
        }
        Ok(joined)
    }

    /// The transaction that an entry names; `joined` are the candidates before its own.
    fn find<'e, E>(
        &self,
        entry: &'e Funding,
        joined: &'e [VirtualTransaction],
        mut find: impl FnMut(Elsewhere) -> Result<Option<Transaction>, E>,
    ) -> Result<Option<Cow<'e, Transaction>>, E> {
        let elsewhere = match *entry {
            Funding::Here(ref transaction) => return Ok(Some(Cow::Borrowed(transaction))),
            Funding::Earlier {
                blocks_back: 0,
                vtxindex,
            } => {
                let mut earlier = joined.iter();
                let found = earlier.find(|earlier| earlier.vtxindex == vtxindex);
                return Ok(found.map(|found| Cow::Borrowed(&found.transaction)));
            }
            Funding::Earlier {
                blocks_back,
                vtxindex,
            } => Elsewhere::Candidate {
                height: self.height.saturating_sub(blocks_back),
                vtxindex,
            },
            Funding::Spelled(place) => Elsewhere::Spelled(place),
        };
        Ok(find(elsewhere)?.map(Cow::Owned))
    }

    /// Reads a record of a segment that begins at the height `from`. Adds to `spelled` where the transactions stand that
    /// are spelled out.
    pub(super) fn read(
        input: &mut Input<'_>,
        from: u32,
        spelled: &mut Vec<usize>,
    ) -> Result<Self, Malformed> {
        let flaw = input.malformed(Flaw::Height);
        let height = from.checked_add(input.compact_u32()?).ok_or(flaw)?;
        let tree = Tree::read(input)?;
        let coinbase = input.transaction()?;
        let mut candidates = Vec::new();
        for vtxindex in tree.positions().iter().skip(1) {
            let transaction = input.transaction()?;
            let mut funding = Vec::new();
            if !scan::is_void(&transaction) {
                for _ in &transaction.input {
                    funding.push(Funding::read(input, (height, *vtxindex), spelled)?);
                }
            }
            candidates.push(RecordedCandidate {
                transaction,
                funding,
            });
        }
        Ok(Self {
            height,
            tree,
            coinbase,
            candidates,
        })
    }

    /// Appends the record to a segment that begins at the height `from`.
    pub(super) fn write(&self, from: u32, out: &mut Vec<u8>) {
        write_compact(self.height.saturating_sub(from).into(), out);
        self.tree.write(out);
        write_transaction(&self.coinbase, out);
        for candidate in &self.candidates {
            write_transaction(&candidate.transaction, out);
            candidate.funding.iter().for_each(|entry| entry.write(out));
        }
    }
}

impl Funding {
    /// Reads an entry of a candidate at `place`, its height and position; it points only to what comes before that.
    fn read(
        input: &mut Input<'_>,
        (height, position): (u32, u32),
        spelled: &mut Vec<usize>,
    ) -> Result<Self, Malformed> {
        let nowhere = input.malformed(Flaw::Funding);
        let (entry, is_before) = match input.array()? {
            [EARLIER] => {
                let (blocks_back, vtxindex) = (input.compact_u32()?, input.compact_u32()?);
                let is_before = blocks_back <= height && (blocks_back > 0 || vtxindex < position);
                let entry = Self::Earlier {
                    blocks_back,
                    vtxindex,
                };
                (entry, is_before)
            }
            [SPELLED] => {
                let place = input.compact_u32()?;
                (Self::Spelled(place), (place as usize) < spelled.len())
            }
            [HERE] => {
                spelled.push(input.at());
                (Self::Here(input.transaction()?), true)
            }
            _ => return Err(nowhere),
        };
        if is_before { Ok(entry) } else { Err(nowhere) }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Earlier {
                blocks_back,
                vtxindex,
            } => {
                out.push(EARLIER);
                write_compact((*blocks_back).into(), out);
                write_compact((*vtxindex).into(), out);
            }
            Self::Spelled(place) => {
                out.push(SPELLED);
                write_compact((*place).into(), out);
            }
            Self::Here(transaction) => {
                out.push(HERE);
                write_transaction(transaction, out);
            }
        }
    }
}

/// Whether the transaction that stands at `vtxindex` is the one with this id.
fn check_place(vtxindex: u32, txid: Txid, transaction: &Transaction) -> Result<(), RecordFault> {
    if transaction.base_size() == NODE_PAIR {
        return Err(RecordFault::NodePair(vtxindex));
    }
    let is_it = transaction.compute_txid() == txid;
    match vtxindex {
        0 if !is_it || !transaction.is_coinbase() => Err(RecordFault::Coinbase),
        1.. if !is_it => Err(RecordFault::Other(vtxindex)),
        _ => Ok(()),
    }
}

/// The output that `outpoint` names, if it is one of this transaction.
fn spent(outpoint: OutPoint, transaction: &Transaction) -> Result<TxOut, RecordFault> {
    let output = transaction.output.get(outpoint.vout as usize);
    let output = output.filter(|_| transaction.compute_txid() == outpoint.txid);
    output.cloned().ok_or(RecordFault::Funding(outpoint))
}

/// The first transaction of a block.
fn coinbase(raw: &[u8]) -> Result<Transaction, ScanError> {
    let (mut walk, _) = Walk::begin(raw)?;
    let first = walk.transaction(|_| ())?;
    encode::deserialize(first.whole).map_err(|_| walk.error())
}
