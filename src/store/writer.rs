//! Connecting and disconnecting blocks inside one write transaction.
//!
//! A [`Writer`] lives inside [`super::Store::write`], which commits once when the work is done, so that one
//! block, or a run of blocks during the first sync, becomes durable at once or not at all. In between,
//! [`Writer::state`] shows the rows of the blocks applied so far. Undoing reads what the block left as undo data
//! and goes through the same code as applying: the earlier rows are the new ones.
//!
//! Every old row that a change names is compared with the stored one. A block that was processed against
//! another state therefore fails here instead of spoiling the indexes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::iter::Peekable;
use std::slice::Iter;

use crate::bns::changes::{Changes, Event, EventRow};
use crate::bns::name::{Name, NamespaceId};
use crate::bns::record::{NameOp, NameRecord};
use crate::bns::reject::Reject;
use crate::virtualchain::{
    BlockOutcome, CandidateBlock, Decision, Located, Sink, VirtualTransaction,
};

use super::change::{exchange, exchange_names, index_names, index_namespaces, index_zonefiles};
use super::error::{Result, StoreError};
use super::key;
use super::late;
use super::name_row::{Place, write_name_row};
use super::record::Row as _;
use super::row::{Announcement, Digest, IndexedBlock, StoredDecision, StoredOperation};
use super::table::{AllTables as _, Tables, WriteTable};
use super::undo::write_history;
use super::view::{OpenState, StateReader};

/// Taking back what a block wrote.
mod take_back;

/// The table that says what the database is.
const META: &str = "meta";
/// The row of `meta` that says that the rows before the first block are there.
const SEEDED_KEY: &[u8] = b"seeded";

/// What a commit changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeNotice {
    /// Height of the tip now; `None` when the first block was disconnected.
    pub height: Option<u32>,
    /// Names whose row changed, ascending.
    pub names: Vec<Name>,
    /// Namespaces whose row changed, ascending.
    pub namespaces: Vec<NamespaceId>,
    /// Whether blocks were taken back.
    pub has_undone: bool,
}

/// Applies blocks to an open write transaction.
pub struct Writer<'t> {
    state: OpenState<'t>,
    first_block: u32,
    undo_depth: u32,
    /// The height of the best block that is known of; 0 if nobody said.
    best: u32,
    condition: Condition,
    names: BTreeSet<Name>,
    namespaces: BTreeSet<NamespaceId>,
    has_undone: bool,
    key: Vec<u8>,
    row: Vec<u8>,
}

/// What the transaction has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Untouched,
    Changed,
    Broken,
}

impl<'t> Writer<'t> {
    pub(super) fn new(
        tables: Tables<WriteTable<'t>>,
        first_block: u32,
        undo_depth: u32,
    ) -> Result<Self> {
        Ok(Self {
            state: StateReader::new(tables)?,
            first_block,
            undo_depth,
            best: 0,
            condition: Condition::Untouched,
            names: BTreeSet::new(),
            namespaces: BTreeSet::new(),
            has_undone: false,
            key: Vec::new(),
            row: Vec::new(),
        })
    }

