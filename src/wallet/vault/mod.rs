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

//!
//! The files are described in `formats.md`. [`file`] holds what is in one, [`seal`] encrypts, [`private`] refuses what
//! others could have changed.

mod error;
mod file;
mod private;
mod seal;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bitcoin::{NetworkKind, PublicKey};

pub use error::VaultError;
pub use file::{KeyFile, Public, Reference, SEARCHED, Secret};
pub(super) use private::{make_private_directory, read_private};

use super::lock::Lock;
use crate::disk;
use file::{FORMAT, Head, check_name};
use private::check_directory;
use seal::Sealed;

/// Ending of key files.
const ENDING: &str = ".json";

/// The directory of keys.
#[derive(Debug, Clone)]
pub struct Vault {
    directory: PathBuf,
    network: NetworkKind,
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
        let unreadable = VaultError::io(&self.directory);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(unreadable)? {
            let file = entry.map_err(unreadable)?.file_name();
            let name = file.to_str().and_then(|name| name.strip_suffix(ENDING));
            let name = name.filter(|name| check_name(name).is_ok());
            names.extend(name.map(str::to_owned));
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
        let head = self.head(name, secret.public(self.network));
        let sealed = Sealed::seal(&head.authenticated(), &secret.text(), passphrase)?;
        let sealed = Some(sealed);
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
        let files = self.list()?;
        let mut locks = files.iter().flat_map(|file| file.locks(SEARCHED));
        Ok(locks.find(|(_, lock)| *lock.script() == *script))
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
            Err(error) => Err(VaultError::io(&self.directory)(error)),
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
            _ => VaultError::io(&path)(source),
        })?;
        Ok(file)
    }

    /// Opens the secret of a key.
    pub fn open(&self, name: &str, passphrase: &[u8]) -> Result<Secret, VaultError> {
        let file = self.load(name)?;
        let path = self.path(name);
        let sealed = file.sealed.as_ref();
        let sealed = sealed.ok_or_else(|| VaultError::NoSecret(name.to_owned()))?;
        let text = sealed.open(&file.head.authenticated(), passphrase, &path)?;
        let secret = Secret::of_text(file.public(), &text);
        Ok(secret.ok_or(VaultError::Malformed(path))??)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use std::os::unix::fs::MetadataExt as _;

    use super::super::phrase::{Phrase, Purpose};
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
