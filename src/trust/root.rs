//! The authority of this machine alone: its key signs the authorities of names, for the programs of this machine.
//!
//! It is made at first need and stays in the data directory: the key for nobody else to read, the certificate for everybody.
//! Whoever has the key could certify what the certificate permits, so that is as little as browsers were measured to
//! enforce: names of the served namespaces and of `bns.alt`, none of the labels that the legacy tree keeps, and no address.
//! A namespace that is served later is not permitted; [`Root::missing`] says which.
//!
//! It never signs a server, and never a key that the caller has not found on the chain: [`super::mint`] is the only caller. The
//! [`super::proxy`] has one of its own, in another directory, for keys of its own.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use rcgen::{
    BasicConstraints, CertificateParams, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, SubjectPublicKeyInfo,
};
use rustls::pki_types::CertificateDer;

use super::issued::RootCertificate;
use super::profile::{self, BACKDATED, DAY};
use crate::bns::name::Name;
use crate::disk::{self, rights};
use crate::hash::sha256;
use crate::resolver::ALIAS;
use crate::tlsa::Spki;

/// The directory in the data directory.
const DIRECTORY: &str = "trust";
/// Its files.
const KEY: &str = "root.key";
const CERTIFICATE: &str = "root.pem";
/// How long it is valid, in seconds: as long as a machine may last, since people have to install it by hand.
const LIFETIME: u64 = 3_650 * DAY;
/// How long the authority of a name is, in seconds. A key that left the chain is believed for so long on a machine that
/// saw neither bnsd nor the network since.
pub const AUTHORITY_LIFETIME: u64 = 7 * DAY;
/// Names that are permitted at most: others' browsers read them on every connection.
const PERMITTED_MAX: usize = 500;

/// What a root may certify.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Constraints {
    /// Namespaces whose names are permitted.
    pub namespaces: Vec<String>,
    /// Domains that are excluded with all below them.
    pub protected: Vec<String>,
}

/// The authority of this machine.
pub struct Root {
    issuer: Issuer<'static, KeyPair>,
    certificate: RootCertificate,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// A file cannot be read or written.
    #[error("cannot use {}: {source}; correct its rights, or move it away, and a new authority of this machine is made", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The files are not what was written.
    #[error("{} is no authority of bnsd ({reason}): put the file back from a copy, or move both files away and run `bnsd tls install-ca` again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It cannot be signed.
    #[error("cannot sign a certificate: {0}; report it")]
    Signature(#[from] rcgen::Error),
}

impl Root {
    /// The root of the daemon with this data directory, made if there is none; `now` in seconds since 1970.
    pub fn open(data: &Path, constraints: &Constraints, now: u64) -> Result<Self, RootError> {
        let directory = data.join(DIRECTORY);
        rights::open_directory(&directory).map_err(at(&directory))?;
        let (key, certificate) = (directory.join(KEY), directory.join(CERTIFICATE));
        if !certificate.exists() {
            make(&key, &certificate, constraints, now)?;
        }
        rights::make_private(&key).map_err(at(&key))?;
        let damaged = |path: &Path, reason: String| RootError::Damaged {
            path: path.to_owned(),
            reason,
        };
        let text = fs::read_to_string(&key).map_err(at(&key))?;
        let text = zeroize::Zeroizing::new(text);
        let pair = KeyPair::from_pem(&text).map_err(|error| damaged(&key, error.to_string()))?;
        let pem = fs::read(&certificate).map_err(at(&certificate))?;
        let read = RootCertificate::from_pem(&pem)
            .map_err(|error| damaged(&certificate, error.to_string()))?;
        if !read.has_key(&pair) {
            return Err(damaged(&certificate, "it is of another key".to_owned()));
        }
        Ok(Self {
            issuer: Issuer::from_ca_cert_der(read.der(), pair)?,
            certificate: read,
        })
    }

    /// What programs have to trust.
    pub fn certificate(&self) -> &RootCertificate {
        &self.certificate
    }

    /// Those of the namespaces that it does not permit, since they are served for less long than it is there.
    pub fn missing(&self, namespaces: &[String]) -> Vec<String> {
        let permitted = self.certificate.permitted();
        let missing = namespaces.iter().filter(|id| !permitted.contains(id));
        missing.cloned().collect()
    }

