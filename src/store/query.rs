//! What people and protocols ask beyond the rules' own reads: blocks, history, operations, announcements.

use std::fmt::Write as _;
use std::ops::{Bound, ControlFlow};

use bitcoin::Txid;
use redb::ReadableTable;

use crate::bns::name::{Name, NamespaceId};
use crate::bns::record::{NameRecord, NamespaceRecord};
use crate::bns::view::View as _;
use crate::hash::ZonefileHash;

use super::error::Result;
use super::key;
use super::name_row::{NameRow, Place};
use super::record::{Row, RowKey};
use super::row::{Announcement, IndexedBlock, StoredOperation};
use super::table::{AllTables as _, Bytes, Rows};
use super::view::{StateReader, StoreSnapshot};
use super::wanted::{WantedZonefile, wanted_zonefile};

/// What an operation made of a name or namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry<R> {
    /// Height of the operation.
    pub height: u32,
    /// Its place in the block.
    pub vtxindex: u32,
    /// The record after it.
    pub record: R,
}

/// How many rows there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Names that were ever registered or imported.
    pub names: u64,
    /// Namespaces that were ever revealed.
    pub namespaces: u64,
    /// Unspent preorders.
    pub preorders: u64,
    /// Announced zone files; a hash counts each time.
    pub announcements: u64,
    /// Names whose current records ask for a zone file. In a bulk sync this and the next are numbers of some blocks ago.
    pub zonefiles: u64,
    /// Those of them whose zone file the archive is not known to have.
    pub missing_zonefiles: u64,
}

impl<T: ReadableTable<Bytes, Bytes>> StateReader<T> {
    /// The block at a height.
    pub fn block(&self, height: u32) -> Result<Option<IndexedBlock>> {
        let blocks = &self.tables.blocks;
        blocks.get(&key::height(height), |row| IndexedBlock::read(height, row))
    }

    pub(super) fn last_block(&self) -> Result<Option<IndexedBlock>> {
        self.tables.blocks.last(.., read_row)
    }

    /// Everything that ever happened to a name, oldest first.
    pub fn name_history(&self, name: &Name) -> Result<Vec<HistoryEntry<NameRecord>>> {
        let mut history = Vec::new();
        self.name_back(name, |place, row| {
            history.push(name_entry(name, place, row)?);
            Some(ControlFlow::Continue(()))
        })?;
        history.reverse();
        Ok(history)
    }

    /// Hands what happened to a name to `see`, the last operation first, until it breaks off: place and record, as it stands in
    /// the row. `None` from `see` is a damaged row.
    pub(super) fn name_back(
        &self,
        name: &Name,
        mut see: impl FnMut(Place, &[u8]) -> Option<ControlFlow<()>>,
    ) -> Result<()> {
        let (names, history) = (&self.tables.names, &self.tables.name_history);
        let newest = names.get(name.as_str().as_bytes(), |row| {
            Some(NameRow::read(row)?.place)
        })?;
        let (mut next, mut key) = (newest.flatten(), Vec::new());
        while let Some(place) = next {
            key::name_history(&mut key, place, name.as_str());
            let before = history.get(&key, |row| {
                let row = NameRow::read(row)?;
                let is_last = see(place, row.record)?.is_break();
                // A list that turned back on itself would have no end.
                let is_before = row.place.is_none_or(|before| before < place);
                is_before.then_some(row.place.filter(|_| !is_last))
            })?;
            next = before.ok_or_else(|| history.corrupt(&key))?;
        }
        Ok(())
    }

    /// The last thing that happened to a name up to and including a height.
    pub fn name_at(&self, name: &Name, height: u32) -> Result<Option<HistoryEntry<NameRecord>>> {
        let mut found = None;
        self.name_back(name, |place, row| {
            if place.height > height {
                return Some(ControlFlow::Continue(()));
            }
            found = Some(name_entry(name, place, row)?);
            Some(ControlFlow::Break(()))
        })?;
        Ok(found)
    }

    /// The last thing that happened to a namespace up to and including a height.
    pub fn namespace_at(
        &self,
        id: &NamespaceId,
        height: u32,
    ) -> Result<Option<HistoryEntry<NamespaceRecord>>> {
        let (mut first, mut last) = (Vec::new(), Vec::new());
        key::history_of(&mut first, id.as_str());
        key::history(&mut last, id.as_str(), height, u32::MAX);
        let history = &self.tables.namespace_history;
        history.last(&first[..]..=&last[..], |key, row| {
            let (height, vtxindex) = key::read_place(key.get(first.len()..)?)?;
            Some(HistoryEntry {
                height,
                vtxindex,
                record: NamespaceRecord::read(id.clone(), row)?,
            })
        })
    }

