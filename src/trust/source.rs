//! Where a verifier learns what a name binds.

use std::fmt;

use rustls::pki_types::DnsName;

use crate::tlsa::Pin;

/// What decides about a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pins {
    /// The host is below a name of the chain: only a server that one of these pins holds for is it. Without any, nobody is.
    Bound(Vec<Pin>),
    /// The host is somebody else's, and the authorities of the machine decide.
    NotOurs,
}

/// Tells what a host binds at this moment. A verifier asks before every connection and keeps nothing, so that a key is
/// refused as soon as the chain takes it back.
pub trait PinSource: fmt::Debug + Send + Sync {
    /// The pins of a host's port. May wait for another process, but not for long. An error means that nobody can tell, also
    /// not whether the host is the chain's, and refuses the server.
    fn pins(&self, host: &DnsName<'_>, port: u16) -> Result<Pins, SourceError>;

    /// The same where the server's certificate carries a delegation ([`crate::tlsa::delegation`]), whose pins are added if a
    /// key of the name signed it. A source that cannot judge that goes by the zone file alone.
    fn pins_with(
        &self,
        host: &DnsName<'_>,
        port: u16,
        _delegation: &str,
    ) -> Result<Pins, SourceError> {
        self.pins(host, port)
    }
}

/// Why nobody can tell what a host binds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// There is no daemon, or it is silent.
    #[error("no bnsd answers at {place} ({reason}): start it with `bnsd serve`")]
    Silent {
        /// Its address.
        place: String,
        /// What the system says.
        reason: String,
    },
    /// It answers something else.
    #[error(
        "the answer of bnsd at {0} cannot be read: it may be of another version, or another program"
    )]
    Nonsense(String),
    /// It does not know itself, because it is behind or its database is damaged.
    #[error("{0}")]
    Unknown(String),
}
