//! Where the answer for a name comes from.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::detail::Registration;
use super::view::{Names, NamesError};
use crate::bns::name::Name;
use crate::hash::ZonefileHash;
use crate::resolver::{self, NameSource as _, ZoneStatus};
use crate::tlsa::Bound;

/// What an answer for a name rests on. Everything is `null` when no name of the chain was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Provenance {
    /// The name to which the one that was asked for belongs: `werner.id` for `www.werner.id`.
    #[schema(value_type = Option<String>)]
    pub registered_name: Option<Name>,
    /// What the chain says about it.
    pub status: Option<NameStatus>,
    /// Blocks on the chain from the last operation on, its own included.
    pub confirmations: Option<u32>,
    /// Where the zone file came from.
    pub zonefile_source: Option<ZonefileSource>,
    /// What in the zone file was left out, one sentence each.
    pub zonefile_problems: Vec<String>,
    /// The last operation, what it made of the name, and all operations before.
    #[serde(flatten)]
    pub registration: Registration,
}

/// What the resolver makes of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum NameStatus {
    /// It has an owner and resolves.
    Registered,
    /// Its owner took it back.
    Revoked,
    /// Nobody renewed it in time.
    Expired,
    /// Nobody ever registered it.
    Unregistered,
}

/// Where a zone file came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum ZonefileSource {
    /// It was in the archive already.
    Archive,
    /// A watched folder.
    Folder {
        /// The file.
        path: String,
    },
    /// Nobody has supplied it.
    Missing,
    /// The stored bytes no longer have the hash.
    Tampered,
}

impl From<&resolver::NameStatus> for NameStatus {
    fn from(status: &resolver::NameStatus) -> Self {
        match status {
            resolver::NameStatus::Unregistered => Self::Unregistered,
            resolver::NameStatus::Expired { .. } => Self::Expired,
            resolver::NameStatus::Revoked { .. } => Self::Revoked,
            resolver::NameStatus::Registered(_) => Self::Registered,
        }
    }
}

impl Names {
    /// What an answer for this name rests on. `best_height` is that of the best block of the source, of which the index
    /// itself is some blocks behind; `in_folder` says where a watched folder has the file with a hash.
    pub fn provenance(
        &self,
        name: &Name,
        best_height: u32,
        in_folder: impl Fn(&ZonefileHash) -> Option<PathBuf>,
    ) -> Result<Provenance, NamesError> {
        let registration = self.registration(name)?;
        let status = self.name(name)?;
        let best = best_height.max(self.at.unwrap_or(0));
        let confirmations = |height| best.saturating_sub(height).saturating_add(1);
        let mut provenance = Provenance {
            registered_name: Some(name.clone()),
            status: Some(NameStatus::from(&status)),
            confirmations: registration.height.map(confirmations),
            registration,
            ..Provenance::default()
        };
        if let resolver::NameStatus::Registered(registered) = status
            && let Some(hash) = registered.zonefile_hash
        {
            let present = || match in_folder(&hash) {
                Some(path) => ZonefileSource::Folder {
                    path: path.display().to_string(),
                },
                None => ZonefileSource::Archive,
            };
            let (source, problems) = match self.from.zones.read(name.as_str(), &hash, self.now)? {
                ZoneStatus::Missing(_) => (ZonefileSource::Missing, Vec::new()),
                ZoneStatus::Tampered(_) => (ZonefileSource::Tampered, Vec::new()),
                ZoneStatus::Unreadable(_, reason) => (present(), vec![reason]),
                ZoneStatus::Loaded(zone) => {
                    let ignored = zone.ignored().iter().map(ToString::to_string);
                    let bound = resolver::bound(name, &hash, &zone, self)?;
                    let keys = bound.as_ref().map_or(&[][..], Bound::problems);
                    let keys = keys.iter().map(ToString::to_string);
                    let records = self.refused_records(name, &hash)?.into_iter();
                    (present(), ignored.chain(keys).chain(records).collect())
                }
            };
            provenance.zonefile_source = Some(source);
            provenance.zonefile_problems = problems;
        }
        Ok(provenance)
    }
}
