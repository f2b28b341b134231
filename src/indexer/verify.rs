//! Derives the stored chain again from the stored operations alone, and compares.
//!
//! The rules run over the candidates in `operations`, block by block, into a second database beside the
//! first. Decisions, canonical texts and both hashes are compared at each block, and at the end every row of
//! every table, seal included: state, indexes, history, announcements, undo data. So whatever was changed in
//! the file, on purpose or not, is either in what is compared or in what it is derived from. Two things do
//! not follow from operations and are taken as they are: a block's time, and which block hashes there are
//! beyond that each builds on the one before.
//!
//! The second database is removed in the end. It takes as much space as the first, and next to no memory.

use std::collections::BTreeMap;

use bitcoin::BlockHash;

use crate::bns::address::Address;
use crate::bns::name::NamespaceId;
use crate::bns::{Bns, Changes, Reject};
use crate::hash::ConsensusHash;
use crate::store::{
    IndexedBlock, LastChange, Purpose, RowDifference, SecondError, Store, StoreError,
    StoredDecision, Writer,
};
use crate::virtualchain::{BlockOutcome, CandidateBlock, Snapshot, VirtualTransaction};

use super::again::{Derived, Stored, Unreadable, derive_again};

/// Directory of the second database in the data directory.
const SCRATCH: &str = "verify";

/// A database that is what its operations make it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verified {
    /// The last block; `None` if nothing was indexed yet.
    pub tip: Option<(u32, ConsensusHash)>,
    /// How many blocks were derived.
    pub blocks: u64,
    /// How many candidates they hold.
    pub operations: u64,
    /// How many rows were compared.
    pub rows: u64,
}

/// Why a database is not verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It is not what its operations make it; the first difference.
    #[error("block {height}: {what}")]
    Difference {
        /// Where: the block, or that of the last operation on a row.
        height: u32,
        /// What differs.
        what: String,
    },
    /// One of the databases failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The second database cannot be created or removed.
    #[error(transparent)]
    Second(#[from] SecondError),
}

impl From<Unreadable> for VerifyError {
    fn from((height, error): Unreadable) -> Self {
        match error {
            None => differs(height, "the block itself is missing"),
            Some(StoreError::Corrupt { table, key }) => differs(
                height,
                format!("the row {key:?} of table {table} is damaged"),
            ),
            Some(StoreError::Damaged(detail)) => {
                differs(height, format!("the database is damaged ({detail})"))
            }
            Some(error) => differs(height, error.to_string()),
        }
    }
}

/// Checks that everything stored follows from the stored operations by the rules of `bns`, whose constants must be
/// those that the database was made with. `reached` is told how far it is.
///
/// Nothing may be connected meanwhile; a lasting snapshot is held.
pub fn verify(store: &Store, bns: &Bns, reached: impl FnMut(u32)) -> Result<Verified, VerifyError> {
    let second = store.create_second(SCRATCH, Purpose::Scratch)?;
    let stored = store.snapshot();
    let mut findings = Findings::default();
    let last = stored.tip().map(|tip| tip.height);
    let take = |writer: &mut Writer<'_>, derived| findings.take(writer, derived);
    derive_again(bns, &stored, last, second.store(), take, reached)?;
    let compared = stored.compare(&second.store().snapshot())?;
    findings.verified.rows = compared.map_err(|row| findings.describe(&row))?;
    second.remove()?;
    Ok(findings.verified)
}

/// What was seen of the chain so far.
#[derive(Default)]
struct Findings {
    previous: Option<BlockHash>,
    verified: Verified,
    /// Heights at which rows without history changed last.
    keychains: BTreeMap<NamespaceId, u32>,
    accounts: BTreeMap<Address, u32>,
}

