//! The files of a name while they are read and made.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rcgen::{KeyPair, PublicKeyData as _};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};
use zeroize::Zeroizing;

use super::authority::Authority;
use super::error::{OwnerError, at};
use super::snippets::{CHAIN, LEAF_KEY, TOGETHER};
use crate::bns::Name;
use crate::disk::rights;

pub(super) const AUTHORITY_KEY: &str = "authority.key";
pub(super) const AUTHORITY: &str = "authority.pem";
pub(super) const LEAF: &str = "leaf.pem";
pub(super) const DELEGATION: &str = "delegation.txt";
/// Longest file that is read, in bytes.
const FILE_MAX: u64 = 65_536;

/// A file of the directory.
pub(super) struct OwnerFile {
    pub(super) name: String,
    pub(super) bytes: Zeroizing<Vec<u8>>,
    pub(super) is_new: bool,
}

/// What a certificate says of itself.
pub(super) struct Certificate {
    spki: Vec<u8>,
    /// First and last second since 1970.
    pub(super) validity: (u64, u64),
    /// The only name that it may sign for, if it is an authority of ours.
    permitted: Option<String>,
}

impl Certificate {
    fn read(pem: &[u8]) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(pem).ok()?;
        let (_, certificate) = X509Certificate::from_der(&der).ok()?;
        let validity = certificate.validity();
        let seconds = |time: i64| u64::try_from(time).unwrap_or(0);
        let constraints = certificate.name_constraints().ok().flatten();
        let permitted = constraints.and_then(|it| it.value.permitted_subtrees.as_deref());
        let permitted = permitted.and_then(|names| match names {
            [only] => match only.base {
                GeneralName::DNSName(name) => Some(name.to_owned()),
                _ => None,
            },
            _ => None,
        });
        Some(Self {
            spki: certificate.public_key().raw.to_vec(),
            validity: (
                seconds(validity.not_before.timestamp()),
                seconds(validity.not_after.timestamp()),
            ),
            permitted,
        })
    }
}

/// The files while they are read and made.
pub(super) struct Draft {
    pub(super) directory: PathBuf,
    pub(super) files: Vec<OwnerFile>,
}

