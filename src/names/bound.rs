//! The keys that a name binds, and what proves that it does.

use super::view::{Names, NamesError};
use crate::bns::name::Name;
use crate::resolver::{NameSource as _, NameStatus, ZoneStatus};
use crate::tlsa::{Bound, Holder};

/// The keys of a registered name whose zone file is here.
#[derive(Debug, Clone)]
pub struct BoundName {
    /// The keys.
    pub bound: Bound,
    /// Who has the name, and since which operation.
    pub holder: Holder,
    /// The height whose state this is.
    pub at: u32,
}

impl Names {
    /// The keys that a name binds; `None` if it is not registered, or its zone file is not here. Nobody may rely on them while
    /// the index cannot vouch for names: see [`crate::resolver::NameSource::sync`].
    pub fn bound(&self, name: &Name) -> Result<Option<BoundName>, NamesError> {
        let NameStatus::Registered(registered) = self.name(name)? else {
            return Ok(None);
        };
        let (Some(hash), Some(at)) = (registered.zonefile_hash, self.at) else {
            return Ok(None);
        };
        let ZoneStatus::Loaded(zone) = self.zone(name, &hash)? else {
            return Ok(None);
        };
        let holder = self.holder(name, &hash)?;
        Ok(Some(BoundName {
            bound: Bound::of(name, &zone, &holder),
            holder,
            at,
        }))
    }

    /// The same as of an earlier height.
    pub fn bound_at(&self, name: &Name, height: u32) -> Result<Option<BoundName>, NamesError> {
        let at = self.at.map(|tip| tip.min(height));
        self.as_of(at).bound(name)
    }
}
