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
use std::fs;
use std::io;
use std::path::PathBuf;

use crate::bns::address::Address;
use crate::bns::changes::Changes;
use crate::bns::name::{Name, NamespaceId};
use crate::bns::{Bns, Reject};
use crate::hash::ConsensusHash;
use crate::virtualchain::{BlockOutcome, VirtualTransaction, connect_block};

use super::codec::{Field, Input};
use super::error::{OpenError, StoreError};
use super::key;
use super::row::{Announcement, IndexedBlock, StoredDecision, StoredOperation};
use super::table::{Differing, Missing};
use super::view::StoreSnapshot;
use super::writer::{ConnectedBlock, Writer};
use super::{Purpose, Store, StoreOptions};

/// Directory of the second database in the data directory.
const SCRATCH: &str = "verify";
/// How many blocks go into one transaction, and how many operations at most before it is committed.
const BATCH: (u32, usize) = (1_000, 20_000);

/// A database that is what its operations make it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// The second database cannot be created.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The second database cannot be removed.
    #[error("cannot remove {path}: {source}; remove it by hand", path = .path.display())]
    Scratch {
        /// Its directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Store {
    /// Checks that everything stored follows from the stored operations by the rules of `bns`, whose
    /// constants must be those that the database was made with. `progress` is told the height that was reached.
    ///
    /// Nothing may be connected meanwhile; a lasting snapshot is held.
    pub fn verify(
        &self,
        bns: &Bns,
        mut progress: impl FnMut(u32),
    ) -> Result<Verified, VerifyError> {
        let scratch = Scratch::create(self)?;
        let stored = self.snapshot();
        let mut derivation = Derivation {
            bns,
            stored: &stored,
            previous: None,
            verified: Verified {
                tip: None,
                blocks: 0,
                operations: 0,
                rows: 0,
            },
            keychains: BTreeMap::new(),
            accounts: BTreeMap::new(),
        };
        scratch.store().seed(&bns.params().genesis_changes())?;
        let mut next = self.chain().first_block;
        while let Some(tip) = stored.tip()
            && next <= tip.height
        {
            next = scratch
                .store()
                .write(|writer| derivation.batch(writer, next, tip.height))?;
            progress(next.saturating_sub(1));
        }
        derivation.compare_tables(&scratch.store().snapshot())?;
        let verified = derivation.verified;
        scratch.remove()?;
        Ok(verified)
    }
}

/// The second database. It is removed in any case.
struct Scratch {
    path: PathBuf,
    store: Option<Store>,
}

impl Scratch {
    fn create(beside: &Store) -> Result<Self, VerifyError> {
        let path = beside.directory().join(SCRATCH);
        let mut scratch = Self { path, store: None };
        scratch.clear()?; // a killed run may have left one
        let options = StoreOptions {
            undo_depth: beside.options.undo_depth,
            ..StoreOptions::default()
        };
        scratch.store = Some(Store::open_for(
            Purpose::Scratch,
            &scratch.path,
            beside.chain(),
            options,
        )?);
        Ok(scratch)
    }

    fn store(&self) -> &Store {
        self.store
            .as_ref()
            .expect("it is there until it is removed")
    }

    fn remove(mut self) -> Result<(), VerifyError> {
        self.store = None;
        self.clear()
    }

    fn clear(&self) -> Result<(), VerifyError> {
        match fs::remove_dir_all(&self.path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(VerifyError::Scratch {
                path: self.path.clone(),
                source,
            }),
            _ => Ok(()),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.store = None;
        if let Err(error) = self.clear() {
            tracing::warn!("{error}");
        }
    }
}

/// The rules at work on the stored operations.
struct Derivation<'a> {
    bns: &'a Bns,
    stored: &'a StoreSnapshot,
    previous: Option<IndexedBlock>,
    verified: Verified,
    /// Heights at which rows without history changed last.
    keychains: BTreeMap<NamespaceId, u32>,
    accounts: BTreeMap<Address, u32>,
}