    /// A certificate that makes `key` the authority of `name` and of whatever is below it, but for the `separate` hosts, for
    /// [`AUTHORITY_LIFETIME`] from `now` in seconds since 1970. The caller has found on the chain that the name binds the key.
    pub(super) fn certify(
        &self,
        name: &Name,
        key: &Spki,
        separate: &[String],
        now: u64,
    ) -> Result<CertificateDer<'static>, RootError> {
        let alias = |host: &str| format!("{host}.{ALIAS}");
        let aliases = separate.iter().map(|host| alias(host));
        let excluded: Vec<String> = separate.iter().cloned().chain(aliases).collect();
        let mut params = profile::authority(name.as_str(), key, &excluded);
        if let Some(constraints) = &mut params.name_constraints {
            let alias = GeneralSubtree::DnsName(alias(name.as_str()));
            constraints.permitted_subtrees.push(alias);
        }
        // Strict programs want it of whatever another key signed (RFC 5280 §4.2.1.1).
        params.use_authority_key_identifier_extension = true;
        profile::set_validity(
            &mut params,
            now.saturating_sub(BACKDATED),
            now + AUTHORITY_LIFETIME,
        );
        let key = SubjectPublicKeyInfo::from_der(key.as_bytes())?;
        Ok(params.signed_by(&key, &self.issuer)?.der().clone())
    }
}

/// Where the certificate of the root is, for a data directory.
pub(super) fn certificate_file(data: &Path) -> PathBuf {
    data.join(DIRECTORY).join(CERTIFICATE)
}

fn at(path: &Path) -> impl Fn(io::Error) -> RootError {
    |source| RootError::File {
        path: path.to_owned(),
        source,
    }
}

/// Writes the key, and then what makes it a root: after a crash in between there is none, and the next start makes another.
fn make(key: &Path, certificate: &Path, limits: &Constraints, now: u64) -> Result<(), RootError> {
    let pair = KeyPair::generate()?;
    let text = zeroize::Zeroizing::new(pair.serialize_pem());
    disk::replace(key, text.as_bytes()).map_err(at(key))?;
    let pem = params(&pair, limits, now).self_signed(&pair)?.pem();
    let staged = certificate.with_extension("new");
    let staged_file = disk::Staged::write(staged.clone(), pem.as_bytes()).map_err(at(&staged))?;
    fs::set_permissions(&staged, fs::Permissions::from_mode(0o644)).map_err(at(&staged))?;
    staged_file.replace(certificate).map_err(at(certificate))
}

fn params(pair: &KeyPair, limits: &Constraints, now: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    // Programs keep authorities by their subject: two machines' may meet in one home.
    let digest = HEXLOWER.encode(&sha256(pair.public_key_raw()));
    let subject = format!(
        "bnsd root of this machine {}",
        digest.get(..8).unwrap_or(&digest)
    );
    params.distinguished_name = profile::common_name(&subject);
    params.serial_number = Some(profile::serial());
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let names = |names: &[String]| -> Vec<GeneralSubtree> {
        let hosts = names.iter().filter(|name| is_host(name));
        let hosts = hosts.take(PERMITTED_MAX).cloned();
        hosts.map(GeneralSubtree::DnsName).collect()
    };
    let permitted = [names(&limits.namespaces), names(&[ALIAS.to_owned()])].concat();
    let excluded = names(&limits.protected);
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: permitted,
        excluded_subtrees: excluded
            .into_iter()
            .chain(profile::all_addresses())
            .collect(),
    });
    profile::set_validity(&mut params, now.saturating_sub(BACKDATED), now + LIFETIME);
    params
}

