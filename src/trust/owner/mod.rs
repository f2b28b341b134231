//! What the owner of a name has for TLS: one directory with two keys, their certificates, and what servers take.
//!
//! | file | what it is | who needs it |
//! |---|---|---|
//! | `authority.key` | the key that the zone file binds; it signs leaves | the owner, when a leaf is issued; no server |
//! | `authority.pem` | its certificate, signed by itself | part of `chain.pem` |
//! | `leaf.key`, `leaf.pem` | the key and certificate of the server | the server |
//! | `chain.pem` | leaf and authority | the server |
//! | `haproxy.pem` | the same with `leaf.key` | HAProxy, which reads all from one file |
//! | `delegation.txt` | what a key of the name signed about `authority.key`, if somebody did; leaves carry it | nobody |
//! | `nginx.conf`, `Caddyfile`, `haproxy.cfg` | lines that serve the name with these files | the server |
//! | `NAME.zone` | a zone file that binds the authority | whoever registers the name |
//!
//! The chain holds the hash of a zone file with the authority's key, so a leaf is replaced without the chain, and a lost
//! `authority.key` costs an operation on the chain. What is there is never overwritten, except by [`OwnerFiles::replace`] after
//! [`OwnerFiles::renewed`]. Everything is made in memory first: until [`OwnerFiles::save`] nothing is written.
//!
//! The authority's own certificate is valid for 20 years. Nobody trusts it because of that certificate: programs find the
//! key through the name, and drop it when the zone file does. It is renewed with a leaf that would outlive it.

mod authority;
mod draft;
mod error;
mod snippets;
#[cfg(test)]
mod tests;

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use hickory_proto::rr::Name as DnsName;
use zeroize::Zeroizing;

use crate::bns::Name;
use crate::disk::{self, Staged, rights};
use crate::tlsa::{Material, Rule, Spki, Statement, Usage};
use authority::{Authority, check_clock};
use draft::{AUTHORITY, AUTHORITY_KEY, DELEGATION, Draft, LEAF, OwnerFile, read};
pub use error::OwnerError;
use error::at;
use snippets::{LEAF_KEY, Place};

/// The keys and certificates of one name, as they are in its directory or about to be.
pub struct OwnerFiles {
    directory: PathBuf,
    name: Name,
    authority: Spki,
    leaf_ends: u64,
    files: Vec<OwnerFile>,
}

/// The key of a renewed leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeafKey {
    /// The one that is there.
    Kept,
    /// Another one.
    New,
}

impl OwnerFiles {
    /// What is in the directory for a name, and what is missing there, made anew; `now` in seconds since 1970. Fails where
    /// the directory has keys of another name, or certificates without their key.
    pub fn prepare(directory: &Path, name: &Name, now: u64) -> Result<Self, OwnerError> {
        check_clock(now)?;
        let place = Place::new(directory).ok_or_else(|| OwnerError::Path(directory.to_owned()))?;
        let mut draft = Draft::new(place.path());
        let key = draft.authority_key()?;
        let authority = Authority::new(name, key, draft.path(AUTHORITY_KEY))?;
        draft.keep_or_make(AUTHORITY, || authority.certificate(now))?;
        draft.check_authority(&authority)?;
        let leaf_key = draft.keep_or_make_key(LEAF_KEY)?;
        let delegation = draft.delegation()?;
        draft.keep_or_make(LEAF, || {
            authority.leaf(&leaf_key, now, delegation.as_deref())
        })?;
        draft.check_leaf(&leaf_key)?;
        draft.keep_or_make_the_rest()?;
        let text = name.as_str();
        draft.keep_or_make("nginx.conf", || Ok(snippets::nginx(&place, text)))?;
        draft.keep_or_make("Caddyfile", || Ok(snippets::caddy(&place, text)))?;
        draft.keep_or_make("haproxy.cfg", || Ok(snippets::haproxy(&place, text)))?;
        Self::of(draft, authority)
    }

    /// The files of a directory with a new leaf, and with a new certificate of the authority where that one would end
    /// first; `now` in seconds since 1970.
    pub fn renewed(directory: &Path, leaf_key: LeafKey, now: u64) -> Result<Self, OwnerError> {
        check_clock(now)?;
        let mut draft = Draft::new(directory);
        for missing in [AUTHORITY_KEY, AUTHORITY] {
            if !draft.keep(missing)? {
                let directory = directory.to_owned();
                return Err(OwnerError::Missing { directory, missing });
            }
        }
        let name = draft.name()?;
        let key = draft.authority_key()?;
        let authority = Authority::new(&name, key, draft.path(AUTHORITY_KEY))?;
        draft.check_authority(&authority)?;
        if !Authority::carries(draft.certificate(AUTHORITY)?.validity, now) {
            draft.make(AUTHORITY, authority.certificate(now)?);
        }
        let leaf_key = match leaf_key {
            LeafKey::Kept => draft.keep_or_make_key(LEAF_KEY)?,
            LeafKey::New => draft.make_key(LEAF_KEY)?,
        };
        let delegation = draft.delegation()?;
        draft.make(LEAF, authority.leaf(&leaf_key, now, delegation.as_deref())?);
        draft.make_the_rest();
        Self::of(draft, authority)
    }

