//! The way back: the rows that a block wrote are removed, those that it changed become what they were.

use std::collections::BTreeMap;

use super::Writer;
use crate::bns::changes::Changes;
use crate::bns::name::Name;
use crate::bns::view::View as _;
use crate::store::change::{back, index_zonefiles};
use crate::store::error::{Result, StoreError};
use crate::store::key;
use crate::store::name_row::{NameRow, Place};
use crate::store::record::Row as _;
use crate::store::row::Announcement;
use crate::store::undo::{HistoryKey, Undo};
use crate::store::view::StateReader;

impl Writer<'_> {
    /// Takes back the newest block.
    pub(super) fn take_back(&mut self, height: u32) -> Result<()> {
        let block = key::height(height);
        let undo = self.state.tables.undo.get(&block, Undo::read)?;
        let depth = self.undo_depth;
        let undo = undo.ok_or(StoreError::UndoGone { height, depth })?;
        let mut last = self.remove_history(height, &undo.history)?;
        let changes = self.changes_back(undo)?;
        self.change_rows(height, &changes, &mut last, &mut None)?;
        index_zonefiles(&mut self.state.tables, &changes.names)?;
        self.remove_announcements(height)?;
        let tables = &mut self.state.tables;
        let (first, last) = (key::operation(height, 0), key::operation(height, u32::MAX));
        tables.operations.clear(&first[..]..=&last[..])?;
        tables.undo.remove(&block)?;
        tables.blocks.remove(&block)?;
        self.state.tip = self.state.last_block()?;
        Ok(())
    }

    /// The changes that lead from the stored rows to the earlier ones.
    fn changes_back(&self, undo: Undo) -> Result<Changes> {
        let (state, tables) = (&self.state, &self.state.tables);
        Ok(Changes {
            names: back(undo.names, |name| state.name(&name))?,
            namespaces: back(undo.namespaces, |id| state.namespace(&id))?,
            preorders: back(undo.preorders, |key| {
                StateReader::row(&tables.preorders, key)
            })?,
            keychains: back(undo.keychains, |id| state.keychain(&id))?,
            accounts: back(undo.accounts, |address| state.account(&address))?,
            events: Vec::new(),
        })
    }

    /// Removes the history rows of a block; gives where the last operation on each of its names stood before it.
    fn remove_history(
        &mut self,
        height: u32,
        rows: &[HistoryKey],
    ) -> Result<BTreeMap<Name, Option<Place>>> {
        let tables = &mut self.state.tables;
        let mut last = BTreeMap::new();
        for row in rows {
            match row {
                HistoryKey::Name(name, vtxindex) => {
                    let vtxindex = *vtxindex;
                    key::name_history(&mut self.key, Place { height, vtxindex }, name.as_str());
                    let history = &mut tables.name_history;
                    let before = history.replace(&self.key, None, |row| {
                        Some(NameRow::read(row?)?.place) // of the first row of a name
                    })?;
                    let before = before.ok_or_else(|| history.corrupt(&self.key))?;
                    last.entry(name.clone()).or_insert(before);
                }
                HistoryKey::Namespace(id, vtxindex) => {
                    key::history(&mut self.key, id.as_str(), height, *vtxindex);
                    tables.namespace_history.remove(&self.key)?;
                }
            }
        }
        Ok(last)
    }

    /// Removes the announcements of the newest block: they are the last ones.
    fn remove_announcements(&mut self, height: u32) -> Result<()> {
        let tables = &mut self.state.tables;
        while let Some(last) = tables
            .announcements
            .last(.., |key, row| Announcement::read(key::number(key)?, row))?
        {
            if last.height != height {
                break;
            }
            let index = last.inventory_index;
            tables.announcements.remove(&key::height(index))?;
            let key = key::announced(&last.hash, index);
            tables.announced_hashes.remove(&key)?;
        }
        Ok(())
    }
}
