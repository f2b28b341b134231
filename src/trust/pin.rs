//! A server that is known by its key alone, as encrypted upstreams can be configured (RFC 7858 §4.2).

use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error};

use super::handshake::{Check, Checked};
use crate::hash::sha256;

/// Accepts one key, whoever certified it: `pin` is the SHA-256 of its SubjectPublicKeyInfo.
pub fn by_pin(pin: [u8; 32], provider: Arc<CryptoProvider>) -> Arc<dyn ServerCertVerifier> {
    let check = ByPin(pin);
    Arc::new(Checked { check, provider })
}

#[derive(Debug)]
struct ByPin([u8; 32]);

impl Check for ByPin {
    fn check(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
        match sha256(&key) == self.0 {
            true => Ok(()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }
}