    /// Every namespace that was ever revealed, in ascending order.
    pub fn namespaces(&self) -> Result<Vec<NamespaceRecord>> {
        self.tables.namespaces.range(.., usize::MAX, read_row)
    }

    /// At most `limit` names in ascending order, those behind `after`; dead ones are among them.
    pub fn names(&self, after: Option<&Name>, limit: usize) -> Result<Vec<NameRecord>> {
        let start = after.map_or(Bound::Unbounded, |name| {
            Bound::Excluded(name.as_str().as_bytes())
        });
        let names = &self.tables.names;
        names.range((start, Bound::Unbounded), limit, |name, row| {
            NameRow::record_of(key::read_name(name)?, row)
        })
    }

    /// How many rows there are; takes constant time.
    pub fn counts(&self) -> Result<Counts> {
        Ok(Counts {
            names: self.tables.names.len()?,
            namespaces: self.tables.namespaces.len()?,
            preorders: self.tables.preorders.len()?,
            announcements: self.tables.announcements.len()?,
            zonefiles: self.tables.zonefiles.len()?,
            missing_zonefiles: self.tables.missing_zonefiles.len()?,
        })
    }

    /// The candidates of a block in block order, and what became of each.
    pub fn operations_at(&self, height: u32) -> Result<Vec<StoredOperation>> {
        let operations = &self.tables.operations;
        operations.prefixed(&key::height(height), |rest, row| {
            StoredOperation::read(height, key::number(rest)?, row)
        })
    }

    /// A candidate by its place.
    pub fn operation(&self, height: u32, vtxindex: u32) -> Result<Option<StoredOperation>> {
        let key = key::operation(height, vtxindex);
        let operations = &self.tables.operations;
        operations.get(&key, |row| StoredOperation::read(height, vtxindex, row))
    }

    /// The candidates of the blocks from `first` to `last`, in the order of the chain: height, place in the block, id.
    pub fn candidates_between(&self, first: u32, last: u32) -> Result<Vec<(u32, u32, Txid)>> {
        let (first, last) = (key::operation(first, 0), key::operation(last, u32::MAX));
        let operations = &self.tables.operations;
        operations.range(&first[..]..=&last[..], usize::MAX, |place, row| {
            let (height, vtxindex) = key::read_place(place)?;
            Some((height, vtxindex, StoredOperation::read_id(row)?))
        })
    }

    /// The announcement with an inventory index.
    pub fn announcement(&self, inventory_index: u32) -> Result<Option<Announcement>> {
        let (announcements, key) = (&self.tables.announcements, key::height(inventory_index));
        announcements.get(&key, |row| Announcement::read(inventory_index, row))
    }

    /// At most `limit` announcements in the order of their inventory indexes, those from one index on.
    pub fn announced_from(&self, inventory_index: u32, limit: usize) -> Result<Vec<Announcement>> {
        let (announcements, first) = (&self.tables.announcements, key::height(inventory_index));
        announcements.range(&first[..].., limit, |key, row| {
            Announcement::read(key::number(key)?, row)
        })
    }

    /// At most `limit` of the zone files that current records ask for, by hash and name, those behind `after`. Revoked names
    /// ask for none; names that have expired do: when a name expires is the rules' business. In a bulk sync the rows are those
    /// of some blocks ago.
    pub fn wanted_zonefiles(
        &self,
        after: Option<&WantedZonefile>,
        limit: usize,
    ) -> Result<Vec<WantedZonefile>> {
        zonefiles_behind(&self.tables.zonefiles, after, limit)
    }

    /// The zone file that a name's current record asks for.
    pub fn wanted_zonefile(&self, name: &Name) -> Result<Option<WantedZonefile>> {
        let hash = self.name(name)?.as_ref().and_then(wanted_zonefile);
        Ok(hash.map(|hash| WantedZonefile {
            name: name.clone(),
            hash,
        }))
    }

