//! Keys at rest: one file per key in a directory that only its owner can enter.
//!
//! ```text
//! keys/            0700, ours, no symbolic link
//!   me.json        0600, ours, made once and never written again
//! ```
//!
//! A file has a public part, from which addresses are found without a passphrase, and a sealed part: the
//! phrase or key, encrypted with XChaCha20-Poly1305 under a key that argon2id makes of the passphrase. The
//! public part is authenticated along with it, so nobody can exchange an address unnoticed once the file has
//! been opened. Everything that is decrypted is wiped from memory when it is dropped.
//!
//! A file with wider rights, of another owner, or behind a symbolic link is refused rather than repaired:
//! whoever could change it may have done so.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use bitcoin::bip32::{Fingerprint, Xpub};
use bitcoin::{NetworkKind, PublicKey};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::keys::SigningKey;
use super::lock::{Lock, LockError};
use super::phrase::{self, Phrase, PhraseError, Purpose};
use crate::disk;
use crate::hash::{decode_hex, encode_hex};

/// Version of the file format.
const FORMAT: u32 = 1;
/// Memory of argon2id in KiB for new files (RFC 9106 §4 recommends 64 MiB where memory is short).
const MEMORY_KIB: u32 = 64 * 1024;
/// Passes of argon2id for new files.
const PASSES: u32 = 3;
/// Bounds for the parameters of a file: a changed file must neither weaken the key nor eat all memory.
const MEMORY_RANGE: std::ops::RangeInclusive<u32> = MEMORY_KIB..=1024 * 1024;
const PASSES_RANGE: std::ops::RangeInclusive<u32> = 1..=16;
/// Longest key file in bytes.
const LENGTH_MAX: u64 = 64 * 1024;
/// Ending of key files.
const ENDING: &str = ".json";
/// How many addresses of a phrase are looked through for a script.
pub const SEARCHED: u32 = 40;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The name of a key is no file name.
    #[error("{0:?} is no name for a key: use 1 to 32 of a-z, 0-9, - and _")]
    Name(String),
    /// Nothing has this name.
    #[error("there is no key {name:?} in {}: see `bnsd keys list`", directory.display())]
    Unknown {
        /// The name.
        name: String,
        /// Where it was looked for.
        directory: PathBuf,
    },
    /// Something has this name already.
    #[error("there is a key {0:?} already: choose another name")]
    Exists(String),
    /// Others could read or change it.
    #[error("{} is not safe: it {problem}; set that right after making sure that nobody has changed it", path.display())]
    Unsafe {
        /// File or directory.
        path: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
    /// It cannot be read or written.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// File or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is no key file.
    #[error("{} is no key file of this version of bnsd", .0.display())]
    Malformed(PathBuf),
    /// Wrong passphrase, or a changed file.
    #[error("the passphrase is wrong, or {} was changed", .0.display())]
    Sealed(PathBuf),
    /// There is nothing to open.
    #[error("{0:?} holds no secret: a multisignature address is signed for by its members' keys")]
    NoSecret(String),
    /// Address references are NAME, NAME/INDEX or NAME/p2sh/INDEX.
    #[error("{0:?} names no address: write NAME, NAME/INDEX or NAME/p2sh/INDEX")]
    Reference(String),
    /// The key belongs to another network.
    #[error("key {0:?} was made for another network")]
    Network(String),
    /// The phrase does not do.
    #[error(transparent)]
    Phrase(#[from] PhraseError),
    /// The address does not do.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Argon2 could not run.
    #[error("not enough memory to open the key: 64 MiB are needed")]
    Memory,
}

/// The directory of keys.
#[derive(Debug, Clone)]
pub struct Vault {
    directory: PathBuf,
    network: NetworkKind,
}

/// What a new key file holds.
pub enum Secret {
    /// A phrase.
    Phrase(Phrase),
    /// A single key.
    Key(SigningKey),
}

/// A key file: its public part, and the secret as long as it is sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    #[serde(flatten)]
    head: Head,
    sealed: Option<Sealed>,
}

/// What is authenticated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    format: u32,
    name: String,
    mainnet: bool,
    public: Public,
}

