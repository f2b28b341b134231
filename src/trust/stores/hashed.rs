//! The directory in which OpenSSL looks for a certificate by the hash of its subject (openssl-rehash(1)).
//!
//! Each certificate is a file, and a link with the hash leads to it, as `openssl rehash` makes it: so that the program finds
//! everything in order when the system calls it. OpenSSL believes what is there; the certificates are checked and permit one
//! name each.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use bitcoin::hashes::{Hash as _, sha1};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::X509Name;

use super::{Store, StoreError, file_name, is_fingerprint, place, remove};
use crate::disk::Staged;
use crate::trust::issued::{Issued, RootCertificate};

/// What the names of our files begin with.
const OURS: &str = "bnsd-authority-";
/// And what they end with.
const ENDING: &str = ".pem";
/// Certificates with one hash at most.
const SAME_MAX: usize = 100;

/// The directory.
pub struct Hashed {
    directory: PathBuf,
    /// The file of the root that the system has.
    system_root: PathBuf,
}

impl Hashed {
    /// That of a system whose root was installed as the file `system_root`.
    pub fn new(directory: PathBuf, system_root: PathBuf) -> Self {
        Self {
            directory,
            system_root,
        }
    }

    /// Takes everything of ours away.
    pub fn clear(&mut self) -> Result<usize, StoreError> {
        let ours = self.ours(|_| true)?;
        for path in &ours {
            self.remove(path)?;
        }
        Ok(ours.len())
    }

    /// Our files of which `is_meant` says so, by their names without beginning and ending.
    fn ours(&self, is_meant: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, StoreError> {
        let fail = StoreError::file(&self.directory);
        let entries = fs::read_dir(&self.directory).map_err(fail)?;
        let names = entries.flatten().map(|entry| entry.file_name());
        let names = names.filter_map(|name| name.into_string().ok());
        let ours = names.filter(|name| {
            let inner = name
                .strip_prefix(OURS)
                .and_then(|name| name.strip_suffix(ENDING));
            inner.is_some_and(&is_meant)
        });
        Ok(ours.map(|name| self.directory.join(name)).collect())
    }

    /// The links of a hash, taken or not.
    fn links(&self, hash: u32) -> impl Iterator<Item = PathBuf> {
        let directory = self.directory.clone();
        (0..SAME_MAX).map(move |number| directory.join(format!("{hash:08x}.{number}")))
    }

    /// Links the hash of a file's subject to it, unless a link does so.
    fn link(&self, file: &Path, hash: u32) -> Result<(), StoreError> {
        let target = Path::new(file.file_name().unwrap_or_default());
        for link in self.links(hash) {
            match fs::read_link(&link) {
                Ok(found) if found == target => return Ok(()),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return symlink(target, &link).map_err(StoreError::file(&link));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes a file and the link to it. Those behind it move up: OpenSSL stops looking at the first gap.
    fn remove(&self, file: &Path) -> Result<(), StoreError> {
        let hash = fs::read(file).ok().and_then(|pem| hash_of(&pem));
        if let Some(hash) = hash {
            let there: Vec<PathBuf> = self
                .links(hash)
                .take_while(|link| link.is_symlink())
                .collect();
            let target = file.file_name().map(Path::new);
            let is_it = |link: &PathBuf| fs::read_link(link).ok().as_deref() == target;
            if let (Some(place), Some(last)) = (there.iter().position(is_it), there.last()) {
                let moved = fs::rename(last, &there[place]);
                moved.map_err(StoreError::file(last))?;
                if place + 1 == there.len() {
                    remove(last)?;
                }
            }
        }
        remove(file)
    }
}

impl Store for Hashed {
    fn root(&self) -> Result<RootCertificate, StoreError> {
        let pem = fs::read(&self.system_root).ok();
        let root = pem.and_then(|pem| RootCertificate::from_pem(&pem).ok());
        root.ok_or(StoreError::NoRoot("bnsd tls install-ca"))
    }

    fn held(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        let files = self.ours(|_| true)?.into_iter();
        let texts = files.filter_map(|path| fs::read(path).ok());
        let read = texts.filter_map(|pem| CertificateDer::from_pem_slice(&pem).ok());
        Ok(read.map(|der| der.to_vec()).collect())
    }

    fn put(&mut self, issued: &Issued) -> Result<(), StoreError> {
        let (place, name) = (place(issued), file_name(issued));
        let file = self.directory.join(format!("{OURS}{name}{ENDING}"));
        let fail = StoreError::file(&file);
        if !file.exists() {
            let staged = file.with_extension("new");
            let written = Staged::write(staged.clone(), issued.pem().as_bytes()).map_err(fail)?;
            fs::set_permissions(&staged, Permissions::from_mode(0o644)).map_err(fail)?;
            written.replace(&file).map_err(fail)?;
        }
        self.link(&file, subject_hash(issued.subject()))?;
        let others = self.ours(|known| known.starts_with(&place) && known != name)?;
        others.iter().try_for_each(|other| self.remove(other))
    }

    fn take(&mut self, fingerprint: &str) -> Result<(), StoreError> {
        let is_it = |known: &str| is_fingerprint(fingerprint) && known.ends_with(fingerprint);
        let gone = self.ours(is_it)?;
        gone.iter().try_for_each(|file| self.remove(file))
    }

    fn refresh(&mut self) -> Result<(), StoreError> {
        if let Err(error) = self.root() {
            self.clear()?;
            return Err(error);
        }
        for file in self.ours(|_| true)? {
            if let Some(hash) = fs::read(&file).ok().and_then(|pem| hash_of(&pem)) {
                self.link(&file, hash)?;
            }
        }
        Ok(())
    }
}

/// The hash of the subject of the certificate in a PEM file.
fn hash_of(pem: &[u8]) -> Option<u32> {
    let der = CertificateDer::from_pem_slice(pem).ok()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).ok()?;
    Some(subject_hash(certificate.subject().as_raw()))
}

/// The hash of a subject in DER (`X509_NAME_hash` of OpenSSL, crypto/x509/x509_cmp.c): the first four bytes of the SHA-1 of its
/// canonical form, the lowest first. There, values are UTF-8 in lower case with single spaces (crypto/x509/x_name.c). Ours have
/// one attribute in each set, as nearly all have.
pub fn subject_hash(subject: &[u8]) -> u32 {
    let mut canonical = Vec::new();
    if let Ok((_, name)) = X509Name::from_der(subject) {
        for attribute in name.iter_attributes() {
            let text = attribute.as_str().unwrap_or_default().to_ascii_lowercase();
            let words: Vec<&str> = text.split_ascii_whitespace().collect();
            let value = der(UTF8, words.join(" ").as_bytes());
            let kind = der(OID, attribute.attr_type().as_bytes());
            canonical.extend(der(SET, &der(SEQUENCE, &[kind, value].concat())));
        }
    }
    let digest = sha1::Hash::hash(&canonical).to_byte_array();
    u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]])
}

/// Tags (X.690 §8).
const OID: u8 = 0x06;
const UTF8: u8 = 0x0c;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

/// A value with its tag and length; subjects of certificates are short.
fn der(tag: u8, value: &[u8]) -> Vec<u8> {
    let head = match u8::try_from(value.len()) {
        Ok(length @ ..0x80) => vec![tag, length],
        Ok(length) => vec![tag, 0x81, length],
        Err(_) => {
            let [high, low] = (value.len() as u16).to_be_bytes();
            vec![tag, 0x82, high, low]
        }
    };
    [head.as_slice(), value].concat()
}
