//! Zone files as the resolver needs them: found by their hash, read as a name's, and kept.
//!
//! A zone file's bytes are hashed on every read; what does not have its hash is never parsed. Zones that were parsed are
//! kept, and their files looked at again when that was last done more than [`REREAD_AFTER`] ago.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hickory_proto::rr::Name as DnsName;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::bns::name::Name;
use crate::hash::ZonefileHash;
use crate::resolver::ZoneStatus;
use crate::store::{Archive, ArchiveError, Lookup};
use crate::zonefile::{self, Compiled, Zone};

/// After this time an answer made from a zone file is not given again before its file was looked at: a file that somebody
/// changed is noticed at once by people's standards, and a busy name costs nothing.
pub const REREAD_AFTER: Duration = Duration::from_secs(1);
/// Bytes of zones that are kept. Most answers are copied from compiled ones, which are kept beside the replies.
const ZONES_MAX: u64 = 8 << 20;
/// What a byte of a zone file weighs once it is arranged for questions.
const ZONE_FACTOR: usize = 4;
/// The same for a zone with next to nothing in it.
const ZONE_LEAST: usize = 512;

/// Whose zone file it is, as text, and its hash.
type Key = (Box<str>, ZonefileHash);

/// The zone files of an archive, read.
pub(super) struct Zones {
    archive: Arc<Archive>,
    kept: Cache<Key, Arc<KeptZone>, ZoneWeight>,
}

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

impl Weighter<Key, Arc<KeptZone>> for ZoneWeight {
    fn weight(&self, _: &Key, kept: &Arc<KeptZone>) -> u64 {
        (ZONE_LEAST + kept.size * ZONE_FACTOR) as u64
    }
}

impl Zones {
    /// The zone files of `archive`, none read yet.
    pub(super) fn new(archive: Arc<Archive>) -> Self {
        let items = ZONES_MAX as usize / (ZONE_LEAST * ZONE_FACTOR);
        Self {
            archive,
            kept: Cache::with_weighter(items, ZONES_MAX, ZoneWeight),
        }
    }

    /// Forgets all zones, so that their files are read again.
    pub(super) fn forget(&self) {
        self.kept.clear();
    }

    /// The zone of a name or subdomain, kept or read. `now` is the time since the start.
    pub(super) fn get(
        &self,
        name: &str,
        hash: &ZonefileHash,
        now: Duration,
    ) -> Result<ZoneStatus, ArchiveError> {
        match self.kept.get(&(name.into(), *hash)) {
            Some(kept) => self.look_again(&kept, hash, now),
            None => self.read(name, hash, now),
        }
    }

    /// The same, read from its file whatever is kept.
    pub(super) fn read(
        &self,
        name: &str,
        hash: &ZonefileHash,
        now: Duration,
    ) -> Result<ZoneStatus, ArchiveError> {
        let bytes = match self.read_bytes(hash)? {
            Ok(bytes) => bytes,
            Err(trouble) => return Ok(trouble),
        };
        let zone = match parse(name, &bytes) {
            Ok(zone) => Arc::new(zone),
            Err(reason) => return Ok(ZoneStatus::Unreadable(*hash, reason)),
        };
        let kept = KeptZone {
            zone: Arc::clone(&zone),
            size: bytes.len(),
            looked: AtomicU64::new(now.as_millis() as u64),
        };
        self.kept.insert((name.into(), *hash), Arc::new(kept));
        Ok(ZoneStatus::Loaded(zone))
    }

    /// The compiled form that the archive keeps beside the zone file with this hash, if it is that of a name.
    pub(super) fn compiled(
        &self,
        name: &Name,
        hash: &ZonefileHash,
    ) -> Result<Option<Compiled>, ArchiveError> {
        thread_local! {
            static RECORD: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        RECORD.with_borrow_mut(|record| {
            let stored = self.archive.get_compiled(hash, record)?;
            let form = stored.and_then(|stored| stored.compiled);
            let compiled = form.and_then(|form| Compiled::read(form).ok());
            Ok(compiled.filter(|compiled| is_origin(compiled.origin(), name)))
        })
    }

    /// Whether the file with this hash is there, and has it.
    pub(super) fn has(&self, hash: &ZonefileHash) -> Result<bool, ArchiveError> {
        Ok(self.read_bytes(hash)?.is_ok())
    }

    /// The same for a file that had its hash when it was read: one that is gone or wrong is asked for.
    pub(super) fn still_has(&self, hash: &ZonefileHash) -> Result<bool, ArchiveError> {
        Ok(self.archive.contains(hash)? || self.has(hash)?)
    }

    /// The bytes with this hash, or why there are none.
    pub(super) fn read_bytes(
        &self,
        hash: &ZonefileHash,
    ) -> Result<Result<Vec<u8>, ZoneStatus>, ArchiveError> {
        Ok(match self.archive.ask(hash)? {
            Lookup::Found(bytes) => Ok(bytes),
            Lookup::Absent => Err(ZoneStatus::Missing(*hash)),
            Lookup::Tampered { .. } => Err(ZoneStatus::Tampered(*hash)),
        })
    }

    /// A zone that was parsed before, as long as its file has its hash.
    fn look_again(
        &self,
        kept: &KeptZone,
        hash: &ZonefileHash,
        now: Duration,
    ) -> Result<ZoneStatus, ArchiveError> {
        let now = now.as_millis() as u64;
        let looked = kept.looked.load(Ordering::Relaxed);
        if now.saturating_sub(looked) >= REREAD_AFTER.as_millis() as u64 {
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

/// Whether an origin in wire form and lower case is this name.
fn is_origin(origin: &[u8], name: &Name) -> bool {
    let [label, id] = [name.label(), name.namespace()];
    let [label_length, id_length] = [label, id].map(|part| [part.len() as u8]); // a name is short
    let parts: [&[u8]; 5] = [
        &label_length,
        label.as_bytes(),
        &id_length,
        id.as_bytes(),
        &[0],
    ];
    let rest = parts
        .iter()
        .try_fold(origin, |rest, part| rest.strip_prefix(*part));
    rest.is_some_and(<[u8]>::is_empty)
}

fn parse(name: &str, bytes: &[u8]) -> Result<Zone, String> {
    let origin = DnsName::from_labels(name.split('.').map(str::as_bytes));
    let origin = origin.map_err(|error| error.to_string())?;
    zonefile::parse(&origin, bytes).map_err(|error| error.to_string())
}
