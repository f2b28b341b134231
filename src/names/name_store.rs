//! Where [`Names`] come from: the database, the archive, and how far the index is.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use quick_cache::sync::Cache;

use super::index::NameIndex;
use super::news::{News, Turns};
use super::page_starts::PageStarts;
use super::view::{Names, Namespaces};
use super::zone::Zones;
use crate::bns::NamespaceId;
use crate::bns::address::AddressVersions;
use crate::bns::params::Params;
use crate::clock::Clock;
use crate::progress::Progress;
use crate::resolver::{Snapshots, SyncState};
use crate::store::{Archive, DirectoryLock, Offchain, Store, Subdomains};
use crate::tlsa::OwnKeys;

/// An index that reached its source's tip this recently is at the tip.
const AT_TIP: Duration = Duration::from_secs(10);
/// Namespaces that are kept.
const NAMESPACES_MAX: usize = 64;

/// What names rest on that come from an export.
#[derive(Debug)]
pub struct Exported {
    /// One sentence without a full stop.
    pub rests_on: String,
    /// Of the data directory: their database is in a directory of its own there.
    pub lock: DirectoryLock,
}

/// The names of a virtualchain.
pub struct NameStore {
    /// The constants of the chain.
    pub params: Arc<Params>,
    /// The chain of Bitcoin that carries it.
    pub carrier: bitcoin::Network,
    /// Its state.
    pub store: Arc<Store>,
    /// The zone files.
    pub archive: Arc<Archive>,
    /// How far the index is.
    pub progress: Arc<Progress>,
    /// For the lag.
    pub clock: Arc<dyn Clock>,
    /// What is known beside the chain; nothing where nobody needs it.
    pub offchain: Option<Arc<Offchain>>,
    /// The namespaces whose zone files are fetched from others; none for all.
    pub chosen: Vec<NamespaceId>,
    /// What becomes of the data keys of names.
    pub own_keys: OwnKeys,
    /// Set where the names come from an export and not from a chain.
    pub exported: Option<Exported>,
    /// The records of subdomains; `None` where nobody reads them.
    pub subdomains: Option<Arc<Subdomains>>,
    /// How names stand at the tip, in memory; `None` where nobody keeps that.
    pub index: Option<Arc<NameIndex>>,
    pub(super) turns: Mutex<Turns>,
    pub(super) news: News,
    pub(super) zones: Zones,
    pub(super) namespaces: Namespaces,
    pub(super) page_starts: PageStarts,
}

impl NameStore {
    /// Names of `store` with the zone files of `archive`. Their carrier is taken to be the main chain or a private one, by its
    /// addresses.
    pub fn new(
        params: Arc<Params>,
        store: Arc<Store>,
        archive: Arc<Archive>,
        progress: Arc<Progress>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            carrier: match params.addresses == AddressVersions::MAINNET {
                true => bitcoin::Network::Bitcoin,
                false => bitcoin::Network::Regtest,
            },
            offchain: None,
            chosen: Vec::new(),
            own_keys: OwnKeys::Published,
            exported: None,
            subdomains: None,
            index: None,
            turns: Mutex::default(),
            news: News::of(&store, &archive),
            zones: Zones::new(Arc::clone(&archive)),
            namespaces: Cache::new(NAMESPACES_MAX),
            page_starts: PageStarts::default(),
            params,
            store,
            archive,
            progress,
            clock,
        }
    }

    /// Forgets all zones, so that their files are read again.
    pub fn forget_zones(&self) {
        self.zones.forget();
    }

    /// The names at an indexed height; `None` if it is not indexed.
    pub fn at(self: &Arc<Self>, height: u32) -> Option<Names> {
        let names = self.snapshot();
        let tip = names.at?;
        (height <= tip && height >= self.params.first_block).then(|| Names {
            at: Some(height),
            ..names
        })
    }
}

impl Snapshots for Arc<NameStore> {
    type Source = Names;

    fn snapshot(&self) -> Names {
        let snapshot = self.store.snapshot();
        Names {
            from: Self::clone(self),
            at: snapshot.tip().map(|tip| tip.height),
            sync: self.sync_state(),
            snapshot,
            now: self.clock.elapsed(),
        }
    }

    /// Within [`AT_TIP`] of the last time that the source had nothing new the index counts as synced; in a run that has
    /// not come so far, the age of the tip is the lag. At the end of a network nothing is behind, whatever the source does.
    fn sync_state(&self) -> SyncState {
        if self.store.damage().is_some() {
            return SyncState::Damaged;
        }
        let (progress, clock) = (&self.progress, &self.clock);
        let (indexed, tip) = (progress.height(), progress.best_height());
        if progress.is_filling() {
            return SyncState::Filling { indexed };
        }
        if !progress.has_ever_synced() {
            let held = progress.is_held();
            return SyncState::NeverSynced { indexed, tip, held };
        }
        if progress.is_forked() {
            return SyncState::Forked { indexed };
        }
        if self.params.last_block == Some(indexed) {
            return SyncState::Synced;
        }
        let lag = match progress.synced_at() {
            Some(at) => clock.elapsed().saturating_sub(at),
            None => {
                let tip_time = progress.block_time().into();
                Duration::from_secs(clock.unix_time().saturating_sub(tip_time))
            }
        };
        if lag <= AT_TIP {
            SyncState::Synced
        } else {
            let held = progress.is_held();
            SyncState::Behind {
                indexed,
                tip,
                lag,
                held,
            }
        }
    }
}
