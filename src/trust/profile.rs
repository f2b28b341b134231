//! What the certificates of all names share: who issues whom, what each may do, and how long.
//!
//! A name's authority is one key with two kinds of certificates of the same subject. The owner signs one of it with itself,
//! for whoever pins the key; each machine's bnsd signs others of it for its own programs. A leaf names its issuer by that
//! subject and the identifier of that key, so that either kind continues its chain, wherever it is checked.
//!
//! The values are those that Chromium, Firefox and OpenSSL were measured with. The subject, the identifier of a key and the
//! address for missing issuers stand in every leaf in the world: a change here leaves those leaves without an issuer.
//! Follows RFC 5280.

use std::time::Duration;

use data_encoding::HEXLOWER;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyUsagePurpose, NameConstraints, SanType,
    SerialNumber,
};

use crate::tlsa::Spki;

/// In seconds.
pub(super) const DAY: u64 = 86_400;
/// How long before it was made a certificate is valid, in seconds: clocks of visitors may be behind.
pub(super) const BACKDATED: u64 = DAY;
/// Where Chromium, on a machine with bnsd, finds the certificate of an issuer that a server leaves out.
const AIA: &str = "http://127.0.0.1:6270/aia";
/// The end of the last second that a certificate can name (RFC 5280 §4.1.2.5.2), in seconds since 1970.
const LAST_SECOND: u64 = 253_402_300_799;
/// Bytes of a serial number (RFC 5280 §4.1.2.2 allows 20).
const SERIAL: usize = 16;
/// Characters of a digest in the subject: 128 bits, and the subject stays below the 64 characters of a common name.
const DIGITS: usize = 32;
/// Private Internet extension `authorityInfoAccess` (RFC 5280 §4.2.2.1).
const AUTHORITY_INFO_ACCESS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 1];
/// In DER: the access method `caIssuers`, 1.3.6.1.5.5.7.48.2.
const CA_ISSUERS: &[u8] = &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x02];
/// Tags of a sequence, and of a URI among general names (RFC 5280 §4.2.1.6).
const SEQUENCE: u8 = 0x30;
const URI: u8 = 0x86;

/// The subject of every certificate of an authority's key.
pub(super) fn authority_subject(key: &Spki) -> DistinguishedName {
    let digest = HEXLOWER.encode(&key.sha256());
    let digits = digest.get(..DIGITS).unwrap_or(&digest);
    common_name(&format!("BNS authority {digits}"))
}

/// Where the certificate of a name's authority is found, on every machine with bnsd; `digest` is the SHA-256 of the
/// authority's SubjectPublicKeyInfo.
pub(super) fn aia_url(name: &str, digest: &[u8; 32]) -> String {
    format!("{AIA}/{name}/{}.cer", HEXLOWER.encode(digest))
}

/// An authority that may sign servers of `name` and of whatever is below it, but for `excluded` and all below that.
pub(super) fn authority(name: &str, key: &Spki, excluded: &[String]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.serial_number = Some(serial());
    params.distinguished_name = authority_subject(key);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let excluded = excluded.iter().cloned().map(GeneralSubtree::DnsName);
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName(name.to_owned())],
        excluded_subtrees: excluded.chain(all_addresses()).collect(),
    });
    params
}

/// A server that is `name` and every host directly below it, issued by the authority with that key.
pub(super) fn leaf(name: &str, authority: &Spki) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.serial_number = Some(serial());
    // For people; programs look at the alternative names. A name has at most 37 of the 64 characters.
    params.distinguished_name = common_name(name);
    let mut names = vec![name.to_owned(), format!("*.{name}")];
    if !is_host_name(name) {
        names.push(format!("www.{name}")); // OpenSSL takes no wildcard above such a label
    }
    let names = names
        .into_iter()
        .map(|name| Ok(SanType::DnsName(name.try_into()?)));
    params.subject_alt_names = names.collect::<Result<_, rcgen::Error>>()?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let place = aia_url(name, &authority.sha256());
    params.custom_extensions = vec![issuers_at(&place)];
    Ok(params)
}

/// Whether each label has letters, digits and inner hyphens alone, as in names of hosts (RFC 1123 §2.1). Names of the chain
/// may have more.
fn is_host_name(name: &str) -> bool {
    let is_host = |label: &str| {
        let is_inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
        label.chars().all(is_inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    name.split('.').all(is_host)
}

/// Sets from when until when a certificate is valid, in seconds since 1970.
pub(super) fn set_validity(params: &mut CertificateParams, from: u64, until: u64) {
    let since_1970 = |seconds: u64| {
        let seconds = Duration::from_secs(seconds.min(LAST_SECOND));
        rcgen::date_time_ymd(1970, 1, 1) + seconds
    };
    params.not_before = since_1970(from);
    params.not_after = since_1970(until);
}

/// No address at all: without these lines a constraint on names would permit every address.
pub(super) fn all_addresses() -> [GeneralSubtree; 2] {
    [
        GeneralSubtree::IpAddress(CidrSubnet::V4([0; 4], [0; 4])),
        GeneralSubtree::IpAddress(CidrSubnet::V6([0; 16], [0; 16])),
    ]
}

/// A number that no other certificate of an issuer has: browsers refuse the second one.
pub(super) fn serial() -> SerialNumber {
    let mut bytes = [0; SERIAL];
    getrandom::fill(&mut bytes).expect("the system's generator does not fail once it is up");
    // Positive, and without a leading zero (X.690 §8.3.2).
    bytes[0] = bytes[0] & 0x3f | 0x40;
    SerialNumber::from_slice(&bytes)
}

/// A subject of one attribute.
pub(super) fn common_name(text: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, text);
    name
}

fn issuers_at(place: &str) -> CustomExtension {
    let description = [CA_ISSUERS, &der(URI, place.as_bytes())].concat();
    let content = der(SEQUENCE, &der(SEQUENCE, &description));
    CustomExtension::from_oid_content(AUTHORITY_INFO_ACCESS, content)
}

/// A value with its tag and length (X.690 §8.1); names keep it far below the 65,535 bytes that two bytes count.
fn der(tag: u8, value: &[u8]) -> Vec<u8> {
    let [high, low] = (value.len() as u16).to_be_bytes();
    let head = match (high, low) {
        (0, ..0x80) => vec![tag, low],
        (0, _) => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [head.as_slice(), value].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_in_as_few_bytes_as_they_need() {
        for (length, head) in [
            (0, &[0x86, 0][..]),
            (127, &[0x86, 127]),
            (128, &[0x86, 0x81, 128]),
            (255, &[0x86, 0x81, 255]),
            (256, &[0x86, 0x82, 1, 0]),
        ] {
            let value = vec![7; length];
            assert_eq!(der(URI, &value), [head, &value].concat());
        }
    }

    #[test]
    fn serial_numbers_are_positive_and_never_the_same() {
        let numbers = [serial(), serial()].map(|number| number.to_bytes());
        assert_ne!(numbers[0], numbers[1]);
        assert!(
            numbers
                .iter()
                .all(|bytes| bytes.len() == SERIAL && (0x40..0x80).contains(&bytes[0]))
        );
    }
}