impl Findings {
    /// Compares a block with what is stored, and writes it.
    fn take(&mut self, writer: &mut Writer<'_>, derived: Derived) -> Result<(), VerifyError> {
        let Derived { block, outcome } = &derived;
        let (height, stored) = (block.height, block.about.block);
        self.check_link(&stored)?;
        for candidate in &block.candidates {
            check_txid(height, candidate)?;
        }
        compare_decisions(block, outcome)?;
        compare_hashes(&stored, outcome.snapshot)?;
        self.note(block, &outcome.changes);
        derived.write(writer)?;
        if writer.state().tip() != Some(stored) {
            let what = "its operations are not those that were written";
            return Err(differs(height, what));
        }
        Ok(())
    }

    fn check_link(&mut self, block: &IndexedBlock) -> Result<(), VerifyError> {
        match self.previous.replace(block.hash) {
            Some(previous) if previous != block.previous => Err(differs(
                block.height,
                format!("it stands on {}, not on {previous}", block.previous),
            )),
            _ => Ok(()),
        }
    }

    fn note(&mut self, block: &CandidateBlock<Stored>, changes: &Changes) {
        let height = block.height;
        let keychains = changes.keychains.keys().map(|id| (id.clone(), height));
        self.keychains.extend(keychains);
        let accounts = changes.accounts.keys().map(|address| (*address, height));
        self.accounts.extend(accounts);
        self.verified.tip = Some((height, block.about.block.consensus_hash));
        self.verified.blocks += 1;
        self.verified.operations += block.candidates.len() as u64;
    }

    /// The difference of a row, at the height of the last operation on it; at that of the tip if nothing tells.
    fn describe(&self, row: &RowDifference) -> VerifyError {
        let height = match &row.changed {
            LastChange::At(height) => Some(*height),
            LastChange::WithKeychain(id) => self.keychains.get(id).copied(),
            LastChange::WithAccount(address) => self.accounts.get(address).copied(),
            LastChange::Unknown => None,
        };
        let tip = self.verified.tip.map_or(0, |(height, _)| height);
        let (table, key, problem) = (row.table, &row.key, row.problem);
        let what = format!("the row \"{key}\" of table {table} {problem}");
        differs(height.unwrap_or(tip), what)
    }
}

fn differs(height: u32, what: impl Into<String>) -> VerifyError {
    let what = what.into();
    VerifyError::Difference { height, what }
}

fn check_txid(height: u32, candidate: &VirtualTransaction) -> Result<(), VerifyError> {
    let computed = candidate.transaction.compute_txid();
    if computed == candidate.txid {
        return Ok(());
    }
    let VirtualTransaction { vtxindex, txid, .. } = candidate;
    let what = format!("transaction {vtxindex} is stored as {txid}, but it is {computed}");
    Err(differs(height, what))
}

fn compare_decisions(
    block: &CandidateBlock<Stored>,
    outcome: &BlockOutcome<Reject, Changes>,
) -> Result<(), VerifyError> {
    let mut decisions = outcome.decisions.iter().peekable();
    for (candidate, stored) in block.candidates.iter().zip(&block.about.decisions) {
        let derived = decisions.next_if(|derived| derived.vtxindex == candidate.vtxindex);
        let derived = StoredDecision::of(derived.map(|derived| &derived.item));
        if derived != *stored {
            let VirtualTransaction { vtxindex, txid, .. } = candidate;
            let what = format!(
                "transaction {vtxindex} ({txid}) is stored as {stored:?}, the rules say {derived:?}"
            );
            return Err(differs(block.height, what));
        }
    }
    Ok(())
}

fn compare_hashes(block: &IndexedBlock, derived: Snapshot) -> Result<(), VerifyError> {
    let differs = |hash: &str, stored: String, derived: String| {
        let what = format!("the {hash} is stored as {stored}, the rules say {derived}");
        Err(differs(block.height, what))
    };
    let (stored, found) = (block.ops_hash, derived.ops_hash);
    if stored != found {
        return differs("ops hash", stored.to_string(), found.to_string());
    }
    let (stored, found) = (block.consensus_hash, derived.consensus_hash);
    if stored != found {
        return differs("consensus hash", stored.to_string(), found.to_string());
    }
    Ok(())
}
