//! The state as the operations of a block see it: what the block changed so far, on top of a view.

use std::cell::RefCell;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use bitcoin::Txid;

use super::address::Address;
use super::changes::{Change, Changes, Event, EventRow};
use super::name::{Name, NamespaceId};
use super::record::{
    Account, ImportKeychain, NameRecord, NamespaceRecord, Preorder, PreorderKey, Script,
};
use super::view::View;
use crate::hash::{ConsensusHash, NameHash128, PreorderHash};
use crate::virtualchain::SnapshotView;

/// A view with the changes of the block under way on top.
#[derive(Debug)]
pub struct Pending<'v, V> {
    base: &'v V,
    /// The newest height of the base and the consensus hash that later heights are taken to have.
    newest: Option<(u32, ConsensusHash)>,
    changes: Changes,
    /// Names that the block gave to another owner, by the owners that their rows came to have.
    by_sender: BTreeMap<Script, BTreeSet<Name>>,
    /// Owners from whom the block took a name.
    bereft: HashSet<Script>,
    /// Names to whose rows the block gave another commitment, by the commitments that they came to carry.
    by_preorder: BTreeMap<PreorderHash, BTreeSet<Name>>,
    /// Names that had no row before the block.
    created: BTreeMap<NameHash128, Name>,
    read: RefCell<Read>,
}

/// Rows of the base: an operation asks several times for that of its name and for that of its namespace.
#[derive(Debug, Default)]
struct Read {
    names: HashMap<Name, Option<Box<NameRecord>>>,
    /// The present rows, those that the block changed included.
    namespaces: HashMap<Box<str>, Option<Rc<NamespaceRecord>>>,
    /// The preorders with the hash that was asked for last.
    preorders: Option<(PreorderHash, Vec<Preorder>)>,
    /// How many names each owner has in the base, and how far they were counted.
    counts: HashMap<Script, Counted>,
    /// The names of each owner in the base, of those who have few.
    owned: HashMap<Script, Rc<[Name]>>,
}

/// How many there are: so many, or more if that is as far as they were counted.
#[derive(Debug, Clone, Copy)]
struct Counted {
    count: usize,
    most: usize,
}

/// How many names' rows are kept: as many as a block has operations. More are asked for by senders with very many names.
const ROWS_KEPT: usize = 4_000;
/// Of how many names of one owner a list is kept; the quota of the main network is 25.
const NAMES_KEPT: usize = 100;

impl<'v, V: View> Pending<'v, V> {
    /// Nothing changed yet.
    pub fn new(base: &'v V) -> Self {
        Self {
            base,
            newest: None,
            changes: Changes::default(),
            by_sender: BTreeMap::new(),
            bereft: HashSet::new(),
            by_preorder: BTreeMap::new(),
            created: BTreeMap::new(),
            read: RefCell::default(),
        }
    }

    /// Nothing changed yet; heights above `tip` are taken to have the consensus hash `newest`.
    pub fn ahead(base: &'v V, tip: u32, newest: ConsensusHash) -> Self {
        Self {
            newest: Some((tip, newest)),
            ..Self::new(base)
        }
    }

    /// Takes over what a later block changed.
    pub fn absorb(&mut self, changes: Changes) -> Result<(), V::Error> {
        for (key, change) in changes.preorders {
            match change.after {
                Some(preorder) => self.put_preorder(preorder),
                None => self.remove_preorders(&key.preorder_hash)?,
            }
        }
        for record in rows_after(changes.names) {
            self.put_name(record)?;
        }
        for record in rows_after(changes.namespaces) {
            self.put_namespace(record)?;
        }
        for keychain in rows_after(changes.keychains) {
            self.put_keychain(keychain)?;
        }
        for account in rows_after(changes.accounts) {
            self.put_account(account)?;
        }
        Ok(())
    }

    /// What the block changed.
    pub fn into_changes(self) -> Changes {
        self.changes
    }