/// What addresses follow from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Public {
    /// A phrase.
    Phrase {
        /// Account of p2pkh addresses.
        owner: Xpub,
        /// Account of p2sh-p2wpkh addresses.
        payer: Xpub,
        /// Identifies the phrase to signers.
        fingerprint: Fingerprint,
    },
    /// A single key.
    Key {
        /// Its public key.
        key: PublicKey,
    },
    /// A multisignature address; its members' keys are elsewhere.
    Multisig {
        /// How many signatures.
        required: usize,
        /// Of which keys.
        keys: Vec<PublicKey>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    kdf: String,
    memory_kib: u32,
    passes: u32,
    salt: String,
    cipher: String,
    nonce: String,
    text: String,
}

/// An address of a key: `me`, `me/3`, `me/p2sh/0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Name of the key.
    pub name: String,
    /// Which kind of address.
    pub purpose: Purpose,
    /// Which one.
    pub index: u32,
}

impl std::str::FromStr for Reference {
    type Err = VaultError;

    fn from_str(text: &str) -> Result<Self, VaultError> {
        let parts: Vec<&str> = text.split('/').collect();
        let (name, purpose, index) = match parts.as_slice() {
            [name] => (name, Purpose::Owner, "0"),
            [name, "p2sh"] => (name, Purpose::Payer, "0"),
            [name, "p2sh", index] => (name, Purpose::Payer, *index),
            [name, index] => (name, Purpose::Owner, *index),
            _ => return Err(VaultError::Reference(text.to_owned())),
        };
        check_name(name)?;
        let index = index
            .parse()
            .map_err(|_| VaultError::Reference(text.to_owned()))?;
        Ok(Self {
            name: (*name).to_owned(),
            purpose,
            index,
        })
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.purpose, self.index) {
            (Purpose::Owner, 0) => f.write_str(&self.name),
            (Purpose::Owner, index) => write!(f, "{}/{index}", self.name),
            (Purpose::Payer, index) => write!(f, "{}/p2sh/{index}", self.name),
        }
    }
}

