//! Reading the state: on a snapshot that stays as it is, or inside an open write transaction.
//!
//! [`StateReader`] is both, so that rules see the rows of the blocks before them even while several blocks
//! share one transaction. It implements [`View`] and [`SnapshotView`]; what people and protocols ask beyond
//! that (history, operations, announcements) is in [`super::query`].

use std::sync::{Arc, OnceLock};

use redb::{Database, ReadableDatabase as _, ReadableTable};

use crate::bns::address::Address;
use crate::bns::name::{Name, NamespaceId};
use crate::bns::record::{Account, ImportKeychain, NameRecord, NamespaceRecord, Preorder};
use crate::bns::view::View;
use crate::hash::{ConsensusHash, NameHash128, PreorderHash};
use crate::virtualchain::SnapshotView;

use super::damage::Damage;
use super::error::{Result, StoreError};
use super::key;
use super::late::{self, LateAnnouncements};
use super::name_row::NameRow;
use super::record::{Row, RowKey};
use super::row::IndexedBlock;
use super::table::{Bytes, Rows, SnapshotTable, Tables, WriteTable};

/// The state after one block, for as long as it is held.
///
/// A lookup opens nothing and takes no lock. Holding one keeps redb from reusing the pages of that state, so
/// the file grows while blocks arrive: hold it for a question, not for a session.
pub type StoreSnapshot = StateReader<SnapshotTable>;

/// The state as an open write transaction has it, blocks applied so far included.
pub type OpenState<'t> = StateReader<WriteTable<'t>>;

/// Reads the tables of one transaction.
pub struct StateReader<T> {
    pub(super) tables: Tables<T>,
    pub(super) tip: Option<IndexedBlock>,
    commit: u64,
    /// Announcements that are not in `announced_hashes` yet, once somebody asked.
    late: OnceLock<LateAnnouncements>,
}

impl StoreSnapshot {
    /// The state after the last commit, which has this number.
    pub(super) fn of(database: &Database, commit: u64, damage: &Arc<Damage>) -> Result<Self> {
        let transaction = damage.pass(|| Ok(database.begin_read()?))?;
        let reader = Self::new(Tables::of_snapshot(&transaction, damage)?)?;
        Ok(Self { commit, ..reader })
    }

    /// The number of the commit that it shows, counted since the database was opened. Two snapshots of a store with the same
    /// number have the same names, and a later state has a greater one: the tip tells them apart less well, because the same
    /// blocks can come back with operations that they lacked.
    pub fn commit(&self) -> u64 {
        self.commit
    }

    /// The announcements that are not in `announced_hashes` yet. Takes a while the first time if there are many.
    pub(super) fn late_announcements(&self) -> Result<&LateAnnouncements> {
        if let Some(late) = self.late.get() {
            return Ok(late);
        }
        let late = late::announcements(&self.tables)?;
        Ok(self.late.get_or_init(|| late))
    }
}

impl<T: ReadableTable<Bytes, Bytes>> StateReader<T> {
    pub(super) fn new(tables: Tables<T>) -> Result<Self> {
        let mut reader = Self {
            tables,
            tip: None,
            commit: 0,
            late: OnceLock::new(),
        };
        reader.tip = reader.last_block()?;
        Ok(reader)
    }

    /// The last indexed block.
    pub fn tip(&self) -> Option<IndexedBlock> {
        self.tip
    }

    pub(super) fn row<R: Row>(rows: &Rows<T>, key: R::Key) -> Result<Option<R>> {
        let mut bytes = Vec::with_capacity(64);
        key.write_key(&mut bytes);
        rows.get(&bytes, |payload| R::read(key, payload))
    }
}

impl<T: ReadableTable<Bytes, Bytes>> SnapshotView for StateReader<T> {
    type Error = StoreError;

    fn consensus_hash(&self, height: u32) -> Result<Option<ConsensusHash>> {
        Ok(self.block(height)?.map(|block| block.consensus_hash))
    }
}

impl<T: ReadableTable<Bytes, Bytes>> View for StateReader<T> {
    fn name(&self, name: &Name) -> Result<Option<NameRecord>> {
        let names = &self.tables.names;
        names.get(name.as_str().as_bytes(), |row| {
            NameRow::record_of(name.clone(), row)
        })
    }

    fn name_by_hash128(&self, hash: &NameHash128) -> Result<Option<Name>> {
        self.tables.name_hashes.get(hash.as_bytes(), key::read_name)
    }

    fn names_of_sender(&self, sender: &[u8]) -> Result<Vec<Name>> {
        let mut prefix = Vec::new();
        key::owner(&mut prefix, sender, "");
        let owners = &self.tables.owners;
        owners.prefixed(&prefix, |rest, _| key::read_name(rest))
    }

    fn count_names_of_sender(&self, sender: &[u8], most: usize) -> Result<usize> {
        let mut prefix = Vec::new();
        key::owner(&mut prefix, sender, "");
        self.tables.owners.count_prefixed(&prefix, most)
    }

    fn names_of_preorder(&self, hash: &PreorderHash) -> Result<Vec<Name>> {
        let preorders = &self.tables.name_preorders;
        preorders.prefixed(hash.as_bytes(), |rest, _| key::read_name(rest))
    }

    fn namespace(&self, id: &NamespaceId) -> Result<Option<NamespaceRecord>> {
        Self::row(&self.tables.namespaces, id.clone())
    }

    fn namespace_has_preorder(&self, hash: &PreorderHash) -> Result<bool> {
        let rows = &self.tables.namespace_preorders;
        let namespaces =
            rows.prefixed(hash.as_bytes(), |id, _| NamespaceId::from_bytes(id).ok())?;
        Ok(!namespaces.is_empty())
    }

    fn preorders(&self, hash: &PreorderHash) -> Result<Vec<Preorder>> {
        let preorders = &self.tables.preorders;
        preorders.prefixed(hash.as_bytes(), |rest, payload| {
            let key = RowKey::read_key(&[hash.as_bytes(), rest].concat())?;
            Preorder::read(key, payload)
        })
    }

    fn keychain(&self, id: &NamespaceId) -> Result<Option<ImportKeychain>> {
        Self::row(&self.tables.keychains, id.clone())
    }

    fn account(&self, address: &Address) -> Result<Option<Account>> {
        Self::row(&self.tables.accounts, *address)
    }
}