    /// Inserts or replaces a name's row and notes it in the history.
    pub fn put_name(&mut self, record: NameRecord) -> Result<(), V::Error> {
        self.note(record.vtxindex, record.txid, EventRow::Name(record.clone()));
        let name = record.name.clone();
        let change = match self.changes.names.entry(name.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let kept = self.read.get_mut().names.remove(&name);
                let before = match kept {
                    Some(kept) => kept.map(|record| *record),
                    None => self.base.name(&name)?,
                };
                if before.is_none() {
                    self.created.insert(name.hash128(), name.clone());
                }
                let after = None;
                entry.insert(Change { before, after })
            }
        };
        let former = change.after.as_ref().or(change.before.as_ref());
        if former.is_none_or(|former| former.sender != record.sender) {
            let bereft = former.map(|former| former.sender.clone());
            self.bereft.extend(bereft);
            if let Some(names) = self.by_sender.get_mut(&record.sender) {
                names.insert(name.clone());
            } else {
                let names = BTreeSet::from([name.clone()]);
                self.by_sender.insert(record.sender.clone(), names);
            }
        }
        if former.is_none_or(|former| former.preorder_hash != record.preorder_hash) {
            let names = self.by_preorder.entry(record.preorder_hash).or_default();
            names.insert(name);
        }
        change.after = Some(record);
        Ok(())
    }

    /// Inserts or replaces a namespace's row and notes it in the history.
    pub fn put_namespace(&mut self, record: NamespaceRecord) -> Result<(), V::Error> {
        self.note(
            record.vtxindex,
            record.txid,
            EventRow::Namespace(record.clone()),
        );
        let kept = &mut self.read.get_mut().namespaces;
        kept.remove(record.namespace_id.as_str());
        let (base, key) = (self.base, record.namespace_id.clone());
        put(&mut self.changes.namespaces, key, Some(record), |key| {
            base.namespace(key)
        })
    }

    /// The row of a name's namespace, read once.
    pub fn namespace_of(&self, name: &Name) -> Result<Option<Rc<NamespaceRecord>>, V::Error> {
        if let Some(row) = self.read.borrow().namespaces.get(name.namespace()) {
            return Ok(row.clone());
        }
        let row = match name.namespace_id() {
            Some(id) => self.namespace(&id)?.map(Rc::new),
            None => None,
        };
        let kept = &mut self.read.borrow_mut().namespaces;
        kept.insert(name.namespace().into(), row.clone());
        Ok(row)
    }

    /// Inserts a preorder.
    pub fn put_preorder(&mut self, preorder: Preorder) {
        let key = preorder.key(); // holds the txid, so the row is new
        let change = Change::insertion(preorder);
        self.changes.preorders.insert(key, change);
    }

    /// Removes every preorder with this hash (sm §1).
    pub fn remove_preorders(&mut self, hash: &PreorderHash) -> Result<(), V::Error> {
        for preorder in self.preorders(hash)? {
            let key = preorder.key();
            // A row of this very block leaves no trace.
            if self.changes.preorders.remove(&key).is_none() {
                let change = Change::removal(preorder);
                self.changes.preorders.insert(key, change);
            }
        }
        Ok(())
    }

    /// Creates a keychain.
    pub fn put_keychain(&mut self, keychain: ImportKeychain) -> Result<(), V::Error> {
        let (base, key) = (self.base, keychain.namespace_id.clone());
        put(&mut self.changes.keychains, key, Some(keychain), |key| {
            base.keychain(key)
        })
    }

    /// Inserts or replaces a token account.
    pub fn put_account(&mut self, account: Account) -> Result<(), V::Error> {
        let (base, key) = (self.base, account.address);
        put(&mut self.changes.accounts, key, Some(account), |key| {
            base.account(key)
        })
    }

    /// The rows of the base with a hash; a registration asks for them twice.
    fn preorders_in_base(&self, hash: &PreorderHash) -> Result<Vec<Preorder>, V::Error> {
        if let Some((kept, rows)) = &self.read.borrow().preorders
            && kept == hash
        {
            return Ok(rows.clone());
        }
        let rows = self.base.preorders(hash)?;
        self.read.borrow_mut().preorders = Some((*hash, rows.clone()));
        Ok(rows)
    }

    fn note(&mut self, vtxindex: u32, txid: Txid, row: EventRow) {
        self.changes.events.push(Event {
            vtxindex,
            txid,
            row,
        });
    }

    /// Whether at most `most` rows have this owner; `false` also where only reading them all could tell.
    pub fn surely_has_at_most(&self, sender: &[u8], most: usize) -> Result<bool, V::Error> {
        let here = self.by_sender.get(sender).map_or(0, BTreeSet::len);
        let Some(most) = most.checked_sub(here) else {
            return Ok(false);
        };
        Ok(self.count_in_base(sender, most + 1)? <= most)
    }

    /// How many rows of the base have this owner, counted up to `most`, once.
    fn count_in_base(&self, sender: &[u8], most: usize) -> Result<usize, V::Error> {
        let kept = self.read.borrow().counts.get(sender).copied();
        if let Some(kept) = kept.filter(|kept| kept.count < kept.most || most <= kept.most) {
            return Ok(kept.count);
        }
        let count = self.base.count_names_of_sender(sender, most)?;
        let counts = &mut self.read.borrow_mut().counts;
        counts.insert(sender.to_vec(), Counted { count, most });
        Ok(count)
    }

    /// As [`View::names_of_sender`], of an owner of few names without reading them again.
    pub fn owned_by(&self, sender: &[u8]) -> Result<Rc<[Name]>, V::Error> {
        let listed = self.listed_of(sender)?;
        let here = self.by_sender.get(sender);
        if here.is_none() && !self.bereft.contains(sender) {
            return Ok(listed);
        }
        let fits = |record: &NameRecord| record.sender == sender;
        Ok(self.names_that(listed.to_vec(), here, fits).into())
    }

    fn listed_of(&self, sender: &[u8]) -> Result<Rc<[Name]>, V::Error> {
        if let Some(listed) = self.read.borrow().owned.get(sender) {
            return Ok(Rc::clone(listed));
        }
        let listed: Rc<[Name]> = self.base.names_of_sender(sender)?.into();
        if listed.len() <= NAMES_KEPT {
            let owned = &mut self.read.borrow_mut().owned;
            owned.insert(sender.to_vec(), Rc::clone(&listed));
        }
        Ok(listed)
    }

    /// Names that an index of the base lists, in order, plus those that the block put under the same key, if their rows
    /// fit now.
    fn names_that(
        &self,
        listed: Vec<Name>,
        put: Option<&BTreeSet<Name>>,
        fits: impl Fn(&NameRecord) -> bool,
    ) -> Vec<Name> {
        let fits_now = |name: &Name| {
            let changed = self.changes.names.get(name);
            changed.is_none_or(|change| change.after.as_ref().is_some_and(&fits))
        };
        let mut names = listed;
        names.retain(fits_now);
        if let Some(put) = put {
            names.extend(put.iter().filter(|name| fits_now(name)).cloned());
            names.sort_unstable();
            names.dedup(); // one that came back is in both
        }
        names
    }
}

