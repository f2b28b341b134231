//! The resolver's view of names, read from the store and the archive.
//!
//! A [`Names`] is one moment: a snapshot of the store and a height in it, usually the tip. Everything is read
//! from the history at that height, so that a question about the past is the same question. A zone file's
//! bytes are hashed on every read; what does not fit its hash is never parsed. Zones that were parsed are kept, and
//! their files looked at again when that was last done more than [`TRUST`] ago.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bitcoin::BlockHash;
use hickory_proto::rr::Name as DnsName;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::bns::life;
use crate::bns::name::{Name, NamespaceId};
use crate::bns::params::Params;
use crate::clock::Clock;
use crate::hash::ZonefileHash;
use crate::progress::Progress;
use crate::resolver::{
    NameSource, NameStatus, NamespaceStatus, RegisteredName, Snapshots, SyncState, ZoneStatus,
};
use crate::store::{
    Archive, ArchiveError, HistoryEntry, Lookup, NamespaceHistoryEntry, Store, StoreError,
    StoreSnapshot,
};
use crate::zonefile::{self, Zone};

/// An index that reached its source's tip this recently is at the tip.
const AT_TIP: Duration = Duration::from_secs(10);

/// For how long a zone file that had its hash is believed to have it still: a file that somebody changed is
/// noticed at once by people's standards, and a busy name costs nothing.
pub const TRUST: Duration = Duration::from_secs(1);
/// Bytes of zones that are kept.
const ZONES_MAX: u64 = 16 << 20;
/// What a byte of a zone file weighs once it is arranged for questions.
const ZONE_FACTOR: usize = 4;
/// The same for a zone with next to nothing in it.
const ZONE_LEAST: usize = 512;

/// Where moments come from.
pub struct NameStore {
    /// The constants of the chain.
    pub params: Arc<Params>,
    /// Its state.
    pub store: Arc<Store>,
    /// The zone files.
    pub archive: Arc<Archive>,
    /// How far the index is.
    pub progress: Arc<Progress>,
    /// For the lag.
    pub clock: Arc<dyn Clock>,
    zones: Arc<Zones>,
    namespaces: Arc<Namespaces>,
}

/// Namespaces as of a block and a height: every question needs one, and there are few.
type Namespaces = Cache<(NamespaceId, BlockHash, u32), Option<Arc<NamespaceHistoryEntry>>>;

/// Namespaces that are kept.
const NAMESPACES_MAX: usize = 64;

/// Zones by the name that they were read as, and their files' hashes.
type Zones = Cache<(Name, ZonefileHash), Arc<KeptZone>, ZoneWeight>;

/// A zone whose file had its hash.
struct KeptZone {
    zone: Arc<Zone>,
    /// Bytes of the file.
    size: usize,
    /// When its file was last looked at, in milliseconds.
    looked: AtomicU64,
}

#[derive(Clone)]
struct ZoneWeight;

impl Weighter<(Name, ZonefileHash), Arc<KeptZone>> for ZoneWeight {
    fn weight(&self, _: &(Name, ZonefileHash), kept: &Arc<KeptZone>) -> u64 {
        (ZONE_LEAST + kept.size * ZONE_FACTOR) as u64
    }
}

impl NameStore {
    /// Names of `store` with the zone files of `archive`.
    pub fn new(
        params: Arc<Params>,
        store: Arc<Store>,
        archive: Arc<Archive>,
        progress: Arc<Progress>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let items = ZONES_MAX as usize / (ZONE_LEAST * ZONE_FACTOR);
        Self {
            params,
            store,
            archive,
            progress,
            clock,
            zones: Arc::new(Cache::with_weighter(items, ZONES_MAX, ZoneWeight)),
            namespaces: Arc::new(Cache::new(NAMESPACES_MAX)),
        }
    }

    /// Forgets all zones, so that their files are read again.
    pub fn forget_zones(&self) {
        self.zones.clear();
    }

    /// The names at an indexed height; `None` if it is not indexed.
    pub fn at(&self, height: u32) -> Option<Names> {
        let names = self.snapshot();
        let tip = names.at?;
        (height <= tip && height >= self.params.first_block).then(|| Names {
            at: Some(height),
            ..names
        })
    }
}

impl Snapshots for NameStore {
    type Source = Names;

    fn snapshot(&self) -> Names {
        let snapshot = self.store.snapshot();
        Names {
            at: snapshot.tip().map(|tip| tip.height),
            sync: self.sync_state(),
            snapshot,
            params: Arc::clone(&self.params),
            archive: Arc::clone(&self.archive),
            zones: Arc::clone(&self.zones),
            namespaces: Arc::clone(&self.namespaces),
            now: self.clock.elapsed(),
        }
    }

    fn sync_state(&self) -> SyncState {
        sync_state(&self.progress, &*self.clock)
    }
}

/// How far the index is behind. Within [`AT_TIP`] of the last time that the source had nothing new it counts as
/// synced; in a run that has not come so far, the age of the tip is the lag.
fn sync_state(progress: &Progress, clock: &dyn Clock) -> SyncState {
    let (indexed, tip) = (progress.height(), progress.best_height());
    if !progress.has_ever_synced() {
        return SyncState::NeverSynced { indexed, tip };
    }
    if progress.is_forked() {
        return SyncState::Forked { indexed };
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
        SyncState::Behind { indexed, tip, lag }
    }
}

/// Shared by the handler and by those who explain its answers.
impl Snapshots for Arc<NameStore> {
    type Source = Names;

