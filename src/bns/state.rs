//! The whole state in memory: for replays that keep nothing, and as the model that the store is tested
//! against.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use super::address::Address;
use super::changes::{Change, Changes};
use super::name::{Name, NamespaceId};
use super::params::Params;
use super::record::{Account, ImportKeychain, NameRecord, NamespaceRecord, Preorder, PreorderKey};
use super::reject::Reject;
use super::view::View;
use crate::hash::{ConsensusHash, NameHash128, PreorderHash};
use crate::virtualchain::{BlockOutcome, CandidateBlock, Sink, Snapshot, SnapshotView};

/// Every row, with the indexes that rules need.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    names: BTreeMap<Name, NameRecord>,
    namespaces: BTreeMap<NamespaceId, NamespaceRecord>,
    preorders: BTreeMap<PreorderKey, Preorder>,
    keychains: BTreeMap<NamespaceId, ImportKeychain>,
    accounts: BTreeMap<Address, Account>,
    snapshots: BTreeMap<u32, Snapshot>,
    by_sender: BTreeMap<Vec<u8>, BTreeSet<Name>>,
    by_preorder: BTreeMap<PreorderHash, BTreeSet<Name>>,
    by_hash128: BTreeMap<NameHash128, Name>,
}

impl State {
    /// The state before the first block: the genesis accounts and nothing else.
    pub fn genesis(params: &Params) -> Self {
        let mut state = Self::default();
        state.apply_changes(&params.genesis_changes());
        state
    }

    /// Takes over what block `height` changed.
    pub fn connect(&mut self, height: u32, changes: &Changes, snapshot: Snapshot) {
        self.apply_changes(changes);
        self.snapshots.insert(height, snapshot);
    }

    /// A sink that shows each block's outcome to `look`, which may end the loop, and then takes it over.
    pub fn sink<T, E, F>(&mut self, look: F) -> StateSink<'_, F>
    where
        F: FnMut(&CandidateBlock<T>, &BlockOutcome<Reject, Changes>) -> Result<(), E>,
    {
        StateSink { state: self, look }
    }

    /// Undoes block `height` with the [inverse](Changes::inverse) of its changes.
    pub fn disconnect(&mut self, height: u32, undo: &Changes) {
        self.apply_changes(undo);
        self.snapshots.remove(&height);
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &NameRecord> {
        self.names.values()
    }

    /// All namespaces, in order.
    pub fn namespaces(&self) -> impl Iterator<Item = &NamespaceRecord> {
        self.namespaces.values()
    }

    /// All unspent preorders, by hash.
    pub fn all_preorders(&self) -> impl Iterator<Item = &Preorder> {
        self.preorders.values()
    }

    /// All token accounts, by address.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values()
    }

    fn apply_changes(&mut self, changes: &Changes) {
        for (name, change) in &changes.names {
            self.index_name(name, change);
        }
        set_all(&mut self.names, &changes.names);
        set_all(&mut self.namespaces, &changes.namespaces);
        set_all(&mut self.preorders, &changes.preorders);
        set_all(&mut self.keychains, &changes.keychains);
        set_all(&mut self.accounts, &changes.accounts);
    }

    fn index_name(&mut self, name: &Name, change: &Change<NameRecord>) {
        if let Some(record) = &change.before {
            remove(&mut self.by_sender, &record.sender, name);
            remove(&mut self.by_preorder, &record.preorder_hash, name);
            self.by_hash128.remove(&name.hash128());
        }
        if let Some(record) = &change.after {
            self.by_sender
                .entry(record.sender.clone())
                .or_default()
                .insert(name.clone());
            self.by_preorder
                .entry(record.preorder_hash)
                .or_default()
                .insert(name.clone());
            self.by_hash128.insert(name.hash128(), name.clone());
        }
    }
}

/// The state in memory as a [`Sink`], see [`State::sink`].
pub struct StateSink<'s, F> {
    state: &'s mut State,
    look: F,
}

impl<T, F, E> Sink<T> for StateSink<'_, F>
where
    F: FnMut(&CandidateBlock<T>, &BlockOutcome<Reject, Changes>) -> Result<(), E>,
    E: From<Infallible>,
{
    type View = State;
    type Reject = Reject;
    type Changes = Changes;
    type Error = E;

    fn view(&self) -> &State {
        self.state
    }

    fn take(
        &mut self,
        block: CandidateBlock<T>,
        outcome: BlockOutcome<Reject, Changes>,
    ) -> Result<(), E> {
        (self.look)(&block, &outcome)?;
        self.state
            .connect(block.height, &outcome.changes, outcome.snapshot);
        Ok(())
    }
}

fn remove<K: Ord>(index: &mut BTreeMap<K, BTreeSet<Name>>, key: &K, name: &Name) {
    if let Some(names) = index.get_mut(key) {
        names.remove(name);
        if names.is_empty() {
            index.remove(key);
        }
    }
}

fn names_under<K: Ord>(index: &BTreeMap<K, BTreeSet<Name>>, key: &K) -> Vec<Name> {
    index.get(key).into_iter().flatten().cloned().collect()
}

fn set_all<K: Ord + Clone, T: Clone>(rows: &mut BTreeMap<K, T>, changes: &BTreeMap<K, Change<T>>) {
    for (key, change) in changes {
        match &change.after {
            Some(row) => rows.insert(key.clone(), row.clone()),
            None => rows.remove(key),
        };
    }
}

impl SnapshotView for State {
    type Error = Infallible;

    fn consensus_hash(&self, height: u32) -> Result<Option<ConsensusHash>, Infallible> {
        Ok(self
            .snapshots
            .get(&height)
            .map(|snapshot| snapshot.consensus_hash))
    }
}

impl View for State {
    fn name(&self, name: &Name) -> Result<Option<NameRecord>, Infallible> {
        Ok(self.names.get(name).cloned())
    }

    fn name_by_hash128(&self, hash: &NameHash128) -> Result<Option<Name>, Infallible> {
        Ok(self.by_hash128.get(hash).cloned())
    }

    fn names_of_sender(&self, sender: &[u8]) -> Result<Vec<Name>, Infallible> {
        Ok(names_under(&self.by_sender, &sender.to_vec()))
    }

    fn names_of_preorder(&self, hash: &PreorderHash) -> Result<Vec<Name>, Infallible> {
        Ok(names_under(&self.by_preorder, hash))
    }

    fn namespace(&self, id: &NamespaceId) -> Result<Option<NamespaceRecord>, Infallible> {
        Ok(self.namespaces.get(id).cloned())
    }

    fn namespace_has_preorder(&self, hash: &PreorderHash) -> Result<bool, Infallible> {
        Ok(self
            .namespaces
            .values()
            .any(|namespace| namespace.preorder_hash == *hash))
    }

    fn preorders(&self, hash: &PreorderHash) -> Result<Vec<Preorder>, Infallible> {
        let rows = self.preorders.range(PreorderKey::all_of(*hash));
        Ok(rows.map(|(_, row)| row.clone()).collect())
    }

    fn keychain(&self, id: &NamespaceId) -> Result<Option<ImportKeychain>, Infallible> {
        Ok(self.keychains.get(id).cloned())
    }

    fn account(&self, address: &Address) -> Result<Option<Account>, Infallible> {
        Ok(self.accounts.get(address).cloned())
    }
}
