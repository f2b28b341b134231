//! Which zone file a name asks for.

use crate::bns::name::Name;
use crate::bns::record::NameRecord;
use crate::hash::ZonefileHash;

/// A zone file that a name's current record asks for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct WantedZonefile {
    /// The name.
    #[schema(value_type = String)]
    pub name: Name,
    /// Its zone file's hash.
    #[schema(value_type = String)]
    pub hash: ZonefileHash,
}

impl WantedZonefile {
    /// Its key in the tables of zone files.
    pub(super) fn key(&self) -> Vec<u8> {
        [self.hash.as_bytes(), self.name.as_str().as_bytes()].concat()
    }
}

/// The zone file that a record asks for; a revoked name has none.
pub(super) fn wanted_zonefile(record: &NameRecord) -> Option<ZonefileHash> {
    record.value_hash.filter(|_| !record.revoked)
}