impl Derivation<'_> {
    /// Derives some blocks from `next` on, `last` at the most; gives the height that follows them.
    fn batch(
        &mut self,
        writer: &mut Writer<'_>,
        mut next: u32,
        last: u32,
    ) -> Result<u32, VerifyError> {
        let end = last.min(next.saturating_add(BATCH.0 - 1));
        let mut operations = 0;
        while next <= end && operations < BATCH.1 {
            operations += self.block(writer, next)?;
            next += 1;
        }
        Ok(next)
    }

    /// Derives a block and compares what became of its candidates; gives their number.
    fn block(&mut self, writer: &mut Writer<'_>, height: u32) -> Result<usize, VerifyError> {
        let block = self.stored_block(height)?;
        let operations = self.stored.operations_at(height);
        let operations = operations.map_err(|error| unreadable(height, &error))?;
        let mut candidates: Vec<VirtualTransaction> = Vec::with_capacity(operations.len());
        for operation in &operations {
            check_txid(height, &operation.candidate)?;
            candidates.push(operation.candidate.clone());
        }
        let outcome = connect_block(self.bns, height, &candidates, writer.state())?;
        compare_decisions(&operations, &outcome)?;
        compare_hashes(&block, &outcome)?;
        self.note_changes(height, &outcome.changes);
        writer.apply(&ConnectedBlock {
            hash: block.hash,
            previous: block.previous,
            time: block.time,
            candidates: &candidates,
            outcome: &outcome,
        })?;
        if writer.state().tip() != Some(block) {
            return Err(differs(
                height,
                "its operations are not those that were written",
            ));
        }
        self.previous = Some(block);
        self.verified.tip = Some((height, block.consensus_hash));
        self.verified.blocks += 1;
        self.verified.operations += operations.len() as u64;
        Ok(operations.len())
    }

    fn stored_block(&self, height: u32) -> Result<IndexedBlock, VerifyError> {
        let block = self.stored.block(height);
        let block = block
            .map_err(|error| unreadable(height, &error))?
            .ok_or_else(|| differs(height, "the block itself is missing"))?;
        match self.previous {
            Some(previous) if previous.hash != block.previous => Err(differs(
                height,
                format!("it stands on {}, not on {}", block.previous, previous.hash),
            )),
            _ => Ok(block),
        }
    }

    fn note_changes(&mut self, height: u32, changes: &Changes) {
        let keychains = changes.keychains.keys().cloned();
        self.keychains.extend(keychains.map(|id| (id, height)));
        let accounts = changes.accounts.keys().copied();
        self.accounts
            .extend(accounts.map(|address| (address, height)));
    }

    /// Compares all rows but those of `meta`, which were compared when the databases were opened.
    fn compare_tables(&mut self, derived: &StoreSnapshot) -> Result<(), VerifyError> {
        let pairs = self
            .stored
            .tables
            .all()
            .into_iter()
            .zip(derived.tables.all());
        for (stored, derived_rows) in pairs {
            let missing = match stored.name() {
                "meta" => continue,
                "undo" => Missing::Allowed, // reorganisations use it up
                _ => Missing::Counts,
            };
            if let Some(row) = stored.first_difference(derived_rows, missing)? {
                let height = self.height_of(stored.name(), &row, derived);
                return Err(describe(height, stored.name(), &row));
            }
            self.verified.rows += stored.len()?;
        }
        Ok(())
    }

    /// The height of the last operation on a row; that of the tip, if the row does not tell.
    fn height_of(&self, table: &str, row: &Differing, derived: &StoreSnapshot) -> u32 {
        let tip = self.verified.tip.map_or(0, |(height, _)| height);
        let key = &row.key[..];
        let height = match table {
            "blocks" | "undo" | "operations" => leading_number(key),
            "name_history" | "namespace_history" => key
                .len()
                .checked_sub(8)
                .and_then(|start| leading_number(key.get(start..)?)),
            "preorders" => key.get(20..).and_then(leading_number),
            "names" => last_of_name(key, derived),
            "name_hashes" => row_payload(row).and_then(|name| last_of_name(name, derived)),
            "name_preorders" => key.get(20..).and_then(|name| last_of_name(name, derived)),
            "owners" => owned(key).and_then(|name| last_of_name(name, derived)),
            "namespaces" => last_of_namespace(key, derived),
            "namespace_preorders" => key.get(20..).and_then(|id| last_of_namespace(id, derived)),
            "keychains" => NamespaceId::from_bytes(key)
                .ok()
                .and_then(|id| self.keychains.get(&id).copied()),
            "accounts" => Address::read(&mut Input::new(key))
                .and_then(|address| self.accounts.get(&address).copied()),
            "announcements" => {
                row_payload(row).and_then(|row| Some(Announcement::read(0, row)?.height))
            }
            "announced_hashes" => key
                .get(20..)
                .and_then(leading_number)
                .and_then(|index| Some(derived.announcement(index).ok()??.height)),
            _ => None,
        };
        height.unwrap_or(tip)
    }
}