impl Vault {
    /// The keys in `directory`; nothing is touched yet.
    pub fn new(directory: PathBuf, network: NetworkKind) -> Self {
        Self { directory, network }
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The network that its addresses are for.
    pub fn network(&self) -> NetworkKind {
        self.network
    }

    /// All keys, by name.
    pub fn list(&self) -> Result<Vec<KeyFile>, VaultError> {
        if !self.exists()? {
            return Ok(Vec::new());
        }
        let unreadable = |source| io_error(&self.directory, source);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(ENDING));
            names.extend(
                name.filter(|name| check_name(name).is_ok())
                    .map(str::to_owned),
            );
        }
        names.sort_unstable();
        names.iter().map(|name| self.load(name)).collect()
    }

    /// The key of that name.
    pub fn load(&self, name: &str) -> Result<KeyFile, VaultError> {
        check_name(name)?;
        let path = self.path(name);
        let unknown = || VaultError::Unknown {
            name: name.to_owned(),
            directory: self.directory.clone(),
        };
        if !self.exists()? {
            return Err(unknown());
        }
        let bytes = read_private(&path).map_err(|error| match error {
            VaultError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => unknown(),
            error => error,
        })?;
        let file: KeyFile =
            serde_json::from_slice(&bytes).map_err(|_| VaultError::Malformed(path.clone()))?;
        if file.head.format != FORMAT || file.head.name != name {
            return Err(VaultError::Malformed(path));
        }
        if let Public::Multisig { required, keys } = &file.head.public {
            Lock::multisig(*required, keys.clone())?;
        }
        Ok(file)
    }

    /// Makes a key file; its passphrase opens it from now on.
    pub fn create(
        &self,
        name: &str,
        secret: &Secret,
        passphrase: &[u8],
    ) -> Result<KeyFile, VaultError> {
        check_name(name)?;
        let public = match secret {
            Secret::Phrase(phrase) => Public::Phrase {
                owner: phrase.account(Purpose::Owner, self.network),
                payer: phrase.account(Purpose::Payer, self.network),
                fingerprint: phrase.fingerprint(self.network),
            },
            Secret::Key(key) => Public::Key { key: key.public() },
        };
        let head = self.head(name, public);
        let text: Zeroizing<Vec<u8>> = match secret {
            Secret::Phrase(phrase) => Zeroizing::new(phrase.text().as_bytes().to_vec()),
            Secret::Key(key) => Zeroizing::new(key.to_bytes().to_vec()),
        };
        let sealed = Some(seal(&head, &text, passphrase)?);
        self.store(KeyFile { head, sealed })
    }

    /// Makes the file of a multisignature address.
    pub fn create_multisig(
        &self,
        name: &str,
        required: usize,
        keys: Vec<PublicKey>,
    ) -> Result<KeyFile, VaultError> {
        check_name(name)?;
        Lock::multisig(required, keys.clone())?;
        let head = self.head(name, Public::Multisig { required, keys });
        self.store(KeyFile { head, sealed: None })
    }

    /// The address among all keys that has this script.
    pub fn find(&self, script: &bitcoin::Script) -> Result<Option<(Reference, Lock)>, VaultError> {
        for file in self.list()? {
            if let Some(found) = file.find(script) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The lock that a reference names.
    pub fn lock(&self, reference: &Reference) -> Result<Lock, VaultError> {
        let file = self.load(&reference.name)?;
        if file.head.mainnet != self.network.is_mainnet() {
            return Err(VaultError::Network(reference.name.clone()));
        }
        file.lock(reference.purpose, reference.index)
    }

    fn head(&self, name: &str, public: Public) -> Head {
        Head {
            format: FORMAT,
            name: name.to_owned(),
            mainnet: self.network.is_mainnet(),
            public,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}{ENDING}"))
    }

    fn exists(&self) -> Result<bool, VaultError> {
        match fs::symlink_metadata(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(io_error(&self.directory, error)),
            Ok(_) => check_directory(&self.directory).map(|()| true),
        }
    }

    fn store(&self, file: KeyFile) -> Result<KeyFile, VaultError> {
        make_private_directory(&self.directory)?;
        let path = self.path(&file.head.name);
        let mut bytes = serde_json::to_vec_pretty(&file).expect("key files have text keys");
        bytes.push(b'\n');
        disk::create(&path, &bytes).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => VaultError::Exists(file.head.name.clone()),
            _ => io_error(&path, source),
        })?;
        Ok(file)
    }

    /// Opens the secret of a key.
    pub fn open(&self, name: &str, passphrase: &[u8]) -> Result<Secret, VaultError> {
        let file = self.load(name)?;
        let path = self.path(name);
        let sealed = file
            .sealed
            .as_ref()
            .ok_or_else(|| VaultError::NoSecret(name.to_owned()))?;
        let text = unseal(&file.head, sealed, passphrase, &path)?;
        let malformed = || VaultError::Malformed(path.clone());
        match &file.head.public {
            Public::Phrase { .. } => {
                let text = std::str::from_utf8(&text).map_err(|_| malformed())?;
                Ok(Secret::Phrase(Phrase::parse(text)?))
            }
            Public::Key { .. } => {
                let bytes = <&[u8; 32]>::try_from(text.as_slice()).map_err(|_| malformed())?;
                let key = SigningKey::from_bytes(bytes).map_err(|_| malformed())?;
                Ok(Secret::Key(key))
            }
            Public::Multisig { .. } => Err(VaultError::NoSecret(name.to_owned())),
        }
    }
}