    /// Adds the zone file to what is missing in the directory; the one that is there stays.
    pub fn add_zonefile(&mut self, text: &str) -> Result<(), OwnerError> {
        let name = self.zonefile_name();
        let path = self.directory.join(&name);
        let kept = read(&path)?;
        self.files.push(OwnerFile {
            name,
            is_new: kept.is_none(),
            bytes: kept.unwrap_or_else(|| Zeroizing::new(text.as_bytes().to_vec())),
        });
        Ok(())
    }

    /// Writes what is missing. Nothing that is there is overwritten, even if somebody else wrote it meanwhile.
    pub fn save(&self) -> Result<(), OwnerError> {
        let failed = at(&self.directory);
        if !self.directory.join(AUTHORITY_KEY).exists() {
            rights::claim_directory(&self.directory, &[AUTHORITY_KEY]).map_err(failed)?;
        }
        for file in self.files.iter().filter(|file| file.is_new) {
            let path = self.directory.join(&file.name);
            disk::create(&path, &file.bytes).map_err(at(&path))?;
        }
        Ok(())
    }

    /// Writes what is new over what is there, each file with the owner and rights that it had: the server may run as
    /// somebody else.
    pub fn replace(&self) -> Result<(), OwnerError> {
        for file in self.files.iter().filter(|file| file.is_new) {
            let path = self.directory.join(&file.name);
            replace_like(&path, &file.bytes).map_err(at(&path))?;
        }
        Ok(())
    }

    /// The name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Where the files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The authority's key as zone files have it: its SubjectPublicKeyInfo in base64.
    pub fn key(&self) -> String {
        BASE64.encode(self.authority.as_bytes())
    }

    /// What a key of the name signs, so that the authority holds at a TCP port without a line in the zone file.
    pub fn statement(&self, host: DnsName, port: u16) -> Statement {
        Statement {
            host,
            usage: Usage::Authority,
            ports: vec![port],
            material: Material::Whole(self.authority.clone()),
            rule: Rule::Delegation,
            until: None,
        }
    }

    /// Writes the text of a delegation, which leaves carry from then on.
    pub fn save_delegation(&self, text: &str) -> Result<(), OwnerError> {
        let path = self.directory.join(DELEGATION);
        replace_like(&path, format!("{text}\n").as_bytes()).map_err(at(&path))
    }

    /// The line of the zone file that binds the authority at a TCP port.
    pub fn record(&self, port: u16) -> String {
        let key = self.key();
        format!("_tlskey TXT \"v=bnstls1 use=ta port={port} spki={key}\"")
    }

    /// The bytes of the zone file, if there is one.
    pub fn zonefile(&self) -> Option<&[u8]> {
        let name = self.zonefile_name();
        let file = self.files.iter().find(|file| file.name == name)?;
        Some(&file.bytes)
    }

    /// Where the zone file is, or is to be.
    pub fn zonefile_path(&self) -> PathBuf {
        self.directory.join(self.zonefile_name())
    }

    /// Names of files, and whether each is new.
    pub fn files(&self) -> impl Iterator<Item = (&str, bool)> {
        let files = self.files.iter();
        files.map(|file| (file.name.as_str(), file.is_new))
    }

    /// The last second in which the leaf is valid, in seconds since 1970.
    pub fn leaf_ends(&self) -> u64 {
        self.leaf_ends
    }

    fn of(draft: Draft, authority: Authority<'_>) -> Result<Self, OwnerError> {
        Ok(Self {
            leaf_ends: draft.certificate(LEAF)?.validity.1,
            directory: draft.directory,
            name: authority.name.clone(),
            authority: authority.spki,
            files: draft.files,
        })
    }

    fn zonefile_name(&self) -> String {
        format!("{}.zone", self.name)
    }
}

/// Replaces a file by one with the same owner and rights; a missing one by one that is private.
fn replace_like(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let before = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        metadata => Some(metadata?),
    };
    let mut aside = path.as_os_str().to_owned();
    aside.push(".new");
    let aside = PathBuf::from(aside);
    let staged = Staged::write(aside.clone(), bytes)?;
    if let Some(before) = before {
        if before.uid() != rights::own_uid() || before.gid() != fs::metadata(&aside)?.gid() {
            std::os::unix::fs::chown(&aside, Some(before.uid()), Some(before.gid()))?;
        }
        fs::set_permissions(&aside, Permissions::from_mode(before.mode() & 0o777))?;
    }
    staged.replace(path)
}
