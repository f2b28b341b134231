//! One judgement: whether a server that shows this is the one that binds these pins.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, DnsName, ServerName, UnixTime};
use rustls::{CertificateError, Error, OtherError, PeerIncompatible};

use super::dane::{self, Mismatch, Setting, Shown};
use super::source::SourceError;
use crate::resolver::strip_alias;
use crate::tlsa::Pin;

/// Why a server is refused.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody can tell what it has to show.
    #[error("cannot tell what key {host} has: {error}")]
    Unknown {
        /// Whose server it is to be.
        host: String,
        /// Why not.
        error: SourceError,
    },
    /// No pin of its name holds.
    #[error("this is not the server of {host}, port {port}: {mismatch}")]
    Mismatch {
        /// Whose server it is to be.
        host: String,
        /// On which port.
        port: u16,
        /// Why not.
        mismatch: Mismatch,
    },
}

/// As people read it: rustls shows this form in its own messages.
impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        CertificateError::Other(OtherError(Arc::new(refusal))).into()
    }
}

/// What judgements need beside pins.
#[derive(Debug)]
pub struct Judge {
    pub(super) provider: Arc<CryptoProvider>,
    /// Whoever checks all other names: reads the machine's authorities when it is first needed.
    pub(super) platform: OnceLock<Result<Arc<dyn ServerCertVerifier>, Error>>,
}

impl Default for Judge {
    fn default() -> Self {
        Self {
            provider: Arc::new(ring::default_provider()),
            platform: OnceLock::new(),
        }
    }
}

impl Judge {
    /// The first of the pins of a host's port that holds for a server that shows these certificates, its own first.
    pub fn of_chain<'p>(
        &self,
        server: (&DnsName<'_>, u16),
        pins: &'p [Pin],
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<&'p Pin, Refusal> {
        match chain.split_first() {
            Some((leaf, rest)) => self.of_shown(server, pins, Shown::Chain(leaf, rest), (now, &[])),
            None => self.of_shown(server, pins, Shown::RawKey(&[]), (now, &[])),
        }
    }

    /// The same for whatever a server shows, with the OCSP response beside it.
    pub(super) fn of_shown<'p>(
        &self,
        (host, port): (&DnsName<'_>, u16),
        pins: &'p [Pin],
        shown: Shown<'_>,
        (now, ocsp): (UnixTime, &[u8]),
    ) -> Result<&'p Pin, Refusal> {
        let names = names_of(host);
        let platform = || match shown {
            Shown::Chain(leaf, rest) => {
                let name = names.first().expect("the host itself");
                let platform = self.platform()?;
                let verified = platform.verify_server_cert(leaf, rest, name, ocsp, now);
                verified.map(drop)
            }
            Shown::RawKey(_) => Err(raw_key_alone()),
        };
        let setting = Setting {
            names: &names,
            now,
            algorithms: &self.provider.signature_verification_algorithms,
            platform: &platform,
        };
        dane::judge(pins, shown, &setting).map_err(|mismatch| Refusal::Mismatch {
            host: host.as_ref().to_owned(),
            port,
            mismatch,
        })
    }

    /// Whoever checks all other names.
    pub(super) fn platform(&self) -> Result<&Arc<dyn ServerCertVerifier>, Error> {
        let read = self.platform.get_or_init(|| {
            let provider = Arc::clone(&self.provider);
            let verifier = rustls_platform_verifier::Verifier::new(provider)?;
            Ok(Arc::new(verifier))
        });
        read.as_ref().map_err(Error::clone)
    }
}

/// Nothing but a pin can vouch for a key without a certificate.
pub(super) fn raw_key_alone() -> Error {
    PeerIncompatible::IncorrectCertificateTypeExtension.into()
}

/// Those that a certificate for the server may have: a host below `bns.alt` is the one without it.
fn names_of(host: &DnsName<'_>) -> Vec<ServerName<'static>> {
    let text = host.as_ref();
    let plain = strip_alias(text).map(str::to_owned);
    [Some(text.to_owned()), plain]
        .into_iter()
        .flatten()
        .filter_map(|name| ServerName::try_from(name).ok())
        .collect()
}