impl KeyFile {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.head.name
    }

    /// What addresses follow from.
    pub fn public(&self) -> &Public {
        &self.head.public
    }

    /// Whether it was made for the main network.
    pub fn is_mainnet(&self) -> bool {
        self.head.mainnet
    }

    /// Whether it holds a secret.
    pub fn has_secret(&self) -> bool {
        self.sealed.is_some()
    }

    /// The lock at an index.
    pub fn lock(&self, purpose: Purpose, index: u32) -> Result<Lock, VaultError> {
        match (&self.head.public, purpose) {
            (Public::Phrase { owner, .. }, Purpose::Owner) => {
                Ok(Lock::KeyHash(phrase::public_key(owner, index)?))
            }
            (Public::Phrase { payer, .. }, Purpose::Payer) => {
                Ok(Lock::WrappedWitness(phrase::public_key(payer, index)?))
            }
            (Public::Key { key }, Purpose::Owner) if index == 0 => Ok(Lock::KeyHash(*key)),
            (Public::Key { key }, Purpose::Payer) if index == 0 && key.compressed => {
                Ok(Lock::WrappedWitness(*key))
            }
            (Public::Multisig { required, keys }, Purpose::Owner) if index == 0 => {
                Ok(Lock::multisig(*required, keys.clone())?)
            }
            _ => Err(VaultError::Reference(format!("{}/{index}", self.head.name))),
        }
    }

    /// The address of this key that has a script, among the first [`SEARCHED`].
    fn find(&self, script: &bitcoin::Script) -> Option<(Reference, Lock)> {
        for purpose in [Purpose::Owner, Purpose::Payer] {
            for index in 0..SEARCHED {
                let Ok(lock) = self.lock(purpose, index) else {
                    break;
                };
                if *lock.script() == *script {
                    let reference = Reference {
                        name: self.head.name.clone(),
                        purpose,
                        index,
                    };
                    return Some((reference, lock));
                }
            }
        }
        None
    }
}

impl Secret {
    /// The keys that can sign for any of `wanted`, among the first [`SEARCHED`] of each kind.
    pub fn signing_keys(&self, network: NetworkKind, wanted: &[PublicKey]) -> Vec<SigningKey> {
        match self {
            Self::Key(key) => Some(key.clone())
                .filter(|key| wanted.contains(&key.public()))
                .into_iter()
                .collect(),
            Self::Phrase(phrase) => {
                let mut found = Vec::new();
                for purpose in [Purpose::Owner, Purpose::Payer] {
                    let account = phrase.account(purpose, network);
                    let indexes = (0..SEARCHED).filter(|&index| {
                        phrase::public_key(&account, index).is_ok_and(|key| wanted.contains(&key))
                    });
                    found.extend(
                        indexes.filter_map(|index| phrase.key(purpose, network, index).ok()),
                    );
                }
                found
            }
        }
    }
}

// ---- sealing --------------------------------------------------------------------------------------------

fn seal(head: &Head, text: &[u8], passphrase: &[u8]) -> Result<Sealed, VaultError> {
    let (mut salt, mut nonce) = ([0; 16], [0; 24]);
    getrandom::fill(&mut salt).expect("the system has randomness");
    getrandom::fill(&mut nonce).expect("the system has randomness");
    let key = stretch(passphrase, &salt, MEMORY_KIB, PASSES)?;
    let cipher = XChaCha20Poly1305::new((&*key).into());
    let aad = authenticated(head);
    let payload = Payload {
        msg: text,
        aad: &aad,
    };
    let text = cipher
        .encrypt(XNonce::from_slice(&nonce), payload)
        .expect("a key is short enough to encrypt");
    Ok(Sealed {
        kdf: "argon2id".to_owned(),
        memory_kib: MEMORY_KIB,
        passes: PASSES,
        salt: encode_hex(&salt),
        cipher: "xchacha20poly1305".to_owned(),
        nonce: encode_hex(&nonce),
        text: encode_hex(&text),
    })
}

fn unseal(
    head: &Head,
    sealed: &Sealed,
    passphrase: &[u8],
    path: &Path,
) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let malformed = || VaultError::Malformed(path.to_owned());
    let known = sealed.kdf == "argon2id"
        && sealed.cipher == "xchacha20poly1305"
        && MEMORY_RANGE.contains(&sealed.memory_kib)
        && PASSES_RANGE.contains(&sealed.passes);
    let salt = decode_hex(&sealed.salt).filter(|salt| salt.len() == 16 && known);
    let nonce = decode_hex(&sealed.nonce).filter(|nonce| nonce.len() == 24);
    let text = decode_hex(&sealed.text);
    let (salt, nonce, text) = (
        salt.ok_or_else(malformed)?,
        nonce.ok_or_else(malformed)?,
        text.ok_or_else(malformed)?,
    );
    let key = stretch(passphrase, &salt, sealed.memory_kib, sealed.passes)?;
    let cipher = XChaCha20Poly1305::new((&*key).into());
    let aad = authenticated(head);
    let payload = Payload {
        msg: &text,
        aad: &aad,
    };
    let opened = cipher.decrypt(XNonce::from_slice(&nonce), payload);
    opened
        .map(Zeroizing::new)
        .map_err(|_| VaultError::Sealed(path.to_owned()))
}

