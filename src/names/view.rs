//! The names at one height.

use std::sync::Arc;
use std::time::Duration;

use bitcoin::hashes::Hash as _;
use bitcoin::{BlockHash, Txid};
use quick_cache::sync::Cache;

use super::name_store::NameStore;
use super::state::{NameState, NamespaceState};
use crate::bns::life::{Life, Term};
use crate::bns::name::{Name, NamespaceId};
use crate::bns::record::{NameOp, NameRecord, NamespaceRecord};
use crate::bns::subdomain::Subdomain;
use crate::hash::ZonefileHash;
use crate::resolver::{
    NameSource, NameStatus, NamespaceStatus, RegisteredName, SubdomainStatus, SyncState, ZoneStatus,
};
use crate::store::{ArchiveError, HistoryEntry, Standing, StoreError, StoreSnapshot, Subdomains};
use crate::tlsa::{Holder, Registration};
use crate::zonefile::Compiled;

/// Namespaces as of a block and a height: every question needs one, and there are few.
pub(super) type Namespaces =
    Cache<(NamespaceId, BlockHash, u32), Option<Arc<HistoryEntry<NamespaceRecord>>>>;

/// The names at one height.
pub struct Names {
    pub(super) from: Arc<NameStore>,
    pub(super) snapshot: Arc<StoreSnapshot>,
    pub(super) at: Option<u32>,
    pub(super) sync: SyncState,
    /// Since the start.
    pub(super) now: Duration,
}

/// Why names cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum NamesError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

impl Names {
    /// The state that they are read from.
    pub fn snapshot(&self) -> &StoreSnapshot {
        &self.snapshot
    }

    /// The same names at another height.
    pub(super) fn as_of(&self, at: Option<u32>) -> Self {
        Self {
            from: Arc::clone(&self.from),
            snapshot: Arc::clone(&self.snapshot),
            at,
            sync: self.sync,
            now: self.now,
        }
    }

    /// The last operation on a name up to this height, with the record after it.
    pub fn entry(&self, name: &Name) -> Result<Option<HistoryEntry<NameRecord>>, StoreError> {
        match self.at {
            Some(height) => self.snapshot.name_at(name, height),
            None => Ok(None),
        }
    }

    /// The namespace of a name at this height.
    pub fn namespace_entry(
        &self,
        id: &NamespaceId,
    ) -> Result<Option<Arc<HistoryEntry<NamespaceRecord>>>, StoreError> {
        let (Some(height), Some(tip)) = (self.at, self.snapshot.tip()) else {
            return Ok(None);
        };
        let key = (id.clone(), tip.hash, height);
        self.from.namespaces.get_or_insert_with(&key, || {
            let entry = self.snapshot.namespace_at(id, height)?;
            Ok(entry.map(Arc::new))
        })
    }

    /// How a name stands after the last operation on it: from memory if that is of this moment.
    fn standing(&self, name: &Name) -> Result<Option<Standing>, StoreError> {
        match (self.at, self.indexed(name)) {
            (None, _) => Ok(None),
            (Some(_), Some(indexed)) => Ok(indexed),
            (Some(height), None) => self.snapshot.standing_at(name, height),
        }
    }

    /// The same from memory; `None` if that is not of this moment, or the database is damaged.
    pub(super) fn indexed(&self, name: &Name) -> Option<Option<Standing>> {
        let is_tip = self.at == self.snapshot.tip().map(|tip| tip.height);
        let index = self.from.index.as_ref().filter(|_| is_tip)?;
        match self.sync {
            SyncState::Damaged => None,
            _ => index.standing(name.as_str().as_bytes(), self.snapshot.commit()),
        }
    }

    /// How the name with this life stands, and the end of its term.
    pub(super) fn state(&self, name: &Name, life: Life) -> Result<(NameState, Term), StoreError> {
        let id = name.namespace_id();
        let namespace = id.map_or(Ok(None), |id| self.namespace_entry(&id))?;
        let namespace = namespace.as_ref().map(|entry| &entry.record);
        let height = self.at.unwrap_or(0);
        Ok(NameState::of(&self.from.params, life, namespace, height))
    }

    /// Whether somebody who owned the name before announced its zone file: a transfer can keep the hash, and a renewal can
    /// change the owner.
    fn is_of_former_owner(&self, record: &NameRecord) -> Result<bool, StoreError> {
        if !matches!(record.op, NameOp::TransferKeep | NameOp::Renew) {
            return Ok(false);
        }
        let history = self.snapshot.name_history(&record.name)?;
        let upto = self.at.unwrap_or(0);
        let mut earlier = history.iter().filter(|entry| entry.height <= upto).rev();
        let mut announced = record.address();
        while let Some(entry) = earlier.next()
            && entry.record.value_hash == record.value_hash
        {
            announced = entry.record.address();
            if !matches!(entry.record.op, NameOp::TransferKeep | NameOp::Renew) {
                break;
            }
        }
        Ok(announced != record.address())
    }