fn differs(height: u32, what: impl Into<String>) -> VerifyError {
    let what = what.into();
    VerifyError::Difference { height, what }
}

fn unreadable(height: u32, error: &StoreError) -> VerifyError {
    match error {
        StoreError::Corrupt { table, key } => differs(
            height,
            format!("the row {key:?} of table {table} is damaged"),
        ),
        error => differs(height, error.to_string()),
    }
}

fn check_txid(height: u32, candidate: &VirtualTransaction) -> Result<(), VerifyError> {
    let computed = candidate.transaction.compute_txid();
    if computed == candidate.txid {
        return Ok(());
    }
    let VirtualTransaction { vtxindex, txid, .. } = candidate;
    Err(differs(
        height,
        format!("transaction {vtxindex} is stored as {txid}, but it is {computed}"),
    ))
}

fn compare_decisions(
    operations: &[StoredOperation],
    outcome: &BlockOutcome<Reject, Changes>,
) -> Result<(), VerifyError> {
    let mut decisions = outcome.decisions.iter().peekable();
    for StoredOperation {
        candidate,
        decision,
    } in operations
    {
        let derived = decisions.next_if(|derived| derived.vtxindex == candidate.vtxindex);
        let derived = StoredDecision::of(derived.map(|derived| &derived.operation));
        if derived != *decision {
            let VirtualTransaction { vtxindex, txid, .. } = candidate;
            return Err(differs(
                outcome.height,
                format!(
                    "transaction {vtxindex} ({txid}) is stored as {decision:?}, the rules say {derived:?}"
                ),
            ));
        }
    }
    Ok(())
}

fn compare_hashes(
    block: &IndexedBlock,
    outcome: &BlockOutcome<Reject, Changes>,
) -> Result<(), VerifyError> {
    let derived = outcome.snapshot;
    if derived.ops_hash != block.ops_hash {
        let (stored, derived) = (block.ops_hash, derived.ops_hash);
        let what = format!("the ops hash is stored as {stored}, the rules say {derived}");
        return Err(differs(block.height, what));
    }
    if derived.consensus_hash != block.consensus_hash {
        let (stored, derived) = (block.consensus_hash, derived.consensus_hash);
        let what = format!("the consensus hash is stored as {stored}, the rules say {derived}");
        return Err(differs(block.height, what));
    }
    Ok(())
}

fn describe(height: u32, table: &str, row: &Differing) -> VerifyError {
    let key = row.key.escape_ascii();
    let problem = match (&row.ours, &row.theirs) {
        (None, _) => "is missing",
        (_, None) => "follows from no operation",
        _ => "is not what the operations make it",
    };
    differs(
        height,
        format!("the row \"{key}\" of table {table} {problem}"),
    )
}

fn leading_number(bytes: &[u8]) -> Option<u32> {
    key::number(bytes.get(..4)?)
}

/// What the derived row says, or else the stored one; without its seal.
fn row_payload(row: &Differing) -> Option<&[u8]> {
    let value = row.theirs.as_deref().or(row.ours.as_deref())?;
    value.split_last_chunk::<4>().map(|(payload, _)| payload)
}

/// The name at the end of a key of `owners`.
fn owned(key: &[u8]) -> Option<&[u8]> {
    let mut input = Input::new(key);
    <Vec<u8> as Field>::read(&mut input)?;
    Some(input.rest())
}

fn last_of_name(name: &[u8], derived: &StoreSnapshot) -> Option<u32> {
    let name = Name::from_bytes(name).ok()?;
    Some(derived.name_at(&name, u32::MAX).ok()??.height)
}

fn last_of_namespace(id: &[u8], derived: &StoreSnapshot) -> Option<u32> {
    let id = NamespaceId::from_bytes(id).ok()?;
    Some(derived.namespace_at(&id, u32::MAX).ok()??.height)
}