    /// The state with the blocks applied so far.
    pub fn state(&self) -> &OpenState<'t> {
        &self.state
    }

    /// Says how high the chain is that the next blocks are of. What lies deeper below its best block than reorganisations
    /// are followed gets no undo data.
    pub fn expect_best(&mut self, height: u32) {
        self.best = height;
    }

    /// Connects the block that follows the tip, with what the rules made of its candidates.
    pub fn apply<R: Display>(
        &mut self,
        block: &CandidateBlock,
        outcome: &BlockOutcome<R, Changes>,
    ) -> Result<()> {
        self.check_follows(block)?;
        self.attempt(|writer| writer.write_block(block, outcome))
    }

    /// Writes the rows that exist before the first block, once: later calls change nothing.
    pub(super) fn seed(&mut self, genesis: &Changes) -> Result<()> {
        let meta = &self.state.tables.meta;
        if meta.get(SEEDED_KEY, |_| Some(()))?.is_some() {
            return Ok(());
        }
        self.attempt(|writer| {
            writer.write_genesis(genesis)?;
            writer.state.tables.meta.mark(SEEDED_KEY)
        })
    }

    /// Takes away everything that blocks ever wrote, so that the chain can be derived again in this transaction; readers
    /// have the state before it until the commit. `genesis` are the rows before the first block.
    pub fn begin_again(&mut self, genesis: &Changes) -> Result<()> {
        self.attempt(|writer| {
            let names = writer.state.names(None, usize::MAX)?;
            writer
                .names
                .extend(names.into_iter().map(|record| record.name));
            let namespaces = writer.state.namespaces()?.into_iter();
            let ids = namespaces.map(|record| record.namespace_id);
            writer.namespaces.extend(ids);
            let tables = writer.state.tables.all_mut().into_iter();
            for table in tables.filter(|table| table.name() != META) {
                table.clear(..)?;
            }
            late::forget(&mut writer.state.tables)?;
            writer.state.tip = None;
            writer.has_undone = true;
            writer.write_genesis(genesis)
        })
    }

    /// Disconnects the tip, which is returned: everything that it wrote is taken back.
    pub fn undo_tip(&mut self) -> Result<IndexedBlock> {
        let undone = self.state.tip.ok_or(StoreError::NothingToUndo)?;
        self.attempt(|writer| writer.take_back(undone.height))?;
        self.has_undone = true;
        Ok(undone)
    }

    /// What changed since the beginning; `None` if nothing was done, an error if something went wrong.
    pub(super) fn finish(self) -> Result<Option<ChangeNotice>> {
        match self.condition {
            Condition::Untouched => Ok(None),
            Condition::Broken => Err(StoreError::Abandoned),
            Condition::Changed => Ok(Some(ChangeNotice {
                height: self.state.tip.map(|tip| tip.height),
                names: self.names.into_iter().collect(),
                namespaces: self.namespaces.into_iter().collect(),
                has_undone: self.has_undone,
            })),
        }
    }

    /// Does something that must not be kept if it fails half-way.
    fn attempt(&mut self, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if self.condition == Condition::Broken {
            return Err(StoreError::Abandoned);
        }
        self.condition = Condition::Broken;
        work(self)?;
        self.condition = Condition::Changed;
        Ok(())
    }

    fn check_follows(&self, block: &CandidateBlock) -> Result<()> {
        let (found, previous) = (block.height, block.about.previous);
        let expected = match self.state.tip {
            None => self.first_block,
            Some(tip) => tip.height.saturating_add(1),
        };
        if found != expected {
            return Err(StoreError::NotNext { expected, found });
        }
        match self.state.tip {
            Some(tip) if tip.hash != previous => Err(StoreError::OtherBranch {
                height: found,
                previous,
                tip: tip.hash,
            }),
            _ => Ok(()),
        }
    }

    fn write_block<R: Display>(
        &mut self,
        block: &CandidateBlock,
        outcome: &BlockOutcome<R, Changes>,
    ) -> Result<()> {
        let height = block.height;
        let changes = &outcome.changes;
        let mut undo = self.may_be_undone(height).then(Vec::new);
        // Not at the tip: who follows the chain, and who compares two databases, finds nothing late.
        let is_late = undo.is_none() && height < self.best;
        match is_late {
            true => late::put_off(&mut self.state.tables, height)?,
            false => self.list_late()?,
        }
        let mut last = last_places(height, &changes.events);
        self.change_rows(height, changes, &mut last, &mut undo)?;
        self.write_undo(height, undo, &changes.events)?;
        let announcements = self.write_events(height, &changes.events, last)?;
        if !is_late {
            let tables = &mut self.state.tables;
            index_zonefiles(tables, &changes.names)?;
            index_announcements(tables, &announcements)?;
        } else if late::is_full(&self.state.tables)? {
            self.list_late()?;
        }
        let candidates = self.write_operations(block, &outcome.decisions)?;
        self.write_tip(IndexedBlock {
            height,
            hash: block.about.hash,
            previous: block.about.previous,
            time: block.about.time,
            ops_hash: outcome.snapshot.ops_hash,
            consensus_hash: outcome.snapshot.consensus_hash,
            candidates,
        })
    }

    fn write_genesis(&mut self, genesis: &Changes) -> Result<()> {
        self.change_rows(self.first_block, genesis, &mut BTreeMap::new(), &mut None)?;
        index_zonefiles(&mut self.state.tables, &genesis.names)
    }

    /// Lists the zone files of the blocks before that are not listed. That is news of their names, as if it had come with
    /// those blocks.
    fn list_late(&mut self) -> Result<()> {
        self.names.extend(late::list(&mut self.state.tables)?);
        Ok(())
    }

    /// Writes the new state of every changed row and its index entries, but for those of zone files; the old state goes to
    /// `undo`, if it is wanted. `last` is as for [`exchange_names`].
    fn change_rows(
        &mut self,
        height: u32,
        changes: &Changes,
        last: &mut BTreeMap<Name, Option<Place>>,
        undo: &mut Option<Vec<u8>>,
    ) -> Result<()> {
        let tables = &mut self.state.tables;
        exchange_names(&mut tables.names, height, &changes.names, last, undo)?;
        exchange(&mut tables.namespaces, height, &changes.namespaces, undo)?;
        exchange(&mut tables.preorders, height, &changes.preorders, undo)?;
        exchange(&mut tables.keychains, height, &changes.keychains, undo)?;
        exchange(&mut tables.accounts, height, &changes.accounts, undo)?;
        index_names(tables, &changes.names)?;
        index_namespaces(tables, &changes.namespaces)?;
        self.names.extend(changes.names.keys().cloned());
        self.namespaces.extend(changes.namespaces.keys().cloned());
        Ok(())
    }

    /// Whether a reorganisation that is followed can reach the block at `height`.
    fn may_be_undone(&self, height: u32) -> bool {
        height.saturating_add(self.undo_depth) > self.best
    }

    /// Writes the undo data of a block and removes that of blocks that have become too deep. Nothing below a block without
    /// undo data can be undone, so all goes with the first such block.
    fn write_undo(&mut self, height: u32, undo: Option<Vec<u8>>, events: &[Event]) -> Result<()> {
        let rows = &mut self.state.tables.undo;
        let Some(mut undo) = undo else {
            return match rows.len()? {
                0 => Ok(()),
                _ => rows.clear(..),
            };
        };
        write_history(events, &mut undo);
        rows.put(&key::height(height), &mut undo)?;
        match height.checked_sub(self.undo_depth) {
            None => Ok(()),
            Some(oldest_gone) => rows.clear(..=&key::height(oldest_gone)[..]),
        }
    }

    /// Writes the history rows of the block and the announcements among them, which it gives. `last` says where the last
    /// operation on each name stood before the block.
    fn write_events(
        &mut self,
        height: u32,
        events: &[Event],
        mut last: BTreeMap<Name, Option<Place>>,
    ) -> Result<Vec<Announcement>> {
        let mut inventory_index = self.next_inventory_index()?;
        let mut announcements = Vec::new();
        let tables = &mut self.state.tables;
        for event in events {
            self.row.clear();
            match &event.row {
                EventRow::Name(record) => {
                    let place = Place {
                        height,
                        vtxindex: event.vtxindex,
                    };
                    let before = last.insert(record.name.clone(), Some(place)).flatten();
                    key::name_history(&mut self.key, place, record.name.as_str());
                    // Nobody could read a list that does not lead back.
                    if before.is_some_and(|before| before >= place) {
                        return Err(tables.name_history.stale(height, &self.key));
                    }
                    write_name_row(before, record, &mut self.row);
                    tables.name_history.put(&self.key, &mut self.row)?;
                    if let Some(announcement) = announced(record, inventory_index, height) {
                        announcements.push(announcement);
                        inventory_index = inventory_index.saturating_add(1);
                    }
                }
                EventRow::Namespace(record) => {
                    record.write(&mut self.row);
                    let id = record.namespace_id.as_str();
                    key::history(&mut self.key, id, height, event.vtxindex);
                    tables.namespace_history.put(&self.key, &mut self.row)?;
                }
            }
        }
        tables.announcements.append(&announcements, |it, row| {
            it.write(row);
            key::height(it.inventory_index)
        })?;
        Ok(announcements)
    }

    fn next_inventory_index(&self) -> Result<u32> {
        let announcements = &self.state.tables.announcements;
        let last = announcements.last(.., |key, _| key::number(key))?;
        Ok(last.unwrap_or(0).saturating_add(1))
    }

    /// Writes a row for each candidate; gives the hash over them.
    fn write_operations<R: Display>(
        &mut self,
        block: &CandidateBlock,
        decisions: &[Located<Decision<R>>],
    ) -> Result<[u8; 32]> {
        let height = block.height;
        let mut digest = Digest::default();
        let mut decisions = decisions.iter().peekable();
        let operations = &mut self.state.tables.operations;
        operations.append(&block.candidates, |candidate, row| {
            let decision = StoredDecision::lent(next_decision(&mut decisions, candidate));
            StoredOperation::write(height, candidate, &decision, row);
            digest.add(candidate.vtxindex, row); // without its seal
            key::operation(height, candidate.vtxindex)
        })?;
        match decisions.next() {
            None => Ok(digest.finish()),
            Some(stray) => Err(StoreError::StrayDecision {
                height,
                vtxindex: stray.vtxindex,
            }),
        }
    }

    fn write_tip(&mut self, tip: IndexedBlock) -> Result<()> {
        self.row.clear();
        tip.write(&mut self.row);
        let key = key::height(tip.height);
        self.state.tables.blocks.put(&key, &mut self.row)?;
        self.state.tip = Some(tip);
        Ok(())
    }
}

