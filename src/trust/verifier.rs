//! Checks TLS servers for programs in Rust: those of the chain's names by what the names bind, all others as the machine does.
//!
//! One configuration serves all names. Before each connection the [`PinSource`] is asked whose the name is and what it binds
//! on that port; nothing of it is kept. When nobody can tell, the server is refused: a name of the chain is never checked by
//! authorities instead. Sessions are not resumed, since the server proves nothing then, and its key may have been taken back.
//!
//! ```ignore
#![doc = include_str!("../../tests/tls_programs/fetch.rs")]
//! ```

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    verify_tls12_signature, verify_tls13_signature, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use super::dane::Shown;
use super::handshake;
use super::judge::{Judge, Refusal, raw_key_alone};
use super::source::{PinSource, Pins};
use super::stapled::delegation_in;

/// The port of `https:`.
const HTTPS: u16 = 443;

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
    judge: Judge,
}

impl Verifier {
    /// For servers of `https:` on its own port, with what `source` knows.
    pub fn new(source: Arc<dyn PinSource>) -> Self {
        Self {
            source,
            port: HTTPS,
            form: Form::Certificates,
            judge: Judge::default(),
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
        let provider = Arc::clone(&self.judge.provider);
        handshake::client_config(provider, Arc::new(self))
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
            let pins = match delegation_in(end_entity) {
                Some(text) => self.source.pins_with(&host, self.port, &text),
                None => self.source.pins(&host, self.port),
            };
            let unknown = |error| Refusal::Unknown {
                host: host.as_ref().to_owned(),
                error,
            };
            if let Pins::Bound(pins) = pins.map_err(unknown)? {
                let (host, port) = (&host, self.port);
                self.judge
                    .of_shown((host, port), &pins, shown, (now, ocsp_response))?;
                return Ok(ServerCertVerified::assertion());
            }
        }
        match shown {
            Shown::RawKey(_) => Err(raw_key_alone()),
            Shown::Chain(leaf, rest) => {
                let platform = self.judge.platform()?;
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
        let algorithms = &self.judge.provider.signature_verification_algorithms;
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
        let algorithms = &self.judge.provider.signature_verification_algorithms;
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
        let algorithms = &self.judge.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.form == Form::RawKeys
    }
}

#[cfg(test)]
mod tests;