/// The public part as it is authenticated: compact JSON in the order of its fields.
fn authenticated(head: &Head) -> Vec<u8> {
    serde_json::to_vec(head).expect("key files have text keys")
}

fn stretch(
    passphrase: &[u8],
    salt: &[u8],
    memory_kib: u32,
    passes: u32,
) -> Result<Zeroizing<[u8; 32]>, VaultError> {
    let params = Params::new(memory_kib, passes, 1, Some(32)).map_err(|_| VaultError::Memory)?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase, salt, &mut *key)
        .map_err(|_| VaultError::Memory)?;
    Ok(key)
}

// ---- files ----------------------------------------------------------------------------------------------

fn check_name(name: &str) -> Result<(), VaultError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 32 || !name.chars().all(allowed) {
        return Err(VaultError::Name(name.to_owned()));
    }
    Ok(())
}

fn io_error(path: &Path, source: io::Error) -> VaultError {
    VaultError::Io {
        path: path.to_owned(),
        source,
    }
}

fn own_uid() -> u32 {
    // SAFETY: geteuid takes nothing, touches no memory and cannot fail (POSIX).
    unsafe { libc::geteuid() }
}

/// Makes a directory for its owner alone, or checks the one that is there.
pub(super) fn make_private_directory(directory: &Path) -> Result<(), VaultError> {
    disk::create_directory(directory).map_err(|source| io_error(directory, source))?;
    check_directory(directory)
}

fn check_directory(directory: &Path) -> Result<(), VaultError> {
    let metadata = fs::symlink_metadata(directory).map_err(|source| io_error(directory, source))?;
    let problem = if metadata.file_type().is_symlink() {
        "is a symbolic link"
    } else if !metadata.is_dir() {
        "is no directory"
    } else if metadata.uid() != own_uid() {
        "belongs to another user"
    } else if metadata.mode() & 0o077 != 0 {
        "is open to other users (chmod 700)"
    } else {
        return Ok(());
    };
    Err(VaultError::Unsafe {
        path: directory.to_owned(),
        problem,
    })
}