impl Draft {
    /// Of a directory, which need not be there.
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            files: Vec::new(),
        }
    }

    /// Where a file is, or is to be.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn bytes(&self, name: &str) -> &[u8] {
        let file = self.files.iter().find(|file| file.name == name);
        file.map_or(&[], |file| &file.bytes)
    }

    fn put(&mut self, name: &str, bytes: Zeroizing<Vec<u8>>, is_new: bool) {
        self.files.retain(|file| file.name != name);
        self.files.push(OwnerFile {
            name: name.to_owned(),
            bytes,
            is_new,
        });
    }

    /// Takes in the file that is there; whether one is.
    pub(super) fn keep(&mut self, name: &str) -> Result<bool, OwnerError> {
        let found = read(&self.path(name))?;
        let is_there = found.is_some();
        if let Some(bytes) = found {
            self.put(name, bytes, false);
        }
        Ok(is_there)
    }

    /// Takes in a new file.
    pub(super) fn make(&mut self, name: &str, bytes: Vec<u8>) {
        self.put(name, Zeroizing::new(bytes), true);
    }

    /// Takes in the file that is there, or a new one.
    pub(super) fn keep_or_make(
        &mut self,
        name: &str,
        make: impl FnOnce() -> Result<Vec<u8>, OwnerError>,
    ) -> Result<(), OwnerError> {
        if !self.keep(name)? {
            self.make(name, make()?);
        }
        Ok(())
    }

    /// The key that is there, or a new one.
    pub(super) fn keep_or_make_key(
        &mut self,
        name: &str,
    ) -> Result<Zeroizing<KeyPair>, OwnerError> {
        match self.keep(name)? {
            true => self.key(name),
            false => self.make_key(name),
        }
    }

    /// A new key.
    pub(super) fn make_key(&mut self, name: &str) -> Result<Zeroizing<KeyPair>, OwnerError> {
        let key = Zeroizing::new(KeyPair::generate()?);
        self.make(name, key.serialize_pem().into_bytes());
        Ok(key)
    }

    fn key(&self, name: &str) -> Result<Zeroizing<KeyPair>, OwnerError> {
        let text = std::str::from_utf8(self.bytes(name)).ok();
        let key = text.and_then(|text| KeyPair::from_pem(text).ok());
        let path = self.path(name);
        let what =
            "private key in PKCS#8 and PEM; `openssl pkcs8 -topk8 -nocrypt -in FILE` writes one";
        key.map(Zeroizing::new)
            .ok_or(OwnerError::Content { path, what })
    }

    /// The authority's key, which nobody else may be able to read.
    pub(super) fn authority_key(&mut self) -> Result<Zeroizing<KeyPair>, OwnerError> {
        let path = self.path(AUTHORITY_KEY);
        match fs::metadata(&path) {
            Ok(metadata) => {
                rights::check_secret(&metadata)
                    .map_err(|exposed| OwnerError::Exposed(path, exposed))?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let others = [AUTHORITY, LEAF_KEY, LEAF, CHAIN];
                if let Some(found) = others.into_iter().find(|name| self.path(name).exists()) {
                    let directory = self.directory.clone();
                    return Err(OwnerError::WithoutKey { directory, found });
                }
            }
            Err(error) => return Err(at(&path)(error)),
        }
        self.keep_or_make_key(AUTHORITY_KEY)
    }

    /// The delegation that is there, for the leaf.
    pub(super) fn delegation(&mut self) -> Result<Option<String>, OwnerError> {
        if !self.keep(DELEGATION)? {
            return Ok(None);
        }
        let path = self.path(DELEGATION);
        let what = "delegation: make it anew with `bnsd tls delegate`, or move it away";
        let text = std::str::from_utf8(self.bytes(DELEGATION)).ok();
        let text = text.ok_or(OwnerError::Content { path, what })?;
        Ok(Some(text.to_owned()))
    }

    /// What the certificate in a file says.
    pub(super) fn certificate(&self, name: &str) -> Result<Certificate, OwnerError> {
        let path = self.path(name);
        let what = "certificate in PEM: move it away, and what belongs there is made again";
        Certificate::read(self.bytes(name)).ok_or(OwnerError::Content { path, what })
    }

    /// The name that the authority here is for.
    pub(super) fn name(&self) -> Result<Name, OwnerError> {
        let permitted = self.certificate(AUTHORITY)?.permitted;
        let path = self.path(AUTHORITY);
        let what = "certificate of a name's authority";
        let name = permitted.and_then(|name| name.parse().ok());
        name.ok_or(OwnerError::Content { path, what })
    }

    /// Refuses an authority of another name or with another key.
    pub(super) fn check_authority(&self, authority: &Authority<'_>) -> Result<(), OwnerError> {
        let found = self.name()?;
        if found != *authority.name {
            return Err(OwnerError::OtherName {
                directory: self.directory.clone(),
                found: found.to_string(),
                wanted: authority.name.clone(),
            });
        }
        let advice = "put the key back that belongs to it, or name another directory";
        let is_its = self.certificate(AUTHORITY)?.spki == authority.spki.as_bytes();
        self.check(is_its, AUTHORITY, AUTHORITY_KEY, advice.to_owned())
    }

    /// Refuses a leaf with another key.
    pub(super) fn check_leaf(&self, key: &KeyPair) -> Result<(), OwnerError> {
        let advice = format!(
            "make it anew with `bnsd tls issue --dir {}`",
            self.directory.display()
        );
        let is_its = self.certificate(LEAF)?.spki == key.subject_public_key_info();
        self.check(is_its, LEAF, LEAF_KEY, advice)
    }

    fn check(
        &self,
        is_its: bool,
        name: &str,
        key: &'static str,
        advice: String,
    ) -> Result<(), OwnerError> {
        let path = self.path(name);
        match is_its {
            true => Ok(()),
            false => Err(OwnerError::Mismatch { path, key, advice }),
        }
    }

    fn chain(&self) -> Vec<u8> {
        [self.bytes(LEAF), self.bytes(AUTHORITY)].concat()
    }

    fn together(&self) -> Vec<u8> {
        [&self.chain(), self.bytes(LEAF_KEY)].concat()
    }

    /// The files that are made of others, where they are missing.
    pub(super) fn keep_or_make_the_rest(&mut self) -> Result<(), OwnerError> {
        let (chain, together) = (self.chain(), self.together());
        self.keep_or_make(CHAIN, || Ok(chain))?;
        self.keep_or_make(TOGETHER, || Ok(together))
    }

    /// The same anew.
    pub(super) fn make_the_rest(&mut self) {
        self.make(CHAIN, self.chain());
        self.make(TOGETHER, self.together());
    }
}

/// The bytes of a file; `None` where there is none.
pub(super) fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, OwnerError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(at(path))?,
    };
    // As large as it can get, so that no copy of a key stays behind in memory when it grows.
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_MAX as usize));
    file.take(FILE_MAX)
        .read_to_end(&mut bytes)
        .map_err(at(path))?;
    Ok(Some(bytes))
}