    /// The names whose current records ask for a zone file.
    pub fn wanted_zonefiles_of(&self, hash: &ZonefileHash) -> Result<Vec<WantedZonefile>> {
        self.tables.zonefiles.prefixed(hash.as_bytes(), |name, _| {
            Some(WantedZonefile {
                name: key::read_name(name)?,
                hash: *hash,
            })
        })
    }

    /// As [`StateReader::wanted_zonefiles`], of those that the archive is not known to have.
    pub fn missing_zonefiles(
        &self,
        after: Option<&WantedZonefile>,
        limit: usize,
    ) -> Result<Vec<WantedZonefile>> {
        zonefiles_behind(&self.tables.missing_zonefiles, after, limit)
    }

    /// Whether the archive is not known to have it.
    pub fn is_missing(&self, zonefile: &WantedZonefile) -> Result<bool> {
        let missing = &self.tables.missing_zonefiles;
        Ok(missing.get(&zonefile.key(), |_| Some(()))?.is_some())
    }

    /// Every row as a line of text, tables and rows in order, but for undo data and missing zone files.
    ///
    /// Two databases that index the same chain to the same height dump the same text, whatever reorganisations each went
    /// through on the way and whatever their archives hold.
    pub fn dump(&self) -> Result<String> {
        let mut text = String::new();
        for rows in self.tables.all() {
            if !["undo", "missing_zonefiles"].contains(&rows.name()) {
                dump_rows(rows, &mut text)?;
            }
        }
        Ok(text)
    }
}

impl StoreSnapshot {
    /// Every announcement of a zone file hash, oldest first; empty if it is not on the chain.
    pub fn announcements(&self, hash: &ZonefileHash) -> Result<Vec<Announcement>> {
        let hashes = &self.tables.announced_hashes;
        let indexes = hashes.prefixed(hash.as_bytes(), |rest, _| key::number(rest))?;
        let late = self.late_announcements()?.get(hash);
        let mut announcements = Vec::with_capacity(indexes.len());
        for &index in indexes.iter().chain(late.into_iter().flatten()) {
            announcements.extend(self.announcement(index)?);
        }
        Ok(announcements)
    }

    /// Whether a zone file hash is on the chain.
    pub fn is_announced(&self, hash: &ZonefileHash) -> Result<bool> {
        let (first, last) = (key::announced(hash, 0), key::announced(hash, u32::MAX));
        let hashes = &self.tables.announced_hashes;
        let found = hashes.range(&first[..]..=&last[..], 1, |_, _| Some(()))?;
        Ok(!found.is_empty() || self.late_announcements()?.contains_key(hash))
    }

    /// Whether a name in one of these namespaces announced a zone file hash. No namespace stands for all.
    pub fn is_announced_in(&self, hash: &ZonefileHash, namespaces: &[NamespaceId]) -> Result<bool> {
        if namespaces.is_empty() {
            return self.is_announced(hash);
        }
        let announcements = self.announcements(hash)?;
        let mut names = announcements.iter().map(|announcement| &announcement.name);
        Ok(names.any(|name| namespaces.iter().any(|id| name.namespace() == id.as_str())))
    }
}

pub(super) fn dump_rows<T: ReadableTable<Bytes, Bytes>>(
    rows: &Rows<T>,
    text: &mut String,
) -> Result<()> {
    rows.range(.., usize::MAX, |key, row| {
        let (key, row) = (key.escape_ascii(), row.escape_ascii());
        writeln!(text, "{} {key} {row}", rows.name()).ok()
    })?;
    Ok(())
}

/// Reads a record from its row and key.
pub(super) fn read_row<R: Row>(key: &[u8], row: &[u8]) -> Option<R> {
    R::read(RowKey::read_key(key)?, row)
}

fn zonefiles_behind<T: ReadableTable<Bytes, Bytes>>(
    rows: &Rows<T>,
    after: Option<&WantedZonefile>,
    limit: usize,
) -> Result<Vec<WantedZonefile>> {
    let after = after.map(WantedZonefile::key);
    let start = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    rows.range((start, Bound::Unbounded), limit, |key, _| {
        let (hash, name) = key.split_first_chunk()?;
        Some(WantedZonefile {
            name: key::read_name(name)?,
            hash: ZonefileHash(*hash),
        })
    })
}

fn name_entry(name: &Name, place: Place, row: &[u8]) -> Option<HistoryEntry<NameRecord>> {
    Some(HistoryEntry {
        height: place.height,
        vtxindex: place.vtxindex,
        record: NameRecord::read(name.clone(), row)?,
    })
}
