//! Certificates that the root of this machine signed, read again by those who put them into the stores of programs.
//!
//! A store believes more or less of what is in it: OpenSSL takes any certificate of a directory for an anchor. So nobody puts
//! one there that was not checked here: its signature is of the root that was installed, and it permits one name of the
//! chain, which the root permits, and nothing else.

use std::collections::BTreeSet;

use data_encoding::HEXLOWER;
use pem::{EncodeConfig, LineEnding, Pem};
use rcgen::{KeyPair, PublicKeyData as _};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, GeneralSubtree, NameConstraints};
use x509_parser::prelude::FromDer as _;

use super::profile::{BACKDATED, DAY};
use super::root::AUTHORITY_LIFETIME;
use crate::bns::name::Name;
use crate::hash::sha256;
use crate::resolver::ALIAS;
use crate::tlsa::Spki;

/// What an address constraint for all of IPv4 and IPv6 is: address and mask, all zero.
const ALL_ADDRESSES: [&[u8]; 2] = [&[0; 8], &[0; 32]];
/// `ecdsa-with-SHA256` (RFC 5758 §3.2).
const ECDSA_SHA256: &str = "1.2.840.10045.4.3.2";

/// Why a certificate is not put anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTrusted {
    /// The bytes are no certificate.
    #[error("it cannot be read")]
    Unreadable,
    /// Another root signed it, or nobody.
    #[error("this machine's root did not sign it")]
    Foreign,
    /// It may do more or less than what it is for.
    #[error("its {0} are not those that bnsd gives")]
    Limits(&'static str),
}

/// The certificate of a root, as programs trust it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootCertificate {
    der: CertificateDer<'static>,
    subject: Vec<u8>,
    key: Spki,
    permitted: Vec<String>,
    excluded: Vec<String>,
    until: i64,
}

impl RootCertificate {
    /// That in the first PEM block.
    pub fn from_pem(pem: &[u8]) -> Result<Self, NotTrusted> {
        let der = CertificateDer::from_pem_slice(pem).map_err(|_| NotTrusted::Unreadable)?;
        Self::read(&der)
    }

    /// That in these bytes. It has to have the limits that bnsd gives: nobody is led to install another.
    pub fn read(der: &[u8]) -> Result<Self, NotTrusted> {
        let (subject, key, limits, until) = {
            let certificate = parse(der)?;
            let key = key_of(&certificate)?;
            check_signature(&certificate, &certificate, &key)?;
            check_authority(&certificate, 1)?;
            let limits = Limits::of(&certificate)?;
            let subject = certificate.subject().as_raw().to_vec();
            (
                subject,
                key,
                limits,
                certificate.validity().not_after.timestamp(),
            )
        };
        Ok(Self {
            der: CertificateDer::from(der.to_vec()),
            subject,
            key,
            permitted: limits.permitted,
            excluded: limits.excluded,
            until,
        })
    }

    /// The certificate.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The same as text.
    pub fn pem(&self) -> String {
        pem(&self.der)
    }

    /// What people compare: the SHA-256 of the certificate, in hexadecimal.
    pub fn fingerprint(&self) -> String {
        HEXLOWER.encode(&sha256(&self.der))
    }

    /// Its subject, in DER.
    pub(super) fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// Domains at and below which it may certify.
    pub fn permitted(&self) -> &[String] {
        &self.permitted
    }

    /// Domains at and below which it may not.
    pub fn excluded(&self) -> &[String] {
        &self.excluded
    }

    /// Whether it may certify an authority of `name`. Programs that take such an authority for an anchor, as OpenSSL's do, look
    /// at no certificate above it.
    pub(super) fn permits(&self, name: &Name) -> bool {
        let is_below = |domain: &String| {
            let above = name.as_str().strip_suffix(domain.as_str());
            above.is_some_and(|labels| labels.is_empty() || labels.ends_with('.'))
        };
        self.permitted.iter().any(is_below) && !self.excluded.iter().any(is_below)
    }

    /// The end of its last second, in seconds since 1970.
    pub fn until(&self) -> i64 {
        self.until
    }

    pub(super) fn has_key(&self, pair: &KeyPair) -> bool {
        self.key.as_bytes() == pair.subject_public_key_info()
    }
}

/// The certificate of a name's authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    der: CertificateDer<'static>,
    subject: Vec<u8>,
    name: Name,
    key: Spki,
    separate: BTreeSet<String>,
    until: u64,
    fingerprint: String,
}

impl Issued {
    /// That in these bytes, which `root` signed.
    pub fn read(der: &[u8], root: &RootCertificate) -> Result<Self, NotTrusted> {
        let certificate = parse(der)?;
        let issuer = &root.subject;
        if certificate.issuer().as_raw() != issuer.as_slice() {
            return Err(NotTrusted::Foreign);
        }
        let signed_by = parse(&root.der)?;
        check_signature(&certificate, &signed_by, &root.key)?;
        check_authority(&certificate, 0)?;
        let limits = Limits::of(&certificate)?;
        let (name, separate) = limits.name()?;
        if !root.permits(&name) {
            return Err(NotTrusted::Limits("name constraints"));
        }
        let validity = certificate.validity();
        let (from, until) = (
            validity.not_before.timestamp(),
            validity.not_after.timestamp(),
        );
        let longest = (AUTHORITY_LIFETIME + BACKDATED + DAY).cast_signed();
        if until.saturating_sub(from) > longest {
            return Err(NotTrusted::Limits("times"));
        }
        Ok(Self {
            subject: certificate.subject().as_raw().to_vec(),
            key: key_of(&certificate)?,
            name,
            separate,
            until: until.max(0).cast_unsigned(),
            fingerprint: HEXLOWER.encode(&sha256(der)),
            der: CertificateDer::from(der.to_vec()),
        })
    }

