//! What one block changes: rows before and after, and the way back.

use std::collections::BTreeMap;

use bitcoin::Txid;

use super::address::Address;
use super::name::{Name, NamespaceId};
use super::params::Params;
use super::record::{Account, ImportKeychain, NameRecord, NamespaceRecord, Preorder, PreorderKey};

/// One row before and after; `None` is "no row".
#[derive(Debug, Clone, PartialEq)]
pub struct Change<T> {
    /// The row before the block.
    pub before: Option<T>,
    /// The row after it.
    pub after: Option<T>,
}

impl<T> Change<T> {
    /// A row that is new.
    pub(super) fn insertion(row: T) -> Self {
        Self {
            before: None,
            after: Some(row),
        }
    }

    /// A row that goes.
    pub(super) fn removal(row: T) -> Self {
        Self {
            before: Some(row),
            after: None,
        }
    }

    /// The change that leads back.
    fn inverse(self) -> Self {
        Self {
            before: self.after,
            after: self.before,
        }
    }
}

/// Every row that a block changes. Applying it and then its [inverse](Changes::inverse) changes nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    /// Names.
    pub names: BTreeMap<Name, Change<NameRecord>>,
    /// Namespaces.
    pub namespaces: BTreeMap<NamespaceId, Change<NamespaceRecord>>,
    /// Unspent preorders.
    pub preorders: BTreeMap<PreorderKey, Change<Preorder>>,
    /// Import keychains.
    pub keychains: BTreeMap<NamespaceId, Change<ImportKeychain>>,
    /// Token accounts.
    pub accounts: BTreeMap<Address, Change<Account>>,
    /// What each accepted operation left behind, in block order: the block's part of the history.
    pub events: Vec<Event>,
}

/// The row that one accepted operation left behind (sm §1, `history`).
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Position of the operation in its block.
    pub vtxindex: u32,
    /// Its transaction.
    pub txid: Txid,
    /// The resulting row.
    pub row: EventRow,
}

/// Which row it is.
#[derive(Debug, Clone, PartialEq)]
pub enum EventRow {
    /// Registration, renewal, update, transfer, revocation or import.
    Name(NameRecord),
    /// Reveal or ready.
    Namespace(NamespaceRecord),
}

impl Changes {
    /// The changes that lead back. Events are not changes of state and are left out.
    #[must_use]
    pub fn inverse(self) -> Self {
        Self {
            names: invert(self.names),
            namespaces: invert(self.namespaces),
            preorders: invert(self.preorders),
            keychains: invert(self.keychains),
            accounts: invert(self.accounts),
            events: Vec::new(),
        }
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
            && self.namespaces.is_empty()
            && self.preorders.is_empty()
            && self.keychains.is_empty()
            && self.accounts.is_empty()
    }
}

fn invert<K: Ord, T>(rows: BTreeMap<K, Change<T>>) -> BTreeMap<K, Change<T>> {
    let inverse = |(key, change): (K, Change<T>)| (key, change.inverse());
    rows.into_iter().map(inverse).collect()
}

impl Params {
    /// The rows that exist before the first block: one token account for each genesis entry.
    pub fn genesis_changes(&self) -> Changes {
        let mut changes = Changes::default();
        for &(address, value) in &self.genesis_accounts {
            let mut account = Account::new(address);
            account.credit_value = u128::from(value);
            let change = Change::insertion(account);
            changes.accounts.insert(address, change);
        }
        changes
    }
}
