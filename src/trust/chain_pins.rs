//! What the chain says that a name binds, for verifiers in the daemon itself.

use std::fmt;
use std::sync::Arc;

use hickory_proto::rr::Name;
use rustls::pki_types::DnsName;

use super::mint::Terms;
use super::source::{PinSource, Pins, SourceError};
use crate::names::NameStore;
use crate::resolver::{
    Condition, NameSource as _, Ownership, Snapshots as _, host_of_chain, ownership_at,
};

/// Reads the index of this process.
pub struct ChainPins {
    names: Arc<NameStore>,
    terms: Arc<dyn Terms>,
}

impl fmt::Debug for ChainPins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the index")
    }
}

impl ChainPins {
    /// Those of these names, by the policy in force.
    pub fn new(names: Arc<NameStore>, terms: Arc<dyn Terms>) -> Self {
        Self { names, terms }
    }
}

impl PinSource for ChainPins {
    fn pins(&self, host: &DnsName<'_>, port: u16) -> Result<Pins, SourceError> {
        let unknown = |text: String| SourceError::Unknown(text);
        let Ok(mut host) = Name::from_ascii(host.as_ref()) else {
            return Ok(Pins::NotOurs);
        };
        host.set_fqdn(true);
        let host = host.to_lowercase();
        let (names, policy) = (self.names.snapshot(), self.terms.policy());
        let ownership = ownership_at(&host, &policy, &names);
        match ownership.map_err(|error| unknown(error.to_string()))? {
            Ownership::Ours => {}
            Ownership::CouldBeOurs(Condition::LegacyDenies) => {
                let text = "upstreams decide whose the name is: use its form below bns.alt";
                return Err(unknown(text.to_owned()));
            }
            _ => return Ok(Pins::NotOurs),
        }
        if !policy.accepts(names.sync()) {
            let text = "the index cannot vouch for names now: see `bnsd status`";
            return Err(unknown(text.to_owned()));
        }
        let Some((name, plain)) = host_of_chain(&host) else {
            return Ok(Pins::Bound(Vec::new()));
        };
        let bound = names.bound(&name);
        let bound = bound.map_err(|error| unknown(error.to_string()))?;
        let pins = bound.map(|bound| bound.bound.pins(&plain, port));
        Ok(Pins::Bound(pins.unwrap_or_default()))
    }
}