impl<'t> Sink for Writer<'t> {
    type View = OpenState<'t>;
    type Reject = Reject;
    type Changes = Changes;
    type Error = StoreError;

    fn view(&self) -> &OpenState<'t> {
        &self.state
    }

    fn take(
        &mut self,
        block: CandidateBlock,
        outcome: BlockOutcome<Reject, Changes>,
    ) -> Result<()> {
        self.apply(&block, &outcome)
    }
}

/// Where the last operation of a block on each name stands.
fn last_places(height: u32, events: &[Event]) -> BTreeMap<Name, Option<Place>> {
    let names = events.iter().filter_map(|event| match &event.row {
        EventRow::Name(record) => Some((record.name.clone(), event.vtxindex)),
        EventRow::Namespace(_) => None,
    });
    let places = names.map(|(name, vtxindex)| (name, Some(Place { height, vtxindex })));
    places.collect()
}

/// The announcement that an accepted operation makes: creations, renewals, updates and imports whose record
/// has a zone file hash. Transfers and revocations make none.
fn announced(record: &NameRecord, inventory_index: u32, height: u32) -> Option<Announcement> {
    let announces = match record.op {
        NameOp::Register | NameOp::Renew | NameOp::Update | NameOp::Import => true,
        NameOp::TransferKeep | NameOp::TransferDrop | NameOp::Revoke => false,
    };
    let hash = record.value_hash.filter(|_| announces)?;
    Some(Announcement {
        inventory_index,
        name: record.name.clone(),
        hash,
        height,
        txid: record.txid,
    })
}

fn index_announcements(
    tables: &mut Tables<WriteTable<'_>>,
    announcements: &[Announcement],
) -> Result<()> {
    for it in announcements {
        let key = key::announced(&it.hash, it.inventory_index);
        tables.announced_hashes.mark(&key)?;
    }
    Ok(())
}

fn next_decision<'a, R>(
    decisions: &mut Peekable<Iter<'a, Located<Decision<R>>>>,
    candidate: &VirtualTransaction,
) -> Option<&'a Decision<R>> {
    decisions
        .next_if(|decision| decision.vtxindex == candidate.vtxindex)
        .map(|decision| &decision.item)
}
