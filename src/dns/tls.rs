//! The identity that DNS over TLS and over HTTPS show: a given certificate, or one that we sign ourselves.
//!
//! A certificate of our own is for `localhost` and the loopback addresses. It is made once and kept in the data
//! directory, its key readable by nobody else, so that a client that has pinned it (RFC 7858 §4.2) still knows it
//! after a restart.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::disk;

/// Files of our own certificate and its key.
const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";

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
    /// A file does not hold what it should.
    #[error("{path} holds no {what} in PEM format: name another file", path = .0.display(), what = .1)]
    Content(PathBuf, &'static str),
    /// The two do not fit.
    #[error("the certificate cannot be used for TLS: {0}; check that the key belongs to it")]
    Unusable(#[from] rustls::Error),
    /// None can be made.
    #[error("no certificate can be made: {0}; give one with dns.tls.certificate and dns.tls.key")]
    Unmade(#[from] rcgen::Error),
}

impl Identity {
    /// What answers handshakes and offers `protocols` in them (RFC 7301). Makes the certificate if it is to be made and
    /// is not there.
    pub fn acceptor(&self, protocols: &[&str]) -> Result<TlsAcceptor, IdentityError> {
        let (certificate, key) = match self {
            Self::Given { certificate, key } => (certificate.clone(), key.clone()),
            Self::SelfSigned(directory) => self_signed(directory)?,
        };
        let mut config = config(&certificate, &key)?;
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn config(certificate: &Path, key: &Path) -> Result<ServerConfig, IdentityError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&read(certificate)?)
        .filter_map(Result::ok)
        .collect();
    if chain.is_empty() {
        return Err(IdentityError::Content(
            certificate.to_owned(),
            "certificate",
        ));
    }
    let private = PrivateKeyDer::from_pem_slice(&read(key)?)
        .map_err(|_| IdentityError::Content(key.to_owned(), "private key"))?;
    // TLS 1.2 and 1.3, the provider named because another crate may bring a second one.
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, private)?;
    Ok(config)
}

/// The certificate that we sign ourselves, and its key. A pair of which one is missing is made again.
fn self_signed(directory: &Path) -> Result<(PathBuf, PathBuf), IdentityError> {
    let (certificate, key) = (directory.join(CERTIFICATE), directory.join(KEY));
    if certificate.is_file() && key.is_file() {
        return Ok((certificate, key));
    }
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names)?;
    fs::create_dir_all(directory).map_err(at(directory))?;
    disk::replace(&key, made.signing_key.serialize_pem().as_bytes()).map_err(at(&key))?;
    disk::replace(&certificate, made.cert.pem().as_bytes()).map_err(at(&certificate))?;
    Ok((certificate, key))
}

fn read(path: &Path) -> Result<Vec<u8>, IdentityError> {
    fs::read(path).map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> IdentityError {
    let path = path.to_owned();
    |error| IdentityError::File(path, error)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn our_own_certificate_is_made_once_and_its_key_is_private() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let directory = scratch.path().join("tls");
        let identity = Identity::SelfSigned(directory.clone());
        identity.acceptor(&["dot"]).expect("a certificate");
        let first = fs::read(directory.join(CERTIFICATE)).expect("a certificate");
        identity.acceptor(&["h2"]).expect("the same");
        assert_eq!(fs::read(directory.join(CERTIFICATE)).expect("it"), first);
        let mode = fs::metadata(directory.join(KEY))
            .expect("a key")
            .permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_no_certificate_is_named() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let empty = scratch.path().join("empty.pem");
        fs::write(&empty, "nothing").expect("a file");
        let given = |certificate: &Path| Identity::Given {
            certificate: certificate.to_owned(),
            key: empty.clone(),
        };
        let error = |identity: Identity| match identity.acceptor(&["dot"]) {
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
