//! What a TLS server shows to whoever asks, before it is judged.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, DnsName, ServerName};
use rustls::{ClientConfig, ClientConnection, Error, ProtocolVersion};
use serde::Serialize;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

use super::handshake::{Check, Checked, client_config};
use crate::hash::{encode_hex, sha256};

/// How long a server may take for a step.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a server showed.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The version of TLS in words.
    pub version: &'static str,
    /// Its certificate first.
    pub chain: Vec<CertificateDer<'static>>,
}

/// Why a server showed nothing.
#[derive(Debug, thiserror::Error)]
pub enum VisitError {
    /// It was not reached, or fell silent.
    #[error("cannot reach {address}: {source}; see whether the server runs and lets you in")]
    Unreachable {
        /// The server.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// It answers, and there is no TLS with it.
    #[error("the server at {address} does no TLS with us: {reason}")]
    NoTls {
        /// The server.
        address: SocketAddr,
        /// What went wrong.
        reason: String,
    },
}

/// What people want to know of a certificate. Everything in it was written by whoever made it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CertificateText {
    /// Whose it is.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// The names of a server.
    pub names: Vec<String>,
    /// The first moment of its validity (RFC 3339).
    pub not_before: String,
    /// The last one.
    pub not_after: String,
    /// SHA-256 of the SubjectPublicKeyInfo, in hexadecimal digits.
    pub spki_sha256: String,
    /// SHA-256 of the certificate.
    pub sha256: String,
}

/// Looks at what the server of `host` at an address shows. It proves that it has the key of its certificate, whoever it is.
pub fn visit(host: &DnsName<'_>, address: SocketAddr) -> Result<Visit, VisitError> {
    let unreachable = |source| VisitError::Unreachable { address, source };
    let no_tls = |reason: String| VisitError::NoTls { address, reason };
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(unreachable)?;
    stream
        .set_read_timeout(Some(PATIENCE))
        .map_err(unreachable)?;
    stream
        .set_write_timeout(Some(PATIENCE))
        .map_err(unreachable)?;
    let name = ServerName::DnsName(host.to_owned());
    let mut session = ClientConnection::new(Arc::new(config()), name)
        .map_err(|error| no_tls(error.to_string()))?;
    while session.is_handshaking() {
        session
            .complete_io(&mut stream)
            .map_err(|error| match error.kind() {
                ErrorKind::InvalidData | ErrorKind::UnexpectedEof => no_tls(error.to_string()),
                _ => unreachable(error),
            })?;
    }
    let chain = session.peer_certificates().unwrap_or_default();
    Ok(Visit {
        version: match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "TLS 1.3", // rustls has no others
        },
        chain: chain
            .iter()
            .cloned()
            .map(CertificateDer::into_owned)
            .collect(),
    })
}

/// What a certificate says; `None` if it cannot be read.
pub fn describe(der: &CertificateDer<'_>) -> Option<CertificateText> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|names| &names.value.general_names);
    let digest = |bytes: &[u8]| encode_hex(&sha256(bytes));
    let validity = certificate.validity();
    Some(CertificateText {
        subject: certificate.subject().to_string(),
        issuer: certificate.issuer().to_string(),
        names: names
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some((*name).to_owned()),
                _ => None,
            })
            .collect(),
        not_before: date(validity.not_before),
        not_after: date(validity.not_after),
        spki_sha256: digest(certificate.public_key().raw),
        sha256: digest(der),
    })
}

fn date(time: ASN1Time) -> String {
    let time = time.to_datetime();
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.to_hms();
    format!(
        "{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z",
        u8::from(month)
    )
}

/// Accepts every certificate: what is shown is judged afterwards, and nothing is ever sent to the server.
#[derive(Debug)]
struct Onlooker;

impl Check for Onlooker {
    fn check(&self, _: &CertificateDer<'_>) -> Result<(), Error> {
        Ok(())
    }
}

fn config() -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    let checked = Checked {
        check: Onlooker,
        provider: Arc::clone(&provider),
    };
    client_config(provider, Arc::new(checked))
}