    /// The certificate.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The same as text.
    pub fn pem(&self) -> String {
        pem(&self.der)
    }

    /// Its subject, in DER.
    pub(super) fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// Whose servers it vouches for.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The key that it certifies.
    pub fn key(&self) -> &Spki {
        &self.key
    }

    /// Hosts below the name that it does not vouch for.
    pub(super) fn separate(&self) -> &BTreeSet<String> {
        &self.separate
    }

    /// The end of its last second, in seconds since 1970.
    pub fn until(&self) -> u64 {
        self.until
    }

    /// By which it is known: the SHA-256 of the certificate, in hexadecimal.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

/// A certificate as text (RFC 7468 §5).
fn pem(der: &[u8]) -> String {
    let lines = EncodeConfig::new().set_line_ending(LineEnding::LF);
    pem::encode_config(&Pem::new("CERTIFICATE", der), lines)
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, NotTrusted> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(NotTrusted::Unreadable),
    }
}

fn key_of(certificate: &X509Certificate<'_>) -> Result<Spki, NotTrusted> {
    Spki::read(certificate.public_key().raw).ok_or(NotTrusted::Limits("keys"))
}

/// Whether the key of `issuer`, which is `key`, signed a certificate.
fn check_signature(
    certificate: &X509Certificate<'_>,
    issuer: &X509Certificate<'_>,
    key: &Spki,
) -> Result<(), NotTrusted> {
    let algorithm = certificate.signature_algorithm.algorithm.to_id_string();
    if algorithm != ECDSA_SHA256 || key.as_bytes() != issuer.public_key().raw {
        return Err(NotTrusted::Foreign);
    }
    let verified = webpki::ring::ECDSA_P256_SHA256.verify_signature(
        &issuer.public_key().subject_public_key.data,
        certificate.tbs_certificate.as_ref(),
        &certificate.signature_value.data,
    );
    verified.map_err(|_| NotTrusted::Foreign)
}

/// Whether it is an authority with this many others below it.
fn check_authority(certificate: &X509Certificate<'_>, below: u32) -> Result<(), NotTrusted> {
    let constraints = certificate.basic_constraints().ok().flatten();
    let is_right = constraints.is_some_and(|found| {
        found.critical && found.value.ca && found.value.path_len_constraint == Some(below)
    });
    let usage = certificate.key_usage().ok().flatten();
    let may_sign =
        usage.is_some_and(|found| found.value.key_cert_sign() && !found.value.digital_signature());
    match is_right && may_sign {
        true => Ok(()),
        false => Err(NotTrusted::Limits("rights")),
    }
}

/// What a certificate's name constraints say; it excludes all addresses.
struct Limits {
    permitted: Vec<String>,
    excluded: Vec<String>,
}

impl Limits {
    fn of(certificate: &X509Certificate<'_>) -> Result<Self, NotTrusted> {
        const WRONG: NotTrusted = NotTrusted::Limits("name constraints");
        let found = certificate.name_constraints().ok().flatten();
        let found = found.filter(|found| found.critical).ok_or(WRONG)?;
        Self::read(found.value).ok_or(WRONG)
    }

    fn read(constraints: &NameConstraints<'_>) -> Option<Self> {
        let names = |trees: &[GeneralSubtree<'_>]| -> Vec<String> {
            let names = trees.iter().filter_map(|tree| match &tree.base {
                GeneralName::DNSName(name) => Some((*name).to_owned()),
                _ => None,
            });
            names.collect()
        };
        let (permitted, excluded) = (
            constraints.permitted_subtrees.as_deref()?,
            constraints.excluded_subtrees.as_deref()?,
        );
        let addresses = excluded.iter().filter_map(|tree| match tree.base {
            GeneralName::IPAddress(bytes) => Some(bytes),
            _ => None,
        });
        let addresses: Vec<&[u8]> = addresses.collect();
        let has_all = ALL_ADDRESSES.iter().all(|all| addresses.contains(all));
        let read = Self {
            permitted: names(permitted),
            excluded: names(excluded),
        };
        let are_names = read.permitted.len() == permitted.len();
        (has_all && are_names && !read.permitted.is_empty()).then_some(read)
    }

    /// The one name that is permitted, with its alias, and the hosts below it that are not.
    fn name(&self) -> Result<(Name, BTreeSet<String>), NotTrusted> {
        const WRONG: NotTrusted = NotTrusted::Limits("name constraints");
        let [name, alias] = self.permitted.as_slice() else {
            return Err(WRONG);
        };
        if *alias != format!("{name}.{ALIAS}") {
            return Err(WRONG);
        }
        let below = format!(".{name}");
        let separate = self.excluded.iter().filter(|host| host.ends_with(&below));
        let separate = separate.cloned().collect();
        let name = Name::from_bytes(name.as_bytes()).map_err(|_| WRONG)?;
        Ok((name, separate))
    }
}