    /// Whether this is the last height of a network that ended: they stand so for ever.
    pub fn is_final(&self) -> bool {
        self.at
            .is_some_and(|height| Some(height) == self.from.params.last_block)
    }

    /// The height that the rules are asked about: that of the next block.
    pub fn next(&self) -> u32 {
        self.at.map_or(self.from.params.first_block, |height| {
            height.saturating_add(1)
        })
    }
}

impl NameSource for Names {
    type Error = NamesError;

    fn height(&self) -> Option<u32> {
        self.at
    }

    fn sync(&self) -> SyncState {
        self.sync
    }

    fn namespace(&self, id: &NamespaceId) -> Result<NamespaceStatus, NamesError> {
        let Some(entry) = self.namespace_entry(id)? else {
            return Ok(NamespaceStatus::Absent);
        };
        let height = self.at.unwrap_or(0);
        Ok(
            match NamespaceState::of(&self.from.params, &entry.record, height) {
                NamespaceState::Ready => NamespaceStatus::Ready {
                    last_change_height: entry.height,
                },
                NamespaceState::Revealed => NamespaceStatus::Revealed,
                NamespaceState::Free => NamespaceStatus::Absent,
            },
        )
    }

    fn name(&self, name: &Name) -> Result<NameStatus, NamesError> {
        let Some(standing) = self.standing(name)? else {
            return Ok(NameStatus::Unregistered);
        };
        let (state, term) = self.state(name, standing.life)?;
        Ok(match (state, term.last_resolves) {
            (NameState::Free, None) => NameStatus::Unregistered,
            (NameState::Free, Some(last_resolved)) => NameStatus::Expired { last_resolved },
            (NameState::Revoked, _) => NameStatus::Revoked {
                height: standing.height,
            },
            (NameState::Registered | NameState::Grace, last_resolves) => {
                NameStatus::Registered(RegisteredName {
                    last_change_height: standing.height,
                    last_resolves,
                    zonefile_hash: standing.zonefile,
                })
            }
        })
    }

    fn zone(&self, name: &Name, hash: &ZonefileHash) -> Result<ZoneStatus, NamesError> {
        Ok(self.from.zones.get(name.as_str(), hash, self.now)?)
    }

    fn compiled(&self, name: &Name, hash: &ZonefileHash) -> Result<Option<Compiled>, NamesError> {
        Ok(self.from.zones.compiled(name, hash)?)
    }

    fn has_zonefile(&self, hash: &ZonefileHash) -> Result<bool, NamesError> {
        Ok(self.from.zones.still_has(hash)?)
    }

    fn may_have_subdomains(&self, name: &Name) -> Result<bool, NamesError> {
        let carries = |subdomains: &Arc<Subdomains>| subdomains.are_below(name);
        Ok(self.from.subdomains.as_ref().is_some_and(carries) || !self.subdomains_are_read()?)
    }

    fn subdomain(&self, label: &[u8], name: &Name) -> Result<SubdomainStatus, NamesError> {
        let Ok(subdomain) = Subdomain::new(label, name.clone()) else {
            return Ok(SubdomainStatus::Absent);
        };
        let carries = |subdomains: &Arc<Subdomains>| subdomains.are_below(name);
        let found = match self.from.subdomains.as_ref().is_some_and(carries) {
            true => self.accepted(&subdomain)?,
            false => None,
        };
        // An accepted one could be a former owner's.
        if !self.subdomains_are_read()? {
            return Ok(SubdomainStatus::NotRead);
        }
        Ok(found.map_or(SubdomainStatus::Absent, SubdomainStatus::Accepted))
    }

    fn subdomain_zone(
        &self,
        subdomain: &Subdomain,
        hash: &ZonefileHash,
    ) -> Result<ZoneStatus, NamesError> {
        Ok(self
            .from
            .zones
            .get(&subdomain.to_string(), hash, self.now)?)
    }

    fn holder(&self, name: &Name, hash: &ZonefileHash) -> Result<Holder, NamesError> {
        let entry = self.entry(name)?;
        let time = match self.at {
            Some(height) => self.snapshot.block(height)?.map(|block| block.time),
            None => None,
        };
        let record = entry.as_ref().map(|entry| &entry.record);
        Ok(Holder {
            registration: Registration {
                magic: self.from.params.magic,
                first_block: self.from.params.first_block,
                height: record.map_or(0, |record| record.first_registered),
            },
            owner: record.and_then(NameRecord::address),
            is_former: record.map_or(Ok(true), |record| self.is_of_former_owner(record))?,
            time: time.unwrap_or(0),
            height: entry.as_ref().map_or(0, |entry| entry.height),
            txid: record.map_or_else(Txid::all_zeros, |record| record.txid),
            zonefile: *hash,
            own_keys: self.from.own_keys,
            subdomains: self.labels_below(name)?,
        })
    }
}
