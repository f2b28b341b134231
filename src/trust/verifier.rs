//! Checks TLS servers for programs in Rust: those of the chain's names by what the names bind, all others as the machine does.
//!
//! One configuration serves all names. Before each connection the [`PinSource`] is asked whose the name is and what it binds
//! on that port; nothing of it is kept. When nobody can tell, the server is refused: a name of the chain is never checked by
//! authorities instead. Sessions are not resumed, since the server proves nothing then, and its key may have been taken back.
//!
//! ```ignore
#![doc = include_str!("../../tests/tls_programs/fetch.rs")]
//! ```

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, DnsName, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, PeerIncompatible,
    SignatureScheme,
};

use super::dane::{self, Mismatch, Setting, Shown};
use super::source::{PinSource, Pins, SourceError};
use crate::tlsa::Pin;

/// The port of `https:`.
const HTTPS: u16 = 443;
/// Every name has this form too, in which it cannot be a legacy name (RFC 9476).
const ALIAS: &str = ".bns.alt";

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

/// What servers of the chain's names show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Certificates,
    RawKeys,
}

/// Checks servers on one port.
#[derive(Debug)]
pub struct Verifier {
    source: Arc<dyn PinSource>,
    port: u16,
    form: Form,
    provider: Arc<CryptoProvider>,
    /// Reads the machine's authorities when it is first needed.
    platform: OnceLock<Result<Arc<dyn ServerCertVerifier>, Error>>,
}

impl Verifier {
    /// For servers of `https:` on its own port, with what `source` knows.
    pub fn new(source: Arc<dyn PinSource>) -> Self {
        Self {
            source,
            port: HTTPS,
            form: Form::Certificates,
            provider: Arc::new(ring::default_provider()),
            platform: OnceLock::new(),
        }
    }

    /// The same for another port: what a name binds can differ from port to port.
    pub fn on_port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// The same for servers that show a key without a certificate (RFC 7250); no others are accepted then.
    pub fn of_raw_keys(self) -> Self {
        let form = Form::RawKeys;
        Self { form, ..self }
    }

    /// A configuration for connections to all names. Whoever builds another one has to leave resumption off too.
    pub fn client_config(self) -> ClientConfig {
        let provider = Arc::clone(&self.provider);
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has cipher suites for TLS 1.2 and 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(self))
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        config
    }

    /// Whether one of the pins of `host` holds for what a server shows.
    fn judge(
        &self,
        host: &DnsName<'_>,
        pins: &[Pin],
        shown: Shown<'_>,
        (now, ocsp): (UnixTime, &[u8]),
    ) -> Result<(), Error> {
        let names = names_of(host);
        let platform = || match shown {
            Shown::Chain(leaf, rest) => {
                let name = names.first().expect("the host itself");
                self.platform()?
                    .verify_server_cert(leaf, rest, name, ocsp, now)
                    .map(drop)
            }
            Shown::RawKey(_) => Err(raw_key_alone()),
        };
        let setting = Setting {
            names: &names,
            now,
            algorithms: &self.provider.signature_verification_algorithms,
            platform: &platform,
        };
        let refusal = |mismatch| Refusal::Mismatch {
            host: host.as_ref().to_owned(),
            port: self.port,
            mismatch,
        };
        dane::judge(pins, shown, &setting).map_err(refusal)?;
        Ok(())
    }

    /// Whoever checks all other names.
    fn platform(&self) -> Result<&Arc<dyn ServerCertVerifier>, Error> {
        let read = self.platform.get_or_init(|| {
            let provider = Arc::clone(&self.provider);
            let verifier = rustls_platform_verifier::Verifier::new(provider)?;
            Ok(Arc::new(verifier))
        });
        read.as_ref().map_err(Error::clone)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = match self.form {
            Form::Certificates => Shown::Chain(end_entity, intermediates),
            Form::RawKeys => Shown::RawKey(end_entity),
        };
        if let ServerName::DnsName(host) = server_name {
            let host = host.to_lowercase_owned();
            let pins = self.source.pins(&host, self.port);
            let unknown = |error| Refusal::Unknown {
                host: host.as_ref().to_owned(),
                error,
            };
            if let Pins::Bound(pins) = pins.map_err(unknown)? {
                self.judge(&host, &pins, shown, (now, ocsp_response))?;
                return Ok(ServerCertVerified::assertion());
            }
        }
        match shown {
            Shown::RawKey(_) => Err(raw_key_alone()),
            Shown::Chain(leaf, rest) => {
                let platform = self.platform()?;
                platform.verify_server_cert(leaf, rest, server_name, ocsp_response, now)
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        match self.form {
            Form::Certificates => {
                verify_tls12_signature(message, certificate, signature, algorithms)
            }
            Form::RawKeys => Err(raw_key_alone()), // TLS 1.3 has them alone in rustls
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        match self.form {
            Form::Certificates => {
                verify_tls13_signature(message, certificate, signature, algorithms)
            }
            Form::RawKeys => {
                let key = SubjectPublicKeyInfoDer::from(certificate.as_ref());
                verify_tls13_signature_with_raw_key(message, &key, signature, algorithms)
            }
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.form == Form::RawKeys
    }
}

/// Nothing but a pin can vouch for a key without a certificate.
fn raw_key_alone() -> Error {
    PeerIncompatible::IncorrectCertificateTypeExtension.into()
}

/// Those that a certificate for the server may have: a host below `bns.alt` is the one without it.
fn names_of(host: &DnsName<'_>) -> Vec<ServerName<'static>> {
    let text = host.as_ref();
    let plain = text.strip_suffix(ALIAS).map(str::to_owned);
    [Some(text.to_owned()), plain]
        .into_iter()
        .flatten()
        .filter_map(|name| ServerName::try_from(name).ok())
        .collect()
}

#[cfg(test)]
mod tests;
