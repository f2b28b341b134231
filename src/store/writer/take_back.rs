//! The way back: the rows that a block wrote are removed, those that it changed become what they were.

use super::Writer;
use crate::bns::changes::Changes;
use crate::store::change::back;
use crate::store::error::{Result, StoreError};
use crate::store::key;
use crate::store::record::Row as _;
use crate::store::row::Announcement;
use crate::store::undo::{HistoryKey, Undo};

impl Writer<'_> {
    /// Takes back the newest block.
    pub(super) fn take_back(&mut self, height: u32) -> Result<()> {
        let block = key::height(height);
        let undo = self.state.tables.undo.get(&block, Undo::read)?;
        let depth = self.undo_depth;
        let undo = undo.ok_or(StoreError::UndoGone { height, depth })?;
        self.remove_history(height, &undo.history)?;
        let changes = self.changes_back(undo)?;
        self.change_rows(height, &changes, &mut None)?;
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
        let tables = &self.state.tables;
        Ok(Changes {
            names: back(&tables.names, undo.names)?,
            namespaces: back(&tables.namespaces, undo.namespaces)?,
            preorders: back(&tables.preorders, undo.preorders)?,
            keychains: back(&tables.keychains, undo.keychains)?,
            accounts: back(&tables.accounts, undo.accounts)?,
            events: Vec::new(),
        })
    }

    fn remove_history(&mut self, height: u32, rows: &[HistoryKey]) -> Result<()> {
        let tables = &mut self.state.tables;
        for row in rows {
            match row {
                HistoryKey::Name(name, vtxindex) => {
                    key::history(&mut self.key, name.as_str(), height, *vtxindex);
                    tables.name_history.remove(&self.key)?;
                }
                HistoryKey::Namespace(id, vtxindex) => {
                    key::history(&mut self.key, id.as_str(), height, *vtxindex);
                    tables.namespace_history.remove(&self.key)?;
                }
            }
        }
        Ok(())
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