/// The bytes of a file that only its owner can read or write, following no symbolic link.
pub(super) fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
        .map_err(|source| match source.raw_os_error() {
            Some(libc::ELOOP) => VaultError::Unsafe {
                path: path.to_owned(),
                problem: "is a symbolic link",
            },
            _ => io_error(path, source),
        })?;
    let metadata = file.metadata().map_err(|source| io_error(path, source))?;
    let problem = if !metadata.is_file() {
        Some("is no file")
    } else if metadata.uid() != own_uid() {
        Some("belongs to another user")
    } else if metadata.mode() & 0o077 != 0 {
        Some("is open to other users (chmod 600)")
    } else {
        None
    };
    if let Some(problem) = problem {
        return Err(VaultError::Unsafe {
            path: path.to_owned(),
            problem,
        });
    }
    let mut bytes = Zeroizing::new(Vec::new());
    let read = file.take(LENGTH_MAX * 64).read_to_end(&mut bytes);
    read.map_err(|source| io_error(path, source))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    const PASSPHRASE: &[u8] = b"correct horse battery";

    fn vault() -> (tempfile::TempDir, Vault) {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let vault = Vault::new(scratch.path().join("keys"), NetworkKind::Test);
        (scratch, vault)
    }

    fn secret() -> Secret {
        Secret::Phrase(Phrase::generate(12).expect("a length"))
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
    }

    #[test]
    fn a_key_is_opened_by_its_passphrase_alone() {
        let (_scratch, vault) = vault();
        let secret = secret();
        let file = vault.create("me", &secret, PASSPHRASE).expect("a new file");
        assert_eq!(vault.list().expect("readable"), std::slice::from_ref(&file));
        assert!(matches!(
            vault.open("me", b"wrong"),
            Err(VaultError::Sealed(_))
        ));
        let Ok(Secret::Phrase(opened)) = vault.open("me", PASSPHRASE) else {
            panic!("the passphrase is right");
        };
        let Secret::Phrase(phrase) = secret else {
            unreachable!()
        };
        assert_eq!(opened.text(), phrase.text());
        let again = vault.create("me", &self::secret(), PASSPHRASE);
        assert!(matches!(again, Err(VaultError::Exists(_))));
        let text = fs::read_to_string(vault.path("me")).expect("a text");
        for word in phrase.text().split(' ') {
            assert!(!text.contains(&format!(" {word} ")));
        }
        let lock = file.lock(Purpose::Owner, 3).expect("an index");
        let (found, _) = vault.find(&lock.script()).expect("readable").expect("ours");
        assert_eq!(found.to_string(), "me/3");
        let keys = Secret::Phrase(phrase).signing_keys(NetworkKind::Test, lock.keys());
        assert_eq!(keys[0].address(), lock.address());
    }

    #[test]
    fn files_and_directories_that_others_could_change_are_refused() {
        let (scratch, vault) = vault();
        vault
            .create("me", &secret(), PASSPHRASE)
            .expect("a new file");
        let path = vault.path("me");
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o7777, 0o600);
        assert_eq!(
            fs::metadata(vault.directory()).expect("there").mode() & 0o777,
            0o700
        );
        let is_unsafe = || matches!(vault.load("me"), Err(VaultError::Unsafe { .. }));
        for wide in [0o640, 0o604, 0o660] {
            mode(&path, wide);
            assert!(is_unsafe(), "{wide:o}");
        }
        mode(&path, 0o600);
        mode(vault.directory(), 0o750);
        assert!(is_unsafe());
        mode(vault.directory(), 0o700);
        assert!(!is_unsafe());
        let elsewhere = scratch.path().join("elsewhere");
        fs::rename(&path, &elsewhere).expect("ours");
        symlink(&elsewhere, &path).expect("a link");
        assert!(is_unsafe());
        let linked = Vault::new(scratch.path().join("linked"), NetworkKind::Test);
        symlink(vault.directory(), linked.directory()).expect("a link");
        assert!(matches!(linked.list(), Err(VaultError::Unsafe { .. })));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn files_of_another_user_are_refused() {
        let (_scratch, vault) = vault();
        vault
            .create("me", &secret(), PASSPHRASE)
            .expect("a new file");
        // Only root can give files away; others cannot get into this situation in a test.
        if std::os::unix::fs::chown(vault.path("me"), Some(12_345), None).is_ok() {
            assert!(matches!(vault.load("me"), Err(VaultError::Unsafe { .. })));
        }
    }

    #[test]
    fn an_exchanged_address_is_noticed() {
        let (_scratch, vault) = vault();
        vault
            .create("me", &secret(), PASSPHRASE)
            .expect("a new file");
        vault
            .create("other", &secret(), PASSPHRASE)
            .expect("a new file");
        let mut mine = vault.load("me").expect("a key");
        mine.head.public = vault.load("other").expect("a key").head.public;
        let bytes = serde_json::to_vec(&mine).expect("JSON");
        disk::replace(&vault.path("me"), &bytes).expect("writable");
        assert!(matches!(
            vault.open("me", PASSPHRASE),
            Err(VaultError::Sealed(_))
        ));
    }

    #[test]
    fn a_weakened_file_is_refused() {
        let (_scratch, vault) = vault();
        let mut file = vault
            .create("me", &secret(), PASSPHRASE)
            .expect("a new file");
        if let Some(sealed) = &mut file.sealed {
            sealed.memory_kib = 8;
        }
        let bytes = serde_json::to_vec(&file).expect("JSON");
        disk::replace(&vault.path("me"), &bytes).expect("writable");
        assert!(matches!(
            vault.open("me", PASSPHRASE),
            Err(VaultError::Malformed(_))
        ));
    }

    #[test]
    fn references_and_names_are_strict() {
        for text in ["me", "me/3", "me/p2sh/0"] {
            let reference: Reference = text.parse().expect("a reference");
            assert_eq!(reference.to_string(), text);
        }
        for text in [
            "",
            "../me",
            "Me",
            "me/x",
            "me/p2pkh/0",
            "me/1/2",
            &"m".repeat(33),
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }
}