/// Rows after a block, of a kind that no block removes.
fn rows_after<K: Ord, T>(changed: BTreeMap<K, Change<T>>) -> impl Iterator<Item = T> {
    changed.into_values().filter_map(|change| change.after)
}

/// The row as the block left it, or as the base has it.
fn current<K: Ord, T: Clone, E>(
    rows: &BTreeMap<K, Change<T>>,
    key: &K,
    base: impl FnOnce() -> Result<Option<T>, E>,
) -> Result<Option<T>, E> {
    rows.get(key)
        .map_or_else(base, |change| Ok(change.after.clone()))
}

fn put<K: Ord, T, E>(
    rows: &mut BTreeMap<K, Change<T>>,
    key: K,
    after: Option<T>,
    before: impl FnOnce(&K) -> Result<Option<T>, E>,
) -> Result<(), E> {
    if let Some(change) = rows.get_mut(&key) {
        change.after = after;
    } else {
        let before = before(&key)?;
        rows.insert(key, Change { before, after });
    }
    Ok(())
}

impl<V: View> SnapshotView for Pending<'_, V> {
    type Error = V::Error;

    fn consensus_hash(&self, height: u32) -> Result<Option<ConsensusHash>, V::Error> {
        match self.newest {
            Some((tip, newest)) if height > tip => Ok(Some(newest)),
            _ => self.base.consensus_hash(height),
        }
    }
}

