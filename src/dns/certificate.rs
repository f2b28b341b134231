//! A certificate that we sign ourselves: for this machine's names and addresses, for a year, renewed before it ends.
//!
//! Its key is made once and kept through all renewals, readable by nobody else, so that a client that has pinned it
//! (RFC 7858 §4.2) knows it for good. For whom and until when a certificate is good stands in the first line of its file,
//! where PEM leaves room for people (RFC 7468 §5.2); a file without such a line is made again.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
};

use crate::disk::{self, rights};
use crate::upstream::random;

/// Files of the certificate and its key.
const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";
/// What the first line of the certificate's file begins with.
const HEAD: &str = "bnsd: good until";
/// In seconds: a day.
const DAY: u64 = 86_400;
/// How long a certificate is good. Browsers take none that is for longer than 398 days.
const LIFETIME: u64 = 365 * DAY;
/// How long before its end it is renewed.
const RENEWAL: u64 = 30 * DAY;
/// Bytes of a serial number (RFC 5280 §4.1.2.2 allows 20).
const SERIAL: usize = 16;

/// A certificate of our own.
#[derive(Debug, Clone)]
pub(super) struct OwnCertificate {
    directory: PathBuf,
    /// Addresses and names that it is for.
    subjects: BTreeSet<String>,
}

/// Why there is none.
#[derive(Debug)]
pub(super) enum Unmade {
    /// A file cannot be read or written.
    File(PathBuf, io::Error),
    /// It cannot be signed.
    Signature(rcgen::Error),
}

impl OwnCertificate {
    /// One for this machine, for what listens at `addresses`, and for `names`; its files are in `directory`.
    pub(super) fn new<'a>(
        directory: &Path,
        addresses: impl IntoIterator<Item = IpAddr>,
        names: impl IntoIterator<Item = &'a String>,
    ) -> Self {
        let here = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let addresses = addresses
            .into_iter()
            .filter(|address| !address.is_unspecified())
            .map(|address| address.to_canonical().to_string());
        Self {
            directory: directory.to_owned(),
            subjects: here
                .into_iter()
                .chain(addresses)
                .chain(names.into_iter().cloned())
                .collect(),
        }
    }

    pub(super) fn certificate(&self) -> PathBuf {
        self.directory.join(CERTIFICATE)
    }

    pub(super) fn key(&self) -> PathBuf {
        self.directory.join(KEY)
    }

    /// Makes the certificate, if it is not there, is for others, or ends soon; `now` in seconds since 1970. Gives whether
    /// it was made.
    pub(super) fn renew(&self, now: u64) -> Result<bool, Unmade> {
        rights::open_directory(&self.directory).map_err(at(&self.directory))?;
        for path in [self.certificate(), self.key()] {
            rights::make_private(&path).map_err(at(&path))?;
        }
        if self.is_good(now) {
            return Ok(false);
        }
        let key = self.kept_key()?;
        let text = self.signed(&key, now).map_err(Unmade::Signature)?;
        let path = self.certificate();
        disk::replace(&path, text.as_bytes()).map_err(at(&path))?;
        Ok(true)
    }

    /// Whether the one that is there will do. A clock that was set back makes one that is good for too long.
    fn is_good(&self, now: u64) -> bool {
        let text = fs::read_to_string(self.certificate()).unwrap_or_default();
        let head = text.lines().next().and_then(|line| line.strip_prefix(HEAD));
        let Some((until, subjects)) = head.and_then(|head| head.trim().split_once(" for ")) else {
            return false;
        };
        let left = until.parse().unwrap_or(0_u64).saturating_sub(now);
        let is_ours = subjects
            .split(' ')
            .eq(self.subjects.iter().map(String::as_str));
        is_ours && (RENEWAL..=LIFETIME + DAY).contains(&left) && self.key().is_file()
    }

    /// The key, made if there is none that can be read.
    fn kept_key(&self) -> Result<KeyPair, Unmade> {
        let path = self.key();
        let kept = fs::read_to_string(&path).ok();
        if let Some(key) = kept.and_then(|pem| KeyPair::from_pem(&pem).ok()) {
            return Ok(key);
        }
        let key = KeyPair::generate().map_err(Unmade::Signature)?;
        disk::replace(&path, key.serialize_pem().as_bytes()).map_err(at(&path))?;
        Ok(key)
    }

    /// The text of the certificate's file.
    fn signed(&self, key: &KeyPair, now: u64) -> Result<String, rcgen::Error> {
        let subjects: Vec<String> = self.subjects.iter().cloned().collect();
        let head = format!("{HEAD} {} for {}\n", now + LIFETIME, subjects.join(" "));
        let mut params = CertificateParams::new(subjects)?;
        let since_1970 = |seconds| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
        // Clients' clocks may be behind.
        params.not_before = since_1970(now.saturating_sub(DAY));
        params.not_after = since_1970(now + LIFETIME);
        // Browsers refuse two certificates of one issuer with the same number.
        params.serial_number = Some(
            random::bytes::<SERIAL>()
                .map(|byte| byte & 0x7f)
                .to_vec()
                .into(),
        );
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "bnsd");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        Ok(head + &params.self_signed(key)?.pem())
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Unmade {
    let path = path.to_owned();
    |error| Unmade::File(path, error)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const NOW: u64 = 1_790_000_000;

    fn own(directory: &Path, address: &str) -> OwnCertificate {
        let address: IpAddr = address.parse().expect("an address");
        OwnCertificate::new(directory, [address], &["dns.lan".to_owned()])
    }

    #[test]
    fn it_is_made_once_and_renewed_before_its_end_with_the_same_key() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let own = own(&scratch.path().join("tls"), "10.0.0.1");
        let renew = |now| own.renew(now).expect("a certificate");
        assert!(renew(NOW) && !renew(NOW + LIFETIME - RENEWAL));
        let mode = fs::metadata(own.key()).expect("a key").permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        let (key, first) = (
            fs::read(own.key()).expect("a key"),
            fs::read(own.certificate()),
        );
        assert!(renew(NOW + LIFETIME - RENEWAL + 1));
        assert_eq!(fs::read(own.key()).expect("a key"), key);
        assert_ne!(fs::read(own.certificate()).expect("it"), first.expect("it"));
        assert!(renew(NOW), "the clock was set back");
        assert!(!renew(NOW));
        fs::write(own.certificate(), "of an earlier bnsd").expect("a file");
        assert!(renew(NOW));
    }

    #[test]
    fn it_is_for_every_address_and_name() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let first = own(scratch.path(), "10.0.0.1");
        assert!(first.renew(NOW).expect("a certificate"));
        let text = fs::read_to_string(first.certificate()).expect("it");
        let until = NOW + LIFETIME;
        let head =
            format!("bnsd: good until {until} for 10.0.0.1 127.0.0.1 ::1 dns.lan localhost\n");
        assert!(text.starts_with(&head), "{text}");
        assert!(
            !own(scratch.path(), "10.0.0.1")
                .renew(NOW)
                .expect("the same")
        );
        assert!(own(scratch.path(), "10.0.0.2").renew(NOW).expect("another"));
        assert!(own(scratch.path(), "0.0.0.0").renew(NOW).expect("another"));
    }
}