/// Whether every label is one of a host (RFC 1123 §2.1): a browser may refuse a whole certificate for another one.
fn is_host(name: &str) -> bool {
    name.split('.').all(|label| {
        let is_usual = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
        !label.is_empty()
            && label.bytes().all(is_usual)
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::issued::{Issued, NotTrusted};

    const NOW: u64 = 1_790_000_000;

    fn limits() -> Constraints {
        Constraints {
            namespaces: vec!["id".to_owned(), "no_host".to_owned()],
            protected: vec!["co.id".to_owned()],
        }
    }

    fn root(data: &Path) -> Root {
        Root::open(data, &limits(), NOW).expect("a root")
    }

    fn key() -> Spki {
        let pair = KeyPair::generate().expect("a key");
        Spki::read(&rcgen::PublicKeyData::subject_public_key_info(&pair)).expect("P-256")
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777
    }

    #[test]
    fn it_is_made_once_and_its_key_is_private() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let first = root(scratch.path()).certificate;
        assert_eq!(root(scratch.path()).certificate, first);
        let directory = scratch.path().join(DIRECTORY);
        assert_eq!(mode(&directory.join(KEY)), 0o600);
        assert_eq!(mode(&directory.join(CERTIFICATE)), 0o644);
        assert_eq!(first.permitted(), ["id", ALIAS]);
        assert_eq!(first.excluded(), ["co.id"]);
        assert_eq!(first.until(), (NOW + LIFETIME).cast_signed());
        fs::remove_file(directory.join(CERTIFICATE)).expect("a file");
        assert_ne!(root(scratch.path()).certificate, first);
        let served = ["id".to_owned(), "new".to_owned()];
        assert_eq!(root(scratch.path()).missing(&served), ["new"]);
    }

    #[test]
    fn a_damaged_root_is_an_error_and_not_replaced() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        root(scratch.path());
        let other = KeyPair::generate().expect("a key").serialize_pem();
        let key = scratch.path().join(DIRECTORY).join(KEY);
        for text in ["", other.as_str()] {
            fs::write(&key, text).expect("a file");
            let error = Root::open(scratch.path(), &limits(), NOW)
                .err()
                .expect("damaged");
            assert!(matches!(error, RootError::Damaged { .. }), "{error}");
        }
        fs::remove_file(&key).expect("a file");
        let error = Root::open(scratch.path(), &limits(), NOW)
            .err()
            .expect("no key");
        assert!(error.to_string().contains("root.key"), "{error}");
    }

    #[test]
    fn an_authority_is_for_its_name_alone_and_for_seven_days() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let (root, key) = (root(scratch.path()), key());
        let name = Name::from_bytes(b"judecn.id").expect("a name");
        let separate = ["bob.judecn.id".to_owned()];
        let certify = || {
            root.certify(&name, &key, &separate, NOW)
                .expect("a certificate")
        };
        let der = certify();
        let issued = Issued::read(&der, root.certificate()).expect("ours");
        assert_eq!((issued.name(), issued.key()), (&name, &key));
        assert_eq!(
            issued.separate().iter().collect::<Vec<_>>(),
            ["bob.judecn.id"]
        );
        assert_eq!(issued.until(), NOW + 7 * DAY);
        assert_ne!(certify(), der, "the serial number is another one");
    }

    #[test]
    fn what_another_root_signed_or_somebody_changed_is_not_ours() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let other = tempfile::tempdir().expect("a scratch directory");
        let (ours, theirs) = (root(scratch.path()), root(other.path()));
        let name = Name::from_bytes(b"judecn.id").expect("a name");
        let foreign = theirs
            .certify(&name, &key(), &[], NOW)
            .expect("a certificate");
        let read = |der: &[u8]| Issued::read(der, ours.certificate());
        assert_eq!(read(&foreign), Err(NotTrusted::Foreign));
        let own = ours
            .certify(&name, &key(), &[], NOW)
            .expect("a certificate");
        let place = own.windows(9).position(|bytes| bytes == b"judecn.id");
        let mut changed = own.to_vec();
        changed[place.expect("the name stands there")] = b'k';
        assert_eq!(read(&changed), Err(NotTrusted::Foreign));
        assert_eq!(
            read(ours.certificate().der()),
            Err(NotTrusted::Limits("rights"))
        );
        assert_eq!(read(b"text"), Err(NotTrusted::Unreadable));
        for outside in ["google.com", "co.id", "me.xid"] {
            let name = Name::from_bytes(outside.as_bytes()).expect("a name");
            let signed = ours.certify(&name, &key(), &[], NOW);
            assert_eq!(
                read(&signed.expect("a certificate")),
                Err(NotTrusted::Limits("name constraints")),
                "{outside}"
            );
        }
        let as_root = RootCertificate::read(&own);
        assert_eq!(as_root, Err(NotTrusted::Foreign));
    }
}
