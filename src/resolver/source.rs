//! What the resolver needs to know about names, as a trait that the store implements.
//!
//! One value is one moment: everything that it returns belongs to the same height.

use std::sync::Arc;
use std::time::Duration;

use crate::bns::name::{Name, NamespaceId};
use crate::bns::subdomain::Subdomain;
use crate::hash::ZonefileHash;
use crate::tlsa::{Bound, Holder};
use crate::zonefile::{Compiled, Zone};

/// The names as they were at one height.
pub trait NameSource {
    /// Why a read failed. Never shown to a client.
    type Error: std::fmt::Display;

    /// The indexed height; `None` before the first block.
    fn height(&self) -> Option<u32>;

    /// How far the index is behind its chain.
    fn sync(&self) -> SyncState;

    /// How far a namespace has come.
    fn namespace(&self, id: &NamespaceId) -> Result<NamespaceStatus, Self::Error>;

    /// What is known of a name.
    fn name(&self, name: &Name) -> Result<NameStatus, Self::Error>;

    /// What is there of the zone file with this hash, read as the name's.
    fn zone(&self, name: &Name, hash: &ZonefileHash) -> Result<ZoneStatus, Self::Error>;

    /// The compiled form that is kept beside the zone file with this hash, if there is one and it is the name's. The zone file
    /// has its hash in this moment, and binds no keys.
    fn compiled(&self, name: &Name, hash: &ZonefileHash) -> Result<Option<Compiled>, Self::Error>;

    /// Whether the zone file with this hash, which was read as the name's before, is still there and has its hash.
    fn has_zonefile(&self, hash: &ZonefileHash) -> Result<bool, Self::Error>;

    /// Whether a subdomain of a name is known, or may still be found; if not, [`Self::subdomain`] finds none.
    fn may_have_subdomains(&self, name: &Name) -> Result<bool, Self::Error>;

    /// What is known of the subdomain with a label below a name.
    fn subdomain(&self, label: &[u8], name: &Name) -> Result<SubdomainStatus, Self::Error>;

    /// What is there of the zone file with this hash, read as the subdomain's.
    fn subdomain_zone(
        &self,
        subdomain: &Subdomain,
        hash: &ZonefileHash,
    ) -> Result<ZoneStatus, Self::Error>;

    /// Who has a registered name with a zone file; asked where that binds keys.
    fn holder(&self, name: &Name, hash: &ZonefileHash) -> Result<Holder, Self::Error>;
}

/// What the zone file of a name binds in this moment; `None` where it says nothing about keys.
pub fn bound<S: NameSource>(
    name: &Name,
    hash: &ZonefileHash,
    zone: &Zone,
    source: &S,
) -> Result<Option<Bound>, S::Error> {
    if !Bound::is_in(zone) {
        return Ok(None);
    }
    let holder = source.holder(name, hash)?;
    Ok(Some(Bound::of(name, zone, &holder)))
}

/// Where a handler takes the state of names from: one snapshot per decision.
pub trait Snapshots: Send + Sync + 'static {
    /// A moment of the state.
    type Source: NameSource;

    /// The newest moment.
    fn snapshot(&self) -> Self::Source;

    /// How far the index is behind its chain; the same as the newest moment's, for less.
    fn sync_state(&self) -> SyncState;
}

/// How far the index is behind its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncState {
    /// At the tip, as far as anyone knows.
    Synced,
    /// It has been at the tip before.
    Behind {
        /// The height that answers come from.
        indexed: u32,
        /// The height that the source of blocks reports, or reported last.
        tip: u32,
        /// Age of the newest indexed block beyond what is usual.
        lag: Duration,
        /// Whether it waits for something that nobody has shown yet, and not for blocks.
        held: bool,
    },
    /// The chain parted from the index deeper than it can follow by itself: a person has to decide.
    Forked {
        /// The height that was reached.
        indexed: u32,
    },
    /// The database is damaged: nothing is known of any name until somebody mends it.
    Damaged,
    /// Names are still being put on the chain, an embedded one: what is absent may be there in a moment.
    Filling {
        /// The height that was reached.
        indexed: u32,
    },
    /// The first synchronisation has not finished.
    NeverSynced {
        /// The height that was reached.
        indexed: u32,
        /// The height that the source of blocks reports; 0 if it was never reached.
        tip: u32,
        /// As for [`Self::Behind`].
        held: bool,
    },
}

/// How far a namespace has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamespaceStatus {
    /// Nobody revealed it, or the reveal lapsed.
    Absent,
    /// Its rules are public; its names are not served yet.
    Revealed,
    /// Its names are served.
    Ready {
        /// Height of the last operation on the namespace itself.
        last_change_height: u32,
    },
}

/// What is known of a name.
#[derive(Debug, Clone, Copy)]
pub enum NameStatus {
    /// Never registered, or its namespace is not ready.
    Unregistered,
    /// Nobody renewed it in time.
    Expired {
        /// The last block in which it resolved.
        last_resolved: u32,
    },
    /// Its owner gave it up.
    Revoked {
        /// Height of the revocation.
        height: u32,
    },
    /// Alive.
    Registered(RegisteredName),
}

/// A living name.
#[derive(Debug, Clone, Copy)]
pub struct RegisteredName {
    /// Height of its last operation; the serial of its zone.
    pub last_change_height: u32,
    /// The last block in which it resolves, if its term ends.
    pub last_resolves: Option<u32>,
    /// The hash of its zone file, if it has one.
    pub zonefile_hash: Option<ZonefileHash>,
}

/// What is known of a subdomain of a living name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubdomainStatus {
    /// There is none: the zone file of the name says what is there.
    Absent,
    /// It has an owner of its own.
    Accepted(AcceptedSubdomain),
    /// Zone files that are announced were not looked at yet: nobody can say.
    NotRead,
}

/// A subdomain with an owner of its own, of a living name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedSubdomain {
    /// Which one.
    pub subdomain: Subdomain,
    /// Height of its last accepted record; the serial of its zone.
    pub last_change_height: u32,
    /// The hash of its zone file, if it has one.
    pub zonefile_hash: Option<ZonefileHash>,
}

/// What is there of a name's zone file.
#[derive(Debug, Clone)]
pub enum ZoneStatus {
    /// The hash is on the chain, the file has not arrived.
    Missing(ZonefileHash),
    /// The stored bytes do not have the hash.
    Tampered(ZonefileHash),
    /// The bytes have the hash, and cannot be read as a zone file, for the reason given.
    Unreadable(ZonefileHash, String),
    /// Read and checked.
    Loaded(Arc<Zone>),
}
