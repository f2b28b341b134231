//! The identity that DNS over TLS and over HTTPS show: a given certificate, or one that we sign ourselves
//! ([`OwnCertificate`]).
//!
//! The files are read again from time to time, so that a certificate that was renewed is shown without a restart.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use super::certificate::{OwnCertificate, Unmade};
use crate::clock::{Clock as _, SystemClock};
use crate::disk::rights::{Exposed, check_secret};

/// How often the files are read again.
const REREAD: Duration = Duration::from_secs(3600);

/// Where certificate and key come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// PEM files.
    Given {
        /// The certificate, then those that sign it.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// Made by ourselves, kept in this directory.
    SelfSigned(PathBuf),
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read or written.
    #[error("cannot use {path} for TLS: {error}; check the path and its permissions", path = .0.display(), error = .1)]
    File(PathBuf, io::Error),
    /// A key is no secret.
    #[error("cannot use the key {path} for TLS: {exposed}", path = .0.display(), exposed = .1)]
    Exposed(PathBuf, Exposed),
    /// A file does not hold what it should.
    #[error("{path} holds no {what} in PEM format: name another file", path = .0.display(), what = .1)]
    Content(PathBuf, &'static str),
    /// The two do not fit.
    #[error("the certificate cannot be used for TLS: {0}; check that the key belongs to it")]
    Unusable(#[from] rustls::Error),
    /// None can be made.
    #[error("no certificate can be made: {0}; give one with dns.tls.certificate and dns.tls.key")]
    Unmade(rcgen::Error),
}

impl From<Unmade> for IdentityError {
    fn from(unmade: Unmade) -> Self {
        match unmade {
            Unmade::File(path, error) => Self::File(path, error),
            Unmade::Signature(error) => Self::Unmade(error),
        }
    }
}

impl Identity {
    /// The file of the private key, if it was given.
    pub fn key(&self) -> Option<&Path> {
        match self {
            Self::Given { key, .. } => Some(key),
            Self::SelfSigned(_) => None,
        }
    }

    /// Whether given files can be used; nothing is made.
    pub fn check(&self) -> Result<(), IdentityError> {
        match self {
            Self::Given { certificate, key } => certified(certificate, key).map(drop),
            Self::SelfSigned(_) => Ok(()),
        }
    }

    /// What is shown in handshakes. A certificate of our own is for `addresses` and `names`, and is made where that is due.
    pub(super) fn show<'a>(
        &self,
        addresses: impl IntoIterator<Item = IpAddr>,
        names: impl IntoIterator<Item = &'a String>,
    ) -> Result<Arc<Shown>, IdentityError> {
        let files = match self {
            Self::Given { certificate, key } => Files::Given(certificate.clone(), key.clone()),
            Self::SelfSigned(directory) => {
                Files::Own(OwnCertificate::new(directory, addresses, names))
            }
        };
        let now = ArcSwap::from_pointee(files.read()?);
        Ok(Arc::new(Shown { files, now }))
    }
}

/// A certificate and its key, as handshakes show them.
#[derive(Debug)]
pub(super) struct Shown {
    files: Files,
    now: ArcSwap<CertifiedKey>,
}

impl Shown {
    /// What answers handshakes and offers `protocols` in them (RFC 7301).
    pub(super) fn acceptor(
        self: &Arc<Self>,
        protocols: &[&str],
    ) -> Result<TlsAcceptor, IdentityError> {
        // TLS 1.2 and 1.3, the provider named because another crate may bring a second one.
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Shows what the files hold from time to time, until the task is dropped. What cannot be read changes nothing.
    pub(super) async fn keep_fresh(self: Arc<Self>) {
        loop {
            sleep(REREAD).await;
            match self.files.read() {
                Ok(read) => self.now.store(Arc::new(read)),
                Err(error) => tracing::error!("the old certificate is still shown: {error}"),
            }
        }
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.now.load_full())
    }
}

/// Where certificate and key are.
#[derive(Debug)]
enum Files {
    Given(PathBuf, PathBuf),
    Own(OwnCertificate),
}

impl Files {
    /// Reads both, after our own certificate was renewed where that is due.
    fn read(&self) -> Result<CertifiedKey, IdentityError> {
        match self {
            Self::Given(certificate, key) => certified(certificate, key),
            Self::Own(own) => {
                own.renew(SystemClock::start().unix_time())?;
                certified(&own.certificate(), &own.key())
            }
        }
    }
}

fn certified(certificate: &Path, key: &Path) -> Result<CertifiedKey, IdentityError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&read(certificate)?)
        .filter_map(Result::ok)
        .collect();
    if chain.is_empty() {
        let certificate = certificate.to_owned();
        return Err(IdentityError::Content(certificate, "certificate"));
    }
    let private = PrivateKeyDer::from_pem_slice(&read_key(key)?)
        .map_err(|_| IdentityError::Content(key.to_owned(), "private key"))?;
    Ok(CertifiedKey::from_der(
        chain,
        private,
        &ring::default_provider(),
    )?)
}

fn read(path: &Path) -> Result<Vec<u8>, IdentityError> {
    fs::read(path).map_err(|error| IdentityError::File(path.to_owned(), error))
}

/// The bytes of a file that only we can read.
fn read_key(path: &Path) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    let failed = |error| IdentityError::File(path.to_owned(), error);
    let mut file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    check_secret(&metadata).map_err(|exposed| IdentityError::Exposed(path.to_owned(), exposed))?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(metadata.len() as usize + 1));
    file.read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_named() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let empty = scratch.path().join("empty.pem");
        fs::write(&empty, "nothing").expect("a file");
        let given = |certificate: &Path| Identity::Given {
            certificate: certificate.to_owned(),
            key: empty.clone(),
        };
        let error = |identity: Identity| match identity.show([], []) {
            Ok(_) => panic!("accepted"),
            Err(error) => error.to_string(),
        };
        assert!(
            error(given(&empty)).ends_with("holds no certificate in PEM format: name another file")
        );
        let missing = scratch.path().join("missing.pem");
        assert!(error(given(&missing)).contains("missing.pem for TLS: "));
    }
}
