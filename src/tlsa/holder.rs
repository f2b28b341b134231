//! Whose name it is.

use std::collections::BTreeSet;
use std::sync::Arc;

use bitcoin::Txid;

use crate::bns::address::Address;
use crate::hash::ZonefileHash;

/// Who a name belongs to in one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Which life of which name it is.
    pub registration: Registration,
    /// The owner's address.
    pub owner: Option<Address>,
    /// Whether the zone file was announced by somebody who owned the name before.
    pub is_former: bool,
    /// The time of the block, in seconds since 1970.
    pub time: u32,
    /// The height of the last operation on the name.
    pub height: u32,
    /// Its transaction.
    pub txid: Txid,
    /// The hash of the zone file.
    pub zonefile: ZonefileHash,
    /// What this machine makes of the name's own key.
    pub own_keys: OwnKeys,
    /// The labels of subdomains that have an owner of their own, of whatever zone file; `None` while they are not known.
    pub subdomains: Option<Arc<BTreeSet<String>>>,
}

/// What becomes of the data keys of names (T4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OwnKeys {
    /// They are published with their proof.
    #[default]
    Published,
    /// They are also pinned for HTTPS, where nothing else is.
    Pinned,
}

/// One life of a name, in one virtualchain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registration {
    /// Magic bytes of the virtualchain.
    pub magic: [u8; 2],
    /// Its first block.
    pub first_block: u32,
    /// The height at which this life of the name began.
    pub height: u32,
}