    fn snapshot(&self) -> Names {
        (**self).snapshot()
    }

    fn sync_state(&self) -> SyncState {
        (**self).sync_state()
    }
}

/// The names at one height.
pub struct Names {
    snapshot: Arc<StoreSnapshot>,
    at: Option<u32>,
    sync: SyncState,
    params: Arc<Params>,
    archive: Arc<Archive>,
    zones: Arc<Zones>,
    namespaces: Arc<Namespaces>,
    now: Duration,
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

    /// The last operation on a name up to this height, with the record after it.
    pub fn entry(&self, name: &Name) -> Result<Option<HistoryEntry>, StoreError> {
        match self.at {
            Some(height) => self.snapshot.name_at(name, height),
            None => Ok(None),
        }
    }

    /// The namespace of a name at this height.
    pub fn namespace_entry(
        &self,
        id: &NamespaceId,
    ) -> Result<Option<Arc<NamespaceHistoryEntry>>, StoreError> {
        let (Some(height), Some(tip)) = (self.at, self.snapshot.tip()) else {
            return Ok(None);
        };
        let key = (id.clone(), tip.hash, height);
        self.namespaces.get_or_insert_with(&key, || {
            let entry = self.snapshot.namespace_at(id, height)?;
            Ok(entry.map(Arc::new))
        })
    }

    /// What is there of a zone file now, whatever was read of it before.
    pub fn read_zone(&self, name: &Name, hash: &ZonefileHash) -> Result<ZoneStatus, ArchiveError> {
        let bytes = match self.read_bytes(hash)? {
            Ok(bytes) => bytes,
            Err(trouble) => return Ok(trouble),
        };
        let origin = DnsName::from_labels([name.label().as_bytes(), name.namespace().as_bytes()]);
        let zone = origin
            .map_err(|error| error.to_string())
            .and_then(|origin| zonefile::parse(&origin, &bytes).map_err(|error| error.to_string()));
        Ok(match zone {
            Ok(zone) => {
                let zone = Arc::new(zone);
                let kept = KeptZone {
                    zone: Arc::clone(&zone),
                    size: bytes.len(),
                    looked: AtomicU64::new(self.now.as_millis() as u64),
                };
                self.zones.insert((name.clone(), *hash), Arc::new(kept));
                ZoneStatus::Loaded(zone)
            }
            Err(reason) => ZoneStatus::Unreadable(*hash, reason),
        })
    }

    /// The bytes with this hash, or why there are none.
    fn read_bytes(&self, hash: &ZonefileHash) -> Result<Result<Vec<u8>, ZoneStatus>, ArchiveError> {
        Ok(match self.archive.get(hash)? {
            Lookup::Found(bytes) => Ok(bytes),
            Lookup::Absent => Err(ZoneStatus::Missing(*hash)),
            Lookup::Tampered { .. } => Err(ZoneStatus::Tampered(*hash)),
        })
    }

    /// A zone that was parsed before, as long as its file has its hash.
    fn kept_zone(&self, kept: &KeptZone, hash: &ZonefileHash) -> Result<ZoneStatus, ArchiveError> {
        let now = self.now.as_millis() as u64;
        let looked = kept.looked.load(Ordering::Relaxed);
        if now.saturating_sub(looked) >= TRUST.as_millis() as u64 {
            if !self.archive.contains(hash)?
                && let Err(trouble) = self.read_bytes(hash)?
            {
                return Ok(trouble);
            }
            kept.looked.store(now, Ordering::Relaxed);
        }
        Ok(ZoneStatus::Loaded(Arc::clone(&kept.zone)))
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
        let height = self.at.unwrap_or(0);
        Ok(match self.namespace_entry(id)? {
            Some(entry) if life::is_ready(&entry.record) => NamespaceStatus::Ready {
                last_change_height: entry.height,
            },
            Some(entry) if life::is_revealed(&self.params, &entry.record, height) => {
                NamespaceStatus::Revealed
            }
            _ => NamespaceStatus::Absent,
        })
    }

    fn name(&self, name: &Name) -> Result<NameStatus, NamesError> {
        let (Some(height), Some(id)) = (self.at, name.namespace_id()) else {
            return Ok(NameStatus::Unregistered);
        };
        let (Some(entry), Some(namespace)) = (self.entry(name)?, self.namespace_entry(&id)?) else {
            return Ok(NameStatus::Unregistered);
        };
        let record = &entry.record;
        let end = life::end(&self.params, record, &namespace.record, height);
        if !life::is_live(&self.params, record, Some(&namespace.record), height) {
            let end = end.and_then(|end| u32::try_from(end).ok());
            return Ok(
                end.map_or(NameStatus::Unregistered, |height| NameStatus::Expired {
                    height,
                }),
            );
        }
        if record.revoked {
            return Ok(NameStatus::Revoked {
                height: entry.height,
            });
        }
        Ok(NameStatus::Registered(RegisteredName {
            last_change_height: entry.height,
            expires_at: end.and_then(|end| u32::try_from(end).ok()),
            zonefile_hash: record.value_hash,
        }))
    }

    fn zone(&self, name: &Name, hash: &ZonefileHash) -> Result<ZoneStatus, NamesError> {
        Ok(match self.zones.get(&(name.clone(), *hash)) {
            Some(kept) => self.kept_zone(&kept, hash)?,
            None => self.read_zone(name, hash)?,
        })
    }
}