impl<V: View> View for Pending<'_, V> {
    fn name(&self, name: &Name) -> Result<Option<NameRecord>, V::Error> {
        if let Some(change) = self.changes.names.get(name) {
            return Ok(change.after.clone());
        }
        if let Some(row) = self.read.borrow().names.get(name) {
            return Ok(row.as_deref().cloned());
        }
        let row = self.base.name(name)?;
        let kept = &mut self.read.borrow_mut().names;
        if kept.len() < ROWS_KEPT {
            kept.insert(name.clone(), row.clone().map(Box::new));
        }
        Ok(row)
    }

    fn name_by_hash128(&self, hash: &NameHash128) -> Result<Option<Name>, V::Error> {
        match self.created.get(hash) {
            Some(name) => Ok(Some(name.clone())),
            None => self.base.name_by_hash128(hash),
        }
    }

    fn names_of_sender(&self, sender: &[u8]) -> Result<Vec<Name>, V::Error> {
        Ok(self.owned_by(sender)?.to_vec())
    }

    fn names_of_preorder(&self, hash: &PreorderHash) -> Result<Vec<Name>, V::Error> {
        let listed = self.base.names_of_preorder(hash)?;
        Ok(
            self.names_that(listed, self.by_preorder.get(hash), |record| {
                record.preorder_hash == *hash
            }),
        )
    }

    fn namespace(&self, id: &NamespaceId) -> Result<Option<NamespaceRecord>, V::Error> {
        current(&self.changes.namespaces, id, || self.base.namespace(id))
    }

    fn namespace_has_preorder(&self, hash: &PreorderHash) -> Result<bool, V::Error> {
        let rows = self.changes.namespaces.values();
        let carries = |row: &Option<NamespaceRecord>| {
            row.as_ref()
                .is_some_and(|record| record.preorder_hash == *hash)
        };
        if rows.clone().any(|change| carries(&change.after)) {
            return Ok(true);
        }
        // A row that this block replaced no longer counts, and ids never share a commitment otherwise.
        let replaced = rows.clone().any(|change| carries(&change.before));
        Ok(!replaced && self.base.namespace_has_preorder(hash)?)
    }

    fn preorders(&self, hash: &PreorderHash) -> Result<Vec<Preorder>, V::Error> {
        let changed = &self.changes.preorders;
        let mut rows = self.preorders_in_base(hash)?;
        rows.retain(|row| !changed.contains_key(&row.key()));
        let here = changed.range(PreorderKey::all_of(*hash));
        rows.extend(here.filter_map(|(_, change)| change.after.clone()));
        rows.sort_unstable_by_key(Preorder::key);
        Ok(rows)
    }

    fn keychain(&self, id: &NamespaceId) -> Result<Option<ImportKeychain>, V::Error> {
        current(&self.changes.keychains, id, || self.base.keychain(id))
    }

    fn account(&self, address: &Address) -> Result<Option<Account>, V::Error> {
        current(&self.changes.accounts, address, || {
            self.base.account(address)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::bns::samples;
    use crate::bns::state::State;
    use crate::hash::OpsHash;
    use crate::virtualchain::Snapshot;

    const ZEROS: Snapshot = Snapshot {
        ops_hash: OpsHash([0; 32]),
        consensus_hash: ConsensusHash([0; 16]),
    };

    /// A name of a few, with an owner of a few.
    fn record((name, owner): (u8, u8)) -> NameRecord {
        let owner = Address::P2pkh([owner; 20]);
        samples::name_record(&format!("name{name}.test"), owner, 1)
    }

    proptest! {
        /// Whose names are which: in the middle of a block the same as after it.
        #[test]
        fn owners_are_those_of_the_block_so_far(
            before in vec((0u8..12, 0u8..3), 0..20),
            here in vec((0u8..12, 0u8..3), 0..20),
            most in 0usize..12,
        ) {
            let mut state = State::default();
            let mut first = Pending::new(&state);
            for owned in before {
                first.put_name(record(owned)).expect("memory");
            }
            let changes = first.into_changes();
            state.connect(1, &changes, ZEROS);
            let mut pending = Pending::new(&state);
            for owned in here {
                pending.put_name(record(owned)).expect("memory");
                let mut after = state.clone();
                after.connect(2, &pending.changes, ZEROS);
                for owner in 0..3 {
                    let owner = Address::P2pkh([owner; 20]).script();
                    let names = after.names_of_sender(&owner).expect("memory");
                    let found = pending.owned_by(&owner).expect("memory");
                    prop_assert_eq!(&found[..], &names[..]);
                    for most in [most, 11] {
                        let has = pending.surely_has_at_most(&owner, most).expect("memory");
                        prop_assert!(!has || names.len() <= most);
                    }
                }
            }
            let untouched = Pending::new(&state);
            let owner = Address::P2pkh([0; 20]).script();
            let all = state.names_of_sender(&owner).expect("memory").len();
            for most in [most, 11, all] {
                let has = untouched.surely_has_at_most(&owner, most).expect("memory");
                prop_assert_eq!(has, all <= most);
            }
        }
    }
}
