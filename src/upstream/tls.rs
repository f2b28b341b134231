//! What an encrypted upstream has to prove before it is asked anything (RFC 8310, strict profile).
//!
//! Either its certificate is for the configured name and comes from an authority that the system or the
//! configuration trusts, or its key is the configured one. There is no third way, and no plain one.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, Error};

use super::config::{Identity, Secured};
use crate::trust::by_pin;

/// Why encrypted upstreams cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file of authorities.
    #[error("cannot read certificates from {path}: {reason}; name a PEM file in `dns.ca-file`")]
    Authorities {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No authority is trusted.
    #[error(
        "no certificate authority to check encrypted upstreams with: {0}; install the system's \
         (Debian: ca-certificates), set `dns.ca-file`, or pin the upstream's key"
    )]
    NoAuthorities(Error),
}

/// Authorities that are trusted besides the system's.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorities(Arc<[CertificateDer<'static>]>);

impl Authorities {
    /// Those in a PEM file.
    pub fn read(path: &Path) -> Result<Self, TlsError> {
        let problem = |reason: String| TlsError::Authorities {
            path: path.display().to_string(),
            reason,
        };
        let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect)
            .map_err(|error| problem(error.to_string()))?;
        match certificates.is_empty() {
            true => Err(problem("there is no certificate in it".to_owned())),
            false => Ok(Self(certificates.into())),
        }
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} certificates", self.0.len())
    }
}

/// Makes the TLS side of connections. The system's authorities are read once, when first needed.
pub struct Tls {
    provider: Arc<CryptoProvider>,
    extra: Option<Authorities>,
}

impl Tls {
    /// Trusts the system's authorities and `extra`.
    pub fn new(extra: Option<&Authorities>) -> Self {
        Self {
            provider: Arc::new(ring::default_provider()),
            extra: extra.cloned(),
        }
    }

    /// The configuration for one server; sessions are resumed with it.
    pub fn client(&self, server: &Secured, alpn: &[u8]) -> Result<Arc<ClientConfig>, TlsError> {
        let verifier: Arc<dyn ServerCertVerifier> = match server.identity {
            Identity::Name(_) => Arc::new(self.by_name()?),
            Identity::Pin(pin) => by_pin(pin, Arc::clone(&self.provider)),
        };
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .expect("ring has cipher suites for TLS 1.2 and 1.3")
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        config.enable_sni = matches!(server.identity, Identity::Name(_));
        Ok(Arc::new(config))
    }

    fn by_name(&self) -> Result<rustls_platform_verifier::Verifier, TlsError> {
        let extra = self.extra.iter();
        rustls_platform_verifier::Verifier::new_with_extra_roots(
            extra.flat_map(|extra| extra.0.iter().cloned()),
            Arc::clone(&self.provider),
        )
        .map_err(TlsError::NoAuthorities)
    }
}

/// The name to give to the handshake; with a pin there is none, and any serves.
pub fn server_name(server: &Secured) -> ServerName<'static> {
    match &server.identity {
        Identity::Name(name) => name.clone(),
        Identity::Pin(_) => ServerName::try_from("pinned.invalid").expect("a domain name"),
    }
}
